/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What is known about an image without looking at its data: for `apiary img info` and dialogs. */

#include "core/block/block.h"

typedef struct {
    char *id, *name;
    uint64_t vm_state_size; /* bytes */
    uint32_t seconds, nanoseconds;
    uint64_t vm_clock; /* ns */
    uint64_t icount;   /* UINT64_MAX: none */
} BlockSnapshotInfo;

typedef struct {
    char *path;
    const char *format;
    uint64_t virtual_size, actual_size; /* bytes; actual: what it takes on the host */
    uint32_t cluster_size;              /* 0: has none */
    char *backing_name, *backing_path, *backing_format; /* NULL where there is none */
    /* qcow2 only */
    uint32_t version, refcount_bits; /* version 0: another format */
    bool zstd, lazy_refcounts, corrupt, dirty;
    BlockSnapshotInfo *snapshots;
    uint32_t n_snapshots;
} BlockInfo;

/* FORMAT NULL: probe. SHARE: look even while another program may be writing. Blocking. */
BlockInfo *block_info_read(const char *path, const char *format, bool share, GError **error);
void block_info_free(BlockInfo *info);
