/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/fuzz/tables-private.h"

static uint32_t some_number(Image *image)
{
    switch (below(image, 5)) {
    case 0: return any(image) >> below(image, 32);
    case 1: return some_selector(image);
    case 2: return 1u << below(image, 32);
    default: return some_address(image);
    }
}

void emit(Image *image, unsigned n, ...)
{
    va_list bytes;

    va_start(bytes, n);
    while (n-- > 0)
        image->ram[image->at++] = (uint8_t)va_arg(bytes, int);
    va_end(bytes);
}

void emit_number(Image *image, uint64_t value, unsigned size)
{
    put(image, image->at, value, size);
    image->at += size;
}

void emit_mov(Image *image, unsigned reg, uint32_t value)
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

    if (image->style == TABLES_WILD && one_in(image, 3)) {
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

void emit_to_mode(Image *image, uint32_t entry)
{
    static const uint64_t cr4[] = {0, CR4_VME, CR4_DE, CR4_PSE, CR4_PGE, CR4_UMIP, CR4_TSD};
    uint64_t cr0 =
        CR0_PE | CR0_ET | (one_in(image, 2) ? CR0_WP : 0) | (one_in(image, 2) ? CR0_NE : 0);
    uint64_t wanted = (one_in(image, 2) ? CR4_OSFXSR | CR4_OSXSAVE : 0) | ONE_OF(image, cr4);
    bool paging = image->kind >= PAGED_32, probing = image->style == TABLES_PROBING;

    image->bits = 16;
    image->at = BOOT;
    emit_mov(image, RAX, 0); /* no XOR, which leaves a flag undefined */
    emit(image, 6, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0);
    emit_mov(image, RSP, STACK);
    emit(image, 5, 0x0f, 0x01, 0x16, POINTERS & 0xff, POINTERS >> 8);
    emit(image, 5, 0x0f, 0x01, 0x1e, (POINTERS + 8) & 0xff, POINTERS >> 8);
    if (image->kind == PAGED_32)
        wanted |= CR4_PSE;
    else if (paging)
        wanted |= CR4_PAE;
    if (probing && paging)
        wanted |= (one_in(image, 2) ? CR4_SMEP : 0) | (one_in(image, 2) ? CR4_SMAP : 0);
    else if (!probing && one_in(image, 8))
        wanted ^= 1u << below(image, 24);
    emit_mov(image, RAX, (uint32_t)wanted);
    emit(image, 3, 0x0f, 0x22, 0xe0);
    emit_mov(image, RAX, image->kind == PAGED_32 ? PD_4 : image->kind == PAE_32 ? PDPT : PML4);
    emit(image, 3, 0x0f, 0x22, 0xd8);
    if (is_long(image) || one_in(image, image->kind == PAE_32 ? 2 : 4)) {
        uint32_t efer = (is_long(image) ? EFER_LME : 0) | (one_in(image, 2) ? EFER_NXE : 0) |
                        (one_in(image, 2) ? EFER_SCE : 0);
        emit_mov(image, RCX, 0xc0000080);
        emit_mov(image, RDX, 0);
        emit_mov(image, RAX, efer);
        emit(image, 2, 0x0f, 0x30);
    }
    if (image->kind != REAL) {
        cr0 |= paging ? CR0_PG : 0;
        if (!probing && one_in(image, 10))
            cr0 ^= 1u << below(image, 32);
        emit_mov(image, RAX, (uint32_t)cr0);
        emit(image, 5, 0x0f, 0x22, 0xc0, 0x66, 0xea);
        emit_number(image, entry, 4);
        emit_number(image, code_selector(image), 2);
    } else {
        emit(image, 1, 0xea);
        emit_number(image, (uint64_t)entry << 12, 4);
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

void emit_segments(Image *image)
{
    uint16_t data = image->kind == PROTECTED_16 && one_in(image, 2) ? DATA16 : DATA32;

    emit_mov(image, RAX, data);
    for (unsigned i = 0; i < 6; i++)
        if (i != SEG_CS)
            emit(image, 2, 0x8e, 0xc0 | i << 3);
    emit_mov(image, RSP, STACK - 0x100);
    emit_mov(image, RAX, TASK);
    emit(image, 3, 0x0f, 0x00, 0xd8);
    emit_mov(image, RAX, LDT_SELECTOR);
    emit(image, 3, 0x0f, 0x00, 0xd0);
}

void make_code(Image *image)
{
    make_handlers(image);
    image->at = CODE;
    image->bits = image->kind == LONG_64                               ? 64
                  : image->kind == REAL || image->kind == PROTECTED_16 ? 16
                                                                       : 32;
    if (image->kind != REAL) {
        emit_segments(image);
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
