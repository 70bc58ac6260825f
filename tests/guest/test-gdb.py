#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real gdb on Debian's kernel: breakpoints at kernel symbols, registers, stack, watchpoints, single
steps, two CPUs, Ctrl-C, detaching; and on a boot sector in real mode, translated and interpreted. With
GUEST_PROGRAM=qemu-system-x86_64 the tests hold for QEMU's own server, too."""

import os
import re
import select
import shlex
import signal
import socket
import subprocess
import time

from guest import Failure, Guest, program, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
SYMBOLS = ("__x64_sys_newuname", "__ia32_sys_newuname", "do_syscall_64", "jiffies", "init_uts_ns",
           "linux_banner")
# Two processes that make system calls, and a sign of life.
SCRIPT = ("grep -E ' ({})$' /proc/kallsyms;echo symbols$x-end;"
          "(while :;do uname -r >/dev/null;done)&"
          "while :;do uname -s >/dev/null;n=$((n+1));echo alive$n;done").format("|".join(SYMBOLS))


class Gdb:
    """A gdb whose commands are answered one by one."""

    def __init__(self, path, *commands):
        self.process = subprocess.Popen(
            ["gdb", "-nx", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)
        self.count = 0
        for line in ("set confirm off", "set pagination off", "set width 0",
                     "set remotetimeout 60", *commands):
            self(line)
        answer = self(f"target remote {path}")
        assert " in ?? ()" in answer, answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def send(self, line):
        """Begins a command; answer() has what it prints."""
        self.count += 1
        self.process.stdin.write(f"{line}\necho \\n<end {self.count}>\\n\n".encode())
        self.process.stdin.flush()

    def answer(self, timeout=60):
        end, text = time.monotonic() + timeout, b""
        mark = f"<end {self.count}>".encode()
        while mark not in text:
            if not select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))[0]:
                raise Failure(f"gdb does not answer: {text.decode()}")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise Failure(f"gdb has ended: {text.decode()}")
            text += data
        return text.split(mark)[0].decode().replace("(gdb) ", "").strip()

    def __call__(self, line, timeout=60):
        self.send(line)
        return self.answer(timeout)

    def number(self, expression):
        text = self(f"output/x (unsigned long)({expression})")
        try:
            return int(text, 16)
        except ValueError:
            raise Failure(f"{expression}: {text}")

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)


class Linux(Guest):
    def __init__(self, architecture="amd64"):
        super().__init__("-m", "256M", "-smp", "2", "-kernel", f"{FOLDER}/vmlinuz-{architecture}",
                         "-initrd", f"{FOLDER}/initrd-{architecture}.gz", "-append",
                         "console=ttyS0 loglevel=4 nokaslr apiary.run=" +
                         SCRIPT.replace(" ", "%20"))
        self.socket = os.path.join(self.folder, "gdb")
        self.monitor(f"gdbserver unix:{self.socket},server=on,wait=off")
        text = self.wait_serial("symbols-end", timeout=180)
        self.symbols = {name: int(address, 16)
                        for address, name in re.findall(r"([0-9a-f]{8,16}) \w (\w+)", text)}
        self.wait_serial("alive2", timeout=60)
        assert self.status() == "running"
        self.events.clear()  # only who connects in time hears that the machine began to run

    def status(self):
        return self.qmp("query-status")["status"]

    def check_alive(self):
        """It goes on, and answers on its own."""
        last = int(re.findall(r"alive(\d+)", self.serial())[-1])
        self.wait_serial(f"alive{last + 3}\n", timeout=60)


def stop_at_breakpoint(guest, gdb, kind="break"):
    uname = guest.symbols["__x64_sys_newuname"]
    before = gdb(f"x/8xb {uname:#x}")
    gdb(f"{kind} *{uname:#x}")
    answer = gdb("continue")
    assert "Breakpoint 1," in answer, answer
    assert gdb.number("$rip") == uname
    assert guest.status() == "debug"
    assert gdb(f"x/8xb {uname:#x}") == before
    return uname


def breakpoints():
    with Linux() as guest, Gdb(guest.socket) as gdb:
        assert guest.status() == "paused"
        uname = stop_at_breakpoint(guest, gdb)
        # The caller is do_syscall_64; struct pt_regs, its argument, has the call's number (63).
        caller = gdb.number("*(long *)$rsp")
        assert 0 < caller - guest.symbols["do_syscall_64"] < 0x400, hex(caller)
        assert gdb.number("*(long *)($rdi + 120)") == 63
        assert gdb.number("$cs") == 0x10 and gdb.number("$cr0") & 0x80000001 == 0x80000001
        assert gdb.number("$efer") & 0x500 == 0x500 and gdb.number("$cr3")
        assert "Linux version" in gdb(f"x/s {guest.symbols['linux_banner']:#x}")
        for _ in range(30):
            answer = gdb("continue")
            assert "Breakpoint 1," in answer and gdb.number("$rip") == uname, answer
        # A breakpoint that is always in is not to be seen in memory.
        gdb("set breakpoint always-inserted on")
        shown = guest.monitor(f"x /8xb {uname:#x}").split(":")[1].split()
        assert gdb(f"x/8xb {uname:#x}").split(":")[1].split() == shown
        assert "0xcc" != shown[0]
        gdb("delete")
        gdb("detach")
        assert guest.status() == "running"
        guest.check_alive()


def hardware_breakpoint_and_steps():
    with Linux() as guest, Gdb(guest.socket) as gdb:
        uname = stop_at_breakpoint(guest, gdb, "hbreak")
        gdb("delete")
        time.sleep(1)  # what was on its way when the guest stopped
        gdb("set scheduler-locking on")  # or the other CPU goes on while this one steps
        seen, before = [uname], guest.serial()
        for _ in range(50):
            gdb("stepi")
            seen.append(gdb.number("$rip"))
        assert len(set(seen)) > 20, seen
        # Steps go through the code that stands there, with no interrupt in between.
        text = (0xffffffff81000000, 0xffffffff82000000)
        assert all(text[0] <= rip < text[1] for rip in seen), [hex(rip) for rip in seen]
        assert guest.status() == "debug" and guest.serial() == before
        # A register that is written is there.
        old = gdb.number("$r12")
        gdb("set var $r12 = 0x123456789abcdef0")
        gdb("flushregs")
        assert gdb.number("$r12") == 0x123456789abcdef0
        gdb(f"set var $r12 = {old}")
        gdb("set scheduler-locking off")
        gdb("detach")
        guest.check_alive()


def watchpoints():
    with Linux() as guest, Gdb(guest.socket) as gdb:
        jiffies, uts = guest.symbols["jiffies"], guest.symbols["init_uts_ns"]
        gdb(f"watch *(unsigned long *){jiffies:#x}")
        for _ in range(5):
            answer = gdb("continue")
            old, new = (int(re.search(rf"{word} value = (\d+)", answer).group(1))
                        for word in ("Old", "New"))
            assert old < new < old + 100, answer
        gdb("delete")
        # Reading the name of the system touches its first byte.
        gdb(f"rwatch *(char *){uts:#x}")
        answer = gdb("continue")
        assert "Value = 76 'L'" in answer, answer
        gdb("delete")
        gdb(f"awatch *(char *){uts:#x}")
        answer = gdb("continue")
        assert "Value = 76 'L'" in answer, answer
        gdb("delete")
        gdb("detach")
        guest.check_alive()


def threads():
    with Linux() as guest, Gdb(guest.socket) as gdb:
        uname = stop_at_breakpoint(guest, gdb)
        listing = gdb("info threads")
        assert "CPU#0" in listing and "CPU#1" in listing, listing
        hits = set()
        for _ in range(200):
            hits.add(gdb.number("$_thread"))
            if len(hits) == 2:
                break
            gdb("continue")
        assert hits == {1, 2}, hits
        gdb("delete")
        # Each has its own registers, and its own per-CPU area.
        bases = []
        for thread in (1, 2):
            gdb(f"thread {thread}")
            bases.append(max(gdb.number("$gs_base"), gdb.number("$k_gs_base")))
        assert bases[0] != bases[1] and all(base >> 47 for base in bases), bases
        # Only the one that steps moves.
        gdb("set scheduler-locking on")
        gdb("thread 1")
        other = gdb.number("$rip")
        gdb("thread 2")
        for _ in range(10):
            gdb("stepi")
        gdb("thread 1")
        assert gdb.number("$rip") == other
        gdb("set scheduler-locking off")
        gdb("detach")
        guest.check_alive()
        assert uname


def system_of_32_bits():
    """GDB is told so, and has that system's registers."""
    with Linux("686") as guest, Gdb(guest.socket) as gdb:
        assert "currently \"i386\"" in gdb("show architecture")
        place = guest.symbols["__ia32_sys_newuname"]
        gdb(f"break *{place:#x}")
        for _ in range(3):
            answer = gdb("continue")
            assert "Breakpoint 1," in answer and gdb.number("$eip") == place, answer
        # struct pt_regs is in EAX; the call is number 122.
        assert gdb.number("*(int *)($eax + 44)") == 122
        assert gdb.number("$esp") >> 28 >= 0xc and gdb.number("$cs") & 3 == 0
        gdb("delete")  # or the other CPU comes to it while this one goes on
        gdb(f"watch *(int *)({gdb.number('$esp')} - 4)")
        answer = gdb("continue")
        assert "Hardware watchpoint 2" in answer, answer
        gdb("stepi")
        assert gdb.number("$eip") != place and gdb.number("$cr0") >> 31
        gdb("delete")
        gdb("detach")
        guest.check_alive()


def let_go_on(guest, gdb):
    """The machine stands; once all that it has printed is here, what comes proves that it runs."""
    before = None
    while before != guest.serial():
        before = guest.serial()
        time.sleep(0.3)
    gdb.send("continue")
    guest.check_alive()


def interrupting():
    """Ctrl-C, and QMP's commands beside a debugger."""
    with Linux() as guest, Gdb(guest.socket) as gdb:
        let_go_on(guest, gdb)
        assert guest.status() == "running"
        gdb.interrupt()
        assert "SIGINT" in gdb.answer()
        assert guest.status() == "paused"
        let_go_on(guest, gdb)
        guest.qmp("stop")
        assert "SIGINT" in gdb.answer()
        # Time stands still: the clock that Linux goes by does not move.
        jiffies = guest.symbols["jiffies"]
        first = gdb.number(f"*(long *){jiffies:#x}")
        time.sleep(1)
        gdb("flushregs")
        assert gdb.number(f"*(long *){jiffies:#x}") == first
        assert "VM status: paused" in gdb("monitor info status")
        guest.qmp("cont")
        guest.check_alive()
        guest.qmp("stop")
        let_go_on(guest, gdb)
        gdb.interrupt()
        gdb.answer()
        assert guest.status() == "paused"
        events = [event["event"] for event in guest.events]
        assert events == ["STOP", *["RESUME", "STOP"] * 4], events
        gdb("kill")
        guest.wait_exit(20)


def boot_sector(*flags):
    folder_flags = ("-m", "64M", "-cdrom", f"{FOLDER}/demo.iso", "-S", *flags)
    with Guest(*folder_flags, serial=False) as guest:
        path = os.path.join(guest.folder, "gdb")
        guest.monitor(f"gdbserver unix:{path},server=on,wait=off")
        with Gdb(path) as gdb:
            assert gdb.number("$rip") == 0xfff0 and gdb.number("$cs") == 0xf000
            assert gdb.number("$cr0") & 1 == 0
            gdb("break *0x7c00")
            answer = gdb("continue")
            assert "Breakpoint 1," in answer and gdb.number("$rip") == 0x7c00, answer
            # ISOLINUX: CLI, then a far jump to 0:7C6C.
            gdb("stepi")
            assert gdb.number("$rip") == 0x7c01
            gdb("stepi")
            assert gdb.number("$rip") == 0x7c6c
            # MOV [CS:InitStack], SP: the stop is behind the instruction that stores.
            place, stack = gdb.number("*(unsigned short *)0x7c78"), gdb.number("$rsp") & 0xffff
            gdb(f"watch *(unsigned short *){place:#x}")
            answer = gdb("continue")
            assert "Hardware watchpoint 2" in answer and f"New value = {stack}" in answer, answer
            assert gdb.number("$rip") == 0x7c7a
            gdb("delete")
            gdb("detach")
        guest.wait_screen("Apiary", timeout=120)


def real_mode():
    boot_sector()


def real_mode_interpreted():
    boot_sector("-accel", "interp")


def standard_input():
    """GDB starts the machine itself, and ends it."""
    command = " ".join(map(shlex.quote, [*program(), "-m", "64M", "-display", "none", "-serial", "none",
                                         "-gdb", "stdio"]))
    with Gdb(f"| {command}") as gdb:
        assert gdb.number("$rip") == 0xfff0
        gdb("break *0x7c00")
        gdb("stepi")
        assert gdb.number("$rip") == 0xe05b, hex(gdb.number("$rip"))  # SeaBIOS' entry, F000:E05B
        assert "VM status: paused (debug)" in gdb("monitor info status")
        assert "killed" in gdb("kill")


def default_port():
    """-s is open to this computer only; somebody else may have the port."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 1234)) == 0:
            print("# port 1234 is taken")
            return
    with Guest("-m", "64M", "-s", "-S", serial=False) as guest:
        with open("/proc/net/tcp") as table:
            places = [line.split()[1] for line in table if line.split()[3] == "0A"]
        assert "0100007F:04D2" in places and "00000000:04D2" not in places, places
        with Gdb("127.0.0.1:1234") as gdb:
            assert gdb.number("$rip") == 0xfff0
            gdb("detach")
        assert guest.qmp("query-status")["status"] == "running"


if __name__ == "__main__":
    raise SystemExit(run([breakpoints, hardware_breakpoint_and_steps, watchpoints, threads,
                          system_of_32_bits, interrupting,
                          real_mode, real_mode_interpreted, standard_input, default_port]))
