/* SPDX-License-Identifier: GPL-3.0-or-later */
#define G_LOG_DOMAIN "multiboot"

#include "core/chipset/boot-plan.h"

#include <elf.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

/* The Multiboot Specification 0.6.96: header in section 3.1, information structure in 3.3. */

#define HEADER_MAGIC  0x1badb002u
#define HEADER_SEARCH 8192u /* the header lies in the first 8 KiB, at a multiple of 4 */

enum {
    HEADER_PAGE_ALIGN = 1 << 0,
    HEADER_MEMORY_INFO = 1 << 1,
    HEADER_VIDEO_MODE = 1 << 2,
    HEADER_REQUIRED = 0xffff, /* what a loader must know to load the image */
    HEADER_ADDRESSES = 1 << 16,
};

enum {
    INFO_MEMORY = 1 << 0,
    INFO_CMDLINE = 1 << 2,
    INFO_MODS = 1 << 3,
    INFO_MEM_MAP = 1 << 6,
    INFO_LOADER_NAME = 1 << 9,
};

/* Offsets in the information structure. */
enum {
    MBI_FLAGS = 0,
    MBI_CMDLINE = 16,
    MBI_MODS_COUNT = 20,
    MBI_MODS_ADDR = 24,
    MBI_MMAP_ADDR = 48,
    MBI_LOADER_NAME = 64,
    MBI_SIZE = 116,
};

#define MODULE_ENTRY  16
#define MAX_MODULES   32
#define MAX_INFO_SIZE 0xf000u /* the ROM reaches it through one segment */
#define LOADER_NAME   "Apiary"
#define PAGE          4096u
#define ONE_MIB       0x100000u
#define LOW_RAM_END   0x9a000u
#define FIRST_FREE    0x8000u /* below: interrupt table, BIOS data, the ROM's stack */

typedef struct {
    uint32_t file_offset, address, file_size, memory_size;
} Segment;

typedef struct {
    uint32_t offset; /* in the file */
    uint32_t flags;
    uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
} Header;

typedef struct {
    GBytes *data;
    char *command_line; /* path and arguments */
    uint32_t address;
} Module;

/* The image and where everything goes. */
typedef struct {
    Board *board;
    const MachineConfig *config;
    const uint8_t *data;
    gsize size;
    GArray *segments; /* Segment */
    GArray *modules;  /* Module */
    uint32_t entry;
    uint64_t end; /* first free address above the kernel, from 1 MiB up */
} Image;

/* --- bytes ---------------------------------------------------------------------------------- */

static uint32_t get32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void set32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = value >> 8 * i;
}

/* --- header --------------------------------------------------------------------------------- */

static bool find_header(const uint8_t *data, gsize size, Header *header)
{
    for (uint32_t at = 0; at + 12 <= MIN(size, HEADER_SEARCH); at += 4) {
        uint32_t flags = get32(data + at + 4);

        if (get32(data + at) != HEADER_MAGIC || HEADER_MAGIC + flags + get32(data + at + 8) != 0)
            continue;
        *header = (Header){.offset = at, .flags = flags};
        if (!(flags & HEADER_ADDRESSES))
            return true;
        if (at + 32 > size)
            return false;
        header->header_addr = get32(data + at + 12);
        header->load_addr = get32(data + at + 16);
        header->load_end_addr = get32(data + at + 20);
        header->bss_end_addr = get32(data + at + 24);
        header->entry_addr = get32(data + at + 28);
        return true;
    }
    return false;
}

bool multiboot_detect(GBytes *file)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);
    Header header;

    return find_header(data, size, &header);
}

/* --- segments ------------------------------------------------------------------------------- */

static bool set_malformed(const Image *image, GError **error, const char *detail)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                _("The multiboot kernel “%s” is malformed or truncated: %s"), image->config->kernel,
                _(detail));
    return false;
}

/* Checks a segment against the file and the machine's memory and takes it. */
static bool add_segment(Image *image, uint64_t offset, uint64_t address, uint64_t file_size,
                        uint64_t memory_size, GError **error)
{
    Segment segment = {offset, address, file_size, memory_size};
    uint64_t end = address + memory_size;
    bool low = address >= FIRST_FREE && end <= LOW_RAM_END;
    bool high = address >= ONE_MIB && end <= boot_memory_end(image->board);

    if (file_size > memory_size)
        return set_malformed(image, error, "a segment is larger in the file than in memory");
    if (offset > image->size || file_size > image->size - offset)
        return set_malformed(image, error, "a segment lies outside the file");
    if (!memory_size)
        return true;
    if (memory_size > UINT32_MAX || address > UINT32_MAX || !(low || high)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    _("The multiboot kernel “%s” wants to be loaded at %" PRIx64 "-%" PRIx64
                      " (hexadecimal), where the machine has no free memory"),
                    image->config->kernel, address, end);
        return false;
    }
    g_array_append_val(image->segments, segment);
    if (high)
        image->end = MAX(image->end, end);
    return true;
}

/* The header's own addresses, for images that are not ELF (section 3.1.3). */
static bool load_by_addresses(Image *image, const Header *header, GError **error)
{
    uint64_t before = (uint64_t)header->header_addr - header->load_addr, file_size, memory_size;

    if (header->load_addr > header->header_addr || before > header->offset)
        return set_malformed(image, error, "its load address is not before its header");
    if (header->load_end_addr && header->load_end_addr < header->load_addr)
        return set_malformed(image, error, "its load end address is before its load address");
    file_size = header->load_end_addr ? header->load_end_addr - header->load_addr
                                      : image->size - (header->offset - before);
    memory_size = file_size;
    if (header->bss_end_addr) {
        if (header->bss_end_addr < header->load_addr + file_size)
            return set_malformed(image, error, "its BSS ends before its data");
        memory_size = header->bss_end_addr - header->load_addr;
    }
    image->entry = header->entry_addr;
    return add_segment(image, header->offset - before, header->load_addr, file_size, memory_size,
                       error);
}

/* The entry point may be a virtual address of a segment that is loaded elsewhere. */
static void translate_entry(uint64_t *entry, uint64_t virtual, uint64_t physical, uint64_t size,
                            bool *found)
{
    if (*found || *entry < virtual || *entry - virtual >= size)
        return;
    *entry = *entry - virtual + physical;
    *found = true;
}

static bool load_elf32(Image *image, GError **error)
{
    Elf32_Ehdr ehdr;
    uint64_t entry;
    bool found = false;

    memcpy(&ehdr, image->data, sizeof ehdr);
    if (ehdr.e_machine != EM_386 && ehdr.e_machine != EM_X86_64)
        return set_malformed(image, error, "it is an ELF file for another processor");
    entry = ehdr.e_entry;
    for (unsigned i = 0; i < ehdr.e_phnum; i++) {
        uint64_t at = ehdr.e_phoff + (uint64_t)i * ehdr.e_phentsize;
        Elf32_Phdr phdr;

        if (ehdr.e_phentsize < sizeof phdr || at > image->size || image->size - at < sizeof phdr)
            return set_malformed(image, error, "its program headers lie outside the file");
        memcpy(&phdr, image->data + at, sizeof phdr);
        if (phdr.p_type != PT_LOAD)
            continue;
        if (!add_segment(image, phdr.p_offset, phdr.p_paddr, phdr.p_filesz, phdr.p_memsz, error))
            return false;
        translate_entry(&entry, phdr.p_vaddr, phdr.p_paddr, phdr.p_memsz, &found);
    }
    image->entry = entry;
    return true;
}

static bool load_elf64(Image *image, GError **error)
{
    Elf64_Ehdr ehdr;
    uint64_t entry;
    bool found = false;

    if (image->size < sizeof ehdr)
        return set_malformed(image, error, "its ELF header is cut off");
    memcpy(&ehdr, image->data, sizeof ehdr);
    if (ehdr.e_machine != EM_X86_64)
        return set_malformed(image, error, "it is an ELF file for another processor");
    entry = ehdr.e_entry;
    for (unsigned i = 0; i < ehdr.e_phnum; i++) {
        uint64_t at = ehdr.e_phoff + (uint64_t)i * ehdr.e_phentsize;
        Elf64_Phdr phdr;

        if (ehdr.e_phentsize < sizeof phdr || at < ehdr.e_phoff || at > image->size ||
            image->size - at < sizeof phdr)
            return set_malformed(image, error, "its program headers lie outside the file");
        memcpy(&phdr, image->data + at, sizeof phdr);
        if (phdr.p_type != PT_LOAD)
            continue;
        if (!add_segment(image, phdr.p_offset, phdr.p_paddr, phdr.p_filesz, phdr.p_memsz, error))
            return false;
        translate_entry(&entry, phdr.p_vaddr, phdr.p_paddr, phdr.p_memsz, &found);
    }
    if (entry > UINT32_MAX)
        return set_malformed(image, error, "its entry point is above 4 GiB");
    image->entry = entry;
    return true;
}

static bool load_segments(Image *image, GError **error)
{
    Header header;

    if (!find_header(image->data, image->size, &header))
        return set_malformed(image, error, "its multiboot header is incomplete");
    if (header.flags & HEADER_REQUIRED &
        ~(HEADER_PAGE_ALIGN | HEADER_MEMORY_INFO | HEADER_VIDEO_MODE)) {
        g_set_error(
            error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
            _("The multiboot kernel “%s” requires features that are not supported (flags %x)"),
            image->config->kernel, header.flags & HEADER_REQUIRED);
        return false;
    }
    if (header.flags & HEADER_VIDEO_MODE)
        g_message("%s asks for a video mode; it starts in text mode", image->config->kernel);
    if (header.flags & HEADER_ADDRESSES)
        return load_by_addresses(image, &header, error);
    if (image->size < sizeof(Elf32_Ehdr) || memcmp(image->data, ELFMAG, SELFMAG) ||
        image->data[EI_DATA] != ELFDATA2LSB)
        return set_malformed(image, error, "it is not an ELF file and has no load addresses");
    if (image->data[EI_CLASS] == ELFCLASS64 ? !load_elf64(image, error) : !load_elf32(image, error))
        return false;
    if (!image->segments->len)
        return set_malformed(image, error, "it has nothing to load");
    return true;
}

/* --- modules -------------------------------------------------------------------------------- */

static void clear_module(void *pointer)
{
    Module *module = pointer;

    g_clear_pointer(&module->data, g_bytes_unref);
    g_clear_pointer(&module->command_line, g_free);
}

/* Splits "a x y,b" at commas; ",," is a comma. */
static GPtrArray *split_modules(const char *text)
{
    GPtrArray *parts = g_ptr_array_new_with_free_func(g_free);
    GString *part = g_string_new(NULL);

    for (const char *p = text; *p; p++) {
        if (*p != ',') {
            g_string_append_c(part, *p);
        } else if (p[1] == ',') {
            g_string_append_c(part, ',');
            p++;
        } else {
            g_ptr_array_add(parts, g_string_free(part, FALSE));
            part = g_string_new(NULL);
        }
    }
    g_ptr_array_add(parts, g_string_free(part, FALSE));
    return parts;
}

/* -initrd "path args,path args": each is loaded page aligned behind the kernel. */
static bool load_modules(Image *image, GError **error)
{
    g_autoptr(GPtrArray) parts = NULL;
    uint64_t memory_end = boot_memory_end(image->board);

    if (!image->config->initrd || !image->config->initrd[0])
        return true;
    parts = split_modules(image->config->initrd);
    if (parts->len > MAX_MODULES) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("There are %u multiboot modules; %d are possible"), parts->len, MAX_MODULES);
        return false;
    }
    for (guint i = 0; i < parts->len; i++) {
        char *text = g_strstrip(parts->pdata[i]);
        g_autofree char *path = g_strndup(text, strcspn(text, " "));
        Module module = {.command_line = g_strdup(text)};

        image->end = (image->end + PAGE - 1) & ~(uint64_t)(PAGE - 1);
        module.address = image->end;
        module.data = boot_read_file(path, N_("multiboot module"),
                                     memory_end - MIN(memory_end, image->end), error);
        g_array_append_val(image->modules, module);
        if (!module.data)
            return false;
        image->end += g_bytes_get_size(module.data);
    }
    return true;
}

/* --- information structure ------------------------------------------------------------------ */

/* A free place of SIZE bytes in low memory, 16-byte aligned; 0 when the kernel fills it all. */
static uint32_t find_low_place(const Image *image, uint32_t size)
{
    for (uint32_t base = 0x10000; base + size <= LOW_RAM_END; base += 0x1000) {
        bool is_free = true;

        for (guint i = 0; i < image->segments->len; i++) {
            const Segment *segment = &g_array_index(image->segments, Segment, i);

            is_free &= segment->address >= base + size ||
                       (uint64_t)segment->address + segment->memory_size <= base;
        }
        if (is_free)
            return base;
    }
    return 0;
}

static uint32_t put_string(GByteArray *out, const char *text)
{
    uint32_t offset = out->len;

    g_byte_array_append(out, (const uint8_t *)text, strlen(text) + 1);
    return offset;
}

static uint32_t put_space(GByteArray *out, uint32_t size)
{
    uint32_t offset = (out->len + 7) & ~7u;

    while (out->len < offset + size)
        g_byte_array_append(out, (const uint8_t *)"", 1);
    return offset;
}

/* Builds the structure and what it points to with offsets, then moves them all to BASE. The ROM
 * fills in mem_lower, mem_upper and the memory map. */
static GByteArray *build_info(const Image *image, const char *command_line, uint32_t *mmap_offset)
{
    GByteArray *out = g_byte_array_new();
    uint32_t modules, text;

    put_space(out, MBI_SIZE);
    modules = put_space(out, image->modules->len * MODULE_ENTRY);
    *mmap_offset = put_space(out, BOOT_MAX_MMAP * BOOT_MMAP_ENTRY);
    set32(out->data + MBI_MMAP_ADDR, *mmap_offset);
    text = put_string(out, command_line);
    set32(out->data + MBI_CMDLINE, text);
    text = put_string(out, LOADER_NAME);
    set32(out->data + MBI_LOADER_NAME, text);
    set32(out->data + MBI_FLAGS, INFO_MEMORY | INFO_CMDLINE | INFO_MEM_MAP | INFO_LOADER_NAME |
                                     (image->modules->len ? INFO_MODS : 0));
    set32(out->data + MBI_MODS_COUNT, image->modules->len);
    set32(out->data + MBI_MODS_ADDR, modules);
    for (guint i = 0; i < image->modules->len; i++) {
        const Module *module = &g_array_index(image->modules, Module, i);

        text = put_string(out, module->command_line);
        set32(out->data + modules + MODULE_ENTRY * i, module->address);
        set32(out->data + modules + MODULE_ENTRY * i + 4,
              module->address + g_bytes_get_size(module->data));
        set32(out->data + modules + MODULE_ENTRY * i + 8, text);
    }
    return out;
}

static void relocate_info(GByteArray *info, uint32_t base, guint n_modules)
{
    static const uint8_t pointers[] = {MBI_CMDLINE, MBI_MODS_ADDR, MBI_MMAP_ADDR, MBI_LOADER_NAME};
    uint32_t modules = get32(info->data + MBI_MODS_ADDR);

    for (guint i = 0; i < n_modules; i++) {
        uint8_t *text = info->data + modules + MODULE_ENTRY * i + 8;

        set32(text, get32(text) + base);
    }
    for (size_t i = 0; i < sizeof pointers; i++)
        set32(info->data + pointers[i], get32(info->data + pointers[i]) + base);
}

static bool add_info(Image *image, BootPlan *plan, GError **error)
{
    const MachineConfig *config = image->config;
    g_autofree char *command_line = config->append && config->append[0]
                                        ? g_strconcat(config->kernel, " ", config->append, NULL)
                                        : g_strdup(config->kernel);
    uint32_t mmap_offset, base;
    g_autoptr(GByteArray) info = build_info(image, command_line, &mmap_offset);

    base = info->len <= MAX_INFO_SIZE ? find_low_place(image, info->len) : 0;
    if (!base) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    _("The command lines for the multiboot kernel “%s” do not fit below 640 KiB"),
                    config->kernel);
        return false;
    }
    relocate_info(info, base, image->modules->len);
    plan->info_segment = GUINT16_TO_LE(base >> 4);
    plan->mmap_offset = GUINT16_TO_LE(mmap_offset);
    fw_cfg_add_bytes(image->board->fw_cfg, FW_CFG_CMDLINE_DATA, info->data, info->len);
    return boot_plan_add(plan, FW_CFG_CMDLINE_DATA, 0, base, info->len);
}

/* --- the plan ------------------------------------------------------------------------------- */

static bool fill_plan(Image *image, GBytes *file, BootPlan *plan, GError **error)
{
    FwCfg *fw = image->board->fw_cfg;
    bool fits = true;

    fw_cfg_add_shared(fw, FW_CFG_KERNEL_DATA, file);
    for (guint i = 0; i < image->segments->len; i++) {
        const Segment *segment = &g_array_index(image->segments, Segment, i);

        fits &= boot_plan_add(plan, FW_CFG_KERNEL_DATA, segment->file_offset, segment->address,
                              segment->file_size);
        fits &= boot_plan_add(plan, BOOT_KEY_ZEROS, 0, segment->address + segment->file_size,
                              segment->memory_size - segment->file_size);
    }
    for (guint i = 0; i < image->modules->len; i++) {
        const Module *module = &g_array_index(image->modules, Module, i);

        fw_cfg_add_shared(fw, BOOT_KEY_MODULE + i, module->data);
        fits &= boot_plan_add(plan, BOOT_KEY_MODULE + i, 0, module->address,
                              g_bytes_get_size(module->data));
    }
    plan->mode = GUINT16_TO_LE(BOOT_MULTIBOOT);
    plan->entry = GUINT32_TO_LE(image->entry);
    return fits || set_malformed(image, error, "it has too many segments");
}

bool multiboot_prepare(Board *board, const MachineConfig *config, GBytes *file, BootPlan *plan,
                       GError **error)
{
    Image image = {.board = board, .config = config, .end = ONE_MIB};
    bool good;

    image.data = g_bytes_get_data(file, &image.size);
    image.segments = g_array_new(FALSE, FALSE, sizeof(Segment));
    image.modules = g_array_new(FALSE, FALSE, sizeof(Module));
    g_array_set_clear_func(image.modules, clear_module);
    good = load_segments(&image, error) && load_modules(&image, error) &&
           fill_plan(&image, file, plan, error) && add_info(&image, plan, error);
    g_array_unref(image.segments);
    g_array_unref(image.modules);
    return good;
}
