/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Whole-disk operations, judged by qemu-img: convert, compare, resize, snapshots, and its locks. */

#include "core/block/convert.h"
#include "core/block/info.h"
#include "core/block/snapshot.h"
#include "tests/core/block/tools.h"

#include <signal.h>
#include <unistd.h>

#define SIZE (4 * 1024 * 1024 + 512)

static uint8_t *make(const char *path, const char *options)
{
    uint8_t *model = g_malloc0(SIZE);
    GError *error = NULL;

    block_image_create(path, "qcow2", SIZE, options, NULL, NULL, &error);
    g_assert_no_error(error);
    BlockImage *image = open_image(path, NULL);
    exercise(image, model, SIZE, 40, false);
    block_image_close(image);
    return model;
}

static void convert(const char *from, const char *to, const BlockConvertOptions *options)
{
    GError *error = NULL;

    block_convert(from, to, options, NULL, NULL, &error);
    g_assert_no_error(error);
}

static void test_convert(void)
{
    g_autofree char *path = in_folder("from.qcow2"), *raw = in_folder("to.raw");
    g_autofree char *packed = in_folder("packed.qcow2"), *back = in_folder("back.qcow2");
    g_autofree uint8_t *model = make(path, NULL);
    static const char *const options[] = {NULL, "compression_type=zstd",
                                          "cluster_size=4k,refcount_bits=1",
                                          "compat=0.10,cluster_size=2M"};
    uint64_t at;
    BlockComparison comparison;

    convert(path, raw, &(BlockConvertOptions){.target_format = "raw", .sparse = 4096});
    BlockImage *image = open_image(raw, "raw");
    assert_contents(image, model, SIZE);
    block_image_close(image);
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        convert(raw, packed,
                &(BlockConvertOptions){.source_format = "raw",
                                       .target_format = "qcow2",
                                       .target_options = options[i],
                                       .compress = true});
        image = open_image(packed, NULL);
        assert_contents(image, model, SIZE);
        block_image_close(image);
        if (have_qemu_img())
            assert_qemu_agrees(packed, model, SIZE);
        convert(packed, back,
                &(BlockConvertOptions){
                    .target_format = "qcow2", .target_options = options[i], .sparse = 65536});
        g_assert_true(
            block_compare(back, NULL, raw, "raw", true, &comparison, &at, NULL, NULL, NULL));
        g_assert_cmpint(comparison, ==, BLOCK_SAME);
        if (have_qemu_img())
            assert_qemu_agrees(back, model, SIZE);
    }
    image = open_image(raw, "raw");
    model[70000]++;
    g_assert_cmpint(block_image_write(image, 70000, model + 70000, 1), ==, 0);
    block_image_close(image);
    g_assert_true(block_compare(back, NULL, raw, "raw", false, &comparison, &at, NULL, NULL, NULL));
    g_assert_cmpint(comparison, ==, BLOCK_DIFFERENT);
    g_assert_cmpuint(at, ==, 70000);
    convert(raw, back,
            &(BlockConvertOptions){.source_format = "raw",
                                   .target_format = "qcow2",
                                   .into_existing = true,
                                   .sparse = 4096});
    image = open_image(back, NULL);
    assert_contents(image, model, SIZE);
    block_image_close(image);
}

static void test_preallocation(void)
{
    static const char *const options[] = {"preallocation=metadata", "preallocation=falloc",
                                          "preallocation=full,cluster_size=512"};
    g_autofree char *path = in_folder("full.qcow2");

    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autofree uint8_t *model = make(path, options[i]);
        if (have_qemu_img())
            assert_qemu_agrees(path, model, SIZE);
    }
}

static void test_resize(gconstpointer data)
{
    g_autofree char *path = in_folder("sized.qcow2"), *top = in_folder("top.qcow2");
    g_autofree uint8_t *model = g_realloc(make(path, data), 40 * 1024 * 1024);
    uint64_t sizes[] = {SIZE + 70000 - 70000 % 512, 30 * 1024 * 1024, 1024 * 1024 - 512,
                        9 * 1024 * 1024};
    uint64_t old = SIZE;
    GError *error = NULL;

    g_assert_false(block_resize(path, NULL, 512, false, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        block_resize(path, NULL, sizes[i], true, &error);
        g_assert_no_error(error);
        if (sizes[i] > old)
            memset(model + old, 0, sizes[i] - old);
        old = sizes[i];
        BlockImage *image = open_image(path, NULL);
        assert_contents(image, model, old);
        exercise(image, model, old, 30, false);
        block_image_close(image);
        if (have_qemu_img())
            assert_qemu_agrees(path, model, old);
    }
    /* What is behind the end of a short overlay must not show when it grows. */
    g_assert_true(
        block_image_create(top, "qcow2", 1024 * 1024, data, "sized.qcow2", "qcow2", NULL));
    block_resize(top, NULL, 10 * 1024 * 1024, false, &error);
    g_assert_no_error(error);
    memset(model + 1024 * 1024, 0, 9 * 1024 * 1024);
    BlockImage *image = open_image(top, NULL);
    assert_contents(image, model, 10 * 1024 * 1024);
    block_image_close(image);
    if (have_qemu_img())
        assert_qemu_agrees(top, model, 10 * 1024 * 1024);
}

static void test_snapshots(gconstpointer data)
{
    g_autofree char *path = in_folder("snapshots.qcow2");
    g_autofree uint8_t *model = make(path, data);
    g_autofree uint8_t *one = g_memdup2(model, SIZE), *two = NULL;
    GError *error = NULL;

    g_assert_true(block_snapshot_create(path, "one", &error));
    BlockImage *image = open_image(path, NULL);
    exercise(image, model, SIZE, 40, false);
    block_image_close(image);
    two = g_memdup2(model, SIZE);
    g_assert_true(block_snapshot_create(path, "two", &error));
    if (have_qemu_img())
        assert_qemu_agrees(path, model, SIZE);
    image = open_image(path, NULL);
    exercise(image, model, SIZE, 40, false);
    block_image_close(image);
    BlockInfo *info = block_info_read(path, NULL, false, NULL);
    g_assert_cmpuint(info->n_snapshots, ==, 2);
    g_assert_cmpstr(info->snapshots[1].name, ==, "two");
    g_assert_cmpstr(info->snapshots[1].id, ==, "2");
    block_info_free(info);

    g_assert_true(block_snapshot_apply(path, "one", &error));
    image = open_image(path, NULL);
    assert_contents(image, one, SIZE);
    exercise(image, one, SIZE, 40, false);
    block_image_close(image);
    if (have_qemu_img())
        assert_qemu_agrees(path, one, SIZE);
    g_assert_true(block_snapshot_delete(path, "one", &error));
    if (have_qemu_img())
        assert_qemu_agrees(path, one, SIZE);
    g_assert_true(block_snapshot_apply(path, "2", &error));
    image = open_image(path, NULL);
    assert_contents(image, two, SIZE);
    block_image_close(image);
    g_assert_true(block_snapshot_delete(path, "two", &error));
    if (have_qemu_img())
        assert_qemu_agrees(path, two, SIZE);
    g_assert_false(block_snapshot_apply(path, "two", &error));
    g_assert_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED);
    g_error_free(error);
}

/* Who has an image open is understood both ways. */
static void test_locks_with_qemu(void)
{
    g_autofree char *path = in_folder("locked.qcow2");

    if (!have_qemu_img())
        return;
    g_free(make(path, NULL));
    BlockImage *image = open_image(path, NULL);
    g_assert_cmpint(shell("qemu-io -c 'write 0 512' locked.qcow2"), !=, 0);
    g_assert_cmpint(shell("qemu-img info locked.qcow2"), !=, 0);
    must("qemu-img info -U locked.qcow2");
    block_image_close(image);
    BlockOpenOptions reading = {.read_only = true};
    image = block_image_open(path, &reading, NULL);
    must("qemu-img info locked.qcow2");
    g_assert_cmpint(shell("qemu-io -c 'write 0 512' locked.qcow2"), !=, 0);
    block_image_close(image);
    must("qemu-io -c 'write 0 512' locked.qcow2");

    const char *arguments[] = {"qemu-io", path, NULL};
    GPid qemu;
    int in, out;
    char prompt;
    g_assert_true(g_spawn_async_with_pipes(NULL, (char **)arguments, NULL,
                                           G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                                           NULL, &qemu, &in, &out, NULL, NULL));
    g_assert_cmpint(read(out, &prompt, 1), ==, 1);
    g_autoptr(GError) error = NULL;
    g_assert_null(block_image_open(path, NULL, &error));
    g_assert_error(error, BLOCK_ERROR, BLOCK_ERROR_LOCKED);
    g_assert_nonnull(strstr(error->message, "qemu-io"));
    close(in);
    close(out);
    kill(qemu, SIGTERM);
}

int main(int argc, char **argv)
{
    static const char *const shapes[] = {"cluster_size=64k", "cluster_size=512",
                                         "compat=0.10,cluster_size=4k"};

    g_test_init(&argc, &argv, NULL);
    g_free(in_folder("."));
    g_test_add_func("/block/convert", test_convert);
    g_test_add_func("/block/preallocation", test_preallocation);
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autofree char *resize = g_strdup_printf("/block/resize/%s", shapes[i]);
        g_autofree char *snapshots = g_strdup_printf("/block/snapshots/%s", shapes[i]);
        g_test_add_data_func(resize, shapes[i], test_resize);
        g_test_add_data_func(snapshots, shapes[i], test_snapshots);
    }
    g_test_add_func("/block/locks-with-qemu", test_locks_with_qemu);
    return run_tests();
}
