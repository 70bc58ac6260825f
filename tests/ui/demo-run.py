# SPDX-License-Identifier: GPL-3.0-or-later
"""`./dev run` on a display: the manager lists the demo machine as running, its window shows a booted
system, and a polite end leaves no process behind."""

import os
import signal
import subprocess
import sys
import time

import pyatspi

from windows import application, click, find, wait_for, walk

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
NAME = "Apiary demo"


def serial_text():
    text = find("Serial console").queryText()
    return text.getText(0, text.characterCount)


def windows():
    app = application()
    return [child.name for child in app if child.getRole() == pyatspi.ROLE_FRAME] if app else []


def texts():
    return [node.name for node in walk(application()) if node.name]


def main():
    program = subprocess.Popen([os.path.join(ROOT, "dev"), "run"], start_new_session=True)
    try:
        wait_for("the manager's and the machine's window", 120, lambda: len(windows()) >= 2)
        print("windows:", ", ".join(windows()))
        assert any(NAME in title for title in windows()), windows()
        find(f"Screen of {NAME}")
        wait_for("the machine shown as running", 30, lambda: any("Running" in t for t in texts()))
        click("Serial", pyatspi.ROLE_RADIO_BUTTON)
        wait_for("the demo's shell", 200, lambda: "Type poweroff to end" in serial_text())
        for words in "Welcome to the Apiary demo machine", "CPU ", "Memory ", "Disk ", "Network ":
            assert words in serial_text(), f"the welcome does not show {words}"
    finally:
        os.killpg(program.pid, signal.SIGTERM)
        end = time.monotonic() + 20
        while program.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
    if program.poll() is None:
        os.killpg(program.pid, signal.SIGKILL)
        sys.exit("The program did not end.")
    assert program.returncode == 0, f"exit status {program.returncode}"
    print("ok: ./dev run shows the manager and the booted demo machine")


main()
