/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The floppy controller (Intel 82077AA data sheet 290166) of an AT: ports 3F2-3F5 and 3F7, IRQ 6,
 * DMA channel 2, up to two drives. Everything here is called with the board lock held.
 */

#include "core/block/block.h"
#include "core/machine/board.h"

typedef struct Fdc Fdc;

/* What the owner may want to know. Each may be NULL; the board lock is held. */
typedef struct {
    void (*medium_changed)(void *opaque, int unit);
    void (*activity)(void *opaque, int unit, bool write); /* the lamp: host I/O started */
} FdcEvents;

/* CMOS and BIOS codes of drive types */
typedef enum {
    FLOPPY_NONE = 0,
    FLOPPY_360K = 1,
    FLOPPY_1200K = 2,
    FLOPPY_1440K = 4,
    FLOPPY_2880K = 5,
} FloppyDriveType;

/* Needs board->memory and board->dma. */
Fdc *fdc_new(Board *board);
void fdc_reset(Fdc *fdc);
/* Waits for running host I/O and closes the images. NULL allowed. */
void fdc_free(Fdc *fdc);
/* EVENTS must outlive FDC. */
void fdc_set_events(Fdc *fdc, const FdcEvents *events, void *opaque);

/* Plugs in drive UNIT (0 is A:, 1 is B:), before the machine runs. Its type follows IMAGE, which
 * may be NULL: then it is a 1.44M drive. On success the drive owns IMAGE and closes it. */
bool fdc_attach_drive(Fdc *fdc, int unit, BlockImage *image, GError **error);
/* Puts a floppy in, closing what was there; the change line tells the guest. Images of 160K to
 * 2.88M have the standard geometry of their size; others that of the next larger one. On success
 * the drive owns IMAGE. */
bool fdc_insert(Fdc *fdc, int unit, BlockImage *image, GError **error);
/* Takes the floppy out and closes it. Nothing keeps a floppy in its drive. */
bool fdc_eject(Fdc *fdc, int unit, GError **error);
FloppyDriveType fdc_drive_type(const Fdc *fdc, int unit);
BlockImage *fdc_image(const Fdc *fdc, int unit); /* borrowed; NULL: empty */
