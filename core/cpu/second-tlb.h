/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The second-level TLB: results of page walks (paging.c) with the PCID that they were made under,
 * so that the soft TLB, which knows no PCIDs, is filled again without a walk when the guest comes
 * back to an address space whose entries it has kept (SDM 3, 4.10). Of 4-level paging only:
 * elsewhere CR4.PCIDE cannot be set. Global pages are not in it, since the soft TLB keeps them.
 *
 * A page of any size is one entry. It says what the tables allow, not what an access may do: the
 * caller holds that against CR0, CR4 and the kind of access each time.
 *
 * Pages are taken in from when the guest first comes back to a PCID. Most address spaces die before
 * that, and the memory that their entries would touch costs more than they save.
 *
 * On the vCPU's own thread. Nothing fails. Vector-safe. Memory of zeros is an empty table.
 */

#include <stdbool.h>
#include <stdint.h>

enum { SECOND_TLB_ENTRIES = 4096, N_PCIDS = 4096 };

typedef struct {
    uint64_t key;     /* 0: empty; see second-tlb.c */
    uint64_t mapping; /* SecondTlbPage.mapping */
} SecondTlbEntry;

typedef struct {
    _Alignas(64) SecondTlbEntry entries[SECOND_TLB_ENTRIES];
    /* What is in the table belongs to a tag, which stands for a PCID's pages. A PCID is emptied by
     * taking its tag away: tags count up, and those below `oldest` are void. */
    uint32_t tag_of[N_PCIDS];
    uint32_t newest, oldest;
    uint8_t sizes[2]; /* in the lower and the upper half of linear memory: a bit a size of page */
    bool tiny;        /* a few entries only */
    uint64_t n_hits;  /* accesses that missed the soft TLB and were answered here */
} SecondTlb;

/* A page as the tables have it. */
typedef struct {
    uint64_t mapping; /* a frame's address, aligned to the page, and bits of paging entries
                         elsewhere (62:52, 63, 11:0): the caller's */
    unsigned shift;   /* log2 of its size: 12, 21 or 30 */
    bool global;
} SecondTlbPage;

/* The page of LINEAR under PCID. False: not known. */
bool second_tlb_find(const SecondTlb *tlb, unsigned pcid, uint64_t linear, SecondTlbPage *page);
/* Takes in PAGE, which LINEAR is in, if PCID's pages are taken in and it is not global. */
void second_tlb_add(SecondTlb *tlb, unsigned pcid, uint64_t linear, const SecondTlbPage *page);
/* PCID becomes the current one again, and what is known of it stays. From now on its pages are
 * taken in. */
void second_tlb_keep(SecondTlb *tlb, unsigned pcid);

/* Of whatever size, PCID's page that LINEAR is in goes. */
void second_tlb_drop_page(SecondTlb *tlb, unsigned pcid, uint64_t linear);
/* All of PCID's go; everything goes. */
void second_tlb_drop_pcid(SecondTlb *tlb, unsigned pcid);
void second_tlb_drop_all(SecondTlb *tlb);
