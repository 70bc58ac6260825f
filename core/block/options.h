/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* QEMU's "name=value,name=value" lists and sizes. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Name to value, both owned; NULL TEXT gives an empty table. "name" alone means "name=on". */
GHashTable *block_options_parse(const char *text, GError **error);
/* Removes NAME and returns its value (to free), or NULL. */
char *block_options_take(GHashTable *options, const char *name);
/* Leave VALUE alone where there is no NAME. */
bool block_options_take_bool(GHashTable *options, const char *name, bool *value, GError **error);
bool block_options_take_size(GHashTable *options, const char *name, uint64_t *value,
                             GError **error);
/* True if none are left; otherwise one is refused by name, as unknown to images of FORMAT. */
bool block_options_refuse_rest(GHashTable *options, const char *format, GError **error);
/* "512", "1.5G", "64k": powers of 1024. */
bool block_parse_size(const char *text, uint64_t *size);
