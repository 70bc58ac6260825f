/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/core/block/tools.h"

#include <glib/gstdio.h>
#include <sys/wait.h>
#include <unistd.h>

char *folder;

/* Nobody pulls the plug here, and waiting for the disk is most of the time. test-crash.c has its
 * own. */
__attribute__((weak)) int fdatasync(int fd)
{
    return 0;
}

__attribute__((weak)) int fsync(int fd)
{
    return 0;
}

char *in_folder(const char *name)
{
    if (!folder)
        folder = g_dir_make_tmp("apiary-block-XXXXXX", NULL);
    return g_build_filename(folder, name, NULL);
}

bool have_qemu_img(void)
{
    g_autofree char *found = g_find_program_in_path("qemu-img");

    if (!found)
        g_test_skip("qemu-img is not installed");
    return found;
}

static int run_shell(const char *command)
{
    g_autofree char *all = g_strdup_printf("cd '%s' && { %s; } >log 2>&1", folder, command);
    int status = system(all);

    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int shell(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *command = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return run_shell(command);
}

void must(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *command = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    int status = run_shell(command);
    if (status) {
        g_autofree char *log = in_folder("log");
        g_autofree char *text = NULL;
        g_file_get_contents(log, &text, NULL, NULL);
        g_error("“%s” gave %d: %s", command, status, text);
    }
}

BlockImage *open_image(const char *path, const char *format)
{
    BlockOpenOptions options = {.format = format, .discard = true, .cache = "unsafe"};
    g_autoptr(GError) error = NULL;
    BlockImage *image = block_image_open(path, &options, &error);

    g_assert_no_error(error);
    return image;
}

static void fill_random(uint8_t *bytes, uint64_t length)
{
    uint32_t seed = g_random_int();

    for (uint64_t n = 0; n < length; n++) {
        seed = seed * 1664525 + 1013904223;
        bytes[n] = (uint8_t)(seed >> 24);
    }
}

void exercise(BlockImage *image, uint8_t *model, uint64_t size, int count, bool discard_is_exact)
{
    g_autofree uint8_t *buffer = g_malloc(size);

    for (int i = 0; i < count; i++) {
        uint64_t offset = (uint64_t)g_random_double_range(0, (double)size);
        uint64_t limit = g_random_boolean() ? 5000 : 300000;
        uint64_t length = (uint64_t)g_random_double_range(0, (double)limit);
        if (g_random_boolean()) {
            offset &= ~UINT64_C(511);
            length &= ~UINT64_C(511);
        }
        length = MIN(length, size - offset);
        int kind = g_random_int_range(0, 20);
        if (kind < 10) {
            fill_random(model + offset, length);
            g_assert_cmpint(block_image_write(image, offset, model + offset, length), ==, 0);
        } else if (kind < 13) {
            memset(model + offset, 0, length);
            g_assert_cmpint(block_image_run(image, BLOCK_WRITE_ZEROES, offset, NULL, length), ==,
                            0);
        } else if (kind < 15) {
            g_assert_cmpint(block_image_run(image, BLOCK_DISCARD, offset, NULL, length), ==, 0);
            /* Zeros or what was there, cluster by cluster. */
            g_assert_cmpint(block_image_read(image, offset, buffer, length), ==, 0);
            for (uint64_t n = 0; n < length; n++)
                if (buffer[n] != model[offset + n])
                    g_assert_cmpint(buffer[n], ==, 0);
            if (discard_is_exact && length >= 4 * 1024 * 1024)
                g_assert_cmpint(buffer[length / 2], ==, 0);
            memcpy(model + offset, buffer, length);
        } else if (kind < 16) {
            g_assert_cmpint(block_image_flush(image), ==, 0);
        } else {
            g_assert_cmpint(block_image_read(image, offset, buffer, length), ==, 0);
            g_assert_cmpmem(buffer, length, model + offset, length);
        }
    }
}

void assert_contents(BlockImage *image, const uint8_t *model, uint64_t size)
{
    g_autofree uint8_t *buffer = g_malloc(size);

    g_assert_cmpuint(block_image_size(image), ==, size);
    g_assert_cmpint(block_image_read(image, 0, buffer, size), ==, 0);
    g_assert_cmpint(memcmp(buffer, model, size), ==, 0);
}

void assert_qemu_agrees(const char *path, const uint8_t *model, uint64_t size)
{
    g_autofree char *raw = in_folder("model.raw");

    g_assert_true(g_file_set_contents(raw, (const char *)model, (gssize)size, NULL));
    must("qemu-img check '%s'", path);
    must("qemu-img compare -F raw '%s' '%s'", path, raw);
}

int run_tests(void)
{
    int result = g_test_run();

    if (folder) {
        g_autofree char *command = g_strdup_printf("rm -rf '%s'", folder);
        if (system(command) != 0)
            result = 1;
    }
    return result;
}
