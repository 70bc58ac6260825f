/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "core/machine/board.h"

/* The AT/PS2 keyboard controller at ports 60h and 64h with a keyboard and a mouse plugged in (IBM
 * PS/2 Hardware Technical Reference, "Keyboard and auxiliary device controller"). Uses IRQ 1 and
 * 12, the A20 gate and the reset line of BOARD. Board lock held. */
typedef struct I8042 I8042;

I8042 *i8042_new(Board *board);
void i8042_free(I8042 *controller);
void i8042_reset(I8042 *controller);
