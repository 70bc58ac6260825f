/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/library/build-tree.h"

#include <gio/gio.h>

/* The program is ROOT/app/apiary there. */
char *build_tree_root(void)
{
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = program ? g_path_get_dirname(program) : NULL;
    g_autofree char *root = folder ? g_path_get_dirname(folder) : NULL;
    g_autofree char *mark = root ? g_build_filename(root, "build.ninja", NULL) : NULL;

    return mark && g_file_test(mark, G_FILE_TEST_EXISTS) ? g_steal_pointer(&root) : NULL;
}
