/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The floppy controller's commands (82077AA data sheet 5). */

#include "core/devices/fdc-internal.h"

#include <glib/gi18n.h>
#include <string.h>

/* Flags of the first command byte */
enum { COMMAND_MT = 0x80, COMMAND_MFM = 0x40, COMMAND_SK = 0x20, RELATIVE_IN = 0x40 };

enum {
    LAST_UNIT = 3,
    RECALIBRATE_PULSES = 79,
    SECTOR_SIZE_CODE = 2, /* N: 128 << 2 bytes */
    VERIFY_COUNTED = 0x80,
    PERPENDICULAR_OVERWRITE = 0x80,
    PERPENDICULAR_DRIVES = 0x3c,
    LOCK_SET = 0x80,
    ST3_WRITE_PROTECT = 0x40,
    ST3_ALWAYS = 0x28, /* ready, two sides */
    ST3_TRACK_0 = 0x10,
    VERSION_82077 = 0x90,
};

static unsigned command_unit(const Fdc *fdc)
{
    return fdc->command[1] & LAST_UNIT;
}

static unsigned command_head(const Fdc *fdc)
{
    return fdc->command[1] >> 2 & 1;
}

/* --- Ending a data command -------------------------------------------------------------------- */

static void finish(Fdc *fdc, uint8_t st0, uint8_t st1, uint8_t st2)
{
    const FloppyTransfer *t = &fdc->transfer;

    fdc->result[0] = st0 | (t->side ? ST0_HEAD : 0) | t->unit;
    fdc->result[1] = st1;
    fdc->result[2] = st2;
    fdc->result[3] = t->cylinder;
    fdc->result[4] = t->head;
    fdc->result[5] = t->sector;
    fdc->result[6] = SECTOR_SIZE_CODE;
    fdc_result(fdc, 7, true);
}

static void fail(Fdc *fdc, uint8_t st1, uint8_t st2)
{
    finish(fdc, ST0_ABNORMAL, st1, st2);
}

static void succeed(Fdc *fdc)
{
    if (fdc->transfer.no_data)
        fail(fdc, ST1_NO_DATA, 0);
    else
        finish(fdc, 0, 0, fdc->transfer.deleted ? ST2_CONTROL_MARK : 0);
}

static void fail_io(Fdc *fdc, const char *what, int error)
{
    fdc_report_io_error(fdc, fdc->transfer.unit, what, error);
    if (!fdc->drives[fdc->transfer.unit].image) /* the floppy was taken out */
        fail(fdc, ST1_MISSING_ADDRESS_MARK, 0);
    else if (fdc->transfer.write)
        finish(fdc, ST0_ABNORMAL | ST0_EQUIPMENT_CHECK, 0, 0);
    else
        fail(fdc, ST1_DATA_ERROR, ST2_DATA_ERROR);
}

/* --- READ, WRITE, VERIFY, READ TRACK ---------------------------------------------------------- */

static void next_run(Fdc *fdc);

/* SECTORS sectors of the run are done: TC, EOT or the next sector (table 5-4 gives the ids of the
 * result phase). */
static void advance(Fdc *fdc, unsigned sectors, bool terminal_count)
{
    FloppyTransfer *t = &fdc->transfer;
    const FloppyGeometry *geometry = &fdc->drives[t->unit].geometry;
    unsigned last = t->sector + sectors - 1;
    bool end_of_cylinder = false;

    t->sector = last + 1;
    if (last == t->end && t->multi_track && t->side == 0 && geometry->heads == 2) {
        t->side = 1;
        t->head ^= 1;
        t->sector = 1;
    } else if (last == t->end) {
        t->cylinder++;
        t->sector = 1;
        if (t->multi_track)
            t->head ^= 1;
        end_of_cylinder = true;
    }
    if (t->counted)
        t->left -= sectors;
    if (terminal_count || t->deleted || (t->counted && t->left == 0) ||
        (end_of_cylinder && t->verify && !t->counted) || (end_of_cylinder && t->whole_track))
        succeed(fdc);
    else if (end_of_cylinder)
        fail(fdc, ST1_END_OF_CYLINDER, 0);
    else if (t->sector > geometry->sectors)
        fail(fdc, ST1_NO_DATA, 0);
    else
        next_run(fdc);
}

static void run_moved(Fdc *fdc, bool terminal_count)
{
    unsigned sectors = (fdc->data_position + FLOPPY_SECTOR - 1) / FLOPPY_SECTOR;
    advance(fdc, sectors, terminal_count);
}

static void submit_run(Fdc *fdc, FdcIoDone done)
{
    const FloppyTransfer *t = &fdc->transfer;
    const FloppyDrive *drive = &fdc->drives[t->unit];
    fdc_submit(fdc, t->unit, t->write, fdc_offset(drive, fdc_track(drive), t->side, t->sector),
               (size_t)t->run * FLOPPY_SECTOR, done);
}

static void run_read(Fdc *fdc, int error)
{
    FloppyTransfer *t = &fdc->transfer;

    if (error && t->run > 1 && fdc->drives[t->unit].image) { /* find the bad sector */
        t->run = 1;
        submit_run(fdc, run_read);
    } else if (error) {
        fail_io(fdc, N_("Reading"), error);
    } else if (t->verify) {
        advance(fdc, t->run, false);
    } else {
        fdc_move_data(fdc, true, (size_t)t->run * FLOPPY_SECTOR, run_moved);
    }
}

static void run_written(Fdc *fdc, int error)
{
    if (error)
        fail_io(fdc, N_("Writing"), error);
    else
        advance(fdc, fdc->transfer.run, fdc->transfer.terminal_count);
}

/* TC within a sector: the rest of it is filled with zeroes. */
static void run_gathered(Fdc *fdc, bool terminal_count)
{
    FloppyTransfer *t = &fdc->transfer;

    if (!fdc->drives[t->unit].image) { /* taken out while the host was sending */
        fail(fdc, ST1_MISSING_ADDRESS_MARK, 0);
        return;
    }
    t->run = (fdc->data_position + FLOPPY_SECTOR - 1) / FLOPPY_SECTOR;
    t->terminal_count = terminal_count;
    memset(fdc->buffer + fdc->data_position, 0,
           (size_t)t->run * FLOPPY_SECTOR - fdc->data_position);
    submit_run(fdc, run_written);
}

/* Takes on the sectors up to the end of this side, in one piece. */
static void next_run(Fdc *fdc)
{
    FloppyTransfer *t = &fdc->transfer;
    const FloppyDrive *drive = &fdc->drives[t->unit];
    unsigned last = drive->geometry.sectors;

    if (!drive->image) {
        fail(fdc, ST1_MISSING_ADDRESS_MARK, 0);
        return;
    }
    if (t->end >= t->sector)
        last = MIN(last, t->end);
    t->run = last - t->sector + 1;
    if (t->counted)
        t->run = MIN(t->run, t->left);
    if (t->deleted)
        t->run = 1;
    if (t->write)
        fdc_move_data(fdc, false, (size_t)t->run * FLOPPY_SECTOR, run_gathered);
    else
        submit_run(fdc, run_read);
}

static void implied_seek(Fdc *fdc, unsigned unit, uint8_t cylinder)
{
    if (!(fdc->config & CONFIG_IMPLIED_SEEK))
        return;
    fdc_move_head(fdc, unit, cylinder - fdc->cylinder[unit]);
    fdc->cylinder[unit] = cylinder;
}

/* What the heads find: fails the command and returns false when the sector cannot be had. */
static bool find_sector(Fdc *fdc)
{
    const FloppyTransfer *t = &fdc->transfer;
    const FloppyDrive *drive = fdc_drive(fdc, t->unit);

    if (!fdc_readable(fdc, t->unit) || !(fdc->command[0] & COMMAND_MFM) ||
        t->side >= drive->geometry.heads) {
        fail(fdc, ST1_MISSING_ADDRESS_MARK, 0);
        return false;
    }
    if (t->write && block_image_read_only(drive->image)) {
        fail(fdc, ST1_NOT_WRITABLE, 0);
        return false;
    }
    if (t->cylinder != fdc_track(drive)) {
        fail(fdc, ST1_NO_DATA, ST2_WRONG_CYLINDER);
        return false;
    }
    if (t->head != t->side || fdc->command[5] != SECTOR_SIZE_CODE || t->sector == 0 ||
        t->sector > drive->geometry.sectors) {
        fail(fdc, ST1_NO_DATA, 0);
        return false;
    }
    return true;
}

static void prepare_transfer(Fdc *fdc)
{
    const uint8_t *command = fdc->command;

    fdc->transfer = (FloppyTransfer){
        .unit = command_unit(fdc),
        .side = command_head(fdc),
        .cylinder = command[2],
        .head = command[3],
        .sector = command[4],
        .end = command[6],
        .multi_track = command[0] & COMMAND_MT,
    };
    implied_seek(fdc, fdc->transfer.unit, fdc->transfer.cylinder);
}

static void read_data(Fdc *fdc)
{
    prepare_transfer(fdc);
    if (find_sector(fdc))
        next_run(fdc);
}

/* Images keep no deleted marks: the first sector found is a normal one, which ends the command, or
 * is skipped like all others with SK. */
static void read_deleted_data(Fdc *fdc)
{
    prepare_transfer(fdc);
    if (!find_sector(fdc))
        return;
    if (fdc->command[0] & COMMAND_SK) {
        fail(fdc, ST1_NO_DATA, ST2_CONTROL_MARK);
        return;
    }
    fdc->transfer.deleted = true;
    next_run(fdc);
}

static void write_data(Fdc *fdc)
{
    prepare_transfer(fdc);
    fdc->transfer.write = true;
    if (find_sector(fdc))
        next_run(fdc);
}

static void verify(Fdc *fdc)
{
    prepare_transfer(fdc);
    fdc->transfer.verify = true;
    fdc->transfer.counted = fdc->command[1] & VERIFY_COUNTED;
    fdc->transfer.left = fdc->command[8] ? fdc->command[8] : 256;
    if (find_sector(fdc))
        next_run(fdc);
}

/* EOT sectors from the index on, whatever their ids. */
static void read_track(Fdc *fdc)
{
    FloppyTransfer *t = &fdc->transfer;

    prepare_transfer(fdc);
    t->no_data = t->sector != 1;
    t->sector = 1;
    t->multi_track = false;
    t->whole_track = t->counted = true;
    t->left = t->end;
    if (t->left == 0)
        fail(fdc, ST1_MISSING_ADDRESS_MARK, 0);
    else if (find_sector(fdc))
        next_run(fdc);
}

/* --- READ ID, FORMAT TRACK -------------------------------------------------------------------- */

/* The next id that passes under the head. */
static void read_id(Fdc *fdc)
{
    FloppyTransfer *t = &fdc->transfer;
    FloppyDrive *drive = fdc_drive(fdc, command_unit(fdc));

    *t = (FloppyTransfer){.unit = command_unit(fdc), .side = command_head(fdc)};
    if (!fdc_readable(fdc, t->unit) || !(fdc->command[0] & COMMAND_MFM) ||
        t->side >= drive->geometry.heads) {
        fail(fdc, ST1_MISSING_ADDRESS_MARK, 0);
        return;
    }
    drive->passing = drive->passing % drive->geometry.sectors + 1;
    t->cylinder = fdc_track(drive);
    t->head = t->side;
    t->sector = drive->passing;
    succeed(fdc);
}

static void track_formatted(Fdc *fdc, int error)
{
    if (error)
        fail_io(fdc, N_("Formatting"), error);
    else
        succeed(fdc);
}

/* An image has one geometry: ids other than those it already has cannot be written. */
static bool ids_fit(Fdc *fdc, const FloppyDrive *drive)
{
    unsigned sectors = fdc->command[3];
    uint64_t seen = 0;

    if (sectors != drive->geometry.sectors || fdc->command[2] != SECTOR_SIZE_CODE)
        return false;
    for (unsigned i = 0; i < sectors; i++) {
        const uint8_t *id = fdc->buffer + 4 * i;
        if (id[0] != fdc_track(drive) || id[1] != fdc->transfer.side || id[2] == 0 ||
            id[2] > sectors || id[3] != SECTOR_SIZE_CODE || seen >> id[2] & 1)
            return false;
        seen |= 1ull << id[2];
    }
    return true;
}

static void format_ids_taken(Fdc *fdc, bool terminal_count)
{
    const FloppyDrive *drive = &fdc->drives[fdc->transfer.unit];
    size_t track = (size_t)drive->geometry.sectors * FLOPPY_SECTOR;

    if (!drive->image || fdc->data_position < fdc->data_end || !ids_fit(fdc, drive)) {
        finish(fdc, ST0_ABNORMAL | ST0_EQUIPMENT_CHECK, 0, 0);
        return;
    }
    memset(fdc->buffer, fdc->command[5], track);
    fdc_submit(fdc, fdc->transfer.unit, true,
               fdc_offset(drive, fdc_track(drive), fdc->transfer.side, 1), track, track_formatted);
}

static void format_track(Fdc *fdc)
{
    FloppyTransfer *t = &fdc->transfer;
    unsigned sectors = fdc->command[3];

    *t = (FloppyTransfer){.unit = command_unit(fdc), .side = command_head(fdc), .write = true};
    const FloppyDrive *drive = fdc_drive(fdc, t->unit);
    if (!fdc_readable(fdc, t->unit) || !(fdc->command[0] & COMMAND_MFM) ||
        t->side >= drive->geometry.heads)
        fail(fdc, ST1_MISSING_ADDRESS_MARK, 0);
    else if (block_image_read_only(drive->image))
        fail(fdc, ST1_NOT_WRITABLE, 0);
    else if (sectors == 0)
        finish(fdc, ST0_ABNORMAL | ST0_EQUIPMENT_CHECK, 0, 0);
    else
        fdc_move_data(fdc, false, (size_t)sectors * 4, format_ids_taken);
}

/* --- Seeks ------------------------------------------------------------------------------------ */

static void seek_finished(Fdc *fdc, uint8_t st0)
{
    unsigned unit = command_unit(fdc);

    fdc->sense_pending[unit] = true;
    fdc->sense_status[unit] = st0 | unit;
    fdc_result(fdc, 0, true);
}

static void seek_to(Fdc *fdc, uint8_t cylinder)
{
    unsigned unit = command_unit(fdc);

    fdc_move_head(fdc, unit, cylinder - fdc->cylinder[unit]);
    fdc->cylinder[unit] = cylinder;
    seek_finished(fdc, ST0_SEEK_END | (command_head(fdc) ? ST0_HEAD : 0));
}

static void seek(Fdc *fdc)
{
    seek_to(fdc, fdc->command[2]);
}

static void relative_seek(Fdc *fdc)
{
    int steps = fdc->command[0] & RELATIVE_IN ? fdc->command[2] : -fdc->command[2];
    seek_to(fdc, fdc->cylinder[command_unit(fdc)] + steps);
}

/* Steps outwards until the drive signals track 0, which a drive that is not there never does. */
static void recalibrate(Fdc *fdc)
{
    unsigned unit = command_unit(fdc);
    const FloppyDrive *drive = fdc_drive(fdc, unit);
    bool found = false;

    if (drive) {
        fdc_move_head(fdc, unit, -MIN(drive->track, RECALIBRATE_PULSES));
        found = drive->track == 0;
    }
    fdc->cylinder[unit] = 0;
    seek_finished(fdc, found ? ST0_SEEK_END : ST0_SEEK_END | ST0_ABNORMAL | ST0_EQUIPMENT_CHECK);
}

/* --- Status and settings ---------------------------------------------------------------------- */

static void invalid(Fdc *fdc)
{
    fdc->result[0] = ST0_INVALID;
    fdc_result(fdc, 1, false);
}

static void sense_interrupt_status(Fdc *fdc)
{
    for (unsigned unit = 0; unit <= LAST_UNIT; unit++) {
        if (!fdc->sense_pending[unit])
            continue;
        fdc->sense_pending[unit] = false;
        fdc->result[0] = fdc->sense_status[unit];
        fdc->result[1] = fdc->cylinder[unit];
        fdc_clear_interrupt(fdc);
        fdc_result(fdc, 2, false);
        return;
    }
    invalid(fdc);
}

static void sense_drive_status(Fdc *fdc)
{
    const FloppyDrive *drive = fdc_drive(fdc, command_unit(fdc));
    uint8_t st3 = ST3_ALWAYS | (fdc->command[1] & (ST0_HEAD | LAST_UNIT));

    if (drive && drive->image && block_image_read_only(drive->image))
        st3 |= ST3_WRITE_PROTECT;
    if (drive && drive->track == 0)
        st3 |= ST3_TRACK_0;
    fdc->result[0] = st3;
    fdc_result(fdc, 1, false);
}

static void specify(Fdc *fdc)
{
    memcpy(fdc->specify, fdc->command + 1, 2);
    fdc_result(fdc, 0, false);
}

static void configure(Fdc *fdc)
{
    fdc->config = fdc->command[2] & 0x7f;
    fdc->precompensation_start = fdc->command[3];
    fdc_result(fdc, 0, false);
}

static void perpendicular_mode(Fdc *fdc)
{
    uint8_t value = fdc->command[1], keep = PERPENDICULAR_DRIVES;

    if (value & PERPENDICULAR_OVERWRITE)
        keep = 0;
    fdc->perpendicular = (fdc->perpendicular & keep) | (value & 0x3f & ~keep);
    fdc_result(fdc, 0, false);
}

static void lock(Fdc *fdc)
{
    fdc->lock = fdc->command[0] & LOCK_SET;
    fdc->result[0] = fdc->lock ? 0x10 : 0;
    fdc_result(fdc, 1, false);
}

static void dump_registers(Fdc *fdc)
{
    memcpy(fdc->result, fdc->cylinder, 4);
    memcpy(fdc->result + 4, fdc->specify, 2);
    fdc->result[6] = fdc->transfer.end;
    fdc->result[7] = (fdc->lock ? 0x80 : 0) | fdc->perpendicular;
    fdc->result[8] = fdc->config;
    fdc->result[9] = fdc->precompensation_start;
    fdc_result(fdc, 10, false);
}

static void version(Fdc *fdc)
{
    fdc->result[0] = VERSION_82077;
    fdc_result(fdc, 1, false);
}

/* Table 5-2's defaults. LOCK saves some of them from a software reset. */
void fdc_default_settings(Fdc *fdc, bool hard)
{
    const uint8_t kept = CONFIG_FIFO_DISABLE | CONFIG_THRESHOLD;

    if (hard) {
        fdc->lock = false;
        fdc->perpendicular = 0;
        memset(fdc->specify, 0, sizeof fdc->specify);
    }
    fdc->perpendicular &= PERPENDICULAR_DRIVES;
    if (fdc->lock) {
        fdc->config &= kept;
    } else {
        fdc->config = CONFIG_FIFO_DISABLE;
        fdc->precompensation_start = 0;
    }
}

/* --- Dispatch --------------------------------------------------------------------------------- */

typedef struct {
    uint8_t mask, code; /* the command is CODE when the bits of MASK match */
    uint8_t length;
    void (*run)(Fdc *fdc);
} FdcCommand;

static const FdcCommand commands[] = {
    {0x1f, 0x06, 9, read_data},
    {0x1f, 0x0c, 9, read_deleted_data},
    {0x3f, 0x05, 9, write_data},
    {0x3f, 0x09, 9, write_data}, /* deleted: the mark is lost */
    {0x9f, 0x02, 9, read_track},
    {0x1f, 0x16, 9, verify},
    {0xbf, 0x0d, 6, format_track},
    {0xbf, 0x0a, 2, read_id},
    {0xff, 0x07, 2, recalibrate},
    {0xff, 0x0f, 3, seek},
    {0xbf, 0x8f, 3, relative_seek},
    {0xff, 0x08, 1, sense_interrupt_status},
    {0xff, 0x04, 2, sense_drive_status},
    {0xff, 0x03, 3, specify},
    {0xff, 0x13, 4, configure},
    {0xff, 0x12, 2, perpendicular_mode},
    {0x7f, 0x14, 1, lock},
    {0xff, 0x0e, 1, dump_registers},
    {0xff, 0x10, 1, version},
};

static const FdcCommand *find_command(uint8_t code)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        if ((code & commands[i].mask) == commands[i].code)
            return &commands[i];
    return NULL;
}

unsigned fdc_command_length(uint8_t code)
{
    const FdcCommand *command = find_command(code);
    return command ? command->length : 1;
}

void fdc_execute(Fdc *fdc)
{
    const FdcCommand *command = find_command(fdc->command[0]);

    if (command)
        command->run(fdc);
    else
        invalid(fdc);
}
