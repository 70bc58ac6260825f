/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* One QMP command on its way. It ends with exactly one of the qmp_finish and qmp_fail functions,
 * which answer the client and free it; replies of the machine may come much later. */

#include "core/remote/qmp-commands.h"

#define QMP_MAX_KEYS 16

typedef struct {
    QmpClient *client;
    JsonNode *id; /* NULL: none given */
    JsonObject *arguments;
    bool text_is_json, text_is_string;     /* what the machine's reply text becomes */
    bool names_device;                     /* "not found" is QEMU's DeviceNotFound */
    unsigned codes[QMP_MAX_KEYS], n_codes; /* keys held by send-key */
} QmpCall;

typedef struct {
    const char *name;
    void (*run)(QmpCall *call);
    /* What it takes: "filename:s format:s?", with s for a string, i for an integer, b for a
     * boolean, a for an array, and a question mark behind what may be left out. "..." at the end
     * lets others pass. */
    const char *parameters;
} QmpCommand;

QmpCall *qmp_call_new(QmpClient *client);
/* VALUE is taken; NULL answers with an empty object. */
void qmp_finish_with(QmpCall *call, JsonNode *value);
void qmp_finish(QmpCall *call);
void qmp_finish_builder(QmpCall *call, JsonBuilder *value);
void qmp_fail(QmpCall *call, const char *error_class, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Checks the call's arguments as QEMU does. False: it has been answered with the error. */
bool qmp_check_parameters(QmpCall *call, const char *parameters);
/* Arguments that qmp_check_parameters() has let through. NULL, the default or false if absent. */
const char *qmp_text(const QmpCall *call, const char *name);
int64_t qmp_int(const QmpCall *call, const char *name, int64_t otherwise);
bool qmp_bool(const QmpCall *call, const char *name);
JsonArray *qmp_array(const QmpCall *call, const char *name);

/* Members of objects inside an argument; NULL, 0 or false if absent or of another type. */
const char *qmp_member_text(JsonObject *object, const char *name);
int64_t qmp_member_int(JsonObject *object, const char *name);
bool qmp_member_bool(JsonObject *object, const char *name);
JsonObject *qmp_member_object(JsonObject *object, const char *name);

/* qmp-input.c */
void qmp_run_send_key(QmpCall *call);
void qmp_run_input_send_event(QmpCall *call);

static inline void qmp_set_string(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static inline void qmp_set_bool(JsonBuilder *json, const char *name, bool value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_boolean_value(json, value);
}
