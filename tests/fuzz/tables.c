/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/fuzz/tables-private.h"

/* --- random things ---------------------------------------------------------------------------- */

/* Mostly one of those that are described. */
uint16_t some_selector(Image *image)
{
    if (one_in(image, 8))
        return (uint16_t)any(image);
    uint32_t end = one_in(image, 4) ? GDT_END : EXECUTE_ONLY + 8;
    return (uint16_t)(below(image, end / 8) << 3 | (one_in(image, 2) ? below(image, 8) : 0));
}

uint32_t some_address(Image *image)
{
    static const uint32_t places[] = {
        0,          0x400,         BOOT,       POINTERS, GDT,        LDT,      IDT,
        TSS,        OTHER_TSS,     PML4,       PDPT,     PD,         PT,       PD_4,
        PT_4,       STACK,         HANDLERS,   DATA,     CODE,       0x1fffff, 0x200000,
        TABLES_ROM, TABLES_DEVICE, 0x7fffffff, 0xfffff,  0xffff0000, 0xffffff, 0x80000000};

    return one_in(image, 8) ? any(image)
                            : ONE_OF(image, places) + (one_in(image, 2) ? below(image, 4096) : 0);
}

/* --- memory ----------------------------------------------------------------------------------- */

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

void put_descriptor(Image *image, unsigned selector, uint32_t base, uint32_t limit,
                    uint16_t attributes)
{
    put(image, GDT + (selector & ~7u),
        (uint64_t)(base >> 24) << 56 | (uint64_t)(limit >> 16 & 15) << 48 |
            (uint64_t)attributes << 40 | (uint64_t)(base & 0xffffff) << 16 | (limit & 0xffff),
        8);
}

uint16_t code_selector(const Image *image)
{
    switch (image->kind) {
    case PROTECTED_16: return CODE16;
    case LONG_64: return CODE64;
    default: return CODE32;
    }
}

uint64_t gate(Image *image, uint16_t selector, uint32_t offset, unsigned type, unsigned dpl)
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

static unsigned handler_bits(const Image *image)
{
    return is_long(image) ? 64 : image->kind == REAL || image->kind == PROTECTED_16 ? 16 : 32;
}

void tables_generate(GRand *random, TablesStyle style, uint8_t *ram)
{
    static const Kind probed[] = {PROTECTED_32, PAGED_32, PAE_32, LONG_64, LONG_64, LONG_32};
    Image image = {.random = random, .ram = ram, .style = style};
    const uint8_t reset[] = {0xea, BOOT & 0xff, BOOT >> 8, 0, 0};
    bool probing = style == TABLES_PROBING;

    image.kind = probing ? ONE_OF(&image, probed) : below(&image, N_KINDS);
    image.user = probing && one_in(&image, 2);
    make_page_tables(&image);
    make_descriptors(&image);
    make_tasks(&image);
    if (probing)
        make_probe_tables(&image);
    else
        spoil(&image);
    emit_to_mode(&image, probing ? START : CODE);
    image.bits = handler_bits(&image);
    if (probing)
        make_probes(&image);
    else
        make_code(&image);
    /* The last 64 KiB show at the reset vector. */
    memcpy(ram + TABLES_RAM - 16, reset, sizeof reset);
}
