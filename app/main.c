/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "app/headless.h"
#include "app/img.h"
#include "app/run.h"
#include "app/translations.h"
#ifdef HAVE_UI
#include "ui/ui.h"
#endif

#include "apiary-build.h"

#include <glib/gi18n.h>
#include <locale.h>
#include <stdio.h>

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the name */
    const char *help;
} Command;

static const Command commands[] = {
    {"img", img_main, N_("create, inspect, check and convert disk images, with qemu-img's flags")},
    {"run", run_main, N_("run a machine from QEMU's flags")},
};

static int print_usage(FILE *out)
{
    fputs(_("Usage: apiary [COMMAND] [ARGUMENTS]\n\n"), out);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, _(commands[i].help));
    return out == stderr;
}

int main(int argc, char **argv)
{
    int status;

    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* sizes in options and output are the same everywhere */
    translations_init();
    for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(commands); i++)
        if (g_str_equal(argv[1], commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    if (headless_main(argc, argv, &status))
        return status;
    if (argc > 1 && g_str_equal(argv[1], "--version")) {
        puts("Apiary " APIARY_VERSION);
        return 0;
    }
#ifdef HAVE_UI
    if (argc < 2 || *argv[1] == '-' || g_file_test(argv[1], G_FILE_TEST_EXISTS))
        return ui_main(argc, argv);
#endif
    return print_usage(argc > 1 && g_str_equal(argv[1], "--help") ? stdout : stderr);
}
