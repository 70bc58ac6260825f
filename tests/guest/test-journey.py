#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's whole journey with the real program: make a disk, install Debian from its CD, start it from
the disk with an e1000 and forwarded ports, log in over ssh, fetch its web page, press the power
button, find disk and file system clean, and start the same disk in QEMU.

JOURNEY_QEMU=1 makes whole_journey install in QEMU too and print the times side by side."""

import contextlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from guest import Failure, Guest, free_port, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
APIARY = os.environ.get("APIARY", "build/app/apiary")
ISO = os.path.join(FOLDER, "installer.iso")
KEY = os.path.join(FOLDER, "installer-key")
QEMU = "qemu-system-x86_64"
PATIENCE = 3600 # seconds for an installation, on a busy host and in QEMU
STEPS = ("Debian's installation from this CD", "Partitioning", "Installing the base system",
         "Configuring", "Installing the boot loader and", "Installing the kernel",
         "Installing the boot loader on", "Finishing", "Installed; the CD is out", "GNU GRUB",
         "login:")
# What the kernel says when the hardware it found is not right.
COMPLAINTS = ("BUG:", "Oops", "Call Trace", "soft lockup", "rcu_sched self-detected", "ACPI Error",
              "unsynchronized", "I/O error", "EXT4-fs error", "Tx Unit Hang", "nobody cared",
              "failed command", "invalid opcode", "general protection", "segfault")


def tool(*command, **options):
    """Runs COMMAND, which must succeed, and gives its output."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    text = result.stdout.decode("utf-8", "replace")
    if result.returncode:
        raise Failure(f"{' '.join(command)}: status {result.returncode}: {text}")
    return text


@contextlib.contextmanager
def scratch():
    folder = tempfile.mkdtemp(prefix="apiary-journey-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- installing ---


def install(disk, command, steps=STEPS, *flags):
    """Makes DISK and installs on it; gives the seconds at which each of STEPS showed."""
    tool(APIARY, "img", "create", "-f", "qcow2", disk, "10G")
    times = {}
    with Guest("-m", "2G", "-smp", "2", "-hda", disk, "-cdrom", ISO, "-boot", "d", *flags,
               command=command) as guest:
        for step in steps:
            text = guest.wait_serial(step, "The installation failed", timeout=PATIENCE)
            if step not in text:
                raise Failure("the installation failed")
            times[step] = guest.seconds()
        if "-no-reboot" not in flags:
            drives = {drive["device"]: drive for drive in guest.qmp("query-block")}
            assert drives["ide1-cd0"]["tray_open"], f"the CD is in: {drives['ide1-cd0']}"
            power_off(guest)
        else:
            guest.wait_exit(60)
    return times


def installed_disk():
    """A disk installed from the present CD by the program under test, kept for the next time."""
    disk = os.path.join(FOLDER, "journey.qcow2")
    if not os.path.exists(disk) or os.path.getmtime(disk) < os.path.getmtime(ISO):
        begin = time.monotonic()
        install(disk + ".new", None, STEPS[:9], "-no-reboot", "-nic", "none")
        os.rename(disk + ".new", disk)
        print(f"# installed a disk in {time.monotonic() - begin:.0f} s")
    return disk


# --- using ---


def ssh(port, command, timeout=120, **options):
    return tool("ssh", "-p", str(port), "-i", KEY, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "ConnectTimeout=20", "root@127.0.0.1", command, timeout=timeout, **options)


def wait_ssh(guest, port, timeout):
    end = time.monotonic() + timeout
    while True:
        try:
            return ssh(port, "uname -r")
        except Failure as failure:
            if time.monotonic() > end:
                raise
            if guest.process.poll() is not None:
                raise Failure("the program ended before its guest answered ssh") from failure
            time.sleep(1)


def power_off(guest):
    """Presses the power button and waits until the system has gone."""
    guest.qmp("system_powerdown")
    status = guest.wait_exit(180)
    assert status == 0, f"the program ended with status {status}"
    assert "reboot: Power down" in guest.serial(), "the guest did not power itself off"


@contextlib.contextmanager
def started(disk, command=None):
    """The user's third command: DISK with a network card and two forwarded ports."""
    ports = free_port(), free_port()
    with Guest("-hda", disk, "-m", "2G", "-smp", "2", "-device", "e1000,netdev=net0", "-netdev",
               f"user,id=net0,hostfwd=tcp::{ports[0]}-:22,hostfwd=tcp::{ports[1]}-:80",
               command=command) as guest:
        yield guest, *ports


def look_inside(port):
    """What a visitor by ssh finds: the hardware as it was ordered, and nothing to complain of."""
    facts = ssh(port, "nproc; cat /sys/devices/system/clocksource/*/current_clocksource; "
                "awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo; "
                "hostname -I; lsblk -dno SIZE /dev/sda; "
                "basename $(readlink /sys/class/net/en*/device/driver); date +%s")
    processors, clock, memory, address, size, driver, seconds = facts.strip().split("\n")
    assert processors == "2", facts
    assert 1900 < int(memory) < 2048, facts
    assert "10.0.2.15" in address.split(), facts
    assert size.strip() == "10G" and driver == "e1000", facts
    assert abs(int(seconds) - time.time()) < 5, f"the guest's clock is off: {seconds}"
    if not os.environ.get("GUEST_PROGRAM"):
        assert clock == "tsc", facts
    failed = ssh(port, "systemctl --failed --no-legend --plain")
    assert failed == "", f"failed services: {failed}"
    messages = ssh(port, "dmesg")
    wrong = [line for line in messages.split("\n") if any(word in line for word in COMPLAINTS)]
    assert not wrong, wrong


def copy_both_ways(port):
    noise = os.urandom(8 << 20)
    with tempfile.TemporaryFile() as file:
        file.write(noise)
        file.seek(0)
        ssh(port, "cat > /root/noise; sync", stdin=file)
    # Past the guest's page cache: from the disk.
    begin = ssh(port, "echo 3 > /proc/sys/vm/drop_caches; sha256sum < /root/noise")
    assert begin.split()[0] == tool("sha256sum", input=noise).split()[0], "the copy is different"


def use(disk):
    """Starts DISK in the program under test, uses it over the network, shuts it down; gives the times."""
    times = {}
    with started(disk) as (guest, ssh_port, web_port):
        guest.wait_serial("GNU GRUB", timeout=60)
        times["GRUB"] = guest.seconds()
        wait_ssh(guest, ssh_port, 300)
        times["ssh"] = guest.seconds()
        page = tool("curl", "-sS", "--fail", "--max-time", "20", f"http://localhost:{web_port}/")
        assert "It works: this is bee" in page, page
        guest.wait_serial("login:", timeout=120)
        look_inside(ssh_port)
        copy_both_ways(ssh_port)
        begin = guest.seconds()
        power_off(guest)
        times["power button"] = guest.seconds() - begin
    return times


def check(disk, folder):
    """DISK's image and the file system of its first partition are clean."""
    tool("qemu-img", "check", disk)
    raw = os.path.join(folder, "disk.raw")
    tool("qemu-img", "convert", "-O", "raw", disk, raw)
    with open(raw, "rb") as file:
        table = file.read(512)
    start, = struct.unpack_from("<I", table, 446 + 8)
    tool("e2fsck", "-f", "-n", f"{raw}?offset={start * 512}")
    os.unlink(raw)


def use_in_qemu(disk):
    with started(disk, QEMU) as (guest, port, _):
        wait_ssh(guest, port, 900)
        seconds = guest.seconds()
        ssh(port, "test $(stat -c %s /root/noise) = 8388608")
        power_off(guest)
    return seconds


# --- tests ---


def prepared_disk():
    with scratch() as folder:
        disk = os.path.join(folder, "disk.qcow2")
        tool(APIARY, "img", "create", "-f", "qcow2", "-b", os.path.realpath(installed_disk()),
             "-F", "qcow2", disk)
        times = use(disk)
        print("#", ", ".join(f"{name} {value:.1f} s" for name, value in times.items()))
        check(disk, folder)
        print(f"# ssh in QEMU {use_in_qemu(disk):.1f} s")


def whole_journey():
    with scratch() as folder:
        disk = os.path.join(folder, "disk.qcow2")
        times = {"Apiary": install(disk, None)}
        if os.environ.get("JOURNEY_QEMU"):
            times["QEMU"] = install(os.path.join(folder, "qemu.qcow2"), QEMU)
        print("# seconds from the start", *(f"{name:>9}" for name in times))
        for step in STEPS:
            print(f"# {step:45}", *(f"{of[step]:9.1f}" for of in times.values()))
        used = use(disk)
        print("#", ", ".join(f"{name} {value:.1f} s" for name, value in used.items()))
        check(disk, folder)
        print(f"# ssh in QEMU {use_in_qemu(disk):.1f} s")


if __name__ == "__main__":
    sys.exit(run([prepared_disk, whole_journey]))
