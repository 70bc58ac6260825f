/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/fuzz/tables.h"

#include "core/cpu/cpu.h"

#include <string.h>

enum {
    BOOT = 0x1000,
    POINTERS = 0x1f00, /* for LGDT and LIDT */
    GDT = 0x2000,
    LDT = 0x2800,
    IDT = 0x3000,
    TSS = 0x4000,
    OTHER_TSS = 0x5000,
    PML4 = TABLES_PAGING,
    PDPT = 0x9000,
    PD = 0xa000,
    PT = 0xb000,
    PD_4 = 0xc000, /* of 4-byte entries */
    PT_4 = 0xd000,
    STACK = 0x17000,
    HANDLERS = 0x18000,
    N_HANDLERS = 16,
    HANDLER_SIZE = 64,
    DATA = 0x1a000,
    CODE = 0x20000,
    CODE_BYTES = 0x600,
};

/* Selectors. */
enum {
    CODE32 = 0x08,
    DATA32 = 0x10,
    CODE16 = 0x18,
    DATA16 = 0x20,
    CODE64 = 0x28,
    USER_CODE32 = 0x33,
    USER_DATA = 0x3b,
    USER_CODE64 = 0x43,
    TASK = 0x48, /* two entries, as all system descriptors here */
    OTHER_TASK = 0x58,
    LDT_SELECTOR = 0x68,
    CALL_GATE = 0x78,
    TASK_GATE = 0x88,
    CONFORMING = 0x90,
    EXPAND_DOWN = 0x98,
    READ_ONLY = 0xa0,
    EXECUTE_ONLY = 0xa8,
    GDT_END = 0x100,
};

typedef enum { REAL, PROTECTED_16, PROTECTED_32, PAGED_32, PAE_32, LONG_64, LONG_32, N_KINDS } Kind;

typedef struct {
    GRand *random;
    uint8_t *ram;
    Kind kind;
    bool wild, user;
    unsigned bits; /* of the code */
    uint32_t at;   /* where code is put */
} Image;

/* --- random things ---------------------------------------------------------------------------- */

static uint32_t any(Image *image)
{
    return g_rand_int(image->random);
}

static uint32_t below(Image *image, uint32_t limit)
{
    return any(image) % limit;
}

static bool one_in(Image *image, uint32_t n)
{
    return below(image, n) == 0;
}

#define ONE_OF(IMAGE, ARRAY) ((ARRAY)[below(IMAGE, G_N_ELEMENTS(ARRAY))])

/* Mostly one of those that are described. */
static uint16_t some_selector(Image *image)
{
    if (one_in(image, 8))
        return (uint16_t)any(image);
    uint32_t end = one_in(image, 4) ? GDT_END : EXECUTE_ONLY + 8;
    return (uint16_t)(below(image, end / 8) << 3 | (one_in(image, 2) ? below(image, 8) : 0));
}

static uint32_t some_address(Image *image)
{
    static const uint32_t places[] = {
        0,          0x400,         BOOT,       POINTERS, GDT,        LDT,      IDT,
        TSS,        OTHER_TSS,     PML4,       PDPT,     PD,         PT,       PD_4,
        PT_4,       STACK,         HANDLERS,   DATA,     CODE,       0x1fffff, 0x200000,
        TABLES_ROM, TABLES_DEVICE, 0x7fffffff, 0xfffff,  0xffff0000, 0xffffff, 0x80000000};

    return one_in(image, 8) ? any(image)
                            : ONE_OF(image, places) + (one_in(image, 2) ? below(image, 4096) : 0);
}

static uint32_t some_number(Image *image)
{
    switch (below(image, 5)) {
    case 0: return any(image) >> below(image, 32);
    case 1: return some_selector(image);
    case 2: return 1u << below(image, 32);
    default: return some_address(image);
    }
}

/* --- memory ----------------------------------------------------------------------------------- */

static void put(Image *image, uint32_t at, uint64_t value, unsigned size)
{
    memcpy(image->ram + at, &value, size);
}

static uint64_t entry_flags(Image *image)
{
    return 7 | (one_in(image, 2) ? 0x60 : 0);
}

/* Every address is its own translation: the lowest in small pages, the rest in large ones. */
static void make_page_tables(Image *image)
{
    put(image, PML4, PDPT | 7, 8);
    put(image, PML4 + 511 * 8, PDPT | 7, 8);
    for (unsigned i = 0; i < 4; i++)
        put(image, PDPT + i * 8, PD | (image->kind == PAE_32 ? 1 : 7), 8);
    put(image, PD, PT | 7, 8);
    put(image, PD_4, PT_4 | 7, 4);
    for (uint64_t i = 1; i < 512; i++)
        put(image, PD + i * 8, i << 21 | 0x80 | entry_flags(image), 8);
    for (uint64_t i = 1; i < 1024; i++)
        put(image, PD_4 + i * 4, i << 22 | 0x80 | entry_flags(image), 4);
    for (uint64_t i = 0; i < 512; i++)
        put(image, PT + i * 8, i << 12 | entry_flags(image), 8);
    for (uint64_t i = 0; i < 1024; i++)
        put(image, PT_4 + i * 4, i << 12 | entry_flags(image), 4);
}

static void put_descriptor(Image *image, unsigned selector, uint32_t base, uint32_t limit,
                           uint16_t attributes)
{
    put(image, GDT + (selector & ~7u),
        (uint64_t)(base >> 24) << 56 | (uint64_t)(limit >> 16 & 15) << 48 |
            (uint64_t)attributes << 40 | (uint64_t)(base & 0xffffff) << 16 | (limit & 0xffff),
        8);
}

static bool is_long(const Image *image)
{
    return image->kind == LONG_64 || image->kind == LONG_32;
}

static uint16_t code_selector(const Image *image)
{
    switch (image->kind) {
    case PROTECTED_16: return CODE16;
    case LONG_64: return CODE64;
    default: return CODE32;
    }
}

static uint64_t gate(Image *image, uint16_t selector, uint32_t offset, unsigned type, unsigned dpl)
{
    return (uint64_t)(offset >> 16) << 48 | (uint64_t)(0x80 | dpl << 5 | type) << 40 |
           (uint64_t)selector << 16 | (offset & 0xffff) | (uint64_t)below(image, 4) << 32;
}

static void make_descriptors(Image *image)
{
    bool wide = is_long(image);
    /* Gates to where handlers run: in long mode those are 64-bit code. */
    uint16_t selector = wide ? CODE64 : code_selector(image);
    unsigned limit = GDT_END - 1;

    put_descriptor(image, CODE32, 0, 0xfffff, 0xc09b);
    put_descriptor(image, DATA32, 0, 0xfffff, 0xc093);
    put_descriptor(image, CODE16, 0, 0xfffff, 0x809b);
    put_descriptor(image, DATA16, 0, 0xfffff, 0x8093);
    put_descriptor(image, CODE64, 0, 0xfffff, 0xa09b);
    put_descriptor(image, USER_CODE32, 0, 0xfffff, 0xc0fb);
    put_descriptor(image, USER_DATA, 0, 0xfffff, 0xc0f3);
    put_descriptor(image, USER_CODE64, 0, 0xfffff, 0xa0fb);
    put_descriptor(image, TASK, TSS, 0xfff, 0x0089);
    put_descriptor(image, OTHER_TASK, OTHER_TSS, 0xfff, one_in(image, 4) ? 0x0081 : 0x00e9);
    put_descriptor(image, LDT_SELECTOR, LDT, 0xff, 0x0082);
    put(image, GDT + CALL_GATE, gate(image, selector, HANDLERS, 0x0c, 3), 8);
    put(image, GDT + TASK_GATE, gate(image, OTHER_TASK, 0, 5, 3), 8);
    put_descriptor(image, CONFORMING, 0, 0xfffff, wide ? 0xa09f : 0xc09f);
    put_descriptor(image, EXPAND_DOWN, 0, below(image, 0x20), 0xc097);
    put_descriptor(image, READ_ONLY, 0, 0xfffff, 0xc0f1);
    put_descriptor(image, EXECUTE_ONLY, 0, 0xfffff, 0xc0f9);
    for (unsigned i = EXECUTE_ONLY + 8; i < GDT_END; i += 4)
        put(image, GDT + i, any(image), 4);
    memcpy(image->ram + LDT, image->ram + GDT, GDT_END);
    for (unsigned i = 0; i < 256; i++) {
        uint32_t handler = HANDLERS + below(image, N_HANDLERS) * HANDLER_SIZE;
        unsigned type = one_in(image, 2) ? 0x0e : 0x0f;
        if (!wide && one_in(image, 12))
            put(image, IDT + i * 8, gate(image, OTHER_TASK, 0, 5, below(image, 4)), 8);
        else
            put(image, IDT + i * (wide ? 16 : 8),
                gate(image, selector, handler, type, below(image, 4)) &
                    ~((uint64_t)7 << 32) /* IST */,
                8);
    }
    for (unsigned i = 0; i < 256; i++)
        put(image, i * 4, HANDLERS / 16u << 16 | below(image, N_HANDLERS) * HANDLER_SIZE, 4);
    put(image, POINTERS, (uint64_t)GDT << 16 | limit, 6);
    if (image->kind == REAL)
        put(image, POINTERS + 8, 0x3ff, 6);
    else
        put(image, POINTERS + 8, (uint64_t)IDT << 16 | 0xfff, 6);
}

static void make_tasks(Image *image)
{
    if (is_long(image)) { /* SDM figure 7-11 */
        for (unsigned i = 0; i < 10; i++)
            put(image, TSS + 4 + i * 8, STACK - i * 0x200, 8);
        put(image, TSS + 102, 0x68, 2);
        return;
    }
    for (unsigned task = TSS; task <= OTHER_TSS; task += OTHER_TSS - TSS) {
        uint32_t stack = STACK - (task == TSS ? 0 : 0x800);
        for (unsigned i = 0; i < 3; i++) {
            put(image, task + 4 + i * 8, stack - i * 0x200, 4);
            put(image, task + 8 + i * 8, DATA32, 2);
        }
        put(image, task + 28, one_in(image, 4) ? some_address(image) : PD_4, 4); /* CR3 */
        put(image, task + 32, HANDLERS + below(image, N_HANDLERS) * HANDLER_SIZE, 4);
        put(image, task + 36, 2, 4);
        for (unsigned i = 0; i < 8; i++)
            put(image, task + 40 + i * 4, i == RSP ? stack : some_address(image), 4);
        for (unsigned i = 0; i < 6; i++)
            put(image, task + 72 + i * 4, i == 1 ? code_selector(image) : DATA32, 2);
        put(image, task + 102, 0x68, 2);
    }
}

/* Spoils what was sound. */
static void spoil(Image *image)
{
    static const uint32_t places[] = {GDT, IDT,  TSS, OTHER_TSS, PML4, PDPT,
                                      PD,  PD_4, PT,  PT,        PT_4, PT_4};

    for (unsigned count = one_in(image, 4) ? 0 : below(image, 24); count-- > 0;) {
        uint32_t at = ONE_OF(image, places) + (below(image, 0x100) & ~3u);
        uint64_t value;
        switch (below(image, 4)) {
        case 0: image->ram[at + below(image, 8)] ^= 1u << below(image, 8); break;
        case 1:
            value = (uint64_t)any(image) << 32 | any(image);
            put(image, at, value, 8);
            break;
        default: /* a page, somewhere */
            value = (below(image, 0x240) << 12) | (any(image) & 0x1ff) | (one_in(image, 8) ? 0 : 1);
            put(image, at, value, one_in(image, 2) ? 8 : 4);
            break;
        }
    }
}

/* --- code ------------------------------------------------------------------------------------- */

static void emit(Image *image, unsigned n, ...)
{
    va_list bytes;

    va_start(bytes, n);
    while (n-- > 0)
        image->ram[image->at++] = (uint8_t)va_arg(bytes, int);
    va_end(bytes);
}

static void emit_number(Image *image, uint64_t value, unsigned size)
{
    put(image, image->at, value, size);
    image->at += size;
}

/* MOV of a 32-bit number, sign-extended in 64-bit code. */
static void emit_mov(Image *image, unsigned reg, uint32_t value)
{
    if (image->bits == 64)
        emit(image, 3, 0x48, 0xc7, 0xc0 | reg);
    else if (image->bits == 32)
        emit(image, 1, 0xb8 | reg);
    else
        emit(image, 2, 0x66, 0xb8 | reg);
    emit_number(image, value, 4);
}

/* ModRM with [rBX+disp], [rDI] or a register. */
static void emit_operand(Image *image, unsigned reg)
{
    switch (below(image, 3)) {
    case 0: emit(image, 1, 0xc0 | reg << 3 | below(image, 8)); break;
    case 1: emit(image, 2, 0x40 | reg << 3 | (image->bits == 16 ? 7 : 3), any(image) & 0x7f); break;
    default: emit(image, 1, reg << 3 | (image->bits == 16 ? 5 : 7)); break;
    }
}

static void emit_msr_number(Image *image)
{
    static const uint32_t msrs[] = {0x1b,       0x174,      0x175,      0x176,      0x1a0,
                                    0x200,      0x250,      0x277,      0x2ff,      0xc0000080,
                                    0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
                                    0xc0000101, 0xc0000102, 0xc0000103};

    emit_mov(image, RCX, one_in(image, 10) ? some_number(image) : ONE_OF(image, msrs));
}

static void emit_control_register(Image *image)
{
    static const uint8_t registers[] = {0, 0, 2, 3, 3, 4, 4, 8};
    uint8_t n = ONE_OF(image, registers);

    if (one_in(image, 2)) {
        emit(image, 3, 0x0f, one_in(image, 4) ? 0x21 : 0x20, 0xc0 | (n & 7) << 3);
        /* Change one bit of it. */
        emit(image, 4, 0x0f, 0xba, 0xf8, below(image, 32));
    } else if (one_in(image, 2)) {
        emit_mov(image, RAX, n == 3 ? (one_in(image, 2) ? PML4 : PD_4) : some_number(image));
    }
    emit(image, 3, 0x0f, one_in(image, 6) ? 0x23 : 0x22, 0xc0 | (n & 7) << 3);
}

static void emit_far(Image *image)
{
    switch (below(image, 4)) {
    case 0: /* JMP, CALL ptr16:32 */
        if (image->bits == 16)
            emit(image, 1, 0x66);
        emit(image, 1, one_in(image, 2) ? 0xea : 0x9a);
        emit_number(image, CODE + below(image, CODE_BYTES), 4);
        emit_number(image, some_selector(image), 2);
        break;
    case 1:
        emit(image, 1, 0xff);
        emit_operand(image, one_in(image, 2) ? 3 : 5);
        break;
    case 2: emit(image, 2, image->bits == 64 && one_in(image, 2) ? 0x48 : 0x90, 0xcb); break;
    default: emit(image, 2, image->bits == 64 && one_in(image, 2) ? 0x48 : 0x90, 0xcf); break;
    }
}

static void emit_segment_load(Image *image)
{
    static const uint8_t pops[] = {0x07, 0x17, 0x1f};

    emit_mov(image, RAX, some_selector(image));
    switch (below(image, 6)) {
    case 0: emit(image, 3, 0x0f, 0x00, 0xc0 | below(image, 6) << 3); break;
    case 1: emit(image, 2, 0x50, ONE_OF(image, pops)); break;
    case 2: emit(image, 3, 0x50, 0x0f, one_in(image, 2) ? 0xa1 : 0xa9); break;
    case 3: emit(image, 2, 0x8e, 0xc0 | below(image, 6) << 3); break;
    default: /* DS, and a load or store through it */
        emit(image, 2, 0x8e, 0xc0 | SEG_DS << 3);
        emit(image, 3, one_in(image, 2) ? 0x89 : 0x8b, image->bits == 16 ? 0x47 : 0x43, 0x10);
        break;
    }
}

static void emit_plain(Image *image)
{
    static const uint8_t opcodes[] = {0x01, 0x03, 0x29, 0x31, 0x39, 0x87, 0x88,
                                      0x89, 0x8a, 0x8b, 0x8d, 0x85, 0x63};

    switch (below(image, 5)) {
    case 0: emit_mov(image, below(image, 8), some_number(image)); break;
    case 1: emit(image, 2, 0x70 | below(image, 16), below(image, 40)); break;
    case 2: emit(image, 1, 0x50 | below(image, 16)); break;
    case 3: emit(image, 2, 0xeb, below(image, 60) - 8); break;
    default:
        emit(image, 1, ONE_OF(image, opcodes));
        emit_operand(image, below(image, 8));
        break;
    }
}

static void emit_string(Image *image)
{
    static const uint8_t opcodes[] = {0xa4, 0xa5, 0xa6, 0xaa, 0xab, 0xac, 0xae, 0x6c, 0x6e};

    if (one_in(image, 2))
        emit_mov(image, RCX, below(image, 0x2000));
    emit(image, 2, one_in(image, 3) ? 0xfc : 0xf3, ONE_OF(image, opcodes));
}

static void emit_system(Image *image)
{
    static const uint8_t one_byte[] = {0xfa, 0xfb, 0x9c, 0x9d, 0xcc, 0xce, 0xf1, 0x9b,
                                       0xec, 0xee, 0xc9, 0x60, 0x61, 0xf4, 0x0e, 0x06};
    static const uint8_t two_bytes[] = {0x05, 0x07, 0x34, 0x35, 0x06, 0x08, 0x09, 0x0b, 0xa2, 0x77};
    static const uint8_t of_01[] = {0xf8, 0xca, 0xcb, 0xd0, 0xd1, 0xc8, 0xd5};

    switch (below(image, 10)) {
    case 0: emit(image, 1, ONE_OF(image, one_byte)); break;
    case 1: emit(image, 2, 0x0f, ONE_OF(image, two_bytes)); break;
    case 2: emit(image, 3, 0x0f, 0x01, ONE_OF(image, of_01)); break;
    case 3:
        emit(image, 2, 0x0f, 0x01);
        emit_operand(image, below(image, 8));
        break;
    case 4:
        emit(image, 2, 0x0f, one_in(image, 2) ? 0x02 : 0x03);
        emit_operand(image, below(image, 8));
        break;
    case 5:
        emit_msr_number(image);
        emit(image, 2, 0x0f, one_in(image, 2) ? 0x30 : 0x32);
        break;
    case 6: emit(image, 2, 0xcd, one_in(image, 2) ? below(image, 32) : any(image) & 0xff); break;
    case 7:
        emit(image, 2, 0x0f, one_in(image, 2) ? 0xae : 0xc7);
        emit_operand(image, below(image, 8));
        break;
    case 8: emit(image, 4, 0xc8, below(image, 64), 0, below(image, 32)); break;
    default:
        emit(image, 1, one_in(image, 2) ? 0x62 : 0x8c);
        emit_operand(image, below(image, 6));
        break;
    }
}

static void emit_anything(Image *image)
{
    static void (*const emitters[])(Image *) = {
        emit_plain,  emit_plain,  emit_plain,           emit_system,
        emit_system, emit_system, emit_segment_load,    emit_segment_load,
        emit_far,    emit_string, emit_control_register};

    if (image->wild && one_in(image, 3)) {
        for (unsigned n = 1 + below(image, 8); n > 0; n--)
            emit(image, 1, any(image) & 0xff);
        return;
    }
    ONE_OF(image, emitters)(image);
}

/* Counts how often it came, goes past what faulted, perhaps does something; halts in the end. */
static void make_handlers(Image *image)
{
    for (unsigned i = 0; i < N_HANDLERS; i++) {
        bool wide = is_long(image);
        image->at = HANDLERS + i * HANDLER_SIZE;
        if (one_in(image, 4)) {
            emit(image, 2, 0xfa, 0xf4);
            continue;
        }
        /* ADD byte [DATA], 4; in real mode one in the code segment */
        if (image->kind == REAL) {
            emit(image, 5, 0x2e, 0x80, 0x06, DATA & 0xff, DATA >> 8 & 0xff);
        } else {
            if (image->kind == PROTECTED_16)
                emit(image, 1, 0x67);
            emit(image, wide ? 3 : 2, 0x80, wide ? 0x04 : 0x05, 0x25);
            emit_number(image, DATA, 4);
        }
        emit(image, 1, 4);
        emit(image, 4, 0x73, 0x02, 0xfa, 0xf4); /* JNC over CLI, HLT */
        if (one_in(image, 2))                   /* an error code */
            emit(image, 1, 0x58);
        if (one_in(image, 4))
            emit_anything(image);
        if (image->kind != REAL && image->kind != PROTECTED_16)
            emit(image, 5, 0x83, 0x04, 0x24, 1 + below(image, 4), 0x90); /* ADD [rSP], n */
        emit(image, 2, wide ? 0x48 : image->bits == 16 && image->kind != REAL ? 0x66 : 0x90, 0xcf);
    }
}

static void emit_to_mode(Image *image)
{
    static const uint64_t cr4[] = {0, CR4_VME, CR4_DE, CR4_PSE, CR4_PGE, CR4_UMIP, CR4_TSD};
    uint64_t cr0 =
        CR0_PE | CR0_ET | (one_in(image, 2) ? CR0_WP : 0) | (one_in(image, 2) ? CR0_NE : 0);
    uint64_t wanted = (one_in(image, 2) ? CR4_OSFXSR | CR4_OSXSAVE : 0) | ONE_OF(image, cr4);
    bool paging = image->kind >= PAGED_32;

    image->bits = 16;
    image->at = BOOT;
    emit(image, 8, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0);
    emit_mov(image, RSP, STACK);
    emit(image, 5, 0x0f, 0x01, 0x16, POINTERS & 0xff, POINTERS >> 8);
    emit(image, 5, 0x0f, 0x01, 0x1e, (POINTERS + 8) & 0xff, POINTERS >> 8);
    if (image->kind == PAGED_32)
        wanted |= CR4_PSE;
    else if (paging)
        wanted |= CR4_PAE;
    if (one_in(image, 8))
        wanted ^= 1u << below(image, 24);
    emit_mov(image, RAX, (uint32_t)wanted);
    emit(image, 3, 0x0f, 0x22, 0xe0);
    emit_mov(image, RAX, image->kind == PAGED_32 ? PD_4 : image->kind == PAE_32 ? PDPT : PML4);
    emit(image, 3, 0x0f, 0x22, 0xd8);
    if (is_long(image) || one_in(image, 4)) {
        uint32_t efer = (is_long(image) ? EFER_LME : 0) | (one_in(image, 2) ? EFER_NXE : 0) |
                        (one_in(image, 2) ? EFER_SCE : 0);
        emit_mov(image, RCX, 0xc0000080);
        emit_mov(image, RDX, 0);
        emit_mov(image, RAX, efer);
        emit(image, 2, 0x0f, 0x30);
    }
    if (image->kind != REAL) {
        cr0 |= paging ? CR0_PG : 0;
        if (one_in(image, 10))
            cr0 ^= 1u << below(image, 32);
        emit_mov(image, RAX, (uint32_t)cr0);
        emit(image, 5, 0x0f, 0x22, 0xc0, 0x66, 0xea);
        emit_number(image, CODE, 4);
        emit_number(image, code_selector(image), 2);
    } else {
        emit(image, 1, 0xea);
        emit_number(image, (uint64_t)CODE << 12, 4);
    }
}

/* IRET to level 3, or to virtual-8086 mode. */
static void emit_to_user(Image *image)
{
    bool vm86 = !is_long(image) && one_in(image, 3);
    uint16_t code = image->bits == 64 ? USER_CODE64 : USER_CODE32;
    const uint32_t frame[] = {DATA >> 4,
                              DATA >> 4,
                              DATA >> 4,
                              DATA >> 4,
                              vm86 ? STACK >> 4 : USER_DATA,
                              STACK,
                              (vm86 ? RFLAGS_VM : 0) | below(image, 4) << 12 | RFLAGS_1,
                              vm86 ? CODE >> 4 : code,
                              0};

    for (unsigned i = vm86 ? 0 : 4; i < G_N_ELEMENTS(frame); i++) {
        bool last = i == G_N_ELEMENTS(frame) - 1;
        uint32_t here = image->at + 16; /* past the IRET, and then some */
        emit_mov(image, RAX, last ? (vm86 ? here - CODE : here) : frame[i]);
        if (image->bits == 16)
            emit(image, 1, 0x66);
        emit(image, 1, 0x50);
    }
    emit(image, 2, image->bits == 64 ? 0x48 : image->bits == 16 ? 0x66 : 0x90, 0xcf);
    memset(image->ram + image->at, 0x90, 16);
    image->at += 16;
    if (vm86)
        image->bits = 16;
    else if (image->bits == 16)
        image->bits = 32;
}

static void emit_code(Image *image)
{
    uint16_t data = image->kind == PROTECTED_16 && one_in(image, 2) ? DATA16 : DATA32;

    image->at = CODE;
    image->bits = image->kind == LONG_64                               ? 64
                  : image->kind == REAL || image->kind == PROTECTED_16 ? 16
                                                                       : 32;
    if (image->kind != REAL) {
        emit_mov(image, RAX, data);
        for (unsigned i = 0; i < 6; i++)
            if (i != SEG_CS)
                emit(image, 2, 0x8e, 0xc0 | i << 3);
        emit_mov(image, RSP, STACK - 0x100);
        emit_mov(image, RAX, TASK);
        emit(image, 3, 0x0f, 0x00, 0xd8);
        emit_mov(image, RAX, LDT_SELECTOR);
        emit(image, 3, 0x0f, 0x00, 0xd0);
        if (one_in(image, 2))
            emit_to_user(image);
    }
    for (unsigned i = 0; i < 8; i++)
        if (i != RSP)
            emit_mov(image, i, one_in(image, 2) ? some_number(image) : DATA + below(image, 0x1000));
    while (image->at < CODE + CODE_BYTES)
        emit_anything(image);
    emit(image, 2, 0xfa, 0xf4);
}

void tables_generate(GRand *random, bool wild, uint8_t *ram)
{
    Image image = {.random = random, .ram = ram, .wild = wild};
    const uint8_t reset[] = {0xea, BOOT & 0xff, BOOT >> 8, 0, 0};

    image.kind = below(&image, N_KINDS);
    make_page_tables(&image);
    make_descriptors(&image);
    make_tasks(&image);
    spoil(&image);
    emit_to_mode(&image);
    image.bits = image.kind == REAL || image.kind == PROTECTED_16 ? 16 : 32;
    if (is_long(&image))
        image.bits = 64;
    make_handlers(&image);
    emit_code(&image);
    /* The last 64 KiB show at the reset vector. */
    memcpy(ram + TABLES_RAM - 16, reset, sizeof reset);
}
