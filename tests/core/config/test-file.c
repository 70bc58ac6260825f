/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The machine file, whole and broken. */

#include "core/config/config.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>

typedef struct {
    char *folder, *path;
} Fixture;

static void fixture_init(Fixture *f, gconstpointer data)
{
    f->folder = g_dir_make_tmp("apiary-config-XXXXXX", NULL);
    f->path = g_build_filename(f->folder, "machine.conf", NULL);
}

static void fixture_destroy(Fixture *f, gconstpointer data)
{
    g_unlink(f->path);
    g_assert_cmpint(g_rmdir(f->folder), ==, 0); /* nothing else was left behind */
    g_free(f->path);
    g_free(f->folder);
}

static MachineConfig *load_text(Fixture *f, const char *text, gssize length, GError **error)
{
    g_unlink(f->path); /* without a sync: there are thousands */
    g_assert_true(
        g_file_set_contents_full(f->path, text, length, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    return config_load(f->path, error);
}

static MachineConfig *from_flags(const char *line)
{
    MachineConfig *config = config_new();
    g_auto(GStrv) argv = NULL;
    int argc;
    GError *error = NULL;

    g_assert_true(g_shell_parse_argv(line, &argc, &argv, NULL));
    config_parse_arguments(config, argc, argv, &error);
    g_assert_no_error(error);
    return config;
}

/* What is saved comes back, and saving that again gives the same file. */
static void test_round_trip(Fixture *f, gconstpointer data)
{
    static const char *const lines[] = {
        "-nic none",
        "-name 'Имя; \"x\"\\n,,#' -m 300 -smp 3 -cpu qemu64,+avx2 -bios '/a b' -accel interp",
        "-m 134217729B -boot order=dn,menu=on,splash-time=900 -kernel ' /k' -append ' a;b\tc '",
        "-hda 'a;b c' -cdrom /c.iso -fda /f -drive "
        "file=x,format=qcow2,cache=unsafe,discard=on,serial=a1,id=root,readonly=on",
        "-serial 'file:/a;b' -serial unix:/s,server=on,wait=off -chardev null,id=c -debugcon "
        "file:/d -qmp unix:/q,server=on,wait=off -monitor unix:/m,server=on,wait=off "
        "-device isa-debugcon,chardev=c -device isa-debug-exit,id=e,iobase=0xf4",
        "-nic user,hostfwd=tcp::2222-:22,hostfwd=udp::53-:53,mac=52:54:00:00:00:01 -rtc "
        "base=localtime -vga none",
        "-accel jit,tb-size=64",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(MachineConfig) config = from_flags(lines[i]);
        g_autofree char *first = NULL, *second = NULL;
        GError *error = NULL;
        config->notes = g_strdup("Two\nlines; of notes ");
        config_save(config, f->path, &error);
        g_assert_no_error(error);
        g_assert_true(g_file_get_contents(f->path, &first, NULL, NULL));
        g_autoptr(MachineConfig) loaded = config_load(f->path, &error);
        g_assert_no_error(error);
        config_save(loaded, f->path, &error);
        g_assert_no_error(error);
        g_assert_true(g_file_get_contents(f->path, &second, NULL, NULL));
        g_assert_cmpstr(second, ==, first);
        g_autofree char *line = config_to_command_line(config);
        g_autofree char *loaded_line = config_to_command_line(loaded);
        g_assert_cmpstr(loaded_line, ==, line);
        g_assert_cmpstr(loaded->notes, ==, config->notes);
        g_assert_cmpstr(loaded->name, ==, config->name);
        g_assert_cmpuint(loaded->ram_bytes, ==, config->ram_bytes);
        g_autoptr(MachineConfig) copy = config_copy(loaded);
        g_autofree char *copy_line = config_to_command_line(copy);
        g_assert_cmpstr(copy_line, ==, line);
    }
}

static void test_missing_keys(Fixture *f, gconstpointer data)
{
    GError *error = NULL;
    g_autoptr(MachineConfig) empty = load_text(f, "", -1, &error);
    g_autoptr(MachineConfig) defaults = config_new();

    g_assert_no_error(error);
    g_assert_cmpuint(empty->ram_bytes, ==, defaults->ram_bytes);
    g_assert_cmpstr(empty->cpu_model, ==, defaults->cpu_model);
    g_autoptr(MachineConfig) comments =
        load_text(f, "# written by hand\n\n[Machine]\nMemory = 2G\n", -1, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(comments->ram_bytes, ==, 2ull << 30);
    g_assert_null(load_text(f, "[Drive a]\nFile=x\n", -1, &error)); /* of which type? */
    g_assert_nonnull(strstr(error->message, "Type"));
    g_clear_error(&error);
    g_assert_null(load_text(f, "[Device a]\niobase=1\n", -1, &error));
    g_assert_nonnull(strstr(error->message, "Driver"));
    g_clear_error(&error);
}

static void test_wrong(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *text, *named;
    } wrong[] = {
        {"[Machine]\nMemroy=1G\n", "Memroy"},
        {"[Machines]\nName=x\n", "[Machines]"},
        {"Name=x\n", "machine.conf"},
        {"[Machine]\nMemory=much\n", "much"},
        {"[Machine]\nMemory=99999999999999999999\n", "99999999999999999999"},
        {"[Machine]\nMemory=-1\n", "-1"},
        {"[Machine]\nCPUs=99999999999999\n", "CPUs"},
        {"[Machine]\nCPUs=-1\n", "CPUs"},
        {"[Machine]\nCPUs=two\n", "CPUs"},
        {"[Machine]\nBootMenu=perhaps\n", "BootMenu"},
        {"[Machine]\nVGAMemory=4294967295\n", "VGAMemory"},
        {"[Drive a]\nType=tape\n", "tape"},
        {"[Drive a]\nType=disk\nBus=9999999999999\n", "Bus"},
        {"[Drive a]\nType=disk\nBuss=1\n", "Buss"},
        {"[Device a]\nDriver=nothing\n", "nothing"},
        {"[Device a]\nDriver=isa-debug-exit\nnope=1\n", "nope"},
        {"[Device a]\nDriver=isa-debug-exit\niobase=70000\n", "iobase=70000"},
        {"[Network a]\nType=tap\n", "tap"},
        {"[Machine]\nName=\\x\n", "Name"},
        {"[Machine]\nMemory=1\\x\n", "Memory"},
        {"[Drive a]\nType=\\isk\n", "Type"},
        {"[Device a]\nDriver=e1\\00\n", "Driver"},
        {"[Device a]\nDriver=isa-debug-exit\niobase=\\1\n", "iobase"},
        {"[Network a]\nType=\\user\n", "Type"},
        {"[Network a]\nType=user\nhostfwd=\\1\n", "hostfwd"},
        {"[Machine]\nName=x\n[Machine\n", "machine.conf"},
        {"[Machine]\nName=\xff\xfe\n", "machine.conf"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(MachineConfig) config = load_text(f, wrong[i].text, -1, &error);
        if (config)
            g_error("accepted: %s", wrong[i].text);
        g_assert_nonnull(strstr(error->message, f->path));
        if (!strstr(error->message, wrong[i].named))
            g_error("\"%s\" does not name %s", error->message, wrong[i].named);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(config_load("/nonexistent/machine.conf", &error));
    g_assert_nonnull(strstr(error->message, "/nonexistent/machine.conf"));
}

/* GKeyFile joins sections of one name; the later value counts, and no drive comes twice. */
static void test_duplicates(Fixture *f, gconstpointer data)
{
    GError *error = NULL;
    g_autoptr(MachineConfig) config =
        load_text(f,
                  "[Machine]\nName=a\n[Drive d]\nType=disk\nFile=x\n[Machine]\nName=b\nName=c\n"
                  "[Drive d]\nFile=y\n",
                  -1, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(config->name, ==, "c");
    g_assert_cmpuint(config->drives->len, ==, 1);
    g_assert_cmpstr(config_find_drive(config, "d")->file, ==, "y");
}

/* Damaged files: loaded or refused, and what was loaded can be checked and saved. */
static void test_damage(Fixture *f, gconstpointer data)
{
    g_autoptr(MachineConfig) config = from_flags(
        "-hda a -cdrom b -serial stdio -device isa-debug-exit -nic user,hostfwd=tcp::2222-:22");
    g_autofree char *text = NULL;
    gsize length;

    g_assert_true(config_save(config, f->path, NULL));
    g_assert_true(g_file_get_contents(f->path, &text, &length, NULL));
    for (int i = 0; i < 2000; i++) {
        g_autofree char *damaged = g_memdup2(text, length + 1);
        gsize damaged_length = length;
        g_autoptr(GError) error = NULL;
        if (i & 1)
            damaged_length = g_test_rand_int_range(0, length);
        for (int k = g_test_rand_int_range(1, 20); k > 0; k--)
            damaged[g_test_rand_int_range(0, length)] = g_test_rand_int();
        g_autoptr(MachineConfig) loaded = load_text(f, damaged, damaged_length, &error);
        g_assert_true(!loaded == !!error);
        if (loaded) {
            g_autofree char *line = config_to_command_line(loaded);
            config_validate(loaded, NULL);
            if (i % 100 == 0) /* each is synced to the disk */
                g_assert_true(config_save(loaded, f->path, NULL));
        }
    }
    for (int i = 0; i < 500; i++) {
        char noise[512];
        g_autoptr(GError) error = NULL;
        for (size_t k = 0; k < sizeof(noise); k++)
            noise[k] = g_test_rand_int();
        g_autoptr(MachineConfig) loaded = load_text(f, noise, sizeof(noise), &error);
        g_assert_true(!loaded == !!error);
    }
}

/* A save that fails leaves the file that was there. */
static void test_failed_save(Fixture *f, gconstpointer data)
{
    g_autoptr(MachineConfig) config = config_new();
    g_autofree char *before = NULL, *after = NULL;
    g_autoptr(GError) error = NULL;
    struct rlimit old, none;

    g_assert_true(config_save(config, f->path, NULL));
    g_assert_true(g_file_get_contents(f->path, &before, NULL, NULL));
    config->notes = g_strnfill(100000, 'x');
    /* No file may grow: as on a full disk. */
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    none = (struct rlimit){.rlim_cur = 4096, .rlim_max = old.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
    bool saved = config_save(config, f->path, &error);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
    signal(SIGXFSZ, handler);
    g_assert_false(saved);
    g_assert_nonnull(error);
    g_assert_true(g_file_get_contents(f->path, &after, NULL, NULL));
    g_assert_cmpstr(after, ==, before);
    g_clear_error(&error);
    g_assert_false(config_save(config, "/nonexistent/folder/machine.conf", &error));
    g_assert_nonnull(strstr(error->message, "/nonexistent/folder"));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*func)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/config-file/round-trip", test_round_trip},
        {"/config-file/missing-keys", test_missing_keys},
        {"/config-file/wrong", test_wrong},
        {"/config-file/duplicates", test_duplicates},
        {"/config-file/damage", test_damage},
        {"/config-file/failed-save", test_failed_save},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, fixture_init, tests[i].func, fixture_destroy);
    return g_test_run();
}
