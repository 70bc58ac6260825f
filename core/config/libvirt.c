/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/config/libvirt.h"

#include "core/net/forward.h"

#include <arpa/inet.h>
#include <string.h>

/* Adds formatted XML; what goes in by %s is escaped. */
static void add(GString *xml, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void add(GString *xml, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_markup_vprintf_escaped(format, arguments);
    va_end(arguments);
    g_string_append(xml, text);
}

/* VALUE, escaped, between BEFORE and AFTER; nothing at all when it is NULL. */
static void add_text(GString *xml, const char *before, const char *value, const char *after)
{
    if (!value)
        return;
    g_string_append(xml, before);
    add(xml, "%s", value);
    g_string_append(xml, after);
}

/* --- what it boots and computes with ---------------------------------------------------------- */

static const char *boot_device(char letter)
{
    switch (letter) {
    case 'a':
    case 'b': return "fd";
    case 'd': return "cdrom";
    case 'n': return "network";
    default: return "hd";
    }
}

static void add_os(GString *xml, const MachineConfig *config)
{
    g_string_append(xml, "  <os>\n    <type arch='x86_64' machine='pc'>hvm</type>\n");
    add_text(xml, "    <loader type='rom'>", config->firmware, "</loader>\n");
    add_text(xml, "    <kernel>", config->kernel, "</kernel>\n");
    add_text(xml, "    <initrd>", config->initrd, "</initrd>\n");
    add_text(xml, "    <cmdline>", config->append, "</cmdline>\n");
    for (const char *letter = config->boot_order; *letter; letter++)
        add(xml, "    <boot dev='%s'/>\n", boot_device(*letter));
    if (config->boot_menu)
        g_string_append(xml, "    <bootmenu enable='yes'/>\n");
    g_string_append(xml, "  </os>\n");
}

/* "qemu64,+avx2,-sse4.1": a model and its features. */
static void add_cpu(GString *xml, const MachineConfig *config)
{
    g_auto(GStrv) parts = g_strsplit(config->cpu_model, ",", -1);
    const char *model = parts[0] ? parts[0] : "max";

    g_string_append(xml, "  <features>\n    <acpi/>\n    <apic/>\n  </features>\n");
    if (g_str_equal(model, "max") || g_str_equal(model, "host"))
        g_string_append(xml, "  <cpu mode='maximum'>\n");
    else
        add(xml, "  <cpu mode='custom'>\n    <model>%s</model>\n", model);
    for (char **part = parts; *part; part++)
        if (**part == '+' || **part == '-')
            add(xml, "    <feature policy='%s' name='%s'/>\n",
                **part == '+' ? "require" : "disable", *part + 1);
    add(xml, "  </cpu>\n  <clock offset='%s'/>\n",
        g_str_equal(config->rtc_base, "localtime") ? "localtime" : "utc");
}

/* --- devices ---------------------------------------------------------------------------------- */

/* Libvirt never probes; a disk whose format nobody named is judged by its file's name. */
static const char *disk_format(const DriveConfig *drive)
{
    if (drive->format)
        return drive->format;
    return drive->file && g_str_has_suffix(drive->file, ".qcow2") ? "qcow2" : "raw";
}

static void add_disk(GString *xml, const DriveConfig *drive)
{
    bool floppy = drive->kind == DRIVE_FLOPPY, cd = drive->kind == DRIVE_IDE_CD;
    int place = floppy ? drive->unit : drive->bus * 2 + drive->unit;

    add(xml, "    <disk type='file' device='%s'>\n", floppy ? "floppy" : cd ? "cdrom" : "disk");
    add(xml, "      <driver name='qemu' type='%s'", disk_format(drive));
    add_text(xml, " cache='", drive->cache, "'");
    g_string_append(xml, drive->discard ? " discard='unmap'/>\n" : "/>\n");
    add_text(xml, "      <source file='", drive->file, "'/>\n");
    add(xml, "      <target dev='%s%c' bus='%s'/>\n", floppy ? "fd" : "hd", 'a' + place,
        floppy ? "fdc" : "ide");
    if (drive->read_only)
        g_string_append(xml, "      <readonly/>\n");
    add_text(xml, "      <serial>", drive->serial, "</serial>\n");
    g_string_append(xml, "    </disk>\n");
}

static void add_forward(GString *xml, const char *text)
{
    NetForward forward;
    char host[INET_ADDRSTRLEN];

    if (!net_forward_parse(text, &forward, NULL))
        return;
    inet_ntop(AF_INET, &forward.host, host, sizeof host);
    add(xml,
        "      <portForward proto='%s' address='%s'>\n"
        "        <range start='%u' to='%u'/>\n      </portForward>\n",
        forward.udp ? "udp" : "tcp", host, forward.host_port, forward.guest_port);
}

static const NetdevConfig *find_netdev(const MachineConfig *config, const char *id)
{
    for (guint i = 0; id && i < config->netdevs->len; i++) {
        const NetdevConfig *netdev = config->netdevs->pdata[i];
        if (g_str_equal(netdev->id, id))
            return netdev;
    }
    return NULL;
}

/* Forwards of a user-mode interface need libvirt's passt back end. */
static void add_interface(GString *xml, const MachineConfig *config, const DeviceConfig *card)
{
    const NetdevConfig *netdev = find_netdev(config, option_string(card->values, "netdev"));
    bool user = netdev && g_str_equal(netdev->type, "user");
    const char *const *forward = user ? option_list(netdev->values, "hostfwd") : NULL;

    g_string_append(xml, "    <interface type='user'>\n");
    add_text(xml, "      <mac address='", option_string(card->values, "mac"), "'/>\n");
    add(xml, "      <model type='%s'/>\n", card->driver);
    if (!user)
        g_string_append(xml, "      <link state='down'/>\n");
    if (forward && *forward)
        g_string_append(xml, "      <backend type='passt'/>\n");
    for (; forward && *forward; forward++)
        add_forward(xml, *forward);
    g_string_append(xml, "    </interface>\n");
}

static void add_devices(GString *xml, const MachineConfig *config)
{
    g_string_append(xml, "  <devices>\n");
    for (guint i = 0; i < config->drives->len; i++)
        add_disk(xml, config->drives->pdata[i]);
    for (guint i = 0; i < config->devices->len; i++) {
        const DeviceConfig *device = config->devices->pdata[i];
        if (g_str_equal(device->driver, "e1000"))
            add_interface(xml, config, device);
    }
    g_string_append(xml, "    <serial type='pty'/>\n");
    if (config->usb_tablet)
        g_string_append(xml, "    <input type='tablet' bus='usb'/>\n");
    if (g_str_equal(config->vga, "none"))
        g_string_append(xml, "    <video>\n      <model type='none'/>\n    </video>\n");
    else
        add(xml,
            "    <graphics type='vnc' autoport='yes'/>\n"
            "    <video>\n      <model type='vga' vram='%u'/>\n    </video>\n",
            config->vga_memory_mb << 10);
    g_string_append(xml, "  </devices>\n");
}

char *config_to_libvirt_xml(const MachineConfig *config)
{
    GString *xml = g_string_new("<domain type='qemu'>\n");

    add(xml, "  <name>%s</name>\n", config->name);
    if (config->notes && *config->notes)
        add(xml, "  <description>%s</description>\n", config->notes);
    add(xml, "  <memory unit='b'>%" G_GUINT64_FORMAT "</memory>\n", config->ram_bytes);
    add(xml, "  <vcpu>%u</vcpu>\n", config->cpus);
    add_os(xml, config);
    add_cpu(xml, config);
    add_devices(xml, config);
    g_string_append(xml, "</domain>\n");
    return g_string_free(xml, FALSE);
}
