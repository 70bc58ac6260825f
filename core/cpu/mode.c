/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The derived mode word.
 *
 * Built with -mgeneral-regs-only: guest vectors may be live in the host's registers.
 */

#include "core/cpu/debug.h"
#include "core/cpu/mmu.h"

/* Offsets equal linear addresses and no limit or type check can fail. */
static bool is_flat(const CpuSegment *segment, bool protected_mode, bool need_write)
{
    uint16_t a = segment->attributes;

    if (segment->base || segment->limit != 0xffffffff)
        return false;
    if (!protected_mode)
        return true;
    if (!(a & ATTR_P) || !(a & ATTR_S))
        return false;
    if (a & ATTR_CODE)
        return !need_write && (a & ATTR_READABLE);
    return !(a & ATTR_EXPAND_DOWN) && (a & ATTR_WRITABLE);
}

static bool breakpoints_enabled(uint64_t dr7)
{
    return dr7 & 0xff;
}

void cpu_update_mode(Cpu *cpu)
{
    bool pe = cpu->cr0 & CR0_PE, vm = pe && (cpu->rflags & RFLAGS_VM);
    bool checks = pe && !vm;
    const CpuSegment *cs = &cpu->seg[SEG_CS];
    uint32_t mode = 0;

    if (pe)
        mode |= MODE_PE;
    if (vm)
        mode |= MODE_VM86;
    if (cpu->cr0 & CR0_PG)
        mode |= MODE_PAGING;
    if (cpu->efer & EFER_LMA) {
        mode |= MODE_LMA;
        if (cs->attributes & ATTR_L)
            mode |= MODE_CS64;
    }
    if (mode & MODE_CS64) {
        mode |= MODE_SS32 | MODE_FLAT_CS | MODE_FLAT_DS | MODE_FLAT_ES | MODE_FLAT_SS;
    } else {
        if (cs->attributes & ATTR_DB)
            mode |= MODE_CS32;
        if (cpu->seg[SEG_SS].attributes & ATTR_DB)
            mode |= MODE_SS32;
        if (is_flat(cs, checks, false))
            mode |= MODE_FLAT_CS;
        if (is_flat(&cpu->seg[SEG_DS], checks, true))
            mode |= MODE_FLAT_DS;
        if (is_flat(&cpu->seg[SEG_ES], checks, true))
            mode |= MODE_FLAT_ES;
        if (is_flat(&cpu->seg[SEG_SS], checks, true))
            mode |= MODE_FLAT_SS;
    }
    if (cpu->cr4 & CR4_SMAP)
        mode |= MODE_SMAP;
    mode |= (uint32_t)cpu->cpl << MODE_CPL_SHIFT;
    mode |= mmu_set_for_cpl(cpu, cpu->cpl) << MODE_MMU_SHIFT;
    if (cpu->cr0 & (CR0_EM | CR0_TS))
        mode |= MODE_X87_TRAP;
    if ((cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR))
        mode |= MODE_SSE_UD;
    if (cpu->cr0 & CR0_TS)
        mode |= MODE_SSE_NM;
    if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & 6) != 6)
        mode |= MODE_AVX_UD;
    if (cpu->rflags & RFLAGS_TF)
        mode |= MODE_TF;
    if (breakpoints_enabled(cpu->dr[7]))
        mode |= MODE_DEBUG;
    if (cpu->cpl == 3 && (cpu->cr0 & CR0_AM) && (cpu->rflags & RFLAGS_AC))
        mode |= MODE_AC;
    if (cpu->debug)
        mode |= cpu->debug->mode;
    cpu->mode = mode;
    if (mode & (MODE_TF | MODE_DEBUG))
        atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
}

void cpu_set_rflags(Cpu *cpu, uint64_t value, uint64_t mask)
{
    uint64_t old = cpu->rflags;

    cpu->rflags = ((old & ~mask) | (value & mask)) | RFLAGS_1;
    uint64_t changed = old ^ cpu->rflags;
    if (changed & (RFLAGS_TF | RFLAGS_VM | RFLAGS_AC))
        cpu_update_mode(cpu);
    if ((changed & cpu->rflags & RFLAGS_IF) &&
        (atomic_load_explicit(&cpu->lines, memory_order_relaxed) & REQUEST_INTERRUPT))
        atomic_fetch_or(&cpu->requests, REQUEST_INTERRUPT);
}
