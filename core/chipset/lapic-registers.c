/* SPDX-License-Identifier: GPL-3.0-or-later */

/* How software reaches a local APIC's registers: the xAPIC page (SDM 3, 11.4.1) and the x2APIC MSRs
 * (11.12). */

#define G_LOG_DOMAIN "apiary-lapic"

#include "core/chipset/lapic-private.h"

enum {
    VERSION = 0x14 | (N_LVT - 1) << 16, /* integrated APIC, six LVT entries */
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC_FIRST = 0x800,
    MSR_X2APIC_LAST = 0x8ff,
    PAGE_SIZE = 0x1000,
};

/* Writable bits of the LVT entries (figure 11-8). */
static const uint32_t lvt_writable[N_LVT] = {
    [LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
    [LVT_THERMAL] = LVT_VECTOR | LVT_DELIVERY | LVT_MASKED,
    [LVT_PERF] = LVT_VECTOR | LVT_DELIVERY | LVT_MASKED,
    [LVT_LINT0] = LVT_VECTOR | LVT_DELIVERY | LVT_POLARITY | LVT_LEVEL | LVT_MASKED,
    [LVT_LINT1] = LVT_VECTOR | LVT_DELIVERY | LVT_POLARITY | LVT_LEVEL | LVT_MASKED,
    [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

/* --- registers common to both modes --------------------------------------------------------- */

/* False: there is no such register. */
static bool read_register(Lapic *apic, unsigned reg, uint32_t *value)
{
    switch (reg) {
    case REG_VERSION: *value = VERSION; break;
    case REG_TPR: *value = apic->tpr; break;
    case REG_PPR: *value = lapic_ppr(apic); break;
    case REG_SVR: *value = apic->svr; break;
    case REG_ISR ... REG_ISR + 7: *value = apic->isr[reg - REG_ISR]; break;
    case REG_TMR ... REG_TMR + 7: *value = apic->tmr[reg - REG_TMR]; break;
    case REG_IRR ... REG_IRR + 7: *value = apic->irr[reg - REG_IRR]; break;
    case REG_ESR: *value = apic->esr; break;
    case REG_LVT_TIMER ... REG_LVT_ERROR: *value = apic->lvt[reg - REG_LVT_TIMER]; break;
    case REG_INITIAL_COUNT: *value = apic->initial_count; break;
    case REG_CURRENT_COUNT: *value = lapic_timer_current(apic); break;
    case REG_DIVIDE: *value = apic->divide_config; break;
    default: *value = 0; return false;
    }
    return true;
}

static void write_lvt(Lapic *apic, int index, uint32_t value)
{
    uint32_t old = apic->lvt[index];
    uint32_t lvt = (value & lvt_writable[index]) | (old & LVT_REMOTE_IRR);

    if (!(apic->svr & SVR_ENABLE)) /* 11.4.7.2: the masks cannot be cleared while disabled */
        lvt |= LVT_MASKED;
    if (!(lvt & LVT_LEVEL))
        lvt &= ~LVT_REMOTE_IRR;
    if (index == LVT_TIMER) {
        unsigned mode = (lvt & LVT_TIMER_MODE) >> LVT_TIMER_MODE_SHIFT;
        if (mode == 3 || (mode == TIMER_TSC_DEADLINE && !apic->set->tsc_hz))
            lvt &= ~LVT_TIMER_MODE;
    }
    apic->lvt[index] = lvt;
    if (index == LVT_TIMER)
        lapic_timer_mode_changed(apic, old);
    if (index == LVT_LINT0 || index == LVT_LINT1)
        lapic_check_lint(apic, index, false);
}

static void write_svr(Lapic *apic, uint32_t value)
{
    apic->svr = value & (0xff | SVR_ENABLE | SVR_FOCUS_OFF);
    if (!(apic->svr & SVR_ENABLE)) {
        for (int i = 0; i < N_LVT; i++)
            apic->lvt[i] |= LVT_MASKED;
    }
    lapic_update(apic);
}

/* False: not there or read-only. */
static bool write_register(Lapic *apic, unsigned reg, uint32_t value)
{
    switch (reg) {
    case REG_TPR:
        apic->tpr = value;
        lapic_update(apic);
        return true;
    case REG_EOI: lapic_end_of_interrupt(apic); return true;
    case REG_SVR: write_svr(apic, value); return true;
    case REG_ESR: /* 11.5.3: a write latches what was collected */
        apic->esr = apic->esr_pending;
        apic->esr_pending = 0;
        return true;
    case REG_LVT_TIMER ... REG_LVT_ERROR: write_lvt(apic, reg - REG_LVT_TIMER, value); return true;
    case REG_INITIAL_COUNT: lapic_timer_set_initial(apic, value); return true;
    case REG_DIVIDE: lapic_timer_set_divide(apic, value); return true;
    default: return false;
    }
}

/* --- xAPIC ---------------------------------------------------------------------------------- */

static uint32_t xapic_read(Lapic *apic, unsigned reg)
{
    uint32_t value;

    switch (reg) {
    case REG_ID: return (uint32_t)apic->id << 24;
    case REG_APR: return lapic_apr(apic);
    case REG_LDR: return apic->ldr;
    case REG_DFR: return apic->dfr;
    case REG_ICR: return apic->icr;
    case REG_ICR2: return apic->icr2;
    case REG_RRD:
    case REG_EOI: return 0;
    default:
        if (!read_register(apic, reg, &value))
            lapic_error(apic, ESR_ILLEGAL_REGISTER);
        return value;
    }
}

static void xapic_write(Lapic *apic, unsigned reg, uint32_t value)
{
    switch (reg) {
    case REG_ID: apic->id = value >> 24; break;
    case REG_LDR: apic->ldr = value & 0xff000000; break;
    case REG_DFR: apic->dfr = value | 0x0fffffff; break;
    case REG_ICR:
        apic->icr = value & 0x000ccfff; /* delivery status is always idle */
        lapic_send_ipi(apic, apic->icr, apic->icr2 >> 24);
        break;
    case REG_ICR2: apic->icr2 = value & 0xff000000; break;
    case REG_APR:
    case REG_RRD:
    case REG_VERSION:
    case REG_PPR:
    case REG_CURRENT_COUNT:
    case REG_ISR ... REG_IRR + 7: break; /* read-only */
    default:
        if (!write_register(apic, reg, value))
            lapic_error(apic, ESR_ILLEGAL_REGISTER);
    }
}

/* Who sees the register page that starts at BASE: the accessing CPU, if its APIC is there. */
static Lapic *accessed(LapicSet *set, uint64_t base)
{
    unsigned cpu = set->ops->current_cpu(set->opaque);
    if (cpu >= set->n)
        return NULL;
    Lapic *apic = &set->apics[cpu];
    bool here =
        lapic_enabled(apic) && !lapic_is_x2apic(apic) && (apic->base & APIC_BASE_ADDRESS) == base;
    return here ? apic : NULL;
}

/* Registers are 32 bits wide on 16-byte boundaries; narrower reads get their part. */
static uint64_t page_read(Lapic *apic, unsigned offset, unsigned size)
{
    if (offset & 0xc)
        return 0;
    uint32_t value = xapic_read(apic, offset >> 4) >> (offset & 3) * 8;
    return size < 4 ? value & ((1u << size * 8) - 1) : value;
}

static void page_write(Lapic *apic, unsigned offset, uint64_t value, unsigned size)
{
    if (!(offset & 0xf) && size >= 4)
        xapic_write(apic, offset >> 4, value);
}

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    Lapic *apic = offset < PAGE_SIZE ? accessed(opaque, APIC_DEFAULT_BASE) : NULL;
    return apic ? page_read(apic, offset, size) : ~(uint64_t)0;
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    LapicSet *set = opaque;
    Lapic *apic = offset < PAGE_SIZE ? accessed(set, APIC_DEFAULT_BASE) : NULL;

    if (apic)
        page_write(apic, offset, value, size);
    else if (size == 4 && (offset >= PAGE_SIZE || set->ops->current_cpu(set->opaque) >= set->n))
        lapic_deliver_msi(set, APIC_DEFAULT_BASE + offset, value);
}

/* A window moved by IA32_APIC_BASE; OPAQUE is the Lapic that moved. Others see nothing there. */
static uint64_t moved_read(void *opaque, uint64_t offset, unsigned size)
{
    Lapic *owner = opaque, *apic = accessed(owner->set, owner->base & APIC_BASE_ADDRESS);
    return apic ? page_read(apic, offset, size) : ~(uint64_t)0;
}

static void moved_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Lapic *owner = opaque, *apic = accessed(owner->set, owner->base & APIC_BASE_ADDRESS);
    if (apic)
        page_write(apic, offset, value, size);
}

const MmioOps lapic_window_ops = {.read = window_read, .write = window_write};
static const MmioOps moved_ops = {.read = moved_read, .write = moved_write};

static void place_window(Lapic *apic)
{
    uint64_t address = apic->base & APIC_BASE_ADDRESS;
    bool is_moved = lapic_enabled(apic) && !lapic_is_x2apic(apic) && address != APIC_DEFAULT_BASE;

    if (is_moved) {
        if (!apic->moved)
            apic->moved = memory_region_new_mmio(apic->set->board->memory, "apic-moved", &moved_ops,
                                                 apic, PAGE_SIZE);
        memory_region_place(apic->moved, address, 101);
    } else if (apic->moved && memory_region_is_placed(apic->moved)) {
        memory_region_remove(apic->moved);
    }
}

/* --- x2APIC --------------------------------------------------------------------------------- */

static bool x2apic_read(Lapic *apic, unsigned reg, uint64_t *value)
{
    uint32_t low;

    switch (reg) {
    case REG_ID: *value = apic->cpu; return true;
    case REG_LDR: *value = lapic_x2apic_ldr(apic); return true;
    case REG_ICR: *value = (uint64_t)apic->icr2 << 32 | apic->icr; return true;
    default:
        if (!read_register(apic, reg, &low))
            return false;
        *value = low;
        return true;
    }
}

/* Table 11-6 and 11.12.1.3: reserved bits and misplaced writes are #GP. */
static bool x2apic_write(Lapic *apic, unsigned reg, uint64_t value)
{
    if (reg != REG_ICR && value >> 32)
        return false;
    switch (reg) {
    case REG_TPR:
        if (value >> 8)
            return false;
        break;
    case REG_EOI:
    case REG_ESR:
        if (value)
            return false;
        break;
    case REG_ICR:
        apic->icr = value & 0x000ccfff;
        apic->icr2 = value >> 32;
        lapic_send_ipi(apic, apic->icr, apic->icr2);
        return true;
    case REG_SELF_IPI:
        if (value >> 8)
            return false;
        lapic_send_ipi(apic, 1u << 18 | (uint32_t)value, 0);
        return true;
    default: break;
    }
    return write_register(apic, reg, value);
}

/* SDM 11.12.5, figure 11-28: which changes of mode exist. */
static bool write_apic_base(Lapic *apic, uint64_t value)
{
    uint64_t known = APIC_BASE_ADDRESS | APIC_BASE_BSP | APIC_BASE_EXTD | APIC_BASE_EN;
    bool enable = value & APIC_BASE_EN, x2apic = value & APIC_BASE_EXTD;

    if (value & ~known)
        return false;
    if (x2apic && !enable)
        return false;
    if (x2apic && !lapic_enabled(apic)) /* must pass through xAPIC mode */
        return false;
    if (lapic_is_x2apic(apic) && enable && !x2apic)
        return false;

    bool was_x2apic = lapic_is_x2apic(apic), was_enabled = lapic_enabled(apic);
    apic->base = (value & ~APIC_BASE_BSP) | (apic->base & APIC_BASE_BSP);
    if (was_enabled && !enable)
        lapic_reset_registers(apic);
    if (x2apic && !was_x2apic) /* 11.12.5.1: the ID becomes the 32-bit one, ICR high is cleared */
        apic->icr2 = 0;
    if (was_x2apic && !enable)
        apic->id = apic->cpu;
    place_window(apic);
    lapic_update(apic);
    return true;
}

bool lapic_read_msr(LapicSet *set, unsigned cpu, uint32_t msr, uint64_t *value)
{
    Lapic *apic = &set->apics[cpu];

    if (msr == MSR_APIC_BASE) {
        *value = apic->base;
        return true;
    }
    if (msr == MSR_TSC_DEADLINE && set->tsc_hz) {
        *value = lapic_timer_mode(apic) == TIMER_TSC_DEADLINE ? apic->tsc_deadline : 0;
        return true;
    }
    if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !lapic_is_x2apic(apic))
        return false;
    return x2apic_read(apic, msr - MSR_X2APIC_FIRST, value);
}

bool lapic_write_msr(LapicSet *set, unsigned cpu, uint32_t msr, uint64_t value)
{
    Lapic *apic = &set->apics[cpu];

    if (msr == MSR_APIC_BASE)
        return write_apic_base(apic, value);
    if (msr == MSR_TSC_DEADLINE && set->tsc_hz) {
        lapic_timer_set_deadline(apic, value);
        return true;
    }
    if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !lapic_is_x2apic(apic))
        return false;
    return x2apic_write(apic, msr - MSR_X2APIC_FIRST, value);
}
