#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's clock against the host's over some minutes (TIME_SECONDS, 180 unless set), and how
late its timers are. The figures are printed; the limits let a busy host pass."""

import os
import re
import subprocess
import sys
import tempfile
import time

from guest import Failure, Guest, run
from initrd import initrd_with

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = int(os.environ.get("TIME_SECONDS", "180"))
PERIOD_US = 2000
WINDOW = 20  # stamps: the quickest of them counts

# What still passes: a host that adjusts its own clock may do so by 500 ppm.
DRIFT_PPM = 500
LOST_NS = 100e6
LATE_MEDIAN_NS = 10e6


def initrd_with_program(folder):
    tree = os.path.join(folder, "tree")
    os.mkdir(tree)
    subprocess.run(["gcc", "-O2", "-static", "-o", os.path.join(tree, "time-stamps"),
                    os.path.join(HERE, "time-stamps.c")], check=True)
    return initrd_with(tree, folder)


def follow(guest, cpus):
    """Pairs of the host's and the guest's nanoseconds, as stamps come, and the closing figures."""
    pairs, end = [], time.monotonic() + SECONDS + 240
    guest.wait_serial("stamp", timeout=240)
    with open(guest.serial_path, "rb") as serial:
        rest = b""
        while time.monotonic() < end:
            data, now = serial.read(), time.monotonic_ns()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if found := re.match(rb"stamp (\d+)", line):
                    pairs.append((now, int(found[1])))
                elif found := re.match(rb"late (\d+) (\d+) (\d+) (\d+) ticks (\d+) (\d+)", line):
                    return pairs, [int(number) for number in found.groups()]
            time.sleep(0.0005)
    raise Failure(f"{cpus} CPUs: the guest did not come to its end:\n" + guest.serial()[-2000:])


def drift_ppm(pairs):
    """A stamp comes late, never early: the least distance of some is the truest."""
    def least(part):
        return min(part, key=lambda pair: pair[0] - pair[1])
    first, last = least(pairs[:WINDOW]), least(pairs[-WINDOW:])
    host, guest = last[0] - first[0], last[1] - first[1]
    return (guest - host) / host * 1e6


def keep_time(cpus):
    with tempfile.TemporaryDirectory() as folder:
        initrd = initrd_with_program(folder)
        command = f"/time-stamps%20{SECONDS}%20{PERIOD_US}"
        with Guest("-m", "256M", "-smp", str(cpus), "-nic", "none", "-no-reboot",
                   "-kernel", f"{FOLDER}/vmlinuz-amd64", "-initrd", initrd,
                   "-append", f"console=ttyS0 quiet apiary.run={command}",
                   serial_input=True) as guest:
            pairs, (count, median, late, latest, ticks, clock) = follow(guest, cpus)
            guest.wait_exit(60)
    ppm = drift_ppm(pairs)
    print(f"# {cpus} CPUs, {SECONDS} s: drift {ppm:+.1f} ppm, ticks {(ticks - clock) / 1e6:+.1f} ms; "
          f"{count} timers late by {median / 1e3:.0f} us (median), {late / 1e3:.0f} us (99 %), "
          f"{latest / 1e3:.0f} us (most)")
    assert len(pairs) > SECONDS / 2, f"only {len(pairs)} stamps in {SECONDS} s"
    assert abs(ppm) < DRIFT_PPM, f"the guest's clock drifts by {ppm:.0f} ppm"
    assert abs(ticks - clock) < LOST_NS, f"ticks were lost: {(clock - ticks) / 1e6:.0f} ms"
    assert median < LATE_MEDIAN_NS, f"half of the timers are over {median / 1e6:.1f} ms late"


def one_cpu():
    keep_time(1)


def two_cpus():
    keep_time(2)


if __name__ == "__main__":
    sys.exit(run([one_cpu, two_cpus]))
