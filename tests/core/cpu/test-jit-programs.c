/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Translated code against the interpreter: handwritten programs. */

#include "tests/core/cpu/jit-pair.h"

#include <string.h>

static void check_program(TestMode mode, const uint8_t *code, size_t length,
                          const JitOptions *options)
{
    Pair pair;

    pair_init(&pair, mode, options);
    uint32_t ip = mode == REAL_16 ? 0x100 : CODE + 0x100;
    pair_write(&pair, mode == REAL_16 ? ip + REAL_CODE : ip, code, length);
    for (unsigned i = 0; i < 2; i++) {
        Cpu *cpu = i ? pair.jit.cpu : pair.interp.cpu;
        cpu->rip = ip;
        cpu->gpr[RSP] = mode == REAL_16 ? 0x8000 : STACK;
    }
    Outcome a = run(&pair.interp, 10000000), b = run(&pair.jit, 0);
    g_autofree char *text = difference(&pair, &a, &b, UINT64_MAX);
    if (text)
        g_error("mode %d:\n%s", mode, text);
    g_assert_false(a.raised);
    pair_clear(&pair);
}

/* Recursive Fibonacci: calls, returns, pushes. */
static void test_calls(void)
{
    static const uint8_t code[] = {
        0xbf, 0x0f, 0x00, 0x00, 0x00, /*     mov edi, 15 */
        0xe8, 0x01, 0x00, 0x00, 0x00, /*     call fib */
        0xf4,                         /*     hlt */
        0x55,                         /* fib: push rbp */
        0x53,                         /*     push rbx */
        0x89, 0xf8,                   /*     mov eax, edi */
        0x83, 0xff, 0x02,             /*     cmp edi, 2 */
        0x72, 0x13,                   /*     jb out */
        0x89, 0xfb,                   /*     mov ebx, edi */
        0x8d, 0x7b, 0xff,             /*     lea edi, [rbx-1] */
        0xe8, 0xed, 0xff, 0xff, 0xff, /*     call fib */
        0x89, 0xc5,                   /*     mov ebp, eax */
        0x8d, 0x7b, 0xfe,             /*     lea edi, [rbx-2] */
        0xe8, 0xe3, 0xff, 0xff, 0xff, /*     call fib */
        0x01, 0xe8,                   /*     add eax, ebp */
        0x5b,                         /* out: pop rbx */
        0x5d,                         /*     pop rbp */
        0xc3,                         /*     ret */
    };
    uint8_t fixed[sizeof code];

    memcpy(fixed, code, sizeof code);
    fixed[19] = 37 - 20 + 2; /* jb out, whatever the lengths above */
    for (unsigned i = 20; i < sizeof code; i++)
        if (code[i] == 0x5b)
            fixed[19] = i - 20;
    for (unsigned i = 22; i < sizeof code - 5; i++)
        if (code[i] == 0xe8) {
            int32_t relative = 11 - (int32_t)(i + 5);
            memcpy(fixed + i + 1, &relative, 4);
        }
    check_program(LONG_MODE, fixed, sizeof fixed, &JIT_OPTIONS_DEFAULT);
    check_program(FLAT_32, fixed, sizeof fixed, &JIT_OPTIONS_DEFAULT);
    check_program(FLAT_32, fixed, sizeof fixed, &exact);
}

/* Adds up and stores in loops of both kinds, with flags carried around. */
static void test_loops(void)
{
    static const uint8_t code[] = {
        0xb9, 0xe8, 0x03, 0x00, 0x00, /*     mov ecx, 1000 */
        0x31, 0xc0,                   /*     xor eax, eax */
        0x01, 0xc8,                   /* a:  add eax, ecx */
        0x11, 0xc2,                   /*     adc edx, eax */
        0xe2, 0xfa,                   /*     loop a */
        0xbb, 0x64, 0x00, 0x00, 0x00, /*     mov ebx, 100 */
        0x50,                         /* b:  push rax */
        0x11, 0xd0,                   /*     adc eax, edx */
        0x5e,                         /*     pop rsi */
        0xff, 0xcb,                   /*     dec ebx */
        0x75, 0xf8,                   /*     jnz b */
        0x9c,                         /*     pushf */
        0x5f,                         /*     pop rdi */
        0xf4,
    };
    check_program(LONG_MODE, code, sizeof code, &JIT_OPTIONS_DEFAULT);
    check_program(FLAT_32, code, sizeof code, &JIT_OPTIONS_DEFAULT);
    check_program(FLAT_32, code, sizeof code, &exact);
}

/* A store into the running block, ahead of itself. */
static void test_self_modifying(void)
{
    static const uint8_t code[] = {
        0xb9, 0x64, 0x00, 0x00, 0x00, /*     mov ecx, 100 */
        0x31, 0xc0,                   /*     xor eax, eax */
        0xbb, 0x12, 0x01, 0x10, 0x00, /* a:  mov ebx, patch+1 */
        0x88, 0x0b,                   /*     mov [rbx], cl */
        0x90, 0x90, 0x90,             /*     nops */
        0x05, 0x00, 0x00, 0x00, 0x00, /* patch: add eax, imm */
        0xff, 0xc9,                   /*     dec ecx */
        0x75, 0xed,                   /*     jnz a */
        0xf4,
    };
    check_program(LONG_MODE, code, sizeof code, &JIT_OPTIONS_DEFAULT);
    check_program(FLAT_32, code, sizeof code, &JIT_OPTIONS_DEFAULT);
}

/* --- links between pages ---------------------------------------------------------------------- */

enum { FIRST = MAPPED, SECOND = MAPPED + 0x1000, ELSEWHERE = MAPPED + 0x10000 };

/* Ends a page: sets CF, ZF and others, then runs into the next page. */
static const uint8_t into_next[] = {
    0x31, 0xc0, /* xor eax, eax */
    0xf9,       /* stc */
    0xeb, 0x0b, /* jmp to the next page: 16 bytes from its begin */
};
/* Does not need the flags it begins with. */
static const uint8_t without_flags[] = {
    0x31, 0xdb,          /* xor ebx, ebx */
    0xb9, 0x07, 0, 0, 0, /* mov ecx, 7 */
    0xf4,
};
static const uint8_t with_flags[] = {
    0x11, 0xc0, /* adc eax, eax */
    0x9c,       /* pushf */
    0x5b,       /* pop rbx */
    0xf4,
};

static void check_from(Pair *pair, uint32_t rip)
{
    Machine *machines[] = {&pair->interp, &pair->jit};

    for (unsigned i = 0; i < 2; i++) {
        machines[i]->cpu->rip = rip;
        machines[i]->cpu->gpr[RSP] = STACK;
    }
    Outcome a = run(&pair->interp, 1000), b = run(&pair->jit, 0);
    g_autofree char *text = difference(pair, &a, &b, UINT64_MAX);
    if (text)
        g_error("from %x:\n%s", rip, text);
    g_assert_false(a.raised);
}

/* What is mapped behind a page changes, to code that needs the flags which the old did not. */
static void test_next_page_changes(void)
{
    const uint32_t entry = FIRST + 0x1000 - 16;
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, entry, into_next, sizeof into_next);
    pair_write(&pair, SECOND, without_flags, sizeof without_flags);
    pair_write(&pair, ELSEWHERE, with_flags, sizeof with_flags);
    for (unsigned i = 0; i < 40; i++) {
        pair_map(&pair, SECOND, i & 1 ? ELSEWHERE : SECOND);
        for (unsigned k = 0; k < 3; k++)
            check_from(&pair, entry);
    }
    pair_clear(&pair);
}

/* One page of code at two addresses at a time, with different pages behind. */
static void test_page_at_two_addresses(void)
{
    const uint32_t entry = FIRST + 0x1000 - 16, other = ELSEWHERE - FIRST;
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, entry, into_next, sizeof into_next);
    pair_write(&pair, SECOND, without_flags, sizeof without_flags);
    pair_write(&pair, SECOND + other, with_flags, sizeof with_flags);
    pair_map(&pair, ELSEWHERE, FIRST);
    for (unsigned i = 0; i < 8; i++) {
        check_from(&pair, entry);
        check_from(&pair, entry);
        check_from(&pair, entry + other);
    }
    pair_clear(&pair);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/jit/calls", test_calls);
    g_test_add_func("/cpu/jit/loops", test_loops);
    g_test_add_func("/cpu/jit/self-modifying", test_self_modifying);
    g_test_add_func("/cpu/jit/next-page-changes", test_next_page_changes);
    g_test_add_func("/cpu/jit/page-at-two-addresses", test_page_at_two_addresses);
    return g_test_run();
}
