# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a running machine: every page by name, a port forward that opens at once and is
tried out, memory that waits for the power to go off, a cable that is pulled, the command line."""

import os
import re
import shlex
import socket
import subprocess
import sys
import time

import pyatspi

from accessible import application, check_names, click, find, label_of, nameless, wait_for, walk

NAME = "Apiary demo"


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


def machine_file():
    path = os.path.join(os.environ["XDG_DATA_HOME"], "apiary", NAME, "machine.conf")
    with open(path, encoding="utf-8") as file:
        return file.read()


def wait_for_file(text, there=True):
    wait_for(
        f"{text!r} in the machine's file: {there}", 20, lambda: (text in machine_file()) == there
    )


def test_forward():
    port = free_port()
    choose("Network")
    wait_for_text(r"10\.0\.2\.15 by DHCP")
    set_number("Guest port", 2323)
    set_number("Host port", port)
    press("Add Forward")
    line = f"TCP 127.0.0.1:{port} → 10.0.2.15:2323"
    find(f"Test: {line}")
    wait_for("the port to listen", 10, lambda: listens(port))
    wait_for_file(f"tcp:127.0.0.1:{port}-:2323")
    check_names("settings, Network with a forward")

    # The firmware answers nothing; a booted guest without a server refuses.
    press(f"Test: {line}")
    wait_for_text("The guest does not answer|Refused by the guest")

    # A second forward of the same port cannot be asked for.
    set_number("Host port", port)
    wait_for_text("forwarded already")
    busy = socket.create_server(("127.0.0.1", 0))
    set_number("Host port", busy.getsockname()[1])
    wait_for_text("Host port busy")
    busy.close()

    named("Host address").queryEditableText().setTextContents("0.0.0.0")
    set_number("Host port", free_port())
    wait_for_text("Other computers will be able to reach this port")

    press(f"Remove: {line}")
    wait_for("the port to close", 10, lambda: not listens(port))
    wait_for_file(f"tcp:127.0.0.1:{port}-:2323", there=False)
    print("ok: a forward opens, is tried out and closes while the machine runs")


def test_adapter():
    named("MAC address").queryEditableText().setTextContents("52:54:00:zz")
    wait_for_text("not a MAC address")
    named("MAC address").queryEditableText().setTextContents("52:54:00:aa:bb:cc")
    wait_without_text("not a MAC address")
    wait_for_text(r"After power-off: .*52:54:00:aa:bb:cc")
    wait_for_file("52:54:00:aa:bb:cc")
    press("Add Adapter")
    wait_for_text("After power-off: 1 adapter → 2 adapters")
    check_names("settings, Network with two adapters")
    press("Remove adapter 2")
    wait_without_text("After power-off: 1 adapter ")
    named("Cable").queryAction().doAction(0)
    time.sleep(1)
    if named("Cable").getState().contains(pyatspi.STATE_CHECKED):
        sys.exit("The cable is still plugged in.")
    press("More options")
    time.sleep(0.7)
    check_names("settings, Network with all options")
    print("ok: adapters, their addresses and their cable")


def test_memory():
    choose("System")
    set_number("Memory (MiB)", 768)
    wait_for_text("After power-off: 512 MiB → 768 MiB")
    wait_for_file("Memory=768M")
    press("Floppy disk: earlier")
    wait_for_text("After power-off: Hard disk, Floppy disk, Disc → Floppy disk, Hard disk, Disc")
    wait_for_file("BootOrder=acd")
    print("ok: memory and boot order wait for the power to go off")


def command_line():
    view = named("The same machine from a terminal").queryText()
    return view.getText(0, view.characterCount)


def test_command():
    """The command is run: it must be the machine that the settings describe."""
    choose("Command")
    words = shlex.split(command_line())
    if words[:2] != ["apiary", "run"]:
        sys.exit(f"Not a command line: {words}")
    path = os.path.join(os.environ["XDG_RUNTIME_DIR"], "qmp")
    arguments = words[1:] + ["-display", "none", "-qmp", f"unix:{path},server=on,wait=off", "-S"]
    with subprocess.Popen([os.environ["APIARY"]] + arguments) as machine:
        try:
            answer = ask(path, '{"execute": "query-block"}')
            network = ask(path, monitor("info network"))
            memory = ask(path, monitor("info registers"))
        finally:
            machine.terminate()
    for said, wanted in ((answer, "demo.iso"), (network, "52:54:00:aa:bb:cc"), (memory, "RIP=")):
        if wanted not in said:
            sys.exit(f"No {wanted} in {said}")
    print("ok: the command line starts the same machine")


def monitor(line):
    return (
        '{"execute": "human-monitor-command", "arguments": {"command-line": "' + line + '"}}'
    )


def ask(path, command):
    wait_for("QMP", 20, lambda: os.path.exists(path))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(path)
        stream = client.makefile("rw", encoding="utf-8")
        stream.readline()
        for line in ('{"execute": "qmp_capabilities"}', command):
            stream.write(line + "\n")
            stream.flush()
            answer = stream.readline()
            while '"event"' in answer:
                answer = stream.readline()
        return answer


def main():
    program = subprocess.Popen([os.environ["APIARY"]])
    try:
        find("No machines yet")
        click("Try the demo machine", pyatspi.ROLE_PUSH_BUTTON)
        find(f"Screen of {NAME}")
        subprocess.run([os.environ["APIARY"], "--settings", NAME], check=True)
        wait_for_text("^Running$")
        for page in ("Overview", "Display", "Storage", "Serial"):
            choose(page)
        test_forward()
        test_adapter()
        test_memory()
        test_command()
    finally:
        program.terminate()
    status = program.wait(20)
    for name in sorted(nameless):
        print("no accessible name:", name)
    if nameless or status:
        sys.exit(f"{len(nameless)} widgets without a name, exit status {status}")


main()
