/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The translator proved against the interpreter while a system runs (-accel jit,lockstep=on): some
 * thousand translated blocks are executed, their effects are taken back, and the interpreter
 * executes the same instructions from the same state. Registers, memory and exceptions must be
 * equal. Where they are not, the step is done again instruction by instruction, and if that does
 * not show it block by block, until the first that differs is found and reported; the system goes
 * on with what the interpreter did.
 *
 * A step ends before an instruction that cannot be done twice: one that reaches a device, reads a
 * clock or a random number, or shows flags (which may be undefined). Those are executed once, by
 * the interpreter, and counted apart.
 *
 * One vCPU. What devices write to memory by DMA during a step into a page that the step writes,
 * too, is lost: boot with -kernel and -initrd.
 */

#include "core/cpu/cpu.h"

typedef struct Lockstep Lockstep;

/* For CPU, whose board is known. */
Lockstep *lockstep_new(Cpu *cpu);
/* Says on the standard error how many steps were compared. */
void lockstep_free(Lockstep *lockstep);
/* Instead of jit_run(), for one step: the vCPU's thread. Raises what the blocks raise. */
void lockstep_run(Cpu *cpu);
/* A translated block has ended: whether it was the last of the step. */
bool lockstep_ends_step(Cpu *cpu);
static inline bool lockstep_is_over(Cpu *cpu)
{
    return cpu->lockstep && lockstep_ends_step(cpu);
}
/* Translated code wants the instruction at CS:RIP interpreted: does not return if that cannot be
 * done twice. Vectors are spilled. */
void lockstep_look_at_next(Cpu *cpu);
/* The page at HOST, in RAM, may be written from now on. Vectors are spilled. */
void lockstep_keep_page(Cpu *cpu, void *host);
