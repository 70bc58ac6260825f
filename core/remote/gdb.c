/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Listening, the one client at a time, and its bytes in and out. */

#include "core/remote/gdb-private.h"

#include "core/net/socket-address.h"

#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* A client that does not read this much is not read from. */
#define MAX_BACKLOG (256 * 1024)
/* A pipe that polls writable takes this much without blocking (POSIX PIPE_BUF on Linux). */
#define WRITE_CHUNK 4096

struct GdbServer {
    const GdbOps *ops;
    void *opaque;
    Pc *pc; /* NULL while there is no machine */
    GdbSpec *spec;
    char *place; /* where it listens, NULL: off */
    GSocket *listener;
    GSource *listen_source;
    char *unix_path; /* to unlink */
    GdbClient *client;
};

const GdbOps *gdb_client_ops(GdbClient *client, void **opaque)
{
    *opaque = client->server->opaque;
    return client->server->ops;
}

/* --- a client's life -------------------------------------------------------------------------- */

static void drop_source(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static void client_unref(GdbClient *client)
{
    if (--client->references)
        return;
    g_clear_object(&client->connection);
    g_object_unref(client->input);
    g_object_unref(client->output);
    g_byte_array_unref(client->outgoing);
    g_byte_array_unref(client->last);
    gdb_parser_clear(&client->parser);
    g_array_unref(client->points);
    g_array_unref(client->applied);
    if (client->registers)
        g_array_unref(client->registers);
    g_free(client->description);
    g_free(client->stop_reply);
    g_free(client);
}

/* The machine stays as it is: going on without the breakpoints that GDB wanted is no better than
 * standing. */
static void client_close(GdbClient *client)
{
    if (client->closed)
        return;
    client->closed = true;
    gdb_let_go(client);
    client->server->client = NULL;
    drop_source(&client->input_source);
    drop_source(&client->output_source);
    if (client->connection)
        g_io_stream_close(G_IO_STREAM(client->connection), NULL, NULL);
    client_unref(client);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void watch_input(GdbClient *client);

static void write_out(GdbClient *client)
{
    g_autoptr(GError) error = NULL;

    while (client->outgoing->len) {
        gssize n = g_pollable_output_stream_write_nonblocking(
            client->output, client->outgoing->data, MIN(client->outgoing->len, WRITE_CHUNK), NULL,
            &error);
        if (n <= 0)
            break;
        g_byte_array_remove_range(client->outgoing, 0, (guint)n);
    }
    if (error && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        client_close(client);
}

static gboolean on_writable(GObject *stream, gpointer data)
{
    GdbClient *client = data;

    client->references++;
    write_out(client);
    if (!client->closed && !client->outgoing->len) {
        drop_source(&client->output_source);
        if (client->ending)
            client_close(client);
        else
            watch_input(client);
    }
    client_unref(client);
    return G_SOURCE_CONTINUE; /* a source that was dropped is not asked again */
}

/* What is not taken at once goes when the client can take it. */
static void send_bytes(GdbClient *client, const void *bytes, size_t length)
{
    if (client->closed)
        return;
    g_byte_array_append(client->outgoing, bytes, (guint)length);
    if (client->output_source)
        return;
    client->output_source = g_pollable_output_stream_create_source(client->output, NULL);
    g_source_set_callback(client->output_source, G_SOURCE_FUNC(on_writable), client, NULL);
    g_source_attach(client->output_source, g_main_context_get_thread_default());
}

void gdb_client_send(GdbClient *client, const char *payload, size_t length)
{
    g_byte_array_set_size(client->last, 0);
    gdb_append_packet(client->last, payload, length);
    send_bytes(client, client->last->data, client->last->len);
}

void gdb_client_send_text(GdbClient *client, const char *payload)
{
    gdb_client_send(client, payload, strlen(payload));
}

void gdb_client_end(GdbClient *client)
{
    client->ending = true;
}

/* --- receiving -------------------------------------------------------------------------------- */

static void acknowledge(GdbClient *client, const char *sign)
{
    if (!client->no_acks)
        send_bytes(client, sign, 1);
}

static void take_byte(GdbClient *client, uint8_t byte)
{
    GdbParser *parser = &client->parser;

    switch (gdb_parser_take(parser, byte)) {
    case GDB_NOTHING_YET:
    case GDB_ACK: break;
    case GDB_BAD_SUM: acknowledge(client, "-"); break;
    case GDB_TOO_LONG:
        acknowledge(client, "+");
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        break;
    case GDB_NAK:
        if (!client->no_acks)
            send_bytes(client, client->last->data, client->last->len);
        break;
    case GDB_INTERRUPT: gdb_interrupt(client); break;
    case GDB_PACKET:
        acknowledge(client, "+");
        gdb_run_packet(client, parser->payload->str, parser->payload->len);
        break;
    }
}

static gboolean on_readable(GObject *stream, gpointer data)
{
    GdbClient *client = data;
    g_autoptr(GError) error = NULL;
    uint8_t bytes[4096];

    client->references++;
    gssize n =
        g_pollable_input_stream_read_nonblocking(client->input, bytes, sizeof(bytes), NULL, &error);
    for (gssize i = 0; i < n && !client->closed && !client->ending; i++)
        take_byte(client, bytes[i]);
    if (n == 0 || (n < 0 && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))) {
        write_out(client); /* it may only have said its last */
        client_close(client);
    }
    if (!client->closed && (client->ending || client->outgoing->len > MAX_BACKLOG))
        drop_source(&client->input_source);
    client_unref(client);
    return G_SOURCE_CONTINUE;
}

static void watch_input(GdbClient *client)
{
    if (client->input_source)
        return;
    client->input_source = g_pollable_input_stream_create_source(client->input, NULL);
    g_source_set_callback(client->input_source, G_SOURCE_FUNC(on_readable), client, NULL);
    g_source_attach(client->input_source, g_main_context_get_thread_default());
}

/* --- a client comes --------------------------------------------------------------------------- */

static void attach_on_cpu(Cpu *cpu, void *opaque)
{
    debug_attach(cpu);
}

/* Takes references of its own. The machine stops. */
static void client_new(GdbServer *server, GObject *connection, gpointer input, gpointer output)
{
    GdbClient *client = g_new0(GdbClient, 1);

    client->server = server;
    client->pc = server->pc;
    client->references = 1;
    client->connection = connection ? g_object_ref(connection) : NULL;
    client->input = g_object_ref(input);
    client->output = g_object_ref(output);
    client->outgoing = g_byte_array_new();
    client->last = g_byte_array_new();
    gdb_parser_init(&client->parser);
    client->points = g_array_new(FALSE, TRUE, sizeof(GdbPoint));
    client->applied = g_array_new(FALSE, TRUE, sizeof(DebugPoint));
    client->run_cpu = -1;
    client->step_mode = GDB_STEP_ENABLE | GDB_STEP_NO_IRQ | GDB_STEP_NO_TIMER;
    server->client = client;
    for (unsigned i = 0; i < pc_cpu_count(server->pc); i++)
        cpu_call_on(pc_cpu(server->pc, i), attach_on_cpu, NULL);
    server->ops->pause(server->opaque);
    gdb_tell_stop(client, CAUSE_NONE, -1, NULL); /* what "?" shall hear */
    gdb_make_registers(client, server->spec->arch);
    watch_input(client);
}

static void serve_stdio(GdbServer *server)
{
    g_autoptr(GInputStream) input = g_unix_input_stream_new(STDIN_FILENO, FALSE);
    g_autoptr(GOutputStream) output = g_unix_output_stream_new(STDOUT_FILENO, FALSE);

    client_new(server, NULL, input, output);
}

/* The peer has gone, but nobody has looked yet: what it said before is done. */
static void finish_if_gone(GdbClient *client)
{
    if (!G_IS_SOCKET_CONNECTION(client->connection))
        return;
    GSocket *socket = g_socket_connection_get_socket(G_SOCKET_CONNECTION(client->connection));
    struct pollfd poll_fd = {.fd = g_socket_get_fd(socket), .events = POLLRDHUP};

    client->references++;
    if (poll(&poll_fd, 1, 0) == 1) {
        while (!client->closed && client->input_source)
            on_readable(NULL, client);
        client_close(client);
    }
    client_unref(client);
}

static gboolean on_incoming(GSocket *listener, GIOCondition condition, gpointer data)
{
    GdbServer *server = data;
    g_autoptr(GSocket) socket = g_socket_accept(listener, NULL, NULL);

    if (!socket)
        return G_SOURCE_CONTINUE;
    if (server->client)
        finish_if_gone(server->client);
    if (server->client || !server->pc) {
        g_log(GDB_LOG_DOMAIN, G_LOG_LEVEL_INFO, "A second GDB is turned away.");
        return G_SOURCE_CONTINUE;
    }
    g_socket_set_blocking(socket, FALSE);
    if (g_socket_get_family(socket) != G_SOCKET_FAMILY_UNIX)
        g_socket_set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
    g_autoptr(GSocketConnection) connection = g_socket_connection_factory_create_connection(socket);
    GIOStream *stream = G_IO_STREAM(connection);
    client_new(server, G_OBJECT(connection), g_io_stream_get_input_stream(stream),
               g_io_stream_get_output_stream(stream));
    return G_SOURCE_CONTINUE;
}

/* --- on and off ------------------------------------------------------------------------------- */

GdbServer *gdb_server_new(const GdbOps *ops, void *opaque)
{
    GdbServer *server = g_new0(GdbServer, 1);

    server->ops = ops;
    server->opaque = opaque;
    return server;
}

void gdb_server_free(GdbServer *server)
{
    g_free(server);
}

static GSocketAddress *find_address(const GdbSpec *spec, GError **error)
{
    if (spec->path)
        return g_unix_socket_address_new(spec->path);
    g_autoptr(GPtrArray) addresses = socket_address_resolve(spec->address, error);
    return addresses ? g_object_ref(addresses->pdata[0]) : NULL;
}

static bool listen_on(GdbServer *server, GError **error)
{
    g_autoptr(GSocketAddress) address = find_address(server->spec, error);
    if (!address)
        return false;
    server->listener = socket_for_address(address, G_SOCKET_TYPE_STREAM, error);
    if (!server->listener || !socket_bind(server->listener, address, error) ||
        !g_socket_listen(server->listener, error))
        return false;
    server->unix_path = g_strdup(server->spec->path);
    server->place = socket_address_format(address);
    server->listen_source = g_socket_create_source(server->listener, G_IO_IN, NULL);
    g_source_set_callback(server->listen_source, G_SOURCE_FUNC(on_incoming), server, NULL);
    g_source_attach(server->listen_source, g_main_context_get_thread_default());
    return true;
}

static bool check_stdio(GError **error)
{
    g_autoptr(GInputStream) input = g_unix_input_stream_new(STDIN_FILENO, FALSE);
    g_autoptr(GOutputStream) output = g_unix_output_stream_new(STDOUT_FILENO, FALSE);

    if (g_pollable_input_stream_can_poll(G_POLLABLE_INPUT_STREAM(input)) &&
        g_pollable_output_stream_can_poll(G_POLLABLE_OUTPUT_STREAM(output)))
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                _("Standard input or output is a file; start the machine by GDB's \"target remote "
                  "| apiary run ...\"."));
    return false;
}

bool gdb_server_open(GdbServer *server, const char *text, GError **error)
{
    gdb_server_close(server);
    server->spec = gdb_spec_parse(text, error);
    bool done = server->spec != NULL;
    if (done && server->spec->stdio) {
        done = check_stdio(error);
        if (done)
            server->place = g_strdup("stdio");
        if (done && server->pc)
            serve_stdio(server);
    } else if (done && !server->spec->off) {
        done = listen_on(server, error);
    }
    if (done)
        return true;
    g_prefix_error(error, "-gdb %s: ", text);
    gdb_server_close(server);
    return false;
}

void gdb_server_close(GdbServer *server)
{
    if (server->client)
        client_close(server->client);
    drop_source(&server->listen_source);
    g_clear_object(&server->listener);
    if (server->unix_path)
        g_unlink(server->unix_path);
    g_clear_pointer(&server->unix_path, g_free);
    g_clear_pointer(&server->place, g_free);
    g_clear_pointer(&server->spec, gdb_spec_free);
}

char *gdb_server_describe(GdbServer *server)
{
    if (!server->place)
        return g_strdup("The GDB server is off.");
    return g_strdup_printf("The GDB server is at %s; %s.", server->place,
                           server->client ? "GDB is connected" : "nobody is connected");
}

/* --- the machine ------------------------------------------------------------------------------ */

bool gdb_server_begin(GdbServer *server, Pc *pc)
{
    server->pc = pc;
    if (server->spec && server->spec->stdio)
        serve_stdio(server);
    return server->client != NULL;
}

void gdb_server_end(GdbServer *server, int status)
{
    GdbClient *client = server->client;

    if (client) {
        g_autofree char *reply = g_strdup_printf("W%02x", status & 0xff);
        if (client->waiting)
            gdb_client_send_text(client, reply);
        client->references++;
        write_out(client);
        client_close(client);
        client_unref(client);
    }
    server->pc = NULL;
}

void gdb_server_stopped(GdbServer *server, MachineCause cause, int cpu, const DebugStop *stop)
{
    if (server->client)
        gdb_tell_stop(server->client, cause, cpu, stop);
}
