/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Whole-disk operations: copying into another format, comparing, resizing. All blocking. */

#include "core/block/block.h"

/* FRACTION from 0 to 1; false stops the work (G_IO_ERROR_CANCELLED). */
typedef bool (*BlockProgress)(void *opaque, double fraction);

typedef struct {
    const char *source_format;  /* NULL: probe */
    const char *target_format;  /* NULL: raw */
    const char *target_options; /* as block_image_create's */
    bool compress;
    bool share; /* read the source while another program may be writing it */
    bool into_existing;
    uint64_t sparse; /* zeros of at least this many bytes are left out; 0: never; default 4096 */
} BlockConvertOptions;

bool block_convert(const char *source, const char *target, const BlockConvertOptions *options,
                   BlockProgress progress, void *opaque, GError **error);

typedef enum { BLOCK_SAME, BLOCK_DIFFERENT, BLOCK_SIZES_DIFFER } BlockComparison;

/* What is longer has to be zeros to be the same, unless STRICT. *AT: the first difference. */
bool block_compare(const char *a, const char *a_format, const char *b, const char *b_format,
                   bool strict, BlockComparison *comparison, uint64_t *at, BlockProgress progress,
                   void *opaque, GError **error);

/* SHRINK: allow to cut off data. */
bool block_resize(const char *path, const char *format, uint64_t size, bool shrink, GError **error);

/* One stretch of a disk and where in the chain it comes from. */
typedef struct {
    uint64_t start, length;
    unsigned depth; /* 0: the image itself */
    bool present, zero, data, compressed, has_offset;
    uint64_t offset;
    const char *path; /* the file with the data */
} BlockExtent;

typedef void (*BlockExtentFunc)(void *opaque, const BlockExtent *extent);

bool block_map(const char *path, const char *format, bool share, BlockExtentFunc func, void *opaque,
               GError **error);
