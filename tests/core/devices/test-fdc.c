/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The floppy controller, driven as a BIOS does: DMA channel 2, interrupt 6. */

#include "core/chipset/i8237.h"
#include "core/devices/fdc.h"
#include "faulty-image.h"
#include "storage-fixture.h"

#define FLOPPY   (1440 * 1024)
#define DMA_DATA 0x20000

typedef struct {
    Storage storage;
    Fdc *fdc;
    unsigned changes;
} Fixture;

static void on_change(void *opaque, int unit)
{
    ((Fixture *)opaque)->changes++;
}

static void fixture_init(Fixture *f, uint64_t size_a, uint64_t size_b)
{
    static const FdcEvents events = {.medium_changed = on_change};
    GError *error = NULL;
    Storage *s = &f->storage;

    memset(f, 0, sizeof *f);
    storage_init(s);
    s->board.dma = isa_dma_new(&s->board);
    f->fdc = fdc_new(&s->board);
    fdc_set_events(f->fdc, &events, f);
    if (size_a)
        g_assert_true(fdc_attach_drive(f->fdc, 0, storage_image(s, "a", size_a), &error));
    if (size_b)
        g_assert_true(fdc_attach_drive(f->fdc, 1, storage_image(s, "b", size_b), &error));
    outb(s, 0xd6, 0xc0); /* cascade */
    outb(s, 0xd4, 0x00);
}

static void fixture_destroy(Fixture *f)
{
    fdc_free(f->fdc);
    isa_dma_free(f->storage.board.dma);
    storage_destroy(&f->storage);
}

static void send(Fixture *f, uint8_t byte)
{
    g_assert_cmphex(inb(&f->storage, 0x3f4) & 0xc0, ==, 0x80);
    outb(&f->storage, 0x3f5, byte);
}

static uint8_t receive(Fixture *f)
{
    g_assert_cmphex(inb(&f->storage, 0x3f4) & 0xd0, ==, 0xd0);
    return inb(&f->storage, 0x3f5);
}

#define SEND(f, ...) send_all(f, (const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

static void send_all(Fixture *f, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        send(f, bytes[i]);
}

static void wait_irq(Fixture *f)
{
    g_assert_true(storage_wait(&f->storage, &f->storage.irq[6]));
}

/* SENSE INTERRUPT STATUS: ST0 << 8 | PCN */
static unsigned sense(Fixture *f)
{
    SEND(f, 0x08);
    uint8_t st0 = receive(f);
    if (st0 == 0x80)
        return 0x8000;
    g_assert_false(f->storage.irq[6]);
    return st0 << 8 | receive(f);
}

/* Out of reset, drive 0's motor on, 500 kb/s. */
static void start_controller(Fixture *f, unsigned unit)
{
    Storage *s = &f->storage;

    outb(s, 0x3f2, 0x08);
    g_assert_cmphex(inb(s, 0x3f4), ==, 0);
    outb(s, 0x3f2, 0x0c | 0x10 << unit | unit);
    wait_irq(f);
    for (unsigned i = 0; i < 4; i++)
        g_assert_cmphex(sense(f), ==, (0xc0 | i) << 8);
    g_assert_cmphex(sense(f), ==, 0x8000);
    SEND(f, 0x03, 0xaf, 0x02);
    outb(s, 0x3f7, 0);
}

static void recalibrate(Fixture *f, unsigned unit)
{
    SEND(f, 0x07, unit);
    wait_irq(f);
    g_assert_cmphex(sense(f), ==, (0x20 | unit) << 8);
}

static void seek(Fixture *f, unsigned unit, uint8_t cylinder)
{
    SEND(f, 0x0f, unit, cylinder);
    wait_irq(f);
    g_assert_cmphex(sense(f), ==, (0x20 | unit) << 8 | cylinder);
}

static void program_dma(Fixture *f, uint8_t mode, unsigned length)
{
    Storage *s = &f->storage;

    outb(s, 0x0a, 6);
    outb(s, 0x0c, 0);
    outb(s, 0x0b, mode | 2);
    outb(s, 0x04, DMA_DATA & 0xff);
    outb(s, 0x04, DMA_DATA >> 8 & 0xff);
    outb(s, 0x81, DMA_DATA >> 16);
    outb(s, 0x05, length - 1);
    outb(s, 0x05, (length - 1) >> 8);
    outb(s, 0x0a, 2);
}

static void result(Fixture *f, uint8_t out[7])
{
    wait_irq(f);
    for (int i = 0; i < 7; i++)
        out[i] = receive(f);
    g_assert_false(f->storage.irq[6]);
    g_assert_cmphex(inb(&f->storage, 0x3f4), ==, 0x80);
}

static void assert_result(Fixture *f, uint8_t st0, uint8_t st1, uint8_t st2, uint8_t c, uint8_t h,
                          uint8_t r)
{
    uint8_t got[7], expected[7] = {st0, st1, st2, c, h, r, 2};
    result(f, got);
    g_assert_cmpmem(got, 7, expected, 7);
}

static void assert_memory(Fixture *f, uint64_t offset, size_t length)
{
    for (size_t i = 0; i < length; i += 4)
        g_assert_cmphex(memory_read_uint(f->storage.board.memory, DMA_DATA + i, 4), ==,
                        storage_pattern(offset + i));
}

static uint64_t offset_of(unsigned cylinder, unsigned head, unsigned sector)
{
    return ((cylinder * 2 + head) * 18 + sector - 1) * 512ull;
}

static void test_registers(void)
{
    Fixture f;
    Storage *s = &f.storage;

    fixture_init(&f, FLOPPY, 0);
    start_controller(&f, 0);
    SEND(&f, 0x10);
    g_assert_cmphex(receive(&f), ==, 0x90);
    SEND(&f, 0x1f); /* no such command */
    g_assert_cmphex(receive(&f), ==, 0x80);
    SEND(&f, 0x13, 0, 0x57, 0x21);
    SEND(&f, 0x12, 0x84);
    SEND(&f, 0x94);
    g_assert_cmphex(receive(&f), ==, 0x10);
    SEND(&f, 0x0e);
    static const uint8_t dump[10] = {0, 0, 0, 0, 0xaf, 0x02, 0, 0x84, 0x57, 0x21};
    for (int i = 0; i < 10; i++)
        g_assert_cmphex(receive(&f), ==, dump[i]);
    /* a software reset keeps what LOCK protects */
    outb(s, 0x3f4, 0x80);
    wait_irq(&f);
    for (int i = 0; i < 4; i++)
        sense(&f);
    SEND(&f, 0x0e);
    static const uint8_t after[10] = {0, 0, 0, 0, 0xaf, 0x02, 0, 0x84, 0x07, 0x21};
    for (int i = 0; i < 10; i++)
        g_assert_cmphex(receive(&f), ==, after[i]);
    SEND(&f, 0x04, 0x04);
    g_assert_cmphex(receive(&f), ==, 0x3c); /* track 0, head 1 */
    /* a drive that is not there never finds track 0 */
    SEND(&f, 0x07, 1);
    wait_irq(&f);
    g_assert_cmphex(sense(&f), ==, 0x7100);
    g_assert_cmpint(fdc_drive_type(f.fdc, 0), ==, FLOPPY_1440K);
    g_assert_cmpint(fdc_drive_type(f.fdc, 1), ==, FLOPPY_NONE);
    fixture_destroy(&f);
}

static void test_read(void)
{
    Fixture f;

    fixture_init(&f, 0, FLOPPY);
    start_controller(&f, 1);
    recalibrate(&f, 1);
    seek(&f, 1, 5);
    /* READ ID tells where the head is */
    uint8_t id[7];
    SEND(&f, 0x4a, 0x05);
    result(&f, id);
    g_assert_cmphex(id[0], ==, 0x05);
    g_assert_cmphex(id[3], ==, 5);
    g_assert_cmphex(id[4], ==, 1);
    /* one sector */
    program_dma(&f, 0x44, 512);
    SEND(&f, 0xe6, 0x01, 5, 0, 3, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0x01, 0, 0, 5, 0, 4);
    assert_memory(&f, offset_of(5, 0, 3), 512);
    /* the whole cylinder with MT */
    program_dma(&f, 0x44, 36 * 512);
    SEND(&f, 0xe6, 0x01, 5, 0, 1, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0x05, 0, 0, 6, 0, 1);
    assert_memory(&f, offset_of(5, 0, 1), 36 * 512);
    /* across the heads, ending in mid-sector */
    program_dma(&f, 0x44, 3 * 512 + 100);
    SEND(&f, 0xe6, 0x01, 5, 0, 17, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0x05, 0, 0, 5, 1, 3);
    assert_memory(&f, offset_of(5, 0, 17), 3 * 512 + 100);
    /* without MT the cylinder's end comes before TC */
    program_dma(&f, 0x44, 10 * 512);
    SEND(&f, 0x66, 0x01, 5, 0, 17, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0x41, 0x80, 0, 6, 0, 1);
    /* the head is elsewhere */
    SEND(&f, 0xe6, 0x01, 6, 0, 1, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0x41, 0x04, 0x10, 6, 0, 1);
    /* ... unless seeks are implied */
    SEND(&f, 0x13, 0, 0x40, 0);
    program_dma(&f, 0x44, 512);
    SEND(&f, 0xe6, 0x01, 7, 0, 1, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0x01, 0, 0, 7, 0, 2);
    assert_memory(&f, offset_of(7, 0, 1), 512);
    /* no such sector; wrong data rate */
    SEND(&f, 0xe6, 0x01, 7, 0, 19, 2, 19, 0x1b, 0xff);
    assert_result(&f, 0x41, 0x04, 0, 7, 0, 19);
    outb(&f.storage, 0x3f7, 2);
    SEND(&f, 0x4a, 0x01);
    result(&f, id);
    g_assert_cmphex(id[0], ==, 0x41);
    g_assert_cmphex(id[1], ==, 0x01);
    fixture_destroy(&f);
}

static void test_write_and_format(void)
{
    Fixture f;
    uint8_t data[4 * 512], back[18 * 512];
    BlockImage *image;

    fixture_init(&f, FLOPPY, 0);
    image = fdc_image(f.fdc, 0);
    start_controller(&f, 0);
    recalibrate(&f, 0);
    seek(&f, 0, 79);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = i * 5 + 1;
    memory_write(f.storage.board.memory, DMA_DATA, data, sizeof data);
    program_dma(&f, 0x48, 3 * 512 + 1);
    SEND(&f, 0xc5, 0x00, 79, 0, 16, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0x04, 0, 0, 79, 1, 2);
    memset(data + 3 * 512 + 1, 0, 511); /* the rest of the last sector */
    g_assert_cmpint(block_image_read(image, offset_of(79, 0, 16), back, sizeof data), ==, 0);
    g_assert_cmpmem(back, sizeof data, data, sizeof data);
    /* VERIFY with a count */
    SEND(&f, 0x56, 0x80, 79, 0, 1, 2, 18, 0x1b, 18);
    assert_result(&f, 0x00, 0, 0, 80, 0, 1);
    /* format a track: interleaved ids */
    for (int i = 0; i < 18; i++) {
        uint8_t id[4] = {79, 1, i * 5 % 18 + 1, 2};
        memory_write(f.storage.board.memory, DMA_DATA + 4 * i, id, 4);
    }
    program_dma(&f, 0x48, 72);
    SEND(&f, 0x4d, 0x04, 2, 18, 0x54, 0xf6);
    wait_irq(&f);
    g_assert_cmphex(receive(&f), ==, 0x04);
    for (int i = 0; i < 6; i++)
        receive(&f);
    g_assert_cmpint(block_image_read(image, offset_of(79, 1, 1), back, sizeof back), ==, 0);
    for (size_t i = 0; i < sizeof back; i++)
        g_assert_cmphex(back[i], ==, 0xf6);
    fixture_destroy(&f);
}

static void test_non_dma(void)
{
    Fixture f;
    Storage *s = &f.storage;
    uint32_t sector[128];

    fixture_init(&f, FLOPPY, 0);
    start_controller(&f, 0);
    recalibrate(&f, 0);
    SEND(&f, 0x03, 0xaf, 0x03);
    SEND(&f, 0x13, 0, 0x0f, 0);
    SEND(&f, 0x66, 0x00, 0, 0, 18, 2, 18, 0x1b, 0xff);
    for (int i = 0; i < 512; i++) {
        if (i % 16 == 0)
            wait_irq(&f);
        g_assert_cmphex(inb(s, 0x3f4), ==, 0xf0);
        ((uint8_t *)sector)[i] = inb(s, 0x3f5);
    }
    for (int i = 0; i < 128; i++)
        g_assert_cmphex(sector[i], ==, storage_pattern(offset_of(0, 0, 18) + 4 * i));
    assert_result(&f, 0x40, 0x80, 0, 1, 0, 1); /* without TC, by the end of the cylinder */
    SEND(&f, 0x45, 0x00, 0, 0, 18, 2, 18, 0x1b, 0xff);
    for (int i = 0; i < 512; i++) {
        g_assert_cmphex(inb(s, 0x3f4), ==, 0xb0);
        outb(s, 0x3f5, i * 3);
    }
    assert_result(&f, 0x40, 0x80, 0, 1, 0, 1);
    g_assert_cmpint(block_image_read(fdc_image(f.fdc, 0), 17 * 512, sector, 512), ==, 0);
    for (int i = 0; i < 512; i++)
        g_assert_cmphex(((uint8_t *)sector)[i], ==, (uint8_t)(i * 3));
    fixture_destroy(&f);
}

static void test_media(void)
{
    Fixture f;
    Storage *s = &f.storage;
    GError *error = NULL;

    fixture_init(&f, FLOPPY, 360 * 1024);
    g_assert_cmpint(fdc_drive_type(f.fdc, 1), ==, FLOPPY_360K);
    start_controller(&f, 0);
    g_assert_cmphex(inb(s, 0x3f7), ==, 0x80); /* after power-on */
    recalibrate(&f, 0);                       /* is at track 0: no step, no change */
    g_assert_cmphex(inb(s, 0x3f7), ==, 0x80);
    seek(&f, 0, 1);
    g_assert_cmphex(inb(s, 0x3f7), ==, 0);
    g_assert_true(fdc_eject(f.fdc, 0, &error));
    g_assert_cmphex(inb(s, 0x3f7), ==, 0x80);
    seek(&f, 0, 0);
    g_assert_cmphex(inb(s, 0x3f7), ==, 0x80); /* still empty */
    SEND(&f, 0x66, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0x40, 0x01, 0, 0, 0, 1);
    g_assert_true(fdc_insert(f.fdc, 0, storage_image(s, "small", 512), &error));
    g_assert_cmpuint(f.changes, ==, 2);
    seek(&f, 0, 1);
    seek(&f, 0, 0);
    g_assert_cmphex(inb(s, 0x3f7), ==, 0);
    /* a boot sector alone: the rest of a 1.44M floppy reads as zeroes */
    memset(s->board.ram->host + DMA_DATA, 0xee, 1024);
    program_dma(&f, 0x44, 1024);
    SEND(&f, 0x66, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0, 0, 0, 0, 0, 3);
    assert_memory(&f, 0, 512);
    for (int i = 512; i < 1024; i++)
        g_assert_cmphex(s->board.ram->host[DMA_DATA + i], ==, 0);
    /* too large for a floppy */
    BlockImage *large = storage_image(s, "large", 4 << 20);
    g_assert_false(fdc_insert(f.fdc, 0, large, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
    g_clear_error(&error);
    block_image_close(large);
    fixture_destroy(&f);
}

/* Reset while the host reads, and a DMA channel that is opened late. */
static void test_reset_and_late_dma(void)
{
    Fixture f;
    Storage *s = &f.storage;

    fixture_init(&f, FLOPPY, 0);
    start_controller(&f, 0);
    recalibrate(&f, 0);
    program_dma(&f, 0x44, 512);
    SEND(&f, 0x66, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    outb(s, 0x3f2, 0x18);
    outb(s, 0x3f2, 0x1c);
    wait_irq(&f);
    g_assert_cmphex(sense(&f), ==, 0xc000);
    for (int i = 0; i < 3; i++)
        sense(&f);
    outb(s, 0x0a, 6); /* masked */
    SEND(&f, 0x66, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    bool never = false;
    gint64 end = g_get_monotonic_time() + 50000;
    while (!never && g_get_monotonic_time() < end)
        g_main_context_iteration(s->board.context, FALSE);
    g_assert_false(s->irq[6]);
    g_assert_cmphex(inb(s, 0x3f4), ==, 0x10);
    program_dma(&f, 0x44, 512);
    assert_result(&f, 0, 0, 0, 0, 0, 2);
    assert_memory(&f, 0, 512);
    fixture_destroy(&f);
}

static void test_host_errors(void)
{
    Fixture f;
    Storage *s = &f.storage;
    Faults faults;
    GError *error = NULL;
    uint8_t got[7];

    fixture_init(&f, FLOPPY, 0);
    g_assert_true(fdc_insert(f.fdc, 0, faulty_image(&faults, FLOPPY), &error));
    start_controller(&f, 0);
    recalibrate(&f, 0);
    faults.bad_from = 4 * 512;
    faults.bad_to = 5 * 512;
    faults.error = EIO;
    program_dma(&f, 0x44, 18 * 512);
    SEND(&f, 0x66, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0x40, 0x20, 0x20, 0, 0, 5);
    program_dma(&f, 0x48, 512);
    SEND(&f, 0x45, 0x00, 0, 0, 5, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0x50, 0, 0, 0, 0, 5);
    g_assert_cmpuint(s->errors, ==, 1);
    /* the floppy is pulled out while the host reads */
    faults_hold(&faults, true);
    program_dma(&f, 0x44, 512);
    SEND(&f, 0x66, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    faults_wait(&faults);
    faults_let_go_soon(&faults);
    g_assert_true(fdc_eject(f.fdc, 0, &error));
    assert_result(&f, 0x40, 0x01, 0, 0, 0, 1);
    /* ... or while the guest sends */
    g_assert_true(fdc_insert(f.fdc, 0, storage_image(s, "one", FLOPPY), &error));
    outb(s, 0x0a, 6);
    SEND(&f, 0x45, 0x00, 0, 0, 5, 2, 18, 0x1b, 0xff);
    g_assert_true(fdc_eject(f.fdc, 0, &error));
    program_dma(&f, 0x48, 512);
    assert_result(&f, 0x40, 0x01, 0, 0, 0, 5);
    /* write protection */
    g_autofree char *path = g_build_filename(s->directory, "one", NULL);
    BlockOpenOptions options = {.format = "raw", .read_only = true};
    g_assert_true(fdc_insert(f.fdc, 0, block_image_open(path, &options, &error), &error));
    SEND(&f, 0x04, 0x00);
    g_assert_cmphex(receive(&f), ==, 0x78);
    SEND(&f, 0x45, 0x00, 0, 0, 5, 2, 18, 0x1b, 0xff);
    assert_result(&f, 0x40, 0x02, 0, 0, 0, 5);
    SEND(&f, 0x4d, 0x00, 2, 18, 0x54, 0xf6);
    result(&f, got);
    g_assert_cmphex(got[1], ==, 0x02);
    /* the end of the machine with the host at work */
    g_assert_true(fdc_insert(f.fdc, 0, faulty_image(&faults, FLOPPY), &error));
    faults_hold(&faults, true);
    SEND(&f, 0x66, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    faults_wait(&faults);
    faults_let_go_soon(&faults);
    g_assert_no_error(error);
    fixture_destroy(&f);
}

/* Random accesses to the ports of the controller and of the 8237. */
static void test_noise(void)
{
    static const uint8_t codes[] = {0xe6, 0x66, 0x46, 0xc5, 0x45, 0x4d, 0x4a, 0x07, 0x0f,
                                    0x08, 0x42, 0x56, 0x4c, 0x8f, 0xcf, 0x0e, 0x13, 0x03};
    Fixture f;
    Storage *s = &f.storage;
    GRand *rand = g_rand_new_with_seed(g_test_rand_int());

    fixture_init(&f, FLOPPY, 720 * 1024);
    start_controller(&f, 0);
    for (int i = 0; i < 60000; i++) {
        uint32_t r = g_rand_int(rand), value = g_rand_int(rand) % 40;
        unsigned where = r % 16;
        if (where < 8) {
            if (inb(s, 0x3f4) == 0x80)
                value = codes[g_rand_int(rand) % sizeof codes];
            outb(s, 0x3f5, value);
        } else if (where < 13) {
            inb(s, 0x3f5);
        } else if (where == 13) {
            outb(s, r >> 8 & 15, g_rand_int(rand));
        } else if (where == 14) {
            program_dma(&f, r & 0x100 ? 0x44 : 0x48, (r >> 12) % 20000 + 1);
        } else if (!(r & 0xf00)) {
            outb(s, 0x3f2 + (r >> 16) % 6, g_rand_int(rand));
        } else {
            outb(s, 0x3f2, 0x3c | (r >> 12 & 1));
        }
        if (i % 8 == 0)
            g_main_context_iteration(s->board.context, FALSE);
    }
    g_rand_free(rand);
    fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fdc/registers", test_registers);
    g_test_add_func("/fdc/read", test_read);
    g_test_add_func("/fdc/write-and-format", test_write_and_format);
    g_test_add_func("/fdc/non-dma", test_non_dma);
    g_test_add_func("/fdc/media", test_media);
    g_test_add_func("/fdc/reset-and-late-dma", test_reset_and_late_dma);
    g_test_add_func("/fdc/host-errors", test_host_errors);
    g_test_add_func("/fdc/noise", test_noise);
    return g_test_run();
}
