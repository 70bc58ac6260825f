/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/library/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (8u << 20)

/* Copies [START, END) of both files. 0 or an errno. */
static int copy_range(int from, int to, off_t start, off_t end, off_t size, CopyProgress progress,
                      void *opaque, GCancellable *cancellable)
{
    while (start < end) {
        if (g_cancellable_is_cancelled(cancellable))
            return ECANCELED;
        loff_t in = start, out = start;
        ssize_t n = copy_file_range(from, &in, to, &out, (size_t)MIN(end - start, CHUNK), 0);
        if (n < 0 &&
            (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
            /* Different file systems: by hand. */
            g_autofree char *buffer = g_malloc(CHUNK);
            n = pread(from, buffer, (size_t)MIN(end - start, CHUNK), start);
            for (ssize_t done = 0; n > 0 && done < n;) {
                ssize_t written = pwrite(to, buffer + done, (size_t)(n - done), start + done);
                if (written < 0)
                    return errno;
                done += written;
            }
        }
        if (n < 0)
            return errno;
        if (n == 0)
            return 0; /* it has become shorter */
        start += n;
        if (progress)
            progress(opaque, (double)start / (double)size);
    }
    return 0;
}

static int copy_data(int from, int to, off_t size, CopyProgress progress, void *opaque,
                     GCancellable *cancellable)
{
    if (ioctl(to, FICLONE, from) == 0)
        return 0;
    if (ftruncate(to, size) != 0)
        return errno;
    for (off_t position = 0; position < size;) {
        off_t data = lseek(from, position, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* only a hole is left */
        if (data < 0)
            data = position; /* no knowledge of holes here */
        off_t hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0)
            hole = size;
        int code = copy_range(from, to, data, hole, size, progress, opaque, cancellable);
        if (code)
            return code;
        position = hole;
    }
    return 0;
}

bool copy_file_sparse(const char *from, const char *to, CopyProgress progress, void *opaque,
                      GCancellable *cancellable, GError **error)
{
    struct stat info;
    int code = 0, target = -1, source = g_open(from, O_RDONLY | O_CLOEXEC, 0);

    if (source < 0 || fstat(source, &info) != 0) {
        code = errno;
    } else {
        target = g_open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        code = target < 0 ? errno
                          : copy_data(source, target, info.st_size, progress, opaque, cancellable);
    }
    if (target >= 0) {
        if (!code && fsync(target) != 0)
            code = errno;
        if (close(target) != 0 && !code)
            code = errno;
        if (code)
            g_unlink(to);
    }
    if (source >= 0)
        close(source);
    if (code == ECANCELED)
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Cancelled."));
    else if (code)
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code),
                    _("Cannot copy “%s” to “%s”: %s."), from, to, g_strerror(code));
    return code == 0;
}
