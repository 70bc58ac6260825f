/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/library/medium.h"

#include <glib/gstdio.h>
#include <string.h>

static char *temporary;

/* Runs xorriso over FOLDER; skips the test where there is none. */
static bool make_iso(const char *folder, const char *label, const char *iso)
{
    const char *argv[] = {"xorriso", "-as", "mkisofs", "-quiet", "-V", label,
                          "-R",      "-o",  iso,       folder,   NULL};
    int status = 1;

    if (!g_spawn_sync(NULL, (char **)argv, NULL,
                      G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                      NULL, NULL, NULL, NULL, &status, NULL)) {
        g_test_skip("xorriso is not installed");
        return false;
    }
    g_assert_cmpint(status, ==, 0);
    return true;
}

static void test_label(void)
{
    g_autofree char *folder = g_build_filename(temporary, "label", NULL);
    g_autofree char *iso = g_build_filename(temporary, "label.iso", NULL);
    g_autoptr(GError) error = NULL;

    g_mkdir(folder, 0700);
    if (!make_iso(folder, "FREEDOS_1", iso))
        return;
    g_autoptr(MediumInfo) info = medium_identify(iso, &error);
    g_assert_no_error(error);
    g_assert_cmpint(info->kind, ==, MEDIUM_CD);
    g_assert_cmpstr(info->label, ==, "FREEDOS_1");
    g_assert_cmpstr(info->system, ==, "FreeDOS");
    g_assert_false(info->bootable);
}

static void test_disk_info(void)
{
    g_autofree char *folder = g_build_filename(temporary, "info", NULL);
    g_autofree char *disk = g_build_filename(folder, ".disk", NULL);
    g_autofree char *file = g_build_filename(disk, "info", NULL);
    g_autofree char *iso = g_build_filename(temporary, "info.iso", NULL);

    g_mkdir_with_parents(disk, 0700);
    g_file_set_contents(file, "Debian GNU/Linux 12.5.0 \"Bookworm\" - Official amd64\n", -1, NULL);
    if (!make_iso(folder, "D_12_5", iso))
        return;
    g_autoptr(MediumInfo) info = medium_identify(iso, NULL);
    g_assert_cmpstr(info->system, ==, "Debian GNU/Linux 12.5.0");
    g_assert_cmpuint(info->disk_bytes, >=, 10ull << 30);
}

static void test_disks(void)
{
    g_autofree char *path = g_build_filename(temporary, "disk", NULL);
    char sector[4096] = "QFI\xfb";

    g_file_set_contents(path, sector, sizeof(sector), NULL);
    MediumInfo *info = medium_identify(path, NULL);
    g_assert_cmpint(info->kind, ==, MEDIUM_DISK);
    g_assert_cmpstr(info->format, ==, "qcow2");
    medium_info_free(info);

    memset(sector, 0, sizeof(sector));
    memcpy(sector + 510, "\x55\xaa", 2);
    g_file_set_contents(path, sector, sizeof(sector), NULL);
    info = medium_identify(path, NULL);
    g_assert_cmpint(info->kind, ==, MEDIUM_DISK);
    g_assert_cmpstr(info->format, ==, "raw");
    medium_info_free(info);
}

/* Nothing in a damaged image may be believed: every byte of the descriptors and the directory gets
 * changed once. */
static void test_damaged(void)
{
    g_autofree char *folder = g_build_filename(temporary, "damaged", NULL);
    g_autofree char *disk = g_build_filename(folder, ".disk", NULL);
    g_autofree char *file = g_build_filename(disk, "info", NULL);
    g_autofree char *iso = g_build_filename(temporary, "damaged.iso", NULL);
    g_autofree char *data = NULL;
    gsize size;

    g_mkdir_with_parents(disk, 0700);
    g_file_set_contents(file, "Debian\n", -1, NULL);
    if (!make_iso(folder, "D", iso))
        return;
    g_assert_true(g_file_get_contents(iso, &data, &size, NULL));
    for (gsize at = 0x8000; at < MIN(size, 0xe000); at += 7) {
        char old = data[at];
        data[at] = (char)g_test_rand_int();
        FILE *out = g_fopen(iso, "wb");
        fwrite(data, 1, MIN(size, 0x20000), out);
        fclose(out);
        g_autoptr(MediumInfo) info = medium_identify(iso, NULL);
        g_assert_nonnull(info);
        data[at] = old;
    }
    for (gsize length = 0; length < MIN(size, 0xc000); length += 999) {
        g_file_set_contents(iso, data, (gssize)length, NULL);
        g_autoptr(MediumInfo) info = medium_identify(iso, NULL);
        g_assert_nonnull(info);
    }
}

static void test_unreadable(void)
{
    g_autofree char *path = g_build_filename(temporary, "nowhere", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_null(medium_identify(path, &error));
    g_assert_nonnull(strstr(error->message, "nowhere"));
    g_clear_error(&error);
    g_assert_null(medium_identify(temporary, &error));
    g_assert_nonnull(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    temporary = g_dir_make_tmp("apiary-medium-XXXXXX", NULL);
    g_test_add_func("/medium/label", test_label);
    g_test_add_func("/medium/disk-info", test_disk_info);
    g_test_add_func("/medium/disks", test_disks);
    g_test_add_func("/medium/damaged", test_damaged);
    g_test_add_func("/medium/unreadable", test_unreadable);
    int status = g_test_run();
    const char *argv_rm[] = {"rm", "-rf", temporary, NULL};
    g_spawn_sync(NULL, (char **)argv_rm, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                 NULL);
    g_free(temporary);
    return status;
}
