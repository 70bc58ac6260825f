/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Shifts, rotates, double shifts and single-bit tests, computed by the host's own instructions. */

#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

/* --- shifts and rotates ----------------------------------------------------------------------- */

typedef uint64_t (*ShiftFunc)(uint64_t destination, uint8_t count, uint64_t *rflags);

INTERP_INLINE void shift(Cpu *cpu, const Insn *insn, unsigned size, ShiftFunc func)
{
    uint8_t count = insn->operands[1].kind == OPERAND_IMM ? insn->immediate : cpu->gpr[RCX];
    uint64_t rflags = cpu->rflags, result;
    if (insn->operands[0].kind == OPERAND_REG) {
        result = func(register_read(cpu, &insn->operands[0], size), count, &rflags);
        register_write(cpu, &insn->operands[0], result, size);
    } else {
        InterpRmw rmw;
        rmw_begin(cpu, insn, &rmw, size, false);
        rmw_commit(cpu, &rmw, func(rmw.old, count, &rflags));
    }
    cpu->rflags = rflags;
}

#define SHIFT(op, bits, suffix)                                                                    \
    static inline uint64_t op##bits(uint64_t destination, uint8_t count, uint64_t *rflags)         \
    {                                                                                              \
        uint##bits##_t d = destination;                                                            \
        uint32_t ax = flags_to_host(*rflags);                                                      \
        __asm__(HOST_FLAGS_IN #op suffix " %%cl, %[d]" HOST_FLAGS_OUT                              \
                : [d] "+&r"(d), "+&a"(ax)                                                          \
                : "c"(count)                                                                       \
                : "cc");                                                                           \
        *rflags = flags_from_host(*rflags, ax);                                                    \
        return d;                                                                                  \
    }                                                                                              \
    static void insn_##op##bits(Cpu *cpu, const Insn *insn)                                        \
    {                                                                                              \
        shift(cpu, insn, bits / 8, op##bits);                                                      \
    }
#define SHIFT_SIZES(op)                                                                            \
    SHIFT(op, 8, "b")                                                                              \
    SHIFT(op, 16, "w")                                                                             \
    SHIFT(op, 32, "l")                                                                             \
    SHIFT(op, 64, "q")

SHIFT_SIZES(rol)
SHIFT_SIZES(ror)
SHIFT_SIZES(rcl)
SHIFT_SIZES(rcr)
SHIFT_SIZES(shl)
SHIFT_SIZES(shr)
SHIFT_SIZES(sar)

/* --- double shifts ---------------------------------------------------------------------------- */

typedef uint64_t (*DoubleShiftFunc)(uint64_t destination, uint64_t source, uint8_t count,
                                    uint64_t *rflags);

INTERP_INLINE void double_shift(Cpu *cpu, const Insn *insn, unsigned size, DoubleShiftFunc func)
{
    uint8_t count = insn->operands[2].kind == OPERAND_IMM ? insn->immediate : cpu->gpr[RCX];
    uint64_t source = gpr_read(cpu, insn->operands[1].reg, size);
    uint64_t rflags = cpu->rflags, result;
    if (insn->operands[0].kind == OPERAND_REG) {
        result = func(gpr_read(cpu, insn->operands[0].reg, size), source, count, &rflags);
        gpr_write(cpu, insn->operands[0].reg, result, size);
    } else {
        InterpRmw rmw;
        rmw_begin(cpu, insn, &rmw, size, false);
        rmw_commit(cpu, &rmw, func(rmw.old, source, count, &rflags));
    }
    cpu->rflags = rflags;
}

#define DOUBLE_SHIFT(op, bits, suffix)                                                             \
    static inline uint64_t op##bits(uint64_t destination, uint64_t source, uint8_t count,          \
                                    uint64_t *rflags)                                              \
    {                                                                                              \
        uint##bits##_t d = destination, s = source;                                                \
        uint32_t ax = flags_to_host(*rflags);                                                      \
        __asm__(HOST_FLAGS_IN #op suffix " %%cl, %[s], %[d]" HOST_FLAGS_OUT                        \
                : [d] "+&r"(d), "+&a"(ax)                                                          \
                : [s] "r"(s), "c"(count)                                                           \
                : "cc");                                                                           \
        *rflags = flags_from_host(*rflags, ax);                                                    \
        return d;                                                                                  \
    }                                                                                              \
    static void insn_##op##bits(Cpu *cpu, const Insn *insn)                                        \
    {                                                                                              \
        double_shift(cpu, insn, bits / 8, op##bits);                                               \
    }
#define DOUBLE_SHIFT_SIZES(op)                                                                     \
    DOUBLE_SHIFT(op, 16, "w")                                                                      \
    DOUBLE_SHIFT(op, 32, "l")                                                                      \
    DOUBLE_SHIFT(op, 64, "q")

DOUBLE_SHIFT_SIZES(shld)
DOUBLE_SHIFT_SIZES(shrd)

/* --- bit test --------------------------------------------------------------------------------- */

typedef uint64_t (*BitFunc)(uint64_t destination, uint64_t bit, uint64_t *rflags);

/* A register bit offset is signed and reaches memory beyond the operand (SDM 2A, BT). */
INTERP_INLINE uint64_t bit_linear(Cpu *cpu, const Insn *insn, unsigned size, bool write)
{
    uint64_t offset = insn_offset(cpu, insn);
    if (insn->operands[1].kind == OPERAND_REG) {
        int64_t bit = sign_extend(cpu->gpr[insn->operands[1].reg], size);
        offset = (offset + (bit >> (3 + __builtin_ctz(size))) * (int64_t)size) &
                 size_mask(insn->address_size);
    }
    return interp_linear(cpu, insn->mem_seg, offset, size, write);
}

INTERP_INLINE void bit_test(Cpu *cpu, const Insn *insn, unsigned size, BitFunc func, bool writes)
{
    uint64_t bit =
        insn->operands[1].kind == OPERAND_IMM ? insn->immediate : cpu->gpr[insn->operands[1].reg];
    uint64_t rflags = cpu->rflags, result;
    bit &= size * 8 - 1;
    if (insn->operands[0].kind == OPERAND_REG) {
        result = func(gpr_read(cpu, insn->operands[0].reg, size), bit, &rflags);
        if (writes)
            gpr_write(cpu, insn->operands[0].reg, result, size);
    } else if (!writes) {
        func(interp_load(cpu, bit_linear(cpu, insn, size, false), size), bit, &rflags);
    } else {
        InterpRmw rmw;
        rmw_begin_at(cpu, &rmw, bit_linear(cpu, insn, size, true), size, insn->lock);
        do {
            rflags = cpu->rflags;
            result = func(rmw.old, bit, &rflags);
        } while (!rmw_commit(cpu, &rmw, result));
    }
    cpu->rflags = rflags;
}

#define BIT_TEST(op, bits, suffix, writes)                                                         \
    static inline uint64_t op##bits(uint64_t destination, uint64_t bit, uint64_t *rflags)          \
    {                                                                                              \
        uint##bits##_t d = destination, b = bit;                                                   \
        uint32_t ax = flags_to_host(*rflags);                                                      \
        __asm__(HOST_FLAGS_IN #op suffix " %[b], %[d]" HOST_FLAGS_OUT                              \
                : [d] "+&r"(d), "+&a"(ax)                                                          \
                : [b] "r"(b)                                                                       \
                : "cc");                                                                           \
        *rflags = flags_from_host(*rflags, ax);                                                    \
        return d;                                                                                  \
    }                                                                                              \
    static void insn_##op##bits(Cpu *cpu, const Insn *insn)                                        \
    {                                                                                              \
        bit_test(cpu, insn, bits / 8, op##bits, writes);                                           \
    }
#define BIT_TEST_SIZES(op, writes)                                                                 \
    BIT_TEST(op, 16, "w", writes)                                                                  \
    BIT_TEST(op, 32, "l", writes)                                                                  \
    BIT_TEST(op, 64, "q", writes)

BIT_TEST_SIZES(bt, false)
BIT_TEST_SIZES(bts, true)
BIT_TEST_SIZES(btr, true)
BIT_TEST_SIZES(btc, true)

/* --- table ------------------------------------------------------------------------------------ */

#define SIZED(op)                                                                                  \
    size == 1 ? insn_##op##8 : size == 2 ? insn_##op##16 : size == 4 ? insn_##op##32 : insn_##op##64
#define SIZED_WORDS(op) size == 2 ? insn_##op##16 : size == 4 ? insn_##op##32 : insn_##op##64

InterpHandler interp_shift_handler(const Insn *insn)
{
    unsigned size = insn->operands[0].size;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_ROL: return SIZED(rol);
    case ZYDIS_MNEMONIC_ROR: return SIZED(ror);
    case ZYDIS_MNEMONIC_RCL: return SIZED(rcl);
    case ZYDIS_MNEMONIC_RCR: return SIZED(rcr);
    case ZYDIS_MNEMONIC_SHL: return SIZED(shl);
    case ZYDIS_MNEMONIC_SHR: return SIZED(shr);
    case ZYDIS_MNEMONIC_SAR: return SIZED(sar);
    case ZYDIS_MNEMONIC_SHLD: return SIZED_WORDS(shld);
    case ZYDIS_MNEMONIC_SHRD: return SIZED_WORDS(shrd);
    /* The bit base of a memory form may be described wider than the access: the operand size rules.
     */
    case ZYDIS_MNEMONIC_BT: size = insn->opsize; return SIZED_WORDS(bt);
    case ZYDIS_MNEMONIC_BTS: size = insn->opsize; return SIZED_WORDS(bts);
    case ZYDIS_MNEMONIC_BTR: size = insn->opsize; return SIZED_WORDS(btr);
    case ZYDIS_MNEMONIC_BTC: size = insn->opsize; return SIZED_WORDS(btc);
    default: return NULL;
    }
}
