/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "app/img.h"
#include "app/run.h"

#include <glib.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#ifndef APIARY_VERSION
#define APIARY_VERSION "unknown"
#endif

static int print_version(int argc, char **argv)
{
    puts("Apiary " APIARY_VERSION);
    return 0;
}

static int print_usage(int argc, char **argv);

static const struct {
    const char *name;
    int (*run)(int argc, char **argv); /* without the command's own name */
    const char *help;
} commands[] = {
    {"run", run_main, "run a machine from QEMU's flags"},
    {"img", img_main, "create, inspect and check disk images, with qemu-img's flags"},
    {"--version", print_version, "print the version"},
    {"--help", print_usage, "print this help"},
};

static int print_usage(int argc, char **argv)
{
    puts("Usage: apiary [command] [arguments]\n");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].help);
    return 0;
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(commands); i++)
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(argc - 2, argv + 2);
    print_usage(0, NULL);
    return argc > 1;
}
