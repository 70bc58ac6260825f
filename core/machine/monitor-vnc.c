/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/monitor-vnc.h"

#include "core/remote/vnc.h"

static void report(GString *out, const GError *error)
{
    if (error)
        g_string_append_printf(out, "Error: %s\n", error->message);
}

void monitor_info_vnc(Machine *machine, GString *out)
{
    g_autofree char *text = vnc_server_describe(machine_vnc(machine));

    g_string_append(out, text);
}

void monitor_change_vnc(Machine *machine, char **words, GString *out)
{
    g_autoptr(GError) error = NULL;

    if (g_strv_length(words) == 4 && g_str_equal(words[2], "password"))
        vnc_server_set_password(machine_vnc(machine), words[3], &error);
    else if (g_strv_length(words) == 3 && !g_str_equal(words[2], "password"))
        vnc_server_open(machine_vnc(machine), words[2], machine_config(machine)->name, &error);
    else
        g_string_append(out, "change vnc needs ADDRESS or password SECRET\n");
    report(out, error);
}

/* "vnc VALUE" behind the command. */
static const char *value_for_vnc(char **words, const char *value, GString *out)
{
    if (g_strv_length(words) >= 3 && g_str_equal(words[1], "vnc"))
        return words[2];
    g_string_append_printf(out, "%s needs vnc %s\n", words[0], value);
    return NULL;
}

void monitor_set_password(Machine *machine, char **words, GString *out)
{
    g_autoptr(GError) error = NULL;
    const char *password = value_for_vnc(words, "SECRET", out);

    if (password && words[3] && !g_str_equal(words[3], "keep"))
        g_string_append(out, "Clients that are connected stay: the last word can only be keep\n");
    else if (password)
        vnc_server_set_password(machine_vnc(machine), password, &error);
    report(out, error);
}

void monitor_expire_password(Machine *machine, char **words, GString *out)
{
    g_autoptr(GError) error = NULL;
    const char *when = value_for_vnc(words, "now|never|+SECONDS|SECONDS", out);

    if (when)
        vnc_server_expire_password(machine_vnc(machine), when, &error);
    report(out, error);
}
