/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * What is on an image that a person chose: a CD/DVD image and the system it installs, or a disk.
 * Judged by the image itself (ISO 9660 volume descriptors, El Torito, a few well-known files), not
 * by its file name.
 */

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    MEDIUM_UNKNOWN, /* no file system of a CD and no disk format: perhaps a raw disk */
    MEDIUM_CD,
    MEDIUM_DISK,
} MediumKind;

typedef struct {
    MediumKind kind;
    bool bootable;       /* CD: has an El Torito boot catalogue; disk: has a boot signature */
    char *label;         /* volume identifier, or NULL */
    char *system;        /* "Debian GNU/Linux 12.5.0", or NULL when not recognised */
    char *format;        /* disk: "raw" or "qcow2" */
    uint64_t size;       /* bytes of the file */
    uint64_t ram_bytes;  /* what suits the system; never 0 */
    uint64_t disk_bytes; /* likewise; 0: it needs no disk */
} MediumInfo;

/* Blocking, but reads only a few sectors. Errors name the file. */
MediumInfo *medium_identify(const char *path, GError **error);
void medium_info_free(MediumInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MediumInfo, medium_info_free)
