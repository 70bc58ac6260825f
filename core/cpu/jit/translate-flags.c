/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The arithmetic flags between the instruction that sets them and the one that reads them.
 *
 * Checks of addresses clobber EFLAGS. What is live then is saved, and restored when it is wanted:
 * ten instructions. Most flags that are live across an access come from a comparison whose operands
 * are still there, as in TEST, MOV from memory, Jcc: it is made once more after the check. Where
 * the access faults they are had as those that nobody reads: translate-shown.c.
 */

#include "core/cpu/jit/translate.h"

/* --- saved and restored ----------------------------------------------------------------------- */

void t_emit_save_flags(Emit *e)
{
    emit_mov_rr(e, H_R11, H_RAX);
    emit8(e, 0x9f);                      /* lahf */
    emit_rr(e, false, 0x0f90, 0, H_RAX); /* seto al */
    /* As wide as it is read, or the processor cannot forward it from its store queue. */
    emit_rm(e, false, 0x89, H_RAX, H_RSP, OFFSET_SLOT(SLOT_FLAGS));
    emit_mov_rr(e, H_RAX, H_R11);
}

void t_emit_restore_flags(Emit *e)
{
    emit_mov_rr(e, H_R11, H_RAX);
    emit_rm(e, false, 0x8b, H_RAX, H_RSP, OFFSET_SLOT(SLOT_FLAGS));
    emit8(e, 0x04); /* add al, 7fh: OF */
    emit8(e, 0x7f);
    emit8(e, 0x9e); /* sahf */
    emit_mov_rr(e, H_RAX, H_R11);
}

void t_save_flags(Translator *t)
{
    if (t->flags_from.kind != FLAGS_SAVED)
        t_emit_save_flags(&t->hot);
    t->flags_saved = true;
    t->flags_from = (JitFlags){.kind = FLAGS_SAVED};
}

void t_free_flags(Translator *t)
{
    if (!t->flags_saved && t->item->live_before)
        t_save_flags(t);
}

void t_restore_flags(Translator *t)
{
    if (t->repeated)
        t_emit_again(&t->hot, t->repeated);
    else
        t_emit_restore_flags(&t->hot);
    t->flags_saved = false;
}

void t_want_flags(Translator *t)
{
    const Item *item = t->item;

    if (!t->flags_saved)
        return;
    /* A partial write leaves the others in EFLAGS. */
    if (item->tested || (item->insn.flags_modified && (item->live_after & ~item->killed)))
        t_restore_flags(t);
}

void t_flags_after(Translator *t)
{
    if (!t->item->insn.flags_modified)
        return;
    t->flags_saved = false;
    t_note_origin(t);
}

/* --- made again ------------------------------------------------------------------------------- */

/* A whole register with a home, other than the stack pointer, which may be behind. */
static bool is_at_home(const InsnOperand *operand)
{
    return operand->kind == OPERAND_REG && operand->reg_class >= REG_CLASS_GPR32 &&
           operand->reg_class <= REG_CLASS_GPR64 && !is_homeless(operand->reg) &&
           operand->reg != RSP;
}

static bool is_part_at_home(const InsnOperand *operand)
{
    return operand->kind == OPERAND_REG &&
           (operand->reg_class == REG_CLASS_GPR8 || operand->reg_class == REG_CLASS_GPR16) &&
           !is_homeless(operand->reg) && operand->reg != RSP;
}

/* Whether INSN's flags can be had again while the registers it names hold what they hold after it.
 */
static bool can_repeat(const Insn *insn)
{
    const InsnOperand *to = &insn->operands[0], *from = &insn->operands[1];
    bool compares = !(insn->category_flags & INSN_HAS_MEMORY) &&
                    (is_at_home(to) || is_part_at_home(to)) &&
                    (from->kind == OPERAND_IMM || is_at_home(from) || is_part_at_home(from));

    if (insn->lock)
        return false;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_TEST: return compares;
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR: return is_at_home(to);
    case ZYDIS_MNEMONIC_ADD:
        return is_at_home(to) && from->kind == OPERAND_IMM && (int32_t)insn->immediate != INT32_MIN;
    case ZYDIS_MNEMONIC_SUB:
        return is_at_home(to) &&
               (from->kind == OPERAND_IMM || (is_at_home(from) && from->reg != to->reg));
    default: return false;
    }
}

void t_emit_again(Emit *e, const Item *item)
{
    const Insn *insn = &item->insn;
    const InsnOperand *from = &insn->operands[1];
    unsigned to = host_register(insn->operands[0].reg);
    bool w = insn->operands[0].reg_class == REG_CLASS_GPR64;
    int32_t constant = (int32_t)insn->immediate;

    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_TEST: t_emit_registers(e, insn); break;
    case ZYDIS_MNEMONIC_ADD:
        emit_rm(e, w, 0x8d, H_R11, to, -constant);
        emit_alu_imm(e, w, 0, H_R11, constant);
        break;
    case ZYDIS_MNEMONIC_SUB:
        if (from->kind == OPERAND_IMM) {
            emit_rm(e, w, 0x8d, H_R11, to, constant);
            emit_alu_imm(e, w, 7, H_R11, constant);
        } else {
            emit_rmx(e, w, 0x8d, H_R11, to, host_register(from->reg), 1, 0);
            emit_rr(e, w, 0x39, host_register(from->reg), H_R11); /* cmp r11, from */
        }
        break;
    default: /* logic: CF and OF are 0, the others say what the result is */
        emit_rr(e, w, 0x85, to, to);
    }
}

/* Whether INSN changes a general register that OF names. */
static bool changes_operand(const Insn *insn, const Insn *of)
{
    for (unsigned k = 0; k < 2; k++)
        if (of->operands[k].kind == OPERAND_REG && (insn->gpr_written >> of->operands[k].reg & 1))
            return true;
    return false;
}

void t_note_repeatable(Translator *t)
{
    const Item *item = t->item;

    if (item->insn.flags_modified) {
        t->repeatable = item->kind == KIND_COPY && can_repeat(&item->insn) ? item : NULL;
        return;
    }
    switch (item->kind) {
    case KIND_NOTHING:
    case KIND_COPY:
    case KIND_LEA:
    case KIND_PUSH:
    case KIND_POP:
    case KIND_JCC:
        if (t->repeatable && changes_operand(&item->insn, &t->repeatable->insn))
            t->repeatable = NULL;
        break;
    default: t->repeatable = NULL;
    }
}

void t_free_flags_for_access(Translator *t)
{
    /* Indirect branches hand them on in SLOT_FLAGS. */
    bool wants_them_saved = t->item->kind == KIND_RET || t->item->kind == KIND_JMP_INDIRECT ||
                            t->item->kind == KIND_CALL_INDIRECT;

    if (t->flags_saved || !t->item->live_before)
        return;
    if (t->repeatable && !wants_them_saved) {
        t->repeated = t->repeatable;
        t->flags_saved = true;
    } else {
        t_save_flags(t);
    }
}

void t_flags_after_access(Translator *t)
{
    if (t->repeated)
        t_restore_flags(t);
    t->repeated = NULL;
}
