/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The AT's two 8259A interrupt controllers (Intel 8259A data sheet; ports 20-21, A0-A1) and the
 * edge/level control registers of the PIIX (82371SB 2.5.10; ports 4D0-4D1). Board lock held in
 * every call. */

#include "core/machine/board.h"

typedef struct I8259 I8259;

/* OUTPUT is the master's INT pin. */
I8259 *i8259_new(Board *board, IrqLine output);
void i8259_free(I8259 *pic);
void i8259_reset(I8259 *pic);
/* An IrqFunc: input NUMBER 0-15 (2 is the cascade and goes nowhere). OPAQUE is the I8259. */
void i8259_set_irq(void *opaque, int number, bool level);
bool i8259_is_masked(const I8259 *pic, int number); /* input NUMBER 0-15, by its own chip */
/* TOLD is set, to whatever level, when masks have changed. */
void i8259_on_mask(I8259 *pic, IrqLine told);
bool i8259_output(const I8259 *pic);
/* The CPU's two INTA cycles: the vector; a spurious IRQ 7 or 15 when the request is gone. */
int i8259_acknowledge(I8259 *pic);
void i8259_describe(const I8259 *pic, GString *out); /* `info pic` */
