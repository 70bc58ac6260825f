/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/chipset/boot-items.h"

#include "core/chipset/fw_cfg.h"
#include "core/chipset/linuxboot.h"
#include "core/chipset/piix3.h"

#include <string.h>

#define FOUR_GIB        (1ull << 32)
#define E820_RAM        1
#define E820_ENTRY_SIZE 20

#define CLASS_NETWORK   0x02
#define IDE_FUNCTION    1 /* of the PIIX3 */
#define FLOPPY_PORT     0x3f0
#define MAX_MENU_WAIT   0xffff

/* Open Firmware's name of the PCI root, as SeaBIOS writes it. */
#define PCI_ROOT        "/pci@i0cf8"

/* --- sizes and counts ----------------------------------------------------------------------- */

static void put_e820(GByteArray *out, uint64_t base, uint64_t length)
{
    uint64_t words[2] = {GUINT64_TO_LE(base), GUINT64_TO_LE(length)};
    uint32_t type = GUINT32_TO_LE(E820_RAM);

    g_byte_array_append(out, (const uint8_t *)words, sizeof words);
    g_byte_array_append(out, (const uint8_t *)&type, sizeof type);
}

static void publish_e820(Board *board)
{
    g_autoptr(GByteArray) map = g_byte_array_new();

    put_e820(map, 0, board->ram_below_4g);
    if (board->ram_above_4g)
        put_e820(map, FOUR_GIB, board->ram_above_4g);
    fw_cfg_add_file(board->fw_cfg, "etc/e820", map->data, map->len);
}

void boot_items_publish(Board *board, const MachineConfig *config)
{
    /* A byte for S0-S5: bit 7 "works", the low bits SLP_TYP. S0 and S5 are all there is. */
    static const uint8_t system_states[6] = {0x80, 0, 0, 1, 2, 0x80};
    FwCfg *fw = board->fw_cfg;

    fw_cfg_add_u64(fw, FW_CFG_RAM_SIZE, board->ram_below_4g + board->ram_above_4g);
    fw_cfg_add_u16(fw, FW_CFG_NB_CPUS, board->n_cpus);
    fw_cfg_add_u16(fw, FW_CFG_MAX_CPUS, board->n_cpus);
    fw_cfg_add_u16(fw, FW_CFG_NOGRAPHIC, 0);
    fw_cfg_add_u32(fw, FW_CFG_IRQ0_OVERRIDE, 1);
    publish_e820(board);
    fw_cfg_add_file(fw, "etc/system-states", system_states, sizeof system_states);
    fw_cfg_add_u16(fw, FW_CFG_BOOT_MENU, config->boot_menu);
    if (config->boot_splash_time) {
        uint16_t wait = GUINT16_TO_LE(MIN(config->boot_splash_time, MAX_MENU_WAIT));

        fw_cfg_add_file(fw, "etc/boot-menu-wait", &wait, sizeof wait);
    }
}

/* --- boot order ----------------------------------------------------------------------------- */

static void add_drives(GString *out, const MachineConfig *config, DriveKind kind)
{
    for (int place = 0; config->drives && place < 4; place++)
        for (guint i = 0; i < config->drives->len; i++) {
            const DriveConfig *drive = config->drives->pdata[i];

            if (drive->kind != kind)
                continue;
            if (kind == DRIVE_FLOPPY && drive->unit == place)
                g_string_append_printf(out, PCI_ROOT "/isa@%x/fdc@%04x/floppy@%x\n", PIIX3_SLOT,
                                       FLOPPY_PORT, drive->unit);
            else if (kind != DRIVE_FLOPPY && drive->bus * 2 + drive->unit == place)
                g_string_append_printf(out, PCI_ROOT "/ide@%x,%x/drive@%x/disk@%x\n", PIIX3_SLOT,
                                       IDE_FUNCTION, drive->bus, drive->unit);
        }
}

static void add_networks(GString *out, PciBus *bus)
{
    for (int devfn = 0; devfn < 256; devfn++) {
        PciDevice *device = pci_bus_device(bus, devfn);

        if (!device || device->config[PCI_CLASS_INTERFACE + 2] != CLASS_NETWORK)
            continue;
        g_string_append_printf(out, PCI_ROOT "/ethernet@%x", devfn >> 3);
        if (devfn & 7)
            g_string_append_printf(out, ",%x", devfn & 7);
        g_string_append(out, "/ethernet-phy@0\n");
    }
}

void boot_order_publish(Board *board, const MachineConfig *config, const char *order)
{
    g_autoptr(GString) out = g_string_new(NULL);

    if (config->kernel)
        g_string_append(out, "/rom@" LINUXBOOT_ROM_FILE "\n");
    for (const char *letter = order ? order : ""; *letter; letter++)
        switch (*letter) {
        case 'a':
        case 'b': add_drives(out, config, DRIVE_FLOPPY); break;
        case 'c': add_drives(out, config, DRIVE_IDE_DISK); break;
        case 'd': add_drives(out, config, DRIVE_IDE_CD); break;
        case 'n': add_networks(out, board->pci); break;
        default: break; /* refused by config_validate() */
        }
    if (!out->len) {
        fw_cfg_remove_file(board->fw_cfg, "bootorder");
        return;
    }
    /* Lines are separated by newlines; the last ends with the file's NUL. */
    out->str[out->len - 1] = '\0';
    fw_cfg_add_file(board->fw_cfg, "bootorder", out->str, out->len);
}
