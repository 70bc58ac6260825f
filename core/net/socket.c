/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/net/socket.h"

#include "core/net/datagram-link.h"
#include "core/net/socket-address.h"
#include "core/net/stream-link.h"

#include <glib/gi18n.h>

typedef struct {
    NetBackend backend;
    StreamLink *stream; /* one of the two */
    DatagramLink *datagram;
} SocketNet;

static const OptionInfo socket_options[] = {
    {"id", OPTION_STRING, NULL, 0, 0, NULL, N_("name of the network")},
    {"listen", OPTION_STRING, NULL, 0, 0, NULL,
     N_("[HOST]:PORT where one other machine may connect")},
    {"connect", OPTION_STRING, NULL, 0, 0, NULL, N_("HOST:PORT where the other machine listens")},
    {"mcast", OPTION_STRING, NULL, 0, 0, NULL, N_("GROUP:PORT that any number of machines share")},
    {"udp", OPTION_STRING, NULL, 0, 0, NULL, N_("HOST:PORT of the other machine; needs localaddr")},
    {"localaddr", OPTION_STRING, NULL, 0, 0, NULL,
     N_("with udp: own [HOST]:PORT; with mcast: host address of the interface")},
    {"reconnect", OPTION_UINT, "1", 0, 3600, NULL,
     N_("seconds between two calls of connect=; 0: one")},
    {.name = NULL},
};

static const OptionInfo stream_options[] = {
    {"id", OPTION_STRING, NULL, 0, 0, NULL, N_("name of the network")},
    {"server", OPTION_BOOL, "off", 0, 0, NULL,
     N_("wait for the other machine instead of calling it")},
    {"addr.type", OPTION_ENUM, NULL, 0, 0, "inet|unix", N_("kind of address")},
    {"addr.host", OPTION_STRING, NULL, 0, 0, NULL, N_("host; 127.0.0.1 when absent")},
    {"addr.port", OPTION_STRING, NULL, 0, 0, NULL, N_("port")},
    {"addr.path", OPTION_STRING, NULL, 0, 0, NULL, N_("Unix socket")},
    {"reconnect", OPTION_UINT, "1", 0, 3600, NULL, N_("seconds between two calls; 0: one")},
    {.name = NULL},
};

static const OptionInfo dgram_options[] = {
    {"id", OPTION_STRING, NULL, 0, 0, NULL, N_("name of the network")},
    {"local.type", OPTION_ENUM, NULL, 0, 0, "inet|unix", N_("kind of the own address")},
    {"local.host", OPTION_STRING, NULL, 0, 0, NULL,
     N_("own host, 127.0.0.1 when absent; with a group: host address of the interface")},
    {"local.port", OPTION_STRING, NULL, 0, 0, NULL, N_("own port")},
    {"local.path", OPTION_STRING, NULL, 0, 0, NULL, N_("own Unix socket")},
    {"remote.type", OPTION_ENUM, NULL, 0, 0, "inet|unix",
     N_("kind of the other machine's address")},
    {"remote.host", OPTION_STRING, NULL, 0, 0, NULL, N_("its host, or a multicast group")},
    {"remote.port", OPTION_STRING, NULL, 0, 0, NULL, N_("its port")},
    {"remote.path", OPTION_STRING, NULL, 0, 0, NULL, N_("its Unix socket")},
    {.name = NULL},
};

/* --- parts of addresses ----------------------------------------------------------------------- */

static GInetAddress *ipv4(const char *text)
{
    GInetAddress *address = text ? g_inet_address_new_from_string(text) : NULL;

    if (address && g_inet_address_get_family(address) != G_SOCKET_FAMILY_IPV4)
        g_clear_object(&address);
    return address;
}

static bool is_group(GSocketAddress *address)
{
    if (!G_IS_INET_SOCKET_ADDRESS(address) ||
        g_socket_address_get_family(address) != G_SOCKET_FAMILY_IPV4)
        return false;
    return g_inet_address_get_is_multicast(
        g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(address)));
}

static bool check_interface(const char *key, const char *text, GError **error)
{
    g_autoptr(GInetAddress) interface = ipv4(text);

    return !text || interface ||
           option_refuse(error,
                         "%s=%s: with a group, the IPv4 address of one of this computer's "
                         "interfaces is meant.",
                         key, text);
}

static DatagramLink *join_group(NetBackend *backend, GSocketAddress *group, const char *interface,
                                GError **error)
{
    g_autoptr(GInetAddress) address = ipv4(interface);

    return datagram_link_join(backend, G_INET_SOCKET_ADDRESS(group), address, error);
}

/* The first of the addresses of TEXT. */
static GSocketAddress *resolve_one(const char *text, GError **error)
{
    g_autoptr(GPtrArray) addresses = socket_address_resolve(text, error);

    return addresses ? g_object_ref(addresses->pdata[0]) : NULL;
}

/* --- -netdev socket --------------------------------------------------------------------------- */

static bool socket_check(const OptionValues *values, GError **error)
{
    static const char *const ways[] = {"listen", "connect", "mcast", "udp"};
    const char *localaddr = option_string(values, "localaddr");
    const char *way = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        if (!option_is_set(values, ways[i]))
            continue;
        if (way)
            return option_refuse(error, "%s= and %s= exclude each other.", way, ways[i]);
        way = ways[i];
        if (!socket_address_check(option_string(values, way), error)) {
            g_prefix_error(error, "%s=: ", way);
            return false;
        }
    }
    if (!way)
        return option_refuse(error, "needs one of listen=, connect=, mcast= and udp=.");
    if (g_str_equal(way, "mcast"))
        return check_interface("localaddr", localaddr, error);
    if (!g_str_equal(way, "udp"))
        return !localaddr ||
               option_refuse(error, "localaddr= goes with udp= or mcast=, not %s=.", way);
    if (!localaddr)
        return option_refuse(error,
                             "udp= needs localaddr=, the address the other machine sends to.");
    if (socket_address_check(localaddr, error))
        return true;
    g_prefix_error(error, "localaddr=: ");
    return false;
}

static bool socket_create(NetBackend *backend, const OptionValues *values, GError **error)
{
    SocketNet *net = (SocketNet *)backend;
    const char *listen = option_string(values, "listen"), *call = option_string(values, "connect");
    const char *group = option_string(values, "mcast"), *local = option_string(values, "localaddr");

    if (call) {
        GPtrArray *addresses = socket_address_resolve(call, error);
        if (addresses)
            net->stream = stream_link_connect(backend, addresses, option_uint(values, "reconnect"));
        return addresses;
    }
    if (listen) {
        g_autoptr(GSocketAddress) own = resolve_one(listen, error);
        net->stream = own ? stream_link_listen(backend, own, error) : NULL;
        return net->stream;
    }
    g_autoptr(GSocketAddress) peer =
        resolve_one(group ? group : option_string(values, "udp"), error);
    if (!peer)
        return false;
    if (group) {
        if (!is_group(peer))
            return option_refuse(error, "mcast=%s: a group is from 224.0.0.0 to 239.255.255.255.",
                                 group);
        net->datagram = join_group(backend, peer, local, error);
    } else {
        g_autoptr(GSocketAddress) own = resolve_one(local, error);
        net->datagram = own ? datagram_link_new(backend, own, peer, error) : NULL;
    }
    return net->datagram;
}

/* --- -netdev stream --------------------------------------------------------------------------- */

static bool stream_check(const OptionValues *values, GError **error)
{
    return socket_address_check_options(values, "addr", error);
}

static bool stream_create(NetBackend *backend, const OptionValues *values, GError **error)
{
    SocketNet *net = (SocketNet *)backend;
    g_autoptr(GPtrArray) addresses = socket_address_resolve_options(values, "addr", error);

    if (!addresses)
        return false;
    if (option_bool(values, "server"))
        net->stream = stream_link_listen(backend, addresses->pdata[0], error);
    else
        net->stream = stream_link_connect(backend, g_steal_pointer(&addresses),
                                          option_uint(values, "reconnect"));
    return net->stream;
}

/* --- -netdev dgram ---------------------------------------------------------------------------- */

static bool names_group(const OptionValues *values)
{
    g_autoptr(GInetAddress) address = ipv4(option_string(values, "remote.host"));

    return address && g_inet_address_get_is_multicast(address);
}

static bool dgram_check(const OptionValues *values, GError **error)
{
    if (!socket_address_check_options(values, "remote", error))
        return false;
    return names_group(values)
               ? check_interface("local.host", option_string(values, "local.host"), error)
               : socket_address_check_options(values, "local", error);
}

static bool dgram_create(NetBackend *backend, const OptionValues *values, GError **error)
{
    SocketNet *net = (SocketNet *)backend;
    g_autoptr(GPtrArray) peers = socket_address_resolve_options(values, "remote", error);

    if (!peers)
        return false;
    if (is_group(peers->pdata[0])) {
        net->datagram =
            join_group(backend, peers->pdata[0], option_string(values, "local.host"), error);
        return net->datagram;
    }
    g_autoptr(GPtrArray) own = socket_address_resolve_options(values, "local", error);
    net->datagram = own ? datagram_link_new(backend, own->pdata[0], peers->pdata[0], error) : NULL;
    return net->datagram;
}

/* --- operations ------------------------------------------------------------------------------- */

static void send_frame(NetBackend *backend, const uint8_t *frame, size_t length)
{
    SocketNet *net = (SocketNet *)backend;

    if (net->stream)
        stream_link_send(net->stream, frame, length);
    else
        datagram_link_send(net->datagram, frame, length);
}

static void burst_end(NetBackend *backend)
{
    SocketNet *net = (SocketNet *)backend;

    if (net->stream)
        stream_link_flush(net->stream);
}

static void resume(NetBackend *backend)
{
    SocketNet *net = (SocketNet *)backend;

    if (net->stream)
        stream_link_resume(net->stream);
    else
        datagram_link_resume(net->datagram);
}

static void destroy(NetBackend *backend)
{
    SocketNet *net = (SocketNet *)backend;

    stream_link_free(net->stream);
    datagram_link_free(net->datagram);
}

static void describe(NetBackend *backend, GString *out)
{
    SocketNet *net = (SocketNet *)backend;

    if (net->stream)
        stream_link_describe(net->stream, out);
    else
        datagram_link_describe(net->datagram, out);
}

const NetBackendClass socket_backend_class = {
    .name = "socket",
    .title = N_("Private network with other machines (QEMU's older form)"),
    .options = socket_options,
    .instance_size = sizeof(SocketNet),
    .check = socket_check,
    .create = socket_create,
    .send = send_frame,
    .burst_end = burst_end,
    .resume = resume,
    .destroy = destroy,
    .describe = describe,
};

const NetBackendClass stream_backend_class = {
    .name = "stream",
    .title = N_("Private network with one other machine, by TCP or a Unix socket"),
    .options = stream_options,
    .instance_size = sizeof(SocketNet),
    .check = stream_check,
    .create = stream_create,
    .send = send_frame,
    .burst_end = burst_end,
    .resume = resume,
    .destroy = destroy,
    .describe = describe,
};

const NetBackendClass dgram_backend_class = {
    .name = "dgram",
    .title = N_("Private network with other machines, by UDP, multicast or a Unix socket"),
    .options = dgram_options,
    .instance_size = sizeof(SocketNet),
    .check = dgram_check,
    .create = dgram_create,
    .send = send_frame,
    .resume = resume,
    .destroy = destroy,
    .describe = describe,
};
