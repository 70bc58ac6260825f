/* SPDX-License-Identifier: GPL-3.0-or-later */

/* From a number to a case: a state, and instructions made from forms of the coverage list or from
 * random bytes. */

#include "tests/core/cpu/host-cpu.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

const FuzzPlaces fuzz_places[N_FUZZ_MODES] = {
    [FUZZ_64] = {0x3a7500000000, 0x3a754d5a7000, 0x3a7503001000},
    [FUZZ_32] = {0x3a000000, 0x5b9a7000, 0x3d001000},
    [FUZZ_16] = {0x3a000000, 0, 0x3d001000},
    [FUZZ_REAL] = {0x200000, 0, 0x101000},
};

uint64_t fuzz_data_offset(FuzzMode mode)
{
    return mode >= FUZZ_16 ? 0 : fuzz_places[mode].data;
}

/* 16-bit data segments have one page of the data. */
static unsigned data_pages(FuzzMode mode)
{
    return mode >= FUZZ_16 ? 1 : STATE_DATA / STATE_PAGE;
}

uint32_t fuzz_decode_mode(FuzzMode mode)
{
    return mode == FUZZ_64 ? MODE_CS64 : mode == FUZZ_32 ? MODE_CS32 : 0;
}

void fuzz_fill_read_only(uint8_t *page)
{
    Random random = {1};

    for (unsigned i = 0; i < STATE_PAGE; i++)
        page[i] = random_next(&random);
}

/* --- one instruction -------------------------------------------------------------------------- */

/* A register that points into the data. */
static unsigned pick_pointer(Random *random, const CpuState *state, FuzzMode mode)
{
    unsigned reg = 0;

    for (unsigned i = 0; i < 6; i++) {
        reg = random_below(random, mode == FUZZ_64 ? 16 : 8);
        if (state->gpr[reg] - fuzz_data_offset(mode) < STATE_DATA)
            break;
    }
    return reg;
}

/* ModRM and SIB of a memory operand, its base a pointer more often than not. Sets REX.X and B. */
static unsigned put_memory(const FuzzCase *c, Random *random, const FuzzTemplate *t, uint8_t *bytes,
                           uint8_t *rex)
{
    unsigned mod = random_below(random, 10), base = pick_pointer(random, &c->in, c->mode);
    unsigned rm = random_below(random, 3) ? base & 7 : random_below(random, 8);

    mod = mod < 6 ? 2 : mod < 8 ? 1 : 0;
    if (t->vector_index)
        rm = 4;
    *rex |= base >> 3;
    if (!random_below(random, 4))
        *rex |= random_next(random) & 2;
    bytes[0] = mod << 6 | (t->modrm & 0x38) | rm;
    bytes[1] = (random_next(random) & 0xf8) | (base & 7);
    return 2;
}

static unsigned put_prefixes(const FuzzCase *c, Random *random, const FuzzTemplate *t,
                             uint8_t *bytes)
{
    static const uint8_t segments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    unsigned n = 0;

    if (!random_below(random, 20))
        bytes[n++] = segments[random_below(random, 6)];
    if (!random_below(random, c->mode >= FUZZ_16 ? 3 : 20))
        bytes[n++] = 0x67;
    if (c->mode >= FUZZ_16 && t->prefix != 0x66 && !t->vex && !random_below(random, 3))
        bytes[n++] = 0x66;
    return n;
}

static unsigned put_vex(Random *random, const FuzzTemplate *t, uint8_t rex, bool wide,
                        uint8_t *bytes)
{
    unsigned pp = t->prefix == 0x66 ? 1 : t->prefix == 0xf3 ? 2 : t->prefix == 0xf2 ? 3 : 0;
    unsigned vvvv = random_below(random, 2) ? 15 : random_below(random, 16);

    if (!wide) {
        rex = 0;
        vvvv |= 8;
    }
    uint8_t last = vvvv << 3 | t->l << 2 | pp;
    if (t->map == 1 && !t->w && !(rex & 3) && random_below(random, 2)) {
        bytes[0] = 0xc5;
        bytes[1] = (rex & 4 ? 0 : 0x80) | last;
        return 2;
    }
    bytes[0] = 0xc4;
    bytes[1] = (~rex & 7) << 5 | t->map;
    bytes[2] = t->w << 7 | last;
    return 3;
}

/* BYTES of an encoding with random registers, addresses and immediates. */
static void write_encoding(const FuzzCase *c, Random *random, const FuzzTemplate *t, bool keep_reg,
                           uint8_t *bytes)
{
    static const uint8_t maps[] = {0, 0, 0x38, 0x3a};
    unsigned n = put_prefixes(c, random, t, bytes), tail = 0;
    uint8_t rex = random_below(random, 2) ? random_next(random) & 4 : 0, modrm[2];

    if (t->has_modrm && t->memory) {
        tail = put_memory(c, random, t, modrm, &rex);
    } else if (t->has_modrm) {
        modrm[tail++] = keep_reg ? t->modrm : (t->modrm & ~7) | (random_next(random) & 7);
        rex |= random_next(random) & random_next(random) & 1;
    } else {
        rex |= random_next(random) & random_next(random) & 1;
    }
    if (t->has_modrm && !keep_reg)
        modrm[0] = (modrm[0] & 0xc7) | (random_next(random) & 0x38);
    if (t->vex) {
        n += put_vex(random, t, rex, c->mode == FUZZ_64, bytes + n);
    } else {
        if (t->prefix)
            bytes[n++] = t->prefix;
        if (c->mode == FUZZ_64 && (t->w || rex || !random_below(random, 8)))
            bytes[n++] = 0x40 | t->w << 3 | rex;
        if (t->map)
            bytes[n++] = 0x0f;
        if (t->map > 1)
            bytes[n++] = maps[t->map];
    }
    bytes[n++] = t->opcode;
    memcpy(bytes + n, modrm, tail);
    n += tail;
    if (tail == 2 && ((modrm[0] & 7) != 4 || c->mode >= FUZZ_16))
        n--;
    uint64_t rest = random_value(random);
    memcpy(bytes + n, &rest, 8);
    rest = random_next(random);
    memcpy(bytes + n + 8, &rest, 8);
}

static AddressForm address_form(const Insn *insn)
{
    if (!(insn->category_flags & INSN_HAS_MEMORY))
        return insn->mem_size ? ADDRESS_IMPLIED : ADDRESS_NONE;
    if (insn->mem_base == INSN_REG_RIP)
        return ADDRESS_RIP;
    if (insn->mem_index != INSN_REG_NONE)
        return ADDRESS_INDEX;
    if (insn->mem_base == INSN_REG_NONE)
        return ADDRESS_ABSOLUTE;
    return insn->disp_size ? ADDRESS_BASE_DISPLACEMENT : ADDRESS_BASE;
}

/* Lets a displacement that is wide enough lead to the data. */
static void aim(const FuzzCase *c, Random *random, const Insn *insn, FuzzInsn *out)
{
    bool moffs = insn->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (insn->opcode & 0xfc) == 0xa0;
    uint64_t want = random_pointer(random, fuzz_data_offset(c->mode), data_pages(c->mode));

    if (insn->disp_size < 2 || insn->disp_size > 8 ||
        (!(insn->category_flags & INSN_HAS_MEMORY) && !moffs && insn->mem_base == INSN_REG_NONE))
        return;
    if (insn->mem_base == INSN_REG_RIP) {
        out->rip_target = want;
        return;
    }
    /* Gathers count their vector's elements in. */
    uint64_t displacement = want - (insn_effective_address(insn, &c->in) - insn->displacement);
    if (insn->disp_size == 4 && insn->address_size == 8 &&
        (int64_t)displacement != (int32_t)displacement)
        displacement = (int64_t)(int8_t)displacement;
    memcpy(out->bytes + insn->disp_offset, &displacement, insn->disp_size);
}

static bool decode(const FuzzCase *c, const uint8_t *bytes, Insn *insn)
{
    return insn_decode(bytes, INSN_MAX_BYTES, fuzz_decode_mode(c->mode), insn) == DECODE_OK;
}

static bool is_near_branch(const Insn *insn)
{
    return (insn->category_flags & INSN_IS_BRANCH) && insn->imm_size && insn->n_operands &&
           insn->operands[0].kind == OPERAND_IMM && insn->mnemonic != ZYDIS_MNEMONIC_RET &&
           insn->mnemonic != ZYDIS_MNEMONIC_XBEGIN;
}

/* XSAVE and its like name components by rAX: those that host and guest both have. */
static bool selects_components(const Insn *insn)
{
    return insn->isa_set == ZYDIS_ISA_SET_XSAVE || insn->isa_set == ZYDIS_ISA_SET_XSAVEC ||
           insn->isa_set == ZYDIS_ISA_SET_XSAVEOPT;
}

/* When they keep the x87's last addresses is the model's affair (APM 2, 11.4.4). */
static bool stands_alone(const Insn *insn)
{
    return selects_components(insn) || insn->isa_set == ZYDIS_ISA_SET_FXSAVE ||
           insn->isa_set == ZYDIS_ISA_SET_FXSAVE64;
}

/* Flags that PUSHF and LAHF show, which Zydis' table has not all. */
static uint32_t flags_read(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ: return RFLAGS_ARITH;
    default: return insn->flags_tested;
    }
}

/* A shift or a repetition by 0 leaves the flags, so what was undefined stays so. */
static bool may_leave_flags(const Insn *insn)
{
    return insn_may_shift_by_0(insn) ||
           ((insn->category_flags & INSN_IS_STRING) && (insn->rep || insn->repne));
}

/* Real mode lets code change itself, and the code of other cases. */
static bool stores_to_code(const FuzzCase *c, const Insn *insn)
{
    if (c->mode != FUZZ_REAL || insn->mem_seg != SEG_CS)
        return false;
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].kind == OPERAND_MEM &&
            (insn->operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            return true;
    return false;
}

/* Appends INSN to C unless something stands against it. */
static bool append(FuzzCase *c, Random *random, const Insn *insn, unsigned form)
{
    FuzzInsn *out = &c->insns[c->n];
    const char *reason;
    Verdict verdict = coverage_verdict(insn, c->mode, &reason);

    if (verdict == VERDICT_EXEMPT || (stands_alone(insn) && c->n) || stores_to_code(c, insn))
        return false;
    *out = (FuzzInsn){
        .length = insn->length,
        .target = is_near_branch(insn) ? INT8_MAX : -1, /* chosen when all are there */
        .form = form,
        .address_form = address_form(insn),
        .imm_offset = insn->imm_offset,
        .imm_size = insn->imm_size,
        .disp_offset = insn->disp_offset,
        .leaves = (insn->category_flags & INSN_IS_BRANCH) && !is_near_branch(insn),
        .conditional =
            insn->mnemonic != ZYDIS_MNEMONIC_CALL && insn->mnemonic != ZYDIS_MNEMONIC_JMP,
        .calls = insn->mnemonic == ZYDIS_MNEMONIC_CALL,
        .repeats_by_ecx = insn_repeats_by_ecx(insn, c->mode == FUZZ_64),
        .reads = flags_read(insn),
        .sets = may_leave_flags(insn) ? 0 : insn->flags_modified,
        .spoils = insn->flags_undefined,
    };
    memcpy(out->bytes, insn->bytes, insn->length);
    aim(c, random, insn, out);
    if (selects_components(insn))
        c->in.gpr[RAX] &= 7;
    c->asks_host &= verdict == VERDICT_HOST;
    c->stands_alone |= stands_alone(insn);
    c->n++;
    return true;
}

static void append_form(FuzzCase *c, Random *random)
{
    const FuzzTemplate *encoding;
    unsigned form = coverage_pick(random, c->mode, &encoding);
    const FuzzForm *wanted = coverage_form(form);

    for (unsigned i = 0; i < 8; i++) {
        uint8_t bytes[INSN_MAX_BYTES + 24];
        Insn insn;
        write_encoding(c, random, encoding, i >= 4 || !random_below(random, 4), bytes);
        if (decode(c, bytes, &insn) && insn.mnemonic == wanted->mnemonic &&
            append(c, random, &insn, form))
            return;
    }
}

/* Bytes as they come; one in two starts with a likely prefix or escape. */
static void append_bytes(FuzzCase *c, Random *random)
{
    static const uint8_t starts[] = {0x66, 0xf2, 0xf3, 0xf0, 0x0f, 0x0f, 0x48, 0x41, 0xc4, 0xc5};
    uint8_t bytes[INSN_MAX_BYTES];
    Insn insn;

    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = random_next(random);
    if (random_below(random, 2))
        bytes[0] = starts[random_below(random, sizeof starts)];
    if (bytes[0] != 0x0f && random_below(random, 4) == 0)
        bytes[1] = 0x0f;
    if (decode(c, bytes, &insn))
        append(c, random, &insn, NO_FORM);
}

/* What compilers write most, in 32- and 64-bit code: pushes, accesses to the stack, comparisons and
 * what depends on them. */
static void append_common(FuzzCase *c, Random *random)
{
    enum { IN_OPCODE, ON_STACK, REGISTERS, RELATIVE }; /* where the operands are */
    enum { ANY = 8 };                                  /* ModRM.reg is a register, not a digit */
    static const struct {
        uint8_t opcode[2], operands, digit;
        bool conditional;
    } common[] = {
        {{0x50}, IN_OPCODE, ANY, false},      /* PUSH */
        {{0x58}, IN_OPCODE, ANY, false},      /* POP */
        {{0xff}, ON_STACK, 6, false},         /* PUSH */
        {{0x8f}, ON_STACK, 0, false},         /* POP */
        {{0xff}, ON_STACK, 0, false},         /* INC */
        {{0x89}, ON_STACK, ANY, false},       /* MOV */
        {{0x8b}, ON_STACK, ANY, false},       /* MOV */
        {{0x8d}, ON_STACK, ANY, false},       /* LEA */
        {{0x01}, ON_STACK, ANY, false},       /* ADD */
        {{0x2b}, ON_STACK, ANY, false},       /* SUB */
        {{0x3b}, ON_STACK, ANY, false},       /* CMP */
        {{0x85}, ON_STACK, ANY, false},       /* TEST */
        {{0x85}, REGISTERS, ANY, false},      /* TEST */
        {{0x39}, REGISTERS, ANY, false},      /* CMP */
        {{0x01}, REGISTERS, ANY, false},      /* ADD */
        {{0x31}, REGISTERS, ANY, false},      /* XOR */
        {{0x89}, REGISTERS, ANY, false},      /* MOV */
        {{0x0f, 0x40}, REGISTERS, ANY, true}, /* CMOVcc */
        {{0x0f, 0x90}, REGISTERS, ANY, true}, /* SETcc */
        {{0x0f, 0x80}, RELATIVE, ANY, true},  /* Jcc */
        {{0x0f, 0x80}, RELATIVE, ANY, true},  /* Jcc */
        {{0xe8}, RELATIVE, ANY, false},       /* CALL */
    };
    const typeof(*common) *chosen = &common[random_below(random, G_N_ELEMENTS(common))];
    bool wide = c->mode == FUZZ_64;
    uint8_t reg = random_below(random, wide ? 16 : 8), rm = random_below(random, wide ? 16 : 8);
    uint8_t bytes[INSN_MAX_BYTES] = {0};
    unsigned n = 0;
    Insn insn;

    if (chosen->digit != ANY)
        reg = chosen->digit;
    if (wide && chosen->operands != RELATIVE)
        bytes[n++] = 0x48 | (chosen->operands == IN_OPCODE ? reg >> 3 : reg >> 3 << 2) |
                     (chosen->operands == REGISTERS ? rm >> 3 : 0);
    bytes[n++] = chosen->opcode[0] | (chosen->operands == IN_OPCODE ? reg & 7 : 0);
    if (chosen->opcode[1])
        bytes[n++] = chosen->opcode[1] | (chosen->conditional ? random_below(random, 16) : 0);
    if (chosen->operands == REGISTERS) {
        bytes[n++] = 0xc0 | (reg & 7) << 3 | (rm & 7);
    } else if (chosen->operands == ON_STACK) {
        bytes[n++] = 0x44 | (reg & 7) << 3;
        bytes[n++] = 0x24; /* [rSP + disp8] */
        bytes[n++] = random_below(random, 16) * 8 - 48;
    }
    if (decode(c, bytes, &insn))
        append(c, random, &insn, NO_FORM);
}

/* An operation of group OPCODE /DIGIT on a whole register with an 8-bit immediate. */
static void append_to_register(FuzzCase *c, Random *random, uint8_t opcode, unsigned digit,
                               unsigned reg, int8_t immediate)
{
    uint8_t bytes[INSN_MAX_BYTES] = {0};
    unsigned n = 0;
    Insn insn;

    if (c->mode == FUZZ_64)
        bytes[n++] = 0x48 | reg >> 3;
    bytes[n++] = opcode;
    bytes[n++] = 0xc0 | digit << 3 | (reg & 7);
    bytes[n] = (uint8_t)immediate;
    if (decode(c, bytes, &insn))
        append(c, random, &insn, NO_FORM);
}

/* Makes a loop of what there is: some registers move on, and one counts down. */
static void append_loop_end(FuzzCase *c, Random *random)
{
    static const uint8_t jz[INSN_MAX_BYTES] = {0x0f, 0x84}, jnz[INSN_MAX_BYTES] = {0x0f, 0x85},
                         jmp[INSN_MAX_BYTES] = {0xe9};
    bool by_jmp = !random_below(random, 3);
    unsigned n_registers = c->mode == FUZZ_64 ? 16 : 8, counter;
    Insn insn;

    do
        counter = random_below(random, n_registers);
    while (counter == RSP);
    c->in.gpr[counter] = 1 + random_below(random, 10);
    for (unsigned i = random_below(random, 4); i > 0; i--) {
        unsigned reg = random_below(random, n_registers);
        if (reg != counter && reg != RSP)
            append_to_register(c, random, 0x83, random_below(random, 2) * 5, reg,
                               (int8_t)(random_below(random, 5) * 8)); /* ADD, SUB */
    }
    if (random_below(random, 2))
        append_to_register(c, random, 0x83, 5, counter, 1);
    else
        append_to_register(c, random, 0xff, 1, counter, 0); /* DEC */
    if (by_jmp && decode(c, jz, &insn))
        append(c, random, &insn, NO_FORM);
    if (decode(c, by_jmp ? jmp : jnz, &insn) && append(c, random, &insn, NO_FORM))
        c->insns[c->n - 1].loops = true;
}

/* --- the whole -------------------------------------------------------------------------------- */

/* One pass sees every way to an instruction but the one from a loop's end, where AROUND is
 * undefined; returns what is by the end of the pass. */
static uint32_t pass_undefined(FuzzCase *c, uint32_t around)
{
    uint32_t joining[MAX_BLOCK + 1] = {0}, undefined = around;

    for (unsigned i = 0; i < c->n; i++) {
        FuzzInsn *fi = &c->insns[i];
        undefined |= joining[i];
        fi->undefined = undefined;
        undefined = (undefined & ~fi->sets) | fi->spoils;
        if (fi->loops)
            around |= undefined;
        else if (fi->target >= 0)
            joining[fi->target] |= undefined;
    }
    c->undefined = undefined | joining[c->n];
    return around;
}

static void find_undefined(FuzzCase *c)
{
    for (uint32_t around = 0, next; (next = pass_undefined(c, around)) != around;)
        around = next;
    /* A planted address may be jumped to, a call returned from, from anywhere. */
    uint32_t all = c->undefined;
    unsigned from = c->plant != NO_PLANT ? c->plant_target : MAX_BLOCK + 1;
    for (unsigned i = 0; i < c->n; i++) {
        all |= c->insns[i].undefined;
        if (c->insns[i].calls)
            from = MIN(from, i + 1);
    }
    if (from > MAX_BLOCK)
        return;
    for (unsigned i = from; i < c->n; i++)
        c->insns[i].undefined |= all;
    c->undefined |= all;
}

/* Where a return or an indirect jump leads, all flags may be read; at the beginning of a loop,
 * those AROUND. Returns which may be at the beginning. */
static uint32_t pass_live(FuzzCase *c, uint32_t around)
{
    uint32_t live = RFLAGS_ARITH;

    for (unsigned i = c->n; i-- > 0;) {
        FuzzInsn *fi = &c->insns[i];
        if (fi->leaves)
            live = RFLAGS_ARITH;
        else if (fi->loops)
            live = (fi->conditional ? live : 0) | around;
        else if (fi->target >= 0)
            live = (fi->conditional ? live : 0) |
                   (fi->target < (int)c->n ? c->insns[fi->target].live : RFLAGS_ARITH);
        live = (live & ~fi->sets) | fi->reads;
        fi->live = live;
    }
    return live;
}

static void find_live(FuzzCase *c)
{
    for (uint32_t around = 0, next; (next = pass_live(c, around)) != around;)
        around = next;
}

/* What reads an undefined flag has no defined result. */
static void drop_readers_of_undefined(FuzzCase *c)
{
    for (unsigned i = 0; i < c->n;) {
        find_undefined(c);
        if (!(c->insns[i].reads & c->insns[i].undefined)) {
            i++;
            continue;
        }
        memmove(&c->insns[i], &c->insns[i + 1], (c->n - i - 1) * sizeof c->insns[0]);
        c->n--;
        for (unsigned k = 0; k < i; k++)
            if (c->insns[k].target > (int)i)
                c->insns[k].target--;
        for (unsigned k = i; k < c->n; k++)
            c->insns[k].target -= c->insns[k].target > 0;
        if (c->plant_target > i && c->plant != NO_PLANT)
            c->plant_target--;
    }
}

static void put_branch(FuzzCase *c, unsigned i, unsigned at)
{
    FuzzInsn *fi = &c->insns[i];
    int64_t distance = (int64_t)c->place[fi->target] - at - fi->length;

    if (fi->imm_size == 1 && distance > 127)
        distance = 0;
    memcpy(fi->bytes + fi->imm_offset, &distance, fi->imm_size);
}

static void put_exit(FuzzCase *c)
{
    uint8_t *p = c->code + c->place[c->n];

    if (c->mode >= FUZZ_16) {
        memcpy(p, "\x0f\x0b", 2); /* UD2 */
        c->length = c->place[c->n] + 2;
        return;
    }
    int32_t distance = (int32_t)(fuzz_places[c->mode].exit - c->end - 5);
    *p = 0xe9;
    memcpy(p + 1, &distance, 4);
    c->length = c->place[c->n] + 5;
}

static void plant(FuzzCase *c)
{
    uint64_t address = c->start + c->place[c->plant_target];
    uint64_t at = c->in.gpr[RSP] - fuzz_data_offset(c->mode);

    if (c->plant == NO_PLANT)
        return;
    if (c->plant != RSP)
        c->in.gpr[c->plant] = address;
    else if (at <= STATE_DATA - 8)
        memcpy(c->in.data + at, &address, 8);
}

int fuzz_find_insn(const FuzzCase *c, uint64_t rip)
{
    for (unsigned i = 0; i <= c->n; i++)
        if (rip == c->start + c->place[i])
            return (int)i;
    return -1;
}

void generate_lay_out(FuzzCase *c)
{
    const FuzzPlaces *places = &fuzz_places[c->mode];
    unsigned at = 0, slot = c->number % N_SLOTS;
    Random random = {c->number};

    find_undefined(c);
    find_live(c);
    for (unsigned i = 0; i < c->n; i++) {
        c->place[i] = at;
        at += c->insns[i].length;
    }
    c->place[c->n] = at;
    /* Every eighth slot has a page end in its middle. */
    c->offset =
        256 + slot * SLOT +
        (slot % 8 == 7 ? 256 - random_below(&random, at + 1) : 64 + random_below(&random, 64));
    uint64_t linear = places->code + c->offset;
    c->cs_base = c->mode >= FUZZ_16 ? linear & ~(uint64_t)(STATE_PAGE - 1) : 0;
    c->start = linear - c->cs_base;
    c->end = c->start + at;
    for (unsigned i = 0; i < c->n; i++) {
        FuzzInsn *fi = &c->insns[i];
        if (fi->target >= 0)
            put_branch(c, i, c->place[i]);
        if (fi->rip_target) {
            int32_t distance = (int32_t)(fi->rip_target - (c->start + c->place[i] + fi->length));
            memcpy(fi->bytes + fi->disp_offset, &distance, 4);
        }
        memcpy(c->code + c->place[i], fi->bytes, fi->length);
    }
    put_exit(c);
    plant(c);
}

FuzzMode generate_mode(uint64_t number)
{
    static const uint8_t modes[8] = {FUZZ_64, FUZZ_32, FUZZ_64,   FUZZ_64,
                                     FUZZ_16, FUZZ_64, FUZZ_REAL, FUZZ_64};

    return modes[number / GROUP % 8];
}

static void narrow(FuzzCase *c)
{
    if (c->mode == FUZZ_64)
        return;
    for (unsigned i = 0; i < N_GPR; i++)
        c->in.gpr[i] = i < 8 ? (uint32_t)c->in.gpr[i] : 0;
    /* The other eight are out of reach. */
    memset(c->in.vectors.xmm[8], 0, 128);
    memset(c->in.vectors.ymm_high + 128, 0, 128);
}

static void choose_targets(FuzzCase *c, Random *random)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->insns[i].loops)
            c->insns[i].target = 0;
        else if (c->insns[i].target >= 0)
            c->insns[i].target = i + 1 + random_below(random, c->n - i);
    if (!c->stands_alone && !random_below(random, 4)) {
        static const uint8_t registers[] = {RAX, RBX, RDX, RSI, RSP, RSP};
        c->plant = registers[random_below(random, sizeof registers)];
        c->plant_target = 1 + random_below(random, c->n);
    }
}

/* What the data begins with, the same for all cases of a seed. */
enum { N_BEGINNINGS = 16 };
static uint8_t (*beginnings(uint64_t seed))[STATE_DATA]
{
    static uint8_t data[N_BEGINNINGS][STATE_DATA];
    static bool made;
    Random random = {seed};

    for (unsigned i = 0; !made && i < N_BEGINNINGS; i++)
        random_data(&random, data[i]);
    made = true;
    return data;
}

void generate_case(FuzzCase *c, uint64_t seed, uint64_t number)
{
    Random random = {seed * 0xd1342543de82ef95 + number * 0x2545f4914f6cdd1d};

    random_next(&random);
    c->number = number;
    c->mode = generate_mode(number);
    c->n = 0;
    c->asks_host = true;
    c->stands_alone = false;
    c->plant = NO_PLANT;
    c->plant_target = 0;
    state_randomise(&c->in, &random, fuzz_data_offset(c->mode), data_pages(c->mode),
                    !random_below(&random, 4));
    if (!random_below(&random, 16) && (cpu_host_mxcsr_mask() & MXCSR_MM))
        c->in.vectors.mxcsr |= MXCSR_MM;
    narrow(c);
    memcpy(c->in.data, beginnings(seed)[random_below(&random, N_BEGINNINGS)], STATE_DATA);
    enum { SINGLE = 4, SINGLE_BYTES = 3, BYTES = 7, COMMON = 8, LOOP = 9, N_KINDS = 10 };
    unsigned kind = random_below(&random, c->mode >= FUZZ_16 ? COMMON : N_KINDS);
    unsigned wanted = kind < SINGLE ? 1 : 2 + random_below(&random, MAX_BLOCK - 1), bytes = 0;
    if (kind == LOOP)
        wanted = 1 + random_below(&random, MAX_LOOP);
    if (kind >= COMMON) /* over the boundary of the data's pages */
        c->in.gpr[RSP] =
            fuzz_data_offset(c->mode) + STATE_PAGE + random_below(&random, 32) * 8 - 64;
    for (unsigned tries = 0; c->n < wanted && !c->stands_alone && tries < 64; tries++) {
        if (kind == BYTES || kind == SINGLE_BYTES)
            append_bytes(c, &random);
        else if (kind == COMMON || (kind == LOOP && random_below(&random, 2)))
            append_common(c, &random);
        else
            append_form(c, &random);
        bytes = 0;
        for (unsigned i = 0; i < c->n; i++)
            bytes += c->insns[i].length;
        if (bytes + INSN_MAX_BYTES > MAX_CODE)
            break;
    }
    if (kind == LOOP && c->n && !c->stands_alone)
        append_loop_end(c, &random);
    if (!c->n) { /* never without an instruction */
        c->insns[0] = (FuzzInsn){.bytes = {0x90}, .length = 1, .target = -1, .form = NO_FORM};
        c->n = 1;
    }
    choose_targets(c, &random);
    drop_readers_of_undefined(c);
    generate_lay_out(c);
}
