/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/core/cpu/cpu-state.h"

#include <string.h>

/* Places in the FXSAVE area (SDM 1, table 10-2). */
enum { AREA_FSW = 2, AREA_FTW = 4, AREA_MXCSR = 24, AREA_ST = 32, AREA_XMM = 160 };

/* --- random states ---------------------------------------------------------------------------- */

uint64_t random_value(Random *random)
{
    uint64_t value = random_next(random);

    switch (random_below(random, 8)) {
    case 0: return value & 0xff;
    case 1: return (uint64_t)(int64_t)(int8_t)value;
    case 2: return (int64_t)1 << (value & 63);
    case 3: return ((int64_t)1 << (value & 63)) - 1;
    default: return value;
    }
}

uint64_t random_pointer(Random *random, uint64_t data, unsigned pages)
{
    uint64_t page = data + random_below(random, pages) * STATE_PAGE;

    switch (random_below(random, 8)) {
    case 0: return page + STATE_PAGE - random_below(random, 64);
    case 1: return page + random_below(random, 64) - 32;
    case 2: return page + 256 + random_below(random, STATE_PAGE - 512);
    default: return page + 256 + random_below(random, (STATE_PAGE - 512) / 64) * 64;
    }
}

static void random_vector(Random *random, uint8_t *out)
{
    for (unsigned i = 0; i < 16; i += 8) {
        uint64_t value = random_value(random);
        if (random_below(random, 2)) {
            double number = (double)(int32_t)value / (1 + random_below(random, 1000));
            memcpy(out + i, &number, 8);
        } else {
            memcpy(out + i, &value, 8);
        }
    }
}

void random_data(Random *random, uint8_t data[STATE_DATA])
{
    memset(data, 0, STATE_DATA);
    for (unsigned i = 0; i < STATE_DATA; i += 16) {
        unsigned at = i % STATE_PAGE;
        if (at < 512 || at >= STATE_PAGE - 512 || !(at % 64))
            random_vector(random, data + i);
    }
}

static void randomise_x87(uint8_t *legacy, Random *random, bool unmask)
{
    uint16_t control = 0x37f & ~(random_next(random) & 0xf00);
    uint16_t status = (random_value(random) & 0x7f) << 8;
    uint32_t mxcsr = 0x1f80 | (random_next(random) & 0xe040);

    if (unmask) {
        control &= ~(random_next(random) & 0x3f);
        mxcsr &= ~(random_next(random) & 0x1f80);
    }
    memcpy(legacy, &control, 2);
    memcpy(legacy + AREA_FSW, &status, 2);
    legacy[AREA_FTW] = random_next(random) | random_next(random);
    memcpy(legacy + AREA_MXCSR, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        long double number = (double)(int32_t)random_next(random) / 3.0L;
        uint64_t bits[2] = {random_value(random), random_value(random) & 0xffff};
        memcpy(legacy + AREA_ST + i * 16, random_below(random, 3) ? (void *)&number : bits, 10);
    }
}

void state_randomise(CpuState *state, Random *random, uint64_t data, unsigned pages, bool unmask)
{
    uint8_t *legacy = state->vectors.legacy;

    memset(state, 0, offsetof(CpuState, data));
    for (unsigned i = 0; i < N_GPR; i++)
        state->gpr[i] =
            random_below(random, 2) ? random_pointer(random, data, pages) : random_value(random);
    if (random_below(random, 3))
        state->gpr[RCX] = random_below(random, 100);
    if (random_below(random, 8)) {
        state->gpr[RSI] = random_pointer(random, data, pages);
        state->gpr[RDI] = random_pointer(random, data, pages);
        state->gpr[RSP] = random_pointer(random, data, pages);
    }
    state->rflags = 0x202 | (random_value(random) & (RFLAGS_ARITH | RFLAGS_DF));
    for (unsigned i = 0; i < 16; i++) {
        random_vector(random, legacy + AREA_XMM + i * 16);
        random_vector(random, state->vectors.ymm_high + i * 16);
    }
    if (!random_below(random, 4)) /* small indices for gathers */
        for (unsigned i = 0; i < 32; i++)
            memset(legacy + AREA_XMM + i * 8 + 1, 0, 7);
    randomise_x87(legacy, random, unmask);
    state->vectors.header[0] = 7;
    state->vector = -1;
}

/* --- comparing -------------------------------------------------------------------------------- */

#define COMPARED_FLAGS (RFLAGS_ARITH | RFLAGS_DF)

static bool same_vectors(const CpuVectors *a, const CpuVectors *b)
{
    for (unsigned i = 0; i < 8; i++)
        if (memcmp(a->legacy + AREA_ST + i * 16, b->legacy + AREA_ST + i * 16, 10))
            return false;
    return !memcmp(a->legacy, b->legacy, AREA_FTW + 1) &&
           !memcmp(a->legacy + AREA_MXCSR, b->legacy + AREA_MXCSR, 4) &&
           !memcmp(a->legacy + AREA_XMM, b->legacy + AREA_XMM, 256) &&
           !memcmp(a->ymm_high, b->ymm_high, 256);
}

bool state_equal(const CpuState *a, const CpuState *b)
{
    return a->vector == b->vector && a->error == b->error && a->rip == b->rip &&
           (a->vector != EXC_PF || a->address == b->address) &&
           !memcmp(a->gpr, b->gpr, sizeof a->gpr) && !((a->rflags ^ b->rflags) & COMPARED_FLAGS) &&
           same_vectors(&a->vectors, &b->vectors) && !memcmp(a->data, b->data, STATE_DATA);
}

static void describe_bytes(GString *out, const char *title, const uint8_t *a, const char *name_a,
                           const uint8_t *b, const char *name_b, unsigned length)
{
    if (!memcmp(a, b, length))
        return;
    g_string_append_printf(out, "    %-9s %s ", title, name_a);
    for (unsigned i = length; i-- > 0;)
        g_string_append_printf(out, "%02x", a[i]);
    g_string_append_printf(out, ", %s ", name_b);
    for (unsigned i = length; i-- > 0;)
        g_string_append_printf(out, "%02x", b[i]);
    g_string_append_c(out, '\n');
}

static void describe_vectors(GString *out, const CpuVectors *a, const char *name_a,
                             const CpuVectors *b, const char *name_b)
{
    char title[16];

    describe_bytes(out, "fcw-fsw", a->legacy, name_a, b->legacy, name_b, AREA_FTW + 1);
    describe_bytes(out, "mxcsr", a->legacy + AREA_MXCSR, name_a, b->legacy + AREA_MXCSR, name_b, 4);
    for (unsigned i = 0; i < 8; i++) {
        unsigned at = AREA_ST + i * 16;
        g_snprintf(title, sizeof title, "st%u", i);
        describe_bytes(out, title, a->legacy + at, name_a, b->legacy + at, name_b, 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        unsigned at = AREA_XMM + i * 16;
        g_snprintf(title, sizeof title, "xmm%u", i);
        describe_bytes(out, title, a->legacy + at, name_a, b->legacy + at, name_b, 16);
        g_snprintf(title, sizeof title, "ymm%u high", i);
        describe_bytes(out, title, a->ymm_high + i * 16, name_a, b->ymm_high + i * 16, name_b, 16);
    }
}

void state_describe_difference(GString *out, const CpuState *a, const char *name_a,
                               const CpuState *b, const char *name_b)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    uint64_t flags_a = a->rflags & COMPARED_FLAGS, flags_b = b->rflags & COMPARED_FLAGS;

    if (a->vector != b->vector || a->error != b->error)
        g_string_append_printf(out, "    exception %s %d (%x), %s %d (%x)\n", name_a, a->vector,
                               a->error, name_b, b->vector, b->error);
    if ((a->vector == EXC_PF || b->vector == EXC_PF) && a->address != b->address)
        g_string_append_printf(out, "    fault at  %s %lx, %s %lx\n", name_a, a->address, name_b,
                               b->address);
    describe_bytes(out, "rip", (uint8_t *)&a->rip, name_a, (uint8_t *)&b->rip, name_b, 8);
    describe_bytes(out, "rflags", (uint8_t *)&flags_a, name_a, (uint8_t *)&flags_b, name_b, 4);
    for (unsigned i = 0; i < N_GPR; i++)
        describe_bytes(out, names[i], (uint8_t *)&a->gpr[i], name_a, (uint8_t *)&b->gpr[i], name_b,
                       8);
    describe_vectors(out, &a->vectors, name_a, &b->vectors, name_b);
    for (unsigned i = 0; i < STATE_DATA; i += 16) {
        char title[16];
        g_snprintf(title, sizeof title, "data+%04x", i);
        describe_bytes(out, title, a->data + i, name_a, b->data + i, name_b, 16);
    }
}

/* --- what the manuals leave open -------------------------------------------------------------- */

bool insn_has_reserved_prefix(const Insn *insn)
{
    bool repeat = false;

    for (unsigned i = 0; i < insn->opcode_offset; i++)
        repeat |= insn->bytes[i] == 0xf2 || insn->bytes[i] == 0xf3;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE: return repeat;
    case ZYDIS_MNEMONIC_XCHG: return repeat && insn->opcode == 0x90;
    default: return false;
    }
}

bool insn_repeats_by_ecx(const Insn *insn, bool wide)
{
    return wide && insn->address_size == 4 && (insn->category_flags & INSN_IS_STRING) &&
           (insn->rep || insn->repne);
}

static uint64_t address_mask(const Insn *insn)
{
    return insn->address_size == 8 ? UINT64_MAX : (1ull << insn->address_size * 8) - 1;
}

uint64_t insn_effective_address(const Insn *insn, const CpuState *state)
{
    uint64_t address = (uint64_t)insn->displacement;

    if (insn->mem_base == INSN_REG_RIP)
        address += state->rip + insn->length;
    else if (insn->mem_base != INSN_REG_NONE)
        address += state->gpr[insn->mem_base];
    if (insn->mem_index < N_GPR)
        address += state->gpr[insn->mem_index] * insn->mem_scale;
    return address & address_mask(insn);
}

/* Bytes of the area that INSN accesses at most, 0 if it is none. */
static unsigned area_size(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FNSTENV: return 28;
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FRSTOR: return 108;
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64: return 512;
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64: return sizeof(CpuVectors);
    /* Also with an empty mask, and in halves. */
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU: return 16;
    /* The address behind the operand is reported, too. */
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ: return insn->mem_size + 1;
    case ZYDIS_MNEMONIC_VCVTPS2PH: return insn->mem_size;
    /* 80-bit numbers are accessed as 64 and 16 bits. */
    default: return (insn->category_flags & INSN_IS_X87) && insn->mem_size == 10 ? 10 : 0;
    }
}

/* Whether an access to some part of [ADDRESS, ADDRESS + SIZE) raises what STATE reports. */
static bool is_fault_of(const CpuState *state, uint64_t address, unsigned size, bool write,
                        bool wide, StateFaultFunc faults)
{
    uint32_t error = 0;

    if (state->vector == EXC_GP || state->vector == EXC_SS)
        return wide ? !cpu_canonical(address) || !cpu_canonical(address + size - 1)
                    : address + size - 1 > UINT32_MAX;
    uint64_t offset = wide ? state->address - address : (uint32_t)(state->address - address);
    return state->vector == EXC_PF && offset < size && cpu_canonical(state->address) &&
           faults(state->address, write, &error) && error == state->error;
}

bool state_fault_is_of_a_piece(const CpuState *state, const Insn *insn, bool wide,
                               StateFaultFunc faults)
{
    bool string = insn->category_flags & INSN_IS_STRING;
    bool moves = string && (insn->opcode & 0xfe) == 0xa4;
    bool compares = string && (insn->opcode & 0xfe) == 0xa6;
    unsigned size = area_size(insn);

    /* Over the end of a limit of 4 GiB an access may or may not fault (SDM 3, 5.3). */
    if (!size && !string && !wide && insn->mem_size &&
        insn_effective_address(insn, state) + insn->mem_size - 1 > UINT32_MAX)
        size = insn->mem_size;
    if (size) {
        uint64_t address = insn_effective_address(insn, state);
        /* Of a piece behind the end of a small address space. */
        if (insn->address_size < 8 && state->vector == EXC_PF && state->address < address)
            address -= address_mask(insn) + 1;
        /* Misaligned, or a number that cannot be stored, which some raise before and some after the
         * others. */
        return (state->vector == EXC_GP && size >= 512 && (address & 63)) ||
               (state->vector != EXC_PF && insn->mnemonic == ZYDIS_MNEMONIC_VCVTPS2PH) ||
               is_fault_of(state, address, size, false, wide, faults) ||
               is_fault_of(state, address, size, true, wide, faults);
    }
    if (!moves && !compares)
        return false;
    uint64_t source = state->gpr[RSI] & address_mask(insn);
    uint64_t destination = state->gpr[RDI] & address_mask(insn);
    return is_fault_of(state, source, insn->mem_size, false, wide, faults) ||
           is_fault_of(state, destination, insn->mem_size, moves, wide, faults);
}

bool state_faults_at_4_gib(const CpuState *a, const CpuState *b)
{
    enum { NEAR = 64 };

    if (a->vector != EXC_PF) {
        const CpuState *c = a;
        a = b;
        b = c;
    }
    return a->vector == EXC_PF && (uint32_t)(a->address + NEAR) < 2 * NEAR &&
           (b->vector == EXC_SS || b->vector == EXC_GP) && !b->error;
}

bool state_may_skip_store(const Insn *insn, const CpuState *state)
{
    enum { MASKS = 0x3f };

    return (insn->category_flags & INSN_IS_X87) && insn->mem_size && state->vector >= 0 &&
           state->vector != EXC_MF && (state->vectors.legacy[0] & MASKS) != MASKS;
}

bool state_restores_beyond_xcr0(const Insn *insn, const CpuState *state, uint64_t page,
                                uint64_t wider)
{
    enum { HEADER = 512, XCR0 = 7 };
    uint64_t at = insn_effective_address(insn, state) + HEADER - page;
    uint64_t header[2]; /* XSTATE_BV, XCOMP_BV */

    if ((insn->mnemonic != ZYDIS_MNEMONIC_XRSTOR && insn->mnemonic != ZYDIS_MNEMONIC_XRSTOR64) ||
        state->vector != EXC_GP || at > STATE_DATA - sizeof header)
        return false;
    memcpy(header, state->data + at, sizeof header);
    uint64_t named = (header[0] | header[1]) & ~(1ull << 63); /* which is the compact format's */
    return (named & ~(uint64_t)XCR0) && !(named & ~wider);
}

bool state_may_skip_area(const Insn *insn, const CpuState *state)
{
    enum { LEGACY = 512, X87_SSE_AVX = 7 };
    bool within = state->address - insn_effective_address(insn, state) < LEGACY;

    if (state->vector != EXC_PF || !within)
        return false;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64: return true;
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64: return !(state->gpr[RAX] & X87_SSE_AVX);
    default: return false;
    }
}

/* Bytes OFFSET to OFFSET + SIZE of data segments in which the data is at PAGE. */
static void forget_data(CpuState *a, CpuState *b, uint64_t page, uint64_t offset, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        if (offset + i - page < STATE_DATA)
            a->data[offset + i - page] = b->data[offset + i - page];
}

static bool is_mmx(const Insn *insn)
{
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].reg_class == REG_CLASS_MMX)
            return true;
    return false;
}

/* The x87 registers as if TOP were 0. */
static void put_top_at_0(uint8_t *legacy)
{
    enum { TOP_SHIFT = 3, TOP = 7 << TOP_SHIFT };
    unsigned top = (legacy[AREA_FSW + 1] & TOP) >> TOP_SHIFT;
    uint8_t registers[8 * 16];

    memcpy(registers, legacy + AREA_ST, sizeof registers);
    for (unsigned i = 0; i < 8; i++)
        memcpy(legacy + AREA_ST + (top + i) % 8 * 16, registers + i * 16, 16);
    legacy[AREA_FSW + 1] &= ~TOP;
}

static uint8_t *vector_byte(CpuState *state, unsigned reg, unsigned i)
{
    return i < 16 ? state->vectors.legacy + AREA_XMM + reg * 16 + i
                  : state->vectors.ymm_high + reg * 16 + i - 16;
}

/* A gather that goes on later: each element of the mask as its sign bit has it, and nothing above
 * the mask's and the destination's elements. */
static void normalise_gather(CpuState *state, const Insn *insn)
{
    static const uint16_t narrow[] = {ZYDIS_MNEMONIC_VGATHERDPS, ZYDIS_MNEMONIC_VGATHERQPS,
                                      ZYDIS_MNEMONIC_VPGATHERDD, ZYDIS_MNEMONIC_VPGATHERQD};
    const InsnOperand *destination = &insn->operands[0], *mask = &insn->operands[2];
    unsigned size = 8;

    for (unsigned i = 0; i < G_N_ELEMENTS(narrow); i++)
        if (insn->mnemonic == narrow[i])
            size = 4;
    for (unsigned i = 0; i < 32; i += size) {
        uint8_t *element = vector_byte(state, mask->reg, i);
        memset(element, element[size - 1] & 0x80 && i < mask->size ? 0xff : 0, size);
        if (i >= destination->size)
            memset(vector_byte(state, destination->reg, i), 0, size);
    }
}

/* Flags are those of the last comparison or none (SDM 2, REP). With 32-bit addresses the registers'
 * high halves may have gone before the first element. */
static void forget_repetition(const Insn *insn, bool wide, CpuState *a, CpuState *b)
{
    static const uint8_t counting[] = {RCX, RSI, RDI};

    if (!(insn->rep || insn->repne))
        return;
    if ((insn->opcode & 0xf6) == 0xa6)
        a->rflags = (a->rflags & ~(uint64_t)RFLAGS_ARITH) | (b->rflags & RFLAGS_ARITH);
    for (unsigned i = 0; i < G_N_ELEMENTS(counting) && insn_repeats_by_ecx(insn, wide); i++) {
        a->gpr[counting[i]] = (uint32_t)a->gpr[counting[i]];
        b->gpr[counting[i]] = (uint32_t)b->gpr[counting[i]];
    }
}

void state_forget_open(const Insn *insn, bool wide, uint64_t page, CpuState *a, CpuState *b)
{
    uint64_t top = a->gpr[RSP];

    if (insn->category_flags & INSN_IS_STRING)
        forget_repetition(insn, wide, a, b);
    if (insn->isa_set == ZYDIS_ISA_SET_AVX2GATHER) {
        normalise_gather(a, insn);
        normalise_gather(b, insn);
    }
    /* The store is what faults; the registers' part may have been done before. */
    if (is_mmx(insn) && insn_writes_memory(insn)) {
        put_top_at_0(a->vectors.legacy);
        put_top_at_0(b->vectors.legacy);
    }
    if (area_size(insn) && insn_writes_memory(insn))
        forget_data(a, b, page, insn_effective_address(insn, a), area_size(insn));
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_VCVTPS2PH:
        memcpy(a->vectors.legacy + AREA_MXCSR, b->vectors.legacy + AREA_MXCSR, 4);
        break;
    case ZYDIS_MNEMONIC_POPA:
    case ZYDIS_MNEMONIC_POPAD:
        for (unsigned i = 0; i < 8; i++)
            if (i != RSP)
                a->gpr[i] = b->gpr[i];
        break;
    case ZYDIS_MNEMONIC_PUSHA:
    case ZYDIS_MNEMONIC_PUSHAD:
        forget_data(a, b, page, top - insn->opsize * 8, insn->opsize * 8);
        break;
    case ZYDIS_MNEMONIC_ENTER:
        forget_data(a, b, page, top - insn->opsize * 33, insn->opsize * 33);
        break;
    case ZYDIS_MNEMONIC_CALL: forget_data(a, b, page, top - 8, 8); break;
    default: break;
    }
}
