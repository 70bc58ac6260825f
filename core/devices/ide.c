/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/devices/ide-internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

/* Command block registers, relative to 1F0h or 170h */
enum {
    REG_DATA,
    REG_ERROR_FEATURES,
    REG_COUNT,
    REG_LBA_LOW,
    REG_LBA_MID,
    REG_LBA_HIGH,
    REG_DEVICE,
    REG_STATUS_COMMAND,
};

enum {
    COMMAND_DEVICE_RESET = 0x08,
    COMMAND_EXECUTE_DIAGNOSTIC = 0x90,
};

/* An empty channel floats high except for DD7, which is pulled down (ATA/ATAPI-6 table 3). */
#define FLOATING_BYTE 0x7f

/* --- Media ------------------------------------------------------------------------------------ */

void ide_set_image(IdeDrive *drive, BlockImage *image)
{
    BlockImage *old = drive->image;

    /* Closing ends a running request, whose completion must not find its image any more. */
    drive->image = NULL;
    block_image_close(old);
    if (image)
        block_image_set_completion(image, drive->board->context, &drive->board->lock);
    drive->image = image;
    drive->error_reported = false;
}

void ide_medium_changed(IdeDrive *drive)
{
    PiixIde *ide = drive->channel->ide;
    if (ide->events && ide->events->medium_changed)
        ide->events->medium_changed(ide->events_opaque, drive->channel->number, drive->unit);
}

void ide_tray_moved(IdeDrive *drive, bool open)
{
    PiixIde *ide = drive->channel->ide;
    if (ide->events && ide->events->tray_moved)
        ide->events->tray_moved(ide->events_opaque, drive->channel->number, drive->unit, open);
}

/* --- Interrupt -------------------------------------------------------------------------------- */

/* INTRQ is driven by the selected drive and gated by nIEN (ATA/ATAPI-6 5.2.9). A rising edge sets
 * the bus master's interrupt bit. */
void ide_update_irq(IdeChannel *channel)
{
    bool level = channel->selected->kind != IDE_NONE && channel->selected->interrupt &&
                 !(channel->control & CONTROL_NIEN);
    if (level == channel->irq_level)
        return;
    channel->irq_level = level;
    if (level)
        channel->bus_master.status |= 0x04;
    irq_set(&channel->board->isa_irq[channel->number ? 15 : 14], level);
}

static void raise_interrupt(IdeDrive *drive)
{
    drive->interrupt = true;
    ide_update_irq(drive->channel);
}

static void clear_interrupt(IdeDrive *drive)
{
    drive->interrupt = false;
    ide_update_irq(drive->channel);
}

/* --- Phases of a command ---------------------------------------------------------------------- */

void ide_command_done(IdeDrive *drive, uint8_t error)
{
    drive->pio_done = NULL;
    drive->dma_done = NULL;
    drive->error = error;
    drive->status = STATUS_DRDY | STATUS_DSC | (error ? STATUS_ERR : 0);
    raise_interrupt(drive);
}

void ide_pio_start(IdeDrive *drive, bool to_host, size_t position, size_t length, bool interrupt,
                   IdePhaseDone done)
{
    g_assert(length > 0 && position + length <= IDE_BUFFER_SIZE);
    drive->pio_to_host = to_host;
    drive->pio_position = position;
    drive->pio_end = position + length;
    drive->pio_done = done;
    drive->status = STATUS_DRDY | STATUS_DSC | STATUS_DRQ;
    if (interrupt)
        raise_interrupt(drive);
}

void ide_dma_start(IdeDrive *drive, bool to_memory, size_t length, IdePhaseDone done)
{
    g_assert(length > 0 && length <= IDE_BUFFER_SIZE);
    drive->dma_to_memory = to_memory;
    drive->dma_position = 0;
    drive->dma_end = length;
    drive->dma_done = done;
    drive->status = STATUS_DRDY | STATUS_DSC | STATUS_BSY;
    bus_master_run(drive->channel);
}

/* One 16-bit cycle on the data register. */
static uint16_t data_read_word(IdeDrive *drive)
{
    if (!drive->pio_done || !drive->pio_to_host)
        return 0;
    uint16_t word = drive->buffer[drive->pio_position++];
    if (drive->pio_position < drive->pio_end)
        word |= drive->buffer[drive->pio_position++] << 8;
    if (drive->pio_position == drive->pio_end) {
        IdePhaseDone done = drive->pio_done;
        drive->pio_done = NULL;
        drive->status &= ~STATUS_DRQ;
        done(drive);
    }
    return word;
}

static void data_write_word(IdeDrive *drive, uint16_t word)
{
    if (!drive->pio_done || drive->pio_to_host)
        return;
    drive->buffer[drive->pio_position++] = word;
    if (drive->pio_position < drive->pio_end)
        drive->buffer[drive->pio_position++] = word >> 8;
    if (drive->pio_position == drive->pio_end) {
        IdePhaseDone done = drive->pio_done;
        drive->pio_done = NULL;
        drive->status &= ~STATUS_DRQ;
        done(drive);
    }
}

/* --- Host I/O --------------------------------------------------------------------------------- */

static void finish_reset(IdeDrive *drive);

static void request_done(void *opaque, int error)
{
    IdeDrive *drive = opaque;

    drive->running = false;
    if (drive->resetting)
        finish_reset(drive);
    else
        drive->io_done(drive, drive->image ? error : ENOMEDIUM);
}

void ide_submit(IdeDrive *drive, BlockOp op, uint64_t offset, const struct iovec *iov, int n_iov,
                uint64_t length, IdeIoDone done)
{
    g_assert(!drive->running && drive->image && n_iov <= (int)IDE_MAX_IOV);
    BlockImage *image = drive->image;
    drive->running = true;
    drive->io_done = done;
    drive->status |= STATUS_BSY;

    /* The part of the last sector that the image does not have reads as zeroes. */
    uint64_t size = block_image_size(image), end = offset + length;
    if (op != BLOCK_FLUSH && end > size)
        length = size > offset ? size - offset : 0;
    uint64_t left = length;
    int n = 0;
    for (int i = 0; i < n_iov; i++) {
        size_t part = MIN(iov[i].iov_len, left);
        if (op == BLOCK_READ && part < iov[i].iov_len)
            memset((uint8_t *)iov[i].iov_base + part, 0, iov[i].iov_len - part);
        if (part > 0)
            drive->iov[n++] = (struct iovec){iov[i].iov_base, part};
        left -= part;
    }

    const PiixIde *ide = drive->channel->ide;
    if (ide->events && ide->events->activity)
        ide->events->activity(ide->events_opaque, drive->channel->number, drive->unit,
                              op != BLOCK_READ);
    block_image_submit(image, op, offset, drive->iov, n, length, request_done, drive);
}

/* Tells the person at the window once per run of failures; a success ends the run. */
void ide_report_io_error(IdeDrive *drive, const char *what, uint64_t offset, int error)
{
    if (drive->error_reported || error == ENOMEDIUM || !drive->board->report_error)
        return;
    drive->error_reported = true;
    const char *path = drive->image ? block_image_path(drive->image) : NULL;
    g_autofree char *source = g_strdup_printf("ide%d-%s%d", drive->channel->number,
                                              drive->kind == IDE_CD ? "cd" : "hd", drive->unit);
    g_autofree char *message =
        error == ENOSPC
            ? g_strdup_printf(_("%s cannot grow: the host's disk is full. Free some space; the "
                                "guest has been told that its write failed."),
                              path ? path : _("The disk image"))
            : g_strdup_printf(_("%s of %s failed at byte %" PRIu64 ": %s. The guest has "
                                "been told."),
                              _(what), path ? path : _("the disk image"), offset,
                              g_strerror(error));
    drive->board->report_error(drive->board, source, message);
}

/* --- Reset ------------------------------------------------------------------------------------ */

/* ATA/ATAPI-6 9.12: the signature tells the kind of device. */
void ide_set_signature(IdeDrive *drive)
{
    bool packet = drive->kind == IDE_CD;
    drive->task.count = 1;
    drive->task.lba_low = 1;
    drive->task.lba_mid = packet ? 0x14 : 0;
    drive->task.lba_high = packet ? 0xeb : 0;
    drive->device &= DEVICE_DEV;
    drive->previous = (TaskFile){0};
}

static void finish_reset(IdeDrive *drive)
{
    if (drive->reset_held || drive->running)
        return;
    drive->resetting = false;
    ide_set_signature(drive);
    drive->error = 1; /* diagnostic code: passed */
    drive->status = drive->kind == IDE_CD ? 0 : STATUS_DRDY | STATUS_DSC;
}

/* What every kind of reset has in common: the running command is forgotten. */
static void begin_reset(IdeDrive *drive, bool held)
{
    if (drive->kind == IDE_NONE)
        return;
    drive->pio_done = NULL;
    drive->dma_done = NULL;
    drive->interrupt = false;
    drive->status = STATUS_BSY;
    drive->resetting = true;
    drive->reset_held = held;
    if (drive->kind == IDE_CD)
        atapi_abandon(drive);
    else
        ata_soft_reset(drive);
    finish_reset(drive);
}

void ide_channel_hard_reset(IdeChannel *channel)
{
    channel->control = 0;
    channel->selected = &channel->drives[0];
    memset(&channel->bus_master, 0, sizeof channel->bus_master);
    for (int i = 0; i < 2; i++) {
        IdeDrive *drive = &channel->drives[i];
        if (drive->kind == IDE_NONE)
            continue;
        drive->device = 0;
        drive->transfer_mode = 0;
        drive->revert_defaults = false;
        if (drive->kind == IDE_CD)
            atapi_power_on(drive);
        else
            ata_power_on(drive);
        begin_reset(drive, false);
    }
    ide_update_irq(channel);
}

/* --- Device control --------------------------------------------------------------------------- */

static bool channel_empty(const IdeChannel *channel)
{
    return channel->drives[0].kind == IDE_NONE && channel->drives[1].kind == IDE_NONE;
}

static void control_write(IdeChannel *channel, uint8_t value)
{
    uint8_t changed = channel->control ^ value;
    channel->control = value;
    if (changed & CONTROL_SRST) {
        for (int i = 0; i < 2; i++) {
            IdeDrive *drive = &channel->drives[i];
            if (value & CONTROL_SRST) {
                begin_reset(drive, true);
            } else if (drive->kind != IDE_NONE) {
                drive->device = 0;
                drive->reset_held = false;
                finish_reset(drive);
            }
        }
        channel->selected = &channel->drives[0];
    }
    ide_update_irq(channel);
}

/* ATA/ATAPI-6 8.11: both devices run their tests; device 0 reports and interrupts. */
static void execute_diagnostic(IdeChannel *channel)
{
    for (int i = 0; i < 2; i++) {
        IdeDrive *drive = &channel->drives[i];
        if (drive->kind == IDE_NONE)
            continue;
        begin_reset(drive, false);
        drive->device = 0;
    }
    channel->selected = &channel->drives[0];
    if (channel->selected->kind != IDE_NONE)
        raise_interrupt(channel->selected);
}

static void command_write(IdeChannel *channel, uint8_t command)
{
    IdeDrive *drive = channel->selected;

    if (command == COMMAND_EXECUTE_DIAGNOSTIC) {
        const IdeDrive *busy = &channel->drives[0];
        if (!(busy->status & STATUS_BSY) && !(drive->status & STATUS_BSY))
            execute_diagnostic(channel);
        return;
    }
    if (drive->kind == IDE_NONE)
        return;
    if (command == COMMAND_DEVICE_RESET && drive->kind == IDE_CD) {
        if (!drive->resetting)
            begin_reset(drive, false);
        ide_update_irq(channel);
        return;
    }
    if (drive->status & (STATUS_BSY | STATUS_DRQ))
        return;
    if (drive->ata.sleeping)
        return; /* only a reset wakes it (ATA/ATAPI-6 8.50) */
    clear_interrupt(drive);
    drive->error = 0;
    drive->status = STATUS_DRDY | STATUS_DSC | STATUS_BSY;
    if (drive->kind == IDE_CD)
        atapi_command(drive, command);
    else
        ata_command(drive, command);
}

/* --- Registers -------------------------------------------------------------------------------- */

static uint8_t task_read(const TaskFile *task, unsigned reg)
{
    switch (reg) {
    case REG_COUNT: return task->count;
    case REG_LBA_LOW: return task->lba_low;
    case REG_LBA_MID: return task->lba_mid;
    default: return task->lba_high;
    }
}

static uint8_t register_read(IdeChannel *channel, unsigned reg)
{
    IdeDrive *drive = channel->selected;

    if (drive->kind == IDE_NONE) {
        /* ATA/ATAPI-6 9.16.1: a device 0 that is alone answers for device 1; a packet device with
         * zeroes. Without a device 0 nobody drives the bus. */
        if (drive->unit == 0 || channel_empty(channel))
            return FLOATING_BYTE;
        drive = &channel->drives[0];
        if (drive->kind == IDE_CD || reg == REG_STATUS_COMMAND)
            return 0;
    }
    switch (reg) {
    case REG_ERROR_FEATURES: return drive->error;
    case REG_DEVICE: return drive->device | 0xa0; /* obsolete bits read as one */
    case REG_STATUS_COMMAND:
        if (drive->interrupt)
            clear_interrupt(drive);
        return drive->status;
    default:
        return task_read(channel->control & CONTROL_HOB ? &drive->previous : &drive->task, reg);
    }
}

static void task_write(IdeDrive *drive, unsigned reg, uint8_t value)
{
    TaskFile *task = &drive->task, *previous = &drive->previous;

    switch (reg) {
    case REG_ERROR_FEATURES:
        previous->features = task->features;
        task->features = value;
        break;
    case REG_COUNT:
        previous->count = task->count;
        task->count = value;
        break;
    case REG_LBA_LOW:
        previous->lba_low = task->lba_low;
        task->lba_low = value;
        break;
    case REG_LBA_MID:
        previous->lba_mid = task->lba_mid;
        task->lba_mid = value;
        break;
    case REG_LBA_HIGH:
        previous->lba_high = task->lba_high;
        task->lba_high = value;
        break;
    case REG_DEVICE: drive->device = value & ~0xa0; break;
    }
}

static void register_write(IdeChannel *channel, unsigned reg, uint8_t value)
{
    if (channel_empty(channel))
        return;
    channel->control &= ~CONTROL_HOB; /* any command block write clears it */
    if (reg == REG_STATUS_COMMAND) {
        command_write(channel, value);
        return;
    }
    if (channel->selected->status & (STATUS_BSY | STATUS_DRQ))
        return;
    for (int i = 0; i < 2; i++)
        if (channel->drives[i].kind != IDE_NONE)
            task_write(&channel->drives[i], reg, value);
    if (reg == REG_DEVICE) {
        channel->selected = &channel->drives[value & DEVICE_DEV ? 1 : 0];
        ide_update_irq(channel);
    }
}

static uint32_t data_read(IdeChannel *channel, unsigned size)
{
    IdeDrive *drive = channel->selected;
    if (drive->kind == IDE_NONE)
        return drive->unit == 0 || channel_empty(channel) ? 0xff7fff7f : 0;
    uint32_t value = data_read_word(drive);
    if (size == 4) /* PIIX makes two 16-bit cycles */
        value |= (uint32_t)data_read_word(drive) << 16;
    return value;
}

static void data_write(IdeChannel *channel, uint32_t value, unsigned size)
{
    IdeDrive *drive = channel->selected;
    if (drive->kind == IDE_NONE)
        return;
    data_write_word(drive, value);
    if (size == 4)
        data_write_word(drive, value >> 16);
}

/* Whole words up to the last of the phase, which ends it and goes the slow way. */
static size_t run_length(const IdeDrive *drive, bool to_host, size_t count, unsigned size)
{
    if (drive->kind == IDE_NONE || !drive->pio_done || drive->pio_to_host != to_host || size < 2)
        return 0;
    return MIN(count, (drive->pio_end - drive->pio_position - 1) / size);
}

static size_t command_block_read_run(void *opaque, uint16_t port, void *buffer, size_t count,
                                     unsigned size)
{
    IdeChannel *channel = opaque;
    IdeDrive *drive = channel->selected;

    if (port != channel->command_base)
        return 0;
    size_t n = run_length(drive, true, count, size);
    memcpy(buffer, drive->buffer + drive->pio_position, n * size);
    drive->pio_position += n * size;
    return n;
}

static size_t command_block_write_run(void *opaque, uint16_t port, const void *buffer, size_t count,
                                      unsigned size)
{
    IdeChannel *channel = opaque;
    IdeDrive *drive = channel->selected;

    if (port != channel->command_base)
        return 0;
    size_t n = run_length(drive, false, count, size);
    memcpy(drive->buffer + drive->pio_position, buffer, n * size);
    drive->pio_position += n * size;
    return n;
}

static uint32_t command_block_read(void *opaque, uint16_t port, unsigned size)
{
    IdeChannel *channel = opaque;
    unsigned reg = port - channel->command_base;
    if (reg == REG_DATA)
        return data_read(channel, size);
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)(reg + i < 8 ? register_read(channel, reg + i) : 0xff) << (8 * i);
    return value;
}

static void command_block_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    IdeChannel *channel = opaque;
    unsigned reg = port - channel->command_base;
    if (reg == REG_DATA) {
        data_write(channel, value, size);
        return;
    }
    for (unsigned i = 0; i < size && reg + i < 8; i++)
        register_write(channel, reg + i, value >> (8 * i));
}

static uint32_t control_block_read(void *opaque, uint16_t port, unsigned size)
{
    IdeChannel *channel = opaque;
    const IdeDrive *drive = channel->selected;
    if (drive->kind == IDE_NONE)
        return drive->unit == 0 || channel_empty(channel) ? FLOATING_BYTE : 0;
    return drive->status; /* the alternate status leaves the interrupt pending */
}

static void control_block_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    control_write(opaque, value);
}

static const PortOps command_block_ops = {command_block_read, command_block_write, 4};
static const PortRunOps command_block_run_ops = {command_block_read_run, command_block_write_run};
static const PortOps control_block_ops = {control_block_read, control_block_write, 1};

void ide_channel_decode(IdeChannel *channel, bool enabled)
{
    if (enabled == channel->decoded)
        return;
    channel->decoded = enabled;
    MemoryMap *map = channel->board->memory;
    if (enabled) {
        port_register(map, channel->command_base, 8, &command_block_ops, channel);
        port_set_run_ops(map, channel->command_base, &command_block_run_ops);
        port_register(map, channel->control_base, 1, &control_block_ops, channel);
    } else {
        port_unregister(map, channel->command_base, 8, channel);
        port_unregister(map, channel->control_base, 1, channel);
    }
}

void ide_channel_init(IdeChannel *channel, PiixIde *ide, int number)
{
    channel->ide = ide;
    channel->board = ide->pci.device.board;
    channel->number = number;
    channel->command_base = number ? 0x170 : 0x1f0;
    channel->control_base = number ? 0x376 : 0x3f6;
    for (int i = 0; i < 2; i++) {
        channel->drives[i].channel = channel;
        channel->drives[i].unit = i;
        channel->drives[i].board = channel->board;
    }
    channel->selected = &channel->drives[0];
}

void ide_channel_destroy(IdeChannel *channel)
{
    ide_channel_decode(channel, false);
    for (int i = 0; i < 2; i++) {
        IdeDrive *drive = &channel->drives[i];
        drive->resetting = drive->reset_held = true; /* nothing follows what still completes */
        ide_set_image(drive, NULL);
        atapi_free(drive);
        g_free(drive->buffer);
    }
}

/* --- Attaching drives and media --------------------------------------------------------------- */

static IdeDrive *find_drive(PiixIde *ide, int channel, int unit)
{
    g_return_val_if_fail(channel >= 0 && channel < 2 && unit >= 0 && unit < 2, NULL);
    return &ide->channels[channel].drives[unit];
}

static bool attach(PiixIde *ide, int channel, int unit, IdeKind kind, BlockImage *image,
                   const char *serial, GError **error)
{
    IdeDrive *drive = find_drive(ide, channel, unit);
    if (!drive || drive->kind != IDE_NONE) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                    _("IDE channel %d already has a drive as unit %d; choose another place."),
                    channel, unit);
        return false;
    }
    drive->kind = kind;
    drive->buffer = g_malloc0(IDE_BUFFER_SIZE);
    if (serial && *serial)
        g_strlcpy(drive->serial, serial, sizeof drive->serial);
    else
        g_snprintf(drive->serial, sizeof drive->serial, "AP%05d", channel * 2 + unit + 1);
    ide_set_image(drive, image);
    if (kind == IDE_CD)
        atapi_init(drive);
    drive->device = 0;
    if (kind == IDE_CD)
        atapi_power_on(drive);
    else
        ata_power_on(drive);
    begin_reset(drive, false);
    return true;
}

bool ide_attach_disk(PiixIde *ide, int channel, int unit, BlockImage *image, const char *serial,
                     GError **error)
{
    if (block_image_size(image) < BLOCK_SECTOR) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    _("%s is empty; a hard disk needs at least one sector of 512 bytes."),
                    block_image_path(image) ? block_image_path(image) : "The disk image");
        return false;
    }
    return attach(ide, channel, unit, IDE_DISK, image, serial, error);
}

bool ide_attach_cd(PiixIde *ide, int channel, int unit, BlockImage *image, const char *serial,
                   GError **error)
{
    return attach(ide, channel, unit, IDE_CD, image, serial, error);
}

void ide_set_events(PiixIde *ide, const IdeEvents *events, void *opaque)
{
    ide->events = events;
    ide->events_opaque = opaque;
}

/* --- Shared by IDENTIFY (PACKET) DEVICE ------------------------------------------------------- */

/* ATA strings have the first character in the high byte and are padded with spaces. */
void ide_put_string(uint16_t *words, const char *text, size_t length)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < length; i++) {
        uint8_t c = i < n ? text[i] : ' ';
        if (i % 2 == 0)
            words[i / 2] = c << 8;
        else
            words[i / 2] |= c;
    }
}

bool ide_set_transfer_mode(IdeDrive *drive, uint8_t mode)
{
    unsigned number = mode & 7;
    switch (mode >> 3) {
    case 0: /* PIO default, with or without IORDY */
        if (number > 1)
            return false;
        break;
    case 1: /* PIO flow control */
        if (number > 4)
            return false;
        break;
    case 4: /* multiword DMA */
        if (number > 2)
            return false;
        break;
    case 8: /* Ultra DMA */
        if (number > 5)
            return false;
        break;
    default: return false;
    }
    if (mode >> 3 >= 4) /* a PIO mode leaves the DMA mode as it is */
        drive->transfer_mode = mode;
    return true;
}

void ide_identify_modes(const IdeDrive *drive, uint16_t *words)
{
    unsigned mode = drive->transfer_mode;
    words[53] = 0x0007; /* 54-58, 64-70 and 88 are valid */
    words[63] = 0x0007 | (mode >> 3 == 4 ? 0x100 << (mode & 7) : 0); /* multiword DMA 0-2 */
    words[64] = 0x0003;                                              /* PIO 3 and 4 */
    for (int i = 65; i <= 68; i++)
        words[i] = 120;                                              /* ns a cycle */
    words[88] = 0x003f | (mode >> 3 == 8 ? 0x100 << (mode & 7) : 0); /* Ultra DMA 0-5 */
    /* Hardware reset result: 80-conductor cable; each device fills its half. */
    words[93] = drive->unit ? 0x6b00 : 0x600b;
}

/* Word 255: signature and checksum; then little endian. */
void ide_identify_finish(const uint16_t *words, uint8_t *out)
{
    uint8_t sum = 0xa5;
    for (int i = 0; i < 255; i++) {
        out[2 * i] = words[i];
        out[2 * i + 1] = words[i] >> 8;
        sum += out[2 * i] + out[2 * i + 1];
    }
    out[510] = 0xa5;
    out[511] = -sum;
}
