/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The two things on PS/2 cables: an enhanced 101/102-key keyboard (scan code sets 1-3) and an
 * IntelliMouse Explorer. (IBM PS/2 Hardware Technical Reference, "Keyboards" and "Mouse"; Microsoft
 * IntelliMouse extension.) The i8042 is at the other end. Board lock held.
 */

#include "core/machine/board.h"

typedef struct Ps2Port Ps2Port;

/* The device has a byte for the controller (call ps2_read when the buffer is free). */
typedef void (*Ps2Ready)(void *opaque);

Ps2Port *ps2_keyboard_new(Board *board, Ps2Ready ready, void *opaque);
Ps2Port *ps2_mouse_new(Board *board, Ps2Ready ready, void *opaque);
void ps2_free(Ps2Port *port);
void ps2_reset(Ps2Port *port);
bool ps2_has_data(const Ps2Port *port);
uint8_t ps2_read(Ps2Port *port);             /* next byte; only when ps2_has_data */
void ps2_write(Ps2Port *port, uint8_t byte); /* a command or its argument */
