/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/cpu/hostexec.h"

#include "core/cpu/interp-memory.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE_SIZE  (256 * 1024)
#define STUB_MAX   1024 /* bytes; a stub is some 200 */
#define CACHE_SIZE 1024 /* power of two */

/* What a stub reaches besides the Cpu. */
typedef struct {
    uint8_t buffer[HOSTEXEC_BUFFER];
    uint32_t flags; /* as flags_to_host() makes them */
    uint32_t mxcsr; /* the host's default */
} __attribute__((aligned(64))) StubArea;

typedef void (*StubFunc)(Cpu *cpu, StubArea *area);

typedef struct {
    uint8_t bytes[16]; /* the instruction, the last byte its mode; all zero: empty */
    uint32_t entry;    /* offsets in the code area */
    uint32_t landing;  /* where a fault goes on */
} Stub;

struct HostExec {
    StubArea *area;
    uint8_t *write;      /* the code area, writable */
    const uint8_t *code; /* the same, executable */
    size_t used;
    unsigned n_stubs;
    Stub stubs[CACHE_SIZE];
    /* While a stub runs, for the signal handler. */
    uint64_t landing;
    volatile int signal;
};

/* The stub that this thread is in; NULL outside. */
static __thread HostExec *volatile running;

/* --- faults inside stubs ---------------------------------------------------------------------- */

static struct sigaction previous_actions[NSIG];

static void pass_on(int number, siginfo_t *info, void *context)
{
    const struct sigaction *previous = &previous_actions[number];
    if (previous->sa_flags & SA_SIGINFO) {
        previous->sa_sigaction(number, info, context);
    } else if (previous->sa_handler == SIG_DFL || previous->sa_handler == SIG_IGN) {
        signal(number, SIG_DFL); /* the instruction runs again and dies as it should */
    } else {
        previous->sa_handler(number);
    }
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    HostExec *exec = running;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t rip = registers[REG_RIP];
    if (exec && rip >= (uintptr_t)exec->code && rip < (uintptr_t)exec->code + CODE_SIZE) {
        exec->signal = number;
        registers[REG_RIP] = exec->landing;
        return;
    }
    pass_on(number, info, context);
}

static void install_handlers(void)
{
    static gsize done;
    if (!g_once_init_enter(&done))
        return;
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    static const int numbers[] = {SIGFPE, SIGILL, SIGSEGV};
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++)
        sigaction(numbers[i], &action, &previous_actions[numbers[i]]);
    g_once_init_leave(&done, 1);
}

/* --- life ------------------------------------------------------------------------------------- */

HostExec *hostexec_new(void)
{
    int fd = memfd_create("apiary-stubs", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, CODE_SIZE) < 0)
        g_error("Cannot get memory for host instruction stubs");
    void *write = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    void *code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    close(fd);
    if (write == MAP_FAILED || code == MAP_FAILED)
        g_error("Cannot map memory for host instruction stubs");
    install_handlers();
    HostExec *exec = g_new0(HostExec, 1);
    exec->write = write;
    exec->code = code;
    exec->area = aligned_alloc(64, sizeof *exec->area);
    exec->area->mxcsr = 0x1f80;
    return exec;
}

void hostexec_free(HostExec *exec)
{
    if (!exec)
        return;
    munmap(exec->write, CODE_SIZE);
    munmap((void *)exec->code, CODE_SIZE);
    free(exec->area);
    g_free(exec);
}

uint8_t *hostexec_buffer(HostExec *exec)
{
    return exec->area->buffer;
}

/* --- emitting --------------------------------------------------------------------------------- */

typedef struct {
    const Insn *insn;
    uint8_t *at;
    uint32_t used_gprs, written_gprs; /* guest numbers */
    uint32_t used_vectors, written_vectors;
    uint8_t host[N_GPR]; /* guest register to the host's; only RSP moves */
    uint8_t cpu, area;   /* registers that hold Cpu and StubArea */
    bool vex, flags, long_mode;
} Emitter;

static void byte(Emitter *e, uint8_t value)
{
    *e->at++ = value;
}

static void bytes32(Emitter *e, uint32_t value)
{
    memcpy(e->at, &value, 4);
    e->at += 4;
}

/* ModRM and displacement for [BASE + disp32]; BASE is not RSP or R12. */
static void memory_operand(Emitter *e, unsigned reg, unsigned base, uint32_t displacement)
{
    byte(e, 0x80 | (reg & 7) << 3 | base);
    bytes32(e, displacement);
}

static void gpr_access(Emitter *e, uint8_t opcode, unsigned reg, unsigned base, uint32_t offset)
{
    byte(e, 0x48 | (reg >= 8 ? 4 : 0));
    byte(e, opcode);
    memory_operand(e, reg, base, offset);
}

static void move(Emitter *e, unsigned to, unsigned from)
{
    if (to == from)
        return;
    byte(e, 0x48);
    byte(e, 0x89);
    byte(e, 0xc0 | from << 3 | to);
}

static uint32_t gpr_slot(unsigned reg)
{
    return offsetof(Cpu, gpr) + reg * 8;
}

static uint32_t xmm_slot(unsigned reg)
{
    return offsetof(Cpu, vectors.xmm) + reg * 16;
}

static uint32_t ymm_high_slot(unsigned reg)
{
    return offsetof(Cpu, vectors.ymm_high) + reg * 16;
}

/* MOVAPS, or VMOVAPS beside VEX code so that nothing mixes; OPCODE 28h loads, 29h stores. */
static void vector_access(Emitter *e, uint8_t opcode, unsigned reg)
{
    if (e->vex) {
        byte(e, 0xc5);
        byte(e, (reg >= 8 ? 0 : 0x80) | 0x78);
    } else {
        if (reg >= 8)
            byte(e, 0x44);
        byte(e, 0x0f);
    }
    byte(e, opcode);
    memory_operand(e, reg, e->cpu, xmm_slot(reg));
}

/* VINSERTF128 ymm, ymm, m128, 1 (18h) or VEXTRACTF128 m128, ymm, 1 (19h). */
static void vector_high_access(Emitter *e, uint8_t opcode, unsigned reg)
{
    byte(e, 0xc4);
    byte(e, (reg >= 8 ? 0 : 0x80) | 0x63);
    byte(e, opcode == 0x18 ? 0x05 | ((~reg & 15) << 3) : 0x7d);
    byte(e, opcode);
    memory_operand(e, reg, e->cpu, ymm_high_slot(reg));
    byte(e, 1);
}

/* LDMXCSR (/2) or STMXCSR (/3). */
static void mxcsr_access(Emitter *e, unsigned extension, unsigned base, uint32_t offset)
{
    byte(e, 0x0f);
    byte(e, 0xae);
    memory_operand(e, extension, base, offset);
}

/* --- what an instruction uses ----------------------------------------------------------------- */

static bool is_gpr(const InsnOperand *operand)
{
    return operand->kind == OPERAND_REG && operand->reg_class >= REG_CLASS_GPR8 &&
           operand->reg_class <= REG_CLASS_GPR64;
}

static bool is_vector(const InsnOperand *operand)
{
    return operand->kind == OPERAND_REG &&
           (operand->reg_class == REG_CLASS_XMM || operand->reg_class == REG_CLASS_YMM);
}

static void collect(Emitter *e)
{
    const Insn *insn = e->insn;
    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        bool writes = operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
        if (is_gpr(operand)) {
            e->used_gprs |= 1u << operand->reg;
            if (writes)
                e->written_gprs |= 1u << operand->reg;
        } else if (is_vector(operand)) {
            e->used_vectors |= 1u << operand->reg;
            if (writes)
                e->written_vectors |= 1u << operand->reg;
        }
    }
    e->flags = insn->flags_tested || insn->flags_modified;
}

/* Registers for the Cpu, the area and a stand-in for guest RSP that the instruction leaves free. */
static void assign(Emitter *e)
{
    static const uint8_t preferred[] = {RDI, RSI, RCX, RDX, RBX, RBP, RAX};
    uint32_t taken = e->used_gprs & ~(1u << RSP);
    uint8_t chosen[3];
    unsigned n = 0;
    if (e->flags)
        taken |= 1u << RAX;
    for (unsigned i = 0; i < G_N_ELEMENTS(preferred) && n < 3; i++)
        if (!(taken & (1u << preferred[i])))
            chosen[n++] = preferred[i];
    g_assert(n == 3);
    e->cpu = chosen[0];
    e->area = chosen[1];
    for (unsigned reg = 0; reg < N_GPR; reg++)
        e->host[reg] = reg;
    e->host[RSP] = chosen[2];
}

static uint32_t host_registers(const Emitter *e)
{
    uint32_t set = e->used_gprs & ~(1u << RSP);
    if (e->used_gprs & (1u << RSP))
        set |= 1u << e->host[RSP];
    return set | 1u << e->cpu | 1u << e->area;
}

/* --- the copy --------------------------------------------------------------------------------- */

/* The number to encode for a field that NAMES an operand, with GPRs moved. */
static unsigned field(const Emitter *e, ZydisOperandEncoding encoding, unsigned original)
{
    for (unsigned i = 0; i < e->insn->n_operands; i++) {
        const InsnOperand *operand = &e->insn->operands[i];
        if (operand->encoding == encoding && is_gpr(operand) && !operand->hidden &&
            operand->reg_class != REG_CLASS_GPR8_HIGH)
            return e->host[operand->reg];
    }
    return original;
}

static bool has_gpr(const Insn *insn)
{
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (is_gpr(&insn->operands[i]))
            return true;
    return false;
}

/* VEX.W widens a general register or the memory in its place: ignored outside 64-bit mode. */
static bool w_is_operand_size(const Insn *insn)
{
    if (has_gpr(insn))
        return true;
    if (insn->opcode_map == ZYDIS_OPCODE_MAP_0F)
        return insn->opcode == 0x2a || insn->opcode == 0x6e || insn->opcode == 0x7e;
    return insn->opcode_map == ZYDIS_OPCODE_MAP_0F3A &&
           (insn->opcode == 0x16 || insn->opcode == 0x22);
}

static bool names_register_by_immediate(const Insn *insn)
{
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].encoding == ZYDIS_OPERAND_ENCODING_IS4)
            return true;
    return false;
}

static void copy_tail(Emitter *e, unsigned reg, unsigned rm)
{
    const Insn *insn = e->insn;
    if (insn->modrm_offset != 0xff) {
        bool memory = insn->modrm < 0xc0;
        byte(e, memory ? (reg & 7) << 3 | e->area : 0xc0 | (reg & 7) << 3 | (rm & 7));
        if (memory && e->area == RBP) { /* [rBP] needs a displacement */
            e->at[-1] |= 0x40;
            byte(e, 0);
        }
    }
    for (unsigned i = 0; i < insn->imm_size; i++)
        byte(e, insn->bytes[insn->imm_offset + i]);
    if (!e->long_mode && names_register_by_immediate(insn))
        e->at[-1] &= 0x7f; /* registers 8-15 are not there: ignored */
}

static void copy_vex(Emitter *e)
{
    const Insn *insn = e->insn;
    const uint8_t *v = insn->bytes + insn->vex_offset;
    bool three = v[0] == 0xc4;
    uint8_t map = three ? v[1] & 0x1f : 1, last = three ? v[2] : v[1] & 0x7f;
    bool r = !(v[1] & 0x80), b = three && !(v[1] & 0x20);
    unsigned vvvv = (~last >> 3) & 15;
    if (!e->long_mode) {
        r = b = false;
        vvvv &= 7;
        if (w_is_operand_size(insn))
            last &= 0x7f;
    }
    unsigned reg = ((insn->modrm >> 3) & 7) | (r ? 8 : 0), rm = (insn->modrm & 7) | (b ? 8 : 0);
    reg = field(e, ZYDIS_OPERAND_ENCODING_MODRM_REG, reg);
    rm = field(e, ZYDIS_OPERAND_ENCODING_MODRM_RM, rm);
    /* An unused vvvv stays 1111b. */
    vvvv = field(e, ZYDIS_OPERAND_ENCODING_NDSNDD, vvvv);
    if (!e->long_mode && (((~last >> 3) & 15) == 0))
        vvvv = 0;
    byte(e, 0xc4);
    byte(e, (reg >= 8 ? 0 : 0x80) | 0x40 | (insn->modrm >= 0xc0 && rm >= 8 ? 0 : 0x20) | map);
    byte(e, (last & 0x87) | ((~vvvv & 15) << 3));
    byte(e, insn->opcode);
    copy_tail(e, reg, rm);
}

static void copy_legacy(Emitter *e)
{
    const Insn *insn = e->insn;
    bool x66 = false;
    uint8_t repeat = 0;
    for (unsigned i = 0; i < insn->opcode_offset; i++) {
        if (insn->bytes[i] == 0x66)
            x66 = true;
        else if (insn->bytes[i] == 0xf2 || insn->bytes[i] == 0xf3)
            repeat = insn->bytes[i];
    }
    if (insn->category_flags & INSN_IS_X87) {
        x66 = false;
        repeat = 0;
    } else if (!(insn->category_flags & INSN_IS_VECTOR) &&
               insn->isa_set != ZYDIS_ISA_SET_ADOX_ADCX) {
        x66 = insn->opsize == 2; /* what the prefix means depends on the mode */
    }
    unsigned reg = ((insn->modrm >> 3) & 7) | (insn->rex & 4 ? 8 : 0);
    unsigned rm = (insn->modrm & 7) | (insn->rex & 1 ? 8 : 0);
    reg = field(e, ZYDIS_OPERAND_ENCODING_MODRM_REG, reg);
    rm = field(e, ZYDIS_OPERAND_ENCODING_MODRM_RM, rm);
    if (x66)
        byte(e, 0x66);
    if (repeat)
        byte(e, repeat);
    uint8_t rex =
        0x40 | (insn->rex & 8) | (reg >= 8 ? 4 : 0) | (insn->modrm >= 0xc0 && rm >= 8 ? 1 : 0);
    /* A source RSP in a byte register (SPL) needs one too; so does its stand-in. */
    if (insn->rex_offset != 0xff || rex != 0x40)
        byte(e, rex);
    if (insn->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
        byte(e, 0x0f);
    if (insn->opcode_map == ZYDIS_OPCODE_MAP_0F38)
        byte(e, 0x38);
    else if (insn->opcode_map == ZYDIS_OPCODE_MAP_0F3A)
        byte(e, 0x3a);
    byte(e, insn->opcode);
    copy_tail(e, reg, rm);
}

/* --- a stub ------------------------------------------------------------------------------------
 */

#define CALLEE_SAVED (1u << RBX | 1u << RBP | 1u << R12 | 1u << R13 | 1u << R14 | 1u << R15)

static void emit_prologue(Emitter *e)
{
    uint32_t saved = host_registers(e) & CALLEE_SAVED;
    for (unsigned reg = 0; reg < N_GPR; reg++) {
        if (!(saved & (1u << reg)))
            continue;
        if (reg >= 8)
            byte(e, 0x41);
        byte(e, 0x50 | (reg & 7));
    }
    /* Arguments: RDI is the Cpu, RSI the area. */
    if (e->cpu == RSI && e->area == RDI) {
        byte(e, 0x48);
        byte(e, 0x87);
        byte(e, 0xc0 | RSI << 3 | RDI);
    } else if (e->cpu == RSI) {
        move(e, e->area, RSI);
        move(e, e->cpu, RDI);
    } else {
        move(e, e->cpu, RDI);
        move(e, e->area, RSI);
    }
}

static void emit_loads(Emitter *e)
{
    for (unsigned reg = 0; reg < 16; reg++) {
        if (!(e->used_vectors & (1u << reg)))
            continue;
        vector_access(e, 0x28, reg);
        if (e->vex)
            vector_high_access(e, 0x18, reg);
    }
    mxcsr_access(e, 2, e->cpu, offsetof(Cpu, vectors.mxcsr));
    if (e->flags) {
        byte(e, 0x8b); /* mov eax, flags; add al, 7fh; sahf */
        memory_operand(e, RAX, e->area, offsetof(StubArea, flags));
        byte(e, 0x04);
        byte(e, 0x7f);
        byte(e, 0x9e);
    }
    for (unsigned reg = 0; reg < N_GPR; reg++)
        if (e->used_gprs & (1u << reg))
            gpr_access(e, 0x8b, e->host[reg], e->cpu, gpr_slot(reg));
}

static void emit_stores(Emitter *e)
{
    for (unsigned reg = 0; reg < N_GPR; reg++)
        if (e->written_gprs & (1u << reg))
            gpr_access(e, 0x89, e->host[reg], e->cpu, gpr_slot(reg));
    if (e->flags) {
        byte(e, 0x9f); /* lahf; seto al; mov flags, eax */
        byte(e, 0x0f);
        byte(e, 0x90);
        byte(e, 0xc0);
        byte(e, 0x89);
        memory_operand(e, RAX, e->area, offsetof(StubArea, flags));
    }
    for (unsigned reg = 0; reg < 16; reg++) {
        if (!(e->written_vectors & (1u << reg)))
            continue;
        vector_access(e, 0x29, reg);
        if (e->vex)
            vector_high_access(e, 0x19, reg);
    }
}

static void emit_epilogue(Emitter *e)
{
    uint32_t saved = host_registers(e) & CALLEE_SAVED;
    mxcsr_access(e, 3, e->cpu, offsetof(Cpu, vectors.mxcsr));
    mxcsr_access(e, 2, e->area, offsetof(StubArea, mxcsr));
    if (e->vex) {
        byte(e, 0xc5); /* vzeroupper */
        byte(e, 0xf8);
        byte(e, 0x77);
    }
    for (int reg = N_GPR - 1; reg >= 0; reg--) {
        if (!(saved & (1u << reg)))
            continue;
        if (reg >= 8)
            byte(e, 0x41);
        byte(e, 0x58 | (reg & 7));
    }
    byte(e, 0xc3);
}

static void emit(HostExec *exec, Stub *stub, const Insn *insn, bool long_mode)
{
    Emitter e = {
        .insn = insn,
        .at = exec->write + exec->used,
        .vex = insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX,
        .long_mode = long_mode,
    };
    collect(&e);
    if (!e.used_vectors)
        e.vex = false; /* BMI: nothing of YMM to move */
    assign(&e);
    stub->entry = exec->used;
    emit_prologue(&e);
    emit_loads(&e);
    if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        copy_vex(&e);
    else
        copy_legacy(&e);
    emit_stores(&e);
    stub->landing = e.at - exec->write;
    emit_epilogue(&e);
    exec->used = (e.at - exec->write + 15) & ~(size_t)15;
    g_assert(exec->used - stub->entry <= STUB_MAX);
}

/* --- the cache of stubs ----------------------------------------------------------------------- */

static const Stub *find_stub(HostExec *exec, const Insn *insn, bool long_mode)
{
    uint8_t key[16] = {0};
    uint64_t low, high;
    memcpy(key, insn->bytes, insn->length);
    /* The operand size tells 16-bit code from 32-bit. */
    key[15] = (long_mode ? 0x80 : 0x40) | insn->opsize;
    memcpy(&low, key, 8);
    memcpy(&high, key + 8, 8);
    unsigned i = ((low ^ high * 0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd) >> 54;
    for (;; i = (i + 1) % CACHE_SIZE) {
        Stub *stub = &exec->stubs[i];
        if (!memcmp(stub->bytes, key, sizeof key))
            return stub;
        if (stub->bytes[15])
            continue;
        if (exec->used + STUB_MAX > CODE_SIZE || exec->n_stubs >= CACHE_SIZE / 2) {
            memset(exec->stubs, 0, sizeof exec->stubs);
            exec->used = exec->n_stubs = 0;
            return find_stub(exec, insn, long_mode);
        }
        memcpy(stub->bytes, key, sizeof key);
        emit(exec, stub, insn, long_mode);
        exec->n_stubs++;
        return stub;
    }
}

/* --- running ---------------------------------------------------------------------------------- */

static bool uses_x87(const Insn *insn)
{
    if ((insn->category_flags & INSN_IS_X87) || insn->mnemonic == ZYDIS_MNEMONIC_EMMS)
        return true;
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].reg_class == REG_CLASS_MMX)
            return true;
    return false;
}

HostExecResult hostexec_run(Cpu *cpu, const Insn *insn)
{
    HostExec *exec = interp_hostexec(cpu);
    const Stub *stub = find_stub(exec, insn, cpu_is_64bit(cpu));
    StubFunc func = (StubFunc)(uintptr_t)(exec->code + stub->entry);
    bool x87 = uses_x87(insn);

    exec->area->flags = flags_to_host(cpu->rflags);
    exec->landing = (uintptr_t)exec->code + stub->landing;
    exec->signal = 0;
    running = exec;
    if (x87)
        vectors_load_x87(cpu);
    func(cpu, exec->area);
    if (x87)
        vectors_save_x87(cpu);
    running = NULL;
    switch (exec->signal) {
    case 0: break;
    case SIGFPE: return HOSTEXEC_FP_EXCEPTION;
    case SIGILL: return HOSTEXEC_UNDEFINED;
    default: return HOSTEXEC_FAULT;
    }
    if (insn->flags_modified)
        cpu->rflags = flags_from_host(cpu->rflags, exec->area->flags);
    return HOSTEXEC_DONE;
}

void hostexec_integer(Cpu *cpu, const Insn *insn)
{
    if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX &&
        (!(cpu->mode & MODE_PE) || (cpu->mode & MODE_VM86)))
        cpu_raise(cpu, EXC_UD);
    if (insn->category_flags & INSN_HAS_MEMORY) {
        unsigned size = insn->mem_size;
        uint64_t value = interp_load(cpu, insn_linear(cpu, insn, size, false), size);
        memcpy(hostexec_buffer(interp_hostexec(cpu)), &value, 8);
    }
    if (hostexec_run(cpu, insn) != HOSTEXEC_DONE)
        cpu_raise(cpu, EXC_UD);
}
