/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Guest reads, writes, discards and zeroing of a qcow2 image. */

#define G_LOG_DOMAIN "apiary-block"

#include "core/block/qcow2-internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

/* Clusters looked at in one go. */
#define MAX_RUN_BYTES (64u * 1024 * 1024)
/* Frees remembered before they are worth a writeback. */
#define MAX_FREES     4096

static uint64_t run_limit(const Qcow2 *s, uint64_t in_cluster, uint64_t length)
{
    return qcow2_clusters(s, in_cluster + MIN(length, MAX_RUN_BYTES));
}

/* ---- reading ---- */

static int read_data(Qcow2 *s, uint64_t host, uint64_t fresh, BlockCursor *cursor, uint64_t length)
{
    uint64_t size;
    int result = block_file_size(s->file, &size);

    if (result)
        return result;
    if (host >= size && host >= fresh << s->cluster_bits) {
        g_message("%s: data at byte %" G_GUINT64_FORMAT " is behind its end: it is truncated",
                  s->file->path, host);
        return EIO;
    }
    return block_file_readv(s->file, host, cursor, length);
}

int qcow2_read(BlockNode *node, uint64_t offset, BlockCursor *cursor, uint64_t length)
{
    Qcow2 *s = node->state;
    int result = 0;

    while (length > 0 && result == 0) {
        uint64_t in_cluster = offset & (s->cluster_size - 1);
        Qcow2Mapping mapping;
        g_mutex_lock(&s->lock);
        result =
            qcow2_map(s, qcow2_cluster_of(s, offset), run_limit(s, in_cluster, length), &mapping);
        uint64_t fresh = s->fresh;
        g_mutex_unlock(&s->lock);
        if (result)
            break;
        uint64_t part = MIN(length, (mapping.count << s->cluster_bits) - in_cluster);
        switch (mapping.type) {
        case CLUSTER_UNALLOCATED:
            result = block_node_read_padded(node->backing, offset, cursor, part);
            break;
        case CLUSTER_ZERO:
        case CLUSTER_ZERO_ALLOC: block_cursor_zero(cursor, part); break;
        case CLUSTER_NORMAL:
            result = read_data(s, mapping.host + in_cluster, fresh, cursor, part);
            break;
        case CLUSTER_COMPRESSED:
            result = qcow2_inflate(s, mapping.entry, (uint32_t)in_cluster, cursor, (uint32_t)part);
            break;
        }
        offset += part;
        length -= part;
    }
    return result;
}

/* ---- writing ---- */

/* Called before metadata changes, with the lock held: keeps what a crash can cost, and memory,
 * bounded. */
static int begin_change(Qcow2 *s)
{
    if (s->incompatible & INCOMPATIBLE_CORRUPT)
        return EIO;
    if (qcow2_cache_is_crowded(s->l2_cache) || qcow2_cache_is_crowded(s->refcount_cache) ||
        s->frees->len > MAX_FREES)
        return qcow2_writeback(s);
    return 0;
}

/* Where a run of clusters is to be written. */
typedef struct {
    uint64_t index; /* guest cluster */
    uint64_t count;
    uint64_t host;
    bool in_place; /* mapped there already: nothing else to copy or to link */
    bool fresh;    /* reads as zeros until written */
    bool reused;   /* the cluster is the guest cluster's old one */
} WriteRun;

static bool needs_new(const Qcow2Mapping *mapping)
{
    return !(mapping->copied &&
             (mapping->type == CLUSTER_NORMAL || mapping->type == CLUSTER_ZERO_ALLOC));
}

static int prepare_run(Qcow2 *s, uint64_t wanted, WriteRun *run)
{
    Qcow2Mapping mapping;
    int result = begin_change(s);

    if (result == 0)
        result = qcow2_map(s, run->index, wanted, &mapping);
    if (result)
        return result;
    if (!needs_new(&mapping)) {
        run->host = mapping.host;
        run->in_place = mapping.type == CLUSTER_NORMAL;
        run->reused = !run->in_place;
        run->count = run->in_place ? mapping.count : 1;
        if (qcow2_overlaps_metadata(s, run->host, run->count << s->cluster_bits))
            return qcow2_mark_corrupt(s, "a data cluster lies on a table");
        return run->reused ? qcow2_make_l2(s, run->index) : 0;
    }
    uint64_t count = mapping.count;
    while (count < wanted) {
        Qcow2Mapping next;
        /* Only within this L2 table, which is the one made below. */
        if (((run->index + count) >> s->l2_bits) != (run->index >> s->l2_bits))
            break;
        if (qcow2_map(s, run->index + count, wanted - count, &next) != 0 || !needs_new(&next))
            break;
        count += next.count;
    }
    result = qcow2_make_l2(s, run->index);
    if (result)
        return result;
    return qcow2_alloc(s, count, &run->host, &run->count, &run->fresh);
}

/* Whether [OFFSET, OFFSET+LENGTH) reads as zeros, as far as that can be told without reading. */
static bool is_known_zero(BlockNode *node, uint64_t offset, uint64_t length)
{
    Qcow2 *s = node->state;
    Qcow2Mapping mapping;

    g_mutex_lock(&s->lock);
    int result = qcow2_map(s, qcow2_cluster_of(s, offset), 1, &mapping);
    g_mutex_unlock(&s->lock);
    if (result)
        return false;
    if (mapping.type == CLUSTER_ZERO || mapping.type == CLUSTER_ZERO_ALLOC)
        return true;
    return mapping.type == CLUSTER_UNALLOCATED && (!node->backing || offset >= node->backing->size);
}

/* Brings the part of a new cluster that the guest does not write: [OFFSET, OFFSET+LENGTH) of the
 * guest's disk, to HOST. */
static int copy_part(BlockNode *node, const WriteRun *run, uint64_t offset, uint64_t host,
                     uint64_t length)
{
    Qcow2 *s = node->state;

    if (length == 0)
        return 0;
    if (is_known_zero(node, offset, length))
        return run->fresh ? 0 : block_file_zero(s->file, host, length);
    g_autofree uint8_t *buffer = g_malloc(length);
    struct iovec iov = {buffer, length};
    BlockCursor cursor;
    block_cursor_init(&cursor, &iov, 1);
    int result = qcow2_read(node, offset, &cursor, length);
    return result ? result : block_file_write(s->file, host, buffer, length);
}

static int fill_new_run(BlockNode *node, const WriteRun *run, uint64_t offset, BlockCursor *cursor,
                        uint64_t length)
{
    Qcow2 *s = node->state;
    uint64_t start = run->index << s->cluster_bits, head = offset - start;
    uint64_t end = (run->index + run->count) << s->cluster_bits, tail = offset + length;
    int result = copy_part(node, run, start, run->host, head);

    if (result == 0)
        result = block_file_writev(s->file, run->host + head, cursor, length);
    if (result == 0)
        result = copy_part(node, run, tail, run->host + (tail - start), end - tail);
    return result;
}

int qcow2_write(BlockNode *node, uint64_t offset, BlockCursor *cursor, uint64_t length)
{
    Qcow2 *s = node->state;
    int result = 0;

    while (length > 0 && result == 0) {
        uint64_t in_cluster = offset & (s->cluster_size - 1);
        WriteRun run = {.index = qcow2_cluster_of(s, offset)};
        g_mutex_lock(&s->lock);
        result = prepare_run(s, run_limit(s, in_cluster, length), &run);
        g_mutex_unlock(&s->lock);
        if (result)
            break;
        uint64_t part = MIN(length, (run.count << s->cluster_bits) - in_cluster);
        if (run.in_place) {
            result = block_file_writev(s->file, run.host + in_cluster, cursor, part);
        } else {
            result = fill_new_run(node, &run, offset, cursor, part);
            g_mutex_lock(&s->lock);
            if (result == 0)
                result = qcow2_link(s, run.index, run.count, run.host | ENTRY_COPIED,
                                    s->cluster_size, false);
            else if (!run.reused)
                qcow2_free_now(s, run.host, run.count << s->cluster_bits);
            g_mutex_unlock(&s->lock);
        }
        offset += part;
        length -= part;
    }
    return result;
}

/* ---- discarding and zeroing ---- */

/* Also where the chain was not opened. */
static bool has_backing(const BlockNode *node)
{
    return node->backing || node->backing_name;
}

/* Makes COUNT whole clusters from INDEX on read as zeros and gives their space back. */
static int clear_clusters(BlockNode *node, uint64_t index, uint64_t count)
{
    Qcow2 *s = node->state;
    int result = 0;

    while (count > 0 && result == 0) {
        Qcow2Mapping mapping = {0};
        g_mutex_lock(&s->lock);
        result = begin_change(s);
        if (result == 0)
            result = qcow2_map(s, index, count, &mapping);
        bool below =
            has_backing(node) && (!node->backing || index << s->cluster_bits < node->backing->size);
        bool is_clear =
            mapping.type == CLUSTER_ZERO || (mapping.type == CLUSTER_UNALLOCATED && !below);
        if (result == 0 && !is_clear) {
            result = qcow2_make_l2(s, index);
            if (result == 0)
                result = qcow2_link(s, index, mapping.count, has_backing(node) ? ENTRY_ZERO : 0, 0,
                                    true);
        }
        g_mutex_unlock(&s->lock);
        index += result ? 0 : mapping.count;
        count -= result ? 0 : mapping.count;
    }
    return result;
}

/* A cluster without a mapping shows the backing file, and version 2 has no other way to say zero.
 */
static bool can_clear(BlockNode *node)
{
    Qcow2 *s = node->state;

    return s->version >= 3 || !has_backing(node);
}

int qcow2_discard(BlockNode *node, uint64_t offset, uint64_t length)
{
    Qcow2 *s = node->state;
    uint64_t first = qcow2_clusters(s, offset);
    uint64_t end = offset + length == node->size ? qcow2_clusters(s, offset + length)
                                                 : qcow2_cluster_of(s, offset + length);

    if (!can_clear(node) || first >= end)
        return 0;
    return clear_clusters(node, first, end - first);
}

static int write_zero_bytes(BlockNode *node, uint64_t offset, uint64_t length)
{
    Qcow2 *s = node->state;
    g_autofree uint8_t *zeros = g_malloc0(MIN(length, s->cluster_size));
    int result = 0;

    while (length > 0 && result == 0) {
        uint64_t part = MIN(length, s->cluster_size - (offset & (s->cluster_size - 1)));
        if (!is_known_zero(node, offset, part)) {
            struct iovec iov = {zeros, part};
            BlockCursor cursor;
            block_cursor_init(&cursor, &iov, 1);
            result = qcow2_write(node, offset, &cursor, part);
        }
        offset += part;
        length -= part;
    }
    return result;
}

int qcow2_write_zeroes(BlockNode *node, uint64_t offset, uint64_t length)
{
    Qcow2 *s = node->state;
    uint64_t mask = s->cluster_size - 1, end = offset + length;
    uint64_t first = (offset + mask) & ~mask, last = end == node->size ? end : end & ~mask;

    if (!can_clear(node) || first >= last)
        return write_zero_bytes(node, offset, length);
    int result = write_zero_bytes(node, offset, first - offset);
    if (result == 0)
        result = clear_clusters(node, qcow2_cluster_of(s, first),
                                qcow2_clusters(s, last) - qcow2_cluster_of(s, first));
    if (result == 0)
        result = write_zero_bytes(node, last, end - last);
    return result;
}

/* ---- the map ---- */

int qcow2_status(BlockNode *node, uint64_t offset, uint64_t length, BlockStatus *status)
{
    Qcow2 *s = node->state;
    uint64_t in_cluster = offset & (s->cluster_size - 1);
    Qcow2Mapping mapping;

    *status = (BlockStatus){0};
    g_mutex_lock(&s->lock);
    int result =
        qcow2_map(s, qcow2_cluster_of(s, offset), qcow2_clusters(s, in_cluster + length), &mapping);
    g_mutex_unlock(&s->lock);
    if (result)
        return result;
    status->length = MIN(length, (mapping.count << s->cluster_bits) - in_cluster);
    status->allocated = mapping.type != CLUSTER_UNALLOCATED;
    status->zero = mapping.type == CLUSTER_ZERO || mapping.type == CLUSTER_ZERO_ALLOC;
    status->compressed = mapping.type == CLUSTER_COMPRESSED;
    status->has_host_offset = mapping.type == CLUSTER_NORMAL || mapping.type == CLUSTER_ZERO_ALLOC;
    status->host_offset = mapping.host + in_cluster;
    return 0;
}

/* ---- resizing ---- */

static int set_size(Qcow2 *s, uint64_t size)
{
    uint64_t be = GUINT64_TO_BE(size);
    int result = block_file_write(s->file, 24, &be, sizeof be);

    return result ? result : block_file_sync(s->file);
}

static int shrink(BlockNode *node, uint64_t size)
{
    Qcow2 *s = node->state;
    uint64_t mask = s->cluster_size - 1, end = (size + mask) & ~mask;
    uint64_t first = qcow2_clusters(s, size), count = qcow2_clusters(s, node->size) - first;
    int result = 0;

    /* What is cut off must not come back when the disk grows again. */
    if (size & mask)
        result = write_zero_bytes(node, size, MIN(end, node->size) - size);
    while (count > 0 && result == 0) {
        Qcow2Mapping mapping = {0};
        g_mutex_lock(&s->lock);
        result = begin_change(s);
        if (result == 0)
            result = qcow2_map(s, first, count, &mapping);
        if (result == 0 && mapping.type != CLUSTER_UNALLOCATED) {
            result = qcow2_make_l2(s, first);
            if (result == 0)
                result = qcow2_link(s, first, mapping.count, 0, 0, true);
        }
        g_mutex_unlock(&s->lock);
        first += result ? 0 : mapping.count;
        count -= result ? 0 : mapping.count;
    }
    g_mutex_lock(&s->lock);
    if (result == 0)
        result = set_size(s, size);
    if (result == 0)
        result = qcow2_flush_locked(s);
    g_mutex_unlock(&s->lock);
    return result;
}

static int grow(BlockNode *node, uint64_t size)
{
    Qcow2 *s = node->state;
    uint64_t old = node->size, entries = qcow2_l1_entries(s, size);

    if (entries == UINT64_MAX)
        return EFBIG;
    g_mutex_lock(&s->lock);
    int result = qcow2_grow_l1(s, (uint32_t)entries);
    g_mutex_unlock(&s->lock);
    node->size = size;
    /* A longer backing file must not show in what is new. */
    if (result == 0 && node->backing && node->backing->size > old)
        result = qcow2_write_zeroes(node, old, MIN(size, node->backing->size) - old);
    g_mutex_lock(&s->lock);
    if (result == 0)
        result = qcow2_flush_locked(s);
    if (result == 0)
        result = set_size(s, size);
    if (result)
        node->size = old;
    g_mutex_unlock(&s->lock);
    return result;
}

bool qcow2_resize(BlockNode *node, uint64_t size, GError **error)
{
    Qcow2 *s = node->state;

    if (s->n_snapshots > 0 && (s->version < 3 || size < node->size)) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                    _("Cannot resize “%s” as it has internal snapshots. Delete them first."),
                    s->file->path);
        return false;
    }
    int result = size < node->size ? shrink(node, size) : grow(node, size);
    if (result == 0) {
        node->size = size;
        return true;
    }
    g_set_error(error, BLOCK_ERROR, result == ENOSPC ? BLOCK_ERROR_NO_SPACE : BLOCK_ERROR_FAILED,
                _("Cannot resize “%s”: %s.%s"), s->file->path, g_strerror(result),
                result == EFBIG ? _(" Its cluster size is too small for a disk of this size.")
                                : "");
    return false;
}
