#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes minutes: whole passes of memtest86+ with its display read, and Linux on the interpreter."""

import os
import re
import sys
import time

from guest import FAULTS, Failure, Guest, program, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
RAM_MIB = 64
TESTS = range(11)  # memtest86+ 6 numbers its tests from 0 to 10
FADE_TEST = 10     # two waits of memtest86+'s own, whatever the processor


class MemtestScreen:
    """The values on memtest86+ 6's screen."""

    def __init__(self, text):
        self.text = text
        lines = text.splitlines()
        self.cpu = self._find(r"Memtest86\+ v[\d.]+ *│ (.*)", lines[0] if lines else "").strip()
        self.clock_mhz = int(self._find(r"CLK/Temp: *(\d+)MHz", text))
        self.memory_mib = int(self._find(r"Memory *: *(\d+)MB", text))
        self.test = int(self._find(r"Test #(\d+)", text))
        hours, minutes, seconds = re.search(r"Time: *(\d+):(\d+):(\d+)", text).groups()
        self.seconds = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
        self.passes = int(self._find(r"Pass: *(\d+)", text))
        self.errors = int(self._find(r"Errors: *(\d+)", text))
        self.name = self._find(r"\.unknown\.(x\d+)", text)

    @staticmethod
    def _find(pattern, text):
        found = re.search(pattern, text)
        if not found:
            raise ValueError(f"{pattern} is not on memtest86+'s screen")
        return found[1]


def read_memtest(guest, timeout=10):
    """The screen's values; a screen that is being redrawn is read again."""
    end = time.monotonic() + timeout
    while True:
        try:
            return MemtestScreen(guest.screen())
        except (AttributeError, ValueError) as error:
            if time.monotonic() > end:
                raise Failure(f"memtest86+'s display is wrong: {error}") from error
            time.sleep(0.1)


def memtest(image, name):
    spent = {}
    with Guest("-m", f"{RAM_MIB}M", "-kernel", image) as guest:
        guest.wait_screen("Memtest86+ v6", timeout=60)
        guest.wait_screen("Status: Testing", timeout=30)
        shown, begin, last = read_memtest(guest), time.monotonic(), time.monotonic()
        first_seconds = shown.seconds
        while shown.passes == 0:
            time.sleep(0.25)
            shown, now = read_memtest(guest), time.monotonic()
            spent[shown.test] = spent.get(shown.test, 0) + now - last
            last = now
            if shown.errors:
                raise Failure("memtest86+ found errors")
            if now - begin > 1800:
                raise Failure("no whole pass in half an hour")
        real = time.monotonic() - begin
        print(f"# one pass of {RAM_MIB} MiB in {real:.0f} s, of which {spent.get(FADE_TEST, 0):.0f}"
              " s are the fade test's own waits; seconds a test: " +
              ", ".join(f"#{test} {seconds:.1f}" for test, seconds in sorted(spent.items())))
        missed = set(TESTS) - spent.keys() - {0, 1, 2}  # the address tests may pass between looks
        assert not missed, f"tests {missed} were not seen"
        assert shown.passes == 1 and shown.errors == 0
        assert shown.memory_mib == RAM_MIB, f"{shown.memory_mib} MB on the display"
        assert shown.name == name, shown.name
        # It measures the TSC once, over 50 ms: a busy host makes its clock go slow or fast.
        ratio = (shown.seconds - first_seconds) / real
        print(f"# its clock goes at {ratio:.3f} of the host's, by the {shown.clock_mhz} MHz it "
              "measured at its start")
        assert 0.75 < ratio < 1.25, "the display's clock is wrong"
        assert 500 < shown.clock_mhz < 10000, f"{shown.clock_mhz} MHz on the display"
        if "qemu" not in program()[0]:
            assert shown.cpu == "Apiary Virtual CPU", shown.cpu
        for row, words in ((7, "CPU: 1 Cores 1 Threads"), (8, "Using:"), (24, "<ESC> Exit")):
            assert words in shown.text.splitlines()[row], f"row {row} lacks {words}"


def memtest_64_bit():
    memtest("/boot/memtest86+x64.bin", "x64")


def memtest_32_bit():
    memtest("/boot/memtest86+ia32.bin", "x32")


def linux_on_the_interpreter():
    with Guest("-accel", "interp", "-m", "256M", "-kernel", f"{FOLDER}/vmlinuz-amd64", "-initrd",
               f"{FOLDER}/initrd-amd64.gz", "-append", "console=ttyS0",
               serial_input=True) as guest:
        guest.wait_serial("This is a shell", timeout=1500)
        print(f"# user space after {guest.seconds():.0f} s")
        guest.send_serial("echo interpreted: $((6 * 7)); uname -m; poweroff\n")
        text = guest.wait_serial("interpreted: 42", timeout=120)
        guest.wait_serial("x86_64\n", timeout=60)
        guest.wait_exit(240)
        print(f"# powered off after {guest.seconds():.0f} s")
        complaint = re.search(f"{FAULTS}|ACPI Error", text)
        assert not complaint, complaint[0]


if __name__ == "__main__":
    sys.exit(run([memtest_64_bit, memtest_32_bit, linux_on_the_interpreter]))
