/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/remote/qmp-commands.h"

#include "core/machine/keynames.h"

#include <linux/input-event-codes.h>
#include <string.h>

#define MAX_KEYS 16

/* One command on its way: replies come later from the machine. */
typedef struct {
    QmpClient *client;
    JsonNode *id; /* NULL: none given */
    JsonObject *arguments;
    bool text_is_json, text_is_string; /* what the machine's reply text becomes */
    unsigned codes[MAX_KEYS], n_codes; /* keys held by send-key */
} Call;

static void call_free(Call *call)
{
    qmp_client_unref(call->client);
    g_clear_pointer(&call->id, json_node_unref);
    g_clear_pointer(&call->arguments, json_object_unref);
    g_free(call);
}

/* --- answers
 * -------------------------------------------------------------------------------------- */

static void add_id(JsonBuilder *json, const Call *call)
{
    if (!call->id)
        return;
    json_builder_set_member_name(json, "id");
    json_builder_add_value(json, json_node_copy(call->id));
}

static void finish_with(Call *call, JsonNode *value)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    json_builder_begin_object(json);
    json_builder_set_member_name(json, "return");
    if (value) {
        json_builder_add_value(json, value);
    } else {
        json_builder_begin_object(json);
        json_builder_end_object(json);
    }
    add_id(json, call);
    json_builder_end_object(json);
    qmp_client_send(call->client, json);
    call_free(call);
}

static void finish(Call *call)
{
    finish_with(call, NULL);
}

static void finish_builder(Call *call, JsonBuilder *value)
{
    finish_with(call, json_builder_get_root(value));
}

static void fail(Call *call, const char *error_class, const char *description)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    json_builder_begin_object(json);
    json_builder_set_member_name(json, "error");
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "class");
    json_builder_add_string_value(json, error_class);
    json_builder_set_member_name(json, "desc");
    json_builder_add_string_value(json, description);
    json_builder_end_object(json);
    add_id(json, call);
    json_builder_end_object(json);
    qmp_client_send(call->client, json);
    call_free(call);
}

static void set_string(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static void set_bool(JsonBuilder *json, const char *name, bool value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_boolean_value(json, value);
}

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
    set_string(json, "package", "Apiary");
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

/* --- arguments
 * ------------------------------------------------------------------------------------ */

static const char *text_argument(const Call *call, const char *name)
{
    JsonNode *node = call->arguments && json_object_has_member(call->arguments, name)
                         ? json_object_get_member(call->arguments, name)
                         : NULL;

    return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
                                                                   : NULL;
}

static bool int_argument(const Call *call, const char *name, int64_t *value)
{
    JsonNode *node = call->arguments && json_object_has_member(call->arguments, name)
                         ? json_object_get_member(call->arguments, name)
                         : NULL;

    if (!node || json_node_get_value_type(node) != G_TYPE_INT64)
        return false;
    *value = json_node_get_int(node);
    return true;
}

static bool bool_argument(const Call *call, const char *name)
{
    return call->arguments && json_object_has_member(call->arguments, name) &&
           json_object_get_boolean_member_with_default(call->arguments, name, FALSE);
}

static void missing(Call *call, const char *name)
{
    g_autofree char *text = g_strdup_printf("Parameter '%s' is missing or of the wrong type", name);

    fail(call, "GenericError", text);
}

/* --- commands that go to the machine
 * -------------------------------------------------------------- */

static void on_reply(void *opaque, const char *text, const GError *error)
{
    Call *call = opaque;

    if (error) {
        fail(call, "GenericError", error->message);
    } else if (call->text_is_json) {
        JsonNode *value = json_from_string(text ? text : "[]", NULL);
        finish_with(call, value);
    } else if (call->text_is_string) {
        JsonNode *value = json_node_init_string(json_node_alloc(), text ? text : "");
        finish_with(call, value);
    } else {
        finish(call);
    }
}

static void send(Call *call, const MachineCommand *command)
{
    machine_send(qmp_client_machine(call->client), command, on_reply, call);
}

static void send_type(Call *call, MachineCommandType type)
{
    send(call, &(MachineCommand){.type = type});
}

static void run_stop(Call *call)
{
    send_type(call, COMMAND_PAUSE);
}

static void run_cont(Call *call)
{
    send_type(call, COMMAND_RESUME);
}

static void run_system_reset(Call *call)
{
    send_type(call, COMMAND_RESET);
}

static void run_system_powerdown(Call *call)
{
    send_type(call, COMMAND_POWER_BUTTON);
}

static void run_quit(Call *call)
{
    Machine *machine = qmp_client_machine(call->client);

    finish(call); /* before the program goes */
    machine_send(machine, &(MachineCommand){.type = COMMAND_STOP}, NULL, NULL);
}

static void run_inject_nmi(Call *call)
{
    send_type(call, COMMAND_NMI);
}

static void run_screendump(Call *call)
{
    const char *path = text_argument(call, "filename"), *format = text_argument(call, "format");

    if (!path) {
        missing(call, "filename");
        return;
    }
    send(call,
         &(MachineCommand){.type = COMMAND_SCREENSHOT, .text = {path, format ? format : "ppm"}});
}

static const char *device_argument(const Call *call)
{
    const char *device = text_argument(call, "device");

    return device ? device : text_argument(call, "id");
}

static void run_eject(Call *call)
{
    const char *device = device_argument(call);

    if (!device) {
        missing(call, "device");
        return;
    }
    send(call, &(MachineCommand){.type = COMMAND_EJECT_MEDIUM,
                                 .text = {device},
                                 .flag = bool_argument(call, "force")});
}

static void run_change_medium(Call *call)
{
    const char *device = device_argument(call), *path = text_argument(call, "filename");

    if (!device || !path) {
        missing(call, device ? "filename" : "device");
        return;
    }
    send(call, &(MachineCommand){.type = COMMAND_INSERT_MEDIUM,
                                 .text = {device, path},
                                 .flag = bool_argument(call, "force")});
}

static void save_memory(Call *call, const char *start, bool physical)
{
    int64_t address, size, cpu = 0;
    const char *path = text_argument(call, "filename");

    int_argument(call, "cpu-index", &cpu);
    if (!path || !int_argument(call, start, &address) || !int_argument(call, "size", &size)) {
        missing(call, path ? "size" : "filename");
        return;
    }
    send(call, &(MachineCommand){.type = COMMAND_MEMORY_SAVE,
                                 .text = {path},
                                 .address = address,
                                 .length = size,
                                 .cpu = cpu,
                                 .flag = physical});
}

static void run_pmemsave(Call *call)
{
    save_memory(call, "val", true);
}

static void run_memsave(Call *call)
{
    save_memory(call, "val", false);
}

/* --- networks ---------------------------------------------------------------------------------
 */

static void run_set_link(Call *call)
{
    const char *name = text_argument(call, "name");

    if (!name || !call->arguments || !json_object_has_member(call->arguments, "up")) {
        missing(call, name ? "up" : "name");
        return;
    }
    send(call, &(MachineCommand){
                   .type = COMMAND_SET_LINK, .text = {name}, .flag = bool_argument(call, "up")});
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

static void run_object_add(Call *call)
{
    const char *kind = text_argument(call, "qom-type");

    if (!kind) {
        missing(call, "qom-type");
        return;
    }
    g_autofree char *text = format_object(call->arguments, kind);
    send(call, &(MachineCommand){.type = COMMAND_OBJECT_ADD, .text = {text}});
}

static void run_object_del(Call *call)
{
    const char *id = text_argument(call, "id");

    if (id)
        send(call, &(MachineCommand){.type = COMMAND_OBJECT_DELETE, .text = {id}});
    else
        missing(call, "id");
}

static void query(Call *call, const char *what)
{
    call->text_is_json = true;
    send(call, &(MachineCommand){.type = COMMAND_QUERY, .text = {what}});
}

static void run_query_block(Call *call)
{
    query(call, "block");
}

static void run_query_blockstats(Call *call)
{
    query(call, "blockstats");
}

static void run_query_cpus(Call *call)
{
    query(call, "cpus");
}

static void run_query_networks(Call *call)
{
    query(call, "networks");
}

static void run_human_monitor(Call *call)
{
    const char *line = text_argument(call, "command-line");

    if (!line) {
        missing(call, "command-line");
        return;
    }
    call->text_is_string = true;
    send(call, &(MachineCommand){.type = COMMAND_MONITOR, .text = {line}});
}

/* --- input
 * ---------------------------------------------------------------------------------------- */

/* A QKeyCode as {"type": "qcode", "data": "a"} or {"type": "number", "data": evdev-like number}. */
static unsigned key_value(JsonObject *key)
{
    const char *type = json_object_get_string_member_with_default(key, "type", "");

    if (g_str_equal(type, "qcode"))
        return key_by_name(json_object_get_string_member_with_default(key, "data", ""));
    if (g_str_equal(type, "number"))
        return json_object_get_int_member_with_default(key, "data", 0) & 0x7f;
    return 0;
}

static void press(Machine *machine, unsigned code, bool down)
{
    machine_send(machine,
                 &(MachineCommand){.type = COMMAND_KEY, .key = {.code = code, .down = down}}, NULL,
                 NULL);
}

static gboolean release_keys(gpointer data)
{
    Call *call = data;
    Machine *machine = qmp_client_machine(call->client);

    for (unsigned i = call->n_codes; machine && i-- > 0;)
        press(machine, call->codes[i], false);
    finish(call);
    return G_SOURCE_REMOVE;
}

static JsonObject *object_at(JsonArray *array, guint index)
{
    JsonNode *node = json_array_get_element(array, index);

    return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static JsonArray *array_argument(const Call *call, const char *name)
{
    JsonNode *node = call->arguments && json_object_has_member(call->arguments, name)
                         ? json_object_get_member(call->arguments, name)
                         : NULL;

    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

static void run_send_key(Call *call)
{
    JsonArray *keys = array_argument(call, "keys");
    int64_t hold = 100;

    if (!keys) {
        missing(call, "keys");
        return;
    }
    int_argument(call, "hold-time", &hold);
    for (guint i = 0; i < json_array_get_length(keys) && call->n_codes < MAX_KEYS; i++) {
        JsonObject *key = object_at(keys, i);
        unsigned code = key ? key_value(key) : 0;
        if (!code) {
            fail(call, "GenericError", "Invalid key in 'keys'");
            return;
        }
        call->codes[call->n_codes++] = code;
    }
    for (unsigned i = 0; i < call->n_codes; i++)
        press(qmp_client_machine(call->client), call->codes[i], true);
    g_timeout_add(CLAMP(hold, 1, 60000), release_keys, call);
}

/* What the events of one input-send-event add up to. */
typedef struct {
    int x, y, dx, dy, wheel;
    bool absolute, relative, buttons_changed;
} PointerChange;

/* Buttons are a state of the machine's pointer, but QMP tells only changes. */
static void pointer_button(const char *name, bool down, unsigned *buttons, PointerChange *change)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {{"left", 1}, {"right", 2}, {"middle", 4}, {"side", 8}, {"extra", 16}};

    if (g_str_equal(name, "wheel-up"))
        change->wheel += down;
    else if (g_str_equal(name, "wheel-down"))
        change->wheel -= down;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (g_str_equal(names[i].name, name))
            *buttons = down ? *buttons | names[i].bit : *buttons & ~names[i].bit;
    change->buttons_changed = true;
}

static void input_event(Machine *machine, JsonObject *event, unsigned *buttons,
                        PointerChange *change)
{
    const char *type = json_object_get_string_member_with_default(event, "type", "");
    JsonNode *node =
        json_object_has_member(event, "data") ? json_object_get_member(event, "data") : NULL;

    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return;
    JsonObject *data = json_node_get_object(node);
    const char *axis = json_object_get_string_member_with_default(data, "axis", "");
    int value = json_object_get_int_member_with_default(data, "value", 0);

    if (g_str_equal(type, "key") && json_object_has_member(data, "key")) {
        JsonNode *key = json_object_get_member(data, "key");
        unsigned code = JSON_NODE_HOLDS_OBJECT(key) ? key_value(json_node_get_object(key)) : 0;
        if (code)
            press(machine, code, json_object_get_boolean_member_with_default(data, "down", FALSE));
    } else if (g_str_equal(type, "btn")) {
        pointer_button(json_object_get_string_member_with_default(data, "button", ""),
                       json_object_get_boolean_member_with_default(data, "down", FALSE), buttons,
                       change);
    } else if (g_str_equal(type, "abs")) {
        *(g_str_equal(axis, "x") ? &change->x : &change->y) = value;
        change->absolute = true;
    } else if (g_str_equal(type, "rel")) {
        *(g_str_equal(axis, "x") ? &change->dx : &change->dy) += value;
        change->relative = true;
    }
}

static void run_input_send_event(Call *call)
{
    JsonArray *events = array_argument(call, "events");
    Machine *machine = qmp_client_machine(call->client);
    QmpPointer *pointer = qmp_client_pointer(call->client);
    PointerChange change = {.x = pointer->x, .y = pointer->y};

    if (!events) {
        missing(call, "events");
        return;
    }
    for (guint i = 0; i < json_array_get_length(events); i++) {
        JsonObject *event = object_at(events, i);
        if (event)
            input_event(machine, event, &pointer->buttons, &change);
    }
    if (change.absolute)
        pointer->absolute = true;
    else if (change.relative)
        pointer->absolute = false;
    if (change.absolute || change.relative || change.buttons_changed) {
        pointer->x = change.x;
        pointer->y = change.y;
        MachineCommand command = {
            .type = pointer->absolute ? COMMAND_POINTER_POSITION : COMMAND_POINTER_MOTION,
            .pointer = {.x = pointer->absolute ? change.x : change.dx,
                        .y = pointer->absolute ? change.y : change.dy,
                        .wheel = change.wheel,
                        .buttons = pointer->buttons},
        };
        machine_send(machine, &command, NULL, NULL);
    }
    finish(call);
}

/* --- commands answered here
 * ----------------------------------------------------------------------- */

static void run_query_status(Call *call)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    MachineState state = machine_state(qmp_client_machine(call->client));

    json_builder_begin_object(json);
    set_string(json, "status",
               state == MACHINE_RUNNING    ? "running"
               : state == MACHINE_PAUSED   ? "paused"
               : state == MACHINE_STARTING ? "prelaunch"
                                           : "shutdown");
    set_bool(json, "singlestep", false);
    set_bool(json, "running", state == MACHINE_RUNNING);
    json_builder_end_object(json);
    finish_builder(call, json);
}

static void run_query_version(Call *call)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    set_version(json);
    finish_builder(call, json);
}

static void run_query_name(Call *call)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    json_builder_begin_object(json);
    set_string(json, "name", machine_config(qmp_client_machine(call->client))->name);
    json_builder_end_object(json);
    finish_builder(call, json);
}

static void run_query_kvm(Call *call)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    json_builder_begin_object(json);
    set_bool(json, "enabled", false);
    set_bool(json, "present", false);
    json_builder_end_object(json);
    finish_builder(call, json);
}

static void run_query_commands(Call *call);

static const struct {
    const char *name;
    void (*run)(Call *call);
} commands[] = {
    {"blockdev-change-medium", run_change_medium},
    {"cont", run_cont},
    {"eject", run_eject},
    {"human-monitor-command", run_human_monitor},
    {"inject-nmi", run_inject_nmi},
    {"input-send-event", run_input_send_event},
    {"memsave", run_memsave},
    {"object-add", run_object_add},
    {"object-del", run_object_del},
    {"pmemsave", run_pmemsave},
    {"query-block", run_query_block},
    {"query-blockstats", run_query_blockstats},
    {"query-commands", run_query_commands},
    {"query-cpus-fast", run_query_cpus},
    {"query-kvm", run_query_kvm},
    {"query-name", run_query_name},
    {"query-status", run_query_status},
    {"query-version", run_query_version},
    {"quit", run_quit},
    {"screendump", run_screendump},
    {"send-key", run_send_key},
    {"set_link", run_set_link},
    {"stop", run_stop},
    {"system_powerdown", run_system_powerdown},
    {"system_reset", run_system_reset},
    {"x-query-networks", run_query_networks}, /* QEMU has none */
};

static void run_query_commands(Call *call)
{
    g_autoptr(JsonBuilder) json = json_builder_new();

    json_builder_begin_array(json);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        json_builder_begin_object(json);
        set_string(json, "name", commands[i].name);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
    finish_builder(call, json);
}

void qmp_run_command(QmpClient *client, const char *text, bool *negotiated)
{
    Call *call = g_new0(Call, 1);
    g_autoptr(JsonNode) root = json_from_string(text, NULL);

    call->client = qmp_client_ref(client);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        fail(call, "GenericError", "Invalid JSON syntax: a QMP command is a JSON object");
        return;
    }
    JsonObject *object = json_node_get_object(root);
    if (json_object_has_member(object, "id"))
        call->id = json_node_copy(json_object_get_member(object, "id"));
    if (json_object_has_member(object, "arguments") &&
        JSON_NODE_HOLDS_OBJECT(json_object_get_member(object, "arguments")))
        call->arguments = json_object_ref(json_object_get_object_member(object, "arguments"));
    JsonNode *execute = json_object_get_member(object, "execute");
    if (!execute || json_node_get_value_type(execute) != G_TYPE_STRING) {
        fail(call, "GenericError", "QMP input lacks member 'execute'");
        return;
    }
    const char *name = json_node_get_string(execute);
    if (g_str_equal(name, "qmp_capabilities")) {
        *negotiated = true;
        finish(call);
        return;
    }
    if (!*negotiated) {
        fail(call, "CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (g_str_equal(commands[i].name, name)) {
            commands[i].run(call);
            return;
        }
    }
    g_autofree char *message = g_strdup_printf("The command %s has not been found", name);
    fail(call, "CommandNotFound", message);
}

/* --- events
 * ----------------------------------------------------------------------------------------- */

static JsonBuilder *begin_event(const char *name)
{
    JsonBuilder *json = json_builder_new();
    int64_t now = g_get_real_time();

    json_builder_begin_object(json);
    json_builder_set_member_name(json, "timestamp");
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "seconds");
    json_builder_add_int_value(json, now / G_USEC_PER_SEC);
    json_builder_set_member_name(json, "microseconds");
    json_builder_add_int_value(json, now % G_USEC_PER_SEC);
    json_builder_end_object(json);
    set_string(json, "event", name);
    return json;
}

static void send_cause_event(QmpClient *client, const char *name, MachineCause cause)
{
    g_autoptr(JsonBuilder) json = begin_event(name);
    bool guest =
        cause == CAUSE_GUEST_POWEROFF || cause == CAUSE_GUEST_RESET || cause == CAUSE_TRIPLE_FAULT;

    json_builder_set_member_name(json, "data");
    json_builder_begin_object(json);
    set_bool(json, "guest", guest);
    set_string(json, "reason",
               cause == CAUSE_GUEST_POWEROFF ? "guest-shutdown"
               : guest                       ? "guest-reset"
                                             : "host-qmp-quit");
    json_builder_end_object(json);
    json_builder_end_object(json);
    qmp_client_send(client, json);
}

static void send_plain_event(QmpClient *client, const char *name)
{
    g_autoptr(JsonBuilder) json = begin_event(name);

    json_builder_end_object(json);
    qmp_client_send(client, json);
}

static void send_tray_event(QmpClient *client, const MachineEvent *event)
{
    g_autoptr(JsonBuilder) json = begin_event("DEVICE_TRAY_MOVED");

    json_builder_set_member_name(json, "data");
    json_builder_begin_object(json);
    set_string(json, "device", event->text);
    set_string(json, "id", event->text);
    set_bool(json, "tray-open", event->flag);
    json_builder_end_object(json);
    json_builder_end_object(json);
    qmp_client_send(client, json);
}

void qmp_send_event(QmpClient *client, const MachineEvent *event)
{
    switch (event->type) {
    case EVENT_STATE:
        if (event->state == MACHINE_STOPPING ||
            (event->state == MACHINE_PAUSED && event->cause == CAUSE_GUEST_POWEROFF))
            send_cause_event(client, "SHUTDOWN", event->cause);
        else if (event->state == MACHINE_PAUSED)
            send_plain_event(client, "STOP");
        else if (event->state == MACHINE_RUNNING)
            send_plain_event(client, "RESUME");
        break;
    case EVENT_RESET: send_cause_event(client, "RESET", event->cause); break;
    case EVENT_TRAY: send_tray_event(client, event); break;
    default: break;
    }
}
