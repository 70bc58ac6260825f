/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/paths.h"

#include "apiary-build.h"

#include <glib.h>

/* The build tree's root when the program was started from one: it is BUILD/app/apiary there. */
static char *build_root(void)
{
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = program ? g_path_get_dirname(program) : NULL;
    g_autofree char *root = folder ? g_path_get_dirname(folder) : NULL;
    g_autofree char *mark = root ? g_build_filename(root, "build.ninja", NULL) : NULL;

    return mark && g_file_test(mark, G_FILE_TEST_EXISTS) ? g_steal_pointer(&root) : NULL;
}

char *apiary_paths_schema_dir(void)
{
    g_autofree char *root = build_root();

    return root ? g_build_filename(root, "data", NULL) : NULL;
}

char *apiary_paths_locale_dir(void)
{
    g_autofree char *root = build_root();

    return root ? g_build_filename(root, "po", NULL) : g_strdup(APIARY_LOCALE_DIR);
}

static char *if_exists(char *path)
{
    if (path && g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return path;
    g_free(path);
    return NULL;
}

char *apiary_paths_demo_iso(void)
{
    const char *given = g_getenv("APIARY_DEMO_ISO");
    g_autofree char *root = build_root();
    char *found = NULL;

    if (given)
        return if_exists(g_strdup(given));
    if (root)
        found = if_exists(g_build_filename(root, "guests", "demo.iso", NULL));
    if (!found)
        found = if_exists(g_build_filename(g_get_user_data_dir(), "apiary", "demo.iso", NULL));
    if (!found)
        found = if_exists(g_build_filename(APIARY_DATA_DIR, "apiary", "demo.iso", NULL));
    return found;
}
