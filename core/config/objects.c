/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/config/objects.h"

#include "core/config/network.h"
#include "core/net/capture.h"

#include <glib/gi18n.h>
#include <string.h>

static const struct {
    const char *kind;
    const OptionInfo *options;
    const char *const *required; /* what has no default; ends with NULL */
} kinds[] = {
    {CAPTURE_KIND, capture_options, (const char *const[]){"id", "netdev", "file", NULL}},
};

static size_t find_kind(const char *kind, GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (g_str_equal(kinds[i].kind, kind))
            return i;
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", kinds[i].kind);
    }
    option_refuse(error, "there is no object of kind \"%s\"; known are: %s.", kind, known->str);
    return G_N_ELEMENTS(kinds);
}

const OptionInfo *object_options(const char *kind, GError **error)
{
    size_t i = find_kind(kind, error);

    return i < G_N_ELEMENTS(kinds) ? kinds[i].options : NULL;
}

static bool has_required(size_t kind, const OptionValues *values, GError **error)
{
    for (const char *const *key = kinds[kind].required; *key; key++) {
        const char *value = option_string(values, *key);
        if (!value || !*value)
            return option_refuse(error, "needs %s=.", *key);
    }
    return true;
}

static ObjectConfig *new_object(size_t kind, OptionValues *values)
{
    ObjectConfig *object = g_new0(ObjectConfig, 1);

    object->type = g_strdup(kinds[kind].kind);
    object->id = g_strdup(option_string(values, "id"));
    object->values = values;
    return object;
}

ObjectConfig *object_config_new_capture(const char *netdev, const char *file)
{
    OptionValues *values = option_values_new(capture_options);
    g_autofree char *id = g_strconcat(netdev, "-capture", NULL);

    option_values_set(values, "id", id, NULL);
    option_values_set(values, "netdev", netdev, NULL);
    option_values_set(values, "file", file, NULL);
    return new_object(find_kind(CAPTURE_KIND, NULL), values);
}

ObjectConfig *object_config_parse(const char *text, GError **error)
{
    const char *comma = strchr(text, ',');
    g_autofree char *kind = comma ? g_strndup(text, comma - text) : g_strdup(text);
    size_t i = find_kind(kind, error);

    if (i == G_N_ELEMENTS(kinds))
        return NULL;
    OptionValues *values = option_values_new(kinds[i].options);
    if (option_values_parse(values, comma ? comma + 1 : "", NULL, error) &&
        has_required(i, values, error))
        return new_object(i, values);
    option_values_free(values);
    return NULL;
}

bool objects_add(MachineConfig *config, const char *value, GError **error)
{
    ObjectConfig *object = object_config_parse(value, error);

    if (object)
        g_ptr_array_add(config->objects, object);
    return object;
}

bool objects_validate(const MachineConfig *config, GError **error)
{
    for (guint i = 0; i < config->objects->len; i++) {
        const ObjectConfig *object = config->objects->pdata[i];
        const char *netdev = option_string(object->values, "netdev");
        for (guint k = 0; k < i; k++)
            if (g_str_equal(((ObjectConfig *)config->objects->pdata[k])->id, object->id))
                return option_refuse(error, "Two objects are called \"%s\".", object->id);
        if (!has_required(find_kind(object->type, NULL), object->values, error)) {
            g_prefix_error(error, _("Object %s: "), object->id);
            return false;
        }
        if (!netdev || !config_find_netdev(config, netdev))
            return option_refuse(error, "Object %s: netdev=%s: there is no -netdev of that id.",
                                 object->id, netdev ? netdev : "");
    }
    return true;
}
