/* SPDX-License-Identifier: GPL-3.0-or-later */

/* PUSH, POP and the frame instructions. rSP moves last, so that a fault leaves it alone. */

#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

/* --- PUSH, POP -------------------------------------------------------------------------------- */

static void insn_push(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->opsize;
    const InsnOperand *source = &insn->operands[0];
    if (source->kind == OPERAND_REG && source->reg_class == REG_CLASS_SEG) {
        /* Processors write the selector alone and leave the rest of the slot (SDM 2B, PUSH). */
        uint64_t linear = interp_linear(cpu, SEG_SS, stack_offset(cpu, -(int64_t)size), size, true);
        if (size == 4)
            interp_store(cpu, linear, cpu->seg[source->reg].selector, 2);
        else
            interp_store(cpu, linear, cpu->seg[source->reg].selector, size);
        stack_adjust(cpu, -(int64_t)size);
        return;
    }
    interp_push(cpu, operand_read(cpu, insn, 0, size), size);
}

static void insn_pop(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->opsize;
    const InsnOperand *destination = &insn->operands[0];
    uint64_t value = interp_peek(cpu, 0, size), old_rsp = cpu->gpr[RSP];
    if (destination->kind == OPERAND_REG && destination->reg_class == REG_CLASS_SEG) {
        /* rSP moves by the width of the old stack segment; POP SS may change SS.B. */
        unsigned stack_size = stack_address_size(cpu);
        segment_load(cpu, destination->reg, value);
        if (destination->reg == SEG_SS)
            cpu->interrupt_shadow |= SHADOW_MOV_SS;
        gpr_write(cpu, RSP, old_rsp + size, stack_size);
        return;
    }
    stack_adjust(cpu, size);
    if (destination->kind == OPERAND_REG) {
        gpr_write(cpu, destination->reg, value, size);
        return;
    }
    /* A destination based on rSP uses the value after the increment. */
    uint64_t offset = insn_offset(cpu, insn);
    cpu->gpr[RSP] = old_rsp;
    interp_store(cpu, interp_linear(cpu, insn->mem_seg, offset, size, true), value, size);
    stack_adjust(cpu, size);
}

static void insn_pusha(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->opsize;
    /* All eight slots are proved writable before the first store. */
    for (int i = 1; i <= 8; i++)
        interp_probe_store(
            cpu, interp_linear(cpu, SEG_SS, stack_offset(cpu, -i * (int)size), size, true), size);
    for (int reg = RAX; reg <= RDI; reg++) {
        uint64_t offset = stack_offset(cpu, -(reg + 1) * (int)size);
        interp_store(cpu, interp_linear(cpu, SEG_SS, offset, size, true), cpu->gpr[reg], size);
    }
    stack_adjust(cpu, -8 * (int)size);
}

static void insn_popa(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->opsize;
    uint64_t values[8];
    for (int i = 0; i < 8; i++)
        values[7 - i] = interp_peek(cpu, i * (int)size, size);
    for (int reg = RAX; reg <= RDI; reg++)
        if (reg != RSP)
            gpr_write(cpu, reg, values[reg], size);
    stack_adjust(cpu, 8 * size);
}

/* --- flags ------------------------------------------------------------------------------------ */

static void insn_pushf(Cpu *cpu, const Insn *insn)
{
    interp_push(cpu, system_pushf(cpu), insn->opsize);
}

static void insn_popf(Cpu *cpu, const Insn *insn)
{
    uint64_t value = interp_peek(cpu, 0, insn->opsize);
    system_popf(cpu, value, insn->opsize); /* may raise #GP: rSP has not moved */
    stack_adjust(cpu, insn->opsize);
}

/* --- frames ----------------------------------------------------------------------------------- */

/* One slot of ENTER at DEPTH below rSP. */
static void enter_store(Cpu *cpu, int64_t depth, uint64_t value, unsigned size)
{
    uint64_t offset = stack_offset(cpu, -depth);
    interp_store(cpu, interp_linear(cpu, SEG_SS, offset, size, true), value, size);
}

/* SDM 2A, ENTER. Slots are written in order, also when a later step faults, as processors do: the
 * registers move last, so that it can run again. The frames' pointers are read through SS, and at
 * the end a store at the final stack pointer must be possible. */
static void insn_enter(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->opsize, stack_size = stack_address_size(cpu);
    unsigned allocation = insn->immediate & 0xffff, level = insn->immediate2 & 31;
    uint64_t frame = cpu->gpr[RBP];
    int64_t depth = size;

    enter_store(cpu, depth, frame, size);
    uint64_t new_frame = stack_offset(cpu, -depth);
    for (unsigned i = 1; i < level; i++) {
        uint64_t offset = (frame - i * size) & size_mask(stack_size);
        uint64_t value = interp_load(cpu, interp_linear(cpu, SEG_SS, offset, size, false), size);
        depth += size;
        enter_store(cpu, depth, value, size);
    }
    if (level) {
        depth += size;
        enter_store(cpu, depth, new_frame, size);
    }
    depth += allocation;
    interp_probe_store(cpu, interp_linear(cpu, SEG_SS, stack_offset(cpu, -depth), size, true),
                       size);
    stack_adjust(cpu, -depth);
    gpr_write(cpu, RBP, new_frame, size);
}

static void insn_leave(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->opsize, stack_size = stack_address_size(cpu);
    uint64_t offset = gpr_read(cpu, RBP, stack_size);
    uint64_t value = interp_load(cpu, interp_linear(cpu, SEG_SS, offset, size, false), size);
    gpr_write(cpu, RSP, offset + size, stack_size);
    gpr_write(cpu, RBP, value, size);
}

/* --- table ------------------------------------------------------------------------------------ */

InterpHandler interp_stack_handler(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_PUSH: return insn_push;
    case ZYDIS_MNEMONIC_POP: return insn_pop;
    case ZYDIS_MNEMONIC_PUSHA:
    case ZYDIS_MNEMONIC_PUSHAD: return insn_pusha;
    case ZYDIS_MNEMONIC_POPA:
    case ZYDIS_MNEMONIC_POPAD: return insn_popa;
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ: return insn_pushf;
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ: return insn_popf;
    case ZYDIS_MNEMONIC_ENTER: return insn_enter;
    case ZYDIS_MNEMONIC_LEAVE: return insn_leave;
    default: return NULL;
    }
}
