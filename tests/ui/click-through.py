# SPDX-License-Identifier: GPL-3.0-or-later
"""From an empty library to a booted demo machine, by accessible names; on the way every focusable
widget of every window must have a name."""

import os
import subprocess
import sys
import time

import pyatspi

from accessible import check_names, nameless, serial_text
from windows import click, find, wait_for


def main():
    program = subprocess.Popen([os.environ["APIARY"]])
    try:
        find("No machines yet")
        check_names("empty manager")

        click("New machine from an ISO")
        find("Forward", pyatspi.ROLE_PUSH_BUTTON)
        check_names("new machine, source")
        click("Nothing yet: an empty disk")
        for page in ("hardware", "storage", "network", "summary"):
            click("Forward", pyatspi.ROLE_PUSH_BUTTON)
            time.sleep(0.7)
            check_names(f"new machine, {page}")
        find("Create and Start", pyatspi.ROLE_PUSH_BUTTON)
        click("Cancel", pyatspi.ROLE_PUSH_BUTTON)

        click("Try the demo machine", pyatspi.ROLE_PUSH_BUTTON)
        find("Screen of Apiary demo")
        check_names("machine window, console")
        click("Serial", pyatspi.ROLE_RADIO_BUTTON)
        wait_for("the demo's shell", 150, lambda: "Type poweroff to end" in serial_text())
        check_names("machine window, serial")
        click("Activity", pyatspi.ROLE_RADIO_BUTTON)
        time.sleep(1)
        check_names("machine window, activity")
        click("Console", pyatspi.ROLE_RADIO_BUTTON)

        subprocess.run([os.environ["APIARY"], "--settings", "Apiary demo"], check=True)
        for page in ("System", "Boot Order", "Storage", "Command"):
            time.sleep(0.7)
            check_names(f"settings, {page}")
        check_names("manager with a machine")
    finally:
        program.terminate()
    status = program.wait(20)
    for name in sorted(nameless):
        print("no accessible name:", name)
    if nameless or status:
        sys.exit(f"{len(nameless)} widgets without a name, exit status {status}")
    print("ok: from an empty library to the demo's shell")


main()
