/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Guests that try out protection: sound tables, and in them a playground of pages with all kinds of
 * rights, mapped in three ways, and segments with all kinds of limits and types. What is executed
 * are accesses just inside and just outside of what those allow. rBX holds the address after each;
 * the handlers fold vector, error code and CR2 into a log and go on there.
 */

#include "tests/fuzz/tables-private.h"

enum {
    LOG = DATA + 0x800, /* 32 bits of vectors and error codes, 32 of addresses */
    FAULTS_LEFT = DATA + 0x808,
    MOST_FAULTS = 250,
    /* The playground's linear addresses: as it is, by a table with rights of its own, and as part
     * of a large page. */
    BY_TABLE = 0x800000,
    IN_LARGE = 0xc00000 + PLAYGROUND,
    RET = 0xc3,
    PROBE_BYTES = 96, /* at most */
};

/* Of an entry of the paging structures. */
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };
#define NX (1ull << 63)

/* --- tables ----------------------------------------------------------------------------------- */

static uint64_t some_rights(Image *image)
{
    uint64_t rights = one_in(image, 8) ? 0 : P;

    for (uint64_t bit = W; bit <= D; bit <<= 1)
        if ((bit & (W | U | A | D)) && !one_in(image, 2))
            rights |= bit;
    return rights;
}

static void put_entry(Image *image, uint32_t table_8, uint32_t table_4, unsigned i, uint64_t entry)
{
    /* NX is reserved without EFER.NXE: that is a fault, too. */
    put(image, table_8 + i * 8, entry | (one_in(image, 4) ? NX : 0), 8);
    put(image, table_4 + i * 4, entry, 4);
}

/* What the guest itself needs: not for level 3 unless it is executed there. */
static uint64_t own_rights(const Image *image, uint32_t address)
{
    bool user = (address >= CODE && address < CODE_END) || address == USER_STACK - GUEST_PAGE_SIZE;

    return P | W | (user && image->user ? U : 0);
}

static void make_pages(Image *image)
{
    for (uint32_t i = 0; i < 512; i++) {
        uint64_t entry = (uint64_t)i << 12 | own_rights(image, i << 12);
        put(image, PT + i * 8, entry, 8);
        put(image, PT_4 + i * 4, entry, 4);
    }
    for (unsigned i = 0; i < PLAYGROUND_PAGES; i++) {
        uint64_t frame = PLAYGROUND + (uint64_t)i * GUEST_PAGE_SIZE;
        put_entry(image, PT, PT_4, PLAYGROUND / GUEST_PAGE_SIZE + i, frame | some_rights(image));
        put_entry(image, PT_2, PT_2_4, i, frame | some_rights(image));
    }
    put(image, PD + (BY_TABLE >> 21) * 8, PT_2 | P | some_rights(image), 8);
    put(image, PD_4 + (BY_TABLE >> 22) * 4, PT_2_4 | P | some_rights(image), 4);
    put(image, PD + (IN_LARGE >> 21) * 8, PS | P | some_rights(image), 8);
    put(image, PD_4 + (IN_LARGE >> 22) * 4, PS | P | some_rights(image), 4);
    memset(image->ram + PLAYGROUND, RET, PLAYGROUND_PAGES * GUEST_PAGE_SIZE);
}

static void make_odd_segments(Image *image)
{
    static const uint32_t bases[] = {0, 0, DATA, PLAYGROUND, BY_TABLE + 0x7f1, IN_LARGE};
    /* Data read-only, writable, both expanding down; code, readable code; accessed or not. */
    static const uint8_t types[] = {0x0, 0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0xa, 0xb};

    for (unsigned i = 0; i < N_ODD_SEGMENTS; i++) {
        OddSegment *odd = &image->odd[i];
        uint32_t base = ONE_OF(image, bases);
        bool pages = one_in(image, 4);
        /* From 0 on not as far as the page tables, which nobody may write without telling. */
        uint32_t limit = below(image, pages ? (base ? 32 : 3) : 0x3000);
        if (one_in(image, 4))
            limit = 0xfffff;
        unsigned attributes = 0x90 | ONE_OF(image, types) | (one_in(image, 4) ? 0 : 3 << 5) |
                              (one_in(image, 4) ? 0 : 1 << 14) | (pages ? 1 << 15 : 0);
        odd->base = base;
        odd->limit = pages ? limit << 12 | 0xfff : limit;
        put_descriptor(image, ODD_SEGMENTS + i * 8, odd->base, limit, (uint16_t)attributes);
    }
}

static void make_gates(Image *image)
{
    bool wide = is_long(image);

    for (unsigned i = 0; i < 256; i++) {
        unsigned handler = i == EXC_AC ? EXC_DF : i < N_HANDLERS ? i : EXC_DE;
        uint64_t low = gate(image, wide ? CODE64 : CODE32, HANDLERS + handler * HANDLER_SIZE, 0xe,
                            below(image, 4));
        put(image, IDT + i * (wide ? 16 : 8), low & ~((uint64_t)7 << 32) /* IST */, 8);
    }
}

void make_probe_tables(Image *image)
{
    make_pages(image);
    make_odd_segments(image);
    make_gates(image);
    put(image, FAULTS_LEFT, MOST_FAULTS, 4);
}

/* --- handlers --------------------------------------------------------------------------------- */

/* One with an absolute address, in 32-bit code by way of SS, whose rights no probe changes for the
 * handlers. */
static void emit_absolute(Image *image, uint8_t opcode, uint8_t reg, uint32_t address)
{
    if (image->bits == 64)
        emit(image, 3, opcode, reg << 3 | 4, 0x25);
    else
        emit(image, 3, 0x36, opcode, reg << 3 | 5);
    emit_number(image, address, 4);
}

/* EAX joins the log in a way that tells what came before what, and leaves no flag undefined. */
static void emit_log(Image *image, uint32_t at)
{
    emit_absolute(image, 0x03, RAX, at); /* ADD */
    emit(image, 3, 0x8d, 0x04, 0x40);    /* LEA EAX, [rAX+rAX*2] */
    emit_absolute(image, 0x89, RAX, at);
}

static bool has_error_code(unsigned vector)
{
    return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF);
}

static void make_probe_handlers(Image *image)
{
    unsigned bits = image->bits;

    image->bits = is_long(image) ? 64 : 32;
    for (unsigned vector = 0; vector < N_HANDLERS; vector++) {
        bool wide = is_long(image);
        image->at = HANDLERS + vector * HANDLER_SIZE;
        if (has_error_code(vector))
            emit(image, 1, 0x58); /* POP */
        else
            emit_mov(image, RAX, 0);
        emit(image, 1, 0x05); /* ADD */
        emit_number(image, vector << 16, 4);
        emit_log(image, LOG);
        if (vector == EXC_PF) {
            emit(image, 3, 0x0f, 0x20, 0xd0); /* MOV from CR2 */
            emit_log(image, LOG + 4);
        }
        emit_absolute(image, 0xff, 1, FAULTS_LEFT);
        emit(image, 4, 0x75, 2, 0xfa, 0xf4);                  /* JNZ over CLI, HLT */
        emit(image, 4, wide ? 0x48 : 0x90, 0x89, 0x1c, 0x24); /* MOV [rSP], rBX */
        emit(image, 2, wide ? 0x48 : 0x90, 0xcf);             /* IRET */
        g_assert(image->at <= HANDLERS + (vector + 1) * HANDLER_SIZE);
    }
    image->bits = bits;
}

/* --- probes ----------------------------------------------------------------------------------- */

static uint32_t some_page(Image *image)
{
    static const uint32_t ways[] = {PLAYGROUND, PLAYGROUND, BY_TABLE, IN_LARGE};

    return ONE_OF(image, ways) + below(image, PLAYGROUND_PAGES) * GUEST_PAGE_SIZE;
}

/* Often just before the next page. */
static uint32_t some_place(Image *image)
{
    uint32_t offset =
        one_in(image, 3) ? GUEST_PAGE_SIZE - 1 - below(image, 40) : below(image, GUEST_PAGE_SIZE);
    return some_page(image) + offset;
}

static void emit_prefixes(Image *image, int segment)
{
    static const uint8_t overrides[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

    if (segment >= 0)
        emit(image, 1, overrides[segment]);
    if (one_in(image, 8))
        emit(image, 1, 0x66);
    if (image->bits == 64 && one_in(image, 3))
        emit(image, 1, 0x48);
}

/* One instruction with [rDI + DISPLACEMENT]. */
static void emit_memory_access(Image *image, int segment, int displacement)
{
    static const struct {
        uint8_t n, opcode[2];
        int8_t reg; /* -1: a register */
        uint8_t immediate;
    } table[] = {
        {1, {0x89}, -1, 0},       {1, {0x89}, -1, 0},       {1, {0x88}, -1, 0},
        {1, {0x8b}, -1, 0},       {1, {0x8b}, -1, 0},       {1, {0x8a}, -1, 0},
        {1, {0x01}, -1, 0},       {1, {0x03}, -1, 0},       {1, {0x39}, -1, 0},
        {1, {0x87}, -1, 0},       {1, {0xff}, 0, 0},        {1, {0xff}, 6, 0},
        {1, {0x8f}, 0, 0},        {1, {0xc6}, 0, 1},        {1, {0x80}, 0, 1},
        {2, {0x0f, 0xb1}, -1, 0}, {2, {0x0f, 0xc1}, -1, 0}, {2, {0x0f, 0xb6}, -1, 0},
        {2, {0x0f, 0xc7}, 1, 0},  {2, {0x0f, 0x10}, -1, 0}, {2, {0x0f, 0x11}, -1, 0},
    };
    static const uint8_t registers[] = {RAX, RCX, RDX};
    unsigned i = below(image, G_N_ELEMENTS(table));
    unsigned reg = table[i].reg < 0 ? ONE_OF(image, registers) : (unsigned)table[i].reg;

    emit_prefixes(image, segment);
    for (unsigned k = 0; k < table[i].n; k++)
        emit(image, 1, table[i].opcode[k]);
    emit(image, 2, 0x40 | reg << 3 | RDI, displacement & 0xff);
    if (table[i].immediate)
        emit(image, 1, RET);
}

/* Some of one object, as compilers make them. */
static void emit_accesses(Image *image, int segment)
{
    if (one_in(image, 2))
        emit_mov(image, RAX, 0x01010101u * RET);
    for (unsigned n = 1 + below(image, 3); n > 0; n--)
        emit_memory_access(image, segment, (int)below(image, 32) - 8);
}

static void probe_page(Image *image)
{
    emit_mov(image, RDI, some_place(image));
    emit_accesses(image, -1);
}

static void probe_string(Image *image)
{
    static const uint8_t opcodes[] = {0xa4, 0xa5, 0xa6, 0xaa, 0xab, 0xac, 0xae};

    emit_mov(image, RDI, some_place(image));
    emit_mov(image, RSI, some_place(image));
    emit_mov(image, RCX, below(image, one_in(image, 2) ? 16 : 0x1000));
    emit_mov(image, RAX, RET);
    if (one_in(image, 4))
        emit(image, 1, 0xfd); /* STD */
    emit(image, 3, 0xf3, ONE_OF(image, opcodes), 0xfc);
}

static void probe_fetch(Image *image)
{
    emit_mov(image, RAX, some_place(image));
    emit(image, 2, 0xff, 0xd0); /* CALL */
}

static void probe_segment(Image *image)
{
    static const uint8_t loaded[] = {SEG_ES, SEG_DS, SEG_DS, SEG_FS, SEG_GS, SEG_SS};
    static const uint16_t others[] = {READ_ONLY, EXECUTE_ONLY, EXPAND_DOWN, USER_DATA};
    unsigned i = below(image, N_ODD_SEGMENTS);
    OddSegment odd = image->odd[i];
    uint16_t selector = (uint16_t)(ODD_SEGMENTS + i * 8);
    int segment = ONE_OF(image, loaded);

    if (segment == SEG_SS && !image->user)
        segment = SEG_ES; /* the handlers want theirs */
    if (one_in(image, 4)) {
        selector = ONE_OF(image, others) & ~7u;
        odd = (OddSegment){0, UINT32_MAX};
    }
    uint32_t place = one_in(image, 2) ? odd.limit - 20 + below(image, 40) : below(image, 0x2000);
    if (image->bits == 64) /* no limits, and most bases mean nothing */
        place = some_place(image) - (segment >= SEG_FS ? odd.base : 0);
    else if (odd.limit == UINT32_MAX)
        place = some_place(image) - odd.base;
    emit_mov(image, RAX, selector | (image->user ? 3 : 0));
    emit(image, 2, 0x8e, 0xc0 | segment << 3);
    emit_mov(image, RDI, place);
    emit_accesses(image, segment == SEG_DS && one_in(image, 2) ? -1 : segment);
}

/* CS may be read where the type lets it, and never be written. */
static void probe_code_segment(Image *image)
{
    emit_mov(image, RDI, one_in(image, 2) ? some_place(image) : LOG + 16);
    emit_accesses(image, SEG_CS);
}

static void probe_alignment_flag(Image *image)
{
    emit(image, 3, 0x0f, 0x01, one_in(image, 2) ? 0xcb : 0xca); /* STAC, CLAC */
}

/* Other rights for a page, told to the processor: level 0. */
static void probe_new_rights(Image *image)
{
    unsigned page = PLAYGROUND / GUEST_PAGE_SIZE + below(image, PLAYGROUND_PAGES);
    bool small = image->kind == PAGED_32;

    emit_absolute(image, 0xc7, 0, small ? PT_4 + page * 4 : PT + page * 8);
    emit_number(image, page << 12 | some_rights(image), 4);
    emit_mov(image, RDI, page << 12);
    emit(image, 3, 0x0f, 0x01, 0x3f); /* INVLPG */
}

/* CR0.WP, CR4.SMEP or CR4.SMAP turned over, or a bit that is none with a carry: level 0. */
static void probe_control_register(Image *image)
{
    static const struct {
        uint8_t reg, bit;
    } bits[] = {{0, 16}, {4, 20}, {4, 21}};
    unsigned i = below(image, G_N_ELEMENTS(bits));

    emit(image, 3, 0x0f, 0x20, 0xc0 | bits[i].reg << 3);
    emit(image, 1, 0x05); /* ADD */
    emit_number(image, 1u << bits[i].bit, 4);
    emit(image, 3, 0x0f, 0x22, 0xc0 | bits[i].reg << 3);
}

static void emit_probe(Image *image)
{
    static void (*const for_all[])(Image *) = {probe_page,    probe_page,         probe_page,
                                               probe_fetch,   probe_string,       probe_segment,
                                               probe_segment, probe_code_segment, probe_page};
    static void (*const for_level_0[])(Image *) = {probe_alignment_flag, probe_new_rights,
                                                   probe_new_rights, probe_control_register};

    emit_mov(image, RBX, 0);
    uint32_t after = image->at - 4;
    if (!image->user && one_in(image, 4))
        ONE_OF(image, for_level_0)(image);
    else
        ONE_OF(image, for_all)(image);
    put(image, after, image->at, 4);
}

/* To CODE at the level of the probes. */
static void emit_start(Image *image)
{
    image->at = START;
    emit_segments(image);
    if (!image->user) {
        emit_mov(image, RAX, CODE);
        emit(image, 2, 0xff, 0xe0); /* JMP */
        return;
    }
    const uint32_t frame[] = {USER_DATA, USER_STACK - 0x400, RFLAGS_1,
                              image->bits == 64 ? USER_CODE64 : USER_CODE32, CODE};
    emit_mov(image, RAX, USER_DATA);
    for (unsigned i = 0; i < 6; i++)
        if (i != SEG_CS && i != SEG_SS)
            emit(image, 2, 0x8e, 0xc0 | i << 3);
    for (unsigned i = 0; i < G_N_ELEMENTS(frame); i++) {
        emit_mov(image, RAX, frame[i]);
        emit(image, 1, 0x50);
    }
    emit(image, 2, image->bits == 64 ? 0x48 : 0x90, 0xcf);
}

void make_probes(Image *image)
{
    image->bits = image->kind == LONG_64 ? 64 : 32;
    make_probe_handlers(image);
    emit_start(image);
    image->at = CODE;
    while (image->at < CODE_END - PROBE_BYTES)
        emit_probe(image);
    /* Level 3 may not halt: the handlers do, after enough faults. */
    emit_mov(image, RBX, image->at);
    emit(image, 2, 0xfa, 0xf4);
}
