/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/manager-window.h"

#include "ui/dialogs.h"
#include "ui/machine-row.h"
#include "ui/paths.h"
#include "ui/preferences.h"

#include <glib/gi18n.h>
#include <string.h>

struct _ApiaryManagerWindow {
    GtkApplicationWindow parent;
    GtkWidget *stack, *list, *search_bar, *search_entry, *info_bar, *info_label;
    GtkWidget *start_button, *start_image, *shut_down_box;
    ApiaryVm *selected; /* not owned */
    gulong selected_changed;
};

G_DEFINE_FINAL_TYPE(ApiaryManagerWindow, apiary_manager_window, GTK_TYPE_APPLICATION_WINDOW)

static ApiaryCollection *get_collection(void)
{
    return apiary_application_get_collection(apiary_application_get());
}

/* --- selection -------------------------------------------------------------------------------- */

/* One button that says what it will do: start, pause or go on. */
static void update_buttons(ApiaryManagerWindow *window)
{
    bool running = window->selected && apiary_vm_get_state(window->selected) == MACHINE_RUNNING;
    const char *words = running ? _("Pause") : _("Start");

    gtk_actionable_set_action_name(GTK_ACTIONABLE(window->start_button),
                                   running ? "vm.pause" : "vm.start");
    gtk_image_set_from_icon_name(GTK_IMAGE(window->start_image),
                                 running ? "media-playback-pause-symbolic"
                                         : "media-playback-start-symbolic",
                                 GTK_ICON_SIZE_BUTTON);
    gtk_widget_set_tooltip_text(window->start_button, words);
    atk_object_set_name(gtk_widget_get_accessible(window->start_button), words);
    gtk_widget_set_sensitive(window->shut_down_box,
                             window->selected && apiary_vm_is_on(window->selected));
    gtk_widget_set_visible(window->start_button, window->selected != NULL);
    gtk_widget_set_visible(window->shut_down_box, window->selected != NULL);
}

static void on_row_selected(GtkListBox *list, GtkListBoxRow *row, ApiaryManagerWindow *window)
{
    if (window->selected)
        g_signal_handler_disconnect(window->selected, window->selected_changed);
    window->selected = row ? apiary_machine_row_get_vm(APIARY_MACHINE_ROW(row)) : NULL;
    gtk_widget_insert_action_group(GTK_WIDGET(window), "vm",
                                   row ? apiary_machine_row_get_actions(APIARY_MACHINE_ROW(row))
                                       : NULL);
    if (window->selected)
        window->selected_changed = g_signal_connect_swapped(window->selected, "changed",
                                                            G_CALLBACK(update_buttons), window);
    update_buttons(window);
}

static void on_row_activated(GtkListBox *list, GtkListBoxRow *row, ApiaryManagerWindow *window)
{
    ApiaryVm *vm = apiary_machine_row_get_vm(APIARY_MACHINE_ROW(row));

    apiary_application_open_vm(apiary_application_get(), vm);
}

static gboolean on_list_key(GtkWidget *list, GdkEventKey *event, ApiaryManagerWindow *window)
{
    GtkListBoxRow *row = gtk_list_box_get_selected_row(GTK_LIST_BOX(list));
    const char *action = event->keyval == GDK_KEY_Delete ? "delete"
                         : event->keyval == GDK_KEY_F2   ? "rename"
                                                         : NULL;

    if (!row || !action || event->state & gtk_accelerator_get_default_mod_mask())
        return GDK_EVENT_PROPAGATE;
    g_action_group_activate_action(apiary_machine_row_get_actions(APIARY_MACHINE_ROW(row)), action,
                                   NULL);
    return GDK_EVENT_STOP;
}

/* --- list ------------------------------------------------------------------------------------- */

static void on_message(ApiaryVm *vm, int type, const char *text, ApiaryManagerWindow *window)
{
    /* A machine with a window says it there. */
    if (apiary_application_find_vm_window(apiary_application_get(), vm))
        return;
    g_autofree char *said = g_strdup_printf("%s: %s", apiary_vm_get_name(vm), text);
    gtk_label_set_text(GTK_LABEL(window->info_label), said);
    gtk_info_bar_set_message_type(GTK_INFO_BAR(window->info_bar), (GtkMessageType)type);
    gtk_widget_show(window->info_bar);
}

static GtkWidget *make_row(gpointer item, gpointer data)
{
    g_signal_handlers_disconnect_by_func(item, on_message, data);
    g_signal_connect_object(item, "message", G_CALLBACK(on_message), data, 0);
    return apiary_machine_row_new(item);
}

static void on_items_changed(ApiaryManagerWindow *window)
{
    GListModel *model = apiary_collection_get_model(get_collection());
    bool empty = g_list_model_get_n_items(model) == 0;

    gtk_stack_set_visible_child_name(GTK_STACK(window->stack), empty ? "empty" : "list");
    if (!empty && !gtk_list_box_get_selected_row(GTK_LIST_BOX(window->list)))
        gtk_list_box_select_row(GTK_LIST_BOX(window->list),
                                gtk_list_box_get_row_at_index(GTK_LIST_BOX(window->list), 0));
}

/* A list bound to a model does not filter: the rows that do not match are hidden. */
static void filter_row(GtkWidget *widget, gpointer data)
{
    ApiaryManagerWindow *window = data;
    const char *wanted = gtk_entry_get_text(GTK_ENTRY(window->search_entry));
    ApiaryVm *vm = apiary_machine_row_get_vm(APIARY_MACHINE_ROW(widget));
    const char *notes = apiary_vm_get_config(vm)->notes;
    g_autofree char *text = g_strconcat(apiary_vm_get_name(vm), "\n", notes ? notes : "", NULL);
    g_autofree char *folded = g_utf8_casefold(text, -1);
    g_autofree char *folded_wanted = g_utf8_casefold(wanted, -1);

    gtk_widget_set_visible(widget, strstr(folded, folded_wanted) != NULL);
}

static void on_search_changed(GtkEntry *entry, ApiaryManagerWindow *window)
{
    gtk_container_foreach(GTK_CONTAINER(window->list), filter_row, window);
}

static void separate_rows(GtkListBoxRow *row, GtkListBoxRow *before, gpointer data)
{
    gtk_list_box_row_set_header(row, before ? gtk_separator_new(GTK_ORIENTATION_HORIZONTAL) : NULL);
}

/* --- window ----------------------------------------------------------------------------------- */

static void on_search(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    GtkSearchBar *bar = GTK_SEARCH_BAR(APIARY_MANAGER_WINDOW(data)->search_bar);

    gtk_search_bar_set_search_mode(bar, !gtk_search_bar_get_search_mode(bar));
}

static void on_close(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    gtk_window_close(data);
}

static const GActionEntry actions[] = {
    {.name = "search", .activate = on_search},
    {.name = "close", .activate = on_close},
};

static gboolean on_delete_event(GtkWidget *window)
{
    int width, height;

    gtk_window_get_size(GTK_WINDOW(window), &width, &height);
    g_settings_set(apiary_preferences(), APIARY_PREFERENCE_MANAGER_SIZE, "(ii)", width, height);
    return !apiary_application_may_close(apiary_application_get(), GTK_WINDOW(window));
}

/* An ISO dropped on the list begins a machine. */
static void on_drag_data(GtkWidget *widget, GdkDragContext *context, int x, int y,
                         GtkSelectionData *selection, guint info, guint time)
{
    g_auto(GStrv) uris = gtk_selection_data_get_uris(selection);
    g_autofree char *path = uris && *uris ? g_filename_from_uri(*uris, NULL, NULL) : NULL;

    if (path)
        apiary_application_new_machine(apiary_application_get(), path);
}

ApiaryManagerWindow *apiary_manager_window_new(GtkApplication *application)
{
    ApiaryManagerWindow *window =
        g_object_new(APIARY_TYPE_MANAGER_WINDOW, "application", application, NULL);
    GListModel *model = apiary_collection_get_model(get_collection());

    gtk_list_box_bind_model(GTK_LIST_BOX(window->list), model, make_row, window, NULL);
    g_signal_connect_object(model, "items-changed", G_CALLBACK(on_items_changed), window,
                            G_CONNECT_SWAPPED | G_CONNECT_AFTER);
    on_items_changed(window);
    apiary_dialog_name_shortcuts(GTK_APPLICATION_WINDOW(window));
    return window;
}

static void apiary_manager_window_dispose(GObject *object)
{
    ApiaryManagerWindow *window = APIARY_MANAGER_WINDOW(object);

    if (window->selected)
        g_signal_handler_disconnect(window->selected, window->selected_changed);
    window->selected = NULL;
    if (window->list)
        g_signal_handlers_disconnect_by_func(window->list, on_row_selected, window);
    window->list = NULL;
    G_OBJECT_CLASS(apiary_manager_window_parent_class)->dispose(object);
}

static void apiary_manager_window_init(ApiaryManagerWindow *window)
{
    int width, height;

    gtk_widget_init_template(GTK_WIDGET(window));
    g_action_map_add_action_entries(G_ACTION_MAP(window), actions, G_N_ELEMENTS(actions), window);
    g_settings_get(apiary_preferences(), APIARY_PREFERENCE_MANAGER_SIZE, "(ii)", &width, &height);
    gtk_window_set_default_size(GTK_WINDOW(window), width, height);
    gtk_list_box_set_header_func(GTK_LIST_BOX(window->list), separate_rows, NULL, NULL);
    gtk_search_bar_connect_entry(GTK_SEARCH_BAR(window->search_bar),
                                 GTK_ENTRY(window->search_entry));
    g_signal_connect(window->info_bar, "response", G_CALLBACK(gtk_widget_hide), NULL);
    g_signal_connect(window, "delete-event", G_CALLBACK(on_delete_event), NULL);
    gtk_drag_dest_set(GTK_WIDGET(window), GTK_DEST_DEFAULT_ALL, NULL, 0, GDK_ACTION_COPY);
    gtk_drag_dest_add_uri_targets(GTK_WIDGET(window));
    g_signal_connect(window, "drag-data-received", G_CALLBACK(on_drag_data), NULL);
    update_buttons(window);
}

static void apiary_manager_window_class_init(ApiaryManagerWindowClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    G_OBJECT_CLASS(klass)->dispose = apiary_manager_window_dispose;
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/manager-window.ui");
    gtk_widget_class_bind_template_child(widget_class, ApiaryManagerWindow, stack);
    gtk_widget_class_bind_template_child(widget_class, ApiaryManagerWindow, list);
    gtk_widget_class_bind_template_child(widget_class, ApiaryManagerWindow, search_bar);
    gtk_widget_class_bind_template_child(widget_class, ApiaryManagerWindow, search_entry);
    gtk_widget_class_bind_template_child(widget_class, ApiaryManagerWindow, info_bar);
    gtk_widget_class_bind_template_child(widget_class, ApiaryManagerWindow, info_label);
    gtk_widget_class_bind_template_child(widget_class, ApiaryManagerWindow, start_button);
    gtk_widget_class_bind_template_child(widget_class, ApiaryManagerWindow, start_image);
    gtk_widget_class_bind_template_child(widget_class, ApiaryManagerWindow, shut_down_box);
    gtk_widget_class_bind_template_callback(widget_class, on_row_selected);
    gtk_widget_class_bind_template_callback(widget_class, on_row_activated);
    gtk_widget_class_bind_template_callback(widget_class, on_list_key);
    gtk_widget_class_bind_template_callback(widget_class, on_search_changed);
}
