/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/chipset/aml.h"

#include <string.h>

/* Encodings of ACPI 6.4 section 20.3. */
enum {
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_DUAL_NAME = 0x2e,
    OP_MULTI_NAME = 0x2f,
    OP_EXTENDED = 0x5b,
    OP_ARG0 = 0x68,
    OP_STORE = 0x70,
    OP_AND = 0x7b,
    OP_OR = 0x7d,
    OP_NOTIFY = 0x86,
    OP_CREATE_DWORD_FIELD = 0x8a,
    OP_IF = 0xa0,
    OP_ELSE = 0xa1,
    OP_RETURN = 0xa4,
    /* after OP_EXTENDED */
    EXT_REGION = 0x80,
    EXT_FIELD = 0x81,
    EXT_DEVICE = 0x82,
};

/* Resource descriptor tags, section 6.4. */
enum {
    TAG_IRQ = 0x22, /* small, 2 bytes */
    TAG_DMA = 0x2a, /* small, 2 bytes */
    TAG_IO = 0x47,  /* small, 7 bytes */
    TAG_END = 0x79, /* small, 1 byte: checksum, 0 is always right */
    TAG_MEMORY32_FIXED = 0x86,
    TAG_DWORD_SPACE = 0x87,
    TAG_WORD_SPACE = 0x88,
    TAG_INTERRUPTS = 0x89,
};

enum { SPACE_MEMORY, SPACE_IO, SPACE_BUS };
/* General flags of an address space descriptor: both ends fixed, positive decode, producer. */
#define SPACE_FIXED_PRODUCER 0x0c

typedef enum {
    FORM_PLAIN,     /* bytes as they are */
    FORM_SIZED,     /* opcode, PkgLength, bytes */
    FORM_BUFFER,    /* opcode, PkgLength, BufferSize, bytes */
    FORM_PACKAGE,   /* opcode, PkgLength, NumElements, bytes */
    FORM_RESOURCES, /* FORM_BUFFER with an end tag */
} Form;

struct Aml {
    Form form;
    uint8_t opcode[2];
    uint8_t opcode_length;
    unsigned n_elements;
    GByteArray *bytes;
};

/* --- bytes ---------------------------------------------------------------------------------- */

static void put8(Aml *term, uint8_t value)
{
    g_byte_array_append(term->bytes, &value, 1);
}

static void put16(Aml *term, uint16_t value)
{
    put8(term, value);
    put8(term, value >> 8);
}

static void put32(Aml *term, uint32_t value)
{
    put16(term, value);
    put16(term, value >> 16);
}

static Aml *new_term(Form form)
{
    Aml *term = g_new0(Aml, 1);

    term->form = form;
    term->bytes = g_byte_array_new();
    return term;
}

static Aml *new_plain(uint8_t opcode)
{
    Aml *term = new_term(FORM_PLAIN);

    put8(term, opcode);
    return term;
}

static Aml *new_sized(Form form, uint8_t opcode)
{
    Aml *term = new_term(form);

    term->opcode[0] = opcode;
    term->opcode_length = 1;
    return term;
}

static Aml *new_extended(uint8_t opcode)
{
    Aml *term = new_sized(FORM_SIZED, OP_EXTENDED);

    term->opcode[1] = opcode;
    term->opcode_length = 2;
    return term;
}

static void put_segment(Aml *term, const char *segment, size_t length)
{
    g_assert(length >= 1 && length <= 4);
    for (size_t i = 0; i < 4; i++)
        put8(term, i < length ? segment[i] : '_');
}

/* NameString, section 20.2.2. */
static void put_name(Aml *term, const char *name)
{
    g_auto(GStrv) segments = NULL;
    unsigned count;

    for (; *name == '\\' || *name == '^'; name++)
        put8(term, *name);
    segments = g_strsplit(name, ".", -1);
    count = g_strv_length(segments);
    if (count == 0)
        put8(term, OP_ZERO); /* NullName: "\" alone */
    else if (count == 2)
        put8(term, OP_DUAL_NAME);
    else if (count > 2) {
        put8(term, OP_MULTI_NAME);
        put8(term, count);
    }
    for (unsigned i = 0; i < count; i++)
        put_segment(term, segments[i], strlen(segments[i]));
}

/* PkgLength, section 20.2.4, of LENGTH bytes; EXTRA: counts its own bytes. */
static void put_package_length(GByteArray *out, size_t length, bool counts_itself)
{
    unsigned extra = 0; /* bytes after the first */
    uint8_t byte;

    while (length + (counts_itself ? extra + 1 : 0) >= (extra ? 1u << (4 + 8 * extra) : 1u << 6))
        extra++;
    g_assert(extra <= 3);
    if (counts_itself)
        length += extra + 1;
    byte = extra ? extra << 6 | (length & 0x0f) : length;
    g_byte_array_append(out, &byte, 1);
    for (unsigned i = 0; i < extra; i++) {
        byte = length >> (4 + 8 * i);
        g_byte_array_append(out, &byte, 1);
    }
}

static void free_term(Aml *term)
{
    g_byte_array_unref(term->bytes);
    g_free(term);
}

/* Appends the whole of TERM to OUT. */
static void encode(Aml *term, GByteArray *out)
{
    g_autoptr(GByteArray) head = g_byte_array_new();

    if (term->form == FORM_RESOURCES) {
        put8(term, TAG_END);
        put8(term, 0);
    }
    if (term->form == FORM_BUFFER || term->form == FORM_RESOURCES) {
        Aml *size = aml_integer(term->bytes->len);

        encode(size, head);
        free_term(size);
    } else if (term->form == FORM_PACKAGE) {
        uint8_t count = term->n_elements;

        g_assert(term->n_elements <= 255);
        g_byte_array_append(head, &count, 1);
    }
    g_byte_array_append(out, term->opcode, term->opcode_length);
    if (term->form != FORM_PLAIN)
        put_package_length(out, head->len + term->bytes->len, true);
    g_byte_array_append(out, head->data, head->len);
    g_byte_array_append(out, term->bytes->data, term->bytes->len);
}

void aml_add(Aml *parent, Aml *child)
{
    encode(child, parent->bytes);
    parent->n_elements++;
    free_term(child);
}

GByteArray *aml_finish(Aml *term)
{
    GByteArray *out = g_byte_array_new();

    encode(term, out);
    free_term(term);
    return out;
}

Aml *aml_term_list(void)
{
    return new_term(FORM_PLAIN);
}

/* --- data ----------------------------------------------------------------------------------- */

Aml *aml_integer(uint64_t value)
{
    Aml *term = new_term(FORM_PLAIN);

    if (value <= 1) {
        put8(term, value ? OP_ONE : OP_ZERO);
    } else if (value <= 0xff) {
        put8(term, OP_BYTE);
        put8(term, value);
    } else if (value <= 0xffff) {
        put8(term, OP_WORD);
        put16(term, value);
    } else if (value <= 0xffffffff) {
        put8(term, OP_DWORD);
        put32(term, value);
    } else {
        put8(term, OP_QWORD);
        put32(term, value);
        put32(term, value >> 32);
    }
    return term;
}

Aml *aml_string(const char *text)
{
    Aml *term = new_plain(OP_STRING);

    g_byte_array_append(term->bytes, (const uint8_t *)text, strlen(text) + 1);
    return term;
}

Aml *aml_buffer(const void *data, size_t length)
{
    Aml *term = new_sized(FORM_BUFFER, OP_BUFFER);

    g_byte_array_append(term->bytes, data, length);
    return term;
}

Aml *aml_package(void)
{
    return new_sized(FORM_PACKAGE, OP_PACKAGE);
}

/* Three letters of 5 bits and four hexadecimal digits, big endian (section 19.6.37). */
Aml *aml_eisa_id(const char *id)
{
    uint32_t value;

    g_assert(strlen(id) == 7);
    value = (id[0] - 0x40) << 26 | (id[1] - 0x40) << 21 | (id[2] - 0x40) << 16;
    for (int i = 0; i < 4; i++)
        value |= g_ascii_xdigit_value(id[3 + i]) << (12 - 4 * i);
    return aml_integer(GUINT32_SWAP_LE_BE(value));
}

Aml *aml_reference(const char *name)
{
    Aml *term = new_term(FORM_PLAIN);

    put_name(term, name);
    return term;
}

Aml *aml_arg(int number)
{
    return new_plain(OP_ARG0 + number);
}

/* --- named objects -------------------------------------------------------------------------- */

Aml *aml_name(const char *name, Aml *value)
{
    Aml *term = new_plain(OP_NAME);

    put_name(term, name);
    aml_add(term, value);
    return term;
}

Aml *aml_scope(const char *name)
{
    Aml *term = new_sized(FORM_SIZED, OP_SCOPE);

    put_name(term, name);
    return term;
}

Aml *aml_device(const char *name)
{
    Aml *term = new_extended(EXT_DEVICE);

    put_name(term, name);
    return term;
}

Aml *aml_method(const char *name, int n_args, bool serialized)
{
    Aml *term = new_sized(FORM_SIZED, OP_METHOD);

    put_name(term, name);
    put8(term, n_args | (serialized ? 1 << 3 : 0));
    return term;
}

Aml *aml_operation_region(const char *name, AmlSpace space, uint32_t offset, uint32_t length)
{
    Aml *term = new_plain(OP_EXTENDED);

    put8(term, EXT_REGION);
    put_name(term, name);
    put8(term, space);
    aml_add(term, aml_integer(offset));
    aml_add(term, aml_integer(length));
    return term;
}

Aml *aml_field(const char *region, AmlAccess access)
{
    Aml *term = new_extended(EXT_FIELD);

    put_name(term, region);
    put8(term, access);
    return term;
}

void aml_field_add(Aml *field, const char *name, unsigned bits)
{
    if (name)
        put_segment(field, name, strlen(name));
    else
        put8(field, 0x00); /* ReservedField */
    put_package_length(field->bytes, bits, false);
}

/* --- statements and expressions ------------------------------------------------------------- */

Aml *aml_return(Aml *value)
{
    Aml *term = new_plain(OP_RETURN);

    aml_add(term, value);
    return term;
}

Aml *aml_store(Aml *value, Aml *target)
{
    Aml *term = new_plain(OP_STORE);

    aml_add(term, value);
    aml_add(term, target);
    return term;
}

Aml *aml_if(Aml *predicate)
{
    Aml *term = new_sized(FORM_SIZED, OP_IF);

    aml_add(term, predicate);
    return term;
}

Aml *aml_else(void)
{
    return new_sized(FORM_SIZED, OP_ELSE);
}

static Aml *binary(uint8_t opcode, Aml *a, Aml *b, Aml *target)
{
    Aml *term = new_plain(opcode);

    aml_add(term, a);
    aml_add(term, b);
    if (target)
        aml_add(term, target);
    else
        put8(term, OP_ZERO); /* NullName */
    return term;
}

Aml *aml_and(Aml *a, Aml *b, Aml *target)
{
    return binary(OP_AND, a, b, target);
}

Aml *aml_or(Aml *a, Aml *b, Aml *target)
{
    return binary(OP_OR, a, b, target);
}

Aml *aml_create_dword_field(Aml *buffer, uint32_t byte_index, const char *name)
{
    Aml *term = new_plain(OP_CREATE_DWORD_FIELD);

    aml_add(term, buffer);
    aml_add(term, aml_integer(byte_index));
    put_name(term, name);
    return term;
}

Aml *aml_notify(Aml *object, uint8_t value)
{
    Aml *term = new_plain(OP_NOTIFY);

    aml_add(term, object);
    aml_add(term, aml_integer(value));
    return term;
}

/* --- resource descriptors ------------------------------------------------------------------- */

Aml *aml_resources(void)
{
    return new_sized(FORM_RESOURCES, OP_BUFFER);
}

/* Section 6.4.2.5. */
Aml *aml_io(uint16_t base, uint8_t length)
{
    Aml *term = new_plain(TAG_IO);

    put8(term, 1); /* decodes 16 bits */
    put16(term, base);
    put16(term, base);
    put8(term, 1); /* alignment */
    put8(term, length);
    return term;
}

/* Section 6.4.2.1, without the flags byte. */
Aml *aml_irq(uint8_t irq)
{
    Aml *term = new_plain(TAG_IRQ);

    put16(term, 1 << irq);
    return term;
}

/* Section 6.4.2.2. */
Aml *aml_dma(uint8_t channel)
{
    Aml *term = new_plain(TAG_DMA);

    put8(term, 1 << channel);
    put8(term, 0);
    return term;
}

/* Section 6.4.3.4. */
Aml *aml_memory32_fixed(uint32_t base, uint32_t length, bool writable)
{
    Aml *term = new_plain(TAG_MEMORY32_FIXED);

    put16(term, 9);
    put8(term, writable);
    put32(term, base);
    put32(term, length);
    return term;
}

/* Section 6.4.3.6. */
Aml *aml_interrupts(const uint32_t *gsis, unsigned count)
{
    enum { CONSUMER = 1 << 0, SHARED = 1 << 3 };
    Aml *term = new_plain(TAG_INTERRUPTS);

    put16(term, 2 + 4 * count);
    put8(term, CONSUMER | SHARED);
    put8(term, count);
    for (unsigned i = 0; i < count; i++)
        put32(term, gsis[i]);
    return term;
}

/* Section 6.4.3.5.3. */
static Aml *word_space(uint8_t type, uint8_t type_flags, uint16_t first, uint16_t last)
{
    Aml *term = new_plain(TAG_WORD_SPACE);

    put16(term, 13);
    put8(term, type);
    put8(term, SPACE_FIXED_PRODUCER);
    put8(term, type_flags);
    put16(term, 0); /* granularity */
    put16(term, first);
    put16(term, last);
    put16(term, 0); /* translation */
    put16(term, last - first + 1);
    return term;
}

Aml *aml_bus_range(uint16_t first, uint16_t last)
{
    return word_space(SPACE_BUS, 0, first, last);
}

Aml *aml_io_range(uint16_t first, uint16_t last)
{
    return word_space(SPACE_IO, 3 /* ISA and non-ISA addresses */, first, last);
}

/* Section 6.4.3.5.2. */
Aml *aml_memory_range(uint32_t first, uint32_t last, bool cacheable)
{
    Aml *term = new_plain(TAG_DWORD_SPACE);

    put16(term, 23);
    put8(term, SPACE_MEMORY);
    put8(term, SPACE_FIXED_PRODUCER);
    put8(term, 1 | (cacheable ? 1 << 1 : 0)); /* read-write */
    put32(term, 0);
    put32(term, first);
    put32(term, last);
    put32(term, 0);
    put32(term, last - first + 1);
    return term;
}
