/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/net/socket-address.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define OWN_ADDRESS "127.0.0.1"

static GSocketConnectable *parse(const char *text, GError **error)
{
    const char *colon = strrchr(text, ':');
    g_autofree char *full = *text == ':' ? g_strconcat(OWN_ADDRESS, text, NULL) : g_strdup(text);
    guint64 port;

    if (colon && g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL)) {
        GSocketConnectable *address = g_network_address_parse(full, 0, NULL);
        if (address)
            return address;
    }
    option_refuse(error, "\"%s\" is not [HOST]:PORT, like 127.0.0.1:4000.", text);
    return NULL;
}

bool socket_address_check(const char *text, GError **error)
{
    g_autoptr(GSocketConnectable) address = parse(text, error);

    return address;
}

static GPtrArray *resolve(GSocketConnectable *name, GError **error)
{
    g_autoptr(GSocketAddressEnumerator) enumerator = g_socket_connectable_enumerate(name);
    g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_object_unref);
    GError *local = NULL;
    GSocketAddress *address;

    while ((address = g_socket_address_enumerator_next(enumerator, NULL, &local)))
        g_ptr_array_add(addresses, address);
    if (addresses->len) {
        g_clear_error(&local);
        return g_steal_pointer(&addresses);
    }
    if (local)
        g_propagate_error(error, local);
    else
        option_refuse(error, "the name has no address.");
    return NULL;
}

GPtrArray *socket_address_resolve(const char *text, GError **error)
{
    g_autoptr(GSocketConnectable) name = parse(text, error);
    GPtrArray *addresses = name ? resolve(name, error) : NULL;

    if (name && !addresses)
        g_prefix_error(error, "%s: ", text);
    return addresses;
}

/* --- the longer form -------------------------------------------------------------------------- */

static const char *part(const OptionValues *values, const char *prefix, const char *name)
{
    g_autofree char *key = g_strconcat(prefix, ".", name, NULL);

    return option_string(values, key);
}

static bool is_unix(const OptionValues *values, const char *prefix)
{
    return g_strcmp0(part(values, prefix, "type"), "unix") == 0;
}

static char *host_and_port(const OptionValues *values, const char *prefix)
{
    const char *host = part(values, prefix, "host"), *port = part(values, prefix, "port");
    bool is_ipv6 = host && strchr(host, ':');

    return g_strdup_printf("%s%s%s:%s", is_ipv6 ? "[" : "", host ? host : "", is_ipv6 ? "]" : "",
                           port ? port : "");
}

bool socket_address_check_options(const OptionValues *values, const char *prefix, GError **error)
{
    const char *path = part(values, prefix, "path");

    if (!part(values, prefix, "type"))
        return option_refuse(error, "needs %s.type=inet or %s.type=unix.", prefix, prefix);
    if (is_unix(values, prefix)) {
        if (!path || !*path)
            return option_refuse(error, "needs %s.path=.", prefix);
        return strlen(path) < sizeof(((struct sockaddr_un *)NULL)->sun_path) ||
               option_refuse(error, "%s.path=%s: too long for the name of a socket.", prefix, path);
    }
    g_autofree char *text = host_and_port(values, prefix);
    if (socket_address_check(text, error))
        return true;
    g_prefix_error(error, "%s.host, %s.port: ", prefix, prefix);
    return false;
}

GPtrArray *socket_address_resolve_options(const OptionValues *values, const char *prefix,
                                          GError **error)
{
    if (!is_unix(values, prefix)) {
        g_autofree char *text = host_and_port(values, prefix);
        return socket_address_resolve(text, error);
    }
    GPtrArray *addresses = g_ptr_array_new_with_free_func(g_object_unref);
    g_ptr_array_add(addresses, g_unix_socket_address_new(part(values, prefix, "path")));
    return addresses;
}

/* --- sockets ---------------------------------------------------------------------------------- */

char *socket_address_format(GSocketAddress *address)
{
    if (G_IS_UNIX_SOCKET_ADDRESS(address))
        return g_strdup(g_unix_socket_address_get_path(G_UNIX_SOCKET_ADDRESS(address)));
    return g_socket_connectable_to_string(G_SOCKET_CONNECTABLE(address));
}

GSocket *socket_for_address(GSocketAddress *address, GSocketType type, GError **error)
{
    GSocket *socket =
        g_socket_new(g_socket_address_get_family(address), type, G_SOCKET_PROTOCOL_DEFAULT, error);

    if (socket)
        g_socket_set_blocking(socket, FALSE);
    return socket;
}

/* A socket file on which nobody listens. */
static bool is_abandoned(const char *path, GSocketAddress *address, GSocketType type)
{
    GStatBuf info;
    g_autoptr(GSocket) probe = NULL;
    g_autoptr(GError) error = NULL;

    if (g_lstat(path, &info) != 0 || !S_ISSOCK(info.st_mode))
        return false;
    probe = socket_for_address(address, type, NULL);
    return probe && !g_socket_connect(probe, address, NULL, &error) &&
           g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
}

bool socket_bind(GSocket *socket, GSocketAddress *address, GError **error)
{
    g_autofree char *text = socket_address_format(address);
    /* Two programs may share a UDP port that both bind with reuse; that is not wanted here. */
    bool reuse = g_socket_get_socket_type(socket) == G_SOCKET_TYPE_STREAM;
    GError *local = NULL;

    if (G_IS_UNIX_SOCKET_ADDRESS(address) &&
        is_abandoned(text, address, g_socket_get_socket_type(socket)))
        g_unlink(text);
    if (g_socket_bind(socket, address, reuse, &local))
        return true;
    if (g_error_matches(local, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE))
        option_refuse(error, "%s is in use by another program; choose another.", text);
    else
        option_refuse(error, "%s cannot be opened: %s.", text, local->message);
    g_error_free(local);
    return false;
}
