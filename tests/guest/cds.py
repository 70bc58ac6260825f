# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootable CDs that the tests make for themselves with ISOLINUX."""

import os
import shutil
import subprocess

MODULES = "/usr/lib/syslinux/modules/bios"


def isolinux(folder, configuration, modules=(), files=()):
    """Makes FOLDER/boot.iso: ISOLINUX with CONFIGURATION, MODULES of syslinux (names without .c32)
    and FILES of the host beside it."""
    root = os.path.join(folder, "boot-cd")
    loader = os.path.join(root, "isolinux")
    os.makedirs(loader)
    shutil.copy("/usr/lib/ISOLINUX/isolinux.bin", loader)
    for module in ("ldlinux", "libcom32", "libutil", *modules):
        shutil.copy(os.path.join(MODULES, module + ".c32"), loader)
    for file in files:
        shutil.copy(file, loader)
    with open(os.path.join(loader, "isolinux.cfg"), "w") as file:
        file.write(configuration)
    path = os.path.join(folder, "boot.iso")
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", path, "-b",
                    "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot",
                    "-boot-load-size", "4", "-boot-info-table", root],
                   check=True, stderr=subprocess.DEVNULL)
    shutil.rmtree(root)
    return path
