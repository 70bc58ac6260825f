/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The guest-physical address space and the I/O port space of one machine.
 *
 * A MemoryMap holds regions: RAM and ROM (backed by host memory) and MMIO (backed by callbacks).
 * Regions overlap by priority and are flattened into an immutable view that is replaced as a
 * whole, so that a vCPU may look an address up without a lock while the board moves a BAR.
 *
 * Threads: changing the map and calling device callbacks needs the board lock (board.h).
 * memory_lookup() and the RAM halves of memory_read()/memory_write() may run on any thread.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_PAGE_SHIFT 12
#define GUEST_PAGE_SIZE  4096u
#define GUEST_PAGE_MASK  (~(uint64_t)0xfff)

typedef struct MemoryMap MemoryMap;
typedef struct MemoryRegion MemoryRegion;
typedef struct RamBlock RamBlock;

/* A device's window. SIZE is 1, 2, 4 or 8; OFFSET is relative to the region. The callee must cope
 * with every size and alignment as its part does. Called with the board lock held. */
typedef struct {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
} MmioOps;

/* Per-page flags of a RamBlock, one atomic byte a page. */
enum {
    PAGE_HAS_CODE = 1 << 0, /* translated code came from here: stores must take the slow path */
    PAGE_CLEAN = 1 << 1,    /* nobody wrote since the last ram_block_take_dirty() */
    PAGE_RECHECK = 1 << 2,  /* became clean last time: a vCPU may still have written through an
                               old TLB entry, so it is reported dirty once more */
};

/* Host memory that a guest sees as RAM or ROM. */
struct RamBlock {
    MemoryMap *map;
    uint8_t *host;          /* page aligned */
    uint64_t size;          /* bytes, whole pages */
    _Atomic uint8_t *flags; /* size / 4096 entries */
    uint64_t id_base;       /* block bytes are id_base..id_base+size in the machine-wide,
                               never reused "ram address" space: the JIT's key for code pages */
    char *name;
};

/* What stands at a guest-physical page. */
typedef struct {
    MemoryRegion *region;  /* NULL: nothing here (reads all ones, writes ignored) */
    RamBlock *block;       /* non-NULL when reads come from host memory */
    uint64_t block_offset; /* of the looked-up byte in block */
    uint64_t offset;       /* of the looked-up byte in region */
    bool writable;         /* stores reach host memory directly (still subject to page flags) */
} MemoryTarget;

/* Called when the flattened view changed; vCPUs must drop cached translations. Any thread that
 * holds the board lock. */
typedef void (*MemoryChangedFunc)(void *opaque);
/* Called after bytes of a page with PAGE_HAS_CODE were written by someone other than a vCPU's own
 * store path (DMA, loader): translations of that range are stale. */
typedef void (*CodeWrittenFunc)(void *opaque, RamBlock *block, uint64_t offset, uint64_t length);

MemoryMap *memory_map_new(void);
void memory_map_free(MemoryMap *map);
void memory_map_set_listeners(MemoryMap *map, MemoryChangedFunc changed, CodeWrittenFunc written,
                              void *opaque);

/* Allocates zeroed guest RAM of SIZE bytes (rounded up to pages) that costs nothing until touched.
 * Returns NULL and sets ERROR when the host refuses. Owned by MAP. */
RamBlock *ram_block_new(MemoryMap *map, const char *name, uint64_t size, GError **error);
/* True if any page of the range was written since the last call; marks the range clean. Writers
 * are caught at their next TLB fill: if something became clean the `changed` listener is told, so
 * that vCPUs drop their store entries. Board lock. */
bool ram_block_take_dirty(RamBlock *block, uint64_t offset, uint64_t length);

/* Regions are created detached; place them with memory_region_place(). All belong to MAP.
 * RAM/ROM regions show BLOCK from BLOCK_OFFSET on. A ROM's guest writes are dropped; with
 * rom_write_ops (may be NULL) they go to OPS instead (PAM "read ROM, write RAM" is done by placing
 * regions with separate read and write sides, see memory_region_new_split). */
MemoryRegion *memory_region_new_ram(MemoryMap *map, const char *name, RamBlock *block,
                                    uint64_t block_offset, uint64_t size);
MemoryRegion *memory_region_new_rom(MemoryMap *map, const char *name, RamBlock *block,
                                    uint64_t block_offset, uint64_t size);
/* Reads come from READ_BLOCK, writes go to WRITE_BLOCK (either may be NULL: all ones / dropped);
 * both use the same offset rule. For PAM registers that shadow only one direction. */
MemoryRegion *memory_region_new_split(MemoryMap *map, const char *name, RamBlock *read_block,
                                      uint64_t read_offset, RamBlock *write_block,
                                      uint64_t write_offset, uint64_t size);
MemoryRegion *memory_region_new_mmio(MemoryMap *map, const char *name, const MmioOps *ops,
                                     void *opaque, uint64_t size);
/* Puts REGION at guest-physical BASE; higher PRIORITY hides lower. Moves it if already placed. */
void memory_region_place(MemoryRegion *region, uint64_t base, int priority);
void memory_region_remove(MemoryRegion *region);
bool memory_region_is_placed(const MemoryRegion *region);
/* Several changes at once: the view is rebuilt at the outermost commit. */
void memory_map_begin(MemoryMap *map);
void memory_map_commit(MemoryMap *map);

/* Any thread, lock-free. ADDRESS is any guest-physical byte; the answer holds for its whole 4 KiB
 * page unless *whole_page is set false (a region boundary lies inside the page). */
MemoryTarget memory_lookup(MemoryMap *map, uint64_t address, bool *whole_page);

/* Devices' view (DMA): any length, crossing anything. MMIO inside the range is accessed in the
 * largest natural pieces. Return false when part of the range reached nothing; reads then deliver
 * ones there. Marks pages dirty and tells the code listener. Board lock held. */
bool memory_read(MemoryMap *map, uint64_t address, void *buffer, size_t length);
bool memory_write(MemoryMap *map, uint64_t address, const void *buffer, size_t length);
uint64_t memory_read_uint(MemoryMap *map, uint64_t address, unsigned size); /* little endian */
void memory_write_uint(MemoryMap *map, uint64_t address, uint64_t value, unsigned size);

/* One vCPU access that memory_lookup() said is not plain host memory. Takes no lock itself: the
 * caller holds the board lock. */
uint64_t memory_mmio_read(MemoryMap *map, uint64_t address, unsigned size);
void memory_mmio_write(MemoryMap *map, uint64_t address, uint64_t value, unsigned size);

/* Store slow path of a vCPU (any thread): the page at BLOCK+OFFSET is about to be written: it is
 * no longer clean. Returns true if it still holds translated code. */
bool ram_block_note_store(RamBlock *block, uint64_t offset);
/* A device changed [offset, offset+length) of BLOCK through its host pointer: the pages are no
 * longer clean, and the code listener is told. Board lock. */
void ram_block_written(RamBlock *block, uint64_t offset, uint64_t length);
void ram_block_set_code(RamBlock *block, uint64_t offset, bool has_code);
/* The block that holds RAM address ID (see id_base), or the byte at HOST; NULL if none does. Any
 * thread, once the machine is built. */
RamBlock *ram_block_find(MemoryMap *map, uint64_t id);
RamBlock *ram_block_find_host(MemoryMap *map, const void *host);

/* --- I/O ports ------------------------------------------------------------------------------ */

/* SIZE is 1, 2 or 4. A handler that only knows bytes sets max_size 1: wider accesses are split
 * into bytes at ascending ports. Unclaimed ports read all ones. */
typedef struct {
    uint32_t (*read)(void *opaque, uint16_t port, unsigned size);
    void (*write)(void *opaque, uint16_t port, uint32_t value, unsigned size);
    unsigned max_size; /* 1, 2 or 4; 0 means 1 */
} PortOps;

/* PORT passed to callbacks is absolute. A later registration over the same port hides the earlier
 * one until removed. Board lock. */
void port_register(MemoryMap *map, uint16_t first, uint32_t count, const PortOps *ops,
                   void *opaque);
/* REP INS and REP OUTS in one call, for a data port that moves blocks. BUFFER holds COUNT elements
 * of SIZE bytes. Both return how many were moved, as single accesses would have moved them; 0
 * leaves the next element to PortOps. */
typedef struct {
    size_t (*read)(void *opaque, uint16_t port, void *buffer, size_t count, unsigned size);
    size_t (*write)(void *opaque, uint16_t port, const void *buffer, size_t count, unsigned size);
} PortRunOps;
/* For the registration that now answers at PORT. Board lock. */
void port_set_run_ops(MemoryMap *map, uint16_t port, const PortRunOps *ops);
void port_unregister(MemoryMap *map, uint16_t first, uint32_t count, void *opaque);
uint32_t port_read(MemoryMap *map, uint16_t port, unsigned size);
void port_write(MemoryMap *map, uint16_t port, uint32_t value, unsigned size);
/* COUNT accesses to the same port, from or to an array of elements of SIZE bytes. */
void port_read_run(MemoryMap *map, uint16_t port, void *buffer, size_t count, unsigned size);
void port_write_run(MemoryMap *map, uint16_t port, const void *buffer, size_t count, unsigned size);

/* For `info mtree`: one line a flat range, appended to OUT. */
void memory_map_describe(MemoryMap *map, GString *out);
