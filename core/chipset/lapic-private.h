/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What lapic.c (priorities and delivery), lapic-registers.c (xAPIC and x2APIC access) and
 * lapic-timer.c share. */

#include "core/chipset/lapic.h"

#define APIC_DEFAULT_BASE 0xfee00000u
#define APIC_BASE_BSP     (1ull << 8)
#define APIC_BASE_EXTD    (1ull << 10)
#define APIC_BASE_EN      (1ull << 11)
#define APIC_BASE_ADDRESS 0x000ffffffffff000ull

/* Registers by number: MMIO offset / 16, MSR - 800h (table 11-6). */
enum {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_RRD = 0x0c,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR2 = 0x31,
    REG_LVT_TIMER = 0x32,
    REG_LVT_THERMAL = 0x33,
    REG_LVT_PERF = 0x34,
    REG_LVT_LINT0 = 0x35,
    REG_LVT_LINT1 = 0x36,
    REG_LVT_ERROR = 0x37,
    REG_INITIAL_COUNT = 0x38,
    REG_CURRENT_COUNT = 0x39,
    REG_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f,
};

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, N_LVT };

enum {
    LVT_VECTOR = 0xff,
    LVT_DELIVERY_SHIFT = 8,
    LVT_DELIVERY = 7 << 8,
    LVT_POLARITY = 1 << 13,
    LVT_REMOTE_IRR = 1 << 14,
    LVT_LEVEL = 1 << 15,
    LVT_MASKED = 1 << 16,
    LVT_TIMER_MODE_SHIFT = 17,
    LVT_TIMER_MODE = 3 << 17,
    SVR_ENABLE = 1 << 8,
    SVR_FOCUS_OFF = 1 << 9,
    ESR_SEND_ILLEGAL = 1 << 5,
    ESR_RECEIVE_ILLEGAL = 1 << 6,
    ESR_ILLEGAL_REGISTER = 1 << 7,
};

enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

typedef struct {
    LapicSet *set;
    unsigned cpu;
    uint64_t base; /* IA32_APIC_BASE */
    uint8_t id;    /* xAPIC ID register bits 24-31 */
    uint8_t tpr;
    uint32_t ldr, dfr, svr;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t esr, esr_pending; /* as read; collected since the last write */
    uint32_t icr, icr2;
    uint32_t lvt[N_LVT];
    bool extint_pending; /* an ExtINT message arrived from the I/O APIC */
    bool output;         /* INTR as last told */

    uint32_t initial_count;
    uint32_t divide_config;
    int64_t timer_start; /* ns: when initial_count was written */
    uint64_t timer_beat; /* periodic: number of the next expiry, from 1 */
    uint64_t tsc_deadline;
    ClockTimer *timer;

    MemoryRegion *moved; /* the registers' window when not at APIC_DEFAULT_BASE */
} Lapic;

struct LapicSet {
    Board *board;
    const LapicCpuOps *ops;
    void *opaque;
    uint64_t tsc_hz;
    I8259 *pic;
    void (*eoi)(void *opaque, uint8_t vector);
    void *eoi_opaque;
    MemoryRegion *window; /* FEE00000-FEEFFFFF */
    bool lint0, lint1;
    unsigned arbitration; /* the CPU to start from when lowest priority is a tie */
    unsigned n;
    Lapic *apics;
};

static inline bool lapic_enabled(const Lapic *apic)
{
    return apic->base & APIC_BASE_EN;
}

static inline bool lapic_is_x2apic(const Lapic *apic)
{
    return (apic->base & (APIC_BASE_EN | APIC_BASE_EXTD)) == (APIC_BASE_EN | APIC_BASE_EXTD);
}

static inline uint32_t lapic_x2apic_ldr(const Lapic *apic)
{
    return apic->cpu >> 4 << 16 | 1u << (apic->cpu & 15);
}

/* lapic.c */
void lapic_update(Lapic *apic); /* tells the CPU when its INTR changed */
bool lapic_accept(Lapic *apic, uint8_t vector, bool level); /* into IRR */
void lapic_local_interrupt(Lapic *apic, int lvt);
void lapic_check_lint(Lapic *apic, int lvt, bool rising);
void lapic_error(Lapic *apic, uint32_t esr_bit);
void lapic_end_of_interrupt(Lapic *apic);
void lapic_send_ipi(Lapic *apic, uint32_t icr, uint32_t destination);
void lapic_reset_registers(Lapic *apic);
uint8_t lapic_ppr(const Lapic *apic);
uint8_t lapic_apr(const Lapic *apic);

/* lapic-timer.c */
void lapic_timer_expired(void *opaque);
void lapic_timer_set_initial(Lapic *apic, uint32_t count);
void lapic_timer_set_divide(Lapic *apic, uint32_t value);
void lapic_timer_mode_changed(Lapic *apic, uint32_t old_lvt);
uint32_t lapic_timer_current(const Lapic *apic);
void lapic_timer_set_deadline(Lapic *apic, uint64_t tsc);
void lapic_timer_reset(Lapic *apic);
static inline unsigned lapic_timer_mode(const Lapic *apic)
{
    return (apic->lvt[LVT_TIMER] & LVT_TIMER_MODE) >> LVT_TIMER_MODE_SHIFT;
}

/* lapic-registers.c */
extern const MmioOps lapic_window_ops; /* opaque: LapicSet */
