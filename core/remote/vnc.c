/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/remote/vnc.h"

#include "core/remote/vnc-private.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_EVENTS      256 /* events on their way to the machine; clients wait for room */
#define LISTEN_BACKLOG  SOMAXCONN
#define MAX_SOCKET_PATH 107 /* bytes, unix(7) */
#define ACCEPT_PAUSE_MS 100 /* when the process has no file descriptors left */

bool vnc_is_available(void)
{
    return true;
}

void vnc_session_unref(VncSession *session)
{
    if (!g_atomic_int_dec_and_test(&session->references))
        return;
    g_clear_object(&session->socket);
    if (session->stop_fd >= 0)
        close(session->stop_fd);
    vnc_spec_free(session->spec);
    g_free(session->name);
    g_free(session->host);
    g_free(session->service);
    g_free(session->family);
    g_free(session);
}

/* --- what clients do ----------------------------------------------------------------------------
 */

static void set_string(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static void add_place(JsonBuilder *json, const VncSession *session, const char *host,
                      const char *service)
{
    set_string(json, "host", host);
    set_string(json, "service", service);
    set_string(json, "family", session->family);
}

static const char *auth_name(const VncSession *session)
{
    return session->spec->password ? "vnc" : "none";
}

static char *to_text(JsonBuilder *json)
{
    g_autoptr(JsonNode) root = json_builder_get_root(json);

    return json_to_string(root, FALSE);
}

static void add_client(JsonBuilder *json, const VncClient *client)
{
    json_builder_begin_object(json);
    add_place(json, client->session, client->host, client->service);
    json_builder_set_member_name(json, "websocket");
    json_builder_add_boolean_value(json, FALSE);
    json_builder_end_object(json);
}

void vnc_client_send_event(VncClient *client, const char *name)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    const VncSession *session = client->session;

    json_builder_begin_object(json);
    json_builder_set_member_name(json, "server");
    json_builder_begin_object(json);
    add_place(json, session, session->host, session->service);
    json_builder_set_member_name(json, "websocket");
    json_builder_add_boolean_value(json, FALSE);
    set_string(json, "auth", auth_name(session));
    json_builder_end_object(json);
    json_builder_set_member_name(json, "client");
    add_client(json, client);
    json_builder_end_object(json);
    g_autofree char *data = to_text(json);
    client->server->ops->event(client->server->opaque, name, data);
}

/* A pointer that only moves on makes the event before it worthless. */
static bool replaces(const MachineCommand *next, const MachineCommand *last)
{
    return next->type == COMMAND_POINTER_POSITION && last->type == COMMAND_POINTER_POSITION &&
           next->pointer.buttons == last->pointer.buttons && !next->pointer.wheel &&
           !last->pointer.wheel;
}

void vnc_client_send_input(VncClient *client, const MachineCommand *command)
{
    VncServer *server = client->server;
    GArray *input = server->input;

    g_mutex_lock(&server->lock);
    while (input->len >= MAX_EVENTS && !g_atomic_int_get(&client->stopping))
        g_cond_wait(&server->room, &server->lock);
    if (input->len < MAX_EVENTS || g_atomic_int_get(&client->stopping)) {
        MachineCommand *last =
            input->len ? &g_array_index(input, MachineCommand, input->len - 1) : NULL;
        if (last && replaces(command, last))
            *last = *command;
        else
            g_array_append_val(input, *command);
    }
    bool first = input->len == 1;
    g_mutex_unlock(&server->lock);
    /* Whoever takes the first takes all. */
    if (first)
        server->ops->input(server->opaque);
}

bool vnc_server_take_input(VncServer *server, MachineCommand *command)
{
    g_mutex_lock(&server->lock);
    bool any = server->input->len > 0;
    if (any) {
        *command = g_array_index(server->input, MachineCommand, 0);
        g_array_remove_index(server->input, 0);
        g_cond_broadcast(&server->room);
    }
    g_mutex_unlock(&server->lock);
    return any;
}

/* The server's lock is held. */
static void stop_client(VncClient *client)
{
    g_atomic_int_set(&client->stopping, 1);
    shutdown(client->fd, SHUT_RDWR); /* wakes its thread wherever it waits */
    vnc_client_wake(client);
    g_cond_broadcast(&client->server->room);
}

bool vnc_client_apply_share(VncClient *client, bool shared)
{
    VncServer *server = client->server;
    VncShare share = client->session->spec->share;

    if (!shared && share == VNC_SHARE_FORCE_SHARED)
        return false;
    g_mutex_lock(&server->lock);
    for (guint i = 0; !shared && share == VNC_SHARE_ALLOW_EXCLUSIVE && i < server->clients->len;
         i++) {
        VncClient *other = server->clients->pdata[i];
        if (other != client && other->admitted)
            stop_client(other);
    }
    client->admitted = true;
    g_mutex_unlock(&server->lock);
    return true;
}

void vnc_client_share_text(VncClient *client, const char *text)
{
    VncServer *server = client->server;

    g_mutex_lock(&server->lock);
    for (guint i = 0; i < server->clients->len; i++) {
        VncClient *other = server->clients->pdata[i];
        if (other == client || !other->admitted)
            continue;
        g_free(other->clipboard);
        other->clipboard = g_strdup(text);
        vnc_client_wake(other);
    }
    g_mutex_unlock(&server->lock);
}

char *vnc_server_current_password(VncServer *server)
{
    g_mutex_lock(&server->lock);
    bool valid = g_get_real_time() / G_USEC_PER_SEC < server->expires;
    char *password = valid ? g_strdup(server->password) : NULL;
    g_mutex_unlock(&server->lock);
    return password;
}

/* --- waiting for clients ------------------------------------------------------------------------
 */

/* No longer in the server's list, so that nobody can use its descriptors. */
static void client_free(VncClient *client)
{
    close(client->fd);
    if (client->wake_fd >= 0)
        close(client->wake_fd);
    vnc_session_unref(client->session);
    g_free(client->clipboard);
    g_free(client->host);
    g_free(client->service);
    g_free(client);
}

static gpointer run_client(gpointer data)
{
    VncClient *client = data;
    VncServer *server = client->server;

    vnc_client_run(client);

    g_mutex_lock(&server->lock);
    g_ptr_array_remove_fast(server->clients, client);
    g_mutex_unlock(&server->lock);
    vnc_client_send_event(client, "VNC_DISCONNECTED");
    client_free(client);
    g_mutex_lock(&server->lock);
    server->threads--;
    g_cond_broadcast(&server->room);
    g_mutex_unlock(&server->lock);
    return NULL;
}

/* The peer's address in numbers; a Unix socket has none. */
static void name_peer(VncClient *client, GSocketAddress *address)
{
    if (address && G_IS_INET_SOCKET_ADDRESS(address)) {
        GInetSocketAddress *inet = G_INET_SOCKET_ADDRESS(address);
        client->host = g_inet_address_to_string(g_inet_socket_address_get_address(inet));
        client->service = g_strdup_printf("%u", g_inet_socket_address_get_port(inet));
    } else {
        client->host = g_strdup("");
        client->service = g_strdup("");
    }
}

static void take_client(VncServer *server, VncSession *session, int fd)
{
    g_autoptr(GError) error = NULL;
    VncClient *client = g_new0(VncClient, 1);
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* not on a Unix socket */
    client->server = server;
    client->session = session;
    client->fd = fd;
    client->since = g_get_real_time() / G_USEC_PER_SEC;
    client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    g_autoptr(GSocketAddress) address =
        getpeername(fd, (struct sockaddr *)&peer, &length) == 0 && length > 0
            ? g_socket_address_new_from_native(&peer, length)
            : NULL;
    name_peer(client, address);
    g_atomic_int_inc(&session->references);

    g_mutex_lock(&server->lock);
    bool room = server->session == session && server->clients->len < session->spec->connections;
    /* libvncserver waits with select(). */
    room = room && client->wake_fd >= 0 && fd < FD_SETSIZE;
    client->absolute = server->absolute;
    client->id = ++server->last_id;
    if (room) {
        g_ptr_array_add(server->clients, client);
        server->threads++;
    }
    g_mutex_unlock(&server->lock);
    GThread *thread = room ? g_thread_try_new("vnc-client", run_client, client, &error) : NULL;
    if (thread) {
        g_thread_unref(thread);
        return;
    }
    g_log(VNC_LOG_DOMAIN, G_LOG_LEVEL_INFO, "A VNC client is turned away: %s",
          error ? error->message : "there are enough");
    g_mutex_lock(&server->lock);
    if (room) {
        g_ptr_array_remove_fast(server->clients, client);
        server->threads--;
    }
    g_mutex_unlock(&server->lock);
    client_free(client);
}

typedef struct {
    VncServer *server;
    VncSession *session;
} Accepting;

static gpointer run_accept(gpointer data)
{
    Accepting *accepting = data;
    VncSession *session = accepting->session;
    struct pollfd fds[] = {{.fd = session->stop_fd, .events = POLLIN},
                           {.fd = g_socket_get_fd(session->socket), .events = POLLIN}};

    for (;;) {
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR)
            break;
        if (fds[0].revents)
            break;
        int fd = accept4(fds[1].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            take_client(accepting->server, session, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            poll(fds, 1, ACCEPT_PAUSE_MS);
    }
    g_free(accepting);
    return NULL;
}

/* --- on and off ---------------------------------------------------------------------------------
 */

/* Nobody else listens on the socket that is in the way: what is left of a program that has gone. */
static void remove_stale_socket(const char *path)
{
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    g_autoptr(GSocket) probe =
        g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL);
    g_autoptr(GError) error = NULL;
    GStatBuf stat;

    /* A file of another kind refuses connections too. */
    if (g_lstat(path, &stat) < 0 || !S_ISSOCK(stat.st_mode))
        return;
    if (probe && !g_socket_connect(probe, address, NULL, &error) &&
        g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
        (void)g_unlink(path);
}

static GSocket *listen_on(GSocketAddress *address, GError **error)
{
    g_autoptr(GSocket) socket =
        g_socket_new(g_socket_address_get_family(address), G_SOCKET_TYPE_STREAM,
                     G_SOCKET_PROTOCOL_DEFAULT, error);

    if (!socket)
        return NULL;
    g_socket_set_blocking(socket, FALSE);
    g_socket_set_listen_backlog(socket, LISTEN_BACKLOG);
    if (!g_socket_bind(socket, address, TRUE, error) || !g_socket_listen(socket, error))
        return NULL;
    return g_steal_pointer(&socket);
}

static bool listen_unix(VncSession *session, GError **error)
{
    const char *path = session->spec->path;

    if (strlen(path) > MAX_SOCKET_PATH) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG,
                    _("The path of the VNC socket is longer than %d bytes: %s"), MAX_SOCKET_PATH,
                    path);
        return false;
    }
    remove_stale_socket(path);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    session->socket = listen_on(address, error);
    if (!session->socket) {
        g_prefix_error(error, _("The VNC socket %s cannot be opened: "), path);
        return false;
    }
    session->host = g_strdup("");
    session->service = g_strdup(path);
    session->family = g_strdup("unix");
    return true;
}

static bool listen_tcp(VncSession *session, GError **error)
{
    const VncSpec *spec = session->spec;

    for (unsigned port = spec->port; port <= spec->last_port; port++) {
        g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string(spec->host, port);
        g_clear_error(error);
        session->socket = listen_on(address, error);
        if (!session->socket)
            continue;
        session->host = g_strdup(spec->host);
        session->service = g_strdup_printf("%u", port);
        session->family = g_strdup(strchr(spec->host, ':') ? "ipv6" : "ipv4");
        return true;
    }
    if (spec->port == spec->last_port)
        g_prefix_error(error, _("VNC cannot listen on %s port %u (display %u): "), spec->host,
                       spec->port, spec->port - VNC_BASE_PORT);
    else
        g_prefix_error(error, _("VNC finds no free port on %s from %u to %u: "), spec->host,
                       spec->port, spec->last_port);
    return false;
}

static bool start(VncServer *server, VncSession *session, GError **error)
{
    if (!(session->spec->path ? listen_unix : listen_tcp)(session, error))
        return false;
    session->stop_fd = eventfd(0, EFD_CLOEXEC);
    Accepting *accepting = g_new(Accepting, 1);
    *accepting = (Accepting){server, session};
    g_mutex_lock(&server->lock);
    server->session = session;
    g_mutex_unlock(&server->lock);
    session->thread = g_thread_try_new("vnc", run_accept, accepting, error);
    if (session->thread)
        return true;
    g_free(accepting);
    g_mutex_lock(&server->lock);
    server->session = NULL;
    g_mutex_unlock(&server->lock);
    return false;
}

/* False: it was off already. */
static bool close_session(VncServer *server)
{
    g_mutex_lock(&server->lock);
    VncSession *session = g_steal_pointer(&server->session);
    for (guint i = 0; i < server->clients->len; i++)
        stop_client(server->clients->pdata[i]);
    g_mutex_unlock(&server->lock);
    if (!session)
        return false;
    eventfd_write(session->stop_fd, 1);
    g_thread_join(session->thread); /* which only accepts, and so ends at once */
    g_socket_close(session->socket, NULL);
    if (session->spec->path)
        (void)g_unlink(session->spec->path);
    vnc_session_unref(session);
    return true;
}

bool vnc_server_open(VncServer *server, const char *text, const char *name, GError **error)
{
    g_autoptr(VncSpec) spec = vnc_spec_parse(text, error);
    GError *local = NULL;

    if (!spec)
        return false;
    close_session(server);
    if (spec->off) {
        server->ops->changed(server->opaque);
        return true;
    }
    VncSession *session = g_new0(VncSession, 1);
    session->references = 1;
    session->stop_fd = -1;
    session->spec = g_steal_pointer(&spec);
    session->name = g_strdup(name);
    bool started = start(server, session, &local);
    if (!started) {
        vnc_session_unref(session);
        g_propagate_error(error, local);
    }
    server->ops->changed(server->opaque);
    return started;
}

void vnc_server_close(VncServer *server)
{
    if (close_session(server))
        server->ops->changed(server->opaque);
}

VncServer *vnc_server_new(Display *display, const VncOps *ops, void *opaque)
{
    VncServer *server = g_new0(VncServer, 1);

    server->display = display;
    server->ops = ops;
    server->opaque = opaque;
    server->expires = G_MAXINT64;
    server->clients = g_ptr_array_new();
    server->input = g_array_new(FALSE, FALSE, sizeof(MachineCommand));
    g_mutex_init(&server->lock);
    g_cond_init(&server->room);
    return server;
}

static void forget_password(VncServer *server)
{
    if (server->password)
        explicit_bzero(server->password, strlen(server->password));
    g_clear_pointer(&server->password, g_free);
}

void vnc_server_free(VncServer *server)
{
    if (!server)
        return;
    vnc_server_close(server);
    g_mutex_lock(&server->lock);
    while (server->threads)
        g_cond_wait(&server->room, &server->lock);
    g_mutex_unlock(&server->lock);
    forget_password(server);
    g_ptr_array_unref(server->clients);
    g_array_unref(server->input);
    g_mutex_clear(&server->lock);
    g_cond_clear(&server->room);
    g_free(server);
}

bool vnc_server_disconnect(VncServer *server, uint64_t id, GError **error)
{
    bool found = false;

    g_mutex_lock(&server->lock);
    for (guint i = 0; i < server->clients->len && !found; i++) {
        VncClient *client = server->clients->pdata[i];
        found = client->id == id;
        if (found)
            stop_client(client);
    }
    g_mutex_unlock(&server->lock);
    if (!found)
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                            _("This viewer has gone already."));
    return found;
}

/* --- settings -----------------------------------------------------------------------------------
 */

void vnc_server_set_absolute(VncServer *server, bool absolute)
{
    g_mutex_lock(&server->lock);
    server->absolute = absolute;
    for (guint i = 0; i < server->clients->len; i++) {
        VncClient *client = server->clients->pdata[i];
        g_atomic_int_set(&client->absolute, absolute);
        vnc_client_wake(client);
    }
    g_mutex_unlock(&server->lock);
}

bool vnc_server_set_password(VncServer *server, const char *password, GError **error)
{
    if (password && strlen(password) > VNC_PASSWORD_LENGTH) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("Only the first %d characters of a VNC password count, so a longer one would "
                      "promise too much; give one of at most %d."),
                    VNC_PASSWORD_LENGTH, VNC_PASSWORD_LENGTH);
        return false;
    }
    g_mutex_lock(&server->lock);
    bool wanted = !server->session || server->session->spec->password;
    if (wanted) {
        forget_password(server);
        server->password = g_strdup(password);
    }
    g_mutex_unlock(&server->lock);
    if (!wanted)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    _("The VNC server asks for no password; turn it on with password=on."));
    return wanted;
}

bool vnc_server_expire_password(VncServer *server, const char *when, GError **error)
{
    int64_t now = g_get_real_time() / G_USEC_PER_SEC, expires;
    guint64 number;

    if (g_str_equal(when, "now")) {
        expires = now;
    } else if (g_str_equal(when, "never")) {
        expires = G_MAXINT64;
    } else if (g_ascii_string_to_unsigned(when + (*when == '+'), 10, 0, G_MAXINT32, &number,
                                          NULL)) {
        expires = (*when == '+' ? now : 0) + (int64_t)number;
    } else {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("\"%s\" is not a time: use now, never, +SECONDS or seconds since 1970."),
                    when);
        return false;
    }
    g_mutex_lock(&server->lock);
    server->expires = expires;
    g_mutex_unlock(&server->lock);
    return true;
}

/* --- questions ----------------------------------------------------------------------------------
 */

char *vnc_server_query(VncServer *server)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    json_builder_begin_object(json);
    g_mutex_lock(&server->lock);
    const VncSession *session = server->session;
    json_builder_set_member_name(json, "enabled");
    json_builder_add_boolean_value(json, session != NULL);
    if (session) {
        add_place(json, session, session->host, session->service);
        set_string(json, "auth", auth_name(session));
    }
    json_builder_set_member_name(json, "clients");
    json_builder_begin_array(json);
    for (guint i = 0; i < server->clients->len; i++)
        add_client(json, server->clients->pdata[i]);
    json_builder_end_array(json);
    g_mutex_unlock(&server->lock);
    json_builder_end_object(json);
    return to_text(json);
}

char *vnc_server_query_clients(VncServer *server)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    json_builder_begin_array(json);
    g_mutex_lock(&server->lock);
    for (guint i = 0; i < server->clients->len; i++) {
        const VncClient *client = server->clients->pdata[i];
        json_builder_begin_object(json);
        add_place(json, client->session, client->host, client->service);
        json_builder_set_member_name(json, "id");
        json_builder_add_int_value(json, (gint64)client->id);
        json_builder_set_member_name(json, "since");
        json_builder_add_int_value(json, client->since);
        json_builder_set_member_name(json, "admitted");
        json_builder_add_boolean_value(json, client->admitted);
        json_builder_end_object(json);
    }
    g_mutex_unlock(&server->lock);
    json_builder_end_array(json);
    return to_text(json);
}

char *vnc_server_describe(VncServer *server)
{
    GString *out = g_string_new(NULL);

    g_mutex_lock(&server->lock);
    const VncSession *session = server->session;
    if (session)
        g_string_append_printf(out, "Server: %s:%s (%s)\n  Auth: %s\n", session->host,
                               session->service, session->family, auth_name(session));
    else
        g_string_append(out, "Server: disabled\n");
    for (guint i = 0; i < server->clients->len; i++) {
        const VncClient *client = server->clients->pdata[i];
        g_string_append_printf(out, "Client: %s:%s (%s)\n", client->host, client->service,
                               client->session->family);
    }
    g_mutex_unlock(&server->lock);
    return g_string_free(out, FALSE);
}
