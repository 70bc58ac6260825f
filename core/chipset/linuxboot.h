/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * -kernel, -initrd and -append: a Linux kernel (Documentation/arch/x86/boot.rst) or a multiboot 1
 * image is handed to fw_cfg together with an option ROM of our own that loads and starts it.
 */

#include "core/config/config.h"
#include "core/machine/board.h"

/* The boot entry's name in fw_cfg: "/rom@" and this is its line in `bootorder`. */
#define LINUXBOOT_ROM_FILE "genroms/apiary-linuxboot.rom"

/* Reads config->kernel (nothing to do when NULL) and initrd and publishes them. Errors name the
 * file and what is wrong with it: missing, truncated, neither format, larger than memory. Board
 * lock. */
bool linuxboot_publish(Board *board, const MachineConfig *config, GError **error);
