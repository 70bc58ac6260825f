/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/settings-overview-page.h"

#include "ui/paths.h"
#include "ui/vm-network.h"

#include <glib/gi18n.h>

struct _ApiarySettingsOverviewPage {
    ApiarySettingsPage parent;
    GtkWidget *name, *state, *hardware, *drives, *network, *folder, *notes;
};

G_DEFINE_FINAL_TYPE(ApiarySettingsOverviewPage, apiary_settings_overview_page,
                    APIARY_TYPE_SETTINGS_PAGE)

static char *describe_hardware(const MachineConfig *config)
{
    g_autofree char *ram = g_format_size_full(config->ram_bytes, G_FORMAT_SIZE_IEC_UNITS);

    return g_strdup_printf(
        ngettext("%s of memory, %u CPU (%s)", "%s of memory, %u CPUs (%s)", config->cpus), ram,
        config->cpus, config->cpu_model);
}

static char *describe_drives(const MachineConfig *config)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < config->drives->len; i++) {
        const DriveConfig *drive = config->drives->pdata[i];
        g_autofree char *base = drive->file ? g_path_get_basename(drive->file) : NULL;
        g_string_append_printf(text, "%s%s: %s", i ? "\n" : "", drive->id,
                               base ? base : _("empty"));
    }
    if (!text->len)
        g_string_append(text, _("none"));
    return g_string_free(text, FALSE);
}

static void update_notes(ApiarySettingsOverviewPage *self, const char *notes)
{
    GtkTextBuffer *buffer = gtk_text_view_get_buffer(GTK_TEXT_VIEW(self->notes));
    GtkTextIter start, end;

    gtk_text_buffer_get_bounds(buffer, &start, &end);
    g_autofree char *shown = gtk_text_buffer_get_text(buffer, &start, &end, FALSE);
    if (g_strcmp0(shown, notes ? notes : "") != 0)
        gtk_text_buffer_set_text(buffer, notes ? notes : "", -1);
}

static void update(ApiarySettingsPage *page)
{
    ApiarySettingsOverviewPage *self = APIARY_SETTINGS_OVERVIEW_PAGE(page);
    const MachineConfig *config = apiary_settings_page_get_config(page);
    const MachineConfig *running = apiary_settings_page_get_running(page);
    const MachineConfig *shown = running ? running : config;
    g_autofree char *state = apiary_vm_state_text(apiary_settings_page_get_vm(page));
    g_autofree char *hardware = describe_hardware(shown);
    g_autofree char *drives = describe_drives(shown);
    g_autofree char *network = apiary_vm_network_summary(config);

    gtk_label_set_text(GTK_LABEL(self->name), config->name);
    gtk_label_set_text(GTK_LABEL(self->state), state);
    gtk_label_set_text(GTK_LABEL(self->hardware), hardware);
    gtk_label_set_text(GTK_LABEL(self->drives), drives);
    gtk_label_set_text(GTK_LABEL(self->network), network ? network : _("none"));
    gtk_label_set_text(GTK_LABEL(self->folder), config->folder ? config->folder : _("none"));
    update_notes(self, config->notes);
}

static void on_notes_changed(ApiarySettingsOverviewPage *self)
{
    ApiarySettingsPage *page = APIARY_SETTINGS_PAGE(self);
    GtkTextBuffer *buffer = gtk_text_view_get_buffer(GTK_TEXT_VIEW(self->notes));
    GtkTextIter start, end;

    if (apiary_settings_page_is_filling(page))
        return;
    gtk_text_buffer_get_bounds(buffer, &start, &end);
    g_autofree char *notes = gtk_text_buffer_get_text(buffer, &start, &end, FALSE);
    apiary_settings_set_text(&apiary_settings_page_get_config(page)->notes, notes);
    apiary_settings_page_save(page);
}

static void apiary_settings_overview_page_init(ApiarySettingsOverviewPage *self)
{
    gtk_widget_init_template(GTK_WIDGET(self));
    g_signal_connect_object(gtk_text_view_get_buffer(GTK_TEXT_VIEW(self->notes)), "changed",
                            G_CALLBACK(on_notes_changed), self, G_CONNECT_SWAPPED);
}

static void apiary_settings_overview_page_class_init(ApiarySettingsOverviewPageClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    APIARY_SETTINGS_PAGE_CLASS(klass)->update = update;
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/settings-overview-page.ui");
#define BIND(child)                                                                                \
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsOverviewPage, child)
    BIND(name);
    BIND(state);
    BIND(hardware);
    BIND(drives);
    BIND(network);
    BIND(folder);
    BIND(notes);
#undef BIND
}
