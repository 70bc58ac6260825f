/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A vCPU's code cache: memory that is written at one address and executed at another, the blocks
 * in it, and the tables by which indirect branches find them.
 *
 * Each vCPU has its own: no code is ever patched under another thread's feet, and blocks are freed
 * without epochs. The price, translating shared code once a vCPU, is paid once.
 */

#include "core/cpu/jit/jit-internal.h"
#include "core/cpu/jit/madvise.h"

#include <errno.h>
#include <gio/gio.h>
#include <unistd.h>

#define HOST_PAGE         ((size_t)4096)
#define STUBS_BYTES       (2 * HOST_PAGE)
#define REGIONS_AT        LARGE_PAGE /* what is between them and the stubs takes no memory */

/* All of a machine's caches, as is usual, and each of them. */
#define ALL_CACHES        ((size_t)256 << 20)
#define LEAST_USUAL_CACHE ((size_t)16 << 20)
#define MOST_USUAL_CACHE  ((size_t)128 << 20)

#define MOST_REGION       ((size_t)4 << 20)

/* So much memory is made present at a time. */
#define PRESENT_STEP      ((size_t)128 << 10)

enum { LEAST_REGIONS = 16 };

/* A RIP that is looked for elsewhere than in the first line. */
#define NO_RIP UINT64_C(0x8000000000010000)

/* An empty target's RIP: not one that is looked for there. */
JIT_VECTOR_SAFE static uint64_t empty_rip(unsigned i)
{
    return i < TARGETS_IN_LINE ? NO_RIP : 0;
}

JIT_VECTOR_SAFE static void clear_line(JitContext *context, unsigned line)
{
    for (unsigned i = line * TARGETS_IN_LINE; i < (line + 1) * TARGETS_IN_LINE; i++)
        context->targets[i].rip = empty_rip(i);
}

JIT_VECTOR_SAFE static void clear_targets(JitContext *context)
{
    for (unsigned w = 0; w < G_N_ELEMENTS(context->lines_used); w++) {
        for (uint64_t bits = context->lines_used[w]; bits; bits &= bits - 1)
            clear_line(context, w * 64 + (unsigned)__builtin_ctzll(bits));
        context->lines_used[w] = 0;
    }
    context->used = false;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Maps FD whole at an address that large pages can lie at. */
static void *map_aligned(int fd, size_t size, int protection)
{
    uint8_t *space = mmap(NULL, size + LARGE_PAGE, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (space == MAP_FAILED)
        return NULL;
    uint8_t *place = (uint8_t *)LARGE_PAGE_UP(space);
    if (mmap(place, size, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        return NULL;
    (void)madvise(place, size, MADV_HUGEPAGE);
    return place;
}

/* What is from P on, MARGIN bytes and a step more, but not beyond LIMIT, has its memory up to
 * *PRESENT. To touch page after page for the first time costs a fault each, in a virtual machine
 * some ten microseconds: with two mappings of the code more than a tenth of its translation. Before
 * Linux 5.14 the calls fail, and the faults come. Returns where what is new begins, or NULL. */
static uint8_t *make_present(uint8_t **present, uint8_t *p, size_t margin, uint8_t *limit)
{
    if (G_LIKELY(p + margin <= *present || *present >= limit))
        return NULL;
    uint8_t *start = (uint8_t *)((uintptr_t)MAX(p, *present) & ~(uintptr_t)(HOST_PAGE - 1));
    uint8_t *end = MIN(MAX(p + margin, start) + PRESENT_STEP, limit);
    (void)madvise(start, (size_t)(end - start), MADV_POPULATE_WRITE);
    *present = end;
    return start;
}

static void make_pages_large(const JitCpu *jc, JitRegion *region)
{
    size_t start = (size_t)(region->hot - jc->rw) & ~(LARGE_PAGE - 1);
    size_t end = MIN(LARGE_PAGE_UP(region->end - jc->rw), jc->size);

    region->large_pages = true;
    if (jit_make_pages_large(jc->rw + start, jc->rx + start, end - start)) {
        region->hot_present = region->cold;
        region->cold_present = region->end;
    }
}

static void make_code_present(const JitCpu *jc, uint8_t **present, uint8_t *p, size_t margin,
                              uint8_t *limit)
{
    const uint8_t *start = make_present(present, p, margin, limit);

    if (start)
        (void)madvise((void *)(jc->rx + (start - jc->rw)), (size_t)(*present - start),
                      MADV_POPULATE_READ);
}

static bool map_cache(JitCpu *jc, size_t size)
{
    jc->fd = memfd_create("apiary-code", MFD_CLOEXEC);
    if (jc->fd < 0 || ftruncate(jc->fd, (off_t)size) < 0)
        return false;
    jc->size = size;
    jc->rw = map_aligned(jc->fd, size, PROT_READ | PROT_WRITE);
    jc->rx = map_aligned(jc->fd, size, PROT_READ | PROT_EXEC);
    return jc->rw && jc->rx;
}

static void unmap_cache(JitCpu *jc)
{
    if (jc->rw)
        munmap(jc->rw, jc->size);
    if (jc->rx)
        munmap((void *)jc->rx, jc->size);
    if (jc->fd >= 0)
        close(jc->fd);
}

#define TARGETS_BYTES (N_TARGETS * sizeof(JitTarget))

enum {
    HOT_MARGIN = 64 * 512, /* more than any block takes */
    COLD_MARGIN = 64 * 512,
    LINK_BYTES = 256, /* more than a link takes */
    /* A block, an exit, a trap every so many bytes of code are more than usual; a region with more
     * of them is full earlier. */
    BYTES_A_BLOCK = 64,
    BYTES_AN_EXIT = 32,
    BYTES_A_TRAP = 16,
    MOST_EXITS = 1024, /* of a block */
    MOST_TRAPS = 1024,
};

/* NUMBER zeroes of SIZE bytes that take no memory until they are used. */
static void *new_table(size_t number, size_t size)
{
    void *table = mmap(NULL, number * size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return table == MAP_FAILED ? NULL : table;
}

static bool map_tables(JitCpu *jc)
{
    jc->region_blocks = (uint32_t)(jc->region_bytes / BYTES_A_BLOCK);
    jc->region_exits = (uint32_t)(jc->region_bytes / BYTES_AN_EXIT);
    jc->region_traps = (uint32_t)(jc->region_bytes / BYTES_A_TRAP);
    jc->blocks = new_table(jc->n_regions * jc->region_blocks, sizeof(JitBlock));
    jc->exits = new_table(jc->n_regions * jc->region_exits, sizeof(JitExit));
    jc->traps = new_table(jc->n_regions * jc->region_traps, sizeof(JitTrap));
    jc->decoded = new_table(1, sizeof(DecodeCache));
    return jc->blocks && jc->exits && jc->traps && jc->decoded;
}

static void unmap_tables(JitCpu *jc)
{
    if (jc->blocks)
        munmap(jc->blocks, jc->n_regions * jc->region_blocks * sizeof(JitBlock));
    if (jc->exits)
        munmap(jc->exits, jc->n_regions * jc->region_exits * sizeof(JitExit));
    if (jc->traps)
        munmap(jc->traps, jc->n_regions * jc->region_traps * sizeof(JitTrap));
    if (jc->decoded)
        munmap(jc->decoded, sizeof(DecodeCache));
}

/* --- regions ---------------------------------------------------------------------------------- */

/* As a rule there is somewhat more cold code than hot. */
static size_t hot_share(const JitCpu *jc)
{
    return jc->region_bytes / 16 * 7;
}

static void divide_cache(JitCpu *jc, size_t bytes)
{
    jc->region_bytes = MIN(bytes / LEAST_REGIONS, MOST_REGION) & ~(size_t)(HOST_PAGE - 1);
    jc->n_regions = (unsigned)(bytes / jc->region_bytes);
}

static void lay_out_regions(JitCpu *jc)
{
    jc->regions = g_new0(JitRegion, jc->n_regions);
    uint8_t *start = jc->rw + REGIONS_AT;

    for (unsigned i = 0; i < jc->n_regions; i++) {
        JitRegion *region = &jc->regions[i];
        region->hot = start + i * jc->region_bytes;
        region->cold = region->hot + hot_share(jc);
        region->end = region->hot + jc->region_bytes;
        region->first_block = i * jc->region_blocks;
        region->first_exit = i * jc->region_exits;
        region->first_trap = i * jc->region_traps;
    }
}

static void empty_region(JitCpu *jc, JitRegion *region)
{
    /* What still names an exit by its number finds that it leads nowhere. */
    memset(&jc->exits[region->first_exit], 0, region->n_exits * sizeof(JitExit));
    region->n_blocks = region->n_exits = region->n_traps = region->n_invalid = 0;
    region->used = 0;
    if (jc->perf)
        jit_perf_forget(jc->perf, (unsigned)(region - jc->regions));
}

static size_t bytes_used(const JitCpu *jc)
{
    return (size_t)((jc->hot - jc->region->hot) + (jc->cold - jc->region->cold));
}

/* Blocks are put into REGION, which is empty, from now on. */
static void fill_region(JitCpu *jc, JitRegion *region)
{
    jc->region = region;
    region->age = ++jc->age;
    jc->hot = region->hot;
    jc->cold = region->cold;
}

size_t jit_cache_used(const JitCpu *jc)
{
    size_t sum = bytes_used(jc);

    for (unsigned i = 0; i < jc->n_regions; i++)
        sum += jc->regions[i].used;
    return sum;
}

size_t jit_usual_cache_bytes(unsigned n_cpus)
{
    return CLAMP(ALL_CACHES / n_cpus, LEAST_USUAL_CACHE, MOST_USUAL_CACHE);
}

/* --- life ------------------------------------------------------------------------------------- */

JitCpu *jit_cpu_new(Jit *jit, Cpu *cpu)
{
    JitCpu *jc = g_new0(JitCpu, 1);

    jc->jit = jit;
    jc->cpu = cpu;
    divide_cache(jc, MAX(jit->options.cache_bytes, JIT_LEAST_CACHE));
    if (!map_cache(jc, REGIONS_AT + jc->n_regions * jc->region_bytes) || !map_tables(jc)) {
        g_warning("Cannot get %zu MiB for translated code: %s. Interpreting instead.",
                  jit->options.cache_bytes >> 20, g_strerror(errno));
        unmap_cache(jc);
        unmap_tables(jc);
        g_free(jc);
        return NULL;
    }
    jc->far_links = g_array_new(FALSE, FALSE, sizeof(JitFarLink));
    jc->crossings = g_array_new(FALSE, FALSE, sizeof(JitCrossing));
    jc->stale = g_array_new(FALSE, FALSE, sizeof(JitStale));
    g_mutex_init(&jc->stale_lock);
    for (unsigned i = 0; i < N_CONTEXTS; i++) {
        jc->contexts[i].targets = new_table(N_TARGETS, sizeof(JitTarget));
        if (!jc->contexts[i].targets)
            g_error("Cannot get memory for a table of branch targets: %s", g_strerror(errno));
        clear_line(&jc->contexts[i], 0);
    }

    Emit e = {jc->rw};
    jit_emit_stubs(jc, &e);
    g_assert(e.p <= jc->rw + STUBS_BYTES);
    lay_out_regions(jc);
    fill_region(jc, &jc->regions[0]);
    jc->statistics.cache_bytes = jc->n_regions * jc->region_bytes;
    if (jit->options.perf)
        jc->perf = jit_perf_new(jc->n_regions);
    return jc;
}

void jit_cpu_free(JitCpu *jc)
{
    if (!jc)
        return;
    jit_smc_forget_all(jc);
    for (unsigned i = 0; i < N_CONTEXTS; i++)
        munmap(jc->contexts[i].targets, TARGETS_BYTES);
    g_array_unref(jc->far_links);
    g_array_unref(jc->crossings);
    g_array_unref(jc->stale);
    g_mutex_clear(&jc->stale_lock);
    unmap_cache(jc);
    unmap_tables(jc);
    jit_perf_free(jc->perf);
    g_free(jc->regions);
    g_free(jc);
}

static void unpin_contexts(JitCpu *jc)
{
    for (unsigned i = 0; i < N_CONTEXTS; i++)
        jc->contexts[i].pinned = false;
    jc->n_pinned = 0;
}

/* Nothing of the cache is running: the thread is in C and will not return to a block. */
void jit_cache_flush(JitCpu *jc)
{
    jit_smc_forget_all(jc);
    memset(jc->site_owners, 0, sizeof jc->site_owners);
    for (unsigned i = 0; i < jc->n_regions; i++)
        empty_region(jc, &jc->regions[i]);
    g_array_set_size(jc->far_links, 0);
    g_array_set_size(jc->crossings, 0);
    jc->free_far_link = jc->free_crossing = 0;
    jit_cache_forget_targets(jc, 3);
    unpin_contexts(jc);
    fill_region(jc, &jc->regions[0]);
    __atomic_store_n(&jc->statistics.present, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&jc->statistics.present_again, 0, __ATOMIC_RELAXED);
    jc->flush_first = jc->evict_first = false;
    jc->generation++;
    jit_count(&jc->statistics.flushes);
}

/* --- eviction --------------------------------------------------------------------------------- */

/* Pins the contexts that code outside of REGION names, and no others. */
static void pin_contexts_again(JitCpu *jc)
{
    unpin_contexts(jc);
    for (const JitRegion *region = jc->regions; region < &jc->regions[jc->n_regions]; region++)
        for (uint32_t i = 0; i < region->n_exits; i++) {
            const JitExit *exit = &jc->exits[region->first_exit + i];
            if (!exit->targets_before)
                continue;
            uintptr_t targets = *(HostU64 *)(jit_at(jc, exit->site) - exit->targets_before);
            for (unsigned k = 0; k < N_CONTEXTS; k++)
                if ((uintptr_t)jc->contexts[k].targets == targets)
                    jit_cache_pin_context(jc, &jc->contexts[k]);
        }
}

static void forget_site_owners(JitCpu *jc, const JitRegion *region)
{
    for (unsigned store = 0; store < 2; store++)
        for (unsigned i = 0; i < N_SITES; i++) {
            const JitBlock *owner = jc->site_owners[store][i];
            if (owner && jit_region_has(jc, region, owner))
                jc->site_owners[store][i] = NULL;
        }
}

/* Memory is not taken for more code while a region is mostly garbage. */
static JitRegion *region_to_fill(JitCpu *jc)
{
    JitRegion *oldest = NULL, *empty = NULL, *worst = NULL;

    for (JitRegion *region = jc->regions; region < &jc->regions[jc->n_regions]; region++) {
        if (region == jc->region)
            continue;
        if (!region->used)
            empty = empty ? empty : region;
        else if (!oldest || region->age < oldest->age)
            oldest = region;
        if (region->n_invalid * 2 > region->n_blocks &&
            (!worst || region->n_invalid > worst->n_invalid))
            worst = region;
    }
    return worst ? worst : empty ? empty : oldest;
}

void jit_cache_evict(JitCpu *jc)
{
    JitRegion *next = region_to_fill(jc);

    jc->region->used = bytes_used(jc);
    jc->evict_first = false;
    if (next->used) {
        jit_smc_drop_region(jc, next);
        jit_unlink_region(jc, next);
        forget_site_owners(jc, next);
        jit_cache_forget_targets(jc, 3);
        jc->generation++;
        jit_count(&jc->statistics.evictions);
        empty_region(jc, next);
        pin_contexts_again(jc);
    }
    fill_region(jc, next);
}

/* --- blocks ----------------------------------------------------------------------------------- */

static bool has_room(const JitCpu *jc)
{
    const JitRegion *region = jc->region;

    return jc->hot + HOT_MARGIN <= region->cold && jc->cold + COLD_MARGIN <= region->end &&
           region->n_blocks < jc->region_blocks &&
           region->n_exits + MOST_EXITS <= jc->region_exits &&
           region->n_traps + MOST_TRAPS <= jc->region_traps;
}

bool jit_cache_has_room_for_link(const JitCpu *jc)
{
    return jc->cold + LINK_BYTES <= jc->region->end;
}

/* For one more block. */
static void make_room_present(JitCpu *jc)
{
    JitRegion *region = jc->region;
    uint32_t block = region->first_block, exit = region->first_exit, trap = region->first_trap;

    make_code_present(jc, &region->hot_present, jc->hot, HOT_MARGIN, region->cold);
    make_code_present(jc, &region->cold_present, jc->cold, COLD_MARGIN, region->end);
    make_present(&region->blocks_present, (uint8_t *)&jc->blocks[block + region->n_blocks],
                 sizeof(JitBlock), (uint8_t *)&jc->blocks[block + jc->region_blocks]);
    make_present(&region->exits_present, (uint8_t *)&jc->exits[exit + region->n_exits],
                 MOST_EXITS * sizeof(JitExit), (uint8_t *)&jc->exits[exit + jc->region_exits]);
    make_present(&region->traps_present, (uint8_t *)&jc->traps[trap + region->n_traps],
                 MOST_TRAPS * sizeof(JitTrap), (uint8_t *)&jc->traps[trap + jc->region_traps]);
}

JitBlock *jit_cache_new_block(JitCpu *jc)
{
    if (!has_room(jc))
        jit_cache_evict(jc);
    if (!jc->region->large_pages)
        make_pages_large(jc, jc->region);
    make_room_present(jc);
    JitBlock *block = jit_block(jc, jc->region->first_block + jc->region->n_blocks);
    memset(block, 0, sizeof *block);
    return block;
}

uint32_t jit_cache_add_exit(JitCpu *jc, JitExit exit)
{
    uint32_t number = jc->region->first_exit + jc->region->n_exits++;

    g_assert(jc->region->n_exits <= jc->region_exits);
    jc->exits[number] = exit;
    return number;
}

void jit_cache_add_trap(JitCpu *jc, JitTrap trap)
{
    g_assert(jc->region->n_traps < jc->region_traps);
    jc->traps[jc->region->first_trap + jc->region->n_traps++] = trap;
}

static void count_down(uint64_t *counter)
{
    __atomic_store_n(counter, *counter - 1, __ATOMIC_RELAXED);
}

void jit_cache_insert(JitCpu *jc, JitPage *page, JitBlock *block)
{
    block->valid = true;
    jit_count(&jc->statistics.present);
    if (block->tier == 2)
        jit_count(&jc->statistics.present_again);
    jit_smc_add_block(jc, page, block);
    jc->region->n_blocks++;
    jit_page_insert(jc, page, jit_block_number(jc, block));
}

/* Takes BLOCK out of every way in. Its code stays until its region is evicted; entering it leads
 * out again. */
void jit_cache_remove(JitCpu *jc, JitBlock *block)
{
    jit_page_remove(jc, block->page, block);
    jit_unlink_far(jc, block);
    Emit e = {block->entry};
    emit_call(&e, jc->stub_dead);
    e.p = block->indirect_entry;
    emit_jmp(&e, jc->stub_target);
    block->valid = false;
    jc->regions[(size_t)(block->entry - jc->regions[0].hot) / jc->region_bytes].n_invalid++;
    count_down(&jc->statistics.present);
    if (block->tier == 2)
        count_down(&jc->statistics.present_again);
    jc->leave = true;
}

/* The block whose hot code holds RW. */
JIT_VECTOR_SAFE JitBlock *jit_cache_block_at(JitCpu *jc, const uint8_t *rw)
{
    size_t i = (size_t)(rw - jc->regions[0].hot) / jc->region_bytes;

    if (rw < jc->regions[0].hot || i >= jc->n_regions)
        return NULL;
    const JitRegion *region = &jc->regions[i];
    unsigned low = region->first_block, high = low + region->n_blocks;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        JitBlock *block = jit_block(jc, middle);
        if (rw < block->entry)
            high = middle;
        else if (rw >= block->entry + block->code_size)
            low = middle + 1;
        else
            return block;
    }
    return NULL;
}

/* --- targets of indirect branches ------------------------------------------------------------- */

/* The table for MODE and a CS of BASE and LIMIT (0 and ~0 where RIP is the linear address). */
JIT_VECTOR_SAFE JitContext *jit_cache_context(JitCpu *jc, uint32_t mode, uint32_t base,
                                              uint32_t limit)
{
    JitContext *context;

    for (unsigned i = 0; i < N_CONTEXTS; i++) {
        context = &jc->contexts[i];
        if (context->in_use && context->mode == mode && context->base == base &&
            context->limit == limit)
            return context;
    }
    do
        context = &jc->contexts[jc->next_context++ % N_CONTEXTS];
    while (context->pinned);
    if (context->used)
        clear_targets(context);
    jit_cache_forget_returns(jc, 3); /* it may have been the current one's */
    context->in_use = true;
    context->mode = mode;
    context->base = base;
    context->limit = limit;
    return context;
}

JIT_VECTOR_SAFE bool jit_cache_pin_context(JitCpu *jc, JitContext *context)
{
    if (!context->pinned && jc->n_pinned < MAX_PINNED) {
        context->pinned = true;
        jc->n_pinned++;
    }
    return context->pinned;
}

JIT_VECTOR_SAFE void jit_cache_put_target(JitCpu *jc, uint64_t rip, const JitBlock *block)
{
    JitContext *context = jc->context;
    unsigned i = jit_target_index(rip), line = i / TARGETS_IN_LINE;
    JitTarget *targets = &context->targets[line * TARGETS_IN_LINE];
    JitTarget new = {rip, jit_rx(jc, block->indirect_entry)};

    context->used = true;
    context->lines_used[line / 64] |= 1ull << (line % 64);
    for (unsigned way = 0; way < TARGETS_IN_LINE; way++)
        if (targets[way].rip == rip) {
            targets[way] = new;
            return;
        }
    /* Where generated code looks first is for the newest. */
    targets[jc->next_target++ % TARGETS_IN_LINE] = context->targets[i];
    context->targets[i] = new;
}

JIT_VECTOR_SAFE void jit_cache_forget_returns(JitCpu *jc, unsigned sets)
{
    const void *look_up = jit_rx(jc, jc->stub_indirect);

    for (unsigned set = 0; set < N_MMU; set++) {
        ReturnTable *returns = &jc->cpu->returns[set];
        if (!(sets & 1u << (set == MMU_USER)))
            continue;
        for (unsigned i = 0; i < N_RETURNS; i++) {
            returns->rip[i] = 0;
            returns->code[i] = look_up;
        }
    }
}

JIT_VECTOR_SAFE void jit_cache_forget_targets(JitCpu *jc, unsigned sets)
{
    jit_cache_forget_returns(jc, sets);
    for (unsigned i = 0; i < N_CONTEXTS; i++) {
        JitContext *context = &jc->contexts[i];
        unsigned set = (context->mode & MODE_CPL) == MODE_CPL ? 2 : 1;
        if ((sets & set) && context->used)
            clear_targets(context);
    }
}
