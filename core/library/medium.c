/* SPDX-License-Identifier: GPL-3.0-or-later */

/* ISO 9660 as in ECMA-119 (sections in comments), Rock Ridge names as in IEEE P1282 (RRIP 4.1.4),
 * El Torito 1.0. Everything is read from an image nobody vouches for: all sizes are bounded. */

#include "core/library/medium.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR              2048u
#define FIRST_DESCRIPTOR    16
#define MAX_DESCRIPTORS     16
#define MAX_DIRECTORY_BYTES (256u << 10)
#define MAX_INFO_BYTES      512u

#define GIB                 (1ull << 30)
#define MIB                 (1ull << 20)

typedef struct {
    uint32_t extent, size; /* sectors, bytes */
    bool directory;
} Entry;

/* A system is recognised by the start of the volume's label, or by a file or folder in the root. */
typedef struct {
    const char *label, *file;
    const char *system;
    uint64_t ram_bytes, disk_bytes;
} KnownSystem;

static const KnownSystem known_systems[] = {
    {"APIARY_DEMO", NULL, N_("Apiary demo"), 512 * MIB, 0},
    {"Debian", NULL, "Debian GNU/Linux", 2 * GIB, 20 * GIB},
    {"Ubuntu", NULL, "Ubuntu", 4 * GIB, 25 * GIB},
    {"Fedora", NULL, "Fedora Linux", 4 * GIB, 25 * GIB},
    {"ARCH_", NULL, "Arch Linux", 2 * GIB, 20 * GIB},
    {"openSUSE", NULL, "openSUSE", 2 * GIB, 25 * GIB},
    {"RHEL", NULL, "Red Hat Enterprise Linux", 4 * GIB, 25 * GIB},
    {"CentOS", NULL, "CentOS", 4 * GIB, 25 * GIB},
    {"Rocky", NULL, "Rocky Linux", 4 * GIB, 25 * GIB},
    {"AlmaLinux", NULL, "AlmaLinux", 4 * GIB, 25 * GIB},
    {"ALT", NULL, "ALT Linux", 4 * GIB, 25 * GIB},
    {"alpine", NULL, "Alpine Linux", 512 * MIB, 8 * GIB},
    {"Linux Mint", NULL, "Linux Mint", 4 * GIB, 25 * GIB},
    {"MANJARO", NULL, "Manjaro", 4 * GIB, 25 * GIB},
    {"nixos", NULL, "NixOS", 4 * GIB, 25 * GIB},
    {"GENTOO", NULL, "Gentoo", 2 * GIB, 25 * GIB},
    {"FREEBSD", NULL, "FreeBSD", 2 * GIB, 20 * GIB},
    {"14_", "bsd", "FreeBSD", 2 * GIB, 20 * GIB},
    {"OpenBSD", NULL, "OpenBSD", 1 * GIB, 16 * GIB},
    {"NETBSD", NULL, "NetBSD", 1 * GIB, 16 * GIB},
    {"HAIKU", NULL, "Haiku", 1 * GIB, 8 * GIB},
    {"ReactOS", NULL, "ReactOS", 512 * MIB, 8 * GIB},
    {"KolibriOS", NULL, "KolibriOS", 256 * MIB, 0},
    {"FreeDOS", NULL, "FreeDOS", 64 * MIB, 1 * GIB},
    {"FD1", NULL, "FreeDOS", 64 * MIB, 1 * GIB},
    {"MT86PLUS", NULL, "Memtest86+", 256 * MIB, 0},
    {"iPXE", NULL, "iPXE", 256 * MIB, 0},
    {"Ghost", NULL, "GhostBSD", 4 * GIB, 25 * GIB},
    {NULL, "sources", "Windows", 4 * GIB, 40 * GIB},
    {NULL, "i386", "Windows", 1 * GIB, 20 * GIB},
    {NULL, "casper", "Ubuntu", 4 * GIB, 25 * GIB},
    {NULL, "debian", "Debian GNU/Linux", 2 * GIB, 20 * GIB},
    {NULL, "arch", "Arch Linux", 2 * GIB, 20 * GIB},
    {NULL, "livecd.squashfs", "Linux", 2 * GIB, 16 * GIB},
    {NULL, "live", "Linux", 2 * GIB, 16 * GIB},
    {NULL, "LiveOS", "Fedora Linux", 4 * GIB, 25 * GIB},
    {NULL, "memtest", "Memtest86+", 256 * MIB, 0},
    {NULL, "boot/grub/i386-pc/rescue", N_("GRUB rescue disk"), 256 * MIB, 0},
};

static uint16_t le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool read_exactly(int fd, uint64_t offset, void *buffer, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, (char *)buffer + done, size - done, (off_t)(offset + done));
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* --- directories ------------------------------------------------------------------------------ */

static Entry entry_from_record(const uint8_t *record)
{
    /* ECMA-119 9.1: both-endian numbers, flags at 25. */
    return (Entry){le32(record + 2), le32(record + 10), (record[25] & 2) != 0};
}

/* The name of a directory record: Rock Ridge's NM when it is there, else without ";1" and the dot
 * of an empty extension. */
static char *record_name(const uint8_t *record, unsigned length)
{
    unsigned name_length = record[32];
    unsigned area = 33 + name_length + !(name_length & 1);

    if (33 + name_length > length)
        return NULL;
    while (area + 5 <= length) {
        unsigned size = record[area + 2];
        if (size < 4 || area + size > length)
            break;
        if (memcmp(record + area, "NM", 2) == 0 && size > 5)
            return g_strndup((const char *)record + area + 5, size - 5);
        area += size;
    }
    char *name = g_strndup((const char *)record + 33, name_length);
    char *version = strchr(name, ';');
    if (version)
        *version = '\0';
    if (g_str_has_suffix(name, "."))
        name[strlen(name) - 1] = '\0';
    return name;
}

/* ISO names have no leading dot: ".disk" is often recorded as "_DISK". */
static bool same_name(const char *recorded, const char *wanted)
{
    if (g_ascii_strcasecmp(recorded, wanted) == 0)
        return true;
    return *wanted == '.' && *recorded == '_' && g_ascii_strcasecmp(recorded + 1, wanted + 1) == 0;
}

static bool find_in(int fd, const Entry *directory, const char *wanted, Entry *found)
{
    uint32_t size = MIN(directory->size, MAX_DIRECTORY_BYTES);
    g_autofree uint8_t *data = g_malloc(size ? size : 1);

    if (!directory->directory || !size ||
        !read_exactly(fd, (uint64_t)directory->extent * SECTOR, data, size))
        return false;
    for (uint32_t at = 0; at + 34 <= size;) {
        unsigned length = data[at];
        if (length == 0) { /* records do not cross sectors */
            at = (at / SECTOR + 1) * SECTOR;
            continue;
        }
        if (length < 34 || at + length > size)
            return false;
        g_autofree char *name = record_name(data + at, length);
        if (name && same_name(name, wanted)) {
            *found = entry_from_record(data + at);
            return true;
        }
        at += length;
    }
    return false;
}

static bool find_path(int fd, const Entry *root, const char *path, Entry *found)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);

    *found = *root;
    for (char **part = parts; *part; part++) {
        Entry parent = *found;
        if (!find_in(fd, &parent, *part, found))
            return false;
    }
    return true;
}

/* Debian and Ubuntu say what they are in .disk/info: 'Debian GNU/Linux 12.5.0 "Bookworm" - ...'. */
static char *read_disk_info(int fd, const Entry *root)
{
    Entry entry;

    if (!find_path(fd, root, ".disk/info", &entry) || entry.directory || entry.size == 0)
        return NULL;
    uint32_t size = MIN(entry.size, MAX_INFO_BYTES);
    g_autofree char *text = g_malloc0(size + 1);
    if (!read_exactly(fd, (uint64_t)entry.extent * SECTOR, text, size) ||
        !g_utf8_validate(text, -1, NULL))
        return NULL;
    text[strcspn(text, "\"\n\r")] = '\0';
    char *dash = strstr(text, " - ");
    if (dash)
        *dash = '\0';
    g_strstrip(text);
    return *text ? g_steal_pointer(&text) : NULL;
}

/* --- volumes ---------------------------------------------------------------------------------- */

static void recognise(int fd, const Entry *root, MediumInfo *info)
{
    const KnownSystem *known = NULL;
    Entry entry;
    g_autofree char *said = read_disk_info(fd, root);

    for (size_t i = 0; !known && i < G_N_ELEMENTS(known_systems); i++) {
        const KnownSystem *k = &known_systems[i];
        bool by_label = k->label && info->label &&
                        g_ascii_strncasecmp(info->label, k->label, strlen(k->label)) == 0;
        bool by_file = k->file && find_path(fd, root, k->file, &entry);
        if ((!k->label || by_label) && (!k->file || by_file))
            known = k;
    }
    for (size_t i = 0; said && !known && i < G_N_ELEMENTS(known_systems); i++)
        if (known_systems[i].label && g_str_has_prefix(said, known_systems[i].label))
            known = &known_systems[i];
    if (said)
        info->system = g_steal_pointer(&said);
    if (!known)
        return;
    if (!info->system)
        info->system = g_strdup(_(known->system));
    info->ram_bytes = known->ram_bytes;
    info->disk_bytes = known->disk_bytes;
}

/* ECMA-119 8.1: descriptors follow each other from sector 16 until the terminator. */
static bool identify_cd(int fd, MediumInfo *info)
{
    uint8_t sector[SECTOR];
    Entry root = {0};
    bool found = false;

    for (unsigned i = 0; i < MAX_DESCRIPTORS; i++) {
        if (!read_exactly(fd, (uint64_t)(FIRST_DESCRIPTOR + i) * SECTOR, sector, SECTOR) ||
            memcmp(sector + 1, "CD001", 5) != 0 || sector[0] == 255)
            break;
        if (sector[0] == 0 && memcmp(sector + 7, "EL TORITO SPECIFICATION", 23) == 0) {
            info->bootable = true;
        } else if (sector[0] == 1 && !found) {
            g_autofree char *label = g_strndup((const char *)sector + 40, 32);
            g_strchomp(label);
            if (*label && g_utf8_validate(label, -1, NULL))
                info->label = g_steal_pointer(&label);
            root = entry_from_record(sector + 156);
            root.directory = true;
            found = true;
        }
    }
    if (found)
        recognise(fd, &root, info);
    return found;
}

static bool identify_disk(int fd, MediumInfo *info)
{
    uint8_t sector[512];

    if (!read_exactly(fd, 0, sector, sizeof(sector)))
        return false;
    if (memcmp(sector, "QFI\xfb", 4) == 0) {
        info->format = g_strdup("qcow2");
        info->bootable = true; /* what is inside is not looked at */
        return true;
    }
    info->format = g_strdup("raw");
    info->bootable = le16(sector + 510) == 0xaa55;
    return info->bootable;
}

MediumInfo *medium_identify(const char *path, GError **error)
{
    struct stat status;
    int fd = g_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);

    if (fd < 0 || fstat(fd, &status) != 0) {
        int code = errno;
        if (fd >= 0)
            close(fd);
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code), _("Cannot open “%s”: %s."),
                    path, g_strerror(code));
        return NULL;
    }
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        close(fd);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE,
                    _("“%s” is not a file: choose an image of a disc or a disk."), path);
        return NULL;
    }
    MediumInfo *info = g_new0(MediumInfo, 1);
    info->size = (uint64_t)status.st_size;
    info->ram_bytes = 2 * GIB;
    info->disk_bytes = 20 * GIB;
    if (identify_cd(fd, info))
        info->kind = MEDIUM_CD;
    else if (identify_disk(fd, info))
        info->kind = MEDIUM_DISK;
    close(fd);
    return info;
}

void medium_info_free(MediumInfo *info)
{
    if (!info)
        return;
    g_free(info->label);
    g_free(info->system);
    g_free(info->format);
    g_free(info);
}
