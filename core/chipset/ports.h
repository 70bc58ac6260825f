/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* System control port A (92h: fast A20 and fast reset; 82371SB 2.5.7) and the power-on self test
 * port (80h), whose last writes are kept for `info post`. Board lock held in every call. */

#include "core/machine/board.h"

typedef struct SystemPorts SystemPorts;

SystemPorts *system_ports_new(Board *board);
void system_ports_free(SystemPorts *ports);
void system_ports_reset(SystemPorts *ports);
/* The POST codes, oldest first. */
void system_ports_describe(const SystemPorts *ports, GString *out);
