#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: images that are missing, cut short, unreadable, malformed or larger than the host's disk;
guests that execute garbage, move BARs over RAM or flood their consoles; nonsense on the QMP socket. Wanted is
a clear message or what hardware does, never a crash, a hang or lost data."""

import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time

import sectors
from guest import Failure, Guest, program, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
KERNEL = ("-m", "256M", "-kernel", f"{FOLDER}/vmlinuz-amd64", "-initrd",
          f"{FOLDER}/initrd-amd64.gz", "-nic", "none")
# Root may read everything; without these two capabilities it may not.
AS_ANYBODY = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]


def refused(*flags, prefix=()):
    result = subprocess.run([*prefix, *program(), "-display", "none", *flags],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    assert result.returncode == 1, (flags, result)
    assert len(result.stdout) < 1000, result.stdout
    return result.stdout


def alive(guest):
    begin = time.monotonic()
    guest.qmp("query-status")
    assert guest.process.poll() is None, "the program died"
    assert time.monotonic() - begin < 5, "the program hung"


def special_files_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        def path(name):
            return os.path.join(folder, name)
        os.mkfifo(path("fifo"))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path("socket"))
        os.symlink(path("nowhere"), path("dangling"))
        os.symlink(path("loop"), path("loop"))
        with open(path("locked"), "wb") as file:
            file.truncate(1 << 20)
        os.chmod(path("locked"), 0)
        as_anybody = AS_ANYBODY if os.geteuid() == 0 else []
        for option in "-hda", "-cdrom", "-fda", "-kernel", "-bios":
            for name in "fifo", "socket", "dangling", "loop", "locked":
                text = refused(option, path(name), prefix=as_anybody)
                assert name in text, (option, name, text)
        text = refused("-hda", path("locked"), prefix=as_anybody)
        assert "ermission" in text, text


def read_only_images():
    """A disk that may only be read is refused for writing by name, and taken with readonly=on or as CD."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "read-only.img")
        with open(path, "wb") as file:
            file.truncate(1 << 20)
        os.chmod(path, 0o444)
        as_anybody = AS_ANYBODY if os.geteuid() == 0 else []
        text = refused("-hda", path, prefix=as_anybody)
        assert "read-only.img" in text and "ermission" in text, text
        command = " ".join([*as_anybody, *program()])
        with Guest("-cdrom", path, "-S", command=command) as guest:
            alive(guest)


def cut_short_disk():
    """A qcow2 whose last half is gone is refused with the reason, and the check counts what is lost."""
    with tempfile.TemporaryDirectory() as folder:
        raw, disk = os.path.join(folder, "raw"), os.path.join(folder, "short.qcow2")
        with open(raw, "wb") as file:
            file.write(random.Random(7).randbytes(16 << 20))
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk], check=True)
        os.truncate(disk, os.path.getsize(disk) // 2)
        text = refused("-hda", disk)
        assert "short.qcow2" in text and "truncated" in text, text
        theirs, ours = (subprocess.run([*tool, "check", disk], stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True)
                        for tool in (["qemu-img"], [program()[0], "img"]))
        assert ours.returncode == theirs.returncode != 0, (ours, theirs)


def cut_short_cd():
    """An ISO that ends early boots as far as it goes; reading on is a medium error."""
    with tempfile.TemporaryDirectory() as folder:
        iso = os.path.join(folder, "short.iso")
        with open(f"{FOLDER}/demo.iso", "rb") as source, open(iso, "wb") as target:
            target.write(source.read(3 << 20))
        with Guest("-cdrom", iso, "-boot", "d", "-m", "256M") as guest:
            time.sleep(8)
            alive(guest)
            guest.screen()
        os.truncate(iso, 0)
        assert "short.iso" in refused("-cdrom", iso)
        for size in 1, 100, 2047, 2049, 40000:
            with open(f"{FOLDER}/demo.iso", "rb") as source, open(iso, "wb") as target:
                target.write(source.read(size))
            with Guest("-cdrom", iso, "-boot", "d", "-m", "64M") as guest:
                guest.wait_screen("No bootable device", timeout=30)


def malformed_cds():
    """Noise behind a volume descriptor and a boot catalog that points anywhere."""
    for seed in range(4):
        noise = random.Random(seed)
        data = bytearray(noise.randbytes(200 * 2048))
        data[16 * 2048:17 * 2048] = b"\1CD001\1".ljust(2048, b"\0")
        record = b"\0CD001\1EL TORITO SPECIFICATION".ljust(71, b"\0")
        catalog = 20 if seed % 2 else noise.randrange(1 << 32)
        data[17 * 2048:18 * 2048] = (record + struct.pack("<I", catalog)).ljust(2048, b"\0")
        entry = b"\x88\0\0\0\0\0" + struct.pack("<HI", 0xffff, noise.randrange(1 << 32))
        validation = b"\1\0\0\0".ljust(28, b"\0") + struct.pack("<H", 0x54aa) + b"\x55\xaa"
        words = sum(struct.unpack("<16H", validation.ljust(32, b"\0")))
        validation = validation[:28] + struct.pack("<H", (0x10000 - words + 0x54aa) & 0xffff) + \
            b"\x55\xaa"
        data[20 * 2048:20 * 2048 + 64] = validation + entry.ljust(32, b"\0")
        with tempfile.NamedTemporaryFile(suffix=".iso") as file:
            file.write(data)
            file.flush()
            with Guest("-cdrom", file.name, "-boot", "d", "-m", "64M") as guest:
                time.sleep(3)
                alive(guest)


def larger_than_the_host():
    """A disk image far larger than the host's disk is made, booted with and written to at its end; one
    that nothing can hold is refused."""
    with tempfile.TemporaryDirectory() as folder:
        disk = os.path.join(folder, "huge.qcow2")
        size = 4 * os.statvfs(folder).f_blocks * os.statvfs(folder).f_frsize
        subprocess.run([program()[0], "img", "create", "-f", "qcow2", disk, str(size // 512 * 512)]
                       if "qemu" not in program()[0] else
                       ["qemu-img", "create", "-q", "-f", "qcow2", disk, str(size // 512 * 512)],
                       check=True, stdout=subprocess.DEVNULL)
        command = ("s=$(cat%20/sys/block/sda/size);echo%20at-the-end%20|%20"
                   "dd%20of=/dev/sda%20bs=512%20seek=$((s-1))%20conv=sync,fsync;"
                   "dd%20if=/dev/sda%20bs=512%20skip=$((s-1))%20iflag=direct%202>/dev/null;"
                   "echo%20sectors=$s;echo%20end-of$x-test")
        with Guest(*KERNEL, "-hda", disk, "-append",
                   f"console=ttyS0 quiet apiary.run={command}") as guest:
            text = guest.wait_serial("end-of-test", timeout=150)
            assert f"sectors={size // 512}" in text and "at-the-end\n" in text, text[-500:]
            guest.wait_exit(30)
        subprocess.run(["qemu-img", "check", "-q", disk], check=True)
        if "qemu" not in program()[0]:
            result = subprocess.run(
                [program()[0], "img", "create", "-f", "raw", "-o", "preallocation=full", disk + ".raw",
                 str(size)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
            assert result.returncode == 1 and "huge.qcow2.raw" in result.stdout, result


def full_host_disk():
    """The host's disk becomes full while the guest writes: the guest's writes fail, what it had
    written and synced before is still there, and after space was made it can go on."""
    if subprocess.run(["unshare", "-Urm", "true"], stderr=subprocess.DEVNULL).returncode:
        print("# no user namespaces here: left out")
        return
    with tempfile.TemporaryDirectory() as folder:
        mount = os.path.join(folder, "mount")
        os.mkdir(mount)
        script = os.path.join(folder, "in-small-disk")
        with open(script, "w") as file:
            file.write("#!/bin/sh\nset -e\n"
                       f"mount -t tmpfs -o size=24m tmpfs {mount}\n"
                       f"qemu-img create -q -f qcow2 {mount}/disk.qcow2 1G\n"
                       f"head -c 12M /dev/zero > {mount}/ballast\n"
                       'exec "$@"\n')
        os.chmod(script, 0o755)
        command = ("dd%20if=/dev/urandom%20of=/tmp/a%20bs=64k%20count=16%202>/dev/null;"
                   "dd%20if=/tmp/a%20of=/dev/sda%20bs=64k%20conv=fsync%20&&%20echo%20first$x-part;"
                   "if%20dd%20if=/dev/urandom%20of=/dev/sda%20bs=64k%20seek=64%20count=512%20"
                   "conv=fsync;then%20echo%20too$x-much;else%20echo%20disk$x-full;fi;"
                   "read%20line%20</dev/ttyS0;echo%203%20>/proc/sys/vm/drop_caches;"
                   "dd%20if=/dev/sda%20bs=64k%20count=16%20iflag=direct%202>/dev/null%20|%20"
                   "cmp%20-%20/tmp/a%20&&%20echo%20still$x-there;"
                   "dd%20if=/tmp/a%20of=/dev/sda%20bs=64k%20seek=8192%20conv=fsync%20&&%20"
                   "dd%20if=/dev/sda%20bs=64k%20skip=8192%20count=16%20iflag=direct%202>/dev/null%20"
                   "|%20cmp%20-%20/tmp/a%20&&%20echo%20goes$x-on;echo%20end-of$x-test;sleep%20100")
        program_words = ["unshare", "-Urm", script, *program()]
        with Guest(*KERNEL, "-hda", f"{mount}/disk.qcow2", "-append",
                   f"console=ttyS0 apiary.run={command}", command=" ".join(program_words),
                   serial_input=True) as guest:
            text = guest.wait_serial("disk-full", "too-much", timeout=200)
            assert "first-part" in text and "too-much" not in text, "the writes did not fail"
            alive(guest)
            inside = f"/proc/{guest.process.pid}/root{mount}"
            os.unlink(f"{inside}/ballast")
            guest.send_serial("\n")
            text = guest.wait_serial("end-of-test", timeout=150)
            assert "still-there" in text, "synced data is lost"
            assert "goes-on" in text, "the disk did not come back"
            guest.qmp("quit")
        assert guest.process.returncode == 0, guest.process.returncode


def garbage(mode, accelerator):
    code = sectors.assemble(sectors.GARBAGE.replace("MODE", str(mode)))
    pieces = 0
    for seed in range(6):
        noise = random.Random(seed * 100 + mode).randbytes(40 * 512)
        noise = noise.replace(b"\xf4", b"\x90").replace(b"\xfa", b"\x90")  # HLT and CLI end it
        accel = () if "qemu" in program()[0] else ("-accel", accelerator)
        with sectors.image(code, noise) as disk, tempfile.NamedTemporaryFile() as heard:
            with Guest("-drive", f"file={disk.name},format=raw", "-m", "32M", *accel,
                       "-debugcon", f"file:{heard.name}") as guest:
                time.sleep(2)
                alive(guest)
                guest.qmp("stop")
                guest.qmp("system_reset")
                guest.qmp("cont")
                alive(guest)
                guest.qmp("quit")
                assert guest.wait_exit(10) == 0
            pieces += os.path.getsize(heard.name)
    assert pieces, "no garbage ran"
    print(f"# {pieces} pieces of garbage in {mode}-bit mode ({accelerator})")


def garbage_in_protected_mode():
    garbage(32, "jit")


def garbage_in_long_mode():
    garbage(64, "jit")


def garbage_interpreted():
    garbage(32, "interp")
    garbage(64, "interp")


def bar_over_ram():
    """As on the i440FX, RAM is nearer to the processor than PCI."""
    heard = {}
    for command in None, "qemu-system-x86_64":
        with sectors.image(sectors.assemble(sectors.BAR_OVER_RAM)) as disk, \
                tempfile.NamedTemporaryFile() as port:
            with Guest("-drive", f"file={disk.name},format=raw", "-m", "64M", "-nic",
                       "user,model=e1000", "-debugcon", f"file:{port.name}",
                       command=command) as guest:
                end = time.monotonic() + 20
                while b"!" not in (text := open(port.name, "rb").read()):
                    if time.monotonic() > end:
                        raise Failure("the boot sector did not end")
                    time.sleep(0.1)
                alive(guest)
                heard[command] = text
    assert heard[None].endswith(b"RRR!"), heard
    assert heard["qemu-system-x86_64"][-4:] == heard[None][-4:], heard


def configuration_storm():
    rounds = 0
    for seed in range(8):
        code = sectors.assemble(sectors.CONFIG_STORM.replace("SEED", str(seed * 77777 + 1)))
        with sectors.image(code) as disk, tempfile.NamedTemporaryFile() as heard:
            with Guest("-drive", f"file={disk.name},format=raw", "-m", "64M", "-nic",
                       "user,model=e1000", "-debugcon", f"file:{heard.name}") as guest:
                time.sleep(2.5)
                alive(guest)
                guest.monitor("info pci")
                guest.monitor("info mtree")
                guest.screenshot(os.path.join(guest.folder, "picture.png"))
                guest.qmp("system_reset")
                guest.qmp("quit")
                assert guest.wait_exit(10) == 0
            rounds += os.path.getsize(heard.name)
    print(f"# {rounds * 65536} random writes to configuration space")


def flood_loses_nothing():
    """Every line of a flood arrives, in order, in a file and at a reader that keeps up. A reader that
    does not keep up still has the last 64 KiB, whole, after the guest has powered off."""
    lines = 30000
    code = sectors.assemble(sectors.COUNTED_FLOOD.replace("LINES", str(lines))
                            .replace("S5", "0x2000"))
    expected = "".join("".join(chr(ord("a") + (n >> shift & 15)) for shift in range(28, -4, -4)) + "\n"
                       for n in range(lines))
    with sectors.image(code) as disk, tempfile.TemporaryDirectory() as folder:
        drive = ("-drive", f"file={disk.name},format=raw")
        with Guest(*drive) as guest:
            guest.wait_exit(120)
            assert guest.serial() == expected, "the file lacks lines"
        with Guest(*drive, serial_input=True) as guest:
            guest.wait_exit(120)
            guest.serial_copier.join(10)
            assert guest.serial() == expected, "the socket lacks lines"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(folder, "serial"))
        listener.listen(1)
        listener.settimeout(20)
        with Guest(*drive, "-serial", f"unix:{folder}/serial", serial=False) as guest:
            connection, _ = listener.accept()
            text = b""
            while data := connection.recv(200):
                text += data
                time.sleep(0.002)
            guest.wait_exit(60)
            assert expected.endswith(text.decode()[-65536:]), "the last lines are not the last"
            assert len(text) >= 65536, f"{len(text)} bytes"


def reader_that_never_reads():
    """Nobody reads the serial line's pipe: the machine can still be asked, paused, reset and ended."""
    # mov dx, 0x3f8; again: mov al, 'x'; out dx, al; jmp again
    with sectors.image(bytes.fromhex("baf803b078eeebfb")) as disk, tempfile.TemporaryDirectory() as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(folder, "serial"))
        listener.listen(1)
        listener.settimeout(20)
        with Guest("-drive", f"file={disk.name},format=raw", "-serial", f"unix:{folder}/serial",
                   serial=False) as guest:
            connection, _ = listener.accept()
            time.sleep(3)
            with open(f"/proc/{guest.process.pid}/status") as file:
                before = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
            time.sleep(3)
            alive(guest)
            with open(f"/proc/{guest.process.pid}/status") as file:
                after = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
            assert after - before < 20000, f"memory grew by {after - before} KiB in 3 s"
            guest.qmp("stop")
            guest.qmp("system_reset")
            guest.qmp("cont")
            alive(guest)
            connection.close()
            guest.qmp("quit")
            assert guest.wait_exit(10) == 0


def keyboard_flood():
    """Thousands of keys that nobody takes."""
    with Guest("-S") as guest:
        for _ in range(3000):
            guest.qmp("send-key", keys=[{"type": "qcode", "data": "a"}], **{"hold-time": 1})
        alive(guest)
        guest.qmp("cont")
        alive(guest)


def nonsense_on_qmp():
    with Guest("-S") as guest:
        guest.qmp_socket.settimeout(20)

        def say(data):
            guest.qmp_socket.sendall(data)
            while True:
                answer = json.loads(guest.qmp_file.readline())
                if "event" not in answer:
                    return answer
        for data in (b"nonsense\n", b"{}\n", b"[]\n", b"5\n", b'{"execute": 5}\n',
                     b'{"execute": "no-such-command"}\n', b'{"execute": "pmemsave"}\n',
                     b'{"execute": "pmemsave", "arguments": []}\n',
                     b'{"execute": "pmemsave", "arguments": {"val": -1, "size": -1, '
                     b'"filename": "/nowhere/x"}}\n',
                     b'{"execute": "send-key", "arguments": {"keys": [{"type": "qcode", '
                     b'"data": "no-key"}]}}\n',
                     b'{"execute": "screendump", "arguments": {"filename": "/nowhere/x.png"}}\n',
                     b'{"execute": "eject", "arguments": {"device": "no-drive"}}\n',
                     b'{"execute": "query-status", "arguments": {"a": ' + b"[" * 100000 +
                     b"]" * 100000 + b"}}\n"):
            answer = say(data)
            assert "error" in answer and answer["error"]["desc"], (data[:80], answer)
        assert guest.qmp("query-status")["status"] in ("prelaunch", "paused")
        for line in ("", " ", "info", "info nothing", "xp", "xp /999999999x 0", "xp /4x 0xffffffffffffffff",
                     "sendkey", "sendkey nothing", "screendump", "eject", "change", "x /4i 0", "%s%n" * 50):
            guest.monitor(line)
        alive(guest)


def causes_are_named():
    """Power-off, reset and triple fault reach a client as what they are."""
    # mov al, 0xfe; out 0x64, al; hlt -- the keyboard controller's reset
    reset = bytes.fromhex("b0fee664f4")
    power_off = sectors.assemble("bits 16\norg 0x7c00\nmov dx, 0x604\nmov ax, 0x2000\nout dx, ax\n"
                                 "l: hlt\njmp l\n")
    # lidt [cs:limit0]; int3 -- with an empty IDT: #GP, #DF, shutdown
    triple_fault = bytes.fromhex("2e0f011e077ccc") + bytes(6)
    for code, status, reason in ((reset, 0, "guest-reset"), (power_off, 0, "guest-shutdown"),
                                 (triple_fault, 0, "guest-reset")):
        with sectors.image(code) as disk:
            with Guest("-drive", f"file={disk.name},format=raw", "-no-reboot", "-S") as guest:
                guest.qmp("cont")
                events = []
                while line := guest.qmp_file.readline():
                    events.append(json.loads(line))
                assert guest.wait_exit(20) == status
                ends = [e["data"] for e in events if e.get("event") == "SHUTDOWN"]
                assert ends == [{"guest": True, "reason": reason}], (reason, events)


if __name__ == "__main__":
    sys.exit(run([special_files_are_refused, read_only_images, cut_short_disk, cut_short_cd,
                  malformed_cds, larger_than_the_host, full_host_disk, garbage_in_protected_mode,
                  garbage_in_long_mode, garbage_interpreted, bar_over_ram, configuration_storm,
                  flood_loses_nothing, reader_that_never_reads, keyboard_flood, nonsense_on_qmp,
                  causes_are_named]))
