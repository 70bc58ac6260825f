/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/chipset/i8254.h"

#include "core/chipset/beat.h"

enum {
    PORT_COUNTER = 0x40,
    PORT_CONTROL = 0x43,
    PORT_B = 0x61,
};

enum {
    CONTROL_BCD = 1 << 0,
    READ_BACK_NO_STATUS = 1 << 4,
    READ_BACK_NO_COUNT = 1 << 5,
    STATUS_NULL_COUNT = 1 << 6,
    STATUS_OUT = 1 << 7,
    PORT_B_GATE2 = 1 << 0,
    PORT_B_SPEAKER = 1 << 1,
    PORT_B_WRITABLE = 0x0f,
    PORT_B_REFRESH = 1 << 4,
    PORT_B_OUT2 = 1 << 5,
    REFRESH_NS = 15085, /* DRAM refresh requests of an AT: 18 PIT clocks */
};

enum { ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_BOTH = 3 };

typedef struct {
    uint8_t control; /* bits 0-5 of the control word: BCD, mode, access */
    unsigned mode;   /* 0-5 */
    bool loaded;     /* a count was written since the control word */
    bool triggered;  /* modes 1 and 5: the gate rose since */
    bool gate;
    uint32_t reload;      /* in clocks, 1-10000h: the count in use */
    uint32_t next_reload; /* modes 1, 2, 3, 5: written but not in use yet; 0: none */
    uint64_t boundary;    /* modes 2, 3: clocks after start at which next_reload is taken over */
    int64_t start;        /* ns: when reload was put into the counting element */
    uint64_t held;        /* clocks counted when the gate stopped it (modes 0, 2-4) */
    bool stopped;         /* by the gate, or between the bytes of a count in mode 0 */
    uint64_t beat; /* counter 0: the next rising edge of OUT to report, at start + beat * reload */

    bool write_high, read_high; /* ACCESS_BOTH: the next byte is the high one */
    uint8_t write_low;
    bool count_latched, status_latched;
    uint16_t latch;
    uint8_t status;
} Counter;

struct I8254 {
    Board *board;
    IrqLine irq;
    ClockTimer *timer;
    Counter counter[3];
    uint8_t port_b;
    bool unheard; /* nobody takes counter 0's interrupt */
    bool resting; /* its timer is not set for that reason */
};

/* --- counting ------------------------------------------------------------------------------- */

/* The first moment at which CLOCKS have passed. */
static int64_t clocks_to_ns(uint64_t clocks)
{
    return ((unsigned __int128)clocks * NS_PER_SECOND + I8254_HZ - 1) / I8254_HZ;
}

static uint64_t elapsed(const Counter *c, int64_t now)
{
    if (c->stopped)
        return c->held;
    return now > c->start ? clock_muldiv(now - c->start, I8254_HZ, NS_PER_SECOND) : 0;
}

static bool is_periodic(const Counter *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool is_counting(const Counter *c)
{
    return c->loaded && (c->triggered || (c->mode != 1 && c->mode != 5));
}

/* A count written to a running periodic counter is taken over at the end of the period, in mode 3
 * of the half (data sheet, modes 2 and 3). */
static void take_over(Counter *c, int64_t now)
{
    if (!c->next_reload || !is_periodic(c) || c->stopped || !is_counting(c))
        return;
    if (elapsed(c, now) < c->boundary)
        return;
    bool whole = c->boundary % c->reload == 0;
    c->start += clocks_to_ns(c->boundary);
    c->reload = c->next_reload;
    c->next_reload = 0;
    c->beat = 0; /* OUT rises right at the boundary */
    if (!whole) {
        c->start -= clocks_to_ns((c->reload + 1) / 2);
        c->beat = 1;
    }
}

static bool out_level(const Counter *c, int64_t now)
{
    uint64_t done = elapsed(c, now);

    if (!is_counting(c))
        return c->mode != 0;
    switch (c->mode) {
    case 0:
    case 1: return done >= c->reload;
    case 2: return c->stopped || done % c->reload != c->reload - 1;
    case 3: return c->stopped || done % c->reload < (c->reload + 1) / 2;
    default: return done != c->reload;
    }
}

/* What the counting element holds, in clocks. */
static uint32_t count_value(const Counter *c, int64_t now)
{
    uint64_t done = elapsed(c, now), phase;
    uint32_t modulus = c->control & CONTROL_BCD ? 10000 : 0x10000;

    if (!is_counting(c))
        return c->reload % modulus;
    switch (c->mode) {
    case 2: return (c->reload - done % c->reload) % modulus;
    case 3: /* by twos, odd counts one clock longer high than low */
        phase = done % c->reload;
        if (phase >= (c->reload + 1) / 2)
            phase -= (c->reload + 1) / 2;
        return ((c->reload & ~1u) - 2 * (uint32_t)phase) % modulus;
    default: /* runs on past zero */ return (c->reload + modulus - done % modulus) % modulus;
    }
}

static uint16_t register_value(const Counter *c, int64_t now)
{
    uint32_t value = count_value(c, now);
    if (c->control & CONTROL_BCD)
        value = value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 | value / 1000 << 12;
    return value;
}

static uint32_t count_from_register(const Counter *c, uint16_t value)
{
    if (!(c->control & CONTROL_BCD))
        return value ? value : 0x10000;
    uint32_t count =
        (value & 15) + (value >> 4 & 15) * 10 + (value >> 8 & 15) * 100 + (value >> 12) * 1000;
    return count ? count : 10000;
}

/* --- counter 0's interrupt ------------------------------------------------------------------ */

static int64_t beat_time(const Counter *c)
{
    return c->start + clocks_to_ns(c->beat * c->reload);
}

/* Aims the timer at the next rising edge of OUT 0. */
static void schedule(I8254 *pit)
{
    Counter *c = &pit->counter[0];

    pit->resting = false;
    if (!is_counting(c) || c->stopped || (!is_periodic(c) && c->beat > 1))
        clock_timer_cancel(pit->timer);
    else if (c->next_reload)
        clock_timer_set(pit->timer, c->start + clocks_to_ns(c->boundary));
    else
        clock_timer_set(pit->timer, beat_time(c));
}

static void timer_expired(void *opaque)
{
    I8254 *pit = opaque;
    Counter *c = &pit->counter[0];
    int64_t now = clock_now(pit->board->clock);

    take_over(c, now);
    if (now < beat_time(c)) {
        schedule(pit);
        return;
    }
    /* OUT is low for one clock (mode 2) or half the period (mode 3) before it rises; what matters
     * to the interrupt controllers is the edge. */
    irq_set(&pit->irq, false);
    irq_set(&pit->irq, true);
    c->beat++;
    if (!is_periodic(c))
        return;
    pit->resting = pit->unheard;
    if (pit->resting)
        return;
    if (beat_is_lost(beat_time(c), now))
        c->beat = elapsed(c, now) / c->reload + 1;
    clock_timer_set(pit->timer, beat_deadline(beat_time(c), now));
}

static void out_changed(I8254 *pit, int index)
{
    if (index != 0)
        return;
    irq_set(&pit->irq, out_level(&pit->counter[0], clock_now(pit->board->clock)));
    schedule(pit);
}

void i8254_set_heard(void *opaque, int number, bool heard)
{
    I8254 *pit = opaque;
    Counter *c = &pit->counter[0];

    pit->unheard = !heard;
    if (!heard || !pit->resting)
        return;
    c->beat = elapsed(c, clock_now(pit->board->clock)) / c->reload + 1;
    out_changed(pit, 0);
}

/* --- programming ---------------------------------------------------------------------------- */

static void start(Counter *c, uint32_t reload, int64_t now)
{
    c->reload = reload;
    c->next_reload = 0;
    c->start = now;
    c->held = 0;
    c->beat = 1;
    c->stopped = !c->gate && c->mode != 1 && c->mode != 5;
}

static void load(I8254 *pit, int index, uint16_t value)
{
    Counter *c = &pit->counter[index];
    int64_t now = clock_now(pit->board->clock);
    uint32_t count = count_from_register(c, value);

    if ((c->mode == 1 || c->mode == 5) || (is_periodic(c) && c->loaded)) {
        if (is_periodic(c) && !c->stopped) {
            take_over(c, now);
            uint64_t unit = c->mode == 3 ? (c->reload + 1) / 2 : c->reload;
            uint64_t phase = elapsed(c, now) % c->reload, whole = elapsed(c, now) - phase;
            c->boundary = whole + (phase < unit ? unit : c->reload);
        }
        if (c->stopped || !c->loaded || (!c->triggered && !is_periodic(c)))
            c->reload = count; /* nothing is counting: the next trigger takes it */
        else
            c->next_reload = count;
        c->loaded = true;
    } else {
        c->loaded = true;
        start(c, count, now);
    }
    out_changed(pit, index);
}

static void write_counter(I8254 *pit, int index, uint8_t value)
{
    Counter *c = &pit->counter[index];

    switch (c->control >> 4 & 3) {
    case ACCESS_LOW: load(pit, index, value); break;
    case ACCESS_HIGH: load(pit, index, value << 8); break;
    case ACCESS_BOTH:
        if (!c->write_high) {
            c->write_low = value;
            if (c->mode == 0) { /* the first byte stops the count, OUT goes low */
                c->loaded = false;
                out_changed(pit, index);
            }
        } else {
            load(pit, index, value << 8 | c->write_low);
        }
        c->write_high = !c->write_high;
    }
}

static void latch_count(I8254 *pit, Counter *c)
{
    if (c->count_latched)
        return;
    int64_t now = clock_now(pit->board->clock);
    take_over(c, now);
    c->latch = register_value(c, now);
    c->count_latched = true;
}

static void latch_status(I8254 *pit, Counter *c)
{
    if (c->status_latched)
        return;
    int64_t now = clock_now(pit->board->clock);
    take_over(c, now);
    c->status = c->control | (out_level(c, now) ? STATUS_OUT : 0) |
                (!c->loaded || c->next_reload ? STATUS_NULL_COUNT : 0);
    c->status_latched = true;
}

static void write_control(I8254 *pit, uint8_t value)
{
    int index = value >> 6;

    if (index == 3) { /* read-back command */
        for (int i = 0; i < 3; i++) {
            if (!(value >> (i + 1) & 1))
                continue;
            if (!(value & READ_BACK_NO_COUNT))
                latch_count(pit, &pit->counter[i]);
            if (!(value & READ_BACK_NO_STATUS))
                latch_status(pit, &pit->counter[i]);
        }
        return;
    }
    Counter *c = &pit->counter[index];
    if (!(value & 0x30)) { /* counter latch command */
        latch_count(pit, c);
        return;
    }
    c->control = value & 0x3f;
    c->mode = value >> 1 & 7;
    if (c->mode > 5) /* x10 and x11 */
        c->mode -= 4;
    c->loaded = false;
    c->triggered = false;
    c->stopped = false;
    c->next_reload = 0;
    c->write_high = c->read_high = false;
    c->count_latched = c->status_latched = false;
    out_changed(pit, index);
}

static uint8_t read_counter(I8254 *pit, Counter *c)
{
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    int64_t now = clock_now(pit->board->clock);
    take_over(c, now);
    uint16_t value = c->count_latched ? c->latch : register_value(c, now);
    switch (c->control >> 4 & 3) {
    case ACCESS_LOW: c->count_latched = false; return value;
    case ACCESS_HIGH: c->count_latched = false; return value >> 8;
    default:
        c->read_high = !c->read_high;
        if (c->read_high)
            return value;
        c->count_latched = false;
        return value >> 8;
    }
}

/* Data sheet, figure 21: what the gate does. */
static void set_gate(I8254 *pit, int index, bool gate)
{
    Counter *c = &pit->counter[index];
    int64_t now = clock_now(pit->board->clock);

    if (gate == c->gate)
        return;
    take_over(c, now);
    c->gate = gate;
    if (!c->loaded)
        return;
    switch (c->mode) {
    case 0:
    case 4: /* stops and goes on */
        if (gate) {
            c->start = now - clocks_to_ns(c->held);
        } else {
            c->held = elapsed(c, now);
        }
        c->stopped = !gate;
        break;
    case 1:
    case 5: /* a rising edge starts over */
        if (gate) {
            start(c, c->next_reload ? c->next_reload : c->reload, now);
            c->triggered = true;
        }
        break;
    default: /* stops with OUT high; a rising edge starts over */
        if (gate) {
            start(c, c->next_reload ? c->next_reload : c->reload, now);
        } else {
            c->held = elapsed(c, now);
            c->stopped = true;
        }
    }
    out_changed(pit, index);
}

/* --- ports ---------------------------------------------------------------------------------- */

static void pit_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    if (port == PORT_CONTROL)
        write_control(opaque, value);
    else
        write_counter(opaque, port - PORT_COUNTER, value);
}

static uint32_t pit_read(void *opaque, uint16_t port, unsigned size)
{
    I8254 *pit = opaque;
    return port == PORT_CONTROL ? 0xff : read_counter(pit, &pit->counter[port - PORT_COUNTER]);
}

static void port_b_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    I8254 *pit = opaque;

    pit->port_b = value & PORT_B_WRITABLE;
    set_gate(pit, 2, value & PORT_B_GATE2);
}

static uint32_t port_b_read(void *opaque, uint16_t port, unsigned size)
{
    I8254 *pit = opaque;
    int64_t now = clock_now(pit->board->clock);
    uint8_t value = pit->port_b;

    take_over(&pit->counter[2], now);
    if (out_level(&pit->counter[2], now))
        value |= PORT_B_OUT2;
    if (now / REFRESH_NS & 1)
        value |= PORT_B_REFRESH;
    return value;
}

static const PortOps pit_ops = {.read = pit_read, .write = pit_write, .max_size = 1};
static const PortOps port_b_ops = {.read = port_b_read, .write = port_b_write, .max_size = 1};

unsigned i8254_speaker_hz(I8254 *pit)
{
    const Counter *c = &pit->counter[2];
    bool on = (pit->port_b & (PORT_B_GATE2 | PORT_B_SPEAKER)) == (PORT_B_GATE2 | PORT_B_SPEAKER);
    return on && c->mode == 3 && c->loaded ? I8254_HZ / c->reload : 0;
}

I8254 *i8254_new(Board *board, IrqLine irq)
{
    I8254 *pit = g_new0(I8254, 1);

    pit->board = board;
    pit->irq = irq;
    pit->timer = clock_timer_new(board->clock, timer_expired, pit);
    i8254_reset(pit);
    port_register(board->memory, PORT_COUNTER, 4, &pit_ops, pit);
    port_register(board->memory, PORT_B, 1, &port_b_ops, pit);
    return pit;
}

void i8254_free(I8254 *pit)
{
    if (!pit)
        return;
    port_unregister(pit->board->memory, PORT_COUNTER, 4, pit);
    port_unregister(pit->board->memory, PORT_B, 1, pit);
    clock_timer_free(pit->timer);
    g_free(pit);
}

/* The part's state is undefined until programmed; as on QEMU's board, all counters start in mode 3
 * with the longest period, and counter 0 thus ticks at 18.2 Hz. */
void i8254_reset(I8254 *pit)
{
    int64_t now = clock_now(pit->board->clock);

    pit->port_b = 0;
    for (int i = 0; i < 3; i++) {
        Counter *c = &pit->counter[i];
        *c = (Counter){.control = ACCESS_BOTH << 4 | 3 << 1, .mode = 3, .gate = i != 2};
        c->loaded = true;
        start(c, 0x10000, now);
    }
    out_changed(pit, 0);
}

void i8254_describe(I8254 *pit, GString *out)
{
    int64_t now = clock_now(pit->board->clock);

    for (int i = 0; i < 3; i++) {
        Counter *c = &pit->counter[i];
        take_over(c, now);
        g_string_append_printf(
            out, "counter %d: mode %u %s reload %u (%u Hz) count %u out %d gate %d%s\n", i, c->mode,
            c->control & CONTROL_BCD ? "BCD" : "binary", c->reload,
            c->reload ? I8254_HZ / c->reload : 0, count_value(c, now), out_level(c, now), c->gate,
            c->loaded ? "" : " not loaded");
    }
    g_string_append_printf(out, "port 61h: %02x\n", port_b_read(pit, PORT_B, 1));
}
