/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/chipset/firmware.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

#define SEARCH_PATH_VARIABLE "APIARY_FIRMWARE_PATH"
#define BIOS_UNIT            0x10000u
#define MAX_BIOS_SIZE        (16u << 20)

static const char *const default_bios[] = {"bios-256k.bin", "bios.bin"};

static const char *const system_folders[] = {
    "share/seabios", "share/qemu",      "share/vgabios",  "lib/ipxe/qemu",
    "share/ipxe",    "share/ipxe/qemu", "share/qemu-kvm",
};

static const struct {
    const char *prefix, *package;
} packages[] = {
    {"bios", "seabios"},
    {"vgabios", "seabios"},
    {"pxe-", "ipxe-qemu"},
    {"efi-", "ipxe-qemu"},
    {"linuxboot", "qemu-system-data"},
    {"OVMF", "ovmf"},
};

/* --- finding -------------------------------------------------------------------------------- */

static const char *package_of(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(packages); i++)
        if (g_str_has_prefix(name, packages[i].prefix))
            return packages[i].package;
    return NULL;
}

/* Adds FOLDER/NAME to CANDIDATES; takes FOLDER. */
static void add_candidate(GPtrArray *candidates, char *folder, const char *name)
{
    if (folder[0])
        g_ptr_array_add(candidates, g_build_filename(folder, name, NULL));
    g_free(folder);
}

static GPtrArray *candidate_paths(const char *name)
{
    static const char *const prefixes[] = {"/usr", "/usr/local"};
    GPtrArray *candidates = g_ptr_array_new_with_free_func(g_free);
    const char *variable = g_getenv(SEARCH_PATH_VARIABLE);
    const char *const *data_dirs = g_get_system_data_dirs();

    if (variable) {
        g_auto(GStrv) folders = g_strsplit(variable, ":", -1);

        for (int i = 0; folders[i]; i++)
            add_candidate(candidates, g_strdup(folders[i]), name);
    }
    add_candidate(candidates, g_build_filename(g_get_user_data_dir(), "apiary", "firmware", NULL),
                  name);
    for (int i = 0; data_dirs[i]; i++)
        add_candidate(candidates, g_build_filename(data_dirs[i], "apiary", "firmware", NULL), name);
    for (size_t p = 0; p < G_N_ELEMENTS(prefixes); p++)
        for (size_t i = 0; i < G_N_ELEMENTS(system_folders); i++)
            add_candidate(candidates, g_build_filename(prefixes[p], system_folders[i], NULL), name);
    return candidates;
}

char *firmware_find(const char *name, GError **error)
{
    const char *package = package_of(name);

    if (strchr(name, '/')) {
        if (g_file_test(name, G_FILE_TEST_EXISTS))
            return g_strdup(name);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("There is no firmware file “%s”"),
                    name);
        return NULL;
    }
    g_autoptr(GPtrArray) candidates = candidate_paths(name);
    for (guint i = 0; i < candidates->len; i++)
        if (g_file_test(candidates->pdata[i], G_FILE_TEST_IS_REGULAR))
            return g_strdup(candidates->pdata[i]);
    if (package)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    _("The firmware file “%s” was not found: install the package “%s”"), name,
                    package);
    else
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    _("The firmware file “%s” was not found: give its path, or put its folder into "
                      "the environment variable %s"),
                    name, SEARCH_PATH_VARIABLE);
    return NULL;
}

/* --- reading -------------------------------------------------------------------------------- */

static GBytes *read_path(const char *path, size_t max_size, GError **error)
{
    g_autoptr(GFile) file = g_file_new_for_path(path);
    g_autoptr(GFileInputStream) stream = NULL;
    g_autofree uint8_t *data = NULL;
    size_t length;

    /* Opening a pipe would wait for whoever writes into it. */
    if (g_file_test(path, G_FILE_TEST_EXISTS) && !g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE,
                    _("“%s” is not a file: give the path of a firmware image"), path);
        return NULL;
    }
    stream = g_file_read(file, NULL, error);
    if (!stream) {
        g_prefix_error(error, _("The firmware file “%s” cannot be read: "), path);
        return NULL;
    }
    data = g_malloc(max_size + 1);
    if (!g_input_stream_read_all(G_INPUT_STREAM(stream), data, max_size + 1, &length, NULL,
                                 error)) {
        g_prefix_error(error, _("The firmware file “%s” cannot be read: "), path);
        return NULL;
    }
    if (length > max_size) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    _("The firmware file “%s” is too large: at most %zu KiB are possible"), path,
                    max_size / 1024);
        return NULL;
    }
    if (!length) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    _("The firmware file “%s” is empty"), path);
        return NULL;
    }
    return g_bytes_new(data, length);
}

GBytes *firmware_read(const char *name, size_t max_size, GError **error)
{
    g_autofree char *path = firmware_find(name, error);

    return path ? read_path(path, max_size, error) : NULL;
}

/* --- the BIOS ------------------------------------------------------------------------------- */

static char *bios_path(const MachineConfig *config, GError **error)
{
    /* A -bios name may be a file in the current folder as well as one in the search path. */
    if (config->firmware && g_file_test(config->firmware, G_FILE_TEST_EXISTS))
        return g_strdup(config->firmware);
    if (config->firmware)
        return firmware_find(config->firmware, error);
    for (size_t i = 1; i < G_N_ELEMENTS(default_bios); i++) {
        char *path = firmware_find(default_bios[i - 1], NULL);

        if (path)
            return path;
    }
    return firmware_find(default_bios[G_N_ELEMENTS(default_bios) - 1], error);
}

bool firmware_load(Board *board, I440fx *bridge, const MachineConfig *config, GError **error)
{
    g_autofree char *path = bios_path(config, error);
    g_autoptr(GBytes) data = path ? read_path(path, MAX_BIOS_SIZE, error) : NULL;
    RamBlock *rom;
    size_t size;

    if (!data)
        return false;
    size = g_bytes_get_size(data);
    if (size % BIOS_UNIT) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    _("“%s” is not a BIOS image: its size, %zu bytes, is not a multiple of 64 KiB"),
                    path, size);
        return false;
    }
    rom = ram_block_new(board->memory, "bios", size, error);
    if (!rom)
        return false;
    memcpy(rom->host, g_bytes_get_data(data, NULL), size);
    i440fx_set_bios(bridge, rom);
    return true;
}
