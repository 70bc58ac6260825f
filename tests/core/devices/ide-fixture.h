/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* A guest's IDE driver, in small. */

#include "core/devices/ide.h"
#include "storage-fixture.h"

#define IDE_DEVFN 9
#define BMBASE    0xc000
#define PRD_TABLE 0x8000
#define DMA_DATA  0x100000

enum { ERR = 1, DRQ = 8, DRDY = 0x40, BSY = 0x80 };

typedef struct {
    Storage storage;
    PiixIde *ide;
    unsigned activity, changes, moves;
    uint16_t base, control; /* of the channel the helpers work with */
    int irq, channel;
} Fixture;

static inline void on_activity(void *opaque, int channel, int unit, bool write)
{
    ((Fixture *)opaque)->activity++;
}

static inline void on_change(void *opaque, int channel, int unit)
{
    ((Fixture *)opaque)->changes++;
}

static inline void use_channel(Fixture *f, int channel)
{
    f->channel = channel;
    f->base = channel ? 0x170 : 0x1f0;
    f->control = channel ? 0x376 : 0x3f6;
    f->irq = channel ? 15 : 14;
}

static inline void on_tray(void *opaque, int channel, int unit, bool open)
{
    ((Fixture *)opaque)->moves++;
}

/* As firmware sets the function up */
static inline void enable_controller(Fixture *f)
{
    PciBus *bus = f->storage.board.pci;
    pci_config_write(bus, IDE_DEVFN, 0x40, 0x80008000, 4);
    pci_config_write(bus, IDE_DEVFN, 0x20, BMBASE, 4);
    pci_config_write(bus, IDE_DEVFN, 0x04, 5, 2);
}

static inline void fixture_init(Fixture *f)
{
    static const IdeEvents events = {on_tray, on_change, on_activity};
    GError *error = NULL;
    memset(f, 0, sizeof *f);
    storage_init(&f->storage);
    f->ide = piix_ide_new(&f->storage.board, IDE_DEVFN, &error);
    g_assert_no_error(error);
    ide_set_events(f->ide, &events, f);
    enable_controller(f);
    use_channel(f, 0);
}

static inline void fixture_destroy(Fixture *f)
{
    piix_ide_free(f->ide);
    storage_destroy(&f->storage);
}

static inline void attach_disk(Fixture *f, int channel, int unit, uint64_t size)
{
    GError *error = NULL;
    g_autofree char *name = g_strdup_printf("disk%d%d", channel, unit);
    ide_attach_disk(f->ide, channel, unit, storage_image(&f->storage, name, size), NULL, &error);
    g_assert_no_error(error);
}

static inline void attach_cd(Fixture *f, int channel, int unit, uint64_t size)
{
    GError *error = NULL;
    BlockImage *image = size ? storage_image(&f->storage, "cd", size) : NULL;
    ide_attach_cd(f->ide, channel, unit, image, NULL, &error);
    g_assert_no_error(error);
}

static inline uint8_t alternate_status(Fixture *f)
{
    return inb(&f->storage, f->control);
}

/* Waits for the interrupt, acknowledges it by reading the status and returns that. */
static inline uint8_t wait_irq(Fixture *f)
{
    g_assert_true(storage_wait(&f->storage, &f->storage.irq[f->irq]));
    uint8_t status = inb(&f->storage, f->base + 7);
    g_assert_false(f->storage.irq[f->irq]);
    return status;
}

static inline uint8_t wait_not_busy(Fixture *f)
{
    gint64 end = g_get_monotonic_time() + 5 * G_TIME_SPAN_SECOND;
    while ((alternate_status(f) & BSY) && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(f->storage.board.context, FALSE))
            g_usleep(50);
    g_assert_false(alternate_status(f) & BSY);
    return alternate_status(f);
}

static inline void lba28(Fixture *f, int unit, uint8_t command, uint32_t lba, uint8_t count)
{
    Storage *s = &f->storage;
    outb(s, f->base + 6, 0xe0 | unit << 4 | lba >> 24);
    outb(s, f->base + 2, count);
    outb(s, f->base + 3, lba);
    outb(s, f->base + 4, lba >> 8);
    outb(s, f->base + 5, lba >> 16);
    outb(s, f->base + 7, command);
}

static inline void lba48(Fixture *f, int unit, uint8_t command, uint64_t lba, uint16_t count)
{
    Storage *s = &f->storage;
    outb(s, f->base + 6, 0x40 | unit << 4);
    outb(s, f->base + 2, count >> 8);
    outb(s, f->base + 3, lba >> 24);
    outb(s, f->base + 4, lba >> 32);
    outb(s, f->base + 5, lba >> 40);
    outb(s, f->base + 2, count);
    outb(s, f->base + 3, lba);
    outb(s, f->base + 4, lba >> 8);
    outb(s, f->base + 5, lba >> 16);
    outb(s, f->base + 7, command);
}

static inline void read_words(Fixture *f, void *buffer, size_t bytes)
{
    for (size_t i = 0; i < bytes / 2; i++)
        ((uint16_t *)buffer)[i] = inw(&f->storage, f->base);
}

static inline void write_words(Fixture *f, const void *buffer, size_t bytes)
{
    for (size_t i = 0; i < bytes / 2; i++)
        outw(&f->storage, f->base, ((const uint16_t *)buffer)[i]);
}

static inline uint16_t bm_port(Fixture *f, int reg)
{
    return BMBASE + 8 * f->channel + reg;
}

static inline void put_prd(Fixture *f, int index, uint32_t address, uint32_t flags_and_count)
{
    uint32_t prd[2] = {address, flags_and_count};
    memory_write(f->storage.board.memory, PRD_TABLE + 8 * index, prd, 8);
}

/* One region of LENGTH bytes (up to 64 KiB) at DMA_DATA, and the direction. */
static inline void setup_dma(Fixture *f, uint32_t length, bool to_memory)
{
    put_prd(f, 0, DMA_DATA, 0x80000000 | (length & 0xffff));
    outl(&f->storage, bm_port(f, 4), PRD_TABLE);
    outb(&f->storage, bm_port(f, 0), to_memory ? 8 : 0);
    outb(&f->storage, bm_port(f, 2), 6);
}

static inline void start_dma(Fixture *f)
{
    Storage *s = &f->storage;
    outb(s, bm_port(f, 0), inb(s, bm_port(f, 0)) | 1);
}

static inline void stop_dma(Fixture *f)
{
    Storage *s = &f->storage;
    outb(s, bm_port(f, 0), inb(s, bm_port(f, 0)) & ~1);
}

static inline uint32_t guest_uint(Fixture *f, uint64_t address)
{
    return memory_read_uint(f->storage.board.memory, address, 4);
}

/* Sends a packet; the caller deals with what follows. */
static inline void send_packet(Fixture *f, int unit, const uint8_t cdb[12], bool dma,
                               uint16_t limit)
{
    Storage *s = &f->storage;
    outb(s, f->base + 6, 0xa0 | unit << 4);
    outb(s, f->base + 1, dma);
    outb(s, f->base + 4, limit);
    outb(s, f->base + 5, limit >> 8);
    outb(s, f->base + 7, 0xa0);
    g_assert_cmphex(alternate_status(f) & (BSY | DRQ | ERR), ==, DRQ);
    g_assert_cmphex(inb(s, f->base + 2) & 3, ==, 1); /* command, to the device */
    write_words(f, cdb, 12);
}

/* A whole packet command with data to the host by PIO. Returns the bytes received, or minus the
 * sense key on failure. */
static inline int packet_in(Fixture *f, int unit, const uint8_t cdb[12], uint16_t limit, void *out,
                            size_t size)
{
    Storage *s = &f->storage;
    size_t total = 0;

    send_packet(f, unit, cdb, false, limit);
    for (;;) {
        uint8_t status = wait_irq(f);
        if (status & ERR) {
            g_assert_cmphex(inb(s, f->base + 2) & 3, ==, 3);
            return -(inb(s, f->base + 1) >> 4);
        }
        if (!(status & DRQ)) {
            g_assert_cmphex(inb(s, f->base + 2) & 3, ==, 3);
            return total;
        }
        g_assert_cmphex(inb(s, f->base + 2) & 3, ==, 2);
        size_t length = inb(s, f->base + 4) | inb(s, f->base + 5) << 8;
        g_assert_cmpuint(length, <=, limit == 0xffff ? 0xfffe : limit);
        g_assert_cmpuint(length, >, 0);
        for (size_t i = 0; i < length; i += 2) {
            uint16_t word = inw(s, f->base);
            if (total < size)
                ((uint8_t *)out)[total++] = word;
            if (i + 1 < length && total < size)
                ((uint8_t *)out)[total++] = word >> 8;
        }
    }
}

/* REQUEST SENSE: key << 16 | code */
static inline uint32_t request_sense(Fixture *f, int unit)
{
    static const uint8_t cdb[12] = {0x03, 0, 0, 0, 18};
    uint8_t sense[18];
    g_assert_cmpint(packet_in(f, unit, cdb, 18, sense, sizeof sense), ==, 18);
    return (sense[2] & 15) << 16 | sense[12] << 8 | sense[13];
}

static inline int test_unit_ready(Fixture *f, int unit)
{
    static const uint8_t cdb[12] = {0};
    return packet_in(f, unit, cdb, 0, NULL, 0);
}
