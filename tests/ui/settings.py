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

from accessible import check_names
from settings_window import (
    Machine, Shell, choose, free_port, listens, named, press, run, set_number, wait_for_text,
    wait_without_text,
)
from windows import find, wait_for

MACHINE = Machine("Settings test")


def test_forward(shell):
    port = free_port()
    choose("Network")
    wait_for_text(r"10\.0\.2\.15 by DHCP")
    set_number("Guest port", 2323)
    set_number("Host port", port)
    press("Add Forward")
    line = f"TCP 127.0.0.1:{port} → 10.0.2.15:2323"
    find(f"Test: {line}")
    wait_for("the port to listen", 10, lambda: listens(port))
    MACHINE.wait_for_file(f"tcp:127.0.0.1:{port}-:2323")
    check_names("settings, Network with a forward")

    press(f"Test: {line}")
    wait_for_text("Refused by the guest")
    shell.run("mkdir -p /tmp/www && httpd -p 2323 -h /tmp/www")
    press(f"Test: {line}")
    wait_for_text("Connected: the guest answers")
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = client.makefile("rb").readline()
        if not re.match(rb"HTTP/1\.[01] 404", answer):
            sys.exit(f"The guest's web server says {answer} through the forward.")

    # A second forward of the same port cannot be asked for.
    set_number("Host port", port)
    wait_for_text("forwarded already")
    busy = socket.create_server(("127.0.0.1", 0))
    taken = busy.getsockname()[1]
    set_number("Host port", taken)
    wait_for_text(f"Host port {taken} is busy")
    busy.close()
    # It is taken between the look and the press: the machine's own error stands there.
    taken = free_port()
    set_number("Host port", taken)
    wait_without_text("is busy")
    with socket.create_server(("127.0.0.1", taken)):
        press("Add Forward")
        wait_for_text(f"Host port {taken} .*in use by another program")
    MACHINE.wait_for_file(f"tcp:127.0.0.1:{taken}-", there=False)

    named("Host address").queryEditableText().setTextContents("0.0.0.0")
    set_number("Host port", free_port())
    wait_for_text("Other computers will be able to reach this port")

    press(f"Remove: {line}")
    wait_for("the port to close", 10, lambda: not listens(port))
    MACHINE.wait_for_file(f"tcp:127.0.0.1:{port}-:2323", there=False)
    print("ok: a forward opens, is tried out and closes while the machine runs")


def test_adapter(shell):
    named("MAC address").queryEditableText().setTextContents("52:54:00:zz")
    wait_for_text("not a MAC address")
    named("MAC address").queryEditableText().setTextContents("52:54:00:aa:bb:cc")
    wait_without_text("not a MAC address")
    wait_for_text(r"After power-off: .*52:54:00:aa:bb:cc")
    MACHINE.wait_for_file("52:54:00:aa:bb:cc")
    press("Add Adapter")
    wait_for_text("After power-off: 1 adapter → 2 adapters")
    check_names("settings, Network with two adapters")
    press("Remove adapter 2")
    wait_without_text("After power-off: 1 adapter ")
    for plugged, carrier in ((False, "0"), (True, "1")):
        named("Cable").queryAction().doAction(0)
        wait_for(
            f"carrier {carrier}",
            20,
            lambda: f"carrier {carrier}" in shell.run("echo carrier $(cat /sys/class/net/e*/carrier)"),
        )
        if named("Cable").getState().contains(pyatspi.STATE_CHECKED) != plugged:
            sys.exit(f"The cable's switch does not say {plugged}.")
    press("More options")
    time.sleep(0.7)
    check_names("settings, Network with all options")
    named("net").queryEditableText().setTextContents("10.0.2")
    wait_for_text("not an IPv4 address")
    named("net").queryEditableText().setTextContents("192.168.7.0/24")
    wait_for_text(r"192\.168\.7\.15 by DHCP")
    wait_for_text(r"After power-off: .*net=192\.168\.7\.0/24")
    named("net").queryEditableText().setTextContents("")
    wait_for_text(r"10\.0\.2\.15 by DHCP")
    print("ok: adapters, their addresses and their cable")


def test_memory():
    choose("System")
    set_number("Memory (MiB)", 768)
    wait_for_text("After power-off: 512 MiB → 768 MiB")
    MACHINE.wait_for_file("Memory=768M")
    press("Floppy disk: earlier")
    wait_for_text("After power-off: Hard disk, Floppy disk, Disc → Floppy disk, Hard disk, Disc")
    MACHINE.wait_for_file("BootOrder=acd")
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
        finally:
            machine.terminate()
    for said, wanted in ((answer, "demo.iso"), (network, "52:54:00:aa:bb:cc")):
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


def test(machine):
    for page in ("Overview", "Display", "Storage", "Serial"):
        choose(page)
    shell = Shell(machine.serial)
    test_forward(shell)
    test_adapter(shell)
    test_memory()
    test_command()


run(MACHINE, test)
