/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What the drive is and can do: identification, inquiry, mode pages, features. */

#include "core/devices/atapi-internal.h"

#include <string.h>

#define CD_VENDOR   "APIARY"
#define CD_PRODUCT  "DVD-ROM"
#define CD_REVISION "1.0"
#define CD_SPEED    7056 /* kB/s: 40 times a CD's */

static void put_padded(uint8_t *out, const char *text, size_t length)
{
    size_t n = strlen(text);
    memset(out, ' ', length);
    memcpy(out, text, MIN(n, length));
}

/* IDENTIFY PACKET DEVICE (ATA/ATAPI-6 8.16) */
void atapi_identify(IdeDrive *drive, uint8_t *out)
{
    uint16_t w[256] = {0};

    w[0] = 0x85c0; /* ATAPI CD-ROM, removable, DRQ within 50 us, 12-byte packets */
    ide_put_string(w + 10, drive->serial, 20);
    ide_put_string(w + 23, CD_REVISION, 8);
    ide_put_string(w + 27, CD_VENDOR " " CD_PRODUCT, 40);
    w[49] = 0x0f00; /* IORDY, LBA, DMA */
    ide_identify_modes(drive, w);
    w[53] &= ~1;        /* no CHS translation */
    w[71] = w[72] = 30; /* ns to bus release, service */
    w[80] = 0x00f0;     /* ATA/ATAPI-4 to -7 */
    w[82] = 0x4218;     /* NOP, DEVICE RESET, PACKET, power management */
    w[83] = 0x4000;
    w[84] = 0x4000;
    w[85] = w[82];
    w[87] = 0x4000;
    ide_identify_finish(w, out);
}

/* --- INQUIRY (SPC-3 6.4) ---------------------------------------------------------------------- */

static size_t put_vital_product_data(const IdeDrive *drive, uint8_t page, uint8_t *out)
{
    size_t serial = strlen(drive->serial);

    memset(out, 0, 64);
    out[0] = 0x05;
    out[1] = page;
    switch (page) {
    case 0x00: /* supported pages */
        out[3] = 3;
        out[5] = 0x80;
        out[6] = 0x83;
        break;
    case 0x80: /* unit serial number */
        out[3] = serial;
        memcpy(out + 4, drive->serial, serial);
        break;
    case 0x83: /* device identification: one T10 vendor ID */
        out[3] = 4 + 8 + serial;
        out[4] = 0x02; /* ASCII */
        out[5] = 0x01; /* T10 vendor ID */
        out[7] = 8 + serial;
        put_padded(out + 8, CD_VENDOR, 8);
        memcpy(out + 16, drive->serial, serial);
        break;
    default: return 0;
    }
    return 4 + out[3];
}

void atapi_inquiry(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    uint8_t *out = drive->buffer;
    size_t length = 36;

    if (cdb[1] & 1) {
        length = put_vital_product_data(drive, cdb[2], out);
    } else if (cdb[2]) {
        length = 0;
    } else {
        memset(out, 0, length);
        out[0] = 0x05; /* CD/DVD */
        out[1] = 0x80; /* removable */
        out[3] = 0x21; /* ATAPI 2, response format 1 */
        out[4] = length - 5;
        put_padded(out + 8, CD_VENDOR, 8);
        put_padded(out + 16, CD_PRODUCT, 16);
        put_padded(out + 32, CD_REVISION, 4);
    }
    if (length == 0)
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    else
        atapi_reply(drive, length, get_be16(cdb + 3));
}

/* --- Mode pages (MMC-5 7) ------------------------------------------------------- */

enum { MODE_HEADER = 8, MAX_PARAMETER_LIST = 512 };
enum { CONTROL_CURRENT, CONTROL_CHANGEABLE, CONTROL_DEFAULT, CONTROL_SAVED };

typedef struct {
    uint8_t code, size; /* size: with its two header bytes */
    size_t offset;      /* in ModePages */
} ModePage;

static const ModePage mode_pages[] = {
    {PAGE_ERROR_RECOVERY, 12, offsetof(ModePages, error_recovery)},
    {PAGE_CD_PARAMETERS, 8, offsetof(ModePages, cd_parameters)},
    {PAGE_CD_AUDIO, 16, offsetof(ModePages, cd_audio)},
    {PAGE_POWER_CONDITION, 12, offsetof(ModePages, power_condition)},
    {PAGE_TIMEOUT, 12, offsetof(ModePages, timeout)},
};

static const ModePages default_pages = {
    .error_recovery = {[3] = 5},                                             /* retries */
    .cd_parameters = {[3] = 0x0d, [5] = 60, [7] = 75},                       /* S per M, F per S */
    .cd_audio = {[2] = 0x04, [8] = 0x01, [9] = 0xff, [10] = 2, [11] = 0xff}, /* stereo, full */
};

static const ModePages changeable_pages = {
    .error_recovery = {[2] = 0xff, [3] = 0xff},
    .cd_parameters = {[3] = 0x0f},
    .cd_audio = {[9] = 0xff, [11] = 0xff},
    .power_condition = {[3] = 0x03,
                        [4] = 0xff,
                        [5] = 0xff,
                        [6] = 0xff,
                        [7] = 0xff,
                        [8] = 0xff,
                        [9] = 0xff,
                        [10] = 0xff,
                        [11] = 0xff},
    .timeout = {[4] = 0x07, [6] = 0xff, [7] = 0xff, [8] = 0xff, [9] = 0xff},
};

static void put_capabilities(const IdeDrive *drive, uint8_t *out, bool changeable)
{
    memset(out, 0, 26);
    out[0] = PAGE_CAPABILITIES;
    out[1] = 24;
    if (changeable)
        return;
    out[2] = 0x3b; /* reads CD-R, CD-RW, DVD-ROM, DVD-R, DVD-RAM */
    out[6] = 0x29 | (drive->atapi->locked ? 0x02 : 0); /* tray, ejects, locks */
    put_be16(out + 8, CD_SPEED);
    put_be16(out + 12, IDE_BUFFER_SIZE / 1024);
    put_be16(out + 14, CD_SPEED);
}

void atapi_default_pages(ModePages *pages)
{
    *pages = default_pages;
}

static uint8_t *put_page(const ModePage *page, const ModePages *from, uint8_t *out)
{
    memcpy(out, (const uint8_t *)from + page->offset, page->size);
    out[0] = page->code;
    out[1] = page->size - 2;
    return out + page->size;
}

void atapi_mode_sense(IdeDrive *drive)
{
    const Atapi *atapi = drive->atapi;
    unsigned wanted = atapi->cdb[2] & 0x3f, control = atapi->cdb[2] >> 6;
    uint8_t *out = drive->buffer, *end = out + MODE_HEADER;
    const ModePages *from = control == CONTROL_CHANGEABLE ? &changeable_pages
                            : control == CONTROL_DEFAULT  ? &default_pages
                                                          : &atapi->pages;

    if (control == CONTROL_SAVED) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_SAVING_NOT_SUPPORTED);
        return;
    }
    memset(out, 0, MODE_HEADER);
    for (size_t i = 0; i < G_N_ELEMENTS(mode_pages); i++)
        if (wanted == PAGE_ALL || wanted == mode_pages[i].code)
            end = put_page(&mode_pages[i], from, end);
    if (wanted == PAGE_ALL || wanted == PAGE_CAPABILITIES) {
        put_capabilities(drive, end, control == CONTROL_CHANGEABLE);
        end += 26;
    }
    if (end == out + MODE_HEADER) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    put_be16(out, end - out - 2);
    /* Medium type (SFF-8020i table 63): 120 mm data, no disc, door open */
    out[2] = atapi->tray_open ? 0x71 : drive->image ? 0x01 : 0x70;
    atapi_reply(drive, end - out, get_be16(atapi->cdb + 7));
}

/* Takes the changeable bits of one page; false when others were to be changed. */
static bool change_page(IdeDrive *drive, const uint8_t *in, size_t length)
{
    for (size_t i = 0; i < G_N_ELEMENTS(mode_pages); i++) {
        const ModePage *page = &mode_pages[i];
        if (page->code != (in[0] & 0x3f))
            continue;
        if (length != page->size)
            return false;
        uint8_t *current = (uint8_t *)&drive->atapi->pages + page->offset;
        const uint8_t *mask = (const uint8_t *)&changeable_pages + page->offset;
        for (unsigned j = 2; j < page->size; j++)
            if ((in[j] ^ current[j]) & ~mask[j])
                return false;
        for (unsigned j = 2; j < page->size; j++)
            current[j] = (current[j] & ~mask[j]) | (in[j] & mask[j]);
        return true;
    }
    return false;
}

static void mode_select_taken(IdeDrive *drive)
{
    const uint8_t *in = drive->buffer;
    size_t length = get_be16(drive->atapi->cdb + 7);
    size_t position = MODE_HEADER + (length >= MODE_HEADER ? get_be16(in + 6) : 0);

    if (position > length) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    while (position < length) {
        size_t size = length - position >= 2 ? in[position + 1] + 2u : 0;
        if (size == 0 || size > length - position) {
            atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH_ERROR);
            return;
        }
        if (!change_page(drive, in + position, size)) {
            atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_PARAMETER_LIST);
            return;
        }
        position += size;
    }
    atapi_done(drive);
}

void atapi_mode_select(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    size_t length = get_be16(cdb + 7);

    if (!(cdb[1] & 0x10) || (cdb[1] & 0x01) || length > MAX_PARAMETER_LIST)
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    else if (length == 0)
        atapi_done(drive);
    else
        atapi_receive(drive, length, mode_select_taken);
}

/* --- Features (MMC-5 5.3 and 6.6) ------------------------------------------------------------- */

enum {
    FEATURE_CURRENT = 1,
    FEATURE_PERSISTENT = 2,
    CONFIGURATION_ALL = 0,
    CONFIGURATION_CURRENT = 1,
    CONFIGURATION_ONE = 2,
};

/* When a feature is current */
typedef enum { ALWAYS, WITH_DISC, WITH_CD, WITH_DVD } FeatureCondition;

typedef struct {
    uint16_t code;
    uint8_t version;
    FeatureCondition condition;
    uint8_t length;
    uint8_t data[12];
} Feature;

static const Feature features[] = {
    {0x0000, 0, ALWAYS, 8, {0, PROFILE_DVD_ROM, 0, 0, 0, PROFILE_CD_ROM, 0, 0}}, /* profiles */
    {0x0001, 2, ALWAYS, 8, {0, 0, 0, 2, 1}},          /* core: ATAPI, device busy event */
    {0x0002, 1, ALWAYS, 4, {2}},                      /* morphing: operational change */
    {0x0003, 0, ALWAYS, 4, {0x29}},                   /* removable medium: tray, eject, lock */
    {0x0010, 0, WITH_DISC, 8, {0, 0, 8, 0, 0, 1, 0}}, /* random readable: 2048 bytes */
    {0x001d, 0, WITH_CD, 0, {0}},                     /* multi-read */
    {0x001e, 2, WITH_CD, 4, {0}},                     /* CD read */
    {0x001f, 0, WITH_DVD, 4, {0}},                    /* DVD read */
    {0x0100, 0, ALWAYS, 0, {0}},                      /* power management */
    {0x0105, 1, ALWAYS, 4, {0}},                      /* timeout */
};

static bool feature_is_current(const Feature *feature, unsigned profile)
{
    switch (feature->condition) {
    case WITH_DISC: return profile != PROFILE_NONE;
    case WITH_CD: return profile == PROFILE_CD_ROM;
    case WITH_DVD: return profile == PROFILE_DVD_ROM;
    default: return true;
    }
}

void atapi_get_configuration(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    unsigned requested = cdb[1] & 3, first = get_be16(cdb + 2), profile = atapi_profile(drive);
    uint8_t *out = drive->buffer, *end = out + 8;

    if (requested > CONFIGURATION_ONE) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    memset(out, 0, 8);
    put_be16(out + 6, profile);
    for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
        const Feature *feature = &features[i];
        bool current = feature_is_current(feature, profile);
        if (feature->code < first || (requested == CONFIGURATION_CURRENT && !current) ||
            (requested == CONFIGURATION_ONE && feature->code != first))
            continue;
        put_be16(end, feature->code);
        end[2] = feature->version << 2 | (feature->condition == ALWAYS ? FEATURE_PERSISTENT : 0) |
                 (current ? FEATURE_CURRENT : 0);
        end[3] = feature->length;
        memcpy(end + 4, feature->data, feature->length);
        if (feature->code == 0) { /* which profile is current */
            end[6] = profile == PROFILE_DVD_ROM;
            end[10] = profile == PROFILE_CD_ROM;
        }
        end += 4 + feature->length;
    }
    put_be32(out, end - out - 4);
    atapi_reply(drive, end - out, get_be16(cdb + 7));
}

/* GET PERFORMANCE (MMC-5 6.8), type 0: one speed over the whole disc. */
void atapi_get_performance(IdeDrive *drive)
{
    const uint8_t *cdb = drive->atapi->cdb;
    uint8_t *out = drive->buffer;
    uint32_t last = drive->atapi->sectors ? drive->atapi->sectors - 1 : 0;

    if (cdb[10] != 0 || (cdb[1] & 4)) { /* nothing about writing */
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    memset(out, 0, 24);
    put_be32(out, 20);
    put_be32(out + 12, CD_SPEED);
    put_be32(out + 16, last);
    put_be32(out + 20, CD_SPEED);
    atapi_reply(drive, 24, get_be16(cdb + 8) >= 1 ? 24 : 8);
}
