/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "app/translations.h"

#include "core/library/build-tree.h"

#include "apiary-build.h"

#include <glib.h>
#include <libintl.h>

void translations_init(void)
{
    g_autofree char *root = build_tree_root();
    g_autofree char *folder =
        root ? g_build_filename(root, "po", NULL) : g_strdup(APIARY_LOCALE_DIR);

    bindtextdomain(GETTEXT_PACKAGE, folder);
    bind_textdomain_codeset(GETTEXT_PACKAGE, "UTF-8");
    textdomain(GETTEXT_PACKAGE);
}
