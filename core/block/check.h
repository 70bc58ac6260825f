/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Consistency of qcow2 metadata, as `qemu-img check` judges it. */

#include "core/block/internal.h"

typedef enum {
    BLOCK_CHECK_FIX_NONE,
    BLOCK_CHECK_FIX_LEAKS,
    BLOCK_CHECK_FIX_ALL,
} BlockCheckFix;

typedef struct {
    uint64_t corruptions, leaks, corruptions_fixed, leaks_fixed; /* found, and those repaired */
    uint64_t image_end;                                          /* bytes */
    uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
} BlockCheck;

typedef void (*BlockCheckReport)(void *opaque, const char *line);

/* Counts what refers to each cluster of NODE, a qcow2 image nobody else uses, and compares. REPORT
 * (may be NULL) hears of every fault. After a repair NODE's tables in memory are out of date: close
 * it, or load it again. False if the image cannot be judged. */
bool qcow2_check(BlockNode *node, BlockCheckFix fix, BlockCheck *check, BlockCheckReport report,
                 void *opaque, GError **error);
