/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What the fuzzers with hostile guests have in common: their command line and their cases, each of
 * which is made from the seed and its number alone. */

#include <glib.h>

typedef struct {
    const char *name; /* `./dev fuzz NAME` */
    unsigned limit;   /* seconds on the wall before a case counts as hung */
    unsigned group;   /* --case begins with the last multiple of this, 0: with the case itself */
    void (*run_case)(guint64 number);
    /* What to say of the cases, in the closing line, from its comma on: freed. */
    char *(*summary)(void);
    void (*clear)(void); /* may be NULL */
} HostileFuzzer;

/* main(): --seconds, --seed, --case. */
int hostile_main(const HostileFuzzer *fuzzer, int argc, char **argv);

/* Random numbers of case NUMBER. */
GRand *hostile_random(guint64 number);

/* Says what is wrong with the current case and how to see it again, and aborts. */
_Noreturn void hostile_fail(const char *format, ...) G_GNUC_PRINTF(1, 2);
