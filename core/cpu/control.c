/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Control and debug registers, flags with privilege, and the small privileged instructions. */

#include "core/cpu/cpuid.h"
#include "core/cpu/descriptor.h"
#include "core/cpu/msr.h"

static void require_cpl_0(Cpu *cpu)
{
    if (cpu->cpl)
        cpu_raise_error(cpu, EXC_GP, 0);
}

static _Noreturn void raise_gp(Cpu *cpu)
{
    cpu_raise_error(cpu, EXC_GP, 0);
}

/* Makes the run loop look before the next instruction. */
static void leave(Cpu *cpu)
{
    atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
}

/* --- CR0 -----------------------------------------------------------------------------------------
 */

#define CR0_BITS                                                                                   \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

static void check_enter_long_mode(Cpu *cpu)
{
    unsigned tss_type = cpu->seg[SEG_TR].attributes & ATTR_TYPE;

    /* SDM 9.8.5. */
    if (!(cpu->cr4 & CR4_PAE) || (cpu->seg[SEG_CS].attributes & ATTR_L) || tss_type == TYPE_TSS16 ||
        tss_type == TYPE_TSS16_BUSY)
        raise_gp(cpu);
}

static void write_cr0(Cpu *cpu, uint64_t value)
{
    uint64_t old = cpu->cr0;

    if (value >> 32)
        raise_gp(cpu);
    value = (value & CR0_BITS) | CR0_ET;
    bool paging_on = (value & CR0_PG) && !(old & CR0_PG);
    bool paging_off = !(value & CR0_PG) && (old & CR0_PG);

    if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
        raise_gp(cpu);
    if (paging_off && ((cpu->mode & MODE_CS64) || (cpu->cr4 & CR4_PCIDE)))
        raise_gp(cpu);
    if (paging_on && (cpu->efer & EFER_LME))
        check_enter_long_mode(cpu);
    else if ((value & CR0_PG) && (cpu->cr4 & CR4_PAE) && !in_long_mode(cpu) &&
             ((old ^ value) & (CR0_PG | CR0_CD | CR0_NW)))
        mmu_load_pdptes(cpu, cpu->cr3);

    if (paging_on && (cpu->efer & EFER_LME))
        cpu->efer |= EFER_LMA;
    if (paging_off)
        cpu->efer &= ~EFER_LMA;
    cpu->cr0 = value;
    if ((old ^ value) & (CR0_PG | CR0_WP | CR0_PE))
        mmu_flush_all(cpu);
    cpu_update_mode(cpu);
}

void system_lmsw(Cpu *cpu, uint16_t value)
{
    require_cpl_0(cpu);
    /* PE can be set, never cleared. */
    uint64_t low = (value & 0xf) | (cpu->cr0 & CR0_PE);
    write_cr0(cpu, (cpu->cr0 & ~0xfull) | low);
}

void system_clts(Cpu *cpu)
{
    require_cpl_0(cpu);
    cpu->cr0 &= ~CR0_TS;
    cpu_update_mode(cpu);
}

/* --- CR3, CR4, CR8
 * --------------------------------------------------------------------------------- */

static void write_cr3(Cpu *cpu, uint64_t value)
{
    bool keep = false;

    if (in_long_mode(cpu)) {
        uint64_t reserved = ~((1ull << CPUID_PHYSICAL_BITS) - 1);

        if (cpu->cr4 & CR4_PCIDE)
            reserved &= ~(1ull << 63);
        if (value & reserved)
            raise_gp(cpu);
        keep = value >> 63;
        value &= ~(1ull << 63);
    } else if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE)) {
        mmu_load_pdptes(cpu, value);
    }
    cpu->cr3 = value;
    mmu_switch_tables(cpu, keep);
}

static uint64_t cr4_allowed(const CpuidModel *model)
{
    static const struct {
        uint64_t bits;
        CpuidFeature feature;
    } table[] = {
        {CR4_VME | CR4_PVI, CPUID_VME}, {CR4_TSD, CPUID_TSC},           {CR4_DE, CPUID_DE},
        {CR4_PSE, CPUID_PSE},           {CR4_PAE, CPUID_PAE},           {CR4_MCE, CPUID_MCE},
        {CR4_PGE, CPUID_PGE},           {CR4_OSFXSR, CPUID_FXSR},       {CR4_OSXMMEXCPT, CPUID_SSE},
        {CR4_UMIP, CPUID_UMIP},         {CR4_FSGSBASE, CPUID_FSGSBASE}, {CR4_PCIDE, CPUID_PCID},
        {CR4_OSXSAVE, CPUID_XSAVE},     {CR4_SMEP, CPUID_SMEP},         {CR4_SMAP, CPUID_SMAP},
    };
    uint64_t allowed = CR4_PCE;

    for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
        if (cpuid_has(model, table[i].feature))
            allowed |= table[i].bits;
    }
    return allowed;
}

static void write_cr4(Cpu *cpu, uint64_t value)
{
    uint64_t old = cpu->cr4, changed = old ^ value;

    if (value & ~cr4_allowed(cpu->model))
        raise_gp(cpu);
    if (in_long_mode(cpu) && !(value & CR4_PAE))
        raise_gp(cpu);
    if ((changed & value & CR4_PCIDE) && (!in_long_mode(cpu) || (cpu->cr3 & 0xfff)))
        raise_gp(cpu);
    if ((cpu->cr0 & CR0_PG) && !in_long_mode(cpu) && (value & CR4_PAE) &&
        (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)))
        mmu_load_pdptes(cpu, cpu->cr3);
    cpu->cr4 = value;
    if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PCIDE))
        mmu_flush_all(cpu);
    cpu_update_mode(cpu);
}

static void write_cr8(Cpu *cpu, uint64_t value)
{
    if (value > 15)
        raise_gp(cpu);
    cpu_spill_vectors(cpu);
    cpu->board->lock(cpu->board_opaque);
    cpu->board->set_cr8(cpu->board_opaque, (uint8_t)value);
    cpu->board->unlock(cpu->board_opaque);
}

void system_mov_to_cr(Cpu *cpu, unsigned cr, uint64_t value)
{
    require_cpl_0(cpu);
    switch (cr) {
    case 0: write_cr0(cpu, value); break;
    case 2: cpu->cr2 = value; break;
    case 3: write_cr3(cpu, value); break;
    case 4: write_cr4(cpu, value); break;
    case 8: write_cr8(cpu, value); break;
    default: cpu_raise(cpu, EXC_UD);
    }
}

uint64_t system_mov_from_cr(Cpu *cpu, unsigned cr)
{
    require_cpl_0(cpu);
    switch (cr) {
    case 0: return cpu->cr0;
    case 2: return cpu->cr2;
    case 3: return cpu->cr3;
    case 4: return cpu->cr4;
    case 8: {
        cpu_spill_vectors(cpu);
        cpu->board->lock(cpu->board_opaque);
        uint8_t value = cpu->board->get_cr8(cpu->board_opaque);
        cpu->board->unlock(cpu->board_opaque);
        return value;
    }
    default: cpu_raise(cpu, EXC_UD);
    }
}

/* --- debug registers
 * --------------------------------------------------------------------------------- */

static unsigned check_dr(Cpu *cpu, unsigned dr)
{
    if (dr == 4 || dr == 5) {
        if (cpu->cr4 & CR4_DE)
            cpu_raise(cpu, EXC_UD);
        dr += 2;
    } else if (dr > 7) {
        cpu_raise(cpu, EXC_UD);
    }
    require_cpl_0(cpu);
    if (cpu->dr[7] & (1 << 13)) { /* GD: general detect */
        cpu->dr[6] |= 1 << 13;    /* BD */
        cpu_raise(cpu, EXC_DB);
    }
    return dr;
}

void system_mov_to_dr(Cpu *cpu, unsigned dr, uint64_t value)
{
    dr = check_dr(cpu, dr);
    if (dr >= 6 && value >> 32)
        raise_gp(cpu);
    if (dr == 6)
        cpu->dr[6] = 0xffff0ff0 | (value & 0xe00f);
    else if (dr == 7)
        cpu->dr[7] = 0x400 | (value & 0xffff23ff);
    else
        cpu->dr[dr] = value;
    cpu_update_mode(cpu);
}

uint64_t system_mov_from_dr(Cpu *cpu, unsigned dr)
{
    return cpu->dr[check_dr(cpu, dr)];
}

/* --- TLB, tables, caches
 * ------------------------------------------------------------------------------- */

void system_invlpg(Cpu *cpu, uint64_t linear)
{
    require_cpl_0(cpu);
    mmu_flush_page(cpu, linear);
}

void system_invpcid(Cpu *cpu, uint64_t type, uint64_t pcid, uint64_t linear)
{
    if (!cpuid_has(cpu->model, CPUID_INVPCID))
        cpu_raise(cpu, EXC_UD);
    if (cpu->cpl || in_v8086(cpu) || type > 3 || pcid > 0xfff ||
        (type <= 1 && pcid && !(cpu->cr4 & CR4_PCIDE)) || (type == 0 && !cpu_canonical(linear)))
        raise_gp(cpu);
    if (type == 0)
        mmu_flush_pcid_page(cpu, (unsigned)pcid, linear);
    else if (type == 1)
        mmu_flush_pcid(cpu, (unsigned)pcid);
    else if (type == 2)
        mmu_flush_all(cpu);
    else
        mmu_flush_non_global(cpu);
}

void system_lgdt(Cpu *cpu, uint64_t base, uint32_t limit)
{
    require_cpl_0(cpu);
    if (!cpu_canonical(base))
        raise_gp(cpu);
    cpu->gdtr.base = base;
    cpu->gdtr.limit = limit & 0xffff;
}

void system_lidt(Cpu *cpu, uint64_t base, uint32_t limit)
{
    require_cpl_0(cpu);
    if (!cpu_canonical(base))
        raise_gp(cpu);
    cpu->idtr.base = base;
    cpu->idtr.limit = limit & 0xffff;
}

/* Caches are not modelled: memory is always coherent. */
void system_wbinvd(Cpu *cpu)
{
    require_cpl_0(cpu);
}

void system_hlt(Cpu *cpu)
{
    require_cpl_0(cpu);
    cpu->halt_state = CPU_HALTED;
    leave(cpu);
}

void system_swapgs(Cpu *cpu)
{
    require_cpl_0(cpu);
    uint64_t base = cpu->seg[SEG_GS].base;
    cpu->seg[SEG_GS].base = cpu->kernel_gs_base;
    cpu->kernel_gs_base = base;
}

void system_umip_check(Cpu *cpu)
{
    if ((cpu->cr4 & CR4_UMIP) && cpu->cpl)
        raise_gp(cpu);
}

/* --- XCR0 and CPUID
 * -------------------------------------------------------------------------------------- */

void system_xsetbv(Cpu *cpu, uint32_t index, uint64_t value)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_raise(cpu, EXC_UD);
    require_cpl_0(cpu);
    if (index != 0 || !(value & 1) || (value & ~cpuid_xcr0_mask(cpu->model)) || (value & 6) == 4)
        raise_gp(cpu);
    cpu->xcr0 = value;
    cpu_update_mode(cpu);
}

uint64_t system_xgetbv(Cpu *cpu, uint32_t index)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_raise(cpu, EXC_UD);
    if (index == 1 && cpuid_has(cpu->model, CPUID_XGETBV1))
        return cpu->xcr0; /* every component may be in use */
    if (index != 0)
        raise_gp(cpu);
    return cpu->xcr0;
}

void system_cpuid(Cpu *cpu)
{
    uint32_t out[4];

    cpu_spill_vectors(cpu);
    cpuid_query(cpu, (uint32_t)cpu->gpr[RAX], (uint32_t)cpu->gpr[RCX], out);
    cpu->gpr[RAX] = out[0];
    cpu->gpr[RBX] = out[1];
    cpu->gpr[RCX] = out[2];
    cpu->gpr[RDX] = out[3];
}

/* --- MSRs and counters
 * -------------------------------------------------------------------------------------- */

void system_rdmsr(Cpu *cpu)
{
    uint64_t value;

    require_cpl_0(cpu);
    cpu_spill_vectors(cpu);
    if (!msr_read(cpu, (uint32_t)cpu->gpr[RCX], &value))
        raise_gp(cpu);
    cpu->gpr[RAX] = (uint32_t)value;
    cpu->gpr[RDX] = value >> 32;
}

void system_wrmsr(Cpu *cpu)
{
    uint64_t value = (uint32_t)cpu->gpr[RAX] | cpu->gpr[RDX] << 32;

    require_cpl_0(cpu);
    cpu_spill_vectors(cpu);
    if (!msr_write(cpu, (uint32_t)cpu->gpr[RCX], value))
        raise_gp(cpu);
}

uint64_t system_rdtsc(Cpu *cpu)
{
    if ((cpu->cr4 & CR4_TSD) && cpu->cpl)
        raise_gp(cpu);
    return cpu_tsc(cpu);
}

/* No counters are implemented (leaf 0Ah is empty), so every index is wrong. */
void system_rdpmc(Cpu *cpu)
{
    raise_gp(cpu);
}

/* --- I/O permission
 * -------------------------------------------------------------------------------------------- */

static unsigned iopl(const Cpu *cpu)
{
    return (cpu->rflags & RFLAGS_IOPL) >> 12;
}

/* SDM 1, 19.5.2. */
void system_check_io(Cpu *cpu, uint16_t port, unsigned size)
{
    const CpuSegment *tr = &cpu->seg[SEG_TR];

    if (!(cpu->mode & MODE_PE) || (!in_v8086(cpu) && cpu->cpl <= iopl(cpu)))
        return;
    if ((tr->attributes & (ATTR_TYPE & ~2)) != TYPE_TSS32 || !(tr->attributes & ATTR_P) ||
        tr->limit < 103)
        raise_gp(cpu);
    uint32_t map = (uint32_t)mmu_load_system(cpu, tr->base + 102, 2);
    uint32_t at = map + port / 8;
    /* Two bytes are always read. */
    if (at + 1 > tr->limit)
        raise_gp(cpu);
    uint32_t bits = (uint32_t)mmu_load_system(cpu, tr->base + at, 2);
    if (bits >> (port & 7) & ((1u << size) - 1))
        raise_gp(cpu);
}

/* --- IF and the flags image
 * --------------------------------------------------------------------------------------- */

/* IF is virtual for this code: virtual-8086 with VME, or level 3 with PVI. */
static bool has_virtual_if(const Cpu *cpu)
{
    return in_v8086(cpu) ? cpu->cr4 & CR4_VME : cpu->cpl == 3 && (cpu->cr4 & CR4_PVI);
}

static bool may_change_if(const Cpu *cpu)
{
    return !(cpu->mode & MODE_PE) || iopl(cpu) >= cpu->cpl;
}

void system_cli(Cpu *cpu)
{
    if (may_change_if(cpu))
        cpu_set_rflags(cpu, 0, RFLAGS_IF);
    else if (has_virtual_if(cpu))
        cpu_set_rflags(cpu, 0, RFLAGS_VIF);
    else
        raise_gp(cpu);
}

void system_sti(Cpu *cpu)
{
    if (may_change_if(cpu)) {
        if (!(cpu->rflags & RFLAGS_IF))
            cpu->interrupt_shadow |= SHADOW_STI;
        cpu_set_rflags(cpu, RFLAGS_IF, RFLAGS_IF);
    } else if (has_virtual_if(cpu) && !(cpu->rflags & RFLAGS_VIP)) {
        cpu_set_rflags(cpu, RFLAGS_VIF, RFLAGS_VIF);
    } else {
        raise_gp(cpu);
    }
}

uint64_t system_pushf(Cpu *cpu)
{
    uint64_t image = cpu->rflags & ~(uint64_t)(RFLAGS_VM | RFLAGS_RF);

    if (in_v8086(cpu) && iopl(cpu) < 3) {
        if (!(cpu->cr4 & CR4_VME))
            raise_gp(cpu);
        image = (image & ~(uint64_t)RFLAGS_IF) | RFLAGS_IOPL | (image & RFLAGS_VIF ? RFLAGS_IF : 0);
    }
    return image;
}

/* SDM volume 2, table 4-16. */
void system_popf(Cpu *cpu, uint64_t value, unsigned opsize)
{
    uint64_t mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;

    if (opsize >= 4)
        mask |= RFLAGS_AC | RFLAGS_ID | RFLAGS_RF;
    value &= ~(uint64_t)RFLAGS_RF;
    if (in_v8086(cpu) && iopl(cpu) < 3) {
        if (opsize != 2 || !(cpu->cr4 & CR4_VME) || (value & RFLAGS_TF) ||
            ((value & RFLAGS_IF) && (cpu->rflags & RFLAGS_VIP)))
            raise_gp(cpu);
        mask |= RFLAGS_VIF;
        value = (value & ~(uint64_t)RFLAGS_VIF) | (value & RFLAGS_IF ? RFLAGS_VIF : 0);
    } else {
        if (may_change_if(cpu))
            mask |= RFLAGS_IF;
        if (cpu->cpl == 0) {
            mask |= RFLAGS_IOPL;
            if (opsize >= 4) {
                mask |= RFLAGS_VIF | RFLAGS_VIP;
                value &= ~(uint64_t)(RFLAGS_VIF | RFLAGS_VIP);
            }
        }
    }
    cpu_set_rflags(cpu, value, mask);
}
