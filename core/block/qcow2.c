/* SPDX-License-Identifier: GPL-3.0-or-later */

/* qcow2 images: the header and its extensions, opening, closing, and the order of writeback. */

#define G_LOG_DOMAIN "apiary-block"

#include "core/block/check.h"
#include "core/block/qcow2-internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

/* Looked into for a truncated image: 64 of 64 KiB describe 32 GiB. */
#define MAX_TABLES_AT_OPEN   64

#define PAGE_SIZE            4096u
#define L2_CACHE_BYTES       (16u * 1024 * 1024)
#define REFCOUNT_CACHE_BYTES (4u * 1024 * 1024)

/* ---- the header ---- */

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get64(const uint8_t *p)
{
    return (uint64_t)get32(p) << 32 | get32(p + 4);
}

G_GNUC_PRINTF(3, 4)
static bool unsound(GError **error, const Qcow2 *s, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *cause = g_strdup_vprintf(_(format), arguments);
    va_end(arguments);
    g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FORMAT,
                _("“%s” is not a sound qcow2 image: %s. Use a backup, or try “qemu-img check”."),
                s->file->path, cause);
    return false;
}

G_GNUC_PRINTF(3, 4)
static bool unsupported(GError **error, const Qcow2 *s, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *feature = g_strdup_vprintf(_(format), arguments);
    va_end(arguments);
    g_set_error(
        error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
        _("“%s” uses %s, which is not supported. Convert it with “qemu-img convert -O qcow2”."),
        s->file->path, feature);
    return false;
}

static bool parse_fixed(Qcow2 *s, const uint8_t *h, uint64_t file_size, GError **error)
{
    uint64_t l1_entries;

    s->version = get32(h + 4);
    if (s->version != 2 && s->version != 3)
        return unsupported(error, s, "version %u of the qcow2 format", s->version);
    s->cluster_bits = get32(h + 20);
    if (s->cluster_bits < 9 || s->cluster_bits > 21)
        return unsound(error, s, "its cluster size is 2^%u bytes", s->cluster_bits);
    s->cluster_size = 1u << s->cluster_bits;
    s->l2_bits = s->cluster_bits - 3;
    s->header_length = QCOW2_V2_LENGTH;
    s->refcount_order = 4;
    if (s->version >= 3) {
        s->incompatible = get64(h + 72);
        s->compatible = get64(h + 80);
        s->autoclear = get64(h + 88);
        s->refcount_order = get32(h + 96);
        s->header_length = get32(h + 100);
        if (s->header_length < QCOW2_V3_LENGTH || s->header_length > s->cluster_size)
            return unsound(error, s, "its header is %u bytes long", s->header_length);
        if (s->refcount_order > 6)
            return unsound(error, s, "its refcounts have 2^%u bits", s->refcount_order);
        if (s->header_length > QCOW2_V3_LENGTH)
            s->compression = h[104];
    }
    s->block_bits = s->cluster_bits + 3 - s->refcount_order;
    if (get32(h + 32) != 0)
        return unsupported(error, s, "%s encryption",
                           get32(h + 32) == 1   ? "AES"
                           : get32(h + 32) == 2 ? "LUKS"
                                                : "an unknown");

    uint64_t size = get64(h + 24);
    if (size > (uint64_t)INT64_MAX - s->cluster_size)
        return unsound(error, s, "its disk is too large");
    s->node->size = size / BLOCK_SECTOR * BLOCK_SECTOR;
    l1_entries = qcow2_l1_entries(s, size);
    s->l1.size = get32(h + 36);
    s->l1.offset = get64(h + 40);
    if (s->l1.size > MAX_L1_BYTES / 8)
        return unsound(error, s, "its L1 table is too large");
    if (l1_entries > s->l1.size)
        return unsound(error, s, "its L1 table is too small for its disk");
    if (s->l1.size > 0 && (s->l1.offset == 0 || s->l1.offset & (s->cluster_size - 1)))
        return unsound(error, s, "its L1 table is not where a cluster begins");

    uint64_t table_clusters = get32(h + 56);
    s->refcount_table.offset = get64(h + 48);
    if (table_clusters == 0 || table_clusters << s->cluster_bits > MAX_REFTABLE_BYTES)
        return unsound(error, s, "its refcount table has %" PRIu64 " clusters", table_clusters);
    s->refcount_table.size = (uint32_t)(table_clusters << (s->cluster_bits - 3));
    if (s->refcount_table.offset == 0 || s->refcount_table.offset & (s->cluster_size - 1))
        return unsound(error, s, "its refcount table is not where a cluster begins");

    s->n_snapshots = get32(h + 60);
    s->snapshots_offset = get64(h + 64);
    if (s->n_snapshots > MAX_SNAPSHOTS)
        return unsound(error, s, "it has %u snapshots", s->n_snapshots);
    if (s->n_snapshots > 0 && s->snapshots_offset & (s->cluster_size - 1))
        return unsound(error, s, "its snapshot table is not where a cluster begins");
    /* Tables may end in the middle of the file's last cluster, but not begin behind it. */
    if ((s->l1.size > 0 && s->l1.offset >= file_size) || s->refcount_table.offset >= file_size ||
        (s->n_snapshots > 0 && s->snapshots_offset >= file_size))
        return unsound(error, s, "it is truncated: its tables are behind its end");
    uint64_t l1_end = s->l1.offset + (uint64_t)s->l1.size * 8;
    if (l1_end > file_size + s->cluster_size)
        return unsound(error, s, "it is truncated: its L1 table is behind its end");
    return true;
}

static char *feature_name(const uint8_t *names, uint32_t length, unsigned bit)
{
    for (uint32_t at = 0; at + 48 <= length; at += 48)
        if (names[at] == 0 && names[at + 1] == bit)
            return g_utf8_make_valid((const char *)names + at + 2,
                                     (gssize)strnlen((const char *)names + at + 2, 46));
    return g_strdup_printf(_("the incompatible feature %u"), bit);
}

static bool parse_extensions(Qcow2 *s, const uint8_t *h, uint32_t length, GError **error)
{
    const uint8_t *names = NULL;
    uint32_t names_length = 0, at = s->header_length;

    while (at + 8 <= length) {
        uint32_t type = get32(h + at), size = get32(h + at + 4);
        const uint8_t *data = h + at + 8;
        if (type == EXTENSION_END)
            break;
        if (size > length - at - 8)
            return unsound(error, s, "a header extension is longer than the header");
        switch (type) {
        case EXTENSION_BACKING_FORMAT:
            if (size >= 16)
                return unsound(error, s, "the name of its backing format is too long");
            g_free(s->node->backing_format);
            s->node->backing_format = size ? g_strndup((const char *)data, size) : NULL;
            break;
        case EXTENSION_FEATURE_NAMES:
            names = data;
            names_length = size;
            break;
        case EXTENSION_BITMAPS:
            if (size >= 24) {
                s->n_bitmaps = get32(data);
                s->bitmap_directory_size = get64(data + 8);
                s->bitmap_directory = get64(data + 16);
            }
            break;
        }
        at += 8 + ((size + 7) & ~7u);
    }
    if (s->incompatible & INCOMPATIBLE_DATA_FILE)
        return unsupported(error, s, "an external data file");
    if (s->incompatible & INCOMPATIBLE_EXTENDED_L2)
        return unsupported(error, s, "extended L2 entries (subclusters)");
    uint64_t unknown = s->incompatible & ~(uint64_t)(INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT |
                                                     INCOMPATIBLE_COMPRESSION);
    if (unknown) {
        g_autofree char *name =
            feature_name(names, names_length, (unsigned)__builtin_ctzll(unknown));
        return unsupported(error, s, "“%s”", name);
    }
    if (s->compression > COMPRESSION_ZSTD ||
        (s->compression != 0) != ((s->incompatible & INCOMPATIBLE_COMPRESSION) != 0))
        return unsupported(error, s, "the compression method %u", s->compression);
    return true;
}

static bool parse_backing(Qcow2 *s, const uint8_t *h, uint32_t length, GError **error)
{
    uint64_t offset = get64(h + 8);
    uint32_t name_length = get32(h + 16);

    if (offset == 0)
        return true;
    if (name_length > MAX_BACKING_NAME || offset > length || name_length > length - offset ||
        offset < QCOW2_V2_LENGTH)
        return unsound(error, s, "the name of its backing file is outside the header");
    if (name_length > 0)
        s->node->backing_name = g_strndup((const char *)h + offset, name_length);
    return true;
}

/* ---- tables ---- */

int qcow2_read_table(BlockFile *file, uint64_t offset, uint64_t *entries, uint32_t size)
{
    int result = block_file_read(file, offset, entries, (size_t)size * 8);

    for (uint32_t n = 0; n < size; n++)
        entries[n] = GUINT64_FROM_BE(entries[n]);
    return result;
}

int qcow2_write_table(BlockFile *file, uint64_t offset, const uint64_t *entries, uint32_t size)
{
    g_autofree uint64_t *be = g_new(uint64_t, MAX(size, 1));

    for (uint32_t n = 0; n < size; n++)
        be[n] = GUINT64_TO_BE(entries[n]);
    return block_file_write(file, offset, be, (size_t)size * 8);
}

void qcow2_table_touch(Qcow2Table *table, uint32_t index)
{
    if (table->dirty_first == table->dirty_end) {
        table->dirty_first = index;
        table->dirty_end = index + 1;
        return;
    }
    table->dirty_first = MIN(table->dirty_first, index);
    table->dirty_end = MAX(table->dirty_end, index + 1);
}

static bool table_is_dirty(const Qcow2Table *table)
{
    return table->dirty_first != table->dirty_end;
}

static int table_writeback(Qcow2 *s, Qcow2Table *table)
{
    uint32_t first = table->dirty_first;
    int result = qcow2_write_table(s->file, table->offset + (uint64_t)first * 8,
                                   table->entries + first, table->dirty_end - first);

    if (result == 0)
        table->dirty_first = table->dirty_end = 0;
    return result;
}

static bool overlaps(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
    return a < b + b_length && b < a + a_length;
}

bool qcow2_overlaps_metadata(const Qcow2 *s, uint64_t offset, uint64_t length)
{
    return overlaps(offset, length, 0, s->cluster_size) ||
           overlaps(offset, length, s->l1.offset, (uint64_t)s->l1.size * 8) ||
           overlaps(offset, length, s->refcount_table.offset,
                    (uint64_t)s->refcount_table.size * 8) ||
           (s->n_snapshots > 0 &&
            overlaps(offset, length, s->snapshots_offset, s->snapshots_bytes));
}

/* ---- writeback ---- */

int qcow2_writeback(Qcow2 *s)
{
    int result = qcow2_cache_writeback(s->refcount_cache);

    if (result == 0 && table_is_dirty(&s->refcount_table)) {
        result = block_file_sync(s->file);
        if (result == 0)
            result = table_writeback(s, &s->refcount_table);
    }
    if (result == 0 && (qcow2_cache_is_dirty(s->l2_cache) || table_is_dirty(&s->l1))) {
        result = block_file_sync(s->file); /* the data as well */
        if (result == 0)
            result = qcow2_cache_writeback(s->l2_cache);
        if (result == 0 && table_is_dirty(&s->l1)) {
            result = block_file_sync(s->file);
            if (result == 0)
                result = table_writeback(s, &s->l1);
        }
    }
    if (result == 0 && s->frees->len > 0) {
        result = block_file_sync(s->file);
        if (result == 0)
            result = qcow2_apply_frees(s);
        if (result == 0)
            result = qcow2_cache_writeback(s->refcount_cache);
    }
    return result;
}

int qcow2_flush_locked(Qcow2 *s)
{
    int result = qcow2_writeback(s);

    return result ? result : block_file_sync(s->file);
}

int qcow2_write_features(Qcow2 *s)
{
    uint64_t be[3] = {GUINT64_TO_BE(s->incompatible), GUINT64_TO_BE(s->compatible),
                      GUINT64_TO_BE(s->autoclear)};
    int result;

    if (s->version < 3)
        return 0;
    result = block_file_write(s->file, 72, be, sizeof be);
    return result ? result : block_file_sync(s->file);
}

int qcow2_mark_corrupt(Qcow2 *s, const char *what)
{
    if (s->incompatible & INCOMPATIBLE_CORRUPT)
        return EIO;
    g_message("%s: the image is corrupt: %s. Repair it with “apiary img check -r all”.",
              s->file->path, what);
    if (!s->node->read_only) {
        s->incompatible |= INCOMPATIBLE_CORRUPT;
        qcow2_write_features(s);
    }
    return EIO;
}

/* ---- opening and closing ---- */

static void unload(Qcow2 *s)
{
    qcow2_cache_free(s->l2_cache);
    qcow2_cache_free(s->refcount_cache);
    qcow2_snapshots_clear(s);
    if (s->frees)
        g_array_unref(s->frees);
    g_free(s->l1.entries);
    g_free(s->refcount_table.entries);
    g_free(s->inflated);
    g_mutex_clear(&s->lock);
    g_mutex_clear(&s->inflate_lock);
    g_free(s);
}

static bool load_tables(Qcow2 *s, uint64_t file_size, GError **error)
{
    uint32_t page = MIN(s->cluster_size, PAGE_SIZE);

    s->l1.entries = g_try_new0(uint64_t, MAX(s->l1.size, 1));
    s->refcount_table.entries = g_try_new0(uint64_t, s->refcount_table.size);
    if (!s->l1.entries || !s->refcount_table.entries)
        return unsound(error, s, "there is not enough memory for its tables");
    int result = qcow2_read_table(s->file, s->l1.offset, s->l1.entries, s->l1.size);
    if (result == 0)
        result = qcow2_read_table(s->file, s->refcount_table.offset, s->refcount_table.entries,
                                  s->refcount_table.size);
    if (result) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
                    _("Cannot read “%s”: %s. Check the disk it is on."), s->file->path,
                    g_strerror(result));
        return false;
    }
    s->l2_cache = qcow2_cache_new(s->file, page, L2_CACHE_BYTES / page);
    s->refcount_cache = qcow2_cache_new(s->file, page, REFCOUNT_CACHE_BYTES / page);
    s->frees = g_array_new(FALSE, FALSE, sizeof(Qcow2Free));
    s->fresh = qcow2_clusters(s, file_size);
    return qcow2_snapshots_load(s, error);
}

Qcow2 *qcow2_load(BlockNode *node, GError **error)
{
    Qcow2 *s = g_new0(Qcow2, 1);
    uint64_t file_size = 0;
    g_autofree uint8_t *header = g_malloc0(QCOW2_HEADER_LENGTH);
    g_autofree uint8_t *first = NULL;

    s->node = node;
    s->file = node->file;
    g_mutex_init(&s->lock);
    g_mutex_init(&s->inflate_lock);
    int result = block_file_size(s->file, &file_size);
    if (result == 0)
        result = block_file_read(s->file, 0, header, QCOW2_HEADER_LENGTH);
    if (result) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
                    _("Cannot read “%s”: %s. Check the disk it is on."), s->file->path,
                    g_strerror(result));
        goto fail;
    }
    if (get32(header) != QCOW2_MAGIC) {
        unsound(error, s, "it does not begin like one");
        goto fail;
    }
    if (!parse_fixed(s, header, file_size, error))
        goto fail;
    uint64_t backing = get64(header + 8);
    /* The extensions end where the backing name begins; both are in the first cluster. */
    first = g_malloc0(s->cluster_size);
    if (block_file_read(s->file, 0, first, s->cluster_size) != 0) {
        unsound(error, s, "its header cannot be read");
        goto fail;
    }
    uint32_t extensions_end =
        backing && backing < s->cluster_size ? (uint32_t)backing : s->cluster_size;
    if (!parse_extensions(s, first, extensions_end, error) ||
        !parse_backing(s, first, s->cluster_size, error) || !load_tables(s, file_size, error))
        goto fail;
    node->granule = s->cluster_size;
    node->state = s;
    return s;
fail:
    unload(s);
    return NULL;
}

static void reset_node(BlockNode *node)
{
    if (node->state)
        unload(node->state);
    node->state = NULL;
    g_clear_pointer(&node->backing_name, g_free);
    g_clear_pointer(&node->backing_format, g_free);
}

static bool repair_dirty(BlockNode *node, GError **error)
{
    BlockCheck check = {0};

    g_message("%s was not closed properly; counting its clusters again", node->file->path);
    if (!qcow2_check(node, BLOCK_CHECK_FIX_ALL, &check, NULL, NULL, error))
        return false;
    reset_node(node);
    return qcow2_load(node, error) != NULL;
}

/* What every writer must do before its first write. */
static bool prepare_for_writing(BlockNode *node, GError **error)
{
    Qcow2 *s = node->state;

    if (s->incompatible & INCOMPATIBLE_CORRUPT) {
        g_set_error(
            error, BLOCK_ERROR, BLOCK_ERROR_FORMAT,
            _("“%s” is marked as corrupt. Repair it with “apiary img check -r all”, or open "
              "it read-only."),
            s->file->path);
        return false;
    }
    if (s->incompatible & INCOMPATIBLE_DIRTY) {
        if (!repair_dirty(node, error))
            return false;
        s = node->state;
    }
    if (s->autoclear) {
        if (s->autoclear & AUTOCLEAR_BITMAPS && s->n_bitmaps)
            g_message("%s: its dirty bitmaps are not kept up to date and become invalid",
                      s->file->path);
        s->autoclear = 0;
        int result = qcow2_write_features(s);
        if (result) {
            g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED, _("Cannot write “%s”: %s."),
                        s->file->path, g_strerror(result));
            return false;
        }
    }
    return true;
}

static bool qcow2_probe(const uint8_t *head, size_t length)
{
    return length >= 8 && get32(head) == QCOW2_MAGIC && get32(head + 4) >= 2;
}

/*
 * A copy or a download that stopped half way. Nothing on disk refers to what was never written, so
 * whatever is named behind the end of the file has been cut off. All L2 tables are looked for, and
 * the first of them looked into.
 */
static bool is_truncated(Qcow2 *s)
{
    uint64_t size = s->fresh << s->cluster_bits;
    unsigned tables = 0;

    for (uint32_t i = 0; i < s->l1.size; i++) {
        uint64_t table = s->l1.entries[i] & ENTRY_OFFSET;
        if (table >= size)
            return true;
        if (!table || table & (s->cluster_size - 1) || tables++ >= MAX_TABLES_AT_OPEN)
            continue;
        for (uint32_t at = 0; at < s->cluster_size; at += 8) {
            uint64_t be;
            if (qcow2_cache_read(s->l2_cache, table + at, &be, 8) != 0)
                return false;
            uint64_t entry = GUINT64_FROM_BE(be), host = entry & ENTRY_OFFSET;
            uint32_t length;
            if (entry & ENTRY_COMPRESSED)
                qcow2_compressed_extent(s, entry, &host, &length);
            if (host >= size)
                return true;
        }
    }
    for (uint32_t i = 0; i < s->refcount_table.size; i++)
        if ((s->refcount_table.entries[i] & REFTABLE_OFFSET) >= size)
            return true;
    return false;
}

static bool qcow2_open(BlockNode *node, GError **error)
{
    if (!qcow2_load(node, error))
        return false;
    if (node->keep_dirty)
        return true;
    if (is_truncated(node->state)) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FORMAT,
                    _("“%s” is truncated: parts of the disk are missing behind its end. Copy or "
                      "download it again."),
                    node->file->path);
        reset_node(node);
        return false;
    }
    if (node->read_only || prepare_for_writing(node, error))
        return true;
    reset_node(node);
    return false;
}

static void qcow2_close(BlockNode *node)
{
    Qcow2 *s = node->state;
    int result = 0;

    g_mutex_lock(&s->lock);
    if (!node->read_only)
        result = qcow2_flush_locked(s);
    g_mutex_unlock(&s->lock);
    if (result)
        g_message("%s: cannot write its tables: %s", s->file->path, g_strerror(result));
    unload(s);
    node->state = NULL;
}

static int qcow2_flush(BlockNode *node)
{
    Qcow2 *s = node->state;

    if (node->read_only)
        return 0;
    g_mutex_lock(&s->lock);
    int result = qcow2_flush_locked(s);
    g_mutex_unlock(&s->lock);
    return result;
}

const BlockDriver block_qcow2_driver = {
    .name = "qcow2",
    .probe = qcow2_probe,
    .open = qcow2_open,
    .close = qcow2_close,
    .read = qcow2_read,
    .write = qcow2_write,
    .flush = qcow2_flush,
    .discard = qcow2_discard,
    .write_zeroes = qcow2_write_zeroes,
    .status = qcow2_status,
    .resize = qcow2_resize,
};
