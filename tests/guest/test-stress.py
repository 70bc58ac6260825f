#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's kernel to user space while the translator is made to take its rare ways, and in lockstep
with the interpreter."""

import os
import re
import time

from guest import FAULTS, Failure, Guest, processor_seconds, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")


def boot(accel, cpus=1, timeout=600, append="console=ttyS0"):
    with Guest("-m", "256M", "-smp", str(cpus), "-machine", "pc,usb=off", "-nic", "none",
               "-no-reboot", "-kernel", f"{FOLDER}/vmlinuz-amd64",
               "-initrd", f"{FOLDER}/initrd-amd64.gz",
               "-append", f"{append} apiary.run=nproc;md5sum%20/bin/busybox;echo%20end$x-of-test",
               "-accel", accel) as guest:
        guest.wait_serial("end-of-test\n", timeout=timeout)
        print(f"# user space after {guest.seconds():.1f} s")
        guest.wait_exit(60)
        for line in guest.serial().splitlines():
            if re.search(FAULTS, line):
                raise Failure("the kernel said: " + line)
        return guest.output()


def flushes_and_tiny_cache():
    boot("jit,stress=flushes:tiny-cache", cpus=2)


def one_insn():
    boot("jit,stress=one-insn")


def no_links():
    boot("jit,stress=no-links")


def no_groups():
    boot("jit,stress=no-groups")


def slow_paths():
    boot("jit,stress=slow-paths")


def tiny_tlb():
    boot("jit,stress=tiny-tlb")


def tier_2():
    boot("jit,stress=tier-2", cpus=2)


def judge_lockstep(output, least):
    """OUTPUT is the program's, LEAST a number of instructions."""
    found = re.search(r"lockstep: \d+ steps of (\d+) instructions .*, (\d+) differences", output)
    if not found:
        raise Failure("lockstep did not say what it compared:\n" + output[-500:])
    print("#", found[0])
    if int(found[2]) or int(found[1]) < least:
        raise Failure(output[-4000:])


def lockstep():
    """To the shell: some minutes of a processor. The guest is too slow for the kernel's check of its
    timer."""
    judge_lockstep(boot("jit,lockstep=on", timeout=7000,
                        append="console=ttyS0 quiet no_timer_check"), 1000000000)


def lockstep_start():
    """The firmware, and some of the kernel's decompression."""
    with Guest("-m", "256M", "-machine", "pc,usb=off", "-nic", "none",
               "-kernel", f"{FOLDER}/vmlinuz-amd64", "-accel", "jit,lockstep=on") as guest:
        while processor_seconds(guest.process.pid) < 5:
            time.sleep(0.2)
        guest.qmp("quit")
        guest.wait_exit(60)
        judge_lockstep(guest.output(), 20000000)


run([flushes_and_tiny_cache, one_insn, no_links, no_groups, slow_paths, tiny_tlb, tier_2,
     lockstep_start, lockstep])
