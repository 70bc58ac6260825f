/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* An image whose host misbehaves on request: sectors that cannot be read or written, requests that
 * hang until they are let go. */

#include "core/block/internal.h"

#include <errno.h>

typedef struct {
    GMutex lock;
    GCond changed;
    bool held;                 /* requests wait */
    unsigned waiting;          /* that many do */
    uint64_t bad_from, bad_to; /* bytes that fail */
    int error;
    unsigned flushes, discards;
    uint64_t discarded; /* bytes */
} Faults;

static inline int faulty_enter(Faults *faults, uint64_t offset, uint64_t length)
{
    int error = 0;

    g_mutex_lock(&faults->lock);
    faults->waiting++;
    g_cond_broadcast(&faults->changed);
    while (faults->held)
        g_cond_wait(&faults->changed, &faults->lock);
    faults->waiting--;
    if (offset < faults->bad_to && offset + length > faults->bad_from)
        error = faults->error;
    g_mutex_unlock(&faults->lock);
    return error;
}

static inline int faulty_read(BlockNode *node, uint64_t offset, BlockCursor *cursor,
                              uint64_t length)
{
    int error = faulty_enter(node->state, offset, length);
    return error ? error : block_file_readv(node->file, offset, cursor, length);
}

static inline int faulty_write(BlockNode *node, uint64_t offset, BlockCursor *cursor,
                               uint64_t length)
{
    int error = faulty_enter(node->state, offset, length);
    return error ? error : block_file_writev(node->file, offset, cursor, length);
}

static inline int faulty_flush(BlockNode *node)
{
    ((Faults *)node->state)->flushes++;
    return faulty_enter(node->state, 0, 0);
}

static inline int faulty_discard(BlockNode *node, uint64_t offset, uint64_t length)
{
    Faults *faults = node->state;
    faults->discards++;
    faults->discarded += length;
    return faulty_enter(faults, offset, length);
}

static inline bool faulty_open(BlockNode *node, GError **error)
{
    node->granule = 65536;
    return block_file_size(node->file, &node->size) == 0;
}

static inline void faulty_close(BlockNode *node)
{
}

static const BlockDriver faulty_driver = {
    .name = "faulty",
    .open = faulty_open,
    .close = faulty_close,
    .read = faulty_read,
    .write = faulty_write,
    .flush = faulty_flush,
    .discard = faulty_discard,
};

/* SIZE zero bytes. FAULTS must outlive the image. */
static inline BlockImage *faulty_image(Faults *faults, uint64_t size)
{
    static const BlockOpenOptions options = {.discard = true};
    GError *error = NULL;

    memset(faults, 0, sizeof *faults);
    g_mutex_init(&faults->lock);
    g_cond_init(&faults->changed);
    BlockFile *file = block_file_temporary(&error);
    g_assert_no_error(error);
    g_assert_cmpint(block_file_truncate(file, size), ==, 0);
    BlockNode *node = block_node_new(file, &faulty_driver, NULL, &error);
    g_assert_no_error(error);
    node->state = faults;
    return block_image_new(node, &options);
}

static inline void faults_hold(Faults *faults, bool held)
{
    g_mutex_lock(&faults->lock);
    faults->held = held;
    g_cond_broadcast(&faults->changed);
    g_mutex_unlock(&faults->lock);
}

/* Returns once a request hangs. */
static inline void faults_wait(Faults *faults)
{
    g_mutex_lock(&faults->lock);
    while (!faults->waiting)
        g_cond_wait(&faults->changed, &faults->lock);
    g_mutex_unlock(&faults->lock);
}

static inline gpointer faults_let_go_thread(gpointer faults)
{
    g_usleep(20000);
    faults_hold(faults, false);
    return NULL;
}

/* Lets the hanging requests go in a moment, while the caller waits for them. */
static inline void faults_let_go_soon(Faults *faults)
{
    g_thread_unref(g_thread_new("let-go", faults_let_go_thread, faults));
}
