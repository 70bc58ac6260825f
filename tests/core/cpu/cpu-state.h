/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * What an unprivileged instruction can read and write: registers and two pages of data. Tests that
 * compare processors make it at random, run it on each and look for differences.
 */

#include "core/cpu/cpu.h"
#include "core/cpu/decode.h"

#define STATE_PAGE 4096u
#define STATE_DATA (2 * STATE_PAGE)

typedef struct {
    CpuVectors vectors; /* with FIP, FDP and FOP in the FXSAVE area's places */
    uint64_t gpr[N_GPR];
    uint64_t rflags;
    uint64_t rip;
    int vector; /* of the exception that ended the run, -1 none */
    uint32_t error;
    uint64_t address;         /* of a page fault */
    uint8_t data[STATE_DATA]; /* two pages, so that a stack may lie in both */
} CpuState;

/* --- random numbers --------------------------------------------------------------------------- */

/* SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
typedef struct {
    uint64_t state;
} Random;

static inline uint64_t random_next(Random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* 0 to LIMIT - 1. */
static inline unsigned random_below(Random *random, unsigned limit)
{
    return (random_next(random) >> 32) * limit >> 32;
}

/* Small numbers, signs and single bits among plain ones. */
uint64_t random_value(Random *random);
/* Into the data at DATA, PAGES pages of it, sometimes at or over one of their ends. */
uint64_t random_pointer(Random *random, uint64_t data, unsigned pages);
/* Pages of numbers: integers and doubles, more of them at their ends. */
void random_data(Random *random, uint8_t data[STATE_DATA]);
/* Everything but the data at random; half the registers point to the data at DATA, PAGES pages of
 * it. UNMASK: exceptions of the x87 and of SSE may be unmasked. */
void state_randomise(CpuState *state, Random *random, uint64_t data, unsigned pages, bool unmask);

/* --- comparing -------------------------------------------------------------------------------- */

/* Whether A and B agree in everything: RFLAGS but for its system bits, addresses at a page fault.
 * The x87's last addresses and opcode are not looked at. */
bool state_equal(const CpuState *a, const CpuState *b);
/* The differences, a line each, as NAME_A and NAME_B have them. */
void state_describe_difference(GString *out, const CpuState *a, const char *name_a,
                               const CpuState *b, const char *name_b);

/* --- what the manuals leave open -------------------------------------------------------------- */

/* Whether an access to the byte at ADDRESS faults; then ERROR has the page fault's error code. */
typedef bool (*StateFaultFunc)(uint64_t address, bool write, uint32_t *error);

/* Repeat prefixes before other instructions are reserved (SDM 2A, 2.1.1). Before these, some
 * processors take them into account: PAUSE with REX.B is one. */
bool insn_has_reserved_prefix(const Insn *insn);
/* A repetition counted by ECX in 64-bit code (WIDE). Some processors write ECX, ESI and EDI, and so
 * zero the registers' high halves, before the first element or where there is none. */
bool insn_repeats_by_ecx(const Insn *insn, bool wide);
/* The offset of INSN's ModRM memory operand with the registers of STATE, whose rip is at INSN. */
uint64_t insn_effective_address(const Insn *insn, const CpuState *state);
/* Some instructions access more than one piece of memory (CMPS and MOVS two operands, FXSAVE,
 * FNSTENV and the like an area in the order of the model's liking), and no manual says which is
 * first. True if INSN is one of them and what STATE reports is the fault of one of its pieces. Flat
 * segments, of 64-bit code if WIDE. */
bool state_fault_is_of_a_piece(const CpuState *state, const Insn *insn, bool wide,
                               StateFaultFunc faults);
/* Whether A and B report the same access over the end of flat segments of 32-bit code, which may
 * fault as such or begin anew at 0 (SDM 3, 5.3). */
bool state_faults_at_4_gib(const CpuState *a, const CpuState *b);
/* STATE reports a fault of an x87 instruction's store, and not all x87 exceptions are masked. One
 * that is not keeps a store from being done (SDM 1, 8.7); whether the place is looked at all the
 * same, no manual says: processors that do not go on. */
bool state_may_skip_store(const Insn *insn, const CpuState *state);
/* STATE reports the #GP of an XRSTOR whose header names state components that are not in XCR0, all
 * of which are in WIDER: a processor with that XCR0 goes on (SDM 1, 13.8). The data page is at PAGE
 * of the data segments. */
bool state_restores_beyond_xcr0(const Insn *insn, const CpuState *state, uint64_t page,
                                uint64_t wider);
/* STATE reports a page fault in the first 512 bytes of INSN's XSAVE area, though no state is
 * requested that belongs there, or an XSAVEOPT may leave it out: a processor that does not look at
 * the place goes on. */
bool state_may_skip_area(const Insn *insn, const CpuState *state);
/* A and B both ended with an exception of INSN: makes equal what else that leaves open, since what
 * is done before it is is the model's affair: pushes and parts of stores that came before another
 * that faults (they are beyond the stack, or will be stored again), the mask of a gather, MXCSR,
 * the MMX registers' TOP. The data page is at PAGE of the data segments. */
void state_forget_open(const Insn *insn, bool wide, uint64_t page, CpuState *a, CpuState *b);
