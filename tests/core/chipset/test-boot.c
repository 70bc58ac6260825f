/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What firmware is told: sizes, boot order, SMBIOS, and kernels given on the command line. */
#include "core/chipset/boot-items.h"
#include "core/chipset/boot-plan.h"
#include "core/chipset/smbios.h"
#include "tests/core/chipset/chipset-fixture.h"

#include <elf.h>
#include <glib/gstdio.h>
#include <string.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)

extern const uint8_t linuxboot_rom[], linuxboot_rom_plan[];

static uint16_t get16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static void put32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = value >> 8 * i;
}

static const uint8_t *file_data(Board *board, const char *name, size_t *size)
{
    GBytes *bytes = fw_cfg_file(board->fw_cfg, name);

    g_assert_nonnull(bytes);
    return g_bytes_get_data(bytes, size);
}

/* --- items ---------------------------------------------------------------------------------- */

static void test_items(void)
{
    ChipsetFixture *fixture = fixture_new(4 * GIB);
    Board *board = &fixture->board;
    MachineConfig config = {.boot_menu = true, .boot_splash_time = 1500};
    const uint8_t *data;
    size_t size;

    board->n_cpus = 4;
    boot_items_publish(board, &config);
    data = file_data(board, "etc/e820", &size);
    g_assert_cmpuint(size, ==, 40);
    g_assert_cmphex(get32(data + 8), ==, 0xc0000000);
    g_assert_cmphex(get32(data + 16), ==, 1);
    g_assert_cmphex(get32(data + 24), ==, 1); /* 4 GiB */
    g_assert_cmphex(get32(data + 28), ==, 0x40000000);
    g_assert_cmpuint(get16(file_data(board, "etc/boot-menu-wait", &size)), ==, 1500);
    g_assert_cmpuint(get16(g_bytes_get_data(fw_cfg_item(board->fw_cfg, FW_CFG_BOOT_MENU), NULL)),
                     ==, 1);
    g_assert_cmpuint(get16(g_bytes_get_data(fw_cfg_item(board->fw_cfg, FW_CFG_NB_CPUS), NULL)), ==,
                     4);
    fixture_free(fixture);
}

static void test_boot_order(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    Board *board = &fixture->board;
    DriveConfig disk = {.kind = DRIVE_IDE_DISK, .bus = 0, .unit = 0};
    DriveConfig disk2 = {.kind = DRIVE_IDE_DISK, .bus = 0, .unit = 1};
    DriveConfig cd = {.kind = DRIVE_IDE_CD, .bus = 1, .unit = 0};
    DriveConfig floppy = {.kind = DRIVE_FLOPPY};
    MachineConfig config = {.drives = g_ptr_array_new()};
    static const PciIdentity nic = {.vendor = 0x8086, .device = 0x100e, .class_code = 0x020000};
    PciDevice device = {0};
    size_t size;

    g_ptr_array_add(config.drives, &cd);
    g_ptr_array_add(config.drives, &disk2);
    g_ptr_array_add(config.drives, &disk);
    g_ptr_array_add(config.drives, &floppy);
    g_assert_true(pci_device_plug(board->pci, &device, PCI_DEVFN(3, 0), &nic, NULL));
    boot_order_publish(board, &config, "dacn");
    g_assert_cmpstr((const char *)file_data(board, "bootorder", &size), ==,
                    "/pci@i0cf8/ide@1,1/drive@1/disk@0\n"
                    "/pci@i0cf8/isa@1/fdc@03f0/floppy@0\n"
                    "/pci@i0cf8/ide@1,1/drive@0/disk@0\n"
                    "/pci@i0cf8/ide@1,1/drive@0/disk@1\n"
                    "/pci@i0cf8/ethernet@3/ethernet-phy@0");
    config.kernel = (char *)"vmlinuz";
    boot_order_publish(board, &config, "n");
    g_assert_cmpstr((const char *)file_data(board, "bootorder", &size), ==,
                    "/rom@genroms/apiary-linuxboot.rom\n"
                    "/pci@i0cf8/ethernet@3/ethernet-phy@0");
    config.kernel = NULL;
    boot_order_publish(board, &config, "");
    g_assert_null(fw_cfg_file(board->fw_cfg, "bootorder"));
    pci_device_unplug(&device);
    g_ptr_array_unref(config.drives);
    fixture_free(fixture);
}

/* Walks the structures as an operating system does. */
static void test_smbios(void)
{
    static const uint64_t sizes[] = {16 * MIB, 4 * GIB, 40 * GIB};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        ChipsetFixture *fixture = fixture_new(sizes[i]);
        Board *board = &fixture->board;
        MachineConfig config = {.name = (char *)"test"};
        size_t anchor_size, size, at = 0, largest = 0;
        unsigned count = 0, types[128] = {0};
        uint64_t dimm_mib = 0;
        const uint8_t *anchor, *tables;
        uint8_t sum = 0;

        board->n_cpus = 2;
        smbios_publish(board, &config);
        anchor = file_data(board, "etc/smbios/smbios-anchor", &anchor_size);
        tables = file_data(board, "etc/smbios/smbios-tables", &size);
        g_assert_cmpuint(anchor_size, ==, 31);
        for (size_t k = 0; k < anchor_size; k++)
            sum += anchor[k];
        g_assert_cmphex(sum, ==, 0);
        while (at < size) {
            const uint8_t *structure = tables + at;
            size_t start = at;

            types[structure[0]]++;
            if (structure[0] == 17)
                dimm_mib += get16(structure + 0x0c) == 0x7fff ? get32(structure + 0x1c)
                                                              : get16(structure + 0x0c);
            at += structure[1];
            do
                at += strlen((const char *)tables + at) + 1;
            while (tables[at]);
            at++;
            /* Without strings there are just two zeros. */
            if (start + structure[1] + 1 == at)
                at++;
            largest = MAX(largest, at - start);
            count++;
        }
        g_assert_cmpuint(at, ==, size);
        g_assert_cmpuint(count, ==, get16(anchor + 0x1c));
        g_assert_cmpuint(size, ==, get16(anchor + 0x16));
        g_assert_cmpuint(largest, ==, get16(anchor + 8));
        g_assert_cmpuint(dimm_mib, ==, sizes[i] / MIB);
        g_assert_cmpuint(types[1] + types[3] + types[4] + types[16] + types[32] + types[127], ==,
                         6);
        g_assert_cmpuint(types[19], ==, board->ram_above_4g ? 2 : 1);
        fixture_free(fixture);
    }
}

/* --- kernels -------------------------------------------------------------------------------- */

typedef struct {
    ChipsetFixture *chipset;
    Board *board;
    MachineConfig config;
    char *folder;
} KernelFixture;

static KernelFixture *kernel_new(uint64_t ram)
{
    KernelFixture *fixture = g_new0(KernelFixture, 1);

    fixture->chipset = fixture_new(ram);
    fixture->board = &fixture->chipset->board;
    fixture->folder = g_dir_make_tmp("apiary-boot-XXXXXX", NULL);
    fixture->config.kernel = g_build_filename(fixture->folder, "kernel", NULL);
    return fixture;
}

static void kernel_free(KernelFixture *fixture)
{
    g_unlink(fixture->config.kernel);
    g_rmdir(fixture->folder);
    g_free(fixture->config.kernel);
    g_free(fixture->folder);
    fixture_free(fixture->chipset);
    g_free(fixture);
}

static char *write_file(KernelFixture *fixture, const char *name, const void *data, size_t size)
{
    char *path = g_build_filename(fixture->folder, name, NULL);

    g_assert_true(g_file_set_contents(path, data, size, NULL));
    return path;
}

static void write_kernel(KernelFixture *fixture, const void *data, size_t size)
{
    g_assert_true(g_file_set_contents(fixture->config.kernel, data, size, NULL));
}

static void expect_error(KernelFixture *fixture, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(linuxboot_publish(fixture->board, &fixture->config, &error));
    g_assert_nonnull(error);
    if (!strstr(error->message, words))
        g_error("expected “%s” in: %s", words, error->message);
}

/* Does what the ROM does with fw_cfg's DMA, and returns its plan. */
static const BootPlan *run_plan(KernelFixture *fixture)
{
    Board *board = fixture->board;
    g_autoptr(GError) error = NULL;
    const BootPlan *plan;
    const uint8_t *rom;
    uint8_t sum = 0;
    size_t size;

    linuxboot_publish(board, &fixture->config, &error);
    g_assert_no_error(error);
    rom = file_data(board, LINUXBOOT_ROM_FILE, &size);
    g_assert_cmphex(get16(rom), ==, 0xaa55);
    g_assert_cmpuint(rom[2] * 512u, ==, size);
    for (size_t i = 0; i < size; i++)
        sum += rom[i];
    g_assert_cmphex(sum, ==, 0);
    g_assert_cmpmem(rom + get16(rom + 0x1a), 4, "$PnP", 4);
    plan = (const BootPlan *)(rom + (linuxboot_rom_plan - linuxboot_rom));
    for (unsigned i = 0; i < plan->n_loads; i++)
        for (int step = 0; step < 2; step++) {
            uint32_t words[4] = {
                GUINT32_TO_BE(step ? 2 : (uint32_t)plan->loads[i].key << 16 | 8 | 4),
                GUINT32_TO_BE(step ? plan->loads[i].size : plan->loads[i].offset), 0,
                GUINT32_TO_BE(plan->loads[i].address)};

            memory_write(board->memory, 0x7c00, words, sizeof words);
            port_write(board->memory, 0x514, 0, 4);
            port_write(board->memory, 0x518, GUINT32_TO_BE(0x7c00), 4);
            g_assert_cmphex(memory_read_uint(board->memory, 0x7c00, 4), ==, 0);
        }
    return plan;
}

/* A bzImage of 4 setup sectors and SIZE bytes of kernel. */
static uint8_t *make_linux(uint16_t version, size_t size, size_t *total)
{
    uint8_t *image;

    *total = 5 * 512 + size;
    image = g_malloc0(*total);
    for (size_t i = 5 * 512; i < *total; i++)
        image[i] = i * 3;
    image[0x1f1] = 4;
    put32(image + 0x1f4, (size + 15) / 16);
    image[0x1fe] = 0x55;
    image[0x1ff] = 0xaa;
    memcpy(image + 0x202, "HdrS", 4);
    image[0x206] = version;
    image[0x207] = version >> 8;
    image[0x211] = 1;
    put32(image + 0x22c, 0x7fffffff);
    put32(image + 0x238, 2047);
    return image;
}

static void test_linux(void)
{
    KernelFixture *fixture = kernel_new(64 * MIB);
    uint8_t *ram = fixture->board->ram->host;
    size_t size;
    g_autofree uint8_t *image = make_linux(0x20f, 100000, &size);
    g_autofree char *initrd = write_file(fixture, "initrd", "INITRD", 6);
    const BootPlan *plan;
    uint32_t initrd_at;

    write_kernel(fixture, image, size);
    fixture->config.append = (char *)"console=ttyS0 vga=0x317";
    fixture->config.initrd = initrd;
    plan = run_plan(fixture);
    g_assert_cmpuint(plan->mode, ==, BOOT_REAL_MODE);
    g_assert_cmphex(plan->segment, ==, 0x1000);
    g_assert_cmpmem(ram + 0x100000, 100000, image + 5 * 512, 100000);
    g_assert_cmpstr((char *)ram + get32(ram + 0x10228), ==, "console=ttyS0 vga=0x317");
    g_assert_cmphex(get16(ram + 0x101fa), ==, 0x317);
    g_assert_cmphex(ram[0x10210], ==, 0xff);
    g_assert_cmphex(ram[0x10211], ==, 0x81);
    initrd_at = get32(ram + 0x10218);
    g_assert_cmpuint(get32(ram + 0x1021c), ==, 6);
    g_assert_cmpuint(initrd_at % 4096, ==, 0);
    g_assert_cmpuint(initrd_at, >, 60 * MIB);
    g_assert_cmpmem(ram + initrd_at, 6, "INITRD", 6);

    /* An old kernel: command line by magic, at 90000h. */
    fixture->config.initrd = NULL;
    image[0x206] = 0x01;
    write_kernel(fixture, image, size);
    plan = run_plan(fixture);
    g_assert_cmphex(plan->segment, ==, 0x9000);
    g_assert_cmphex(get16(ram + 0x90020), ==, 0xa33f);
    g_assert_cmpstr((char *)ram + 0x90000 + get16(ram + 0x90022), ==, "console=ttyS0 vga=0x317");
    g_unlink(initrd);
    kernel_free(fixture);
}

static void test_linux_errors(void)
{
    KernelFixture *fixture = kernel_new(16 * MIB);
    size_t size;
    g_autofree uint8_t *image = make_linux(0x20f, 100000, &size);
    g_autofree char *line = g_strnfill(3000, 'x'), *big = NULL;
    g_autofree uint8_t *filler = g_malloc0(15 * MIB);

    expect_error(fixture, "cannot be opened");
    write_kernel(fixture, "", 0);
    expect_error(fixture, "is empty");
    write_kernel(fixture, "garbage", 7);
    expect_error(fixture, "neither a Linux kernel");
    write_kernel(fixture, image, 1000);
    expect_error(fixture, "truncated");
    write_kernel(fixture, image, size - 20000);
    expect_error(fixture, "truncated");
    write_kernel(fixture, image, size);
    fixture->config.append = line;
    expect_error(fixture, "3000 characters");
    fixture->config.append = NULL;
    fixture->config.initrd = (char *)"/nonexistent/initrd";
    expect_error(fixture, "/nonexistent/initrd");
    fixture->config.initrd = fixture->folder;
    expect_error(fixture, "is not a file");
    big = write_file(fixture, "initrd", filler, 15 * MIB);
    fixture->config.initrd = big;
    expect_error(fixture, "does not fit");
    g_unlink(big);
    big[0] = '/';
    fixture->config.initrd = NULL;
    write_kernel(fixture, filler, 15 * MIB);
    expect_error(fixture, "neither a Linux kernel");
    kernel_free(fixture);
}

/* Real kernels, where they are installed. */
static void test_real_kernels(void)
{
    static const char *const paths[] = {"/boot/memtest86+x64.bin", "/boot/memtest86+ia32.bin",
                                        "/boot/ipxe.lkrn"};

    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        KernelFixture *fixture = kernel_new(64 * MIB);
        g_autofree char *own = fixture->config.kernel;

        fixture->config.kernel = g_strdup(paths[i]);
        if (g_file_test(paths[i], G_FILE_TEST_EXISTS))
            run_plan(fixture);
        else
            g_test_message("%s is not installed", paths[i]);
        g_free(fixture->config.kernel);
        fixture->config.kernel = g_steal_pointer(&own);
        kernel_free(fixture);
    }
}

/* --- multiboot ------------------------------------------------------------------------------ */

static void put_header(uint8_t *p, uint32_t flags)
{
    put32(p, 0x1badb002);
    put32(p + 4, flags);
    put32(p + 8, -(0x1badb002 + flags));
}

/* An ELF file with one segment of 0x2000 bytes and 0x1000 of BSS at ADDRESS, entered at +20h. */
static uint8_t *make_elf(bool is_64, uint32_t address, uint64_t virtual_offset, size_t *size)
{
    uint8_t *image;

    *size = 0x3000;
    image = g_malloc0(*size);
    if (is_64) {
        Elf64_Ehdr *ehdr = (Elf64_Ehdr *)image;
        Elf64_Phdr *phdr = (Elf64_Phdr *)(image + sizeof *ehdr);

        *ehdr = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
                             .e_type = ET_EXEC,
                             .e_machine = EM_X86_64,
                             .e_entry = address + virtual_offset + 0x20,
                             .e_phoff = sizeof *ehdr,
                             .e_phentsize = sizeof *phdr,
                             .e_phnum = 1};
        *phdr = (Elf64_Phdr){.p_type = PT_LOAD,
                             .p_offset = 0x1000,
                             .p_vaddr = address + virtual_offset,
                             .p_paddr = address,
                             .p_filesz = 0x2000,
                             .p_memsz = 0x3000};
    } else {
        Elf32_Ehdr *ehdr = (Elf32_Ehdr *)image;
        Elf32_Phdr *phdr = (Elf32_Phdr *)(image + sizeof *ehdr);

        *ehdr = (Elf32_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1},
                             .e_type = ET_EXEC,
                             .e_machine = EM_386,
                             .e_entry = address + virtual_offset + 0x20,
                             .e_phoff = sizeof *ehdr,
                             .e_phentsize = sizeof *phdr,
                             .e_phnum = 1};
        *phdr = (Elf32_Phdr){.p_type = PT_LOAD,
                             .p_offset = 0x1000,
                             .p_vaddr = address + virtual_offset,
                             .p_paddr = address,
                             .p_filesz = 0x2000,
                             .p_memsz = 0x3000};
    }
    put_header(image + 0x1000, 3);
    memset(image + 0x1020, 0xaa, 0x1fe0);
    return image;
}

static void test_multiboot_elf(void)
{
    for (int is_64 = 0; is_64 < 2; is_64++) {
        KernelFixture *fixture = kernel_new(64 * MIB);
        uint8_t *ram = fixture->board->ram->host;
        size_t size;
        g_autofree uint8_t *image =
            make_elf(is_64, 0x200000, is_64 ? 0xffffffff80000000ull : 0xc0000000, &size);
        g_autofree char *one = write_file(fixture, "one", "first", 5);
        g_autofree char *two = write_file(fixture, "two", "second", 6);
        g_autofree char *modules = g_strdup_printf("%s,%s with,,comma", one, two);
        g_autofree char *line = g_strconcat(fixture->config.kernel, " -v x", NULL);
        g_autofree char *second_line = g_strconcat(two, " with,comma", NULL);
        const BootPlan *plan;
        const uint8_t *info, *module;

        write_kernel(fixture, image, size);
        fixture->config.append = (char *)"-v x";
        fixture->config.initrd = modules;
        memset(ram + 0x200000, 0x77, 0x4000);
        plan = run_plan(fixture);
        g_assert_cmpuint(plan->mode, ==, BOOT_MULTIBOOT);
        g_assert_cmphex(plan->entry, ==, 0x200020);
        g_assert_cmpmem(ram + 0x200000, 0x2000, image + 0x1000, 0x2000);
        g_assert_cmphex(ram[0x202000], ==, 0); /* BSS */
        g_assert_cmphex(ram[0x202fff], ==, 0);
        info = ram + plan->info_segment * 16;
        g_assert_cmphex(get32(info), ==, 1 | 4 | 8 | 0x40 | 0x200);
        g_assert_cmpstr((char *)ram + get32(info + 16), ==, line);
        g_assert_cmpuint(get32(info + 20), ==, 2);
        module = ram + get32(info + 24);
        g_assert_cmphex(get32(module) % 4096, ==, 0);
        g_assert_cmphex(get32(module), >=, 0x203000);
        g_assert_cmpmem(ram + get32(module), get32(module + 4) - get32(module), "first", 5);
        module += 16;
        g_assert_cmpmem(ram + get32(module), get32(module + 4) - get32(module), "second", 6);
        g_assert_cmpstr((char *)ram + get32(module + 8), ==, second_line);
        g_assert_cmpstr((char *)ram + get32(info + 64), ==, "Apiary");
        g_assert_cmphex(get32(info + 48), ==, plan->info_segment * 16 + plan->mmap_offset);
        g_unlink(one);
        g_unlink(two);
        kernel_free(fixture);
    }
}

static void test_multiboot_addresses(void)
{
    KernelFixture *fixture = kernel_new(64 * MIB);
    uint8_t *ram = fixture->board->ram->host, image[0x1000] = {0};
    const BootPlan *plan;

    memset(image, 0x42, sizeof image);
    put_header(image + 0x40, 0x10000);
    put32(image + 0x4c, 0x100040); /* header_addr */
    put32(image + 0x50, 0x100020); /* load_addr: 20h before, so from file offset 20h */
    put32(image + 0x54, 0);        /* to the end of the file */
    put32(image + 0x58, 0x102000);
    put32(image + 0x5c, 0x100080);
    write_kernel(fixture, image, sizeof image);
    memset(ram + 0x100000, 0x77, 0x3000);
    plan = run_plan(fixture);
    g_assert_cmphex(plan->entry, ==, 0x100080);
    g_assert_cmpmem(ram + 0x100020, 0xfe0, image + 0x20, 0xfe0);
    g_assert_cmphex(ram[0x101000], ==, 0);
    g_assert_cmphex(ram[0x101fff], ==, 0);
    g_assert_cmphex(ram[0x102000], ==, 0x77);
    put32(image + 0x50, 0x100080); /* load address behind the header */
    write_kernel(fixture, image, sizeof image);
    expect_error(fixture, "malformed");
    kernel_free(fixture);
}

static void test_multiboot_errors(void)
{
    KernelFixture *fixture = kernel_new(16 * MIB);
    size_t size;
    g_autofree uint8_t *image = make_elf(false, 0x200000, 0, &size);
    Elf32_Phdr *phdr = (Elf32_Phdr *)(image + sizeof(Elf32_Ehdr));

    write_kernel(fixture, image, 0x2000);
    expect_error(fixture, "outside the file");
    phdr->p_paddr = 0x10000000;
    write_kernel(fixture, image, size);
    expect_error(fixture, "no free memory");
    phdr->p_paddr = 0xa0000;
    write_kernel(fixture, image, size);
    expect_error(fixture, "no free memory");
    phdr->p_paddr = 0x200000;
    phdr->p_memsz = 0x1000;
    write_kernel(fixture, image, size);
    expect_error(fixture, "larger in the file");
    phdr->p_memsz = 0xffffffff;
    write_kernel(fixture, image, size);
    expect_error(fixture, "no free memory");
    phdr->p_memsz = 0x3000;
    put_header(image + 0x1000, 0x8003);
    write_kernel(fixture, image, size);
    expect_error(fixture, "not supported");
    kernel_free(fixture);
}

/* Damaged images must be refused or loaded, and nothing else. */
static void test_damaged(void)
{
    KernelFixture *fixture = kernel_new(16 * MIB);
    g_autoptr(GRand) rand = g_rand_new_with_seed(42);

    for (int round = 0; round < 2000; round++) {
        size_t size;
        g_autofree uint8_t *image = round % 3 == 2 ? make_linux(0x20f, 2000, &size)
                                                   : make_elf(round % 3, 0x200000, 0, &size);
        g_autoptr(GError) error = NULL;

        for (int i = g_rand_int_range(rand, 1, 6); i > 0; i--) {
            size_t at = g_rand_int_range(rand, 0, round % 3 == 2 ? 0x268 : 0x90);

            image[at] = g_rand_int(rand);
        }
        write_kernel(fixture, image, size);
        if (linuxboot_publish(fixture->board, &fixture->config, &error))
            run_plan(fixture);
        else
            g_assert_nonnull(error);
    }
    kernel_free(fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/boot/items", test_items);
    g_test_add_func("/boot/order", test_boot_order);
    g_test_add_func("/boot/smbios", test_smbios);
    g_test_add_func("/boot/linux", test_linux);
    g_test_add_func("/boot/linux-errors", test_linux_errors);
    g_test_add_func("/boot/real-kernels", test_real_kernels);
    g_test_add_func("/boot/multiboot-elf", test_multiboot_elf);
    g_test_add_func("/boot/multiboot-addresses", test_multiboot_addresses);
    g_test_add_func("/boot/multiboot-errors", test_multiboot_errors);
    g_test_add_func("/boot/damaged-images", test_damaged);
    return g_test_run();
}
