# SPDX-License-Identifier: GPL-3.0-or-later
"""Small CPU-bound programs in plain C, and what leans on the guest's kernel."""

import os
import re
import subprocess
import tempfile

from common import Contest, Failure, PROGRAMS, compile_c, median, run_script, say, table
from initrd import copy_into, initrd_with  # after common, which finds tests/guest

GROUPS = (
    ("integer", ["qsort", "sieve", "hash", "crc", "sha", "queens", "strings"]),
    ("calls and interpreters", ["fib", "interp"]),
    ("floating point", ["matmul", "mandel", "nbody", "x87"]),
    ("kernel-heavy", ["forkexec", "pipes", "syscalls", "pagefaults", "memcopy"]),
)


def with_two_cpus(who, program, repeats, initrd):
    """Seconds of what leans on the guest's kernel, by name, with a second CPU there."""
    text = run_script(who, f"{program} {repeats}", initrd, 1800, cpus=2)
    return {name: float(seconds)
            for name, seconds in re.findall(r"^result (\S+) ([\d.]+) ", text, re.M)}


def speed_up(who, program, initrd):
    """How much sooner two CPU-bound processes are done side by side on two CPUs than in turn."""
    job = f"{program} 8 sha >/dev/null"
    clock = "$(cut -d' ' -f1 /proc/uptime)"
    script = f"a={clock};{job};{job};b={clock};{job}&{job};wait;echo parallel $a $b {clock}"
    if who in PROGRAMS:
        text = run_script(who, script, initrd, 600, cpus=2)
    else:
        text = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = re.search(r"^parallel ([\d.]+) ([\d.]+) ([\d.]+)", text, re.M)
    if not found:
        raise Failure(f"{who} did not measure two processes:\n{text[-1000:]}")
    begin, middle, end = map(float, found.groups())
    return (middle - begin) / (end - middle)


def run(options):
    contest, speed_ups = Contest(), {who: [] for who in Contest.CONTESTANTS}
    two_cpus = {who: [] for who in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "tree")
        programs = [compile_c(name, folder) for name in ("kernels", "system")]
        for program in programs:
            copy_into(tree, program)
        initrd = initrd_with(tree, folder)
        repeats = "1" if options.quick else "3"
        for number in range(options.rounds):
            for who in Contest.CONTESTANTS:
                say(f"kernels, round {number + 1} of {options.rounds}: {who}")
                if who in PROGRAMS:
                    text = run_script(who, ";".join(f"{p} {repeats}" for p in programs), initrd, 1800)
                else:
                    text = "".join(subprocess.run([p, repeats], stdout=subprocess.PIPE, text=True,
                                                  check=True).stdout for p in programs)
                contest.take(who, text)
                speed_ups[who].append(speed_up(who, programs[0], initrd))
                if who in PROGRAMS:
                    two_cpus[who].append(with_two_cpus(who, programs[1], repeats, initrd))
    rows = [[name, *(f"{median(contest.seconds[who][name]) / median([r[name] for r in rounds]):.2f}x"
                     for who, rounds in two_cpus.items())] for name in GROUPS[-1][1]]
    return table(Contest.HEADER, contest.rows(GROUPS)) + table(
        ["-smp 2", *speed_ups],
        [["two CPU-bound processes at once, against one after the other",
          *(f"{median(values):.2f}x" for values in speed_ups.values())]]) + table(
        ["-smp 2 against -smp 1", *two_cpus], rows)
