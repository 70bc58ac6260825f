/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The real-time clock and CMOS memory (Motorola MC146818A data sheet; ports 70-71, and 72-73 for
 * the second 128 bytes as on the PIIX). Board lock held in every call. */

#include "core/machine/board.h"

typedef struct Mc146818 Mc146818;

/* CMOS bytes by their AT and SeaBIOS meaning. */
enum {
    CMOS_FLOPPY_TYPES = 0x10,
    CMOS_EQUIPMENT = 0x14,
    CMOS_BASE_MEMORY = 0x15,     /* KiB, 2 bytes */
    CMOS_EXTENDED_MEMORY = 0x17, /* KiB above 1 MiB, 2 bytes; again at 30h */
    CMOS_EXTENDED_MEMORY_2 = 0x30,
    CMOS_CENTURY = 0x32,
    CMOS_MEMORY_ABOVE_16M = 0x34, /* 64 KiB units, 2 bytes */
    CMOS_BOOT_ORDER_2 = 0x38,     /* third device in bits 4-7, bit 0: no floppy signature check */
    CMOS_BOOT_ORDER_1 = 0x3d,     /* first in bits 0-3, second in 4-7 */
    CMOS_MEMORY_ABOVE_4G = 0x5b,  /* 64 KiB units, 3 bytes */
    CMOS_CPU_COUNT = 0x5f,        /* processors less one */
};

/* BASE: "utc", "localtime" (both follow the host's clock) or "YYYY-MM-DD[THH:MM:SS]" (follows the
 * machine's clock from there); the configuration has been validated, anything else is taken as
 * "utc". IRQ is the IRQ pin, active high. */
Mc146818 *mc146818_new(Board *board, IrqLine irq, const char *base);
void mc146818_free(Mc146818 *rtc);
/* The RESET pin: interrupts off; time and memory stay, they run on the battery. */
void mc146818_reset(Mc146818 *rtc);
bool mc146818_base_is_valid(const char *base);

/* CMOS memory, INDEX 0Eh-FFh; keeps the checksum of 10h-2Dh right. */
void mc146818_set(Mc146818 *rtc, uint8_t index, uint8_t value);
uint8_t mc146818_get(const Mc146818 *rtc, uint8_t index);
void mc146818_set_memory(Mc146818 *rtc, uint64_t below_4g, uint64_t above_4g); /* bytes */
/* QEMU's letters (a floppy, c disk, d CD, n network), the first three of which are used. */
void mc146818_set_boot_order(Mc146818 *rtc, const char *letters, bool check_floppy);
/* Drive types as in CMOS 10h: 0 none, 2 1.2M, 4 1.44M, 5 2.88M. Sets the equipment byte as well. */
void mc146818_set_floppies(Mc146818 *rtc, unsigned type_a, unsigned type_b);

bool mc146818_nmi_masked(const Mc146818 *rtc); /* port 70h bit 7 */
void mc146818_describe(Mc146818 *rtc, GString *out);
