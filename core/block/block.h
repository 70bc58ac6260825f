/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Disk images: the interface devices and `apiary img` use. Formats live in files of their own
 * (raw.c, qcow2*.c ...). All data I/O is asynchronous on worker threads.
 */

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define BLOCK_SECTOR 512u

typedef struct BlockImage BlockImage;
typedef struct BlockRequest BlockRequest;

#define BLOCK_ERROR (block_error_quark())
GQuark block_error_quark(void);
typedef enum {
    BLOCK_ERROR_FAILED,
    BLOCK_ERROR_FORMAT,      /* malformed or not this format */
    BLOCK_ERROR_UNSUPPORTED, /* a feature we refuse by name */
    BLOCK_ERROR_LOCKED,      /* in use by another process */
    BLOCK_ERROR_NO_SPACE,
} BlockErrorCode;

typedef struct {
    const char *format; /* NULL: probe */
    bool read_only;
    bool snapshot;     /* writes go to an unlinked temporary overlay and are thrown away */
    const char *cache; /* writeback (default), none, writethrough, directsync, unsafe */
    bool discard;      /* guest TRIM frees space */
} BlockOpenOptions;

/* PATH may be an image file or a block device. Blocking; call from any thread but the UI's. Errors
 * name the file, the cause and what to do. */
BlockImage *block_image_open(const char *path, const BlockOpenOptions *options, GError **error);
/* Waits for running requests, flushes, closes. Completions not yet delivered are run inside this
 * call, without taking the completion LOCK: call it with that lock held, or when nothing else of
 * the machine runs any more. NULL allowed. */
void block_image_close(BlockImage *image);

uint64_t block_image_size(const BlockImage *image); /* guest-visible bytes */
bool block_image_read_only(const BlockImage *image);
const char *block_image_path(const BlockImage *image);
const char *block_image_format(const BlockImage *image);
unsigned block_image_backing_depth(const BlockImage *image); /* files below the one at the path */

typedef enum { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES } BlockOp;

/* Completion: ERROR is 0 or a positive errno. Runs on IMAGE's completion context (below). */
typedef void (*BlockDone)(void *opaque, int error);

/* Where completions are delivered: CONTEXT's thread, with LOCK held around the callback (both may
 * be NULL: then on the worker itself). Set before the first request. */
void block_image_set_completion(BlockImage *image, GMainContext *context, GMutex *lock);

/* Starts OP on bytes [OFFSET, OFFSET+LENGTH) of the guest's disk; any byte alignment. IOV memory
 * must stay valid until DONE; it is not used for FLUSH/DISCARD/WRITE_ZEROES. Requests may complete
 * in any order; overlapping ones are serialised by the image. A FLUSH covers every request
 * completed before it was submitted. Past the end: EINVAL (reads) / ENOSPC (writes). Any thread. */
void block_image_submit(BlockImage *image, BlockOp op, uint64_t offset, const struct iovec *iov,
                        int n_iov, uint64_t length, BlockDone done, void *opaque);

/* Synchronous convenience over submit, for tools and tests; not on the board thread. 0 or errno. */
int block_image_read(BlockImage *image, uint64_t offset, void *buffer, uint64_t length);
int block_image_write(BlockImage *image, uint64_t offset, const void *buffer, uint64_t length);
int block_image_flush(BlockImage *image);
/* Any OP; BUFFER only for BLOCK_READ and BLOCK_WRITE. */
int block_image_run(BlockImage *image, BlockOp op, uint64_t offset, void *buffer, uint64_t length);

typedef struct {
    uint64_t read_bytes, write_bytes, read_ops, write_ops, flush_ops;
} BlockStatistics;
BlockStatistics block_image_statistics(BlockImage *image);

/* qemu-img's `create -f FORMAT -o OPTIONS -b BACKING -F BACKING_FORMAT PATH SIZE`; size 0 with a
 * backing file takes its size. OPTIONS is "key=value,..." or NULL. */
bool block_image_create(const char *path, const char *format, uint64_t size, const char *options,
                        const char *backing, const char *backing_format, GError **error);
