/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Translated code against the interpreter: random blocks from the same state must leave the same
 * registers, memory, fault and fault address.
 */

#include "core/cpu/decode.h"
#include "tests/core/cpu/jit-pair.h"

#include <string.h>

static char *hex(const uint8_t *bytes, unsigned n)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < n; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return g_string_free(text, FALSE);
}

/* --- random blocks ---------------------------------------------------------------------------- */

#define POINTERS (1u << RBX | 1u << RSI | 1u << RDI | 1u << R10 | 1u << R12 | 1u << R15 | 1u << RBP)

static bool likely(GRand *rand, double p)
{
    return g_rand_double(rand) < p;
}

static uint8_t byte(GRand *rand)
{
    return (uint8_t)g_rand_int(rand);
}

/* Opcodes in the one-byte and 0F maps that the translator copies; anything else comes by accident.
 */
static unsigned random_instruction(GRand *rand, TestMode mode, uint8_t *bytes)
{
    static const uint8_t common[] = {0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a,
                                     0x8b, 0x8d, 0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3, 0xc6, 0xc7,
                                     0xf6, 0xf7, 0xfe, 0xff, 0x69, 0x6b, 0x63, 0x50, 0x58, 0x68,
                                     0x6a, 0x8f, 0x90, 0x98, 0x99, 0x9e, 0x9f, 0xf5, 0xf8, 0xf9,
                                     0xfc, 0xfd, 0xc9, 0xa8, 0xa9, 0xb0, 0xb8};
    static const uint8_t map_0f[] = {0xa3, 0xab, 0xb3, 0xbb, 0xba, 0xa4, 0xa5, 0xac,
                                     0xad, 0xaf, 0xb0, 0xb1, 0xb6, 0xb7, 0xbe, 0xbf,
                                     0xbc, 0xbd, 0xc0, 0xc1, 0xc3, 0xc7, 0xc8, 0xb8};
    unsigned n = 0;

    if (likely(rand, 0.1))
        bytes[n++] = 0xf0;
    if (likely(rand, 0.2))
        bytes[n++] = 0x66;
    if (mode != LONG_MODE && likely(rand, mode == REAL_16 ? 0.5 : 0.05))
        bytes[n++] = mode == REAL_16 ? 0x66 : 0x67;
    if (likely(rand, 0.05))
        bytes[n++] = likely(rand, 0.5) ? 0xf3 : 0xf2;
    if (mode == LONG_MODE && likely(rand, 0.6))
        bytes[n++] = 0x40 | (byte(rand) & 15);
    double kind = g_rand_double(rand);
    if (kind < 0.3) {
        bytes[n++] = (byte(rand) & 7) << 3 | (byte(rand) % 6);
    } else if (kind < 0.65) {
        uint8_t op = common[byte(rand) % sizeof common];
        bytes[n++] = op == 0x50 || op == 0x58 || op == 0xb0 || op == 0xb8 || op == 0x90
                         ? op | (byte(rand) & 7)
                         : op;
    } else if (kind < 0.98) {
        bytes[n++] = 0x0f;
        double which = g_rand_double(rand);
        bytes[n++] = which < 0.2   ? 0x40 | (byte(rand) & 15)
                     : which < 0.3 ? 0x90 | (byte(rand) & 15)
                                   : map_0f[byte(rand) % sizeof map_0f];
    } else {
        bytes[n++] = byte(rand);
    }
    for (unsigned i = 0; i < 12; i++)
        bytes[n++] = byte(rand);
    /* Small displacements and immediates reach further. */
    if (likely(rand, 0.7))
        memset(bytes + n - 10, 0, 10);
    return n;
}

static unsigned random_vector_instruction(GRand *rand, TestMode mode, uint8_t *bytes)
{
    static const uint8_t prefixes[] = {0x66, 0xf2, 0xf3};
    double kind = g_rand_double(rand);
    unsigned n = 0;

    if (kind < 0.3) {
        bytes[n++] = 0xd8 | (byte(rand) & 7);
    } else if (kind < 0.7) {
        if (likely(rand, 0.7))
            bytes[n++] = prefixes[byte(rand) % sizeof prefixes];
        if (mode == LONG_MODE && likely(rand, 0.4))
            bytes[n++] = 0x40 | (byte(rand) & 15);
        bytes[n++] = 0x0f;
        if (likely(rand, 0.2))
            bytes[n++] = likely(rand, 0.6) ? 0x38 : 0x3a;
        bytes[n++] = byte(rand);
    } else if (kind < 0.85) {
        bytes[n++] = 0xc5;
        bytes[n++] = byte(rand) | (mode == LONG_MODE ? 0 : 0xc0);
        bytes[n++] = byte(rand);
    } else {
        bytes[n++] = 0xc4;
        bytes[n++] = (byte(rand) & 0xe0) | (1 + byte(rand) % 3) | (mode == LONG_MODE ? 0 : 0xc0);
        bytes[n++] = byte(rand);
        bytes[n++] = byte(rand);
    }
    bool memory = likely(rand, 0.5);
    bytes[n++] = memory ? 0x40 | (byte(rand) & 0x3f) : 0xc0 | byte(rand);
    for (unsigned i = 0; i < 8; i++)
        bytes[n++] = byte(rand);
    return n;
}

static bool touches(const Insn *insn, uint32_t registers, bool written)
{
    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        unsigned reg = operand->reg;
        if (operand->kind != OPERAND_REG || operand->reg_class < REG_CLASS_GPR8 ||
            operand->reg_class > REG_CLASS_GPR64)
            continue;
        if ((registers & 1u << reg) &&
            (!written || (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)))
            return true;
    }
    return false;
}

/* Whether a random block may hold INSN. UNDEFINED: flags with no defined value before it. */
static bool is_wanted(GRand *rand, const Insn *insn, uint32_t undefined, bool vectors)
{
    if (insn->category_flags & (INSN_IS_BRANCH | INSN_IS_SYSTEM | INSN_IS_STRING))
        return false;
    if (!vectors && (insn->category_flags & (INSN_IS_VECTOR | INSN_IS_X87)))
        return false;
    if (insn->flags_tested & undefined)
        return false;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_AAA:
    case ZYDIS_MNEMONIC_AAD:
    case ZYDIS_MNEMONIC_AAM:
    case ZYDIS_MNEMONIC_AAS:
    case ZYDIS_MNEMONIC_DAA:
    case ZYDIS_MNEMONIC_DAS:
    case ZYDIS_MNEMONIC_ENTER:
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_SALC: return false;
    case ZYDIS_MNEMONIC_BSF:
    case ZYDIS_MNEMONIC_BSR: /* a source of 0 leaves the destination: vendors differ */
        return false;
    case ZYDIS_MNEMONIC_BSWAP:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
        if (insn->opsize == 2)
            return false;
        break;
    default: break;
    }
    if ((insn->category_flags & INSN_HAS_MEMORY) && likely(rand, 0.97)) {
        if (insn->mem_base == INSN_REG_NONE || insn->mem_base == INSN_REG_RIP ||
            !(POINTERS & 1u << insn->mem_base) || insn->mem_index != INSN_REG_NONE ||
            insn->displacement > 0x1000 || insn->displacement < -0x1000)
            return insn->mem_base == INSN_REG_RIP && insn->displacement >= 0 &&
                   insn->displacement < 64 && !insn_writes_memory(insn);
    }
    if (insn->mem_base == INSN_REG_RIP && insn_writes_memory(insn))
        return false; /* into the code */
    if (touches(insn, POINTERS | 1u << RSP, true) && likely(rand, 0.95))
        return false;
    return true;
}

static void randomise(Pair *pair, GRand *rand)
{
    Cpu *cpus[] = {pair->interp.cpu, pair->jit.cpu};
    uint8_t data[DATA_SIZE];
    uint32_t base = pair->mode == REAL_16 ? 0 : pair->data;

    for (unsigned i = 0; i < sizeof data; i += 4) {
        uint32_t value = g_rand_int(rand);
        memcpy(data + i, &value, 4);
    }
    if (likely(rand, 0.02)) {
        memcpy(pair->interp.ram->host + pair->data, data, DATA_SIZE);
        memcpy(pair->jit.ram->host + pair->data, data, DATA_SIZE);
    }
    for (unsigned i = 0; i < N_GPR; i++) {
        uint64_t value = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
        if (likely(rand, 0.3))
            value &= 0xff;
        if (POINTERS & 1u << i)
            value = base + 0x2000 + g_rand_int(rand) % 0xc000;
        if (likely(rand, 0.2) && (POINTERS & 1u << i))
            value = (value | 0xfff) - (byte(rand) & 15);
        if (i == RSP)
            value = base + 0x8000 + (byte(rand) & 0xf8);
        if (pair->mode != LONG_MODE)
            value = i < 8 ? (uint32_t)value : 0;
        if (pair->mode == REAL_16 && (POINTERS & 1u << i))
            value &= 0xffff;
        cpus[0]->gpr[i] = cpus[1]->gpr[i] = value;
    }
    uint64_t flags = (g_rand_int(rand) & RFLAGS_ARITH) | RFLAGS_1;
    cpus[0]->rflags = cpus[1]->rflags = flags;
    cpus[0]->cr2 = cpus[1]->cr2 = 0;
}

typedef struct {
    uint8_t bytes[512];
    unsigned length;
    uint32_t undefined; /* flags at the end */
} Program;

static void make_program(Pair *pair, GRand *rand, unsigned n_insns, bool vectors, Program *program)
{
    uint32_t mode = pair->jit.cpu->mode;

    program->length = 0;
    program->undefined = 0;
    for (unsigned i = 0; i < n_insns;) {
        uint8_t bytes[32];
        Insn insn;
        if (vectors && likely(rand, 0.8))
            random_vector_instruction(rand, pair->mode, bytes);
        else
            random_instruction(rand, pair->mode, bytes);
        if (insn_decode(bytes, 15, mode, &insn) != DECODE_OK ||
            !is_wanted(rand, &insn, program->undefined, vectors))
            continue;
        memcpy(program->bytes + program->length, bytes, insn.length);
        program->length += insn.length;
        if (!insn_may_shift_by_0(&insn)) /* which leaves the flags as they were */
            program->undefined &= ~insn.flags_modified;
        program->undefined |= insn.flags_undefined;
        i++;
    }
    memset(program->bytes + program->length, 0xf4, 2); /* HLT */
    program->length += 2;
}

static void randomise_vectors(Pair *pair, GRand *rand)
{
    CpuVectors *a = &pair->interp.cpu->vectors, *b = &pair->jit.cpu->vectors;
    uint16_t control = 0x37f;
    uint32_t mxcsr = 0x1f80;

    memset(a, 0, sizeof *a);
    if (likely(rand, 0.2))
        control = (control & ~0x3f) | (byte(rand) & 0x3f);
    if (likely(rand, 0.2))
        mxcsr = (byte(rand) & 0x40) | (g_rand_int(rand) & 0xff80);
    for (unsigned i = 32; i < 416; i++)
        a->legacy[i] = i < 160 && i % 16 >= 10 ? 0 : byte(rand);
    for (unsigned i = 0; i < sizeof a->ymm_high; i++)
        a->ymm_high[i] = byte(rand);
    /* Numbers of a size that arithmetic keeps. */
    for (unsigned i = 0; i < 16; i++)
        if (likely(rand, 0.5)) {
            double number = g_rand_double_range(rand, -1000, 1000);
            memcpy(a->legacy + 160 + i * 16, &number, 8);
        }
    for (unsigned i = 0; i < 8; i++) {
        a->legacy[32 + i * 16 + 9] = 0x3f | (byte(rand) & 0xc0);
        a->legacy[32 + i * 16 + 7] |= 0x80;
    }
    memcpy(a->legacy, &control, 2);
    memcpy(a->legacy + 24, &mxcsr, 4);
    a->legacy[3] = (byte(rand) & 7) << 3;
    a->legacy[4] = likely(rand, 0.5) ? byte(rand) : 0xff;
    a->header[0] = 7;
    *b = *a;
    Cpu *cpus[] = {pair->interp.cpu, pair->jit.cpu};
    for (unsigned i = 0; i < 2; i++) {
        cpus[i]->x87_fip = cpus[i]->x87_fdp = 0;
        cpus[i]->x87_fcs = cpus[i]->x87_fds = cpus[i]->x87_fop = 0;
    }
}

static void random_blocks(TestMode mode, const JitOptions *options, bool vectors, unsigned count,
                          unsigned seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    unsigned ran_through = 0;
    Pair pair;

    pair_init(&pair, mode, options);
    for (unsigned n = 0; n < count; n++) {
        Program program;
        uint32_t ip = mode == REAL_16 ? 0x100 : pair.code + 0x100;
        uint32_t at =
            ip + (g_rand_int(rand) % 64) * 0x400 % 0x8000 + 4096 - byte(rand) % 128 - 0x100;

        if (mode == REAL_16)
            at &= 0x7fff;
        make_program(&pair, rand, 1 + byte(rand) % 10, vectors, &program);
        randomise(&pair, rand);
        if (vectors)
            randomise_vectors(&pair, rand);
        pair_write(&pair, mode == REAL_16 ? at + REAL_CODE : at, program.bytes, program.length);
        pair.interp.cpu->rip = pair.jit.cpu->rip = at;
        uint64_t before[N_GPR];
        memcpy(before, pair.jit.cpu->gpr, sizeof before);
        Outcome a = run(&pair.interp, 1000), b = run(&pair.jit, 0);
        uint64_t flags = ~(uint64_t)program.undefined;
        if (a.raised)
            flags &= ~(uint64_t)RFLAGS_ARITH;
        g_autofree char *text = difference(&pair, &a, &b, flags);
        if (text || a.lost) {
            g_autofree char *code = hex(program.bytes, program.length);
            for (unsigned i = 0; i < N_GPR; i++)
                g_printerr("# gpr%u before: %016" G_GINT64_MODIFIER "x\n", i, before[i]);
            g_error("seed %u case %u mode %d at %x: %s\n%s", seed, n, mode, at, code, text);
        }
        ran_through += !a.raised;
    }
    g_test_message("%u of %u ran through", ran_through, count);
    g_assert_cmpint(ran_through, >, count / 4);
    pair_clear(&pair);
}

static unsigned seed_from_environment(void)
{
    const char *seed = g_getenv("APIARY_TEST_SEED");

    return seed ? (unsigned)strtoul(seed, NULL, 0) : 1;
}

static void test_random_long(void)
{
    random_blocks(LONG_MODE, &JIT_OPTIONS_DEFAULT, false, 30000, seed_from_environment());
}

static void test_random_long_unlinked(void)
{
    random_blocks(LONG_MODE, &unlinked, false, 30000, seed_from_environment() + 1);
}

static void test_random_32(void)
{
    random_blocks(FLAT_32, &unlinked, false, 30000, seed_from_environment() + 2);
}

static void test_random_16(void)
{
    random_blocks(REAL_16, &unlinked, false, 30000, seed_from_environment() + 3);
}

static void test_random_slow(void)
{
    JitOptions options = JIT_OPTIONS_DEFAULT;
    options.slow_accesses = true;
    options.max_insns = 1;
    random_blocks(LONG_MODE, &options, false, 10000, seed_from_environment() + 4);
}

static void test_random_vectors_long(void)
{
    random_blocks(LONG_MODE, &unlinked, true, 30000, seed_from_environment() + 5);
}

static void test_random_vectors_32(void)
{
    random_blocks(FLAT_32, &JIT_OPTIONS_DEFAULT, true, 20000, seed_from_environment() + 6);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/jit/random-long", test_random_long);
    g_test_add_func("/cpu/jit/random-long-unlinked", test_random_long_unlinked);
    g_test_add_func("/cpu/jit/random-32", test_random_32);
    g_test_add_func("/cpu/jit/random-16", test_random_16);
    g_test_add_func("/cpu/jit/random-slow", test_random_slow);
    g_test_add_func("/cpu/jit/random-vectors-long", test_random_vectors_long);
    g_test_add_func("/cpu/jit/random-vectors-32", test_random_vectors_32);
    return g_test_run();
}
