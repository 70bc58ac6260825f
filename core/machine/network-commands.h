/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What clients may change about a running machine's networks: forwards, cables, captures. */

#include "core/machine/machine.h"
#include "core/machine/pc.h"

/* Runs COMMAND if it is one of COMMAND_FORWARD_ADD to COMMAND_CAPTURE_START (machine.h); false
 * with ERROR when it cannot be done. *REPLY: text for the client, to be freed, or NULL. Every
 * change is told through PcOps.network_changed. Board thread, board lock not held. */
bool network_command_run(Pc *pc, const MachineCommand *command, char **reply, GError **error);
