/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Two machines alike, one interpreting and one translating, whose ends are compared. */

#include "core/cpu/cpu.h"
#include "core/cpu/jit/jit.h"

#define CODE      0x100000u
#define DATA      0x200000u
#define DATA_SIZE 0x10000u
#define STACK     (DATA + 0x8000)
#define MAPPED    0x400000u /* where test_map() maps, in long mode */
#define REAL_CODE 0x8000u
#define REAL_DATA 0x20000u

typedef enum { LONG_MODE, FLAT_32, REAL_16, N_MODES } TestMode;

typedef struct {
    MemoryMap *map;
    RamBlock *ram;
    Cpu *cpu;
    Jit *jit; /* NULL: interprets */
} Machine;

typedef struct {
    Machine interp, jit;
    CpuidModel *model;
    TestMode mode;
    uint32_t data, code; /* physical addresses */
} Pair;

/* Where a run ended. */
typedef struct {
    bool raised, lost;
    int vector;
    uint32_t error;
} Outcome;

extern const JitOptions unlinked;

void pair_init(Pair *pair, TestMode mode, const JitOptions *options);
/* MODEL as -cpu takes it. */
void pair_init_of_model(Pair *pair, const char *model, TestMode mode, const JitOptions *options);
void pair_clear(Pair *pair);
void pair_write(Pair *pair, uint32_t address, const void *bytes, size_t length);
/* LINEAR, a page in the 2 MiB from MAPPED, now leads to RAM, on both. */
void pair_map(Pair *pair, uint32_t linear, uint32_t ram);

/* Until HLT, an exception or, interpreting, LIMIT instructions. */
Outcome run(Machine *machine, volatile unsigned limit);

/* NULL when both ended alike; else a text. FLAGS: which of RFLAGS to look at. */
char *difference(Pair *pair, const Outcome *interp, const Outcome *jit, uint64_t flags);
/* Both run from RIP to HLT, the interpreter for LIMIT instructions at most, and must end alike. */
void pair_check_from(Pair *pair, uint32_t rip, unsigned limit);
/* CODE runs in long mode from CODE on, on both alike, until VECTOR is raised AT bytes behind. */
void pair_check_fault(const uint8_t *code, size_t length, int vector, size_t at);
