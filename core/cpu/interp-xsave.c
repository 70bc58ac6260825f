/* SPDX-License-Identifier: GPL-3.0-or-later */

/* FXSAVE, FXRSTOR and the XSAVE family (SDM 1, 10.5 and chapter 13). */

#include "core/cpu/cpuid.h"
#include "core/cpu/hostexec.h"
#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

#include <string.h>

enum { COMPONENT_X87 = 1, COMPONENT_SSE = 2, COMPONENT_AVX = 4 };
enum {
    AREA_FOP = 6,
    AREA_FIP = 8,
    AREA_FDP = 16,
    AREA_MXCSR = 24,
    AREA_ST = 32,
    AREA_XMM = 160,
    AREA_HEADER = 512,
    AREA_YMM = 576,
    AREA_SIZE = 832,
};
#define COMPACTED     (1ull << 63) /* XCOMP_BV's form */
#define MXCSR_INITIAL 0x1f80u

/* --- pieces ----------------------------------------------------------------------------------- */

/* Bits that the processor does not have are #GP(0). */
void interp_check_mxcsr(Cpu *cpu, uint32_t value)
{
    if (value & ~cpu->mxcsr_mask)
        cpu_raise_error(cpu, EXC_GP, 0);
}

static unsigned xmm_bytes(const Cpu *cpu)
{
    return cpu_is_64bit(cpu) ? 256 : 128;
}

static void put_mxcsr(const Cpu *cpu, uint8_t *area)
{
    host_store(area + AREA_MXCSR, cpu->vectors.mxcsr | (uint64_t)cpu->mxcsr_mask << 32, 8);
}

/* The x87 part, with the pointers in the form the operand size asks for. */
static void put_x87(const Cpu *cpu, uint8_t *area, bool wide)
{
    memcpy(area, cpu->vectors.legacy, AREA_FOP);
    area[5] = 0;
    host_store(area + AREA_FOP, cpu->x87_fop & 0x7ff, 2);
    if (wide) {
        host_store(area + AREA_FIP, cpu->x87_fip, 8);
        host_store(area + AREA_FDP, cpu->x87_fdp, 8);
    } else {
        host_store(area + AREA_FIP, (uint32_t)cpu->x87_fip | (uint64_t)cpu->x87_fcs << 32, 8);
        host_store(area + AREA_FDP, (uint32_t)cpu->x87_fdp | (uint64_t)cpu->x87_fds << 32, 8);
    }
    memcpy(area + AREA_ST, cpu->vectors.st, sizeof cpu->vectors.st);
}

static void take_x87(Cpu *cpu, const uint8_t *area, bool wide)
{
    memcpy(cpu->vectors.legacy, area, AREA_FOP);
    cpu->vectors.fcw = (cpu->vectors.fcw & 0x1f7f) | 0x40; /* its fixed bits */
    cpu->x87_fop = host_load(area + AREA_FOP, 2) & 0x7ff;
    cpu->x87_fip = host_load(area + AREA_FIP, wide ? 8 : 4);
    cpu->x87_fdp = host_load(area + AREA_FDP, wide ? 8 : 4);
    cpu->x87_fcs = wide ? 0 : host_load(area + AREA_FIP + 4, 2);
    cpu->x87_fds = wide ? 0 : host_load(area + AREA_FDP + 4, 2);
    for (unsigned i = 0; i < 8; i++)
        memcpy(cpu->vectors.st[i], area + AREA_ST + i * 16, 10);
    interp_x87_update_summary(cpu);
}

static void initialise_x87(Cpu *cpu)
{
    static const uint8_t initial[AREA_FOP] = {0x7f, 0x03};
    memcpy(cpu->vectors.legacy, initial, sizeof initial);
    memset(cpu->vectors.st, 0, sizeof cpu->vectors.st);
    cpu->x87_fip = cpu->x87_fdp = 0;
    cpu->x87_fop = cpu->x87_fcs = cpu->x87_fds = 0;
}

static bool is_zero(const uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        if (bytes[i])
            return false;
    return true;
}

/* XINUSE: which components differ from their initial configuration. */
static uint32_t in_use(const Cpu *cpu)
{
    static const uint8_t initial[5] = {0x7f, 0x03};
    const CpuVectors *vectors = &cpu->vectors;
    uint32_t result = 0;
    if (memcmp(vectors->legacy, initial, sizeof initial) ||
        !is_zero(vectors->st[0], sizeof vectors->st) || cpu->x87_fop || cpu->x87_fip ||
        cpu->x87_fdp || cpu->x87_fcs || cpu->x87_fds)
        result |= COMPONENT_X87;
    if (!is_zero(vectors->xmm[0], xmm_bytes(cpu)))
        result |= COMPONENT_SSE;
    if (!is_zero(cpu->vectors.ymm_high, xmm_bytes(cpu)))
        result |= COMPONENT_AVX;
    return result;
}

static uint64_t area_linear(Cpu *cpu, const Insn *insn, unsigned size, unsigned alignment,
                            bool write)
{
    insn_require_alignment(cpu, insn, alignment);
    return insn_linear(cpu, insn, size, write);
}

static bool is_wide(const Cpu *cpu, const Insn *insn)
{
    return cpu_is_64bit(cpu) && (insn->rex & 8);
}

/* --- FXSAVE, FXRSTOR -------------------------------------------------------------------------- */

static void check_fx(Cpu *cpu)
{
    if (cpu->cr0 & (CR0_EM | CR0_TS))
        cpu_raise(cpu, EXC_NM);
}

/* Here, unlike elsewhere, the address counts before its alignment. */
static uint64_t fx_linear(Cpu *cpu, const Insn *insn, bool write)
{
    uint64_t linear = insn_linear(cpu, insn, AREA_HEADER, write);

    insn_require_alignment(cpu, insn, 16);
    return linear;
}

/* Bytes from the last register on are left alone. */
static void insn_fxsave(Cpu *cpu, const Insn *insn)
{
    uint8_t area[AREA_HEADER];
    unsigned length = AREA_XMM + xmm_bytes(cpu);
    check_fx(cpu);
    uint64_t linear = fx_linear(cpu, insn, true);
    put_x87(cpu, area, is_wide(cpu, insn));
    put_mxcsr(cpu, area);
    memcpy(area + AREA_XMM, cpu->vectors.xmm, xmm_bytes(cpu));
    mmu_probe(cpu, linear, AREA_HEADER, ACCESS_WRITE);
    mmu_store_bytes(cpu, linear, area, length);
}

static void insn_fxrstor(Cpu *cpu, const Insn *insn)
{
    uint8_t area[AREA_HEADER];
    check_fx(cpu);
    uint64_t linear = fx_linear(cpu, insn, false);
    mmu_load_bytes(cpu, linear, area, sizeof area);
    interp_check_mxcsr(cpu, host_load(area + AREA_MXCSR, 4));
    take_x87(cpu, area, is_wide(cpu, insn));
    cpu->vectors.mxcsr = (uint32_t)host_load(area + AREA_MXCSR, 4);
    memcpy(cpu->vectors.xmm, area + AREA_XMM, xmm_bytes(cpu));
}

/* --- the XSAVE family ------------------------------------------------------------------------- */

static uint32_t check_xsave(Cpu *cpu)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_raise(cpu, EXC_UD);
    if (cpu->cr0 & CR0_TS)
        cpu_raise(cpu, EXC_NM);
    return cpu->xcr0 & (uint32_t)cpu->gpr[RAX];
}

static void store_piece(Cpu *cpu, uint64_t linear, const uint8_t *area, unsigned from,
                        unsigned length)
{
    mmu_store_bytes(cpu, linear + from, area + from, length);
}

/* The components WRITE, and MXCSR. */
static void store_components(Cpu *cpu, const Insn *insn, uint64_t linear, uint32_t write,
                             bool with_mxcsr)
{
    uint8_t area[AREA_SIZE];

    put_x87(cpu, area, is_wide(cpu, insn));
    if (write & COMPONENT_X87) {
        store_piece(cpu, linear, area, 0, AREA_MXCSR);
        store_piece(cpu, linear, area, AREA_ST, 128);
    }
    put_mxcsr(cpu, area);
    if (with_mxcsr)
        store_piece(cpu, linear, area, AREA_MXCSR, 8);
    memcpy(area + AREA_XMM, cpu->vectors.xmm, 256);
    if (write & COMPONENT_SSE)
        store_piece(cpu, linear, area, AREA_XMM, xmm_bytes(cpu));
    memcpy(area + AREA_YMM, cpu->vectors.ymm_high, 256);
    if (write & COMPONENT_AVX)
        store_piece(cpu, linear, area, AREA_YMM, xmm_bytes(cpu));
}

/* XSAVEOPT leaves components in their initial configuration unwritten. */
static void insn_xsave(Cpu *cpu, const Insn *insn)
{
    bool optimise =
        insn->mnemonic == ZYDIS_MNEMONIC_XSAVEOPT || insn->mnemonic == ZYDIS_MNEMONIC_XSAVEOPT64;
    uint32_t requested = check_xsave(cpu), used = in_use(cpu);
    uint64_t linear = area_linear(cpu, insn, cpuid_xsave_size(requested), 64, true);

    mmu_probe(cpu, linear, cpuid_xsave_size(requested), ACCESS_WRITE);
    uint64_t header = mmu_load(cpu, linear + AREA_HEADER, 8);
    store_components(cpu, insn, linear, optimise ? requested & used : requested,
                     requested & (COMPONENT_SSE | COMPONENT_AVX));
    mmu_store(cpu, linear + AREA_HEADER, (header & ~(uint64_t)requested) | (used & requested), 8);
}

/* The compacted form (SDM 1, 13.10), in which AVX lies where it does otherwise, as nothing comes
 * before it. MXCSR is a part of the SSE state. */
static void insn_xsavec(Cpu *cpu, const Insn *insn)
{
    uint32_t requested = check_xsave(cpu), used = in_use(cpu);
    uint64_t linear = area_linear(cpu, insn, cpuid_xsave_size(requested), 64, true);

    if (cpu->vectors.mxcsr != MXCSR_INITIAL)
        used |= COMPONENT_SSE;
    mmu_probe(cpu, linear, cpuid_xsave_size(requested), ACCESS_WRITE);
    store_components(cpu, insn, linear, requested & used, requested & used & COMPONENT_SSE);
    mmu_store(cpu, linear + AREA_HEADER, requested & used, 8);
    mmu_store(cpu, linear + AREA_HEADER + 8, requested | COMPACTED, 8);
}

static bool has_xsavec(const Cpu *cpu)
{
    return !cpu->model || cpuid_has(cpu->model, CPUID_XSAVEC);
}

/* Whether the header of AREA is right, for the form it says that it has (SDM 1, 13.8). */
static bool is_header_right(const Cpu *cpu, const uint8_t *area, bool compacted)
{
    uint64_t present = host_load(area + AREA_HEADER, 8);
    uint64_t named = host_load(area + AREA_HEADER + 8, 8) & ~COMPACTED;

    if (compacted)
        return has_xsavec(cpu) && !(named & ~cpu->xcr0) && !(present & ~named) &&
               is_zero(area + AREA_HEADER + 16, AREA_YMM - AREA_HEADER - 16);
    return !(present & ~cpu->xcr0) && is_zero(area + AREA_HEADER + 8, 16);
}

static void insn_xrstor(Cpu *cpu, const Insn *insn)
{
    uint32_t requested = check_xsave(cpu);
    uint8_t area[AREA_SIZE];
    uint64_t linear = area_linear(cpu, insn, cpuid_xsave_size(requested), 64, false);

    /* The header is looked at first, and AVX state only accessed if it says that there is some. */
    mmu_load_bytes(cpu, linear + AREA_HEADER, area + AREA_HEADER, AREA_YMM - AREA_HEADER);
    uint64_t present = host_load(area + AREA_HEADER, 8);
    bool compacted = host_load(area + AREA_HEADER + 8, 8) & COMPACTED;
    if (!is_header_right(cpu, area, compacted))
        cpu_raise_error(cpu, EXC_GP, 0);
    mmu_load_bytes(cpu, linear, area, AREA_HEADER);
    if (requested & present & COMPONENT_AVX)
        mmu_load_bytes(cpu, linear + AREA_YMM, area + AREA_YMM, AREA_SIZE - AREA_YMM);
    uint32_t with_mxcsr = COMPONENT_SSE | COMPONENT_AVX;
    if (compacted) {
        with_mxcsr = COMPONENT_SSE;
        if (!(present & COMPONENT_SSE))
            host_store(area + AREA_MXCSR, MXCSR_INITIAL, 4);
    }
    if (requested & with_mxcsr)
        interp_check_mxcsr(cpu, host_load(area + AREA_MXCSR, 4));

    if (requested & present & COMPONENT_X87)
        take_x87(cpu, area, is_wide(cpu, insn));
    else if (requested & COMPONENT_X87)
        initialise_x87(cpu);
    if (requested & with_mxcsr)
        cpu->vectors.mxcsr = (uint32_t)host_load(area + AREA_MXCSR, 4);
    if (requested & present & COMPONENT_SSE)
        memcpy(cpu->vectors.xmm, area + AREA_XMM, xmm_bytes(cpu));
    else if (requested & COMPONENT_SSE)
        memset(cpu->vectors.xmm, 0, xmm_bytes(cpu));
    if (requested & present & COMPONENT_AVX)
        memcpy(cpu->vectors.ymm_high, area + AREA_YMM, xmm_bytes(cpu));
    else if (requested & COMPONENT_AVX)
        memset(cpu->vectors.ymm_high, 0, xmm_bytes(cpu));
}

/* --- table ------------------------------------------------------------------------------------ */

InterpHandler interp_xsave_handler(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64: return insn_fxsave;
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64: return insn_fxrstor;
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64: return insn_xsave;
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64: return insn_xrstor;
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64: return insn_xsavec;
    default: return NULL;
    }
}
