/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A vCPU's code cache: memory that is written at one address and executed at another, the blocks
 * in it, and the tables by which indirect branches find them.
 *
 * Each vCPU has its own: no code is ever patched under another thread's feet, and blocks are freed
 * without epochs. The price, translating shared code once a vCPU, is paid once.
 */

#include "core/cpu/jit/jit-internal.h"

#include <errno.h>
#include <gio/gio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Hot and cold code get so much of the cache at a time. */
#define PIECE_BYTES ((size_t)1 << 20)

#define LARGE_PAGE  ((size_t)2 << 20)

enum { ALL_SETS = (1 << N_MMU) - 1 };

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
    uint8_t *place =
        (uint8_t *)(((uintptr_t)space + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1));
    if (mmap(place, size, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        return NULL;
    (void)madvise(place, size, MADV_HUGEPAGE);
    return place;
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

/* Zeroes that take no memory until they are used. */
static JitTarget *new_targets(void)
{
    void *targets =
        mmap(NULL, TARGETS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (targets == MAP_FAILED)
        g_error("Cannot get memory for a table of branch targets: %s", g_strerror(errno));
    return targets;
}

/* The first pieces of an empty cache. */
static void hand_out_pieces(JitCpu *jc)
{
    jc->hot = jc->stubs_end;
    jc->hot_end = jc->rw + jc->piece;
    jc->cold = jc->hot_end;
    jc->cold_end = jc->unused = jc->cold + jc->piece;
}

JitCpu *jit_cpu_new(Jit *jit, Cpu *cpu)
{
    JitCpu *jc = g_new0(JitCpu, 1);

    jc->jit = jit;
    jc->cpu = cpu;
    if (!map_cache(jc, jit->options.cache_bytes)) {
        g_warning("Cannot get %zu MiB for translated code: %s. Interpreting instead.",
                  jit->options.cache_bytes >> 20, g_strerror(errno));
        unmap_cache(jc);
        g_free(jc);
        return NULL;
    }
    jc->exits = g_array_new(FALSE, FALSE, sizeof(JitExit));
    jc->far_links = g_array_new(FALSE, FALSE, sizeof(JitFarLink));
    jc->traps = g_array_new(FALSE, FALSE, sizeof(JitTrap));
    jc->crossings = g_array_new(FALSE, FALSE, sizeof(JitCrossing));
    jc->stale = g_array_new(FALSE, FALSE, sizeof(JitStale));
    g_mutex_init(&jc->stale_lock);
    for (unsigned i = 0; i < N_CONTEXTS; i++) {
        jc->contexts[i].targets = new_targets();
        clear_line(&jc->contexts[i], 0);
    }

    Emit e = {jc->rw};
    jit_emit_stubs(jc, &e);
    jc->stubs_end = e.p;
    jc->piece = MIN(PIECE_BYTES, jc->size / 8);
    hand_out_pieces(jc);
    jc->statistics.cache_bytes = jc->size;
    return jc;
}

void jit_cpu_free(JitCpu *jc)
{
    if (!jc)
        return;
    jit_smc_forget_all(jc);
    for (unsigned i = 0; i < N_CONTEXTS; i++)
        munmap(jc->contexts[i].targets, TARGETS_BYTES);
    for (unsigned i = 0; i < MAX_CHUNKS; i++)
        g_free(jc->chunks[i]);
    g_array_unref(jc->exits);
    g_array_unref(jc->far_links);
    g_array_unref(jc->traps);
    g_array_unref(jc->crossings);
    g_array_unref(jc->stale);
    g_mutex_clear(&jc->stale_lock);
    unmap_cache(jc);
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
    jc->n_blocks = 0;
    memset(jc->site_owners, 0, sizeof jc->site_owners);
    g_array_set_size(jc->exits, 0);
    g_array_set_size(jc->far_links, 0);
    g_array_set_size(jc->traps, 0);
    g_array_set_size(jc->crossings, 0);
    jit_cache_forget_targets(jc, 3);
    unpin_contexts(jc);
    hand_out_pieces(jc);
    jc->flush_first = false;
    jc->generation++;
    jit_count(&jc->statistics.flushes);
}

/* --- blocks ----------------------------------------------------------------------------------- */

enum {
    HOT_MARGIN = 64 * 512, /* more than any block takes */
    COLD_MARGIN = 64 * 512,
};

/* Whether MARGIN bytes at *AT are before *END, perhaps in another piece. */
static bool make_room(JitCpu *jc, uint8_t **at, uint8_t **end, size_t margin)
{
    if (*at + margin <= *end)
        return true;
    if (jc->unused + jc->piece > jc->rw + jc->size)
        return false;
    *at = jc->unused;
    *end = jc->unused += jc->piece;
    return true;
}

bool jit_cache_has_room(JitCpu *jc)
{
    return make_room(jc, &jc->hot, &jc->hot_end, HOT_MARGIN) &&
           make_room(jc, &jc->cold, &jc->cold_end, COLD_MARGIN) &&
           jc->n_blocks < MAX_CHUNKS * CHUNK;
}

JitBlock *jit_cache_new_block(JitCpu *jc)
{
    if (!jit_cache_has_room(jc))
        jit_cache_flush(jc);
    JitBlock **chunk = &jc->chunks[jc->n_blocks / CHUNK];
    if (!*chunk)
        *chunk = g_new(JitBlock, CHUNK);
    JitBlock *block = &(*chunk)[jc->n_blocks % CHUNK];
    memset(block, 0, sizeof *block);
    return block;
}

void jit_cache_insert(JitCpu *jc, JitPage *page, JitBlock *block)
{
    block->valid = true;
    jit_smc_add_block(jc, page, block);
    jit_page_insert(jc, page, jc->n_blocks++);
}

/* Takes BLOCK out of every way in. Its code stays until the next flush; entering it leads out
 * again. */
void jit_cache_remove(JitCpu *jc, JitBlock *block)
{
    jit_page_remove(jc, block->page, block);
    jit_unlink_far(jc, block);
    Emit e = {block->entry};
    emit_call(&e, jc->stub_dead);
    e.p = block->indirect_entry;
    emit_jmp(&e, jc->stub_target);
    block->valid = false;
    jc->leave = true;
    jit_count(&jc->statistics.invalidated);
}

/* The block whose hot code holds RW. */
JIT_VECTOR_SAFE JitBlock *jit_cache_block_at(JitCpu *jc, const uint8_t *rw)
{
    unsigned low = 0, high = jc->n_blocks;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        JitBlock *block = jit_block_number(jc, middle);
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
    jit_cache_forget_returns(jc, ALL_SETS); /* it may have been the current one's */
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

    for (; sets; sets &= sets - 1) {
        ReturnRing *returns = &jc->cpu->returns[__builtin_ctz(sets)];
        for (unsigned i = 0; i < N_RETURNS; i++) {
            returns->rip[i] = 0;
            returns->code[i] = look_up;
        }
    }
}

JIT_VECTOR_SAFE void jit_cache_forget_targets(JitCpu *jc, unsigned sets)
{
    jit_cache_forget_returns(jc, ALL_SETS);
    for (unsigned i = 0; i < N_CONTEXTS; i++) {
        JitContext *context = &jc->contexts[i];
        unsigned set = (context->mode & MODE_CPL) == MODE_CPL ? 2 : 1;
        if ((sets & set) && context->used)
            clear_targets(context);
    }
}
