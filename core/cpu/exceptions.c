/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Delivery of interrupts and exceptions: SDM volume 3 chapter 6 and 20, volume 2 INT n.
 *
 * Software interrupts push next_rip and leave the handler's address in next_rip; hardware ones and
 * exceptions push rip and set rip too. Nothing is committed before the last check.
 */

#include "core/cpu/descriptor.h"

typedef struct {
    int vector;
    bool software; /* INT n, INT3, INTO: the gate's DPL counts, EXT is 0 */
    bool has_error;
    uint32_t error;
    uint64_t return_rip;
    uint64_t flags; /* image to push */
} Event;

/* Error code of a fault over IDT entry VECTOR. */
static _Noreturn void raise_idt(Cpu *cpu, int exception, int vector)
{
    cpu_raise_error(cpu, exception, (uint32_t)vector << 3 | 2 | cpu->event_ext);
}

/* --- real mode and virtual-8086 redirection
 * -------------------------------------------------------- */

/* Through a vector table of 16-bit far pointers at linear BASE. */
static void deliver_8086(Cpu *cpu, const Event *event, uint64_t base, uint64_t pushed_flags,
                         uint64_t clear)
{
    uint32_t pointer = (uint32_t)mmu_load_system(cpu, base + (uint64_t)event->vector * 4, 4);
    uint64_t values[3] = {pushed_flags & 0xffff, cpu->seg[SEG_CS].selector,
                          event->return_rip & 0xffff};
    Stack stack = stack_current(cpu);

    stack_push_all(cpu, &stack, values, 3, 2);
    stack_commit(cpu, &stack);
    segment_load_real(cpu, SEG_CS, (uint16_t)(pointer >> 16));
    cpu_set_rflags(cpu, 0, clear);
    cpu->next_rip = pointer & 0xffff;
}

static void deliver_real(Cpu *cpu, const Event *event)
{
    if ((uint32_t)event->vector * 4 + 3 > cpu->idtr.limit)
        raise_idt(cpu, EXC_GP, event->vector);
    deliver_8086(cpu, event, cpu->idtr.base, event->flags,
                 RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF);
}

/* The TSS's software interrupt redirection bitmap, 32 bytes below the I/O map (SDM 20.3.3): true if
 * the bit of VECTOR is set or cannot be read. */
static bool redirect_bit(Cpu *cpu, int vector)
{
    const CpuSegment *tr = &cpu->seg[SEG_TR];

    if ((tr->attributes & ATTR_TYPE) < TYPE_TSS32 || tr->limit < 103)
        return true;
    uint32_t map = (uint32_t)mmu_load_system(cpu, tr->base + 102, 2);
    uint32_t byte = map - 32 + (uint32_t)vector / 8;
    if (map < 32 || byte > tr->limit)
        return true;
    return mmu_load_system(cpu, tr->base + byte, 1) >> (vector & 7) & 1;
}

/* INT n in virtual-8086 mode, SDM table 20-2. Returns true when done here. */
static bool deliver_v8086_software(Cpu *cpu, const Event *event)
{
    bool iopl3 = (cpu->rflags & RFLAGS_IOPL) == RFLAGS_IOPL;

    if (!(cpu->cr4 & CR4_VME) || redirect_bit(cpu, event->vector)) {
        if (!iopl3)
            raise_zero(cpu, EXC_GP);
        return false;
    }
    if (iopl3) {
        deliver_8086(cpu, event, 0, event->flags, RFLAGS_IF | RFLAGS_TF | RFLAGS_RF);
    } else {
        uint64_t image = (event->flags & ~(uint64_t)RFLAGS_IF) | RFLAGS_IOPL |
                         (event->flags & RFLAGS_VIF ? RFLAGS_IF : 0);
        deliver_8086(cpu, event, 0, image, RFLAGS_VIF | RFLAGS_TF | RFLAGS_RF);
    }
    return true;
}

/* --- protected and long mode
 * ------------------------------------------------------------------------ */

typedef struct {
    unsigned type;
    unsigned dpl;
    bool present;
    uint16_t selector;
    uint64_t offset;
    unsigned ist;
    unsigned size; /* bytes pushed per item */
} IdtGate;

static IdtGate read_gate(Cpu *cpu, int vector)
{
    bool wide = in_long_mode(cpu);
    uint32_t at = (uint32_t)vector * (wide ? 16 : 8);
    IdtGate gate;

    if (at + (wide ? 15 : 7) > cpu->idtr.limit)
        raise_idt(cpu, EXC_GP, vector);
    uint64_t value = mmu_load_system(cpu, cpu->idtr.base + at, 8);
    gate.type = (value >> 40) & 0x1f;
    gate.dpl = (value >> 45) & 3;
    gate.present = (value >> 47) & 1;
    gate.selector = (uint16_t)(value >> 16);
    gate.offset = value & 0xffff;
    gate.ist = 0;
    gate.size = 2;
    if (gate.type == TYPE_INT32 || gate.type == TYPE_TRAP32) {
        gate.size = 4;
        gate.offset |= value >> 32 & 0xffff0000;
    }
    if (wide) {
        gate.size = 8;
        gate.ist = (value >> 32) & 7;
        gate.offset |= mmu_load_system(cpu, cpu->idtr.base + at + 8, 4) << 32;
    }
    return gate;
}

static void check_gate(Cpu *cpu, const IdtGate *gate, const Event *event)
{
    bool interrupt = gate->type == TYPE_INT32 || gate->type == TYPE_TRAP32;
    bool legacy =
        gate->type == TYPE_INT16 || gate->type == TYPE_TRAP16 || gate->type == TYPE_TASK_GATE;

    if (!interrupt && (in_long_mode(cpu) || !legacy))
        raise_idt(cpu, EXC_GP, event->vector);
    if (event->software && gate->dpl < cpu->cpl)
        raise_idt(cpu, EXC_GP, event->vector);
    if (!gate->present)
        raise_idt(cpu, EXC_NP, event->vector);
}

/* The handler's code segment; returns its privilege level. */
static unsigned check_handler(Cpu *cpu, const IdtGate *gate, Descriptor *code)
{
    if (selector_is_null(gate->selector))
        raise_zero(cpu, EXC_GP);
    descriptor_read_or_raise(cpu, gate->selector, code, EXC_GP);
    if (!descriptor_is_code(code) || descriptor_dpl(code) > cpu->cpl)
        raise_selector(cpu, EXC_GP, gate->selector);
    if (in_long_mode(cpu) && (code->high & ((ATTR_L | ATTR_DB) << 8)) != (uint32_t)ATTR_L << 8)
        raise_selector(cpu, EXC_GP, gate->selector);
    if (!descriptor_present(code))
        raise_selector(cpu, EXC_NP, gate->selector);
    unsigned level = descriptor_is_conforming_code(code) ? cpu->cpl : descriptor_dpl(code);
    if (in_v8086(cpu) && level != 0)
        raise_selector(cpu, EXC_GP, gate->selector);
    check_code_offset(cpu, code, gate->offset);
    return level;
}

static void finish(Cpu *cpu, const IdtGate *gate, Descriptor *code, unsigned level)
{
    uint64_t clear = RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM;

    if (!(gate->type & 1))
        clear |= RFLAGS_IF;
    cpu_set_rflags(cpu, 0, clear);
    segment_load_cs(cpu, gate->selector, code, level);
    cpu->next_rip = gate->offset;
}

static uint64_t ist_stack(Cpu *cpu, unsigned ist)
{
    const CpuSegment *tr = &cpu->seg[SEG_TR];
    unsigned at = 28 + ist * 8;

    if (at + 7 > tr->limit)
        raise_selector(cpu, EXC_TS, tr->selector);
    return mmu_load_system(cpu, tr->base + at, 8);
}

static void deliver_long(Cpu *cpu, const Event *event, const IdtGate *gate)
{
    Descriptor code;
    unsigned level = check_handler(cpu, gate, &code), count = 0;
    uint64_t values[6], sp = cpu->gpr[RSP];
    uint16_t ss = cpu->seg[SEG_SS].selector;

    if (gate->ist) {
        sp = ist_stack(cpu, gate->ist);
    } else if (level != cpu->cpl) {
        uint16_t unused;
        tss_stack(cpu, level, &unused, &sp);
    }
    Stack stack = stack_64(cpu, sp & ~15ull, level);
    values[count++] = ss;
    values[count++] = cpu->gpr[RSP];
    values[count++] = event->flags;
    values[count++] = cpu->seg[SEG_CS].selector;
    values[count++] = event->return_rip;
    if (event->has_error)
        values[count++] = event->error;
    stack_push_all(cpu, &stack, values, count, 8);
    descriptor_mark_accessed(cpu, &code);

    /* A switched stack has a null SS (6.14.4 and 6.14.5). */
    bool switched = gate->ist || level != cpu->cpl;
    finish(cpu, gate, &code, level);
    if (switched)
        segment_load_null(cpu, SEG_SS, (uint16_t)level);
    stack_commit(cpu, &stack);
}

static void push_frame(Cpu *cpu, Stack *stack, const Event *event, const IdtGate *gate,
                       uint64_t *values, unsigned count)
{
    values[count++] = event->flags;
    values[count++] = cpu->seg[SEG_CS].selector;
    values[count++] = event->return_rip;
    if (event->has_error)
        values[count++] = event->error;
    stack_push_all(cpu, stack, values, count, gate->size);
}

static void deliver_inner(Cpu *cpu, const Event *event, const IdtGate *gate, Descriptor *code,
                          unsigned level)
{
    static const uint8_t data[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
    bool from_v8086 = in_v8086(cpu);
    Descriptor ss_descriptor;
    uint64_t values[10], sp;
    unsigned count = 0;
    uint16_t ss;

    tss_stack(cpu, level, &ss, &sp);
    tss_check_ss(cpu, ss, level, &ss_descriptor);
    Stack stack = stack_of(cpu, ss, &ss_descriptor, sp, level);
    for (unsigned i = 0; from_v8086 && i < 4; i++)
        values[count++] = cpu->seg[data[i]].selector;
    values[count++] = cpu->seg[SEG_SS].selector;
    values[count++] = cpu->gpr[RSP];
    push_frame(cpu, &stack, event, gate, values, count);
    descriptor_mark_accessed(cpu, &ss_descriptor);
    descriptor_mark_accessed(cpu, code);

    finish(cpu, gate, code, level);
    segment_load_descriptor(cpu, SEG_SS, ss, &ss_descriptor);
    stack_commit(cpu, &stack);
    for (unsigned i = 0; from_v8086 && i < 4; i++)
        segment_load_null(cpu, data[i], 0);
}

static void deliver_protected(Cpu *cpu, const Event *event)
{
    IdtGate gate = read_gate(cpu, event->vector);
    Descriptor code;

    check_gate(cpu, &gate, event);
    if (gate.type == TYPE_TASK_GATE) {
        task_switch(cpu, gate.selector, TASK_GATE, event->has_error, event->error);
        return;
    }
    if (in_long_mode(cpu)) {
        deliver_long(cpu, event, &gate);
        return;
    }
    unsigned level = check_handler(cpu, &gate, &code);
    if (level != cpu->cpl) {
        deliver_inner(cpu, event, &gate, &code, level);
        return;
    }
    uint64_t values[4];
    Stack stack = stack_current(cpu);
    push_frame(cpu, &stack, event, &gate, values, 0);
    descriptor_mark_accessed(cpu, &code);
    finish(cpu, &gate, &code, level);
    stack_commit(cpu, &stack);
}

/* Faults leave RF set in the pushed image so that the restarted instruction skips its breakpoint
 * (SDM 17.3.1.1). #DB, NMI, traps and aborts do not. */
static bool pushes_rf(int vector)
{
    return vector != EXC_DB && vector != EXC_NMI && vector != EXC_BP && vector != EXC_OF &&
           vector != EXC_DF && vector != EXC_MC;
}

void interrupt_deliver(Cpu *cpu, int vector, IntKind kind, bool has_error, uint32_t error)
{
    bool instruction = kind != INT_HARDWARE && kind != INT_EXCEPTION;
    Event event = {
        .vector = vector,
        .software = instruction && kind != INT_ICEBP,
        .has_error = has_error && (cpu->mode & MODE_PE),
        .error = error,
        .return_rip = instruction ? cpu->next_rip : cpu->rip,
        .flags = cpu->rflags,
    };

    cpu->next_rip = event.return_rip; /* what a task switch saves */
    if (kind == INT_EXCEPTION && pushes_rf(vector))
        event.flags |= RFLAGS_RF;
    if (instruction)
        cpu->step_suppressed = true;
    cpu->event_ext = !event.software;
    if (!(cpu->mode & MODE_PE))
        deliver_real(cpu, &event);
    else if (!(in_v8086(cpu) && kind == INT_SOFTWARE && deliver_v8086_software(cpu, &event)))
        deliver_protected(cpu, &event);
    cpu->event_ext = 0;
    if (vector == EXC_DB && kind == INT_EXCEPTION)
        cpu->dr[7] &= ~(1ull << 13); /* GD */
    if (!instruction)
        cpu->rip = cpu->next_rip;
    cpu->interrupt_shadow = 0;
}
