/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * /tmp/perf-PID.map, where Linux perf looks for the names of code that is in no file
 * (tools/perf/Documentation/jit-interface.txt): a line "START SIZE NAME" a block, the numbers in
 * hexadecimal.
 *
 * Lines are added as blocks are made, so that the map serves perf top and survives a crash. Their
 * addresses are used again when a region of the cache is evicted, and perf knows no time: then the
 * map is written anew without that region's lines. The process has one map for all vCPUs of all
 * machines, hence the lock.
 */

#include "core/cpu/jit/jit-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

struct JitPerf {
    unsigned n_regions;
    GString **lines; /* of each */
};

static GMutex lock;
static GPtrArray *sources; /* JitPerf of every vCPU */
static FILE *file;

static char *map_path(void)
{
    return g_strdup_printf("/tmp/perf-%d.map", (int)getpid());
}

/* In a folder that all may write to: no symbolic link, nobody else's file. */
static FILE *open_map(GError **error)
{
    g_autofree char *path = map_path();
    int fd = -1;

    if (unlink(path) == 0 || errno == ENOENT)
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) {
        int code = errno;
        g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(code),
                    _("Cannot write the perf map %s: %s. Start without -accel jit,perf=on, or make "
                      "room for the file."),
                    path, g_strerror(code));
        return NULL;
    }
    return fdopen(fd, "w");
}

bool jit_perf_open(GError **error)
{
    g_mutex_lock(&lock);
    if (!file)
        file = open_map(error);
    if (file && !sources)
        sources = g_ptr_array_new();
    bool open = file != NULL;
    g_mutex_unlock(&lock);
    return open;
}

JitPerf *jit_perf_new(unsigned n_regions)
{
    JitPerf *perf = g_new0(JitPerf, 1);

    perf->n_regions = n_regions;
    perf->lines = g_new(GString *, n_regions);
    for (unsigned i = 0; i < perf->n_regions; i++)
        perf->lines[i] = g_string_new(NULL);
    g_mutex_lock(&lock);
    g_ptr_array_add(sources, perf);
    g_mutex_unlock(&lock);
    return perf;
}

/* What a vCPU that is gone had made stays in the map: perf reads it afterwards. */
void jit_perf_free(JitPerf *perf)
{
    if (!perf)
        return;
    g_mutex_lock(&lock);
    g_ptr_array_remove(sources, perf);
    g_mutex_unlock(&lock);
    for (unsigned i = 0; i < perf->n_regions; i++)
        g_string_free(perf->lines[i], TRUE);
    g_free(perf->lines);
    g_free(perf);
}

static const char *width_of(uint32_t mode)
{
    if (mode & MODE_CS64)
        return "64-bit";
    return mode & MODE_VM86 ? "v8086" : mode & MODE_CS32 ? "32-bit" : "16-bit";
}

void jit_perf_add(JitCpu *jc, const JitBlock *block)
{
    uint32_t mode = block->key.mode;
    const uint8_t *start = jit_rx(jc, block->indirect_entry);
    g_autofree char *line =
        g_strdup_printf("%" PRIxPTR " %zx guest:%" PRIx64 ":%s:%s:tier%u\n", (uintptr_t)start,
                        (size_t)(block->entry + block->code_size - block->indirect_entry),
                        jc->cpu->jit[SLOT_PAGE] + (block->key.ram & 0xfff), width_of(mode),
                        (mode & MODE_CPL) == MODE_CPL ? "user" : "kernel", (unsigned)block->tier);

    g_mutex_lock(&lock);
    g_string_append(jc->perf->lines[jc->region - jc->regions], line);
    fputs(line, file);
    fflush(file);
    g_mutex_unlock(&lock);
}

static void write_all(void)
{
    rewind(file);
    for (guint i = 0; i < sources->len; i++) {
        const JitPerf *perf = g_ptr_array_index(sources, i);
        for (unsigned k = 0; k < perf->n_regions; k++)
            fputs(perf->lines[k]->str, file);
    }
    fflush(file);
    if (ftruncate(fileno(file), ftell(file)) < 0)
        g_warning("Cannot shorten the perf map: %s. It has names of code that is gone.",
                  g_strerror(errno));
}

void jit_perf_forget(JitPerf *perf, unsigned region)
{
    if (!perf->lines[region]->len)
        return;
    g_mutex_lock(&lock);
    g_string_truncate(perf->lines[region], 0);
    write_all();
    g_mutex_unlock(&lock);
}
