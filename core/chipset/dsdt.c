/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/chipset/acpi-tables.h"

#include "core/chipset/piix3.h"
#include "core/chipset/piix4-pm.h"
#include "core/chipset/pm.h"

/* The differentiated system description: what stands on the board and cannot be probed. */

#define N_PIRQS       4
#define SCI_IRQ       9
#define PCI_HOLE_END  0xfebfffffu /* the I/O APIC follows */
#define HPET_BASE     0xfed00000u
#define HPET_LENGTH   0x400u
#define FW_CFG_PORT   0x510
#define FW_CFG_LENGTH 0x0c
#define STA_PRESENT   0x0b /* present, shown, functioning */
#define STA_DISABLED  0x09

static const char *const link_names[N_PIRQS] = {"LNKA", "LNKB", "LNKC", "LNKD"};
static const char *const pirq_names[N_PIRQS] = {"PRQA", "PRQB", "PRQC", "PRQD"};
#define ISA_BRIDGE_PATH "\\_SB.PCI0.ISA"

/* What each PIRQ may be routed to: the IRQs that QEMU's `pc` and SeaBIOS use. */
static const uint32_t link_choices[] = {5, 10, 11};

/* Floppy geometry by CMOS type: _FDI and INT 13h function 8 (ACPI 6.4 section 9.9.2). */
static const struct {
    uint8_t cylinders, sectors, gap, format_gap;
} floppies[] = {
    {0, 0, 0, 0},        {40, 9, 0x2a, 0x50},  {80, 15, 0x1b, 0x54},
    {80, 9, 0x2a, 0x50}, {80, 18, 0x1b, 0x6c}, {80, 36, 0x1b, 0x53},
};

/* --- helpers -------------------------------------------------------------------------------- */

static Aml *new_device(const char *name, const char *eisa_id)
{
    Aml *device = aml_device(name);

    aml_add(device, aml_name("_HID", aml_eisa_id(eisa_id)));
    return device;
}

/* A device with fixed ISA ports and at most one IRQ; takes no more than two ranges. */
static Aml *isa_device(const char *name, const char *eisa_id, uint16_t base, uint8_t length,
                       uint16_t base2, uint8_t length2, int irq)
{
    Aml *device = new_device(name, eisa_id), *resources = aml_resources();

    if (length)
        aml_add(resources, aml_io(base, length));
    if (length2)
        aml_add(resources, aml_io(base2, length2));
    if (irq >= 0)
        aml_add(resources, aml_irq(irq));
    aml_add(device, aml_name("_CRS", resources));
    return device;
}

/* --- interrupt links ------------------------------------------------------------------------ */

/* A PIRQ of the PIIX3: what its route control register says. */
static Aml *pirq_link(int pirq)
{
    static const uint32_t none = 0;
    g_autofree char *reg = g_strconcat(ISA_BRIDGE_PATH ".", pirq_names[pirq], NULL);
    Aml *link = new_device(link_names[pirq], "PNP0C0F");
    Aml *resources, *method, *branch;

    aml_add(link, aml_name("_UID", aml_integer(pirq)));
    resources = aml_resources();
    aml_add(resources, aml_interrupts(link_choices, G_N_ELEMENTS(link_choices)));
    aml_add(link, aml_name("_PRS", resources));

    method = aml_method("_STA", 0, false);
    branch = aml_if(aml_and(aml_reference(reg), aml_integer(0x80), NULL));
    aml_add(branch, aml_return(aml_integer(STA_DISABLED)));
    aml_add(method, branch);
    aml_add(method, aml_return(aml_integer(STA_PRESENT)));
    aml_add(link, method);

    method = aml_method("_DIS", 0, false);
    aml_add(method, aml_or(aml_reference(reg), aml_integer(0x80), aml_reference(reg)));
    aml_add(link, method);

    method = aml_method("_CRS", 0, true);
    resources = aml_resources();
    aml_add(resources, aml_interrupts(&none, 1));
    aml_add(method, aml_name("PRRB", resources));
    aml_add(method,
            aml_create_dword_field(aml_reference("PRRB"), AML_INTERRUPT_NUMBER_OFFSET, "PRRI"));
    aml_add(method, aml_and(aml_reference(reg), aml_integer(0x0f), aml_reference("PRRI")));
    aml_add(method, aml_return(aml_reference("PRRB")));
    aml_add(link, method);

    method = aml_method("_SRS", 1, true);
    aml_add(method, aml_create_dword_field(aml_arg(0), AML_INTERRUPT_NUMBER_OFFSET, "PRRI"));
    aml_add(method, aml_store(aml_reference("PRRI"), aml_reference(reg)));
    aml_add(link, method);
    return link;
}

/* The PIIX4's power management function is wired to IRQ 9, not to a PIRQ. */
static Aml *sci_link(void)
{
    static const uint32_t sci = SCI_IRQ;
    Aml *link = new_device("LNKS", "PNP0C0F"), *resources;

    aml_add(link, aml_name("_UID", aml_integer(N_PIRQS)));
    aml_add(link, aml_name("_STA", aml_integer(STA_PRESENT)));
    for (int i = 0; i < 2; i++) {
        resources = aml_resources();
        aml_add(resources, aml_interrupts(&sci, 1));
        aml_add(link, aml_name(i ? "_CRS" : "_PRS", resources));
    }
    aml_add(link, aml_method("_SRS", 1, false));
    aml_add(link, aml_method("_DIS", 0, false));
    return link;
}

/* _PRT: pin PIN of slot SLOT is PIRQ (SLOT - 1 + PIN) mod 4 (pci.c), slot 1's INTA is the SCI. */
static Aml *interrupt_routing(void)
{
    Aml *table = aml_package();

    for (uint32_t slot = 1; slot < 32; slot++)
        for (uint32_t pin = 0; pin < 4; pin++) {
            Aml *entry = aml_package();
            bool is_sci = slot == PIIX3_SLOT && pin == 0;

            aml_add(entry, aml_integer(slot << 16 | 0xffff));
            aml_add(entry, aml_integer(pin));
            aml_add(entry, aml_reference(is_sci ? "LNKS" : link_names[(slot - 1 + pin) & 3]));
            aml_add(entry, aml_integer(0));
            aml_add(table, entry);
        }
    return table;
}

/* --- ISA devices ---------------------------------------------------------------------------- */

/* _FDI, ACPI 6.4 section 9.9.2. */
static Aml *floppy_drive(int unit, uint8_t type)
{
    Aml *drive = aml_device(unit ? "FLPB" : "FLPA"), *info = aml_package();
    const uint8_t values[] = {
        unit,
        type,
        floppies[type].cylinders - 1,
        floppies[type].sectors,
        1,    /* highest head */
        0xaf, /* SPECIFY byte 1: step rate and head unload */
        0x02, /* SPECIFY byte 2 */
        0x25, /* motor wait */
        0x02, /* 512 byte sectors */
        floppies[type].sectors,
        floppies[type].gap,
        0xff, /* data length */
        floppies[type].format_gap,
        0xf6, /* filler */
        0x0f, /* head settle, ms */
        0x08, /* motor start, 1/8 s */
    };

    aml_add(drive, aml_name("_ADR", aml_integer(unit)));
    for (size_t i = 0; i < sizeof values; i++)
        aml_add(info, aml_integer(values[i]));
    aml_add(drive, aml_name("_FDI", info));
    return drive;
}

static Aml *floppy_controller(const AcpiOptions *options)
{
    Aml *device = new_device("FDC0", "PNP0700"), *resources = aml_resources();
    uint32_t present[5] = {0};

    aml_add(resources, aml_io(0x3f2, 4));
    aml_add(resources, aml_io(0x3f7, 1));
    aml_add(resources, aml_irq(6));
    aml_add(resources, aml_dma(2));
    aml_add(device, aml_name("_CRS", resources));
    for (int unit = 0; unit < 2; unit++)
        present[unit] = GUINT32_TO_LE(options->floppy_type[unit] != 0);
    present[4] = GUINT32_TO_LE(2); /* no tape */
    aml_add(device, aml_name("_FDE", aml_buffer(present, sizeof present)));
    for (int unit = 0; unit < 2; unit++) {
        uint8_t type = options->floppy_type[unit];

        if (type && type < G_N_ELEMENTS(floppies))
            aml_add(device, floppy_drive(unit, type));
    }
    return device;
}

static Aml *serial_port(int index)
{
    Aml *port = isa_device(index ? "COM2" : "COM1", "PNP0501", index ? 0x2f8 : 0x3f8, 8, 0, 0,
                           index ? 3 : 4);

    aml_add(port, aml_name("_UID", aml_integer(index + 1)));
    return port;
}

static Aml *dma_controller(void)
{
    Aml *device = new_device("DMAC", "PNP0200"), *resources = aml_resources();

    aml_add(resources, aml_io(0x00, 0x10));
    aml_add(resources, aml_io(0x81, 0x0f));
    aml_add(resources, aml_io(0xc0, 0x20));
    aml_add(resources, aml_dma(4));
    aml_add(device, aml_name("_CRS", resources));
    return device;
}

/* The PCI-to-ISA bridge with its routing registers and everything on the ISA bus. */
static Aml *isa_bridge(const AcpiOptions *options)
{
    Aml *bridge = aml_device("ISA"), *field;

    aml_add(bridge, aml_name("_ADR", aml_integer(PIIX3_SLOT << 16)));
    aml_add(bridge, aml_operation_region("PIRR", AML_PCI_CONFIG, PIIX3_PIRQRC, N_PIRQS));
    field = aml_field("PIRR", AML_BYTE_ACCESS);
    for (int pirq = 0; pirq < N_PIRQS; pirq++)
        aml_field_add(field, pirq_names[pirq], 8);
    aml_add(bridge, field);

    aml_add(bridge, isa_device("PIC", "PNP0000", 0x20, 2, 0xa0, 2, 2));
    aml_add(bridge, dma_controller());
    /* With an HPET in legacy replacement mode the timer's IRQ 0 is not the PIT's. */
    aml_add(bridge, isa_device("TIMR", "PNP0100", 0x40, 4, 0, 0, options->hpet ? -1 : 0));
    aml_add(bridge, isa_device("RTC", "PNP0B00", 0x70, 2, 0, 0, 8));
    aml_add(bridge, isa_device("SPKR", "PNP0800", 0x61, 1, 0, 0, -1));
    aml_add(bridge, isa_device("FPU", "PNP0C04", 0xf0, 1, 0, 0, 13));
    aml_add(bridge, isa_device("KBD", "PNP0303", 0x60, 1, 0x64, 1, 1));
    aml_add(bridge, isa_device("MOU", "PNP0F13", 0, 0, 0, 0, 12));
    for (int i = 0; i < 2; i++)
        if (options->serial[i])
            aml_add(bridge, serial_port(i));
    if (options->floppy_controller)
        aml_add(bridge, floppy_controller(options));
    return bridge;
}

/* --- the board ------------------------------------------------------------------------------ */

static Aml *host_bridge_resources(const Board *board)
{
    Aml *resources = aml_resources();

    aml_add(resources, aml_bus_range(0, 0xff));
    aml_add(resources, aml_io(0xcf8, 8));
    aml_add(resources, aml_io_range(0x0000, 0x0cf7));
    aml_add(resources, aml_io_range(0x0d00, 0xffff));
    aml_add(resources, aml_memory_range(0xa0000, 0xbffff, true));
    aml_add(resources, aml_memory_range(board->ram_below_4g, PCI_HOLE_END, false));
    return resources;
}

/* Ports of the board that belong to no other device here. */
static Aml *motherboard(uint16_t pm_base)
{
    Aml *device = new_device("MBRD", "PNP0C02"), *resources = aml_resources();

    aml_add(device, aml_name("_UID", aml_integer(1)));
    aml_add(resources, aml_io(0x80, 1));
    aml_add(resources, aml_io(0x92, 1));
    aml_add(resources, aml_io(0xb2, 2));
    aml_add(resources, aml_io(0x4d0, 2));
    aml_add(resources, aml_io(pm_base, ACPI_PM_SIZE));
    aml_add(resources, aml_io(pm_base + PIIX4_SMBUS_OFFSET, PIIX4_SMBUS_SIZE)); /* SMBus */
    aml_add(device, aml_name("_CRS", resources));
    return device;
}

static Aml *fw_cfg_device(void)
{
    Aml *device = aml_device("FWCF"), *resources = aml_resources();

    aml_add(device, aml_name("_HID", aml_string("QEMU0002")));
    aml_add(device, aml_name("_STA", aml_integer(STA_PRESENT)));
    aml_add(resources, aml_io(FW_CFG_PORT, FW_CFG_LENGTH));
    aml_add(device, aml_name("_CRS", resources));
    return device;
}

static Aml *root_bridge(const Board *board, const AcpiOptions *options, uint16_t pm_base)
{
    Aml *bridge = new_device("PCI0", "PNP0A03"), *power;

    aml_add(bridge, aml_name("_UID", aml_integer(0)));
    aml_add(bridge, aml_name("_BBN", aml_integer(0)));
    aml_add(bridge, aml_name("_CRS", host_bridge_resources(board)));
    aml_add(bridge, aml_name("_PRT", interrupt_routing()));
    aml_add(bridge, isa_bridge(options));
    power = aml_device("PM");
    aml_add(power, aml_name("_ADR", aml_integer(PIIX3_SLOT << 16 | PIIX4_PM_FUNCTION)));
    aml_add(bridge, power);
    aml_add(bridge, motherboard(pm_base));
    aml_add(bridge, fw_cfg_device());
    return bridge;
}

static Aml *hpet(void)
{
    Aml *device = new_device("HPET", "PNP0103"), *resources = aml_resources();

    aml_add(device, aml_name("_UID", aml_integer(0)));
    aml_add(resources, aml_memory32_fixed(HPET_BASE, HPET_LENGTH, true));
    aml_add(device, aml_name("_CRS", resources));
    return device;
}

/* Processor devices; _UID is the MADT's ACPI processor UID. */
static void add_processors(Aml *scope, const Board *board)
{
    for (unsigned cpu = 0; cpu < board->n_cpus; cpu++) {
        g_autofree char *name = g_strdup_printf("C%03X", cpu);
        Aml *device = aml_device(name);

        aml_add(device, aml_name("_HID", aml_string("ACPI0007")));
        aml_add(device, aml_name("_UID", aml_integer(cpu)));
        aml_add(scope, device);
    }
}

/* The sleep button is a general purpose event; the power button a fixed feature of PM1. */
static Aml *sleep_button_event(void)
{
    g_autofree char *name = g_strdup_printf("_E%02X", PIIX4_SLEEP_BUTTON_GPE);
    Aml *scope = aml_scope("\\_GPE"), *method = aml_method(name, 0, false);

    aml_add(method, aml_notify(aml_reference("\\_SB.SLPB"), 0x80 /* pressed */));
    aml_add(scope, method);
    return scope;
}

/* _S5: SLP_TYPa, SLP_TYPb and two reserved numbers. */
static Aml *soft_off(void)
{
    Aml *package = aml_package();

    aml_add(package, aml_integer(ACPI_SLEEP_SOFT_OFF));
    for (int i = 0; i < 3; i++)
        aml_add(package, aml_integer(0));
    return aml_name("\\_S5", package);
}

Aml *acpi_dsdt(const Board *board, const AcpiOptions *options, uint16_t pm_base)
{
    Aml *body = aml_term_list(), *scope = aml_scope("\\_SB");

    aml_add(scope, root_bridge(board, options, pm_base));
    if (options->hpet)
        aml_add(scope, hpet());
    add_processors(scope, board);
    for (int pirq = 0; pirq < N_PIRQS; pirq++)
        aml_add(scope, pirq_link(pirq));
    aml_add(scope, sci_link());
    aml_add(scope, new_device("SLPB", "PNP0C0E"));
    aml_add(body, scope);
    aml_add(body, sleep_button_event());
    aml_add(body, soft_off());
    return body;
}
