/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The machine file: one readable GKeyFile a machine. Keys that are absent take their defaults; keys
 * that are not known are an error that names them, so that a typing mistake is not silently lost.
 */

#include "core/config/config.h"
#include "core/config/gdb-spec.h"
#include "core/config/network.h"
#include "core/config/objects.h"
#include "core/config/vnc-spec.h"
#include "core/net/net.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <stddef.h>
#include <string.h>

#define GROUP_MACHINE "Machine"
#define GROUP_DRIVE   "Drive "
#define GROUP_DEVICE  "Device "
#define GROUP_NETWORK "Network "
#define MAX_NUMBER    65535
#define GROUP_OBJECT  "Object "

typedef enum { KEY_TEXT, KEY_SIZE_BYTES, KEY_NUMBER, KEY_SWITCH, KEY_LIST } KeyType;

typedef struct {
    const char *name;
    KeyType type;
    size_t offset;
} Key;

#define MACHINE_KEY(name, type, field)                                                             \
    {                                                                                              \
        name, type, offsetof(MachineConfig, field)                                                 \
    }
static const Key machine_keys[] = {
    MACHINE_KEY("Name", KEY_TEXT, name),
    MACHINE_KEY("Memory", KEY_SIZE_BYTES, ram_bytes),
    MACHINE_KEY("CPUs", KEY_NUMBER, cpus),
    MACHINE_KEY("CPUModel", KEY_TEXT, cpu_model),
    MACHINE_KEY("Interpreter", KEY_SWITCH, accel_interp),
    MACHINE_KEY("Firmware", KEY_TEXT, firmware),
    MACHINE_KEY("BootOrder", KEY_TEXT, boot_order),
    MACHINE_KEY("AcceleratorOptions", KEY_TEXT, accel_options),
    MACHINE_KEY("BootMenu", KEY_SWITCH, boot_menu),
    MACHINE_KEY("BootMenuTime", KEY_NUMBER, boot_splash_time),
    MACHINE_KEY("Kernel", KEY_TEXT, kernel),
    MACHINE_KEY("Initrd", KEY_TEXT, initrd),
    MACHINE_KEY("Append", KEY_TEXT, append),
    MACHINE_KEY("Serial", KEY_LIST, serials),
    MACHINE_KEY("Chardev", KEY_LIST, chardevs),
    MACHINE_KEY("DebugConsole", KEY_TEXT, debugcon),
    MACHINE_KEY("DebugConsolePort", KEY_NUMBER, debugcon_port),
    MACHINE_KEY("QMP", KEY_LIST, qmps),
    MACHINE_KEY("Monitor", KEY_LIST, monitors),
    MACHINE_KEY("VGA", KEY_TEXT, vga),
    MACHINE_KEY("VGAMemory", KEY_NUMBER, vga_memory_mb),
    MACHINE_KEY("Clock", KEY_TEXT, rtc_base),
    MACHINE_KEY("VNC", KEY_TEXT, vnc),
    MACHINE_KEY("VNCPassword", KEY_TEXT, vnc_password),
    MACHINE_KEY("GDB", KEY_TEXT, gdb),
    MACHINE_KEY("Tablet", KEY_SWITCH, usb_tablet),
    MACHINE_KEY("Notes", KEY_TEXT, notes),
};

#define DRIVE_KEY(name, type, field)                                                               \
    {                                                                                              \
        name, type, offsetof(DriveConfig, field)                                                   \
    }
static const Key drive_keys[] = {
    DRIVE_KEY("File", KEY_TEXT, file),
    DRIVE_KEY("Format", KEY_TEXT, format),
    DRIVE_KEY("ReadOnly", KEY_SWITCH, read_only),
    DRIVE_KEY("Snapshot", KEY_SWITCH, snapshot),
    DRIVE_KEY("Discard", KEY_SWITCH, discard),
    DRIVE_KEY("Cache", KEY_TEXT, cache),
    DRIVE_KEY("SerialNumber", KEY_TEXT, serial),
    DRIVE_KEY("Bus", KEY_NUMBER, bus),
    DRIVE_KEY("Unit", KEY_NUMBER, unit),
};

static const char *const drive_kinds[] = {"disk", "cdrom", "floppy"};

/* The text of KEY, owned by the caller, or NULL with ERROR set. GKeyFile itself sets an error and
 * returns a text all the same where an escape sequence is wrong.
 */
static char *get_text(GKeyFile *file, const char *group, const char *key, GError **error)
{
    GError *local = NULL;
    char *text = g_key_file_get_string(file, group, key, &local);

    if (local) {
        g_clear_pointer(&text, g_free);
        g_propagate_error(error, local);
    }
    return text;
}

static bool load_key(GKeyFile *file, const char *group, const Key *key, void *base, GError **error)
{
    void *field = (char *)base + key->offset;
    GError *local = NULL;

    switch (key->type) {
    case KEY_TEXT: {
        char *text = get_text(file, group, key->name, &local);
        if (text) {
            g_free(*(char **)field);
            *(char **)field = text;
        }
        break;
    }
    case KEY_SIZE_BYTES: {
        g_autofree char *text = get_text(file, group, key->name, &local);
        if (text && !option_parse_size(text, 20, field, error))
            return false;
        break;
    }
    case KEY_NUMBER: {
        int number = g_key_file_get_integer(file, group, key->name, &local);
        if (!local && (number < 0 || number > MAX_NUMBER))
            g_set_error(&local, option_error_quark(), 0, "[%s] %s=%d: must be from 0 to %d.", group,
                        key->name, number, MAX_NUMBER);
        if (!local)
            *(int *)field = number;
        break;
    }
    case KEY_SWITCH: {
        bool value = g_key_file_get_boolean(file, group, key->name, &local);
        if (!local)
            *(bool *)field = value;
        break;
    }
    case KEY_LIST: {
        g_auto(GStrv) list = g_key_file_get_string_list(file, group, key->name, NULL, &local);
        g_ptr_array_set_size(*(GPtrArray **)field, 0);
        for (char **item = list; item && *item; item++)
            g_ptr_array_add(*(GPtrArray **)field, g_strdup(*item));
        break;
    }
    }
    if (local) {
        g_propagate_error(error, local);
        return false;
    }
    return true;
}

static bool load_group(GKeyFile *file, const char *group, const Key *keys, size_t n_keys,
                       void *base, const char *extra, GError **error)
{
    g_auto(GStrv) present = g_key_file_get_keys(file, group, NULL, error);

    for (char **name = present; name && *name; name++) {
        size_t i = 0;
        if (extra && g_str_equal(*name, extra))
            continue;
        while (i < n_keys && !g_str_equal(keys[i].name, *name))
            i++;
        if (i == n_keys) {
            g_set_error(error, option_error_quark(), 0, _("[%s] has an unknown key \"%s\"."), group,
                        *name);
            return false;
        }
        if (!load_key(file, group, &keys[i], base, error))
            return false;
    }
    return present != NULL;
}

static bool load_drive(GKeyFile *file, MachineConfig *config, const char *group, GError **error)
{
    g_autofree char *type = get_text(file, group, "Type", error);
    size_t kind = 0;

    if (!type)
        return false;
    while (kind < G_N_ELEMENTS(drive_kinds) && !g_str_equal(drive_kinds[kind], type))
        kind++;
    if (kind == G_N_ELEMENTS(drive_kinds)) {
        g_set_error(error, option_error_quark(), 0,
                    _("[%s]: Type is disk, cdrom or floppy, not %s."), group, type);
        return false;
    }
    DriveConfig *drive = config_add_drive(config, kind, 0, 0, NULL);
    g_free(drive->id);
    drive->id = g_strdup(group + strlen(GROUP_DRIVE));
    return load_group(file, group, drive_keys, G_N_ELEMENTS(drive_keys), drive, "Type", error);
}

/* All keys of GROUP but SKIP. */
static bool load_values(GKeyFile *file, const char *group, const char *skip,
                        const OptionInfo *table, OptionValues *values, GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);

    for (char **key = keys; *key; key++) {
        const OptionInfo *option = table;
        if (g_str_equal(*key, skip))
            continue;
        while (option && option->name && !g_str_equal(option->name, *key))
            option++;
        if (option && option->name && option->type == OPTION_LIST) {
            g_auto(GStrv) list = g_key_file_get_string_list(file, group, *key, NULL, error);
            if (!list)
                return false;
            for (char **item = list; item && *item; item++)
                option_values_set(values, *key, *item, NULL);
            continue;
        }
        g_autofree char *value = get_text(file, group, *key, error);
        if (!value || !option_values_set(values, *key, value, error)) {
            g_prefix_error(error, "[%s] ", group);
            return false;
        }
    }
    return true;
}

static void save_values(GKeyFile *file, const char *group, const char *skip,
                        const OptionInfo *table, const OptionValues *values)
{
    for (const OptionInfo *option = table; option && option->name; option++) {
        if (!option_is_set(values, option->name) || g_strcmp0(option->name, skip) == 0)
            continue;
        if (option->type == OPTION_LIST) {
            const char *const *list = option_list(values, option->name);
            g_key_file_set_string_list(file, group, option->name, list,
                                       g_strv_length((char **)list));
        } else {
            g_key_file_set_string(file, group, option->name, option_string(values, option->name));
        }
    }
}

static bool load_network(GKeyFile *file, MachineConfig *config, const char *group, GError **error)
{
    g_autofree char *type = get_text(file, group, "Type", error);
    NetdevConfig *netdev =
        type ? config_add_netdev(config, type, group + strlen(GROUP_NETWORK), error) : NULL;

    if (!netdev) {
        g_prefix_error(error, "[%s]: ", group);
        return false;
    }
    return load_values(file, group, "Type", net_backend_class_find(type)->options, netdev->values,
                       error);
}

static bool load_object(GKeyFile *file, MachineConfig *config, const char *group, GError **error)
{
    g_autofree char *type = get_text(file, group, "Type", error);
    const OptionInfo *options = type ? object_options(type, error) : NULL;

    if (!options) {
        g_prefix_error(error, "[%s]: ", group);
        return false;
    }
    ObjectConfig *object = g_new0(ObjectConfig, 1);
    object->type = g_steal_pointer(&type);
    object->id = g_strdup(group + strlen(GROUP_OBJECT));
    object->values = option_values_new(options);
    option_values_set(object->values, "id", object->id, NULL);
    g_ptr_array_add(config->objects, object);
    return load_values(file, group, "Type", options, object->values, error);
}

static bool load_device(GKeyFile *file, MachineConfig *config, const char *group, GError **error)
{
    g_autofree char *driver = get_text(file, group, "Driver", error);

    if (!driver)
        return false;
    const DeviceClass *device_class = device_class_find(driver);
    if (!device_class) {
        g_set_error(error, option_error_quark(), 0, _("[%s]: there is no device \"%s\"."), group,
                    driver);
        return false;
    }
    DeviceConfig *device = g_new0(DeviceConfig, 1);
    device->driver = g_strdup(driver);
    device->id = g_strdup(group + strlen(GROUP_DEVICE));
    device->values = option_values_new(device_class->options);
    g_ptr_array_add(config->devices, device);
    return load_values(file, group, "Driver", device_class->options, device->values, error);
}

MachineConfig *config_load(const char *path, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(MachineConfig) config = config_new();
    bool done = g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, error);

    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (char **group = groups; done && *group; group++) {
        if (g_str_equal(*group, GROUP_MACHINE)) {
            done = load_group(file, *group, machine_keys, G_N_ELEMENTS(machine_keys), config, NULL,
                              error);
        } else if (g_str_has_prefix(*group, GROUP_DRIVE)) {
            done = load_drive(file, config, *group, error);
        } else if (g_str_has_prefix(*group, GROUP_DEVICE)) {
            done = load_device(file, config, *group, error);
        } else if (g_str_has_prefix(*group, GROUP_NETWORK)) {
            done = load_network(file, config, *group, error);
        } else if (g_str_has_prefix(*group, GROUP_OBJECT)) {
            done = load_object(file, config, *group, error);
        } else {
            g_set_error(error, option_error_quark(), 0, _("There is no section [%s]."), *group);
            done = false;
        }
    }
    if (done && config->vnc) {
        g_autoptr(VncSpec) spec = vnc_spec_parse(config->vnc, error);
        done = spec != NULL;
        g_prefix_error(error, "VNC=%s: ", config->vnc);
    }
    if (done && config->gdb) {
        g_autoptr(GdbSpec) spec = gdb_spec_parse(config->gdb, error);
        done = spec != NULL;
        g_prefix_error(error, "GDB=%s: ", config->gdb);
    }
    if (!done) {
        g_prefix_error(error, _("Machine file \"%s\": "), path);
        return NULL;
    }
    return g_steal_pointer(&config);
}

static void save_key(GKeyFile *file, const char *group, const Key *key, const void *base)
{
    const void *field = (const char *)base + key->offset;

    switch (key->type) {
    case KEY_TEXT:
        if (*(char *const *)field)
            g_key_file_set_string(file, group, key->name, *(char *const *)field);
        break;
    case KEY_SIZE_BYTES: {
        uint64_t bytes = *(const uint64_t *)field;
        g_autofree char *text = bytes & 0xfffff
                                    ? g_strdup_printf("%" G_GUINT64_FORMAT "B", bytes)
                                    : g_strdup_printf("%" G_GUINT64_FORMAT "M", bytes >> 20);
        g_key_file_set_string(file, group, key->name, text);
        break;
    }
    case KEY_NUMBER: g_key_file_set_integer(file, group, key->name, *(const int *)field); break;
    case KEY_SWITCH: g_key_file_set_boolean(file, group, key->name, *(const bool *)field); break;
    case KEY_LIST: {
        const GPtrArray *list = *(GPtrArray *const *)field;
        if (list->len)
            g_key_file_set_string_list(file, group, key->name, (const char *const *)list->pdata,
                                       list->len);
        break;
    }
    }
}

bool config_save(const MachineConfig *config, const char *path, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    for (size_t i = 0; i < G_N_ELEMENTS(machine_keys); i++)
        save_key(file, GROUP_MACHINE, &machine_keys[i], config);
    for (guint i = 0; i < config->drives->len; i++) {
        const DriveConfig *drive = config->drives->pdata[i];
        g_autofree char *group = g_strconcat(GROUP_DRIVE, drive->id, NULL);
        g_key_file_set_string(file, group, "Type", drive_kinds[drive->kind]);
        for (size_t k = 0; k < G_N_ELEMENTS(drive_keys); k++)
            save_key(file, group, &drive_keys[k], drive);
    }
    for (guint i = 0; i < config->devices->len; i++) {
        const DeviceConfig *device = config->devices->pdata[i];
        const DeviceClass *device_class = device_class_find(device->driver);
        g_autofree char *group = device->id ? g_strconcat(GROUP_DEVICE, device->id, NULL)
                                            : g_strdup_printf(GROUP_DEVICE "%u", i);
        g_key_file_set_string(file, group, "Driver", device->driver);
        save_values(file, group, NULL, device_class ? device_class->options : NULL, device->values);
    }
    for (guint i = 0; i < config->netdevs->len; i++) {
        const NetdevConfig *netdev = config->netdevs->pdata[i];
        g_autofree char *group = g_strconcat(GROUP_NETWORK, netdev->id, NULL);
        g_key_file_set_string(file, group, "Type", netdev->type);
        save_values(file, group, "id", net_backend_class_find(netdev->type)->options,
                    netdev->values);
    }
    for (guint i = 0; i < config->objects->len; i++) {
        const ObjectConfig *object = config->objects->pdata[i];
        g_autofree char *group = g_strconcat(GROUP_OBJECT, object->id, NULL);
        g_key_file_set_string(file, group, "Type", object->type);
        save_values(file, group, "id", object_options(object->type, NULL), object->values);
    }
    /* Written beside, synced, renamed: a crash leaves the old file or the new one. */
    g_autofree char *text = g_key_file_to_data(file, NULL, NULL);
    int mode = config->vnc_password ? 0600 : 0644; /* a password is nobody else's business */
    return g_file_set_contents_full(
        path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, mode, error);
}
