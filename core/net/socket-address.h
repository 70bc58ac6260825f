/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Ends of a network between machines, as QEMU's users write them. */

#include "core/config/options.h"

#include <gio/gio.h>

/* "[HOST]:PORT", "[[IPV6]]:PORT". An empty HOST is this computer alone, 127.0.0.1. Looks at the
 * text only. */
bool socket_address_check(const char *text, GError **error);
/* All addresses TEXT stands for (GSocketAddress*, one or more); may wait for a name server. NULL
 * with ERROR. */
GPtrArray *socket_address_resolve(const char *text, GError **error);

/* PREFIX.type=inet|unix with PREFIX.host and PREFIX.port, or PREFIX.path. */
bool socket_address_check_options(const OptionValues *values, const char *prefix, GError **error);
/* Takes what socket_address_check_options() accepted. */
GPtrArray *socket_address_resolve_options(const OptionValues *values, const char *prefix,
                                          GError **error);
/* "127.0.0.1:4000" or a path. */
char *socket_address_format(GSocketAddress *address);
/* A new socket for ADDRESS that does not block; TYPE is stream or datagram. */
GSocket *socket_for_address(GSocketAddress *address, GSocketType type, GError **error);
/* Binds to ADDRESS; what is left of a Unix socket whose program has gone is replaced. Errors name
 * the address and, for a port that is taken, say so. */
bool socket_bind(GSocket *socket, GSocketAddress *address, GError **error);
