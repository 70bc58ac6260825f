/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What the files of the CD/DVD drive share: atapi.c (the packet interface and commands),
 * atapi-read.c (reading sectors), atapi-disc.c (what describes the disc), atapi-mode.c (mode pages,
 * features, inquiry), cd-sector.c (raw sectors). */

#include "core/devices/ide-internal.h"

#define CD_SECTOR     2048u
#define CD_RAW_SECTOR 2352u

/* Sense keys (SPC-3 4.5.6) */
enum {
    SENSE_NO_SENSE = 0x0,
    SENSE_NOT_READY = 0x2,
    SENSE_MEDIUM_ERROR = 0x3,
    SENSE_ILLEGAL_REQUEST = 0x5,
    SENSE_UNIT_ATTENTION = 0x6,
};

/* Additional sense code and qualifier */
enum {
    ASC_NONE = 0x0000,
    ASC_UNRECOVERED_READ_ERROR = 0x1100,
    ASC_PARAMETER_LIST_LENGTH_ERROR = 0x1a00,
    ASC_INVALID_OPERATION_CODE = 0x2000,
    ASC_ADDRESS_OUT_OF_RANGE = 0x2100,
    ASC_INVALID_FIELD_IN_CDB = 0x2400,
    ASC_INVALID_FIELD_IN_PARAMETER_LIST = 0x2600,
    ASC_MEDIUM_MAY_HAVE_CHANGED = 0x2800,
    ASC_POWER_ON_OR_RESET = 0x2900,
    ASC_COMMAND_SEQUENCE_ERROR = 0x2c00,
    ASC_INCOMPATIBLE_MEDIUM = 0x3002,
    ASC_SAVING_NOT_SUPPORTED = 0x3900,
    ASC_NO_MEDIUM_TRAY_CLOSED = 0x3a01,
    ASC_NO_MEDIUM_TRAY_OPEN = 0x3a02,
    ASC_REMOVAL_PREVENTED = 0x5302,
    ASC_ILLEGAL_MODE_FOR_TRACK = 0x6400,
};

/* Profiles (MMC-5 table 95) */
enum { PROFILE_NONE = 0, PROFILE_CD_ROM = 0x08, PROFILE_DVD_ROM = 0x10 };

/* GET EVENT STATUS NOTIFICATION, media class (MMC-5 table 224) */
enum { MEDIA_NO_CHANGE, MEDIA_EJECT_REQUEST, MEDIA_NEW, MEDIA_REMOVAL };

enum {
    PAGE_ERROR_RECOVERY = 0x01,
    PAGE_CD_PARAMETERS = 0x0d,
    PAGE_CD_AUDIO = 0x0e,
    PAGE_POWER_CONDITION = 0x1a,
    PAGE_TIMEOUT = 0x1d,
    PAGE_CAPABILITIES = 0x2a,
    PAGE_ALL = 0x3f,
};

/* The mode pages: the changeable ones keep what MODE SELECT wrote. */
typedef struct {
    uint8_t error_recovery[12], cd_parameters[8], cd_audio[16], power_condition[12], timeout[12];
} ModePages;

struct Atapi {
    uint8_t cdb[12];
    bool dma; /* the packet's data goes by DMA */

    /* Reply or parameter list in flight; its bytes are in drive->buffer */
    size_t position, end;
    size_t byte_limit;  /* most bytes a DRQ block */
    IdePhaseDone moved; /* when position reaches end */

    /* READ: sectors still to fetch */
    uint32_t lba, remaining, fetched;
    uint8_t parts; /* READ CD: what of each sector, as byte 9 of the packet; 0: user data */

    uint8_t sense_key;
    uint16_t sense_code;
    uint32_t sense_information;
    bool attention_reset, attention_changed, attention_absent;
    bool event_eject, event_new, event_removal;

    bool tray_open, locked, eject_wanted, stopped;
    uint32_t sectors; /* of the medium; 0 without */
    ModePages pages;
};

/* atapi.c */
void atapi_done(IdeDrive *drive);
void atapi_fail(IdeDrive *drive, uint8_t key, uint16_t code);
/* Sends the first LENGTH bytes of the buffer, at most ALLOCATION of them. */
void atapi_reply(IdeDrive *drive, size_t length, size_t allocation);
/* Asks the host for LENGTH bytes; then TAKEN runs with them in the buffer. */
void atapi_receive(IdeDrive *drive, size_t length, IdePhaseDone taken);
/* Data of a READ: LENGTH bytes are in the buffer; NEXT runs when the host has them. */
void atapi_send(IdeDrive *drive, size_t length, IdePhaseDone next);
bool atapi_has_disc(const IdeDrive *drive);
unsigned atapi_profile(const IdeDrive *drive);

static inline uint32_t get_be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static inline uint32_t get_be32(const uint8_t *p)
{
    return get_be16(p) << 16 | get_be16(p + 2);
}

static inline void put_be16(uint8_t *p, uint16_t value)
{
    p[0] = value >> 8;
    p[1] = value;
}

static inline void put_be32(uint8_t *p, uint32_t value)
{
    put_be16(p, value >> 16);
    put_be16(p + 2, value);
}

/* Minutes, seconds, frames of an absolute sector, counted from the lead-in's end at LBA -150. */
static inline void put_msf(uint8_t *p, uint32_t lba)
{
    lba += 150;
    p[0] = lba / 75 / 60;
    p[1] = lba / 75 % 60;
    p[2] = lba % 75;
}

/* atapi-read.c */
void atapi_read(IdeDrive *drive, uint32_t lba, uint32_t count);
void atapi_read_cd(IdeDrive *drive);
void atapi_read_cd_msf(IdeDrive *drive);

/* atapi-disc.c */
void atapi_read_capacity(IdeDrive *drive);
void atapi_read_toc(IdeDrive *drive);
void atapi_read_header(IdeDrive *drive);
void atapi_read_subchannel(IdeDrive *drive);
void atapi_read_disc_information(IdeDrive *drive);
void atapi_read_track_information(IdeDrive *drive);
void atapi_read_dvd_structure(IdeDrive *drive);
void atapi_event_status(IdeDrive *drive);
void atapi_mechanism_status(IdeDrive *drive);

/* atapi-mode.c */
void atapi_default_pages(ModePages *pages);
void atapi_mode_sense(IdeDrive *drive);
void atapi_mode_select(IdeDrive *drive);
void atapi_get_configuration(IdeDrive *drive);
void atapi_inquiry(IdeDrive *drive);
void atapi_identify(IdeDrive *drive, uint8_t *out);
void atapi_get_performance(IdeDrive *drive);

/* cd-sector.c: completes a raw mode 1 sector around its 2048 bytes of user data at SECTOR + 16. */
void cd_sector_encode(uint8_t sector[CD_RAW_SECTOR], uint32_t lba);
