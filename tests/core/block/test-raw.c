/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Raw images and the request queue. */

#include "core/block/block.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (1024 * 1024)

static char *folder;

static char *new_raw(const char *name, uint64_t size)
{
    GError *error = NULL;
    char *path = g_build_filename(folder, name, NULL);

    g_assert_true(block_image_create(path, "raw", size, NULL, NULL, NULL, &error));
    g_assert_no_error(error);
    return path;
}

static void test_bytes(gconstpointer data)
{
    const char *cache = data;
    g_autofree char *path = new_raw("bytes.img", SIZE);
    BlockOpenOptions options = {.format = "raw", .cache = cache, .discard = true};
    g_autofree uint8_t *model = g_malloc0(SIZE), *seen = g_malloc(SIZE);
    GError *error = NULL;
    BlockImage *image = block_image_open(path, &options, &error);

    if (!image && g_error_matches(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED)) {
        g_test_skip(error->message);
        return;
    }
    g_assert_no_error(error);
    g_assert_cmpuint(block_image_size(image), ==, SIZE);
    g_assert_cmpstr(block_image_format(image), ==, "raw");
    for (int i = 0; i < 300; i++) {
        uint32_t offset = (uint32_t)g_random_int_range(0, SIZE);
        uint32_t length = (uint32_t)g_random_int_range(0, 20000);
        length = MIN(length, SIZE - offset);
        switch (g_random_int_range(0, 6)) {
        case 0:
            g_assert_cmpint(block_image_run(image, BLOCK_WRITE_ZEROES, offset, NULL, length), ==,
                            0);
            memset(model + offset, 0, length);
            break;
        case 1:
            g_assert_cmpint(block_image_read(image, offset, seen, length), ==, 0);
            g_assert_cmpmem(seen, length, model + offset, length);
            break;
        default:
            for (uint32_t n = 0; n < length; n++)
                model[offset + n] = (uint8_t)g_random_int();
            g_assert_cmpint(block_image_write(image, offset, model + offset, length), ==, 0);
        }
    }
    g_assert_cmpint(block_image_flush(image), ==, 0);
    g_assert_cmpint(block_image_read(image, 0, seen, SIZE), ==, 0);
    g_assert_cmpmem(seen, SIZE, model, SIZE);
    g_assert_cmpint(block_image_read(image, SIZE - 1, seen, 2), ==, EINVAL);
    g_assert_cmpint(block_image_write(image, SIZE, seen, 1), ==, ENOSPC);
    g_assert_cmpuint(block_image_statistics(image).flush_ops, ==, 1);
    block_image_close(image);
    g_autofree char *text = NULL;
    gsize length;
    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    g_assert_cmpmem(text, length, model, SIZE);
}

typedef struct {
    GMainLoop *loop;
    GMutex *lock;
    GThread *thread;
    int left;
} Counter;

static void count_down(void *opaque, int error)
{
    Counter *counter = opaque;

    g_assert_cmpint(error, ==, 0);
    g_assert_true(g_thread_self() == counter->thread);
    g_assert_false(g_mutex_trylock(counter->lock));
    if (--counter->left == 0)
        g_main_loop_quit(counter->loop);
}

/* Many overlapping writes at once land in the order they were submitted, and complete on the
 * context's thread with the lock held. */
static void test_queue(void)
{
    g_autofree char *path = new_raw("queue.img", SIZE);
    BlockOpenOptions options = {.format = "raw"};
    BlockImage *image = block_image_open(path, &options, NULL);
    g_autofree uint8_t *buffers = g_malloc(256 * 4096), *seen = g_malloc(4096);
    GMainContext *context = g_main_context_new();
    GMutex lock;
    struct iovec iov[256];
    Counter counter = {g_main_loop_new(context, FALSE), &lock, g_thread_self(), 256};

    g_mutex_init(&lock);
    block_image_set_completion(image, context, &lock);
    for (int i = 0; i < 256; i++) {
        memset(buffers + i * 4096, i, 4096);
        iov[i] = (struct iovec){buffers + i * 4096, 4096};
        block_image_submit(image, BLOCK_WRITE, (uint64_t)(i % 4) * 512, &iov[i], 1, 4096,
                           count_down, &counter);
    }
    g_main_loop_run(counter.loop);
    g_assert_cmpint(block_image_read(image, 0, seen, 4096), ==, 0);
    for (int i = 0; i < 4096; i++)
        g_assert_cmpint(seen[i], ==, i < 512 ? 252 : i < 1024 ? 253 : i < 1536 ? 254 : 255);
    /* Whatever is still on its way is delivered by close. */
    counter.left = 2;
    g_mutex_lock(&lock);
    for (int i = 0; i < 2; i++)
        block_image_submit(image, BLOCK_FLUSH, 0, NULL, 0, 0, count_down, &counter);
    block_image_close(image);
    g_mutex_unlock(&lock);
    g_assert_cmpint(counter.left, ==, 0);
    g_main_loop_unref(counter.loop);
    g_main_context_unref(context);
    g_mutex_clear(&lock);
}

static void refused(const char *path, const BlockOpenOptions *options, int code, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(block_image_open(path, options, &error));
    g_assert_error(error, BLOCK_ERROR, code);
    if (!strstr(error->message, words))
        g_error("“%s” does not say “%s”", error->message, words);
}

static void test_errors(void)
{
    g_autofree char *path = new_raw("errors.img", SIZE);
    g_autofree char *missing = g_build_filename(folder, "missing.img", NULL);
    g_autofree char *fifo = g_build_filename(folder, "fifo", NULL);
    g_autofree char *empty = new_raw("empty.img", 0);
    g_autofree char *vmdk = g_build_filename(folder, "disk.vmdk", NULL);
    BlockOpenOptions bad_cache = {.cache = "often"}, bad_format = {.format = "floppy"};

    refused(missing, NULL, BLOCK_ERROR_FAILED, "No such file");
    refused(folder, NULL, BLOCK_ERROR_FAILED, "folder");
    refused(empty, NULL, BLOCK_ERROR_FORMAT, "0 bytes");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    refused(fifo, NULL, BLOCK_ERROR_FAILED, "neither");
    refused(path, &bad_cache, BLOCK_ERROR_UNSUPPORTED, "often");
    refused(path, &bad_format, BLOCK_ERROR_UNSUPPORTED, "floppy");
    g_assert_true(g_file_set_contents(vmdk, "KDMV\1\0\0\0\0\0\0\0", 12, NULL));
    refused(vmdk, NULL, BLOCK_ERROR_UNSUPPORTED, "vmdk");
    if (geteuid() != 0) {
        g_chmod(path, 0);
        refused(path, NULL, BLOCK_ERROR_FAILED, "ermission");
        g_chmod(path, 0400);
        refused(path, NULL, BLOCK_ERROR_FAILED, "read-only");
    }
}

static void test_locks(void)
{
    g_autofree char *path = new_raw("locks.img", SIZE);
    BlockOpenOptions writing = {.format = "raw"}, reading = {.format = "raw", .read_only = true};
    BlockImage *image = block_image_open(path, &writing, NULL);
    uint8_t sector[512] = {0};

    refused(path, &writing, BLOCK_ERROR_LOCKED, "in use");
    refused(path, &reading, BLOCK_ERROR_LOCKED, "in use");
    block_image_close(image);
    BlockImage *first = block_image_open(path, &reading, NULL);
    BlockImage *second = block_image_open(path, &reading, NULL);
    g_assert_nonnull(first);
    g_assert_nonnull(second);
    refused(path, &writing, BLOCK_ERROR_LOCKED, "in use");
    g_assert_true(block_image_read_only(first));
    g_assert_cmpint(block_image_write(first, 0, sector, 512), ==, EROFS);
    block_image_close(first);
    block_image_close(second);
}

/* A guessed raw disk must not become something else by what its guest writes. */
static void test_probed(void)
{
    g_autofree char *path = new_raw("probed.img", SIZE);
    BlockImage *image = block_image_open(path, NULL, NULL);
    uint8_t sector[512] = "QFI\xfb\0\0\0\3";

    g_assert_cmpstr(block_image_format(image), ==, "raw");
    g_assert_cmpint(block_image_write(image, 0, sector, 512), ==, EPERM);
    g_assert_cmpint(block_image_write(image, 512, sector, 512), ==, 0);
    block_image_close(image);
    BlockOpenOptions named = {.format = "raw"};
    image = block_image_open(path, &named, NULL);
    g_assert_cmpint(block_image_write(image, 0, sector, 512), ==, 0);
    block_image_close(image);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("apiary-raw-XXXXXX", NULL);
    g_test_add_data_func("/block/raw/bytes/writeback", "writeback", test_bytes);
    g_test_add_data_func("/block/raw/bytes/writethrough", "writethrough", test_bytes);
    g_test_add_data_func("/block/raw/bytes/none", "none", test_bytes);
    g_test_add_data_func("/block/raw/bytes/unsafe", "unsafe", test_bytes);
    g_test_add_func("/block/raw/queue", test_queue);
    g_test_add_func("/block/raw/errors", test_errors);
    g_test_add_func("/block/raw/locks", test_locks);
    g_test_add_func("/block/raw/probed", test_probed);
    int result = g_test_run();
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", folder);
    return system(command) == 0 ? result : 1;
}
