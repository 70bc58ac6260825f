/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "app/run.h"

#include "core/config/arguments.h"
#include "core/cpu/cpuid.h"
#include "core/machine/machine.h"
#include "core/remote/qmp.h"
#ifdef HAVE_UI
#include "ui/ui.h"
#endif

#include <glib-unix.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    Machine *machine;
    GMainLoop *loop;
    GPtrArray *servers; /* QmpServer* */
    int status;
} Run;

static void on_event(void *opaque, const MachineEvent *event)
{
    Run *run = opaque;

    if (event->type == EVENT_ERROR)
        fprintf(stderr, "apiary: %s: %s\n", event->text, event->text2);
    if (event->type == EVENT_RESET && event->cause == CAUSE_TRIPLE_FAULT)
        fprintf(stderr, "apiary: %s\n", machine_cause_text(event->cause));
    if (event->type != EVENT_STATE || event->state != MACHINE_OFF)
        return;
    if (event->cause == CAUSE_DEBUG_EXIT)
        run->status = event->exit_status;
    else if (event->cause == CAUSE_ERROR)
        run->status = 1;
    if (event->cause == CAUSE_ERROR && event->text)
        fprintf(stderr, "apiary: %s\n", event->text);
    if (event->cause == CAUSE_TRIPLE_FAULT)
        fprintf(stderr, "apiary: %s\n", machine_cause_text(event->cause));
    g_main_loop_quit(run->loop);
}

static gboolean on_signal(gpointer data)
{
    Run *run = data;

    machine_send(run->machine, &(MachineCommand){.type = COMMAND_STOP}, NULL, NULL);
    return G_SOURCE_CONTINUE;
}

/* Lists that need no machine: -device help, -cpu help. True when one was printed. */
static bool print_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const char *flag = argv[i] + (g_str_has_prefix(argv[i], "--") ? 1 : 0);
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (g_str_equal(flag, "-help") || g_str_equal(flag, "-h")) {
            g_autoptr(GString) out = g_string_new(_("Usage: apiary run [OPTIONS]\n\n"));
            config_describe_arguments(out);
            fputs(out->str, stdout);
            return true;
        }
        if (g_str_equal(flag, "-cpu") && (g_str_equal(value, "help") || g_str_equal(value, "?"))) {
            g_autoptr(GString) out = g_string_new(NULL);
            cpuid_describe_models(out);
            fputs(out->str, stdout);
            return true;
        }
        if (g_str_equal(flag, "-device") && g_str_equal(value, "help")) {
            for (const DeviceClass *const *c = device_classes; *c; c++)
                printf("name \"%s\", %s\n", (*c)->name, _((*c)->title));
            return true;
        }
        if (g_str_equal(flag, "-device") && g_str_has_suffix(value, ",help")) {
            g_autofree char *name = g_strndup(value, strlen(value) - strlen(",help"));
            const DeviceClass *device_class = device_class_find(name);
            if (!device_class)
                return false;
            printf("%s: %s\n", device_class->name, _(device_class->title));
            for (const OptionInfo *o = device_class->options; o && o->name; o++)
                printf("  %s=<%s>  %s%s%s%s\n", o->name, o->choices ? o->choices : _("value"),
                       _(o->help), o->default_value ? _(" (default ") : "",
                       o->default_value ? o->default_value : "", o->default_value ? ")" : "");
            return true;
        }
    }
    return false;
}

static bool write_pidfile(const char *path, GError **error)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());

    return !path || g_file_set_contents(path, text, -1, error);
}

static bool start_servers(Run *run, const MachineConfig *config, GError **error)
{
    for (guint i = 0; i < config->qmps->len; i++) {
        QmpServer *server =
            qmp_server_new(run->machine, config->qmps->pdata[i], QMP_PROTOCOL_JSON, error);
        if (!server)
            return false;
        g_ptr_array_add(run->servers, server);
    }
    for (guint i = 0; i < config->monitors->len; i++) {
        QmpServer *server =
            qmp_server_new(run->machine, config->monitors->pdata[i], QMP_PROTOCOL_HUMAN, error);
        if (!server)
            return false;
        g_ptr_array_add(run->servers, server);
    }
    return true;
}

int run_headless(const MachineConfig *config)
{
    Run run = {.machine = machine_new(config),
               .loop = g_main_loop_new(NULL, FALSE),
               .servers = g_ptr_array_new_with_free_func((GDestroyNotify)qmp_server_free)};
    g_autoptr(GError) error = NULL;

    machine_listen(run.machine, on_event, &run);
    guint term = g_unix_signal_add(SIGTERM, on_signal, &run);
    guint interrupt = g_unix_signal_add(SIGINT, on_signal, &run);
    if (!write_pidfile(config->pidfile, &error) || !start_servers(&run, config, &error)) {
        fprintf(stderr, "apiary: %s\n", error->message);
        run.status = 1;
    } else {
        machine_send(run.machine, &(MachineCommand){.type = COMMAND_START}, NULL, NULL);
        g_main_loop_run(run.loop);
    }
    g_source_remove(term);
    g_source_remove(interrupt);
    g_ptr_array_unref(run.servers);
    machine_free(run.machine);
    g_main_loop_unref(run.loop);
    if (config->pidfile)
        unlink(config->pidfile);
    return run.status;
}

#ifdef HAVE_UI
static bool prepare_window(void *opaque, Machine *machine)
{
    Run *run = opaque;
    g_autoptr(GError) error = NULL;

    run->machine = machine;
    if (write_pidfile(machine_config(machine)->pidfile, &error) &&
        start_servers(run, machine_config(machine), &error))
        return true;
    fprintf(stderr, "apiary: %s\n", error->message);
    return false;
}

/* False without a display server: the machine runs in the terminal then. */
static bool wants_window(const MachineConfig *config)
{
    return g_str_equal(config->display, "gtk") &&
           (g_getenv("DISPLAY") || g_getenv("WAYLAND_DISPLAY"));
}

static void finish_window(void *opaque)
{
    Run *run = opaque;

    g_ptr_array_unref(run->servers);
}

static int run_in_window(const MachineConfig *config)
{
    Run run = {.servers = g_ptr_array_new_with_free_func((GDestroyNotify)qmp_server_free)};
    int status = ui_run_config(config, prepare_window, finish_window, &run);

    if (config->pidfile)
        unlink(config->pidfile);
    return status;
}
#endif

int run_main(int argc, char **argv)
{
    g_autoptr(MachineConfig) config = config_new();
    g_autoptr(GError) error = NULL;

    argc--, argv++;
    if (print_help(argc, argv))
        return 0;
    if (!config_parse_arguments(config, argc, argv, &error) || !config_validate(config, &error)) {
        fprintf(stderr, "apiary: %s\n", error->message);
        return 1;
    }
#ifdef HAVE_UI
    if (wants_window(config))
        return run_in_window(config);
#endif
    return run_headless(config);
}
