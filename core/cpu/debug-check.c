/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Looking for breakpoints and watchpoints, with guest vectors perhaps live in the host's registers:
 * see mmu.c. */

#include "core/cpu/debug.h"

bool debug_at_breakpoint(Cpu *cpu)
{
    struct CpuDebug *debug = cpu->debug;
    uint64_t linear = cpu_linear_rip(cpu);

    if (!debug_breaks_at_offset(cpu, linear & 0xfff))
        return false;
    for (unsigned i = 0; i < debug->n_points; i++) {
        const DebugPoint *point = &debug->points[i];
        if (point->kind == DEBUG_EXECUTE && point->address == linear) {
            debug->hit = (DebugStop){STOP_BREAKPOINT, *point};
            return true;
        }
    }
    return false;
}

static bool concerns(const DebugPoint *point, DebugPointKind kind)
{
    return point->kind != DEBUG_EXECUTE &&
           (point->kind == kind || point->kind == DEBUG_ACCESS || kind == DEBUG_ACCESS);
}

/* Of [A, A + A_SIZE) and [B, B + B_SIZE), neither of which wraps but maybe to 0. */
static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a <= b + (b_size - 1) && b <= a + (a_size - 1);
}

static const DebugPoint *find(const Cpu *cpu, uint64_t linear, uint64_t size, DebugPointKind kind)
{
    const struct CpuDebug *debug = cpu->debug;

    for (unsigned i = 0; i < debug->n_points; i++) {
        const DebugPoint *point = &debug->points[i];
        if (concerns(point, kind) && overlap(point->address, point->length, linear, size))
            return point;
    }
    return NULL;
}

void debug_note_access(Cpu *cpu, uint64_t linear, uint64_t size, DebugPointKind kind)
{
    struct CpuDebug *debug = cpu->debug;
    const DebugPoint *point = find(cpu, linear, size, kind);

    if (!point || debug->hit.reason != STOP_NONE)
        return;
    debug->hit = (DebugStop){STOP_WATCHPOINT, *point};
    atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
}

bool debug_page_is_watched(const Cpu *cpu, uint64_t linear, DebugPointKind kind)
{
    return find(cpu, linear & GUEST_PAGE_MASK, GUEST_PAGE_SIZE, kind);
}
