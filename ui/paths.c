/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/paths.h"

#include "core/library/build-tree.h"

#include "apiary-build.h"

#include <gio/gio.h>

char *apiary_paths_schema_dir(void)
{
    g_autofree char *root = build_tree_root();

    return root ? g_build_filename(root, "data", NULL) : NULL;
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
    g_autofree char *root = build_tree_root();
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

char *apiary_paths_free_name(const char *folder, const char *stem, const char *extension)
{
    for (unsigned n = 1;; n++) {
        g_autofree char *name = n == 1 ? g_strdup_printf("%s.%s", stem, extension)
                                       : g_strdup_printf("%s-%u.%s", stem, n, extension);
        char *path = g_build_filename(folder, name, NULL);
        if (!g_file_test(path, G_FILE_TEST_EXISTS))
            return path;
        g_free(path);
    }
}
