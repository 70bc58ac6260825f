/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "core/chardev/chardev.h"

/* The debug console of emulators: every byte written to the port is output; reading gives E9h,
 * by which a guest finds it (Bochs' port E9h; SeaBIOS uses 402h). Board lock held. */
typedef struct Debugcon Debugcon;

#define DEBUGCON_PORT 0xe9

Debugcon *debugcon_new(Board *board, uint16_t port, Chardev *chardev); /* CHARDEV is not owned */
void debugcon_free(Debugcon *debugcon);

extern const DeviceClass isa_debugcon_class;
extern const DeviceClass isa_debug_exit_class;
