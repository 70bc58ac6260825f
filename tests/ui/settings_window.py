# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings window of a machine, for the tests of its pages: fields by their labels, the
machine's file, a shell in the guest."""

import os
import re
import socket
import subprocess
import time

import pyatspi

from accessible import check_names, finish, label_of
from windows import application, find, wait_for, walk


def named(label):
    """A widget by its own name or by its label's."""

    def probe():
        for node in walk(application()):
            state = node.getState()
            if state.contains(pyatspi.STATE_SHOWING) and state.contains(pyatspi.STATE_FOCUSABLE):
                if label_of(node) == label:
                    return node
        return None

    return wait_for(f"“{label}”", 30, probe)


def texts():
    """Also what is to be scrolled to."""
    return [n.name for n in walk(application()) if n.getState().contains(pyatspi.STATE_VISIBLE)]


def press(name):
    def probe():
        for node in walk(application()):
            if node.name == name and node.getState().contains(pyatspi.STATE_VISIBLE):
                if node.getRole() != pyatspi.ROLE_LABEL:
                    return node
        return None

    wait_for(f"“{name}”", 30, probe).queryAction().doAction(0)


def wait_for_text(pattern, seconds=30):
    return wait_for(
        f"“{pattern}”", seconds, lambda: next((t for t in texts() if re.search(pattern, t)), None)
    )


def wait_without_text(pattern):
    wait_for(f"no “{pattern}”", 30, lambda: not any(re.search(pattern, t) for t in texts()))


def choose(page):
    row = find(page, pyatspi.ROLE_LIST_ITEM)
    row.parent.querySelection().selectChild(row.getIndexInParent())
    time.sleep(0.7)
    check_names(f"settings, {page}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as client:
        client.settimeout(2)
        return client.connect_ex(("127.0.0.1", port)) == 0


def set_number(label, value):
    named(label).queryValue().currentValue = value


class Machine:
    """The demo in a library of its own, with a serial line that the test can type on. LINES are more
    of its file's section [Machine]."""

    def __init__(self, name, lines=""):
        self.name = name
        self.folder = os.path.join(os.environ["XDG_DATA_HOME"], "apiary", name)
        self.serial = os.path.join(os.environ["XDG_RUNTIME_DIR"], "serial")
        os.makedirs(self.folder)
        with open(os.path.join(self.folder, "machine.conf"), "w", encoding="utf-8") as file:
            file.write(
                f"[Machine]\nName={name}\nMemory=512M\n"
                f"Serial=unix:{self.serial},server=on,wait=off;\n{lines}"
                f"[Drive ide1-cd0]\nType=cdrom\nBus=1\nFile={os.environ['APIARY_DEMO_ISO']}\n"
                "[Device card]\nDriver=e1000\nnetdev=nic0\n[Network nic0]\nType=user\n"
            )

    def read_file(self):
        with open(os.path.join(self.folder, "machine.conf"), encoding="utf-8") as file:
            return file.read()

    def wait_for_file(self, text, there=True):
        wait_for(
            f"{text!r} in the machine's file: {there}",
            20,
            lambda: (text in self.read_file()) == there,
        )


class Shell:
    """The guest's shell on the serial line."""

    def __init__(self, path):
        wait_for("the serial line", 20, lambda: os.path.exists(path))
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.settimeout(5)
        self.said = ""
        wait_for("the guest's shell", 150, lambda: self.has("Type poweroff to end"))

    def has(self, text):
        try:
            self.said += self.socket.recv(65536).decode("utf-8", "replace")
        except TimeoutError:
            pass
        return text in self.said

    def run(self, command):
        self.said = ""
        self.socket.sendall(f"{command}; echo D''one $?\n".encode())
        wait_for(f"the end of {command}", 60, lambda: self.has("Done "))
        return self.said


def run(machine, test):
    """Starts MACHINE, opens its settings, runs TEST, and fails on widgets without a name."""
    program = subprocess.Popen([os.environ["APIARY"], "--start", machine.name])
    try:
        find(f"Screen of {machine.name}")
        subprocess.run([os.environ["APIARY"], "--settings", machine.name], check=True)
        wait_for_text("^Running$")
        test(machine)
    finally:
        program.terminate()
    finish(program)
