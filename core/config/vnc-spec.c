/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/config/vnc-spec.h"

#include "core/config/options.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

#define MAX_DISPLAY     (65535 - VNC_BASE_PORT)
#define MAX_CONNECTIONS 64
#define CONNECTIONS     32

static const OptionInfo vnc_options[] = {
    {"vnc", OPTION_STRING, NULL, 0, 0, NULL, N_("[HOST]:DISPLAY, unix:PATH or none")},
    {"password", OPTION_BOOL, "off", 0, 0, NULL,
     N_("clients need the password set_password gives")},
    {"share", OPTION_ENUM, "allow-exclusive", 0, 0, "allow-exclusive|force-shared|ignore",
     N_("what a client may do that wants to be alone")},
    {"to", OPTION_UINT, NULL, 0, MAX_DISPLAY, NULL, N_("the last display to try")},
    {"connections", OPTION_UINT, G_STRINGIFY(CONNECTIONS), 1, MAX_CONNECTIONS, NULL,
     N_("clients at once")},
    {NULL},
};

static const char *const share_names[] = {
    [VNC_SHARE_ALLOW_EXCLUSIVE] = "allow-exclusive",
    [VNC_SHARE_FORCE_SHARED] = "force-shared",
    [VNC_SHARE_IGNORE] = "ignore",
};

/* QEMU's other options, with the reason why they are refused. */
static const struct {
    const char *name, *reason;
} refused[] = {
    {"acl", N_("access lists are not there; use password=on and an SSH tunnel")},
    {"audiodev", N_("there is no sound over VNC")},
    {"head", N_("the machine has one screen")},
    {"id", N_("the machine has one VNC server")},
    {"key-delay-ms", N_("the keyboard controller paces the keys itself")},
    {"lossy", N_("the client chooses its encodings")},
    {"non-adaptive", N_("the client chooses its encodings")},
    {"password-secret", N_("use password=on and set_password")},
    {"power-control", N_("clients cannot switch the machine off")},
    {"reverse", N_("the server makes no connections of its own")},
    {"sasl", N_("SASL is not there; use password=on and an SSH tunnel")},
    {"tls-creds", N_("TLS is not there; use an SSH tunnel")},
    {"websocket", N_("a browser's pages could reach it; use an SSH tunnel")},
};

static bool check_refused(const char *text, GError **error)
{
    for (;;) {
        g_autofree char *part = option_next_part(&text);
        if (!part)
            return true;
        part[strcspn(part, "=")] = '\0';
        for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
            if (g_str_equal(refused[i].name, part))
                return option_refuse(error, "%s: %s.", part, _(refused[i].reason));
    }
}

/* "HOST:DISPLAY"; an IPv6 address stands in brackets. */
static bool parse_address(VncSpec *spec, const char *text, GError **error)
{
    const char *colon = strrchr(text, ':');
    guint64 display;

    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 0, MAX_DISPLAY, &display, NULL))
        return option_refuse(
            error, "\"%s\" is not [HOST]:DISPLAY with a display from 0 to %d (port %d and up).",
            text, MAX_DISPLAY, VNC_BASE_PORT);
    spec->host = g_strndup(text, colon - text);
    size_t length = strlen(spec->host);
    if (length > 2 && spec->host[0] == '[' && spec->host[length - 1] == ']') {
        memmove(spec->host, spec->host + 1, length - 2);
        spec->host[length - 2] = '\0';
    }
    /* Control of a machine is nothing to offer to a network unasked. */
    if (!*spec->host || g_str_equal(spec->host, "localhost")) {
        g_free(spec->host);
        spec->host = g_strdup("127.0.0.1");
    }
    if (!g_hostname_is_ip_address(spec->host))
        return option_refuse(error, "\"%s\" is not a numeric host address.", spec->host);
    spec->port = spec->last_port = (uint16_t)(VNC_BASE_PORT + display);
    return true;
}

static bool fill(VncSpec *spec, const OptionValues *values, GError **error)
{
    const char *address = option_string(values, "vnc");

    if (!address)
        return option_refuse(error, "needs an address: [HOST]:DISPLAY, unix:PATH or none.");
    spec->off = g_str_equal(address, "none");
    spec->password = option_bool(values, "password");
    spec->connections = (unsigned)option_uint(values, "connections");
    while (!g_str_equal(share_names[spec->share], option_string(values, "share")))
        spec->share++; /* the option's table lets no other word in */
    if (spec->off)
        return true;
    if (g_str_has_prefix(address, "unix:")) {
        spec->path = g_strdup(address + strlen("unix:"));
        if (!*spec->path)
            return option_refuse(error, "unix: needs the path of a socket.");
        return !option_is_set(values, "to") || option_refuse(error, "to= goes with a TCP display.");
    }
    if (!parse_address(spec, address, error))
        return false;
    if (option_is_set(values, "to")) {
        spec->last_port = (uint16_t)(VNC_BASE_PORT + option_uint(values, "to"));
        if (spec->last_port < spec->port)
            return option_refuse(error, "to=%u lies before the display %u.",
                                 spec->last_port - VNC_BASE_PORT, spec->port - VNC_BASE_PORT);
    }
    return true;
}

VncSpec *vnc_spec_parse(const char *text, GError **error)
{
    g_autoptr(OptionValues) values = option_values_new(vnc_options);
    g_autoptr(VncSpec) spec = g_new0(VncSpec, 1);

    if (!check_refused(text, error) || !option_values_parse(values, text, "vnc", error) ||
        !fill(spec, values, error))
        return NULL;
    return g_steal_pointer(&spec);
}

char *vnc_spec_format(const VncSpec *spec)
{
    GString *text = g_string_new(NULL);

    if (spec->off)
        return g_string_free(g_string_append(text, "none"), FALSE);
    if (spec->path) {
        /* A comma in a value is written twice, as in all of QEMU's options. */
        g_auto(GStrv) parts = g_strsplit(spec->path, ",", -1);
        g_autofree char *path = g_strjoinv(",,", parts);
        g_string_append_printf(text, "unix:%s", path);
    } else {
        const char *host = g_str_equal(spec->host, "127.0.0.1") ? "" : spec->host;
        bool ipv6 = strchr(host, ':');
        g_string_append_printf(text, ipv6 ? "[%s]:%u" : "%s:%u", host, spec->port - VNC_BASE_PORT);
        if (spec->last_port != spec->port)
            g_string_append_printf(text, ",to=%u", spec->last_port - VNC_BASE_PORT);
    }
    if (spec->password)
        g_string_append(text, ",password=on");
    if (spec->share != VNC_SHARE_ALLOW_EXCLUSIVE)
        g_string_append_printf(text, ",share=%s", share_names[spec->share]);
    if (spec->connections != CONNECTIONS)
        g_string_append_printf(text, ",connections=%u", spec->connections);
    return g_string_free(text, FALSE);
}

void vnc_spec_free(VncSpec *spec)
{
    if (!spec)
        return;
    g_free(spec->path);
    g_free(spec->host);
    g_free(spec);
}
