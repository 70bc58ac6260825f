/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The AT's DMA controllers, programmed through their ports. */

#include "core/chipset/i8237.h"

#include <string.h>

typedef struct {
    Board board;
    uint8_t *ram;
    unsigned woken;
} Fixture;

static void fixture_init(Fixture *f)
{
    Board *board = &f->board;
    memset(f, 0, sizeof *f);
    board->memory = memory_map_new();
    board->ram = ram_block_new(board->memory, "ram", 16 << 20, NULL);
    memory_region_place(
        memory_region_new_ram(board->memory, "ram", board->ram, 0, board->ram->size), 0, 0);
    f->ram = board->ram->host;
    board->dma = isa_dma_new(board);
}

static void fixture_destroy(Fixture *f)
{
    isa_dma_free(f->board.dma);
    memory_map_free(f->board.memory);
}

static void outb(Fixture *f, uint16_t port, uint8_t value)
{
    port_write(f->board.memory, port, value, 1);
}

static uint8_t inb(Fixture *f, uint16_t port)
{
    return port_read(f->board.memory, port, 1);
}

/* As a BIOS does: channel 4 cascades the first controller. */
static void enable_cascade(Fixture *f)
{
    outb(f, 0xd6, 0xc0);
    outb(f, 0xd4, 0x00);
}

static void program(Fixture *f, int channel, uint8_t mode, uint32_t address, unsigned units)
{
    static const uint16_t pages[8] = {0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a};
    unsigned step = channel > 3 ? 2 : 1, base = channel > 3 ? 0xc0 : 0, n = channel & 3;
    uint16_t counter = channel > 3 ? address >> 1 : address, count = units - 1;

    outb(f, base + 10 * step, 4 | n);
    outb(f, base + 12 * step, 0);
    outb(f, base + 11 * step, mode | n);
    outb(f, base + 2 * n * step, counter);
    outb(f, base + 2 * n * step, counter >> 8);
    outb(f, pages[channel], address >> 16);
    outb(f, base + (2 * n + 1) * step, count);
    outb(f, base + (2 * n + 1) * step, count >> 8);
    outb(f, base + 10 * step, n);
}

static void test_bytes(void)
{
    Fixture f;
    uint8_t data[16], back[16] = {0};
    bool tc;

    fixture_init(&f);
    for (int i = 0; i < 16; i++)
        data[i] = i + 1;
    program(&f, 2, 0x44, 0x123456, 16);
    /* nothing passes until channel 4 is open */
    g_assert_cmpuint(isa_dma_transfer(f.board.dma, 2, data, 16, true, &tc), ==, 0);
    enable_cascade(&f);
    g_assert_true(isa_dma_ready(f.board.dma, 2));
    g_assert_cmpuint(isa_dma_transfer(f.board.dma, 2, back, 16, false, &tc), ==, 0);
    g_assert_cmpuint(isa_dma_transfer(f.board.dma, 2, data, 10, true, &tc), ==, 10);
    g_assert_false(tc);
    outb(&f, 0x0c, 0);
    g_assert_cmphex(inb(&f, 4), ==, 0x60);
    g_assert_cmphex(inb(&f, 4), ==, 0x34);
    g_assert_cmphex(inb(&f, 5), ==, 5);
    g_assert_cmphex(inb(&f, 5), ==, 0);
    g_assert_cmpuint(isa_dma_transfer(f.board.dma, 2, data + 10, 10, true, &tc), ==, 6);
    g_assert_true(tc);
    g_assert_cmpmem(f.ram + 0x123456, 16, data, 16);
    g_assert_cmphex(f.ram[0x123466], ==, 0);
    g_assert_cmphex(inb(&f, 8), ==, 4); /* reading clears */
    g_assert_cmphex(inb(&f, 8), ==, 0);
    g_assert_false(isa_dma_ready(f.board.dma, 2)); /* masked by TC */
    program(&f, 2, 0x48, 0x123456, 16);
    g_assert_cmpuint(isa_dma_transfer(f.board.dma, 2, back, 100, false, &tc), ==, 16);
    g_assert_cmpmem(back, 16, data, 16);
    fixture_destroy(&f);
}

static void test_wrap_and_decrement(void)
{
    Fixture f;
    uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    bool tc;

    fixture_init(&f);
    enable_cascade(&f);
    program(&f, 1, 0x44, 0x2fffc, 8); /* stays in its 64 KiB page */
    g_assert_cmpuint(isa_dma_transfer(f.board.dma, 1, data, 8, true, &tc), ==, 8);
    g_assert_cmpmem(f.ram + 0x2fffc, 4, data, 4);
    g_assert_cmpmem(f.ram + 0x20000, 4, data + 4, 4);
    program(&f, 1, 0x64, 0x40003, 8); /* counts down */
    g_assert_cmpuint(isa_dma_transfer(f.board.dma, 1, data, 8, true, &tc), ==, 8);
    static const uint8_t low[4] = {4, 3, 2, 1}, high[4] = {8, 7, 6, 5};
    g_assert_cmpmem(f.ram + 0x40000, 4, low, 4);
    g_assert_cmpmem(f.ram + 0x4fffc, 4, high, 4);
    fixture_destroy(&f);
}

static void test_autoinitialize(void)
{
    Fixture f;
    uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    bool tc;

    fixture_init(&f);
    enable_cascade(&f);
    program(&f, 3, 0x54, 0x5000, 4);
    g_assert_cmpuint(isa_dma_transfer(f.board.dma, 3, data, 8, true, &tc), ==, 4);
    g_assert_true(tc);
    g_assert_cmpuint(isa_dma_transfer(f.board.dma, 3, data + 4, 4, true, &tc), ==, 4);
    g_assert_true(tc);
    g_assert_cmpmem(f.ram + 0x5000, 4, data + 4, 4);
    g_assert_true(isa_dma_ready(f.board.dma, 3));
    /* verify: counts, without touching memory */
    program(&f, 3, 0x40, 0x5000, 4);
    g_assert_cmpuint(isa_dma_transfer(f.board.dma, 3, data, 4, true, &tc), ==, 4);
    g_assert_true(tc);
    g_assert_cmpmem(f.ram + 0x5000, 4, data + 4, 4);
    fixture_destroy(&f);
}

static void test_words(void)
{
    Fixture f;
    uint8_t data[16] = {1, 2, 3, 4, 5, 6, 7, 8};
    bool tc;

    fixture_init(&f);
    program(&f, 5, 0x44, 0x3fffc, 4); /* wraps at 128 KiB: page bit 0 is not used */
    g_assert_cmpuint(isa_dma_transfer(f.board.dma, 5, data, 16, true, &tc), ==, 8);
    g_assert_true(tc);
    g_assert_cmpmem(f.ram + 0x3fffc, 4, data, 4);
    g_assert_cmpmem(f.ram + 0x20000, 4, data + 4, 4);
    outb(&f, 0x8c, 0x5a); /* a page register without a channel is a latch */
    g_assert_cmphex(inb(&f, 0x8c), ==, 0x5a);
    outb(&f, 0xda, 0); /* master clear masks everything */
    g_assert_cmphex(inb(&f, 0xde) & 15, ==, 15);
    fixture_destroy(&f);
}

static void wake(void *opaque)
{
    ((Fixture *)opaque)->woken++;
}

static void test_listener(void)
{
    Fixture f;

    fixture_init(&f);
    isa_dma_set_listener(f.board.dma, 2, wake, &f);
    program(&f, 2, 0x44, 0x1000, 4);
    g_assert_cmpuint(f.woken, ==, 0);
    enable_cascade(&f);
    g_assert_cmpuint(f.woken, >, 0);
    fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/i8237/bytes", test_bytes);
    g_test_add_func("/i8237/wrap-and-decrement", test_wrap_and_decrement);
    g_test_add_func("/i8237/autoinitialize", test_autoinitialize);
    g_test_add_func("/i8237/words", test_words);
    g_test_add_func("/i8237/listener", test_listener);
    return g_test_run();
}
