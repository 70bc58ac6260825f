/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The machine's networks: made from the configuration, found by name, told of in the monitor. */

#include "core/machine/pc-network.h"

#include "core/net/slirp.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

bool pc_make_networks(Pc *pc, GError **error)
{
    for (guint i = 0; i < pc->config->netdevs->len; i++) {
        const NetdevConfig *config = pc->config->netdevs->pdata[i];
        NetBackend *netdev = net_backend_new(&pc->board, net_backend_class_find(config->type),
                                             config->id, config->values, error);
        if (!netdev) {
            g_prefix_error(error, "-netdev %s,id=%s: ", config->type, config->id);
            return false;
        }
        g_ptr_array_add(pc->netdevs, netdev);
    }
    return true;
}

void pc_free_networks(Pc *pc)
{
    for (guint i = 0; i < pc->netdevs->len; i++)
        net_backend_free(pc->netdevs->pdata[i]);
    g_ptr_array_unref(pc->netdevs);
}

NetBackend *pc_find_netdev(Board *board, const char *id)
{
    Pc *pc = board->machine;

    for (guint i = 0; i < pc->netdevs->len; i++) {
        NetBackend *netdev = pc->netdevs->pdata[i];
        if (g_str_equal(netdev->id, id))
            return netdev;
    }
    return NULL;
}

/* The card's name in the monitor: its id, or QEMU's e1000.0. */
static char *card_name(Pc *pc, const NetBackend *netdev)
{
    unsigned number = 0;

    if (netdev->card_id)
        return g_strdup(netdev->card_id);
    for (guint i = 0; pc->netdevs->pdata[i] != netdev; i++) {
        const NetBackend *other = pc->netdevs->pdata[i];
        number += other->card && !other->card_id;
    }
    return g_strdup_printf("%s.%u", netdev->card_model, number);
}

NetBackend *pc_network(Pc *pc, const char *name, GError **error)
{
    for (guint i = 0; i < pc->netdevs->len; i++) {
        NetBackend *netdev = pc->netdevs->pdata[i];
        g_autofree char *card = netdev->card ? card_name(pc, netdev) : NULL;
        if (g_str_equal(netdev->id, name) || g_strcmp0(card, name) == 0)
            return netdev;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                _("There is no network or network card \"%s\"; see info network."), name);
    return NULL;
}

NetBackend *pc_user_network(Pc *pc, const char *name, GError **error)
{
    NetBackend *netdev = name ? pc_network(pc, name, error) : NULL;

    for (guint i = 0; !name && !netdev && i < pc->netdevs->len; i++)
        if (net_is_user(pc->netdevs->pdata[i]))
            netdev = pc->netdevs->pdata[i];
    if (netdev && net_is_user(netdev))
        return netdev;
    if (!name)
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                            _("The machine has no user-mode network."));
    else if (netdev)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    _("Network \"%s\" is not a user-mode network; it has no port forwards."), name);
    return NULL;
}

void pc_describe_networks(Pc *pc, GString *out)
{
    for (guint i = 0; i < pc->netdevs->len; i++) {
        const NetBackend *netdev = pc->netdevs->pdata[i];
        if (netdev->card) {
            const uint8_t *mac = netdev->card_address;
            g_autofree char *name = card_name(pc, netdev);
            g_string_append_printf(out,
                                   "%s: index=0,type=nic,model=%s,macaddr="
                                   "%02x:%02x:%02x:%02x:%02x:%02x\n \\ ",
                                   name, netdev->card_model, mac[0], mac[1], mac[2], mac[3], mac[4],
                                   mac[5]);
        }
        g_string_append_printf(out, "%s: index=0,type=%s,", netdev->id,
                               netdev->backend_class->name);
        netdev->backend_class->describe((NetBackend *)netdev, out);
        g_string_append_printf(out, "%s\n", netdev->link_up ? "" : ",link=off");
    }
}

void pc_describe_user_networks(Pc *pc, GString *out)
{
    for (guint i = 0; i < pc->netdevs->len; i++) {
        NetBackend *netdev = pc->netdevs->pdata[i];
        if (!net_is_user(netdev))
            continue;
        char *connections = slirp_describe_connections(netdev);
        g_string_append_printf(out, "%s:\n%s", netdev->id, connections);
        g_free(connections);
    }
}

NetStatistics pc_network_statistics(Pc *pc)
{
    NetStatistics sum = {0};

    for (guint i = 0; i < pc->netdevs->len; i++) {
        const NetStatistics *one = &((NetBackend *)pc->netdevs->pdata[i])->statistics;
        sum.rx_frames += one->rx_frames;
        sum.rx_bytes += one->rx_bytes;
        sum.tx_frames += one->tx_frames;
        sum.tx_bytes += one->tx_bytes;
        sum.dropped += one->dropped;
    }
    return sum;
}
