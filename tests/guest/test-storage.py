#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks, CDs and floppies: loaders that boot from them, Linux that writes to them, media that change
while it runs; what was written is compared on the host."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

from guest import Failure, Guest, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
RESCUE = "/usr/lib/grub-rescue/grub-rescue-"


def md5(data):
    return hashlib.md5(data).hexdigest()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def linux(command, *flags):
    """Runs COMMAND as the first process' only work."""
    return Guest("-m", "256M", "-kernel", f"{FOLDER}/vmlinuz-amd64", "-initrd",
                 f"{FOLDER}/initrd-amd64.gz", "-no-reboot", "-nic", "none", "-append",
                 "console=ttyS0 loglevel=4 apiary.run=" + command.replace(" ", "%20"), *flags)


def boot_from(*flags):
    with Guest("-m", "128M", "-nic", "none", *flags) as guest:
        guest.wait_screen("GNU GRUB", timeout=60)
        guest.key("c")
        guest.wait_screen("grub>", timeout=10)
        print(f"# GRUB's prompt after {guest.seconds():.1f} s")


def boot_from_disk():
    with tempfile.TemporaryDirectory() as folder:
        disk = shutil.copy(RESCUE + "usb.img", folder)
        boot_from("-drive", f"file={disk},format=raw")


def boot_from_floppy():
    with tempfile.TemporaryDirectory() as folder:
        floppy = shutil.copy(RESCUE + "floppy.img", folder)
        boot_from("-drive", f"file={floppy},format=raw,if=floppy", "-boot", "a")


def linux_reads_and_writes():
    command = ("modprobe floppy;modprobe ext4;mkdir -p /mnt/a;"
               "mke2fs -F /dev/sda >/dev/null;mount -t ext4 /dev/sda /mnt/a;"
               "dd if=/dev/urandom of=/mnt/a/noise bs=64k count=320 2>/dev/null;"
               "A=$(md5sum </mnt/a/noise|cut -c1-32);umount /mnt/a;"
               "echo 3 >/proc/sys/vm/drop_caches;mount -t ext4 /dev/sda /mnt/a;"
               "B=$(md5sum </mnt/a/noise|cut -c1-32);test $A = $B&&echo same$x-noise;"
               "fstrim -v /mnt/a;umount /mnt/a;"
               "md5sum </dev/sr0;"
               "dd if=/dev/fd0 bs=9k 2>/dev/null|md5sum;"
               "dd if=/dev/sda of=/dev/fd0 bs=9k skip=10 seek=80 count=40 conv=fsync 2>/dev/null;"
               "echo end-of$x-test")
    with tempfile.TemporaryDirectory() as folder:
        disk, raw, floppy = (os.path.join(folder, name) for name in ("disk", "raw", "floppy"))
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "300M"], check=True)
        noise = os.urandom(1440 * 1024)
        with open(floppy, "wb") as file:
            file.write(noise)
        iso = FOLDER + "/demo.iso"
        with linux(command, "-drive", f"file={disk},format=qcow2,discard=unmap", "-cdrom", iso,
                   "-drive", f"file={floppy},format=raw,if=floppy") as guest:
            guest.wait_serial("end-of-test", timeout=180)
            guest.wait_exit(20)
            text = guest.serial()
        if "same-noise" not in text:
            raise Failure("the disk read back differently")
        if md5(read(iso)) not in text:
            raise Failure("the CD read back differently")
        if md5(noise) not in text:
            raise Failure("the floppy read back differently")
        subprocess.run(["qemu-img", "check", "-q", disk], check=True)
        subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
        with open(raw, "rb") as file:
            file.seek(10 * 9216)
            piece = file.read(40 * 9216)
        written = read(floppy)
        if written[80 * 9216:120 * 9216] != piece:
            raise Failure("the floppy was written differently")
        if written[:80 * 9216] != noise[:80 * 9216] or written[120 * 9216:] != noise[120 * 9216:]:
            raise Failure("the floppy was written where nothing was to be")


def media_change():
    command = ("modprobe floppy;while :;do "
               "echo cd=$(dd if=/dev/sr0 bs=2k count=20 2>/dev/null|md5sum);"
               "echo fd=$(dd if=/dev/fd0 bs=9k count=2 2>/dev/null|md5sum);sleep 1;done")
    with tempfile.TemporaryDirectory() as folder:
        floppies = []
        for name in ("one", "two"):
            floppies.append(os.path.join(folder, name))
            with open(floppies[-1], "wb") as file:
                file.write(os.urandom(1440 * 1024))
        discs = FOLDER + "/demo.iso", RESCUE + "cdrom.iso"
        cds = ["cd=" + md5(read(path)[:40960]) for path in discs]
        fds = ["fd=" + md5(read(path)[:18432]) for path in floppies]
        with linux(command, "-cdrom", discs[0],
                   "-drive", f"file={floppies[0]},format=raw,if=floppy") as guest:
            guest.wait_serial(cds[0], timeout=60)
            guest.wait_serial(fds[0], timeout=20)
            guest.qmp("eject", device="ide1-cd0", force=True)
            guest.qmp("blockdev-change-medium", device="ide1-cd0", filename=discs[1])
            guest.qmp("blockdev-change-medium", device="floppy0", filename=floppies[1])
            guest.wait_serial(cds[1], timeout=20)
            guest.wait_serial(fds[1], timeout=20)
            guest.qmp("query-status")  # collects what has happened
            moves = [event["data"]["tray-open"] for event in guest.events
                     if event["event"] == "DEVICE_TRAY_MOVED"]
            if moves != [True, False] and moves != [True, False] * 2:
                raise Failure(f"the tray was said to move like this: {moves}")


if __name__ == "__main__":
    sys.exit(run([boot_from_disk, boot_from_floppy, linux_reads_and_writes, media_change]))
