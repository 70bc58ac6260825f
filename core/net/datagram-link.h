/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Frames as datagrams (UDP, multicast or Unix), one each, as QEMU sends them. Board lock held for
 * all; the sockets are served on the board's main context.
 */

#include "core/net/net.h"

#include <gio/gio.h>

typedef struct DatagramLink DatagramLink;

/* Takes datagrams at OWN from anybody and sends to PEER. Errors name the address. */
DatagramLink *datagram_link_new(NetBackend *backend, GSocketAddress *own, GSocketAddress *peer,
                                GError **error);
/* Every machine that names GROUP, an IPv4 multicast address, is on one network. INTERFACE: the host
 * address through which, NULL: the one the kernel's routes say. */
DatagramLink *datagram_link_join(NetBackend *backend, GInetSocketAddress *group,
                                 GInetAddress *interface, GError **error);
void datagram_link_free(DatagramLink *link);
void datagram_link_send(DatagramLink *link, const uint8_t *frame, size_t length);
void datagram_link_resume(DatagramLink *link); /* the card has room again */
void datagram_link_describe(DatagramLink *link, GString *out);
