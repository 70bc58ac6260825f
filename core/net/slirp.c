/* SPDX-License-Identifier: GPL-3.0-or-later */

#define G_LOG_DOMAIN "slirp"

#include "core/net/slirp.h"

#include "core/chardev/chardev.h"
#include "core/net/checksum.h"
#include "core/net/reassembly.h"
#include "core/net/slirp-poll.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#define MAX_BOOTFILE 127 /* DHCP's field `file` */
#define MAX_NAME     255

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_ARP = 0x0806,
    ARP_SENDER_ADDRESS = 14,
    ARP_SIZE = 28,
    IPV4_HEADER = 20,
    PROTOCOL_UDP = 17,
    UDP_HEADER = 8,
    DHCP_SERVER_PORT = 67,
    DHCP_REPLY = 2,
    DHCP_YIADDR = 16,
    DHCP_SIZE = 240, /* without options */
};

typedef struct NetUser NetUser;

/* One of libslirp's timers on the machine's clock. */
typedef struct {
    NetUser *user;
    SlirpTimerId id;
    void *opaque;
    ClockTimer *timer;
} UserTimer;

/* A guest-side address that leads to a character back end. */
typedef struct {
    NetUser *user;
    Chardev *chardev;
    struct in_addr address;
    int port;
} GuestForward;

struct NetUser {
    NetBackend backend;
    Slirp *slirp;
    SlirpPoll *poll;
    Reassembly *reassembly;
    NetPlan plan;
    struct in_addr guest_address;
    bool restricted;
    GArray *forwards;          /* NetForward */
    GPtrArray *guest_forwards; /* GuestForward* */
    bool complained;
};

static const OptionInfo options[] = {
    {"id", OPTION_STRING, NULL, 0, 0, NULL, N_("name of the network")},
    {"net", OPTION_STRING, NULL, 0, 0, NULL, N_("address and mask; 10.0.2.0/24 when absent")},
    {"host", OPTION_STRING, NULL, 0, 0, NULL, N_("the guest's router, which is this computer; .2")},
    {"dns", OPTION_STRING, NULL, 0, 0, NULL, N_("name server the guest is told; .3")},
    {"dhcpstart", OPTION_STRING, NULL, 0, 0, NULL, N_("first address DHCP gives; .15")},
    {"hostname", OPTION_STRING, NULL, 0, 0, NULL, N_("host name DHCP gives")},
    {"domainname", OPTION_STRING, NULL, 0, 0, NULL, N_("domain name DHCP gives")},
    {"dnssearch", OPTION_LIST, NULL, 0, 0, NULL, N_("domain the guest searches; may be repeated")},
    {"restrict", OPTION_BOOL, "off", 0, 0, NULL, N_("only forwards lead in and out")},
    {"ipv4", OPTION_BOOL, "on", 0, 0, NULL, N_("IPv4")},
    {"ipv6", OPTION_BOOL, "on", 0, 0, NULL, N_("IPv6")},
    {"ipv6-prefix", OPTION_STRING, "fec0::", 0, 0, NULL, N_("IPv6 network")},
    {"ipv6-prefixlen", OPTION_UINT, "64", 1, 126, NULL, N_("its length in bits")},
    {"ipv6-host", OPTION_STRING, NULL, 0, 0, NULL, N_("the router's IPv6 address; ::2")},
    {"ipv6-dns", OPTION_STRING, NULL, 0, 0, NULL, N_("the name server's IPv6 address; ::3")},
    {"tftp", OPTION_STRING, NULL, 0, 0, NULL, N_("folder that a TFTP server shows, read only")},
    {"tftp-server-name", OPTION_STRING, NULL, 0, 0, NULL, N_("TFTP server name DHCP gives")},
    {"bootfile", OPTION_STRING, NULL, 0, 0, NULL, N_("file name DHCP gives for a network boot")},
    {"hostfwd", OPTION_LIST, NULL, 0, 0, NULL,
     N_("tcp|udp:[hostaddr]:hostport-[guestaddr]:guestport; may be repeated")},
    {"guestfwd", OPTION_LIST, NULL, 0, 0, NULL,
     N_("tcp:address:port-cmd:COMMAND or -chardev:ID; may be repeated")},
    {"smb", OPTION_STRING, NULL, 0, 0, NULL, N_("not there: refused")},
    {"smbserver", OPTION_STRING, NULL, 0, 0, NULL, N_("not there: refused")},
    {.name = NULL},
};

/* --- what libslirp asks of us ------------------------------------------------------------------
 */

/* What DHCP gives (RFC 2131): a reply's yiaddr. */
static void learn_given_address(NetUser *user, const uint8_t *frame, size_t length)
{
    const uint8_t *ip = frame + NET_HEADER_SIZE, *udp = ip + IPV4_HEADER, *dhcp = udp + UDP_HEADER;
    struct in_addr address;

    if (length < NET_HEADER_SIZE + IPV4_HEADER + UDP_HEADER + DHCP_SIZE || ip[0] != 0x45 ||
        ip[9] != PROTOCOL_UDP || get_be16(udp) != DHCP_SERVER_PORT || dhcp[0] != DHCP_REPLY)
        return;
    memcpy(&address, dhcp + DHCP_YIADDR, sizeof address);
    if (address.s_addr)
        user->guest_address = address;
}

static ssize_t send_packet(const void *frame, size_t length, void *opaque)
{
    learn_given_address(opaque, frame, length);
    net_backend_deliver(&((NetUser *)opaque)->backend, frame, length);
    return length;
}

static void guest_error(const char *message, void *opaque)
{
    NetUser *user = opaque;

    if (!user->complained)
        g_debug("%s: %s; further errors of this guest are not reported", user->backend.id, message);
    user->complained = true;
}

static int64_t clock_ns(void *opaque)
{
    return clock_now(((NetUser *)opaque)->backend.board->clock);
}

static void timer_fired(void *opaque)
{
    UserTimer *timer = opaque;

    slirp_handle_timer(timer->user->slirp, timer->id, timer->opaque);
}

static void *timer_new(SlirpTimerId id, void *timer_opaque, void *opaque)
{
    NetUser *user = opaque;
    UserTimer *timer = g_new0(UserTimer, 1);

    *timer = (UserTimer){.user = user, .id = id, .opaque = timer_opaque};
    timer->timer = clock_timer_new(user->backend.board->clock, timer_fired, timer);
    return timer;
}

static void timer_free(void *data, void *opaque)
{
    UserTimer *timer = data;

    clock_timer_free(timer->timer);
    g_free(timer);
}

static void timer_mod(void *data, int64_t expire_ms, void *opaque)
{
    clock_timer_set(((UserTimer *)data)->timer, expire_ms * 1000000);
}

static void poll_fd_changed(int fd, void *opaque)
{
    NetUser *user = opaque;

    if (user->poll)
        slirp_poll_sockets_changed(user->poll);
}

static void notify(void *opaque)
{
    NetUser *user = opaque;

    if (user->poll)
        slirp_poll_kick(user->poll);
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_ns,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = poll_fd_changed,
    .unregister_poll_fd = poll_fd_changed,
    .notify = notify,
    .timer_new_opaque = timer_new,
};

/* --- forwards from the host ---------------------------------------------------------------------
 */

/* Binds ADDRESS for a moment; a port of 0 becomes the one the kernel chose. libslirp binds UDP
 * ports so that two programs may share one, where the second would take the first one's datagrams:
 * only this finds out. False with errno. */
static bool try_port(struct sockaddr_in *address, bool udp)
{
    int fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof *address;
    bool is_free = fd < 0 || (bind(fd, (const struct sockaddr *)address, size) == 0 &&
                              getsockname(fd, (struct sockaddr *)address, &size) == 0);
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
    return is_free;
}

static bool refuse_port(const NetForward *forward, int cause, GError **error)
{
    char host[INET_ADDRSTRLEN];
    const char *protocol = forward->udp ? "udp" : "tcp";
    unsigned port = forward->host_port;

    inet_ntop(AF_INET, &forward->host, host, sizeof host);
    switch (cause) {
    case EADDRINUSE:
        return option_refuse(
            error,
            "Host port %u (%s, address %s) is in use by another program; choose another "
            "port.",
            port, protocol, host);
    case EACCES:
    case EPERM:
        return option_refuse(
            error,
            "Host port %u (%s) is privileged: only the administrator may open it; choose "
            "one from 1024 up.",
            port, protocol);
    case EADDRNOTAVAIL:
        return option_refuse(error, "Host port %u (%s): %s is not an address of this computer.",
                             port, protocol, host);
    default:
        return option_refuse(error, "Host port %u (%s, address %s) cannot be opened: %s.", port,
                             protocol, host, g_strerror(cause));
    }
}

bool slirp_add_forward(NetBackend *backend, NetForward *forward, GError **error)
{
    NetUser *user = (NetUser *)backend;
    struct sockaddr_in host = {
        .sin_family = AF_INET, .sin_port = htons(forward->host_port), .sin_addr = forward->host};
    struct sockaddr_in guest = {
        .sin_family = AF_INET, .sin_port = htons(forward->guest_port), .sin_addr = forward->guest};
    uint32_t network = user->plan.network.s_addr, mask = user->plan.mask.s_addr;

    if (!guest.sin_addr.s_addr)
        guest.sin_addr = user->plan.dhcp_start;
    if ((guest.sin_addr.s_addr & mask) != network) {
        g_autofree char *text = net_forward_format(forward);
        return option_refuse(error, "%s: the guest's address is not in its network.", text);
    }
    if ((forward->udp || !forward->host_port) && !try_port(&host, forward->udp))
        return refuse_port(forward, errno, error);
    forward->host_port = ntohs(host.sin_port);
    if (slirp_add_hostxfwd(user->slirp, (struct sockaddr *)&host, sizeof host,
                           (struct sockaddr *)&guest, sizeof guest,
                           forward->udp ? SLIRP_HOSTFWD_UDP : 0) < 0)
        return refuse_port(forward, errno, error);
    g_array_append_val(user->forwards, *forward);
    notify(user);
    return true;
}

bool slirp_remove_forward(NetBackend *backend, const NetForward *forward, GError **error)
{
    NetUser *user = (NetUser *)backend;
    struct sockaddr_in host = {
        .sin_family = AF_INET, .sin_port = htons(forward->host_port), .sin_addr = forward->host};

    for (guint i = 0; i < user->forwards->len; i++) {
        const NetForward *there = &g_array_index(user->forwards, NetForward, i);
        if (there->udp != forward->udp || there->host_port != forward->host_port ||
            there->host.s_addr != forward->host.s_addr)
            continue;
        slirp_remove_hostxfwd(user->slirp, (struct sockaddr *)&host, sizeof host,
                              forward->udp ? SLIRP_HOSTFWD_UDP : 0);
        g_array_remove_index(user->forwards, i);
        notify(user);
        return true;
    }
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &forward->host, address, sizeof address);
    return option_refuse(error, "There is no forward of host port %u (%s, address %s).",
                         forward->host_port, forward->udp ? "udp" : "tcp", address);
}

const NetPlan *slirp_plan(NetBackend *backend)
{
    return &((NetUser *)backend)->plan;
}

struct in_addr slirp_guest_address(NetBackend *backend)
{
    return ((NetUser *)backend)->guest_address;
}

const GArray *slirp_forwards(NetBackend *backend)
{
    return ((NetUser *)backend)->forwards;
}

/* --- forwards from the guest --------------------------------------------------------------------
 */

static ssize_t guest_forward_write(const void *data, size_t length, void *opaque)
{
    return chardev_write(((GuestForward *)opaque)->chardev, data, length);
}

static size_t guest_forward_can_receive(void *opaque)
{
    GuestForward *forward = opaque;

    return slirp_socket_can_recv(forward->user->slirp, forward->address, forward->port);
}

static void guest_forward_receive(void *opaque, const uint8_t *data, size_t length)
{
    GuestForward *forward = opaque;

    slirp_socket_recv(forward->user->slirp, forward->address, forward->port, data, length);
}

static const ChardevOps guest_forward_ops = {
    .can_receive = guest_forward_can_receive,
    .receive = guest_forward_receive,
};

static bool refuse_guest_forward(const char *text, GError **error)
{
    return option_refuse(
        error,
        "guestfwd=%s: write tcp:address:port-cmd:COMMAND or tcp:address:port-chardev:ID, "
        "with an address of the guest's network.",
        text);
}

/* [tcp]:address:port-cmd:COMMAND or -chardev:ID */
static bool add_guest_forward(NetUser *user, const char *text, GError **error)
{
    const char *dash = strchr(text, '-');
    struct in_addr address;
    guint64 port;

    if (!dash)
        return refuse_guest_forward(text, error);
    g_autofree char *server = g_strndup(text, dash - text);
    g_auto(GStrv) parts = g_strsplit(server, ":", -1);
    if (g_strv_length(parts) != 3 || (*parts[0] && !g_str_equal(parts[0], "tcp")) ||
        inet_pton(AF_INET, parts[1], &address) != 1 ||
        !g_ascii_string_to_unsigned(parts[2], 10, 1, 65535, &port, NULL))
        return refuse_guest_forward(text, error);
    const char *target = dash + 1;
    if (g_str_has_prefix(target, "cmd:")) {
        if (slirp_add_exec(user->slirp, target + strlen("cmd:"), &address, port) < 0)
            return refuse_guest_forward(text, error);
        return true;
    }
    if (!g_str_has_prefix(target, "chardev:"))
        return refuse_guest_forward(text, error);
    const char *id = target + strlen("chardev:");
    Chardev *chardev = user->backend.board->find_chardev(user->backend.board, id);
    if (!chardev)
        return option_refuse(error, "guestfwd=%s: there is no -chardev with id=%s.", text, id);

    GuestForward *forward = g_new0(GuestForward, 1);
    *forward = (GuestForward){user, chardev, address, port};
    if (slirp_add_guestfwd(user->slirp, guest_forward_write, forward, &forward->address, port) <
        0) {
        g_free(forward);
        return refuse_guest_forward(text, error);
    }
    g_ptr_array_add(user->guest_forwards, forward);
    chardev_set_frontend(chardev, &guest_forward_ops, forward);
    return true;
}

/* --- building -----------------------------------------------------------------------------------
 */

static bool parse_ipv6(const OptionValues *values, const char *key, const struct in6_addr *prefix,
                       uint8_t customary, struct in6_addr *address, GError **error)
{
    const char *text = option_string(values, key);

    if (!text) {
        *address = *prefix;
        address->s6_addr[15] |= customary;
        return true;
    }
    return inet_pton(AF_INET6, text, address) == 1 ||
           option_refuse(error, "%s=%s: not an IPv6 address.", key, text);
}

static bool check_length(const OptionValues *values, const char *key, size_t max, GError **error)
{
    const char *text = option_string(values, key);

    return !text || strlen(text) <= max ||
           option_refuse(error, "%s is longer than %zu characters.", key, max);
}

static bool check(const OptionValues *values, GError **error)
{
    const char *tftp = option_string(values, "tftp");
    NetForward forward;
    NetPlan plan;

    if (option_is_set(values, "smb") || option_is_set(values, "smbserver"))
        return option_refuse(
            error, "smb: folders cannot be shared over SMB; copy files with ssh through a "
                   "hostfwd, or show a folder read-only with tftp=.");
    if (tftp && !g_file_test(tftp, G_FILE_TEST_IS_DIR))
        return option_refuse(error, "tftp=%s: there is no such folder.", tftp);
    for (const char *const *rule = option_list(values, "hostfwd"); *rule; rule++)
        if (!net_forward_parse(*rule, &forward, error)) {
            g_prefix_error(error, "hostfwd=");
            return false;
        }
    return net_plan_parse(option_string(values, "net"), option_string(values, "host"),
                          option_string(values, "dns"), option_string(values, "dhcpstart"), &plan,
                          error) &&
           check_length(values, "hostname", 32, error) &&
           check_length(values, "bootfile", MAX_BOOTFILE, error) &&
           check_length(values, "domainname", MAX_NAME, error) &&
           check_length(values, "tftp-server-name", MAX_NAME, error);
}

static bool add_forwards(NetUser *user, const OptionValues *values, GError **error)
{
    for (const char *const *rule = option_list(values, "hostfwd"); *rule; rule++) {
        NetForward forward;
        if (!net_forward_parse(*rule, &forward, error) ||
            !slirp_add_forward(&user->backend, &forward, error))
            return false;
    }
    for (const char *const *rule = option_list(values, "guestfwd"); *rule; rule++)
        if (!add_guest_forward(user, *rule, error))
            return false;
    return true;
}

static bool create(NetBackend *backend, const OptionValues *values, GError **error)
{
    NetUser *user = (NetUser *)backend;
    SlirpConfig config = {.version = 4};

    user->forwards = g_array_new(FALSE, FALSE, sizeof(NetForward));
    user->guest_forwards = g_ptr_array_new_with_free_func(g_free);
    user->reassembly = reassembly_new();
    if (!net_plan_parse(option_string(values, "net"), option_string(values, "host"),
                        option_string(values, "dns"), option_string(values, "dhcpstart"),
                        &user->plan, error))
        return false;
    user->restricted = option_bool(values, "restrict");
    config.restricted = user->restricted;
    config.in_enabled = option_bool(values, "ipv4");
    config.in6_enabled = option_bool(values, "ipv6");
    if (!config.in_enabled && !config.in6_enabled)
        return option_refuse(error, "ipv4=off and ipv6=off leave nothing; turn one of them on.");
    config.vnetwork = user->plan.network;
    config.vnetmask = user->plan.mask;
    config.vhost = user->plan.host;
    config.vnameserver = user->plan.dns;
    config.vdhcp_start = user->plan.dhcp_start;
    if (inet_pton(AF_INET6, option_string(values, "ipv6-prefix"), &config.vprefix_addr6) != 1)
        return option_refuse(error, "ipv6-prefix=%s: not an IPv6 address.",
                             option_string(values, "ipv6-prefix"));
    config.vprefix_len = option_uint(values, "ipv6-prefixlen");
    if (!parse_ipv6(values, "ipv6-host", &config.vprefix_addr6, 2, &config.vhost6, error) ||
        !parse_ipv6(values, "ipv6-dns", &config.vprefix_addr6, 3, &config.vnameserver6, error))
        return false;
    config.vhostname = option_string(values, "hostname");
    config.vdomainname = option_string(values, "domainname");
    config.vdnssearch = (const char **)option_list(values, "dnssearch");
    if (!*config.vdnssearch)
        config.vdnssearch = NULL;
    config.tftp_path = option_string(values, "tftp");
    config.tftp_server_name = option_string(values, "tftp-server-name");
    config.bootfile = option_string(values, "bootfile");

    user->slirp = slirp_new(&config, &callbacks, user);
    if (!user->slirp)
        return option_refuse(error, "the user-mode network cannot be set up.");
    if (!add_forwards(user, values, error))
        return false;
    user->poll = slirp_poll_new(backend, user->slirp);
    return true;
}

static void destroy(NetBackend *backend)
{
    NetUser *user = (NetUser *)backend;

    g_clear_pointer(&user->poll, slirp_poll_free);
    if (!user->forwards) /* create() was not reached */
        return;
    for (guint i = 0; i < user->guest_forwards->len; i++)
        chardev_set_frontend(((GuestForward *)user->guest_forwards->pdata[i])->chardev, NULL, NULL);
    if (user->slirp) {
        /* libslirp leaves the ports of forwards open to its end, and not beyond. */
        while (user->forwards->len) {
            NetForward forward = g_array_index(user->forwards, NetForward, 0);
            slirp_remove_forward(backend, &forward, NULL);
        }
        slirp_cleanup(user->slirp);
    }
    reassembly_free(user->reassembly);
    g_ptr_array_unref(user->guest_forwards);
    g_array_unref(user->forwards);
}

/* ARP (RFC 826) over Ethernet: the sender's address, unless it asks whether one is free. */
static void learn_guest_address(NetUser *user, const uint8_t *frame, size_t length)
{
    struct in_addr address;

    if (length < NET_HEADER_SIZE + ARP_SIZE || get_be16(frame + 12) != ETHERTYPE_ARP ||
        get_be16(frame + NET_HEADER_SIZE + 2) != ETHERTYPE_IPV4)
        return;
    memcpy(&address, frame + NET_HEADER_SIZE + ARP_SENDER_ADDRESS, sizeof address);
    if (address.s_addr && (address.s_addr & user->plan.mask.s_addr) == user->plan.network.s_addr)
        user->guest_address = address;
}

static void send_frame(NetBackend *backend, const uint8_t *frame, size_t length)
{
    NetUser *user = (NetUser *)backend;

    learn_guest_address(user, frame, length);
    if (reassembly_is_fragment(frame, length)) {
        frame = reassembly_take(user->reassembly, clock_ns(user), frame, length, &length);
        if (!frame)
            return;
    }
    slirp_input(user->slirp, frame, length);
}

/* What libslirp waits for may be something else now. */
static void burst_end(NetBackend *backend)
{
    slirp_poll_kick(((NetUser *)backend)->poll);
}

static void resume(NetBackend *backend)
{
    slirp_poll_kick(((NetUser *)backend)->poll);
}

static void describe(NetBackend *backend, GString *out)
{
    NetUser *user = (NetUser *)backend;
    char network[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &user->plan.network, network, sizeof network);
    g_string_append_printf(out, "net=%s,restrict=%s", network, user->restricted ? "on" : "off");
    for (guint i = 0; i < user->forwards->len; i++) {
        g_autofree char *rule = net_forward_format(&g_array_index(user->forwards, NetForward, i));
        g_string_append_printf(out, ",hostfwd=%s", rule);
    }
}

char *slirp_describe_connections(NetBackend *backend)
{
    return slirp_connection_info(((NetUser *)backend)->slirp);
}

bool net_is_user(const NetBackend *backend)
{
    return backend->backend_class == &slirp_backend_class;
}

const NetBackendClass slirp_backend_class = {
    .name = "user",
    .title = N_("User-mode network with NAT"),
    .options = options,
    .instance_size = sizeof(NetUser),
    .check = check,
    .create = create,
    .send = send_frame,
    .burst_end = burst_end,
    .resume = resume,
    .destroy = destroy,
    .describe = describe,
    .takes_large_segments = true,
};
