/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Flags that the program overwrites unread, but that a handler may see: of a fault in between, of
 * an interrupt.
 *
 * The program's own code does not keep them. At each place that may show them it is known what
 * instruction they come from, and where its operands are then: in registers that still hold them,
 * or in SLOT_NOTES if something changes these in between. The slow way out computes the flags
 * (flags.c). What cannot be had like this is saved when it is made. Where a block is left for one
 * that may show the flags before it overwrites them, SLOT_FLAGS says the same.
 */

#include "core/cpu/jit/translate.h"

/* --- who may see them ------------------------------------------------------------------------- */

/* Once the first access of a group has been made, the others cannot fault. */
static bool may_fault(const Translator *t, const Item *item, int8_t group)
{
    return group == NO_GROUP || t_heads_group(t, item, group);
}

bool t_shows_flags(const Translator *t, const Item *item)
{
    const Insn *insn = &item->insn;
    bool memory = insn->category_flags & INSN_HAS_MEMORY;

    switch (item->kind) {
    case KIND_NOTHING:
    case KIND_LEA:
    case KIND_INC_DEC:
    case KIND_DIRECTION:
    case KIND_CLI:
    case KIND_STI:
    case KIND_AC:
    case KIND_JCC:
    case KIND_LOOP:
    case KIND_JMP: return false;
    case KIND_COPY:
        return (memory && (insn->mem_align || may_fault(t, item, item->operand_group))) ||
               (insn->category_flags & INSN_MAY_TRAP) || insn->mnemonic == ZYDIS_MNEMONIC_DIV ||
               insn->mnemonic == ZYDIS_MNEMONIC_IDIV;
    case KIND_PUSH:
    case KIND_POP:
        return (memory && may_fault(t, item, item->operand_group)) ||
               may_fault(t, item, item->stack_group);
    default: return true;
    }
}

/* --- the plan --------------------------------------------------------------------------------- */

/* A general register, but for AH, CH, DH and BH. */
static bool is_register(const InsnOperand *operand)
{
    return operand->kind == OPERAND_REG && operand->reg_class >= REG_CLASS_GPR8 &&
           operand->reg_class <= REG_CLASS_GPR64 && operand->reg_class != REG_CLASS_GPR8_HIGH;
}

/* FLAGS_NONE for all but SHL, SHR and SAR. */
static JitFlagsOrigin shift_kind(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_SHL: return FLAGS_SHL;
    case ZYDIS_MNEMONIC_SHR: return FLAGS_SHR;
    case ZYDIS_MNEMONIC_SAR: return FLAGS_SAR;
    default: return FLAGS_NONE;
    }
}

bool t_shifts_register_by_cl(const Item *item)
{
    const Insn *insn = &item->insn;

    return item->kind == KIND_COPY && !insn->imm_size && insn_may_shift_by_0(insn) &&
           is_register(&insn->operands[0]) && shift_kind(insn) != FLAGS_NONE;
}

/* The interpreter leaves them saved. */
static bool is_interpreted(const Item *item)
{
    return item->kind == KIND_INTERPRET || item->kind == KIND_LEAVE_TO ||
           item->kind == KIND_TRANSFER;
}

void t_plan_shown(const Translator *t, ShownPlan *plan, Item *item, uint32_t live, bool leads_away)
{
    uint16_t changed = item->insn.gpr_written;

    item->keeps_flags = false;
    if (leads_away)
        *plan = (ShownPlan){0};
    /* The requests are looked at on the way back. */
    if (item->target_shows.flags || item->loops_back)
        plan->flags = ALL_FLAGS;
    if (item->target_shows.flags)
        plan->passing = UINT16_MAX;
    item->after = *plan;
    if (is_interpreted(item)) {
        *plan = (ShownPlan){ALL_FLAGS, 0, 0};
        item->shown_before = true;
        return;
    }
    if (plan->flags) {
        plan->changed |= changed;
        plan->passing |= changed;
    }
    item->keeps_flags = plan->flags && !live && t_shifts_register_by_cl(item);
    if (item->keeps_flags)
        plan->changed = 0;              /* it notes the operands of those that it leaves */
    else if (item->insn.flags_modified) /* what it leaves is live before it */
        *plan = (ShownPlan){0};
    if (item->kind == KIND_STRING) { /* which shows them half done, too */
        plan->changed |= changed;
        plan->passing |= changed;
    }
    if (t_shows_flags(t, item) || item->shows_before || item->early_checks)
        plan->flags = ALL_FLAGS;
    item->shown_before = plan->flags != 0;
}

/* --- operations ------------------------------------------------------------------------------- */

static JitFlags origin(JitFlagsOrigin kind, unsigned size, unsigned first, unsigned second)
{
    return (JitFlags){
        .kind = kind, .size = (unsigned)__builtin_ctz(size), .first = first, .second = second};
}

/* With an operand that is the register before the operation: that is to be noted. */
enum { OLD = FLAGS_NOTED, NONE = FLAGS_NOTED };

/* The flags of ADD and SUB, by what else is known than the result. */
static JitFlags of_sum(const Insn *insn, JitFlagsOrigin kind)
{
    const InsnOperand *to = &insn->operands[0], *from = &insn->operands[1];
    unsigned size = to->size;

    if (from->kind == OPERAND_IMM)
        return origin(kind + 1, size, to->reg, FLAGS_CONSTANT);
    if (from->kind == OPERAND_MEM)
        return origin(kind + 2, size, OLD, to->reg);
    if (from->reg == to->reg)
        return origin(kind, size, OLD, OLD);
    return origin(kind + 1, size, to->reg, from->reg);
}

/* Whether the other operand of a comparison with one in memory leaves r11 to that. */
static bool is_simple(const InsnOperand *operand)
{
    return operand->kind == OPERAND_IMM || (is_register(operand) && !is_homeless(operand->reg));
}

static JitFlags of_comparison(const Insn *insn, JitFlagsOrigin kind)
{
    const InsnOperand *to = &insn->operands[0], *from = &insn->operands[1];
    unsigned first = to->kind == OPERAND_MEM ? FLAGS_NOTED : to->reg;
    unsigned second = from->kind == OPERAND_IMM   ? FLAGS_CONSTANT
                      : from->kind == OPERAND_MEM ? FLAGS_NOTED + 1
                                                  : from->reg;

    if ((insn->category_flags & INSN_HAS_MEMORY) &&
        !(to->kind == OPERAND_MEM ? is_simple(from) : is_simple(to)))
        return (JitFlags){.kind = FLAGS_SAVED};
    return origin(kind, to->size, first, second);
}

static bool is_comparison(const Insn *insn)
{
    return insn->mnemonic == ZYDIS_MNEMONIC_CMP || insn->mnemonic == ZYDIS_MNEMONIC_TEST;
}

/* ADC and SBB. A register added to itself has lost its highest bit. */
static JitFlags of_carried_sum(const Insn *insn, JitFlagsOrigin kind)
{
    const InsnOperand *to = &insn->operands[0], *from = &insn->operands[1];

    if (from->kind == OPERAND_IMM)
        return origin(kind, to->size, to->reg, FLAGS_CONSTANT);
    if (from->kind == OPERAND_REG && from->reg != to->reg)
        return origin(kind, to->size, to->reg, from->reg);
    if (from->kind == OPERAND_REG && kind == FLAGS_SBB_RESULT)
        return origin(kind, to->size, to->reg, FLAGS_CONSTANT); /* 0 will do */
    return (JitFlags){.kind = FLAGS_SAVED};
}

/* By two operands or three; what is written first may be a factor. */
static JitFlags of_product(const Insn *insn)
{
    const InsnOperand *to = &insn->operands[0], *from = &insn->operands[1];

    if (insn->n_visible == 1 || from->kind == OPERAND_MEM)
        return (JitFlags){.kind = FLAGS_SAVED};
    if (insn->n_visible == 2)
        return origin(FLAGS_IMUL, to->size, OLD, from->reg == to->reg ? OLD : from->reg);
    return origin(FLAGS_IMUL, to->size, from->reg == to->reg ? OLD : from->reg, FLAGS_CONSTANT);
}

/* Where ITEM's flags can be had from behind it; FLAGS_SAVED if they must be saved. */
static JitFlags origin_of(const Item *item)
{
    const Insn *insn = &item->insn;
    const InsnOperand *to = &insn->operands[0], *from = &insn->operands[1];
    const JitFlags saved = {.kind = FLAGS_SAVED};
    bool one = insn->mnemonic == ZYDIS_MNEMONIC_NEG || insn->mnemonic == ZYDIS_MNEMONIC_INC ||
               insn->mnemonic == ZYDIS_MNEMONIC_DEC;

    if (item->kind != KIND_COPY || (insn_is_shift(insn) && item->killed != ALL_FLAGS))
        return saved;
    if (insn->mnemonic == ZYDIS_MNEMONIC_MUL && to->size > 1)
        return origin(FLAGS_MUL, to->size, RDX, NONE);
    if (!(is_register(to) || (to->kind == OPERAND_MEM && is_comparison(insn))) ||
        !(one || from->kind == OPERAND_IMM || from->kind == OPERAND_MEM || is_register(from)))
        return saved;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_ADD: return of_sum(insn, FLAGS_ADD);
    case ZYDIS_MNEMONIC_SUB: return of_sum(insn, FLAGS_SUB);
    case ZYDIS_MNEMONIC_CMP: return of_comparison(insn, FLAGS_SUB);
    case ZYDIS_MNEMONIC_TEST: return of_comparison(insn, FLAGS_TEST);
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR: return origin(FLAGS_LOGIC, to->size, to->reg, NONE);
    case ZYDIS_MNEMONIC_ADC: return of_carried_sum(insn, FLAGS_ADC_RESULT);
    case ZYDIS_MNEMONIC_SBB: return of_carried_sum(insn, FLAGS_SBB_RESULT);
    case ZYDIS_MNEMONIC_INC: return origin(FLAGS_INC_RESULT, to->size, to->reg, NONE);
    case ZYDIS_MNEMONIC_DEC: return origin(FLAGS_DEC_RESULT, to->size, to->reg, NONE);
    case ZYDIS_MNEMONIC_IMUL: return of_product(insn);
    case ZYDIS_MNEMONIC_NEG: return origin(FLAGS_NEG_RESULT, to->size, to->reg, NONE);
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
        return from->kind == OPERAND_IMM ? origin(shift_kind(insn), to->size, OLD, FLAGS_CONSTANT)
                                         : saved;
    default: return saved;
    }
}

/* --- notes ------------------------------------------------------------------------------------ */

/* Register GUEST to SLOT_NOTES + N. Leaves EFLAGS alone, may change r11. */
static void emit_note(Emit *e, unsigned n, unsigned guest)
{
    unsigned host = H_R11;

    if (is_homeless(guest))
        emit_rm(e, true, 0x8b, H_R11, H_RSP, OFFSET_GPR(guest));
    else
        host = host_register(guest);
    emit_rm(e, true, 0x89, host, H_RSP, OFFSET_SLOT(SLOT_NOTES + n));
}

static void emit_note_constant(Emit *e, unsigned n, int32_t value)
{
    emit_rm(e, true, 0xc7, 0, H_RSP, OFFSET_SLOT(SLOT_NOTES + n));
    emit32(e, (uint32_t)value);
}

static bool is_changed(ShownPlan shown, unsigned source)
{
    return source < FLAGS_NOTED && (shown.changed >> source & 1);
}

/* Notes the operands of FROM that change before it is last shown. Returns where they then are. */
static JitFlags note_changed(Emit *e, JitFlags from, ShownPlan shown)
{
    if (is_changed(shown, from.first)) {
        emit_note(e, 0, from.first);
        from.first = FLAGS_NOTED;
    }
    if (is_changed(shown, from.second)) {
        emit_note(e, 1, from.second);
        from.second = FLAGS_NOTED + 1;
    }
    return from;
}

/* A shift by CL. Whether it changes flags is only known now. */
static void note_shift(Translator *t)
{
    const Insn *insn = &t->item->insn;
    unsigned size = insn->operands[0].size;
    JitFlags from = origin(shift_kind(insn), size, FLAGS_NOTED, FLAGS_NOTED + 1);

    emit_rr(&t->hot, false, 0xf6, 0, H_RCX); /* test cl, imm8 */
    emit8(&t->hot, size == 8 ? 0x3f : 0x1f);
    emit_jcc(&t->hot, CC_E, t->cold.p);
    emit_note(&t->hot, 0, insn->operands[0].reg);
    emit_note(&t->hot, 1, RCX);
    emit_rm(&t->hot, false, 0xc7, 0, H_RSP, OFFSET_SLOT(SLOT_FLAGS));
    emit32(&t->hot, from.packed);
    t_emit_origin(t, &t->cold, SHOWN_ALL);
    emit_jmp(&t->cold, t->hot.p);
}

void t_note_old_operand(Translator *t)
{
    JitFlags from;

    if (!t->item->after.flags)
        return;
    if (t->item->keeps_flags) {
        note_shift(t);
        return;
    }
    from = origin_of(t->item);
    if (from.kind >= FLAGS_ADC_RESULT && from.kind <= FLAGS_DEC_RESULT)
        emit_rm(&t->hot, false, 0x0f92, 0, H_RSP, OFFSET_SLOT(SLOT_NOTED_CARRY)); /* setc */
    if (from.kind != FLAGS_SAVED && from.first == OLD && !is_comparison(&t->item->insn))
        emit_note(&t->hot, 0, t->item->insn.operands[0].reg);
}

void t_note_origin(Translator *t)
{
    const Item *item = t->item;
    JitFlags from = origin_of(item);
    int64_t constant = (int64_t)item->insn.immediate;

    t->flags_from = (JitFlags){0};
    if (!item->after.flags)
        return;
    if (item->keeps_flags) {
        from = (JitFlags){.kind = FLAGS_AS_ENTERED};
    } else if (from.kind == FLAGS_SAVED) {
        t_emit_save_flags(&t->hot);
    } else {
        from = note_changed(&t->hot, from, item->after);
        from.constant = (int32_t)constant;
        if (from.second == FLAGS_CONSTANT && from.constant != constant)
            from.second = FLAGS_WIDE_CONSTANT;
        t->constant = (int32_t)constant;
    }
    t->flags_from = from;
}

bool t_notes_memory_operand(const Translator *t)
{
    return t->item->after.flags && is_comparison(&t->item->insn) &&
           (t->item->insn.category_flags & INSN_HAS_MEMORY) &&
           origin_of(t->item).kind != FLAGS_SAVED;
}

void t_emit_origin_of(Emit *e, JitFlags from, ShownPlan shown)
{
    if (!shown.flags || from.kind <= FLAGS_AS_ENTERED)
        return;
    from = note_changed(e, from, shown);
    emit_rm(e, false, 0xc7, 0, H_RSP, OFFSET_SLOT(SLOT_FLAGS));
    emit32(e, from.packed);
}

JitFlags t_flags_from(const Translator *t)
{
    return t->flags_saved && !t->repeated ? (JitFlags){.kind = FLAGS_SAVED} : t->flags_from;
}

JitFlags t_emit_flags_from(const Translator *t, Emit *e)
{
    JitFlags from = t_flags_from(t);

    if (from.second == FLAGS_WIDE_CONSTANT) {
        emit_note_constant(e, 1, t->constant);
        from.second = FLAGS_NOTED + 1;
    }
    return from;
}

void t_emit_origin(const Translator *t, Emit *e, ShownPlan shown)
{
    if (shown.flags)
        t_emit_origin_of(e, t_emit_flags_from(t, e), shown);
}
