/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Which pages code was fetched from, and whether a flush of the TLB changes that. Most flushes are
 * for other pages, or load the same tables again: then every page that code came from is walked to
 * anew at once, as a processor may at any time (SDM 3, 4.10.2.3), and if all lead where they did
 * nothing that was translated has to be looked up again. A page whose accessed bits the guest has
 * cleared counts as one that leads elsewhere, so that the next fetch sets them. What the
 * second-level TLB still has after the flush answers for the tables: the processor may use that,
 * too. So it is flushed first. Vector-safe.
 */

#include "core/cpu/paging.h"

/* A translation of the page at LINEAR to RAM was made by a fetch of set SET (0 supervisor, 1 user).
 */
void fetched_note(Cpu *cpu, unsigned set, uint64_t linear, uint64_t ram, const PageWalk *walk);
/* The set's translations were flushed, or those that are not global: whether one of them leads
 * elsewhere now. Then all are forgotten. */
bool fetched_flush(Cpu *cpu, unsigned set, bool keep_global);
/* The same for those that an INVLPG of LINEAR drops. */
bool fetched_flush_page(Cpu *cpu, unsigned set, uint64_t linear);
