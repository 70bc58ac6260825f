/* SPDX-License-Identifier: GPL-3.0-or-later */

/* New qcow2 images: header, refcounts and an empty L1 table in one row of clusters. */

#include "core/block/options.h"
#include "core/block/qcow2-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>

#define DEFAULT_CLUSTER 65536u

typedef struct {
    uint32_t version, cluster_bits, refcount_order;
    bool lazy_refcounts;
    uint8_t compression;
    char *preallocation;
} Options;

typedef enum { PREALLOCATE_OFF, PREALLOCATE_METADATA, PREALLOCATE_SPACE } Preallocation;

/* ---- options ---- */

G_GNUC_PRINTF(2, 3)
static bool bad_option(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *message = g_strdup_vprintf(_(format), arguments);
    va_end(arguments);
    g_set_error_literal(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED, message);
    return false;
}

static bool take_compat(GHashTable *table, Options *options, GError **error)
{
    g_autofree char *compat = block_options_take(table, "compat");

    if (!compat || g_str_equal(compat, "1.1") || g_str_equal(compat, "v3"))
        options->version = 3;
    else if (g_str_equal(compat, "0.10") || g_str_equal(compat, "v2"))
        options->version = 2;
    else
        return bad_option(error, "“compat=%s” should be 0.10 or 1.1.", compat);
    return true;
}

static bool take_sizes(GHashTable *table, Options *options, GError **error)
{
    uint64_t cluster_size = DEFAULT_CLUSTER, refcount_bits = 16;

    if (!block_options_take_size(table, "cluster_size", &cluster_size, error) ||
        !block_options_take_size(table, "refcount_bits", &refcount_bits, error))
        return false;
    if (cluster_size < 512 || cluster_size > 2 * 1024 * 1024 || cluster_size & (cluster_size - 1))
        return bad_option(error, "Cluster size must be a power of two between 512 and 2048k.");
    if (refcount_bits < 1 || refcount_bits > 64 || refcount_bits & (refcount_bits - 1))
        return bad_option(error,
                          "Refcount width must be a power of two and may not exceed 64 bits.");
    if (refcount_bits != 16 && options->version < 3)
        return bad_option(error, "Refcount widths other than 16 bits need compat=1.1 or greater.");
    options->cluster_bits = (uint32_t)__builtin_ctzll(cluster_size);
    options->refcount_order = (uint32_t)__builtin_ctzll(refcount_bits);
    return true;
}

static bool take_features(GHashTable *table, Options *options, GError **error)
{
    g_autofree char *compression = block_options_take(table, "compression_type");
    bool extended = false;

    if (!block_options_take_bool(table, "lazy_refcounts", &options->lazy_refcounts, error) ||
        !block_options_take_bool(table, "extended_l2", &extended, error))
        return false;
    if (options->lazy_refcounts && options->version < 3)
        return bad_option(error, "Lazy refcounts need compat=1.1 or greater.");
    if (extended)
        return bad_option(error, "Extended L2 entries (extended_l2=on) are not supported.");
    if (compression && g_str_equal(compression, "zstd"))
        options->compression = COMPRESSION_ZSTD;
    else if (compression && !g_str_equal(compression, "zlib"))
        return bad_option(error, "“compression_type=%s” should be zlib or zstd.", compression);
    if (options->compression && options->version < 3)
        return bad_option(error, "compression_type=zstd needs compat=1.1 or greater.");
    return true;
}

static bool take_preallocation(GHashTable *table, Preallocation *preallocation, GError **error)
{
    static const char *const names[] = {"off", "metadata", "falloc", "full"};
    static const Preallocation values[] = {PREALLOCATE_OFF, PREALLOCATE_METADATA, PREALLOCATE_SPACE,
                                           PREALLOCATE_SPACE};
    g_autofree char *name = block_options_take(table, "preallocation");

    *preallocation = PREALLOCATE_OFF;
    if (!name)
        return true;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(name, names[i])) {
            *preallocation = values[i];
            return true;
        }
    }
    return bad_option(error, "“preallocation=%s” should be off, metadata, falloc or full.", name);
}

/* ---- layout ---- */

typedef struct {
    uint64_t table_clusters, blocks, l1_clusters, l1_size;
    uint64_t total; /* clusters */
} Layout;

static bool plan(const Options *options, uint64_t size, Layout *layout, GError **error)
{
    Qcow2 shape = {.cluster_bits = options->cluster_bits,
                   .cluster_size = 1u << options->cluster_bits,
                   .l2_bits = options->cluster_bits - 3};
    uint64_t per_block = UINT64_C(1) << (options->cluster_bits + 3 - options->refcount_order);

    layout->l1_size = qcow2_l1_entries(&shape, size);
    if (layout->l1_size == UINT64_MAX)
        return bad_option(error,
                          "The image size is too large for clusters of %u bytes. Try a larger "
                          "cluster_size.",
                          shape.cluster_size);
    layout->l1_clusters = MAX(qcow2_clusters(&shape, layout->l1_size * 8), 1);
    layout->table_clusters = layout->blocks = 1;
    for (;;) {
        layout->total = 1 + layout->table_clusters + layout->blocks + layout->l1_clusters;
        uint64_t blocks = (layout->total + per_block - 1) / per_block;
        uint64_t table_clusters = qcow2_clusters(&shape, layout->blocks * 8);
        if (blocks <= layout->blocks && table_clusters <= layout->table_clusters)
            return true;
        layout->blocks = MAX(blocks, layout->blocks);
        layout->table_clusters = MAX(table_clusters, layout->table_clusters);
    }
}

/* ---- the header ---- */

static void put(uint8_t *p, uint64_t value, unsigned width)
{
    while (width-- > 0) {
        p[width] = (uint8_t)value;
        value >>= 8;
    }
}

static uint32_t put_extension(uint8_t *header, uint32_t at, uint32_t type, const void *data,
                              uint32_t length)
{
    put(header + at, type, 4);
    put(header + at + 4, length, 4);
    if (length)
        memcpy(header + at + 8, data, length);
    return at + 8 + ((length + 7) & ~7u);
}

/* So that an older program can say which feature it lacks. */
static uint32_t put_feature_names(uint8_t *header, uint32_t at)
{
    static const struct {
        uint8_t type, bit;
        const char *name;
    } features[] = {
        {0, 0, "dirty bit"},        {0, 1, "corrupt bit"},         {0, 2, "external data file"},
        {0, 3, "compression type"}, {0, 4, "extended L2 entries"}, {1, 0, "lazy refcounts"},
        {2, 0, "bitmaps"},          {2, 1, "raw external data"},
    };
    uint8_t table[G_N_ELEMENTS(features)][48] = {0};

    for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
        table[i][0] = features[i].type;
        table[i][1] = features[i].bit;
        g_strlcpy((char *)table[i] + 2, features[i].name, 46);
    }
    return put_extension(header, at, EXTENSION_FEATURE_NAMES, table, sizeof table);
}

static bool put_header(uint8_t *header, const Options *options, const Layout *layout, uint64_t size,
                       const char *backing, const char *backing_format, GError **error)
{
    uint64_t cluster_size = UINT64_C(1) << options->cluster_bits;
    uint32_t length = options->version >= 3 ? QCOW2_HEADER_LENGTH : QCOW2_V2_LENGTH;
    uint32_t at = length, backing_length = backing ? (uint32_t)strlen(backing) : 0;

    put(header, QCOW2_MAGIC, 4);
    put(header + 4, options->version, 4);
    put(header + 20, options->cluster_bits, 4);
    put(header + 24, size, 8);
    put(header + 36, layout->l1_size, 4);
    put(header + 40, (1 + layout->table_clusters + layout->blocks) * cluster_size, 8);
    put(header + 48, cluster_size, 8);
    put(header + 56, layout->table_clusters, 4);
    if (options->version >= 3) {
        put(header + 72, options->compression ? INCOMPATIBLE_COMPRESSION : 0, 8);
        put(header + 80, options->lazy_refcounts ? COMPATIBLE_LAZY : 0, 8);
        put(header + 96, options->refcount_order, 4);
        put(header + 100, length, 4);
        header[104] = options->compression;
    }
    if (backing_format)
        at = put_extension(header, at, EXTENSION_BACKING_FORMAT, backing_format,
                           (uint32_t)strlen(backing_format));
    /* Eight names, two extension headers and the backing name have to fit. */
    if (options->version >= 3 && at + 8 * 48 + 16 + backing_length <= cluster_size)
        at = put_feature_names(header, at);
    at = put_extension(header, at, EXTENSION_END, NULL, 0);
    if (!backing)
        return true;
    if (backing_length > MAX_BACKING_NAME || at + backing_length > cluster_size)
        return bad_option(error,
                          "The name of the backing file, “%s”, is too long for clusters of "
                          "%u bytes.",
                          backing, (unsigned)cluster_size);
    put(header + 8, at, 8);
    put(header + 16, backing_length, 4);
    memcpy(header + at, backing, backing_length);
    return true;
}

/* ---- writing ---- */

static int write_layout(BlockFile *file, const Options *options, const Layout *layout)
{
    uint64_t cluster_size = UINT64_C(1) << options->cluster_bits, first_block, done = 0;
    uint64_t per_block = UINT64_C(1) << (options->cluster_bits + 3 - options->refcount_order);
    g_autofree uint8_t *block = g_malloc(cluster_size);
    g_autofree uint64_t *table =
        g_new0(uint64_t, layout->table_clusters << (options->cluster_bits - 3));
    int result = block_file_zero(file, 0, layout->total * cluster_size);

    first_block = (1 + layout->table_clusters) * cluster_size;
    for (uint64_t n = 0; n < layout->blocks && result == 0; n++) {
        memset(block, 0, cluster_size);
        for (uint64_t i = 0; i < per_block && done < layout->total; i++, done++) {
            uint64_t bit = i << options->refcount_order;
            if (options->refcount_order < 3)
                block[bit >> 3] |= (uint8_t)(1u << (bit & 7));
            else
                block[(bit >> 3) + (1u << (options->refcount_order - 3)) - 1] = 1;
        }
        table[n] = first_block + n * cluster_size;
        result = block_file_write(file, table[n], block, cluster_size);
    }
    if (result == 0)
        result = qcow2_write_table(file, cluster_size, table,
                                   (uint32_t)(layout->table_clusters * cluster_size / 8));
    return result;
}

/* Gives every guest cluster a host cluster. */
static int preallocate(BlockNode *node, bool space)
{
    Qcow2 *s = node->state;
    uint64_t clusters = qcow2_clusters(s, node->size), end = 0;
    int result = 0;

    g_mutex_lock(&s->lock);
    for (uint64_t index = 0; index < clusters && result == 0;) {
        uint64_t left = (UINT64_C(1) << s->l2_bits) - (index & ((1u << s->l2_bits) - 1));
        uint64_t host, count;
        result = qcow2_make_l2(s, index);
        if (result == 0)
            result = qcow2_alloc(s, MIN(left, clusters - index), &host, &count, NULL);
        if (result == 0)
            result = qcow2_link(s, index, count, host | ENTRY_COPIED, s->cluster_size, false);
        if (result == 0 && qcow2_cache_is_crowded(s->l2_cache))
            result = qcow2_writeback(s);
        if (result)
            break;
        end = MAX(end, host + (count << s->cluster_bits));
        index += count;
    }
    uint64_t size = 0;
    if (result == 0)
        result = block_file_size(s->file, &size);
    if (result == 0 && end > size)
        result = block_file_truncate(s->file, end);
    if (result == 0 && space)
        result = posix_fallocate(s->file->fd, 0, (off_t)MAX(end, size));
    if (result == 0)
        result = qcow2_flush_locked(s);
    g_mutex_unlock(&s->lock);
    return result;
}

static bool preallocate_file(BlockFile *file, bool space, GError **error)
{
    BlockNode node = {.driver = &block_qcow2_driver, .file = file};

    if (!qcow2_load(&node, error))
        return false;
    int result = preallocate(&node, space);
    node.driver->close(&node);
    if (result)
        g_set_error(error, BLOCK_ERROR,
                    result == ENOSPC ? BLOCK_ERROR_NO_SPACE : BLOCK_ERROR_FAILED,
                    _("Cannot create “%s”: %s. %s"), file->path, g_strerror(result),
                    result == ENOSPC ? _("Free some space, or choose a smaller size.")
                                     : _("Check the disk it is on."));
    return result == 0;
}

bool qcow2_create(BlockFile *file, uint64_t size, GHashTable *table, const char *backing,
                  const char *backing_format, GError **error)
{
    Options options = {0};
    Preallocation preallocation;
    Layout layout = {0};

    if (!take_compat(table, &options, error) || !take_sizes(table, &options, error) ||
        !take_features(table, &options, error) ||
        !take_preallocation(table, &preallocation, error) || !plan(&options, size, &layout, error))
        return false;
    if (preallocation != PREALLOCATE_OFF && backing)
        return bad_option(error, "Backing file and preallocation cannot be used together.");
    g_autofree uint8_t *header = g_malloc0(1u << options.cluster_bits);
    if (!put_header(header, &options, &layout, size, backing, backing_format, error))
        return false;
    /* The header is last: until then this is no qcow2 image. */
    int result = block_file_truncate(file, 0);
    if (result == 0)
        result = write_layout(file, &options, &layout);
    if (result == 0)
        result = block_file_sync(file);
    if (result == 0)
        result = block_file_write(file, 0, header, 1u << options.cluster_bits);
    if (result) {
        g_set_error(error, BLOCK_ERROR,
                    result == ENOSPC ? BLOCK_ERROR_NO_SPACE : BLOCK_ERROR_FAILED,
                    _("Cannot create “%s”: %s. %s"), file->path, g_strerror(result),
                    result == ENOSPC ? _("Free some space, or choose another disk.")
                                     : _("Check the disk it is on."));
        return false;
    }
    return preallocation == PREALLOCATE_OFF ||
           preallocate_file(file, preallocation == PREALLOCATE_SPACE, error);
}

BlockNode *qcow2_temporary_overlay(BlockNode *backing, GError **error)
{
    g_autoptr(GHashTable) options = block_options_parse(NULL, NULL);
    BlockFile *file = block_file_temporary(error);

    if (file && qcow2_create(file, backing->size, options, NULL, NULL, error))
        return block_node_new(file, &block_qcow2_driver, backing, error);
    block_file_close(file);
    block_node_close(backing);
    return NULL;
}
