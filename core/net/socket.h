/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * A private network between machines, of this program or QEMU, on this computer or others:
 *
 *   -netdev socket   QEMU's older words: listen=, connect=, mcast=, udp= with localaddr=
 *   -netdev stream   TCP or Unix, two machines
 *   -netdev dgram    UDP or Unix, two machines; a multicast group, any number
 *
 * What is said there is not secret: a host that is not named is 127.0.0.1, where only this
 * computer's programs are.
 */

#include "core/net/net.h"

extern const NetBackendClass socket_backend_class;
extern const NetBackendClass stream_backend_class;
extern const NetBackendClass dgram_backend_class;
