# SPDX-License-Identifier: GPL-3.0-or-later
"""Small CPU-bound programs in plain C, and what leans on the guest's kernel."""

import os
import subprocess
import tempfile

from common import Contest, PROGRAMS, compile_c, copy_into, initrd_with, run_script, say, table

GROUPS = (
    ("integer", ["qsort", "sieve", "hash", "crc", "sha", "queens", "strings"]),
    ("calls and interpreters", ["fib", "interp"]),
    ("floating point", ["matmul", "mandel", "nbody", "x87"]),
    ("kernel-heavy", ["forkexec", "pipes", "syscalls", "pagefaults", "memcopy"]),
)


def run(options):
    contest = Contest()
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
    return table(Contest.HEADER, contest.rows(GROUPS))
