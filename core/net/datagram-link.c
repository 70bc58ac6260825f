/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/net/datagram-link.h"

#include "core/net/socket-address.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define READS_AT_ONCE 64 /* before others have the board again */
#define BUFFER_BYTES  (1 << 20)
#define RETRY_MS      1

struct DatagramLink {
    NetBackend *backend;
    GSocketAddress *own, *peer; /* of a group: the group, both */
    GSocket *in;
    GSocket *out;         /* of a group: one of our own port, by which our datagrams are known */
    GSocketAddress *mark; /* its address, NULL: datagrams do not come back */
    GSource *reading;
    GQueue waiting; /* GBytes*, that the host does not take yet */
    GSource *retry; /* set while there are some */
    uint8_t *frame; /* NET_MAX_FRAME + 1 bytes */
};

static void drop_source(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

/* Datagrams to a group come back to their sender as well. */
static bool is_own(const DatagramLink *link, GSocketAddress *from)
{
    if (!link->mark || !G_IS_INET_SOCKET_ADDRESS(from))
        return false;
    GInetSocketAddress *mark = G_INET_SOCKET_ADDRESS(link->mark),
                       *other = G_INET_SOCKET_ADDRESS(from);
    return g_inet_socket_address_get_port(mark) == g_inet_socket_address_get_port(other) &&
           g_inet_address_equal(g_inet_socket_address_get_address(mark),
                                g_inet_socket_address_get_address(other));
}

static void receive(DatagramLink *link)
{
    for (int i = 0; i < READS_AT_ONCE && net_backend_room(link->backend); i++) {
        g_autoptr(GSocketAddress) from = NULL;
        g_autoptr(GError) error = NULL;
        gssize n = g_socket_receive_from(link->in, link->mark ? &from : NULL, (char *)link->frame,
                                         NET_MAX_FRAME + 1, NULL, &error);
        /* Other errors are earlier datagrams that found nobody; they were reported to us once. */
        if (n < 0 && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
            return;
        if (n > 0 && !is_own(link, from))
            net_backend_deliver(link->backend, link->frame, (size_t)n);
    }
    if (!net_backend_room(link->backend))
        drop_source(&link->reading);
}

static gboolean readable(GSocket *socket, GIOCondition condition, gpointer data)
{
    DatagramLink *link = data;
    Board *board = link->backend->board;

    board_lock(board);
    if (link->reading)
        receive(link);
    board_unlock(board);
    return G_SOURCE_CONTINUE;
}

void datagram_link_resume(DatagramLink *link)
{
    if (link->reading)
        return;
    link->reading = g_socket_create_source(link->in, G_IO_IN, NULL);
    g_source_set_callback(link->reading, G_SOURCE_FUNC(readable), link, NULL);
    board_attach(link->backend->board, link->reading);
}

/* False when it has to wait; what fails otherwise (nobody there) is lost, as on a wire. */
static bool send_now(DatagramLink *link, const uint8_t *frame, size_t length)
{
    g_autoptr(GError) error = NULL;

    return g_socket_send_to(link->out, link->peer, (const char *)frame, length, NULL, &error) >=
               0 ||
           !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
}

static gboolean send_waiting(gpointer data)
{
    DatagramLink *link = data;
    Board *board = link->backend->board;
    GBytes *bytes;

    board_lock(board);
    while ((bytes = g_queue_peek_head(&link->waiting))) {
        gsize length;
        const uint8_t *frame = g_bytes_get_data(bytes, &length);
        if (!send_now(link, frame, length))
            break;
        g_bytes_unref(g_queue_pop_head(&link->waiting));
    }
    bool again = !g_queue_is_empty(&link->waiting);
    if (!again)
        g_clear_pointer(&link->retry, g_source_unref);
    board_unlock(board);
    return again;
}

void datagram_link_send(DatagramLink *link, const uint8_t *frame, size_t length)
{
    if (g_queue_is_empty(&link->waiting) && send_now(link, frame, length))
        return;
    if (g_queue_get_length(&link->waiting) >= NET_QUEUE_FRAMES)
        return;
    g_queue_push_tail(&link->waiting, g_bytes_new(frame, length));
    if (link->retry)
        return;
    /* That a peer's Unix socket has room again cannot be waited for by poll(). */
    link->retry = g_timeout_source_new(RETRY_MS);
    g_source_set_callback(link->retry, send_waiting, link, NULL);
    board_attach(link->backend->board, link->retry);
}

/* --- life ------------------------------------------------------------------------------------- */

static DatagramLink *new_link(NetBackend *backend, GSocketAddress *own, GSocketAddress *peer,
                              GSocket *in, GSocket *out)
{
    DatagramLink *link = g_new0(DatagramLink, 1);

    link->backend = backend;
    link->own = g_object_ref(own);
    link->peer = g_object_ref(peer);
    link->in = g_object_ref(in);
    link->out = g_object_ref(out);
    g_queue_init(&link->waiting);
    link->frame = g_malloc(NET_MAX_FRAME + 1);
    g_socket_set_option(in, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES, NULL);
    datagram_link_resume(link);
    return link;
}

DatagramLink *datagram_link_new(NetBackend *backend, GSocketAddress *own, GSocketAddress *peer,
                                GError **error)
{
    if (g_socket_address_get_family(own) != g_socket_address_get_family(peer)) {
        g_set_error_literal(error, option_error_quark(), 0,
                            _("both ends must be of one kind: IPv4, IPv6 or Unix."));
        return NULL;
    }
    g_autoptr(GSocket) socket = socket_for_address(own, G_SOCKET_TYPE_DATAGRAM, error);
    if (!socket || !socket_bind(socket, own, error))
        return NULL;
    return new_link(backend, own, peer, socket, socket);
}

static in_addr_t ipv4_bytes(GInetAddress *address)
{
    in_addr_t bytes;

    memcpy(&bytes, g_inet_address_to_bytes(address), sizeof bytes);
    return bytes;
}

static bool join(GSocket *in, GSocket *out, GInetAddress *group, GInetAddress *interface,
                 GError **error)
{
    struct ip_mreq request = {
        .imr_multiaddr.s_addr = ipv4_bytes(group),
        .imr_interface.s_addr = interface ? ipv4_bytes(interface) : INADDR_ANY,
    };
    g_autofree char *name = g_inet_address_to_string(group);

    if (setsockopt(g_socket_get_fd(in), IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request) ==
            0 &&
        (!interface || setsockopt(g_socket_get_fd(out), IPPROTO_IP, IP_MULTICAST_IF,
                                  &request.imr_interface, sizeof request.imr_interface) == 0)) {
        g_socket_set_multicast_loopback(out, TRUE); /* others on this computer */
        return true;
    }
    g_set_error(
        error, option_error_quark(), 0,
        _("the multicast group %s cannot be joined: %s; localaddr= names the host address to "
          "use."),
        name, g_strerror(errno));
    return false;
}

DatagramLink *datagram_link_join(NetBackend *backend, GInetSocketAddress *group,
                                 GInetAddress *interface, GError **error)
{
    GSocketAddress *address = G_SOCKET_ADDRESS(group);
    g_autoptr(GSocket) in = socket_for_address(address, G_SOCKET_TYPE_DATAGRAM, error);
    g_autoptr(GSocket) out = socket_for_address(address, G_SOCKET_TYPE_DATAGRAM, error);

    if (!in || !out || !g_socket_bind(in, address, TRUE, error) ||
        !join(in, out, g_inet_socket_address_get_address(group), interface, error))
        return NULL;
    if (!g_socket_connect(out, address, NULL, error)) {
        g_prefix_error(error, _("the multicast group cannot be reached (localaddr= names the host "
                                "address to use): "));
        return NULL;
    }
    DatagramLink *link = new_link(backend, address, address, in, out);
    link->mark = g_socket_get_local_address(out, NULL);
    return link;
}

void datagram_link_free(DatagramLink *link)
{
    if (!link)
        return;
    drop_source(&link->reading);
    drop_source(&link->retry);
    g_queue_clear_full(&link->waiting, (GDestroyNotify)g_bytes_unref);
    if (G_IS_UNIX_SOCKET_ADDRESS(link->own))
        g_unlink(g_unix_socket_address_get_path(G_UNIX_SOCKET_ADDRESS(link->own)));
    g_object_unref(link->in);
    g_object_unref(link->out);
    g_object_unref(link->own);
    g_object_unref(link->peer);
    g_clear_object(&link->mark);
    g_free(link->frame);
    g_free(link);
}

void datagram_link_describe(DatagramLink *link, GString *out)
{
    g_autofree char *own = socket_address_format(link->own);
    g_autofree char *peer = socket_address_format(link->peer);

    if (link->mark)
        g_string_append_printf(out, "mcast=%s", own);
    else
        g_string_append_printf(out, "udp=%s,localaddr=%s", peer, own);
}
