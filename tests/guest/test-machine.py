#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine as its owner handles it: power, pause, reset, media, wrong input, hostile guests."""

import os
import random
import subprocess
import sys
import tempfile
import time

from guest import Failure, Guest, program, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
KERNEL = ("-m", "256M", "-kernel", f"{FOLDER}/vmlinuz-amd64", "-initrd",
          f"{FOLDER}/initrd-amd64.gz")


def boot_sector(code):
    """A file with CODE as its boot sector; the caller keeps the object."""
    file = tempfile.NamedTemporaryFile(suffix=".img")
    file.write(code.ljust(510, b"\0") + b"\x55\xaa" + bytes(1474560 - 512))
    file.flush()
    return file


def debug_exit():
    # mov dx, 0x501; mov al, 0x10; out dx, al; hlt
    with boot_sector(bytes.fromhex("ba0105b010eef4")) as disk:
        with Guest("-device", "isa-debug-exit,iobase=0x501,iosize=2",
                   "-drive", f"file={disk.name},format=raw") as guest:
            status = guest.wait_exit(20)
            assert status == 0x10 << 1 | 1, f"exit status {status}"


# lidt [cs:limit0]; int3 -- with an empty IDT: #GP, #DF, shutdown
TRIPLE_FAULT = bytes.fromhex("2e0f011e077ccc") + bytes(6)


def triple_fault_is_named():
    with boot_sector(TRIPLE_FAULT) as disk:
        with Guest("-drive", f"file={disk.name},format=raw", "-no-reboot") as guest:
            status = guest.wait_exit(20)
            assert status == 0, f"exit status {status}"
            assert "triple fault" in guest.output(), guest.output()


def triple_fault_resets():
    with boot_sector(TRIPLE_FAULT) as disk:
        with Guest("-drive", f"file={disk.name},format=raw") as guest:
            end = time.monotonic() + 30
            while len([e for e in guest.events if e["event"] == "RESET"]) < 2:
                assert time.monotonic() < end, guest.events
                time.sleep(0.1)
                assert guest.qmp("query-status")["status"] == "running"
            guest.qmp("stop")
            assert guest.qmp("query-status")["status"] == "paused"


def garbage_is_survived():
    for seed in range(12):
        noise = random.Random(seed).randbytes(510)
        with boot_sector(noise) as disk:
            with Guest("-drive", f"file={disk.name},format=raw", "-m", "32M") as guest:
                time.sleep(1)
                guest.qmp("query-status")
                assert guest.process.poll() is None, "the program died"


def flood_does_not_hang():
    # mov dx, 0x3f8; again: mov al, 'x'; out dx, al; out 0xe9, al; jmp again
    with boot_sector(bytes.fromhex("baf803b078eee6e9ebfb")) as disk:
        with Guest("-drive", f"file={disk.name},format=raw", "-debugcon", "null") as guest:
            guest.wait_serial("xxxxxxxx", timeout=20)
            begin = time.monotonic()
            guest.qmp("stop")
            guest.qmp("cont")
            guest.qmp("quit")
            guest.wait_exit(10)
            assert time.monotonic() - begin < 10


def pause_stops_the_guest():
    with Guest(*KERNEL, "-append", "console=ttyS0 apiary.run=while%20:;do%20echo%20tick;"
               "sleep%200.1;done") as guest:
        guest.wait_serial("tick\ntick", timeout=120)
        guest.qmp("stop")
        time.sleep(0.5)
        before = len(guest.serial())
        time.sleep(1.5)
        assert len(guest.serial()) == before, "it went on while paused"
        guest.qmp("cont")
        time.sleep(2)
        assert len(guest.serial()) > before, "it did not go on"


def power_button():
    with Guest(*KERNEL, "-append", "console=ttyS0") as guest:
        guest.wait_serial("This is a shell", timeout=120)
        time.sleep(2)
        guest.qmp("system_powerdown")
        status = guest.wait_exit(60)
        assert status == 0 and "Power down" in guest.serial()


def reset_starts_again():
    with Guest(*KERNEL, "-append", "console=ttyS0") as guest:
        guest.wait_serial("This is a shell", timeout=120)
        guest.qmp("system_reset")
        end = time.monotonic() + 120
        while guest.serial().count("This is a shell") < 2:
            if time.monotonic() > end:
                raise Failure("it did not boot again")
            time.sleep(0.5)


def change_medium():
    command = ("modprobe%20isofs;while%20!%20mount%20-r%20/dev/sr0%20/mnt%202>/dev/null;"
               "do%20sleep%201;done;ls%20/mnt;umount%20/mnt;echo%20seen$x-it;sleep%20100")
    with Guest(*KERNEL, "-append", f"console=ttyS0 apiary.run={command}") as guest:
        time.sleep(8)
        guest.qmp("blockdev-change-medium", device="ide1-cd0", filename=f"{FOLDER}/demo.iso")
        text = guest.wait_serial("seen-it", timeout=120)
        assert "isolinux" in text, "the CD's folder was not listed"
        guest.qmp("eject", device="ide1-cd0", force=True)
        drive = [d for d in guest.qmp("query-block") if d["device"] == "ide1-cd0"][0]
        assert "inserted" not in drive, drive


def refused(*flags):
    result = subprocess.run(program() + ["-display", "none", *flags], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=20)
    assert result.returncode == 1, (flags, result)
    return result.stdout


def wrong_input_is_explained():
    with tempfile.TemporaryDirectory() as folder:
        broken = os.path.join(folder, "broken.qcow2")
        with open(broken, "wb") as file:
            file.write(b"QFI\xfb" + b"\xff" * 100)
        for flags, words in (
                (("-hda", folder + "/absent.img"), "absent.img"),
                (("-hda", folder), folder),
                (("-hda", broken), "broken.qcow2"),
                (("-cdrom", folder + "/none.iso"), "none.iso"),
                (("-kernel", broken), "broken.qcow2"),
                (("-bios", broken), "broken.qcow2"),
                (("-m", "banana"), "banana"),
                (("-m", "90000G"), "memory"),
                (("-smp", "500"), "500"),
                (("-cpu", "i486dx"), "i486dx"),
                (("-device", "unicorn"), "unicorn"),
                (("-enable-kvm",), "KVM"),
                (("-bogus",), "-bogus"),
                (("-serial", "carrier:pigeon"), "carrier:pigeon"),
                (("-drive", "file=x,if=scsi"), "scsi"),
                (("-boot", "order=z"), "z")):
            text = refused(*flags)
            assert words in text and len(text) < 1000, (flags, text)


def disk_goes_both_ways():
    """A disk written in QEMU is read here, one written here is read in QEMU."""
    ours = program()
    steps = (
        (["qemu-system-x86_64", "-nic", "none"],
         "mke2fs%20-q%20/dev/sda%20&&%20mount%20-t%20ext4%20/dev/sda%20/mnt%20&&%20"
         "cp%20/bin/busybox%20/mnt/first"),
        (ours, "mount%20-t%20ext4%20/dev/sda%20/mnt%20&&%20cmp%20/bin/busybox%20/mnt/first%20&&%20"
               "cp%20/mnt/first%20/mnt/second"),
        (["qemu-system-x86_64", "-nic", "none"],
         "mount%20-t%20ext4%20/dev/sda%20/mnt%20&&%20cmp%20/bin/busybox%20/mnt/second"),
    )
    with tempfile.TemporaryDirectory() as folder:
        disk = os.path.join(folder, "disk.qcow2")
        subprocess.run([ours[0], "img", "create", "-f", "qcow2", disk, "1G"], check=True,
                       stdout=subprocess.DEVNULL)
        for number, (command, script) in enumerate(steps):
            log = os.path.join(folder, f"log{number}")
            subprocess.run(
                command + [*KERNEL, "-hda", disk, "-display", "none", "-no-reboot",
                           "-serial", "file:" + log, "-append",
                           f"console=ttyS0 quiet apiary.run={script}%20&&%20umount%20/mnt%20&&%20"
                           "echo%20step$x-done"], timeout=180, check=True)
            with open(log, errors="replace") as file:
                text = file.read()
            assert "step-done" in text, f"step {number}: {text[-500:]}"
            subprocess.run(["qemu-img", "check", "-q", disk], check=True)


if __name__ == "__main__":
    sys.exit(run([debug_exit, triple_fault_is_named, triple_fault_resets, garbage_is_survived,
                  flood_does_not_hang, pause_stops_the_guest, power_button, reset_starts_again,
                  change_medium, wrong_input_is_explained, disk_goes_both_ways]))
