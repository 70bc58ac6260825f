/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* A board with RAM, a PCI bus and image files for the tests of disk controllers. The test plays the
 * guest: it waits for interrupts by running the board's main context. */

#include "core/block/block.h"
#include "core/chipset/pci.h"
#include "core/machine/board.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    Board board;
    bool irq[16];       /* levels */
    unsigned edges[16]; /* rising edges so far */
    unsigned errors;    /* report_error() calls */
    char *directory;
} Storage;

static inline void storage_irq(void *opaque, int number, bool level)
{
    Storage *storage = opaque;
    if (level && !storage->irq[number])
        storage->edges[number]++;
    storage->irq[number] = level;
}

static inline void storage_error(Board *board, const char *source, const char *message)
{
    g_test_message("%s: %s", source, message);
    ((Storage *)board)->errors++;
}

static inline void storage_init(Storage *storage)
{
    Board *board = &storage->board;

    memset(storage, 0, sizeof *storage);
    g_mutex_init(&board->lock);
    board->context = g_main_context_new();
    board->clock = clock_new_manual();
    board->memory = memory_map_new();
    board->ram = ram_block_new(board->memory, "ram", 16 << 20, NULL);
    board->ram_below_4g = 16 << 20;
    MemoryRegion *region =
        memory_region_new_ram(board->memory, "ram", board->ram, 0, board->ram->size);
    memory_region_place(region, 0, 0);
    board->pci = pci_bus_new(board);
    board->report_error = storage_error;
    for (int i = 0; i < 16; i++)
        board->isa_irq[i] = (IrqLine){storage_irq, storage, i};
    storage->directory = g_dir_make_tmp("apiary-storage-XXXXXX", NULL);
}

static inline void storage_destroy(Storage *storage)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", storage->directory);
    pci_bus_free(storage->board.pci);
    memory_map_free(storage->board.memory);
    clock_free(storage->board.clock);
    g_main_context_unref(storage->board.context);
    g_mutex_clear(&storage->board.lock);
    g_assert_cmpint(system(command), ==, 0);
    g_free(storage->directory);
}

/* A raw image of SIZE bytes, whose every 4 bytes tell their place, opened. */
static inline BlockImage *storage_image(Storage *storage, const char *name, uint64_t size)
{
    g_autofree char *path = g_build_filename(storage->directory, name, NULL);
    g_autofree uint32_t *data = g_malloc0(MIN(size, 4 << 20) + 4);
    GError *error = NULL;
    BlockOpenOptions options = {.format = "raw", .discard = true};
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);

    for (uint32_t i = 0; i < MIN(size, 4 << 20) / 4; i++)
        data[i] = i * 2654435761u;
    g_assert_cmpint(write(fd, data, MIN(size, 4 << 20)), ==, MIN(size, 4 << 20));
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    close(fd);
    BlockImage *image = block_image_open(path, &options, &error);
    g_assert_no_error(error);
    return image;
}

/* What storage_image() wrote at OFFSET (a multiple of 4). */
static inline uint32_t storage_pattern(uint64_t offset)
{
    return offset < 4 << 20 ? (uint32_t)(offset / 4) * 2654435761u : 0;
}

/* Runs the board thread's work until *FLAG, for five seconds at most. */
static inline bool storage_wait(Storage *storage, const bool *flag)
{
    gint64 end = g_get_monotonic_time() + 5 * G_TIME_SPAN_SECOND;
    while (!*flag && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(storage->board.context, FALSE))
            g_usleep(50);
    return *flag;
}

static inline uint8_t inb(Storage *s, uint16_t port)
{
    return port_read(s->board.memory, port, 1);
}

static inline uint16_t inw(Storage *s, uint16_t port)
{
    return port_read(s->board.memory, port, 2);
}

static inline uint32_t inl(Storage *s, uint16_t port)
{
    return port_read(s->board.memory, port, 4);
}

static inline void outb(Storage *s, uint16_t port, uint8_t value)
{
    port_write(s->board.memory, port, value, 1);
}

static inline void outw(Storage *s, uint16_t port, uint16_t value)
{
    port_write(s->board.memory, port, value, 2);
}

static inline void outl(Storage *s, uint16_t port, uint32_t value)
{
    port_write(s->board.memory, port, value, 4);
}
