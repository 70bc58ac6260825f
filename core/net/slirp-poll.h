/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Runs a libslirp instance's sockets and timeouts in a board's main context. */

#include "core/net/net.h"

#include <slirp/libslirp.h>

typedef struct SlirpPoll SlirpPoll;

SlirpPoll *slirp_poll_new(NetBackend *backend, Slirp *slirp);
void slirp_poll_free(SlirpPoll *poll);
/* libslirp's wishes may have changed: wakes the board thread if they have. Board lock held. */
void slirp_poll_kick(SlirpPoll *poll);
/* A socket was opened or closed; its number may be that of an earlier one. Board lock held. */
void slirp_poll_sockets_changed(SlirpPoll *poll);
