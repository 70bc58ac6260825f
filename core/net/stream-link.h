/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Frames over a byte stream (TCP or Unix), as QEMU sends them: each behind its length as 32 bits in
 * network order. One peer at a time; when it goes, the next is waited for or called again.
 *
 * Board lock held for all; the sockets are served on the board's main context.
 */

#include "core/net/net.h"

#include <gio/gio.h>

typedef struct StreamLink StreamLink;

/* Waits for a peer at ADDRESS. Errors name the address. */
StreamLink *stream_link_listen(NetBackend *backend, GSocketAddress *address, GError **error);
/* Calls the peer at one of ADDRESSES (GSocketAddress*, taken) now and, when there is none or it
 * went, every RETRY seconds; 0: not again. */
StreamLink *stream_link_connect(NetBackend *backend, GPtrArray *addresses, unsigned retry);
void stream_link_free(StreamLink *link);
/* Without a peer, or while it takes nothing for long, frames are lost. */
void stream_link_send(StreamLink *link, const uint8_t *frame, size_t length);
void stream_link_flush(StreamLink *link);  /* what was sent goes out now */
void stream_link_resume(StreamLink *link); /* the card has room again */
void stream_link_describe(StreamLink *link, GString *out);
