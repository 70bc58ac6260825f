/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * A builder for ACPI Machine Language, ACPI 6.4 chapter 20 (terms) and section 6.4 (resource
 * descriptors). Terms are made bottom up: every constructor returns a new term, aml_add() puts it
 * into another one and takes it over. Arguments of type Aml* are taken over too.
 *
 * Names are ASL's: "\\_SB.PCI0", "^LNKA", "_CRS"; segments shorter than four letters are padded.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Aml Aml;

Aml *aml_term_list(void); /* terms one after another: the body of a table */
void aml_add(Aml *parent, Aml *child);
/* The encoding of TERM, which is freed. */
GByteArray *aml_finish(Aml *term);

/* --- data --- */
Aml *aml_integer(uint64_t value);
Aml *aml_string(const char *text);
Aml *aml_buffer(const void *data, size_t length);
Aml *aml_package(void);           /* elements by aml_add(), up to 255 */
Aml *aml_eisa_id(const char *id); /* "PNP0A03" */
Aml *aml_reference(const char *name);
Aml *aml_arg(int number); /* 0-6 */

/* --- named objects --- */
Aml *aml_name(const char *name, Aml *value);
Aml *aml_scope(const char *name);
Aml *aml_device(const char *name);
Aml *aml_method(const char *name, int n_args, bool serialized);
typedef enum { AML_SYSTEM_MEMORY, AML_SYSTEM_IO, AML_PCI_CONFIG } AmlSpace;
Aml *aml_operation_region(const char *name, AmlSpace space, uint32_t offset, uint32_t length);
typedef enum { AML_ANY_ACCESS, AML_BYTE_ACCESS, AML_WORD_ACCESS, AML_DWORD_ACCESS } AmlAccess;
Aml *aml_field(const char *region, AmlAccess access);            /* NoLock, Preserve */
void aml_field_add(Aml *field, const char *name, unsigned bits); /* NAME NULL: skip BITS */

/* --- statements and expressions --- */
Aml *aml_return(Aml *value);
Aml *aml_store(Aml *value, Aml *target);
Aml *aml_if(Aml *predicate);
Aml *aml_else(void);                       /* right after its aml_if() */
Aml *aml_and(Aml *a, Aml *b, Aml *target); /* TARGET may be NULL */
Aml *aml_or(Aml *a, Aml *b, Aml *target);
Aml *aml_create_dword_field(Aml *buffer, uint32_t byte_index, const char *name);
Aml *aml_notify(Aml *object, uint8_t value);

/* --- resource templates: aml_add() descriptors to aml_resources() --- */
Aml *aml_resources(void);
Aml *aml_io(uint16_t base, uint8_t length); /* fixed, 16-bit decode */
Aml *aml_irq(uint8_t irq);                  /* edge, active high, exclusive */
Aml *aml_dma(uint8_t channel);              /* compatibility, not bus master, 8 bits */
Aml *aml_memory32_fixed(uint32_t base, uint32_t length, bool writable);
/* Extended interrupt descriptor: level triggered, active high, shared consumer. */
Aml *aml_interrupts(const uint32_t *gsis, unsigned count);
/* Where the first interrupt number stands in a template that starts with aml_interrupts(). */
#define AML_INTERRUPT_NUMBER_OFFSET 5
/* What a bridge passes on: [first, last], no translation. */
Aml *aml_bus_range(uint16_t first, uint16_t last);
Aml *aml_io_range(uint16_t first, uint16_t last);
Aml *aml_memory_range(uint32_t first, uint32_t last, bool cacheable);
