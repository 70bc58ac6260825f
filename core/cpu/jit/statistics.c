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

uint64_t jit_slow_accesses(const JitStatistics *statistics)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < N_JIT_SLOW; i++)
        sum += statistics->slow[i];
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

/* --- where time is spent ---------------------------------------------------------------------- */

JIT_VECTOR_SAFE void jit_note_sample(JitCpu *jc, uint64_t now)
{
    JitSample *sample = &jc->samples[jc->n_samples % N_SAMPLES];

    if (now - jc->last_noted < SAMPLE_TICKS)
        return;
    jc->last_noted = now;
    __atomic_store_n(&sample->rip, jc->cpu->rip, __ATOMIC_RELAXED);
    __atomic_store_n(&sample->mode, jc->cpu->mode, __ATOMIC_RELAXED);
    jit_count(&jc->n_samples);
}

/* Samples of one place are one after the other. */
static gint by_place(gconstpointer a, gconstpointer b)
{
    const JitHot *left = a, *right = b;

    if (left->rip != right->rip)
        return left->rip < right->rip ? -1 : 1;
    return (int)left->user - (int)right->user;
}

static gint by_samples(gconstpointer a, gconstpointer b)
{
    const JitHot *left = a, *right = b;

    return (int)right->samples - (int)left->samples;
}

static void add_samples(GArray *all, const JitCpu *jc)
{
    uint64_t n = MIN(read_counter(&jc->n_samples), N_SAMPLES);

    for (uint64_t i = 0; i < n; i++) {
        uint64_t mode = read_counter(&jc->samples[i].mode);
        JitHot hot = {read_counter(&jc->samples[i].rip), (mode & MODE_CPL) == MODE_CPL, 1};
        g_array_append_val(all, hot);
    }
}

unsigned jit_hottest(Jit *jit, JitHot *out, unsigned max, unsigned *total)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(JitHot));
    guint places = 0;

    g_mutex_lock(&jit->lock);
    for (guint i = 0; i < jit->cpus->len; i++)
        add_samples(all, g_ptr_array_index(jit->cpus, i));
    g_mutex_unlock(&jit->lock);
    *total = all->len;
    g_array_sort(all, by_place);
    JitHot *hot = (JitHot *)all->data;
    for (guint i = 0; i < all->len; i++)
        if (places && by_place(&hot[places - 1], &hot[i]) == 0)
            hot[places - 1].samples++;
        else
            hot[places++] = hot[i];
    g_array_set_size(all, places);
    g_array_sort(all, by_samples);
    unsigned n = MIN(max, places);
    if (n)
        memcpy(out, all->data, n * sizeof *out);
    return n;
}
