/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Built with -mgeneral-regs-only: guest vectors may be live in the host's registers. */

#include "core/cpu/fetched.h"

enum { INDEX_MASK = 2 * N_FETCHED_PAGES - 1 };

/* The slot of LINEAR's page in the index, or the free one where it would be. */
static unsigned find_slot(const FetchedPages *fetched, uint64_t linear)
{
    uint64_t page = linear >> GUEST_PAGE_SHIFT;
    unsigned slot = (page ^ page >> 14) & INDEX_MASK;

    while (fetched->index[slot] &&
           (fetched->pages[fetched->index[slot] - 1].linear ^ linear) >> GUEST_PAGE_SHIFT)
        slot = (slot + 1) & INDEX_MASK;
    return slot;
}

static void append(FetchedPages *fetched, FetchedPage page)
{
    unsigned slot = find_slot(fetched, page.linear);

    page.slot = (uint16_t)slot;
    fetched->pages[fetched->n++] = page;
    fetched->index[slot] = (uint16_t)fetched->n;
    fetched->n_non_global += !page.global;
    fetched->n_large += page.large;
}

void fetched_note(Cpu *cpu, unsigned set, uint64_t linear, uint64_t ram, const PageWalk *walk)
{
    FetchedPages *fetched = &cpu->fetched[set];
    FetchedPage page = {linear & GUEST_PAGE_MASK, ram, walk->global, walk->large, 0};
    unsigned known = fetched->index[find_slot(fetched, linear)];

    if (known && fetched->pages[known - 1].ram == ram &&
        fetched->pages[known - 1].global == page.global &&
        fetched->pages[known - 1].large == page.large)
        return;
    if (!known && fetched->n < N_FETCHED_PAGES) {
        append(fetched, page);
        return;
    }
    fetched->overflow[page.global] = true;
    /* Known otherwise: the guest has not flushed yet. */
    if (known)
        fetched->overflow[fetched->pages[known - 1].global] = true;
}

static void forget(FetchedPages *fetched, bool keep_global)
{
    unsigned n = fetched->n;

    for (unsigned i = 0; i < n; i++)
        fetched->index[fetched->pages[i].slot] = 0;
    fetched->n = fetched->n_non_global = fetched->n_large = 0;
    fetched->overflow[0] = false;
    if (!keep_global)
        fetched->overflow[1] = false;
    for (unsigned i = 0; i < n && keep_global; i++)
        if (fetched->pages[i].global)
            append(fetched, fetched->pages[i]);
}

/* Whether a fetch from PAGE leads where it did, by the tables as they are. */
static bool still_leads(Cpu *cpu, unsigned set, const FetchedPage *page)
{
    PageWalk walk;
    MemoryTarget target;

    return paging_walk_again(cpu, page->linear, set ? MMU_USER : MMU_SUPERVISOR, ACCESS_FETCH,
                             &walk) &&
           paging_find_page(cpu, walk.physical, &target) && target.block &&
           target.block->id_base + target.block_offset == page->ram &&
           walk.global == page->global && walk.large == page->large;
}

bool fetched_flush(Cpu *cpu, unsigned set, bool keep_global)
{
    FetchedPages *fetched = &cpu->fetched[set];
    bool changed = fetched->overflow[0] || (fetched->overflow[1] && !keep_global);

    if (keep_global && !fetched->n_non_global && !changed)
        return false;
    for (unsigned i = 0; i < fetched->n && !changed; i++) {
        const FetchedPage *page = &fetched->pages[i];
        if (!(keep_global && page->global))
            changed = !still_leads(cpu, set, page);
    }
    if (changed)
        forget(fetched, keep_global);
    return changed;
}

bool fetched_flush_page(Cpu *cpu, unsigned set, uint64_t linear)
{
    FetchedPages *fetched = &cpu->fetched[set];
    unsigned known = fetched->index[find_slot(fetched, linear)];
    bool changed = fetched->overflow[0] || fetched->overflow[1];

    if (known && !changed)
        changed = !still_leads(cpu, set, &fetched->pages[known - 1]);
    /* Other pieces of the same large page, whichever size that has. */
    for (unsigned i = 0; i < fetched->n && fetched->n_large && !changed; i++) {
        const FetchedPage *page = &fetched->pages[i];
        if (page->large && !((page->linear ^ linear) >> 30))
            changed = !still_leads(cpu, set, page);
    }
    if (changed)
        forget(fetched, false);
    return changed;
}
