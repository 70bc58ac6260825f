/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Translated code against the interpreter: the same bytes from the same state must leave the same
 * registers, memory, fault and fault address. Programs are random blocks and small handwritten
 * ones.
 */

#include "core/cpu/cpuid.h"
#include "core/cpu/decode.h"
#include "core/cpu/interp.h"
#include "core/cpu/jit/jit.h"
#include "core/cpu/mmu.h"

#include <string.h>

#define RAM_SIZE    (16u << 20)
#define CODE        0x100000u
#define DATA        0x200000u
#define DATA_SIZE   0x10000u
#define STACK       (DATA + 0x8000)
#define PAGE_TABLES 0xe00000u
#define REAL_CODE   0x8000u
#define REAL_DATA   0x20000u

typedef enum { LONG_MODE, FLAT_32, REAL_16, N_MODES } TestMode;

typedef struct {
    MemoryMap *map;
    RamBlock *ram;
    Cpu *cpu;
    Jit *jit;
} Machine;

typedef struct {
    Machine interp, jit;
    CpuidModel *model;
    TestMode mode;
    uint32_t data, code;
} Pair;

/* Where a run ended. */
typedef struct {
    bool raised, lost;
    int vector;
    uint32_t error;
} Outcome;

static const JitOptions exact = {.max_insns = 32, .cache_bytes = 8u << 20, .exact_flags = true};

/* --- machines --------------------------------------------------------------------------------- */

static void code_written(void *opaque, RamBlock *block, uint64_t offset, uint64_t length)
{
    jit_code_written(opaque, block, offset, length);
}

static void machine_init(Machine *machine, const CpuidModel *model, const JitOptions *options)
{
    g_autoptr(GError) error = NULL;

    machine->map = memory_map_new();
    machine->ram = ram_block_new(machine->map, "ram", RAM_SIZE, &error);
    g_assert_no_error(error);
    memory_region_place(memory_region_new_ram(machine->map, "ram", machine->ram, 0, RAM_SIZE), 0,
                        0);
    machine->jit = options ? jit_new_with_options(options, &error) : NULL;
    CpuConfig config = {
        .accel = options ? CPU_ACCEL_JIT : CPU_ACCEL_INTERP,
        .memory = machine->map,
        .model = model,
        .jit = machine->jit,
    };
    machine->cpu = cpu_new(&config, &error);
    g_assert_no_error(error);
    if (options)
        memory_map_set_listeners(machine->map, NULL, code_written, machine->jit);
}

static void machine_clear(Machine *machine)
{
    cpu_free(machine->cpu);
    jit_free(machine->jit);
    memory_map_free(machine->map);
}

/* Identity over the first 6 MiB by 2 MiB pages, nothing above: the tables are out of reach. */
static void make_page_tables(Machine *machine)
{
    uint64_t *tables = (uint64_t *)(machine->ram->host + PAGE_TABLES);

    tables[0] = (PAGE_TABLES + 0x1000) | 7;
    tables[0x1000 / 8] = (PAGE_TABLES + 0x2000) | 7;
    for (unsigned i = 0; i < 3; i++)
        tables[0x2000 / 8 + i] = (uint64_t)i << 21 | 0x80 | 7;
}

static void set_segments(Cpu *cpu, uint16_t code, uint16_t data, uint64_t code_base,
                         uint64_t data_base, uint32_t limit)
{
    for (unsigned i = 0; i <= SEG_GS; i++)
        cpu->seg[i] = (CpuSegment){data_base, limit, (uint16_t)(data_base >> 4), data};
    cpu->seg[SEG_CS] = (CpuSegment){code_base, limit, (uint16_t)(code_base >> 4), code};
}

static void machine_set_mode(Machine *machine, TestMode mode)
{
    Cpu *cpu = machine->cpu;

    cpu_reset(cpu);
    cpu->requests = 0;
    cpu->halt_state = CPU_RUNNING;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    cpu->xcr0 = 7;
    cpu->cpl = 0;
    cpu->rflags = RFLAGS_1;
    switch (mode) {
    case LONG_MODE:
        make_page_tables(machine);
        cpu->cr0 = CR0_PE | CR0_PG | CR0_MP | CR0_NE | CR0_ET;
        cpu->cr3 = PAGE_TABLES;
        cpu->cr4 |= CR4_PAE;
        cpu->efer = EFER_LME | EFER_LMA;
        set_segments(cpu, 0xa09b, 0xc093, 0, 0, UINT32_MAX);
        break;
    case FLAT_32:
        cpu->cr0 = CR0_PE | CR0_MP | CR0_NE | CR0_ET;
        set_segments(cpu, 0xc09b, 0xc093, 0, 0, UINT32_MAX);
        break;
    default:
        cpu->cr0 = CR0_MP | CR0_NE | CR0_ET;
        set_segments(cpu, 0x9b, 0x93, REAL_CODE, REAL_DATA, 0xffff);
        break;
    }
    mmu_flush_all(cpu);
    cpu_update_mode(cpu);
}

static void pair_init(Pair *pair, TestMode mode, const JitOptions *options)
{
    g_autoptr(GError) error = NULL;

    pair->model = cpuid_model_new(NULL, 1, &error);
    g_assert_no_error(error);
    machine_init(&pair->interp, pair->model, NULL);
    machine_init(&pair->jit, pair->model, options);
    pair->mode = mode;
    pair->code = mode == REAL_16 ? REAL_CODE : CODE;
    pair->data = mode == REAL_16 ? REAL_DATA : DATA;
    machine_set_mode(&pair->interp, mode);
    machine_set_mode(&pair->jit, mode);
}

static void pair_clear(Pair *pair)
{
    machine_clear(&pair->interp);
    machine_clear(&pair->jit);
    cpuid_model_free(pair->model);
}

static void pair_write(Pair *pair, uint32_t address, const void *bytes, size_t length)
{
    memory_write(pair->interp.map, address, bytes, length);
    memory_write(pair->jit.map, address, bytes, length);
}

/* --- running ---------------------------------------------------------------------------------- */

static Outcome run(Machine *machine, volatile unsigned limit)
{
    Cpu *cpu = machine->cpu;
    volatile Outcome outcome = {0};

    cpu->halt_state = CPU_RUNNING;
    cpu->requests = 0;
    cpu->interrupt_shadow = 0;
    if (sigsetjmp(cpu->escape, 0)) {
        outcome.raised = true;
        outcome.vector = cpu->raised_vector;
        outcome.error = cpu->raised_has_error ? cpu->raised_error : 0;
    } else if (machine->jit) {
        while (cpu->halt_state == CPU_RUNNING && !(cpu->requests & REQUEST_PAUSE)) {
            cpu->requests = 0;
            cpu->interrupt_shadow = 0;
            jit_run(cpu);
        }
    } else {
        while (cpu->halt_state == CPU_RUNNING && limit--) {
            cpu->interrupt_shadow = 0;
            interp_one(cpu);
        }
        outcome.lost = cpu->halt_state != CPU_HALTED;
    }
    cpu_spill_vectors(cpu);
    return outcome;
}

static void describe(GString *text, const char *name, uint64_t interp, uint64_t jit)
{
    if (interp != jit)
        g_string_append_printf(text,
                               "  %s: interpreter %016" G_GINT64_MODIFIER
                               "x, translated %016" G_GINT64_MODIFIER "x\n",
                               name, interp, jit);
}

/* NULL when both ended alike; else a text. FLAGS: which of RFLAGS to look at. */
static char *difference(Pair *pair, const Outcome *interp, const Outcome *jit, uint64_t flags)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    GString *text = g_string_new(NULL);
    const Cpu *a = pair->interp.cpu, *b = pair->jit.cpu;

    describe(text, "vector", interp->raised ? interp->vector : -1, jit->raised ? jit->vector : -1);
    describe(text, "error", interp->error, jit->error);
    describe(text, "cr2", a->cr2, b->cr2);
    describe(text, "rip", a->rip, b->rip);
    for (unsigned i = 0; i < N_GPR; i++)
        describe(text, names[i], a->gpr[i], b->gpr[i]);
    describe(text, "rflags", a->rflags & flags, b->rflags & flags);
    const uint8_t *ma = pair->interp.ram->host + pair->data;
    const uint8_t *mb = pair->jit.ram->host + pair->data;
    if (memcmp(ma, mb, DATA_SIZE))
        for (unsigned i = 0, shown = 0; i < DATA_SIZE && shown < 16; i++)
            if (ma[i] != mb[i]) {
                g_string_append_printf(text, "  data+%04x: %02x, %02x\n", i, ma[i], mb[i]);
                shown++;
            }
    for (unsigned i = 0, shown = 0; i < sizeof a->vectors && shown < 16; i++) {
        const uint8_t *va = (const uint8_t *)&a->vectors, *vb = (const uint8_t *)&b->vectors;
        /* Not the last instruction's and its data's address, nor MXCSR_MASK and what is reserved.
         */
        if ((i >= 6 && i < 24) || (i >= 28 && i < 32) || (i >= 416 && i < 576) || va[i] == vb[i])
            continue;
        g_string_append_printf(text, "  vectors+%u: %02x, %02x\n", i, va[i], vb[i]);
        shown++;
    }
    return g_string_free(text, text->len == 0);
}

static char *hex(const uint8_t *bytes, unsigned n)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < n; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return g_string_free(text, FALSE);
}

/* --- random blocks ---------------------------------------------------------------------------- */

#define POINTERS (1u << RBX | 1u << RSI | 1u << RDI | 1u << R10 | 1u << R12 | 1u << R15 | 1u << RBP)

static bool likely(GRand *rand, double p)
{
    return g_rand_double(rand) < p;
}

static uint8_t byte(GRand *rand)
{
    return (uint8_t)g_rand_int(rand);
}

/* Opcodes in the one-byte and 0F maps that the translator copies; anything else comes by accident.
 */
static unsigned random_instruction(GRand *rand, TestMode mode, uint8_t *bytes)
{
    static const uint8_t common[] = {0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a,
                                     0x8b, 0x8d, 0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3, 0xc6, 0xc7,
                                     0xf6, 0xf7, 0xfe, 0xff, 0x69, 0x6b, 0x63, 0x50, 0x58, 0x68,
                                     0x6a, 0x8f, 0x90, 0x98, 0x99, 0x9e, 0x9f, 0xf5, 0xf8, 0xf9,
                                     0xfc, 0xfd, 0xc9, 0xa8, 0xa9, 0xb0, 0xb8};
    static const uint8_t map_0f[] = {0xa3, 0xab, 0xb3, 0xbb, 0xba, 0xa4, 0xa5, 0xac,
                                     0xad, 0xaf, 0xb0, 0xb1, 0xb6, 0xb7, 0xbe, 0xbf,
                                     0xbc, 0xbd, 0xc0, 0xc1, 0xc3, 0xc7, 0xc8, 0xb8};
    unsigned n = 0;

    if (likely(rand, 0.1))
        bytes[n++] = 0xf0;
    if (likely(rand, 0.2))
        bytes[n++] = 0x66;
    if (mode != LONG_MODE && likely(rand, mode == REAL_16 ? 0.5 : 0.05))
        bytes[n++] = mode == REAL_16 ? 0x66 : 0x67;
    if (likely(rand, 0.05))
        bytes[n++] = likely(rand, 0.5) ? 0xf3 : 0xf2;
    if (mode == LONG_MODE && likely(rand, 0.6))
        bytes[n++] = 0x40 | (byte(rand) & 15);
    double kind = g_rand_double(rand);
    if (kind < 0.3) {
        bytes[n++] = (byte(rand) & 7) << 3 | (byte(rand) % 6);
    } else if (kind < 0.65) {
        uint8_t op = common[byte(rand) % sizeof common];
        bytes[n++] = op == 0x50 || op == 0x58 || op == 0xb0 || op == 0xb8 || op == 0x90
                         ? op | (byte(rand) & 7)
                         : op;
    } else if (kind < 0.98) {
        bytes[n++] = 0x0f;
        double which = g_rand_double(rand);
        bytes[n++] = which < 0.2   ? 0x40 | (byte(rand) & 15)
                     : which < 0.3 ? 0x90 | (byte(rand) & 15)
                                   : map_0f[byte(rand) % sizeof map_0f];
    } else {
        bytes[n++] = byte(rand);
    }
    for (unsigned i = 0; i < 12; i++)
        bytes[n++] = byte(rand);
    /* Small displacements and immediates reach further. */
    if (likely(rand, 0.7))
        memset(bytes + n - 10, 0, 10);
    return n;
}

static unsigned random_vector_instruction(GRand *rand, TestMode mode, uint8_t *bytes)
{
    static const uint8_t prefixes[] = {0x66, 0xf2, 0xf3};
    double kind = g_rand_double(rand);
    unsigned n = 0;

    if (kind < 0.3) {
        bytes[n++] = 0xd8 | (byte(rand) & 7);
    } else if (kind < 0.7) {
        if (likely(rand, 0.7))
            bytes[n++] = prefixes[byte(rand) % sizeof prefixes];
        if (mode == LONG_MODE && likely(rand, 0.4))
            bytes[n++] = 0x40 | (byte(rand) & 15);
        bytes[n++] = 0x0f;
        if (likely(rand, 0.2))
            bytes[n++] = likely(rand, 0.6) ? 0x38 : 0x3a;
        bytes[n++] = byte(rand);
    } else if (kind < 0.85) {
        bytes[n++] = 0xc5;
        bytes[n++] = byte(rand) | (mode == LONG_MODE ? 0 : 0xc0);
        bytes[n++] = byte(rand);
    } else {
        bytes[n++] = 0xc4;
        bytes[n++] = (byte(rand) & 0xe0) | (1 + byte(rand) % 3) | (mode == LONG_MODE ? 0 : 0xc0);
        bytes[n++] = byte(rand);
        bytes[n++] = byte(rand);
    }
    bool memory = likely(rand, 0.5);
    bytes[n++] = memory ? 0x40 | (byte(rand) & 0x3f) : 0xc0 | byte(rand);
    for (unsigned i = 0; i < 8; i++)
        bytes[n++] = byte(rand);
    return n;
}

static bool touches(const Insn *insn, uint32_t registers, bool written)
{
    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        unsigned reg = operand->reg;
        if (operand->kind != OPERAND_REG || operand->reg_class < REG_CLASS_GPR8 ||
            operand->reg_class > REG_CLASS_GPR64)
            continue;
        if ((registers & 1u << reg) &&
            (!written || (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)))
            return true;
    }
    return false;
}

static bool stores(const Insn *insn)
{
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].kind == OPERAND_MEM &&
            (insn->operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            return true;
    return false;
}

/* Whether a random block may hold INSN. UNDEFINED: flags with no defined value before it. */
static bool is_wanted(GRand *rand, const Insn *insn, uint32_t undefined, bool vectors)
{
    if (insn->category_flags & (INSN_IS_BRANCH | INSN_IS_SYSTEM | INSN_IS_STRING))
        return false;
    if (!vectors && (insn->category_flags & (INSN_IS_VECTOR | INSN_IS_X87)))
        return false;
    if (insn->flags_tested & undefined)
        return false;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_AAA:
    case ZYDIS_MNEMONIC_AAD:
    case ZYDIS_MNEMONIC_AAM:
    case ZYDIS_MNEMONIC_AAS:
    case ZYDIS_MNEMONIC_DAA:
    case ZYDIS_MNEMONIC_DAS:
    case ZYDIS_MNEMONIC_ENTER:
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_SALC: return false;
    case ZYDIS_MNEMONIC_BSF:
    case ZYDIS_MNEMONIC_BSR: /* a source of 0 leaves the destination: vendors differ */
        return false;
    case ZYDIS_MNEMONIC_BSWAP:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
        if (insn->opsize == 2)
            return false;
        break;
    default: break;
    }
    if ((insn->category_flags & INSN_HAS_MEMORY) && likely(rand, 0.97)) {
        if (insn->mem_base == INSN_REG_NONE || insn->mem_base == INSN_REG_RIP ||
            !(POINTERS & 1u << insn->mem_base) || insn->mem_index != INSN_REG_NONE ||
            insn->displacement > 0x1000 || insn->displacement < -0x1000)
            return insn->mem_base == INSN_REG_RIP && insn->displacement >= 0 &&
                   insn->displacement < 64 && !stores(insn);
    }
    if (insn->mem_base == INSN_REG_RIP && stores(insn))
        return false; /* into the code */
    if (touches(insn, POINTERS | 1u << RSP, true) && likely(rand, 0.95))
        return false;
    return true;
}

static void randomise(Pair *pair, GRand *rand)
{
    Cpu *cpus[] = {pair->interp.cpu, pair->jit.cpu};
    uint8_t data[DATA_SIZE];
    uint32_t base = pair->mode == REAL_16 ? 0 : pair->data;

    for (unsigned i = 0; i < sizeof data; i += 4) {
        uint32_t value = g_rand_int(rand);
        memcpy(data + i, &value, 4);
    }
    if (likely(rand, 0.02)) {
        memcpy(pair->interp.ram->host + pair->data, data, DATA_SIZE);
        memcpy(pair->jit.ram->host + pair->data, data, DATA_SIZE);
    }
    for (unsigned i = 0; i < N_GPR; i++) {
        uint64_t value = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
        if (likely(rand, 0.3))
            value &= 0xff;
        if (POINTERS & 1u << i)
            value = base + 0x2000 + g_rand_int(rand) % 0xc000;
        if (likely(rand, 0.2) && (POINTERS & 1u << i))
            value = (value | 0xfff) - (byte(rand) & 15);
        if (i == RSP)
            value = base + 0x8000 + (byte(rand) & 0xf8);
        if (pair->mode != LONG_MODE)
            value = i < 8 ? (uint32_t)value : 0;
        if (pair->mode == REAL_16 && (POINTERS & 1u << i))
            value &= 0xffff;
        cpus[0]->gpr[i] = cpus[1]->gpr[i] = value;
    }
    uint64_t flags = (g_rand_int(rand) & RFLAGS_ARITH) | RFLAGS_1;
    cpus[0]->rflags = cpus[1]->rflags = flags;
    cpus[0]->cr2 = cpus[1]->cr2 = 0;
}

typedef struct {
    uint8_t bytes[512];
    unsigned length;
    uint32_t undefined; /* flags at the end */
} Program;

/* A shift by 0 leaves the flags as they were. */
static bool has_count(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SHRD: return true;
    default: return false;
    }
}

static void make_program(Pair *pair, GRand *rand, unsigned n_insns, bool vectors, Program *program)
{
    uint32_t mode = pair->jit.cpu->mode;

    program->length = 0;
    program->undefined = 0;
    for (unsigned i = 0; i < n_insns;) {
        uint8_t bytes[32];
        Insn insn;
        if (vectors && likely(rand, 0.8))
            random_vector_instruction(rand, pair->mode, bytes);
        else
            random_instruction(rand, pair->mode, bytes);
        if (insn_decode(bytes, 15, mode, &insn) != DECODE_OK ||
            !is_wanted(rand, &insn, program->undefined, vectors))
            continue;
        memcpy(program->bytes + program->length, bytes, insn.length);
        program->length += insn.length;
        if (!has_count(&insn))
            program->undefined &= ~insn.flags_modified;
        program->undefined |= insn.flags_undefined;
        i++;
    }
    memset(program->bytes + program->length, 0xf4, 2); /* HLT */
    program->length += 2;
}

static void randomise_vectors(Pair *pair, GRand *rand)
{
    CpuVectors *a = &pair->interp.cpu->vectors, *b = &pair->jit.cpu->vectors;
    uint16_t control = 0x37f;
    uint32_t mxcsr = 0x1f80;

    memset(a, 0, sizeof *a);
    if (likely(rand, 0.2))
        control = (control & ~0x3f) | (byte(rand) & 0x3f);
    if (likely(rand, 0.2))
        mxcsr = (byte(rand) & 0x40) | (g_rand_int(rand) & 0xff80);
    for (unsigned i = 32; i < 416; i++)
        a->legacy[i] = i < 160 && i % 16 >= 10 ? 0 : byte(rand);
    for (unsigned i = 0; i < sizeof a->ymm_high; i++)
        a->ymm_high[i] = byte(rand);
    /* Numbers of a size that arithmetic keeps. */
    for (unsigned i = 0; i < 16; i++)
        if (likely(rand, 0.5)) {
            double number = g_rand_double_range(rand, -1000, 1000);
            memcpy(a->legacy + 160 + i * 16, &number, 8);
        }
    for (unsigned i = 0; i < 8; i++) {
        a->legacy[32 + i * 16 + 9] = 0x3f | (byte(rand) & 0xc0);
        a->legacy[32 + i * 16 + 7] |= 0x80;
    }
    memcpy(a->legacy, &control, 2);
    memcpy(a->legacy + 24, &mxcsr, 4);
    a->legacy[3] = (byte(rand) & 7) << 3;
    a->legacy[4] = likely(rand, 0.5) ? byte(rand) : 0xff;
    a->header[0] = 7;
    *b = *a;
    Cpu *cpus[] = {pair->interp.cpu, pair->jit.cpu};
    for (unsigned i = 0; i < 2; i++) {
        cpus[i]->x87_fip = cpus[i]->x87_fdp = 0;
        cpus[i]->x87_fcs = cpus[i]->x87_fds = cpus[i]->x87_fop = 0;
    }
}

static void random_blocks(TestMode mode, const JitOptions *options, bool vectors, unsigned count,
                          unsigned seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    unsigned ran_through = 0;
    Pair pair;

    pair_init(&pair, mode, options);
    for (unsigned n = 0; n < count; n++) {
        Program program;
        uint32_t ip = mode == REAL_16 ? 0x100 : pair.code + 0x100;
        uint32_t at =
            ip + (g_rand_int(rand) % 64) * 0x400 % 0x8000 + 4096 - byte(rand) % 128 - 0x100;

        if (mode == REAL_16)
            at &= 0x7fff;
        make_program(&pair, rand, 1 + byte(rand) % 10, vectors, &program);
        randomise(&pair, rand);
        if (vectors)
            randomise_vectors(&pair, rand);
        pair_write(&pair, mode == REAL_16 ? at + REAL_CODE : at, program.bytes, program.length);
        pair.interp.cpu->rip = pair.jit.cpu->rip = at;
        uint64_t before[N_GPR];
        memcpy(before, pair.jit.cpu->gpr, sizeof before);
        Outcome a = run(&pair.interp, 1000), b = run(&pair.jit, 0);
        uint64_t flags = ~(uint64_t)program.undefined;
        if (a.raised)
            flags &= ~(uint64_t)RFLAGS_ARITH;
        g_autofree char *text = difference(&pair, &a, &b, flags);
        if (text || a.lost) {
            g_autofree char *code = hex(program.bytes, program.length);
            for (unsigned i = 0; i < N_GPR; i++)
                g_printerr("# gpr%u before: %016" G_GINT64_MODIFIER "x\n", i, before[i]);
            g_error("seed %u case %u mode %d at %x: %s\n%s", seed, n, mode, at, code, text);
        }
        ran_through += !a.raised;
    }
    g_test_message("%u of %u ran through", ran_through, count);
    g_assert_cmpint(ran_through, >, count / 4);
    pair_clear(&pair);
}

static unsigned seed_from_environment(void)
{
    const char *seed = g_getenv("APIARY_TEST_SEED");

    return seed ? (unsigned)strtoul(seed, NULL, 0) : 1;
}

static void test_random_long(void)
{
    random_blocks(LONG_MODE, &JIT_OPTIONS_DEFAULT, false, 30000, seed_from_environment());
}

static void test_random_long_exact(void)
{
    random_blocks(LONG_MODE, &exact, false, 30000, seed_from_environment() + 1);
}

static void test_random_32(void)
{
    random_blocks(FLAT_32, &exact, false, 30000, seed_from_environment() + 2);
}

static void test_random_16(void)
{
    random_blocks(REAL_16, &exact, false, 30000, seed_from_environment() + 3);
}

static void test_random_slow(void)
{
    JitOptions options = JIT_OPTIONS_DEFAULT;
    options.slow_accesses = true;
    options.max_insns = 1;
    random_blocks(LONG_MODE, &options, false, 10000, seed_from_environment() + 4);
}

static void test_random_vectors_long(void)
{
    random_blocks(LONG_MODE, &exact, true, 30000, seed_from_environment() + 5);
}

static void test_random_vectors_32(void)
{
    random_blocks(FLAT_32, &JIT_OPTIONS_DEFAULT, true, 20000, seed_from_environment() + 6);
}

/* --- handwritten programs --------------------------------------------------------------------- */

static void check_program(TestMode mode, const uint8_t *code, size_t length,
                          const JitOptions *options)
{
    Pair pair;

    pair_init(&pair, mode, options);
    uint32_t ip = mode == REAL_16 ? 0x100 : CODE + 0x100;
    pair_write(&pair, mode == REAL_16 ? ip + REAL_CODE : ip, code, length);
    for (unsigned i = 0; i < 2; i++) {
        Cpu *cpu = i ? pair.jit.cpu : pair.interp.cpu;
        cpu->rip = ip;
        cpu->gpr[RSP] = mode == REAL_16 ? 0x8000 : STACK;
    }
    Outcome a = run(&pair.interp, 10000000), b = run(&pair.jit, 0);
    g_autofree char *text = difference(&pair, &a, &b, UINT64_MAX);
    if (text)
        g_error("mode %d:\n%s", mode, text);
    g_assert_false(a.raised);
    pair_clear(&pair);
}

/* Recursive Fibonacci: calls, returns, pushes. */
static void test_calls(void)
{
    static const uint8_t code[] = {
        0xbf, 0x0f, 0x00, 0x00, 0x00, /*     mov edi, 15 */
        0xe8, 0x01, 0x00, 0x00, 0x00, /*     call fib */
        0xf4,                         /*     hlt */
        0x55,                         /* fib: push rbp */
        0x53,                         /*     push rbx */
        0x89, 0xf8,                   /*     mov eax, edi */
        0x83, 0xff, 0x02,             /*     cmp edi, 2 */
        0x72, 0x13,                   /*     jb out */
        0x89, 0xfb,                   /*     mov ebx, edi */
        0x8d, 0x7b, 0xff,             /*     lea edi, [rbx-1] */
        0xe8, 0xed, 0xff, 0xff, 0xff, /*     call fib */
        0x89, 0xc5,                   /*     mov ebp, eax */
        0x8d, 0x7b, 0xfe,             /*     lea edi, [rbx-2] */
        0xe8, 0xe3, 0xff, 0xff, 0xff, /*     call fib */
        0x01, 0xe8,                   /*     add eax, ebp */
        0x5b,                         /* out: pop rbx */
        0x5d,                         /*     pop rbp */
        0xc3,                         /*     ret */
    };
    uint8_t fixed[sizeof code];

    memcpy(fixed, code, sizeof code);
    fixed[19] = 37 - 20 + 2; /* jb out, whatever the lengths above */
    for (unsigned i = 20; i < sizeof code; i++)
        if (code[i] == 0x5b)
            fixed[19] = i - 20;
    for (unsigned i = 22; i < sizeof code - 5; i++)
        if (code[i] == 0xe8) {
            int32_t relative = 11 - (int32_t)(i + 5);
            memcpy(fixed + i + 1, &relative, 4);
        }
    check_program(LONG_MODE, fixed, sizeof fixed, &JIT_OPTIONS_DEFAULT);
    check_program(FLAT_32, fixed, sizeof fixed, &JIT_OPTIONS_DEFAULT);
    check_program(FLAT_32, fixed, sizeof fixed, &exact);
}

/* Adds up and stores in loops of both kinds, with flags carried around. */
static void test_loops(void)
{
    static const uint8_t code[] = {
        0xb9, 0xe8, 0x03, 0x00, 0x00, /*     mov ecx, 1000 */
        0x31, 0xc0,                   /*     xor eax, eax */
        0x01, 0xc8,                   /* a:  add eax, ecx */
        0x11, 0xc2,                   /*     adc edx, eax */
        0xe2, 0xfa,                   /*     loop a */
        0xbb, 0x64, 0x00, 0x00, 0x00, /*     mov ebx, 100 */
        0x50,                         /* b:  push rax */
        0x11, 0xd0,                   /*     adc eax, edx */
        0x5e,                         /*     pop rsi */
        0xff, 0xcb,                   /*     dec ebx */
        0x75, 0xf8,                   /*     jnz b */
        0x9c,                         /*     pushf */
        0x5f,                         /*     pop rdi */
        0xf4,
    };
    check_program(LONG_MODE, code, sizeof code, &JIT_OPTIONS_DEFAULT);
    check_program(FLAT_32, code, sizeof code, &JIT_OPTIONS_DEFAULT);
    check_program(FLAT_32, code, sizeof code, &exact);
}

/* A store into the running block, ahead of itself. */
static void test_self_modifying(void)
{
    static const uint8_t code[] = {
        0xb9, 0x64, 0x00, 0x00, 0x00, /*     mov ecx, 100 */
        0x31, 0xc0,                   /*     xor eax, eax */
        0xbb, 0x12, 0x01, 0x10, 0x00, /* a:  mov ebx, patch+1 */
        0x88, 0x0b,                   /*     mov [rbx], cl */
        0x90, 0x90, 0x90,             /*     nops */
        0x05, 0x00, 0x00, 0x00, 0x00, /* patch: add eax, imm */
        0xff, 0xc9,                   /*     dec ecx */
        0x75, 0xed,                   /*     jnz a */
        0xf4,
    };
    check_program(LONG_MODE, code, sizeof code, &JIT_OPTIONS_DEFAULT);
    check_program(FLAT_32, code, sizeof code, &JIT_OPTIONS_DEFAULT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/jit/calls", test_calls);
    g_test_add_func("/cpu/jit/loops", test_loops);
    g_test_add_func("/cpu/jit/self-modifying", test_self_modifying);
    g_test_add_func("/cpu/jit/random-long", test_random_long);
    g_test_add_func("/cpu/jit/random-long-exact", test_random_long_exact);
    g_test_add_func("/cpu/jit/random-32", test_random_32);
    g_test_add_func("/cpu/jit/random-16", test_random_16);
    g_test_add_func("/cpu/jit/random-slow", test_random_slow);
    g_test_add_func("/cpu/jit/random-vectors-long", test_random_vectors_long);
    g_test_add_func("/cpu/jit/random-vectors-32", test_random_vectors_32);
    return g_test_run();
}
