/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Runs a libslirp instance's sockets and timeouts in a board's main context. */

#include "core/net/net.h"

#include <slirp/libslirp.h>

typedef struct SlirpPoll SlirpPoll;

SlirpPoll *slirp_poll_new(NetBackend *backend, Slirp *slirp);
void slirp_poll_free(SlirpPoll *poll);
/* libslirp's wishes may have changed. Any thread. */
void slirp_poll_kick(SlirpPoll *poll);
