/* SPDX-License-Identifier: GPL-3.0-or-later */

#define G_LOG_DOMAIN "net"

#include "core/net/stream-link.h"

#include "core/net/checksum.h"
#include "core/net/socket-address.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define LENGTH_SIZE   4
#define IN_SIZE       (256u << 10) /* several of the largest frames */
#define READS_AT_ONCE 4            /* before others have the board again */
#define FLUSH_BYTES   (64u << 10)
#define MAX_OUT_BYTES (1u << 20)

struct StreamLink {
    NetBackend *backend;
    GSocketAddress *own; /* of a listener */
    GSocket *listener;
    GPtrArray *addresses; /* of a caller: GSocketAddress* */
    guint next_address;
    unsigned retry; /* seconds; 0: do not call again */
    bool complained;

    GSocket *peer; /* connected, or about to be */
    bool connected;
    char *peer_name;
    GSource *accepting, *connecting, *reading, *writing, *waiting;
    uint8_t *in;
    size_t in_start, in_end;
    GByteArray *out;
    size_t out_done; /* bytes of it already sent */
};

static void wait_for_peer(StreamLink *link);
static void call_peer(StreamLink *link);

/* --- sources ---------------------------------------------------------------------------------- */

static void drop_source(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static void watch(StreamLink *link, GSource **slot, GSocket *socket, GIOCondition condition,
                  GSocketSourceFunc func)
{
    if (*slot)
        return;
    *slot = g_socket_create_source(socket, condition, NULL);
    g_source_set_callback(*slot, G_SOURCE_FUNC(func), link, NULL);
    g_source_attach(*slot, link->backend->board->context);
}

/* --- the end of a connection ------------------------------------------------------------------ */

static gboolean call_again(gpointer data)
{
    StreamLink *link = data;

    board_lock(link->backend->board);
    drop_source(&link->waiting);
    call_peer(link);
    board_unlock(link->backend->board);
    return G_SOURCE_REMOVE;
}

static void call_later(StreamLink *link)
{
    if (!link->retry)
        return;
    link->waiting = g_timeout_source_new_seconds(link->retry);
    g_source_set_callback(link->waiting, call_again, link, NULL);
    board_attach(link->backend->board, link->waiting);
}

static void hang_up(StreamLink *link)
{
    drop_source(&link->connecting);
    drop_source(&link->reading);
    drop_source(&link->writing);
    if (link->peer)
        g_socket_close(link->peer, NULL);
    g_clear_object(&link->peer);
    g_clear_pointer(&link->peer_name, g_free);
    link->connected = false;
    link->in_start = link->in_end = 0;
    g_byte_array_set_size(link->out, 0);
    link->out_done = 0;
}

static void lose_peer(StreamLink *link, const char *why)
{
    g_debug("network %s: %s: %s", link->backend->id, link->peer_name, why);
    hang_up(link);
    if (link->listener)
        wait_for_peer(link);
    else
        call_later(link);
}

/* Something else than a network card talks to us. */
static void refuse_peer(StreamLink *link)
{
    Board *board = link->backend->board;
    g_autofree char *text =
        g_strdup_printf(_("%s sends what is no frame; is it a -netdev socket or stream? The "
                          "connection was closed."),
                        link->peer_name);

    if (board->report_error)
        board->report_error(board, link->backend->id, text);
    lose_peer(link, "no frame");
}

/* --- receiving -------------------------------------------------------------------------------- */

/* Gives the card the whole frames there are. False when the connection is of no more use. */
static bool deliver_frames(StreamLink *link)
{
    while (net_backend_room(link->backend)) {
        size_t there = link->in_end - link->in_start;
        const uint8_t *at = link->in + link->in_start;
        if (there < LENGTH_SIZE)
            break;
        uint32_t length = get_be32(at);
        if (length > NET_MAX_FRAME)
            return false;
        if (there - LENGTH_SIZE < length)
            break;
        link->in_start += LENGTH_SIZE + length;
        net_backend_deliver(link->backend, at + LENGTH_SIZE, length);
    }
    if (link->in_start) {
        memmove(link->in, link->in + link->in_start, link->in_end - link->in_start);
        link->in_end -= link->in_start;
        link->in_start = 0;
    }
    return true;
}

static void receive(StreamLink *link)
{
    for (int i = 0; i < READS_AT_ONCE && net_backend_room(link->backend); i++) {
        g_autoptr(GError) error = NULL;
        gssize n = g_socket_receive(link->peer, (char *)link->in + link->in_end,
                                    IN_SIZE - link->in_end, NULL, &error);
        if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
            return;
        if (n <= 0) {
            lose_peer(link, error ? error->message : "it has gone");
            return;
        }
        link->in_end += (size_t)n;
        if (!deliver_frames(link)) {
            refuse_peer(link);
            return;
        }
    }
    /* A card with no room: the peer has to wait, stream_link_resume() goes on. */
    if (!net_backend_room(link->backend))
        drop_source(&link->reading);
}

static gboolean readable(GSocket *socket, GIOCondition condition, gpointer data)
{
    StreamLink *link = data;
    Board *board = link->backend->board;

    board_lock(board);
    if (link->reading)
        receive(link);
    board_unlock(board);
    return G_SOURCE_CONTINUE;
}

void stream_link_resume(StreamLink *link)
{
    if (!link->connected || link->reading)
        return;
    if (!deliver_frames(link))
        refuse_peer(link);
    else if (net_backend_room(link->backend))
        watch(link, &link->reading, link->peer, G_IO_IN, readable);
}

/* --- sending ---------------------------------------------------------------------------------- */

static gboolean writable(GSocket *socket, GIOCondition condition, gpointer data)
{
    StreamLink *link = data;
    Board *board = link->backend->board;

    board_lock(board);
    drop_source(&link->writing);
    stream_link_flush(link);
    board_unlock(board);
    return G_SOURCE_REMOVE;
}

void stream_link_flush(StreamLink *link)
{
    while (link->connected && !link->writing && link->out_done < link->out->len) {
        g_autoptr(GError) error = NULL;
        gssize n = g_socket_send(link->peer, (const char *)link->out->data + link->out_done,
                                 link->out->len - link->out_done, NULL, &error);
        if (n >= 0) {
            link->out_done += (size_t)n;
        } else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
            watch(link, &link->writing, link->peer, G_IO_OUT, writable);
            return;
        } else {
            /* The reading side notices the end and tells of it. */
            link->out_done = link->out->len;
        }
    }
    if (link->out_done == link->out->len) {
        g_byte_array_set_size(link->out, 0);
        link->out_done = 0;
    }
}

void stream_link_send(StreamLink *link, const uint8_t *frame, size_t length)
{
    uint8_t header[LENGTH_SIZE];

    if (!link->connected || link->out->len - link->out_done > MAX_OUT_BYTES)
        return;
    if (link->out_done > MAX_OUT_BYTES) {
        g_byte_array_remove_range(link->out, 0, (guint)link->out_done);
        link->out_done = 0;
    }
    put_be32(header, (uint32_t)length);
    g_byte_array_append(link->out, header, sizeof header);
    g_byte_array_append(link->out, frame, (guint)length);
    if (link->out->len - link->out_done >= FLUSH_BYTES)
        stream_link_flush(link);
}

/* --- finding the peer ------------------------------------------------------------------------- */

static void peer_found(StreamLink *link, GSocketAddress *address)
{
    link->connected = true;
    link->complained = false;
    if (g_socket_get_family(link->peer) != G_SOCKET_FAMILY_UNIX)
        g_socket_set_option(link->peer, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
    link->peer_name = address && !G_IS_UNIX_SOCKET_ADDRESS(address) ? socket_address_format(address)
                                                                    : g_strdup("a local peer");
    watch(link, &link->reading, link->peer, G_IO_IN, readable);
}

static gboolean acceptable(GSocket *socket, GIOCondition condition, gpointer data)
{
    StreamLink *link = data;
    Board *board = link->backend->board;

    board_lock(board);
    GSocket *peer = link->peer ? NULL : g_socket_accept(link->listener, NULL, NULL);
    if (peer) {
        g_autoptr(GSocketAddress) address = g_socket_get_remote_address(peer, NULL);
        g_socket_set_blocking(peer, FALSE);
        link->peer = peer;
        drop_source(&link->accepting); /* others wait until this one goes, as in QEMU */
        peer_found(link, address);
    }
    board_unlock(board);
    return G_SOURCE_CONTINUE;
}

static void wait_for_peer(StreamLink *link)
{
    watch(link, &link->accepting, link->listener, G_IO_IN, acceptable);
}

static void call_failed(StreamLink *link, const GError *error)
{
    Board *board = link->backend->board;
    GSocketAddress *address = link->addresses->pdata[link->next_address];
    g_autofree char *name = socket_address_format(address);

    hang_up(link);
    link->next_address++;
    if (link->next_address < link->addresses->len) {
        call_peer(link);
        return;
    }
    link->next_address = 0;
    if (!link->complained && board->report_error) {
        g_autofree char *text =
            link->retry
                ? g_strdup_printf(_("No machine answers at %s (%s); it is called again until "
                                    "one does."),
                                  name, error->message)
                : g_strdup_printf(_("No machine answers at %s: %s."), name, error->message);
        board->report_error(board, link->backend->id, text);
    }
    link->complained = true;
    call_later(link);
}

static void call_answered(StreamLink *link)
{
    g_autoptr(GError) error = NULL;

    drop_source(&link->connecting);
    if (g_socket_check_connect_result(link->peer, &error))
        peer_found(link, link->addresses->pdata[link->next_address]);
    else
        call_failed(link, error);
}

static gboolean connected(GSocket *socket, GIOCondition condition, gpointer data)
{
    StreamLink *link = data;
    Board *board = link->backend->board;

    board_lock(board);
    if (link->connecting)
        call_answered(link);
    board_unlock(board);
    return G_SOURCE_REMOVE;
}

static void call_peer(StreamLink *link)
{
    GSocketAddress *address = link->addresses->pdata[link->next_address];
    g_autoptr(GError) error = NULL;

    link->peer = socket_for_address(address, G_SOCKET_TYPE_STREAM, &error);
    if (link->peer && g_socket_connect(link->peer, address, NULL, &error))
        peer_found(link, address);
    else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PENDING))
        watch(link, &link->connecting, link->peer, G_IO_OUT, connected);
    else
        call_failed(link, error);
}

/* --- life ------------------------------------------------------------------------------------- */

static StreamLink *new_link(NetBackend *backend)
{
    StreamLink *link = g_new0(StreamLink, 1);

    link->backend = backend;
    link->in = g_malloc(IN_SIZE);
    link->out = g_byte_array_new();
    return link;
}

StreamLink *stream_link_listen(NetBackend *backend, GSocketAddress *address, GError **error)
{
    g_autoptr(GSocket) listener = socket_for_address(address, G_SOCKET_TYPE_STREAM, error);

    if (!listener || !socket_bind(listener, address, error) || !g_socket_listen(listener, error))
        return NULL;
    StreamLink *link = new_link(backend);
    link->own = g_object_ref(address);
    link->listener = g_steal_pointer(&listener);
    wait_for_peer(link);
    return link;
}

StreamLink *stream_link_connect(NetBackend *backend, GPtrArray *addresses, unsigned retry)
{
    StreamLink *link = new_link(backend);

    link->addresses = addresses;
    link->retry = retry;
    call_peer(link);
    return link;
}

void stream_link_free(StreamLink *link)
{
    if (!link)
        return;
    drop_source(&link->accepting);
    drop_source(&link->waiting);
    stream_link_flush(link);
    hang_up(link);
    if (link->listener) {
        g_socket_close(link->listener, NULL);
        if (G_IS_UNIX_SOCKET_ADDRESS(link->own))
            g_unlink(g_unix_socket_address_get_path(G_UNIX_SOCKET_ADDRESS(link->own)));
        g_object_unref(link->listener);
        g_object_unref(link->own);
    }
    if (link->addresses)
        g_ptr_array_unref(link->addresses);
    g_byte_array_unref(link->out);
    g_free(link->in);
    g_free(link);
}

void stream_link_describe(StreamLink *link, GString *out)
{
    GSocketAddress *address =
        link->listener ? link->own : link->addresses->pdata[link->next_address];
    g_autofree char *name = socket_address_format(address);

    g_string_append_printf(out, "%s=%s", link->listener ? "listen" : "connect", name);
    if (link->connected)
        g_string_append_printf(out, ",connected to %s", link->peer_name);
    else
        g_string_append(out, ",not connected");
}
