/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The CD/DVD drive, driven as an operating system does. */

#include "ide-fixture.h"

#define DISC (2u << 20)

/* After power-on the first command meets a unit attention. */
static void get_ready(Fixture *f)
{
    g_assert_cmpint(test_unit_ready(f, 0), ==, -6);
    g_assert_cmphex(request_sense(f, 0), ==, 0x62900);
    g_assert_cmpint(test_unit_ready(f, 0), ==, 0);
    g_assert_cmphex(request_sense(f, 0), ==, 0);
}

static void test_identify(void)
{
    Fixture f;
    uint16_t id[256];
    Storage *s = &f.storage;

    fixture_init(&f);
    attach_cd(&f, 1, 0, DISC);
    use_channel(&f, 1);
    g_assert_cmphex(inb(s, 0x177), ==, 0); /* not ready until the first command */
    g_assert_cmphex(inb(s, 0x174), ==, 0x14);
    g_assert_cmphex(inb(s, 0x175), ==, 0xeb);
    outb(s, 0x176, 0xb0); /* for an absent device 1 a packet device answers zeroes */
    g_assert_cmphex(inb(s, 0x174), ==, 0);
    outb(s, 0x176, 0xa0);
    outb(s, 0x177, 0xec);
    g_assert_cmphex(wait_irq(&f) & 1, ==, 1);
    g_assert_cmphex(inb(s, 0x171), ==, 4);
    g_assert_cmphex(inb(s, 0x174), ==, 0x14);
    outb(s, 0x177, 0xa1);
    g_assert_cmphex(wait_irq(&f) & 9, ==, 8);
    read_words(&f, id, sizeof id);
    g_assert_cmphex(id[0], ==, 0x85c0);
    g_assert_cmphex(id[27], ==, 'A' << 8 | 'P');
    fixture_destroy(&f);
}

static void test_read(void)
{
    Fixture f;
    g_autofree uint32_t *data = g_malloc(20 * 2048);

    fixture_init(&f);
    attach_cd(&f, 0, 0, DISC);
    get_ready(&f);
    uint8_t capacity[8];
    g_assert_cmpint(packet_in(&f, 0, (uint8_t[12]){0x25}, 8, capacity, 8), ==, 8);
    static const uint8_t expected[8] = {0, 0, 3, 0xff, 0, 0, 8, 0};
    g_assert_cmpmem(capacity, 8, expected, 8);
    /* READ (10) by PIO with a small limit, READ (12) with the largest */
    uint8_t read10[12] = {0x28, 0, 0, 0, 0, 16, 0, 0, 20};
    g_assert_cmpint(packet_in(&f, 0, read10, 2048, data, 20 * 2048), ==, 20 * 2048);
    for (int i = 0; i < 20 * 512; i++)
        g_assert_cmphex(data[i], ==, storage_pattern(16 * 2048 + i * 4));
    uint8_t read12[12] = {0xa8, 0, 0, 0, 0, 17, 0, 0, 0, 20};
    g_assert_cmpint(packet_in(&f, 0, read12, 0xffff, data, 20 * 2048), ==, 20 * 2048);
    for (int i = 0; i < 20 * 512; i++)
        g_assert_cmphex(data[i], ==, storage_pattern(17 * 2048 + i * 4));
    /* by DMA */
    setup_dma(&f, 0xa000, true);
    send_packet(&f, 0, read10, true, 0);
    start_dma(&f);
    g_assert_cmphex(wait_irq(&f), ==, 0x40);
    g_assert_cmphex(inb(&f.storage, bm_port(&f, 2)), ==, 4);
    stop_dma(&f);
    for (int i = 0; i < 20 * 2048; i += 4)
        g_assert_cmphex(guest_uint(&f, DMA_DATA + i), ==, storage_pattern(16 * 2048 + i));
    /* past the end */
    uint8_t beyond[12] = {0x28, 0, 0, 0, 3, 0xff, 0, 0, 2};
    g_assert_cmpint(packet_in(&f, 0, beyond, 2048, data, 4096), ==, -5);
    g_assert_cmphex(request_sense(&f, 0), ==, 0x52100);
    fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/atapi/identify", test_identify);
    g_test_add_func("/atapi/read", test_read);
    return g_test_run();
}
