/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Operands and privilege of the system instructions; what they do stands in system.h's files. */

#include "core/cpu/hostexec.h"
#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

/* --- checks ----------------------------------------------------------------------------------- */

static void require_cpl0(Cpu *cpu)
{
    if (cpu->cpl)
        cpu_raise_error(cpu, EXC_GP, 0);
}

/* Instructions about selectors do not exist in real and virtual-8086 mode. */
static void require_protected_mode(Cpu *cpu)
{
    if (!(cpu->mode & MODE_PE) || (cpu->mode & MODE_VM86))
        cpu_raise(cpu, EXC_UD);
}

static void set_zf(Cpu *cpu, bool zero)
{
    cpu->rflags = zero ? cpu->rflags | RFLAGS_ZF : cpu->rflags & ~(uint64_t)RFLAGS_ZF;
}

/* --- descriptor tables ------------------------------------------------------------------------ */

static void store_table(Cpu *cpu, const Insn *insn, uint64_t base, uint16_t limit)
{
    unsigned base_size = cpu_is_64bit(cpu) ? 8 : 4;
    system_umip_check(cpu);
    uint64_t linear = insn_linear(cpu, insn, 2 + base_size, true);
    mmu_probe(cpu, linear, 2 + base_size, ACCESS_WRITE);
    interp_store(cpu, linear, limit, 2);
    interp_store(cpu, linear + 2, base, base_size);
}

static void insn_sgdt(Cpu *cpu, const Insn *insn)
{
    store_table(cpu, insn, cpu->gdtr.base, cpu->gdtr.limit);
}

static void insn_sidt(Cpu *cpu, const Insn *insn)
{
    store_table(cpu, insn, cpu->idtr.base, cpu->idtr.limit);
}

/* A 16-bit operand size loads 24 bits of base. */
static uint64_t load_table(Cpu *cpu, const Insn *insn, uint16_t *limit)
{
    bool wide = cpu_is_64bit(cpu);
    require_cpl0(cpu);
    uint64_t linear = insn_linear(cpu, insn, wide ? 10 : 6, false);
    *limit = interp_load(cpu, linear, 2);
    uint64_t base = interp_load(cpu, linear + 2, wide ? 8 : 4);
    return !wide && insn->opsize == 2 ? base & 0xffffff : base;
}

static void insn_lgdt(Cpu *cpu, const Insn *insn)
{
    uint16_t limit;
    uint64_t base = load_table(cpu, insn, &limit);
    system_lgdt(cpu, base, limit);
}

static void insn_lidt(Cpu *cpu, const Insn *insn)
{
    uint16_t limit;
    uint64_t base = load_table(cpu, insn, &limit);
    system_lidt(cpu, base, limit);
}

/* SLDT, STR, SMSW: 16 bits to memory, the operand size to a register. */
static void store_word(Cpu *cpu, const Insn *insn, uint64_t value)
{
    if (insn->operands[0].kind == OPERAND_REG)
        gpr_write(cpu, insn->operands[0].reg, value, insn->operands[0].size);
    else
        interp_store(cpu, insn_linear(cpu, insn, 2, true), value & 0xffff, 2);
}

static void insn_sldt(Cpu *cpu, const Insn *insn)
{
    require_protected_mode(cpu);
    system_umip_check(cpu);
    store_word(cpu, insn, cpu->seg[SEG_LDTR].selector);
}

static void insn_str(Cpu *cpu, const Insn *insn)
{
    require_protected_mode(cpu);
    system_umip_check(cpu);
    store_word(cpu, insn, cpu->seg[SEG_TR].selector);
}

static void insn_smsw(Cpu *cpu, const Insn *insn)
{
    system_umip_check(cpu);
    store_word(cpu, insn, cpu->cr0);
}

static void insn_lldt(Cpu *cpu, const Insn *insn)
{
    require_protected_mode(cpu);
    require_cpl0(cpu);
    system_lldt(cpu, operand_read(cpu, insn, 0, 2));
}

static void insn_ltr(Cpu *cpu, const Insn *insn)
{
    require_protected_mode(cpu);
    require_cpl0(cpu);
    system_ltr(cpu, operand_read(cpu, insn, 0, 2));
}

static void insn_lmsw(Cpu *cpu, const Insn *insn)
{
    require_cpl0(cpu);
    system_lmsw(cpu, operand_read(cpu, insn, 0, 2));
}

/* --- looking at selectors --------------------------------------------------------------------- */

static void insn_lar(Cpu *cpu, const Insn *insn)
{
    uint32_t value;
    require_protected_mode(cpu);
    bool valid = system_lar(cpu, operand_read(cpu, insn, 1, 2), &value);
    if (valid)
        gpr_write(cpu, insn->operands[0].reg, value, insn->operands[0].size);
    set_zf(cpu, valid);
}

static void insn_lsl(Cpu *cpu, const Insn *insn)
{
    uint32_t value;
    require_protected_mode(cpu);
    bool valid = system_lsl(cpu, operand_read(cpu, insn, 1, 2), &value);
    if (valid)
        gpr_write(cpu, insn->operands[0].reg, value, insn->operands[0].size);
    set_zf(cpu, valid);
}

static void insn_verr(Cpu *cpu, const Insn *insn)
{
    require_protected_mode(cpu);
    set_zf(cpu, system_verify(cpu, operand_read(cpu, insn, 0, 2), false));
}

static void insn_verw(Cpu *cpu, const Insn *insn)
{
    require_protected_mode(cpu);
    set_zf(cpu, system_verify(cpu, operand_read(cpu, insn, 0, 2), true));
}

static void insn_arpl(Cpu *cpu, const Insn *insn)
{
    require_protected_mode(cpu);
    uint16_t rpl = cpu->gpr[insn->operands[1].reg] & 3, selector;
    if (insn->operands[0].kind == OPERAND_REG) {
        selector = cpu->gpr[insn->operands[0].reg];
        if ((selector & 3) < rpl)
            gpr_write(cpu, insn->operands[0].reg, (selector & ~3) | rpl, 2);
    } else {
        InterpRmw rmw;
        rmw_begin(cpu, insn, &rmw, 2, false);
        selector = rmw.old;
        rmw_commit(cpu, &rmw, (selector & 3) < rpl ? (selector & ~3) | rpl : selector);
    }
    set_zf(cpu, (selector & 3) < rpl);
}

/* --- privileged state ------------------------------------------------------------------------- */

static void insn_clts(Cpu *cpu, const Insn *insn)
{
    system_clts(cpu);
}

static void insn_hlt(Cpu *cpu, const Insn *insn)
{
    system_hlt(cpu);
}

/* INVD, WBINVD: the caches are the host's. */
static void insn_wbinvd(Cpu *cpu, const Insn *insn)
{
    system_wbinvd(cpu);
}

static void insn_invlpg(Cpu *cpu, const Insn *insn)
{
    require_cpl0(cpu);
    uint64_t linear = insn_offset(cpu, insn);
    if (!cpu_is_64bit(cpu) || insn->mem_seg >= SEG_FS)
        linear += cpu->seg[insn->mem_seg].base;
    system_invlpg(cpu, cpu_is_64bit(cpu) ? linear : (uint32_t)linear);
}

static void insn_invpcid(Cpu *cpu, const Insn *insn)
{
    require_cpl0(cpu);
    uint64_t linear = insn_linear(cpu, insn, 16, false);
    uint64_t pcid = interp_load(cpu, linear, 8), address = interp_load(cpu, linear + 8, 8);
    uint64_t type = gpr_read(cpu, insn->operands[0].reg, cpu_is_64bit(cpu) ? 8 : 4);
    system_invpcid(cpu, type, pcid, address);
}

static void insn_swapgs(Cpu *cpu, const Insn *insn)
{
    system_swapgs(cpu);
}

static void insn_rdmsr(Cpu *cpu, const Insn *insn)
{
    system_rdmsr(cpu);
}

static void insn_wrmsr(Cpu *cpu, const Insn *insn)
{
    system_wrmsr(cpu);
}

static void insn_rdpmc(Cpu *cpu, const Insn *insn)
{
    system_rdpmc(cpu);
}

static void insn_cpuid(Cpu *cpu, const Insn *insn)
{
    system_cpuid(cpu);
}

static void insn_rdtsc(Cpu *cpu, const Insn *insn)
{
    uint64_t tsc = system_rdtsc(cpu);
    cpu->gpr[RAX] = (uint32_t)tsc;
    cpu->gpr[RDX] = tsc >> 32;
}

static void insn_rdtscp(Cpu *cpu, const Insn *insn)
{
    insn_rdtsc(cpu, insn);
    cpu->gpr[RCX] = (uint32_t)cpu->tsc_aux;
}

static void insn_rdpid(Cpu *cpu, const Insn *insn)
{
    gpr_write(cpu, insn->operands[0].reg, (uint32_t)cpu->tsc_aux, cpu_is_64bit(cpu) ? 8 : 4);
}

static void insn_xgetbv(Cpu *cpu, const Insn *insn)
{
    uint64_t value = system_xgetbv(cpu, cpu->gpr[RCX]);
    cpu->gpr[RAX] = (uint32_t)value;
    cpu->gpr[RDX] = value >> 32;
}

static void insn_xsetbv(Cpu *cpu, const Insn *insn)
{
    system_xsetbv(cpu, cpu->gpr[RCX], gpr_read(cpu, RDX, 4) << 32 | gpr_read(cpu, RAX, 4));
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE: 64-bit code only, which decoding sees to. */
static void insn_segment_base(Cpu *cpu, const Insn *insn)
{
    unsigned reg = insn->operands[0].reg, size = insn->operands[0].size, mnemonic = insn->mnemonic;
    bool fs = mnemonic == ZYDIS_MNEMONIC_RDFSBASE || mnemonic == ZYDIS_MNEMONIC_WRFSBASE;
    CpuSegment *segment = &cpu->seg[fs ? SEG_FS : SEG_GS];
    if (!(cpu->cr4 & CR4_FSGSBASE))
        cpu_raise(cpu, EXC_UD);
    if (mnemonic == ZYDIS_MNEMONIC_RDFSBASE || mnemonic == ZYDIS_MNEMONIC_RDGSBASE) {
        gpr_write(cpu, reg, segment->base, size);
        return;
    }
    uint64_t base = gpr_read(cpu, reg, size);
    if (!cpu_canonical(base))
        cpu_raise_error(cpu, EXC_GP, 0);
    segment->base = base;
    cpu_update_mode(cpu);
}

/* MONITOR arms nothing: MWAIT may wake at any time (SDM 2B, MWAIT). */
static void insn_monitor(Cpu *cpu, const Insn *insn)
{
    if (cpu->cpl)
        cpu_raise(cpu, EXC_UD);
    if ((uint32_t)cpu->gpr[RCX])
        cpu_raise_error(cpu, EXC_GP, 0);
    uint64_t offset = gpr_read(cpu, RAX, insn->address_size);
    interp_load(cpu, interp_linear(cpu, insn->mem_seg, offset, 1, false), 1);
}

static void insn_mwait(Cpu *cpu, const Insn *insn)
{
    if (cpu->cpl)
        cpu_raise(cpu, EXC_UD);
    if ((uint32_t)cpu->gpr[RCX] & ~1u)
        cpu_raise_error(cpu, EXC_GP, 0);
    __builtin_ia32_pause();
}

/* --- flags ------------------------------------------------------------------------------------ */

static void insn_cli(Cpu *cpu, const Insn *insn)
{
    system_cli(cpu);
}

static void insn_sti(Cpu *cpu, const Insn *insn)
{
    system_sti(cpu);
}

static void insn_clac(Cpu *cpu, const Insn *insn)
{
    if (cpu->cpl)
        cpu_raise(cpu, EXC_UD);
    cpu_set_rflags(cpu, 0, RFLAGS_AC);
}

static void insn_stac(Cpu *cpu, const Insn *insn)
{
    if (cpu->cpl)
        cpu_raise(cpu, EXC_UD);
    cpu_set_rflags(cpu, RFLAGS_AC, RFLAGS_AC);
}

/* --- ports ------------------------------------------------------------------------------------ */

/* IN and OUT move a byte for the even opcodes, else 16 or 32 bits. */
static unsigned port_size(const Insn *insn)
{
    return !(insn->opcode & 1) ? 1 : insn->opsize == 2 ? 2 : 4;
}

static uint16_t port_number(const Cpu *cpu, const Insn *insn)
{
    return insn->imm_size ? insn->immediate & 0xff : cpu->gpr[RDX];
}

static void insn_in(Cpu *cpu, const Insn *insn)
{
    unsigned size = port_size(insn);
    uint16_t port = port_number(cpu, insn);
    system_check_io(cpu, port, size);
    gpr_write(cpu, RAX, cpu_port_in(cpu, port, size), size);
}

static void insn_out(Cpu *cpu, const Insn *insn)
{
    unsigned size = port_size(insn);
    uint16_t port = port_number(cpu, insn);
    system_check_io(cpu, port, size);
    cpu_port_out(cpu, port, cpu->gpr[RAX] & size_mask(size), size);
}

/* --- table ------------------------------------------------------------------------------------ */

InterpHandler interp_system_handler(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_SGDT: return insn_sgdt;
    case ZYDIS_MNEMONIC_SIDT: return insn_sidt;
    case ZYDIS_MNEMONIC_LGDT: return insn_lgdt;
    case ZYDIS_MNEMONIC_LIDT: return insn_lidt;
    case ZYDIS_MNEMONIC_SLDT: return insn_sldt;
    case ZYDIS_MNEMONIC_STR: return insn_str;
    case ZYDIS_MNEMONIC_SMSW: return insn_smsw;
    case ZYDIS_MNEMONIC_LLDT: return insn_lldt;
    case ZYDIS_MNEMONIC_LTR: return insn_ltr;
    case ZYDIS_MNEMONIC_LMSW: return insn_lmsw;
    case ZYDIS_MNEMONIC_LAR: return insn_lar;
    case ZYDIS_MNEMONIC_LSL: return insn_lsl;
    case ZYDIS_MNEMONIC_VERR: return insn_verr;
    case ZYDIS_MNEMONIC_VERW: return insn_verw;
    case ZYDIS_MNEMONIC_ARPL: return insn_arpl;
    case ZYDIS_MNEMONIC_CLTS: return insn_clts;
    case ZYDIS_MNEMONIC_HLT: return insn_hlt;
    case ZYDIS_MNEMONIC_INVD:
    case ZYDIS_MNEMONIC_WBINVD: return insn_wbinvd;
    case ZYDIS_MNEMONIC_INVLPG: return insn_invlpg;
    case ZYDIS_MNEMONIC_INVPCID: return insn_invpcid;
    case ZYDIS_MNEMONIC_SWAPGS: return insn_swapgs;
    case ZYDIS_MNEMONIC_RDMSR: return insn_rdmsr;
    case ZYDIS_MNEMONIC_WRMSR: return insn_wrmsr;
    case ZYDIS_MNEMONIC_RDPMC: return insn_rdpmc;
    case ZYDIS_MNEMONIC_CPUID: return insn_cpuid;
    case ZYDIS_MNEMONIC_RDTSC: return insn_rdtsc;
    case ZYDIS_MNEMONIC_RDTSCP: return insn_rdtscp;
    case ZYDIS_MNEMONIC_RDPID: return insn_rdpid;
    case ZYDIS_MNEMONIC_XGETBV: return insn_xgetbv;
    case ZYDIS_MNEMONIC_XSETBV: return insn_xsetbv;
    case ZYDIS_MNEMONIC_RDFSBASE:
    case ZYDIS_MNEMONIC_RDGSBASE:
    case ZYDIS_MNEMONIC_WRFSBASE:
    case ZYDIS_MNEMONIC_WRGSBASE: return insn_segment_base;
    case ZYDIS_MNEMONIC_MONITOR: return insn_monitor;
    case ZYDIS_MNEMONIC_MWAIT: return insn_mwait;
    case ZYDIS_MNEMONIC_CLI: return insn_cli;
    case ZYDIS_MNEMONIC_STI: return insn_sti;
    case ZYDIS_MNEMONIC_CLAC: return insn_clac;
    case ZYDIS_MNEMONIC_STAC: return insn_stac;
    case ZYDIS_MNEMONIC_IN: return insn_in;
    case ZYDIS_MNEMONIC_OUT: return insn_out;
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED: return hostexec_integer;
    default: return NULL;
    }
}
