/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Segment descriptors and stacks, for segments.c, transfers.c, exceptions.c and tasks.c. */

#include "core/cpu/mmu.h"
#include "core/cpu/system.h"

/* System descriptor types (SDM table 3-2). In IA-32e mode TSS32 and GATE32 types mean 64 bits. */
enum {
    TYPE_TSS16 = 1,
    TYPE_LDT = 2,
    TYPE_TSS16_BUSY = 3,
    TYPE_CALL16 = 4,
    TYPE_TASK_GATE = 5,
    TYPE_INT16 = 6,
    TYPE_TRAP16 = 7,
    TYPE_TSS32 = 9,
    TYPE_TSS32_BUSY = 11,
    TYPE_CALL32 = 12,
    TYPE_INT32 = 14,
    TYPE_TRAP32 = 15,
};

typedef struct {
    uint64_t address;   /* linear, of the first byte */
    uint32_t low, high; /* the first two doublewords */
} Descriptor;

static inline uint32_t descriptor_base(const Descriptor *d)
{
    return d->low >> 16 | (d->high & 0xff) << 16 | (d->high & 0xff000000);
}

static inline uint32_t descriptor_limit(const Descriptor *d)
{
    uint32_t limit = (d->low & 0xffff) | (d->high & 0xf0000);

    return d->high & (1u << 23) ? limit << 12 | 0xfff : limit;
}

static inline uint16_t descriptor_attributes(const Descriptor *d)
{
    return (d->high >> 8) & 0xf0ff;
}

static inline unsigned descriptor_type(const Descriptor *d)
{
    return (d->high >> 8) & 0xf;
}

static inline unsigned descriptor_dpl(const Descriptor *d)
{
    return (d->high >> 13) & 3;
}

static inline bool descriptor_present(const Descriptor *d)
{
    return d->high & (1u << 15);
}

/* Code or data (S set). */
static inline bool descriptor_is_segment(const Descriptor *d)
{
    return d->high & (1u << 12);
}

static inline bool descriptor_is_code(const Descriptor *d)
{
    return (d->high & (3u << 11)) == (3u << 11);
}

static inline bool descriptor_is_data(const Descriptor *d)
{
    return (d->high & (3u << 11)) == (1u << 12);
}

static inline bool descriptor_is_conforming_code(const Descriptor *d)
{
    return descriptor_is_code(d) && (d->high & (1u << 10));
}

static inline bool descriptor_is_writable_data(const Descriptor *d)
{
    return descriptor_is_data(d) && (d->high & (1u << 9));
}

static inline bool selector_is_null(uint16_t selector)
{
    return !(selector & 0xfffc);
}

static inline unsigned selector_rpl(uint16_t selector)
{
    return selector & 3;
}

static inline bool in_long_mode(const Cpu *cpu)
{
    return cpu->efer & EFER_LMA;
}

static inline bool in_v8086(const Cpu *cpu)
{
    return cpu->mode & MODE_VM86;
}

/* Protected mode in the sense of segmentation: not real mode and not v8086. */
static inline bool has_descriptors(const Cpu *cpu)
{
    return (cpu->mode & (MODE_PE | MODE_VM86)) == MODE_PE;
}

/* Raises VECTOR with a selector's error code, or with 0; EXT is added. */
_Noreturn void raise_selector(Cpu *cpu, int vector, uint16_t selector);
_Noreturn void raise_zero(Cpu *cpu, int vector);

/* False: outside its table (or no LDT). */
bool descriptor_read(Cpu *cpu, uint16_t selector, Descriptor *descriptor);
/* As descriptor_read, raising VECTOR(selector). */
void descriptor_read_or_raise(Cpu *cpu, uint16_t selector, Descriptor *descriptor, int vector);
/* Bits 63:32 of the base of a 16-byte system descriptor; raises #GP(selector) past the table. */
uint64_t descriptor_base_64(Cpu *cpu, const Descriptor *descriptor, uint16_t selector);
/* Sets the accessed bit in memory if it is not. */
void descriptor_mark_accessed(Cpu *cpu, Descriptor *descriptor);
/* Changes the busy bit of a TSS. */
void descriptor_mark_busy(Cpu *cpu, const Descriptor *descriptor, bool busy);
void segment_load_descriptor(Cpu *cpu, int seg, uint16_t selector, const Descriptor *descriptor);
void segment_load_null(Cpu *cpu, int seg, uint16_t selector);

/* Loads CS and sets the privilege level, in protected mode. */
void segment_load_cs(Cpu *cpu, uint16_t selector, const Descriptor *descriptor, unsigned cpl);
/* After a return to an outer level: data segments it may not have become null (SDM 5.8.6). */
void segments_drop_privileged(Cpu *cpu);

/* A stack that may be another level's, used before anything is committed. */
typedef struct {
    uint64_t sp;
    uint64_t mask; /* of the stack pointer's width */
    uint64_t base;
    uint32_t limit;
    uint16_t attributes;
    uint16_t error; /* selector for #SS */
    bool flat;      /* 64-bit: no base, no limit, canonical check */
    unsigned set;   /* MMU_* */
} Stack;

/* The current SS:RSP at the current level. */
Stack stack_current(Cpu *cpu);
/* Of a descriptor that will become SS at level CPL. */
Stack stack_of(Cpu *cpu, uint16_t selector, const Descriptor *descriptor, uint64_t sp,
               unsigned cpl);
/* A 64-bit one at level CPL. */
Stack stack_64(Cpu *cpu, uint64_t sp, unsigned cpl);
/* Checks and probes all pushes, then writes: VALUES[0] first. */
void stack_push_all(Cpu *cpu, Stack *stack, const uint64_t *values, unsigned count, unsigned size);
/* Reads what stands OFFSET bytes above the top. */
uint64_t stack_peek(Cpu *cpu, const Stack *stack, unsigned offset, unsigned size);
/* RSP with the stack's width. */
void stack_commit(Cpu *cpu, const Stack *stack);

/* The inner stack pointer and selector that the TSS holds for LEVEL: #TS if outside its limit.
 * Long mode has no selector. */
void tss_stack(Cpu *cpu, unsigned level, uint16_t *ss, uint64_t *sp);
/* Checks SS of an inner stack for LEVEL and reads its descriptor: #TS and #SS. */
void tss_check_ss(Cpu *cpu, uint16_t ss, unsigned level, Descriptor *descriptor);

/* Raises unless OFFSET is inside the code segment DESCRIPTOR describes. */
void check_code_offset(Cpu *cpu, const Descriptor *descriptor, uint64_t offset);
