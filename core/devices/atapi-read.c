/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Reading sectors: READ (10), READ (12), READ CD, READ CD MSF (MMC-5 6.16 to 6.20). */

#include "core/devices/atapi-internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

/* Byte 9 of READ CD: what of a sector is wanted */
enum {
    PART_SYNC = 0x80,
    PART_SUBHEADER = 0x40, /* mode 1 has none */
    PART_HEADER = 0x20,
    PART_USER_DATA = 0x10,
    PART_EDC_ECC = 0x08,
    PART_C2 = 0x06,
};

/* Where the parts of a mode 1 sector lie (ECMA-130 14) */
static const struct {
    uint8_t part;
    uint16_t offset, length;
} sector_parts[] = {
    {PART_SYNC, 0, 12},
    {PART_HEADER, 12, 4},
    {PART_USER_DATA, 16, CD_SECTOR},
    {PART_EDC_ECC, 2064, 288},
};

static void read_next(IdeDrive *drive);

/* Turns the FETCHED raw sectors of the buffer into what the host wants of them. */
static size_t extract_parts(IdeDrive *drive)
{
    const Atapi *atapi = drive->atapi;
    uint8_t *out = drive->buffer;

    for (unsigned i = 0; i < atapi->fetched; i++) {
        uint8_t *sector = drive->buffer + (size_t)i * CD_RAW_SECTOR;
        cd_sector_encode(sector, atapi->lba + i);
        for (size_t j = 0; j < G_N_ELEMENTS(sector_parts); j++) {
            if (!(atapi->parts & sector_parts[j].part))
                continue;
            memmove(out, sector + sector_parts[j].offset, sector_parts[j].length);
            out += sector_parts[j].length;
        }
    }
    return out - drive->buffer;
}

static void submit_sectors(IdeDrive *drive, IdeIoDone done)
{
    const Atapi *atapi = drive->atapi;
    struct iovec iov[IDE_MAX_IOV];
    bool raw = atapi->parts != 0;

    for (unsigned i = 0; raw && i < atapi->fetched; i++)
        iov[i] = (struct iovec){drive->buffer + (size_t)i * CD_RAW_SECTOR + 16, CD_SECTOR};
    if (!raw)
        iov[0] = (struct iovec){drive->buffer, (size_t)atapi->fetched * CD_SECTOR};
    ide_submit(drive, BLOCK_READ, (uint64_t)atapi->lba * CD_SECTOR, iov, raw ? atapi->fetched : 1,
               (uint64_t)atapi->fetched * CD_SECTOR, done);
}

static void sectors_read(IdeDrive *drive, int error)
{
    Atapi *atapi = drive->atapi;

    if (error == ENOMEDIUM) {
        atapi_fail(drive, SENSE_NOT_READY, ASC_NO_MEDIUM_TRAY_OPEN);
        return;
    }
    if (error && atapi->fetched > 1) { /* find the bad one */
        atapi->fetched = 1;
        submit_sectors(drive, sectors_read);
        return;
    }
    if (error) {
        ide_report_io_error(drive, N_("Reading"), (uint64_t)atapi->lba * CD_SECTOR, error);
        atapi->sense_information = atapi->lba;
        atapi_fail(drive, SENSE_MEDIUM_ERROR, ASC_UNRECOVERED_READ_ERROR);
        return;
    }
    drive->error_reported = false;
    size_t length = atapi->parts ? extract_parts(drive) : (size_t)atapi->fetched * CD_SECTOR;
    atapi->lba += atapi->fetched;
    atapi->remaining -= atapi->fetched;
    atapi_send(drive, length, read_next);
}

static void read_next(IdeDrive *drive)
{
    Atapi *atapi = drive->atapi;
    unsigned fit = IDE_BUFFER_SIZE / (atapi->parts ? CD_RAW_SECTOR : CD_SECTOR);

    if (atapi->remaining == 0) {
        atapi_done(drive);
        return;
    }
    if (!drive->image) { /* taken out while the host was fetching data */
        atapi_fail(drive, SENSE_NOT_READY, ASC_NO_MEDIUM_TRAY_OPEN);
        return;
    }
    atapi->fetched = MIN(atapi->remaining, MIN(fit, IDE_MAX_IOV));
    submit_sectors(drive, sectors_read);
}

/* PARTS 0: the user data alone. */
static void read_start(IdeDrive *drive, uint32_t lba, uint32_t count, uint8_t parts)
{
    Atapi *atapi = drive->atapi;

    if (lba > atapi->sectors || count > atapi->sectors - lba) {
        atapi->sense_information = MAX(lba, atapi->sectors);
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_ADDRESS_OUT_OF_RANGE);
        return;
    }
    if (!atapi->dma && atapi->byte_limit == 0 && count > 0) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    atapi->lba = lba;
    atapi->remaining = count;
    atapi->parts = parts;
    read_next(drive);
}

void atapi_read(IdeDrive *drive, uint32_t lba, uint32_t count)
{
    read_start(drive, lba, count, 0);
}

static void read_cd(IdeDrive *drive, uint32_t lba, uint32_t count)
{
    const uint8_t *cdb = drive->atapi->cdb;
    unsigned expected = (cdb[1] >> 2) & 7;
    uint8_t parts = cdb[9];

    if (expected != 0 && expected != 2) { /* the disc is one track of mode 1 sectors */
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_ILLEGAL_MODE_FOR_TRACK);
        return;
    }
    if ((parts & PART_C2) || (cdb[10] & 7)) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    parts &= PART_SYNC | PART_HEADER | PART_USER_DATA | PART_EDC_ECC;
    if (parts == 0)
        count = 0;
    read_start(drive, lba, count, parts == PART_USER_DATA ? 0 : parts);
}

void atapi_read_cd(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    read_cd(drive, get_be32(cdb + 2), get_be16(cdb + 6) << 8 | cdb[8]);
}

void atapi_read_cd_msf(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    uint32_t start = (cdb[3] * 60 + cdb[4]) * 75 + cdb[5];
    uint32_t end = (cdb[6] * 60 + cdb[7]) * 75 + cdb[8];

    if (start < 150 || end < start) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    read_cd(drive, start - 150, end - start);
}
