/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Self-modifying code. A page with translations has PAGE_HAS_CODE: stores to it miss every soft TLB
 * and come to the slow path, which compares the bytes with the 128-byte granules that blocks depend
 * on. Blocks of a granule that is written go at once in the writer's cache and, by a note and
 * REQUEST_FLUSH_CODE, at the next exit in the caches of other vCPUs: the guest must synchronise
 * cross-modified code itself (SDM 8.1.3), and every way of doing so makes those vCPUs exit.
 *
 * A page gets the mark while others may be in the middle of a direct store to it: its code is
 * interpreted until each of them has taken its note of the mark or is halted.
 */

#include "core/cpu/jit/jit-internal.h"

enum {
    GRANULE_SHIFT = 7,
    /* A page whose code was dropped this often is interpreted for a while. */
    THRASH_LIMIT = 32,
    BUSY_SAMPLES = 3,
    THRASH_INSTRUCTIONS = 4000,
    NOTICE_MICROSECONDS = 20,
    /* Note to a vCPU: nothing was written, but it must no longer store directly to the page. */
    ONLY_STORES = 0,
};

static uint32_t granules_of(uint64_t offset, uint64_t length)
{
    unsigned first = (offset & 0xfff) >> GRANULE_SHIFT;
    unsigned last = ((offset & 0xfff) + length - 1) >> GRANULE_SHIFT;

    if (last > 31)
        last = 31;
    return (uint32_t)((2ull << last) - (1ull << first));
}

/* --- notes ------------------------------------------------------------------------------------ */

/* The lock of the vCPUs' common state is held. */
static void tell(JitCpu *jc, JitStale note)
{
    g_mutex_lock(&jc->stale_lock);
    g_array_append_val(jc->stale, note);
    if (jc->stale->len == 1)
        atomic_store(&jc->oldest_stale, note.number);
    g_mutex_unlock(&jc->stale_lock);
    /* Not cpu_request(): a halted vCPU takes its notes when it wakes for another reason. */
    atomic_fetch_or(&jc->cpu->requests, REQUEST_FLUSH_CODE);
}

/* The same lock; returns the note's number. */
static uint64_t tell_others_locked(Jit *jit, const JitCpu *self, uint64_t ram, uint32_t granules)
{
    JitStale note = {ram, granules, ++jit->n_notes};

    for (guint i = 0; i < jit->cpus->len; i++)
        if (g_ptr_array_index(jit->cpus, i) != self)
            tell(g_ptr_array_index(jit->cpus, i), note);
    return note.number;
}

static void tell_others(Jit *jit, const JitCpu *self, uint64_t ram, uint32_t granules)
{
    g_mutex_lock(&jit->lock);
    tell_others_locked(jit, self, ram, granules);
    g_mutex_unlock(&jit->lock);
}

/* Whether some running vCPU has not taken the note NUMBER yet. One that is halted takes its notes
 * before it stores anything. */
static bool is_any_behind(Jit *jit, const JitCpu *self, uint64_t number)
{
    bool behind = false;

    g_mutex_lock(&jit->lock);
    for (guint i = 0; i < jit->cpus->len; i++) {
        const JitCpu *other = g_ptr_array_index(jit->cpus, i);
        uint64_t oldest = other == self ? 0 : atomic_load(&other->oldest_stale);
        behind |= oldest && oldest <= number && other->cpu->halt_state == CPU_RUNNING;
    }
    g_mutex_unlock(&jit->lock);
    return behind;
}

/* Gives them a moment. No longer: they may be waiting for this vCPU. */
static bool all_notice_soon(Jit *jit, const JitCpu *self, uint64_t number)
{
    gint64 end = g_get_monotonic_time() + NOTICE_MICROSECONDS;

    while (is_any_behind(jit, self, number)) {
        if (g_get_monotonic_time() > end)
            return false;
        __builtin_ia32_pause();
    }
    return true;
}

/* --- pages ------------------------------------------------------------------------------------ */

/* Stores to the page are to be seen, by whichever vCPU. */
static void claim_page(JitCpu *jc, JitPage *page)
{
    Jit *jit = jc->jit;
    gint64 ram = (gint64)page->ram;

    g_mutex_lock(&jit->lock);
    JitCodePage *code = g_hash_table_lookup(jit->code_pages, &ram);
    if (!code) {
        code = g_new0(JitCodePage, 1);
        code->ram = ram;
        g_hash_table_insert(jit->code_pages, &code->ram, code);
        ram_block_set_code(page->ram_block, page->ram_offset, true);
        code->claim = tell_others_locked(jit, jc, page->ram, ONLY_STORES);
    }
    code->n_cpus++;
    page->claim = code->claim;
    g_mutex_unlock(&jit->lock);
    mmu_flush_stores_to(jc->cpu, page->ram_block->host + page->ram_offset);
    page->settled = all_notice_soon(jit, jc, page->claim);
}

/* The page has no blocks left. */
static void leave_page(JitCpu *jc, JitPage *page)
{
    Jit *jit = jc->jit;
    gint64 ram = (gint64)page->ram;

    page->granules = 0;
    page->claim = 0;
    page->aliased = page->settled = false;
    g_mutex_lock(&jit->lock);
    JitCodePage *code = g_hash_table_lookup(jit->code_pages, &ram);
    if (!--code->n_cpus) {
        g_hash_table_remove(jit->code_pages, &ram);
        ram_block_set_code(page->ram_block, page->ram_offset, false);
    }
    g_mutex_unlock(&jit->lock);
}

/* The page at RAM, made if it is new: its stores are seen from now on. Call before reading its
 * code. NULL when its code shall be interpreted: it changes too often, or another vCPU could still
 * change it unseen. */
JitPage *jit_smc_page(JitCpu *jc, uint64_t ram)
{
    JitPage *page = jit_page_find(jc, ram);

    if (page && page->interpret) {
        page->interpret--;
        return NULL;
    }
    if (page && page->settled)
        return page;
    if (!page) {
        RamBlock *block = ram_block_find(jc->cpu->memory, ram);
        if (!block)
            return NULL;
        page = jit_page_new(jc, ram);
        page->ram_block = block;
        page->ram_offset = ram - block->id_base;
    }
    if (page->claim)
        page->settled = !is_any_behind(jc->jit, jc, page->claim);
    else
        claim_page(jc, page);
    return page->settled ? page : NULL;
}

void jit_smc_add_block(JitCpu *jc, JitPage *page, JitBlock *block)
{
    block->page = page;
    block->next_in_page = page->blocks;
    page->blocks = block;
    page->granules |= block->granules;
}

uint32_t jit_smc_next_crossing(const JitCpu *jc)
{
    return jc->free_crossing ? jc->free_crossing - 1 : jc->crossings->len;
}

void jit_smc_add_crossing(JitCpu *jc, JitPage *page, JitCrossing crossing)
{
    uint32_t number = jit_smc_next_crossing(jc);

    crossing.next = page->crossings;
    page->crossings = number + 1;
    if (jc->free_crossing) {
        JitCrossing *place = &g_array_index(jc->crossings, JitCrossing, number);
        jc->free_crossing = place->next;
        *place = crossing;
    } else {
        g_array_append_val(jc->crossings, crossing);
    }
}

static void free_page(JitCpu *jc, JitPage *page)
{
    if (page->claim)
        leave_page(jc, page);
    jit_page_free(page);
}

void jit_smc_forget_all(JitCpu *jc)
{
    for (unsigned i = 0; i < N_PAGE_BUCKETS; i++) {
        while (jc->page_buckets[i]) {
            JitPage *page = jc->page_buckets[i];
            jc->page_buckets[i] = page->next_in_bucket;
            free_page(jc, page);
        }
    }
    memset(jc->fetched, 0, sizeof jc->fetched);
}

/* --- writes ----------------------------------------------------------------------------------- */

void jit_smc_drop_block(JitCpu *jc, JitBlock *block)
{
    JitBlock **at = &block->page->blocks;

    if (!block->valid)
        return;
    while (*at != block)
        at = &(*at)->next_in_page;
    *at = block->next_in_page;
    jit_cache_remove(jc, block);
    jit_count(&jc->statistics.invalidated);
}

/* Which blocks of a page go: */
typedef struct {
    enum { DEPENDING, BEGINNING, OF_REGION } kind;
    uint32_t granules;       /* on or in these */
    const JitRegion *region; /* or all of this one's */
} Choice;

static bool is_chosen(const JitCpu *jc, const Choice *choice, const JitBlock *block)
{
    switch (choice->kind) {
    case DEPENDING: return block->granules & choice->granules;
    case BEGINNING: return choice->granules & granules_of(block->key.ram, 1);
    default: return jit_region_has(jc, choice->region, block);
    }
}

/* Blocks go that end on PAGE, those of instructions that begin on the page before it: all of them,
 * or the region's. */
static void drop_crossings(JitCpu *jc, JitPage *page, const Choice *choice)
{
    for (uint32_t *at = &page->crossings; *at;) {
        JitCrossing *crossing = &g_array_index(jc->crossings, JitCrossing, *at - 1);

        if (choice->kind == OF_REGION && !jit_region_has(jc, choice->region, crossing->block)) {
            at = &crossing->next;
            continue;
        }
        uint32_t number = *at;
        *at = crossing->next;
        crossing->next = jc->free_crossing;
        jc->free_crossing = number;
        if (choice->kind != OF_REGION)
            jit_smc_drop_block(jc, crossing->block);
    }
}

static void drop_blocks(JitCpu *jc, JitPage *page, const Choice *choice)
{
    bool evicted = choice->kind == OF_REGION;
    uint32_t left = 0;

    if (evicted || (choice->kind == DEPENDING && (choice->granules & 1)))
        drop_crossings(jc, page, choice);
    if (page->crossings)
        left |= 1;
    for (JitBlock **at = &page->blocks; *at;) {
        JitBlock *block = *at;
        if (is_chosen(jc, choice, block)) {
            *at = block->next_in_page;
            jit_cache_remove(jc, block);
            jit_count(evicted ? &jc->statistics.evicted : &jc->statistics.invalidated);
        } else {
            left |= block->granules;
            at = &block->next_in_page;
        }
    }
    if (left)
        page->granules = left;
    else
        leave_page(jc, page);
}

void jit_smc_drop_region(JitCpu *jc, const JitRegion *region)
{
    const Choice choice = {OF_REGION, 0, region};

    for (unsigned i = 0; i < N_PAGE_BUCKETS; i++)
        for (JitPage **at = &jc->page_buckets[i]; *at;) {
            JitPage *page = *at;
            if (page->granules)
                drop_blocks(jc, page, &choice);
            if (page->granules || page->interpret) {
                at = &page->next_in_bucket;
                continue;
            }
            *at = page->next_in_bucket;
            free_page(jc, page);
        }
    memset(jc->fetched, 0, sizeof jc->fetched);
}

static void drop_granules(JitCpu *jc, JitPage *page, uint32_t granules)
{
    if (page->claim && !page->granules)
        leave_page(jc, page); /* nothing came of it */
    if (!(page->granules & granules))
        return;
    drop_blocks(jc, page, &(Choice){DEPENDING, granules, NULL});
    if (++page->invalidations >= THRASH_LIMIT) {
        page->invalidations = 0;
        page->interpret = THRASH_INSTRUCTIONS;
    }
}

void jit_forget_offsets(Cpu *cpu, const uint64_t offsets[64])
{
    JitCpu *jc = jit_state(cpu);
    uint32_t granules = 0;

    for (unsigned i = 0; i < 32; i++) /* two words a granule */
        granules |= (uint32_t)((offsets[i * 2] | offsets[i * 2 + 1]) != 0) << i;
    for (unsigned i = 0; jc && i < N_PAGE_BUCKETS; i++)
        for (JitPage *page = jc->page_buckets[i]; page; page = page->next_in_bucket)
            if (page->granules & granules)
                drop_blocks(jc, page, &(Choice){DEPENDING, granules, NULL});
    if (jc)
        jit_cache_forget_targets(jc, 3);
}

/* --- busy code -------------------------------------------------------------------------------- */

/* The blocks that begin in GRANULES are translated anew when they are next entered: by their old
 * entries, which then lead on, so that nothing else has to be forgotten. */
static void translate_again(JitCpu *jc, JitPage *page, uint32_t granules)
{
    drop_blocks(jc, page, &(Choice){BEGINNING, granules, NULL});
}

void jit_smc_sample(JitCpu *jc, uint64_t ram, unsigned first, unsigned last)
{
    JitPage *page = jit_page_find(jc, ram);
    uint32_t busy = 0;

    if (!page || !page->granules)
        return;
    for (unsigned i = first >> GRANULE_SHIFT; i <= last >> GRANULE_SHIFT; i++)
        if (!(page->busy >> i & 1) && ++page->samples[i] == BUSY_SAMPLES)
            busy |= 1u << i;
    page->busy |= busy;
    if (busy)
        translate_again(jc, page, busy);
}

void jit_smc_give_up_sites(JitCpu *jc, JitBlock *block)
{
    uint32_t granule = granules_of(block->key.ram, 1);
    JitPage *page = block->page;

    if (!block->valid || (page->no_sites & granule))
        return;
    page->no_sites |= granule;
    translate_again(jc, page, granule);
}

bool jit_smc_is_busy(const JitCpu *jc, const JitPage *page, uint64_t ram)
{
    return jc->jit->options.tier_2 || (page->busy & granules_of(ram, 1));
}

bool jit_smc_wants_sites(const JitPage *page, uint64_t ram)
{
    return !(page->no_sites & granules_of(ram, 1));
}

/* --- writes from elsewhere -------------------------------------------------------------------- */

/* Pieces of [OFFSET, OFFSET + LENGTH) page by page. */
static void drop_range(JitCpu *jc, const RamBlock *block, uint64_t offset, uint64_t length)
{
    while (length) {
        uint64_t n = MIN(length, GUEST_PAGE_SIZE - (offset & 0xfff));
        JitPage *page = jit_page_find(jc, block->id_base + (offset & GUEST_PAGE_MASK));
        if (page)
            drop_granules(jc, page, granules_of(offset, n));
        offset += n;
        length -= n;
    }
}

bool jit_smc_store_is_plain(JitCpu *jc, const RamBlock *block, uint64_t offset, unsigned length)
{
    if (jc->jit->cpus->len > 1)
        return false; /* others' granules are not to be looked at from here */
    const JitPage *page = jit_page_find(jc, block->id_base + (offset & GUEST_PAGE_MASK));
    return !page || !(page->granules & granules_of(offset, length));
}

/* mmu_code_store_hook: this vCPU wrote. */
static void on_store(Cpu *cpu, RamBlock *block, uint64_t offset, unsigned length)
{
    JitCpu *jc = jit_state(cpu);

    if (!jc)
        return;
    drop_range(jc, block, offset, length);
    if (jc->jit->cpus->len > 1)
        for (uint64_t at = offset & GUEST_PAGE_MASK; at < offset + length; at += GUEST_PAGE_SIZE) {
            uint64_t first = MAX(at, offset), end = MIN(at + GUEST_PAGE_SIZE, offset + length);
            tell_others(jc->jit, jc, block->id_base + at, granules_of(first, end - first));
        }
}

void jit_code_written(Jit *jit, RamBlock *block, uint64_t offset, uint64_t length)
{
    for (uint64_t at = offset & GUEST_PAGE_MASK; at < offset + length; at += GUEST_PAGE_SIZE) {
        uint64_t first = MAX(at, offset), end = MIN(at + GUEST_PAGE_SIZE, offset + length);
        tell_others(jit, NULL, block->id_base + at, granules_of(first, end - first));
    }
}

void jit_take_notes(Cpu *cpu)
{
    JitCpu *jc = jit_state(cpu);

    if (!jc || !atomic_load(&jc->oldest_stale))
        return;
    g_mutex_lock(&jc->stale_lock);
    GArray *notes = jc->stale;
    jc->stale = g_array_new(FALSE, FALSE, sizeof(JitStale));
    atomic_store(&jc->oldest_stale, 0);
    g_mutex_unlock(&jc->stale_lock);

    for (guint i = 0; i < notes->len; i++) {
        const JitStale *note = &g_array_index(notes, JitStale, i);
        if (note->granules != ONLY_STORES) {
            JitPage *page = jit_page_find(jc, note->ram);
            if (page)
                drop_granules(jc, page, note->granules);
            continue;
        }
        RamBlock *block = ram_block_find(cpu->memory, note->ram);
        mmu_flush_stores_to(cpu, block->host + (note->ram - block->id_base));
    }
    g_array_unref(notes);
}

/* mmu_fetch_flush_hook: RIP may now mean other code. */
JIT_VECTOR_SAFE static void on_fetch_flush(Cpu *cpu, unsigned sets)
{
    JitCpu *jc = jit_state(cpu);

    if (!jc)
        return;
    jit_cache_forget_targets(jc, sets);
    for (unsigned set = 0; set < 2; set++)
        if ((sets >> set & 1) && cpu->jit[SLOT_EPOCH + set]++ == INT32_MAX) {
            cpu->jit[SLOT_EPOCH + set] = 0;
            jc->flush_first = true;
        }
    jc->leave = true;
}

void jit_smc_install(void)
{
    mmu_code_store_hook = on_store;
    mmu_fetch_flush_hook = on_fetch_flush;
}
