/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/remote/qmp-call.h"

#include <string.h>

QmpCall *qmp_call_new(QmpClient *client)
{
    QmpCall *call = g_new0(QmpCall, 1);

    call->client = qmp_client_begin_call(client);
    return call;
}

static void call_free(QmpCall *call)
{
    qmp_client_end_call(call->client);
    g_clear_pointer(&call->id, json_node_unref);
    g_clear_pointer(&call->arguments, json_object_unref);
    g_free(call);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void add_id(JsonBuilder *json, const QmpCall *call)
{
    if (!call->id)
        return;
    json_builder_set_member_name(json, "id");
    json_builder_add_value(json, json_node_copy(call->id));
}

void qmp_finish_with(QmpCall *call, JsonNode *value)
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

void qmp_finish(QmpCall *call)
{
    qmp_finish_with(call, NULL);
}

void qmp_finish_builder(QmpCall *call, JsonBuilder *value)
{
    qmp_finish_with(call, json_builder_get_root(value));
}

void qmp_fail(QmpCall *call, const char *error_class, const char *format, ...)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *description = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "error");
    json_builder_begin_object(json);
    qmp_set_string(json, "class", error_class);
    qmp_set_string(json, "desc", description);
    json_builder_end_object(json);
    add_id(json, call);
    json_builder_end_object(json);
    qmp_client_send(call->client, json);
    call_free(call);
}

/* --- parameters ------------------------------------------------------------------------------- */

static const char *type_name(char type)
{
    switch (type) {
    case 's': return "string";
    case 'i': return "integer";
    case 'b': return "boolean";
    default: return "array";
    }
}

static bool has_type(JsonNode *node, char type)
{
    switch (type) {
    case 's': return json_node_get_value_type(node) == G_TYPE_STRING;
    case 'i': return json_node_get_value_type(node) == G_TYPE_INT64;
    case 'b': return json_node_get_value_type(node) == G_TYPE_BOOLEAN;
    default: return JSON_NODE_HOLDS_ARRAY(node);
    }
}

static JsonNode *member(JsonObject *object, const char *name)
{
    return object && json_object_has_member(object, name) ? json_object_get_member(object, name)
                                                          : NULL;
}

bool qmp_check_parameters(QmpCall *call, const char *parameters)
{
    g_auto(GStrv) known = g_strsplit(parameters, " ", -1);

    for (char **parameter = known; *parameter && **parameter; parameter++) {
        if (g_str_equal(*parameter, "..."))
            return true;
        char *type = strchr(*parameter, ':');
        *type++ = '\0';
        JsonNode *node = member(call->arguments, *parameter);
        if (!node && type[1] != '?') {
            qmp_fail(call, "GenericError", "Parameter '%s' is missing", *parameter);
            return false;
        }
        if (node && !has_type(node, *type)) {
            qmp_fail(call, "GenericError", "Invalid parameter type for '%s', expected: %s",
                     *parameter, type_name(*type));
            return false;
        }
    }
    g_autoptr(GList) given = call->arguments ? json_object_get_members(call->arguments) : NULL;
    for (GList *l = given; l; l = l->next) {
        if (g_strv_contains((const char *const *)known, l->data))
            continue;
        qmp_fail(call, "GenericError", "Parameter '%s' is unexpected", (const char *)l->data);
        return false;
    }
    return true;
}

const char *qmp_text(const QmpCall *call, const char *name)
{
    return qmp_member_text(call->arguments, name);
}

int64_t qmp_int(const QmpCall *call, const char *name, int64_t otherwise)
{
    return member(call->arguments, name) ? qmp_member_int(call->arguments, name) : otherwise;
}

bool qmp_bool(const QmpCall *call, const char *name)
{
    return qmp_member_bool(call->arguments, name);
}

JsonArray *qmp_array(const QmpCall *call, const char *name)
{
    JsonNode *node = member(call->arguments, name);

    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

const char *qmp_member_text(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    return node && has_type(node, 's') ? json_node_get_string(node) : NULL;
}

int64_t qmp_member_int(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    return node && has_type(node, 'i') ? json_node_get_int(node) : 0;
}

bool qmp_member_bool(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    return node && has_type(node, 'b') && json_node_get_boolean(node);
}

JsonObject *qmp_member_object(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}
