/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "core/net/forward.h"

/* The host's side of FORWARD could be opened now. Opens and closes it; does not block. */
bool apiary_host_port_is_free(const NetForward *forward);
/* A port on the host for GUEST_PORT: the customary one (2222 for ssh, 8080 for the web) or the
 * first after it that is free and, in USED (char* rules, or NULL), not spoken for. 0: none. */
uint16_t apiary_host_port_suggest(bool udp, uint16_t guest_port, const GPtrArray *used);
