/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The VNC server of a build without libvncserver: always off. */

#include "core/remote/vnc.h"

#include "core/config/vnc-spec.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

static bool refuse(GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                _("This Apiary was built without its VNC server (meson option vnc)."));
    return false;
}

bool vnc_is_available(void)
{
    return false;
}

VncServer *vnc_server_new(Display *display, const VncOps *ops, void *opaque)
{
    return NULL;
}

void vnc_server_free(VncServer *server)
{
}

bool vnc_server_open(VncServer *server, const char *text, const char *name, GError **error)
{
    g_autoptr(VncSpec) spec = vnc_spec_parse(text, error);

    return spec && (spec->off || refuse(error));
}

void vnc_server_close(VncServer *server)
{
}

void vnc_server_set_absolute(VncServer *server, bool absolute)
{
}

bool vnc_server_set_password(VncServer *server, const char *password, GError **error)
{
    return refuse(error);
}

bool vnc_server_expire_password(VncServer *server, const char *when, GError **error)
{
    return refuse(error);
}

bool vnc_server_disconnect(VncServer *server, uint64_t id, GError **error)
{
    return refuse(error);
}

bool vnc_server_take_input(VncServer *server, MachineCommand *command)
{
    return false;
}

char *vnc_server_query(VncServer *server)
{
    return g_strdup("{\"enabled\":false,\"clients\":[]}");
}

char *vnc_server_query_clients(VncServer *server)
{
    return g_strdup("[]");
}

char *vnc_server_describe(VncServer *server)
{
    return g_strdup("Server: disabled\n");
}
