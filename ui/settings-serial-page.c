/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/settings-serial-page.h"

#include "core/chardev/spec.h"
#include "ui/paths.h"

#include <glib/gi18n.h>

#define PORTS   4
#define NOTHING "none"

struct _ApiarySettingsSerialPage {
    ApiarySettingsPage parent;
    GtkWidget *in_window, *elsewhere, *ports, *pending;
    GtkWidget *port[PORTS], *problem[PORTS];
};

G_DEFINE_FINAL_TYPE(ApiarySettingsSerialPage, apiary_settings_serial_page,
                    APIARY_TYPE_SETTINGS_PAGE)

static char *describe(const GPtrArray *serials, bool in_window)
{
    GString *text = g_string_new(NULL);

    if (in_window)
        return g_string_free(g_string_append(text, _("the machine’s window")), FALSE);
    for (guint i = 0; i < serials->len; i++)
        g_string_append_printf(text, "%s%s", i ? ", " : "", (char *)serials->pdata[i]);
    return g_string_free(text, FALSE);
}

/* A running machine's list has the window's own connection in it. */
static void update_pending(ApiarySettingsSerialPage *self, ApiarySettingsPage *page)
{
    const MachineConfig *running = apiary_settings_page_get_running(page);
    const GPtrArray *serials = apiary_settings_page_get_config(page)->serials;
    bool in_window = apiary_vm_has_serial_now(apiary_settings_page_get_vm(page));
    g_autofree char *now = running ? describe(running->serials, in_window) : NULL;
    g_autofree char *next = describe(serials, serials->len == 0);

    apiary_settings_show_pending(self->pending, now, next);
}

static void update(ApiarySettingsPage *page)
{
    ApiarySettingsSerialPage *self = APIARY_SETTINGS_SERIAL_PAGE(page);
    const GPtrArray *serials = apiary_settings_page_get_config(page)->serials;

    if (serials->len || !gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(self->elsewhere)))
        gtk_toggle_button_set_active(
            GTK_TOGGLE_BUTTON(serials->len ? self->elsewhere : self->in_window), TRUE);
    for (guint i = 0; i < PORTS; i++) {
        const char *spec = i < serials->len ? serials->pdata[i] : NOTHING;
        if (serials->len && !gtk_widget_has_focus(self->port[i]))
            gtk_entry_set_text(GTK_ENTRY(self->port[i]), g_str_equal(spec, NOTHING) ? "" : spec);
    }
    gtk_widget_set_sensitive(self->ports,
                             gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(self->elsewhere)));
    update_pending(self, page);
}

static bool check_port(ApiarySettingsSerialPage *self, guint i, const char *spec)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ChardevSpec) parsed = *spec ? chardev_spec_parse(spec, &error) : NULL;

    apiary_settings_show_problem(self->problem[i], error ? error->message : NULL);
    return !error;
}

/* Only a list that is right as a whole is kept. */
static void on_changed(ApiarySettingsSerialPage *self)
{
    ApiarySettingsPage *page = APIARY_SETTINGS_PAGE(self);
    bool elsewhere = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(self->elsewhere));
    bool good = true;
    guint used = 0;

    if (apiary_settings_page_is_filling(page))
        return;
    gtk_widget_set_sensitive(self->ports, elsewhere);
    for (guint i = 0; i < PORTS; i++) {
        const char *spec = gtk_entry_get_text(GTK_ENTRY(self->port[i]));
        good = check_port(self, i, elsewhere ? spec : "") && good;
        if (elsewhere && *spec)
            used = i + 1;
    }
    if (!good)
        return;
    GPtrArray *serials = apiary_settings_page_get_config(page)->serials;
    g_ptr_array_set_size(serials, 0);
    for (guint i = 0; i < MAX(used, elsewhere); i++) {
        const char *spec = gtk_entry_get_text(GTK_ENTRY(self->port[i]));
        g_ptr_array_add(serials, g_strdup(*spec ? spec : NOTHING));
    }
    apiary_settings_page_save(page);
}

static void apiary_settings_serial_page_init(ApiarySettingsSerialPage *self)
{
    gtk_widget_init_template(GTK_WIDGET(self));
    for (guint i = 0; i < PORTS; i++) {
        g_autofree char *port = g_strdup_printf("port%u", i + 1);
        g_autofree char *problem = g_strdup_printf("problem%u", i + 1);
        GType type = APIARY_TYPE_SETTINGS_SERIAL_PAGE;
        self->port[i] = GTK_WIDGET(gtk_widget_get_template_child(GTK_WIDGET(self), type, port));
        self->problem[i] =
            GTK_WIDGET(gtk_widget_get_template_child(GTK_WIDGET(self), type, problem));
    }
}

static void apiary_settings_serial_page_class_init(ApiarySettingsSerialPageClass *klass)
{
    static const char *const numbered[] = {"port1",    "port2",    "port3",    "port4",
                                           "problem1", "problem2", "problem3", "problem4"};
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    APIARY_SETTINGS_PAGE_CLASS(klass)->update = update;
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/settings-serial-page.ui");
#define BIND(child)                                                                                \
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsSerialPage, child)
    BIND(in_window);
    BIND(elsewhere);
    BIND(ports);
    BIND(pending);
#undef BIND
    for (size_t i = 0; i < G_N_ELEMENTS(numbered); i++)
        gtk_widget_class_bind_template_child_full(widget_class, numbered[i], FALSE, 0);
    gtk_widget_class_bind_template_callback(widget_class, on_changed);
}
