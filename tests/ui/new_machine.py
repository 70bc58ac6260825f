# SPDX-License-Identifier: GPL-3.0-or-later
"""The walk through New machine, for tests that look at every page of it."""

import time

import pyatspi

from windows import click, find


def walk_through(look, say=str):
    """From the empty manager through all pages and back. LOOK is called with the name of each;
    SAY gives the words of the windows' language."""
    find(say("No machines yet"))
    look("empty manager")
    click(say("New machine from an ISO"), pyatspi.ROLE_PUSH_BUTTON)
    find(say("Forward"), pyatspi.ROLE_PUSH_BUTTON)
    look("new machine, source")
    click(say("Nothing yet: an empty disk"))
    for page in ("hardware", "storage", "network", "summary"):
        click(say("Forward"), pyatspi.ROLE_PUSH_BUTTON)
        time.sleep(0.7)
        look(f"new machine, {page}")
    find(say("Create and Start"), pyatspi.ROLE_PUSH_BUTTON)
    click(say("Cancel"), pyatspi.ROLE_PUSH_BUTTON)
