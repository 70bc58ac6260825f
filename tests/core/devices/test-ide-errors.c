/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The hard disk when things go wrong: guests' mistakes, hostile descriptor tables, failing hosts,
 * resets at bad moments. */

#include "faulty-image.h"
#include "ide-fixture.h"

#define DISK (8u << 20)

static void attach_faulty(Fixture *f, Faults *faults)
{
    GError *error = NULL;
    ide_attach_disk(f->ide, 0, 0, faulty_image(faults, DISK), "SER 1", &error);
    g_assert_no_error(error);
}

/* A command without data; returns the status. */
static uint8_t command(Fixture *f, uint8_t code, uint8_t features, uint8_t count)
{
    outb(&f->storage, f->base + 1, features);
    lba28(f, 0, code, 0, count);
    return wait_irq(f);
}

static uint32_t task_lba28(Fixture *f)
{
    Storage *s = &f->storage;
    return inb(s, f->base + 3) | inb(s, f->base + 4) << 8 | inb(s, f->base + 5) << 16 |
           (inb(s, f->base + 6) & 15) << 24;
}

static void test_refusals(void)
{
    Fixture f;
    Storage *s = &f.storage;

    fixture_init(&f);
    attach_disk(&f, 0, 0, DISK);
    static const uint8_t unknown[] = {0x00, 0x08, 0x22, 0x37, 0xa0, 0xa1, 0xf1, 0xf9, 0xff};
    for (size_t i = 0; i < sizeof unknown; i++) {
        g_assert_cmphex(command(&f, unknown[i], 0, 0), ==, 0x51);
        g_assert_cmphex(inb(s, 0x1f1), ==, 4);
    }
    /* past the end */
    lba28(&f, 0, 0x20, DISK / 512 - 1, 2);
    g_assert_cmphex(wait_irq(&f), ==, 0x51);
    g_assert_cmphex(inb(s, 0x1f1), ==, 0x10);
    g_assert_cmpuint(task_lba28(&f), ==, DISK / 512);
    lba48(&f, 0, 0x25, 1ull << 40, 1);
    g_assert_cmphex(wait_irq(&f), ==, 0x51);
    g_assert_cmphex(inb(s, 0x1f1), ==, 0x10);
    /* sector 0 of a track */
    outb(s, 0x1f6, 0xa0);
    outb(s, 0x1f3, 0);
    outb(s, 0x1f7, 0x20);
    g_assert_cmphex(wait_irq(&f), ==, 0x51);
    /* READ MULTIPLE before SET MULTIPLE MODE; bad arguments */
    g_assert_cmphex(command(&f, 0xc4, 0, 1), ==, 0x51);
    g_assert_cmphex(command(&f, 0xc6, 0, 3), ==, 0x51);
    g_assert_cmphex(command(&f, 0xc6, 0, 32), ==, 0x51);
    g_assert_cmphex(command(&f, 0xef, 0x03, 0x48), ==, 0x51); /* UDMA 8 */
    g_assert_cmphex(command(&f, 0xef, 0x77, 0), ==, 0x51);
    g_assert_cmphex(command(&f, 0x91, 0, 0), ==, 0x51);
    g_assert_cmphex(command(&f, 0x06, 0x00, 1), ==, 0x51);
    /* the disk still works */
    g_assert_cmphex(command(&f, 0x40, 0, 8), ==, 0x50);
    fixture_destroy(&f);
}

static void test_settings(void)
{
    Fixture f;
    Faults faults;
    Storage *s = &f.storage;
    uint16_t id[256];
    uint8_t sector[512];

    fixture_init(&f);
    attach_faulty(&f, &faults);
    g_assert_cmphex(command(&f, 0xef, 0x03, 0x45), ==, 0x50); /* UDMA 5 */
    g_assert_cmphex(command(&f, 0xef, 0x82, 0), ==, 0x50);    /* write cache off */
    g_assert_cmpuint(faults.flushes, ==, 1);
    g_assert_cmphex(command(&f, 0xc6, 0, 8), ==, 0x50);
    g_assert_cmphex(command(&f, 0xec, 0, 0), ==, 0x58);
    read_words(&f, id, sizeof id);
    g_assert_cmphex(id[88], ==, 0x203f);
    g_assert_cmphex(id[85] & 0x20, ==, 0);
    g_assert_cmphex(id[59], ==, 0x108);
    g_assert_cmphex(id[10], ==, 'S' << 8 | 'E');
    /* without the cache, each write reaches the host's disk */
    lba28(&f, 0, 0x30, 0, 1);
    memset(sector, 0x5a, sizeof sector);
    write_words(&f, sector, 512);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    g_assert_cmpuint(faults.flushes, ==, 2);
    /* power */
    g_assert_cmphex(command(&f, 0xe0, 0, 0), ==, 0x50);
    g_assert_cmphex(command(&f, 0xe5, 0, 0x55), ==, 0x50);
    g_assert_cmphex(inb(s, 0x1f2), ==, 0);
    g_assert_cmphex(command(&f, 0xe1, 0, 0), ==, 0x50);
    g_assert_cmphex(command(&f, 0xe5, 0, 0x55), ==, 0x50);
    g_assert_cmphex(inb(s, 0x1f2), ==, 0xff);
    g_assert_cmphex(command(&f, 0xe6, 0, 0), ==, 0x50); /* asleep: deaf until a reset */
    outb(s, 0x1f7, 0xec);
    g_assert_cmphex(alternate_status(&f), ==, 0x50);
    outb(s, 0x3f6, 4);
    outb(s, 0x3f6, 0);
    g_assert_cmphex(command(&f, 0xec, 0, 0), ==, 0x58);
    read_words(&f, id, sizeof id);
    g_assert_cmphex(id[88], ==, 0x203f); /* settings outlive the soft reset */
    /* the native size */
    outb(s, 0x1f6, 0xe0);
    outb(s, 0x1f7, 0x27);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    g_assert_cmphex(inb(s, 0x1f3), ==, (DISK / 512 - 1) & 0xff);
    outb(s, 0x3f6, 0x80);
    g_assert_cmphex(inb(s, 0x1f3), ==, 0); /* bits 24-31 */
    /* READ BUFFER returns what WRITE BUFFER left */
    lba28(&f, 0, 0xe8, 0, 0);
    write_words(&f, sector, 512);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    g_assert_cmphex(command(&f, 0xe4, 0, 0), ==, 0x58);
    uint8_t back[512];
    read_words(&f, back, 512);
    g_assert_cmpmem(back, 512, sector, 512);
    fixture_destroy(&f);
}

static void test_smart(void)
{
    Fixture f;
    Storage *s = &f.storage;
    uint8_t data[512], sum = 0;

    fixture_init(&f);
    attach_disk(&f, 0, 0, DISK);
    g_assert_cmphex(command(&f, 0xb0, 0xd0, 1), ==, 0x51); /* without the signature */
    outb(s, 0x1f1, 0xd0);
    lba28(&f, 0, 0xb0, 0xc24f00, 1);
    g_assert_cmphex(wait_irq(&f), ==, 0x58);
    read_words(&f, data, 512);
    for (int i = 0; i < 512; i++)
        sum += data[i];
    g_assert_cmphex(sum, ==, 0);
    outb(s, 0x1f1, 0xda);
    lba28(&f, 0, 0xb0, 0xc24f00, 1);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    g_assert_cmphex(inb(s, 0x1f4), ==, 0x4f);
    g_assert_cmphex(inb(s, 0x1f5), ==, 0xc2);
    fixture_destroy(&f);
}

static void test_trim(void)
{
    Fixture f;
    Faults faults;
    uint64_t ranges[64] = {0};

    fixture_init(&f);
    attach_faulty(&f, &faults);
    ranges[0] = 100 | 8ull << 48;
    ranges[2] = 1000 | 100ull << 48;
    memory_write(f.storage.board.memory, DMA_DATA, ranges, sizeof ranges);
    setup_dma(&f, 512, false);
    outb(&f.storage, 0x1f1, 1);
    lba48(&f, 0, 0x06, 0, 1);
    start_dma(&f);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    stop_dma(&f);
    g_assert_cmpuint(faults.discards, ==, 2);
    g_assert_cmpuint(faults.discarded, ==, 108 * 512);
    /* a range past the end */
    ranges[1] = (DISK / 512 - 1) | 2ull << 48;
    memory_write(f.storage.board.memory, DMA_DATA, ranges, sizeof ranges);
    setup_dma(&f, 512, false);
    outb(&f.storage, 0x1f1, 1);
    lba48(&f, 0, 0x06, 0, 1);
    start_dma(&f);
    g_assert_cmphex(wait_irq(&f), ==, 0x51);
    stop_dma(&f);
    fixture_destroy(&f);
}

static void test_interrupt_enable(void)
{
    Fixture f;
    Storage *s = &f.storage;

    fixture_init(&f);
    attach_disk(&f, 0, 0, DISK);
    outb(s, 0x3f6, 2);
    lba28(&f, 0, 0xe5, 0, 0);
    g_assert_false(s->irq[14]);
    outb(s, 0x3f6, 0); /* pending all the while */
    g_assert_true(s->irq[14]);
    g_assert_cmphex(inb(s, 0x3f6), ==, 0x50); /* the alternate status does not acknowledge */
    g_assert_true(s->irq[14]);
    g_assert_cmphex(inb(s, 0x1f7), ==, 0x50);
    g_assert_false(s->irq[14]);
    /* EXECUTE DEVICE DIAGNOSTIC answers for both */
    outb(s, 0x1f6, 0xb0);
    outb(s, 0x1f7, 0x90);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    g_assert_cmphex(inb(s, 0x1f1), ==, 1);
    g_assert_cmphex(inb(s, 0x1f6) & 0x10, ==, 0);
    fixture_destroy(&f);
}

static void test_host_errors(void)
{
    Fixture f;
    Faults faults;
    Storage *s = &f.storage;
    uint8_t sector[512] = {0};

    fixture_init(&f);
    attach_faulty(&f, &faults);
    faults.bad_from = 105 * 512;
    faults.bad_to = 106 * 512;
    faults.error = EIO;
    /* DMA: the sectors before the bad one arrive */
    memset(s->board.ram->host + DMA_DATA, 0xee, 8192);
    setup_dma(&f, 16 * 512, true);
    lba28(&f, 0, 0xc8, 100, 16);
    start_dma(&f);
    g_assert_cmphex(wait_irq(&f), ==, 0x51);
    stop_dma(&f);
    g_assert_cmphex(inb(s, 0x1f1), ==, 0x40);
    g_assert_cmpuint(task_lba28(&f), ==, 105);
    g_assert_cmphex(guest_uint(&f, DMA_DATA + 5 * 512 - 4), ==, 0);
    g_assert_cmphex(guest_uint(&f, DMA_DATA + 5 * 512), ==, 0xeeeeeeee);
    g_assert_cmpuint(s->errors, ==, 1);
    /* PIO likewise; the person at the window hears of it once */
    lba28(&f, 0, 0x20, 104, 4);
    g_assert_cmphex(wait_irq(&f), ==, 0x58);
    read_words(&f, sector, 512);
    g_assert_cmphex(wait_irq(&f), ==, 0x51);
    g_assert_cmpuint(s->errors, ==, 1);
    /* READ VERIFY sees it too */
    lba28(&f, 0, 0x40, 0, 200);
    g_assert_cmphex(wait_irq(&f), ==, 0x51);
    g_assert_cmpuint(task_lba28(&f), ==, 105);
    /* a good command, then a full disk */
    lba28(&f, 0, 0x40, 0, 100);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    faults.error = ENOSPC;
    lba28(&f, 0, 0x30, 105, 1);
    write_words(&f, sector, 512);
    g_assert_cmphex(wait_irq(&f), ==, 0x51);
    g_assert_cmphex(inb(s, 0x1f1), ==, 4);
    g_assert_cmpuint(s->errors, ==, 2);
    fixture_destroy(&f);
}

static void test_reset_in_command(void)
{
    Fixture f;
    Faults faults;
    Storage *s = &f.storage;

    fixture_init(&f);
    attach_faulty(&f, &faults);
    faults_hold(&faults, true);
    setup_dma(&f, 4096, true);
    lba28(&f, 0, 0xc8, 0, 8);
    start_dma(&f);
    faults_wait(&faults);
    /* registers do not move while busy */
    outb(s, 0x1f2, 0x77);
    outb(s, 0x1f7, 0xec);
    g_assert_cmphex(inb(s, 0x1f2), !=, 0x77);
    outb(s, 0x3f6, 4);
    outb(s, 0x3f6, 0);
    g_assert_cmphex(alternate_status(&f), ==, 0x80);
    faults_hold(&faults, false);
    g_assert_cmphex(wait_not_busy(&f), ==, 0x50);
    g_assert_cmphex(inb(s, 0x1f2), ==, 1);
    g_assert_false(s->irq[14]);
    g_assert_cmphex(guest_uint(&f, DMA_DATA), ==, 0);
    stop_dma(&f);
    g_assert_cmphex(command(&f, 0x40, 0, 1), ==, 0x50);
    /* a reset in the middle of a PIO block */
    g_assert_cmphex(command(&f, 0x20, 0, 2), ==, 0x58);
    inw(s, 0x1f0);
    outb(s, 0x3f6, 4);
    outb(s, 0x3f6, 0);
    g_assert_cmphex(alternate_status(&f), ==, 0x50);
    g_assert_cmphex(inw(s, 0x1f0), ==, 0);
    /* the machine's reset, then the end of the machine, with the host still at work */
    faults_hold(&faults, true);
    lba28(&f, 0, 0x20, 0, 1);
    faults_wait(&faults);
    piix_ide_reset(f.ide);
    g_assert_cmphex(inb(s, 0x1f7), ==, 0xff); /* decoding is off */
    enable_controller(&f);
    g_assert_cmphex(inb(s, 0x1f7), ==, 0x80);
    faults_hold(&faults, false);
    g_assert_cmphex(wait_not_busy(&f), ==, 0x50);
    faults_hold(&faults, true);
    lba28(&f, 0, 0x20, 0, 1);
    faults_wait(&faults);
    faults_let_go_soon(&faults);
    fixture_destroy(&f);
}

/* Starts a DMA read of COUNT sectors with the table as it is. */
static void dma_read(Fixture *f, unsigned count)
{
    Storage *s = &f->storage;
    outl(s, bm_port(f, 4), PRD_TABLE);
    outb(s, bm_port(f, 0), 8);
    outb(s, bm_port(f, 2), 6);
    lba48(f, 0, 0x25, 0, count);
    start_dma(f);
}

/* Runs the board thread until the disk has its data and nothing more happens. */
static void settle(Fixture *f)
{
    gint64 end = g_get_monotonic_time() + 20000;
    while (g_get_monotonic_time() < end)
        g_main_context_iteration(f->storage.board.context, FALSE);
}

static void recover(Fixture *f)
{
    Storage *s = &f->storage;
    stop_dma(f);
    outb(s, f->control, 4);
    outb(s, f->control, 0);
    g_assert_cmphex(wait_not_busy(f), ==, 0x50);
    put_prd(f, 0, DMA_DATA, 0x80000000 | 512);
    dma_read(f, 1);
    g_assert_cmphex(wait_irq(f), ==, 0x50);
    g_assert_cmphex(inb(s, bm_port(f, 2)), ==, 4);
    stop_dma(f);
}

static void test_descriptor_tables(void)
{
    Fixture f;
    Storage *s = &f.storage;

    fixture_init(&f);
    attach_disk(&f, 0, 0, DISK);
    /* regions smaller than the transfer: neither active nor interrupt, the drive waits */
    put_prd(&f, 0, DMA_DATA, 0x80000000 | 512);
    dma_read(&f, 2);
    settle(&f);
    g_assert_cmphex(inb(s, bm_port(&f, 2)), ==, 0);
    g_assert_cmphex(alternate_status(&f) & 0x80, ==, 0x80);
    recover(&f);
    /* larger: interrupt while still active */
    put_prd(&f, 0, DMA_DATA, 0x80000000 | 4096);
    dma_read(&f, 1);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    g_assert_cmphex(inb(s, bm_port(&f, 2)), ==, 5);
    recover(&f);
    /* memory that is not there */
    put_prd(&f, 0, 0xc0000000, 0x80000000 | 512);
    dma_read(&f, 1);
    settle(&f);
    g_assert_cmphex(inb(s, bm_port(&f, 2)), ==, 2);
    recover(&f);
    /* a table that is not there */
    outl(s, bm_port(&f, 4), 0xfffffffc);
    outb(s, bm_port(&f, 0), 8);
    lba28(&f, 0, 0xc8, 0, 1);
    start_dma(&f);
    settle(&f);
    g_assert_cmphex(inb(s, bm_port(&f, 2)) & 3, ==, 2);
    outb(s, bm_port(&f, 2), 6);
    recover(&f);
    /* no last entry: two bytes a descriptor, all over its 64 KiB, again and again */
    for (int i = 0; i < 0x2000; i++)
        put_prd(&f, i, DMA_DATA + 2 * i, 2);
    outl(s, bm_port(&f, 4), 0);
    for (int i = 0; i < 0x2000; i++) {
        uint32_t prd[2] = {DMA_DATA + 2 * i, 2};
        memory_write(s->board.memory, 8 * i, prd, 8);
    }
    outb(s, bm_port(&f, 0), 8);
    outb(s, bm_port(&f, 2), 6);
    lba48(&f, 0, 0x25, 0, 1024);
    start_dma(&f);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    g_assert_cmphex(inb(s, bm_port(&f, 2)), ==, 5);
    recover(&f);
    /* the table overwritten by its own transfer */
    for (int i = 0; i < 64; i++)
        put_prd(&f, i, PRD_TABLE, 512);
    dma_read(&f, 64);
    settle(&f);
    recover(&f);
    /* the wrong direction; no bus mastering: nothing moves until that is put right */
    put_prd(&f, 0, DMA_DATA, 0x80000000 | 512);
    dma_read(&f, 1);
    stop_dma(&f);
    outb(s, bm_port(&f, 0), 1);
    settle(&f);
    g_assert_cmphex(inb(s, bm_port(&f, 2)), ==, 1);
    recover(&f);
    pci_config_write(s->board.pci, IDE_DEVFN, 4, 1, 2);
    put_prd(&f, 0, DMA_DATA, 0x80000000 | 512);
    dma_read(&f, 1);
    settle(&f);
    g_assert_cmphex(inb(s, bm_port(&f, 2)), ==, 1);
    pci_config_write(s->board.pci, IDE_DEVFN, 4, 5, 2);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    g_assert_cmphex(inb(s, bm_port(&f, 2)), ==, 4);
    /* the bus master first, the drive later */
    stop_dma(&f);
    setup_dma(&f, 512, true);
    start_dma(&f);
    lba28(&f, 0, 0xc8, 3, 1);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    g_assert_cmphex(guest_uint(&f, DMA_DATA), ==, storage_pattern(3 * 512));
    fixture_destroy(&f);
}

/* Random accesses to every port and random tables: nothing may crash, hang or grow. */
static void test_noise(void)
{
    static const uint16_t ports[] = {0x1f0, 0x1f1, 0x1f2, 0x1f3, 0x1f4, 0x1f5, 0x1f6, 0x1f7, 0x3f6};
    static const uint8_t codes[] = {0x20, 0x24, 0x25, 0x29, 0x30, 0x35, 0x39, 0x40, 0xc4,
                                    0xc5, 0xc6, 0xc8, 0xca, 0xb0, 0xa0, 0xa1, 0xec, 0xef,
                                    0x06, 0x08, 0x90, 0x91, 0xe7, 0xe8, 0xe4, 0xce};
    Fixture f;
    Storage *s = &f.storage;
    GRand *rand = g_rand_new_with_seed(g_test_rand_int());

    fixture_init(&f);
    attach_disk(&f, 0, 0, 1 << 20);
    attach_cd(&f, 0, 1, 1 << 20);
    for (int i = 0; i < 60000; i++) {
        uint32_t r = g_rand_int(rand), value = g_rand_int(rand);
        uint16_t port = r & 0x100 ? BMBASE + (r >> 9 & 7) : ports[r % G_N_ELEMENTS(ports)];
        unsigned size = 1 << (r >> 16) % 3;
        if (port == 0x1f7 && (r & 0x200))
            value = codes[value % sizeof codes];
        if (port == 0x3f6 && (r & 0xe00))
            value &= ~4;
        if (port == 0x1f0 && (r & 0x800)) {
            for (int j = 0; j < 300; j++)
                value & 1 ? (void)inw(s, port) : outw(s, port, g_rand_int(rand));
        } else if (r & 0x400) {
            port_read(s->board.memory, port, size);
        } else {
            port_write(s->board.memory, port, value, size);
        }
        if (i % 8 == 0)
            g_main_context_iteration(s->board.context, FALSE);
    }
    g_rand_free(rand);
    outb(s, 0x3f6, 4);
    outb(s, 0x3f6, 0);
    wait_not_busy(&f);
    fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ide-errors/refusals", test_refusals);
    g_test_add_func("/ide-errors/settings", test_settings);
    g_test_add_func("/ide-errors/smart", test_smart);
    g_test_add_func("/ide-errors/trim", test_trim);
    g_test_add_func("/ide-errors/interrupt-enable", test_interrupt_enable);
    g_test_add_func("/ide-errors/host-errors", test_host_errors);
    g_test_add_func("/ide-errors/reset-in-command", test_reset_in_command);
    g_test_add_func("/ide-errors/descriptor-tables", test_descriptor_tables);
    g_test_add_func("/ide-errors/noise", test_noise);
    return g_test_run();
}
