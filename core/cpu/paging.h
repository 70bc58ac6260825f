/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The page walk (SDM chapter 4), used by mmu.c, and what it asks first, the second-level TLB.
 * Vector-safe. */

#include "core/cpu/mmu.h"

typedef struct {
    uint64_t physical; /* of the byte asked for */
    uint32_t error;    /* #PF error code when the walk failed */
    bool writable;     /* a store of this kind of access is allowed */
    bool dirty;        /* D is set: later stores need no walk */
    bool global;
    bool large; /* part of a page above 4 KiB, */
    bool huge;  /* above 4 MiB */
} PageWalk;

/* Translates LINEAR for an access with the rights of MMU set SET (a fetch: MMU_SUPERVISOR or
 * MMU_USER): as the second-level TLB remembers or by walking, setting A and D bits. False: a page
 * fault, see error. */
bool paging_walk(Cpu *cpu, uint64_t linear, unsigned set, MmuAccess access, PageWalk *walk);

/* The same for a read or fetch, without setting A: false also where it is not set. */
bool paging_walk_again(Cpu *cpu, uint64_t linear, unsigned set, MmuAccess access, PageWalk *walk);

/* The same without checks of rights and without A and D. */
bool paging_walk_debug(Cpu *cpu, uint64_t linear, PageWalk *walk);

/* memory_lookup() of a whole RAM or ROM page; false for everything else. */
bool paging_find_page(Cpu *cpu, uint64_t physical, MemoryTarget *target);

/* The current PCID (SDM 4.10.1). */
static inline unsigned paging_pcid(const Cpu *cpu)
{
    return cpu->cr4 & CR4_PCIDE ? cpu->cr3 & 0xfff : 0;
}

static inline uint64_t paging_a20(const Cpu *cpu, uint64_t physical)
{
    return cpu->a20_mask_off ? physical : physical & ~(1ull << 20);
}
