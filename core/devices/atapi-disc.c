/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What describes the disc: one finished session with one data track. */

#include "core/devices/atapi-internal.h"

#include <string.h>

#define TIME_BIT      0x02 /* byte 1 of several packets: addresses as MSF */
#define CONTROL_DATA  0x14 /* ADR 1, control 4: a data track */
#define LEAD_OUT      0xaa
#define DVD_FIRST_PSN 0x030000 /* physical number of a DVD's first user sector */

static void put_address(uint8_t *out, uint32_t lba, bool msf)
{
    if (msf) {
        out[0] = 0;
        put_msf(out + 1, lba);
    } else {
        put_be32(out, lba);
    }
}

void atapi_read_capacity(IdeDrive *drive)
{
    put_be32(drive->buffer, drive->atapi->sectors - 1);
    put_be32(drive->buffer + 4, CD_SECTOR);
    atapi_reply(drive, 8, 8);
}

/* --- READ TOC/PMA/ATIP (MMC-5 6.26) ----------------------------------------------------------- */

static uint8_t *put_toc_track(uint8_t *out, uint8_t track, uint32_t lba, bool msf)
{
    memset(out, 0, 8);
    out[1] = CONTROL_DATA;
    out[2] = track;
    put_address(out + 4, lba, msf);
    return out + 8;
}

static uint8_t *put_raw_toc_entry(uint8_t *out, uint8_t point, uint8_t minute, uint8_t second,
                                  uint8_t frame)
{
    memset(out, 0, 11);
    out[0] = 1; /* session */
    out[1] = CONTROL_DATA;
    out[3] = point;
    out[8] = minute;
    out[9] = second;
    out[10] = frame;
    return out + 11;
}

void atapi_read_toc(IdeDrive *drive)
{
    const Atapi *atapi = drive->atapi;
    const uint8_t *cdb = atapi->cdb;
    bool msf = cdb[1] & TIME_BIT;
    unsigned format = cdb[2] & 15, start = cdb[6];
    uint8_t *out = drive->buffer, *end = out + 4, m[3];

    if (format == 0) /* SFF-8020i had the format in the control byte */
        format = cdb[9] >> 6;
    out[2] = out[3] = 1; /* first and last track or session */
    switch (format) {
    case 0:
        if (start > 1 && start != LEAD_OUT) {
            atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
            return;
        }
        if (start <= 1)
            end = put_toc_track(end, 1, 0, msf);
        end = put_toc_track(end, LEAD_OUT, atapi->sectors, msf);
        break;
    case 1: end = put_toc_track(end, 1, 0, msf); break;
    case 2:
        end = put_raw_toc_entry(end, 0xa0, 1, 0, 0);
        end = put_raw_toc_entry(end, 0xa1, 1, 0, 0);
        put_msf(m, atapi->sectors);
        end = put_raw_toc_entry(end, 0xa2, m[0], m[1], m[2]);
        put_msf(m, 0);
        end = put_raw_toc_entry(end, 1, m[0], m[1], m[2]);
        break;
    default: atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB); return;
    }
    put_be16(out, end - out - 2);
    atapi_reply(drive, end - out, get_be16(cdb + 7));
}

/* SFF-8020i 10.8.16 */
void atapi_read_header(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    uint32_t lba = get_be32(cdb + 2);

    if (lba >= drive->atapi->sectors) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_ADDRESS_OUT_OF_RANGE);
        return;
    }
    memset(drive->buffer, 0, 8);
    drive->buffer[0] = 1; /* mode 1 */
    put_address(drive->buffer + 4, lba, cdb[1] & TIME_BIT);
    atapi_reply(drive, 8, get_be16(cdb + 7));
}

/* MMC-3 6.28: there is no audio, no catalogue number and no ISRC. */
void atapi_read_subchannel(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    bool msf = cdb[1] & TIME_BIT;
    uint8_t *out = drive->buffer;
    size_t length = 4;

    memset(out, 0, 24);
    out[1] = 0x15; /* no audio status to return */
    if (cdb[2] & 0x40) {
        out[4] = cdb[3];
        switch (cdb[3]) {
        case 1: /* current position */
            out[5] = CONTROL_DATA;
            out[6] = out[7] = 1; /* track, index */
            put_address(out + 8, drive->atapi->lba, msf);
            put_address(out + 12, drive->atapi->lba, msf);
            length = 16;
            break;
        case 2: length = 24; break;
        case 3:
            out[5] = CONTROL_DATA;
            out[6] = 1;
            length = 24;
            break;
        default: atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB); return;
        }
    }
    put_be16(out + 2, length - 4);
    atapi_reply(drive, length, get_be16(cdb + 7));
}

/* MMC-5 6.21 */
void atapi_read_disc_information(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    uint8_t *out = drive->buffer;

    if (cdb[1] & 7) { /* only the standard information */
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    memset(out, 0, 34);
    put_be16(out, 32);
    out[2] = 0x0e;             /* last session complete, disc finalized */
    out[3] = 1;                /* first track */
    out[4] = 1;                /* sessions */
    out[5] = 1;                /* first track of the last session */
    out[6] = 1;                /* last track of the last session */
    out[7] = 0x20;             /* unrestricted use */
    memset(out + 16, 0xff, 8); /* no further lead-in or lead-out */
    atapi_reply(drive, 34, get_be16(cdb + 7));
}

/* MMC-5 6.27 */
void atapi_read_track_information(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    uint32_t number = get_be32(cdb + 2);
    uint8_t *out = drive->buffer;
    unsigned type = cdb[1] & 3;

    /* by sector, by track, by session */
    if (type == 3 || (type == 0 ? number >= drive->atapi->sectors : number != 1)) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    memset(out, 0, 36);
    put_be16(out, 34);
    out[2] = 1;    /* track */
    out[3] = 1;    /* session */
    out[5] = 0x04; /* track mode: data */
    out[6] = 0x01; /* data mode 1 */
    put_be32(out + 24, drive->atapi->sectors);
    put_be32(out + 28, drive->atapi->sectors - 1);
    out[7] = 0x02; /* the last recorded address is valid */
    atapi_reply(drive, 36, get_be16(cdb + 7));
}

/* --- READ DVD STRUCTURE (MMC-5 6.22) ---------------------------------------------------------- */

enum {
    DVD_PHYSICAL = 0x00,
    DVD_COPYRIGHT = 0x01,
    DVD_MANUFACTURING = 0x04,
    DVD_LIST = 0xff,
};

static void put_physical(const IdeDrive *drive, uint8_t *out)
{
    uint32_t last = DVD_FIRST_PSN + MIN(drive->atapi->sectors, 0xffffff - DVD_FIRST_PSN) - 1;

    out[0] = 0x01; /* DVD-ROM, version 1 */
    out[1] = 0x0f; /* 120 mm; maximum rate not specified */
    out[2] = 0x01; /* one embossed layer */
    put_be32(out + 4, DVD_FIRST_PSN);
    put_be32(out + 8, last);
}

void atapi_read_dvd_structure(IdeDrive *drive)
{
    static const struct {
        uint8_t format;
        uint16_t length;
    } formats[] = {{DVD_PHYSICAL, 2048 + 4}, {DVD_COPYRIGHT, 4 + 4}, {DVD_MANUFACTURING, 2048 + 4}};
    const uint8_t *cdb = drive->atapi->cdb;
    uint8_t *out = drive->buffer;
    size_t length = 0;

    memset(out, 0, 2048 + 4);
    if ((cdb[1] & 15) == 0 && cdb[7] == DVD_LIST) {
        length = 4;
        for (size_t i = 0; i < G_N_ELEMENTS(formats); i++, length += 4) {
            out[length] = formats[i].format;
            out[length + 1] = 0x40; /* readable */
            put_be16(out + length + 2, formats[i].length);
        }
    } else if ((cdb[1] & 15) == 0 && cdb[6] == 0) {
        for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
            if (formats[i].format == cdb[7])
                length = formats[i].length;
        if (cdb[7] == DVD_PHYSICAL)
            put_physical(drive, out + 4);
    }
    if (length == 0) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    put_be16(out, length - 2);
    atapi_reply(drive, length, get_be16(cdb + 8));
}

/* --- The drive's state ------------------------------------------------------------------------ */

/* GET EVENT STATUS NOTIFICATION (MMC-5 6.7), polled; media events only. */
void atapi_event_status(IdeDrive *drive)
{
    enum { CLASS_MEDIA = 4, NO_EVENT_AVAILABLE = 0x80, TRAY_OPEN = 1, MEDIA_PRESENT = 2 };
    Atapi *atapi = drive->atapi;
    uint8_t *out = drive->buffer;
    size_t length = 4;

    if (!(atapi->cdb[1] & 1)) { /* asynchronous reports are not supported */
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    memset(out, 0, 8);
    out[3] = 1 << CLASS_MEDIA; /* supported classes */
    if (atapi->cdb[4] & 1 << CLASS_MEDIA) {
        out[2] = CLASS_MEDIA;
        if (atapi->event_removal) {
            out[4] = MEDIA_REMOVAL;
            atapi->event_removal = false;
        } else if (atapi->event_new) {
            out[4] = MEDIA_NEW;
            atapi->event_new = false;
        } else if (atapi->event_eject) {
            out[4] = MEDIA_EJECT_REQUEST;
            atapi->event_eject = false;
        }
        out[5] = (atapi->tray_open ? TRAY_OPEN : 0) | (atapi_has_disc(drive) ? MEDIA_PRESENT : 0);
        length = 8;
    } else {
        out[2] = NO_EVENT_AVAILABLE;
    }
    put_be16(out, length - 2);
    atapi_reply(drive, length, get_be16(atapi->cdb + 7));
}

/* MMC-5 6.11: not a changer. */
void atapi_mechanism_status(IdeDrive *drive)
{
    uint8_t *out = drive->buffer;

    memset(out, 0, 8);
    out[1] = drive->atapi->tray_open ? 0x10 : 0;
    atapi_reply(drive, 8, get_be16(drive->atapi->cdb + 8));
}
