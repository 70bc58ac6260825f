/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Architectural state: reset values, raising, and its printed form. */

#include "core/cpu/cpu.h"

#include "core/cpu/cpuid.h"
#include "core/cpu/debug.h"
#include "core/cpu/mmu.h"
#include "core/cpu/system.h"

#include <inttypes.h>
#include <string.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

/* --- raising -----------------------------------------------------------------------------------
 */

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer does not know the helper stack below the Cpu, so that frames which a jump leaves
 * there, and on the C stack behind it, would stay marked. */
static void forget_helper_frames(const Cpu *cpu)
{
    enum { BELOW = 8192, ABOVE = 512 }; /* jit_run() and its callers up to the run loop */
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), top = (uintptr_t)cpu;

    if (here >= top || top - here > CPU_HELPER_STACK)
        return;
    __asan_unpoison_memory_region((void *)here, top - here);
    __asan_unpoison_memory_region((void *)(cpu->jit_frame - BELOW), BELOW + ABOVE);
}
#else
static void forget_helper_frames(const Cpu *cpu)
{
}
#endif

void cpu_abandon(Cpu *cpu)
{
    forget_helper_frames(cpu);
    cpu_spill_vectors(cpu);
    siglongjmp(cpu->escape, 1);
}

static _Noreturn void escape(Cpu *cpu, int vector, bool has_error, uint32_t error)
{
    cpu->raised_vector = vector;
    cpu->raised_has_error = has_error;
    cpu->raised_error = error;
    cpu_abandon(cpu);
}

void cpu_raise(Cpu *cpu, int vector)
{
    escape(cpu, vector, false, 0);
}

void cpu_raise_error(Cpu *cpu, int vector, uint32_t error_code)
{
    escape(cpu, vector, true, error_code);
}

void cpu_raise_pf(Cpu *cpu, uint64_t address, uint32_t error_code)
{
    cpu->cr2 = address;
    escape(cpu, EXC_PF, true, error_code);
}

/* --- reset (SDM table 9-1) ---------------------------------------------------------------------
 */

enum {
    ATTR_DATA_RW = ATTR_P | ATTR_S | ATTR_WRITABLE | ATTR_ACCESSED,
    ATTR_CODE_RX = ATTR_P | ATTR_S | ATTR_CODE | ATTR_READABLE | ATTR_ACCESSED,
};

static void reset_segments(Cpu *cpu)
{
    for (int seg = SEG_ES; seg <= SEG_GS; seg++)
        cpu->seg[seg] = (CpuSegment){.limit = 0xffff, .attributes = ATTR_DATA_RW};
    cpu->seg[SEG_CS] = (CpuSegment){
        .base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .attributes = ATTR_DATA_RW | 8};
    cpu->seg[SEG_LDTR] = (CpuSegment){.limit = 0xffff, .attributes = ATTR_P | 2};
    cpu->seg[SEG_TR] = (CpuSegment){.limit = 0xffff, .attributes = ATTR_P | 11};
    cpu->gdtr.base = cpu->idtr.base = 0;
    cpu->gdtr.limit = cpu->idtr.limit = 0xffff;
}

/* What INIT resets too: everything but the FPU and vectors, MTRRs, TSC and machine-check banks.
 * CR0.CD and NW keep their values (table 9-1, note 2). */
static void reset_common(Cpu *cpu)
{
    memset(cpu->gpr, 0, sizeof cpu->gpr);
    cpu->gpr[RDX] = cpuid_signature(cpu->model);
    cpu->rip = cpu->next_rip = 0xfff0;
    cpu->rflags = RFLAGS_1;
    cpu->interrupt_shadow = 0;
    cpu->cr0 = (cpu->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
    memset(cpu->pdpte, 0, sizeof cpu->pdpte);
    memset(cpu->dr, 0, sizeof cpu->dr);
    cpu->dr[6] = 0xffff0ff0;
    cpu->dr[7] = 0x400;
    cpu->efer = 0;
    cpu->cpl = 0;
    cpu->nmi_blocked = false;
    cpu->delivering = false;
    cpu->event_ext = 0;
    cpu->debug_hits = 0;
    reset_segments(cpu);
}

void cpu_init_signal(Cpu *cpu)
{
    reset_common(cpu);
    cpu->halt_state = cpu->index ? CPU_WAIT_FOR_SIPI : CPU_RUNNING;
    mmu_flush_all(cpu);
    cpu_update_mode(cpu);
}

uint32_t cpu_host_mxcsr_mask(void)
{
    CpuVectors now = {0};

    __asm__ volatile("fxsave64 %0" : "+m"(now));
    return now.mxcsr_mask ? now.mxcsr_mask : 0xffbf;
}

void cpu_reset(Cpu *cpu)
{
    cpu->cr0 = CR0_CD | CR0_NW;
    reset_common(cpu);

    cpu->xcr0 = 1;
    cpu->star = cpu->lstar = cpu->cstar = cpu->fmask = cpu->kernel_gs_base = cpu->tsc_aux = 0;
    cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
    cpu->pat = 0x0007040600070406;
    cpu->misc_enable = 1 | 1 << 11 | 1 << 12; /* fast strings; no BTS, no PEBS */
    cpu->mtrr_def_type = 0;
    memset(cpu->mtrr_fixed, 0, sizeof cpu->mtrr_fixed);
    memset(cpu->mtrr_phys, 0, sizeof cpu->mtrr_phys);
    memset(cpu->mc_banks, 0, sizeof cpu->mc_banks);
    cpu->mcg_status = 0;
    cpu->spec_ctrl = 0;
    cpu->mcg_ctl = 0;
    cpu->tsc_adjust = 0;

    memset(&cpu->vectors, 0, sizeof cpu->vectors);
    cpu->vectors.fcw = 0x0040;
    cpu->vectors.ftw = 0xff; /* abridged tag word of 5555h: all in use, zero */
    cpu->vectors.mxcsr = 0x1f80;
    cpu->mxcsr_mask = cpu_host_mxcsr_mask();
    if (cpu->model && !cpuid_has(cpu->model, CPUID_MISALIGNSSE))
        cpu->mxcsr_mask &= ~(uint32_t)MXCSR_MM;
    cpu->vectors.header[0] = 3; /* XSTATE_BV: x87 and SSE hold what is written above */
    cpu->vectors_live = 0;
    cpu->x87_fip = cpu->x87_fdp = 0;
    cpu->x87_fcs = cpu->x87_fds = cpu->x87_fop = 0;

    debug_forget_stops(cpu);
    cpu->halt_state = cpu->index ? CPU_WAIT_FOR_SIPI : CPU_RUNNING;
    atomic_fetch_and(&cpu->requests, REQUEST_PAUSE | REQUEST_QUIT | REQUEST_CALL);
    atomic_store(&cpu->lines, 0);
    mmu_forget_map(cpu);
    cpu_update_mode(cpu);
}

bool cpu_is_halted(const Cpu *cpu)
{
    return cpu->halt_state != CPU_RUNNING;
}

/* --- describe ----------------------------------------------------------------------------------
 */

static const char *const gpr_names[N_GPR] = {"AX", "CX", "DX",  "BX",  "SP",  "BP",  "SI",  "DI",
                                             "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"};
static const char *const seg_names[N_SEG] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR"};

static void describe_registers(const Cpu *cpu, bool wide, GString *out)
{
    static const uint8_t order[] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP};

    for (unsigned i = 0; i < 8; i++) {
        g_string_append_printf(out, wide ? "R%s=%016" PRIx64 : "E%s=%08" PRIx64,
                               gpr_names[order[i]],
                               wide ? cpu->gpr[order[i]] : (uint32_t)cpu->gpr[order[i]]);
        g_string_append_c(out, i % 4 == 3 ? '\n' : ' ');
    }
    for (unsigned i = R8; wide && i < N_GPR; i++) {
        g_string_append_printf(out, "%-3s=%016" PRIx64, gpr_names[i], cpu->gpr[i]);
        g_string_append_c(out, i % 4 == 3 ? '\n' : ' ');
    }
}

static void describe_flags(const Cpu *cpu, bool wide, GString *out)
{
    static const struct {
        uint32_t bit;
        char letter;
    } flags[] = {{RFLAGS_DF, 'D'}, {RFLAGS_OF, 'O'}, {RFLAGS_SF, 'S'}, {RFLAGS_ZF, 'Z'},
                 {RFLAGS_AF, 'A'}, {RFLAGS_PF, 'P'}, {RFLAGS_CF, 'C'}};

    g_string_append_printf(out,
                           wide ? "RIP=%016" PRIx64 " RFL=%08x [" : "EIP=%08" PRIx64 " EFL=%08x [",
                           wide ? cpu->rip : (uint32_t)cpu->rip, (uint32_t)cpu->rflags);
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++)
        g_string_append_c(out, cpu->rflags & flags[i].bit ? flags[i].letter : '-');
    g_string_append_printf(out, "] CPL=%d II=%d A20=%d SMM=0 HLT=%d\n", cpu->cpl,
                           cpu->interrupt_shadow != 0, cpu->a20_mask_off,
                           cpu->halt_state == CPU_HALTED);
}

static void describe_segment(const Cpu *cpu, int seg, bool wide, GString *out)
{
    static const char *const system_types[2][16] = {
        {"Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate", "IntGate16",
         "TrapGate16", "Reserved", "TSS32-avl", "Reserved", "TSS32-busy", "CallGate32", "Reserved",
         "IntGate32", "TrapGate32"},
        {"<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved",
         "Reserved", "TSS64-avl", "Reserved", "TSS64-busy", "CallGate64", "Reserved", "IntGate64",
         "TrapGate64"}};
    const CpuSegment *s = &cpu->seg[seg];
    unsigned a = s->attributes;

    g_string_append_printf(
        out, wide ? "%-3s=%04x %016" PRIx64 " %08x %08x" : "%-3s=%04x %08" PRIx64 " %08x %08x",
        seg_names[seg], s->selector, wide ? s->base : (uint32_t)s->base, s->limit, a << 8);
    if ((cpu->cr0 & CR0_PE) && (a & ATTR_P)) {
        g_string_append_printf(out, " DPL=%d ", (a & ATTR_DPL) >> ATTR_DPL_SHIFT);
        if (!(a & ATTR_S))
            g_string_append(out, system_types[wide][a & ATTR_TYPE]);
        else if (a & ATTR_CODE)
            g_string_append_printf(out, "%s [%c%c",
                                   a & ATTR_L    ? "CS64"
                                   : a & ATTR_DB ? "CS32"
                                                 : "CS16",
                                   a & ATTR_CONFORMING ? 'C' : '-', a & ATTR_READABLE ? 'R' : '-');
        else
            g_string_append_printf(out, "%s [%c%c", a & ATTR_DB || wide ? "DS  " : "DS16",
                                   a & ATTR_EXPAND_DOWN ? 'E' : '-', a & ATTR_WRITABLE ? 'W' : '-');
        if (a & ATTR_S)
            g_string_append_printf(out, "%c]", a & ATTR_ACCESSED ? 'A' : '-');
    }
    g_string_append_c(out, '\n');
}

static void describe_vectors(const Cpu *cpu, bool wide, GString *out)
{
    const CpuVectors *v = &cpu->vectors;
    uint16_t exponent;
    uint64_t low, high;

    g_string_append_printf(out, "FCW=%04x FSW=%04x [ST=%d] FTW=%02x MXCSR=%08x\n", v->fcw, v->fsw,
                           (v->fsw >> 11) & 7, v->ftw, v->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(&low, v->st[i], 8);
        memcpy(&exponent, v->st[i] + 8, 2);
        g_string_append_printf(out, "FPR%u=%016" PRIx64 " %04x%c", i, low, exponent,
                               i & 1 ? '\n' : ' ');
    }
    for (unsigned i = 0; i < (wide ? 16 : 8); i++) {
        memcpy(&low, v->xmm[i], 8);
        memcpy(&high, v->xmm[i] + 8, 8);
        g_string_append_printf(out, "XMM%02u=%016" PRIx64 "%016" PRIx64 "%c", i, high, low,
                               i & 1 ? '\n' : ' ');
    }
}

void cpu_describe(Cpu *cpu, GString *out)
{
    bool wide = cpu->efer & EFER_LMA;

    cpu_spill_vectors(cpu);
    describe_registers(cpu, wide, out);
    describe_flags(cpu, wide, out);
    for (int seg = 0; seg < N_SEG; seg++)
        describe_segment(cpu, seg, wide, out);
    g_string_append_printf(
        out, wide ? "GDT=     %016" PRIx64 " %08x\n" : "GDT=     %08" PRIx64 " %08x\n",
        cpu->gdtr.base, cpu->gdtr.limit);
    g_string_append_printf(
        out, wide ? "IDT=     %016" PRIx64 " %08x\n" : "IDT=     %08" PRIx64 " %08x\n",
        cpu->idtr.base, cpu->idtr.limit);
    g_string_append_printf(out,
                           wide ? "CR0=%08x CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08x\n"
                                : "CR0=%08x CR2=%08" PRIx64 " CR3=%08" PRIx64 " CR4=%08x\n",
                           (uint32_t)cpu->cr0, cpu->cr2, cpu->cr3, (uint32_t)cpu->cr4);
    for (unsigned i = 0; i < 4; i++)
        g_string_append_printf(out, "DR%u=%016" PRIx64 "%c", i, cpu->dr[i], i == 3 ? '\n' : ' ');
    g_string_append_printf(out, "DR6=%016" PRIx64 " DR7=%016" PRIx64 "\n", cpu->dr[6], cpu->dr[7]);
    g_string_append_printf(out, "EFER=%016" PRIx64 "\n", cpu->efer);
    describe_vectors(cpu, wide, out);
}
