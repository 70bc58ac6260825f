/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/block/info.h"
#include "core/block/qcow2-internal.h"

#include <sys/stat.h>

static void describe_qcow2(const Qcow2 *s, BlockInfo *info)
{
    info->cluster_size = s->cluster_size;
    info->version = s->version;
    info->refcount_bits = 1u << s->refcount_order;
    info->zstd = s->compression == COMPRESSION_ZSTD;
    info->lazy_refcounts = s->compatible & COMPATIBLE_LAZY;
    info->corrupt = s->incompatible & INCOMPATIBLE_CORRUPT;
    info->dirty = s->incompatible & INCOMPATIBLE_DIRTY;
    info->n_snapshots = s->n_snapshots;
    info->snapshots = g_new0(BlockSnapshotInfo, MAX(s->n_snapshots, 1));
    for (uint32_t i = 0; i < s->n_snapshots; i++) {
        const Qcow2Snapshot *from = &s->snapshots[i];
        info->snapshots[i] = (BlockSnapshotInfo){
            .id = g_strdup(from->id),
            .name = g_strdup(from->name),
            .vm_state_size = from->vm_state_size,
            .seconds = from->seconds,
            .nanoseconds = from->nanoseconds,
            .vm_clock = from->vm_clock,
            .icount = from->icount,
        };
    }
}

BlockInfo *block_info_read(const char *path, const char *format, bool share, GError **error)
{
    BlockNode *node = block_node_open(path, format, share ? BLOCK_FILE_NO_LOCK : 0,
                                      BLOCK_NODE_NO_BACKING | BLOCK_NODE_CHECK, error);
    struct stat st;

    if (!node)
        return NULL;
    BlockInfo *info = g_new0(BlockInfo, 1);
    info->path = g_strdup(path);
    info->format = node->driver->name;
    info->virtual_size = node->size;
    if (fstat(node->file->fd, &st) == 0)
        info->actual_size = (uint64_t)st.st_blocks * 512;
    info->backing_name = g_strdup(node->backing_name);
    info->backing_format = g_strdup(node->backing_format);
    if (node->backing_name)
        info->backing_path = block_backing_path(node->file, node->backing_name, NULL);
    if (node->driver == &block_qcow2_driver)
        describe_qcow2(node->state, info);
    block_node_close(node);
    return info;
}

void block_info_free(BlockInfo *info)
{
    if (!info)
        return;
    for (uint32_t i = 0; i < info->n_snapshots; i++) {
        g_free(info->snapshots[i].id);
        g_free(info->snapshots[i].name);
    }
    g_free(info->snapshots);
    g_free(info->path);
    g_free(info->backing_name);
    g_free(info->backing_path);
    g_free(info->backing_format);
    g_free(info);
}
