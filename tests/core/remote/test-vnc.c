/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The VNC server as a well-behaved client sees it: letting in, picture, input, clipboard, on and
 * off. */

#include "tests/core/remote/rfb-peer.h"

#include "core/config/vnc-spec.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <linux/input-event-codes.h>
#include <rfb/rfb.h>
#include <string.h>
#include <unistd.h>

#define WIDTH  64
#define HEIGHT 40

/* --- words --------------------------------------------------------------------------------------
 */

static void expect_refused(const char *text, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VncSpec) spec = vnc_spec_parse(text, &error);

    g_assert_null(spec);
    g_assert_nonnull(error);
    g_test_message("%s: %s", text, error->message);
    g_assert_nonnull(strstr(error->message, part));
}

static void test_spec(void)
{
    g_autoptr(VncSpec) plain = vnc_spec_parse(":1", NULL);
    g_assert_cmpstr(plain->host, ==, "127.0.0.1"); /* QEMU would take all addresses */
    g_assert_cmpuint(plain->port, ==, 5901);
    g_assert_cmpuint(plain->last_port, ==, 5901);
    g_assert_false(plain->password || plain->off);

    g_autoptr(VncSpec) full =
        vnc_spec_parse("[::1]:2,to=9,password=on,share=ignore,connections=3", NULL);
    g_assert_cmpstr(full->host, ==, "::1");
    g_assert_cmpuint(full->port, ==, 5902);
    g_assert_cmpuint(full->last_port, ==, 5909);
    g_assert_true(full->password);
    g_assert_cmpint(full->share, ==, VNC_SHARE_IGNORE);
    g_assert_cmpuint(full->connections, ==, 3);

    g_autoptr(VncSpec) path = vnc_spec_parse("unix:/tmp/a,,b", NULL);
    g_assert_cmpstr(path->path, ==, "/tmp/a,b");
    g_autoptr(VncSpec) all = vnc_spec_parse("0.0.0.0:0", NULL);
    g_assert_cmpstr(all->host, ==, "0.0.0.0");
    g_autoptr(VncSpec) none = vnc_spec_parse("none", NULL);
    g_assert_true(none->off);

    expect_refused("", "needs an address");
    expect_refused("5900", "DISPLAY");
    expect_refused(":x", "DISPLAY");
    expect_refused(":60000", "DISPLAY");
    expect_refused("example.org:1", "example.org");
    expect_refused("unix:", "path");
    expect_refused(":5,to=3", "to=3");
    expect_refused(":1,share=never", "share");
    expect_refused(":1,websocket", "websocket");
    expect_refused(":1,reverse=on", "reverse");
    expect_refused(":1,tls-creds=x", "tls-creds");
    expect_refused(":1,sasl", "sasl");
    expect_refused(":1,frobnicate=on", "frobnicate");
}

static void test_spec_format(void)
{
    static const char *const specs[] = {
        "none",
        ":0",
        ":1,to=9,password=on,share=ignore,connections=3",
        "[::1]:2",
        "0.0.0.0:59635",
        "unix:/tmp/a,,b,password=on,share=force-shared",
        "10.1.2.3:4",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(specs); i++) {
        g_autoptr(VncSpec) spec = vnc_spec_parse(specs[i], NULL);
        g_autofree char *text = vnc_spec_format(spec);
        g_assert_cmpstr(text, ==, specs[i]);
    }
    g_autoptr(VncSpec) wordy =
        vnc_spec_parse("localhost:7,to=7,password=off,share=allow-exclusive,connections=32", NULL);
    g_autofree char *text = vnc_spec_format(wordy);
    g_assert_cmpstr(text, ==, ":7");
}

/* --- letting in ---------------------------------------------------------------------------------
 */

static void expect_password(uint16_t port, const char *password, bool welcome)
{
    int width, height, fd = peer_connect(port);

    g_assert_true(peer_log_in(fd, password, true, &width, &height) == welcome);
    close(fd);
}

static void test_password(void)
{
    Bench *bench = bench_new(WIDTH, HEIGHT);
    g_autoptr(GError) error = NULL;
    uint16_t port = bench_open(bench, ",password=on");

    expect_password(port, "", false); /* none is set: nobody gets in */
    g_assert_true(vnc_server_set_password(bench->server, "sesame88", &error));
    expect_password(port, "sesame88", true);
    expect_password(port, "sesame8", false);
    g_assert_true(vnc_server_expire_password(bench->server, "now", &error));
    expect_password(port, "sesame88", false);
    g_assert_true(vnc_server_expire_password(bench->server, "+100", &error));
    expect_password(port, "sesame88", true);
    g_assert_true(vnc_server_expire_password(bench->server, "1", &error));
    expect_password(port, "sesame88", false);
    g_assert_true(vnc_server_expire_password(bench->server, "never", &error));
    expect_password(port, "sesame88", true);
    g_assert_true(vnc_server_set_password(bench->server, NULL, &error));
    expect_password(port, "sesame88", false);
    g_assert_no_error(error);

    g_assert_false(vnc_server_expire_password(bench->server, "soon", &error));
    g_clear_error(&error);
    g_assert_false(vnc_server_set_password(bench->server, "sesame889", &error));
    g_assert_nonnull(strstr(error->message, "8"));
    g_clear_error(&error);
    bench_open(bench, "");
    g_assert_false(vnc_server_set_password(bench->server, "sesame88", &error));
    g_assert_nonnull(strstr(error->message, "password=on"));
    bench_free(bench);
}

/* The older versions of the protocol. */
static void test_versions(void)
{
    Bench *bench = bench_new(WIDTH, HEIGHT);
    uint16_t port = bench_open(bench, "");
    uint8_t offer[2], type = 1, share = 1, init[24];

    int fd = peer_connect(port);
    peer_greet(fd, 3);
    g_assert_cmpuint(peer_receive_number(fd), ==, 1); /* None, and no result */
    peer_send(fd, &share, 1);
    g_assert_true(peer_receive(fd, init, sizeof(init)));
    g_assert_cmpuint(init[1], ==, WIDTH);
    close(fd);

    fd = peer_connect(port);
    peer_greet(fd, 7);
    g_assert_true(peer_receive(fd, offer, 2));
    g_assert_cmpuint(offer[1], ==, 1);
    peer_send(fd, &type, 1);
    peer_send(fd, &share, 1);
    g_assert_true(peer_receive(fd, init, sizeof(init)));
    g_assert_cmpuint(init[3], ==, HEIGHT);
    close(fd);

    bench_open(bench, ",password=on");
    g_assert_true(vnc_server_set_password(bench->server, "a", NULL));
    bench_free(bench);
}

/* libvncserver has one list of security types for the process. While a client of an open machine
 * shakes hands, one of a protected machine must be offered VNC authentication only, and choosing
 * None, whenever that is, must not let it in. */
static void test_types_of_two_machines(void)
{
    Bench *open = bench_new(WIDTH, HEIGHT), *protected = bench_new(WIDTH, HEIGHT);
    uint16_t open_port = bench_open(open, ""), port = bench_open(protected, ",password=on");
    uint8_t offer[2], none = 1, auth = 2;

    g_assert_true(vnc_server_set_password(protected->server, "secret", NULL));
    for (int minor = 3; minor <= 8; minor++) {
        int victim = peer_connect(port), helper = peer_connect(open_port);
        peer_greet(victim, minor);
        if (minor >= 7) {
            g_assert_true(peer_receive(victim, offer, 2));
            g_assert_cmpuint(offer[0], ==, 1);
            g_assert_cmpuint(offer[1], ==, auth);
        } else {
            g_assert_cmpuint(peer_receive_number(victim), ==, auth);
        }
        /* The open machine's list is sent now, then its client comes in. */
        peer_greet(helper, 8);
        g_assert_true(peer_receive(helper, offer, 2));
        g_assert_cmpuint(offer[1], ==, none);
        peer_send(helper, &none, 1);
        g_assert_cmpuint(peer_receive_number(helper), ==, 0);
        peer_send(helper, &none, 1);
        /* The attack. */
        peer_send(victim, &none, 1);
        if (minor >= 8)
            g_assert_cmpuint(peer_receive_number(victim), ==, 1);
        peer_send(victim, &none, 1);
        if (minor < 7) { /* here the byte is the beginning of a response to the challenge */
            uint8_t response[14] = {0}, challenge[16];
            peer_send(victim, response, sizeof(response));
            g_assert_true(peer_receive(victim, challenge, sizeof(challenge)));
            g_assert_cmpuint(peer_receive_number(victim), ==, 1);
        }
        g_assert_true(peer_is_closed(victim));
        close(victim);
        close(helper);
    }
    /* And the other way round: the open machine stays open. */
    expect_password(open_port, NULL, true);
    expect_password(port, "secret", true);
    expect_password(port, NULL, false);
    bench_free(open);
    bench_free(protected);
}

static void test_share(void)
{
    Bench *bench = bench_new(WIDTH, HEIGHT);
    int width, height;
    uint16_t port = bench_open(bench, "");

    int first = peer_connect(port);
    g_assert_true(peer_log_in(first, NULL, true, &width, &height));
    bench_wait_event(bench, "VNC_INITIALIZED");
    int second = peer_connect(port);
    g_assert_true(peer_log_in(second, NULL, false, &width, &height));
    g_assert_true(peer_is_closed(first)); /* the second wanted to be alone */
    close(first);
    close(second);

    port = bench_open(bench, ",share=force-shared");
    first = peer_connect(port);
    g_assert_true(peer_log_in(first, NULL, true, &width, &height));
    second = peer_connect(port);
    uint8_t offer[2], none = 1, alone = 0;
    peer_greet(second, 8);
    g_assert_true(peer_receive(second, offer, 2));
    peer_send(second, &none, 1);
    g_assert_cmpuint(peer_receive_number(second), ==, 0);
    peer_send(second, &alone, 1);
    g_assert_true(peer_is_closed(second));
    close(first);
    close(second);
    bench_wait_clients(bench, 0);

    port = bench_open(bench, ",share=ignore,connections=2");
    first = peer_connect(port);
    g_assert_true(peer_log_in(first, NULL, true, &width, &height));
    second = peer_connect(port);
    g_assert_true(peer_log_in(second, NULL, false, &width, &height));
    peer_request_update(first, false, width, height);
    uint16_t rect[4];
    int32_t encoding;
    uint32_t pixel;
    g_assert_true(peer_next_rect(first, rect, &encoding, &pixel));
    int third = peer_connect(port); /* one too many */
    g_assert_true(peer_is_closed(third));
    close(first);
    close(second);
    close(third);
    bench_wait_clients(bench, 0);
    bench_wait_event(bench, "VNC_DISCONNECTED");
    bench_free(bench);
}

/* --- picture ------------------------------------------------------------------------------------
 */

/* Each full request is answered with the size before the pixels. */
static bool next_raw(int fd, uint16_t rect[4], uint32_t *pixel, int *width, int *height)
{
    int32_t encoding;
    uint8_t screens[4 + 16];

    while (peer_next_rect(fd, rect, &encoding, pixel)) {
        if (encoding == rfbEncodingRaw)
            return true;
        g_assert_cmpint(encoding, ==, (int32_t)rfbEncodingExtDesktopSize);
        g_assert_true(peer_receive(fd, screens, sizeof(screens)));
        *width = rect[2];
        *height = rect[3];
    }
    return false;
}

static void test_picture(void)
{
    static const int32_t encodings[] = {rfbEncodingRaw, (int32_t)rfbEncodingExtDesktopSize};
    Bench *bench = bench_new(WIDTH, HEIGHT);
    int width, height, fd = peer_connect(bench_open(bench, ""));
    uint16_t rect[4];
    uint32_t pixel = 0;

    bench_show(bench, WIDTH, HEIGHT, 0x123456);
    g_assert_true(peer_log_in(fd, NULL, true, &width, &height));
    g_assert_cmpint(width, ==, WIDTH);
    g_assert_cmpint(height, ==, HEIGHT);
    peer_set_encodings(fd, encodings, G_N_ELEMENTS(encodings));
    peer_request_update(fd, false, width, height);
    g_assert_true(next_raw(fd, rect, &pixel, &width, &height));
    g_assert_cmpuint(rect[2], ==, WIDTH);
    g_assert_cmpuint(rect[3], ==, HEIGHT);
    g_assert_cmphex(GUINT32_FROM_LE(pixel) & 0xffffff, ==, 0x123456);

    /* Only what changes comes after that. */
    peer_request_update(fd, true, width, height);
    int stride;
    uint8_t *pixels = display_begin(bench->display, WIDTH, HEIGHT, &stride);
    memset(pixels + 7 * stride + 4 * 4, 0xff, 8 * 4);
    display_publish(bench->display, &(DisplayRect){4, 7, 8, 1}, 1);
    g_assert_true(next_raw(fd, rect, &pixel, &width, &height));
    g_assert_cmpuint(rect[0], ==, 4);
    g_assert_cmpuint(rect[1], ==, 7);
    g_assert_cmpuint(rect[2], ==, 8);
    g_assert_cmpuint(rect[3], ==, 1);
    g_assert_cmphex(GUINT32_FROM_LE(pixel) & 0xffffff, ==, 0xffffff);

    /* The guest's new mode: the same request is answered in the new size, with the whole picture.
     */
    for (int i = 1; i <= 3; i++) {
        peer_request_update(fd, true, WIDTH * 2, HEIGHT * 2);
        bench_show(bench, WIDTH * i / 2, HEIGHT + i, 0x10101u * (unsigned)i);
        g_assert_true(next_raw(fd, rect, &pixel, &width, &height));
        g_assert_cmpint(width, ==, WIDTH * i / 2);
        g_assert_cmpint(height, ==, HEIGHT + i);
        g_assert_cmpuint(rect[2], ==, width);
        g_assert_cmpuint(rect[3], ==, height);
        peer_request_update(fd, false, width, height);
        g_assert_true(next_raw(fd, rect, &pixel, &width, &height));
        g_assert_cmpuint(rect[2], ==, width);
        g_assert_cmphex(GUINT32_FROM_LE(pixel) & 0xffffff, ==, 0x10101u * (unsigned)i);
    }
    close(fd);
    bench_free(bench);
}

/* --- input --------------------------------------------------------------------------------------
 */

static void expect_key(Bench *bench, guint number, unsigned code, bool down)
{
    MachineCommand command = bench_input(bench, number);

    g_assert_cmpint(command.type, ==, COMMAND_KEY);
    g_assert_cmpuint(command.key.code, ==, code);
    g_assert_true(command.key.down == down);
}

static void test_keyboard(void)
{
    static const int32_t encodings[] = {-258};
    Bench *bench = bench_new(WIDTH, HEIGHT);
    int width, height, fd = peer_connect(bench_open(bench, ""));
    uint16_t rect[4];
    int32_t encoding;
    uint32_t pixel;

    g_assert_true(peer_log_in(fd, NULL, true, &width, &height));
    peer_key(fd, 'B', true);
    peer_key(fd, 'B', false);
    expect_key(bench, 0, KEY_LEFTSHIFT, true);
    expect_key(bench, 1, KEY_B, true);
    expect_key(bench, 2, KEY_LEFTSHIFT, false);
    expect_key(bench, 3, KEY_B, false);

    peer_set_encodings(fd, encodings, 1);
    g_assert_true(peer_next_rect(fd, rect, &encoding, &pixel));
    g_assert_cmpint(encoding, ==, -258);
    /* A Cyrillic keysym on the key that stands where the US keyboard has Y. */
    const uint8_t message[] = {255, 0, 0, 1, 0, 0, 0x06, 0xce, 0, 0, 0, 0x15};
    peer_send(fd, message, sizeof(message));
    expect_key(bench, 4, KEY_Y, true);
    /* What is down when a client goes is let go. */
    close(fd);
    expect_key(bench, 5, KEY_Y, false);
    bench_free(bench);
}

static void test_pointer(void)
{
    static const int32_t encodings[] = {-257};
    Bench *bench = bench_new(WIDTH, HEIGHT);
    int width, height, fd = peer_connect(bench_open(bench, ""));
    uint16_t rect[4];
    int32_t encoding;
    uint32_t pixel;

    g_assert_true(peer_log_in(fd, NULL, true, &width, &height));
    peer_pointer(fd, 1, 10, 20);
    peer_pointer(fd, 1, 13, 18);
    MachineCommand command = bench_input(bench, 1);
    g_assert_cmpint(command.type, ==, COMMAND_POINTER_MOTION);
    g_assert_cmpint(command.pointer.x, ==, 3);
    g_assert_cmpint(command.pointer.y, ==, -2);
    g_assert_cmpuint(command.pointer.buttons, ==, 1);
    peer_pointer(fd, 0, 13, 18);
    peer_pointer(fd, 8, 13, 18); /* wheel up */
    peer_pointer(fd, 0, 13, 18);
    peer_pointer(fd, 16, 13, 18); /* and down */
    g_assert_cmpint(bench_input(bench, 3).pointer.wheel, ==, 1);
    g_assert_cmpint(bench_input(bench, 4).pointer.wheel, ==, 0);
    g_assert_cmpint(bench_input(bench, 5).pointer.wheel, ==, -1);

    /* Told that the pointer is relative, the client sends movements. */
    peer_set_encodings(fd, encodings, 1);
    g_assert_true(peer_next_rect(fd, rect, &encoding, &pixel));
    g_assert_cmpint(encoding, ==, -257);
    g_assert_cmpuint(rect[0], ==, 0);
    peer_pointer(fd, 4, 0x7fff - 5, 0x7fff + 6);
    command = bench_input(bench, 6);
    g_assert_cmpint(command.pointer.x, ==, -5);
    g_assert_cmpint(command.pointer.y, ==, 6);
    g_assert_cmpuint(command.pointer.buttons, ==, 2); /* the right one */

    vnc_server_set_absolute(bench->server, true);
    g_assert_true(peer_next_rect(fd, rect, &encoding, &pixel));
    g_assert_cmpuint(rect[0], ==, 1);
    peer_pointer(fd, 2, WIDTH - 1, 0);
    command = bench_input(bench, 7);
    g_assert_cmpint(command.type, ==, COMMAND_POINTER_POSITION);
    g_assert_cmpint(command.pointer.x, ==, 32767);
    g_assert_cmpint(command.pointer.y, ==, 0);
    g_assert_cmpuint(command.pointer.buttons, ==, 4);
    peer_pointer(fd, 2, 60000, 60000); /* off the screen */
    command = bench_input(bench, 8);
    g_assert_cmpint(command.pointer.x, ==, 32767);
    g_assert_cmpint(command.pointer.y, ==, 32767);
    close(fd);
    g_assert_cmpuint(bench_input(bench, 9).pointer.buttons, ==, 0);
    bench_free(bench);
}

/* --- clipboard ----------------------------------------------------------------------------------
 */

static void send_cut_text(int fd, const char *text)
{
    uint8_t head[8] = {rfbClientCutText, 0, 0, 0, 0, 0, 0, (uint8_t)strlen(text)};

    peer_send(fd, head, sizeof(head));
    peer_send(fd, text, strlen(text));
}

/* What one client cuts the others can paste; the guest is not typed at. */
static void test_clipboard(void)
{
    Bench *bench = bench_new(WIDTH, HEIGHT);
    uint16_t port = bench_open(bench, "");
    int width, height, from = peer_connect(port), to = peer_connect(port);
    uint8_t head[8];
    char text[16] = {0};

    g_assert_true(peer_log_in(from, NULL, true, &width, &height));
    g_assert_true(peer_log_in(to, NULL, true, &width, &height));
    peer_key(to, 'q', true); /* both are greeted when this has arrived */
    bench_input(bench, 0);
    send_cut_text(from, "caf\xe9");
    g_assert_true(peer_receive(to, head, sizeof(head)));
    g_assert_cmpuint(head[0], ==, rfbServerCutText);
    g_assert_cmpuint(head[7], ==, 4);
    g_assert_true(peer_receive(to, text, 4));
    g_assert_cmpstr(text, ==, "caf\xe9");
    g_assert_cmpuint(bench->input->len, ==, 1);
    close(from);
    close(to);
    bench_free(bench);
}

/* --- on and off ---------------------------------------------------------------------------------
 */

static void test_on_and_off(void)
{
    Bench *bench = bench_new(WIDTH, HEIGHT), *other = bench_new(WIDTH, HEIGHT);
    g_autoptr(GError) error = NULL;
    int width, height;
    uint16_t port = bench_open(bench, "");
    g_autofree char *spec = g_strdup_printf("127.0.0.1:%u", port - VNC_BASE_PORT);
    g_autofree char *number = g_strdup_printf("%u", port);

    /* Taken: the message says by which name. */
    g_assert_false(vnc_server_open(other->server, spec, "other", &error));
    g_test_message("%s", error->message);
    g_assert_true(g_error_matches(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE));
    g_assert_nonnull(strstr(error->message, number));
    g_clear_error(&error);
    /* to= finds the next. */
    g_autofree char *range = g_strdup_printf("%s,to=%u", spec, port - VNC_BASE_PORT + 50);
    g_assert_true(vnc_server_open(other->server, range, "other", &error));

    int fd = peer_connect(port);
    g_assert_true(peer_log_in(fd, NULL, true, &width, &height));
    g_assert_cmpuint(bench->changes, ==, 1);
    vnc_server_close(bench->server);
    vnc_server_close(bench->server); /* is no change */
    g_assert_cmpuint(bench->changes, ==, 2);
    g_assert_cmpuint(other->changes, ==, 2); /* failed, and opened */
    g_assert_true(peer_is_closed(fd));
    close(fd);
    bench_wait_clients(bench, 0);
    g_autofree char *off = vnc_server_query(bench->server);
    g_assert_cmpstr(off, ==, "{\"enabled\":false,\"clients\":[]}");
    /* The same port again at once. */
    for (int i = 0; i < 20; i++) {
        g_assert_true(vnc_server_open(bench->server, spec, "test machine", &error));
        fd = peer_connect(port);
        g_assert_true(peer_log_in(fd, NULL, true, &width, &height));
        close(fd);
    }
    g_autofree char *text = vnc_server_describe(bench->server);
    g_assert_nonnull(strstr(text, number));
    bench_free(bench);
    bench_free(other);
}

static JsonObject *client_of(JsonNode *clients, guint i)
{
    return json_array_get_object_element(json_node_get_array(clients), i);
}

static void test_disconnect(void)
{
    Bench *bench = bench_new(WIDTH, HEIGHT);
    uint16_t port = bench_open(bench, "");
    g_autoptr(GError) error = NULL;
    int width, height, first = peer_connect(port);
    int64_t now = g_get_real_time() / G_USEC_PER_SEC;

    g_assert_true(peer_log_in(first, NULL, true, &width, &height));
    int second = peer_connect(port); /* says nothing */
    bench_wait_clients(bench, 2);
    g_autofree char *text = vnc_server_query_clients(bench->server);
    g_autoptr(JsonNode) clients = json_from_string(text, NULL);
    g_assert_cmpuint(json_array_get_length(json_node_get_array(clients)), ==, 2);
    g_assert_cmpstr(json_object_get_string_member(client_of(clients, 0), "host"), ==, "127.0.0.1");
    g_assert_true(json_object_get_boolean_member(client_of(clients, 0), "admitted"));
    g_assert_false(json_object_get_boolean_member(client_of(clients, 1), "admitted"));
    g_assert_cmpint(ABS(json_object_get_int_member(client_of(clients, 0), "since") - now), <, 60);
    uint64_t id = (uint64_t)json_object_get_int_member(client_of(clients, 0), "id");
    g_assert_cmpuint(id, !=, (uint64_t)json_object_get_int_member(client_of(clients, 1), "id"));

    g_assert_true(vnc_server_disconnect(bench->server, id, &error));
    g_assert_true(peer_is_closed(first));
    bench_wait_clients(bench, 1);
    g_assert_false(vnc_server_disconnect(bench->server, id, &error));
    g_assert_true(g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND));
    /* The other one is served on. */
    g_assert_true(peer_log_in(second, NULL, true, &width, &height));
    close(first);
    close(second);
    bench_free(bench);
}

static void test_unix_socket(void)
{
    Bench *bench = bench_new(WIDTH, HEIGHT), *other = bench_new(WIDTH, HEIGHT);
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("apiary-vnc-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "socket", NULL);
    g_autofree char *spec = g_strconcat("unix:", path, NULL);
    int width, height;

    for (int i = 0; i < 2; i++) {
        g_assert_true(vnc_server_open(bench->server, spec, "test machine", &error));
        int fd = peer_connect_unix(path);
        g_assert_true(peer_log_in(fd, NULL, true, &width, &height));
        close(fd);
    }
    /* A socket in use is not taken away, nor is a file. */
    g_assert_false(vnc_server_open(other->server, spec, "other", &error));
    g_assert_nonnull(strstr(error->message, path));
    g_clear_error(&error);
    vnc_server_close(bench->server);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_set_contents(path, "text", -1, NULL));
    g_assert_false(vnc_server_open(bench->server, spec, "test machine", &error));
    g_assert_true(g_file_test(path, G_FILE_TEST_IS_REGULAR));
    g_unlink(path);
    g_rmdir(folder);
    bench_free(bench);
    bench_free(other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vnc/spec", test_spec);
    g_test_add_func("/vnc/spec-format", test_spec_format);
    g_test_add_func("/vnc/password", test_password);
    g_test_add_func("/vnc/versions", test_versions);
    g_test_add_func("/vnc/types-of-two-machines", test_types_of_two_machines);
    g_test_add_func("/vnc/share", test_share);
    g_test_add_func("/vnc/picture", test_picture);
    g_test_add_func("/vnc/keyboard", test_keyboard);
    g_test_add_func("/vnc/pointer", test_pointer);
    g_test_add_func("/vnc/clipboard", test_clipboard);
    g_test_add_func("/vnc/on-and-off", test_on_and_off);
    g_test_add_func("/vnc/disconnect", test_disconnect);
    g_test_add_func("/vnc/unix-socket", test_unix_socket);
    return g_test_run();
}
