/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * An instruction's semantics are the host's own silicon: a copy of it runs in a small stub with the
 * guest's registers loaded and its memory operand rewritten to a buffer.
 *
 * Stubs live in a memfd mapped twice, writable and executable at different addresses. Host faults
 * inside a stub (SIGFPE, SIGILL, SIGSEGV) end the stub and are reported; elsewhere they go to
 * whoever handled them before.
 */

#include "core/cpu/decode.h"

typedef struct HostExec HostExec;

HostExec *hostexec_new(void);
void hostexec_free(HostExec *exec);

/* The vCPU's own, made on first use. */
HostExec *interp_hostexec(Cpu *cpu);

#define HOSTEXEC_BUFFER 64
/* What stands for the memory operand: HOSTEXEC_BUFFER bytes, as much aligned. */
uint8_t *hostexec_buffer(HostExec *exec);

typedef enum {
    HOSTEXEC_DONE,
    HOSTEXEC_FP_EXCEPTION, /* unmasked SIMD exception: MXCSR has its flags, nothing else changed */
    HOSTEXEC_UNDEFINED,    /* the host does not know the instruction */
    HOSTEXEC_FAULT,        /* #GP */
} HostExecResult;

/* Runs INSN on CPU's registers: GPRs, flags, cpu->vectors (spilled). The memory operand, if any, is
 * read from and written to the buffer. Not for instructions with implied memory operands. */
HostExecResult hostexec_run(Cpu *cpu, const Insn *insn);

/* An interpreter's handler: integer instructions with at most one memory source. */
void hostexec_integer(Cpu *cpu, const Insn *insn);

/* --- the vector state as a whole (vectors.c) -------------------------------------------------- */

/* XRSTORs cpu->vectors into the host's registers with the guest's MXCSR and x87 control word, and
 * sets cpu->vectors_live. From then to cpu_spill_vectors() only code without vector instructions
 * runs. */
void vectors_load(Cpu *cpu);
/* The x87 state alone, around a stub. */
void vectors_load_x87(Cpu *cpu);
void vectors_save_x87(Cpu *cpu);
