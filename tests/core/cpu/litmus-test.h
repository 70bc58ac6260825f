/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What the litmus tests (test-litmus-*.c) share: each is run translated and interpreted. */

#include "tests/core/cpu/litmus-machine.h"

/* Offsets from LITMUS_SHARED, on cache lines of their own. */
enum { X = 0x000, Y = 0x100, FLAG = 0x200, ANSWER = 0x300, SHARED_USED = 0x3000 };
#define AT(OFFSET) (LITMUS_SHARED + (OFFSET))

typedef struct {
    Litmus litmus;
    bool interpret;
    uint64_t rounds; /* of an order test: what takes some ten milliseconds */
} Test;

typedef struct {
    const char *name;
    void (*func)(Test *test);
} LitmusCase;

/* How long an order test goes on: where vCPUs outnumber processors, most runs have only some
 * moments in which the vCPUs are at it together. */
gint64 litmus_until(void);

/* Begins anew, on a machine that knows nothing of what ran before. */
void litmus_renew(Test *test);

/* litmus_run() with the first SHARED_USED bytes of LITMUS_SHARED cleared. */
void litmus_run_clear(Test *test, const LitmusTask *tasks, unsigned n_tasks, uint64_t rounds);

/* main() */
int litmus_main(int argc, char **argv, const LitmusCase *cases, unsigned n_cases);
