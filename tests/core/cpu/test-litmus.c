/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Whether the vCPUs of a machine keep what x86 promises about memory to more than one processor:
 * order (SDM 8.2), locked operations (8.1.2), atomic accesses (8.1.1), code that one processor
 * changes for another (8.1.3), accessed and dirty bits (4.8).
 *
 * The order tests have no barrier between their rounds, which on a computer with fewer processors
 * than vCPUs would take a time slice each. Instead every store writes the number of its round, so
 * that each load names the store that it saw and any two rounds can be held against each other.
 * (Melissa, Rajamani et al. describe the method as perpetual litmus tests: PerpLE, MICRO 2020.)
 */

#include "tests/core/cpu/litmus-machine.h"

#include <string.h>

/* Offsets from LITMUS_SHARED, on cache lines of their own. */
enum { X = 0x000, Y = 0x100, FLAG = 0x200, ANSWER = 0x300, SHARED_USED = 0x3000 };
#define AT(OFFSET) (LITMUS_SHARED + (OFFSET))

typedef struct {
    Litmus litmus;
    uint64_t rounds; /* of an order test: what takes some ten milliseconds */
} Test;

/* How long an order test goes on: where vCPUs outnumber processors, most runs have only some
 * moments in which the vCPUs are at it together. */
static gint64 until(void)
{
    return g_get_monotonic_time() + G_USEC_PER_SEC / 6;
}

static void run(Test *test, const LitmusTask *tasks, unsigned n_tasks, uint64_t rounds)
{
    memset(litmus_ram(&test->litmus, LITMUS_SHARED), 0, SHARED_USED);
    litmus_run(&test->litmus, tasks, n_tasks, rounds);
}

/* --- store buffering -------------------------------------------------------------------------- */

/* Own variable at r12, the other's at r13. */
#define STORE_THEN_LOAD(NAME, STORE)                                                               \
    LITMUS_PROGRAM(NAME, "1: inc rcx\n" STORE "\nmov rax, [r13]\n"                                 \
                         "mov [rbp+rcx*8], rax\n"                                                  \
                         "cmp rcx, rsi\n"                                                          \
                         "jb 1b\n"                                                                 \
                         "hlt")
STORE_THEN_LOAD(sb_plain, "mov [r12], rcx");
STORE_THEN_LOAD(sb_mfence, "mov [r12], rcx\nmfence");
STORE_THEN_LOAD(sb_locked, "mov [r12], rcx\nlock or dword ptr [rsp], 0");
STORE_THEN_LOAD(sb_xchg, "mov rax, rcx\nxchg [r12], rax");
STORE_THEN_LOAD(sb_cpuid, "mov [r12], rcx\nmov r8, rcx\nmov r9, rbx\nxor eax, eax\ncpuid\n"
                          "mov rcx, r8\nmov rbx, r9");

/* How many pairs of rounds both missed the other's store: A's round saw B's store B_SEEN, so the
 * one after that came later; its load must see A's store of this round. */
static unsigned count_store_buffering(Test *test, uint64_t rounds)
{
    const uint64_t *a = litmus_log(&test->litmus, 0), *b = litmus_log(&test->litmus, 1);
    unsigned weak = 0;

    for (uint64_t i = 1; i <= rounds; i++)
        if (a[i] < rounds && b[a[i] + 1] < i)
            weak++;
    return weak;
}

static unsigned store_buffering(Test *test, const uint8_t *code, const uint8_t *code_end,
                                uint64_t rounds)
{
    const LitmusTask tasks[] = {{code, code_end, {AT(X), AT(Y)}}, {code, code_end, {AT(Y), AT(X)}}};
    unsigned weak = 0;

    for (gint64 end = until(); g_get_monotonic_time() < end;) {
        run(test, tasks, 2, rounds);
        weak += count_store_buffering(test, rounds);
    }
    return weak;
}

static void test_store_buffering(Test *test)
{
    /* Allowed; not seeing it says that the computer was too busy for the others to prove much. */
    unsigned weak = store_buffering(test, sb_plain, sb_plain_end, test->rounds);

    g_test_message("without a fence both missed the other's store %u times", weak);
#define FENCED(NAME, ROUNDS)                                                                       \
    weak = store_buffering(test, NAME, NAME##_end, ROUNDS);                                        \
    if (weak)                                                                                      \
    g_error("%s: both missed the other's store %u times", #NAME, weak)
    FENCED(sb_mfence, test->rounds);
    FENCED(sb_locked, test->rounds);
    FENCED(sb_xchg, test->rounds);
    FENCED(sb_cpuid, test->rounds / 100);
#undef FENCED
}

/* --- load buffering --------------------------------------------------------------------------- */

LITMUS_PROGRAM(load_then_store, "1: inc rcx\n"
                                "mov rax, [r13]\n"
                                "mov [r12], rcx\n"
                                "mov [rbp+rcx*8], rax\n"
                                "cmp rcx, rsi\n"
                                "jb 1b\n"
                                "hlt");

/* Loads are not passed by later stores: if A's round saw B's store, then B's load before it cannot
 * have seen the store of A's round. */
static void test_load_buffering(Test *test)
{
    const LitmusTask tasks[] = {LITMUS_TASK(load_then_store, AT(X), AT(Y)),
                                LITMUS_TASK(load_then_store, AT(Y), AT(X))};
    const uint64_t *a = litmus_log(&test->litmus, 0), *b = litmus_log(&test->litmus, 1);

    for (gint64 end = until(); g_get_monotonic_time() < end;) {
        unsigned forbidden = 0;
        run(test, tasks, 2, test->rounds);
        for (uint64_t i = 1; i <= test->rounds; i++)
            forbidden += a[i] && b[a[i]] >= i;
        if (forbidden)
            g_error("both loads saw the other's later store %u times", forbidden);
    }
}

/* --- message passing -------------------------------------------------------------------------- */

LITMUS_PROGRAM(store_both, "1: inc rcx\n"
                           "mov [r12], rcx\n"
                           "mov [r13], rcx\n"
                           "cmp rcx, rsi\n"
                           "jb 1b\n"
                           "hlt");
/* Logs pairs: r12 first. */
LITMUS_PROGRAM(load_both, "1: inc rcx\n"
                          "mov rax, [r12]\n"
                          "mov rdx, [r13]\n"
                          "mov r8, rcx\n"
                          "shl r8, 4\n"
                          "mov [rbp+r8], rax\n"
                          "mov [rbp+r8+8], rdx\n"
                          "cmp rcx, rsi\n"
                          "jb 1b\n"
                          "hlt");

static void test_message_passing(Test *test)
{
    const LitmusTask tasks[] = {LITMUS_TASK(store_both, AT(X), AT(FLAG)),
                                LITMUS_TASK(load_both, AT(FLAG), AT(X)),
                                LITMUS_TASK(load_both, AT(FLAG), AT(X))};
    unsigned changes = 0;

    for (gint64 end = until(); g_get_monotonic_time() < end;) {
        unsigned forbidden = 0;
        run(test, tasks, 3, test->rounds);
        for (unsigned reader = 1; reader <= 2; reader++) {
            const uint64_t *log = litmus_log(&test->litmus, reader);
            for (uint64_t i = 1; i <= test->rounds; i++) {
                forbidden += log[i * 2 + 1] < log[i * 2];
                changes += log[i * 2] != log[test->rounds * 2] && log[i * 2];
            }
        }
        if (forbidden)
            g_error("%u times the flag was seen before the data", forbidden);
    }
    g_test_message("%u loads while the writer ran", changes);
}

/* --- independent reads of independent writes -------------------------------------------------- */

LITMUS_PROGRAM(store_one, "1: inc rcx\n"
                          "mov [r12], rcx\n"
                          "cmp rcx, rsi\n"
                          "jb 1b\n"
                          "hlt");

/* Readers see stores of two writers in one order: when one saw more of X than the other, and looked
 * at Y after that, the other, who had looked at Y before, cannot have seen more of Y. Both logs
 * grow, so the last of the other's pairs with less of X has the most of Y. */
static unsigned count_disagreements(const uint64_t *x_first, const uint64_t *y_first,
                                    uint64_t rounds)
{
    unsigned forbidden = 0;
    uint64_t k = 0;

    for (uint64_t i = 1; i <= rounds; i++) {
        while (k < rounds && y_first[(k + 1) * 2 + 1] < x_first[i * 2])
            k++;
        forbidden += k && y_first[k * 2] > x_first[i * 2 + 1];
    }
    return forbidden;
}

static void test_iriw(Test *test)
{
    const LitmusTask tasks[] = {LITMUS_TASK(store_one, AT(X)), LITMUS_TASK(store_one, AT(Y)),
                                LITMUS_TASK(load_both, AT(X), AT(Y)),
                                LITMUS_TASK(load_both, AT(Y), AT(X))};

    for (gint64 end = until(); g_get_monotonic_time() < end;) {
        run(test, tasks, 4, test->rounds);
        unsigned forbidden = count_disagreements(litmus_log(&test->litmus, 2),
                                                 litmus_log(&test->litmus, 3), test->rounds);
        if (forbidden)
            g_error("%u times two readers disagreed about the order of two stores", forbidden);
    }
}

/* --- coherence -------------------------------------------------------------------------------- */

/* Each store is twice its round, plus the vCPU's index. */
LITMUS_PROGRAM(store_tagged, "1: inc rcx\n"
                             "lea rax, [rdi+rcx*2]\n"
                             "mov [r12], rax\n"
                             "cmp rcx, rsi\n"
                             "jb 1b\n"
                             "hlt");
LITMUS_PROGRAM(load_one, "1: inc rcx\n"
                         "mov rax, [r12]\n"
                         "mov [rbp+rcx*8], rax\n"
                         "cmp rcx, rsi\n"
                         "jb 1b\n"
                         "hlt");

/* All processors see the stores to one place in one order. The writers' values are all different,
 * so a place in one reader's log and one in the other's stand for the same store. */
static void test_coherence(Test *test)
{
    const LitmusTask tasks[] = {LITMUS_TASK(store_tagged, AT(X)), LITMUS_TASK(store_tagged, AT(X)),
                                LITMUS_TASK(load_one, AT(X)), LITMUS_TASK(load_one, AT(X))};
    const uint64_t *a = litmus_log(&test->litmus, 2), *b = litmus_log(&test->litmus, 3);
    g_autofree uint64_t *seen_by_a = g_new(uint64_t, test->rounds * 2 + 2);

    for (gint64 end = until(); g_get_monotonic_time() < end;) {
        unsigned back = 0, disagreed = 0;
        run(test, tasks, 4, test->rounds);
        memset(seen_by_a, 0, (test->rounds * 2 + 2) * sizeof *seen_by_a);
        for (uint64_t i = 1; i <= test->rounds; i++) {
            back += i > 1 && a[i] != a[i - 1] && (seen_by_a[a[i]] || !a[i]);
            if (!seen_by_a[a[i]])
                seen_by_a[a[i]] = i;
        }
        uint64_t last = 0;
        for (uint64_t i = 1; i <= test->rounds; i++) {
            disagreed += seen_by_a[b[i]] && seen_by_a[b[i]] < last;
            last = MAX(last, seen_by_a[b[i]]);
        }
        if (back || disagreed)
            g_error("%u times a reader saw an old value again, %u times two disagreed", back,
                    disagreed);
    }
}

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
        run(test, tasks, 4, test->rounds / 40);
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
    run(test, tasks, 4, test->rounds);
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

/* --- accessed and dirty bits ------------------------------------------------------------------ */

/* Takes A and D from the entry r12 of the page r13 and looks whether a load brings A back, a store
 * D. */
LITMUS_PROGRAM(use_page, "1: inc rcx\n"
                         "lock and qword ptr [r12], -0x61\n"
                         "invlpg [r13]\n"
                         "mov rax, [r13]\n"
                         "mov rax, [r12]\n"
                         "bt eax, 5\n"
                         "cmc\n"
                         "adc r15, 0\n"
                         "mov [r13], rcx\n"
                         "mov rax, [r12]\n"
                         "bt eax, 6\n"
                         "cmc\n"
                         "adc r15, 0\n"
                         "cmp rcx, rsi\n"
                         "jb 1b\n"
                         "hlt");
/* Counts in bits 52-58, which are the program's (SDM table 4-20). */
LITMUS_PROGRAM(count_in_entry, "mov r8, 0x07f0000000000000\n"
                               "mov r9, 0x0010000000000000\n"
                               "1: inc rcx\n"
                               "mov rax, [r12]\n"
                               "2: mov rdx, rax\n"
                               "add rdx, r9\n"
                               "and rdx, r8\n"
                               "mov r10, r8\n"
                               "not r10\n"
                               "and r10, rax\n"
                               "or rdx, r10\n"
                               "lock cmpxchg [r12], rdx\n"
                               "jne 2b\n"
                               "cmp rcx, rsi\n"
                               "jb 1b\n"
                               "hlt");
LITMUS_PROGRAM(toggle_in_entry, "1: inc rcx\n"
                                "lock btc qword ptr [r12], 9\n"
                                "cmp rcx, rsi\n"
                                "jb 1b\n"
                                "hlt");

static void test_accessed_dirty(Test *test)
{
    const LitmusTask tasks[] = {LITMUS_TASK(use_page, LITMUS_PTE, LITMUS_PAGED),
                                LITMUS_TASK(count_in_entry, LITMUS_PTE),
                                LITMUS_TASK(toggle_in_entry, LITMUS_PTE)};
    uint64_t rounds = (test->rounds / 80) | 1;

    for (gint64 end = until(); g_get_monotonic_time() < end;) {
        run(test, tasks, 3, rounds);
        uint64_t entry = *litmus_ram(&test->litmus, LITMUS_PTE);
        uint64_t expected = (rounds & 127) << 52 | LITMUS_PAGED_TO | 1 << 9 | 0x67;
        if (litmus_errors(&test->litmus) || entry != expected)
            g_error("%" G_GUINT64_FORMAT
                    " rounds: A or D was lost %u times; the entry is %016" G_GINT64_MODIFIER
                    "x, not %016" G_GINT64_MODIFIER "x",
                    rounds, (unsigned)litmus_errors(&test->litmus), entry, expected);
    }
}

/* --- code for another processor --------------------------------------------------------------- */

/* At r12: MOV EAX, imm32; RET. At r13 the flag, at r14 the answer. */
LITMUS_PROGRAM(change_code, "mov dword ptr [r12], 0xb8\n"
                            "mov dword ptr [r12+4], 0xc300\n"
                            "1: inc rcx\n"
                            "mov [r12+1], ecx\n"
                            "mov [r13], rcx\n"
                            "2: pause\n"
                            "cmp [r14], rcx\n"
                            "jne 2b\n"
                            "cmp rcx, rsi\n"
                            "jb 1b\n"
                            "hlt");
/* Calls the code at r12 when the flag says so, and answers. */
LITMUS_PROGRAM(call_code, "1: lea r8, [rcx+1]\n"
                          "2: pause\n"
                          "cmp [r13], r8\n"
                          "jne 2b\n"
                          "mov r9, rbx\n"
                          "xor eax, eax\n"
                          "cpuid\n"
                          "mov rbx, r9\n"
                          "mov rcx, r8\n"
                          "call r12\n"
                          "cmp eax, ecx\n"
                          "setne al\n"
                          "movzx eax, al\n"
                          "add r15, rax\n"
                          "mov [r14], rcx\n"
                          "cmp rcx, rsi\n"
                          "jb 1b\n"
                          "hlt");

static void test_code_changes(Test *test)
{
    /* In the middle of a page, and over the end of one; called by the writer's address and by
     * another. */
    static const unsigned offsets[] = {0x2100, 0x2ffd};
    static const uint64_t mappings[] = {LITMUS_PAGED_TO, LITMUS_PAGED};

    for (unsigned i = 0; i < G_N_ELEMENTS(offsets); i++)
        for (unsigned k = 0; k < G_N_ELEMENTS(mappings); k++) {
            const LitmusTask tasks[] = {
                LITMUS_TASK(change_code, LITMUS_PAGED_TO + offsets[i], AT(FLAG), AT(ANSWER)),
                LITMUS_TASK(call_code, mappings[k] + offsets[i], AT(FLAG), AT(ANSWER))};
            run(test, tasks, 2, 200);
            if (litmus_errors(&test->litmus))
                g_error("at %x: %u calls of 200 ran old code", (unsigned)mappings[k] + offsets[i],
                        (unsigned)litmus_errors(&test->litmus));
        }
}

/* ---------------------------------------------------------------------------------------------- */

typedef struct {
    void (*func)(Test *test);
    bool interpret;
} Case;

static void run_case(gconstpointer data)
{
    const Case *which = data;
    const JitOptions options = JIT_OPTIONS_DEFAULT;
    Test test = {.rounds = which->interpret ? 50000 : 500000};

    litmus_init(&test.litmus, which->interpret ? NULL : &options);
    which->func(&test);
    litmus_clear(&test.litmus);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        Case cases[2];
    } tests[] = {
#define ROW(NAME, FUNC)                                                                            \
    {                                                                                              \
        NAME,                                                                                      \
        {                                                                                          \
            {FUNC, false},                                                                         \
            {                                                                                      \
                FUNC, true                                                                         \
            }                                                                                      \
        }                                                                                          \
    }
        ROW("store-buffering", test_store_buffering),
        ROW("load-buffering", test_load_buffering),
        ROW("message-passing", test_message_passing),
        ROW("independent-reads", test_iriw),
        ROW("coherence", test_coherence),
        ROW("counters", test_counters),
        ROW("split-locks", test_split_locks),
        ROW("spin-lock", test_spin_lock),
        ROW("bits", test_bits),
        ROW("atomic-accesses", test_atomic_accesses),
        ROW("accessed-dirty", test_accessed_dirty),
        ROW("code-changes", test_code_changes),
#undef ROW
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        for (unsigned k = 0; k < 2; k++) {
            g_autofree char *path =
                g_strdup_printf("/cpu/litmus/%s/%s", k ? "interp" : "jit", tests[i].name);
            g_test_add_data_func(path, &tests[i].cases[k], run_case);
        }
    return g_test_run();
}
