/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * What the files of this room share: host files, format drivers, and the chain of nodes behind an
 * image. Functions that do I/O return 0 or a positive errno and may block; they run on workers.
 */

#include "core/block/block.h"

/* A position in a scatter list: readers and writers consume it from front to back. */
typedef struct {
    const struct iovec *iov;
    int n_iov;
    size_t skip; /* bytes of iov[0] already used */
} BlockCursor;

void block_cursor_init(BlockCursor *cursor, const struct iovec *iov, int n_iov);
void block_cursor_advance(BlockCursor *cursor, uint64_t length);
void block_cursor_zero(BlockCursor *cursor, uint64_t length); /* fills and advances */
void block_cursor_put(BlockCursor *cursor, const void *from, uint64_t length); /* fills, advances */
void block_cursor_get(BlockCursor *cursor, void *to, uint64_t length); /* copies out, advances */

/* ---- host files (file.c) ---- */

typedef struct {
    int fd;
    char *path;      /* as given by the user */
    char *directory; /* where relative backing names start */
    bool read_only;
    bool direct;        /* O_DIRECT: bounce what is not aligned */
    bool no_sync;       /* cache=unsafe */
    bool is_device;     /* a host block device */
    bool is_link_less;  /* a temporary without a name */
    int sync_error;     /* atomic: the host lost data for good */
    uint32_t alignment; /* of O_DIRECT transfers */
    GRWLock rmw;        /* O_DIRECT: read-modify-write excludes other writes */
} BlockFile;

typedef enum {
    BLOCK_FILE_WRITE = 1 << 0,
    BLOCK_FILE_DIRECT = 1 << 1,
    BLOCK_FILE_NO_SYNC = 1 << 2,
    BLOCK_FILE_NO_LOCK = 1 << 3, /* look at an image another process may be writing */
} BlockFileFlags;

BlockFile *block_file_open(const char *path, BlockFileFlags flags, GError **error);
/* Opens PATH to make an image of it. What is there is not touched yet. */
BlockFile *block_file_create(const char *path, GError **error);
/* An unlinked file in $TMPDIR or /var/tmp. */
BlockFile *block_file_temporary(GError **error);
void block_file_close(BlockFile *file);

int block_file_size(BlockFile *file, uint64_t *size);
int block_file_read(BlockFile *file, uint64_t offset, void *buffer, size_t length);
int block_file_write(BlockFile *file, uint64_t offset, const void *buffer, size_t length);
/* Bytes past the end of the file read as zeros. */
int block_file_readv(BlockFile *file, uint64_t offset, BlockCursor *cursor, uint64_t length);
int block_file_writev(BlockFile *file, uint64_t offset, BlockCursor *cursor, uint64_t length);
int block_file_zero(BlockFile *file, uint64_t offset, uint64_t length);
/* Gives space back to the host; contents read as zeros afterwards where that worked. */
int block_file_punch(BlockFile *file, uint64_t offset, uint64_t length);
int block_file_truncate(BlockFile *file, uint64_t size);
int block_file_sync(BlockFile *file);
/* Whether PATH leads to FILE, by whatever name. */
bool block_file_is(const BlockFile *file, const char *path);

/* ---- formats (one driver a format) and nodes (node.c) ---- */

typedef struct BlockNode BlockNode;

/* What one stretch of the guest's disk is made of. */
typedef struct {
    uint64_t length; /* bytes from the asked offset that share this answer */
    bool allocated;  /* in this node rather than below it */
    bool zero;       /* reads as zeros without looking */
    bool compressed;
    bool has_host_offset;
    uint64_t host_offset; /* in the node's file */
} BlockStatus;

typedef struct {
    const char *name;
    /* True if HEAD, the first LENGTH bytes of a file, carries this format's magic. */
    bool (*probe)(const uint8_t *head, size_t length);
    bool (*open)(BlockNode *node, GError **error);
    /* Writes back what is cached. */
    void (*close)(BlockNode *node);
    /* Reads may run beside each other; anything else has its granules (below) to itself. */
    int (*read)(BlockNode *node, uint64_t offset, BlockCursor *cursor, uint64_t length);
    int (*write)(BlockNode *node, uint64_t offset, BlockCursor *cursor, uint64_t length);
    int (*flush)(BlockNode *node);
    int (*discard)(BlockNode *node, uint64_t offset, uint64_t length);
    int (*write_zeroes)(BlockNode *node, uint64_t offset, uint64_t length);
    int (*status)(BlockNode *node, uint64_t offset, uint64_t length, BlockStatus *status);
    bool (*resize)(BlockNode *node, uint64_t size, GError **error);
} BlockDriver;

struct BlockNode {
    const BlockDriver *driver;
    BlockFile *file;
    BlockNode *backing;
    uint64_t size;    /* guest-visible bytes */
    uint32_t granule; /* requests that share one are not run at the same time */
    bool read_only;
    bool probed;          /* the format was guessed */
    bool keep_dirty;      /* opened by `check`: leave repairs to it */
    char *backing_name;   /* as written in the header, or NULL */
    char *backing_format; /* or NULL */
    void *state;          /* the driver's */
};

extern const BlockDriver block_raw_driver;
extern const BlockDriver block_qcow2_driver;

typedef enum {
    BLOCK_NODE_NO_BACKING = 1 << 0, /* do not open the chain below */
    BLOCK_NODE_CHECK = 1 << 1,      /* see keep_dirty */
} BlockNodeFlags;

const BlockDriver *block_driver_find(const char *name, GError **error);
const BlockDriver *block_driver_probe(const uint8_t *head, size_t length, const char **unsupported);

/* Opens PATH and every file behind it. FORMAT NULL: probe. */
BlockNode *block_node_open(const char *path, const char *format, BlockFileFlags file_flags,
                           BlockNodeFlags flags, GError **error);
/* Wraps FILE (taken over, also on failure) and, where not NULL, BACKING (likewise). */
BlockNode *block_node_new(BlockFile *file, const BlockDriver *driver, BlockNode *backing,
                          GError **error);
void block_node_close(BlockNode *node);
/* The path of a backing file as NODE's header means it; NULL with ERROR for what is no file. */
char *block_backing_path(BlockFile *file, const char *backing_name, GError **error);

/* Reads that run past NODE's end give zeros there. */
int block_node_read_padded(BlockNode *node, uint64_t offset, BlockCursor *cursor, uint64_t length);

/* Wraps an open chain in a request queue. Takes NODE over. */
BlockImage *block_image_new(BlockNode *node, const BlockOpenOptions *options);
BlockNode *block_image_node(BlockImage *image);
