/* SPDX-License-Identifier: GPL-3.0-or-later */

#define G_LOG_DOMAIN "apiary-pm"

#include "core/chipset/pm.h"

enum {
    PM1_STS = 0x00,
    PM1_EN = 0x02,
    PM1_CNT = 0x04,
    PM_TMR = 0x08,
    GPE0_STS = 0x0c,
    GPE0_EN = 0x0e,
    PORT_APMC = 0xb2,
    PORT_APMS = 0xb3,
};

enum {
    TMR_STS = 1 << 0,
    BM_STS = 1 << 4,
    GBL_STS = 1 << 5,
    PWRBTN_STS = 1 << 8,
    RTC_STS = 1 << 10,
    WAK_STS = 1 << 15,
    STS_ALL = TMR_STS | BM_STS | GBL_STS | PWRBTN_STS | RTC_STS | WAK_STS,
    EN_ALL = TMR_STS | GBL_STS | PWRBTN_STS | RTC_STS,
    SCI_EN = 1 << 0,
    BRLD_EN = 1 << 1,
    SUS_TYP_SHIFT = 10,
    SUS_TYP = 7 << SUS_TYP_SHIFT,
    SUS_EN = 1 << 13,     /* reads as 0 */
    TIMER_HALF = 1 << 23, /* TMR_STS is set when bit 23 changes */
};

struct AcpiPm {
    Board *board;
    IrqLine sci;
    ClockTimer *timer;
    uint16_t base;
    bool mapped;
    uint16_t status, enable, control;
    uint16_t gpe_status, gpe_enable;
    uint64_t halves; /* changes of the timer's bit 23 already in `status` */
    uint8_t apm_control, apm_status;
    bool warned;
};

/* --- the PM timer --------------------------------------------------------------------------- */

static uint64_t ticks(const AcpiPm *pm)
{
    return clock_muldiv(clock_now(pm->board->clock), ACPI_PM_TIMER_HZ, NS_PER_SECOND);
}

static void collect_timer_status(AcpiPm *pm)
{
    uint64_t halves = ticks(pm) / TIMER_HALF;
    if (halves != pm->halves)
        pm->status |= TMR_STS;
    pm->halves = halves;
}

/* The clock has to tell only when somebody wants the interrupt. */
static void update(AcpiPm *pm)
{
    collect_timer_status(pm);
    bool wanted = (pm->status & pm->enable & EN_ALL) || (pm->gpe_status & pm->gpe_enable);
    irq_set(&pm->sci, wanted && (pm->control & SCI_EN));

    if ((pm->enable & TMR_STS) && !(pm->status & TMR_STS)) {
        unsigned __int128 next = (unsigned __int128)(pm->halves + 1) * TIMER_HALF;
        clock_timer_set(pm->timer,
                        (next * NS_PER_SECOND + ACPI_PM_TIMER_HZ - 1) / ACPI_PM_TIMER_HZ);
    } else {
        clock_timer_cancel(pm->timer);
    }
}

static void timer_expired(void *opaque)
{
    update(opaque);
}

/* --- sleeping ------------------------------------------------------------------------------- */

static void write_control(AcpiPm *pm, uint16_t value)
{
    unsigned type = (value & SUS_TYP) >> SUS_TYP_SHIFT;

    pm->control = value & (SCI_EN | BRLD_EN | SUS_TYP);
    if (value & SUS_EN) {
        if (type == ACPI_SLEEP_SOFT_OFF) {
            pm->board->request_power_off(pm->board, "ACPI S5");
        } else {
            /* No other state is offered by the tables. A guest that tries wakes at once. */
            if (!pm->warned)
                g_message("sleep type %u is not supported: the guest wakes at once", type);
            pm->warned = true;
            pm->status |= WAK_STS;
        }
    }
    update(pm);
}

bool acpi_pm_power_button(AcpiPm *pm)
{
    pm->status |= PWRBTN_STS;
    update(pm);
    return (pm->control & SCI_EN) && (pm->enable & PWRBTN_STS);
}

void acpi_pm_gpe(AcpiPm *pm, unsigned event)
{
    pm->gpe_status |= 1u << (event & 15);
    update(pm);
}

/* --- registers ------------------------------------------------------------------------------ */

/* The 16-bit register at an even OFFSET. */
static uint16_t read_word(AcpiPm *pm, unsigned offset)
{
    switch (offset) {
    case PM1_STS: return pm->status;
    case PM1_EN: return pm->enable;
    case PM1_CNT: return pm->control;
    case GPE0_STS: return pm->gpe_status;
    case GPE0_EN: return pm->gpe_enable;
    default: return 0;
    }
}

/* MASK: the bits that this access carries. */
static void write_word(AcpiPm *pm, unsigned offset, uint16_t value, uint16_t mask)
{
    switch (offset) {
    case PM1_STS: pm->status &= ~(value & mask & STS_ALL); break;
    case PM1_EN: pm->enable = ((pm->enable & ~mask) | (value & mask)) & EN_ALL; break;
    case PM1_CNT: write_control(pm, (pm->control & ~mask) | (value & mask)); return;
    case GPE0_STS: pm->gpe_status &= ~(value & mask); break;
    case GPE0_EN: pm->gpe_enable = (pm->gpe_enable & ~mask) | (value & mask); break;
    default: return;
    }
    update(pm);
}

static uint32_t pm_read(void *opaque, uint16_t port, unsigned size)
{
    AcpiPm *pm = opaque;
    unsigned offset = port - pm->base;

    if (offset >= PM_TMR && offset < PM_TMR + 4) {
        uint32_t value = (ticks(pm) & 0xffffff) >> (offset - PM_TMR) * 8;
        return size < 4 ? value & ((1u << size * 8) - 1) : value;
    }
    collect_timer_status(pm);
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        unsigned byte = offset + i;
        value |= (uint32_t)(read_word(pm, byte & ~1u) >> (byte & 1) * 8 & 0xff) << i * 8;
    }
    return value;
}

static void pm_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    AcpiPm *pm = opaque;
    unsigned offset = port - pm->base, end = offset + size;

    collect_timer_status(pm);
    while (offset < end) { /* by words, or the byte that is left at either end */
        unsigned shift = (offset & 1) * 8, bytes = MIN(2 - (offset & 1), end - offset);
        uint16_t mask = (bytes == 2 ? 0xffff : 0xff) << shift;
        write_word(pm, offset & ~1u, value << shift, mask);
        value >>= bytes * 8;
        offset += bytes;
    }
}

static const PortOps pm_ops = {.read = pm_read, .write = pm_write, .max_size = 4};

/* A write to APMC raises an SMI, whose handler would do what is done here (ACPI 4.8.3.1.1). */
static void apm_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    AcpiPm *pm = opaque;

    if (port == PORT_APMS) {
        pm->apm_status = value;
        return;
    }
    pm->apm_control = value;
    if (pm->apm_control == ACPI_ENABLE_VALUE)
        pm->control |= SCI_EN;
    else if (pm->apm_control == ACPI_DISABLE_VALUE)
        pm->control &= ~SCI_EN;
    update(pm);
}

static uint32_t apm_read(void *opaque, uint16_t port, unsigned size)
{
    AcpiPm *pm = opaque;
    return port == PORT_APMS ? pm->apm_status : pm->apm_control;
}

static const PortOps apm_ops = {.read = apm_read, .write = apm_write, .max_size = 1};

void acpi_pm_map(AcpiPm *pm, uint16_t base, bool enable)
{
    if (enable == pm->mapped && base == pm->base)
        return;
    if (pm->mapped)
        port_unregister(pm->board->memory, pm->base, ACPI_PM_SIZE, pm);
    pm->base = base;
    pm->mapped = enable;
    if (enable)
        port_register(pm->board->memory, base, ACPI_PM_SIZE, &pm_ops, pm);
}

AcpiPm *acpi_pm_new(Board *board, IrqLine sci)
{
    AcpiPm *pm = g_new0(AcpiPm, 1);

    pm->board = board;
    pm->sci = sci;
    pm->timer = clock_timer_new(board->clock, timer_expired, pm);
    port_register(board->memory, PORT_APMC, 2, &apm_ops, pm);
    acpi_pm_reset(pm);
    return pm;
}

void acpi_pm_free(AcpiPm *pm)
{
    if (!pm)
        return;
    acpi_pm_map(pm, 0, false);
    port_unregister(pm->board->memory, PORT_APMC, 2, pm);
    clock_timer_free(pm->timer);
    g_free(pm);
}

/* The mapping belongs to the PCI function, which resets it itself. */
void acpi_pm_reset(AcpiPm *pm)
{
    pm->status = pm->enable = pm->control = 0;
    pm->gpe_status = pm->gpe_enable = 0;
    pm->apm_control = pm->apm_status = 0;
    pm->halves = ticks(pm) / TIMER_HALF;
    update(pm);
}

void acpi_pm_describe(AcpiPm *pm, GString *out)
{
    collect_timer_status(pm);
    g_string_append_printf(out,
                           "ACPI: %s, base %04x%s, PM1 status %04x enable %04x control %04x, "
                           "GPE0 status %04x enable %04x, timer %06x\n",
                           pm->control & SCI_EN ? "enabled" : "legacy mode", pm->base,
                           pm->mapped ? "" : " (off)", pm->status, pm->enable, pm->control,
                           pm->gpe_status, pm->gpe_enable, (unsigned)(ticks(pm) & 0xffffff));
}
