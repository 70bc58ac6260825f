#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's kernel with busybox (the demo machine's) on one, two and four CPUs."""

import os
import re
import sys

from guest import Failure, Guest, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
BAD = re.compile(r"Oops|BUG:|Call Trace|ACPI (BIOS )?(Error|Warning)|Kernel panic|soft lockup|"
                 r"rcu.*stall|TSCs unsynchronized|Marking TSC unstable|MP-BIOS bug|nobody cared")


def flags(arch, cpus, command, *more):
    return ("-m", "256M", "-smp", str(cpus), "-kernel", f"{FOLDER}/vmlinuz-{arch}",
            "-initrd", f"{FOLDER}/initrd-{arch}.gz", "-no-reboot",
            "-append", f"console=ttyS0 apiary.run={command}", *more)


def check_log(guest):
    for line in guest.serial().splitlines():
        if BAD.search(line):
            raise Failure("the kernel said: " + line)


def boot(arch, cpus, *more, timeout=180):
    command = "welcome;nproc;echo%20end-of$x-test"
    with Guest(*flags(arch, cpus, command, *more)) as guest:
        text = guest.wait_serial("end-of-test\n", timeout=timeout)
        print(f"# user space after {guest.seconds():.1f} s")
        guest.wait_exit(20)
        check_log(guest)
        assert f"\n{cpus}\nend-of-test" in text, "wrong number of CPUs"
        assert "Clock    tsc" in text, "the kernel did not keep the TSC as its clock"


def one_cpu():
    boot("amd64", 1)


def two_cpus():
    boot("amd64", 2)


def four_cpus():
    boot("amd64", 4)


def i386():
    boot("686", 1)


def i386_two_cpus():
    boot("686", 2)


if __name__ == "__main__":
    sys.exit(run([one_cpu, two_cpus, four_cpus, i386, i386_two_cpus]))
