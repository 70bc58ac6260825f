/* SPDX-License-Identifier: GPL-3.0-or-later */

/* A host file or block device under an image: opening, byte-exact I/O and space management. */

#include "core/block/internal.h"
#include "core/block/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_IOVECS       64
#define ZERO_CHUNK       (256u * 1024)
/* Covers every logical block size in use (512 and 4096). */
#define DIRECT_ALIGNMENT 4096u
/* The most one bounce buffer holds. */
#define DIRECT_CHUNK     (1024u * 1024)

static int open_error_code(int saved_errno)
{
    return saved_errno == ENOSPC ? BLOCK_ERROR_NO_SPACE : BLOCK_ERROR_FAILED;
}

static void set_open_error(GError **error, const char *path, bool writing, int saved_errno)
{
    const char *hint;

    switch (saved_errno) {
    case ENOENT: hint = _("Check the path, or create the image first."); break;
    case EACCES:
    case EPERM:
        hint = writing ? _("Change its permissions, or open it read-only.")
                       : _("Change its permissions, or use a copy you may read.");
        break;
    case EROFS: hint = _("Open the image read-only, or copy it to a writable place."); break;
    case ETXTBSY: hint = _("Close the program that runs it."); break;
    case EMFILE:
    case ENFILE:
        hint = _("Too many files are open; close some, or raise the limit (ulimit -n).");
        break;
    case ELOOP: hint = _("Its symbolic links point in a circle."); break;
    case ENOMEDIUM: hint = _("Insert a medium in the drive."); break;
    case ENOSPC: hint = _("Free some space, or choose another disk."); break;
    default: hint = _("Check the path and the disk it is on."); break;
    }
    g_set_error(error, BLOCK_ERROR, open_error_code(saved_errno), _("Cannot open “%s”: %s. %s"),
                path, g_strerror(saved_errno), hint);
}

static BlockFile *file_new(int fd, const char *path, BlockFileFlags flags)
{
    BlockFile *file = g_new0(BlockFile, 1);

    file->fd = fd;
    file->path = g_strdup(path);
    file->directory = g_path_get_dirname(path);
    file->read_only = !(flags & BLOCK_FILE_WRITE);
    file->direct = flags & BLOCK_FILE_DIRECT;
    file->no_sync = flags & BLOCK_FILE_NO_SYNC;
    file->alignment = DIRECT_ALIGNMENT;
    g_rw_lock_init(&file->rmw);
    return file;
}

BlockFile *block_file_open(const char *path, BlockFileFlags flags, GError **error)
{
    bool writing = flags & BLOCK_FILE_WRITE;
    struct stat st;
    /* O_NONBLOCK: a FIFO must not hang us before we can refuse it. */
    int mode = (writing ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
                    _("Cannot open “%s”: it is a folder, not a disk image. Choose a file in it."),
                    path);
        return NULL;
    }
    int fd = open(path, mode | (flags & BLOCK_FILE_DIRECT ? O_DIRECT : 0));
    if (fd < 0 && errno == EINVAL && (flags & BLOCK_FILE_DIRECT)) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_UNSUPPORTED,
                    _("Cannot open “%s” without the host's cache: its file system does not support "
                      "O_DIRECT. Use cache=writeback."),
                    path);
        return NULL;
    }
    if (fd < 0) {
        set_open_error(error, path, writing, errno);
        return NULL;
    }
    if (fstat(fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))) {
        g_set_error(
            error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
            _("Cannot open “%s”: it is neither a file nor a block device. Choose a disk image."),
            path);
        close(fd);
        return NULL;
    }
    BlockFile *file = file_new(fd, path, flags);
    file->is_device = S_ISBLK(st.st_mode);
    if (!(flags & BLOCK_FILE_NO_LOCK) && !block_lock_take(fd, path, writing, error)) {
        block_file_close(file);
        return NULL;
    }
    return file;
}

BlockFile *block_file_create(const char *path, GError **error)
{
    struct stat st;

    if (stat(path, &st) == 0 && S_ISBLK(st.st_mode))
        return block_file_open(path, BLOCK_FILE_WRITE, error);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    if (fd < 0) {
        int saved = errno;
        g_set_error(error, BLOCK_ERROR, open_error_code(saved), _("Cannot create “%s”: %s. %s"),
                    path, g_strerror(saved),
                    saved == ENOENT   ? _("The folder does not exist; create it first.")
                    : saved == EISDIR ? _("It is a folder; give a file name.")
                    : saved == ENOSPC ? _("Free some space, or choose another disk.")
                                      : _("Choose a place you may write to."));
        return NULL;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        g_set_error(error, BLOCK_ERROR, BLOCK_ERROR_FAILED,
                    _("Cannot create “%s”: something that is not a file is in the way."), path);
        close(fd);
        return NULL;
    }
    BlockFile *file = file_new(fd, path, BLOCK_FILE_WRITE);
    if (!block_lock_take(fd, path, true, error)) {
        block_file_close(file);
        return NULL;
    }
    return file;
}

BlockFile *block_file_temporary(GError **error)
{
    const char *directory = g_getenv("TMPDIR");

    if (!directory || !*directory)
        directory = "/var/tmp";
    g_autofree char *path = g_build_filename(directory, "apiary-XXXXXX", NULL);
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        int saved = errno;
        g_set_error(
            error, BLOCK_ERROR, open_error_code(saved),
            _("Cannot make a temporary file in “%s”: %s. Set TMPDIR to a folder with space."),
            directory, g_strerror(saved));
        return NULL;
    }
    unlink(path);
    BlockFile *file = file_new(fd, path, BLOCK_FILE_WRITE | BLOCK_FILE_NO_SYNC);
    file->is_link_less = true;
    return file;
}

void block_file_close(BlockFile *file)
{
    if (!file)
        return;
    close(file->fd); /* OFD locks go with the last descriptor */
    g_rw_lock_clear(&file->rmw);
    g_free(file->path);
    g_free(file->directory);
    g_free(file);
}

int block_file_size(BlockFile *file, uint64_t *size)
{
    struct stat st;

    if (file->is_device)
        return ioctl(file->fd, BLKGETSIZE64, size) == 0 ? 0 : errno;
    if (fstat(file->fd, &st) != 0)
        return errno;
    *size = (uint64_t)st.st_size;
    return 0;
}

bool block_file_is(const BlockFile *file, const char *path)
{
    struct stat here, there;

    if (fstat(file->fd, &here) != 0 || stat(path, &there) != 0)
        return false;
    if (file->is_device && S_ISBLK(there.st_mode))
        return here.st_rdev == there.st_rdev;
    return here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/* One system call's worth of CURSOR, without consuming it. */
static int gather(const BlockCursor *cursor, uint64_t length, struct iovec *out)
{
    int n = 0;
    size_t skip = cursor->skip;

    for (int i = 0; i < cursor->n_iov && n < MAX_IOVECS && length > 0; i++, skip = 0) {
        size_t part = MIN(cursor->iov[i].iov_len - skip, length);
        if (part == 0)
            continue;
        out[n++] = (struct iovec){(uint8_t *)cursor->iov[i].iov_base + skip, part};
        length -= part;
    }
    return n;
}

static bool offset_fits(uint64_t offset, uint64_t length)
{
    return offset <= INT64_MAX && length <= INT64_MAX - offset;
}

/* ---- O_DIRECT: everything goes through an aligned buffer unless it is aligned already ---- */

static bool is_aligned(const BlockFile *file, const BlockCursor *cursor, uint64_t offset,
                       uint64_t length)
{
    uint64_t mask = file->alignment - 1;

    if ((offset | length) & mask)
        return false;
    if (((uintptr_t)cursor->iov->iov_base + cursor->skip) & mask)
        return false;
    return cursor->iov->iov_len - cursor->skip >= length;
}

/* Fills BUFFER with [OFFSET, OFFSET+LENGTH), all aligned; zeros past the end. */
static int direct_fetch(BlockFile *file, uint64_t offset, uint8_t *buffer, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n = pread(file->fd, buffer + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0 || (n & (file->alignment - 1))) {
            done += (size_t)n; /* the end of the file */
            memset(buffer + done, 0, length - done);
            break;
        }
        done += (size_t)n;
    }
    return 0;
}

static int direct_store(BlockFile *file, uint64_t offset, const uint8_t *buffer, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n = pwrite(file->fd, buffer + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return EIO;
        done += (size_t)n;
    }
    return 0;
}

static int direct_readv(BlockFile *file, uint64_t offset, BlockCursor *cursor, uint64_t length)
{
    uint64_t mask = file->alignment - 1;
    size_t capacity = MIN(DIRECT_CHUNK, ((length + mask) & ~mask) + file->alignment);
    void *buffer;
    int result = 0;

    if (posix_memalign(&buffer, file->alignment, capacity) != 0)
        return ENOMEM;
    while (length > 0 && result == 0) {
        uint64_t start = offset & ~mask;
        size_t head = offset - start;
        size_t part = MIN(length, capacity - head);
        result = direct_fetch(file, start, buffer, (head + part + mask) & ~mask);
        if (result == 0)
            block_cursor_put(cursor, (uint8_t *)buffer + head, part);
        offset += part;
        length -= part;
    }
    free(buffer);
    return result;
}

static int direct_writev(BlockFile *file, uint64_t offset, BlockCursor *cursor, uint64_t length)
{
    uint64_t mask = file->alignment - 1, size;
    bool whole = ((offset | length) & mask) == 0;
    size_t capacity = MIN(DIRECT_CHUNK, ((length + mask) & ~mask) + file->alignment);
    void *buffer;

    if (posix_memalign(&buffer, file->alignment, capacity) != 0)
        return ENOMEM;
    if (whole)
        g_rw_lock_reader_lock(&file->rmw);
    else
        g_rw_lock_writer_lock(&file->rmw);
    int result = block_file_size(file, &size);
    while (length > 0 && result == 0) {
        uint64_t start = offset & ~mask;
        size_t head = offset - start;
        size_t part = MIN(length, capacity - head);
        size_t span = (head + part + mask) & ~mask;
        if (head + part != span || head)
            result = direct_fetch(file, start, buffer, span);
        block_cursor_get(cursor, (uint8_t *)buffer + head, part);
        if (result == 0)
            result = direct_store(file, start, buffer, span);
        offset += part;
        length -= part;
    }
    /* Padding must not make the file longer than it was asked to be. */
    if (result == 0 && !file->is_device && (offset & mask) && offset > size)
        result = ftruncate(file->fd, (off_t)offset) == 0 ? 0 : errno;
    else if (result == 0 && !file->is_device && offset < size && size < ((offset + mask) & ~mask))
        result = ftruncate(file->fd, (off_t)size) == 0 ? 0 : errno;
    if (whole)
        g_rw_lock_reader_unlock(&file->rmw);
    else
        g_rw_lock_writer_unlock(&file->rmw);
    free(buffer);
    return result;
}

/* ---- byte-exact I/O ---- */

int block_file_readv(BlockFile *file, uint64_t offset, BlockCursor *cursor, uint64_t length)
{
    struct iovec iov[MAX_IOVECS];

    if (!offset_fits(offset, length))
        return EIO;
    if (file->direct && length > 0 && !is_aligned(file, cursor, offset, length))
        return direct_readv(file, offset, cursor, length);
    while (length > 0) {
        int n_iov = gather(cursor, length, iov);
        if (n_iov == 0)
            return EINVAL;
        ssize_t n = preadv(file->fd, iov, n_iov, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0) {
            block_cursor_zero(cursor, length);
            return 0;
        }
        block_cursor_advance(cursor, (uint64_t)n);
        offset += (uint64_t)n;
        length -= (uint64_t)n;
        if (file->direct && (n & (file->alignment - 1))) { /* the end of the file */
            block_cursor_zero(cursor, length);
            return 0;
        }
    }
    return 0;
}

static int plain_writev(BlockFile *file, uint64_t offset, BlockCursor *cursor, uint64_t length)
{
    struct iovec iov[MAX_IOVECS];

    while (length > 0) {
        int n_iov = gather(cursor, length, iov);
        if (n_iov == 0)
            return EINVAL;
        ssize_t n = pwritev(file->fd, iov, n_iov, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return ENOSPC;
        block_cursor_advance(cursor, (uint64_t)n);
        offset += (uint64_t)n;
        length -= (uint64_t)n;
    }
    return 0;
}

int block_file_writev(BlockFile *file, uint64_t offset, BlockCursor *cursor, uint64_t length)
{
    if (file->read_only)
        return EROFS;
    if (!offset_fits(offset, length))
        return EFBIG;
    if (!file->direct || length == 0)
        return plain_writev(file, offset, cursor, length);
    if (!is_aligned(file, cursor, offset, length))
        return direct_writev(file, offset, cursor, length);
    g_rw_lock_reader_lock(&file->rmw);
    int result = plain_writev(file, offset, cursor, length);
    g_rw_lock_reader_unlock(&file->rmw);
    return result;
}

int block_file_read(BlockFile *file, uint64_t offset, void *buffer, size_t length)
{
    struct iovec iov = {buffer, length};
    BlockCursor cursor;

    block_cursor_init(&cursor, &iov, 1);
    return block_file_readv(file, offset, &cursor, length);
}

int block_file_write(BlockFile *file, uint64_t offset, const void *buffer, size_t length)
{
    struct iovec iov = {(void *)buffer, length};
    BlockCursor cursor;

    block_cursor_init(&cursor, &iov, 1);
    return block_file_writev(file, offset, &cursor, length);
}

/* ---- space ---- */

static bool is_unsupported(int code)
{
    return code == EOPNOTSUPP || code == ENOSYS || code == ENOTTY || code == ENODEV ||
           code == EINVAL;
}

static int change_range(BlockFile *file, int mode, uint64_t offset, uint64_t length)
{
    if (file->direct)
        g_rw_lock_reader_lock(&file->rmw);
    int result = fallocate(file->fd, mode, (off_t)offset, (off_t)length) == 0 ? 0 : errno;
    if (file->direct)
        g_rw_lock_reader_unlock(&file->rmw);
    return result;
}

int block_file_zero(BlockFile *file, uint64_t offset, uint64_t length)
{
    if (file->read_only)
        return EROFS;
    if (length == 0)
        return 0;
    if (!offset_fits(offset, length))
        return EFBIG;
    int result = change_range(file, FALLOC_FL_ZERO_RANGE, offset, length);
    if (!is_unsupported(result))
        return result;
    g_autofree uint8_t *zeros = g_malloc0(MIN(ZERO_CHUNK, length));
    while (length > 0) {
        size_t part = MIN(ZERO_CHUNK, length);
        result = block_file_write(file, offset, zeros, part);
        if (result)
            return result;
        offset += part;
        length -= part;
    }
    return 0;
}

int block_file_punch(BlockFile *file, uint64_t offset, uint64_t length)
{
    if (file->read_only)
        return EROFS;
    if (length == 0)
        return 0;
    if (!offset_fits(offset, length))
        return EINVAL;
    int result = change_range(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
    return is_unsupported(result) ? 0 : result;
}

int block_file_truncate(BlockFile *file, uint64_t size)
{
    if (file->is_device)
        return 0;
    if (size > INT64_MAX)
        return EFBIG;
    return ftruncate(file->fd, (off_t)size) == 0 ? 0 : errno;
}

int block_file_sync(BlockFile *file)
{
    if (file->no_sync || file->read_only)
        return 0;
    /* After an error the kernel may have dropped what it could not write, and would say yes to the
     * next call. */
    int result = g_atomic_int_get(&file->sync_error);
    if (result)
        return result;
    while (fdatasync(file->fd) != 0) {
        result = errno;
        if (result == EINVAL)
            return 0; /* a device without a cache to flush */
        if (result == EINTR)
            continue;
        if (result != ENOSPC && result != EDQUOT && !file->direct)
            g_atomic_int_set(&file->sync_error, result);
        return result;
    }
    return 0;
}
