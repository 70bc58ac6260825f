/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The VGA as a PCI card with the Bochs extensions (QEMU's "VGA"). It draws on the board's display
 * when display_refresh() asks. All under the board lock. */

#include "core/machine/board.h"

typedef struct Vga Vga;

/* The card every machine has, with MEMORY_SIZE bytes of display memory (1 to 256 MiB, rounded up to
 * a power of two). NULL and ERROR when its BIOS is missing or the bus is full. */
Vga *vga_new(Board *board, uint64_t memory_size, GError **error);
void vga_reset(Vga *vga);
void vga_free(Vga *vga); /* NULL is allowed */

extern const DeviceClass vga_class; /* for -device VGA */
