/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Clients that mean harm: whatever they do, the server lives, the others are served, and nothing is
 * left of them. `./dev test asan` runs this with the address sanitizer's eyes. */

#include "tests/core/remote/rfb-peer.h"

#include <rfb/rfb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WIDTH  320
#define HEIGHT 200

/* A good client still gets in and sees the picture. */
static void expect_alive(uint16_t port)
{
    int width, height, fd = peer_connect(port);
    uint16_t rect[4];
    int32_t encoding;
    uint32_t pixel;

    g_assert_true(peer_log_in(fd, NULL, true, &width, &height));
    peer_request_update(fd, false, 8, 8);
    g_assert_true(peer_next_rect(fd, rect, &encoding, &pixel));
    close(fd);
}

static void fill_randomly(uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t)g_test_rand_int_range(0, 256);
}

static void test_random_greetings(void)
{
    Bench *bench = bench_new(WIDTH, HEIGHT);
    uint16_t port = bench_open(bench, ",connections=64");

    for (int i = 0; i < 200; i++) {
        uint8_t noise[600];
        int fd = peer_connect(port);
        size_t length = (size_t)g_test_rand_int_range(1, sizeof(noise));
        fill_randomly(noise, length);
        if (i % 4 == 1)
            memcpy(noise, "RFB 003.008\n\1\1", MIN(length, 14));
        if (i % 4 == 2)
            memcpy(noise, "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", MIN(length, 38));
        if (i % 4 == 3)
            memcpy(noise, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", MIN(length, 11));
        peer_send(fd, noise, length);
        close(fd);
    }
    bench_wait_clients(bench, 0);
    expect_alive(port);
    bench_free(bench);
}

/* A page in a browser must not reach the machine. */
static void test_web_socket(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Protocol: binary\r\n\r\n";
    Bench *bench = bench_new(WIDTH, HEIGHT);
    int fd = peer_connect(bench_open(bench, ""));
    char greeting[13] = {0};

    peer_send(fd, request, strlen(request));
    g_assert_true(peer_receive(fd, greeting, 12));
    g_assert_cmpstr(greeting, ==, "RFB 003.008\n");
    g_assert_true(peer_is_closed(fd));
    close(fd);
    bench_free(bench);
}

/* Valid beginnings of messages and random ends, from a client that was let in. */
static void test_random_messages(void)
{
    static const uint8_t types[] = {0, 2, 3, 4, 5, 6, 251, 255};
    static const int32_t encodings[] = {rfbEncodingTight,
                                        rfbEncodingZRLE,
                                        rfbEncodingHextile,
                                        rfbEncodingExtendedClipboard,
                                        rfbEncodingExtDesktopSize,
                                        rfbEncodingRichCursor,
                                        -257,
                                        -258};
    Bench *bench = bench_new(WIDTH, HEIGHT);
    uint16_t port = bench_open(bench, ",connections=64");

    for (int i = 0; i < 150; i++) {
        int width, height, fd = peer_connect(port);
        uint8_t message[400];
        g_assert_true(peer_log_in(fd, NULL, true, &width, &height));
        peer_set_encodings(fd, encodings + i % 4, G_N_ELEMENTS(encodings) - (unsigned)i % 4);
        peer_request_update(fd, false, width, height);
        for (int k = 0; k < 5; k++) {
            size_t length = (size_t)g_test_rand_int_range(1, sizeof(message));
            fill_randomly(message, length);
            message[0] = types[g_test_rand_int_range(0, G_N_ELEMENTS(types))];
            peer_send(fd, message, length);
            bench_show(bench, WIDTH + k * 16, HEIGHT - k * 7, (uint32_t)i);
        }
        close(fd);
    }
    bench_wait_clients(bench, 0);
    expect_alive(port);
    bench_free(bench);
}

/* File transfer, chat, scaling, the power switch, and what does not exist. */
static void test_forbidden_messages(void)
{
    Bench *bench = bench_new(WIDTH, HEIGHT);
    uint16_t port = bench_open(bench, "");

    for (unsigned type = 1; type < 256; type++) {
        if (type <= 6 && type != 1)
            continue;
        if (type == 251 || type == 255)
            continue;
        int width, height, fd = peer_connect(port);
        uint8_t message[32] = {(uint8_t)type, 1};
        g_assert_true(peer_log_in(fd, NULL, true, &width, &height));
        peer_send(fd, message, sizeof(message));
        g_assert_true(peer_is_closed(fd));
        close(fd);
    }
    expect_alive(port);
    bench_free(bench);
}

static void test_huge_cut_text(void)
{
    static const int32_t encodings[] = {rfbEncodingExtendedClipboard};
    static const uint8_t lengths[][4] = {
        {0x7f, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0},
        {0x00, 0x20, 0, 0},       {0xff, 0xff, 0xff, 0xfd}, {0xff, 0, 0, 0},
    };
    Bench *bench = bench_new(WIDTH, HEIGHT);
    uint16_t port = bench_open(bench, "");
    g_autofree uint8_t *flood = g_malloc0(3 << 20);

    for (int extended = 0; extended < 2; extended++) {
        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
            int width, height, fd = peer_connect(port);
            uint8_t head[8] = {rfbClientCutText};
            g_assert_true(peer_log_in(fd, NULL, true, &width, &height));
            if (extended)
                peer_set_encodings(fd, encodings, 1);
            memcpy(head + 4, lengths[i], 4);
            peer_send(fd, head, sizeof(head));
            peer_send(fd, flood, 3 << 20);
            close(fd);
        }
    }
    bench_wait_clients(bench, 0);
    expect_alive(port);
    bench_free(bench);
}

/* A client that promises more text than it sends must not be given what was in the memory. */
static void test_clipboard_promise(void)
{
    static const int32_t encodings[] = {rfbEncodingExtendedClipboard};
    /* zlib: stored block of "\0\0\1\0ab": 256 bytes are promised, two come. */
    static const uint8_t message[] = {rfbClientCutText,
                                      0,
                                      0,
                                      0,
                                      0xff,
                                      0xff,
                                      0xff,
                                      0xe9,
                                      0x10,
                                      0,
                                      0,
                                      1, /* provide, text */
                                      0x78,
                                      0x01,
                                      0x01,
                                      6,
                                      0,
                                      0xf9,
                                      0xff,
                                      0,
                                      0,
                                      1,
                                      0,
                                      'a',
                                      'b',
                                      0x01,
                                      0x24,
                                      0x00,
                                      0xc5,
                                      0,
                                      0};
    Bench *bench = bench_new(WIDTH, HEIGHT);
    uint16_t port = bench_open(bench, "");
    int width, height, from = peer_connect(port), to = peer_connect(port);
    uint8_t head[8];

    g_assert_true(peer_log_in(to, NULL, true, &width, &height));
    g_assert_true(peer_log_in(from, NULL, true, &width, &height));
    peer_set_encodings(from, encodings, 1);
    peer_send(from, message, sizeof(message));
    /* The next thing TO hears is an honest text. */
    const uint8_t honest[] = {rfbClientCutText, 0, 0, 0, 0, 0, 0, 3, 'y', 'e', 's'};
    peer_send(from, honest, sizeof(honest));
    g_assert_true(peer_receive(to, head, sizeof(head)));
    g_assert_cmpuint(head[0], ==, rfbServerCutText);
    g_assert_cmpuint(head[7], ==, 3);
    close(from);
    close(to);
    bench_free(bench);
}

/* Half handshakes keep their places and nobody else's time. */
static void test_half_handshakes(void)
{
    Bench *bench = bench_new(WIDTH, HEIGHT);
    uint16_t port = bench_open(bench, ",connections=20");
    int fds[19];

    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = peer_connect(port);
        if (i % 3)
            peer_send(fds[i], "RFB 003.008\n\1", 7 + i % 3 * 3);
    }
    int64_t begin = g_get_monotonic_time();
    expect_alive(port);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 5 * G_USEC_PER_SEC);
    /* And leave at once when the server goes. */
    vnc_server_close(bench->server);
    bench_wait_clients(bench, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        g_assert_true(peer_is_closed(fds[i]));
        close(fds[i]);
    }
    bench_free(bench);
}

static void test_thousands_of_connections(void)
{
    Bench *bench = bench_new(WIDTH, HEIGHT);
    uint16_t port = bench_open(bench, ",connections=8");
    char greeting[12];
    bool greeted = false;

    for (int i = 0; i < 2000; i++) {
        int fd = peer_connect(port);
        if (i % 5 == 0)
            peer_send(fd, "RFB 003.008\n", 12);
        close(fd);
    }
    /* Whoever is greeted after that has waited for all of them to be taken or turned away. */
    while (!greeted) {
        int fd = peer_connect(port);
        greeted = peer_receive(fd, greeting, sizeof(greeting));
        close(fd);
    }
    bench_wait_clients(bench, 0);
    expect_alive(port);
    bench_free(bench);
}

/* A client that asks for much and reads nothing: the others see every change, and it does not keep
 * the server from ending. */
static void test_stuck_client(void)
{
    Bench *bench = bench_new(1920, 1080);
    uint16_t port = bench_open(bench, "");
    int width, height, stuck = peer_connect(port), good = peer_connect(port);
    uint16_t rect[4];
    int32_t encoding;
    uint32_t pixel;

    g_assert_true(peer_log_in(stuck, NULL, true, &width, &height));
    g_assert_true(peer_log_in(good, NULL, true, &width, &height));
    for (int i = 0; i < 200; i++)
        peer_request_update(stuck, false, width, height);
    for (uint32_t i = 1; i < 20; i++) {
        int stride;
        uint8_t *pixels = display_begin(bench->display, 1920, 1080, &stride);
        memcpy(pixels, &i, 4);
        display_publish(bench->display, &(DisplayRect){0, 0, 1, 1}, 1);
        peer_request_update(good, false, 1, 1);
        do
            g_assert_true(peer_next_rect(good, rect, &encoding, &pixel));
        while (rect[0] || rect[1]);
        g_assert_cmphex(GUINT32_FROM_LE(pixel) & 0xffffff, ==, i);
    }
    int64_t begin = g_get_monotonic_time();
    bench_free(bench);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 8 * G_USEC_PER_SEC);
    close(stuck);
    close(good);
}

/* Input comes faster than a machine takes it. */
static void on_ignored_input(void *opaque)
{
}

static void on_ignored_event(void *opaque, const char *name, const char *data)
{
}

static void test_flood_of_input(void)
{
    static const VncOps deaf = {
        .input = on_ignored_input, .event = on_ignored_event, .changed = on_ignored_input};
    Display *display = display_new();
    VncServer *server = vnc_server_new(display, &deaf, NULL);
    Bench bench = {.server = server};
    int width, height, fd = peer_connect(bench_open(&bench, ""));
    MachineCommand command;
    unsigned n = 0;

    g_assert_true(peer_log_in(fd, NULL, true, &width, &height));
    for (int i = 0; i < 5000; i++)
        peer_key(fd, 'a', i % 2 == 0);
    g_usleep(200000);
    while (vnc_server_take_input(server, &command))
        n++;
    g_test_message("%u events were waiting", n);
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n, <=, 5000);
    vnc_server_free(server); /* while the client's thread waits for room */
    display_free(display);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vnc-hostile/random-greetings", test_random_greetings);
    g_test_add_func("/vnc-hostile/web-socket", test_web_socket);
    g_test_add_func("/vnc-hostile/random-messages", test_random_messages);
    g_test_add_func("/vnc-hostile/forbidden-messages", test_forbidden_messages);
    g_test_add_func("/vnc-hostile/huge-cut-text", test_huge_cut_text);
    g_test_add_func("/vnc-hostile/clipboard-promise", test_clipboard_promise);
    g_test_add_func("/vnc-hostile/half-handshakes", test_half_handshakes);
    g_test_add_func("/vnc-hostile/thousands-of-connections", test_thousands_of_connections);
    g_test_add_func("/vnc-hostile/stuck-client", test_stuck_client);
    g_test_add_func("/vnc-hostile/flood-of-input", test_flood_of_input);
    return g_test_run();
}
