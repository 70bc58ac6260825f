/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The IDE channels and the hard disk, driven as an operating system does. */

#include "ide-fixture.h"

#define DISK (8u << 20)

static void test_identify(void)
{
    Fixture f;
    uint16_t id[256];
    uint8_t sum = 0;

    fixture_init(&f);
    attach_disk(&f, 0, 0, DISK);
    g_assert_cmphex(alternate_status(&f), ==, 0x50);
    lba28(&f, 0, 0xec, 0, 0);
    g_assert_cmphex(wait_irq(&f), ==, 0x58);
    read_words(&f, id, sizeof id);
    g_assert_cmphex(alternate_status(&f), ==, 0x50);
    g_assert_cmphex(id[0], ==, 0x40);
    g_assert_cmpuint(id[1], ==, DISK / 512 / 1008);
    g_assert_cmpuint(id[3], ==, 16);
    g_assert_cmpuint(id[6], ==, 63);
    g_assert_cmphex(id[27], ==, 'A' << 8 | 'P');
    g_assert_cmpuint(id[60] | id[61] << 16, ==, DISK / 512);
    g_assert_cmpuint(id[100] | id[101] << 16, ==, DISK / 512);
    g_assert_cmphex(id[88] & 0xff, ==, 0x3f);
    for (int i = 0; i < 256; i++)
        sum += id[i] + (id[i] >> 8);
    g_assert_cmphex(sum, ==, 0);
    fixture_destroy(&f);
}

static void check_pattern(const uint32_t *data, uint64_t offset, size_t bytes)
{
    for (size_t i = 0; i < bytes / 4; i++)
        g_assert_cmphex(data[i], ==, storage_pattern(offset + 4 * i));
}

static void test_pio_read(void)
{
    Fixture f;
    uint32_t data[128 * 4];

    fixture_init(&f);
    attach_disk(&f, 0, 1, DISK);
    /* sector by sector, one interrupt each */
    lba28(&f, 1, 0x20, 100, 4);
    for (int i = 0; i < 4; i++) {
        g_assert_cmphex(wait_irq(&f), ==, 0x58);
        read_words(&f, data + 128 * i, 512);
    }
    g_assert_cmphex(alternate_status(&f), ==, 0x50);
    g_assert_false(f.storage.irq[14]);
    check_pattern(data, 100 * 512, 2048);
    /* 32-bit accesses, 48-bit address */
    lba48(&f, 1, 0x24, 200, 1);
    g_assert_cmphex(wait_irq(&f), ==, 0x58);
    for (int i = 0; i < 128; i++)
        data[i] = inl(&f.storage, f.base);
    check_pattern(data, 200 * 512, 512);
    /* the whole 256 sectors of count 0, in blocks of 16 */
    lba28(&f, 1, 0xc6, 0, 16);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    lba28(&f, 1, 0xc4, 0, 0);
    unsigned edges = f.storage.edges[14];
    for (int i = 0; i < 256; i++) {
        if (i % 16 == 0)
            g_assert_cmphex(wait_irq(&f), ==, 0x58);
        read_words(&f, data, 512);
        check_pattern(data, i * 512, 512);
    }
    g_assert_cmphex(alternate_status(&f), ==, 0x50);
    g_assert_cmpuint(f.storage.edges[14] - edges, <=, 16);
    /* as REP INSW does it, and past the end of the data */
    lba28(&f, 1, 0x20, 7, 2);
    for (int i = 0; i < 2; i++) {
        wait_irq(&f);
        port_read_run(f.storage.board.memory, f.base, data, 256, 2);
        check_pattern(data, (7 + i) * 512, 512);
    }
    g_assert_cmphex(alternate_status(&f), ==, 0x50);
    port_read_run(f.storage.board.memory, f.base, data, 128, 4);
    g_assert_cmphex(data[0], ==, 0);
    /* the first sector by cylinder, head and sector: 3/2/5 of 16/63 */
    outb(&f.storage, 0x1f6, 0xb2);
    outb(&f.storage, 0x1f2, 1);
    outb(&f.storage, 0x1f3, 5);
    outb(&f.storage, 0x1f4, 3);
    outb(&f.storage, 0x1f5, 0);
    outb(&f.storage, 0x1f7, 0x20);
    wait_irq(&f);
    read_words(&f, data, 512);
    check_pattern(data, ((3 * 16 + 2) * 63 + 4) * 512, 512);
    fixture_destroy(&f);
}

static void test_pio_write(void)
{
    Fixture f;
    uint8_t data[512 * 5], back[512 * 5];

    fixture_init(&f);
    attach_disk(&f, 0, 0, DISK);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = i * 7 + i / 256;
    lba28(&f, 0, 0x30, 50, 5);
    g_assert_cmphex(alternate_status(&f), ==, 0x58); /* without an interrupt */
    g_assert_false(f.storage.irq[14]);
    for (int i = 0; i < 5; i++) {
        if (i == 3)
            port_write_run(f.storage.board.memory, f.base, data + 512 * i, 128, 4);
        else
            write_words(&f, data + 512 * i, 512);
        g_assert_cmphex(wait_irq(&f), ==, i < 4 ? 0x58 : 0x50);
    }
    lba28(&f, 0, 0xe7, 0, 0);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    BlockImage *image = ide_drive_info(f.ide, 0, 0).image;
    g_assert_cmpint(block_image_read(image, 50 * 512, back, sizeof back), ==, 0);
    g_assert_cmpmem(back, sizeof back, data, sizeof data);
    g_assert_cmpuint(f.activity, >, 0);
    fixture_destroy(&f);
}

static void test_dma(void)
{
    Fixture f;

    fixture_init(&f);
    attach_disk(&f, 1, 0, DISK);
    use_channel(&f, 1);
    /* 64 KiB into three regions */
    put_prd(&f, 0, DMA_DATA, 0x1000);
    put_prd(&f, 1, DMA_DATA + 0x1000, 0x2002);
    put_prd(&f, 2, DMA_DATA + 0x3002, 0x80000000 | (0x10000 - 0x3002));
    outl(&f.storage, bm_port(&f, 4), PRD_TABLE);
    outb(&f.storage, bm_port(&f, 0), 8);
    outb(&f.storage, bm_port(&f, 2), 6);
    lba48(&f, 0, 0x25, 1000, 128);
    start_dma(&f);
    g_assert_cmphex(inb(&f.storage, bm_port(&f, 2)), ==, 1);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    g_assert_cmphex(inb(&f.storage, bm_port(&f, 2)), ==, 4);
    stop_dma(&f);
    for (int i = 0; i < 0x10000; i += 4)
        g_assert_cmphex(guest_uint(&f, DMA_DATA + i), ==, storage_pattern(1000 * 512 + i));
    g_assert_cmphex(guest_uint(&f, DMA_DATA + 0x10000), ==, 0);
    /* and back to another place */
    setup_dma(&f, 0x10000, false);
    lba28(&f, 0, 0xca, 5000, 128);
    start_dma(&f);
    g_assert_cmphex(wait_irq(&f), ==, 0x50);
    g_assert_cmphex(inb(&f.storage, bm_port(&f, 2)), ==, 4);
    stop_dma(&f);
    g_autofree uint32_t *back = g_malloc(0x10000);
    BlockImage *image = ide_drive_info(f.ide, 1, 0).image;
    g_assert_cmpint(block_image_read(image, 5000 * 512, back, 0x10000), ==, 0);
    check_pattern(back, 1000 * 512, 0x10000);
    fixture_destroy(&f);
}

/* What Linux and SeaBIOS look at to find out which drives exist. */
static void test_detection(void)
{
    Fixture f;
    Storage *s = &f.storage;

    fixture_init(&f);
    attach_disk(&f, 0, 0, DISK);
    /* a lone device 0 answers for device 1, with status 0 */
    outb(s, 0x1f6, 0xb0);
    g_assert_cmphex(inb(s, 0x1f7), ==, 0);
    g_assert_cmphex(inb(s, 0x3f6), ==, 0);
    outb(s, 0x1f7, 0xec);
    g_assert_cmphex(inb(s, 0x1f7), ==, 0);
    g_assert_false(s->irq[14]);
    /* soft reset: busy while held, then the signature */
    outb(s, 0x3f6, 4);
    g_assert_cmphex(inb(s, 0x1f7), ==, 0x80);
    outb(s, 0x3f6, 0);
    g_assert_cmphex(inb(s, 0x1f7), ==, 0x50);
    g_assert_cmphex(inb(s, 0x1f1), ==, 1);
    g_assert_cmphex(inb(s, 0x1f2), ==, 1);
    g_assert_cmphex(inb(s, 0x1f3), ==, 1);
    g_assert_cmphex(inb(s, 0x1f4), ==, 0);
    g_assert_cmphex(inb(s, 0x1f5), ==, 0);
    /* nobody on the second channel: not busy, nothing stored */
    g_assert_cmphex(inb(s, 0x177) & 0x80, ==, 0);
    outb(s, 0x172, 0x55);
    g_assert_cmphex(inb(s, 0x172), !=, 0x55);
    /* without the decode enable bit the ports are gone */
    pci_config_write(s->board.pci, IDE_DEVFN, 0x40, 0, 2);
    g_assert_cmphex(inb(s, 0x1f7), ==, 0xff);
    /* which a reset sets: firmware may take it for granted */
    piix_ide_reset(f.ide);
    pci_config_write(s->board.pci, IDE_DEVFN, 0x04, 5, 2);
    g_assert_cmphex(inb(s, 0x1f7), !=, 0xff);
    fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ide/identify", test_identify);
    g_test_add_func("/ide/pio-read", test_pio_read);
    g_test_add_func("/ide/pio-write", test_pio_write);
    g_test_add_func("/ide/dma", test_dma);
    g_test_add_func("/ide/detection", test_detection);
    return g_test_run();
}
