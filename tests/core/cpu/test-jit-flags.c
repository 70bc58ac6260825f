/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Flags that a program overwrites unread, where a fault in between shows them: each kind of
 * operation, with its operands still there, changed behind it, and in another block.
 */

#include "tests/core/cpu/jit-pair.h"

#include <string.h>

enum { MAX_OPERATION = 8, UNMAPPED = 0x7f000000 };
#define UNDEFINED_BY_PRODUCT (RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF)
#define UNDEFINED_BY_SHIFT   (RFLAGS_AF | RFLAGS_OF)

typedef struct {
    const char *text;
    uint8_t length, bytes[MAX_OPERATION];
    uint32_t undefined;
} Operation;

static const Operation operations[] = {
    {"add rax, rbx", 3, {0x48, 0x01, 0xd8}, 0},
    {"add rbx, rbx", 3, {0x48, 0x01, 0xdb}, 0},
    {"add al, bl", 2, {0x00, 0xd8}, 0},
    {"add ah, bl", 2, {0x00, 0xdc}, 0},
    {"add ax, 7fffh", 4, {0x66, 0x05, 0xff, 0x7f}, 0},
    {"add rax, 12345678h", 6, {0x48, 0x05, 0x78, 0x56, 0x34, 0x12}, 0},
    {"add r15, r10", 3, {0x4d, 0x01, 0xd7}, 0},
    {"add rax, [rsi]", 3, {0x48, 0x03, 0x06}, 0},
    {"add [rsi], rax", 3, {0x48, 0x01, 0x06}, 0},
    {"lock add [rsi], eax", 3, {0xf0, 0x01, 0x06}, 0},
    {"sub rax, rbx", 3, {0x48, 0x29, 0xd8}, 0},
    {"sub eax, 80000000h", 5, {0x2d, 0x00, 0x00, 0x00, 0x80}, 0},
    {"sub eax, [rsi]", 2, {0x2b, 0x06}, 0},
    {"adc rax, rbx", 3, {0x48, 0x11, 0xd8}, 0},
    {"adc rbx, rbx", 3, {0x48, 0x11, 0xdb}, 0},
    {"adc eax, -1", 3, {0x83, 0xd0, 0xff}, 0},
    {"adc rax, [rsi]", 3, {0x48, 0x13, 0x06}, 0},
    {"sbb rax, rbx", 3, {0x48, 0x19, 0xd8}, 0},
    {"sbb eax, eax", 2, {0x19, 0xc0}, 0},
    {"sbb ax, -1", 4, {0x66, 0x83, 0xd8, 0xff}, 0},
    {"cmp rax, rbx", 3, {0x48, 0x39, 0xd8}, 0},
    {"cmp bl, 80h", 3, {0x80, 0xfb, 0x80}, 0},
    {"cmp rax, [rsi]", 3, {0x48, 0x3b, 0x06}, 0},
    {"cmp [rsi], rax", 3, {0x48, 0x39, 0x06}, 0},
    {"cmp [rsi], r10", 3, {0x4c, 0x39, 0x16}, 0},
    {"cmp word [rsi], 1234h", 5, {0x66, 0x81, 0x3e, 0x34, 0x12}, 0},
    {"test rax, rbx", 3, {0x48, 0x85, 0xd8}, 0},
    {"test byte [rsi], 80h", 3, {0xf6, 0x06, 0x80}, 0},
    {"and eax, ebx", 2, {0x21, 0xd8}, 0},
    {"or r10, r15", 3, {0x4d, 0x09, 0xfa}, 0},
    {"xor al, [rsi]", 2, {0x32, 0x06}, 0},
    {"neg rax", 3, {0x48, 0xf7, 0xd8}, 0},
    {"inc ebx", 2, {0xff, 0xc3}, 0},
    {"dec rax", 3, {0x48, 0xff, 0xc8}, 0},
    {"inc dword [rsi]", 2, {0xff, 0x06}, 0},
    {"mul rbx", 3, {0x48, 0xf7, 0xe3}, UNDEFINED_BY_PRODUCT},
    {"mul bl", 2, {0xf6, 0xe3}, UNDEFINED_BY_PRODUCT},
    {"imul rbx", 3, {0x48, 0xf7, 0xeb}, UNDEFINED_BY_PRODUCT},
    {"imul eax, ebx", 3, {0x0f, 0xaf, 0xc3}, UNDEFINED_BY_PRODUCT},
    {"imul rbx, rbx, 300", 7, {0x48, 0x69, 0xdb, 0x2c, 0x01, 0, 0}, UNDEFINED_BY_PRODUCT},
    {"imul rax, [rsi]", 4, {0x48, 0x0f, 0xaf, 0x06}, UNDEFINED_BY_PRODUCT},
    {"shl rax, 1", 3, {0x48, 0xd1, 0xe0}, RFLAGS_AF},
    {"shl eax, 7", 3, {0xc1, 0xe0, 0x07}, UNDEFINED_BY_SHIFT},
    {"shr rbx, 32", 4, {0x48, 0xc1, 0xeb, 0x20}, UNDEFINED_BY_SHIFT},
    {"sar ax, 3", 4, {0x66, 0xc1, 0xf8, 0x03}, UNDEFINED_BY_SHIFT},
    {"shl rax, cl", 3, {0x48, 0xd3, 0xe0}, UNDEFINED_BY_SHIFT},
    {"shr ebx, cl", 2, {0xd3, 0xeb}, UNDEFINED_BY_SHIFT},
    {"sar r10, cl", 3, {0x49, 0xd3, 0xfa}, UNDEFINED_BY_SHIFT},
    {"shl byte [rsi], cl", 2, {0xd2, 0x26}, UNDEFINED_BY_SHIFT},
    {"rol rax, 5", 4, {0x48, 0xc1, 0xc0, 0x05}, RFLAGS_OF},
    {"bt eax, ebx", 3, {0x0f, 0xa3, 0xd8}, RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF},
};

/* What comes between the operation and the fault. */
static const struct {
    const char *text;
    uint8_t length, bytes[40];
} between[] = {
    {"nothing", 0, {0}},
    {"a load", 3, {0x48, 0x8b, 0x17}}, /* mov rdx, [rdi] */
    {"a jump", 2 + 4, {0xeb, 0x04, 0xf4, 0xf4, 0xf4, 0xf4}},
    {"a branch", 2, {0x72, 0x00}}, /* jc, to where it goes on, too */
    {"other operands",
     3 * 5,
     {0x48, 0x8d, 0x04, 0x0f, 0x90, /* lea rax, [rdi + rcx]; nop */
      0x48, 0x8d, 0x1c, 0x0f, 0x90, /* lea rbx, [rdi + rcx]; nop */
      0x4d, 0x8d, 0x14, 0x0f, 0x90}},
    {"other operands in other blocks",
     3 + 7 + 2 + 4,
     {0x48, 0x8b, 0x17, 0x48, 0x89, 0xf8, 0xeb, 0x02, 0xf4, 0xf4, /* mov rdx, [rdi]; mov rax, rdi */
      0x48, 0x89, 0xfb, 0x49, 0x89, 0xfa}},                       /* mov rbx, rdi; mov r10, rdi */
    {"a call of another page",
     3 + 5 + 4,
     {0x48, 0x89, 0xf8, 0xe8, 0, 0, 0, 0, 0x90, 0x90, 0x90, 0x90}},
};

enum { CALLED = CODE + 0x1800, N_BEHIND = 11 };
/* mov rdx, [UNMAPPED]; cmp rdx, rdx */
static const uint8_t behind[N_BEHIND] = {0x48, 0x8b, 0x14, 0x25, 0x00, 0x00,
                                         0x00, 0x7f, 0x48, 0x39, 0xd2};

static const uint64_t values[][3] = {
    /* rax and r15, rbx and r10, rcx */
    {0, 0, 0},
    {1, UINT64_MAX, 1},
    {0x7fffffff7fff7f7f, 0x8000000080008080, 0x40},
    {0x0123456789abcdef, 0x00000000ffffffff, 0x21},
    {0x8000000000000000, 0x8000000000000000, 5},
};

/* PROGRAM sets the flags, does OPERATION and what is BETWEEN, and faults. */
static size_t put(uint8_t *program, const Operation *operation, unsigned k)
{
    size_t n = 0;

    program[n++] = 0x48; /* cmp rcx, rbx: what the operation may leave as it was */
    program[n++] = 0x39;
    program[n++] = 0xd9;
    memcpy(program + n, operation->bytes, operation->length);
    n += operation->length;
    memcpy(program + n, between[k].bytes, between[k].length);
    for (unsigned i = 0; i < between[k].length; i++)
        if (program[n + i] == 0xe8) {
            int32_t distance = (int32_t)(CALLED - (CODE + n + i + 5));
            memcpy(program + n + i + 1, &distance, 4);
        }
    n += between[k].length;
    memcpy(program + n, behind, N_BEHIND);
    return n + N_BEHIND;
}

static void check(Pair *pair, const Operation *operation, unsigned k, const uint64_t *value)
{
    uint8_t program[80];

    pair_write(pair, CODE, program, put(program, operation, k));
    pair_write(pair, CALLED, behind, N_BEHIND);
    for (unsigned i = 0; i < 2; i++) {
        Machine *machine = i ? &pair->jit : &pair->interp;
        Cpu *cpu = machine->cpu;
        memset(machine->ram->host + DATA, 0x81, 64);
        cpu->rip = CODE;
        cpu->rflags = RFLAGS_1;
        cpu->gpr[RSP] = STACK;
        cpu->gpr[RSI] = DATA;
        cpu->gpr[RDI] = DATA + 0x1000;
        cpu->gpr[RAX] = cpu->gpr[R15] = value[0];
        cpu->gpr[RBX] = cpu->gpr[R10] = value[1];
        cpu->gpr[RCX] = value[2];
        cpu->gpr[RDX] = 0;
    }
    Outcome a = run(&pair->interp, 100000), b = run(&pair->jit, 0);
    uint64_t undefined = operation->undefined;
    if (g_str_has_suffix(operation->text, ", cl") && !value[2])
        undefined = 0; /* it leaves them all */
    g_autofree char *text = difference(pair, &a, &b, ~undefined);
    if (text)
        g_error("%s, %s:\n%s", operation->text, between[k].text, text);
    g_assert_true(b.raised);
    g_assert_cmpint(b.vector, ==, EXC_PF);
}

static void check_all(const JitOptions *options)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(operations); i++)
        for (unsigned k = 0; k < G_N_ELEMENTS(between); k++) {
            Pair pair;
            pair_init(&pair, LONG_MODE, options);
            for (unsigned v = 0; v < 2 * G_N_ELEMENTS(values); v++) /* the second time linked */
                check(&pair, &operations[i], k, values[v % G_N_ELEMENTS(values)]);
            pair_clear(&pair);
        }
}

/* Runs PROGRAM from AT on, whose RSI goes up by RCX each time round, until that leaves the last
 * page that is mapped. */
static void check_loop(const JitOptions *options, uint32_t at, const uint8_t *program,
                       size_t length)
{
    enum { END = 0x600000, ROUNDS = 20 };
    Pair pair;

    pair_init(&pair, LONG_MODE, options);
    pair_write(&pair, at, program, length);
    for (unsigned i = 0; i < 2; i++) {
        Cpu *cpu = i ? pair.jit.cpu : pair.interp.cpu;
        cpu->rip = at;
        cpu->gpr[RSP] = END - ROUNDS * 8;
        cpu->gpr[RBP] = DATA;
        cpu->gpr[R8] = DATA + 0x1000;
        cpu->gpr[RCX] = 8;
        cpu->gpr[RSI] = END - ROUNDS * 8;
    }
    Outcome a = run(&pair.interp, 100000), b = run(&pair.jit, 0);
    g_autofree char *text = difference(&pair, &a, &b, UINT64_MAX);
    g_assert_cmpstr(text, ==, NULL);
    g_assert_cmpint(b.vector, ==, EXC_PF);
    g_assert_cmphex(pair.jit.cpu->gpr[RSI], ==, END);
    pair_clear(&pair);
}

/* The branch on the next page hands on what it was entered with. */
static void test_passed_on(void)
{
    static const uint8_t code[] = {
        0x49, 0x89, 0xda,                   /* a: mov r10, rbx */
        0x48, 0x8b, 0x16,                   /*    mov rdx, [rsi] */
        0x48, 0x8d, 0x34, 0x0e,             /*    lea rsi, [rsi + rcx] */
        0x49, 0x83, 0xea, 0x01,             /*    sub r10, 1 */
        0x0f, 0x85, 0xec, 0xff, 0xff, 0xff, /*    jnz a */
    };
    enum { IN_PAGE = 14 };

    check_loop(&JIT_OPTIONS_DEFAULT, CODE + 0x1000 - IN_PAGE, code, sizeof code);
}

/* POP's check is TEST's, too: where that would be on the page that is not there, both are done
 * again without it. */
static void test_passed_on_ungrouped(void)
{
    static const uint8_t code[] = {
        0x41, 0x5a,                   /* a: pop r10 */
        0x48, 0x85, 0x5c, 0x24, 0x08, /*    test [rsp + 8], rbx */
        0x48, 0x89, 0xe6,             /*    mov rsi, rsp: the next page */
        0x48, 0x83, 0xc6, 0x10,       /*    add rsi, 16 */
        0x49, 0x83, 0xea, 0x01,       /*    sub r10, 1 */
        0xe9, 0xe9, 0xff, 0xff, 0xff, /*    jmp a */
    };
    enum { IN_PAGE = 7 };

    check_loop(&JIT_OPTIONS_DEFAULT, CODE + 0x1000 - IN_PAGE, code, sizeof code);
}

/* The checks of [RBP] and [R8] are made before BTS and ADD, where the flags are free if nobody
 * looks. That before ADD may show those that ROR leaves, which come from CMP. */
static void test_early_checks(void)
{
    static const uint8_t code[] = {
        0x48, 0x39, 0xdb,             /* a: cmp rbx, rbx */
        0x48, 0x0f, 0xab, 0x1e,       /*    bts [rsi], rbx */
        0x1d, 0x78, 0x56, 0x34, 0x12, /*    sbb eax, 12345678h */
        0x0f, 0x90, 0x45, 0x00,       /*    seto [rbp] */
        0xc1, 0xca, 0x05,             /*    ror edx, 5 */
        0x01, 0xca,                   /*    add edx, ecx */
        0x41, 0x0f, 0x92, 0x00,       /*    setc [r8] */
        0x41, 0x0f, 0x90, 0x40, 0x01, /*    seto [r8 + 1] */
        0x0f, 0x92, 0x45, 0x01,       /*    setc [rbp + 1] */
        0x48, 0x8d, 0x34, 0x0e,       /*    lea rsi, [rsi + rcx] */
        0xeb, 0xd8,                   /*    jmp a */
    };

    check_loop(&JIT_OPTIONS_DEFAULT, CODE, code, sizeof code);
}

/* LDMXCSR is refused for what it loads, where its address has been checked with the store's.
 * Looking whether the vectors are there takes EFLAGS. */
static void test_value(void)
{
    static const uint8_t code[] = {
        0x48, 0xc7, 0x44, 0x24, 0x08, 0xff, 0xff, 0xff, 0xff, /* mov qword [rsp + 8], -1 */
        0x48, 0x39, 0xdb,                                     /* cmp rbx, rbx */
        0x0f, 0xae, 0x54, 0x24, 0x08,                         /* ldmxcsr [rsp + 8] */
        0x01, 0xc0,                                           /* add eax, eax */
        0xf4,
    };
    enum { LDMXCSR_AT = 12 };

    pair_check_fault(code, sizeof code, EXC_GP, LDMXCSR_AT);
}

static void test_default(void)
{
    check_all(&JIT_OPTIONS_DEFAULT);
}

static void test_tier_2(void)
{
    JitOptions options = JIT_OPTIONS_DEFAULT;

    options.tier_2 = true;
    check_all(&options);
}

static void test_without_groups(void)
{
    JitOptions options = JIT_OPTIONS_DEFAULT;

    options.no_groups = true;
    check_all(&options);
}

static void test_unlinked(void)
{
    check_all(&unlinked);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/jit/flags/default", test_default);
    g_test_add_func("/cpu/jit/flags/tier-2", test_tier_2);
    g_test_add_func("/cpu/jit/flags/without-groups", test_without_groups);
    g_test_add_func("/cpu/jit/flags/unlinked", test_unlinked);
    g_test_add_func("/cpu/jit/flags/passed-on", test_passed_on);
    g_test_add_func("/cpu/jit/flags/passed-on-ungrouped", test_passed_on_ungrouped);
    g_test_add_func("/cpu/jit/flags/early-checks", test_early_checks);
    g_test_add_func("/cpu/jit/flags/value", test_value);
    return g_test_run();
}
