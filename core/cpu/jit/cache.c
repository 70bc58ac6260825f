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

/* RIP that no branch has: not canonical. */
#define NO_RIP UINT64_C(0x8000000000000001)

JIT_VECTOR_SAFE static void clear_targets(JitContext *context)
{
    for (unsigned i = 0; i < N_TARGETS; i++)
        context->targets[i].rip = NO_RIP;
    context->dirty = false;
}

/* --- memory ----------------------------------------------------------------------------------- */

static bool map_cache(JitCpu *jc, size_t size)
{
    jc->fd = memfd_create("apiary-code", MFD_CLOEXEC);
    if (jc->fd < 0 || ftruncate(jc->fd, (off_t)size) < 0)
        return false;
    jc->size = size;
    void *rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, jc->fd, 0);
    if (rw == MAP_FAILED)
        return false;
    jc->rw = rw;
    void *rx = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, jc->fd, 0);
    if (rx == MAP_FAILED)
        return false;
    jc->rx = rx;
    return true;
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
    jc->blocks_by_address = g_array_new(FALSE, FALSE, sizeof(JitBlock *));
    jc->exits = g_array_new(FALSE, FALSE, sizeof(JitExit));
    jc->traps = g_array_new(FALSE, FALSE, sizeof(JitTrap));
    jc->stale = g_array_new(FALSE, FALSE, sizeof(JitStale));
    g_mutex_init(&jc->stale_lock);
    for (unsigned i = 0; i < N_CONTEXTS; i++) {
        jc->contexts[i].targets = g_new(JitTarget, N_TARGETS);
        clear_targets(&jc->contexts[i]);
    }

    Emit e = {jc->rw};
    jit_emit_stubs(jc, &e);
    jc->stubs_end = jc->hot = e.p;
    jc->cold = jc->rw + jc->size / 2;
    jc->statistics.cache_bytes = jc->size;
    return jc;
}

void jit_cpu_free(JitCpu *jc)
{
    if (!jc)
        return;
    jit_cache_flush(jc);
    for (unsigned i = 0; i < N_CONTEXTS; i++)
        g_free(jc->contexts[i].targets);
    g_array_unref(jc->blocks_by_address);
    g_array_unref(jc->exits);
    g_array_unref(jc->traps);
    g_array_unref(jc->stale);
    g_mutex_clear(&jc->stale_lock);
    unmap_cache(jc);
    g_free(jc);
}

/* Nothing of the cache is running: the thread is in C and will not return to a block. */
void jit_cache_flush(JitCpu *jc)
{
    jit_smc_forget_all(jc);
    for (guint i = 0; i < jc->blocks_by_address->len; i++)
        g_free(g_array_index(jc->blocks_by_address, JitBlock *, i));
    g_array_set_size(jc->blocks_by_address, 0);
    g_array_set_size(jc->exits, 0);
    g_array_set_size(jc->traps, 0);
    memset(jc->buckets, 0, sizeof jc->buckets);
    jit_cache_forget_targets(jc, 3);
    jc->hot = jc->stubs_end;
    jc->cold = jc->rw + jc->size / 2;
    jc->generation++;
    jc->statistics.flushes++;
}

/* --- blocks ----------------------------------------------------------------------------------- */

JIT_VECTOR_SAFE static unsigned bucket_of(const JitKey *key)
{
    uint64_t hash = (key->ram ^ (uint64_t)key->mode << 20 ^ key->eip_base) * 0x9e3779b97f4a7c15ull;

    return hash >> (64 - 17);
}

JIT_VECTOR_SAFE JitBlock *jit_cache_find(JitCpu *jc, const JitKey *key)
{
    for (JitBlock *block = jc->buckets[bucket_of(key)]; block; block = block->next_in_bucket)
        if (jit_key_equal(&block->key, key))
            return block;
    return NULL;
}

void jit_cache_insert(JitCpu *jc, JitBlock *block)
{
    JitBlock **bucket = &jc->buckets[bucket_of(&block->key)];

    block->next_in_bucket = *bucket;
    *bucket = block;
    block->valid = true;
    g_array_append_val(jc->blocks_by_address, block);
}

/* Takes BLOCK out of every way in. Its code stays until the next flush; entering it leads out
 * again. */
void jit_cache_remove(JitCpu *jc, JitBlock *block)
{
    for (JitBlock **at = &jc->buckets[bucket_of(&block->key)]; *at; at = &(*at)->next_in_bucket) {
        if (*at == block) {
            *at = block->next_in_bucket;
            break;
        }
    }
    Emit e = {block->entry};
    emit_call(&e, jc->stub_dead);
    block->valid = false;
    jc->leave = true;
    jc->statistics.invalidated++;
}

/* The block whose hot code holds RW. */
JIT_VECTOR_SAFE JitBlock *jit_cache_block_at(JitCpu *jc, const uint8_t *rw)
{
    JitBlock **blocks = (JitBlock **)jc->blocks_by_address->data;
    unsigned low = 0, high = jc->blocks_by_address->len;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        JitBlock *block = blocks[middle];
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
    context = &jc->contexts[jc->next_context++ % N_CONTEXTS];
    if (context->dirty)
        clear_targets(context);
    context->in_use = true;
    context->mode = mode;
    context->base = base;
    context->limit = limit;
    return context;
}

JIT_VECTOR_SAFE void jit_cache_forget_targets(JitCpu *jc, unsigned sets)
{
    for (unsigned i = 0; i < N_CONTEXTS; i++) {
        JitContext *context = &jc->contexts[i];
        unsigned set = (context->mode & MODE_CPL) == MODE_CPL ? 2 : 1;
        if ((sets & set) && context->in_use && context->dirty)
            clear_targets(context);
    }
}
