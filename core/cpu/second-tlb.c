/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Built with -mgeneral-regs-only: guest vectors may be live in the host's registers. */

#include "core/cpu/second-tlb.h"

/* An entry's key, from bit 0: the tag, the size's number, bits 47:12 of the page's address. */
enum { N_SIZES = 3 };
enum { LAST_TAG = (1 << 26) - 1, SIZE_AT = 26, PAGE_AT = 28 };

/* --- tags ---------------------------------------------------------------------------------------
 */

/* The tag of PCID's pages, 0 if none are taken in. */
static inline uint32_t tag_of(const SecondTlb *tlb, unsigned pcid)
{
    uint32_t tag = tlb->tag_of[pcid];

    return tag >= tlb->oldest ? tag : 0;
}

static void empty(SecondTlb *tlb)
{
    for (unsigned i = 0; i < SECOND_TLB_ENTRIES; i++)
        tlb->entries[i].key = 0;
    for (unsigned i = 0; i < N_PCIDS; i++)
        tlb->tag_of[i] = 0;
    tlb->newest = 0;
    second_tlb_drop_all(tlb);
}

/* --- finding ------------------------------------------------------------------------------------
 */

static inline unsigned shift_of(unsigned size)
{
    return 12 + 9 * size;
}

static inline uint64_t key_of(uint32_t tag, unsigned size, uint64_t linear)
{
    uint64_t page = linear << 16 >> (16 + shift_of(size)) << shift_of(size);

    return page << (PAGE_AT - 12) | (uint64_t)size << SIZE_AT | tag;
}

/* The only entry where the page may be. Neighbours share a line of the host's cache: walks mostly
 * come for some of them together, and a line that is not there costs as much as a walk. So an entry
 * is made without looking at what else might be there. */
static inline unsigned index_of(const SecondTlb *tlb, uint32_t tag, unsigned size, uint64_t linear)
{
    enum { IN_LINE = 64 / sizeof(SecondTlbEntry), LINES = SECOND_TLB_ENTRIES / IN_LINE, FEW = 4 };
    uint64_t page = linear << 16 >> (16 + shift_of(size)), group = page / IN_LINE;
    uint64_t line = ((group ^ group >> 10) + tag * UINT64_C(0x9e5)) % (tlb->tiny ? FEW : LINES);

    return (unsigned)(line * IN_LINE + page % IN_LINE);
}

static inline uint8_t sizes_at(const SecondTlb *tlb, uint64_t linear)
{
    return tlb->sizes[linear >> 47 & 1];
}

bool second_tlb_find(const SecondTlb *tlb, unsigned pcid, uint64_t linear, SecondTlbPage *page)
{
    uint32_t tag = tag_of(tlb, pcid);

    for (unsigned sizes = tag ? sizes_at(tlb, linear) : 0; sizes; sizes &= sizes - 1) {
        unsigned size = (unsigned)__builtin_ctz(sizes);
        const SecondTlbEntry *entry = &tlb->entries[index_of(tlb, tag, size, linear)];
        if (entry->key == key_of(tag, size, linear)) {
            *page = (SecondTlbPage){entry->mapping, shift_of(size), false};
            return true;
        }
    }
    return false;
}

/* --- changing -----------------------------------------------------------------------------------
 */

void second_tlb_add(SecondTlb *tlb, unsigned pcid, uint64_t linear, const SecondTlbPage *page)
{
    unsigned size = (page->shift - 12) / 9;
    uint32_t tag = tag_of(tlb, pcid);

    if (!tag || page->global)
        return;
    tlb->entries[index_of(tlb, tag, size, linear)] =
        (SecondTlbEntry){key_of(tag, size, linear), page->mapping};
    tlb->sizes[linear >> 47 & 1] |= (uint8_t)(1u << size);
}

void second_tlb_keep(SecondTlb *tlb, unsigned pcid)
{
    if (tag_of(tlb, pcid))
        return;
    if (tlb->newest == LAST_TAG)
        empty(tlb);
    tlb->tag_of[pcid] = ++tlb->newest;
}

void second_tlb_drop_page(SecondTlb *tlb, unsigned pcid, uint64_t linear)
{
    uint32_t tag = tag_of(tlb, pcid);

    for (unsigned sizes = tag ? sizes_at(tlb, linear) : 0; sizes; sizes &= sizes - 1) {
        unsigned size = (unsigned)__builtin_ctz(sizes);
        SecondTlbEntry *entry = &tlb->entries[index_of(tlb, tag, size, linear)];
        if (entry->key == key_of(tag, size, linear))
            entry->key = 0;
    }
}

void second_tlb_drop_pcid(SecondTlb *tlb, unsigned pcid)
{
    tlb->tag_of[pcid] = 0;
}

void second_tlb_drop_all(SecondTlb *tlb)
{
    tlb->oldest = tlb->newest + 1;
    tlb->sizes[0] = tlb->sizes[1] = 0;
}
