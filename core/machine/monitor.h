/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The human monitor: QEMU's commands as text (info registers, xp, sendkey, eject, ...). */

#include "core/machine/machine.h"
#include "core/machine/pc.h"

/* Runs one line on the board thread, board lock not held. Returns the output, owned by the caller.
 */
char *monitor_run(Machine *machine, Pc *pc, const char *line);
/* Linear to physical on CPU's current page tables; false when not mapped. Board thread, lock not
 * held. */
bool monitor_translate(Pc *pc, unsigned cpu, uint64_t linear, uint64_t *physical);
