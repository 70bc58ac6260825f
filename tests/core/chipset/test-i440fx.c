/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host bridge's address map, and the BIOS in it. */
#include "core/chipset/firmware.h"
#include "tests/core/chipset/chipset-fixture.h"

#include <glib/gstdio.h>
#include <string.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static RamBlock *add_bios(ChipsetFixture *fixture, size_t size)
{
    RamBlock *rom = ram_block_new(fixture->board.memory, "bios", size, NULL);

    for (size_t i = 0; i < size; i += 4)
        memcpy(rom->host + i, &(uint32_t){0xb0000000 + (size - i)}, 4);
    i440fx_set_bios(fixture->host_bridge, rom);
    return rom;
}

/* What add_bios() put at DISTANCE bytes before the end. */
static uint32_t bios_word(uint32_t distance)
{
    return 0xb0000000 + distance;
}

static void test_ram(void)
{
    ChipsetFixture *fixture = fixture_new(4 * GIB);
    MemoryMap *memory = fixture->board.memory;
    RamBlock *ram = fixture->board.ram;

    memory_write_uint(memory, 0, 0x11, 4);
    memory_write_uint(memory, 0x9fffc, 0x22, 4);
    memory_write_uint(memory, 0xa0000, 0x33, 4);
    memory_write_uint(memory, MIB, 0x44, 4);
    memory_write_uint(memory, 3 * GIB - 4, 0x55, 4);
    memory_write_uint(memory, 3 * GIB, 0x66, 4);
    memory_write_uint(memory, 4 * GIB, 0x77, 4);
    memory_write_uint(memory, 5 * GIB - 4, 0x88, 4);
    g_assert_cmphex(ram->host[0], ==, 0x11);
    g_assert_cmphex(ram->host[0x9fffc], ==, 0x22);
    g_assert_cmphex(ram->host[0xa0000], ==, 0);
    g_assert_cmphex(memory_read_uint(memory, 0xa0000, 4), ==, 0xffffffff);
    g_assert_cmphex(ram->host[MIB], ==, 0x44);
    g_assert_cmphex(ram->host[3 * GIB - 4], ==, 0x55);
    g_assert_cmphex(memory_read_uint(memory, 3 * GIB, 4), ==, 0xffffffff);
    g_assert_cmphex(ram->host[3 * GIB], ==, 0x77);
    g_assert_cmphex(ram->host[4 * GIB - 4], ==, 0x88);
    g_assert_cmphex(memory_read_uint(memory, 5 * GIB, 4), ==, 0xffffffff);
    fixture_free(fixture);
}

/* Each segment through its four states. */
static void test_pam(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    Board *board = &fixture->board;
    MemoryMap *memory = board->memory;

    add_bios(fixture, 256 << 10);
    for (int segment = 0; segment < 13; segment++) {
        uint32_t base = segment ? 0xc0000 + (segment - 1) * 0x4000 : 0xf0000;
        unsigned reg = segment ? 0x5a + (segment - 1) / 2 : 0x59;
        unsigned shift = segment && segment % 2 ? 0 : 4;
        uint32_t rom = base >= 0xe0000 ? bios_word(MIB - base) : 0xffffffff;
        uint32_t ram = 0x5a000000 + segment;

        memcpy(board->ram->host + base, &ram, 4);
        g_assert_cmphex(memory_read_uint(memory, base, 4), ==, rom);
        memory_write_uint(memory, base, 1, 4); /* dropped */
        g_assert_cmphex(memory_read_uint(memory, base, 4), ==, rom);

        pci_config_write(board->pci, 0, reg, 1 << shift, 1); /* read RAM, write PCI */
        g_assert_cmphex(memory_read_uint(memory, base, 4), ==, ram);
        memory_write_uint(memory, base, 2, 4);
        g_assert_cmphex(memory_read_uint(memory, base, 4), ==, ram);

        pci_config_write(board->pci, 0, reg, 2 << shift, 1); /* read ROM, write RAM */
        memory_write_uint(memory, base, 3, 4);
        g_assert_cmphex(memory_read_uint(memory, base, 4), ==, rom);
        g_assert_cmphex(board->ram->host[base], ==, 3);

        pci_config_write(board->pci, 0, reg, 3 << shift, 1);
        g_assert_cmphex(memory_read_uint(memory, base, 4), ==, 3);
        memory_write_uint(memory, base, 4, 4);
        g_assert_cmphex(board->ram->host[base], ==, 4);
        /* The neighbours did not move. */
        if (base > 0xc0000 && base < 0xf0000)
            g_assert_cmphex(board->ram->host[base - 4], ==, 0);
        pci_config_write(board->pci, 0, reg, 0, 1);
        g_assert_cmphex(memory_read_uint(memory, base, 4), ==, rom);
    }
    /* All at once, as SeaBIOS does, then a reset. */
    for (unsigned reg = 0x59; reg < 0x60; reg++)
        pci_config_write(board->pci, 0, reg, 0x33, 1);
    memory_write_uint(memory, 0xffff0, 0xdead, 4);
    g_assert_cmphex(memory_read_uint(memory, 0xffff0, 4), ==, 0xdead);
    g_assert_cmphex(pci_config_read(board->pci, 0, 0x59, 1), ==, 0x30);
    i440fx_reset(fixture->host_bridge);
    g_assert_cmphex(memory_read_uint(memory, 0xffff0, 4), ==, bios_word(16));
    g_assert_cmphex(memory_read_uint(memory, 0xfffffff0, 4), ==, bios_word(16));
    fixture_free(fixture);
}

static void test_smram(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    Board *board = &fixture->board;
    MemoryMap *memory = board->memory;

    g_assert_cmphex(pci_config_read(board->pci, 0, 0x72, 1), ==, 0x02);
    pci_config_write(board->pci, 0, 0x72, 0x4a, 1); /* open */
    memory_write_uint(memory, 0xa8000, 0x1234, 4);
    g_assert_cmphex(memory_read_uint(memory, 0xa8000, 4), ==, 0x1234);
    pci_config_write(board->pci, 0, 0x72, 0x5a, 1); /* lock: closes */
    g_assert_cmphex(pci_config_read(board->pci, 0, 0x72, 1), ==, 0x1a);
    g_assert_cmphex(memory_read_uint(memory, 0xa8000, 4), ==, 0xffffffff);
    pci_config_write(board->pci, 0, 0x72, 0x4a, 1);
    g_assert_cmphex(pci_config_read(board->pci, 0, 0x72, 1), ==, 0x1a);
    i440fx_reset(fixture->host_bridge);
    g_assert_cmphex(pci_config_read(board->pci, 0, 0x72, 1), ==, 0x02);
    fixture_free(fixture);
}

static void test_bios_sizes(void)
{
    static const size_t sizes[] = {64 << 10, 128 << 10, 256 << 10, 1 << 20, 16 << 20};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        ChipsetFixture *fixture = fixture_new(64 * MIB);
        MemoryMap *memory = fixture->board.memory;

        add_bios(fixture, sizes[i]);
        g_assert_cmphex(memory_read_uint(memory, 4 * GIB - sizes[i], 4), ==, bios_word(sizes[i]));
        g_assert_cmphex(memory_read_uint(memory, 4 * GIB - 16, 4), ==, bios_word(16));
        g_assert_cmphex(memory_read_uint(memory, 0xffff0, 4), ==, bios_word(16));
        g_assert_cmphex(memory_read_uint(memory, 0xe0000, 4), ==,
                        sizes[i] >= 0x20000 ? bios_word(0x20000) : 0xffffffff);
        fixture_free(fixture);
    }
}

static void test_firmware(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    Board *board = &fixture->board;
    g_autofree char *folder = g_dir_make_tmp("apiary-firmware-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "test.bin", NULL);
    g_autofree uint8_t *data = g_malloc0(65536);
    g_autofree char *found = NULL;
    g_autoptr(GError) error = NULL;
    MachineConfig config = {.firmware = path};

    g_assert_null(firmware_find("vgabios-none.bin", &error));
    g_assert_nonnull(strstr(error->message, "seabios"));
    g_clear_error(&error);
    g_assert_false(firmware_load(board, fixture->host_bridge, &config, &error));
    g_assert_nonnull(strstr(error->message, "test.bin"));
    g_clear_error(&error);

    g_assert_true(g_file_set_contents(path, (char *)data, 1000, NULL));
    g_assert_false(firmware_load(board, fixture->host_bridge, &config, &error));
    g_assert_nonnull(strstr(error->message, "64 KiB"));
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    g_assert_false(firmware_load(board, fixture->host_bridge, &config, &error));
    g_assert_nonnull(strstr(error->message, "empty"));
    g_clear_error(&error);
    config.firmware = folder;
    g_assert_false(firmware_load(board, fixture->host_bridge, &config, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);

    g_setenv("APIARY_FIRMWARE_PATH", folder, TRUE);
    data[65536 - 16] = 0xea;
    g_assert_true(g_file_set_contents(path, (char *)data, 65536, NULL));
    config.firmware = (char *)"test.bin";
    found = firmware_find("test.bin", &error);
    g_assert_cmpstr(found, ==, path);
    g_assert_true(firmware_load(board, fixture->host_bridge, &config, &error));
    g_assert_no_error(error);
    g_assert_cmphex(memory_read_uint(board->memory, 0xfffffff0, 1), ==, 0xea);
    g_unlink(path);
    g_rmdir(folder);
    fixture_free(fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/i440fx/ram", test_ram);
    g_test_add_func("/i440fx/pam", test_pam);
    g_test_add_func("/i440fx/smram", test_smram);
    g_test_add_func("/i440fx/bios-sizes", test_bios_sizes);
    g_test_add_func("/i440fx/firmware", test_firmware);
    return g_test_run();
}
