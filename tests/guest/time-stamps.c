/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * In a guest, for test-time.py: sleeps to the next multiple of a period by the monotonic clock
 * again and again, and says how late it woke; and once a second what the clock is.
 *
 *   time-stamps SECONDS PERIOD_US
 *
 * Lines "stamp NS" and in the end "late COUNT MEDIAN_NS P99_NS MAX_NS ticks TICKS_NS CLOCK_NS": by
 * how much the coarse clock, which the kernel's ticks move on, and the fine one went forward.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

static int64_t now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int64_t period = atoll(argv[2]) * 1000, count = atoll(argv[1]) * 1000000000ll / period;
    int64_t *late = calloc((size_t)count, sizeof *late), next_stamp = 0;
    if (!late)
        return 1;
    mlockall(MCL_CURRENT | MCL_FUTURE);
    /* The kernel may else let it sleep 50 us longer, to wake for several timers at once. */
    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);
    int64_t due = (now(CLOCK_MONOTONIC) / period + 2) * period;
    int64_t first = now(CLOCK_MONOTONIC), first_tick = now(CLOCK_MONOTONIC_COARSE);
    int64_t end = first + count * period, n = 0;
    for (; due < end && n < count; due += period) {
        struct timespec until = {due / 1000000000, due % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        int64_t woken = now(CLOCK_MONOTONIC);
        late[n++] = woken - due;
        if (woken >= next_stamp) {
            printf("stamp %lld\n", (long long)now(CLOCK_MONOTONIC));
            fflush(stdout);
            next_stamp = woken + 1000000000;
        }
        /* Periods that passed meanwhile do not count: one sleep, one lateness. */
        due += (now(CLOCK_MONOTONIC) - due) / period * period;
    }
    int64_t ticks = now(CLOCK_MONOTONIC_COARSE) - first_tick;
    int64_t clock = now(CLOCK_MONOTONIC) - first;
    if (!n)
        return 1;
    qsort(late, (size_t)n, sizeof *late, compare);
    printf("late %lld %lld %lld %lld ticks %lld %lld\n", (long long)n, (long long)late[n / 2],
           (long long)late[n * 99 / 100], (long long)late[n - 1], (long long)ticks,
           (long long)clock);
    return 0;
}
