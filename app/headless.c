/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "app/headless.h"

#include "app/run.h"
#include "core/library/library.h"

#include <glib/gi18n.h>
#include <stdio.h>

/* A copy of the settings of the machine called NAME, or NULL. */
static MachineConfig *find_machine(const char *name, GError **error)
{
    Library *library = library_new(NULL);
    g_autoptr(GPtrArray) items = library_list(library, error);
    MachineConfig *found = NULL;

    for (guint i = 0; items && i < items->len && !found; i++) {
        const LibraryItem *item = items->pdata[i];
        if (item->config && g_str_equal(item->config->name, name))
            found = config_copy(item->config);
    }
    library_free(library);
    if (items && !found)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("There is no machine called “%s”."),
                    name);
    return found;
}

static int run_machine(const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(MachineConfig) config = find_machine(name, &error);

    if (!config || !config_validate(config, &error)) {
        fprintf(stderr, "apiary: %s\n", error->message);
        return 1;
    }
    return run_headless(config);
}

bool headless_main(int argc, char **argv, int *status)
{
    gboolean headless = FALSE;
    g_autofree char *name = NULL;
    const GOptionEntry entries[] = {
        {"headless", 0, 0, G_OPTION_ARG_NONE, &headless, NULL, NULL},
        {"start", 0, 0, G_OPTION_ARG_STRING, &name, NULL, NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_auto(GStrv) copy = g_new0(char *, argc + 1);

    for (int i = 0; i < argc; i++)
        copy[i] = g_strdup(argv[i]);
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_ignore_unknown_options(context, TRUE);
    g_option_context_set_help_enabled(context, FALSE);
    /* What is malformed is complained about by whoever reads all options. */
    if (!g_option_context_parse_strv(context, &copy, NULL) || !headless)
        return false;
    if (name) {
        *status = run_machine(name);
        return true;
    }
    fprintf(stderr, "apiary: %s\n", _("--headless goes with --start NAME."));
    *status = 1;
    return true;
}
