/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The translator: guest instructions become host instructions with their memory operands
 * rewritten. One Jit a machine; each vCPU has its own code cache and its own blocks in it, so that
 * generated code is only ever patched by the thread that runs it.
 */

#include "core/cpu/cpu.h"

typedef struct {
    unsigned max_insns;  /* of a block; 1: each instruction alone */
    size_t cache_bytes;  /* of a vCPU's code cache, at most; taken from the host as it fills */
    bool no_links;       /* every block returns to the dispatcher */
    bool no_groups;      /* every memory access is checked by itself */
    bool slow_accesses;  /* memory accesses never find their page in the soft TLB */
    bool tier_2;         /* every block is translated as if much time were spent in it */
    bool tiny_tlb;       /* which holds a few pages only */
    bool random_flushes; /* of the TLB and the code cache, now and then */
    bool perf;           /* name blocks in /tmp/perf-PID.map */
    bool lockstep;       /* compare each block with the interpreter: core/cpu/lockstep.h */
} JitOptions;

enum { JIT_LEAST_CACHE = 2 << 20 }; /* bytes */

/* Why an access to memory left translated code. */
typedef enum {
    JIT_SLOW_REFILL,    /* the page was looked up, and the access goes on */
    JIT_SLOW_NEAR_CODE, /* a store to a page with code, but not to the code */
    JIT_SLOW_SPLIT,     /* it goes over the end of a page that is no neighbour in RAM */
    JIT_SLOW_ODD,       /* interpreted for what is checked first: alignment, waiting x87 ... */
    JIT_SLOW_OTHER,     /* interpreted: a device, a fault, a store to code */
    N_JIT_SLOW,
} JitSlow;

typedef struct {
    uint64_t blocks, instructions; /* translated */
    uint64_t translation_ticks;    /* that took, of the host's time stamp counter */
    uint64_t translated_again;     /* of the blocks: tier 2, since time is spent there */
    uint64_t present;              /* blocks that can be entered now, */
    uint64_t present_again;        /* and those of tier 2 among them */
    uint64_t code_bytes, cache_bytes;
    /* Evictions make room for new code by taking away the oldest part of the cache. */
    uint64_t flushes, evictions, evicted, invalidated, links, interpreted, traps;
    /* Returns to the dispatcher: in all, from direct and indirect branches that knew no block yet,
     * for requests. The others are instructions that are interpreted and end their block. */
    uint64_t exits, exits_direct, exits_indirect, exits_requested;
    uint64_t slow[N_JIT_SLOW]; /* memory accesses that did not find their page in the soft TLB */
} JitStatistics;

/* How often an instruction was interpreted. */
typedef struct {
    const char *mnemonic; /* in lower case; NULL: no block was made for it */
    uint64_t count;
} JitInterpreted;

/* Where translated code was found running by the requests that stop it, mostly the guest's timer.
 */
typedef struct {
    uint64_t rip;
    bool user;
    unsigned samples;
} JitHot;

#define JIT_OPTIONS_DEFAULT ((JitOptions){.max_insns = 32, .cache_bytes = 128u << 20})

/* For each of N_CPUS vCPUs. A large compiler's code takes some 100 MiB; with less it is translated
 * over and over. Tables take another two fifths of what is used. */
size_t jit_usual_cache_bytes(unsigned n_cpus);

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

/* On the vCPU's thread, out of translated code, vectors spilled: looks at what others noted about
 * code for this vCPU. One that was not running must do so before it stores anything. */
void jit_take_notes(Cpu *cpu);

/* On the vCPU's thread, out of translated code: its translations of instructions at the page
 * offsets whose bits are set go, in whatever page. */
void jit_forget_offsets(Cpu *cpu, const uint64_t offsets[64]);

/* For lockstep.h, as jit_forget_offsets(): all translations go, and those to come hold MAX_INSNS
 * instructions at most. */
void jit_limit_blocks(Cpu *cpu, unsigned max_insns);

/* Sums over the vCPUs, read racily. Any thread. */
JitStatistics jit_statistics(Jit *jit);
/* Of all kinds. */
uint64_t jit_slow_accesses(const JitStatistics *statistics);
/* The MAX instructions that were interpreted most, the most frequent first; returns how many. */
unsigned jit_most_interpreted(Jit *jit, JitInterpreted *out, unsigned max);
/* The MAX places where the vCPUs were seen most of late; returns how many. *TOTAL: of how many
 * samples. */
unsigned jit_hottest(Jit *jit, JitHot *out, unsigned max, unsigned *total);
