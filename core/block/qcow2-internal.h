/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The qcow2 format: what its files share. Names and layouts follow the format's specification
 * (QEMU docs/interop/qcow2.txt); all numbers on disk are big endian.
 *
 * Order on disk. What may be lost in a crash is a cluster nobody refers to; what must not happen is
 * a reference to a cluster that counts as free, or to one whose contents are not there yet. So data
 * is written first, and qcow2_writeback() then writes, with an fdatasync between the steps:
 * refcounts, the refcount table, L2 tables, the L1 table. References that went away are remembered
 * in `frees` and leave the refcounts only after that, so their clusters are not used again before.
 */

#include "core/block/internal.h"
#include "core/block/qcow2.h"

#define QCOW2_MAGIC              0x514649fbu /* "QFI\xfb" */
#define QCOW2_V2_LENGTH          72u
#define QCOW2_V3_LENGTH          104u
#define QCOW2_HEADER_LENGTH      112u /* with the compression type; what we write */

#define INCOMPATIBLE_DIRTY       (1u << 0)
#define INCOMPATIBLE_CORRUPT     (1u << 1)
#define INCOMPATIBLE_DATA_FILE   (1u << 2)
#define INCOMPATIBLE_COMPRESSION (1u << 3)
#define INCOMPATIBLE_EXTENDED_L2 (1u << 4)
#define COMPATIBLE_LAZY          (1u << 0)
#define AUTOCLEAR_BITMAPS        (1u << 0)
#define AUTOCLEAR_RAW_DATA_FILE  (1u << 1)

enum { COMPRESSION_ZLIB = 0, COMPRESSION_ZSTD = 1 };

#define EXTENSION_END            0x00000000u
#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define EXTENSION_FEATURE_NAMES  0x6803f857u
#define EXTENSION_BITMAPS        0x23852875u

/* Bits of L1 and L2 entries. */
#define ENTRY_COPIED             (UINT64_C(1) << 63) /* refcount is exactly 1 */
#define ENTRY_COMPRESSED         (UINT64_C(1) << 62)
#define ENTRY_ZERO               (UINT64_C(1) << 0)
#define ENTRY_OFFSET             UINT64_C(0x00fffffffffffe00)
#define L1_RESERVED              UINT64_C(0x7f000000000001ff)
#define L2_RESERVED              UINT64_C(0x3f000000000001fe)
#define REFTABLE_OFFSET          UINT64_C(0xfffffffffffffe00)

/* Limits, those of QEMU: a hostile header must not make us allocate more. */
#define MAX_L1_BYTES             (32u * 1024 * 1024)
#define MAX_REFTABLE_BYTES       (8u * 1024 * 1024)
#define MAX_SNAPSHOTS            65536u
#define MAX_SNAPSHOTS_BYTES      (64u * 1024 * 1024)
#define MAX_BACKING_NAME         1023u
#define MAX_CLUSTER_OFFSET       ((UINT64_C(1) << 56) - 1)

typedef struct Qcow2 Qcow2;
typedef struct Qcow2Cache Qcow2Cache;

typedef struct {
    uint64_t l1_offset;
    uint32_t l1_size; /* entries */
    char *id, *name;
    uint32_t seconds, nanoseconds;
    uint64_t vm_clock; /* ns */
    uint64_t vm_state_size;
    uint64_t disk_size;
    uint64_t icount; /* UINT64_MAX: none */
    GBytes *extra;   /* what we do not know, behind the fields we do */
} Qcow2Snapshot;

/* A reference to COUNT clusters that is gone, but may still be in the tables on disk. */
typedef struct {
    uint64_t cluster;
    uint32_t count;
    bool punch; /* give the space back to the host as well */
} Qcow2Free;

/* A table kept in memory, and which of its entries differ from the disk. */
typedef struct {
    uint64_t offset;
    uint64_t *entries; /* host endian */
    uint32_t size;     /* entries */
    uint32_t dirty_first, dirty_end;
} Qcow2Table;

struct Qcow2 {
    BlockNode *node;
    BlockFile *file;

    uint32_t version;
    uint32_t cluster_bits, cluster_size;
    uint32_t l2_bits;        /* log2 of entries in an L2 table */
    uint32_t refcount_order; /* log2 of bits */
    uint32_t block_bits;     /* log2 of entries in a refcount block */
    uint64_t incompatible, compatible, autoclear;
    uint32_t header_length;
    uint8_t compression;
    uint32_t n_bitmaps;
    uint64_t bitmap_directory, bitmap_directory_size;

    GMutex lock; /* all below; data is moved without it */
    Qcow2Table l1, refcount_table;
    Qcow2Cache *l2_cache, *refcount_cache;
    GArray *frees;           /* of Qcow2Free */
    uint64_t free_hint;      /* no free cluster below this one */
    uint64_t fresh;          /* clusters from here on were never written: they read as zeros */
    uint64_t compressed_end; /* where the next compressed cluster may continue; 0: nowhere */

    uint32_t n_snapshots;
    uint64_t snapshots_offset, snapshots_bytes;
    Qcow2Snapshot *snapshots;

    GMutex inflate_lock; /* the last cluster that was decompressed */
    uint64_t inflated_entry;
    uint8_t *inflated;
};

static inline uint64_t qcow2_cluster_of(const Qcow2 *s, uint64_t offset)
{
    return offset >> s->cluster_bits;
}

static inline uint64_t qcow2_clusters(const Qcow2 *s, uint64_t bytes)
{
    return (bytes >> s->cluster_bits) + ((bytes & (s->cluster_size - 1)) != 0);
}

/* ---- qcow2.c ---- */

/* Parses the header of NODE's file and reads its tables. */
Qcow2 *qcow2_load(BlockNode *node, GError **error);
/* Sets the corrupt bit on disk: nothing writes the image any more before it is repaired. Logs
 * WHAT. Returns EIO. */
int qcow2_mark_corrupt(Qcow2 *s, const char *what);
int qcow2_write_features(Qcow2 *s);
/* Reads SIZE big-endian numbers. */
int qcow2_read_table(BlockFile *file, uint64_t offset, uint64_t *entries, uint32_t size);
int qcow2_write_table(BlockFile *file, uint64_t offset, const uint64_t *entries, uint32_t size);
/* Lock held. */
int qcow2_writeback(Qcow2 *s);
int qcow2_flush_locked(Qcow2 *s);
bool qcow2_overlaps_metadata(const Qcow2 *s, uint64_t offset, uint64_t length);
void qcow2_table_touch(Qcow2Table *table, uint32_t index);

/* ---- qcow2-cache.c: pages of tables ---- */

Qcow2Cache *qcow2_cache_new(BlockFile *file, uint32_t page_size, uint32_t max_pages);
void qcow2_cache_free(Qcow2Cache *cache);
/* [OFFSET, OFFSET+LENGTH) is within one page. */
int qcow2_cache_read(Qcow2Cache *cache, uint64_t offset, void *buffer, uint32_t length);
int qcow2_cache_write(Qcow2Cache *cache, uint64_t offset, const void *buffer, uint32_t length);
void qcow2_cache_forget(Qcow2Cache *cache, uint64_t offset, uint64_t length);
int qcow2_cache_writeback(Qcow2Cache *cache);
bool qcow2_cache_is_dirty(const Qcow2Cache *cache);
/* So much is dirty that it should be written before more is added. */
bool qcow2_cache_is_crowded(const Qcow2Cache *cache);
uint32_t qcow2_cache_page_size(const Qcow2Cache *cache);

/* ---- qcow2-refcount.c; lock held ---- */

int qcow2_refcount_get(Qcow2 *s, uint64_t cluster, uint64_t *refcount);
/* Fails with ENXIO where there is no refcount block. */
int qcow2_refcount_set(Qcow2 *s, uint64_t cluster, uint64_t refcount);
/* Adds DELTA to COUNT clusters at once. */
int qcow2_refcount_add(Qcow2 *s, uint64_t cluster, uint64_t count, int delta);
uint64_t qcow2_refcount_max(const Qcow2 *s);
/* Takes from 1 to WANTED free clusters in a row; *FRESH: they read as zeros. */
int qcow2_alloc(Qcow2 *s, uint64_t wanted, uint64_t *offset, uint64_t *count, bool *fresh);
/* Takes exactly COUNT clusters in a row. */
int qcow2_alloc_exact(Qcow2 *s, uint64_t count, uint64_t *offset);
/* Takes LENGTH bytes for a compressed cluster. */
int qcow2_alloc_bytes(Qcow2 *s, uint32_t length, uint64_t *offset);
/* The reference goes away with the next writeback. */
void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t length, bool punch);
/* For what no table on disk ever referred to. */
void qcow2_free_now(Qcow2 *s, uint64_t offset, uint64_t length);
int qcow2_apply_frees(Qcow2 *s);

/* ---- qcow2-cluster.c; lock held ---- */

typedef enum {
    CLUSTER_UNALLOCATED,
    CLUSTER_ZERO,       /* no host cluster */
    CLUSTER_ZERO_ALLOC, /* with one */
    CLUSTER_NORMAL,
    CLUSTER_COMPRESSED,
} Qcow2ClusterType;

typedef struct {
    Qcow2ClusterType type;
    bool copied;
    uint64_t host;  /* bytes; also of compressed clusters */
    uint64_t entry; /* as on disk */
    uint64_t count; /* clusters in a row of this type; their hosts are in a row as well */
} Qcow2Mapping;

int qcow2_decode(Qcow2 *s, uint64_t entry, Qcow2Mapping *mapping);
/* MAPPING of the guest cluster INDEX, and of up to WANTED that follow on. */
int qcow2_map(Qcow2 *s, uint64_t index, uint64_t wanted, Qcow2Mapping *mapping);
/* Makes sure that the L2 table for INDEX exists and is ours alone. */
int qcow2_make_l2(Qcow2 *s, uint64_t index);
/* Sets COUNT entries from INDEX on, STEP apart from each other; the old ones are freed later. The
 * L2 table was made before. */
int qcow2_link(Qcow2 *s, uint64_t index, uint64_t count, uint64_t entry, uint64_t step, bool punch);
void qcow2_compressed_extent(const Qcow2 *s, uint64_t entry, uint64_t *offset, uint32_t *length);
int qcow2_grow_l1(Qcow2 *s, uint32_t size);
/* Entries of L1 needed for SIZE bytes; UINT64_MAX if that is too many. */
uint64_t qcow2_l1_entries(const Qcow2 *s, uint64_t size);

/* ---- qcow2-io.c ---- */

int qcow2_read(BlockNode *node, uint64_t offset, BlockCursor *cursor, uint64_t length);
int qcow2_write(BlockNode *node, uint64_t offset, BlockCursor *cursor, uint64_t length);
int qcow2_discard(BlockNode *node, uint64_t offset, uint64_t length);
int qcow2_write_zeroes(BlockNode *node, uint64_t offset, uint64_t length);
int qcow2_status(BlockNode *node, uint64_t offset, uint64_t length, BlockStatus *status);
bool qcow2_resize(BlockNode *node, uint64_t size, GError **error);

/* ---- qcow2-compress.c ---- */

/* Reads [IN_CLUSTER, IN_CLUSTER+LENGTH) of the compressed cluster ENTRY. */
int qcow2_inflate(Qcow2 *s, uint64_t entry, uint32_t in_cluster, BlockCursor *cursor,
                  uint32_t length);

/* ---- qcow2-snapshot.c ---- */

bool qcow2_snapshots_load(Qcow2 *s, GError **error);
void qcow2_snapshots_clear(Qcow2 *s);
