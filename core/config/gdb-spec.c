/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/config/gdb-spec.h"

#include "core/config/options.h"
#include "core/net/socket-address.h"

#include <glib/gi18n.h>
#include <string.h>
#include <sys/un.h>

static const OptionInfo gdb_options[] = {
    {"gdb", OPTION_STRING, NULL, 0, 0, NULL, N_("tcp:[HOST]:PORT, unix:PATH, stdio or none")},
    {"arch", OPTION_ENUM, "auto", 0, 0, "auto|i386|x86-64", N_("what GDB takes the guest for")},
    {"nodelay", OPTION_BOOL, "on", 0, 0, NULL, N_("accepted: packets are never held back")},
    {"nowait", OPTION_BOOL, "on", 0, 0, NULL, N_("accepted: the machine does not wait for GDB")},
    {"server", OPTION_BOOL, "on", 0, 0, NULL, N_("accepted: GDB connects to the machine")},
    {"wait", OPTION_BOOL, "off", 0, 0, NULL, N_("accepted as off")},
    {NULL},
};

static bool check_switches(const OptionValues *values, GError **error)
{
    if (!option_bool(values, "server"))
        return option_refuse(error, "server=off: GDB connects to the machine, not the other way.");
    if (option_bool(values, "wait") || !option_bool(values, "nowait"))
        return option_refuse(error, "wait=on: use -S, and let GDB start the machine.");
    return true;
}

static bool take_address(GdbSpec *spec, const char *address, GError **error)
{
    if (!address)
        return option_refuse(error, "needs an address: tcp:[HOST]:PORT, unix:PATH, stdio or none.");
    spec->off = g_str_equal(address, "none");
    spec->stdio = g_str_equal(address, "stdio");
    if (spec->off || spec->stdio)
        return true;
    if (g_str_has_prefix(address, "unix:")) {
        spec->path = g_strdup(address + strlen("unix:"));
        if (!*spec->path)
            return option_refuse(error, "unix: needs the path of a socket.");
        return strlen(spec->path) < sizeof(((struct sockaddr_un *)NULL)->sun_path) ||
               option_refuse(error, "%s: too long for the name of a socket.", spec->path);
    }
    if (g_str_has_prefix(address, "tcp:")) {
        spec->address = g_strdup(address + strlen("tcp:"));
        return socket_address_check(spec->address, error);
    }
    return option_refuse(error,
                         "\"%s\" is nothing that GDB can connect to here; use tcp:[HOST]:PORT, "
                         "unix:PATH, stdio or none.",
                         address);
}

GdbSpec *gdb_spec_parse(const char *text, GError **error)
{
    g_autoptr(OptionValues) values = option_values_new(gdb_options);
    g_autoptr(GdbSpec) spec = g_new0(GdbSpec, 1);

    if (!option_values_parse(values, text, "gdb", error) || !check_switches(values, error) ||
        !take_address(spec, option_string(values, "gdb"), error))
        return NULL;
    const char *arch = option_string(values, "arch");
    spec->arch = g_str_equal(arch, "i386")     ? GDB_ARCH_I386
                 : g_str_equal(arch, "x86-64") ? GDB_ARCH_X86_64
                                               : GDB_ARCH_AUTO;
    return g_steal_pointer(&spec);
}

void gdb_spec_free(GdbSpec *spec)
{
    if (!spec)
        return;
    g_free(spec->path);
    g_free(spec->address);
    g_free(spec);
}
