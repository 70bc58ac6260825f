/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Floppy drives and what is in them. */

#include "core/devices/fdc-internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

/* Data rate codes: 500, 300, 250 kb/s, 1 Mb/s */
enum { RATE_500 = 1 << 0, RATE_300 = 1 << 1, RATE_250 = 1 << 2, RATE_1000 = 1 << 3 };

/* Ordered by size. 5.25" double density turns faster in a 1.2M drive: 300 instead of 250 kb/s. */
static const FloppyGeometry geometries[] = {
    {160, 40, 1, 8, RATE_250 | RATE_300},
    {180, 40, 1, 9, RATE_250 | RATE_300},
    {320, 40, 2, 8, RATE_250 | RATE_300},
    {360, 40, 2, 9, RATE_250 | RATE_300},
    {720, 80, 2, 9, RATE_250},
    {1200, 80, 2, 15, RATE_500},
    {1440, 80, 2, 18, RATE_500},
    {1600, 80, 2, 20, RATE_500},
    {1680, 80, 2, 21, RATE_500},
    {1722, 82, 2, 21, RATE_500},
    {2880, 80, 2, 36, RATE_1000},
};

/* The standard format of exactly that size. Odd sizes (a boot sector alone, say) are taken for the
 * start of a 1.44M or else a 2.88M floppy. */
static const FloppyGeometry *find_geometry(uint64_t size)
{
    const FloppyGeometry *larger = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(geometries); i++) {
        const FloppyGeometry *geometry = &geometries[i];
        uint64_t bytes = (uint64_t)geometry->kilobytes * 1024;
        if (size == bytes)
            return geometry;
        if (size < bytes && !larger && (geometry->kilobytes == 1440 || geometry->kilobytes == 2880))
            larger = geometry;
    }
    return larger;
}

static FloppyDriveType type_for(const FloppyGeometry *geometry)
{
    if (geometry->kilobytes > 1722)
        return FLOPPY_2880K;
    if (geometry->kilobytes <= 360)
        return FLOPPY_360K;
    return geometry->kilobytes == 1200 ? FLOPPY_1200K : FLOPPY_1440K;
}

FloppyDrive *fdc_drive(Fdc *fdc, unsigned unit)
{
    return unit < 2 && fdc->drives[unit].present ? &fdc->drives[unit] : NULL;
}

bool fdc_motor_on(const Fdc *fdc, unsigned unit)
{
    return fdc->dor & DOR_MOTOR_0 << unit;
}

/* A 1.2M drive steps half the width of the tracks of a 40-track floppy. */
unsigned fdc_track(const FloppyDrive *drive)
{
    bool double_step = drive->type == FLOPPY_1200K && drive->geometry.tracks == 40;
    return double_step ? drive->track / 2 : drive->track;
}

bool fdc_readable(Fdc *fdc, unsigned unit)
{
    const FloppyDrive *drive = fdc_drive(fdc, unit);
    return drive && drive->image && fdc_motor_on(fdc, unit) &&
           (drive->geometry.rates >> fdc->rate & 1) && fdc_track(drive) < drive->geometry.tracks;
}

/* A step pulse with a disk in the drive clears the change latch; without steps it stays. */
void fdc_move_head(Fdc *fdc, unsigned unit, int steps)
{
    FloppyDrive *drive = fdc_drive(fdc, unit);

    if (!drive || steps == 0)
        return;
    drive->track = CLAMP(drive->track + steps, 0, FLOPPY_LAST_TRACK);
    if (drive->image)
        drive->changed = false;
}

uint64_t fdc_offset(const FloppyDrive *drive, unsigned track, unsigned head, unsigned sector)
{
    const FloppyGeometry *geometry = &drive->geometry;
    return (uint64_t)FLOPPY_SECTOR *
           ((track * geometry->heads + head) * geometry->sectors + sector - 1);
}

/* --- Host I/O --------------------------------------------------------------------------------- */

void fdc_submit(Fdc *fdc, unsigned unit, bool write, uint64_t offset, size_t length, FdcIoDone done)
{
    BlockImage *image = fdc->drives[unit].image;
    uint64_t size = block_image_size(image);
    size_t there = offset >= size ? 0 : MIN(length, size - offset);

    g_assert(!fdc->running);
    if (!write) {
        memset(fdc->buffer + there, 0, length - there);
        length = there;
    }
    fdc->running = true;
    fdc->io_done = done;
    fdc->io_unit = unit;
    fdc->iov = (struct iovec){fdc->buffer, length};
    if (fdc->events && fdc->events->activity)
        fdc->events->activity(fdc->events_opaque, unit, write);
    /* a write past a short image's end is the image's to refuse */
    block_image_submit(image, write ? BLOCK_WRITE : BLOCK_READ, length ? offset : 0, &fdc->iov, 1,
                       length, fdc_io_finished, fdc);
}

void fdc_report_io_error(Fdc *fdc, unsigned unit, const char *what, int error)
{
    FloppyDrive *drive = &fdc->drives[unit];

    if (drive->error_reported || error == ENOMEDIUM || !fdc->board->report_error || !drive->image)
        return;
    drive->error_reported = true;
    const char *path = block_image_path(drive->image);
    g_autofree char *source = g_strdup_printf("floppy%u", unit);
    const char *cause = error == ENOSPC
                            ? _("the image is shorter than a floppy and cannot grow, or "
                                "the host's disk is full")
                            : g_strerror(error);
    g_autofree char *message = g_strdup_printf(_("%s of %s failed: %s. The guest has been told."),
                                               _(what), path ? path : _("the floppy image"), cause);
    fdc->board->report_error(fdc->board, source, message);
}

/* --- Media ------------------------------------------------------------------------------------ */

void fdc_set_image(Fdc *fdc, unsigned unit, BlockImage *image)
{
    FloppyDrive *drive = &fdc->drives[unit];
    BlockImage *old = drive->image;

    /* Closing ends a running request, whose completion must not find its image any more. */
    drive->image = NULL;
    block_image_close(old);
    drive->changed = true;
    drive->error_reported = false;
    drive->passing = 0;
    if (!image)
        return;
    block_image_set_completion(image, fdc->board->context, &fdc->board->lock);
    drive->geometry = *find_geometry(block_image_size(image));
    drive->image = image;
}

static bool check_image(BlockImage *image, GError **error)
{
    if (!image || find_geometry(block_image_size(image)))
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                _("%s is larger than a 2.88M floppy; attach it as a hard disk or CD instead."),
                block_image_path(image) ? block_image_path(image) : _("The image"));
    return false;
}

static bool check_drive(Fdc *fdc, int unit, GError **error)
{
    if (unit >= 0 && fdc_drive(fdc, unit))
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("The machine has no floppy drive %c:."),
                'A' + (unit & 15));
    return false;
}

static void announce(Fdc *fdc, int unit)
{
    if (fdc->events && fdc->events->medium_changed)
        fdc->events->medium_changed(fdc->events_opaque, unit);
}

bool fdc_attach_drive(Fdc *fdc, int unit, BlockImage *image, GError **error)
{
    if (unit < 0 || unit > 1 || fdc->drives[unit].present) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                    _("A machine has two floppy drives, A: and B:; %c: is taken."),
                    'A' + (unit & 15));
        return false;
    }
    if (!check_image(image, error))
        return false;
    FloppyDrive *drive = &fdc->drives[unit];
    drive->present = true;
    fdc_set_image(fdc, unit, image);
    drive->type = image ? type_for(&drive->geometry) : FLOPPY_1440K;
    return true;
}

bool fdc_insert(Fdc *fdc, int unit, BlockImage *image, GError **error)
{
    if (!check_drive(fdc, unit, error) || !check_image(image, error))
        return false;
    fdc_set_image(fdc, unit, image);
    announce(fdc, unit);
    return true;
}

bool fdc_eject(Fdc *fdc, int unit, GError **error)
{
    if (!check_drive(fdc, unit, error))
        return false;
    fdc_set_image(fdc, unit, NULL);
    announce(fdc, unit);
    return true;
}

FloppyDriveType fdc_drive_type(const Fdc *fdc, int unit)
{
    return unit >= 0 && unit < 2 && fdc->drives[unit].present ? fdc->drives[unit].type
                                                              : FLOPPY_NONE;
}

BlockImage *fdc_image(const Fdc *fdc, int unit)
{
    return unit >= 0 && unit < 2 ? fdc->drives[unit].image : NULL;
}
