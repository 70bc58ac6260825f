/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Private networks: two back ends that talk, the bytes on the wire that QEMU expects, peers that
 * come, go, stop reading or send nonsense. */

#include "core/config/config.h"
#include "core/net/checksum.h"
#include "core/net/socket.h"
#include "tests/core/net/lan-fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

/* --- helpers ---------------------------------------------------------------------------------- */

static void run(Lan *lan)
{
    for (int i = 0; i < 20; i++)
        g_main_context_iteration(lan->storage.board.context, FALSE);
}

/* Runs both boards until B has COUNT frames, or for a few seconds. */
static void wait_count(Lan *a, Lan *b, guint count)
{
    gint64 end = g_get_monotonic_time() + 5 * G_TIME_SPAN_SECOND;

    while (b->got->len < count && g_get_monotonic_time() < end) {
        run(a);
        run(b);
        g_usleep(200);
    }
    g_assert_cmpuint(b->got->len, ==, count);
}

static void fill(uint8_t *frame, size_t length, unsigned number)
{
    for (size_t i = 0; i < length; i++)
        frame[i] = (uint8_t)(i * 31 + number);
}

static void send_numbered(Lan *lan, size_t length, unsigned number)
{
    g_autofree uint8_t *frame = g_malloc(length);

    fill(frame, length, number);
    net_backend_send(lan->net, frame, length);
}

static void check_numbered(Lan *lan, guint index, size_t length, unsigned number)
{
    g_autofree uint8_t *frame = g_malloc(length);
    gsize size;
    const uint8_t *got = g_bytes_get_data(lan->got->pdata[index], &size);

    fill(frame, length, number);
    g_assert_cmpmem(got, size, frame, length);
}

static uint16_t free_port(int type)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, type, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&name, size), ==, 0);
    getsockname(fd, (struct sockaddr *)&name, &size);
    close(fd);
    return ntohs(name.sin_port);
}

static int call(uint16_t port)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    g_assert_cmpint(connect(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
    return fd;
}

static char *described(Lan *lan)
{
    GString *out = g_string_new(NULL);

    lan->net->backend_class->describe(lan->net, out);
    return g_string_free(out, FALSE);
}

/* Both ways, frames of all sizes, a burst. */
static void talk(Lan *a, Lan *b, size_t largest)
{
    static const size_t sizes[] = {1, 14, 60, 1514, 9000, 65507, NET_MAX_FRAME};
    unsigned count = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(sizes) && sizes[i] <= largest; i++, count++)
        send_numbered(a, sizes[i], (unsigned)i);
    net_backend_burst_end(a->net);
    wait_count(a, b, count);
    for (guint i = 0; i < count; i++)
        check_numbered(b, i, sizes[i], i);
    g_ptr_array_set_size(b->got, 0);
    for (unsigned i = 0; i < 100; i++)
        send_numbered(b, 1514, i);
    net_backend_burst_end(b->net);
    wait_count(b, a, 100);
    for (guint i = 0; i < 100; i++)
        check_numbered(a, i, 1514, i);
    g_ptr_array_set_size(a->got, 0);
}

static void wait_connected(Lan *a, Lan *b)
{
    gint64 end = g_get_monotonic_time() + 5 * G_TIME_SPAN_SECOND;

    for (;;) {
        g_autofree char *first = described(a), *second = described(b);
        if (strstr(first, "connected to") && strstr(second, "connected to"))
            return;
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        run(a);
        run(b);
        g_usleep(500);
    }
}

/* --- two that talk ---------------------------------------------------------------------------- */

static void test_streams(void)
{
    g_autofree char *folder = g_dir_make_tmp("apiary-socket-XXXXXX", NULL);
    uint16_t port = free_port(SOCK_STREAM);
    g_autofree char *path = g_build_filename(folder, "wire", NULL);
    const struct {
        const NetBackendClass *backend_class;
        char *server, *client;
    } cases[] = {
        {&socket_backend_class, g_strdup_printf("id=a,listen=:%u", port),
         g_strdup_printf("id=b,connect=localhost:%u", port)},
        {&stream_backend_class,
         g_strdup_printf("id=a,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port=%u", port),
         g_strdup_printf("id=b,addr.type=inet,addr.host=127.0.0.1,addr.port=%u", port)},
        {&stream_backend_class, g_strdup_printf("id=a,server=on,addr.type=unix,addr.path=%s", path),
         g_strdup_printf("id=b,addr.type=unix,addr.path=%s", path)},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Lan a, b;
        lan_init(&a, cases[i].backend_class, cases[i].server);
        lan_init(&b, cases[i].backend_class, cases[i].client);
        wait_connected(&a, &b);
        talk(&a, &b, NET_MAX_FRAME);
        /* The server's machine ends and comes again; the client finds it. */
        lan_destroy(&a);
        run(&b);
        lan_init(&a, cases[i].backend_class, cases[i].server);
        wait_connected(&a, &b);
        talk(&a, &b, NET_MAX_FRAME);
        lan_destroy(&b);
        run(&a);
        lan_init(&b, cases[i].backend_class, cases[i].client);
        wait_connected(&a, &b);
        talk(&b, &a, NET_MAX_FRAME);
        lan_destroy(&a);
        lan_destroy(&b);
        g_free(cases[i].server);
        g_free(cases[i].client);
    }
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_rmdir(folder);
}

static void test_datagrams(void)
{
    g_autofree char *folder = g_dir_make_tmp("apiary-socket-XXXXXX", NULL);
    uint16_t port = free_port(SOCK_DGRAM), other = free_port(SOCK_DGRAM);
    const struct {
        const NetBackendClass *backend_class;
        char *first, *second;
    } cases[] = {
        {&socket_backend_class, g_strdup_printf("id=a,udp=127.0.0.1:%u,localaddr=:%u", other, port),
         g_strdup_printf("id=b,udp=:%u,localaddr=127.0.0.1:%u", port, other)},
        {&dgram_backend_class,
         g_strdup_printf("id=a,local.type=inet,local.host=127.0.0.1,local.port=%u,remote.type=inet,"
                         "remote.host=127.0.0.1,remote.port=%u",
                         port, other),
         g_strdup_printf("id=b,local.type=inet,local.host=127.0.0.1,local.port=%u,remote.type=inet,"
                         "remote.host=127.0.0.1,remote.port=%u",
                         other, port)},
        {&dgram_backend_class,
         g_strdup_printf("id=a,local.type=unix,local.path=%s/a,remote.type=unix,remote.path=%s/b",
                         folder, folder),
         g_strdup_printf("id=b,local.type=unix,local.path=%s/b,remote.type=unix,remote.path=%s/a",
                         folder, folder)},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Lan a, b;
        lan_init(&a, cases[i].backend_class, cases[i].first);
        send_numbered(&a, 60, 0); /* nobody there yet */
        run(&a);
        lan_init(&b, cases[i].backend_class, cases[i].second);
        talk(&a, &b, 65507);
        lan_destroy(&a);
        lan_destroy(&b);
        g_free(cases[i].first);
        g_free(cases[i].second);
    }
    g_assert_cmpint(g_rmdir(folder), ==, 0);
}

/* Three in a group: each hears the others and not itself. */
static void test_multicast(void)
{
    uint16_t port = free_port(SOCK_DGRAM);
    g_autofree char *text = g_strdup_printf("id=a,mcast=230.77.0.1:%u,localaddr=127.0.0.1", port);
    g_autofree char *longer = g_strdup_printf(
        "id=a,remote.type=inet,remote.host=230.77.0.1,remote.port=%u,local.host=127.0.0.1", port);
    Lan lans[3];

    lan_init(&lans[0], &socket_backend_class, text);
    lan_init(&lans[1], &dgram_backend_class, longer);
    lan_init(&lans[2], &socket_backend_class, text);
    send_numbered(&lans[0], 100, 1);
    wait_count(&lans[0], &lans[1], 1);
    wait_count(&lans[0], &lans[2], 1);
    check_numbered(&lans[1], 0, 100, 1);
    send_numbered(&lans[1], 200, 2);
    wait_count(&lans[1], &lans[0], 1);
    wait_count(&lans[1], &lans[2], 2);
    check_numbered(&lans[0], 0, 200, 2);
    run(&lans[1]);
    g_assert_cmpuint(lans[1].got->len, ==, 1);
    for (int i = 0; i < 3; i++)
        lan_destroy(&lans[i]);
}

/* --- the wire --------------------------------------------------------------------------------- */

static void test_framing(void)
{
    uint16_t port = free_port(SOCK_STREAM);
    g_autofree char *text = g_strdup_printf("id=a,listen=127.0.0.1:%u", port);
    static const uint8_t sent[] = {0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 0, 0, 0, 0, 2, 'd', 'e'};
    uint8_t wire[64];
    Lan lan;

    lan_init(&lan, &socket_backend_class, text);
    int fd = call(port);
    for (size_t i = 0; i < sizeof sent; i++) { /* byte by byte */
        g_assert_cmpint(send(fd, sent + i, 1, 0), ==, 1);
        run(&lan);
    }
    wait_count(&lan, &lan, 2);
    g_assert_cmpmem("abc", 3, g_bytes_get_data(lan.got->pdata[0], NULL), 3);
    g_assert_cmpmem("de", 2, g_bytes_get_data(lan.got->pdata[1], NULL),
                    g_bytes_get_size(lan.got->pdata[1]));
    net_backend_send(lan.net, (const uint8_t *)"hello", 5);
    net_backend_send(lan.net, (const uint8_t *)"you", 3);
    net_backend_burst_end(lan.net);
    g_assert_cmpint(recv(fd, wire, 16, MSG_WAITALL), ==, 16);
    g_assert_cmpmem(wire, 16, "\0\0\0\5hello\0\0\0\3you", 16);
    close(fd);

    /* What is no frame ends the connection, and only that. */
    fd = call(port);
    g_assert_cmpint(send(fd, "GET / HTTP/1.0\r\n", 16, 0), ==, 16);
    gint64 end = g_get_monotonic_time() + 5 * G_TIME_SPAN_SECOND;
    ssize_t n = -1;
    while (n < 0 && g_get_monotonic_time() < end) {
        run(&lan);
        n = recv(fd, wire, sizeof wire, MSG_DONTWAIT);
        if (n < 0 && errno == ECONNRESET)
            n = 0;
    }
    g_assert_cmpint(n, ==, 0);
    close(fd);
    fd = call(port);
    g_ptr_array_set_size(lan.got, 0);
    g_assert_cmpint(send(fd, sent, 7, 0), ==, 7);
    wait_count(&lan, &lan, 1);
    close(fd);
    lan_destroy(&lan);
}

/* A card with no room makes the peer wait and loses nothing; a peer that reads nothing loses frames
 * and costs no memory. */
static void test_pressure(void)
{
    enum { FRAMES = 20000, SIZE = 1000 };
    uint16_t port = free_port(SOCK_STREAM);
    g_autofree char *text = g_strdup_printf("id=a,listen=127.0.0.1:%u", port);
    g_autofree uint8_t *frame = g_malloc0(4 + SIZE);
    Lan lan;
    size_t done = 0, total = (size_t)FRAMES * (4 + SIZE);

    lan_init(&lan, &socket_backend_class, text);
    int fd = call(port);
    lan.full = true;
    put_be32(frame, SIZE);
    for (int round = 0; done < total || lan.got->len < FRAMES; round++) {
        size_t at = done % (4 + SIZE);
        ssize_t n = done < total ? send(fd, frame + at, 4 + SIZE - at, MSG_DONTWAIT) : -1;
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        g_assert_cmpint(round, <, 10000000);
        g_main_context_iteration(lan.storage.board.context, FALSE);
        g_assert_cmpuint(lan.net->queued_bytes, <, NET_QUEUE_BYTES);
        if (round % 200 == 199) { /* the driver refills now and then */
            lan.full = false;
            net_backend_flush(lan.net);
            lan.full = true;
        }
    }
    g_assert_cmpuint(lan.net->statistics.dropped, ==, 0);
    g_assert_cmpuint(lan.got->len, ==, FRAMES);

    for (int i = 0; i < FRAMES * 4; i++)
        net_backend_send(lan.net, frame, SIZE);
    net_backend_burst_end(lan.net);
    close(fd);
    run(&lan);
    lan_destroy(&lan);
}

/* A pulled cable lets a peer that waits go on. */
static void test_cable(void)
{
    uint16_t port = free_port(SOCK_STREAM);
    g_autofree char *text = g_strdup_printf("id=a,listen=127.0.0.1:%u", port);
    static uint8_t frames[1000][4 + 1000];
    Lan lan;

    lan_init(&lan, &socket_backend_class, text);
    int fd = call(port);
    lan.full = true;
    for (size_t i = 0; i < G_N_ELEMENTS(frames); i++)
        put_be32(frames[i], 1000);
    for (size_t done = 0; done < sizeof frames / 2;) {
        ssize_t n = send(fd, (uint8_t *)frames + done, sizeof frames / 2 - done, MSG_DONTWAIT);
        done += n > 0 ? (size_t)n : 0;
        run(&lan);
    }
    g_assert_false(net_backend_room(lan.net));
    net_backend_set_link(lan.net, false);
    lan.full = false;
    for (size_t done = 0; done < sizeof frames / 2;) {
        ssize_t n = send(fd, (uint8_t *)frames + done, sizeof frames / 2 - done, MSG_DONTWAIT);
        done += n > 0 ? (size_t)n : 0;
        run(&lan);
    }
    run(&lan);
    g_assert_cmpuint(lan.got->len, ==, 0);
    net_backend_set_link(lan.net, true);
    g_assert_cmpint(send(fd, frames, sizeof frames[0], 0), ==, sizeof frames[0]);
    wait_count(&lan, &lan, 1);
    close(fd);
    lan_destroy(&lan);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void test_refusals(void)
{
    static const struct {
        const NetBackendClass *backend_class;
        const char *text, *word;
    } cases[] = {
        {&socket_backend_class, "id=a", "listen="},
        {&socket_backend_class, "id=a,listen=:1,connect=:2", "exclude"},
        {&socket_backend_class, "id=a,listen=1234", "1234"},
        {&socket_backend_class, "id=a,connect=host:0", "host:0"},
        {&socket_backend_class, "id=a,connect=host:http", "host:http"},
        {&socket_backend_class, "id=a,udp=127.0.0.1:5", "localaddr"},
        {&socket_backend_class, "id=a,listen=:5,localaddr=127.0.0.1", "localaddr"},
        {&socket_backend_class, "id=a,mcast=10.0.0.1:5", "224.0.0.0"},
        {&socket_backend_class, "id=a,mcast=230.0.0.1:5,localaddr=eth0", "eth0"},
        {&socket_backend_class, "id=a,mcast=230.0.0.1:5,localaddr=192.0.2.1", "localaddr"},
        {&socket_backend_class, "id=a,fd=3", "fd"},
        {&socket_backend_class, "id=a,listen=192.0.2.1:5000", "192.0.2.1"},
        {&stream_backend_class, "id=a", "addr.type"},
        {&stream_backend_class, "id=a,addr.type=unix", "addr.path"},
        {&stream_backend_class, "id=a,addr.type=inet", "addr.port"},
        {&stream_backend_class, "id=a,server=on,addr.type=unix,addr.path=/absent/x", "/absent/x"},
        {&dgram_backend_class, "id=a,local.type=inet,local.port=5", "remote.type"},
        {&dgram_backend_class,
         "id=a,local.type=inet,local.port=5555,remote.type=unix,remote.path=/x", "one kind"},
    };
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    Storage storage;
    GError *error = NULL;

    storage_init(&storage);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_null(lan_network(&storage.board, cases[i].backend_class, cases[i].text, &error));
        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error->message, cases[i].word));
        g_clear_error(&error);
    }
    /* A port that is taken is named. */
    g_assert_cmpint(bind(fd, (struct sockaddr *)&name, size), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    getsockname(fd, (struct sockaddr *)&name, &size);
    g_autofree char *port = g_strdup_printf("127.0.0.1:%u", ntohs(name.sin_port));
    g_autofree char *text = g_strdup_printf("id=a,listen=%s", port);
    g_assert_null(lan_network(&storage.board, &socket_backend_class, text, &error));
    g_assert_nonnull(strstr(error->message, port));
    g_assert_nonnull(strstr(error->message, "in use"));
    g_clear_error(&error);
    close(fd);
    storage_destroy(&storage);
}

/* A call nobody takes is told of once. */
static void test_nobody(void)
{
    uint16_t port = free_port(SOCK_STREAM);
    g_autofree char *text = g_strdup_printf("id=a,connect=127.0.0.1:%u", port);
    Lan lan;
    gint64 end = g_get_monotonic_time() + 2500 * G_TIME_SPAN_MILLISECOND;

    lan_init(&lan, &socket_backend_class, text);
    while (g_get_monotonic_time() < end) {
        run(&lan);
        send_numbered(&lan, 60, 0);
        g_usleep(10000);
    }
    g_assert_cmpuint(lan.storage.errors, ==, 1);
    lan_destroy(&lan);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/socket/streams", test_streams);
    g_test_add_func("/socket/datagrams", test_datagrams);
    g_test_add_func("/socket/multicast", test_multicast);
    g_test_add_func("/socket/framing", test_framing);
    g_test_add_func("/socket/pressure", test_pressure);
    g_test_add_func("/socket/cable", test_cable);
    g_test_add_func("/socket/refusals", test_refusals);
    g_test_add_func("/socket/nobody", test_nobody);
    return g_test_run();
}
