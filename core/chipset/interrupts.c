/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/chipset/interrupts.h"

enum { N_ISA = 16, MAX_SOURCES = 32 };

struct Interrupts {
    LapicSet *lapics;
    IoApic *ioapic;
    I8259 *pic;
    uint32_t isa_sources[N_ISA]; /* bit a source: its level */
    unsigned n_sources[N_ISA];
    uint32_t pins_isa; /* I/O APIC inputs held by ISA wires, */
    uint32_t pins_own; /* and by sources of their own */
    IrqLine heard;     /* see interrupts_connect_heard() */
};

/* The I/O APIC's input for an ISA interrupt other than the cascade's. */
static int isa_pin(int irq)
{
    return irq == 0 ? 2 : irq;
}

static void masks_changed(void *opaque, int number, bool level)
{
    Interrupts *interrupts = opaque;

    irq_set(&interrupts->heard, !i8259_is_masked(interrupts->pic, 0) ||
                                    !ioapic_is_masked(interrupts->ioapic, isa_pin(0)));
}

static void set_pin(Interrupts *interrupts, uint32_t *pins, int pin, bool level)
{
    uint32_t bit = 1u << pin;

    *pins = level ? *pins | bit : *pins & ~bit;
    ioapic_set_pin(interrupts->ioapic, pin, (interrupts->pins_isa | interrupts->pins_own) & bit);
}

static void set_own_pin(void *opaque, int pin, bool level)
{
    Interrupts *interrupts = opaque;
    set_pin(interrupts, &interrupts->pins_own, pin, level);
}

/* NUMBER: IRQ in bits 0-3, source from bit 4 up. */
static void set_isa_source(void *opaque, int number, bool level)
{
    Interrupts *interrupts = opaque;
    int irq = number & 15;
    uint32_t bit = 1u << (number >> 4), *sources = &interrupts->isa_sources[irq];

    *sources = level ? *sources | bit : *sources & ~bit;
    i8259_set_irq(interrupts->pic, irq, *sources);
    if (irq != 2) /* the cascade takes the input of IRQ 2 */
        set_pin(interrupts, &interrupts->pins_isa, isa_pin(irq), *sources);
}

IrqLine interrupts_isa_source(Interrupts *interrupts, int irq)
{
    g_assert(irq >= 0 && irq < N_ISA && interrupts->n_sources[irq] < MAX_SOURCES);
    int source = interrupts->n_sources[irq]++;
    return (IrqLine){set_isa_source, interrupts, irq | source << 4};
}

IrqLine interrupts_ioapic_pin(Interrupts *interrupts, int pin)
{
    g_assert(pin >= 0 && pin < IOAPIC_N_PINS);
    return (IrqLine){set_own_pin, interrupts, pin};
}

void interrupts_connect_heard(Interrupts *interrupts, IrqLine heard)
{
    interrupts->heard = heard;
    masks_changed(interrupts, 0, true);
}

void interrupts_nmi(Interrupts *interrupts)
{
    lapic_set_lint1(interrupts->lapics, 0, true);
    lapic_set_lint1(interrupts->lapics, 0, false);
}

Interrupts *interrupts_new(Board *board, const LapicCpuOps *ops, void *opaque, uint64_t tsc_hz)
{
    Interrupts *interrupts = g_new0(Interrupts, 1);

    interrupts->lapics = lapic_set_new(board, ops, opaque, tsc_hz);
    interrupts->ioapic = ioapic_new(board, interrupts->lapics);
    interrupts->pic = i8259_new(board, (IrqLine){lapic_set_lint0, interrupts->lapics, 0});
    i8259_on_mask(interrupts->pic, (IrqLine){masks_changed, interrupts, 0});
    ioapic_on_mask(interrupts->ioapic, (IrqLine){masks_changed, interrupts, 0});
    lapic_connect_pic(interrupts->lapics, interrupts->pic);
    for (int irq = 0; irq < N_ISA; irq++)
        board->isa_irq[irq] = interrupts_isa_source(interrupts, irq);
    return interrupts;
}

void interrupts_free(Interrupts *interrupts)
{
    if (!interrupts)
        return;
    i8259_free(interrupts->pic);
    ioapic_free(interrupts->ioapic);
    lapic_set_free(interrupts->lapics);
    g_free(interrupts);
}

void interrupts_reset(Interrupts *interrupts)
{
    i8259_reset(interrupts->pic);
    ioapic_reset(interrupts->ioapic);
    lapic_set_reset(interrupts->lapics);
}

LapicSet *interrupts_lapics(Interrupts *interrupts)
{
    return interrupts->lapics;
}

I8259 *interrupts_pic(Interrupts *interrupts)
{
    return interrupts->pic;
}

void interrupts_describe(Interrupts *interrupts, GString *out)
{
    ioapic_describe(interrupts->ioapic, out);
    i8259_describe(interrupts->pic, out);
}
