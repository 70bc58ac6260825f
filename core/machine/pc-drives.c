/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/pc-drives.h"

#include <glib/gi18n.h>

static const DriveConfig *drive_at(const Pc *pc, int channel, int unit)
{
    for (guint i = 0; i < pc->config->drives->len; i++) {
        const DriveConfig *drive = pc->config->drives->pdata[i];
        if (drive->kind != DRIVE_FLOPPY && drive->bus == channel && drive->unit == unit)
            return drive;
    }
    return NULL;
}

static void ide_tray_moved(void *opaque, int channel, int unit, bool open)
{
    Pc *pc = opaque;
    const DriveConfig *drive = drive_at(pc, channel, unit);

    if (drive)
        pc->ops->tray_moved(pc->opaque, drive->id, open);
}

static void ide_medium_changed(void *opaque, int channel, int unit)
{
    Pc *pc = opaque;
    const DriveConfig *drive = drive_at(pc, channel, unit);
    BlockImage *image = ide_drive_info(pc->ide, channel, unit).image;

    if (drive)
        pc->ops->medium_changed(pc->opaque, drive->id, image ? block_image_path(image) : NULL);
}

static void fdc_medium_changed(void *opaque, int unit)
{
    Pc *pc = opaque;
    BlockImage *image = fdc_image(pc->fdc, unit);
    g_autofree char *id = g_strdup_printf("floppy%d", unit);

    pc->ops->medium_changed(pc->opaque, id, image ? block_image_path(image) : NULL);
}

const FdcEvents pc_fdc_events = {.medium_changed = fdc_medium_changed};
const IdeEvents pc_ide_events = {
    .tray_moved = ide_tray_moved,
    .medium_changed = ide_medium_changed,
};

static BlockImage *open_drive(const DriveConfig *drive, GError **error)
{
    BlockOpenOptions options = {
        .format = drive->format,
        .read_only = drive->read_only,
        .snapshot = drive->snapshot,
        .cache = drive->cache,
        .discard = drive->discard,
    };

    return block_image_open(drive->file, &options, error);
}

static bool attach_drive(Pc *pc, const DriveConfig *drive, GError **error)
{
    BlockImage *image = NULL;
    bool done = false;

    if (drive->file && !(image = open_drive(drive, error)))
        return false;
    switch (drive->kind) {
    case DRIVE_IDE_DISK:
        done = ide_attach_disk(pc->ide, drive->bus, drive->unit, image, drive->serial, error);
        break;
    case DRIVE_IDE_CD:
        done = ide_attach_cd(pc->ide, drive->bus, drive->unit, image, drive->serial, error);
        break;
    case DRIVE_FLOPPY: done = fdc_attach_drive(pc->fdc, drive->unit, image, error); break;
    }
    if (!done)
        block_image_close(image);
    return done;
}

bool pc_attach_drives(Pc *pc, GError **error)
{
    for (guint i = 0; i < pc->config->drives->len; i++)
        if (!attach_drive(pc, pc->config->drives->pdata[i], error))
            return false;
    return true;
}

bool pc_drive(Pc *pc, unsigned index, PcDrive *drive)
{
    if (index >= pc->config->drives->len)
        return false;
    const DriveConfig *config = pc->config->drives->pdata[index];
    *drive = (PcDrive){
        .id = config->id,
        .kind = config->kind,
        .cache = config->cache,
        .removable = config->kind != DRIVE_IDE_DISK,
    };
    if (config->kind == DRIVE_FLOPPY) {
        drive->image = fdc_image(pc->fdc, config->unit);
    } else {
        IdeDriveInfo info = ide_drive_info(pc->ide, config->bus, config->unit);
        drive->image = info.image;
        drive->locked = info.locked;
        drive->tray_open = info.tray_open;
    }
    return true;
}

static const DriveConfig *removable_drive(Pc *pc, const char *id, GError **error)
{
    const DriveConfig *drive = config_find_drive(pc->config, id);

    if (!drive)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("There is no drive \"%s\"."), id);
    else if (drive->kind == DRIVE_IDE_DISK)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    _("Drive \"%s\" is a hard disk; its medium cannot be changed."), id);
    else
        return drive;
    return NULL;
}

bool pc_change_medium(Pc *pc, const char *id, const char *path, bool force, GError **error)
{
    const DriveConfig *drive = removable_drive(pc, id, error);

    if (!drive)
        return false;
    BlockOpenOptions options = {.read_only = drive->kind == DRIVE_IDE_CD || drive->read_only};
    BlockImage *image = block_image_open(path, &options, error);
    if (!image)
        return false;
    board_lock(&pc->board);
    bool done = drive->kind == DRIVE_IDE_CD
                    ? ide_insert_medium(pc->ide, drive->bus, drive->unit, image, force, error)
                    : fdc_insert(pc->fdc, drive->unit, image, error);
    if (!done)
        block_image_close(image);
    board_unlock(&pc->board);
    return done;
}

bool pc_eject_medium(Pc *pc, const char *id, bool force, GError **error)
{
    const DriveConfig *drive = removable_drive(pc, id, error);

    if (!drive)
        return false;
    if (drive->kind == DRIVE_IDE_CD)
        return ide_eject_medium(pc->ide, drive->bus, drive->unit, force, error);
    return fdc_eject(pc->fdc, drive->unit, error);
}
