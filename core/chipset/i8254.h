/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The programmable interval timer (Intel 8254 data sheet; ports 40-43) and the AT's system control
 * port B (port 61: speaker, gate 2, OUT 2, refresh toggle). Board lock held in every call. */

#include "core/machine/board.h"

typedef struct I8254 I8254;

#define I8254_HZ 1193182u

/* IRQ is counter 0's OUT. */
I8254 *i8254_new(Board *board, IrqLine irq);
/* An IrqFunc: whether anybody takes counter 0's interrupt, as at first. While nobody does its
 * beats, which would only wake the host, are left out: of an interrupt that is pending already and
 * masked, another says nothing. OPAQUE is the I8254. */
void i8254_set_heard(void *opaque, int number, bool heard);
void i8254_free(I8254 *pit);
void i8254_reset(I8254 *pit);
/* The tone at the speaker in Hz, 0 when silent. */
unsigned i8254_speaker_hz(I8254 *pit);
void i8254_describe(I8254 *pit, GString *out); /* `info pit` */
