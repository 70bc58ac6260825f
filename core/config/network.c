/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/config/network.h"

#include "core/net/net.h"

#include <glib/gi18n.h>
#include <string.h>

#define CARD_DRIVER   "e1000"
#define NIC_PREFIX    "nic"
#define LEGACY_PREFIX "vlan"

void netdev_config_free(gpointer data)
{
    NetdevConfig *netdev = data;

    g_free(netdev->type);
    g_free(netdev->id);
    option_values_free(netdev->values);
    g_free(netdev);
}

NetdevConfig *netdev_config_copy(const NetdevConfig *from)
{
    NetdevConfig *to = g_new0(NetdevConfig, 1);

    to->type = g_strdup(from->type);
    to->id = g_strdup(from->id);
    to->values = option_values_copy(from->values);
    return to;
}

NetdevConfig *config_find_netdev(const MachineConfig *config, const char *id)
{
    for (guint i = 0; i < config->netdevs->len; i++) {
        NetdevConfig *netdev = config->netdevs->pdata[i];
        if (g_str_equal(netdev->id, id))
            return netdev;
    }
    return NULL;
}

static const NetBackendClass *find_class(const char *type, GError **error)
{
    const NetBackendClass *backend_class = net_backend_class_find(type);
    g_autoptr(GString) known = g_string_new(NULL);

    if (backend_class)
        return backend_class;
    for (const NetBackendClass *const *c = net_backend_classes; *c; c++)
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", (*c)->name);
    option_refuse(error, "there is no network of type \"%s\"; known are: %s.", type, known->str);
    return NULL;
}

NetdevConfig *config_add_netdev(MachineConfig *config, const char *type, const char *id,
                                GError **error)
{
    const NetBackendClass *backend_class = find_class(type, error);

    if (!backend_class)
        return NULL;
    NetdevConfig *netdev = g_new0(NetdevConfig, 1);
    netdev->type = g_strdup(type);
    netdev->id = g_strdup(id);
    netdev->values = option_values_new(backend_class->options);
    option_values_set(netdev->values, "id", id, NULL);
    g_ptr_array_add(config->netdevs, netdev);
    return netdev;
}

static DeviceConfig *add_card(MachineConfig *config, const char *netdev)
{
    const DeviceClass *device_class = device_class_find(CARD_DRIVER);
    DeviceConfig *card = g_new0(DeviceConfig, 1);

    card->driver = g_strdup(CARD_DRIVER);
    card->values = option_values_new(device_class->options);
    option_values_set(card->values, "netdev", netdev, NULL);
    g_ptr_array_add(config->devices, card);
    return card;
}

/* "PREFIXn" for the first n that is free among networks and what cards refer to. */
static char *free_id(const MachineConfig *config, const char *prefix)
{
    for (unsigned n = 0;; n++) {
        char *id = g_strdup_printf("%s%u", prefix, n);
        if (!config_find_netdev(config, id))
            return id;
        g_free(id);
    }
}

static const char *card_netdev(const DeviceConfig *device)
{
    return g_str_equal(device->driver, CARD_DRIVER) ? option_string(device->values, "netdev")
                                                    : NULL;
}

static bool check_model(const char *model, GError **error)
{
    return g_str_equal(model, CARD_DRIVER) || g_str_equal(model, "e1000-82540em") ||
           option_refuse(error, "there is no network card \"%s\"; use model=%s.", model,
                         CARD_DRIVER);
}

/* One "key=value" of a card. *MINE: it was one. */
static bool set_card_part(DeviceConfig *card, const char *key, const char *value, bool *mine,
                          GError **error)
{
    *mine = true;
    if (g_str_equal(key, "model"))
        return check_model(value, error);
    if (g_str_equal(key, "mac") || g_str_equal(key, "macaddr"))
        return option_values_set(card->values, "mac", value, error);
    if (g_str_equal(key, "addr"))
        return option_values_set(card->values, "addr", value, error);
    *mine = false;
    return true;
}

/* The key=value parts of TEXT to CARD (may be NULL) and NETDEV (may be NULL). */
static bool set_parts(DeviceConfig *card, NetdevConfig *netdev, const char *text, GError **error)
{
    for (;;) {
        g_autofree char *part = option_next_part(&text);
        bool mine = false;
        if (!part)
            return true;
        char *equals = strchr(part, '=');
        const char *value = equals ? equals + 1 : "on";
        if (equals)
            *equals = '\0';
        if (card && !set_card_part(card, part, value, &mine, error))
            return false;
        if (mine)
            continue;
        if (!netdev)
            return option_refuse(
                error, "there is no option \"%s\" here; known are: model, macaddr, addr.", part);
        if (!option_values_set(netdev->values, part, value, error))
            return false;
    }
}

static bool check_netdev(const NetdevConfig *netdev, GError **error)
{
    const NetBackendClass *backend_class = net_backend_class_find(netdev->type);

    return !backend_class->check || backend_class->check(netdev->values, error);
}

static const char *after_type(const char *value, char **type)
{
    const char *comma = strchr(value, ',');

    *type = comma ? g_strndup(value, comma - value) : g_strdup(value);
    return comma ? comma + 1 : "";
}

/* --- the flags ----------------------------------------------------------------------------------
 */

bool network_add_netdev(MachineConfig *config, const char *value, GError **error)
{
    g_autofree char *type = NULL;
    const char *rest = after_type(value, &type);
    NetdevConfig *netdev = config_add_netdev(config, type, "", error);

    config->network_named = true;
    if (!netdev || !option_values_parse(netdev->values, rest, NULL, error))
        return false;
    if (!*option_string(netdev->values, "id"))
        return option_refuse(error, "needs an id=, which -device %s,netdev= then names.",
                             CARD_DRIVER);
    g_free(netdev->id);
    netdev->id = g_strdup(option_string(netdev->values, "id"));
    return check_netdev(netdev, error);
}

static bool add_card_and_netdev(MachineConfig *config, const char *type, const char *parts,
                                GError **error)
{
    g_autofree char *id = free_id(config, NIC_PREFIX);
    NetdevConfig *netdev = config_add_netdev(config, type, id, error);

    if (!netdev)
        return false;
    DeviceConfig *card = add_card(config, id);
    if (!set_parts(card, netdev, parts, error))
        return false;
    g_free(netdev->id);
    netdev->id = g_strdup(option_string(netdev->values, "id"));
    option_values_set(card->values, "netdev", netdev->id, NULL);
    return check_netdev(netdev, error);
}

bool network_add_nic(MachineConfig *config, const char *value, GError **error)
{
    g_autofree char *type = NULL;
    const char *rest = after_type(value, &type);

    config->network_named = true;
    return g_str_equal(type, "none") || add_card_and_netdev(config, type, rest, error);
}

/* How many legacy cards or networks there are already. */
static unsigned count_legacy(const MachineConfig *config, bool cards)
{
    unsigned n = 0;

    for (guint i = 0; cards && i < config->devices->len; i++) {
        const char *id = card_netdev(config->devices->pdata[i]);
        n += id && g_str_has_prefix(id, LEGACY_PREFIX);
    }
    for (guint i = 0; !cards && i < config->netdevs->len; i++)
        n += g_str_has_prefix(((NetdevConfig *)config->netdevs->pdata[i])->id, LEGACY_PREFIX);
    return n;
}

bool network_add_legacy(MachineConfig *config, const char *value, GError **error)
{
    g_autofree char *type = NULL;
    const char *rest = after_type(value, &type);
    bool is_card = g_str_equal(type, "nic");
    g_autofree char *id = g_strdup_printf(LEGACY_PREFIX "%u", count_legacy(config, is_card));

    config->network_named = true;
    if (g_str_equal(type, "none"))
        return true;
    if (is_card)
        return set_parts(add_card(config, id), NULL, rest, error);
    NetdevConfig *netdev = config_add_netdev(config, type, id, error);
    return netdev && set_parts(NULL, netdev, rest, error) && check_netdev(netdev, error);
}

bool network_finish(MachineConfig *config, GError **error)
{
    if (!config->network_named)
        return network_add_card(config, NULL, error);
    for (guint i = 0; i < config->devices->len; i++) {
        DeviceConfig *card = config->devices->pdata[i];
        const char *id = card_netdev(card);
        if (id && g_str_has_prefix(id, LEGACY_PREFIX) && !config_find_netdev(config, id))
            option_values_unset(card->values, "netdev"); /* -net nic alone: no cable */
    }
    return true;
}

bool network_add_card(MachineConfig *config, const char *values, GError **error)
{
    return add_card_and_netdev(config, "user", values ? values : "", error);
}

/* --- cards, one by one ------------------------------------------------------------------------
 */

DeviceConfig *network_card(const MachineConfig *config, unsigned n)
{
    for (guint i = 0; i < config->devices->len; i++) {
        DeviceConfig *device = config->devices->pdata[i];
        if (g_str_equal(device->driver, CARD_DRIVER) && n-- == 0)
            return device;
    }
    return NULL;
}

NetdevConfig *network_card_netdev(const MachineConfig *config, const DeviceConfig *card)
{
    const char *id = card_netdev(card);

    return id ? config_find_netdev(config, id) : NULL;
}

static void disconnect(MachineConfig *config, DeviceConfig *card)
{
    NetdevConfig *netdev = network_card_netdev(config, card);

    option_values_unset(card->values, "netdev");
    if (netdev)
        g_ptr_array_remove(config->netdevs, netdev);
}

void network_remove_card(MachineConfig *config, DeviceConfig *card)
{
    disconnect(config, card);
    g_ptr_array_remove(config->devices, card);
}

bool network_connect_card(MachineConfig *config, DeviceConfig *card, const char *type,
                          GError **error)
{
    disconnect(config, card);
    if (!type)
        return true;
    g_autofree char *id = free_id(config, NIC_PREFIX);
    return config_add_netdev(config, type, id, error) &&
           option_values_set(card->values, "netdev", id, error);
}

static bool has_mac(const MachineConfig *config, const char *mac)
{
    const DeviceConfig *card;

    for (unsigned n = 0; (card = network_card(config, n)); n++)
        if (g_strcmp0(option_string(card->values, "mac"), mac) == 0)
            return true;
    return false;
}

char *network_make_mac(const MachineConfig *config)
{
    for (;;) {
        guint32 number = g_random_int();
        char *mac = g_strdup_printf("52:54:00:%02x:%02x:%02x", number >> 16 & 0xff,
                                    number >> 8 & 0xff, number & 0xff);
        if (!has_mac(config, mac))
            return mac;
        g_free(mac);
    }
}

/* --- checks -------------------------------------------------------------------------------------
 */

static bool validate_card(const MachineConfig *config, guint index, GError **error)
{
    const char *id = card_netdev(config->devices->pdata[index]);

    if (!id)
        return true;
    if (!config_find_netdev(config, id))
        return option_refuse(
            error, "A network card has netdev=%s, but there is no -netdev with id=%s.", id, id);
    for (guint i = 0; i < index; i++) {
        const char *other = card_netdev(config->devices->pdata[i]);
        if (other && g_str_equal(other, id))
            return option_refuse(error, "Two network cards have netdev=%s; give each its own.", id);
    }
    return true;
}

bool network_validate(const MachineConfig *config, GError **error)
{
    unsigned cards = 0;

    for (guint i = 0; i < config->netdevs->len; i++) {
        const NetdevConfig *netdev = config->netdevs->pdata[i];
        if (config_find_netdev(config, netdev->id) != netdev)
            return option_refuse(error, "Two networks are called \"%s\".", netdev->id);
        if (!check_netdev(netdev, error)) {
            g_prefix_error(error, _("Network %s: "), netdev->id);
            return false;
        }
    }
    for (guint i = 0; i < config->devices->len; i++) {
        const DeviceConfig *device = config->devices->pdata[i];
        cards += g_str_equal(device->driver, CARD_DRIVER);
        if (!validate_card(config, i, error))
            return false;
    }
    return cards <= NETWORK_MAX_CARDS ||
           option_refuse(error, "The machine can have %d network cards.", NETWORK_MAX_CARDS);
}
