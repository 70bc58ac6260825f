/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/chipset/acpi-tables.h"

#include "core/chipset/fw_cfg.h"
#include "core/chipset/piix4-pm.h"
#include "core/chipset/pm.h"

#include <string.h>

/*
 * Tables of ACPI 6.4 chapter 5 and the commands that tell firmware how to place them: QEMU's
 * docs/specs/fw_cfg.rst does not describe these; SeaBIOS' src/fw/romfile_loader.h and EDK2's
 * QemuLoader.h do.
 */

#define FILE_TABLES  "etc/acpi/tables"
#define FILE_RSDP    "etc/acpi/rsdp"
#define FILE_LOADER  "etc/table-loader"

#define OEM_ID       "APIARY"
#define OEM_TABLE_ID "APIARYPC"
#define CREATOR_ID   "APRY"

/* RomfileLoaderEntry: 128 bytes each. */
enum { LOADER_ALLOCATE = 1, LOADER_ADD_POINTER = 2, LOADER_ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };
#define LOADER_ENTRY_SIZE 128

#define HEADER_SIZE       36
#define HEADER_CHECKSUM   9
#define RSDP_SIZE         36
#define RSDP_V1_SIZE      20
#define FACS_SIZE         64
#define FADT_SIZE         244 /* revision 3 */

#define SCI_IRQ           9
#define RTC_CENTURY       0x32
#define RESET_PORT        0xcf9
#define RESET_VALUE       0x06
#define LAPIC_BASE        0xfee00000u
#define IOAPIC_BASE       0xfec00000u
#define HPET_BASE         0xfed00000u
#define HPET_ID           0x8086a201u
#define HPET_MIN_TICK     100
#define DEFAULT_PM_BASE   0x600

/* Offsets in the FADT, table 5.9. */
enum {
    FADT_FIRMWARE_CTRL = 36,
    FADT_DSDT = 40,
    FADT_PREFERRED_PM_PROFILE = 45,
    FADT_SCI_INT = 46,
    FADT_SMI_CMD = 48,
    FADT_ACPI_ENABLE = 52,
    FADT_ACPI_DISABLE = 53,
    FADT_PM1A_EVT_BLK = 56,
    FADT_PM1A_CNT_BLK = 64,
    FADT_PM_TMR_BLK = 76,
    FADT_GPE0_BLK = 80,
    FADT_PM1_EVT_LEN = 88,
    FADT_PM1_CNT_LEN = 89,
    FADT_PM_TMR_LEN = 91,
    FADT_GPE0_BLK_LEN = 92,
    FADT_P_LVL2_LAT = 96,
    FADT_P_LVL3_LAT = 98,
    FADT_CENTURY = 108,
    FADT_IAPC_BOOT_ARCH = 109,
    FADT_FLAGS = 112,
    FADT_RESET_REG = 116,
    FADT_RESET_VALUE = 128,
    FADT_X_DSDT = 140,
    FADT_X_PM1A_EVT_BLK = 148,
    FADT_X_PM1A_CNT_BLK = 172,
    FADT_X_PM_TMR_BLK = 208,
    FADT_X_GPE0_BLK = 220,
};

enum {
    FADT_WBINVD = 1 << 0,
    FADT_PROC_C1 = 1 << 2,
    FADT_PWR_BUTTON = 1 << 4, /* set: not a fixed hardware button */
    FADT_SLP_BUTTON = 1 << 5,
    FADT_FIX_RTC = 1 << 6, /* set: RTC wake is not in the fixed registers */
    FADT_RESET_REG_SUP = 1 << 10,
    BOOT_ARCH_LEGACY_DEVICES = 1 << 0,
    BOOT_ARCH_8042 = 1 << 1,
};

/* MADT interrupt controller structures, section 5.2.12. */
enum {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_LAPIC_NMI = 4,
    MADT_X2APIC = 9,
    MADT_X2APIC_NMI = 10
};
enum { INTI_BUS = 0x00, INTI_ACTIVE_HIGH_LEVEL = 0x0d };

typedef struct {
    GByteArray *blob;   /* etc/acpi/tables */
    GByteArray *loader; /* etc/table-loader */
} Builder;

/* --- bytes ---------------------------------------------------------------------------------- */

static void put8(GByteArray *out, uint8_t value)
{
    g_byte_array_append(out, &value, 1);
}

static void put16(GByteArray *out, uint16_t value)
{
    put8(out, value);
    put8(out, value >> 8);
}

static void put32(GByteArray *out, uint32_t value)
{
    put16(out, value);
    put16(out, value >> 16);
}

static void set16(uint8_t *p, uint16_t value)
{
    p[0] = value;
    p[1] = value >> 8;
}

static void set32(uint8_t *p, uint32_t value)
{
    set16(p, value);
    set16(p + 2, value >> 16);
}

/* Generic Address Structure, section 5.2.3.2, in I/O space. */
static void set_io_address(uint8_t *p, uint16_t port, uint8_t bits, uint8_t access_size)
{
    p[0] = 1; /* system I/O */
    p[1] = bits;
    p[2] = 0;
    p[3] = access_size;
    set32(p + 4, port);
    set32(p + 8, 0);
}

/* --- loader commands ------------------------------------------------------------------------ */

static uint8_t *new_command(Builder *builder, uint32_t command)
{
    guint at = builder->loader->len;

    g_byte_array_set_size(builder->loader, at + LOADER_ENTRY_SIZE);
    memset(builder->loader->data + at, 0, LOADER_ENTRY_SIZE);
    set32(builder->loader->data + at, command);
    return builder->loader->data + at + 4;
}

static void add_allocate(Builder *builder, const char *file, uint32_t alignment, uint8_t zone)
{
    uint8_t *entry = new_command(builder, LOADER_ALLOCATE);

    g_strlcpy((char *)entry, file, FW_CFG_NAME_SIZE);
    set32(entry + FW_CFG_NAME_SIZE, alignment);
    entry[FW_CFG_NAME_SIZE + 4] = zone;
}

/* The SIZE bytes at OFFSET of FILE hold an offset into the tables: make it an address. */
static void add_pointer(Builder *builder, const char *file, uint32_t offset, uint8_t size)
{
    uint8_t *entry = new_command(builder, LOADER_ADD_POINTER);

    g_strlcpy((char *)entry, file, FW_CFG_NAME_SIZE);
    g_strlcpy((char *)entry + FW_CFG_NAME_SIZE, FILE_TABLES, FW_CFG_NAME_SIZE);
    set32(entry + 2 * FW_CFG_NAME_SIZE, offset);
    entry[2 * FW_CFG_NAME_SIZE + 4] = size;
}

static void add_checksum(Builder *builder, const char *file, uint32_t at, uint32_t start,
                         uint32_t length)
{
    uint8_t *entry = new_command(builder, LOADER_ADD_CHECKSUM);

    g_strlcpy((char *)entry, file, FW_CFG_NAME_SIZE);
    set32(entry + FW_CFG_NAME_SIZE, at);
    set32(entry + FW_CFG_NAME_SIZE + 4, start);
    set32(entry + FW_CFG_NAME_SIZE + 8, length);
}

/* --- tables --------------------------------------------------------------------------------- */

/* Starts a table at an 8-byte boundary; returns its offset in the blob. */
static uint32_t begin_table(Builder *builder, const char *signature, uint8_t revision)
{
    GByteArray *blob = builder->blob;
    uint32_t start;

    while (blob->len % 8)
        put8(blob, 0);
    start = blob->len;
    g_byte_array_append(blob, (const uint8_t *)signature, 4);
    put32(blob, 0); /* length */
    put8(blob, revision);
    put8(blob, 0); /* checksum */
    g_byte_array_append(blob, (const uint8_t *)OEM_ID, 6);
    g_byte_array_append(blob, (const uint8_t *)OEM_TABLE_ID, 8);
    put32(blob, 1); /* OEM revision */
    g_byte_array_append(blob, (const uint8_t *)CREATOR_ID, 4);
    put32(blob, 1); /* creator revision */
    g_assert(blob->len - start == HEADER_SIZE);
    return start;
}

static void end_table(Builder *builder, uint32_t start)
{
    uint32_t length = builder->blob->len - start;

    set32(builder->blob->data + start + 4, length);
    add_checksum(builder, FILE_TABLES, start + HEADER_CHECKSUM, start, length);
}

/* Section 5.2.10: no checksum. Firmware waking vectors are unused without S3. */
static uint32_t build_facs(Builder *builder)
{
    uint32_t start = builder->blob->len;
    uint8_t facs[FACS_SIZE] = "FACS";

    set32(facs + 4, FACS_SIZE);
    facs[32] = 1; /* version */
    g_byte_array_append(builder->blob, facs, sizeof facs);
    return start;
}

static uint32_t build_dsdt(Builder *builder, const Board *board, const AcpiOptions *options,
                           uint16_t pm_base)
{
    uint32_t start = begin_table(builder, "DSDT", 2);
    GByteArray *body = aml_finish(acpi_dsdt(board, options, pm_base));

    g_byte_array_append(builder->blob, body->data, body->len);
    g_byte_array_unref(body);
    end_table(builder, start);
    return start;
}

static uint32_t build_fadt(Builder *builder, uint32_t facs, uint32_t dsdt, uint16_t pm_base)
{
    uint32_t start = begin_table(builder, "FACP", 3);
    uint8_t *fadt;

    g_byte_array_set_size(builder->blob, start + FADT_SIZE);
    fadt = builder->blob->data + start;
    memset(fadt + HEADER_SIZE, 0, FADT_SIZE - HEADER_SIZE);
    set32(fadt + FADT_FIRMWARE_CTRL, facs);
    set32(fadt + FADT_DSDT, dsdt);
    set32(fadt + FADT_X_DSDT, dsdt);
    fadt[FADT_PREFERRED_PM_PROFILE] = 1; /* desktop */
    set16(fadt + FADT_SCI_INT, SCI_IRQ);
    set32(fadt + FADT_SMI_CMD, ACPI_SMI_CMD);
    fadt[FADT_ACPI_ENABLE] = ACPI_ENABLE_VALUE;
    fadt[FADT_ACPI_DISABLE] = ACPI_DISABLE_VALUE;
    set32(fadt + FADT_PM1A_EVT_BLK, pm_base + ACPI_PM_EVENT);
    set32(fadt + FADT_PM1A_CNT_BLK, pm_base + ACPI_PM_CONTROL);
    set32(fadt + FADT_PM_TMR_BLK, pm_base + ACPI_PM_TIMER);
    fadt[FADT_PM1_EVT_LEN] = 4;
    fadt[FADT_PM1_CNT_LEN] = 2;
    fadt[FADT_PM_TMR_LEN] = 4;
    set32(fadt + FADT_GPE0_BLK, pm_base + ACPI_PM_GPE0);
    fadt[FADT_GPE0_BLK_LEN] = 4;
    set16(fadt + FADT_P_LVL2_LAT, 0xfff); /* no C2, no C3 */
    set16(fadt + FADT_P_LVL3_LAT, 0xfff);
    fadt[FADT_CENTURY] = RTC_CENTURY;
    set16(fadt + FADT_IAPC_BOOT_ARCH, BOOT_ARCH_LEGACY_DEVICES | BOOT_ARCH_8042);
    set32(fadt + FADT_FLAGS,
          FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_RESET_REG_SUP);
    set_io_address(fadt + FADT_RESET_REG, RESET_PORT, 8, 1);
    fadt[FADT_RESET_VALUE] = RESET_VALUE;
    set_io_address(fadt + FADT_X_PM1A_EVT_BLK, pm_base + ACPI_PM_EVENT, 32, 2);
    set_io_address(fadt + FADT_X_PM1A_CNT_BLK, pm_base + ACPI_PM_CONTROL, 16, 2);
    set_io_address(fadt + FADT_X_PM_TMR_BLK, pm_base + ACPI_PM_TIMER, 32, 3);
    set_io_address(fadt + FADT_X_GPE0_BLK, pm_base + ACPI_PM_GPE0, 32, 1);
    add_pointer(builder, FILE_TABLES, start + FADT_FIRMWARE_CTRL, 4);
    add_pointer(builder, FILE_TABLES, start + FADT_DSDT, 4);
    add_pointer(builder, FILE_TABLES, start + FADT_X_DSDT, 8);
    end_table(builder, start);
    return start;
}

static void put_override(GByteArray *out, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    put8(out, MADT_OVERRIDE);
    put8(out, 10);
    put8(out, 0); /* ISA */
    put8(out, irq);
    put32(out, gsi);
    put16(out, flags);
}

/* CPU n has ACPI UID n and APIC ID n; IDs of 255 and up need the x2APIC form. */
static void put_processor(GByteArray *out, unsigned cpu)
{
    if (cpu < 255) {
        put8(out, MADT_LAPIC);
        put8(out, 8);
        put8(out, cpu);
        put8(out, cpu);
        put32(out, 1); /* enabled */
        return;
    }
    put8(out, MADT_X2APIC);
    put8(out, 16);
    put16(out, 0);
    put32(out, cpu);
    put32(out, 1);
    put32(out, cpu);
}

static uint32_t build_madt(Builder *builder, const Board *board)
{
    static const uint8_t level_irqs[] = {5, SCI_IRQ, 10, 11};
    uint32_t start = begin_table(builder, "APIC", 3);
    GByteArray *out = builder->blob;

    put32(out, LAPIC_BASE);
    put32(out, 1); /* PCAT_COMPAT: there are 8259s */
    for (unsigned cpu = 0; cpu < board->n_cpus; cpu++)
        put_processor(out, cpu);
    put8(out, MADT_IOAPIC);
    put8(out, 12);
    put8(out, 0); /* its ID after reset */
    put8(out, 0);
    put32(out, IOAPIC_BASE);
    put32(out, 0); /* first GSI */
    put_override(out, 0, 2, INTI_BUS);
    for (size_t i = 0; i < sizeof level_irqs; i++)
        put_override(out, level_irqs[i], level_irqs[i], INTI_ACTIVE_HIGH_LEVEL);
    put8(out, MADT_LAPIC_NMI);
    put8(out, 6);
    put8(out, 0xff); /* all processors */
    put16(out, 0);
    put8(out, 1); /* LINT1 */
    if (board->n_cpus > 255) {
        put8(out, MADT_X2APIC_NMI);
        put8(out, 12);
        put16(out, 0);
        put32(out, 0xffffffff);
        put8(out, 1);
        put8(out, 0);
        put16(out, 0);
    }
    end_table(builder, start);
    return start;
}

/* IA-PC HPET specification 1.0a, section 3.2.4. */
static uint32_t build_hpet(Builder *builder)
{
    uint32_t start = begin_table(builder, "HPET", 1);
    GByteArray *out = builder->blob;

    put32(out, HPET_ID);
    put32(out, 0); /* address: memory space, 0 bits wide as in practice */
    put32(out, HPET_BASE);
    put32(out, 0);
    put8(out, 0); /* sequence number */
    put16(out, HPET_MIN_TICK);
    put8(out, 0); /* page protection */
    end_table(builder, start);
    return start;
}

/* Windows ACPI Emulated Devices Table: one read of the PM timer is enough. */
static uint32_t build_waet(Builder *builder)
{
    enum { ACPI_PM_TIMER_GOOD = 1 << 1 };
    uint32_t start = begin_table(builder, "WAET", 1);

    put32(builder->blob, ACPI_PM_TIMER_GOOD);
    end_table(builder, start);
    return start;
}

/* RSDT (POINTER_SIZE 4) or XSDT (8). */
static uint32_t build_root(Builder *builder, const char *signature, unsigned pointer_size,
                           const uint32_t *tables, unsigned count)
{
    uint32_t start = begin_table(builder, signature, 1);

    for (unsigned i = 0; i < count; i++) {
        add_pointer(builder, FILE_TABLES, builder->blob->len, pointer_size);
        put32(builder->blob, tables[i]);
        if (pointer_size == 8)
            put32(builder->blob, 0);
    }
    end_table(builder, start);
    return start;
}

/* Section 5.2.5.3. */
static void build_rsdp(Builder *builder, uint32_t rsdt, uint32_t xsdt, uint8_t rsdp[RSDP_SIZE])
{
    memset(rsdp, 0, RSDP_SIZE);
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, OEM_ID, 6);
    rsdp[15] = 2; /* revision */
    set32(rsdp + 16, rsdt);
    set32(rsdp + 20, RSDP_SIZE);
    set32(rsdp + 24, xsdt);
    add_pointer(builder, FILE_RSDP, 16, 4);
    add_pointer(builder, FILE_RSDP, 24, 8);
    add_checksum(builder, FILE_RSDP, 8, 0, RSDP_V1_SIZE);
    add_checksum(builder, FILE_RSDP, 32, 0, RSDP_SIZE);
}

/* --- publishing ----------------------------------------------------------------------------- */

typedef struct {
    Board *board;
    AcpiOptions options;
} Published;

static void publish(Board *board, const AcpiOptions *options)
{
    Builder builder = {g_byte_array_new(), g_byte_array_new()};
    uint16_t pm_base = piix4_pm_base(board->pci);
    uint32_t facs, dsdt, rsdt, xsdt, tables[4];
    uint8_t rsdp[RSDP_SIZE];
    unsigned count = 0;

    if (!pm_base)
        pm_base = DEFAULT_PM_BASE;
    add_allocate(&builder, FILE_RSDP, 16, ZONE_FSEG);
    add_allocate(&builder, FILE_TABLES, 64, ZONE_HIGH);
    facs = build_facs(&builder); /* first: it needs 64-byte alignment */
    dsdt = build_dsdt(&builder, board, options, pm_base);
    tables[count++] = build_fadt(&builder, facs, dsdt, pm_base);
    tables[count++] = build_madt(&builder, board);
    if (options->hpet)
        tables[count++] = build_hpet(&builder);
    tables[count++] = build_waet(&builder);
    rsdt = build_root(&builder, "RSDT", 4, tables, count);
    xsdt = build_root(&builder, "XSDT", 8, tables, count);
    build_rsdp(&builder, rsdt, xsdt, rsdp);

    fw_cfg_add_file(board->fw_cfg, FILE_TABLES, builder.blob->data, builder.blob->len);
    fw_cfg_add_file(board->fw_cfg, FILE_RSDP, rsdp, sizeof rsdp);
    fw_cfg_add_file(board->fw_cfg, FILE_LOADER, builder.loader->data, builder.loader->len);
    g_byte_array_unref(builder.blob);
    g_byte_array_unref(builder.loader);
}

static void refresh(void *opaque)
{
    Published *published = opaque;

    publish(published->board, &published->options);
}

void acpi_tables_publish(Board *board, const AcpiOptions *options)
{
    Published *published = g_new0(Published, 1);

    published->board = board;
    published->options = *options;
    publish(board, options);
    fw_cfg_set_refresh(board->fw_cfg, FILE_TABLES, refresh, published, g_free);
}
