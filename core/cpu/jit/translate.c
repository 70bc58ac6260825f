/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A block: decode up to a page end, decide how each instruction is done, find out where flags are
 * live, then write the code.
 */

#include "core/cpu/jit/translate.h"
#include "core/cpu/debug.h"
#include "core/cpu/interp.h"

enum {
    MAX_SIDE_EXITS = 2,      /* more would translate much that is not run, and much twice */
    MAX_BUSY_SIDE_EXITS = 6, /* where time is spent */
    LOOK_AHEAD = 16,         /* instructions behind an exit */
    MAX_COPIES = 4,          /* of a loop, in one block */
};

/* --- what is done how ------------------------------------------------------------------------- */

static bool can_copy_general(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_ADC:
    case ZYDIS_MNEMONIC_ADCX:
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_ADOX:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_ANDN:
    case ZYDIS_MNEMONIC_BEXTR:
    case ZYDIS_MNEMONIC_BLSI:
    case ZYDIS_MNEMONIC_BLSMSK:
    case ZYDIS_MNEMONIC_BLSR:
    case ZYDIS_MNEMONIC_BSF:
    case ZYDIS_MNEMONIC_BSR:
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTC:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BZHI:
    case ZYDIS_MNEMONIC_CBW:
    case ZYDIS_MNEMONIC_CDQ:
    case ZYDIS_MNEMONIC_CDQE:
    case ZYDIS_MNEMONIC_CLC:
    case ZYDIS_MNEMONIC_CMC:
    case ZYDIS_MNEMONIC_CMOVB:
    case ZYDIS_MNEMONIC_CMOVBE:
    case ZYDIS_MNEMONIC_CMOVL:
    case ZYDIS_MNEMONIC_CMOVLE:
    case ZYDIS_MNEMONIC_CMOVNB:
    case ZYDIS_MNEMONIC_CMOVNBE:
    case ZYDIS_MNEMONIC_CMOVNL:
    case ZYDIS_MNEMONIC_CMOVNLE:
    case ZYDIS_MNEMONIC_CMOVNO:
    case ZYDIS_MNEMONIC_CMOVNP:
    case ZYDIS_MNEMONIC_CMOVNS:
    case ZYDIS_MNEMONIC_CMOVNZ:
    case ZYDIS_MNEMONIC_CMOVO:
    case ZYDIS_MNEMONIC_CMOVP:
    case ZYDIS_MNEMONIC_CMOVS:
    case ZYDIS_MNEMONIC_CMOVZ:
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_CMPXCHG:
    case ZYDIS_MNEMONIC_CMPXCHG16B:
    case ZYDIS_MNEMONIC_CMPXCHG8B:
    case ZYDIS_MNEMONIC_CQO:
    case ZYDIS_MNEMONIC_CRC32:
    case ZYDIS_MNEMONIC_CWD:
    case ZYDIS_MNEMONIC_CWDE:
    case ZYDIS_MNEMONIC_DEC:
    case ZYDIS_MNEMONIC_DIV:
    case ZYDIS_MNEMONIC_IDIV:
    case ZYDIS_MNEMONIC_IMUL:
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_LAHF:
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_LZCNT:
    case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVBE:
    case ZYDIS_MNEMONIC_MOVNTI:
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_MUL:
    case ZYDIS_MNEMONIC_MULX:
    case ZYDIS_MNEMONIC_NEG:
    case ZYDIS_MNEMONIC_NOT:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_PAUSE:
    case ZYDIS_MNEMONIC_PDEP:
    case ZYDIS_MNEMONIC_PEXT:
    case ZYDIS_MNEMONIC_POPCNT:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RORX:
    case ZYDIS_MNEMONIC_SAHF:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_SARX:
    case ZYDIS_MNEMONIC_SBB:
    case ZYDIS_MNEMONIC_SETB:
    case ZYDIS_MNEMONIC_SETBE:
    case ZYDIS_MNEMONIC_SETL:
    case ZYDIS_MNEMONIC_SETLE:
    case ZYDIS_MNEMONIC_SETNB:
    case ZYDIS_MNEMONIC_SETNBE:
    case ZYDIS_MNEMONIC_SETNL:
    case ZYDIS_MNEMONIC_SETNLE:
    case ZYDIS_MNEMONIC_SETNO:
    case ZYDIS_MNEMONIC_SETNP:
    case ZYDIS_MNEMONIC_SETNS:
    case ZYDIS_MNEMONIC_SETNZ:
    case ZYDIS_MNEMONIC_SETO:
    case ZYDIS_MNEMONIC_SETP:
    case ZYDIS_MNEMONIC_SETS:
    case ZYDIS_MNEMONIC_SETZ:
    case ZYDIS_MNEMONIC_SFENCE:
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHLX:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SHRD:
    case ZYDIS_MNEMONIC_SHRX:
    case ZYDIS_MNEMONIC_STC:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_TZCNT:
    case ZYDIS_MNEMONIC_XADD:
    case ZYDIS_MNEMONIC_XCHG:
    case ZYDIS_MNEMONIC_XOR: return true;
    case ZYDIS_MNEMONIC_BSWAP: return insn->opsize >= 4;
    default: return false;
    }
}

/* Vector instructions that show where they are, touch memory in their own way, or more of it than
 * a look-up covers. */
static bool can_copy_vector(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FNINIT:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_VGATHERDPD:
    case ZYDIS_MNEMONIC_VGATHERDPS:
    case ZYDIS_MNEMONIC_VGATHERQPD:
    case ZYDIS_MNEMONIC_VGATHERQPS:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VPGATHERDD:
    case ZYDIS_MNEMONIC_VPGATHERDQ:
    case ZYDIS_MNEMONIC_VPGATHERQD:
    case ZYDIS_MNEMONIC_VPGATHERQQ:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ:
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64: return false;
    default: return true;
    }
}

static bool vectors_enabled(const Translator *t, const Insn *insn)
{
    if ((insn->category_flags & INSN_IS_X87) && (t->mode & MODE_X87_TRAP))
        return false;
    if (!(insn->category_flags & INSN_IS_VECTOR))
        return true;
    if (t->mode & (MODE_SSE_UD | MODE_SSE_NM | MODE_X87_TRAP))
        return false;
    return insn->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX || !(t->mode & MODE_AVX_UD);
}

/* A high byte register beside one that takes a REX prefix has no encoding. */
static bool mixes_high_byte(const Insn *insn)
{
    bool high = false, rex = false;

    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        if (operand->kind != OPERAND_REG)
            continue;
        if (operand->reg_class == REG_CLASS_GPR8_HIGH)
            high = true;
        else if (operand->reg_class <= REG_CLASS_GPR64 && operand->reg == RSP)
            rex = true;
    }
    return high && (rex || insn->mnemonic == ZYDIS_MNEMONIC_CMPXCHG);
}

/* VEX.W outside 64-bit mode does not widen a general register or its memory operand (SDM
 * 2, 2.3.5.5) but does where the copy runs. In FMA (0F38 96-BF) it is part of the opcode. */
static bool has_idle_vex_w(const Translator *t, const Insn *insn)
{
    const uint8_t *vex = insn->bytes + insn->vex_offset;

    return insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && !t_64bit(t) && vex[0] == 0xc4 &&
           (vex[2] & 0x80) && !((vex[1] & 31) == 2 && insn->opcode >= 0x96 && insn->opcode <= 0xbf);
}

static bool is_copyable(const Translator *t, const Insn *insn)
{
    bool memory = insn->category_flags & INSN_HAS_MEMORY;
    bool vector = insn->category_flags & (INSN_IS_VECTOR | INSN_IS_X87);

    if (insn->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
        insn->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
        return false;
    if (insn->category_flags & (INSN_IS_SYSTEM | INSN_IS_BRANCH | INSN_IS_STRING))
        return false;
    if (vector ? !can_copy_vector(insn) || !vectors_enabled(t, insn) : !can_copy_general(insn))
        return false;
    /* Outside 64-bit mode they clear eight registers, not sixteen. */
    if (!t_64bit(t) &&
        (insn->mnemonic == ZYDIS_MNEMONIC_VZEROALL || insn->mnemonic == ZYDIS_MNEMONIC_VZEROUPPER))
        return false;
    if (has_idle_vex_w(t, insn))
        return false;
    /* VEX does not exist in real and virtual-8086 mode. */
    if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX &&
        (!(t->mode & MODE_PE) || (t->mode & MODE_VM86)))
        return false;
    if (memory && (insn->mem_size == 0 || insn->mem_size > 32))
        return false;
    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        if (operand->kind == OPERAND_REG && !operand->hidden &&
            (operand->reg_class == REG_CLASS_SEG || operand->reg_class == REG_CLASS_OTHER))
            return false;
    }
    return t_has_temporaries(insn) && !mixes_high_byte(insn);
}

static bool is_nothing(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_PREFETCH:
    case ZYDIS_MNEMONIC_PREFETCHNTA:
    case ZYDIS_MNEMONIC_PREFETCHT0:
    case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2:
    case ZYDIS_MNEMONIC_PREFETCHW: return !insn->lock;
    default: return false;
    }
}

/* Branches whose operand size is the mode's own. */
static bool has_plain_size(const Translator *t, const Insn *insn)
{
    if (t_64bit(t))
        return insn->opsize == 8;
    /* With flat segments 16-bit targets would tie the block to its address. */
    return t_segmented_code(t) || insn->opsize == 4;
}

static InsnKind classify_branch(const Translator *t, const Insn *insn)
{
    if (!has_plain_size(t, insn) || (insn->category_flags & INSN_IS_SYSTEM))
        return KIND_LEAVE_TO;
    if (insn->opcode_map == ZYDIS_OPCODE_MAP_0F)
        return (insn->opcode & 0xf0) == 0x80 ? KIND_JCC : KIND_LEAVE_TO;
    switch (insn->opcode) {
    case 0x70:
    case 0x71:
    case 0x72:
    case 0x73:
    case 0x74:
    case 0x75:
    case 0x76:
    case 0x77:
    case 0x78:
    case 0x79:
    case 0x7a:
    case 0x7b:
    case 0x7c:
    case 0x7d:
    case 0x7e:
    case 0x7f: return KIND_JCC;
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3: return KIND_LOOP;
    case 0xe8: return KIND_CALL;
    case 0xe9:
    case 0xeb: return KIND_JMP;
    case 0xc2:
    case 0xc3: return KIND_RET;
    case 0xff:
        if ((insn->modrm & 0x38) == 0x10)
            return KIND_CALL_INDIRECT;
        if ((insn->modrm & 0x38) == 0x20)
            return KIND_JMP_INDIRECT;
        return KIND_LEAVE_TO;
    default: return KIND_LEAVE_TO;
    }
}

static InsnKind classify_stack(const Translator *t, const Insn *insn)
{
    const InsnOperand *operand = &insn->operands[0];

    if (insn->mnemonic == ZYDIS_MNEMONIC_LEAVE)
        return KIND_LEAVE;
    if (operand->kind == OPERAND_REG &&
        (operand->reg_class < REG_CLASS_GPR16 || operand->reg_class > REG_CLASS_GPR64))
        return KIND_INTERPRET;
    if (insn->mnemonic == ZYDIS_MNEMONIC_PUSH)
        return KIND_PUSH;
    /* POP [rSP+x] computes its address with the new rSP. */
    return operand->kind == OPERAND_MEM && insn->mem_base == RSP ? KIND_INTERPRET : KIND_POP;
}

InsnKind t_classify(const Translator *t, const Insn *insn)
{
    bool privileged = !(t->mode & MODE_PE) || !(t->mode & (MODE_VM86 | MODE_CPL));
    bool one_byte = insn->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;
    InsnKind system = t_classify_system(t, insn);

    if (system != KIND_INTERPRET)
        return system;
    if (insn->category_flags & INSN_IS_BRANCH)
        return classify_branch(t, insn);
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_LEA: return KIND_LEA;
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_POP:
    case ZYDIS_MNEMONIC_LEAVE: return classify_stack(t, insn);
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD: return KIND_DIRECTION;
    case ZYDIS_MNEMONIC_CLI: return privileged ? KIND_CLI : KIND_INTERPRET;
    case ZYDIS_MNEMONIC_STI: return privileged ? KIND_STI : KIND_INTERPRET;
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
        return t->mode & MODE_VM86 || t->jc->jit->options.lockstep ? KIND_INTERPRET : KIND_PUSHF;
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_VLDMXCSR:
        if (t->jc->cpu->mxcsr_mask != cpu_host_mxcsr_mask()) /* the host would take too much */
            return KIND_INTERPRET;
        break;
    default: break;
    }
    if (insn->category_flags & INSN_IS_SYSTEM) {
        /* A new segment changes what later instructions of the block were translated for. */
        for (unsigned i = 0; i < insn->n_operands; i++)
            if (insn->operands[i].reg_class == REG_CLASS_SEG && !t_64bit(t))
                return KIND_LEAVE_TO;
        return KIND_INTERPRET;
    }
    if (is_nothing(insn))
        return KIND_NOTHING;
    if (insn->mnemonic == ZYDIS_MNEMONIC_MOV && one_byte && (insn->opcode & 0xfc) == 0xa0)
        return KIND_MOFFS;
    if (!t_64bit(t) && one_byte && (insn->opcode & 0xf0) == 0x40)
        return KIND_INC_DEC;
    if ((insn->category_flags & INSN_HAS_MEMORY) && insn->operands[1].kind == OPERAND_REG &&
        insn->opcode_map == ZYDIS_OPCODE_MAP_0F &&
        (insn->mnemonic == ZYDIS_MNEMONIC_BT || insn->mnemonic == ZYDIS_MNEMONIC_BTS ||
         insn->mnemonic == ZYDIS_MNEMONIC_BTR || insn->mnemonic == ZYDIS_MNEMONIC_BTC))
        return KIND_BIT_TEST;
    return is_copyable(t, insn) && interp_insn_exists(t->jc->cpu, insn) ? KIND_COPY
                                                                        : KIND_INTERPRET;
}

/* What follows is not the next instruction, or is not known to be. */
static bool leads_away(InsnKind kind)
{
    switch (kind) {
    case KIND_LEAVE_TO:
    case KIND_TRANSFER:
    case KIND_JMP:
    case KIND_CALL:
    case KIND_JMP_INDIRECT:
    case KIND_CALL_INDIRECT:
    case KIND_RET: return true;
    default: return false;
    }
}

/* It is the last of its block, and the way out is part of its code. */
static bool ends_block(InsnKind kind)
{
    return leads_away(kind) || kind == KIND_AC;
}

/* --- flags ------------------------------------------------------------------------------------ */

/* Whether the processor sets the flags that the manual calls undefined, too, rather than to leave
 * some as they were. */
static bool sets_undefined_flags(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD: return true;
    default: return false;
    }
}

static void set_flag_use(Item *item)
{
    const Insn *insn = &item->insn;

    item->tested = insn->flags_tested;
    item->killed = insn->flags_modified;
    if (!sets_undefined_flags(insn))
        item->killed &= ~insn->flags_undefined;
    /* A count of 0 changes nothing. */
    item->overwritten = insn->flags_modified;
    if (insn_may_shift_by_0(insn))
        item->killed = item->overwritten = 0;
    switch (item->kind) {
    case KIND_INTERPRET:
    case KIND_LEAVE_TO:
    case KIND_PUSHF:
    case KIND_TRANSFER:
        item->tested = ALL_FLAGS;
        item->killed = item->overwritten = 0;
        break;
    default: break;
    }
}

static DecodeResult decode_at(const Translator *t, unsigned offset, Insn *insn)
{
    return insn_decode_cached(t->jc->decoded, t->page + offset, GUEST_PAGE_SIZE - offset, t->mode,
                              insn);
}

static void depend_on(Translator *t, unsigned first, unsigned last)
{
    t->granules |= (uint32_t)((2ull << (last >> 7)) - (1ull << (first >> 7)));
}

/* Where a direct branch leads, as an offset in the page. */
static int32_t branch_target(const Translator *t, const Insn *insn, unsigned offset)
{
    int64_t target = (int64_t)offset + insn->length + (int64_t)insn->immediate;

    if (t_segmented_code(t)) {
        uint32_t eip = t->block->key.eip_base + (uint32_t)target;
        if (insn->opsize == 2)
            eip &= 0xffff;
        target = (int32_t)(eip - t->block->key.eip_base);
    }
    return (int32_t)target;
}

static bool follows_sti(const Translator *t, unsigned item)
{
    return item > 0 && t->items[item - 1].kind == KIND_STI;
}

static bool has_target(const Item *item)
{
    return item->kind == KIND_JCC || item->kind == KIND_LOOP || item->kind == KIND_JMP ||
           item->kind == KIND_CALL;
}

/* Whether groups are checked before ITEM or at it: what fails leads to the code without groups. */
static bool checks_groups(const Translator *t, const Item *item)
{
    return item->early_checks || t_heads_group(t, item, item->operand_group) ||
           t_heads_group(t, item, item->stack_group);
}

/* What the N items use and may show of the flags, where behind them LIVE flags are used and others
 * may be shown as BEHIND says. Returns what is used before them, *BEFORE becomes what is shown. */
static uint32_t find_flag_uses(const Translator *t, Item *items, unsigned n, uint32_t live,
                               ShownPlan behind, ShownPlan *before)
{
    for (unsigned i = n; i-- > 0;) {
        Item *item = &items[i];
        uint32_t without_groups = item->live_before;
        if (has_target(item) && !item->followed)
            live = leads_away(item->kind) ? item->live_target : live | item->live_target;
        t_plan_shown(t, &behind, item, live, leads_away(item->kind) && !item->followed);
        /* What sets some must find the others. */
        if (item->insn.flags_modified && !item->keeps_flags)
            live |= item->after.flags & ~item->overwritten;
        item->live_after = live;
        live = (live & ~item->killed) | item->tested;
        if (checks_groups(t, item))
            live |= without_groups;
        item->live_before = live;
    }
    *before = (ShownPlan){behind.flags, behind.passing, behind.passing};
    return live;
}

static void reset_plans(Item *item)
{
    item->live_before = item->live_target = 0;
    item->target_shows = (ShownPlan){0};
    item->operand_group = item->stack_group = NO_GROUP;
    item->early_checks = 0;
    item->followed = item->loops_back = item->shows_before = false;
}

/* Decodes what is at OFFSET, beyond the block. False if it is on another page or none. */
static bool decode_ahead(Translator *t, int32_t offset, Item *item)
{
    if (offset < 0 || offset >= (int32_t)GUEST_PAGE_SIZE ||
        decode_at(t, (unsigned)offset, &item->insn) != DECODE_OK)
        return false;
    depend_on(t, (unsigned)offset, (unsigned)offset + item->insn.length - 1);
    reset_plans(item);
    item->kind = t_classify(t, &item->insn);
    set_flag_use(item);
    item->next = offset + item->insn.length;
    if (has_target(item)) {
        item->target = branch_target(t, &item->insn, (unsigned)offset);
        item->loops_back = item->target <= offset;
        item->live_target = ALL_FLAGS;
        item->target_shows = SHOWN_ALL;
    }
    return true;
}

/* Flags that code at OFFSET may use before it sets them. *SHOWN becomes what it may show before. */
static uint32_t look_ahead(Translator *t, int32_t offset, ShownPlan *shown)
{
    Item items[LOOK_AHEAD + 1];
    unsigned n = 0;
    uint32_t left = ALL_FLAGS;
    bool ends = false;

    while (n < LOOK_AHEAD && left && !ends && decode_ahead(t, offset, &items[n])) {
        Item *item = &items[n++];
        item->followed = item->kind == KIND_JMP || item->kind == KIND_CALL;
        offset = item->followed ? item->target : item->next;
        ends = !item->followed && (leads_away(item->kind) || has_target(item));
        left &= ~(item->killed | item->tested) | ~item->overwritten;
    }
    /* The requests are looked at before the flags that a branch back needs are set. */
    if (n && !left && items[n - 1].kind == KIND_COPY && decode_ahead(t, offset, &items[n]))
        items[n - 1].shows_before = items[n].kind == KIND_JCC && items[n].loops_back;
    return find_flag_uses(t, items, n, ALL_FLAGS, SHOWN_ALL, shown);
}

/* Of the flags at the ends of the block. */
static void look_behind(Translator *t)
{
    const Item *last = &t->items[t->n_items - 1];

    t->next_live = ALL_FLAGS;
    if (!leads_away(last->kind))
        t->next_live = look_ahead(t, last->next, &t->next_shows);
    if (t->ends_show)
        t->next_shows = SHOWN_ALL;
    for (unsigned i = 0; i < t->n_items; i++) {
        Item *item = &t->items[i];
        if (has_target(item))
            item->live_target = look_ahead(t, item->target, &item->target_shows);
        if (has_target(item) && t->ends_show)
            item->target_shows = SHOWN_ALL;
        item->shows_before = (!i && t->crossing.ram) ||
                             (i + 1 < t->n_items && item[1].kind == KIND_JCC && item[1].loops_back);
    }
}

static void plan_flags(Translator *t)
{
    bool shows = t->next_shows.flags || follows_sti(t, t->n_items - 1);
    ShownPlan behind = {shows ? ALL_FLAGS : 0, 0, t->next_shows.flags ? UINT16_MAX : 0};
    ShownPlan before;

    t->block->live_in = find_flag_uses(t, t->items, t->n_items, t->next_live, behind, &before) != 0;
    t->block->shown_in = t->ends_show || before.flags;
    /* Where a check of a group fails it goes on as it would without groups. */
    t->block->shown_changed |= before.changed;
}

/* --- building --------------------------------------------------------------------------------- */

static bool is_beyond_limit(const Translator *t, unsigned offset, unsigned length)
{
    return t_segmented_code(t) &&
           (uint64_t)(uint32_t)(t->block->key.eip_base + offset) + length - 1 > t->block->key.limit;
}

/* A loop of few instructions where time is spent is done several times in a row: accesses at
 * addresses that count up share their look-up. Turns the branch ITEM back to the block's beginning
 * into one out of the loop, and goes on there, if the block has room for all of the loop. */
static bool unroll(const Translator *t, Item *item, unsigned side_exits, unsigned room)
{
    int32_t start = t->block->key.ram & 0xfff;
    unsigned done = t->n_items + 1, copies = 1, exits = side_exits + (item->kind == KIND_JCC);

    if (!t->busy || t->ungrouped || !t_64bit(t) || item->target != start ||
        (item->kind != KIND_JCC && item->kind != KIND_JMP))
        return false;
    for (unsigned i = 0; i < t->n_items; i++)
        copies += t->items[i].next == start;
    if (copies == MAX_COPIES || done + done / copies > room ||
        exits + exits / copies > MAX_BUSY_SIDE_EXITS)
        return false;
    if (item->kind == KIND_JCC) {
        item->insn.opcode ^= 1; /* the opposite condition */
        item->target = item->next;
    } else {
        item->kind = KIND_NOTHING;
    }
    item->next = start;
    return true;
}

/* Whether the block's rest has been translated: it then leads on to that. Where time is spent it is
 * worth it to have it once more. */
static bool leads_on_to_known(const Translator *t, unsigned offset)
{
    return t->n_items && !t->busy && t->items[t->n_items - 1].kind != KIND_STI &&
           jit_page_has_block(t->jc, t->known, offset, t->block);
}

/* Fills items[]. The first instruction is there in any case, if need be as one to interpret. */
static void decode_block(Translator *t)
{
    unsigned offset = t->block->key.ram & 0xfff, side_exits = 0;
    unsigned max = CLAMP(t->jc->jit->options.max_insns, 1, MAX_INSNS);
    unsigned room = max > 1 ? MIN(2 * max, MAX_INSNS) : 1;
    unsigned max_exits = t->busy ? MAX_BUSY_SIDE_EXITS : MAX_SIDE_EXITS;
    bool crosses = false;

    while (t->n_items < max && offset < GUEST_PAGE_SIZE) {
        if (t->n_items && (t->mode & MODE_DEBUGGED) && debug_breaks_at_offset(t->jc->cpu, offset))
            break;
        if (leads_on_to_known(t, offset))
            break;
        Item *item = &t->items[t->n_items];
        DecodeResult result = decode_at(t, offset, &item->insn);
        item->offset = (uint16_t)offset;
        item->backward = NULL;
        reset_plans(item);
        if (result == DECODE_NEED_MORE && !t->n_items)
            crosses = t_decode_crossing(t, offset, &item->insn);
        if (!crosses && (result != DECODE_OK || is_beyond_limit(t, offset, item->insn.length))) {
            /* It ends on another page, is none or is not there: alone. */
            if (t->n_items)
                break;
            item->insn = (Insn){.length = 1};
            item->kind = KIND_LEAVE_TO;
            item->next = (int32_t)offset + 1;
            set_flag_use(item);
            t->n_items = 1;
            depend_on(t, offset, MIN(offset + 14, GUEST_PAGE_SIZE - 1));
            return;
        }
        item->kind = t_classify(t, &item->insn);
        if (item->kind >= KIND_JCC)
            item->target = branch_target(t, &item->insn, offset);
        /* Whether the target is inside the limit was decided by its offset. */
        if ((item->kind == KIND_JCC || item->kind == KIND_JMP || item->kind == KIND_CALL ||
             item->kind == KIND_LOOP) &&
            is_beyond_limit(t, item->target, 1))
            item->kind = KIND_LEAVE_TO;
        if (item->kind == KIND_AC && follows_sti(t, t->n_items))
            item->kind = KIND_LEAVE_TO; /* an exit that looks at the requests cannot lead on */
        depend_on(t, offset, MIN(offset + item->insn.length, GUEST_PAGE_SIZE) - 1);
        item->next = (int32_t)offset + item->insn.length;
        item->loops_back = item->kind >= KIND_JCC && item->target <= (int32_t)offset;
        if (unroll(t, item, side_exits, room))
            max = room;
        set_flag_use(item);
        offset = (unsigned)item->next;
        t->n_items++;
        if (ends_block(item->kind))
            return;
        /* Interrupts may come after the instruction in STI's shadow, though a CLI follow. */
        if (follows_sti(t, t->n_items - 1))
            return;
        if ((item->kind == KIND_JCC || item->kind == KIND_LOOP) && ++side_exits >= max_exits)
            return;
    }
    /* The instruction in STI's shadow must be in its block. */
    if (t->n_items && t->items[t->n_items - 1].kind == KIND_STI) {
        if (t->n_items > 1)
            t->n_items--;
        else
            t->items[0].kind = KIND_LEAVE_TO;
        set_flag_use(&t->items[t->n_items - 1]);
    }
}

/* A block's first backward branch looks at the requests, for those behind it too. Where its flags
 * come from the instruction before it, as those of a loop do, that is done before both, where
 * EFLAGS are free. */
static void plan_request_checks(Translator *t)
{
    for (unsigned i = 1; i < t->n_items; i++) {
        const Item *item = &t->items[i];
        if (item->kind != KIND_JCC || item->target > item->offset || item->target < 0)
            continue;
        Item *before = &t->items[i - 1];
        if (before->kind == KIND_COPY && !before->live_before &&
            !(before->insn.category_flags & INSN_IS_X87) && !follows_sti(t, i - 1) &&
            !follows_sti(t, i))
            before->backward = item;
    }
}

/* Whether the code for ITEM leaves r10 alone but for the distance of its group. */
static bool keeps_r10(const Translator *t, const Item *item)
{
    const Insn *insn = &item->insn;
    unsigned added = insn->mem_base;

    if (insn->mem_index != INSN_REG_NONE) {
        if (item->operand_group == NO_GROUP || !t->groups[item->operand_group].based)
            return false;
        added = insn->mem_index;
    }
    if (is_homeless(added) || (insn->category_flags & INSN_IS_X87) ||
        ((insn->category_flags & INSN_IS_VECTOR) && !t->vectors_checked))
        return false;
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].kind == OPERAND_REG &&
            (is_homeless(insn->operands[i].reg) ||
             insn->operands[i].reg_class == REG_CLASS_GPR8_HIGH))
            return false;
    switch (item->kind) {
    case KIND_NOTHING: return true;
    case KIND_LEA: return insn->opsize != 2 && insn->mem_base != INSN_REG_RIP;
    case KIND_COPY:
        return !(insn->category_flags & INSN_HAS_MEMORY) || item->operand_group != NO_GROUP;
    case KIND_PUSH:
    case KIND_POP: return item->stack_group != NO_GROUP && insn->operands[0].kind != OPERAND_MEM;
    default: return false;
    }
}

static void emit_item(Translator *t)
{
    if (t->item->backward && !t->x87 && !t->requests_checked)
        t_check_requests(t, t->item->backward);
    switch (t->item->kind) {
    case KIND_INTERPRET: t_emit_interpret(t, true); break;
    case KIND_LEAVE_TO: t_emit_interpret(t, false); break;
    case KIND_NOTHING: break;
    case KIND_COPY: t_emit_copy(t); break;
    case KIND_MOFFS: t_emit_moffs(t); break;
    case KIND_INC_DEC: t_emit_inc_dec(t); break;
    case KIND_LEA: t_emit_lea(t); break;
    case KIND_BIT_TEST: t_emit_bit_test(t); break;
    case KIND_PUSH: t_emit_push(t); break;
    case KIND_POP: t_emit_pop(t); break;
    case KIND_LEAVE: t_emit_leave(t); break;
    case KIND_DIRECTION:
    case KIND_CLI:
    case KIND_STI:
    case KIND_PUSHF: t_emit_flag_control(t); break;
    case KIND_SYSTEM: t_emit_system(t); break;
    case KIND_AC: t_emit_ac(t); break;
    case KIND_STRING: t_emit_string(t); break;
    case KIND_TRANSFER: t_emit_transfer(t); break;
    default: t_emit_branch(t); break;
    }
}

/* Whether the block, whose flags are live at its start, saves them before it looks at them. */
static bool saves_flags_first(const Translator *t)
{
    for (unsigned i = 0; i < t->n_items; i++) {
        const Item *item = &t->items[i];
        if (item->kind != KIND_NOTHING && item->kind != KIND_LEA &&
            (item->kind != KIND_COPY || (item->insn.category_flags & INSN_HAS_MEMORY)))
            return item->kind != KIND_JCC && item->kind != KIND_LOOP && item->kind != KIND_JMP;
        if (item->tested || item->insn.flags_modified)
            return false;
    }
    return false;
}

/* The ways into the block: indirect branches have the flags in SLOT_FLAGS, others in EFLAGS. */
static void emit_entries(Translator *t)
{
    JitBlock *block = t->block;
    int32_t start = block->key.ram & 0xfff;
    uint8_t *over = NULL;
    bool live = t->items[0].live_before, save = live && saves_flags_first(t);

    block->indirect_entry = t->hot.p;
    emit_rm(&t->hot, t_64bit(t), 0x8d, H_R10, H_R10, -start);
    emit_rm(&t->hot, true, 0x89, H_R10, H_RSP, OFFSET_SLOT(SLOT_PAGE));
    if (save) {
        emit8(&t->hot, 0xeb); /* jmp rel8 */
        over = t->hot.p++;
    } else if (live) {
        t_restore_flags(t);
    }
    block->entry = t->hot.p;
    t->flags_saved = false;
    t->flags_from = (JitFlags){.kind = FLAGS_AS_ENTERED};
    if (save) {
        t_save_flags(t);
        emit_patch8(over, t->hot.p);
    }
}

static void emit_block(Translator *t)
{
    JitBlock *block = t->block;

    emit_entries(t);
    t->r10_group = NO_GROUP;
    t->item = &t->items[0];
    if (t->crossing.ram)
        t_emit_crossing(t);
    for (unsigned i = 0; i < t->n_items; i++) {
        t->item = &t->items[i];
        t->check_requests = follows_sti(t, i);
        bool keeps = keeps_r10(t, t->item);
        t->defers_rsp = t_defers_rsp(t, t->item);
        if (!t->defers_rsp)
            t_settle_stack_pointer(t);
        if (t->item->early_checks)
            t_check_groups_early(t);
        if (!keeps)
            t->r10_group = NO_GROUP;
        emit_item(t);
        t_note_repeatable(t);
        if (!keeps)
            t->r10_group = NO_GROUP;
    }
    t_settle_stack_pointer(t);
    if (!ends_block(t->item->kind))
        t_exit_direct(t, t->item->next, t->item->live_after, t->next_shows);
    block->code_size = (uint32_t)(t->hot.p - block->entry);
}

JitBlock *jit_translate(JitCpu *jc, const JitKey *key, const uint8_t *host_page)
{
    JitBlock *block = jit_cache_new_block(jc);
    JitPage *page = jit_smc_page(jc, key->ram & GUEST_PAGE_MASK);
    if (!page)
        return NULL;

    Translator t;
    memset(&t, 0, offsetof(Translator, items));
    t.jc = jc;
    t.block = block;
    t.mode = key->mode & ~KEY_UNGROUPED;
    t.ungrouped = key->mode & KEY_UNGROUPED;
    t.ends_show = jc->jit->options.no_links || (t.mode & MODE_DEBUGGED);
    t.page = host_page;
    t.known = page;
    t.busy = jit_smc_is_busy(jc, page, key->ram);
    t.sites = t.busy && jit_smc_wants_sites(page, key->ram);
    t.hot.p = jc->hot;
    t.cold.p = jc->cold;
    block->key = *key;
    block->first_trap = jc->region->first_trap + jc->region->n_traps;
    block->shown_changed = 0;
    decode_block(&t);
    look_behind(&t);
    plan_flags(&t);
    t_plan_groups(&t);
    /* Of most accesses it is now known that they cannot show any. */
    if (t_groups_share(&t))
        plan_flags(&t);
    plan_request_checks(&t);
    emit_block(&t);
    block->granules = t.granules;
    block->tier = t.busy ? 2 : 1;
    jc->hot = t.hot.p;
    jc->cold = t.cold.p;
    jit_cache_insert(jc, page, block);
    if (t.crossing.ram)
        t_keep_crossing(&t);
    if (jc->perf)
        jit_perf_add(jc, block);
    jit_count(&jc->statistics.blocks);
    if (block->tier == 2)
        jit_count(&jc->statistics.translated_again);
    jc->statistics.instructions += t.n_items;
    jc->statistics.code_bytes = jit_cache_used(jc);
    return block;
}
