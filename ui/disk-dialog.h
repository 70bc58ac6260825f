/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Asks for what a disk is to be like. Modal, but the calls return at once: the answer comes later.
 */

#include <gtk/gtk.h>
#include <stdint.h>

typedef struct {
    char *path;         /* a file that does not exist yet; NULL when resizing */
    const char *format; /* "qcow2" or "raw" */
    uint64_t size;      /* bytes; 0 when converting */
} ApiaryDiskWish;

/* WISH NULL: cancelled; otherwise only valid during the call. */
typedef void (*ApiaryDiskAnswer)(void *opaque, const ApiaryDiskWish *wish);

/* A new disk, in FOLDER unless another one is chosen. */
void apiary_disk_dialog_create(GtkWindow *parent, const char *folder, ApiaryDiskAnswer answer,
                               void *opaque);
/* A larger size for a disk of SIZE bytes. */
void apiary_disk_dialog_resize(GtkWindow *parent, uint64_t size, ApiaryDiskAnswer answer,
                               void *opaque);
/* A copy of PATH, which is FORMAT, in another format beside it. */
void apiary_disk_dialog_convert(GtkWindow *parent, const char *path, const char *format,
                                ApiaryDiskAnswer answer, void *opaque);
