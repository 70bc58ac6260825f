/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/chipset/ioapic.h"

enum {
    IOAPIC_BASE = 0xfec00000,
    IOAPIC_SIZE = 0x1000,
    /* windows */
    IOREGSEL = 0x00,
    IOWIN = 0x10,
    EOIR = 0x40,
    /* registers */
    IOAPICID = 0x00,
    IOAPICVER = 0x01,
    IOAPICARB = 0x02,
    IOREDTBL = 0x10,
    VERSION = 0x20 | (IOAPIC_N_PINS - 1) << 16,
};

/* Redirection table entries, 3.2.4. */
#define RED_VECTOR       0xffull
#define RED_DELMOD_SHIFT 8
#define RED_DESTMOD      (1ull << 11)
#define RED_REMOTE_IRR   (1ull << 14)
#define RED_LEVEL        (1ull << 15)
#define RED_MASK         (1ull << 16)
#define RED_DEST_SHIFT   56
#define RED_WRITABLE     0xff0000000001afffull

struct IoApic {
    Board *board;
    LapicSet *lapics;
    MemoryRegion *region;
    uint8_t select, id;
    uint32_t pins; /* asserted inputs */
    /* The polarity bit (13) is kept but not applied: each input is taken to be wired with the
     * polarity the tables tell the guest to program. */
    uint64_t redirection[IOAPIC_N_PINS];
    IrqLine mask_changed;
};

static bool is_level(uint64_t entry)
{
    unsigned mode = entry >> RED_DELMOD_SHIFT & 7;
    return (entry & RED_LEVEL) && (mode == LAPIC_FIXED || mode == LAPIC_LOWEST_PRIORITY);
}

static bool send(IoApic *ioapic, uint64_t entry)
{
    uint8_t destination = entry >> RED_DEST_SHIFT;
    LapicMessage message = {
        .destination = destination == 0xff ? LAPIC_BROADCAST : destination,
        .logical = entry & RED_DESTMOD,
        .delivery = entry >> RED_DELMOD_SHIFT & 7,
        .vector = entry & RED_VECTOR,
        .level = is_level(entry),
    };
    return lapic_deliver(ioapic->lapics, &message);
}

/* A level input that is asserted, unmasked and not being served is sent again. */
static void service_level(IoApic *ioapic, int pin)
{
    uint64_t *entry = &ioapic->redirection[pin];

    if (is_level(*entry) && (ioapic->pins >> pin & 1) && !(*entry & (RED_MASK | RED_REMOTE_IRR)) &&
        send(ioapic, *entry))
        *entry |= RED_REMOTE_IRR;
}

void ioapic_set_pin(void *opaque, int number, bool level)
{
    IoApic *ioapic = opaque;
    uint32_t bit = 1u << number;
    bool rising = level && !(ioapic->pins & bit);
    uint64_t entry = ioapic->redirection[number];

    ioapic->pins = level ? ioapic->pins | bit : ioapic->pins & ~bit;
    if (is_level(entry))
        service_level(ioapic, number);
    else if (rising && !(entry & RED_MASK)) /* a masked edge is lost (3.2.4, bit 16) */
        send(ioapic, entry);
}

static void end_of_interrupt(void *opaque, uint8_t vector)
{
    IoApic *ioapic = opaque;

    for (int pin = 0; pin < IOAPIC_N_PINS; pin++) {
        uint64_t *entry = &ioapic->redirection[pin];
        if ((*entry & RED_REMOTE_IRR) && (*entry & RED_VECTOR) == vector) {
            *entry &= ~RED_REMOTE_IRR;
            service_level(ioapic, pin);
        }
    }
}

bool ioapic_is_masked(const IoApic *ioapic, int pin)
{
    return ioapic->redirection[pin] & RED_MASK;
}

void ioapic_on_mask(IoApic *ioapic, IrqLine told)
{
    ioapic->mask_changed = told;
}

static uint32_t read_register(const IoApic *ioapic)
{
    unsigned pin = (ioapic->select - IOREDTBL) / 2;

    switch (ioapic->select) {
    case IOAPICID:
    case IOAPICARB: return (uint32_t)ioapic->id << 24;
    case IOAPICVER: return VERSION;
    default:
        if (ioapic->select < IOREDTBL || pin >= IOAPIC_N_PINS)
            return 0;
        return ioapic->redirection[pin] >> (ioapic->select & 1) * 32;
    }
}

static void write_register(IoApic *ioapic, uint32_t value)
{
    unsigned pin = (ioapic->select - IOREDTBL) / 2;

    if (ioapic->select == IOAPICID)
        ioapic->id = value >> 24 & 0xf;
    if (ioapic->select < IOREDTBL || pin >= IOAPIC_N_PINS)
        return;
    uint64_t *entry = &ioapic->redirection[pin];
    unsigned shift = (ioapic->select & 1) * 32;
    uint64_t writable = RED_WRITABLE & 0xffffffffull << shift;
    bool was_masked = ioapic_is_masked(ioapic, pin);
    *entry = (*entry & ~writable) | ((uint64_t)value << shift & writable);
    if (!(*entry & RED_LEVEL)) /* remote IRR has no meaning for edges */
        *entry &= ~RED_REMOTE_IRR;
    service_level(ioapic, pin);
    if (ioapic_is_masked(ioapic, pin) != was_masked)
        irq_set(&ioapic->mask_changed, true);
}

/* Registers are accessed as aligned doublewords; IOREGSEL takes a byte too (3.1). */
static uint64_t ioapic_read(void *opaque, uint64_t offset, unsigned size)
{
    IoApic *ioapic = opaque;
    uint32_t value;

    switch (offset & ~3ull) {
    case IOREGSEL: value = ioapic->select; break;
    case IOWIN: value = read_register(ioapic); break;
    default: value = 0;
    }
    value >>= (offset & 3) * 8;
    return size < 4 ? value & ((1u << size * 8) - 1) : value;
}

static void ioapic_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    IoApic *ioapic = opaque;

    if (offset == IOREGSEL)
        ioapic->select = value;
    else if (offset == IOWIN && size >= 4)
        write_register(ioapic, value);
    else if (offset == EOIR)
        end_of_interrupt(ioapic, value);
}

static const MmioOps ioapic_ops = {.read = ioapic_read, .write = ioapic_write};

IoApic *ioapic_new(Board *board, LapicSet *lapics)
{
    IoApic *ioapic = g_new0(IoApic, 1);

    ioapic->board = board;
    ioapic->lapics = lapics;
    ioapic->region =
        memory_region_new_mmio(board->memory, "ioapic", &ioapic_ops, ioapic, IOAPIC_SIZE);
    memory_region_place(ioapic->region, IOAPIC_BASE, 100);
    lapic_on_eoi(lapics, end_of_interrupt, ioapic);
    ioapic_reset(ioapic);
    return ioapic;
}

void ioapic_free(IoApic *ioapic)
{
    if (!ioapic)
        return;
    lapic_on_eoi(ioapic->lapics, NULL, NULL);
    memory_region_remove(ioapic->region);
    g_free(ioapic);
}

void ioapic_reset(IoApic *ioapic)
{
    ioapic->select = 0;
    ioapic->id = 0;
    for (int i = 0; i < IOAPIC_N_PINS; i++)
        ioapic->redirection[i] = RED_MASK;
    irq_set(&ioapic->mask_changed, true);
}

void ioapic_describe(const IoApic *ioapic, GString *out)
{
    static const char *const modes[8] = {"fixed", "lowest", "SMI",  "res3",
                                         "NMI",   "INIT",   "res6", "ExtINT"};

    g_string_append_printf(out, "ioapic0: ver=0x20 id=0x%02x sel=0x%02x pins=%06x\n", ioapic->id,
                           ioapic->select, ioapic->pins);
    for (int pin = 0; pin < IOAPIC_N_PINS; pin++) {
        uint64_t entry = ioapic->redirection[pin];
        g_string_append_printf(
            out, "  pin %-2d 0x%016" G_GINT64_MODIFIER "x dest=%02x %s vec=%02x %s %s%s%s\n", pin,
            entry, (unsigned)(entry >> RED_DEST_SHIFT),
            entry & RED_DESTMOD ? "logical" : "physical", (unsigned)(entry & RED_VECTOR),
            modes[entry >> RED_DELMOD_SHIFT & 7], entry & RED_LEVEL ? "level" : "edge",
            entry & RED_MASK ? " masked" : "", entry & RED_REMOTE_IRR ? " remote-irr" : "");
    }
}
