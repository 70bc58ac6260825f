/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The MC146818, driven through ports 70h-73h. */

#include "core/chipset/mc146818.h"
#include "timer-fixture.h"

static uint8_t get(TimerFixture *f, uint8_t reg)
{
    out8(f, 0x70, reg);
    return in8(f, 0x71);
}

static void put(TimerFixture *f, uint8_t reg, uint8_t value)
{
    out8(f, 0x70, reg);
    out8(f, 0x71, value);
}

static Mc146818 *new_rtc(TimerFixture *f, const char *base)
{
    return mc146818_new(&f->board, (IrqLine){count_edges, f, 8}, base);
}

static void test_time(void)
{
    TimerFixture *f = timer_fixture_new();
    Mc146818 *rtc = new_rtc(f, "1999-12-31T23:59:58");

    g_assert_cmphex(get(f, 0x00), ==, 0x58);
    g_assert_cmphex(get(f, 0x04), ==, 0x23);
    g_assert_cmphex(get(f, 0x06), ==, 6); /* a Friday */
    g_assert_cmphex(get(f, 0x09), ==, 0x99);
    g_assert_cmphex(get(f, 0x32), ==, 0x19);
    g_assert_cmphex(get(f, 0x0d), ==, 0x80);
    fixture_advance(f, 2 * NS_PER_SECOND);
    g_assert_cmphex(get(f, 0x00), ==, 0x00);
    g_assert_cmphex(get(f, 0x07), ==, 0x01);
    g_assert_cmphex(get(f, 0x08), ==, 0x01);
    g_assert_cmphex(get(f, 0x09), ==, 0x00);
    g_assert_cmphex(get(f, 0x32), ==, 0x20);

    /* Set it as operating systems do, binary and 12 hours. */
    put(f, 0x0b, 0x84);
    put(f, 0x04, 0x80 | 11); /* 11 PM */
    put(f, 0x02, 59);
    put(f, 0x00, 59);
    put(f, 0x07, 28);
    put(f, 0x08, 2);
    put(f, 0x09, 24);
    put(f, 0x06, 4);
    fixture_advance(f, 5 * NS_PER_SECOND); /* stands still */
    g_assert_cmpuint(get(f, 0x00), ==, 59);
    put(f, 0x0b, 0x04);
    fixture_advance(f, NS_PER_SECOND);
    g_assert_cmphex(get(f, 0x04), ==, 12); /* midnight */
    g_assert_cmpuint(get(f, 0x07), ==, 29);
    g_assert_cmpuint(get(f, 0x06), ==, 5);

    /* The divider's release delays the first update to half a second. */
    put(f, 0x0a, 0x76);
    fixture_advance(f, 3 * NS_PER_SECOND);
    unsigned second = get(f, 0x00);
    put(f, 0x0a, 0x26);
    fixture_advance(f, 499 * 1000000);
    g_assert_cmpuint(get(f, 0x00), ==, second);
    fixture_advance(f, 1000000);
    g_assert_cmpuint(get(f, 0x00), ==, second + 1);

    /* Any century. */
    put(f, 0x0b, 0x82);
    put(f, 0x32, 0x16);
    put(f, 0x09, 0x00);
    put(f, 0x08, 0x02);
    put(f, 0x07, 0x28);
    put(f, 0x0b, 0x02);
    fixture_advance(f, 86400 * NS_PER_SECOND);
    g_assert_cmphex(get(f, 0x07), ==, 0x29);
    g_assert_cmphex(get(f, 0x32), ==, 0x16);
    mc146818_free(rtc);
    timer_fixture_free(f);
}

static void test_uip(void)
{
    TimerFixture *f = timer_fixture_new();
    Mc146818 *rtc = new_rtc(f, "2020-01-01");

    g_assert_cmphex(get(f, 0x0a), ==, 0x26);
    fixture_advance(f, NS_PER_SECOND - 1000000);
    g_assert_cmphex(get(f, 0x0a), ==, 0xa6);
    g_assert_cmphex(get(f, 0x0c), ==, 0x40);
    fixture_advance(f, 1000000);
    g_assert_cmphex(get(f, 0x0a), ==, 0x26);
    g_assert_cmphex(get(f, 0x0c), ==, 0x50); /* update ended */
    g_assert_cmphex(get(f, 0x0c), ==, 0x00);
    mc146818_free(rtc);
    timer_fixture_free(f);
}

static void test_interrupts(void)
{
    TimerFixture *f = timer_fixture_new();
    Mc146818 *rtc = new_rtc(f, "2020-01-01T12:00:00");

    put(f, 0x0a, 0x26); /* 1024 Hz */
    put(f, 0x0b, 0x42);
    for (int i = 0; i < 10000; i++) {
        fixture_advance(f, 100000);
        if (f->line)
            g_assert_cmphex(get(f, 0x0c) & 0xc0, ==, 0xc0);
    }
    g_assert_cmpuint(f->edges, >=, 1023);
    g_assert_cmpuint(f->edges, <=, 1024);
    get(f, 0x0c);

    put(f, 0x0b, 0x12); /* update-ended */
    get(f, 0x0c);
    f->edges = 0;
    for (int i = 0; i < 5; i++) {
        fixture_advance(f, NS_PER_SECOND);
        g_assert_cmphex(get(f, 0x0c) & 0x90, ==, 0x90);
    }
    g_assert_cmpuint(f->edges, ==, 5);

    /* Alarm at 12:01:00, then every minute. */
    put(f, 0x01, 0x00);
    put(f, 0x03, 0x01);
    put(f, 0x05, 0x12);
    put(f, 0x0b, 0x22);
    get(f, 0x0c);
    f->edges = 0;
    fixture_advance(f, 53 * NS_PER_SECOND);
    g_assert_cmpuint(f->edges, ==, 0);
    fixture_advance(f, NS_PER_SECOND);
    g_assert_cmpuint(f->edges, ==, 1);
    g_assert_cmphex(get(f, 0x0c) & 0xa0, ==, 0xa0);
    put(f, 0x03, 0xff);
    put(f, 0x05, 0xff);
    fixture_advance(f, 60 * NS_PER_SECOND);
    g_assert_cmphex(get(f, 0x0c) & 0xa0, ==, 0xa0);
    g_assert_cmpuint(f->edges, ==, 2);
    put(f, 0x01, 0x99); /* never */
    fixture_advance(f, 120 * NS_PER_SECOND);
    g_assert_cmpuint(f->edges, ==, 2);

    put(f, 0x0b, 0x72);
    mc146818_reset(rtc);
    g_assert_cmphex(get(f, 0x0b), ==, 0x02);
    mc146818_free(rtc);
    timer_fixture_free(f);
}

static void test_memory(void)
{
    TimerFixture *f = timer_fixture_new();
    Mc146818 *rtc = new_rtc(f, "utc");

    g_assert_cmphex(get(f, 0x15) | get(f, 0x16) << 8, ==, 640);
    g_assert_cmphex(get(f, 0x17) | get(f, 0x18) << 8, ==, 0xffff);
    g_assert_cmphex(get(f, 0x34) | get(f, 0x35) << 8, ==, 240 * 16);
    g_assert_cmphex(get(f, 0x5f), ==, 3);
    mc146818_set_memory(rtc, 3ull << 30, 5ull << 30);
    g_assert_cmphex(get(f, 0x5b) | get(f, 0x5c) << 8 | get(f, 0x5d) << 16, ==, 5 * 16384);
    mc146818_set_boot_order(rtc, "dcn", false);
    g_assert_cmphex(get(f, 0x3d), ==, 0x23);
    g_assert_cmphex(get(f, 0x38), ==, 0x41);
    mc146818_set_floppies(rtc, 4, 0);
    g_assert_cmphex(get(f, 0x10), ==, 0x40);
    g_assert_cmphex(get(f, 0x14), ==, 0x07);
    unsigned sum = 0;
    for (int i = 0x10; i <= 0x2d; i++)
        sum += get(f, i);
    g_assert_cmphex(get(f, 0x2e) << 8 | get(f, 0x2f), ==, sum);
    put(f, 0x8f, 0x0a); /* shutdown byte, NMI masked by bit 7 */
    g_assert_cmphex(mc146818_get(rtc, 0x0f), ==, 0x0a);
    g_assert_true(mc146818_nmi_masked(rtc));
    out8(f, 0x72, 0x05);
    out8(f, 0x73, 0x5a);
    g_assert_cmphex(in8(f, 0x73), ==, 0x5a);
    g_assert_cmphex(get(f, 0x05), !=, 0x5a);

    int64_t host = g_get_real_time() / G_USEC_PER_SEC;
    int drift = ABS((int)((get(f, 0) >> 4) * 10 + (get(f, 0) & 15)) - (int)(host % 60));
    g_assert_true(drift <= 1 || drift == 59);
    g_assert_true(mc146818_base_is_valid("2006-06-17T16:01:21"));
    g_assert_true(mc146818_base_is_valid("localtime"));
    g_assert_false(mc146818_base_is_valid("yesterday"));
    mc146818_free(rtc);
    timer_fixture_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chipset/rtc/time", test_time);
    g_test_add_func("/chipset/rtc/uip", test_uip);
    g_test_add_func("/chipset/rtc/interrupts", test_interrupts);
    g_test_add_func("/chipset/rtc/memory", test_memory);
    return g_test_run();
}
