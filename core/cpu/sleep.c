/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * How a halted vCPU waits for what ends its HLT.
 *
 * A host wakes a thread tens of microseconds late, sometimes hundreds. Where that would be felt the
 * thread does not sleep but watches: after short sleeps a while before the next one, and for its
 * timer from shortly before that is due. Long sleeps are an idle guest's, which is to cost nothing.
 * It watches only where the host has another processor for who is to request something.
 */

#include "core/cpu/thread.h"

#include "core/cpu/bus.h"

#include <sys/prctl.h>

enum {
    LEAST_WATCH_US = 10,
    MOST_WATCH_US = 1000,
    LONG_SLEEP_US = 10000,
    MOST_EARLY_NS = 300 * 1000,
    /* One sleep in a hundred is to be later than the thread has itself woken early. */
    RAISE_EARLY_NS = 19800,
    LOWER_EARLY_NS = 200,
};

/* Whether some of BITS are requested before END. */
static bool watch(const Cpu *cpu, uint32_t bits, gint64 end)
{
    while (g_get_monotonic_time() < end) {
        for (unsigned i = 0; i < 16; i++) {
            if (atomic_load_explicit(&cpu->requests, memory_order_relaxed) & bits)
                return true;
            __builtin_ia32_pause();
        }
    }
    return false;
}

/* Two processes that hand each other their turn from vCPU to vCPU would wait for little but the
 * host. */
static void set_watch(struct CpuThread *thread, gint64 slept_us)
{
    if (slept_us > MOST_WATCH_US || !thread->may_watch)
        thread->watch_us = 0;
    else
        thread->watch_us = CLAMP(thread->watch_us * 2, LEAST_WATCH_US, MOST_WATCH_US);
}

/* Until some of BITS are requested, or, which makes it false, until END. */
static bool sleep_until(Cpu *cpu, uint32_t bits, gint64 end)
{
    struct CpuThread *thread = cpu->thread;
    bool in_time = true;

    g_mutex_lock(&thread->mutex);
    atomic_store(&thread->asleep, true);
    while (in_time && !(atomic_load(&cpu->requests) & bits)) {
        if (end == G_MAXINT64)
            g_cond_wait(&thread->wake, &thread->mutex);
        else
            in_time = g_cond_wait_until(&thread->wake, &thread->mutex, end);
    }
    atomic_store(&thread->asleep, false);
    g_mutex_unlock(&thread->mutex);
    return in_time;
}

/* The same with the vCPU's own timer, due at DUE. Never watches for longer than it has slept. */
static void await_timer(Cpu *cpu, uint32_t bits, gint64 due)
{
    struct CpuThread *thread = cpu->thread;
    gint64 left = due - g_get_monotonic_time();

    if (left > LONG_SLEEP_US || !thread->may_watch) {
        sleep_until(cpu, bits, due);
        return;
    }
    gint64 end = due - MAX(MIN(thread->early_ns / 1000, left / 2), 0);
    if (sleep_until(cpu, bits, end))
        return;
    if ((g_get_monotonic_time() - end) * 1000 > thread->early_ns)
        thread->early_ns = MIN(thread->early_ns + RAISE_EARLY_NS, MOST_EARLY_NS);
    else
        thread->early_ns = MAX(thread->early_ns - LOWER_EARLY_NS, 0);
    watch(cpu, bits, due);
}

/* To wake the board's thread for the timer first, which wakes this one, would double the time by
 * which the guest's timers are late. */
static void sleep_with_timer(Cpu *cpu, uint32_t bits)
{
    const CpuBoardOps *board = cpu->board;

    board->lock(cpu->board_opaque);
    int64_t due = board->timer_borrow(cpu->board_opaque);
    board->unlock(cpu->board_opaque);
    if (due == INT64_MAX) {
        sleep_until(cpu, bits, G_MAXINT64);
        return;
    }
    await_timer(cpu, bits, due / 1000 + 1);
    board->lock(cpu->board_opaque);
    board->timer_give_back(cpu->board_opaque);
    board->unlock(cpu->board_opaque);
}

void cpu_sleep(Cpu *cpu, uint32_t bits)
{
    struct CpuThread *thread = cpu->thread;
    gint64 begin = g_get_monotonic_time();

    cpu_bus_leave(cpu);
    if (!watch(cpu, bits, begin + thread->watch_us)) {
        if ((bits & REQUEST_INTERRUPT) && cpu->board->timer_borrow)
            sleep_with_timer(cpu, bits);
        else
            sleep_until(cpu, bits, G_MAXINT64);
        set_watch(thread, g_get_monotonic_time() - begin);
    }
    cpu_bus_enter(cpu);
}

void cpu_sleep_prepare(Cpu *cpu)
{
    cpu->thread->may_watch = g_get_num_processors() > 1;
    /* Linux lets others sleep 50 us longer. */
    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);
}
