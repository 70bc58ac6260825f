/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Arithmetic flags for those who see them outside the program: a fault's or an interrupt's handler.
 * Translated code does not keep flags that the program overwrites unread; it knows, or notes in
 * SLOT_FLAGS, what operation they come from and where its operands are.
 */

#include "core/cpu/jit/jit-internal.h"

/* AH and AL of LAHF; SETO AL. */
enum {
    AX_CF = 1 << 8,
    AX_PF = 4 << 8,
    AX_ZF = 0x40 << 8,
    AX_SF = 0x80 << 8,
    AX_OF = 1,
    AX_SAVED = 2 << 8
};

JIT_VECTOR_SAFE static uint64_t size_mask(unsigned size)
{
    return size == 8 ? UINT64_MAX : (UINT64_C(1) << size * 8) - 1;
}

JIT_VECTOR_SAFE static bool sign(uint64_t value, unsigned size)
{
    return value >> (size * 8 - 1) & 1;
}

/* SF, ZF and PF. */
JIT_VECTOR_SAFE static uint32_t result_flags(uint64_t result, unsigned size)
{
    return (sign(result, size) ? AX_SF : 0) | (result ? 0 : AX_ZF) |
           (__builtin_parity((uint8_t)result) ? 0 : AX_PF);
}

/* SDM 1, 3.4.3.1. */
JIT_VECTOR_SAFE static uint32_t sum_flags(uint64_t a, uint64_t b, uint8_t carry, unsigned size)
{
    uint64_t sum = (a + b + carry) & size_mask(size);

    return result_flags(sum, size) | (sum < a || (carry && sum == a) ? AX_CF : 0) |
           (uint32_t)((a ^ b ^ sum) & RFLAGS_AF) << 8 | sign((a ^ sum) & (b ^ sum), size);
}

JIT_VECTOR_SAFE static uint32_t difference_flags(uint64_t a, uint64_t b, uint8_t carry,
                                                 unsigned size)
{
    uint64_t difference = (a - b - carry) & size_mask(size);

    return result_flags(difference, size) | (a < b || (carry && a == b) ? AX_CF : 0) |
           (uint32_t)((a ^ b ^ difference) & RFLAGS_AF) << 8 |
           sign((a ^ b) & (a ^ difference), size);
}

JIT_VECTOR_SAFE static int64_t sign_extended(uint64_t value, unsigned size)
{
    unsigned unused = 64 - size * 8;

    return (int64_t)(value << unused) >> unused;
}

/* CF and OF: whether the product is not its lower half, sign-extended. The others are undefined. */
JIT_VECTOR_SAFE static uint32_t product_flags(uint64_t a, uint64_t b, unsigned size)
{
    int64_t product;
    bool whole =
        !__builtin_mul_overflow(sign_extended(a, size), sign_extended(b, size), &product) &&
        sign_extended((uint64_t)product, size) == product;

    return whole ? 0 : AX_CF | AX_OF;
}

/* By the host's own instructions, for the flags that no manual defines. */
#define SHIFT_FLAGS(op, bits, suffix)                                                              \
    JIT_VECTOR_SAFE static uint32_t op##_flags##bits(uint64_t value, uint8_t count)                \
    {                                                                                              \
        uint##bits##_t v = (uint##bits##_t)value;                                                  \
        uint32_t ax;                                                                               \
        __asm__(#op suffix " %%cl, %[v]\n\tlahf\n\tseto %%al"                                      \
                : [v] "+&r"(v), "=&a"(ax)                                                          \
                : "c"(count)                                                                       \
                : "cc");                                                                           \
        return ax;                                                                                 \
    }
#define SHIFT_SIZES(op)                                                                            \
    SHIFT_FLAGS(op, 8, "b")                                                                        \
    SHIFT_FLAGS(op, 16, "w")                                                                       \
    SHIFT_FLAGS(op, 32, "l")                                                                       \
    SHIFT_FLAGS(op, 64, "q")                                                                       \
    JIT_VECTOR_SAFE static uint32_t op##_flags(uint64_t value, uint8_t count, unsigned size)       \
    {                                                                                              \
        switch (size) {                                                                            \
        case 1: return op##_flags8(value, count);                                                  \
        case 2: return op##_flags16(value, count);                                                 \
        case 4: return op##_flags32(value, count);                                                 \
        default: return op##_flags64(value, count);                                                \
        }                                                                                          \
    }

SHIFT_SIZES(shl)
SHIFT_SIZES(shr)
SHIFT_SIZES(sar)

JIT_VECTOR_SAFE static uint64_t operand(const Cpu *cpu, JitFlags origin, unsigned source)
{
    uint64_t value = source == FLAGS_CONSTANT ? (uint64_t)(int64_t)origin.constant
                     : source >= FLAGS_NOTED  ? cpu->jit[SLOT_NOTES + source - FLAGS_NOTED]
                                              : cpu->gpr[source];

    return value & size_mask(1u << origin.size);
}

JIT_VECTOR_SAFE static uint32_t flags_from(const Cpu *cpu, JitFlags origin)
{
    unsigned size = 1u << origin.size;
    uint64_t mask = size_mask(size), a = operand(cpu, origin, origin.first);
    uint64_t b = operand(cpu, origin, origin.second);
    uint8_t carry = (uint8_t)cpu->jit[SLOT_NOTED_CARRY];

    switch ((JitFlagsOrigin)origin.kind) {
    case FLAGS_ADD: return sum_flags(a, b, 0, size);
    case FLAGS_ADD_RESULT: return sum_flags((a - b) & mask, b, 0, size);
    case FLAGS_ADD_OLD: return sum_flags(a, (b - a) & mask, 0, size);
    case FLAGS_SUB: return difference_flags(a, b, 0, size);
    case FLAGS_SUB_RESULT: return difference_flags((a + b) & mask, b, 0, size);
    case FLAGS_SUB_OLD: return difference_flags(a, (a - b) & mask, 0, size);
    case FLAGS_NEG_RESULT: return difference_flags(0, (0 - a) & mask, 0, size);
    case FLAGS_LOGIC: return result_flags(a, size);
    case FLAGS_TEST: return result_flags(a & b, size);
    case FLAGS_SHL: return shl_flags(a, (uint8_t)b, size);
    case FLAGS_SHR: return shr_flags(a, (uint8_t)b, size);
    case FLAGS_SAR: return sar_flags(a, (uint8_t)b, size);
    case FLAGS_ADC_RESULT: return sum_flags((a - b - carry) & mask, b, carry, size);
    case FLAGS_SBB_RESULT: return difference_flags((a + b + carry) & mask, b, carry, size);
    case FLAGS_INC_RESULT:
        return (sum_flags((a - 1) & mask, 1, 0, size) & ~(uint32_t)AX_CF) | carry * AX_CF;
    case FLAGS_DEC_RESULT:
        return (difference_flags((a + 1) & mask, 1, 0, size) & ~(uint32_t)AX_CF) | carry * AX_CF;
    case FLAGS_MUL: return a ? AX_CF | AX_OF : 0;
    case FLAGS_IMUL: return product_flags(a, b, size);
    default: return (uint32_t)cpu->jit[SLOT_FLAGS];
    }
}

JIT_VECTOR_SAFE void jit_take_flags(Cpu *cpu, uint64_t ax)
{
    cpu->rflags = (cpu->rflags & ~(uint64_t)RFLAGS_ARITH) | ((ax >> 8) & RFLAGS_ARITH & 0xff) |
                  (ax & AX_OF) << 11;
}

JIT_VECTOR_SAFE void jit_take_flags_from(Cpu *cpu, JitFlags origin)
{
    if (origin.kind == FLAGS_NONE)
        return;
    if (origin.kind == FLAGS_AS_ENTERED)
        origin = jit_flags_noted(cpu);
    jit_take_flags(cpu, flags_from(cpu, origin));
}

JIT_VECTOR_SAFE void jit_put_flags(Cpu *cpu)
{
    cpu->jit[SLOT_FLAGS] = (cpu->rflags & 0xff) << 8 | (cpu->rflags >> 11 & 1) | AX_SAVED;
}
