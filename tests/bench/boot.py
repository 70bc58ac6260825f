# SPDX-License-Identifier: GPL-3.0-or-later
"""From the program's start to the BIOS, to GRUB's menu, to user space and to the power's end; what an
idle guest costs; memory over the guest's RAM; the guest's clock."""

import os
import re
import tempfile
import time

from common import (CLOCK_TOLERANCE, Failure, Guest, PROGRAMS, RAM_MIB, linux, median, memory_over_ram,
                    processor_seconds, say, table)

GRUB = "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"
SETTLE = 5


def first_bios_word(who):
    """SeaBIOS talks on port 402h as soon as it runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "debug")
        with Guest("-nic", "none", "-chardev", f"file,id=debug,path={path}", "-device",
                   "isa-debugcon,iobase=0x402,chardev=debug", command=PROGRAMS[who]) as guest:
            while not os.path.exists(path) or b"SeaBIOS" not in open(path, "rb").read():
                if guest.seconds() > 60:
                    raise Failure(f"{who}: the BIOS says nothing")
                time.sleep(0.002)
            return guest.seconds()


def grub_menu(who):
    with Guest("-cdrom", GRUB, "-boot", "d", "-nic", "none", command=PROGRAMS[who]) as guest:
        while "GNU GRUB" not in guest.screen():
            if guest.seconds() > 120:
                raise Failure(f"{who}: no GRUB")
            time.sleep(0.02)
        return guest.seconds()


def kernel(who, cpus):
    """Seconds to user space, and to the program's end after power-off at once."""
    with linux(who, "echo user-space", cpus=cpus) as guest:
        while "user-space" not in guest.serial():
            if guest.seconds() > 300:
                raise Failure(f"{who}: no user space")
            time.sleep(0.01)
        user_space = guest.seconds()
        guest.wait_exit(60)
        return user_space, guest.seconds()


def idle(who, cpus, seconds):
    """Percent of a core, MiB over the guest's RAM (PSS, RSS), and the guest clock's error in percent."""
    with linux(who, "exec 3</dev/ttyS0;echo ready-to-answer;while read line <&3;do "
               "echo up=$(cut -d' ' -f1 /proc/uptime);done", cpus=cpus, serial_input=True) as guest:
        guest.wait_serial("ready-to-answer", timeout=300)
        looks = []

        def look():
            begin = time.monotonic()
            guest.send_serial("\n")
            while len(values := re.findall(r"^up=([\d.]+)$", guest.serial(), re.M)) <= len(looks):
                if time.monotonic() - begin > 120:
                    raise Failure(f"{who} does not answer on its serial line")
                time.sleep(0.005)
            looks.append((float(values[-1]), time.monotonic()))
        look()
        time.sleep(SETTLE)
        look()
        time.sleep(0.5)
        used, begin = processor_seconds(guest.process.pid), time.monotonic()
        time.sleep(seconds)
        share = (processor_seconds(guest.process.pid) - used) / (time.monotonic() - begin)
        look()
        (guest_a, host_a), (guest_b, host_b) = looks[-2:]
        error = (guest_b - guest_a) / (host_b - host_a) - 1
        if abs(error) > CLOCK_TOLERANCE[who]:
            raise Failure(f"{who}'s clock is off by {error:.1%}")
        return share * 100, *memory_over_ram(guest.process.pid, RAM_MIB), error * 100


def run(options):
    figures = {}

    def note(row, unit, who, value):
        figures.setdefault((row, unit), {}).setdefault(who, []).append(value)
    for number in range(options.rounds):
        for who in PROGRAMS:
            say(f"boot, round {number + 1} of {options.rounds}: {who}")
            note("start to BIOS", "s", who, first_bios_word(who))
            note("start to GRUB's menu", "s", who, grub_menu(who))
            for cpus in (1,) if options.quick else (1, 2):
                user_space, over = kernel(who, cpus)
                note(f"start to user space (-kernel, -smp {cpus})", "s", who, user_space)
                note(f"start to power-off (-kernel, -smp {cpus})", "s", who, over)
    for cpus in 1, 2:
        for who in PROGRAMS:
            say(f"idle, {cpus} vCPU: {who}")
            cost, pss, rss, error = idle(who, cpus, 10 if options.quick else 20)
            note(f"idle guest, -smp {cpus}", "% of a core", who, cost)
            note(f"memory over the guest's RAM, idle, -smp {cpus}", "MiB", who, pss)
            note(f"the same, shared pages as often as they are mapped (RSS), -smp {cpus}", "MiB", who,
                 rss)
            note(f"guest clock's error, -smp {cpus}", "%", who, error)
    rows = []
    for (row, unit), by_program in figures.items():
        qemu, apiary = (median(by_program[who]) for who in PROGRAMS)
        ratio = f"{qemu / apiary:.2f}x" if apiary and "error" not in row else ""
        rows.append([row, unit, f"{qemu:.2f}", f"{apiary:.2f}", ratio])
    return table(["figure", "unit", "QEMU", "Apiary", "Apiary vs QEMU"], rows)
