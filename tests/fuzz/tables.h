/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The memory of a hostile guest: descriptor tables, page tables and code that are nearly sound. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Guest-physical. */
enum {
    TABLES_RAM = 0x200000,
    TABLES_ROM = TABLES_RAM, /* 64 KiB, then 64 KiB of a device */
    TABLES_DEVICE = TABLES_ROM + 0x10000,
    TABLES_PAGING = 0x8000, /* to TABLES_PAGING_END: paging structures */
    TABLES_PAGING_END = 0xe000,
};

/* Fills RAM, all zeroes before, so that a processor that comes from its reset sets up some mode,
 * goes to some privilege level and executes what chance wrote. WILD: any bytes as code; else
 * instructions of which the manual says what they do. */
void tables_generate(GRand *random, bool wild, uint8_t *ram);
