/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * What the linuxboot option ROM does: copies pieces of fw_cfg items into memory and enters the
 * kernel. The layout is shared with linuxboot-rom.S.
 */

#include "core/chipset/fw_cfg.h"
#include "core/chipset/linuxboot.h"

/* BootPlan.mode */
#define BOOT_REAL_MODE      0 /* Linux's 16-bit entry */
#define BOOT_MULTIBOOT      1

#define BOOT_PLAN_MAX_LOADS 160
/* Keys of multiboot modules, and one of no item: past the end of any item there are zeros. */
#define BOOT_KEY_MODULE     0x2000
#define BOOT_KEY_ZEROS      0x3fff
/* Entries kept free in the multiboot memory map for the ROM to fill in. */
#define BOOT_MAX_MMAP       128
#define BOOT_MMAP_ENTRY     24

typedef struct {
    uint16_t key, reserved;
    uint32_t offset; /* into the item */
    uint32_t address, size;
} __attribute__((packed)) BootLoad;

/* Little endian, as the ROM reads it. */
typedef struct {
    uint16_t mode;
    uint16_t n_loads;
    uint16_t segment;      /* real mode: DS = ES = SS; code starts 20h paragraphs later */
    uint16_t stack;        /* real mode: SP */
    uint32_t entry;        /* multiboot: EIP */
    uint16_t info_segment; /* multiboot: information structure, below 1 MiB */
    uint16_t mmap_offset;  /* of the memory map from there */
    BootLoad loads[BOOT_PLAN_MAX_LOADS];
} __attribute__((packed)) BootPlan;

/* Adds a copy of SIZE bytes; nothing when SIZE is 0. False when the plan is full. */
bool boot_plan_add(BootPlan *plan, uint16_t key, uint32_t offset, uint32_t address, uint32_t size);

/* The highest address a kernel or initrd may reach: the firmware keeps its tables above. */
uint64_t boot_memory_end(const Board *board);

/* A whole regular file, not larger than LIMIT. WHAT ("kernel") is for the error message. */
GBytes *boot_read_file(const char *path, const char *what, uint64_t limit, GError **error);

/* multiboot.c: true when FILE has a multiboot 1 header. */
bool multiboot_detect(GBytes *file);
/* Fills PLAN and publishes the items it needs. */
bool multiboot_prepare(Board *board, const MachineConfig *config, GBytes *file, BootPlan *plan,
                       GError **error);
