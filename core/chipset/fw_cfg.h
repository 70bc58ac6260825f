/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The firmware configuration device: how the machine hands tables, sizes and boot files to the
 * firmware. Ports 510h (selector), 511h (data) and 514h (DMA address), as QEMU's
 * docs/specs/fw_cfg.rst describes; SeaBIOS, OVMF and Linux's qemu_fw_cfg speak it.
 *
 * All calls under the board lock.
 */

#include "core/machine/board.h"

/* Keys of items that have no name. Integers are little endian. */
enum {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03, /* u64 */
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05, /* u16 */
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_BOOT_DEVICE = 0x0c,
    FW_CFG_BOOT_MENU = 0x0e, /* u16 */
    FW_CFG_MAX_CPUS = 0x0f,  /* u16 */
    FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_IRQ0_OVERRIDE = 0x8002, /* u32: the MADT's IRQ 0 to GSI 2 */
};

#define FW_CFG_NAME_SIZE 56 /* with its final NUL */

/* Brings a file up to date before the guest reads it, with fw_cfg_add_file() on the same names and
 * sizes. */
typedef void (*FwCfgRefresh)(void *opaque);

FwCfg *fw_cfg_new(Board *board); /* registers the ports; the caller sets board->fw_cfg */
void fw_cfg_free(FwCfg *fw);
void fw_cfg_reset(FwCfg *fw); /* the registers; items stay */

/* An item without a name; replaces an earlier one. Copies DATA. */
void fw_cfg_add_bytes(FwCfg *fw, uint16_t key, const void *data, size_t length);
/* The same without a copy: takes its own reference to DATA. */
void fw_cfg_add_shared(FwCfg *fw, uint16_t key, GBytes *data);
void fw_cfg_add_u16(FwCfg *fw, uint16_t key, uint16_t value);
void fw_cfg_add_u32(FwCfg *fw, uint16_t key, uint32_t value);
void fw_cfg_add_u64(FwCfg *fw, uint16_t key, uint64_t value);
/* A named file; replaces an earlier one of that name. NAME is at most 55 bytes. Copies DATA. */
void fw_cfg_add_file(FwCfg *fw, const char *name, const void *data, size_t length);
void fw_cfg_add_file_shared(FwCfg *fw, const char *name, GBytes *data);
void fw_cfg_remove_file(FwCfg *fw, const char *name);
/* REFRESH runs whenever the guest selects the file NAME, which must exist. OPAQUE is freed with
 * DESTROY (may be NULL) when the file goes. */
void fw_cfg_set_refresh(FwCfg *fw, const char *name, FwCfgRefresh refresh, void *opaque,
                        GDestroyNotify destroy);

/* What the guest would read, or NULL. Owned by FW, good until the item is replaced. */
GBytes *fw_cfg_item(FwCfg *fw, uint16_t key);
GBytes *fw_cfg_file(FwCfg *fw, const char *name);
