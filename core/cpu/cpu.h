/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * One virtual CPU: its architectural state, the soft TLB that the interpreter and translated code
 * share, and its life as a thread.
 *
 * "SDM" is the Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3 unless said.
 *
 * Layout of a vCPU's memory (one mapping, used as its thread's stack):
 *
 *   low   guard | helper stack 512 KiB | struct Cpu | guard | C stack 1 MiB   high
 *
 * Translated code runs with host RSP == the Cpu's address, so that [rsp+disp] reaches the state and
 * a plain CALL to a C helper grows into the helper stack below it.
 *
 * Threads: a Cpu belongs to its vCPU thread; others touch only `requests` (through cpu_request())
 * and the fields read by cpu_is_halted(). Public functions say when the thread must be stopped.
 */

#include "core/cpu/second-tlb.h"
#include "core/memory/memory.h"

#include <setjmp.h>
#include <stdatomic.h>

#define CPU_HELPER_STACK (512 * 1024) /* bytes below the Cpu */

/* Of the host; and the first at or after an address or size. */
#define LARGE_PAGE       ((size_t)2 << 20)
#define LARGE_PAGE_UP(n) (((uintptr_t)(n) + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1))

/* Register numbers as encoded. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, N_GPR };
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, N_SEG };

enum {
    RFLAGS_CF = 1 << 0,
    RFLAGS_1 = 1 << 1,
    RFLAGS_PF = 1 << 2,
    RFLAGS_AF = 1 << 4,
    RFLAGS_ZF = 1 << 6,
    RFLAGS_SF = 1 << 7,
    RFLAGS_TF = 1 << 8,
    RFLAGS_IF = 1 << 9,
    RFLAGS_DF = 1 << 10,
    RFLAGS_OF = 1 << 11,
    RFLAGS_IOPL = 3 << 12,
    RFLAGS_NT = 1 << 14,
    RFLAGS_RF = 1 << 16,
    RFLAGS_VM = 1 << 17,
    RFLAGS_AC = 1 << 18,
    RFLAGS_VIF = 1 << 19,
    RFLAGS_VIP = 1 << 20,
    RFLAGS_ID = 1 << 21,
    RFLAGS_ARITH = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF,
};

#define CR0_PE         (1ull << 0)
#define CR0_MP         (1ull << 1)
#define CR0_EM         (1ull << 2)
#define CR0_TS         (1ull << 3)
#define CR0_ET         (1ull << 4)
#define CR0_NE         (1ull << 5)
#define CR0_WP         (1ull << 16)
#define CR0_AM         (1ull << 18)
#define CR0_NW         (1ull << 29)
#define CR0_CD         (1ull << 30)
#define CR0_PG         (1ull << 31)

#define CR4_VME        (1ull << 0)
#define CR4_PVI        (1ull << 1)
#define CR4_TSD        (1ull << 2)
#define CR4_DE         (1ull << 3)
#define CR4_PSE        (1ull << 4)
#define CR4_PAE        (1ull << 5)
#define CR4_MCE        (1ull << 6)
#define CR4_PGE        (1ull << 7)
#define CR4_PCE        (1ull << 8)
#define CR4_OSFXSR     (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_UMIP       (1ull << 11)
#define CR4_FSGSBASE   (1ull << 16)
#define CR4_PCIDE      (1ull << 17)
#define CR4_OSXSAVE    (1ull << 18)
#define CR4_SMEP       (1ull << 20)
#define CR4_SMAP       (1ull << 21)

#define EFER_SCE       (1ull << 0)
#define EFER_LME       (1ull << 8)
#define EFER_LMA       (1ull << 10)
#define EFER_NXE       (1ull << 11)
#define EFER_AIBRSE    (1ull << 21)

/* Exception vectors, SDM table 6-1. */
enum {
    EXC_DE,
    EXC_DB,
    EXC_NMI,
    EXC_BP,
    EXC_OF,
    EXC_BR,
    EXC_UD,
    EXC_NM,
    EXC_DF,
    EXC_CSO,
    EXC_TS,
    EXC_NP,
    EXC_SS,
    EXC_GP,
    EXC_PF,
    EXC_MF = 16,
    EXC_AC,
    EXC_MC,
    EXC_XM,
};

/* A segment register with its hidden part. ATTRIBUTES is the descriptor's second doubleword bits
 * 8-23 with the limit nibble cleared: type 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15. */
typedef struct {
    uint64_t base;
    uint32_t limit; /* in bytes, granularity applied */
    uint16_t selector;
    uint16_t attributes;
} CpuSegment;
enum {
    ATTR_TYPE = 0xf,
    ATTR_S = 1 << 4,
    ATTR_DPL_SHIFT = 5,
    ATTR_DPL = 3 << 5,
    ATTR_P = 1 << 7,
    ATTR_AVL = 1 << 12,
    ATTR_L = 1 << 13,
    ATTR_DB = 1 << 14,
    ATTR_G = 1 << 15,
    /* in TYPE of code/data */
    ATTR_ACCESSED = 1,
    ATTR_WRITABLE = 2,
    ATTR_READABLE = 2,
    ATTR_EXPAND_DOWN = 4,
    ATTR_CONFORMING = 4,
    ATTR_CODE = 8,
};

/* The facts that decide how bytes decode and which checks apply: the interpreter's decode key and
 * part of the JIT's block key. Kept by cpu_update_mode(), which everything that changes CR0, CR4,
 * EFER, RFLAGS.VM/AC/TF, CPL or a segment register calls. */
enum {
    MODE_CS64 = 1 << 0, /* 64-bit code */
    MODE_CS32 = 1 << 1, /* CS.D */
    MODE_SS32 = 1 << 2, /* SS.B (or 64-bit) */
    MODE_PE = 1 << 3,
    MODE_VM86 = 1 << 4,
    MODE_LMA = 1 << 5,
    MODE_PAGING = 1 << 6,
    MODE_CPL_SHIFT = 7,
    MODE_CPL = 3 << 7,
    MODE_MMU_SHIFT = 9,
    MODE_MMU = 3 << 9, /* index of the TLB set for data */
    /* Segment base 0 and limit 4 GiB, writable where it matters: offsets are linear addresses. In
     * 64-bit mode CS, DS, ES, SS always are. */
    MODE_FLAT_CS = 1 << 11,
    MODE_FLAT_DS = 1 << 12,
    MODE_FLAT_ES = 1 << 13,
    MODE_FLAT_SS = 1 << 14,
    MODE_X87_TRAP = 1 << 15, /* CR0.EM or CR0.TS: x87 raises #NM */
    MODE_SSE_UD = 1 << 16,   /* CR0.EM or not CR4.OSFXSR: SSE raises #UD */
    MODE_SSE_NM = 1 << 17,   /* CR0.TS: SSE and AVX raise #NM */
    MODE_AVX_UD = 1 << 18,   /* not CR4.OSXSAVE or XCR0 lacks YMM */
    MODE_TF = 1 << 19,       /* single step: JIT leaves it to the interpreter */
    MODE_DEBUG = 1 << 20,    /* any enabled DR7 breakpoint: same */
    MODE_AC = 1 << 21,       /* alignment checks on (CR0.AM, RFLAGS.AC, CPL 3): same */
    MODE_DEBUGGED = 1 << 22, /* a debugger outside the guest is attached: debug.h */
    MODE_WATCHED = 1 << 23,  /* and has watchpoints */
    MODE_SMAP = 1 << 24,     /* CR4.SMAP: RFLAGS.AC is in the index of the TLB set */
};

/* --- the soft TLB --------------------------------------------------------------------------- */
/* One set a kind of data access. A SET hit means the access may touch host memory directly: the
 * page is present with sufficient rights, A (and for store_tag D) already set in the tables, it is
 * plain RAM (or ROM for loads), and for stores neither PAGE_HAS_CODE nor PAGE_CLEAN is set.
 *   hit when: address - tag[i] <= 4096 - size (unsigned), i = cpu_tlb_index(address)
 *   host pointer: host[i] + (address - tag[i])
 * An empty entry i holds TLB_EMPTY(i), which no address with index i can match: 0 but for the
 * first, so that memory is taken only by what was ever filled. The data's entries reach 256 MiB
 * far; a miss costs some twenty hits. The index is the page number's low word: one instruction
 * (MOVZX) makes it. */
#define TLB_ENTRIES       (1u << 16)
#define FETCH_TLB_ENTRIES (1u << 14)
#define TLB_EMPTY(i)      ((uint64_t)((i) == 0) << GUEST_PAGE_SHIFT)

static inline unsigned cpu_tlb_index(uint64_t linear)
{
    return (uint16_t)(linear >> GUEST_PAGE_SHIFT);
}

static inline unsigned cpu_fetch_index(uint64_t linear)
{
    return (linear >> GUEST_PAGE_SHIFT) & (FETCH_TLB_ENTRIES - 1);
}

/* A page that a place in translated code used last, which it finds with one comparison: a tag of
 * the TLB and the distance to the host address. No page is an address that is not canonical, so
 * that an access through it faults on the host, too (SDM 1, 3.3.7.1). Dropped with any entry of the
 * TLB. */
typedef struct {
    uint64_t tag, delta;
} SitePage;
enum { N_SITES = 32 };
#define SITE_PAGE_NONE (1ull << 63)
typedef struct {
    SitePage pages[N_SITES];
    struct {
        uint64_t count; /* of this place's misses */
        uint64_t unused;
    } misses[N_SITES]; /* each as far behind its page */
} SiteSet;
/* Where calls of one mode come back to, for translated code, by where the return address lies on
 * the stack: entry (RSP >> RETURN_SHIFT) & 255, which RORX and MOVZX make. Compilers align the
 * stack to 16 bytes at calls. RIP 0 with code that looks it up where there is nothing. */
enum { N_RETURNS = 256, RETURN_SHIFT = 4 };
typedef struct {
    uint64_t rip[N_RETURNS];
    const void *code[N_RETURNS];
} ReturnTable;
enum {
    MMU_SUPERVISOR,      /* CPL 0-2; with SMAP on and AC clear: no user pages */
    MMU_SUPERVISOR_USER, /* CPL 0-2 with CR4.SMAP and RFLAGS.AC set */
    MMU_USER,            /* CPL 3 */
    N_MMU,
};
typedef struct {
    uint64_t load_tag[TLB_ENTRIES];
    uint64_t store_tag[TLB_ENTRIES];
    uint64_t host[TLB_ENTRIES];
    uint64_t delta[TLB_ENTRIES]; /* host less load_tag */
} TlbSet;
/* Which entry of a TlbSet stores to a page of RAM, by the low word of the number of its host page.
 * Where others may store to pages of the same word, the bit in `several` is set. What it says of an
 * entry that was dropped or filled anew is void. */
typedef struct {
    uint16_t entry[1 << 16];
    uint64_t several[(1 << 16) / 64];
} TlbStores;
/* Instruction fetch: one for supervisor, one for user. */
typedef struct {
    uint64_t tag[FETCH_TLB_ENTRIES]; /* as load_tag */
    uint64_t host[FETCH_TLB_ENTRIES];
    uint64_t ram[FETCH_TLB_ENTRIES]; /* RamBlock id_base + page offset: the JIT's block key */
} FetchTlb;
/* Which entries of a TlbSet or FetchTlb are filled, and which of them are global or part of a large
 * page: what a flush must visit. Bit i of `words` is set if word i of `used` is not 0; of `local`,
 * if it may have entries that are not global. `huge`: some may be part of a page of 1 GiB. */
typedef struct {
    uint64_t words[TLB_ENTRIES / 64 / 64], local[TLB_ENTRIES / 64 / 64];
    uint64_t used[TLB_ENTRIES / 64], global[TLB_ENTRIES / 64], large[TLB_ENTRIES / 64];
    bool huge;
} TlbMap;

/* What was fetched from since the JIT was last told that RIP may mean other code (fetched.h), also
 * where the entry of the TLB has given way to another. */
enum { N_FETCHED_PAGES = 1 << 13 };
typedef struct {
    uint64_t linear, ram;
    bool global, large;
    uint16_t slot; /* of `index` */
} FetchedPage;
typedef struct {
    FetchedPage pages[N_FETCHED_PAGES];
    unsigned n, n_non_global, n_large;
    bool overflow[2];                    /* there were more: not global, global */
    uint16_t index[2 * N_FETCHED_PAGES]; /* by hash of the page number: number in pages + 1 */
} FetchedPages;

/* --- requests from other threads -------------------------------------------------------------- */
enum {
    REQUEST_INTERRUPT = 1 << 0, /* the interrupt controller has something: level, set and cleared by
                                 * it. The vCPU hides the bit from `requests` while IF is clear;
                                 * cpu_set_rflags() brings it back from `lines`. */
    REQUEST_NMI = 1 << 1,
    REQUEST_INIT = 1 << 2,
    REQUEST_SIPI = 1 << 3,      /* vector in sipi_vector */
    REQUEST_FLUSH_TLB = 1 << 4, /* the memory map changed */
    REQUEST_PAUSE = 1 << 5,     /* stop at the next instruction boundary and report it */
    REQUEST_QUIT = 1 << 6,
    REQUEST_FLUSH_CODE = 1 << 7, /* the JIT wants this vCPU out of translated code */
    REQUEST_CALL = 1 << 8,       /* run queued functions (cpu_call_on) */
    REQUEST_LEAVE = 1 << 9,      /* the vCPU to itself: the run loop must look (HLT, TF, DR7 ...) */
    REQUEST_BUS = 1 << 10,       /* another vCPU wants the bus for itself: bus.h */
};

typedef struct Cpu Cpu;
typedef struct Jit Jit;               /* jit/jit.h: shared by a machine's vCPUs */
typedef struct CpuidModel CpuidModel; /* cpuid.h */
typedef struct CpuBus CpuBus;         /* bus.h: shared by a machine's vCPUs */

/* What a vCPU asks of the machine. OPAQUE is Cpu.board_opaque. */
typedef struct {
    void (*lock)(void *opaque); /* the board lock, taken by the CPU around the calls below */
    void (*unlock)(void *opaque);
    /* Interrupt acknowledge: the vector of the highest deliverable interrupt, -1 if gone. */
    int (*acknowledge)(void *opaque);
    uint8_t (*get_cr8)(void *opaque);
    void (*set_cr8)(void *opaque, uint8_t value);
    /* IA32_APIC_BASE, x2APIC 800h-8FFh, TSC_DEADLINE 6E0h. False: #GP. */
    bool (*read_msr)(void *opaque, uint32_t msr, uint64_t *value);
    bool (*write_msr)(void *opaque, uint32_t msr, uint64_t value);
    void (*triple_fault)(void *opaque);     /* shutdown: the machine resets or stops */
    void (*ferr)(void *opaque, bool level); /* IRQ 13 when CR0.NE is clear */
    void (*init_received)(void *opaque);    /* the local APIC resets itself on INIT */
    /* The vCPU has stopped itself for a debugger (debug.h) and pauses. */
    void (*debug_stopped)(void *opaque);
    /* A halted vCPU waits for its APIC's timer by itself: when that is due, ns of CLOCK_MONOTONIC,
     * or INT64_MAX. The board does not wake for it until it is given back, then fires it if it is
     * due. NULL: there is none. */
    int64_t (*timer_borrow)(void *opaque);
    void (*timer_give_back)(void *opaque);
} CpuBoardOps;

typedef enum { CPU_ACCEL_JIT, CPU_ACCEL_INTERP } CpuAccel;

/* The legacy FXSAVE area (SDM 1, table 10-2) followed by the XSAVE header and AVX state: the host's
 * XSAVE standard format with XCR0 = 7 (SDM 1, 13.4). 64-byte aligned. */
typedef struct {
    union {
        uint8_t legacy[512];
        struct {
            uint16_t fcw, fsw;
            uint8_t ftw; /* abridged: registers in use */
            uint8_t reserved;
            uint16_t host_fop; /* the host's, of translated code; the guest's are Cpu.x87_* */
            uint64_t host_fip, host_fdp;
            uint32_t mxcsr, mxcsr_mask;
            uint8_t st[8][16];
            uint8_t xmm[16][16];
        };
    };
    uint8_t header[64];
    uint8_t ymm_high[256];
} __attribute__((aligned(64))) CpuVectors;
_Static_assert(offsetof(CpuVectors, mxcsr) == 24 && offsetof(CpuVectors, xmm) == 160 &&
                   sizeof((CpuVectors){0}.legacy) == offsetof(CpuVectors, header),
               "FXSAVE's layout");
enum { MXCSR_MM = 1 << 17 }; /* AMD's processors have it (APM 1, 4.2.2) */

/*
 * Where translated code's fields are. It reaches all of them as [rsp + displacement], and
 * processors that rename memory of the stack may take a displacement's low bits for the whole: on
 * Zen 5 a load behind a store whose displacement differs by a multiple of 1 KiB costs some 20 to 60
 * cycles, since all that was computed from the store's value is thrown away. So what translated
 * code stores over and over is in the first half of a KiB, what it only loads in second halves
 * (jit/jit-internal.h asserts it). With an index register nothing is renamed.
 */
#define CPU_RENAMED_BYTES 1024

struct Cpu {
    /* Hot fields first: [rsp+disp8] for translated code. */
    uint64_t gpr[N_GPR];
    uint64_t rip;              /* of the current instruction while it executes */
    uint64_t rflags;           /* complete while in C */
    _Atomic uint32_t requests; /* REQUEST_*; tested by translated code on back edges */
    uint32_t mode;             /* MODE_* */
    uint32_t vectors_live; /* 1: x87/SSE/AVX state is in the host's registers, not in `vectors` */
    uint32_t interrupt_shadow; /* SHADOW_*: STI or MOV SS just executed */
    uint64_t jit[35];          /* the JIT's own hot slots */
    _Atomic uint32_t lines;    /* level of REQUEST_INTERRUPT, also while IF masks it */
    bool sites_used;
    _Alignas(CPU_RENAMED_BYTES / 2) SiteSet sites[N_MMU][2]; /* 0 loads, 1 stores */

    CpuSegment seg[N_SEG];
    struct {
        uint64_t base;
        uint32_t limit;
    } gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, xcr0;
    uint64_t dr[8];
    uint64_t pdpte[4]; /* PAE paging: loaded by MOV CR3 (SDM 4.4.1) */

    /* MSRs that are plain state. */
    uint64_t efer, star, lstar, cstar, fmask, kernel_gs_base, tsc_aux;
    int64_t tsc_offset; /* guest TSC = host TSC + tsc_offset; the same on all vCPUs */
    int64_t tsc_adjust; /* IA32_TSC_ADJUST, added on top */
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, misc_enable, mtrr_def_type, mtrr_fixed[11], mtrr_phys[16], mcg_status, mcg_ctl;
    uint64_t mc_banks[4 * 10];
    uint32_t spec_ctrl;

    CpuVectors vectors;
    uint64_t x87_fip, x87_fdp; /* last non-control x87 instruction: guest addresses */
    uint16_t x87_fcs, x87_fds, x87_fop;
    uint32_t mxcsr_mask; /* the guest's; `vectors` has the host's when that has saved them */

    uint64_t next_rip; /* the interpreter's: address after the current instruction */
    uint8_t cpl;
    bool a20_mask_off;          /* true: A20 line enabled (no masking) */
    bool nmi_blocked;           /* until IRET */
    _Atomic uint8_t halt_state; /* CPU_RUNNING ...: others may look */
    _Atomic uint8_t sipi_vector;
    bool delivering; /* an exception is being delivered (for #DF, SDM 6.15) */
    int delivering_vector;
    /* Set by cpu_raise() for the run loop. */
    int raised_vector;
    uint32_t raised_error;
    bool raised_has_error;
    uint8_t event_ext;    /* EXT bit of error codes: 1 while a non-software event is delivered */
    bool step_suppressed; /* this instruction takes no single-step trap (INT n, SYSCALL) */
    bool page_1g;         /* the model has 1 GiB pages */
    uint32_t debug_hits;  /* DR6 bits 0-3, BT: traps collected by the current instruction */
    sigjmp_buf escape;    /* cpu_raise() unwinds to the run loop */

    unsigned index; /* 0 is the boot processor */
    unsigned apic_id;
    MemoryMap *memory;
    const CpuBoardOps *board;
    void *board_opaque;
    const CpuidModel *model;
    CpuAccel accel;
    Jit *jit_shared;
    uintptr_t jit_frame; /* jit_run()'s on the C stack */
    CpuBus *bus;
    bool holds_bus;
    struct InterpCache *interp_cache; /* decoded instructions, by bytes */
    struct CpuThread *thread;         /* run loop bookkeeping: vcpu.c */
    struct CpuDebug *debug;           /* NULL: no debugger was here: debug.h */
    struct Lockstep *lockstep;        /* NULL: not compared: lockstep.h */
    bool tiny_tlb;                    /* keep few pages in it */

    /* Statistics, read racily by the board once a second. */
    uint64_t instructions; /* interpreted; the JIT adds its own */
    uint64_t count_exits, count_mmio, count_interrupts, count_tlb_misses;

    /* Guest-physical RAM pages lately walked through: (page number & 255). Forgotten when the
     * memory map changes, not by TLB flushes. `page` is 1 when empty. */
    struct {
        uint64_t page, block_offset;
        RamBlock *block;
        bool writable;
    } page_cache[256];
    _Alignas(64) uint8_t straddle[128]; /* of one access to two pages: jit/run.c */
    ReturnTable returns[N_MMU];         /* by TLB set */
    TlbMap tlb_map[N_MMU], fetch_map[2];
    TlbSet tlb[N_MMU];
    TlbStores tlb_stores[N_MMU];
    FetchTlb fetch[2];       /* 0 supervisor, 1 user */
    FetchedPages fetched[2]; /* the same */
    SecondTlb second_tlb;
};

enum { SHADOW_STI = 1, SHADOW_MOV_SS = 2 };
enum { CPU_RUNNING, CPU_HALTED, CPU_WAIT_FOR_SIPI, CPU_SHUTDOWN };

/* --- life (vcpu.c) ------------------------------------------------------------------------------
 */
typedef struct {
    unsigned index, apic_id;
    CpuAccel accel;
    MemoryMap *memory;
    const CpuidModel *model;
    const CpuBoardOps *board;
    void *board_opaque;
    Jit *jit;    /* NULL for the interpreter */
    CpuBus *bus; /* NULL: no other vCPU is there */
} CpuConfig;

/* Makes a vCPU in its reset state, its thread not started. */
Cpu *cpu_new(const CpuConfig *config, GError **error);
void cpu_start(Cpu *cpu); /* starts the thread; paused until cpu_resume() */
void cpu_free(Cpu *cpu);  /* quits and joins the thread */
/* The bits of MXCSR that the host lets be set (SDM 1, 11.6.6). Any thread. */
uint32_t cpu_host_mxcsr_mask(void);
/* Architectural reset (SDM table 9-1): thread paused or not started. AP: waits for SIPI. */
void cpu_reset(Cpu *cpu);
/* The INIT signal, on the vCPU's thread (the run loop does this for REQUEST_INIT). */
void cpu_init_signal(Cpu *cpu);
void cpu_request(Cpu *cpu, uint32_t bits); /* any thread: sets bits, wakes from HLT */
void cpu_clear_request(Cpu *cpu, uint32_t bits);
/* Asks for a stop at an instruction boundary; cpu_wait_paused() returns when it has happened. Never
 * call the latter with the board lock held. */
void cpu_pause(Cpu *cpu);
void cpu_wait_paused(Cpu *cpu);
void cpu_resume(Cpu *cpu);
/* The paused vCPU, to which a debugger is attached, executes one instruction and then stops for it.
 * HOLD_INTERRUPTS: none comes before that, unless it is what wakes the vCPU from HLT. */
void cpu_resume_step(Cpu *cpu, bool hold_interrupts);
/* Runs FUNC on the vCPU's thread at its next exit (memory flushes, register dumps) and waits for it
 * unless called from that thread. Works while paused. Not with the board lock held. */
void cpu_call_on(Cpu *cpu, void (*func)(Cpu *cpu, void *opaque), void *opaque);
void cpu_describe(Cpu *cpu, GString *out); /* `info registers`; thread paused or on the thread */
/* Calls FUNC, which may raise: true if it did, with what in the members `raised_...` and nothing
 * delivered. On the vCPU's thread. */
bool cpu_catch(Cpu *cpu, void (*func)(Cpu *cpu, void *opaque), void *opaque);
/* Calls FUNC, which may raise: false if it did, with nothing delivered and CR2 as it was. On the
 * vCPU's thread. */
bool cpu_try(Cpu *cpu, void (*func)(Cpu *cpu, void *opaque), void *opaque);
bool cpu_is_halted(const Cpu *cpu);
int cpu_thread_id(const Cpu *cpu); /* the host's, 0 before the thread runs */
/* The Cpu whose thread this is, NULL elsewhere. */
Cpu *cpu_current(void);

/* Interprets exactly COUNT instructions (or until halted) on the calling thread, delivering
 * interrupts and exceptions: for tests, lockstep and the fuzzer. Thread not started. */
void cpu_step(Cpu *cpu, uint64_t count);

/* --- exceptions (exceptions.c)
 * -------------------------------------------------------------------- */
/* Abandons the current instruction (nothing of it is committed) and delivers the exception. Must be
 * called between cpu_run's setjmp and its end, with the board lock not held. */
_Noreturn void cpu_raise(Cpu *cpu, int vector);
_Noreturn void cpu_raise_error(Cpu *cpu, int vector, uint32_t error_code);
_Noreturn void cpu_raise_pf(Cpu *cpu, uint64_t address, uint32_t error_code); /* sets CR2 */
/* Abandons the current instruction in the same way, within cpu_catch(), with nothing to deliver. */
_Noreturn void cpu_abandon(Cpu *cpu);

/* --- mode (mode.c)
 * ------------------------------------------------------------------------------------ */
void cpu_update_mode(Cpu *cpu);
/* Replaces the bits of MASK and updates mode if needed. Everything that may set IF comes here. */
void cpu_set_rflags(Cpu *cpu, uint64_t value, uint64_t mask);
static inline bool cpu_is_64bit(const Cpu *cpu)
{
    return cpu->mode & MODE_CS64;
}
/* CS:RIP */
static inline uint64_t cpu_linear_rip(const Cpu *cpu)
{
    return cpu->mode & MODE_CS64 ? cpu->rip : (uint32_t)(cpu->seg[SEG_CS].base + cpu->rip);
}
static inline unsigned cpu_mmu_index(const Cpu *cpu)
{
    return (cpu->mode & MODE_MMU) >> MODE_MMU_SHIFT;
}
/* Brings x87/SSE/AVX state into cpu->vectors if it is live in host registers. Everything that calls
 * code that may use vectors (libc, GLib, devices) from a JIT helper calls this first. */
void cpu_spill_vectors(Cpu *cpu);
static inline bool cpu_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}
