/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The hard disk's commands (ATA/ATAPI-6 clause 8; DATA SET MANAGEMENT: ACS-2 7.5). */

#include "core/devices/ide-internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

enum {
    ATA_NOP = 0x00,
    ATA_DATA_SET_MANAGEMENT = 0x06,
    ATA_RECALIBRATE = 0x10,
    ATA_READ_SECTORS = 0x20,
    ATA_READ_SECTORS_NORETRY = 0x21,
    ATA_READ_SECTORS_EXT = 0x24,
    ATA_READ_DMA_EXT = 0x25,
    ATA_READ_NATIVE_MAX_EXT = 0x27,
    ATA_READ_MULTIPLE_EXT = 0x29,
    ATA_WRITE_SECTORS = 0x30,
    ATA_WRITE_SECTORS_NORETRY = 0x31,
    ATA_WRITE_SECTORS_EXT = 0x34,
    ATA_WRITE_DMA_EXT = 0x35,
    ATA_WRITE_MULTIPLE_EXT = 0x39,
    ATA_WRITE_VERIFY = 0x3c,
    ATA_WRITE_DMA_FUA_EXT = 0x3d,
    ATA_READ_VERIFY = 0x40,
    ATA_READ_VERIFY_NORETRY = 0x41,
    ATA_READ_VERIFY_EXT = 0x42,
    ATA_SEEK = 0x70,
    ATA_INITIALIZE_DEVICE_PARAMETERS = 0x91,
    ATA_STANDBY_IMMEDIATE_OLD = 0x94,
    ATA_IDLE_IMMEDIATE_OLD = 0x95,
    ATA_STANDBY_OLD = 0x96,
    ATA_IDLE_OLD = 0x97,
    ATA_CHECK_POWER_MODE_OLD = 0x98,
    ATA_SLEEP_OLD = 0x99,
    ATA_SMART = 0xb0,
    ATA_READ_MULTIPLE = 0xc4,
    ATA_WRITE_MULTIPLE = 0xc5,
    ATA_SET_MULTIPLE_MODE = 0xc6,
    ATA_READ_DMA = 0xc8,
    ATA_READ_DMA_NORETRY = 0xc9,
    ATA_WRITE_DMA = 0xca,
    ATA_WRITE_DMA_NORETRY = 0xcb,
    ATA_WRITE_MULTIPLE_FUA_EXT = 0xce,
    ATA_STANDBY_IMMEDIATE = 0xe0,
    ATA_IDLE_IMMEDIATE = 0xe1,
    ATA_STANDBY = 0xe2,
    ATA_IDLE = 0xe3,
    ATA_READ_BUFFER = 0xe4,
    ATA_CHECK_POWER_MODE = 0xe5,
    ATA_SLEEP = 0xe6,
    ATA_FLUSH_CACHE = 0xe7,
    ATA_WRITE_BUFFER = 0xe8,
    ATA_FLUSH_CACHE_EXT = 0xea,
    ATA_IDENTIFY_DEVICE = 0xec,
    ATA_SET_FEATURES = 0xef,
    ATA_READ_NATIVE_MAX_ADDRESS = 0xf8,
};

enum {
    MAX_MULTIPLE = 16,
    BUFFER_SECTORS = IDE_BUFFER_SIZE / BLOCK_SECTOR,
    MAX_TRIM_BLOCKS = 8, /* IDENTIFY DEVICE word 105 */
    TRIM_ENTRY = 8,      /* bytes of one range */
};

/* How a command moves sectors */
enum { EXT = 1, WRITE = 2, DMA = 4, VERIFY = 8, MULTIPLE = 16, FUA = 32 };

/* --- Addresses -------------------------------------------------------------------------------- */

/* The sector the task file points at, or G_MAXUINT64 when it is not on the disk. */
static uint64_t task_lba(const IdeDrive *drive, bool ext)
{
    const TaskFile *t = &drive->task, *p = &drive->previous;
    uint64_t lba;

    if (ext) {
        lba = t->lba_low | t->lba_mid << 8 | t->lba_high << 16 | (uint64_t)p->lba_low << 24 |
              (uint64_t)p->lba_mid << 32 | (uint64_t)p->lba_high << 40;
    } else if (drive->device & DEVICE_LBA) {
        lba = t->lba_low | t->lba_mid << 8 | t->lba_high << 16 |
              (uint32_t)(drive->device & DEVICE_HEAD) << 24;
    } else {
        const Ata *ata = &drive->ata;
        unsigned cylinder = t->lba_mid | t->lba_high << 8, head = drive->device & DEVICE_HEAD;
        if (t->lba_low == 0 || t->lba_low > ata->current_sectors || head >= ata->current_heads)
            return G_MAXUINT64;
        lba = ((uint64_t)cylinder * ata->current_heads + head) * ata->current_sectors + t->lba_low -
              1;
    }
    return lba < drive->ata.sectors ? lba : G_MAXUINT64;
}

/* Leaves LBA in the registers, in the form the command used. */
static void set_task_lba(IdeDrive *drive, uint64_t lba, bool ext)
{
    TaskFile *t = &drive->task, *p = &drive->previous;

    if (!ext && !(drive->device & DEVICE_LBA)) {
        const Ata *ata = &drive->ata;
        uint64_t track = lba / ata->current_sectors;
        uint64_t cylinder = track / ata->current_heads;
        t->lba_low = lba % ata->current_sectors + 1;
        t->lba_mid = cylinder;
        t->lba_high = cylinder >> 8;
        drive->device = (drive->device & ~DEVICE_HEAD) | track % ata->current_heads;
        return;
    }
    t->lba_low = lba;
    t->lba_mid = lba >> 8;
    t->lba_high = lba >> 16;
    if (ext) {
        p->lba_low = lba >> 24;
        p->lba_mid = lba >> 32;
        p->lba_high = lba >> 40;
    } else {
        drive->device = (drive->device & ~DEVICE_HEAD) | ((lba >> 24) & DEVICE_HEAD);
    }
}

static uint32_t task_count(const IdeDrive *drive, bool ext)
{
    uint32_t count = drive->task.count | (ext ? drive->previous.count << 8 : 0);
    return count ? count : ext ? 65536 : 256;
}

/* --- Moving sectors --------------------------------------------------------------------------- */

static void transfer_next(IdeDrive *drive);

static void transfer_complete(IdeDrive *drive)
{
    AtaTransfer *transfer = &drive->ata.transfer;
    set_task_lba(drive, transfer->lba - 1, transfer->ext);
    drive->task.count = drive->previous.count = 0;
    drive->error_reported = false;
    ide_command_done(drive, 0);
}

static void flush_done(IdeDrive *drive, int error)
{
    if (error) {
        ide_report_io_error(drive, N_("Flushing"), 0, error);
        ide_command_done(drive, ERROR_ABRT);
        return;
    }
    ide_command_done(drive, 0);
}

static void write_through_done(IdeDrive *drive, int error)
{
    if (error)
        flush_done(drive, error);
    else
        transfer_complete(drive);
}

/* The buffered sectors are done: on to the next, or the end. */
static void transfer_advance(IdeDrive *drive)
{
    AtaTransfer *transfer = &drive->ata.transfer;
    transfer->lba += transfer->buffered;
    transfer->remaining -= transfer->buffered;
    transfer->buffered = 0;
    if (transfer->remaining > 0)
        transfer_next(drive);
    else if (transfer->write && (transfer->fua || !drive->ata.write_cache))
        ide_submit(drive, BLOCK_FLUSH, 0, NULL, 0, 0, write_through_done);
    else
        transfer_complete(drive);
}

static void submit_sectors(IdeDrive *drive, IdeIoDone done)
{
    AtaTransfer *transfer = &drive->ata.transfer;
    struct iovec iov = {drive->buffer, (size_t)transfer->buffered * BLOCK_SECTOR};
    ide_submit(drive, transfer->write ? BLOCK_WRITE : BLOCK_READ, transfer->lba * BLOCK_SECTOR,
               &iov, 1, iov.iov_len, done);
}

/* A host request failed. Reads go on by single DRQ blocks, so that the guest gets what can be read
 * and learns which part cannot. */
static bool transfer_failed(IdeDrive *drive, int error, IdeIoDone retry)
{
    AtaTransfer *transfer = &drive->ata.transfer;
    if (!error)
        return false;
    if (!transfer->write && transfer->buffered > transfer->block) {
        transfer->limit = transfer->buffered = transfer->block;
        submit_sectors(drive, retry);
        return true;
    }
    ide_report_io_error(drive, transfer->write ? N_("Writing") : N_("Reading"),
                        transfer->lba * BLOCK_SECTOR, error);
    set_task_lba(drive, transfer->lba, transfer->ext);
    drive->task.count = transfer->remaining;
    drive->previous.count = transfer->remaining >> 8;
    ide_command_done(drive, transfer->write ? ERROR_ABRT : ERROR_UNC);
    return true;
}

/* Bytes of the DRQ block that starts POSITION bytes into the buffered sectors. */
static size_t drq_block_length(const AtaTransfer *transfer, size_t position)
{
    size_t buffered = (size_t)transfer->buffered * BLOCK_SECTOR;
    return MIN(buffered - position, (size_t)transfer->block * BLOCK_SECTOR);
}

static void pio_read_block_done(IdeDrive *drive)
{
    AtaTransfer *transfer = &drive->ata.transfer;
    size_t position = drive->pio_position;

    if (position < (size_t)transfer->buffered * BLOCK_SECTOR) {
        ide_pio_start(drive, true, position, drq_block_length(transfer, position), true,
                      pio_read_block_done);
        return;
    }
    if (transfer->remaining > transfer->buffered) {
        transfer_advance(drive);
        return;
    }
    /* The host took the last block: no further interrupt (ATA/ATAPI-6 9.5). */
    transfer->lba += transfer->buffered;
    set_task_lba(drive, transfer->lba - 1, transfer->ext);
    drive->task.count = drive->previous.count = 0;
    drive->error_reported = false;
    drive->status = STATUS_DRDY | STATUS_DSC;
}

static void read_done(IdeDrive *drive, int error)
{
    AtaTransfer *transfer = &drive->ata.transfer;
    if (transfer_failed(drive, error, read_done))
        return;
    if (transfer->verify)
        transfer_advance(drive);
    else if (transfer->dma)
        ide_dma_start(drive, true, (size_t)transfer->buffered * BLOCK_SECTOR, transfer_advance);
    else
        ide_pio_start(drive, true, 0, drq_block_length(transfer, 0), true, pio_read_block_done);
}

static void write_done(IdeDrive *drive, int error)
{
    if (!transfer_failed(drive, error, write_done))
        transfer_advance(drive);
}

static void write_buffered(IdeDrive *drive)
{
    submit_sectors(drive, write_done);
}

static void pio_write_block_done(IdeDrive *drive)
{
    AtaTransfer *transfer = &drive->ata.transfer;
    size_t position = drive->pio_position;

    if (position == (size_t)transfer->buffered * BLOCK_SECTOR)
        write_buffered(drive);
    else
        ide_pio_start(drive, false, position, drq_block_length(transfer, position), true,
                      pio_write_block_done);
}

/* Fills the buffer from the host, or asks for what is to be written. */
static void transfer_next(IdeDrive *drive)
{
    AtaTransfer *transfer = &drive->ata.transfer;
    bool first = !transfer->started;

    transfer->started = true;
    transfer->buffered = MIN(transfer->remaining, transfer->limit);
    if (!transfer->write)
        submit_sectors(drive, read_done);
    else if (transfer->dma)
        ide_dma_start(drive, false, (size_t)transfer->buffered * BLOCK_SECTOR, write_buffered);
    else /* the first block of a write is asked for without an interrupt (ATA/ATAPI-6 9.6) */
        ide_pio_start(drive, false, 0, drq_block_length(transfer, 0), !first, pio_write_block_done);
}

static void transfer_start(IdeDrive *drive, unsigned flags)
{
    Ata *ata = &drive->ata;
    bool ext = flags & EXT, write = flags & WRITE;
    unsigned block = flags & MULTIPLE ? ata->multiple : 1;
    uint64_t lba = task_lba(drive, ext);
    uint32_t count = task_count(drive, ext);

    if (block == 0 || (write && block_image_read_only(drive->image))) {
        ide_command_done(drive, ERROR_ABRT);
        return;
    }
    if (lba == G_MAXUINT64 || count > ata->sectors - lba) {
        if (lba != G_MAXUINT64)
            set_task_lba(drive, ata->sectors, ext);
        ide_command_done(drive, ERROR_IDNF);
        return;
    }
    ata->standby = false;
    ata->transfer = (AtaTransfer){
        .lba = lba,
        .remaining = count,
        .limit = BUFFER_SECTORS / block * block,
        .block = block,
        .write = write,
        .dma = flags & DMA,
        .verify = flags & VERIFY,
        .fua = flags & FUA,
        .ext = ext,
    };
    transfer_next(drive);
}

/* --- Short data commands ---------------------------------------------------------------------- */

static void reply_taken(IdeDrive *drive)
{
    drive->status = STATUS_DRDY | STATUS_DSC;
}

void ata_reply(IdeDrive *drive, size_t length)
{
    ide_pio_start(drive, true, 0, length, true, reply_taken);
}

static void write_buffer_taken(IdeDrive *drive)
{
    memcpy(drive->ata.sector_buffer, drive->buffer, sizeof drive->ata.sector_buffer);
    ide_command_done(drive, 0);
}

/* --- DATA SET MANAGEMENT ---------------------------------------------------------------------- */

static void trim_done(IdeDrive *drive, int error);

/* Discards the next range of the list, one host request at a time. */
static void trim_next(IdeDrive *drive)
{
    Ata *ata = &drive->ata;
    while (ata->trim_position < ata->trim_end) {
        uint64_t entry;
        memcpy(&entry, drive->buffer + ata->trim_position, sizeof entry);
        entry = GUINT64_FROM_LE(entry);
        ata->trim_position += TRIM_ENTRY;
        uint64_t lba = entry & 0xffffffffffff, count = entry >> 48;
        if (count == 0)
            continue;
        if (lba >= ata->sectors || count > ata->sectors - lba) {
            ide_command_done(drive, ERROR_ABRT);
            return;
        }
        ide_submit(drive, BLOCK_DISCARD, lba * BLOCK_SECTOR, NULL, 0, count * BLOCK_SECTOR,
                   trim_done);
        return;
    }
    ide_command_done(drive, 0);
}

/* A trim is advice: that the host cannot free the space is no error of the guest's. */
static void trim_done(IdeDrive *drive, int error)
{
    if (error && error != EOPNOTSUPP && error != ENOTTY)
        ide_report_io_error(drive, N_("Discarding a range"), 0, error);
    trim_next(drive);
}

static void trim_list_taken(IdeDrive *drive)
{
    drive->ata.trim_position = 0;
    trim_next(drive);
}

static void data_set_management(IdeDrive *drive)
{
    unsigned blocks = task_count(drive, true);
    if (drive->task.features != 0x01 || blocks > MAX_TRIM_BLOCKS ||
        block_image_read_only(drive->image)) {
        ide_command_done(drive, ERROR_ABRT);
        return;
    }
    drive->ata.trim_end = blocks * BLOCK_SECTOR;
    ide_dma_start(drive, false, drive->ata.trim_end, trim_list_taken);
}

/* --- Settings --------------------------------------------------------------------------------- */

static void set_features(IdeDrive *drive)
{
    Ata *ata = &drive->ata;
    uint8_t error = 0;

    switch (drive->task.features) {
    case 0x02: ata->write_cache = true; break;
    case 0x82:
        ata->write_cache = false;
        ide_submit(drive, BLOCK_FLUSH, 0, NULL, 0, 0, flush_done);
        return;
    case 0x03:
        if (!ide_set_transfer_mode(drive, drive->task.count))
            error = ERROR_ABRT;
        break;
    case 0x55: ata->look_ahead = false; break;
    case 0xaa: ata->look_ahead = true; break;
    case 0x66: drive->revert_defaults = false; break;
    case 0xcc: drive->revert_defaults = true; break;
    default: error = ERROR_ABRT; break;
    }
    ide_command_done(drive, error);
}

static void set_multiple_mode(IdeDrive *drive)
{
    unsigned count = drive->task.count;
    if (count > MAX_MULTIPLE || (count & (count - 1))) {
        ide_command_done(drive, ERROR_ABRT);
        return;
    }
    drive->ata.multiple = count;
    ide_command_done(drive, 0);
}

/* ATA-5 8.16: the host chooses the translation of CHS addresses. */
static void initialize_device_parameters(IdeDrive *drive)
{
    Ata *ata = &drive->ata;
    unsigned heads = (drive->device & DEVICE_HEAD) + 1, sectors = drive->task.count;
    if (sectors == 0 || sectors > 63) {
        ide_command_done(drive, ERROR_ABRT);
        return;
    }
    ata->current_heads = heads;
    ata->current_sectors = sectors;
    ide_command_done(drive, 0);
}

static void seek(IdeDrive *drive)
{
    ide_command_done(drive, task_lba(drive, false) == G_MAXUINT64 ? ERROR_IDNF : 0);
}

static void read_native_max(IdeDrive *drive, bool ext)
{
    uint64_t last = drive->ata.sectors - 1;
    if (!ext) {
        last = MIN(last, 0x0fffffff);
        drive->device |= DEVICE_LBA;
    }
    set_task_lba(drive, last, ext);
    ide_command_done(drive, 0);
}

static void check_power_mode(IdeDrive *drive)
{
    drive->task.count = drive->ata.standby ? 0x00 : 0xff;
    ide_command_done(drive, 0);
}

static void set_standby(IdeDrive *drive, bool standby)
{
    drive->ata.standby = standby;
    if (standby) /* the cache goes to the medium before the motor stops */
        ide_submit(drive, BLOCK_FLUSH, 0, NULL, 0, 0, flush_done);
    else
        ide_command_done(drive, 0);
}

static void sleep_flushed(IdeDrive *drive, int error)
{
    flush_done(drive, error);
    drive->ata.sleeping = !error;
}

/* --- Reset ------------------------------------------------------------------------------------ */

static void set_defaults(IdeDrive *drive)
{
    Ata *ata = &drive->ata;
    ata->current_heads = ata->heads;
    ata->current_sectors = ata->sectors_per_track;
    ata->multiple = 0;
    ata->write_cache = true;
    ata->look_ahead = true;
}

void ata_power_on(IdeDrive *drive)
{
    Ata *ata = &drive->ata;
    uint64_t bytes = block_image_size(drive->image);

    ata->sectors = (bytes + BLOCK_SECTOR - 1) / BLOCK_SECTOR;
    ata->heads = 16;
    ata->sectors_per_track = 63;
    if (ata->sectors < 16 * 63) {
        ata->heads = 1;
        ata->sectors_per_track = MIN(ata->sectors, 63);
    }
    ata->cylinders = MIN(ata->sectors / (ata->heads * ata->sectors_per_track), 16383);
    ata->smart = true;
    ata->smart_autosave = false;
    ata->standby = ata->sleeping = false;
    ata->power_cycles++;
    memset(ata->sector_buffer, 0, sizeof ata->sector_buffer);
    set_defaults(drive);
}

void ata_soft_reset(IdeDrive *drive)
{
    drive->ata.sleeping = false;
    if (drive->revert_defaults)
        set_defaults(drive);
}

/* --- Commands --------------------------------------------------------------------------------- */

void ata_command(IdeDrive *drive, uint8_t command)
{
    Ata *ata = &drive->ata;

    switch (command) {
    case ATA_READ_SECTORS:
    case ATA_READ_SECTORS_NORETRY: transfer_start(drive, 0); break;
    case ATA_READ_SECTORS_EXT: transfer_start(drive, EXT); break;
    case ATA_READ_MULTIPLE: transfer_start(drive, MULTIPLE); break;
    case ATA_READ_MULTIPLE_EXT: transfer_start(drive, MULTIPLE | EXT); break;
    case ATA_READ_DMA:
    case ATA_READ_DMA_NORETRY: transfer_start(drive, DMA); break;
    case ATA_READ_DMA_EXT: transfer_start(drive, DMA | EXT); break;
    case ATA_READ_VERIFY:
    case ATA_READ_VERIFY_NORETRY: transfer_start(drive, VERIFY); break;
    case ATA_READ_VERIFY_EXT: transfer_start(drive, VERIFY | EXT); break;

    case ATA_WRITE_VERIFY:
    case ATA_WRITE_SECTORS:
    case ATA_WRITE_SECTORS_NORETRY: transfer_start(drive, WRITE); break;
    case ATA_WRITE_SECTORS_EXT: transfer_start(drive, WRITE | EXT); break;
    case ATA_WRITE_MULTIPLE: transfer_start(drive, WRITE | MULTIPLE); break;
    case ATA_WRITE_MULTIPLE_EXT: transfer_start(drive, WRITE | MULTIPLE | EXT); break;
    case ATA_WRITE_MULTIPLE_FUA_EXT: transfer_start(drive, WRITE | MULTIPLE | EXT | FUA); break;
    case ATA_WRITE_DMA:
    case ATA_WRITE_DMA_NORETRY: transfer_start(drive, WRITE | DMA); break;
    case ATA_WRITE_DMA_EXT: transfer_start(drive, WRITE | DMA | EXT); break;
    case ATA_WRITE_DMA_FUA_EXT: transfer_start(drive, WRITE | DMA | EXT | FUA); break;

    case ATA_FLUSH_CACHE:
    case ATA_FLUSH_CACHE_EXT: ide_submit(drive, BLOCK_FLUSH, 0, NULL, 0, 0, flush_done); break;
    case ATA_DATA_SET_MANAGEMENT: data_set_management(drive); break;
    case ATA_IDENTIFY_DEVICE:
        ata_identify(drive, drive->buffer);
        ata_reply(drive, BLOCK_SECTOR);
        break;
    case ATA_READ_BUFFER:
        memcpy(drive->buffer, ata->sector_buffer, sizeof ata->sector_buffer);
        ata_reply(drive, sizeof ata->sector_buffer);
        break;
    case ATA_WRITE_BUFFER:
        ide_pio_start(drive, false, 0, sizeof ata->sector_buffer, false, write_buffer_taken);
        break;
    case ATA_SMART: ata_smart(drive); break;

    case ATA_SET_FEATURES: set_features(drive); break;
    case ATA_SET_MULTIPLE_MODE: set_multiple_mode(drive); break;
    case ATA_INITIALIZE_DEVICE_PARAMETERS: initialize_device_parameters(drive); break;
    case ATA_READ_NATIVE_MAX_ADDRESS: read_native_max(drive, false); break;
    case ATA_READ_NATIVE_MAX_EXT: read_native_max(drive, true); break;

    case ATA_STANDBY:
    case ATA_STANDBY_OLD:
    case ATA_IDLE:
    case ATA_IDLE_OLD: /* the standby timer has nothing to stop */
    case ATA_IDLE_IMMEDIATE:
    case ATA_IDLE_IMMEDIATE_OLD: set_standby(drive, false); break;
    case ATA_STANDBY_IMMEDIATE:
    case ATA_STANDBY_IMMEDIATE_OLD: set_standby(drive, true); break;
    case ATA_CHECK_POWER_MODE:
    case ATA_CHECK_POWER_MODE_OLD: check_power_mode(drive); break;
    case ATA_SLEEP:
    case ATA_SLEEP_OLD: ide_submit(drive, BLOCK_FLUSH, 0, NULL, 0, 0, sleep_flushed); break;

    case ATA_NOP: ide_command_done(drive, ERROR_ABRT); break;
    default:
        if ((command & 0xf0) == ATA_SEEK)
            seek(drive);
        else if ((command & 0xf0) == ATA_RECALIBRATE)
            ide_command_done(drive, 0);
        else
            ide_command_done(drive, ERROR_ABRT);
        break;
    }
}
