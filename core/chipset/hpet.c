/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/chipset/hpet.h"

#include "core/chipset/beat.h"

enum {
    HPET_BASE = 0xfed00000,
    HPET_SIZE = 0x400,
    N_TIMERS = 3,
    TICK_NS = 10,
    TICK_FS = TICK_NS * 1000000,
    ROUTES = 1 << 2, /* I/O APIC inputs a comparator can use */
    /* A comparator written behind the counter by at most this many ticks (100 ms) is taken to be
     * late, not a full turn early: the host may have stopped the vCPU since it read the counter. */
    LATE_TICKS = 10000000,
};

/* Registers, 2.3. */
enum {
    GEN_CAP_ID = 0x000,
    GEN_CONF = 0x010,
    GEN_INT_STATUS = 0x020,
    MAIN_COUNTER = 0x0f0,
    TIMER_FIRST = 0x100,
    TIMER_STRIDE = 0x20,
    TIMER_CONF = 0x00,
    TIMER_COMPARATOR = 0x08,
};

#define CAPABILITY                                                                                 \
    ((uint64_t)TICK_FS << 32 | 0x8086u << 16 | 1u << 15 /* LEG_RT_CAP */ |                         \
     1u << 13 /* COUNT_SIZE_CAP */ | (N_TIMERS - 1) << 8 | 0x01)

enum {
    ENABLE_CNF = 1 << 0,
    LEG_RT_CNF = 1 << 1,
    TN_INT_TYPE = 1 << 1, /* level */
    TN_INT_ENB = 1 << 2,
    TN_TYPE = 1 << 3, /* periodic */
    TN_PER_INT_CAP = 1 << 4,
    TN_SIZE_CAP = 1 << 5,
    TN_VAL_SET = 1 << 6,
    TN_32MODE = 1 << 8,
    TN_ROUTE_SHIFT = 9,
    TN_WRITABLE = 0x3f00 | TN_32MODE | TN_VAL_SET | TN_TYPE | TN_INT_ENB | TN_INT_TYPE,
};

typedef struct {
    Hpet *hpet;
    int index;
    uint64_t config;
    uint64_t comparator;
    uint64_t period; /* periodic mode: the last value written */
    uint64_t target; /* the counter value, unwrapped, at which it fires next */
    bool armed;      /* target is valid */
    bool set_high;   /* VAL_SET still applies to the high half of the comparator */
    ClockTimer *timer;
} HpetTimer;

struct Hpet {
    Board *board;
    MemoryRegion *region;
    IrqLine irq0, irq8, pin2;
    uint64_t config, status;
    uint64_t counter; /* while halted; else at `start` */
    int64_t start;    /* ns */
    bool pit_level, rtc_level;
    IrqLine pit_heard;
    bool irq0_heard;
    HpetTimer timers[N_TIMERS];
};

/* --- time ----------------------------------------------------------------------------------- */

static uint64_t counter_at(const Hpet *hpet, int64_t now)
{
    if (!(hpet->config & ENABLE_CNF))
        return hpet->counter;
    return hpet->counter + (uint64_t)(now - hpet->start) / TICK_NS;
}

static int64_t tick_to_ns(const Hpet *hpet, uint64_t tick)
{
    uint64_t ticks = tick - hpet->counter;
    if (ticks > INT64_MAX / TICK_NS / 4)
        return INT64_MAX / 4;
    return hpet->start + (int64_t)ticks * TICK_NS;
}

static bool is_periodic(const HpetTimer *t)
{
    return t->config & TN_TYPE;
}

static uint64_t width_mask(const HpetTimer *t)
{
    return t->config & TN_32MODE ? 0xffffffffull : ~0ull;
}

/* --- interrupts ----------------------------------------------------------------------------- */

static bool is_legacy(const Hpet *hpet)
{
    return hpet->config & LEG_RT_CNF;
}

/* The wire of a comparator (2.3.8), NULL: none. */
static const IrqLine *route(const HpetTimer *t)
{
    Hpet *hpet = t->hpet;

    if (is_legacy(hpet) && t->index < 2)
        return t->index == 0 ? &hpet->irq0 : &hpet->irq8;
    return (t->config >> TN_ROUTE_SHIFT & 31) == 2 ? &hpet->pin2 : NULL;
}

static void drive_level(HpetTimer *t)
{
    if (t->config & TN_INT_TYPE)
        irq_set(route(t), (t->hpet->status >> t->index & 1) && (t->config & TN_INT_ENB));
}

static void fire(HpetTimer *t)
{
    if (t->config & TN_INT_TYPE)
        t->hpet->status |= 1u << t->index;
    if (!(t->config & TN_INT_ENB))
        return;
    if (t->config & TN_INT_TYPE) {
        drive_level(t);
    } else {
        irq_set(route(t), true);
        irq_set(route(t), false);
    }
}

/* --- comparators ---------------------------------------------------------------------------- */

/* Neither interrupt nor status bit tells of a match: the clock need not wake anybody for it. Linux
 * leaves a periodic comparator so when it goes over to another timer. */
static bool is_silent(const HpetTimer *t)
{
    return !(t->config & (TN_INT_ENB | TN_INT_TYPE));
}

/* Moves a silent periodic comparator over the matches that nobody was woken for. */
static void catch_up(HpetTimer *t)
{
    uint64_t period = t->period & width_mask(t);

    if (!t->armed || !is_silent(t) || !is_periodic(t) || !period)
        return;
    uint64_t counter = counter_at(t->hpet, clock_now(t->hpet->board->clock));
    if (counter < t->target)
        return;
    uint64_t passed = ((counter - t->target) / period + 1) * period;
    t->target += passed;
    t->comparator = (t->comparator + passed) & width_mask(t);
}

/* Finds the next match of the comparator and aims the timer at it. */
static void aim(HpetTimer *t)
{
    Hpet *hpet = t->hpet;
    int64_t now = clock_now(hpet->board->clock);

    t->armed = false;
    clock_timer_cancel(t->timer);
    if (!(hpet->config & ENABLE_CNF))
        return;
    uint64_t counter = counter_at(hpet, now), mask = width_mask(t);
    uint64_t ahead = (t->comparator - counter) & mask, behind = (counter - t->comparator) & mask;
    if (behind <= LATE_TICKS && behind <= counter)
        t->target = counter;
    else
        t->target = counter + ahead;
    if (t->target < counter)
        return; /* past the end of 64 bits: centuries away */
    t->armed = true;
    if (!is_silent(t))
        clock_timer_set(t->timer, tick_to_ns(hpet, t->target));
}

/* Periodic: the comparator moves on by the period at each match (2.3.9.2.2). */
static void next_period(HpetTimer *t, int64_t now)
{
    Hpet *hpet = t->hpet;
    uint64_t period = t->period & width_mask(t), counter = counter_at(hpet, now);

    if (!period) {
        t->armed = false;
        return;
    }
    t->target += period;
    t->comparator = (t->comparator + period) & width_mask(t);
    if (t->target < counter && beat_is_lost(tick_to_ns(hpet, t->target), now)) {
        uint64_t lost = (counter - t->target) / period + 1;
        t->target += lost * period;
        t->comparator = (t->comparator + lost * period) & width_mask(t);
    }
    clock_timer_set(t->timer, beat_deadline(tick_to_ns(hpet, t->target), now));
}

static void timer_expired(void *opaque)
{
    HpetTimer *t = opaque;
    int64_t now = clock_now(t->hpet->board->clock);

    if (!t->armed)
        return;
    if (is_periodic(t)) {
        next_period(t, now);
    } else if (t->config & TN_32MODE) { /* matches again after each turn of the counter */
        t->target += 1ull << 32;
        clock_timer_set(t->timer, tick_to_ns(t->hpet, t->target));
    } else {
        t->armed = false;
    }
    fire(t);
}

static void aim_all(Hpet *hpet)
{
    for (int i = 0; i < N_TIMERS; i++)
        aim(&hpet->timers[i]);
}

/* --- legacy replacement --------------------------------------------------------------------- */

static void pit_changed(void *opaque, int number, bool level)
{
    Hpet *hpet = opaque;
    hpet->pit_level = level;
    if (!is_legacy(hpet))
        irq_set(&hpet->irq0, level);
}

static void rtc_changed(void *opaque, int number, bool level)
{
    Hpet *hpet = opaque;
    hpet->rtc_level = level;
    if (!is_legacy(hpet))
        irq_set(&hpet->irq8, level);
}

static void tell_pit(Hpet *hpet)
{
    irq_set(&hpet->pit_heard, hpet->irq0_heard && !is_legacy(hpet));
}

static void heard_changed(void *opaque, int number, bool heard)
{
    Hpet *hpet = opaque;
    hpet->irq0_heard = heard;
    tell_pit(hpet);
}

void hpet_connect_heard(Hpet *hpet, IrqLine pit_heard)
{
    hpet->pit_heard = pit_heard;
    tell_pit(hpet);
}

IrqLine hpet_heard_line(Hpet *hpet)
{
    return (IrqLine){heard_changed, hpet, 0};
}

IrqLine hpet_pit_line(Hpet *hpet)
{
    return (IrqLine){pit_changed, hpet, 0};
}

IrqLine hpet_rtc_line(Hpet *hpet)
{
    return (IrqLine){rtc_changed, hpet, 8};
}

/* --- registers ------------------------------------------------------------------------------ */

static uint64_t merge(uint64_t old, uint64_t value, unsigned shift, unsigned size)
{
    uint64_t mask = (size == 8 ? ~0ull : (1ull << size * 8) - 1) << shift;
    return (old & ~mask) | (value << shift & mask);
}

static void write_config(Hpet *hpet, uint64_t value)
{
    int64_t now = clock_now(hpet->board->clock);
    uint64_t changed = (hpet->config ^ value) & (ENABLE_CNF | LEG_RT_CNF);

    if (changed & LEG_RT_CNF) {
        /* The wires change hands: let go before, take up after. */
        irq_set(&hpet->irq0, false);
        irq_set(&hpet->irq8, false);
    }
    if (changed & ENABLE_CNF) {
        if (value & ENABLE_CNF)
            hpet->start = now;
        else
            hpet->counter = counter_at(hpet, now);
    }
    hpet->config = value & (ENABLE_CNF | LEG_RT_CNF);
    if (changed & LEG_RT_CNF) {
        if (!is_legacy(hpet)) {
            irq_set(&hpet->irq0, hpet->pit_level);
            irq_set(&hpet->irq8, hpet->rtc_level);
        }
        for (int i = 0; i < 2; i++)
            drive_level(&hpet->timers[i]);
        tell_pit(hpet);
    }
    if (changed & ENABLE_CNF)
        aim_all(hpet);
}

static void write_status(Hpet *hpet, uint64_t ones)
{
    for (int i = 0; i < N_TIMERS; i++) {
        if (!(ones >> i & 1) || !(hpet->status >> i & 1))
            continue;
        hpet->status &= ~(1ull << i);
        drive_level(&hpet->timers[i]);
    }
}

static void write_timer_config(HpetTimer *t, uint64_t value)
{
    const IrqLine *old_route = route(t);
    bool was_level = t->config & TN_INT_TYPE, was_silent = is_silent(t);
    uint64_t changed = t->config ^ value;

    t->config = (t->config & ~(uint64_t)TN_WRITABLE) | (value & TN_WRITABLE);
    if (was_level && (old_route != route(t) || !(t->config & TN_INT_TYPE)))
        irq_set(old_route, false);
    if (was_level && !(t->config & TN_INT_TYPE))
        t->hpet->status &= ~(1ull << t->index);
    drive_level(t);
    if (t->config & TN_32MODE) {
        t->comparator = (uint32_t)t->comparator;
        t->period = (uint32_t)t->period;
    }
    if ((changed & (TN_TYPE | TN_32MODE | TN_INT_ENB)) || was_silent != is_silent(t))
        aim(t);
}

/* 2.3.9.2.2: in periodic mode a write sets the period, and with VAL_SET the comparator as well. */
static void write_comparator(HpetTimer *t, uint64_t value, unsigned shift, unsigned size)
{
    bool low = shift < 32, high = shift >= 32 || size == 8;
    bool set = (t->config & TN_VAL_SET) || (!low && t->set_high);

    if (!is_periodic(t) || set)
        t->comparator = merge(t->comparator, value, shift, size) & width_mask(t);
    if (is_periodic(t))
        t->period = merge(t->period, value, shift, size) & width_mask(t);
    t->set_high = low && !high && set;
    t->config &= ~(uint64_t)TN_VAL_SET;
    aim(t);
}

static uint64_t read_register(Hpet *hpet, unsigned offset)
{
    switch (offset) {
    case GEN_CAP_ID: return CAPABILITY;
    case GEN_CONF: return hpet->config;
    case GEN_INT_STATUS: return hpet->status;
    case MAIN_COUNTER: return counter_at(hpet, clock_now(hpet->board->clock));
    }
    unsigned index = (offset - TIMER_FIRST) / TIMER_STRIDE;
    if (offset < TIMER_FIRST || index >= N_TIMERS)
        return 0;
    HpetTimer *t = &hpet->timers[index];
    switch (offset % TIMER_STRIDE) {
    case TIMER_CONF: return t->config;
    case TIMER_COMPARATOR: catch_up(t); return t->comparator;
    default: return 0; /* no FSB delivery */
    }
}

static uint64_t hpet_read(void *opaque, uint64_t offset, unsigned size)
{
    unsigned shift = (offset & 7) * 8;
    uint64_t value = read_register(opaque, offset & ~7u) >> shift;
    return size == 8 ? value : value & ((1ull << size * 8) - 1);
}

static void hpet_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Hpet *hpet = opaque;
    unsigned reg = offset & ~7u, shift = (offset & 7) * 8;
    unsigned index = (reg - TIMER_FIRST) / TIMER_STRIDE;

    if (shift + size * 8 > 64)
        return; /* the specification allows aligned accesses only */
    for (int i = 0; i < N_TIMERS; i++)
        catch_up(&hpet->timers[i]);
    switch (reg) {
    case GEN_CONF: write_config(hpet, merge(hpet->config, value, shift, size)); return;
    case GEN_INT_STATUS: write_status(hpet, merge(0, value, shift, size)); return;
    case MAIN_COUNTER: /* to be written while halted only (2.3.7) */
        if (!(hpet->config & ENABLE_CNF))
            hpet->counter = merge(hpet->counter, value, shift, size);
        return;
    }
    if (reg < TIMER_FIRST || index >= N_TIMERS)
        return;
    HpetTimer *t = &hpet->timers[index];
    if (reg % TIMER_STRIDE == TIMER_CONF)
        write_timer_config(t, merge(t->config, value, shift, size));
    else if (reg % TIMER_STRIDE == TIMER_COMPARATOR)
        write_comparator(t, value, shift, size);
}

static const MmioOps hpet_ops = {.read = hpet_read, .write = hpet_write};

/* --- life ----------------------------------------------------------------------------------- */

Hpet *hpet_new(Board *board, IrqLine irq0, IrqLine irq8, IrqLine pin2)
{
    Hpet *hpet = g_new0(Hpet, 1);

    hpet->board = board;
    hpet->irq0 = irq0;
    hpet->irq8 = irq8;
    hpet->pin2 = pin2;
    for (int i = 0; i < N_TIMERS; i++) {
        hpet->timers[i].hpet = hpet;
        hpet->timers[i].index = i;
        hpet->timers[i].timer = clock_timer_new(board->clock, timer_expired, &hpet->timers[i]);
    }
    hpet->region = memory_region_new_mmio(board->memory, "hpet", &hpet_ops, hpet, HPET_SIZE);
    memory_region_place(hpet->region, HPET_BASE, 100);
    hpet_reset(hpet);
    return hpet;
}

void hpet_free(Hpet *hpet)
{
    if (!hpet)
        return;
    memory_region_remove(hpet->region);
    for (int i = 0; i < N_TIMERS; i++)
        clock_timer_free(hpet->timers[i].timer);
    g_free(hpet);
}

void hpet_reset(Hpet *hpet)
{
    bool was_legacy = is_legacy(hpet);

    for (int i = 0; i < N_TIMERS; i++) {
        HpetTimer *t = &hpet->timers[i];
        if (t->config & TN_INT_TYPE)
            irq_set(route(t), false);
        clock_timer_cancel(t->timer);
        t->armed = t->set_high = false;
        t->config = (uint64_t)ROUTES << 32 | TN_PER_INT_CAP | TN_SIZE_CAP;
        t->comparator = ~0ull;
        t->period = 0;
    }
    hpet->config = hpet->status = hpet->counter = 0;
    if (was_legacy) {
        irq_set(&hpet->irq0, hpet->pit_level);
        irq_set(&hpet->irq8, hpet->rtc_level);
        tell_pit(hpet);
    }
}

void hpet_describe(Hpet *hpet, GString *out)
{
    g_string_append_printf(out, "hpet: %s%s counter %" G_GUINT64_FORMAT " status %x\n",
                           hpet->config & ENABLE_CNF ? "running" : "halted",
                           is_legacy(hpet) ? ", legacy replacement" : "",
                           counter_at(hpet, clock_now(hpet->board->clock)), (unsigned)hpet->status);
    for (int i = 0; i < N_TIMERS; i++) {
        const HpetTimer *t = &hpet->timers[i];
        g_string_append_printf(out,
                               "  timer %d: config %08x comparator %" G_GUINT64_FORMAT
                               " period %" G_GUINT64_FORMAT "%s\n",
                               i, (unsigned)t->config, t->comparator, t->period,
                               t->armed ? " armed" : "");
    }
}
