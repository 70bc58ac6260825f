/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/core/cpu/paging-model.h"

#define BIT(N)          (1ull << (N))
/* From LOW to HIGH, both included. */
#define BITS(HIGH, LOW) (((BIT((HIGH) - (LOW)) << 1) - 1) << (LOW))

/* Bits of the structures' entries, tables 4-4 to 4-19. */
enum { PRESENT = 0, READ_WRITE = 1, USER = 2, ACCESSED = 5, DIRTY = 6, PAGE_SIZE = 7, GLOBAL = 8 };
enum { EXECUTE_DISABLE = 63 };

/* What the entries of a translation say together. */
typedef struct {
    uint64_t address[4], value[4];
    unsigned n, size; /* entries; bytes of each */
    unsigned shift;   /* of the page */
    uint64_t page;    /* its physical address */
} Translation;

typedef enum { FOUND, NOT_PRESENT, RESERVED } Outcome;

/* Reads the entry at ADDRESS. */
static Outcome use_entry(Translation *t, const ModelMemory *memory, uint64_t address,
                         uint64_t *value)
{
    *value = memory->read(memory->opaque, address, t->size);
    t->address[t->n] = address;
    t->value[t->n++] = *value;
    return *value & BIT(PRESENT) ? FOUND : NOT_PRESENT;
}

/* 4.3 */
static Outcome translate_32_bit(const ModelProcessor *p, const ModelMemory *memory, uint64_t linear,
                                Translation *t)
{
    uint64_t entry;

    t->size = 4;
    if (use_entry(t, memory, (p->cr3 & BITS(31, 12)) | (linear >> 22 & 0x3ff) << 2, &entry))
        return NOT_PRESENT;
    if (p->pse && entry & BIT(PAGE_SIZE)) {
        /* Bits 20:13 hold bits 39:32 of the address, as far as MAXPHYADDR goes. */
        if (entry & BITS(21, p->physical_bits - 19))
            return RESERVED;
        t->shift = 22;
        t->page = (entry & BITS(31, 22)) | (entry & BITS(20, 13)) << 19;
        return FOUND;
    }
    if (use_entry(t, memory, (entry & BITS(31, 12)) | (linear >> 12 & 0x3ff) << 2, &entry))
        return NOT_PRESENT;
    t->shift = 12;
    t->page = entry & BITS(31, 12);
    return FOUND;
}

/* What is reserved in every 8-byte entry that is present. */
static uint64_t always_reserved(const ModelProcessor *p)
{
    uint64_t top = p->form == MODEL_PAE ? BITS(62, p->physical_bits) : BITS(51, p->physical_bits);

    return top | (p->nxe ? 0 : BIT(EXECUTE_DISABLE));
}

/* The tables at TABLE and below, of which an entry covers 2^SHIFT bytes: 4.4.2 from the page
 * directory on, 4.5 from the PML4 table on. */
static Outcome translate_8_byte(const ModelProcessor *p, const ModelMemory *memory, uint64_t linear,
                                uint64_t table, unsigned shift, Translation *t)
{
    uint64_t frame = BITS(p->physical_bits - 1, 12), entry;

    t->size = 8;
    if (use_entry(t, memory, (table & frame) | (linear >> shift & 0x1ff) << 3, &entry))
        return NOT_PRESENT;
    if (entry & always_reserved(p))
        return RESERVED;
    if (shift == 12) {
        t->shift = 12;
        t->page = entry & frame;
        return FOUND;
    }
    if (!(entry & BIT(PAGE_SIZE)))
        return translate_8_byte(p, memory, linear, entry, shift - 9, t);
    if (shift == 39 || (shift == 30 && !p->page_1g) || entry & BITS(shift - 1, 13))
        return RESERVED;
    t->shift = shift;
    t->page = entry & frame & ~BITS(shift - 1, 12);
    return FOUND;
}

static Outcome translate(const ModelProcessor *p, const ModelMemory *memory, uint64_t linear,
                         Translation *t)
{
    uint64_t pdpte;

    t->n = 0;
    switch (p->form) {
    case MODEL_32_BIT: return translate_32_bit(p, memory, linear, t);
    case MODEL_PAE:
        pdpte = p->pdpte[linear >> 30 & 3];
        return pdpte & BIT(PRESENT) ? translate_8_byte(p, memory, linear, pdpte, 21, t)
                                    : NOT_PRESENT;
    default: return translate_8_byte(p, memory, linear, p->cr3, 39, t);
    }
}

/* In every entry. */
static bool all_have(const Translation *t, unsigned bit)
{
    for (unsigned i = 0; i < t->n; i++)
        if (!(t->value[i] & BIT(bit)))
            return false;
    return true;
}

static bool any_has(const Translation *t, unsigned bit)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->value[i] & BIT(bit))
            return true;
    return false;
}

/* 4.6.1 */
static bool is_allowed(const ModelProcessor *p, const Translation *t, ModelAccess access)
{
    bool supervisor_access = !access.user || access.implicit;
    bool user_address = all_have(t, USER), writable = all_have(t, READ_WRITE);
    bool disabled = p->form != MODEL_32_BIT && p->nxe && any_has(t, EXECUTE_DISABLE);

    if (!supervisor_access)
        return user_address &&
               (access.kind == MODEL_READ || (access.kind == MODEL_WRITE && writable) ||
                (access.kind == MODEL_FETCH && !disabled));
    if (access.kind == MODEL_FETCH)
        return !disabled && !(user_address && p->smep);
    if (user_address && p->smap && (access.implicit || !access.ac))
        return false;
    return access.kind == MODEL_READ || !p->wp || writable;
}

/* 4.7 */
static uint32_t error_code(const ModelProcessor *p, Outcome outcome, ModelAccess access)
{
    bool has_fetch_bit = p->smep || (p->form != MODEL_32_BIT && p->nxe);

    return (outcome != NOT_PRESENT ? BIT(0) : 0) | (access.kind == MODEL_WRITE ? BIT(1) : 0) |
           (access.user && !access.implicit ? BIT(2) : 0) | (outcome == RESERVED ? BIT(3) : 0) |
           (access.kind == MODEL_FETCH && has_fetch_bit ? BIT(4) : 0);
}

/* 4.8 */
static void set_flags(const Translation *t, const ModelMemory *memory, bool write)
{
    for (unsigned i = 0; i < t->n; i++) {
        bool leaf = i == t->n - 1;
        uint64_t value = t->value[i] | BIT(ACCESSED) | (leaf && write ? BIT(DIRTY) : 0);
        if (value != t->value[i])
            memory->write(memory->opaque, t->address[i], value, t->size);
    }
}

ModelResult model_access(const ModelProcessor *processor, const ModelMemory *memory,
                         uint64_t linear, ModelAccess access)
{
    Translation t;
    Outcome outcome = translate(processor, memory, linear, &t);

    if (outcome != FOUND || !is_allowed(processor, &t, access))
        return (ModelResult){.faults = true, .error = error_code(processor, outcome, access)};
    set_flags(&t, memory, access.kind == MODEL_WRITE);
    uint64_t leaf = t.value[t.n - 1];
    return (ModelResult){.physical = t.page | (linear & BITS(t.shift - 1, 0)),
                         .global = processor->pge && leaf & BIT(GLOBAL),
                         .shift = t.shift,
                         .leaf = t.address[t.n - 1],
                         .leaf_size = t.size};
}

bool model_load_pdptes(ModelProcessor *processor, const ModelMemory *memory, uint64_t cr3)
{
    uint64_t reserved = BITS(2, 1) | BITS(8, 5) | BITS(63, processor->physical_bits), pdpte[4];

    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = memory->read(memory->opaque, (cr3 & BITS(31, 5)) + i * 8, 8);
        if (pdpte[i] & BIT(PRESENT) && pdpte[i] & reserved)
            return false;
    }
    for (unsigned i = 0; i < 4; i++)
        processor->pdpte[i] = pdpte[i];
    return true;
}
