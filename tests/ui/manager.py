# SPDX-License-Identifier: GPL-3.0-or-later
"""The manager by keyboard: open, rename, search, delete, the row's menu, the list of keys."""

import os
import subprocess
import sys
import time

import pyatspi

from accessible import check_names, finish
from windows import application, find, keys, typed, wait_for, walk

LIBRARY = os.path.join(os.environ["XDG_DATA_HOME"], "apiary")
WINDOW = "Apiary"


def make_machine(name):
    folder = os.path.join(LIBRARY, name)
    os.makedirs(folder)
    disk = os.path.join(folder, "disk.qcow2")
    subprocess.run(
        [os.environ["APIARY"], "img", "create", "-q", "-f", "qcow2", disk, "1G"], check=True
    )
    with open(os.path.join(folder, "machine.conf"), "w", encoding="utf-8") as file:
        file.write(
            f"[Machine]\nName={name}\nMemory=64M\nNotes=for the test\n"
            "[Drive ide0-hd0]\nType=disk\nFile=disk.qcow2\n"
        )


def select(name):
    row = find(f"{name}, Off", pyatspi.ROLE_LIST_ITEM)
    row.parent.querySelection().selectChild(row.getIndexInParent())
    row.queryComponent().grabFocus()
    time.sleep(0.5)


def rows():
    return [
        n.name
        for n in walk(application())
        if n.getRole() == pyatspi.ROLE_LIST_ITEM and n.getState().contains(pyatspi.STATE_SHOWING)
    ]


def exists(*path):
    return os.path.exists(os.path.join(LIBRARY, *path))


def test_rename():
    select("One")
    keys(WINDOW, "F2")
    find("Rename", pyatspi.ROLE_PUSH_BUTTON)
    check_names("rename")
    typed("Rename Machine", "Two")  # there is one of that name
    wait_for(
        "a problem",
        10,
        lambda: not find("Rename").getState().contains(pyatspi.STATE_SENSITIVE),
    )
    typed("Rename Machine", "Other")
    time.sleep(0.5)
    keys("Rename Machine", "Return")
    find("Other, Off")
    if not exists("Other", "disk.qcow2") or exists("One"):
        sys.exit("The folder was not renamed.")
    print("ok: F2 renames")


def test_search():
    keys(WINDOW, "ctrl+f")
    find("Search machines")
    subprocess.run(["xdotool", "type", "--delay", "60", "twO"], check=True)
    wait_for("one row", 10, lambda: rows() == ["Two, Off"])
    keys(WINDOW, "Escape")
    wait_for("all rows", 10, lambda: len(rows()) == 2)
    print("ok: Ctrl+F searches")


def test_menu():
    """Open, Settings, Clone... are all there, and can be reached from the keyboard."""
    select("Two")
    keys(WINDOW, "Menu")
    for item in ("Open", "Settings", "Rename…", "Clone…", "Show Files", "Copy Command", "Delete…"):
        find(item)
    check_names("the row's menu")
    keys(WINDOW, "Escape")
    print("ok: the row's menu")


def test_keys():
    select("Two")
    keys(WINDOW, "Return")
    find("Screen of Two")
    check_names("window of a machine that is off")
    keys("Two", "ctrl+comma")
    find("Overview", pyatspi.ROLE_LIST_ITEM)
    keys("Settings of Two", "ctrl+w")
    keys("Two", "ctrl+w")
    keys(WINDOW, "ctrl+n")
    find("Forward", pyatspi.ROLE_PUSH_BUTTON).queryComponent()
    check_names("new machine by Ctrl+N")
    find("Cancel", pyatspi.ROLE_PUSH_BUTTON).queryAction().doAction(0)
    print("ok: Enter, Ctrl+comma, Ctrl+W, Ctrl+N")


def test_delete():
    select("Other")
    keys(WINDOW, "Delete")
    find("Keep Disks", pyatspi.ROLE_PUSH_BUTTON)
    check_names("delete")
    find("Cancel", pyatspi.ROLE_PUSH_BUTTON).queryAction().doAction(0)
    if not exists("Other", "machine.conf"):
        sys.exit("Cancel deleted the machine.")
    select("Other")
    keys(WINDOW, "Delete")
    find("Keep Disks", pyatspi.ROLE_PUSH_BUTTON).queryAction().doAction(0)
    wait_for("the machine to go", 10, lambda: rows() == ["Two, Off"])
    if exists("Other", "machine.conf") or not exists("Other", "disk.qcow2"):
        sys.exit("Its disk was to be kept.")
    select("Two")
    keys(WINDOW, "Delete")
    find("Delete Everything", pyatspi.ROLE_PUSH_BUTTON).queryAction().doAction(0)
    find("No machines yet")
    wait_for("the folder to go", 10, lambda: not exists("Two"))
    print("ok: Delete asks what to do with the disks")


def test_shortcuts():
    keys(WINDOW, "ctrl+question")
    find("Shortcuts")
    check_names("shortcuts")
    print("ok: Ctrl+? shows the keys")


def test_clone():
    select("Two")
    keys(WINDOW, "Menu")
    find("Clone…").queryAction().doAction(0)
    find("Clone", pyatspi.ROLE_PUSH_BUTTON)
    check_names("clone")
    typed("Clone Machine", "Third")
    time.sleep(0.5)
    keys("Clone Machine", "Return")
    find("Third, Off")
    if not exists("Third", "disk.qcow2"):
        sys.exit("The clone has no disk.")
    select("Third")
    keys(WINDOW, "Delete")
    find("Delete Everything", pyatspi.ROLE_PUSH_BUTTON).queryAction().doAction(0)
    wait_for("the clone to go", 10, lambda: not exists("Third"))
    print("ok: a clone has a disk of its own")


def main():
    make_machine("One")
    make_machine("Two")
    program = subprocess.Popen([os.environ["APIARY"]])
    try:
        find("One, Off")
        check_names("manager")
        test_rename()
        test_search()
        test_menu()
        test_keys()
        test_clone()
        test_delete()
        test_shortcuts()
    finally:
        program.terminate()
    finish(program)


main()
