#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes minutes: whole passes of memtest86+, and Linux on the interpreter."""

import os
import sys

from guest import Failure, Guest, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")


def memtest(image):
    with Guest("-m", "64M", "-kernel", image) as guest:
        guest.wait_screen("Memtest86+", timeout=60)
        text = guest.wait_screen("Pass:  1", "Pass:   1", timeout=1200)
        print(f"# one pass after {guest.seconds():.0f} s")
        if "Errors: 0" not in text:
            raise Failure("memtest86+ found errors")


def memtest_64_bit():
    memtest("/boot/memtest86+x64.bin")


def memtest_32_bit():
    memtest("/boot/memtest86+ia32.bin")


def linux_on_the_interpreter():
    with Guest("-accel", "interp", "-m", "256M", "-kernel", f"{FOLDER}/vmlinuz-amd64", "-initrd",
               f"{FOLDER}/initrd-amd64.gz", "-no-reboot", "-append",
               "console=ttyS0 apiary.run=welcome;echo%20end-of$x-test") as guest:
        guest.wait_serial("end-of-test\n", timeout=900)
        print(f"# user space after {guest.seconds():.0f} s")
        guest.wait_exit(60)


if __name__ == "__main__":
    sys.exit(run([memtest_64_bit, memtest_32_bit, linux_on_the_interpreter]))
