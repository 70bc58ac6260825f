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
};

typedef enum {
    TABLES_PLAIN,   /* instructions of which the manual says what they do, and spoilt tables */
    TABLES_WILD,    /* any bytes as code */
    TABLES_PROBING, /* sound tables; what pages and segments just allow and just forbid */
    N_TABLES_STYLES,
} TablesStyle;

/* Fills RAM, all zeroes before, so that a processor that comes from its reset sets up some mode,
 * goes to some privilege level and executes what chance wrote. */
void tables_generate(GRand *random, TablesStyle style, uint8_t *ram);
