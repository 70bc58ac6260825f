/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * A machine of two to four vCPUs in 64-bit mode, without a board, on which small programs run at
 * the same time. Programs are written here in the assembler's Intel syntax and end with HLT.
 */

#include "core/cpu/bus.h"
#include "core/cpu/cpu.h"
#include "core/cpu/jit/jit.h"

#define LITMUS_MAX_CPUS  4
#define LITMUS_CODE      0x100000u /* of vCPU i: LITMUS_CODE + i * LITMUS_CODE_SIZE */
#define LITMUS_CODE_SIZE 0x10000u
#define LITMUS_SHARED    0x200000u  /* 2 MiB */
#define LITMUS_LOG       0x1000000u /* of vCPU i: LITMUS_LOG + i * LITMUS_LOG_SIZE */
#define LITMUS_LOG_SIZE  0x800000u
/* The RAM from LITMUS_PAGED_TO on shows here again, in 256 pages of 4 KiB. */
#define LITMUS_PAGED     0x400000u
#define LITMUS_PTE       0xe03000u /* the page table's entry of LITMUS_PAGED */
#define LITMUS_PAGED_TO  (LITMUS_SHARED + 0x100000u)
/* But this page of them shows another one than its neighbours' neighbour. */
#define LITMUS_STRAY     100u
#define LITMUS_STRAY_TO  (LITMUS_PAGED_TO + 200 * GUEST_PAGE_SIZE)

/* The program NAME, and where it ends. It starts when all vCPUs have come, with
 *   rbx LITMUS_SHARED, rbp its log, rsi the rounds, rdi the vCPU's index, r12 to r14 as asked for,
 *   r15 0, for the program's count of errors, rcx 0. */
#define LITMUS_PROGRAM(NAME, TEXT)                                                                 \
    extern const uint8_t NAME[], NAME##_end[];                                                     \
    __asm__(".pushsection .rodata\n.intel_syntax noprefix\n" #NAME ":\n" TEXT "\n" #NAME           \
            "_end:\n.att_syntax prefix\n.popsection")
#define LITMUS_TASK(NAME, ...) ((LitmusTask){NAME, NAME##_end, {__VA_ARGS__}})

typedef struct {
    const uint8_t *code, *end;
    uint64_t arguments[3]; /* r12, r13, r14 */
} LitmusTask;

typedef struct {
    MemoryMap *map;
    RamBlock *ram;
    CpuidModel *model;
    Jit *jit; /* NULL: interprets */
    CpuBus *bus;
    GMutex lock;
    Cpu *cpus[LITMUS_MAX_CPUS];
} Litmus;

void litmus_init(Litmus *litmus, const JitOptions *options);
void litmus_clear(Litmus *litmus);
/* Runs the tasks, one a vCPU, to their HLT. Fails the test if they do not come to it. The test
 * clears what must begin as 0. */
void litmus_run(Litmus *litmus, const LitmusTask *tasks, unsigned n_tasks, uint64_t rounds);

static inline uint64_t *litmus_ram(Litmus *litmus, uint64_t address)
{
    return (uint64_t *)(litmus->ram->host + address);
}

static inline uint64_t *litmus_log(Litmus *litmus, unsigned cpu)
{
    return litmus_ram(litmus, LITMUS_LOG + cpu * LITMUS_LOG_SIZE);
}

/* What the vCPUs counted in r15. */
uint64_t litmus_errors(const Litmus *litmus);
