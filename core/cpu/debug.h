/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * A debugger outside the guest: breakpoints, watchpoints and single steps that the guest cannot
 * see. Nothing is written to its memory or its debug registers.
 *
 * While a debugger is attached to a vCPU, MODE_DEBUGGED is set: translated code then keeps all
 * flags exact and ends its blocks before any instruction at the page offset of a breakpoint; such
 * instructions come to the run loop, which compares the whole address. With a watchpoint
 * MODE_WATCHED is set too: pages of watched bytes stay out of the soft TLB, so that accesses to
 * them take the slow path, which compares addresses. Without a debugger none of this is looked at.
 *
 * Addresses are linear, as those of DR0 to DR3: one page mapped twice is watched where it is named.
 */

#include "core/cpu/cpu.h"

typedef enum {
    DEBUG_EXECUTE, /* before the instruction that begins there */
    DEBUG_WRITE,   /* after an instruction that stores to one of the bytes */
    DEBUG_READ,
    DEBUG_ACCESS, /* both */
} DebugPointKind;

typedef struct {
    uint64_t address, length; /* ADDRESS + LENGTH does not wrap; the length of DEBUG_EXECUTE is 1 */
    uint64_t kind;            /* DebugPointKind, as wide as the others: points compare as bytes */
} DebugPoint;

typedef enum { STOP_NONE, STOP_BREAKPOINT, STOP_WATCHPOINT, STOP_STEPPED } DebugReason;

typedef struct {
    DebugReason reason;
    DebugPoint point; /* of the first two */
} DebugStop;

typedef enum { STEP_NONE, STEP_WANTED, STEP_DONE } DebugStep;

struct CpuDebug {
    uint32_t mode; /* MODE_DEBUGGED, MODE_WATCHED */
    DebugPoint *points;
    unsigned n_points;
    /* A bit each page offset with a breakpoint: no translation made in MODE_DEBUGGED goes on over
     * an instruction there. */
    uint64_t breaks[64];
    DebugStep step;
    bool hold_interrupts; /* while stepping */
    DebugStop hit;        /* by the present instruction */
    DebugStop stop;       /* why the vCPU stands, taken by debug_take_stop(), while ... */
    _Atomic bool stopped; /* it has stopped itself */
};

/* --- on the vCPU's thread, out of translated code (cpu_call_on()) --- */

void debug_attach(Cpu *cpu);
void debug_detach(Cpu *cpu); /* all points go */
/* Replaces all points. */
void debug_set_points(Cpu *cpu, const DebugPoint *points, unsigned n_points);
/* Reset: what had happened has not. */
void debug_forget_stops(Cpu *cpu);
void debug_free(Cpu *cpu);

/* Whether debug_take_stop() has something to tell when the vCPU has paused. The thread that
 * attached the debugger. */
bool debug_has_stopped(const Cpu *cpu);

/* --- while the vCPU is paused, by the thread that resumes it --- */

/* Why it stopped itself, once; STOP_NONE when it was paused. */
DebugStop debug_take_stop(Cpu *cpu);
/* Nobody takes it now: what will not come again by itself comes when the vCPU goes on. */
void debug_postpone_stop(Cpu *cpu);

/* --- the run loop's --- */

/* The vCPU is about to go on: STEP executes one instruction. */
void debug_resume(Cpu *cpu, bool step, bool hold_interrupts);
/* Whether something has come to stop for. */
bool debug_stop_due(const Cpu *cpu);
/* Notes it for debug_take_stop(). */
void debug_note_stop(Cpu *cpu);

/* --- debug-check.c, vectors may be live --- */

/* Whether a breakpoint is at CS:RIP, which becomes the vCPU's hit. */
bool debug_at_breakpoint(Cpu *cpu);
/* For MODE_WATCHED: KIND DEBUG_WRITE, DEBUG_READ or DEBUG_ACCESS reached [LINEAR, LINEAR + SIZE).
 * The vCPU stops behind its instruction if that is watched. */
void debug_note_access(Cpu *cpu, uint64_t linear, uint64_t size, DebugPointKind kind);
/* Whether accesses of KIND to a byte of the page at LINEAR are watched. */
bool debug_page_is_watched(const Cpu *cpu, uint64_t linear, DebugPointKind kind);

/* Whether a breakpoint may be at OFFSET in a page: for MODE_DEBUGGED. */
__attribute__((target("general-regs-only"))) static inline bool
debug_breaks_at_offset(const Cpu *cpu, unsigned offset)
{
    return cpu->debug->breaks[offset / 64] >> (offset % 64) & 1;
}
