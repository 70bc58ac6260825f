/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Accesses of a block that share a base register share one look-up.
 *
 * The first access of a group, its head, checks that everything between the group's lowest and
 * highest byte lies in one page that the soft TLB holds, and keeps the distance from guest to host
 * address. The others then add that distance, and leave EFLAGS alone. What cannot be grouped is
 * found out where it happens: the head leaves for a translation of the same code without groups, at
 * the head's instruction, before that has changed anything.
 *
 * Groups on the stack keep page and distance from block to block: one page a TLB set, dropped with
 * the TLB's entries (Cpu.stack_page).
 *
 * An entry that a slow path replaces meanwhile does no harm: the mapping was right when the block
 * was entered and only helpers that leave the block, or end the group, change mappings.
 */

#include "core/cpu/jit/translate.h"

enum {
    MAX_SPAN = 1024, /* wider groups would too often cross a page */
    /* What the base register's number stands for in known[]. */
    BASE_RIP = N_GPR,
    N_BASES,
};

/* --- planning --------------------------------------------------------------------------------- */

/* A base register while the block is looked through. */
typedef struct {
    int group;     /* joined by the next access, or NO_GROUP */
    int64_t moved; /* constants added since the group's head */
} Base;

typedef struct {
    Translator *t;
    Base bases[N_BASES];
    bool behind_exit[MAX_GROUPS]; /* a side exit came after the head */
} Plan;

static bool is_groupable(const Translator *t, const Insn *insn)
{
    return (insn->category_flags & INSN_HAS_MEMORY) && insn->address_size == 8 &&
           insn->mem_index == INSN_REG_NONE && insn->mem_base != INSN_REG_NONE &&
           insn->mem_seg != SEG_FS && insn->mem_seg != SEG_GS && insn->mem_size;
}

/* From the base register; from the page's first byte if that is RIP. */
static int64_t operand_displacement(const Item *item)
{
    const Insn *insn = &item->insn;

    return insn->displacement + (insn->mem_base == INSN_REG_RIP ? item->offset + insn->length : 0);
}

static void forget_bases(Plan *plan)
{
    for (unsigned i = 0; i < N_BASES; i++)
        plan->bases[i] = (Base){NO_GROUP, 0};
}

/* Puts an access of SIZE bytes at [BASE + DISP] into a group. Returns the group or NO_GROUP. */
static int8_t join(Plan *plan, unsigned base, int64_t disp, unsigned size, bool store)
{
    Translator *t = plan->t;
    Base *known = &plan->bases[base];

    disp += known->moved;
    if (known->group != NO_GROUP) {
        AccessGroup *group = &t->groups[known->group];
        int64_t low = MIN(disp, group->low), high = MAX(disp + size, group->high);
        if (high - low <= MAX_SPAN &&
            (group->store || !store || !plan->behind_exit[known->group])) {
            group->low = (int32_t)low;
            group->high = (int32_t)high;
            group->store |= store;
            group->members++;
            return (int8_t)known->group;
        }
    }
    disp -= known->moved;
    if (t->n_groups == MAX_GROUPS || disp != (int32_t)disp) {
        known->group = NO_GROUP;
        return NO_GROUP;
    }
    *known = (Base){(int)t->n_groups++, 0};
    plan->behind_exit[known->group] = false;
    t->groups[known->group] = (AccessGroup){
        .base = (uint8_t)base,
        .store = store,
        .members = 1,
        .low = (int32_t)disp,
        .high = (int32_t)disp + (int32_t)size,
    };
    return (int8_t)known->group;
}

/* The constant that the instruction adds to a whole 64-bit register, if that is all it does. */
static bool adds_constant(const Insn *insn, unsigned *reg, int64_t *constant)
{
    const InsnOperand *to = &insn->operands[0];

    if (to->kind != OPERAND_REG || to->reg_class != REG_CLASS_GPR64)
        return false;
    *reg = to->reg;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_SUB:
        if (insn->operands[1].kind != OPERAND_IMM)
            return false;
        *constant = insn->mnemonic == ZYDIS_MNEMONIC_ADD ? (int64_t)insn->immediate
                                                         : -(int64_t)insn->immediate;
        return true;
    case ZYDIS_MNEMONIC_INC: *constant = 1; return true;
    case ZYDIS_MNEMONIC_DEC: *constant = -1; return true;
    case ZYDIS_MNEMONIC_LEA:
        *constant = insn->displacement;
        return insn->mem_base == to->reg && insn->mem_index == INSN_REG_NONE &&
               insn->address_size == 8;
    default: return false;
    }
}

static void note_writes(Plan *plan, const Item *item)
{
    const Insn *insn = &item->insn;
    unsigned reg;
    int64_t constant;

    switch (item->kind) {
    case KIND_PUSH:
    case KIND_PUSHF:
    case KIND_CALL:
    case KIND_CALL_INDIRECT: plan->bases[RSP].moved -= insn->opsize; return;
    case KIND_LEAVE:
        plan->bases[RSP].group = NO_GROUP;
        plan->bases[RBP].group = NO_GROUP;
        return;
    case KIND_POP: plan->bases[RSP].moved += insn->opsize; break;
    default: break;
    }
    if (adds_constant(insn, &reg, &constant)) {
        plan->bases[reg].moved += constant;
        return;
    }
    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        if (operand->kind != OPERAND_REG || !(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            continue;
        if (operand->reg_class == REG_CLASS_GPR8_HIGH)
            plan->bases[operand->reg].group = NO_GROUP;
        else if (operand->reg_class >= REG_CLASS_GPR8 && operand->reg_class <= REG_CLASS_GPR64 &&
                 !(item->kind == KIND_POP && operand->hidden))
            plan->bases[operand->reg].group = NO_GROUP;
    }
}

static void plan_item(Plan *plan, unsigned number)
{
    Translator *t = plan->t;
    Item *item = &t->items[number];
    const Insn *insn = &item->insn;
    bool store = false;

    item->operand_group = item->stack_group = NO_GROUP;
    switch (item->kind) {
    case KIND_INTERPRET: forget_bases(plan); return;
    case KIND_LEAVE_TO:
    case KIND_MOFFS: return;
    case KIND_BIT_TEST: note_writes(plan, item); return;
    default: break;
    }
    for (unsigned i = 0; i < insn->n_operands; i++)
        store |= insn->operands[i].kind == OPERAND_MEM && !insn->operands[i].hidden &&
                 (insn->operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
    /* In the order in which the code is written. */
    if (item->kind == KIND_POP || item->kind == KIND_RET)
        item->stack_group = join(plan, RSP, 0, insn->opsize, false);
    if (item->kind == KIND_LEAVE)
        item->stack_group = join(plan, RBP, 0, insn->opsize, false);
    if (is_groupable(t, insn)) {
        bool rip = insn->mem_base == INSN_REG_RIP;
        item->operand_group = join(plan, rip ? BASE_RIP : insn->mem_base,
                                   operand_displacement(item), insn->mem_size, store);
    }
    if (item->kind == KIND_PUSH || item->kind == KIND_PUSHF || item->kind == KIND_CALL ||
        item->kind == KIND_CALL_INDIRECT)
        item->stack_group = join(plan, RSP, -(int64_t)insn->opsize, insn->opsize, true);
    note_writes(plan, item);
    if (item->kind == KIND_JCC || item->kind == KIND_LOOP)
        memset(plan->behind_exit, true, sizeof plan->behind_exit);
}

static int8_t keep_group(const Translator *t, int8_t group)
{
    if (group == NO_GROUP || t->groups[group].members > 1 || t->groups[group].base == RSP)
        return group;
    return NO_GROUP;
}

void t_plan_groups(Translator *t)
{
    Plan plan = {.t = t};

    t->n_groups = 0;
    forget_bases(&plan);
    for (unsigned i = 0; i < t->n_items; i++)
        if (t->ungrouped || !t_64bit(t) || t->jc->jit->options.no_groups ||
            t->jc->jit->options.slow_accesses)
            t->items[i].operand_group = t->items[i].stack_group = NO_GROUP;
        else
            plan_item(&plan, i);
    for (unsigned i = 0; i < t->n_items; i++) {
        t->items[i].operand_group = keep_group(t, t->items[i].operand_group);
        t->items[i].stack_group = keep_group(t, t->items[i].stack_group);
    }
}

int32_t t_group_displacement(const Translator *t)
{
    return (int32_t)operand_displacement(t->item);
}

/* --- emitting --------------------------------------------------------------------------------- */

/* lea r10, [base + DISP]; may change r11. */
static void emit_address(Translator *t, Emit *e, unsigned base, int32_t disp)
{
    unsigned host = H_R10;

    if (base == BASE_RIP)
        emit_rm(e, true, 0x8b, H_R10, H_RSP, OFFSET_SLOT(SLOT_PAGE));
    else if (is_homeless(base))
        emit_rm(e, true, 0x8b, H_R10, H_RSP, OFFSET_GPR(base));
    else
        host = host_register(base);
    if (host != H_R10 || disp)
        emit_rm(e, true, 0x8d, H_R10, host, disp);
}

static unsigned tlb_set(const Translator *t)
{
    return (t->mode & MODE_MMU) >> MODE_MMU_SHIFT;
}

static int32_t tlb_offset(const Translator *t)
{
    return (int32_t)(offsetof(Cpu, tlb) + tlb_set(t) * sizeof(TlbSet));
}

/* r10, the group's lowest address: leaves the condition "above" if the TLB has not all of it. For
 * the stack r10 becomes the offset in its page; else r11 the TLB's index. */
static void emit_check(Translator *t, Emit *e, const AccessGroup *group)
{
    int32_t last = (int32_t)GUEST_PAGE_SIZE - (group->high - group->low);

    if (group->base == RSP) {
        emit_rm(e, true, 0x2b, H_R10, H_RSP, OFFSET_STACK_TAG(tlb_set(t)));
    } else {
        emit_tlb_index(e);
        emit_rmx(e, true, 0x2b, H_R10, H_RSP, H_R11, 8,
                 tlb_offset(t) + (int32_t)(group->store ? offsetof(TlbSet, store_tag)
                                                        : offsetof(TlbSet, load_tag)));
    }
    emit_alu_imm(e, true, 7, H_R10, last);
}

/* Leads back to HIT if all is there. */
static void emit_check_again(Translator *t, const AccessGroup *group, const uint8_t *hit)
{
    emit_address(t, &t->cold, group->base, group->low);
    if (group->base == RSP) {
        emit_call(&t->cold, t->jc->stub_stack[tlb_set(t)]);
        emit_address(t, &t->cold, group->base, group->low);
    }
    emit_check(t, &t->cold, group);
    emit_jcc(&t->cold, CC_BE, hit);
}

static void emit_head(Translator *t, const AccessGroup *group, int32_t disp, unsigned size,
                      bool store)
{
    t_free_flags(t);
    emit_address(t, &t->hot, group->base, group->low);
    emit_check(t, &t->hot, group);
    emit_jcc(&t->hot, CC_A, t->cold.p);

    /* The stack's page may be in the TLB. Else the head's own access fills it in, or is done by the
     * interpreter. */
    if (group->base == RSP)
        emit_check_again(t, group, t->hot.p);
    emit_address(t, &t->cold, group->base, disp);
    t_slow_site(t, size, store ? SITE_STORE : 0);
    emit_check_again(t, group, t->hot.p);
    t_exit_ungrouped(t);

    if (group->base == RSP)
        return;
    emit_rmx(&t->hot, true, 0x8b, H_R10, H_RSP, H_R11, 8,
             tlb_offset(t) + (int32_t)offsetof(TlbSet, host));
    emit_rmx(&t->hot, true, 0x2b, H_R10, H_RSP, H_R11, 8,
             tlb_offset(t) + (int32_t)offsetof(TlbSet, load_tag));
    emit_rm(&t->hot, true, 0x89, H_R10, H_RSP, OFFSET_SLOT(SLOT_GROUPS + (group - t->groups)));
}

bool t_group_access(Translator *t, int8_t number, int32_t disp, unsigned size, bool store)
{
    if (number == NO_GROUP)
        return false;
    AccessGroup *group = &t->groups[number];
    bool stack = group->base == RSP, first = !group->checked;

    if (first)
        emit_head(t, group, disp, size, store);
    group->checked = true;
    if (stack || !first)
        emit_rm(&t->hot, true, 0x8b, H_R10, H_RSP,
                stack ? OFFSET_STACK_DELTA(tlb_set(t)) : OFFSET_SLOT(SLOT_GROUPS + number));
    unsigned base = H_R11;
    if (group->base == BASE_RIP)
        emit_rm(&t->hot, true, 0x8b, H_R11, H_RSP, OFFSET_SLOT(SLOT_PAGE));
    else if (is_homeless(group->base))
        emit_rm(&t->hot, true, 0x8b, H_R11, H_RSP, OFFSET_GPR(group->base));
    else
        base = host_register(group->base);
    emit_rmx(&t->hot, true, 0x8d, H_R10, H_R10, base, 1, disp);
    return true;
}
