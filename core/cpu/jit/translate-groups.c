/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Accesses of a block that share a base register share one look-up.
 *
 * The first access of a group, its head, checks that everything between the group's lowest and
 * highest byte lies in one page that the soft TLB holds, and keeps the distance from guest to host
 * address, of a RIP-relative group the host address that belongs to the code page's first byte. The
 * others then add that, and leave EFLAGS alone. What cannot be grouped is found out where it
 * happens: the head leaves for a translation of the same code without groups, at the head's
 * instruction, before that has changed anything.
 *
 * Where flags are live at the head, as in CMP, MOV from memory, Jcc, the check is made before the
 * instruction that sets them.
 *
 * Where much time is spent, and for the stack everywhere, a group keeps page and distance from one
 * time to the next in a SitePage of the vCPU's: a comparison that does not wait for the address.
 *
 * An entry of the TLB that a slow path replaces meanwhile does no harm: the mapping was right when
 * the head was passed, and only helpers that leave the block, or end the group, change mappings.
 */

#include "core/cpu/jit/translate.h"

enum {
    MAX_SPAN = 1024, /* wider groups would too often cross a page */
    BASE_RIP = INSN_REG_RIP,
};

static bool is_stack(const AccessGroup *group)
{
    return group->base == RSP && group->index == INSN_REG_NONE;
}

/* --- planning --------------------------------------------------------------------------------- */

/* A group while the block is looked through. */
typedef struct {
    bool open;        /* its registers hold what they held, or differ by a known constant */
    bool behind_exit; /* a side exit came after the head */
    int64_t moved;    /* constants added to the address since the head */
} Progress;

typedef struct {
    Translator *t;
    unsigned item; /* the one looked at */
    Progress progress[MAX_GROUPS];
    /* Items from which on a check could be made: the register has not changed since, */
    uint8_t unchanged_from[N_GPR];
    uint8_t straight_from; /* there is no way out but a fault, */
    uint8_t no_stack_from; /* no access to the stack, which has one SitePage. */
} Plan;

static bool is_groupable(const Insn *insn)
{
    return (insn->category_flags & INSN_HAS_MEMORY) && insn->address_size == 8 &&
           insn->mem_base != INSN_REG_NONE && insn->mem_seg != SEG_FS && insn->mem_seg != SEG_GS &&
           insn->mem_size && !insn_is_locked(insn) && !t_needs_spill(insn);
}

/* A SitePage without a page lets through what the processor refuses. By then an instruction that
 * names AH to BH has its register's halves exchanged. */
static bool may_trap_exchanged(const Translator *t, const Insn *insn)
{
    bool high = false;

    for (unsigned i = 0; i < insn->n_operands; i++)
        high |= insn->operands[i].kind == OPERAND_REG &&
                insn->operands[i].reg_class == REG_CLASS_GPR8_HIGH;
    return high && (t->sites || insn->mem_base == RSP);
}

/* From the base register; from the page's first byte if that is RIP. */
static int64_t operand_displacement(const Item *item)
{
    const Insn *insn = &item->insn;

    return insn->displacement + (insn->mem_base == INSN_REG_RIP ? item->offset + insn->length : 0);
}

static void close_groups(Plan *plan)
{
    for (unsigned i = 0; i < plan->t->n_groups; i++)
        plan->progress[i].open = false;
    plan->straight_from = (uint8_t)(plan->item + 1);
}

/* The last item before which a group that begins here can be checked with EFLAGS free. */
static int8_t early_item(const Plan *plan, const AccessGroup *group)
{
    const Item *items = plan->t->items;
    unsigned from = plan->straight_from;

    if (!items[plan->item].live_before)
        return NOT_EARLY;
    if (group->base < N_GPR)
        from = MAX(from, plan->unchanged_from[group->base]);
    if (group->index < N_GPR)
        from = MAX(from, plan->unchanged_from[group->index]);
    if (is_stack(group))
        from = MAX(from, plan->no_stack_from);
    for (unsigned i = plan->item; i-- > from;)
        if (!items[i].live_before)
            return (int8_t)i;
    return NOT_EARLY;
}

/* From now on no check of the stack is moved before the item, its own other access's least of all:
 * PUSH and CALL may read their operand in one of the stack's pages and write in another. */
static void note_access(Plan *plan, const AccessGroup *group)
{
    if (is_stack(group))
        plan->no_stack_from = (uint8_t)(plan->item + 1);
}

/* Puts an access of SIZE bytes at [AT's address + DISP] into a group. Returns it or NO_GROUP. */
static int8_t join(Plan *plan, AccessGroup at, int64_t disp, unsigned size, bool store)
{
    Translator *t = plan->t;

    for (unsigned i = t->n_groups; i-- > 0;) {
        AccessGroup *group = &t->groups[i];
        Progress *progress = &plan->progress[i];
        if (!progress->open || group->base != at.base || group->index != at.index ||
            group->scale != at.scale)
            continue;
        int64_t from = disp + progress->moved;
        int64_t low = MIN(from, group->low), high = MAX(from + size, group->high);
        if (high - low > MAX_SPAN || (store && !group->store && progress->behind_exit))
            continue;
        group->low = (int32_t)low;
        group->high = (int32_t)high;
        group->store |= store;
        group->members++;
        note_access(plan, group);
        return (int8_t)i;
    }
    if (t->n_groups == MAX_GROUPS || disp != (int32_t)disp)
        return NO_GROUP;
    /* The stack has one SitePage: a group's head ends the group before it. */
    for (unsigned i = 0; i < t->n_groups && is_stack(&at); i++)
        if (is_stack(&t->groups[i]))
            plan->progress[i].open = false;
    at.store = store;
    at.members = 1;
    at.head = (uint8_t)plan->item;
    at.low = (int32_t)disp;
    at.high = (int32_t)disp + (int32_t)size;
    at.early = early_item(plan, &at);
    t->groups[t->n_groups] = at;
    plan->progress[t->n_groups] = (Progress){.open = true};
    note_access(plan, &at);
    return (int8_t)t->n_groups++;
}

static int8_t join_stack(Plan *plan, unsigned base, int64_t disp, unsigned size, bool store)
{
    return join(plan, (AccessGroup){.base = (uint8_t)base, .index = INSN_REG_NONE, .scale = 1},
                disp, size, store);
}

static int8_t join_operand(Plan *plan, const Item *item, bool store)
{
    const Insn *insn = &item->insn;
    AccessGroup at = {.base = insn->mem_base, .index = insn->mem_index, .scale = insn->mem_scale};

    if (at.index == INSN_REG_NONE)
        at.scale = 1;
    return join(plan, at, operand_displacement(item), insn->mem_size, store);
}

/* Register REG becomes something else, or CONSTANT more. */
static void note_change(Plan *plan, unsigned reg, const int64_t *constant)
{
    plan->unchanged_from[reg] = (uint8_t)(plan->item + 1);
    for (unsigned i = 0; i < plan->t->n_groups; i++) {
        AccessGroup *group = &plan->t->groups[i];
        Progress *progress = &plan->progress[i];
        if (!progress->open || (group->base != reg && group->index != reg))
            continue;
        group->base_moves |= group->base == reg;
        if (!constant)
            progress->open = false;
        else
            progress->moved += (group->base == reg ? *constant : 0) +
                               (group->index == reg ? *constant * group->scale : 0);
    }
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
    int64_t constant = item->kind == KIND_POP ? insn->opsize : -(int64_t)insn->opsize;
    unsigned reg;

    switch (item->kind) {
    case KIND_PUSH:
    case KIND_PUSHF:
    case KIND_CALL:
    case KIND_CALL_INDIRECT: note_change(plan, RSP, &constant); return;
    case KIND_LEAVE:
        note_change(plan, RSP, NULL);
        note_change(plan, RBP, NULL);
        return;
    case KIND_POP: note_change(plan, RSP, &constant); break;
    default: break;
    }
    if (adds_constant(insn, &reg, &constant)) {
        note_change(plan, reg, &constant);
        return;
    }
    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        if (operand->kind != OPERAND_REG || !(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            continue;
        if (operand->reg_class >= REG_CLASS_GPR8 && operand->reg_class <= REG_CLASS_GPR64 &&
            !(item->kind == KIND_POP && operand->hidden))
            note_change(plan, operand->reg, NULL);
    }
}

static void plan_item(Plan *plan, Item *item)
{
    const Insn *insn = &item->insn;
    bool store = false;

    switch (item->kind) {
    case KIND_INTERPRET:
    case KIND_STRING: close_groups(plan); return;
    case KIND_AC:
    case KIND_LEAVE_TO:
    case KIND_NOTHING: /* a prefetch is no access */
    case KIND_TRANSFER: return;
    case KIND_MOFFS:
    case KIND_BIT_TEST: note_writes(plan, item); return;
    default: break;
    }
    for (unsigned i = 0; i < insn->n_operands; i++)
        store |= insn->operands[i].kind == OPERAND_MEM && !insn->operands[i].hidden &&
                 (insn->operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
    /* In the order in which the code is written. */
    if (item->kind == KIND_POP || item->kind == KIND_RET)
        item->stack_group = join_stack(plan, RSP, 0, insn->opsize, false);
    if (item->kind == KIND_LEAVE)
        item->stack_group = join_stack(plan, RBP, 0, insn->opsize, false);
    if (is_groupable(insn) && !may_trap_exchanged(plan->t, insn))
        item->operand_group = join_operand(plan, item, store);
    if (item->kind == KIND_PUSH || item->kind == KIND_PUSHF || item->kind == KIND_CALL ||
        item->kind == KIND_CALL_INDIRECT)
        item->stack_group = join_stack(plan, RSP, -(int64_t)insn->opsize, insn->opsize, true);
    note_writes(plan, item);
    if (item->kind == KIND_JCC || item->kind == KIND_LOOP) {
        plan->straight_from = (uint8_t)(plan->item + 1);
        for (unsigned i = 0; i < plan->t->n_groups; i++)
            plan->progress[i].behind_exit = true;
    }
}

static bool has_place(const AccessGroup *group)
{
    return group->site != NO_SITE || group->slot != NO_GROUP;
}

/* Where each group keeps its distance, and who checks it early. */
static void place_groups(Translator *t)
{
    int8_t slots = 0;

    for (unsigned i = 0; i < t->n_groups; i++) {
        AccessGroup *group = &t->groups[i];
        group->site = NO_SITE;
        group->slot = NO_GROUP;
        if (is_stack(group)) {
            group->store = true; /* the stack's page is the first SitePage for stores */
            group->site = 0;
        } else if (t->sites) {
            unsigned *next = &t->jc->next_site[group->store];
            *next = *next % (N_SITES - 1) + 1;
            group->site = (int8_t)*next;
            t->jc->site_owners[group->store][*next] = t->block;
        } else if ((group->members > 1 || group->early != NOT_EARLY) && slots < N_GROUP_SLOTS) {
            group->slot = slots++;
            group->based = group->index != INSN_REG_NONE && !group->base_moves;
        }
        if (group->early != NOT_EARLY && has_place(group))
            t->items[group->early].early_checks |= (uint16_t)(1u << i);
    }
}

static int8_t keep_group(const Translator *t, int8_t group)
{
    return group == NO_GROUP || !has_place(&t->groups[group]) ? NO_GROUP : group;
}

void t_plan_groups(Translator *t)
{
    const JitOptions *options = &t->jc->jit->options;
    Plan plan = {.t = t};

    t->n_groups = 0;
    for (unsigned i = 0; i < t->n_items; i++) {
        plan.item = i;
        if (!t->ungrouped && t_64bit(t) && !options->no_groups && !options->slow_accesses)
            plan_item(&plan, &t->items[i]);
    }
    place_groups(t);
    for (unsigned i = 0; i < t->n_items; i++) {
        t->items[i].operand_group = keep_group(t, t->items[i].operand_group);
        t->items[i].stack_group = keep_group(t, t->items[i].stack_group);
    }
}

bool t_groups_share(const Translator *t)
{
    for (unsigned i = 0; i < t->n_groups; i++)
        if ((t->groups[i].members > 1 || t->groups[i].early != NOT_EARLY) &&
            has_place(&t->groups[i]))
            return true;
    return false;
}

int32_t t_group_displacement(const Translator *t)
{
    return (int32_t)operand_displacement(t->item);
}

/* --- emitting --------------------------------------------------------------------------------- */

/* The host register with REG's value: its own, or TEMP, loaded. */
static unsigned load_part(Emit *e, unsigned reg, unsigned temp)
{
    if (reg == INSN_REG_NONE)
        return H_NONE;
    if (reg == BASE_RIP)
        emit_rm(e, true, 0x8b, temp, H_RSP, OFFSET_SLOT(SLOT_PAGE));
    else if (is_homeless(reg))
        emit_rm(e, true, 0x8b, temp, H_RSP, OFFSET_GPR(reg));
    else
        return host_register(reg);
    return temp;
}

/* r10 = the group's address + DISP; may change r11. */
static void emit_address(Emit *e, const AccessGroup *group, int32_t disp)
{
    unsigned base = load_part(e, group->base, H_R10);
    unsigned index = load_part(e, group->index, H_R11);

    if (base != H_R10 || index != H_NONE || disp)
        emit_rmx(e, true, 0x8d, H_R10, base, index, group->scale, disp);
}

static int32_t site_offset(const Translator *t, const AccessGroup *group)
{
    return OFFSET_SITE(t_tlb_set(t), group->store, group->site);
}

/* r10 = the group's lowest address: leaves the condition "above" if not all of it is there. Without
 * a SitePage r11 becomes the TLB's index. */
static void emit_check(Translator *t, Emit *e, const AccessGroup *group)
{
    if (group->site != NO_SITE) {
        emit_rm(e, true, 0x2b, H_R10, H_RSP, site_offset(t, group));
    } else {
        emit_tlb_index(e, H_R11, H_R10);
        emit_rmx(e, true, 0x2b, H_R10, H_RSP, H_R11, 8, t_tlb_tag(t, group->store));
    }
    emit_alu_imm(e, true, 7, H_R10, (int32_t)GUEST_PAGE_SIZE - (group->high - group->low));
}

/* Leads back to HIT if all is there. */
static void emit_check_again(Translator *t, const AccessGroup *group, const uint8_t *hit)
{
    emit_address(&t->cold, group, group->low);
    if (group->site != NO_SITE) {
        emit_rm(&t->cold, true, 0x8d, H_R11, H_RSP, site_offset(t, group));
        emit_call(&t->cold, t->jc->stub_site[t_tlb_set(t)][group->store]);
        emit_address(&t->cold, group, group->low);
    }
    emit_check(t, &t->cold, group);
    emit_jcc(&t->cold, CC_BE, hit);
}

/* Leads to the cold code's end if the group's page is not there, else back to here. Returns the
 * jump in cold code that is yet to lead to the way out for groups on two pages; NULL: none is. */
static uint8_t *emit_first_check(Translator *t, const AccessGroup *group)
{
    int32_t size = group->high - group->low;
    uint8_t *crosses = NULL;

    emit_address(&t->hot, group, group->low);
    emit_check(t, &t->hot, group);
    emit_jcc(&t->hot, CC_A, t->cold.p);

    if (size > 1) {
        emit_address(&t->cold, group, group->low);
        emit_alu_imm(&t->cold, false, 4, H_R10, (int32_t)~GUEST_PAGE_MASK);
        emit_alu_imm(&t->cold, false, 7, H_R10, (int32_t)GUEST_PAGE_SIZE - size);
        crosses = emit_jcc(&t->cold, CC_A, t->cold.p);
    }
    if (group->site != NO_SITE) /* the page may be in the TLB */
        emit_check_again(t, group, t->hot.p);
    return crosses;
}

/* Where all else has failed, and groups that lie ACROSS pages: without groups. */
static void emit_way_out(Translator *t, uint8_t *crosses)
{
    if (crosses)
        emit_patch(crosses, t->cold.p);
    t_exit_ungrouped(t);
}

/* r10 = the distance, and where the group keeps it, once it has been checked without a SitePage. */
static void emit_keep_distance(Translator *t, const AccessGroup *group)
{
    emit_rmx(&t->hot, true, 0x8b, H_R10, H_RSP, H_R11, 8, t_tlb_field(t, offsetof(TlbSet, delta)));
    if (group->base == BASE_RIP)
        emit_rm(&t->hot, true, 0x03, H_R10, H_RSP, OFFSET_SLOT(SLOT_PAGE));
    else if (group->based && is_homeless(group->base))
        emit_rm(&t->hot, true, 0x03, H_R10, H_RSP, OFFSET_GPR(group->base));
    else if (group->based)
        emit_rr(&t->hot, true, 0x01, host_register(group->base), H_R10);
    emit_rm(&t->hot, true, 0x89, H_R10, H_RSP, OFFSET_SLOT(SLOT_GROUPS + group->slot));
}

/* What is not in the TLB the head's own access fills in, or is done by the interpreter. */
static void emit_head(Translator *t, const AccessGroup *group, int32_t disp, unsigned size,
                      bool store)
{
    t_free_flags_for_access(t);
    uint8_t *crosses = emit_first_check(t, group);
    emit_address(&t->cold, group, disp);
    t_slow_site(t, size, store ? SITE_STORE : 0);
    emit_check_again(t, group, t->hot.p);
    emit_way_out(t, crosses);
    if (group->site == NO_SITE)
        emit_keep_distance(t, group);
}

void t_check_groups_early(Translator *t)
{
    /* They were free without the checks; as these may show flags, some may have to be kept. */
    t_free_flags(t);
    for (unsigned bits = t->item->early_checks; bits; bits &= bits - 1) {
        AccessGroup *group = &t->groups[__builtin_ctz(bits)];
        emit_way_out(t, emit_first_check(t, group));
        if (group->site == NO_SITE)
            emit_keep_distance(t, group);
        group->checked = true;
        t->r10_group = group->site == NO_SITE ? (int8_t)(group - t->groups) : NO_GROUP;
    }
}

/* r10 = the group's distance, from where it is kept. Leaves flags alone, for RIP changes r11. */
static void emit_load_distance(Translator *t, const AccessGroup *group)
{
    Emit *e = &t->hot;

    if (group->site == NO_SITE) {
        emit_rm(e, true, 0x8b, H_R10, H_RSP, OFFSET_SLOT(SLOT_GROUPS + group->slot));
        return;
    }
    emit_rm(e, true, 0x8b, H_R10, H_RSP,
            site_offset(t, group) + (int32_t)offsetof(SitePage, delta));
    if (group->base == BASE_RIP) {
        emit_rm(e, true, 0x8b, H_R11, H_RSP, OFFSET_SLOT(SLOT_PAGE));
        emit_rmx(e, true, 0x8d, H_R10, H_R10, H_R11, 1, 0);
    }
}

bool t_group_access(Translator *t, int8_t number, int32_t disp, unsigned size, bool store)
{
    if (number == NO_GROUP)
        return false;
    AccessGroup *group = &t->groups[number];
    Emit *e = &t->hot;
    bool distance_known = !group->checked && group->site == NO_SITE;

    if (!group->checked)
        emit_head(t, group, disp, size, store);
    group->checked = true;
    if (!distance_known && t->r10_group != number)
        emit_load_distance(t, group);
    t->r10_group = number;
    unsigned rest = group->based ? group->index : group->base, scale = 1;
    if (group->based) {
        scale = group->scale;
    } else if (group->index != INSN_REG_NONE) {
        t->r10_group = NO_GROUP;
        unsigned index = load_part(e, group->index, H_R11);
        emit_rmx(e, true, 0x8d, H_R10, H_R10, index, group->scale, disp);
        disp = 0;
    }
    t->at = (HostOperand){rest == BASE_RIP ? H_NONE : load_part(e, rest, H_R11), scale, disp};
    if (t->at.index == H_R11) {
        /* r11 is for others. */
        t->r10_group = NO_GROUP;
        emit_rmx(e, true, 0x8d, H_R10, H_R10, H_R11, scale, disp);
        t->at = (HostOperand){H_NONE, 1, 0};
    }
    t_flags_after_access(t);
    return true;
}
