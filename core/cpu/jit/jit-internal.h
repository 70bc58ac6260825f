/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * What the parts of the JIT share.
 *
 * Host registers in generated code: RSP is the Cpu. Guest registers live in the host registers of
 * the same number, except guest RSP in r15 and guest r10, r11, r15 in Cpu.gpr[]; host r10 and r11
 * are temporaries. Arithmetic flags are in host EFLAGS or, after a check had to clobber them, in
 * SLOT_FLAGS; the other flags are in Cpu.rflags.
 *
 * Blocks are position independent: SLOT_PAGE holds the guest RIP of the first byte of the current
 * code page, and blocks know only offsets in their page.
 */

#include "core/cpu/decode.h"
#include "core/cpu/jit/emit.h"
#include "core/cpu/jit/jit.h"
#include "core/cpu/mmu.h"

#define JIT_VECTOR_SAFE __attribute__((target("general-regs-only")))

/* Cpu.jit[] */
enum {
    SLOT_PAGE,     /* guest RIP of the code page's first byte (of a 16-bit IP maybe below 0) */
    SLOT_TARGETS,  /* the current context's table of indirect targets */
    SLOT_FLAGS,    /* AH: SF ZF AF PF CF as LAHF gives, AL: OF; or JitFlags */
    SLOT_HOST_RSP, /* the C stack */
    SLOT_SITE,     /* where generated code left */
    SLOT_TEMP,     /* value between two accesses of one instruction */
    SLOT_SCRATCH,
    SLOT_TRAP,        /* host address of an instruction that trapped */
    SLOT_STATE,       /* JitCpu */
    SLOT_LIMITS = 12, /* [segment * 2 + store]: last accessible offset or -1 */
    /* Counts the flushes of supervisor and user code pages: what a link to another page was made
       under. */
    SLOT_EPOCH = SLOT_STATE + 1,    /* two, 0 to INT32_MAX */
    SLOT_GROUPS = SLOT_LIMITS + 12, /* from guest to host address, of a block's access groups */
    N_GROUP_SLOTS = 8,
    SLOT_NOTES = SLOT_GROUPS + N_GROUP_SLOTS, /* two: operands that JitFlags name */
    SLOT_NOTED_CARRY = SLOT_NOTES + 2,        /* CF before an operation */
    N_SLOTS,
};
_Static_assert(N_SLOTS <= sizeof((Cpu){0}.jit) / 8, "Cpu.jit");

/* What the arithmetic flags come from, so that they can be had when they are seen after all. */
typedef enum {
    FLAGS_NONE,       /* nobody may see them, or they are in EFLAGS */
    FLAGS_SAVED,      /* in SLOT_FLAGS */
    FLAGS_AS_ENTERED, /* saved, or SLOT_FLAGS says where they are */
    FLAGS_ADD,        /* first + second */
    FLAGS_ADD_RESULT, /* something + second, first is the result */
    FLAGS_ADD_OLD,    /* first + something, second is the result */
    FLAGS_SUB,        /* the same for first - second, */
    FLAGS_SUB_RESULT,
    FLAGS_SUB_OLD,
    FLAGS_NEG_RESULT, /* 0 - something, first is the result */
    FLAGS_ADC_RESULT, /* something + second + the noted carry, first is the result */
    FLAGS_SBB_RESULT, /* something - second - the noted carry */
    FLAGS_INC_RESULT, /* something + 1, CF is the noted carry */
    FLAGS_DEC_RESULT,
    FLAGS_MUL,   /* first is the result's upper half */
    FLAGS_IMUL,  /* first * second, of which the lower half is kept */
    FLAGS_LOGIC, /* first is the result */
    FLAGS_TEST,  /* first & second */
    FLAGS_SHL,   /* first by second */
    FLAGS_SHR,
    FLAGS_SAR,
} JitFlagsOrigin;

/* Self-contained, since it may outlive the code that names it. What SLOT_FLAGS holds is this where
 * a block was entered whose handlers of faults may see flags that it does not need itself. */
typedef union {
    struct {
        uint32_t kind : 5; /* JitFlagsOrigin */
        uint32_t size : 2; /* of the operands: 1 << SIZE bytes */
        uint32_t : 2;
        uint32_t saved : 1; /* in SLOT_FLAGS: this is what LAHF gave, bit 1 of AH */
        uint32_t first : 5; /* general register, FLAGS_NOTED +, FLAGS_CONSTANT */
        uint32_t second : 5;
        int32_t constant : 12;
    };
    uint32_t packed;
} JitFlags;
enum {
    FLAGS_NOTED = N_GPR, /* SLOT_NOTES, two */
    FLAGS_CONSTANT = FLAGS_NOTED + 2,
    FLAGS_WIDE_CONSTANT, /* that does not fit: in the table of traps before them */
};
_Static_assert(sizeof(JitFlags) == 4, "stored as an immediate");

/* What jit_run() must leave to its caller or to the interpreter, one instruction after the other.
 */
#define MODE_INTERPRETED           (MODE_TF | MODE_DEBUG | MODE_AC)

#define OFFSET_GPR(n)              ((int32_t)(offsetof(Cpu, gpr) + 8 * (n)))
#define OFFSET_SLOT(n)             ((int32_t)(offsetof(Cpu, jit) + 8 * (n)))
#define OFFSET_RIP                 ((int32_t)offsetof(Cpu, rip))
#define OFFSET_RFLAGS              ((int32_t)offsetof(Cpu, rflags))
#define OFFSET_REQUESTS            ((int32_t)offsetof(Cpu, requests))
#define OFFSET_SITE(set, store, n) ((int32_t)offsetof(Cpu, sites[set][store].pages[n]))
#define OFFSET_RETURNS(set, field) ((int32_t)offsetof(Cpu, returns[set].field))
#define OFFSET_VECTORS_LIVE        ((int32_t)offsetof(Cpu, vectors_live))

/* Cpu's comment says why: what is stored often, */
#define STORED_OFTEN(member)                                                                       \
    _Static_assert(offsetof(Cpu, member) + sizeof((Cpu){0}.member) <= CPU_RENAMED_BYTES / 2,       \
                   #member)
/* and what is loaded. */
#define LOADED_OFTEN(member)                                                                       \
    _Static_assert(offsetof(Cpu, member) % CPU_RENAMED_BYTES >= CPU_RENAMED_BYTES / 2 &&           \
                       offsetof(Cpu, member) % CPU_RENAMED_BYTES + sizeof((Cpu){0}.member) <=      \
                           CPU_RENAMED_BYTES,                                                      \
                   #member)
STORED_OFTEN(gpr);
STORED_OFTEN(jit);
LOADED_OFTEN(sites[MMU_SUPERVISOR][0].pages);
LOADED_OFTEN(sites[MMU_USER][1].pages);
LOADED_OFTEN(seg);
LOADED_OFTEN(cr4);
LOADED_OFTEN(tsc_offset);
_Static_assert(sizeof(SiteSet) == CPU_RENAMED_BYTES, "the next set's pages are loaded often, too");

/* Why generated code came back. */
typedef enum {
    LEFT_DONE,     /* a helper left everything in the Cpu */
    LEFT_LINK,     /* a direct exit without a block: SLOT_SITE at its number */
    LEFT_INDIRECT, /* Cpu.rip is the target; flags in SLOT_FLAGS */
    LEFT_REQUEST,  /* SLOT_SITE at the offset to go on from; flags in SLOT_FLAGS */
    LEFT_DEAD,     /* entered a block that has been invalidated: SLOT_SITE behind its entry */
    LEFT_TRAP,     /* SLOT_TRAP */
} JitLeft;

/* Where in the guest's code something stands: behind the CALL of a slow path, in the table of
 * traps. */
typedef struct {
    uint16_t offset;     /* of the instruction in its page */
    uint8_t size;        /* of the access; of the instruction */
    uint8_t flags;       /* SITE_* */
    uint16_t x87_offset; /* of the x87 instruction still to be noted, or NO_X87 */
    union {
        uint16_t x87_opcode; /* its FOP, segment << 11, X87_HAS_MEMORY */
        uint16_t source;     /* without one: SOURCE_KNOWN + the general register that MOV stores */
    };
    uint16_t mnemonic; /* ZydisMnemonic, to be counted */
    JitFlags flags_from;
} __attribute__((packed)) JitSite;
enum {
    SITE_STORE = 1,
    SITE_STAYS = 2,   /* the block goes on behind the interpreted instruction */
    SITE_X87 = 4,     /* the instruction may have an x87 exception waiting */
    SITE_ALIGNED = 8, /* an address that is no multiple of the size is #GP */
    SITE_CUT = 16,    /* the instruction ends on a page that was not known */
};
enum { NO_X87 = 0xffff, X87_HAS_MEMORY = 0x8000, SOURCE_KNOWN = 0x100 };

enum { KEY_UNGROUPED = 1u << 31 }; /* in JitKey.mode: each access is checked alone */
typedef struct {
    uint64_t ram;      /* RAM address of the first instruction */
    uint32_t mode;     /* MODE_*, KEY_UNGROUPED */
    uint32_t eip_base; /* 0 where EIP is the linear address; else SLOT_PAGE */
    uint32_t limit;    /* of CS; ~0 where not checked */
} JitKey;

/* What system.c is called for: MOVS and STOS, */
typedef union {
    struct {
        uint8_t size; /* of an element */
        uint8_t seg;  /* of the source */
        bool repeated, moves;
    };
    uint32_t packed;
} JitString;
/* and instructions that go to another privilege level. */
typedef enum {
    TRANSFER_SYSCALL,
    TRANSFER_SYSRET_32,
    TRANSFER_SYSRET_64,
    TRANSFER_IRETQ,
} JitTransfer;

/* Where a host exception may come from. Behind one with TRAP_X87 another record has the
 * x87 instruction that its JitSite names. One with TRAP_FLAGS is before those whose flags it has.
 */
typedef struct {
    uint16_t host_offset; /* from the block's entry; TRAP_FLAGS */
    union {
        struct {
            uint16_t where; /* the instruction's offset in its page, TRAP_X87 */
            uint16_t mnemonic;
        };
        struct {
            uint16_t x87_offset, x87_opcode;
        };
        struct {
            union {
                JitFlags flags_from;
                int32_t constant;
            };
        } __attribute__((packed, aligned(2)));
    };
} JitTrap;
enum { TRAP_OFFSET = 0xfff, TRAP_X87 = 1 << 13, TRAP_FLAGS = 1 << 15 };
_Static_assert(sizeof(JitTrap) == 6, "one for each access to memory");

typedef struct JitPage JitPage;
typedef struct JitBlock JitBlock;
struct JitBlock {
    JitKey key;
    uint8_t *entry;          /* writable address; flags in EFLAGS */
    uint8_t *indirect_entry; /* from the target table: r10 is RIP, flags in SLOT_FLAGS */
    uint32_t code_size;
    uint32_t granules; /* 128-byte pieces of the page it depends on */
    bool valid : 1;
    bool live_in : 1;       /* whether it needs the arithmetic flags it is entered with */
    bool shown_in : 1;      /* whether a handler of its faults may see those, */
    uint16_t shown_changed; /* and bits of the general registers that change before it last may */
    uint8_t tier : 2;       /* 1, or 2 with SitePages: time is spent there */
    uint16_t n_traps;
    uint32_t first_trap; /* number in JitCpu.traps */
    uint32_t far_links;  /* number + 1 in JitCpu.far_links: who leads here by one */
    JitPage *page;
    JitBlock *next_in_page;
};

/* Where a page's blocks are looked up by their keys. */
typedef struct {
    uint16_t offset; /* in the page, or EMPTY_SLOT, DELETED_SLOT */
    uint16_t tag;    /* of the rest of the key */
    uint32_t number; /* of the block */
} JitSlot;
enum { EMPTY_SLOT = 0xffff, DELETED_SLOT = 0xfffe };

/* A guest page with translations. */
struct JitPage {
    uint64_t ram;
    JitSlot *slots; /* open addressing */
    /* Bits of the offsets where a block begins, or once did. */
    uint64_t begun[GUEST_PAGE_SIZE / 64];
    uint32_t slot_mask, slots_used /* the deleted included */;
    RamBlock *ram_block;
    uint64_t ram_offset;
    uint32_t granules;      /* of all its blocks */
    uint32_t invalidations; /* recently */
    uint32_t interpret;     /* instructions still to be interpreted: the page changes too often */
    uint64_t claim; /* number of the note of PAGE_HAS_CODE, set for this vCPU too; 0: it is not */
    bool settled;   /* every other vCPU has taken that note */
    /* 128-byte pieces where time is spent, where SitePages did not pay; how often seen. */
    uint32_t busy, no_sites;
    uint8_t samples[32];
    /* Where the page was last entered, by supervisor and user code; at two addresses within one
     * epoch: its blocks cannot know what is next to it. */
    struct {
        uint64_t linear;
        uint32_t epoch; /* + 1 */
    } seen[2];
    bool aliased;
    JitBlock *blocks;
    uint32_t crossings; /* number + 1 in JitCpu.crossings: instructions that end here */
    JitPage *next_in_bucket;
};

/* A block of one instruction that begins on one page and ends on the next. */
typedef struct {
    JitBlock *block;
    uint64_t ram;          /* of the second page */
    uint8_t *page, *epoch; /* fields of its code: SLOT_PAGE and the count of flushes under which RAM
                             was known to come next */
    uint32_t next;         /* on the second page, number + 1 */
} JitCrossing;

/* A way out of a block: there are three or four a block, so places in the cache are its offsets and
 * blocks are their numbers. */
typedef struct {
    uint32_t block;
    uint32_t site;     /* rel32 to patch */
    uint32_t unlinked; /* code that comes back for a link */
    uint32_t linked;   /* of a far one, a return: number + 1 of the block that it leads to */
    uint32_t epoch;    /* of a far one: imm32 of the present link */
    int32_t target;    /* offset in the page */
    /* To another mode: so far before SITE is the imm64 of its context's targets, for SLOT_TARGETS.
     */
    uint16_t targets_before;
    uint8_t relinks;
    bool ungrouped : 1;   /* leads to a block with KEY_UNGROUPED */
    bool far : 1;         /* leads to another page */
    bool returns : 1;     /* behind a call: SITE is of a LEA that a return jumps through */
    bool flags_saved : 1; /* in SLOT_FLAGS, of a far one; else in EFLAGS */
    bool live : 1;        /* what comes needs the flags, */
    bool shown : 1;       /* may show them; else it overwrites those it does not need at once */
    JitFlags flags_from;  /* of a far one */
} JitExit;

/* An exit, far or of a return, that once led to a block, and must not when that is gone. */
typedef struct {
    uint32_t exit;
    uint32_t next; /* number + 1 */
} JitFarLink;

typedef struct {
    uint64_t rip;
    const void *code; /* executable address */
} JitTarget;
enum {
    N_TARGETS = 1 << 16, /* emit_target_address() takes the lower 16 bits */
    TARGETS_IN_LINE = 4, /* any of which may have a target, tried from the one it hashes to */
    N_CONTEXTS = 8,
    MAX_PINNED = N_CONTEXTS / 2,
    N_PAGE_BUCKETS = 1 << 13,
};

/* A part of the cache, filled and emptied as a whole: one whose blocks are mostly gone, or else the
 * oldest, gives way to new blocks. What its blocks need has its places in the tables, too. */
typedef struct {
    uint8_t *hot, *cold, *end;                    /* hot code up to COLD, cold code from there */
    uint32_t first_block, first_exit, first_trap; /* numbers */
    uint32_t n_blocks, n_exits, n_traps;          /* used; blocks by ascending entry */
    uint32_t n_invalid;                           /* of the blocks */
    uint64_t age;                                 /* when it began to be filled */
    size_t used;                                  /* bytes, when it is no longer filled */
    bool large_pages;                             /* its memory has been asked to be in such */
    /* Up to where memory is present: of the two kinds of code, and of the tables. */
    uint8_t *hot_present, *cold_present, *blocks_present, *exits_present, *traps_present;
} JitRegion;

/* RIP to code for indirect branches within one mode. */
typedef struct {
    uint32_t mode, base, limit;
    bool in_use;
    bool pinned; /* code knows it as that mode's until the cache is flushed */
    JitTarget *targets;
    /* Of the targets' cache lines, since they were cleared. */
    bool used;
    uint64_t lines_used[N_TARGETS / TARGETS_IN_LINE / 64];
} JitContext;

/* A note to a vCPU about code; all of a machine's are numbered in turn, from 1. */
typedef struct {
    uint64_t ram;      /* page */
    uint32_t granules; /* written, or 0: it is a code page now, stores to it are to be seen */
    uint64_t number;
} JitStale;

/* A RAM page that is marked PAGE_HAS_CODE. */
typedef struct {
    gint64 ram;
    unsigned n_cpus; /* that have claimed it */
    uint64_t claim;  /* number of the note that told the others */
} JitCodePage;

/* Where translated code was found running. */
typedef struct {
    uint64_t rip;
    uint64_t mode;
} JitSample;
enum {
    N_SAMPLES = 1024,
    SAMPLE_TICKS = 1000000, /* of the TSC between two samples, at least: some 0.3 ms */
};

typedef struct JitPerf JitPerf;

typedef struct {
    Jit *jit;
    Cpu *cpu;
    /* the cache: one memfd at two addresses; behind the stubs its regions */
    int fd;
    uint8_t *rw;
    const uint8_t *rx;
    size_t size;
    JitRegion *regions, *region /* that is filled */;
    unsigned n_regions;
    size_t region_bytes;
    uint8_t *hot, *cold; /* where the next block's code goes */
    uint64_t age;        /* counts regions begun */
    uint64_t generation; /* counts what takes blocks away that were not invalid */
    /* shared pieces of generated code */
    const uint8_t *stub_enter, *stub_leave, *stub_trap; /* enter, trap: executable addresses */
    uint8_t *stub_slow, *stub_interp, *stub_string, *stub_transfer, *stub_crossing, *stub_link,
        *stub_link_saved, *stub_request, *stub_indirect, *stub_target, *stub_dead, *stub_vectors,
        *stub_site[N_MMU][2];

    /* Tables with a part for each region, which take no memory until they are used. */
    JitBlock *blocks;
    JitExit *exits;
    JitTrap *traps;
    uint32_t region_blocks, region_exits, region_traps; /* how many a region has places for */
    GArray *far_links;                                  /* JitFarLink */
    GArray *crossings;                                  /* JitCrossing */
    uint32_t free_far_link;                             /* number + 1 of the first */
    uint32_t free_crossing;
    JitPage *page_buckets[N_PAGE_BUCKETS];
    /* Where the fetch TLBs' entries lead, if RAM is the same. */
    JitPage *fetched[2][FETCH_TLB_ENTRIES];
    JitContext contexts[N_CONTEXTS];
    unsigned next_context, n_pinned, next_target;
    JitContext *context;      /* of the running block, unless a link has led into another mode */
    uint32_t returns_mode[2]; /* but for MODE_MMU, of the code in `returns` of kernel and user */
    bool flush_first;         /* epochs start anew: no link may be used */
    bool evict_first;         /* no room for a link */
    unsigned next_site[2];    /* to be given to a place that loads, stores */
    JitBlock *site_owners[2][N_SITES];
    uint64_t last_sample;         /* host TSC */
    JitSample samples[N_SAMPLES]; /* the newest; others read them */
    uint64_t n_samples, last_noted;
    bool leave; /* something changed under the running block */

    DecodeCache *decoded;

    GMutex stale_lock;
    GArray *stale;                 /* JitStale from other threads, in order */
    _Atomic uint64_t oldest_stale; /* number of the first, 0 without any */

    JitPerf *perf; /* NULL: off */
    JitStatistics statistics;
    /* By mnemonic; those for which there is no block as ZYDIS_MNEMONIC_INVALID. */
    uint64_t interpreted[ZYDIS_MNEMONIC_MAX_VALUE + 1];
} JitCpu;

struct Jit {
    JitOptions options;
    GMutex lock;
    bool no_cache;          /* the host refused memory for one */
    GPtrArray *cpus;        /* JitCpu */
    GHashTable *code_pages; /* JitCodePage by its RAM page */
    uint64_t n_notes;
};

JIT_VECTOR_SAFE static inline bool jit_key_equal(const JitKey *a, const JitKey *b)
{
    return a->ram == b->ram && a->mode == b->mode && a->eip_base == b->eip_base &&
           a->limit == b->limit;
}

JIT_VECTOR_SAFE static inline uint8_t *jit_rw(const JitCpu *jc, const void *rx)
{
    return jc->rw + ((const uint8_t *)rx - jc->rx);
}

JIT_VECTOR_SAFE static inline const uint8_t *jit_rx(const JitCpu *jc, const void *rw)
{
    return jc->rx + ((const uint8_t *)rw - jc->rw);
}

JIT_VECTOR_SAFE static inline JitCpu *jit_state(const Cpu *cpu)
{
    return (JitCpu *)cpu->jit[SLOT_STATE];
}

/* One more in a counter of the vCPU's own, which other threads read. */
JIT_VECTOR_SAFE static inline void jit_count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

JIT_VECTOR_SAFE static inline JitBlock *jit_block(const JitCpu *jc, uint32_t number)
{
    return &jc->blocks[number];
}

JIT_VECTOR_SAFE static inline uint32_t jit_block_number(const JitCpu *jc, const JitBlock *block)
{
    return (uint32_t)(block - jc->blocks);
}

/* The place at OFFSET in the cache, and back. */
JIT_VECTOR_SAFE static inline uint8_t *jit_at(const JitCpu *jc, uint32_t offset)
{
    return jc->rw + offset;
}

JIT_VECTOR_SAFE static inline uint32_t jit_offset(const JitCpu *jc, const uint8_t *rw)
{
    return (uint32_t)(rw - jc->rw);
}

/* The lower 16 bits of TO, r8 to r15 or rax, = those of FROM from bit N, at most 16, up. Changes
 * EFLAGS and the rest of TO. */
static inline void emit_shifted(Emit *e, unsigned to, unsigned from, unsigned n)
{
    if (__builtin_cpu_supports("bmi2")) {
        emit_rorx(e, to, from, n);
    } else {
        emit_rr(e, false, 0x89, from, to);
        emit_rr(e, false, 0xc1, 5, to); /* shr */
        emit8(e, (uint8_t)n);
    }
}

/* r11 = where the current context would have the target r10. Changes EFLAGS. */
static inline void emit_target_address(Emit *e)
{
    emit_shifted(e, H_R11, H_R10, 12);
    emit_rr(e, false, 0x31, H_R10, H_R11);   /* xor */
    emit_rr(e, false, 0x0fb7, H_R11, H_R11); /* movzx */
    emit_rr(e, false, 0xc1, 4, H_R11);       /* shl: sizeof(JitTarget) */
    emit8(e, 4);
    emit_rm(e, true, 0x03, H_R11, H_RSP, OFFSET_SLOT(SLOT_TARGETS));
}

/* Makes CC_A hold if r10 is no canonical address. Changes r11. */
static inline void emit_test_canonical(Emit *e)
{
    emit_mov_rr(e, H_R11, H_R10);
    emit_rr(e, true, 0xc1, 7, H_R11); /* sar */
    emit8(e, 47);
    emit_alu_imm(e, true, 0, H_R11, 1);
    emit_alu_imm(e, true, 7, H_R11, 1);
}

/* TO, r8 to r15 or rax, = cpu_tlb_index() of ADDRESS. Changes EFLAGS. */
static inline void emit_tlb_index(Emit *e, unsigned to, unsigned address)
{
    emit_shifted(e, to, address, GUEST_PAGE_SHIFT);
    emit_rr(e, false, 0x0fb7, to, to); /* movzx */
}

/* large-pages.c: asks the host for large pages for memory in whole ones, seen at RW and at RX.
 * Waits a few milliseconds; false if they are not there by then. */
bool jit_make_pages_large(uint8_t *rw, const uint8_t *rx, size_t bytes);

/* cache.c */
/* NULL, with a warning, when the host refuses the memory. */
JitCpu *jit_cpu_new(Jit *jit, Cpu *cpu);
void jit_cpu_free(JitCpu *jc);
void jit_cache_flush(JitCpu *jc);
/* The blocks of a region go if all are in use, and new ones take their place. No code is running.
 */
void jit_cache_evict(JitCpu *jc);
/* For the code of a link at jc->cold. */
bool jit_cache_has_room_for_link(const JitCpu *jc);
/* An empty block, to be filled and inserted; evicts when there is no room for it or its code. */
JitBlock *jit_cache_new_block(JitCpu *jc);
/* Exits and traps of the newest block; the number of the exit. */
uint32_t jit_cache_add_exit(JitCpu *jc, JitExit exit);
void jit_cache_add_trap(JitCpu *jc, JitTrap trap);
/* The newest block, with entry, code and key, becomes one of PAGE's. */
void jit_cache_insert(JitCpu *jc, JitPage *page, JitBlock *block);
void jit_cache_remove(JitCpu *jc, JitBlock *block);
/* Bytes of code. */
size_t jit_cache_used(const JitCpu *jc);
static inline const uint8_t *jit_region_start(const JitCpu *jc, const JitRegion *region)
{
    return region->end - jc->region_bytes;
}
JIT_VECTOR_SAFE static inline bool jit_region_has(const JitCpu *jc, const JitRegion *region,
                                                  const JitBlock *block)
{
    return jit_block_number(jc, block) - region->first_block < region->n_blocks;
}
JitBlock *jit_cache_block_at(JitCpu *jc, const uint8_t *rw);
JitContext *jit_cache_context(JitCpu *jc, uint32_t mode, uint32_t base, uint32_t limit);
/* CONTEXT stays what it is, for code to name it. False when too many others do. */
bool jit_cache_pin_context(JitCpu *jc, JitContext *context);
/* Lets indirect branches to RIP in the current context find BLOCK. */
void jit_cache_put_target(JitCpu *jc, uint64_t rip, const JitBlock *block);
/* Forgets where calls come back to. SETS: 1 for code of levels 0 to 2, 2 for level 3. */
void jit_cache_forget_returns(JitCpu *jc, unsigned sets);
/* That, and where other indirect branches lead. */
void jit_cache_forget_targets(JitCpu *jc, unsigned sets);
JIT_VECTOR_SAFE static inline unsigned jit_target_index(uint64_t rip)
{
    return ((uint32_t)rip ^ (uint32_t)rip >> 12) & (N_TARGETS - 1);
}

/* pages.c */
/* The page at RAM, or NULL. */
JitPage *jit_page_find(JitCpu *jc, uint64_t ram);
/* Whether a block begins at OFFSET of PAGE that has groups and is like BLOCK in all else. */
bool jit_page_has_block(JitCpu *jc, const JitPage *page, unsigned offset, const JitBlock *block);
JitPage *jit_page_new(JitCpu *jc, uint64_t ram);
void jit_page_free(JitPage *page);
/* The block for KEY, on the page that entry I of the fetch TLB SET leads to; or NULL. */
JitBlock *jit_page_fetched_block(JitCpu *jc, unsigned set, unsigned i, const JitKey *key);
/* Block NUMBER can be found, can no longer be found. */
void jit_page_insert(JitCpu *jc, JitPage *page, uint32_t number);
void jit_page_remove(JitCpu *jc, JitPage *page, const JitBlock *block);

/* stubs.c */
void jit_emit_stubs(JitCpu *jc, Emit *e);

/* translate-control.c */
/* Connects exit NUMBER, to another page, with BLOCK. */
void jit_link_far(JitCpu *jc, uint32_t number, JitBlock *block);
/* Makes exit NUMBER, behind a call, return to BLOCK. */
void jit_link_return(JitCpu *jc, uint32_t number, JitBlock *block);
/* BLOCK goes: who leads to it comes back for a link. */
void jit_unlink_far(JitCpu *jc, JitBlock *block);
/* No block outside leads into REGION any more, whose own blocks are not valid. */
void jit_unlink_region(JitCpu *jc, const JitRegion *region);
/* No block of PAGE leads to another page any more, until it is linked again. */
void jit_unlink_page(JitCpu *jc, const JitPage *page);

/* translate.c: vectors spilled. Bytes are read from the page at HOST_PAGE. */
JitBlock *jit_translate(JitCpu *jc, const JitKey *key, const uint8_t *host_page);

/* run.c: called by generated code */
/* The way into the block for an indirect branch to RIP, flags in SLOT_FLAGS; NULL to leave for it.
 */
const void *jit_helper_target(Cpu *cpu, uint64_t rip);
void *jit_helper_slow(Cpu *cpu, uint64_t linear, const JitSite *site);
uint64_t jit_helper_interp(Cpu *cpu, uint64_t unused, const JitSite *site);
void jit_helper_vectors(Cpu *cpu);
/* What helpers begin with: everything of the Cpu is as at SITE but the registers, which the stub
 * has stored. */
void jit_take_site(Cpu *cpu, const JitSite *site);
/* Indirect branches now look for their targets in CONTEXT, and returns for code of its mode. */
void jit_enter_context(JitCpu *jc, JitContext *context);
/* Executes the instruction at SITE. */
void jit_interpret_site(Cpu *cpu, const JitSite *site);

/* flags.c */
/* AH and AL of LAHF; SETO AL to RFLAGS. */
void jit_take_flags(Cpu *cpu, uint64_t ax);
/* The arithmetic flags to RFLAGS, unless they are FLAGS_NONE. Registers are in the Cpu. */
void jit_take_flags_from(Cpu *cpu, JitFlags origin);
/* RFLAGS to SLOT_FLAGS. */
void jit_put_flags(Cpu *cpu);
JIT_VECTOR_SAFE static inline JitFlags jit_flags_noted(const Cpu *cpu)
{
    JitFlags origin = {.packed = (uint32_t)cpu->jit[SLOT_FLAGS]};

    return origin.saved ? (JitFlags){.kind = FLAGS_SAVED} : origin;
}

/* system.c: called by generated code */
/* Returns 0 to leave. */
uint64_t jit_helper_string(Cpu *cpu, uint64_t string, const JitSite *site);
/* Returns the way on, or NULL to leave. */
const void *jit_helper_transfer(Cpu *cpu, uint64_t transfer, const JitSite *site);

/* translate-crossing.c: called by generated code */
uint64_t jit_helper_crossing(Cpu *cpu, uint64_t number, const JitSite *site);
/* A SITE_CUT was interpreted: its block may now be translated better. */
void jit_crossing_interpreted(Cpu *cpu, const JitSite *site);

/* smc.c */
void jit_smc_install(void);
JitPage *jit_smc_page(JitCpu *jc, uint64_t ram);
void jit_smc_add_block(JitCpu *jc, JitPage *page, JitBlock *block);
/* The number that the next crossing will have. */
uint32_t jit_smc_next_crossing(const JitCpu *jc);
/* CROSSING, of a block that has been added to its own page, ends on PAGE. */
void jit_smc_add_crossing(JitCpu *jc, JitPage *page, JitCrossing crossing);
/* All blocks of REGION go, and pages without others. */
void jit_smc_drop_region(JitCpu *jc, const JitRegion *region);
/* BLOCK alone goes, to be translated anew. */
void jit_smc_drop_block(JitCpu *jc, JitBlock *block);
void jit_smc_forget_all(JitCpu *jc);
/* The vCPU was seen between offsets FIRST and LAST of the page: what is often seen is translated
 * with more care. */
void jit_smc_sample(JitCpu *jc, uint64_t ram, unsigned first, unsigned last);
/* Whether a block that begins at RAM is to be translated with more care, and whether, if so, it
 * shall use SitePages. */
bool jit_smc_is_busy(const JitCpu *jc, const JitPage *page, uint64_t ram);
bool jit_smc_wants_sites(const JitPage *page, uint64_t ram);
/* BLOCK's SitePages miss too often. */
void jit_smc_give_up_sites(JitCpu *jc, JitBlock *block);
/* Whether a store to [OFFSET, OFFSET + LENGTH) of BLOCK cannot meet translated code. */
bool jit_smc_store_is_plain(JitCpu *jc, const RamBlock *block, uint64_t offset, unsigned length);

/* perf.c */
bool jit_perf_open(GError **error);
JitPerf *jit_perf_new(unsigned n_regions);
void jit_perf_free(JitPerf *perf);
/* BLOCK, just made, gets a line in the map. */
void jit_perf_add(JitCpu *jc, const JitBlock *block);
/* The blocks of region number REGION lose theirs. */
void jit_perf_forget(JitPerf *perf, unsigned region);

/* statistics.c */
/* The vCPU was found running at RIP when the host's TSC was NOW. */
void jit_note_sample(JitCpu *jc, uint64_t now);

/* trap.c */
void jit_trap_install(void);
void jit_trap_enter(JitCpu *jc); /* this thread now runs JC's code */
