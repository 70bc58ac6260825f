/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/remote/qmp-call.h"

#include <gio/gio.h>
#include <string.h>

/* JSON nested deeper than this is refused (the parser is recursive); QEMU has the same bound. */
#define MAX_NESTING 1024

static void set_version(JsonBuilder *json)
{
    static const char *const parts[] = {"major", "minor", "micro"};
    static const int numbers[] = {7, 2, 0}; /* the QEMU whose protocol this is */

    json_builder_begin_object(json);
    json_builder_set_member_name(json, "qemu");
    json_builder_begin_object(json);
    for (int i = 0; i < 3; i++) {
        json_builder_set_member_name(json, parts[i]);
        json_builder_add_int_value(json, numbers[i]);
    }
    json_builder_end_object(json);
    qmp_set_string(json, "package", "Apiary");
    json_builder_end_object(json);
}

void qmp_send_greeting(QmpClient *client)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    json_builder_begin_object(json);
    json_builder_set_member_name(json, "QMP");
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "version");
    set_version(json);
    json_builder_set_member_name(json, "capabilities");
    json_builder_begin_array(json);
    json_builder_end_array(json);
    json_builder_end_object(json);
    json_builder_end_object(json);
    qmp_client_send(client, json);
}

/* --- commands that go to the machine -----------------------------------------------------------
 */

static void on_reply(void *opaque, const char *text, const GError *error)
{
    QmpCall *call = opaque;

    if (error) {
        bool no_device =
            call->names_device && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
        qmp_fail(call, no_device ? "DeviceNotFound" : "GenericError", "%s", error->message);
    } else if (call->text_is_json) {
        qmp_finish_with(call, json_from_string(text ? text : "[]", NULL));
    } else if (call->text_is_string) {
        qmp_finish_with(call, json_node_init_string(json_node_alloc(), text ? text : ""));
    } else {
        qmp_finish(call);
    }
}

static void send(QmpCall *call, const MachineCommand *command)
{
    machine_send(qmp_client_machine(call->client), command, on_reply, call);
}

static void send_type(QmpCall *call, MachineCommandType type)
{
    send(call, &(MachineCommand){.type = type});
}

static void run_stop(QmpCall *call)
{
    send_type(call, COMMAND_PAUSE);
}

static void run_cont(QmpCall *call)
{
    send_type(call, COMMAND_RESUME);
}

static void run_system_reset(QmpCall *call)
{
    send_type(call, COMMAND_RESET);
}

static void run_system_powerdown(QmpCall *call)
{
    send_type(call, COMMAND_POWER_BUTTON);
}

static void run_quit(QmpCall *call)
{
    Machine *machine = qmp_client_machine(call->client);

    qmp_finish(call); /* before the program goes */
    machine_send(machine, &(MachineCommand){.type = COMMAND_STOP}, NULL, NULL);
}

static void run_inject_nmi(QmpCall *call)
{
    send_type(call, COMMAND_NMI);
}

static void run_screendump(QmpCall *call)
{
    const char *format = qmp_text(call, "format");

    if (format && !g_str_equal(format, "ppm") && !g_str_equal(format, "png")) {
        qmp_fail(call, "GenericError", "Parameter 'format' does not accept value '%s'", format);
        return;
    }
    send(call, &(MachineCommand){.type = COMMAND_SCREENSHOT,
                                 .text = {qmp_text(call, "filename"), format ? format : "ppm"}});
}

/* "device" and "id" are two names of one thing. NULL: CALL has been answered. */
static const char *device_argument(QmpCall *call)
{
    const char *device = qmp_text(call, "device"), *id = qmp_text(call, "id");

    call->names_device = true;
    if (!device == !id) {
        qmp_fail(call, "GenericError", "Need exactly one of 'device' and 'id'");
        return NULL;
    }
    return device ? device : id;
}

static void run_eject(QmpCall *call)
{
    const char *device = device_argument(call);

    if (device)
        send(call, &(MachineCommand){.type = COMMAND_EJECT_MEDIUM,
                                     .text = {device},
                                     .flag = qmp_bool(call, "force")});
}

static void run_change_medium(QmpCall *call)
{
    const char *device = device_argument(call);

    if (device)
        send(call, &(MachineCommand){.type = COMMAND_INSERT_MEDIUM,
                                     .text = {device, qmp_text(call, "filename")},
                                     .flag = qmp_bool(call, "force")});
}

static void save_memory(QmpCall *call, bool physical)
{
    int64_t address = qmp_int(call, "val", 0), size = qmp_int(call, "size", 0);
    int64_t cpu = qmp_int(call, "cpu-index", 0);

    if (address < 0 || size < 0 || cpu < 0 || cpu > UINT8_MAX) {
        qmp_fail(call, "GenericError", "Parameter '%s' is out of range",
                 address < 0 ? "val"
                 : size < 0  ? "size"
                             : "cpu-index");
        return;
    }
    send(call, &(MachineCommand){.type = COMMAND_MEMORY_SAVE,
                                 .text = {qmp_text(call, "filename")},
                                 .address = address,
                                 .length = size,
                                 .cpu = cpu,
                                 .flag = physical});
}

static void run_pmemsave(QmpCall *call)
{
    save_memory(call, true);
}

static void run_memsave(QmpCall *call)
{
    save_memory(call, false);
}

/* --- networks ---------------------------------------------------------------------------------
 */

static void run_set_link(QmpCall *call)
{
    send(call, &(MachineCommand){.type = COMMAND_SET_LINK,
                                 .text = {qmp_text(call, "name")},
                                 .flag = qmp_bool(call, "up")});
}

/* The members of an object as -object writes them; numbers and switches as text. */
static char *format_object(JsonObject *object, const char *kind)
{
    GString *text = g_string_new(kind);
    g_autoptr(GList) names = json_object_get_members(object);

    for (GList *l = names; l; l = l->next) {
        const char *name = l->data;
        JsonNode *node = json_object_get_member(object, name);
        g_autofree char *value = NULL;
        if (g_str_equal(name, "qom-type"))
            continue;
        if (json_node_get_value_type(node) == G_TYPE_STRING)
            value = json_node_dup_string(node);
        else if (json_node_get_value_type(node) == G_TYPE_BOOLEAN)
            value = g_strdup(json_node_get_boolean(node) ? "on" : "off");
        else
            value = json_to_string(node, FALSE);
        g_auto(GStrv) pieces = g_strsplit(value, ",", -1);
        g_autofree char *escaped = g_strjoinv(",,", pieces);
        g_string_append_printf(text, ",%s=%s", name, escaped);
    }
    return g_string_free(text, FALSE);
}

static void run_object_add(QmpCall *call)
{
    g_autofree char *text = format_object(call->arguments, qmp_text(call, "qom-type"));

    send(call, &(MachineCommand){.type = COMMAND_OBJECT_ADD, .text = {text}});
}

static void run_object_del(QmpCall *call)
{
    send(call, &(MachineCommand){.type = COMMAND_OBJECT_DELETE, .text = {qmp_text(call, "id")}});
}

static void query(QmpCall *call, const char *what)
{
    call->text_is_json = true;
    send(call, &(MachineCommand){.type = COMMAND_QUERY, .text = {what}});
}

static void run_query_block(QmpCall *call)
{
    query(call, "block");
}

static void run_query_blockstats(QmpCall *call)
{
    query(call, "blockstats");
}

static void run_query_cpus(QmpCall *call)
{
    query(call, "cpus");
}

static void run_query_networks(QmpCall *call)
{
    query(call, "networks");
}

static void run_query_vnc(QmpCall *call)
{
    query(call, "vnc");
}

/* The commands are for SPICE too in QEMU. */
static bool is_for_vnc(QmpCall *call)
{
    if (g_str_equal(qmp_text(call, "protocol"), "vnc"))
        return true;
    qmp_fail(call, "GenericError", "Parameter 'protocol' can only be 'vnc'");
    return false;
}

static void set_vnc_password(QmpCall *call)
{
    send(call,
         &(MachineCommand){.type = COMMAND_VNC_PASSWORD, .text = {qmp_text(call, "password")}});
}

static void run_set_password(QmpCall *call)
{
    const char *connected = qmp_text(call, "connected");

    if (!is_for_vnc(call))
        return;
    if (connected && !g_str_equal(connected, "keep"))
        qmp_fail(call, "GenericError",
                 "Clients that are connected stay: 'connected' can only be 'keep'");
    else
        set_vnc_password(call);
}

static void run_expire_password(QmpCall *call)
{
    if (is_for_vnc(call))
        send(call, &(MachineCommand){.type = COMMAND_VNC_EXPIRE, .text = {qmp_text(call, "time")}});
}

static void run_human_monitor(QmpCall *call)
{
    call->text_is_string = true;
    send(call,
         &(MachineCommand){.type = COMMAND_MONITOR, .text = {qmp_text(call, "command-line")}});
}

/* --- commands answered here
 * ----------------------------------------------------------------------- */

static void run_query_status(QmpCall *call)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    const char *status = machine_status_text(qmp_client_machine(call->client));

    json_builder_begin_object(json);
    qmp_set_string(json, "status", status);
    qmp_set_bool(json, "singlestep", false);
    qmp_set_bool(json, "running", g_str_equal(status, "running"));
    json_builder_end_object(json);
    qmp_finish_builder(call, json);
}

static void run_query_version(QmpCall *call)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    set_version(json);
    qmp_finish_builder(call, json);
}

static void run_query_name(QmpCall *call)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    json_builder_begin_object(json);
    qmp_set_string(json, "name", machine_config(qmp_client_machine(call->client))->name);
    json_builder_end_object(json);
    qmp_finish_builder(call, json);
}

static void run_query_kvm(QmpCall *call)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    json_builder_begin_object(json);
    qmp_set_bool(json, "enabled", false);
    qmp_set_bool(json, "present", false);
    json_builder_end_object(json);
    qmp_finish_builder(call, json);
}

static void run_query_commands(QmpCall *call);

static const QmpCommand commands[] = {
    {"blockdev-change-medium", run_change_medium, "device:s? id:s? filename:s force:b?"},
    {"change-vnc-password", set_vnc_password, "password:s"},
    {"cont", run_cont, ""},
    {"eject", run_eject, "device:s? id:s? force:b?"},
    {"expire_password", run_expire_password, "protocol:s time:s display:s?"},
    {"human-monitor-command", run_human_monitor, "command-line:s"},
    {"inject-nmi", run_inject_nmi, ""},
    {"input-send-event", qmp_run_input_send_event, "events:a"},
    {"memsave", run_memsave, "val:i size:i filename:s cpu-index:i?"},
    {"object-add", run_object_add, "qom-type:s id:s ..."},
    {"object-del", run_object_del, "id:s"},
    {"pmemsave", run_pmemsave, "val:i size:i filename:s"},
    {"query-block", run_query_block, ""},
    {"query-blockstats", run_query_blockstats, ""},
    {"query-commands", run_query_commands, ""},
    {"query-cpus-fast", run_query_cpus, ""},
    {"query-kvm", run_query_kvm, ""},
    {"query-name", run_query_name, ""},
    {"query-status", run_query_status, ""},
    {"query-version", run_query_version, ""},
    {"query-vnc", run_query_vnc, ""},
    {"quit", run_quit, ""},
    {"screendump", run_screendump, "filename:s format:s?"},
    {"send-key", qmp_run_send_key, "keys:a hold-time:i?"},
    {"set_password", run_set_password, "protocol:s password:s connected:s? display:s?"},
    {"set_link", run_set_link, "name:s up:b"},
    {"stop", run_stop, ""},
    {"system_powerdown", run_system_powerdown, ""},
    {"system_reset", run_system_reset, ""},
    {"x-query-networks", run_query_networks, ""}, /* QEMU has none */
};

static void run_query_commands(QmpCall *call)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    json_builder_begin_array(json);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        json_builder_begin_object(json);
        qmp_set_string(json, "name", commands[i].name);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
    qmp_finish_builder(call, json);
}

/* --- from text to a command --------------------------------------------------------------------
 */

static bool nests_too_deep(const char *text)
{
    int depth = 0;
    char quote = 0;

    for (const char *c = text; *c; c++) {
        if (quote && *c == '\\' && c[1])
            c++;
        else if (quote)
            quote = *c == quote ? 0 : quote;
        else if (*c == '"' || *c == '\'')
            quote = *c;
        else if (*c == '{' || *c == '[')
            depth++;
        else if (*c == '}' || *c == ']')
            depth--;
        if (depth > MAX_NESTING)
            return true;
    }
    return false;
}

/* Takes the members of OBJECT. False: CALL has been answered. */
static bool take_members(QmpCall *call, JsonObject *object, const char **name)
{
    g_autoptr(GList) members = json_object_get_members(object);

    if (json_object_has_member(object, "id"))
        call->id = json_node_copy(json_object_get_member(object, "id"));
    for (GList *l = members; l; l = l->next) {
        JsonNode *node = json_object_get_member(object, l->data);
        if (g_str_equal(l->data, "execute")) {
            if (json_node_get_value_type(node) != G_TYPE_STRING) {
                qmp_fail(call, "GenericError", "QMP input member 'execute' must be a string");
                return false;
            }
            *name = json_node_get_string(node);
        } else if (g_str_equal(l->data, "arguments")) {
            if (!JSON_NODE_HOLDS_OBJECT(node)) {
                qmp_fail(call, "GenericError", "QMP input member 'arguments' must be an object");
                return false;
            }
            call->arguments = json_object_ref(json_node_get_object(node));
        } else if (!g_str_equal(l->data, "id")) {
            qmp_fail(call, "GenericError", "QMP input member '%s' is unexpected",
                     (const char *)l->data);
            return false;
        }
    }
    if (!*name)
        qmp_fail(call, "GenericError", "QMP input lacks member 'execute'");
    return *name;
}

/* qmp_capabilities, and the order that it comes in. True: there is nothing more to do. */
static bool negotiate(QmpCall *call, const char *name, bool *negotiated)
{
    bool asks = g_str_equal(name, "qmp_capabilities");

    if (asks && *negotiated) {
        qmp_fail(call, "CommandNotFound",
                 "Capabilities negotiation is already complete, command ignored");
    } else if (asks && qmp_check_parameters(call, "enable:a?")) {
        JsonArray *enable = qmp_array(call, "enable");
        if (enable && json_array_get_length(enable)) {
            qmp_fail(call, "GenericError", "No capability is offered here");
            return true;
        }
        *negotiated = true;
        qmp_finish(call);
    } else if (!asks && !*negotiated) {
        qmp_fail(call, "CommandNotFound",
                 "Expecting capabilities negotiation with 'qmp_capabilities'");
    }
    return asks || !*negotiated;
}

void qmp_run_command(QmpClient *client, const char *text, bool *negotiated)
{
    QmpCall *call = qmp_call_new(client);
    const char *name = NULL;

    if (nests_too_deep(text)) {
        qmp_fail(call, "GenericError", "JSON nesting depth limit exceeded");
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) root = json_from_string(text, &error);
    if (error) {
        qmp_fail(call, "GenericError", "JSON parse error, %s", error->message);
        return;
    }
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        qmp_fail(call, "GenericError", "QMP input must be a JSON object");
        return;
    }
    if (!take_members(call, json_node_get_object(root), &name) || negotiate(call, name, negotiated))
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (!g_str_equal(commands[i].name, name))
            continue;
        if (qmp_check_parameters(call, commands[i].parameters))
            commands[i].run(call);
        return;
    }
    qmp_fail(call, "CommandNotFound", "The command %s has not been found", name);
}
