/* SPDX-License-Identifier: GPL-3.0-or-later */
#define G_LOG_DOMAIN "pci"

#include "core/chipset/pci.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

/*
 * The PCI bus of the 82441FX: PCI Local Bus Specification 2.1, configuration space in chapter 6,
 * configuration mechanism 1 in section 3.7.4.1.
 */

/* Ports of configuration mechanism 1. */
#define CONFIG_ADDRESS           0xcf8
#define CONFIG_DATA              0xcfc
#define RESET_CONTROL            0xcf9
#define CONFIG_ADDRESS_ENABLE    (1u << 31)
#define CONFIG_ADDRESS_BITS      0x80fffffcu /* the others are reserved and read 0 */

#define N_PIRQS                  4
#define IO_SPACE_SIZE            0x10000u
#define ADDRESS_LIMIT            0x100000000ull
#define MAX_ROM_SIZE             (16u << 20) /* PCI 2.1 section 6.2.5.2 */
#define FIRST_FREE_SLOT          2
/* QEMU's, so that a system installed there finds its devices under the names it knows. */
#define DEFAULT_SUBSYSTEM_VENDOR 0x1af4
#define DEFAULT_SUBSYSTEM        0x1100

struct PciBus {
    Board *board;
    PciDevice *devices[256];
    uint32_t config_address;
    PciIntxFunc intx;
    void *intx_opaque;
    unsigned pirq_sources[N_PIRQS]; /* devices that pull each PIRQ */
    bool intx_driven[256];          /* what each device's pin was last seen to do */
    const PortOps *reset_control;
    void *reset_control_opaque;
};

typedef struct {
    uint16_t class;
    const char *name;
} ClassName;

static const ClassName class_names[] = {
    {0x0001, "VGA controller"},
    {0x0100, "SCSI controller"},
    {0x0101, "IDE controller"},
    {0x0102, "Floppy controller"},
    {0x0106, "SATA controller"},
    {0x0200, "Ethernet controller"},
    {0x0300, "VGA controller"},
    {0x0380, "Display controller"},
    {0x0401, "Audio controller"},
    {0x0403, "Audio controller"},
    {0x0500, "RAM controller"},
    {0x0600, "Host bridge"},
    {0x0601, "ISA bridge"},
    {0x0604, "PCI bridge"},
    {0x0680, "Bridge"},
    {0x0c03, "USB controller"},
    {0x0c05, "SMBus"},
};

/* --- helpers -------------------------------------------------------------------------------- */

static uint16_t get16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static void put16(uint8_t *p, uint16_t value)
{
    p[0] = value;
    p[1] = value >> 8;
}

static void put32(uint8_t *p, uint32_t value)
{
    put16(p, value);
    put16(p + 2, value >> 16);
}

static uint16_t command(const PciDevice *device)
{
    return get16(device->config + PCI_COMMAND);
}

static unsigned bar_offset(int bar)
{
    return bar == PCI_ROM_SLOT ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS + 4 * bar;
}

static bool ranges_overlap(unsigned a, unsigned a_size, unsigned b, unsigned b_size)
{
    return a < b + b_size && b < a + a_size;
}

static uint32_t round_up_power_of_two(uint32_t value)
{
    uint32_t power = 1;

    while (power < value)
        power <<= 1;
    return power;
}

/* --- BAR decoding --------------------------------------------------------------------------- */

/* Where the registers say the BAR decodes now, or PCI_UNMAPPED. */
static uint64_t bar_decoded_base(const PciDevice *device, int bar)
{
    uint32_t value = get32(device->config + bar_offset(bar));
    uint64_t size = device->bars[bar].size;
    uint64_t base;

    if (!size)
        return PCI_UNMAPPED;
    if (device->bars[bar].type & PCI_BAR_IO) {
        base = value & ~(uint32_t)(size - 1) & ~3u;
        /* x86 has 64 KiB of ports. An I/O BAR of 0 is "not assigned": the PIIX3 claims what is
         * there. */
        if (!(command(device) & PCI_COMMAND_IO) || base == 0 || base + size > IO_SPACE_SIZE)
            return PCI_UNMAPPED;
        return base;
    }
    if (!(command(device) & PCI_COMMAND_MEMORY))
        return PCI_UNMAPPED;
    if (bar == PCI_ROM_SLOT && !(value & PCI_ROM_ENABLE))
        return PCI_UNMAPPED;
    /* The base is a multiple of the size: base + size cannot pass 4 GiB. */
    return value & ~(uint32_t)(size - 1);
}

static void bar_move(PciDevice *device, int bar, uint64_t base)
{
    MemoryMap *memory = device->bus->board->memory;
    uint64_t old = device->bars[bar].mapped_at;

    if (old == base)
        return;
    device->bars[bar].mapped_at = base;
    if (device->bars[bar].type & PCI_BAR_IO) {
        if (old != PCI_UNMAPPED)
            port_unregister(memory, old, device->bars[bar].size, device->bars[bar].opaque);
        if (base != PCI_UNMAPPED)
            port_register(memory, base, device->bars[bar].size, device->bars[bar].port_ops,
                          device->bars[bar].opaque);
        return;
    }
    if (base != PCI_UNMAPPED)
        memory_region_place(device->bars[bar].region, base, PCI_MEMORY_PRIORITY);
    else
        memory_region_remove(device->bars[bar].region);
}

static void update_mappings(PciDevice *device)
{
    memory_map_begin(device->bus->board->memory);
    for (int bar = 0; bar < PCI_N_REGIONS; bar++)
        bar_move(device, bar, bar_decoded_base(device, bar));
    memory_map_commit(device->bus->board->memory);
}

static void unmap_all(PciDevice *device)
{
    memory_map_begin(device->bus->board->memory);
    for (int bar = 0; bar < PCI_N_REGIONS; bar++)
        bar_move(device, bar, PCI_UNMAPPED);
    memory_map_commit(device->bus->board->memory);
}

/* --- interrupts ----------------------------------------------------------------------------- */

/* The usual rotation of a motherboard with PIRQA at slot 1's INTA, which firmware and the DSDT's
 * _PRT know. */
static int device_pirq(const PciDevice *device)
{
    int slot = device->devfn >> 3, pin = device->config[PCI_INTERRUPT_PIN] - 1;

    return (slot - 1 + pin) & (N_PIRQS - 1);
}

static void update_intx(PciDevice *device)
{
    PciBus *bus = device->bus;
    bool driven = device->intx_level && !(command(device) & PCI_COMMAND_INTX_DISABLE);
    int pirq;

    if (!device->config[PCI_INTERRUPT_PIN])
        return;
    pirq = device_pirq(device);
    if (device->intx_level)
        device->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    else
        device->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
    if (driven == bus->intx_driven[device->devfn])
        return;
    bus->intx_driven[device->devfn] = driven;
    if (driven ? bus->pirq_sources[pirq]++ == 0 : --bus->pirq_sources[pirq] == 0)
        if (bus->intx)
            bus->intx(bus->intx_opaque, pirq, driven);
}

void pci_set_intx(PciDevice *device, bool level)
{
    if (!device->bus || device->intx_level == level)
        return;
    device->intx_level = level;
    update_intx(device);
}

/* --- configuration space -------------------------------------------------------------------- */

uint32_t pci_config_read(PciBus *bus, uint8_t devfn, unsigned offset, unsigned size)
{
    PciDevice *device = bus->devices[devfn];
    uint32_t value = 0xffffffff >> (32 - 8 * size);

    if (!device || offset >= 256)
        return value;
    if (device->config_reading)
        device->config_reading(device, offset, size);
    for (unsigned i = 0; i < size && offset + i < 256; i++) {
        value &= ~(0xffu << 8 * i);
        value |= (uint32_t)device->config[offset + i] << 8 * i;
    }
    return value;
}

void pci_config_write(PciBus *bus, uint8_t devfn, unsigned offset, uint32_t value, unsigned size)
{
    PciDevice *device = bus->devices[devfn];

    if (!device || offset >= 256)
        return;
    for (unsigned i = 0; i < size && offset + i < 256; i++) {
        uint8_t byte = value >> 8 * i, mask = device->write_mask[offset + i];
        uint8_t *target = &device->config[offset + i];

        *target = (*target & ~mask) | (byte & mask);
        *target &= ~(byte & device->clear_mask[offset + i]);
    }
    if (ranges_overlap(offset, size, PCI_COMMAND, 2) ||
        ranges_overlap(offset, size, PCI_BASE_ADDRESS, 4 * PCI_ROM_SLOT) ||
        ranges_overlap(offset, size, PCI_ROM_ADDRESS, 4))
        update_mappings(device);
    if (ranges_overlap(offset, size, PCI_COMMAND, 2))
        update_intx(device);
    if (device->config_written)
        device->config_written(device, offset, size);
}

/* CF8h takes only dword accesses; narrower ones are ordinary I/O cycles (section 3.7.4.1), of which
 * the PIIX3 claims CF9h. */
static uint32_t address_read(void *opaque, uint16_t port, unsigned size)
{
    PciBus *bus = opaque;

    if (port == CONFIG_ADDRESS && size == 4)
        return bus->config_address;
    if (port == RESET_CONTROL && size == 1 && bus->reset_control)
        return bus->reset_control->read(bus->reset_control_opaque, port, size);
    return 0xffffffff >> (32 - 8 * size);
}

static void address_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    PciBus *bus = opaque;

    if (port == CONFIG_ADDRESS && size == 4)
        bus->config_address = value & CONFIG_ADDRESS_BITS;
    else if (port == RESET_CONTROL && size == 1 && bus->reset_control)
        bus->reset_control->write(bus->reset_control_opaque, port, value, size);
}

/* Finds what CONFIG_DATA reaches: only bus 0 exists. */
static bool data_target(const PciBus *bus, uint16_t port, uint8_t *devfn, unsigned *offset)
{
    if (!(bus->config_address & CONFIG_ADDRESS_ENABLE) || (bus->config_address >> 16 & 0xff))
        return false;
    *devfn = bus->config_address >> 8;
    *offset = (bus->config_address & 0xfc) + (port - CONFIG_DATA);
    return true;
}

static uint32_t data_read(void *opaque, uint16_t port, unsigned size)
{
    PciBus *bus = opaque;
    unsigned offset;
    uint8_t devfn;

    if (!data_target(bus, port, &devfn, &offset))
        return 0xffffffff >> (32 - 8 * size);
    return pci_config_read(bus, devfn, offset, size);
}

static void data_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    PciBus *bus = opaque;
    unsigned offset;
    uint8_t devfn;

    if (data_target(bus, port, &devfn, &offset))
        pci_config_write(bus, devfn, offset, value, size);
}

static const PortOps address_ops = {address_read, address_write, 4};
static const PortOps data_ops = {data_read, data_write, 4};

/* --- the bus -------------------------------------------------------------------------------- */

PciBus *pci_bus_new(Board *board)
{
    PciBus *bus = g_new0(PciBus, 1);

    bus->board = board;
    port_register(board->memory, CONFIG_ADDRESS, 4, &address_ops, bus);
    port_register(board->memory, CONFIG_DATA, 4, &data_ops, bus);
    return bus;
}

void pci_bus_free(PciBus *bus)
{
    if (!bus)
        return;
    for (int devfn = 0; devfn < 256; devfn++)
        if (bus->devices[devfn])
            pci_device_unplug(bus->devices[devfn]);
    port_unregister(bus->board->memory, CONFIG_ADDRESS, 4, bus);
    port_unregister(bus->board->memory, CONFIG_DATA, 4, bus);
    g_free(bus);
}

void pci_bus_set_intx(PciBus *bus, PciIntxFunc func, void *opaque)
{
    bus->intx = func;
    bus->intx_opaque = opaque;
    for (int pirq = 0; func && pirq < N_PIRQS; pirq++)
        func(opaque, pirq, bus->pirq_sources[pirq] > 0);
}

void pci_bus_set_reset_control(PciBus *bus, const PortOps *ops, void *opaque)
{
    bus->reset_control = ops;
    bus->reset_control_opaque = opaque;
}

void pci_bus_reset(PciBus *bus)
{
    bus->config_address = 0;
}

PciDevice *pci_bus_device(PciBus *bus, uint8_t devfn)
{
    return bus->devices[devfn];
}

/* Function 0 tells whether its slot has more functions (section 6.2.1, Header Type). */
static void update_multifunction(PciBus *bus, unsigned slot)
{
    PciDevice *first = bus->devices[PCI_DEVFN(slot, 0)];
    bool more = false;

    if (!first)
        return;
    for (int function = 1; function < 8; function++)
        more |= bus->devices[PCI_DEVFN(slot, function)] != NULL;
    if (more)
        first->config[PCI_HEADER_TYPE] |= PCI_HEADER_MULTIFUNCTION;
    else
        first->config[PCI_HEADER_TYPE] &= ~PCI_HEADER_MULTIFUNCTION;
}

static bool slot_is_free(const PciBus *bus, unsigned slot)
{
    for (int function = 0; function < 8; function++)
        if (bus->devices[PCI_DEVFN(slot, function)])
            return false;
    return true;
}

static int find_free_slot(const PciBus *bus)
{
    for (unsigned slot = FIRST_FREE_SLOT; slot < 32; slot++)
        if (slot_is_free(bus, slot))
            return PCI_DEVFN(slot, 0);
    return -1;
}

static void fill_identity(PciDevice *device, const PciIdentity *identity)
{
    uint8_t *config = device->config;

    put16(config + PCI_VENDOR_ID, identity->vendor);
    put16(config + PCI_DEVICE_ID, identity->device);
    config[PCI_REVISION_ID] = identity->revision;
    config[PCI_CLASS_INTERFACE] = identity->class_code;
    put16(config + PCI_CLASS_INTERFACE + 1, identity->class_code >> 8);
    if (identity->subsystem_vendor) {
        put16(config + PCI_SUBSYSTEM_VENDOR_ID, identity->subsystem_vendor);
        put16(config + PCI_SUBSYSTEM_ID, identity->subsystem);
    } else {
        put16(config + PCI_SUBSYSTEM_VENDOR_ID, DEFAULT_SUBSYSTEM_VENDOR);
        put16(config + PCI_SUBSYSTEM_ID, DEFAULT_SUBSYSTEM);
    }
    config[PCI_INTERRUPT_PIN] = identity->interrupt_pin;
}

static void fill_write_masks(PciDevice *device)
{
    put16(device->write_mask + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
                                                PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
                                                PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
    put16(device->clear_mask + PCI_STATUS, PCI_STATUS_ERRORS);
    device->write_mask[PCI_CACHE_LINE_SIZE] = 0xff;
    device->write_mask[PCI_LATENCY_TIMER] = 0xff;
    device->write_mask[PCI_INTERRUPT_LINE] = 0xff;
}

bool pci_device_plug(PciBus *bus, PciDevice *device, int devfn, const PciIdentity *identity,
                     GError **error)
{
    if (devfn < 0) {
        devfn = find_free_slot(bus);
        if (devfn < 0) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                        _("The PCI bus is full: remove one of the PCI devices"));
            return false;
        }
    } else if (devfn > 255 || bus->devices[devfn]) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                    _("PCI slot %d function %d is already in use: choose another address"),
                    devfn >> 3, devfn & 7);
        return false;
    }
    device->bus = bus;
    device->devfn = devfn;
    bus->devices[devfn] = device;
    for (int bar = 0; bar < PCI_N_REGIONS; bar++)
        device->bars[bar].mapped_at = PCI_UNMAPPED;
    fill_identity(device, identity);
    fill_write_masks(device);
    update_multifunction(bus, devfn >> 3);
    return true;
}

void pci_device_unplug(PciDevice *device)
{
    PciBus *bus = device->bus;

    if (!bus)
        return;
    pci_set_intx(device, false);
    unmap_all(device);
    bus->devices[device->devfn] = NULL;
    device->bus = NULL;
    update_multifunction(bus, device->devfn >> 3);
}

void pci_device_reset(PciDevice *device)
{
    uint8_t *config = device->config;

    pci_set_intx(device, false);
    for (unsigned i = 0; i < 2; i++)
        config[PCI_COMMAND + i] &= ~device->write_mask[PCI_COMMAND + i];
    put16(config + PCI_STATUS, get16(config + PCI_STATUS) & ~PCI_STATUS_ERRORS);
    config[PCI_CACHE_LINE_SIZE] = 0;
    config[PCI_LATENCY_TIMER] = 0;
    config[PCI_INTERRUPT_LINE] = 0;
    for (int bar = 0; bar < PCI_N_REGIONS; bar++)
        if (device->bars[bar].size)
            put32(config + bar_offset(bar), device->bars[bar].type);
    update_mappings(device);
    update_intx(device);
}

/* --- BARs ----------------------------------------------------------------------------------- */

static void add_bar(PciDevice *device, int bar, int type, uint64_t size)
{
    g_assert(device->bus && bar >= 0 && bar < PCI_N_REGIONS);
    g_assert(size >= 4 && size < ADDRESS_LIMIT && (size & (size - 1)) == 0);
    device->bars[bar].size = size;
    device->bars[bar].type = type;
    device->bars[bar].mapped_at = PCI_UNMAPPED;
    put32(device->config + bar_offset(bar), type);
    put32(device->write_mask + bar_offset(bar), ~(uint32_t)(size - 1));
}

void pci_bar_add_memory(PciDevice *device, int bar, int type, MemoryRegion *region, uint64_t size)
{
    g_assert(size >= 16 && !(type & PCI_BAR_IO));
    add_bar(device, bar, type, size);
    device->bars[bar].region = region;
}

void pci_bar_add_io(PciDevice *device, int bar, const PortOps *ops, void *opaque, uint32_t size)
{
    g_assert(bar != PCI_ROM_SLOT && size <= 256); /* section 6.2.5.1 */
    add_bar(device, bar, PCI_BAR_IO, size);
    device->bars[bar].port_ops = ops;
    device->bars[bar].opaque = opaque;
}

void pci_add_rom(PciDevice *device, const char *name, const uint8_t *data, size_t size)
{
    MemoryMap *memory = device->bus->board->memory;
    uint32_t window = round_up_power_of_two(MAX(size, GUEST_PAGE_SIZE));
    g_autoptr(GError) error = NULL;
    RamBlock *block;

    g_return_if_fail(size > 0 && size <= MAX_ROM_SIZE);
    block = ram_block_new(memory, name, window, &error);
    if (!block) {
        g_warning("No memory for option ROM %s: %s", name, error->message);
        return;
    }
    memcpy(block->host, data, size);
    memset(block->host + size, 0xff, window - size);
    add_bar(device, PCI_ROM_SLOT, PCI_BAR_MEM32, window);
    device->bars[PCI_ROM_SLOT].region = memory_region_new_rom(memory, name, block, 0, window);
    device->write_mask[PCI_ROM_ADDRESS] |= PCI_ROM_ENABLE;
}

uint64_t pci_bar_base(const PciDevice *device, int bar)
{
    return device->bars[bar].size ? device->bars[bar].mapped_at : PCI_UNMAPPED;
}

bool pci_bus_master(const PciDevice *device)
{
    return command(device) & PCI_COMMAND_MASTER;
}

/* --- info pci ------------------------------------------------------------------------------- */

static const char *class_name(uint16_t class)
{
    for (size_t i = 0; i < G_N_ELEMENTS(class_names); i++)
        if (class_names[i].class == class)
            return class_names[i].name;
    return NULL;
}

static void describe_bar(const PciDevice *device, int bar, GString *out)
{
    uint64_t base = device->bars[bar].mapped_at, last = base + device->bars[bar].size - 1;

    if (device->bars[bar].type & PCI_BAR_IO)
        g_string_append_printf(
            out, "      BAR%d: I/O at 0x%04" G_GINT64_MODIFIER "x [0x%04" G_GINT64_MODIFIER "x].\n",
            bar, base, last);
    else
        g_string_append_printf(
            out,
            "      BAR%d: 32 bit%s memory at 0x%08" G_GINT64_MODIFIER "x [0x%08" G_GINT64_MODIFIER
            "x].\n",
            bar, device->bars[bar].type & PCI_BAR_PREFETCH ? " prefetchable" : "", base, last);
}

static void describe_device(const PciDevice *device, GString *out)
{
    const uint8_t *config = device->config;
    uint16_t class = get16(config + PCI_CLASS_INTERFACE + 1);
    const char *name = class_name(class);

    g_string_append_printf(out, "  Bus  0, device %3d, function %d:\n", device->devfn >> 3,
                           device->devfn & 7);
    if (name)
        g_string_append_printf(out, "    %s", name);
    else
        g_string_append_printf(out, "    Class %04x", class);
    g_string_append_printf(out, ": PCI device %04x:%04x\n", get16(config + PCI_VENDOR_ID),
                           get16(config + PCI_DEVICE_ID));
    if (get16(config + PCI_SUBSYSTEM_VENDOR_ID))
        g_string_append_printf(out, "      PCI subsystem %04x:%04x\n",
                               get16(config + PCI_SUBSYSTEM_VENDOR_ID),
                               get16(config + PCI_SUBSYSTEM_ID));
    if (config[PCI_INTERRUPT_PIN])
        g_string_append_printf(out, "      IRQ %d, pin %c\n", config[PCI_INTERRUPT_LINE],
                               'A' + config[PCI_INTERRUPT_PIN] - 1);
    for (int bar = 0; bar < PCI_N_REGIONS; bar++)
        if (device->bars[bar].size)
            describe_bar(device, bar, out);
    g_string_append_printf(out, "      id \"%s\"\n", device->device.id ? device->device.id : "");
}

void pci_bus_describe(PciBus *bus, GString *out)
{
    for (int devfn = 0; devfn < 256; devfn++)
        if (bus->devices[devfn])
            describe_device(bus->devices[devfn], out);
}
