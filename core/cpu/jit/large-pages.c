/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Large pages for the code cache. Code of some megabytes has more pages than the host's processor
 * keeps translations of: gcc ran a tenth slower. MADV_HUGEPAGE is in vain where shared memory has
 * no large pages unless asked, as on Debian; to be asked by MADV_COLLAPSE, Linux does it since 6.1.
 *
 * Linux first waits for a thread of its own on each processor, on a busy host for more than a
 * minute: another thread asks, and the vCPU does not wait for it much longer than it mostly takes.
 */

#include "core/cpu/jit/jit-internal.h"

#include "core/cpu/jit/madvise.h"

enum { PATIENCE_US = 3000, MOST_ASKING = 4 };

typedef struct {
    uint8_t *rw;
    const uint8_t *rx;
    size_t bytes;
    GMutex lock;
    GCond answered;
    enum { ASKING, REFUSED, DONE } state;
    unsigned users;
} Wanted;

/* With the lock, which it gives back; the last one frees. */
static void let_go(Wanted *wanted)
{
    bool last = !--wanted->users;

    g_mutex_unlock(&wanted->lock);
    if (!last)
        return;
    g_mutex_clear(&wanted->lock);
    g_cond_clear(&wanted->answered);
    g_free(wanted);
}

/* The memory keeps its contents, whose ever it is by now. */
static void ask(gpointer data, gpointer unused)
{
    Wanted *wanted = data;

    /* Linux wants to find a page in each. */
    for (size_t at = 0; at < wanted->bytes; at += LARGE_PAGE)
        (void)madvise(wanted->rw + at, 1, MADV_POPULATE_WRITE);
    bool done = madvise((void *)wanted->rx, wanted->bytes, MADV_COLLAPSE) == 0;
    g_mutex_lock(&wanted->lock);
    wanted->state = done ? DONE : REFUSED;
    g_cond_signal(&wanted->answered);
    let_go(wanted);
}

/* The process's. */
static GThreadPool *askers(void)
{
    static GThreadPool *pool;

    if (g_once_init_enter(&pool))
        g_once_init_leave(&pool, g_thread_pool_new(ask, NULL, MOST_ASKING, FALSE, NULL));
    return pool;
}

bool jit_make_pages_large(uint8_t *rw, const uint8_t *rx, size_t bytes)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    Wanted *wanted = g_new(Wanted, 1);

    *wanted = (Wanted){.rw = rw, .rx = rx, .bytes = bytes, .state = ASKING, .users = 2};
    g_mutex_init(&wanted->lock);
    g_cond_init(&wanted->answered);
    g_thread_pool_push(askers(), wanted, NULL);
    g_mutex_lock(&wanted->lock);
    while (wanted->state == ASKING)
        if (!g_cond_wait_until(&wanted->answered, &wanted->lock, end))
            break;
    bool done = wanted->state == DONE;
    let_go(wanted);
    return done;
}
