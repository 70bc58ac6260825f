/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/block/convert.h"
#include "core/block/internal.h"
#include "core/block/qcow2.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#define CHUNK      (2u * 1024 * 1024) /* a multiple of every cluster size */
#define ZERO_GRAIN 4096u

static bool fail(GError **error, bool writing, const BlockNode *node, uint64_t at, int code)
{
    g_set_error(error, BLOCK_ERROR, code == ENOSPC ? BLOCK_ERROR_NO_SPACE : BLOCK_ERROR_FAILED,
                writing ? _("Cannot write “%s” at byte %" PRIu64 ": %s.%s")
                        : _("Cannot read “%s” at byte %" PRIu64 ": %s.%s"),
                node->file->path, at, g_strerror(code),
                code == ENOSPC ? _(" Free some space and try again.") : "");
    return false;
}

static bool cancelled(BlockProgress progress, void *opaque, uint64_t done, uint64_t all,
                      GError **error)
{
    if (!progress || progress(opaque, all ? (double)done / (double)all : 1))
        return false;
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, _("The operation was cancelled."));
    return true;
}

/* ---- the map ---- */

/* What [OFFSET, ...) of the disk is, looking down the chain. */
static int chain_status(BlockNode *node, uint64_t offset, uint64_t length, BlockExtent *extent)
{
    *extent = (BlockExtent){.start = offset};
    for (;; node = node->backing, extent->depth++) {
        BlockStatus status;
        if (offset >= node->size) {
            extent->zero = true;
            break;
        }
        int result = node->driver->status(node, offset, MIN(length, node->size - offset), &status);
        if (result)
            return result;
        length = status.length;
        if (!status.allocated && node->backing)
            continue;
        extent->present = status.allocated;
        extent->zero = status.zero || !status.allocated;
        extent->data = status.allocated && !status.zero;
        extent->compressed = status.compressed;
        extent->has_offset = status.allocated && status.has_host_offset;
        extent->offset = status.host_offset;
        extent->path = node->file->path;
        break;
    }
    extent->length = length;
    return 0;
}

static bool follows(const BlockExtent *a, const BlockExtent *b)
{
    return a->depth == b->depth && a->present == b->present && a->zero == b->zero &&
           a->data == b->data && a->compressed == b->compressed && a->has_offset == b->has_offset &&
           (!a->has_offset || a->offset + a->length == b->offset);
}

bool block_map(const char *path, const char *format, bool share, BlockExtentFunc func, void *opaque,
               GError **error)
{
    BlockNode *node = block_node_open(path, format, share ? BLOCK_FILE_NO_LOCK : 0, 0, error);
    BlockExtent extent, last = {0};
    bool ok = true;

    if (!node)
        return false;
    for (uint64_t at = 0; at < node->size && ok; at += extent.length) {
        int result = chain_status(node, at, node->size - at, &extent);
        if (result) {
            ok = fail(error, false, node, at, result);
        } else if (last.length && follows(&last, &extent)) {
            last.length += extent.length;
        } else {
            if (last.length)
                func(opaque, &last);
            last = extent;
        }
    }
    if (ok && last.length)
        func(opaque, &last);
    block_node_close(node);
    return ok;
}

/* ---- reading ---- */

static bool read_bytes(BlockNode *node, uint64_t at, uint8_t *buffer, uint64_t length,
                       GError **error)
{
    struct iovec iov = {buffer, length};
    BlockCursor cursor;

    block_cursor_init(&cursor, &iov, 1);
    int result = block_node_read_padded(node, at, &cursor, length);
    return result == 0 || fail(error, false, node, at, result);
}

static bool is_zero(const uint8_t *bytes, uint64_t length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* ---- converting ---- */

typedef struct {
    BlockNode *source, *target;
    const BlockConvertOptions *options;
    uint64_t sparse;
} Conversion;

static bool write_bytes(Conversion *c, uint64_t at, uint8_t *buffer, uint64_t length,
                        GError **error)
{
    struct iovec iov = {buffer, length};
    BlockCursor cursor;

    block_cursor_init(&cursor, &iov, 1);
    int result = c->target->driver->write(c->target, at, &cursor, length);
    return result == 0 || fail(error, true, c->target, at, result);
}

static bool write_zeros(Conversion *c, uint64_t at, uint64_t length, GError **error)
{
    if (!c->options->into_existing)
        return true; /* a new image is zeros */
    int result = c->target->driver->write_zeroes(c->target, at, length);
    return result == 0 || fail(error, true, c->target, at, result);
}

/* Zeros of SPARSE bytes in a row, in grains, end a run of data. */
static bool write_sparse(Conversion *c, uint64_t at, uint8_t *buffer, uint64_t length,
                         GError **error)
{
    uint64_t done = 0;

    if (c->sparse == 0)
        return write_bytes(c, at, buffer, length, error);
    while (done < length) {
        uint64_t end = done;
        bool zero = is_zero(buffer + done, MIN(c->sparse, length - done));
        do {
            end = MIN(end + c->sparse, length);
        } while (end < length && is_zero(buffer + end, MIN(c->sparse, length - end)) == zero);
        if (!(zero ? write_zeros(c, at + done, end - done, error)
                   : write_bytes(c, at + done, buffer + done, end - done, error)))
            return false;
        done = end;
    }
    return true;
}

static bool write_packed(Conversion *c, uint64_t at, uint8_t *buffer, uint64_t length,
                         GError **error)
{
    uint32_t cluster = c->target->granule;

    for (uint64_t done = 0; done < length; done += cluster) {
        uint64_t part = MIN(cluster, length - done);
        if (is_zero(buffer + done, part))
            continue;
        memset(buffer + done + part, 0, cluster - part);
        int result = qcow2_write_compressed(c->target, at + done, buffer + done);
        if (result)
            return fail(error, true, c->target, at + done, result);
    }
    return true;
}

static bool copy(Conversion *c, BlockProgress progress, void *opaque, GError **error)
{
    uint64_t size = c->source->size;
    g_autofree uint8_t *buffer = g_malloc(CHUNK);

    for (uint64_t at = 0; at < size;) {
        BlockExtent extent;
        if (cancelled(progress, opaque, at, size, error))
            return false;
        int result = chain_status(c->source, at, size - at, &extent);
        if (result)
            return fail(error, false, c->source, at, result);
        /* Whole clusters at a time when they are packed. */
        if (extent.zero &&
            (!c->options->compress || extent.length >= CHUNK || at + extent.length == size)) {
            uint64_t part = extent.length;
            if (c->options->compress && at + part < size)
                part -= (at + part) % CHUNK;
            if (!write_zeros(c, at, part, error))
                return false;
            at += part;
            if (part > 0)
                continue;
        }
        uint64_t part = c->options->compress ? MIN(CHUNK - at % CHUNK, size - at)
                                             : MIN(extent.length, CHUNK - at % CHUNK);
        if (!read_bytes(c->source, at, buffer, part, error) ||
            !(c->options->compress ? write_packed(c, at, buffer, part, error)
                                   : write_sparse(c, at, buffer, part, error)))
            return false;
        at += part;
    }
    int result = c->target->driver->flush(c->target);
    if (result)
        return fail(error, true, c->target, size, result);
    return !cancelled(progress, opaque, size, size, error);
}

bool block_convert(const char *source, const char *target, const BlockConvertOptions *options,
                   BlockProgress progress, void *opaque, GError **error)
{
    const char *format = options->target_format ? options->target_format : "raw";
    Conversion c = {.options = options, .sparse = options->sparse};
    bool ok = false;

    if (options->compress && !g_str_equal(format, "qcow2")) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                    _("A %s image cannot be compressed. Use the format qcow2."), format);
        return false;
    }
    c.source = block_node_open(source, options->source_format,
                               options->share ? BLOCK_FILE_NO_LOCK : 0, 0, error);
    if (!c.source)
        return false;
    if (options->into_existing || block_image_create(target, format, c.source->size,
                                                     options->target_options, NULL, NULL, error))
        c.target = block_node_open(target, format, BLOCK_FILE_WRITE, 0, error);
    if (c.target && c.target->size < c.source->size)
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
                    _("“%s” is smaller than “%s”. Resize it first."), target, source);
    else if (c.target)
        ok = copy(&c, progress, opaque, error);
    block_node_close(c.target);
    block_node_close(c.source);
    return ok;
}

/* ---- comparing ---- */

static bool compare_nodes(BlockNode *a, BlockNode *b, BlockComparison *comparison, uint64_t *at,
                          BlockProgress progress, void *opaque, GError **error)
{
    uint64_t size = MAX(a->size, b->size);
    g_autofree uint8_t *one = g_malloc(CHUNK), *other = g_malloc(CHUNK);

    while (*at < size) {
        BlockExtent x, y;
        if (cancelled(progress, opaque, *at, size, error))
            return false;
        int result = chain_status(a, *at, size - *at, &x);
        if (result)
            return fail(error, false, a, *at, result);
        result = chain_status(b, *at, size - *at, &y);
        if (result)
            return fail(error, false, b, *at, result);
        uint64_t part = MIN(x.length, y.length);
        if (x.zero && y.zero) {
            *at += part;
            continue;
        }
        part = MIN(part, CHUNK);
        if (!read_bytes(a, *at, one, part, error) || !read_bytes(b, *at, other, part, error))
            return false;
        if (memcmp(one, other, part) != 0) {
            uint64_t n = 0;
            while (one[n] == other[n])
                n++;
            *at += n;
            *comparison = BLOCK_DIFFERENT;
            return true;
        }
        *at += part;
    }
    *comparison = BLOCK_SAME;
    return true;
}

bool block_compare(const char *a, const char *a_format, const char *b, const char *b_format,
                   bool strict, BlockComparison *comparison, uint64_t *at, BlockProgress progress,
                   void *opaque, GError **error)
{
    BlockNode *one = block_node_open(a, a_format, 0, 0, error);
    BlockNode *other = one ? block_node_open(b, b_format, 0, 0, error) : NULL;
    bool ok = false;

    *at = 0;
    if (other && strict && one->size != other->size) {
        *comparison = BLOCK_SIZES_DIFFER;
        ok = true;
    } else if (other) {
        ok = compare_nodes(one, other, comparison, at, progress, opaque, error);
    }
    block_node_close(other);
    block_node_close(one);
    return ok;
}

/* ---- resizing ---- */

bool block_resize(const char *path, const char *format, uint64_t size, bool shrink, GError **error)
{
    BlockNode *node = block_node_open(path, format, BLOCK_FILE_WRITE, 0, error);
    bool ok = false;

    if (!node)
        return false;
    size = (size + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR;
    if (size > INT64_MAX - CHUNK)
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED, _("The new size of “%s” is too large."),
                    path);
    else if (size < node->size && !shrink)
        g_set_error(
            error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
            _("Making “%s” smaller deletes what is at its end. Use the --shrink option to do "
              "so."),
            path);
    else
        ok = size == node->size || node->driver->resize(node, size, error);
    block_node_close(node);
    return ok;
}
