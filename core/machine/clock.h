/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * A machine's time: nanoseconds since power-on that stand still while the machine is paused, and
 * timers on it. Callbacks run on the board thread with the board lock held.
 *
 * Threads: clock_now() any thread; everything else under the board lock.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Clock Clock;
typedef struct ClockTimer ClockTimer;
typedef void (*ClockFunc)(void *opaque);

#define NS_PER_SECOND 1000000000LL

/* CONTEXT is the board's main context; timers fire from it with 50 us typical lateness (timerfd).
 * LOCK is held around callbacks. The clock starts stopped. */
Clock *clock_new(GMainContext *context, GMutex *lock);
/* For tests: time moves only by clock_advance(), which runs due timers; no thread, no lock. */
Clock *clock_new_manual(void);
void clock_advance(Clock *clock, int64_t ns);
void clock_free(Clock *clock);
void clock_start(Clock *clock);
/* The same, but no timer fires until clock_stop(): a debugger steps. */
void clock_start_silent(Clock *clock);
void clock_stop(Clock *clock);
int64_t clock_now(Clock *clock);             /* ns */
int64_t clock_host_tsc_offset(Clock *clock); /* guest TSC = host TSC + this; changes on start */

ClockTimer *clock_timer_new(Clock *clock, ClockFunc func, void *opaque);
void clock_timer_free(ClockTimer *timer);
void clock_timer_set(ClockTimer *timer, int64_t deadline_ns); /* replaces an earlier deadline */
void clock_timer_cancel(ClockTimer *timer);
/* Cancels it and sees that the board thread does not wake for it: a system call, worth while for a
 * timer that hardly ever expires. */
void clock_timer_withdraw(ClockTimer *timer);
bool clock_timer_is_set(const ClockTimer *timer);
/* The caller will look after the timer itself until it takes it back: the board thread does not
 * wake for it. Returns the host's CLOCK_MONOTONIC, ns, when it is due; INT64_MAX if it will not
 * fire. */
int64_t clock_timer_borrow(ClockTimer *timer);
void clock_timer_give_back(ClockTimer *timer); /* fires if it is due */

/* value * numerator / denominator without overflow: ticks to ns and back. */
static inline uint64_t clock_muldiv(uint64_t value, uint32_t numerator, uint32_t denominator)
{
    return (uint64_t)((unsigned __int128)value * numerator / denominator);
}
