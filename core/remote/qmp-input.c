/* SPDX-License-Identifier: GPL-3.0-or-later */

/* send-key and input-send-event. Everything is checked before the first event goes. */

#include "core/machine/keynames.h"
#include "core/remote/qmp-call.h"

#define MAX_COORDINATE 32767
#define MAX_HOLD_MS    60000
#define HOLD_MS        100

/* A KeyValue: {"type": "qcode", "data": "a"} or {"type": "number", "data": set 1 code with E0h as
 * bit 7}. Returns the evdev code; answers CALL and returns 0 if it is none. */
static unsigned key_value(QmpCall *call, JsonObject *key)
{
    const char *type = qmp_member_text(key, "type"), *name = qmp_member_text(key, "data");
    unsigned code = 0;

    if (!type) {
        qmp_fail(call, "GenericError", "Parameter 'type' of a key is missing or no string");
        return 0;
    }
    if (g_str_equal(type, "qcode")) {
        code = name ? key_by_name(name) : 0;
        if (!code)
            qmp_fail(call, "GenericError", "Parameter 'data' does not accept value '%s'",
                     name ? name : "");
    } else if (g_str_equal(type, "number")) {
        int64_t number = qmp_member_int(key, "data");
        code = key_by_number(number);
        if (!code)
            qmp_fail(call, "GenericError", "There is no key with number %" G_GINT64_FORMAT, number);
    } else {
        qmp_fail(call, "GenericError", "Parameter 'type' does not accept value '%s'", type);
    }
    return code;
}

static JsonObject *object_at(JsonArray *array, guint index)
{
    JsonNode *node = json_array_get_element(array, index);

    return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static void press(Machine *machine, unsigned code, bool down)
{
    machine_send(machine,
                 &(MachineCommand){.type = COMMAND_KEY, .key = {.code = code, .down = down}}, NULL,
                 NULL);
}

/* --- send-key --------------------------------------------------------------------------------- */

static gboolean release_keys(gpointer data)
{
    QmpCall *call = data;
    Machine *machine = qmp_client_machine(call->client);

    for (unsigned i = call->n_codes; machine && i-- > 0;)
        press(machine, call->codes[i], false);
    qmp_finish(call);
    return G_SOURCE_REMOVE;
}

void qmp_run_send_key(QmpCall *call)
{
    JsonArray *keys = qmp_array(call, "keys");
    guint n = json_array_get_length(keys);

    if (n > QMP_MAX_KEYS) {
        qmp_fail(call, "GenericError", "At most %d keys can be pressed at once", QMP_MAX_KEYS);
        return;
    }
    for (guint i = 0; i < n; i++) {
        unsigned code = key_value(call, object_at(keys, i));
        if (!code)
            return;
        call->codes[call->n_codes++] = code;
    }
    for (unsigned i = 0; i < call->n_codes; i++)
        press(qmp_client_machine(call->client), call->codes[i], true);
    /* The answer comes with the release, so that the next command finds the keys up. */
    g_autoptr(GSource) timeout =
        g_timeout_source_new(CLAMP(qmp_int(call, "hold-time", HOLD_MS), 1, MAX_HOLD_MS));
    g_source_set_callback(timeout, release_keys, call, NULL);
    g_source_attach(timeout, g_main_context_get_thread_default());
}

/* --- input-send-event ------------------------------------------------------------------------- */

/* What the events of one command add up to. */
typedef struct {
    struct {
        unsigned code;
        bool down;
    } * keys;
    unsigned n_keys;
    int x, y, dx, dy, wheel;
    unsigned buttons;
    bool absolute, relative, buttons_changed;
} InputChange;

/* Buttons are a state of the machine's pointer, but QMP tells only changes. */
static bool add_button(const char *name, bool down, InputChange *change)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {{"left", 1}, {"right", 2}, {"middle", 4}, {"side", 8}, {"extra", 16}};

    change->buttons_changed = true;
    if (g_str_equal(name, "wheel-up") || g_str_equal(name, "wheel-down")) {
        change->wheel += !down ? 0 : g_str_equal(name, "wheel-up") ? 1 : -1;
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!g_str_equal(names[i].name, name))
            continue;
        change->buttons = down ? change->buttons | names[i].bit : change->buttons & ~names[i].bit;
        return true;
    }
    return false;
}

static bool add_movement(const char *type, JsonObject *data, InputChange *change)
{
    const char *axis = qmp_member_text(data, "axis");
    int64_t value = qmp_member_int(data, "value");
    bool x = g_strcmp0(axis, "x") == 0;

    if (!x && g_strcmp0(axis, "y") != 0)
        return false;
    if (g_str_equal(type, "abs")) {
        *(x ? &change->x : &change->y) = CLAMP(value, 0, MAX_COORDINATE);
        change->absolute = true;
    } else {
        int *sum = x ? &change->dx : &change->dy;
        *sum = CLAMP(*sum + CLAMP(value, -MAX_COORDINATE, MAX_COORDINATE), -MAX_COORDINATE,
                     MAX_COORDINATE);
        change->relative = true;
    }
    return true;
}

/* False: CALL has been answered with what is wrong with EVENT. */
static bool add_event(QmpCall *call, JsonObject *event, InputChange *change)
{
    const char *type = qmp_member_text(event, "type");
    JsonObject *data = qmp_member_object(event, "data");

    if (!type || !data) {
        qmp_fail(call, "GenericError", "Parameter '%s' of an event is missing or of another type",
                 type ? "data" : "type");
        return false;
    }
    if (g_str_equal(type, "key")) {
        unsigned code = key_value(call, qmp_member_object(data, "key"));
        if (!code)
            return false;
        change->keys[change->n_keys].code = code;
        change->keys[change->n_keys++].down = qmp_member_bool(data, "down");
        return true;
    }
    if (g_str_equal(type, "btn")) {
        const char *button = qmp_member_text(data, "button");
        if (button && add_button(button, qmp_member_bool(data, "down"), change))
            return true;
        qmp_fail(call, "GenericError", "Parameter 'button' does not accept value '%s'",
                 button ? button : "");
        return false;
    }
    if (g_str_equal(type, "abs") || g_str_equal(type, "rel")) {
        if (add_movement(type, data, change))
            return true;
        qmp_fail(call, "GenericError", "Parameter 'axis' must be x or y");
        return false;
    }
    qmp_fail(call, "GenericError", "Parameter 'type' does not accept value '%s'", type);
    return false;
}

static void send_pointer(Machine *machine, QmpPointer *pointer, const InputChange *change)
{
    if (change->absolute)
        pointer->absolute = true;
    else if (change->relative)
        pointer->absolute = false;
    pointer->x = change->x;
    pointer->y = change->y;
    pointer->buttons = change->buttons;
    MachineCommand command = {
        .type = pointer->absolute ? COMMAND_POINTER_POSITION : COMMAND_POINTER_MOTION,
        .pointer = {.x = pointer->absolute ? change->x : change->dx,
                    .y = pointer->absolute ? change->y : change->dy,
                    .wheel = change->wheel,
                    .buttons = change->buttons},
    };
    machine_send(machine, &command, NULL, NULL);
}

void qmp_run_input_send_event(QmpCall *call)
{
    JsonArray *events = qmp_array(call, "events");
    guint n = json_array_get_length(events);
    Machine *machine = qmp_client_machine(call->client);
    QmpPointer *pointer = qmp_client_pointer(call->client);
    InputChange change = {.x = pointer->x, .y = pointer->y, .buttons = pointer->buttons};
    bool good = true;

    change.keys = g_malloc0_n(n + 1, sizeof(*change.keys));
    for (guint i = 0; i < n && good; i++)
        good = add_event(call, object_at(events, i), &change);
    for (unsigned i = 0; good && i < change.n_keys; i++)
        press(machine, change.keys[i].code, change.keys[i].down);
    if (good && (change.absolute || change.relative || change.buttons_changed))
        send_pointer(machine, pointer, &change);
    g_free(change.keys);
    if (good)
        qmp_finish(call);
}
