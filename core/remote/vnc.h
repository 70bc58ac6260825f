/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The VNC server of a machine (RFB, RFC 6143). Each client has a thread of its own, its own copy of
 * the picture and its own libvncserver screen, so that a slow one holds up nobody. Nobody reaches
 * libvncserver before the handshake (vnc-handshake.c) has let him in.
 *
 * Functions are called on any thread but a client's and do not wait for clients.
 */

#include "core/machine/machine.h"

typedef struct VncServer VncServer;

/* Called until vnc_server_free() returns. */
typedef struct {
    /* On clients' threads. */
    void (*input)(void *opaque); /* vnc_server_take_input() has something */
    /* NAME and DATA (JSON) are those of QMP's event: VNC_CONNECTED... */
    void (*event)(void *opaque, const char *name, const char *data);
    /* The server is on, off or somewhere else now. On the thread that did it. */
    void (*changed)(void *opaque);
} VncOps;

/* False when this build has no VNC server; vnc_server_open() says so. */
bool vnc_is_available(void);

/* Listens on nothing yet. DISPLAY outlives it. */
VncServer *vnc_server_new(Display *display, const VncOps *ops, void *opaque);
/* Lets all clients go and waits for their threads. */
void vnc_server_free(VncServer *server);

/* Listens on SPEC (core/config/vnc-spec.h) instead of what was before, whose clients are let go.
 * When that fails the server is off. NAME is shown to clients. */
bool vnc_server_open(VncServer *server, const char *spec, const char *name, GError **error);
void vnc_server_close(VncServer *server);
/* The guest's pointer takes positions. */
void vnc_server_set_absolute(VncServer *server, bool absolute);

/* For clients that come from now on. Only VNC_PASSWORD_LENGTH bytes count; more is an error that
 * says so, as is a server that asks for none. NULL lets nobody in. */
#define VNC_PASSWORD_LENGTH 8
bool vnc_server_set_password(VncServer *server, const char *password, GError **error);
/* WHEN is QMP's expire_password time: "now", "never", "+SECONDS" or seconds since 1970. */
bool vnc_server_expire_password(VncServer *server, const char *when, GError **error);

/* Hangs up on a client, by its id of vnc_server_query_clients(). */
bool vnc_server_disconnect(VncServer *server, uint64_t id, GError **error);

/* The oldest key or pointer event of the clients. False when there is none. */
bool vnc_server_take_input(VncServer *server, MachineCommand *command);

char *vnc_server_query(VncServer *server); /* JSON of QMP's query-vnc */
/* JSON for windows: an array of id, host, service (both "" on a Unix socket), family, since
 * (seconds since 1970) and admitted (the handshake is over). */
char *vnc_server_query_clients(VncServer *server);
char *vnc_server_describe(VncServer *server); /* `info vnc` */
