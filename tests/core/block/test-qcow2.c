/* SPDX-License-Identifier: GPL-3.0-or-later */

/* qcow2 images made by us and by QEMU, changed by us, and judged by qemu-img. */

#include "tests/core/block/tools.h"

#define SIZE (6 * 1024 * 1024 + 1536)
#define OPS  250

static const char *const shapes[] = {
    "compat=1.1",
    "compat=0.10",
    "compat=0.10,cluster_size=512",
    "cluster_size=512",
    "cluster_size=512,refcount_bits=64",
    "cluster_size=1k,refcount_bits=1",
    "cluster_size=2k,refcount_bits=2",
    "cluster_size=4k,refcount_bits=4",
    "cluster_size=8k,refcount_bits=8",
    "cluster_size=64k,refcount_bits=32",
    "cluster_size=256k,refcount_bits=64",
    "cluster_size=2M,lazy_refcounts=on",
    "compression_type=zstd",
};

static void test_ours(gconstpointer data)
{
    const char *options = data;
    g_autofree char *path = in_folder("ours.qcow2");
    g_autofree uint8_t *model = g_malloc0(SIZE);
    g_autoptr(GError) error = NULL;

    block_image_create(path, "qcow2", SIZE, options, NULL, NULL, &error);
    g_assert_no_error(error);
    BlockImage *image = open_image(path, NULL);
    g_assert_cmpstr(block_image_format(image), ==, "qcow2");
    assert_contents(image, model, SIZE);
    exercise(image, model, SIZE, OPS, false);
    assert_contents(image, model, SIZE);
    block_image_close(image);
    image = open_image(path, "qcow2");
    assert_contents(image, model, SIZE);
    block_image_close(image);
    if (have_qemu_img())
        assert_qemu_agrees(path, model, SIZE);
}

static void test_qemus(gconstpointer data)
{
    const char *options = data;
    g_autofree char *path = in_folder("qemus.qcow2");
    g_autofree uint8_t *model = g_malloc0(SIZE);

    if (!have_qemu_img())
        return;
    must("qemu-img create -f qcow2 -o %s qemus.qcow2 %d", options, SIZE);
    must("qemu-io -c 'write -P 7 10000 700000' -c 'write -z 0 200000' qemus.qcow2");
    memset(model + 10000, 7, 700000);
    memset(model, 0, 200000);
    BlockImage *image = open_image(path, NULL);
    assert_contents(image, model, SIZE);
    exercise(image, model, SIZE, OPS, false);
    block_image_close(image);
    assert_qemu_agrees(path, model, SIZE);
    must("qemu-io -c 'write -P 9 3000 2000000' qemus.qcow2");
    memset(model + 3000, 9, 2000000);
    image = open_image(path, NULL);
    assert_contents(image, model, SIZE);
    block_image_close(image);
}

/* Both ways, with a base that is shorter than the disk on it. */
static void test_backing(gconstpointer data)
{
    const char *options = data;
    g_autofree char *base = in_folder("base.raw"), *middle = in_folder("middle.qcow2");
    g_autofree char *top = in_folder("top.qcow2");
    g_autofree uint8_t *model = g_malloc0(SIZE);
    uint64_t base_size = 3 * 1024 * 1024 + 512;
    g_autoptr(GError) error = NULL;

    for (uint64_t n = 0; n < base_size; n++)
        model[n] = (uint8_t)(n * 7 + (n >> 12));
    g_assert_true(g_file_set_contents(base, (char *)model, (gssize)base_size, NULL));
    block_image_create(middle, "qcow2", 5 * 1024 * 1024, options, "base.raw", "raw", &error);
    g_assert_no_error(error);
    BlockImage *image = open_image(middle, NULL);
    exercise(image, model, 5 * 1024 * 1024, 30, false);
    block_image_close(image);
    block_image_create(top, "qcow2", SIZE, options, "middle.qcow2", "qcow2", &error);
    g_assert_no_error(error);
    image = open_image(top, NULL);
    assert_contents(image, model, SIZE);
    exercise(image, model, SIZE, OPS, false);
    assert_contents(image, model, SIZE);
    block_image_close(image);
    if (have_qemu_img())
        assert_qemu_agrees(top, model, SIZE);
}

static void test_compressed(gconstpointer data)
{
    const char *options = data;
    g_autofree char *raw = in_folder("plain.raw"), *path = in_folder("packed.qcow2");
    g_autofree uint8_t *model = g_malloc0(SIZE);

    if (!have_qemu_img())
        return;
    for (uint64_t n = 0; n < SIZE; n++)
        model[n] = (uint8_t)((n >> 5) * (n >> 14));
    g_assert_true(g_file_set_contents(raw, (char *)model, SIZE, NULL));
    must("qemu-img convert -c -f raw -O qcow2 -o %s plain.raw packed.qcow2", options);
    BlockImage *image = open_image(path, NULL);
    assert_contents(image, model, SIZE);
    exercise(image, model, SIZE, OPS, false);
    assert_contents(image, model, SIZE);
    block_image_close(image);
    assert_qemu_agrees(path, model, SIZE);
}

static void test_snapshot_kept(gconstpointer data)
{
    const char *options = data;
    g_autofree char *path = in_folder("kept.qcow2");
    g_autofree uint8_t *model = g_malloc0(SIZE), *then = g_malloc(SIZE);

    if (!have_qemu_img())
        return;
    must("qemu-img create -f qcow2 -o %s kept.qcow2 %d", options, SIZE);
    BlockImage *image = open_image(path, NULL);
    exercise(image, model, SIZE, 60, false);
    block_image_close(image);
    memcpy(then, model, SIZE);
    must("qemu-img snapshot -c then kept.qcow2");
    image = open_image(path, NULL);
    exercise(image, model, SIZE, OPS, false);
    block_image_close(image);
    assert_qemu_agrees(path, model, SIZE);
    must("qemu-img snapshot -a then kept.qcow2");
    assert_qemu_agrees(path, then, SIZE);
    image = open_image(path, NULL);
    assert_contents(image, then, SIZE);
    exercise(image, then, SIZE, 60, false);
    block_image_close(image);
    must("qemu-img snapshot -d then kept.qcow2");
    assert_qemu_agrees(path, then, SIZE);
}

/* The refcount table has to grow, several times. */
static void test_growing_refcounts(void)
{
    g_autofree char *path = in_folder("growing.qcow2");
    uint64_t size = 40 * 1024 * 1024;
    g_autofree uint8_t *model = g_malloc0(size);
    g_autoptr(GError) error = NULL;

    block_image_create(path, "qcow2", size, "cluster_size=512,refcount_bits=64", NULL, NULL,
                       &error);
    g_assert_no_error(error);
    BlockImage *image = open_image(path, NULL);
    for (uint64_t n = 0; n < size; n++)
        model[n] = (uint8_t)(n * 13 + (n >> 9));
    for (uint64_t at = 0; at < size; at += 1024 * 1024) {
        uint64_t there = (at * 17) % size;
        g_assert_cmpint(block_image_write(image, there, model + there, 1024 * 1024), ==, 0);
    }
    assert_contents(image, model, size);
    block_image_close(image);
    if (have_qemu_img())
        assert_qemu_agrees(path, model, size);
}

static void test_overlay(void)
{
    g_autofree char *path = in_folder("under.qcow2");
    g_autofree uint8_t *model = g_malloc0(SIZE), *under = g_malloc(SIZE);
    BlockOpenOptions options = {.snapshot = true};
    g_autoptr(GError) error = NULL;

    g_assert_true(block_image_create(path, "qcow2", SIZE, NULL, NULL, NULL, NULL));
    BlockImage *image = open_image(path, NULL);
    exercise(image, model, SIZE, 60, false);
    block_image_close(image);
    memcpy(under, model, SIZE);
    image = block_image_open(path, &options, &error);
    g_assert_no_error(error);
    g_assert_false(block_image_read_only(image));
    g_assert_cmpstr(block_image_format(image), ==, "qcow2");
    assert_contents(image, model, SIZE);
    exercise(image, model, SIZE, OPS, false);
    assert_contents(image, model, SIZE);
    block_image_close(image);
    image = open_image(path, NULL);
    assert_contents(image, under, SIZE);
    block_image_close(image);
}

static void test_cache(gconstpointer data)
{
    static const char *const sizes[] = {"cluster_size=512", "cluster_size=64k"};
    g_autofree char *path = in_folder("cache.qcow2");

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree uint8_t *model = g_malloc0(SIZE);
        BlockOpenOptions options = {.cache = data, .discard = true};
        g_autoptr(GError) error = NULL;

        g_assert_true(block_image_create(path, "qcow2", SIZE, sizes[i], NULL, NULL, NULL));
        BlockImage *image = block_image_open(path, &options, &error);
        if (g_error_matches(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED)) {
            g_test_skip(error->message);
            return;
        }
        g_assert_no_error(error);
        exercise(image, model, SIZE, 60, false);
        assert_contents(image, model, SIZE);
        block_image_close(image);
        if (have_qemu_img())
            assert_qemu_agrees(path, model, SIZE);
    }
}

static void count(void *opaque, int error)
{
    g_assert_cmpint(error, ==, 0);
    g_atomic_int_dec_and_test((int *)opaque);
}

/* Many requests at a time; those that overlap take effect in the order they were given. */
static void test_concurrent(gconstpointer data)
{
    g_autofree char *path = in_folder("concurrent.qcow2");
    g_autofree uint8_t *model = g_malloc0(SIZE), *buffers = g_malloc0(64 * 20000);
    g_autofree uint8_t *read_buffers = g_malloc0(64 * 20000);
    struct iovec iov[64], read_iov[64][3];

    g_assert_true(block_image_create(path, "qcow2", SIZE, data, NULL, NULL, NULL));
    BlockImage *image = open_image(path, NULL);
    for (int round = 0; round < 20; round++) {
        int left = 128;
        for (int i = 0; i < 64; i++) {
            uint64_t length = (uint64_t)g_random_int_range(1, 20000);
            uint64_t offset = (uint64_t)g_random_int_range(0, (gint32)(SIZE - length));
            BlockOp op = i % 8 == 7 ? BLOCK_WRITE_ZEROES : BLOCK_WRITE;
            iov[i] = (struct iovec){buffers + i * 20000, length};
            memset(iov[i].iov_base, op == BLOCK_WRITE ? round * 64 + i : 0, length);
            memcpy(model + offset, iov[i].iov_base, length);
            block_image_submit(image, op, offset, &iov[i], 1, length, count, &left);
            /* In three pieces, to where nobody looks. */
            uint8_t *to = read_buffers + i * 20000;
            read_iov[i][0] = (struct iovec){to, length / 3};
            read_iov[i][1] = (struct iovec){to, 0};
            read_iov[i][2] = (struct iovec){to + length / 3, length - length / 3};
            block_image_submit(image, BLOCK_READ, offset, read_iov[i], 3, length, count, &left);
        }
        while (g_atomic_int_get(&left) > 0)
            g_usleep(100);
        if (round % 4 == 0)
            assert_contents(image, model, SIZE);
    }
    assert_contents(image, model, SIZE);
    block_image_close(image);
    if (have_qemu_img())
        assert_qemu_agrees(path, model, SIZE);
}

static void add(const char *name, const char *const *list, size_t n, GTestDataFunc func)
{
    for (size_t i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("/block/qcow2/%s/%s", name, list[i]);
        g_test_add_data_func(path, list[i], func);
    }
}

int main(int argc, char **argv)
{
    static const char *const backing[] = {"compat=1.1", "compat=0.10", "cluster_size=512",
                                          "cluster_size=1M"};
    static const char *const compressed[] = {"compression_type=zlib", "compression_type=zstd",
                                             "compat=0.10", "cluster_size=4k",
                                             "cluster_size=2M,compression_type=zstd"};

    static const char *const caches[] = {"none", "directsync", "writethrough"};

    g_test_init(&argc, &argv, NULL);
    g_free(in_folder("."));
    add("ours", shapes, G_N_ELEMENTS(shapes), test_ours);
    add("qemus", shapes, G_N_ELEMENTS(shapes), test_qemus);
    add("backing", backing, G_N_ELEMENTS(backing), test_backing);
    add("compressed", compressed, G_N_ELEMENTS(compressed), test_compressed);
    add("snapshot", backing, G_N_ELEMENTS(backing), test_snapshot_kept);
    add("cache", caches, G_N_ELEMENTS(caches), test_cache);
    add("concurrent", backing, G_N_ELEMENTS(backing), test_concurrent);
    g_test_add_func("/block/qcow2/growing-refcounts", test_growing_refcounts);
    g_test_add_func("/block/qcow2/overlay", test_overlay);
    return run_tests();
}
