/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Guest pages with translations, and the look-up of a block among those of its page: what runs
 * together is found in the same few cache lines.
 */

#include "core/cpu/jit/jit-internal.h"

enum { FIRST_SLOTS = 8 };

/* --- pages ------------------------------------------------------------------------------------ */

JIT_VECTOR_SAFE static JitPage **bucket_of(JitCpu *jc, uint64_t ram)
{
    return &jc->page_buckets[(ram >> GUEST_PAGE_SHIFT) % N_PAGE_BUCKETS];
}

JIT_VECTOR_SAFE JitPage *jit_page_find(JitCpu *jc, uint64_t ram)
{
    JitPage *page = *bucket_of(jc, ram);

    while (page && page->ram != ram)
        page = page->next_in_bucket;
    return page;
}

JitPage *jit_page_new(JitCpu *jc, uint64_t ram)
{
    JitPage *page = g_new0(JitPage, 1);

    page->ram = ram;
    page->next_in_bucket = *bucket_of(jc, ram);
    *bucket_of(jc, ram) = page;
    return page;
}

void jit_page_free(JitPage *page)
{
    g_free(page->slots);
    g_free(page);
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* Of what KEY says besides the place. */
JIT_VECTOR_SAFE static uint16_t tag_of(const JitKey *key)
{
    uint32_t rest = key->mode ^ key->eip_base ^ key->limit << 8;

    return (uint16_t)(rest ^ rest >> 16);
}

JIT_VECTOR_SAFE static unsigned first_slot(const JitPage *page, unsigned offset, unsigned tag)
{
    return ((offset ^ tag) * 0x9e3779b1u >> 16) & page->slot_mask;
}

/* The slot of a block whose key is KEY, and which is BLOCK unless that is NULL. */
JIT_VECTOR_SAFE static JitSlot *find_slot(JitCpu *jc, const JitPage *page, const JitKey *key,
                                          const JitBlock *block)
{
    uint16_t offset = key->ram & 0xfff, tag = tag_of(key);

    if (!page->slots)
        return NULL;
    for (unsigned i = first_slot(page, offset, tag);; i = (i + 1) & page->slot_mask) {
        JitSlot *slot = &page->slots[i];
        if (slot->offset == EMPTY_SLOT)
            return NULL;
        if (slot->offset != offset || slot->tag != tag)
            continue;
        JitBlock *found = jit_block(jc, slot->number);
        if (block ? found == block : jit_key_equal(&found->key, key))
            return slot;
    }
}

bool jit_page_has_block(JitCpu *jc, const JitPage *page, unsigned offset, const JitBlock *block)
{
    JitKey key = block->key;

    if (!(page->begun[offset / 64] >> (offset % 64) & 1))
        return false;
    key.ram = (key.ram & GUEST_PAGE_MASK) + offset;
    key.mode &= ~KEY_UNGROUPED;
    return find_slot(jc, page, &key, NULL);
}

JIT_VECTOR_SAFE JitBlock *jit_page_fetched_block(JitCpu *jc, unsigned set, unsigned i,
                                                 const JitKey *key)
{
    uint64_t ram = key->ram & GUEST_PAGE_MASK;
    JitPage *page = jc->fetched[set][i];

    if (!page || page->ram != ram) {
        page = jit_page_find(jc, ram);
        jc->fetched[set][i] = page;
    }
    const JitSlot *slot = page ? find_slot(jc, page, key, NULL) : NULL;
    return slot ? jit_block(jc, slot->number) : NULL;
}

static void put_slot(JitPage *page, JitSlot slot)
{
    unsigned i = first_slot(page, slot.offset, slot.tag);

    while (page->slots[i].offset != EMPTY_SLOT)
        i = (i + 1) & page->slot_mask;
    page->slots[i] = slot;
    page->slots_used++;
}

/* Makes room for another slot, at most two of three being used; those deleted go. */
static void make_room(JitPage *page)
{
    JitSlot *old = page->slots;
    unsigned n_old = old ? page->slot_mask + 1 : 0, left = 0;

    if ((page->slots_used + 1) * 3 <= n_old * 2)
        return;
    for (unsigned i = 0; i < n_old; i++)
        left += old[i].offset < DELETED_SLOT;
    unsigned n = FIRST_SLOTS;
    while (n < (left + 1) * 2)
        n *= 2;
    page->slots = g_new(JitSlot, n);
    page->slot_mask = n - 1;
    page->slots_used = 0;
    for (unsigned i = 0; i < n; i++)
        page->slots[i].offset = EMPTY_SLOT;
    for (unsigned i = 0; i < n_old; i++)
        if (old[i].offset < DELETED_SLOT)
            put_slot(page, old[i]);
    g_free(old);
}

void jit_page_insert(JitCpu *jc, JitPage *page, uint32_t number)
{
    const JitKey *key = &jit_block(jc, number)->key;
    unsigned offset = key->ram & 0xfff;

    make_room(page);
    put_slot(page, (JitSlot){(uint16_t)offset, tag_of(key), number});
    page->begun[offset / 64] |= UINT64_C(1) << offset % 64;
}

void jit_page_remove(JitCpu *jc, JitPage *page, const JitBlock *block)
{
    JitSlot *slot = find_slot(jc, page, &block->key, block);

    if (slot)
        slot->offset = DELETED_SLOT;
}
