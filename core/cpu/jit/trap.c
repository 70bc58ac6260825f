/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Host exceptions in generated code that belong to the guest: #DE, #MF and #XM arrive as SIGFPE,
 * #GP of a misaligned operand as SIGSEGV, an encoding the host refuses as SIGILL. The thread is
 * sent to the trap stub and the interpreter repeats the instruction, which then raises exactly what
 * it should.
 *
 * Signal dispositions are the process's: handlers are installed once and pass on what is not
 * theirs.
 */

#include "core/cpu/jit/jit-internal.h"

#include <signal.h>
#include <ucontext.h>

static const int signals[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS};
static struct sigaction previous[G_N_ELEMENTS(signals)];
static __thread JitCpu *running;

static void pass_on(int number, siginfo_t *info, void *context)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        if (signals[i] != number)
            continue;
        if (previous[i].sa_flags & SA_SIGINFO) {
            previous[i].sa_sigaction(number, info, context);
        } else if (previous[i].sa_handler != SIG_DFL && previous[i].sa_handler != SIG_IGN) {
            previous[i].sa_handler(number);
        } else {
            /* Returning repeats the instruction, now fatally. */
            signal(number, SIG_DFL);
        }
    }
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *registers = uc->uc_mcontext.gregs;
    uintptr_t pc = (uintptr_t)registers[REG_RIP];

    if (!running || pc - (uintptr_t)running->rx >= running->size ||
        (uintptr_t)registers[REG_RSP] != (uintptr_t)running->cpu || info->si_code <= 0) {
        pass_on(number, info, context);
        return;
    }
    running->cpu->jit[SLOT_TRAP] = pc;
    registers[REG_RIP] = (greg_t)running->stub_trap;
}

void jit_trap_install(void)
{
    static gsize installed;

    if (!g_once_init_enter(&installed))
        return;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
        sigaction(signals[i], &action, &previous[i]);
    g_once_init_leave(&installed, 1);
}

JIT_VECTOR_SAFE void jit_trap_enter(JitCpu *jc)
{
    running = jc;
}
