/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * x87: arithmetic runs on the host's own FPU (hostexec.c); here are exceptions between the
 * processor and the FPU, the environment images and the pointers to the last instruction (SDM 1,
 * chapter 8).
 */

#include "core/cpu/hostexec.h"
#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

#include <string.h>

/* --- the FXSAVE image in Cpu.vectors ---------------------------------------------------------- */

enum {
    FSW_ES = 1 << 7,
    FSW_TOP_SHIFT = 11,
    FSW_B = 1 << 15,
    X87_EXCEPTIONS = 0x3f,
    FCW_1 = 1 << 6,
    FCW_MASK = 0x1f7f
};

/* The summary bit follows from flags and masks. */
void interp_x87_update_summary(Cpu *cpu)
{
    uint16_t fsw = cpu->vectors.fsw, fcw = cpu->vectors.fcw;
    fsw &= ~(FSW_ES | FSW_B);
    if (fsw & ~fcw & X87_EXCEPTIONS)
        fsw |= FSW_ES | FSW_B;
    cpu->vectors.fsw = fsw;
}

/* FSW with its TOP: the registers keep their places and the stack turns under them. */
static void set_status(Cpu *cpu, uint16_t fsw)
{
    unsigned old_top = (cpu->vectors.fsw >> FSW_TOP_SHIFT) & 7;
    unsigned turn = ((fsw >> FSW_TOP_SHIFT) - old_top) & 7;
    uint8_t stack[128];
    cpu->vectors.fsw = fsw;
    if (!turn)
        return;
    memcpy(stack, cpu->vectors.st, sizeof stack);
    for (unsigned i = 0; i < 8; i++)
        memcpy(cpu->vectors.st[i], stack + ((i + turn) & 7) * 16, 16);
}

/* SDM 1, 9.5.1. */
void interp_x87_enter_mmx(Cpu *cpu)
{
    set_status(cpu, cpu->vectors.fsw & ~(7 << FSW_TOP_SHIFT));
    cpu->vectors.ftw = 0xff;
}

/* --- checks ----------------------------------------------------------------------------------- */

/* False: the processor waits on this instruction for an interrupt (SDM 1, 8.7.2: CR0.NE is clear
 * and FERR# is up). */
bool interp_x87_check_pending(Cpu *cpu)
{
    if (!(cpu->vectors.fsw & FSW_ES))
        return true;
    if (cpu->cr0 & CR0_NE)
        cpu_raise(cpu, EXC_MF);
    cpu->board->lock(cpu->board_opaque);
    cpu->board->ferr(cpu->board_opaque, true);
    cpu->board->unlock(cpu->board_opaque);
    cpu->next_rip = cpu->rip;
    return false;
}

static void check_available(Cpu *cpu)
{
    if (cpu->mode & MODE_X87_TRAP)
        cpu_raise(cpu, EXC_NM);
}

/* --- arithmetic, loads and stores ------------------------------------------------------------- */

static void note_instruction(Cpu *cpu, const Insn *insn, uint64_t offset)
{
    cpu->x87_fop = (insn->opcode & 7) << 8 | insn->modrm;
    cpu->x87_fip = cpu->rip;
    cpu->x87_fcs = cpu->seg[SEG_CS].selector;
    if (insn->category_flags & INSN_HAS_MEMORY) {
        cpu->x87_fdp = offset;
        cpu->x87_fds = cpu->seg[insn->mem_seg].selector;
    }
}

#define STORE_PATTERN 0xa5

/* An unmasked exception other than precision leaves the memory operand unwritten. */
static bool was_stored(const uint8_t *buffer, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        if (buffer[i] != STORE_PATTERN)
            return true;
    return false;
}

static void run_with_memory(Cpu *cpu, const Insn *insn)
{
    uint8_t *buffer = hostexec_buffer(interp_hostexec(cpu));
    unsigned size = insn->mem_size;
    bool writes = insn->operands[0].kind == OPERAND_MEM &&
                  (insn->operands[0].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
    uint64_t linear = insn_linear(cpu, insn, size, writes);
    if (writes) {
        mmu_probe(cpu, linear, size, ACCESS_WRITE);
        memset(buffer, STORE_PATTERN, size);
    } else {
        mmu_load_bytes(cpu, linear, buffer, size);
    }
    if (hostexec_run(cpu, insn) != HOSTEXEC_DONE)
        cpu_raise(cpu, EXC_UD);
    if (!writes)
        return;
    if ((cpu->vectors.fsw & FSW_ES) && !was_stored(buffer, size))
        return;
    if (size == 2 || size == 4 || size == 8) {
        uint64_t value = 0;
        memcpy(&value, buffer, size);
        interp_store(cpu, linear, value, size);
    } else {
        mmu_store_bytes(cpu, linear, buffer, size);
    }
}

static void insn_x87(Cpu *cpu, const Insn *insn)
{
    check_available(cpu);
    if (!interp_x87_check_pending(cpu))
        return;
    uint64_t offset = insn_offset(cpu, insn);
    if (insn->category_flags & INSN_HAS_MEMORY)
        run_with_memory(cpu, insn);
    else if (hostexec_run(cpu, insn) != HOSTEXEC_DONE)
        cpu_raise(cpu, EXC_UD);
    note_instruction(cpu, insn, offset);
}

/* --- control ---------------------------------------------------------------------------------- */

/* FWAIT looks at CR0.MP, not at CR0.EM (SDM 2A, WAIT). */
static void insn_fwait(Cpu *cpu, const Insn *insn)
{
    if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        cpu_raise(cpu, EXC_NM);
    interp_x87_check_pending(cpu);
}

/* FNSETPM, FENI, FDISI: nothing since the 80387. */
static void insn_x87_nop(Cpu *cpu, const Insn *insn)
{
    check_available(cpu);
}

static void initialise(Cpu *cpu)
{
    cpu->vectors.fcw = 0x37f;
    set_status(cpu, 0);
    cpu->vectors.ftw = 0;
    cpu->x87_fip = cpu->x87_fdp = 0;
    cpu->x87_fcs = cpu->x87_fds = cpu->x87_fop = 0;
}

static void insn_fninit(Cpu *cpu, const Insn *insn)
{
    check_available(cpu);
    initialise(cpu);
}

static void insn_fnclex(Cpu *cpu, const Insn *insn)
{
    check_available(cpu);
    cpu->vectors.fsw &= 0x7f00;
}

static void insn_fnstsw(Cpu *cpu, const Insn *insn)
{
    check_available(cpu);
    operand_write(cpu, insn, 0, cpu->vectors.fsw, 2);
}

static void insn_fnstcw(Cpu *cpu, const Insn *insn)
{
    check_available(cpu);
    operand_write(cpu, insn, 0, cpu->vectors.fcw, 2);
}

/* The host decides which control bits exist. */
static void insn_fldcw(Cpu *cpu, const Insn *insn)
{
    check_available(cpu);
    if (!interp_x87_check_pending(cpu))
        return;
    run_with_memory(cpu, insn);
}

/* --- environments ----------------------------------------------------------------------------- */

/* Two bits a physical register: 0 valid, 1 zero, 2 special, 3 empty. */
uint16_t interp_x87_tags(const Cpu *cpu)
{
    unsigned top = (cpu->vectors.fsw >> FSW_TOP_SHIFT) & 7;
    uint16_t tags = 0;
    for (unsigned physical = 0; physical < 8; physical++) {
        unsigned tag;
        if (!(cpu->vectors.ftw & (1 << physical))) {
            tag = 3;
        } else {
            const uint8_t *st = cpu->vectors.st[(physical - top) & 7];
            uint64_t significand;
            uint16_t exponent;
            memcpy(&significand, st, 8);
            memcpy(&exponent, st + 8, 2);
            exponent &= 0x7fff;
            if (!exponent && !significand)
                tag = 1;
            else if (!exponent || exponent == 0x7fff || !(significand >> 63))
                tag = 2;
            else
                tag = 0;
        }
        tags |= tag << (physical * 2);
    }
    return tags;
}

void interp_x87_set_tags(Cpu *cpu, uint16_t tags)
{
    uint8_t in_use = 0;
    for (unsigned i = 0; i < 8; i++)
        if (((tags >> (i * 2)) & 3) != 3)
            in_use |= 1 << i;
    cpu->vectors.ftw = in_use;
}

static bool protected_format(const Cpu *cpu)
{
    return (cpu->mode & MODE_PE) && !(cpu->mode & MODE_VM86);
}

static unsigned environment_size(const Insn *insn)
{
    return insn->opsize == 2 ? 14 : 28;
}

/* SDM 1, figures 8-9 to 8-12. */
static void make_environment(const Cpu *cpu, unsigned size, uint8_t *out)
{
    uint32_t fields[7] = {cpu->vectors.fcw, cpu->vectors.fsw, interp_x87_tags(cpu)};
    uint32_t fop = cpu->x87_fop & 0x7ff;
    if (protected_format(cpu)) {
        fields[3] = cpu->x87_fip;
        fields[4] = cpu->x87_fcs | (size == 28 ? fop << 16 : 0);
        fields[5] = cpu->x87_fdp;
        fields[6] = cpu->x87_fds;
    } else {
        uint32_t fip = (uint32_t)cpu->x87_fip + ((uint32_t)cpu->x87_fcs << 4);
        uint32_t fdp = (uint32_t)cpu->x87_fdp + ((uint32_t)cpu->x87_fds << 4);
        fields[3] = fip & 0xffff;
        fields[4] = (fip >> 16) << 12 | fop;
        fields[5] = fdp & 0xffff;
        fields[6] = (fdp >> 16) << 12;
    }
    if (size == 14) {
        for (unsigned i = 0; i < 7; i++) {
            uint16_t word = fields[i];
            memcpy(out + i * 2, &word, 2);
        }
        return;
    }
    /* Reserved halves are ones. */
    for (unsigned i = 0; i < 3; i++)
        fields[i] |= 0xffff0000;
    fields[6] |= protected_format(cpu) ? 0xffff0000 : 0;
    memcpy(out, fields, sizeof fields);
}

static void take_environment(Cpu *cpu, unsigned size, const uint8_t *in)
{
    uint32_t fields[7];
    for (unsigned i = 0; i < 7; i++) {
        uint16_t word;
        if (size == 28) {
            memcpy(&fields[i], in + i * 4, 4);
        } else {
            memcpy(&word, in + i * 2, 2);
            fields[i] = word;
        }
    }
    cpu->vectors.fcw = (fields[0] & FCW_MASK) | FCW_1;
    set_status(cpu, fields[1]);
    interp_x87_set_tags(cpu, (uint16_t)fields[2]);
    interp_x87_update_summary(cpu);
    if (protected_format(cpu)) {
        cpu->x87_fip = fields[3];
        cpu->x87_fcs = fields[4];
        cpu->x87_fop = size == 28 ? (fields[4] >> 16) & 0x7ff : 0;
        cpu->x87_fdp = fields[5];
        cpu->x87_fds = fields[6];
    } else {
        cpu->x87_fip = (fields[3] & 0xffff) | (fields[4] >> 12) << 16;
        cpu->x87_fop = fields[4] & 0x7ff;
        cpu->x87_fdp = (fields[5] & 0xffff) | (fields[6] >> 12) << 16;
        cpu->x87_fcs = cpu->x87_fds = 0;
    }
}

static void insn_fnstenv(Cpu *cpu, const Insn *insn)
{
    uint8_t image[28];
    unsigned size = environment_size(insn);
    check_available(cpu);
    make_environment(cpu, size, image);
    mmu_store_bytes(cpu, insn_linear(cpu, insn, size, true), image, size);
    /* All exceptions are masked afterwards. */
    cpu->vectors.fcw |= X87_EXCEPTIONS;
    interp_x87_update_summary(cpu);
}

static void insn_fldenv(Cpu *cpu, const Insn *insn)
{
    uint8_t image[28];
    unsigned size = environment_size(insn);
    check_available(cpu);
    if (!interp_x87_check_pending(cpu))
        return;
    mmu_load_bytes(cpu, insn_linear(cpu, insn, size, false), image, size);
    take_environment(cpu, size, image);
}

static void insn_fnsave(Cpu *cpu, const Insn *insn)
{
    uint8_t image[108];
    unsigned size = environment_size(insn);
    check_available(cpu);
    make_environment(cpu, size, image);
    for (unsigned i = 0; i < 8; i++)
        memcpy(image + size + i * 10, cpu->vectors.st[i], 10);
    mmu_store_bytes(cpu, insn_linear(cpu, insn, size + 80, true), image, size + 80);
    initialise(cpu);
}

static void insn_frstor(Cpu *cpu, const Insn *insn)
{
    uint8_t image[108];
    unsigned size = environment_size(insn);
    check_available(cpu);
    if (!interp_x87_check_pending(cpu))
        return;
    mmu_load_bytes(cpu, insn_linear(cpu, insn, size + 80, false), image, size + 80);
    take_environment(cpu, size, image);
    for (unsigned i = 0; i < 8; i++)
        memcpy(cpu->vectors.st[i], image + size + i * 10, 10);
}

/* --- table ------------------------------------------------------------------------------------ */

InterpHandler interp_x87_handler(const Insn *insn)
{
    if (!(insn->category_flags & INSN_IS_X87))
        return NULL;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_FWAIT: return insn_fwait;
    case ZYDIS_MNEMONIC_FDISI8087_NOP:
    case ZYDIS_MNEMONIC_FENI8087_NOP:
    case ZYDIS_MNEMONIC_FSETPM287_NOP: return insn_x87_nop;
    case ZYDIS_MNEMONIC_FNINIT: return insn_fninit;
    case ZYDIS_MNEMONIC_FNCLEX: return insn_fnclex;
    case ZYDIS_MNEMONIC_FNSTSW: return insn_fnstsw;
    case ZYDIS_MNEMONIC_FNSTCW: return insn_fnstcw;
    case ZYDIS_MNEMONIC_FLDCW: return insn_fldcw;
    case ZYDIS_MNEMONIC_FNSTENV: return insn_fnstenv;
    case ZYDIS_MNEMONIC_FLDENV: return insn_fldenv;
    case ZYDIS_MNEMONIC_FNSAVE: return insn_fnsave;
    case ZYDIS_MNEMONIC_FRSTOR: return insn_frstor;
    default: return insn_x87;
    }
}
