# SPDX-License-Identifier: GPL-3.0-or-later
"""Remembers the focusable widgets that have no accessible name."""

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
