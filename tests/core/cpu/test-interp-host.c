/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The interpreter against the host's own processor: encodings of the one-byte, 0F, 0F38 and 0F3A
 * maps (legacy and VEX) that decode to an unprivileged instruction without control flow run on both
 * with the same random state, and everything they can touch is compared: registers, flags, vectors,
 * memory, and at a fault the exception, its address and what was committed. Code and data stand at
 * the same virtual addresses on both sides; beside the data page nothing is mapped.
 */

#include "core/cpu/cpu.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/decode.h"
#include "core/cpu/mmu.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

/* Virtual, on both sides. */
#define CODE_PAGE     0x3a7500000000u
#define CODE          (CODE_PAGE + 0x800)
#define DATA_PAGE     0x3a7500010000u
/* The guest's own tables, at an address no random pointer hits. */
#define SYSTEM        0xffff900000000000u
#define STACK         (SYSTEM + 0xf000)
#define HANDLERS      (SYSTEM + 0x8000) /* one HLT each 16 bytes, by vector */
/* Guest-physical. */
#define RAM_SIZE      (2u << 20)
#define CODE_PHYSICAL 0x100000
#define DATA_PHYSICAL 0x101000
#define PAGE          4096

/* --- state ------------------------------------------------------------------------------------ */

typedef struct {
    CpuVectors vectors;
    uint64_t gpr[16];
    uint64_t rflags;
    int vector;       /* exception, -1 none */
    uint64_t address; /* of a page fault */
    uint8_t data[PAGE];
} State;

static GRand *rng;

static unsigned below(unsigned limit)
{
    return g_rand_int_range(rng, 0, limit);
}

static uint64_t random64(void)
{
    uint64_t value = (uint64_t)g_rand_int(rng) << 32 | g_rand_int(rng);
    switch (below(8)) {
    case 0: return value & 0xff;
    case 1: return (uint64_t)(int64_t)(int8_t)value;
    case 2: return (uint64_t)1 << (value & 63);
    case 3: return ((uint64_t)1 << (value & 63)) - 1;
    default: return value;
    }
}

/* Mostly well within the data page, sometimes at or over one of its ends. */
static uint64_t random_pointer(void)
{
    switch (below(8)) {
    case 0: return DATA_PAGE + PAGE - below(64);
    case 1: return DATA_PAGE + below(64) - 32;
    case 2: return DATA_PAGE + 256 + below(PAGE - 512);
    default: return DATA_PAGE + 256 + below((PAGE - 512) / 64) * 64;
    }
}

static void random_double(uint8_t *out)
{
    double value = (double)(int32_t)g_rand_int(rng) / (1 + below(1000));
    memcpy(out, &value, 8);
}

static void random_vector(uint8_t *out)
{
    for (unsigned i = 0; i < 16; i += 8) {
        uint64_t value = random64();
        if (below(2))
            random_double(out + i);
        else
            memcpy(out + i, &value, 8);
    }
}

static void randomise(State *state, bool unmask)
{
    uint8_t *legacy = state->vectors.legacy;
    memset(state, 0, sizeof *state);
    for (unsigned i = 0; i < 16; i++)
        state->gpr[i] = below(2) ? random_pointer() : random64();
    if (below(3))
        state->gpr[RCX] = below(100);
    if (below(8)) {
        state->gpr[RSI] = random_pointer();
        state->gpr[RDI] = random_pointer();
        state->gpr[RSP] = random_pointer();
    }
    state->rflags = 0x202 | (random64() & (RFLAGS_ARITH | RFLAGS_DF));
    for (unsigned i = 0; i < 16; i++) {
        random_vector(legacy + 160 + i * 16);
        random_vector(state->vectors.ymm_high + i * 16);
    }
    if (!below(4)) /* small indices for gathers */
        for (unsigned i = 0; i < 32; i++)
            memset(legacy + 160 + i * 8 + 1, 0, 7);
    for (unsigned i = 0; i < PAGE; i += 16)
        if (i < 512 || i >= PAGE - 512 || !(i % 64))
            random_vector(state->data + i);
    uint16_t fcw = 0x37f & ~(g_rand_int(rng) & 0xf00), fsw = (random64() & 0x7f) << 8;
    fcw &= unmask ? ~(g_rand_int(rng) & 0x3f) : 0xffff;
    memcpy(legacy, &fcw, 2);
    fsw &= 0x7f00;
    memcpy(legacy + 2, &fsw, 2);
    legacy[4] = g_rand_int(rng) | g_rand_int(rng);
    uint32_t mxcsr = 0x1f80 | (g_rand_int(rng) & 0xe000);
    mxcsr &= unmask ? ~(g_rand_int(rng) & 0x1f80) : 0xffff;
    memcpy(legacy + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        long double value = (double)(int32_t)g_rand_int(rng) / 3.0L;
        uint64_t bits[2] = {random64(), random64() & 0xffff};
        memcpy(legacy + 32 + i * 16, below(3) ? (void *)&value : bits, 10);
    }
    state->vectors.header[0] = 7;
    state->vector = -1;
}

/* --- the host --------------------------------------------------------------------------------- */

static uint8_t *const host_code = (uint8_t *)CODE;
static uint8_t *const host_data = (uint8_t *)DATA_PAGE;
static sigjmp_buf host_escape;
static const CpuVectors clean = {.legacy = {[0] = 0x7f, [1] = 3, [24] = 0x80, [25] = 0x1f}};

/* What the code below reaches RIP-relative, so that every register is the instruction's. */
struct {
    CpuVectors vectors;
    uint64_t gpr[16];
    uint64_t rflags;
    uint64_t host_rsp;
    const void *code;
} shared __attribute__((visibility("hidden")));

#define GPR(n)        "shared+832+8*" #n "(%rip)"
#define LOAD(n, reg)  "mov " GPR(n) ", %" #reg "\n"
#define STORE(n, reg) "mov %" #reg ", " GPR(n) "\n"
/* clang-format off */
__asm__(".pushsection .text\n"
        "run_on_host:\n"
        "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp, shared+968(%rip)\n"
        "mov $7, %eax\nxor %edx, %edx\nxrstor64 shared(%rip)\n"
        "push shared+960(%rip)\npopfq\n"
        LOAD(0, rax) LOAD(1, rcx) LOAD(2, rdx) LOAD(3, rbx)
        LOAD(5, rbp) LOAD(6, rsi) LOAD(7, rdi) LOAD(8, r8)
        LOAD(9, r9) LOAD(10, r10) LOAD(11, r11) LOAD(12, r12)
        LOAD(13, r13) LOAD(14, r14) LOAD(15, r15) LOAD(4, rsp)
        "jmp *shared+976(%rip)\n"
        "back_on_host:\n"
        STORE(0, rax) STORE(1, rcx) STORE(2, rdx) STORE(3, rbx)
        STORE(5, rbp) STORE(6, rsi) STORE(7, rdi) STORE(8, r8)
        STORE(9, r9) STORE(10, r10) STORE(11, r11) STORE(12, r12)
        STORE(13, r13) STORE(14, r14) STORE(15, r15) STORE(4, rsp)
        "mov shared+968(%rip), %rsp\n"
        "pushfq\npop shared+960(%rip)\ncld\n"
        "mov $7, %eax\nxor %edx, %edx\nxsave64 shared(%rip)\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n"
        ".popsection\n");
/* clang-format on */
void run_on_host(void);
void back_on_host(void);

static volatile int fault_vector;
static volatile uint64_t fault_address;

/* The state at the fault is what the kernel saved. */
static void on_signal(int number, siginfo_t *info, void *opaque)
{
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15};
    const ucontext_t *context = opaque;
    const greg_t *registers = context->uc_mcontext.gregs;
    if ((uint64_t)registers[REG_RIP] != CODE) { /* not the instruction's doing */
        signal(number, SIG_DFL);
        return;
    }
    for (unsigned i = 0; i < 16; i++)
        shared.gpr[i] = registers[order[i]];
    shared.rflags = registers[REG_EFL];
    const uint8_t *area = (const uint8_t *)context->uc_mcontext.fpregs;
    memcpy(shared.vectors.legacy, area, 512);
    memcpy(shared.vectors.ymm_high, area + 576, 256);
    if (!(area[512] & 4)) /* XSTATE_BV: in its initial state */
        memset(shared.vectors.ymm_high, 0, 256);
    fault_vector = registers[REG_TRAPNO];
    fault_address = registers[REG_CR2];
    siglongjmp(host_escape, 1);
}

static void host_run(State *state, const Insn *insn)
{
    const void *back = back_on_host;
    memcpy(host_code, insn->bytes, insn->length);
    memcpy(host_code + insn->length, "\xff\x25\x00\x00\x00\x00", 6); /* jmp [rip] */
    memcpy(host_code + insn->length + 6, &back, 8);
    memcpy(host_data, state->data, PAGE);
    shared.vectors = state->vectors;
    memcpy(shared.gpr, state->gpr, sizeof shared.gpr);
    shared.rflags = state->rflags;
    shared.code = host_code;
    fault_vector = -1;
    if (!sigsetjmp(host_escape, 1))
        run_on_host();
    __asm__ volatile("xrstor64 %0" : : "m"(clean), "a"(7), "d"(0) : "memory");
    state->vectors = shared.vectors;
    memcpy(state->gpr, shared.gpr, sizeof shared.gpr);
    state->rflags = shared.rflags;
    state->vector = fault_vector;
    state->address = fault_address;
    memcpy(state->data, host_data, PAGE);
}

/* --- the guest -------------------------------------------------------------------------------- */

static MemoryMap *memory;
static RamBlock *ram;
static Cpu *cpu;

static void put64(uint64_t address, uint64_t value)
{
    memcpy(ram->host + address, &value, 8);
}

static uint8_t host_mxcsr_mask[4];

/* 64-bit code, flat; every exception to its own HLT. */
static void guest_start(void)
{
    GError *error = NULL;
    memory = memory_map_new();
    ram = ram_block_new(memory, "ram", RAM_SIZE, &error);
    g_assert_no_error(error);
    memory_region_place(memory_region_new_ram(memory, "ram", ram, 0, RAM_SIZE), 0, 0);
    CpuidModel *model = cpuid_model_new("max", 1, &error);
    g_assert_no_error(error);
    CpuConfig config = {.accel = CPU_ACCEL_INTERP, .memory = memory, .model = model};
    cpu = cpu_new(&config, &error);
    g_assert_no_error(error);
    cpu->model = NULL; /* every extension that decodes exists */

    put64(0x1000 + (CODE_PAGE >> 39 & 511) * 8, 0x2003); /* PML4: code and data */
    put64(0x2000 + (CODE_PAGE >> 30 & 511) * 8, 0x3003);
    put64(0x3000, 0x4003);
    put64(0x4000, CODE_PHYSICAL | 3);
    put64(0x4000 + 16 * 8, DATA_PHYSICAL | 3);
    put64(0x1000 + 288 * 8, 0x5003); /* SYSTEM: physical 0 on, one large page */
    put64(0x5000, 0x6003);
    put64(0x6000, 0x83);
    put64(0x7008, 0x00af9b000000ffff); /* CS 08h */
    put64(0x7010, 0x00cf93000000ffff); /* SS 10h */
    for (unsigned vector = 0; vector < 32; vector++) {
        uint64_t handler = HANDLERS + vector * 16;
        put64(0x9000 + vector * 16,
              (handler & 0xffff) | 8 << 16 | 0x8e01ull << 32 | (handler >> 16 & 0xffff) << 48);
        put64(0x9008 + vector * 16, handler >> 32);
        ram->host[0x8000 + vector * 16] = 0xf4;
    }
    put64(0xa000 + 0x24, STACK); /* IST1 of the TSS */
    cpu->seg[SEG_TR] = (CpuSegment){SYSTEM + 0xa000, 0x67, 0x18, 0x8b};
    cpu->gdtr.base = SYSTEM + 0x7000;
    cpu->gdtr.limit = 0x17;
    cpu->idtr.base = SYSTEM + 0x9000;
    cpu->idtr.limit = 0x1ff;
    cpu->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_MP | CR0_ET | CR0_WP;
    cpu->cr3 = 0x1000;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
    cpu->efer = EFER_LME | EFER_LMA | EFER_SCE;
    cpu->xcr0 = 7;
    for (int seg = SEG_ES; seg <= SEG_GS; seg++)
        cpu->seg[seg] = (CpuSegment){0, UINT32_MAX, 0x10, 0xc093};
    cpu->seg[SEG_CS] = (CpuSegment){0, UINT32_MAX, 8, 0xa09b};
    cpu->cpl = 0;
    cpu_update_mode(cpu);
    mmu_flush_all(cpu);
}

static void guest_run(State *state, const Insn *insn)
{
    uint8_t *code = ram->host + CODE_PHYSICAL + (CODE - CODE_PAGE);
    uint8_t *data = ram->host + DATA_PHYSICAL;
    memcpy(ram->host + CODE_PHYSICAL, (void *)CODE_PAGE, PAGE);
    memcpy(code, insn->bytes, insn->length);
    memcpy(data, state->data, PAGE);
    memcpy(cpu->gpr, state->gpr, sizeof cpu->gpr);
    memcpy(cpu->vectors.legacy, state->vectors.legacy, 28);
    memcpy(cpu->vectors.legacy + 32, state->vectors.legacy + 32, 128 + 256);
    memcpy(cpu->vectors.ymm_high, state->vectors.ymm_high, 256);
    memcpy(cpu->vectors.legacy + 28, host_mxcsr_mask, 4);
    cpu->x87_fip = cpu->x87_fdp = 0;
    cpu->x87_fop = cpu->x87_fcs = cpu->x87_fds = 0;
    cpu->rip = CODE;
    cpu->rflags = state->rflags;
    cpu->halt_state = CPU_RUNNING;
    cpu_update_mode(cpu);
    for (unsigned i = 0; i < 10 && cpu->rip == CODE; i++) /* repetitions come in chunks */
        cpu_step(cpu, 1);
    memcpy(state->gpr, cpu->gpr, sizeof cpu->gpr);
    state->vector = -1;
    state->rflags = cpu->rflags;
    state->address = cpu->cr2;
    if (cpu->rip >= HANDLERS && cpu->rip < HANDLERS + 512) {
        state->vector = (cpu->rip - HANDLERS) / 16;
        const uint8_t *frame = ram->host + (cpu->gpr[RSP] - SYSTEM);
        if (state->vector == EXC_GP || state->vector == EXC_PF || state->vector == EXC_SS)
            frame += 8;
        memcpy(&state->rflags, frame + 16, 8);
        memcpy(&state->gpr[RSP], frame + 24, 8);
    } else if (cpu->rip != CODE + insn->length) {
        state->vector = 100;
    }
    memcpy(state->vectors.legacy, cpu->vectors.legacy, 512);
    memcpy(state->vectors.ymm_high, cpu->vectors.ymm_high, 256);
    memcpy(state->data, data, PAGE);
}

/* --- comparing -------------------------------------------------------------------------------- */

static unsigned n_compared, n_different;

static void dump(const char *title, const uint8_t *a, const uint8_t *b, unsigned length)
{
    if (!memcmp(a, b, length))
        return;
    g_printerr("    %-6s host ", title);
    for (unsigned i = length; i-- > 0;)
        g_printerr("%02x", a[i]);
    g_printerr(" guest ");
    for (unsigned i = length; i-- > 0;)
        g_printerr("%02x", b[i]);
    g_printerr("\n");
}

static bool same(const State *h, const State *g)
{
    if (h->vector != g->vector || (h->vector == EXC_PF && h->address != g->address))
        return false;
    for (unsigned i = 0; i < 8; i++)
        if (memcmp(h->vectors.legacy + 32 + i * 16, g->vectors.legacy + 32 + i * 16, 10))
            return false;
    return !memcmp(h->gpr, g->gpr, sizeof h->gpr) && h->rflags == g->rflags &&
           !memcmp(h->vectors.legacy, g->vectors.legacy, 5) &&
           !memcmp(h->vectors.legacy + 24, g->vectors.legacy + 24, 4) &&
           !memcmp(h->vectors.legacy + 160, g->vectors.legacy + 160, 256) &&
           !memcmp(h->vectors.ymm_high, g->vectors.ymm_high, 256) &&
           !memcmp(h->data, g->data, PAGE);
}

/* In which order its pieces are accessed, and so which faults first, is the model's affair. */
static bool is_area(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64: return true;
    default: return false;
    }
}

static void compare(const Insn *insn, const State *before, State *h, State *g)
{
    if (is_area(insn)) {
        h->address &= ~(uint64_t)(PAGE - 1);
        g->address &= ~(uint64_t)(PAGE - 1);
    }
    /* Whether an interrupted REPE CMPS or SCAS shows its last comparison, too. */
    if (h->vector >= 0 && insn->rep && (insn->opcode & 0xf6) == 0xa6)
        h->rflags = g->rflags;
    h->rflags &= RFLAGS_ARITH | RFLAGS_DF;
    g->rflags &= RFLAGS_ARITH | RFLAGS_DF;
    n_compared++;
    if (same(h, g) || n_different++ > 40)
        return;
    g_printerr("%s", ZydisMnemonicGetString(insn->mnemonic));
    for (unsigned i = 0; i < insn->length; i++)
        g_printerr(" %02x", insn->bytes[i]);
    g_printerr(": exception host %d guest %d", h->vector, g->vector);
    if (h->vector == EXC_PF || g->vector == EXC_PF)
        g_printerr(" address host %lx guest %lx", h->address, g->address);
    g_printerr("\n");
    if (h->rflags != g->rflags)
        g_printerr("    flags before %lx host %lx guest %lx\n", before->rflags, h->rflags,
                   g->rflags);
    for (unsigned i = 0; i < 16; i++) {
        char title[8];
        g_snprintf(title, sizeof title, "r%u", i);
        dump(title, (uint8_t *)&h->gpr[i], (uint8_t *)&g->gpr[i], 8);
        if (h->gpr[i] != g->gpr[i])
            g_printerr("           before %lx\n", before->gpr[i]);
        g_snprintf(title, sizeof title, "xmm%u", i);
        dump(title, h->vectors.legacy + 160 + i * 16, g->vectors.legacy + 160 + i * 16, 16);
        g_snprintf(title, sizeof title, "high%u", i);
        dump(title, h->vectors.ymm_high + i * 16, g->vectors.ymm_high + i * 16, 16);
        g_snprintf(title, sizeof title, "st%u", i);
        if (i < 8)
            dump(title, h->vectors.legacy + 32 + i * 16, g->vectors.legacy + 32 + i * 16, 10);
    }
    dump("x87", h->vectors.legacy, g->vectors.legacy, 5);
    dump("mxcsr", h->vectors.legacy + 24, g->vectors.legacy + 24, 4);
    for (unsigned i = 0; i < PAGE; i += 16)
        dump("data", h->data + i, g->data + i, 16);
}

/* --- forms ------------------------------------------------------------------------------------ */

/* Nothing that leaves the process, needs privilege or shows what differs by nature. */
static bool may_run(const Insn *insn)
{
    if ((insn->category_flags & (INSN_IS_BRANCH | INSN_IS_SYSTEM)) || insn->mem_seg >= SEG_FS)
        return false;
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].kind == OPERAND_REG && insn->operands[i].reg_class == REG_CLASS_SEG)
            return false;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64: return false;
    default: return true;
    }
}

static void try_form(uint8_t *bytes, bool unmask)
{
    static State before, host, guest;
    Insn insn;
    if (insn_decode(bytes, INSN_MAX_BYTES, MODE_CS64, &insn) != DECODE_OK || !may_run(&insn))
        return;
    if (insn.disp_size == 4 && (insn.mem_base == INSN_REG_RIP || below(4))) { /* stay near */
        int32_t displacement = (int32_t)below(256) - 128;
        if (insn.mem_base == INSN_REG_RIP)
            displacement += DATA_PAGE - CODE + below(PAGE);
        memcpy(bytes + insn.disp_offset, &displacement, 4);
        insn_decode(bytes, INSN_MAX_BYTES, MODE_CS64, &insn);
    }
    randomise(&before, unmask);
    if (insn.isa_set == ZYDIS_ISA_SET_XSAVE || insn.isa_set == ZYDIS_ISA_SET_XSAVEOPT)
        before.gpr[RAX] &= 7; /* the components that both have */
    host = guest = before;
    host_run(&host, &insn);
    guest_run(&guest, &insn);
    compare(&insn, &before, &host, &guest);
}

/* Prefixes, opcode and all eight ModRM.reg values; registers, [RSI] and any memory operand. */
static void try_opcode(const uint8_t *prefix, unsigned n, unsigned opcode, bool unmask)
{
    uint8_t bytes[32];
    for (unsigned form = 0; form < 16; form++) {
        unsigned reg = form < 8 ? form : below(8), rm = below(8);
        memcpy(bytes, prefix, n);
        for (unsigned i = n; i < sizeof bytes; i++)
            bytes[i] = g_rand_int(rng);
        bytes[n] = opcode;
        switch (form & 3) {
        case 0: bytes[n + 1] = 0x06 | reg << 3; break;
        case 1: bytes[n + 1] = 0xc0 | reg << 3 | rm; break;
        default: bytes[n + 1] = below(3) << 6 | reg << 3 | rm; break;
        }
        try_form(bytes, unmask);
    }
}

static void run_legacy(unsigned map, unsigned opcode, unsigned mandatory, bool w, bool unmask)
{
    uint8_t prefix[8];
    unsigned n = 0;
    if (!below(6))
        prefix[n++] = below(2) ? 0xf0 : 0x67;
    if (mandatory)
        prefix[n++] = mandatory;
    if (w || !below(3))
        prefix[n++] = 0x40 | w << 3 | (below(3) ? 0 : g_rand_int(rng) & 7);
    if (map)
        prefix[n++] = 0x0f;
    if (map > 1)
        prefix[n++] = map == 2 ? 0x38 : 0x3a;
    try_opcode(prefix, n, opcode, unmask);
}

/* R, X and B are inverted; vvvv is often 1111b as many demand. */
static void run_vex(unsigned map, unsigned opcode, unsigned pp, bool w, bool unmask)
{
    for (unsigned l = 0; l < 2; l++) {
        uint8_t prefix[3] = {0xc4};
        unsigned vvvv = below(2) ? 15 : below(16);
        prefix[1] = (g_rand_int(rng) & 0x80) | (below(3) ? 0x60 : g_rand_int(rng) & 0x60) | map;
        prefix[2] = w << 7 | vvvv << 3 | l << 2 | pp;
        try_opcode(prefix, 3, opcode, unmask);
    }
}

static void finish(void)
{
    unsigned different = n_different;
    g_test_message("%u compared", n_compared);
    n_different = n_compared = 0;
    if (different)
        g_test_fail();
}

enum { VEX = 4, UNMASK = 8 };

static void test_map(gconstpointer data)
{
    static const uint8_t mandatory[] = {0, 0x66, 0xf3, 0xf2};
    unsigned what = GPOINTER_TO_UINT(data), map = what & 3;
    for (unsigned i = 0; i < 2 * 256 * 4 * 2; i++) {
        unsigned opcode = (i >> 3) & 255, pp = (i >> 1) & 3, w = i & 1;
        if (what & VEX)
            run_vex(map, opcode, pp, w, what & UNMASK);
        else
            run_legacy(map, opcode, mandatory[pp], w, what & UNMASK);
    }
    finish();
}

/* D8 to DF with every ModRM. */
static void test_x87(gconstpointer data)
{
    for (unsigned i = 0; i < 4 * 8 * 256; i++) {
        uint8_t bytes[32] = {0xd8 | ((i >> 8) & 7), i & 0xff};
        if (bytes[1] >= 0xc0 || (bytes[1] & 0xc7) == 0x06)
            try_form(bytes, GPOINTER_TO_UINT(data) & UNMASK);
    }
    finish();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        unsigned what;
    } maps[] = {
        {"/cpu/interp-host/one-byte", 0},
        {"/cpu/interp-host/0f", 1},
        {"/cpu/interp-host/0f38", 2},
        {"/cpu/interp-host/0f3a", 3},
        {"/cpu/interp-host/vex-0f", VEX | 1},
        {"/cpu/interp-host/vex-0f38", VEX | 2},
        {"/cpu/interp-host/vex-0f3a", VEX | 3},
        {"/cpu/interp-host/0f-unmasked", UNMASK | 1},
        {"/cpu/interp-host/vex-0f-unmasked", UNMASK | VEX | 1},
        {"/cpu/interp-host/vex-0f38-unmasked", UNMASK | VEX | 2},
    };
    static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP};
    static uint8_t alternate[65536];
    g_test_init(&argc, &argv, NULL);
    const char *seed = g_getenv("APIARY_TEST_SEED");
    rng = g_rand_new_with_seed(seed ? (guint32)g_ascii_strtoull(seed, NULL, 0) : 20240611);
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_ONSTACK | SA_SIGINFO};
        sigaction(signals[i], &action, NULL);
    }
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    void *code = mmap((void *)CODE_PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
    void *data = mmap((void *)DATA_PAGE, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
    g_assert_true(code == (void *)CODE_PAGE && data == (void *)DATA_PAGE);
    CpuVectors saved;
    __asm__ volatile("fxsave64 %0" : "=m"(saved));
    memcpy(host_mxcsr_mask, saved.legacy + 28, 4);
    guest_start();

    for (unsigned i = 0; i < G_N_ELEMENTS(maps); i++)
        g_test_add_data_func(maps[i].path, GUINT_TO_POINTER(maps[i].what), test_map);
    g_test_add_data_func("/cpu/interp-host/x87", GUINT_TO_POINTER(0), test_x87);
    g_test_add_data_func("/cpu/interp-host/x87-unmasked", GUINT_TO_POINTER(UNMASK), test_x87);
    return g_test_run();
}
