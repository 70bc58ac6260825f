/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/core/remote/rfb-peer.h"

#include <arpa/inet.h>
#include <json-glib/json-glib.h>
#include <netinet/in.h>
#include <rfb/rfb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* --- the server's side --------------------------------------------------------------------------
 */

static void on_input(void *opaque)
{
    Bench *bench = opaque;
    MachineCommand command;

    g_mutex_lock(&bench->lock);
    while (vnc_server_take_input(bench->server, &command))
        g_array_append_val(bench->input, command);
    g_cond_broadcast(&bench->changed);
    g_mutex_unlock(&bench->lock);
}

static void on_event(void *opaque, const char *name, const char *data)
{
    Bench *bench = opaque;
    g_autoptr(JsonNode) node = json_from_string(data, NULL);

    g_assert_true(node && JSON_NODE_HOLDS_OBJECT(node));
    JsonObject *object = json_node_get_object(node);
    g_assert_true(json_object_has_member(object, "server"));
    g_assert_true(json_object_has_member(object, "client"));
    g_mutex_lock(&bench->lock);
    g_ptr_array_add(bench->events, g_strdup(name));
    g_cond_broadcast(&bench->changed);
    g_mutex_unlock(&bench->lock);
}

/* On the thread of the test itself. */
static void on_changed(void *opaque)
{
    ((Bench *)opaque)->changes++;
}

static const VncOps ops = {.input = on_input, .event = on_event, .changed = on_changed};

Bench *bench_new(int width, int height)
{
    Bench *bench = g_new0(Bench, 1);

    bench->display = display_new();
    bench->input = g_array_new(FALSE, FALSE, sizeof(MachineCommand));
    bench->events = g_ptr_array_new_with_free_func(g_free);
    bench->server = vnc_server_new(bench->display, &ops, bench);
    bench_show(bench, width, height, 0);
    return bench;
}

void bench_free(Bench *bench)
{
    vnc_server_free(bench->server);
    display_free(bench->display);
    g_array_unref(bench->input);
    g_ptr_array_unref(bench->events);
    g_mutex_clear(&bench->lock);
    g_cond_clear(&bench->changed);
    g_free(bench);
}

void bench_show(Bench *bench, int width, int height, uint32_t colour)
{
    int stride;
    uint8_t *pixels = display_begin(bench->display, width, height, &stride);

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            memcpy(pixels + y * stride + x * 4, &colour, 4);
    display_publish(bench->display, &(DisplayRect){0, 0, width, height}, 1);
}

static int64_t deadline(void)
{
    return g_get_monotonic_time() + PEER_WAIT_MS * 1000;
}

MachineCommand bench_input(Bench *bench, guint number)
{
    int64_t end = deadline();
    MachineCommand command;

    g_mutex_lock(&bench->lock);
    while (bench->input->len <= number)
        if (!g_cond_wait_until(&bench->changed, &bench->lock, end))
            g_error("input event %u did not come", number);
    command = g_array_index(bench->input, MachineCommand, number);
    g_mutex_unlock(&bench->lock);
    return command;
}

static bool has_event(const Bench *bench, const char *name)
{
    for (guint i = 0; i < bench->events->len; i++)
        if (g_str_equal(bench->events->pdata[i], name))
            return true;
    return false;
}

void bench_wait_event(Bench *bench, const char *name)
{
    int64_t end = deadline();

    g_mutex_lock(&bench->lock);
    while (!has_event(bench, name))
        if (!g_cond_wait_until(&bench->changed, &bench->lock, end))
            g_error("%s did not come", name);
    g_mutex_unlock(&bench->lock);
}

static unsigned count_clients(Bench *bench)
{
    g_autofree char *text = vnc_server_query(bench->server);
    g_autoptr(JsonNode) node = json_from_string(text, NULL);

    return json_array_get_length(
        json_object_get_array_member(json_node_get_object(node), "clients"));
}

void bench_wait_clients(Bench *bench, unsigned count)
{
    for (int64_t end = deadline(); count_clients(bench) != count; g_usleep(2000))
        if (g_get_monotonic_time() > end)
            g_error("%u clients instead of %u", count_clients(bench), count);
}

uint16_t bench_open(Bench *bench, const char *options)
{
    /* Displays apart from those people use, and from other tests'. */
    unsigned display = 20000 + (unsigned)getpid() % 20000;
    g_autofree char *spec = g_strdup_printf(":%u,to=%u%s", display, display + 200, options);
    g_autoptr(GError) error = NULL;

    g_assert_true(vnc_server_open(bench->server, spec, "test machine", &error));
    g_assert_no_error(error);
    g_autofree char *text = vnc_server_query(bench->server);
    g_autoptr(JsonNode) node = json_from_string(text, NULL);
    JsonObject *object = json_node_get_object(node);
    g_assert_cmpstr(json_object_get_string_member(object, "host"), ==, "127.0.0.1");
    return (uint16_t)atoi(json_object_get_string_member(object, "service"));
}

/* --- the client's side --------------------------------------------------------------------------
 */

static int limited(int fd)
{
    struct timeval limit = {.tv_sec = PEER_WAIT_MS / 1000};

    g_assert_cmpint(fd, >=, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    return fd;
}

int peer_connect(uint16_t port)
{
    int fd = limited(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    return fd;
}

int peer_connect_unix(const char *path)
{
    int fd = limited(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    return fd;
}

void peer_send(int fd, const void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = send(fd, (const char *)data + done, length - done, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server has hung up, which a hostile client finds out so */
        done += (size_t)n;
    }
}

bool peer_receive(int fd, void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = recv(fd, (char *)data + done, length - done, 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            g_error("the server has not answered in %d ms", PEER_WAIT_MS);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

bool peer_is_closed(int fd)
{
    char scrap[4096];
    ssize_t n;

    while ((n = recv(fd, scrap, sizeof(scrap), 0)) > 0)
        ;
    return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

uint32_t peer_receive_number(int fd)
{
    uint32_t number;

    g_assert_true(peer_receive(fd, &number, 4));
    return ntohl(number);
}

void peer_greet(int fd, int minor)
{
    char greeting[13] = {0};
    g_autofree char *answer = g_strdup_printf("RFB 003.%03d\n", minor);

    g_assert_true(peer_receive(fd, greeting, 12));
    g_assert_cmpstr(greeting, ==, "RFB 003.008\n");
    peer_send(fd, answer, 12);
}

static void receive_server_init(int fd, int *width, int *height)
{
    uint8_t init[24];
    char name[256] = {0};

    g_assert_true(peer_receive(fd, init, sizeof(init)));
    uint32_t length = (uint32_t)init[20] << 24 | init[21] << 16 | init[22] << 8 | init[23];
    g_assert_cmpuint(length, <, sizeof(name));
    g_assert_true(peer_receive(fd, name, length));
    g_assert_cmpstr(name, ==, "test machine");
    *width = init[0] << 8 | init[1];
    *height = init[2] << 8 | init[3];
}

bool peer_log_in(int fd, const char *password, bool shared, int *width, int *height)
{
    uint8_t offer[2], type = password ? 2 : 1, challenge[16], share = shared;

    peer_greet(fd, 8);
    g_assert_true(peer_receive(fd, offer, sizeof(offer)));
    g_assert_cmpuint(offer[0], ==, 1);
    peer_send(fd, &type, 1);
    if (offer[1] == type && password) {
        g_assert_true(peer_receive(fd, challenge, sizeof(challenge)));
        rfbEncryptBytes(challenge, (char *)password);
        peer_send(fd, challenge, sizeof(challenge));
    }
    if (peer_receive_number(fd) != 0)
        return false;
    peer_send(fd, &share, 1);
    receive_server_init(fd, width, height);
    return true;
}

void peer_set_encodings(int fd, const int32_t *encodings, unsigned n)
{
    uint8_t head[] = {rfbSetEncodings, 0, (uint8_t)(n >> 8), (uint8_t)n};

    peer_send(fd, head, sizeof(head));
    for (unsigned i = 0; i < n; i++) {
        uint32_t encoding = htonl((uint32_t)encodings[i]);
        peer_send(fd, &encoding, 4);
    }
}

void peer_request_update(int fd, bool incremental, int width, int height)
{
    uint8_t message[] = {rfbFramebufferUpdateRequest,
                         incremental,
                         0,
                         0,
                         0,
                         0,
                         (uint8_t)(width >> 8),
                         (uint8_t)width,
                         (uint8_t)(height >> 8),
                         (uint8_t)height};

    peer_send(fd, message, sizeof(message));
}

bool peer_next_rect(int fd, uint16_t rect[4], int32_t *encoding, uint32_t *pixel)
{
    /* One update's rectangles are read by successive calls. */
    static __thread int left, left_fd = -1;
    uint8_t head[4], bytes[12];

    while (left_fd != fd || left == 0) {
        if (!peer_receive(fd, head, 4))
            return false;
        g_assert_cmpuint(head[0], ==, rfbFramebufferUpdate);
        left = head[2] << 8 | head[3];
        left_fd = fd;
    }
    left--;
    if (!peer_receive(fd, bytes, sizeof(bytes)))
        return false;
    for (int i = 0; i < 4; i++)
        rect[i] = (uint16_t)(bytes[i * 2] << 8 | bytes[i * 2 + 1]);
    *encoding = (int32_t)((uint32_t)bytes[8] << 24 | bytes[9] << 16 | bytes[10] << 8 | bytes[11]);
    if (*encoding == rfbEncodingRaw)
        for (uint32_t i = 0; i < (uint32_t)rect[2] * rect[3]; i++)
            if (!peer_receive(fd, pixel, 4))
                return false;
    return true;
}

void peer_key(int fd, uint32_t keysym, bool down)
{
    uint8_t message[] = {rfbKeyEvent,
                         down,
                         0,
                         0,
                         (uint8_t)(keysym >> 24),
                         (uint8_t)(keysym >> 16),
                         (uint8_t)(keysym >> 8),
                         (uint8_t)keysym};

    peer_send(fd, message, sizeof(message));
}

void peer_pointer(int fd, uint8_t buttons, uint16_t x, uint16_t y)
{
    uint8_t message[] = {rfbPointerEvent, buttons,           (uint8_t)(x >> 8),
                         (uint8_t)x,      (uint8_t)(y >> 8), (uint8_t)y};

    peer_send(fd, message, sizeof(message));
}
