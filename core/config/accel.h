/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What -accel jit can be told. */

#include "core/cpu/jit/jit.h"

/* TEXT is what follows "jit,", or NULL. Unknown or contradictory options are refused by name.
 * cache_bytes is 0 unless TEXT says it. Any thread. */
bool accel_parse_jit(const char *text, JitOptions *options, GError **error);
