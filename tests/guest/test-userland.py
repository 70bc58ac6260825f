#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole Debian userland as a test of the processor: a large installation by apt-get, programs built by
gcc and their own tests, Python's and OpenSSL's own tests, libc's functions on each -cpu model compared
with the host's, and stress-ng with --verify. A case fails at a command that fails, at what the kernel
complains of, and at a wrong result. Each runs on four vCPUs and on one.

USERLAND_STRESS=SECONDS sets how long stress-ng runs."""

import contextlib
import os
import re
import subprocess
import sys
import time

from guest import Failure, Guest, free_port, processor_seconds, run, waiting_seconds
from journey_steps import COMPLAINTS, FOLDER, PANIC, prepared_disk, scratch, ssh, tool, wait_ssh

ISO = os.path.join(FOLDER, "userland.iso")
DISK = os.path.join(FOLDER, "userland.qcow2")
INSTALLED = os.path.join(FOLDER, "installed.qcow2")
LIBC_SUMS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "userland", "libc-sums.c")
STRESS_SECONDS = int(os.environ.get("USERLAND_STRESS", "1200"))
# Of the kernel's complaints, besides those of every guest.
PROCESSOR_COMPLAINTS = re.compile(r"rcu: INFO|stalls on|unstable|\[Hardware Error\]")
PATIENCE = 7200 # seconds for a command, on a busy host


class Userland:
    """A started guest that is spoken to by ssh."""

    def __init__(self, guest, port, model):
        self.guest, self.port = guest, port
        # Linux calls the clocks of several processors of AMD's unsynchronised without looking, unless
        # CPUID shows an invariant TSC.
        self.harmless = () if model in ("max", "host") else ("due to TSCs unsynchronized",)

    def run(self, command, timeout=PATIENCE):
        """COMMAND's output; it must succeed."""
        return ssh(self.port, f"set -e\n{command}", timeout, connect=600)

    def measure(self, what, command):
        """As run(), and says how long it took."""
        begin = time.monotonic()
        text = self.run(command)
        print(f"# {what}: {time.monotonic() - begin:.0f} s", flush=True)
        return text

    def complaints(self):
        return [line for line in self.run("dmesg").splitlines()
                if (COMPLAINTS.search(line) or PROCESSOR_COMPLAINTS.search(line))
                and not any(word in line for word in self.harmless)]

    def check_kernel(self):
        wrong = self.complaints()
        if wrong:
            process = self.guest.process.pid
            raise Failure(f"the machine's threads ran for {processor_seconds(process):.0f} s and waited "
                          f"{waiting_seconds(process):.0f} s for the host's processors; the kernel "
                          "complains:\n" + "\n".join(wrong[:40]))
        print("# the kernel has nothing to complain of", flush=True)


@contextlib.contextmanager
def userland(cpus, model="max", base=DISK):
    """BASE's system with the CD in /cdrom; in the end the kernel must have nothing to complain of."""
    with scratch() as folder:
        disk, port = prepared_disk(folder, base), free_port()
        with Guest("-m", "2G", "-smp", str(cpus), "-cpu", model, "-hda", disk, "-cdrom", ISO,
                   "-boot", "c", "-device", "e1000,netdev=net0", "-netdev",
                   f"user,id=net0,hostfwd=tcp::{port}-:22") as guest:
            wait_ssh(port, 1800, lambda: guest.process.poll() is not None or PANIC in guest.serial())
            print(f"# {cpus} vCPUs, -cpu {model}: ssh after {guest.seconds():.0f} s", flush=True)
            system = Userland(guest, port, model)
            system.run("mkdir -p /cdrom; mount -o ro /dev/sr0 /cdrom")
            suite = "$(ls /cdrom/dists)"
            system.run(f'for kind in deb deb-src; do echo "$kind [trusted=yes] file:/cdrom {suite} main"; '
                       'done > /etc/apt/sources.list; apt-get -qq update')
            try:
                yield system
            except Failure:
                with contextlib.suppress(Failure, subprocess.SubprocessError):
                    print("# the kernel's complaints:", *system.complaints(), sep="\n# ")
                raise
            system.check_kernel()


# --- cases ---


def apt_get(cpus):
    with userland(cpus, base=INSTALLED) as system:
        before = int(system.run("dpkg -l | grep -c ^ii"))
        system.measure("apt-get install",
                       "export DEBIAN_FRONTEND=noninteractive; apt-get -q -y -o Dpkg::Use-Pty=0 "
                       "-o APT::Install-Recommends=false install $(cat /cdrom/packages)")
        after = int(system.run("dpkg -l | grep -c ^ii"))
        print(f"# {after - before} packages installed")
        if after - before < 150:
            raise Failure("that is not a large set")
        wrong = system.run("dpkg --audit; dpkg --verify")
        if wrong:
            raise Failure("dpkg finds wrong files: " + wrong)


def python(cpus):
    names = ("test_long test_int test_float test_complex test_math test_cmath test_decimal test_fractions "
             "test_struct test_array test_hashlib test_hmac test_zlib test_bz2 test_lzma test_random "
             "test_statistics test_thread test_threading test_threading_local test_queue test_signal "
             "test_mmap test_re test_json test_sort test_strtod test_binascii test_memoryview")
    with userland(cpus) as system:
        # A fortieth of the time-out is what tests of signals and threads wait for an answer.
        text = system.measure("python3 -m test", "python3 -m test --timeout 20000 "
                              f"-j{cpus + 1} {names} 2>&1")
        print("#", *re.findall(r"^(?:All \d+ tests OK\.|Total .*|\d+ tests? .*)$", text, re.M))
        if "Tests result: SUCCESS" not in text:
            raise Failure(text[-3000:])


# Names of source packages; what makes up for the documentation that Debian leaves out and make asks for,
# and for the English locale of gawk's tests; options of configure; the words of success.
PROGRAMS = (
    ("gmp",
     r"mkdir doc; printf 'all check:\n' > doc/Makefile.in; touch aclocal.m4; "
     "touch configure config.in $(find . -name Makefile.in)",
     "--enable-fat --disable-shared", r"# PASS: +\d+"),
    ("gawk",
     "localedef -i en_US -f UTF-8 en_US.UTF-8; cd doc; "
     "touch gawktexi.in sidebar.awk {gawk,gawkinet,gawkworkflow,pm-gawk}.{texi,info}; "
     "touch ../awklib/stamp-eg",
     "", r"ALL TESTS PASSED"))


def programs(cpus):
    with userland(cpus) as system:
        for name, repair, options, passed in PROGRAMS:
            inside = f"cd /root/{name}-*/; export LC_ALL=C.UTF-8"
            system.measure(f"{name}: apt-get source and configure",
                           f"cd /root; apt-get -qq source {name} 2>&1; {inside}; ({repair}); "
                           f"./configure {options} 2>&1")
            system.measure(f"{name}: make -j{cpus}", f"{inside}; make -j{cpus} 2>&1")
            text = system.measure(f"{name}: make check", f"{inside}; make -j{cpus} check 2>&1")
            found = re.findall(passed, text)
            if not found or re.search(r"# (FAIL|ERROR): +[1-9]|TESTS? FAILED", text):
                raise Failure(f"{name}'s own tests fail:\n" + text[-3000:])
            print(f"# {name}: {' '.join(found)}", flush=True)


# OpenSSL's tests whose answers hang on the code that is chosen by the processor's features.
OPENSSL_TESTS = ("test_evp test_internal_chacha test_internal_poly1305 test_internal_curve448 "
                 "test_internal_modes test_sha test_hmac test_bn test_exp test_ec test_ecdsa "
                 "test_constant_time")
# By model, what it lacks of what glibc's functions are chosen by.
LACKS_WIDE = "-AVX512F,-AVX512VL,-AVX512BW"
LACKS_V3 = LACKS_WIDE + ",-AVX2,-AVX,-FMA,-BMI1,-BMI2,-ERMS"
LACKS_V2 = LACKS_V3 + ",-SSE4_1,-SSE4_2,-SSSE3"
LACKS = {"qemu64": LACKS_V2, "x86-64-v1": LACKS_V2, "x86-64-v2": LACKS_V3, "x86-64-v3": LACKS_WIDE,
         "max": LACKS_WIDE, "host": LACKS_WIDE}


def check_libc(system, model):
    """The sums of libc's results are those of the host, which chooses the same of its functions."""
    environment = {**os.environ, "GLIBC_TUNABLES": "glibc.cpu.hwcaps=" + LACKS[model]}
    with scratch() as folder:
        executable = os.path.join(folder, "libc-sums")
        tool("gcc", "-O2", "-fno-builtin", "-static", "-o", executable, LIBC_SUMS, "-lm")
        want = tool(executable, env=environment)
        with open(executable, "rb") as file:
            ssh(system.port, "cat > /root/libc-sums; chmod +x /root/libc-sums", connect=600,
                timeout=PATIENCE, stdin=file)
    have = system.measure("libc's functions", "/root/libc-sums")
    pairs = list(zip(want.splitlines(), have.splitlines(), strict=True))
    wrong = [f"host: {ours}; guest: {theirs}" for ours, theirs in pairs if ours != theirs]
    if wrong:
        raise Failure("libc's results differ:\n" + "\n".join(wrong))
    print(f"# libc: {len(pairs)} sums are the host's", flush=True)


def check_openssl(system):
    system.run("mkdir /opt/openssl; tar -xzf /cdrom/openssl.tar.gz -C /opt/openssl")
    text = system.measure("OpenSSL's tests", "cd /opt/openssl; SRCTOP=. BLDTOP=. EXE_EXT= "
                          f"perl test/run_tests.pl {OPENSSL_TESTS} 2>&1")
    found = re.findall(r"^(Files=(\d+), .*|Result: .*)$", text, re.M)
    print("#", *(line for line, _ in found))
    if found[-2][1] != str(len(OPENSSL_TESTS.split())) or "Result: FAIL" in text:
        raise Failure(text[-3000:])
    text = system.run("cd /opt/openssl; apps/openssl fipsinstall -module providers/fips.so "
                      "-provider_name fips -out /tmp/fips.cnf 2>&1")
    passed = len(re.findall(r": Pass$", text, re.M))
    print(f"# openssl fipsinstall: {passed} known answers right", flush=True)
    if passed < 20 or "INSTALL PASSED" not in text or ": Fail" in text:
        raise Failure(text)


def of_model(model):
    """A case that is named after MODEL."""
    def case(cpus):
        with userland(cpus, model) as system:
            check_libc(system, model)
            check_openssl(system)
    case.__name__ = model.replace("-", "_")
    return case


# One of each on so many vCPUs makes them compete.
STRESSORS = ("cpu vm mutex futex sem signal sigq sigfd sigsegv sigfpe sigtrap sigsuspend switch context "
             "fault userfaultfd membarrier mcontend atomic lockbus dekker peterson cacheline pthread clone "
             "vecmath matrix")


def stress(cpus):
    with userland(cpus) as system:
        each = " ".join(f"--{name} 1" for name in STRESSORS.split())
        text = system.measure("stress-ng", f"stress-ng {each} --vm-bytes 256M --verify --metrics-brief "
                              f"--timeout {STRESS_SECONDS} 2>&1")
        done = re.findall(r"^stress-ng: metrc: \[\d+\] (\S+) +(\d+) ", text, re.M)
        print("# bogo operations:", " ".join(f"{name} {count}" for name, count in done))
        if "successful run completed" not in text or re.search(r"stress-ng: (fail|error)", text):
            raise Failure(text)


def on(cpus, case):
    """CASE on so many vCPUs, as a test that has a name."""
    def test():
        case(cpus)
    test.__name__ = f"{case.__name__}_{cpus}"
    return test


if __name__ == "__main__":
    sys.exit(run([on(cpus, case) for cpus in (4, 1)
                  for case in (apt_get, programs, python, *map(of_model, LACKS), stress)]))
