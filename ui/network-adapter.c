/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/network-adapter.h"

#include "core/config/network.h"
#include "core/net/net.h"
#include "ui/capture-box.h"
#include "ui/forward-table.h"
#include "ui/option-form.h"
#include "ui/paths.h"
#include "ui/vm-network.h"

#include <arpa/inet.h>
#include <glib/gi18n.h>
#include <string.h>

#define NOT_CONNECTED "none"

struct _ApiaryNetworkAdapter {
    GtkBox parent;
    ApiarySettingsPage *page; /* not owned: it holds this */
    unsigned n;
    bool filling;
    GtkWidget *title, *remove, *pending, *kind, *kind_problem, *mac, *new_mac, *mac_problem;
    GtkWidget *link, *link_problem, *link_note, *address, *capture, *forwards_box, *forwards;
    GtkWidget *more, *netdev_form, *card_form;
};

G_DEFINE_FINAL_TYPE(ApiaryNetworkAdapter, apiary_network_adapter, GTK_TYPE_BOX)

static DeviceConfig *get_card(ApiaryNetworkAdapter *adapter)
{
    return network_card(apiary_settings_page_get_config(adapter->page), adapter->n);
}

static NetdevConfig *get_netdev(ApiaryNetworkAdapter *adapter)
{
    return network_card_netdev(apiary_settings_page_get_config(adapter->page), get_card(adapter));
}

static ApiaryVm *get_vm(ApiaryNetworkAdapter *adapter)
{
    return apiary_settings_page_get_vm(adapter->page);
}

/* --- what it will be after the next start ----------------------------------------------------- */

/* Adds what is given of TABLE; ids, lists and what has words of its own are left out. */
static void describe_options(GString *text, const OptionInfo *table, const OptionValues *values)
{
    for (const OptionInfo *info = table; info->name; info++)
        if (option_is_set(values, info->name) && info->type != OPTION_LIST &&
            info->type != OPTION_REF && info->type != OPTION_MAC && strcmp(info->name, "id") != 0)
            g_string_append_printf(text, ", %s=%s", info->name, option_string(values, info->name));
}

/* One adapter in words, without the forwards, which change at once. */
static char *describe(const MachineConfig *config, unsigned n)
{
    const DeviceConfig *card = network_card(config, n);
    GString *text = g_string_new(NULL);

    if (!card)
        return g_string_free(g_string_append(text, _("no adapter")), FALSE);
    const NetdevConfig *netdev = network_card_netdev(config, card);
    const NetBackendClass *network = netdev ? net_backend_class_find(netdev->type) : NULL;
    const char *mac = option_string(card->values, "mac");
    g_string_append(text, network ? _(network->title) : _("not connected"));
    g_string_append_printf(text, ", %s", mac ? mac : _("MAC address by the machine"));
    describe_options(text, device_class_find(card->driver)->options, card->values);
    if (network)
        describe_options(text, network->options, netdev->values);
    return g_string_free(text, FALSE);
}

static void update_pending(ApiaryNetworkAdapter *adapter)
{
    const MachineConfig *running = apiary_settings_page_get_running(adapter->page);
    g_autofree char *now = running ? describe(running, adapter->n) : NULL;
    g_autofree char *next = describe(apiary_settings_page_get_config(adapter->page), adapter->n);

    apiary_settings_show_pending(adapter->pending, now, next);
}

/* --- from the settings to the widgets --------------------------------------------------------- */

static void update_address(ApiaryNetworkAdapter *adapter, const NetdevConfig *netdev)
{
    char router[INET_ADDRSTRLEN], dns[INET_ADDRSTRLEN];
    g_autofree char *guest = netdev ? apiary_network_guest_address(netdev) : NULL;
    g_autofree char *text = NULL;
    NetPlan plan;

    if (guest) {
        net_plan_parse(option_string(netdev->values, "net"), option_string(netdev->values, "host"),
                       option_string(netdev->values, "dns"),
                       option_string(netdev->values, "dhcpstart"), &plan, NULL);
        inet_ntop(AF_INET, &plan.host, router, sizeof router);
        inet_ntop(AF_INET, &plan.dns, dns, sizeof dns);
        text = g_strdup_printf(_("%s by DHCP; this computer is %s, name server %s"), guest, router,
                               dns);
    }
    gtk_label_set_text(GTK_LABEL(adapter->address), text             ? text
                                                    : netdev != NULL ? _("As the network gives it")
                                                                     : _("None"));
}

static void update_link(ApiaryNetworkAdapter *adapter, const NetdevConfig *netdev)
{
    bool live = netdev && apiary_vm_has_network(get_vm(adapter), netdev->id);

    gtk_widget_set_sensitive(adapter->link, live);
    gtk_switch_set_active(GTK_SWITCH(adapter->link),
                          live ? apiary_vm_link_is_up(get_vm(adapter), netdev->id)
                               : netdev != NULL);
    gtk_label_set_text(GTK_LABEL(adapter->link_note), live ? ""
                                                      : netdev
                                                          ? _("Plugged in when the machine starts.")
                                                          : _("There is nothing to plug it into."));
    gtk_widget_set_visible(adapter->link_note, !live);
}

static void update_network(ApiaryNetworkAdapter *adapter, NetdevConfig *netdev)
{
    static const char *const left_out[] = {"id", "smb", "smbserver", NULL};
    bool user = netdev && g_str_equal(netdev->type, "user");

    gtk_widget_set_visible(adapter->forwards_box, user);
    gtk_widget_set_visible(adapter->netdev_form, netdev != NULL);
    if (user) {
        g_autofree char *guest = apiary_network_guest_address(netdev);
        apiary_forward_table_set_network(APIARY_FORWARD_TABLE(adapter->forwards), get_vm(adapter),
                                         netdev->id);
        apiary_forward_table_set_rules(APIARY_FORWARD_TABLE(adapter->forwards),
                                       option_list(netdev->values, "hostfwd"), guest);
    }
    if (netdev)
        apiary_option_form_set_values(APIARY_OPTION_FORM(adapter->netdev_form),
                                      net_backend_class_find(netdev->type)->options, netdev->values,
                                      left_out);
}

/* What the network's kind finds wrong with its options as a whole: the machine will not start. */
static void update_problem(ApiaryNetworkAdapter *adapter, const NetdevConfig *netdev)
{
    const NetBackendClass *network = netdev ? net_backend_class_find(netdev->type) : NULL;
    g_autoptr(GError) error = NULL;

    if (network && network->check && !network->check(netdev->values, &error))
        gtk_expander_set_expanded(GTK_EXPANDER(adapter->more), TRUE);
    apiary_settings_show_problem(adapter->kind_problem, error ? error->message : NULL);
}

void apiary_network_adapter_update(ApiaryNetworkAdapter *adapter)
{
    static const char *const left_out[] = {"id", "mac", NULL};
    DeviceConfig *card = get_card(adapter);
    NetdevConfig *netdev = get_netdev(adapter);
    const DeviceClass *device_class = device_class_find(card->driver);
    const char *mac = option_string(card->values, "mac");
    g_autofree char *title =
        g_strdup_printf(_("Adapter %u: %s"), adapter->n + 1, _(device_class->title));
    g_autofree char *spoken = g_strdup_printf(_("Remove adapter %u"), adapter->n + 1);

    adapter->filling = true;
    gtk_label_set_text(GTK_LABEL(adapter->title), title);
    atk_object_set_name(gtk_widget_get_accessible(adapter->remove), spoken);
    gtk_combo_box_set_active_id(GTK_COMBO_BOX(adapter->kind),
                                netdev ? netdev->type : NOT_CONNECTED);
    if (!gtk_widget_has_focus(adapter->mac))
        gtk_entry_set_text(GTK_ENTRY(adapter->mac), mac ? mac : "");
    apiary_option_set_help(adapter->mac, device_class->options, "mac");
    update_address(adapter, netdev);
    update_link(adapter, netdev);
    apiary_capture_box_set_network(APIARY_CAPTURE_BOX(adapter->capture), get_vm(adapter),
                                   netdev ? netdev->id : NULL);
    update_network(adapter, netdev);
    update_problem(adapter, netdev);
    apiary_option_form_set_values(APIARY_OPTION_FORM(adapter->card_form), device_class->options,
                                  card->values, left_out);
    update_pending(adapter);
    adapter->filling = false;
}

/* --- from the widgets to the settings --------------------------------------------------------- */

static bool is_idle(ApiaryNetworkAdapter *adapter)
{
    return !adapter->page || adapter->filling || apiary_settings_page_is_filling(adapter->page);
}

static void on_kind_changed(ApiaryNetworkAdapter *adapter)
{
    const char *kind = gtk_combo_box_get_active_id(GTK_COMBO_BOX(adapter->kind));

    if (is_idle(adapter) || !kind)
        return;
    /* The form holds the values of the network that goes. */
    gtk_widget_hide(adapter->netdev_form);
    network_connect_card(apiary_settings_page_get_config(adapter->page), get_card(adapter),
                         g_str_equal(kind, NOT_CONNECTED) ? NULL : kind, NULL);
    apiary_settings_page_save(adapter->page);
}

static void on_mac_changed(ApiaryNetworkAdapter *adapter)
{
    DeviceConfig *card = get_card(adapter);
    const char *mac = gtk_entry_get_text(GTK_ENTRY(adapter->mac));
    g_autoptr(GError) error = NULL;

    if (is_idle(adapter))
        return;
    if (!*mac)
        option_values_unset(card->values, "mac");
    else if (g_ascii_xdigit_value(mac[0]) >= 0 && strlen(mac) > 1 &&
             g_ascii_xdigit_value(mac[1]) & 1)
        g_set_error_literal(&error, option_error_quark(), 0,
                            _("The first byte of a card's own address is even."));
    else
        option_values_set(card->values, "mac", mac, &error);
    apiary_settings_show_problem(adapter->mac_problem, error ? error->message : NULL);
    if (!error)
        apiary_settings_page_save(adapter->page);
}

static void on_new_mac(ApiaryNetworkAdapter *adapter)
{
    g_autofree char *mac = network_make_mac(apiary_settings_page_get_config(adapter->page));

    gtk_entry_set_text(GTK_ENTRY(adapter->mac), mac);
}

static void on_link_done(void *opaque, const GError *error)
{
    g_autoptr(ApiaryNetworkAdapter) adapter = opaque;

    if (adapter->page)
        apiary_settings_show_problem(adapter->link_problem, error ? error->message : NULL);
}

static void on_link_changed(ApiaryNetworkAdapter *adapter)
{
    if (is_idle(adapter) || !get_netdev(adapter))
        return;
    apiary_vm_set_link(get_vm(adapter), get_netdev(adapter)->id,
                       gtk_switch_get_active(GTK_SWITCH(adapter->link)), on_link_done,
                       g_object_ref(adapter));
}

static void on_remove(ApiaryNetworkAdapter *adapter)
{
    ApiarySettingsPage *page = adapter->page;

    network_remove_card(apiary_settings_page_get_config(page), get_card(adapter));
    apiary_settings_page_save(page); /* and this is gone */
}

static void on_option_changed(ApiaryNetworkAdapter *adapter)
{
    if (!is_idle(adapter))
        apiary_settings_page_save(adapter->page);
}

/* --- forwards --------------------------------------------------------------------------------- */

typedef struct {
    ApiaryNetworkAdapter *adapter;
    ApiaryVm *vm;
    char *network, *rule;
} ForwardChange;

static ForwardChange *forward_change_new(ApiaryNetworkAdapter *adapter, const char *rule)
{
    ForwardChange *change = g_new0(ForwardChange, 1);

    change->adapter = g_object_ref(adapter);
    change->vm = g_object_ref(get_vm(adapter));
    change->network = g_strdup(get_netdev(adapter)->id);
    change->rule = g_strdup(rule);
    return change;
}

static void forward_change_free(ForwardChange *change)
{
    g_object_unref(change->adapter);
    g_object_unref(change->vm);
    g_free(change->network);
    g_free(change->rule);
    g_free(change);
}

/* Writes the list of forwards anew, with RULE or without it. */
static void keep_forward(ApiaryNetworkAdapter *adapter, const char *network, const char *rule,
                         bool with)
{
    NetdevConfig *netdev =
        config_find_netdev(apiary_settings_page_get_config(adapter->page), network);
    g_auto(GStrv) old = netdev ? g_strdupv((char **)option_list(netdev->values, "hostfwd")) : NULL;

    if (!netdev)
        return;
    option_values_unset(netdev->values, "hostfwd");
    for (char **one = old; *one; one++)
        if (!g_str_equal(*one, rule))
            option_values_set(netdev->values, "hostfwd", *one, NULL);
    if (with)
        option_values_set(netdev->values, "hostfwd", rule, NULL);
    apiary_settings_page_save(adapter->page);
}

/* A forward that cannot be opened is not kept: the machine would not start with it. */
static void on_forward_added(void *opaque, const GError *error)
{
    ForwardChange *change = opaque;

    if (change->adapter->page && !error)
        keep_forward(change->adapter, change->network, change->rule, true);
    if (change->adapter->page)
        apiary_forward_table_set_problem(APIARY_FORWARD_TABLE(change->adapter->forwards),
                                         error ? error->message : NULL);
    else if (error)
        apiary_vm_message(change->vm, GTK_MESSAGE_ERROR, error->message);
    forward_change_free(change);
}

static void on_forward_removed(void *opaque, const GError *error)
{
    ForwardChange *change = opaque;

    if (error && change->adapter->page)
        apiary_forward_table_set_problem(APIARY_FORWARD_TABLE(change->adapter->forwards),
                                         error->message);
    forward_change_free(change);
}

static void on_add_forward(ApiaryNetworkAdapter *adapter, const char *rule)
{
    const NetdevConfig *netdev = get_netdev(adapter);

    if (apiary_vm_has_network(get_vm(adapter), netdev->id))
        apiary_vm_add_forward(get_vm(adapter), netdev->id, rule, on_forward_added,
                              forward_change_new(adapter, rule));
    else
        keep_forward(adapter, netdev->id, rule, true);
}

static void on_remove_forward(ApiaryNetworkAdapter *adapter, const char *rule)
{
    const NetdevConfig *netdev = get_netdev(adapter);

    if (apiary_vm_forward_is_open(get_vm(adapter), netdev->id, rule))
        apiary_vm_remove_forward(get_vm(adapter), netdev->id, rule, on_forward_removed,
                                 forward_change_new(adapter, rule));
    keep_forward(adapter, netdev->id, rule, false);
}

/* --- class ------------------------------------------------------------------------------------ */

GtkWidget *apiary_network_adapter_new(ApiarySettingsPage *page, unsigned n)
{
    ApiaryNetworkAdapter *adapter = g_object_new(APIARY_TYPE_NETWORK_ADAPTER, NULL);

    adapter->page = page;
    adapter->n = n;
    apiary_network_adapter_update(adapter);
    return GTK_WIDGET(adapter);
}

static void apiary_network_adapter_dispose(GObject *object)
{
    APIARY_NETWORK_ADAPTER(object)->page = NULL;
    G_OBJECT_CLASS(apiary_network_adapter_parent_class)->dispose(object);
}

static void apiary_network_adapter_init(ApiaryNetworkAdapter *adapter)
{
    gtk_widget_init_template(GTK_WIDGET(adapter));
    for (const NetBackendClass *const *c = net_backend_classes; *c; c++)
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(adapter->kind), (*c)->name, _((*c)->title));
    gtk_entry_set_placeholder_text(GTK_ENTRY(adapter->mac),
                                   _("Given by the machine, 52:54:00:12:34:56 and up"));
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(adapter->kind), NOT_CONNECTED,
                              _("Nothing: no cable"));
    g_signal_connect_swapped(adapter->forwards, "add-rule", G_CALLBACK(on_add_forward), adapter);
    g_signal_connect_swapped(adapter->forwards, "remove-rule", G_CALLBACK(on_remove_forward),
                             adapter);
    g_signal_connect_swapped(adapter->netdev_form, "changed", G_CALLBACK(on_option_changed),
                             adapter);
    g_signal_connect_swapped(adapter->card_form, "changed", G_CALLBACK(on_option_changed), adapter);
}

static void apiary_network_adapter_class_init(ApiaryNetworkAdapterClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    G_OBJECT_CLASS(klass)->dispose = apiary_network_adapter_dispose;
    g_type_ensure(APIARY_TYPE_CAPTURE_BOX);
    g_type_ensure(APIARY_TYPE_FORWARD_TABLE);
    g_type_ensure(APIARY_TYPE_OPTION_FORM);
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/network-adapter.ui");
#define BIND(child) gtk_widget_class_bind_template_child(widget_class, ApiaryNetworkAdapter, child)
    BIND(title);
    BIND(remove);
    BIND(pending);
    BIND(kind);
    BIND(kind_problem);
    BIND(mac);
    BIND(new_mac);
    BIND(mac_problem);
    BIND(link);
    BIND(link_problem);
    BIND(link_note);
    BIND(address);
    BIND(capture);
    BIND(forwards_box);
    BIND(forwards);
    BIND(more);
    BIND(netdev_form);
    BIND(card_form);
#undef BIND
    gtk_widget_class_bind_template_callback(widget_class, on_kind_changed);
    gtk_widget_class_bind_template_callback(widget_class, on_mac_changed);
    gtk_widget_class_bind_template_callback(widget_class, on_new_mac);
    gtk_widget_class_bind_template_callback(widget_class, on_link_changed);
    gtk_widget_class_bind_template_callback(widget_class, on_remove);
}
