/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What the files of the VNC server share. */

#include "core/config/vnc-spec.h"
#include "core/remote/vnc-keys.h"
#include "core/remote/vnc.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <json-glib/json-glib.h>

#define VNC_LOG_DOMAIN "apiary-vnc"
#define VNC_MAX_TEXT   (1 << 20) /* bytes of a clipboard; libvncserver's own limit */

/* One place where clients are waited for, from vnc_server_open() to its close. Constant after that,
 * but for the accept thread. */
typedef struct {
    gint references;
    VncSpec *spec;
    char *name;                    /* the machine's, for the clients */
    char *host, *service, *family; /* as QMP names them */
    GSocket *socket;
    int stop_fd; /* eventfd that ends the accept thread */
    GThread *thread;
} VncSession;

typedef struct {
    VncServer *server;
    VncSession *session;
    char *host, *service;
    uint64_t id;   /* no other client of the server has or had it */
    int64_t since; /* when it came, seconds since 1970 */
    int fd;        /* the connection; open as long as the client is in the server's list */
    int wake_fd;   /* eventfd: one of the following has changed, or there is a new picture */
    gint stopping; /* atomic */
    gint absolute; /* atomic: the guest's pointer takes positions */

    /* Under the server's lock. */
    bool admitted;   /* the handshake is over */
    char *clipboard; /* text of another client, for this one; NULL: none waits */

    VncKeys keys; /* from here on the client's own thread only */
    int last_x, last_y;
    unsigned last_buttons;
} VncClient;

struct VncServer {
    Display *display;
    const VncOps *ops;
    void *opaque;

    GMutex lock;         /* guards what follows */
    GCond room;          /* the input queue has room, or a client has gone */
    VncSession *session; /* NULL: off */
    GPtrArray *clients;  /* VncClient*, owned by their threads */
    uint64_t last_id;    /* of a client */
    unsigned threads;    /* of clients, also those that have left the list */
    bool absolute;
    char *password;  /* NULL: nobody gets in */
    int64_t expires; /* seconds since 1970 */
    GArray *input;   /* MachineCommand, the oldest first */
};

void vnc_session_unref(VncSession *session);

/* --- vnc.c, called on a client's thread --- */
void vnc_client_send_event(VncClient *client, const char *name);
/* Hands a key or pointer event to the machine; waits while too many are on their way. */
void vnc_client_send_input(VncClient *client, const MachineCommand *command);
/* Applies the session's rule to a client that wants to be alone (not SHARED). False: it must go. */
bool vnc_client_apply_share(VncClient *client, bool shared);
/* Passes TEXT on to the other clients of the machine. */
void vnc_client_share_text(VncClient *client, const char *text);
/* The password clients need now; NULL when nobody gets in. Caller frees. */
char *vnc_server_current_password(VncServer *server);

/* --- vnc-handshake.c --- */
/* From the greeting to ClientInit. MINOR is the protocol's version, 3, 7 or 8. False: the client is
 * not let in. */
bool vnc_handshake(VncClient *client, int *minor, bool *shared);

/* --- vnc-client.c --- */
/* A client's thread: serves it to its end. */
gpointer vnc_client_run(gpointer client);
void vnc_client_wake(VncClient *client); /* any thread */
