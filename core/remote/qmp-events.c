/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What the machine tells, in QMP's words. */

#include "core/remote/qmp-call.h"

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
    qmp_set_string(json, "event", name);
    return json;
}

/* A ShutdownCause. */
static const char *reason(MachineCause cause, bool reset)
{
    switch (cause) {
    case CAUSE_GUEST_POWEROFF:
    case CAUSE_DEBUG_EXIT: return "guest-shutdown";
    case CAUSE_GUEST_RESET:
    case CAUSE_TRIPLE_FAULT: return "guest-reset";
    case CAUSE_ERROR: return "host-error";
    case CAUSE_DEBUGGER:
    case CAUSE_NONE:
    case CAUSE_USER: break;
    }
    return reset ? "host-qmp-system-reset" : "host-qmp-quit";
}

static void send_cause_event(QmpClient *client, const char *name, MachineCause cause, bool reset)
{
    g_autoptr(JsonBuilder) json = begin_event(name);

    json_builder_set_member_name(json, "data");
    json_builder_begin_object(json);
    qmp_set_bool(json, "guest", g_str_has_prefix(reason(cause, reset), "guest-"));
    qmp_set_string(json, "reason", reason(cause, reset));
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
    qmp_set_string(json, "device", event->text);
    qmp_set_string(json, "id", event->text);
    qmp_set_bool(json, "tray-open", event->flag);
    json_builder_end_object(json);
    json_builder_end_object(json);
    qmp_client_send(client, json);
}

static void send_state_event(QmpClient *client, const MachineEvent *event)
{
    bool stays = event->state == MACHINE_PAUSED && event->cause == CAUSE_GUEST_POWEROFF;

    if (event->state == MACHINE_STOPPING || stays)
        send_cause_event(client, "SHUTDOWN", event->cause, false);
    if (event->state == MACHINE_PAUSED)
        send_plain_event(client, "STOP");
    else if (event->state == MACHINE_RUNNING)
        send_plain_event(client, "RESUME");
}

static void send_vnc_event(QmpClient *client, const MachineEvent *event)
{
    g_autoptr(JsonBuilder) json = begin_event(event->text);

    json_builder_set_member_name(json, "data");
    json_builder_add_value(json, json_from_string(event->text2, NULL));
    json_builder_end_object(json);
    qmp_client_send(client, json);
}

void qmp_send_event(QmpClient *client, const MachineEvent *event)
{
    switch (event->type) {
    case EVENT_STATE: send_state_event(client, event); break;
    case EVENT_RESET: send_cause_event(client, "RESET", event->cause, true); break;
    case EVENT_POWER_BUTTON: send_plain_event(client, "POWERDOWN"); break;
    case EVENT_TRAY: send_tray_event(client, event); break;
    case EVENT_VNC: send_vnc_event(client, event); break;
    default: break;
    }
}
