/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The PIIX3's IDE function (Intel 82371SB, function 1) with its two channels of two drives: hard
 * disks and CD/DVD drives. Everything here is called with the board lock held.
 */

#include "core/block/block.h"
#include "core/machine/board.h"

typedef struct PiixIde PiixIde;

/* What the owner may want to know. Each may be NULL; the board lock is held. */
typedef struct {
    void (*tray_moved)(void *opaque, int channel, int unit, bool open);
    /* A medium came or went: see ide_drive_info(). */
    void (*medium_changed)(void *opaque, int channel, int unit);
    /* The disk lamp: host I/O of one drive started. */
    void (*activity)(void *opaque, int channel, int unit, bool write);
} IdeEvents;

typedef struct {
    bool attached; /* a drive is plugged in here */
    bool is_cd;
    bool tray_open;    /* CD only */
    bool locked;       /* CD only: the guest forbids removal */
    BlockImage *image; /* the disk or medium, borrowed; NULL: no medium */
} IdeDriveInfo;

/* Plugs the function into DEVFN (0:1.1 is 9) of BOARD's PCI bus. NULL and ERROR when the slot is
 * taken. The legacy ports answer once firmware enables them (COMMAND bit 0 and IDETIM bit 15). */
PiixIde *piix_ide_new(Board *board, int devfn, GError **error);
/* The RESET# line. Host I/O already running ends before the drive concerned leaves BSY. */
void piix_ide_reset(PiixIde *ide);
/* Waits for running host I/O and closes all images. NULL allowed. */
void piix_ide_free(PiixIde *ide);
/* EVENTS must outlive IDE. */
void ide_set_events(PiixIde *ide, const IdeEvents *events, void *opaque);

/* Attach a drive before the machine runs. CHANNEL and UNIT are 0 or 1. SERIAL is at most 20
 * printable characters; NULL makes one up from the position. On success the drive owns IMAGE and
 * closes it; on failure (place taken, image too small) IMAGE stays the caller's. */
bool ide_attach_disk(PiixIde *ide, int channel, int unit, BlockImage *image, const char *serial,
                     GError **error);
/* IMAGE may be NULL: an empty drive. */
bool ide_attach_cd(PiixIde *ide, int channel, int unit, BlockImage *image, const char *serial,
                   GError **error);

IdeDriveInfo ide_drive_info(PiixIde *ide, int channel, int unit);

/* The user puts a disc in: what was in the drive is taken out and closed, the tray closes, and the
 * guest is told by a unit attention. A locked drive that holds a disc refuses unless FORCE; then
 * the guest receives an eject request as when the drive's button is pressed. On success the drive
 * owns IMAGE. */
bool ide_insert_medium(PiixIde *ide, int channel, int unit, BlockImage *image, bool force,
                       GError **error);
/* The user presses the button and takes the disc out; it is closed and the tray stays open. When
 * the guest locked the tray and FORCE is not set, fails with G_IO_ERROR_BUSY and passes the wish on
 * to the guest; once the guest opens the tray the disc is taken out. */
bool ide_eject_medium(PiixIde *ide, int channel, int unit, bool force, GError **error);
