/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Hardware task switching: SDM volume 3 chapter 7.
 *
 * Checks of the new TSS fault in the old task. Then the old state is saved and the new one loaded;
 * faults of the new segments are raised in the new task, at its first instruction (7.3).
 */

#include "core/cpu/descriptor.h"

#include <string.h>

/* Offsets of the saved state (figures 7-2 and 7-10). */
enum {
    TSS32_CR3 = 28,
    TSS32_EIP = 32,
    TSS32_EFLAGS = 36,
    TSS32_GPR = 40,
    TSS32_SEG = 72,
    TSS32_LDT = 96,
    TSS32_TRAP = 100,
    TSS32_SIZE = 104,
    TSS16_IP = 14,
    TSS16_FLAGS = 16,
    TSS16_GPR = 18,
    TSS16_SEG = 34,
    TSS16_LDT = 42,
    TSS16_SIZE = 44,
};

/* The order of segment registers in a TSS. A TSS16 has the first four. */
static const uint8_t segment_order[] = {SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS};

typedef struct {
    uint32_t cr3, eip, eflags, gpr[8];
    uint16_t seg[6], ldt;
    bool trap;
} TaskState;

/* TSS faults: #TS for nested returns, #GP otherwise. */
static Descriptor read_tss_descriptor(Cpu *cpu, uint16_t selector, TaskSwitchCause cause)
{
    int vector = cause == TASK_IRET ? EXC_TS : EXC_GP;
    Descriptor descriptor;

    if ((selector & 4) || selector_is_null(selector))
        raise_selector(cpu, vector, selector);
    descriptor_read_or_raise(cpu, selector, &descriptor, vector);
    unsigned type = descriptor_type(&descriptor);
    bool busy = type & 2;
    if (descriptor_is_segment(&descriptor) || (type & 5) != 1 || busy != (cause == TASK_IRET))
        raise_selector(cpu, vector, selector);
    if (!descriptor_present(&descriptor))
        raise_selector(cpu, EXC_NP, selector);
    if (descriptor_limit(&descriptor) < (type & 8 ? TSS32_SIZE : TSS16_SIZE) - 1u)
        raise_selector(cpu, EXC_TS, selector);
    return descriptor;
}

static TaskState read_state(Cpu *cpu, uint64_t base, bool wide)
{
    TaskState state;

    memset(&state, 0, sizeof state);
    if (wide) {
        state.cr3 = (uint32_t)mmu_load_system(cpu, base + TSS32_CR3, 4);
        state.eip = (uint32_t)mmu_load_system(cpu, base + TSS32_EIP, 4);
        state.eflags = (uint32_t)mmu_load_system(cpu, base + TSS32_EFLAGS, 4);
        for (unsigned i = 0; i < 8; i++)
            state.gpr[i] = (uint32_t)mmu_load_system(cpu, base + TSS32_GPR + i * 4, 4);
        for (unsigned i = 0; i < 6; i++)
            state.seg[i] = (uint16_t)mmu_load_system(cpu, base + TSS32_SEG + i * 4, 2);
        state.ldt = (uint16_t)mmu_load_system(cpu, base + TSS32_LDT, 2);
        state.trap = mmu_load_system(cpu, base + TSS32_TRAP, 2) & 1;
    } else {
        state.eip = (uint32_t)mmu_load_system(cpu, base + TSS16_IP, 2);
        state.eflags = (uint32_t)mmu_load_system(cpu, base + TSS16_FLAGS, 2);
        for (unsigned i = 0; i < 8; i++)
            state.gpr[i] = 0xffff0000 | (uint32_t)mmu_load_system(cpu, base + TSS16_GPR + i * 2, 2);
        for (unsigned i = 0; i < 4; i++)
            state.seg[i] = (uint16_t)mmu_load_system(cpu, base + TSS16_SEG + i * 2, 2);
        state.ldt = (uint16_t)mmu_load_system(cpu, base + TSS16_LDT, 2);
    }
    return state;
}

static void save_state(Cpu *cpu, uint64_t base, bool wide, uint64_t rip, uint64_t flags)
{
    if (wide) {
        mmu_store_system(cpu, base + TSS32_EIP, (uint32_t)rip, 4);
        mmu_store_system(cpu, base + TSS32_EFLAGS, (uint32_t)flags, 4);
        for (unsigned i = 0; i < 8; i++)
            mmu_store_system(cpu, base + TSS32_GPR + i * 4, (uint32_t)cpu->gpr[i], 4);
        for (unsigned i = 0; i < 6; i++)
            mmu_store_system(cpu, base + TSS32_SEG + i * 4, cpu->seg[segment_order[i]].selector, 2);
    } else {
        mmu_store_system(cpu, base + TSS16_IP, (uint16_t)rip, 2);
        mmu_store_system(cpu, base + TSS16_FLAGS, (uint16_t)flags, 2);
        for (unsigned i = 0; i < 8; i++)
            mmu_store_system(cpu, base + TSS16_GPR + i * 2, (uint16_t)cpu->gpr[i], 2);
        for (unsigned i = 0; i < 4; i++)
            mmu_store_system(cpu, base + TSS16_SEG + i * 2, cpu->seg[segment_order[i]].selector, 2);
    }
}

static void load_ldt(Cpu *cpu, uint16_t selector)
{
    Descriptor descriptor;

    cpu->seg[SEG_LDTR] = (CpuSegment){.selector = selector};
    if (selector_is_null(selector))
        return;
    if (selector & 4)
        raise_selector(cpu, EXC_TS, selector);
    descriptor_read_or_raise(cpu, selector, &descriptor, EXC_TS);
    if (descriptor_is_segment(&descriptor) || descriptor_type(&descriptor) != TYPE_LDT ||
        !descriptor_present(&descriptor))
        raise_selector(cpu, EXC_TS, selector);
    segment_load_descriptor(cpu, SEG_LDTR, selector, &descriptor);
}

static void load_cs(Cpu *cpu, uint16_t selector)
{
    Descriptor code;
    unsigned rpl = selector_rpl(selector);

    if (selector_is_null(selector))
        raise_selector(cpu, EXC_TS, selector);
    descriptor_read_or_raise(cpu, selector, &code, EXC_TS);
    unsigned dpl = descriptor_dpl(&code);
    if (!descriptor_is_code(&code) ||
        (descriptor_is_conforming_code(&code) ? dpl > rpl : dpl != rpl))
        raise_selector(cpu, EXC_TS, selector);
    if (!descriptor_present(&code))
        raise_selector(cpu, EXC_NP, selector);
    descriptor_mark_accessed(cpu, &code);
    segment_load_cs(cpu, selector, &code, rpl);
}

static void load_ss(Cpu *cpu, uint16_t selector)
{
    Descriptor descriptor;

    if (selector_is_null(selector))
        raise_selector(cpu, EXC_TS, selector);
    descriptor_read_or_raise(cpu, selector, &descriptor, EXC_TS);
    if (selector_rpl(selector) != cpu->cpl || descriptor_dpl(&descriptor) != cpu->cpl ||
        !descriptor_is_writable_data(&descriptor))
        raise_selector(cpu, EXC_TS, selector);
    if (!descriptor_present(&descriptor))
        raise_selector(cpu, EXC_SS, selector);
    descriptor_mark_accessed(cpu, &descriptor);
    segment_load_descriptor(cpu, SEG_SS, selector, &descriptor);
}

static void load_data(Cpu *cpu, int seg, uint16_t selector)
{
    Descriptor descriptor;

    if (selector_is_null(selector))
        return;
    descriptor_read_or_raise(cpu, selector, &descriptor, EXC_TS);
    bool code = descriptor_is_code(&descriptor);
    if (!descriptor_is_segment(&descriptor) ||
        (code && !(descriptor.high & (ATTR_READABLE << 8))) ||
        (!descriptor_is_conforming_code(&descriptor) &&
         (descriptor_dpl(&descriptor) < selector_rpl(selector) ||
          descriptor_dpl(&descriptor) < cpu->cpl)))
        raise_selector(cpu, EXC_TS, selector);
    if (!descriptor_present(&descriptor))
        raise_selector(cpu, EXC_NP, selector);
    descriptor_mark_accessed(cpu, &descriptor);
    segment_load_descriptor(cpu, seg, selector, &descriptor);
}

/* Selectors first, with nothing behind them; then one after another, each of which may fault. */
static void load_segments(Cpu *cpu, const TaskState *state)
{
    for (unsigned i = 0; i < 6; i++)
        cpu->seg[segment_order[i]] = (CpuSegment){.selector = state->seg[i]};
    cpu->seg[SEG_LDTR] = (CpuSegment){.selector = state->ldt};
    cpu->cpl = (uint8_t)selector_rpl(state->seg[1]);
    cpu_update_mode(cpu);

    load_ldt(cpu, state->ldt);
    if (cpu->rflags & RFLAGS_VM) {
        cpu->cpl = 3;
        for (unsigned i = 0; i < 6; i++)
            segment_load_real(cpu, segment_order[i], state->seg[i]);
        return;
    }
    load_cs(cpu, state->seg[1]);
    load_ss(cpu, state->seg[2]);
    load_data(cpu, SEG_ES, state->seg[0]);
    load_data(cpu, SEG_DS, state->seg[3]);
    load_data(cpu, SEG_FS, state->seg[4]);
    load_data(cpu, SEG_GS, state->seg[5]);
}

void task_switch(Cpu *cpu, uint16_t selector, TaskSwitchCause cause, bool has_error, uint32_t error)
{
    cpu_spill_vectors(cpu);
    CpuSegment *tr = &cpu->seg[SEG_TR];
    Descriptor next = read_tss_descriptor(cpu, selector, cause), previous;
    bool wide = descriptor_type(&next) & 8, old_wide = (tr->attributes & ATTR_TYPE) & 8;
    uint64_t base = descriptor_base(&next), old_base = tr->base;
    uint16_t old_selector = tr->selector;
    bool nested = cause == TASK_CALL || cause == TASK_GATE;
    uint64_t old_rip = cpu->next_rip;
    uint64_t old_flags = cpu->rflags;

    /* What may page-fault, before anything changes. */
    mmu_probe_as(cpu, MMU_SUPERVISOR, old_base, old_wide ? TSS32_SIZE : TSS16_SIZE, ACCESS_WRITE);
    mmu_probe_as(cpu, MMU_SUPERVISOR, base, wide ? TSS32_SIZE : TSS16_SIZE,
                 nested ? ACCESS_WRITE : ACCESS_READ);
    TaskState state = read_state(cpu, base, wide);
    if (!descriptor_read(cpu, old_selector, &previous))
        raise_selector(cpu, EXC_TS, old_selector);

    if (cause == TASK_JUMP || cause == TASK_IRET)
        descriptor_mark_busy(cpu, &previous, false);
    if (cause == TASK_IRET)
        old_flags &= ~(uint64_t)RFLAGS_NT;
    save_state(cpu, old_base, old_wide, old_rip, old_flags);
    if (nested) {
        mmu_store_system(cpu, base, old_selector, 2);
        state.eflags |= RFLAGS_NT;
    }
    if (cause != TASK_IRET)
        descriptor_mark_busy(cpu, &next, true);

    /* The new task from here on. */
    *tr = (CpuSegment){base, descriptor_limit(&next), selector,
                       (uint16_t)(descriptor_attributes(&next) | 2)};
    cpu->cr0 |= CR0_TS;
    cpu->dr[7] &= ~0x155ull; /* local breakpoints (L0-L3, LE) */
    if (wide && (cpu->cr0 & CR0_PG)) {
        if (cpu->cr4 & CR4_PAE)
            mmu_load_pdptes(cpu, state.cr3);
        cpu->cr3 = state.cr3;
        mmu_flush_non_global(cpu);
    }
    cpu->rip = cpu->next_rip = state.eip;
    for (unsigned i = 0; i < 8; i++)
        cpu->gpr[i] = state.gpr[i];
    /* TSS16 has no upper flag bits. */
    cpu_set_rflags(cpu, state.eflags, wide ? 0x3f7fd5 : 0x7fd5);
    load_segments(cpu, &state);

    if (has_error) {
        uint64_t value = error;
        Stack stack = stack_current(cpu);
        stack_push_all(cpu, &stack, &value, 1, wide ? 4 : 2);
        stack_commit(cpu, &stack);
    }
    if (cpu->rip > cpu->seg[SEG_CS].limit)
        raise_zero(cpu, EXC_GP);
    if (state.trap) {
        cpu->debug_hits |= 1 << 15; /* BT */
        atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
    }
    cpu->step_suppressed = true;
}
