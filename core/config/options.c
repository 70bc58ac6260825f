/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/config/options.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

G_DEFINE_QUARK(apiary - option - error, option_error)

bool option_refuse(GError **error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *message = g_strdup_vprintf(_(format), arguments);
    va_end(arguments);
    g_set_error_literal(error, option_error_quark(), 0, message);
    return false;
}

struct OptionValues {
    const OptionInfo *table;
    char **values; /* one an option, NULL: not given */
    GStrv *lists;  /* of OPTION_LIST options */
    size_t count;
};

static size_t table_length(const OptionInfo *table)
{
    size_t n = 0;

    while (table && table[n].name)
        n++;
    return n;
}

OptionValues *option_values_new(const OptionInfo *table)
{
    OptionValues *values = g_new0(OptionValues, 1);

    values->table = table;
    values->count = table_length(table);
    values->values = g_new0(char *, values->count + 1);
    values->lists = g_new0(GStrv, values->count + 1);
    return values;
}

void option_values_free(OptionValues *values)
{
    if (!values)
        return;
    for (size_t i = 0; i < values->count; i++) {
        g_free(values->values[i]);
        g_strfreev(values->lists[i]);
    }
    g_free(values->values);
    g_free(values->lists);
    g_free(values);
}

OptionValues *option_values_copy(const OptionValues *from)
{
    OptionValues *to = option_values_new(from->table);

    for (size_t i = 0; i < from->count; i++) {
        to->values[i] = g_strdup(from->values[i]);
        to->lists[i] = g_strdupv(from->lists[i]);
    }
    return to;
}

static ssize_t find(const OptionValues *values, const char *key)
{
    for (size_t i = 0; i < values->count; i++)
        if (g_str_equal(values->table[i].name, key))
            return i;
    return -1;
}

bool option_parse_size(const char *text, int default_shift, uint64_t *bytes, GError **error)
{
    char *end;
    double number = g_ascii_strtod(text, &end);
    int shift = default_shift;

    switch (g_ascii_toupper(*end)) {
    case 'B': shift = 0; break;
    case 'K': shift = 10; break;
    case 'M': shift = 20; break;
    case 'G': shift = 30; break;
    case 'T': shift = 40; break;
    case 'P': shift = 50; break;
    case '\0': end--; break;
    default: shift = -1; break;
    }
    /* Not "nan", "inf" or anything that leaves 63 bits. */
    if (end < text || shift < 0 || end[1] || !g_ascii_isdigit(*text) || !(number >= 0) ||
        number * (double)(1ull << shift) >= 9.2e18) {
        g_set_error(error, option_error_quark(), 0,
                    _("\"%s\" is not a size; write a number with K, M, G or T, like 2G."), text);
        return false;
    }
    *bytes = (uint64_t)(number * (double)(1ull << shift));
    return true;
}

static bool parse_bool(const char *text, bool *value)
{
    static const char *const yes[] = {"on", "yes", "true", "1", NULL};
    static const char *const no[] = {"off", "no", "false", "0", NULL};

    *value = g_strv_contains(yes, text);
    return *value || g_strv_contains(no, text);
}

static bool check_number(const OptionInfo *info, const char *text, GError **error)
{
    uint64_t number;

    if (info->type == OPTION_SIZE) {
        if (!option_parse_size(text, 0, &number, error))
            return false;
    } else {
        char *end;
        errno = 0;
        number = g_ascii_strtoull(text, &end, 0);
        if (errno || *end || !g_ascii_isdigit(*text)) {
            g_set_error(error, option_error_quark(), 0, _("%s=%s: not a number."), info->name,
                        text);
            return false;
        }
    }
    if (number < info->min || (info->max && number > info->max)) {
        g_set_error(error, option_error_quark(), 0,
                    _("%s=%s: must be from %" PRIu64 " to %" PRIu64 "."), info->name, text,
                    info->min, info->max);
        return false;
    }
    return true;
}

static bool check_mac(const OptionInfo *info, const char *text, GError **error)
{
    bool good = strlen(text) == 17;

    for (int i = 0; good && i < 17; i++)
        good = i % 3 == 2 ? text[i] == ':' || text[i] == '-' : g_ascii_isxdigit(text[i]);
    if (!good)
        g_set_error(error, option_error_quark(), 0,
                    _("%s=%s: not a MAC address; write six bytes like 52:54:00:12:34:56."),
                    info->name, text);
    return good;
}

static bool check(const OptionInfo *info, const char *text, GError **error)
{
    bool value;

    switch (info->type) {
    case OPTION_UINT:
    case OPTION_SIZE: return check_number(info, text, error);
    case OPTION_MAC: return check_mac(info, text, error);
    case OPTION_BOOL:
        if (parse_bool(text, &value))
            return true;
        g_set_error(error, option_error_quark(), 0, _("%s=%s: must be on or off."), info->name,
                    text);
        return false;
    case OPTION_ENUM: {
        g_auto(GStrv) choices = g_strsplit(info->choices, "|", -1);
        if (g_strv_contains((const char *const *)choices, text))
            return true;
        g_set_error(error, option_error_quark(), 0, _("%s=%s: must be one of %s."), info->name,
                    text, info->choices);
        return false;
    }
    case OPTION_STRING:
    case OPTION_LIST:
    case OPTION_REF: break;
    }
    return true;
}

static void append(GStrv *list, const char *value)
{
    guint n = *list ? g_strv_length(*list) : 0;

    *list = g_renew(char *, *list, n + 2);
    (*list)[n] = g_strdup(value);
    (*list)[n + 1] = NULL;
}

bool option_values_set(OptionValues *values, const char *key, const char *value, GError **error)
{
    ssize_t i = find(values, key);

    if (i < 0) {
        g_autoptr(GString) known = g_string_new(NULL);
        for (size_t k = 0; k < values->count; k++)
            g_string_append_printf(known, "%s%s", k ? ", " : "", values->table[k].name);
        g_set_error(error, option_error_quark(), 0,
                    _("There is no option \"%s\" here; known are: %s."), key,
                    known->len ? known->str : _("none"));
        return false;
    }
    if (!check(&values->table[i], value, error))
        return false;
    if (values->table[i].type == OPTION_LIST) {
        append(&values->lists[i], value);
        return true;
    }
    g_free(values->values[i]);
    values->values[i] = g_strdup(value);
    return true;
}

void option_values_unset(OptionValues *values, const char *key)
{
    ssize_t i = find(values, key);

    if (i < 0)
        return;
    g_clear_pointer(&values->values[i], g_free);
    g_clear_pointer(&values->lists[i], g_strfreev);
}

char *option_next_part(const char **text)
{
    g_autoptr(GString) part = g_string_new(NULL);
    const char *c = *text;

    if (!*c)
        return NULL;
    for (; *c; c++) {
        if (*c == ',' && c[1] != ',')
            break;
        if (*c == ',')
            c++;
        g_string_append_c(part, *c);
    }
    *text = *c ? c + 1 : c;
    return g_string_free(g_steal_pointer(&part), FALSE);
}

bool option_values_parse(OptionValues *values, const char *text, const char *first_key,
                         GError **error)
{
    bool first = true;

    for (;;) {
        g_autofree char *part = option_next_part(&text);
        if (!part)
            return true;
        char *equals = strchr(part, '=');
        bool done;
        if (equals) {
            *equals = '\0';
            done = option_values_set(values, part, equals + 1, error);
        } else if (first && first_key) {
            done = option_values_set(values, first_key, part, error);
        } else {
            done = option_values_set(values, part, "on", error);
        }
        if (!done)
            return false;
        first = false;
    }
}

bool option_is_set(const OptionValues *values, const char *key)
{
    ssize_t i = find(values, key);

    return i >= 0 && (values->values[i] || values->lists[i]);
}

const char *option_string(const OptionValues *values, const char *key)
{
    ssize_t i = find(values, key);

    if (i < 0)
        return NULL;
    return values->values[i] ? values->values[i] : values->table[i].default_value;
}

bool option_bool(const OptionValues *values, const char *key)
{
    const char *text = option_string(values, key);
    bool value = false;

    return text && parse_bool(text, &value) && value;
}

uint64_t option_uint(const OptionValues *values, const char *key)
{
    const char *text = option_string(values, key);
    ssize_t i = find(values, key);
    uint64_t number = 0;

    if (!text)
        return 0;
    if (values->table[i].type == OPTION_SIZE)
        option_parse_size(text, 0, &number, NULL);
    else
        number = g_ascii_strtoull(text, NULL, 0);
    return number;
}

const char *const *option_list(const OptionValues *values, const char *key)
{
    static const char *const empty[] = {NULL};
    ssize_t i = find(values, key);

    return i >= 0 && values->lists[i] ? (const char *const *)values->lists[i] : empty;
}

static void format(GString *out, const char *name, const char *value)
{
    g_auto(GStrv) pieces = g_strsplit(value, ",", -1);
    g_autofree char *escaped = g_strjoinv(",,", pieces);

    g_string_append_printf(out, "%s%s=%s", out->len ? "," : "", name, escaped);
}

char *option_values_format(const OptionValues *values)
{
    GString *out = g_string_new(NULL);

    for (size_t i = 0; i < values->count; i++) {
        if (values->values[i])
            format(out, values->table[i].name, values->values[i]);
        for (char **item = values->lists[i]; item && *item; item++)
            format(out, values->table[i].name, *item);
    }
    return g_string_free(out, FALSE);
}
