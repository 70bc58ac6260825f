/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * A second opinion on paging, written from the SDM (volume 3, 4.3 to 4.8) and not from core/cpu:
 * what an access to a linear address comes to, by the tables as they are. No TLB, no speed.
 */

#include <stdbool.h>
#include <stdint.h>

/* Physical memory, SIZE 4 or 8. */
typedef struct {
    uint64_t (*read)(void *opaque, uint64_t physical, unsigned size);
    void (*write)(void *opaque, uint64_t physical, uint64_t value, unsigned size);
    void *opaque;
} ModelMemory;

typedef enum { MODEL_32_BIT, MODEL_PAE, MODEL_4_LEVEL } ModelForm;

/* The processor's part of it. */
typedef struct {
    ModelForm form;
    uint64_t cr3;
    uint64_t pdpte[4];         /* PAE: see model_load_pdptes() */
    bool wp;                   /* CR0 */
    bool pse, pge, smep, smap; /* CR4 */
    bool nxe;                  /* EFER */
    bool page_1g;              /* CPUID */
    unsigned physical_bits;    /* MAXPHYADDR, 36 to 40 */
} ModelProcessor;

typedef enum { MODEL_READ, MODEL_WRITE, MODEL_FETCH } ModelKind;

typedef struct {
    ModelKind kind;
    bool user;     /* CPL is 3 */
    bool implicit; /* the processor's own, as to a descriptor table: as supervisor at any CPL */
    bool ac;       /* EFLAGS */
} ModelAccess;

typedef struct {
    bool faults;
    uint32_t error; /* the page fault's */
    uint64_t physical;
    bool global;
    unsigned shift;     /* log2 of the page's size */
    uint64_t leaf;      /* where the entry is that maps the page */
    unsigned leaf_size; /* 4 or 8 */
} ModelResult;

/* Sets accessed and dirty bits as a translation does that does not fault. */
ModelResult model_access(const ModelProcessor *processor, const ModelMemory *memory,
                         uint64_t linear, ModelAccess access);
/* MOV CR3 of PAE paging (SDM 4.4.1): false for #GP. */
bool model_load_pdptes(ModelProcessor *processor, const ModelMemory *memory, uint64_t cr3);
