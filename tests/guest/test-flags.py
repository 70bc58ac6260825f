#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each flag of `apiary run` does what it does in QEMU: the same command line is given to both, and what the
guest, the files and the sockets show must be equal."""

import os
import socket
import subprocess
import sys
import tempfile
import time

import sectors
from guest import Failure, Guest, program, run

QEMU = "qemu-system-x86_64"

# Says who it is on port E9 and stays.
WHO = """
bits 16
org 0x7c00
    mov al, '{letter}'
    out 0xe9, al
forever:
    hlt
    jmp forever
"""

SERIAL = """
bits 16
org 0x7c00
    cli
    mov al, '1'
    mov dx, 0x3f8
    out dx, al
    mov al, '2'
    mov dx, 0x2f8
    out dx, al
    mov al, 'd'
    out 0xe9, al
    mov al, 'e'
    mov dx, 0x402
    out dx, al
    mov al, 'x'
    mov dx, 0x512
    out dx, al
forever:
    hlt
    jmp forever
"""

# Registers of the CMOS, each as two digits (":" after "9"), the clock's update flag waited for.
CMOS = """
bits 16
org 0x7c00
    cli
    mov si, registers
    mov cx, COUNT
again:
    mov al, 10
    out 0x70, al
    in al, 0x71
    test al, 0x80
    jnz again
    mov al, [cs:si]
    inc si
    out 0x70, al
    in al, 0x71
    mov ah, al
    shr al, 4
    add al, '0'
    out 0xe9, al
    mov al, ah
    and al, 15
    add al, '0'
    out 0xe9, al
    loop again
forever:
    hlt
    jmp forever
registers: db REGISTERS
"""

# Writes a sector of the disk and reads it back; W when it was written, F when that failed.
WRITER = """
bits 16
org 0x7c00
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ax, 0x0301
    mov bx, 0x7c00
    mov cx, 0x0005
    xor dh, dh
    int 0x13
    mov al, 'F'
    jc tell
    mov al, 'W'
tell:
    out 0xe9, al
forever:
    hlt
    jmp forever
"""

POWER_OFF = """
bits 16
org 0x7c00
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
forever:
    hlt
    jmp forever
"""

RESET = """
bits 16
org 0x7c00
    mov al, 'r'
    out 0xe9, al
    mov al, 6
    mov dx, 0xcf9
    out dx, al
forever:
    hlt
    jmp forever
"""

ROM = """
bits 16
org 0
    times 0x100 nop
start:
    mov si, text
again:
    mov al, [cs:si]
    out 0xe9, al
    inc si
    cmp si, text_end
    jb again
forever:
    hlt
    jmp forever
text: db "own firmware"
text_end:
    times 0xfff0 - ($ - $$) nop
    jmp 0xf000:start
    times 0x10000 - ($ - $$) db 0
"""

# A multiboot 1 kernel: tells its command line and the text of its modules.
MULTIBOOT = """
bits 32
section .text
align 4
    dd 0x1badb002, 0x00000003, -(0x1badb002 + 3)
global _start
_start:
    cmp eax, 0x2badb002
    jne forever
    mov esi, [ebx + 16]
    call tell
    mov ecx, [ebx + 20]
    mov edi, [ebx + 24]
modules:
    jecxz finished
    mov al, '/'
    out 0xe9, al
    mov esi, [edi]
    mov edx, [edi + 4]
module_bytes:
    cmp esi, edx
    jae module_end
    lodsb
    out 0xe9, al
    jmp module_bytes
module_end:
    mov al, '='
    out 0xe9, al
    mov esi, [edi + 8]
    call tell
    add edi, 16
    dec ecx
    jmp modules
finished:
    mov al, '!'
    out 0xe9, al
forever:
    hlt
    jmp forever
tell:
    lodsb
    test al, al
    jz told
    out 0xe9, al
    jmp tell
told:
    ret
"""


class Machines:
    """The same flags for both programs; HEARD is what each guest said on port E9."""

    def __init__(self, folder):
        self.folder = folder

    def both(self, *flags, look=None, heard=None, seconds=20):
        """Runs LOOK(guest) in both and returns the two results; without LOOK, what was heard on port E9
        once it is HEARD bytes long."""
        results = []
        for command in None, QEMU:
            port = os.path.join(self.folder, "port-e9")
            with Guest("-nic", "none", "-m", "32M", *flags, "-debugcon", f"file:{port}",
                       command=command) as guest:
                if look:
                    results.append(look(guest))
                    continue
                end = time.monotonic() + seconds
                while len(text := open(port).read() if os.path.exists(port) else "") < heard:
                    if time.monotonic() > end or guest.process.poll() is not None:
                        raise Failure(f"{flags}: only “{text}” was heard")
                    time.sleep(0.05)
                results.append(text)
            os.unlink(port)
        return results

    def same(self, expected, *flags, **more):
        ours, theirs = self.both(*flags, **more)
        assert ours == theirs == expected, f"{flags}: here {ours}, in QEMU {theirs}, wanted {expected}"


def write(folder, name, source, size=1 << 20):
    """A disk with SOURCE assembled as its boot sector."""
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write((sectors.assemble(source).ljust(510, b"\0") + b"\x55\xaa").ljust(size, b"\0"))
    return path


def disks_and_boot_order():
    with tempfile.TemporaryDirectory() as folder:
        machines = Machines(folder)
        hda, hdb, hdc, hdd = (write(folder, f"disk-{c}", WHO.format(letter=c)) for c in "ABCD")
        fda = write(folder, "floppy", WHO.format(letter="f"), 1474560)
        raw = ("-drive", f"file={hda},format=raw")
        floppy = ("-drive", f"file={fda},format=raw,if=floppy")
        machines.same("A", *raw, heard=1)
        machines.same("f", *floppy, heard=1)
        machines.same("A", *raw, *floppy, heard=1)
        machines.same("f", *raw, *floppy, "-boot", "a", heard=1)
        machines.same("f", *raw, *floppy, "-boot", "order=ac", heard=1)
        machines.same("A", *raw, *floppy, "-boot", "order=ca", heard=1)
        machines.same("A", "-hda", hda, "-hdb", hdb, "-hdc", hdc, "-hdd", hdd, heard=1)
        machines.same("D", "-hdd", hdd, heard=1)
        machines.same("f", "-fda", fda, heard=1)
        reset = write(folder, "reset", RESET, 1474560)
        machines.same("rA", *raw, "-fda", reset, "-boot", "once=a,order=c", heard=2)

        def names(guest):
            return sorted((drive["device"], os.path.basename(drive.get("inserted", {}).get("file", "")))
                          for drive in guest.qmp("query-block") if drive["device"] != "sd0")
        ours, theirs = machines.both("-hda", hda, "-hdb", hdb, "-hdd", hdd, "-cdrom", hdc, "-fda", fda,
                                     "-S", look=names)
        assert theirs == ours, f"query-block: here {ours}, in QEMU {theirs}"
        ours, theirs = machines.both(
            "-drive", f"file={hda},format=raw,if=ide,index=1,media=disk,id=second",
            "-drive", f"file={hdc},format=raw,media=cdrom,index=3,readonly=on,id=disc", "-S", look=names)
        assert {("second", "disk-A"), ("disc", "disk-C")} <= set(ours) & set(theirs), (ours, theirs)


def boot_menu():
    with tempfile.TemporaryDirectory() as folder:
        disk = write(folder, "disk", WHO.format(letter="A"))

        def menu(guest):
            guest.wait_screen("Press ESC for boot menu", timeout=20)
            return True
        Machines(folder).same(True, "-hda", disk, "-boot", "menu=on,splash-time=3000", look=menu)


def ports():
    with tempfile.TemporaryDirectory() as folder:
        disk = write(folder, "disk", SERIAL)
        second, third, fourth = (os.path.join(folder, name) for name in ("second", "third", "fourth"))
        for command in None, QEMU:
            first = os.path.join(folder, "first")
            with Guest("-nic", "none", "-m", "32M", "-drive", f"file={disk},format=raw", "-serial",
                       f"file:{first}", "-serial", f"file:{second}", "-debugcon", f"file:{third}",
                       "-chardev", f"file,id=x,path={fourth}", "-device",
                       "isa-debugcon,iobase=0x512,chardev=x", serial=False, command=command) as guest:
                end = time.monotonic() + 20
                heard = []
                while heard != ["1", "2", "d", "x"]:
                    heard = [open(path).read() for path in (first, second, third, fourth)
                             if os.path.exists(path)]
                    if time.monotonic() > end:
                        raise Failure(f"{command or 'here'}: heard {heard}")
                    time.sleep(0.05)
            for path in first, second, third, fourth:
                os.unlink(path)


def clock():
    with tempfile.TemporaryDirectory() as folder:
        disk = write(folder, "disk",  # year, month, day, hour
                     CMOS.replace("REGISTERS", "9, 8, 7, 4").replace("COUNT", "4"))
        machines = Machines(folder)
        machines.same("99123123", "-hda", disk, "-rtc", "base=1999-12-31T23:30:00", heard=8)
        machines.same("24022900", "-hda", disk, "-rtc", "base=2024-02-29T00:10:00,clock=vm", heard=8)
        now = time.strftime("%y%m%d", time.gmtime())
        ours, theirs = machines.both("-hda", disk, "-rtc", "base=utc", heard=8)
        assert ours[:6] == theirs[:6] == now or time.strftime("%y%m%d", time.gmtime()) != now
        os.environ["TZ"] = "Asia/Tokyo"
        try:
            ours, theirs = machines.both("-hda", disk, "-rtc", "base=localtime", heard=8)
        finally:
            del os.environ["TZ"]
        local = time.strftime("%y%m%d", time.gmtime(time.time() + 9 * 3600))
        assert ours[:6] == theirs[:6] == local, (ours, theirs, local)


def writing():
    """-snapshot and readonly=on."""
    with tempfile.TemporaryDirectory() as folder:
        machines = Machines(folder)
        for flags, heard, changed in (([], "W", True), (["-snapshot"], "W", False)):
            for command in None, QEMU:
                disk = write(folder, "disk", WRITER)
                with open(disk, "rb") as file:
                    before = file.read()
                port = os.path.join(folder, "port")
                with Guest("-nic", "none", "-m", "32M", "-drive", f"file={disk},format=raw", *flags,
                           "-debugcon", f"file:{port}", command=command) as guest:
                    end = time.monotonic() + 20
                    while not (text := open(port).read() if os.path.exists(port) else ""):
                        if time.monotonic() > end:
                            raise Failure("the boot sector says nothing")
                        time.sleep(0.05)
                    assert text == heard, text
                    guest.qmp("quit")
                    guest.wait_exit(10)
                with open(disk, "rb") as file:
                    assert (file.read() != before) == changed, (flags, command)
                os.unlink(port)
        floppy = write(folder, "floppy", WRITER, 1474560)
        machines.same("F", "-drive", f"file={floppy},format=raw,if=floppy,readonly=on", heard=1)


def ends():
    """-no-reboot, -no-shutdown, -S."""
    with tempfile.TemporaryDirectory() as folder:
        machines = Machines(folder)
        off, again = write(folder, "off", POWER_OFF), write(folder, "again", RESET)
        machines.same(0, "-hda", off, look=lambda guest: guest.wait_exit(20))
        machines.same(0, "-hda", again, "-no-reboot", look=lambda guest: guest.wait_exit(20))
        machines.same("rrr", "-hda", again, look=lambda guest: wait_for_port(guest, folder, 3))

        def stays(guest):
            end = time.monotonic() + 20
            while guest.qmp("query-status")["status"] != "shutdown" and time.monotonic() < end:
                time.sleep(0.1)
            status = guest.qmp("query-status")
            return status["status"], status["running"]
        machines.same(("shutdown", False), "-hda", off, "-no-shutdown", look=stays)

        def waits(guest):
            time.sleep(1)
            before = guest.qmp("query-status")["status"]
            guest.qmp("cont")
            wait_for_port(guest, folder, 1)
            return before, guest.qmp("query-status")["status"]
        machines.same(("prelaunch", "running"), "-S", "-hda", again, look=waits)


def wait_for_port(guest, folder, length):
    path, end = os.path.join(folder, "port-e9"), time.monotonic() + 20
    while len(text := open(path).read() if os.path.exists(path) else "") < length:
        if time.monotonic() > end:
            raise Failure(f"port E9 heard only “{text}”")
        time.sleep(0.02)
    return text[:length]


def firmware():
    with tempfile.TemporaryDirectory() as folder:
        rom = os.path.join(folder, "rom.bin")
        with open(rom, "wb") as file:
            file.write(sectors.assemble(ROM))
        Machines(folder).same("own firmware", "-bios", rom, heard=12)


def multiboot():
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "kernel.asm")
        with open(source, "w") as file:
            file.write(MULTIBOOT)
        modules = []
        for name in "one", "two":
            modules.append(os.path.join(folder, name))
            with open(modules[-1], "w") as file:
                file.write(f"text of {name}")
        kernels = {}
        for bits, emulation in (32, "elf_i386"), (64, "elf_x86_64"):
            kernel, object_file = os.path.join(folder, f"kernel{bits}"), os.path.join(folder, "kernel.o")
            subprocess.run(["nasm", "-f", f"elf{bits}", "-o", object_file, source], check=True)
            subprocess.run(["ld", "-m", emulation, "-z", "max-page-size=4096", "-Ttext=0x100000",
                            "-N", "-o", kernel, object_file], check=True, stderr=subprocess.DEVNULL)
            kernels[bits] = kernel
        flags = ("-append", "one=1 two", "-initrd", f"{modules[0]} a b,{modules[1]}")
        expected = (f"KERNEL one=1 two/text of one={modules[0]} a b"
                    f"/text of two={modules[1]}!")
        machines = Machines(folder)
        wanted = expected.replace("KERNEL", kernels[32])
        machines.same(wanted, "-kernel", kernels[32], *flags, heard=len(wanted))
        if "qemu" not in program()[0]:  # QEMU refuses 64-bit files
            with Guest("-nic", "none", "-m", "32M", "-kernel", kernels[64], *flags, "-debugcon",
                       f"file:{folder}/port-e9") as guest:
                wanted = expected.replace("KERNEL", kernels[64])
                assert wait_for_port(guest, folder, len(wanted)) == wanted


def sizes_and_names():
    with tempfile.TemporaryDirectory() as folder:
        machines = Machines(folder)

        def processors(guest):
            return len(guest.qmp("query-cpus-fast"))
        for flags, count in ((["-smp", "1"], 1), (["-smp", "3"], 3), (["-smp", "cpus=4"], 4),
                             (["-smp", "4,sockets=2,cores=2,threads=1"], 4)):
            machines.same(count, *flags, "-S", look=processors)
        # The CMOS has the memory above 16 MiB in units of 64 KiB.
        disk = write(folder, "disk", CMOS.replace("REGISTERS", "0x35, 0x34").replace("COUNT", "2"))
        for text, size in (("48", 48), ("64M", 64), ("1G", 1024), ("size=80M", 80)):
            units = (size - 16) * 16
            machines.same("".join(chr(48 + (units >> shift & 15)) for shift in (12, 8, 4, 0)), "-m",
                          text, "-hda", disk, heard=4)
        machines.same("A name", "-name", "A name", "-S", look=lambda g: g.qmp("query-name")["name"])
        machines.same("B", "-name", "guest=B", "-S", look=lambda g: g.qmp("query-name")["name"])

        pidfile = os.path.join(folder, "pid")

        def recorded(guest):
            with open(pidfile) as file:
                return int(file.read()) == guest.process.pid
        machines.same(True, "-pidfile", pidfile, "-S", look=recorded)
        machines.same(False, "-S", look=lambda g: "thernet" in g.monitor("info pci"))


def monitors():
    """The human monitor on its own socket and through QMP."""
    with tempfile.TemporaryDirectory() as folder:
        machines = Machines(folder)
        disk = write(folder, "disk", WHO.format(letter="A"))
        path = os.path.join(folder, "monitor")

        def talk(guest):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(path)
            connection.settimeout(10)
            connection.sendall(b"info status\n")
            text = ""
            while "VM status: " not in text or not text.rstrip().endswith(")"):
                text += connection.recv(4096).decode()
            connection.close()
            return text[text.index("VM status: "):].splitlines()[0]
        machines.same("VM status: paused (prelaunch)", "-monitor", f"unix:{path},server=on,wait=off",
                      "-S", look=talk)

        def commands(guest):
            wait_for_port(guest, folder, 1)
            answers = [guest.monitor("xp /4xb 0x7c00").strip(), guest.monitor("xp /2xw 0x7c00").strip()]
            registers = guest.monitor("info registers")
            answers.append("EIP=00007c0" in registers.replace("RIP=0000000000007c0", "EIP=00007c0"))
            answers.append(guest.monitor("sendkey a").strip())
            picture = os.path.join(folder, "picture")
            guest.monitor(f"screendump {picture}")
            for _ in range(50):
                if os.path.exists(picture) and os.path.getsize(picture) > 100:
                    break
                time.sleep(0.05)
            with open(picture, "rb") as file:
                answers.append(file.read(2))
            os.unlink(picture)
            guest.monitor(f"change ide1-cd0 {disk}")
            answers.append("disk" in guest.monitor("info block ide1-cd0") or
                           disk in guest.monitor("info block"))
            guest.monitor("eject ide1-cd0")
            answers.append(f"ide1-cd0: {disk}" in guest.monitor("info block"))
            answers.append(guest.memory(0x7c00, 4))
            return answers
        ours, theirs = machines.both("-hda", disk, look=commands)
        assert ours == theirs, f"here {ours}, in QEMU {theirs}"
        assert ours[-1] == b"\xb0\x41\xe6\xe9", ours


if __name__ == "__main__":
    sys.exit(run([disks_and_boot_order, boot_menu, ports, clock, writing, ends, firmware, multiboot,
                  sizes_and_names, monitors]))
