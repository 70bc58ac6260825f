/* SPDX-License-Identifier: GPL-3.0-or-later */

#define G_LOG_DOMAIN "apiary-lapic"

#include "core/chipset/lapic-private.h"

enum { WINDOW_SIZE = 0x100000 };

static int highest_bit(const uint32_t bits[8])
{
    for (int i = 7; i >= 0; i--) {
        if (bits[i])
            return i * 32 + 31 - __builtin_clz(bits[i]);
    }
    return -1;
}

static bool get_bit(const uint32_t bits[8], uint8_t vector)
{
    return bits[vector >> 5] >> (vector & 31) & 1;
}

static void put_bit(uint32_t bits[8], uint8_t vector, bool value)
{
    uint32_t bit = 1u << (vector & 31);
    bits[vector >> 5] = value ? bits[vector >> 5] | bit : bits[vector >> 5] & ~bit;
}

/* --- priorities ----------------------------------------------------------------------------- */

/* SDM 11.8.3.1 */
uint8_t lapic_ppr(const Lapic *apic)
{
    int in_service = highest_bit(apic->isr);
    int class = in_service < 0 ? 0 : in_service & 0xf0;
    return (apic->tpr & 0xf0) >= class ? apic->tpr : class;
}

/* SDM 11.6.2.4 */
uint8_t lapic_apr(const Lapic *apic)
{
    int requested = MAX(highest_bit(apic->irr), 0) & 0xf0;
    int in_service = MAX(highest_bit(apic->isr), 0) & 0xf0;
    if ((apic->tpr & 0xf0) >= requested && (apic->tpr & 0xf0) > in_service)
        return apic->tpr;
    return MAX(MAX(apic->tpr & 0xf0, requested), in_service);
}

/* The vector the CPU would get, -1: none. */
static int deliverable(const Lapic *apic)
{
    if (!lapic_enabled(apic) || !(apic->svr & SVR_ENABLE))
        return -1;
    int vector = highest_bit(apic->irr);
    return vector >= 0 && (vector & 0xf0) > (lapic_ppr(apic) & 0xf0) ? vector : -1;
}

/* The 8259's INT reaches this CPU: directly when the APIC is off (11.4.3), or in ExtINT mode. */
static bool extint_deliverable(const Lapic *apic)
{
    uint32_t lint0 = apic->lvt[LVT_LINT0];

    if (apic->extint_pending)
        return true;
    if (!apic->set->lint0)
        return false;
    return !lapic_enabled(apic) ||
           (!(lint0 & LVT_MASKED) && (lint0 & LVT_DELIVERY) >> LVT_DELIVERY_SHIFT == LAPIC_EXTINT);
}

void lapic_update(Lapic *apic)
{
    bool output = deliverable(apic) >= 0 || extint_deliverable(apic);
    if (output == apic->output)
        return;
    apic->output = output;
    apic->set->ops->set_interrupt(apic->set->opaque, apic->cpu, output);
}

int lapic_acknowledge(LapicSet *set, unsigned cpu)
{
    Lapic *apic = &set->apics[cpu];
    int vector = deliverable(apic);

    if (vector >= 0) {
        put_bit(apic->irr, vector, false);
        put_bit(apic->isr, vector, true);
    } else if (extint_deliverable(apic) && set->pic && i8259_output(set->pic)) {
        apic->extint_pending = false;
        vector = i8259_acknowledge(set->pic);
    } else {
        apic->extint_pending = false;
    }
    lapic_update(apic);
    return vector;
}

uint8_t lapic_get_cr8(LapicSet *set, unsigned cpu)
{
    return set->apics[cpu].tpr >> 4;
}

void lapic_set_cr8(LapicSet *set, unsigned cpu, uint8_t value)
{
    set->apics[cpu].tpr = value << 4;
    lapic_update(&set->apics[cpu]);
}

/* --- receiving ------------------------------------------------------------------------------ */

void lapic_error(Lapic *apic, uint32_t esr_bit)
{
    bool is_new = !(apic->esr_pending & esr_bit);
    uint8_t vector = apic->lvt[LVT_ERROR] & LVT_VECTOR;

    apic->esr_pending |= esr_bit;
    /* An illegal error vector must not report itself. */
    if (is_new && vector >= 16)
        lapic_local_interrupt(apic, LVT_ERROR);
}

bool lapic_accept(Lapic *apic, uint8_t vector, bool level)
{
    if (!(apic->svr & SVR_ENABLE))
        return false;
    if (vector < 16) {
        lapic_error(apic, ESR_RECEIVE_ILLEGAL);
        return false;
    }
    put_bit(apic->irr, vector, true);
    put_bit(apic->tmr, vector, level);
    lapic_update(apic);
    return true;
}

/* An LVT entry's event, edge triggered (11.5.1). */
void lapic_local_interrupt(Lapic *apic, int index)
{
    const LapicCpuOps *ops = apic->set->ops;
    uint32_t lvt = apic->lvt[index];

    if (!lapic_enabled(apic) || (lvt & LVT_MASKED))
        return;
    unsigned delivery = (lvt & LVT_DELIVERY) >> LVT_DELIVERY_SHIFT;
    if (index == LVT_TIMER || index == LVT_ERROR)
        delivery = LAPIC_FIXED;
    switch (delivery) {
    case LAPIC_FIXED: lapic_accept(apic, lvt & LVT_VECTOR, false); break;
    case LAPIC_NMI: ops->nmi(apic->set->opaque, apic->cpu); break;
    case LAPIC_INIT: ops->init(apic->set->opaque, apic->cpu); break;
    case LAPIC_EXTINT: lapic_update(apic); break;
    default: break; /* SMI: there is no SMM */
    }
}

/* The pin behind an LVT changed, or the entry itself (RISING false). */
void lapic_check_lint(Lapic *apic, int index, bool rising)
{
    uint32_t *lvt = &apic->lvt[index];
    bool high = index == LVT_LINT0 ? apic->set->lint0 : apic->set->lint1;
    unsigned delivery = (*lvt & LVT_DELIVERY) >> LVT_DELIVERY_SHIFT;

    if (!lapic_enabled(apic)) {
        /* The pins are INTR and NMI then. */
        if (index == LVT_LINT1 && rising)
            apic->set->ops->nmi(apic->set->opaque, apic->cpu);
    } else if (index == LVT_LINT0 && delivery == LAPIC_FIXED && (*lvt & LVT_LEVEL)) {
        if (high && !(*lvt & (LVT_MASKED | LVT_REMOTE_IRR)) &&
            lapic_accept(apic, *lvt & LVT_VECTOR, true))
            *lvt |= LVT_REMOTE_IRR;
    } else if (rising) {
        lapic_local_interrupt(apic, index);
    }
    lapic_update(apic);
}

static void set_lint(LapicSet *set, int index, bool *state, bool level)
{
    bool rising = level && !*state;

    *state = level;
    for (unsigned i = 0; i < set->n; i++)
        lapic_check_lint(&set->apics[i], index, rising);
}

void lapic_set_lint0(void *opaque, int number, bool level)
{
    LapicSet *set = opaque;
    set_lint(set, LVT_LINT0, &set->lint0, level);
}

void lapic_set_lint1(void *opaque, int number, bool level)
{
    LapicSet *set = opaque;
    set_lint(set, LVT_LINT1, &set->lint1, level);
}

/* SDM 11.8.5 */
void lapic_end_of_interrupt(Lapic *apic)
{
    int vector = highest_bit(apic->isr);
    if (vector < 0)
        return;
    put_bit(apic->isr, vector, false);
    if (get_bit(apic->tmr, vector)) {
        uint32_t *lint0 = &apic->lvt[LVT_LINT0];
        if ((*lint0 & LVT_REMOTE_IRR) && (*lint0 & LVT_VECTOR) == (uint32_t)vector) {
            *lint0 &= ~LVT_REMOTE_IRR;
            lapic_check_lint(apic, LVT_LINT0, false);
        }
        if (apic->set->eoi)
            apic->set->eoi(apic->set->eoi_opaque, vector);
    }
    lapic_update(apic);
}

/* --- messages ------------------------------------------------------------------------------- */

/* SDM 11.6.2 and 11.12.10 */
static bool is_addressed(const Lapic *apic, const LapicMessage *message)
{
    uint32_t destination = message->destination;

    if (!lapic_enabled(apic))
        return false;
    if (destination == LAPIC_BROADCAST)
        return true;
    if (lapic_is_x2apic(apic)) {
        uint32_t ldr = lapic_x2apic_ldr(apic);
        if (!message->logical)
            return destination == apic->cpu;
        return destination >> 16 == ldr >> 16 && (destination & ldr & 0xffff);
    }
    if (destination > 0xff)
        return false;
    if (!message->logical)
        return destination == apic->id;
    uint8_t logical_id = apic->ldr >> 24;
    if (apic->dfr >> 28 == 0xf) /* flat */
        return destination & logical_id;
    return destination >> 4 == logical_id >> 4 && (destination & logical_id & 0xf);
}

static bool deliver_to(Lapic *apic, const LapicMessage *message)
{
    LapicSet *set = apic->set;

    switch (message->delivery) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST_PRIORITY: return lapic_accept(apic, message->vector, message->level);
    case LAPIC_NMI: set->ops->nmi(set->opaque, apic->cpu); return true;
    case LAPIC_INIT: set->ops->init(set->opaque, apic->cpu); return true;
    case LAPIC_SIPI: set->ops->sipi(set->opaque, apic->cpu, message->vector); return true;
    case LAPIC_EXTINT:
        apic->extint_pending = true;
        lapic_update(apic);
        return true;
    default: return true; /* SMI and reserved: taken, without effect */
    }
}

/* SDM 11.6.2.4: the addressed processor with the lowest priority; the chipset breaks ties in turn.
 */
static bool deliver_lowest(LapicSet *set, const LapicMessage *message)
{
    Lapic *best = NULL;

    for (unsigned i = 0; i < set->n; i++) {
        Lapic *apic = &set->apics[(set->arbitration + i) % set->n];
        if (!(apic->svr & SVR_ENABLE) || !is_addressed(apic, message))
            continue;
        if (!best || (lapic_ppr(apic) & 0xf0) < (lapic_ppr(best) & 0xf0))
            best = apic;
    }
    if (!best)
        return false;
    set->arbitration = (best->cpu + 1) % set->n;
    return deliver_to(best, message);
}

bool lapic_deliver(LapicSet *set, const LapicMessage *message)
{
    bool accepted = false;

    if (message->delivery == LAPIC_LOWEST_PRIORITY)
        return deliver_lowest(set, message);
    for (unsigned i = 0; i < set->n; i++) {
        if (is_addressed(&set->apics[i], message))
            accepted |= deliver_to(&set->apics[i], message);
    }
    return accepted;
}

/* SDM 11.11.1 and 11.11.2 */
void lapic_deliver_msi(LapicSet *set, uint64_t address, uint32_t data)
{
    uint8_t destination = address >> 12;
    LapicMessage message = {
        .destination = destination == 0xff ? LAPIC_BROADCAST : destination,
        .logical = address >> 2 & 1,
        .delivery = data >> 8 & 7,
        .vector = data,
        .level = data >> 15 & 1,
    };

    if (message.level && !(data >> 14 & 1))
        return; /* deassert */
    lapic_deliver(set, &message);
}

/* SDM 11.6.1: DESTINATION is 8 bits wide in xAPIC mode. */
void lapic_send_ipi(Lapic *apic, uint32_t icr, uint32_t destination)
{
    LapicSet *set = apic->set;
    bool assert = icr >> 14 & 1, level = icr >> 15 & 1;
    LapicMessage message = {
        .destination = destination,
        .logical = icr >> 11 & 1,
        .delivery = icr >> 8 & 7,
        .vector = icr,
    };

    if (!lapic_is_x2apic(apic) && destination == 0xff)
        message.destination = LAPIC_BROADCAST;
    if ((message.delivery == LAPIC_FIXED || message.delivery == LAPIC_LOWEST_PRIORITY) &&
        message.vector < 16) {
        lapic_error(apic, ESR_SEND_ILLEGAL);
        return;
    }
    if (message.delivery == LAPIC_INIT && level && !assert)
        return; /* INIT level de-assert only synchronised arbitration IDs */
    if (message.delivery == LAPIC_EXTINT)
        return; /* reserved in the ICR */

    switch (icr >> 18 & 3) {
    case 0: lapic_deliver(set, &message); break;
    case 1: deliver_to(apic, &message); break;
    default:
        for (unsigned i = 0; i < set->n; i++) {
            bool self = &set->apics[i] == apic;
            if (lapic_enabled(&set->apics[i]) && !(self && icr >> 18 & 1))
                deliver_to(&set->apics[i], &message);
        }
    }
}

void lapic_on_eoi(LapicSet *set, void (*func)(void *opaque, uint8_t vector), void *opaque)
{
    set->eoi = func;
    set->eoi_opaque = opaque;
}

void lapic_connect_pic(LapicSet *set, I8259 *pic)
{
    set->pic = pic;
}

/* --- life ----------------------------------------------------------------------------------- */

/* SDM 11.4.7.1: after power-up, and after INIT but for the ID. */
void lapic_reset_registers(Lapic *apic)
{
    lapic_timer_reset(apic);
    apic->tpr = 0;
    apic->ldr = 0;
    apic->dfr = 0xffffffff;
    apic->svr = 0xff;
    memset(apic->isr, 0, sizeof apic->isr);
    memset(apic->tmr, 0, sizeof apic->tmr);
    memset(apic->irr, 0, sizeof apic->irr);
    apic->esr = apic->esr_pending = 0;
    apic->icr = apic->icr2 = 0;
    for (int i = 0; i < N_LVT; i++)
        apic->lvt[i] = LVT_MASKED;
    apic->extint_pending = false;
}

/* INTR is told anew in any case: the CPU forgot it when it was reset. */
static void force_output(Lapic *apic)
{
    apic->output = false;
    apic->set->ops->set_interrupt(apic->set->opaque, apic->cpu, false);
    lapic_update(apic);
}

void lapic_init(LapicSet *set, unsigned cpu)
{
    Lapic *apic = &set->apics[cpu];

    lapic_reset_registers(apic);
    force_output(apic);
}

void lapic_set_reset(LapicSet *set)
{
    set->arbitration = 0;
    for (unsigned i = 0; i < set->n; i++) {
        Lapic *apic = &set->apics[i];
        apic->id = i;
        apic->base = APIC_DEFAULT_BASE | APIC_BASE_EN | (i == 0 ? APIC_BASE_BSP : 0);
        if (apic->moved && memory_region_is_placed(apic->moved))
            memory_region_remove(apic->moved);
        lapic_reset_registers(apic);
        /* The boot processor comes up in virtual wire mode (MultiProcessor Specification 3.6.2.2):
         * boot code that knows nothing of APICs gets the 8259's interrupts. */
        if (i == 0)
            apic->lvt[LVT_LINT0] = LAPIC_EXTINT << LVT_DELIVERY_SHIFT;
        force_output(apic);
    }
}

LapicSet *lapic_set_new(Board *board, const LapicCpuOps *ops, void *opaque, uint64_t tsc_hz)
{
    LapicSet *set = g_new0(LapicSet, 1);

    set->board = board;
    set->ops = ops;
    set->opaque = opaque;
    set->tsc_hz = ops->read_tsc ? tsc_hz : 0;
    set->n = MAX(board->n_cpus, 1);
    set->apics = g_new0(Lapic, set->n);
    for (unsigned i = 0; i < set->n; i++) {
        set->apics[i].set = set;
        set->apics[i].cpu = i;
        set->apics[i].timer = clock_timer_new(board->clock, lapic_timer_expired, &set->apics[i]);
    }
    set->window =
        memory_region_new_mmio(board->memory, "apic", &lapic_window_ops, set, WINDOW_SIZE);
    memory_region_place(set->window, APIC_DEFAULT_BASE, 100);
    lapic_set_reset(set);
    return set;
}

void lapic_set_free(LapicSet *set)
{
    if (!set)
        return;
    memory_region_remove(set->window);
    for (unsigned i = 0; i < set->n; i++) {
        clock_timer_free(set->apics[i].timer);
        if (set->apics[i].moved && memory_region_is_placed(set->apics[i].moved))
            memory_region_remove(set->apics[i].moved);
    }
    g_free(set->apics);
    g_free(set);
}

static void describe_bits(GString *out, const char *name, const uint32_t bits[8])
{
    g_string_append_printf(out, "%s\t", name);
    if (highest_bit(bits) < 0)
        g_string_append(out, " (none)");
    for (int i = 0; i < 256; i++) {
        if (get_bit(bits, i))
            g_string_append_printf(out, " %02x", i);
    }
    g_string_append_c(out, '\n');
}

void lapic_describe(LapicSet *set, unsigned cpu, GString *out)
{
    static const char *const names[N_LVT] = {"LVTT", "LVTTHMR", "LVTPC", "LVT0", "LVT1", "LVTERR"};
    if (cpu >= set->n)
        return;
    const Lapic *apic = &set->apics[cpu];

    g_string_append_printf(out, "dumping local APIC state for CPU %u\n\n", cpu);
    g_string_append_printf(out, "BASE\t %016" G_GINT64_MODIFIER "x %s\n", apic->base,
                           !lapic_enabled(apic)    ? "off"
                           : lapic_is_x2apic(apic) ? "x2APIC"
                                                   : "xAPIC");
    for (int i = 0; i < N_LVT; i++)
        g_string_append_printf(out, "%s\t %08x%s\n", names[i], apic->lvt[i],
                               apic->lvt[i] & LVT_MASKED ? " masked" : "");
    g_string_append_printf(
        out, "TIMER\t DCR=%x initial %u current %u deadline %" G_GUINT64_FORMAT "\n",
        apic->divide_config, apic->initial_count, lapic_timer_current(apic), apic->tsc_deadline);
    g_string_append_printf(out, "SPIV\t %08x APIC %s\n", apic->svr,
                           apic->svr & SVR_ENABLE ? "enabled" : "disabled");
    g_string_append_printf(out, "ICR\t %08x%08x\nESR\t %08x\n", apic->icr2, apic->icr, apic->esr);
    describe_bits(out, "ISR", apic->isr);
    describe_bits(out, "IRR", apic->irr);
    g_string_append_printf(out, "APR %02x TPR %02x PPR %02x DFR %08x LDR %08x\n", lapic_apr(apic),
                           apic->tpr, lapic_ppr(apic), apic->dfr,
                           lapic_is_x2apic(apic) ? lapic_x2apic_ldr(apic) : apic->ldr);
}
