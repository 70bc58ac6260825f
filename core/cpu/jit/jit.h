/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The tier-1 translator: guest instructions become host instructions with their memory operands
 * rewritten. One Jit a machine; each vCPU has its own code cache and its own blocks in it, so that
 * generated code is only ever patched by the thread that runs it.
 */

#include "core/cpu/cpu.h"

typedef struct {
    unsigned max_insns;  /* of a block; 1: each instruction alone */
    size_t cache_bytes;  /* of a vCPU's code cache, at most; taken from the host as it fills */
    bool exact_flags;    /* flags are exact also where the program cannot see them before it
                            overwrites them (at faults and interrupts) */
    bool no_links;       /* every block returns to the dispatcher */
    bool no_groups;      /* every memory access is checked by itself */
    bool slow_accesses;  /* memory accesses never find their page in the soft TLB */
    bool tiny_tlb;       /* which holds a few pages only */
    bool random_flushes; /* of the TLB and the code cache, now and then */
    bool lockstep;       /* compare each block with the interpreter: core/cpu/lockstep.h */
} JitOptions;

enum { JIT_LEAST_CACHE = 1 << 20 }; /* bytes */

typedef struct {
    uint64_t blocks, instructions; /* translated */
    uint64_t code_bytes, cache_bytes;
    uint64_t flushes, invalidated, links, interpreted, traps;
    /* Returns to the dispatcher: in all, from direct and indirect branches that knew no block yet,
     * for requests. The others are instructions that are interpreted and end their block. */
    uint64_t exits, exits_direct, exits_indirect, exits_requested;
    uint64_t slow_accesses; /* that did not find their page in the soft TLB */
} JitStatistics;

/* How often an instruction was interpreted. */
typedef struct {
    const char *mnemonic; /* in lower case; NULL: no block was made for it */
    uint64_t count;
} JitInterpreted;

#define JIT_OPTIONS_DEFAULT ((JitOptions){.max_insns = 32, .cache_bytes = 128u << 20})

/* Any thread. The vCPUs that use it must be freed first. */
Jit *jit_new(GError **error);
Jit *jit_new_with_options(const JitOptions *options, GError **error);
void jit_free(Jit *jit);
const JitOptions *jit_options(const Jit *jit);

/* On the vCPU's thread at an instruction boundary, within the run loop's setjmp. Runs the guest
 * until cpu->requests is not zero, the processor is halted or an interrupt shadow begins; returns
 * with all state in CPU and vectors spilled. Exceptions leave through cpu_raise(). */
void jit_run(Cpu *cpu);

/* Bytes of RAM were written by other than a vCPU's store (the memory map's CodeWrittenFunc).
 * Translations of that range are dropped before any vCPU that is now told runs on. Any thread. */
void jit_code_written(Jit *jit, RamBlock *block, uint64_t offset, uint64_t length);

/* On the vCPU's thread, out of translated code: its translations of instructions at the page
 * offsets whose bits are set go, in whatever page. */
void jit_forget_offsets(Cpu *cpu, const uint64_t offsets[64]);

/* For lockstep.h, as jit_forget_offsets(): all translations go, and those to come hold MAX_INSNS
 * instructions at most. */
void jit_limit_blocks(Cpu *cpu, unsigned max_insns);

/* Sums over the vCPUs, read racily. Any thread. */
JitStatistics jit_statistics(Jit *jit);
/* The MAX instructions that were interpreted most, the most frequent first; returns how many. */
unsigned jit_most_interpreted(Jit *jit, JitInterpreted *out, unsigned max);
