/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Checking and repairing: every table is read, the references to each host cluster are counted, and
 * the counts compared with the refcounts on disk. All of it is hostile input: offsets are only
 * followed inside the file, and nothing recurses.
 */

#define G_LOG_DOMAIN "apiary-block"

#include "core/block/check.h"
#include "core/block/qcow2-internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/mman.h>

/* Of the counters, in address space; memory is used only where there is something to count. */
#define MAX_COUNTER_BYTES    (UINT64_C(64) << 30)
/* L1 entries of all snapshots together. */
#define MAX_SNAPSHOT_ENTRIES (UINT64_C(1) << 26)
#define MAX_BITMAP_TABLE     (32u * 1024 * 1024 / 8)

typedef struct {
    Qcow2 *s;
    BlockCheck *out;
    BlockCheckFix fix;
    BlockCheckReport report;
    void *opaque;
    bool quiet;   /* the second count of a rebuild says nothing again */
    bool rebuild; /* the refcount structure itself is unusable */
    uint32_t *counts;
    uint64_t n_clusters;
    uint64_t l2_read;   /* tables visited, to notice when the work gets out of hand */
    uint64_t unfixable; /* faults not repaired so far */
    uint64_t pending;   /* those of them that a rebuild repairs */
} Check;

G_GNUC_PRINTF(2, 3)
static void say(Check *c, const char *format, ...)
{
    va_list arguments;

    if (!c->report || c->quiet)
        return;
    va_start(arguments, format);
    g_autofree char *line = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    c->report(c->opaque, line);
}

static void corruption(Check *c)
{
    if (c->quiet)
        return;
    c->out->corruptions++;
    c->unfixable++;
}

static void fixed(Check *c)
{
    c->out->corruptions_fixed++;
    c->unfixable--;
}

/* ---- counting ---- */

/* False if the region is not in the file. */
static bool mark(Check *c, uint64_t offset, uint64_t length)
{
    const Qcow2 *s = c->s;

    if (length == 0)
        return true;
    uint64_t first = qcow2_cluster_of(s, offset);
    if (offset > MAX_CLUSTER_OFFSET || length > MAX_CLUSTER_OFFSET ||
        qcow2_cluster_of(s, offset + length - 1) >= c->n_clusters) {
        say(c,
            "ERROR: counting reference for region exceeding the end of the file by one cluster or "
            "more: offset 0x%" G_GINT64_MODIFIER "x size 0x%" G_GINT64_MODIFIER "x",
            offset, length);
        corruption(c);
        return false;
    }
    for (uint64_t n = first; n <= qcow2_cluster_of(s, offset + length - 1); n++)
        if (c->counts[n] < UINT32_MAX)
            c->counts[n]++;
    return true;
}

static void count_l2_entry(Check *c, uint64_t entry, bool active, uint64_t *next)
{
    Qcow2 *s = c->s;
    uint64_t offset = entry & ENTRY_OFFSET;
    uint32_t length;

    if (entry & ENTRY_COMPRESSED) {
        if (active && !c->quiet) {
            c->out->allocated_clusters++;
            c->out->compressed_clusters++;
            c->out->fragmented_clusters++;
        }
        qcow2_compressed_extent(s, entry, &offset, &length);
        mark(c, offset, length);
        return;
    }
    if (offset == 0)
        return;
    if (offset & (s->cluster_size - 1)) {
        say(c,
            "ERROR offset=%" G_GINT64_MODIFIER "x: Cluster is not properly aligned; L2 entry "
            "corrupted.",
            offset);
        corruption(c);
        return;
    }
    if (active && !c->quiet) {
        c->out->allocated_clusters++;
        if (*next && *next != offset)
            c->out->fragmented_clusters++;
        *next = offset + s->cluster_size;
    }
    mark(c, offset, s->cluster_size);
}

static int read_l2(Check *c, uint64_t offset, uint64_t *table)
{
    return qcow2_read_table(c->s->file, offset, table, 1u << c->s->l2_bits);
}

static int count_l1(Check *c, const uint64_t *l1, uint32_t size, bool active)
{
    Qcow2 *s = c->s;
    g_autofree uint64_t *l2 = g_malloc(s->cluster_size);

    for (uint32_t i = 0; i < size; i++) {
        uint64_t offset = l1[i] & ENTRY_OFFSET, next = 0;
        if (offset == 0)
            continue;
        if (offset & (s->cluster_size - 1)) {
            say(c,
                "ERROR l2_offset=%" G_GINT64_MODIFIER "x: Table is not cluster aligned; L1 entry "
                "corrupted",
                offset);
            corruption(c);
            continue;
        }
        if (!mark(c, offset, s->cluster_size))
            continue;
        if (++c->l2_read > 64 * c->n_clusters + 1000000)
            return E2BIG;
        int result = read_l2(c, offset, l2);
        if (result)
            return result;
        for (uint32_t n = 0; n < 1u << s->l2_bits; n++)
            if (l2[n])
                count_l2_entry(c, l2[n], active, &next);
    }
    return 0;
}

static int count_snapshots(Check *c)
{
    Qcow2 *s = c->s;
    uint64_t total = 0;
    int result = 0;

    if (s->n_snapshots > 0)
        mark(c, s->snapshots_offset, s->snapshots_bytes);
    for (uint32_t i = 0; i < s->n_snapshots && result == 0; i++) {
        const Qcow2Snapshot *snapshot = &s->snapshots[i];
        if (snapshot->l1_size > MAX_L1_BYTES / 8 || snapshot->l1_offset & (s->cluster_size - 1)) {
            say(c, "ERROR snapshot %s (%s): its L1 table is invalid", snapshot->id, snapshot->name);
            corruption(c);
            continue;
        }
        total += snapshot->l1_size;
        if (total > MAX_SNAPSHOT_ENTRIES)
            return E2BIG;
        if (!mark(c, snapshot->l1_offset, (uint64_t)snapshot->l1_size * 8))
            continue;
        g_autofree uint64_t *l1 = g_new0(uint64_t, MAX(snapshot->l1_size, 1));
        result = qcow2_read_table(s->file, snapshot->l1_offset, l1, snapshot->l1_size);
        if (result == 0)
            result = count_l1(c, l1, snapshot->l1_size, false);
    }
    return result;
}

/* Persistent dirty bitmaps (qcow2.txt, "Bitmaps"), which count only while they are valid. */
static int count_bitmaps(Check *c)
{
    Qcow2 *s = c->s;
    uint64_t at = 0, size = s->bitmap_directory_size;

    if (!(s->autoclear & AUTOCLEAR_BITMAPS) || s->n_bitmaps == 0)
        return 0;
    if (size > MAX_SNAPSHOTS_BYTES || !mark(c, s->bitmap_directory, size))
        return 0;
    g_autofree uint8_t *directory = g_malloc0(size + 24);
    int result = block_file_read(s->file, s->bitmap_directory, directory, size);
    for (uint32_t i = 0; i < s->n_bitmaps && at + 24 <= size && result == 0; i++) {
        uint64_t be_offset;
        uint32_t be_size, be_extra;
        uint16_t be_name;
        memcpy(&be_offset, directory + at, 8);
        memcpy(&be_size, directory + at + 8, 4);
        memcpy(&be_name, directory + at + 18, 2);
        memcpy(&be_extra, directory + at + 20, 4);
        uint64_t offset = GUINT64_FROM_BE(be_offset);
        uint32_t entries = GUINT32_FROM_BE(be_size);
        at += (24 + (uint64_t)GUINT16_FROM_BE(be_name) + GUINT32_FROM_BE(be_extra) + 7) & ~7ull;
        if (entries > MAX_BITMAP_TABLE || !mark(c, offset, (uint64_t)entries * 8))
            continue;
        g_autofree uint64_t *table = g_new0(uint64_t, MAX(entries, 1));
        result = qcow2_read_table(s->file, offset, table, entries);
        for (uint32_t n = 0; n < entries && result == 0; n++)
            if (table[n] & ENTRY_OFFSET)
                mark(c, table[n] & ENTRY_OFFSET, s->cluster_size);
    }
    return result;
}

static void count_refcount_blocks(Check *c)
{
    Qcow2 *s = c->s;

    mark(c, s->refcount_table.offset, (uint64_t)s->refcount_table.size * 8);
    for (uint32_t i = 0; i < s->refcount_table.size; i++) {
        uint64_t offset = s->refcount_table.entries[i] & REFTABLE_OFFSET;
        const char *fault = NULL;
        if (offset == 0)
            continue;
        if (offset & (s->cluster_size - 1))
            fault = "is not cluster aligned; refcount table entry corrupted";
        else if (qcow2_cluster_of(s, offset) >= c->n_clusters)
            fault = "is outside image";
        else if (mark(c, offset, s->cluster_size) && c->counts[qcow2_cluster_of(s, offset)] != 1)
            fault = "is used for something else as well";
        if (!fault)
            continue;
        say(c, "ERROR refcount block %u %s", i, fault);
        corruption(c);
        c->pending++;
        c->rebuild = true;
        if (offset & (s->cluster_size - 1) || qcow2_cluster_of(s, offset) >= c->n_clusters)
            s->refcount_table.entries[i] = 0; /* in memory: counts as empty below */
    }
}

static int count_all(Check *c, bool with_refcounts)
{
    Qcow2 *s = c->s;

    mark(c, 0, s->cluster_size);
    mark(c, s->l1.offset, (uint64_t)s->l1.size * 8);
    int result = count_l1(c, s->l1.entries, s->l1.size, true);
    if (result == 0)
        result = count_snapshots(c);
    if (result == 0)
        result = count_bitmaps(c);
    if (result == 0 && with_refcounts)
        count_refcount_blocks(c);
    return result;
}

/* ---- comparing ---- */

static int compare(Check *c)
{
    Qcow2 *s = c->s;
    uint64_t highest = 0;

    for (uint64_t n = 0; n < c->n_clusters; n++) {
        uint64_t refcount;
        int result = qcow2_refcount_get(s, n, &refcount);
        if (result)
            return result;
        if (refcount > 0 || c->counts[n] > 0)
            highest = n;
        if (refcount == c->counts[n])
            continue;
        bool leak = refcount > c->counts[n];
        bool repair = c->fix == BLOCK_CHECK_FIX_ALL || (leak && c->fix == BLOCK_CHECK_FIX_LEAKS);
        say(c, "%s cluster %" G_GUINT64_FORMAT " refcount=%" G_GUINT64_FORMAT " reference=%u",
            repair ? "Repairing"
            : leak ? "Leaked"
                   : "ERROR",
            n, refcount, c->counts[n]);
        if (leak)
            c->out->leaks++;
        else
            corruption(c);
        if (!repair)
            continue;
        result = c->rebuild ? ENXIO : qcow2_refcount_set(s, n, c->counts[n]);
        if (result == ENXIO || result == EINVAL) {
            c->rebuild = true;
            c->pending += !leak;
            continue;
        }
        if (result)
            return result;
        if (leak)
            c->out->leaks_fixed++;
        else
            fixed(c);
    }
    c->out->image_end = (highest + 1) << s->cluster_bits;
    return 0;
}

/* ---- the COPIED flags of the active tables ---- */

static int true_refcount(Check *c, uint64_t offset, uint64_t *refcount)
{
    uint64_t cluster = qcow2_cluster_of(c->s, offset);

    if (c->fix != BLOCK_CHECK_FIX_ALL)
        return qcow2_refcount_get(c->s, cluster, refcount);
    *refcount = cluster < c->n_clusters ? c->counts[cluster] : 0;
    return 0;
}

static bool wrong_copied(Check *c, uint64_t *entry, const char *what, int *result)
{
    uint64_t refcount = 0;

    *result = true_refcount(c, *entry & ENTRY_OFFSET, &refcount);
    if (*result || (refcount == 1) == ((*entry & ENTRY_COPIED) != 0))
        return false;
    say(c, "%s OFLAG_COPIED %s: entry=%" G_GINT64_MODIFIER "x refcount=%" G_GUINT64_FORMAT,
        c->fix == BLOCK_CHECK_FIX_ALL ? "Repairing" : "ERROR", what, *entry, refcount);
    *entry ^= ENTRY_COPIED;
    corruption(c);
    return true;
}

static int check_l2_flags(Check *c, uint64_t offset, uint64_t *l2)
{
    Qcow2 *s = c->s;
    uint64_t changed = 0;
    int result = read_l2(c, offset, l2);

    for (uint32_t n = 0; n < 1u << s->l2_bits && result == 0; n++) {
        uint64_t host = l2[n] & ENTRY_OFFSET;
        if (l2[n] & ENTRY_COMPRESSED) {
            if (!(l2[n] & ENTRY_COPIED))
                continue;
            say(c,
                "ERROR: entry=%" G_GINT64_MODIFIER "x: copied flag must never be set for "
                "compressed clusters",
                l2[n]);
            l2[n] &= ~ENTRY_COPIED;
            corruption(c);
            changed++;
        } else if (host && !(host & (s->cluster_size - 1)) &&
                   wrong_copied(c, &l2[n], "data cluster", &result)) {
            changed++;
        }
    }
    if (result || !changed || c->fix != BLOCK_CHECK_FIX_ALL)
        return result;
    result = qcow2_write_table(s->file, offset, l2, 1u << s->l2_bits);
    for (; result == 0 && changed > 0; changed--)
        fixed(c);
    return result;
}

static int check_flags(Check *c)
{
    Qcow2 *s = c->s;
    g_autofree uint64_t *l2 = g_malloc(s->cluster_size);
    uint64_t changed = 0;
    int result = 0;

    for (uint32_t i = 0; i < s->l1.size && result == 0; i++) {
        uint64_t offset = s->l1.entries[i] & ENTRY_OFFSET;
        if (offset == 0 || offset & (s->cluster_size - 1) ||
            qcow2_cluster_of(s, offset) >= c->n_clusters)
            continue;
        if (wrong_copied(c, &s->l1.entries[i], "L2 cluster", &result))
            changed++;
        if (result == 0)
            result = check_l2_flags(c, offset, l2);
    }
    if (result || !changed || c->fix != BLOCK_CHECK_FIX_ALL)
        return result;
    result = qcow2_write_table(s->file, s->l1.offset, s->l1.entries, s->l1.size);
    for (; result == 0 && changed > 0; changed--)
        fixed(c);
    return result;
}

/* ---- a new refcount structure ---- */

static void put_refcount(const Qcow2 *s, uint8_t *block, uint64_t index, uint64_t refcount)
{
    uint64_t bit = index << s->refcount_order;

    if (s->refcount_order < 3) {
        block[bit >> 3] |= (uint8_t)(refcount << (bit & 7));
        return;
    }
    for (unsigned n = 1u << (s->refcount_order - 3); n-- > 0; refcount >>= 8)
        block[(bit >> 3) + n] = (uint8_t)refcount;
}

static uint64_t new_count(const Check *c, uint64_t cluster, uint64_t end)
{
    return cluster < c->n_clusters ? c->counts[cluster] : cluster < end;
}

static bool range_is_used(const Check *c, uint64_t range, uint64_t end)
{
    uint64_t per_block = UINT64_C(1) << c->s->block_bits;

    for (uint64_t n = range * per_block; n < (range + 1) * per_block && n < end; n++)
        if (new_count(c, n, end))
            return true;
    return false;
}

/* Writes a table and blocks behind the end of the file, and makes the header name them. */
static int rebuild(Check *c)
{
    Qcow2 *s = c->s;
    uint64_t table_clusters = 1, blocks = 0, ranges, end, used;

    memset(c->counts, 0, c->n_clusters * sizeof *c->counts);
    c->quiet = true;
    int result = count_all(c, false);
    c->quiet = false;
    if (result)
        return result;
    for (;;) {
        end = c->n_clusters + table_clusters + blocks;
        ranges = (end + (UINT64_C(1) << s->block_bits) - 1) >> s->block_bits;
        if (ranges * 8 > MAX_REFTABLE_BYTES)
            return EFBIG;
        used = 0;
        for (uint64_t n = 0; n < ranges; n++)
            used += range_is_used(c, n, end);
        if (qcow2_clusters(s, ranges * 8) <= table_clusters && used <= blocks)
            break;
        table_clusters = MAX(table_clusters, qcow2_clusters(s, ranges * 8));
        blocks = MAX(blocks, used);
    }
    uint64_t table_offset = c->n_clusters << s->cluster_bits;
    uint64_t next = table_offset + (table_clusters << s->cluster_bits);
    uint32_t table_size = (uint32_t)(table_clusters << (s->cluster_bits - 3));
    g_autofree uint64_t *table = g_new0(uint64_t, table_size);
    g_autofree uint8_t *block = g_malloc(s->cluster_size);
    for (uint64_t range = 0; range < ranges && result == 0; range++) {
        if (!range_is_used(c, range, end))
            continue;
        memset(block, 0, s->cluster_size);
        for (uint64_t n = 0; n < UINT64_C(1) << s->block_bits; n++) {
            uint64_t count = new_count(c, (range << s->block_bits) + n, end);
            if (count > qcow2_refcount_max(s))
                return EOVERFLOW;
            put_refcount(s, block, n, count);
        }
        table[range] = next;
        result = block_file_write(s->file, next, block, s->cluster_size);
        next += s->cluster_size;
    }
    if (result == 0)
        result = qcow2_write_table(s->file, table_offset, table, table_size);
    if (result == 0)
        result = block_file_sync(s->file);
    uint8_t fields[12];
    uint64_t be_offset = GUINT64_TO_BE(table_offset);
    uint32_t be_clusters = GUINT32_TO_BE((uint32_t)table_clusters);
    memcpy(fields, &be_offset, 8);
    memcpy(fields + 8, &be_clusters, 4);
    if (result == 0)
        result = block_file_write(s->file, 48, fields, sizeof fields);
    return result ? result : block_file_sync(s->file);
}

/* ---- the whole ---- */

static int run_check(Check *c)
{
    Qcow2 *s = c->s;
    int result = count_all(c, true);

    if (result == 0)
        result = compare(c);
    if (result == 0 && c->rebuild && c->fix == BLOCK_CHECK_FIX_ALL) {
        result = rebuild(c);
        if (result == 0) {
            c->out->corruptions_fixed += c->pending;
            c->unfixable -= c->pending;
            c->out->leaks_fixed = c->out->leaks;
            c->out->image_end = c->n_clusters << s->cluster_bits;
        }
    } else if (result == 0 && c->fix != BLOCK_CHECK_FIX_NONE) {
        result = qcow2_cache_writeback(s->refcount_cache);
    }
    if (result == 0 && c->fix == BLOCK_CHECK_FIX_ALL)
        result = block_file_sync(s->file);
    if (result == 0)
        result = check_flags(c);
    if (result == 0 && c->fix != BLOCK_CHECK_FIX_NONE)
        result = block_file_sync(s->file);
    if (result == 0 && c->fix == BLOCK_CHECK_FIX_ALL && c->unfixable == 0 &&
        s->incompatible & (INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT)) {
        s->incompatible &= ~(uint64_t)(INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT);
        result = qcow2_write_features(s);
    }
    return result;
}

bool qcow2_check(BlockNode *node, BlockCheckFix fix, BlockCheck *check, BlockCheckReport report,
                 void *opaque, GError **error)
{
    Qcow2 *s = node->state;
    Check c = {.s = s, .out = check, .fix = fix, .report = report, .opaque = opaque};
    uint64_t size;
    int result = block_file_size(node->file, &size);

    *check = (BlockCheck){.total_clusters = qcow2_clusters(s, node->size)};
    c.n_clusters = MAX(qcow2_clusters(s, size), 1);
    uint64_t bytes = c.n_clusters * sizeof *c.counts;
    void *counts = MAP_FAILED;
    if (result == 0 && bytes <= MAX_COUNTER_BYTES)
        counts = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (result == 0 && counts == MAP_FAILED)
        result = ENOMEM;
    if (result == 0) {
        c.counts = counts;
        result = run_check(&c);
        munmap(counts, bytes);
    }
    if (result)
        g_set_error(
            error, BLOCK_ERROR, result == ENOSPC ? BLOCK_ERROR_NO_SPACE : BLOCK_ERROR_FAILED,
            fix ? _("Cannot repair “%s”: %s.%s") : _("Cannot check “%s”: %s.%s"), node->file->path,
            g_strerror(result),
            result == E2BIG || result == ENOMEM ? _(" Its tables claim too many clusters.") : "");
    return result == 0;
}
