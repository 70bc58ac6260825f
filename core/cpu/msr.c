/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Model-specific registers: SDM volume 4; AMD BKDG for family 0Fh where numbers start with C001. */

#include "core/cpu/msr.h"

#include "core/cpu/cpuid.h"
#include "core/cpu/mmu.h"

#include <x86intrin.h>

enum {
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_EBL_CR_POWERON = 0x2a,
    MSR_FEATURE_CONTROL = 0x3a,
    MSR_TSC_ADJUST = 0x3b,
    MSR_SPEC_CTRL = 0x48,
    MSR_PRED_CMD = 0x49,
    MSR_UPDATE_TRIGGER = 0x79,
    MSR_UPDATE_ID = 0x8b,
    MSR_MTRR_CAP = 0xfe,
    MSR_ARCH_CAPABILITIES = 0x10a,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP,
    MSR_SYSENTER_EIP,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS,
    MSR_MCG_CTL,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_PHYS_0 = 0x200,
    MSR_MTRR_FIX_64K = 0x250,
    MSR_MTRR_FIX_16K_80000 = 0x258,
    MSR_MTRR_FIX_16K_A0000,
    MSR_MTRR_FIX_4K_C0000 = 0x268,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MSR_MC0_CTL = 0x400,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC_FIRST = 0x800,
    MSR_X2APIC_LAST = 0x8ff,
    MSR_EFER = 0xc0000080,
    MSR_STAR,
    MSR_LSTAR,
    MSR_CSTAR,
    MSR_FMASK,
    MSR_FS_BASE = 0xc0000100,
    MSR_GS_BASE,
    MSR_KERNEL_GS_BASE,
    MSR_TSC_AUX,
    MSR_AMD_PERF_FIRST = 0xc0010000, /* PERF_CTL0-3, PERF_CTR0-3 */
    MSR_AMD_PERF_LAST = 0xc0010007,
    MSR_AMD_SYSCFG = 0xc0010010,
    MSR_AMD_HWCR = 0xc0010015,
    MSR_AMD_IORR_FIRST = 0xc0010016,
    MSR_AMD_TOM2 = 0xc001001d,
    MSR_AMD_NB_CFG = 0xc001001f,
    MSR_AMD_INT_PENDING = 0xc0010055,
    MSR_AMD_PATCH_LOADER = 0xc0010020,
};

enum { MC_BANKS = 10, MTRR_VARIABLE = 8 };

#define MTRR_CAP_VALUE          (MTRR_VARIABLE | 1 << 8 | 1 << 10) /* fixed ranges and write-combining */
#define MCG_CAP_VALUE           (MC_BANKS | 1 << 8)                /* MCG_CTL present */
/* RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO: guest translations
 * never run with another level's memory mapped. */
#define ARCH_CAPABILITIES_VALUE (1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 8)

uint64_t cpu_tsc(const Cpu *cpu)
{
    return __rdtsc() + (uint64_t)cpu->tsc_offset + (uint64_t)cpu->tsc_adjust;
}

/* --- groups --------------------------------------------------------------------------------------
 */

static bool is_board_msr(uint32_t msr)
{
    return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE ||
           (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
}

static bool board_has(const Cpu *cpu, uint32_t msr)
{
    if (msr == MSR_TSC_DEADLINE)
        return cpuid_has(cpu->model, CPUID_TSC_DEADLINE);
    if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
        return cpuid_has(cpu->model, CPUID_X2APIC);
    return cpuid_has(cpu->model, CPUID_APIC);
}

/* Index into mtrr_fixed, or -1. */
static int fixed_mtrr(uint32_t msr)
{
    if (msr == MSR_MTRR_FIX_64K)
        return 0;
    if (msr == MSR_MTRR_FIX_16K_80000 || msr == MSR_MTRR_FIX_16K_A0000)
        return 1 + (int)(msr - MSR_MTRR_FIX_16K_80000);
    if (msr >= MSR_MTRR_FIX_4K_C0000 && msr < MSR_MTRR_FIX_4K_C0000 + 8)
        return 3 + (int)(msr - MSR_MTRR_FIX_4K_C0000);
    return -1;
}

static bool memory_type_valid(unsigned type)
{
    return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

/* Plain 64-bit registers whose address must be canonical. */
static uint64_t *address_register(Cpu *cpu, uint32_t msr)
{
    switch (msr) {
    case MSR_SYSENTER_ESP: return &cpu->sysenter_esp;
    case MSR_SYSENTER_EIP: return &cpu->sysenter_eip;
    case MSR_LSTAR: return &cpu->lstar;
    case MSR_CSTAR: return &cpu->cstar;
    case MSR_FS_BASE: return &cpu->seg[SEG_FS].base;
    case MSR_GS_BASE: return &cpu->seg[SEG_GS].base;
    case MSR_KERNEL_GS_BASE: return &cpu->kernel_gs_base;
    default: return NULL;
    }
}

/* --- reading
 * --------------------------------------------------------------------------------------- */

/* Every AMD processor has four counters, whatever CPUID shows (APM 2, 13.2.1). Ours count nothing
 * and keep nothing, which tells the guest that they are of no use. */
static bool is_amd_counter(uint32_t msr)
{
    return msr >= MSR_AMD_PERF_FIRST && msr <= MSR_AMD_PERF_LAST;
}

static bool read_amd(uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_AMD_HWCR:
    case MSR_AMD_SYSCFG:
    case MSR_AMD_TOM2:
    case MSR_AMD_NB_CFG:
    case MSR_AMD_INT_PENDING: *value = 0; return true;
    default:
        if ((msr >= MSR_AMD_IORR_FIRST && msr <= MSR_AMD_TOM2) || is_amd_counter(msr)) {
            *value = 0;
            return true;
        }
        return false;
    }
}

bool msr_read(Cpu *cpu, uint32_t msr, uint64_t *value)
{
    uint64_t *address = address_register(cpu, msr);
    int fixed = fixed_mtrr(msr);

    if (is_board_msr(msr)) {
        if (!board_has(cpu, msr))
            return false;
        cpu->board->lock(cpu->board_opaque);
        bool known = cpu->board->read_msr(cpu->board_opaque, msr, value);
        cpu->board->unlock(cpu->board_opaque);
        return known;
    }
    if (address) {
        *value = *address;
        return true;
    }
    if (fixed >= 0) {
        *value = cpu->mtrr_fixed[fixed];
        return true;
    }
    if (msr >= MSR_MTRR_PHYS_0 && msr < MSR_MTRR_PHYS_0 + 2 * MTRR_VARIABLE) {
        *value = cpu->mtrr_phys[msr - MSR_MTRR_PHYS_0];
        return true;
    }
    if (msr >= MSR_MC0_CTL && msr < MSR_MC0_CTL + 4 * MC_BANKS) {
        *value = cpu->mc_banks[msr - MSR_MC0_CTL];
        return true;
    }
    switch (msr) {
    case MSR_TSC: *value = cpu_tsc(cpu); break;
    case MSR_PLATFORM_ID:
    case MSR_EBL_CR_POWERON:
        if (cpuid_is_amd(cpu->model))
            return false;
        *value = 0;
        break;
    case MSR_FEATURE_CONTROL:
        if (cpuid_is_amd(cpu->model))
            return false;
        *value = 1; /* locked, nothing enabled */
        break;
    case MSR_TSC_ADJUST:
        if (!cpuid_has(cpu->model, CPUID_TSC_ADJUST))
            return false;
        *value = (uint64_t)cpu->tsc_adjust;
        break;
    case MSR_SPEC_CTRL:
        if (!cpuid_has(cpu->model, CPUID_SPEC_CTRL))
            return false;
        *value = cpu->spec_ctrl;
        break;
    case MSR_UPDATE_ID: *value = cpuid_is_amd(cpu->model) ? 0x01000065 : 1ull << 32; break;
    case MSR_MTRR_CAP: *value = MTRR_CAP_VALUE; break;
    case MSR_ARCH_CAPABILITIES:
        if (!cpuid_has(cpu->model, CPUID_ARCH_CAPABILITIES))
            return false;
        *value = ARCH_CAPABILITIES_VALUE;
        break;
    case MSR_SYSENTER_CS: *value = cpu->sysenter_cs; break;
    case MSR_MCG_CAP: *value = MCG_CAP_VALUE; break;
    case MSR_MCG_STATUS: *value = cpu->mcg_status; break;
    case MSR_MCG_CTL: *value = cpu->mcg_ctl; break;
    case MSR_MISC_ENABLE: *value = cpu->misc_enable; break;
    case MSR_DEBUGCTL: *value = 0; break;
    case MSR_PAT: *value = cpu->pat; break;
    case MSR_MTRR_DEF_TYPE: *value = cpu->mtrr_def_type; break;
    case MSR_EFER: *value = cpu->efer; break;
    case MSR_STAR: *value = cpu->star; break;
    case MSR_FMASK: *value = cpu->fmask; break;
    case MSR_TSC_AUX:
        if (!cpuid_has(cpu->model, CPUID_RDTSCP))
            return false;
        *value = cpu->tsc_aux;
        break;
    default: return cpuid_is_amd(cpu->model) && read_amd(msr, value);
    }
    return true;
}

/* --- writing
 * --------------------------------------------------------------------------------------- */

static bool write_efer(Cpu *cpu, uint64_t value)
{
    uint64_t allowed = EFER_LMA;

    if (cpuid_has(cpu->model, CPUID_SYSCALL))
        allowed |= EFER_SCE;
    if (cpuid_has(cpu->model, CPUID_LM))
        allowed |= EFER_LME;
    if (cpuid_has(cpu->model, CPUID_NX))
        allowed |= EFER_NXE;
    if (cpuid_has(cpu->model, CPUID_AUTO_IBRS))
        allowed |= EFER_AIBRSE;
    if (value & ~allowed)
        return false;
    uint64_t changed = cpu->efer ^ value;
    if ((changed & EFER_LME) && (cpu->cr0 & CR0_PG))
        return false;
    cpu->efer = (value & ~EFER_LMA) | (cpu->efer & EFER_LMA);
    if (changed & EFER_NXE)
        mmu_flush_all(cpu);
    cpu_update_mode(cpu);
    return true;
}

static bool write_pat(Cpu *cpu, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = (value >> (i * 8)) & 0xff;
        if (!memory_type_valid(type) && type != 7)
            return false;
    }
    cpu->pat = value;
    return true;
}

static bool write_fixed_mtrr(Cpu *cpu, int index, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        if (!memory_type_valid((value >> (i * 8)) & 0xff))
            return false;
    }
    cpu->mtrr_fixed[index] = value;
    return true;
}

static bool write_phys_mtrr(Cpu *cpu, unsigned index, uint64_t value)
{
    if (value >> CPUID_PHYSICAL_BITS)
        return false;
    if (index & 1 ? value & 0x7ff : (value & 0xf00) || !memory_type_valid(value & 0xff))
        return false;
    cpu->mtrr_phys[index] = value;
    return true;
}

/* Status registers take zero only (SDM 15.3.2.2). */
static bool write_mc_bank(Cpu *cpu, unsigned index, uint64_t value)
{
    if ((index & 3) == 1 && value)
        return false;
    cpu->mc_banks[index] = value;
    return true;
}

static bool write_amd(uint32_t msr)
{
    return (msr >= MSR_AMD_SYSCFG && msr <= MSR_AMD_TOM2) || msr == MSR_AMD_NB_CFG ||
           msr == MSR_AMD_INT_PENDING || msr == MSR_AMD_PATCH_LOADER || is_amd_counter(msr);
}

bool msr_write(Cpu *cpu, uint32_t msr, uint64_t value)
{
    uint64_t *address = address_register(cpu, msr);
    int fixed = fixed_mtrr(msr);

    if (is_board_msr(msr)) {
        if (!board_has(cpu, msr))
            return false;
        cpu->board->lock(cpu->board_opaque);
        bool known = cpu->board->write_msr(cpu->board_opaque, msr, value);
        cpu->board->unlock(cpu->board_opaque);
        return known;
    }
    if (address) {
        if (!cpu_canonical(value))
            return false;
        *address = value;
        return true;
    }
    if (fixed >= 0)
        return write_fixed_mtrr(cpu, fixed, value);
    if (msr >= MSR_MTRR_PHYS_0 && msr < MSR_MTRR_PHYS_0 + 2 * MTRR_VARIABLE)
        return write_phys_mtrr(cpu, msr - MSR_MTRR_PHYS_0, value);
    if (msr >= MSR_MC0_CTL && msr < MSR_MC0_CTL + 4 * MC_BANKS)
        return write_mc_bank(cpu, msr - MSR_MC0_CTL, value);
    switch (msr) {
    case MSR_TSC:
        /* Moves IA32_TSC_ADJUST with it (SDM 17.17.3). */
        cpu->tsc_adjust += (int64_t)(value - cpu_tsc(cpu));
        return true;
    case MSR_TSC_ADJUST:
        if (!cpuid_has(cpu->model, CPUID_TSC_ADJUST))
            return false;
        cpu->tsc_adjust = (int64_t)value;
        return true;
    case MSR_SPEC_CTRL: /* IBRS, STIBP, SSBD: kept, without effect */
        if (!cpuid_has(cpu->model, CPUID_SPEC_CTRL) || value > 7)
            return false;
        cpu->spec_ctrl = (uint32_t)value;
        return true;
    case MSR_PRED_CMD: return cpuid_has(cpu->model, CPUID_SPEC_CTRL) && value <= 1;
    case MSR_UPDATE_TRIGGER: return true; /* a microcode update: taken, without effect */
    case MSR_UPDATE_ID: return true;
    case MSR_SYSENTER_CS: cpu->sysenter_cs = (uint32_t)value; return true;
    case MSR_MCG_STATUS:
        if (value)
            return false;
        cpu->mcg_status = 0;
        return true;
    case MSR_MCG_CTL:
        if (value && value != UINT64_MAX)
            return false;
        cpu->mcg_ctl = value;
        return true;
    case MSR_MISC_ENABLE: cpu->misc_enable = value; return true;
    case MSR_DEBUGCTL: return !(value & ~3ull); /* LBR and BTF: accepted, nothing is recorded */
    case MSR_PAT: return write_pat(cpu, value);
    case MSR_MTRR_DEF_TYPE:
        if ((value & ~0xcffull) || !memory_type_valid(value & 0xff))
            return false;
        cpu->mtrr_def_type = value;
        return true;
    case MSR_EFER: return write_efer(cpu, value);
    case MSR_STAR: cpu->star = value; return true;
    case MSR_FMASK: cpu->fmask = (uint32_t)value; return true;
    case MSR_TSC_AUX:
        if (!cpuid_has(cpu->model, CPUID_RDTSCP) || value >> 32)
            return false;
        cpu->tsc_aux = value;
        return true;
    default: return cpuid_is_amd(cpu->model) && write_amd(msr);
    }
}
