/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Where the program's data is: installed, or beside the program in a build tree, so that it runs
 * from there without being installed. And names for new files.
 */

#define APIARY_APP_ID        "io.github.apiary.Apiary"
#define APIARY_RESOURCE_PATH "/io/github/apiary/Apiary"

/* Folder of gschemas.compiled, or NULL when the system's schemas are to be used. */
char *apiary_paths_schema_dir(void);
/* The demo machine's CD that exists, or NULL. */
char *apiary_paths_demo_iso(void);
/* FOLDER/STEM.EXTENSION, or the first "STEM-2.EXTENSION" and up that does not exist. */
char *apiary_paths_free_name(const char *folder, const char *stem, const char *extension);
