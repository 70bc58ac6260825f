/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The exact interpreter: the reference for the JIT and its fallback. */

#include "core/cpu/decode.h"

/* Executes the one instruction at CS:RIP completely and advances RIP, or raises (cpu_raise) with
 * nothing committed. Does not deliver interrupts and does not handle RFLAGS.TF: the caller's loop
 * does. A REP string instruction may return after a chunk with RIP still on it. Vectors must be
 * spilled. */
void interp_one(Cpu *cpu);

/* The same, with a call of WATCH between fetching and executing; it may raise. */
typedef void InterpWatch(Cpu *cpu, const Insn *insn);
void interp_one_watched(Cpu *cpu, InterpWatch *watch);

/* The instruction at CS:RIP if it is decoded already; NULL else. Until the next is executed. */
const Insn *interp_next_insn(const Cpu *cpu);

/* Executes decoded INSN, which stands at cpu->rip with cpu->next_rip set. */
void interp_execute(Cpu *cpu, const Insn *insn);

/* False for instructions of an extension that the CPU's CPUID model does not show: #UD. */
bool interp_insn_exists(const Cpu *cpu, const Insn *insn);

/* The x87's tag word as FNSTENV has it; the state is spilled. */
uint16_t interp_x87_tags(const Cpu *cpu);
void interp_x87_set_tags(Cpu *cpu, uint16_t tags);
/* Recomputes FSW.ES and B. */
void interp_x87_update_summary(Cpu *cpu);

/* Frees cpu->interp_cache. */
void interp_free(Cpu *cpu);
