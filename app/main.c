/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "app/img.h"

#include <locale.h>
#include <stdio.h>

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the name */
} Command;

static const Command commands[] = {
    {"img", img_main},
};

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* sizes in options and output are the same everywhere */
    for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(commands); i++)
        if (g_str_equal(argv[1], commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    fputs("usage: apiary img COMMAND ...\n", stderr);
    return 1;
}
