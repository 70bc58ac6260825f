/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The monitor's commands about networks, as in QEMU: WORDS are the line's, the command first; what
 * they have to say is added to OUT. Board thread, board lock not held. */

#include "core/machine/pc.h"

void monitor_hostfwd_add(Pc *pc, char **words, GString *out);
void monitor_hostfwd_remove(Pc *pc, char **words, GString *out);
void monitor_set_link(Pc *pc, char **words, GString *out);
void monitor_object_add(Pc *pc, char **words, GString *out);
void monitor_object_del(Pc *pc, char **words, GString *out);
void monitor_info_network(Pc *pc, GString *out);
void monitor_info_usernet(Pc *pc, GString *out);
