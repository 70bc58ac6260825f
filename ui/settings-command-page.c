/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/settings-command-page.h"

#include "core/config/libvirt.h"
#include "ui/paths.h"

struct _ApiarySettingsCommandPage {
    ApiarySettingsPage parent;
    GtkWidget *command, *xml;
};

G_DEFINE_FINAL_TYPE(ApiarySettingsCommandPage, apiary_settings_command_page,
                    APIARY_TYPE_SETTINGS_PAGE)

static char *get_text(GtkWidget *view)
{
    GtkTextBuffer *buffer = gtk_text_view_get_buffer(GTK_TEXT_VIEW(view));
    GtkTextIter start, end;

    gtk_text_buffer_get_bounds(buffer, &start, &end);
    return gtk_text_buffer_get_text(buffer, &start, &end, FALSE);
}

static void set_text(GtkWidget *view, const char *text)
{
    g_autofree char *shown = get_text(view);

    if (!g_str_equal(shown, text)) /* else a selection would be lost */
        gtk_text_buffer_set_text(gtk_text_view_get_buffer(GTK_TEXT_VIEW(view)), text, -1);
}

static void update(ApiarySettingsPage *page)
{
    ApiarySettingsCommandPage *self = APIARY_SETTINGS_COMMAND_PAGE(page);
    const MachineConfig *config = apiary_settings_page_get_config(page);
    g_autofree char *command = config_to_command_line(config);
    g_autofree char *xml = config_to_libvirt_xml(config);

    set_text(self->command, command);
    set_text(self->xml, xml);
}

static void copy(GtkWidget *view)
{
    g_autofree char *text = get_text(view);

    gtk_clipboard_set_text(gtk_clipboard_get(GDK_SELECTION_CLIPBOARD), text, -1);
}

static void on_copy_command(ApiarySettingsCommandPage *self)
{
    copy(self->command);
}

static void on_copy_xml(ApiarySettingsCommandPage *self)
{
    copy(self->xml);
}

static void apiary_settings_command_page_init(ApiarySettingsCommandPage *self)
{
    gtk_widget_init_template(GTK_WIDGET(self));
}

static void apiary_settings_command_page_class_init(ApiarySettingsCommandPageClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    APIARY_SETTINGS_PAGE_CLASS(klass)->update = update;
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/settings-command-page.ui");
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsCommandPage, command);
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsCommandPage, xml);
    gtk_widget_class_bind_template_callback(widget_class, on_copy_command);
    gtk_widget_class_bind_template_callback(widget_class, on_copy_xml);
}
