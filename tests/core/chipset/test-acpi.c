/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ACPI tables as firmware links them and as iasl reads them. */
#include "core/chipset/acpi-tables.h"
#include "core/chipset/piix4-pm.h"
#include "tests/core/chipset/chipset-fixture.h"

#include <glib/gstdio.h>
#include <string.h>

#define MIB         (1ull << 20)
#define TABLES_BASE 0x3f00000u /* where the "firmware" puts the tables */
#define RSDP_BASE   0xf5000u

typedef struct {
    ChipsetFixture *chipset;
    Piix4Pm *pm;
    GByteArray *tables, *rsdp;
} Fixture;

static uint32_t get32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static GByteArray *load_file(Board *board, const char *name)
{
    GBytes *bytes = fw_cfg_file(board->fw_cfg, name);
    GByteArray *copy = g_byte_array_new();

    g_assert_nonnull(bytes);
    g_byte_array_append(copy, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    return copy;
}

static GByteArray *file_of(Fixture *fixture, const char *name)
{
    return strcmp(name, "etc/acpi/rsdp") ? fixture->tables : fixture->rsdp;
}

/* What SeaBIOS does with etc/table-loader. */
static void link_tables(Fixture *fixture)
{
    Board *board = &fixture->chipset->board;
    g_autoptr(GByteArray) loader = load_file(board, "etc/table-loader");

    fixture->tables = load_file(board, "etc/acpi/tables");
    fixture->rsdp = load_file(board, "etc/acpi/rsdp");
    g_assert_cmpuint(loader->len % 128, ==, 0);
    for (guint at = 0; at < loader->len; at += 128) {
        const uint8_t *entry = loader->data + at + 4;
        GByteArray *file = file_of(fixture, (const char *)entry);

        switch (get32(loader->data + at)) {
        case 1: break;
        case 2: {
            uint32_t offset = get32(entry + 112);
            unsigned size = entry[116];
            uint64_t value = 0;

            g_assert_cmpstr((const char *)entry + 56, ==, "etc/acpi/tables");
            g_assert_cmpuint(offset + size, <=, file->len);
            memcpy(&value, file->data + offset, size);
            g_assert_cmpuint(value, <, fixture->tables->len);
            value += TABLES_BASE;
            memcpy(file->data + offset, &value, size);
            break;
        }
        case 3: {
            uint32_t offset = get32(entry + 56), start = get32(entry + 60),
                     length = get32(entry + 64);
            uint8_t sum = 0;

            g_assert_cmpuint(start + length, <=, file->len);
            for (uint32_t i = 0; i < length; i++)
                sum += file->data[start + i];
            file->data[offset] -= sum;
            break;
        }
        default: g_assert_not_reached();
        }
    }
}

static Fixture *acpi_new(unsigned cpus, uint64_t ram)
{
    static const AcpiOptions options = {
        .hpet = true,
        .serial = {true, true},
        .floppy_controller = true,
        .floppy_type = {4, 5},
    };
    Fixture *fixture = g_new0(Fixture, 1);
    g_autoptr(GError) error = NULL;
    Board *board;

    fixture->chipset = fixture_new(ram);
    board = &fixture->chipset->board;
    board->n_cpus = cpus;
    fixture->pm = piix4_pm_new(board, piix3_sci(fixture->chipset->isa_bridge), &error);
    g_assert_no_error(error);
    acpi_tables_publish(board, &options);
    link_tables(fixture);
    return fixture;
}

static void acpi_free(Fixture *fixture)
{
    g_byte_array_unref(fixture->tables);
    g_byte_array_unref(fixture->rsdp);
    piix4_pm_free(fixture->pm);
    fixture_free(fixture->chipset);
    g_free(fixture);
}

/* The table at ADDRESS, its length and checksum verified. */
static const uint8_t *table_at(Fixture *fixture, uint64_t address)
{
    const uint8_t *table = fixture->tables->data + (address - TABLES_BASE);
    uint32_t length = get32(table + 4);
    uint8_t sum = 0;

    g_assert_cmphex(address, >=, TABLES_BASE);
    g_assert_cmphex(address - TABLES_BASE + length, <=, fixture->tables->len);
    if (memcmp(table, "FACS", 4) == 0)
        return table;
    for (uint32_t i = 0; i < length; i++)
        sum += table[i];
    g_assert_cmphex(sum, ==, 0);
    return table;
}

static const uint8_t *find_table(Fixture *fixture, const char *signature)
{
    const uint8_t *rsdt = table_at(fixture, get32(fixture->rsdp->data + 16));

    for (uint32_t i = 36; i < get32(rsdt + 4); i += 4) {
        const uint8_t *table = table_at(fixture, get32(rsdt + i));

        if (memcmp(table, signature, 4) == 0)
            return table;
    }
    return NULL;
}

static void test_linking(void)
{
    Fixture *fixture = acpi_new(2, 256 * MIB);
    const uint8_t *rsdp = fixture->rsdp->data, *rsdt, *xsdt, *fadt, *madt;
    uint8_t sum1 = 0, sum2 = 0;

    for (int i = 0; i < 36; i++) {
        sum1 += i < 20 ? rsdp[i] : 0;
        sum2 += rsdp[i];
    }
    g_assert_cmphex(sum1, ==, 0);
    g_assert_cmphex(sum2, ==, 0);
    rsdt = table_at(fixture, get32(rsdp + 16));
    xsdt = table_at(fixture, get32(rsdp + 24));
    g_assert_cmpmem(rsdt, 4, "RSDT", 4);
    g_assert_cmpmem(xsdt, 4, "XSDT", 4);
    g_assert_cmpuint((get32(rsdt + 4) - 36) / 4, ==, (get32(xsdt + 4) - 36) / 8);
    for (uint32_t i = 0; i < (get32(rsdt + 4) - 36) / 4; i++)
        g_assert_cmphex(get32(rsdt + 36 + 4 * i), ==, get32(xsdt + 36 + 8 * i));

    fadt = find_table(fixture, "FACP");
    g_assert_nonnull(fadt);
    g_assert_cmpuint(get32(fadt + 4), ==, 244);
    g_assert_cmphex(get32(fadt + 36) % 64, ==, 0);
    g_assert_cmpmem(table_at(fixture, get32(fadt + 36)), 4, "FACS", 4);
    g_assert_cmpmem(table_at(fixture, get32(fadt + 40)), 4, "DSDT", 4);
    g_assert_cmphex(get32(fadt + 140), ==, get32(fadt + 40));
    g_assert_cmphex(get32(fadt + 56), ==, 0x600);
    g_assert_cmphex(get32(fadt + 64), ==, 0x604);
    g_assert_cmphex(get32(fadt + 76), ==, 0x608);

    madt = find_table(fixture, "APIC");
    g_assert_nonnull(madt);
    g_assert_cmphex(madt[44], ==, 0); /* local APIC of CPU 0, then of CPU 1 */
    g_assert_cmphex(madt[52 + 3], ==, 1);
    g_assert_nonnull(find_table(fixture, "HPET"));
    acpi_free(fixture);
}

/* Firmware that puts PMBASE elsewhere (OVMF: B000h) reads tables that follow. */
static void test_pm_base(void)
{
    Fixture *fixture = acpi_new(1, 64 * MIB);
    Board *board = &fixture->chipset->board;
    size_t size = g_bytes_get_size(fw_cfg_file(board->fw_cfg, "etc/acpi/tables"));

    g_assert_cmphex(pci_config_read(board->pci, 0x0b, 0x58, 4) & 1 << 25, ==, 1 << 25);
    g_assert_cmpuint(piix4_pm_base(board->pci), ==, 0);
    pci_config_write(board->pci, 0x0b, 0x40, 0xb001, 4);
    pci_config_write(board->pci, 0x0b, 0x80, 1, 1);
    g_assert_cmphex(piix4_pm_base(board->pci), ==, 0xb000);
    g_assert_cmphex(port_read(board->memory, 0xb004, 2) & ~1, ==, 0);
    for (uint16_t key = 0x20; key < 0x40; key++)
        port_write(board->memory, 0x510, key, 2);
    g_byte_array_unref(fixture->tables);
    g_byte_array_unref(fixture->rsdp);
    link_tables(fixture);
    g_assert_cmpuint(fixture->tables->len, ==, size);
    g_assert_cmphex(get32(find_table(fixture, "FACP") + 56), ==, 0xb000);
    acpi_free(fixture);
}

static void test_smbus(void)
{
    Fixture *fixture = acpi_new(1, 64 * MIB);
    Board *board = &fixture->chipset->board;
    MemoryMap *memory = board->memory;

    g_assert_cmphex(port_read(memory, 0x700, 1), ==, 0xff);
    pci_config_write(board->pci, 0x0b, 0x90, 0x701, 4);
    pci_config_write(board->pci, 0x0b, 0xd2, 0x09, 1);
    g_assert_cmphex(port_read(memory, 0x700, 1), ==, 0);
    port_write(memory, 0x704, 0xa1, 1); /* the first memory module's SPD: not there */
    port_write(memory, 0x702, 0x48, 1);
    g_assert_cmphex(port_read(memory, 0x700, 1), ==, 0x04);
    port_write(memory, 0x700, 0x1e, 1);
    g_assert_cmphex(port_read(memory, 0x700, 1), ==, 0);
    piix4_pm_reset(fixture->pm);
    g_assert_cmphex(port_read(memory, 0x700, 1), ==, 0xff);
    acpi_free(fixture);
}

/* Runs iasl in FOLDER without optimizations; its output must not report a problem. */
static void run_iasl(const char *folder, const char *option, const char *file)
{
    const char *argv[] = {"iasl", "-oa", option, file, NULL};
    g_autofree char *out = NULL, *err = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    g_spawn_sync(folder, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status,
                 &error);
    g_assert_no_error(error);
    g_test_message("%s%s", out, err);
    if (strstr(out, "Compilation"))
        g_assert_nonnull(strstr(out, " 0 Errors, 0 Warnings"));
    g_assert_null(strstr(err, "Error"));
    g_assert_null(strstr(err, "Warning"));
    g_assert_true(g_spawn_check_wait_status(status, NULL));
}

static void check_with_iasl(Fixture *fixture, const char *folder, const uint8_t *table)
{
    g_autofree char *name = g_strdup_printf("%.4s", (const char *)table);
    g_autofree char *aml = g_strconcat(name, ".aml", NULL), *dsl = g_strconcat(name, ".dsl", NULL);
    g_autofree char *path = g_build_filename(folder, aml, NULL);
    g_autofree char *source = g_build_filename(folder, dsl, NULL);
    g_autofree char *contents = NULL;
    gsize length;

    g_assert_true(g_file_set_contents(path, (const char *)table, get32(table + 4), NULL));
    run_iasl(folder, "-d", aml);
    run_iasl(folder, "-ve", dsl);
    /* Compiling what was disassembled gives the same table, but for the compiler's own name. */
    g_assert_true(g_file_get_contents(path, &contents, &length, NULL));
    if (!memcmp(table, "DSDT", 4)) {
        g_assert_cmpuint(length, ==, get32(table + 4));
        g_assert_cmpmem(contents + 36, length - 36, table + 36, length - 36);
    }
    g_unlink(path);
    g_unlink(source);
}

static void test_iasl(void)
{
    g_autofree char *iasl = g_find_program_in_path("iasl");
    static const unsigned cpus[] = {1, 4, 64};

    if (!iasl) {
        g_test_skip("iasl is not installed");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(cpus); i++) {
        Fixture *fixture = acpi_new(cpus[i], i ? 4096 * MIB : 64 * MIB);
        g_autofree char *folder = g_dir_make_tmp("apiary-acpi-XXXXXX", NULL);
        const uint8_t *fadt = find_table(fixture, "FACP");

        check_with_iasl(fixture, folder, table_at(fixture, get32(fadt + 40)));
        check_with_iasl(fixture, folder, fadt);
        check_with_iasl(fixture, folder, find_table(fixture, "APIC"));
        check_with_iasl(fixture, folder, find_table(fixture, "HPET"));
        check_with_iasl(fixture, folder, find_table(fixture, "WAET"));
        g_assert_cmpint(g_rmdir(folder), ==, 0);
        acpi_free(fixture);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/acpi/linking", test_linking);
    g_test_add_func("/acpi/pm-base", test_pm_base);
    g_test_add_func("/acpi/smbus", test_smbus);
    g_test_add_func("/acpi/iasl", test_iasl);
    return g_test_run();
}
