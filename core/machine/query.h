/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "core/machine/pc.h"

/* What a client can ask of a running machine, answered as JSON in QMP's shape. Board thread, board
 * lock not held. WHAT is "block", "blockstats", "cpus" or "networks"; NULL for anything else.
 * Caller owns the text. */
char *query_run(Pc *pc, const char *what);
