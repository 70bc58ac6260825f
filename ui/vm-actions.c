/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/vm-actions.h"

#include "ui/application.h"
#include "ui/dialogs.h"
#include "ui/job.h"

#include <glib/gi18n.h>

static ApiaryCollection *get_collection(void)
{
    return apiary_application_get_collection(apiary_application_get());
}

static GtkWindow *active_window(void)
{
    return gtk_application_get_active_window(GTK_APPLICATION(apiary_application_get()));
}

static void on_open(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    apiary_application_open_vm(apiary_application_get(), vm);
}

static void on_start(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    if (apiary_vm_get_state(vm) == MACHINE_PAUSED)
        apiary_vm_send(vm, COMMAND_RESUME);
    else
        apiary_vm_start(vm);
}

static void on_pause(GSimpleAction *action, GVariant *value, gpointer vm)
{
    apiary_vm_send(vm, g_variant_get_boolean(value) ? COMMAND_PAUSE : COMMAND_RESUME);
}

static void on_power_button(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    apiary_vm_send(vm, COMMAND_POWER_BUTTON);
    apiary_vm_message(vm, GTK_MESSAGE_INFO,
                      _("The power button was pressed; the guest decides what to do."));
}

static void on_reset(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    apiary_vm_send(vm, COMMAND_RESET);
}

static void on_force_off(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    apiary_vm_send(vm, COMMAND_STOP);
}

static void on_settings(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    apiary_application_open_settings(apiary_application_get(), vm);
}

static bool check_name(void *opaque, const char *text, GError **error)
{
    return library_check_name(apiary_collection_get_library(get_collection()), text,
                              apiary_vm_get_config(opaque)->folder, error);
}

static void on_renamed(void *opaque, const char *name)
{
    g_autoptr(ApiaryVm) vm = opaque;
    g_autoptr(GError) error = NULL;

    if (!name || apiary_vm_is_on(vm))
        return;
    if (!library_rename(apiary_collection_get_library(get_collection()), apiary_vm_get_config(vm),
                        name, &error))
        apiary_vm_message(vm, GTK_MESSAGE_ERROR, error->message);
    apiary_vm_config_changed(vm);
}

static void on_rename(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    apiary_dialog_ask_text(active_window(), _("Rename Machine"), _("_Name"), apiary_vm_get_name(vm),
                           _("_Rename"), check_name, on_renamed, g_object_ref(vm));
}

/* --- clone ------------------------------------------------------------------------------------ */

typedef struct {
    ApiaryVm *vm;
    MachineConfig *config, *result;
    char *name;
} Clone;

static void on_clone_progress(void *opaque, double fraction)
{
    apiary_job_set_fraction(opaque, fraction);
}

static bool run_clone(ApiaryJob *job, void *opaque, GError **error)
{
    Clone *clone = opaque;
    Library *library = apiary_collection_get_library(get_collection());

    clone->result = library_clone(library, clone->config, clone->name, on_clone_progress, job,
                                  apiary_job_get_cancellable(job), error);
    return clone->result != NULL;
}

static void finish_clone(void *opaque, const GError *error)
{
    Clone *clone = opaque;

    if (clone->result)
        apiary_collection_add(get_collection(), clone->result);
    else if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        apiary_vm_message(clone->vm, GTK_MESSAGE_ERROR, error->message);
    g_object_unref(clone->vm);
    config_free(clone->config);
    g_free(clone->name);
    g_free(clone);
}

static bool check_clone_name(void *opaque, const char *text, GError **error)
{
    return library_check_name(apiary_collection_get_library(get_collection()), text, NULL, error);
}

static void on_clone_named(void *opaque, const char *name)
{
    g_autoptr(ApiaryVm) vm = opaque;

    if (!name)
        return;
    Clone *clone = g_new0(Clone, 1);
    clone->config = config_copy(apiary_vm_get_config(vm));
    clone->vm = g_steal_pointer(&vm);
    clone->name = g_strdup(name);
    apiary_job_run(active_window(), _("Copying the machine's disks…"), run_clone, finish_clone,
                   clone);
}

static void on_clone(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    g_autofree char *wish =
        library_free_name(apiary_collection_get_library(get_collection()), apiary_vm_get_name(vm));

    apiary_dialog_ask_text(active_window(), _("Clone Machine"), _("_Name of the clone"), wish,
                           _("_Clone"), check_clone_name, on_clone_named, g_object_ref(vm));
}

/* --- files ------------------------------------------------------------------------------------ */

static void on_show_files(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    const char *folder = apiary_vm_get_config(vm)->folder;
    g_autofree char *uri = folder ? g_filename_to_uri(folder, NULL, NULL) : NULL;
    g_autoptr(GError) error = NULL;

    if (uri && !gtk_show_uri_on_window(active_window(), uri, GDK_CURRENT_TIME, &error))
        apiary_vm_message(vm, GTK_MESSAGE_ERROR, error->message);
}

static void on_copy_command(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    g_autofree char *command = config_to_command_line(apiary_vm_get_config(vm));

    gtk_clipboard_set_text(gtk_clipboard_get(GDK_SELECTION_CLIPBOARD), command, -1);
}

enum { RESPONSE_KEEP_DISKS = 1, RESPONSE_DELETE_DISKS };

static void on_delete_response(GtkDialog *dialog, int response, gpointer data)
{
    g_autoptr(ApiaryVm) vm = data;
    g_autoptr(GError) error = NULL;

    apiary_dialog_close(dialog);
    if ((response != RESPONSE_KEEP_DISKS && response != RESPONSE_DELETE_DISKS) ||
        apiary_vm_is_on(vm))
        return;
    apiary_collection_flush(get_collection());
    if (!library_delete(apiary_collection_get_library(get_collection()), apiary_vm_get_config(vm),
                        response == RESPONSE_DELETE_DISKS, &error)) {
        apiary_vm_message(vm, GTK_MESSAGE_ERROR, error->message);
        return;
    }
    GtkWindow *window = apiary_application_find_vm_window(apiary_application_get(), vm);
    if (window)
        gtk_widget_destroy(GTK_WIDGET(window));
    apiary_collection_remove(get_collection(), vm);
}

static void on_delete(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    g_autoptr(GPtrArray) disks = library_own_disks(apiary_vm_get_config(vm));
    GtkWidget *dialog = gtk_message_dialog_new(
        active_window(), GTK_DIALOG_MODAL, GTK_MESSAGE_QUESTION, GTK_BUTTONS_NONE,
        _("Delete the machine “%s”?"), apiary_vm_get_name(vm));

    if (disks->len) {
        g_ptr_array_add(disks, NULL);
        g_autofree char *list = g_strjoinv("\n", (char **)disks->pdata);
        gtk_message_dialog_format_secondary_text(
            GTK_MESSAGE_DIALOG(dialog), _("Its disks can be kept, or deleted for good:\n%s"), list);
    } else {
        gtk_message_dialog_format_secondary_text(GTK_MESSAGE_DIALOG(dialog),
                                                 _("It has no disks of its own."));
    }
    gtk_dialog_add_button(GTK_DIALOG(dialog), _("_Cancel"), GTK_RESPONSE_CANCEL);
    if (disks->len)
        gtk_dialog_add_button(GTK_DIALOG(dialog), _("_Keep Disks"), RESPONSE_KEEP_DISKS);
    GtkWidget *button = gtk_dialog_add_button(GTK_DIALOG(dialog),
                                              disks->len ? _("_Delete Everything") : _("_Delete"),
                                              RESPONSE_DELETE_DISKS);
    gtk_style_context_add_class(gtk_widget_get_style_context(button), "destructive-action");
    gtk_dialog_set_default_response(GTK_DIALOG(dialog), GTK_RESPONSE_CANCEL);
    g_signal_connect(dialog, "response", G_CALLBACK(on_delete_response), g_object_ref(vm));
    gtk_window_present(GTK_WINDOW(dialog));
}

/* --- media ------------------------------------------------------------------------------------ */

static void insert(void *opaque, const char *path)
{
    g_autoptr(ApiaryVm) vm = opaque;
    const DriveConfig *cd = apiary_vm_get_cd(vm);

    if (!cd || !path)
        return;
    library_note_medium(apiary_collection_get_library(get_collection()), path);
    apiary_vm_change_medium(vm, cd->id, path, false);
    apiary_collection_save(get_collection(), vm);
}

/* The parameter is a path, or "" to ask for one. */
static void on_insert(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    static const char *const patterns[] = {"*.iso", "*.ISO", "*.img", NULL};
    const char *path = g_variant_get_string(parameter, NULL);

    if (*path)
        insert(g_object_ref(vm), path);
    else if (apiary_vm_get_cd(vm))
        apiary_dialog_open_file(active_window(), _("Insert a Disc Image"), _("Disc images"),
                                patterns, insert, g_object_ref(vm));
}

static void on_eject(GSimpleAction *action, GVariant *parameter, gpointer vm)
{
    const DriveConfig *cd = apiary_vm_get_cd(vm);

    if (!cd)
        return;
    apiary_vm_change_medium(vm, cd->id, NULL, true);
    apiary_collection_save(get_collection(), vm);
}

/* --- the group -------------------------------------------------------------------------------- */

static const GActionEntry entries[] = {
    {.name = "open", .activate = on_open},
    {.name = "start", .activate = on_start},
    {.name = "pause", .state = "false", .change_state = on_pause},
    {.name = "power-button", .activate = on_power_button},
    {.name = "reset", .activate = on_reset},
    {.name = "force-off", .activate = on_force_off},
    {.name = "settings", .activate = on_settings},
    {.name = "rename", .activate = on_rename},
    {.name = "clone", .activate = on_clone},
    {.name = "show-files", .activate = on_show_files},
    {.name = "copy-command", .activate = on_copy_command},
    {.name = "delete", .activate = on_delete},
    {.name = "insert", .activate = on_insert, .parameter_type = "s"},
    {.name = "eject", .activate = on_eject},
};

static void enable(GActionMap *map, const char *name, bool enabled)
{
    g_simple_action_set_enabled(G_SIMPLE_ACTION(g_action_map_lookup_action(map, name)), enabled);
}

static void update(GActionMap *map)
{
    ApiaryVm *vm = g_object_get_data(G_OBJECT(map), "vm");
    MachineState state = apiary_vm_get_state(vm);
    bool off = state == MACHINE_OFF, running = state == MACHINE_RUNNING;
    bool paused = state == MACHINE_PAUSED;
    bool kept = apiary_vm_get_config(vm)->folder != NULL;
    const DriveConfig *cd = apiary_vm_get_cd(vm);

    enable(map, "start", off || paused);
    enable(map, "pause", running || paused);
    enable(map, "power-button", running);
    enable(map, "reset", running || paused);
    enable(map, "force-off", !off);
    enable(map, "rename", off && kept);
    enable(map, "clone", off && kept);
    enable(map, "delete", off && kept);
    enable(map, "show-files", kept);
    enable(map, "settings", kept);
    enable(map, "insert", cd != NULL);
    enable(map, "eject", cd && apiary_vm_get_medium(vm, cd->id));
    g_simple_action_set_state(G_SIMPLE_ACTION(g_action_map_lookup_action(map, "pause")),
                              g_variant_new_boolean(paused));
}

GActionGroup *apiary_vm_actions_new(ApiaryVm *vm)
{
    GSimpleActionGroup *group = g_simple_action_group_new();

    g_object_set_data_full(G_OBJECT(group), "vm", g_object_ref(vm), g_object_unref);
    g_action_map_add_action_entries(G_ACTION_MAP(group), entries, G_N_ELEMENTS(entries), vm);
    g_signal_connect_object(vm, "changed", G_CALLBACK(update), group, G_CONNECT_SWAPPED);
    update(G_ACTION_MAP(group));
    return G_ACTION_GROUP(group);
}
