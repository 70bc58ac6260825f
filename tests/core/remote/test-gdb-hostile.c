/* SPDX-License-Identifier: GPL-3.0-or-later */

/* A GDB that is none: whatever it sends, the machine stays whole, the server goes on answering, and
 * nobody waits for a client that does not read. */

#include "gdb-peer.h"

#include "core/remote/gdb-private.h"

#include <string.h>
#include <sys/socket.h>

/* The server is there and knows the machine. */
static void check_alive(Peer *p)
{
    peer_connect(p);
    peer_expect(p, "qC", "QC01");
    peer_expect(p, "mffff0,5", "ea00f000f0");
}

static void test_arguments(void)
{
    static const char *const packets[] = {
        "",
        "?x",
        "C",
        "Cxx",
        "G",
        "Gzz",
        "H",
        "Hg",
        "Hgffffffffffffffffffff",
        "Hg-2",
        "M",
        "M0",
        "M0,",
        "M0,1",
        "M0,ffffffffffffffff:00",
        "M0,8000000000000000:00",
        "P",
        "P=",
        "Pffffffffffffffff=00",
        "P0=0000000000000000000000000000000000000000",
        "T",
        "Tffffffffffffffff",
        "X0,ffffffff:",
        "X0",
        "Z",
        "Z0",
        "Z0,",
        "Z0,,",
        "Z2,ffffffffffffffff,ffffffffffffffff",
        "Z2,2,ffffffffffffffff",
        "Z4,0,0",
        "Z5,0,1",
        "mffffffffffffffff,ffffffffffffffff",
        "m0,ffffffffffffffff",
        "m0,",
        "pffffffffffffffff",
        "qRcmd,",
        "qRcmd,0",
        "qRcmd,00",
        "qThreadExtraInfo,",
        "qThreadExtraInfo,-1",
        "qXfer:features:read:target.xml:",
        "qXfer:features:read:target.xml:ffffffffffffffff,1",
        "qXfer:features:read:target.xml:0,0",
        "qXfer:features:read::0,0",
        "Qqemu.sstep:",
        "Qqemu.sstep:ffffffffffffffffffff",
        "vCont",
        "vCont;",
        "vCont;c:",
        "vCont;x",
        "vCont;c:99",
        "vCont;c:ffffffffffffffff",
        "vCont;C",
        "vCont;;",
        "z0,0",
    };
    Peer p;

    peer_init(&p, false, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(packets); i++) {
        g_autofree char *answer = peer_ask(&p, packets[i]);
        if (strchr("MXGPCZ", packets[i][0]) && *packets[i])
            g_assert_cmpstr(
                answer, ==,
                g_str_has_prefix(packets[i], "Z5") || g_str_equal(packets[i], "Z") ? "" : "E22");
    }
    check_alive(&p);
    peer_clear(&p);
}

static void test_points_without_end(void)
{
    Peer p;
    unsigned set = 0;

    peer_init(&p, false, 1);
    peer_expect(&p, "QStartNoAckMode", "OK");
    for (unsigned i = 0; i < 2000; i++) {
        g_autofree char *packet = g_strdup_printf("Z2,%x,8", 0x100000 + i * 8);
        g_autofree char *answer = peer_ask(&p, packet);
        g_assert_true(g_str_equal(answer, "OK") || g_str_equal(answer, "E28"));
        set += *answer == 'O';
    }
    g_assert_cmpuint(set, ==, 1024);
    peer_run_for(&p, 20);
    check_alive(&p);
    /* The connection is gone, and the points with it. */
    peer_expect(&p, "Z2,600,2", "OK");
    peer_expect(&p, "c", "T05thread:01;watch:600;");
    peer_disconnect(&p);
    peer_connect(&p);
    peer_run_for(&p, 20);
    peer_clear(&p);
}

static void test_sudden_ends(void)
{
    static const char *const beginnings[] = {
        "", "$", "$m0,10", "$m0,10#", "$m0,10#8", "+", "\x03", "$vCont;c#a8", "$c#63", "$X0,1:}",
    };
    Peer p;

    peer_init(&p, false, 2);
    for (size_t i = 0; i < G_N_ELEMENTS(beginnings); i++) {
        peer_send_raw(&p, beginnings[i], strlen(beginnings[i]));
        peer_disconnect(&p);
        check_alive(&p);
    }
    /* In the middle of a run, with a breakpoint that nobody waits for any more. */
    peer_expect(&p, "Z0,ff00c,1", "OK");
    for (unsigned i = 0; i < 30; i++) {
        peer_send(&p, "c");
        peer_disconnect(&p);
        check_alive(&p);
        peer_expect(&p, "Z0,ff00c,1", "OK");
    }
    peer_clear(&p);
}

static void test_second_client(void)
{
    Peer p, second;

    peer_init(&p, false, 1);
    second = (Peer){.fd = -1, .path = p.path, .received = g_byte_array_new()};
    peer_dial(&second);
    g_assert_true(peer_is_cut_off(&second));
    peer_disconnect(&second);
    g_byte_array_unref(second.received);
    peer_expect(&p, "qC", "QC01");
    peer_clear(&p);
}

/* It asks and asks and does not read. */
static void test_deaf(void)
{
    Peer p;
    gint64 end = g_get_monotonic_time() + 150 * G_TIME_SPAN_SECOND;
    static const char request[] = "$m0,2000#bf";
    size_t sent = 0;
    bool stuck = false;

    peer_init(&p, false, 1);
    while (!stuck && g_get_monotonic_time() < end) {
        ssize_t n = send(p.fd, request, strlen(request), MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        if (n > 0)
            continue;
        /* Full at last, or only slow? */
        g_usleep(50000);
        n = send(p.fd, request, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        stuck = n < 0;
    }
    g_assert_true(stuck);
    g_assert_cmpuint(sent, <, 64 << 20);
    /* The machine does not care. */
    g_autofree char *status = peer_command(&p, COMMAND_MONITOR, "info status");
    g_assert_cmpstr(status, ==, "VM status: paused (prelaunch)\n");
    check_alive(&p);
    peer_clear(&p);
}

static void drain(Peer *p)
{
    uint8_t bytes[65536];

    while (recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
}

/* Letters that mean something, more often than noise; nothing that ends the machine. */
static size_t random_packet(GRand *rand, uint8_t *out, size_t max)
{
    static const char letters[] = "CGHMPQSTXZcgmpqsvz?;:,=0123456789abcdef";
    static const char *const starts[] = {"vCont;",      "qSupported:", "qXfer:features:read:",
                                         "Z0,",         "Z2,",         "qThreadExtraInfo,",
                                         "qqemu.sstep", "Qqemu.",      "M600,",
                                         "X600,",       "P10=",        "m"};
    size_t n = 0;

    if (g_rand_boolean(rand)) {
        const char *start = starts[g_rand_int_range(rand, 0, G_N_ELEMENTS(starts))];
        n = strlen(start);
        memcpy(out, start, n);
    }
    size_t length = n + (size_t)g_rand_int_range(rand, 0, g_rand_boolean(rand) ? 12 : (int)max / 2);
    for (; n < length; n++)
        out[n] = g_rand_int_range(rand, 0, 8)
                     ? (uint8_t)letters[g_rand_int_range(rand, 0, (int)strlen(letters))]
                     : (uint8_t)g_rand_int_range(rand, 0, 256);
    return n;
}

static void test_noise(void)
{
    Peer p;
    guint32 seed = g_test_rand_int();
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    uint8_t packet[2048];

    g_test_message("seed %u", seed);
    peer_init(&p, false, 2);
    for (unsigned i = 0; i < 4000; i++) {
        size_t n = random_packet(rand, packet, sizeof(packet));
        if (n && strchr("kDR", packet[0]))
            packet[0] = 'm';
        if (g_rand_int_range(rand, 0, 10)) {
            peer_send_bytes(&p, packet, n);
        } else {
            for (size_t k = 0; k < n; k++) /* no packet at all, but for a few bytes */
                if (packet[k] == '$')
                    packet[k] = 0;
            peer_send_raw(&p, packet, n);
        }
        if (g_rand_int_range(rand, 0, 20) == 0)
            peer_send_raw(&p, "\x03", 1);
        drain(&p);
        if (i % 500 == 499) {
            g_free(peer_command(&p, COMMAND_RESET, NULL)); /* whatever the registers are now */
            check_alive(&p);
        }
    }
    peer_clear(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gdb-hostile/arguments", test_arguments);
    g_test_add_func("/gdb-hostile/points_without_end", test_points_without_end);
    g_test_add_func("/gdb-hostile/sudden_ends", test_sudden_ends);
    g_test_add_func("/gdb-hostile/second_client", test_second_client);
    g_test_add_func("/gdb-hostile/deaf", test_deaf);
    g_test_add_func("/gdb-hostile/noise", test_noise);
    return g_test_run();
}
