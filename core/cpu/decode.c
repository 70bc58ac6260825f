/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Zydis' view of an instruction, boiled down to what execution and translation look at. */

#include "core/cpu/decode.h"

#include <string.h>

/* --- which instructions exist -------------------------------------------------------------------
 */

static bool exists(const ZydisDecodedInstruction *zi)
{
    /* PREFETCHW with a register: a NOP for Intel, undefined for AMD. */
    if (zi->opcode_map == ZYDIS_OPCODE_MAP_0F && zi->opcode == 0x0d && zi->raw.modrm.mod == 3 &&
        __builtin_cpu_is("amd"))
        return false;
    if (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
        zi->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX ||
        zi->encoding == ZYDIS_INSTRUCTION_ENCODING_XOP ||
        zi->encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW)
        return false;
    ZydisISASet set = zi->meta.isa_set;
    if (set >= ZYDIS_ISA_SET_AVX512BW_128 && set <= ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_512)
        return false; /* VEX-coded opmask instructions */
    switch (set) {
    case ZYDIS_ISA_SET_AMD:
    case ZYDIS_ISA_SET_AMD3DNOW:
    case ZYDIS_ISA_SET_AMD_INVLPGB:
    case ZYDIS_ISA_SET_AMX_BF16:
    case ZYDIS_ISA_SET_AMX_INT8:
    case ZYDIS_ISA_SET_AMX_TILE:
    case ZYDIS_ISA_SET_CLZERO:
    case ZYDIS_ISA_SET_ENQCMD:
    case ZYDIS_ISA_SET_FMA4:
    case ZYDIS_ISA_SET_HRESET:
    case ZYDIS_ISA_SET_KEYLOCKER:
    case ZYDIS_ISA_SET_KEYLOCKER_WIDE:
    case ZYDIS_ISA_SET_KNCE:
    case ZYDIS_ISA_SET_KNCJKBR:
    case ZYDIS_ISA_SET_KNCSTREAM:
    case ZYDIS_ISA_SET_KNCV:
    case ZYDIS_ISA_SET_KNC_MISC:
    case ZYDIS_ISA_SET_KNC_PF_HINT:
    case ZYDIS_ISA_SET_LWP:
    case ZYDIS_ISA_SET_MCOMMIT:
    case ZYDIS_ISA_SET_MONITORX:
    case ZYDIS_ISA_SET_MOVDIR:
    case ZYDIS_ISA_SET_PADLOCK_ACE:
    case ZYDIS_ISA_SET_PADLOCK_PHE:
    case ZYDIS_ISA_SET_PADLOCK_PMM:
    case ZYDIS_ISA_SET_PADLOCK_RNG:
    case ZYDIS_ISA_SET_PCONFIG:
    case ZYDIS_ISA_SET_PKU:
    case ZYDIS_ISA_SET_PT:
    case ZYDIS_ISA_SET_RDPRU:
    case ZYDIS_ISA_SET_RTM:
    case ZYDIS_ISA_SET_SERIALIZE:
    case ZYDIS_ISA_SET_SGX:
    case ZYDIS_ISA_SET_SGX_ENCLV:
    case ZYDIS_ISA_SET_SMX:
    case ZYDIS_ISA_SET_SNP:
    case ZYDIS_ISA_SET_SSE4A:
    case ZYDIS_ISA_SET_SVM:
    case ZYDIS_ISA_SET_TBM:
    case ZYDIS_ISA_SET_TDX:
    case ZYDIS_ISA_SET_TSX_LDTRK:
    case ZYDIS_ISA_SET_UINTR:
    case ZYDIS_ISA_SET_VMFUNC:
    case ZYDIS_ISA_SET_VTX:
    case ZYDIS_ISA_SET_WAITPKG:
    case ZYDIS_ISA_SET_XOP:
    case ZYDIS_ISA_SET_XSAVES: return false;
    default: return true;
    }
}

/* VPEXTRD and VPINSRD with VEX.W outside 64-bit mode: Intel's ignore it (SDM 2, PEXTRD), AMD's
 * processors know no such instruction. */
static bool is_wide_only(const ZydisDecodedInstruction *zi, uint32_t mode)
{
    return !(mode & MODE_CS64) && zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX &&
           zi->opcode_map == ZYDIS_OPCODE_MAP_0F3A && (zi->opcode == 0x16 || zi->opcode == 0x22) &&
           zi->raw.vex.W && __builtin_cpu_is("amd");
}

/* --- operands --------------------------------------------------------------------------------- */

static void set_register(InsnOperand *operand, ZydisRegister reg)
{
    static const struct {
        ZydisRegister first, last;
        RegClass reg_class;
    } ranges[] = {
        {ZYDIS_REGISTER_AH, ZYDIS_REGISTER_BH, REG_CLASS_GPR8_HIGH},
        {ZYDIS_REGISTER_AX, ZYDIS_REGISTER_R15W, REG_CLASS_GPR16},
        {ZYDIS_REGISTER_EAX, ZYDIS_REGISTER_R15D, REG_CLASS_GPR32},
        {ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_R15, REG_CLASS_GPR64},
        {ZYDIS_REGISTER_ES, ZYDIS_REGISTER_GS, REG_CLASS_SEG},
        {ZYDIS_REGISTER_CR0, ZYDIS_REGISTER_CR15, REG_CLASS_CR},
        {ZYDIS_REGISTER_DR0, ZYDIS_REGISTER_DR15, REG_CLASS_DR},
        {ZYDIS_REGISTER_ST0, ZYDIS_REGISTER_ST7, REG_CLASS_X87},
        {ZYDIS_REGISTER_MM0, ZYDIS_REGISTER_MM7, REG_CLASS_MMX},
        {ZYDIS_REGISTER_XMM0, ZYDIS_REGISTER_XMM15, REG_CLASS_XMM},
        {ZYDIS_REGISTER_YMM0, ZYDIS_REGISTER_YMM15, REG_CLASS_YMM},
    };
    operand->kind = OPERAND_REG;
    if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL) {
        operand->reg_class = REG_CLASS_GPR8;
        operand->reg = reg - ZYDIS_REGISTER_AL;
        return;
    }
    if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B) {
        operand->reg_class = REG_CLASS_GPR8;
        operand->reg = reg - ZYDIS_REGISTER_SPL + 4;
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(ranges); i++) {
        if (reg >= ranges[i].first && reg <= ranges[i].last) {
            operand->reg_class = ranges[i].reg_class;
            operand->reg = reg - ranges[i].first;
            return;
        }
    }
    operand->reg_class = REG_CLASS_OTHER;
    operand->reg = INSN_REG_NONE;
}

static uint8_t address_register(ZydisRegister reg)
{
    if (reg == ZYDIS_REGISTER_NONE)
        return INSN_REG_NONE;
    if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP || reg == ZYDIS_REGISTER_IP)
        return INSN_REG_RIP;
    InsnOperand operand = {0};
    set_register(&operand, reg);
    return operand.reg;
}

static uint8_t segment_register(ZydisRegister reg)
{
    if (reg >= ZYDIS_REGISTER_ES && reg <= ZYDIS_REGISTER_GS)
        return reg - ZYDIS_REGISTER_ES;
    return SEG_DS;
}

static uint8_t bytes_of(unsigned bits)
{
    unsigned bytes = (bits + 7) / 8;
    return bytes <= 255 ? bytes : 0;
}

static void set_memory(Insn *insn, const ZydisDecodedOperand *operand)
{
    insn->mem_seg = segment_register(operand->mem.segment);
    insn->mem_base = address_register(operand->mem.base);
    insn->mem_index = address_register(operand->mem.index);
    insn->mem_scale = operand->mem.scale ? operand->mem.scale : 1;
    insn->mem_size = operand->mem.type == ZYDIS_MEMOP_TYPE_AGEN ? 0 : bytes_of(operand->size);
    insn->displacement = operand->mem.disp.has_displacement ? operand->mem.disp.value : 0;
}

/* The implied memory operand worth describing: rSI before rDI in string instructions, XLAT's table,
 * MASKMOV's destination; never the stack. */
static bool is_better_implied(const ZydisDecodedOperand *operand, const Insn *insn)
{
    unsigned base = address_register(operand->mem.base);
    if (operand->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
        return false;
    return base == RSI || base == RBX || (base == RDI && insn->mem_base != RSI);
}

/* The bit of the general register that OPERAND writes, if it does. */
static uint16_t written_gpr(const InsnOperand *operand)
{
    if (operand->kind != OPERAND_REG || operand->reg_class < REG_CLASS_GPR8 ||
        operand->reg_class > REG_CLASS_GPR64 ||
        !(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
        return 0;
    /* AH, CH, DH, BH are parts of rAX, rCX, rDX, rBX. */
    return (uint16_t)(1u << (operand->reg_class == REG_CLASS_GPR8_HIGH ? operand->reg & 3
                                                                       : operand->reg));
}

static void set_operands(Insn *insn, const ZydisDecodedInstruction *zi,
                         const ZydisDecodedOperand *operands)
{
    bool explicit_memory = false;
    for (unsigned i = 0; i < zi->operand_count; i++) {
        const ZydisDecodedOperand *from = &operands[i];
        InsnOperand scratch = {0};
        InsnOperand *to = i < G_N_ELEMENTS(insn->operands) ? &insn->operands[i] : &scratch;
        to->actions = from->actions;
        to->hidden = from->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
        to->size = bytes_of(from->size);
        to->encoding = from->encoding;
        switch (from->type) {
        case ZYDIS_OPERAND_TYPE_REGISTER:
            set_register(to, from->reg.value);
            insn->gpr_written |= written_gpr(to);
            break;
        case ZYDIS_OPERAND_TYPE_MEMORY:
            to->kind = OPERAND_MEM;
            if (!to->hidden) {
                explicit_memory = true;
                set_memory(insn, from);
                if (from->mem.type != ZYDIS_MEMOP_TYPE_AGEN && from->actions &&
                    from->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
                    insn->category_flags |= INSN_HAS_MEMORY;
            } else if (!explicit_memory && is_better_implied(from, insn)) {
                set_memory(insn, from);
            }
            break;
        case ZYDIS_OPERAND_TYPE_IMMEDIATE:
            to->kind = OPERAND_IMM;
            if (!insn->imm_size)
                insn->immediate = from->imm.value.u;
            break;
        case ZYDIS_OPERAND_TYPE_POINTER:
            to->kind = OPERAND_FAR;
            insn->immediate = from->ptr.offset;
            insn->immediate2 = from->ptr.segment;
            break;
        default: break;
        }
    }
}

/* --- classes ---------------------------------------------------------------------------------- */

static bool is_vector_set(ZydisISASet set)
{
    switch (set) {
    case ZYDIS_ISA_SET_AES:
    case ZYDIS_ISA_SET_AVX:
    case ZYDIS_ISA_SET_AVX2:
    case ZYDIS_ISA_SET_AVX2GATHER:
    case ZYDIS_ISA_SET_AVXAES:
    case ZYDIS_ISA_SET_AVX_GFNI:
    case ZYDIS_ISA_SET_AVX_VNNI:
    case ZYDIS_ISA_SET_F16C:
    case ZYDIS_ISA_SET_FMA:
    case ZYDIS_ISA_SET_FXSAVE:
    case ZYDIS_ISA_SET_FXSAVE64:
    case ZYDIS_ISA_SET_GFNI:
    case ZYDIS_ISA_SET_PCLMULQDQ:
    case ZYDIS_ISA_SET_PENTIUMMMX:
    case ZYDIS_ISA_SET_SHA:
    case ZYDIS_ISA_SET_SSEMXCSR:
    case ZYDIS_ISA_SET_SSE2MMX:
    case ZYDIS_ISA_SET_SSSE3MMX:
    case ZYDIS_ISA_SET_VAES:
    case ZYDIS_ISA_SET_VPCLMULQDQ:
    case ZYDIS_ISA_SET_XSAVE:
    case ZYDIS_ISA_SET_XSAVEC:
    case ZYDIS_ISA_SET_XSAVEOPT: return true;
    default: return false;
    }
}

/* To a general register, from memory: no vector register, but MXCSR. */
static bool is_scalar_conversion(ZydisMnemonic mnemonic)
{
    return mnemonic == ZYDIS_MNEMONIC_CVTSD2SI || mnemonic == ZYDIS_MNEMONIC_CVTSS2SI ||
           mnemonic == ZYDIS_MNEMONIC_CVTTSD2SI || mnemonic == ZYDIS_MNEMONIC_CVTTSS2SI;
}

/* The ESC opcodes and FWAIT. */
static bool is_x87(const ZydisDecodedInstruction *zi)
{
    return zi->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
           zi->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
           ((zi->opcode & 0xf8) == 0xd8 || zi->opcode == 0x9b);
}

static bool is_system_category(ZydisInstructionCategory category)
{
    switch (category) {
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_IOSTRINGOP:
    case ZYDIS_CATEGORY_RDPID:
    case ZYDIS_CATEGORY_RDWRFSGS:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_SMAP:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_SYSTEM: return true;
    default: return false;
    }
}

static bool is_system_mnemonic(ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_CLI:
    case ZYDIS_MNEMONIC_STI:
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_INVPCID:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_LAR:
    case ZYDIS_MNEMONIC_LSL:
    case ZYDIS_MNEMONIC_MONITOR:
    case ZYDIS_MNEMONIC_MWAIT:
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
    case ZYDIS_MNEMONIC_RSM:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_XGETBV:
    case ZYDIS_MNEMONIC_XSETBV: return true;
    default: return false;
    }
}

/* By their exception types (SDM 2, 2.4), which MMX and x87 have none of: those without
 * floating-point exceptions. LDMXCSR is refused for its value. */
static bool may_trap(const ZydisDecodedInstruction *zi)
{
    if (zi->mnemonic == ZYDIS_MNEMONIC_LDMXCSR || zi->mnemonic == ZYDIS_MNEMONIC_VLDMXCSR)
        return true;
    switch (zi->meta.exception_class) {
    case ZYDIS_EXCEPTION_CLASS_SSE1:
    case ZYDIS_EXCEPTION_CLASS_SSE4:
    case ZYDIS_EXCEPTION_CLASS_SSE5:
    case ZYDIS_EXCEPTION_CLASS_SSE7:
    case ZYDIS_EXCEPTION_CLASS_AVX1:
    case ZYDIS_EXCEPTION_CLASS_AVX4:
    case ZYDIS_EXCEPTION_CLASS_AVX5:
    case ZYDIS_EXCEPTION_CLASS_AVX6:
    case ZYDIS_EXCEPTION_CLASS_AVX7:
    case ZYDIS_EXCEPTION_CLASS_AVX8: return false;
    default: return true;
    }
}

static unsigned classify(const Insn *insn, const ZydisDecodedInstruction *zi)
{
    unsigned flags = 0;
    ZydisInstructionCategory category = zi->meta.category;
    if (category == ZYDIS_CATEGORY_STRINGOP || category == ZYDIS_CATEGORY_IOSTRINGOP)
        flags |= INSN_IS_STRING;
    if (zi->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || category == ZYDIS_CATEGORY_CALL ||
        category == ZYDIS_CATEGORY_RET || category == ZYDIS_CATEGORY_COND_BR ||
        category == ZYDIS_CATEGORY_UNCOND_BR || category == ZYDIS_CATEGORY_INTERRUPT ||
        category == ZYDIS_CATEGORY_SYSCALL || category == ZYDIS_CATEGORY_SYSRET)
        flags |= INSN_IS_BRANCH;
    if (is_x87(zi))
        flags |= INSN_IS_X87;
    if (is_vector_set(zi->meta.isa_set) || is_scalar_conversion(zi->mnemonic))
        flags |= INSN_IS_VECTOR;
    if (is_system_category(category) || is_system_mnemonic(zi->mnemonic) ||
        zi->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        flags |= INSN_IS_SYSTEM;
    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        if (operand->reg_class == REG_CLASS_MMX || operand->reg_class == REG_CLASS_XMM ||
            operand->reg_class == REG_CLASS_YMM)
            flags |= INSN_IS_VECTOR;
        if (operand->reg_class == REG_CLASS_MMX)
            flags |= INSN_MAY_TRAP;
        if (operand->reg_class == REG_CLASS_CR || operand->reg_class == REG_CLASS_DR)
            flags |= INSN_IS_SYSTEM;
        if (operand->reg_class == REG_CLASS_SEG &&
            (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            flags |= INSN_IS_SYSTEM;
    }
    if (zi->mnemonic == ZYDIS_MNEMONIC_XGETBV || zi->mnemonic == ZYDIS_MNEMONIC_XSETBV)
        flags &= ~INSN_IS_VECTOR;
    if ((flags & (INSN_IS_VECTOR | INSN_IS_X87)) && may_trap(zi))
        flags |= INSN_MAY_TRAP;
    return flags;
}

/* Hints compute an address and leave it. */
static bool touches_memory(const ZydisDecodedInstruction *zi)
{
    switch (zi->meta.category) {
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_WIDENOP:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_PREFETCHWT1: return false;
    default:
        return zi->mnemonic != ZYDIS_MNEMONIC_NOP && zi->mnemonic != ZYDIS_MNEMONIC_UD0 &&
               zi->mnemonic != ZYDIS_MNEMONIC_UD1;
    }
}

/* The alignment that a vector instruction's memory operand must have (SDM 2A, 2.4). */
static unsigned required_alignment(const Insn *insn, const ZydisDecodedInstruction *zi)
{
    if (!(insn->category_flags & INSN_HAS_MEMORY))
        return 0;
    if (zi->mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B || zi->mnemonic == ZYDIS_MNEMONIC_CVTPD2PI ||
        zi->mnemonic == ZYDIS_MNEMONIC_CVTTPD2PI)
        return 16;
    /* AMD's processors take the SHA instructions' operands unaligned. */
    if (zi->meta.isa_set == ZYDIS_ISA_SET_SHA && __builtin_cpu_is("amd"))
        return 0;
    switch (zi->meta.exception_class) {
    case ZYDIS_EXCEPTION_CLASS_AVX1: return insn->mem_size;
    case ZYDIS_EXCEPTION_CLASS_SSE1:
    case ZYDIS_EXCEPTION_CLASS_SSE2:
    case ZYDIS_EXCEPTION_CLASS_SSE4: break;
    default: return 0;
    }
    switch (zi->mnemonic) {
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
    case ZYDIS_MNEMONIC_PCMPISTRI:
    case ZYDIS_MNEMONIC_PCMPISTRM: return 0;
    default: return insn->mem_size == 16 ? 16 : 0;
    }
}

/* --- layout ----------------------------------------------------------------------------------- */

static bool is_legacy_prefix(uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3: return true;
    default: return false;
    }
}

static void set_layout(Insn *insn, const ZydisDecodedInstruction *zi, const uint8_t *bytes,
                       uint32_t mode)
{
    unsigned at = 0;
    bool f3 = false, f2 = false;
    insn->rex_offset = insn->vex_offset = insn->modrm_offset = insn->sib_offset = 0xff;
    insn->disp_offset = insn->imm_offset = 0xff;
    for (; is_legacy_prefix(bytes[at]) || ((mode & MODE_CS64) && (bytes[at] & 0xf0) == 0x40);
         at++) {
        if (bytes[at] == 0xf3 || bytes[at] == 0xf2) {
            f3 = bytes[at] == 0xf3;
            f2 = !f3;
        }
    }
    if (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
        insn->vex_offset = zi->raw.vex.offset;
        insn->opcode_offset = zi->raw.vex.offset + zi->raw.vex.size;
    } else {
        insn->opcode_offset = at;
        if (zi->attributes & ZYDIS_ATTRIB_HAS_REX) {
            insn->rex_offset = zi->raw.rex.offset;
            insn->rex = bytes[zi->raw.rex.offset];
        }
    }
    if (insn->category_flags & INSN_IS_STRING) {
        insn->rep = f3;
        insn->repne = f2;
    }
    insn->opcode_map = zi->opcode_map;
    insn->opcode = zi->opcode;
    if (zi->attributes & ZYDIS_ATTRIB_HAS_MODRM) {
        insn->modrm_offset = zi->raw.modrm.offset;
        insn->modrm = bytes[zi->raw.modrm.offset];
    }
    if (zi->attributes & ZYDIS_ATTRIB_HAS_SIB)
        insn->sib_offset = zi->raw.sib.offset;
    /* No base register: Zydis 4.0 takes REX.B for one when the address size is 32 bits. */
    if ((zi->attributes & ZYDIS_ATTRIB_HAS_SIB) && zi->raw.modrm.mod == 0 &&
        zi->raw.sib.base == 5) {
        insn->mem_base = INSN_REG_NONE;
        insn->displacement = zi->raw.disp.value;
    }
    if (zi->raw.disp.size) {
        insn->disp_offset = zi->raw.disp.offset;
        insn->disp_size = zi->raw.disp.size / 8;
    }
    if (zi->raw.imm[0].size) {
        insn->imm_offset = zi->raw.imm[0].offset;
        insn->imm_size = zi->raw.imm[0].size / 8;
        insn->imm_signed = zi->raw.imm[0].is_signed;
        insn->immediate = zi->raw.imm[0].value.u;
    }
    if (zi->raw.imm[1].size)
        insn->immediate2 = zi->raw.imm[1].value.u;
}

/* --- decoding --------------------------------------------------------------------------------- */

static ZydisDecoder decoder_for(uint32_t mode)
{
    ZydisDecoder decoder;
    if (mode & MODE_CS64)
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    else if (mode & MODE_CS32)
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    else
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    decoder.decoder_mode[ZYDIS_DECODER_MODE_MPX] = ZYAN_FALSE;
    decoder.decoder_mode[ZYDIS_DECODER_MODE_CET] = ZYAN_FALSE;
    decoder.decoder_mode[ZYDIS_DECODER_MODE_CLDEMOTE] = ZYAN_FALSE;
    decoder.decoder_mode[ZYDIS_DECODER_MODE_WBNOINVD] = ZYAN_FALSE;
    if (__builtin_cpu_is("amd"))
        decoder.decoder_mode[ZYDIS_DECODER_MODE_AMD_BRANCHES] = ZYAN_TRUE;
    return decoder;
}

/* SYSCALL and SYSRET outside 64-bit mode are AMD's alone (APM volume 3); Zydis does not know them
 * there. */
static DecodeResult decode_legacy_syscall(const uint8_t *bytes, unsigned available, Insn *insn)
{
    unsigned prefixes = 0;

    while (prefixes < available && is_legacy_prefix(bytes[prefixes]) && bytes[prefixes] != 0xf0)
        prefixes++;
    if (prefixes + 2 > available || bytes[prefixes] != 0x0f ||
        (bytes[prefixes + 1] != 0x05 && bytes[prefixes + 1] != 0x07))
        return DECODE_INVALID;
    DecodeResult result = insn_decode(bytes + prefixes, 2, MODE_CS64, insn);
    if (result != DECODE_OK)
        return result;
    memcpy(insn->bytes, bytes, prefixes + 2);
    insn->length = prefixes + 2;
    insn->opcode_offset += prefixes;
    insn->opsize = 4;
    insn->address_size = 4;
    return DECODE_OK;
}

/* F3 and REX.B before 90: the exchange with R8 wins over PAUSE, and the F3 does nothing. */
static DecodeResult decode_xchg_r8(const uint8_t *bytes, unsigned length, uint32_t mode, Insn *insn)
{
    uint8_t copy[INSN_MAX_BYTES];
    for (unsigned i = 0; i < length; i++)
        copy[i] = bytes[i] == 0xf3 ? 0x3e : bytes[i];
    DecodeResult result = insn_decode(copy, length, mode, insn);
    if (result == DECODE_OK)
        memcpy(insn->bytes, bytes, length);
    return result;
}

/* 66h before a near branch in 64-bit code makes AMD's processors use 16 bits. Zydis knows it only
 * of those with a long displacement. */
static bool is_narrow_branch(const ZydisDecodedInstruction *zi, const uint8_t *bytes, uint32_t mode)
{
    unsigned reg = zi->raw.modrm.reg;
    bool branch = (zi->opcode >= 0xe0 && zi->opcode <= 0xe3) || zi->opcode == 0xeb ||
                  (zi->opcode & 0xf0) == 0x70 || (zi->opcode & 0xfe) == 0xc2 ||
                  (zi->opcode == 0xff && (reg == 2 || reg == 4));

    if (!(mode & MODE_CS64) || zi->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || !branch ||
        zi->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || zi->raw.rex.W ||
        !__builtin_cpu_is("amd"))
        return false;
    for (unsigned i = 0; i < zi->raw.prefix_count; i++)
        if (bytes[i] == 0x66)
            return true;
    return false;
}

/* MOVSXD to 16 bits reads as many on Intel's processors (SDM 2, MOVSXD), 32 on AMD's. */
static bool is_narrow_movsxd(const Insn *insn)
{
    return insn->mnemonic == ZYDIS_MNEMONIC_MOVSXD && insn->opsize == 2 && !__builtin_cpu_is("amd");
}

DecodeResult insn_decode(const uint8_t *bytes, unsigned available, uint32_t mode, Insn *insn)
{
    ZydisDecoder decoder = decoder_for(mode);
    ZydisDecodedInstruction zi;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    if (available > INSN_MAX_BYTES)
        available = INSN_MAX_BYTES;
    ZyanStatus status = ZydisDecoderDecodeFull(&decoder, bytes, available, &zi, operands);
    if (status == ZYDIS_STATUS_NO_MORE_DATA)
        return available == INSN_MAX_BYTES ? DECODE_TOO_LONG : DECODE_NEED_MORE;
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
        return DECODE_TOO_LONG;
    if (!ZYAN_SUCCESS(status) || !exists(&zi) || is_wide_only(&zi, mode))
        return mode & MODE_CS64 ? DECODE_INVALID : decode_legacy_syscall(bytes, available, insn);
    if (zi.mnemonic == ZYDIS_MNEMONIC_PAUSE && (zi.attributes & ZYDIS_ATTRIB_HAS_REX) &&
        zi.raw.rex.B)
        return decode_xchg_r8(bytes, zi.length, mode, insn);

    memset(insn, 0, sizeof *insn);
    memcpy(insn->bytes, bytes, zi.length);
    insn->mnemonic = zi.mnemonic;
    insn->isa_set = zi.meta.isa_set;
    insn->length = zi.length;
    insn->opsize = zi.operand_width / 8;
    insn->address_size = zi.address_width / 8;
    insn->n_operands = MIN(zi.operand_count, G_N_ELEMENTS(insn->operands));
    insn->n_visible = MIN(zi.operand_count_visible, G_N_ELEMENTS(insn->operands));
    insn->encoding = zi.encoding;
    insn->lock = zi.attributes & ZYDIS_ATTRIB_HAS_LOCK;
    insn->mem_seg = SEG_DS;
    insn->mem_base = insn->mem_index = INSN_REG_NONE;
    insn->mem_scale = 1;
    if (zi.raw.imm[0].size)
        insn->imm_size = zi.raw.imm[0].size / 8;
    set_operands(insn, &zi, operands);
    if (!touches_memory(&zi))
        insn->category_flags &= ~INSN_HAS_MEMORY;
    insn->category_flags |= classify(insn, &zi);
    insn->mem_align = required_alignment(insn, &zi);
    insn->mem_may_mask = insn->mem_align && zi.mnemonic != ZYDIS_MNEMONIC_CMPXCHG16B &&
                         zi.meta.exception_class != ZYDIS_EXCEPTION_CLASS_AVX1 &&
                         zi.meta.exception_class != ZYDIS_EXCEPTION_CLASS_SSE1;
    set_layout(insn, &zi, bytes, mode);
    if (is_narrow_branch(&zi, bytes, mode)) {
        insn->opsize = 2;
        if (insn->mem_size)
            insn->mem_size = 2;
    }
    if (is_narrow_movsxd(insn)) {
        insn->operands[1].size = 2;
        insn->mem_size = MIN(insn->mem_size, 2);
    }
    if (zi.cpu_flags) {
        const ZydisAccessedFlags *flags = zi.cpu_flags;
        insn->flags_tested = flags->tested & RFLAGS_ARITH;
        insn->flags_modified =
            (flags->modified | flags->set_0 | flags->set_1 | flags->undefined) & RFLAGS_ARITH;
        insn->flags_undefined = flags->undefined & RFLAGS_ARITH;
    }
    return DECODE_OK;
}

/* --- decoding by what was decoded before -------------------------------------------------------
 */

static uint64_t field(const uint8_t *at, unsigned size, bool is_signed)
{
    uint64_t value = 0;

    memcpy(&value, at, size);
    unsigned shift = 64 - 8 * size;
    return is_signed ? (uint64_t)((int64_t)(value << shift) >> shift) : value;
}

/* Takes displacement and immediate from BYTES. */
static void set_fields(Insn *insn, const uint8_t *bytes)
{
    memcpy(insn->bytes, bytes, insn->length);
    if (insn->disp_size)
        insn->displacement = (int64_t)field(bytes + insn->disp_offset, insn->disp_size, true);
    if (insn->imm_size)
        insn->immediate = field(bytes + insn->imm_offset, insn->imm_size, insn->imm_signed);
}

/* Of INSN's bytes, those that its description hangs on but for set_fields(): the ones before a
 * displacement and an immediate, if all that comes behind is these. */
static unsigned fixed_bytes(const Insn *insn)
{
    unsigned fixed = insn->length - insn->disp_size - insn->imm_size;
    unsigned end = fixed;

    if (insn->disp_size && insn->disp_offset == end)
        end += insn->disp_size;
    if (insn->imm_size && insn->imm_offset == end)
        end += insn->imm_size;
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].encoding == ZYDIS_OPERAND_ENCODING_IS4)
            return insn->length; /* the immediate names a register */
    return end == insn->length ? fixed : insn->length;
}

/* Whether a one-byte opcode, one behind 0Fh has a ModRM byte (SDM 2, A.3). */
static bool has_modrm(uint8_t opcode)
{
    static const uint64_t with[] = {0x0f0f0f0f0f0f0f0f, 0x00000a0800000000, 0x000000000000ffff,
                                    0xc0c00000ff0f00c3};

    return with[opcode / 64] >> opcode % 64 & 1;
}

static bool has_modrm_0f(uint8_t opcode)
{
    static const uint64_t without[] = {0x00ff000000004be0, 0x0080000000000000, 0x000007070000ffff,
                                       0x000000000000ff00};

    return !(without[opcode / 64] >> opcode % 64 & 1);
}

/* How many of the eight BYTES come before displacement, immediate and the next instruction: a
 * guess, right for what is frequent. */
static unsigned telling_bytes(const uint8_t *bytes, uint32_t mode)
{
    unsigned n = is_legacy_prefix(bytes[0]);

    if ((mode & MODE_CS64) && (bytes[n] & 0xf0) == 0x40)
        n++;
    uint8_t opcode = bytes[n++];
    bool modrm = has_modrm(opcode);
    if (opcode == 0x0f) {
        opcode = bytes[n++];
        modrm = has_modrm_0f(opcode);
        n += opcode == 0x38 || opcode == 0x3a;
    } else if ((mode & MODE_CS64) && (opcode == 0xc4 || opcode == 0xc5)) {
        modrm = true;
        n += opcode == 0xc4 ? 3 : 2;
    }
    if (!modrm)
        return n;
    return n + 1 + (bytes[n] < 0xc0 && (bytes[n] & 7) == 4); /* a SIB byte */
}

/* Whether the bytes that ENTRY hangs on are those at BYTES, of which FIRST is the first eight. */
static bool has_bytes(const DecodeEntry *entry, uint64_t first, const uint8_t *bytes)
{
    if (entry->fixed <= sizeof first)
        return !((entry->first ^ first) << 8 * (sizeof first - entry->fixed));
    return entry->first == first && !memcmp(entry->insn.bytes, bytes, entry->fixed);
}

/* Takes INSN from ENTRY, if that has it. */
static bool is_in(const DecodeEntry *entry, uint64_t first, const uint8_t *bytes,
                  unsigned available, uint32_t mode, Insn *insn)
{
    if (!entry->fixed || entry->insn.length > available || entry->mode != mode ||
        !has_bytes(entry, first, bytes))
        return false;
    *insn = entry->insn;
    set_fields(insn, bytes);
    return true;
}

DecodeResult insn_decode_cached(DecodeCache *cache, const uint8_t *bytes, unsigned available,
                                uint32_t mode, Insn *insn)
{
    uint64_t first;

    mode &= MODE_CS64 | MODE_CS32; /* decoding depends on no more of it */
    if (available < sizeof first)
        return insn_decode(bytes, available, mode, insn);
    memcpy(&first, bytes, sizeof first);
    uint64_t telling = first << 8 * (sizeof first - telling_bytes(bytes, mode));
    uint64_t hash = telling * 0x9e3779b97f4a7c15u; /* Fibonacci hashing */
    DecodeEntry *entries = cache->entries[hash >> (64 - DECODE_CACHE_BITS)];
    for (unsigned way = 0; way < DECODE_WAYS; way++)
        if (is_in(&entries[way], first, bytes, available, mode, insn))
            return DECODE_OK;
    DecodeResult result = insn_decode(bytes, available, mode, insn);
    if (result == DECODE_OK) {
        memmove(&entries[1], &entries[0], (DECODE_WAYS - 1) * sizeof *entries);
        entries[0].mode = mode;
        entries[0].first = first;
        entries[0].insn = *insn;
        entries[0].fixed = (uint8_t)fixed_bytes(insn);
    }
    return result;
}

/* --- questions -------------------------------------------------------------------------------- */

bool insn_writes_memory(const Insn *insn)
{
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].kind == OPERAND_MEM &&
            (insn->operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            return true;
    return false;
}

bool insn_is_locked(const Insn *insn)
{
    return insn->lock ||
           (insn->mnemonic == ZYDIS_MNEMONIC_XCHG && (insn->category_flags & INSN_HAS_MEMORY));
}

bool insn_is_shift(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SHRD: return true;
    default: return false;
    }
}

bool insn_may_shift_by_0(const Insn *insn)
{
    bool by_1 = insn->opcode == 0xd0 || insn->opcode == 0xd1;
    unsigned mask = insn->operands[0].size == 8 ? 0x3f : 0x1f;

    return insn_is_shift(insn) && !by_1 && (!insn->imm_size || !(insn->immediate & mask));
}
