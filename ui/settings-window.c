/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/settings-window.h"

#include "ui/paths.h"
#include "ui/settings-command-page.h"
#include "ui/settings-display-page.h"
#include "ui/settings-network-page.h"
#include "ui/settings-overview-page.h"
#include "ui/settings-remote-page.h"
#include "ui/settings-serial-page.h"
#include "ui/settings-storage-page.h"
#include "ui/settings-system-page.h"
#include "ui/vm-actions.h"

#include <glib/gi18n.h>

struct _ApiarySettingsWindow {
    GtkApplicationWindow parent;
    ApiaryVm *vm;
    GtkWidget *header, *sidebar, *stack, *info_bar, *info_label;
};

G_DEFINE_FINAL_TYPE(ApiarySettingsWindow, apiary_settings_window, GTK_TYPE_APPLICATION_WINDOW)

ApiaryVm *apiary_settings_window_get_vm(ApiarySettingsWindow *window)
{
    return window->vm;
}

static void on_vm_changed(ApiarySettingsWindow *window)
{
    g_autofree char *state = apiary_vm_state_text(window->vm);
    g_autofree char *title = g_strdup_printf(_("Settings of %s"), apiary_vm_get_name(window->vm));

    gtk_window_set_title(GTK_WINDOW(window), title);
    gtk_header_bar_set_title(GTK_HEADER_BAR(window->header), title);
    gtk_header_bar_set_subtitle(GTK_HEADER_BAR(window->header), state);
}

static void on_message(ApiarySettingsWindow *window, int type, const char *text)
{
    gtk_label_set_text(GTK_LABEL(window->info_label), text);
    gtk_info_bar_set_message_type(GTK_INFO_BAR(window->info_bar), (GtkMessageType)type);
    gtk_widget_show(window->info_bar);
}

/* --- pages ------------------------------------------------------------------------------------ */

static void set_vm_of_pages(GtkWidget *widget, gpointer vm)
{
    if (APIARY_IS_SETTINGS_PAGE(widget))
        apiary_settings_page_set_vm(APIARY_SETTINGS_PAGE(widget), vm);
    else if (GTK_IS_CONTAINER(widget))
        gtk_container_foreach(GTK_CONTAINER(widget), set_vm_of_pages, vm);
}

static void find_label(GtkWidget *widget, gpointer data)
{
    GtkWidget **label = data;

    if (GTK_IS_LABEL(widget))
        *label = widget;
    else if (GTK_IS_CONTAINER(widget))
        gtk_container_forall(GTK_CONTAINER(widget), find_label, label);
}

/* GTK's sidebar gives its rows no names for assistive programs; the words are in the labels within.
 */
static void name_sidebar(GtkWidget *widget, gpointer data)
{
    GtkWidget *label = NULL;

    if (GTK_IS_SCROLLED_WINDOW(widget))
        gtk_widget_set_can_focus(widget, FALSE);
    if (GTK_IS_LIST_BOX_ROW(widget)) {
        find_label(widget, &label);
        if (label)
            atk_object_set_name(gtk_widget_get_accessible(widget),
                                gtk_label_get_text(GTK_LABEL(label)));
    } else if (GTK_IS_CONTAINER(widget)) {
        gtk_container_forall(GTK_CONTAINER(widget), name_sidebar, NULL);
    }
}

/* --- window ----------------------------------------------------------------------------------- */

static void on_close(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    gtk_window_close(data);
}

static const GActionEntry actions[] = {{.name = "close", .activate = on_close}};

ApiarySettingsWindow *apiary_settings_window_new(GtkApplication *application, ApiaryVm *vm)
{
    ApiarySettingsWindow *window =
        g_object_new(APIARY_TYPE_SETTINGS_WINDOW, "application", application, NULL);
    GActionGroup *vm_actions = apiary_vm_actions_new(vm);

    window->vm = g_object_ref(vm);
    gtk_widget_insert_action_group(GTK_WIDGET(window), "vm", vm_actions);
    g_object_unref(vm_actions);
    set_vm_of_pages(window->stack, vm);
    on_vm_changed(window);
    g_signal_connect_object(vm, "changed", G_CALLBACK(on_vm_changed), window, G_CONNECT_SWAPPED);
    g_signal_connect_object(vm, "message", G_CALLBACK(on_message), window, G_CONNECT_SWAPPED);
    return window;
}

static void apiary_settings_window_finalize(GObject *object)
{
    g_clear_object(&APIARY_SETTINGS_WINDOW(object)->vm);
    G_OBJECT_CLASS(apiary_settings_window_parent_class)->finalize(object);
}

static void apiary_settings_window_init(ApiarySettingsWindow *window)
{
    gtk_widget_init_template(GTK_WIDGET(window));
    g_action_map_add_action_entries(G_ACTION_MAP(window), actions, G_N_ELEMENTS(actions), window);
    g_signal_connect(window->info_bar, "response", G_CALLBACK(gtk_widget_hide), NULL);
    name_sidebar(window->sidebar, NULL);
}

static void apiary_settings_window_class_init(ApiarySettingsWindowClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    G_OBJECT_CLASS(klass)->finalize = apiary_settings_window_finalize;
    g_type_ensure(APIARY_TYPE_SETTINGS_COMMAND_PAGE);
    g_type_ensure(APIARY_TYPE_SETTINGS_DISPLAY_PAGE);
    g_type_ensure(APIARY_TYPE_SETTINGS_NETWORK_PAGE);
    g_type_ensure(APIARY_TYPE_SETTINGS_OVERVIEW_PAGE);
    g_type_ensure(APIARY_TYPE_SETTINGS_REMOTE_PAGE);
    g_type_ensure(APIARY_TYPE_SETTINGS_SERIAL_PAGE);
    g_type_ensure(APIARY_TYPE_SETTINGS_STORAGE_PAGE);
    g_type_ensure(APIARY_TYPE_SETTINGS_SYSTEM_PAGE);
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/settings-window.ui");
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsWindow, header);
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsWindow, sidebar);
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsWindow, stack);
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsWindow, info_bar);
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsWindow, info_label);
}
