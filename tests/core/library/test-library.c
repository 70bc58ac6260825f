/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/library/library.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
    char *root;
    Library *library;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *base = g_dir_make_tmp("apiary-library-XXXXXX", NULL);

    f->root = g_build_filename(base, "machines", NULL);
    f->library = library_new(f->root);
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        remove_tree(child);
    }
    g_remove(path);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    g_autofree char *base = g_path_get_dirname(f->root);

    library_free(f->library);
    remove_tree(base);
    g_free(f->root);
}

/* A machine with a disk of its own (a 1 MiB hole with a word at each end) and a CD from outside. */
static MachineConfig *add_machine(Fixture *f, const char *name)
{
    MachineConfig *config = config_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *disk = NULL;
    g_autofree char *bytes = g_malloc0(1 << 20);

    g_free(config->name);
    config->name = g_strdup(name);
    g_assert_true(library_add(f->library, config, &error));
    g_assert_no_error(error);
    disk = g_build_filename(config->folder, "disk.raw", NULL);
    strcpy(bytes, "begin");
    strcpy(bytes + (1 << 20) - 4, "end");
    g_assert_true(g_file_set_contents(disk, bytes, 1 << 20, NULL));
    config_add_drive(config, DRIVE_IDE_DISK, 0, 0, disk);
    config_add_drive(config, DRIVE_IDE_CD, 1, 0, "/somewhere/else.iso");
    g_assert_true(library_save(f->library, config, &error));
    g_assert_no_error(error);
    return config;
}

static void test_empty(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = library_list(f->library, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(list->len, ==, 0);
    g_assert_false(g_file_test(f->root, G_FILE_TEST_EXISTS));
}

static void test_add_and_list(Fixture *f, gconstpointer data)
{
    config_free(add_machine(f, "Machine 10"));
    g_autoptr(MachineConfig) a = add_machine(f, "Machine 9");
    g_autoptr(GPtrArray) list = library_list(f->library, NULL);

    g_assert_cmpuint(list->len, ==, 2);
    const LibraryItem *first = list->pdata[0], *second = list->pdata[1];
    g_assert_cmpstr(first->config->name, ==, "Machine 9");
    g_assert_cmpstr(second->config->name, ==, "Machine 10");
    g_assert_cmpstr(first->config->folder, ==, a->folder);
    const DriveConfig *disk = config_find_drive(first->config, "ide0-hd0");
    g_autofree char *path = g_build_filename(a->folder, "disk.raw", NULL);
    g_assert_cmpstr(disk->file, ==, path);

    /* In the file the disk has no folder, so that the folder can be moved by hand. */
    g_autofree char *conf = g_build_filename(a->folder, LIBRARY_MACHINE_FILE, NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(conf, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, "File=disk.raw\n"));
    g_assert_nonnull(strstr(text, "File=/somewhere/else.iso\n"));
}

static void test_broken_file(Fixture *f, gconstpointer data)
{
    g_autoptr(MachineConfig) config = add_machine(f, "Broken");
    g_autofree char *conf = g_build_filename(config->folder, LIBRARY_MACHINE_FILE, NULL);

    g_assert_true(g_file_set_contents(conf, "[Machine]\nMemry=1G\n", -1, NULL));
    g_autoptr(GPtrArray) list = library_list(f->library, NULL);
    g_assert_cmpuint(list->len, ==, 1);
    const LibraryItem *item = list->pdata[0];
    g_assert_null(item->config);
    g_assert_nonnull(strstr(item->error->message, "Memry"));
}

static void test_names(Fixture *f, gconstpointer data)
{
    g_autoptr(MachineConfig) config = add_machine(f, "Taken");
    const char *bad[] = {"", "  ", "a/b", ".hidden", "Taken", "tab\there", "\xff"};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(library_check_name(f->library, bad[i], NULL, &error));
        g_assert_nonnull(error);
    }
    g_assert_true(library_check_name(f->library, "Taken", config->folder, NULL));
    g_assert_true(library_check_name(f->library, "Машина №2", NULL, NULL));
    g_autofree char *free_name = library_free_name(f->library, "Taken");
    g_assert_cmpstr(free_name, ==, "Taken 2");
    g_autofree char *cleaned = library_free_name(f->library, " a/b ");
    g_assert_cmpstr(cleaned, ==, "a b");
}

static void test_rename(Fixture *f, gconstpointer data)
{
    g_autoptr(MachineConfig) config = add_machine(f, "Old");
    config_free(add_machine(f, "Other"));
    g_autoptr(GError) error = NULL;
    g_autofree char *old_folder = g_strdup(config->folder);

    g_assert_false(library_rename(f->library, config, "Other", &error));
    g_clear_error(&error);
    g_assert_cmpstr(config->name, ==, "Old");
    g_assert_true(library_rename(f->library, config, "New", &error));
    g_assert_no_error(error);
    g_assert_false(g_file_test(old_folder, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(config_find_drive(config, "ide0-hd0")->file, G_FILE_TEST_EXISTS));
    g_autoptr(GPtrArray) list = library_list(f->library, NULL);
    g_assert_cmpstr(((LibraryItem *)list->pdata[0])->config->name, ==, "New");
}

static void note_progress(void *opaque, double fraction)
{
    *(double *)opaque = fraction;
}

static void test_clone(Fixture *f, gconstpointer data)
{
    g_autoptr(MachineConfig) config = add_machine(f, "First");
    g_autoptr(GError) error = NULL;
    double progress = 0;
    g_autoptr(MachineConfig) clone =
        library_clone(f->library, config, "Second", note_progress, &progress, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(clone->name, ==, "Second");
    g_autofree char *before = NULL, *after = NULL;
    gsize before_size, after_size;
    const char *disk = config_find_drive(clone, "ide0-hd0")->file;
    g_assert_true(g_str_has_prefix(disk, clone->folder));
    g_assert_cmpstr(config_find_drive(clone, "ide1-cd0")->file, ==, "/somewhere/else.iso");
    g_file_get_contents(config_find_drive(config, "ide0-hd0")->file, &before, &before_size, NULL);
    g_assert_true(g_file_get_contents(disk, &after, &after_size, NULL));
    g_assert_cmpmem(before, before_size, after, after_size);

    g_autoptr(GCancellable) cancelled = g_cancellable_new();
    g_cancellable_cancel(cancelled);
    g_autofree char *folder = g_build_filename(f->root, "Third", NULL);
    MachineConfig *third =
        library_clone(f->library, config, "Third", NULL, NULL, cancelled, &error);
    if (third) /* a file system with shared blocks was faster than the cancel */
        config_free(third);
    else
        g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
}

static void test_delete(Fixture *f, gconstpointer data)
{
    g_autoptr(MachineConfig) kept = add_machine(f, "Kept");
    g_autoptr(MachineConfig) gone = add_machine(f, "Gone");
    g_autofree char *disk = g_strdup(config_find_drive(kept, "ide0-hd0")->file);

    g_assert_true(library_delete(f->library, kept, false, NULL));
    g_assert_true(g_file_test(disk, G_FILE_TEST_EXISTS));
    g_assert_true(library_delete(f->library, gone, true, NULL));
    g_assert_false(g_file_test(gone->folder, G_FILE_TEST_EXISTS));
    g_autoptr(GPtrArray) list = library_list(f->library, NULL);
    g_assert_cmpuint(list->len, ==, 0);
}

static void test_recent(Fixture *f, gconstpointer data)
{
    g_autofree char *base = g_path_get_dirname(f->root);
    g_autofree char *last = NULL;

    for (int i = 0; i < 12; i++) {
        g_autofree char *path = g_strdup_printf("%s/%d.iso", base, i);
        g_file_set_contents(path, "", 0, NULL);
        library_note_medium(f->library, path);
        g_free(last);
        last = g_steal_pointer(&path);
    }
    g_auto(GStrv) recent = library_recent_media(f->library);
    g_assert_cmpuint(g_strv_length(recent), ==, 10);
    g_assert_cmpstr(recent[0], ==, last);
    library_note_medium(f->library, recent[3]);
    g_auto(GStrv) again = library_recent_media(f->library);
    g_assert_cmpuint(g_strv_length(again), ==, 10);
    g_assert_cmpstr(again[0], ==, recent[3]);
    g_remove(recent[3]);
    g_auto(GStrv) fewer = library_recent_media(f->library);
    g_assert_cmpuint(g_strv_length(fewer), ==, 9);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/library/" name, Fixture, NULL, set_up, func, tear_down)
    ADD("empty", test_empty);
    ADD("add-and-list", test_add_and_list);
    ADD("broken-file", test_broken_file);
    ADD("names", test_names);
    ADD("rename", test_rename);
    ADD("clone", test_clone);
    ADD("delete", test_delete);
    ADD("recent", test_recent);
    return g_test_run();
}
