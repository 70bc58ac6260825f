/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/vm-network.h"

#include <arpa/inet.h>
#include <glib/gi18n.h>
#include <json-glib/json-glib.h>
#include <string.h>

typedef struct {
    char *id;
    bool link;
    GArray *forwards;    /* NetForward */
    GPtrArray *captures; /* ApiaryCapture* */
} Network;

struct ApiaryVmNetwork {
    GPtrArray *networks; /* Network*: as the machine told last */
    char *shape;         /* what of it the windows show, without numbers that only grow */
};

/* --- what is so now --------------------------------------------------------------------------- */

static void capture_free(gpointer data)
{
    ApiaryCapture *capture = data;

    g_free(capture->id);
    g_free(capture->file);
    g_free(capture);
}

static void network_free(gpointer data)
{
    Network *network = data;

    g_free(network->id);
    g_array_unref(network->forwards);
    g_ptr_array_unref(network->captures);
    g_free(network);
}

ApiaryVmNetwork *apiary_vm_network_new(void)
{
    ApiaryVmNetwork *network = g_new0(ApiaryVmNetwork, 1);

    network->networks = g_ptr_array_new_with_free_func(network_free);
    return network;
}

void apiary_vm_network_free(ApiaryVmNetwork *network)
{
    g_ptr_array_unref(network->networks);
    g_free(network->shape);
    g_free(network);
}

void apiary_vm_network_end(ApiaryVmNetwork *network)
{
    g_ptr_array_set_size(network->networks, 0);
    g_clear_pointer(&network->shape, g_free);
}

static const Network *find(ApiaryVm *vm, const char *id)
{
    const GPtrArray *networks = apiary_vm_get_network(vm)->networks;

    for (guint i = 0; i < networks->len; i++)
        if (g_str_equal(((Network *)networks->pdata[i])->id, id))
            return networks->pdata[i];
    return NULL;
}

bool apiary_vm_has_network(ApiaryVm *vm, const char *id)
{
    return find(vm, id);
}

/* A rule for host port 0 is kept by the port that the machine has found. */
static bool is_same_forward(const NetForward *rule, const NetForward *open)
{
    return rule->udp == open->udp && rule->host.s_addr == open->host.s_addr &&
           (rule->host_port == open->host_port || !rule->host_port) &&
           rule->guest.s_addr == open->guest.s_addr && rule->guest_port == open->guest_port;
}

bool apiary_vm_forward_is_open(ApiaryVm *vm, const char *id, const char *rule)
{
    const Network *network = find(vm, id);
    NetForward forward;

    if (!network || !net_forward_parse(rule, &forward, NULL))
        return false;
    for (guint i = 0; i < network->forwards->len; i++)
        if (is_same_forward(&forward, &g_array_index(network->forwards, NetForward, i)))
            return true;
    return false;
}

bool apiary_vm_link_is_up(ApiaryVm *vm, const char *id)
{
    const Network *network = find(vm, id);

    return network && network->link;
}

const GPtrArray *apiary_vm_get_captures(ApiaryVm *vm, const char *id)
{
    const Network *network = find(vm, id);

    return network ? network->captures : NULL;
}

/* --- asking the machine ----------------------------------------------------------------------- */

static void add_forward(JsonArray *array, guint i, JsonNode *node, gpointer network)
{
    NetForward forward;

    if (net_forward_parse(json_object_get_string_member(json_node_get_object(node), "rule"),
                          &forward, NULL))
        g_array_append_val(((Network *)network)->forwards, forward);
}

static void add_capture(JsonArray *array, guint i, JsonNode *node, gpointer network)
{
    JsonObject *object = json_node_get_object(node);
    ApiaryCapture *capture = g_new0(ApiaryCapture, 1);

    capture->id = g_strdup(json_object_get_string_member(object, "id"));
    capture->file = g_strdup(json_object_get_string_member(object, "file"));
    capture->frames = (uint64_t)json_object_get_int_member(object, "frames");
    capture->bytes = (uint64_t)json_object_get_int_member(object, "bytes");
    capture->failed = json_object_get_boolean_member(object, "failed");
    g_ptr_array_add(((Network *)network)->captures, capture);
}

static void add_network(JsonArray *array, guint i, JsonNode *node, gpointer networks)
{
    JsonObject *object = json_node_get_object(node);
    Network *network = g_new0(Network, 1);

    network->id = g_strdup(json_object_get_string_member(object, "id"));
    network->link = json_object_get_boolean_member(object, "link");
    network->forwards = g_array_new(FALSE, FALSE, sizeof(NetForward));
    network->captures = g_ptr_array_new_with_free_func(capture_free);
    if (json_object_has_member(object, "forwards"))
        json_array_foreach_element(json_object_get_array_member(object, "forwards"), add_forward,
                                   network);
    json_array_foreach_element(json_object_get_array_member(object, "captures"), add_capture,
                               network);
    g_ptr_array_add(networks, network);
}

static char *describe_shape(const GPtrArray *networks)
{
    GString *shape = g_string_new(NULL);

    for (guint i = 0; i < networks->len; i++) {
        const Network *network = networks->pdata[i];
        g_string_append_printf(shape, "%s %d\n", network->id, network->link);
        for (guint k = 0; k < network->forwards->len; k++) {
            g_autofree char *rule =
                net_forward_format(&g_array_index(network->forwards, NetForward, k));
            g_string_append_printf(shape, "forward %s\n", rule);
        }
        for (guint k = 0; k < network->captures->len; k++) {
            const ApiaryCapture *capture = network->captures->pdata[k];
            g_string_append_printf(shape, "capture %s %s %d\n", capture->id, capture->file,
                                   capture->failed);
        }
    }
    return g_string_free(shape, FALSE);
}

typedef struct {
    ApiaryVm *vm;
    ApiaryVmDone done; /* or NULL */
    void *opaque;
} Order;

static Order *order_new(ApiaryVm *vm, ApiaryVmDone done, void *opaque)
{
    Order *order = g_new0(Order, 1);

    *order = (Order){g_object_ref(vm), done, opaque};
    return order;
}

static void order_end(Order *order, const GError *error)
{
    if (order->done)
        order->done(order->opaque, error);
    g_object_unref(order->vm);
    g_free(order);
}

static void on_networks(void *opaque, const char *text, const GError *error)
{
    Order *order = opaque;
    ApiaryVmNetwork *network = apiary_vm_get_network(order->vm);
    g_autoptr(JsonNode) answer = text ? json_from_string(text, NULL) : NULL;

    g_ptr_array_set_size(network->networks, 0);
    if (answer && apiary_vm_is_on(order->vm))
        json_array_foreach_element(json_node_get_array(answer), add_network, network->networks);
    g_autofree char *shape = describe_shape(network->networks);
    bool changed = g_strcmp0(shape, network->shape) != 0;
    if (changed) {
        g_free(network->shape);
        network->shape = g_steal_pointer(&shape);
        apiary_vm_config_changed(order->vm);
    }
    order_end(order, NULL);
}

static void ask(Order *order)
{
    machine_send(apiary_vm_ensure_machine(order->vm),
                 &(MachineCommand){.type = COMMAND_QUERY, .text = {"networks"}}, on_networks,
                 order);
}

void apiary_vm_network_refresh(ApiaryVm *vm, ApiaryVmDone done, void *opaque)
{
    ask(order_new(vm, done, opaque));
}

/* --- changing it ------------------------------------------------------------------------------ */

/* Who gave the order hears of its end when what is known of the networks says so too. */
static void on_reply(void *opaque, const char *text, const GError *error)
{
    if (error)
        order_end(opaque, error);
    else
        ask(opaque);
}

static void change(ApiaryVm *vm, const MachineCommand *command, ApiaryVmDone done, void *opaque)
{
    machine_send(apiary_vm_ensure_machine(vm), command, on_reply, order_new(vm, done, opaque));
}

void apiary_vm_add_forward(ApiaryVm *vm, const char *id, const char *rule, ApiaryVmDone done,
                           void *opaque)
{
    change(vm, &(MachineCommand){.type = COMMAND_FORWARD_ADD, .text = {id, rule}}, done, opaque);
}

void apiary_vm_remove_forward(ApiaryVm *vm, const char *id, const char *rule, ApiaryVmDone done,
                              void *opaque)
{
    g_auto(GStrv) ends = g_strsplit(rule, "-", 2);

    change(vm, &(MachineCommand){.type = COMMAND_FORWARD_REMOVE, .text = {id, ends[0]}}, done,
           opaque);
}

void apiary_vm_set_link(ApiaryVm *vm, const char *id, bool up, ApiaryVmDone done, void *opaque)
{
    change(vm, &(MachineCommand){.type = COMMAND_SET_LINK, .text = {id}, .flag = up}, done, opaque);
}

void apiary_vm_start_capture(ApiaryVm *vm, const char *id, const char *path, ApiaryVmDone done,
                             void *opaque)
{
    change(vm, &(MachineCommand){.type = COMMAND_CAPTURE_START, .text = {id, path}}, done, opaque);
}

void apiary_vm_stop_capture(ApiaryVm *vm, const char *capture, ApiaryVmDone done, void *opaque)
{
    change(vm, &(MachineCommand){.type = COMMAND_OBJECT_DELETE, .text = {capture}}, done, opaque);
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
