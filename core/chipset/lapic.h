/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The local APICs of all CPUs (SDM 3, chapter 11 "Advanced Programmable Interrupt Controller";
 * section numbers below are those of the 2023 edition, where older ones say chapter 10). xAPIC
 * registers at FEE00000 and x2APIC MSRs. CPUs are named by their index; the APIC ID of CPU n is n.
 *
 * Board lock held in every call.
 */

#include "core/chipset/i8259.h"

typedef struct LapicSet LapicSet;

#define LAPIC_NO_CPU    (~0u)
#define LAPIC_BROADCAST (~0u)

/* What the APICs do to the CPUs, and what they need to know of them. */
typedef struct {
    void (*set_interrupt)(void *opaque, unsigned cpu, bool level); /* INTR, a level */
    void (*nmi)(void *opaque, unsigned cpu);
    void (*init)(void *opaque, unsigned cpu); /* answer with lapic_init() on the CPU's thread */
    void (*sipi)(void *opaque, unsigned cpu, uint8_t vector);
    unsigned (*current_cpu)(void *opaque); /* the CPU whose access this is, or LAPIC_NO_CPU */
    uint64_t (*read_tsc)(void *opaque, unsigned cpu); /* as RDTSC would read now; may be NULL */
} LapicCpuOps;

/* Delivery modes (SDM 11.6.1). */
enum {
    LAPIC_FIXED,
    LAPIC_LOWEST_PRIORITY,
    LAPIC_SMI,
    LAPIC_NMI = 4,
    LAPIC_INIT,
    LAPIC_SIPI,
    LAPIC_EXTINT,
};

typedef struct {
    uint32_t destination; /* LAPIC_BROADCAST: everyone; an 8-bit FFh must be widened to it */
    bool logical;         /* destination mode */
    uint8_t delivery;     /* LAPIC_FIXED ... */
    uint8_t vector;
    bool level; /* trigger mode */
} LapicMessage;

/* TSC_HZ 0: no TSC deadline mode. */
LapicSet *lapic_set_new(Board *board, const LapicCpuOps *ops, void *opaque, uint64_t tsc_hz);
void lapic_set_free(LapicSet *set);
void lapic_set_reset(LapicSet *set); /* power-on, all CPUs */
/* INIT reached CPU: everything but the ID and IA32_APIC_BASE is reset (11.4.7.3). */
void lapic_init(LapicSet *set, unsigned cpu);

/* True when at least one APIC took it. */
bool lapic_deliver(LapicSet *set, const LapicMessage *message);
/* A message signalled interrupt: a device's write to FEExxxxx (11.11). */
void lapic_deliver_msi(LapicSet *set, uint64_t address, uint32_t data);
/* FUNC hears the vector of every EOI of a level-triggered interrupt. */
void lapic_on_eoi(LapicSet *set, void (*func)(void *opaque, uint8_t vector), void *opaque);

/* Who answers ExtINT acknowledges. */
void lapic_connect_pic(LapicSet *set, I8259 *pic);
/* IrqFuncs; OPAQUE is the LapicSet. LINT0 of all CPUs is the 8259's INT, LINT1 is the board's NMI.
 */
void lapic_set_lint0(void *opaque, int number, bool level);
void lapic_set_lint1(void *opaque, int number, bool level);

/* The CPU's side: see CpuBoardOps. acknowledge returns -1 when nothing is deliverable any more. */
int lapic_acknowledge(LapicSet *set, unsigned cpu);
uint8_t lapic_get_cr8(LapicSet *set, unsigned cpu);
void lapic_set_cr8(LapicSet *set, unsigned cpu, uint8_t value);
/* IA32_APIC_BASE (1Bh), IA32_TSC_DEADLINE (6E0h), x2APIC (800h-8FFh). False: #GP. */
bool lapic_read_msr(LapicSet *set, unsigned cpu, uint32_t msr, uint64_t *value);
bool lapic_write_msr(LapicSet *set, unsigned cpu, uint32_t msr, uint64_t value);
/* The guest's TSC was changed (WRMSR to TSC or TSC_ADJUST): re-aims the deadline timer. */
void lapic_tsc_changed(LapicSet *set, unsigned cpu);

/* CpuBoardOps' timer_borrow and timer_give_back. */
int64_t lapic_timer_borrow(LapicSet *set, unsigned cpu);
void lapic_timer_give_back(LapicSet *set, unsigned cpu);

void lapic_describe(LapicSet *set, unsigned cpu, GString *out); /* `info lapic` */
