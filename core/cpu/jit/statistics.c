/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What the JIT has counted: for `info jit` and for tests. */

#include "core/cpu/jit/jit-internal.h"

static uint64_t read_counter(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void add_counters(uint64_t *to, const uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += read_counter(&from[i]);
}

JitStatistics jit_statistics(Jit *jit)
{
    JitStatistics sum = {0};

    g_mutex_lock(&jit->lock);
    for (guint i = 0; i < jit->cpus->len; i++) {
        const JitCpu *jc = g_ptr_array_index(jit->cpus, i);
        add_counters((uint64_t *)&sum, (const uint64_t *)&jc->statistics,
                     sizeof sum / sizeof(uint64_t));
    }
    g_mutex_unlock(&jit->lock);
    return sum;
}

static unsigned most_frequent(const uint64_t *counts, unsigned n)
{
    unsigned most = 0;

    for (unsigned i = 1; i < n; i++)
        if (counts[i] > counts[most])
            most = i;
    return most;
}

unsigned jit_most_interpreted(Jit *jit, JitInterpreted *out, unsigned max)
{
    enum { N = G_N_ELEMENTS(((JitCpu *)NULL)->interpreted) };
    g_autofree uint64_t *counts = g_new0(uint64_t, N);
    unsigned n = 0;

    g_mutex_lock(&jit->lock);
    for (guint i = 0; i < jit->cpus->len; i++)
        add_counters(counts, ((const JitCpu *)g_ptr_array_index(jit->cpus, i))->interpreted, N);
    g_mutex_unlock(&jit->lock);
    for (; n < max; n++) {
        unsigned most = most_frequent(counts, N);
        if (!counts[most])
            break;
        bool known = most != ZYDIS_MNEMONIC_INVALID;
        out[n] = (JitInterpreted){known ? ZydisMnemonicGetString(most) : NULL, counts[most]};
        counts[most] = 0;
    }
    return n;
}
