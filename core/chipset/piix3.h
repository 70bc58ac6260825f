/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The PCI-to-ISA bridge: function 0 of the Intel 82371SB (PIIX3), data sheet 290550. It routes
 * PIRQ[A:D] to the ISA interrupt wires and has the reset control register at CF9h. All calls under
 * the board lock.
 */

#include "core/chipset/pci.h"

#define PIIX3_SLOT 1

/* Configuration registers other parts of the board refer to. */
enum { PIIX3_PIRQRC = 0x60 /* ..63h: PIRQA-PIRQD route control */ };

typedef struct Piix3 Piix3;

/* Needs board->pci and board->isa_irq. */
Piix3 *piix3_new(Board *board, GError **error);
void piix3_free(Piix3 *bridge);
void piix3_reset(Piix3 *bridge);
/* The system control interrupt's wire: IRQ 9, ORed with whatever PIRQ is routed there. */
IrqLine piix3_sci(Piix3 *bridge);
