/* SPDX-License-Identifier: GPL-3.0-or-later */

/* 8254, HPET, ACPI PM block and system ports, against the numbers of their data sheets. */

#include "core/chipset/hpet.h"
#include "core/chipset/i8254.h"
#include "core/chipset/pm.h"
#include "core/chipset/ports.h"
#include "timer-fixture.h"

enum { HPET = 0xfed00000 };

static IrqLine counted(TimerFixture *f)
{
    return (IrqLine){count_edges, f, 0};
}

/* Time in which CLOCKS of the PIT pass, rounded up. */
static int64_t clocks(int64_t n)
{
    return (n * NS_PER_SECOND + I8254_HZ - 1) / I8254_HZ;
}

static void program(TimerFixture *f, int counter, uint8_t mode, uint16_t count)
{
    out8(f, 0x43, counter << 6 | 3 << 4 | mode << 1);
    out8(f, 0x40 + counter, count);
    out8(f, 0x40 + counter, count >> 8);
}

static unsigned latched(TimerFixture *f, int counter)
{
    out8(f, 0x43, counter << 6);
    unsigned low = in8(f, 0x40 + counter);
    return low | in8(f, 0x40 + counter) << 8;
}

static uint8_t status(TimerFixture *f, int counter)
{
    out8(f, 0x43, 0xe0 | 2 << counter);
    return in8(f, 0x40 + counter);
}

static void test_pit_modes(void)
{
    TimerFixture *f = timer_fixture_new();
    I8254 *pit = i8254_new(&f->board, counted(f));

    /* Mode 2: one interrupt a period, for a long time, without drift. */
    program(f, 0, 2, 1193);
    f->edges = 0;
    fixture_advance(f, clocks(1192));
    g_assert_cmpuint(f->edges, ==, 0);
    fixture_advance(f, clocks(1193) - clocks(1192));
    g_assert_cmpuint(f->edges, ==, 1);
    for (int i = 0; i < 10000; i++)
        fixture_advance(f, 1000000);
    g_assert_cmpuint(f->edges, ==, 1 + (10 * NS_PER_SECOND * I8254_HZ / NS_PER_SECOND) / 1193);

    /* Mode 0. */
    program(f, 0, 0, 1000);
    f->edges = 0;
    g_assert_cmphex(status(f, 0), ==, 0x30);
    fixture_advance(f, clocks(300));
    g_assert_cmpuint(latched(f, 0), ==, 700);
    fixture_advance(f, clocks(700));
    g_assert_cmphex(status(f, 0), ==, 0xb0);
    g_assert_cmpuint(f->edges, ==, 1);
    fixture_advance(f, clocks(10));
    g_assert_cmpuint(latched(f, 0), >, 0xfff0); /* runs on */
    g_assert_cmpuint(f->edges, ==, 1);

    /* Mode 3 counts by twos. */
    program(f, 0, 3, 1000);
    fixture_advance(f, clocks(100));
    g_assert_cmpuint(latched(f, 0), ==, 800);
    g_assert_cmphex(status(f, 0), ==, 0xb6);
    fixture_advance(f, clocks(450));
    g_assert_cmpuint(latched(f, 0), ==, 900);
    g_assert_cmphex(status(f, 0), ==, 0x36);

    /* BCD. */
    out8(f, 0x43, 0x35);
    out8(f, 0x40, 0x00);
    out8(f, 0x40, 0x10); /* 1000 */
    fixture_advance(f, clocks(1));
    g_assert_cmphex(latched(f, 0), ==, 0x0999);

    /* A new count without a control word waits for the end of the period. */
    program(f, 0, 2, 1000);
    fixture_advance(f, clocks(400));
    f->edges = 0;
    out8(f, 0x40, 200);
    out8(f, 0x40, 0);
    g_assert_cmphex(status(f, 0), ==, 0xf4); /* null count */
    fixture_advance(f, clocks(500));
    g_assert_cmpuint(latched(f, 0), ==, 100);
    fixture_advance(f, clocks(101));
    g_assert_cmpuint(f->edges, ==, 1);
    g_assert_cmphex(status(f, 0), ==, 0xb4);
    fixture_advance(f, clocks(200));
    g_assert_cmpuint(f->edges, ==, 2);

    /* The shortest period is bounded work. */
    program(f, 0, 2, 1);
    f->edges = 0;
    fixture_advance(f, 10000000);
    g_assert_cmpuint(f->edges, <, 1000);
    i8254_free(pit);
    timer_fixture_free(f);
}

/* Beats that nobody hears are left out, and the next that somebody hears is on time. */
static void test_pit_unheard(void)
{
    TimerFixture *f = timer_fixture_new();
    Hpet *hpet = hpet_new(&f->board, counted(f), (IrqLine){0}, (IrqLine){0});
    I8254 *pit = i8254_new(&f->board, hpet_pit_line(hpet));

    hpet_connect_heard(hpet, (IrqLine){i8254_set_heard, pit, 0});
    interrupts_connect_heard(f->interrupts, hpet_heard_line(hpet));
    program(f, 0, 2, 11932); /* 10 ms */
    out8(f, 0x21, 0xfe);
    f->edges = 0;
    fixture_advance(f, clocks(11932));
    g_assert_cmpuint(f->edges, ==, 1);

    out8(f, 0x21, 0xff);
    fixture_advance(f, NS_PER_SECOND);
    g_assert_cmpuint(f->edges, ==, 2); /* the one that a controller may latch */
    int64_t period = clocks(11932), phase = clock_now(f->board.clock) % period;
    out8(f, 0x21, 0xfe);
    fixture_advance(f, period - phase - 100000);
    g_assert_cmpuint(f->edges, ==, 2);
    fixture_advance(f, 200000);
    g_assert_cmpuint(f->edges, ==, 3);

    /* The I/O APIC hears it, too; programming it anew beats as ever. */
    out8(f, 0x21, 0xff);
    fixture_advance(f, NS_PER_SECOND);
    g_assert_cmpuint(f->edges, ==, 4);
    program(f, 0, 2, 11932);
    fixture_advance(f, NS_PER_SECOND);
    g_assert_cmpuint(f->edges, ==, 5);
    write32(f, 0xfec00000, 0x10 + 2 * 2);
    write32(f, 0xfec00010, 0x30);
    fixture_advance(f, NS_PER_SECOND / 10);
    g_assert_cmpuint(f->edges, >=, 5 + 9);

    /* Legacy replacement takes the wire away. */
    write32(f, HPET + 0x10, 2);
    f->edges = 0;
    fixture_advance(f, NS_PER_SECOND);
    write32(f, HPET + 0x10, 0);
    g_assert_cmpuint(f->edges, ==, 1);
    fixture_advance(f, NS_PER_SECOND / 10);
    g_assert_cmpuint(f->edges, >=, 1 + 9);
    i8254_free(pit);
    hpet_free(hpet);
    timer_fixture_free(f);
}

/* How Linux measures the TSC: gate 2 up, speaker off, mode 0, wait for OUT 2 at port 61h. */
static void test_pit_port61(void)
{
    TimerFixture *f = timer_fixture_new();
    I8254 *pit = i8254_new(&f->board, counted(f));

    out8(f, 0x61, (in8(f, 0x61) & ~0x02) | 0x01);
    program(f, 2, 0, 59659); /* 50 ms */
    g_assert_cmphex(in8(f, 0x61) & 0x20, ==, 0);
    fixture_advance(f, clocks(59658));
    g_assert_cmphex(in8(f, 0x61) & 0x20, ==, 0);
    fixture_advance(f, 1000);
    g_assert_cmphex(in8(f, 0x61) & 0x20, ==, 0x20);

    program(f, 2, 0, 1000); /* the gate holds the count */
    fixture_advance(f, clocks(100));
    out8(f, 0x61, 0);
    unsigned held = latched(f, 2);
    fixture_advance(f, clocks(5000));
    g_assert_cmpuint(latched(f, 2), ==, held);
    out8(f, 0x61, 1);
    fixture_advance(f, clocks(held));
    g_assert_cmphex(in8(f, 0x61) & 0x20, ==, 0x20);

    program(f, 2, 1, 500); /* one-shot, started by the gate */
    g_assert_cmphex(in8(f, 0x61) & 0x20, ==, 0x20);
    fixture_advance(f, clocks(600));
    out8(f, 0x61, 0);
    out8(f, 0x61, 1);
    g_assert_cmphex(in8(f, 0x61) & 0x20, ==, 0);
    fixture_advance(f, clocks(500));
    g_assert_cmphex(in8(f, 0x61) & 0x20, ==, 0x20);

    unsigned toggles = 0; /* refresh: every 15 us */
    for (int i = 0, last = in8(f, 0x61) & 0x10; i < 1000; i++) {
        fixture_advance(f, 1000);
        int now = in8(f, 0x61) & 0x10;
        toggles += now != last;
        last = now;
    }
    g_assert_cmpuint(toggles, >=, 65);
    g_assert_cmpuint(toggles, <=, 67);

    program(f, 2, 3, 1193);
    out8(f, 0x61, 3);
    g_assert_cmpuint(i8254_speaker_hz(pit), ==, 1000);
    i8254_free(pit);
    timer_fixture_free(f);
}

static void test_hpet(void)
{
    TimerFixture *f = timer_fixture_new();
    IrqLine counter = counted(f), none = {0};
    Hpet *hpet = hpet_new(&f->board, counter, none, none);
    IrqLine pit = hpet_pit_line(hpet);
    uint64_t value;

    g_assert_cmphex(read32(f, HPET), ==, 0x8086a201);
    g_assert_cmphex(read32(f, HPET + 4), ==, 0x989680);
    irq_pulse(&pit);
    g_assert_cmpuint(f->edges, ==, 1);
    write32(f, HPET + 0x10, 3); /* enable, legacy replacement */
    irq_pulse(&pit);
    g_assert_cmpuint(f->edges, ==, 1);
    fixture_advance(f, 12345670);
    g_assert_cmpuint(read32(f, HPET + 0xf0), ==, 1234567);

    /* Periodic as Linux sets it up: VAL_SET, first the comparator, then the period. */
    uint32_t now = read32(f, HPET + 0xf0);
    write32(f, HPET + 0x100, 0x4 | 0x8 | 0x40 | 0x100);
    write32(f, HPET + 0x108, now + 100000);
    write32(f, HPET + 0x108, 100000);
    f->edges = 0;
    fixture_advance(f, 999990);
    g_assert_cmpuint(f->edges, ==, 0);
    fixture_advance(f, 10);
    g_assert_cmpuint(f->edges, ==, 1);
    for (int i = 0; i < 1000; i++)
        fixture_advance(f, 1000000);
    g_assert_cmpuint(f->edges, ==, 1001);
    g_assert_cmphex(read32(f, HPET + 0x100), ==, 0x4 | 0x8 | 0x30 | 0x100);

    /* Its interrupt disabled, the comparator moves on all the same and keeps its beat. */
    uint32_t due = read32(f, HPET + 0x108);
    write32(f, HPET + 0x100, 0x8 | 0x100);
    fixture_advance(f, 5500000);
    g_assert_cmpuint(f->edges, ==, 1001);
    g_assert_cmpuint(read32(f, HPET + 0x108), ==, due + 500000);
    fixture_advance(f, 2000000);
    write32(f, HPET + 0x100, 0x4 | 0x8 | 0x100);
    g_assert_cmpuint(read32(f, HPET + 0x108), ==, due + 700000);
    fixture_advance(f, 490000);
    g_assert_cmpuint(f->edges, ==, 1001);
    fixture_advance(f, 10000);
    g_assert_cmpuint(f->edges, ==, 1002);

    /* One shot, level, acknowledged in the status register. */
    write32(f, HPET + 0x100, 0x4 | 0x2);
    memory_read(f->board.memory, HPET + 0xf0, &value, 8);
    value += 500;
    memory_write(f->board.memory, HPET + 0x108, &value, 8);
    fixture_advance(f, 4990);
    g_assert_cmphex(read32(f, HPET + 0x20), ==, 0);
    fixture_advance(f, 10);
    g_assert_cmphex(read32(f, HPET + 0x20), ==, 1);
    g_assert_true(f->line);
    write32(f, HPET + 0x20, 1);
    g_assert_false(f->line);
    g_assert_cmphex(read32(f, HPET + 0x20), ==, 0);

    write32(f, HPET + 0x10, 0); /* halted: the counter can be set */
    write32(f, HPET + 0xf0, 7);
    write32(f, HPET + 0xf4, 1);
    fixture_advance(f, 1000);
    memory_read(f->board.memory, HPET + 0xf0, &value, 8);
    g_assert_cmphex(value, ==, 0x100000007);
    hpet_free(hpet);
    timer_fixture_free(f);
}

static uint32_t in_n(TimerFixture *f, uint16_t port, unsigned size)
{
    return port_read(f->board.memory, port, size);
}

static void test_pm(void)
{
    TimerFixture *f = timer_fixture_new();
    AcpiPm *pm = acpi_pm_new(&f->board, counted(f));

    acpi_pm_map(pm, 0x600, true);
    uint32_t t0 = in_n(f, 0x608, 4);
    fixture_advance(f, NS_PER_SECOND);
    g_assert_cmpuint((in_n(f, 0x608, 4) - t0) & 0xffffff, ==, 3579545);

    out8(f, 0xb2, 0xf1);
    g_assert_cmphex(in_n(f, 0x604, 2), ==, 1);
    g_assert_false(acpi_pm_power_button(pm)); /* not enabled yet */
    port_write(f->board.memory, 0x602, 0x100, 2);
    g_assert_cmpuint(f->edges, ==, 1); /* the status was waiting */
    g_assert_cmphex(in_n(f, 0x600, 2), ==, 0x100);
    port_write(f->board.memory, 0x600, 0x100, 2);
    g_assert_false(f->line);
    g_assert_true(acpi_pm_power_button(pm));
    out8(f, 0x601, 0x01); /* bytes work as well */
    g_assert_false(f->line);

    f->edges = 0;
    port_write(f->board.memory, 0x600, 1, 2);
    port_write(f->board.memory, 0x602, 1, 2); /* timer status: each time bit 23 changes */
    fixture_advance(f, 2400 * 1000000ll);
    g_assert_cmpuint(f->edges, ==, 1);
    port_write(f->board.memory, 0x600, 1, 2);
    g_assert_false(f->line);
    fixture_advance(f, 2400 * 1000000ll);
    g_assert_cmpuint(f->edges, ==, 2);

    port_write(f->board.memory, 0x604, 0x2401, 2); /* S3 is refused */
    g_assert_cmpuint(f->power_offs, ==, 0);
    g_assert_cmphex(in_n(f, 0x600, 2) & 0x8000, ==, 0x8000);
    port_write(f->board.memory, 0x604, 0x2001, 2);
    g_assert_cmpuint(f->power_offs, ==, 1);
    g_assert_cmphex(in_n(f, 0x604, 2), ==, 1);

    acpi_pm_map(pm, 0xb000, true);
    g_assert_cmphex(in_n(f, 0x604, 2), ==, 0xffff);
    g_assert_cmphex(in_n(f, 0xb004, 2), ==, 1);
    acpi_pm_free(pm);
    timer_fixture_free(f);
}

static void test_system_ports(void)
{
    TimerFixture *f = timer_fixture_new();
    SystemPorts *ports = system_ports_new(&f->board);
    g_autoptr(GString) out = g_string_new(NULL);

    out8(f, 0x92, 0x02);
    g_assert_true(f->a20);
    g_assert_cmphex(in8(f, 0x92), ==, 0x02);
    out8(f, 0x92, 0x03);
    g_assert_cmpuint(f->resets, ==, 1);
    out8(f, 0x92, 0x01);
    g_assert_cmpuint(f->resets, ==, 1);
    g_assert_false(f->a20);
    out8(f, 0x80, 0x11);
    out8(f, 0x80, 0x11);
    out8(f, 0x80, 0x22);
    system_ports_describe(ports, out);
    g_assert_cmpstr(out->str, ==, "POST codes: 11 22\n");
    system_ports_free(ports);
    timer_fixture_free(f);
}

static void count_firing(void *opaque)
{
    (*(unsigned *)opaque)++;
}

static gboolean set_flag(gpointer flag)
{
    *(bool *)flag = true;
    return G_SOURCE_REMOVE;
}

/* Runs what the board thread would run meanwhile. */
static void iterate_for(GMainContext *context, unsigned ms)
{
    g_autoptr(GSource) source = g_timeout_source_new(ms);
    bool over = false;

    g_source_set_callback(source, set_flag, &over, NULL);
    g_source_attach(source, context);
    while (!over)
        g_main_context_iteration(context, TRUE);
}

/* A timer that somebody else looks after fires when it is given back, not before; others fire. */
static void test_borrowed_timer(void)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    GMutex lock;
    unsigned first = 0, second = 0;

    g_mutex_init(&lock);
    Clock *clock = clock_new(context, &lock);
    ClockTimer *own = clock_timer_new(clock, count_firing, &first);
    ClockTimer *other = clock_timer_new(clock, count_firing, &second);
    g_assert_cmpint(clock_timer_borrow(own), ==, INT64_MAX);
    clock_timer_set(own, 5000000);
    g_assert_cmpint(clock_timer_borrow(own), ==, INT64_MAX); /* the clock stands */
    clock_start(clock);
    int64_t due = clock_timer_borrow(own);
    g_assert_cmpint(llabs(due / 1000 - g_get_monotonic_time() - 5000), <, 5000);
    iterate_for(context, 20);
    g_assert_cmpuint(first, ==, 0);
    clock_timer_give_back(own);
    g_assert_cmpuint(first, ==, 1);
    g_assert_false(clock_timer_is_set(own));

    clock_timer_set(own, clock_now(clock) + 5000000);
    clock_timer_borrow(own);
    clock_timer_set(other, clock_now(clock) + 10000000);
    clock_timer_give_back(own); /* too early: the board thread's again */
    iterate_for(context, 30);
    g_assert_cmpuint(first, ==, 2);
    g_assert_cmpuint(second, ==, 1);

    clock_timer_set(own, clock_now(clock) + 5000000);
    clock_timer_borrow(own);
    clock_timer_set(own, clock_now(clock) + 6000000); /* set anew: the board thread's */
    iterate_for(context, 30);
    g_assert_cmpuint(first, ==, 3);
    clock_timer_free(own);
    clock_timer_free(other);
    clock_free(clock);
    g_mutex_clear(&lock);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chipset/i8254/modes", test_pit_modes);
    g_test_add_func("/chipset/i8254/unheard", test_pit_unheard);
    g_test_add_func("/chipset/i8254/port61", test_pit_port61);
    g_test_add_func("/chipset/hpet", test_hpet);
    g_test_add_func("/chipset/pm", test_pm);
    g_test_add_func("/chipset/ports", test_system_ports);
    g_test_add_func("/chipset/clock/borrowed-timer", test_borrowed_timer);
    return g_test_run();
}
