/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The I/O APIC at FEC00000 (Intel 82093AA data sheet), with the EOI register of its successors
 * (version 20h, 82801BA 9.5.6). Board lock held in every call. */

#include "core/chipset/lapic.h"

enum { IOAPIC_N_PINS = 24 };

typedef struct IoApic IoApic;

IoApic *ioapic_new(Board *board, LapicSet *lapics);
void ioapic_free(IoApic *ioapic);
void ioapic_reset(IoApic *ioapic);
/* An IrqFunc: INTIN pin NUMBER 0-23. LEVEL means asserted, whatever the pin's polarity. */
void ioapic_set_pin(void *opaque, int number, bool level);
bool ioapic_is_masked(const IoApic *ioapic, int pin);
/* TOLD is set, to whatever level, when masks have changed. */
void ioapic_on_mask(IoApic *ioapic, IrqLine told);
void ioapic_describe(const IoApic *ioapic, GString *out); /* part of `info pic` */
