/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * What instructions do to the system state, called by the interpreter (and by JIT helpers) after
 * decoding. Each either completes or raises with nothing committed. Unless said otherwise they work
 * on cpu->next_rip as "the address after this instruction" and may replace it.
 */

#include "core/cpu/cpu.h"

/* segments.c */
void segment_load(Cpu *cpu, int seg, uint16_t selector); /* MOV/POP/LDS...: not CS */
void segment_load_cache(Cpu *cpu, int seg, uint16_t selector, uint64_t base, uint32_t limit,
                        uint16_t attributes);
void segment_load_real(Cpu *cpu, int seg, uint16_t selector); /* real and v8086 */
/* Logical to linear with limit and type checks for [OFFSET, OFFSET+SIZE): raises #GP or #SS. */
uint64_t segment_linear(Cpu *cpu, int seg, uint64_t offset, unsigned size, bool write);
void system_lldt(Cpu *cpu, uint16_t selector);
void system_ltr(Cpu *cpu, uint16_t selector);
/* LAR/LSL/VERR/VERW: set ZF, return the value (LAR/LSL) when ZF is set. */
bool system_lar(Cpu *cpu, uint16_t selector, uint32_t *value);
bool system_lsl(Cpu *cpu, uint16_t selector, uint32_t *value);
bool system_verify(Cpu *cpu, uint16_t selector, bool write);

/* transfers.c: far control transfers. OPSIZE 2, 4 or 8 bytes. */
void far_jump(Cpu *cpu, uint16_t selector, uint64_t offset, unsigned opsize);
void far_call(Cpu *cpu, uint16_t selector, uint64_t offset, unsigned opsize);
void far_return(Cpu *cpu, unsigned opsize, unsigned pop_bytes);
void interrupt_return(Cpu *cpu, unsigned opsize); /* IRET/IRETD/IRETQ */
void system_syscall(Cpu *cpu);
void system_sysret(Cpu *cpu, unsigned opsize);
void system_sysenter(Cpu *cpu);
void system_sysexit(Cpu *cpu, unsigned opsize);

/* tasks.c */
typedef enum { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_GATE } TaskSwitchCause;
void task_switch(Cpu *cpu, uint16_t selector, TaskSwitchCause cause, bool has_error,
                 uint32_t error);

/* exceptions.c: INT n, INT3, INTO, INT1 and hardware interrupts. */
typedef enum {
    INT_HARDWARE,
    INT_SOFTWARE,
    INT_BREAKPOINT,
    INT_OVERFLOW,
    INT_ICEBP,
    INT_EXCEPTION
} IntKind;
void interrupt_deliver(Cpu *cpu, int vector, IntKind kind, bool has_error, uint32_t error);

/* control.c: privileged state. All check CPL. */
void system_mov_to_cr(Cpu *cpu, unsigned cr, uint64_t value);
uint64_t system_mov_from_cr(Cpu *cpu, unsigned cr);
void system_mov_to_dr(Cpu *cpu, unsigned dr, uint64_t value);
uint64_t system_mov_from_dr(Cpu *cpu, unsigned dr);
void system_lmsw(Cpu *cpu, uint16_t value);
void system_clts(Cpu *cpu);
void system_invlpg(Cpu *cpu, uint64_t linear);
void system_invpcid(Cpu *cpu, uint64_t type, uint64_t pcid, uint64_t linear);
void system_lgdt(Cpu *cpu, uint64_t base, uint32_t limit);
void system_lidt(Cpu *cpu, uint64_t base, uint32_t limit);
void system_hlt(Cpu *cpu);
void system_wbinvd(Cpu *cpu);
void system_swapgs(Cpu *cpu);
void system_xsetbv(Cpu *cpu, uint32_t index, uint64_t value);
uint64_t system_xgetbv(Cpu *cpu, uint32_t index);
void system_cpuid(Cpu *cpu); /* EAX/ECX in, EAX..EDX out */
void system_rdmsr(Cpu *cpu);
void system_wrmsr(Cpu *cpu);
uint64_t system_rdtsc(Cpu *cpu); /* checks CR4.TSD */
void system_rdpmc(Cpu *cpu);
/* Raises #GP unless IOPL, v8086 and the TSS permission map allow it. */
void system_check_io(Cpu *cpu, uint16_t port, unsigned size);
void system_cli(Cpu *cpu);
void system_sti(Cpu *cpu);
uint64_t system_pushf(Cpu *cpu); /* value pushed; checks v8086 IOPL */
void system_popf(Cpu *cpu, uint64_t value, unsigned opsize);
void system_umip_check(Cpu *cpu); /* SGDT/SIDT/SLDT/STR/SMSW: #GP(0) if CR4.UMIP and CPL > 0 */
