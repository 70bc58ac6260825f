#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware and boot loaders: SeaBIOS' menu, GRUB, ISOLINUX with its menus' pictures, iPXE."""

import os
import subprocess
import sys
import tempfile

import cds
import pictures
from guest import Guest, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")

MENU = """ui {ui}.c32
menu title A menu of the tests
menu background back.png
timeout 0
label one
  menu label ^First entry
  kernel none
label two
  menu label ^Second entry
  kernel none
"""


def seabios_menu():
    with Guest("-boot", "menu=on,splash-time=5000", "-cdrom", f"{FOLDER}/demo.iso") as guest:
        guest.wait_screen("Press ESC for boot menu", timeout=20)
        guest.key("esc")
        guest.wait_screen("Select boot device", timeout=10)
        guest.wait_screen("DVD/CD", timeout=10)


def grub_rescue():
    with Guest("-cdrom", "/usr/lib/grub-rescue/grub-rescue-cdrom.iso", "-boot", "d") as guest:
        guest.wait_screen("GNU GRUB", timeout=60)
        guest.key("c")
        guest.wait_screen("grub>", timeout=10)
        print(f"# GRUB's prompt after {guest.seconds():.1f} s")
        guest.type("echo Words_typed: ok\n")
        guest.wait_screen("\nWords_typed: ok", timeout=20)
        guest.type("ls\n")
        guest.wait_screen("(cd0)", "(cd)", timeout=20)
        guest.type('set a="<`~{[|]}!@#%^&*+_;:?,.>/\'"; echo "=$a="\n')
        guest.wait_screen("\n=<`~{[|]}!@#%^&*+_;:?,.>/'=", timeout=20)


def isolinux_menu():
    with Guest("-cdrom", f"{FOLDER}/demo.iso", "-boot", "d", "-m", "256M") as guest:
        guest.wait_screen("Apiary demo machine", timeout=60)


def menu_picture(ui, width, height):
    """The menu with its second entry chosen looks here as in QEMU. The one freedom is how a DAC makes
    8 bits of 6: a full sample is 252, 253 or 255."""
    with tempfile.TemporaryDirectory() as folder:
        back = os.path.join(folder, "back.png")
        subprocess.run(["convert", "-size", "640x480", "gradient:navy-orange", back], check=True)
        iso = cds.isolinux(folder, MENU.format(ui=ui), [ui, "libmenu", "libgpl"], [back])
        shown = []
        for command in None, "qemu-system-x86_64":
            with Guest("-cdrom", iso, "-boot", "d", "-m", "64M", command=command) as guest:
                first = pictures.settled(guest, timeout=20)
                guest.key("down")
                second = pictures.settled(guest, timeout=20)
                assert first.differing(second), "the key changed nothing"
                shown.append(second)
        ours, theirs = shown
        assert (ours.width, ours.height) == (width, height), (ours.width, ours.height)
        assert len(ours.colors()) > 4, "the picture is empty"
        wrong = ours.differing(theirs, tolerance=3)
        assert not wrong, f"{len(wrong)} pixels are not as in QEMU, the first at {wrong[0]}"


def text_menu_picture():
    menu_picture("menu", 720, 400)


def graphical_menu_picture():
    menu_picture("vesamenu", 640, 480)


def ipxe():
    with Guest("-cdrom", "/usr/lib/ipxe/ipxe.iso", "-boot", "d", "-m", "256M") as guest:
        guest.wait_screen("Ctrl-B", timeout=60)
        guest.key("ctrl", "b")
        guest.wait_screen("iPXE>", timeout=30)
        guest.type("set words typed && echo Words: ${words}\n")
        guest.wait_screen("\nWords: typed", timeout=20)
        guest.type("show platform\n")
        guest.wait_screen("= pcbios", timeout=20)


if __name__ == "__main__":
    sys.exit(run([seabios_menu, grub_rescue, isolinux_menu, text_menu_picture,
                  graphical_menu_picture, ipxe]))
