/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The monitor's commands for remote access. WORDS are the line's, the command first. */

#include "core/machine/machine.h"

void monitor_info_vnc(Machine *machine, GString *out);
void monitor_change_vnc(Machine *machine, char **words, GString *out);
void monitor_set_password(Machine *machine, char **words, GString *out);
void monitor_expire_password(Machine *machine, char **words, GString *out);
