/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The interpreter against the host's own processor: each encoding of the one-byte, 0F, 0F38 and
 * 0F3A maps (legacy and VEX, register and memory forms) that decodes to an unprivileged instruction
 * without control flow runs on both with the same random state, and everything it can touch is
 * compared.
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

#define RAM_SIZE   (4u << 20)
#define CODE       0x100000
#define DATA       0x200000 /* what [RSI] and [RDI] point into */
#define STACK      0x180000
#define HANDLERS   0x110000 /* one byte of HLT each 16 bytes, by vector */
#define DATA_BYTES 256

/* --- state ------------------------------------------------------------------------------------ */

typedef struct {
    CpuVectors vectors;
    uint64_t gpr[16];
    uint64_t rflags;
    uint8_t data[DATA_BYTES] __attribute__((aligned(64)));
    int vector; /* exception, -1 none */
} State;

static GRand *rng;

static uint64_t random64(void)
{
    uint64_t value = (uint64_t)g_rand_int(rng) << 32 | g_rand_int(rng);
    switch (g_rand_int_range(rng, 0, 8)) {
    case 0: return value & 0xff;
    case 1: return (uint64_t)(int64_t)(int8_t)value;
    case 2: return (int64_t)1 << (value & 63);
    case 3: return ((int64_t)1 << (value & 63)) - 1;
    default: return value;
    }
}

static void random_double(uint8_t *out)
{
    double value = (double)(int32_t)g_rand_int(rng) / (1 + g_rand_int_range(rng, 0, 1000));
    memcpy(out, &value, 8);
}

static void random_vector(uint8_t *out)
{
    for (unsigned i = 0; i < 16; i += 8) {
        uint64_t value = random64();
        if (g_rand_boolean(rng))
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
        state->gpr[i] = random64();
    state->rflags = 0x202 | (random64() & RFLAGS_ARITH);
    for (unsigned i = 0; i < 16; i++) {
        random_vector(legacy + 160 + i * 16);
        random_vector(state->vectors.ymm_high + i * 16);
    }
    for (unsigned i = 0; i < DATA_BYTES; i += 16)
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
        memcpy(legacy + 32 + i * 16, g_rand_int_range(rng, 0, 3) ? (void *)&value : bits, 10);
    }
    state->vectors.header[0] = 7;
    state->vector = -1;
}

/* --- the host --------------------------------------------------------------------------------- */

static uint8_t *host_code;
static sigjmp_buf host_escape;
static volatile int host_signal;

static void on_signal(int number)
{
    host_signal = number;
    siglongjmp(host_escape, 1);
}

static const CpuVectors clean = {.legacy = {[0] = 0x7f, [1] = 3, [24] = 0x80, [25] = 0x1f}};

/* In: RDI the State. The instruction sees all of STATE but RSP. */
__asm__(".pushsection .text\n"
        "run_on_host:\n"
        "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "push %rdi\npush %rsi\n" /* 8(%rsp) State, (%rsp) code */
        "mov $7, %eax\nxor %edx, %edx\nxrstor64 (%rdi)\n"
        "mov %rdi, %r15\n"
        "push 960(%r15)\npopfq\n"
        "mov 832(%r15), %rax\nmov 840(%r15), %rcx\nmov 848(%r15), %rdx\nmov 856(%r15), %rbx\n"
        "mov 872(%r15), %rbp\nmov 880(%r15), %rsi\nmov 888(%r15), %rdi\nmov 896(%r15), %r8\n"
        "mov 904(%r15), %r9\nmov 912(%r15), %r10\nmov 920(%r15), %r11\nmov 928(%r15), %r12\n"
        "mov 936(%r15), %r13\nmov 944(%r15), %r14\nmov 952(%r15), %r15\n"
        "call *(%rsp)\n"
        "xchg %r15, 8(%rsp)\n"
        "mov %rax, 832(%r15)\nmov %rcx, 840(%r15)\nmov %rdx, 848(%r15)\nmov %rbx, 856(%r15)\n"
        "mov %rbp, 872(%r15)\nmov %rsi, 880(%r15)\nmov %rdi, 888(%r15)\nmov %r8, 896(%r15)\n"
        "mov %r9, 904(%r15)\nmov %r10, 912(%r15)\nmov %r11, 920(%r15)\nmov %r12, 928(%r15)\n"
        "mov %r13, 936(%r15)\nmov %r14, 944(%r15)\n"
        "mov 8(%rsp), %rax\nmov %rax, 952(%r15)\n"
        "pushfq\npop 960(%r15)\n"
        "mov $7, %eax\nxor %edx, %edx\nxsave64 (%r15)\n"
        "pop %rsi\npop %rdi\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n"
        ".popsection\n");
void run_on_host(State *state, const void *code);

static void reset_host_vectors(void)
{
    __asm__ volatile("xrstor64 %0" : : "m"(clean), "a"(7), "d"(0) : "memory");
}

static void host_run(State *state, const Insn *insn, uint8_t *data)
{
    static State copy; /* siglongjmp must not lose it */
    memcpy(host_code, insn->bytes, insn->length);
    host_code[insn->length] = 0xc3;
    copy = *state;
    memcpy(data, state->data, DATA_BYTES);
    copy.gpr[RSI] = copy.gpr[RDI] = (uintptr_t)data;
    host_signal = 0;
    if (!sigsetjmp(host_escape, 1)) {
        run_on_host(&copy, host_code);
    } else {
        copy = *state; /* nothing of it committed */
    }
    reset_host_vectors();
    memcpy(copy.data, data, DATA_BYTES);
    copy.vector = -1;
    if (host_signal)
        copy.vector = host_signal == SIGILL ? EXC_UD : host_signal == SIGFPE ? EXC_XM : EXC_GP;
    *state = copy;
}

/* --- the guest -------------------------------------------------------------------------------- */

static MemoryMap *memory;
static RamBlock *ram;
static CpuidModel *model;
static Cpu *cpu;

static void put64(uint64_t address, uint64_t value)
{
    memcpy(ram->host + address, &value, 8);
}

/* 64-bit code, flat, identity-mapped with 2 MiB pages, every exception to its own HLT. */
static void guest_start(void)
{
    GError *error = NULL;
    memory = memory_map_new();
    ram = ram_block_new(memory, "ram", RAM_SIZE, &error);
    g_assert_no_error(error);
    memory_region_place(memory_region_new_ram(memory, "ram", ram, 0, RAM_SIZE), 0, 0);
    model = cpuid_model_new("max", 1, &error);
    g_assert_no_error(error);
    CpuConfig config = {.accel = CPU_ACCEL_INTERP, .memory = memory, .model = model};
    cpu = cpu_new(&config, &error);
    g_assert_no_error(error);

    cpu->model = NULL; /* every extension that decodes exists */
    put64(0x1000, 0x2003);
    put64(0x2000, 0x3003);
    for (unsigned i = 0; i < RAM_SIZE >> 21; i++)
        put64(0x3000 + i * 8, (uint64_t)i << 21 | 0x83);
    put64(0x4008, 0x00af9b000000ffff); /* CS 08h */
    put64(0x4010, 0x00cf93000000ffff); /* SS 10h */
    for (unsigned vector = 0; vector < 32; vector++) {
        uint64_t handler = HANDLERS + vector * 16;
        put64(0x5000 + vector * 16,
              (handler & 0xffff) | 8 << 16 | 0x8e00ull << 32 | (handler >> 16) << 48);
        put64(0x5008 + vector * 16, 0);
        ram->host[handler] = 0xf4;
    }
    cpu->gdtr.base = 0x4000;
    cpu->gdtr.limit = 0x17;
    cpu->idtr.base = 0x5000;
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

static void guest_run(State *state, const Insn *insn, uint64_t data)
{
    memcpy(ram->host + CODE, insn->bytes, insn->length);
    memcpy(ram->host + data, state->data, DATA_BYTES);
    memcpy(cpu->gpr, state->gpr, sizeof cpu->gpr);
    memcpy(cpu->vectors.legacy, state->vectors.legacy, 28);
    memcpy(cpu->vectors.legacy + 32, state->vectors.legacy + 32, 128 + 256);
    memcpy(cpu->vectors.ymm_high, state->vectors.ymm_high, 256);
    cpu->gpr[RSP] = STACK;
    cpu->gpr[RSI] = cpu->gpr[RDI] = data;
    cpu->rip = CODE;
    cpu->rflags = state->rflags;
    cpu->halt_state = CPU_RUNNING;
    cpu_update_mode(cpu);
    cpu_step(cpu, 1);
    state->vector = -1;
    uint64_t rflags = cpu->rflags;
    if (cpu->rip >= HANDLERS && cpu->rip < HANDLERS + 512) {
        state->vector = (cpu->rip - HANDLERS) / 16;
        uint64_t frame = cpu->gpr[RSP];
        memcpy(&rflags,
               ram->host + frame +
                   (state->vector == EXC_GP || state->vector == EXC_PF || state->vector == EXC_SS
                        ? 24
                        : 16),
               8);
    } else if (cpu->rip != (uint64_t)CODE + insn->length) {
        state->vector = 100;
    }
    memcpy(state->gpr, cpu->gpr, sizeof cpu->gpr);
    state->rflags = rflags;
    memcpy(state->vectors.legacy, cpu->vectors.legacy, 512);
    memcpy(state->vectors.ymm_high, cpu->vectors.ymm_high, 256);
    memcpy(state->data, ram->host + data, DATA_BYTES);
}

/* --- comparing -------------------------------------------------------------------------------- */

static unsigned n_compared, n_different;

static bool same_exception(int host, int guest)
{
    if (host == EXC_GP) /* SIGSEGV */
        return guest == EXC_GP || guest == EXC_PF || guest == EXC_SS;
    if (host == EXC_XM) /* SIGFPE */
        return guest == EXC_XM || guest == EXC_DE || guest == EXC_MF;
    return host == guest;
}

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

static void compare(const Insn *insn, const State *before, const State *host, const State *guest)
{
    State h = *host, g = *guest;
    h.gpr[RSP] = g.gpr[RSP] = 0;
    for (unsigned reg = RSI; reg <= RDI; reg++) /* differ between the sides by nature */
        h.gpr[reg] = g.gpr[reg] = 0;
    h.rflags &= RFLAGS_ARITH;
    g.rflags &= RFLAGS_ARITH;
    n_compared++;
    if (h.vector >= 0) {
        if (same_exception(h.vector, g.vector))
            return;
    } else if (g.vector == -1 && !memcmp(h.gpr, g.gpr, sizeof h.gpr) && h.rflags == g.rflags &&
               !memcmp(h.vectors.legacy, g.vectors.legacy, 5) &&
               !memcmp(h.vectors.legacy + 24, g.vectors.legacy + 24, 4) &&
               !memcmp(h.vectors.ymm_high, g.vectors.ymm_high, 256) &&
               !memcmp(h.vectors.legacy + 160, g.vectors.legacy + 160, 256) &&
               !memcmp(h.data, g.data, DATA_BYTES)) {
        bool same = true;
        for (unsigned i = 0; i < 8; i++)
            same =
                same && !memcmp(h.vectors.legacy + 32 + i * 16, g.vectors.legacy + 32 + i * 16, 10);
        if (same)
            return;
    }
    if (n_different++ > 40)
        return;
    g_printerr("%s", ZydisMnemonicGetString(insn->mnemonic));
    for (unsigned i = 0; i < insn->length; i++)
        g_printerr(" %02x", insn->bytes[i]);
    g_printerr(": exception host %d guest %d\n", h.vector, g.vector);
    if (h.vector >= 0 || g.vector >= 0)
        return;
    if (h.rflags != g.rflags)
        g_printerr("    flags before %lx host %lx guest %lx\n", before->rflags, h.rflags, g.rflags);
    for (unsigned i = 0; i < 16; i++) {
        char title[8];
        g_snprintf(title, sizeof title, "r%u", i);
        dump(title, (uint8_t *)&h.gpr[i], (uint8_t *)&g.gpr[i], 8);
        g_snprintf(title, sizeof title, "xmm%u", i);
        dump(title, h.vectors.legacy + 160 + i * 16, g.vectors.legacy + 160 + i * 16, 16);
        g_snprintf(title, sizeof title, "high%u", i);
        dump(title, h.vectors.ymm_high + i * 16, g.vectors.ymm_high + i * 16, 16);
        g_snprintf(title, sizeof title, "st%u", i);
        if (i < 8)
            dump(title, h.vectors.legacy + 32 + i * 16, g.vectors.legacy + 32 + i * 16, 10);
    }
    dump("x87", h.vectors.legacy, g.vectors.legacy, 5);
    dump("mxcsr", h.vectors.legacy + 24, g.vectors.legacy + 24, 4);
    for (unsigned i = 0; i < DATA_BYTES; i += 16)
        dump("data", h.data + i, g.data + i, 16);
}

/* --- forms ------------------------------------------------------------------------------------ */

static uint8_t *host_data;

/* Nothing that leaves the process, needs privilege, loops or reaches memory we do not watch. */
static bool may_run(const Insn *insn)
{
    if (insn->category_flags & (INSN_IS_BRANCH | INSN_IS_SYSTEM | INSN_IS_STRING))
        return false;
    for (unsigned i = 0; i < insn->n_operands; i++) {
        const InsnOperand *operand = &insn->operands[i];
        if (operand->kind == OPERAND_MEM && operand->hidden)
            return false;
        if (operand->kind == OPERAND_REG && operand->reg_class >= REG_CLASS_GPR8 &&
            operand->reg_class <= REG_CLASS_GPR64 &&
            (operand->reg == RSP || operand->reg == RSI || operand->reg == RDI) &&
            !(operand->reg_class == REG_CLASS_GPR8_HIGH))
            return false;
        if (operand->kind == OPERAND_REG && operand->reg_class == REG_CLASS_SEG)
            return false;
    }
    if (insn->mem_index != INSN_REG_NONE || insn->mem_seg >= SEG_FS || insn->address_size != 8)
        return false;
    if (insn->category_flags & INSN_HAS_MEMORY) {
        if (insn->mem_base != RSI || insn->displacement < 0 || insn->displacement > 64)
            return false;
    } else {
        for (unsigned i = 0; i < insn->n_visible; i++)
            if (insn->operands[i].kind == OPERAND_MEM && insn->mnemonic != ZYDIS_MNEMONIC_NOP)
                return false;
    }
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_FXSAVE: /* pointers of the last x87 instruction: the guest's own */
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_STD: return false;
    case ZYDIS_MNEMONIC_BT: /* reach far away by a register */
    case ZYDIS_MNEMONIC_BTC:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTS:
        return insn->operands[0].kind == OPERAND_REG || insn->operands[1].kind == OPERAND_IMM;
    default: return true;
    }
}

static void try_form(const uint8_t *bytes, unsigned length, bool unmask)
{
    State before, host, guest;
    Insn insn;
    (void)length;
    if (insn_decode(bytes, INSN_MAX_BYTES, MODE_CS64, &insn) != DECODE_OK || !may_run(&insn))
        return;
    if (insn.isa_set == ZYDIS_ISA_SET_GFNI || insn.isa_set == ZYDIS_ISA_SET_AVX_GFNI ||
        insn.isa_set == ZYDIS_ISA_SET_VAES || insn.isa_set == ZYDIS_ISA_SET_VPCLMULQDQ ||
        insn.isa_set == ZYDIS_ISA_SET_AVX_VNNI || insn.isa_set == ZYDIS_ISA_SET_XSAVEC)
        return; /* the model does not show them, the host has them */
    randomise(&before, unmask);
    unsigned offset = g_rand_int_range(rng, 0, 4) ? 0 : g_rand_int_range(rng, 0, 17);
    host = guest = before;
    host_run(&host, &insn, host_data + offset);
    guest_run(&guest, &insn, DATA + offset);
    compare(&insn, &before, &host, &guest);
}

/* Prefixes, opcode and all eight ModRM.reg values, with a register and with [RSI]. */
static void try_opcode(const uint8_t *prefix, unsigned n, unsigned opcode, bool unmask)
{
    uint8_t bytes[32];
    for (unsigned form = 0; form < 12; form++) {
        unsigned reg = form < 8 ? form : (unsigned)g_rand_int_range(rng, 0, 8);
        unsigned rm = g_rand_int_range(rng, 0, 8);
        memcpy(bytes, prefix, n);
        for (unsigned i = n; i < sizeof bytes; i++)
            bytes[i] = g_rand_int(rng);
        bytes[n] = opcode;
        bytes[n + 1] = form & 1 ? 0xc0 | reg << 3 | rm : 0x06 | reg << 3;
        try_form(bytes, sizeof bytes, unmask);
    }
}

static void run_map(unsigned map, bool vex, bool unmask)
{
    static const uint8_t mandatory[] = {0, 0x66, 0xf3, 0xf2};
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        for (unsigned pp = 0; pp < 4; pp++) {
            for (unsigned w = 0; w < 2; w++) {
                uint8_t prefix[8];
                unsigned n = 0;
                if (vex) {
                    for (unsigned l = 0; l < 2; l++) {
                        prefix[0] = 0xc4;
                        /* R, X, B are inverted; vvvv is sometimes 1111b as many demand. */
                        prefix[1] = (g_rand_int(rng) & 0x80) | 0x60 | map;
                        unsigned vvvv = g_rand_boolean(rng) ? 15 : g_rand_int_range(rng, 0, 16);
                        prefix[2] = w << 7 | vvvv << 3 | l << 2 | pp;
                        try_opcode(prefix, 3, opcode, unmask);
                    }
                    continue;
                }
                if (mandatory[pp])
                    prefix[n++] = mandatory[pp];
                if (w || g_rand_int_range(rng, 0, 3) == 0)
                    prefix[n++] = 0x40 | w << 3 | (g_rand_int(rng) & 4);
                if (map)
                    prefix[n++] = 0x0f;
                if (map > 1)
                    prefix[n++] = map == 2 ? 0x38 : 0x3a;
                try_opcode(prefix, n, opcode, unmask);
            }
        }
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

static void test_map(gconstpointer data)
{
    unsigned code = GPOINTER_TO_UINT(data);
    for (unsigned round = 0; round < 3; round++)
        run_map(code & 3, code & 4, code & 8);
    finish();
}

/* D8 to DF with every ModRM. */
static void test_x87(gconstpointer data)
{
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
            for (unsigned modrm = 0; modrm < 256; modrm++) {
                uint8_t bytes[32] = {opcode, modrm};
                if (modrm >= 0xc0 || (modrm & 0xc7) == 0x06)
                    try_form(bytes, sizeof bytes, GPOINTER_TO_UINT(data));
            }
        }
    }
    finish();
}

int main(int argc, char **argv)
{
    static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP};
    g_test_init(&argc, &argv, NULL);
    const char *seed = g_getenv("APIARY_TEST_SEED");
    rng = g_rand_new_with_seed(seed ? (guint32)g_ascii_strtoull(seed, NULL, 0) : 20240611);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
        sigaction(signals[i], &action, NULL);
    }
    static uint8_t alternate[65536];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    sigaltstack(&stack, NULL);
    host_code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    host_data = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    guest_start();

    g_test_add_data_func("/cpu/interp-host/one-byte", GUINT_TO_POINTER(0), test_map);
    g_test_add_data_func("/cpu/interp-host/0f", GUINT_TO_POINTER(1), test_map);
    g_test_add_data_func("/cpu/interp-host/0f38", GUINT_TO_POINTER(2), test_map);
    g_test_add_data_func("/cpu/interp-host/0f3a", GUINT_TO_POINTER(3), test_map);
    g_test_add_data_func("/cpu/interp-host/vex-0f", GUINT_TO_POINTER(4 + 1), test_map);
    g_test_add_data_func("/cpu/interp-host/vex-0f38", GUINT_TO_POINTER(4 + 2), test_map);
    g_test_add_data_func("/cpu/interp-host/vex-0f3a", GUINT_TO_POINTER(4 + 3), test_map);
    g_test_add_data_func("/cpu/interp-host/0f-unmasked", GUINT_TO_POINTER(8 + 1), test_map);
    g_test_add_data_func("/cpu/interp-host/vex-0f-unmasked", GUINT_TO_POINTER(8 + 4 + 1), test_map);
    g_test_add_data_func("/cpu/interp-host/x87", GUINT_TO_POINTER(0), test_x87);
    g_test_add_data_func("/cpu/interp-host/x87-unmasked", GUINT_TO_POINTER(1), test_x87);
    return g_test_run();
}
