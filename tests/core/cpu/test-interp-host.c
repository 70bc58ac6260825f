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
#include "core/cpu/interp.h"
#include "core/cpu/mmu.h"
#include "tests/core/cpu/host-cpu.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

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
#define PAGE          STATE_PAGE

static Random rng;

static unsigned below(unsigned limit)
{
    return random_below(&rng, limit);
}

/* --- the host --------------------------------------------------------------------------------- */

static uint8_t *const host_code = (uint8_t *)CODE;
static uint8_t *const host_data = (uint8_t *)DATA_PAGE;

static void host_run(CpuState *state, const Insn *insn)
{
    uint64_t back = host_cpu_exit();

    memcpy(host_code, insn->bytes, insn->length);
    memcpy(host_code + insn->length, "\xff\x25\x00\x00\x00\x00", 6); /* jmp [rip] */
    memcpy(host_code + insn->length + 6, &back, 8);
    memcpy(host_data, state->data, PAGE);
    state->rip = CODE;
    host_cpu_run(state, false);
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

static void guest_run(CpuState *state, const Insn *insn)
{
    uint8_t *code = ram->host + CODE_PHYSICAL + (CODE - CODE_PAGE);
    uint8_t *data = ram->host + DATA_PHYSICAL;
    memcpy(ram->host + CODE_PHYSICAL, (void *)CODE_PAGE, PAGE);
    memcpy(code, insn->bytes, insn->length);
    memcpy(data, state->data, PAGE);
    memcpy(cpu->gpr, state->gpr, sizeof cpu->gpr);
    memcpy(cpu->vectors.legacy, state->vectors.legacy, offsetof(CpuVectors, header));
    memcpy(cpu->vectors.ymm_high, state->vectors.ymm_high, 256);
    cpu->vectors.mxcsr_mask = cpu->mxcsr_mask;
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

/* Errors are not compared: the host's accesses are a user's, the guest's a supervisor's. */
static bool data_page_faults(uint64_t address, bool write, uint32_t *error)
{
    bool code = address - CODE_PAGE < PAGE, data = address - DATA_PAGE < PAGE;

    return !code && !data;
}

static void compare(const Insn *insn, CpuState *h, CpuState *g)
{
    h->error = g->error = 0;
    h->rip = g->rip;
    h->rflags &= ~(uint64_t)insn->flags_undefined;
    g->rflags &= ~(uint64_t)insn->flags_undefined;
    if (h->vector >= 0 && g->vector >= 0)
        state_forget_open(insn, true, DATA_PAGE, h, g);
    if (h->vector >= 0 && g->vector >= 0 &&
        state_fault_is_of_a_piece(h, insn, true, data_page_faults) &&
        state_fault_is_of_a_piece(g, insn, true, data_page_faults)) {
        g->vector = h->vector;
        g->address = h->address;
    }
    n_compared++;
    if (state_equal(h, g) || state_may_skip_store(insn, g) || n_different++ > 40)
        return;
    g_autoptr(GString) text = g_string_new(ZydisMnemonicGetString(insn->mnemonic));
    for (unsigned i = 0; i < insn->length; i++)
        g_string_append_printf(text, " %02x", insn->bytes[i]);
    g_string_append_c(text, '\n');
    state_describe_difference(text, h, "host", g, "guest");
    g_printerr("%s", text->str);
}

/* --- forms ------------------------------------------------------------------------------------ */

/* Nothing that leaves the process, needs privilege, shows what differs by nature or belongs to an
 * extension that the most capable CPUID model on this host does not show. */
static bool may_run(const Insn *insn)
{
    if ((insn->category_flags & (INSN_IS_BRANCH | INSN_IS_SYSTEM)) || insn->mem_seg >= SEG_FS ||
        !interp_insn_exists(cpu, insn) || insn_has_reserved_prefix(insn))
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
    static CpuState host, guest;
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
    state_randomise(&host, &rng, DATA_PAGE, 1, unmask);
    random_data(&rng, host.data);
    if (insn.isa_set == ZYDIS_ISA_SET_XSAVE || insn.isa_set == ZYDIS_ISA_SET_XSAVEOPT)
        host.gpr[RAX] &= 7; /* the components that both have */
    if (insn_repeats_by_ecx(&insn, true) && !(uint32_t)host.gpr[RCX])
        return;
    guest = host;
    host_run(&host, &insn);
    guest_run(&guest, &insn);
    compare(&insn, &host, &guest);
}

/* Prefixes, opcode and all eight ModRM.reg values; registers, [RSI] and any memory operand. */
static void try_opcode(const uint8_t *prefix, unsigned n, unsigned opcode, bool unmask)
{
    uint8_t bytes[32];
    for (unsigned form = 0; form < 16; form++) {
        unsigned reg = form < 8 ? form : below(8), rm = below(8);
        memcpy(bytes, prefix, n);
        for (unsigned i = n; i < sizeof bytes; i++)
            bytes[i] = random_next(&rng);
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
        prefix[n++] = 0x40 | w << 3 | (below(3) ? 0 : random_next(&rng) & 7);
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
        prefix[1] = (random_next(&rng) & 0x80) | (below(3) ? 0x60 : random_next(&rng) & 0x60) | map;
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
    g_test_init(&argc, &argv, NULL);
    const char *seed = g_getenv("APIARY_TEST_SEED");
    rng.state = seed ? g_ascii_strtoull(seed, NULL, 0) : 20240611;
    host_cpu_init();
    host_cpu_set_code(CODE, 1);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    void *code = mmap((void *)CODE_PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
    void *data = mmap((void *)DATA_PAGE, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
    g_assert_true(code == (void *)CODE_PAGE && data == (void *)DATA_PAGE);
    guest_start();

    for (unsigned i = 0; i < G_N_ELEMENTS(maps); i++)
        g_test_add_data_func(maps[i].path, GUINT_TO_POINTER(maps[i].what), test_map);
    g_test_add_data_func("/cpu/interp-host/x87", GUINT_TO_POINTER(0), test_x87);
    g_test_add_data_func("/cpu/interp-host/x87-unmasked", GUINT_TO_POINTER(UNMASK), test_x87);
    return g_test_run();
}
