/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/chipset/piix3.h"

#include <string.h>

/* Intel 82371FB/82371SB PCI ISA IDE Xcelerator, data sheet 290550-002, section 2.2 (function 0). */

/* Configuration registers. */
enum {
    IORT = 0x4c,
    XBCS = 0x4e, /* word */
    TOM = 0x69,
    MSTAT = 0x6a, /* word */
    MBIRQ0 = 0x70,
    MBDMA0 = 0x76, /* and 77h */
    PCSC = 0x78,   /* word */
    APICBASE = 0x80,
    DLC = 0x82,
    SMICNTL = 0xa0,
    SMIEN = 0xa2, /* word */
    SEE = 0xa4,   /* dword */
    FTMR = 0xa8,
    SMIREQ = 0xaa, /* word */
    CTLTMR = 0xac,
    CTHTMR = 0xae,
};

enum { PIRQRC_DISABLED = 1 << 7, PIRQRC_IRQ = 0x0f };

/* RC, the reset control register, section 2.5.5.2. */
enum { RC_SRST = 1 << 1, RC_RCPU = 1 << 2 };

#define N_PIRQS       4
#define SCI_IRQ       9
/* IRQs a PIRQ may be routed to, section 2.2.10: not 0, 1, 2, 8, 13. */
#define ROUTABLE_IRQS 0xdef8u

struct Piix3 {
    PciDevice pci; /* first */
    Board *board;
    bool pirq_level[N_PIRQS];
    bool sci_level;
    uint16_t driven; /* ISA IRQs held high through this bridge */
    uint8_t reset_control;
};

/* --- interrupt routing ---------------------------------------------------------------------- */

/* The IRQ a PIRQ is routed to, or -1. */
static int pirq_route(const Piix3 *bridge, int pirq)
{
    uint8_t value = bridge->pci.config[PIIX3_PIRQRC + pirq];
    unsigned irq = value & PIRQRC_IRQ;

    if ((value & PIRQRC_DISABLED) || !(ROUTABLE_IRQS >> irq & 1))
        return -1;
    return irq;
}

static void update_irqs(Piix3 *bridge)
{
    uint16_t level = bridge->sci_level ? 1 << SCI_IRQ : 0, changed;

    for (int pirq = 0; pirq < N_PIRQS; pirq++) {
        int irq = pirq_route(bridge, pirq);

        if (bridge->pirq_level[pirq] && irq >= 0)
            level |= 1 << irq;
    }
    changed = level ^ bridge->driven;
    bridge->driven = level;
    for (int irq = 0; irq < 16; irq++)
        if (changed >> irq & 1)
            irq_set(&bridge->board->isa_irq[irq], level >> irq & 1);
}

static void pirq_changed(void *opaque, int pirq, bool level)
{
    Piix3 *bridge = opaque;

    bridge->pirq_level[pirq] = level;
    update_irqs(bridge);
}

static void sci_changed(void *opaque, int number, bool level)
{
    Piix3 *bridge = opaque;

    bridge->sci_level = level;
    update_irqs(bridge);
}

IrqLine piix3_sci(Piix3 *bridge)
{
    return (IrqLine){sci_changed, bridge, SCI_IRQ};
}

/* --- reset control -------------------------------------------------------------------------- */

static uint32_t reset_control_read(void *opaque, uint16_t port, unsigned size)
{
    Piix3 *bridge = opaque;

    return bridge->reset_control;
}

/* A 0 to 1 change of RCPU resets: the CPU alone or the whole system, as SRST says. As every board
 * of the time wires it, both reset everything. */
static void reset_control_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    Piix3 *bridge = opaque;
    bool rising = (value & RC_RCPU) && !(bridge->reset_control & RC_RCPU);

    bridge->reset_control = value & (RC_SRST | RC_RCPU);
    if (rising)
        bridge->board->request_reset(bridge->board, "reset control register (port CF9)");
}

static const PortOps reset_control_ops = {reset_control_read, reset_control_write, 1};

/* --- configuration registers ---------------------------------------------------------------- */

static void config_written(PciDevice *device, unsigned offset, unsigned size)
{
    if (offset < PIIX3_PIRQRC + N_PIRQS && offset + size > PIIX3_PIRQRC)
        update_irqs((Piix3 *)device);
}

static void init_write_masks(PciDevice *device)
{
    uint8_t *mask = device->write_mask;

    /* I/O, memory and bus mastering are hardwired on (section 2.2.3); no INTx. */
    mask[PCI_COMMAND] = 1 << 3; /* special cycles */
    mask[PCI_COMMAND + 1] = PCI_COMMAND_SERR >> 8;
    mask[PCI_CACHE_LINE_SIZE] = mask[PCI_LATENCY_TIMER] = mask[PCI_INTERRUPT_LINE] = 0;
    mask[IORT] = 0x7f;
    mask[XBCS] = 0xff;
    mask[XBCS + 1] = 0x01;
    memset(mask + PIIX3_PIRQRC, PIRQRC_DISABLED | PIRQRC_IRQ, N_PIRQS);
    mask[TOM] = 0xfe;
    mask[MSTAT] = 0x01;
    mask[MBIRQ0] = 0xef;
    mask[MBDMA0] = mask[MBDMA0 + 1] = 0x8f;
    mask[PCSC] = 0xfc;
    mask[PCSC + 1] = 0xff;
    mask[APICBASE] = 0x7f;
    mask[DLC] = 0x0f;
    mask[SMICNTL] = 0x1f;
    mask[SMIEN] = 0xff;
    mask[SMIEN + 1] = 0x01;
    memset(mask + SEE, 0xff, 4);
    mask[FTMR] = 0xff;
    device->clear_mask[SMIREQ] = 0xff;
    device->clear_mask[SMIREQ + 1] = 0x01;
    mask[CTLTMR] = mask[CTHTMR] = 0xff;
}

/* Defaults of section 2.2. */
void piix3_reset(Piix3 *bridge)
{
    uint8_t *config = bridge->pci.config;

    memset(config + 0x40, 0, 0xc0);
    config[PCI_COMMAND] = 0x07;
    config[PCI_COMMAND + 1] = 0;
    config[PCI_STATUS] = 0;
    config[PCI_STATUS + 1] = 0x02; /* DEVSEL medium */
    config[IORT] = 0x4d;
    config[XBCS] = 0x03;
    memset(config + PIIX3_PIRQRC, PIRQRC_DISABLED, N_PIRQS);
    config[TOM] = 0x02;
    config[MBIRQ0] = 0x80;
    config[MBDMA0] = config[MBDMA0 + 1] = 0x0c;
    config[PCSC] = 0x02;
    config[SMICNTL] = 0x08;
    config[FTMR] = 0x0f;
    bridge->reset_control = 0;
    update_irqs(bridge);
}

Piix3 *piix3_new(Board *board, GError **error)
{
    static const PciIdentity identity = {
        .vendor = 0x8086,
        .device = 0x7000,
        .class_code = 0x060100,
    };
    Piix3 *bridge = g_new0(Piix3, 1);

    bridge->board = board;
    bridge->pci.device.board = board;
    bridge->pci.config_written = config_written;
    if (!pci_device_plug(board->pci, &bridge->pci, PCI_DEVFN(PIIX3_SLOT, 0), &identity, error)) {
        g_free(bridge);
        return NULL;
    }
    init_write_masks(&bridge->pci);
    piix3_reset(bridge);
    pci_bus_set_reset_control(board->pci, &reset_control_ops, bridge);
    pci_bus_set_intx(board->pci, pirq_changed, bridge);
    return bridge;
}

void piix3_free(Piix3 *bridge)
{
    if (!bridge)
        return;
    pci_bus_set_intx(bridge->board->pci, NULL, NULL);
    pci_bus_set_reset_control(bridge->board->pci, NULL, NULL);
    pci_device_unplug(&bridge->pci);
    g_free(bridge);
}
