/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Internal snapshots (qcow2.txt, "Snapshots"). */

#define G_LOG_DOMAIN "apiary-block"

#include "core/block/qcow2_internal.h"

#include <errno.h>
#include <string.h>

#define FIXED_LENGTH 40u
#define MAX_EXTRA    1024u

static uint64_t get(const uint8_t *p, unsigned width)
{
    uint64_t value = 0;

    while (width-- > 0)
        value = value << 8 | *p++;
    return value;
}

static bool refuse_table(Qcow2 *s, GError **error)
{
    g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FORMAT,
                "“%s” is not a sound qcow2 image: its snapshot table is damaged. Use a backup, or "
                "try “qemu-img check”.",
                s->file->path);
    return false;
}

void qcow2_snapshots_clear(Qcow2 *s)
{
    for (uint32_t i = 0; s->snapshots && i < s->n_snapshots; i++) {
        g_free(s->snapshots[i].id);
        g_free(s->snapshots[i].name);
        g_clear_pointer(&s->snapshots[i].extra, g_bytes_unref);
    }
    g_clear_pointer(&s->snapshots, g_free);
}

bool qcow2_snapshots_load(Qcow2 *s, GError **error)
{
    uint64_t at = s->snapshots_offset, file_size;

    s->snapshots = g_new0(Qcow2Snapshot, MAX(s->n_snapshots, 1));
    if (block_file_size(s->file, &file_size) != 0)
        return refuse_table(s, error);
    for (uint32_t i = 0; i < s->n_snapshots; i++) {
        Qcow2Snapshot *snapshot = &s->snapshots[i];
        uint8_t fixed[FIXED_LENGTH];
        if (at >= file_size || at - s->snapshots_offset > MAX_SNAPSHOTS_BYTES ||
            block_file_read(s->file, at, fixed, sizeof fixed) != 0)
            return refuse_table(s, error);
        uint32_t id_length = (uint32_t)get(fixed + 12, 2);
        uint32_t name_length = (uint32_t)get(fixed + 14, 2);
        uint32_t extra_length = (uint32_t)get(fixed + 36, 4);
        if (extra_length > MAX_EXTRA)
            return refuse_table(s, error);
        uint32_t rest_length = extra_length + id_length + name_length;
        g_autofree uint8_t *rest = g_malloc0(rest_length + 24);
        if (block_file_read(s->file, at + FIXED_LENGTH, rest, rest_length) != 0)
            return refuse_table(s, error);
        snapshot->l1_offset = get(fixed, 8);
        snapshot->l1_size = (uint32_t)get(fixed + 8, 4);
        snapshot->seconds = (uint32_t)get(fixed + 16, 4);
        snapshot->nanoseconds = (uint32_t)get(fixed + 20, 4);
        snapshot->vm_clock = get(fixed + 24, 8);
        snapshot->vm_state_size = extra_length >= 8 ? get(rest, 8) : get(fixed + 32, 4);
        snapshot->disk_size = extra_length >= 16 ? get(rest + 8, 8) : s->node->size;
        snapshot->icount = extra_length >= 24 ? get(rest + 16, 8) : UINT64_MAX;
        if (extra_length > 24)
            snapshot->extra = g_bytes_new(rest + 24, extra_length - 24);
        snapshot->id = g_strndup((char *)rest + extra_length, id_length);
        snapshot->name = g_strndup((char *)rest + extra_length + id_length, name_length);
        at += (FIXED_LENGTH + rest_length + 7) & ~7u;
    }
    s->snapshots_bytes = at - s->snapshots_offset;
    return true;
}
