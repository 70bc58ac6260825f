/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/vm-network.h"

#include <arpa/inet.h>
#include <glib/gi18n.h>
#include <string.h>

#define MONITOR_ERROR "Error: "

struct ApiaryVmNetwork {
    GHashTable *open; /* set of "NETWORK RULE": forwards that are open now */
    GHashTable *cut;  /* set of networks whose cable is pulled */
};

/* One rule has many spellings; this is the one that is compared. */
static char *forward_key(const char *id, const char *rule)
{
    NetForward forward;

    if (!net_forward_parse(rule, &forward, NULL))
        return NULL;
    g_autofree char *text = net_forward_format(&forward);
    return g_strdup_printf("%s %s", id, text);
}

/* --- what is so now --------------------------------------------------------------------------- */

ApiaryVmNetwork *apiary_vm_network_new(void)
{
    ApiaryVmNetwork *network = g_new0(ApiaryVmNetwork, 1);

    network->open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    network->cut = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return network;
}

void apiary_vm_network_free(ApiaryVmNetwork *network)
{
    g_hash_table_unref(network->open);
    g_hash_table_unref(network->cut);
    g_free(network);
}

void apiary_vm_network_begin(ApiaryVmNetwork *network, const MachineConfig *config)
{
    g_hash_table_remove_all(network->open);
    g_hash_table_remove_all(network->cut);
    for (guint i = 0; i < config->netdevs->len; i++) {
        const NetdevConfig *netdev = config->netdevs->pdata[i];
        const char *const *rule = option_list(netdev->values, "hostfwd");
        for (; *rule; rule++) {
            char *key = forward_key(netdev->id, *rule);
            if (key)
                g_hash_table_add(network->open, key);
        }
    }
}

bool apiary_vm_has_network(ApiaryVm *vm, const char *id)
{
    const MachineConfig *config = apiary_vm_get_running_config(vm);

    for (guint i = 0; config && i < config->netdevs->len; i++)
        if (g_str_equal(((NetdevConfig *)config->netdevs->pdata[i])->id, id))
            return true;
    return false;
}

bool apiary_vm_forward_is_open(ApiaryVm *vm, const char *id, const char *rule)
{
    g_autofree char *key = forward_key(id, rule);

    return key && apiary_vm_is_on(vm) &&
           g_hash_table_contains(apiary_vm_get_network(vm)->open, key);
}

bool apiary_vm_link_is_up(ApiaryVm *vm, const char *id)
{
    return apiary_vm_has_network(vm, id) &&
           !g_hash_table_contains(apiary_vm_get_network(vm)->cut, id);
}

/* --- changing it ------------------------------------------------------------------------------ */

typedef struct {
    ApiaryVm *vm;
    GHashTable *set; /* what changes when the machine has done it */
    char *key;
    bool add;
    ApiaryVmDone done;
    void *opaque;
} Change;

/* The monitor tells errors in its text. */
static void on_reply(void *opaque, const char *text, const GError *error)
{
    Change *change = opaque;
    g_autoptr(GError) said = NULL;

    if (!error && text && g_str_has_prefix(text, MONITOR_ERROR)) {
        g_autofree char *message = g_strstrip(g_strdup(text + strlen(MONITOR_ERROR)));
        error = said = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_FAILED, message);
    }
    if (!error && change->add)
        g_hash_table_add(change->set, g_strdup(change->key));
    else if (!error)
        g_hash_table_remove(change->set, change->key);
    change->done(change->opaque, error);
    apiary_vm_config_changed(change->vm);
    g_hash_table_unref(change->set);
    g_object_unref(change->vm);
    g_free(change->key);
    g_free(change);
}

/* Sends the monitor's LINE; KEY then comes into SET or leaves it. */
static void change(ApiaryVm *vm, const char *line, GHashTable *set, const char *key, bool add,
                   ApiaryVmDone done, void *opaque)
{
    Change *order = g_new0(Change, 1);

    *order = (Change){.vm = g_object_ref(vm),
                      .set = g_hash_table_ref(set),
                      .key = g_strdup(key),
                      .add = add,
                      .done = done,
                      .opaque = opaque};
    machine_send(apiary_vm_ensure_machine(vm),
                 &(MachineCommand){.type = COMMAND_MONITOR, .text = {line}}, on_reply, order);
}

void apiary_vm_add_forward(ApiaryVm *vm, const char *id, const char *rule, ApiaryVmDone done,
                           void *opaque)
{
    g_autofree char *line = g_strdup_printf("hostfwd_add %s %s", id, rule);
    g_autofree char *key = forward_key(id, rule);

    change(vm, line, apiary_vm_get_network(vm)->open, key ? key : "", true, done, opaque);
}

void apiary_vm_remove_forward(ApiaryVm *vm, const char *id, const char *rule, ApiaryVmDone done,
                              void *opaque)
{
    g_auto(GStrv) ends = g_strsplit(rule, "-", 2);
    g_autofree char *line = g_strdup_printf("hostfwd_remove %s %s", id, ends[0]);
    g_autofree char *key = forward_key(id, rule);

    change(vm, line, apiary_vm_get_network(vm)->open, key ? key : "", false, done, opaque);
}

void apiary_vm_set_link(ApiaryVm *vm, const char *id, bool up, ApiaryVmDone done, void *opaque)
{
    g_autofree char *line = g_strdup_printf("set_link %s %s", id, up ? "on" : "off");

    change(vm, line, apiary_vm_get_network(vm)->cut, id, !up, done, opaque);
}

typedef struct {
    ApiaryVmText done;
    void *opaque;
} Question;

static void on_connections(void *opaque, const char *text, const GError *error)
{
    g_autofree Question *question = opaque;

    question->done(question->opaque, !error && text ? text : "");
}

void apiary_vm_list_connections(ApiaryVm *vm, ApiaryVmText done, void *opaque)
{
    Question *question = g_new0(Question, 1);

    *question = (Question){done, opaque};
    machine_send(apiary_vm_ensure_machine(vm),
                 &(MachineCommand){.type = COMMAND_MONITOR, .text = {"info usernet"}},
                 on_connections, question);
}

/* --- in words --------------------------------------------------------------------------------- */

char *apiary_network_guest_address(const NetdevConfig *netdev)
{
    const OptionValues *values = netdev->values;
    char text[INET_ADDRSTRLEN];
    NetPlan plan;

    if (!g_str_equal(netdev->type, "user") ||
        !net_plan_parse(option_string(values, "net"), option_string(values, "host"),
                        option_string(values, "dns"), option_string(values, "dhcpstart"), &plan,
                        NULL))
        return NULL;
    return g_strdup(inet_ntop(AF_INET, &plan.dhcp_start, text, sizeof text));
}

bool apiary_forward_is_exposed(const NetForward *forward)
{
    return ntohl(forward->host.s_addr) >> 24 != 127;
}

char *apiary_forward_text(const NetForward *forward, const char *guest_address)
{
    char host[INET_ADDRSTRLEN], guest[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &forward->host, host, sizeof host);
    if (forward->guest.s_addr || !guest_address)
        guest_address = inet_ntop(AF_INET, &forward->guest, guest, sizeof guest);
    return g_strdup_printf("%s %s:%u → %s:%u", forward->udp ? "UDP" : "TCP", host,
                           forward->host_port, guest_address, forward->guest_port);
}

char *apiary_vm_network_summary(const MachineConfig *config)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < config->netdevs->len; i++) {
        const NetdevConfig *netdev = config->netdevs->pdata[i];
        const char *const *rule = option_list(netdev->values, "hostfwd");
        g_autofree char *address = apiary_network_guest_address(netdev);
        NetForward forward;
        if (!address)
            continue;
        g_string_append_printf(text, "%s%s", text->len ? "; " : "", address);
        for (; *rule; rule++)
            if (net_forward_parse(*rule, &forward, NULL))
                g_string_append_printf(text, ", %u → %u", forward.host_port, forward.guest_port);
    }
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}
