/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The high precision event timers at FED00000 (IA-PC HPET Specification 1.0a): a 100 MHz counter
 * and three comparators. Board lock held in every call. */

#include "core/machine/board.h"

typedef struct Hpet Hpet;

/* IRQ0 and IRQ8: the ISA wires, which legacy replacement takes from the PIT and the RTC. PIN2: I/O
 * APIC input 2, the one that a comparator can be routed to. */
Hpet *hpet_new(Board *board, IrqLine irq0, IrqLine irq8, IrqLine pin2);
void hpet_free(Hpet *hpet);
void hpet_reset(Hpet *hpet);
/* The PIT's OUT 0 and the RTC's interrupt go through here. */
IrqLine hpet_pit_line(Hpet *hpet);
IrqLine hpet_rtc_line(Hpet *hpet);
/* PIT_HEARD tells the PIT whether anybody takes its interrupt, which masks or legacy replacement
 * may keep away. Of the masks hpet_heard_line() is told, by interrupts_connect_heard(). */
void hpet_connect_heard(Hpet *hpet, IrqLine pit_heard);
IrqLine hpet_heard_line(Hpet *hpet);
void hpet_describe(Hpet *hpet, GString *out);
