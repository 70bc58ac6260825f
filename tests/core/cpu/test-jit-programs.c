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
    check_program(FLAT_32, fixed, sizeof fixed, &unlinked);
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
    check_program(FLAT_32, code, sizeof code, &unlinked);
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
    pair_check_from(pair, rip, 1000);
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

/* Two pages that an indirect jump leads to change one after the other, each with its own INVLPG. */
static void test_pages_change_in_turn(void)
{
    static const uint8_t jump[] = {0xff, 0xe0}; /* jmp rax */
    const uint32_t pages[] = {FIRST, SECOND}, others[] = {ELSEWHERE, ELSEWHERE + 0x1000};
    uint8_t target[] = {0xbb, 0, 0, 0, 0, 0xf4}; /* mov ebx, N; hlt */
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, CODE, jump, sizeof jump);
    for (unsigned page = 0; page < 2; page++) {
        target[1] = (uint8_t)page;
        pair_write(&pair, pages[page], target, sizeof target);
        target[1] = (uint8_t)(page + 2);
        pair_write(&pair, others[page], target, sizeof target);
    }
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned k = 0; k < 6; k++) {
            pair.interp.cpu->gpr[RAX] = pair.jit.cpu->gpr[RAX] = pages[k & 1];
            check_from(&pair, CODE);
        }
        pair_map(&pair, pages[i & 1], i & 2 ? pages[i & 1] : others[i & 1]);
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

/* Ends on the next page, with what that has for the upper half of its immediate. */
static const uint8_t across[] = {
    0xb9, 0x64, 0x00, 0x00, 0x00, /*     mov ecx, 100 */
    0x31, 0xc0,                   /*     xor eax, eax */
    0xf9,                         /* a:  stc */
    0x15, 0x01, 0x02,             /*     adc eax, imm */
};
static const uint8_t across_rest[] = {
    0x03, 0x04,                         /*     ... */
    0xff, 0xc9,                         /*     dec ecx */
    0x0f, 0x85, 0xf2, 0xff, 0xff, 0xff, /*     jnz a */
    0xf4,
};
static const uint8_t other_rest[] = {
    0x05, 0x06,                         /*     ... */
    0xff, 0xc9,                         /*     dec ecx */
    0x0f, 0x85, 0xf2, 0xff, 0xff, 0xff, /*     jnz a */
    0xf4,
};

static void write_across(Pair *pair)
{
    pair_init(pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(pair, SECOND - sizeof across, across, sizeof across);
    pair_write(pair, SECOND, across_rest, sizeof across_rest);
    pair_write(pair, ELSEWHERE, other_rest, sizeof other_rest);
}

/* It is translated, and again when either page changes. */
static void test_across_pages(void)
{
    const uint32_t entry = SECOND - sizeof across;
    Pair pair;

    write_across(&pair);
    for (unsigned i = 0; i < 50; i++) {
        uint8_t byte = (uint8_t)i;
        uint64_t before = jit_statistics(pair.jit.jit).interpreted;
        check_from(&pair, entry);
        g_assert_cmpuint(jit_statistics(pair.jit.jit).interpreted - before, <, 10);
        pair_write(&pair, i & 1 ? SECOND + 1 : SECOND - 1, &byte, 1);
    }
    pair_clear(&pair);
}

/* The page behind it changes, or is another at another address. */
static void test_across_mapped_pages(void)
{
    const uint32_t entry = SECOND - sizeof across, there = MAPPED + 0x20000;
    Pair pair;

    write_across(&pair);
    pair_map(&pair, there, FIRST);
    pair_map(&pair, there + 0x1000, ELSEWHERE);
    for (unsigned i = 0; i < 40; i++) {
        if (i >= 20)
            pair_map(&pair, SECOND, i & 1 ? ELSEWHERE : SECOND);
        check_from(&pair, entry);
        check_from(&pair, entry + (there - FIRST));
    }
    pair_clear(&pair);
}

/* It stores into its own end: each round adds something else. */
static void test_across_self_modifying(void)
{
    static const uint8_t code[] = {
        0xb9, 0x64, 0x00, 0x00, 0x00, /*     mov ecx, 100 */
        0xbb, 0x01, 0x10, 0x40, 0x00, /*     mov ebx, SECOND + 1 */
        0x88, 0x0b,                   /* a:  mov [rbx], cl */
        0x05, 0x01, 0x02,             /*     add eax, imm */
    };
    static const uint8_t rest[] = {
        0x03, 0x04,                         /*     ... */
        0xff, 0xc9,                         /*     dec ecx */
        0x0f, 0x85, 0xf1, 0xff, 0xff, 0xff, /*     jnz a */
        0xf4,
    };
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, SECOND - sizeof code, code, sizeof code);
    pair_write(&pair, SECOND, rest, sizeof rest);
    for (unsigned i = 0; i < 3; i++)
        check_from(&pair, SECOND - sizeof code);
    pair_clear(&pair);
}

/* --- flushes ---------------------------------------------------------------------------------- */

/* What is mapped where no code is does not unlink code. */
static void test_flushes_of_data(void)
{
    const uint32_t entry = FIRST + 0x1000 - 16, data = MAPPED + 0x30000;
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, entry, into_next, sizeof into_next);
    pair_write(&pair, SECOND, without_flags, sizeof without_flags);
    for (unsigned i = 0; i < 3; i++)
        check_from(&pair, entry);
    uint64_t before = jit_statistics(pair.jit.jit).exits_direct;
    for (unsigned i = 0; i < 20; i++) {
        pair_map(&pair, data, i & 1 ? data : ELSEWHERE);
        check_from(&pair, entry);
    }
    g_assert_cmpuint(jit_statistics(pair.jit.jit).exits_direct, ==, before);
    pair_clear(&pair);
}

/* --- registers -------------------------------------------------------------------------------- */

/* More of r10, r11 and r15 than there are temporary registers for, all others being used, too. */
static void test_homeless_registers(void)
{
    static const uint8_t code[] = {
        0x48, 0xc7, 0xc2, 0xf5, 0xff, 0xff, 0xff, /* mov rdx, -11 */
        0x41, 0xbb, 0x11, 0x22, 0x33, 0x44,       /* mov r11d, 44332211h */
        0x41, 0xbe, 0x0e, 0x00, 0x00, 0x00,       /* mov r14d, 14 */
        0x41, 0xbd, 0x0d, 0x00, 0x00, 0x00,       /* mov r13d, 13 */
        0xbf, 0x00, 0x00, 0x20, 0x00,             /* mov edi, DATA */
        0x4c, 0x89, 0x1f,                         /* mov [rdi], r11 */
        0xf9,                                     /* stc */
        0xc4, 0x62, 0xa3, 0xf6, 0x17,             /* mulx r10, r11, [rdi] */
        0xc4, 0x42, 0xab, 0xf6, 0xfb,             /* mulx r15, r10, r11 */
        0x49, 0x81, 0xd6, 0x00, 0x00, 0x00, 0x00, /* adc r14, 0 */
        0xf4,
    };

    if (!__builtin_cpu_supports("bmi2")) {
        g_test_skip("the host has no MULX");
        return;
    }
    check_program(LONG_MODE, code, sizeof code, &JIT_OPTIONS_DEFAULT);
}

/* Operands over the end of a page, whose next one is behind it in memory, or is not. */
static void test_operands_over_pages(void)
{
    static const uint8_t code[] = {
        0xdb, 0xe3,                               /*     fninit */
        0xbb, 0x00, 0x10, 0x42, 0x00,             /*     mov ebx, MAPPED + 21000h */
        0xb9, 0x1f, 0x00, 0x00, 0x00,             /*     mov ecx, 31 */
        0x48, 0x89, 0xdf,                         /* a:  mov rdi, rbx */
        0x48, 0x29, 0xcf,                         /*     sub rdi, rcx */
        0x48, 0x8b, 0x07,                         /*     mov rax, [rdi] */
        0x49, 0x01, 0xc0,                         /*     add r8, rax */
        0x0f, 0xb7, 0x54, 0x0f, 0xff,             /*     movzx edx, word [rdi+rcx-1] */
        0x49, 0x01, 0xd1,                         /*     add r9, rdx */
        0x0f, 0x10, 0x0f,                         /*     movups xmm1, [rdi] */
        0x66, 0x0f, 0xd4, 0xc1,                   /*     paddq xmm0, xmm1 */
        0xdb, 0x2f,                               /*     fld tbyte [rdi] */
        0xdb, 0x7c, 0x0f, 0xfd,                   /*     fstp tbyte [rdi+rcx-3] */
        0x48, 0x01, 0x07,                         /*     add [rdi], rax */
        0x0f, 0x11, 0x47, 0x03,                   /*     movups [rdi+3], xmm0 */
        0xff, 0x37,                               /*     push qword [rdi] */
        0x8f, 0x47, 0x01,                         /*     pop qword [rdi+1] */
        0x48, 0x89, 0x17,                         /*     mov [rdi], rdx */
        0x66, 0x89, 0x44, 0x0f, 0xff,             /*     mov [rdi+rcx-1], ax */
        0x4c, 0x89, 0x57, 0x01,                   /*     mov [rdi+1], r10 */
        0x89, 0x67, 0x02,                         /*     mov [rdi+2], esp */
        0xf0, 0x48, 0x0f, 0xc1, 0x44, 0x0f, 0xfc, /*     lock xadd [rdi+rcx-4], rax */
        0xff, 0xc9,                               /*     dec ecx */
        0x75, 0xb9,                               /*     jnz a */
        0xf4,
    };
    const uint32_t entry = CODE + 0x100, there = MAPPED + 0x20000;
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, entry, code, sizeof code);
    pair_map(&pair, there, DATA + 0x3000);
    for (unsigned i = 0; i < 20; i++) {
        pair_map(&pair, there + 0x1000, DATA + (i & 1 ? 0x4000 : 0x1000));
        check_from(&pair, entry);
    }
    pair_clear(&pair);
}

/* A plain store and load over the end of a page whose next one is not behind it in memory are not
 * interpreted. */
static void test_moves_over_pages(void)
{
    static const uint8_t code[] = {
        0xbb, 0xfc, 0x0f, 0x20, 0x00, /*     mov ebx, DATA + ffch */
        0xb9, 0xe8, 0x03, 0x00, 0x00, /*     mov ecx, 1000 */
        0x48, 0x89, 0x0b,             /* a:  mov [rbx], rcx */
        0x48, 0x03, 0x03,             /*     add rax, [rbx] */
        0xff, 0xc9,                   /*     dec ecx */
        0x75, 0xf6,                   /*     jnz a */
        0xf4,
    };
    enum { FEW = 10, SPLITS = 2000 };
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, CODE, code, sizeof code);
    pair_check_from(&pair, CODE, 20000);
    JitStatistics s = jit_statistics(pair.jit.jit);
    g_assert_cmpuint(s.slow[JIT_SLOW_SPLIT], >=, SPLITS);
    g_assert_cmpuint(s.interpreted, <, FEW);
    pair_clear(&pair);
}

/* A structure and a stack frame over the end of a page, each access to which is within one: that is
 * done in translated code. */
static void test_groups_over_pages(void)
{
    static const uint8_t code[] = {
        0xbc, 0x08, 0x40, 0x20, 0x00, /*     mov esp, DATA + 4008h */
        0xbb, 0xf8, 0x0f, 0x20, 0x00, /*     mov ebx, DATA + ff8h */
        0xb9, 0xe8, 0x03, 0x00, 0x00, /*     mov ecx, 1000 */
        0x48, 0x03, 0x03,             /* a:  add rax, [rbx] */
        0x48, 0x03, 0x43, 0x08,       /*     add rax, [rbx+8] */
        0x50,                         /*     push rax */
        0x51,                         /*     push rcx */
        0x5a,                         /*     pop rdx */
        0x58,                         /*     pop rax */
        0x48, 0x89, 0x43, 0x08,       /*     mov [rbx+8], rax */
        0xff, 0xc9,                   /*     dec ecx */
        0x75, 0xed,                   /*     jnz a */
        0xf4,
    };
    enum { FEW = 100 };

    for (unsigned tier_2 = 0; tier_2 < 2; tier_2++) {
        JitOptions options = JIT_OPTIONS_DEFAULT;
        Pair pair;
        options.tier_2 = tier_2;
        pair_init(&pair, LONG_MODE, &options);
        pair_write(&pair, CODE, code, sizeof code);
        pair_check_from(&pair, CODE, 20000);
        JitStatistics s = jit_statistics(pair.jit.jit);
        for (unsigned i = 0; i < N_JIT_SLOW; i++)
            g_assert_cmpuint(s.slow[i], <, FEW);
        pair_clear(&pair);
    }
}

/* Code that is first entered in its middle is not translated twice. */
static void test_entered_in_the_middle(void)
{
    enum { N = 20, INSNS = 2 * N + 6 };
    static const uint8_t begin[] = {
        0xb9, 0x02, 0x00, 0x00, 0x00, /*     mov ecx, 2 */
        0xeb, 0x3c,                   /*     jmp b */
    };
    static const uint8_t increment_rax[] = {0x48, 0xff, 0xc0}; /* a: */
    static const uint8_t increment_rbx[] = {0x48, 0xff, 0xc3}; /* b: */
    static const uint8_t end[] = {
        0xff, 0xc9, /*     dec ecx */
        0x75, 0x84, /*     jnz a */
        0xf4,       /*     hlt */
        0xeb, 0xfe, /*     jmp $ */
    };
    uint32_t at = CODE + sizeof begin;
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, CODE, begin, sizeof begin);
    for (unsigned i = 0; i < 2 * N; i++, at += sizeof increment_rax)
        pair_write(&pair, at, i < N ? increment_rax : increment_rbx, sizeof increment_rax);
    pair_write(&pair, at, end, sizeof end);
    pair_check_from(&pair, CODE, 200);
    g_assert_cmpuint(jit_statistics(pair.jit.jit).instructions, ==, INSNS);
    pair_clear(&pair);
}

/* Accesses between an instruction and who uses its flags, over the end of a page, and in the end of
 * memory: that one is a page fault behind the instruction that sets the flags. */
static void test_accesses_with_flags(void)
{
    static const uint8_t code[] = {
        0xbb, 0xc0, 0x0f, 0x42, 0x00, /*    mov ebx, MAPPED + 20fc0h */
        0xb9, 0x64, 0x00, 0x00, 0x00, /*    mov ecx, 100 */
        0x31, 0xd2,                   /*    xor edx, edx */
        0x83, 0xf9, 0x32,             /* a: cmp ecx, 50 */
        0x8b, 0x03,                   /*    mov eax, [rbx] */
        0x19, 0xc2,                   /*    sbb edx, eax */
        0x48, 0x8d, 0x5b, 0x03,       /*    lea rbx, [rbx+3] */
        0x49, 0x89, 0xda,             /*    mov r10, rbx */
        0x83, 0xc2, 0x07,             /*    add edx, 7 */
        0x41, 0x89, 0x52, 0x10,       /*    mov [r10+16], edx */
        0x11, 0xca,                   /*    adc edx, ecx */
        0x52,                         /*    push rdx */
        0x39, 0xc2,                   /*    cmp edx, eax */
        0x5e,                         /*    pop rsi */
        0x83, 0xde, 0x00,             /*    sbb esi, 0 */
        0x01, 0xf7,                   /*    add edi, esi */
        0xff, 0xc9,                   /*    dec ecx */
        0x75, 0xdc,                   /*    jnz a */
        0xbb, 0xfe, 0xff, 0x5f, 0x00, /*    mov ebx, MAPPED + 1ffffeh */
        0x83, 0xf9, 0x01,             /*    cmp ecx, 1 */
        0x8b, 0x03,                   /*    mov eax, [rbx] */
        0x11, 0xc2,                   /*    adc edx, eax */
        0xf4,
    };
    pair_check_fault(code, sizeof code, EXC_PF, sizeof code - 5);
}

/* Flags that live across an access, by what sets them: with the access all right, and as the frame
 * of its fault shows. */
static void test_flags_over_accesses(void)
{
    static const struct {
        uint8_t bytes[8];
        uint8_t length;
    } setters[] = {
        {{0x39, 0xd8}, 2},                               /* cmp eax, ebx */
        {{0x48, 0x3d, 0x00, 0x00, 0x00, 0x80}, 6},       /* cmp rax, -80000000h */
        {{0x66, 0x39, 0xc3}, 3},                         /* cmp bx, ax */
        {{0x40, 0x38, 0xf8}, 3},                         /* cmp al, dil */
        {{0x38, 0xdc}, 2},                               /* cmp ah, bl */
        {{0x4d, 0x39, 0xd0}, 3},                         /* cmp r8, r10 */
        {{0x48, 0x39, 0xe0}, 3},                         /* cmp rax, rsp */
        {{0xa8, 0x80}, 2},                               /* test al, 80h */
        {{0x4d, 0x85, 0xc1}, 3},                         /* test r9, r8 */
        {{0x21, 0xd8}, 2},                               /* and eax, ebx */
        {{0x4c, 0x09, 0xc3}, 3},                         /* or rbx, r8 */
        {{0x31, 0xc0}, 2},                               /* xor eax, eax */
        {{0x66, 0x31, 0xd8}, 3},                         /* xor ax, bx */
        {{0x83, 0xc0, 0x80}, 3},                         /* add eax, -128 */
        {{0x49, 0x81, 0xc0, 0x00, 0x00, 0x00, 0x80}, 7}, /* add r8, -80000000h */
        {{0x01, 0xd8}, 2},                               /* add eax, ebx */
        {{0x48, 0x83, 0xeb, 0x08}, 4},                   /* sub rbx, 8 */
        {{0x81, 0xe8, 0x00, 0x00, 0x00, 0x80}, 6},       /* sub eax, -80000000h */
        {{0x4c, 0x29, 0xc0}, 3},                         /* sub rax, r8 */
        {{0x29, 0xc0}, 2},                               /* sub eax, eax */
        {{0xff, 0xc8}, 2},                               /* dec eax */
        {{0xd1, 0xe0}, 2},                               /* shl eax, 1 */
        {{0x39, 0xd8, 0x48, 0x8d, 0x58, 0x05}, 6},       /* cmp eax, ebx; lea rbx, [rax+5] */
        {{0x39, 0xd8, 0x88, 0xdc}, 4},                   /* cmp eax, ebx; mov ah, bl */
        {{0x39, 0xd8, 0x0f, 0x94, 0xc0}, 5},             /* cmp eax, ebx; setz al */
        {{0x48, 0x29, 0xd8, 0x72, 0x00}, 5},             /* sub rax, rbx; jc here */
    };
    static const uint64_t values[][2] = {
        {0, 0}, {1, 2}, {0x80000000, 0x7fffffff}, {0xffffffffffffff80, 0x8000000000000000}};
    static const uint8_t access[] = {
        0x48, 0x8b, 0x45, 0x00, /* mov rax, [rbp] */
        0x55,                   /* push rbp */
        0x19, 0xd2,             /* sbb edx, edx */
        0x9c,                   /* pushf */
        0xf4,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(setters); i++)
        for (unsigned k = 0; k < G_N_ELEMENTS(values) * 2; k++) {
            bool faults = k & 1;
            Pair pair;
            pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
            pair_write(&pair, CODE, setters[i].bytes, setters[i].length);
            pair_write(&pair, CODE + setters[i].length, access, sizeof access);
            for (unsigned n = 0; n < 2; n++) {
                Cpu *cpu = n ? pair.jit.cpu : pair.interp.cpu;
                cpu->rip = CODE;
                cpu->gpr[RSP] = STACK;
                cpu->gpr[RAX] = cpu->gpr[R9] = values[k / 2][0];
                cpu->gpr[RBX] = cpu->gpr[RDI] = cpu->gpr[R8] = values[k / 2][1];
                cpu->gpr[R10] = values[k / 2][0];
                cpu->gpr[RBP] = faults ? MAPPED + 0x1ffffe : DATA + 0x18;
            }
            Outcome a = run(&pair.interp, 100000), b = run(&pair.jit, 0);
            g_autofree char *text = difference(&pair, &a, &b, UINT64_MAX);
            if (text)
                g_error("setter %u, values %u, %s:\n%s", i, k / 2, faults ? "fault" : "none", text);
            g_assert_cmpint(b.raised, ==, faults);
            pair_clear(&pair);
        }
}

/* rSP is exact wherever it is seen in a row of PUSH and POP. */
static void test_rows_of_pushes(void)
{
    static const uint8_t code[] = {
        0x41, 0xbf, 0x07, 0x00, 0x00, 0x00, /* mov r15d, 7 */
        0x53,                               /* push rbx */
        0x31, 0xdb,                         /* xor ebx, ebx */
        0x55,                               /* push rbp */
        0x89, 0xd0,                         /* mov eax, edx */
        0x41, 0x54,                         /* push r12 */
        0x48, 0x89, 0xe1,                   /* mov rcx, rsp */
        0x41, 0x57,                         /* push r15 */
        0x6a, 0x05,                         /* push 5 */
        0x48, 0x8d, 0x54, 0x24, 0x08,       /* lea rdx, [rsp+8] */
        0x58,                               /* pop rax */
        0x41, 0x5a,                         /* pop r10 */
        0x41, 0x5c,                         /* pop r12 */
        0x83, 0xc0, 0x03,                   /* add eax, 3 */
        0x5d,                               /* pop rbp */
        0x72, 0x00,                         /* jc here */
        0x5b,                               /* pop rbx */
        0x54,                               /* push rsp */
        0x5e,                               /* pop rsi */
        0x57,                               /* push rdi */
        0x50,                               /* push rax */
        0x31, 0xff,                         /* xor edi, edi */
        0xf7, 0xf7,                         /* div edi */
        0xf4,
    };
    pair_check_fault(code, sizeof code, EXC_DE, sizeof code - 3);
}

/* An instruction that reads in one of the stack's pages and writes in another, which are not
 * neighbours in RAM, behind a way out and with live flags. */
static void test_two_pages_of_the_stack(void)
{
    static const struct {
        uint8_t head, access[4];
    } cases[] = {
        {0x28, {0xff, 0x74, 0x24, 0x20}}, /* push [rsp+32] */
        {0x08, {0x8f, 0x44, 0x24, 0x20}}, /* pop [rsp+32] */
    };
    const uint64_t low = 0x1111111111111111, high = 0x2222222222222222;

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t code[] = {
            0xbc, 0xe0, 0x0f, 0x40, 0x00,       /* mov esp, MAPPED + 4064 */
            0x48, 0x83, 0x4c, 0x24, 0x28, 0x00, /* or qword [rsp+40], 0 */
            0x48, 0x83, 0x4c, 0x24, 0xf8, 0x00, /* or qword [rsp-8], 0 */
            0xeb, 0x00,                         /* jmp here */
            0x48, 0x8b, 0x44, 0x24, 0x00,       /* mov rax, [rsp + head] */
            0x48, 0x85, 0xc0,                   /* test rax, rax */
            0x72, 0x0b,                         /* jc out */
            0x48, 0x85, 0xdb,                   /* test rbx, rbx */
            0x90, 0x90, 0x90, 0x90,             /* the access */
            0x0f, 0x94, 0xc1,                   /* setz cl */
            0x5a,                               /* pop rdx */
            0xf4,                               /* out: hlt */
        };
        Pair pair;

        code[23] = cases[i].head;
        memcpy(&code[32], cases[i].access, sizeof cases[i].access);
        pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
        pair_map(&pair, MAPPED, DATA + 0x3000);
        pair_map(&pair, MAPPED + 0x1000, DATA + 0x1000);
        pair_write(&pair, DATA + 0x3000 + 0xfe0, &low, sizeof low);
        pair_write(&pair, DATA + 0x1000, &high, sizeof high);
        pair_write(&pair, CODE, code, sizeof code);
        pair_check_from(&pair, CODE, 100);
        pair_clear(&pair);
    }
}

/* Loops that are unrolled, over pages that are no neighbours in RAM. */
static void test_loops_of_tier_2(void)
{
    static const uint8_t codes[][40] = {
        {
            0xbe, 0x00, 0x00, 0x20, 0x00,       /* mov esi, DATA */
            0xbf, 0x00, 0x80, 0x20, 0x00,       /* mov edi, DATA + 8000h */
            0x31, 0xc9,                         /* xor ecx, ecx */
            0x48, 0x8b, 0x04, 0xce,             /* 1: mov rax, [rsi+rcx*8] */
            0x48, 0x31, 0x04, 0xcf,             /* xor [rdi+rcx*8], rax */
            0x48, 0xff, 0xc1,                   /* inc rcx */
            0x81, 0xf9, 0xfd, 0x0f, 0x00, 0x00, /* cmp ecx, 4093 */
            0x75, 0xed,                         /* jne 1b */
            0xf4,                               /* hlt */
        },
        {
            0xbe, 0x03, 0x00, 0x20, 0x00, /* mov esi, DATA + 3 */
            0xb9, 0x5b, 0x15, 0x00, 0x00, /* mov ecx, 5467 */
            0x48, 0x03, 0x06,             /* 1: add rax, [rsi] */
            0x83, 0xe9, 0x01,             /* sub ecx, 1 */
            0x74, 0x09,                   /* je out */
            0x48, 0x29, 0x46, 0x06,       /* sub [rsi+6], rax */
            0x83, 0xc6, 0x0b,             /* add esi, 11 */
            0xeb, 0xef,                   /* jmp 1b */
            0xf4,                         /* out: hlt */
        },
    };
    JitOptions options = JIT_OPTIONS_DEFAULT;
    uint8_t data[DATA_SIZE];

    options.tier_2 = true;
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 ^ i >> 8);
    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
        Pair pair;
        pair_init(&pair, LONG_MODE, &options);
        pair_write(&pair, DATA, data, sizeof data);
        pair_write(&pair, CODE, codes[i], sizeof codes[i]);
        pair_check_from(&pair, CODE, 40000);
        g_assert_cmpuint(jit_statistics(pair.jit.jit).translated_again, >, 0);
        pair_clear(&pair);
    }
}

/* CODE, of LENGTH bytes, raises VECTOR on both. */
static void check_model_raises(const char *model, TestMode mode, const uint8_t *code, size_t length,
                               int vector)
{
    Pair pair;

    pair_init_of_model(&pair, model, mode, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, CODE, code, length);
    pair.interp.cpu->rip = pair.jit.cpu->rip = CODE;
    Outcome interp = run(&pair.interp, 10), jit = run(&pair.jit, 10);
    g_assert_true(interp.raised);
    g_assert_cmpint(interp.vector, ==, vector);
    g_autofree char *text = difference(&pair, &interp, &jit, 0);
    g_assert_cmpstr(text, ==, NULL);
    pair_clear(&pair);
}

static void check_raises(TestMode mode, const uint8_t *code, size_t length, int vector)
{
    check_model_raises(NULL, mode, code, length, vector);
}

/* What a -cpu model does not show cannot be set, though the host has it. */
static void test_mxcsr_of_model(void)
{
    static const uint8_t code[] = {
        0xbf, 0x00, 0x00, 0x20, 0x00,       /* mov edi, DATA */
        0xc7, 0x07, 0x80, 0x1f, 0x02, 0x00, /* mov dword [rdi], MXCSR.MM | 1f80h */
        0x0f, 0xae, 0x17,                   /* ldmxcsr [rdi] */
        0xf4,                               /* hlt */
    };

    check_model_raises("x86-64-v2", LONG_MODE, code, sizeof code, EXC_GP);
}

/* What the stack's empty SitePage lets through to the processor finds BX as it was. */
static void test_high_byte_where_nothing_can_be(void)
{
    static const uint8_t code[] = {
        0xbb, 0x34, 0x12, 0x00, 0x00,                   /* mov ebx, 1234h */
        0x48, 0xbc, 0,    0,    0,    0, 0, 0, 0, 0x80, /* mov rsp, 8000000000000000h */
        0x3a, 0x3c, 0x24,                               /* cmp bh, [rsp] */
        0xf4,                                           /* hlt */
    };

    check_raises(LONG_MODE, code, sizeof code, EXC_SS);
}

/* Over the end of 4 GiB the segment ends: no page is looked for there. */
static void test_operand_over_4_gib(void)
{
    static const uint8_t codes[][7] = {
        {0xbc, 0xfd, 0xff, 0xff, 0xff, 0x58, 0xf4}, /* mov esp, -3; pop eax */
        {0xbf, 0xfd, 0xff, 0xff, 0xff, 0x8b, 0x07}, /* mov edi, -3; mov eax, [edi] */
        {0xbf, 0xfd, 0xff, 0xff, 0xff, 0x89, 0x07}, /* mov edi, -3; mov [edi], eax */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++)
        check_raises(FLAT_32, codes[i], sizeof codes[i], i ? EXC_GP : EXC_SS);
}

/* In 16-bit code, too, they are copied as they are: with 66h MFENCE would be TPAUSE. */
static void test_fences(void)
{
    static const uint8_t code[] = {
        0x0f, 0xae, 0xe8, /* lfence */
        0xf9,             /* stc */
        0x0f, 0xae, 0xf0, /* mfence */
        0x0f, 0xae, 0xf8, /* sfence */
        0xf4,             /* hlt */
    };

    for (TestMode mode = 0; mode < N_MODES; mode++) {
        Pair pair;
        pair_init(&pair, mode, &JIT_OPTIONS_DEFAULT);
        pair_write(&pair, pair.code + 0x100, code, sizeof code);
        pair_check_from(&pair, mode == REAL_16 ? 0x100 : pair.code + 0x100, 100);
        g_assert_cmpuint(jit_statistics(pair.jit.jit).traps, ==, 0);
        pair_clear(&pair);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/jit/calls", test_calls);
    g_test_add_func("/cpu/jit/loops", test_loops);
    g_test_add_func("/cpu/jit/self-modifying", test_self_modifying);
    g_test_add_func("/cpu/jit/next-page-changes", test_next_page_changes);
    g_test_add_func("/cpu/jit/pages-change-in-turn", test_pages_change_in_turn);
    g_test_add_func("/cpu/jit/page-at-two-addresses", test_page_at_two_addresses);
    g_test_add_func("/cpu/jit/across-pages", test_across_pages);
    g_test_add_func("/cpu/jit/across-mapped-pages", test_across_mapped_pages);
    g_test_add_func("/cpu/jit/across-self-modifying", test_across_self_modifying);
    g_test_add_func("/cpu/jit/flushes-of-data", test_flushes_of_data);
    g_test_add_func("/cpu/jit/homeless-registers", test_homeless_registers);
    g_test_add_func("/cpu/jit/operands-over-pages", test_operands_over_pages);
    g_test_add_func("/cpu/jit/moves-over-pages", test_moves_over_pages);
    g_test_add_func("/cpu/jit/groups-over-pages", test_groups_over_pages);
    g_test_add_func("/cpu/jit/entered-in-the-middle", test_entered_in_the_middle);
    g_test_add_func("/cpu/jit/accesses-with-flags", test_accesses_with_flags);
    g_test_add_func("/cpu/jit/flags-over-accesses", test_flags_over_accesses);
    g_test_add_func("/cpu/jit/rows-of-pushes", test_rows_of_pushes);
    g_test_add_func("/cpu/jit/two-pages-of-the-stack", test_two_pages_of_the_stack);
    g_test_add_func("/cpu/jit/loops-of-tier-2", test_loops_of_tier_2);
    g_test_add_func("/cpu/jit/high-byte-where-nothing-can-be", test_high_byte_where_nothing_can_be);
    g_test_add_func("/cpu/jit/mxcsr-of-model", test_mxcsr_of_model);
    g_test_add_func("/cpu/jit/operand-over-4-gib", test_operand_over_4_gib);
    g_test_add_func("/cpu/jit/fences", test_fences);
    return g_test_run();
}
