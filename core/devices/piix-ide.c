/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The IDE function of the PIIX3 (Intel 82371SB data sheet 2.3 and 2.6.2; "Programming Interface for
 * Bus Master IDE Controller" rev 1.0).
 */

#include "core/devices/ide-internal.h"

#include <glib/gi18n.h>
#include <string.h>

/* Configuration space */
enum {
    IDETIM_PRIMARY = 0x40,
    IDETIM_SECONDARY = 0x42,
    SIDETIM = 0x44,
    IDETIM_DECODE_ENABLE = 0x80, /* in the high byte */
    BMIBA_BAR = 4,
    COMMAND_IO = 0x01,
};

/* Bus master registers of one channel */
enum {
    BMICX = 0,
    BMISX = 2,
    BMIDTPX = 4,
    BMICX_START = 0x01,
    BMICX_TO_MEMORY = 0x08,
    BMISX_ACTIVE = 0x01,
    BMISX_ERROR = 0x02,
    BMISX_INTERRUPT = 0x04,
    BMISX_DRIVES_CAPABLE = 0x60, /* set by software, for software */
};

#define PRD_LAST 0x80000000u

static const DeviceClass piix_ide_class = {
    .name = "piix3-ide",
    .title = N_("PIIX3 IDE controller"),
    .bus = BUS_PCI,
    .instance_size = sizeof(PiixIde),
};

/* --- Bus master ------------------------------------------------------------------------------- */

static void bus_master_fail(BusMaster *bm)
{
    bm->status |= BMISX_ERROR;
    bm->status &= ~BMISX_ACTIVE;
}

static bool fetch_descriptor(IdeChannel *channel)
{
    BusMaster *bm = &channel->bus_master;
    uint32_t descriptor[2];

    if (!memory_read(channel->board->memory, bm->next, descriptor, sizeof descriptor)) {
        bus_master_fail(bm);
        return false;
    }
    /* A table lies within 64 KiB; the pointer wraps there. */
    bm->next = (bm->next & 0xffff0000) | ((bm->next + 8) & 0xffff);
    bm->address = GUINT32_FROM_LE(descriptor[0]) & ~1u;
    bm->remaining = GUINT32_FROM_LE(descriptor[1]) & 0xfffe;
    if (bm->remaining == 0)
        bm->remaining = 0x10000;
    bm->last = GUINT32_FROM_LE(descriptor[1]) & PRD_LAST;
    return true;
}

/* Moves what the drive asks for as far as the table goes. Each descriptor moves two bytes at least,
 * so a table that loops or never ends costs no more than the drive's buffer. */
void bus_master_run(IdeChannel *channel)
{
    BusMaster *bm = &channel->bus_master;
    IdeDrive *drive = channel->drives[0].dma_done ? &channel->drives[0] : &channel->drives[1];

    if (!drive->dma_done || !(bm->status & BMISX_ACTIVE) ||
        drive->dma_to_memory != !!(bm->command & BMICX_TO_MEMORY) ||
        !pci_bus_master(&channel->ide->pci))
        return;

    MemoryMap *map = channel->board->memory;
    while (drive->dma_position < drive->dma_end) {
        if (bm->remaining == 0) {
            if (bm->last) { /* regions smaller than the transfer: the drive waits on */
                bm->status &= ~BMISX_ACTIVE;
                return;
            }
            if (!fetch_descriptor(channel))
                return;
        }
        size_t n = MIN(drive->dma_end - drive->dma_position, bm->remaining);
        uint8_t *data = drive->buffer + drive->dma_position;
        bool reached = drive->dma_to_memory ? memory_write(map, bm->address, data, n)
                                            : memory_read(map, bm->address, data, n);
        if (!reached) {
            bus_master_fail(bm);
            return;
        }
        bm->address += n;
        bm->remaining -= n;
        drive->dma_position += n;
    }
    if (bm->remaining == 0 && bm->last)
        bm->status &= ~BMISX_ACTIVE;
    IdePhaseDone done = drive->dma_done;
    drive->dma_done = NULL;
    done(drive);
}

static void write_command(IdeChannel *channel, uint8_t value)
{
    BusMaster *bm = &channel->bus_master;
    uint8_t changed = bm->command ^ value;

    bm->command = value & (BMICX_START | BMICX_TO_MEMORY);
    if (!(changed & BMICX_START))
        return;
    if (value & BMICX_START) {
        bm->next = bm->table;
        bm->remaining = 0;
        bm->last = false;
        bm->status |= BMISX_ACTIVE;
        bus_master_run(channel);
    } else { /* stopping loses the place in the table */
        bm->status &= ~BMISX_ACTIVE;
    }
}

static uint8_t bus_master_read_byte(IdeChannel *channel, unsigned reg)
{
    const BusMaster *bm = &channel->bus_master;
    switch (reg) {
    case BMICX: return bm->command;
    case BMISX: return bm->status;
    case 1:
    case 3: return 0;
    default: return bm->table >> (8 * (reg - BMIDTPX));
    }
}

static void bus_master_write_byte(IdeChannel *channel, unsigned reg, uint8_t value)
{
    BusMaster *bm = &channel->bus_master;
    switch (reg) {
    case BMICX: write_command(channel, value); break;
    case BMISX: /* error and interrupt are cleared by writing one */
        bm->status &= ~(value & (BMISX_ERROR | BMISX_INTERRUPT));
        bm->status = (bm->status & ~BMISX_DRIVES_CAPABLE) | (value & BMISX_DRIVES_CAPABLE);
        break;
    case 1:
    case 3: break;
    default: {
        unsigned shift = 8 * (reg - BMIDTPX);
        bm->table = ((bm->table & ~(0xffu << shift)) | (uint32_t)value << shift) & ~3u;
        break;
    }
    }
}

static uint32_t bus_master_read(void *opaque, uint16_t port, unsigned size)
{
    PiixIde *ide = opaque;
    unsigned offset = port - pci_bar_base(&ide->pci, BMIBA_BAR);
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++, offset++)
        value |= (uint32_t)bus_master_read_byte(&ide->channels[(offset >> 3) & 1], offset & 7)
                 << (8 * i);
    return value;
}

static void bus_master_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    PiixIde *ide = opaque;
    unsigned offset = port - pci_bar_base(&ide->pci, BMIBA_BAR);
    for (unsigned i = 0; i < size; i++, offset++)
        bus_master_write_byte(&ide->channels[(offset >> 3) & 1], offset & 7, value >> (8 * i));
}

static const PortOps bus_master_ops = {bus_master_read, bus_master_write, 4};

/* --- The PCI function ------------------------------------------------------------------------- */

static void config_written(PciDevice *device, unsigned offset, unsigned size)
{
    PiixIde *ide = (PiixIde *)device;
    bool io = device->config[4] & COMMAND_IO;

    for (int i = 0; i < 2; i++) {
        uint8_t timing = device->config[IDETIM_PRIMARY + 2 * i + 1];
        ide_channel_decode(&ide->channels[i], io && (timing & IDETIM_DECODE_ENABLE));
        bus_master_run(&ide->channels[i]); /* bus mastering may have been allowed */
    }
}

PiixIde *piix_ide_new(Board *board, int devfn, GError **error)
{
    static const PciIdentity identity = {
        .vendor = 0x8086,
        .device = 0x7010,
        .class_code = 0x010180, /* bus master, both channels in legacy mode */
    };
    PiixIde *ide = g_new0(PiixIde, 1);
    PciDevice *pci = &ide->pci;

    pci->device.device_class = &piix_ide_class;
    pci->device.board = board;
    for (int i = 0; i < 2; i++)
        ide_channel_init(&ide->channels[i], ide, i);
    if (!pci_device_plug(board->pci, pci, devfn, &identity, error)) {
        g_free(ide);
        return NULL;
    }
    pci_bar_add_io(pci, BMIBA_BAR, &bus_master_ops, ide, 16);
    memset(pci->write_mask + IDETIM_PRIMARY, 0xff, 5);
    pci->write_mask[IDETIM_PRIMARY + 1] = pci->write_mask[IDETIM_SECONDARY + 1] = 0xf3;
    pci->config_written = config_written;
    piix_ide_reset(ide);
    return ide;
}

void piix_ide_reset(PiixIde *ide)
{
    PciDevice *pci = &ide->pci;

    pci_device_reset(pci);
    memset(pci->config + IDETIM_PRIMARY, 0, 5);
    /* The data sheet's 0 until firmware sets it; EDK2 does not, since QEMU's channels are there
     * without. */
    pci->config[IDETIM_PRIMARY + 1] = pci->config[IDETIM_SECONDARY + 1] = IDETIM_DECODE_ENABLE;
    pci->config[0x06] = 0x80; /* fast back-to-back capable */
    pci->config[0x07] = 0x02; /* medium DEVSEL# timing */
    for (int i = 0; i < 2; i++) {
        ide_channel_hard_reset(&ide->channels[i]);
        ide_channel_decode(&ide->channels[i], false);
    }
}

void piix_ide_free(PiixIde *ide)
{
    if (!ide)
        return;
    for (int i = 0; i < 2; i++)
        ide_channel_destroy(&ide->channels[i]);
    pci_device_unplug(&ide->pci);
    g_free(ide);
}
