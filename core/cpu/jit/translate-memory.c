/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Addresses, the inline look-up in the soft TLB, and the stack. */

#include "core/cpu/jit/translate.h"

/* --- effective addresses ---------------------------------------------------------------------- */

/* Guest register GUEST as an address part: where it lives, or TEMP loaded with it. */
static unsigned address_part(Translator *t, unsigned guest, unsigned temp)
{
    if (guest == INSN_REG_NONE)
        return H_NONE;
    if (!is_homeless(guest))
        return host_register(guest);
    emit_rm(&t->hot, true, 0x8b, temp, H_RSP, OFFSET_GPR(guest));
    return temp;
}

/* lea TO, [BASE + DISP] with a displacement of any 33 bits. */
static void lea_far(Translator *t, bool w, unsigned to, unsigned base, int64_t disp)
{
    if (disp != (int32_t)disp) {
        int32_t half = (int32_t)(disp / 2);
        emit_rm(&t->hot, true, 0x8d, to, base, half);
        base = to;
        disp -= half;
    }
    emit_rm(&t->hot, w, 0x8d, to, base, (int32_t)disp);
}

void t_effective_address(Translator *t, const Insn *insn, unsigned to, unsigned width)
{
    bool w = width == 8;

    if (insn->mem_base == INSN_REG_RIP) {
        emit_rm(&t->hot, true, 0x8b, H_R10, H_RSP, OFFSET_SLOT(SLOT_PAGE));
        lea_far(t, w, to, H_R10, (int64_t)t->item->offset + insn->length + insn->displacement);
        return;
    }
    unsigned base = address_part(t, insn->mem_base, H_R10);
    unsigned index = address_part(t, insn->mem_index, H_R11);
    if (base == H_NONE && index == H_NONE) {
        uint64_t address = (uint64_t)insn->displacement;
        emit_mov_imm(&t->hot, to, w ? address : width == 4 ? (uint32_t)address : (uint16_t)address);
        return;
    }
    emit_rmx(&t->hot, w, 0x8d, to, base, index, insn->mem_scale, (int32_t)insn->displacement);
    if (width == 2)
        emit_rr(&t->hot, false, 0x0fb7, to, to);
}

/* --- the look-up ------------------------------------------------------------------------------ */

void t_slow_site(Translator *t, unsigned size, unsigned flags)
{
    t_call_at_site(t, &t->cold, t->jc->stub_slow, size, flags);
}

void t_interpret_if(Translator *t, unsigned cc)
{
    emit_jcc(&t->hot, cc, t->cold.p);
    t_call_at_site(t, &t->cold, t->jc->stub_interp, t->item->insn.length, 0);
}

/* The segment's limit and base, for r10. Anything odd: the interpreter does the instruction. */
static void segment_check(Translator *t, unsigned seg, unsigned size, bool store)
{
    emit_rm(&t->hot, true, 0x8d, H_R11, H_R10, (int32_t)size - 1);
    emit_rm(&t->hot, true, 0x3b, H_R11, H_RSP, OFFSET_SLOT(SLOT_LIMITS + seg * 2 + store));
    t_interpret_if(t, CC_G);
    emit_rm(&t->hot, false, 0x03, H_R10, H_RSP,
            (int32_t)(offsetof(Cpu, seg) + seg * sizeof(CpuSegment) + offsetof(CpuSegment, base)));
}

static bool is_flat(const Translator *t, unsigned seg)
{
    switch (seg) {
    case SEG_DS: return t->mode & MODE_FLAT_DS;
    case SEG_ES: return t->mode & MODE_FLAT_ES;
    case SEG_SS: return t->mode & MODE_FLAT_SS;
    default: return false; /* CS may be execute-only */
    }
}

/* r10 is an address, also in host register ADDRESS: it becomes the distance from the page's first
 * byte, r11 the TLB's index. Leads to the cold code's end, where r10 is the address again, if the
 * page is not there for all SIZE bytes. */
static void check_page(Translator *t, unsigned address, unsigned size, bool store)
{
    Emit *e = &t->hot;
    bool slow = t->jc->jit->options.slow_accesses;

    emit_tlb_index(e, H_R11, address);
    emit_rmx(e, true, 0x2b, H_R10, H_RSP, H_R11, 8, t_tlb_tag(t, store));
    emit_alu_imm(e, true, 7, H_R10, slow ? -1 : (int32_t)(GUEST_PAGE_SIZE - size));
    if (slow)
        emit_jmp(e, t->cold.p);
    else
        emit_jcc(e, CC_A, t->cold.p);
    emit_rmx(&t->cold, true, 0x03, H_R10, H_RSP, H_R11, 8, t_tlb_tag(t, store));
    t_slow_site(t, size, store ? SITE_STORE : 0);
}

void t_access(Translator *t, unsigned seg, unsigned size, bool store)
{
    Emit *e = &t->hot;

    if (t_64bit(t)) {
        if (seg == SEG_FS || seg == SEG_GS)
            emit_rm(e, true, 0x03, H_R10, H_RSP,
                    (int32_t)(offsetof(Cpu, seg) + seg * sizeof(CpuSegment) +
                              offsetof(CpuSegment, base)));
    } else if (!is_flat(t, seg)) {
        segment_check(t, seg, size, store);
    }

    t->at = (HostOperand){H_NONE, 1, 0};
    check_page(t, H_R10, size, store);
    emit_rmx(e, true, 0x03, H_R10, H_RSP, H_R11, 8, t_tlb_field(t, offsetof(TlbSet, host)));
    emit_jmp(&t->cold, e->p);
}

/* Whether the operand's address is of registers that have homes and can be added to the distance
 * between guest and host: the access then does not wait for the comparison of its page. */
static bool is_plain_address(const Translator *t, const Insn *insn)
{
    return t_64bit(t) && insn->address_size == 8 && insn->mem_seg != SEG_FS &&
           insn->mem_seg != SEG_GS && insn->mem_base < N_GPR && !is_homeless(insn->mem_base) &&
           (insn->mem_index == INSN_REG_NONE || !is_homeless(insn->mem_index)) &&
           insn->displacement == (int32_t)insn->displacement && !insn_is_locked(insn) &&
           !t_needs_spill(insn);
}

static void access_plain(Translator *t, const Insn *insn, unsigned size, bool store)
{
    Emit *e = &t->hot;
    unsigned base = host_register(insn->mem_base);
    unsigned index = insn->mem_index == INSN_REG_NONE ? H_NONE : host_register(insn->mem_index);
    int32_t disp = (int32_t)insn->displacement;

    t->at = (HostOperand){base, 1, disp};
    if (index == H_NONE && !disp) {
        emit_mov_rr(e, H_R10, base);
        check_page(t, base, size, store);
    } else {
        emit_rmx(e, true, 0x8d, H_R10, base, index, insn->mem_scale, disp);
        check_page(t, H_R10, size, store);
    }
    emit_rmx(e, true, 0x8b, H_R10, H_RSP, H_R11, 8, t_tlb_field(t, offsetof(TlbSet, delta)));
    emit_rmx(&t->cold, true, 0x8d, H_R11, base, index, insn->mem_scale, disp);
    emit_rr(&t->cold, true, 0x29, H_R11, H_R10); /* sub r10, r11 */
    emit_jmp(&t->cold, e->p);
    if (index != H_NONE)
        emit_rmx(e, true, 0x8d, H_R10, H_R10, index, insn->mem_scale, 0);
}

void t_refuse_split_line(Translator *t, unsigned size)
{
    if (size == 1 || !insn_is_locked(&t->item->insn))
        return;
    emit_rr(&t->hot, false, 0x89, H_R10, H_R11);
    emit_alu_imm(&t->hot, false, 4, H_R11, 63);
    emit_alu_imm(&t->hot, false, 7, H_R11, 64 - (int32_t)size);
    t_interpret_if(t, CC_A);
}

void t_memory_operand(Translator *t, unsigned size, bool store)
{
    const Insn *insn = &t->item->insn;
    bool noted = t_is_noted_x87(insn), grouped = t->item->operand_group != NO_GROUP;
    bool plain = !grouped && is_plain_address(t, insn);

    if (!grouped)
        t_free_flags_for_access(t);
    if ((!grouped && !plain) || noted)
        t_effective_address(t, insn, H_R10, insn->address_size);
    if (noted)
        emit_rm(&t->hot, true, 0x89, H_R10, H_RSP, OFFSET_SLOT(SLOT_TEMP));
    if (grouped) {
        t_group_access(t, t->item->operand_group, t_group_displacement(t), size, store);
        return;
    }
    if (plain) {
        access_plain(t, insn, size, store);
    } else {
        t_access(t, insn->mem_seg, size, store);
        t_refuse_split_line(t, size);
    }
    t_flags_after_access(t);
}

/* --- the stack -------------------------------------------------------------------------------- */

unsigned t_stack_width(const Translator *t)
{
    return t_64bit(t) ? 8 : t->mode & MODE_SS32 ? 4 : 2;
}

void t_stack_access(Translator *t, int32_t disp, unsigned size, bool store)
{
    int8_t group = t->item->stack_group;

    if (group == NO_GROUP || !t->groups[group].checked)
        t_settle_stack_pointer(t);
    disp += t->rsp_owed;
    if (t_group_access(t, t->item->stack_group, disp, size, store))
        return;
    t_free_flags_for_access(t);
    emit_rm(&t->hot, t_64bit(t), 0x8d, H_R10, H_R15, disp);
    if (t_stack_width(t) == 2)
        emit_rr(&t->hot, false, 0x0fb7, H_R10, H_R10);
    t_access(t, SEG_SS, size, store);
    t_flags_after_access(t);
}

static bool names_rsp(const Insn *insn)
{
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].kind == OPERAND_REG && !insn->operands[i].hidden &&
            insn->operands[i].reg == RSP)
            return true;
    return (insn->category_flags & INSN_HAS_MEMORY || insn->mnemonic == ZYDIS_MNEMONIC_LEA) &&
           (insn->mem_base == RSP || insn->mem_index == RSP);
}

/* With registers and immediates never a fault. */
static bool is_plain(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_XOR: return true;
    default: return false;
    }
}

bool t_defers_rsp(const Translator *t, const Item *item)
{
    const Insn *insn = &item->insn;

    if (!t_64bit(t) || item->early_checks || item->backward || names_rsp(insn))
        return false;
    switch (item->kind) {
    case KIND_NOTHING:
    case KIND_LEA: return true;
    case KIND_PUSH:
    case KIND_POP:
        return item->stack_group != NO_GROUP && insn->opsize == 8 &&
               insn->operands[0].kind == OPERAND_REG;
    case KIND_COPY: return !(insn->category_flags & INSN_HAS_MEMORY) && is_plain(insn);
    default: return false;
    }
}

void t_settle_stack_pointer(Translator *t)
{
    if (t->rsp_owed)
        emit_rm(&t->hot, true, 0x8d, H_R15, H_R15, t->rsp_owed);
    t->rsp_owed = 0;
}

/* Changes r11 with a 16-bit stack. */
void t_move_stack_pointer(Translator *t, int32_t by)
{
    if (t->defers_rsp) {
        t->rsp_owed += by;
    } else if (t_stack_width(t) == 2) {
        emit_rm(&t->hot, false, 0x8d, H_R11, H_R15, by);
        emit8(&t->hot, 0x66);
        emit_rr(&t->hot, false, 0x89, H_R11, H_R15);
    } else {
        emit_rm(&t->hot, t_64bit(t), 0x8d, H_R15, H_R15, by);
    }
}

void t_emit_push(Translator *t)
{
    const Insn *insn = &t->item->insn;
    const InsnOperand *operand = &insn->operands[0];
    unsigned size = insn->opsize;

    if (operand->kind == OPERAND_MEM) {
        t_memory_operand(t, size, false);
        t_move(t, false, size, H_R11);
        emit_rm(&t->hot, true, 0x89, H_R11, H_RSP, OFFSET_SLOT(SLOT_TEMP));
    }
    t_stack_access(t, -(int32_t)size, size, true);
    if (operand->kind == OPERAND_MEM) {
        emit_rm(&t->hot, true, 0x8b, H_R11, H_RSP, OFFSET_SLOT(SLOT_TEMP));
        t_move(t, true, size, H_R11);
    } else if (operand->kind == OPERAND_IMM) {
        t_mark_trap(t);
        if (size == 2)
            emit8(&t->hot, 0x66);
        emit_rmx(&t->hot, size == 8, 0xc7, 0, H_R10, t->at.index, t->at.scale, t->at.disp);
        if (size == 2)
            emit16(&t->hot, (uint16_t)insn->immediate);
        else
            emit32(&t->hot, (uint32_t)insn->immediate);
    } else {
        unsigned from = host_register(operand->reg);
        if (is_homeless(operand->reg)) {
            t_load_guest(t, H_R11, operand->reg);
            from = H_R11;
        }
        t_move(t, true, size, from);
    }
    t_move_stack_pointer(t, -(int32_t)size);
}

void t_emit_pop(Translator *t)
{
    const Insn *insn = &t->item->insn;
    const InsnOperand *operand = &insn->operands[0];
    unsigned size = insn->opsize;

    t_stack_access(t, 0, size, false);
    if (operand->kind == OPERAND_REG && !is_homeless(operand->reg) && operand->reg != RSP &&
        t_stack_width(t) != 2) {
        t_move(t, false, size, host_register(operand->reg));
        t_move_stack_pointer(t, (int32_t)size);
        return;
    }
    t_move(t, false, size, H_R11);
    if (operand->kind == OPERAND_MEM) {
        emit_rm(&t->hot, true, 0x89, H_R11, H_RSP, OFFSET_SLOT(SLOT_TEMP));
        t_memory_operand(t, size, true);
        emit_rm(&t->hot, true, 0x8b, H_R11, H_RSP, OFFSET_SLOT(SLOT_TEMP));
        t_move(t, true, size, H_R11);
        t_move_stack_pointer(t, (int32_t)size);
        return;
    }
    if (t_stack_width(t) == 2) {
        /* Moving SP needs r11. */
        emit_mov_rr(&t->hot, H_R10, H_R11);
        t_move_stack_pointer(t, (int32_t)size);
        t_store_guest(t, operand->reg, H_R10, size);
        return;
    }
    t_move_stack_pointer(t, (int32_t)size); /* POP rSP overwrites it */
    t_store_guest(t, operand->reg, H_R11, size);
}

/* rSP = rBP, then POP rBP. */
void t_emit_leave(Translator *t)
{
    unsigned size = t->item->insn.opsize, width = t_stack_width(t);

    if (!t_group_access(t, t->item->stack_group, 0, size, false)) {
        t_free_flags(t);
        emit_rm(&t->hot, width == 8, 0x8d, H_R10, H_RBP, 0);
        if (width == 2)
            emit_rr(&t->hot, false, 0x0fb7, H_R10, H_R10);
        t_access(t, SEG_SS, size, false);
    }
    t_move(t, false, size, H_R11);
    if (width == 2) {
        emit_rm(&t->hot, false, 0x8d, H_R10, H_RBP, (int32_t)size);
        emit8(&t->hot, 0x66);
        emit_rr(&t->hot, false, 0x89, H_R10, H_R15);
    } else {
        emit_rm(&t->hot, width == 8, 0x8d, H_R15, H_RBP, (int32_t)size);
    }
    t_store_guest(t, RBP, H_R11, size);
}

/* --- LEA and MOV with an absolute offset ------------------------------------------------------ */

void t_emit_lea(Translator *t)
{
    const Insn *insn = &t->item->insn;
    unsigned to = insn->operands[0].reg, size = insn->opsize;
    unsigned width = MIN(insn->address_size, size == 2 ? 4 : size);

    if (insn->address_size == 2)
        width = 2;
    if (size == 2 || is_homeless(to)) {
        t_effective_address(t, insn, H_R10, width);
        t_store_guest(t, to, H_R10, size);
    } else {
        t_effective_address(t, insn, host_register(to), width);
    }
}

void t_emit_moffs(Translator *t)
{
    const Insn *insn = &t->item->insn;
    unsigned size = insn->opcode & 1 ? insn->opsize : 1;
    bool store = insn->opcode & 2;
    uint64_t offset = insn->operands[store ? 0 : 1].kind == OPERAND_MEM
                          ? (uint64_t)insn->displacement
                          : insn->immediate;

    t_free_flags(t);
    if (insn->address_size < 8)
        offset &= insn->address_size == 4 ? 0xffffffff : 0xffff;
    emit_mov_imm(&t->hot, H_R10, offset);
    t_access(t, insn->mem_seg, size, store);
    t_move(t, store, size, H_RAX);
}
