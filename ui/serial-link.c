/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/serial-link.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <unistd.h>

#define MAX_HISTORY (1u << 20)

struct ApiarySerialLink {
    ApiarySerialReceived received;
    void *opaque;
    char *path; /* of the socket, or NULL when COM1 is not ours */
    GByteArray *history;
    GSocketConnection *connection;
    GCancellable *cancellable;
    GByteArray *outgoing; /* not yet taken by the machine */
    bool writing;
    uint8_t buffer[4096];
};

static void read_more(ApiarySerialLink *link);
static void write_more(ApiarySerialLink *link);

ApiarySerialLink *apiary_serial_link_new(ApiarySerialReceived received, void *opaque)
{
    ApiarySerialLink *link = g_new0(ApiarySerialLink, 1);

    link->received = received;
    link->opaque = opaque;
    link->history = g_byte_array_new();
    link->outgoing = g_byte_array_new();
    return link;
}

void apiary_serial_link_free(ApiarySerialLink *link)
{
    apiary_serial_link_disconnect(link);
    g_byte_array_unref(link->history);
    g_byte_array_unref(link->outgoing);
    g_free(link->path);
    g_free(link);
}

void apiary_serial_link_prepare(ApiarySerialLink *link, MachineConfig *config)
{
    static unsigned count;
    g_autofree char *folder = g_build_filename(g_get_user_runtime_dir(), "apiary", NULL);

    g_clear_pointer(&link->path, g_free);
    g_byte_array_set_size(link->history, 0);
    if (config->serials->len || g_mkdir_with_parents(folder, 0700) != 0)
        return;
    link->path = g_strdup_printf("%s/serial-%d-%u", folder, (int)getpid(), ++count);
    g_ptr_array_add(config->serials, g_strdup_printf("unix:%s,server=on,wait=off", link->path));
}

bool apiary_serial_link_is_used(const ApiarySerialLink *link)
{
    return link->path != NULL;
}

static void on_read(GObject *stream, GAsyncResult *result, gpointer data)
{
    g_autoptr(GError) error = NULL;
    gssize n = g_input_stream_read_finish(G_INPUT_STREAM(stream), result, &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* DATA may be gone */
    if (n <= 0)
        return;
    ApiarySerialLink *link = data;
    g_byte_array_append(link->history, link->buffer, (guint)n);
    if (link->history->len > MAX_HISTORY)
        g_byte_array_remove_range(link->history, 0, link->history->len - MAX_HISTORY * 3 / 4);
    link->received(link->opaque, link->buffer, (size_t)n);
    read_more(link);
}

static void read_more(ApiarySerialLink *link)
{
    GInputStream *in = g_io_stream_get_input_stream(G_IO_STREAM(link->connection));

    g_input_stream_read_async(in, link->buffer, sizeof(link->buffer), G_PRIORITY_DEFAULT_IDLE,
                              link->cancellable, on_read, link);
}

static void on_written(GObject *stream, GAsyncResult *result, gpointer data)
{
    g_autoptr(GError) error = NULL;
    gssize n = g_output_stream_write_bytes_finish(G_OUTPUT_STREAM(stream), result, &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    ApiarySerialLink *link = data;
    link->writing = false;
    if (n > 0)
        g_byte_array_remove_range(link->outgoing, 0, (guint)n);
    else
        g_byte_array_set_size(link->outgoing, 0);
    write_more(link);
}

static void write_more(ApiarySerialLink *link)
{
    if (link->writing || !link->connection || !link->outgoing->len)
        return;
    GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(link->connection));
    link->writing = true;
    /* A copy of what goes out now: the array may grow and move meanwhile. */
    g_autoptr(GBytes) bytes = g_bytes_new(link->outgoing->data, link->outgoing->len);
    g_output_stream_write_bytes_async(out, bytes, G_PRIORITY_DEFAULT, link->cancellable, on_written,
                                      link);
}

void apiary_serial_link_connect(ApiarySerialLink *link)
{
    g_autoptr(GSocketClient) client = NULL;
    g_autoptr(GSocketAddress) address = NULL;
    g_autoptr(GError) error = NULL;

    if (!link->path || link->connection)
        return;
    client = g_socket_client_new();
    address = g_unix_socket_address_new(link->path);
    /* To a listening local socket this does not wait. */
    link->connection = g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, &error);
    if (!link->connection) {
        g_message("The serial line cannot be shown: %s", error->message);
        return;
    }
    link->cancellable = g_cancellable_new();
    read_more(link);
}

void apiary_serial_link_disconnect(ApiarySerialLink *link)
{
    if (link->cancellable)
        g_cancellable_cancel(link->cancellable);
    g_clear_object(&link->cancellable);
    g_clear_object(&link->connection);
    g_byte_array_set_size(link->outgoing, 0);
    link->writing = false;
}

void apiary_serial_link_write(ApiarySerialLink *link, const char *data, size_t length)
{
    if (!link->connection)
        return;
    g_byte_array_append(link->outgoing, (const uint8_t *)data, (guint)length);
    write_more(link);
}

GByteArray *apiary_serial_link_get_history(ApiarySerialLink *link)
{
    return link->history;
}
