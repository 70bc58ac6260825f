/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Option tables (OptionInfo, core/device.h) and the values a person gave for them. QEMU's syntax:
 * "key=value,key=value" with ",," for a literal comma; a bare key is key=on.
 */

#include "core/device.h"

#define OPTION_ERROR (option_error_quark())
GQuark option_error_quark(void);

OptionValues *option_values_new(const OptionInfo *table);
OptionValues *option_values_copy(const OptionValues *values);
void option_values_free(OptionValues *values);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OptionValues, option_values_free)
/* Parses TEXT. FIRST_KEY names a leading value without a key ("e1000,..." for driver), or NULL.
 * Unknown keys and bad values are errors that name the key, the value, what is allowed. */
bool option_values_parse(OptionValues *values, const char *text, const char *first_key,
                         GError **error);
bool option_values_set(OptionValues *values, const char *key, const char *value, GError **error);
void option_values_unset(OptionValues *values, const char *key); /* back to the default */
/* The next "key=value" of *TEXT, with ",," made a comma. Advances *TEXT; NULL at the end. */
char *option_next_part(const char **text);
bool option_is_set(const OptionValues *values, const char *key);        /* given, not default */
const char *option_string(const OptionValues *values, const char *key); /* NULL when absent */
bool option_bool(const OptionValues *values, const char *key);
uint64_t option_uint(const OptionValues *values, const char *key);
const char *const *option_list(const OptionValues *values, const char *key); /* NULL-terminated */
char *option_values_format(const OptionValues *values); /* "key=value,..." of what is set */
/* Size with suffix K M G T (1024s), default unit DEFAULT_SHIFT (20 for -m). */
bool option_parse_size(const char *text, int default_shift, uint64_t *bytes, GError **error);

/* Fails with a sentence, translated, in the domain of option errors. Always false. */
bool option_refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The table of all device classes, sorted by name; ends with NULL. (core/config/devices.c) */
extern const DeviceClass *const device_classes[];
const DeviceClass *device_class_find(const char *name);
