/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/remote/qmp.h"

#include "core/chardev/spec.h"
#include "core/remote/qmp-commands.h"

#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <unistd.h>

/* A client that sends more than this without completing a command is cut off. */
#define MAX_COMMAND (1024 * 1024)
/* What a client may have running and unread before its next command waits. */
#define MAX_CALLS   8
#define MAX_BACKLOG (256 * 1024)
/* Events are not asked for: a client that lets this much of them pile up has gone. */
#define MAX_UNREAD  (8 * 1024 * 1024)
#define PROMPT      "(apiary) "

struct QmpServer {
    Machine *machine;
    QmpProtocol protocol;
    GSocketService *service; /* NULL: stdio or a client connection */
    char *unix_path;
    unsigned listener;
    GList *clients; /* QmpClient* */
};

struct QmpClient {
    QmpServer *server;
    GIOStream *stream; /* holds the connection; NULL for stdio */
    GInputStream *input;
    GOutputStream *output;
    GCancellable *cancellable;
    GByteArray *pending; /* received, not yet a whole command */
    GByteArray *outgoing, *writing;
    QmpPointer pointer;
    bool negotiated, closed, reading, handling;
    unsigned calls; /* commands that are not answered yet */
    int references;
    char buffer[4096];
};

static QmpClient *client_ref(QmpClient *client)
{
    client->references++;
    return client;
}

static void client_unref(QmpClient *client)
{
    if (--client->references)
        return;
    g_clear_object(&client->stream);
    g_clear_object(&client->input);
    g_clear_object(&client->output);
    g_clear_object(&client->cancellable);
    g_byte_array_unref(client->pending);
    g_byte_array_unref(client->outgoing);
    g_byte_array_unref(client->writing);
    g_free(client);
}

Machine *qmp_client_machine(QmpClient *client)
{
    return client->server ? client->server->machine : NULL;
}

QmpPointer *qmp_client_pointer(QmpClient *client)
{
    return &client->pointer;
}

static void client_close(QmpClient *client)
{
    if (client->closed)
        return;
    client->closed = true;
    g_cancellable_cancel(client->cancellable);
    if (client->stream)
        g_io_stream_close(client->stream, NULL, NULL);
    if (client->server)
        client->server->clients = g_list_remove(client->server->clients, client);
    client->server = NULL;
    client_unref(client);
}

/* --- sending ------------------------------------------------------------------------------------
 */

static void write_more(QmpClient *client);
static void go_on(QmpClient *client);

static void wrote(GObject *source, GAsyncResult *result, gpointer data)
{
    QmpClient *client = data;
    bool done = g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, NULL, NULL);

    g_byte_array_set_size(client->writing, 0);
    if (done) {
        write_more(client);
        go_on(client);
    } else {
        client_close(client);
    }
    client_unref(client);
}

static void write_more(QmpClient *client)
{
    if (client->closed || client->writing->len || !client->outgoing->len)
        return;
    GByteArray *empty = client->writing;
    client->writing = client->outgoing;
    client->outgoing = empty;
    g_output_stream_write_all_async(client->output, client->writing->data, client->writing->len,
                                    G_PRIORITY_DEFAULT, client->cancellable, wrote,
                                    client_ref(client));
}

static void send_text(QmpClient *client, const char *text)
{
    if (client->closed)
        return;
    g_byte_array_append(client->outgoing, (const guint8 *)text, strlen(text));
    write_more(client);
}

QmpClient *qmp_client_begin_call(QmpClient *client)
{
    client->calls++;
    return client_ref(client);
}

void qmp_client_end_call(QmpClient *client)
{
    client->calls--;
    go_on(client);
    client_unref(client);
}

void qmp_client_send(QmpClient *client, JsonBuilder *json)
{
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *text = json_to_string(root, FALSE);
    g_autofree char *line = g_strconcat(text, "\r\n", NULL);

    send_text(client, line);
}

/* --- receiving ----------------------------------------------------------------------------------
 */

static void human_reply(void *opaque, const char *text, const GError *error)
{
    QmpClient *client = opaque;

    if (error)
        send_text(client, error->message);
    else if (text)
        send_text(client, text);
    send_text(client, error ? "\n" PROMPT : PROMPT);
    qmp_client_end_call(client);
}

/* The length of the first whole command in the pending bytes, 0 if there is none. JSON objects end
 * where their braces balance; human lines at the newline. */
static size_t command_length(const QmpClient *client)
{
    int depth = 0;
    bool escaped = false;
    char quote = 0;

    for (size_t i = 0; i < client->pending->len; i++) {
        char c = client->pending->data[i];
        if (client->server->protocol == QMP_PROTOCOL_HUMAN) {
            if (c == '\n')
                return i + 1;
            continue;
        }
        if (quote) {
            if (!escaped && c == quote)
                quote = 0;
            escaped = !escaped && c == '\\';
        } else if (depth > 0 && (c == '"' || c == '\'')) {
            quote = c;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth <= 0) {
            return i + 1;
        } else if (depth == 0 && !g_ascii_isspace(c)) {
            /* Not a JSON object: the whole line is one wrong command. */
            const char *newline = memchr(client->pending->data + i, '\n', client->pending->len - i);
            return newline ? (size_t)(newline - (const char *)client->pending->data) + 1 : 0;
        }
    }
    return 0;
}

static bool is_busy(const QmpClient *client)
{
    return client->calls >= MAX_CALLS || client->outgoing->len + client->writing->len > MAX_BACKLOG;
}

static void handle_input(QmpClient *client)
{
    size_t n;

    while (!client->closed && !is_busy(client) && (n = command_length(client))) {
        g_autofree char *text = g_strndup((const char *)client->pending->data, n);
        g_byte_array_remove_range(client->pending, 0, n);
        g_strstrip(text);
        if (client->server->protocol == QMP_PROTOCOL_HUMAN)
            machine_send(client->server->machine,
                         &(MachineCommand){.type = COMMAND_MONITOR, .text = {text}}, human_reply,
                         qmp_client_begin_call(client));
        else if (*text)
            qmp_run_command(client, text, &client->negotiated);
    }
}

static void received(GObject *source, GAsyncResult *result, gpointer data)
{
    QmpClient *client = data;
    gssize n = g_input_stream_read_finish(G_INPUT_STREAM(source), result, NULL);

    client->reading = false;
    if (n > 0) {
        g_byte_array_append(client->pending, (const guint8 *)client->buffer, n);
        go_on(client);
    } else {
        client_close(client);
    }
    client_unref(client);
}

/* Does what has come, then waits for more; while the client is busy neither. */
static void go_on(QmpClient *client)
{
    if (client->closed || client->handling)
        return;
    client_ref(client);
    client->handling = true;
    handle_input(client);
    client->handling = false;
    if (client->pending->len > MAX_COMMAND)
        client_close(client);
    if (!client->closed && !client->reading && !is_busy(client)) {
        client->reading = true;
        g_input_stream_read_async(client->input, client->buffer, sizeof(client->buffer),
                                  G_PRIORITY_DEFAULT, client->cancellable, received,
                                  client_ref(client));
    }
    client_unref(client);
}

static void client_new(QmpServer *server, GIOStream *stream, GInputStream *input,
                       GOutputStream *output)
{
    QmpClient *client = g_new0(QmpClient, 1);

    client->server = server;
    client->references = 1;
    client->stream = stream ? g_object_ref(stream) : NULL;
    client->input = g_object_ref(input);
    client->output = g_object_ref(output);
    client->cancellable = g_cancellable_new();
    client->pending = g_byte_array_new();
    client->outgoing = g_byte_array_new();
    client->writing = g_byte_array_new();
    server->clients = g_list_append(server->clients, client);
    if (server->protocol == QMP_PROTOCOL_HUMAN)
        send_text(client, "Apiary monitor - type 'help' for more information\n" PROMPT);
    else
        qmp_send_greeting(client);
    go_on(client);
}

/* --- events
 * --------------------------------------------------------------------------------------- */

static void on_event(void *opaque, const MachineEvent *event)
{
    QmpServer *server = opaque;

    for (GList *l = server->clients; server->protocol == QMP_PROTOCOL_JSON && l;) {
        QmpClient *client = l->data;
        l = l->next;
        if (client->negotiated)
            qmp_send_event(client, event);
        if (client->outgoing->len > MAX_UNREAD)
            client_close(client);
    }
}

/* --- the server
 * ----------------------------------------------------------------------------------- */

static gboolean incoming(GSocketService *service, GSocketConnection *connection, GObject *source,
                         gpointer data)
{
    GIOStream *stream = G_IO_STREAM(connection);

    client_new(data, stream, g_io_stream_get_input_stream(stream),
               g_io_stream_get_output_stream(stream));
    return TRUE;
}

static bool serve_socket(QmpServer *server, const ChardevSpec *spec, GError **error)
{
    g_autoptr(GSocketAddress) address = NULL;

    if (spec->path) {
        address = g_unix_socket_address_new(spec->path);
    } else {
        /* Control of a machine is nothing to offer to a network unasked. */
        bool local = !spec->host || !*spec->host || g_str_equal(spec->host, "localhost");
        address =
            g_inet_socket_address_new_from_string(local ? "127.0.0.1" : spec->host, spec->port);
    }
    if (!address) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "\"%s\" is not a numeric host address.", spec->host);
        return false;
    }
    if (!spec->server) {
        g_autoptr(GSocketClient) socket_client = g_socket_client_new();
        g_autoptr(GSocketConnection) connection =
            g_socket_client_connect(socket_client, G_SOCKET_CONNECTABLE(address), NULL, error);
        if (connection)
            incoming(NULL, connection, NULL, server);
        return connection != NULL;
    }
    if (spec->path)
        unlink(spec->path);
    server->service = g_socket_service_new();
    g_signal_connect(server->service, "incoming", G_CALLBACK(incoming), server);
    if (!g_socket_listener_add_address(G_SOCKET_LISTENER(server->service), address,
                                       G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL,
                                       error))
        return false;
    server->unix_path = g_strdup(spec->path);
    return true;
}

static void serve_stdio(QmpServer *server)
{
    g_autoptr(GInputStream) input = g_unix_input_stream_new(STDIN_FILENO, FALSE);
    g_autoptr(GOutputStream) output = g_unix_output_stream_new(STDOUT_FILENO, FALSE);

    client_new(server, NULL, input, output);
}

QmpServer *qmp_server_new(Machine *machine, const char *spec_text, QmpProtocol protocol,
                          GError **error)
{
    g_autoptr(ChardevSpec) spec = chardev_spec_parse(spec_text, error);
    QmpServer *server = g_new0(QmpServer, 1);
    bool done = spec != NULL;

    server->machine = machine;
    server->protocol = protocol;
    if (done && spec->kind == CHARDEV_SOCKET) {
        done = serve_socket(server, spec, error);
    } else if (done && spec->kind == CHARDEV_STDIO) {
        serve_stdio(server);
    } else if (done && spec->kind != CHARDEV_NULL && spec->kind != CHARDEV_VC) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    "a control socket is unix:PATH, tcp:HOST:PORT or stdio");
        done = false;
    }
    if (!done) {
        g_prefix_error(error, "%s: ", spec_text);
        qmp_server_free(server);
        return NULL;
    }
    server->listener = machine_listen(machine, on_event, server);
    return server;
}

void qmp_server_free(QmpServer *server)
{
    if (!server)
        return;
    if (server->listener)
        machine_unlisten(server->machine, server->listener);
    while (server->clients)
        client_close(server->clients->data);
    if (server->service) {
        g_socket_service_stop(server->service);
        g_socket_listener_close(G_SOCKET_LISTENER(server->service));
        g_object_unref(server->service);
    }
    if (server->unix_path)
        unlink(server->unix_path);
    g_free(server->unix_path);
    g_free(server);
}
