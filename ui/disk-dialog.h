/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Asks for what a disk is to be like. Modal; they return when they are answered. */

#include <gtk/gtk.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    char *path;         /* a file that does not exist yet */
    const char *format; /* "qcow2" or "raw" */
    uint64_t size;      /* bytes */
} ApiaryDiskWish;

/* A new disk, in FOLDER unless another one is chosen. False: cancelled. The caller frees path. */
bool apiary_disk_dialog_create(GtkWindow *parent, const char *folder, ApiaryDiskWish *wish);
/* Another size for a disk of SIZE bytes; 0: cancelled. Only growing loses nothing. */
uint64_t apiary_disk_dialog_resize(GtkWindow *parent, uint64_t size);
/* A copy of PATH, which is FORMAT, in another format beside it. False: cancelled. */
bool apiary_disk_dialog_convert(GtkWindow *parent, const char *path, const char *format,
                                ApiaryDiskWish *wish);
