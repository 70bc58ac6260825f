/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The command line that stands for a configuration, parsed back, is that configuration; and its
 * libvirt domain is what libvirt's own schema allows. */

#include "core/config/config.h"
#include "core/config/libvirt.h"
#include "core/config/network.h"

#include <glib/gstdio.h>

#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

static MachineConfig *parse(const char *line)
{
    g_autoptr(MachineConfig) config = config_new();
    g_auto(GStrv) words = NULL;
    GError *error = NULL;
    int n;

    g_shell_parse_argv(line, &n, &words, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(words[0], ==, "apiary");
    g_assert_cmpstr(words[1], ==, "run");
    config_parse_arguments(config, n - 2, words + 2, &error);
    g_assert_no_error(error);
    return g_steal_pointer(&config);
}

static void compare_lists(const GPtrArray *a, const GPtrArray *b)
{
    g_assert_cmpuint(a->len, ==, b->len);
    for (guint i = 0; i < a->len; i++)
        g_assert_cmpstr(a->pdata[i], ==, b->pdata[i]);
}

static void compare_drives(const GPtrArray *all_a, const GPtrArray *all_b)
{
    g_assert_cmpuint(all_a->len, ==, all_b->len);
    for (guint i = 0; i < all_a->len; i++) {
        const DriveConfig *a = all_a->pdata[i], *b = all_b->pdata[i];
        g_assert_cmpint(a->kind, ==, b->kind);
        g_assert_cmpint(a->bus, ==, b->bus);
        g_assert_cmpint(a->unit, ==, b->unit);
        g_assert_cmpstr(a->id, ==, b->id);
        g_assert_cmpstr(a->file, ==, b->file);
        g_assert_cmpstr(a->format, ==, b->format);
        g_assert_cmpint(a->read_only, ==, b->read_only);
        g_assert_cmpint(a->snapshot, ==, b->snapshot);
        g_assert_cmpint(a->discard, ==, b->discard);
        g_assert_cmpstr(a->cache, ==, b->cache);
        g_assert_cmpstr(a->serial, ==, b->serial);
    }
}

static void compare_devices(const MachineConfig *a, const MachineConfig *b)
{
    g_assert_cmpuint(a->devices->len, ==, b->devices->len);
    for (guint i = 0; i < a->devices->len; i++) {
        const DeviceConfig *one = a->devices->pdata[i], *other = b->devices->pdata[i];
        g_autofree char *values = option_values_format(one->values);
        g_autofree char *other_values = option_values_format(other->values);
        g_assert_cmpstr(one->driver, ==, other->driver);
        g_assert_cmpstr(values, ==, other_values);
    }
    g_assert_cmpuint(a->netdevs->len, ==, b->netdevs->len);
    for (guint i = 0; i < a->netdevs->len; i++) {
        const NetdevConfig *one = a->netdevs->pdata[i], *other = b->netdevs->pdata[i];
        g_autofree char *values = option_values_format(one->values);
        g_autofree char *other_values = option_values_format(other->values);
        g_assert_cmpstr(one->type, ==, other->type);
        g_assert_cmpstr(one->id, ==, other->id);
        g_assert_cmpstr(values, ==, other_values);
    }
}

/* All of what makes the machine; its folder and its notes are the library's. */
static void compare(const MachineConfig *a, const MachineConfig *b)
{
    g_assert_cmpstr(a->name, ==, b->name);
    g_assert_cmpuint(a->ram_bytes, ==, b->ram_bytes);
    g_assert_cmpuint(a->cpus, ==, b->cpus);
    g_assert_cmpstr(a->cpu_model, ==, b->cpu_model);
    g_assert_cmpint(a->accel_interp, ==, b->accel_interp);
    g_assert_cmpstr(a->accel_options, ==, b->accel_options);
    g_assert_cmpstr(a->firmware, ==, b->firmware);
    g_assert_cmpstr(a->boot_order, ==, b->boot_order);
    g_assert_cmpstr(a->boot_once, ==, b->boot_once);
    g_assert_cmpint(a->boot_menu, ==, b->boot_menu);
    g_assert_cmpuint(a->boot_splash_time, ==, b->boot_splash_time);
    g_assert_cmpstr(a->kernel, ==, b->kernel);
    g_assert_cmpstr(a->initrd, ==, b->initrd);
    g_assert_cmpstr(a->append, ==, b->append);
    compare_drives(a->drives, b->drives);
    compare_devices(a, b);
    compare_lists(a->serials, b->serials);
    compare_lists(a->chardevs, b->chardevs);
    compare_lists(a->qmps, b->qmps);
    compare_lists(a->monitors, b->monitors);
    g_assert_cmpstr(a->debugcon, ==, b->debugcon);
    g_assert_cmpuint(a->debugcon_port, ==, b->debugcon_port);
    g_assert_cmpstr(a->vga, ==, b->vga);
    g_assert_cmpuint(a->vga_memory_mb, ==, b->vga_memory_mb);
    g_assert_cmpstr(a->rtc_base, ==, b->rtc_base);
    g_assert_cmpstr(a->display, ==, b->display);
    g_assert_cmpstr(a->gdb, ==, b->gdb);
    g_assert_cmpint(a->no_reboot, ==, b->no_reboot);
    g_assert_cmpint(a->no_shutdown, ==, b->no_shutdown);
    g_assert_cmpint(a->start_paused, ==, b->start_paused);
    g_assert_cmpint(a->snapshot, ==, b->snapshot);
    g_assert_cmpint(a->usb_tablet, ==, b->usb_tablet);
    g_assert_cmpstr(a->pidfile, ==, b->pidfile);
}

static void check(const MachineConfig *config)
{
    g_autofree char *line = config_to_command_line(config);
    g_autoptr(MachineConfig) again = parse(line);
    g_autofree char *second = config_to_command_line(again);

    compare(config, again);
    g_assert_cmpstr(line, ==, second);
}

static void test_given(void)
{
    static const char *const lines[] = {
        "apiary run",
        "apiary run -gdb unix:/tmp/gdb,server=on,wait=off,arch=i386 -S",
        "apiary run -s",
        "apiary run -nodefaults",
        "apiary run -nic none -m 1048577B -smp 3 -cpu 'qemu64,+avx2,-sse4.1'",
        "apiary run -name 'It is a \"name\",, with commas,, $HOME `and` more' -hda /tmp/a,,b.qcow2",
        "apiary run -name guest=Улей -drive 'file=/tmp/ä b,,c.img,index=1,id=data,format=raw,"
        "readonly=on,cache=none,discard=unmap,serial=A,,1' -cdrom '/tmp/a disc.iso' -fda /tmp/f",
        "apiary run -boot order=nc,once=d,menu=on,splash-time=2500 -snapshot -hda /tmp/x.raw",
        "apiary run -kernel /boot/k -initrd '/boot/my initrd' -append 'root=/dev/sda1 a=\"b c\"'",
        "apiary run -chardev null,id=c0 -serial chardev:c0 -serial none -debugcon file:/tmp/d "
        "-global isa-debugcon.iobase=0x402 -monitor null -qmp unix:/tmp/q,server=on,wait=off "
        "-pidfile /tmp/p",
        "apiary run -accel interp -vga none -display none -no-reboot -no-shutdown -S",
        "apiary run -accel jit,tb-size=64 -machine pc,usb=off -global VGA.vgamem_mb=32 -bios b.bin "
        "-rtc base=2026-01-31T12:00:00",
        "apiary run -nic user,hostfwd=tcp::2222-:22,hostfwd=udp:0.0.0.0:53-10.0.2.16:53,"
        "hostname=a,,b,mac=52:54:00:00:00:01 -nic user,restrict=on -device isa-debug-exit",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(MachineConfig) config = parse(lines[i]);
        g_test_message("%s", lines[i]);
        check(config);
    }
}

/* A machine of the library, as the window makes it, through its file as well. */
static void test_kept(void)
{
    g_autofree char *folder = g_dir_make_tmp("apiary-command-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "machine.conf", NULL);
    g_autoptr(MachineConfig) config = config_new();
    GError *error = NULL;

    config_add_drive(config, DRIVE_IDE_DISK, 0, 0, "/tmp/one, two.qcow2");
    config_add_drive(config, DRIVE_IDE_CD, 1, 1, NULL);
    config->usb_tablet = false;
    g_assert_true(network_add_card(config, "hostfwd=tcp::2222-:22,hostfwd=tcp::8080-:80", &error));
    g_assert_true(network_add_card(config, NULL, &error));
    check(config);
    g_assert_true(config_save(config, path, &error));
    g_autoptr(MachineConfig) loaded = config_load(path, &error);
    g_assert_no_error(error);
    compare(config, loaded);
    check(loaded);
    g_remove(path);
    g_rmdir(folder);
}

/* Cards come, change their network and go; what is left is always a machine that starts. */
static void test_cards(void)
{
    g_autoptr(MachineConfig) config = config_new();
    GError *error = NULL;

    g_assert_null(network_card(config, 0));
    for (unsigned n = 0; n < NETWORK_MAX_CARDS; n++) {
        g_autofree char *mac = network_make_mac(config);
        g_autofree char *nic = g_strconcat("user,mac=", mac, NULL);
        g_assert_true(network_add_nic(config, nic, &error));
        g_assert_true(config_validate(config, &error));
    }
    DeviceConfig *second = network_card(config, 1);
    g_assert_true(network_connect_card(config, second, NULL, &error));
    g_assert_null(network_card_netdev(config, second));
    g_assert_cmpuint(config->netdevs->len, ==, NETWORK_MAX_CARDS - 1);
    check(config);
    g_assert_true(network_connect_card(config, second, "user", &error));
    g_assert_nonnull(network_card_netdev(config, second));
    network_remove_card(config, network_card(config, 0));
    g_assert_true(network_card(config, 0) == second);
    g_assert_true(config_validate(config, &error));
    check(config);
    g_assert_true(network_add_card(config, NULL, &error));
    g_assert_true(network_add_card(config, NULL, &error));
    g_assert_false(config_validate(config, &error));
    g_error_free(error);
}

static void validate(const char *line)
{
    g_autoptr(MachineConfig) config = parse(line);
    g_autofree char *xml = config_to_libvirt_xml(config);
    g_autofree char *path = NULL, *output = NULL;
    int status, fd = g_file_open_tmp("apiary-domain-XXXXXX.xml", &path, NULL);
    const char *argv[] = {"xmllint", "--noout", "--relaxng", SCHEMA, path, NULL};

    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, xml, -1, NULL));
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               &output, &status, NULL));
    if (status)
        g_test_message("%s%s", xml, output);
    g_assert_cmpint(status, ==, 0);
    g_remove(path);
}

static void test_libvirt(void)
{
    g_autofree char *xmllint = g_find_program_in_path("xmllint");

    if (!xmllint || !g_file_test(SCHEMA, G_FILE_TEST_EXISTS)) {
        g_test_skip("libvirt's schemas or xmllint are not installed");
        return;
    }
    validate("apiary run");
    validate("apiary run -name 'a <b> & \"c\"' -hda /tmp/x.qcow2 -cdrom '/tmp/a & b.iso' -m 2G "
             "-smp 2 -boot order=dnc,menu=on -nic user,hostfwd=tcp::2222-:22 -vga none");
    validate("apiary run -cpu qemu64,+avx2,-sse4.1 -kernel /k -append 'a<b' -net none -fda /f "
             "-drive file=/d,format=raw,cache=none,discard=unmap,serial=S1,readonly=on,index=1");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/command-line/given", test_given);
    g_test_add_func("/command-line/kept", test_kept);
    g_test_add_func("/command-line/cards", test_cards);
    g_test_add_func("/command-line/libvirt", test_libvirt);
    return g_test_run();
}
