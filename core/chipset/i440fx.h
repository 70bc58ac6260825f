/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The host bridge: Intel 82441FX (PMC), data sheet 290549. It creates the PCI bus, lays guest RAM
 * out, shadows 640 KiB-1 MiB by its PAM registers and shows the BIOS ROM. All calls under the board
 * lock.
 */

#include "core/chipset/pci.h"

/* The PCI hole: RAM past this address continues at 4 GiB. */
#define I440FX_MAX_RAM_BELOW_4G 0xc0000000ull

typedef struct I440fx I440fx;

/* Needs board->memory, board->ram, ram_below_4g (at least 1 MiB) and ram_above_4g; sets board->pci.
 */
I440fx *i440fx_new(Board *board, GError **error);
void i440fx_free(I440fx *bridge); /* frees the bus: unplug nothing after it */
/* Power-on state: reads below 1 MiB reach the BIOS ROM again. */
void i440fx_reset(I440fx *bridge);
/* Shows ROM (a multiple of 64 KiB, up to 16 MiB) at the end of the first 4 GiB, and its last 128
 * KiB at E0000-FFFFF where PAM lets PCI answer. ROM belongs to board->memory. Once a machine. */
void i440fx_set_bios(I440fx *bridge, RamBlock *rom);
