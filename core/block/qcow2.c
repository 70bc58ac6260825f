/* SPDX-License-Identifier: GPL-3.0-or-later */

/* qcow2 images: recognised, so that they are not taken for raw. */

#include "core/block/qcow2.h"

#include <string.h>

static bool refuse(const char *path, GError **error)
{
    g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                "“%s” needs the qcow2 format, which is not supported yet. Use a raw image.", path);
    return false;
}

static bool qcow2_probe(const uint8_t *head, size_t length)
{
    return length >= 8 && memcmp(head, "QFI\xfb\0\0\0", 7) == 0 && (head[7] == 2 || head[7] == 3);
}

static bool qcow2_open(BlockNode *node, GError **error)
{
    return refuse(node->file->path, error);
}

BlockNode *qcow2_temporary_overlay(BlockNode *backing, GError **error)
{
    refuse(backing->file->path, error);
    block_node_close(backing);
    return NULL;
}

bool qcow2_create(BlockFile *file, uint64_t size, GHashTable *options, const char *backing,
                  const char *backing_format, GError **error)
{
    return refuse(file->path, error);
}

const BlockDriver block_qcow2_driver = {
    .name = "qcow2",
    .probe = qcow2_probe,
    .open = qcow2_open,
};
