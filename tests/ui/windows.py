# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds and clicks things in Apiary's windows by their accessible names."""

import subprocess
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


def number_of(window):
    """xdotool fails when a window goes while it looks at all of them."""
    result = subprocess.run(
        ["xdotool", "search", "--onlyvisible", "--name", f"^{window}$"],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=30,
    )
    return result.stdout.split()[-1] if result.returncode == 0 else None


def keys(window, *names):
    """By X, as a person's keyboard does; there is no window manager to give the focus."""
    number = wait_for(f"the window “{window}”", 30, lambda: number_of(window))
    subprocess.run(["xdotool", "windowfocus", number], check=True)
    time.sleep(0.3)
    subprocess.run(["xdotool", "key", "--delay", "60", *names], check=True)


def typed(window, text):
    keys(window, "ctrl+a")
    subprocess.run(["xdotool", "type", "--delay", "60", text], check=True)
