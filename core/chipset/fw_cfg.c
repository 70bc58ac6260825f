/* SPDX-License-Identifier: GPL-3.0-or-later */
#define G_LOG_DOMAIN "fw_cfg"

#include "core/chipset/fw_cfg.h"

#include <string.h>

/* Ports. The DMA register is 8 bytes, big endian; writing its second half starts the transfer. */
#define PORT_SELECTOR 0x510
#define PORT_DATA     0x511
#define PORT_DMA      0x514

#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG", read from the DMA register */

/* FW_CFG_ID */
enum { ID_TRADITIONAL = 1 << 0, ID_DMA = 1 << 1 };

/* FWCfgDmaAccess.control; the selector is in the upper 16 bits. */
enum {
    DMA_ERROR = 1 << 0,
    DMA_READ = 1 << 1,
    DMA_SKIP = 1 << 2,
    DMA_SELECT = 1 << 3,
    DMA_WRITE = 1 << 4,
};

#define N_FILES        0x100
#define DMA_CHUNK      0x10000u
#define SELECTOR_NONE  0xffffu
#define SELECTOR_WRITE 0x4000u /* legacy write channel: selects the same item */

typedef struct {
    GBytes *data; /* NULL: no such item */
    FwCfgRefresh refresh;
    void *refresh_opaque;
    GDestroyNotify refresh_destroy;
} Item;

struct FwCfg {
    Board *board;
    GHashTable *items;    /* key -> Item, for keys without names */
    Item files[N_FILES];  /* key FW_CFG_FILE_FIRST + index */
    char *names[N_FILES]; /* NULL: free */
    uint16_t selector;
    size_t offset; /* into the selected item */
    uint64_t dma_address;
};

/* --- items ---------------------------------------------------------------------------------- */

static void item_clear(Item *item)
{
    g_clear_pointer(&item->data, g_bytes_unref);
    if (item->refresh_destroy)
        item->refresh_destroy(item->refresh_opaque);
    *item = (Item){0};
}

static void item_free(void *item)
{
    item_clear(item);
    g_free(item);
}

static void put_be32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = value >> (24 - 8 * i);
}

static uint64_t get_be(const uint8_t *p, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value = value << 8 | p[i];
    return value;
}

static Item *find_item(FwCfg *fw, uint16_t key)
{
    if (key >= FW_CFG_FILE_FIRST && key < FW_CFG_FILE_FIRST + N_FILES) {
        Item *item = &fw->files[key - FW_CFG_FILE_FIRST];

        return item->data ? item : NULL;
    }
    return g_hash_table_lookup(fw->items, GUINT_TO_POINTER(key));
}

static int find_file(const FwCfg *fw, const char *name)
{
    for (int i = 0; i < N_FILES; i++)
        if (fw->names[i] && !strcmp(fw->names[i], name))
            return i;
    return -1;
}

/* FW_CFG_FILE_DIR: u32 count, then {u32 size, u16 key, u16 0, name[56]}, big endian. */
static void rebuild_directory(FwCfg *fw)
{
    g_autoptr(GByteArray) directory = g_byte_array_new();
    uint32_t count = 0;

    g_byte_array_set_size(directory, 4);
    for (int i = 0; i < N_FILES; i++) {
        uint8_t entry[8 + FW_CFG_NAME_SIZE] = {0};

        if (!fw->names[i])
            continue;
        put_be32(entry, g_bytes_get_size(fw->files[i].data));
        put_be32(entry + 4, (uint32_t)(FW_CFG_FILE_FIRST + i) << 16);
        g_strlcpy((char *)entry + 8, fw->names[i], FW_CFG_NAME_SIZE);
        g_byte_array_append(directory, entry, sizeof entry);
        count++;
    }
    put_be32(directory->data, count);
    fw_cfg_add_bytes(fw, FW_CFG_FILE_DIR, directory->data, directory->len);
}

void fw_cfg_add_shared(FwCfg *fw, uint16_t key, GBytes *data)
{
    Item *item = g_new0(Item, 1);

    g_assert(key < FW_CFG_FILE_FIRST || key >= FW_CFG_FILE_FIRST + N_FILES);
    item->data = g_bytes_ref(data);
    g_hash_table_insert(fw->items, GUINT_TO_POINTER(key), item);
}

void fw_cfg_add_bytes(FwCfg *fw, uint16_t key, const void *data, size_t length)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, length);

    fw_cfg_add_shared(fw, key, bytes);
}

void fw_cfg_add_u16(FwCfg *fw, uint16_t key, uint16_t value)
{
    value = GUINT16_TO_LE(value);
    fw_cfg_add_bytes(fw, key, &value, sizeof value);
}

void fw_cfg_add_u32(FwCfg *fw, uint16_t key, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    fw_cfg_add_bytes(fw, key, &value, sizeof value);
}

void fw_cfg_add_u64(FwCfg *fw, uint16_t key, uint64_t value)
{
    value = GUINT64_TO_LE(value);
    fw_cfg_add_bytes(fw, key, &value, sizeof value);
}

void fw_cfg_add_file_shared(FwCfg *fw, const char *name, GBytes *data)
{
    int index = find_file(fw, name);

    g_assert(strlen(name) < FW_CFG_NAME_SIZE);
    for (int i = 0; index < 0 && i < N_FILES; i++)
        if (!fw->names[i])
            index = i;
    g_return_if_fail(index >= 0);
    if (!fw->names[index])
        fw->names[index] = g_strdup(name);
    g_bytes_ref(data);
    g_clear_pointer(&fw->files[index].data, g_bytes_unref);
    fw->files[index].data = data;
    rebuild_directory(fw);
}

void fw_cfg_add_file(FwCfg *fw, const char *name, const void *data, size_t length)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, length);

    fw_cfg_add_file_shared(fw, name, bytes);
}

void fw_cfg_remove_file(FwCfg *fw, const char *name)
{
    int index = find_file(fw, name);

    if (index < 0)
        return;
    g_clear_pointer(&fw->names[index], g_free);
    item_clear(&fw->files[index]);
    rebuild_directory(fw);
}

void fw_cfg_set_refresh(FwCfg *fw, const char *name, FwCfgRefresh refresh, void *opaque,
                        GDestroyNotify destroy)
{
    int index = find_file(fw, name);

    g_return_if_fail(index >= 0);
    fw->files[index].refresh = refresh;
    fw->files[index].refresh_opaque = opaque;
    fw->files[index].refresh_destroy = destroy;
}

GBytes *fw_cfg_item(FwCfg *fw, uint16_t key)
{
    Item *item = find_item(fw, key);

    return item ? item->data : NULL;
}

GBytes *fw_cfg_file(FwCfg *fw, const char *name)
{
    int index = find_file(fw, name);

    return index >= 0 ? fw->files[index].data : NULL;
}

/* --- transfers ------------------------------------------------------------------------------ */

static void select_item(FwCfg *fw, uint16_t key)
{
    Item *item;

    fw->selector = key & ~SELECTOR_WRITE;
    fw->offset = 0;
    item = find_item(fw, fw->selector);
    if (item && item->refresh)
        item->refresh(item->refresh_opaque);
}

/* What is left of the selected item, and how much. */
static const uint8_t *remaining(FwCfg *fw, size_t *length)
{
    GBytes *data = fw->selector == SELECTOR_NONE ? NULL : fw_cfg_item(fw, fw->selector);
    const uint8_t *bytes;
    size_t size;

    *length = 0;
    if (!data)
        return NULL;
    bytes = g_bytes_get_data(data, &size);
    if (fw->offset >= size)
        return NULL;
    *length = size - fw->offset;
    return bytes + fw->offset;
}

/* Past the end of an item everything reads 0. Stops at the first address that is not there. */
static bool dma_read(FwCfg *fw, uint64_t address, uint32_t length)
{
    static const uint8_t zeros[DMA_CHUNK];

    while (length) {
        size_t left;
        const uint8_t *bytes = remaining(fw, &left);
        uint32_t chunk = MIN(length, bytes ? MIN(left, DMA_CHUNK) : DMA_CHUNK);

        if (!memory_write(fw->board->memory, address, bytes ? bytes : zeros, chunk))
            return false;
        if (bytes)
            fw->offset += chunk;
        address += chunk;
        length -= chunk;
    }
    return true;
}

static void dma_skip(FwCfg *fw, uint32_t length)
{
    size_t left;

    remaining(fw, &left);
    fw->offset += MIN(left, length);
}

/* FWCfgDmaAccess: u32 control, u32 length, u64 address, big endian. The device answers by writing
 * control: 0, or the error bit. No item of ours may be written. */
static void dma_run(FwCfg *fw, uint64_t descriptor)
{
    MemoryMap *memory = fw->board->memory;
    uint8_t access[16], answer[4];
    uint32_t control, length;
    uint64_t address;
    bool good = true;

    if (!memory_read(memory, descriptor, access, sizeof access)) {
        g_debug("DMA descriptor at %" G_GINT64_MODIFIER "x is not in memory", descriptor);
        put_be32(answer, DMA_ERROR);
        memory_write(memory, descriptor, answer, sizeof answer);
        return;
    }
    control = get_be(access, 4);
    length = get_be(access + 4, 4);
    address = get_be(access + 8, 8);
    if (control & DMA_SELECT)
        select_item(fw, control >> 16);
    if (control & DMA_READ)
        good = dma_read(fw, address, length);
    else if (control & DMA_WRITE)
        good = length == 0;
    else if (control & DMA_SKIP)
        dma_skip(fw, length);
    put_be32(answer, good ? 0 : DMA_ERROR);
    memory_write(memory, descriptor, answer, sizeof answer);
}

/* --- ports ---------------------------------------------------------------------------------- */

static uint8_t read_byte(FwCfg *fw)
{
    size_t left;
    const uint8_t *bytes = remaining(fw, &left);

    if (!bytes)
        return 0;
    fw->offset++;
    return bytes[0];
}

/* The selector is a word at 510h, write only; the data register the byte at 511h, read only. */
static uint32_t combined_read(void *opaque, uint16_t port, unsigned size)
{
    return port == PORT_DATA && size == 1 ? read_byte(opaque) : 0;
}

static void combined_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    if (port == PORT_SELECTOR && size == 2)
        select_item(opaque, value);
}

static uint32_t dma_port_read(void *opaque, uint16_t port, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        unsigned byte = port - PORT_DMA + i;

        if (byte < 8)
            value |= (uint32_t)(DMA_SIGNATURE >> (56 - 8 * byte) & 0xff) << 8 * i;
    }
    return value;
}

static void dma_port_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    FwCfg *fw = opaque;
    bool complete = false;

    for (unsigned i = 0; i < size; i++) {
        unsigned byte = port - PORT_DMA + i, shift = 56 - 8 * byte;

        if (byte > 7)
            break;
        fw->dma_address &= ~(0xffull << shift);
        fw->dma_address |= (uint64_t)(value >> 8 * i & 0xff) << shift;
        complete |= byte == 7;
    }
    if (complete) {
        uint64_t descriptor = fw->dma_address;

        fw->dma_address = 0;
        dma_run(fw, descriptor);
    }
}

static const PortOps combined_ops = {combined_read, combined_write, 2};
static const PortOps dma_ops = {dma_port_read, dma_port_write, 4};

/* --- life ----------------------------------------------------------------------------------- */

void fw_cfg_reset(FwCfg *fw)
{
    fw->selector = SELECTOR_NONE;
    fw->offset = 0;
    fw->dma_address = 0;
}

FwCfg *fw_cfg_new(Board *board)
{
    FwCfg *fw = g_new0(FwCfg, 1);

    fw->board = board;
    fw->items = g_hash_table_new_full(NULL, NULL, NULL, item_free);
    fw_cfg_add_bytes(fw, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_u32(fw, FW_CFG_ID, ID_TRADITIONAL | ID_DMA);
    rebuild_directory(fw);
    port_register(board->memory, PORT_SELECTOR, 2, &combined_ops, fw);
    port_register(board->memory, PORT_DMA, 8, &dma_ops, fw);
    fw_cfg_reset(fw);
    return fw;
}

void fw_cfg_free(FwCfg *fw)
{
    if (!fw)
        return;
    port_unregister(fw->board->memory, PORT_SELECTOR, 2, fw);
    port_unregister(fw->board->memory, PORT_DMA, 8, fw);
    for (int i = 0; i < N_FILES; i++) {
        g_free(fw->names[i]);
        item_clear(&fw->files[i]);
    }
    g_hash_table_unref(fw->items);
    g_free(fw);
}
