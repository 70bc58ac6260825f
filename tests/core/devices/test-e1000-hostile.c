/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What a driver must not do to the e1000: rings that loop, lengths past the end, DMA to nowhere and
 * to the card itself, absurd headers, and noise. Nothing may crash, hang or be read past its end;
 * the work of one access stays bounded. */

#include "tests/core/devices/e1000-fixture.h"

enum { C_EOP = 1 << 24, C_TSE = 1 << 26, C_RS = 1 << 27, C_DATA = 1 << 20 | 1 << 29 };

static void drain(Nic *nic)
{
    for (int i = 0; i < 100; i++)
        clock_advance(nic->storage.board.clock, 1000000);
    g_ptr_array_set_size(nic->wire->sent, 0);
}

static void test_rings(void)
{
    Nic nic;
    uint8_t frame[1000];

    nic_init(&nic);
    nic_start(&nic);
    make_frame(frame, "52:54:00:ab:cd:01", sizeof frame);
    /* Head and tail past the end, rings of no length, rings nowhere. */
    static const uint32_t values[] = {0, 1, 31, 32, 33, 0xffff, 0xffffffff};
    for (size_t length = 0; length < G_N_ELEMENTS(values); length++)
        for (size_t head = 0; head < G_N_ELEMENTS(values); head++)
            for (size_t tail = 0; tail < G_N_ELEMENTS(values); tail++) {
                static const uint64_t bases[] = {0, TX_RING, 0xfffffff0, 0xffffffff00000000};
                uint64_t base = bases[(head + tail) % 4];
                for (uint32_t block = 0x2800; block <= 0x3800; block += 0x1000) {
                    set(&nic, block, (uint32_t)base);
                    set(&nic, block + 4, (uint32_t)(base >> 32));
                    set(&nic, block + 8, values[length] * 128);
                    set(&nic, block + 0x10, values[head]);
                    set(&nic, block + 0x18, values[tail]);
                }
                arrive(&nic, frame, sizeof frame);
            }
    drain(&nic);
    nic_destroy(&nic);
}

/* A ring as long as can be, without an end of a frame. */
static void test_endless_frame(void)
{
    Nic nic;
    MemoryMap *memory;

    nic_init(&nic);
    nic_start(&nic);
    memory = nic.storage.board.memory;
    set(&nic, 0x3800, 0x200000);
    set(&nic, 0x3808, 0xfff80);
    for (unsigned i = 0; i < 0xfff80 / 16; i++) {
        memory_write_uint(memory, 0x200000 + i * 16, TX_BUFFER, 8);
        memory_write_uint(memory, 0x200000 + i * 16 + 8, 0xffff | C_RS, 8);
    }
    gint64 begin = g_get_monotonic_time();
    set(&nic, 0x3818, 0xfff80 / 16 - 1);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, G_TIME_SPAN_SECOND);
    drain(&nic);
    g_assert_cmpuint(nic.wire->sent->len, ==, 0);
    nic_destroy(&nic);
}

/* A megabyte in segments of one byte: bounded in one access, done in the end. */
static void test_absurd_segments(void)
{
    Nic nic;

    nic_init(&nic);
    nic_start(&nic);
    for (unsigned mss = 0; mss < 3; mss++)
        for (unsigned header = 0; header < 256; header += 51) {
            uint64_t random = (uint64_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();
            set(&nic, 0x3810, 0);
            set(&nic, 0x3818, 0);
            tx_descriptor(&nic, 0, random, 1u << 29 | 3 << 24 | C_TSE, header << 8 | mss << 16);
            tx_descriptor(&nic, 1, TX_BUFFER, 0x3fff | C_DATA | C_TSE, 3 << 8);
            tx_descriptor(&nic, 2, TX_BUFFER, 1 | C_DATA | C_TSE | C_EOP | C_RS, 0);
            set(&nic, 0x3818, 3);
            g_assert_cmpuint(nic.wire->sent->len, <, 1000);
            for (int i = 0; i < 1000 && reg(&nic, 0x3810) != 3; i++)
                clock_advance(nic.storage.board.clock, 100000);
            g_assert_cmpuint(reg(&nic, 0x3810), ==, 3);
            g_ptr_array_set_size(nic.wire->sent, 0);
        }
    /* MSS and header as large as they come. */
    set(&nic, 0x3810, 0);
    set(&nic, 0x3818, 0);
    tx_descriptor(&nic, 0, UINT64_MAX, 1u << 29 | 3 << 24 | C_TSE, 255 << 8 | 0xffffu << 16);
    tx_descriptor(&nic, 1, 0, 0xfffff | C_DATA | C_TSE | C_EOP, 3 << 8);
    set(&nic, 0x3818, 2);
    drain(&nic);
    nic_destroy(&nic);
}

/* Descriptors and buffers in the card's own registers. */
static void test_own_registers(void)
{
    Nic nic;
    uint8_t frame[1000];
    MemoryMap *memory;

    nic_init(&nic);
    memory = nic.storage.board.memory;
    for (uint32_t offset = 0; offset < 0x6000; offset += 0x20) {
        nic_start(&nic);
        memset(frame, offset >> 4, sizeof frame);
        make_frame(frame, "ff:ff:ff:ff:ff:ff", 40);
        for (int i = 0; i < RING; i++)
            memory_write_uint(memory, RX_RING + i * 16, BAR0 + offset, 8);
        set(&nic, 0x5000, 0x300);
        arrive(&nic, frame, sizeof frame);
        tx_descriptor(&nic, 0, BAR0 + offset, 100 | C_EOP | C_RS, 0);
        set(&nic, 0x3818, 1);
        set(&nic, 0x2800, BAR0 + offset);
        arrive(&nic, frame, sizeof frame);
        set(&nic, 0x3800, BAR0 + offset);
        set(&nic, 0x3818, 3);
        clock_advance(nic.storage.board.clock, 1000000);
        g_ptr_array_set_size(nic.wire->sent, 0);
        set(&nic, 0, 1 << 26);
    }
    drain(&nic);
    nic_destroy(&nic);
}

/* The doorbell of the transmitter, rung by the receiver. */
static void test_doorbell_by_dma(void)
{
    Nic nic;
    uint8_t frame[64];

    nic_init(&nic);
    nic_start(&nic);
    tx_descriptor(&nic, 0, TX_BUFFER, 100 | C_EOP | 1 << 25, 0);
    set(&nic, 0x2818, 1);
    memory_write_uint(nic.storage.board.memory, RX_RING, BAR0 + 0x3818, 8);
    make_frame(frame, "ff:ff:ff:ff:ff:ff", 64);
    memcpy(frame, "\xff\xff\xff\xff\xff\xff", 6);
    arrive(&nic, frame, 64); /* TDT becomes FFFF */
    g_assert_cmpuint(nic.wire->sent->len, ==, 0);
    drain(&nic);
    nic_destroy(&nic);
}

static void test_noise(void)
{
    Nic nic;
    MemoryMap *memory;
    g_autofree uint8_t *frame = g_malloc(65600);

    nic_init(&nic);
    memory = nic.storage.board.memory;
    static const uint32_t interesting[] = {0x0000, 0x00c0, 0x00c4, 0x00c8, 0x00d0, 0x0100, 0x0400,
                                           0x2800, 0x2808, 0x2810, 0x2818, 0x2820, 0x282c, 0x3800,
                                           0x3808, 0x3810, 0x3818, 0x3820, 0x382c, 0x5000, 0x5400,
                                           0x5404, 0x0010, 0x0014, 0x0020, 0x0038, 0x2c00, 0x3828};
    for (int round = 0; round < 60000; round++) {
        uint32_t offset = interesting[g_test_rand_int_range(0, G_N_ELEMENTS(interesting))];
        uint32_t value = (uint32_t)g_test_rand_int() >> g_test_rand_int_range(0, 32);
        switch (round % 8) {
        case 0: nic_start(&nic); break;
        case 1:
            for (int i = 0; i < RING * 16; i += 4)
                memory_write_uint(memory, TX_RING + i,
                                  (uint32_t)g_test_rand_int() >> g_test_rand_int_range(0, 24), 4);
            set(&nic, 0x3818, (uint32_t)g_test_rand_int_range(0, RING));
            break;
        case 2: {
            size_t length = (size_t)g_test_rand_int_range(0, round % 64 ? 2000 : 65600);
            make_frame(frame, "ff:ff:ff:ff:ff:ff", MAX(length, 14));
            if (length > 30)
                for (int i = 12; i < 30; i++)
                    frame[i] = (uint8_t)g_test_rand_int();
            put_be16(frame + 12, round & 8 ? 0x0800 : round & 16 ? 0x86dd : 0x8100);
            arrive(&nic, frame, length);
            break;
        }
        case 3: clock_advance(nic.storage.board.clock, g_test_rand_int_range(0, 100000)); break;
        default:
            memory_write_uint(memory, BAR0 + offset, value, 1u << g_test_rand_int_range(0, 4));
            memory_read_uint(memory, BAR0 + offset, 1u << g_test_rand_int_range(0, 4));
            break;
        }
        if (round % 256 == 0)
            g_ptr_array_set_size(nic.wire->sent, 0);
    }
    drain(&nic);
    nic_destroy(&nic);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/e1000-hostile/rings", test_rings);
    g_test_add_func("/e1000-hostile/endless-frame", test_endless_frame);
    g_test_add_func("/e1000-hostile/absurd-segments", test_absurd_segments);
    g_test_add_func("/e1000-hostile/own-registers", test_own_registers);
    g_test_add_func("/e1000-hostile/doorbell-by-dma", test_doorbell_by_dma);
    g_test_add_func("/e1000-hostile/noise", test_noise);
    return g_test_run();
}
