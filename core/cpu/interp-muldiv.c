/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Multiplication and division. The host computes; divisions that would trap are found first. */

#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

/* --- one operand: rDX:rAX, or AX for bytes ---------------------------------------------------- */

typedef void (*WideFunc)(uint64_t *low, uint64_t *high, uint64_t source, uint64_t *rflags);

/* The flags sit in a second register around the operation, which owns rAX. */
#define WIDE(op, bits, suffix)                                                                     \
    static void op##bits(uint64_t *low, uint64_t *high, uint64_t source, uint64_t *rflags)         \
    {                                                                                              \
        uint64_t a = flags_to_host(*rflags), d = *high, other = *low;                              \
        uint##bits##_t s = source;                                                                 \
        __asm__(HOST_FLAGS_IN "xchgq %%rax, %[other]\n\t" #op suffix                               \
                              " %[s]\n\txchgq %%rax, %[other]" HOST_FLAGS_OUT                      \
                : "+&a"(a), "+&d"(d), [other] "+&r"(other)                                         \
                : [s] "r"(s)                                                                       \
                : "cc");                                                                           \
        *low = other;                                                                              \
        *high = d;                                                                                 \
        *rflags = flags_from_host(*rflags, a);                                                     \
    }
#define WIDE_SIZES(op)                                                                             \
    WIDE(op, 8, "b")                                                                               \
    WIDE(op, 16, "w")                                                                              \
    WIDE(op, 32, "l")                                                                              \
    WIDE(op, 64, "q")                                                                              \
    static const WideFunc op##_funcs[9] = {[1] = op##8, [2] = op##16, [4] = op##32, [8] = op##64};

WIDE_SIZES(mul)
WIDE_SIZES(imul)
WIDE_SIZES(div)
WIDE_SIZES(idiv)

static void wide(Cpu *cpu, uint64_t source, unsigned size, const WideFunc *funcs)
{
    uint64_t low = cpu->gpr[RAX], high = cpu->gpr[RDX], rflags = cpu->rflags;
    funcs[size](&low, &high, source, &rflags);
    /* The operation wrote AX, DX:AX, EDX:EAX or RDX:RAX as its size does. */
    cpu->gpr[RAX] = low;
    cpu->gpr[RDX] = high;
    cpu->rflags = rflags;
}

static void insn_mul(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->operands[0].size;
    wide(cpu, operand_read(cpu, insn, 0, size), size, mul_funcs);
}

static bool unsigned_quotient_fits(const Cpu *cpu, uint64_t divisor, unsigned size)
{
    uint64_t high = size == 1 ? (cpu->gpr[RAX] >> 8) & 0xff : gpr_read(cpu, RDX, size);
    return high < divisor; /* false for a zero divisor too */
}

static bool signed_quotient_fits(const Cpu *cpu, uint64_t raw_divisor, unsigned size)
{
    __int128 dividend, divisor = (int64_t)sign_extend(raw_divisor, size);
    if (!divisor)
        return false;
    if (size == 1)
        dividend = (int16_t)cpu->gpr[RAX];
    else if (size == 8)
        dividend = (__int128)((unsigned __int128)cpu->gpr[RDX] << 64 | cpu->gpr[RAX]);
    else
        dividend =
            (__int128)(int64_t)sign_extend(cpu->gpr[RDX], size) * ((__int128)1 << (size * 8)) +
            gpr_read(cpu, RAX, size);
    /* |quotient| < 2^(bits-1), or = 2^(bits-1) when negative. */
    unsigned __int128 n = dividend < 0 ? -(unsigned __int128)dividend : (unsigned __int128)dividend;
    unsigned __int128 d = divisor < 0 ? -(unsigned __int128)divisor : (unsigned __int128)divisor;
    bool negative = (dividend < 0) != (divisor < 0);
    /* n / d < limit exactly when n < limit * d; limit * d stays below 2^127. */
    unsigned __int128 limit = ((unsigned __int128)1 << (size * 8 - 1)) + negative;
    return n < limit * d;
}

static void insn_div(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->operands[0].size;
    uint64_t divisor = operand_read(cpu, insn, 0, size);
    if (!unsigned_quotient_fits(cpu, divisor, size))
        cpu_raise(cpu, EXC_DE);
    wide(cpu, divisor, size, div_funcs);
}

static void insn_idiv(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->operands[0].size;
    uint64_t divisor = operand_read(cpu, insn, 0, size);
    if (!signed_quotient_fits(cpu, divisor, size))
        cpu_raise(cpu, EXC_DE);
    wide(cpu, divisor, size, idiv_funcs);
}

/* --- IMUL with a destination register --------------------------------------------------------- */

#define MULTIPLY(bits, suffix)                                                                     \
    static uint64_t multiply##bits(uint64_t left, uint64_t right, uint64_t *rflags)                \
    {                                                                                              \
        uint##bits##_t d = left, s = right;                                                        \
        uint32_t ax = flags_to_host(*rflags);                                                      \
        __asm__(HOST_FLAGS_IN "imul" suffix " %[s], %[d]" HOST_FLAGS_OUT                           \
                : [d] "+&r"(d), "+&a"(ax)                                                          \
                : [s] "r"(s)                                                                       \
                : "cc");                                                                           \
        *rflags = flags_from_host(*rflags, ax);                                                    \
        return d;                                                                                  \
    }

MULTIPLY(16, "w")
MULTIPLY(32, "l")
MULTIPLY(64, "q")

static uint64_t multiply(uint64_t left, uint64_t right, unsigned size, uint64_t *rflags)
{
    switch (size) {
    case 2: return multiply16(left, right, rflags);
    case 4: return multiply32(left, right, rflags);
    default: return multiply64(left, right, rflags);
    }
}

static void insn_imul(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->operands[0].size;
    if (insn->n_visible == 1) {
        wide(cpu, operand_read(cpu, insn, 0, size), size, imul_funcs);
        return;
    }
    uint64_t left, right;
    if (insn->n_visible == 2) {
        left = gpr_read(cpu, insn->operands[0].reg, size);
        right = operand_read(cpu, insn, 1, size);
    } else {
        left = operand_read(cpu, insn, 1, size);
        right = insn->immediate;
    }
    uint64_t rflags = cpu->rflags;
    gpr_write(cpu, insn->operands[0].reg, multiply(left, right, size, &rflags), size);
    cpu->rflags = rflags;
}

/* --- table ------------------------------------------------------------------------------------ */

InterpHandler interp_muldiv_handler(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_MUL: return insn_mul;
    case ZYDIS_MNEMONIC_IMUL: return insn_imul;
    case ZYDIS_MNEMONIC_DIV: return insn_div;
    case ZYDIS_MNEMONIC_IDIV: return insn_idiv;
    default: return NULL;
    }
}
