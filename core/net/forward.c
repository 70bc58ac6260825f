/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/net/forward.h"

#include "core/config/options.h"

#include <arpa/inet.h>
#include <glib/gi18n.h>
#include <string.h>

#define FORWARD_FORM "tcp|udp:[hostaddr]:hostport-[guestaddr]:guestport, like tcp::2222-:22"

/* --- forwards --------------------------------------------------------------------------------- */

/* Four decimal numbers, nothing less: inet_aton() takes octal and short forms as well. */
static bool parse_address(const char *text, struct in_addr *address, GError **error)
{
    if (inet_pton(AF_INET, text, address) == 1)
        return true;
    return option_refuse(error, "\"%s\" is not an IPv4 address like 127.0.0.1.", text);
}

static bool parse_port(const char *text, unsigned min, uint16_t *port, GError **error)
{
    guint64 number;

    if (!g_ascii_string_to_unsigned(text, 10, min, 65535, &number, NULL))
        return option_refuse(error, "\"%s\" is not a port: use %u to 65535.", text, min);
    *port = number;
    return true;
}

/* "[address]:port" */
static bool parse_end(const char *text, const char *default_address, unsigned min_port,
                      struct in_addr *address, uint16_t *port, GError **error)
{
    const char *colon = strrchr(text, ':');

    if (!colon)
        return option_refuse(error, "\"%s\" needs a colon and a port.", text);
    g_autofree char *name = g_strndup(text, colon - text);
    return parse_address(*name ? name : default_address, address, error) &&
           parse_port(colon + 1, min_port, port, error);
}

/* Skips "tcp:", "udp:" or, as in QEMU, a bare ":" (tcp). NULL for anything else. */
static const char *parse_protocol(const char *text, bool *udp)
{
    *udp = g_str_has_prefix(text, "udp:");
    if (*udp || g_str_has_prefix(text, "tcp:"))
        return text + strlen("tcp:");
    return *text == ':' ? text + 1 : NULL;
}

bool net_forward_parse_host(const char *text, NetForward *forward, GError **error)
{
    const char *end = parse_protocol(text, &forward->udp);

    if (!end)
        return option_refuse(error, "\"%s\": write tcp|udp:[hostaddr]:hostport.", text);
    if (parse_end(end, "127.0.0.1", 0, &forward->host, &forward->host_port, error))
        return true;
    g_prefix_error(error, "\"%s\": ", text);
    return false;
}

bool net_forward_parse(const char *text, NetForward *forward, GError **error)
{
    const char *dash = strchr(text, '-');

    memset(forward, 0, sizeof *forward);
    if (!dash)
        return option_refuse(error, "\"%s\" is not a forward: write %s.", text, FORWARD_FORM);
    g_autofree char *host = g_strndup(text, dash - text);
    if (!parse_protocol(host, &forward->udp))
        return option_refuse(error, "\"%s\" is not a forward: write %s.", text, FORWARD_FORM);
    if (net_forward_parse_host(host, forward, error) &&
        parse_end(dash + 1, "0.0.0.0", 1, &forward->guest, &forward->guest_port, error))
        return true;
    g_prefix_error(error, "\"%s\": ", text);
    return false;
}

char *net_forward_format(const NetForward *forward)
{
    char host[INET_ADDRSTRLEN], guest[INET_ADDRSTRLEN] = "";

    inet_ntop(AF_INET, &forward->host, host, sizeof host);
    if (forward->guest.s_addr)
        inet_ntop(AF_INET, &forward->guest, guest, sizeof guest);
    return g_strdup_printf("%s:%s:%u-%s:%u", forward->udp ? "udp" : "tcp", host, forward->host_port,
                           guest, forward->guest_port);
}

/* --- the plan --------------------------------------------------------------------------------- */

/* Without a mask: the whole private block it lies in (RFC 1918), as in QEMU. */
static bool private_mask(uint32_t network, uint32_t *mask)
{
    if (network >> 24 == 10)
        *mask = 0xff000000;
    else if (network >> 20 == 0xac1)
        *mask = 0xfff00000;
    else if (network >> 16 == 0xc0a8)
        *mask = 0xffff0000;
    else
        return false;
    return true;
}

static bool parse_mask(const char *text, uint32_t *mask, GError **error)
{
    struct in_addr address;
    guint64 bits;

    if (g_ascii_string_to_unsigned(text, 10, 4, 30, &bits, NULL)) {
        *mask = ~0u << (32 - bits);
        return true;
    }
    if (inet_pton(AF_INET, text, &address) == 1) {
        *mask = ntohl(address.s_addr);
        if (!(~*mask & (~*mask + 1)) && *mask >= 0xf0000000 && *mask <= 0xfffffffc)
            return true;
    }
    return option_refuse(error, "\"%s\" is not a network mask: use 4 to 30 bits.", text);
}

static bool place(const char *text, const char *what, uint32_t customary, const NetPlan *plan,
                  struct in_addr *address, GError **error)
{
    uint32_t network = ntohl(plan->network.s_addr), mask = ntohl(plan->mask.s_addr);

    address->s_addr = htonl(network | (customary & ~mask));
    if (text && !parse_address(text, address, error)) {
        g_prefix_error(error, "%s=%s: ", what, text);
        return false;
    }
    uint32_t number = ntohl(address->s_addr);
    if ((number & mask) != network || number == network || number == (network | ~mask))
        return option_refuse(error, "%s=%s: not an address inside the network.", what,
                             text ? text : "(default)");
    return true;
}

bool net_plan_parse(const char *network, const char *host, const char *dns, const char *dhcp_start,
                    NetPlan *plan, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(network ? network : "10.0.2.0/24", "/", 2);
    uint32_t mask = 0;

    memset(plan, 0, sizeof *plan);
    if (!parse_address(parts[0] ? parts[0] : "", &plan->network, error)) {
        g_prefix_error(error, "net=%s: ", network);
        return false;
    }
    if (parts[1] ? !parse_mask(parts[1], &mask, error)
                 : !private_mask(ntohl(plan->network.s_addr), &mask))
        return parts[1] ? false
                        : option_refuse(error, "net=%s: give a mask too, like net=%s/24.", network,
                                        network);
    plan->mask.s_addr = htonl(mask);
    plan->network.s_addr &= plan->mask.s_addr;
    if (!place(host, "host", 0x0202, plan, &plan->host, error) ||
        !place(dns, "dns", 0x0203, plan, &plan->dns, error) ||
        !place(dhcp_start, "dhcpstart", 0x020f, plan, &plan->dhcp_start, error))
        return false;
    if (plan->host.s_addr == plan->dns.s_addr || plan->host.s_addr == plan->dhcp_start.s_addr ||
        plan->dns.s_addr == plan->dhcp_start.s_addr)
        return option_refuse(error, "host, dns and dhcpstart must be three different addresses.");
    return true;
}
