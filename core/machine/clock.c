/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/clock.h"

#include <glib-unix.h>
#include <stdatomic.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

struct ClockTimer {
    Clock *clock;
    ClockFunc func;
    void *opaque;
    int64_t deadline;
    bool set;
    bool borrowed;    /* the board thread need not wake for it */
    ClockTimer *next; /* in the clock's list, by deadline */
};

struct Clock {
    GMutex *lock;
    GSource *source;
    int fd; /* timerfd; -1 for a manual clock */
    ClockTimer *timers;
    int64_t armed; /* deadline the timerfd is set to; INT64_MAX: none, INT64_MIN: not yet known */

    _Atomic bool running;
    bool silent;            /* running, but no timer fires */
    _Atomic int64_t offset; /* guest ns = host ns + offset while running */
    int64_t stopped_at;     /* guest ns while stopped */
    uint64_t stopped_tsc;   /* host TSC at the last stop */
    _Atomic int64_t tsc_offset;
};

static int64_t host_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

int64_t clock_now(Clock *clock)
{
    if (!atomic_load_explicit(&clock->running, memory_order_acquire))
        return clock->stopped_at;
    return host_now() + atomic_load_explicit(&clock->offset, memory_order_relaxed);
}

int64_t clock_host_tsc_offset(Clock *clock)
{
    return atomic_load_explicit(&clock->tsc_offset, memory_order_relaxed);
}

static bool fires(const Clock *clock)
{
    return clock->running && !clock->silent;
}

/* When the board thread has something to do, INT64_MAX: never. */
static int64_t next_deadline(const Clock *clock)
{
    const ClockTimer *timer = clock->timers;

    if (!fires(clock))
        return INT64_MAX;
    while (timer && timer->borrowed)
        timer = timer->next;
    return timer ? timer->deadline : INT64_MAX;
}

/* Also makes the timerfd unreadable: nobody need read it. */
static void set_timerfd(Clock *clock, int64_t deadline)
{
    struct itimerspec spec = {0}; /* never */

    if (deadline != INT64_MAX) {
        int64_t host = MAX(deadline - clock->offset, 1);
        spec.it_value.tv_sec = host / NS_PER_SECOND;
        spec.it_value.tv_nsec = host % NS_PER_SECOND;
    }
    timerfd_settime(clock->fd, TFD_TIMER_ABSTIME, &spec, NULL);
    clock->armed = deadline;
}

static void arm(Clock *clock)
{
    int64_t deadline = next_deadline(clock);

    /* An early wake-up finds nothing due and arms anew: cheaper than a system call each time a
     * guest puts its timer off. */
    if (clock->fd >= 0 && deadline < clock->armed)
        set_timerfd(clock, deadline);
}

static void run_due(Clock *clock)
{
    /* Timers set again for the past by their own callback wait for the next round, so that a
     * guest's zero-length period cannot hold the board thread. */
    int64_t now = clock_now(clock);

    for (int budget = 64; budget > 0 && clock->timers && clock->timers->deadline <= now; budget--) {
        ClockTimer *timer = clock->timers;
        clock->timers = timer->next;
        timer->set = false;
        timer->func(timer->opaque);
    }
}

static gboolean timerfd_ready(gint fd, GIOCondition condition, gpointer data)
{
    Clock *clock = data;

    g_mutex_lock(clock->lock);
    if (fires(clock)) {
        clock->armed = INT64_MIN; /* once, after all callbacks */
        run_due(clock);
    }
    set_timerfd(clock, next_deadline(clock));
    g_mutex_unlock(clock->lock);
    return G_SOURCE_CONTINUE;
}

Clock *clock_new_manual(void)
{
    Clock *clock = g_new0(Clock, 1);

    clock->fd = -1;
    clock->armed = INT64_MAX;
    return clock;
}

Clock *clock_new(GMainContext *context, GMutex *lock)
{
    Clock *clock = clock_new_manual();

    clock->lock = lock;
    clock->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (clock->fd < 0)
        g_error("timerfd_create: %s", g_strerror(errno));
    clock->source = g_unix_fd_source_new(clock->fd, G_IO_IN);
    g_source_set_priority(clock->source, G_PRIORITY_HIGH);
    g_source_set_can_recurse(clock->source, TRUE); /* as board_attach() does */
    g_source_set_callback(clock->source, G_SOURCE_FUNC(timerfd_ready), clock, NULL);
    g_source_attach(clock->source, context);
    clock->stopped_tsc = __rdtsc();
    clock->tsc_offset = -(int64_t)clock->stopped_tsc;
    return clock;
}

void clock_free(Clock *clock)
{
    if (!clock)
        return;
    if (clock->source) {
        g_source_destroy(clock->source);
        g_source_unref(clock->source);
        close(clock->fd);
    }
    g_free(clock);
}

static void start(Clock *clock, bool silent)
{
    if (clock->running)
        return;
    clock->silent = silent;
    clock->offset = clock->stopped_at - host_now();
    clock->tsc_offset -= __rdtsc() - clock->stopped_tsc;
    clock->running = true;
    arm(clock);
}

void clock_start(Clock *clock)
{
    start(clock, false);
}

void clock_start_silent(Clock *clock)
{
    start(clock, true);
}

void clock_stop(Clock *clock)
{
    if (!clock->running)
        return;
    clock->stopped_tsc = __rdtsc();
    clock->stopped_at = clock_now(clock);
    clock->running = false;
    arm(clock);
}

void clock_advance(Clock *clock, int64_t ns)
{
    int64_t end = clock->stopped_at + ns;

    while (clock->timers && clock->timers->deadline <= end) {
        clock->stopped_at = MAX(clock->stopped_at, clock->timers->deadline);
        run_due(clock);
    }
    clock->stopped_at = end;
}

/* --- timers ----------------------------------------------------------------------------------- */

ClockTimer *clock_timer_new(Clock *clock, ClockFunc func, void *opaque)
{
    ClockTimer *timer = g_new0(ClockTimer, 1);

    timer->clock = clock;
    timer->func = func;
    timer->opaque = opaque;
    return timer;
}

static void unlink_timer(ClockTimer *timer)
{
    ClockTimer **link = &timer->clock->timers;

    if (!timer->set)
        return;
    while (*link != timer)
        link = &(*link)->next;
    *link = timer->next;
    timer->set = false;
}

void clock_timer_free(ClockTimer *timer)
{
    if (!timer)
        return;
    unlink_timer(timer);
    g_free(timer);
}

void clock_timer_set(ClockTimer *timer, int64_t deadline_ns)
{
    ClockTimer **link = &timer->clock->timers;

    unlink_timer(timer);
    timer->deadline = deadline_ns;
    timer->set = true;
    timer->borrowed = false;
    while (*link && (*link)->deadline <= deadline_ns)
        link = &(*link)->next;
    timer->next = *link;
    *link = timer;
    arm(timer->clock);
}

void clock_timer_cancel(ClockTimer *timer)
{
    unlink_timer(timer);
}

void clock_timer_withdraw(ClockTimer *timer)
{
    Clock *clock = timer->clock;
    bool awaited = timer->set && timer->deadline == clock->armed;

    unlink_timer(timer);
    if (awaited && clock->fd >= 0)
        set_timerfd(clock, next_deadline(clock));
}

int64_t clock_timer_borrow(ClockTimer *timer)
{
    Clock *clock = timer->clock;

    if (!timer->set || !fires(clock))
        return INT64_MAX;
    timer->borrowed = true;
    if (timer->deadline == clock->armed && clock->fd >= 0)
        set_timerfd(clock, next_deadline(clock));
    return timer->deadline - clock->offset;
}

void clock_timer_give_back(ClockTimer *timer)
{
    Clock *clock = timer->clock;

    if (!timer->borrowed)
        return;
    timer->borrowed = false;
    if (timer->set && fires(clock) && timer->deadline <= clock_now(clock)) {
        unlink_timer(timer);
        timer->func(timer->opaque);
    }
    arm(clock);
}

bool clock_timer_is_set(const ClockTimer *timer)
{
    return timer->set;
}
