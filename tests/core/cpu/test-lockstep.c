/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Lockstep of translator and interpreter: what it must not take for a difference, and that it finds
 * the instruction that makes one. */

#include "core/cpu/lockstep.h"

#include "core/cpu/mmu.h"
#include "tests/core/cpu/jit-pair.h"

#include <string.h>

enum { ROUNDS = 100, STORE = 9 /* where it stands in both programs */ };

/* A store to the code's own page. */
static const uint8_t storing[] = {
    0xb9, ROUNDS, 0,    0,    0,          /* mov ecx, ROUNDS */
    0x48, 0x83,   0xc3, 0x03,             /* again: add rbx, 3 */
    0x89, 0x1d,   0xf1, 0x07, 0x00, 0x00, /* mov [rip + 7f1h], ebx */
    0x31, 0xda,                           /* xor edx, ebx */
    0xff, 0xc9,                           /* dec ecx */
    0x75, 0xf0,                           /* jnz again */
    0xf4,                                 /* hlt */
};

/* A clock, and flags that a multiplication leaves undefined. */
static const uint8_t unrepeatable[] = {
    0xb9, ROUNDS, 0,    0, 0, /* mov ecx, ROUNDS */
    0x0f, 0x31,               /* again: rdtsc */
    0x01, 0xc3,               /* add ebx, eax */
    0x0f, 0xaf,   0xdb,       /* imul ebx, ebx */
    0x9c,                     /* pushfq */
    0x58,                     /* pop rax */
    0x01, 0xc6,               /* add esi, eax */
    0xff, 0xc9,               /* dec ecx */
    0x75, 0xf1,               /* jnz again */
    0xf4,                     /* hlt */
};

/* A system call, which leads to what is behind it, with a vector register just written. */
static const uint8_t calling[] = {
    0xbb, ROUNDS, 0,    0,    0, /* mov ebx, ROUNDS */
    0x66, 0x0f,   0x6e, 0xc3,    /* again: movd xmm0, ebx */
    0x0f, 0x05,                  /* syscall */
    0xff, 0xcb,                  /* dec ebx */
    0x75, 0xf6,                  /* jnz again */
    0xf4,                        /* hlt */
};
enum { BEHIND_CALL = 11 };

static GString *printed;
static void (*real_store_hook)(Cpu *cpu, RamBlock *block, uint64_t offset, unsigned length);

static void note_printed(const char *text)
{
    g_string_append(printed, text);
}

/* Only the interpreter calls this for a store beside the code: its store has another effect. */
static void spoil_store(Cpu *cpu, RamBlock *block, uint64_t offset, unsigned length)
{
    real_store_hook(cpu, block, offset, length);
    cpu->gpr[RSI]++;
}

/* Runs CODE in lockstep until HLT; what was printed is in `printed`. SPOILED: with spoil_store().
 */
static uint64_t run_in_lockstep(const uint8_t *code, size_t length, bool spoiled)
{
    JitOptions options = unlinked;
    GPrintFunc real_print;
    Pair pair;

    options.lockstep = options.no_links = true;
    pair_init(&pair, LONG_MODE, &options);
    pair_write(&pair, CODE, code, length);
    real_store_hook = mmu_code_store_hook;
    if (spoiled)
        mmu_code_store_hook = spoil_store;
    Cpu *cpu = pair.jit.cpu;
    cpu->rip = CODE;
    cpu->gpr[RSP] = STACK;
    cpu->efer |= EFER_SCE;
    cpu->lstar = CODE + BEHIND_CALL;
    printed = g_string_new(NULL);
    real_print = g_set_printerr_handler(note_printed);
    g_assert_cmpint(sigsetjmp(cpu->escape, 0), ==, 0);
    while (cpu->halt_state == CPU_RUNNING)
        lockstep_run(cpu);
    uint64_t rbx = cpu->gpr[RBX];
    pair_clear(&pair);
    g_set_printerr_handler(real_print);
    return rbx;
}

static void assert_printed(const char *text)
{
    if (!strstr(printed->str, text))
        g_error("\"%s\" is not in: %s", text, printed->str);
}

static void test_no_difference(void)
{
    g_assert_cmpuint(run_in_lockstep(storing, sizeof storing, false), ==, 3 * ROUNDS);
    assert_printed(" 0 differences");
    g_assert_null(strstr(printed->str, "differs"));
    g_string_free(printed, TRUE);
}

static void test_unrepeatable(void)
{
    g_autofree char *alone =
        g_strdup_printf(" %u instructions that cannot be done twice", 2 * ROUNDS);

    run_in_lockstep(unrepeatable, sizeof unrepeatable, false);
    assert_printed(alone);
    assert_printed(" 0 differences");
    g_string_free(printed, TRUE);
}

static void test_vectors_at_calls(void)
{
    run_in_lockstep(calling, sizeof calling, false);
    assert_printed(" 0 differences");
    g_string_free(printed, TRUE);
}

static void test_finds_instruction(void)
{
    g_autofree char *place = g_strdup_printf("the instruction at 0000:%016x", CODE + STORE);

    run_in_lockstep(storing, sizeof storing, true);
    assert_printed(place);
    assert_printed("mov: 89 1d");
    assert_printed("  rsi: translated 0000000000000000, interpreted 0000000000000001");
    g_assert_null(strstr(printed->str, "  rbx: "));
    g_string_free(printed, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/lockstep/no-difference", test_no_difference);
    g_test_add_func("/cpu/lockstep/unrepeatable", test_unrepeatable);
    g_test_add_func("/cpu/lockstep/vectors-at-calls", test_vectors_at_calls);
    g_test_add_func("/cpu/lockstep/finds-instruction", test_finds_instruction);
    return g_test_run();
}
