/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Raw images: the guest's disk byte for byte, a file or a host block device. */

#include "core/block/internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

static bool raw_probe(const uint8_t *head, size_t length)
{
    return false; /* what is left when nothing else fits */
}

static bool raw_open(BlockNode *node, GError **error)
{
    uint64_t size;
    int result = block_file_size(node->file, &size);

    if (result) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
                    _("Cannot tell the size of “%s”: %s. Check the disk it is on."),
                    node->file->path, g_strerror(result));
        return false;
    }
    /* A partial last sector is padded with zeros, as in QEMU. */
    node->size = (size + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR;
    node->granule = 1;
    return true;
}

static void raw_close(BlockNode *node)
{
    block_file_sync(node->file);
}

static int raw_read(BlockNode *node, uint64_t offset, BlockCursor *cursor, uint64_t length)
{
    return block_file_readv(node->file, offset, cursor, length);
}

/*
 * A guest that may write any first sector could make its raw disk look like an image that names
 * other files of the host as its backing, and have it opened as that next time. Where the format
 * was only guessed, such a sector is refused.
 */
static bool would_change_format(BlockCursor cursor, uint64_t offset, uint64_t length)
{
    uint8_t head[BLOCK_SECTOR] = {0};
    const char *unsupported = NULL;

    if (offset != 0)
        return false;
    block_cursor_get(&cursor, head, MIN(length, sizeof head));
    const BlockDriver *driver = block_driver_probe(head, sizeof head, &unsupported);
    return unsupported || driver != &block_raw_driver;
}

static int raw_write(BlockNode *node, uint64_t offset, BlockCursor *cursor, uint64_t length)
{
    if (node->probed && would_change_format(*cursor, offset, length))
        return EPERM;
    return block_file_writev(node->file, offset, cursor, length);
}

static int raw_flush(BlockNode *node)
{
    return block_file_sync(node->file);
}

static int raw_discard(BlockNode *node, uint64_t offset, uint64_t length)
{
    return block_file_punch(node->file, offset, length);
}

static int raw_write_zeroes(BlockNode *node, uint64_t offset, uint64_t length)
{
    return block_file_zero(node->file, offset, length);
}

static int raw_status(BlockNode *node, uint64_t offset, uint64_t length, BlockStatus *status)
{
    *status = (BlockStatus){
        .length = length, .allocated = true, .has_host_offset = true, .host_offset = offset};
    if (node->file->is_device)
        return 0;
    off_t data = lseek(node->file->fd, (off_t)offset, SEEK_DATA);
    if (data < 0) {
        status->zero = errno == ENXIO; /* nothing but holes from here */
        return 0;
    }
    if ((uint64_t)data > offset) {
        status->zero = true;
        status->length = MIN(length, (uint64_t)data - offset);
        return 0;
    }
    off_t hole = lseek(node->file->fd, (off_t)offset, SEEK_HOLE);
    if (hole > (off_t)offset)
        status->length = MIN(length, (uint64_t)hole - offset);
    return 0;
}

static bool raw_resize(BlockNode *node, uint64_t size, GError **error)
{
    if (node->file->is_device) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                    _("Cannot resize “%s”: it is a device of the host."), node->file->path);
        return false;
    }
    int result = block_file_truncate(node->file, size);
    if (result) {
        g_set_error(error, BLOCK_ERROR,
                    result == ENOSPC ? BLOCK_ERROR_NO_SPACE : BLOCK_ERROR_FAILED,
                    _("Cannot resize “%s”: %s."), node->file->path, g_strerror(result));
        return false;
    }
    node->size = size;
    return true;
}

const BlockDriver block_raw_driver = {
    .name = "raw",
    .probe = raw_probe,
    .open = raw_open,
    .close = raw_close,
    .read = raw_read,
    .write = raw_write,
    .flush = raw_flush,
    .discard = raw_discard,
    .write_zeroes = raw_write_zeroes,
    .status = raw_status,
    .resize = raw_resize,
};
