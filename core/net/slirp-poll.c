/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/net/slirp-poll.h"

/* With more sockets than this, asking libslirp what it waits for costs more than a wake-up. */
#define MAX_COMPARED 64

typedef struct {
    GPollFD poll;
    bool wanted; /* in this round */
    int index;   /* in it */
} Descriptor;

/* The board thread owns this; what is under the board lock others look at in slirp_poll_kick(). */
struct SlirpPoll {
    GSource source;
    NetBackend *backend;
    Slirp *slirp;
    GPtrArray *round;        /* Descriptor*, by libslirp's index */
    GHashTable *descriptors; /* fd -> Descriptor, those in the source; board lock */
    gint64 deadline;         /* of libslirp's timers; monotonic us, INT64_MAX: none; board lock */
    bool changed;            /* sockets came or went since the round began; board lock */
    gint asleep;             /* poll() waits for the round, or is about to; atomic */
};

static GIOCondition conditions_of(int events)
{
    GIOCondition conditions = 0;

    if (events & SLIRP_POLL_IN)
        conditions |= G_IO_IN;
    if (events & SLIRP_POLL_OUT)
        conditions |= G_IO_OUT;
    if (events & SLIRP_POLL_PRI)
        conditions |= G_IO_PRI;
    if (events & SLIRP_POLL_ERR)
        conditions |= G_IO_ERR;
    if (events & SLIRP_POLL_HUP)
        conditions |= G_IO_HUP;
    return conditions;
}

static int events_of(GIOCondition conditions)
{
    int events = 0;

    if (conditions & G_IO_IN)
        events |= SLIRP_POLL_IN;
    if (conditions & G_IO_OUT)
        events |= SLIRP_POLL_OUT;
    if (conditions & G_IO_PRI)
        events |= SLIRP_POLL_PRI;
    if (conditions & (G_IO_ERR | G_IO_NVAL))
        events |= SLIRP_POLL_ERR;
    if (conditions & G_IO_HUP)
        events |= SLIRP_POLL_HUP;
    return events;
}

static int want(int fd, int events, void *opaque)
{
    SlirpPoll *poll = opaque;
    Descriptor *descriptor = g_hash_table_lookup(poll->descriptors, GINT_TO_POINTER(fd));

    if (!descriptor) {
        descriptor = g_new0(Descriptor, 1);
        descriptor->poll.fd = fd;
        g_hash_table_insert(poll->descriptors, GINT_TO_POINTER(fd), descriptor);
        g_source_add_poll(&poll->source, &descriptor->poll);
    }
    descriptor->poll.events = conditions_of(events);
    descriptor->poll.revents = 0;
    descriptor->wanted = true;
    descriptor->index = (int)poll->round->len;
    g_ptr_array_add(poll->round, descriptor);
    return descriptor->index;
}

static int happened(int index, void *opaque)
{
    SlirpPoll *poll = opaque;

    if (index < 0 || (guint)index >= poll->round->len)
        return 0;
    return events_of(((Descriptor *)poll->round->pdata[index])->poll.revents);
}

static gboolean drop_unwanted(gpointer key, gpointer value, gpointer data)
{
    Descriptor *descriptor = value;

    if (descriptor->wanted)
        return FALSE;
    g_source_remove_poll(data, &descriptor->poll);
    return TRUE;
}

static gint64 deadline_of(uint32_t wait_ms)
{
    return wait_ms > G_MAXINT ? G_MAXINT64 : g_get_monotonic_time() + (gint64)wait_ms * 1000;
}

static gboolean prepare(GSource *source, gint *timeout)
{
    SlirpPoll *poll = (SlirpPoll *)source;
    GHashTableIter iterator;
    gpointer value;
    uint32_t wait = UINT32_MAX;

    board_lock(poll->backend->board);
    g_hash_table_iter_init(&iterator, poll->descriptors);
    while (g_hash_table_iter_next(&iterator, NULL, &value))
        ((Descriptor *)value)->wanted = false;
    g_ptr_array_set_size(poll->round, 0);
    /* A card with no room is left alone, and so are the sockets that would fill its queue. */
    if (net_backend_room(poll->backend))
        slirp_pollfds_fill(poll->slirp, &wait, want, poll);
    g_hash_table_foreach_remove(poll->descriptors, drop_unwanted, source);
    /* libslirp counts the wait from now, but it is for timers that have been running: however often
     * the thread is woken by others in between, they are due when they were. */
    gint64 deadline = deadline_of(wait);
    poll->deadline = deadline == G_MAXINT64 ? deadline : MIN(deadline, poll->deadline);
    gint64 left = poll->deadline - g_get_monotonic_time();
    poll->changed = false;
    g_atomic_int_set(&poll->asleep, 1);
    board_unlock(poll->backend->board);

    *timeout = deadline == G_MAXINT64 ? -1 : (gint)(MAX(left, 0) + 999) / 1000;
    return FALSE;
}

static gboolean check(GSource *source)
{
    SlirpPoll *poll = (SlirpPoll *)source;

    g_atomic_int_set(&poll->asleep, 0);
    if (g_get_monotonic_time() >= poll->deadline)
        return TRUE;
    for (guint i = 0; i < poll->round->len; i++)
        if (((Descriptor *)poll->round->pdata[i])->poll.revents)
            return TRUE;
    return FALSE;
}

static gboolean dispatch(GSource *source, GSourceFunc func, gpointer data)
{
    SlirpPoll *poll = (SlirpPoll *)source;

    board_lock(poll->backend->board);
    poll->deadline = G_MAXINT64;
    slirp_pollfds_poll(poll->slirp, 0, happened, poll);
    board_unlock(poll->backend->board);
    return G_SOURCE_CONTINUE;
}

static void finalize(GSource *source)
{
    SlirpPoll *poll = (SlirpPoll *)source;

    g_hash_table_unref(poll->descriptors);
    g_ptr_array_unref(poll->round);
}

static GSourceFuncs funcs = {prepare, check, dispatch, finalize, NULL, NULL};

SlirpPoll *slirp_poll_new(NetBackend *backend, Slirp *slirp)
{
    SlirpPoll *poll = (SlirpPoll *)g_source_new(&funcs, sizeof *poll);

    poll->backend = backend;
    poll->slirp = slirp;
    poll->descriptors = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    poll->round = g_ptr_array_new();
    poll->deadline = G_MAXINT64;
    g_source_set_name(&poll->source, "slirp");
    board_attach(backend->board, &poll->source);
    return poll;
}

void slirp_poll_free(SlirpPoll *poll)
{
    if (!poll)
        return;
    g_source_destroy(&poll->source);
    g_source_unref(&poll->source);
}

void slirp_poll_sockets_changed(SlirpPoll *poll)
{
    poll->changed = true;
}

/* Looks whether FD is waited for already. Answers with the index it has in the round, which
 * libslirp keeps for slirp_pollfds_poll(). */
static int compare(int fd, int events, void *opaque)
{
    SlirpPoll *poll = opaque;
    const Descriptor *descriptor = g_hash_table_lookup(poll->descriptors, GINT_TO_POINTER(fd));

    if (descriptor && !(conditions_of(events) & ~descriptor->poll.events))
        return descriptor->index;
    poll->changed = true;
    return -1;
}

void slirp_poll_kick(SlirpPoll *poll)
{
    uint32_t wait = UINT32_MAX;

    /* Awake, the board thread asks libslirp anew before it sleeps. */
    if (!g_atomic_int_get(&poll->asleep) || !net_backend_room(poll->backend))
        return;
    if (!poll->changed && poll->round->len <= MAX_COMPARED)
        slirp_pollfds_fill(poll->slirp, &wait, compare, poll);
    else
        poll->changed = true;
    if (!poll->changed && deadline_of(wait) >= poll->deadline)
        return;
    g_atomic_int_set(&poll->asleep, 0);
    g_main_context_wakeup(poll->backend->board->context);
}
