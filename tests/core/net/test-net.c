/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Rules and plans as people write them, QEMU's flags for networks, and the user-mode network itself
 * with the test in the guest's place. */

#include "core/config/config.h"
#include "core/net/checksum.h"
#include "core/net/slirp.h"
#include "tests/core/net/lan-fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* --- forwards --------------------------------------------------------------------------------- */

static void test_forward_parse(void)
{
    static const struct {
        const char *text, *formatted;
    } good[] = {
        {"tcp::2222-:22", "tcp:127.0.0.1:2222-:22"},
        {"udp::53-10.0.2.20:5353", "udp:127.0.0.1:53-10.0.2.20:5353"},
        {"tcp:0.0.0.0:80-:8080", "tcp:0.0.0.0:80-:8080"},
        {"::1-:65535", "tcp:127.0.0.1:1-:65535"},
        {"tcp:192.168.1.5:0-:22", "tcp:192.168.1.5:0-:22"},
    };
    static const char *const bad[] = {
        "",
        "tcp",
        "tcp::2222",
        "tcp::2222-22",
        "2222-22",
        "sctp::1-:1",
        "tcp::65536-:22",
        "tcp::2222-:0",
        "tcp::2222-:-22",
        "tcp::22 22-:22",
        "tcp:localhost:1-:1",
        "tcp:1.2.3:1-:1",
        "tcp::1-:1-:1",
        "tcp::0x10-:1",
    };
    NetForward forward;
    GError *error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(net_forward_parse(good[i].text, &forward, &error));
        g_assert_no_error(error);
        g_autofree char *text = net_forward_format(&forward);
        g_assert_cmpstr(text, ==, good[i].formatted);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(net_forward_parse(bad[i], &forward, &error));
        g_assert_nonnull(error);
        g_clear_error(&error);
    }
    g_assert_true(net_forward_parse_host("tcp::2222", &forward, NULL));
    g_assert_false(net_forward_parse_host("tcp::2222-:22", &forward, NULL));
}

static void test_plan(void)
{
    static const struct {
        const char *net, *host, *dns, *dhcp, *result; /* NULL: refused */
    } cases[] = {
        {NULL, NULL, NULL, NULL, "10.0.2.0/255.255.255.0 10.0.2.2 10.0.2.3 10.0.2.15"},
        {"192.168.76.0/24", NULL, NULL, "192.168.76.9",
         "192.168.76.0/255.255.255.0 192.168.76.2 192.168.76.3 192.168.76.9"},
        {"10.7.7.7/255.255.0.0", NULL, NULL, NULL,
         "10.7.0.0/255.255.0.0 10.7.2.2 10.7.2.3 10.7.2.15"},
        {"10.0.0.0", NULL, NULL, NULL, "10.0.0.0/255.0.0.0 10.0.2.2 10.0.2.3 10.0.2.15"},
        {"8.8.8.0", NULL, NULL, NULL, NULL},
        {"10.0.2.0/33", NULL, NULL, NULL, NULL},
        {"10.0.2.0/255.0.255.0", NULL, NULL, NULL, NULL},
        {NULL, "10.0.3.2", NULL, NULL, NULL},
        {NULL, "10.0.2.3", NULL, NULL, NULL},
        {NULL, NULL, NULL, "10.0.2.255", NULL},
        {NULL, NULL, "somewhere", NULL, NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        NetPlan plan;
        GError *error = NULL;
        char a[5][INET_ADDRSTRLEN];
        if (!net_plan_parse(cases[i].net, cases[i].host, cases[i].dns, cases[i].dhcp, &plan,
                            &error)) {
            g_assert_null(cases[i].result);
            g_assert_nonnull(error);
            g_clear_error(&error);
            continue;
        }
        const struct in_addr *all[] = {&plan.network, &plan.mask, &plan.host, &plan.dns,
                                       &plan.dhcp_start};
        for (int k = 0; k < 5; k++)
            inet_ntop(AF_INET, all[k], a[k], sizeof a[k]);
        g_autofree char *text = g_strdup_printf("%s/%s %s %s %s", a[0], a[1], a[2], a[3], a[4]);
        g_assert_cmpstr(text, ==, cases[i].result);
    }
}

/* --- flags ------------------------------------------------------------------------------------ */

static MachineConfig *parse(const char *line, GError **error)
{
    g_auto(GStrv) words = NULL;
    MachineConfig *config = config_new();
    int count = 0;

    if (*line)
        g_shell_parse_argv(line, &count, &words, NULL);
    if (config_parse_arguments(config, count, words, error) && config_validate(config, error))
        return config;
    config_free(config);
    return NULL;
}

static void test_flags(void)
{
    static const struct {
        const char *line;
        unsigned netdevs, cards;
    } good[] = {
        {"", 1, 1},
        {"-nic none", 0, 0},
        {"-net none", 0, 0},
        {"-nodefaults", 0, 0},
        {"-nic user,hostfwd=tcp::2222-:22,hostfwd=tcp::8080-:80,mac=52:54:00:00:00:01", 1, 1},
        {"-nic user -nic user,model=e1000", 2, 2},
        {"-netdev user,id=a,restrict=on", 1, 0},
        {"-device e1000,netdev=a -netdev user,id=a", 1, 1},
        {"-net nic,macaddr=52:54:00:00:00:02 -net user,net=192.168.5.0/24", 1, 1},
        {"-net user -net nic -net nic", 1, 2},
    };
    static const struct {
        const char *line, *word;
    } bad[] = {
        {"-netdev user", "id="},
        {"-netdev tap,id=a", "tap"},
        {"-netdev user,id=a,smb=/tmp", "smb"},
        {"-netdev user,id=a,hostfwd=tcp:2222", "tcp:2222"},
        {"-netdev user,id=a,tftp=/absent/folder", "/absent/folder"},
        {"-netdev user,id=a,colour=red", "colour"},
        {"-netdev user,id=a -netdev user,id=a", "\"a\""},
        {"-device e1000,netdev=b", "netdev=b"},
        {"-netdev user,id=a -device e1000,netdev=a -device e1000,netdev=a", "netdev=a"},
        {"-nic user,model=virtio-net-pci", "virtio-net-pci"},
        {"-nic user,mac=52:54", "52:54"},
        {"-net nic,colour=red", "colour"},
        {"-device virtio-net-pci", "virtio-net-pci"},
        {"-nic user -nic user -nic user -nic user -nic user -nic user -nic user -nic user -nic "
         "user",
         "8"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        GError *error = NULL;
        MachineConfig *config = parse(good[i].line, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(config->netdevs->len, ==, good[i].netdevs);
        g_assert_cmpuint(config->devices->len, ==, good[i].cards);
        config_free(config);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        g_assert_null(parse(bad[i].line, &error));
        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error->message, bad[i].word));
        g_clear_error(&error);
    }
}

static char *values_of(const MachineConfig *config)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < config->netdevs->len; i++) {
        const NetdevConfig *netdev = config->netdevs->pdata[i];
        g_autofree char *text = option_values_format(netdev->values);
        g_string_append_printf(out, "%s %s %s\n", netdev->type, netdev->id, text);
    }
    for (guint i = 0; i < config->devices->len; i++) {
        const DeviceConfig *device = config->devices->pdata[i];
        g_autofree char *text = option_values_format(device->values);
        g_string_append_printf(out, "%s %s\n", device->driver, text);
    }
    return g_string_free(out, FALSE);
}

/* Copy, command line and file all keep what was asked for. */
static void test_round_trips(void)
{
    g_autoptr(MachineConfig) config =
        parse("-nic user,hostfwd=tcp::2222-:22,hostfwd=udp::8080-:80,hostname=a,,b,mac=52:54:00:00:"
              "00:01 -netdev user,id=quiet,restrict=on,guestfwd=tcp:10.0.2.9:7-cmd:cat "
              "-device e1000,netdev=quiet,id=second",
              NULL);
    g_autoptr(MachineConfig) copy = config_copy(config);
    g_autofree char *right = values_of(config), *copied = values_of(copy);
    g_autofree char *line = config_to_command_line(config);
    g_autofree char *folder = g_dir_make_tmp("apiary-net-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "machine", NULL);
    GError *error = NULL;

    g_assert_cmpstr(copied, ==, right);
    g_autoptr(MachineConfig) again = parse(line + strlen("apiary run "), &error);
    g_assert_no_error(error);
    g_autofree char *reparsed = values_of(again);
    g_assert_cmpstr(reparsed, ==, right);

    g_assert_true(config_save(config, path, &error));
    g_autoptr(MachineConfig) loaded = config_load(path, &error);
    g_assert_no_error(error);
    const NetdevConfig *netdev = loaded->netdevs->pdata[0];
    const char *const *rules = option_list(netdev->values, "hostfwd");
    g_assert_cmpstr(netdev->id, ==, "nic0");
    g_assert_cmpstr(rules[0], ==, "tcp::2222-:22");
    g_assert_cmpstr(rules[1], ==, "udp::8080-:80");
    g_assert_null(rules[2]);
    g_assert_true(config_validate(loaded, NULL));
    g_remove(path);
    g_rmdir(folder);
}

/* --- the network ------------------------------------------------------------------------------ */

static void send_ipv4(Lan *lan, uint8_t protocol, const char *from, const char *to,
                      const uint8_t *data, size_t length)
{
    uint8_t frame[1514] = {0}, *ip = frame + 14;

    memset(frame, 0xff, 6);
    memcpy(frame + 6, lan_address, 6);
    put_be16(frame + 12, 0x0800);
    ip[0] = 0x45;
    put_be16(ip + 2, (uint16_t)(20 + length));
    ip[8] = 64;
    ip[9] = protocol;
    inet_pton(AF_INET, from, ip + 12);
    inet_pton(AF_INET, to, ip + 16);
    put_be16(ip + 10, ~checksum_fold(checksum_add(0, ip, 20)));
    memcpy(ip + 20, data, length);
    net_backend_send(lan->net, frame, 34 + length);
}

static bool is_dhcp_offer(const uint8_t *frame, size_t length)
{
    return length > 300 && get_be16(frame + 12) == 0x0800 && frame[23] == 17 &&
           get_be16(frame + 36) == 68 && frame[42 + 240] == 53 && frame[42 + 242] == 2;
}

static bool is_arp_request(const uint8_t *frame, size_t length)
{
    return length >= 42 && get_be16(frame + 12) == 0x0806 && get_be16(frame + 20) == 1;
}

static bool is_syn(const uint8_t *frame, size_t length)
{
    return length >= 54 && get_be16(frame + 12) == 0x0800 && frame[23] == 6 && frame[47] == 2;
}

static bool is_syn_ack(const uint8_t *frame, size_t length)
{
    return length >= 54 && get_be16(frame + 12) == 0x0800 && frame[23] == 6 && frame[47] == 0x12;
}

static bool is_reset(const uint8_t *frame, size_t length)
{
    return length >= 54 && get_be16(frame + 12) == 0x0800 && frame[23] == 6 && (frame[47] & 4);
}

static void discover(Lan *lan)
{
    uint8_t udp[8 + 300] = {0}, *dhcp = udp + 8;

    put_be16(udp, 68);
    put_be16(udp + 2, 67);
    put_be16(udp + 4, sizeof udp);
    dhcp[0] = 1, dhcp[1] = 1, dhcp[2] = 6;
    memcpy(dhcp + 28, lan_address, 6);
    memcpy(dhcp + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
    send_ipv4(lan, 17, "0.0.0.0", "255.255.255.255", udp, sizeof udp);
}

static void send_syn(Lan *lan, const char *to, uint16_t port)
{
    uint8_t tcp[20] = {0}, pseudo[12] = {0};

    put_be16(tcp, 3333);
    put_be16(tcp + 2, port);
    put_be32(tcp + 4, 1000);
    tcp[12] = 0x50;
    tcp[13] = 2;
    put_be16(tcp + 14, 8192);
    inet_pton(AF_INET, "10.0.2.15", pseudo);
    inet_pton(AF_INET, to, pseudo + 4);
    pseudo[9] = 6;
    put_be16(pseudo + 10, 20);
    put_be16(tcp + 16, ~checksum_fold(checksum_add(checksum_add(0, pseudo, 12), tcp, 20)));
    send_ipv4(lan, 6, "10.0.2.15", to, tcp, sizeof tcp);
}

/* A listening socket on a port of the kernel's choice. */
static int listen_on(const char *address, int type, uint16_t *port)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, type, 0);

    inet_pton(AF_INET, address, &name.sin_addr);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
    if (type == SOCK_STREAM)
        g_assert_cmpint(listen(fd, 5), ==, 0);
    getsockname(fd, (struct sockaddr *)&name, &size);
    *port = ntohs(name.sin_port);
    return fd;
}

static void test_dhcp(void)
{
    Lan lan;
    size_t length;
    char address[INET_ADDRSTRLEN];

    lan_init(&lan, &slirp_backend_class,
             "net=192.168.9.0/24,dhcpstart=192.168.9.44,bootfile=pxelinux.0,hostname=bee");
    discover(&lan);
    const uint8_t *offer = wait_frame(&lan, is_dhcp_offer, &length);
    g_assert_nonnull(offer);
    inet_ntop(AF_INET, offer + 42 + 16, address, sizeof address);
    g_assert_cmpstr(address, ==, "192.168.9.44");
    g_assert_cmpstr((const char *)offer + 42 + 108, ==, "pxelinux.0");
    g_assert_cmpuint(lan.net->statistics.tx_frames, ==, 1);
    /* A pulled cable. */
    net_backend_set_link(lan.net, false);
    g_ptr_array_set_size(lan.got, 0);
    discover(&lan);
    g_assert_null(wait_frame(&lan, is_dhcp_offer, &length));
    lan_destroy(&lan);
}

/* The guest reaches the host's loopback at 10.0.2.2, and not when restricted. */
static void test_restrict(void)
{
    uint16_t port;
    size_t length;
    int fd = listen_on("127.0.0.1", SOCK_STREAM, &port);

    for (int restricted = 0; restricted < 2; restricted++) {
        Lan lan;
        lan_init(&lan, &slirp_backend_class, restricted ? "restrict=on" : "");
        discover(&lan);
        g_assert_nonnull(wait_frame(&lan, is_dhcp_offer, &length));
        send_syn(&lan, "10.0.2.2", port);
        /* libslirp asks for our address before its first frame to it. */
        g_assert_true(!!wait_frame(&lan, restricted ? is_reset : is_syn_ack, &length) ||
                      restricted);
        g_assert_true(restricted == !wait_frame(&lan, is_syn_ack, &length));
        lan_destroy(&lan);
    }
    close(fd);
}

/* --- what leaves a restricted network -----------------------------------------------------------
 */

/* A TCP SYN or a UDP datagram of a few bytes from the guest to the host's loopback, which is the
 * router's address to it. */
static void send_out(Lan *lan, bool ipv6, bool udp, uint16_t port)
{
    uint8_t frame[80] = {0}, *ip = frame + 14, *data = ip + (ipv6 ? 40 : 20);
    size_t addresses = ipv6 ? 32 : 8, size = udp ? 12 : 20;
    uint8_t pseudo[4] = {0, udp ? 17 : 6, 0, (uint8_t)size};

    memcpy(frame, ipv6 ? "\x52\x56\0\0\0\x02" : "\x52\x55\x0a\x00\x02\x02", 6);
    memcpy(frame + 6, lan_address, 6);
    put_be16(frame + 12, ipv6 ? 0x86dd : 0x0800);
    if (ipv6) {
        ip[0] = 0x60;
        put_be16(ip + 4, (uint16_t)size);
        ip[6] = pseudo[1];
        ip[7] = 64;
        inet_pton(AF_INET6, "fec0::15", ip + 8);
        inet_pton(AF_INET6, "fec0::2", ip + 24);
    } else {
        ip[0] = 0x45;
        put_be16(ip + 2, (uint16_t)(20 + size));
        ip[8] = 64;
        ip[9] = pseudo[1];
        inet_pton(AF_INET, "10.0.2.15", ip + 12);
        inet_pton(AF_INET, "10.0.2.2", ip + 16);
        put_be16(ip + 10, ~checksum_fold(checksum_add(0, ip, 20)));
    }
    put_be16(data, 3333);
    put_be16(data + 2, port);
    if (udp) {
        put_be16(data + 4, (uint16_t)size);
        memcpy(data + 8, "leak", 4);
    } else {
        put_be32(data + 4, 1000);
        data[12] = 0x50;
        data[13] = 2;
        put_be16(data + 14, 8192);
    }
    uint64_t sum = checksum_add(0, data - addresses, addresses);
    sum = checksum_add(checksum_add(sum, pseudo, sizeof pseudo), data, size);
    put_be16(data + (udp ? 6 : 16), ~checksum_fold(sum));
    net_backend_send(lan->net, frame, (size_t)(data - frame) + size);
    net_backend_burst_end(lan->net);
}

/* Whether something came out to FD, a connection or a datagram. */
static bool came_out(Lan *lan, int fd, bool udp)
{
    gint64 end = g_get_monotonic_time() + 300 * G_TIME_SPAN_MILLISECOND;
    char data[16];

    while (g_get_monotonic_time() < end) {
        while (g_main_context_iteration(lan->storage.board.context, FALSE))
            ;
        int peer = udp ? -1 : accept4(fd, NULL, NULL, SOCK_NONBLOCK);
        if (peer >= 0)
            close(peer);
        if (peer >= 0 || (udp && recv(fd, data, sizeof data, MSG_DONTWAIT) == 4))
            return true;
        g_usleep(500);
    }
    return false;
}

/* A socket on the loopback that does not block; -1 without IPv6. */
static int listen_on_loopback(bool ipv6, bool udp, uint16_t *port)
{
    struct sockaddr_in6 name6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t size = sizeof name6;

    if (!ipv6) {
        int fd = listen_on("127.0.0.1", udp ? SOCK_DGRAM : SOCK_STREAM, port);
        g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
        return fd;
    }
    int fd = socket(AF_INET6, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name6, size) < 0 || (!udp && listen(fd, 5) < 0) ||
        getsockname(fd, (struct sockaddr *)&name6, &size) < 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(name6.sin6_port);
    return fd;
}

static void test_restrict_all(void)
{
    for (int kind = 0; kind < 4; kind++) {
        bool ipv6 = kind & 1, udp = kind & 2;
        uint16_t port;
        int fd = listen_on_loopback(ipv6, udp, &port);
        if (fd < 0) {
            g_test_message("no IPv6 on this computer");
            continue;
        }
        for (int restricted = 0; restricted < 2; restricted++) {
            Lan lan;
            lan_init(&lan, &slirp_backend_class, restricted ? "restrict=on" : "");
            send_out(&lan, ipv6, udp, port);
            g_assert_true(came_out(&lan, fd, udp) == !restricted);
            lan_destroy(&lan);
        }
        close(fd);
    }
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, "127.0.0.1", &name.sin_addr);
    if (connect(fd, (struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    close(fd);
    return -1;
}

static void test_forwards(void)
{
    Lan lan;
    NetForward forward;
    GError *error = NULL;
    uint16_t busy, open_port;
    size_t length;
    int listener = listen_on("127.0.0.1", SOCK_STREAM, &busy);
    int spare = listen_on("127.0.0.1", SOCK_STREAM, &open_port);

    close(spare);
    lan_init(&lan, &slirp_backend_class, "");
    g_autofree char *rule = g_strdup_printf("tcp::%u-:22", open_port);
    g_assert_true(net_forward_parse(rule, &forward, NULL));
    g_assert_cmpint(connect_to(open_port), ==, -1);
    g_assert_true(slirp_add_forward(lan.net, &forward, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(slirp_forwards(lan.net)->len, ==, 1);
    /* Somebody connects: the guest is asked for, then gets a SYN for port 22. */
    discover(&lan);
    g_assert_nonnull(wait_frame(&lan, is_dhcp_offer, &length));
    int fd = connect_to(open_port);
    g_assert_cmpint(fd, >=, 0);
    const uint8_t *frame = wait_frame(&lan, is_arp_request, &length);
    if (frame) {
        uint8_t reply[42];
        memcpy(reply, frame, 42);
        memcpy(reply, frame + 6, 6);
        memcpy(reply + 6, lan_address, 6);
        reply[21] = 2;
        memcpy(reply + 22, lan_address, 6);
        memcpy(reply + 28, frame + 38, 4);
        memcpy(reply + 32, frame + 22, 10);
        net_backend_send(lan.net, reply, sizeof reply);
    }
    frame = wait_frame(&lan, is_syn, &length);
    g_assert_nonnull(frame);
    g_assert_cmpuint(get_be16(frame + 36), ==, 22);
    /* It was lost. It comes again after six seconds, however often the board's thread wakes. */
    g_ptr_array_set_size(lan.got, 0);
    frame = NULL;
    for (unsigned second = 0; second < 10 && !frame; second++)
        frame = wait_frame(&lan, is_syn, &length);
    g_assert_nonnull(frame);
    close(fd);
    /* Busy: by ourselves, by another; TCP and UDP. */
    g_assert_false(slirp_add_forward(lan.net, &forward, &error));
    g_assert_nonnull(strstr(error->message, "in use"));
    g_clear_error(&error);
    forward.host_port = busy;
    g_assert_false(slirp_add_forward(lan.net, &forward, &error));
    g_autofree char *number = g_strdup_printf("%u", busy);
    g_assert_nonnull(strstr(error->message, number));
    g_clear_error(&error);
    close(listener);
    listener = listen_on("127.0.0.1", SOCK_DGRAM, &forward.host_port);
    forward.udp = true;
    g_assert_false(slirp_add_forward(lan.net, &forward, &error));
    g_assert_nonnull(strstr(error->message, "in use"));
    g_clear_error(&error);
    close(listener);
    g_assert_true(slirp_add_forward(lan.net, &forward, &error));
    /* Not ours to bind. */
    inet_pton(AF_INET, "192.0.2.1", &forward.host);
    g_assert_false(slirp_add_forward(lan.net, &forward, &error));
    g_assert_nonnull(strstr(error->message, "not an address of this computer"));
    g_clear_error(&error);
    /* Away with the first. */
    g_assert_true(net_forward_parse_host(rule, &forward, NULL) == false);
    net_forward_parse(rule, &forward, NULL);
    g_assert_true(slirp_remove_forward(lan.net, &forward, &error));
    g_assert_cmpint(connect_to(open_port), ==, -1);
    g_assert_false(slirp_remove_forward(lan.net, &forward, &error));
    g_clear_error(&error);
    g_assert_cmpuint(slirp_forwards(lan.net)->len, ==, 1);
    /* And with the network goes its port. */
    net_forward_parse(rule, &forward, NULL);
    g_assert_true(slirp_add_forward(lan.net, &forward, &error));
    lan_destroy(&lan);
    g_assert_cmpint(connect_to(open_port), ==, -1);
}

static void test_network_refusals(void)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"smb=/tmp", "smb"},
        {"tftp=/absent", "/absent"},
        {"net=1.2.3.4", "mask"},
        {"ipv4=off,ipv6=off", "ipv4"},
        {"ipv6-prefix=no", "ipv6-prefix"},
        {"guestfwd=tcp:1.2.3", "guestfwd"},
        {"guestfwd=tcp:9.9.9.9:1-cmd:cat", "guestfwd"},
        {"hostfwd=tcp::1-9.9.9.9:1", "9.9.9.9"},
        {"hostname=a-name-that-is-a-good-deal-too-long", "hostname"},
    };
    Storage storage;

    storage_init(&storage);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GError *error = NULL;
        g_assert_null(lan_network(&storage.board, &slirp_backend_class, cases[i].text, &error));
        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error->message, cases[i].word));
        g_clear_error(&error);
    }
    storage_destroy(&storage);
}

static bool is_echo_fragment(const uint8_t *frame, size_t length)
{
    return get_be16(frame + 12) == 0x0800 && frame[23] == 1 && (get_be16(frame + 20) & 0x3fff);
}

/* A ping of 4000 bytes in three fragments, in each order, comes back in fragments too. */
static void test_fragments(void)
{
    static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 1, 2}};
    uint8_t echo[4008] = {8};
    Lan lan;
    size_t length;

    for (size_t i = 8; i < sizeof echo; i++)
        echo[i] = (uint8_t)(i * 3);
    put_be16(echo + 2, ~checksum_fold(checksum_add(0, echo, sizeof echo)));
    lan_init(&lan, &slirp_backend_class, "");
    discover(&lan);
    g_assert_nonnull(wait_frame(&lan, is_dhcp_offer, &length));
    for (size_t order = 0; order < G_N_ELEMENTS(orders); order++) {
        g_ptr_array_set_size(lan.got, 0);
        for (int k = 0; k < 3; k++) {
            size_t offset = (size_t)orders[order][k] * 1480;
            size_t size = MIN(1480, sizeof echo - offset);
            uint8_t frame[1514], *ip = frame + 14;
            memset(frame, 0, sizeof frame);
            memcpy(frame, "\x52\x55\x0a\x00\x02\x02", 6);
            memcpy(frame + 6, lan_address, 6);
            put_be16(frame + 12, 0x0800);
            ip[0] = 0x45;
            put_be16(ip + 2, (uint16_t)(20 + size));
            put_be16(ip + 4, (uint16_t)(77 + order));
            put_be16(ip + 6, (uint16_t)(offset / 8 | (offset + size < sizeof echo ? 0x2000 : 0)));
            ip[8] = 64;
            ip[9] = 1;
            inet_pton(AF_INET, "10.0.2.15", ip + 12);
            inet_pton(AF_INET, "10.0.2.2", ip + 16);
            put_be16(ip + 10, ~checksum_fold(checksum_add(0, ip, 20)));
            memcpy(ip + 20, echo + offset, size);
            net_backend_send(lan.net, frame, 34 + size);
        }
        g_assert_true(!!wait_frame(&lan, is_echo_fragment, &length) == (order < 3));
        size_t sum = 0;
        for (guint i = 0; i < lan.got->len; i++) {
            const uint8_t *frame = g_bytes_get_data(lan.got->pdata[i], &length);
            if (!is_echo_fragment(frame, length))
                continue;
            size_t offset = (size_t)(get_be16(frame + 20) & 0x1fff) * 8;
            size_t size = get_be16(frame + 16) - 20u;
            g_assert_cmpmem(frame + 34 + (offset ? 0 : 8), size - (offset ? 0 : 8),
                            echo + offset + (offset ? 0 : 8), size - (offset ? 0 : 8));
            sum += size;
        }
        g_assert_cmpuint(sum, ==, order < 3 ? sizeof echo : 0);
    }
    lan_destroy(&lan);
}

/* Frames no guest should send. */
static void test_noise(void)
{
    Lan lan;
    g_autofree uint8_t *frame = g_malloc(NET_MAX_FRAME);

    lan_init(&lan, &slirp_backend_class, "restrict=on");
    for (int round = 0; round < 20000; round++) {
        size_t length = (size_t)g_test_rand_int_range(1, round % 100 ? 1600 : NET_MAX_FRAME);
        for (size_t i = 0; i < MIN(length, 80); i++)
            frame[i] = (uint8_t)g_test_rand_int();
        if (length > 40) {
            memset(frame, 0xff, 6);
            put_be16(frame + 12, round & 1 ? 0x0800 : round & 2 ? 0x86dd : 0x0806);
            frame[14] = round & 1 ? 0x45 : 0x60;
            frame[23] = round & 4 ? 6 : 17;
            put_be16(frame + 16, (uint16_t)(length - 14));
            put_be16(frame + 24, 0);
            put_be16(frame + 24, ~checksum_fold(checksum_add(0, frame + 14, 20)));
        }
        net_backend_send(lan.net, frame, length);
        if (round % 64 == 0) {
            g_main_context_iteration(lan.storage.board.context, FALSE);
            clock_advance(lan.storage.board.clock, 50000000);
            g_ptr_array_set_size(lan.got, 0);
        }
    }
    lan_destroy(&lan);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/forward-parse", test_forward_parse);
    g_test_add_func("/net/plan", test_plan);
    g_test_add_func("/net/flags", test_flags);
    g_test_add_func("/net/round-trips", test_round_trips);
    g_test_add_func("/net/dhcp", test_dhcp);
    g_test_add_func("/net/restrict", test_restrict);
    g_test_add_func("/net/restrict-all", test_restrict_all);
    g_test_add_func("/net/forwards", test_forwards);
    g_test_add_func("/net/refusals", test_network_refusals);
    g_test_add_func("/net/fragments", test_fragments);
    g_test_add_func("/net/noise", test_noise);
    return g_test_run();
}
