/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The machine's networks: made from the configuration, found by name, told of in the monitor. */

#include "core/machine/pc-network.h"

#include "core/net/capture.h"
#include "core/net/slirp.h"

#include <arpa/inet.h>
#include <gio/gio.h>
#include <glib/gi18n.h>

#define MAC_FORMAT     "%02x:%02x:%02x:%02x:%02x:%02x"
#define MAC_BYTES(mac) (mac)[0], (mac)[1], (mac)[2], (mac)[3], (mac)[4], (mac)[5]

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
    for (guint i = 0; i < pc->config->objects->len; i++) {
        const ObjectConfig *object = pc->config->objects->pdata[i];
        if (!pc_add_object(pc, object, error)) {
            g_prefix_error(error, "-object %s,id=%s: ", object->type, object->id);
            return false;
        }
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

bool pc_has_object(Pc *pc, const char *id)
{
    for (guint i = 0; i < pc->netdevs->len; i++)
        if (net_backend_find_tap(pc->netdevs->pdata[i], id))
            return true;
    return false;
}

bool pc_add_object(Pc *pc, const ObjectConfig *object, GError **error)
{
    NetBackend *netdev = pc_network(pc, option_string(object->values, "netdev"), error);

    if (!netdev)
        return false;
    if (!pc_has_object(pc, object->id))
        return capture_start(netdev, object->values, error);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, _("There is an object \"%s\" already."),
                object->id);
    return false;
}

bool pc_delete_object(Pc *pc, const char *id, GError **error)
{
    for (guint i = 0; i < pc->netdevs->len; i++)
        if (net_backend_remove_tap(pc->netdevs->pdata[i], id))
            return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("There is no object \"%s\"."), id);
    return false;
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

/* As QEMU lists its filters. */
static void describe_captures(const NetBackend *netdev, GString *out)
{
    CaptureInfo capture;

    for (const NetTap *tap = netdev->taps; tap; tap = tap->next)
        if (capture_describe(tap, &capture))
            g_string_append_printf(out, "filters:\n  - %s: type=" CAPTURE_KIND ",file=%s\n",
                                   capture.id, capture.file);
}

void pc_describe_networks(Pc *pc, GString *out)
{
    for (guint i = 0; i < pc->netdevs->len; i++) {
        const NetBackend *netdev = pc->netdevs->pdata[i];
        if (netdev->card) {
            const uint8_t *mac = netdev->card_address;
            g_autofree char *name = card_name(pc, netdev);
            g_string_append_printf(out,
                                   "%s: index=0,type=nic,model=%s,macaddr=" MAC_FORMAT "\n \\ ",
                                   name, netdev->card_model, MAC_BYTES(mac));
        }
        g_string_append_printf(out, "%s: index=0,type=%s,", netdev->id,
                               netdev->backend_class->name);
        netdev->backend_class->describe((NetBackend *)netdev, out);
        g_string_append_printf(out, "%s\n", netdev->link_up ? "" : ",link=off");
        describe_captures(netdev, out);
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

/* --- for programs -------------------------------------------------------------------------------
 */

static void set_string(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static void set_int(JsonBuilder *json, const char *name, int64_t value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_int_value(json, value);
}

static void set_bool(JsonBuilder *json, const char *name, bool value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_boolean_value(json, value);
}

static void set_address(JsonBuilder *json, const char *name, struct in_addr address)
{
    char text[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &address, text, sizeof text);
    set_string(json, name, text);
}

static void add_card(Pc *pc, const NetBackend *netdev, JsonBuilder *json)
{
    g_autofree char *name = card_name(pc, netdev);
    g_autofree char *mac = g_strdup_printf(MAC_FORMAT, MAC_BYTES(netdev->card_address));

    json_builder_set_member_name(json, "card");
    json_builder_begin_object(json);
    set_string(json, "name", name);
    set_string(json, "model", netdev->card_model);
    set_string(json, "mac", mac);
    json_builder_end_object(json);
}

static void add_user_network(NetBackend *netdev, JsonBuilder *json)
{
    const GArray *forwards = slirp_forwards(netdev);
    const NetPlan *plan = slirp_plan(netdev);
    struct in_addr guest = slirp_guest_address(netdev);

    set_address(json, "host-address", plan->host);
    if (guest.s_addr)
        set_address(json, "guest-address", guest);
    json_builder_set_member_name(json, "forwards");
    json_builder_begin_array(json);
    for (guint i = 0; i < forwards->len; i++) {
        const NetForward *forward = &g_array_index(forwards, NetForward, i);
        g_autofree char *rule = net_forward_format(forward);
        json_builder_begin_object(json);
        set_string(json, "rule", rule);
        set_string(json, "protocol", forward->udp ? "udp" : "tcp");
        set_address(json, "host", forward->host);
        set_int(json, "host-port", forward->host_port);
        set_address(json, "guest", forward->guest.s_addr ? forward->guest : plan->dhcp_start);
        set_int(json, "guest-port", forward->guest_port);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

static void add_captures(const NetBackend *netdev, JsonBuilder *json)
{
    CaptureInfo capture;

    json_builder_set_member_name(json, "captures");
    json_builder_begin_array(json);
    for (const NetTap *tap = netdev->taps; tap; tap = tap->next) {
        if (!capture_describe(tap, &capture))
            continue;
        json_builder_begin_object(json);
        set_string(json, "id", capture.id);
        set_string(json, "file", capture.file);
        set_int(json, "frames", capture.frames);
        set_int(json, "bytes", capture.bytes);
        set_bool(json, "failed", capture.failed);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

void pc_query_networks(Pc *pc, JsonBuilder *json)
{
    for (guint i = 0; i < pc->netdevs->len; i++) {
        NetBackend *netdev = pc->netdevs->pdata[i];
        g_autoptr(GString) details = g_string_new(NULL);
        netdev->backend_class->describe(netdev, details);
        json_builder_begin_object(json);
        set_string(json, "id", netdev->id);
        set_string(json, "type", netdev->backend_class->name);
        set_string(json, "details", details->str);
        set_bool(json, "link", netdev->link_up);
        set_int(json, "rx-frames", netdev->statistics.rx_frames);
        set_int(json, "rx-bytes", netdev->statistics.rx_bytes);
        set_int(json, "tx-frames", netdev->statistics.tx_frames);
        set_int(json, "tx-bytes", netdev->statistics.tx_bytes);
        set_int(json, "dropped", netdev->statistics.dropped);
        if (netdev->card)
            add_card(pc, netdev, json);
        if (net_is_user(netdev))
            add_user_network(netdev, json);
        add_captures(netdev, json);
        json_builder_end_object(json);
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
