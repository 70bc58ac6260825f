/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The flags of `apiary run`, by their QEMU meaning. */

#include "core/config/arguments.h"
#include "core/config/config.h"

#include <string.h>

/* Parses LINE, quoted as in a shell; NULL with ERROR. */
static MachineConfig *parse(const char *line, GError **error)
{
    g_autoptr(MachineConfig) config = config_new();
    g_auto(GStrv) argv = NULL;
    int argc = 0;

    if (*line)
        g_assert_true(g_shell_parse_argv(line, &argc, &argv, NULL));
    return config_parse_arguments(config, argc, argv, error) ? g_steal_pointer(&config) : NULL;
}

static MachineConfig *parsed(const char *line)
{
    GError *error = NULL;
    MachineConfig *config = parse(line, &error);

    if (!config)
        g_error("%s: %s", line, error->message);
    return config;
}

static void test_defaults(void)
{
    g_autoptr(MachineConfig) config = parsed("");
    DriveConfig *cd = config_find_drive(config, "ide1-cd0");

    g_assert_cmpuint(config->ram_bytes, ==, 128 << 20);
    g_assert_cmpuint(config->cpus, ==, 1);
    g_assert_cmpuint(config->drives->len, ==, 1);
    g_assert_true(cd && !cd->file && cd->read_only);
    g_assert_cmpuint(config->netdevs->len, ==, 1);
    g_assert_true(config_validate(config, NULL));
}

static void test_machine_flags(void)
{
    g_autoptr(MachineConfig) config = parsed(
        "-m 2G -smp 4 -cpu qemu64,+avx2 -name 'A,,B' -bios /b -boot order=dc,once=n,menu=on,"
        "splash-time=5000 -kernel /k -initrd /i -append 'a b=\"c\"' -no-reboot -no-shutdown -S "
        "-rtc base=2026-01-31T12:00:00 -pidfile /p -display none -accel interp -vga none");

    g_assert_cmpuint(config->ram_bytes, ==, 2ull << 30);
    g_assert_cmpuint(config->cpus, ==, 4);
    g_assert_cmpstr(config->cpu_model, ==, "qemu64,+avx2");
    g_assert_cmpstr(config->name, ==, "A,B");
    g_assert_cmpstr(config->firmware, ==, "/b");
    g_assert_cmpstr(config->boot_order, ==, "dc");
    g_assert_cmpstr(config->boot_once, ==, "n");
    g_assert_true(config->boot_menu);
    g_assert_cmpuint(config->boot_splash_time, ==, 5000);
    g_assert_cmpstr(config->kernel, ==, "/k");
    g_assert_cmpstr(config->initrd, ==, "/i");
    g_assert_cmpstr(config->append, ==, "a b=\"c\"");
    g_assert_true(config->no_reboot && config->no_shutdown && config->start_paused);
    g_assert_cmpstr(config->rtc_base, ==, "2026-01-31T12:00:00");
    g_assert_cmpstr(config->pidfile, ==, "/p");
    g_assert_cmpstr(config->display, ==, "none");
    g_assert_cmpstr(config->vga, ==, "none");
    g_assert_true(config->accel_interp);
    g_autoptr(MachineConfig) debugged = parsed("-s");
    g_assert_cmpstr(debugged->gdb, ==, "tcp::1234");
    g_autoptr(GError) error = NULL;
    g_autoptr(MachineConfig) shared = parsed("-gdb stdio -serial stdio");
    g_assert_false(config_validate(shared, &error));
    g_assert_nonnull(strstr(error->message, "-gdb stdio"));
    /* Two dashes are one; the last of a flag given twice counts. */
    g_autoptr(MachineConfig) other = parsed("--m 64 -m size=1G -smp sockets=2,cores=3 -M pc");
    g_assert_cmpuint(other->ram_bytes, ==, 1 << 30);
    g_assert_cmpuint(other->cpus, ==, 6);
    /* A flag that speaks of one thing leaves the others alone. */
    g_autoptr(MachineConfig) boot = parsed("-boot menu=on,splash-time=1 -boot order=d");
    g_assert_true(boot->boot_menu);
    g_assert_cmpuint(boot->boot_splash_time, ==, 1);
    g_autoptr(MachineConfig) jit = parsed("-accel jit,tb-size=64");
    g_assert_false(jit->accel_interp);
    g_assert_cmpstr(jit->accel_options, ==, "tb-size=64");
}

static void test_drive_flags(void)
{
    g_autoptr(MachineConfig) config =
        parsed("-hda a -hdb b -cdrom c -hdd d -fda e -fdb f -snapshot");
    static const struct {
        const char *id, *file;
        int bus, unit;
    } drives[] = {{"ide0-hd0", "a", 0, 0}, {"ide0-hd1", "b", 0, 1}, {"ide1-cd0", "c", 1, 0},
                  {"ide1-hd1", "d", 1, 1}, {"floppy0", "e", 0, 0},  {"floppy1", "f", 0, 1}};

    g_assert_cmpuint(config->drives->len, ==, G_N_ELEMENTS(drives));
    for (size_t i = 0; i < G_N_ELEMENTS(drives); i++) {
        DriveConfig *drive = config_find_drive(config, drives[i].id);
        g_assert_nonnull(drive);
        g_assert_cmpstr(drive->file, ==, drives[i].file);
        g_assert_cmpint(drive->bus, ==, drives[i].bus);
        g_assert_cmpint(drive->unit, ==, drives[i].unit);
        g_assert_true(drive->snapshot);
    }
    g_autoptr(MachineConfig) general =
        parsed("-drive file=a,,b.qcow2,format=qcow2,cache=none,discard=unmap,serial=X1,id=root "
               "-drive media=cdrom -drive file=f,if=floppy,index=1,readonly=on "
               "-drive file=n,bus=0,unit=1,snapshot=on");
    DriveConfig *root = config_find_drive(general, "root");
    g_assert_cmpstr(root->file, ==, "a,b.qcow2");
    g_assert_cmpstr(root->format, ==, "qcow2");
    g_assert_cmpstr(root->cache, ==, "none");
    g_assert_cmpstr(root->serial, ==, "X1");
    g_assert_true(root->discard && !root->read_only);
    g_assert_true(config_find_drive(general, "floppy1")->read_only);
    g_assert_true(config_find_drive(general, "ide0-hd1")->snapshot);
    g_assert_nonnull(config_find_drive(general, "ide1-cd0"));
    g_assert_true(config_validate(general, NULL));
}

static void test_character_flags(void)
{
    g_autoptr(MachineConfig) config = parsed(
        "-serial stdio -serial file:/tmp/x -serial pty -serial unix:/s,server=on,wait=off "
        "-chardev socket,id=c,path=/t,server=on,wait=off -debugcon file:/d -monitor none "
        "-global isa-debugcon.iobase=0x402 -monitor unix:/m,server,nowait -qmp "
        "tcp:localhost:4444,server=on,wait=off "
        "-device isa-debugcon,iobase=0x402,chardev=c -device isa-debug-exit,iobase=0xf4,iosize=4");

    g_assert_cmpuint(config->serials->len, ==, 4);
    g_assert_cmpstr(config->serials->pdata[3], ==, "unix:/s,server=on,wait=off");
    g_assert_cmpuint(config->chardevs->len, ==, 1);
    g_assert_cmpstr(config->debugcon, ==, "file:/d");
    g_assert_cmphex(config->debugcon_port, ==, 0x402);
    g_assert_cmpuint(config->monitors->len, ==, 1);
    g_assert_cmpuint(config->qmps->len, ==, 1);
    /* The default network card comes on top. */
    g_assert_cmpuint(config->devices->len, ==, 3);
    DeviceConfig *exit_port = config->devices->pdata[1];
    g_assert_cmpuint(option_uint(exit_port->values, "iobase"), ==, 0xf4);
    g_autoptr(MachineConfig) none = parsed("-nic none -nographic -serial chardev:x");
    g_assert_cmpuint(none->devices->len, ==, 0);
    g_assert_cmpstr(none->display, ==, "none");
}

/* What is wrong is named, and what to do is said. */
static void test_refusals(void)
{
    static const struct {
        const char *line, *first, *second;
    } wrong[] = {
        {"-zebra", "-zebra", "--help"},
        {"-serail stdio", "-serail", "did you mean -serial?"},
        {"-cdrm x", "-cdrm", "did you mean -cdrom?"},
        {"-snapshoot", "-snapshoot", "did you mean -snapshot?"},
        {"-enable-kvm", "-enable-kvm", "leave it out"},
        {"-daemonize", "-daemonize", "-pidfile"},
        {"-gdb pty", "\"pty\"", "unix:PATH"},
        {"-gdb tcp::", "-gdb tcp::", "[HOST]:PORT"},
        {"-gdb unix:", "unix:", "path"},
        {"-gdb tcp::1,server=off", "server=off", "not the other way"},
        {"-gdb tcp::1,wait=on", "wait=on", "-S"},
        {"-gdb tcp::1,arch=arm", "arm", "i386"},
        {"-gdb chardev:x", "chardev:x", "stdio"},
        {"disk.img", "disk.img", "-hda disk.img"},
        {"-m", "-m", "needs a value"},
        {"-m 5Q", "-m 5Q", "2G"},
        {"-m foo=5", "foo", "size"},
        {"-m ''", "-m", "size"},
        {"-smp 0", "-smp 0", "1"},
        {"-smp 1000", "-smp 1000", "32"},
        {"-smp sockets=32,cores=32", "1024", "32"},
        {"-smp 2,threads=2", "threads=2", "1"},
        {"-accel kvm", "kvm", "jit"},
        {"-M q35", "q35", "pc"},
        {"-boot order=xyz", "xyz", "use a, c, d and n"},
        {"-boot order=cc", "cc", "once"},
        {"-boot foo=1", "foo", "order"},
        {"-rtc base=yesterday", "yesterday", "utc"},
        {"-vga cirrus", "cirrus", "std"},
        {"-display sdl", "sdl", "gtk"},
        {"-serial nonsense", "nonsense", "file:PATH"},
        {"-serial file:", "file:", "file:PATH"},
        {"-serial unix:/x,server=perhaps", "perhaps", "on or off"},
        {"-serial tcp:h:0", "\"0\"", "port"},
        {"-serial a -serial null", "a", "stdio"},
        {"-serial null -serial null -serial null -serial null -serial null", "null", "four"},
        {"-chardev stdio", "stdio", "id="},
        {"-drive file=x,if=virtio", "virtio", "ide"},
        {"-drive file=x,if=none", "if=none", "if=ide"},
        {"-drive file=x,index=4", "index=4", "3"},
        {"-drive file=x,if=floppy,index=2", "index=2", "2 floppy drives"},
        {"-drive if=ide", "file=", "disk"},
        {"-drive fiel=x", "fiel", "file"},
        {"-drive file=x,cache=lazy", "cache=lazy", "writeback"},
        {"-hda a -hda b", "-hda b", "taken"},
        {"-hdc a -cdrom b", "-cdrom b", "taken"},
        {"-hda a -hdb b -hdc c -hdd d -drive file=e", "all 4", "taken"},
        {"-device rtl8139", "rtl8139", "e1000"},
        {"-global VGA.vgamem_mb=0", "vgamem_mb=0", "from 1 to 256"},
        {"-global isa-debugcon.iobase=65536", "iobase=65536", "65535"},
        {"-global e1000.mac=1", "e1000.mac=1", "isa-debugcon.iobase=PORT"},
        {"-device isa-debug-exit,iobsae=1", "iobsae", "iobase"},
        {"-device isa-debug-exit,iobase=0x10000", "iobase=0x10000", "65535"},
        {"-netdev user", "id=", "-netdev user"},
        {"-nic tap", "tap", "user"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(MachineConfig) config = parse(wrong[i].line, &error);
        if (config)
            g_error("%s was accepted", wrong[i].line);
        g_assert_nonnull(error);
        if (!strstr(error->message, wrong[i].first) || !strstr(error->message, wrong[i].second))
            g_error("%s: \"%s\" lacks \"%s\" or \"%s\"", wrong[i].line, error->message,
                    wrong[i].first, wrong[i].second);
    }
}

static void test_validation(void)
{
    static const struct {
        const char *line, *named;
    } wrong[] = {
        {"-m 1000T", "this computer has"},
        {"-m 1K", "at least"},
        {"-append x", "-kernel"},
        {"-hda a -drive file=b,bus=0,unit=0,id=c", "same place"},
        {"-hda a -drive file=b,id=ide0-hd0", "Two drives are called"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(MachineConfig) config = parsed(wrong[i].line);
        g_assert_false(config_validate(config, &error));
        if (!strstr(error->message, wrong[i].named))
            g_error("%s: \"%s\" lacks \"%s\"", wrong[i].line, error->message, wrong[i].named);
    }
}

/* The equivalent command line makes the same machine. */
static void test_command_line(void)
{
    static const char *const lines[] = {
        "",
        "-m 300 -smp 3 -cpu qemu64 -name 'its,, a name' -accel interp -bios '/a b' -nic none",
        "-boot order=dc,once=n,menu=on,splash-time=5000 -kernel /k -initrd /i -append 'a  \"b\"'",
        "-hda 'a,,b c' -cdrom /c.iso -fdb /f -snapshot",
        "-drive file=x,format=raw,cache=none,discard=unmap,serial=a1,id=root,readonly=on",
        "-serial stdio -serial file:/x -chardev null,id=c -debugcon file:/d -qmp stdio "
        "-monitor unix:/m,server=on,wait=off -device isa-debugcon,chardev=c",
        "-rtc base=localtime -vga none -display none -no-reboot -no-shutdown -S -pidfile /p",
        "-netdev user,id=n,hostfwd=tcp::2222-:22,hostfwd=udp::53-:53 -device e1000,netdev=n",
        "-accel jit,tb-size=64",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(MachineConfig) config = parsed(lines[i]);
        g_autofree char *line = config_to_command_line(config);
        g_assert_true(g_str_has_prefix(line, "apiary run"));
        g_autoptr(MachineConfig) again = parsed(line + strlen("apiary run"));
        g_autofree char *line_again = config_to_command_line(again);
        g_assert_cmpstr(line_again, ==, line);
        g_assert_cmpuint(again->ram_bytes, ==, config->ram_bytes);
        g_assert_cmpstr(again->boot_once, ==, config->boot_once);
        g_assert_cmpuint(again->boot_splash_time, ==, config->boot_splash_time);
        g_assert_cmpstr(again->accel_options, ==, config->accel_options);
        g_assert_cmpstr(again->debugcon, ==, config->debugcon);
        g_assert_cmpstr(again->pidfile, ==, config->pidfile);
        g_assert_cmpstr(again->append, ==, config->append);
        g_assert_cmpstr(again->name, ==, config->name);
        g_assert_cmpstr(again->display, ==, config->display);
        g_assert_cmpuint(again->chardevs->len, ==, config->chardevs->len);
        g_assert_cmpuint(again->monitors->len, ==, config->monitors->len);
        g_assert_cmpuint(again->qmps->len, ==, config->qmps->len);
        g_assert_cmpuint(again->devices->len, ==, config->devices->len);
        g_assert_true(again->no_reboot == config->no_reboot &&
                      again->no_shutdown == config->no_shutdown &&
                      again->start_paused == config->start_paused);
        for (guint k = 0; k < config->drives->len; k++) {
            const DriveConfig *drive = config->drives->pdata[k];
            const DriveConfig *same = config_find_drive(again, drive->id);
            g_assert_nonnull(same);
            g_assert_cmpstr(same->file, ==, drive->file);
            g_assert_true(same->snapshot == drive->snapshot);
        }
    }
}

static void test_help(void)
{
    static const char *const flags[] = {
        "-m",    "-smp",  "-cpu",     "-hda",      "-hdb",         "-hdc",     "-hdd",
        "-fda",  "-fdb",  "-cdrom",   "-drive",    "-boot",        "-serial",  "-debugcon",
        "-name", "-bios", "-kernel",  "-initrd",   "-append",      "-display", "-no-reboot",
        "-rtc",  "-qmp",  "-monitor", "-snapshot", "-no-shutdown", "-device",  "-accel",
        "-nic",  "-S",    "-pidfile"};
    g_autoptr(GString) help = g_string_new(NULL);

    config_describe_arguments(help);
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_autofree char *start = g_strdup_printf("  %s ", flags[i]);
        g_assert_nonnull(strstr(help->str, start));
    }
}

/* Random words of the right kind: an answer or an error, nothing else. */
static void test_random(void)
{
    static const char *const words[] = {
        "-m",       "-smp",  "-drive",  "-device",   "-boot",
        "-serial",  "-nic",  "-netdev", "-rtc",      "-accel",
        "-chardev", "-name", "file=",   "user,id=a", "e1000,netdev=a",
        "=",        ",",     ",,",      "order=",    "9999999999999999999",
        "-1",       "unix:", "tcp:",    "tcp::",     "none",
        "\xff\xfe", "%s%n",  ""};

    for (int i = 0; i < 20000; i++) {
        g_autoptr(MachineConfig) config = config_new();
        g_autoptr(GError) error = NULL;
        char *argv[6];
        int argc = g_test_rand_int_range(1, G_N_ELEMENTS(argv) + 1);
        for (int k = 0; k < argc; k++)
            argv[k] = (char *)words[g_test_rand_int_range(0, G_N_ELEMENTS(words))];
        bool done = config_parse_arguments(config, argc, argv, &error);
        g_assert_true(done == !error);
        if (done) {
            g_autofree char *line = config_to_command_line(config);
            config_validate(config, NULL);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/arguments/defaults", test_defaults);
    g_test_add_func("/arguments/machine", test_machine_flags);
    g_test_add_func("/arguments/drives", test_drive_flags);
    g_test_add_func("/arguments/character", test_character_flags);
    g_test_add_func("/arguments/refusals", test_refusals);
    g_test_add_func("/arguments/validation", test_validation);
    g_test_add_func("/arguments/command-line", test_command_line);
    g_test_add_func("/arguments/help", test_help);
    g_test_add_func("/arguments/random", test_random);
    return g_test_run();
}
