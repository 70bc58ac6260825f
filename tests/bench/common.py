# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of the bench share: the contestants, Linux guests, tables."""

import os
import re
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "guest"))

from guest import Failure, Guest, processor_seconds  # noqa: E402

GUESTS = os.environ.get("GUEST_FOLDER", os.path.join(ROOT, "build", "guests"))
APIARY = os.environ.get("APIARY", os.path.join(ROOT, "build/app/apiary"))
PROGRAMS = {
    "QEMU": "qemu-system-x86_64 -cpu max",
    "Apiary": f"{APIARY} run",
}
KERNEL = os.path.join(GUESTS, "vmlinuz-amd64")
INITRD = os.path.join(GUESTS, "initrd-amd64.gz")
RAM_MIB = 1024
# How far a guest's clock may be off. On some hosts Linux takes QEMU's time stamp counter for one that is
# some percents faster or slower.
CLOCK_TOLERANCE = {"QEMU": 0.06, "Apiary": 0.02}


class Options:
    """How long the bench may take."""

    def __init__(self, rounds, quick):
        self.rounds, self.quick = rounds, quick


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def median(values):
    return statistics.median(values) if values else float("nan")


def geomean(values):
    return statistics.geometric_mean(values) if values else float("nan")


def table(header, rows):
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header),
            *("| " + " | ".join(row) + " |" for row in rows), ""]


# --- guests ----------------------------------------------------------------------------------------


def compile_c(name, folder):
    program = os.path.join(folder, name)
    subprocess.run(["gcc", "-O2", "-static", "-o", program, os.path.join(HERE, name + ".c"), "-lm"],
                   check=True)
    return program


def linux(who, script, initrd=INITRD, cpus=1, **more):
    """A guest that runs SCRIPT, a line of shell, and powers off."""
    return Guest("-m", f"{RAM_MIB}M", "-smp", str(cpus), "-nic", "none", "-no-reboot",
                 "-kernel", KERNEL, "-initrd", initrd, "-append",
                 "console=ttyS0 quiet apiary.run=" + script.replace(" ", "%20"),
                 command=PROGRAMS[who], **more)


def run_script(who, script, initrd, timeout, cpus=1):
    """The serial text of a guest that ran SCRIPT. The guest's clock, which its own figures are read
    from, is held against the host's over the whole script."""
    clock = "cut -d' ' -f1 /proc/uptime"
    seen = {}
    with linux(who, f"echo clock-begin $({clock});{script};echo clock-end $({clock})",
               initrd, cpus) as guest:
        end = time.monotonic() + timeout
        while "clock-end" not in seen:
            text = guest.serial()
            for mark in "clock-begin", "clock-end":
                found = re.search(rf"^{mark} ([\d.]+)$", text, re.M)
                if found and mark not in seen:
                    seen[mark] = (float(found[1]), time.monotonic())
            if guest.process.poll() is not None and "clock-end" not in seen or \
                    time.monotonic() > end:
                raise Failure(f"{who} did not come to the end of the script")
            time.sleep(0.02)
        text = guest.serial()
    theirs = seen["clock-end"][0] - seen["clock-begin"][0]
    ours = seen["clock-end"][1] - seen["clock-begin"][1]
    if abs(theirs - ours) > 0.1 + ours * CLOCK_TOLERANCE[who]:
        raise Failure(f"{who}'s clock is wrong: {theirs:.2f} s in the guest, {ours:.2f} s here")
    return text


# --- processes -------------------------------------------------------------------------------------


def memory_over_ram(pid, ram_mib):
    """MiB in memory that are not the guest's RAM (mappings of half its size and more): each page
    once, and what other processes map too in shares (PSS); and as often as it is mapped (RSS),
    which is twice for a code cache that is written at one address and executed at another."""
    sizes, size = {"Pss:": 0, "Rss:": 0}, 0
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            words = line.split()
            if words[0] == "Size:":
                size = int(words[1])
            elif words[0] in sizes and size < ram_mib * 1024 // 2:
                sizes[words[0]] += int(words[1])
    return sizes["Pss:"] / 1024, sizes["Rss:"] / 1024


# --- results of small programs ---------------------------------------------------------------------


class Contest:
    """Seconds and checksums of workloads: native, QEMU and Apiary in turn, round after round."""

    CONTESTANTS = ["native", *PROGRAMS]

    def __init__(self):
        self.seconds = {who: {} for who in self.CONTESTANTS}
        self.sums = {}
        self.names = set()

    def take(self, who, text):
        """Lines `result NAME SECONDS CHECKSUM`; what computes something else ends the bench."""
        found = re.findall(r"^result (\S+) ([\d.]+) (\w+)\s*$", text, re.M)
        names = {name for name, _, _ in found}
        self.names = self.names or names
        if not names or names != self.names:
            raise Failure(f"{who} has no result for {self.names - names or 'anything'}:\n"
                          f"{text[-1000:]}")
        for name, seconds, checksum in found:
            self.seconds[who].setdefault(name, []).append(float(seconds))
            first, expected = self.sums.setdefault(name, (who, checksum))
            if expected != checksum:
                raise Failure(f"{name}: {who} computes {checksum}, {first} {expected}")

    def rows(self, groups):
        """Table rows by groups of (title, names), each with its geometric mean."""
        rows = []
        for title, names in groups:
            ratios = []
            for name in names:
                if any(name not in self.seconds[who] for who in self.CONTESTANTS):
                    continue
                native, qemu, apiary = (median(self.seconds[who][name]) for who in self.CONTESTANTS)
                ratios.append((native / qemu, native / apiary, qemu / apiary))
                rows.append([name, f"{native:.3f}", f"{qemu:.3f}", f"{apiary:.3f}",
                             *(f"{value:.2f}" for value in ratios[-1][:2]), f"{ratios[-1][2]:.2f}x"])
            if ratios:
                means = [geomean(column) for column in zip(*ratios)]
                rows.append([f"**{title}, geomean**", "", "", "", f"**{means[0]:.2f}**",
                             f"**{means[1]:.2f}**", f"**{means[2]:.2f}x**"])
        return rows

    HEADER = ["workload", "native s", "QEMU s", "Apiary s", "QEMU/native", "Apiary/native",
              "Apiary vs QEMU"]
