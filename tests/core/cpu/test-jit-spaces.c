/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Translated code against the interpreter: two address spaces with PCIDs, kept over changes of CR3,
 * that show other code and other data at the same addresses.
 */

#include "core/cpu/mmu.h"
#include "tests/core/cpu/jit-pair.h"

#define PROGRAM    (CODE + 0x100)
#define DESCRIPTOR DATA /* of INVPCID: PCID 1 */
#define ROOT_A     0x800000u
#define ROOT_B     0x900000u
#define CODE_PAGES 0x600000u /* three pages of code, then of data */
#define KEEP       (1ull << 63)

enum { P = 1, W = 2, PS = 0x80, PAGE = GUEST_PAGE_SIZE };

/* RBX: where both spaces show a function with a page of data behind it. R14 is the address of the
 * PTE that leads to A's function, R15 what makes it lead to another. */
static const uint8_t program[] = {
    /* again: */
    0x41, 0x0f, 0x22, 0xdc,                   /* mov cr3,r12 */
    0xff, 0xd3,                               /* call rbx */
    0x4f, 0x8d, 0x04, 0x40,                   /* lea r8,[r8+r8*2] */
    0x49, 0x01, 0xc0,                         /* add r8,rax */
    0x4c, 0x03, 0x83, 0x00, 0x10, 0x00, 0x00, /* add r8,[rbx+0x1000] */
    0xff, 0x83, 0x00, 0x10, 0x00, 0x00,       /* inc dword [rbx+0x1000] */
    0x41, 0x0f, 0x22, 0xdd,                   /* mov cr3,r13 */
    0xff, 0xd3,                               /* call rbx */
    0x4f, 0x8d, 0x04, 0x40,                   /* lea r8,[r8+r8*2] */
    0x49, 0x01, 0xc0,                         /* add r8,rax */
    0x4c, 0x03, 0x83, 0x00, 0x10, 0x00, 0x00, /* add r8,[rbx+0x1000] */
    0x83, 0x83, 0x00, 0x10, 0x00, 0x00, 0x03, /* add dword [rbx+0x1000],0x3 */
    0xf6, 0xc1, 0x07,                         /* test cl,0x7 */
    0x75, 0x1b,                               /* jne next */
    0x4d, 0x31, 0x3e,                         /* xor [r14],r15 */
    0xf6, 0xc1, 0x08,                         /* test cl,0x8 */
    0x75, 0x09,                               /* jne other */
    0x41, 0x0f, 0x22, 0xdc,                   /* mov cr3,r12 */
    0x0f, 0x01, 0x3b,                         /* invlpg [rbx] */
    0xeb, 0x0a,                               /* jmp next */
    /* other: of the PCID that is not the current one */
    0xb8, 0x01, 0x00, 0x00, 0x00, /* mov eax,0x1 */
    0x66, 0x0f, 0x38, 0x82, 0x06, /* invpcid rax,[rsi] */
    /* next: */
    0xff, 0xc9, /* dec ecx */
    0x75, 0xa7, /* jne again */
    0xf4,       /* hlt */
};

static void write_number(Pair *pair, uint32_t address, uint64_t value)
{
    pair_write(pair, address, &value, sizeof value);
}

/* The lower 16 MiB are as in RAM, but for two pages from MAPPED on. */
static void make_tables(Pair *pair, uint32_t root, uint32_t code, uint32_t data)
{
    write_number(pair, root, (root + PAGE) | P | W);
    write_number(pair, root + PAGE, (root + 2 * PAGE) | P | W);
    for (unsigned i = 0; i < 8; i++)
        write_number(pair, root + 2 * PAGE + i * 8, (uint64_t)i << 21 | P | W | PS);
    write_number(pair, root + 2 * PAGE + (MAPPED >> 21) * 8, (root + 3 * PAGE) | P | W);
    write_number(pair, root + 3 * PAGE, code | P | W);
    write_number(pair, root + 3 * PAGE + 8, data | P | W);
}

static void set_up(Cpu *cpu)
{
    cpu->cr3 = ROOT_A | 1;
    cpu->cr4 |= CR4_PCIDE;
    cpu->rip = PROGRAM;
    cpu->gpr[RSP] = STACK;
    cpu->gpr[RBX] = MAPPED;
    cpu->gpr[RCX] = 300;
    cpu->gpr[RSI] = DESCRIPTOR;
    cpu->gpr[R12] = ROOT_A | 1 | KEEP;
    cpu->gpr[R13] = ROOT_B | 2 | KEEP;
    cpu->gpr[R14] = ROOT_A + 3 * PAGE;
    cpu->gpr[R15] = CODE_PAGES ^ (CODE_PAGES + 2 * PAGE);
    mmu_flush_all(cpu);
    cpu_update_mode(cpu);
}

static void check(const JitOptions *options)
{
    Pair pair;

    pair_init(&pair, LONG_MODE, options);
    make_tables(&pair, ROOT_A, CODE_PAGES, CODE_PAGES + 3 * PAGE);
    make_tables(&pair, ROOT_B, CODE_PAGES + PAGE, CODE_PAGES + 4 * PAGE);
    for (uint8_t i = 0; i < 3; i++) {
        const uint8_t code[] = {0xb8, i, 1, 0, 0, 0xc3}; /* mov eax,0x100+i; ret */
        pair_write(&pair, CODE_PAGES + i * PAGE, code, sizeof code);
    }
    pair_write(&pair, PROGRAM, program, sizeof program);
    write_number(&pair, DESCRIPTOR, 1);
    set_up(pair.interp.cpu);
    set_up(pair.jit.cpu);
    Outcome a = run(&pair.interp, 100000), b = run(&pair.jit, 0);
    g_autofree char *text = difference(&pair, &a, &b, UINT64_MAX);
    if (text)
        g_error("%s", text);
    g_assert_false(a.lost || a.raised);
    g_assert_cmpuint(pair.interp.cpu->second_tlb.n_hits, >, 300);
    g_assert_cmpuint(pair.jit.cpu->second_tlb.n_hits, >, 0);
    pair_clear(&pair);
}

static void test_plain(void)
{
    check(&JIT_OPTIONS_DEFAULT);
}

static void test_under_stress(void)
{
    const JitOptions options[] = {
        {.max_insns = 32, .cache_bytes = 8u << 20},
        {.max_insns = 1, .cache_bytes = 8u << 20},
        {.max_insns = 32, .cache_bytes = 8u << 20, .tiny_tlb = true},
        {.max_insns = 32, .cache_bytes = 8u << 20, .random_flushes = true},
        {.max_insns = 32, .cache_bytes = 8u << 20, .tier_2 = true},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++)
        check(&options[i]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/jit-spaces/plain", test_plain);
    g_test_add_func("/cpu/jit-spaces/under-stress", test_under_stress);
    return g_test_run();
}
