# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a text mode: read by assistive technologies, selected with the pointer and with the
keyboard, copied exactly. What is right is read from the guest's memory at B8000."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("Gdk", "3.0")
from gi.repository import Gdk, Gtk
import pyatspi

from windows import click, find, wait_for

COLUMNS, ROWS = 80, 25
folder = tempfile.mkdtemp()


class Qmp:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        wait_for("the QMP socket", 20, lambda: os.path.exists(path))
        self.socket.connect(path)
        self.lines = self.socket.makefile("r")
        self.lines.readline()
        self.run("qmp_capabilities")

    def run(self, command, **arguments):
        message = {"execute": command, "arguments": arguments}
        self.socket.sendall(json.dumps(message).encode() + b"\n")
        while True:
            answer = json.loads(self.lines.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                sys.exit(f"{command}: {answer['error']}")


def screen_lines(qmp):
    path = folder + "/b8000"
    qmp.run("pmemsave", val=0xB8000, size=COLUMNS * ROWS * 2, filename=path)
    with open(path, "rb") as file:
        text = file.read()[::2].replace(b"\0", b" ").decode("cp437")
    return [text[i * COLUMNS:(i + 1) * COLUMNS].rstrip(" ") for i in range(ROWS)]


def clipboard(selection):
    return Gtk.Clipboard.get(selection).wait_for_text()


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r} instead of {wanted!r}")


def xdotool(*arguments):
    subprocess.run(["xdotool", *map(str, arguments)], check=True)


def point_at(text, offset, part):
    """Moves the pointer into a character: PART of its width from its left."""
    x, y, width, height = text.getCharacterExtents(offset, pyatspi.DESKTOP_COORDS)
    xdotool("mousemove", x + int(width * part), y + height // 2)


def main():
    Gtk.init([])
    program = subprocess.Popen([os.environ["APIARY"], "run", "-name", "Text", "-m", "32",
                                "-nic", "none", "-boot", "menu=on,splash-time=3000", "-qmp", f"unix:{folder}/qmp,server=on,wait=off"])
    try:
        qmp = Qmp(folder + "/qmp")
        console = find("Screen of Text", pyatspi.ROLE_TERMINAL)
        text = console.queryText()
        wait_for("SeaBIOS to offer its menu", 60,
                 lambda: "Press ESC for boot menu" in text.getText(0, -1))
        wait_for("SeaBIOS to give up", 60,
                 lambda: "No bootable device" in text.getText(0, -1))
        time.sleep(0.5)
        lines = screen_lines(qmp)
        whole = "\n".join(lines)

        # Reading.
        expect("the text", text.getText(0, -1), whole)
        expect("its length", text.characterCount, len(whole))
        row = next(i for i, line in enumerate(lines) if "SeaBIOS" in line)
        start = sum(len(line) + 1 for line in lines[:row])
        expect("a line", text.getTextAtOffset(start + 3, pyatspi.TEXT_BOUNDARY_LINE_START)[0],
               lines[row] + "\n")
        expect("a word", text.getTextAtOffset(start + 3, pyatspi.TEXT_BOUNDARY_WORD_START)[0],
               "SeaBIOS")
        expect("nothing selected", text.getNSelections(), 0)

        # The pointer: Shift and dragging, over the end of a row.
        end = start + len(lines[row]) + 1 + len(lines[row + 1]) + 1 + 4
        window = subprocess.check_output(["xdotool", "search", "--name", "^Text$"], text=True)
        xdotool("windowfocus", "--sync", window.split()[0])
        point_at(text, start + 3, 0.2)
        xdotool("keydown", "shift", "mousedown", 1)
        point_at(text, end - 1, 0.5)
        point_at(text, end - 1, 0.8)
        xdotool("mouseup", 1, "keyup", "shift")
        wait_for("the selection", 10, lambda: text.getNSelections() == 1)
        expect("selected", text.getText(*text.getSelection(0)), whole[start + 3:end])
        expect("the middle button's", clipboard(Gdk.SELECTION_PRIMARY), whole[start + 3:end])
        find("Selecting text: Enter copies, Esc ends")
        xdotool("key", "ctrl+c")
        wait_for("copying to end the selection", 10, lambda: text.getNSelections() == 0)
        expect("copied", clipboard(Gdk.SELECTION_CLIPBOARD), whole[start + 3:end])

        # The keyboard alone: the menu's mode, all of it, a word by Shift and arrows.
        xdotool("key", "ctrl+alt")
        wait_for("the keyboard's release", 10, lambda: find("Keyboard: press Enter or click"))
        xdotool("key", "ctrl+shift+s")
        find("Selecting text: Enter copies, Esc ends")
        xdotool("key", "ctrl+a")
        wait_for("all to be selected", 10, lambda: text.getNSelections() == 1)
        xdotool("key", "Return")
        wait_for("the mode's end", 10, lambda: text.getNSelections() == 0)
        expect("all", clipboard(Gdk.SELECTION_CLIPBOARD), whole)
        xdotool("key", "ctrl+shift+s")
        find("Selecting text: Enter copies, Esc ends")
        xdotool("key", "ctrl+Home", *["Down"] * row, *["shift+Right"] * 7, "ctrl+Insert")
        wait_for("a word to be copied", 10,
                 lambda: clipboard(Gdk.SELECTION_CLIPBOARD) == "SeaBIOS")

        # By an assistive technology; Escape leaves everything as it was.
        text.addSelection(start, start + 4)
        expect("set by AT-SPI", text.getText(*text.getSelection(0)), whole[start:start + 4])
        xdotool("key", "Escape")
        wait_for("Escape", 10, lambda: text.getNSelections() == 0)

        # The whole screen without a selection.
        xdotool("key", "ctrl+alt", "ctrl+shift+c")
        wait_for("the whole screen", 10,
                 lambda: clipboard(Gdk.SELECTION_CLIPBOARD) == whole + "\n")
    finally:
        program.terminate()
    status = program.wait(20)
    if status:
        sys.exit(f"exit status {status}")
    print("ok: read, selected and copied")


main()
