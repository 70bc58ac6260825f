/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Power cuts. The calls that change a file are wrapped and logged; then a disk is imagined that
 * lost its power at a random moment: everything before the last fdatasync is there, of what came
 * after any part may be, in any order and torn at sectors. Such an image must have no corrupt
 * metadata, and everything that a completed flush covered.
 */

#include "core/block/check.h"
#include "core/block/snapshot.h"
#include "tests/core/block/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE   (1024 * 1024 + 512)
#define OPS    120
#define CUTS   25
#define SECTOR 512

typedef enum { LOG_WRITE, LOG_ZERO, LOG_TRUNCATE, LOG_SYNC, LOG_FLUSHED } Kind;

typedef struct {
    Kind kind;
    uint64_t offset, length;
    uint8_t *data; /* of a write; of LOG_FLUSHED, the guest's disk */
} Entry;

static GMutex log_lock;
static GArray *log; /* NULL: nothing is logged */
static dev_t log_device;
static ino_t log_inode;

/* Writes that still succeed before one does not; negative: all do. */
static int until_failure = -1;
static int failure; /* the errno */

/* ---- the wrapped calls ---- */

static bool is_logged(int fd)
{
    struct stat st;

    return log && fstat(fd, &st) == 0 && st.st_dev == log_device && st.st_ino == log_inode;
}

static bool must_fail(int fd)
{
    if (!is_logged(fd) || until_failure < 0 || until_failure-- > 0)
        return false;
    errno = failure;
    return true;
}

static void add(Kind kind, uint64_t offset, const void *data, uint64_t length)
{
    Entry entry = {kind, offset, length, data ? g_memdup2(data, length) : NULL};

    g_mutex_lock(&log_lock);
    g_array_append_val(log, entry);
    g_mutex_unlock(&log_lock);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    if (must_fail(fd))
        return -1;
    ssize_t n = syscall(SYS_pwrite64, fd, data, length, offset);

    if (n > 0 && is_logged(fd))
        add(LOG_WRITE, (uint64_t)offset, data, (uint64_t)n);
    return n;
}

ssize_t pwritev(int fd, const struct iovec *iov, int n_iov, off_t offset)
{
    ssize_t done = 0;

    for (int i = 0; i < n_iov; i++) {
        if (iov[i].iov_len == 0)
            continue;
        ssize_t n = pwrite(fd, iov[i].iov_base, iov[i].iov_len, offset + done);
        if (n < 0)
            return done ? done : n;
        done += n;
    }
    return done;
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    int result = (int)syscall(SYS_fallocate, fd, mode, offset, length);

    if (result == 0 && is_logged(fd))
        add(LOG_ZERO, (uint64_t)offset, NULL, (uint64_t)length);
    return result;
}

int ftruncate(int fd, off_t length)
{
    int result = (int)syscall(SYS_ftruncate, fd, length);

    if (result == 0 && is_logged(fd))
        add(LOG_TRUNCATE, (uint64_t)length, NULL, 0);
    return result;
}

int fdatasync(int fd)
{
    if (is_logged(fd))
        add(LOG_SYNC, 0, NULL, 0);
    return 0;
}

/* ---- the imagined disk ---- */

static void make_room(GByteArray *disk, uint64_t end)
{
    guint old = disk->len;

    if (end > old) {
        g_byte_array_set_size(disk, (guint)end);
        memset(disk->data + old, 0, end - old);
    }
}

/* PARTLY: only some of its sectors arrive. */
static void apply(GByteArray *disk, const Entry *entry, bool partly)
{
    if (entry->kind == LOG_TRUNCATE) {
        make_room(disk, entry->offset);
        g_byte_array_set_size(disk, (guint)entry->offset);
    }
    if (entry->kind != LOG_WRITE && entry->kind != LOG_ZERO)
        return;
    for (uint64_t at = 0; at < entry->length;) {
        uint64_t part = MIN(SECTOR - (entry->offset + at) % SECTOR, entry->length - at);
        if (!partly || g_random_boolean()) {
            make_room(disk, entry->offset + at + part);
            if (entry->data)
                memcpy(disk->data + entry->offset + at, entry->data + at, part);
            else
                memset(disk->data + entry->offset + at, 0, part);
        }
        at += part;
    }
}

static GByteArray *cut_power(const GByteArray *before, guint cut)
{
    GByteArray *disk = g_byte_array_new();
    guint synced = 0;
    /* Sometimes the program just dies, and the host writes everything in the end. */
    bool killed = g_random_int_range(0, 4) == 0;

    g_byte_array_append(disk, before->data, before->len);
    for (guint i = 0; i < cut; i++)
        if (g_array_index(log, Entry, i).kind == LOG_SYNC)
            synced = i;
    for (guint i = 0; i < cut; i++) {
        const Entry *entry = &g_array_index(log, Entry, i);
        if (i < synced || killed)
            apply(disk, entry, false);
        else if (g_random_boolean())
            apply(disk, entry, g_random_boolean());
    }
    return disk;
}

static void assert_sound(const char *path, bool ask_qemu)
{
    GError *error = NULL;
    BlockCheck check;
    BlockNode *node =
        block_node_open(path, "qcow2", 0, BLOCK_NODE_CHECK | BLOCK_NODE_NO_BACKING, &error);

    g_assert_no_error(error);
    g_assert_true(qcow2_check(node, BLOCK_CHECK_FIX_NONE, &check, NULL, NULL, &error));
    g_assert_no_error(error);
    block_node_close(node);
    g_assert_cmpuint(check.corruptions, ==, 0);
    g_autofree char *found = g_find_program_in_path("qemu-img");
    if (!ask_qemu || !found)
        return;
    int status = shell("qemu-img check '%s'", path);
    g_assert_true(status == 0 || status == 3); /* 3: leaked clusters */
}

/* What the last flush before CUT promised, and what may have changed since. */
static void assert_flushed(BlockImage *image, guint cut, const GArray *touched_at)
{
    const uint8_t *promised = NULL;
    guint flushed = 0;
    g_autofree uint8_t *seen = g_malloc(SIZE);

    for (guint i = 0; i < cut; i++) {
        if (g_array_index(log, Entry, i).kind == LOG_FLUSHED) {
            promised = g_array_index(log, Entry, i).data;
            flushed = i;
        }
    }
    g_assert_cmpint(block_image_read(image, 0, seen, SIZE), ==, 0);
    g_autofree uint8_t *touched = g_malloc0(SIZE / SECTOR + 1);
    for (guint i = 0; i < touched_at->len; i++) {
        const Entry *entry = &g_array_index(touched_at, Entry, i);
        /* `data` is where in the log the request began. */
        if (GPOINTER_TO_UINT(entry->data) <= flushed || GPOINTER_TO_UINT(entry->data) > cut)
            continue;
        for (uint64_t at = entry->offset / SECTOR;
             entry->length && at <= (entry->offset + entry->length - 1) / SECTOR; at++)
            touched[at] = 1;
    }
    for (uint64_t at = 0; promised && at < SIZE / SECTOR; at++)
        if (!touched[at])
            g_assert_cmpmem(seen + at * SECTOR, SECTOR, promised + at * SECTOR, SECTOR);
}

/* ---- the guest ---- */

static void act(BlockImage *image, uint8_t *model, GArray *touched_at)
{
    Entry request = {.offset = (uint64_t)g_random_int_range(0, SIZE),
                     .length = (uint64_t)g_random_int_range(0, 60000),
                     .data = GUINT_TO_POINTER(log->len)};

    request.length = MIN(request.length, SIZE - request.offset);
    switch (g_random_int_range(0, 10)) {
    case 0:
        g_assert_cmpint(block_image_flush(image), ==, 0);
        add(LOG_FLUSHED, 0, model, SIZE);
        return;
    case 1:
        memset(model + request.offset, 0, request.length);
        g_assert_cmpint(
            block_image_run(image, BLOCK_WRITE_ZEROES, request.offset, NULL, request.length), ==,
            0);
        break;
    case 2:
        g_assert_cmpint(block_image_run(image, BLOCK_DISCARD, request.offset, NULL, request.length),
                        ==, 0);
        g_assert_cmpint(
            block_image_read(image, request.offset, model + request.offset, request.length), ==, 0);
        break;
    default:
        memset(model + request.offset, g_random_int_range(1, 256), request.length);
        g_assert_cmpint(
            block_image_write(image, request.offset, model + request.offset, request.length), ==,
            0);
    }
    g_array_append_val(touched_at, request);
}

static void start_log(const char *path)
{
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    log_device = st.st_dev;
    log_inode = st.st_ino;
    log = g_array_new(FALSE, FALSE, sizeof(Entry));
}

static void stop_log(void)
{
    for (guint i = 0; i < log->len; i++)
        g_free(g_array_index(log, Entry, i).data);
    g_clear_pointer(&log, g_array_unref);
}

static GByteArray *load(const char *path)
{
    char *text;
    gsize length;

    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    return g_byte_array_new_take((guint8 *)text, length);
}

static void test_power_cuts(gconstpointer data)
{
    const char *options = data;
    g_autofree char *path = in_folder("disk.qcow2"), *cut_path = in_folder("cut.qcow2");
    g_autofree uint8_t *model = g_malloc0(SIZE);
    BlockOpenOptions open_options = {.discard = true};
    g_autoptr(GError) error = NULL;

    g_assert_true(block_image_create(path, "qcow2", SIZE, options, NULL, NULL, &error));
    /* Something to be overwritten, half of it shared with a snapshot. */
    BlockImage *image = open_image(path, NULL);
    exercise(image, model, SIZE, 15, false);
    block_image_close(image);
    if (!strstr(options, "refcount_bits=1"))
        g_assert_true(block_snapshot_create(path, "before", NULL));

    g_autoptr(GByteArray) before = load(path);
    g_autoptr(GArray) touched_at = g_array_new(FALSE, FALSE, sizeof(Entry));
    start_log(path);
    image = block_image_open(path, &open_options, &error);
    g_assert_no_error(error);
    add(LOG_FLUSHED, 0, model, SIZE);
    for (int i = 0; i < OPS; i++)
        act(image, model, touched_at);
    block_image_close(image);
    for (int i = 0; i < CUTS; i++) {
        guint cut = (guint)g_random_int_range(1, (gint32)log->len + 1);
        GByteArray *disk = cut_power(before, cut);
        GArray *kept = log;
        g_assert_true(g_file_set_contents(cut_path, (char *)disk->data, disk->len, NULL));
        log = NULL;
        assert_sound(cut_path, i % 5 == 0);
        image = open_image(cut_path, "qcow2");
        log = kept;
        assert_flushed(image, cut, touched_at);
        block_image_close(image);
        g_byte_array_unref(disk);
    }
    stop_log();
}

/* The host's disk is full or broken now and then: the guest sees an error, and nothing else is
 * lost. */
static void test_host_errors(gconstpointer data)
{
    g_autofree char *path = in_folder("failing.qcow2");
    g_autofree uint8_t *model = g_malloc0(SIZE), *buffer = g_malloc0(SIZE);
    BlockOpenOptions options = {.discard = true};
    int failed = 0;

    g_assert_true(block_image_create(path, "qcow2", SIZE, data, NULL, NULL, NULL));
    start_log(path);
    BlockImage *image = block_image_open(path, &options, NULL);
    for (int i = 0; i < 400; i++) {
        uint64_t offset = (uint64_t)g_random_int_range(0, SIZE);
        uint64_t length = (uint64_t)g_random_int_range(1, 60000);
        static const BlockOp ops[] = {BLOCK_WRITE, BLOCK_WRITE, BLOCK_WRITE_ZEROES, BLOCK_DISCARD,
                                      BLOCK_FLUSH};
        BlockOp op = ops[g_random_int_range(0, G_N_ELEMENTS(ops))];
        length = MIN(length, SIZE - offset);
        failure = i % 2 ? ENOSPC : EIO;
        until_failure = g_random_int_range(0, 12);
        memset(buffer, g_random_int_range(1, 256), length);
        int result = block_image_run(image, op, offset, buffer, length);
        until_failure = -1;
        if (result) {
            g_assert_cmpint(result, ==, failure);
            failed++;
        }
        if (op == BLOCK_WRITE && result == 0)
            memcpy(model + offset, buffer, length);
        else if (op == BLOCK_WRITE_ZEROES && result == 0)
            memset(model + offset, 0, length);
        else if (op != BLOCK_FLUSH) /* any part of it may have happened */
            g_assert_cmpint(block_image_read(image, offset, model + offset, length), ==, 0);
    }
    g_assert_cmpint(failed, >, 10);
    g_assert_cmpint(block_image_flush(image), ==, 0);
    assert_contents(image, model, SIZE);
    block_image_close(image);
    stop_log();
    assert_sound(path, true);
    image = open_image(path, NULL);
    assert_contents(image, model, SIZE);
    block_image_close(image);
}

static void silent(const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
}

/* An image that says it was not closed has its refcounts counted again when it is opened. */
static void test_dirty(void)
{
    g_autofree char *path = in_folder("dirty.qcow2");
    g_autofree uint8_t *model = g_malloc0(SIZE);

    if (!have_qemu_img())
        return;
    must("qemu-img create -f qcow2 -o lazy_refcounts=on dirty.qcow2 %d", SIZE);
    /* qemu-io is killed while its refcounts are still to be written. */
    shell("qemu-io -c 'write -P 5 0 1M' -c 'sigraise 9' dirty.qcow2");
    memset(model, 5, 1024 * 1024);
    g_assert_cmpint(shell("qemu-img check dirty.qcow2"), !=, 0);
    BlockImage *image = open_image(path, NULL);
    assert_contents(image, model, SIZE);
    exercise(image, model, SIZE, 50, false);
    block_image_close(image);
    assert_qemu_agrees(path, model, SIZE);
}

int main(int argc, char **argv)
{
    static const char *const shapes[] = {"cluster_size=512",
                                         "cluster_size=4k",
                                         "cluster_size=64k",
                                         "cluster_size=1k,refcount_bits=1",
                                         "cluster_size=512,refcount_bits=64",
                                         "compat=0.10,cluster_size=8k"};

    g_test_init(&argc, &argv, NULL);
    g_log_set_handler("apiary-block", G_LOG_LEVEL_MESSAGE, silent, NULL);
    g_free(in_folder("."));
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autofree char *name = g_strdup_printf("/block/power-cut/%s", shapes[i]);
        g_autofree char *errors = g_strdup_printf("/block/host-errors/%s", shapes[i]);
        g_test_add_data_func(name, shapes[i], test_power_cuts);
        g_test_add_data_func(errors, shapes[i], test_host_errors);
    }
    g_test_add_func("/block/dirty", test_dirty);
    return run_tests();
}
