/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The local APIC timer (SDM 3, 11.5.4). Its input clock is 1 GHz: one count is DIVIDE nanoseconds.
 */

#include "core/chipset/beat.h"
#include "core/chipset/lapic-private.h"

/* Far enough to mean never, near enough not to overflow. */
#define TIMER_FOREVER_NS (INT64_MAX / 4)

/* Bits 0, 1, 3 of the divide configuration register: 2 4 8 16 32 64 128 1 (figure 11-10). */
static unsigned divide_shift(const Lapic *apic)
{
    unsigned code = (apic->divide_config & 3) | (apic->divide_config >> 1 & 4);
    return (code + 1) & 7;
}

static int64_t period_ns(const Lapic *apic)
{
    return (int64_t)apic->initial_count << divide_shift(apic);
}

static int64_t now_ns(const Lapic *apic)
{
    return clock_now(apic->set->board->clock);
}

static int64_t beat_time(const Lapic *apic, uint64_t beat)
{
    int64_t time;
    if (__builtin_mul_overflow(period_ns(apic), beat, &time) || time > TIMER_FOREVER_NS)
        return TIMER_FOREVER_NS;
    return apic->timer_start + time;
}

static void start_count(Lapic *apic)
{
    apic->timer_start = now_ns(apic);
    apic->timer_beat = 1;
    if (apic->initial_count && lapic_timer_mode(apic) != TIMER_TSC_DEADLINE)
        clock_timer_set(apic->timer, beat_time(apic, 1));
    else
        clock_timer_cancel(apic->timer);
}

/* Fires at once when the deadline has passed, else aims the timer at it. */
static void aim_at_deadline(Lapic *apic)
{
    LapicSet *set = apic->set;

    if (!apic->tsc_deadline) {
        clock_timer_cancel(apic->timer);
        return;
    }
    uint64_t tsc = set->ops->read_tsc(set->opaque, apic->cpu);
    if (tsc >= apic->tsc_deadline) {
        apic->tsc_deadline = 0;
        clock_timer_cancel(apic->timer);
        lapic_local_interrupt(apic, LVT_TIMER);
        return;
    }
    unsigned __int128 ns =
        ((unsigned __int128)(apic->tsc_deadline - tsc) * NS_PER_SECOND + set->tsc_hz - 1) /
        set->tsc_hz;
    clock_timer_set(apic->timer,
                    now_ns(apic) + (ns > TIMER_FOREVER_NS ? TIMER_FOREVER_NS : (int64_t)ns));
}

static void periodic_expired(Lapic *apic)
{
    int64_t now = now_ns(apic), period = period_ns(apic);

    apic->timer_beat++;
    int64_t next = beat_time(apic, apic->timer_beat);
    if (beat_is_lost(next, now)) {
        apic->timer_beat = (now - apic->timer_start) / period + 1;
        next = beat_time(apic, apic->timer_beat);
    }
    clock_timer_set(apic->timer, beat_deadline(next, now));
}

void lapic_timer_expired(void *opaque)
{
    Lapic *apic = opaque;

    switch (lapic_timer_mode(apic)) {
    case TIMER_TSC_DEADLINE:
        aim_at_deadline(apic); /* checks the TSC itself: the two clocks may differ a little */
        break;
    case TIMER_PERIODIC:
        if (!apic->initial_count)
            break;
        periodic_expired(apic);
        lapic_local_interrupt(apic, LVT_TIMER);
        break;
    default: lapic_local_interrupt(apic, LVT_TIMER);
    }
}

void lapic_timer_set_initial(Lapic *apic, uint32_t count)
{
    if (lapic_timer_mode(apic) == TIMER_TSC_DEADLINE)
        return;
    apic->initial_count = count;
    start_count(apic);
}

uint32_t lapic_timer_current(const Lapic *apic)
{
    if (!apic->initial_count || lapic_timer_mode(apic) == TIMER_TSC_DEADLINE)
        return 0;
    uint64_t counted = (uint64_t)(now_ns(apic) - apic->timer_start) >> divide_shift(apic);
    if (lapic_timer_mode(apic) == TIMER_PERIODIC)
        return apic->initial_count - counted % apic->initial_count;
    return counted < apic->initial_count ? apic->initial_count - counted : 0;
}

/* A running count goes on from its present value at the new speed. */
void lapic_timer_set_divide(Lapic *apic, uint32_t value)
{
    uint32_t left = lapic_timer_current(apic);

    apic->divide_config = value & 0xb;
    if (!left)
        return;
    apic->timer_start =
        now_ns(apic) - ((int64_t)(apic->initial_count - left) << divide_shift(apic));
    apic->timer_beat = 1;
    clock_timer_set(apic->timer, beat_time(apic, 1));
}

/* SDM 11.5.4.1: going to or from TSC deadline mode disarms the timer. */
void lapic_timer_mode_changed(Lapic *apic, uint32_t old_lvt)
{
    unsigned old_mode = (old_lvt & LVT_TIMER_MODE) >> LVT_TIMER_MODE_SHIFT;
    unsigned mode = lapic_timer_mode(apic);

    if (mode == old_mode)
        return;
    if (mode == TIMER_TSC_DEADLINE || old_mode == TIMER_TSC_DEADLINE) {
        apic->tsc_deadline = 0;
        apic->initial_count = 0;
        clock_timer_cancel(apic->timer);
    } else if (apic->initial_count) {
        /* One-shot that ran out stays at 0; everything else goes on from where it is. */
        uint64_t counted = (uint64_t)(now_ns(apic) - apic->timer_start) >> divide_shift(apic);
        if (mode == TIMER_PERIODIC && counted >= apic->initial_count)
            apic->initial_count = 0;
        if (mode == TIMER_ONE_SHOT) {
            apic->timer_start += period_ns(apic) * (int64_t)(counted / apic->initial_count);
            clock_timer_set(apic->timer, beat_time(apic, 1));
        }
        apic->timer_beat = 1;
    }
}

void lapic_timer_set_deadline(Lapic *apic, uint64_t tsc)
{
    if (lapic_timer_mode(apic) != TIMER_TSC_DEADLINE || !apic->set->tsc_hz)
        return;
    apic->tsc_deadline = tsc;
    aim_at_deadline(apic);
}

void lapic_tsc_changed(LapicSet *set, unsigned cpu)
{
    if (lapic_timer_mode(&set->apics[cpu]) == TIMER_TSC_DEADLINE && set->tsc_hz)
        aim_at_deadline(&set->apics[cpu]);
}

int64_t lapic_timer_borrow(LapicSet *set, unsigned cpu)
{
    return clock_timer_borrow(set->apics[cpu].timer);
}

void lapic_timer_give_back(LapicSet *set, unsigned cpu)
{
    clock_timer_give_back(set->apics[cpu].timer);
}

void lapic_timer_reset(Lapic *apic)
{
    apic->initial_count = 0;
    apic->divide_config = 0;
    apic->tsc_deadline = 0;
    clock_timer_cancel(apic->timer);
}
