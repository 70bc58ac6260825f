/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The guest's x87, SSE and AVX state between memory (Cpu.vectors) and the host's registers.
 *
 * In memory every component is valid, whatever XSTATE_BV says, and XSTATE_BV is kept at 7. The
 * host's own state while C code runs is the initial one: MXCSR 1F80h, x87 control word 37Fh, empty
 * stack.
 *
 * Nothing here may use vector registers: no calls, no loops that a compiler would vectorise.
 */

#include "core/cpu/hostexec.h"

#define X87 1u
#define ALL 7u

static const CpuVectors initial_state = {
    .legacy = {[0] = 0x7f, [1] = 0x03, [24] = 0x80, [25] = 0x1f},
};

static inline void restore(const CpuVectors *vectors, uint32_t components)
{
    __asm__ volatile("xrstor64 %0" : : "m"(*vectors), "a"(components), "d"(0) : "memory");
}

static inline void save(CpuVectors *vectors, uint32_t components)
{
    __asm__ volatile("xsave64 %0" : "+m"(*vectors) : "a"(components), "d"(0) : "memory");
    *(volatile uint8_t *)vectors->header = ALL;
}

void vectors_load(Cpu *cpu)
{
    if (cpu->vectors_live)
        return;
    *(volatile uint8_t *)cpu->vectors.header = ALL;
    restore(&cpu->vectors, ALL);
    cpu->vectors_live = 1;
}

void cpu_spill_vectors(Cpu *cpu)
{
    if (!cpu->vectors_live)
        return;
    save(&cpu->vectors, ALL);
    restore(&initial_state, ALL);
    cpu->vectors_live = 0;
}

void vectors_load_x87(Cpu *cpu)
{
    *(volatile uint8_t *)cpu->vectors.header = ALL;
    restore(&cpu->vectors, X87);
}

void vectors_save_x87(Cpu *cpu)
{
    save(&cpu->vectors, X87);
    restore(&initial_state, X87);
}
