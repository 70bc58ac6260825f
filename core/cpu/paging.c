/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The page walk: 32-bit, PAE and 4-level paging, SDM volume 3 chapter 4.
 *
 * Rights are checked first and A/D bits set afterwards, by compare-exchange on guest memory; if an
 * entry changed in between the walk starts over. So a fault leaves the tables as they were.
 *
 * Built with -mgeneral-regs-only: guest vectors may be live in the host's registers.
 */

#include "core/cpu/paging.h"

#include "core/cpu/cpuid.h"
#include "core/cpu/lockstep.h"

#define PTE_P         (1ull << 0)
#define PTE_W         (1ull << 1)
#define PTE_U         (1ull << 2)
#define PTE_A         (1ull << 5)
#define PTE_D         (1ull << 6)
#define PTE_PS        (1ull << 7)
#define PTE_G         (1ull << 8)
#define PTE_NX        (1ull << 63)

#define PHYSICAL_MASK ((1ull << CPUID_PHYSICAL_BITS) - 1)
#define FRAME_MASK    (PHYSICAL_MASK & ~0xfffull)
/* Bits 51:MAXPHYADDR of an 8-byte entry. */
#define RESERVED_HIGH (((1ull << 52) - 1) & ~PHYSICAL_MASK)

/* A walk is repeated when another processor changes the entries under it; past this many tries
 * the guest is rewriting them in a loop and the A/D update is left out. */
#define MAX_RETRIES   64

enum { MAX_LEVELS = 4 };

/* One paging-structure entry as read, and where it lives. */
typedef struct {
    uint64_t value;
    uint8_t *host; /* NULL: not in RAM */
    RamBlock *block;
    uint64_t block_offset;
} Entry;

bool paging_find_page(Cpu *cpu, uint64_t physical, MemoryTarget *target)
{
    uint64_t page = physical & GUEST_PAGE_MASK;
    typeof(*cpu->page_cache) *cached = &cpu->page_cache[(physical >> GUEST_PAGE_SHIFT) & 255];
    bool whole = true;

    if (cached->page == page) {
        target->block = cached->block;
        target->block_offset = cached->block_offset | (physical & ~GUEST_PAGE_MASK);
        target->writable = cached->writable;
        return true;
    }
    *target = memory_lookup(cpu->memory, physical, &whole);
    if (!whole || !target->block || ((target->block_offset ^ physical) & ~GUEST_PAGE_MASK))
        return false;
    cached->page = page;
    cached->block = target->block;
    cached->block_offset = target->block_offset & GUEST_PAGE_MASK;
    cached->writable = target->writable;
    return true;
}

static Entry read_entry(Cpu *cpu, uint64_t physical, unsigned size)
{
    Entry entry = {0};

    physical = paging_a20(cpu, physical);
    MemoryTarget target;

    if (!paging_find_page(cpu, physical, &target) && !target.block) {
        /* Tables in a device or nowhere: readable, never updated. */
        cpu_spill_vectors(cpu);
        cpu->board->lock(cpu->board_opaque);
        entry.value = memory_mmio_read(cpu->memory, physical, size);
        cpu->board->unlock(cpu->board_opaque);
        return entry;
    }
    uint8_t *host = target.block->host + target.block_offset;
    if (size == 8)
        entry.value = __atomic_load_n((uint64_t *)host, __ATOMIC_RELAXED);
    else
        entry.value = __atomic_load_n((uint32_t *)host, __ATOMIC_RELAXED);
    if (target.writable) {
        entry.host = host;
        entry.block = target.block;
        entry.block_offset = target.block_offset;
    }
    return entry;
}

/* One compare-and-exchange of the entry in memory; *EXPECTED is what was there. */
static bool exchange(const Entry *entry, uint64_t *expected, uint64_t wanted, unsigned size)
{
    if (size == 8)
        return __atomic_compare_exchange_n((uint64_t *)entry->host, expected, wanted, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    uint32_t narrow = (uint32_t)*expected;
    bool done = __atomic_compare_exchange_n((uint32_t *)entry->host, &narrow, (uint32_t)wanted,
                                            false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    *expected = narrow;
    return done;
}

/* False: the entry leads elsewhere, or allows something else, than when it was read. What programs
 * keep in it (SDM 3, table 4-20), A and D may change as often as they like. */
static bool set_bits(Cpu *cpu, Entry *entry, uint64_t bits, unsigned size)
{
    const uint64_t free = PTE_A | PTE_D | UINT64_C(0x07f0000000000e00);
    uint64_t wanted = entry->value | bits;

    if (wanted == entry->value || !entry->host)
        return true;
    if (cpu->lockstep) {
        cpu_spill_vectors(cpu);
        lockstep_keep_page(cpu, entry->host);
    }
    for (uint64_t now = entry->value; !exchange(entry, &now, wanted, size); wanted = now | bits)
        if ((now ^ entry->value) & ~free)
            return false;
    entry->value = wanted;
    if (atomic_load_explicit(&entry->block->flags[entry->block_offset >> GUEST_PAGE_SHIFT],
                             memory_order_relaxed) &&
        ram_block_note_store(entry->block, entry->block_offset) && mmu_code_store_hook) {
        cpu_spill_vectors(cpu);
        mmu_code_store_hook(cpu, entry->block, entry->block_offset, size);
    }
    return true;
}

/* What a walk has gathered. */
typedef struct {
    Entry entries[MAX_LEVELS];
    unsigned count;      /* entries read; the last one maps the page */
    unsigned entry_size; /* 4 or 8 */
    uint64_t rights;     /* PTE_W and PTE_U: ANDed over the levels; PTE_NX: ORed */
    unsigned page_shift;
    uint64_t frame;
} Tables;

/* RIGHTS of the levels above with those of ENTRY (SDM 4.6). */
static uint64_t combine(uint64_t rights, uint64_t entry)
{
    return (rights & entry & (PTE_W | PTE_U)) | ((rights | entry) & PTE_NX);
}

/* Bits that must be zero in an 8-byte entry. SHIFT: log2 of what one entry covers. */
static uint64_t reserved_bits(const Cpu *cpu, uint64_t value, unsigned shift)
{
    bool long_mode = cpu->efer & EFER_LMA;
    uint64_t reserved = RESERVED_HIGH;

    if (!(cpu->efer & EFER_NXE))
        reserved |= PTE_NX;
    if (!long_mode)
        reserved |= 0x7ffull << 52; /* table 4-9 ff.: bits 62:MAXPHYADDR */
    if (shift == 39 || (shift == 30 && !cpu->page_1g))
        reserved |= PTE_PS;
    else if (shift > 12 && (value & PTE_PS))
        reserved |= ((1ull << shift) - 1) & ~0x1fffull; /* bit 12 is PAT */
    return reserved;
}

/* Reads the tables down to the page. Returns a #PF error code of P and RSVD bits, or -1 for
 * success. */
static int read_tables_8(Cpu *cpu, uint64_t linear, Tables *tables)
{
    unsigned shift;
    uint64_t table;

    tables->entry_size = 8;
    if (cpu->efer & EFER_LMA) {
        table = cpu->cr3 & FRAME_MASK;
        shift = 39;
    } else {
        /* The four PDPTEs live in the processor (SDM 4.4.1). */
        uint64_t pdpte = cpu->pdpte[(linear >> 30) & 3];
        if (!(pdpte & PTE_P))
            return 0;
        table = pdpte & FRAME_MASK;
        shift = 21;
    }
    for (;; shift -= 9) {
        uint64_t physical = table + ((linear >> shift) & 0x1ff) * 8;
        Entry *entry = &tables->entries[tables->count++];

        *entry = read_entry(cpu, physical, 8);
        if (!(entry->value & PTE_P))
            return 0;
        if (entry->value & reserved_bits(cpu, entry->value, shift))
            return PF_P | PF_RSVD;
        tables->rights = combine(tables->rights, entry->value);
        if (shift == 12 || (entry->value & PTE_PS)) {
            tables->page_shift = shift;
            tables->frame = entry->value & FRAME_MASK & ~((1ull << shift) - 1);
            return -1;
        }
        table = entry->value & FRAME_MASK;
    }
}

static int read_tables_4(Cpu *cpu, uint64_t linear, Tables *tables)
{
    Entry *entry = &tables->entries[0];

    tables->entry_size = 4;
    tables->count = 1;
    *entry = read_entry(cpu, (cpu->cr3 & 0xfffff000) + ((linear >> 22) & 0x3ff) * 4, 4);
    if (!(entry->value & PTE_P))
        return 0;
    tables->rights = combine(tables->rights, entry->value);
    if ((entry->value & PTE_PS) && (cpu->cr4 & CR4_PSE)) {
        /* PSE-36: bits 20:13 are address bits 39:32 (table 4-4); 21 is reserved. */
        if (entry->value & (1 << 21))
            return PF_P | PF_RSVD;
        tables->page_shift = 22;
        tables->frame = (entry->value & 0xffc00000) | ((entry->value >> 13) & 0xff) << 32;
        return -1;
    }
    uint64_t table = entry->value & 0xfffff000;
    entry = &tables->entries[1];
    tables->count = 2;
    *entry = read_entry(cpu, table + ((linear >> 12) & 0x3ff) * 4, 4);
    if (!(entry->value & PTE_P))
        return 0;
    tables->rights = combine(tables->rights, entry->value);
    tables->page_shift = 12;
    tables->frame = entry->value & 0xfffff000;
    return -1;
}

static int read_tables(Cpu *cpu, uint64_t linear, Tables *tables)
{
    tables->count = 0;
    tables->rights = PTE_W | PTE_U;
    return cpu->cr4 & CR4_PAE ? read_tables_8(cpu, linear, tables)
                              : read_tables_4(cpu, linear, tables);
}

/* SDM 4.6.1. RIGHTS: PTE_W, PTE_U and PTE_NX. */
static bool access_allowed(const Cpu *cpu, uint64_t rights, unsigned set, MmuAccess access,
                           bool *writable)
{
    bool user_page = rights & PTE_U, write_bit = rights & PTE_W;

    *writable = write_bit || (set != MMU_USER && !(cpu->cr0 & CR0_WP));
    if (set == MMU_USER && !user_page)
        return false;
    if (access == ACCESS_FETCH)
        return !(rights & PTE_NX) && !(set != MMU_USER && user_page && (cpu->cr4 & CR4_SMEP));
    if (set == MMU_SUPERVISOR && user_page && (cpu->cr4 & CR4_SMAP))
        return false;
    return access == ACCESS_READ || *writable;
}

/* SDM 4.7. */
static uint32_t fault_code(const Cpu *cpu, unsigned set, MmuAccess access)
{
    uint32_t code = set == MMU_USER ? PF_U : 0;

    if (access == ACCESS_WRITE)
        code |= PF_W;
    if (access == ACCESS_FETCH &&
        ((cpu->cr4 & CR4_SMEP) || ((cpu->cr4 & CR4_PAE) && (cpu->efer & EFER_NXE))))
        code |= PF_I;
    return code;
}

static bool set_accessed(Cpu *cpu, Tables *tables, bool dirty)
{
    for (unsigned i = 0; i < tables->count; i++) {
        bool leaf = i == tables->count - 1;
        if (!set_bits(cpu, &tables->entries[i], PTE_A | (leaf && dirty ? PTE_D : 0),
                      tables->entry_size))
            return false;
    }
    return true;
}

static void unpaged(Cpu *cpu, uint64_t linear, PageWalk *walk)
{
    walk->physical = paging_a20(cpu, linear);
    walk->writable = walk->dirty = walk->global = true;
    walk->large = walk->huge = false;
}

/* The mapping: the frame, the rights and PTE_D. */
static SecondTlbPage found_page(const Cpu *cpu, const Tables *tables)
{
    uint64_t leaf = tables->entries[tables->count - 1].value;

    return (SecondTlbPage){.mapping = tables->frame | tables->rights | (leaf & PTE_D),
                           .shift = tables->page_shift,
                           .global = (leaf & PTE_G) && (cpu->cr4 & CR4_PGE)};
}

static void fill_walk(Cpu *cpu, uint64_t linear, const SecondTlbPage *page, PageWalk *walk)
{
    uint64_t offset = linear & ((1ull << page->shift) - 1);

    walk->physical = paging_a20(cpu, (page->mapping & FRAME_MASK) | offset);
    walk->dirty = page->mapping & PTE_D;
    walk->global = page->global;
    walk->large = page->shift > 12;
    walk->huge = page->shift > 22;
}

/* What the second-level TLB says, where there are PCIDs: without them it would be emptied as often
 * as the soft TLB. An entry that allows too little may be older than the tables: it goes, as those
 * of an address that raises #PF have to (SDM 4.10.4.1). */
static bool find_kept(Cpu *cpu, uint64_t linear, unsigned set, MmuAccess access, PageWalk *walk)
{
    SecondTlbPage page;

    if (!(cpu->cr4 & CR4_PCIDE) ||
        !second_tlb_find(&cpu->second_tlb, paging_pcid(cpu), linear, &page))
        return false;
    if (!access_allowed(cpu, page.mapping, set, access, &walk->writable) ||
        (access == ACCESS_WRITE && !(page.mapping & PTE_D))) {
        second_tlb_drop_page(&cpu->second_tlb, paging_pcid(cpu), linear);
        return false;
    }
    fill_walk(cpu, linear, &page, walk);
    return true;
}

static void keep(Cpu *cpu, uint64_t linear, const SecondTlbPage *page)
{
    if (cpu->cr4 & CR4_PCIDE)
        second_tlb_add(&cpu->second_tlb, paging_pcid(cpu), linear, page);
}

bool paging_walk(Cpu *cpu, uint64_t linear, unsigned set, MmuAccess access, PageWalk *walk)
{
    if (!(cpu->cr0 & CR0_PG)) {
        unpaged(cpu, linear, walk);
        return true;
    }
    if (find_kept(cpu, linear, set, access, walk)) {
        cpu->second_tlb.n_hits++;
        return true;
    }
    for (unsigned tries = 0;; tries++) {
        Tables tables;
        int result = read_tables(cpu, linear, &tables);

        if (result < 0 && !access_allowed(cpu, tables.rights, set, access, &walk->writable))
            result = PF_P;
        if (result >= 0) {
            walk->error = (uint32_t)result | fault_code(cpu, set, access);
            return false;
        }
        if (!set_accessed(cpu, &tables, access == ACCESS_WRITE) && tries < MAX_RETRIES)
            continue;
        SecondTlbPage page = found_page(cpu, &tables);
        keep(cpu, linear, &page);
        fill_walk(cpu, linear, &page, walk);
        return true;
    }
}

bool paging_walk_again(Cpu *cpu, uint64_t linear, unsigned set, MmuAccess access, PageWalk *walk)
{
    Tables tables;

    if (!(cpu->cr0 & CR0_PG)) {
        unpaged(cpu, linear, walk);
        return true;
    }
    if (find_kept(cpu, linear, set, access, walk))
        return true;
    if (read_tables(cpu, linear, &tables) >= 0 ||
        !access_allowed(cpu, tables.rights, set, access, &walk->writable))
        return false;
    for (unsigned i = 0; i < tables.count; i++)
        if (!(tables.entries[i].value & PTE_A))
            return false;
    SecondTlbPage page = found_page(cpu, &tables);
    keep(cpu, linear, &page);
    fill_walk(cpu, linear, &page, walk);
    return true;
}

bool paging_walk_debug(Cpu *cpu, uint64_t linear, PageWalk *walk)
{
    Tables tables;

    if (!(cpu->cr0 & CR0_PG)) {
        unpaged(cpu, linear, walk);
        return true;
    }
    if (read_tables(cpu, linear, &tables) >= 0)
        return false;
    walk->writable = tables.rights & PTE_W;
    SecondTlbPage page = found_page(cpu, &tables);
    fill_walk(cpu, linear, &page, walk);
    return true;
}
