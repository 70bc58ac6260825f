/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The user's machines on disk: one folder a machine, holding its file and the disks made for it.
 *
 *   ROOT/<name>/machine.conf    written by config_save
 *   ROOT/<name>/disk.qcow2      named in the machine file relative to the folder, so that a folder
 *                               can be renamed, moved and copied by hand
 *   ROOT/recent-media           images that were inserted lately, the newest first
 *
 * All calls block on the disk. A Library may be used on several threads: it keeps nothing but its
 * root.
 */

#include "core/config/config.h"

#include <gio/gio.h>

#define LIBRARY_MACHINE_FILE "machine.conf"

typedef struct Library Library;

/* ROOT NULL: $XDG_DATA_HOME/apiary. Nothing is made on disk before the first machine. */
Library *library_new(const char *root);
void library_free(Library *library);
const char *library_root(const Library *library);

typedef struct {
    char *folder;          /* absolute */
    MachineConfig *config; /* NULL when the file cannot be read */
    GError *error;         /* why */
} LibraryItem;
/* Every machine, sorted by name as people sort. LibraryItem*; free with g_ptr_array_unref. */
GPtrArray *library_list(Library *library, GError **error);

/* Says in a sentence why a machine cannot be called NAME. OWN_FOLDER: the folder of the machine
 * that is to be renamed, or NULL for a new one. */
bool library_check_name(Library *library, const char *name, const char *own_folder, GError **error);
/* WISH, or WISH with the first number that makes it free. */
char *library_free_name(Library *library, const char *wish);

/* Makes the folder CONFIG's name asks for, sets CONFIG's folder and saves. */
bool library_add(Library *library, MachineConfig *config, GError **error);
bool library_save(Library *library, const MachineConfig *config, GError **error);
/* Renames machine, folder and the paths of its own disks. The machine must be off. */
bool library_rename(Library *library, MachineConfig *config, const char *name, GError **error);

/* FRACTION of the whole, 0-1; called on the calling thread. */
typedef void (*LibraryProgress)(void *opaque, double fraction);
/* A new machine with copies of the disks in CONFIG's folder; other files (ISO images) are shared.
 * The machine must be off. */
MachineConfig *library_clone(Library *library, const MachineConfig *config, const char *name,
                             LibraryProgress progress, void *opaque, GCancellable *cancellable,
                             GError **error);

/* The disks that live in the machine's own folder: char* absolute paths. */
GPtrArray *library_own_disks(const MachineConfig *config);
/* Forgets the machine. WITH_DISKS also deletes its own disks; images elsewhere always stay. */
bool library_delete(Library *library, const MachineConfig *config, bool with_disks, GError **error);

/* Images inserted lately that still exist, the newest first. */
char **library_recent_media(Library *library);
void library_note_medium(Library *library, const char *path);
