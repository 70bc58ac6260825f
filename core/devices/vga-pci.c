/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The PCI card around the VGA, as QEMU's "VGA" (stdvga) presents it, so that its VGA BIOS, OVMF and
 * Linux' bochs driver find what they know:
 *   BAR0  display memory
 *   BAR2  000-3FF EDID, 400-41F ports 3C0-3DF, 500-515 DISPI registers, 600-607 extended registers
 * (QEMU docs/specs/standard-vga).
 */

#define G_LOG_DOMAIN "vga"

#include "core/chipset/firmware.h"
#include "core/chipset/pci.h"
#include "core/config/options.h"
#include "core/devices/vga-core.h"
#include "core/devices/vga.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

#define FRAME_BUFFER_BAR    0
#define MMIO_BAR            2
#define MMIO_SIZE           0x1000
#define MMIO_EDID           0x000
#define MMIO_EDID_SIZE      0x400
#define MMIO_PORTS          0x400
#define MMIO_PORTS_FIRST    0x3c0
#define MMIO_PORTS_COUNT    0x20
#define MMIO_DISPI          0x500
#define MMIO_EXTENDED       0x600
#define EXTENDED_SIZE       8 /* bytes of extended registers, its own first four included */

#define ORDER_LITTLE_ENDIAN 0x1e1e1e1eu
#define ORDER_BIG_ENDIAN    0xbebebebeu

#define MAX_ROM_SIZE        (256u << 10)

struct Vga {
    PciDevice pci;
    VgaCore vga;
    MemoryRegion *frame_buffer, *mmio;
    uint8_t edid[128];
};

static const PciIdentity identity = {
    .vendor = 0x1234,
    .device = 0x1111,
    .revision = 2, /* has the extended registers */
    .class_code = 0x030000,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
};

/* --- BAR2 ------------------------------------------------------------------------------------ */

static uint32_t extended_read(const Vga *card, unsigned offset)
{
    switch (offset) {
    case 0: return EXTENDED_SIZE;
    case 4: return card->vga.big_endian ? ORDER_BIG_ENDIAN : ORDER_LITTLE_ENDIAN;
    default: return 0;
    }
}

static uint8_t mmio_read_byte(Vga *card, uint64_t offset)
{
    if (offset < MMIO_EDID + sizeof(card->edid))
        return card->edid[offset];
    if (offset < MMIO_EDID_SIZE)
        return 0;
    if (offset >= MMIO_PORTS && offset < MMIO_PORTS + MMIO_PORTS_COUNT)
        return vga_port_read(&card->vga, (uint16_t)(MMIO_PORTS_FIRST + offset - MMIO_PORTS));
    if (offset >= MMIO_DISPI && offset < MMIO_DISPI + 2 * VBE_COUNT)
        return (uint8_t)(vga_vbe_read(&card->vga, (unsigned)(offset - MMIO_DISPI) / 2) >>
                         (offset & 1) * 8);
    if (offset >= MMIO_EXTENDED && offset < MMIO_EXTENDED + EXTENDED_SIZE)
        return (uint8_t)(extended_read(card, (offset - MMIO_EXTENDED) & ~3u) >> (offset & 3) * 8);
    return 0xff;
}

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)mmio_read_byte(opaque, offset + i) << (8 * i);
    return value;
}

/* DISPI registers are 16 bits wide; writing one byte of them changes that byte. */
static void dispi_write(VgaCore *vga, unsigned offset, uint64_t value, unsigned size)
{
    while (size > 0 && offset < 2 * VBE_COUNT) {
        unsigned index = offset / 2, step = (offset & 1) || size == 1 ? 1 : 2;
        uint16_t word = (uint16_t)value;
        if (step == 1) {
            unsigned shift = (offset & 1) * 8;
            word = (uint16_t)((vga->vbe[index] & ~(0xff << shift)) | (value & 0xff) << shift);
        }
        vga_vbe_write(vga, index, word);
        offset += step;
        size -= step;
        value >>= 8 * step;
    }
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Vga *card = opaque;
    if (offset >= MMIO_PORTS && offset < MMIO_PORTS + MMIO_PORTS_COUNT) {
        for (unsigned i = 0; i < size && offset + i < MMIO_PORTS + MMIO_PORTS_COUNT; i++)
            vga_port_write(&card->vga, (uint16_t)(MMIO_PORTS_FIRST + offset + i - MMIO_PORTS),
                           (uint8_t)(value >> (8 * i)));
    } else if (offset >= MMIO_DISPI && offset < MMIO_DISPI + 2 * VBE_COUNT) {
        dispi_write(&card->vga, (unsigned)(offset - MMIO_DISPI), value, size);
    } else if (offset == MMIO_EXTENDED + 4 && size == 4) {
        if (value == ORDER_BIG_ENDIAN || value == ORDER_LITTLE_ENDIAN)
            card->vga.big_endian = value == ORDER_BIG_ENDIAN;
    }
}

static const MmioOps mmio_ops = {mmio_read, mmio_write};

/* --- the device ------------------------------------------------------------------------------ */

static const OptionInfo options[] = {
    {"vgamem_mb", OPTION_UINT, "16", 1, 256, NULL,
     N_("display memory in MiB, rounded up to a power of two; 16 is enough for 2560x1600")},
    {"edid", OPTION_BOOL, "on", 0, 0, NULL, N_("describe the monitor to the guest")},
    {"xres", OPTION_UINT, "1280", 640, 4088, NULL, N_("width the monitor prefers, in pixels")},
    {"yres", OPTION_UINT, "800", 480, 4095, NULL, N_("height the monitor prefers, in pixels")},
    {"romfile", OPTION_STRING, "vgabios-stdvga.bin", 0, 0, NULL,
     N_("VGA BIOS, a firmware name or a path; empty for none")},
    {.name = NULL},
};

static uint64_t vram_size(uint64_t megabytes)
{
    uint64_t size = 1 << 20;
    while (size < megabytes << 20)
        size <<= 1;
    return size;
}

static bool create(Device *device, Board *board, const OptionValues *values, GError **error)
{
    Vga *card = (Vga *)device;
    const char *rom_name = option_string(values, "romfile");
    g_autoptr(GBytes) rom = NULL;

    if (rom_name && *rom_name) {
        rom = firmware_read(rom_name, MAX_ROM_SIZE, error);
        if (!rom)
            return false;
        if (g_bytes_get_size(rom) == 0) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                        _("The VGA BIOS “%s” is empty: give another romfile"), rom_name);
            return false;
        }
    }
    RamBlock *vram = ram_block_new(board->memory, "vga.vram",
                                   vram_size(option_uint(values, "vgamem_mb")), error);
    if (!vram || !pci_device_plug(board->pci, &card->pci, -1, &identity, error))
        return false;

    vga_core_init(&card->vga, board, vram);
    if (option_bool(values, "edid"))
        vga_edid_build(card->edid, (unsigned)option_uint(values, "xres"),
                       (unsigned)option_uint(values, "yres"));
    card->frame_buffer =
        memory_region_new_ram(board->memory, "vga-frame-buffer", vram, 0, vram->size);
    pci_bar_add_memory(&card->pci, FRAME_BUFFER_BAR, PCI_BAR_MEM32 | PCI_BAR_PREFETCH,
                       card->frame_buffer, vram->size);
    card->mmio = memory_region_new_mmio(board->memory, "vga-mmio", &mmio_ops, card, MMIO_SIZE);
    pci_bar_add_memory(&card->pci, MMIO_BAR, PCI_BAR_MEM32, card->mmio, MMIO_SIZE);
    if (rom) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(rom, &size);
        pci_add_rom(&card->pci, rom_name, data, size);
    }
    display_set_source(board->display, vga_refresh, &card->vga);
    return true;
}

static void reset(Device *device)
{
    Vga *card = (Vga *)device;
    pci_device_reset(&card->pci);
    vga_core_reset(&card->vga);
}

static void destroy(Device *device)
{
    Vga *card = (Vga *)device;
    display_set_source(device->board->display, NULL, NULL);
    pci_device_unplug(&card->pci);
    vga_core_destroy(&card->vga);
}

const DeviceClass vga_class = {
    .name = "VGA",
    .title = N_("VGA graphics with Bochs extensions"),
    .bus = BUS_PCI,
    .options = options,
    .instance_size = sizeof(Vga),
    .create = create,
    .reset = reset,
    .destroy = destroy,
};

/* --- as a part of the board ------------------------------------------------------------------ */

Vga *vga_new(Board *board, uint64_t memory_size, GError **error)
{
    Vga *card = g_new0(Vga, 1);
    OptionValues *values = option_values_new(options);
    g_autofree char *megabytes = g_strdup_printf("%" G_GUINT64_FORMAT, memory_size >> 20);

    card->pci.device.device_class = &vga_class;
    card->pci.device.board = board;
    bool made = option_values_set(values, "vgamem_mb", megabytes, error) &&
                create(&card->pci.device, board, values, error);
    option_values_free(values);
    if (!made)
        g_clear_pointer(&card, g_free);
    return card;
}

void vga_reset(Vga *card)
{
    reset(&card->pci.device);
}

void vga_free(Vga *card)
{
    if (!card)
        return;
    destroy(&card->pci.device);
    g_free(card);
}
