# SPDX-License-Identifier: GPL-3.0-or-later
"""Remembers the focusable widgets that have no accessible name."""

import sys

import pyatspi

from windows import application, find, walk

FOCUSABLE_ROLES_WITHOUT_NAME = {pyatspi.ROLE_SCROLL_BAR, pyatspi.ROLE_SEPARATOR}
nameless = set()


def label_of(node):
    if node.name:
        return node.name
    for relation in node.getRelationSet():
        if relation.getRelationType() == pyatspi.RELATION_LABELLED_BY:
            return relation.getTarget(0).name
    return ""


def check_names(where):
    for node in walk(application()):
        state = node.getState()
        if not state.contains(pyatspi.STATE_FOCUSABLE) or not state.contains(pyatspi.STATE_SHOWING):
            continue
        if node.getRole() in FOCUSABLE_ROLES_WITHOUT_NAME or label_of(node):
            continue
        nameless.add(f"{where}: {node.getRoleName()}")


def serial_text():
    terminal = find("Serial console")
    text = terminal.queryText()
    return text.getText(0, text.characterCount)


def finish(program):
    """After PROGRAM was told to end: fails if it ended badly, or if a widget met had no name."""
    status = program.wait(20)
    for name in sorted(nameless):
        print("no accessible name:", name)
    if nameless or status:
        sys.exit(f"{len(nameless)} widgets without a name, exit status {status}")
