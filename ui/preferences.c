/* SPDX-License-Identifier: GPL-3.0-or-later */

#define G_SETTINGS_ENABLE_BACKEND

#include "ui/preferences.h"

#include "ui/paths.h"

#include <gio/gsettingsbackend.h>

static GSettings *make_preferences(void)
{
    g_autofree char *folder = apiary_paths_schema_dir();
    g_autoptr(GSettingsSchemaSource) source = NULL;
    g_autoptr(GSettingsSchema) schema = NULL;
    g_autoptr(GSettingsBackend) backend = g_settings_backend_get_default();

    if (folder)
        source = g_settings_schema_source_new_from_directory(
            folder, g_settings_schema_source_get_default(), FALSE, NULL);
    if (!source && g_settings_schema_source_get_default())
        source = g_settings_schema_source_ref(g_settings_schema_source_get_default());
    if (source)
        schema = g_settings_schema_source_lookup(source, APIARY_APP_ID, TRUE);
    if (!schema)
        g_error("The settings schema %s is not installed.", APIARY_APP_ID);

    /* Without dconf GIO falls back to memory, and would forget everything at the end. */
    if (g_str_equal(G_OBJECT_TYPE_NAME(backend), "GMemorySettingsBackend") &&
        g_strcmp0(g_getenv("GSETTINGS_BACKEND"), "memory") != 0) {
        g_autofree char *file =
            g_build_filename(g_get_user_config_dir(), "apiary", "settings.ini", NULL);
        g_set_object(&backend, NULL);
        backend = g_keyfile_settings_backend_new(file, "/", NULL);
    }
    return g_settings_new_full(schema, backend, NULL);
}

GSettings *apiary_preferences(void)
{
    static GSettings *preferences;

    if (!preferences)
        preferences = make_preferences();
    return preferences;
}
