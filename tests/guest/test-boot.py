#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware and boot loaders: SeaBIOS' menu, GRUB, ISOLINUX with its hardware report, iPXE."""

import os
import sys

from guest import Guest, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")


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


def isolinux_menu():
    with Guest("-cdrom", f"{FOLDER}/demo.iso", "-boot", "d", "-m", "256M") as guest:
        guest.wait_screen("Apiary demo machine", timeout=60)


def isolinux_hardware_report():
    with Guest("-cdrom", f"{FOLDER}/demo.iso", "-boot", "d", "-m", "256M") as guest:
        guest.wait_screen("Hardware report", timeout=60)
        guest.key("h")
        guest.key("ret")
        guest.wait_screen("HDT", "Hardware Detection", timeout=60)


def ipxe():
    with Guest("-cdrom", "/usr/lib/ipxe/ipxe.iso", "-boot", "d", "-m", "256M") as guest:
        guest.wait_screen("Ctrl-B", timeout=60)
        guest.key("ctrl", "b")
        guest.wait_screen("iPXE>", timeout=30)


if __name__ == "__main__":
    sys.exit(run([seabios_menu, grub_rescue, isolinux_menu, isolinux_hardware_report, ipxe]))
