/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Image locks shared with QEMU. Its file driver (docs/system/images: "Disk image file locking")
 * describes an open image by shared OFD locks on single bytes: 100+n says "I use permission n",
 * 200+n says "nobody else may use permission n". A user first places its own marks, then looks
 * for a mark that contradicts them, so of two that race at least one sees the other.
 */

#include "core/block/lock.h"
#include "core/block/block.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USED_BASE     100
#define UNSHARED_BASE 200

enum {
    PERM_CONSISTENT_READ = 1 << 0,
    PERM_WRITE = 1 << 1,
    PERM_WRITE_UNCHANGED = 1 << 2,
    PERM_RESIZE = 1 << 3,
};
#define PERM_COUNT 4

static int place(int fd, int byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

static bool is_marked(int fd, int byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static char *process_name(const char *pid)
{
    g_autofree char *path = g_build_filename("/proc", pid, "comm", NULL);
    g_autofree char *name = NULL;

    if (!g_file_get_contents(path, &name, NULL, NULL))
        return NULL;
    g_strchomp(name);
    return g_strdup_printf(_("“%s” (process %s)"), name, pid);
}

/* OFD locks have no owner the kernel tells; look who has the file open instead. */
static char *find_user(int fd)
{
    struct stat wanted, st;
    GDir *processes = g_dir_open("/proc", 0, NULL);
    char *found = NULL;
    const char *pid;

    if (fstat(fd, &wanted) != 0 || !processes) {
        g_clear_pointer(&processes, g_dir_close);
        return NULL;
    }
    while (!found && (pid = g_dir_read_name(processes))) {
        if (!g_ascii_isdigit(*pid))
            continue;
        g_autofree char *path = g_build_filename("/proc", pid, "fd", NULL);
        GDir *files = g_dir_open(path, 0, NULL);
        const char *number;
        while (files && !found && (number = g_dir_read_name(files))) {
            g_autofree char *link = g_build_filename(path, number, NULL);
            if (stat(link, &st) != 0 || st.st_dev != wanted.st_dev || st.st_ino != wanted.st_ino)
                continue;
            if (atol(pid) != getpid())
                found = process_name(pid);
            else if (atoi(number) != fd)
                found = g_strdup(_("another machine or drive of this program"));
        }
        g_clear_pointer(&files, g_dir_close);
    }
    g_dir_close(processes);
    return found;
}

bool block_lock_take(int fd, const char *path, bool writing, GError **error)
{
    unsigned used = PERM_CONSISTENT_READ | (writing ? PERM_WRITE | PERM_RESIZE : 0);
    unsigned unshared = PERM_WRITE | PERM_RESIZE;
    bool conflict = false, written_elsewhere = false;

    for (int n = 0; n < PERM_COUNT && !conflict; n++) {
        int result = 0;
        if (used & (1u << n))
            result = place(fd, USED_BASE + n, F_RDLCK);
        if (result == 0 && (unshared & (1u << n)))
            result = place(fd, UNSHARED_BASE + n, F_RDLCK);
        if (result == EAGAIN || result == EACCES)
            conflict = true;
        else if (result != 0)
            return true; /* a file system without locks (QEMU goes on as well) */
    }
    for (int n = 0; n < PERM_COUNT; n++) {
        if ((unshared & (1u << n)) && is_marked(fd, USED_BASE + n))
            conflict = written_elsewhere = true;
        if ((used & (1u << n)) && is_marked(fd, UNSHARED_BASE + n))
            conflict = true;
    }
    if (!conflict)
        return true;
    g_autofree char *user = find_user(fd);
    g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_LOCKED,
                _("Cannot open “%s”%s: it is in use by %s%s. Stop that first, or use a copy."),
                path, writing ? _(" for writing") : "", user ? user : _("another program"),
                written_elsewhere ? _(", which may write to it") : "");
    return false;
}
