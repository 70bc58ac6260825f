/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The translator proved against the interpreter while a system runs (-accel jit,lockstep=on): a few
 * translated blocks are executed, their effects are taken back, and the interpreter executes the
 * same instructions from the same state. Registers, memory and exceptions must be equal; where they
 * are not, the blocks are done again one by one, and the one that differs is reported. What reached
 * a device or read a clock cannot be done twice and is counted apart.
 *
 * One vCPU. What devices write to memory by DMA during a step into a page that the step writes,
 * too, is lost: boot with -kernel and -initrd.
 */

#include "core/cpu/cpu.h"

typedef struct Lockstep Lockstep;

Lockstep *lockstep_new(void);
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
/* The page at HOST, in RAM, may be written from now on. Vectors are spilled. */
void lockstep_keep_page(Cpu *cpu, void *host);
