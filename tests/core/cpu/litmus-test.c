/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/core/cpu/litmus-test.h"

#include <string.h>

gint64 litmus_until(void)
{
    return g_get_monotonic_time() + G_USEC_PER_SEC / 6;
}

void litmus_run_clear(Test *test, const LitmusTask *tasks, unsigned n_tasks, uint64_t rounds)
{
    memset(litmus_ram(&test->litmus, LITMUS_SHARED), 0, SHARED_USED);
    litmus_run(&test->litmus, tasks, n_tasks, rounds);
}

static void init(Test *test)
{
    const JitOptions options = JIT_OPTIONS_DEFAULT;

    litmus_init(&test->litmus, test->interpret ? NULL : &options);
}

void litmus_renew(Test *test)
{
    litmus_clear(&test->litmus);
    init(test);
}

static void run_case(const LitmusCase *which, bool interpret)
{
    Test test = {.interpret = interpret, .rounds = interpret ? 50000 : 500000};

    init(&test);
    which->func(&test);
    litmus_clear(&test.litmus);
}

static void translated(gconstpointer data)
{
    run_case(data, false);
}

static void interpreted(gconstpointer data)
{
    run_case(data, true);
}

int litmus_main(int argc, char **argv, const LitmusCase *cases, unsigned n_cases)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < n_cases; i++) {
        g_autofree char *jit = g_strdup_printf("/cpu/litmus/jit/%s", cases[i].name);
        g_autofree char *interp = g_strdup_printf("/cpu/litmus/interp/%s", cases[i].name);
        g_test_add_data_func(jit, &cases[i], translated);
        g_test_add_data_func(interp, &cases[i], interpreted);
    }
    return g_test_run();
}
