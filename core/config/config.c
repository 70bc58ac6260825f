/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/config/config.h"

#include "core/config/gdb-spec.h"

#include "core/config/network.h"
#include "core/config/objects.h"
#include "core/devices/debugcon.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define MIN_RAM  (16ull << 20)
#define MAX_CPUS 32

static void drive_free(gpointer data)
{
    DriveConfig *drive = data;

    g_free(drive->id);
    g_free(drive->file);
    g_free(drive->format);
    g_free(drive->cache);
    g_free(drive->serial);
    g_free(drive);
}

static void device_free(gpointer data)
{
    DeviceConfig *device = data;

    g_free(device->driver);
    g_free(device->id);
    option_values_free(device->values);
    g_free(device);
}

MachineConfig *config_new(void)
{
    MachineConfig *config = g_new0(MachineConfig, 1);

    config->name = g_strdup("Apiary");
    config->ram_bytes = 128ull << 20;
    config->cpus = 1;
    config->cpu_model = g_strdup("max");
    config->boot_order = g_strdup("cad");
    config->drives = g_ptr_array_new_with_free_func(drive_free);
    config->devices = g_ptr_array_new_with_free_func(device_free);
    config->netdevs = g_ptr_array_new_with_free_func(netdev_config_free);
    config->objects = g_ptr_array_new_with_free_func(netdev_config_free);
    config->serials = g_ptr_array_new_with_free_func(g_free);
    config->chardevs = g_ptr_array_new_with_free_func(g_free);
    config->qmps = g_ptr_array_new_with_free_func(g_free);
    config->monitors = g_ptr_array_new_with_free_func(g_free);
    config->vga = g_strdup("std");
    config->vga_memory_mb = USUAL_VGA_MEMORY_MB;
    config->debugcon_port = DEBUGCON_PORT;
    config->rtc_base = g_strdup("utc");
    config->display = g_strdup("gtk");
    config->usb_tablet = true;
    return config;
}

static GPtrArray *copy_strings(const GPtrArray *from)
{
    GPtrArray *to = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < from->len; i++)
        g_ptr_array_add(to, g_strdup(from->pdata[i]));
    return to;
}

static DriveConfig *drive_copy(const DriveConfig *from)
{
    DriveConfig *to = g_memdup2(from, sizeof(*from));

    to->id = g_strdup(from->id);
    to->file = g_strdup(from->file);
    to->format = g_strdup(from->format);
    to->cache = g_strdup(from->cache);
    to->serial = g_strdup(from->serial);
    return to;
}

static DeviceConfig *device_copy(const DeviceConfig *from)
{
    DeviceConfig *to = g_new0(DeviceConfig, 1);

    to->driver = g_strdup(from->driver);
    to->id = g_strdup(from->id);
    to->values = option_values_copy(from->values);
    return to;
}

MachineConfig *config_copy(const MachineConfig *from)
{
    MachineConfig *to = g_memdup2(from, sizeof(*from));
    char **const strings[] = {
        &to->name,      &to->cpu_model, &to->accel_options, &to->firmware, &to->boot_order,
        &to->boot_once, &to->kernel,    &to->initrd,        &to->append,   &to->debugcon,
        &to->vga,       &to->rtc_base,  &to->display,       &to->pidfile,  &to->folder,
        &to->notes,     &to->vnc,       &to->vnc_password,  &to->gdb,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(strings); i++)
        *strings[i] = g_strdup(*strings[i]);
    to->drives = g_ptr_array_new_with_free_func(drive_free);
    for (guint i = 0; i < from->drives->len; i++)
        g_ptr_array_add(to->drives, drive_copy(from->drives->pdata[i]));
    to->devices = g_ptr_array_new_with_free_func(device_free);
    for (guint i = 0; i < from->devices->len; i++)
        g_ptr_array_add(to->devices, device_copy(from->devices->pdata[i]));
    to->netdevs = g_ptr_array_new_with_free_func(netdev_config_free);
    for (guint i = 0; i < from->netdevs->len; i++)
        g_ptr_array_add(to->netdevs, netdev_config_copy(from->netdevs->pdata[i]));
    to->objects = g_ptr_array_new_with_free_func(netdev_config_free);
    for (guint i = 0; i < from->objects->len; i++)
        g_ptr_array_add(to->objects, netdev_config_copy(from->objects->pdata[i]));
    to->serials = copy_strings(from->serials);
    to->chardevs = copy_strings(from->chardevs);
    to->qmps = copy_strings(from->qmps);
    to->monitors = copy_strings(from->monitors);
    return to;
}

void config_free(MachineConfig *config)
{
    if (!config)
        return;
    char *const strings[] = {
        config->name,       config->cpu_model,    config->accel_options, config->firmware,
        config->boot_order, config->boot_once,    config->kernel,        config->initrd,
        config->append,     config->debugcon,     config->vga,           config->rtc_base,
        config->display,    config->pidfile,      config->folder,        config->notes,
        config->vnc,        config->vnc_password, config->gdb,
    };
    GPtrArray *const arrays[] = {config->drives,  config->devices, config->netdevs,
                                 config->objects, config->serials, config->chardevs,
                                 config->qmps,    config->monitors};

    for (size_t i = 0; i < G_N_ELEMENTS(strings); i++)
        g_free(strings[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(arrays); i++)
        g_ptr_array_unref(arrays[i]);
    g_free(config);
}

char *config_drive_id(DriveKind kind, int bus, int unit)
{
    switch (kind) {
    case DRIVE_FLOPPY: return g_strdup_printf("floppy%d", unit);
    case DRIVE_IDE_CD: return g_strdup_printf("ide%d-cd%d", bus, unit);
    case DRIVE_IDE_DISK: break;
    }
    return g_strdup_printf("ide%d-hd%d", bus, unit);
}

DriveConfig *config_add_drive(MachineConfig *config, DriveKind kind, int bus, int unit,
                              const char *file)
{
    DriveConfig *drive = g_new0(DriveConfig, 1);

    drive->kind = kind;
    drive->bus = bus;
    drive->unit = unit;
    drive->id = config_drive_id(kind, bus, unit);
    drive->file = g_strdup(file);
    drive->read_only = kind == DRIVE_IDE_CD;
    g_ptr_array_add(config->drives, drive);
    return drive;
}

DriveConfig *config_find_drive(const MachineConfig *config, const char *id)
{
    for (guint i = 0; i < config->drives->len; i++) {
        DriveConfig *drive = config->drives->pdata[i];
        if (g_str_equal(drive->id, id))
            return drive;
    }
    return NULL;
}

static bool validate_drives(const MachineConfig *config, GError **error)
{
    for (guint i = 0; i < config->drives->len; i++) {
        const DriveConfig *a = config->drives->pdata[i];
        bool floppy = a->kind == DRIVE_FLOPPY;
        if (a->unit < 0 || a->unit > 1 || (!floppy && (a->bus < 0 || a->bus > 1)))
            return option_refuse(
                error,
                "Drive %s: the machine has two IDE channels with two units each and two "
                "floppy drives.",
                a->id);
        for (guint k = 0; k < i; k++) {
            const DriveConfig *b = config->drives->pdata[k];
            if (g_str_equal(a->id, b->id))
                return option_refuse(error, "Two drives are called \"%s\".", a->id);
            if (floppy == (b->kind == DRIVE_FLOPPY) && a->unit == b->unit &&
                (floppy || a->bus == b->bus))
                return option_refuse(error, "Drives %s and %s are in the same place.", a->id,
                                     b->id);
        }
    }
    return true;
}

static bool has_stdio(const GPtrArray *specs)
{
    for (guint i = 0; i < specs->len; i++) {
        g_autofree char *kind = g_strdup(specs->pdata[i]);
        kind[strcspn(kind, ",")] = '\0';
        if (g_str_equal(kind, "stdio") || g_str_equal(kind, "mon:stdio"))
            return true;
    }
    return false;
}

/* What GDB says on standard input is for nobody else. */
static bool validate_gdb(const MachineConfig *config, GError **error)
{
    g_autoptr(GdbSpec) spec = config->gdb ? gdb_spec_parse(config->gdb, error) : NULL;

    if (!spec)
        return !config->gdb;
    if (spec->stdio && (has_stdio(config->serials) || has_stdio(config->monitors) ||
                        has_stdio(config->qmps) || has_stdio(config->chardevs)))
        return option_refuse(error, "-gdb stdio: a serial port or monitor has stdio already; give "
                                    "it another back end, or GDB a socket.");
    return true;
}

bool config_validate(const MachineConfig *config, GError **error)
{
    uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);

    if (config->ram_bytes < MIN_RAM)
        return option_refuse(error, "The machine needs at least %llu MiB of memory.",
                             MIN_RAM >> 20);
    if (config->ram_bytes > host)
        return option_refuse(error,
                             "The machine asks for %" PRIu64
                             " MiB of memory; this computer has %" PRIu64 " MiB.",
                             config->ram_bytes >> 20, host >> 20);
    if (config->cpus < 1 || config->cpus > MAX_CPUS)
        return option_refuse(error, "The machine can have 1 to %d CPUs.", MAX_CPUS);
    if (!config->kernel && (config->initrd || config->append))
        return option_refuse(error, "-initrd and -append go with -kernel.");
    for (const char *c = config->boot_order; *c; c++)
        if (!strchr("abcdn", *c))
            return option_refuse(error, "Boot order \"%s\": use a, c, d and n.",
                                 config->boot_order);
    return validate_drives(config, error) && validate_gdb(config, error) &&
           network_validate(config, error) && objects_validate(config, error);
}
