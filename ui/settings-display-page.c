/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/settings-display-page.h"

#include "core/devices/vga.h"
#include "ui/option-form.h"
#include "ui/paths.h"

#include <glib/gi18n.h>

struct _ApiarySettingsDisplayPage {
    ApiarySettingsPage parent;
    GtkWidget *vga, *vga_pending, *memory, *memory_pending, *pointer, *pointer_pending;
};

G_DEFINE_FINAL_TYPE(ApiarySettingsDisplayPage, apiary_settings_display_page,
                    APIARY_TYPE_SETTINGS_PAGE)

static char *memory_text(const MachineConfig *config)
{
    return config ? g_strdup_printf("%u MiB", config->vga_memory_mb) : NULL;
}

static const char *pointer_text(const MachineConfig *config)
{
    return !config ? NULL : config->usb_tablet ? _("USB tablet") : _("PS/2 mouse");
}

static void update(ApiarySettingsPage *page)
{
    ApiarySettingsDisplayPage *self = APIARY_SETTINGS_DISPLAY_PAGE(page);
    const MachineConfig *next = apiary_settings_page_get_config(page);
    const MachineConfig *now = apiary_settings_page_get_running(page);
    g_autofree char *now_memory = memory_text(now), *next_memory = memory_text(next);

    gtk_combo_box_set_active_id(GTK_COMBO_BOX(self->vga), next->vga);
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(self->memory), next->vga_memory_mb);
    gtk_combo_box_set_active_id(GTK_COMBO_BOX(self->pointer),
                                next->usb_tablet ? "tablet" : "mouse");
    gtk_widget_set_sensitive(self->memory, g_str_equal(next->vga, "std"));
    apiary_settings_show_pending(self->vga_pending, now ? now->vga : NULL, next->vga);
    apiary_settings_show_pending(self->memory_pending, now_memory, next_memory);
    apiary_settings_show_pending(self->pointer_pending, pointer_text(now), pointer_text(next));
}

static void on_changed(ApiarySettingsDisplayPage *self)
{
    ApiarySettingsPage *page = APIARY_SETTINGS_PAGE(self);

    if (apiary_settings_page_is_filling(page))
        return;
    MachineConfig *config = apiary_settings_page_get_config(page);
    apiary_settings_set_text(&config->vga, gtk_combo_box_get_active_id(GTK_COMBO_BOX(self->vga)));
    config->vga_memory_mb =
        (unsigned)gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(self->memory));
    config->usb_tablet =
        g_strcmp0(gtk_combo_box_get_active_id(GTK_COMBO_BOX(self->pointer)), "tablet") == 0;
    apiary_settings_page_save(page);
}

static void apiary_settings_display_page_init(ApiarySettingsDisplayPage *self)
{
    gtk_widget_init_template(GTK_WIDGET(self));
    apiary_option_set_help(self->memory, vga_class.options, "vgamem_mb");
}

static void apiary_settings_display_page_class_init(ApiarySettingsDisplayPageClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    APIARY_SETTINGS_PAGE_CLASS(klass)->update = update;
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/settings-display-page.ui");
#define BIND(child)                                                                                \
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsDisplayPage, child)
    BIND(vga);
    BIND(vga_pending);
    BIND(memory);
    BIND(memory_pending);
    BIND(pointer);
    BIND(pointer_pending);
#undef BIND
    gtk_widget_class_bind_template_callback(widget_class, on_changed);
}
