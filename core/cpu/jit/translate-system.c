/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * System instructions that 64-bit kernels execute all the time. What only moves state is done in
 * place; string instructions and transfers between privilege levels are calls of C (system.c),
 * after which translated code goes on. All others are left to the interpreter.
 */

#include "core/cpu/interp.h"
#include "core/cpu/jit/translate.h"

#define OFFSET_MODE ((int32_t)offsetof(Cpu, mode))

/* --- what is done how ------------------------------------------------------------------------- */

static bool is_supervisor(const Translator *t)
{
    return !(t->mode & MODE_CPL);
}

/* Whether RFLAGS.AC chooses the TLB set, and so the mode. */
static bool ac_is_in_mode(const Translator *t)
{
    return (t->mode & MODE_SMAP) && is_supervisor(t);
}

static uint32_t mode_with_ac(const Translator *t, bool ac)
{
    uint32_t set = ac ? MMU_SUPERVISOR_USER : MMU_SUPERVISOR;

    return (t->mode & ~(uint32_t)MODE_MMU) | set << MODE_MMU_SHIFT;
}

static InsnKind classify_ac(const Translator *t, bool ac)
{
    if (!is_supervisor(t))
        return KIND_INTERPRET;
    if (!ac_is_in_mode(t))
        return KIND_SYSTEM;
    return mode_with_ac(t, ac) == t->mode ? KIND_NOTHING : KIND_AC;
}

/* MOV r, sreg and MOV r, CRn, of what is plain state. */
static InsnKind classify_move(const Translator *t, const Insn *insn)
{
    const InsnOperand *to = &insn->operands[0], *from = &insn->operands[1];

    if (to->kind != OPERAND_REG || to->reg_class < REG_CLASS_GPR16 ||
        to->reg_class > REG_CLASS_GPR64)
        return KIND_INTERPRET;
    if (from->reg_class == REG_CLASS_SEG)
        return KIND_SYSTEM;
    bool plain = from->reg == 0 || from->reg == 2 || from->reg == 3 || from->reg == 4;
    return is_supervisor(t) && plain ? KIND_SYSTEM : KIND_INTERPRET;
}

static InsnKind classify_string(const Insn *insn)
{
    bool movs = insn->opcode == 0xa4 || insn->opcode == 0xa5;
    bool stos = insn->opcode == 0xaa || insn->opcode == 0xab;

    return (movs || stos) && insn->address_size == 8 ? KIND_STRING : KIND_INTERPRET;
}

InsnKind t_classify_system(const Translator *t, const Insn *insn)
{
    bool special = false;

    if (!t_64bit(t) || insn->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || insn->lock ||
        !interp_insn_exists(t->jc->cpu, insn))
        return KIND_INTERPRET;
    if (insn->category_flags & INSN_IS_STRING)
        return classify_string(insn);
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSRET: return KIND_TRANSFER;
    case ZYDIS_MNEMONIC_IRETQ: return KIND_TRANSFER;
    case ZYDIS_MNEMONIC_SWAPGS: return is_supervisor(t) ? KIND_SYSTEM : KIND_INTERPRET;
    case ZYDIS_MNEMONIC_RDFSBASE:
    case ZYDIS_MNEMONIC_RDGSBASE:
    case ZYDIS_MNEMONIC_WRFSBASE:
    case ZYDIS_MNEMONIC_WRGSBASE: return KIND_SYSTEM;
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP: return t->jc->jit->options.lockstep ? KIND_INTERPRET : KIND_SYSTEM;
    case ZYDIS_MNEMONIC_CLAC:
    case ZYDIS_MNEMONIC_STAC: return classify_ac(t, insn->mnemonic == ZYDIS_MNEMONIC_STAC);
    case ZYDIS_MNEMONIC_MOV:
        for (unsigned i = 0; i < insn->n_visible; i++)
            special |= insn->operands[i].reg_class == REG_CLASS_SEG ||
                       insn->operands[i].reg_class == REG_CLASS_CR;
        return special ? classify_move(t, insn) : KIND_INTERPRET;
    default: return KIND_INTERPRET;
    }
}

/* --- in place --------------------------------------------------------------------------------- */

static int32_t segment_offset(unsigned seg, size_t member)
{
    return (int32_t)(offsetof(Cpu, seg) + seg * sizeof(CpuSegment) + member);
}

/* Compares the bits of CR4 in MASK, all in one byte, with 0. EFLAGS are free. */
static void test_cr4(Translator *t, uint64_t mask)
{
    unsigned byte = (unsigned)__builtin_ctzll(mask) / 8;

    emit_rm(&t->hot, false, 0xf6, 0, H_RSP, (int32_t)(offsetof(Cpu, cr4) + byte));
    emit8(&t->hot, (unsigned)(mask >> (byte * 8)));
}

static void emit_swapgs(Translator *t)
{
    const int32_t base = segment_offset(SEG_GS, offsetof(CpuSegment, base));
    const int32_t other = (int32_t)offsetof(Cpu, kernel_gs_base);
    Emit *e = &t->hot;

    emit_rm(e, true, 0x8b, H_R10, H_RSP, base);
    emit_rm(e, true, 0x8b, H_R11, H_RSP, other);
    emit_rm(e, true, 0x89, H_R10, H_RSP, other);
    emit_rm(e, true, 0x89, H_R11, H_RSP, base);
}

/* As cpu_tsc(). */
static void emit_rdtsc(Translator *t)
{
    Emit *e = &t->hot;

    t_free_flags(t);
    if (!is_supervisor(t)) {
        test_cr4(t, CR4_TSD);
        t_interpret_if(t, CC_NE);
    }
    emit_opcode(e, 0x0f31);
    emit_rr(e, true, 0xc1, 4, H_RDX); /* shl */
    emit8(e, 32);
    emit_rr(e, true, 0x09, H_RAX, H_RDX); /* or rdx, rax */
    emit_rm(e, true, 0x03, H_RDX, H_RSP, (int32_t)offsetof(Cpu, tsc_offset));
    emit_rm(e, true, 0x03, H_RDX, H_RSP, (int32_t)offsetof(Cpu, tsc_adjust));
    emit_rr(e, false, 0x89, H_RDX, H_RAX);
    emit_rr(e, true, 0xc1, 5, H_RDX); /* shr */
    emit8(e, 32);
    if (t->item->insn.mnemonic == ZYDIS_MNEMONIC_RDTSCP)
        emit_rm(e, false, 0x8b, H_RCX, H_RSP, (int32_t)offsetof(Cpu, tsc_aux));
}

static void emit_segment_base(Translator *t)
{
    const Insn *insn = &t->item->insn;
    unsigned mnemonic = insn->mnemonic, reg = insn->operands[0].reg, size = insn->operands[0].size;
    bool fs = mnemonic == ZYDIS_MNEMONIC_RDFSBASE || mnemonic == ZYDIS_MNEMONIC_WRFSBASE;
    bool read = mnemonic == ZYDIS_MNEMONIC_RDFSBASE || mnemonic == ZYDIS_MNEMONIC_RDGSBASE;
    int32_t base = segment_offset(fs ? SEG_FS : SEG_GS, offsetof(CpuSegment, base));
    Emit *e = &t->hot;

    t_free_flags(t);
    test_cr4(t, CR4_FSGSBASE);
    t_interpret_if(t, CC_E);
    if (read) {
        emit_rm(e, true, 0x8b, H_R10, H_RSP, base);
        t_store_guest(t, reg, H_R10, size);
        return;
    }
    t_load_guest(t, H_R10, reg);
    if (size == 4) {
        emit_rr(e, false, 0x89, H_R10, H_R10);
    } else {
        emit_test_canonical(e);
        t_interpret_if(t, CC_A);
    }
    emit_rm(e, true, 0x89, H_R10, H_RSP, base);
}

static void emit_move(Translator *t)
{
    static const int32_t control[] = {
        [0] = offsetof(Cpu, cr0),
        [2] = offsetof(Cpu, cr2),
        [3] = offsetof(Cpu, cr3),
        [4] = offsetof(Cpu, cr4),
    };
    const InsnOperand *to = &t->item->insn.operands[0], *from = &t->item->insn.operands[1];

    if (from->reg_class == REG_CLASS_SEG)
        emit_rm(&t->hot, false, 0x0fb7, H_R10, H_RSP,
                segment_offset(from->reg, offsetof(CpuSegment, selector)));
    else
        emit_rm(&t->hot, true, 0x8b, H_R10, H_RSP, control[from->reg]);
    t_store_guest(t, to->reg, H_R10, to->size);
}

/* STAC and CLAC where AC means nothing. */
static void emit_idle_ac(Translator *t)
{
    t_free_flags(t);
    if (t->item->insn.mnemonic == ZYDIS_MNEMONIC_STAC)
        emit_alu_mem_imm(&t->hot, false, 1, H_RSP, OFFSET_RFLAGS, RFLAGS_AC);
    else
        emit_alu_mem_imm(&t->hot, false, 4, H_RSP, OFFSET_RFLAGS, ~RFLAGS_AC);
}

void t_emit_system(Translator *t)
{
    switch (t->item->insn.mnemonic) {
    case ZYDIS_MNEMONIC_SWAPGS: emit_swapgs(t); break;
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP: emit_rdtsc(t); break;
    case ZYDIS_MNEMONIC_MOV: emit_move(t); break;
    case ZYDIS_MNEMONIC_CLAC:
    case ZYDIS_MNEMONIC_STAC: emit_idle_ac(t); break;
    default: emit_segment_base(t); break;
    }
}

/* --- STAC and CLAC with SMAP ------------------------------------------------------------------ */

/* The block ends: what follows is translated for another mode. The mode says what AC is, so that
 * EFLAGS need not be touched. The link names the table of targets of the new mode. */
void t_emit_ac(Translator *t)
{
    bool ac = t->item->insn.mnemonic == ZYDIS_MNEMONIC_STAC;
    Emit *e = &t->hot;

    emit_rm(e, false, 0x8b, H_R11, H_RSP, OFFSET_RFLAGS);
    emit_rm(e, false, 0x8d, H_R11, H_R11, ac ? RFLAGS_AC : -RFLAGS_AC);
    emit_rm(e, true, 0x89, H_R11, H_RSP, OFFSET_RFLAGS);
    emit_rm(e, false, 0xc7, 0, H_RSP, OFFSET_MODE);
    emit32(e, mode_with_ac(t, ac));
    emit_rex(e, true, 0, 0, H_R11);
    emit8(e, 0xb8 | (H_R11 & 7));
    uint8_t *targets = e->p;
    emit64(e, 0);
    emit_rm(e, true, 0x89, H_R11, H_RSP, OFFSET_SLOT(SLOT_TARGETS));
    t_exit_direct(t, t->item->offset + t->item->insn.length, t->item->live_after, t->next_shows);
    t_name_targets(t, targets);
}

/* --- calls of C ------------------------------------------------------------------------------- */

void t_emit_string(Translator *t)
{
    const Insn *insn = &t->item->insn;
    JitString string = {{
        .size = insn->mem_size,
        .repeated = insn->rep || insn->repne,
        .moves = insn->opcode <= 0xa5,
        .seg = insn->mem_seg,
    }};

    t_note_x87(t);
    t_free_flags(t);
    emit_mov_imm(&t->hot, H_R10, string.packed);
    t_call_at_site(t, &t->hot, t->jc->stub_string, insn->length, SITE_STAYS);
    t->vectors_checked = false;
}

void t_emit_transfer(Translator *t)
{
    const Insn *insn = &t->item->insn;
    JitTransfer transfer = insn->mnemonic == ZYDIS_MNEMONIC_SYSCALL ? TRANSFER_SYSCALL
                           : insn->mnemonic == ZYDIS_MNEMONIC_IRETQ ? TRANSFER_IRETQ
                           : insn->opsize == 8                      ? TRANSFER_SYSRET_64
                                                                    : TRANSFER_SYSRET_32;

    t_note_x87(t);
    t_free_flags(t);
    JitFlags from = t_emit_flags_from(t, &t->hot);
    emit_mov_imm(&t->hot, H_R10, transfer);
    /* A jump with the place of the site in r11: no call that never returns misleads the host's
     * prediction of returns. */
    uint8_t *place = emit_lea_rip(&t->hot, H_R11, t->hot.p);
    emit_jmp(&t->hot, t->jc->stub_transfer);
    emit_patch(place, t->hot.p);
    t_emit_site(t, &t->hot, from, insn->length, 0);
}
