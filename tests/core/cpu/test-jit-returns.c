/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Translated calls and returns against the interpreter: the ring of returns is right, or not used.
 */

#include "tests/core/cpu/jit-pair.h"

#include <string.h>

enum { FIRST = MAPPED, ELSEWHERE = MAPPED + 0x10000 };

/* Both machines from RIP, with the stack as it is. */
static Outcome go_on(Pair *pair, uint32_t rip)
{
    pair->interp.cpu->rip = pair->jit.cpu->rip = rip;
    Outcome a = run(&pair->interp, 1000000), b = run(&pair->jit, 0);
    g_autofree char *text = difference(pair, &a, &b, UINT64_MAX);

    if (text)
        g_error("from %x:\n%s", rip, text);
    return b;
}

static Outcome start(Pair *pair, uint32_t rip)
{
    pair->interp.cpu->gpr[RSP] = pair->jit.cpu->gpr[RSP] = STACK;
    return go_on(pair, rip);
}

static void check(const uint8_t *code, size_t length)
{
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, CODE, code, length);
    for (unsigned i = 0; i < 3; i++)
        g_assert_false(start(&pair, CODE).raised);
    pair_clear(&pair);
}

/* Deeper than the ring. */
static void test_deep(void)
{
    static const uint8_t code[] = {
        0xb9, 0x64, 0x00, 0x00, 0x00, /*    mov ecx, 100 */
        0xe8, 0x01, 0x00, 0x00, 0x00, /*    call f */
        0xf4,                         /*    hlt */
        0xff, 0xc9,                   /* f: dec ecx */
        0x74, 0x0c,                   /*    jz out */
        0xe8, 0xf7, 0xff, 0xff, 0xff, /*    call f */
        0x83, 0xd0, 0x07,             /*    adc eax, 7 */
        0x69, 0xc0, 0x21, 0x00,       /*    imul eax, eax, 33 */
        0x00, 0x00, 0xc3,             /*    ret; out: ret */
    };
    uint8_t fixed[sizeof code];

    memcpy(fixed, code, sizeof code);
    fixed[14] = sizeof code - 1 - 15;
    check(fixed, sizeof fixed);
}

/* A function that comes back behind the instruction after its call, every second time. */
static void test_changed_address(void)
{
    static const uint8_t code[] = {
        0xb9, 0x64, 0x00, 0x00, 0x00, /*    mov ecx, 100 */
        0xe8, 0x09, 0x00, 0x00, 0x00, /* a: call f */
        0xff, 0xc0,                   /*    inc eax */
        0xff, 0xc3,                   /*    inc ebx */
        0xff, 0xc9,                   /*    dec ecx */
        0x75, 0xf3,                   /*    jnz a */
        0xf4,                         /*    hlt */
        0x89, 0xca,                   /* f: mov edx, ecx */
        0x83, 0xe2, 0x01,             /*    and edx, 1 */
        0x01, 0xd2,                   /*    add edx, edx */
        0x48, 0x01, 0x14, 0x24,       /*    add [rsp], rdx */
        0xc3,                         /*    ret */
    };
    check(code, sizeof code);
}

/* Returns without calls, to a place that was called from before. */
static void test_without_calls(void)
{
    static const uint8_t code[] = {
        0xb9, 0x2c, 0x01, 0x00, 0x00,             /*    mov ecx, 300 */
        0xe8, 0x0e, 0x00, 0x00, 0x00,             /*    call f */
        0xff, 0xc9,                               /* a: dec ecx */
        0x74, 0x09,                               /*    jz out */
        0x48, 0x8d, 0x05, 0xf5, 0xff, 0xff, 0xff, /*    lea rax, [a] */
        0x50,                                     /*    push rax */
        0xc3,                                     /*    ret */
        0xf4,                                     /* out: hlt */
    };
    uint8_t fixed[sizeof code + 1];

    memcpy(fixed, code, sizeof code);
    fixed[sizeof code] = 0xc3; /* f */
    fixed[6] = sizeof code - 10;
    check(fixed, sizeof fixed);
}

/* Who returns to one place for ever can be stopped. */
static gpointer stop(gpointer data)
{
    Cpu *cpu = data;

    g_usleep(50000);
    atomic_fetch_or(&cpu->requests, REQUEST_PAUSE);
    return NULL;
}

static void test_for_ever(void)
{
    static const uint8_t code[] = {
        0xe8, 0x09, 0x00, 0x00, 0x00,             /*    call f */
        0x48, 0x8d, 0x05, 0xf9, 0xff, 0xff, 0xff, /* a: lea rax, [a] */
        0x50,                                     /*    push rax */
        0xc3,                                     /*    f: ret */
    };
    uint8_t fixed[sizeof code];
    Pair pair;

    memcpy(fixed, code, sizeof code);
    fixed[1] = sizeof code - 1 - 5;
    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, CODE, fixed, sizeof fixed);
    Cpu *cpu = pair.jit.cpu;
    cpu->rip = CODE;
    cpu->gpr[RSP] = STACK;
    GThread *thread = g_thread_new("stop", stop, cpu);
    Outcome outcome = run(&pair.jit, 0);
    g_thread_join(thread);
    g_assert_false(outcome.raised);
    g_assert_true(atomic_load(&cpu->requests) & REQUEST_PAUSE);
    g_assert_cmphex(cpu->rip, >=, CODE + 5);
    g_assert_cmphex(cpu->rip, <, CODE + sizeof code);
    pair_clear(&pair);
}

/* Addresses that no code has, those among them that stand for an empty place. */
static void test_to_nowhere(void)
{
    static const uint64_t addresses[] = {
        0,
        1,
        0x8000000000000001,
        0x8000000000000000,
        0x8000000000010000,
        0x7fffffffffff0000,
        0xffffffffffffffff,
        0x800000100005,
        0xffff7fffffffffff,
    };
    static const uint8_t code[] = {
        0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, /* mov rax, imm64 */
        0x50,                               /* push rax */
        0xc3,                               /* ret */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(addresses); i++)
        for (unsigned jump = 0; jump < 2; jump++) {
            uint8_t fixed[sizeof code + 1];
            Pair pair;
            pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
            memcpy(fixed, code, sizeof code);
            memcpy(fixed + 2, &addresses[i], 8);
            if (jump) {
                fixed[11] = 0xff; /* jmp rax */
                fixed[12] = 0xe0;
            }
            pair_write(&pair, CODE, fixed, sizeof fixed);
            pair_write(&pair, 0, "\xf4\xf4\xf4", 3);
            start(&pair, CODE);
            start(&pair, CODE);
            pair_clear(&pair);
        }
}

/* The page that was called from is another one when the call comes back. */
static void test_page_changes(void)
{
    static const uint8_t caller[] = {
        0xe8, 0x00, 0x00, 0x00, 0x00, /* call CODE */
        0xbb, 0x01, 0x00, 0x00, 0x00, /* mov ebx, 1 */
        0xf4,
    };
    static const uint8_t callee[] = {0xf4, 0xc3}; /* hlt; ret */
    uint8_t fixed[sizeof caller];
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    memcpy(fixed, caller, sizeof caller);
    int32_t relative = (int32_t)(CODE - (FIRST + 5));
    memcpy(fixed + 1, &relative, 4);
    pair_write(&pair, FIRST, fixed, sizeof fixed);
    fixed[6] = 2;
    pair_write(&pair, ELSEWHERE, fixed, sizeof fixed);
    pair_write(&pair, CODE, callee, sizeof callee);
    for (unsigned i = 0; i < 12; i++) {
        start(&pair, FIRST);
        if (i % 3 == 2)
            pair_map(&pair, FIRST, i & 1 ? FIRST : ELSEWHERE);
        g_assert_false(go_on(&pair, CODE + 1).raised);
    }
    pair_clear(&pair);
}

/* The code behind the call changes before the call comes back. */
static void test_code_changes(void)
{
    static const uint8_t code[] = {
        0xb9, 0x64, 0x00, 0x00, 0x00, /*    mov ecx, 100 */
        0xe8, 0x0b, 0x00, 0x00, 0x00, /* a: call f */
        0x05, 0x00, 0x00, 0x00, 0x00, /*    add eax, imm */
        0xff, 0xc9,                   /*    dec ecx */
        0x75, 0xf2,                   /*    jnz a */
        0xf4,                         /*    hlt */
        0x90,                         /*    nop */
        0xbb, 0x0b, 0x00, 0x10, 0x00, /* f: mov ebx, imm's address */
        0x88, 0x0b,                   /*    mov [rbx], cl */
        0xc3,                         /*    ret */
    };
    check(code, sizeof code);
}

/* A block of its own, which the call leads back to, is forgotten with all others meanwhile. */
static void test_whole_flush(void)
{
    const JitOptions tiny = {.max_insns = 32, .cache_bytes = JIT_LEAST_CACHE};
    enum { FUNCTIONS = 3000, STRIDE = 16 };
    Pair pair;

    pair_init(&pair, LONG_MODE, &tiny);
    /* Each function calls the next one; the last returns through all of them. */
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        uint8_t code[STRIDE] = {
            0xe8, STRIDE - 5, 0,    0, 0,    /* call the next */
            0x83, 0xd0,       0x07,          /* adc eax, 7 */
            0x69, 0xc0,       0x21, 0, 0, 0, /* imul eax, eax, 33 */
            0xc3,
        };
        pair_write(&pair, CODE + i * STRIDE, code, sizeof code);
    }
    pair_write(&pair, CODE + FUNCTIONS * STRIDE, "\xc3", 1);
    pair_write(&pair, CODE + (FUNCTIONS + 1) * STRIDE, "\xe8\x00\x00\x00\x00\xf4", 6);
    int32_t relative = -(int32_t)((FUNCTIONS + 1) * STRIDE + 5);
    pair_write(&pair, CODE + (FUNCTIONS + 1) * STRIDE + 1, &relative, 4);
    uint64_t before = jit_statistics(pair.jit.jit).evictions;
    for (unsigned i = 0; i < 3; i++)
        g_assert_false(start(&pair, CODE + (FUNCTIONS + 1) * STRIDE).raised);
    g_assert_cmpuint(jit_statistics(pair.jit.jit).evictions, >, before);
    pair_clear(&pair);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/jit/returns/deep", test_deep);
    g_test_add_func("/cpu/jit/returns/changed-address", test_changed_address);
    g_test_add_func("/cpu/jit/returns/without-calls", test_without_calls);
    g_test_add_func("/cpu/jit/returns/for-ever", test_for_ever);
    g_test_add_func("/cpu/jit/returns/to-nowhere", test_to_nowhere);
    g_test_add_func("/cpu/jit/returns/page-changes", test_page_changes);
    g_test_add_func("/cpu/jit/returns/code-changes", test_code_changes);
    g_test_add_func("/cpu/jit/returns/whole-flush", test_whole_flush);
    return g_test_run();
}
