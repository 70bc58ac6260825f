/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/block/internal.h"

#include <string.h>

enum { FILL, PUT, GET };

void block_cursor_init(BlockCursor *cursor, const struct iovec *iov, int n_iov)
{
    *cursor = (BlockCursor){.iov = iov, .n_iov = n_iov};
}

static void walk(BlockCursor *cursor, int action, void *memory, uint64_t length)
{
    uint8_t *other = memory;

    while (length > 0 && cursor->n_iov > 0) {
        uint8_t *here = (uint8_t *)cursor->iov->iov_base + cursor->skip;
        size_t room = cursor->iov->iov_len - cursor->skip;
        size_t n = MIN(room, length);
        if (n > 0 && action == FILL && other)
            memset(here, 0, n);
        else if (n > 0 && action == PUT)
            memcpy(here, other, n);
        else if (n > 0 && action == GET)
            memcpy(other, here, n);
        if (action != FILL)
            other += n;
        length -= n;
        cursor->skip += n;
        if (cursor->skip == cursor->iov->iov_len) {
            cursor->iov++;
            cursor->n_iov--;
            cursor->skip = 0;
        }
    }
}

void block_cursor_advance(BlockCursor *cursor, uint64_t length)
{
    walk(cursor, FILL, NULL, length);
}

void block_cursor_zero(BlockCursor *cursor, uint64_t length)
{
    walk(cursor, FILL, cursor, length);
}

void block_cursor_put(BlockCursor *cursor, const void *from, uint64_t length)
{
    walk(cursor, PUT, (void *)from, length);
}

void block_cursor_get(BlockCursor *cursor, void *to, uint64_t length)
{
    walk(cursor, GET, to, length);
}
