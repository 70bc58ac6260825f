/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What the rest of the room needs of the qcow2 format. */

#include "core/block/internal.h"

/* Puts a throw-away overlay on BACKING (taken over, also on failure): writes go to an unlinked
 * temporary file. */
BlockNode *qcow2_temporary_overlay(BlockNode *backing, GError **error);

/* See block_image_create; OPTIONS are removed from the table as they are understood, and others
 * refused before FILE is emptied. FILE stays the caller's. */
bool qcow2_create(BlockFile *file, uint64_t size, GHashTable *options, const char *backing,
                  const char *backing_format, GError **error);

/* Writes one whole guest cluster, compressed where that makes it smaller. CLUSTER holds a cluster's
 * worth of bytes (node->granule), also at the end of the disk. */
int qcow2_write_compressed(BlockNode *node, uint64_t offset, const uint8_t *cluster);
