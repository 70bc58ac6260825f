/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Far JMP, CALL, RET and IRET: SDM volume 3 chapter 5 and the instructions' pages in volume 2.
 *
 * Everything that can fault is done first, on copies; then the registers change.
 */

#include "core/cpu/descriptor.h"

static uint64_t truncate_to(uint64_t value, unsigned opsize)
{
    return opsize == 2 ? (uint16_t)value : opsize == 4 ? (uint32_t)value : value;
}

/* Real mode and v8086: CS keeps its limit. */
static void check_real_offset(Cpu *cpu, uint64_t offset)
{
    if (offset > (in_v8086(cpu) ? 0xffff : cpu->seg[SEG_CS].limit))
        raise_zero(cpu, EXC_GP);
}

/* L and D together are reserved in IA-32e mode. */
static bool bad_code_size(const Cpu *cpu, const Descriptor *code)
{
    return in_long_mode(cpu) && (code->high & (ATTR_L << 8)) && (code->high & (ATTR_DB << 8));
}

/* --- gates ---------------------------------------------------------------------------------------
 */

typedef struct {
    uint16_t selector;
    uint64_t offset;
    unsigned size; /* of what it pushes: 2, 4, 8 */
    unsigned parameters;
    Descriptor code; /* the target */
} CallGate;

static void check_gate_rights(Cpu *cpu, uint16_t selector, const Descriptor *gate)
{
    if (descriptor_dpl(gate) < cpu->cpl || descriptor_dpl(gate) < selector_rpl(selector))
        raise_selector(cpu, EXC_GP, selector);
    if (!descriptor_present(gate))
        raise_selector(cpu, EXC_NP, selector);
}

static CallGate read_call_gate(Cpu *cpu, uint16_t selector, const Descriptor *descriptor)
{
    CallGate gate = {
        .selector = (uint16_t)(descriptor->low >> 16),
        .offset = descriptor->low & 0xffff,
        .size = 2,
        .parameters = descriptor->high & 0x1f,
    };

    check_gate_rights(cpu, selector, descriptor);
    if (descriptor_type(descriptor) == TYPE_CALL32) {
        gate.size = 4;
        gate.offset |= descriptor->high & 0xffff0000;
    }
    if (in_long_mode(cpu)) {
        gate.size = 8;
        gate.parameters = 0;
        gate.offset |= descriptor_base_64(cpu, descriptor, selector) & 0xffffffff00000000;
    }
    if (selector_is_null(gate.selector))
        raise_zero(cpu, EXC_GP);
    descriptor_read_or_raise(cpu, gate.selector, &gate.code, EXC_GP);
    if (!descriptor_is_code(&gate.code) || descriptor_dpl(&gate.code) > cpu->cpl)
        raise_selector(cpu, EXC_GP, gate.selector);
    if (in_long_mode(cpu) && (gate.code.high & ((ATTR_L | ATTR_DB) << 8)) != (uint32_t)ATTR_L << 8)
        raise_selector(cpu, EXC_GP, gate.selector);
    return gate;
}

/* Type of a system descriptor that a far JMP or CALL may name; raises for the others. */
static unsigned transfer_type(Cpu *cpu, uint16_t selector, const Descriptor *descriptor)
{
    unsigned type = descriptor_type(descriptor);
    bool allowed = in_long_mode(cpu)
                       ? type == TYPE_CALL32
                       : type == TYPE_CALL16 || type == TYPE_CALL32 || type == TYPE_TASK_GATE ||
                             type == TYPE_TSS16 || type == TYPE_TSS32;

    if (!allowed)
        raise_selector(cpu, EXC_GP, selector);
    return type;
}

/* TSS or task gate: returns true after the switch. */
static bool try_task(Cpu *cpu, uint16_t selector, const Descriptor *descriptor, unsigned type,
                     TaskSwitchCause cause)
{
    if (type == TYPE_CALL16 || type == TYPE_CALL32)
        return false;
    check_gate_rights(cpu, selector, descriptor);
    if (type == TYPE_TASK_GATE)
        selector = (uint16_t)(descriptor->low >> 16);
    task_switch(cpu, selector, cause, false, 0);
    return true;
}

/* --- JMP and CALL --------------------------------------------------------------------------------
 */

static void check_direct_code(Cpu *cpu, uint16_t selector, const Descriptor *code)
{
    unsigned dpl = descriptor_dpl(code);

    if (bad_code_size(cpu, code))
        raise_selector(cpu, EXC_GP, selector);
    if (descriptor_is_conforming_code(code)) {
        if (dpl > cpu->cpl)
            raise_selector(cpu, EXC_GP, selector);
    } else if (selector_rpl(selector) > cpu->cpl || dpl != cpu->cpl) {
        raise_selector(cpu, EXC_GP, selector);
    }
    if (!descriptor_present(code))
        raise_selector(cpu, EXC_NP, selector);
}

static void enter_code(Cpu *cpu, uint16_t selector, Descriptor *code, uint64_t offset, unsigned cpl)
{
    descriptor_mark_accessed(cpu, code);
    segment_load_cs(cpu, selector, code, cpl);
    cpu->next_rip = offset;
}

void far_jump(Cpu *cpu, uint16_t selector, uint64_t offset, unsigned opsize)
{
    Descriptor descriptor;

    offset = truncate_to(offset, opsize);
    if (!has_descriptors(cpu)) {
        check_real_offset(cpu, offset);
        segment_load_real(cpu, SEG_CS, selector);
        cpu->next_rip = offset;
        return;
    }
    if (selector_is_null(selector))
        raise_zero(cpu, EXC_GP);
    descriptor_read_or_raise(cpu, selector, &descriptor, EXC_GP);
    if (descriptor_is_code(&descriptor)) {
        check_direct_code(cpu, selector, &descriptor);
        check_code_offset(cpu, &descriptor, offset);
        enter_code(cpu, selector, &descriptor, offset, cpu->cpl);
        return;
    }
    if (descriptor_is_segment(&descriptor))
        raise_selector(cpu, EXC_GP, selector);
    unsigned type = transfer_type(cpu, selector, &descriptor);
    if (try_task(cpu, selector, &descriptor, type, TASK_JUMP))
        return;
    CallGate gate = read_call_gate(cpu, selector, &descriptor);
    if (!descriptor_is_conforming_code(&gate.code) && descriptor_dpl(&gate.code) != cpu->cpl)
        raise_selector(cpu, EXC_GP, gate.selector);
    if (!descriptor_present(&gate.code))
        raise_selector(cpu, EXC_NP, gate.selector);
    check_code_offset(cpu, &gate.code, gate.offset);
    enter_code(cpu, gate.selector, &gate.code, gate.offset, cpu->cpl);
}

static void call_inner(Cpu *cpu, const CallGate *gate)
{
    unsigned level = descriptor_dpl(&gate->code), count = 0;
    uint64_t values[4 + 31], new_sp;
    uint16_t ss;
    Descriptor ss_descriptor, code = gate->code;
    Stack old = stack_current(cpu), stack;

    tss_stack(cpu, level, &ss, &new_sp);
    if (in_long_mode(cpu)) {
        stack = stack_64(cpu, new_sp, level);
    } else {
        tss_check_ss(cpu, ss, level, &ss_descriptor);
        stack = stack_of(cpu, ss, &ss_descriptor, new_sp, level);
    }
    values[count++] = cpu->seg[SEG_SS].selector;
    values[count++] = cpu->gpr[RSP];
    for (unsigned i = gate->parameters; i-- > 0;)
        values[count++] = stack_peek(cpu, &old, i * gate->size, gate->size);
    values[count++] = cpu->seg[SEG_CS].selector;
    values[count++] = cpu->next_rip;
    check_code_offset(cpu, &gate->code, gate->offset);
    stack_push_all(cpu, &stack, values, count, gate->size);

    if (!in_long_mode(cpu))
        descriptor_mark_accessed(cpu, &ss_descriptor);
    descriptor_mark_accessed(cpu, &code);
    segment_load_cs(cpu, gate->selector, &code, level);
    if (in_long_mode(cpu))
        segment_load_null(cpu, SEG_SS, ss);
    else
        segment_load_descriptor(cpu, SEG_SS, ss, &ss_descriptor);
    stack_commit(cpu, &stack);
    cpu->next_rip = gate->offset;
}

static void push_return(Cpu *cpu, unsigned size)
{
    uint64_t values[2] = {cpu->seg[SEG_CS].selector, cpu->next_rip};
    Stack stack = stack_current(cpu);

    stack_push_all(cpu, &stack, values, 2, size);
    stack_commit(cpu, &stack);
}

void far_call(Cpu *cpu, uint16_t selector, uint64_t offset, unsigned opsize)
{
    Descriptor descriptor;

    offset = truncate_to(offset, opsize);
    if (!has_descriptors(cpu)) {
        check_real_offset(cpu, offset);
        push_return(cpu, opsize);
        segment_load_real(cpu, SEG_CS, selector);
        cpu->next_rip = offset;
        return;
    }
    if (selector_is_null(selector))
        raise_zero(cpu, EXC_GP);
    descriptor_read_or_raise(cpu, selector, &descriptor, EXC_GP);
    if (descriptor_is_code(&descriptor)) {
        check_direct_code(cpu, selector, &descriptor);
        check_code_offset(cpu, &descriptor, offset);
        descriptor_mark_accessed(cpu, &descriptor);
        push_return(cpu, opsize);
        enter_code(cpu, selector, &descriptor, offset, cpu->cpl);
        return;
    }
    if (descriptor_is_segment(&descriptor))
        raise_selector(cpu, EXC_GP, selector);
    unsigned type = transfer_type(cpu, selector, &descriptor);
    if (try_task(cpu, selector, &descriptor, type, TASK_CALL))
        return;
    CallGate gate = read_call_gate(cpu, selector, &descriptor);
    if (!descriptor_present(&gate.code))
        raise_selector(cpu, EXC_NP, gate.selector);
    if (!descriptor_is_conforming_code(&gate.code) && descriptor_dpl(&gate.code) < cpu->cpl) {
        call_inner(cpu, &gate);
        return;
    }
    check_code_offset(cpu, &gate.code, gate.offset);
    descriptor_mark_accessed(cpu, &gate.code);
    push_return(cpu, gate.size);
    enter_code(cpu, gate.selector, &gate.code, gate.offset, cpu->cpl);
}

/* --- RET and IRET
 * --------------------------------------------------------------------------------- */

/* Checks of a popped CS. */
static void check_return_code(Cpu *cpu, uint16_t selector, Descriptor *code)
{
    if (selector_is_null(selector))
        raise_zero(cpu, EXC_GP);
    descriptor_read_or_raise(cpu, selector, code, EXC_GP);
    unsigned rpl = selector_rpl(selector), dpl = descriptor_dpl(code);
    if (!descriptor_is_code(code) || rpl < cpu->cpl || bad_code_size(cpu, code) ||
        (descriptor_is_conforming_code(code) ? dpl > rpl : dpl != rpl))
        raise_selector(cpu, EXC_GP, selector);
    if (!descriptor_present(code))
        raise_selector(cpu, EXC_NP, selector);
}

/* Checks of a popped SS for LEVEL. Returns false for an allowed null selector. */
static bool check_return_stack(Cpu *cpu, uint16_t ss, unsigned level, const Descriptor *code,
                               Descriptor *descriptor)
{
    if (selector_is_null(ss)) {
        bool to_64 = in_long_mode(cpu) && (code->high & (ATTR_L << 8));
        if (!to_64 || level == 3 || selector_rpl(ss) != level)
            raise_zero(cpu, EXC_GP);
        return false;
    }
    descriptor_read_or_raise(cpu, ss, descriptor, EXC_GP);
    if (selector_rpl(ss) != level || descriptor_dpl(descriptor) != level ||
        !descriptor_is_writable_data(descriptor))
        raise_selector(cpu, EXC_GP, ss);
    if (!descriptor_present(descriptor))
        raise_selector(cpu, EXC_SS, ss);
    return true;
}

/* Loads CS and SS and RSP of a return that pops a stack. NEW_SP is the final stack pointer. */
static void enter_outer(Cpu *cpu, uint16_t cs, Descriptor *code, uint16_t ss, Descriptor *stack,
                        bool has_ss, uint64_t new_sp)
{
    unsigned old_cpl = cpu->cpl;

    descriptor_mark_accessed(cpu, code);
    if (has_ss)
        descriptor_mark_accessed(cpu, stack);
    segment_load_cs(cpu, cs, code, selector_rpl(cs));
    if (has_ss)
        segment_load_descriptor(cpu, SEG_SS, ss, stack);
    else
        segment_load_null(cpu, SEG_SS, ss);
    Stack now = stack_current(cpu);
    now.sp = new_sp;
    stack_commit(cpu, &now);
    if (cpu->cpl != old_cpl)
        segments_drop_privileged(cpu);
}

void far_return(Cpu *cpu, unsigned opsize, unsigned pop_bytes)
{
    Stack stack = stack_current(cpu);
    uint64_t rip = stack_peek(cpu, &stack, 0, opsize);
    uint16_t cs = (uint16_t)stack_peek(cpu, &stack, opsize, opsize);
    Descriptor code, ss_descriptor;

    if (!has_descriptors(cpu)) {
        check_real_offset(cpu, rip);
        stack.sp += 2 * opsize + pop_bytes;
        stack_commit(cpu, &stack);
        segment_load_real(cpu, SEG_CS, cs);
        cpu->next_rip = rip;
        return;
    }
    check_return_code(cpu, cs, &code);
    if (selector_rpl(cs) == cpu->cpl) {
        check_code_offset(cpu, &code, rip);
        stack.sp += 2 * opsize + pop_bytes;
        stack_commit(cpu, &stack);
        enter_code(cpu, cs, &code, rip, cpu->cpl);
        return;
    }
    uint64_t new_sp = stack_peek(cpu, &stack, 2 * opsize + pop_bytes, opsize);
    uint16_t ss = (uint16_t)stack_peek(cpu, &stack, 3 * opsize + pop_bytes, opsize);
    bool has_ss = check_return_stack(cpu, ss, selector_rpl(cs), &code, &ss_descriptor);
    check_code_offset(cpu, &code, rip);
    enter_outer(cpu, cs, &code, ss, &ss_descriptor, has_ss, new_sp + pop_bytes);
    cpu->next_rip = rip;
}

/* Which flags an IRET at the present level may change. */
static uint64_t iret_flags_mask(const Cpu *cpu, unsigned opsize)
{
    uint64_t mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;

    if (opsize >= 4)
        mask |= RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
    if (cpu->cpl <= (cpu->rflags & RFLAGS_IOPL) >> 12)
        mask |= RFLAGS_IF;
    if (cpu->cpl == 0) {
        mask |= RFLAGS_IOPL;
        if (opsize >= 4)
            mask |= RFLAGS_VIF | RFLAGS_VIP;
    }
    return mask;
}

static void iret_real(Cpu *cpu, unsigned opsize)
{
    Stack stack = stack_current(cpu);
    uint64_t rip = stack_peek(cpu, &stack, 0, opsize);
    uint16_t cs = (uint16_t)stack_peek(cpu, &stack, opsize, opsize);
    uint64_t flags = stack_peek(cpu, &stack, 2 * opsize, opsize);
    uint64_t mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_IF;

    check_real_offset(cpu, rip);
    if (!in_v8086(cpu)) {
        mask |= RFLAGS_IOPL;
    } else if ((cpu->rflags & RFLAGS_IOPL) != RFLAGS_IOPL) {
        /* Virtual-8086 mode extensions (SDM 20.3): IF is virtual. */
        if (opsize != 2 || !(cpu->cr4 & CR4_VME) || (flags & RFLAGS_TF) ||
            ((flags & RFLAGS_IF) && (cpu->rflags & RFLAGS_VIP)))
            raise_zero(cpu, EXC_GP);
        mask = (mask & ~(uint64_t)RFLAGS_IF) | RFLAGS_VIF;
        flags = (flags & ~(uint64_t)RFLAGS_VIF) | (flags & RFLAGS_IF ? RFLAGS_VIF : 0);
    }
    if (opsize == 4)
        mask |= RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
    stack.sp += 3 * opsize;
    stack_commit(cpu, &stack);
    segment_load_real(cpu, SEG_CS, cs);
    cpu_set_rflags(cpu, flags, mask);
    cpu->next_rip = rip;
}

static void iret_to_v8086(Cpu *cpu, const Stack *stack, uint64_t rip, uint16_t cs, uint64_t flags)
{
    static const uint8_t order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    uint16_t selectors[5];
    uint32_t sp = (uint32_t)stack_peek(cpu, stack, 12, 4);

    for (unsigned i = 0; i < 5; i++)
        selectors[i] = (uint16_t)stack_peek(cpu, stack, 16 + i * 4, 4);
    if (rip > 0xffff)
        raise_zero(cpu, EXC_GP);
    cpu->cpl = 3;
    cpu_set_rflags(cpu, flags, 0x3f7fd5);
    segment_load_real(cpu, SEG_CS, cs);
    for (unsigned i = 0; i < 5; i++)
        segment_load_real(cpu, order[i], selectors[i]);
    cpu->gpr[RSP] = sp;
    cpu->next_rip = rip;
}

static void iret_protected(Cpu *cpu, unsigned opsize)
{
    Stack stack = stack_current(cpu);
    uint64_t rip = stack_peek(cpu, &stack, 0, opsize);
    uint16_t cs = (uint16_t)stack_peek(cpu, &stack, opsize, opsize);
    uint64_t flags = stack_peek(cpu, &stack, 2 * opsize, opsize);
    Descriptor code, ss_descriptor;

    if ((flags & RFLAGS_VM) && cpu->cpl == 0 && opsize == 4 && !in_long_mode(cpu)) {
        iret_to_v8086(cpu, &stack, rip, cs, flags);
        return;
    }
    check_return_code(cpu, cs, &code);
    uint64_t mask = iret_flags_mask(cpu, opsize);
    if (selector_rpl(cs) == cpu->cpl && !(cpu->mode & MODE_CS64)) {
        check_code_offset(cpu, &code, rip);
        stack.sp += 3 * opsize;
        stack_commit(cpu, &stack);
        enter_code(cpu, cs, &code, rip, cpu->cpl);
    } else {
        uint64_t new_sp = stack_peek(cpu, &stack, 3 * opsize, opsize);
        uint16_t ss = (uint16_t)stack_peek(cpu, &stack, 4 * opsize, opsize);
        bool has_ss = check_return_stack(cpu, ss, selector_rpl(cs), &code, &ss_descriptor);
        check_code_offset(cpu, &code, rip);
        enter_outer(cpu, cs, &code, ss, &ss_descriptor, has_ss, new_sp);
        cpu->next_rip = rip;
    }
    cpu_set_rflags(cpu, flags, mask);
}

void interrupt_return(Cpu *cpu, unsigned opsize)
{
    if (!has_descriptors(cpu)) {
        iret_real(cpu, opsize);
    } else if (cpu->rflags & RFLAGS_NT) {
        if (in_long_mode(cpu))
            raise_zero(cpu, EXC_GP);
        uint16_t link = (uint16_t)mmu_load_system(cpu, cpu->seg[SEG_TR].base, 2);
        task_switch(cpu, link, TASK_IRET, false, 0);
    } else {
        iret_protected(cpu, opsize);
    }
    if (cpu->nmi_blocked) {
        cpu->nmi_blocked = false;
        atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
    }
}
