# SPDX-License-Identifier: GPL-3.0-or-later
"""What the two forms of the user's journey share, the one by command line (test-journey.py) and the one
through the window (tests/ui/journey.py): the installer's steps, the way into the installed system by
ssh and http, and what must be right in it and on its disk afterwards."""

import contextlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time

from guest import DELAYS, FAULTS, Failure

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
APIARY = os.environ.get("APIARY", "build/app/apiary")
ISO = os.path.join(FOLDER, "installer.iso")
DISK = os.path.join(FOLDER, "installed.qcow2") # as data/installer/build-disk makes it
KEY = os.path.join(FOLDER, "installer-key")
PATIENCE = 3600 # seconds for an installation, on a busy host and in QEMU
FAILED, PANIC = "The installation failed", "Kernel panic"
GRUB, LOGIN, OFF = "GNU GRUB", "login:", "reboot: Power down"
# As the installer says them, behind its own clock: debootstrap is "Configuring" things as well.
STEPS = ("] Debian's installation from this CD", "] Partitioning", "] Installing the base system",
         "] Configuring", "] Installing the boot loader and", "] Installing the kernel",
         "] Installing the boot loader on", "] Finishing", "] Installed; the CD is out", GRUB, LOGIN)
# What the kernel says when the hardware it found is not right.
COMPLAINTS = re.compile(f"{FAULTS}|{DELAYS}|ACPI Error|unsynchronized|I/O error|EXT4-fs error|"
                        "Tx Unit Hang|nobody cared|failed command")


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


def prepared_disk(folder, base=DISK):
    """A disk of the test's own on top of BASE, a prepared one."""
    disk = os.path.join(folder, "prepared.qcow2")
    tool(APIARY, "img", "create", "-f", "qcow2", "-b", os.path.realpath(base), "-F", "qcow2", disk)
    return disk


# --- by ssh and http ---


def ssh(port, command, timeout=120, connect=20, **options):
    """CONNECT is how many seconds the guest may take for its greeting."""
    return tool("ssh", "-p", str(port), "-i", KEY, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", f"ConnectTimeout={connect}", "root@127.0.0.1", command, timeout=timeout, **options)


def wait_ssh(port, timeout, ended):
    """Until the guest lets its visitor in; ENDED tells that it never will."""
    end = time.monotonic() + timeout
    while True:
        try:
            return ssh(port, "uname -r")
        except (Failure, subprocess.TimeoutExpired) as failure:
            if time.monotonic() > end:
                raise
            if ended():
                raise Failure("the machine ended before its guest answered ssh") from failure
            time.sleep(1)


def fetch_page(port):
    """The web server may come up after ssh: until then the forward is reset."""
    page = tool("curl", "-sS", "--fail", "--max-time", "60", "--retry", "30", "--retry-delay", "1",
                "--retry-all-errors", f"http://localhost:{port}/")
    assert "It works: this is bee" in page, page


def look_inside(port, strict=True):
    """What a visitor by ssh finds: the hardware as it was ordered, and, when it is ours (STRICT),
    nothing to complain of."""
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
    failed = ssh(port, "systemctl --failed --no-legend --plain")
    messages = ssh(port, "dmesg")
    if strict:
        assert clock == "tsc", facts
        assert failed == "", f"failed services: {failed}"
        wrong = [line for line in messages.split("\n") if COMPLAINTS.search(line)]
        assert not wrong, wrong


def copy_both_ways(port):
    noise = os.urandom(8 << 20)
    with tempfile.TemporaryFile() as file:
        file.write(noise)
        file.seek(0)
        ssh(port, "cat > /root/noise; sync", stdin=file)
    # Past the guest's page cache: from the disk.
    copy = ssh(port, "echo 3 > /proc/sys/vm/drop_caches; sha256sum < /root/noise")
    assert copy.split()[0] == tool("sha256sum", input=noise).split()[0], "the copy is different"


# --- the disk afterwards ---


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
