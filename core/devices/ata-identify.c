/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What the hard disk tells about itself: IDENTIFY DEVICE (ATA/ATAPI-6 8.15, ACS-2 7.12) and SMART
 * (ATA/ATAPI-6 8.54). */

#include "core/devices/ide-internal.h"

#include <string.h>

enum {
    SMART_READ_DATA = 0xd0,
    SMART_READ_THRESHOLDS = 0xd1,
    SMART_ATTRIBUTE_AUTOSAVE = 0xd2,
    SMART_SAVE_ATTRIBUTES = 0xd3,
    SMART_EXECUTE_OFFLINE = 0xd4,
    SMART_READ_LOG = 0xd5,
    SMART_ENABLE = 0xd8,
    SMART_DISABLE = 0xd9,
    SMART_RETURN_STATUS = 0xda,
};

/* Words 82-84 and, with what is switched on, 85-87 */
enum {
    WORD82_NOP = 1 << 14,
    WORD82_READ_BUFFER = 1 << 13,
    WORD82_WRITE_BUFFER = 1 << 12,
    WORD82_LOOK_AHEAD = 1 << 6,
    WORD82_WRITE_CACHE = 1 << 5,
    WORD82_POWER_MANAGEMENT = 1 << 3,
    WORD82_SMART = 1 << 0,
    WORD83_VALID = 1 << 14,
    WORD83_FLUSH_CACHE_EXT = 1 << 13,
    WORD83_FLUSH_CACHE = 1 << 12,
    WORD83_LBA48 = 1 << 10,
    WORD84_VALID = 1 << 14,
    WORD84_WRITE_FUA = 1 << 6,
};

static void put_uint32(uint16_t *words, uint32_t value)
{
    words[0] = value;
    words[1] = value >> 16;
}

void ata_identify(IdeDrive *drive, uint8_t *out)
{
    const Ata *ata = &drive->ata;
    uint16_t w[256] = {0};
    uint32_t current_track = ata->current_heads * ata->current_sectors;
    uint32_t current_cylinders = MIN(ata->sectors / current_track, 65535);

    w[0] = 0x0040; /* fixed ATA device */
    w[1] = ata->cylinders;
    w[3] = ata->heads;
    w[6] = ata->sectors_per_track;
    ide_put_string(w + 10, drive->serial, 20);
    ide_put_string(w + 23, "1.0", 8);
    ide_put_string(w + 27, "APIARY HARDDISK", 40);
    w[47] = 0x8000 | 16; /* sectors a READ/WRITE MULTIPLE block */
    w[49] = 0x2f00;      /* standby timer, IORDY, LBA, DMA */
    w[50] = 0x4000;
    w[51] = 0x0200; /* PIO mode 2 timing */
    ide_identify_modes(drive, w);
    w[54] = current_cylinders;
    w[55] = ata->current_heads;
    w[56] = ata->current_sectors;
    put_uint32(w + 57, current_cylinders * current_track);
    w[59] = ata->multiple ? 0x0100 | ata->multiple : 0;
    put_uint32(w + 60, MIN(ata->sectors, 0x0fffffff));
    w[80] = 0x00f0; /* ATA/ATAPI-4 to -7 */
    w[81] = 0x001a; /* ATA/ATAPI-7 T13 1532D revision 1 */
    w[82] = WORD82_NOP | WORD82_READ_BUFFER | WORD82_WRITE_BUFFER | WORD82_LOOK_AHEAD |
            WORD82_WRITE_CACHE | WORD82_POWER_MANAGEMENT | WORD82_SMART;
    w[83] = WORD83_VALID | WORD83_FLUSH_CACHE_EXT | WORD83_FLUSH_CACHE | WORD83_LBA48;
    w[84] = WORD84_VALID | WORD84_WRITE_FUA;
    w[85] = w[82] & ~(WORD82_LOOK_AHEAD | WORD82_WRITE_CACHE | WORD82_SMART);
    w[85] |= (ata->look_ahead ? WORD82_LOOK_AHEAD : 0) |
             (ata->write_cache ? WORD82_WRITE_CACHE : 0) | (ata->smart ? WORD82_SMART : 0);
    w[86] = w[83] & ~WORD83_VALID;
    w[87] = w[84];
    for (int i = 0; i < 4; i++)
        w[100 + i] = ata->sectors >> (16 * i);
    w[105] = 8;      /* 512-byte blocks of ranges a DATA SET MANAGEMENT may have */
    w[106] = 0x4000; /* one logical sector a physical sector */
    w[119] = w[120] = 0x4000;
    w[169] = 0x0001; /* TRIM */
    w[217] = 0x0001; /* does not rotate */
    ide_identify_finish(w, out);
}

/* --- SMART ------------------------------------------------------------------------------------ */

static void put_checksum(uint8_t *sector)
{
    uint8_t sum = 0;
    for (int i = 0; i < 511; i++)
        sum += sector[i];
    sector[511] = -sum;
}

enum { ATTRIBUTE_POWER_CYCLES = 12 };

/* The one attribute a virtual disk can count: how often it was switched on. */
static void put_attributes(const IdeDrive *drive, uint8_t *sector)
{
    static const uint8_t flags = 0x32; /* event count, online, kept */
    memset(sector, 0, BLOCK_SECTOR);
    sector[0] = 0x10; /* structure revision */
    uint8_t *attribute = sector + 2;
    attribute[0] = ATTRIBUTE_POWER_CYCLES;
    attribute[1] = flags;
    attribute[3] = attribute[4] = 100; /* value, worst */
    memcpy(attribute + 5, &drive->ata.power_cycles, sizeof drive->ata.power_cycles);
    sector[368] = 0x03; /* SMART capability: saves attributes, autosave */
    put_checksum(sector);
}

static void put_thresholds(uint8_t *sector)
{
    memset(sector, 0, BLOCK_SECTOR);
    sector[0] = 0x10;
    sector[2] = ATTRIBUTE_POWER_CYCLES;
    put_checksum(sector);
}

/* Log 0 is the directory, 1 the summary error log, 6 the self-test log: all without entries. */
static bool put_log(uint8_t address, uint8_t *sector)
{
    memset(sector, 0, BLOCK_SECTOR);
    switch (address) {
    case 0x00:
        sector[0] = 1;
        sector[2 * 0x01] = 1;
        sector[2 * 0x06] = 1;
        return true;
    case 0x01:
    case 0x06:
        sector[0] = 1; /* version */
        put_checksum(sector);
        return true;
    default: return false;
    }
}

void ata_smart(IdeDrive *drive)
{
    Ata *ata = &drive->ata;
    uint8_t command = drive->task.features;

    if (drive->task.lba_mid != 0x4f || drive->task.lba_high != 0xc2 ||
        (!ata->smart && command != SMART_ENABLE)) {
        ide_command_done(drive, ERROR_ABRT);
        return;
    }
    switch (command) {
    case SMART_READ_DATA:
        put_attributes(drive, drive->buffer);
        ata_reply(drive, BLOCK_SECTOR);
        return;
    case SMART_READ_THRESHOLDS:
        put_thresholds(drive->buffer);
        ata_reply(drive, BLOCK_SECTOR);
        return;
    case SMART_READ_LOG:
        if (drive->task.count == 1 && put_log(drive->task.lba_low, drive->buffer)) {
            ata_reply(drive, BLOCK_SECTOR);
            return;
        }
        break;
    case SMART_ATTRIBUTE_AUTOSAVE:
        if (drive->task.count != 0x00 && drive->task.count != 0xf1)
            break;
        ata->smart_autosave = drive->task.count != 0;
        ide_command_done(drive, 0);
        return;
    case SMART_ENABLE:
    case SMART_DISABLE:
        ata->smart = command == SMART_ENABLE;
        ide_command_done(drive, 0);
        return;
    case SMART_SAVE_ATTRIBUTES:
    case SMART_RETURN_STATUS: /* 4Fh/C2h left in place: no threshold exceeded */
        ide_command_done(drive, 0);
        return;
    case SMART_EXECUTE_OFFLINE: break; /* no self-tests: READ DATA does not offer them */
    }
    ide_command_done(drive, ERROR_ABRT);
}
