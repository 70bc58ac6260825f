/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Operands for the interpreter's files: registers, effective addresses, and memory with the TLB hit
 * inlined. Faults are raised here, in the order processors do: segment or canonical check,
 * alignment, then paging.
 */

#include "core/cpu/bus.h"
#include "core/cpu/decode.h"
#include "core/cpu/mmu.h"
#include "core/cpu/system.h"

#define INTERP_INLINE static inline __attribute__((always_inline))

INTERP_INLINE uint64_t size_mask(unsigned size)
{
    return size == 8 ? UINT64_MAX : (1ull << (size * 8)) - 1;
}

INTERP_INLINE uint64_t sign_extend(uint64_t value, unsigned size)
{
    switch (size) {
    case 1: return (int8_t)value;
    case 2: return (int16_t)value;
    case 4: return (int32_t)value;
    default: return value;
    }
}

/* --- registers -------------------------------------------------------------------------------- */

INTERP_INLINE uint64_t gpr_read(const Cpu *cpu, unsigned reg, unsigned size)
{
    return cpu->gpr[reg] & size_mask(size);
}

/* 32-bit writes clear the upper half; 8 and 16-bit ones keep the rest. */
INTERP_INLINE void gpr_write(Cpu *cpu, unsigned reg, uint64_t value, unsigned size)
{
    switch (size) {
    case 1: cpu->gpr[reg] = (cpu->gpr[reg] & ~0xffull) | (value & 0xff); break;
    case 2: cpu->gpr[reg] = (cpu->gpr[reg] & ~0xffffull) | (value & 0xffff); break;
    case 4: cpu->gpr[reg] = (uint32_t)value; break;
    default: cpu->gpr[reg] = value; break;
    }
}

INTERP_INLINE uint64_t register_read(const Cpu *cpu, const InsnOperand *operand, unsigned size)
{
    if (size == 1 && operand->reg_class == REG_CLASS_GPR8_HIGH)
        return (cpu->gpr[operand->reg] >> 8) & 0xff;
    return gpr_read(cpu, operand->reg, size);
}

INTERP_INLINE void register_write(Cpu *cpu, const InsnOperand *operand, uint64_t value,
                                  unsigned size)
{
    if (size == 1 && operand->reg_class == REG_CLASS_GPR8_HIGH)
        cpu->gpr[operand->reg] = (cpu->gpr[operand->reg] & ~0xff00ull) | ((value & 0xff) << 8);
    else
        gpr_write(cpu, operand->reg, value, size);
}

/* --- addresses -------------------------------------------------------------------------------- */

/* Offset of the memory operand in its segment. RIP-relative uses the next instruction's address. */
INTERP_INLINE uint64_t insn_offset(const Cpu *cpu, const Insn *insn)
{
    uint64_t offset = insn->displacement;
    if (insn->mem_base < N_GPR)
        offset += cpu->gpr[insn->mem_base];
    else if (insn->mem_base == INSN_REG_RIP)
        offset += cpu->rip + insn->length;
    if (insn->mem_index < N_GPR)
        offset += cpu->gpr[insn->mem_index] * insn->mem_scale;
    return insn->address_size == 8 ? offset : offset & size_mask(insn->address_size);
}

/* Segment:offset to linear for [OFFSET, OFFSET+SIZE), checked. */
INTERP_INLINE uint64_t interp_linear(Cpu *cpu, int seg, uint64_t offset, unsigned size, bool write)
{
    if (cpu->mode & MODE_CS64) {
        uint64_t linear = seg >= SEG_FS ? offset + cpu->seg[seg].base : offset;
        if (__builtin_expect(!cpu_canonical(linear) || !cpu_canonical(linear + size - 1), 0))
            cpu_raise_error(cpu, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
        return linear;
    }
    uint32_t flat = seg == SEG_DS   ? MODE_FLAT_DS
                    : seg == SEG_SS ? MODE_FLAT_SS
                    : seg == SEG_ES ? MODE_FLAT_ES
                                    : 0;
    if ((cpu->mode & flat) && offset + size - 1 <= UINT32_MAX)
        return offset;
    return segment_linear(cpu, seg, offset, size, write);
}

/* Linear address of the instruction's memory operand of SIZE bytes. */
INTERP_INLINE uint64_t insn_linear(Cpu *cpu, const Insn *insn, unsigned size, bool write)
{
    return interp_linear(cpu, insn->mem_seg, insn_offset(cpu, insn), size, write);
}

/* #GP(0) unless the memory operand stands at a multiple of ALIGNMENT. Processors look at this
 * before the segment's limit or the canonical form. */
INTERP_INLINE void insn_require_alignment(Cpu *cpu, const Insn *insn, unsigned alignment)
{
    uint64_t linear = insn_offset(cpu, insn);
    if (!cpu_is_64bit(cpu) || insn->mem_seg >= SEG_FS)
        linear += cpu->seg[insn->mem_seg].base;
    if (linear & (alignment - 1))
        cpu_raise_error(cpu, EXC_GP, 0);
}

/* --- memory ----------------------------------------------------------------------------------- */

INTERP_INLINE void interp_check_alignment(Cpu *cpu, uint64_t linear, unsigned size)
{
    if (__builtin_expect((cpu->mode & MODE_AC) && (linear & (size - 1)), 0))
        cpu_raise_error(cpu, EXC_AC, 0);
}

/* Host pointer of a TLB hit, or NULL. Alignment checks and data breakpoints are the MMU's. */
INTERP_INLINE void *tlb_load_pointer(const Cpu *cpu, uint64_t linear, unsigned size)
{
    const TlbSet *set = &cpu->tlb[cpu_mmu_index(cpu)];
    unsigned i = cpu_tlb_index(linear);
    uint64_t distance = linear - set->load_tag[i];
    if (__builtin_expect(cpu->mode & (MODE_AC | MODE_DEBUG), 0))
        return NULL;
    return distance <= GUEST_PAGE_SIZE - size ? (void *)(uintptr_t)(set->delta[i] + linear) : NULL;
}

INTERP_INLINE void *tlb_store_pointer(const Cpu *cpu, uint64_t linear, unsigned size)
{
    const TlbSet *set = &cpu->tlb[cpu_mmu_index(cpu)];
    unsigned i = cpu_tlb_index(linear);
    uint64_t distance = linear - set->store_tag[i];
    if (__builtin_expect(cpu->mode & (MODE_AC | MODE_DEBUG), 0))
        return NULL;
    return distance <= GUEST_PAGE_SIZE - size ? (void *)(uintptr_t)(set->delta[i] + linear) : NULL;
}

/* SIZE 1, 2, 4 or 8. */
INTERP_INLINE uint64_t interp_load(Cpu *cpu, uint64_t linear, unsigned size)
{
    void *host = tlb_load_pointer(cpu, linear, size);
    return host ? host_load(host, size) : mmu_load(cpu, linear, size);
}

INTERP_INLINE void interp_store(Cpu *cpu, uint64_t linear, uint64_t value, unsigned size)
{
    void *host = tlb_store_pointer(cpu, linear, size);
    if (host)
        host_store(host, value, size);
    else
        mmu_store(cpu, linear, value, size);
}

/* Raises now what a store would. */
INTERP_INLINE void interp_probe_store(Cpu *cpu, uint64_t linear, unsigned size)
{
    interp_check_alignment(cpu, linear, size);
    if (!tlb_store_pointer(cpu, linear, size))
        mmu_probe(cpu, linear, size, ACCESS_WRITE);
}

/* --- operands --------------------------------------------------------------------------------- */

INTERP_INLINE uint64_t operand_read(Cpu *cpu, const Insn *insn, unsigned n, unsigned size)
{
    const InsnOperand *operand = &insn->operands[n];
    if (operand->kind == OPERAND_REG)
        return register_read(cpu, operand, size);
    if (operand->kind == OPERAND_IMM)
        return insn->immediate & size_mask(size);
    return interp_load(cpu, insn_linear(cpu, insn, size, false), size);
}

INTERP_INLINE void operand_write(Cpu *cpu, const Insn *insn, unsigned n, uint64_t value,
                                 unsigned size)
{
    const InsnOperand *operand = &insn->operands[n];
    if (operand->kind == OPERAND_REG)
        register_write(cpu, operand, value, size);
    else
        interp_store(cpu, insn_linear(cpu, insn, size, true), value, size);
}

/* Read-modify-write of the memory operand. With LOCK (or XCHG) on plain memory it is one atomic
 * host operation: the caller computes in a loop until rmw_commit() accepts. Otherwise the store has
 * been probed, so that a commit never faults. */
typedef struct {
    uint64_t linear, old;
    void *host; /* NULL: through the MMU */
    unsigned size;
    bool atomic;
    bool bus;  /* locked, for what no host instruction can do alone */
    bool slow; /* the MMU must hear of the store: the page may hold translated code */
} InterpRmw;

INTERP_INLINE void rmw_begin_at(Cpu *cpu, InterpRmw *rmw, uint64_t linear, unsigned size,
                                bool atomic)
{
    rmw->linear = linear;
    rmw->size = size;
    rmw->host =
        atomic && mmu_splits_line(linear, size) ? NULL : tlb_store_pointer(cpu, linear, size);
    rmw->slow = !rmw->host;
    if (rmw->slow)
        rmw->host = mmu_locked_pointer(cpu, linear, size);
    rmw->atomic = atomic && rmw->host;
    rmw->bus = atomic && !rmw->host;
    if (rmw->bus)
        cpu_bus_lock(cpu);
    rmw->old = rmw->host ? host_load(rmw->host, size) : mmu_load(cpu, linear, size);
}

INTERP_INLINE void rmw_begin(Cpu *cpu, const Insn *insn, InterpRmw *rmw, unsigned size, bool atomic)
{
    rmw_begin_at(cpu, rmw, insn_linear(cpu, insn, size, true), size, atomic);
}

INTERP_INLINE bool host_compare_exchange(void *host, uint64_t *expected, uint64_t value,
                                         unsigned size)
{
    bool done;
    switch (size) {
#define CASE(bytes, type, suffix)                                                                  \
    case bytes: {                                                                                  \
        type old = *expected;                                                                      \
        __asm__ volatile("lock cmpxchg" suffix " %[value], %[memory]"                              \
                         : "=@ccz"(done), "+a"(old), [memory] "+m"(*(type *)host)                  \
                         : [value] "r"((type)value)                                                \
                         : "memory");                                                              \
        *expected = old;                                                                           \
        return done;                                                                               \
    }
        CASE(1, uint8_t, "b")
        CASE(2, uint16_t, "w")
        CASE(4, uint32_t, "l")
        CASE(8, uint64_t, "q")
#undef CASE
    default: return true;
    }
}

INTERP_INLINE bool rmw_commit(Cpu *cpu, InterpRmw *rmw, uint64_t value)
{
    if (!rmw->host) {
        mmu_store(cpu, rmw->linear, value, rmw->size);
        if (rmw->bus)
            cpu_bus_unlock(cpu);
        return true;
    }
    if (!rmw->atomic)
        host_store(rmw->host, value, rmw->size);
    else if (!host_compare_exchange(rmw->host, &rmw->old, value, rmw->size))
        return false;
    if (rmw->slow)
        mmu_locked_done(cpu, rmw->linear, rmw->size);
    return true;
}

/* --- flags ------------------------------------------------------------------------------------ */

/* The host computes the flags: AH as LAHF/SAHF have it, AL bit 0 is OF. An asm body stands between
 * HOST_FLAGS_IN and HOST_FLAGS_OUT. */
#define HOST_FLAGS_IN  "addb $0x7f, %%al\n\tsahf\n\t"
#define HOST_FLAGS_OUT "\n\tlahf\n\tseto %%al"

INTERP_INLINE uint32_t flags_to_host(uint64_t rflags)
{
    return (rflags & 0xff) << 8 | ((rflags >> 11) & 1);
}

INTERP_INLINE uint64_t flags_from_host(uint64_t rflags, uint32_t ax)
{
    return (rflags & ~(uint64_t)RFLAGS_ARITH) | ((ax >> 8) & 0xd5) | ((ax & 1) << 11);
}

/* Sets the arithmetic flags as LEFT + RIGHT or LEFT - RIGHT does. */
INTERP_INLINE void set_sum_flags(Cpu *cpu, uint64_t left, uint64_t right, unsigned size,
                                 bool subtract)
{
    unsigned shift = 64 - size * 8;
    uint64_t a = left << shift, b = right << shift, rflags = cpu->rflags & ~(uint64_t)RFLAGS_ARITH;
    uint64_t sum = subtract ? a - b : a + b;
    uint64_t small = sum >> shift;
    bool carry = subtract ? a < b : sum < a;
    bool overflow = (subtract ? (a ^ b) & (a ^ sum) : ~(a ^ b) & (a ^ sum)) >> 63;
    rflags |= carry ? RFLAGS_CF : 0;
    rflags |= overflow ? RFLAGS_OF : 0;
    rflags |= sum >> 63 ? RFLAGS_SF : 0;
    rflags |= small ? 0 : RFLAGS_ZF;
    rflags |= (left ^ right ^ small) & RFLAGS_AF;
    rflags |= __builtin_parity(small & 0xff) ? 0 : RFLAGS_PF;
    cpu->rflags = rflags;
}

/* --- stack ------------------------------------------------------------------------------------ */

INTERP_INLINE unsigned stack_address_size(const Cpu *cpu)
{
    return cpu->mode & MODE_CS64 ? 8 : cpu->mode & MODE_SS32 ? 4 : 2;
}

/* Offset of rSP + DELTA, wrapped as the stack's address size does. */
INTERP_INLINE uint64_t stack_offset(const Cpu *cpu, int64_t delta)
{
    return (cpu->gpr[RSP] + delta) & size_mask(stack_address_size(cpu));
}

INTERP_INLINE void stack_adjust(Cpu *cpu, int64_t delta)
{
    gpr_write(cpu, RSP, cpu->gpr[RSP] + delta, stack_address_size(cpu));
}

INTERP_INLINE void interp_push(Cpu *cpu, uint64_t value, unsigned size)
{
    interp_store(cpu, interp_linear(cpu, SEG_SS, stack_offset(cpu, -(int64_t)size), size, true),
                 value, size);
    stack_adjust(cpu, -(int64_t)size);
}

/* The value at rSP + DELTA; rSP unchanged. */
INTERP_INLINE uint64_t interp_peek(Cpu *cpu, int64_t delta, unsigned size)
{
    return interp_load(cpu, interp_linear(cpu, SEG_SS, stack_offset(cpu, delta), size, false),
                       size);
}
