/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Instructions that stay what they are: re-encoded with their registers mapped and their memory
 * operand at [r10]. */

#include "core/cpu/jit/translate.h"

/* --- guest registers -------------------------------------------------------------------------- */

void t_load_guest(Translator *t, unsigned to, unsigned guest)
{
    if (is_homeless(guest))
        emit_rm(&t->hot, true, 0x8b, to, H_RSP, OFFSET_GPR(guest));
    else
        emit_mov_rr(&t->hot, to, host_register(guest));
}

void t_store_guest(Translator *t, unsigned guest, unsigned from, unsigned size)
{
    Emit *e = &t->hot;
    unsigned op = size == 1 ? 0x88 : 0x89;

    if (size == 2)
        emit8(e, 0x66);
    if (!is_homeless(guest)) {
        emit_rr(e, size == 8, op, from, host_register(guest));
        return;
    }
    if (size == 4) {
        emit_rr(e, false, op, from, from);
        size = 8;
    }
    emit_rm(e, size == 8, op, from, H_RSP, OFFSET_GPR(guest));
}

static void add_trap(Translator *t, JitTrap trap)
{
    jit_cache_add_trap(t->jc, trap);
    t->block->n_traps++;
}

static void note_trap_flags(Translator *t, uint16_t host_offset)
{
    JitFlags from = t_flags_from(t);
    JitTrap record = {.host_offset = host_offset | TRAP_FLAGS};

    if (from.packed == t->trap_flags.packed &&
        (from.second != FLAGS_WIDE_CONSTANT || t->constant == t->trap_constant))
        return;
    if (from.second == FLAGS_WIDE_CONSTANT) {
        record.constant = t->trap_constant = t->constant;
        add_trap(t, record);
    }
    record.flags_from = t->trap_flags = from;
    add_trap(t, record);
}

void t_mark_trap(Translator *t)
{
    JitTrap trap = {.host_offset = (uint16_t)(t->hot.p - t->block->entry),
                    .where = t->item->offset,
                    .mnemonic = t->item->insn.mnemonic};

    note_trap_flags(t, trap.host_offset);
    if (t->x87)
        trap.where |= TRAP_X87;
    add_trap(t, trap);
    if (t->x87) {
        trap.x87_offset = t->x87->offset;
        trap.x87_opcode = t_x87_opcode(t);
        add_trap(t, trap);
    }
}

void t_move(Translator *t, bool store, unsigned size, unsigned reg)
{
    unsigned op = (store ? 0x88 : 0x8a) | (size > 1);

    t_mark_trap(t);
    if (size == 2)
        emit8(&t->hot, 0x66);
    emit_rmx(&t->hot, size == 8, op, reg, H_R10, t->at.index, t->at.scale, t->at.disp);
}

static bool is_general(const InsnOperand *operand)
{
    return operand->kind == OPERAND_REG && operand->reg_class >= REG_CLASS_GPR8 &&
           operand->reg_class <= REG_CLASS_GPR64;
}

static bool is_encoded(const InsnOperand *operand)
{
    switch (operand->encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG:
    case ZYDIS_OPERAND_ENCODING_MODRM_RM:
    case ZYDIS_OPERAND_ENCODING_OPCODE:
    case ZYDIS_OPERAND_ENCODING_NDSNDD: return true;
    default: return false;
    }
}

/* How many homeless registers the instruction names. */
static unsigned count_homeless(const Insn *insn)
{
    unsigned seen = 0, count = 0;

    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        if (is_general(operand) && is_homeless(operand->reg) && !(seen & 1u << operand->reg)) {
            seen |= 1u << operand->reg;
            count++;
        }
    }
    return count;
}

static unsigned free_temporaries(const Insn *insn)
{
    return insn->category_flags & INSN_HAS_MEMORY ? 1 : 2;
}

bool t_needs_spill(const Insn *insn)
{
    return count_homeless(insn) > free_temporaries(insn);
}

/* Whether another register may be lent: not while the instruction could trap, for the trap would
 * find it changed. Its memory operand never does, being in no group. */
static bool can_spill(const Insn *insn)
{
    return !(insn->category_flags & (INSN_IS_VECTOR | INSN_IS_X87)) &&
           insn->mnemonic != ZYDIS_MNEMONIC_DIV && insn->mnemonic != ZYDIS_MNEMONIC_IDIV &&
           insn->mnemonic != ZYDIS_MNEMONIC_CMPXCHG16B;
}

bool t_has_temporaries(const Insn *insn)
{
    return !t_needs_spill(insn) ||
           (count_homeless(insn) == free_temporaries(insn) + 1 && can_spill(insn));
}

/* A host register that the instruction does not use. */
static unsigned spill_register(const Insn *insn)
{
    static const uint8_t candidates[] = {H_R14, H_R13, H_R12, H_R9, H_R8};
    uint32_t used = 0;
    unsigned i = 0;

    for (unsigned k = 0; k < insn->n_operands; k++)
        if (is_general(&insn->operands[k]))
            used |= 1u << insn->operands[k].reg;
    while (used >> candidates[i] & 1)
        i++;
    return candidates[i];
}

/* --- encodings -------------------------------------------------------------------------------- */

enum { KEEP = 0xff }; /* the field as it was */

/* Host registers for the fields of an instruction. */
typedef struct {
    uint8_t reg, rm, opcode, vvvv;
    bool need_rex; /* for SPL, BPL, SIL, DIL's numbers */
    bool memory;   /* rm is AT */
    HostOperand at;
} Fields;

/* What follows ModRM, SIB and displacement. */
static unsigned tail_offset(const Insn *insn)
{
    if (insn->disp_offset != 0xff)
        return insn->disp_offset + insn->disp_size;
    if (insn->sib_offset != 0xff)
        return insn->sib_offset + 1u;
    if (insn->modrm_offset != 0xff)
        return insn->modrm_offset + 1u;
    return insn->imm_offset != 0xff ? insn->imm_offset : insn->length;
}

static void emit_modrm(Emit *e, const Insn *insn, const Fields *fields, unsigned reg, unsigned rm)
{
    if (insn->modrm_offset == 0xff)
        return;
    if (fields->memory)
        emit_mem(e, reg, H_R10, fields->at.index, fields->at.scale, fields->at.disp);
    else
        emit8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* The fourth bit of the index register. */
static unsigned index_bit(const Fields *fields)
{
    return fields->memory && fields->at.index != H_NONE ? fields->at.index >> 3 : 0;
}

/* Whether 66h is part of the opcode rather than an operand size. */
static bool owns_66(const Insn *insn)
{
    return (insn->category_flags & (INSN_IS_VECTOR | INSN_IS_X87)) ||
           insn->mnemonic == ZYDIS_MNEMONIC_ADCX || insn->mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B ||
           insn->mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B || insn->mnemonic == ZYDIS_MNEMONIC_MOVNTI ||
           insn->mnemonic == ZYDIS_MNEMONIC_LFENCE || insn->mnemonic == ZYDIS_MNEMONIC_MFENCE ||
           insn->mnemonic == ZYDIS_MNEMONIC_SFENCE;
}

static void encode_legacy(Emit *e, const Insn *insn, const Fields *fields)
{
    const uint8_t *bytes = insn->bytes;
    bool had_66 = false;
    uint8_t repeat = 0;

    for (unsigned i = 0; i < insn->opcode_offset; i++) {
        if (bytes[i] == 0x66)
            had_66 = true;
        else if (bytes[i] == 0xf2 || bytes[i] == 0xf3)
            repeat = bytes[i];
    }
    if (insn->lock)
        emit8(e, 0xf0);
    if (owns_66(insn) ? had_66 : insn->opsize == 2)
        emit8(e, 0x66);
    if (repeat && (insn->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || insn->opcode == 0x90))
        emit8(e, repeat);

    unsigned reg = fields->reg, rm = fields->rm;
    if (reg == KEEP)
        reg = (insn->modrm >> 3 & 7) | (insn->rex & 4) << 1;
    if (fields->memory)
        rm = H_R10;
    else if (rm == KEEP)
        rm = (insn->modrm & 7) | (insn->rex & 1) << 3;
    unsigned base = fields->opcode != KEEP ? fields->opcode : insn->modrm_offset != 0xff ? rm : 0;
    unsigned rex = (insn->rex & 8) | (insn->modrm_offset != 0xff ? (reg >> 3) << 2 : 0) |
                   index_bit(fields) << 1 | base >> 3;
    if (rex || fields->need_rex)
        emit8(e, 0x40 | rex);

    unsigned end = insn->modrm_offset != 0xff ? insn->modrm_offset : tail_offset(insn);
    unsigned n = end - insn->opcode_offset;
    emit_bytes(e, bytes + insn->opcode_offset, n);
    if (insn->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && insn->opcode == 0x82)
        e->p[-1] = 0x80; /* its twin, which 64-bit mode has not */
    if (fields->opcode != KEEP)
        e->p[-1] = (e->p[-1] & 0xf8) | (fields->opcode & 7);
    emit_modrm(e, insn, fields, reg, rm);
    unsigned tail = tail_offset(insn);
    emit_bytes(e, bytes + tail, insn->length - tail);
}

/* The three-byte prefix says everything (SDM 2, 2.3.5). */
static void encode_vex(Emit *e, const Insn *insn, const Fields *fields, bool long_mode)
{
    const uint8_t *vex = insn->bytes + insn->vex_offset;
    bool three = vex[0] == 0xc4;
    uint8_t first = vex[1], last = three ? vex[2] : vex[1];
    unsigned map = three ? first & 31 : 1;
    unsigned reg = fields->reg, rm = fields->rm, vvvv = fields->vvvv;

    if (reg == KEEP)
        reg = (insn->modrm >> 3 & 7) | (long_mode && !(first & 0x80) ? 8 : 0);
    if (fields->memory)
        rm = H_R10;
    else if (rm == KEEP)
        rm = (insn->modrm & 7) | (long_mode && three && !(first & 0x20) ? 8 : 0);
    if (vvvv == KEEP)
        vvvv = (~last >> 3) & (long_mode ? 15 : 7);
    emit8(e, 0xc4);
    emit8(e, (reg & 8 ? 0 : 0x80) | (index_bit(fields) ? 0 : 0x40) | (rm & 8 ? 0 : 0x20) | map);
    emit8(e, (three ? last & 0x80 : 0) | (~vvvv & 15) << 3 | (last & 7));
    emit8(e, insn->opcode);
    emit_modrm(e, insn, fields, reg, rm);
    unsigned tail = tail_offset(insn);
    emit_bytes(e, insn->bytes + tail, insn->length - tail);
    /* A register named by an immediate: bit 7 counts in 64-bit mode only. */
    if (!long_mode && insn->operands[3].encoding == ZYDIS_OPERAND_ENCODING_IS4)
        e->p[-1] &= 0x7f;
}

void t_emit_registers(Emit *e, const Insn *insn)
{
    Fields fields = {KEEP, KEEP, KEEP, KEEP, .memory = false};

    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        if (!is_general(operand) || !is_encoded(operand))
            continue;
        unsigned host = host_register(operand->reg);
        fields.need_rex |= operand->reg_class == REG_CLASS_GPR8 && operand->reg >= 4;
        if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
            fields.reg = (uint8_t)host;
        else if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
            fields.rm = (uint8_t)host;
        else
            fields.opcode = (uint8_t)host;
    }
    encode_legacy(e, insn, &fields);
}

/* --- around a copy ---------------------------------------------------------------------------- */

static void want_vectors(Translator *t)
{
    if (t->vectors_checked)
        return;
    t_free_flags(t);
    emit_alu_mem_imm(&t->hot, false, 7, H_RSP, OFFSET_VECTORS_LIVE, 0);
    emit_jcc(&t->hot, CC_E, t->cold.p);
    emit_call(&t->cold, t->jc->stub_vectors);
    emit_jmp(&t->cold, t->hot.p);
    t->vectors_checked = true;
}

/* --- the x87's last instruction --------------------------------------------------------------- */

bool t_is_noted_x87(const Insn *insn)
{
    if (!(insn->category_flags & INSN_IS_X87))
        return false;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_FDISI8087_NOP:
    case ZYDIS_MNEMONIC_FENI8087_NOP:
    case ZYDIS_MNEMONIC_FLDCW:
    case ZYDIS_MNEMONIC_FNCLEX:
    case ZYDIS_MNEMONIC_FNSTCW:
    case ZYDIS_MNEMONIC_FNSTSW:
    case ZYDIS_MNEMONIC_FSETPM287_NOP:
    case ZYDIS_MNEMONIC_FWAIT: return false;
    default: return true;
    }
}

static void note_selector(Translator *t, unsigned seg, size_t to)
{
    emit_rm(
        &t->hot, false, 0x0fb7, H_R10, H_RSP,
        (int32_t)(offsetof(Cpu, seg) + seg * sizeof(CpuSegment) + offsetof(CpuSegment, selector)));
    emit8(&t->hot, 0x66);
    emit_rm(&t->hot, false, 0x89, H_R10, H_RSP, (int32_t)to);
}

/* Leaves flags alone; changes r10. */
void t_note_x87(Translator *t)
{
    const Item *item = t->x87;

    if (!item)
        return;
    t->x87 = NULL;
    t_load_rip(t, H_R10, item->offset);
    emit_rm(&t->hot, true, 0x89, H_R10, H_RSP, (int32_t)offsetof(Cpu, x87_fip));
    note_selector(t, SEG_CS, offsetof(Cpu, x87_fcs));
    if (t->x87_data)
        note_selector(t, t->x87_data->insn.mem_seg, offsetof(Cpu, x87_fds));
    t->x87_data = NULL;
    emit8(&t->hot, 0x66);
    emit_rm(&t->hot, false, 0xc7, 0, H_RSP, (int32_t)offsetof(Cpu, x87_fop));
    emit16(&t->hot, (uint16_t)((item->insn.opcode & 7) << 8 | item->insn.modrm));
}

/* --- copying ---------------------------------------------------------------------------------- */

typedef struct {
    unsigned guest, host;
    bool load, store;
} Temporary;
enum { MAX_TEMPORARIES = 3 };

/* Finds where OPERAND is during the instruction, with one of the temporary registers HOSTS if it is
 * homeless. */
static unsigned place_operand(const InsnOperand *operand, Temporary *temporaries, unsigned *n,
                              const uint8_t *hosts, bool may_leave_result)
{
    if (!is_homeless(operand->reg))
        return host_register(operand->reg);
    unsigned i = 0;
    while (i < *n && temporaries[i].guest != operand->reg)
        i++;
    Temporary *temporary = &temporaries[i];
    if (i == *n) {
        *temporary = (Temporary){operand->reg, hosts[i], false, false};
        ++*n;
    }
    bool whole = operand->reg_class >= REG_CLASS_GPR32 &&
                 operand->actions == ZYDIS_OPERAND_ACTION_WRITE && !may_leave_result;
    temporary->load |= !whole;
    temporary->store |= (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    return temporary->host;
}

/* Without REX nothing reaches [r10], with it nothing reaches AH: the byte goes to AL meanwhile. */
static void exchange_halves(Translator *t, unsigned reg)
{
    emit8(&t->hot, 0x86);
    emit8(&t->hot, 0xc0 | reg << 3 | (reg + 4));
}

/* CMP or TEST with an operand in memory, which SLOT_NOTES gets, too. */
static void emit_noted_comparison(Translator *t)
{
    const Insn *insn = &t->item->insn;
    const InsnOperand *to = &insn->operands[0], *from = &insn->operands[1];
    bool test = insn->mnemonic == ZYDIS_MNEMONIC_TEST, first = to->kind == OPERAND_MEM;
    unsigned size = insn->mem_size;
    Emit *e = &t->hot;

    t_mark_trap(t);
    if (size < 4)
        emit_rmx(e, false, size == 1 ? 0x0fb6 : 0x0fb7, H_R11, H_R10, t->at.index, t->at.scale,
                 t->at.disp);
    else
        emit_rmx(e, size == 8, 0x8b, H_R11, H_R10, t->at.index, t->at.scale, t->at.disp);
    emit_rm(e, true, 0x89, H_R11, H_RSP, OFFSET_SLOT(SLOT_NOTES + !first));
    if (size == 2)
        emit8(e, 0x66);
    if (from->kind != OPERAND_IMM) {
        unsigned a = first ? H_R11 : host_register(to->reg);
        unsigned b = first ? host_register(from->reg) : H_R11;
        emit_rr(e, size == 8, (test ? 0x84 : 0x38) | (size > 1), b, a);
    } else {
        bool byte = size == 1 || (!test && (int64_t)insn->immediate == (int8_t)insn->immediate);
        unsigned op = test ? 0xf6 | (size > 1) : size == 1 ? 0x80 : byte ? 0x83 : 0x81;
        emit_rr(e, size == 8, op, test ? 0 : 7, H_R11);
        if (byte)
            emit8(e, (uint8_t)insn->immediate);
        else if (size == 2)
            emit16(e, (uint16_t)insn->immediate);
        else
            emit32(e, (uint32_t)insn->immediate);
    }
}

void t_emit_copy(Translator *t)
{
    const Insn *insn = &t->item->insn;
    Fields fields = {KEEP, KEEP, KEEP, KEEP, .memory = insn->category_flags & INSN_HAS_MEMORY};
    bool spilled = t_needs_spill(insn);
    unsigned spill = spilled ? spill_register(insn) : H_NONE;
    const uint8_t hosts[] = {H_R10, H_R11, (uint8_t)spill, H_NONE};
    Temporary temporaries[MAX_TEMPORARIES];
    unsigned n = 0, high = KEEP;
    bool store = false;
    /* A source of 0 leaves the destination (APM 3, BSF; what Intel's processors do, too). */
    bool scan = insn->mnemonic == ZYDIS_MNEMONIC_BSF || insn->mnemonic == ZYDIS_MNEMONIC_BSR;

    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        if (operand->kind == OPERAND_MEM && (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            store = true;
        if (!is_general(operand) || !is_encoded(operand))
            continue;
        unsigned host;
        if (operand->reg_class == REG_CLASS_GPR8_HIGH) {
            high = operand->reg;
            host = operand->reg + (fields.memory ? 0 : 4);
        } else {
            host = place_operand(operand, temporaries, &n, hosts + fields.memory, scan);
            if (operand->reg_class == REG_CLASS_GPR8 && operand->reg >= 4)
                fields.need_rex = true;
        }
        switch (operand->encoding) {
        case ZYDIS_OPERAND_ENCODING_MODRM_REG: fields.reg = host; break;
        case ZYDIS_OPERAND_ENCODING_MODRM_RM: fields.rm = host; break;
        case ZYDIS_OPERAND_ENCODING_OPCODE: fields.opcode = host; break;
        default: fields.vvvv = host; break;
        }
    }
    if (insn->category_flags & (INSN_IS_VECTOR | INSN_IS_X87))
        want_vectors(t);
    if (fields.memory)
        t_memory_operand(t, insn->mem_size, store);
    fields.at = t->at;
    t_want_flags(t);
    if (t_notes_memory_operand(t)) {
        emit_noted_comparison(t);
        t_flags_after(t);
        return;
    }
    t_note_old_operand(t);
    if (spilled)
        emit_rm(&t->hot, true, 0x89, spill, H_RSP, OFFSET_SLOT(SLOT_SCRATCH));
    for (unsigned i = 0; i < n; i++)
        if (temporaries[i].load)
            t_load_guest(t, temporaries[i].host, temporaries[i].guest);
    if (high != KEEP && fields.memory) {
        if (fields.at.index == high) {
            emit_rmx(&t->hot, true, 0x8d, H_R10, H_R10, high, fields.at.scale, fields.at.disp);
            fields.at = (HostOperand){H_NONE, 1, 0};
        }
        exchange_halves(t, high);
    }
    t_mark_trap(t);
    if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        encode_vex(&t->hot, insn, &fields, t_64bit(t));
    else
        encode_legacy(&t->hot, insn, &fields);
    if (high != KEEP && fields.memory)
        exchange_halves(t, high);
    for (unsigned i = 0; i < n; i++)
        if (temporaries[i].store)
            t_store_guest(t, temporaries[i].guest, temporaries[i].host, 8);
    if (spilled)
        emit_rm(&t->hot, true, 0x8b, spill, H_RSP, OFFSET_SLOT(SLOT_SCRATCH));
    if (t_is_noted_x87(insn)) {
        t->x87 = t->item;
        if (fields.memory) {
            t->x87_data = t->item;
            emit_rm(&t->hot, true, 0x8b, H_R10, H_RSP, OFFSET_SLOT(SLOT_TEMP));
            emit_rm(&t->hot, true, 0x89, H_R10, H_RSP, (int32_t)offsetof(Cpu, x87_fdp));
        }
    }
    t_flags_after(t);
}

/* 40h-4Fh are REX prefixes on the host. */
void t_emit_inc_dec(Translator *t)
{
    const Insn *insn = &t->item->insn;

    t_want_flags(t);
    if (insn->opsize == 2)
        emit8(&t->hot, 0x66);
    emit_rr(&t->hot, false, 0xff, insn->opcode >= 0x48, host_register(insn->opcode & 7));
    t_flags_after(t);
}

/* BT, BTS, BTR, BTC of a bit string in memory: the bit number is signed and reaches beyond the
 * operand (SDM 2, BT). */
void t_emit_bit_test(Translator *t)
{
    const Insn *insn = &t->item->insn;
    Emit *e = &t->hot;
    unsigned size = insn->opsize, index = insn->operands[1].reg;
    bool store = insn->mnemonic != ZYDIS_MNEMONIC_BT;

    t_free_flags(t);
    t_effective_address(t, insn, H_R10, insn->address_size);
    t_load_guest(t, H_R11, index);
    if (size == 2)
        emit_rr(e, true, 0x0fbf, H_R11, H_R11); /* movsx r11, r11w */
    else if (size == 4)
        emit_rr(e, true, 0x63, H_R11, H_R11); /* movsxd */
    emit_rm(e, true, 0x89, H_R11, H_RSP, OFFSET_SLOT(SLOT_TEMP));
    emit_rr(e, true, 0xc1, 7, H_R11); /* sar */
    emit8(e, size == 2 ? 4 : size == 4 ? 5 : 6);
    emit_rmx(e, insn->address_size == 8, 0x8d, H_R10, H_R10, H_R11, size, 0);
    if (insn->address_size == 2)
        emit_rr(e, false, 0x0fb7, H_R10, H_R10);
    emit_alu_mem_imm(e, true, 4, H_RSP, OFFSET_SLOT(SLOT_TEMP), (int32_t)size * 8 - 1);
    t_access(t, insn->mem_seg, size, store);
    t_refuse_split_line(t, size);
    t_want_flags(t);
    emit_rm(e, true, 0x8b, H_R11, H_RSP, OFFSET_SLOT(SLOT_TEMP));
    if (!store)
        t_move(t, false, size, H_R10);
    if (insn->lock)
        emit8(e, 0xf0);
    if (size == 2)
        emit8(e, 0x66);
    if (store)
        emit_rm(e, size == 8, 0x0f00 | insn->opcode, H_R11, H_R10, 0);
    else
        emit_rr(e, size == 8, 0x0f00 | insn->opcode, H_R11, H_R10);
    t_flags_after(t);
}
