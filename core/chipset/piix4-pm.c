/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/chipset/piix4-pm.h"

#include "core/chipset/piix3.h"

#include <string.h>

/* Intel 82371AB PCI-to-ISA / IDE Xcelerator (PIIX4), data sheet 290562-001, chapter 7. */

/* Configuration registers, section 7.1. */
enum {
    PMBASE = 0x40,
    CNTA = 0x44,
    DEVRESD = 0x50, /* the last of the 4-byte registers from 44h that just hold values */
    DEVACTA = 0x54,
    DEVACTB = 0x58,
    DEVRESA = 0x5c,
    DEVRESJ_END = 0x80,
    PMREGMISC = 0x80,
    SMBBA = 0x90,
    SMBHSTCFG = 0xd2,
    SMBREV = 0xd6,
};

/* DEVACTB bit 25, APMC_EN: writes to APMC raise an SMI. Firmware takes it set for "system
 * management mode is set up already"; it is hardwired because there is no such mode. */
#define DEVACTB_APMC_EN_BYTE (DEVACTB + 3)
#define DEVACTB_APMC_EN      (1 << 1)

enum { PMREGMISC_PMIOSE = 1 << 0, SMBHSTCFG_HST_EN = 1 << 0 };

/* SMBus host registers, section 7.3. */
enum {
    SMBHSTSTS = 0,
    SMBSLVSTS = 1,
    SMBHSTCNT = 2,
    SMBHSTCMD = 3,
    SMBHSTADD = 4,
    SMBHSTDAT0 = 5,
    SMBHSTDAT1 = 6,
    SMBBLKDAT = 7,
    SMBSLVCNT = 8,
    SMBSHDWCMD = 9,
    SMBSLVEVT = 0xa, /* word */
    SMBSLVDAT = 0xc, /* word */
};
enum {
    HSTSTS_INTER = 1 << 1,
    HSTSTS_DEV_ERR = 1 << 2,
    HSTSTS_BUS_ERR = 1 << 3,
    HSTSTS_FAILED = 1 << 4,
    HSTSTS_CLEARABLE = HSTSTS_INTER | HSTSTS_DEV_ERR | HSTSTS_BUS_ERR | HSTSTS_FAILED,
    HSTCNT_KILL = 1 << 1,
    HSTCNT_START = 1 << 6,
};

#define SMBUS_UNMAPPED 0
#define SMBUS_BLOCK    32

struct Piix4Pm {
    PciDevice pci; /* first */
    Board *board;
    AcpiPm *acpi;
    uint16_t smbus_base; /* SMBUS_UNMAPPED: not decoded */
    uint8_t smbus[PIIX4_SMBUS_SIZE];
    uint8_t block[SMBUS_BLOCK];
    unsigned block_index;
};

/* --- SMBus ---------------------------------------------------------------------------------- */

static uint32_t smbus_read(void *opaque, uint16_t port, unsigned size)
{
    Piix4Pm *pm = opaque;
    unsigned reg = port - pm->smbus_base;

    if (reg == SMBBLKDAT)
        return pm->block[pm->block_index++ % SMBUS_BLOCK];
    if (reg == SMBHSTCNT)
        pm->block_index = 0; /* section 7.3.8: a read of SMBHSTCNT rewinds the block */
    return pm->smbus[reg];
}

/* Every address is answered by nobody: a device error after START, "failed" after KILL. */
static void write_host_control(Piix4Pm *pm, uint8_t value)
{
    pm->smbus[SMBHSTCNT] = value & ~(HSTCNT_START | HSTCNT_KILL);
    if (value & HSTCNT_KILL)
        pm->smbus[SMBHSTSTS] |= HSTSTS_FAILED;
    else if (value & HSTCNT_START)
        pm->smbus[SMBHSTSTS] |= HSTSTS_DEV_ERR;
}

static void smbus_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    Piix4Pm *pm = opaque;
    unsigned reg = port - pm->smbus_base;

    switch (reg) {
    case SMBHSTSTS: pm->smbus[reg] &= ~(value & HSTSTS_CLEARABLE); break;
    case SMBHSTCNT: write_host_control(pm, value); break;
    case SMBBLKDAT: pm->block[pm->block_index++ % SMBUS_BLOCK] = value; break;
    case SMBHSTCMD:
    case SMBHSTADD:
    case SMBHSTDAT0:
    case SMBHSTDAT1:
    case SMBSLVCNT:
    case SMBSLVEVT:
    case SMBSLVEVT + 1: pm->smbus[reg] = value; break;
    default: break; /* read only */
    }
}

static const PortOps smbus_ops = {smbus_read, smbus_write, 1};

static void map_smbus(Piix4Pm *pm, uint16_t base)
{
    if (base == pm->smbus_base)
        return;
    if (pm->smbus_base != SMBUS_UNMAPPED)
        port_unregister(pm->board->memory, pm->smbus_base, PIIX4_SMBUS_SIZE, pm);
    pm->smbus_base = base;
    if (base != SMBUS_UNMAPPED)
        port_register(pm->board->memory, base, PIIX4_SMBUS_SIZE, &smbus_ops, pm);
}

/* --- configuration registers ---------------------------------------------------------------- */

static uint16_t decoded_pm_base(const PciDevice *device)
{
    if (!(device->config[PMREGMISC] & PMREGMISC_PMIOSE))
        return 0;
    return device->config[PMBASE + 1] << 8 | (device->config[PMBASE] & 0xc0);
}

static void update_ports(Piix4Pm *pm)
{
    const uint8_t *config = pm->pci.config;
    uint16_t pm_base = decoded_pm_base(&pm->pci);
    uint16_t smbus_base = config[SMBBA + 1] << 8 | (config[SMBBA] & 0xf0);

    /* Base 0 is "not assigned". */
    acpi_pm_map(pm->acpi, pm_base, pm_base != 0);
    map_smbus(pm, config[SMBHSTCFG] & SMBHSTCFG_HST_EN ? smbus_base : SMBUS_UNMAPPED);
}

static void config_written(PciDevice *device, unsigned offset, unsigned size)
{
    update_ports((Piix4Pm *)device);
}

uint16_t piix4_pm_base(PciBus *bus)
{
    PciDevice *device = pci_bus_device(bus, PCI_DEVFN(PIIX3_SLOT, PIIX4_PM_FUNCTION));

    return device ? decoded_pm_base(device) : 0;
}

static void init_write_masks(PciDevice *device)
{
    uint8_t *mask = device->write_mask;

    mask[PCI_COMMAND] = PCI_COMMAND_IO | 1 << 3;
    mask[PCI_COMMAND + 1] = 0;
    mask[PCI_CACHE_LINE_SIZE] = mask[PCI_LATENCY_TIMER] = 0;
    mask[PMBASE] = 0xc0;
    mask[PMBASE + 1] = 0xff;
    memset(mask + CNTA, 0xff, DEVRESJ_END - CNTA);
    mask[DEVACTB_APMC_EN_BYTE] &= ~DEVACTB_APMC_EN;
    mask[PMREGMISC] = 0xff;
    mask[SMBBA] = 0xf0;
    mask[SMBBA + 1] = 0xff;
    memset(mask + SMBHSTCFG, 0xff, SMBREV - SMBHSTCFG);
}

void piix4_pm_reset(Piix4Pm *pm)
{
    uint8_t *config = pm->pci.config;

    pci_device_reset(&pm->pci);
    memset(config + PMBASE, 0, 0x100 - PMBASE);
    config[PCI_STATUS] = 0x80; /* fast back-to-back */
    config[PCI_STATUS + 1] = 0x02;
    config[PMBASE] = 0x01; /* I/O space */
    config[SMBBA] = 0x01;
    config[DEVACTB_APMC_EN_BYTE] = DEVACTB_APMC_EN;
    memset(pm->smbus, 0, sizeof pm->smbus);
    memset(pm->block, 0, sizeof pm->block);
    pm->block_index = 0;
    update_ports(pm);
    acpi_pm_reset(pm->acpi);
}

/* --- life ----------------------------------------------------------------------------------- */

AcpiPm *piix4_pm_acpi(Piix4Pm *pm)
{
    return pm->acpi;
}

void piix4_pm_sleep_button(Piix4Pm *pm)
{
    acpi_pm_gpe(pm->acpi, PIIX4_SLEEP_BUTTON_GPE);
}

Piix4Pm *piix4_pm_new(Board *board, IrqLine sci, GError **error)
{
    static const PciIdentity identity = {
        .vendor = 0x8086,
        .device = 0x7113,
        .revision = 3,
        .class_code = 0x068000,
        .subsystem_vendor = 0x1af4,
        .subsystem = 0x1100,
        .interrupt_pin = 1,
    };
    Piix4Pm *pm = g_new0(Piix4Pm, 1);

    pm->board = board;
    pm->pci.device.board = board;
    pm->pci.config_written = config_written;
    if (!pci_device_plug(board->pci, &pm->pci, PCI_DEVFN(PIIX3_SLOT, PIIX4_PM_FUNCTION), &identity,
                         error)) {
        g_free(pm);
        return NULL;
    }
    pm->acpi = acpi_pm_new(board, sci);
    init_write_masks(&pm->pci);
    piix4_pm_reset(pm);
    return pm;
}

void piix4_pm_free(Piix4Pm *pm)
{
    if (!pm)
        return;
    map_smbus(pm, SMBUS_UNMAPPED);
    acpi_pm_free(pm->acpi);
    pci_device_unplug(&pm->pci);
    g_free(pm);
}
