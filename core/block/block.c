/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The request queue of an image. Requests go to a few worker threads, which do blocking I/O; those
 * that touch the same granule wait for each other in the order they came, so that a format driver
 * never sees two writers of one cluster. Completions go to the board thread by a GSource, or are
 * called on the worker.
 */

#define G_LOG_DOMAIN "apiary-block"

#include "core/block/internal.h"
#include "core/block/qcow2.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

#define MAX_WORKERS 4

G_DEFINE_QUARK(block - error - quark, block_error)

struct BlockRequest {
    GList link; /* in active, waiting or finished */
    BlockOp op;
    uint64_t offset, length;
    uint64_t first, last; /* granules; first > last for none */
    const struct iovec *iov;
    int n_iov;
    BlockDone done;
    void *opaque;
    int error;
    bool on_worker; /* deliver there whatever the completion context is */
};

struct BlockImage {
    BlockNode *node;
    char *path;
    bool read_only, writethrough, discard;

    GThreadPool *workers;
    GMutex lock;
    GCond idle;
    GQueue active;   /* given to workers */
    GQueue waiting;  /* behind an earlier one on the same granule */
    GQueue finished; /* not yet delivered */
    BlockStatistics statistics;
    int reported; /* the last errno that was logged */

    GSource *source;
    GMutex *completion_lock;
};

/* ---- conflicts ---- */

static bool is_reading(const BlockRequest *request)
{
    return request->op == BLOCK_READ;
}

static bool conflicts(const BlockRequest *a, const BlockRequest *b)
{
    if (is_reading(a) && is_reading(b))
        return false;
    return a->first <= b->last && b->first <= a->last;
}

static bool conflicts_with_any(const BlockRequest *request, const GQueue *queue,
                               const GList *before)
{
    for (const GList *l = queue->head; l && l != before; l = l->next)
        if (conflicts(request, l->data))
            return true;
    return false;
}

/* ---- completion ---- */

static void report_once(BlockImage *image, const BlockRequest *request)
{
    static const char *const verbs[] = {"read", "write", "flush", "discard", "write zeros"};

    if (image->reported == request->error)
        return;
    image->reported = request->error;
    g_message("%s: cannot %s at byte %" G_GUINT64_FORMAT ": %s", image->path, verbs[request->op],
              request->offset, g_strerror(request->error));
}

static void deliver(GQueue *queue)
{
    GList *link;

    while ((link = g_queue_pop_head_link(queue))) {
        BlockRequest *request = link->data;
        request->done(request->opaque, request->error);
        g_free(request);
    }
}

static void take_finished(BlockImage *image, GQueue *out)
{
    g_mutex_lock(&image->lock);
    *out = image->finished;
    g_queue_init(&image->finished);
    g_mutex_unlock(&image->lock);
}

typedef struct {
    GSource source;
    BlockImage *image;
    GMutex *lock;
} CompletionSource;

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    CompletionSource *completion = (CompletionSource *)source;
    GMutex *lock = completion->lock;
    GQueue queue;

    g_source_set_ready_time(source, -1);
    if (lock)
        g_mutex_lock(lock);
    /* The image may have been closed, and freed, while we waited for the lock. */
    if (!g_source_is_destroyed(source)) {
        take_finished(completion->image, &queue);
        deliver(&queue);
    }
    if (lock)
        g_mutex_unlock(lock);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {.dispatch = source_dispatch};

void block_image_set_completion(BlockImage *image, GMainContext *context, GMutex *lock)
{
    g_return_if_fail(!image->source);
    image->completion_lock = lock;
    if (!context)
        return;
    image->source = g_source_new(&source_funcs, sizeof(CompletionSource));
    ((CompletionSource *)image->source)->image = image;
    ((CompletionSource *)image->source)->lock = lock;
    g_source_set_name(image->source, "block completion");
    g_source_attach(image->source, context);
}

/* ---- workers ---- */

static int run(BlockImage *image, BlockRequest *request)
{
    BlockNode *node = image->node;
    BlockCursor cursor;
    int result = 0;

    block_cursor_init(&cursor, request->iov, request->n_iov);
    switch (request->op) {
    case BLOCK_READ: return node->driver->read(node, request->offset, &cursor, request->length);
    case BLOCK_WRITE:
        result = node->driver->write(node, request->offset, &cursor, request->length);
        break;
    case BLOCK_WRITE_ZEROES:
        result = node->driver->write_zeroes(node, request->offset, request->length);
        break;
    case BLOCK_DISCARD:
        return image->discard ? node->driver->discard(node, request->offset, request->length) : 0;
    case BLOCK_FLUSH: return node->driver->flush(node);
    }
    if (result == 0 && image->writethrough)
        result = node->driver->flush(node);
    return result;
}

static void start(BlockImage *image, BlockRequest *request)
{
    g_queue_push_tail_link(&image->active, &request->link);
    g_thread_pool_push(image->workers, request, NULL);
}

static void start_waiting(BlockImage *image)
{
    for (GList *l = image->waiting.head, *next; l; l = next) {
        next = l->next;
        if (conflicts_with_any(l->data, &image->active, NULL) ||
            conflicts_with_any(l->data, &image->waiting, l))
            continue;
        g_queue_unlink(&image->waiting, l);
        start(image, l->data);
    }
}

static void count(BlockImage *image, const BlockRequest *request)
{
    BlockStatistics *statistics = &image->statistics;

    if (request->error)
        return;
    switch (request->op) {
    case BLOCK_READ:
        statistics->read_ops++;
        statistics->read_bytes += request->length;
        break;
    case BLOCK_WRITE:
        statistics->write_ops++;
        statistics->write_bytes += request->length;
        break;
    case BLOCK_FLUSH: statistics->flush_ops++; break;
    default: break;
    }
}

static void worker(gpointer data, gpointer user_data)
{
    BlockRequest *request = data;
    BlockImage *image = user_data;
    bool to_context = image->source && !request->on_worker;
    GMutex *lock = request->on_worker ? NULL : image->completion_lock;

    if (!request->error)
        request->error = run(image, request);
    if (request->error)
        report_once(image, request);
    g_mutex_lock(&image->lock);
    count(image, request);
    g_mutex_unlock(&image->lock);
    if (!to_context) {
        /* Called before the request leaves `active`, so that close() waits for it. */
        if (lock)
            g_mutex_lock(lock);
        request->done(request->opaque, request->error);
        if (lock)
            g_mutex_unlock(lock);
    }
    g_mutex_lock(&image->lock);
    g_queue_unlink(&image->active, &request->link);
    if (to_context) {
        bool first = g_queue_is_empty(&image->finished);
        g_queue_push_tail_link(&image->finished, &request->link);
        if (first)
            g_source_set_ready_time(image->source, 0);
    }
    start_waiting(image);
    if (g_queue_is_empty(&image->active) && g_queue_is_empty(&image->waiting))
        g_cond_broadcast(&image->idle);
    g_mutex_unlock(&image->lock);
    if (!to_context)
        g_free(request);
}

/* ---- requests ---- */

static int check_request(BlockImage *image, BlockOp op, uint64_t offset, uint64_t length)
{
    uint64_t size = image->node->size;

    if (op == BLOCK_FLUSH)
        return 0;
    if (op != BLOCK_READ && image->read_only)
        return EROFS;
    if (offset > size || length > size - offset)
        return op == BLOCK_READ ? EINVAL : ENOSPC;
    return 0;
}

static void submit(BlockImage *image, BlockRequest *request)
{
    uint32_t granule = image->node->granule;

    request->link.data = request;
    request->error = check_request(image, request->op, request->offset, request->length);
    request->first = 1;
    if (!request->error && request->op != BLOCK_FLUSH && request->length > 0) {
        request->first = request->offset / granule;
        request->last = (request->offset + request->length - 1) / granule;
    }
    g_mutex_lock(&image->lock);
    if (conflicts_with_any(request, &image->active, NULL) ||
        conflicts_with_any(request, &image->waiting, NULL))
        g_queue_push_tail_link(&image->waiting, &request->link);
    else
        start(image, request);
    g_mutex_unlock(&image->lock);
}

void block_image_submit(BlockImage *image, BlockOp op, uint64_t offset, const struct iovec *iov,
                        int n_iov, uint64_t length, BlockDone done, void *opaque)
{
    BlockRequest *request = g_new0(BlockRequest, 1);

    request->op = op;
    request->offset = offset;
    request->length = length;
    request->done = done;
    request->opaque = opaque;
    request->iov = iov;
    request->n_iov = n_iov;
    submit(image, request);
}

typedef struct {
    GMutex lock;
    GCond done;
    bool finished;
    int error;
} Waiter;

static void wake_waiter(void *opaque, int error)
{
    Waiter *waiter = opaque;

    g_mutex_lock(&waiter->lock);
    waiter->finished = true;
    waiter->error = error;
    g_cond_signal(&waiter->done);
    g_mutex_unlock(&waiter->lock);
}

int block_image_run(BlockImage *image, BlockOp op, uint64_t offset, void *buffer, uint64_t length)
{
    struct iovec iov = {buffer, length};
    BlockRequest *request = g_new0(BlockRequest, 1);
    Waiter waiter = {0};

    g_mutex_init(&waiter.lock);
    g_cond_init(&waiter.done);
    request->op = op;
    request->offset = offset;
    request->length = length;
    request->iov = &iov;
    request->n_iov = 1;
    request->done = wake_waiter;
    request->opaque = &waiter;
    request->on_worker = true;
    submit(image, request);
    g_mutex_lock(&waiter.lock);
    while (!waiter.finished)
        g_cond_wait(&waiter.done, &waiter.lock);
    g_mutex_unlock(&waiter.lock);
    g_cond_clear(&waiter.done);
    g_mutex_clear(&waiter.lock);
    return waiter.error;
}

int block_image_read(BlockImage *image, uint64_t offset, void *buffer, uint64_t length)
{
    return block_image_run(image, BLOCK_READ, offset, buffer, length);
}

int block_image_write(BlockImage *image, uint64_t offset, const void *buffer, uint64_t length)
{
    return block_image_run(image, BLOCK_WRITE, offset, (void *)buffer, length);
}

int block_image_flush(BlockImage *image)
{
    return block_image_run(image, BLOCK_FLUSH, 0, NULL, 0);
}

BlockStatistics block_image_statistics(BlockImage *image)
{
    g_mutex_lock(&image->lock);
    BlockStatistics statistics = image->statistics;
    g_mutex_unlock(&image->lock);
    return statistics;
}

/* ---- opening and closing ---- */

typedef struct {
    const char *name;
    BlockFileFlags flags;
    bool writethrough;
} CacheMode;

static const CacheMode cache_modes[] = {
    {"writeback", 0, false},
    {"none", BLOCK_FILE_DIRECT, false},
    {"writethrough", 0, true},
    {"directsync", BLOCK_FILE_DIRECT, true},
    {"unsafe", BLOCK_FILE_NO_SYNC, false},
};

static const CacheMode *find_cache_mode(const char *name, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cache_modes); i++)
        if (!name || strcmp(cache_modes[i].name, name) == 0)
            return &cache_modes[i];
    g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                _("There is no cache mode “%s”. Use writeback, none, writethrough, directsync or "
                  "unsafe."),
                name);
    return NULL;
}

BlockImage *block_image_new(BlockNode *node, const BlockOpenOptions *options)
{
    BlockImage *image = g_new0(BlockImage, 1);
    const CacheMode *mode = find_cache_mode(options ? options->cache : NULL, NULL);

    image->node = node;
    image->path = g_strdup(node->file->path);
    image->read_only = node->read_only;
    image->writethrough = mode && mode->writethrough;
    image->discard = options && (options->discard || options->snapshot);
    g_mutex_init(&image->lock);
    g_cond_init(&image->idle);
    image->workers = g_thread_pool_new(worker, image, MAX_WORKERS, FALSE, NULL);
    return image;
}

BlockImage *block_image_open(const char *path, const BlockOpenOptions *options, GError **error)
{
    static const BlockOpenOptions defaults;

    if (!options)
        options = &defaults;
    const CacheMode *mode = find_cache_mode(options->cache, error);
    if (!mode)
        return NULL;
    BlockFileFlags flags = mode->flags;
    if (!options->read_only && !options->snapshot)
        flags |= BLOCK_FILE_WRITE;
    BlockNode *node = block_node_open(path, options->format, flags, 0, error);
    if (!node)
        return NULL;
    if (node->size == 0) {
        g_set_error(
            error, BLOCK_ERROR, BLOCK_ERROR_FORMAT,
            _("“%s” is empty (0 bytes), so there is no disk in it. Choose another image, or "
              "give this one a size with “apiary img resize”."),
            path);
        block_node_close(node);
        return NULL;
    }
    if (options->snapshot && !options->read_only) {
        node = qcow2_temporary_overlay(node, error);
        if (!node)
            return NULL;
    }
    BlockImage *image = block_image_new(node, options);
    g_free(image->path);
    image->path = g_strdup(path);
    return image;
}

void block_image_close(BlockImage *image)
{
    GQueue undelivered;

    if (!image)
        return;
    g_mutex_lock(&image->lock);
    while (!g_queue_is_empty(&image->active) || !g_queue_is_empty(&image->waiting))
        g_cond_wait(&image->idle, &image->lock);
    g_mutex_unlock(&image->lock);
    g_thread_pool_free(image->workers, FALSE, TRUE);
    take_finished(image, &undelivered);
    deliver(&undelivered);
    if (image->source) {
        g_source_destroy(image->source);
        g_source_unref(image->source);
    }
    block_node_close(image->node);
    g_cond_clear(&image->idle);
    g_mutex_clear(&image->lock);
    g_free(image->path);
    g_free(image);
}

uint64_t block_image_size(const BlockImage *image)
{
    return image->node->size;
}

bool block_image_read_only(const BlockImage *image)
{
    return image->read_only;
}

const char *block_image_path(const BlockImage *image)
{
    return image->path;
}

/* Without a thrown-away overlay: the file that the path names. */
static const BlockNode *named_node(const BlockImage *image)
{
    const BlockNode *node = image->node;

    while (node->file->is_link_less && node->backing)
        node = node->backing;
    return node;
}

const char *block_image_format(const BlockImage *image)
{
    return named_node(image)->driver->name;
}

unsigned block_image_backing_depth(const BlockImage *image)
{
    unsigned depth = 0;

    for (const BlockNode *node = named_node(image)->backing; node; node = node->backing)
        depth++;
    return depth;
}

BlockNode *block_image_node(BlockImage *image)
{
    return image->node;
}
