/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/config/options.h"

#include <string.h>

static const OptionInfo table[] = {
    {"name", OPTION_STRING, NULL, 0, 0, NULL, "a string"},
    {"on", OPTION_BOOL, "off", 0, 0, NULL, "a switch"},
    {"count", OPTION_UINT, "7", 1, 100, NULL, "a number"},
    {"any", OPTION_UINT, NULL, 0, 0, NULL, "any number"},
    {"size", OPTION_SIZE, "1M", 512, 1ull << 40, NULL, "bytes"},
    {"kind", OPTION_ENUM, "red", 0, 0, "red|green", "one of"},
    {"mac", OPTION_MAC, NULL, 0, 0, NULL, "an address"},
    {"item", OPTION_LIST, NULL, 0, 0, NULL, "several"},
    {NULL},
};

static void test_defaults(void)
{
    OptionValues *values = option_values_new(table);

    g_assert_null(option_string(values, "name"));
    g_assert_false(option_bool(values, "on"));
    g_assert_cmpuint(option_uint(values, "count"), ==, 7);
    g_assert_cmpuint(option_uint(values, "any"), ==, 0);
    g_assert_cmpuint(option_uint(values, "size"), ==, 1 << 20);
    g_assert_cmpstr(option_string(values, "kind"), ==, "red");
    g_assert_null(option_list(values, "item")[0]);
    g_assert_false(option_is_set(values, "count"));
    g_assert_null(option_string(values, "nothing"));
    g_assert_cmpuint(option_uint(values, "nothing"), ==, 0);
    g_autofree char *text = option_values_format(values);
    g_assert_cmpstr(text, ==, "");
    option_values_free(values);
    option_values_free(NULL);
}

/* QEMU's syntax, and back. */
static void test_parse(void)
{
    OptionValues *values = option_values_new(table);
    GError *error = NULL;

    g_assert_true(option_values_parse(
        values, "a,,b,on,count=0x10,size=2K,kind=green,mac=52:54:00:ab:CD:ef,item=x,item=y,,z",
        "name", &error));
    g_assert_no_error(error);
    g_assert_cmpstr(option_string(values, "name"), ==, "a,b");
    g_assert_true(option_bool(values, "on"));
    g_assert_cmpuint(option_uint(values, "count"), ==, 16);
    g_assert_cmpuint(option_uint(values, "size"), ==, 2048);
    g_assert_cmpstr(option_list(values, "item")[0], ==, "x");
    g_assert_cmpstr(option_list(values, "item")[1], ==, "y,z");
    g_assert_null(option_list(values, "item")[2]);

    g_autofree char *text = option_values_format(values);
    OptionValues *again = option_values_new(table), *copy = option_values_copy(values);
    g_assert_true(option_values_parse(again, text, NULL, &error));
    g_autofree char *text_again = option_values_format(again);
    g_autofree char *text_copy = option_values_format(copy);
    g_assert_cmpstr(text_again, ==, text);
    g_assert_cmpstr(text_copy, ==, text);

    g_assert_true(option_values_set(values, "name", "", &error)); /* empty is a value */
    g_assert_cmpstr(option_string(values, "name"), ==, "");
    g_assert_true(option_is_set(values, "name"));
    option_values_unset(values, "name");
    option_values_unset(values, "item");
    option_values_unset(values, "nothing");
    g_assert_false(option_is_set(values, "name"));
    g_assert_false(option_is_set(values, "item"));
    g_assert_true(option_values_parse(values, "", NULL, &error));
    option_values_free(copy);
    option_values_free(again);
    option_values_free(values);
}

static void test_wrong(void)
{
    static const struct {
        const char *text, *named;
    } wrong[] = {
        {"nope=1", "\"nope\""},
        {"nope=1", "count"}, /* what there is */
        {"nope", "\"nope\""},
        {"=x", "\"\""},
        {"count=0", "from 1 to 100"},
        {"count=101", "from 1 to 100"},
        {"count=", "count="},
        {"count=-1", "count=-1"},
        {"count= -1", "count= -1"},
        {"count=5x", "count=5x"},
        {"count=99999999999999999999999", "count=99999999999999999999999"},
        {"any=99999999999999999999999", "any=99999999999999999999999"},
        {"size=1", "size=1"},
        {"size=2T", "size=2T"},
        {"size=1Q", "1Q"},
        {"size=nan", "nan"},
        {"size=inf", "inf"},
        {"size=-5K", "-5K"},
        {"size=1e300", "1e300"},
        {"on=perhaps", "on=perhaps"},
        {"kind=blue", "red|green"},
        {"kind", "kind=on"},
        {"mac=52:54:00:12:34", "mac=52:54:00:12:34"},
        {"mac=52:54:00:12:34:5g", "mac="},
        {"mac=52540012345678901", "mac="},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        OptionValues *values = option_values_new(table);
        GError *error = NULL;
        if (option_values_parse(values, wrong[i].text, NULL, &error))
            g_error("\"%s\" was accepted", wrong[i].text);
        g_assert_error(error, OPTION_ERROR, 0);
        if (!strstr(error->message, wrong[i].named))
            g_error("\"%s\" does not name %s", error->message, wrong[i].named);
        g_clear_error(&error);
        option_values_free(values);
    }
}

static void test_sizes(void)
{
    static const struct {
        const char *text;
        int shift;
        uint64_t bytes;
    } sizes[] = {
        {"0", 0, 0},
        {"512", 0, 512},
        {"128", 20, 128ull << 20},
        {"2G", 20, 2ull << 30},
        {"2g", 0, 2ull << 30},
        {"1.5G", 0, 3ull << 29},
        {"64K", 20, 64 << 10},
        {"7B", 20, 7},
        {"1T", 0, 1ull << 40},
        {"3P", 0, 3ull << 50},
    };
    static const char *const wrong[] = {"",    "G",   " 1",  "1 G",   "1GB", "-1",    "+1",
                                        "1K1", "nan", "inf", "1e400", "9E",  "9999P", "1,5G"};
    uint64_t bytes;

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        GError *error = NULL;
        g_assert_true(option_parse_size(sizes[i].text, sizes[i].shift, &bytes, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(bytes, ==, sizes[i].bytes);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        if (option_parse_size(wrong[i], 20, &bytes, &error))
            g_error("\"%s\" was accepted as %" G_GUINT64_FORMAT, wrong[i], bytes);
        g_assert_error(error, OPTION_ERROR, 0);
    }
}

/* Every device's table: names once each, defaults that its own check accepts, help for all. */
static void test_device_tables(void)
{
    for (const DeviceClass *const *c = device_classes; *c; c++) {
        g_assert_true((*c)->title && *(*c)->title);
        g_assert_true(device_class_find((*c)->name) == *c);
        g_assert_true(!c[1] || strcmp((*c)->name, c[1]->name) < 0);
        for (const OptionInfo *option = (*c)->options; option->name; option++) {
            OptionValues *values = option_values_new((*c)->options);
            GError *error = NULL;
            g_assert_true(option->help && *option->help);
            if (option->default_value)
                option_values_set(values, option->name, option->default_value, &error);
            g_assert_no_error(error);
            for (const OptionInfo *other = (*c)->options; other < option; other++)
                g_assert_cmpstr(other->name, !=, option->name);
            option_values_free(values);
        }
    }
    g_assert_null(device_class_find("nothing"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/defaults", test_defaults);
    g_test_add_func("/options/parse", test_parse);
    g_test_add_func("/options/wrong", test_wrong);
    g_test_add_func("/options/sizes", test_sizes);
    g_test_add_func("/options/device-tables", test_device_tables);
    return g_test_run();
}
