/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Firmware files: the BIOS in ROM and option ROMs, as the distribution's packages ship them.
 *
 * A name without a slash is looked for in, in this order:
 *   $APIARY_FIRMWARE_PATH (folders separated by colons),
 *   $XDG_DATA_HOME/apiary/firmware, $XDG_DATA_DIRS/apiary/firmware,
 *   /usr/share/seabios, /usr/share/qemu, /usr/share/vgabios, /usr/lib/ipxe/qemu, /usr/share/ipxe,
 *   /usr/share/ipxe/qemu, /usr/share/qemu-kvm, and the same under /usr/local.
 */

#include "core/chipset/i440fx.h"
#include "core/config/config.h"

/* The full path of a firmware file; free with g_free. NULL and ERROR (which names the Debian
 * package that has it, where known) when there is none. Any thread. */
char *firmware_find(const char *name, GError **error);
/* The contents of firmware_find(NAME), at most MAX_SIZE bytes. Any thread. */
GBytes *firmware_read(const char *name, size_t max_size, GError **error);
/* Loads config->firmware, or SeaBIOS when that is NULL, and shows it through BRIDGE. A BIOS is a
 * multiple of 64 KiB, up to 16 MiB. Board lock. */
bool firmware_load(Board *board, I440fx *bridge, const MachineConfig *config, GError **error);
