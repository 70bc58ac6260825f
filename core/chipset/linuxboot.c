/* SPDX-License-Identifier: GPL-3.0-or-later */
#define G_LOG_DOMAIN "linuxboot"

#include "core/chipset/linuxboot.h"

#include "core/chipset/boot-plan.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The Linux/x86 boot protocol: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". */

/* Offsets in the kernel file. */
enum {
    HDR_SETUP_SECTS = 0x1f1,
    HDR_SYSSIZE = 0x1f4,
    HDR_VID_MODE = 0x1fa,
    HDR_BOOT_FLAG = 0x1fe,
    HDR_HEADER = 0x202,
    HDR_VERSION = 0x206,
    HDR_TYPE_OF_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_HEAP_END_PTR = 0x224,
    HDR_CMD_LINE_PTR = 0x228,
    HDR_INITRD_ADDR_MAX = 0x22c,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_END = 0x268,
    /* before protocol 2.02 */
    OLD_CL_MAGIC = 0x20,
    OLD_CL_OFFSET = 0x22,
};

enum { LOADED_HIGH = 1 << 0, CAN_USE_HEAP = 1 << 7 };

#define MAGIC_HDRS         0x53726448u /* "HdrS" */
#define OLD_CL_MAGIC_VALUE 0xa33f
#define LOADER_UNDEFINED   0xff
#define SECTOR             512u
#define PAGE               4096u

#define REAL_ADDR_LOW      0x90000u /* before 2.02, and zImages */
#define REAL_ADDR          0x10000u
#define CMDLINE_ADDR       0x20000u
#define LOW_AREA_END       0x9a000u /* below the extended BIOS data area */
#define PROT_ADDR_LOW      0x10000u
#define PROT_ADDR          0x100000u
#define LOW_CMDLINE_MAX    255u
#define INITRD_MAX_OLD     0x37ffffffu

/* SeaBIOS keeps up to 256 KiB at the end of low memory; leave more. */
#define FIRMWARE_RESERVE   0x100000u

#define ROM_UNIT           512u
#define ROM_SIZE_OFFSET    2
#define ROM_CHECKSUM       5 /* an unused byte of the header */
#define PNP_HEADER         0x20
#define PNP_LENGTH         32
#define PNP_CHECKSUM       9

/* linuxboot-rom.S */
extern const uint8_t linuxboot_rom[], linuxboot_rom_plan[];

/* Where the pieces of a Linux kernel go. */
typedef struct {
    uint16_t version;
    uint32_t real_addr, cmdline_addr, prot_addr;
    uint32_t setup_size, prot_size, cmdline_size; /* with the NUL */
    uint32_t initrd_addr, initrd_size;
} LinuxLayout;

/* --- bytes ---------------------------------------------------------------------------------- */

static uint16_t get16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
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

/* --- shared with multiboot.c ---------------------------------------------------------------- */

bool boot_plan_add(BootPlan *plan, uint16_t key, uint32_t offset, uint32_t address, uint32_t size)
{
    unsigned count = GUINT16_FROM_LE(plan->n_loads);

    if (!size)
        return true;
    if (count == BOOT_PLAN_MAX_LOADS)
        return false;
    plan->loads[count].key = GUINT16_TO_LE(key);
    plan->loads[count].offset = GUINT32_TO_LE(offset);
    plan->loads[count].address = GUINT32_TO_LE(address);
    plan->loads[count].size = GUINT32_TO_LE(size);
    plan->n_loads = GUINT16_TO_LE(count + 1);
    return true;
}

uint64_t boot_memory_end(const Board *board)
{
    return board->ram_below_4g - MIN(board->ram_below_4g, FIRMWARE_RESERVE);
}

GBytes *boot_read_file(const char *path, const char *what, uint64_t limit, GError **error)
{
    g_autofree char *contents = NULL;
    g_autoptr(GError) cause = NULL;
    struct stat status;
    gsize length;

    if (stat(path, &status) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    _("The %s “%s” cannot be opened: %s"), _(what), path, g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(status.st_mode)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE,
                    _("The %s “%s” is not a file: give the path of a %s image"), _(what), path,
                    _(what));
        return NULL;
    }
    if ((uint64_t)status.st_size > limit) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    _("The %s “%s” (%" PRId64
                      " MiB) does not fit into the machine's memory: give the machine more"),
                    _(what), path, ((int64_t)status.st_size + (1 << 20) - 1) >> 20);
        return NULL;
    }
    if (!g_file_get_contents(path, &contents, &length, &cause)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, _("The %s “%s” cannot be read: %s"),
                    _(what), path, cause->message);
        return NULL;
    }
    if (!length) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, _("The %s “%s” is empty"), _(what),
                    path);
        return NULL;
    }
    return g_bytes_new_take(g_steal_pointer(&contents), length);
}

/* --- Linux ---------------------------------------------------------------------------------- */

static bool is_linux(GBytes *file)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);

    return size >= HDR_END && get16(data + HDR_BOOT_FLAG) == 0xaa55 &&
           get32(data + HDR_HEADER) == MAGIC_HDRS;
}

static bool set_truncated(const MachineConfig *config, GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                _("The kernel “%s” is truncated: copy or download it again"), config->kernel);
    return false;
}

/* The places for the kernel's two halves and its command line. */
static bool lay_out_kernel(const MachineConfig *config, GBytes *file, const char *command_line,
                           LinuxLayout *layout, GError **error)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);
    unsigned sectors = data[HDR_SETUP_SECTS] ? data[HDR_SETUP_SECTS] : 4;
    bool high = data[HDR_LOADFLAGS] & LOADED_HIGH;
    uint32_t longest = LOW_CMDLINE_MAX;

    layout->version = get16(data + HDR_VERSION);
    layout->setup_size = (sectors + 1) * SECTOR;
    if (size <= layout->setup_size || layout->setup_size < HDR_END)
        return set_truncated(config, error);
    layout->prot_size = size - layout->setup_size;
    /* In units of 16 bytes; a word before protocol 2.04. */
    uint64_t syssize =
        layout->version >= 0x204 ? get32(data + HDR_SYSSIZE) : get16(data + HDR_SYSSIZE);
    if (layout->prot_size + 15ull < syssize * 16)
        return set_truncated(config, error);

    if (layout->version >= 0x206 && get32(data + HDR_CMDLINE_SIZE))
        longest = MIN(get32(data + HDR_CMDLINE_SIZE), LOW_AREA_END - CMDLINE_ADDR - 1);
    layout->cmdline_size = strlen(command_line) + 1;
    if (layout->cmdline_size - 1 > longest) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("The kernel's command line is %u characters long; “%s” takes %u at most"),
                    layout->cmdline_size - 1, config->kernel, longest);
        return false;
    }
    layout->prot_addr = high ? PROT_ADDR : PROT_ADDR_LOW;
    if (high && layout->version >= 0x202) {
        layout->real_addr = REAL_ADDR;
        layout->cmdline_addr = CMDLINE_ADDR;
    } else {
        layout->real_addr = REAL_ADDR_LOW;
        layout->cmdline_addr = (LOW_AREA_END - layout->cmdline_size) & ~15u;
    }
    return true;
}

static bool lay_out_initrd(Board *board, const MachineConfig *config, GBytes *file, GBytes *initrd,
                           LinuxLayout *layout, GError **error)
{
    const uint8_t *data = g_bytes_get_data(file, NULL);
    uint64_t end = boot_memory_end(board), limit = INITRD_MAX_OLD;
    uint64_t kernel_end = (uint64_t)layout->prot_addr + layout->prot_size;

    if (layout->version >= 0x203)
        limit = get32(data + HDR_INITRD_ADDR_MAX);
    end = MIN(end, limit + 1);
    if (kernel_end > boot_memory_end(board) ||
        (layout->prot_addr == PROT_ADDR_LOW && kernel_end > layout->real_addr)) {
        g_set_error(
            error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
            _("The kernel “%s” does not fit into the machine's memory: give the machine more"),
            config->kernel);
        return false;
    }
    if (!initrd)
        return true;
    layout->initrd_size = g_bytes_get_size(initrd);
    if (layout->initrd_size > end ||
        ((end - layout->initrd_size) & ~(uint64_t)(PAGE - 1)) < MAX(kernel_end, PROT_ADDR)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    _("The initrd “%s” (%u MiB) does not fit into the machine's memory beside the "
                      "kernel: give the machine more"),
                    config->initrd, (layout->initrd_size + (1u << 20) - 1) >> 20);
        return false;
    }
    layout->initrd_addr = (end - layout->initrd_size) & ~(uint64_t)(PAGE - 1);
    return true;
}

/* vga= is the boot loader's to obey ("Special Command Line Options"). */
static void set_video_mode(uint8_t *setup, const char *command_line)
{
    g_auto(GStrv) words = g_strsplit(command_line, " ", -1);

    for (int i = 0; words[i]; i++) {
        const char *value;

        if (!g_str_has_prefix(words[i], "vga="))
            continue;
        value = words[i] + 4;
        if (!strcmp(value, "normal"))
            set16(setup + HDR_VID_MODE, 0xffff);
        else if (!strcmp(value, "ext"))
            set16(setup + HDR_VID_MODE, 0xfffe);
        else if (!strcmp(value, "ask"))
            set16(setup + HDR_VID_MODE, 0xfffd);
        else
            set16(setup + HDR_VID_MODE, strtoul(value, NULL, 0));
    }
}

/* The real-mode half with everything a boot loader fills in. */
static GBytes *patched_setup(GBytes *file, const char *command_line, const LinuxLayout *layout)
{
    uint8_t *setup = g_memdup2(g_bytes_get_data(file, NULL), layout->setup_size);

    set_video_mode(setup, command_line);
    setup[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
    if (layout->version >= 0x201) {
        setup[HDR_LOADFLAGS] |= CAN_USE_HEAP;
        set16(setup + HDR_HEAP_END_PTR, layout->cmdline_addr - layout->real_addr - 0x200);
    }
    if (layout->version >= 0x202) {
        set32(setup + HDR_CMD_LINE_PTR, layout->cmdline_addr);
    } else {
        set16(setup + OLD_CL_MAGIC, OLD_CL_MAGIC_VALUE);
        set16(setup + OLD_CL_OFFSET, layout->cmdline_addr - layout->real_addr);
    }
    if (layout->initrd_size) {
        set32(setup + HDR_RAMDISK_IMAGE, layout->initrd_addr);
        set32(setup + HDR_RAMDISK_SIZE, layout->initrd_size);
    }
    return g_bytes_new_take(setup, layout->setup_size);
}

/* The keys that OVMF and QEMU's own option ROMs read; ours goes by the plan. */
static void publish_linux(FwCfg *fw, GBytes *file, GBytes *initrd, const char *command_line,
                          const LinuxLayout *layout)
{
    g_autoptr(GBytes) setup = patched_setup(file, command_line, layout);
    g_autoptr(GBytes) kernel = g_bytes_new_from_bytes(file, layout->setup_size, layout->prot_size);

    fw_cfg_add_u32(fw, FW_CFG_SETUP_ADDR, layout->real_addr);
    fw_cfg_add_u32(fw, FW_CFG_SETUP_SIZE, layout->setup_size);
    fw_cfg_add_shared(fw, FW_CFG_SETUP_DATA, setup);
    fw_cfg_add_u32(fw, FW_CFG_KERNEL_ADDR, layout->prot_addr);
    fw_cfg_add_u32(fw, FW_CFG_KERNEL_SIZE, layout->prot_size);
    fw_cfg_add_shared(fw, FW_CFG_KERNEL_DATA, kernel);
    fw_cfg_add_u32(fw, FW_CFG_CMDLINE_ADDR, layout->cmdline_addr);
    fw_cfg_add_u32(fw, FW_CFG_CMDLINE_SIZE, layout->cmdline_size);
    fw_cfg_add_bytes(fw, FW_CFG_CMDLINE_DATA, command_line, layout->cmdline_size);
    fw_cfg_add_u32(fw, FW_CFG_INITRD_ADDR, layout->initrd_addr);
    fw_cfg_add_u32(fw, FW_CFG_INITRD_SIZE, layout->initrd_size);
    if (initrd)
        fw_cfg_add_shared(fw, FW_CFG_INITRD_DATA, initrd);
}

static bool prepare_linux(Board *board, const MachineConfig *config, GBytes *file, BootPlan *plan,
                          GError **error)
{
    const char *command_line = config->append ? config->append : "";
    g_autoptr(GBytes) initrd = NULL;
    LinuxLayout layout = {0};

    if (config->initrd && config->initrd[0]) {
        initrd = boot_read_file(config->initrd, N_("initrd"), board->ram_below_4g, error);
        if (!initrd)
            return false;
    }
    if (!lay_out_kernel(config, file, command_line, &layout, error) ||
        !lay_out_initrd(board, config, file, initrd, &layout, error))
        return false;
    publish_linux(board->fw_cfg, file, initrd, command_line, &layout);
    plan->mode = GUINT16_TO_LE(BOOT_REAL_MODE);
    plan->segment = GUINT16_TO_LE(layout.real_addr >> 4);
    plan->stack = GUINT16_TO_LE(layout.cmdline_addr - layout.real_addr - 16);
    boot_plan_add(plan, FW_CFG_SETUP_DATA, 0, layout.real_addr, layout.setup_size);
    boot_plan_add(plan, FW_CFG_CMDLINE_DATA, 0, layout.cmdline_addr, layout.cmdline_size);
    boot_plan_add(plan, FW_CFG_KERNEL_DATA, 0, layout.prot_addr, layout.prot_size);
    boot_plan_add(plan, FW_CFG_INITRD_DATA, 0, layout.initrd_addr, layout.initrd_size);
    return true;
}

/* --- the option ROM ------------------------------------------------------------------------- */

static uint8_t negative_sum(const uint8_t *bytes, size_t length)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return -sum;
}

/* The code, the plan behind it, and the size and checksums that make it an option ROM. */
static void publish_rom(FwCfg *fw, const BootPlan *plan)
{
    size_t code_size = linuxboot_rom_plan - linuxboot_rom;
    size_t used = code_size + offsetof(BootPlan, loads) +
                  GUINT16_FROM_LE(plan->n_loads) * sizeof plan->loads[0];
    size_t size = (used + ROM_UNIT - 1) / ROM_UNIT * ROM_UNIT;
    g_autofree uint8_t *rom = g_malloc0(size);

    memcpy(rom, linuxboot_rom, code_size);
    memcpy(rom + code_size, plan, used - code_size);
    rom[ROM_SIZE_OFFSET] = size / ROM_UNIT;
    rom[PNP_HEADER + PNP_CHECKSUM] = negative_sum(rom + PNP_HEADER, PNP_LENGTH);
    rom[ROM_CHECKSUM] = negative_sum(rom, size);
    fw_cfg_add_file(fw, LINUXBOOT_ROM_FILE, rom, size);
}

bool linuxboot_publish(Board *board, const MachineConfig *config, GError **error)
{
    g_autofree BootPlan *plan = g_new0(BootPlan, 1);
    g_autoptr(GBytes) file = NULL;

    if (!config->kernel || !config->kernel[0])
        return true;
    file = boot_read_file(config->kernel, N_("kernel"), board->ram_below_4g, error);
    if (!file)
        return false;
    if (is_linux(file)) {
        if (!prepare_linux(board, config, file, plan, error))
            return false;
    } else if (multiboot_detect(file)) {
        if (!multiboot_prepare(board, config, file, plan, error))
            return false;
    } else {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    _("“%s” is neither a Linux kernel (bzImage) nor a multiboot image"),
                    config->kernel);
        return false;
    }
    publish_rom(board->fw_cfg, plan);
    return true;
}
