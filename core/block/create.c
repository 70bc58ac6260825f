/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Making new images, with qemu-img's options. */

#include "core/block/internal.h"
#include "core/block/options.h"
#include "core/block/qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

/* ---- options ---- */

GHashTable *block_options_parse(const char *text, GError **error)
{
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const char *p = text ? text : "";

    while (*p) {
        g_autoptr(GString) item = g_string_new(NULL);
        for (; *p && !(p[0] == ',' && p[1] != ','); p++) {
            if (*p == ',')
                p++; /* ",," is a comma */
            g_string_append_c(item, *p);
        }
        if (*p == ',')
            p++;
        char *equals = strchr(item->str, '=');
        if (item->len == 0 || equals == item->str) {
            g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
                        _("“%s” is not a list of options. Write name=value,name=value."), text);
            g_hash_table_unref(table);
            return NULL;
        }
        char *name =
            equals ? g_strndup(item->str, (size_t)(equals - item->str)) : g_strdup(item->str);
        g_hash_table_replace(table, name, g_strdup(equals ? equals + 1 : "on"));
    }
    return table;
}

char *block_options_take(GHashTable *options, const char *name)
{
    gpointer key, value;

    if (!g_hash_table_steal_extended(options, name, &key, &value))
        return NULL;
    g_free(key);
    return value;
}

bool block_options_take_bool(GHashTable *options, const char *name, bool *value, GError **error)
{
    g_autofree char *text = block_options_take(options, name);

    if (!text)
        return true;
    if (g_str_equal(text, "on") || g_str_equal(text, "yes") || g_str_equal(text, "true")) {
        *value = true;
        return true;
    }
    if (g_str_equal(text, "off") || g_str_equal(text, "no") || g_str_equal(text, "false")) {
        *value = false;
        return true;
    }
    g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED, _("“%s=%s” should be on or off."), name,
                text);
    return false;
}

bool block_options_take_size(GHashTable *options, const char *name, uint64_t *value, GError **error)
{
    g_autofree char *text = block_options_take(options, name);

    if (!text || block_parse_size(text, value))
        return true;
    g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
                _("“%s=%s” is not a size. Write a number with K, M, G or T after it."), name, text);
    return false;
}

bool block_parse_size(const char *text, uint64_t *size)
{
    static const char units[] = "bKMGTPE";
    char *end;

    if (!g_ascii_isdigit(*text))
        return false;
    errno = 0;
    uint64_t whole = g_ascii_strtoull(text, &end, 0);
    if (errno)
        return false;
    double fraction = 0;
    if (*end == '.')
        fraction = g_ascii_strtod(end, &end);
    unsigned shift = 0;
    if (*end) {
        const char *unit = strchr(units, *end == 'B' ? 'b' : *end == 'k' ? 'K' : *end);
        if (!unit || end[1])
            return false;
        shift = 10 * (unsigned)(unit - units);
    } else if (fraction != 0) {
        return false;
    }
    if (shift && whole >> (64 - shift))
        return false;
    *size = (whole << shift) + (uint64_t)(fraction * (double)(UINT64_C(1) << shift));
    return true;
}

bool block_options_refuse_rest(GHashTable *options, const char *format, GError **error)
{
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, options);
    if (!g_hash_table_iter_next(&iter, &name, NULL))
        return true;
    g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                _("The option “%s” is not supported for %s images."), (char *)name, format);
    return false;
}

/* ---- creation ---- */

static void set_no_space(GError **error, const char *path, int code)
{
    g_set_error(error, BLOCK_ERROR, code == ENOSPC ? BLOCK_ERROR_NO_SPACE : BLOCK_ERROR_FAILED,
                _("Cannot create “%s”: %s. %s"), path, g_strerror(code),
                code == ENOSPC  ? _("Free some space, or choose a smaller size.")
                : code == EFBIG ? _("Its file system cannot hold a file of this size.")
                                : _("Check the disk it is on."));
}

static bool create_raw(BlockFile *file, uint64_t size, GHashTable *options, GError **error)
{
    g_autofree char *preallocation = block_options_take(options, "preallocation");
    int result;

    if (preallocation && !g_str_equal(preallocation, "off") &&
        !g_str_equal(preallocation, "falloc") && !g_str_equal(preallocation, "full")) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                    _("“preallocation=%s” should be off, falloc or full."), preallocation);
        return false;
    }
    if (!block_options_refuse_rest(options, "raw", error))
        return false;
    result = block_file_truncate(file, 0); /* drops what an old file held */
    if (result == 0)
        result = block_file_truncate(file, size);
    if (result == 0 && preallocation && size > 0 && !g_str_equal(preallocation, "off"))
        result = posix_fallocate(file->fd, 0, (off_t)size);
    if (result)
        set_no_space(error, file->path, result);
    return result == 0;
}

/* The size of the backing file, which also shows that there is one and that it can be used. */
static bool backing_size(const char *path, const char *backing, const char *format, uint64_t *size,
                         GError **error)
{
    BlockFile overlay = {.path = (char *)path};

    overlay.directory = g_path_get_dirname(path);
    g_autofree char *found = block_backing_path(&overlay, backing, error);
    g_free(overlay.directory);
    if (!found)
        return false;
    BlockNode *node = block_node_open(found, format, BLOCK_FILE_NO_LOCK, 0, error);
    if (!node)
        return false;
    *size = node->size;
    block_node_close(node);
    return true;
}

bool block_image_create(const char *path, const char *format, uint64_t size, const char *options,
                        const char *backing, const char *backing_format, GError **error)
{
    g_autoptr(GHashTable) table = block_options_parse(options, error);
    uint64_t below = 0, option_size = 0;

    if (!table)
        return false;
    const BlockDriver *driver = block_driver_find(format ? format : "raw", error);
    if (!driver || !block_options_take_size(table, "size", &option_size, error))
        return false;
    g_autofree char *option_backing = block_options_take(table, "backing_file");
    g_autofree char *option_format = block_options_take(table, "backing_fmt");
    backing = backing ? backing : option_backing;
    backing_format = backing_format ? backing_format : option_format;
    size = size ? size : option_size;
    if (backing && driver == &block_raw_driver) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                    _("A raw image cannot have a backing file. Use the format qcow2."));
        return false;
    }
    if (backing_format && !block_driver_find(backing_format, error))
        return false;
    if (backing && !backing_size(path, backing, backing_format, &below, error))
        return false;
    size = size ? size : below;
    if (size > INT64_MAX - BLOCK_SECTOR) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED, _("The size of “%s” is too large."),
                    path);
        return false;
    }
    size = (size + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR;
    bool existed = access(path, F_OK) == 0;
    BlockFile *file = block_file_create(path, error);
    if (!file)
        return false;
    bool ok = driver == &block_raw_driver
                  ? create_raw(file, size, table, error)
                  : qcow2_create(file, size, table, backing, backing_format, error);
    int result = ok ? block_file_sync(file) : 0;
    if (result)
        set_no_space(error, path, result);
    block_file_close(file);
    if (!(ok && result == 0) && !existed)
        unlink(path);
    return ok && result == 0;
}
