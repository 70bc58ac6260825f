/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * -netdev user: a network of its own for the guest, made by libslirp: router with NAT, DHCP, DNS
 * and TFTP servers, port forwards. Needs no rights on the host. Board lock held for all.
 */

#include "core/net/forward.h"
#include "core/net/net.h"

extern const NetBackendClass slirp_backend_class;

bool net_is_user(const NetBackend *backend);
const NetPlan *slirp_plan(NetBackend *backend);
/* The address DHCP gave the guest, or the one it calls its own in ARP; 0.0.0.0 before that. */
struct in_addr slirp_guest_address(NetBackend *backend);
/* Opens a host port while the network runs; host port 0 becomes a free one. Errors name the port
 * and why it cannot be had: taken by another program, privileged, not an address of this computer.
 */
bool slirp_add_forward(NetBackend *backend, NetForward *forward, GError **error);
/* Only the host's side of FORWARD counts. */
bool slirp_remove_forward(NetBackend *backend, const NetForward *forward, GError **error);
/* The forwards there are: NetForward, valid until one is added or removed. */
const GArray *slirp_forwards(NetBackend *backend);
char *slirp_describe_connections(NetBackend *backend); /* `info usernet` */
