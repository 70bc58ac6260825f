/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/memory/memory.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

/* More flat ranges than any guest can make: 32 PCI functions with 7 regions each and the board. */
#define MAX_RANGES  1024

/* Translation code calls memory_lookup() while guest vectors are live in the host's registers. */
#define VECTOR_SAFE __attribute__((target("general-regs-only")))

typedef enum { REGION_RAM, REGION_ROM, REGION_SPLIT, REGION_MMIO } RegionKind;

struct MemoryRegion {
    MemoryMap *map;
    char *name;
    RegionKind kind;
    uint64_t size;
    RamBlock *read_block, *write_block;
    uint64_t read_offset, write_offset;
    const MmioOps *ops;
    void *opaque;
    bool placed;
    uint64_t base;
    int priority;
    uint64_t order; /* of placing: the later one wins among equals */
};

/* [first, last] of the guest-physical space shows REGION from OFFSET on. */
typedef struct {
    uint64_t first, last, offset;
    MemoryRegion *region;
} FlatRange;

typedef struct {
    uint16_t first;
    uint32_t count;
    const PortOps *ops;
    const PortRunOps *run_ops; /* NULL: none */
    void *opaque;
} PortEntry;

struct MemoryMap {
    GPtrArray *regions;
    GPtrArray *blocks;
    int depth; /* of begin/commit */
    bool stale;
    uint64_t next_order;
    uint64_t next_ram_id;

    /* The flat view under a sequence lock: odd while it is rewritten. */
    _Atomic uint32_t sequence;
    uint32_t n_ranges;
    FlatRange ranges[MAX_RANGES];

    MemoryChangedFunc changed;
    CodeWrittenFunc written;
    void *listener;

    GPtrArray *ports; /* PortEntry*, oldest first */
    PortEntry *port_table[65536];
};

/* --- RAM blocks ------------------------------------------------------------------------------- */

static void ram_block_free(gpointer data)
{
    RamBlock *block = data;

    if (block->host)
        munmap(block->host, block->size);
    g_free((void *)block->flags);
    g_free(block->name);
    g_free(block);
}

RamBlock *ram_block_new(MemoryMap *map, const char *name, uint64_t size, GError **error)
{
    size = (size + GUEST_PAGE_SIZE - 1) & GUEST_PAGE_MASK;
    void *host = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (host == MAP_FAILED) {
        g_set_error(
            error, G_IO_ERROR, g_io_error_from_errno(errno),
            _("Cannot get %" PRIu64
              " MiB of memory for %s: %s. Give the machine less memory or close other programs."),
            size >> 20, name, g_strerror(errno));
        return NULL;
    }
    /* First-touch faults dominate a boot otherwise; a refusal costs only speed. */
    madvise(host, size, MADV_HUGEPAGE);
    madvise(host, size, MADV_DONTDUMP);

    RamBlock *block = g_new0(RamBlock, 1);
    block->map = map;
    block->host = host;
    block->size = size;
    block->flags = g_malloc0(size >> GUEST_PAGE_SHIFT);
    block->id_base = map->next_ram_id;
    block->name = g_strdup(name);
    map->next_ram_id += size;
    g_ptr_array_add(map->blocks, block);
    return block;
}

bool ram_block_take_dirty(RamBlock *block, uint64_t offset, uint64_t length)
{
    bool dirty = false, became_clean = false;

    for (uint64_t page = offset >> GUEST_PAGE_SHIFT;
         page < block->size >> GUEST_PAGE_SHIFT && page << GUEST_PAGE_SHIFT < offset + length;
         page++) {
        uint8_t flags = atomic_load_explicit(&block->flags[page], memory_order_relaxed);
        if (!(flags & PAGE_CLEAN)) {
            atomic_fetch_or(&block->flags[page], PAGE_CLEAN | PAGE_RECHECK);
            dirty = became_clean = true;
        } else if (flags & PAGE_RECHECK) {
            atomic_fetch_and(&block->flags[page], (uint8_t)~PAGE_RECHECK);
            dirty = true;
        }
    }
    if (became_clean && block->map->changed)
        block->map->changed(block->map->listener);
    return dirty;
}

VECTOR_SAFE bool ram_block_note_store(RamBlock *block, uint64_t offset)
{
    _Atomic uint8_t *flags = &block->flags[offset >> GUEST_PAGE_SHIFT];
    uint8_t old = atomic_load_explicit(flags, memory_order_relaxed);

    if (old & PAGE_CLEAN)
        old = atomic_fetch_and(flags, (uint8_t)~PAGE_CLEAN);
    return old & PAGE_HAS_CODE;
}

void ram_block_set_code(RamBlock *block, uint64_t offset, bool has_code)
{
    _Atomic uint8_t *flags = &block->flags[offset >> GUEST_PAGE_SHIFT];

    if (has_code)
        atomic_fetch_or(flags, PAGE_HAS_CODE);
    else
        atomic_fetch_and(flags, (uint8_t)~PAGE_HAS_CODE);
}

VECTOR_SAFE RamBlock *ram_block_find(MemoryMap *map, uint64_t id)
{
    for (guint i = 0; i < map->blocks->len; i++) {
        RamBlock *block = map->blocks->pdata[i];
        if (id - block->id_base < block->size)
            return block;
    }
    return NULL;
}

VECTOR_SAFE RamBlock *ram_block_find_host(MemoryMap *map, const void *host)
{
    for (guint i = 0; i < map->blocks->len; i++) {
        RamBlock *block = map->blocks->pdata[i];
        if ((uintptr_t)host - (uintptr_t)block->host < block->size)
            return block;
    }
    return NULL;
}

/* --- map and regions -------------------------------------------------------------------------- */

static void region_free(gpointer data)
{
    MemoryRegion *region = data;

    g_free(region->name);
    g_free(region);
}

MemoryMap *memory_map_new(void)
{
    MemoryMap *map = g_new0(MemoryMap, 1);

    map->regions = g_ptr_array_new_with_free_func(region_free);
    map->blocks = g_ptr_array_new_with_free_func(ram_block_free);
    map->ports = g_ptr_array_new_with_free_func(g_free);
    return map;
}

void memory_map_free(MemoryMap *map)
{
    if (!map)
        return;
    g_ptr_array_unref(map->regions);
    g_ptr_array_unref(map->blocks);
    g_ptr_array_unref(map->ports);
    g_free(map);
}

void memory_map_set_listeners(MemoryMap *map, MemoryChangedFunc changed, CodeWrittenFunc written,
                              void *opaque)
{
    map->changed = changed;
    map->written = written;
    map->listener = opaque;
}

static MemoryRegion *region_new(MemoryMap *map, const char *name, RegionKind kind, uint64_t size)
{
    MemoryRegion *region = g_new0(MemoryRegion, 1);

    region->map = map;
    region->name = g_strdup(name);
    region->kind = kind;
    region->size = size;
    g_ptr_array_add(map->regions, region);
    return region;
}

MemoryRegion *memory_region_new_ram(MemoryMap *map, const char *name, RamBlock *block,
                                    uint64_t block_offset, uint64_t size)
{
    MemoryRegion *region = region_new(map, name, REGION_RAM, size);

    region->read_block = region->write_block = block;
    region->read_offset = region->write_offset = block_offset;
    return region;
}

MemoryRegion *memory_region_new_rom(MemoryMap *map, const char *name, RamBlock *block,
                                    uint64_t block_offset, uint64_t size)
{
    MemoryRegion *region = region_new(map, name, REGION_ROM, size);

    region->read_block = block;
    region->read_offset = block_offset;
    return region;
}

MemoryRegion *memory_region_new_split(MemoryMap *map, const char *name, RamBlock *read_block,
                                      uint64_t read_offset, RamBlock *write_block,
                                      uint64_t write_offset, uint64_t size)
{
    MemoryRegion *region = region_new(map, name, REGION_SPLIT, size);

    region->read_block = read_block;
    region->read_offset = read_offset;
    region->write_block = write_block;
    region->write_offset = write_offset;
    return region;
}

MemoryRegion *memory_region_new_mmio(MemoryMap *map, const char *name, const MmioOps *ops,
                                     void *opaque, uint64_t size)
{
    MemoryRegion *region = region_new(map, name, REGION_MMIO, size);

    region->ops = ops;
    region->opaque = opaque;
    return region;
}

static int compare_uint64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static uint64_t region_last(const MemoryRegion *region)
{
    uint64_t last = region->base + (region->size - 1);

    return last < region->base ? UINT64_MAX : last;
}

/* For find_range(), which may be reading meanwhile: what it has read then counts for nothing. */
static void publish_view(MemoryMap *map, const FlatRange *ranges, uint32_t n)
{
    uint32_t sequence = atomic_load_explicit(&map->sequence, memory_order_relaxed);

    atomic_store_explicit(&map->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (uint32_t i = 0; i < n; i++) {
        FlatRange *range = &map->ranges[i];
        __atomic_store_n(&range->first, ranges[i].first, __ATOMIC_RELAXED);
        __atomic_store_n(&range->last, ranges[i].last, __ATOMIC_RELAXED);
        __atomic_store_n(&range->offset, ranges[i].offset, __ATOMIC_RELAXED);
        __atomic_store_n(&range->region, ranges[i].region, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&map->n_ranges, n, __ATOMIC_RELAXED);
    atomic_store_explicit(&map->sequence, sequence + 2, memory_order_release);
}

/* Cuts the address space at every region's ends and gives each piece to its highest region. */
static void rebuild_view(MemoryMap *map)
{
    g_autofree uint64_t *cuts = g_new(uint64_t, map->regions->len * 2 + 1);
    g_autofree MemoryRegion **placed = g_new(MemoryRegion *, map->regions->len + 1);
    size_t n_cuts = 0, n_placed = 0;

    for (guint i = 0; i < map->regions->len; i++) {
        MemoryRegion *region = g_ptr_array_index(map->regions, i);
        if (!region->placed || !region->size)
            continue;
        placed[n_placed++] = region;
        cuts[n_cuts++] = region->base;
        if (region_last(region) != UINT64_MAX)
            cuts[n_cuts++] = region_last(region) + 1;
    }
    qsort(cuts, n_cuts, sizeof(cuts[0]), compare_uint64);

    g_autofree FlatRange *ranges = g_new(FlatRange, MIN(n_cuts, MAX_RANGES));
    uint32_t n = 0;
    for (size_t c = 0; c < n_cuts; c++) {
        if (c + 1 < n_cuts && cuts[c] == cuts[c + 1])
            continue;
        uint64_t first = cuts[c], last = c + 1 < n_cuts ? cuts[c + 1] - 1 : UINT64_MAX;
        MemoryRegion *top = NULL;
        for (size_t p = 0; p < n_placed; p++) {
            MemoryRegion *region = placed[p];
            if (region->base > first || region_last(region) < first)
                continue;
            if (!top || region->priority > top->priority ||
                (region->priority == top->priority && region->order > top->order))
                top = region;
        }
        if (!top)
            continue;
        if (n && ranges[n - 1].region == top && ranges[n - 1].last + 1 == first) {
            ranges[n - 1].last = last;
        } else if (n < MAX_RANGES) {
            ranges[n++] = (FlatRange){first, last, first - top->base, top};
        }
    }
    publish_view(map, ranges, n);
    if (map->changed)
        map->changed(map->listener);
}

static void map_changed(MemoryMap *map)
{
    map->stale = true;
    if (map->depth == 0) {
        map->stale = false;
        rebuild_view(map);
    }
}

void memory_map_begin(MemoryMap *map)
{
    map->depth++;
}

void memory_map_commit(MemoryMap *map)
{
    g_return_if_fail(map->depth > 0);
    if (--map->depth == 0 && map->stale)
        map_changed(map);
}

void memory_region_place(MemoryRegion *region, uint64_t base, int priority)
{
    if (region->placed && region->base == base && region->priority == priority)
        return;
    region->placed = true;
    region->base = base;
    region->priority = priority;
    region->order = region->map->next_order++;
    map_changed(region->map);
}

void memory_region_remove(MemoryRegion *region)
{
    if (!region->placed)
        return;
    region->placed = false;
    map_changed(region->map);
}

bool memory_region_is_placed(const MemoryRegion *region)
{
    return region->placed;
}

/* --- look-up ---------------------------------------------------------------------------------- */

/* A consistent copy of the range that holds ADDRESS. */
VECTOR_SAFE static bool find_range(MemoryMap *map, uint64_t address, FlatRange *found,
                                   uint64_t *gap_first, uint64_t *gap_last)
{
    for (;;) {
        uint32_t sequence = atomic_load_explicit(&map->sequence, memory_order_acquire);
        if (sequence & 1) {
            __builtin_ia32_pause();
            continue;
        }
        uint32_t low = 0, high = __atomic_load_n(&map->n_ranges, __ATOMIC_RELAXED);
        bool hit = false;
        *gap_first = 0;
        *gap_last = UINT64_MAX;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            const FlatRange *range = &map->ranges[middle];
            uint64_t first = __atomic_load_n(&range->first, __ATOMIC_RELAXED);
            uint64_t last = __atomic_load_n(&range->last, __ATOMIC_RELAXED);
            if (address < first) {
                high = middle;
                *gap_last = first - 1;
            } else if (address > last) {
                low = middle + 1;
                *gap_first = last + 1;
            } else {
                found->first = first;
                found->last = last;
                found->offset = __atomic_load_n(&range->offset, __ATOMIC_RELAXED);
                found->region = __atomic_load_n(&range->region, __ATOMIC_RELAXED);
                hit = true;
                break;
            }
        }
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&map->sequence, memory_order_relaxed) == sequence)
            return hit;
    }
}

VECTOR_SAFE MemoryTarget memory_lookup(MemoryMap *map, uint64_t address, bool *whole_page)
{
    FlatRange range;
    uint64_t gap_first, gap_last;
    MemoryTarget target = {0};
    uint64_t page = address & GUEST_PAGE_MASK, page_last = page | ~GUEST_PAGE_MASK;

    if (!find_range(map, address, &range, &gap_first, &gap_last)) {
        if (whole_page)
            *whole_page = gap_first <= page && gap_last >= page_last;
        return target;
    }
    if (whole_page)
        *whole_page = range.first <= page && range.last >= page_last;

    MemoryRegion *region = range.region;
    target.region = region;
    target.offset = address - range.first + range.offset;
    if (region->kind != REGION_MMIO && region->read_block) {
        target.block = region->read_block;
        target.block_offset = region->read_offset + target.offset;
        target.writable = region->kind == REGION_RAM;
    }
    return target;
}

/* --- access ----------------------------------------------------------------------------------- */

void ram_block_written(RamBlock *block, uint64_t offset, uint64_t length)
{
    MemoryMap *map = block->map;

    /* Who marks a page reads it after that: either it sees the bytes or this the mark. */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint64_t page = offset & GUEST_PAGE_MASK; page < offset + length;
         page += GUEST_PAGE_SIZE) {
        if (ram_block_note_store(block, page) && map->written) {
            uint64_t first = MAX(page, offset);
            uint64_t end = MIN(page + GUEST_PAGE_SIZE, offset + length);
            map->written(map->listener, block, first, end - first);
        }
    }
}

static void write_ram(RamBlock *block, uint64_t offset, const void *data, size_t length)
{
    memcpy(block->host + offset, data, length);
    ram_block_written(block, offset, length);
}

static uint64_t little_endian(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, bytes, size);
    return value;
}

/* The widest naturally aligned access that fits. */
static unsigned access_size(uint64_t address, uint64_t left)
{
    unsigned size = 8;

    while (size > left || (address & (size - 1)))
        size /= 2;
    return size;
}

static uint64_t region_read(const MemoryRegion *region, uint64_t offset, unsigned size)
{
    uint64_t ones = size == 8 ? UINT64_MAX : (1ull << (size * 8)) - 1;

    if (region->kind == REGION_MMIO)
        return region->ops->read ? region->ops->read(region->opaque, offset, size) & ones : ones;
    if (!region->read_block)
        return ones;
    return little_endian(region->read_block->host + region->read_offset + offset, size);
}

static void region_write(MemoryRegion *region, uint64_t offset, uint64_t value, unsigned size)
{
    if (region->kind == REGION_MMIO) {
        if (region->ops->write)
            region->ops->write(region->opaque, offset, value, size);
    } else if (region->write_block) {
        write_ram(region->write_block, region->write_offset + offset, &value, size);
    }
}

bool memory_read(MemoryMap *map, uint64_t address, void *buffer, size_t length)
{
    uint8_t *out = buffer;
    bool complete = true;

    while (length) {
        FlatRange range;
        uint64_t gap_first, gap_last;
        if (!find_range(map, address, &range, &gap_first, &gap_last)) {
            size_t n = MIN(length - 1, gap_last - address) + 1;
            memset(out, 0xff, n);
            complete = false;
            out += n, address += n, length -= n;
            continue;
        }
        MemoryRegion *region = range.region;
        uint64_t offset = address - range.first + range.offset;
        size_t n = MIN(length - 1, range.last - address) + 1;
        if (region->kind == REGION_MMIO) {
            n = access_size(address, n);
            uint64_t value = region_read(region, offset, n);
            memcpy(out, &value, n);
        } else if (region->read_block) {
            memcpy(out, region->read_block->host + region->read_offset + offset, n);
        } else {
            memset(out, 0xff, n);
            complete = false;
        }
        out += n, address += n, length -= n;
    }
    return complete;
}

bool memory_write(MemoryMap *map, uint64_t address, const void *buffer, size_t length)
{
    const uint8_t *in = buffer;
    bool complete = true;

    while (length) {
        FlatRange range;
        uint64_t gap_first, gap_last;
        if (!find_range(map, address, &range, &gap_first, &gap_last)) {
            size_t n = MIN(length - 1, gap_last - address) + 1;
            complete = false;
            in += n, address += n, length -= n;
            continue;
        }
        MemoryRegion *region = range.region;
        uint64_t offset = address - range.first + range.offset;
        size_t n = MIN(length - 1, range.last - address) + 1;
        if (region->kind == REGION_MMIO) {
            n = access_size(address, n);
            region_write(region, offset, little_endian(in, n), n);
        } else if (region->write_block) {
            write_ram(region->write_block, region->write_offset + offset, in, n);
        } else {
            complete = false;
        }
        in += n, address += n, length -= n;
    }
    return complete;
}

uint64_t memory_read_uint(MemoryMap *map, uint64_t address, unsigned size)
{
    uint64_t value = 0;

    memory_read(map, address, &value, size);
    return value;
}

void memory_write_uint(MemoryMap *map, uint64_t address, uint64_t value, unsigned size)
{
    memory_write(map, address, &value, size);
}

uint64_t memory_mmio_read(MemoryMap *map, uint64_t address, unsigned size)
{
    FlatRange range;
    uint64_t gap_first, gap_last;

    /* One access of the CPU reaches a device as one access, aligned or not. */
    if (find_range(map, address, &range, &gap_first, &gap_last) && range.last - address >= size - 1)
        return region_read(range.region, address - range.first + range.offset, size);
    return memory_read_uint(map, address, size);
}

void memory_mmio_write(MemoryMap *map, uint64_t address, uint64_t value, unsigned size)
{
    FlatRange range;
    uint64_t gap_first, gap_last;

    if (find_range(map, address, &range, &gap_first, &gap_last) && range.last - address >= size - 1)
        region_write(range.region, address - range.first + range.offset, value, size);
    else
        memory_write_uint(map, address, value, size);
}

/* --- ports ------------------------------------------------------------------------------------ */

void port_register(MemoryMap *map, uint16_t first, uint32_t count, const PortOps *ops, void *opaque)
{
    PortEntry *entry = g_new0(PortEntry, 1);

    entry->first = first;
    entry->count = MIN(count, 65536u - first);
    entry->ops = ops;
    entry->opaque = opaque;
    g_ptr_array_add(map->ports, entry);
    for (uint32_t i = 0; i < entry->count; i++)
        map->port_table[first + i] = entry;
}

void port_set_run_ops(MemoryMap *map, uint16_t port, const PortRunOps *ops)
{
    map->port_table[port]->run_ops = ops;
}

static bool entry_covers(const PortEntry *entry, uint32_t port)
{
    return port >= entry->first && port < entry->first + entry->count;
}

void port_unregister(MemoryMap *map, uint16_t first, uint32_t count, void *opaque)
{
    count = MIN(count, 65536u - first);
    for (guint i = map->ports->len; i-- > 0;) {
        PortEntry *entry = g_ptr_array_index(map->ports, i);
        if (entry->first != first || entry->count != count || entry->opaque != opaque)
            continue;
        for (uint32_t port = first; port < first + count; port++) {
            if (map->port_table[port] != entry)
                continue;
            map->port_table[port] = NULL;
            for (guint k = map->ports->len; k-- > 0;) {
                PortEntry *other = g_ptr_array_index(map->ports, k);
                if (other != entry && entry_covers(other, port)) {
                    map->port_table[port] = other;
                    break;
                }
            }
        }
        g_ptr_array_remove_index(map->ports, i);
        return;
    }
}

/* The handler that takes all SIZE ports at once, or NULL when the access must be split. */
static const PortEntry *port_entry(MemoryMap *map, uint16_t port, unsigned size)
{
    const PortEntry *entry = map->port_table[port];

    if (size == 1)
        return entry;
    for (unsigned i = 1; i < size; i++)
        if (map->port_table[(uint16_t)(port + i)] != entry)
            return NULL;
    if (entry && size > MAX(entry->ops->max_size, 1))
        return NULL;
    return entry;
}

uint32_t port_read(MemoryMap *map, uint16_t port, unsigned size)
{
    const PortEntry *entry = port_entry(map, port, size);
    uint32_t ones = size == 4 ? UINT32_MAX : (1u << (size * 8)) - 1;

    if (entry)
        return entry->ops->read ? entry->ops->read(entry->opaque, port, size) & ones : ones;
    if (size == 1)
        return ones;
    unsigned half = size / 2;
    uint32_t low = port_read(map, port, half);
    return low | port_read(map, (uint16_t)(port + half), half) << (half * 8);
}

void port_write(MemoryMap *map, uint16_t port, uint32_t value, unsigned size)
{
    const PortEntry *entry = port_entry(map, port, size);

    if (entry) {
        if (entry->ops->write)
            entry->ops->write(entry->opaque, port, value, size);
        return;
    }
    if (size == 1)
        return;
    unsigned half = size / 2;
    port_write(map, port, value & ((1u << (half * 8)) - 1), half);
    port_write(map, (uint16_t)(port + half), value >> (half * 8), half);
}

/* What a device does not move in runs goes element by element. The entry is looked up each time: a
 * port access may move the ports. */
void port_read_run(MemoryMap *map, uint16_t port, void *buffer, size_t count, unsigned size)
{
    uint8_t *out = buffer;

    while (count > 0) {
        const PortEntry *entry = port_entry(map, port, size);
        size_t moved = entry && entry->run_ops
                           ? entry->run_ops->read(entry->opaque, port, out, count, size)
                           : 0;
        if (moved == 0) {
            uint32_t value = GUINT32_TO_LE(port_read(map, port, size));
            memcpy(out, &value, size);
            moved = 1;
        }
        out += moved * size;
        count -= moved;
    }
}

void port_write_run(MemoryMap *map, uint16_t port, const void *buffer, size_t count, unsigned size)
{
    const uint8_t *in = buffer;

    while (count > 0) {
        const PortEntry *entry = port_entry(map, port, size);
        size_t moved = entry && entry->run_ops
                           ? entry->run_ops->write(entry->opaque, port, in, count, size)
                           : 0;
        if (moved == 0) {
            uint32_t value = 0;
            memcpy(&value, in, size);
            port_write(map, port, GUINT32_FROM_LE(value), size);
            moved = 1;
        }
        in += moved * size;
        count -= moved;
    }
}

/* --- description ------------------------------------------------------------------------------ */

void memory_map_describe(MemoryMap *map, GString *out)
{
    static const char *const kinds[] = {"ram", "rom", "ram/rom", "i/o"};

    for (uint32_t i = 0; i < map->n_ranges; i++) {
        const FlatRange *range = &map->ranges[i];
        g_string_append_printf(out, "  %016" PRIx64 "-%016" PRIx64 " (prio %d, %s): %s",
                               range->first, range->last, range->region->priority,
                               kinds[range->region->kind], range->region->name);
        if (range->offset)
            g_string_append_printf(out, " @%016" PRIx64, range->offset);
        g_string_append(out, "\n");
    }
}
