/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Accessed and dirty bits (SDM 4.8) and code that one vCPU changes for another (8.1.3). */

#include "tests/core/cpu/litmus-test.h"

#include <string.h>

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

    for (gint64 end = litmus_until(); g_get_monotonic_time() < end;) {
        litmus_run_clear(test, tasks, 3, rounds);
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

/* At r12, and after every second round two pages on: MOV EAX, imm32; RET. So a page is changed
 * after it was first called, when the other may not yet know of it. At r13 the flag, at r14 the
 * answer. */
enum { CODE_ROUNDS = 100 };
LITMUS_PROGRAM(change_code, "1: inc rcx\n"
                            "mov eax, ecx\n"
                            "shr eax, 1\n"
                            "shl eax, 13\n"
                            "mov dword ptr [r12+rax+4], 0xc300\n"
                            "mov byte ptr [r12+rax], 0xb8\n"
                            "mov [r12+rax+1], ecx\n"
                            "mov [r13], rcx\n"
                            "2: cmp [r14], rcx\n"
                            "jne 2b\n"
                            "cmp rcx, rsi\n"
                            "jb 1b\n"
                            "hlt");
/* Calls the code when the flag says so, and answers. */
LITMUS_PROGRAM(call_code, "1: lea r8, [rcx+1]\n"
                          "2: pause\n"
                          "cmp [r13], r8\n"
                          "jne 2b\n"
                          "mov r9, rbx\n"
                          "xor eax, eax\n"
                          "cpuid\n"
                          "mov rbx, r9\n"
                          "mov rcx, r8\n"
                          "mov edx, ecx\n"
                          "shr edx, 1\n"
                          "shl edx, 13\n"
                          "add rdx, r12\n"
                          "call rdx\n"
                          "cmp eax, ecx\n"
                          "setne al\n"
                          "movzx eax, al\n"
                          "add r15, rax\n"
                          "mov [r14], rcx\n"
                          "cmp rcx, rsi\n"
                          "jb 1b\n"
                          "hlt");
/* Takes a processor from them now and then. */
LITMUS_PROGRAM(look_on, "1: cmp [r12], rsi\n"
                        "jb 1b\n"
                        "hlt");

static void test_code_changes(Test *test)
{
    /* In the middle of a page, and over the end of one; called by the writer's address and by
     * another. */
    static const unsigned offsets[] = {0x66100, 0x66ffd};
    static const uint64_t mappings[] = {LITMUS_PAGED_TO, LITMUS_PAGED};

    for (unsigned i = 0; i < G_N_ELEMENTS(offsets); i++)
        for (unsigned k = 0; k < G_N_ELEMENTS(mappings); k++) {
            const LitmusTask tasks[] = {
                LITMUS_TASK(change_code, LITMUS_PAGED_TO + offsets[i], AT(FLAG), AT(ANSWER)),
                LITMUS_TASK(call_code, mappings[k] + offsets[i], AT(FLAG), AT(ANSWER)),
                LITMUS_TASK(look_on, AT(ANSWER)), LITMUS_TASK(look_on, AT(ANSWER))};
            unsigned n_tasks = 2;
            for (gint64 end = litmus_until(); g_get_monotonic_time() < end;) {
                litmus_renew(test);
                litmus_run_clear(test, tasks, n_tasks, CODE_ROUNDS);
                if (litmus_errors(&test->litmus))
                    g_error("at %x: %u calls of %u ran old code, with %u vCPUs",
                            (unsigned)mappings[k] + offsets[i],
                            (unsigned)litmus_errors(&test->litmus), CODE_ROUNDS, n_tasks);
                n_tasks = n_tasks == 4 ? 2 : n_tasks + 1;
            }
        }
}

/* ---------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const LitmusCase cases[] = {
        {"accessed-dirty", test_accessed_dirty},
        {"code-changes", test_code_changes},
    };

    return litmus_main(argc, argv, cases, G_N_ELEMENTS(cases));
}
