/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/fuzz/hostile.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const HostileFuzzer *current;
static guint64 seed, current_case;

void hostile_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *what = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    fprintf(stderr,
            "fuzz-%s: case %" G_GUINT64_FORMAT ": %s\nagain with: ./dev fuzz %s --seed "
            "%" G_GUINT64_FORMAT " --case %" G_GUINT64_FORMAT "\n",
            current->name, current_case, what, current->name, seed, current_case);
    abort();
}

static void hung(int number)
{
    hostile_fail("the case takes too long");
}

GRand *hostile_random(guint64 number)
{
    const guint32 seeds[] = {(guint32)seed, (guint32)(seed >> 32), (guint32)number,
                             (guint32)(number >> 32)};

    return g_rand_new_with_seed_array(seeds, G_N_ELEMENTS(seeds));
}

static void run_case(guint64 number)
{
    current_case = number;
    alarm(current->limit);
    current->run_case(number);
    alarm(0);
}

int hostile_main(const HostileFuzzer *fuzzer, int argc, char **argv)
{
    double seconds = 60;
    gint64 only = -1;
    g_autofree char *seed_text = NULL;
    GOptionEntry entries[] = {
        {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "how long", "N"},
        {"seed", 0, 0, G_OPTION_ARG_STRING, &seed_text, "random numbers to use", "S"},
        {"case", 0, 0, G_OPTION_ARG_INT64, &only, "only this case, and those that it depends on",
         "C"},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "fuzz-%s: %s\n", fuzzer->name, error->message);
        return 2;
    }
    current = fuzzer;
    seed = seed_text ? g_ascii_strtoull(seed_text, NULL, 0) : (guint64)g_get_real_time();
    printf("fuzz-%s: seed %" G_GUINT64_FORMAT "\n", fuzzer->name, seed);
    fflush(stdout);
    signal(SIGALRM, hung);
    guint64 first = only < 0 ? 0 : (guint64)only - (guint64)only % MAX(fuzzer->group, 1u);
    guint64 cases = 0;
    gint64 begin = g_get_monotonic_time(), end = begin + (gint64)(seconds * G_USEC_PER_SEC);
    do
        run_case(first + cases++);
    while (only >= 0 ? first + cases <= (guint64)only : g_get_monotonic_time() < end);
    if (fuzzer->clear)
        fuzzer->clear();
    g_autofree char *summary = fuzzer->summary();
    printf("fuzz-%s: %" G_GUINT64_FORMAT " cases%s in %.0f s, no failure\n", fuzzer->name, cases,
           summary, (double)(g_get_monotonic_time() - begin) / G_USEC_PER_SEC);
    return 0;
}
