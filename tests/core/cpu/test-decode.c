/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Decoding: addresses, immediates, prefixes and the corners of the opcode maps (SDM 2, APM 3). */

#include "core/cpu/decode.h"

#include <stdio.h>
#include <string.h>

#define MODE16 0
#define MODE32 MODE_CS32
#define MODE64 MODE_CS64

static DecodeResult decode(const char *hex, uint32_t mode, Insn *insn)
{
    uint8_t bytes[32];
    unsigned n = 0, value;
    memset(bytes, 0x90, sizeof bytes);
    for (; *hex; hex += 2) {
        g_assert_cmpint(sscanf(hex, "%2x", &value), ==, 1);
        bytes[n++] = value;
    }
    return insn_decode(bytes, sizeof bytes, mode, insn);
}

static void test_existence(void)
{
    static const struct {
        const char *hex;
        uint32_t mode;
        DecodeResult expected;
        ZydisMnemonic mnemonic;
    } cases[] = {
        {"d6", MODE32, DECODE_OK, ZYDIS_MNEMONIC_SALC},
        {"d6", MODE64, DECODE_INVALID, 0},
        {"f1", MODE64, DECODE_OK, ZYDIS_MNEMONIC_INT1},
        {"82c001", MODE32, DECODE_OK, ZYDIS_MNEMONIC_ADD},
        {"82c001", MODE64, DECODE_INVALID, 0},
        {"d3f1", MODE64, DECODE_OK, ZYDIS_MNEMONIC_SHL},
        {"f6c801", MODE64, DECODE_OK, ZYDIS_MNEMONIC_TEST},
        {"dfc0", MODE64, DECODE_OK, ZYDIS_MNEMONIC_FFREEP},
        {"f00100", MODE64, DECODE_OK, ZYDIS_MNEMONIC_ADD},
        {"f001c0", MODE64, DECODE_INVALID, 0},
        {"8ec8", MODE64, DECODE_INVALID, 0},
        {"62c0", MODE32, DECODE_INVALID, 0},
        {"62f17c4858c0", MODE64, DECODE_INVALID, 0},
        {"f30f1efa", MODE64, DECODE_OK, ZYDIS_MNEMONIC_NOP},
        {"0f01c1", MODE64, DECODE_INVALID, 0},
        {"0fb9c0", MODE64, DECODE_OK, ZYDIS_MNEMONIC_UD1},
        {"66666666666666666666666666666690", MODE64, DECODE_TOO_LONG, 0},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Insn insn;
        DecodeResult result = decode(cases[i].hex, cases[i].mode, &insn);
        if (result != cases[i].expected || (!result && insn.mnemonic != cases[i].mnemonic))
            g_error("%s decodes wrongly", cases[i].hex);
    }
}

static void test_memory_operand(void)
{
    Insn insn;
    g_assert_cmpint(decode("26488b4500", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.mem_seg, ==, SEG_SS); /* ES: ignored in 64-bit code */
    g_assert_cmpint(decode("67488b0510000000", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.mem_base, ==, INSN_REG_RIP);
    g_assert_cmpint(insn.address_size, ==, 4);
    g_assert_cmpint(insn.displacement, ==, 0x10);
    g_assert_cmpint(decode("658b44cbf0", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.mem_seg, ==, SEG_GS);
    g_assert_cmpint(insn.mem_base, ==, RBX);
    g_assert_cmpint(insn.mem_index, ==, RCX);
    g_assert_cmpint(insn.mem_scale, ==, 8);
    g_assert_cmpint(insn.displacement, ==, -16);
    g_assert_true(insn.category_flags & INSN_HAS_MEMORY);
    g_assert_cmpint(decode("8b03", MODE16, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.mem_seg, ==, SEG_SS); /* [BP+DI] */
    g_assert_cmpint(insn.mem_index, ==, RDI);
    g_assert_cmpint(decode("2ef3a4", MODE32, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.mem_seg, ==, SEG_CS);
    g_assert_true(insn.rep);
    g_assert_true(insn.category_flags & INSN_IS_STRING);
    g_assert_cmpint(decode("674d0f92143d66000000", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.mem_base, ==, INSN_REG_NONE);
    g_assert_cmpint(insn.displacement, ==, 0x66);
    g_assert_cmpint(decode("8d4004", MODE64, &insn), ==, DECODE_OK);
    g_assert_false(insn.category_flags & INSN_HAS_MEMORY);
    g_assert_cmpint(decode("0f0d08", MODE64, &insn), ==, DECODE_OK);
    g_assert_false(insn.category_flags & INSN_HAS_MEMORY);
}

static void test_immediates(void)
{
    Insn insn;
    g_assert_cmpint(decode("c8341205", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpuint(insn.immediate, ==, 0x1234);
    g_assert_cmpuint(insn.immediate2, ==, 5);
    g_assert_cmpint(decode("9a112233445566", MODE32, &insn), ==, DECODE_OK);
    g_assert_cmpuint(insn.immediate, ==, 0x44332211);
    g_assert_cmpuint(insn.immediate2, ==, 0x6655);
    g_assert_cmpint(decode("4883c0ff", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpuint(insn.immediate, ==, UINT64_MAX);
    g_assert_cmpint(decode("d0e0", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpuint(insn.immediate, ==, 1);
    g_assert_cmpint(decode("48a1efcdab8967452301", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.displacement, ==, 0x0123456789abcdef);
}

static void test_layout(void)
{
    Insn insn;
    g_assert_cmpint(decode("66450f6f8412785634129090", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.rex_offset, ==, 1);
    g_assert_cmpint(insn.rex, ==, 0x45);
    g_assert_cmpint(insn.opcode_offset, ==, 2);
    g_assert_cmpint(insn.opcode, ==, 0x6f);
    g_assert_cmpint(insn.modrm_offset, ==, 4);
    g_assert_cmpint(insn.sib_offset, ==, 5);
    g_assert_cmpint(insn.disp_offset, ==, 6);
    g_assert_cmpint(insn.disp_size, ==, 4);
    g_assert_true(insn.category_flags & INSN_IS_VECTOR);
    g_assert_cmpint(decode("c5fc58042a", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.vex_offset, ==, 0);
    g_assert_cmpint(insn.opcode_offset, ==, 2);
    g_assert_cmpint(insn.operands[0].reg_class, ==, REG_CLASS_YMM);
    g_assert_cmpint(decode("88e7", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.operands[0].reg_class, ==, REG_CLASS_GPR8_HIGH);
    g_assert_cmpint(insn.operands[0].reg, ==, 3);
    g_assert_cmpint(decode("4088e7", MODE64, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.operands[0].reg_class, ==, REG_CLASS_GPR8);
    g_assert_cmpint(insn.operands[0].reg, ==, RDI);
    g_assert_cmpint(insn_decode(insn.bytes, 2, MODE64, &insn), ==, DECODE_NEED_MORE);
}

/* Through a cache everything is as without: bytes that are few, so that it is full of what is
 * nearly the same. */
static void test_cache(void)
{
    static const uint8_t few[] = {0x0f, 0x48, 0x66, 0x89, 0x8b, 0x90, 0xc0, 0xe8, 0xf3, 0xff, 0x05};
    static const uint32_t modes[] = {MODE16, MODE32, MODE64};
    static DecodeCache cache; /* aligned as its type wants */
    GRand *random = g_rand_new_with_seed(1);
    unsigned decoded = 0;

    for (unsigned n = 0; n < 300000; n++) {
        uint8_t bytes[INSN_MAX_BYTES];
        Insn with, without;
        uint32_t mode = modes[g_rand_int_range(random, 0, G_N_ELEMENTS(modes))];
        unsigned available = (unsigned)g_rand_int_range(random, 1, sizeof bytes + 1);
        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = few[g_rand_int_range(random, 0, i < 5 ? G_N_ELEMENTS(few) : 2)];
        DecodeResult result = insn_decode_cached(&cache, bytes, available, mode, &with);
        g_assert_cmpint(result, ==, insn_decode(bytes, available, mode, &without));
        if (result != DECODE_OK)
            continue;
        g_assert_cmpmem(&with, sizeof with, &without, sizeof without);
        decoded++;
    }
    g_assert_cmpuint(decoded, >, 100000);
    g_rand_free(random);
}

/* The same instruction with another displacement and immediate, of all maps of opcodes. */
static void test_cache_fields(void)
{
    static const char *const starts[] = {"",       "66",     "f3",     "48",     "4166",   "67",
                                         "0f",     "660f",   "f30f",   "480f",   "0f38",   "660f38",
                                         "0f3a",   "660f3a", "660f3a", "c5f8",   "c5fd",   "c4e179",
                                         "c4e279", "c4e37d", "c4e379", "c4c3f9", "f20f38", "6766"};
    static const uint32_t modes[] = {MODE16, MODE32, MODE64};
    static DecodeCache cache; /* aligned as its type wants */
    GRand *random = g_rand_new_with_seed(2);
    unsigned changed = 0;

    for (unsigned n = 0; n < 500000; n++) {
        const char *start = starts[g_rand_int_range(random, 0, G_N_ELEMENTS(starts))];
        uint32_t mode = modes[g_rand_int_range(random, 0, G_N_ELEMENTS(modes))];
        uint8_t bytes[INSN_MAX_BYTES];
        Insn with, without;
        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)g_rand_int(random);
        for (unsigned i = 0; start[2 * i]; i++) {
            const char digits[] = {start[2 * i], start[2 * i + 1], 0};
            bytes[i] = (uint8_t)g_ascii_strtoull(digits, NULL, 16);
        }
        if (insn_decode_cached(&cache, bytes, sizeof bytes, mode, &with) != DECODE_OK)
            continue;
        unsigned field = MIN(with.disp_offset, with.imm_offset);
        if (field == 0xff)
            continue;
        for (unsigned i = field; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)g_rand_int(random);
        DecodeResult result = insn_decode_cached(&cache, bytes, sizeof bytes, mode, &with);
        g_assert_cmpint(result, ==, insn_decode(bytes, sizeof bytes, mode, &without));
        if (result == DECODE_OK)
            g_assert_cmpmem(&with, sizeof with, &without, sizeof without);
        changed++;
    }
    g_assert_cmpuint(changed, >, 50000);
    g_test_message("%u changed", changed);
    g_rand_free(random);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/decode/existence", test_existence);
    g_test_add_func("/cpu/decode/memory-operand", test_memory_operand);
    g_test_add_func("/cpu/decode/immediates", test_immediates);
    g_test_add_func("/cpu/decode/layout", test_layout);
    g_test_add_func("/cpu/decode/cache", test_cache);
    g_test_add_func("/cpu/decode/cache-fields", test_cache_fields);
    return g_test_run();
}
