/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The interpreter's files among themselves. */

#include "core/cpu/interp.h"

/* Executes INSN with cpu->rip on it and cpu->next_rip after it; a branch replaces next_rip. Raises
 * with nothing committed. */
typedef void (*InterpHandler)(Cpu *cpu, const Insn *insn);

/* Each subject's handler for an instruction, NULL when it is another's. */
InterpHandler interp_alu_handler(const Insn *insn);
InterpHandler interp_shift_handler(const Insn *insn);
InterpHandler interp_muldiv_handler(const Insn *insn);
InterpHandler interp_data_handler(const Insn *insn);
InterpHandler interp_stack_handler(const Insn *insn);
InterpHandler interp_flow_handler(const Insn *insn);
InterpHandler interp_string_handler(const Insn *insn);
InterpHandler interp_system_handler(const Insn *insn);
InterpHandler interp_x87_handler(const Insn *insn);
InterpHandler interp_vector_handler(const Insn *insn);
InterpHandler interp_xsave_handler(const Insn *insn);

/* BSF or BSR, also for TZCNT and LZCNT on processors that ignore their prefix. */
InterpHandler interp_bit_scan_handler(const Insn *insn);

/* interp-x87.c. An unmasked x87 exception is pending: raises #MF, or returns false with RIP staying
 * on the instruction while FERR# waits for an interrupt. */
bool interp_x87_check_pending(Cpu *cpu);
/* What any MMX instruction does: TOP is 0, every register valid. */
void interp_x87_enter_mmx(Cpu *cpu);

/* interp-xsave.c: #GP(0) for reserved MXCSR bits. */
void interp_check_mxcsr(Cpu *cpu, uint32_t value);

/* The condition of Jcc, SETcc, CMOVcc: the low four bits of the opcode (SDM 1, B.1). */
static inline bool interp_condition(uint64_t rflags, unsigned condition)
{
    bool sf = rflags & RFLAGS_SF, of = rflags & RFLAGS_OF, result;
    switch (condition >> 1) {
    case 0: result = of; break;
    case 1: result = rflags & RFLAGS_CF; break;
    case 2: result = rflags & RFLAGS_ZF; break;
    case 3: result = rflags & (RFLAGS_CF | RFLAGS_ZF); break;
    case 4: result = sf; break;
    case 5: result = rflags & RFLAGS_PF; break;
    case 6: result = sf != of; break;
    default: result = (rflags & RFLAGS_ZF) || sf != of; break;
    }
    return result != (condition & 1);
}
