/* SPDX-License-Identifier: GPL-3.0-or-later */

/* MMX, SSE and AVX: availability, memory operands, and the instructions whose memory accesses
 * follow a mask. The computing is the host's (hostexec.c). */

#include "core/cpu/hostexec.h"
#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

#include <emmintrin.h>
#include <string.h>

/* --- registers in Cpu.vectors ----------------------------------------------------------------- */

static uint8_t *xmm(Cpu *cpu, unsigned reg)
{
    return cpu->vectors.xmm[reg];
}

static uint8_t *ymm_high(Cpu *cpu, unsigned reg)
{
    return cpu->vectors.ymm_high + reg * 16;
}

/* The bytes of element I of SIZE bytes in the whole YMM register. */
static uint8_t *element(Cpu *cpu, unsigned reg, unsigned i, unsigned size)
{
    unsigned offset = i * size;
    return offset < 16 ? xmm(cpu, reg) + offset : ymm_high(cpu, reg) + offset - 16;
}

static uint64_t element_read(Cpu *cpu, unsigned reg, unsigned i, unsigned size)
{
    return host_load(element(cpu, reg, i, size), size);
}

static void element_write(Cpu *cpu, unsigned reg, unsigned i, unsigned size, uint64_t value)
{
    host_store(element(cpu, reg, i, size), value, size);
}

static bool element_sign(Cpu *cpu, unsigned reg, unsigned i, unsigned size)
{
    return element(cpu, reg, i, size)[size - 1] & 0x80;
}

/* --- availability (SDM 2A, 2.4 and tables 25-3 to 25-6 of volume 3) --------------------------- */

static void check_avx(Cpu *cpu)
{
    if (!(cpu->mode & MODE_PE) || (cpu->mode & (MODE_VM86 | MODE_AVX_UD)))
        cpu_raise(cpu, EXC_UD);
    if (cpu->mode & MODE_SSE_NM)
        cpu_raise(cpu, EXC_NM);
}

static void check_sse(Cpu *cpu)
{
    if (cpu->mode & MODE_SSE_UD)
        cpu_raise(cpu, EXC_UD);
    if (cpu->mode & MODE_SSE_NM)
        cpu_raise(cpu, EXC_NM);
}

static bool check_mmx(Cpu *cpu)
{
    if (cpu->cr0 & CR0_EM)
        cpu_raise(cpu, EXC_UD);
    if (cpu->cr0 & CR0_TS)
        cpu_raise(cpu, EXC_NM);
    return interp_x87_check_pending(cpu);
}

static bool uses_class(const Insn *insn, RegClass reg_class)
{
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].reg_class == reg_class)
            return true;
    return false;
}

static void check_vex_or_sse(Cpu *cpu, const Insn *insn)
{
    if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        check_avx(cpu);
    else
        check_sse(cpu);
}

/* --- with a plain memory operand or none ------------------------------------------------------ */

static unsigned memory_actions(const Insn *insn)
{
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].kind == OPERAND_MEM && !insn->operands[i].hidden)
            return insn->operands[i].actions;
    return 0;
}

static void run(Cpu *cpu, const Insn *insn)
{
    switch (hostexec_run(cpu, insn)) {
    case HOSTEXEC_DONE: return;
    case HOSTEXEC_FP_EXCEPTION: cpu_raise(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
    case HOSTEXEC_UNDEFINED: cpu_raise(cpu, EXC_UD);
    case HOSTEXEC_FAULT: cpu_raise_error(cpu, EXC_GP, 0);
    }
}

/* 8 and 16 bytes in one access each: with AVX, aligned ones of 16 bytes are atomic (SDM 8.1.1). */
static void copy_operand(void *to, const void *from, unsigned size)
{
    switch (size) {
    case 8: host_store(to, host_load(from, 8), 8); break;
    case 32:
        _mm_storeu_si128((__m128i *)to + 1, _mm_loadu_si128((const __m128i *)from + 1));
        /* fallthrough */
    case 16: _mm_storeu_si128(to, _mm_loadu_si128(from)); break;
    default: memcpy(to, from, size); break;
    }
}

/* MXCSR.MM, which AMD's processors have (APM 1, 4.2.2): a misaligned operand of most instructions
 * is #AC's affair. Translated code finds it in the host's MXCSR. */
INTERP_INLINE bool is_misalignment_masked(Cpu *cpu)
{
    return cpu->vectors.mxcsr & MXCSR_MM;
}

INTERP_INLINE void vector(Cpu *cpu, const Insn *insn)
{
    if (!(insn->category_flags & INSN_HAS_MEMORY)) {
        run(cpu, insn);
        return;
    }
    unsigned size = insn->mem_size, actions = memory_actions(insn);
    bool writes = actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    uint8_t *buffer = hostexec_buffer(interp_hostexec(cpu));
    if (!size || size > HOSTEXEC_BUFFER)
        cpu_raise(cpu, EXC_UD);
    bool masked = insn->mem_may_mask && is_misalignment_masked(cpu);
    if (insn->mem_align && !masked)
        insn_require_alignment(cpu, insn, insn->mem_align);
    uint64_t linear = insn_linear(cpu, insn, size, writes);
    if (masked || (!insn->mem_align && size <= 8))
        interp_check_alignment(cpu, linear, size);
    if (writes) {
        void *host = tlb_store_pointer(cpu, linear, size);
        if (!host)
            host = mmu_host_pointer(cpu, linear, size, ACCESS_WRITE);
        run(cpu, insn);
        if (host)
            copy_operand(host, buffer, size);
        else
            mmu_store_bytes(cpu, linear, buffer, size);
    } else {
        void *host = tlb_load_pointer(cpu, linear, size);
        if (!host)
            host = mmu_host_pointer(cpu, linear, size, ACCESS_READ);
        if (host)
            copy_operand(buffer, host, size);
        else
            mmu_load_bytes(cpu, linear, buffer, size);
        run(cpu, insn);
    }
}

static void insn_sse(Cpu *cpu, const Insn *insn)
{
    check_sse(cpu);
    vector(cpu, insn);
}

static void insn_avx(Cpu *cpu, const Insn *insn)
{
    check_avx(cpu);
    vector(cpu, insn);
}

static void insn_mmx(Cpu *cpu, const Insn *insn)
{
    if (check_mmx(cpu))
        vector(cpu, insn);
}

/* Between MMX and XMM registers. */
static void insn_mmx_sse(Cpu *cpu, const Insn *insn)
{
    check_sse(cpu);
    if (check_mmx(cpu))
        vector(cpu, insn);
}

/* --- masked moves ----------------------------------------------------------------------------- */

static unsigned vector_length(const Insn *insn)
{
    return insn->operands[0].reg_class == REG_CLASS_YMM ||
                   insn->operands[1].reg_class == REG_CLASS_YMM
               ? 32
               : 16;
}

/* VMASKMOVPS/PD, VPMASKMOVD/Q: only elements whose mask has its sign bit set are accessed, and only
 * they fault. */
static void insn_vmaskmov(Cpu *cpu, const Insn *insn)
{
    bool store = insn->operands[0].kind == OPERAND_MEM, wide;
    unsigned length = vector_length(insn), mask = insn->operands[1].reg;
    check_avx(cpu);
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ: wide = true; break;
    default: wide = false; break;
    }
    unsigned size = wide ? 8 : 4, count = length / size;
    uint64_t offset = insn_offset(cpu, insn), linear[8], values[8] = {0};
    for (unsigned i = 0; i < count; i++) {
        if (!element_sign(cpu, mask, i, size))
            continue;
        uint64_t at = (offset + i * size) & size_mask(insn->address_size);
        linear[i] = interp_linear(cpu, insn->mem_seg, at, size, store);
        if (store)
            interp_probe_store(cpu, linear[i], size);
        else
            values[i] = interp_load(cpu, linear[i], size);
    }
    if (store) {
        for (unsigned i = 0; i < count; i++)
            if (element_sign(cpu, mask, i, size))
                interp_store(cpu, linear[i], element_read(cpu, insn->operands[2].reg, i, size),
                             size);
        return;
    }
    unsigned destination = insn->operands[0].reg;
    for (unsigned i = 0; i < count; i++)
        element_write(cpu, destination, i, size, values[i]);
    if (length == 16)
        memset(ymm_high(cpu, destination), 0, 16);
}

/* MASKMOVDQU, VMASKMOVDQU, MASKMOVQ: bytes with the mask's bit 7, to DS:rDI. The whole operand must
 * be writable: what an empty mask does is the model's affair (SDM 2B), and this is what AMD's do.
 */
static void insn_maskmov(Cpu *cpu, const Insn *insn)
{
    unsigned source = (insn->modrm >> 3) & 7, mask = insn->modrm & 7, length = 16;
    const uint8_t *from, *bits;
    if (insn->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ) {
        if (!check_mmx(cpu))
            return;
        interp_x87_enter_mmx(cpu); /* also when the store faults */
        length = 8;
        from = cpu->vectors.st[source];
        bits = cpu->vectors.st[mask];
    } else {
        unsigned first = insn->operands[0].kind == OPERAND_REG ? 0 : 1;
        check_vex_or_sse(cpu, insn);
        from = xmm(cpu, insn->operands[first].reg);
        bits = xmm(cpu, insn->operands[first + 1].reg);
    }
    uint64_t offset = gpr_read(cpu, RDI, insn->address_size);
    uint64_t linear = interp_linear(cpu, insn->mem_seg, offset, length, true);
    mmu_probe(cpu, linear, length, ACCESS_WRITE);
    for (unsigned i = 0; i < length; i++)
        if (bits[i] & 0x80)
            interp_store(cpu, linear + i, from[i], 1);
}

/* --- gathers ---------------------------------------------------------------------------------- */

/* Element by element: each loaded one clears its mask element, so that a fault leaves exactly the
 * rest to do (SDM 2C, VGATHERDPS). */
static void insn_gather(Cpu *cpu, const Insn *insn)
{
    unsigned destination = insn->operands[0].reg, mask = insn->operands[2].reg;
    unsigned index_size = 8, size = 8;
    check_avx(cpu);
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_VGATHERDPD:
    case ZYDIS_MNEMONIC_VPGATHERDQ: index_size = 4; break;
    case ZYDIS_MNEMONIC_VGATHERDPS:
    case ZYDIS_MNEMONIC_VPGATHERDD: index_size = size = 4; break;
    case ZYDIS_MNEMONIC_VGATHERQPS:
    case ZYDIS_MNEMONIC_VPGATHERQD: size = 4; break;
    default: break;
    }
    const uint8_t *vex = insn->bytes + insn->vex_offset;
    unsigned length = (vex[0] == 0xc4 ? vex[2] : vex[1]) & 4 ? 32 : 16;
    unsigned count = length / MAX(index_size, size);

    for (unsigned i = 0; i < count; i++) {
        if (!element_sign(cpu, mask, i, size)) {
            element_write(cpu, mask, i, size, 0);
            continue;
        }
        uint64_t index = sign_extend(element_read(cpu, insn->mem_index, i, index_size), index_size);
        uint64_t offset = insn->displacement + index * insn->mem_scale;
        if (insn->mem_base < N_GPR)
            offset += cpu->gpr[insn->mem_base];
        offset &= size_mask(insn->address_size);
        uint64_t linear = interp_linear(cpu, insn->mem_seg, offset, size, false);
        element_write(cpu, destination, i, size, interp_load(cpu, linear, size));
        element_write(cpu, mask, i, size, 0);
    }
    /* Nothing is left in the mask, nor above the elements of either. */
    memset(xmm(cpu, mask), 0, 16);
    memset(ymm_high(cpu, mask), 0, 16);
    if (count * size <= 16)
        memset(ymm_high(cpu, destination), 0, 16);
    if (count * size == 8)
        memset(xmm(cpu, destination) + 8, 0, 8);
}

/* --- state ------------------------------------------------------------------------------------ */

static void insn_vzero(Cpu *cpu, const Insn *insn)
{
    check_avx(cpu);
    for (unsigned reg = 0; reg < (cpu_is_64bit(cpu) ? 16u : 8u); reg++) {
        memset(ymm_high(cpu, reg), 0, 16);
        if (insn->mnemonic == ZYDIS_MNEMONIC_VZEROALL)
            memset(xmm(cpu, reg), 0, 16);
    }
}

static void insn_ldmxcsr(Cpu *cpu, const Insn *insn)
{
    check_vex_or_sse(cpu, insn);
    uint32_t value = interp_load(cpu, insn_linear(cpu, insn, 4, false), 4);
    interp_check_mxcsr(cpu, value);
    cpu->vectors.mxcsr = value;
}

static void insn_stmxcsr(Cpu *cpu, const Insn *insn)
{
    check_vex_or_sse(cpu, insn);
    interp_store(cpu, insn_linear(cpu, insn, 4, true), cpu->vectors.mxcsr, 4);
}

/* --- table ------------------------------------------------------------------------------------ */

InterpHandler interp_vector_handler(const Insn *insn)
{
    InterpHandler handler = interp_xsave_handler(insn);
    if (handler)
        return handler;
    if (!(insn->category_flags & INSN_IS_VECTOR))
        return NULL;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_EMMS: return insn_mmx;
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_VLDMXCSR: return insn_ldmxcsr;
    case ZYDIS_MNEMONIC_STMXCSR:
    case ZYDIS_MNEMONIC_VSTMXCSR: return insn_stmxcsr;
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
    case ZYDIS_MNEMONIC_MASKMOVQ: return insn_maskmov;
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ: return insn_vmaskmov;
    case ZYDIS_MNEMONIC_VGATHERDPD:
    case ZYDIS_MNEMONIC_VGATHERDPS:
    case ZYDIS_MNEMONIC_VGATHERQPD:
    case ZYDIS_MNEMONIC_VGATHERQPS:
    case ZYDIS_MNEMONIC_VPGATHERDD:
    case ZYDIS_MNEMONIC_VPGATHERDQ:
    case ZYDIS_MNEMONIC_VPGATHERQD:
    case ZYDIS_MNEMONIC_VPGATHERQQ: return insn_gather;
    case ZYDIS_MNEMONIC_VZEROALL:
    case ZYDIS_MNEMONIC_VZEROUPPER: return insn_vzero;
    default: break;
    }
    if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        return insn_avx;
    if (!uses_class(insn, REG_CLASS_MMX))
        return insn_sse;
    return uses_class(insn, REG_CLASS_XMM) ? insn_mmx_sse : insn_mmx;
}
