# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the host in a guest: the demo's initial RAM disk with more files in it."""

import os
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BASE = os.path.join(os.environ.get("GUEST_FOLDER", os.path.join(ROOT, "build", "guests")),
                    "initrd-amd64.gz")


def libraries(program):
    """The shared libraries of a dynamic program, with the loader."""
    text = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", text)))


def copy_into(tree, path):
    """PATH of the host, a file or a folder, to the same place under TREE."""
    place = os.path.join(tree, path.lstrip("/"))
    os.makedirs(os.path.dirname(place), exist_ok=True)
    if os.path.isdir(path):
        shutil.copytree(path, place, dirs_exist_ok=True, symlinks=False, ignore_dangling_symlinks=True,
                        ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(path, place)


def initrd_with(tree, folder):
    """The demo's initial RAM disk with what is in TREE added, as a file in FOLDER; returns its path."""
    names = subprocess.run(["find", "."], cwd=tree, stdout=subprocess.PIPE, check=True).stdout
    archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], input=names,
                             cwd=tree, stdout=subprocess.PIPE, check=True).stdout
    path = os.path.join(folder, "initrd")
    with open(BASE, "rb") as start, open(path, "wb") as file:
        data = start.read()
        file.write(data + b"\0" * (-len(data) % 4) + archive)
    return path
