/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/settings-network-page.h"

#include "core/config/network.h"
#include "ui/network-adapter.h"
#include "ui/paths.h"
#include "ui/vm-network.h"

#include <glib/gi18n.h>

struct _ApiarySettingsNetworkPage {
    ApiarySettingsPage parent;
    GtkWidget *summary, *adapters, *add, *pending;
};

G_DEFINE_FINAL_TYPE(ApiarySettingsNetworkPage, apiary_settings_network_page,
                    APIARY_TYPE_SETTINGS_PAGE)

static unsigned count_cards(const MachineConfig *config)
{
    unsigned n = 0;

    while (network_card(config, n))
        n++;
    return n;
}

static void update_summary(ApiarySettingsNetworkPage *self, const MachineConfig *config)
{
    g_autofree char *networks = apiary_vm_network_summary(config);
    g_autofree char *text =
        networks ? g_strdup_printf(_("The machine's address and forwards: %s"), networks)
                 : g_strdup(_("The machine is on no network."));

    gtk_label_set_text(GTK_LABEL(self->summary), text);
}

static void update_adapters(ApiarySettingsNetworkPage *self, unsigned n)
{
    g_autoptr(GList) shown = gtk_container_get_children(GTK_CONTAINER(self->adapters));
    unsigned i = 0;

    for (GList *one = shown; one; one = one->next, i++) {
        if (i < n)
            apiary_network_adapter_update(one->data);
        else
            gtk_widget_destroy(one->data);
    }
    for (; i < n; i++)
        gtk_container_add(GTK_CONTAINER(self->adapters),
                          apiary_network_adapter_new(APIARY_SETTINGS_PAGE(self), i));
}

static char *describe_count(unsigned n)
{
    return g_strdup_printf(ngettext("%u adapter", "%u adapters", n), n);
}

static void update(ApiarySettingsPage *page)
{
    ApiarySettingsNetworkPage *self = APIARY_SETTINGS_NETWORK_PAGE(page);
    const MachineConfig *config = apiary_settings_page_get_config(page);
    const MachineConfig *running = apiary_settings_page_get_running(page);
    unsigned n = count_cards(config);
    g_autofree char *now = running ? describe_count(count_cards(running)) : NULL;
    g_autofree char *next = describe_count(n);

    update_summary(self, config);
    update_adapters(self, n);
    apiary_settings_show_pending(self->pending, now, next);
    gtk_widget_set_sensitive(self->add, n < NETWORK_MAX_CARDS);
}

static void on_add(ApiarySettingsNetworkPage *self)
{
    MachineConfig *config = apiary_settings_page_get_config(APIARY_SETTINGS_PAGE(self));
    g_autofree char *mac = network_make_mac(config);
    g_autofree char *nic = g_strconcat("user,mac=", mac, NULL);

    network_add_nic(config, nic, NULL);
    apiary_settings_page_save(APIARY_SETTINGS_PAGE(self));
}

static void apiary_settings_network_page_init(ApiarySettingsNetworkPage *self)
{
    gtk_widget_init_template(GTK_WIDGET(self));
}

static void apiary_settings_network_page_class_init(ApiarySettingsNetworkPageClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    APIARY_SETTINGS_PAGE_CLASS(klass)->update = update;
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/settings-network-page.ui");
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsNetworkPage, summary);
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsNetworkPage, adapters);
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsNetworkPage, add);
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsNetworkPage, pending);
    gtk_widget_class_bind_template_callback(widget_class, on_add);
}
