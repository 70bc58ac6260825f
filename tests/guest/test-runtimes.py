#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that write their own code while they run: V8, HotSpot, SBCL and PyPy, the host's, in a guest. What
they print must be what they print on the host, on one vCPU and on four."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from guest import DELAYS, FAULTS, Failure, Guest, run
from initrd import copy_into, initrd_with, libraries

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
SOURCES = os.path.join(os.path.dirname(os.path.realpath(__file__)), "runtimes")
TIMES = 3  # that each is run: threads do not meet in the same way twice

JAVA = os.path.dirname(os.path.dirname(os.path.realpath("/usr/bin/java")))
# Name: its program, the source it runs, and what else it needs.
RUNTIMES = {
    "node": ("/usr/bin/node", "program.js", []),
    "java": (f"{JAVA}/bin/java", "Program.java",
             [f"{JAVA}/lib", f"{JAVA}/conf", *glob.glob("/etc/java-*")]),
    "sbcl": ("/usr/bin/sbcl", "program.lisp", ["/usr/lib/sbcl"]),
    "pypy": (os.path.realpath("/usr/bin/pypy3"), "program.py", glob.glob("/usr/lib/pypy3*")),
}
OPTIONS = {"sbcl": ["--script"]}


def command(name):
    program, source, _ = RUNTIMES[name]
    return [program, *OPTIONS.get(name, []), os.path.join(SOURCES, source)]


def make_initrd(folder):
    tree = os.path.join(folder, "tree")
    for program, _, parts in RUNTIMES.values():
        if not os.path.exists(program):
            raise Failure(f"{program} is not installed; ./dev test soak does it")
        files = {program, *libraries(program)}
        for part in parts:
            copy_into(tree, part)
            for library in glob.glob(f"{part}/**/*.so*", recursive=True):
                files |= set(libraries(library))
        for path in files:
            copy_into(tree, path)
    copy_into(tree, SOURCES)
    lines = ["export HOME=/tmp LANG=C", "mount -t tmpfs tmpfs /dev/shm"]
    for name in RUNTIMES:
        lines.append(f"echo begin-{name}; {' '.join(command(name))} 2>&1 | cat; echo end-{name}")
    with open(os.path.join(tree, "runtimes"), "w") as script:
        script.write("\n".join(lines) + "\n")
    path = initrd_with(tree, folder)
    shutil.rmtree(tree)
    return path


def expected(name):
    return subprocess.run(command(name), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, check=True).stdout


def equal_results(cpus):
    wanted = {name: expected(name) for name in RUNTIMES}
    with tempfile.TemporaryDirectory() as folder:
        initrd = make_initrd(folder)
        script = (";".join(["sh /runtimes"] * TIMES) + ";echo all-run").replace(" ", "%20")
        with Guest("-m", "3G", "-smp", str(cpus), "-nic", "none", "-no-reboot",
                   "-kernel", f"{FOLDER}/vmlinuz-amd64", "-initrd", initrd,
                   "-append", f"console=ttyS0 quiet apiary.run={script}") as guest:
            guest.wait_serial("all-run", timeout=1800)
            text = guest.serial().replace("\r", "")
    for name, output in wanted.items():
        found = re.findall(rf"^begin-{name}\n(.*?)^end-{name}$", text, re.M | re.S)
        assert len(found) == TIMES, f"{name} ran {len(found)} times"
        for result in found:
            assert result == output, f"{name} printed\n{result}and on the host\n{output}"
    complaint = re.search(f"{FAULTS}|{DELAYS}", text)
    assert not complaint, f"the guest's kernel complains: {text[complaint.start():][:1000]}"


def one_cpu():
    equal_results(1)


def four_cpus():
    equal_results(4)


if __name__ == "__main__":
    sys.exit(run([one_cpu, four_cpus]))
