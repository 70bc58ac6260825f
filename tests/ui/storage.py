# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage page of a machine that is off: a disk is made, enlarged, converted and taken out."""

import os
import re
import subprocess
import sys
import time

import pyatspi

from accessible import check_names, finish, label_of
from windows import application, find, wait_for, walk

NAME = "Storage test"
FOLDER = os.path.join(os.environ["XDG_DATA_HOME"], "apiary", NAME)


def machine_file():
    with open(os.path.join(FOLDER, "machine.conf"), encoding="utf-8") as file:
        return file.read()


def info(name):
    return subprocess.run(
        [os.environ["APIARY"], "img", "info", os.path.join(FOLDER, name)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def press(name):
    find(name, pyatspi.ROLE_PUSH_BUTTON).queryAction().doAction(0)


def number(label):
    def probe():
        for node in walk(application()):
            if node.getRole() == pyatspi.ROLE_SPIN_BUTTON and label_of(node) == label:
                return node
        return None

    return wait_for(f"“{label}”", 30, probe).queryValue()


def wait_for_text(pattern):
    wait_for(
        f"“{pattern}”",
        30,
        lambda: any(re.search(pattern, node.name) for node in walk(application())),
    )


def attach(path):
    """The chooser does not hold up who has pressed the button."""
    began = time.monotonic()
    press("Attach a Disk…")
    if time.monotonic() - began > 3:
        sys.exit("The button does not come back while its dialog is open.")
    find("Cancel", pyatspi.ROLE_PUSH_BUTTON).queryAction().doAction(0)
    press("Attach a Disk…")
    find("Cancel", pyatspi.ROLE_PUSH_BUTTON)
    # A path that is typed goes into a field that the chooser opens at its first letter.
    subprocess.run(
        ["xdotool", "search", "--sync", "--onlyvisible", "--name", "^Attach a Disk$", "windowfocus"],
        check=True,
        timeout=30,
    )
    time.sleep(0.5)
    for part in (path[:1], path[1:]):
        subprocess.run(["xdotool", "type", "--delay", "30", part], check=True)
        time.sleep(1)
    subprocess.run(["xdotool", "key", "Return"], check=True)
    wait_for("the second disk", 30, lambda: "[Drive ide0-hd1]" in machine_file())


def main():
    os.makedirs(FOLDER)
    with open(os.path.join(FOLDER, "machine.conf"), "w", encoding="utf-8") as file:
        file.write(f"[Machine]\nName={NAME}\nMemory=64M\n[Drive ide1-cd0]\nType=cdrom\nBus=1\n")
    program = subprocess.Popen([os.environ["APIARY"], "--settings", NAME])
    try:
        row = find("Storage", pyatspi.ROLE_LIST_ITEM)
        row.parent.querySelection().selectChild(row.getIndexInParent())
        press("New Disk…")
        number("Size (GiB)").currentValue = 3
        check_names("new disk")
        press("Create")
        wait_for("the disk in the file", 30, lambda: "File=disk.qcow2" in machine_file())
        wait_for_text(r"qcow2, 3\.0\sGiB")
        print("ok: a disk is made")

        press("ide0-hd0: Resize…")
        number("New size (GiB)").currentValue = 5
        check_names("resize")
        press("Resize")
        wait_for_text(r"qcow2, 5\.0\sGiB")
        if "5 GiB" not in info("disk.qcow2"):
            sys.exit(info("disk.qcow2"))
        print("ok: and enlarged")

        press("ide0-hd0: Convert…")
        find("Convert", pyatspi.ROLE_PUSH_BUTTON)
        check_names("convert")
        press("Convert")
        wait_for("the copy in the file", 60, lambda: "File=disk.raw" in machine_file())
        wait_for_text(r"raw, 5\.0\sGiB")
        if "file format: raw" not in info("disk.raw") or "qcow2" not in info("disk.qcow2"):
            sys.exit("The copy is not raw, or the old image is gone.")
        print("ok: and converted")

        attach(os.path.join(FOLDER, "disk.qcow2"))
        print("ok: and the old image is attached beside it")

        press("ide0-hd1: Remove")
        press("ide0-hd0: Remove")
        press("Add a Floppy Drive")
        wait_for("the drives in the file", 30, lambda: "floppy0" in machine_file())
        if "ide0-hd0" in machine_file() or not os.path.exists(os.path.join(FOLDER, "disk.raw")):
            sys.exit("The drive is still there, or its image is not.")
        time.sleep(0.5)
        check_names("storage")
        print("ok: and taken out; its file stays")
    finally:
        program.terminate()
    finish(program)


main()
