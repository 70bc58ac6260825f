/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Segment registers, descriptors and stacks: SDM volume 3 chapters 3 and 5. */

#include "core/cpu/descriptor.h"

enum {
    ATTR_REAL = ATTR_P | ATTR_S | ATTR_WRITABLE | ATTR_ACCESSED,
    ATTR_V8086 = ATTR_REAL | ATTR_DPL,
};

/* --- raising -------------------------------------------------------------------------------------
 */

void raise_selector(Cpu *cpu, int vector, uint16_t selector)
{
    cpu_raise_error(cpu, vector, (selector & 0xfffcu) | cpu->event_ext);
}

void raise_zero(Cpu *cpu, int vector)
{
    cpu_raise_error(cpu, vector, cpu->event_ext);
}

/* --- descriptors ---------------------------------------------------------------------------------
 */

bool descriptor_read(Cpu *cpu, uint16_t selector, Descriptor *descriptor)
{
    uint32_t index = selector & 0xfff8;
    uint64_t base = cpu->gdtr.base;
    uint32_t limit = cpu->gdtr.limit;

    if (selector & 4) {
        const CpuSegment *ldt = &cpu->seg[SEG_LDTR];
        if (!(ldt->attributes & ATTR_P))
            return false;
        base = ldt->base;
        limit = ldt->limit;
    }
    if (index + 7 > limit)
        return false;
    descriptor->address = base + index;
    uint64_t value = mmu_load_system(cpu, descriptor->address, 8);
    descriptor->low = (uint32_t)value;
    descriptor->high = (uint32_t)(value >> 32);
    return true;
}

void descriptor_read_or_raise(Cpu *cpu, uint16_t selector, Descriptor *descriptor, int vector)
{
    if (!descriptor_read(cpu, selector, descriptor))
        raise_selector(cpu, vector, selector);
}

uint64_t descriptor_base_64(Cpu *cpu, const Descriptor *descriptor, uint16_t selector)
{
    uint32_t limit = selector & 4 ? cpu->seg[SEG_LDTR].limit : cpu->gdtr.limit;

    if ((selector & 0xfff8u) + 15 > limit)
        raise_selector(cpu, EXC_GP, selector);
    uint64_t high = mmu_load_system(cpu, descriptor->address + 8, 8);
    if ((high >> 40) & 0x1f) /* the type field of the upper half must be zero */
        raise_selector(cpu, EXC_GP, selector);
    return descriptor_base(descriptor) | high << 32;
}

void descriptor_mark_accessed(Cpu *cpu, Descriptor *descriptor)
{
    if (descriptor->high & (ATTR_ACCESSED << 8))
        return;
    mmu_change_system_byte(cpu, descriptor->address + 5, ATTR_ACCESSED, 0);
    descriptor->high |= ATTR_ACCESSED << 8;
}

void descriptor_mark_busy(Cpu *cpu, const Descriptor *descriptor, bool busy)
{
    mmu_change_system_byte(cpu, descriptor->address + 5, busy ? 2 : 0, busy ? 0 : 2);
}

/* --- loading -------------------------------------------------------------------------------------
 */

void segment_load_cache(Cpu *cpu, int seg, uint16_t selector, uint64_t base, uint32_t limit,
                        uint16_t attributes)
{
    cpu->seg[seg] = (CpuSegment){base, limit, selector, attributes};
    cpu_update_mode(cpu);
}

/* Real mode keeps limit and attributes: "unreal mode" lives from that. */
void segment_load_real(Cpu *cpu, int seg, uint16_t selector)
{
    CpuSegment *segment = &cpu->seg[seg];

    segment->selector = selector;
    segment->base = (uint32_t)selector << 4;
    if (cpu->rflags & RFLAGS_VM) {
        segment->limit = 0xffff;
        segment->attributes = ATTR_V8086;
    } else if (seg == SEG_CS) {
        segment->attributes = ATTR_REAL | (segment->attributes & (ATTR_DB | ATTR_G));
    }
    cpu_update_mode(cpu);
}

void segment_load_descriptor(Cpu *cpu, int seg, uint16_t selector, const Descriptor *descriptor)
{
    segment_load_cache(cpu, seg, selector, descriptor_base(descriptor),
                       descriptor_limit(descriptor), descriptor_attributes(descriptor));
}

void segment_load_null(Cpu *cpu, int seg, uint16_t selector)
{
    /* The hidden DPL of a null SS in 64-bit mode is the privilege level. */
    uint16_t attributes = seg == SEG_SS ? selector_rpl(selector) << ATTR_DPL_SHIFT : 0;

    segment_load_cache(cpu, seg, selector, 0, 0, attributes);
}

void segment_load_cs(Cpu *cpu, uint16_t selector, const Descriptor *descriptor, unsigned cpl)
{
    cpu->cpl = (uint8_t)cpl;
    segment_load_descriptor(cpu, SEG_CS, (uint16_t)((selector & ~3u) | cpl), descriptor);
}

static void load_ss(Cpu *cpu, uint16_t selector)
{
    Descriptor descriptor;

    if (selector_is_null(selector)) {
        if (!(cpu->mode & MODE_CS64) || cpu->cpl == 3 || selector_rpl(selector) != cpu->cpl)
            raise_zero(cpu, EXC_GP);
        segment_load_null(cpu, SEG_SS, selector);
        return;
    }
    descriptor_read_or_raise(cpu, selector, &descriptor, EXC_GP);
    if (selector_rpl(selector) != cpu->cpl || !descriptor_is_writable_data(&descriptor) ||
        descriptor_dpl(&descriptor) != cpu->cpl)
        raise_selector(cpu, EXC_GP, selector);
    if (!descriptor_present(&descriptor))
        raise_selector(cpu, EXC_SS, selector);
    descriptor_mark_accessed(cpu, &descriptor);
    segment_load_descriptor(cpu, SEG_SS, selector, &descriptor);
}

void segment_load(Cpu *cpu, int seg, uint16_t selector)
{
    Descriptor descriptor;

    if (!has_descriptors(cpu)) {
        segment_load_real(cpu, seg, selector);
        return;
    }
    if (seg == SEG_SS) {
        load_ss(cpu, selector);
        return;
    }
    if (selector_is_null(selector)) {
        segment_load_null(cpu, seg, selector);
        return;
    }
    descriptor_read_or_raise(cpu, selector, &descriptor, EXC_GP);
    bool code = descriptor_is_code(&descriptor);
    if (!descriptor_is_segment(&descriptor) || (code && !(descriptor.high & (ATTR_READABLE << 8))))
        raise_selector(cpu, EXC_GP, selector);
    if (!descriptor_is_conforming_code(&descriptor) &&
        (selector_rpl(selector) > descriptor_dpl(&descriptor) ||
         cpu->cpl > descriptor_dpl(&descriptor)))
        raise_selector(cpu, EXC_GP, selector);
    if (!descriptor_present(&descriptor))
        raise_selector(cpu, EXC_NP, selector);
    descriptor_mark_accessed(cpu, &descriptor);
    segment_load_descriptor(cpu, seg, selector, &descriptor);
}

void segments_drop_privileged(Cpu *cpu)
{
    static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

    for (unsigned i = 0; i < sizeof data; i++) {
        CpuSegment *segment = &cpu->seg[data[i]];
        unsigned a = segment->attributes;
        bool conforming = (a & (ATTR_CODE | ATTR_CONFORMING)) == (ATTR_CODE | ATTR_CONFORMING);

        if ((a & ATTR_P) && !conforming && (a & ATTR_DPL) >> ATTR_DPL_SHIFT < cpu->cpl) {
            /* The base stays: 64-bit code goes on using that of FS and GS. */
            segment->selector = 0;
            segment->attributes = 0;
        }
    }
    cpu_update_mode(cpu);
}

/* --- logical to linear
 * ---------------------------------------------------------------------------- */

static bool inside_limit(uint32_t limit, uint16_t attributes, uint32_t offset, unsigned size)
{
    uint64_t last = (uint64_t)offset + size - 1;

    if ((attributes & (ATTR_S | ATTR_CODE | ATTR_EXPAND_DOWN)) == (ATTR_S | ATTR_EXPAND_DOWN))
        return offset > limit && last <= (attributes & ATTR_DB ? 0xffffffff : 0xffff);
    return last <= limit;
}

static int fault_of(int seg)
{
    return seg == SEG_SS ? EXC_SS : EXC_GP;
}

static uint64_t linear_64(Cpu *cpu, int seg, uint64_t offset, unsigned size)
{
    uint64_t linear = offset;

    if (seg == SEG_FS || seg == SEG_GS)
        linear += cpu->seg[seg].base;
    if (!cpu_canonical(linear) || !cpu_canonical(linear + size - 1))
        raise_zero(cpu, fault_of(seg));
    return linear;
}

uint64_t segment_linear(Cpu *cpu, int seg, uint64_t offset, unsigned size, bool write)
{
    const CpuSegment *segment = &cpu->seg[seg];
    unsigned a = segment->attributes;

    if (cpu->mode & MODE_CS64)
        return linear_64(cpu, seg, offset, size);
    if (has_descriptors(cpu)) {
        bool code = a & ATTR_CODE;
        if (!(a & ATTR_P) || (write && (code || !(a & ATTR_WRITABLE))) ||
            (!write && code && !(a & ATTR_READABLE)))
            raise_zero(cpu, fault_of(seg));
    }
    if (!inside_limit(segment->limit, a, (uint32_t)offset, size))
        raise_zero(cpu, fault_of(seg));
    return (uint32_t)(segment->base + offset);
}

void check_code_offset(Cpu *cpu, const Descriptor *descriptor, uint64_t offset)
{
    bool code64 = in_long_mode(cpu) && (descriptor->high & (ATTR_L << 8));

    if (code64 ? !cpu_canonical(offset) : offset > descriptor_limit(descriptor))
        raise_zero(cpu, EXC_GP);
}

/* --- stacks --------------------------------------------------------------------------------------
 */

Stack stack_current(Cpu *cpu)
{
    const CpuSegment *ss = &cpu->seg[SEG_SS];
    Stack stack = {
        .sp = cpu->gpr[RSP],
        .base = ss->base,
        .limit = ss->limit,
        .attributes = ss->attributes,
        .flat = cpu->mode & MODE_CS64,
        .set = mmu_set_for_cpl(cpu, cpu->cpl),
    };

    stack.mask = stack.flat ? UINT64_MAX : cpu->mode & MODE_SS32 ? 0xffffffff : 0xffff;
    return stack;
}

Stack stack_of(Cpu *cpu, uint16_t selector, const Descriptor *descriptor, uint64_t sp, unsigned cpl)
{
    uint16_t attributes = descriptor_attributes(descriptor);

    return (Stack){
        .sp = sp,
        .mask = attributes & ATTR_DB ? 0xffffffff : 0xffff,
        .base = descriptor_base(descriptor),
        .limit = descriptor_limit(descriptor),
        .attributes = attributes,
        .error = selector,
        .set = mmu_set_for_cpl(cpu, cpl),
    };
}

Stack stack_64(Cpu *cpu, uint64_t sp, unsigned cpl)
{
    return (Stack){.sp = sp, .mask = UINT64_MAX, .flat = true, .set = mmu_set_for_cpl(cpu, cpl)};
}

static uint64_t stack_linear(Cpu *cpu, const Stack *stack, uint64_t offset, unsigned size)
{
    if (stack->flat) {
        if (!cpu_canonical(offset) || !cpu_canonical(offset + size - 1))
            raise_selector(cpu, EXC_SS, stack->error);
        return offset;
    }
    if (!inside_limit(stack->limit, stack->attributes, (uint32_t)offset, size))
        raise_selector(cpu, EXC_SS, stack->error);
    return (uint32_t)(stack->base + offset);
}

void stack_push_all(Cpu *cpu, Stack *stack, const uint64_t *values, unsigned count, unsigned size)
{
    uint64_t sp = stack->sp;

    for (unsigned i = 1; i <= count; i++)
        mmu_probe_as(cpu, stack->set,
                     stack_linear(cpu, stack, (sp - (uint64_t)i * size) & stack->mask, size), size,
                     ACCESS_WRITE);
    for (unsigned i = 0; i < count; i++) {
        sp = (sp - size) & stack->mask;
        mmu_store_as(cpu, stack->set, stack_linear(cpu, stack, sp, size), values[i], size);
    }
    stack->sp = (stack->sp & ~stack->mask) | sp;
}

uint64_t stack_peek(Cpu *cpu, const Stack *stack, unsigned offset, unsigned size)
{
    return mmu_load_as(cpu, stack->set,
                       stack_linear(cpu, stack, (stack->sp + offset) & stack->mask, size), size);
}

void stack_commit(Cpu *cpu, const Stack *stack)
{
    if (stack->mask == 0xffff)
        cpu->gpr[RSP] = (cpu->gpr[RSP] & ~0xffffull) | (stack->sp & 0xffff);
    else
        cpu->gpr[RSP] = stack->sp & stack->mask;
}

void tss_stack(Cpu *cpu, unsigned level, uint16_t *ss, uint64_t *sp)
{
    const CpuSegment *tr = &cpu->seg[SEG_TR];
    bool wide = (tr->attributes & ATTR_TYPE) >= TYPE_TSS32;
    unsigned at, length;

    if (in_long_mode(cpu)) {
        at = 4 + level * 8;
        length = 8;
    } else {
        at = wide ? 4 + level * 8 : 2 + level * 4;
        length = wide ? 6 : 4;
    }
    if (at + length - 1 > tr->limit)
        raise_selector(cpu, EXC_TS, tr->selector);
    if (in_long_mode(cpu)) {
        *sp = mmu_load_system(cpu, tr->base + at, 8);
        *ss = (uint16_t)level;
        return;
    }
    *sp = mmu_load_system(cpu, tr->base + at, wide ? 4 : 2);
    *ss = (uint16_t)mmu_load_system(cpu, tr->base + at + (wide ? 4 : 2), 2);
}

void tss_check_ss(Cpu *cpu, uint16_t ss, unsigned level, Descriptor *descriptor)
{
    if (selector_is_null(ss))
        raise_zero(cpu, EXC_TS);
    descriptor_read_or_raise(cpu, ss, descriptor, EXC_TS);
    if (selector_rpl(ss) != level || descriptor_dpl(descriptor) != level ||
        !descriptor_is_writable_data(descriptor))
        raise_selector(cpu, EXC_TS, ss);
    if (!descriptor_present(descriptor))
        raise_selector(cpu, EXC_SS, ss);
}

/* --- LLDT, LTR and the inspecting instructions
 * ----------------------------------------------------- */

static void require_ring_0(Cpu *cpu)
{
    if (!has_descriptors(cpu))
        cpu_raise(cpu, EXC_UD);
    if (cpu->cpl)
        raise_zero(cpu, EXC_GP);
}

void system_lldt(Cpu *cpu, uint16_t selector)
{
    Descriptor descriptor;

    require_ring_0(cpu);
    if (selector_is_null(selector)) {
        cpu->seg[SEG_LDTR].selector = selector;
        cpu->seg[SEG_LDTR].attributes &= ~ATTR_P;
        return;
    }
    if (selector & 4)
        raise_selector(cpu, EXC_GP, selector);
    descriptor_read_or_raise(cpu, selector, &descriptor, EXC_GP);
    if (descriptor_is_segment(&descriptor) || descriptor_type(&descriptor) != TYPE_LDT)
        raise_selector(cpu, EXC_GP, selector);
    if (!descriptor_present(&descriptor))
        raise_selector(cpu, EXC_NP, selector);
    uint64_t base = in_long_mode(cpu) ? descriptor_base_64(cpu, &descriptor, selector)
                                      : descriptor_base(&descriptor);
    if (!cpu_canonical(base))
        raise_selector(cpu, EXC_GP, selector);
    segment_load_cache(cpu, SEG_LDTR, selector, base, descriptor_limit(&descriptor),
                       descriptor_attributes(&descriptor));
}

void system_ltr(Cpu *cpu, uint16_t selector)
{
    Descriptor descriptor;

    require_ring_0(cpu);
    if (selector_is_null(selector))
        raise_zero(cpu, EXC_GP);
    if (selector & 4)
        raise_selector(cpu, EXC_GP, selector);
    descriptor_read_or_raise(cpu, selector, &descriptor, EXC_GP);
    unsigned type = descriptor_type(&descriptor);
    if (descriptor_is_segment(&descriptor) ||
        !(type == TYPE_TSS32 || (type == TYPE_TSS16 && !in_long_mode(cpu))))
        raise_selector(cpu, EXC_GP, selector);
    if (!descriptor_present(&descriptor))
        raise_selector(cpu, EXC_NP, selector);
    uint64_t base = in_long_mode(cpu) ? descriptor_base_64(cpu, &descriptor, selector)
                                      : descriptor_base(&descriptor);
    if (!cpu_canonical(base))
        raise_selector(cpu, EXC_GP, selector);
    descriptor_mark_busy(cpu, &descriptor, true);
    segment_load_cache(cpu, SEG_TR, selector, base, descriptor_limit(&descriptor),
                       descriptor_attributes(&descriptor) | 2);
}

static bool set_zf(Cpu *cpu, bool zf)
{
    cpu->rflags = (cpu->rflags & ~(uint64_t)RFLAGS_ZF) | (zf ? RFLAGS_ZF : 0);
    return zf;
}

/* Reads the descriptor if SELECTOR is visible from CPL and RPL. TYPES: system types allowed. */
static bool inspect(Cpu *cpu, uint16_t selector, uint32_t types, Descriptor *descriptor)
{
    if (!has_descriptors(cpu))
        cpu_raise(cpu, EXC_UD);
    if (selector_is_null(selector) || !descriptor_read(cpu, selector, descriptor))
        return false;
    if (!descriptor_is_segment(descriptor) && !(types >> descriptor_type(descriptor) & 1))
        return false;
    unsigned dpl = descriptor_dpl(descriptor);
    return descriptor_is_conforming_code(descriptor) ||
           (dpl >= cpu->cpl && dpl >= selector_rpl(selector));
}

/* System types that LAR and LSL accept (SDM volume 2, tables in LAR and LSL). */
enum {
    LSL_TYPES_64 = 1 << TYPE_LDT | 1 << TYPE_TSS32 | 1 << TYPE_TSS32_BUSY,
    LSL_TYPES_32 = LSL_TYPES_64 | 1 << TYPE_TSS16 | 1 << TYPE_TSS16_BUSY,
    LAR_TYPES_64 = LSL_TYPES_64 | 1 << TYPE_CALL32,
    LAR_TYPES_32 = LSL_TYPES_32 | 1 << TYPE_CALL16 | 1 << TYPE_TASK_GATE | 1 << TYPE_CALL32,
};

bool system_lar(Cpu *cpu, uint16_t selector, uint32_t *value)
{
    Descriptor descriptor;

    if (!inspect(cpu, selector, in_long_mode(cpu) ? LAR_TYPES_64 : LAR_TYPES_32, &descriptor))
        return set_zf(cpu, false);
    *value = descriptor.high & 0x00f0ff00;
    return set_zf(cpu, true);
}

bool system_lsl(Cpu *cpu, uint16_t selector, uint32_t *value)
{
    Descriptor descriptor;

    if (!inspect(cpu, selector, in_long_mode(cpu) ? LSL_TYPES_64 : LSL_TYPES_32, &descriptor))
        return set_zf(cpu, false);
    *value = descriptor_limit(&descriptor);
    return set_zf(cpu, true);
}

bool system_verify(Cpu *cpu, uint16_t selector, bool write)
{
    Descriptor descriptor;

    if (!inspect(cpu, selector, 0, &descriptor))
        return set_zf(cpu, false);
    if (write)
        return set_zf(cpu, descriptor_is_writable_data(&descriptor));
    return set_zf(cpu, descriptor_is_data(&descriptor) || (descriptor.high & (ATTR_READABLE << 8)));
}
