/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Damaged and malicious images: refused with a reason, or read as well as they can be. */

#include "core/block/check.h"
#include "core/block/convert.h"
#include "core/block/info.h"
#include "core/block/snapshot.h"
#include "tests/core/block/tools.h"

#include <errno.h>

#define SIZE   (1024 * 1024)
#define ROUNDS 250

static void put(uint8_t *p, uint64_t value, int width)
{
    while (width-- > 0) {
        p[width] = (uint8_t)value;
        value >>= 8;
    }
}

static void make(const char *path, const char *options)
{
    g_autofree uint8_t *model = g_malloc0(SIZE);
    GError *error = NULL;

    block_image_create(path, "qcow2", SIZE, options, NULL, NULL, &error);
    g_assert_no_error(error);
    BlockImage *image = open_image(path, NULL);
    exercise(image, model, SIZE, 20, false);
    block_image_close(image);
    block_snapshot_create(path, "one", NULL);
    image = open_image(path, NULL);
    exercise(image, model, SIZE, 10, false);
    block_image_close(image);
}

static void set_bytes(const char *path, uint64_t offset, uint64_t value, int width)
{
    g_autofree char *text = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    put((uint8_t *)text + offset, value, width);
    g_assert_true(g_file_set_contents(path, text, (gssize)length, NULL));
}

static void assert_refused(const char *path, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(block_image_open(path, NULL, &error));
    g_assert_nonnull(error);
    if (!strstr(error->message, words) || !strstr(error->message, path))
        g_error("“%s” does not say “%s”", error->message, words);
}

typedef struct {
    const char *name;
    uint64_t offset, value;
    int width;
    const char *words;
} BadField;

static const BadField bad_fields[] = {
    {"version", 4, 9, 4, "version 9"},
    {"cluster-small", 20, 8, 4, "cluster size"},
    {"cluster-large", 20, 40, 4, "cluster size"},
    {"size", 24, UINT64_MAX, 8, "too large"},
    {"size-l1", 24, UINT64_C(1) << 50, 8, "too small"},
    {"aes", 32, 1, 4, "AES"},
    {"luks", 32, 2, 4, "LUKS"},
    {"l1-size", 36, 0xffffffff, 4, "L1 table"},
    {"l1-zero", 36, 0, 4, "too small"},
    {"l1-offset", 40, 0x10001, 8, "L1 table"},
    {"l1-behind", 40, UINT64_C(1) << 40, 8, "truncated"},
    {"l1-wraps", 40, 0xffffffffffff0000, 8, "truncated"},
    {"refcounts-offset", 48, 513, 8, "refcount table"},
    {"refcounts-behind", 48, UINT64_C(1) << 40, 8, "truncated"},
    {"refcounts-none", 56, 0, 4, "0 clusters"},
    {"refcounts-many", 56, 0xffffffff, 4, "clusters"},
    {"snapshots", 60, 0xffffffff, 4, "snapshots"},
    {"corrupt", 72, 2, 8, "corrupt"},
    {"data-file", 72, 4, 8, "external data file"},
    {"subclusters", 72, 16, 8, "extended L2"},
    {"unknown", 72, UINT64_C(1) << 40, 8, "feature 40"},
    {"refcount-order", 96, 7, 4, "refcounts"},
    {"header-length", 100, 50, 4, "header"},
    {"header-long", 100, 0x7fffffff, 4, "header"},
    {"compression", 104, 3, 1, "compression"},
    {"backing-offset", 8, UINT64_C(1) << 40, 8, "backing"},
};

static void test_bad_fields(void)
{
    g_autofree char *good = in_folder("good.qcow2"), *bad = in_folder("bad.qcow2");

    g_assert_true(block_image_create(good, "qcow2", SIZE, NULL, NULL, NULL, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(bad_fields); i++) {
        const BadField *field = &bad_fields[i];
        must("cp good.qcow2 bad.qcow2");
        set_bytes(bad, field->offset, field->value, field->width);
        if (g_str_equal(field->name, "backing-offset"))
            set_bytes(bad, 16, 10, 4);
        assert_refused(bad, field->words);
    }
    /* A feature with a name is refused by it: take over the entry of the dirty bit. */
    must("cp good.qcow2 bad.qcow2");
    must("LC_ALL=C sed -i 's/dirty bit/warp core/' bad.qcow2");
    set_bytes(bad, 112 + 8 + 1, 33, 1);
    set_bytes(bad, 72, UINT64_C(1) << 33, 8);
    assert_refused(bad, "warp core");
    must("head -c 100000 good.qcow2 >bad.qcow2");
    assert_refused(bad, "truncated");
    g_autofree char *full = in_folder("full.qcow2");
    g_autofree uint8_t *bytes = g_malloc0(SIZE);
    g_assert_true(block_image_create(full, "qcow2", SIZE, NULL, NULL, NULL, NULL));
    BlockImage *image = open_image(full, NULL);
    g_assert_cmpint(block_image_write(image, 0, bytes, SIZE), ==, 0);
    block_image_close(image);
    must("head -c 700000 full.qcow2 >bad.qcow2");
    assert_refused(bad, "truncated");
    must("head -c 30 good.qcow2 >bad.qcow2");
    assert_refused(bad, "bad.qcow2");
    /* What is corrupt can still be looked at. */
    must("cp good.qcow2 bad.qcow2");
    set_bytes(bad, 72, 2, 8);
    BlockOpenOptions reading = {.read_only = true};
    image = block_image_open(bad, &reading, NULL);
    g_assert_nonnull(image);
    block_image_close(image);
}

static void test_loops(void)
{
    g_autofree char *a = in_folder("a.qcow2"), *b = in_folder("b.qcow2");
    g_autofree char *missing = in_folder("orphan.qcow2");

    must("cp good.qcow2 a.qcow2");
    must("cp good.qcow2 b.qcow2");
    g_assert_true(block_image_create(a, "qcow2", 0, NULL, "b.qcow2", "qcow2", NULL));
    g_assert_true(block_image_create(b, "qcow2", 0, NULL, "a.qcow2", "qcow2", NULL));
    assert_refused(a, "itself");
    g_assert_true(block_image_create(missing, "qcow2", 0, NULL, "good.qcow2", "qcow2", NULL));
    must("mv good.qcow2 gone.qcow2");
    assert_refused(missing, "good.qcow2");
}

/* Refcounts that lie must not let the guest write over the image's own tables. */
static void test_lying_refcounts(void)
{
    g_autofree char *path = in_folder("lying.qcow2");
    uint8_t sector[512];

    memset(sector, 1, sizeof sector);
    g_assert_true(block_image_create(path, "qcow2", SIZE, NULL, NULL, NULL, NULL));
    set_bytes(path, 2 * 65536, 0, 8); /* the refcounts of the first four clusters */
    BlockImage *image = open_image(path, NULL);
    g_assert_cmpint(block_image_write(image, 0, sector, sizeof sector), ==, EIO);
    block_image_close(image);
    assert_refused(path, "marked as corrupt");
    BlockCheck check;
    BlockNode *node = block_node_open(path, NULL, BLOCK_FILE_WRITE,
                                      BLOCK_NODE_CHECK | BLOCK_NODE_NO_BACKING, NULL);
    g_assert_true(qcow2_check(node, BLOCK_CHECK_FIX_ALL, &check, NULL, NULL, NULL));
    g_assert_cmpuint(check.corruptions, ==, check.corruptions_fixed);
    block_node_close(node);
    image = open_image(path, NULL);
    g_assert_cmpint(block_image_write(image, 0, sector, sizeof sector), ==, 0);
    block_image_close(image);
    if (have_qemu_img())
        must("qemu-img check lying.qcow2");
}

static void use(const char *path)
{
    BlockOpenOptions options = {.discard = true, .cache = "unsafe"};
    BlockImage *image = block_image_open(path, &options, NULL);
    g_autofree uint8_t *buffer = g_malloc0(100000);

    if (!image)
        return;
    uint64_t size = block_image_size(image);
    for (int i = 0; i < 12; i++) {
        uint64_t offset = (uint64_t)g_random_double_range(0, (double)MIN(size, 4 * SIZE));
        uint64_t length = (uint64_t)g_random_int_range(1, 100000);
        length = MIN(length, size - offset);
        BlockOp op = (BlockOp)g_random_int_range(BLOCK_READ, BLOCK_WRITE_ZEROES + 1);
        block_image_run(image, op, offset, buffer, length);
    }
    block_image_close(image);
}

static void check_and_repair(const char *path)
{
    for (BlockCheckFix fix = BLOCK_CHECK_FIX_NONE; fix <= BLOCK_CHECK_FIX_ALL; fix++) {
        BlockCheck check;
        BlockNode *node = block_node_open(path, NULL, fix ? BLOCK_FILE_WRITE : 0,
                                          BLOCK_NODE_CHECK | BLOCK_NODE_NO_BACKING, NULL);
        if (!node)
            return;
        if (node->driver == &block_qcow2_driver)
            qcow2_check(node, fix, &check, NULL, NULL, NULL);
        block_node_close(node);
    }
}

/* Random damage, mostly where the tables are. Nothing to assert but that we are still here. */
static void test_damage(gconstpointer data)
{
    const char *options = data;
    g_autofree char *path = in_folder("damaged.qcow2"), *whole = in_folder("whole.qcow2");
    g_autofree char *text = NULL;
    gsize length;

    make(whole, options);
    g_assert_true(g_file_get_contents(whole, &text, &length, NULL));
    for (int round = 0; round < ROUNDS; round++) {
        g_autofree uint8_t *copy = g_memdup2(text, length);
        for (int n = g_random_int_range(1, 6); n > 0; n--) {
            gsize limit = g_random_boolean() ? MIN(length, 200) : length;
            gsize at = (gsize)g_random_double_range(0, (double)limit);
            switch (g_random_int_range(0, 4)) {
            case 0: copy[at] ^= (uint8_t)(1u << g_random_int_range(0, 8)); break;
            case 1: copy[at] = (uint8_t)g_random_int(); break;
            case 2: memset(copy + at, 0xff, MIN(8, length - at)); break;
            default:
                /* A plausible offset. */
                if ((at & ~(gsize)7) + 8 <= length)
                    put(copy + (at & ~(gsize)7),
                        (uint64_t)g_random_int_range(0, 4096) << 9 |
                            (uint64_t)g_random_int_range(0, 4) << 62,
                        8);
            }
        }
        gsize kept = g_random_int_range(0, 10) ? length : (gsize)g_random_int_range(1, 70000);
        g_assert_true(g_file_set_contents(path, (char *)copy, (gssize)MIN(kept, length), NULL));
        use(path);
        block_info_free(block_info_read(path, NULL, false, NULL));
        if (round % 3 == 0)
            check_and_repair(path);
        if (round % 5 == 0)
            block_snapshot_apply(path, "one", NULL);
        if (round % 7 == 0)
            block_snapshot_delete(path, "one", NULL);
        if (round % 9 == 0)
            block_resize(path, NULL, 2 * SIZE, false, NULL);
        use(path);
    }
}

static GLogWriterOutput silence(GLogLevelFlags level, const GLogField *fields, gsize n,
                                gpointer data)
{
    return level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING)
               ? g_log_writer_standard_streams(level, fields, n, data)
               : G_LOG_WRITER_HANDLED;
}

static void no_handler(const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
}

int main(int argc, char **argv)
{
    static const char *const shapes[] = {"cluster_size=512", "cluster_size=4k,refcount_bits=1",
                                         "cluster_size=64k,compression_type=zstd",
                                         "compat=0.10,cluster_size=1k"};

    g_test_init(&argc, &argv, NULL);
    g_log_set_writer_func(silence, NULL, NULL);
    g_log_set_handler("apiary-block", G_LOG_LEVEL_MESSAGE, no_handler, NULL);
    g_free(in_folder("."));
    g_test_add_func("/block/hostile/a-fields", test_bad_fields);
    g_test_add_func("/block/hostile/b-loops", test_loops);
    g_test_add_func("/block/hostile/lying-refcounts", test_lying_refcounts);
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autofree char *name = g_strdup_printf("/block/hostile/damage/%s", shapes[i]);
        g_test_add_data_func(name, shapes[i], test_damage);
    }
    return run_tests();
}
