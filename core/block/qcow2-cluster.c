/* SPDX-License-Identifier: GPL-3.0-or-later */

/* From guest clusters to host clusters: the L1 and L2 tables (qcow2.txt, "Cluster mapping"). */

#define G_LOG_DOMAIN "apiary-block"

#include "core/block/qcow2-internal.h"

#include <errno.h>
#include <string.h>

uint64_t qcow2_l1_entries(const Qcow2 *s, uint64_t size)
{
    uint64_t clusters = qcow2_clusters(s, size);
    uint64_t entries = (clusters >> s->l2_bits) + ((clusters & ((1u << s->l2_bits) - 1)) != 0);

    return entries * 8 > MAX_L1_BYTES ? UINT64_MAX : entries;
}

void qcow2_compressed_extent(const Qcow2 *s, uint64_t entry, uint64_t *offset, uint32_t *length)
{
    unsigned size_shift = 62 - (s->cluster_bits - 8);
    uint64_t sectors = (entry >> size_shift) & ((1u << (s->cluster_bits - 8)) - 1);

    *offset = entry & ((UINT64_C(1) << size_shift) - 1);
    *length = (uint32_t)((sectors + 1) * 512 - (*offset & 511));
}

int qcow2_decode(Qcow2 *s, uint64_t entry, Qcow2Mapping *mapping)
{
    uint32_t length;

    *mapping = (Qcow2Mapping){.entry = entry, .count = 1, .copied = entry & ENTRY_COPIED};
    if (entry & ENTRY_COMPRESSED) {
        mapping->type = CLUSTER_COMPRESSED;
        qcow2_compressed_extent(s, entry, &mapping->host, &length);
        if (mapping->host < s->cluster_size || mapping->host > MAX_CLUSTER_OFFSET)
            return qcow2_mark_corrupt(s, "a compressed cluster is outside the file");
        return 0;
    }
    mapping->host = entry & ENTRY_OFFSET;
    if (entry & ENTRY_ZERO && s->version >= 3)
        mapping->type = mapping->host ? CLUSTER_ZERO_ALLOC : CLUSTER_ZERO;
    else
        mapping->type = mapping->host ? CLUSTER_NORMAL : CLUSTER_UNALLOCATED;
    if (mapping->host & (s->cluster_size - 1))
        return qcow2_mark_corrupt(s, "a data cluster is not where a cluster begins");
    return 0;
}

static bool has_host(Qcow2ClusterType type)
{
    return type == CLUSTER_NORMAL || type == CLUSTER_ZERO_ALLOC;
}

/* The L2 table for guest cluster INDEX; *OFFSET 0 if there is none. */
static int find_l2(Qcow2 *s, uint64_t index, uint64_t *offset, bool *copied)
{
    uint64_t l1_index = index >> s->l2_bits;

    *offset = 0;
    *copied = false;
    if (l1_index >= s->l1.size)
        return 0;
    uint64_t entry = s->l1.entries[l1_index];
    *offset = entry & ENTRY_OFFSET;
    *copied = entry & ENTRY_COPIED;
    if (*offset & (s->cluster_size - 1))
        return qcow2_mark_corrupt(s, "an L2 table is not where a cluster begins");
    return 0;
}

static uint64_t entries_per_l2(const Qcow2 *s)
{
    return UINT64_C(1) << s->l2_bits;
}

int qcow2_map(Qcow2 *s, uint64_t index, uint64_t wanted, Qcow2Mapping *mapping)
{
    uint64_t table, raw[64];
    uint64_t in_table = index & (entries_per_l2(s) - 1);
    bool copied;
    int result = find_l2(s, index, &table, &copied);

    wanted = MIN(wanted, entries_per_l2(s) - in_table);
    if (result)
        return result;
    if (!table) {
        *mapping = (Qcow2Mapping){.type = CLUSTER_UNALLOCATED, .count = wanted};
        return 0;
    }
    uint64_t at = table + in_table * 8, done = 0;
    uint32_t page = qcow2_cache_page_size(s->l2_cache);
    while (done < wanted) {
        uint64_t n = MIN(MIN(wanted - done, G_N_ELEMENTS(raw)), (page - at % page) / 8);
        result = qcow2_cache_read(s->l2_cache, at, raw, (uint32_t)n * 8);
        if (result)
            return result;
        for (uint64_t i = 0; i < n; i++) {
            Qcow2Mapping next;
            result = qcow2_decode(s, GUINT64_FROM_BE(raw[i]), &next);
            if (result)
                return done + i > 0 ? 0 : result;
            if (done + i == 0) {
                *mapping = next;
                continue;
            }
            if (next.type != mapping->type || next.copied != mapping->copied ||
                next.type == CLUSTER_COMPRESSED ||
                (has_host(next.type) &&
                 next.host != mapping->host + (mapping->count << s->cluster_bits)))
                return 0;
            mapping->count++;
        }
        done += n;
        at += n * 8;
    }
    return 0;
}

static int copy_l2(Qcow2 *s, uint64_t from, uint64_t to)
{
    g_autofree uint8_t *table = g_malloc(s->cluster_size);
    uint32_t page = qcow2_cache_page_size(s->l2_cache);

    for (uint32_t at = 0; at < s->cluster_size; at += page) {
        int result = qcow2_cache_read(s->l2_cache, from + at, table + at, page);
        if (result)
            return result;
    }
    return block_file_write(s->file, to, table, s->cluster_size);
}

int qcow2_make_l2(Qcow2 *s, uint64_t index)
{
    uint64_t old, new_table, count, l1_index = index >> s->l2_bits;
    bool copied;
    int result = find_l2(s, index, &old, &copied);

    if (result || (old && copied))
        return result;
    if (l1_index >= s->l1.size)
        return EIO;
    result = qcow2_alloc(s, 1, &new_table, &count, NULL);
    if (result)
        return result;
    qcow2_cache_forget(s->l2_cache, new_table, s->cluster_size);
    result =
        old ? copy_l2(s, old, new_table) : block_file_zero(s->file, new_table, s->cluster_size);
    if (result) {
        qcow2_free_now(s, new_table, s->cluster_size);
        return result;
    }
    s->l1.entries[l1_index] = new_table | ENTRY_COPIED;
    qcow2_table_touch(&s->l1, (uint32_t)l1_index);
    if (old)
        qcow2_free_later(s, old, s->cluster_size, false);
    return 0;
}

int qcow2_link(Qcow2 *s, uint64_t index, uint64_t count, uint64_t entry, uint64_t step, bool punch)
{
    for (uint64_t n = 0; n < count; n++, entry += step) {
        uint64_t table, raw, in_table = (index + n) & (entries_per_l2(s) - 1);
        Qcow2Mapping old;
        bool copied;
        int result = find_l2(s, index + n, &table, &copied);
        if (result == 0 && !(table && copied))
            result = EIO;
        if (result == 0)
            result = qcow2_cache_read(s->l2_cache, table + in_table * 8, &raw, 8);
        if (result == 0)
            result = qcow2_decode(s, GUINT64_FROM_BE(raw), &old);
        if (result)
            return result;
        if (old.entry == entry)
            continue;
        uint64_t be = GUINT64_TO_BE(entry);
        result = qcow2_cache_write(s->l2_cache, table + in_table * 8, &be, 8);
        if (result)
            return result;
        if (old.type == CLUSTER_COMPRESSED) {
            uint64_t offset;
            uint32_t length;
            qcow2_compressed_extent(s, old.entry, &offset, &length);
            qcow2_free_later(s, offset, length, false);
        } else if (old.host && old.host != (entry & ENTRY_OFFSET)) {
            qcow2_free_later(s, old.host, s->cluster_size, punch);
        }
    }
    return 0;
}

int qcow2_grow_l1(Qcow2 *s, uint32_t size)
{
    Qcow2Table old = s->l1, grown = {.size = size};
    uint8_t fields[12];

    if (size <= old.size)
        return 0;
    int result = qcow2_alloc_exact(s, qcow2_clusters(s, (uint64_t)size * 8), &grown.offset);
    if (result)
        return result;
    grown.entries = g_new0(uint64_t, size);
    memcpy(grown.entries, old.entries, old.size * sizeof *old.entries);
    /* Everything the new table refers to is on disk first. */
    result = qcow2_flush_locked(s);
    if (result == 0)
        result = qcow2_write_table(s->file, grown.offset, grown.entries, size);
    if (result == 0)
        result = block_file_sync(s->file);
    uint32_t be_size = GUINT32_TO_BE(size);
    uint64_t be_offset = GUINT64_TO_BE(grown.offset);
    memcpy(fields, &be_size, 4);
    memcpy(fields + 4, &be_offset, 8);
    if (result == 0)
        result = block_file_write(s->file, 36, fields, sizeof fields);
    if (result == 0)
        result = block_file_sync(s->file);
    if (result) {
        g_free(grown.entries);
        qcow2_free_now(s, grown.offset, (uint64_t)size * 8);
        return result;
    }
    g_free(old.entries);
    s->l1 = grown;
    qcow2_free_later(s, old.offset, (uint64_t)old.size * 8, false);
    return 0;
}
