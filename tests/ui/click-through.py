# SPDX-License-Identifier: GPL-3.0-or-later
"""From an empty library to a booted demo machine, by accessible names; on the way every focusable
widget of every window must have a name."""

import os
import re
import subprocess
import sys
import time

import pyatspi

from accessible import check_names, finish, serial_text
from new_machine import walk_through
from windows import application, click, find, wait_for, walk


def ask_to_quit():
    """Comes back at once: the question holds nobody up."""
    subprocess.run(
        ["gdbus", "call", "--session", "--timeout", "5", "--dest", "io.github.apiary.Apiary",
         "--object-path", "/io/github/apiary/Apiary", "--method",
         "org.freedesktop.Application.ActivateAction", "quit", "[]", "{}"],
        check=True, stdout=subprocess.DEVNULL)


def labelled(name):
    """The text of the label that the label NAME names."""
    for node in walk(application()):
        for relation in node.getRelationSet():
            if relation.getRelationType() == pyatspi.RELATION_LABELLED_BY and \
                    relation.getTarget(0).name == name:
                return node.name
    return ""


def check_translated_code():
    for name, form in (("Blocks", r"[\d,]{4,}"), ("Size", r"[\d.]+\sMiB of [\d.]+\sMiB"),
                       ("Blocks translated", r"[\d,]+/s"), ("Parts dropped to make room", r"\d+"),
                       ("Slow memory accesses", r"[\d,]+/s")):
        wait_for(f"{name} of translated code", 10, lambda: re.fullmatch(form, labelled(name)))


def main():
    program = subprocess.Popen([os.environ["APIARY"]])
    try:
        walk_through(check_names)

        click("Try the demo machine", pyatspi.ROLE_PUSH_BUTTON)
        find("Screen of Apiary demo")
        check_names("machine window, console")
        click("Serial", pyatspi.ROLE_RADIO_BUTTON)
        wait_for("the demo's shell", 150, lambda: "Type poweroff to end" in serial_text())
        check_names("machine window, serial")
        click("Activity", pyatspi.ROLE_RADIO_BUTTON)
        time.sleep(1)
        check_names("machine window, activity")
        check_translated_code()
        click("Console", pyatspi.ROLE_RADIO_BUTTON)

        subprocess.run([os.environ["APIARY"], "--settings", "Apiary demo"], check=True)
        for page in ("System", "Boot Order", "Storage", "Command"):
            time.sleep(0.7)
            check_names(f"settings, {page}")
        check_names("manager with a machine")

        ask_to_quit()
        find("Switch Off and Quit", pyatspi.ROLE_PUSH_BUTTON)
        check_names("quit while a machine runs")
        click("Cancel", pyatspi.ROLE_PUSH_BUTTON)
        time.sleep(1)
        if program.poll() is not None:
            sys.exit("Cancel ended the program.")
        ask_to_quit()
        click("Switch Off and Quit", pyatspi.ROLE_PUSH_BUTTON)
        program.wait(20)
    finally:
        program.terminate()
    finish(program)
    print("ok: from an empty library to the demo's shell")


main()
