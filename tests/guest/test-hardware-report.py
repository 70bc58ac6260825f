#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What syslinux's hardware report (hdt.c32) lists is compared with what the machine has, and with what
the same CD lists in QEMU: PCI functions, VESA modes, DMI and ACPI tables, processor, disks."""

import os
import re
import sys
import tempfile
import time

import cds
from guest import Failure, Guest, program, run

CONFIGURATION = """serial 0 115200
default hdt
label hdt
  com32 hdt.c32
  append nomenu quiet auto='{commands}; set mode hdt; show hdt'
"""
END = "Project Leader"
DISK_MIB = 64


def report(commands, *flags, command=None):
    """hdt's answers to COMMANDS on a serial line, and the machine's own list of its PCI functions."""
    with tempfile.TemporaryDirectory() as folder:
        iso = cds.isolinux(folder, CONFIGURATION.format(commands="; ".join(commands)),
                           ["hdt", "libmenu", "libgpl"], ["/usr/share/misc/pci.ids"])
        disk = os.path.join(folder, "disk.img")
        with open(disk, "wb") as file:
            file.truncate(DISK_MIB << 20)
        with Guest("-m", "256M", "-cdrom", iso, "-drive", f"file={disk},format=raw", "-boot", "d",
                   *flags, command=command) as guest:
            end, pages = time.monotonic() + 90, 0
            while END not in guest.serial():
                if guest.serial().count("--More--") > pages:
                    pages += 1
                    guest.key("spc")
                if time.monotonic() > end:
                    raise Failure("the report did not come to its end")
                time.sleep(0.1)
            text = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[%(][@0B]|[@)][0B]?)", "", guest.serial())
            text = text.replace("--More--", "")
            return text[text.index("Entering Auto mode"):], guest.monitor("info pci")


def fields(text):
    """The `Name : value` lines, the last of a name."""
    return {name.strip(): value.strip()
            for name, value in re.findall(r"^\s*([^:\n]+?)\s*: (.*)$", text, re.M)}


def pci_functions(text):
    """What `info pci` lists: (slot, function) -> (vendor:device, subsystem)."""
    found = {}
    for block in text.split("  Bus  0, device")[1:]:
        slot, function = re.match(r"\s*(\d+), function (\d+)", block).groups()
        device = re.search(r"PCI device (\w+:\w+)", block)[1]
        subsystem = re.search(r"PCI subsystem (\w+:\w+)", block)
        found[int(slot), int(function)] = (device, subsystem[1] if subsystem else "0000:0000")
    return found


def pci_devices():
    count = 7
    text, machine = report(["set mode pci"] + [f"show device {i}" for i in range(1, count + 1)],
                           "-nic", "user,model=e1000", "-usb")
    listed = {}
    for block in text.split("PCI Device ")[1:]:
        f = fields(block)
        assert f["PCI Bus"] == "00", block
        listed[int(f["PCI Slot"], 16), int(f["PCI Func"], 16)] = (
            f"{f['Vendor ID']}:{f['Product ID']}", f"{f['SubVendor ID']}:{f['SubProduct ID']}")
    expected = pci_functions(machine)
    print(f"# {len(listed)} PCI functions")
    assert len(expected) == count, f"the machine has {len(expected)} functions"
    assert listed == expected, f"listed {listed}, the machine has {expected}"
    for name in ("Host bridge", "ISA bridge", "IDE interface", "VGA compatible controller",
                 "Ethernet controller", "USB controller", "Bridge"):
        assert f"Class Name    : {name}" in text, f"no {name} in the report"


def vesa_modes():
    def modes(command):
        text, _ = report(["set mode vesa", "show modes"], command=command)
        rows = re.findall(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(0x\w+)\s*$", text, re.M)
        assert len(rows) > 20, "no list of modes"
        return {tuple(map(int, row[:3])) + (row[4],) for row in rows}
    ours, theirs = modes(None), modes("qemu-system-x86_64")
    print(f"# {len(ours)} VESA modes")
    assert ours - theirs == set(), f"only here: {ours - theirs}"
    # With 16 MiB, Bochs' card ends at 2560x1600; QEMU's offers what fits the memory.
    missing = {mode for mode in theirs - ours if mode[0] <= 2560 and mode[1] <= 1600}
    assert not missing, f"only in QEMU: {missing}"
    for depth in 16, 24, 32:
        assert any(mode[:3] == (1920, 1080, depth) for mode in ours), f"no 1920x1080x{depth}"


DMI = ["set mode dmi", "show list", "show bios", "show system", "show chassis", "show cpu",
       "show bank 0"]


def dmi_tables():
    text, _ = report(DMI, "-smp", "2", "-name", "Reported machine")
    theirs, _ = report(DMI, "-smp", "2", command="qemu-system-x86_64")

    def section(text, title, end):
        return fields(text[text.index(title):].split(end)[0])
    bios, system = section(text, "\nBIOS\n", "\nSystem\n"), section(text, "\nSystem\n", "\nChassis")
    assert bios["Vendor"] == "SeaBIOS", bios
    if "qemu" not in program()[0]:
        assert system["Manufacturer"] == "Apiary" and "i440FX" in system["Product Name"], system
        assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", system["UUID"]), system
    everything = fields(text)
    assert everything["Size"] == "256 MB", everything
    assert everything["Device Loc."] == "DIMM 0" and everything["Form Factor"] == "DIMM"
    assert everything["Product"], everything
    # Every value that QEMU's tables give a name to has one here.
    missing = fields(theirs).keys() - everything.keys()
    assert not missing, f"QEMU's report also has {missing}"
    print(f"# {len(everything)} DMI values")


def acpi_tables():
    def tables(command):
        text, _ = report(["set mode acpi", "show"], command=command)
        assert "Local APIC at 0xfee00000" in text
        return set(re.findall(r"^(\w{4}) .*@ 0x", text, re.M))
    ours, theirs = tables(None), tables("qemu-system-x86_64")
    print("# ACPI tables:", " ".join(sorted(ours)))
    assert theirs <= ours, f"QEMU also has {theirs - ours}"


def processor_memory_and_disks():
    commands = ["set mode cpu", "show cpu", "set mode memory", "show memory", "set mode disk",
                "show disks"]
    text, _ = report(commands, "-smp", "2")
    theirs, _ = report(commands, "-smp", "2", command="qemu-system-x86_64")
    values = fields(text)
    assert "CPU (2 logical / 1 phys)" in text and values["CPU Cores"] == "2", values
    assert "x86_64 64bit SMP" in values["Features"], values
    assert re.search(r"Memory Size\s*: 25[56] MB", text), "wrong memory size"

    def disks(of):
        return of[of.index("DISK 0x80:"):of.index("\nHDT\n")].strip()
    assert f"{DISK_MIB}.00 MiB" in disks(text), disks(text)
    assert disks(text) == disks(theirs), f"{disks(text)}\nand in QEMU {disks(theirs)}"


if __name__ == "__main__":
    sys.exit(run([pci_devices, vesa_modes, dmi_tables, acpi_tables, processor_memory_and_disks]))
