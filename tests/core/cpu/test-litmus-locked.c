/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Whether locked operations and aligned accesses of several vCPUs are atomic (SDM 8.1.1, 8.1.2). */

#include "tests/core/cpu/litmus-test.h"

#include <string.h>

/* --- counters --------------------------------------------------------------------------------- */

#define COUNTER(NAME, ADD)                                                                         \
    LITMUS_PROGRAM(NAME, "1: inc rcx\n" ADD "\ncmp rcx, rsi\n"                                     \
                         "jb 1b\n"                                                                 \
                         "hlt")
COUNTER(add_xadd, "mov eax, 1\nlock xadd [r12], rax");
COUNTER(add_inc, "lock inc qword ptr [r12]");
COUNTER(add_add, "lock add qword ptr [r12], 1");
COUNTER(add_dword_at_4, "lock inc dword ptr [r12+4]");
COUNTER(add_cmpxchg, "mov rax, [r12]\n"
                     "2: lea rdx, [rax+1]\n"
                     "lock cmpxchg [r12], rdx\n"
                     "jne 2b");
COUNTER(add_cmpxchg8b, "mov r8, rcx\n"
                       "mov r9, rbx\n"
                       "mov eax, [r12]\n"
                       "mov edx, [r12+4]\n"
                       "2: mov ebx, eax\n"
                       "mov ecx, edx\n"
                       "add ebx, 1\n"
                       "adc ecx, 0\n"
                       "lock cmpxchg8b [r12]\n"
                       "jne 2b\n"
                       "mov rcx, r8\n"
                       "mov rbx, r9");
COUNTER(add_cmpxchg16b, "mov r8, rcx\n"
                        "mov r9, rbx\n"
                        "mov rax, [r12]\n"
                        "mov rdx, [r12+8]\n"
                        "2: mov rbx, rax\n"
                        "mov rcx, rdx\n"
                        "add rbx, 1\n"
                        "adc rcx, 0\n"
                        "lock cmpxchg16b [r12]\n"
                        "jne 2b\n"
                        "mov rcx, r8\n"
                        "mov rbx, r9");
/* A plain counter under XCHG's lock at r13. */
COUNTER(add_under_lock, "2: mov eax, 1\n"
                        "xchg [r13], eax\n"
                        "test eax, eax\n"
                        "je 4f\n"
                        "3: pause\n"
                        "cmp dword ptr [r13], 0\n"
                        "jne 3b\n"
                        "jmp 2b\n"
                        "4: mov rax, [r12]\n"
                        "inc rax\n"
                        "mov [r12], rax\n"
                        "mov dword ptr [r13], 0");

/* TASKS count in the 16 bytes at WHERE of RAM, which begin as START. */
static void expect_sum(Test *test, const char *name, const LitmusTask *tasks, unsigned n_tasks,
                       uint64_t where, unsigned __int128 start, unsigned __int128 sum)
{
    uint64_t rounds = test->rounds / 20;
    unsigned __int128 now;

    memcpy(litmus_ram(&test->litmus, where), &start, sizeof start);
    litmus_run(&test->litmus, tasks, n_tasks, rounds);
    memcpy(&now, litmus_ram(&test->litmus, where), sizeof now);
    if (now - start != sum * rounds)
        g_error("%s: %" G_GUINT64_FORMAT " rounds of %u vCPUs: the sum lacks %" G_GINT64_FORMAT,
                name, rounds, n_tasks, (int64_t)(sum * rounds - (now - start)));
}

static void test_counters(Test *test)
{
    static const struct {
        const char *name;
        const uint8_t *code, *end;
    } counters[] = {
#define ROW(NAME) {#NAME, NAME, NAME##_end}
        ROW(add_xadd),    ROW(add_inc),       ROW(add_add),
        ROW(add_cmpxchg), ROW(add_cmpxchg8b), ROW(add_cmpxchg16b),
#undef ROW
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(counters); i++) {
        LitmusTask tasks[4];
        for (unsigned k = 0; k < 4; k++)
            tasks[k] = (LitmusTask){counters[i].code, counters[i].end, {AT(X)}};
        /* From where carries go into the upper half. */
        bool wide = counters[i].code == add_cmpxchg16b;
        expect_sum(test, counters[i].name, tasks, 4, AT(X), wide ? UINT64_MAX - 99 : UINT32_MAX, 4);
    }
}

/* Different instructions count in one place, one of them only in its upper half. */
static void expect_mixed_sum(Test *test, const char *name, uint64_t linear, uint64_t ram)
{
    const LitmusTask tasks[] = {LITMUS_TASK(add_xadd, linear), LITMUS_TASK(add_cmpxchg, linear),
                                LITMUS_TASK(add_dword_at_4, linear),
                                LITMUS_TASK(add_cmpxchg8b, linear)};

    expect_sum(test, name, tasks, 4, ram, 0, 3 + (1ull << 32));
}

static void test_split_locks(Test *test)
{
    expect_mixed_sum(test, "aligned", AT(X), AT(X));
    expect_mixed_sum(test, "over the end of a cache line", AT(0x3c), AT(0x3c));
    expect_mixed_sum(test, "over the end of a page", AT(0xffc), AT(0xffc));
    expect_mixed_sum(test, "over the end of a small page", LITMUS_PAGED + 0x1ffc,
                     LITMUS_PAGED_TO + 0x1ffc);
}

/* Four bytes before the stray page: the rest of what is there lies elsewhere. */
#define STRAY_AT (LITMUS_PAGED + LITMUS_STRAY * GUEST_PAGE_SIZE - 4)

static uint8_t *before_stray(Test *test)
{
    return test->litmus.ram->host + LITMUS_PAGED_TO + LITMUS_STRAY * GUEST_PAGE_SIZE - 4;
}

static uint8_t *stray(Test *test)
{
    return test->litmus.ram->host + LITMUS_STRAY_TO;
}

/* Counters in 8 bytes, four in each page: all vCPUs' locked instructions, which no instruction of
 * the host's can do, come out whole. */
static void test_locks_over_strays(Test *test)
{
    const LitmusTask tasks[] = {LITMUS_TASK(add_xadd, STRAY_AT), LITMUS_TASK(add_cmpxchg, STRAY_AT),
                                LITMUS_TASK(add_inc, STRAY_AT),
                                LITMUS_TASK(add_cmpxchg8b, STRAY_AT)};
    uint64_t rounds = test->rounds / 100, expected = 4 * rounds + (1ull << 32) - 50;
    uint32_t low = UINT32_MAX - 49, high = 0; /* carries go into the other page */

    memcpy(before_stray(test), &low, 4);
    memset(stray(test), 0, 4);
    gint64 begin = g_get_monotonic_time();
    litmus_run(&test->litmus, tasks, 4, rounds);
    gint64 taken = g_get_monotonic_time() - begin;
    memcpy(&low, before_stray(test), 4);
    memcpy(&high, stray(test), 4);
    g_test_message("%.1f us a locked operation", (double)taken / (double)(4 * rounds));
    if (((uint64_t)high << 32 | low) != expected)
        g_error("over two pages apart: the sum is %x%08x, not %" G_GINT64_MODIFIER "x", high, low,
                expected);
}

static void test_spin_lock(Test *test)
{
    LitmusTask tasks[4];

    for (unsigned k = 0; k < 4; k++)
        tasks[k] = LITMUS_TASK(add_under_lock, AT(X), AT(Y));
    *litmus_ram(&test->litmus, AT(Y)) = 0;
    expect_sum(test, "plain counter under a lock", tasks, 4, AT(X), 0, 4);
}

/* --- locked bits ------------------------------------------------------------------------------ */

/* The bit r13 belongs to this vCPU alone, its neighbours to others. */
LITMUS_PROGRAM(own_bit, "add r13, rdi\n"
                        "1: inc rcx\n"
                        "lock bts [r12], r13\n"
                        "adc r15, 0\n"
                        "lock btr [r12], r13\n"
                        "cmc\n"
                        "adc r15, 0\n"
                        "lock btc [r12], r13\n"
                        "adc r15, 0\n"
                        "lock btc [r12], r13\n"
                        "cmc\n"
                        "adc r15, 0\n"
                        "cmp rcx, rsi\n"
                        "jb 1b\n"
                        "hlt");

static void test_bits(Test *test)
{
    static const uint64_t first_bits[] = {8, 30, 190}; /* in one byte; over two, and operands */

    for (unsigned i = 0; i < G_N_ELEMENTS(first_bits); i++) {
        LitmusTask tasks[4];
        for (unsigned k = 0; k < 4; k++)
            tasks[k] = LITMUS_TASK(own_bit, AT(X), first_bits[i]);
        litmus_run_clear(test, tasks, 4, test->rounds / 40);
        if (litmus_errors(&test->litmus))
            g_error("from bit %u on: %u times a bit was not as its vCPU left it",
                    (unsigned)first_bits[i], (unsigned)litmus_errors(&test->litmus));
    }
}

/* --- atomic accesses -------------------------------------------------------------------------- */

LITMUS_PROGRAM(flip_8, "xor eax, eax\n"
                       "1: inc rcx\n"
                       "not rax\n"
                       "mov [r12], rax\n"
                       "cmp rcx, rsi\n"
                       "jb 1b\n"
                       "hlt");
LITMUS_PROGRAM(check_8, "1: inc rcx\n"
                        "mov rax, [r12]\n"
                        "inc rax\n"
                        "cmp rax, 2\n"
                        "cmc\n"
                        "adc r15, 0\n"
                        "cmp rcx, rsi\n"
                        "jb 1b\n"
                        "hlt");
LITMUS_PROGRAM(flip_16, "pxor xmm0, xmm0\n"
                        "pcmpeqd xmm1, xmm1\n"
                        "1: inc rcx\n"
                        "movdqa [r12], xmm0\n"
                        "movaps [r12], xmm1\n"
                        "cmp rcx, rsi\n"
                        "jb 1b\n"
                        "hlt");
LITMUS_PROGRAM(check_16, "1: inc rcx\n"
                         "movdqa xmm0, [r12]\n"
                         "movdqa xmm1, xmm0\n"
                         "psrldq xmm1, 8\n"
                         "movq rax, xmm0\n"
                         "movq rdx, xmm1\n"
                         "xor edx, eax\n"
                         "cmp edx, 1\n"
                         "cmc\n"
                         "adc r15, 0\n"
                         "cmp rcx, rsi\n"
                         "jb 1b\n"
                         "hlt");

static void expect_whole(Test *test, const char *name, const LitmusTask *tasks)
{
    litmus_run_clear(test, tasks, 4, test->rounds);
    if (litmus_errors(&test->litmus))
        g_error("%s: %u loads of %u saw halves of two stores", name,
                (unsigned)litmus_errors(&test->litmus), (unsigned)test->rounds * 2);
}

static void test_atomic_accesses(Test *test)
{
    static const struct {
        const char *name;
        uint64_t where;
    } places[] = {
        {"aligned 8 bytes", AT(X)},
        {"8 bytes within a cache line", AT(X + 5)},
        {"aligned 8 bytes in two mappings", AT(0x100000)},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        uint64_t other = places[i].where == LITMUS_PAGED_TO ? LITMUS_PAGED : places[i].where;
        const LitmusTask tasks[] = {
            LITMUS_TASK(flip_8, places[i].where), LITMUS_TASK(check_8, other),
            LITMUS_TASK(check_8, places[i].where), LITMUS_TASK(flip_8, other)};
        memset(test->litmus.ram->host + places[i].where, 0, 8);
        expect_whole(test, places[i].name, tasks);
    }
    /* SDM 8.1.1: processors with AVX, as ours says it is. */
    const LitmusTask tasks[] = {LITMUS_TASK(flip_16, AT(X)), LITMUS_TASK(check_16, AT(X)),
                                LITMUS_TASK(check_16, AT(X)), LITMUS_TASK(flip_16, AT(X))};
    if (__builtin_cpu_supports("avx"))
        expect_whole(test, "aligned 16 bytes", tasks);
}

LITMUS_PROGRAM(exchange_8, "xor eax, eax\n"
                           "1: inc rcx\n"
                           "mov rdx, rcx\n"
                           "and edx, 1\n"
                           "neg rdx\n"
                           "xchg [r12], rdx\n"
                           "cmp rcx, rsi\n"
                           "jb 1b\n"
                           "hlt");
/* Many loads a round, which take as long as a store that stops the others. */
LITMUS_PROGRAM(check_8_often, "1: inc rcx\n"
                              "mov edx, 300\n"
                              "2: mov rax, [r12]\n"
                              "inc rax\n"
                              "cmp rax, 2\n"
                              "cmc\n"
                              "adc r15, 0\n"
                              "dec edx\n"
                              "jne 2b\n"
                              "cmp rcx, rsi\n"
                              "jb 1b\n"
                              "hlt");

/* Plain loads see all or nothing of them. */
static void test_loads_over_strays(Test *test)
{
    const LitmusTask tasks[] = {
        LITMUS_TASK(exchange_8, STRAY_AT), LITMUS_TASK(check_8_often, STRAY_AT),
        LITMUS_TASK(check_8_often, STRAY_AT), LITMUS_TASK(exchange_8, STRAY_AT)};

    memset(before_stray(test), 0, 4);
    memset(stray(test), 0, 4);
    litmus_run(&test->litmus, tasks, 4, test->rounds / 200);
    if (litmus_errors(&test->litmus))
        g_error("%u loads saw halves of two locked operations",
                (unsigned)litmus_errors(&test->litmus));
}

/* ---------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const LitmusCase cases[] = {
        {"counters", test_counters},
        {"split-locks", test_split_locks},
        {"locks-over-strays", test_locks_over_strays},
        {"spin-lock", test_spin_lock},
        {"bits", test_bits},
        {"atomic-accesses", test_atomic_accesses},
        {"loads-over-strays", test_loads_over_strays},
    };

    return litmus_main(argc, argv, cases, G_N_ELEMENTS(cases));
}
