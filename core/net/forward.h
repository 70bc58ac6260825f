/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Addresses and rules of the user-mode network as a person writes them, parsed without opening
 * anything.
 */

#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* A host port that leads to the guest, in QEMU's words: tcp|udp:[hostaddr]:hostport-[guestaddr]:
 * guestport. Addresses are in network byte order. */
typedef struct {
    bool udp;
    struct in_addr host, guest; /* guest 0.0.0.0: the first address DHCP gives */
    uint16_t host_port, guest_port;
} NetForward;

/* Without a host address only this computer can reach the port: 127.0.0.1 (QEMU takes 0.0.0.0). */
bool net_forward_parse(const char *text, NetForward *forward, GError **error);
/* "tcp:[hostaddr]:hostport", to take a rule away. */
bool net_forward_parse_host(const char *text, NetForward *forward, GError **error);
char *net_forward_format(const NetForward *forward); /* as net_forward_parse() takes it */

/* IPv4 plan of the network; see net_plan_parse(). */
typedef struct {
    struct in_addr network, mask, host, dns, dhcp_start;
} NetPlan;

/* NULL for what was not given: 10.0.2.0/24, its .2, .3 and .15. All must lie in the network and
 * differ. */
bool net_plan_parse(const char *network, const char *host, const char *dns, const char *dhcp_start,
                    NetPlan *plan, GError **error);
