/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The two guests: an interpreted processor and a translating one, each with memory of its own. A
 * run ends with an exception that nobody delivers: the case's own, or that of its exit. */

#include "core/cpu/cpuid.h"
#include "core/cpu/interp.h"
#include "core/cpu/jit/jit.h"
#include "core/cpu/mmu.h"
#include "tests/core/cpu/host-cpu.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* Guest-physical. */
enum {
    PML4 = 0x1000,
    PDPT = 0x2000,
    PD_64 = 0x3000,
    PD_32 = 0x4000,
    PAGE_TABLE = 0x5000,
    PDPT_LOW = 0x6000,
    CODE_TABLES = 0x7000, /* up to 0xb000 */
    READ_ONLY = 0x100000,
    DATA = 0x101000,
    DATA_2 = 0x104000, /* the second page is no neighbour of the first */
    CODE = 0x200000,
    RAM_SIZE = CODE + CODE_SIZE,
    MAX_STEPS = 4096,
};
#define NX       (1ull << 63)
#define LARGE    0x80
#define USER     4
#define WRITABLE 2
#define PRESENT  1

/* Places in the FXSAVE area. */

typedef struct {
    MemoryMap *map;
    RamBlock *ram;
    Cpu *cpu;
    Jit *jit;
    int mode; /* FuzzMode it is set up for, -1 none */
} Guest;

static Guest guests[N_GUESTS];
static CpuidModel *model;

/* --- setting up ------------------------------------------------------------------------------- */

static void put64(Guest *guest, uint64_t address, uint64_t value)
{
    memcpy(guest->ram->host + address, &value, 8);
}

/* Where the byte at OFFSET of the code is. Half of the code is in large pages; in the other half
 * each two pages have changed places. Without paging all is in order. */
static uint64_t code_address(FuzzMode mode, uint64_t offset)
{
    return CODE + (mode != FUZZ_REAL && offset >= CODE_SIZE / 2 ? offset ^ STATE_PAGE : offset);
}

/* The entry of a page directory for the I-th 2 MiB of the code. */
static uint64_t code_entry(Guest *guest, unsigned i)
{
    enum { LARGE_PAGES = CODE_SIZE / 2 >> 21, ENTRIES = 512 };
    uint64_t table = CODE_TABLES + (uint64_t)(i - LARGE_PAGES) * STATE_PAGE;

    if (i < LARGE_PAGES)
        return (CODE + ((uint64_t)i << 21)) | LARGE | USER | PRESENT;
    for (unsigned k = 0; k < ENTRIES; k++)
        put64(guest, table + k * 8,
              code_address(FUZZ_64, ((uint64_t)i << 21) + k * STATE_PAGE) | USER | PRESENT);
    return table | USER | PRESENT;
}

/* Code and data of 64-bit and, as PAE paging shares the format, of 32-bit mode. The host's process
 * has both, so 64-bit code sees both. */
static void make_page_tables(Guest *guest)
{
    const FuzzPlaces *wide = &fuzz_places[FUZZ_64], *narrow = &fuzz_places[FUZZ_32];

    put64(guest, PML4 + (wide->code >> 39 & 511) * 8, PDPT | USER | WRITABLE | PRESENT);
    put64(guest, PDPT + (wide->code >> 30 & 511) * 8, PD_64 | USER | WRITABLE | PRESENT);
    put64(guest, PML4, PDPT_LOW | USER | WRITABLE | PRESENT);
    put64(guest, PDPT_LOW, PD_32 | USER | WRITABLE | PRESENT);
    for (unsigned i = 0; i < CODE_SIZE >> 21; i++) {
        uint64_t entry = code_entry(guest, i);
        put64(guest, PD_64 + ((wide->code >> 21 & 511) + i) * 8, entry);
        put64(guest, PD_32 + ((narrow->code >> 21 & 511) + i) * 8, entry);
    }
    put64(guest, PD_64 + (wide->data >> 21 & 511) * 8, PAGE_TABLE | USER | WRITABLE | PRESENT);
    put64(guest, PD_32 + (narrow->data >> 21 & 511) * 8, PAGE_TABLE | USER | WRITABLE | PRESENT);
    put64(guest, PAGE_TABLE, READ_ONLY | NX | USER | PRESENT);
    put64(guest, PAGE_TABLE + 8, DATA | NX | USER | WRITABLE | PRESENT);
    put64(guest, PAGE_TABLE + 16, DATA_2 | NX | USER | WRITABLE | PRESENT);
}

static void code_written(void *opaque, RamBlock *block, uint64_t offset, uint64_t length)
{
    jit_code_written(opaque, block, offset, length);
}

/* Half of the cases as it is by default, in one of its two tiers. */
static JitOptions translator_options(uint64_t number)
{
    JitOptions options = JIT_OPTIONS_DEFAULT;
    unsigned kind = number / N_SLOTS % 8;

    options.cache_bytes = 8u << 20;
    options.tier_2 = kind & 1;
    options.no_links = kind == 4 || kind == 5;
    options.no_groups = kind == 6;
    options.slow_accesses = kind == 7;
    options.max_insns = kind == 7 ? 1 : options.max_insns;
    return options;
}

static void make_cpu(Guest *guest, const JitOptions *options)
{
    g_autoptr(GError) error = NULL;

    cpu_free(guest->cpu);
    jit_free(guest->jit);
    guest->jit = NULL;
    if (options)
        guest->jit = jit_new_with_options(options, &error);
    CpuConfig config = {
        .accel = options ? CPU_ACCEL_JIT : CPU_ACCEL_INTERP,
        .memory = guest->map,
        .model = model,
        .jit = guest->jit,
    };
    guest->cpu = cpu_new(&config, &error);
    g_assert_no_error(error);
    if (options)
        memory_map_set_listeners(guest->map, NULL, code_written, guest->jit);
    guest->mode = -1;
}

/* What stays, but the code. */
static void make_memory(Guest *guest)
{
    make_page_tables(guest);
    fuzz_fill_read_only(guest->ram->host + READ_ONLY);
}

static void make_guest(Guest *guest)
{
    g_autoptr(GError) error = NULL;

    guest->map = memory_map_new();
    guest->ram = ram_block_new(guest->map, "ram", RAM_SIZE, &error);
    g_assert_no_error(error);
    memory_region_place(memory_region_new_ram(guest->map, "ram", guest->ram, 0, RAM_SIZE), 0, 0);
    make_memory(guest);
}

void guest_reset(uint64_t number)
{
    JitOptions options = translator_options(number);

    if (!model) {
        g_autoptr(GError) error = NULL;
        model = cpuid_model_new("max", 1, &error);
        g_assert_no_error(error);
        for (unsigned i = 0; i < N_GUESTS; i++)
            make_guest(&guests[i]);
    }
    for (unsigned i = 0; i < N_GUESTS; i++)
        make_cpu(&guests[i], i == GUEST_JIT ? &options : NULL);
}

static void set_data_segments(Cpu *cpu, uint64_t base, uint32_t limit, uint16_t attributes)
{
    for (unsigned i = 0; i <= SEG_GS; i++)
        if (i != SEG_CS)
            cpu->seg[i] = (CpuSegment){base, limit, 0x2b, attributes};
}

static CpuSegment code_segment(FuzzMode mode)
{
    switch (mode) {
    case FUZZ_64: return (CpuSegment){0, UINT32_MAX, 0x33, 0xa0fb};
    case FUZZ_32: return (CpuSegment){0, UINT32_MAX, 0x23, 0xc0fb};
    case FUZZ_16: return (CpuSegment){0, 0xffff, 0x23, 0xfb};
    default: return (CpuSegment){0, 0xffff, 0x23, 0x9b};
    }
}

static void set_segments(Cpu *cpu, FuzzMode mode)
{
    if (mode < FUZZ_16)
        set_data_segments(cpu, 0, UINT32_MAX, 0xc0f3);
    else
        set_data_segments(cpu, fuzz_places[mode].data, STATE_PAGE - 1,
                          mode == FUZZ_16 ? 0xf3 : 0x93);
    cpu->seg[SEG_CS] = code_segment(mode);
}

static void set_mode(Guest *guest, FuzzMode mode)
{
    Cpu *cpu = guest->cpu;

    cpu_reset(cpu);
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_PAE | CR4_FSGSBASE;
    cpu->cr0 = CR0_PE | CR0_PG | CR0_MP | CR0_NE | CR0_ET | CR0_WP;
    cpu->xcr0 = 7;
    cpu->cpl = 3;
    cpu->cr3 = PML4;
    cpu->efer = EFER_NXE;
    cpu->pdpte[0] = PD_32 | PRESENT;
    cpu->pdpte[1] = cpu->pdpte[2] = cpu->pdpte[3] = 0;
    if (mode == FUZZ_64) {
        cpu->efer |= EFER_LME | EFER_LMA;
    } else if (mode == FUZZ_REAL) {
        cpu->cr0 = CR0_MP | CR0_NE | CR0_ET;
        cpu->efer = 0;
        cpu->cpl = 0;
    }
    set_segments(cpu, mode);
    cpu_update_mode(cpu);
    mmu_flush_all(cpu);
    guest->mode = mode;
}

/* --- one case --------------------------------------------------------------------------------- */

/* C's code into RAM, or zeros in its place: the next case shall not see it. */
static void put_code(const Guest *guest, const FuzzCase *c, bool zeros)
{
    for (unsigned done = 0, piece; done < c->length; done += piece) {
        unsigned offset = c->offset + done;
        uint8_t *at = guest->ram->host + code_address(c->mode, offset);
        piece = MIN(c->length - done, STATE_PAGE - offset % STATE_PAGE);
        if (zeros)
            memset(at, 0, piece);
        else
            memcpy(at, c->code + done, piece);
    }
}

static void load(Guest *guest, const FuzzCase *c)
{
    Cpu *cpu = guest->cpu;

    if (guest->mode != (int)c->mode)
        set_mode(guest, c->mode);
    put_code(guest, c, false);
    memcpy(guest->ram->host + DATA, c->in.data, STATE_PAGE);
    memcpy(guest->ram->host + DATA_2, c->in.data + STATE_PAGE, STATE_PAGE);
    memcpy(cpu->gpr, c->in.gpr, sizeof cpu->gpr);
    cpu->vectors = c->in.vectors;
    cpu->vectors.mxcsr_mask = cpu->mxcsr_mask;
    cpu->x87_fip = cpu->x87_fdp = 0;
    cpu->x87_fop = cpu->x87_fcs = cpu->x87_fds = 0;
    cpu->rip = c->start;
    cpu->rflags = c->in.rflags;
    cpu->cr2 = 0;
    cpu->halt_state = CPU_RUNNING;
    cpu->requests = 0;
    cpu->interrupt_shadow = 0;
    if (c->mode >= FUZZ_16) {
        /* The case before may have gone far away, and run what it found there. */
        set_segments(cpu, c->mode);
        cpu->seg[SEG_CS].base = c->cs_base;
    }
}

static void store(const Guest *guest, const FuzzCase *c, CpuState *out)
{
    Cpu *cpu = guest->cpu;
    bool at_end = cpu->rip == c->end && (c->mode < FUZZ_16 || cpu->raised_vector == EXC_UD);
    bool at_exit = c->mode < FUZZ_16 && cpu->rip == fuzz_places[c->mode].exit;

    out->vectors = cpu->vectors;
    out->vectors.host_fop = cpu->x87_fop;
    out->vectors.host_fip = cpu->x87_fip;
    out->vectors.host_fdp = cpu->x87_fdp;
    memcpy(out->gpr, cpu->gpr, sizeof out->gpr);
    memcpy(out->data, guest->ram->host + DATA, STATE_PAGE);
    memcpy(out->data + STATE_PAGE, guest->ram->host + DATA_2, STATE_PAGE);
    put_code(guest, c, true);
    out->rflags = cpu->rflags;
    out->rip = at_end || at_exit ? c->end : cpu->rip;
    out->vector = at_end || at_exit ? -1 : cpu->raised_vector;
    out->error = out->vector >= 0 && cpu->raised_has_error ? cpu->raised_error : 0;
    out->address = out->vector == EXC_PF ? cpu->cr2 : 0;
}

/* See insn_repeats_by_ecx(). */
static bool repeats_nothing(const FuzzCase *c, unsigned i, const Cpu *cpu)
{
    return i < c->n && c->insns[i].repeats_by_ecx && !(uint32_t)cpu->gpr[RCX];
}

/* Whether RIP is at code of another case, of which there may be a translation. */
static bool is_astray(const FuzzCase *c, uint64_t rip)
{
    uint64_t linear = c->cs_base + rip;

    if (linear - fuzz_places[c->mode].code - c->offset < c->length)
        return false;
    for (FuzzMode mode = 0; mode < N_FUZZ_MODES; mode++)
        if (linear - fuzz_places[mode].code < CODE_SIZE)
            return true;
    return false;
}

/* Whether instruction I, which raised something, has an operand of 16 bytes of which AMD's
 * processors read the lower half if MXCSR.MM lets it be misaligned. */
static bool may_read_half(const FuzzCase *c, int i, const Cpu *cpu)
{
    Insn insn;

    if (i < 0 || i >= (int)c->n || !(cpu->vectors.mxcsr & MXCSR_MM) ||
        insn_decode(c->insns[i].bytes, INSN_MAX_BYTES, fuzz_decode_mode(c->mode), &insn) !=
            DECODE_OK ||
        !insn.mem_may_mask)
        return false;
    switch (insn.mnemonic) {
    case ZYDIS_MNEMONIC_PSLLD:
    case ZYDIS_MNEMONIC_PSLLQ:
    case ZYDIS_MNEMONIC_PSLLW:
    case ZYDIS_MNEMONIC_PSRAD:
    case ZYDIS_MNEMONIC_PSRAW:
    case ZYDIS_MNEMONIC_PSRLD:
    case ZYDIS_MNEMONIC_PSRLQ:
    case ZYDIS_MNEMONIC_PSRLW:
    case ZYDIS_MNEMONIC_PUNPCKLBW:
    case ZYDIS_MNEMONIC_PUNPCKLDQ:
    case ZYDIS_MNEMONIC_PUNPCKLQDQ:
    case ZYDIS_MNEMONIC_PUNPCKLWD:
    case ZYDIS_MNEMONIC_UNPCKLPD:
    case ZYDIS_MNEMONIC_UNPCKLPS: return true;
    default: return false;
    }
}

static RunPath interpret(Cpu *cpu, const FuzzCase *c)
{
    volatile RunPath path = RUN_INSIDE;
    volatile unsigned steps = 0;

    if (sigsetjmp(cpu->escape, 0))
        return may_read_half(c, fuzz_find_insn(c, cpu->rip), cpu) ? RUN_OPEN : path;
    while (cpu->rip != c->end || c->mode >= FUZZ_16) {
        if (++steps > MAX_STEPS)
            return RUN_USELESS;
        int i = fuzz_find_insn(c, cpu->rip);
        if (i < 0) {
            if (is_astray(c, cpu->rip))
                return RUN_USELESS;
            path = RUN_OUTSIDE;
        } else if (repeats_nothing(c, (unsigned)i, cpu)) {
            path = RUN_OPEN;
        }
        interp_one(cpu);
        cpu->interrupt_shadow = 0;
    }
    return path;
}

static void translate(Cpu *cpu)
{
    if (sigsetjmp(cpu->escape, 0))
        return;
    for (;;) {
        cpu->requests = 0;
        cpu->interrupt_shadow = 0;
        jit_run(cpu);
    }
}

/* Only the interpreter has run C, which may have written wherever real mode reaches. */
static void take_back(Guest *guest, const FuzzCase *c)
{
    if (c->mode != FUZZ_REAL)
        return;
    make_memory(guest);
    memset(guest->ram->host + c->cs_base, 0, MIN(0x10000, RAM_SIZE - c->cs_base));
}

RunPath guest_run(GuestKind kind, const FuzzCase *c, CpuState *out)
{
    Guest *guest = &guests[kind];
    RunPath path = RUN_INSIDE;

    load(guest, c);
    if (kind == GUEST_INTERPRETER)
        path = interpret(guest->cpu, c);
    else
        translate(guest->cpu);
    cpu_spill_vectors(guest->cpu);
    store(guest, c, out);
    if (path == RUN_USELESS)
        take_back(guest, c);
    return path;
}
