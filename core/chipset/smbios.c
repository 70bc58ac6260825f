/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/chipset/smbios.h"

#include "core/chipset/fw_cfg.h"

#include <string.h>

/* DMTF System Management BIOS Reference Specification (DSP0134) 2.8.0, chapters 5 and 7. */

#define MANUFACTURER "Apiary"
#define PRODUCT      "Apiary PC (i440FX + PIIX)"
#define VERSION      "1"

#define ANCHOR_SIZE  31
#define MIB          (1ull << 20)
#define GIB          (1ull << 30)
#define FOUR_GIB     (4 * GIB)
#define DIMM_SIZE    (16 * GIB)
#define MAX_DIMMS    64
#define UNKNOWN      2 /* in every enumeration that has it: 1 other, 2 unknown */

/* Handles, by type. */
enum {
    HANDLE_SYSTEM = 0x100,
    HANDLE_CHASSIS = 0x300,
    HANDLE_PROCESSOR = 0x400,
    HANDLE_MEMORY_ARRAY = 0x1000,
    HANDLE_MEMORY_DEVICE = 0x1100,
    HANDLE_MAPPED_ADDRESS = 0x1300,
    HANDLE_BOOT_INFORMATION = 0x2000,
    HANDLE_END = 0x7f00,
};

typedef struct {
    GByteArray *tables;
    unsigned count, largest;
    /* The structure being written. */
    guint start;
    GPtrArray *strings;
} Builder;

/* --- structures ----------------------------------------------------------------------------- */

static void put8(Builder *builder, uint8_t value)
{
    g_byte_array_append(builder->tables, &value, 1);
}

static void put16(Builder *builder, uint16_t value)
{
    put8(builder, value);
    put8(builder, value >> 8);
}

static void put32(Builder *builder, uint32_t value)
{
    put16(builder, value);
    put16(builder, value >> 16);
}

static void put64(Builder *builder, uint64_t value)
{
    put32(builder, value);
    put32(builder, value >> 32);
}

/* A string field holds the number of the string after the structure, from 1; 0 is none. */
static void put_string(Builder *builder, const char *text)
{
    if (!text || !text[0]) {
        put8(builder, 0);
        return;
    }
    g_ptr_array_add(builder->strings, g_strdup(text));
    put8(builder, builder->strings->len);
}

static void begin(Builder *builder, uint8_t type, uint16_t handle)
{
    builder->start = builder->tables->len;
    g_ptr_array_set_size(builder->strings, 0);
    put8(builder, type);
    put8(builder, 0); /* length */
    put16(builder, handle);
}

static void end(Builder *builder)
{
    GByteArray *tables = builder->tables;

    tables->data[builder->start + 1] = tables->len - builder->start;
    for (guint i = 0; i < builder->strings->len; i++) {
        const char *text = builder->strings->pdata[i];

        g_byte_array_append(tables, (const uint8_t *)text, strlen(text) + 1);
    }
    if (!builder->strings->len)
        put8(builder, 0);
    put8(builder, 0);
    builder->count++;
    builder->largest = MAX(builder->largest, tables->len - builder->start);
}

/* Name-based, RFC 4122 version 5. */
static void make_uuid(const MachineConfig *config, uint8_t uuid[16])
{
    static const char name_space[] = "apiary machine";
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA1);
    uint8_t digest[20];
    gsize length = sizeof digest;

    g_checksum_update(checksum, (const guchar *)name_space, sizeof name_space);
    if (config->name)
        g_checksum_update(checksum, (const guchar *)config->name, strlen(config->name) + 1);
    if (config->folder)
        g_checksum_update(checksum, (const guchar *)config->folder, strlen(config->folder) + 1);
    g_checksum_get_digest(checksum, digest, &length);
    memcpy(uuid, digest, 16);
    uuid[6] = (uuid[6] & 0x0f) | 0x50;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

/* The first three fields are little endian on the wire (section 7.2.1). */
static void put_uuid(Builder *builder, const uint8_t uuid[16])
{
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

    for (int i = 0; i < 16; i++)
        put8(builder, uuid[order[i]]);
}

/* --- types ---------------------------------------------------------------------------------- */

static void add_system(Builder *builder, const uint8_t uuid[16])
{
    begin(builder, 1, HANDLE_SYSTEM);
    put_string(builder, MANUFACTURER);
    put_string(builder, PRODUCT);
    put_string(builder, VERSION);
    put_string(builder, NULL); /* serial number */
    put_uuid(builder, uuid);
    put8(builder, 6);          /* woken by the power switch */
    put_string(builder, NULL); /* SKU */
    put_string(builder, NULL); /* family */
    end(builder);
}

static void add_chassis(Builder *builder)
{
    begin(builder, 3, HANDLE_CHASSIS);
    put_string(builder, MANUFACTURER);
    put8(builder, 1); /* type: other */
    put_string(builder, VERSION);
    put_string(builder, NULL); /* serial number */
    put_string(builder, NULL); /* asset tag */
    put8(builder, 3);          /* boot-up, power supply, thermal: safe */
    put8(builder, 3);
    put8(builder, 3);
    put8(builder, UNKNOWN); /* security */
    put32(builder, 0);      /* OEM defined */
    put8(builder, 0);       /* height */
    put8(builder, 0);       /* power cords */
    put8(builder, 0);       /* contained elements: count and length */
    put8(builder, 0);
    put_string(builder, NULL); /* SKU */
    end(builder);
}

/* One socket with all CPUs as its cores. */
static void add_processor(Builder *builder, const Board *board, const MachineConfig *config)
{
    uint8_t cores = MIN(board->n_cpus, 255);

    begin(builder, 4, HANDLE_PROCESSOR);
    put_string(builder, "CPU 0");
    put8(builder, 3); /* central processor */
    put8(builder, 1); /* family: other */
    put_string(builder, MANUFACTURER);
    put64(builder, 0); /* ID: CPUID tells */
    put_string(builder, config->cpu_model ? config->cpu_model : "max");
    put8(builder, 0);  /* voltage */
    put16(builder, 0); /* external clock, maximum and current speed: unknown */
    put16(builder, 0);
    put16(builder, 0);
    put8(builder, 0x41);    /* populated, enabled */
    put8(builder, 1);       /* upgrade: other */
    put16(builder, 0xffff); /* no cache information */
    put16(builder, 0xffff);
    put16(builder, 0xffff);
    put_string(builder, NULL); /* serial number, asset tag, part number */
    put_string(builder, NULL);
    put_string(builder, NULL);
    put8(builder, cores);
    put8(builder, cores);
    put8(builder, cores);   /* threads */
    put16(builder, 1 << 2); /* 64-bit capable */
    put16(builder, 1);      /* family 2: other */
    end(builder);
}

static uint64_t total_ram(const Board *board)
{
    return board->ram_below_4g + board->ram_above_4g;
}

static unsigned dimm_count(const Board *board)
{
    return MIN((total_ram(board) + DIMM_SIZE - 1) / DIMM_SIZE, MAX_DIMMS);
}

static void add_memory_array(Builder *builder, const Board *board)
{
    uint64_t kib = total_ram(board) >> 10;
    bool extended = kib >= 0x80000000u;

    begin(builder, 16, HANDLE_MEMORY_ARRAY);
    put8(builder, 1); /* location: other */
    put8(builder, 3); /* system memory */
    put8(builder, 3); /* no error correction */
    put32(builder, extended ? 0x80000000u : kib);
    put16(builder, 0xfffe); /* no error information */
    put16(builder, dimm_count(board));
    put64(builder, extended ? kib << 10 : 0);
    end(builder);
}

static void add_memory_device(Builder *builder, unsigned index, uint64_t size)
{
    g_autofree char *locator = g_strdup_printf("DIMM %u", index);
    uint64_t mib = size / MIB;
    bool extended = mib >= 0x7fff;

    begin(builder, 17, HANDLE_MEMORY_DEVICE + index);
    put16(builder, HANDLE_MEMORY_ARRAY);
    put16(builder, 0xfffe);
    put16(builder, 0xffff); /* total and data width: unknown */
    put16(builder, 0xffff);
    put16(builder, extended ? 0x7fff : mib);
    put8(builder, 9); /* form factor: DIMM */
    put8(builder, 0);
    put_string(builder, locator);
    put_string(builder, NULL);
    put8(builder, 7);       /* type: RAM */
    put16(builder, 1 << 1); /* detail: other */
    put16(builder, 0);      /* speed */
    put_string(builder, MANUFACTURER);
    put_string(builder, NULL); /* serial number, asset tag, part number */
    put_string(builder, NULL);
    put_string(builder, NULL);
    put8(builder, 0); /* rank */
    put32(builder, extended ? mib : 0);
    put16(builder, 0); /* configured speed */
    put16(builder, 0); /* minimum, maximum and configured voltage */
    put16(builder, 0);
    put16(builder, 0);
    end(builder);
}

static void add_mapped_address(Builder *builder, unsigned index, uint64_t base, uint64_t size)
{
    uint64_t first = base >> 10, last = ((base + size) >> 10) - 1;
    bool extended = last >= 0xffffffffu;

    begin(builder, 19, HANDLE_MAPPED_ADDRESS + index);
    put32(builder, extended ? 0xffffffffu : first); /* KiB */
    put32(builder, extended ? 0xffffffffu : last);
    put16(builder, HANDLE_MEMORY_ARRAY);
    put8(builder, 1); /* partition width */
    put64(builder, extended ? base : 0);
    put64(builder, extended ? base + size - 1 : 0);
    end(builder);
}

static void add_memory(Builder *builder, const Board *board)
{
    uint64_t left = total_ram(board);
    unsigned dimms = dimm_count(board);

    add_memory_array(builder, board);
    for (unsigned i = 0; i < dimms; i++) {
        uint64_t size = i + 1 == dimms ? left : MIN(left, DIMM_SIZE);

        add_memory_device(builder, i, size);
        left -= size;
    }
    add_mapped_address(builder, 0, 0, board->ram_below_4g);
    if (board->ram_above_4g)
        add_mapped_address(builder, 1, FOUR_GIB, board->ram_above_4g);
}

static void add_boot_information(Builder *builder)
{
    begin(builder, 32, HANDLE_BOOT_INFORMATION);
    for (int i = 0; i < 6; i++)
        put8(builder, 0);
    put8(builder, 0); /* no errors detected */
    end(builder);
}

static void add_end(Builder *builder)
{
    begin(builder, 127, HANDLE_END);
    end(builder);
}

/* --- the anchor ----------------------------------------------------------------------------- */

static uint8_t negative_sum(const uint8_t *bytes, size_t length)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return -sum;
}

/* The 32-bit entry point, section 5.2.1. Firmware fills in the address. */
static void make_anchor(const Builder *builder, uint8_t anchor[ANCHOR_SIZE])
{
    memset(anchor, 0, ANCHOR_SIZE);
    memcpy(anchor, "_SM_", 4);
    anchor[0x05] = ANCHOR_SIZE;
    anchor[0x06] = 2;
    anchor[0x07] = 8;
    anchor[0x08] = builder->largest;
    anchor[0x09] = builder->largest >> 8;
    memcpy(anchor + 0x10, "_DMI_", 5);
    anchor[0x16] = builder->tables->len;
    anchor[0x17] = builder->tables->len >> 8;
    anchor[0x1c] = builder->count;
    anchor[0x1d] = builder->count >> 8;
    anchor[0x1e] = 0x28; /* BCD revision */
    anchor[0x15] = negative_sum(anchor + 0x10, 15);
    anchor[0x04] = negative_sum(anchor, ANCHOR_SIZE);
}

void smbios_publish(Board *board, const MachineConfig *config)
{
    Builder builder = {.tables = g_byte_array_new(),
                       .strings = g_ptr_array_new_with_free_func(g_free)};
    uint8_t anchor[ANCHOR_SIZE], uuid[16];

    make_uuid(config, uuid);
    add_system(&builder, uuid);
    add_chassis(&builder);
    add_processor(&builder, board, config);
    add_memory(&builder, board);
    add_boot_information(&builder);
    add_end(&builder);
    make_anchor(&builder, anchor);
    fw_cfg_add_bytes(board->fw_cfg, FW_CFG_UUID, uuid, sizeof uuid);
    fw_cfg_add_file(board->fw_cfg, "etc/smbios/smbios-anchor", anchor, sizeof anchor);
    fw_cfg_add_file(board->fw_cfg, "etc/smbios/smbios-tables", builder.tables->data,
                    builder.tables->len);
    g_byte_array_unref(builder.tables);
    g_ptr_array_unref(builder.strings);
}
