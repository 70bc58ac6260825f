/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Arithmetic and logic. The host's own instructions compute results and flags, the undefined ones
 * included. */

#include "core/cpu/hostexec.h"
#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

typedef uint64_t (*BinaryFunc)(uint64_t destination, uint64_t source, uint64_t *rflags);
typedef uint64_t (*UnaryFunc)(uint64_t destination, uint64_t *rflags);

/* --- two operands ----------------------------------------------------------------------------- */

INTERP_INLINE void binary(Cpu *cpu, const Insn *insn, unsigned size, BinaryFunc func, bool writes)
{
    uint64_t source = operand_read(cpu, insn, 1, size), rflags = cpu->rflags, result;
    if (insn->operands[0].kind == OPERAND_REG) {
        result = func(register_read(cpu, &insn->operands[0], size), source, &rflags);
        if (writes)
            register_write(cpu, &insn->operands[0], result, size);
    } else if (!writes) {
        func(interp_load(cpu, insn_linear(cpu, insn, size, false), size), source, &rflags);
    } else {
        InterpRmw rmw;
        rmw_begin(cpu, insn, &rmw, size, insn->lock);
        do {
            rflags = cpu->rflags;
            result = func(rmw.old, source, &rflags);
        } while (!rmw_commit(cpu, &rmw, result));
    }
    cpu->rflags = rflags;
}

#define BINARY(op, bits, suffix, writes)                                                           \
    static inline uint64_t op##bits(uint64_t destination, uint64_t source, uint64_t *rflags)       \
    {                                                                                              \
        uint##bits##_t d = destination, s = source;                                                \
        uint32_t ax = flags_to_host(*rflags);                                                      \
        __asm__(HOST_FLAGS_IN #op suffix " %[s], %[d]" HOST_FLAGS_OUT                              \
                : [d] "+&r"(d), "+&a"(ax)                                                          \
                : [s] "r"(s)                                                                       \
                : "cc");                                                                           \
        *rflags = flags_from_host(*rflags, ax);                                                    \
        return d;                                                                                  \
    }                                                                                              \
    static void insn_##op##bits(Cpu *cpu, const Insn *insn)                                        \
    {                                                                                              \
        binary(cpu, insn, bits / 8, op##bits, writes);                                             \
    }
#define BINARY_SIZES(op, writes)                                                                   \
    BINARY(op, 8, "b", writes)                                                                     \
    BINARY(op, 16, "w", writes)                                                                    \
    BINARY(op, 32, "l", writes)                                                                    \
    BINARY(op, 64, "q", writes)

BINARY_SIZES(add, true)
BINARY_SIZES(or, true)
BINARY_SIZES(adc, true)
BINARY_SIZES(sbb, true)
BINARY_SIZES(and, true)
BINARY_SIZES(sub, true)
BINARY_SIZES(xor, true)
BINARY_SIZES(cmp, false)
BINARY_SIZES(test, false)

/* --- one operand ------------------------------------------------------------------------------ */

INTERP_INLINE void unary(Cpu *cpu, const Insn *insn, unsigned size, UnaryFunc func)
{
    uint64_t rflags = cpu->rflags, result;
    if (insn->operands[0].kind == OPERAND_REG) {
        result = func(register_read(cpu, &insn->operands[0], size), &rflags);
        register_write(cpu, &insn->operands[0], result, size);
    } else {
        InterpRmw rmw;
        rmw_begin(cpu, insn, &rmw, size, insn->lock);
        do {
            rflags = cpu->rflags;
            result = func(rmw.old, &rflags);
        } while (!rmw_commit(cpu, &rmw, result));
    }
    cpu->rflags = rflags;
}

#define UNARY(op, bits, suffix)                                                                    \
    static inline uint64_t op##bits(uint64_t destination, uint64_t *rflags)                        \
    {                                                                                              \
        uint##bits##_t d = destination;                                                            \
        uint32_t ax = flags_to_host(*rflags);                                                      \
        __asm__(HOST_FLAGS_IN #op suffix " %[d]" HOST_FLAGS_OUT                                    \
                : [d] "+&r"(d), "+&a"(ax)                                                          \
                :                                                                                  \
                : "cc");                                                                           \
        *rflags = flags_from_host(*rflags, ax);                                                    \
        return d;                                                                                  \
    }                                                                                              \
    static void insn_##op##bits(Cpu *cpu, const Insn *insn)                                        \
    {                                                                                              \
        unary(cpu, insn, bits / 8, op##bits);                                                      \
    }
#define UNARY_SIZES(op)                                                                            \
    UNARY(op, 8, "b")                                                                              \
    UNARY(op, 16, "w")                                                                             \
    UNARY(op, 32, "l")                                                                             \
    UNARY(op, 64, "q")

UNARY_SIZES(inc)
UNARY_SIZES(dec)
UNARY_SIZES(neg)
UNARY_SIZES(not )

/* --- bit scans: the destination keeps its value when the source is zero ----------------------- */

#define BIT_SCAN(op, bits, suffix, modifier)                                                       \
    static void insn_##op##bits(Cpu *cpu, const Insn *insn)                                        \
    {                                                                                              \
        uint##bits##_t s = operand_read(cpu, insn, 1, bits / 8);                                   \
        uint64_t d = cpu->gpr[insn->operands[0].reg];                                              \
        uint32_t ax = flags_to_host(cpu->rflags);                                                  \
        __asm__(HOST_FLAGS_IN #op suffix " %[s], %" modifier "[d]" HOST_FLAGS_OUT                  \
                : [d] "+&r"(d), "+&a"(ax)                                                          \
                : [s] "r"(s)                                                                       \
                : "cc");                                                                           \
        cpu->gpr[insn->operands[0].reg] = d;                                                       \
        cpu->rflags = flags_from_host(cpu->rflags, ax);                                            \
    }
#define BIT_SCAN_SIZES(op)                                                                         \
    BIT_SCAN(op, 16, "w", "w")                                                                     \
    BIT_SCAN(op, 32, "l", "k")                                                                     \
    BIT_SCAN(op, 64, "q", "q")

BIT_SCAN_SIZES(bsf)
BIT_SCAN_SIZES(bsr)

/* --- decimal: not in 64-bit code, so computed here (SDM 2A, "Operation" of each) -------------- */

static void set_szp(Cpu *cpu, uint8_t value)
{
    uint64_t rflags = cpu->rflags & ~(uint64_t)(RFLAGS_SF | RFLAGS_ZF | RFLAGS_PF);
    if (value & 0x80)
        rflags |= RFLAGS_SF;
    if (!value)
        rflags |= RFLAGS_ZF;
    if (!__builtin_parity(value))
        rflags |= RFLAGS_PF;
    cpu->rflags = rflags;
}

static void set_flag(Cpu *cpu, uint64_t flag, bool value)
{
    cpu->rflags = value ? cpu->rflags | flag : cpu->rflags & ~flag;
}

static void decimal_adjust(Cpu *cpu, int sign)
{
    uint8_t old = cpu->gpr[RAX], al = old;
    bool carry = cpu->rflags & RFLAGS_CF, low = (old & 0xf) > 9 || (cpu->rflags & RFLAGS_AF);
    bool high = old > 0x99 || carry, borrow = false;
    if (low) {
        borrow = sign < 0 && al < 6;
        al += sign * 6;
    }
    if (high)
        al += sign * 0x60;
    gpr_write(cpu, RAX, al, 1);
    set_szp(cpu, al);
    set_flag(cpu, RFLAGS_AF, low);
    set_flag(cpu, RFLAGS_CF, high || (sign < 0 && borrow));
    set_flag(cpu, RFLAGS_OF, false);
}

static void insn_daa(Cpu *cpu, const Insn *insn)
{
    decimal_adjust(cpu, 1);
}

static void insn_das(Cpu *cpu, const Insn *insn)
{
    decimal_adjust(cpu, -1);
}

static void ascii_adjust(Cpu *cpu, int sign)
{
    uint16_t ax = cpu->gpr[RAX];
    bool adjust = (ax & 0xf) > 9 || (cpu->rflags & RFLAGS_AF);
    if (adjust)
        ax += sign * 0x106;
    set_szp(cpu, ax);
    gpr_write(cpu, RAX, ax & 0xff0f, 2);
    set_flag(cpu, RFLAGS_AF, adjust);
    set_flag(cpu, RFLAGS_CF, adjust);
    set_flag(cpu, RFLAGS_OF, false);
}

static void insn_aaa(Cpu *cpu, const Insn *insn)
{
    ascii_adjust(cpu, 1);
}

static void insn_aas(Cpu *cpu, const Insn *insn)
{
    ascii_adjust(cpu, -1);
}

static void insn_aam(Cpu *cpu, const Insn *insn)
{
    uint8_t divisor = insn->immediate, al = cpu->gpr[RAX];
    if (!divisor)
        cpu_raise(cpu, EXC_DE);
    gpr_write(cpu, RAX, (al / divisor) << 8 | (al % divisor), 2);
    set_szp(cpu, al % divisor);
    cpu->rflags &= ~(uint64_t)(RFLAGS_AF | RFLAGS_CF | RFLAGS_OF);
}

static void insn_aad(Cpu *cpu, const Insn *insn)
{
    uint16_t ax = cpu->gpr[RAX];
    uint8_t al = ax + (ax >> 8) * (uint8_t)insn->immediate;
    gpr_write(cpu, RAX, al, 2);
    set_szp(cpu, al);
    cpu->rflags &= ~(uint64_t)(RFLAGS_AF | RFLAGS_CF | RFLAGS_OF);
}

/* --- flags ------------------------------------------------------------------------------------ */

static void insn_clc(Cpu *cpu, const Insn *insn)
{
    cpu->rflags &= ~(uint64_t)RFLAGS_CF;
}

static void insn_stc(Cpu *cpu, const Insn *insn)
{
    cpu->rflags |= RFLAGS_CF;
}

static void insn_cmc(Cpu *cpu, const Insn *insn)
{
    cpu->rflags ^= RFLAGS_CF;
}

static void insn_cld(Cpu *cpu, const Insn *insn)
{
    cpu->rflags &= ~(uint64_t)RFLAGS_DF;
}

static void insn_std(Cpu *cpu, const Insn *insn)
{
    cpu->rflags |= RFLAGS_DF;
}

static void insn_lahf(Cpu *cpu, const Insn *insn)
{
    cpu->gpr[RAX] = (cpu->gpr[RAX] & ~0xff00ull) | ((cpu->rflags & 0xd5) | RFLAGS_1) << 8;
}

static void insn_sahf(Cpu *cpu, const Insn *insn)
{
    cpu->rflags = (cpu->rflags & ~0xd5ull) | ((cpu->gpr[RAX] >> 8) & 0xd5);
}

static void insn_salc(Cpu *cpu, const Insn *insn)
{
    gpr_write(cpu, RAX, cpu->rflags & RFLAGS_CF ? 0xff : 0, 1);
}

/* --- sign extension of the accumulator -------------------------------------------------------- */

/* CBW, CWDE, CDQE. */
static void insn_extend_accumulator(Cpu *cpu, const Insn *insn)
{
    gpr_write(cpu, RAX, sign_extend(cpu->gpr[RAX], insn->opsize / 2), insn->opsize);
}

/* CWD, CDQ, CQO. */
static void insn_extend_to_rdx(Cpu *cpu, const Insn *insn)
{
    uint64_t value = sign_extend(cpu->gpr[RAX], insn->opsize);
    gpr_write(cpu, RDX, (int64_t)value < 0 ? UINT64_MAX : 0, insn->opsize);
}

/* --- table ------------------------------------------------------------------------------------ */

#define SIZED(op)                                                                                  \
    size == 1 ? insn_##op##8 : size == 2 ? insn_##op##16 : size == 4 ? insn_##op##32 : insn_##op##64
#define SIZED_WORDS(op) size == 2 ? insn_##op##16 : size == 4 ? insn_##op##32 : insn_##op##64

InterpHandler interp_bit_scan_handler(const Insn *insn)
{
    unsigned size = insn->operands[0].size;
    bool forward = insn->mnemonic == ZYDIS_MNEMONIC_BSF || insn->mnemonic == ZYDIS_MNEMONIC_TZCNT;
    if (forward)
        return SIZED_WORDS(bsf);
    return SIZED_WORDS(bsr);
}

InterpHandler interp_alu_handler(const Insn *insn)
{
    unsigned size = insn->operands[0].size;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_ADD: return SIZED(add);
    case ZYDIS_MNEMONIC_OR: return SIZED(or);
    case ZYDIS_MNEMONIC_ADC: return SIZED(adc);
    case ZYDIS_MNEMONIC_SBB: return SIZED(sbb);
    case ZYDIS_MNEMONIC_AND: return SIZED(and);
    case ZYDIS_MNEMONIC_SUB: return SIZED(sub);
    case ZYDIS_MNEMONIC_XOR: return SIZED(xor);
    case ZYDIS_MNEMONIC_CMP: return SIZED(cmp);
    case ZYDIS_MNEMONIC_TEST: return SIZED(test);
    case ZYDIS_MNEMONIC_INC: return SIZED(inc);
    case ZYDIS_MNEMONIC_DEC: return SIZED(dec);
    case ZYDIS_MNEMONIC_NEG: return SIZED(neg);
    case ZYDIS_MNEMONIC_NOT: return SIZED(not );
    case ZYDIS_MNEMONIC_BSF:
    case ZYDIS_MNEMONIC_BSR: return interp_bit_scan_handler(insn);
    case ZYDIS_MNEMONIC_DAA: return insn_daa;
    case ZYDIS_MNEMONIC_DAS: return insn_das;
    case ZYDIS_MNEMONIC_AAA: return insn_aaa;
    case ZYDIS_MNEMONIC_AAS: return insn_aas;
    case ZYDIS_MNEMONIC_AAM: return insn_aam;
    case ZYDIS_MNEMONIC_AAD: return insn_aad;
    case ZYDIS_MNEMONIC_CLC: return insn_clc;
    case ZYDIS_MNEMONIC_STC: return insn_stc;
    case ZYDIS_MNEMONIC_CMC: return insn_cmc;
    case ZYDIS_MNEMONIC_CLD: return insn_cld;
    case ZYDIS_MNEMONIC_STD: return insn_std;
    case ZYDIS_MNEMONIC_LAHF: return insn_lahf;
    case ZYDIS_MNEMONIC_SAHF: return insn_sahf;
    case ZYDIS_MNEMONIC_SALC: return insn_salc;
    case ZYDIS_MNEMONIC_CBW:
    case ZYDIS_MNEMONIC_CWDE:
    case ZYDIS_MNEMONIC_CDQE: return insn_extend_accumulator;
    case ZYDIS_MNEMONIC_CWD:
    case ZYDIS_MNEMONIC_CDQ:
    case ZYDIS_MNEMONIC_CQO: return insn_extend_to_rdx;
    /* What newer processors added runs as a copy on the host's own. */
    case ZYDIS_MNEMONIC_ADCX:
    case ZYDIS_MNEMONIC_ADOX:
    case ZYDIS_MNEMONIC_ANDN:
    case ZYDIS_MNEMONIC_BEXTR:
    case ZYDIS_MNEMONIC_BLSI:
    case ZYDIS_MNEMONIC_BLSMSK:
    case ZYDIS_MNEMONIC_BLSR:
    case ZYDIS_MNEMONIC_BZHI:
    case ZYDIS_MNEMONIC_CRC32:
    case ZYDIS_MNEMONIC_LZCNT:
    case ZYDIS_MNEMONIC_MULX:
    case ZYDIS_MNEMONIC_PDEP:
    case ZYDIS_MNEMONIC_PEXT:
    case ZYDIS_MNEMONIC_POPCNT:
    case ZYDIS_MNEMONIC_RORX:
    case ZYDIS_MNEMONIC_SARX:
    case ZYDIS_MNEMONIC_SHLX:
    case ZYDIS_MNEMONIC_SHRX:
    case ZYDIS_MNEMONIC_TZCNT: return hostexec_integer;
    default: return NULL;
    }
}
