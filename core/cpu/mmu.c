/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The soft TLB and every access to guest memory through it.
 *
 * Built with -mgeneral-regs-only: guest vectors may be live in the host's registers. Nothing here
 * calls libc; whatever may use vectors is called after cpu_spill_vectors().
 */

#include "core/cpu/mmu.h"

#include "core/cpu/cpuid.h"
#include "core/cpu/debug.h"
#include "core/cpu/fetched.h"
#include "core/cpu/lockstep.h"
#include "core/cpu/paging.h"

void (*mmu_code_store_hook)(Cpu *cpu, RamBlock *block, uint64_t offset, unsigned length);
void (*mmu_fetch_flush_hook)(Cpu *cpu, unsigned sets);

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

enum { FETCH_MAX = 15 };

/* What stands behind one linear byte, for one access. */
typedef struct {
    uint8_t *host; /* direct access allowed; NULL: through memory_mmio_* */
    uint64_t physical;
    RamBlock *block; /* of host */
    uint64_t block_offset;
    bool code; /* the store must be reported to mmu_code_store_hook */
} Place;

static inline uint64_t wrap(const Cpu *cpu, uint64_t linear)
{
    return cpu->mode & MODE_LMA ? linear : (uint32_t)linear;
}

/* --- flushing --------------------------------------------------------------------------------- */

static void map_set(uint64_t *bits, unsigned i, bool on)
{
    uint64_t bit = 1ull << (i & 63);

    bits[i / 64] = on ? bits[i / 64] | bit : bits[i / 64] & ~bit;
}

/* Entry I is filled by what WALK has found. */
static void map_fill(TlbMap *map, unsigned i, const PageWalk *walk)
{
    map_set(map->words, i / 64, true);
    map_set(map->used, i, true);
    map_set(map->global, i, walk->global);
    map->local[i / 4096] |= (uint64_t)!walk->global << (i / 64 & 63);
    map_set(map->large, i, walk->large);
    map->huge |= walk->huge;
}

static void map_empty(TlbMap *map, unsigned i)
{
    map_set(map->used, i, false);
    if (!map->used[i / 64])
        map_set(map->words, i / 64, false);
}

/* The first set bit of BITS from I on, END if none is. */
static inline unsigned next_bit(const uint64_t *bits, unsigned i, unsigned end)
{
    for (; i < end; i = (i | 63) + 1)
        if (bits[i / 64] >> (i & 63))
            return i + (unsigned)__builtin_ctzll(bits[i / 64] >> (i & 63));
    return end;
}

/* Moves *I on to the first filled entry of MAP from there. False: there is none. */
static inline bool next_entry(const TlbMap *map, unsigned *i)
{
    enum { WORDS = TLB_ENTRIES / 64 };
    unsigned word;

    for (; (word = next_bit(map->words, *i / 64, WORDS)) < WORDS; *i = (word + 1) * 64) {
        *i = MAX(*i, word * 64);
        uint64_t bits = map->used[word] >> (*i & 63);
        if (bits) {
            *i += (unsigned)__builtin_ctzll(bits);
            return true;
        }
    }
    return false;
}

static void drop_data(Cpu *cpu, unsigned set, unsigned i)
{
    cpu->tlb[set].load_tag[i] = TLB_EMPTY(i);
    cpu->tlb[set].store_tag[i] = TLB_EMPTY(i);
    map_empty(&cpu->tlb_map[set], i);
}

/* Their entries may have given way to others, so any flush concerns them. */
static void forget_sites(Cpu *cpu)
{
    if (!cpu->sites_used)
        return;
    SiteSet *set = &cpu->sites[0][0];
    for (unsigned s = 0; s < N_MMU * 2; s++)
        for (unsigned i = 0; i < N_SITES; i++)
            set[s].pages[i] = (SitePage){SITE_PAGE_NONE, 0};
    cpu->sites_used = false;
}

static void drop_fetch(Cpu *cpu, unsigned set, unsigned i)
{
    cpu->fetch[set].tag[i] = TLB_EMPTY(i);
    map_empty(&cpu->fetch_map[set], i);
}

/* MAP 0..N_MMU-1 are data sets, the two after them fetch sets. */
static TlbMap *map_at(Cpu *cpu, unsigned map)
{
    return map < N_MMU ? &cpu->tlb_map[map] : &cpu->fetch_map[map - N_MMU];
}

static unsigned index_in(unsigned map, uint64_t linear)
{
    return map < N_MMU ? cpu_tlb_index(linear) : cpu_fetch_index(linear);
}

static void drop(Cpu *cpu, unsigned map, unsigned i)
{
    if (map < N_MMU)
        drop_data(cpu, map, i);
    else
        drop_fetch(cpu, map - N_MMU, i);
}

static void report_fetch_flush(Cpu *cpu, unsigned sets)
{
    if (sets && mmu_fetch_flush_hook)
        mmu_fetch_flush_hook(cpu, sets);
}

static void drop_in_map(Cpu *cpu, unsigned m, bool keep_global)
{
    enum { N = sizeof((TlbMap){0}.words) / sizeof *(TlbMap){0}.words };
    TlbMap *map = map_at(cpu, m);

    for (unsigned n = 0; n < N; n++) {
        for (uint64_t words = keep_global ? map->local[n] : map->words[n]; words;
             words &= words - 1) {
            unsigned word = n * 64 + (unsigned)__builtin_ctzll(words);
            uint64_t keep = keep_global ? map->global[word] : 0;
            for (uint64_t bits = map->used[word] & ~keep; bits; bits &= bits - 1)
                drop(cpu, m, word * 64 + (unsigned)__builtin_ctzll(bits));
        }
        map->local[n] = 0;
    }
    map->huge &= keep_global;
}

static void drop_entries(Cpu *cpu, bool keep_global)
{
    forget_sites(cpu);
    for (unsigned m = 0; m < N_MMU + 2; m++)
        drop_in_map(cpu, m, keep_global);
}

static void flush(Cpu *cpu, bool keep_global)
{
    unsigned sets = 0;

    drop_entries(cpu, keep_global);
    for (unsigned set = 0; set < 2; set++)
        sets |= (unsigned)fetched_flush(cpu, set, keep_global) << set;
    report_fetch_flush(cpu, sets);
}

void mmu_forget_map(Cpu *cpu)
{
    for (unsigned i = 0; i < sizeof cpu->page_cache / sizeof *cpu->page_cache; i++)
        cpu->page_cache[i].page = 1;
    mmu_flush_all(cpu);
}

void mmu_flush_all(Cpu *cpu)
{
    second_tlb_drop_all(&cpu->second_tlb);
    flush(cpu, false);
}

void mmu_flush_non_global(Cpu *cpu)
{
    second_tlb_drop_all(&cpu->second_tlb);
    flush(cpu, true);
}

void mmu_switch_tables(Cpu *cpu, bool keep)
{
    if (keep)
        second_tlb_keep(&cpu->second_tlb, paging_pcid(cpu));
    else
        second_tlb_drop_pcid(&cpu->second_tlb, paging_pcid(cpu));
    flush(cpu, true);
}

/* What is not global in the soft TLB is the current PCID's. */
void mmu_flush_pcid(Cpu *cpu, unsigned pcid)
{
    second_tlb_drop_pcid(&cpu->second_tlb, pcid);
    if (pcid == paging_pcid(cpu))
        flush(cpu, true);
}

void mmu_flush_pcid_page(Cpu *cpu, unsigned pcid, uint64_t linear)
{
    if (pcid == paging_pcid(cpu))
        mmu_flush_page(cpu, linear);
    else
        second_tlb_drop_page(&cpu->second_tlb, pcid, linear);
}

void mmu_drop(Cpu *cpu)
{
    second_tlb_drop_all(&cpu->second_tlb);
    drop_entries(cpu, false);
}

void mmu_drop_stores(Cpu *cpu)
{
    second_tlb_drop_all(&cpu->second_tlb);
    forget_sites(cpu);
    for (unsigned set = 0; set < N_MMU; set++)
        for (unsigned i = 0; next_entry(&cpu->tlb_map[set], &i); i++)
            cpu->tlb[set].store_tag[i] = TLB_EMPTY(i);
}

/* Entries of a large page are 4 KiB pieces: INVLPG of any of its bytes drops all of them (SDM
 * 4.10.4.1). Whatever is large within the same 4 MiB goes, or GiB where pages may have that. */
static void drop_large(Cpu *cpu, unsigned m, uint64_t linear)
{
    enum { PIECES = 1 << (22 - GUEST_PAGE_SHIFT) };
    const TlbMap *map = map_at(cpu, m);
    unsigned first = map->huge ? 0 : index_in(m, linear) & ~(PIECES - 1u);
    unsigned end = (map->huge ? TLB_ENTRIES : first + PIECES) / 64;

    for (unsigned word = first / 64; (word = next_bit(map->words, word, end)) < end; word++) {
        for (uint64_t bits = map->used[word] & map->large[word]; bits; bits &= bits - 1) {
            unsigned i = word * 64 + (unsigned)__builtin_ctzll(bits);
            uint64_t tag = m < N_MMU ? cpu->tlb[m].load_tag[i] : cpu->fetch[m - N_MMU].tag[i];
            if (!((tag ^ linear) >> 30))
                drop(cpu, m, i);
        }
    }
}

void mmu_flush_page(Cpu *cpu, uint64_t linear)
{
    linear = wrap(cpu, linear);
    second_tlb_drop_page(&cpu->second_tlb, paging_pcid(cpu), linear);
    forget_sites(cpu);
    for (unsigned m = 0; m < N_MMU + 2; m++) {
        drop(cpu, m, index_in(m, linear));
        drop_large(cpu, m, linear);
    }
    unsigned changed = (unsigned)fetched_flush_page(cpu, 0, linear) |
                       (unsigned)fetched_flush_page(cpu, 1, linear) << 1;
    /* The set's other pages are forgotten there, too: the next fetch from each notes it again. */
    for (unsigned set = 0; set < 2; set++)
        for (unsigned i = 0; changed >> set & 1 && next_entry(&cpu->fetch_map[set], &i); i++)
            drop_fetch(cpu, set, i);
    report_fetch_flush(cpu, changed);
}

static inline unsigned word_of_host_page(uintptr_t host)
{
    return (uint16_t)(host >> GUEST_PAGE_SHIFT);
}

/* Entry I of SET, if it stores to a page of WORD, is noted. */
static void note_stores(Cpu *cpu, unsigned set, unsigned i, unsigned word)
{
    const TlbSet *tlb = &cpu->tlb[set];
    TlbStores *stores = &cpu->tlb_stores[set];
    unsigned other = stores->entry[word];

    if (tlb->store_tag[i] == TLB_EMPTY(i) || word_of_host_page(tlb->host[i]) != word)
        return;
    if (other != i && tlb->store_tag[other] != TLB_EMPTY(other) &&
        word_of_host_page(tlb->host[other]) == word)
        map_set(stores->several, word, true);
    else
        stores->entry[word] = (uint16_t)i;
}

static void drop_stores_to(TlbSet *tlb, unsigned i, const void *host_page)
{
    if (tlb->host[i] == (uintptr_t)host_page)
        tlb->store_tag[i] = TLB_EMPTY(i);
}

void mmu_flush_stores_to(Cpu *cpu, const void *host_page)
{
    unsigned word = word_of_host_page((uintptr_t)host_page);

    for (unsigned set = 0; set < N_MMU; set++) {
        TlbStores *stores = &cpu->tlb_stores[set];
        drop_stores_to(&cpu->tlb[set], stores->entry[word], host_page);
        if (!(stores->several[word / 64] >> (word & 63) & 1))
            continue;
        map_set(stores->several, word, false);
        for (unsigned i = 0; next_entry(&cpu->tlb_map[set], &i); i++) {
            drop_stores_to(&cpu->tlb[set], i, host_page);
            note_stores(cpu, set, i, word);
        }
    }
    forget_sites(cpu);
}

/* --- filling ---------------------------------------------------------------------------------- */

/* For -accel jit,stress=tiny-tlb: makes room when the set holds a few pages. */
static void keep_tiny(Cpu *cpu, unsigned set)
{
    enum { FEW = 6 };
    unsigned n = 0;

    for (unsigned i = 0; next_entry(&cpu->tlb_map[set], &i); i++)
        n++;
    for (unsigned i = 0; n >= FEW && next_entry(&cpu->tlb_map[set], &i); i++)
        drop_data(cpu, set, i);
}

/* The RAM page at HOST may be written. */
static inline void note_write(Cpu *cpu, void *host)
{
    if (LIKELY(!cpu->lockstep))
        return;
    cpu_spill_vectors(cpu);
    lockstep_keep_page(cpu, host);
}

/* Stores to the page must come by here. */
static bool stores_watched(const Place *place)
{
    uint8_t flags = atomic_load_explicit(
        &place->block->flags[place->block_offset >> GUEST_PAGE_SHIFT], memory_order_relaxed);

    return flags & (PAGE_HAS_CODE | PAGE_CLEAN);
}

static void fill_data(Cpu *cpu, unsigned set, uint64_t linear, const PageWalk *walk,
                      const Place *place, bool stores)
{
    uint64_t page = linear & GUEST_PAGE_MASK;
    unsigned i = cpu_tlb_index(linear);
    TlbSet *tlb = &cpu->tlb[set];

    if (UNLIKELY(cpu->mode & MODE_WATCHED)) {
        if (debug_page_is_watched(cpu, page, DEBUG_READ))
            return;
        stores = stores && !debug_page_is_watched(cpu, page, DEBUG_WRITE);
    }
    if (UNLIKELY(cpu->tiny_tlb))
        keep_tiny(cpu, set);
    if (stores)
        note_write(cpu, place->host);
    tlb->load_tag[i] = page;
    tlb->store_tag[i] = stores ? page : TLB_EMPTY(i);
    tlb->host[i] = (uintptr_t)place->host & GUEST_PAGE_MASK;
    tlb->delta[i] = tlb->host[i] - page;
    note_stores(cpu, set, i, word_of_host_page(tlb->host[i]));
    map_fill(&cpu->tlb_map[set], i, walk);
}

/* Where PHYSICAL lives; *TARGET tells whether stores go there too. */
static bool find_place(Cpu *cpu, uint64_t physical, Place *place, MemoryTarget *target)
{
    bool whole = paging_find_page(cpu, physical, target);

    place->physical = physical;
    place->block = target->block;
    place->block_offset = target->block_offset;
    place->host = target->block ? target->block->host + target->block_offset : NULL;
    place->code = false;
    return whole;
}

/* Translates one byte's page for an access and fills its TLB entry if it may have one. */
static bool try_resolve(Cpu *cpu, unsigned set, uint64_t linear, MmuAccess access, Place *place,
                        uint32_t *error)
{
    PageWalk walk;
    MemoryTarget target;

    cpu->count_tlb_misses++;
    if (!paging_walk(cpu, linear, set, access, &walk)) {
        *error = walk.error;
        return false;
    }
    bool cacheable = find_place(cpu, walk.physical, place, &target);
    bool store = access == ACCESS_WRITE;

    if (store && !target.writable) {
        place->host = NULL;
        return true;
    }
    if (!place->host)
        return true;
    if (store)
        note_write(cpu, place->host);
    if (store && stores_watched(place))
        place->code = ram_block_note_store(place->block, place->block_offset);
    if (cacheable)
        fill_data(cpu, set, linear, &walk, place,
                  walk.writable && walk.dirty && target.writable && !stores_watched(place));
    return true;
}

static void resolve(Cpu *cpu, unsigned set, uint64_t linear, MmuAccess access, Place *place)
{
    uint32_t error;

    if (!try_resolve(cpu, set, linear, access, place, &error))
        cpu_raise_pf(cpu, linear, error);
}

/* The same for a byte whose page the TLB may have: then it is one like any other. */
static void find_byte(Cpu *cpu, unsigned set, uint64_t linear, MmuAccess access, Place *place)
{
    const TlbSet *tlb = &cpu->tlb[set];
    unsigned i = cpu_tlb_index(linear);
    uint64_t tag = access == ACCESS_WRITE ? tlb->store_tag[i] : tlb->load_tag[i];

    if (LIKELY(linear - tag < GUEST_PAGE_SIZE))
        *place = (Place){.host = (uint8_t *)(tlb->delta[i] + linear),
                         .physical = linear & ~GUEST_PAGE_MASK};
    else
        resolve(cpu, set, linear, access, place);
}

/* The two pages of an access over the end of one. */
static void find_both(Cpu *cpu, unsigned set, uint64_t linear, MmuAccess access, Place pages[2])
{
    find_byte(cpu, set, linear, access, &pages[0]);
    find_byte(cpu, set, wrap(cpu, (linear | ~GUEST_PAGE_MASK) + 1), access, &pages[1]);
}

MmuFill mmu_fill(Cpu *cpu, unsigned set, uint64_t linear, MmuAccess access, uint32_t *error)
{
    Place place;

    return try_resolve(cpu, set, wrap(cpu, linear), access, &place, error) ? MMU_FILLED : MMU_FAULT;
}

/* --- devices ---------------------------------------------------------------------------------- */

static uint64_t device_read(Cpu *cpu, uint64_t physical, unsigned size)
{
    cpu_spill_vectors(cpu);
    cpu->count_mmio++;
    cpu->board->lock(cpu->board_opaque);
    uint64_t value = memory_mmio_read(cpu->memory, physical, size);
    cpu->board->unlock(cpu->board_opaque);
    return value;
}

static void device_write(Cpu *cpu, uint64_t physical, uint64_t value, unsigned size)
{
    cpu_spill_vectors(cpu);
    cpu->count_mmio++;
    cpu->board->lock(cpu->board_opaque);
    memory_mmio_write(cpu->memory, physical, value, size);
    cpu->board->unlock(cpu->board_opaque);
}

static void report_code_store(Cpu *cpu, const Place *place, unsigned length)
{
    if (place->code && mmu_code_store_hook) {
        cpu_spill_vectors(cpu);
        mmu_code_store_hook(cpu, place->block, place->block_offset, length);
    }
}

static uint64_t place_read(Cpu *cpu, const Place *place, unsigned size)
{
    return place->host ? host_load(place->host, size) : device_read(cpu, place->physical, size);
}

static void place_write(Cpu *cpu, const Place *place, uint64_t value, unsigned size)
{
    if (!place->host) {
        device_write(cpu, place->physical, value, size);
        return;
    }
    host_store(place->host, value, size);
    report_code_store(cpu, place, size);
}

/* LENGTH bytes within one page, in natural pieces. */
static void place_read_bytes(Cpu *cpu, const Place *place, uint8_t *buffer, unsigned length)
{
    for (unsigned done = 0; done < length;) {
        unsigned size = 8;
        Place piece = *place;

        piece.physical += done;
        if (piece.host)
            piece.host += done;
        while (size > length - done || (piece.physical & (size - 1)))
            size /= 2;
        host_store(buffer + done, place_read(cpu, &piece, size), size);
        done += size;
    }
}

static void place_write_bytes(Cpu *cpu, const Place *place, const uint8_t *buffer, unsigned length)
{
    Place piece = *place;

    piece.code = false; /* reported once, below */
    for (unsigned done = 0; done < length;) {
        unsigned size = 8;

        piece.physical = place->physical + done;
        piece.host = place->host ? place->host + done : NULL;
        while (size > length - done || (piece.physical & (size - 1)))
            size /= 2;
        place_write(cpu, &piece, host_load(buffer + done, size), size);
        done += size;
    }
    if (place->host)
        report_code_store(cpu, place, length);
}

/* --- debug registers and alignment ------------------------------------------------------------ */

/* Data breakpoints, SDM 17.2.5: DR7.RWn 1 is a store, 3 a load or store. */
static void check_breakpoints(Cpu *cpu, uint64_t linear, unsigned size, MmuAccess access)
{
    static const uint8_t lengths[] = {1, 2, 8, 4};

    for (unsigned n = 0; n < 4; n++) {
        unsigned rw = (cpu->dr[7] >> (16 + n * 4)) & 3;
        unsigned length = lengths[(cpu->dr[7] >> (18 + n * 4)) & 3];
        uint64_t first = cpu->dr[n] & ~(uint64_t)(length - 1);

        if (!((cpu->dr[7] >> (n * 2)) & 3) || !(rw == 3 || (rw == 1 && access == ACCESS_WRITE)))
            continue;
        if (linear < first + length && first < linear + size)
            cpu->debug_hits |= 1u << n;
    }
}

static void check_odd(Cpu *cpu, uint64_t linear, unsigned size, MmuAccess access)
{
    if ((cpu->mode & MODE_AC) && (linear & (size - 1)) && !(size & (size - 1)) && size <= 16)
        cpu_raise_error(cpu, EXC_AC, 0);
    if (cpu->mode & MODE_DEBUG)
        check_breakpoints(cpu, linear, size, access);
}

/* A debugger's watchpoints, on every way that does not go by an entry of the TLB. */
static inline void note_access(Cpu *cpu, uint64_t linear, unsigned size, MmuAccess access)
{
    if (UNLIKELY(cpu->mode & MODE_WATCHED))
        debug_note_access(cpu, linear, size, access == ACCESS_WRITE ? DEBUG_WRITE : DEBUG_READ);
}

/* --- loads and stores --------------------------------------------------------------------------
 */

static uint64_t load_crossing(Cpu *cpu, unsigned set, uint64_t linear, unsigned size)
{
    unsigned first = GUEST_PAGE_SIZE - (linear & 0xfff);
    Place pages[2];
    uint64_t value = 0;

    find_both(cpu, set, linear, ACCESS_READ, pages);
    place_read_bytes(cpu, &pages[0], (uint8_t *)&value, first);
    place_read_bytes(cpu, &pages[1], (uint8_t *)&value + first, size - first);
    return value;
}

static void store_crossing(Cpu *cpu, unsigned set, uint64_t linear, uint64_t value, unsigned size)
{
    unsigned first = GUEST_PAGE_SIZE - (linear & 0xfff);
    Place pages[2];

    find_both(cpu, set, linear, ACCESS_WRITE, pages);
    place_write_bytes(cpu, &pages[0], (const uint8_t *)&value, first);
    place_write_bytes(cpu, &pages[1], (const uint8_t *)&value + first, size - first);
}

static __attribute__((noinline)) uint64_t load_slow(Cpu *cpu, unsigned set, uint64_t linear,
                                                    unsigned size)
{
    Place place;

    note_access(cpu, linear, size, ACCESS_READ);
    if ((linear & 0xfff) + size > GUEST_PAGE_SIZE)
        return load_crossing(cpu, set, linear, size);
    resolve(cpu, set, linear, ACCESS_READ, &place);
    return place_read(cpu, &place, size);
}

static __attribute__((noinline)) void store_slow(Cpu *cpu, unsigned set, uint64_t linear,
                                                 uint64_t value, unsigned size)
{
    Place place;

    note_access(cpu, linear, size, ACCESS_WRITE);
    if ((linear & 0xfff) + size > GUEST_PAGE_SIZE) {
        store_crossing(cpu, set, linear, value, size);
        return;
    }
    resolve(cpu, set, linear, ACCESS_WRITE, &place);
    place_write(cpu, &place, value, size);
}

static inline uint64_t load(Cpu *cpu, unsigned set, uint64_t linear, unsigned size)
{
    const TlbSet *tlb = &cpu->tlb[set];
    unsigned i = cpu_tlb_index(linear);

    if (LIKELY(linear - tlb->load_tag[i] <= GUEST_PAGE_SIZE - size))
        return host_load((uint8_t *)(tlb->delta[i] + linear), size);
    return load_slow(cpu, set, linear, size);
}

static inline void store(Cpu *cpu, unsigned set, uint64_t linear, uint64_t value, unsigned size)
{
    const TlbSet *tlb = &cpu->tlb[set];
    unsigned i = cpu_tlb_index(linear);

    if (LIKELY(linear - tlb->store_tag[i] <= GUEST_PAGE_SIZE - size))
        host_store((uint8_t *)(tlb->delta[i] + linear), value, size);
    else
        store_slow(cpu, set, linear, value, size);
}

uint64_t mmu_load(Cpu *cpu, uint64_t linear, unsigned size)
{
    linear = wrap(cpu, linear);
    if (UNLIKELY(cpu->mode & (MODE_AC | MODE_DEBUG)))
        check_odd(cpu, linear, size, ACCESS_READ);
    return load(cpu, cpu_mmu_index(cpu), linear, size);
}

void mmu_store(Cpu *cpu, uint64_t linear, uint64_t value, unsigned size)
{
    linear = wrap(cpu, linear);
    if (UNLIKELY(cpu->mode & (MODE_AC | MODE_DEBUG)))
        check_odd(cpu, linear, size, ACCESS_WRITE);
    store(cpu, cpu_mmu_index(cpu), linear, value, size);
}

uint64_t mmu_load_as(Cpu *cpu, unsigned set, uint64_t linear, unsigned size)
{
    return load(cpu, set, wrap(cpu, linear), size);
}

void mmu_store_as(Cpu *cpu, unsigned set, uint64_t linear, uint64_t value, unsigned size)
{
    store(cpu, set, wrap(cpu, linear), value, size);
}

/* Implicit supervisor accesses: SMAP applies whatever RFLAGS.AC says. */
uint64_t mmu_load_system(Cpu *cpu, uint64_t linear, unsigned size)
{
    return mmu_load_as(cpu, MMU_SUPERVISOR, linear, size);
}

void mmu_store_system(Cpu *cpu, uint64_t linear, uint64_t value, unsigned size)
{
    mmu_store_as(cpu, MMU_SUPERVISOR, linear, value, size);
}

void mmu_change_system_byte(Cpu *cpu, uint64_t linear, uint8_t set, uint8_t clear)
{
    Place place;

    resolve(cpu, MMU_SUPERVISOR, wrap(cpu, linear), ACCESS_WRITE, &place);
    note_access(cpu, wrap(cpu, linear), 1, ACCESS_WRITE);
    if (!place.host) {
        place_write(cpu, &place, (place_read(cpu, &place, 1) | set) & (uint8_t)~clear, 1);
        return;
    }
    uint8_t old = *(const volatile uint8_t *)place.host;
    while (!__atomic_compare_exchange_n(place.host, &old, (uint8_t)((old | set) & ~clear), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    report_code_store(cpu, &place, 1);
}

unsigned mmu_set_for_cpl(const Cpu *cpu, unsigned cpl)
{
    if (cpl == 3)
        return MMU_USER;
    return (cpu->cr4 & CR4_SMAP) && (cpu->rflags & RFLAGS_AC) ? MMU_SUPERVISOR_USER
                                                              : MMU_SUPERVISOR;
}

void mmu_probe_as(Cpu *cpu, unsigned set, uint64_t linear, unsigned length, MmuAccess access)
{
    const TlbSet *tlb = &cpu->tlb[set];
    const uint64_t *tags = access == ACCESS_WRITE ? tlb->store_tag : tlb->load_tag;

    linear = wrap(cpu, linear);
    for (unsigned done = 0; done < length;) {
        uint64_t at = wrap(cpu, linear + done);
        Place place;

        if (at - tags[cpu_tlb_index(at)] >= GUEST_PAGE_SIZE)
            resolve(cpu, set, at, access, &place);
        done += GUEST_PAGE_SIZE - (at & 0xfff);
    }
}

void mmu_probe(Cpu *cpu, uint64_t linear, unsigned length, MmuAccess access)
{
    mmu_probe_as(cpu, cpu_mmu_index(cpu), linear, length, access);
}

void mmu_load_bytes(Cpu *cpu, uint64_t linear, void *buffer, unsigned length)
{
    unsigned set = cpu_mmu_index(cpu);

    linear = wrap(cpu, linear);
    if (UNLIKELY(cpu->mode & (MODE_AC | MODE_DEBUG)))
        check_odd(cpu, linear, length, ACCESS_READ);
    note_access(cpu, linear, length, ACCESS_READ);
    mmu_probe_as(cpu, set, linear, length, ACCESS_READ);
    for (unsigned done = 0; done < length;) {
        uint64_t at = wrap(cpu, linear + done);
        unsigned left = GUEST_PAGE_SIZE - (at & 0xfff);
        unsigned piece = left < length - done ? left : length - done;
        Place place;

        find_byte(cpu, set, at, ACCESS_READ, &place);
        place_read_bytes(cpu, &place, (uint8_t *)buffer + done, piece);
        done += piece;
    }
}

void mmu_store_bytes(Cpu *cpu, uint64_t linear, const void *buffer, unsigned length)
{
    unsigned set = cpu_mmu_index(cpu);

    linear = wrap(cpu, linear);
    if (UNLIKELY(cpu->mode & (MODE_AC | MODE_DEBUG)))
        check_odd(cpu, linear, length, ACCESS_WRITE);
    note_access(cpu, linear, length, ACCESS_WRITE);
    mmu_probe_as(cpu, set, linear, length, ACCESS_WRITE);
    for (unsigned done = 0; done < length;) {
        uint64_t at = wrap(cpu, linear + done);
        unsigned left = GUEST_PAGE_SIZE - (at & 0xfff);
        unsigned piece = left < length - done ? left : length - done;
        Place place;

        find_byte(cpu, set, at, ACCESS_WRITE, &place);
        place_write_bytes(cpu, &place, (const uint8_t *)buffer + done, piece);
        done += piece;
    }
}

/* Pages that are neighbours in host memory, too, as those of a large page always are, are reached
 * by one pointer. */
static void *pointer_over_pages(Cpu *cpu, unsigned set, uint64_t linear, MmuAccess access)
{
    Place pages[2];

    find_both(cpu, set, linear, access, pages);
    if (!pages[0].host || pages[0].code || pages[1].code)
        return NULL;
    bool neighbours = pages[1].host == pages[0].host + (GUEST_PAGE_SIZE - (linear & 0xfff));
    return neighbours && !(cpu->mode & MODE_WATCHED) ? pages[0].host : NULL;
}

void *mmu_host_pointer(Cpu *cpu, uint64_t linear, unsigned size, MmuAccess access)
{
    unsigned set = cpu_mmu_index(cpu);
    const TlbSet *tlb = &cpu->tlb[set];
    const uint64_t *tags = access == ACCESS_WRITE ? tlb->store_tag : tlb->load_tag;
    Place place;

    linear = wrap(cpu, linear);
    if (UNLIKELY(cpu->mode & (MODE_AC | MODE_DEBUG)))
        check_odd(cpu, linear, size, access);
    unsigned i = cpu_tlb_index(linear);
    if (LIKELY(linear - tags[i] <= GUEST_PAGE_SIZE - size))
        return (uint8_t *)(tlb->delta[i] + linear);
    if ((linear & 0xfff) + size > GUEST_PAGE_SIZE)
        return pointer_over_pages(cpu, set, linear, access);
    resolve(cpu, set, linear, access, &place);
    if (UNLIKELY(cpu->mode & MODE_WATCHED) &&
        debug_page_is_watched(cpu, linear, access == ACCESS_WRITE ? DEBUG_WRITE : DEBUG_READ))
        return NULL;
    return place.code ? NULL : place.host;
}

void *mmu_locked_pointer(Cpu *cpu, uint64_t linear, unsigned size)
{
    unsigned set = cpu_mmu_index(cpu);
    Place place;

    linear = wrap(cpu, linear);
    if (UNLIKELY(cpu->mode & (MODE_AC | MODE_DEBUG)))
        check_odd(cpu, linear, size, ACCESS_WRITE);
    if (mmu_splits_line(linear, size)) {
        mmu_probe_as(cpu, set, linear, size, ACCESS_WRITE);
        return NULL;
    }
    const TlbSet *tlb = &cpu->tlb[set];
    unsigned i = cpu_tlb_index(linear);
    if (LIKELY(linear - tlb->store_tag[i] < GUEST_PAGE_SIZE))
        return (uint8_t *)(tlb->delta[i] + linear);
    resolve(cpu, set, linear, ACCESS_WRITE, &place);
    if (UNLIKELY(cpu->mode & MODE_WATCHED) && place.host)
        debug_note_access(cpu, linear, size, DEBUG_ACCESS);
    return place.host;
}

void mmu_locked_done(Cpu *cpu, uint64_t linear, unsigned size)
{
    unsigned set = cpu_mmu_index(cpu);
    Place place;
    uint32_t error;

    linear = wrap(cpu, linear);
    if (linear - cpu->tlb[set].store_tag[cpu_tlb_index(linear)] >= GUEST_PAGE_SIZE &&
        try_resolve(cpu, set, linear, ACCESS_WRITE, &place, &error) && place.host)
        report_code_store(cpu, &place, size);
}

/* --- instruction fetch -------------------------------------------------------------------------
 */

enum { FETCH_DEVICE = -1, FETCH_FAULT = -2 };

static int fetch_fill(Cpu *cpu, uint64_t linear, Place *place, uint32_t *error)
{
    bool user = cpu->cpl == 3;
    FetchTlb *fetch = &cpu->fetch[user];
    unsigned i = cpu_fetch_index(linear);
    PageWalk walk;
    MemoryTarget target;

    cpu->count_tlb_misses++;
    if (!paging_walk(cpu, linear, user ? MMU_USER : MMU_SUPERVISOR, ACCESS_FETCH, &walk)) {
        *error = walk.error;
        return FETCH_FAULT;
    }
    if (!find_place(cpu, walk.physical, place, &target))
        return FETCH_DEVICE;
    fetch->tag[i] = linear & GUEST_PAGE_MASK;
    fetch->host[i] = (uintptr_t)place->host & GUEST_PAGE_MASK;
    fetch->ram[i] = place->block->id_base + (place->block_offset & GUEST_PAGE_MASK);
    fetched_note(cpu, user, linear, fetch->ram[i], &walk);
    map_fill(&cpu->fetch_map[user], i, &walk);
    return (int)i;
}

static int fetch_find(Cpu *cpu, uint64_t linear, Place *place, uint32_t *error)
{
    unsigned i = cpu_fetch_index(linear);

    if (LIKELY(linear - cpu->fetch[cpu->cpl == 3].tag[i] < GUEST_PAGE_SIZE))
        return (int)i;
    return fetch_fill(cpu, linear, place, error);
}

int mmu_fetch_entry(Cpu *cpu, uint64_t linear)
{
    Place place;
    uint32_t error;

    linear = wrap(cpu, linear);
    int i = fetch_find(cpu, linear, &place, &error);
    if (i == FETCH_FAULT)
        cpu_raise_pf(cpu, linear, error);
    return i;
}

unsigned mmu_fetch(Cpu *cpu, uint64_t linear, uint8_t *buffer, unsigned needed)
{
    unsigned have = 0;

    while (have < FETCH_MAX) {
        uint64_t at = wrap(cpu, linear + have);
        unsigned left = GUEST_PAGE_SIZE - (at & 0xfff);
        Place place;
        uint32_t error;

        /* A page that nobody may need is not even looked at: its accessed bit stays. */
        if (have >= (needed ? needed : 1))
            break;
        int i = fetch_find(cpu, at, &place, &error);

        if (i == FETCH_FAULT)
            cpu_raise_pf(cpu, at, error);
        if (i == FETCH_DEVICE) {
            /* One byte at a time: reading may have effects. */
            buffer[have++] = (uint8_t)place_read(cpu, &place, 1);
            continue;
        }
        const FetchTlb *fetch = &cpu->fetch[cpu->cpl == 3];
        const uint8_t *host = (const uint8_t *)(fetch->host[i] + (at - fetch->tag[i]));
        for (; left && have < FETCH_MAX; left--)
            buffer[have++] = *(const volatile uint8_t *)host++;
    }
    return have;
}

/* --- the rest ----------------------------------------------------------------------------------
 */

void mmu_load_pdptes(Cpu *cpu, uint64_t cr3)
{
    /* Bits 2:1, 8:5 and above MAXPHYADDR are reserved in a present PDPTE (SDM table 4-8). */
    const uint64_t reserved = 0x1e6ull | ~(((uint64_t)1 << CPUID_PHYSICAL_BITS) - 1);
    uint64_t pdpte[4];

    for (unsigned i = 0; i < 4; i++) {
        Place place;
        MemoryTarget target;

        find_place(cpu, paging_a20(cpu, (cr3 & 0xffffffe0) + i * 8), &place, &target);
        pdpte[i] = place_read(cpu, &place, 8);
        if ((pdpte[i] & 1) && (pdpte[i] & reserved))
            cpu_raise_error(cpu, EXC_GP, 0);
    }
    for (unsigned i = 0; i < 4; i++)
        cpu->pdpte[i] = pdpte[i];
}

bool mmu_translate_debug(Cpu *cpu, uint64_t linear, uint64_t *physical)
{
    PageWalk walk;

    if (!paging_walk_debug(cpu, wrap(cpu, linear), &walk))
        return false;
    *physical = walk.physical;
    return true;
}
