# SPDX-License-Identifier: GPL-3.0-or-later
"""Common programs from Debian's packages: the same files with the same inputs run natively, in QEMU and in
Apiary, and must write the same output."""

import glob
import math
import os
import random
import shutil
import struct
import subprocess
import tempfile

from common import Contest, PROGRAMS, compile_c, run_script, say, table
from initrd import copy_into, initrd_with, libraries  # after common, which finds tests/guest

# The inputs lie here, natively and in the guest, so that file names in outputs are equal.
PLACE = "/tmp/apiary-bench"
SEARCH = "/usr/bin:/bin"  # where packages install, and nothing else

PYTHON = """
def solve(n, row, columns, left, right):
    if row == n:
        return 1
    found = 0
    for c in range(n):
        if not (columns >> c & 1 or left >> (row + c) & 1 or right >> (row - c + n) & 1):
            found += solve(n, row + 1, columns | 1 << c, left | 1 << row + c, right | 1 << row - c + n)
    return found
words = {}
x = 42
for i in range(SCALE * 60000):
    x = (x * 1103515245 + 12345) & 0x7fffffff
    key = "w%d" % (x >> 8 & 4095)
    words[key] = words.get(key, 0) + 1
print(solve(7, 0, 0, 0, 0), sorted(words.items(), key=lambda item: (-item[1], item[0]))[:20])
"""

LUA = """
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
local t, x = {}, 42
for i = 1, SCALE * 200000 do
  x = (x * 16807) % 2147483647
  t[x % 5003 + 1] = (t[x % 5003 + 1] or 0) + i % 7
end
local s = 0
for i = 1, 5003 do s = (s * 31 + (t[i] or 0)) % 1000003 end
local parts = {}
for i = 1, SCALE * 20000 do parts[#parts + 1] = string.format("%d:%x", i, i * 3) end
print(fib(24), s, #table.concat(parts, ","))
"""

PERL = """
my ($x, %count, $text) = (42);
for my $i (1 .. SCALE * 60000) {
    $x = ($x * 16807) % 2147483647;
    $count{"w" . $x % 4099}++;
    $text .= "word" . ($x % 97) . ($i % 9 ? " " : "\\n");
}
my $matches = () = $text =~ /word(\\d)\\1\\b/g;
(my $changed = $text) =~ s/word(\\d+)/$1w/g;
print join(",", map { "$_=$count{$_}" } (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 9]),
    " $matches ", length($changed), "\\n";
"""

SQL = """
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value INTEGER);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < SCALE * 15000)
INSERT INTO t SELECT i, 'name' || (i * 7919 % 10007), i * 104729 % 65521 FROM n;
CREATE INDEX by_name ON t(name);
COMMIT;
SELECT count(*), sum(value) FROM t WHERE name LIKE 'name1%';
SELECT name, count(*), max(value) FROM t GROUP BY name ORDER BY 3 DESC, 1 LIMIT 20;
SELECT count(*) FROM t a JOIN t b ON a.name = b.name AND a.id < b.id;
UPDATE t SET value = value + 1 WHERE value % 3 = 0;
SELECT sum(value) FROM t;
"""


# --- inputs ----------------------------------------------------------------------------------------


def write_text(path, size):
    """Words with the frequencies of a language, the same every time."""
    source = random.Random(1)
    words = ["".join(source.choices("etaoinshrdlucmfwypvbgk", range(22, 0, -1),
                                    k=source.randint(2, 9))) for _ in range(8000)]
    weights = [1 / (rank + 2) for rank in range(len(words))]
    with open(path, "w") as file:
        written = 0
        while written < size:
            line = " ".join(source.choices(words, weights, k=12)) + ".\n"
            file.write(line)
            written += len(line)


def write_sound(path, seconds):
    """A WAV file: chords with a little noise, 44.1 kHz, mono."""
    source, rate = random.Random(2), 44100
    samples = bytearray()
    for i in range(seconds * rate):
        base = 220 * 2 ** ((i // (rate // 4)) % 12 / 12)
        value = sum(math.sin(2 * math.pi * base * harmonic * i / rate) / harmonic
                    for harmonic in (1, 2, 3))
        samples += struct.pack("<h", int(9000 * value + source.randint(-300, 300)))
    with open(path, "wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + len(samples)) + b"WAVEfmt " +
                   struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16) + b"data" +
                   struct.pack("<I", len(samples)) + samples)


def write_c(path, functions):
    """A C file of many functions, preprocessed: it needs no header."""
    source = random.Random(3)
    with open(path, "w") as file:
        for n in range(functions):
            file.write(f"static unsigned table{n}[64];\n"
                       f"unsigned f{n}(unsigned a, unsigned b, unsigned *p)\n{{\n"
                       f"    unsigned s = {source.randrange(1 << 16)};\n")
            for _ in range(source.randint(4, 9)):
                m, k = source.randrange(3, 60), source.randrange(1, 31)
                file.write(source.choice((
                    f"    for (unsigned i = 0; i < {m}; i++)\n"
                    f"        s += table{n}[i & 63] * (a >> {k}) ^ p[i];\n",
                    f"    switch ((a ^ s) & 7) {{\n    case 1: s += b * {m}; break;\n"
                    f"    case 2: s ^= a << {k}; break;\n    case 5: p[{m}] = s; break;\n"
                    f"    default: s = s * {m} + b;\n    }}\n",
                    f"    if (a % {m} < b)\n        table{n}[s & 63] = a / (b | 1);\n"
                    f"    else\n        s = s >> {k} | s << {32 - k};\n",
                    f"    while (s > a + {m})\n        s = (s >> 1) - b % {m};\n")))
            called = f"f{source.randrange(n)}(b, s, p)" if n else "a"
            file.write(f"    return s + {called};\n}}\n")


def prepare_inputs(scale):
    shutil.rmtree(PLACE, ignore_errors=True)
    os.makedirs(PLACE)
    text = os.path.join(PLACE, "text")
    write_text(text, scale * 500_000)
    write_sound(os.path.join(PLACE, "sound.wav"), scale * 2)
    write_c(os.path.join(PLACE, "code.i"), scale * 20)
    for name, content in (("run.py", PYTHON), ("run.lua", LUA), ("run.pl", PERL), ("run.sql", SQL)):
        with open(os.path.join(PLACE, name), "w") as file:
            file.write(content.replace("SCALE", str(scale)))
    for packer, ending in ((["xz", "-6"], "xz"), (["zstd", "-q", "-6"], "zst"),
                           (["gzip", "-n"], "gz")):
        with open(f"{text}.{ending}", "wb") as file:
            subprocess.run([*packer, "-c", text], stdout=file, check=True)


def label(name):
    """A word for a result line."""
    return name.replace(" -", "-").replace(" ", "-")


# --- the programs ----------------------------------------------------------------------------------


def workloads():
    """(name, command) of what is installed; each writes its result to standard output."""
    text, key = f"{PLACE}/text", "00112233445566778899aabbccddeeff"
    compiler = glob.glob("/usr/lib/gcc/x86_64-linux-gnu/*/cc1")
    every = [
        ("xz", ["xz", "-6", "-T1", "-c", text]),
        ("unxz", ["xz", "-dc"] + [f"{text}.xz"] * 8),
        ("zstd", ["zstd", "-q", "-12", "--single-thread", "-c", text]),
        ("unzstd", ["zstd", "-q", "-dc"] + [f"{text}.zst"] * 20),
        ("gzip", ["gzip", "-n", "-c", text, text]),
        ("gunzip", ["gzip", "-dc"] + [f"{text}.gz"] * 12),
        ("bzip2", ["bzip2", "-c", text]),
        ("openssl sha256", ["openssl", "dgst", "-sha256"] + [text] * 60),
        ("openssl aes-256-cbc", ["openssl", "enc", "-aes-256-cbc", "-K", key * 2, "-iv", key, "-in",
                                 text]),
        ("openssl prime", ["openssl", "prime", "-hex", "-checks", "16", "7" + "F" * 550]),
        ("python3", ["python3", "-S", "-E", "-I", f"{PLACE}/run.py"]),
        ("lua", ["lua5.4", f"{PLACE}/run.lua"]),
        ("luajit", ["luajit", f"{PLACE}/run.lua"]),
        ("perl", ["perl", f"{PLACE}/run.pl"]),
        ("sqlite3", ["sqlite3", ":memory:", f".read {PLACE}/run.sql"]),
        ("gcc -O2", [compiler[-1] if compiler else "cc1", "-O2", "-quiet", "-fpreprocessed",
                     f"{PLACE}/code.i", "-o", "-"]),
        ("lame", ["lame", "--quiet", "-b", "128", f"{PLACE}/sound.wav", "-"]),
    ]
    present = [(name, command) for name, command in every if shutil.which(command[0], path=SEARCH)]
    for name, command in every:
        if not shutil.which(command[0], path=SEARCH):
            say(f"{command[0]} is not installed: {name} is left out")
    return present


def make_tree(tree, present, stopwatch):
    """The programs with what they load, and the inputs, for the guest's file system."""
    copy_into(tree, PLACE)
    paths = {stopwatch}
    for _, command in present:
        program = os.path.realpath(shutil.which(command[0], path=SEARCH))
        paths |= {program, *libraries(program)}
    for path in paths:
        copy_into(tree, path)
    for _, command in present:  # under the name that it is called by
        called = shutil.which(command[0], path=SEARCH)
        real = os.path.realpath(called)
        if called != real:
            place = os.path.join(tree, called.lstrip("/"))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            if not os.path.lexists(place):
                os.symlink(real, place)
    for pattern in "/usr/lib/python3.*/encodings", "/usr/lib/x86_64-linux-gnu/perl-base/*.pm":
        for path in glob.glob(pattern):
            copy_into(tree, path)
    for path in "/etc/ssl/openssl.cnf", "/usr/lib/ssl/openssl.cnf":
        if os.path.exists(path):
            copy_into(tree, path)


def run(options):
    contest = Contest()
    with tempfile.TemporaryDirectory() as folder:
        prepare_inputs(2 if options.quick else 8)
        try:
            present = workloads()
            stopwatch = compile_c("stopwatch", folder)
            tree = os.path.join(folder, "tree")
            make_tree(tree, present, stopwatch)
            # One script, so that native and guests run the very same lines.
            script = os.path.join(PLACE, "all")
            with open(script, "w") as file:
                file.write(f"#!/bin/sh\nexport PATH={SEARCH} LANG=C OPENSSL_CONF=/dev/null\n")
                for name, command in present:
                    words = " ".join(f"'{word}'" for word in command)
                    file.write(f"{stopwatch} '{label(name)}' {PLACE}/output {words}\n")
            copy_into(tree, script)
            initrd = initrd_with(tree, folder)
            for number in range(options.rounds):
                for who in Contest.CONTESTANTS:
                    say(f"programs, round {number + 1} of {options.rounds}: {who}")
                    if who in PROGRAMS:
                        text = run_script(who, f"sh {script}", initrd, 3600)
                    else:
                        text = subprocess.run(["sh", script], stdout=subprocess.PIPE, text=True,
                                              check=True).stdout
                    contest.take(who, text)
        finally:
            shutil.rmtree(PLACE, ignore_errors=True)
    return table(Contest.HEADER, contest.rows(
        [("programs", [label(name) for name, _ in present])]))
