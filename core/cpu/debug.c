/* SPDX-License-Identifier: GPL-3.0-or-later */

/* A debugger comes, sets its points, steps and goes. */

#include "core/cpu/debug.h"

#include "core/cpu/jit/jit.h"
#include "core/cpu/mmu.h"

#include <string.h>

/* --- points ----------------------------------------------------------------------------------- */

/* Where there was none before, translations made in MODE_DEBUGGED may go on over an instruction.
 * Those that end where a breakpoint was are only shorter than need be. */
static void set_breakpoints(Cpu *cpu, const uint64_t breaks[64])
{
    struct CpuDebug *debug = cpu->debug;
    uint64_t added[64], any = 0;

    for (unsigned i = 0; i < 64; i++) {
        added[i] = breaks[i] & ~debug->breaks[i];
        any |= added[i];
    }
    memcpy(debug->breaks, breaks, sizeof debug->breaks);
    if (any)
        jit_forget_offsets(cpu, added);
}

void debug_set_points(Cpu *cpu, const DebugPoint *points, unsigned n_points)
{
    struct CpuDebug *debug = cpu->debug;
    bool watched = debug->mode & MODE_WATCHED;
    uint64_t breaks[64] = {0};

    g_free(debug->points);
    debug->points = g_memdup2(points, n_points * sizeof *points);
    debug->n_points = n_points;
    debug->mode = MODE_DEBUGGED;
    for (unsigned i = 0; i < n_points; i++) {
        unsigned offset = points[i].address & 0xfff;
        if (points[i].kind == DEBUG_EXECUTE)
            breaks[offset / 64] |= 1ull << (offset % 64);
        else
            debug->mode |= MODE_WATCHED;
    }
    set_breakpoints(cpu, breaks);
    if (watched || (debug->mode & MODE_WATCHED))
        mmu_flush_all(cpu); /* pages that are watched now, or no longer */
    cpu_update_mode(cpu);
}

void debug_attach(Cpu *cpu)
{
    if (!cpu->debug)
        cpu->debug = g_new0(struct CpuDebug, 1);
    debug_set_points(cpu, NULL, 0);
}

void debug_detach(Cpu *cpu)
{
    struct CpuDebug *debug = cpu->debug;

    if (!debug)
        return;
    debug_set_points(cpu, NULL, 0);
    debug->mode = 0;
    debug->step = STEP_NONE;
    debug_forget_stops(cpu);
    cpu_update_mode(cpu);
}

void debug_forget_stops(Cpu *cpu)
{
    if (!cpu->debug)
        return;
    cpu->debug->hit.reason = STOP_NONE;
    atomic_store(&cpu->debug->stopped, false);
}

void debug_free(Cpu *cpu)
{
    if (cpu->debug)
        g_free(cpu->debug->points);
    g_free(cpu->debug);
}

/* --- stopping and going on -------------------------------------------------------------------- */

bool debug_has_stopped(const Cpu *cpu)
{
    return cpu->debug && atomic_load(&cpu->debug->stopped);
}

DebugStop debug_take_stop(Cpu *cpu)
{
    bool stopped = cpu->debug && atomic_exchange(&cpu->debug->stopped, false);

    return stopped ? cpu->debug->stop : (DebugStop){.reason = STOP_NONE};
}

static bool is_set(const struct CpuDebug *debug, const DebugPoint *point)
{
    for (unsigned i = 0; i < debug->n_points; i++)
        if (memcmp(&debug->points[i], point, sizeof *point) == 0)
            return true;
    return false;
}

void debug_postpone_stop(Cpu *cpu)
{
    struct CpuDebug *debug = cpu->debug;

    if (!debug)
        return;
    /* A breakpoint is met again. What was watched has happened and is still to be told. */
    if (atomic_exchange(&debug->stopped, false) && debug->stop.reason == STOP_WATCHPOINT)
        debug->hit = debug->stop;
}

void debug_resume(Cpu *cpu, bool step, bool hold_interrupts)
{
    struct CpuDebug *debug = cpu->debug;

    if (!debug)
        return;
    debug->step = step ? STEP_WANTED : STEP_NONE;
    debug->hold_interrupts = hold_interrupts;
    debug_postpone_stop(cpu);
    if (debug->hit.reason == STOP_WATCHPOINT && is_set(debug, &debug->hit.point))
        atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
    else
        debug->hit.reason = STOP_NONE;
}

bool debug_stop_due(const Cpu *cpu)
{
    return cpu->debug->hit.reason != STOP_NONE || cpu->debug->step == STEP_DONE;
}

void debug_note_stop(Cpu *cpu)
{
    struct CpuDebug *debug = cpu->debug;

    debug->stop = debug->hit.reason != STOP_NONE ? debug->hit : (DebugStop){.reason = STOP_STEPPED};
    debug->hit.reason = STOP_NONE;
    debug->step = STEP_NONE;
    atomic_store(&debug->stopped, true);
}
