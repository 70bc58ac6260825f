/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The PCI bus (PCI Local Bus Specification 2.1): configuration mechanism 1, BARs that may be sized
 * and moved at any time, INTx routed through a host-bridge supplied function. One bus, devfn
 * 0-255. All calls under the board lock.
 */

#include "core/machine/board.h"

typedef struct PciDevice PciDevice;

enum { PCI_BAR_IO = 1, PCI_BAR_MEM32 = 0, PCI_BAR_PREFETCH = 8 };
#define PCI_DEVFN(slot, function) ((uint8_t)((slot) << 3 | (function)))

/* Configuration header type 0, PCI 2.1 section 6.1. */
enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_COMMAND_IO = 1 << 0,
    PCI_COMMAND_MEMORY = 1 << 1,
    PCI_COMMAND_MASTER = 1 << 2,
    PCI_COMMAND_PARITY = 1 << 6,
    PCI_COMMAND_SERR = 1 << 8,
    PCI_COMMAND_INTX_DISABLE = 1 << 10, /* PCI 2.3 */
    PCI_STATUS = 0x06,
    PCI_STATUS_INTERRUPT = 1 << 3, /* PCI 2.3 */
    PCI_STATUS_ERRORS = 0xf900,    /* write one to clear */
    PCI_REVISION_ID = 0x08,
    PCI_CLASS_INTERFACE = 0x09,
    PCI_CACHE_LINE_SIZE = 0x0c,
    PCI_LATENCY_TIMER = 0x0d,
    PCI_HEADER_TYPE = 0x0e,
    PCI_HEADER_MULTIFUNCTION = 1 << 7,
    PCI_BASE_ADDRESS = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_ROM_ADDRESS = 0x30,
    PCI_ROM_ENABLE = 1 << 0,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
};

#define PCI_ROM_SLOT  6
#define PCI_N_REGIONS 7

typedef struct {
    uint16_t vendor, device;
    uint8_t revision;
    uint32_t class_code;                  /* 24 bits: class, subclass, interface */
    uint16_t subsystem_vendor, subsystem; /* 0, 0: 1AF4:1100 as in QEMU's `pc` */
    uint8_t interrupt_pin;                /* 0 none, 1 INTA ... */
} PciIdentity;

/* First member of every PCI device's struct. */
struct PciDevice {
    Device device;
    PciBus *bus;
    uint8_t devfn;
    uint8_t config[256];
    uint8_t write_mask[256]; /* bits the guest may change by plain writes */
    uint8_t clear_mask[256]; /* write-one-to-clear bits */
    struct {
        uint64_t size; /* 0: absent */
        int type;
        MemoryRegion *region;    /* MEM BARs */
        const PortOps *port_ops; /* IO BARs; ops get absolute ports, see pci_bar_base() */
        void *opaque;
        uint64_t mapped_at; /* PCI_UNMAPPED when not decoded */
    } bars[PCI_N_REGIONS];
    bool intx_level;
    /* Called after the guest wrote configuration bytes [offset, offset+size). May be NULL. */
    void (*config_written)(PciDevice *device, unsigned offset, unsigned size);
    /* Called before a configuration read, to bring config[] up to date. May be NULL. */
    void (*config_reading)(PciDevice *device, unsigned offset, unsigned size);
};

#define PCI_UNMAPPED        (~(uint64_t)0)

/* Where memory BARs stand against everything else (memory_region_place): under RAM, ROM and the
 * chipset's own windows (priority 0 and up), because the 82441FX claims DRAM cycles before they
 * reach the PCI bus. */
#define PCI_MEMORY_PRIORITY (-10)

/* The wired-OR of all INTx pins on PIRQ (0-3, A-D) changed: given to the chipset (PIIX3 routing).
 */
typedef void (*PciIntxFunc)(void *opaque, int pirq, bool level);

PciBus *pci_bus_new(Board *board); /* registers ports CF8-CFF */
void pci_bus_free(PciBus *bus);
void pci_bus_set_intx(PciBus *bus, PciIntxFunc func, void *opaque);
/* Port CF9 lies inside CONFIG_ADDRESS: byte accesses to it go to OPS (the PIIX3's reset control).
 */
void pci_bus_set_reset_control(PciBus *bus, const PortOps *ops, void *opaque);
/* Clears CONFIG_ADDRESS. Devices are reset by their owners. */
void pci_bus_reset(PciBus *bus);

/* Plugs DEVICE in at DEVFN (-1: the first free slot from 2 up, function 0). Fills the identity
 * registers; the multifunction bit of function 0 follows what is plugged in. Returns false with
 * ERROR when the slot is taken or the bus is full. */
bool pci_device_plug(PciBus *bus, PciDevice *device, int devfn, const PciIdentity *identity,
                     GError **error);
void pci_device_unplug(PciDevice *device);
PciDevice *pci_bus_device(PciBus *bus, uint8_t devfn);
/* Config space back to power-on: command 0, BARs 0 and unmapped, interrupt line 0. */
void pci_device_reset(PciDevice *device);

void pci_bar_add_memory(PciDevice *device, int bar, int type, MemoryRegion *region, uint64_t size);
void pci_bar_add_io(PciDevice *device, int bar, const PortOps *ops, void *opaque, uint32_t size);
/* An option ROM from host file contents; SIZE rounded up to a power of two. Copies DATA. */
void pci_add_rom(PciDevice *device, const char *name, const uint8_t *data, size_t size);
uint64_t pci_bar_base(const PciDevice *device, int bar); /* PCI_UNMAPPED when not decoded */
void pci_set_intx(PciDevice *device, bool level);
bool pci_bus_master(const PciDevice *device); /* COMMAND bit 2 */
/* Configuration access as mechanism 1 does it (also for tests and firmware tables). */
uint32_t pci_config_read(PciBus *bus, uint8_t devfn, unsigned offset, unsigned size);
void pci_config_write(PciBus *bus, uint8_t devfn, unsigned offset, uint32_t value, unsigned size);
void pci_bus_describe(PciBus *bus, GString *out); /* `info pci` */
