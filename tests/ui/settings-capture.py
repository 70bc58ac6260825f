# SPDX-License-Identifier: GPL-3.0-or-later
"""Packet captures on the settings' network page: started and stopped while the machine runs, what
is in the file, and the file manager that shows it."""

import os
import pathlib
import re
import struct
import sys

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib

from accessible import check_names
from settings_window import Machine, Shell, choose, press, run, texts, wait_for_text, wait_without_text
from windows import find, wait_for

FILE_MANAGER = "org.freedesktop.FileManager1"
SHOW_ITEMS = f"""<node><interface name="{FILE_MANAGER}"><method name="ShowItems">
<arg type="as" direction="in"/><arg type="s" direction="in"/></method></interface></node>"""
GUEST, ROUTER = bytes((10, 0, 2, 15)), bytes((10, 0, 2, 2))


def pretend_file_manager():
    """What the file manager is told to show, as it comes."""
    shown = []
    bus = Gio.bus_get_sync(Gio.BusType.SESSION)

    def on_call(_bus, _sender, _path, _interface, _method, parameters, invocation):
        shown.extend(parameters.unpack()[0])
        invocation.return_value(None)

    bus.register_object(
        "/org/freedesktop/FileManager1",
        Gio.DBusNodeInfo.new_for_xml(SHOW_ITEMS).interfaces[0],
        on_call,
        None,
        None,
    )
    Gio.bus_own_name_on_connection(bus, FILE_MANAGER, 0, None, None)
    return shown


def wait_for_shown(shown, path):
    def probe():
        while GLib.MainContext.default().iteration(False):
            pass
        return pathlib.Path(path).as_uri() in shown

    wait_for(f"{path} in the file manager", 20, probe)


def frames_of(path):
    """The frames of a pcap file that is complete."""
    data = pathlib.Path(path).read_bytes()
    if struct.unpack_from("=I", data)[0] != 0xA1B2C3D4:
        sys.exit(f"{path} is no pcap file: {data[:4].hex()}")
    frames, at = [], 24
    while at < len(data):
        stored, length = struct.unpack_from("=II", data, at + 8)
        frames.append(data[at + 16 : at + 16 + stored])
        if stored != length or len(frames[-1]) != stored:
            sys.exit(f"A frame of {length} bytes has {stored}, {len(frames[-1])} in the file.")
        at += 16 + stored
    return frames


def is_echo(frame, source, target, kind):
    """An ICMP echo in IPv4."""
    return (
        frame[12:14] == b"\x08\x00"
        and frame[23] == 1
        and frame[26:30] == source
        and frame[30:34] == target
        and frame[34] == kind
    )


def test(machine):
    shown = pretend_file_manager()
    first = os.path.join(machine.folder, "capture-nic0.pcap")
    second = os.path.join(machine.folder, "capture-nic0-2.pcap")
    shell = Shell(machine.serial)
    choose("Network")

    press("Start Capture")
    wait_for_text(f"Capturing to {re.escape(first)}: ")
    check_names("settings, Network with a capture")
    if "0% packet loss" not in shell.run("ping -c 3 10.0.2.2"):
        sys.exit(f"The guest does not reach its router: {shell.said}")
    wait_for_text(r"Capturing to .*: ([6-9]|\d\d+) frames")
    press("Show File")
    wait_for_shown(shown, first)
    press("Stop Capture")
    wait_for_text(f"Written to {re.escape(first)}")
    frames = frames_of(first)
    asked = sum(is_echo(frame, GUEST, ROUTER, 8) for frame in frames)
    answered = sum(is_echo(frame, ROUTER, GUEST, 0) for frame in frames)
    if (asked, answered) != (3, 3):
        sys.exit(f"{asked} echoes and {answered} answers in {len(frames)} frames")
    shell.run("ping -c 1 10.0.2.2")
    if len(frames_of(first)) != len(frames):
        sys.exit("The capture goes on after its end.")
    print("ok: a capture has what went over the wire, and is shown")

    # The next one leaves the first alone, and ends with the machine.
    press("Start Capture")
    wait_for_text(f"Capturing to {re.escape(second)}: ")
    wait_without_text("Written to")
    os.rename(machine.folder, machine.folder + " away")
    press("Stop Capture")
    wait_for_text(f"Written to {re.escape(second)}")
    press("Start Capture")
    wait_for_text(r"The capture file .*capture-nic0\.pcap cannot be written: No such file")
    os.rename(machine.folder + " away", machine.folder)
    press("Start Capture")
    wait_for_text("Capturing to .*capture-nic0-3.pcap")
    if any("cannot be written" in text for text in texts()):
        sys.exit("The problem of the last try is still shown.")
    shell.socket.sendall(b"poweroff\n")
    wait_for_text("Off: the guest powered off", 60)
    wait_for_text(r"Written to .*capture-nic0-3\.pcap")
    find("While the machine runs.")
    frames_of(os.path.join(machine.folder, "capture-nic0-3.pcap"))
    print("ok: captures have files of their own, fail aloud, and end with the machine")


run(Machine("Capture test"), test)
