/* SPDX-License-Identifier: GPL-3.0-or-later */

/* SYSCALL, SYSRET, SYSENTER, SYSEXIT: flat segments loaded without descriptors (SDM 5.8.7, 5.8.8;
 * AMD APM volume 2, 6.1). The vendors differ: AMD has SYSCALL outside 64-bit mode and no SYSENTER
 * in long mode. */

#include "core/cpu/cpuid.h"
#include "core/cpu/descriptor.h"

enum {
    ATTR_FLAT_DATA = ATTR_P | ATTR_S | ATTR_WRITABLE | ATTR_ACCESSED | ATTR_DB | ATTR_G,
    ATTR_FLAT_CODE = ATTR_P | ATTR_S | ATTR_CODE | ATTR_READABLE | ATTR_ACCESSED | ATTR_G,
};

static void load_flat(Cpu *cpu, uint16_t cs, uint16_t ss, bool code64, unsigned cpl)
{
    uint16_t dpl = (uint16_t)(cpl << ATTR_DPL_SHIFT);

    cpu->seg[SEG_CS] = (CpuSegment){0, 0xffffffff, (uint16_t)((cs & ~3u) | cpl),
                                    (uint16_t)(ATTR_FLAT_CODE | (code64 ? ATTR_L : ATTR_DB) | dpl)};
    cpu->seg[SEG_SS] =
        (CpuSegment){0, 0xffffffff, (uint16_t)((ss & ~3u) | cpl), (uint16_t)(ATTR_FLAT_DATA | dpl)};
    cpu->cpl = (uint8_t)cpl;
    cpu_update_mode(cpu);
}

static void check_syscall(Cpu *cpu)
{
    if (!(cpu->efer & EFER_SCE) || !(cpu->cr0 & CR0_PE))
        cpu_raise(cpu, EXC_UD);
    if (!cpuid_is_amd(cpu->model) && !(cpu->mode & MODE_CS64))
        cpu_raise(cpu, EXC_UD);
}

void system_syscall(Cpu *cpu)
{
    uint16_t cs = (uint16_t)(cpu->star >> 32);

    check_syscall(cpu);
    cpu->step_suppressed = true;
    if (in_long_mode(cpu)) {
        uint64_t target = cpu->mode & MODE_CS64 ? cpu->lstar : cpu->cstar;
        cpu->gpr[RCX] = cpu->next_rip;
        cpu->gpr[R11] = cpu->rflags & ~(uint64_t)RFLAGS_RF;
        load_flat(cpu, cs, cs + 8, true, 0);
        cpu_set_rflags(cpu, 0, cpu->fmask | RFLAGS_RF);
        cpu->next_rip = target;
    } else {
        cpu->gpr[RCX] = (uint32_t)cpu->next_rip;
        cpu_set_rflags(cpu, 0, RFLAGS_IF | RFLAGS_VM | RFLAGS_RF);
        load_flat(cpu, cs, cs + 8, false, 0);
        cpu->next_rip = (uint32_t)cpu->star;
    }
}

void system_sysret(Cpu *cpu, unsigned opsize)
{
    uint16_t base = (uint16_t)(cpu->star >> 48);

    check_syscall(cpu);
    if (cpu->cpl)
        raise_zero(cpu, EXC_GP);
    if (!in_long_mode(cpu)) {
        load_flat(cpu, base, base + 8, false, 3);
        cpu_set_rflags(cpu, RFLAGS_IF, RFLAGS_IF);
        cpu->next_rip = (uint32_t)cpu->gpr[RCX];
        return;
    }
    bool wide = opsize == 8;
    uint64_t target = wide ? cpu->gpr[RCX] : (uint32_t)cpu->gpr[RCX];
    /* Intel faults here, at level 0; AMD at the target, at level 3. */
    if (!cpuid_is_amd(cpu->model) && !cpu_canonical(target))
        raise_zero(cpu, EXC_GP);
    load_flat(cpu, wide ? base + 16 : base, base + 8, wide, 3);
    cpu_set_rflags(cpu, cpu->gpr[R11] & 0x3c7fd7, ~0ull);
    cpu->next_rip = target;
}

static void check_sysenter(Cpu *cpu)
{
    if (cpuid_is_amd(cpu->model) && in_long_mode(cpu))
        cpu_raise(cpu, EXC_UD);
    if (!(cpu->cr0 & CR0_PE) || selector_is_null((uint16_t)cpu->sysenter_cs))
        raise_zero(cpu, EXC_GP);
}

void system_sysenter(Cpu *cpu)
{
    bool wide = in_long_mode(cpu);
    uint16_t cs = (uint16_t)cpu->sysenter_cs;

    check_sysenter(cpu);
    cpu_set_rflags(cpu, 0, RFLAGS_VM | RFLAGS_IF | RFLAGS_RF);
    load_flat(cpu, cs, cs + 8, wide, 0);
    cpu->gpr[RSP] = wide ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
    cpu->next_rip = wide ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip;
}

void system_sysexit(Cpu *cpu, unsigned opsize)
{
    uint16_t cs = (uint16_t)cpu->sysenter_cs;
    bool wide = opsize == 8;
    uint64_t rip = wide ? cpu->gpr[RDX] : (uint32_t)cpu->gpr[RDX];
    uint64_t rsp = wide ? cpu->gpr[RCX] : (uint32_t)cpu->gpr[RCX];

    check_sysenter(cpu);
    if (cpu->cpl || !cpu_canonical(rip) || !cpu_canonical(rsp))
        raise_zero(cpu, EXC_GP);
    if (wide)
        load_flat(cpu, cs + 32, cs + 40, true, 3);
    else
        load_flat(cpu, cs + 16, cs + 24, false, 3);
    cpu->gpr[RSP] = rsp;
    cpu->next_rip = rip;
}
