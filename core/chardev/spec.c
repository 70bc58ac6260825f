/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/chardev/spec.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

void chardev_spec_free(ChardevSpec *spec)
{
    if (!spec)
        return;
    g_free(spec->id);
    g_free(spec->path);
    g_free(spec->host);
    g_free(spec);
}

/* Splits at single commas; ",," is a comma inside a value. */
static GPtrArray *split(const char *text)
{
    GPtrArray *parts = g_ptr_array_new_with_free_func(g_free);
    GString *part = g_string_new(NULL);

    for (const char *c = text;; c++) {
        if (*c == ',' && c[1] == ',') {
            g_string_append_c(part, *c++);
        } else if (*c == ',' || !*c) {
            g_ptr_array_add(parts, g_string_free(part, FALSE));
            if (!*c)
                return parts;
            part = g_string_new(NULL);
        } else {
            g_string_append_c(part, *c);
        }
    }
}

static bool parse_switch(const char *key, const char *value, bool *result, GError **error)
{
    if (g_str_equal(value, "on") || g_str_equal(value, "yes")) {
        *result = true;
    } else if (g_str_equal(value, "off") || g_str_equal(value, "no")) {
        *result = false;
    } else {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("\"%s\" must be on or off, not \"%s\"."), key, value);
        return false;
    }
    return true;
}

static bool parse_port(const char *text, uint16_t *port, GError **error)
{
    guint64 value;

    if (!g_ascii_string_to_unsigned(text, 10, 1, 65535, &value, NULL)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("\"%s\" is not a port number from 1 to 65535."), text);
        return false;
    }
    *port = value;
    return true;
}

static bool parse_option(ChardevSpec *spec, const char *option, GError **error)
{
    const char *equals = strchr(option, '=');
    g_autofree char *key = equals ? g_strndup(option, equals - option) : g_strdup(option);
    const char *value = equals ? equals + 1 : "on";

    if (g_str_equal(key, "server"))
        return parse_switch(key, value, &spec->server, error);
    if (g_str_equal(key, "wait"))
        return parse_switch(key, value, &spec->wait, error);
    if (g_str_equal(key, "nowait") && !equals) {
        spec->wait = false;
        return true;
    }
    if (g_str_equal(key, "append"))
        return parse_switch(key, value, &spec->append, error);
    if (g_str_equal(key, "port"))
        return parse_port(value, &spec->port, error);
    char **text = g_str_equal(key, "path")   ? &spec->path
                  : g_str_equal(key, "host") ? &spec->host
                  : g_str_equal(key, "id")   ? &spec->id
                                             : NULL;
    if (!text) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("Option \"%s\" is not known for a character back end."), key);
        return false;
    }
    g_free(*text);
    *text = g_strdup(value);
    return true;
}

/* What stands before the first comma: the kind, in the short form with its address. */
static bool parse_head(ChardevSpec *spec, const char *head, GError **error)
{
    static const struct {
        const char *name;
        ChardevKind kind;
    } plain[] = {
        {"null", CHARDEV_NULL},   {"none", CHARDEV_NULL},       {"vc", CHARDEV_VC},
        {"stdio", CHARDEV_STDIO}, {"mon:stdio", CHARDEV_STDIO}, {"pty", CHARDEV_PTY},
        {"file", CHARDEV_FILE},   {"socket", CHARDEV_SOCKET},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(plain); i++) {
        if (g_str_equal(head, plain[i].name)) {
            spec->kind = plain[i].kind;
            return true;
        }
    }
    if (g_str_has_prefix(head, "file:")) {
        spec->kind = CHARDEV_FILE;
        spec->path = g_strdup(head + strlen("file:"));
        return true;
    }
    if (g_str_has_prefix(head, "unix:")) {
        spec->kind = CHARDEV_SOCKET;
        spec->path = g_strdup(head + strlen("unix:"));
        return true;
    }
    if (g_str_has_prefix(head, "tcp:")) {
        const char *colon = strrchr(head, ':');
        spec->kind = CHARDEV_SOCKET;
        if (colon > head + 3)
            spec->host = g_strndup(head + 4, colon - head - 4);
        return parse_port(colon + 1, &spec->port, error);
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                _("\"%s\" is not a character back end; use stdio, file:PATH, pty, unix:PATH, "
                  "tcp:HOST:PORT, vc or null."),
                head);
    return false;
}

ChardevSpec *chardev_spec_parse(const char *text, GError **error)
{
    g_autoptr(ChardevSpec) spec = g_new0(ChardevSpec, 1);
    g_autoptr(GPtrArray) parts = split(text);

    spec->wait = true;
    if (!parse_head(spec, parts->pdata[0], error))
        return NULL;
    for (guint i = 1; i < parts->len; i++)
        if (!parse_option(spec, parts->pdata[i], error))
            return NULL;
    spec->wait = spec->wait && spec->server;
    if (spec->kind == CHARDEV_FILE && (!spec->path || !*spec->path)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("\"%s\" names no file; write file:PATH."), text);
        return NULL;
    }
    if (spec->kind == CHARDEV_SOCKET && !spec->path && !spec->port) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("\"%s\" needs a path or a port."), text);
        return NULL;
    }
    return g_steal_pointer(&spec);
}
