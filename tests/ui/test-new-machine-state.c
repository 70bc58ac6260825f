/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/config/network.h"
#include "ui/new-machine-state.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
    char *root;
    Library *library;
    NewMachineState state;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->root = g_dir_make_tmp("apiary-state-XXXXXX", NULL);
    f->library = library_new(f->root);
    new_machine_state_init(&f->state, f->library);
    f->state.host_ram_mb = 8192;
    f->state.host_cpus = 4;
}

static void tear_down(Fixture *f, gconstpointer data)
{
    const char *argv[] = {"rm", "-rf", f->root, NULL};

    new_machine_state_clear(&f->state);
    library_free(f->library);
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                 NULL);
    g_free(f->root);
}

static MediumInfo *debian_disc(void)
{
    MediumInfo *info = g_new0(MediumInfo, 1);

    info->kind = MEDIUM_CD;
    info->bootable = true;
    info->system = g_strdup("Debian GNU/Linux 12");
    info->ram_bytes = 1ull << 30;
    info->disk_bytes = 1ull << 30;
    return info;
}

static void test_pages(Fixture *f, gconstpointer data)
{
    NewMachineState *s = &f->state;

    s->source = NEW_MACHINE_DISK;
    g_assert_cmpint(new_machine_state_next(s, NEW_MACHINE_PAGE_HARDWARE), ==,
                    NEW_MACHINE_PAGE_NETWORK);
    s->source = NEW_MACHINE_EMPTY;
    g_assert_cmpint(new_machine_state_next(s, NEW_MACHINE_PAGE_SOURCE), ==,
                    NEW_MACHINE_PAGE_HARDWARE);
    g_assert_cmpint(new_machine_state_previous(s, NEW_MACHINE_PAGE_HARDWARE), ==,
                    NEW_MACHINE_PAGE_SOURCE);
    g_assert_cmpint(new_machine_state_next(s, NEW_MACHINE_PAGE_SUMMARY), ==,
                    NEW_MACHINE_PAGE_SUMMARY);
}

static void expect(const NewMachineState *s, NewMachinePage page, bool said, bool blocked)
{
    bool blocks;
    g_autofree char *problem = new_machine_state_problem(s, page, &blocks);

    g_assert_cmpint(problem != NULL, ==, said);
    g_assert_cmpint(blocks, ==, blocked);
}

static void test_validation(Fixture *f, gconstpointer data)
{
    NewMachineState *s = &f->state;

    expect(s, NEW_MACHINE_PAGE_MEDIUM, true, true);
    new_machine_state_set_medium(s, "/x.iso", NULL, "Cannot open it");
    expect(s, NEW_MACHINE_PAGE_MEDIUM, true, true);
    new_machine_state_set_medium(s, "/x.iso", debian_disc(), NULL);
    expect(s, NEW_MACHINE_PAGE_MEDIUM, false, false);
    g_assert_cmpstr(s->name, ==, "Debian GNU Linux 12");
    g_assert_cmpuint(s->ram_mb, ==, 1024);

    s->ram_mb = 8000; /* a warning, not a wall */
    expect(s, NEW_MACHINE_PAGE_HARDWARE, true, false);
    s->ram_mb = 9000;
    expect(s, NEW_MACHINE_PAGE_HARDWARE, true, true);
    s->ram_mb = 512;
    s->cpus = 8;
    expect(s, NEW_MACHINE_PAGE_HARDWARE, true, false);
    s->cpus = 2;
    expect(s, NEW_MACHINE_PAGE_HARDWARE, false, false);
    s->disk_gb = 1 << 24;
    expect(s, NEW_MACHINE_PAGE_STORAGE, true, false);
    new_machine_state_set_name(s, "");
    expect(s, NEW_MACHINE_PAGE_SUMMARY, true, true);
    /* A typed name stays when another disc is chosen. */
    new_machine_state_set_name(s, "Mine");
    new_machine_state_set_medium(s, "/y.iso", debian_disc(), NULL);
    g_assert_cmpstr(s->name, ==, "Mine");
}

static void test_network(Fixture *f, gconstpointer data)
{
    NewMachineState *s = &f->state;
    g_autoptr(GError) error = NULL;

    s->source = NEW_MACHINE_NETWORK;
    expect(s, NEW_MACHINE_PAGE_MEDIUM, true, false); /* iPXE may find a server by itself */
    g_autofree char *folder = g_build_filename(f->root, "boot, files", NULL);
    g_autofree char *boot_file = g_build_filename(folder, "pxelinux.0", NULL);
    g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
    new_machine_state_set_medium(s, boot_file, NULL, NULL);
    expect(s, NEW_MACHINE_PAGE_MEDIUM, false, false);
    s->wants_network = false;
    expect(s, NEW_MACHINE_PAGE_NETWORK, true, true);
    s->wants_network = true;
    expect(s, NEW_MACHINE_PAGE_NETWORK, false, false);

    /* A port that somebody has is said, but it may be free later. */
    g_autoptr(GSocketListener) listener = g_socket_listener_new();
    g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
    g_autoptr(GSocketAddress) any = g_inet_socket_address_new(loopback, 0), bound = NULL;
    g_assert_true(g_socket_listener_add_address(listener, any, G_SOCKET_TYPE_STREAM,
                                                G_SOCKET_PROTOCOL_TCP, NULL, &bound, &error));
    g_autofree char *busy = g_strdup_printf(
        "tcp::%u-:22", g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound)));
    new_machine_state_add_forward(s, busy);
    expect(s, NEW_MACHINE_PAGE_NETWORK, true, false);
    new_machine_state_remove_forward(s, busy);
    g_assert_cmpuint(s->forwards->len, ==, 0);

    new_machine_state_add_forward(s, "tcp:127.0.0.1:2222-:22");
    s->wants_disk = false;
    g_autoptr(MachineConfig) config = new_machine_state_create(s, &error);
    g_assert_no_error(error);
    g_assert_true(config_validate(config, &error));
    const DeviceConfig *card = network_card(config, 0);
    const OptionValues *values = network_card_netdev(config, card)->values;
    g_assert_nonnull(option_string(card->values, "mac"));
    g_assert_cmpstr(option_string(values, "tftp"), ==, folder);
    g_assert_cmpstr(option_string(values, "bootfile"), ==, "pxelinux.0");
    g_assert_cmpstr(option_list(values, "hostfwd")[0], ==, "tcp:127.0.0.1:2222-:22");
    g_assert_nonnull(strchr(config->boot_order, 'n'));
}

static void test_create(Fixture *f, gconstpointer data)
{
    NewMachineState *s = &f->state;
    g_autoptr(GError) error = NULL;

    new_machine_state_set_medium(s, "/x.iso", debian_disc(), NULL);
    new_machine_state_set_name(s, "Made");
    g_autoptr(MachineConfig) config = new_machine_state_create(s, &error);
    g_assert_no_error(error);
    g_assert_true(config_validate(config, &error));
    g_assert_nonnull(network_card(config, 0));
    const DriveConfig *disk = config_find_drive(config, "ide0-hd0");
    g_assert_true(g_file_test(disk->file, G_FILE_TEST_EXISTS));
    g_assert_cmpstr(config_find_drive(config, "ide1-cd0")->file, ==, "/x.iso");
    g_assert_null(new_machine_state_create(s, &error));
    g_assert_nonnull(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/new-machine/pages", Fixture, NULL, set_up, test_pages, tear_down);
    g_test_add("/new-machine/validation", Fixture, NULL, set_up, test_validation, tear_down);
    g_test_add("/new-machine/network", Fixture, NULL, set_up, test_network, tear_down);
    g_test_add("/new-machine/create", Fixture, NULL, set_up, test_create, tear_down);
    return g_test_run();
}
