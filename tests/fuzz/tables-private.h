/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Between the parts of tables.c: where things lie in a hostile guest's memory, and putting them
 * there. */

#include "core/cpu/cpu.h"
#include "tests/fuzz/tables.h"

#include <string.h>

enum {
    BOOT = 0x1000,
    POINTERS = 0x1f00, /* for LGDT and LIDT */
    GDT = 0x2000,
    LDT = 0x2800,
    IDT = 0x3000,
    TSS = 0x4000,
    OTHER_TSS = 0x5000,
    PML4 = 0x8000,
    PDPT = 0x9000,
    PD = 0xa000,
    PT = 0xb000,
    PD_4 = 0xc000, /* of 4-byte entries */
    PT_4 = 0xd000,
    PT_2 = 0xe000, /* of the second playground: probes */
    PT_2_4 = 0xf000,
    STACK = 0x17000,
    HANDLERS = 0x18000,
    N_HANDLERS = 16,
    HANDLER_SIZE = 64,
    DATA = 0x1a000,
    START = 0x1c000, /* what is executed first in the mode, where CODE is for another level */
    USER_STACK = 0x1f000,
    CODE = 0x20000,
    CODE_BYTES = 0x600,
    CODE_END = 0x24000,
    PLAYGROUND = 0x100000, /* physical: pages that probes reach in several ways */
    PLAYGROUND_PAGES = 32,
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
    ODD_SEGMENTS = 0xb0, /* and N_ODD_SEGMENTS - 1 more: probes */
    N_ODD_SEGMENTS = 8,
    GDT_END = 0x100,
};

typedef enum { REAL, PROTECTED_16, PROTECTED_32, PAGED_32, PAE_32, LONG_64, LONG_32, N_KINDS } Kind;

typedef struct {
    uint32_t base, limit;
} OddSegment;

typedef struct {
    GRand *random;
    uint8_t *ram;
    Kind kind;
    TablesStyle style;
    bool user;     /* probes at level 3 */
    unsigned bits; /* of the code */
    uint32_t at;   /* where code is put */
    OddSegment odd[N_ODD_SEGMENTS];
} Image;

static inline uint32_t any(Image *image)
{
    return g_rand_int(image->random);
}

static inline uint32_t below(Image *image, uint32_t limit)
{
    return any(image) % limit;
}

static inline bool one_in(Image *image, uint32_t n)
{
    return below(image, n) == 0;
}

#define ONE_OF(IMAGE, ARRAY) ((ARRAY)[below(IMAGE, G_N_ELEMENTS(ARRAY))])

static inline bool is_long(const Image *image)
{
    return image->kind == LONG_64 || image->kind == LONG_32;
}

static inline void put(Image *image, uint32_t at, uint64_t value, unsigned size)
{
    memcpy(image->ram + at, &value, size);
}

/* tables.c */
void put_descriptor(Image *image, unsigned selector, uint32_t base, uint32_t limit,
                    uint16_t attributes);
uint64_t gate(Image *image, uint16_t selector, uint32_t offset, unsigned type, unsigned dpl);
uint16_t code_selector(const Image *image);
uint16_t some_selector(Image *image);
uint32_t some_address(Image *image);

/* tables-code.c: machine code at image->at */
void emit(Image *image, unsigned n, ...);
void emit_number(Image *image, uint64_t value, unsigned size);
/* MOV of a 32-bit number, sign-extended in 64-bit code. */
void emit_mov(Image *image, unsigned reg, uint32_t value);
/* Sets the mode up and jumps to ENTRY. */
void emit_to_mode(Image *image, uint32_t entry);
/* Loads the data segments, the task register and the LDT, and the stack pointer. */
void emit_segments(Image *image);
/* Handlers and what the guest executes. */
void make_code(Image *image);

/* tables-probes.c: accesses just inside and outside of what pages and segments allow */
void make_probe_tables(Image *image);
void make_probes(Image *image);
