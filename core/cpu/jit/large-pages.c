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

#include <sys/mman.h>

#ifndef MADV_COLLAPSE /* of Linux, not yet of every C library */
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { PATIENCE_US = 3000, MOST_ASKING = 4 };

typedef struct {
    uint8_t *rw;
    const uint8_t *rx;
    size_t bytes;
    GAsyncQueue *answers; /* gets this when it is done */
    bool done;
} Wanted;

/* The memory keeps its contents, whose ever it is by now. */
static void ask(gpointer data, gpointer unused)
{
    Wanted *wanted = data;
    g_autoptr(GAsyncQueue) answers = wanted->answers;

    /* Linux wants to find a page in each. */
    for (size_t at = 0; at < wanted->bytes; at += LARGE_PAGE)
        (void)madvise(wanted->rw + at, 1, MADV_POPULATE_WRITE);
    wanted->done = madvise((void *)wanted->rx, wanted->bytes, MADV_COLLAPSE) == 0;
    g_async_queue_push(answers, wanted);
}

static gpointer new_pool(gpointer unused)
{
    return g_thread_pool_new(ask, NULL, MOST_ASKING, FALSE, NULL);
}

bool jit_make_pages_large(uint8_t *rw, const uint8_t *rx, size_t bytes)
{
    static GOnce pool = G_ONCE_INIT;
    g_autoptr(GAsyncQueue) answers = g_async_queue_new_full(g_free);
    Wanted *wanted = g_new(Wanted, 1);

    *wanted = (Wanted){rw, rx, bytes, g_async_queue_ref(answers), false};
    g_thread_pool_push(g_once(&pool, new_pool, NULL), wanted, NULL);
    g_autofree Wanted *answer = g_async_queue_timeout_pop(answers, PATIENCE_US);
    return answer && answer->done;
}
