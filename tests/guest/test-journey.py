#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's journey with the real program by command line: make a disk, install Debian from its CD,
start it from the disk with an e1000 and forwarded ports, log in over ssh, fetch its web page, press
the power button, find disk and file system clean, and start the same disk in QEMU. The short form
begins with a disk that is made already (data/installer/build-disk).

JOURNEY_QEMU=1 makes whole_journey go the same way in QEMU too and print the times side by side;
JOURNEY_QEMU=write writes the table to docs/speed-journey.md as well."""

import contextlib
import datetime
import os
import sys

from guest import Guest, free_port, processor_seconds, program, run
from journey_steps import (APIARY, FAILED, GRUB, ISO, LOGIN, OFF, PANIC, PATIENCE, STEPS, check,
                           copy_both_ways, fetch_page, look_inside, prepared_disk, scratch, ssh, tool,
                           wait_ssh)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
QEMU = "qemu-system-x86_64"


class Times:
    """How long each step took, in seconds of the clock and of the host's processors."""

    def __init__(self):
        self.clock, self.processors = {}, {}

    def begin(self, guest):
        self.guest, self.seconds, self.used = guest, 0, 0

    def step(self, title):
        """TITLE says what has taken the time since the step before, or since the machine's start."""
        seconds = self.guest.seconds()
        used = processor_seconds(self.guest.process.pid)
        self.clock[title] = seconds - self.seconds
        self.processors[title] = used - self.used
        self.seconds, self.used = seconds, used
        print(f"# {title}: {self.clock[title]:.1f} s, processors {self.processors[title]:.1f} s",
              flush=True)


# --- installing and using ---


def is_ours(command):
    return "qemu" not in (command or program()[0])


def power_off(guest):
    """Presses the power button and waits until the system has gone."""
    guest.qmp("system_powerdown")
    status = guest.wait_exit(180)
    assert status == 0, f"the program ended with status {status}"
    assert OFF in guest.serial(), "the guest did not power itself off"


def install(disk, command, times):
    """Makes DISK and installs on it; the machine starts itself from it in the end."""
    tool(APIARY, "img", "create", "-f", "qcow2", disk, "10G")
    titles = ("firmware, CD and kernel", "finding the hardware", "partitioning", "base system",
              "settings", "boot loader and servers, packages", "kernel, package and initial RAM disk",
              "boot loader, to the disk", "finishing", "reset, to GRUB from the disk", "first boot")
    with Guest("-m", "2G", "-smp", "2", "-hda", disk, "-cdrom", ISO, "-boot", "d",
               command=command) as guest:
        times.begin(guest)
        for step, title in zip(STEPS, titles):
            assert step in guest.wait_serial(step, FAILED, timeout=PATIENCE), "it failed"
            times.step(title)
            if title == "finishing" and not is_ours(command):
                # QEMU's drive closes its tray at the reset and starts the CD once more.
                guest.qmp("eject", device="ide1-cd0", force=True)
        drives = {drive["device"]: drive for drive in guest.qmp("query-block")}
        drive = drives["ide1-cd0"]
        assert drive["tray_open"] or "inserted" not in drive, f"the CD is in: {drive}"
        power_off(guest)


@contextlib.contextmanager
def started(disk, command=None):
    """The user's third command: DISK with a network card and two forwarded ports."""
    ports = free_port(), free_port()
    with Guest("-hda", disk, "-m", "2G", "-smp", "2", "-device", "e1000,netdev=net0", "-netdev",
               f"user,id=net0,hostfwd=tcp::{ports[0]}-:22,hostfwd=tcp::{ports[1]}-:80",
               command=command) as guest:
        yield guest, *ports


def has_ended(guest):
    return guest.process.poll() is not None or PANIC in guest.serial()


def use(disk, command, times):
    """Starts DISK, uses it over the network and shuts it down by its power button."""
    with started(disk, command) as (guest, ssh_port, web_port):
        times.begin(guest)
        guest.wait_serial(GRUB, timeout=120)
        times.step("disk: to GRUB")
        guest.wait_serial(LOGIN, PANIC, timeout=900)
        times.step("disk: to the login prompt")
        wait_ssh(ssh_port, 300, lambda: has_ended(guest))
        times.step("disk: to ssh")
        fetch_page(web_port)
        look_inside(ssh_port, strict=is_ours(command))
        times.step("web page and four commands by ssh")
        copy_both_ways(ssh_port)
        times.step("8 MiB copied by ssh and read back")
        # The process takes its times with it.
        begin = guest.seconds()
        power_off(guest)
        times.clock["power button"] = guest.seconds() - begin
        print(f"# power button: {times.clock['power button']:.1f} s")


def use_in_qemu(disk):
    """What the program under test wrote is another's to read."""
    with started(disk, QEMU) as (guest, port, _):
        guest.wait_serial(LOGIN, PANIC, timeout=1800)
        wait_ssh(port, 600, lambda: has_ended(guest))
        print(f"# ssh in QEMU {guest.seconds():.1f} s")
        ssh(port, "test $(stat -c %s /root/noise) = 8388608")
        power_off(guest)


# --- beside QEMU ---


def table(qemu, apiary):
    """Each step's seconds in both; a processor is busy also while the clock waits for another's work."""
    lines = ["| step | QEMU, s | Apiary, s | ratio | QEMU, processor s | Apiary, processor s | ratio |",
             "|---|---|---|---|---|---|---|"]

    def row(title, *pairs):
        cells = [title]
        for of_qemu, of_apiary in pairs:
            known = of_qemu is not None and of_apiary
            cells += [f"{of_qemu:.1f}", f"{of_apiary:.1f}", f"{of_qemu / of_apiary:.2f}x"] \
                if known else ["", "", ""]
        lines.append("| " + " | ".join(cells) + " |")

    for title in apiary.clock:
        row(title, (qemu.clock[title], apiary.clock[title]),
            (qemu.processors.get(title), apiary.processors.get(title)))
    row("**all**", *((sum(getattr(qemu, what).values()), sum(getattr(apiary, what).values()))
                     for what in ("clock", "processors")))
    return lines


def write(lines, load):
    with open("/proc/cpuinfo") as file:
        cpu = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    version = tool(QEMU, "--version").splitlines()[0]
    head = ["# Speed of the journey", "", f"{datetime.date.today()}, {cpu} ({os.cpu_count()} processors, "
            f"load {load}), {version}; one run of `JOURNEY_QEMU=write tests/guest/test-journey.py "
            "whole_journey`: Debian installed from the same CD on a new 10 GB qcow2 disk, `-m 2G -smp 2`, "
            "and used from it, first in Apiary and then in QEMU (TCG). Seconds of a step on the clock, "
            "and of the host's processors, which other work on the host disturbs less. More than 1x "
            "is better than QEMU.", ""]
    with open(os.path.join(ROOT, "docs", "speed-journey.md"), "w") as file:
        file.write("\n".join(head + lines) + "\n")


# --- tests ---


def short_journey():
    with scratch() as folder:
        disk, times = prepared_disk(folder), Times()
        use(disk, None, times)
        check(disk, folder)


def prepared_disk_in_qemu():
    with scratch() as folder:
        disk = prepared_disk(folder)
        use(disk, None, Times())
        use_in_qemu(disk)


def go(folder, name, command):
    disk, times = os.path.join(folder, name + ".qcow2"), Times()
    install(disk, command, times)
    use(disk, command, times)
    check(disk, folder)
    return disk, times


def whole_journey():
    beside = os.environ.get("JOURNEY_QEMU")
    with scratch() as folder:
        load = os.getloadavg()[0]
        disk, apiary = go(folder, "apiary", None)
        use_in_qemu(disk)
        if beside:
            between = os.getloadavg()[0]
            _, qemu = go(folder, "qemu", QEMU)
            lines = table(qemu, apiary)
            print("\n".join("# " + line for line in lines))
            if beside == "write":
                write(lines, f"{load:.1f}, {between:.1f} and {os.getloadavg()[0]:.1f} "
                      "before, between and after")


if __name__ == "__main__":
    sys.exit(run([short_journey, prepared_disk_in_qemu, whole_journey]))
