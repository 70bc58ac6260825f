/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Compressed clusters (qcow2.txt, "Compressed Clusters Descriptor"): raw deflate or zstd. */

#include "core/block/qcow2-internal.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* Deflate streams in qcow2 use a window of 4 KiB and have no header (RFC 1950 without it). */
#define DEFLATE_WINDOW_BITS 12
/* 2 MiB clusters need 21; a hostile frame must not make us allocate more than this. */
#define ZSTD_WINDOW_LIMIT   24

static int inflate_zlib(const uint8_t *in, uint32_t in_length, uint8_t *out, uint32_t out_length)
{
    z_stream stream = {
        .next_in = (Bytef *)in, .avail_in = in_length, .next_out = out, .avail_out = out_length};

    /* The largest window reads streams of every smaller one. */
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return ENOMEM;
    int state = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    /* What follows the stream up to the sector's end is not its own. */
    return stream.avail_out == 0 && (state == Z_STREAM_END || state == Z_BUF_ERROR || state == Z_OK)
               ? 0
               : EIO;
}

static int inflate_zstd(const uint8_t *in, uint32_t in_length, uint8_t *out, uint32_t out_length)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer from = {in, in_length, 0};
    ZSTD_outBuffer to = {out, out_length, 0};
    int result = 0;

    if (!context)
        return ENOMEM;
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LIMIT);
    while (result == 0 && to.pos < to.size) {
        size_t before_in = from.pos, before_out = to.pos;
        size_t left = ZSTD_decompressStream(context, &to, &from);
        if (ZSTD_isError(left) || (from.pos == before_in && to.pos == before_out))
            result = EIO;
    }
    ZSTD_freeDCtx(context);
    return result;
}

int qcow2_inflate(Qcow2 *s, uint64_t entry, uint32_t in_cluster, BlockCursor *cursor,
                  uint32_t length)
{
    uint64_t offset;
    uint32_t packed;
    int result = 0;

    qcow2_compressed_extent(s, entry, &offset, &packed);
    g_mutex_lock(&s->inflate_lock);
    if (s->inflated_entry != entry) {
        g_autofree uint8_t *in = g_malloc(packed);
        if (!s->inflated)
            s->inflated = g_malloc(s->cluster_size);
        s->inflated_entry = 0;
        result = block_file_read(s->file, offset, in, packed);
        if (result == 0)
            result = s->compression == COMPRESSION_ZSTD
                         ? inflate_zstd(in, packed, s->inflated, s->cluster_size)
                         : inflate_zlib(in, packed, s->inflated, s->cluster_size);
        if (result == 0)
            s->inflated_entry = entry;
    }
    if (result == 0)
        block_cursor_put(cursor, s->inflated + in_cluster, length);
    g_mutex_unlock(&s->inflate_lock);
    return result;
}

/* The packed length, or 0 if CLUSTER does not get smaller. */
static uint32_t deflate_zlib(const uint8_t *cluster, uint8_t *out, uint32_t length)
{
    z_stream stream = {
        .next_in = (Bytef *)cluster, .avail_in = length, .next_out = out, .avail_out = length - 1};

    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -DEFLATE_WINDOW_BITS, 9,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    int state = deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    return state == Z_STREAM_END ? (uint32_t)stream.total_out : 0;
}

static uint32_t deflate_zstd(const uint8_t *cluster, uint8_t *out, uint32_t length)
{
    size_t packed = ZSTD_compress(out, length - 1, cluster, length, ZSTD_CLEVEL_DEFAULT);

    return ZSTD_isError(packed) ? 0 : (uint32_t)packed;
}

int qcow2_write_compressed(BlockNode *node, uint64_t offset, const uint8_t *cluster)
{
    Qcow2 *s = node->state;
    uint64_t host, index = qcow2_cluster_of(s, offset);
    g_autofree uint8_t *out = g_malloc(s->cluster_size);
    uint32_t packed = s->compression == COMPRESSION_ZSTD
                          ? deflate_zstd(cluster, out, s->cluster_size)
                          : deflate_zlib(cluster, out, s->cluster_size);

    if (packed == 0) {
        struct iovec iov = {(void *)cluster, s->cluster_size};
        BlockCursor cursor;
        block_cursor_init(&cursor, &iov, 1);
        return qcow2_write(node, offset, &cursor, MIN(s->cluster_size, node->size - offset));
    }
    g_mutex_lock(&s->lock);
    int result = qcow2_make_l2(s, index);
    if (result == 0)
        result = qcow2_alloc_bytes(s, packed, &host);
    g_mutex_unlock(&s->lock);
    if (result == 0)
        result = block_file_write(s->file, host, out, packed);
    if (result)
        return result;
    uint64_t sectors = ((host + packed - 1) >> 9) - (host >> 9);
    uint64_t entry = ENTRY_COMPRESSED | sectors << (62 - (s->cluster_bits - 8)) | host;
    g_mutex_lock(&s->lock);
    result = qcow2_link(s, index, 1, entry, 0, false);
    g_mutex_unlock(&s->lock);
    return result;
}
