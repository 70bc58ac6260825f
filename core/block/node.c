/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Formats by name and by magic, and the chain of files behind an image. */

#include "core/block/internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

#define PROBE_LENGTH 2048
#define MAX_CHAIN    200

static const BlockDriver *const drivers[] = {&block_qcow2_driver, &block_raw_driver};

/* Formats we know by sight only: better refused than taken for raw and written over. */
static const struct {
    const char *name;
    const char *magic;
    size_t offset, length;
} foreign[] = {
    {"vmdk", "KDMV", 0, 4},
    {"vmdk", "COWD", 0, 4},
    {"vmdk", "# Disk DescriptorFile", 0, 21},
    {"vhdx", "vhdxfile", 0, 8},
    {"vpc", "conectix", 0, 8},
    {"vdi", "\x7f\x10\xda\xbe", 64, 4},
    {"qcow", "QFI\xfb\0\0\0\1", 0, 8},
    {"qed", "QED\0", 0, 4},
    {"parallels", "WithoutFreeSpace", 0, 16},
    {"parallels", "WithouFreSpacExt", 0, 16},
    {"luks", "LUKS\xba\xbe", 0, 6},
};

const BlockDriver *block_driver_find(const char *name, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
        if (strcmp(foreign[i].name, name) == 0) {
            g_set_error(
                error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                _("The image format “%s” is not supported. Convert the image with “qemu-img "
                  "convert -O qcow2”."),
                name);
            return NULL;
        }
    }
    g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                _("There is no image format “%s”. Use raw or qcow2."), name);
    return NULL;
}

const BlockDriver *block_driver_probe(const uint8_t *head, size_t length, const char **unsupported)
{
    for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++)
        if (drivers[i]->probe(head, length))
            return drivers[i];
    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
        if (foreign[i].offset + foreign[i].length <= length &&
            memcmp(head + foreign[i].offset, foreign[i].magic, foreign[i].length) == 0) {
            *unsupported = foreign[i].name;
            return NULL;
        }
    }
    return &block_raw_driver;
}

static const BlockDriver *probe_file(BlockFile *file, GError **error)
{
    uint8_t head[PROBE_LENGTH];
    const char *unsupported = NULL;
    int result = block_file_read(file, 0, head, sizeof head);

    if (result) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
                    _("Cannot read “%s”: %s. Check the disk it is on."), file->path,
                    g_strerror(result));
        return NULL;
    }
    const BlockDriver *driver = block_driver_probe(head, sizeof head, &unsupported);
    if (!driver)
        g_set_error(
            error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
            _("“%s” is a %s image, which is not supported. Convert it with “qemu-img convert "
              "-O qcow2”."),
            file->path, unsupported);
    return driver;
}

static BlockNode *node_wrap(BlockFile *file, const BlockDriver *driver, BlockNode *backing,
                            BlockNodeFlags flags, GError **error)
{
    BlockNode *node = g_new0(BlockNode, 1);

    node->driver = driver;
    node->file = file;
    node->backing = backing;
    node->read_only = file->read_only;
    node->keep_dirty = flags & BLOCK_NODE_CHECK;
    if (driver->open(node, error))
        return node;
    block_node_close(backing);
    block_file_close(file);
    g_free(node->backing_name);
    g_free(node->backing_format);
    g_free(node);
    return NULL;
}

BlockNode *block_node_new(BlockFile *file, const BlockDriver *driver, BlockNode *backing,
                          GError **error)
{
    return node_wrap(file, driver, backing, 0, error);
}

void block_node_close(BlockNode *node)
{
    while (node) {
        BlockNode *backing = node->backing;
        node->driver->close(node);
        block_file_close(node->file);
        g_free(node->backing_name);
        g_free(node->backing_format);
        g_free(node);
        node = backing;
    }
}

char *block_backing_path(BlockFile *file, const char *backing_name, GError **error)
{
    const char *name = backing_name;

    if (g_str_has_prefix(name, "file:")) {
        name += strlen("file:");
        return g_str_has_prefix(name, "//") ? g_strdup(name + 2) : g_strdup(name);
    }
    if (g_path_is_absolute(name))
        return g_strdup(name);
    /* PROTOCOL:..., unless a slash comes before the colon */
    const char *colon = strchr(name, ':'), *slash = strchr(name, '/');
    if (colon && (!slash || colon < slash)) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                    _("“%s” has the backing file “%s”, which is not a plain path. Only files and "
                      "block devices are supported."),
                    file->path, backing_name);
        return NULL;
    }
    return strchr(file->path, '/') ? g_build_filename(file->directory, name, NULL) : g_strdup(name);
}

static BlockNode *open_one(const char *path, const char *format, BlockFileFlags file_flags,
                           BlockNodeFlags flags, GError **error)
{
    const BlockDriver *driver = NULL;

    if (format && !(driver = block_driver_find(format, error)))
        return NULL;
    BlockFile *file = block_file_open(path, file_flags, error);
    if (!file)
        return NULL;
    if (!driver && !(driver = probe_file(file, error))) {
        block_file_close(file);
        return NULL;
    }
    BlockNode *node = node_wrap(file, driver, NULL, flags, error);
    if (node)
        node->probed = !format && driver == &block_raw_driver;
    return node;
}

static bool is_in_chain(const BlockNode *chain, const char *path)
{
    for (; chain; chain = chain->backing)
        if (block_file_is(chain->file, path))
            return true;
    return false;
}

BlockNode *block_node_open(const char *path, const char *format, BlockFileFlags file_flags,
                           BlockNodeFlags flags, GError **error)
{
    BlockNode *top = open_one(path, format, file_flags, flags, error);
    BlockNode *last = top;
    unsigned depth = 1;

    if (!top || (flags & BLOCK_NODE_NO_BACKING))
        return top;
    for (; last->backing_name; last = last->backing) {
        g_autofree char *next = block_backing_path(last->file, last->backing_name, error);
        if (!next)
            goto fail;
        if (is_in_chain(top, next)) {
            g_set_error(
                error, BLOCK_ERROR, BLOCK_ERROR_FORMAT,
                _("“%s” has itself among its backing files, by way of “%s”. Give it another "
                  "backing file (“qemu-img rebase -u”)."),
                next, last->file->path);
            goto fail;
        }
        GError *cause = NULL;
        last->backing = open_one(next, last->backing_format,
                                 file_flags & (BLOCK_FILE_NO_LOCK | BLOCK_FILE_DIRECT), 0, &cause);
        if (!last->backing) {
            g_propagate_prefixed_error(error, cause, _("The backing file of “%s” is not usable. "),
                                       last->file->path);
            goto fail;
        }
        if (++depth > MAX_CHAIN) {
            g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                        _("“%s” has more than %d backing files behind it. Convert it to one file."),
                        path, MAX_CHAIN);
            goto fail;
        }
    }
    return top;
fail:
    block_node_close(top);
    return NULL;
}

int block_node_read_padded(BlockNode *node, uint64_t offset, BlockCursor *cursor, uint64_t length)
{
    uint64_t inside = 0;
    int result = 0;

    if (node && offset < node->size)
        inside = MIN(length, node->size - offset);
    if (inside)
        result = node->driver->read(node, offset, cursor, inside);
    if (result == 0 && length > inside)
        block_cursor_zero(cursor, length - inside);
    return result;
}
