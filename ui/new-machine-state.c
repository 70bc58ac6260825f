/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/new-machine-state.h"

#include "core/block/block.h"
#include "core/config/network.h"
#include "core/net/forward.h"
#include "ui/host-ports.h"
#include "ui/vm-network.h"

#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#define MIN_RAM_MB 16
#define MAX_CPUS   32

static void set_text(char **field, const char *text)
{
    char *copy = g_strdup(text);

    g_free(*field);
    *field = copy;
}

void new_machine_state_init(NewMachineState *state, Library *library)
{
    *state = (NewMachineState){
        .library = library,
        .ram_mb = 2048,
        .cpus = 1,
        .wants_disk = true,
        .disk_gb = 20,
        .disk_format = g_strdup("qcow2"),
        .wants_network = true,
        .forwards = g_ptr_array_new_with_free_func(g_free),
        .host_ram_mb = ((uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE)) >> 20,
        .host_cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
    };
    state->cpus = MIN(state->host_cpus, 2);
    state->ram_mb = MIN(state->ram_mb, state->host_ram_mb / 2);
    state->name = library_free_name(library, _("New machine"));
}

void new_machine_state_clear(NewMachineState *state)
{
    g_clear_pointer(&state->medium, g_free);
    g_clear_pointer(&state->info, medium_info_free);
    g_clear_pointer(&state->medium_error, g_free);
    g_clear_pointer(&state->disk_format, g_free);
    g_clear_pointer(&state->forwards, g_ptr_array_unref);
    g_clear_pointer(&state->name, g_free);
}

void new_machine_state_set_medium(NewMachineState *state, const char *path, MediumInfo *info,
                                  const char *error)
{
    set_text(&state->medium, path);
    set_text(&state->medium_error, error);
    g_clear_pointer(&state->info, medium_info_free);
    state->info = info;
    if (!info || state->source == NEW_MACHINE_NETWORK)
        return;
    state->ram_mb =
        CLAMP(info->ram_bytes >> 20, MIN_RAM_MB, MAX(state->host_ram_mb / 2, MIN_RAM_MB));
    state->wants_disk = state->source == NEW_MACHINE_ISO && info->disk_bytes > 0;
    if (info->disk_bytes)
        state->disk_gb = info->disk_bytes >> 30;
    if (!state->name_is_typed) {
        g_autofree char *base = g_path_get_basename(path);
        char *dot = strrchr(base, '.');
        if (dot && dot != base)
            *dot = '\0';
        g_free(state->name);
        state->name = library_free_name(state->library, info->system ? info->system : base);
    }
}

void new_machine_state_set_name(NewMachineState *state, const char *name)
{
    if (g_str_equal(state->name, name))
        return;
    set_text(&state->name, name);
    state->name_is_typed = true;
}

void new_machine_state_add_forward(NewMachineState *state, const char *rule)
{
    g_ptr_array_add(state->forwards, g_strdup(rule));
}

void new_machine_state_remove_forward(NewMachineState *state, const char *rule)
{
    for (guint i = state->forwards->len; i-- > 0;)
        if (g_str_equal(state->forwards->pdata[i], rule))
            g_ptr_array_remove_index(state->forwards, i);
}

/* --- validation ------------------------------------------------------------------------------- */

static char *medium_problem(const NewMachineState *state, bool *blocks)
{
    *blocks = state->source != NEW_MACHINE_NETWORK;
    if (!state->medium && state->source == NEW_MACHINE_NETWORK)
        return g_strdup(_("Without a boot file the machine can only boot from a server that it "
                          "reaches by itself, as iPXE does."));
    if (!state->medium)
        return g_strdup(state->source == NEW_MACHINE_ISO ? _("Choose a disc image.")
                                                         : _("Choose a disk image."));
    if (state->medium_error)
        return g_strdup(state->medium_error);
    *blocks = false;
    if (!state->info || state->source == NEW_MACHINE_NETWORK)
        return NULL;
    if (state->source == NEW_MACHINE_ISO && state->info->kind != MEDIUM_CD)
        return g_strdup(_("This does not look like a disc image."));
    if (state->source == NEW_MACHINE_ISO && !state->info->bootable)
        return g_strdup(_("A machine cannot start from this disc: it has no boot record."));
    if (state->source == NEW_MACHINE_DISK && state->info->kind == MEDIUM_CD) {
        *blocks = true;
        return g_strdup(_("This is a disc image: go back and choose “From a disc image”."));
    }
    return NULL;
}

static char *hardware_problem(const NewMachineState *state, bool *blocks)
{
    *blocks = true;
    if (state->ram_mb < MIN_RAM_MB || state->ram_mb > state->host_ram_mb)
        return g_strdup_printf(_("This computer has %llu MiB of memory."),
                               (unsigned long long)state->host_ram_mb);
    if (state->cpus < 1 || state->cpus > MAX_CPUS)
        return g_strdup_printf(_("A machine has 1 to %d CPUs."), MAX_CPUS);
    *blocks = false;
    if (state->ram_mb > state->host_ram_mb * 3 / 4)
        return g_strdup(_("That leaves little memory for this computer itself."));
    if (state->cpus > state->host_cpus)
        return g_strdup_printf(
            ngettext("This computer has %u CPU: the machine will not be faster with more.",
                     "This computer has %u CPUs: the machine will not be faster with more.",
                     state->host_cpus),
            state->host_cpus);
    return NULL;
}

/* Free bytes where the library is or will be. */
static uint64_t free_space(const NewMachineState *state)
{
    g_autofree char *path = g_strdup(library_root(state->library));

    while (!g_file_test(path, G_FILE_TEST_IS_DIR)) {
        char *parent = g_path_get_dirname(path);
        g_free(path);
        path = parent;
    }
    g_autoptr(GFile) file = g_file_new_for_path(path);
    g_autoptr(GFileInfo) info =
        g_file_query_filesystem_info(file, G_FILE_ATTRIBUTE_FILESYSTEM_FREE, NULL, NULL);
    return info ? g_file_info_get_attribute_uint64(info, G_FILE_ATTRIBUTE_FILESYSTEM_FREE)
                : UINT64_MAX;
}

static char *storage_problem(const NewMachineState *state, bool *blocks)
{
    uint64_t available = free_space(state);

    *blocks = false;
    if (!state->wants_disk || available >= state->disk_gb << 30)
        return NULL;
    g_autofree char *size = g_format_size_full(available, G_FORMAT_SIZE_IEC_UNITS);
    return g_strdup_printf(_("There are %s free: the disk cannot become as large as this."), size);
}

static char *network_problem(const NewMachineState *state, bool *blocks)
{
    NetForward forward;

    *blocks = state->source == NEW_MACHINE_NETWORK && !state->wants_network;
    if (*blocks)
        return g_strdup(_("A machine that boots from the network needs one."));
    for (guint i = 0; state->wants_network && i < state->forwards->len; i++)
        if (net_forward_parse(state->forwards->pdata[i], &forward, NULL) &&
            !apiary_host_port_is_free(&forward))
            return g_strdup_printf(_("Host port %u is busy now: the machine cannot start before "
                                     "it is free."),
                                   forward.host_port);
    return NULL;
}

char *new_machine_state_problem(const NewMachineState *state, NewMachinePage page, bool *blocks)
{
    g_autoptr(GError) error = NULL;

    *blocks = false;
    switch (page) {
    case NEW_MACHINE_PAGE_MEDIUM: return medium_problem(state, blocks);
    case NEW_MACHINE_PAGE_HARDWARE: return hardware_problem(state, blocks);
    case NEW_MACHINE_PAGE_STORAGE: return storage_problem(state, blocks);
    case NEW_MACHINE_PAGE_NETWORK: return network_problem(state, blocks);
    case NEW_MACHINE_PAGE_SUMMARY:
        *blocks = !library_check_name(state->library, state->name, NULL, &error);
        return *blocks ? g_strdup(error->message) : NULL;
    case NEW_MACHINE_PAGE_SOURCE:
    case NEW_MACHINE_N_PAGES: break;
    }
    return NULL;
}

/* --- the way through -------------------------------------------------------------------------- */

static bool has_page(const NewMachineState *state, NewMachinePage page)
{
    if (page == NEW_MACHINE_PAGE_MEDIUM)
        return state->source != NEW_MACHINE_EMPTY;
    if (page == NEW_MACHINE_PAGE_STORAGE)
        return state->source != NEW_MACHINE_DISK;
    return true;
}

NewMachinePage new_machine_state_next(const NewMachineState *state, NewMachinePage page)
{
    while (page < NEW_MACHINE_PAGE_SUMMARY && !has_page(state, ++page))
        ;
    return page;
}

NewMachinePage new_machine_state_previous(const NewMachineState *state, NewMachinePage page)
{
    while (page > NEW_MACHINE_PAGE_SOURCE && !has_page(state, --page))
        ;
    return page;
}

char *new_machine_state_summary(const NewMachineState *state)
{
    GString *text = g_string_new(NULL);

    if (state->medium && state->source != NEW_MACHINE_EMPTY) {
        g_autofree char *base = g_path_get_basename(state->medium);
        g_string_append_printf(text,
                               state->source == NEW_MACHINE_ISO    ? _("Disc: %s\n")
                               : state->source == NEW_MACHINE_DISK ? _("Disk: %s\n")
                                                                   : _("Boot file: %s\n"),
                               base);
    }
    g_string_append_printf(text, _("Memory: %llu MiB\n"), (unsigned long long)state->ram_mb);
    g_string_append_printf(text, _("CPUs: %u\n"), state->cpus);
    if (state->source != NEW_MACHINE_DISK && state->wants_disk)
        g_string_append_printf(text, _("New disk: %llu GiB (%s)\n"),
                               (unsigned long long)state->disk_gb, state->disk_format);
    g_string_append(text, state->wants_network ? _("Network: user mode\n") : _("Network: none\n"));
    for (guint i = 0; state->wants_network && i < state->forwards->len; i++) {
        NetForward forward;
        if (!net_forward_parse(state->forwards->pdata[i], &forward, NULL))
            continue;
        g_autofree char *words = apiary_forward_text(&forward, _("guest"));
        g_string_append_printf(text, _("Forward: %s\n"), words);
    }
    g_string_append_printf(text, _("Folder: %s/%s"), library_root(state->library), state->name);
    return g_string_free(text, FALSE);
}

/* --- creation --------------------------------------------------------------------------------- */

/* A card on a user-mode network; for a network boot it shows the boot file's folder by TFTP. */
static bool add_network(const NewMachineState *state, MachineConfig *config, GError **error)
{
    g_autofree char *mac = network_make_mac(config);
    bool done = network_add_card(config, NULL, error);

    if (!done)
        return false;
    DeviceConfig *card = network_card(config, 0);
    OptionValues *values = network_card_netdev(config, card)->values;
    done = option_values_set(card->values, "mac", mac, error);
    for (guint i = 0; done && i < state->forwards->len; i++)
        done = option_values_set(values, "hostfwd", state->forwards->pdata[i], error);
    if (done && state->source == NEW_MACHINE_NETWORK && state->medium) {
        g_autofree char *folder = g_path_get_dirname(state->medium);
        g_autofree char *file = g_path_get_basename(state->medium);
        done = option_values_set(values, "tftp", folder, error) &&
               option_values_set(values, "bootfile", file, error);
    }
    return done && network_validate(config, error);
}

MachineConfig *new_machine_state_create(const NewMachineState *state, GError **error)
{
    g_autoptr(MachineConfig) config = config_new();
    bool done = true;

    set_text(&config->name, state->name);
    config->ram_bytes = state->ram_mb << 20;
    config->cpus = state->cpus;
    if (state->source == NEW_MACHINE_NETWORK)
        set_text(&config->boot_order, "cnad"); /* an empty disk is passed by */
    if (state->wants_network && !add_network(state, config, error))
        return NULL;
    if (!library_add(state->library, config, error))
        return NULL;
    if (state->source == NEW_MACHINE_DISK) {
        config_add_drive(config, DRIVE_IDE_DISK, 0, 0, state->medium);
    } else if (state->wants_disk) {
        g_autofree char *file = g_strconcat("disk.", state->disk_format, NULL);
        g_autofree char *path = g_build_filename(config->folder, file, NULL);
        done = block_image_create(path, state->disk_format, state->disk_gb << 30, NULL, NULL, NULL,
                                  error);
        DriveConfig *drive = config_add_drive(config, DRIVE_IDE_DISK, 0, 0, path);
        drive->format = g_strdup(state->disk_format);
    }
    config_add_drive(config, DRIVE_IDE_CD, 1, 0,
                     state->source == NEW_MACHINE_ISO ? state->medium : NULL);
    if (done && library_save(state->library, config, error)) {
        if (state->source == NEW_MACHINE_ISO)
            library_note_medium(state->library, state->medium);
        return g_steal_pointer(&config);
    }
    library_delete(state->library, config, true, NULL);
    return NULL;
}
