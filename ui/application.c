/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/application.h"

#include "ui/demo.h"
#include "ui/dialogs.h"
#include "ui/machine-window.h"
#include "ui/manager-window.h"
#include "ui/new-machine-assistant.h"
#include "ui/paths.h"
#include "ui/settings-window.h"
#include "ui/ui.h"

#include "apiary-build.h"
#include "apiary-resources.h"

#include <glib-unix.h>
#include <glib/gi18n.h>
#include <stdio.h>

struct _ApiaryApplication {
    GtkApplication parent;
    ApiaryCollection *collection;
    unsigned inhibit; /* cookie while machines run */
};

G_DEFINE_FINAL_TYPE(ApiaryApplication, apiary_application, GTK_TYPE_APPLICATION)

ApiaryApplication *apiary_application_get(void)
{
    return APIARY_APPLICATION(g_application_get_default());
}

/* --- the machines ----------------------------------------------------------------------------- */

static void notify_stopped(ApiaryApplication *application, ApiaryVm *vm)
{
    g_autoptr(GNotification) notification = NULL;
    g_autofree char *text = apiary_vm_state_text(vm);
    GtkWindow *window = apiary_application_find_vm_window(application, vm);

    if (apiary_vm_get_cause(vm) == CAUSE_USER || (window && gtk_window_is_active(window)))
        return;
    notification = g_notification_new(apiary_vm_get_name(vm));
    g_notification_set_body(notification, text);
    g_notification_set_default_action_and_target(notification, "app.open", "s",
                                                 apiary_vm_get_name(vm));
    g_application_send_notification(G_APPLICATION(application), apiary_vm_get_name(vm),
                                    notification);
}

/* The session should not end under running machines. */
static void on_vm_changed(ApiaryApplication *application)
{
    bool running = apiary_collection_count_running(application->collection) > 0;

    if (running && !application->inhibit)
        application->inhibit = gtk_application_inhibit(GTK_APPLICATION(application), NULL,
                                                       GTK_APPLICATION_INHIBIT_LOGOUT,
                                                       _("Virtual machines are running"));
    else if (!running && application->inhibit) {
        gtk_application_uninhibit(GTK_APPLICATION(application), application->inhibit);
        application->inhibit = 0;
    }
}

static void on_items_changed(GListModel *model, guint position, guint removed, guint added,
                             gpointer data)
{
    for (guint i = 0; i < added; i++) {
        g_autoptr(ApiaryVm) vm = g_list_model_get_item(model, position + i);
        g_signal_connect_object(vm, "changed", G_CALLBACK(on_vm_changed), data, G_CONNECT_SWAPPED);
        g_signal_connect_object(vm, "stopped", G_CALLBACK(notify_stopped), data, G_CONNECT_SWAPPED);
    }
}

ApiaryCollection *apiary_application_get_collection(ApiaryApplication *application)
{
    if (!application->collection) {
        g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
        application->collection = apiary_collection_new(problems);
        GListModel *model = apiary_collection_get_model(application->collection);
        g_signal_connect(model, "items-changed", G_CALLBACK(on_items_changed), application);
        on_items_changed(model, 0, 0, g_list_model_get_n_items(model), application);
        for (guint i = 0; i < problems->len; i++)
            g_warning("%s", (char *)problems->pdata[i]);
    }
    return application->collection;
}

/* --- windows ---------------------------------------------------------------------------------- */

GtkWindow *apiary_application_find_vm_window(ApiaryApplication *application, ApiaryVm *vm)
{
    for (GList *l = gtk_application_get_windows(GTK_APPLICATION(application)); l; l = l->next)
        if (APIARY_IS_MACHINE_WINDOW(l->data) && apiary_machine_window_get_vm(l->data) == vm)
            return l->data;
    return NULL;
}

GtkWindow *apiary_application_open_vm(ApiaryApplication *application, ApiaryVm *vm)
{
    GtkWindow *window = apiary_application_find_vm_window(application, vm);

    if (!window)
        window = GTK_WINDOW(apiary_machine_window_new(GTK_APPLICATION(application), vm));
    gtk_window_present(window);
    return window;
}

void apiary_application_open_settings(ApiaryApplication *application, ApiaryVm *vm)
{
    GtkWindow *window = NULL;

    for (GList *l = gtk_application_get_windows(GTK_APPLICATION(application)); l; l = l->next)
        if (APIARY_IS_SETTINGS_WINDOW(l->data) && apiary_settings_window_get_vm(l->data) == vm)
            window = l->data;
    if (!window)
        window = GTK_WINDOW(apiary_settings_window_new(GTK_APPLICATION(application), vm));
    gtk_window_present(window);
}

static GtkWindow *open_manager(ApiaryApplication *application)
{
    GtkWindow *window = NULL;

    for (GList *l = gtk_application_get_windows(GTK_APPLICATION(application)); l; l = l->next)
        if (APIARY_IS_MANAGER_WINDOW(l->data))
            window = l->data;
    if (!window)
        window = GTK_WINDOW(apiary_manager_window_new(GTK_APPLICATION(application)));
    gtk_window_present(window);
    return window;
}

void apiary_application_new_machine(ApiaryApplication *application, const char *iso)
{
    GtkWindow *active = gtk_application_get_active_window(GTK_APPLICATION(application));
    GtkWindow *parent = active ? active : open_manager(application);
    ApiaryNewMachineAssistant *assistant =
        apiary_new_machine_assistant_new(GTK_APPLICATION(application), parent);

    if (iso)
        apiary_new_machine_assistant_set_medium(assistant, iso);
    gtk_window_present(GTK_WINDOW(assistant));
}

/* An answer to whether machines may be switched off: the window that asked then closes. */
static void on_close_confirmed(void *opaque, bool accepted)
{
    g_autoptr(GtkWidget) window = opaque;

    if (accepted)
        gtk_widget_destroy(window);
}

gboolean apiary_application_may_close(ApiaryApplication *application, GtkWindow *window)
{
    unsigned running =
        application->collection ? apiary_collection_count_running(application->collection) : 0;
    unsigned others = 0;

    for (GList *l = gtk_application_get_windows(GTK_APPLICATION(application)); l; l = l->next)
        others += l->data != window &&
                  (APIARY_IS_MANAGER_WINDOW(l->data) || APIARY_IS_MACHINE_WINDOW(l->data));
    if (!running || others)
        return TRUE;
    g_autofree char *text = g_strdup_printf(
        ngettext("%u machine is still running.", "%u machines are still running.", running),
        running);
    apiary_dialog_confirm(window, text,
                          _("When Apiary ends they are switched off, as if their power cord "
                            "were pulled."),
                          _("_Switch Off and Quit"), on_close_confirmed, g_object_ref(window));
    return FALSE;
}

/* --- actions ---------------------------------------------------------------------------------- */

static void on_new(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    apiary_application_new_machine(data, NULL);
}

static void on_import(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    GtkWindow *parent = gtk_application_get_active_window(data);
    ApiaryNewMachineAssistant *assistant = apiary_new_machine_assistant_new(data, parent);

    apiary_new_machine_assistant_import(assistant);
    gtk_window_present(GTK_WINDOW(assistant));
}

static void on_demo(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    apiary_demo_start(data, gtk_application_get_active_window(data));
}

static void on_open(GSimpleAction *action, GVariant *name, gpointer data)
{
    ApiaryVm *vm = apiary_collection_find(apiary_application_get_collection(data),
                                          g_variant_get_string(name, NULL));

    if (vm)
        apiary_application_open_vm(data, vm);
}

static void on_about(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    gtk_show_about_dialog(gtk_application_get_active_window(data), "program-name", "Apiary",
                          "version", APIARY_VERSION, "comments",
                          _("Creates, runs and shows virtual PCs"), "logo-icon-name", APIARY_APP_ID,
                          "license-type", GTK_LICENSE_GPL_3_0, NULL);
}

static void on_quit_confirmed(void *opaque, bool accepted)
{
    if (accepted)
        g_application_quit(opaque);
}

static void on_quit(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    ApiaryApplication *application = data;
    GtkWindow *window = gtk_application_get_active_window(data);
    unsigned running =
        application->collection ? apiary_collection_count_running(application->collection) : 0;

    if (running)
        apiary_dialog_confirm(window, _("Machines are still running."),
                              _("When Apiary ends they are switched off, as if their power cord "
                                "were pulled."),
                              _("_Switch Off and Quit"), on_quit_confirmed, application);
    else
        g_application_quit(data);
}

static const GActionEntry actions[] = {
    {.name = "new", .activate = on_new},
    {.name = "import", .activate = on_import},
    {.name = "demo", .activate = on_demo},
    {.name = "about", .activate = on_about},
    {.name = "quit", .activate = on_quit},
    {.name = "open", .activate = on_open, .parameter_type = "s"},
};

static const struct {
    const char *action;
    const char *keys[3];
} accelerators[] = {
    {"app.new", {"<Primary>n"}},
    {"app.quit", {"<Primary>q"}},
    {"win.search", {"<Primary>f"}},
    {"win.close", {"<Primary>w"}},
    {"win.fullscreen", {"F11"}},
    {"win.show-help-overlay", {"<Primary>question", "F1"}},
    {"vm.settings", {"<Primary>comma"}},
    {"win.screenshot", {"<Primary>p"}},
    {"win.type-clipboard", {"<Primary><Shift>v"}},
    {"win.select-text", {"<Primary><Shift>s"}},
    {"win.copy-text", {"<Primary><Shift>c"}},
};

/* --- start ------------------------------------------------------------------------------------ */

static const GOptionEntry options[] = {
    {"version", 0, 0, G_OPTION_ARG_NONE, NULL, N_("Show the version"), NULL},
    {"list", 0, 0, G_OPTION_ARG_NONE, NULL, N_("List the machines"), NULL},
    {"new", 0, 0, G_OPTION_ARG_NONE, NULL, N_("Begin a new machine"), NULL},
    {"demo", 0, 0, G_OPTION_ARG_NONE, NULL, N_("Start the demo machine"), NULL},
    {"open", 0, 0, G_OPTION_ARG_STRING, NULL, N_("Show a machine's window"), N_("NAME")},
    {"start", 0, 0, G_OPTION_ARG_STRING, NULL, N_("Start a machine and show its window"),
     N_("NAME")},
    /* It is served before the window's options are read (app/headless.c). */
    {"headless", 0, 0, G_OPTION_ARG_NONE, NULL, N_("With --start: run it in the terminal"), NULL},
    {"settings", 0, 0, G_OPTION_ARG_STRING, NULL, N_("Show a machine's settings"), N_("NAME")},
    {NULL},
};

static int apiary_application_handle_local_options(GApplication *base, GVariantDict *dict)
{
    if (g_variant_dict_contains(dict, "version")) {
        puts("Apiary " APIARY_VERSION);
        return 0;
    }
    if (g_variant_dict_contains(dict, "list")) {
        Library *library = library_new(NULL);
        g_autoptr(GPtrArray) items = library_list(library, NULL);
        for (guint i = 0; items && i < items->len; i++) {
            const LibraryItem *item = items->pdata[i];
            printf("%s\t%s\n", item->config ? item->config->name : "?", item->folder);
        }
        library_free(library);
        return 0;
    }
    return -1;
}

/* The machine that an option names, or NULL and a word to whoever asked. */
static ApiaryVm *named_vm(ApiaryApplication *application, GApplicationCommandLine *line,
                          GVariantDict *dict, const char *option, int *status)
{
    const char *name;
    ApiaryVm *vm;

    if (!g_variant_dict_lookup(dict, option, "&s", &name))
        return NULL;
    vm = apiary_collection_find(apiary_application_get_collection(application), name);
    if (!vm) {
        g_application_command_line_printerr(line, _("There is no machine called “%s”.\n"), name);
        *status = 1;
    }
    return vm;
}

static int apiary_application_command_line(GApplication *base, GApplicationCommandLine *line)
{
    ApiaryApplication *application = APIARY_APPLICATION(base);
    GVariantDict *dict = g_application_command_line_get_options_dict(line);
    int status = 0, argc;
    g_auto(GStrv) arguments = g_application_command_line_get_arguments(line, &argc);
    ApiaryVm *open = named_vm(application, line, dict, "open", &status);
    ApiaryVm *start = named_vm(application, line, dict, "start", &status);
    ApiaryVm *settings = named_vm(application, line, dict, "settings", &status);

    if (status)
        return status;
    if (open || start)
        apiary_application_open_vm(application, start ? start : open);
    else if (settings)
        apiary_application_open_settings(application, settings);
    else
        open_manager(application);
    if (start)
        apiary_vm_start(start);
    if (g_variant_dict_contains(dict, "new"))
        apiary_application_new_machine(application, NULL);
    else if (g_variant_dict_contains(dict, "demo"))
        apiary_demo_start(application, gtk_application_get_active_window(GTK_APPLICATION(base)));
    else if (argc > 1) {
        g_autoptr(GFile) file = g_application_command_line_create_file_for_arg(line, arguments[1]);
        apiary_application_new_machine(application, g_file_peek_path(file));
    }
    return 0;
}

static gboolean on_terminate(gpointer data)
{
    g_application_quit(data);
    return G_SOURCE_CONTINUE;
}

static void load_style(void)
{
    g_autoptr(GtkCssProvider) provider = gtk_css_provider_new();

    gtk_css_provider_load_from_resource(provider, APIARY_RESOURCE_PATH "/style.css");
    gtk_style_context_add_provider_for_screen(gdk_screen_get_default(),
                                              GTK_STYLE_PROVIDER(provider),
                                              GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
}

static void apiary_application_startup(GApplication *base)
{
    g_resources_register(apiary_get_resource());
    /* What the desktop knows the windows by; until now it was the command that usage names. */
    g_set_prgname(APIARY_APP_ID);
    G_APPLICATION_CLASS(apiary_application_parent_class)->startup(base);
    load_style();
    gtk_window_set_default_icon_name(APIARY_APP_ID);
    g_action_map_add_action_entries(G_ACTION_MAP(base), actions, G_N_ELEMENTS(actions), base);
    for (size_t i = 0; i < G_N_ELEMENTS(accelerators); i++)
        gtk_application_set_accels_for_action(GTK_APPLICATION(base), accelerators[i].action,
                                              accelerators[i].keys);
    g_unix_signal_add(SIGTERM, on_terminate, base);
    g_unix_signal_add(SIGINT, on_terminate, base);
}

static void apiary_application_activate(GApplication *base)
{
    /* `apiary run` shows its one machine, which is no part of the library. */
    if (!(g_application_get_flags(base) & G_APPLICATION_NON_UNIQUE))
        open_manager(APIARY_APPLICATION(base));
}

/* A disc image from a file manager; the desktop activates the program over D-Bus for that. */
static void apiary_application_open(GApplication *base, GFile **files, int n_files,
                                    const char *hint)
{
    for (int i = 0; i < n_files; i++)
        apiary_application_new_machine(APIARY_APPLICATION(base), g_file_peek_path(files[i]));
}

static void apiary_application_shutdown(GApplication *base)
{
    ApiaryApplication *application = APIARY_APPLICATION(base);
    GList *windows;

    while ((windows = gtk_application_get_windows(GTK_APPLICATION(base))))
        gtk_widget_destroy(windows->data);
    if (application->collection)
        apiary_collection_flush(application->collection);
    G_APPLICATION_CLASS(apiary_application_parent_class)->shutdown(base);
}

static void apiary_application_finalize(GObject *object)
{
    g_clear_object(&APIARY_APPLICATION(object)->collection);
    G_OBJECT_CLASS(apiary_application_parent_class)->finalize(object);
}

static void apiary_application_init(ApiaryApplication *application)
{
    g_application_add_main_option_entries(G_APPLICATION(application), options);
    g_application_set_option_context_parameter_string(G_APPLICATION(application), _("[ISO IMAGE]"));
    g_application_set_option_context_summary(G_APPLICATION(application),
                                             _("Creates, runs and shows virtual PCs. Commands: "
                                               "apiary run, apiary img (see their --help)."));
}

static void apiary_application_class_init(ApiaryApplicationClass *klass)
{
    GApplicationClass *application_class = G_APPLICATION_CLASS(klass);

    G_OBJECT_CLASS(klass)->finalize = apiary_application_finalize;
    application_class->startup = apiary_application_startup;
    application_class->activate = apiary_application_activate;
    application_class->open = apiary_application_open;
    application_class->shutdown = apiary_application_shutdown;
    application_class->handle_local_options = apiary_application_handle_local_options;
    application_class->command_line = apiary_application_command_line;
}

static void name_program(void)
{
    g_set_application_name("Apiary");
    g_set_prgname("apiary");
}

int ui_main(int argc, char **argv)
{
    name_program();
    g_autoptr(ApiaryApplication) application =
        g_object_new(APIARY_TYPE_APPLICATION, "application-id", APIARY_APP_ID, "flags",
                     G_APPLICATION_HANDLES_COMMAND_LINE | G_APPLICATION_HANDLES_OPEN,
                     "resource-base-path", APIARY_RESOURCE_PATH, NULL);
    return g_application_run(G_APPLICATION(application), argc, argv);
}

/* --- one machine of the command line ---------------------------------------------------------- */

static void on_single_stopped(ApiaryVm *vm, gpointer application)
{
    if (apiary_vm_get_cause(vm) != CAUSE_USER && apiary_vm_get_cause(vm) != CAUSE_GUEST_POWEROFF)
        fprintf(stderr, "apiary: %s\n", machine_cause_text(apiary_vm_get_cause(vm)));
    g_application_quit(application);
}

static void print_message(ApiaryVm *vm, int type, const char *text, gpointer data)
{
    if (type == GTK_MESSAGE_ERROR || type == GTK_MESSAGE_WARNING)
        fprintf(stderr, "apiary: %s\n", text);
}

int ui_run_config(const MachineConfig *config, UiPrepare prepare, void (*finish)(void *opaque),
                  void *opaque)
{
    name_program();
    g_autoptr(ApiaryVm) vm = apiary_vm_new(config_copy(config));
    g_autoptr(ApiaryApplication) application =
        g_object_new(APIARY_TYPE_APPLICATION, "application-id", APIARY_APP_ID, "flags",
                     G_APPLICATION_NON_UNIQUE, "resource-base-path", APIARY_RESOURCE_PATH, NULL);
    g_autoptr(GError) error = NULL;
    int status = 1;

    if (!g_application_register(G_APPLICATION(application), NULL, &error)) {
        fprintf(stderr, "apiary: %s\n", error->message);
        finish(opaque);
        return 1;
    }
    g_application_set_default(G_APPLICATION(application));
    if (prepare(opaque, apiary_vm_ensure_machine(vm))) {
        g_signal_connect(vm, "message", G_CALLBACK(print_message), NULL);
        g_signal_connect(vm, "stopped", G_CALLBACK(on_single_stopped), application);
        apiary_application_open_vm(application, vm);
        apiary_vm_start(vm);
        g_application_run(G_APPLICATION(application), 0, NULL);
        MachineCause cause = apiary_vm_get_cause(vm);
        status = cause == CAUSE_DEBUG_EXIT ? apiary_vm_get_exit_status(vm) : cause == CAUSE_ERROR;
    }
    finish(opaque);
    return status;
}
