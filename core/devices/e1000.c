/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Intel 82540EM gigabit Ethernet, "e1000" in QEMU: the PCI function, its two BARs and its ROM. The
 * parts are in e1000-*.c.
 *
 *   BAR0  128 KiB of registers in memory
 *   BAR1  64 ports: IOADDR and IODATA, a window to the same registers (SDM 13.2.2.3)
 */

#define G_LOG_DOMAIN "e1000"

#include "core/devices/e1000.h"

#include "core/chipset/firmware.h"
#include "core/config/options.h"
#include "core/devices/e1000-internal.h"

#include <glib/gi18n.h>
#include <string.h>

#define MMIO_BAR     0
#define IO_BAR       1
#define IO_SIZE      64
#define IOADDR       0
#define IODATA       4

#define MAX_ROM_SIZE (512u << 10)
#define DEFAULT_ROM  "efi-e1000.rom" /* has the BIOS' part as well */

static const PciIdentity identity = {
    .vendor = 0x8086,
    .device = 0x100e,
    .revision = 3,
    .class_code = 0x020000,
    .interrupt_pin = 1,
};

static const OptionInfo options[] = {
    {"id", OPTION_STRING, NULL, 0, 0, NULL, N_("name of the card")},
    {"netdev", OPTION_REF, NULL, 0, 0, NULL, N_("id of the -netdev it is connected to")},
    {"mac", OPTION_MAC, NULL, 0, 0, NULL, N_("its address; 52:54:00:12:34:56 and up when absent")},
    {"addr", OPTION_STRING, NULL, 0, 0, NULL,
     N_("PCI slot, hexadecimal; the first free when absent")},
    {"romfile", OPTION_STRING, DEFAULT_ROM, 0, 0, NULL,
     N_("network boot ROM, a firmware name or a path; empty for none")},
    {.name = NULL},
};

/* --- BAR0 ------------------------------------------------------------------------------------- */

/* Registers are 32 bits wide (SDM 13.1). A narrower read gives its part of one. */
static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    E1000 *e1000 = opaque;
    uint64_t value = e1000_read(e1000, (uint32_t)offset & ~3u) >> (offset & 3) * 8;

    if (size == 8)
        value |= (uint64_t)e1000_read(e1000, (uint32_t)(offset & ~3u) + 4) << 32;
    return value;
}

/* A narrower write leaves the other bytes as they are. */
static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    E1000 *e1000 = opaque;
    uint32_t aligned = (uint32_t)offset & ~3u, shift = (offset & 3) * 8;

    if (size < 4) {
        uint32_t mask = (size == 1 ? 0xffu : 0xffffu) << shift;
        uint32_t old = *e1000_reg(e1000, aligned & (REG_SPACE - 4));
        value = (old & ~mask) | ((uint32_t)value << shift & mask);
    }
    e1000_write(e1000, aligned, (uint32_t)value);
    if (size == 8)
        e1000_write(e1000, aligned + 4, (uint32_t)(value >> 32));
}

static const MmioOps mmio_ops = {mmio_read, mmio_write};

/* --- BAR1 ------------------------------------------------------------------------------------- */

static uint32_t io_read(void *opaque, uint16_t port, unsigned size)
{
    E1000 *e1000 = opaque;
    unsigned offset = (port - (unsigned)pci_bar_base(&e1000->pci, IO_BAR)) & (IO_SIZE - 1);
    uint32_t value = 0;

    if ((offset & ~3u) == IOADDR)
        value = e1000->io_address;
    else if ((offset & ~3u) == IODATA && e1000->io_address < REG_SPACE)
        value = e1000_read(e1000, e1000->io_address & ~3u);
    return value >> (offset & 3) * 8;
}

static void io_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    E1000 *e1000 = opaque;
    unsigned offset = (port - (unsigned)pci_bar_base(&e1000->pci, IO_BAR)) & (IO_SIZE - 1);

    /* Both take whole double words only. */
    if (size != 4)
        return;
    if (offset == IOADDR)
        e1000->io_address = value;
    else if (offset == IODATA && e1000->io_address < REG_SPACE)
        e1000_write(e1000, e1000->io_address & ~3u, value);
}

static const PortOps io_ops = {io_read, io_write, 4};

/* --- the cable -------------------------------------------------------------------------------- */

static void link_changed(void *opaque, bool up)
{
    E1000 *e1000 = opaque;

    e1000->link_up = up;
    e1000_update_link(e1000);
}

static const NetCardOps card_ops = {
    .receive = e1000_receive,
    .overrun = e1000_overrun,
    .link_changed = link_changed,
};

/* --- the device ------------------------------------------------------------------------------- */

static void reset(Device *device)
{
    E1000 *e1000 = (E1000 *)device;

    pci_device_reset(&e1000->pci);
    e1000->io_address = 0;
    e1000->complained = 0;
    e1000->eeprom.selected = false;
    e1000_reset_registers(e1000);
    e1000_reset_tx(e1000);
    e1000_reset_phy(e1000);
    e1000_reset_interrupt(e1000);
    e1000->starved = false;
}

static void parse_address(const char *text, uint8_t *address)
{
    for (int i = 0; i < NET_ADDRESS_SIZE; i++)
        address[i] = (uint8_t)(g_ascii_xdigit_value(text[i * 3]) << 4 |
                               g_ascii_xdigit_value(text[i * 3 + 1]));
}

/* QEMU's addresses: the last byte counts up over the machine's cards. */
static void default_address(Board *board, uint8_t *address)
{
    static const uint8_t first[NET_ADDRESS_SIZE] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

    memcpy(address, first, sizeof first);
    for (int devfn = 0; devfn < 256; devfn++) {
        PciDevice *other = pci_bus_device(board->pci, (uint8_t)devfn);
        if (other && other->device.device_class == &e1000_class)
            address[5]++;
    }
}

static bool check_address(const OptionValues *values, Board *board, uint8_t *address,
                          GError **error)
{
    const char *text = option_string(values, "mac");

    if (!text) {
        default_address(board, address);
        return true;
    }
    parse_address(text, address);
    if (!(address[0] & 1))
        return true;
    g_set_error(error, option_error_quark(), 0,
                _("mac=%s: a card's own address has an even first byte; this one is a group's."),
                text);
    return false;
}

/* "3", "0x3" or "3.0"; -1 when not given. */
static bool parse_slot(const OptionValues *values, int *devfn, GError **error)
{
    const char *text = option_string(values, "addr");
    char *end = NULL;

    *devfn = -1;
    if (!text)
        return true;
    guint64 slot = g_ascii_strtoull(text, &end, 16);
    if (end != text && slot < 32 && (!*end || g_str_equal(end, ".0"))) {
        *devfn = PCI_DEVFN(slot, 0);
        return true;
    }
    g_set_error(error, option_error_quark(), 0, _("addr=%s: a PCI slot is from 0 to 1f."), text);
    return false;
}

/* The ROM that comes by default may be absent: the machine then cannot boot from the network. */
static bool load_rom(const OptionValues *values, GBytes **rom, GError **error)
{
    const char *name = option_string(values, "romfile");
    g_autoptr(GError) local = NULL;

    *rom = NULL;
    if (!name || !*name)
        return true;
    *rom = firmware_read(name, MAX_ROM_SIZE, &local);
    if (*rom)
        return true;
    if (option_is_set(values, "romfile")) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    g_message("No network boot: %s", local->message);
    return true;
}

static bool connect(E1000 *e1000, const OptionValues *values, GError **error)
{
    const char *name = option_string(values, "netdev");
    Board *board = e1000->pci.device.board;

    if (!name)
        return true;
    e1000->netdev = board->find_netdev ? board->find_netdev(board, name) : NULL;
    if (!e1000->netdev) {
        g_set_error(error, option_error_quark(), 0, _("netdev=%s: there is no -netdev of that id."),
                    name);
        return false;
    }
    e1000->link_up = e1000->netdev->link_up;
    if (net_backend_attach(e1000->netdev, &card_ops, e1000, e1000_class.name, e1000->pci.device.id,
                           e1000->address, error))
        return true;
    e1000->netdev = NULL;
    return false;
}

static bool create(Device *device, Board *board, const OptionValues *values, GError **error)
{
    E1000 *e1000 = (E1000 *)device;
    g_autoptr(GBytes) rom = NULL;
    int devfn;

    if (!check_address(values, board, e1000->address, error) ||
        !parse_slot(values, &devfn, error) || !load_rom(values, &rom, error) ||
        !connect(e1000, values, error))
        return false;
    if (!pci_device_plug(board->pci, &e1000->pci, devfn, &identity, error)) {
        if (e1000->netdev)
            net_backend_detach(e1000->netdev);
        return false;
    }
    e1000_fill_eeprom(e1000);
    e1000_init_interrupt(e1000);
    e1000_init_tx(e1000);
    e1000->mmio = memory_region_new_mmio(board->memory, "e1000", &mmio_ops, e1000, REG_SPACE);
    pci_bar_add_memory(&e1000->pci, MMIO_BAR, PCI_BAR_MEM32, e1000->mmio, REG_SPACE);
    pci_bar_add_io(&e1000->pci, IO_BAR, &io_ops, e1000, IO_SIZE);
    if (rom) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(rom, &size);
        pci_add_rom(&e1000->pci, option_string(values, "romfile"), data, size);
    }
    reset(device);
    return true;
}

static void destroy(Device *device)
{
    E1000 *e1000 = (E1000 *)device;

    if (e1000->netdev)
        net_backend_detach(e1000->netdev);
    e1000_destroy_interrupt(e1000);
    e1000_destroy_tx(e1000);
    pci_device_unplug(&e1000->pci);
}

const DeviceClass e1000_class = {
    .name = "e1000",
    .title = N_("Intel gigabit Ethernet (82540EM)"),
    .bus = BUS_PCI,
    .options = options,
    .instance_size = sizeof(E1000),
    .create = create,
    .reset = reset,
    .destroy = destroy,
};
