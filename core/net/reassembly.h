/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Puts IPv4 fragments together (RFC 791 section 3.2) before libslirp sees them: 4.7.0 as compiled
 * in Debian 12 takes its list of fragments for empty and writes through a stray pointer, which a
 * guest could use to end this process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Reassembly Reassembly;

Reassembly *reassembly_new(void);
void reassembly_free(Reassembly *reassembly);
/* True when FRAME holds an IPv4 fragment, which must not go further as it is. */
bool reassembly_is_fragment(const uint8_t *frame, size_t length);
/* Takes a fragment at NOW ns. When it completes a datagram returns that as one frame, *WHOLE bytes
 * long and valid until the next call; else NULL. */
const uint8_t *reassembly_take(Reassembly *reassembly, int64_t now, const uint8_t *frame,
                               size_t length, size_t *whole);
