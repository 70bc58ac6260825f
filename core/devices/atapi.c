/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The CD/DVD drive: the PACKET interface (ATA/ATAPI-6 9.8-9.10), the tray, and the dispatch of
 * packets (MMC-5).
 */

#include "core/devices/atapi-internal.h"

#include <glib/gi18n.h>
#include <string.h>

/* ATA commands of a packet device */
enum {
    ATA_NOP = 0x00,
    ATA_READ_SECTORS = 0x20,
    ATA_PACKET = 0xa0,
    ATA_IDENTIFY_PACKET_DEVICE = 0xa1,
    ATA_STANDBY_IMMEDIATE = 0xe0,
    ATA_IDLE_IMMEDIATE = 0xe1,
    ATA_STANDBY = 0xe2,
    ATA_IDLE = 0xe3,
    ATA_CHECK_POWER_MODE = 0xe5,
    ATA_SLEEP = 0xe6,
    ATA_IDENTIFY_DEVICE = 0xec,
    ATA_SET_FEATURES = 0xef,
};

/* Packets */
enum {
    TEST_UNIT_READY = 0x00,
    REQUEST_SENSE = 0x03,
    INQUIRY = 0x12,
    START_STOP_UNIT = 0x1b,
    PREVENT_ALLOW_MEDIUM_REMOVAL = 0x1e,
    READ_CAPACITY = 0x25,
    READ_10 = 0x28,
    SEEK_10 = 0x2b,
    SYNCHRONIZE_CACHE = 0x35,
    READ_SUBCHANNEL = 0x42,
    READ_TOC = 0x43,
    READ_HEADER = 0x44,
    PLAY_AUDIO_10 = 0x45,
    GET_CONFIGURATION = 0x46,
    PLAY_AUDIO_MSF = 0x47,
    PLAY_AUDIO_TRACK_INDEX = 0x48,
    GET_EVENT_STATUS_NOTIFICATION = 0x4a,
    PAUSE_RESUME = 0x4b,
    STOP_PLAY_SCAN = 0x4e,
    READ_DISC_INFORMATION = 0x51,
    READ_TRACK_INFORMATION = 0x52,
    MODE_SELECT_10 = 0x55,
    MODE_SENSE_10 = 0x5a,
    PLAY_AUDIO_12 = 0xa5,
    READ_12 = 0xa8,
    GET_PERFORMANCE = 0xac,
    READ_DVD_STRUCTURE = 0xad,
    READ_CD_MSF = 0xb9,
    SET_CD_SPEED = 0xbb,
    MECHANISM_STATUS = 0xbd,
    READ_CD = 0xbe,
};

/* Interrupt reason, in the sector count register */
enum { REASON_COMMAND = 1, REASON_TO_HOST = 2 };

#define FEATURE_DMA           0x01
#define FEATURE_OVERLAP       0x02
#define ERROR_SENSE_KEY_SHIFT 4

/* An 80 minute CD; what is larger is a DVD. */
#define CD_MAX_SECTORS        (80 * 60 * 75)

/* --- The disc --------------------------------------------------------------------------------- */

bool atapi_has_disc(const IdeDrive *drive)
{
    return drive->image && !drive->atapi->tray_open;
}

unsigned atapi_profile(const IdeDrive *drive)
{
    if (!atapi_has_disc(drive))
        return PROFILE_NONE;
    return drive->atapi->sectors > CD_MAX_SECTORS ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

static void measure(IdeDrive *drive)
{
    uint64_t size = drive->image ? block_image_size(drive->image) : 0;
    drive->atapi->sectors = MIN((size + CD_SECTOR - 1) / CD_SECTOR, G_MAXUINT32);
}

/* --- Ending a packet -------------------------------------------------------------------------- */

/* Status phase: the interrupt reason says "command complete". */
static void finish(IdeDrive *drive, uint8_t key)
{
    drive->task.count = REASON_COMMAND | REASON_TO_HOST;
    ide_command_done(drive, key ? key << ERROR_SENSE_KEY_SHIFT | ERROR_ABRT : 0);
    drive->status &= ~STATUS_DSC;
}

void atapi_done(IdeDrive *drive)
{
    finish(drive, SENSE_NO_SENSE);
}

void atapi_fail(IdeDrive *drive, uint8_t key, uint16_t code)
{
    drive->atapi->sense_key = key;
    drive->atapi->sense_code = code;
    finish(drive, key);
}

/* --- Moving data ------------------------------------------------------------------------------ */

static void block_moved(IdeDrive *drive);

/* PIO: as many bytes a DRQ block as the host's byte count limit allows (ATA/ATAPI-6 8.23.4). */
static size_t drq_length(const IdeDrive *drive, size_t left)
{
    size_t limit = drive->atapi->byte_limit;
    if (left <= limit)
        return left;
    return limit & ~(size_t)1;
}

static void start_block(IdeDrive *drive, bool to_host)
{
    Atapi *atapi = drive->atapi;
    size_t length = drq_length(drive, atapi->end - atapi->position);

    drive->task.count = to_host ? REASON_TO_HOST : 0;
    drive->task.lba_mid = length;
    drive->task.lba_high = length >> 8;
    ide_pio_start(drive, to_host, atapi->position, length, true, block_moved);
    drive->status &= ~STATUS_DSC;
}

static void block_moved(IdeDrive *drive)
{
    Atapi *atapi = drive->atapi;

    atapi->position = drive->pio_position;
    if (atapi->position < atapi->end)
        start_block(drive, drive->pio_to_host);
    else
        atapi->moved(drive);
}

static void move_data(IdeDrive *drive, bool to_host, size_t length, IdePhaseDone moved)
{
    Atapi *atapi = drive->atapi;

    if (atapi->dma) {
        ide_dma_start(drive, to_host, length, moved);
        return;
    }
    if (atapi->byte_limit == 0) { /* no room for data: the packet was wrong */
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    atapi->position = 0;
    atapi->end = length;
    atapi->moved = moved;
    start_block(drive, to_host);
}

void atapi_send(IdeDrive *drive, size_t length, IdePhaseDone next)
{
    move_data(drive, true, length, next);
}

void atapi_receive(IdeDrive *drive, size_t length, IdePhaseDone taken)
{
    move_data(drive, false, length, taken);
}

void atapi_reply(IdeDrive *drive, size_t length, size_t allocation)
{
    length = MIN(length, allocation);
    if (length == 0)
        atapi_done(drive);
    else
        atapi_send(drive, length, atapi_done);
}

/* --- Tray and lock ---------------------------------------------------------------------------- */

static void forget_disc(IdeDrive *drive)
{
    Atapi *atapi = drive->atapi;
    atapi->event_removal = true;
    atapi->event_new = atapi->event_eject = false;
    atapi->attention_changed = atapi->attention_absent = false;
    atapi->stopped = false;
}

static void announce_disc(IdeDrive *drive)
{
    Atapi *atapi = drive->atapi;
    atapi->event_new = true;
    atapi->attention_changed = true;
    atapi->stopped = false;
}

static void open_tray(IdeDrive *drive)
{
    Atapi *atapi = drive->atapi;
    bool taken_out = atapi->eject_wanted && drive->image;

    if (!atapi->tray_open) {
        atapi->tray_open = true;
        if (drive->image)
            forget_disc(drive);
        ide_tray_moved(drive, true);
    }
    atapi->eject_wanted = atapi->event_eject = false;
    if (taken_out) {
        ide_set_image(drive, NULL);
        measure(drive);
        ide_medium_changed(drive);
    }
}

static void close_tray(IdeDrive *drive)
{
    if (!drive->atapi->tray_open)
        return;
    drive->atapi->tray_open = false;
    if (drive->image)
        announce_disc(drive);
    ide_tray_moved(drive, false);
}

/* MMC-5 6.43: LoEj and Start say what moves. */
static void start_stop_unit(IdeDrive *drive)
{
    Atapi *atapi = drive->atapi;
    bool load_eject = atapi->cdb[4] & 0x02, start = atapi->cdb[4] & 0x01;

    if (atapi->cdb[4] >> 4) { /* a power condition; none of them shows */
        atapi_done(drive);
        return;
    }
    if (load_eject && !start) {
        if (atapi->locked && !atapi->tray_open) {
            atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
            return;
        }
        open_tray(drive);
    } else if (load_eject) {
        close_tray(drive);
    } else {
        atapi->stopped = !start;
    }
    atapi_done(drive);
}

static void prevent_allow(IdeDrive *drive)
{
    drive->atapi->locked = drive->atapi->cdb[4] & 0x01;
    atapi_done(drive);
}

static IdeDrive *find_cd(PiixIde *ide, int channel, int unit, GError **error)
{
    if (channel >= 0 && channel < 2 && unit >= 0 && unit < 2) {
        IdeDrive *drive = &ide->channels[channel].drives[unit];
        if (drive->kind == IDE_CD)
            return drive;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                _("There is no CD drive at IDE channel %d, unit %d."), channel, unit);
    return NULL;
}

/* The guest keeps the tray shut: ask it, as the button on the drive does. */
static bool refused_by_lock(IdeDrive *drive, bool force, GError **error)
{
    Atapi *atapi = drive->atapi;
    if (force || !atapi->locked || atapi->tray_open || !drive->image)
        return false;
    atapi->event_eject = atapi->eject_wanted = true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
                _("The guest has locked the CD tray. It has been asked to release the disc; try "
                  "again when it has, or force it."));
    return true;
}

bool ide_insert_medium(PiixIde *ide, int channel, int unit, BlockImage *image, bool force,
                       GError **error)
{
    IdeDrive *drive = find_cd(ide, channel, unit, error);
    if (!drive || refused_by_lock(drive, force, error))
        return false;

    Atapi *atapi = drive->atapi;
    bool replaced = atapi_has_disc(drive);
    atapi->eject_wanted = true;
    open_tray(drive);
    ide_set_image(drive, image);
    measure(drive);
    ide_medium_changed(drive);
    close_tray(drive);
    /* A guest that looks only now must still see that the old disc went away. */
    atapi->attention_absent = replaced;
    return true;
}

bool ide_eject_medium(PiixIde *ide, int channel, int unit, bool force, GError **error)
{
    IdeDrive *drive = find_cd(ide, channel, unit, error);
    if (!drive || refused_by_lock(drive, force, error))
        return false;
    drive->atapi->eject_wanted = true;
    open_tray(drive);
    return true;
}

IdeDriveInfo ide_drive_info(PiixIde *ide, int channel, int unit)
{
    g_return_val_if_fail(channel >= 0 && channel < 2 && unit >= 0 && unit < 2, (IdeDriveInfo){0});
    const IdeDrive *drive = &ide->channels[channel].drives[unit];
    return (IdeDriveInfo){
        .attached = drive->kind != IDE_NONE,
        .is_cd = drive->kind == IDE_CD,
        .tray_open = drive->atapi && drive->atapi->tray_open,
        .locked = drive->atapi && drive->atapi->locked,
        .image = drive->image,
    };
}

/* --- Sense ------------------------------------------------------------------------------------ */

static void request_sense(IdeDrive *drive)
{
    Atapi *atapi = drive->atapi;
    uint8_t *out = drive->buffer;

    if (!atapi->sense_key && atapi->attention_reset) {
        atapi->attention_reset = false;
        atapi->sense_key = SENSE_UNIT_ATTENTION;
        atapi->sense_code = ASC_POWER_ON_OR_RESET;
    } else if (!atapi->sense_key && atapi->attention_changed && atapi_has_disc(drive)) {
        atapi->attention_changed = false;
        atapi->sense_key = SENSE_UNIT_ATTENTION;
        atapi->sense_code = ASC_MEDIUM_MAY_HAVE_CHANGED;
    }
    memset(out, 0, 18);
    out[0] = 0x70; /* current, fixed format */
    if (atapi->sense_information) {
        out[0] |= 0x80; /* information is valid */
        put_be32(out + 3, atapi->sense_information);
    }
    out[2] = atapi->sense_key;
    out[7] = 10; /* bytes that follow */
    put_be16(out + 12, atapi->sense_code);
    atapi->sense_key = SENSE_NO_SENSE;
    atapi->sense_code = ASC_NONE;
    atapi->sense_information = 0;
    atapi_reply(drive, 18, atapi->cdb[4]);
}

/* What stands in the way of most commands; true when the command has been failed with it. */
static bool report_attention(IdeDrive *drive)
{
    Atapi *atapi = drive->atapi;

    if (atapi->attention_reset) {
        atapi->attention_reset = false;
        atapi_fail(drive, SENSE_UNIT_ATTENTION, ASC_POWER_ON_OR_RESET);
        return true;
    }
    if (atapi->attention_absent) {
        atapi->attention_absent = false;
        atapi_fail(drive, SENSE_NOT_READY, ASC_NO_MEDIUM_TRAY_OPEN);
        return true;
    }
    if (atapi->attention_changed && atapi_has_disc(drive)) {
        atapi->attention_changed = false;
        atapi_fail(drive, SENSE_UNIT_ATTENTION, ASC_MEDIUM_MAY_HAVE_CHANGED);
        return true;
    }
    return false;
}

/* --- Packets ---------------------------------------------------------------------------------- */

static void seek(IdeDrive *drive)
{
    if (get_be32(drive->atapi->cdb + 2) >= drive->atapi->sectors)
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_ADDRESS_OUT_OF_RANGE);
    else
        atapi_done(drive);
}

static void read_10(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    atapi_read(drive, get_be32(cdb + 2), get_be16(cdb + 7));
}

static void read_12(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    atapi_read(drive, get_be32(cdb + 2), get_be32(cdb + 6));
}

static void play_audio(IdeDrive *drive)
{
    atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_ILLEGAL_MODE_FOR_TRACK);
}

static void pause_resume(IdeDrive *drive)
{
    atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_COMMAND_SEQUENCE_ERROR);
}

/* Which conditions a command is subject to */
enum {
    NEEDS_DISC = 1,
    IGNORES_ATTENTION = 2, /* neither reports nor clears a unit attention (MMC-5 4.1.6.1) */
    NEEDS_DVD = 4,
};

typedef struct {
    uint8_t operation;
    uint8_t conditions;
    void (*run)(IdeDrive *drive);
} Packet;

static const Packet packets[] = {
    {TEST_UNIT_READY, NEEDS_DISC, atapi_done},
    {REQUEST_SENSE, IGNORES_ATTENTION, request_sense},
    {INQUIRY, IGNORES_ATTENTION, atapi_inquiry},
    {START_STOP_UNIT, 0, start_stop_unit},
    {PREVENT_ALLOW_MEDIUM_REMOVAL, 0, prevent_allow},
    {READ_CAPACITY, NEEDS_DISC, atapi_read_capacity},
    {READ_10, NEEDS_DISC, read_10},
    {SEEK_10, NEEDS_DISC, seek},
    {SYNCHRONIZE_CACHE, NEEDS_DISC, atapi_done},
    {READ_SUBCHANNEL, NEEDS_DISC, atapi_read_subchannel},
    {READ_TOC, NEEDS_DISC, atapi_read_toc},
    {READ_HEADER, NEEDS_DISC, atapi_read_header},
    {PLAY_AUDIO_10, NEEDS_DISC, play_audio},
    {GET_CONFIGURATION, IGNORES_ATTENTION, atapi_get_configuration},
    {PLAY_AUDIO_MSF, NEEDS_DISC, play_audio},
    {PLAY_AUDIO_TRACK_INDEX, NEEDS_DISC, play_audio},
    {GET_EVENT_STATUS_NOTIFICATION, IGNORES_ATTENTION, atapi_event_status},
    {PAUSE_RESUME, NEEDS_DISC, pause_resume},
    {STOP_PLAY_SCAN, NEEDS_DISC, atapi_done},
    {READ_DISC_INFORMATION, NEEDS_DISC, atapi_read_disc_information},
    {READ_TRACK_INFORMATION, NEEDS_DISC, atapi_read_track_information},
    {MODE_SELECT_10, 0, atapi_mode_select},
    {MODE_SENSE_10, 0, atapi_mode_sense},
    {PLAY_AUDIO_12, NEEDS_DISC, play_audio},
    {READ_12, NEEDS_DISC, read_12},
    {GET_PERFORMANCE, 0, atapi_get_performance},
    {READ_DVD_STRUCTURE, NEEDS_DISC | NEEDS_DVD, atapi_read_dvd_structure},
    {READ_CD_MSF, NEEDS_DISC, atapi_read_cd_msf},
    {SET_CD_SPEED, 0, atapi_done},
    {MECHANISM_STATUS, 0, atapi_mechanism_status},
    {READ_CD, NEEDS_DISC, atapi_read_cd},
};

static const Packet *find_packet(uint8_t operation)
{
    for (size_t i = 0; i < G_N_ELEMENTS(packets); i++)
        if (packets[i].operation == operation)
            return &packets[i];
    return NULL;
}

static void run_packet(IdeDrive *drive)
{
    Atapi *atapi = drive->atapi;
    const Packet *packet;

    memcpy(atapi->cdb, drive->buffer, sizeof atapi->cdb);
    drive->status = STATUS_DRDY | STATUS_BSY;
    packet = find_packet(atapi->cdb[0]);
    if (!packet || !(packet->conditions & IGNORES_ATTENTION)) {
        if (report_attention(drive))
            return;
    }
    if (!packet) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPERATION_CODE);
        return;
    }
    if (packet->run != request_sense) { /* sense data lives until the next command */
        atapi->sense_key = SENSE_NO_SENSE;
        atapi->sense_code = ASC_NONE;
        atapi->sense_information = 0;
    }
    if ((packet->conditions & NEEDS_DISC) && !atapi_has_disc(drive)) {
        atapi_fail(drive, SENSE_NOT_READY,
                   atapi->tray_open ? ASC_NO_MEDIUM_TRAY_OPEN : ASC_NO_MEDIUM_TRAY_CLOSED);
        return;
    }
    if ((packet->conditions & NEEDS_DVD) && atapi_profile(drive) != PROFILE_DVD_ROM) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INCOMPATIBLE_MEDIUM);
        return;
    }
    packet->run(drive);
}

/* --- ATA commands ----------------------------------------------------------------------------- */

/* PACKET: the drive asks for twelve bytes at once, without an interrupt. */
static void packet_command(IdeDrive *drive)
{
    Atapi *atapi = drive->atapi;

    if (drive->task.features & FEATURE_OVERLAP) {
        ide_command_done(drive, ERROR_ABRT);
        return;
    }
    atapi->dma = drive->task.features & FEATURE_DMA;
    atapi->byte_limit = drive->task.lba_mid | drive->task.lba_high << 8;
    if (atapi->byte_limit == 0xffff)
        atapi->byte_limit = 0xfffe;
    else if (atapi->byte_limit == 1)
        atapi->byte_limit = 2; /* no word is smaller */
    drive->task.count = REASON_COMMAND;
    ide_pio_start(drive, false, 0, sizeof atapi->cdb, false, run_packet);
    drive->status &= ~STATUS_DSC;
}

static void identify_taken(IdeDrive *drive)
{
    drive->status = STATUS_DRDY;
}

void atapi_command(IdeDrive *drive, uint8_t command)
{
    switch (command) {
    case ATA_PACKET: packet_command(drive); break;
    case ATA_IDENTIFY_PACKET_DEVICE:
        atapi_identify(drive, drive->buffer);
        ide_pio_start(drive, true, 0, BLOCK_SECTOR, true, identify_taken);
        break;
    case ATA_IDENTIFY_DEVICE:
    case ATA_READ_SECTORS: /* ATA/ATAPI-6 8.15.5: refused with the signature of a packet device */
        ide_set_signature(drive);
        ide_command_done(drive, ERROR_ABRT);
        break;
    case ATA_SET_FEATURES:
        ide_command_done(drive, drive->task.features == 0x03 &&
                                        ide_set_transfer_mode(drive, drive->task.count)
                                    ? 0
                                    : ERROR_ABRT);
        break;
    case ATA_STANDBY_IMMEDIATE:
    case ATA_IDLE_IMMEDIATE:
    case ATA_STANDBY:
    case ATA_IDLE: ide_command_done(drive, 0); break;
    case ATA_SLEEP:
        drive->ata.sleeping = true;
        ide_command_done(drive, 0);
        break;
    case ATA_CHECK_POWER_MODE:
        drive->task.count = 0xff;
        ide_command_done(drive, 0);
        break;
    default: ide_command_done(drive, ERROR_ABRT); break;
    }
}

/* --- Reset ------------------------------------------------------------------------------------ */

void atapi_init(IdeDrive *drive)
{
    drive->atapi = g_new0(Atapi, 1);
}

void atapi_free(IdeDrive *drive)
{
    g_free(drive->atapi);
}

void atapi_power_on(IdeDrive *drive)
{
    Atapi *atapi = drive->atapi;
    bool tray_open = atapi->tray_open;

    memset(atapi, 0, sizeof *atapi);
    atapi->tray_open = tray_open;
    atapi->attention_reset = true;
    atapi_default_pages(&atapi->pages);
    measure(drive);
}

void atapi_abandon(IdeDrive *drive)
{
    drive->ata.sleeping = false;
    drive->atapi->remaining = drive->atapi->fetched = 0;
    drive->atapi->sense_key = SENSE_NO_SENSE;
    drive->atapi->sense_code = ASC_NONE;
}
