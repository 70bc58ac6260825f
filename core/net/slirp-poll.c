/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/net/slirp-poll.h"

typedef struct {
    GPollFD poll;
    bool wanted; /* in this round */
} Descriptor;

struct SlirpPoll {
    GSource source;
    NetBackend *backend;
    Slirp *slirp;
    GHashTable *descriptors; /* fd -> Descriptor, those in the source */
    GPtrArray *round;        /* Descriptor*, by libslirp's index */
    gint64 deadline;         /* monotonic us; -1: none */
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
    g_ptr_array_add(poll->round, descriptor);
    return poll->round->len - 1;
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

static gboolean prepare(GSource *source, gint *timeout)
{
    SlirpPoll *poll = (SlirpPoll *)source;
    GHashTableIter iterator;
    gpointer value;
    uint32_t wait = UINT32_MAX;

    g_hash_table_iter_init(&iterator, poll->descriptors);
    while (g_hash_table_iter_next(&iterator, NULL, &value))
        ((Descriptor *)value)->wanted = false;
    g_ptr_array_set_size(poll->round, 0);

    board_lock(poll->backend->board);
    /* A card with no room is left alone, and so are the sockets that would fill its queue. */
    if (net_backend_room(poll->backend))
        slirp_pollfds_fill(poll->slirp, &wait, want, poll);
    board_unlock(poll->backend->board);

    g_hash_table_foreach_remove(poll->descriptors, drop_unwanted, source);
    *timeout = wait > G_MAXINT ? -1 : (gint)wait;
    poll->deadline = *timeout < 0 ? -1 : g_get_monotonic_time() + (gint64)*timeout * 1000;
    return FALSE;
}

static gboolean check(GSource *source)
{
    SlirpPoll *poll = (SlirpPoll *)source;

    if (poll->deadline >= 0 && g_get_monotonic_time() >= poll->deadline)
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
    g_source_set_name(&poll->source, "slirp");
    g_source_attach(&poll->source, backend->board->context);
    return poll;
}

void slirp_poll_free(SlirpPoll *poll)
{
    if (!poll)
        return;
    g_source_destroy(&poll->source);
    g_source_unref(&poll->source);
}

void slirp_poll_kick(SlirpPoll *poll)
{
    g_main_context_wakeup(poll->backend->board->context);
}
