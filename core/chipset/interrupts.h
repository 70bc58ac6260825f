/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The interrupt system of the board as a whole: 8259 pair, I/O APIC and local APICs, and the ISA
 * interrupt wires that reach both kinds of controller. ISA IRQ n is I/O APIC input n, but IRQ 0 is
 * input 2 (the MADT's interrupt source override says so).
 *
 * Board lock held in every call.
 */

#include "core/chipset/ioapic.h"

typedef struct Interrupts Interrupts;

/* Fills board->isa_irq. OPS, OPAQUE, TSC_HZ: see lapic_set_new(). */
Interrupts *interrupts_new(Board *board, const LapicCpuOps *ops, void *opaque, uint64_t tsc_hz);
void interrupts_free(Interrupts *interrupts);
void interrupts_reset(Interrupts *interrupts);

/* Another source on ISA IRQ 0-15: the wire is high while any of its sources is. At most 31 besides
 * board->isa_irq[]. */
IrqLine interrupts_isa_source(Interrupts *interrupts, int irq);
/* An I/O APIC input alone, 0-23. */
IrqLine interrupts_ioapic_pin(Interrupts *interrupts, int pin);
/* HEARD is high while a controller lets ISA IRQ 0 through. */
void interrupts_connect_heard(Interrupts *interrupts, IrqLine heard);
void interrupts_nmi(Interrupts *interrupts); /* an NMI from the board: LINT1 of all CPUs */

LapicSet *interrupts_lapics(Interrupts *interrupts);
I8259 *interrupts_pic(Interrupts *interrupts);
void interrupts_describe(Interrupts *interrupts, GString *out); /* `info pic` */
