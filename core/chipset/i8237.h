/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The two 8237A DMA controllers of an AT (Intel 8237A data sheet; ports 00-0F, 81-8F, C0-DF). */

#include "core/machine/board.h"

IsaDma *isa_dma_new(Board *board);
void isa_dma_free(IsaDma *dma);
void isa_dma_reset(IsaDma *dma);
/* A device on CHANNEL (0-3, 5-7) moves up to LENGTH bytes now. Returns the bytes moved (less than
 * LENGTH when the count ran out, 0 when masked or in the wrong direction); *terminal_count tells
 * TC. to_memory: the device writes guest memory. Channels 5-7 move words: LENGTH is even. Board
 * lock. */
size_t isa_dma_transfer(IsaDma *dma, int channel, void *buffer, size_t length, bool to_memory,
                        bool *terminal_count);
bool isa_dma_ready(IsaDma *dma, int channel); /* unmasked and programmed */
/* FUNC runs whenever the guest reprogrammed CHANNEL so that it is ready: for a device that holds
 * its request line. One listener a channel; NULL for none. */
void isa_dma_set_listener(IsaDma *dma, int channel, void (*func)(void *opaque), void *opaque);
