/* SPDX-License-Identifier: GPL-3.0-or-later */

/* QEMU's command line: what the machine has is taken, all else is refused by name. */

#include "core/config/arguments.h"
#include "core/chardev/spec.h"
#include "core/config/accel.h"
#include "core/config/config.h"
#include "core/config/gdb-spec.h"
#include "core/config/network.h"
#include "core/config/objects.h"
#include "core/config/vnc-spec.h"
#include "core/devices/debugcon.h"
#include "core/remote/vnc.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

typedef bool (*ArgumentFunc)(MachineConfig *config, const char *value, GError **error);

static bool take(char **field, const char *value)
{
    g_free(*field);
    *field = g_strdup(value);
    return true;
}

/* --- machine ---------------------------------------------------------------------------------- */

#define MAX_CPUS 32

static const OptionInfo memory_options[] = {
    {"size", OPTION_STRING, NULL, 0, 0, NULL, N_("RAM; without a unit in MiB")},
    {NULL},
};
static const OptionInfo smp_options[] = {
    {"cpus", OPTION_UINT, "1", 1, 32, NULL, N_("virtual CPUs")},
    {"sockets", OPTION_UINT, "1", 1, 32, NULL, N_("sockets")},
    {"cores", OPTION_UINT, "1", 1, 32, NULL, N_("cores a socket")},
    {"threads", OPTION_UINT, "1", 1, 1, NULL, N_("threads a core")},
    {"maxcpus", OPTION_UINT, NULL, 1, 32, NULL, N_("upper limit")},
    {NULL},
};
static const OptionInfo boot_options[] = {
    {"order", OPTION_STRING, NULL, 0, 0, NULL, N_("letters: a floppy, c disk, d CD, n network")},
    {"once", OPTION_STRING, NULL, 0, 0, NULL, N_("the same, for the first boot only")},
    {"menu", OPTION_BOOL, "off", 0, 0, NULL, N_("the firmware's boot menu")},
    {"splash-time", OPTION_UINT, NULL, 0, 65535, NULL, N_("how long the menu waits, in ms")},
    {"strict", OPTION_BOOL, "off", 0, 0, NULL, N_("boot nothing that is not named")},
    {NULL},
};
static const OptionInfo rtc_options[] = {
    {"base", OPTION_STRING, "utc", 0, 0, NULL, N_("utc, localtime or a date")},
    {"clock", OPTION_ENUM, "host", 0, 0, "host|vm", N_("what it runs on")},
    {"driftfix", OPTION_ENUM, "none", 0, 0, "none|slew", N_("catching up of lost ticks")},
    {NULL},
};
static const OptionInfo name_options[] = {
    {"guest", OPTION_STRING, NULL, 0, 0, NULL, N_("the machine's name")},
    {"debug-threads", OPTION_BOOL, "off", 0, 0, NULL, N_("accepted; threads are always named")},
    {"process", OPTION_STRING, NULL, 0, 0, NULL, N_("accepted")},
    {NULL},
};
static const OptionInfo machine_options[] = {
    {"type", OPTION_ENUM, "pc", 0, 0, "pc|pc-i440fx-7.2", N_("the one board there is")},
    {"accel", OPTION_STRING, NULL, 0, 0, NULL, N_("jit or interp")},
    {"usb", OPTION_BOOL, "on", 0, 0, NULL, N_("USB devices: the absolute pointer")},
    {NULL},
};

/* Parses VALUE by TABLE; the caller owns the result. */
static OptionValues *parse(const OptionInfo *table, const char *value, const char *first,
                           GError **error)
{
    OptionValues *values = option_values_new(table);

    if (option_values_parse(values, value, first, error))
        return values;
    option_values_free(values);
    return NULL;
}

static bool set_memory(MachineConfig *config, const char *value, GError **error)
{
    g_autoptr(OptionValues) values = parse(memory_options, value, "size", error);

    if (!values || !option_string(values, "size"))
        return values && option_refuse(error, "needs a size, like -m 2G.");
    return option_parse_size(option_string(values, "size"), 20, &config->ram_bytes, error);
}

static bool set_smp(MachineConfig *config, const char *value, GError **error)
{
    g_autoptr(OptionValues) values = parse(smp_options, value, "cpus", error);

    if (!values)
        return false;
    uint64_t product = option_uint(values, "sockets") * option_uint(values, "cores");
    config->cpus = option_is_set(values, "cpus") ? option_uint(values, "cpus") : product;
    return config->cpus <= MAX_CPUS ||
           option_refuse(error, "%u CPUs are more than the machine's %d.", config->cpus, MAX_CPUS);
}

static bool set_cpu(MachineConfig *config, const char *value, GError **error)
{
    return take(&config->cpu_model, value);
}

static bool set_accel(MachineConfig *config, const char *value, GError **error)
{
    const char *comma = strchr(value, ',');
    g_autofree char *name = comma ? g_strndup(value, comma - value) : g_strdup(value);

    if (!g_str_equal(name, "jit") && !g_str_equal(name, "interp"))
        return option_refuse(
            error, "there is no accelerator \"%s\"; use jit (the default) or interp.", name);
    config->accel_interp = g_str_equal(name, "interp");
    if (config->accel_interp && comma)
        return option_refuse(error, "-accel interp takes no options, so not \"%s\".", comma + 1);
    JitOptions options;
    if (!config->accel_interp && !accel_parse_jit(comma ? comma + 1 : NULL, &options, error))
        return false;
    return take(&config->accel_options, comma ? comma + 1 : NULL);
}

static bool set_machine(MachineConfig *config, const char *value, GError **error)
{
    g_autoptr(OptionValues) values = parse(machine_options, value, "type", error);

    if (!values)
        return false;
    if (option_is_set(values, "usb"))
        config->usb_tablet = option_bool(values, "usb"); /* all that is ever plugged in */
    return !option_string(values, "accel") ||
           set_accel(config, option_string(values, "accel"), error);
}

static bool check_boot_letters(const char *letters, GError **error)
{
    for (const char *c = letters; *c; c++)
        if (!strchr("abcdn", *c) || strchr(c + 1, *c))
            return option_refuse(error, "boot order \"%s\": use a, c, d and n, each once.",
                                 letters);
    return true;
}

static bool set_boot(MachineConfig *config, const char *value, GError **error)
{
    g_autoptr(OptionValues) values = parse(boot_options, value, "order", error);

    if (!values)
        return false;
    const char *order = option_string(values, "order"), *once = option_string(values, "once");
    if ((order && !check_boot_letters(order, error)) || (once && !check_boot_letters(once, error)))
        return false;
    if (order)
        take(&config->boot_order, order);
    if (once)
        take(&config->boot_once, once);
    if (option_is_set(values, "menu"))
        config->boot_menu = option_bool(values, "menu");
    if (option_is_set(values, "splash-time"))
        config->boot_splash_time = option_uint(values, "splash-time");
    return true;
}

static bool set_rtc(MachineConfig *config, const char *value, GError **error)
{
    g_autoptr(OptionValues) values = parse(rtc_options, value, NULL, error);
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();

    if (!values)
        return false;
    const char *base = option_string(values, "base");
    if (!g_str_equal(base, "utc") && !g_str_equal(base, "localtime")) {
        g_autofree char *iso =
            strchr(base, 'T') ? g_strdup(base) : g_strconcat(base, "T00:00:00", NULL);
        g_autoptr(GDateTime) date = g_date_time_new_from_iso8601(iso, utc);
        if (!date)
            return option_refuse(
                error, "base=%s: use utc, localtime or a date like 2026-01-31T12:00:00.", base);
    }
    return take(&config->rtc_base, base);
}

static bool set_name(MachineConfig *config, const char *value, GError **error)
{
    g_autoptr(OptionValues) values = parse(name_options, value, "guest", error);

    if (!values)
        return false;
    return !option_string(values, "guest") || take(&config->name, option_string(values, "guest"));
}

static bool set_bios(MachineConfig *config, const char *value, GError **error)
{
    return take(&config->firmware, value);
}

static bool set_kernel(MachineConfig *config, const char *value, GError **error)
{
    return take(&config->kernel, value);
}

static bool set_initrd(MachineConfig *config, const char *value, GError **error)
{
    return take(&config->initrd, value);
}

static bool set_append(MachineConfig *config, const char *value, GError **error)
{
    return take(&config->append, value);
}

static bool set_vga(MachineConfig *config, const char *value, GError **error)
{
    if (!g_str_equal(value, "std") && !g_str_equal(value, "none"))
        return option_refuse(error, "there is no graphics card \"%s\"; use std or none.", value);
    return take(&config->vga, value);
}

static bool set_vnc(MachineConfig *config, const char *value, GError **error)
{
    g_autoptr(VncSpec) spec = vnc_spec_parse(value, error);

    if (!spec)
        return false;
    if (!spec->off && !vnc_is_available())
        return option_refuse(error,
                             "this Apiary was built without its VNC server (meson option vnc).");
    return take(&config->vnc, value);
}

/* Properties of what the board itself has: they are set by -global, since no -device names it. */
static const struct {
    const char *driver, *property;
    size_t field; /* an unsigned of MachineConfig */
    unsigned usual;
} globals[] = {
    {"VGA", "vgamem_mb", offsetof(MachineConfig, vga_memory_mb), USUAL_VGA_MEMORY_MB},
    {"isa-debugcon", "iobase", offsetof(MachineConfig, debugcon_port), DEBUGCON_PORT},
};

static unsigned *global_field(const MachineConfig *config, unsigned i)
{
    return (unsigned *)((char *)config + globals[i].field);
}

static bool set_global(MachineConfig *config, const char *value, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(globals); i++) {
        g_autofree char *name = g_strdup_printf("%s.%s=", globals[i].driver, globals[i].property);
        if (!g_str_has_prefix(value, name))
            continue;
        g_autoptr(OptionValues) values =
            option_values_new(device_class_find(globals[i].driver)->options);
        if (!option_values_set(values, globals[i].property, value + strlen(name), error))
            return false;
        *global_field(config, i) = (unsigned)option_uint(values, globals[i].property);
        return true;
    }
    return option_refuse(error, "known are VGA.vgamem_mb=MIB and isa-debugcon.iobase=PORT; other "
                                "options go with -device.");
}

static bool set_display(MachineConfig *config, const char *value, GError **error)
{
    if (!g_str_equal(value, "gtk") && !g_str_equal(value, "none"))
        return option_refuse(error, "there is no display \"%s\"; use gtk or none.", value);
    return take(&config->display, value);
}

static bool set_pidfile(MachineConfig *config, const char *value, GError **error)
{
    return take(&config->pidfile, value);
}

/* --- character devices ------------------------------------------------------------------------ */

static bool add_spec(GPtrArray *list, const char *value, GError **error)
{
    if (!g_str_has_prefix(value, "chardev:")) {
        g_autoptr(ChardevSpec) spec = chardev_spec_parse(value, error);
        if (!spec)
            return false;
    }
    g_ptr_array_add(list, g_strdup(value));
    return true;
}

static bool add_serial(MachineConfig *config, const char *value, GError **error)
{
    if (config->serials->len == 4)
        return option_refuse(error, "the machine has four serial ports.");
    return add_spec(config->serials, value, error);
}

static bool add_chardev(MachineConfig *config, const char *value, GError **error)
{
    g_autoptr(ChardevSpec) spec = chardev_spec_parse(value, error);

    if (!spec)
        return false;
    if (!spec->id)
        return option_refuse(error, "\"%s\" needs an id=.", value);
    g_ptr_array_add(config->chardevs, g_strdup(value));
    return true;
}

static bool add_monitor(MachineConfig *config, const char *value, GError **error)
{
    return g_str_equal(value, "none") || add_spec(config->monitors, value, error);
}

static bool add_qmp(MachineConfig *config, const char *value, GError **error)
{
    return g_str_equal(value, "none") || add_spec(config->qmps, value, error);
}

static bool set_debugcon(MachineConfig *config, const char *value, GError **error)
{
    g_autoptr(ChardevSpec) spec = chardev_spec_parse(value, error);

    return spec && take(&config->debugcon, value);
}

/* --- drives ----------------------------------------------------------------------------------- */

static const OptionInfo drive_options[] = {
    {"file", OPTION_STRING, NULL, 0, 0, NULL, N_("image file or block device")},
    {"if", OPTION_ENUM, "ide", 0, 0, "ide|floppy|none", N_("interface")},
    {"index", OPTION_UINT, NULL, 0, 3, NULL, N_("place on the interface")},
    {"bus", OPTION_UINT, NULL, 0, 1, NULL, N_("IDE channel")},
    {"unit", OPTION_UINT, NULL, 0, 1, NULL, N_("unit on the channel")},
    {"media", OPTION_ENUM, "disk", 0, 0, "disk|cdrom", N_("kind of medium")},
    {"format", OPTION_STRING, NULL, 0, 0, NULL, N_("image format; found out when absent")},
    {"readonly", OPTION_BOOL, "off", 0, 0, NULL, N_("no writing")},
    {"read-only", OPTION_BOOL, "off", 0, 0, NULL, N_("no writing")},
    {"snapshot", OPTION_BOOL, "off", 0, 0, NULL, N_("throw writes away at the end")},
    {"cache", OPTION_ENUM, "writeback", 0, 0, "writeback|none|writethrough|directsync|unsafe",
     N_("host cache mode")},
    {"id", OPTION_STRING, NULL, 0, 0, NULL, N_("name of the drive")},
    {"serial", OPTION_STRING, NULL, 0, 0, NULL, N_("serial number")},
    {"discard", OPTION_ENUM, "ignore", 0, 0, "ignore|off|unmap|on", N_("guest TRIM frees space")},
    {"aio", OPTION_ENUM, "threads", 0, 0, "threads|native|io_uring",
     N_("accepted: always threads")},
    {NULL},
};

static bool place_is_taken(const MachineConfig *config, bool floppy, int bus, int unit)
{
    for (guint i = 0; i < config->drives->len; i++) {
        const DriveConfig *drive = config->drives->pdata[i];
        if (floppy == (drive->kind == DRIVE_FLOPPY) && drive->unit == unit &&
            (floppy || drive->bus == bus))
            return true;
    }
    return false;
}

static bool find_place(const MachineConfig *config, const OptionValues *values, bool floppy,
                       bool cdrom, int *bus, int *unit, GError **error)
{
    int places = floppy ? 2 : 4;

    if (option_is_set(values, "index")) {
        int index = option_uint(values, "index");
        if (index >= places)
            return option_refuse(error, "index=%d: there are %d floppy drives.", index, places);
        *bus = floppy ? 0 : index / 2;
        *unit = floppy ? index : index % 2;
        return true;
    }
    if (option_is_set(values, "bus") || option_is_set(values, "unit")) {
        *bus = option_uint(values, "bus");
        *unit = option_uint(values, "unit");
        return true;
    }
    /* A CD's customary place is the second channel's master. */
    for (int k = 0; k < places; k++) {
        int index = cdrom ? (k + 2) % places : k;
        *bus = floppy ? 0 : index / 2;
        *unit = floppy ? index : index % 2;
        if (!place_is_taken(config, floppy, *bus, *unit))
            return true;
    }
    return option_refuse(error, "all %d places for drives are taken.", places);
}

static bool add_drive(MachineConfig *config, const char *value, GError **error)
{
    g_autoptr(OptionValues) values = parse(drive_options, value, NULL, error);
    int bus = 0, unit = 0;

    if (!values)
        return false;
    const char *interface = option_string(values, "if");
    if (g_str_equal(interface, "none"))
        return option_refuse(error, "if=none has nothing to attach to; use if=ide or if=floppy.");
    bool floppy = g_str_equal(interface, "floppy");
    bool cdrom = g_str_equal(option_string(values, "media"), "cdrom");
    if (!find_place(config, values, floppy, cdrom, &bus, &unit, error))
        return false;
    if (!floppy && !cdrom && !option_is_set(values, "file"))
        return option_refuse(error, "a disk needs file=.");

    DriveConfig *drive = config_add_drive(config,
                                          floppy  ? DRIVE_FLOPPY
                                          : cdrom ? DRIVE_IDE_CD
                                                  : DRIVE_IDE_DISK,
                                          bus, unit, option_string(values, "file"));
    if (option_string(values, "id"))
        take(&drive->id, option_string(values, "id"));
    take(&drive->format, option_string(values, "format"));
    take(&drive->serial, option_string(values, "serial"));
    if (option_is_set(values, "cache"))
        take(&drive->cache, option_string(values, "cache"));
    drive->read_only |= option_bool(values, "readonly") || option_bool(values, "read-only");
    drive->snapshot = option_bool(values, "snapshot");
    const char *discard = option_string(values, "discard");
    drive->discard = g_str_equal(discard, "unmap") || g_str_equal(discard, "on");
    return true;
}

static bool add_at(MachineConfig *config, DriveKind kind, int bus, int unit, const char *file,
                   GError **error)
{
    if (place_is_taken(config, kind == DRIVE_FLOPPY, bus, unit))
        return option_refuse(error, "its place is taken by another drive.");
    config_add_drive(config, kind, bus, unit, file);
    return true;
}

static bool add_hda(MachineConfig *config, const char *value, GError **error)
{
    return add_at(config, DRIVE_IDE_DISK, 0, 0, value, error);
}

static bool add_hdb(MachineConfig *config, const char *value, GError **error)
{
    return add_at(config, DRIVE_IDE_DISK, 0, 1, value, error);
}

static bool add_hdc(MachineConfig *config, const char *value, GError **error)
{
    return add_at(config, DRIVE_IDE_DISK, 1, 0, value, error);
}

static bool add_hdd(MachineConfig *config, const char *value, GError **error)
{
    return add_at(config, DRIVE_IDE_DISK, 1, 1, value, error);
}

static bool add_cdrom(MachineConfig *config, const char *value, GError **error)
{
    return add_at(config, DRIVE_IDE_CD, 1, 0, value, error);
}

static bool add_fda(MachineConfig *config, const char *value, GError **error)
{
    return add_at(config, DRIVE_FLOPPY, 0, 0, value, error);
}

static bool add_fdb(MachineConfig *config, const char *value, GError **error)
{
    return add_at(config, DRIVE_FLOPPY, 0, 1, value, error);
}

/* --- devices ---------------------------------------------------------------------------------- */

static bool add_device(MachineConfig *config, const char *value, GError **error)
{
    const char *comma = strchr(value, ',');
    g_autofree char *driver = comma ? g_strndup(value, comma - value) : g_strdup(value);
    const DeviceClass *device_class = device_class_find(driver);

    if (g_str_equal(driver, "usb-tablet")) /* part of the board, on its USB controller */
        return config->usb_tablet = true;
    if (!device_class) {
        g_autoptr(GString) known = g_string_new(NULL);
        for (const DeviceClass *const *c = device_classes; *c; c++)
            g_string_append_printf(known, "%s%s", known->len ? ", " : "", (*c)->name);
        return option_refuse(error, "there is no device \"%s\"; known are: %s.", driver,
                             known->str);
    }
    DeviceConfig *device = g_new0(DeviceConfig, 1);
    device->driver = g_strdup(driver);
    device->values = option_values_new(device_class->options);
    g_ptr_array_add(config->devices, device);
    if (comma && !option_values_parse(device->values, comma + 1, NULL, error))
        return false;
    device->id = g_strdup(option_string(device->values, "id"));
    return true;
}

/* --- switches --------------------------------------------------------------------------------- */

static bool set_no_reboot(MachineConfig *config, const char *value, GError **error)
{
    return config->no_reboot = true;
}

static bool set_no_shutdown(MachineConfig *config, const char *value, GError **error)
{
    return config->no_shutdown = true;
}

static bool set_snapshot(MachineConfig *config, const char *value, GError **error)
{
    return config->snapshot = true;
}

static bool set_gdb(MachineConfig *config, const char *value, GError **error)
{
    g_autoptr(GdbSpec) spec = gdb_spec_parse(value, error);

    return spec && take(&config->gdb, value);
}

static bool set_default_gdb(MachineConfig *config, const char *value, GError **error)
{
    return take(&config->gdb, GDB_DEFAULT_SPEC);
}

static bool set_start_paused(MachineConfig *config, const char *value, GError **error)
{
    return config->start_paused = true;
}

static bool set_nographic(MachineConfig *config, const char *value, GError **error)
{
    take(&config->display, "none");
    return config->serials->len || add_serial(config, "stdio", error);
}

static bool set_usb(MachineConfig *config, const char *value, GError **error)
{
    return true; /* the controller is always there */
}

static bool set_no_defaults(MachineConfig *config, const char *value, GError **error)
{
    return config->no_defaults = config->network_named = true; /* the others are the board's own */
}

static const struct {
    const char *name;
    bool has_value;
    ArgumentFunc func;
    const char *help;
} arguments[] = {
    {"-M", true, set_machine, N_("machine type: pc")},
    {"-S", false, set_start_paused, N_("start paused")},
    {"-accel", true, set_accel, N_("jit or interp")},
    {"-append", true, set_append, N_("kernel command line")},
    {"-bios", true, set_bios, N_("firmware image")},
    {"-boot", true, set_boot, N_("order=LETTERS,once=LETTERS,menu=on|off")},
    {"-cdrom", true, add_cdrom, N_("CD image on the second channel")},
    {"-chardev", true, add_chardev, N_("BACKEND,id=ID,...")},
    {"-cpu", true, set_cpu, N_("CPU model; help lists them")},
    {"-debugcon", true, set_debugcon, N_("port E9h to a character back end")},
    {"-device", true, add_device, N_("NAME,option=value...; help lists them")},
    {"-display", true, set_display, N_("gtk or none")},
    {"-drive", true, add_drive, N_("file=PATH,if=ide|floppy,media=disk|cdrom,...")},
    {"-fda", true, add_fda, N_("first floppy")},
    {"-fdb", true, add_fdb, N_("second floppy")},
    {"-gdb", true, set_gdb, N_("tcp:[HOST]:PORT, unix:PATH or stdio: GDB connects there")},
    {"-global", true, set_global,
     N_("VGA.vgamem_mb=MIB: display memory; isa-debugcon.iobase=PORT: of -debugcon")},
    {"-hda", true, add_hda, N_("disk, first channel master")},
    {"-hdb", true, add_hdb, N_("disk, first channel slave")},
    {"-hdc", true, add_hdc, N_("disk, second channel master")},
    {"-hdd", true, add_hdd, N_("disk, second channel slave")},
    {"-initrd", true, set_initrd, N_("initial RAM disk, or multiboot modules")},
    {"-kernel", true, set_kernel, N_("Linux bzImage or multiboot kernel")},
    {"-m", true, set_memory, N_("RAM: 2G, 512M")},
    {"-machine", true, set_machine, N_("machine type: pc")},
    {"-monitor", true, add_monitor, N_("human monitor on a character back end")},
    {"-name", true, set_name, N_("name of the machine")},
    {"-net", true, network_add_legacy, N_("none, nic,... or user,...: -nic in older words")},
    {"-netdev", true, network_add_netdev, N_("user,id=ID,hostfwd=tcp::2222-:22,...")},
    {"-nic", true, network_add_nic, N_("none, or user,model=e1000,mac=MAC,hostfwd=...")},
    {"-no-reboot", false, set_no_reboot, N_("exit instead of restarting")},
    {"-no-shutdown", false, set_no_shutdown, N_("stay when the guest powers off")},
    {"-nodefaults", false, set_no_defaults, N_("no network card, no empty CD drive")},
    {"-nographic", false, set_nographic, N_("no window; serial port on the terminal")},
    {"-object", true, objects_add,
     N_("filter-dump,id=ID,netdev=NETDEV,file=FILE: capture packets")},
    {"-pidfile", true, set_pidfile, N_("write the process id there")},
    {"-qmp", true, add_qmp, N_("QMP on a character back end")},
    {"-rtc", true, set_rtc, N_("base=utc|localtime|DATE")},
    {"-s", false, set_default_gdb, N_("-gdb tcp::1234")},
    {"-serial", true, add_serial, N_("stdio, file:PATH, pty, unix:PATH,server=on,wait=off, ...")},
    {"-smp", true, set_smp, N_("number of CPUs")},
    {"-snapshot", false, set_snapshot, N_("throw writes to disks away at the end")},
    {"-usb", false, set_usb, N_("accepted: the controller is always there")},
    {"-vga", true, set_vga, N_("std or none")},
    {"-vnc", true, set_vnc, N_("[HOST]:DISPLAY or unix:PATH, password=on, to=DISPLAY; or none")},
};

/* Flags of QEMU that people will try, with what to do instead. */
static const struct {
    const char *name, *advice;
} refused[] = {
    {"-enable-kvm", N_("Apiary has its own CPU engine and needs no KVM; leave it out.")},
    {"-daemonize", N_("Start it in the background with your shell (&) and -pidfile.")},
    {"-soundhw", N_("There is no sound card yet.")},
    {"-audiodev", N_("There is no sound card yet.")},
    {"-virtfs", N_("Shared folders are not there yet.")},
    {"-loadvm", N_("Snapshots of a running machine are not there yet.")},
    {"-incoming", N_("Migration is not there.")},
    {"-icount", N_("The guest's time is real time here; leave it out.")},
    {"-curses", N_("Use -display none with -serial stdio.")},
    {"-sdl", N_("Use -display gtk.")},
};

static bool unknown_argument(const char *flag, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        if (g_str_equal(refused[i].name, flag))
            return option_refuse(error, "%s: %s", flag, _(refused[i].advice));
    if (*flag != '-')
        return option_refuse(error, "\"%s\": write -hda %s to boot from a disk image.", flag, flag);
    /* The known flag that shares the longest beginning. */
    size_t best = 0, best_length = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(arguments); i++) {
        size_t n = 0;
        while (flag[n] && flag[n] == arguments[i].name[n])
            n++;
        if (n > best_length) {
            best = i;
            best_length = n;
        }
    }
    if (best_length > 2)
        return option_refuse(error, "There is no option %s; did you mean %s?", flag,
                             arguments[best].name);
    return option_refuse(error, "There is no option %s; see apiary run --help.", flag);
}

bool config_parse_arguments(MachineConfig *config, int argc, char **argv, GError **error)
{
    for (int i = 0; i < argc; i++) {
        /* As in QEMU, two dashes are one. */
        const char *flag = g_str_has_prefix(argv[i], "--") ? argv[i] + 1 : argv[i];
        size_t k = 0;
        while (k < G_N_ELEMENTS(arguments) && !g_str_equal(arguments[k].name, flag))
            k++;
        if (k == G_N_ELEMENTS(arguments))
            return unknown_argument(flag, error);
        if (arguments[k].has_value && i + 1 == argc)
            return option_refuse(error, "%s needs a value: %s.", flag, _(arguments[k].help));
        const char *value = arguments[k].has_value ? argv[++i] : NULL;
        if (!arguments[k].func(config, value, error)) {
            if (value)
                g_prefix_error(error, "%s %s: ", flag, value);
            else
                g_prefix_error(error, "%s: ", flag);
            return false;
        }
    }
    /* QEMU's default machine has an empty CD drive. */
    if (!config->no_defaults && !place_is_taken(config, false, 1, 0))
        config_add_drive(config, DRIVE_IDE_CD, 1, 0, NULL);
    if (!network_finish(config, error))
        return false;
    if (config->snapshot)
        for (guint i = 0; i < config->drives->len; i++)
            ((DriveConfig *)config->drives->pdata[i])->snapshot = true;
    return true;
}

void config_describe_arguments(GString *out)
{
    for (size_t i = 0; i < G_N_ELEMENTS(arguments); i++)
        g_string_append_printf(out, "  %-14s %s\n", arguments[i].name, _(arguments[i].help));
}

/* --- and back --------------------------------------------------------------------------------- */

static void append_flag(GString *line, const char *flag, const char *value)
{
    g_autofree char *quoted = g_shell_quote(value);
    bool plain = value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789_-+=,.:/@%")] == '\0' &&
                 *value;

    g_string_append_printf(line, " %s %s", flag, plain ? value : quoted);
}

/* Adds "NAME=VALUE" to a comma-separated list; nothing for NULL. */
static void append_part(GString *list, const char *name, const char *value)
{
    if (!value)
        return;
    g_auto(GStrv) pieces = g_strsplit(value, ",", -1);
    g_autofree char *escaped = g_strjoinv(",,", pieces);
    g_string_append_printf(list, "%s%s=%s", list->len ? "," : "", name, escaped);
}

static void append_text(GString *line, const char *flag, const char *value)
{
    if (value)
        append_flag(line, flag, value);
}

static void append_list(GString *line, const char *flag, const GPtrArray *values)
{
    for (guint i = 0; i < values->len; i++)
        append_flag(line, flag, values->pdata[i]);
}

static void append_switch(GString *line, const char *flag, bool on)
{
    if (on)
        g_string_append_printf(line, " %s", flag);
}

static void append_drive(GString *line, const DriveConfig *drive)
{
    g_autoptr(GString) value = g_string_new(NULL);
    g_autofree char *customary = config_drive_id(drive->kind, drive->bus, drive->unit);
    bool floppy = drive->kind == DRIVE_FLOPPY, cd = drive->kind == DRIVE_IDE_CD;
    g_autofree char *index =
        g_strdup_printf("%d", floppy ? drive->unit : drive->bus * 2 + drive->unit);

    append_part(value, "file", drive->file);
    append_part(value, "if", floppy ? "floppy" : "ide");
    append_part(value, "index", index);
    append_part(value, "media", floppy ? NULL : cd ? "cdrom" : "disk");
    append_part(value, "id", g_str_equal(drive->id, customary) ? NULL : drive->id);
    append_part(value, "format", drive->format);
    append_part(value, "readonly", drive->read_only && !cd ? "on" : NULL);
    append_part(value, "snapshot", drive->snapshot ? "on" : NULL);
    append_part(value, "cache", drive->cache);
    append_part(value, "discard", drive->discard ? "unmap" : NULL);
    append_part(value, "serial", drive->serial);
    append_flag(line, "-drive", value->str);
}

static void append_machine(GString *line, const MachineConfig *config)
{
    g_autoptr(GString) name = g_string_new(NULL), boot = g_string_new(NULL);
    bool whole = !(config->ram_bytes & 0xfffff);
    g_autofree char *memory = g_strdup_printf(
        "%" G_GUINT64_FORMAT "%c", config->ram_bytes >> (whole ? 20 : 0), whole ? 'M' : 'B');
    g_autofree char *cpus = g_strdup_printf("%u", config->cpus);
    g_autofree char *splash = g_strdup_printf("%u", config->boot_splash_time);

    append_part(name, "guest", config->name);
    if (!strchr(config->name, '=')) /* the key goes without saying */
        g_string_erase(name, 0, strlen("guest="));
    append_flag(line, "-name", name->str);
    append_flag(line, "-m", memory);
    append_flag(line, "-smp", cpus);
    append_flag(line, "-cpu", config->cpu_model);
    if (config->accel_interp || config->accel_options) {
        g_autofree char *accel =
            g_strjoin(",", config->accel_interp ? "interp" : "jit", config->accel_options, NULL);
        append_flag(line, "-accel", accel);
    }
    append_text(line, "-machine", config->usb_tablet ? NULL : "pc,usb=off");
    append_text(line, "-bios", config->firmware);
    append_part(boot, "order", config->boot_order);
    append_part(boot, "once", config->boot_once);
    append_part(boot, "menu", config->boot_menu ? "on" : NULL);
    append_part(boot, "splash-time", config->boot_splash_time ? splash : NULL);
    append_flag(line, "-boot", boot->str);
    append_text(line, "-kernel", config->kernel);
    append_text(line, "-initrd", config->initrd);
    append_text(line, "-append", config->append);
}

static void append_networks(GString *line, const MachineConfig *config)
{
    for (guint i = 0; i < config->netdevs->len; i++) {
        const NetdevConfig *netdev = config->netdevs->pdata[i];
        g_autofree char *values = option_values_format(netdev->values);
        g_autofree char *value = g_strconcat(netdev->type, ",", values, NULL);
        append_flag(line, "-netdev", value);
    }
    if (!config->netdevs->len)
        append_flag(line, "-nic", "none");
    for (guint i = 0; i < config->objects->len; i++) {
        const ObjectConfig *object = config->objects->pdata[i];
        g_autofree char *values = option_values_format(object->values);
        g_autofree char *value = g_strconcat(object->type, ",", values, NULL);
        append_flag(line, "-object", value);
    }
    for (guint i = 0; i < config->devices->len; i++) {
        const DeviceConfig *device = config->devices->pdata[i];
        g_autofree char *values = option_values_format(device->values);
        g_autofree char *value = g_strconcat(device->driver, *values ? "," : "", values, NULL);
        append_flag(line, "-device", value);
    }
}

static void append_globals(GString *line, const MachineConfig *config)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(globals); i++) {
        unsigned number = *global_field(config, i);
        g_autofree char *value =
            g_strdup_printf("%s.%s=%u", globals[i].driver, globals[i].property, number);
        append_text(line, "-global", number == globals[i].usual ? NULL : value);
    }
}

static void append_display(GString *line, const MachineConfig *config)
{
    append_text(line, "-vga", g_str_equal(config->vga, "std") ? NULL : config->vga);
    append_text(line, "-vnc", config->vnc);
    append_text(line, "-display", g_str_equal(config->display, "gtk") ? NULL : config->display);
}

char *config_to_command_line(const MachineConfig *config)
{
    GString *line = g_string_new("apiary run");
    g_autofree char *rtc = g_strconcat("base=", config->rtc_base, NULL);

    append_machine(line, config);
    append_switch(line, "-nodefaults", !place_is_taken(config, false, 1, 0));
    for (guint i = 0; i < config->drives->len; i++)
        append_drive(line, config->drives->pdata[i]);
    append_list(line, "-chardev", config->chardevs);
    append_list(line, "-serial", config->serials);
    append_text(line, "-debugcon", config->debugcon);
    append_list(line, "-monitor", config->monitors);
    append_list(line, "-qmp", config->qmps);
    append_networks(line, config);
    append_globals(line, config);
    append_display(line, config);
    append_text(line, "-gdb", config->gdb);
    append_text(line, "-rtc", g_str_equal(config->rtc_base, "utc") ? NULL : rtc);
    append_switch(line, "-no-reboot", config->no_reboot);
    append_switch(line, "-no-shutdown", config->no_shutdown);
    append_switch(line, "-S", config->start_paused);
    append_switch(line, "-snapshot", config->snapshot);
    append_text(line, "-pidfile", config->pidfile);
    return g_string_free(line, FALSE);
}
