/* SPDX-License-Identifier: GPL-3.0-or-later */

#define G_LOG_DOMAIN "net"

#include "core/net/net.h"

#include "core/net/slirp.h"
#include "core/net/socket.h"

#include <glib/gi18n.h>
#include <string.h>

/* Reading stops with this much waiting; what is on its way already still fits. */
#define HIGH_WATER_FRAMES (NET_QUEUE_FRAMES / 4)
#define HIGH_WATER_BYTES  (NET_QUEUE_BYTES / 4)

const NetBackendClass *const net_backend_classes[] = {
    &dgram_backend_class, &socket_backend_class, &stream_backend_class, &slirp_backend_class, NULL,
};

const NetBackendClass *net_backend_class_find(const char *name)
{
    for (const NetBackendClass *const *c = net_backend_classes; *c; c++)
        if (g_str_equal((*c)->name, name))
            return *c;
    return NULL;
}

NetBackend *net_backend_new(Board *board, const NetBackendClass *backend_class, const char *id,
                            const OptionValues *values, GError **error)
{
    NetBackend *backend = g_malloc0(backend_class->instance_size);

    backend->backend_class = backend_class;
    backend->board = board;
    backend->id = g_strdup(id);
    backend->link_up = true;
    g_queue_init(&backend->queue);
    if ((!backend_class->check || backend_class->check(values, error)) &&
        backend_class->create(backend, values, error))
        return backend;
    net_backend_free(backend);
    return NULL;
}

static void clear_queue(NetBackend *backend)
{
    g_queue_clear_full(&backend->queue, (GDestroyNotify)g_bytes_unref);
    backend->queued_bytes = 0;
}

void net_backend_free(NetBackend *backend)
{
    if (!backend)
        return;
    net_backend_detach(backend);
    backend->backend_class->destroy(backend);
    clear_queue(backend);
    while (backend->taps) {
        NetTap *tap = backend->taps;
        backend->taps = tap->next;
        tap->destroy(tap);
    }
    g_free(backend->id);
    g_free(backend);
}

/* --- the card's side -------------------------------------------------------------------------- */

bool net_backend_attach(NetBackend *backend, const NetCardOps *ops, void *opaque, const char *model,
                        const char *card_id, const uint8_t *address, GError **error)
{
    if (backend->card) {
        g_set_error(
            error, option_error_quark(), 0,
            _("netdev=%s: another card has this network; give each card a -netdev of its own."),
            backend->id);
        return false;
    }
    backend->card = ops;
    backend->card_opaque = opaque;
    backend->card_model = model;
    backend->card_id = g_strdup(card_id);
    memcpy(backend->card_address, address, NET_ADDRESS_SIZE);
    return true;
}

void net_backend_detach(NetBackend *backend)
{
    backend->card = NULL;
    g_clear_pointer(&backend->card_id, g_free);
    clear_queue(backend);
}

static void show_taps(NetBackend *backend, bool from_guest, const uint8_t *frame, size_t length)
{
    for (NetTap *tap = backend->taps; tap; tap = tap->next)
        tap->frame(tap, from_guest, frame, length);
}

void net_backend_send(NetBackend *backend, const uint8_t *frame, size_t length)
{
    if (!backend || !backend->link_up || !length || length > NET_MAX_FRAME)
        return;
    backend->statistics.tx_frames++;
    backend->statistics.tx_bytes += length;
    show_taps(backend, true, frame, length);
    backend->backend_class->send(backend, frame, length);
}

void net_backend_burst_end(NetBackend *backend)
{
    if (backend && backend->backend_class->burst_end)
        backend->backend_class->burst_end(backend);
}

/* A back end that stopped reading for want of room goes on. */
static void go_on(NetBackend *backend, bool had_room)
{
    if (!had_room && net_backend_room(backend) && backend->backend_class->resume)
        backend->backend_class->resume(backend);
}

void net_backend_flush(NetBackend *backend)
{
    if (!backend || backend->delivering || g_queue_is_empty(&backend->queue))
        return;
    bool had_room = net_backend_room(backend);

    backend->delivering = true;
    /* What the card's own DMA makes it say meanwhile is heard in this loop. */
    while (!g_queue_is_empty(&backend->queue)) {
        gsize length;
        GBytes *bytes = g_queue_peek_head(&backend->queue);
        const uint8_t *frame = g_bytes_get_data(bytes, &length);
        if (backend->card && !backend->card->receive(backend->card_opaque, frame, length))
            break;
        g_queue_pop_head(&backend->queue);
        backend->queued_bytes -= length;
        g_bytes_unref(bytes);
    }
    backend->delivering = false;
    go_on(backend, had_room);
}

bool net_backend_takes_large_segments(const NetBackend *backend)
{
    return backend && backend->backend_class->takes_large_segments;
}

/* --- the back end's side ---------------------------------------------------------------------- */

bool net_backend_room(const NetBackend *backend)
{
    return g_queue_get_length((GQueue *)&backend->queue) < HIGH_WATER_FRAMES &&
           backend->queued_bytes < HIGH_WATER_BYTES;
}

void net_backend_deliver(NetBackend *backend, const uint8_t *frame, size_t length)
{
    if (!backend->card || !backend->link_up || !length || length > NET_MAX_FRAME)
        return;
    backend->statistics.rx_frames++;
    backend->statistics.rx_bytes += length;
    show_taps(backend, false, frame, length);
    if (!backend->delivering && g_queue_is_empty(&backend->queue)) {
        backend->delivering = true;
        bool taken = backend->card->receive(backend->card_opaque, frame, length);
        backend->delivering = false;
        if (taken) {
            net_backend_flush(backend);
            return;
        }
    }
    if (g_queue_get_length(&backend->queue) >= NET_QUEUE_FRAMES ||
        backend->queued_bytes + length > NET_QUEUE_BYTES) {
        backend->statistics.dropped++;
        if (backend->card->overrun)
            backend->card->overrun(backend->card_opaque);
        return;
    }
    g_queue_push_tail(&backend->queue, g_bytes_new(frame, length));
    backend->queued_bytes += length;
}

/* --- the owner's side ------------------------------------------------------------------------- */

void net_backend_set_link(NetBackend *backend, bool up)
{
    if (backend->link_up == up)
        return;
    bool had_room = net_backend_room(backend);

    backend->link_up = up;
    if (!up) {
        clear_queue(backend);
        go_on(backend, had_room);
    }
    if (backend->card)
        backend->card->link_changed(backend->card_opaque, up);
}

void net_backend_add_tap(NetBackend *backend, NetTap *tap)
{
    tap->next = backend->taps;
    backend->taps = tap;
}

NetTap *net_backend_find_tap(const NetBackend *backend, const char *id)
{
    NetTap *tap = backend->taps;

    while (tap && g_strcmp0(tap->id, id) != 0)
        tap = tap->next;
    return tap;
}

bool net_backend_remove_tap(NetBackend *backend, const char *id)
{
    for (NetTap **at = &backend->taps; *at; at = &(*at)->next) {
        if (g_strcmp0((*at)->id, id) != 0)
            continue;
        NetTap *tap = *at;
        *at = tap->next;
        tap->destroy(tap);
        return true;
    }
    return false;
}
