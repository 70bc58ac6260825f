/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Internal snapshots (qcow2.txt, "Snapshots"). */

#define G_LOG_DOMAIN "apiary-block"

#include "core/block/qcow2-internal.h"
#include "core/block/snapshot.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

#define FIXED_LENGTH 40u
#define MAX_EXTRA    1024u

static uint64_t get(const uint8_t *p, unsigned width)
{
    uint64_t value = 0;

    while (width-- > 0)
        value = value << 8 | *p++;
    return value;
}

static bool refuse_table(Qcow2 *s, GError **error)
{
    g_set_error(
        error, BLOCK_ERROR, BLOCK_ERROR_FORMAT,
        _("“%s” is not a sound qcow2 image: its snapshot table is damaged. Use a backup, or "
          "try “qemu-img check”."),
        s->file->path);
    return false;
}

void qcow2_snapshots_clear(Qcow2 *s)
{
    for (uint32_t i = 0; s->snapshots && i < s->n_snapshots; i++) {
        g_free(s->snapshots[i].id);
        g_free(s->snapshots[i].name);
        g_clear_pointer(&s->snapshots[i].extra, g_bytes_unref);
    }
    g_clear_pointer(&s->snapshots, g_free);
}

bool qcow2_snapshots_load(Qcow2 *s, GError **error)
{
    uint64_t at = s->snapshots_offset, file_size;

    s->snapshots = g_new0(Qcow2Snapshot, MAX(s->n_snapshots, 1));
    if (block_file_size(s->file, &file_size) != 0)
        return refuse_table(s, error);
    for (uint32_t i = 0; i < s->n_snapshots; i++) {
        Qcow2Snapshot *snapshot = &s->snapshots[i];
        uint8_t fixed[FIXED_LENGTH];
        if (at >= file_size || at - s->snapshots_offset > MAX_SNAPSHOTS_BYTES ||
            block_file_read(s->file, at, fixed, sizeof fixed) != 0)
            return refuse_table(s, error);
        uint32_t id_length = (uint32_t)get(fixed + 12, 2);
        uint32_t name_length = (uint32_t)get(fixed + 14, 2);
        uint32_t extra_length = (uint32_t)get(fixed + 36, 4);
        if (extra_length > MAX_EXTRA)
            return refuse_table(s, error);
        uint32_t rest_length = extra_length + id_length + name_length;
        g_autofree uint8_t *rest = g_malloc0(rest_length + 24);
        if (block_file_read(s->file, at + FIXED_LENGTH, rest, rest_length) != 0)
            return refuse_table(s, error);
        snapshot->l1_offset = get(fixed, 8);
        snapshot->l1_size = (uint32_t)get(fixed + 8, 4);
        snapshot->seconds = (uint32_t)get(fixed + 16, 4);
        snapshot->nanoseconds = (uint32_t)get(fixed + 20, 4);
        snapshot->vm_clock = get(fixed + 24, 8);
        snapshot->vm_state_size = extra_length >= 8 ? get(rest, 8) : get(fixed + 32, 4);
        snapshot->disk_size = extra_length >= 16 ? get(rest + 8, 8) : s->node->size;
        snapshot->icount = extra_length >= 24 ? get(rest + 16, 8) : UINT64_MAX;
        if (extra_length > 24)
            snapshot->extra = g_bytes_new(rest + 24, extra_length - 24);
        snapshot->id = g_strndup((char *)rest + extra_length, id_length);
        snapshot->name = g_strndup((char *)rest + extra_length + id_length, name_length);
        at += (FIXED_LENGTH + rest_length + 7) & ~7u;
    }
    s->snapshots_bytes = at - s->snapshots_offset;
    return true;
}

/* ---- writing the table ---- */

static void put(GByteArray *out, uint64_t value, unsigned width)
{
    while (width-- > 0) {
        uint8_t byte = (uint8_t)(value >> (8 * width));
        g_byte_array_append(out, &byte, 1);
    }
}

static void put_snapshot(GByteArray *out, const Qcow2Snapshot *snapshot)
{
    gsize extra_length = snapshot->extra ? g_bytes_get_size(snapshot->extra) : 0;
    static const uint8_t padding[8];

    put(out, snapshot->l1_offset, 8);
    put(out, snapshot->l1_size, 4);
    put(out, strlen(snapshot->id), 2);
    put(out, strlen(snapshot->name), 2);
    put(out, snapshot->seconds, 4);
    put(out, snapshot->nanoseconds, 4);
    put(out, snapshot->vm_clock, 8);
    put(out, snapshot->vm_state_size > UINT32_MAX ? 0 : snapshot->vm_state_size, 4);
    put(out, 24 + extra_length, 4);
    put(out, snapshot->vm_state_size, 8);
    put(out, snapshot->disk_size, 8);
    put(out, snapshot->icount, 8);
    if (extra_length)
        g_byte_array_append(out, g_bytes_get_data(snapshot->extra, NULL), (guint)extra_length);
    g_byte_array_append(out, (uint8_t *)snapshot->id, (guint)strlen(snapshot->id));
    g_byte_array_append(out, (uint8_t *)snapshot->name, (guint)strlen(snapshot->name));
    g_byte_array_append(out, padding, -out->len & 7);
}

/* Puts N snapshots in the place of the table on disk; the old table is freed. */
static int write_snapshots(Qcow2 *s, const Qcow2Snapshot *snapshots, uint32_t n)
{
    g_autoptr(GByteArray) table = g_byte_array_new();
    g_autoptr(GByteArray) header = g_byte_array_new();
    uint64_t offset = 0;
    int result = 0;

    for (uint32_t i = 0; i < n; i++)
        put_snapshot(table, &snapshots[i]);
    if (n > MAX_SNAPSHOTS || table->len > MAX_SNAPSHOTS_BYTES)
        return EFBIG;
    if (table->len > 0)
        result = qcow2_alloc_exact(s, qcow2_clusters(s, table->len), &offset);
    if (result == 0 && table->len > 0)
        result = block_file_write(s->file, offset, table->data, table->len);
    if (result == 0)
        result = qcow2_flush_locked(s);
    put(header, n, 4);
    put(header, offset, 8);
    if (result == 0)
        result = block_file_write(s->file, 60, header->data, header->len);
    if (result == 0)
        result = block_file_sync(s->file);
    if (result)
        return result;
    if (s->snapshots_bytes)
        qcow2_free_later(s, s->snapshots_offset, s->snapshots_bytes, false);
    s->snapshots_offset = offset;
    s->snapshots_bytes = table->len;
    return 0;
}

/* ---- the references of an L1 table ---- */

/* A hostile table may name what is not there; the caller's work on it ends then. */
typedef int (*ReferenceFunc)(Qcow2 *s, uint64_t offset, uint64_t length, void *opaque);

static int walk_l2(Qcow2 *s, uint64_t table, ReferenceFunc func, void *opaque)
{
    for (uint32_t at = 0; at < s->cluster_size; at += 8) {
        Qcow2Mapping mapping;
        uint64_t be, offset, length = s->cluster_size;
        int result = qcow2_cache_read(s->l2_cache, table + at, &be, 8);
        if (result == 0 && be == 0)
            continue;
        if (result == 0)
            result = qcow2_decode(s, GUINT64_FROM_BE(be), &mapping);
        if (result)
            return result;
        offset = mapping.host;
        if (mapping.type == CLUSTER_COMPRESSED) {
            uint32_t packed;
            qcow2_compressed_extent(s, mapping.entry, &offset, &packed);
            length = packed;
        }
        if (offset)
            result = func(s, offset, length, opaque);
        if (result)
            return result;
    }
    return 0;
}

/* FUNC for all clusters that L1 leads to, its L2 tables among them. */
static int walk_l1(Qcow2 *s, const uint64_t *l1, uint32_t size, ReferenceFunc func, void *opaque)
{
    for (uint32_t i = 0; i < size; i++) {
        uint64_t table = l1[i] & ENTRY_OFFSET;
        if (!table)
            continue;
        if (table & (s->cluster_size - 1))
            return qcow2_mark_corrupt(s, "an L2 table is not where a cluster begins");
        int result = walk_l2(s, table, func, opaque);
        if (result == 0)
            result = func(s, table, s->cluster_size, opaque);
        if (result)
            return result;
    }
    return 0;
}

static int check_room(Qcow2 *s, uint64_t offset, uint64_t length, void *opaque)
{
    for (uint64_t n = qcow2_cluster_of(s, offset); n < qcow2_clusters(s, offset + length); n++) {
        uint64_t refcount;
        int result = qcow2_refcount_get(s, n, &refcount);
        if (result)
            return result;
        if (refcount == 0)
            return qcow2_mark_corrupt(s, "a cluster in use counts as free");
        if (refcount == qcow2_refcount_max(s))
            return EOVERFLOW;
    }
    return 0;
}

static int add_reference(Qcow2 *s, uint64_t offset, uint64_t length, void *opaque)
{
    uint64_t first = qcow2_cluster_of(s, offset);

    if (qcow2_cache_is_crowded(s->refcount_cache)) {
        int result = qcow2_cache_writeback(s->refcount_cache);
        if (result)
            return result;
    }
    return qcow2_refcount_add(s, first, qcow2_clusters(s, offset + length) - first, 1);
}

static int drop_reference(Qcow2 *s, uint64_t offset, uint64_t length, void *opaque)
{
    if (qcow2_cache_is_crowded(s->refcount_cache)) {
        int result = qcow2_cache_writeback(s->refcount_cache);
        if (result)
            return result;
    }
    qcow2_free_now(s, offset, length);
    return 0;
}

/* ---- the COPIED flags of the active tables ---- */

static int refresh_entry(Qcow2 *s, uint64_t *entry, bool all_shared, bool *changed)
{
    uint64_t refcount = 2, host = *entry & ENTRY_OFFSET;
    int result = 0;

    *changed = false;
    if (!host || *entry & ENTRY_COMPRESSED)
        return 0;
    if (!all_shared)
        result = qcow2_refcount_get(s, qcow2_cluster_of(s, host), &refcount);
    uint64_t right = refcount == 1 ? *entry | ENTRY_COPIED : *entry & ~ENTRY_COPIED;
    *changed = result == 0 && right != *entry;
    *entry = right;
    return result;
}

/* Makes the flags say what the refcounts are, or with ALL_SHARED what they are about to be. */
static int refresh_copied(Qcow2 *s, bool all_shared)
{
    int result = 0;
    bool changed;

    for (uint32_t i = 0; i < s->l1.size && result == 0; i++) {
        uint64_t table = s->l1.entries[i] & ENTRY_OFFSET;
        for (uint32_t at = 0; table && at < s->cluster_size && result == 0; at += 8) {
            uint64_t entry;
            result = qcow2_cache_read(s->l2_cache, table + at, &entry, 8);
            if (result || entry == 0)
                continue;
            entry = GUINT64_FROM_BE(entry);
            result = refresh_entry(s, &entry, all_shared, &changed);
            if (result || !changed)
                continue;
            entry = GUINT64_TO_BE(entry);
            result = qcow2_cache_write(s->l2_cache, table + at, &entry, 8);
        }
        if (result == 0)
            result = refresh_entry(s, &s->l1.entries[i], all_shared, &changed);
        if (result == 0 && changed)
            qcow2_table_touch(&s->l1, i);
        if (result == 0 && qcow2_cache_is_crowded(s->l2_cache))
            result = qcow2_writeback(s);
    }
    return result ? result : qcow2_flush_locked(s);
}

/* ---- operations; lock held ---- */

static char *new_id(const Qcow2 *s)
{
    uint64_t highest = 0;

    for (uint32_t i = 0; i < s->n_snapshots; i++)
        highest = MAX(highest, g_ascii_strtoull(s->snapshots[i].id, NULL, 10));
    return g_strdup_printf("%" G_GUINT64_FORMAT, highest + 1);
}

static int take_snapshot(Qcow2 *s, const char *name)
{
    gint64 now = g_get_real_time();
    Qcow2Snapshot new = {.l1_size = s->l1.size,
                         .seconds = (uint32_t)(now / G_USEC_PER_SEC),
                         .nanoseconds = (uint32_t)(now % G_USEC_PER_SEC) * 1000,
                         .disk_size = s->node->size,
                         .icount = UINT64_MAX};
    int result = walk_l1(s, s->l1.entries, s->l1.size, check_room, NULL);

    /* Flags first: what counts as shared too early is only copied once too often. */
    if (result == 0)
        result = refresh_copied(s, true);
    if (result == 0 && s->l1.size > 0)
        result = qcow2_alloc_exact(s, qcow2_clusters(s, (uint64_t)s->l1.size * 8), &new.l1_offset);
    if (result == 0 && s->l1.size > 0)
        result = qcow2_write_table(s->file, new.l1_offset, s->l1.entries, s->l1.size);
    if (result == 0)
        result = walk_l1(s, s->l1.entries, s->l1.size, add_reference, NULL);
    if (result)
        return result;
    new.id = new_id(s);
    new.name = g_strdup(name);
    s->snapshots = g_renew(Qcow2Snapshot, s->snapshots, s->n_snapshots + 1);
    s->snapshots[s->n_snapshots] = new;
    result = write_snapshots(s, s->snapshots, s->n_snapshots + 1);
    s->n_snapshots++;
    return result ? result : qcow2_flush_locked(s);
}

static int read_snapshot_l1(Qcow2 *s, const Qcow2Snapshot *snapshot, uint64_t **l1)
{
    *l1 = NULL;
    if (snapshot->l1_size > MAX_L1_BYTES / 8 || snapshot->l1_offset & (s->cluster_size - 1))
        return qcow2_mark_corrupt(s, "the L1 table of a snapshot is invalid");
    *l1 = g_new0(uint64_t, MAX(snapshot->l1_size, 1));
    return qcow2_read_table(s->file, snapshot->l1_offset, *l1, snapshot->l1_size);
}

static int delete_snapshot(Qcow2 *s, uint32_t index)
{
    Qcow2Snapshot gone = s->snapshots[index];
    g_autofree uint64_t *l1 = NULL;
    int result = read_snapshot_l1(s, &gone, &l1);

    if (result)
        return result;
    memmove(&s->snapshots[index], &s->snapshots[index + 1],
            (s->n_snapshots - index - 1) * sizeof gone);
    s->n_snapshots--;
    result = write_snapshots(s, s->snapshots, s->n_snapshots);
    if (result == 0)
        result = walk_l1(s, l1, gone.l1_size, drop_reference, NULL);
    if (result == 0 && gone.l1_size > 0)
        qcow2_free_now(s, gone.l1_offset, (uint64_t)gone.l1_size * 8);
    if (result == 0)
        result = refresh_copied(s, false);
    g_free(gone.id);
    g_free(gone.name);
    g_clear_pointer(&gone.extra, g_bytes_unref);
    return result;
}

static int apply_snapshot(Qcow2 *s, uint32_t index)
{
    const Qcow2Snapshot *snapshot = &s->snapshots[index];
    g_autofree uint64_t *l1 = NULL, *old = NULL;
    int result = read_snapshot_l1(s, snapshot, &l1);

    if (result == 0 && qcow2_l1_entries(s, snapshot->disk_size) > snapshot->l1_size)
        result = qcow2_mark_corrupt(s, "the L1 table of a snapshot is too small");
    if (result == 0)
        result = walk_l1(s, l1, snapshot->l1_size, check_room, NULL);
    if (result == 0)
        result = qcow2_grow_l1(s, snapshot->l1_size);
    if (result == 0)
        result = walk_l1(s, l1, snapshot->l1_size, add_reference, NULL);
    if (result == 0)
        result = qcow2_flush_locked(s);
    if (result)
        return result;
    old = g_memdup2(s->l1.entries, MAX(s->l1.size, 1) * sizeof *old);
    for (uint32_t i = 0; i < s->l1.size; i++)
        s->l1.entries[i] = i < snapshot->l1_size ? l1[i] & ~ENTRY_COPIED : 0;
    result = qcow2_write_table(s->file, s->l1.offset, s->l1.entries, s->l1.size);
    uint64_t be_size = GUINT64_TO_BE(snapshot->disk_size);
    if (result == 0 && snapshot->disk_size != s->node->size)
        result = block_file_write(s->file, 24, &be_size, sizeof be_size);
    if (result == 0)
        result = block_file_sync(s->file);
    if (result == 0)
        result = walk_l1(s, old, s->l1.size, drop_reference, NULL);
    return result ? result : refresh_copied(s, false);
}

/* ---- by path ---- */

static BlockNode *open_qcow2(const char *path, GError **error)
{
    BlockNode *node = block_node_open(path, NULL, BLOCK_FILE_WRITE, BLOCK_NODE_NO_BACKING, error);

    if (!node || node->driver == &block_qcow2_driver)
        return node;
    g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                _("“%s” is a %s image, which cannot hold snapshots. Convert it to qcow2 first."),
                path, node->driver->name);
    block_node_close(node);
    return NULL;
}

/* An id is looked for before a name, as in qemu-img. */
static bool find_snapshot(const Qcow2 *s, const char *name, uint32_t *index, GError **error)
{
    for (*index = 0; *index < s->n_snapshots; (*index)++)
        if (g_str_equal(s->snapshots[*index].id, name))
            return true;
    for (*index = 0; *index < s->n_snapshots; (*index)++)
        if (g_str_equal(s->snapshots[*index].name, name))
            return true;
    g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
                _("“%s” has no snapshot “%s”. List them with “apiary img snapshot -l”."),
                s->file->path, name);
    return false;
}

/* FORMAT: of the error, untranslated; takes the name, the path and the cause. */
static bool finish(BlockNode *node, const char *format, const char *name, int result,
                   GError **error)
{
    if (result)
        g_set_error(error, BLOCK_ERROR,
                    result == ENOSPC ? BLOCK_ERROR_NO_SPACE : BLOCK_ERROR_FAILED, _(format), name,
                    node->file->path,
                    result == EOVERFLOW ? _("its refcounts are too narrow") : g_strerror(result));
    block_node_close(node);
    return result == 0;
}

bool block_snapshot_create(const char *path, const char *name, GError **error)
{
    BlockNode *node = open_qcow2(path, error);

    if (!node)
        return false;
    Qcow2 *s = node->state;
    g_mutex_lock(&s->lock);
    int result = strlen(name) > 255 ? ENAMETOOLONG : take_snapshot(s, name);
    g_mutex_unlock(&s->lock);
    return finish(node, N_("Cannot create snapshot “%s” of “%s”: %s."), name, result, error);
}

static bool change(const char *path, const char *name, const char *format,
                   int (*operation)(Qcow2 *s, uint32_t index), GError **error)
{
    BlockNode *node = open_qcow2(path, error);
    uint32_t index;

    if (!node)
        return false;
    Qcow2 *s = node->state;
    if (!find_snapshot(s, name, &index, error)) {
        block_node_close(node);
        return false;
    }
    g_mutex_lock(&s->lock);
    int result = operation(s, index);
    g_mutex_unlock(&s->lock);
    return finish(node, format, name, result, error);
}

bool block_snapshot_apply(const char *path, const char *name, GError **error)
{
    return change(path, name, N_("Cannot apply snapshot “%s” of “%s”: %s."), apply_snapshot, error);
}

bool block_snapshot_delete(const char *path, const char *name, GError **error)
{
    return change(path, name, N_("Cannot delete snapshot “%s” of “%s”: %s."), delete_snapshot,
                  error);
}
