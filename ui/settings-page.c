/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/settings-page.h"

#include "ui/application.h"

#include <glib/gi18n.h>

typedef struct {
    ApiaryVm *vm;
    bool filling;
} ApiarySettingsPagePrivate;

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE(ApiarySettingsPage, apiary_settings_page, GTK_TYPE_BOX)

static ApiarySettingsPagePrivate *get_private(ApiarySettingsPage *page)
{
    return apiary_settings_page_get_instance_private(page);
}

static void update(ApiarySettingsPage *page)
{
    ApiarySettingsPagePrivate *private = get_private(page);

    private->filling = true;
    APIARY_SETTINGS_PAGE_GET_CLASS(page)->update(page);
    private->filling = false;
}

void apiary_settings_page_set_vm(ApiarySettingsPage *page, ApiaryVm *vm)
{
    get_private(page)->vm = g_object_ref(vm);
    g_signal_connect_object(vm, "changed", G_CALLBACK(update), page, G_CONNECT_SWAPPED);
    update(page);
}

ApiaryVm *apiary_settings_page_get_vm(ApiarySettingsPage *page)
{
    return get_private(page)->vm;
}

MachineConfig *apiary_settings_page_get_config(ApiarySettingsPage *page)
{
    return apiary_vm_get_config(get_private(page)->vm);
}

const MachineConfig *apiary_settings_page_get_running(ApiarySettingsPage *page)
{
    return apiary_vm_get_running_config(get_private(page)->vm);
}

bool apiary_settings_page_is_filling(ApiarySettingsPage *page)
{
    return get_private(page)->filling || !get_private(page)->vm;
}

void apiary_settings_page_save(ApiarySettingsPage *page)
{
    apiary_collection_save(apiary_application_get_collection(apiary_application_get()),
                           get_private(page)->vm);
}

/* --- under the fields ------------------------------------------------------------------------- */

void apiary_settings_show_problem(GtkWidget *label, const char *problem)
{
    gtk_label_set_text(GTK_LABEL(label), problem ? problem : "");
    gtk_widget_set_visible(label, problem != NULL);
}

void apiary_settings_show_pending(GtkWidget *label, const char *now, const char *next)
{
    bool differs = now && g_strcmp0(now, next) != 0;
    g_autofree char *text =
        differs ? g_strdup_printf(_("After power-off: %s → %s"), now, next) : NULL;

    apiary_settings_show_problem(label, text);
}

void apiary_settings_set_text(char **field, const char *text)
{
    char *copy = g_strdup(text);

    g_free(*field);
    *field = copy;
}

static void destroy_child(GtkWidget *child, gpointer data)
{
    gtk_widget_destroy(child);
}

void apiary_settings_clear(GtkWidget *container)
{
    gtk_container_foreach(GTK_CONTAINER(container), destroy_child, NULL);
}

/* --- class ------------------------------------------------------------------------------------ */

static void apiary_settings_page_dispose(GObject *object)
{
    get_private(APIARY_SETTINGS_PAGE(object))->filling = true;
    G_OBJECT_CLASS(apiary_settings_page_parent_class)->dispose(object);
    g_clear_object(&get_private(APIARY_SETTINGS_PAGE(object))->vm);
}

static void apiary_settings_page_init(ApiarySettingsPage *page)
{
}

static void apiary_settings_page_class_init(ApiarySettingsPageClass *klass)
{
    G_OBJECT_CLASS(klass)->dispose = apiary_settings_page_dispose;
}
