/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Refcounts of host clusters (qcow2.txt, "Host cluster management"), and taking and freeing them.
 */

#define G_LOG_DOMAIN "apiary-block"

#include "core/block/qcow2-internal.h"

#include <errno.h>
#include <string.h>

/* ---- single refcounts ---- */

uint64_t qcow2_refcount_max(const Qcow2 *s)
{
    return s->refcount_order == 6 ? UINT64_MAX : (UINT64_C(1) << (1u << s->refcount_order)) - 1;
}

/* The refcount block for CLUSTER; *OFFSET 0 if there is none. */
static int find_block(Qcow2 *s, uint64_t cluster, uint64_t *offset)
{
    uint64_t index = cluster >> s->block_bits;

    *offset = 0;
    if (index >= s->refcount_table.size)
        return 0;
    uint64_t entry = s->refcount_table.entries[index] & REFTABLE_OFFSET;
    if (entry & (s->cluster_size - 1) || entry > MAX_CLUSTER_OFFSET)
        return qcow2_mark_corrupt(s, "a refcount block is not where a cluster begins");
    *offset = entry;
    return 0;
}

/* The byte with the refcount in its low bits after a shift by *SHIFT, or the first of its bytes. */
static uint64_t locate(const Qcow2 *s, uint64_t block, uint64_t cluster, unsigned *shift)
{
    uint64_t index = cluster & ((UINT64_C(1) << s->block_bits) - 1);
    uint64_t bit = index << s->refcount_order;

    *shift = (unsigned)(bit & 7);
    return block + (bit >> 3);
}

int qcow2_refcount_get(Qcow2 *s, uint64_t cluster, uint64_t *refcount)
{
    uint8_t bytes[8] = {0};
    uint64_t block;
    unsigned shift, width = s->refcount_order < 3 ? 1 : 1u << (s->refcount_order - 3);
    int result = find_block(s, cluster, &block);

    *refcount = 0;
    if (result || !block)
        return result;
    uint64_t at = locate(s, block, cluster, &shift);
    result = qcow2_cache_read(s->refcount_cache, at, bytes, width);
    for (unsigned n = 0; n < width; n++)
        *refcount = *refcount << 8 | bytes[n];
    *refcount = (*refcount >> shift) & qcow2_refcount_max(s);
    return result;
}

int qcow2_refcount_set(Qcow2 *s, uint64_t cluster, uint64_t refcount)
{
    uint8_t bytes[8];
    uint64_t block;
    unsigned shift, width = s->refcount_order < 3 ? 1 : 1u << (s->refcount_order - 3);
    int result = find_block(s, cluster, &block);

    if (result)
        return result;
    if (!block)
        return ENXIO;
    if (refcount > qcow2_refcount_max(s))
        return EINVAL;
    uint64_t at = locate(s, block, cluster, &shift);
    if (s->refcount_order < 3) {
        result = qcow2_cache_read(s->refcount_cache, at, bytes, 1);
        bytes[0] = (uint8_t)((bytes[0] & ~(qcow2_refcount_max(s) << shift)) | refcount << shift);
    } else {
        for (unsigned n = width; n-- > 0; refcount >>= 8)
            bytes[n] = (uint8_t)refcount;
    }
    if (result == 0)
        result = qcow2_cache_write(s->refcount_cache, at, bytes, width);
    return result;
}

int qcow2_refcount_add(Qcow2 *s, uint64_t cluster, uint64_t count, int delta)
{
    for (uint64_t n = 0; n < count; n++) {
        uint64_t refcount;
        int result = qcow2_refcount_get(s, cluster + n, &refcount);
        if (result)
            return result;
        if ((delta < 0 && refcount < (uint64_t)-delta) ||
            (delta > 0 && refcount > qcow2_refcount_max(s) - (uint64_t)delta))
            return delta < 0 ? ENOENT : EOVERFLOW;
        refcount += (uint64_t)(int64_t)delta;
        result = qcow2_refcount_set(s, cluster + n, refcount);
        if (result)
            return result;
    }
    return 0;
}

/* ---- refcount blocks and their table ---- */

static uint64_t clusters_per_block(const Qcow2 *s)
{
    return UINT64_C(1) << s->block_bits;
}

static int prepare_block(Qcow2 *s, uint64_t index, uint64_t offset)
{
    if (offset > MAX_CLUSTER_OFFSET)
        return EFBIG;
    if (qcow2_overlaps_metadata(s, offset, s->cluster_size))
        return qcow2_mark_corrupt(s, "a table lies in clusters that count as free");
    int result = block_file_zero(s->file, offset, s->cluster_size);
    if (result)
        return result;
    qcow2_cache_forget(s->refcount_cache, offset, s->cluster_size);
    qcow2_cache_forget(s->l2_cache, offset, s->cluster_size);
    s->refcount_table.entries[index] = offset;
    qcow2_table_touch(&s->refcount_table, (uint32_t)index);
    return 0;
}

static void note_used(Qcow2 *s, uint64_t end)
{
    s->fresh = MAX(s->fresh, end);
}

/* Where there is no block yet, all clusters are free: the block takes the first of those it
 * describes, and describes itself. */
static int make_block(Qcow2 *s, uint64_t index)
{
    uint64_t cluster = index << s->block_bits;
    int result = prepare_block(s, index, cluster << s->cluster_bits);

    if (result == 0)
        result = qcow2_refcount_set(s, cluster, 1);
    if (result) {
        s->refcount_table.entries[index] = 0;
        qcow2_cache_forget(s->refcount_cache, cluster << s->cluster_bits, s->cluster_size);
    } else {
        note_used(s, cluster + 1);
    }
    return result;
}

/* The first index from which on no range has a block, behind the end of the file. */
static uint64_t first_unused_range(const Qcow2 *s)
{
    uint64_t index = s->refcount_table.size, end = s->fresh;

    while (index > 0 && s->refcount_table.entries[index - 1] == 0)
        index--;
    return MAX(index, (end + clusters_per_block(s) - 1) >> s->block_bits);
}

/*
 * Takes COUNT clusters in a row in a part of the file that nothing describes yet, however many
 * refcount blocks that needs: the blocks come first, then a larger refcount table if the old one is
 * too short, then the COUNT clusters.
 */
static int alloc_area(Qcow2 *s, uint64_t count, uint64_t *offset)
{
    uint64_t range = first_unused_range(s), per_block = clusters_per_block(s);
    uint64_t start = range << s->block_bits, blocks = 1, table_clusters = 0, table_size = 0;

    for (;;) {
        uint64_t wanted = blocks + table_clusters + count;
        if (blocks * per_block < wanted) {
            blocks = (wanted + per_block - 1) / per_block;
            continue;
        }
        if (MAX(table_size, s->refcount_table.size) >= range + blocks)
            break;
        table_clusters = qcow2_clusters(s, (range + blocks) * 8 * 3 / 2);
        table_size = table_clusters << (s->cluster_bits - 3);
        if (table_size * 8 > MAX_REFTABLE_BYTES)
            return EFBIG;
    }
    if ((start + blocks + table_clusters + count) > MAX_CLUSTER_OFFSET >> s->cluster_bits)
        return EFBIG;

    Qcow2Table old = s->refcount_table;
    if (table_clusters) {
        s->refcount_table.entries = g_new0(uint64_t, table_size);
        memcpy(s->refcount_table.entries, old.entries, old.size * sizeof *old.entries);
        s->refcount_table.size = (uint32_t)table_size;
    }
    int result = 0;
    for (uint64_t n = 0; n < blocks && result == 0; n++)
        result = prepare_block(s, range + n, (start + n) << s->cluster_bits);
    for (uint64_t n = 0; n < blocks + table_clusters + count && result == 0; n++)
        result = qcow2_refcount_set(s, start + n, 1);
    if (result == 0 && table_clusters) {
        /* The blocks the new table names are on disk before it is, and it before the header. */
        s->refcount_table.offset = (start + blocks) << s->cluster_bits;
        uint64_t be_offset = GUINT64_TO_BE(s->refcount_table.offset);
        uint32_t be_clusters = GUINT32_TO_BE((uint32_t)table_clusters);
        uint8_t fields[12];
        memcpy(fields, &be_offset, 8);
        memcpy(fields + 8, &be_clusters, 4);
        result = qcow2_cache_writeback(s->refcount_cache);
        if (result == 0)
            result = qcow2_write_table(s->file, s->refcount_table.offset, s->refcount_table.entries,
                                       s->refcount_table.size);
        if (result == 0)
            result = block_file_sync(s->file);
        if (result == 0)
            result = block_file_write(s->file, 48, fields, sizeof fields);
        if (result == 0)
            result = block_file_sync(s->file);
    }
    if (result) {
        qcow2_cache_forget(s->refcount_cache, start << s->cluster_bits, blocks << s->cluster_bits);
        if (table_clusters) {
            g_free(s->refcount_table.entries);
            s->refcount_table = old;
        } else {
            for (uint64_t n = 0; n < blocks; n++)
                s->refcount_table.entries[range + n] = 0;
        }
        return result;
    }
    note_used(s, start + blocks + table_clusters + count);
    if (table_clusters) {
        s->refcount_table.dirty_first = s->refcount_table.dirty_end = 0;
        g_free(old.entries);
        qcow2_free_later(s, old.offset, (uint64_t)old.size * 8, false);
    }
    *offset = (start + blocks + table_clusters) << s->cluster_bits;
    return 0;
}

/* ---- taking clusters ---- */

/* Takes [CLUSTER, CLUSTER+COUNT), known to be free. */
static int take(Qcow2 *s, uint64_t cluster, uint64_t count)
{
    uint64_t offset = cluster << s->cluster_bits, length = count << s->cluster_bits;

    if (qcow2_overlaps_metadata(s, offset, length))
        return qcow2_mark_corrupt(s, "a table lies in clusters that count as free");
    int result = qcow2_refcount_add(s, cluster, count, 1);
    if (result == 0)
        note_used(s, cluster + count);
    return result;
}

/* Finds the first COUNT free clusters in a row, or with AT_LEAST_ONE as many of them as there are,
 * within the range of one refcount block. */
static int find_free(Qcow2 *s, uint64_t wanted, bool at_least_one, uint64_t *cluster,
                     uint64_t *count)
{
    uint64_t run = 0, at = s->free_hint;
    bool first = true;

    for (;; at++) {
        uint64_t block, refcount;
        int result = find_block(s, at, &block);
        if (result)
            return result;
        if (!block) {
            if (at >> s->block_bits >= s->refcount_table.size) {
                s->free_hint = first ? at : s->free_hint;
                return ENOENT;
            }
            if ((result = make_block(s, at >> s->block_bits)) != 0)
                return result;
        }
        if ((result = qcow2_refcount_get(s, at, &refcount)) != 0)
            return result;
        if ((at & (clusters_per_block(s) - 1)) == 0 && run > 0 && at_least_one)
            break;
        if (refcount == 0) {
            if (first)
                s->free_hint = at;
            first = false;
            if (++run == wanted) {
                at++;
                break;
            }
        } else if (run > 0 && at_least_one) {
            break;
        } else {
            run = 0;
        }
    }
    *cluster = at - run;
    *count = run;
    return 0;
}

int qcow2_alloc(Qcow2 *s, uint64_t wanted, uint64_t *offset, uint64_t *count, bool *fresh)
{
    uint64_t cluster;
    int result = find_free(s, wanted, true, &cluster, count);

    if (result == ENOENT) {
        /* The refcount table is full: any area brings a longer one. */
        *count = 1;
        result = alloc_area(s, 1, offset);
        if (fresh)
            *fresh = false;
        return result;
    }
    if (result)
        return result;
    if (fresh)
        *fresh = cluster >= s->fresh && !s->file->is_device;
    if ((cluster + *count) > MAX_CLUSTER_OFFSET >> s->cluster_bits)
        return EFBIG;
    result = take(s, cluster, *count);
    if (result)
        return result;
    if (s->free_hint == cluster)
        s->free_hint = cluster + *count;
    *offset = cluster << s->cluster_bits;
    return 0;
}

int qcow2_alloc_exact(Qcow2 *s, uint64_t count, uint64_t *offset)
{
    uint64_t cluster, found;
    int result = ENOENT;

    if (count < clusters_per_block(s))
        result = find_free(s, count, false, &cluster, &found);
    if (result == ENOENT)
        return alloc_area(s, count, offset);
    if (result == 0)
        result = take(s, cluster, count);
    *offset = result ? 0 : cluster << s->cluster_bits;
    return result;
}

int qcow2_alloc_bytes(Qcow2 *s, uint32_t length, uint64_t *offset)
{
    uint64_t end = s->compressed_end, refcount = UINT64_MAX, cluster_end, next, count;
    int result = 0;

    if (end & (s->cluster_size - 1))
        result = qcow2_refcount_get(s, qcow2_cluster_of(s, end), &refcount);
    else
        end = 0;
    if (result)
        return result;
    if (end && refcount >= qcow2_refcount_max(s))
        end = 0; /* cannot be shared any further */
    cluster_end = (qcow2_cluster_of(s, end) + 1) << s->cluster_bits;
    if (!end || length > cluster_end - end) {
        result = qcow2_alloc(s, 1, &next, &count, NULL);
        if (result)
            return result;
        if (!end || next != cluster_end)
            end = next;
    }
    /* The cluster that was there before gets one more reference. */
    if (end & (s->cluster_size - 1)) {
        result = qcow2_refcount_add(s, qcow2_cluster_of(s, end), 1, 1);
        if (result)
            return result;
    }
    *offset = end;
    s->compressed_end = end + length;
    return 0;
}

/* ---- freeing clusters ---- */

void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t length, bool punch)
{
    uint64_t first = qcow2_cluster_of(s, offset);
    Qcow2Free free = {first, (uint32_t)(qcow2_clusters(s, offset + length) - first), punch};

    if (s->frees->len > 0) {
        Qcow2Free *last = &g_array_index(s->frees, Qcow2Free, s->frees->len - 1);
        if (last->cluster + last->count == free.cluster && last->punch == punch &&
            last->count < G_MAXINT32) {
            last->count += free.count;
            return;
        }
    }
    g_array_append_val(s->frees, free);
}

static int drop_reference(Qcow2 *s, uint64_t cluster, bool punch)
{
    uint64_t refcount, offset = cluster << s->cluster_bits;
    int result = qcow2_refcount_get(s, cluster, &refcount);

    if (result)
        return result;
    if (refcount == 0)
        return qcow2_mark_corrupt(s, "a cluster in use counts as free");
    result = qcow2_refcount_set(s, cluster, refcount - 1);
    if (result || refcount > 1)
        return result;
    s->free_hint = MIN(s->free_hint, cluster);
    if (s->compressed_end && qcow2_cluster_of(s, s->compressed_end) == cluster)
        s->compressed_end = 0;
    qcow2_cache_forget(s->l2_cache, offset, s->cluster_size);
    qcow2_cache_forget(s->refcount_cache, offset, s->cluster_size);
    g_mutex_lock(&s->inflate_lock);
    s->inflated_entry = 0;
    g_mutex_unlock(&s->inflate_lock);
    if (punch)
        block_file_punch(s->file, offset, s->cluster_size); /* a wish, not a promise */
    return 0;
}

void qcow2_free_now(Qcow2 *s, uint64_t offset, uint64_t length)
{
    for (uint64_t at = qcow2_cluster_of(s, offset); at < qcow2_clusters(s, offset + length); at++)
        drop_reference(s, at, false);
}

int qcow2_apply_frees(Qcow2 *s)
{
    int result = 0;

    for (guint i = 0; i < s->frees->len; i++) {
        const Qcow2Free *free = &g_array_index(s->frees, Qcow2Free, i);
        for (uint32_t n = 0; n < free->count; n++) {
            int one = drop_reference(s, free->cluster + n, free->punch);
            result = result ? result : one;
        }
    }
    g_array_set_size(s->frees, 0);
    return result;
}
