/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fw_cfg as firmware reads it: by port and by DMA. */
#include "tests/core/chipset/chipset-fixture.h"

#include <string.h>

#define MIB (1ull << 20)

static void select_key(MemoryMap *memory, uint16_t key)
{
    port_write(memory, 0x510, key, 2);
}

static void read_bytes(MemoryMap *memory, void *buffer, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((uint8_t *)buffer)[i] = port_read(memory, 0x511, 1);
}

static uint32_t be32(const void *p)
{
    uint32_t value;

    memcpy(&value, p, 4);
    return GUINT32_FROM_BE(value);
}

/* Runs one DMA transfer with its descriptor at DESCRIPTOR; returns the control word after it. */
static uint32_t dma(MemoryMap *memory, uint64_t descriptor, uint32_t control, uint32_t length,
                    uint64_t address)
{
    uint32_t words[4] = {GUINT32_TO_BE(control), GUINT32_TO_BE(length),
                         GUINT32_TO_BE(address >> 32), GUINT32_TO_BE((uint32_t)address)};
    uint8_t answer[4];

    memory_write(memory, descriptor, words, sizeof words);
    port_write(memory, 0x514, GUINT32_TO_BE((uint32_t)(descriptor >> 32)), 4);
    port_write(memory, 0x518, GUINT32_TO_BE((uint32_t)descriptor), 4);
    memory_read(memory, descriptor, answer, 4);
    return be32(answer);
}

/* The key of a file by the directory, and its size. */
static int find_key(MemoryMap *memory, const char *name, uint32_t *size)
{
    uint8_t count[4], entry[64];

    select_key(memory, FW_CFG_FILE_DIR);
    read_bytes(memory, count, 4);
    for (uint32_t i = 0; i < be32(count); i++) {
        read_bytes(memory, entry, sizeof entry);
        *size = be32(entry);
        if (!strcmp((char *)entry + 8, name))
            return entry[4] << 8 | entry[5];
    }
    return -1;
}

static void test_ports(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    MemoryMap *memory = fixture->board.memory;
    FwCfg *fw = fixture->board.fw_cfg;
    uint8_t bytes[8];
    uint32_t size;
    int key;

    g_assert_cmphex(port_read(memory, 0x511, 1), ==, 0); /* nothing selected */
    select_key(memory, FW_CFG_SIGNATURE);
    read_bytes(memory, bytes, 6);
    g_assert_cmpmem(bytes, 6, "QEMU\0\0", 6);
    select_key(memory, FW_CFG_ID);
    g_assert_cmphex(port_read(memory, 0x511, 1), ==, 3);
    fw_cfg_add_u64(fw, FW_CFG_RAM_SIZE, 0x1122334455ull);
    select_key(memory, FW_CFG_RAM_SIZE);
    read_bytes(memory, bytes, 8);
    g_assert_cmpmem(bytes, 8, "\x55\x44\x33\x22\x11\0\0\0", 8);
    select_key(memory, 0x1234); /* no such item */
    g_assert_cmphex(port_read(memory, 0x511, 1), ==, 0);

    fw_cfg_add_file(fw, "etc/one", "first", 5);
    fw_cfg_add_file(fw, "etc/two", "second", 6);
    key = find_key(memory, "etc/two", &size);
    g_assert_cmpint(key, >=, 0x20);
    g_assert_cmpuint(size, ==, 6);
    select_key(memory, key);
    read_bytes(memory, bytes, 6);
    g_assert_cmpmem(bytes, 6, "second", 6);
    fw_cfg_add_file(fw, "etc/two", "2", 1); /* keeps its key */
    g_assert_cmpint(find_key(memory, "etc/two", &size), ==, key);
    g_assert_cmpuint(size, ==, 1);
    fw_cfg_remove_file(fw, "etc/one");
    g_assert_cmpint(find_key(memory, "etc/one", &size), ==, -1);
    fixture_free(fixture);
}

static void test_dma(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    MemoryMap *memory = fixture->board.memory;
    FwCfg *fw = fixture->board.fw_cfg;
    g_autofree uint8_t *data = g_malloc(300000), *copy = g_malloc(300000);
    uint32_t size;
    int key;

    for (int i = 0; i < 300000; i++)
        data[i] = i * 7 ^ i >> 8;
    fw_cfg_add_file(fw, "opt/data", data, 300000);
    key = find_key(memory, "opt/data", &size);
    g_assert_cmphex(port_read(memory, 0x514, 4), ==, GUINT32_TO_BE(0x51454d55));
    g_assert_cmphex(port_read(memory, 0x518, 4), ==, GUINT32_TO_BE(0x20434647));

    /* Select and read all, with zeros after the end. */
    memset(fixture->board.ram->host + 0x200000, 0xee, 300200);
    g_assert_cmphex(dma(memory, 0x8000, (uint32_t)key << 16 | 8 | 2, 300100, 0x200000), ==, 0);
    memory_read(memory, 0x200000, copy, 300000);
    g_assert_cmpmem(copy, 300000, data, 300000);
    g_assert_cmphex(memory_read_uint(memory, 0x200000 + 300000, 4), ==, 0);
    g_assert_cmphex(memory_read_uint(memory, 0x200000 + 300100, 4), ==, 0xeeeeeeee);
    /* Select, skip, read in pieces, mixed with the data port. */
    g_assert_cmphex(dma(memory, 0x8000, (uint32_t)key << 16 | 8 | 4, 1000, 0), ==, 0);
    g_assert_cmphex(port_read(memory, 0x511, 1), ==, data[1000]);
    g_assert_cmphex(dma(memory, 0x8000, 2, 16, 0x9000), ==, 0);
    memory_read(memory, 0x9000, copy, 16);
    g_assert_cmpmem(copy, 16, data + 1001, 16);
    /* Nothing may be written. */
    g_assert_cmphex(dma(memory, 0x8000, (uint32_t)key << 16 | 8 | 16, 4, 0x9000), ==, 1);
    fixture_free(fixture);
}

static void test_hostile_dma(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    MemoryMap *memory = fixture->board.memory;
    static const uint64_t bad[] = {0xf0000000, 0xffffffffffffffffull, 64 * MIB - 8,
                                   0xfffffffffffffff8ull, 0xfff8};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        dma(memory, bad[i], 2, 0xffffffff, 0x1000000);
    fw_cfg_reset(fixture->board.fw_cfg);
    g_assert_cmphex(dma(memory, 0x8000, 8 | 2, 0xffffffff, 0xf0000000), ==, 1);
    g_assert_cmphex(dma(memory, 0x8000, 8 | 2, 0xffffffff, 0xfffffffffffffff0ull), ==, 1);
    g_assert_cmphex(dma(memory, 0x8000, 8 | 4, 0xffffffff, 0), ==, 0);
    g_assert_cmphex(dma(memory, 0x8000, 2, 0, 0xf0000000), ==, 0);
    /* Over its own descriptor. */
    dma(memory, 0x8000, 8 | 2, 64, 0x8000);
    /* Odd widths. */
    for (unsigned port = 0x510; port < 0x51c; port++)
        for (unsigned size = 1; size <= 4; size *= 2) {
            port_read(memory, port, size);
            port_write(memory, port, 0xffffffff >> (32 - 8 * size), size);
        }
    fixture_free(fixture);
}

static void refresh(void *opaque)
{
    ChipsetFixture *fixture = opaque;

    fw_cfg_add_file(fixture->board.fw_cfg, "etc/lazy", "new", 3);
}

static void test_refresh(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    MemoryMap *memory = fixture->board.memory;
    uint32_t size;
    int key;

    fw_cfg_add_file(fixture->board.fw_cfg, "etc/lazy", "old", 3);
    fw_cfg_set_refresh(fixture->board.fw_cfg, "etc/lazy", refresh, fixture, NULL);
    key = find_key(memory, "etc/lazy", &size);
    select_key(memory, key);
    g_assert_cmphex(port_read(memory, 0x511, 1), ==, 'n');
    fixture_free(fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fw-cfg/ports", test_ports);
    g_test_add_func("/fw-cfg/dma", test_dma);
    g_test_add_func("/fw-cfg/hostile-dma", test_hostile_dma);
    g_test_add_func("/fw-cfg/refresh", test_refresh);
    return g_test_run();
}
