/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/chardev/chardev.h"

#include "core/chardev/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <glib/gi18n.h>
#include <poll.h>
#include <pty.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Output that a peer does not take is kept up to this, then the oldest bytes go. */
#define OUTPUT_LIMIT (64 * 1024)
/* A pipe that polls writable takes this much without blocking (POSIX PIPE_BUF on Linux). */
#define WRITE_CHUNK  4096

/* How long a peer that takes nothing is waited for when the machine goes, in ms. */
#define LINGER       500

struct Chardev {
    Board *board;
    char *id, *spec;
    ChardevKind kind;
    const ChardevOps *ops;
    void *ops_opaque;

    int read_fd, write_fd; /* -1: not connected */
    bool own_fds;
    bool open;
    bool dropped; /* said so once */
    GSource *read_source, *write_source;
    GByteArray *output; /* waiting to be written */
    GByteArray *input;  /* waiting for the front end */

    char *pty_path;
    int pty_slave; /* kept open so that the master never sees a hang-up */
    bool restore_terminal;
    struct termios saved_terminal;

    GSocket *listener;
    GSource *listen_source;
    GSocket *connection;
    char *unix_path; /* to unlink */

    ChardevOutput internal_output;
    void *internal_opaque;
};

/* --- input ------------------------------------------------------------------------------------ */

static void disconnect(Chardev *chardev);

/* Gives the front end what it can take. */
static void feed_front_end(Chardev *chardev)
{
    while (chardev->input->len && chardev->ops) {
        size_t n = chardev->ops->can_receive ? chardev->ops->can_receive(chardev->ops_opaque)
                                             : chardev->input->len;
        n = MIN(n, chardev->input->len);
        if (!n)
            return;
        g_autofree uint8_t *taken = g_memdup2(chardev->input->data, n);
        g_byte_array_remove_range(chardev->input, 0, n);
        chardev->ops->receive(chardev->ops_opaque, taken, n);
    }
}

static gboolean readable(gint fd, GIOCondition condition, gpointer data);

static void watch_input(Chardev *chardev)
{
    if (chardev->read_source || chardev->read_fd < 0)
        return;
    chardev->read_source = g_unix_fd_source_new(chardev->read_fd, G_IO_IN | G_IO_HUP);
    g_source_set_callback(chardev->read_source, G_SOURCE_FUNC(readable), chardev, NULL);
    board_attach(chardev->board, chardev->read_source);
}

static void drop_source(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static gboolean readable(gint fd, GIOCondition condition, gpointer data)
{
    Chardev *chardev = data;
    uint8_t bytes[1024];

    board_lock(chardev->board);
    /* What the front end cannot take stays in the kernel: the peer is held, nothing is lost. */
    if (chardev->input->len >= sizeof(bytes)) {
        drop_source(&chardev->read_source);
        board_unlock(chardev->board);
        return G_SOURCE_REMOVE;
    }
    ssize_t n = read(fd, bytes, sizeof(bytes));
    if (n > 0) {
        g_byte_array_append(chardev->input, bytes, n);
        feed_front_end(chardev);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR && errno != EIO)) {
        if (chardev->kind == CHARDEV_SOCKET)
            disconnect(chardev);
        else
            drop_source(&chardev->read_source);
    }
    board_unlock(chardev->board);
    return G_SOURCE_CONTINUE;
}

void chardev_accept_input(Chardev *chardev)
{
    feed_front_end(chardev);
    if (chardev->input->len < 1024)
        watch_input(chardev);
}

/* --- output ----------------------------------------------------------------------------------- */

static bool writable_now(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLOUT);
}

static gboolean write_ready(gint fd, GIOCondition condition, gpointer data);

static void flush_output(Chardev *chardev)
{
    while (chardev->output->len && writable_now(chardev->write_fd)) {
        ssize_t n =
            write(chardev->write_fd, chardev->output->data, MIN(chardev->output->len, WRITE_CHUNK));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            if (!chardev->dropped)
                chardev->board->report_error(chardev->board, chardev->spec, g_strerror(errno));
            chardev->dropped = true;
            g_byte_array_set_size(chardev->output, 0);
            break;
        }
        if (n <= 0)
            break;
        g_byte_array_remove_range(chardev->output, 0, n);
    }
    if (chardev->output->len > OUTPUT_LIMIT)
        g_byte_array_remove_range(chardev->output, 0, chardev->output->len - OUTPUT_LIMIT);
    if (chardev->output->len && !chardev->write_source) {
        chardev->write_source = g_unix_fd_source_new(chardev->write_fd, G_IO_OUT);
        g_source_set_callback(chardev->write_source, G_SOURCE_FUNC(write_ready), chardev, NULL);
        board_attach(chardev->board, chardev->write_source);
    } else if (!chardev->output->len) {
        drop_source(&chardev->write_source);
    }
}

static gboolean write_ready(gint fd, GIOCondition condition, gpointer data)
{
    Chardev *chardev = data;

    board_lock(chardev->board);
    flush_output(chardev);
    bool more = chardev->write_source != NULL;
    board_unlock(chardev->board);
    return more ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

size_t chardev_write(Chardev *chardev, const void *data, size_t length)
{
    if (chardev->internal_output) {
        chardev->internal_output(chardev->internal_opaque, data, length);
    } else if (chardev->write_fd >= 0 && chardev->open) {
        g_byte_array_append(chardev->output, data, length);
        if (!chardev->write_source)
            flush_output(chardev);
        else if (chardev->output->len > OUTPUT_LIMIT)
            g_byte_array_remove_range(chardev->output, 0, chardev->output->len - OUTPUT_LIMIT);
    }
    return length;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void set_open(Chardev *chardev, bool open)
{
    chardev->open = open;
    if (chardev->ops && chardev->ops->opened)
        chardev->ops->opened(chardev->ops_opaque, open);
}

static void disconnect(Chardev *chardev)
{
    drop_source(&chardev->read_source);
    drop_source(&chardev->write_source);
    g_byte_array_set_size(chardev->output, 0);
    g_byte_array_set_size(chardev->input, 0);
    g_clear_object(&chardev->connection);
    chardev->read_fd = chardev->write_fd = -1;
    if (chardev->open)
        set_open(chardev, false);
}

static void connected(Chardev *chardev, GSocket *socket)
{
    chardev->connection = socket;
    g_socket_set_blocking(socket, FALSE);
    chardev->read_fd = chardev->write_fd = g_socket_get_fd(socket);
    watch_input(chardev);
    set_open(chardev, true);
}

static gboolean incoming(GSocket *listener, GIOCondition condition, gpointer data)
{
    Chardev *chardev = data;
    GSocket *socket = g_socket_accept(listener, NULL, NULL);

    if (!socket)
        return G_SOURCE_CONTINUE;
    board_lock(chardev->board);
    if (chardev->connection)
        g_object_unref(socket); /* one peer at a time, as QEMU */
    else
        connected(chardev, socket);
    board_unlock(chardev->board);
    return G_SOURCE_CONTINUE;
}

static GSocketAddress *socket_address(const ChardevSpec *spec, GError **error)
{
    if (spec->path)
        return g_unix_socket_address_new(spec->path);
    g_autoptr(GInetAddress) inet = g_inet_address_new_from_string(
        !spec->host || !*spec->host            ? (spec->server ? "0.0.0.0" : "127.0.0.1")
        : g_str_equal(spec->host, "localhost") ? "127.0.0.1"
                                               : spec->host);
    if (!inet) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("\"%s\" is not a numeric host address or localhost."), spec->host);
        return NULL;
    }
    return g_inet_socket_address_new(inet, spec->port);
}

static bool open_socket(Chardev *chardev, const ChardevSpec *spec, GError **error)
{
    g_autoptr(GSocketAddress) address = socket_address(spec, error);
    if (!address)
        return false;
    g_autoptr(GSocket) socket =
        g_socket_new(g_socket_address_get_family(address), G_SOCKET_TYPE_STREAM,
                     G_SOCKET_PROTOCOL_DEFAULT, error);
    if (!socket)
        return false;
    if (!spec->server) {
        if (!g_socket_connect(socket, address, NULL, error))
            return false;
        connected(chardev, g_steal_pointer(&socket));
        return true;
    }
    if (spec->path)
        unlink(spec->path);
    if (!g_socket_bind(socket, address, TRUE, error) || !g_socket_listen(socket, error))
        return false;
    chardev->unix_path = g_strdup(spec->path);
    chardev->listener = g_steal_pointer(&socket);
    if (spec->wait) {
        GSocket *peer = g_socket_accept(chardev->listener, NULL, error);
        if (!peer)
            return false;
        connected(chardev, peer);
    }
    chardev->listen_source = g_socket_create_source(chardev->listener, G_IO_IN, NULL);
    g_source_set_callback(chardev->listen_source, G_SOURCE_FUNC(incoming), chardev, NULL);
    board_attach(chardev->board, chardev->listen_source);
    return true;
}

/* --- the other kinds -------------------------------------------------------------------------- */

static void open_stdio(Chardev *chardev)
{
    struct termios terminal;

    chardev->read_fd = STDIN_FILENO;
    chardev->write_fd = STDOUT_FILENO;
    if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &terminal) == 0) {
        chardev->saved_terminal = terminal;
        chardev->restore_terminal = true;
        /* Keys go to the guest one by one; Ctrl-C still ends the program. */
        terminal.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        terminal.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
        terminal.c_cc[VMIN] = 1;
        terminal.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
    }
}

static bool open_pty(Chardev *chardev, GError **error)
{
    char path[64];
    struct termios terminal;

    if (openpty(&chardev->read_fd, &chardev->pty_slave, path, NULL, NULL) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    _("Cannot open a pseudo terminal: %s."), g_strerror(errno));
        return false;
    }
    tcgetattr(chardev->pty_slave, &terminal);
    cfmakeraw(&terminal);
    tcsetattr(chardev->pty_slave, TCSANOW, &terminal);
    chardev->write_fd = chardev->read_fd;
    chardev->own_fds = true;
    chardev->pty_path = g_strdup(path);
    return true;
}

static bool open_file(Chardev *chardev, const ChardevSpec *spec, GError **error)
{
    int fd = open(spec->path, O_WRONLY | O_CREAT | O_CLOEXEC | (spec->append ? O_APPEND : O_TRUNC),
                  0666);
    if (fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    _("Cannot write to \"%s\": %s."), spec->path, g_strerror(errno));
        return false;
    }
    chardev->write_fd = fd;
    chardev->own_fds = true;
    return true;
}

static Chardev *chardev_new(Board *board, const char *id, const char *spec)
{
    Chardev *chardev = g_new0(Chardev, 1);

    chardev->board = board;
    chardev->id = g_strdup(id);
    chardev->spec = g_strdup(spec);
    chardev->read_fd = chardev->write_fd = chardev->pty_slave = -1;
    chardev->output = g_byte_array_new();
    chardev->input = g_byte_array_new();
    return chardev;
}

Chardev *chardev_open(Board *board, const char *id, const char *text, GError **error)
{
    g_autoptr(ChardevSpec) spec = chardev_spec_parse(text, error);
    if (!spec)
        return NULL;
    Chardev *chardev = chardev_new(board, id, text);
    bool done = true;

    chardev->kind = spec->kind;
    switch (spec->kind) {
    case CHARDEV_NULL:
    case CHARDEV_VC: break;
    case CHARDEV_STDIO: open_stdio(chardev); break;
    case CHARDEV_PTY: done = open_pty(chardev, error); break;
    case CHARDEV_FILE: done = open_file(chardev, spec, error); break;
    case CHARDEV_SOCKET: done = open_socket(chardev, spec, error); break;
    }
    if (!done) {
        g_prefix_error(error, "%s: ", text);
        chardev_close(chardev);
        return NULL;
    }
    if (spec->kind != CHARDEV_SOCKET)
        chardev->open = true;
    return chardev;
}

Chardev *chardev_new_internal(Board *board, const char *id, ChardevOutput output, void *opaque)
{
    Chardev *chardev = chardev_new(board, id, "vc");

    chardev->kind = CHARDEV_VC;
    chardev->internal_output = output;
    chardev->internal_opaque = opaque;
    chardev->open = true;
    return chardev;
}

typedef struct {
    Chardev *chardev;
    size_t length;
    uint8_t data[];
} Feed;

static void take_feed(void *opaque)
{
    Feed *feed = opaque;

    g_byte_array_append(feed->chardev->input, feed->data, feed->length);
    feed_front_end(feed->chardev);
    g_free(feed);
}

void chardev_feed(Chardev *chardev, const void *data, size_t length)
{
    Feed *feed = g_malloc(sizeof(Feed) + length);

    feed->chardev = chardev;
    feed->length = length;
    memcpy(feed->data, data, length);
    board_post(chardev->board, take_feed, feed);
}

void chardev_set_frontend(Chardev *chardev, const ChardevOps *ops, void *opaque)
{
    chardev->ops = ops;
    chardev->ops_opaque = opaque;
    if (!ops)
        return;
    if (chardev->open && ops->opened)
        ops->opened(opaque, true);
    if (chardev->kind != CHARDEV_FILE)
        watch_input(chardev);
}

const char *chardev_id(const Chardev *chardev)
{
    return chardev->id;
}

const char *chardev_spec(const Chardev *chardev)
{
    return chardev->spec;
}

const char *chardev_pty_path(const Chardev *chardev)
{
    return chardev->pty_path;
}

/* The last words of a guest that powered off reach a peer that reads, if slowly. */
static void linger(Chardev *chardev)
{
    struct pollfd poll_fd = {.fd = chardev->write_fd, .events = POLLOUT};

    while (chardev->output->len && poll(&poll_fd, 1, LINGER) == 1 && (poll_fd.revents & POLLOUT))
        flush_output(chardev);
}

void chardev_close(Chardev *chardev)
{
    if (!chardev)
        return;
    if (chardev->output->len && chardev->write_fd >= 0)
        linger(chardev);
    drop_source(&chardev->read_source);
    drop_source(&chardev->write_source);
    drop_source(&chardev->listen_source);
    g_clear_object(&chardev->connection);
    g_clear_object(&chardev->listener);
    if (chardev->unix_path)
        unlink(chardev->unix_path);
    if (chardev->own_fds) {
        close(chardev->write_fd);
        if (chardev->pty_slave >= 0)
            close(chardev->pty_slave);
    }
    if (chardev->restore_terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &chardev->saved_terminal);
    g_byte_array_unref(chardev->output);
    g_byte_array_unref(chardev->input);
    g_free(chardev->unix_path);
    g_free(chardev->pty_path);
    g_free(chardev->id);
    g_free(chardev->spec);
    g_free(chardev);
}
