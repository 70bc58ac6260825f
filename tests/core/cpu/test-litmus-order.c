/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Whether the vCPUs of a machine see each other's loads and stores in the order that x86 promises
 * (SDM 8.2).
 *
 * The tests have no barrier between their rounds, which on a computer with fewer processors than
 * vCPUs would take a time slice each. Instead every store writes the number of its round, so that
 * each load names the store that it saw and any two rounds can be held against each other.
 * (Melissa, Rajamani et al. describe the method as perpetual litmus tests: PerpLE, MICRO 2020.)
 */

#include "tests/core/cpu/litmus-test.h"

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

    for (gint64 end = litmus_until(); g_get_monotonic_time() < end;) {
        litmus_run_clear(test, tasks, 2, rounds);
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

    for (gint64 end = litmus_until(); g_get_monotonic_time() < end;) {
        unsigned forbidden = 0;
        litmus_run_clear(test, tasks, 2, test->rounds);
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

    for (gint64 end = litmus_until(); g_get_monotonic_time() < end;) {
        unsigned forbidden = 0;
        litmus_run_clear(test, tasks, 3, test->rounds);
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

    for (gint64 end = litmus_until(); g_get_monotonic_time() < end;) {
        litmus_run_clear(test, tasks, 4, test->rounds);
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

    for (gint64 end = litmus_until(); g_get_monotonic_time() < end;) {
        unsigned back = 0, disagreed = 0;
        litmus_run_clear(test, tasks, 4, test->rounds);
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

/* ---------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const LitmusCase cases[] = {
        {"store-buffering", test_store_buffering},
        {"load-buffering", test_load_buffering},
        {"message-passing", test_message_passing},
        {"independent-reads", test_iriw},
        {"coherence", test_coherence},
    };

    return litmus_main(argc, argv, cases, G_N_ELEMENTS(cases));
}
