# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds and clicks things in Apiary's windows by their accessible names."""

import sys
import time

import pyatspi

# The registry is there before a program is started that wants to be in it.
pyatspi.Registry.getDesktop(0)


def walk(node):
    try:
        count = node.childCount
    except Exception:
        return
    yield node
    for i in range(count):
        child = node.getChildAtIndex(i)
        if child is not None:
            yield from walk(child)


def application():
    desktop = pyatspi.Registry.getDesktop(0)
    for i in range(desktop.childCount):
        child = desktop.getChildAtIndex(i)
        if child is not None and "piary" in (child.name or ""):
            return child
    return None


def wait_for(what, seconds, probe):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = probe()
        except Exception:
            found = None
        if found:
            return found
        time.sleep(0.3)
    app = application()
    for node in walk(app) if app else []:
        print("#", node.getRoleName(), repr(node.name))
    sys.exit(f"Waited in vain for {what}.")


def find(name, role=None, window=None):
    def probe():
        app = application()
        for node in walk(app) if app else []:
            if node.name == name and (role is None or node.getRole() == role):
                if node.getState().contains(pyatspi.STATE_SHOWING):
                    return node
        return None

    return wait_for(f"“{name}”", 30, probe)


def click(name, role=None):
    find(name, role).queryAction().doAction(0)
