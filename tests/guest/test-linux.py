#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's kernel with busybox (the demo machine's) on one, two and four CPUs, started by UEFI firmware,
and as domain 0 of Xen."""

import os
import re
import sys
import tempfile

from guest import DELAYS, FAULTS, Failure, Guest, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
BAD = re.compile(
    f"{FAULTS}|{DELAYS}|"
    # firmware and tables
    r"ACPI.*([Ee]rror|[Ww]arning|[Ii]nvalid|[Ff]ailed)|\[Firmware (Bug|Warn)|MP-BIOS bug|"
    r"AE_[A-Z_]+|DMI not present|[Ii]ncorrect checksum|"
    # clocks
    r"TSCs unsynchronized|Marking TSC unstable|Marking clocksource|Unstable clock|"
    r"clocksource.*(skew|unstable)|loops_per_jiffy|TSC warp|lost .*ticks|hpet.*lost|"
    # processors
    r"inconsistent .*MTRR|Not responding|CPU\d+ failed|APIC error|unexpected IRQ|"
    r"nobody cared|spurious.*vector|No irq handler|MCE: .*error|"
    # devices
    r"ata\d.*(failed|error|exception|timeout|lost interrupt|unknown device)|I/O error|"
    r"psmouse.*(lost|Failed)|i8042.*(fail|No controller)|atkbd.*(Unknown|Spurious)|"
    r"usb.*(error|not accepting|unable)|floppy.*(error|timeout)|rtc_cmos.*(fail|error)")


def flags(arch, cpus, command, *more):
    return ("-m", "256M", "-smp", str(cpus), "-kernel", f"{FOLDER}/vmlinuz-{arch}",
            "-initrd", f"{FOLDER}/initrd-{arch}.gz", "-no-reboot",
            "-append", f"console=ttyS0 apiary.run={command}", *more)


def check_log(guest):
    for line in guest.serial().splitlines():
        if BAD.search(line):
            raise Failure("the kernel said: " + line)


def boot(arch, cpus, *more, timeout=180):
    command = "welcome;nproc;echo%20end-of$x-test"
    with Guest(*flags(arch, cpus, command, *more)) as guest:
        text = guest.wait_serial("end-of-test\n", timeout=timeout)
        print(f"# user space after {guest.seconds():.1f} s")
        guest.wait_exit(20)
        check_log(guest)
        assert f"\n{cpus}\nend-of-test" in text, "wrong number of CPUs"
        assert "Clock    tsc" in text, "the kernel did not keep the TSC as its clock"


def one_cpu():
    boot("amd64", 1)


def two_cpus():
    boot("amd64", 2)


def four_cpus():
    boot("amd64", 4)


def i386():
    boot("686", 1)


def i386_two_cpus():
    boot("686", 2)


def pcid():
    """The kernel finds PCID and INVPCID and uses them, also with a model that has none by itself."""
    command = ("for%20f%20in%20pcid%20invpcid;do%20echo%20$f%20$(grep%20-c%20-w%20$f%20/proc/cpuinfo);"
               "done;echo%20end-of$x-test")
    for model in "max", "x86-64-v3,+pcid,+invpcid":
        with Guest(*flags("amd64", 2, command, "-cpu", model)) as guest:
            text = guest.wait_serial("end-of-test\n", timeout=180)
            print(f"# {model}: user space after {guest.seconds():.1f} s")
            guest.wait_exit(20)
            if model == "max":  # the other has no INVTSC, by which the kernel trusts the TSC
                check_log(guest)
            for feature in "pcid", "invpcid":
                assert f"\n{feature} 2\n" in text.replace("\r", ""), f"{model} lacks {feature}"


HARDWARE = ("for%20d%20in%20/sys/class/ata_device/dev*;do%20echo%20mode%20${d##*/}%20"
            "$(cat%20$d/class)%20$(cat%20$d/dma_mode)%20$(cat%20$d/xfer_mode);done;"
            "for%20d%20in%20/sys/bus/pci/devices/*;do%20echo%20function%20${d##*/}%20"
            "$(cat%20$d/vendor)%20$(cat%20$d/device)%20$(cat%20$d/class)%20"
            "$(readlink%20$d/driver);done;"
            "for%20c%20in%20/sys/devices/system/clocksource/clocksource0/*_clocksource;do%20"
            "echo%20${c##*/}%20$(cat%20$c);done;"
            "echo%20events%20$(cat%20/sys/devices/system/clockevents/clockevent0/current_device);"
            "for%20t%20in%20/sys/firmware/acpi/tables/[A-Z]*;do%20echo%20table%20${t##*/};done;"
            "sed%20's/^/port%20/'%20/proc/ioports;"
            "cat%20/proc/partitions;echo%20fb%20$(cat%20/proc/fb)")


def hardware(arch, *more, program=None):
    """The kernel's log and its lists of hardware, on flags that mean the same everywhere."""
    with tempfile.NamedTemporaryFile(suffix=".img") as disk:
        disk.truncate(64 << 20)
        with Guest(*flags(arch, 2, HARDWARE + ";echo%20end-of$x-test", "-usb", "-nic",
                          "user,model=e1000", "-drive", f"file={disk.name},format=raw",
                          "-cdrom", f"{FOLDER}/demo.iso", *more), command=program) as guest:
            text = guest.wait_serial("end-of-test\n", timeout=240)
            guest.wait_exit(30)
            if not program:
                check_log(guest)
    return text


def found(pattern, text):
    return set(re.findall(pattern, text, re.M))


def hardware_as_in_qemu(arch):
    ours, theirs = hardware(arch), hardware(arch, program="qemu-system-x86_64")
    # Everything that a line of the log or of /sys says the same way on both.
    for what, pattern in (
            ("PCI functions with class and driver", r"^function (.*)$"),
            ("drives with DMA modes", r"^mode (.*)$"),
            ("channels", r"(ata\d: PATA max \S+) "),
            ("best modes of the drives", r"(ata\d\.00: ATA\S*).*(max UDMA/\d+)"),
            ("sectors", r"(ata\d\.00: \d+ sectors)"),
            ("partitions", r"^ +\d+ +\d+ +\d+ (\w+)$"),
            ("framebuffer", r"^fb (.*)$"),
            ("framebuffer console", r"switching to (colour frame buffer device \S+)"),
            ("serial port", r"(ttyS0 at I/O 0x3f8 \(irq = 4.*)$"),
            ("legacy devices", r"(serio: i8042 \w+ port at .*)$"),
            ("interrupt links", r"(ACPI: PCI: Interrupt link \w+ configured for IRQ \d+)"),
            ("HPET", r"(hpet0: .*)$"),
            ("legacy I/O ports", r"^port +(0[0-3]\w\w-\w+ : (?!rtc|PNP|\d|0000).*)$")):
        we, they = found(pattern, ours), found(pattern, theirs)
        assert they, f"QEMU's log shows no {what}"
        assert we >= they, f"{what}: QEMU also has {they - we}, we {we - they}"
        print(f"# {what}: {len(we)}, as in QEMU" + (f", and {we - they}" if we - they else ""))
    assert {"APIC", "DSDT", "FACP", "FACS", "HPET", "WAET"} <= found(r"^table (\w+)", ours)
    assert "current_clocksource tsc" in ours, "the clock is not the TSC"
    assert {"tsc", "hpet", "acpi_pm"} <= set(
        re.search(r"available_clocksource (.*)", ours)[1].split())
    assert "events lapic" in ours, "the local APIC's timer is not the clock event device"


def hardware_amd64():
    hardware_as_in_qemu("amd64")


def hardware_i386():
    hardware_as_in_qemu("686")


def by_uefi():
    """EDK2's firmware brings up the board by itself and starts the kernel, which uses its services."""
    command = "ls%20/sys/firmware/efi/efivars%20|%20wc%20-l;dmesg;echo%20end-of$x-test"
    with tempfile.NamedTemporaryFile() as log:
        with Guest(*flags("amd64", 2, command, "-m", "512M", "-bios", "/usr/share/ovmf/OVMF.fd",
                          "-cdrom", f"{FOLDER}/demo.iso", "-debugcon", f"file:{log.name}",
                          "-global", "isa-debugcon.iobase=0x402")) as guest:
            text = guest.wait_serial("end-of-test\n", timeout=240)
            print(f"# user space after {guest.seconds():.1f} s")
            guest.wait_exit(30)
            check_log(guest)
    for line in "efi: EFI v", "Registered efivars operations", "efifb: mode is 1280x800x32":
        assert line in text, f"the kernel did not say: {line}"


def under_xen():
    """Xen's kernel runs in ring 0, its domain 0, a Debian, in ring 3: by page tables that Xen checks,
    segments and traps that it passes on, emulated instructions and its own time."""
    command = "nproc;cat%20/sys/hypervisor/type;dmesg;echo%20end-of$x-test"
    kernel = f"{FOLDER}/vmlinuz-amd64 console=hvc0 apiary.run={command}"
    with Guest("-m", "1G", "-smp", "2", "-kernel", f"{FOLDER}/xen",
               "-append", "console=com1 com1=115200 dom0_mem=600M",
               "-initrd", f"{kernel},{FOLDER}/initrd-amd64.gz", "-no-reboot") as guest:
        text = guest.wait_serial("end-of-test\n", timeout=240).replace("\r", "")
        print(f"# user space after {guest.seconds():.1f} s")
        guest.wait_exit(30)
        check_log(guest)
    assert "\n2\nxen\n" in text, "not two processors under Xen"


if __name__ == "__main__":
    sys.exit(run([one_cpu, two_cpus, four_cpus, i386, i386_two_cpus, hardware_amd64,
                  hardware_i386, pcid, by_uefi, under_xen]))
