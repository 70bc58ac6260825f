/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Captures as files: read back byte for byte here and, where they are installed, by tcpdump and
 * tshark. */

#include "core/config/config.h"
#include "core/net/capture.h"
#include "core/net/slirp.h"
#include "tests/core/net/lan-fixture.h"

static bool start(Lan *lan, const char *text, GError **error)
{
    OptionValues *values = option_values_new(capture_options);
    bool started =
        option_values_parse(values, text, NULL, error) && capture_start(lan->net, values, error);

    option_values_free(values);
    return started;
}

/* An ARP request for the router; libslirp answers at once. */
static void ask_for_router(Lan *lan)
{
    uint8_t frame[60] = {0};

    memset(frame, 0xff, 6);
    memcpy(frame + 6, lan_address, 6);
    memcpy(frame + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
    memcpy(frame + 22, lan_address, 6);
    memcpy(frame + 28, "\x0a\x00\x02\x0f", 4);
    memcpy(frame + 38, "\x0a\x00\x02\x02", 4);
    net_backend_send(lan->net, frame, sizeof frame);
}

static uint32_t word(const char *data, size_t at)
{
    uint32_t value;

    memcpy(&value, data + at, 4);
    return value;
}

/* What a program says about the file; NULL when it is not installed. */
static char *run_tool(const char *tool, const char *file, const char *flag)
{
    g_autofree char *path = g_find_program_in_path(tool);
    const char *const command[] = {path, "-n", flag, "-r", file, NULL};
    char *out = NULL;
    int status = -1;

    if (!path)
        return NULL;
    g_assert_true(g_spawn_sync(NULL, (char **)command, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                               &out, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    return out;
}

static void test_file(void)
{
    static const struct {
        const char *queue;
        unsigned frames;
    } cases[] = {{"", 2}, {",queue=rx", 1}, {",queue=tx", 1}, {",maxlen=20", 2}};
    static const char *const tools[][2] = {{"tcpdump", "-e"}, {"tshark", "-V"}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Lan lan;
        g_autofree char *data = NULL;
        gsize size;
        CaptureInfo info;
        lan_init(&lan, &slirp_backend_class, "");
        g_autofree char *path = g_build_filename(lan.storage.directory, "a,b.pcap", NULL);
        g_autofree char *text = g_strdup_printf("id=c0,netdev=net0,file=%s/a,,b.pcap%s",
                                                lan.storage.directory, cases[i].queue);
        g_assert_true(start(&lan, text, NULL));
        ask_for_router(&lan);
        g_assert_cmpuint(lan.got->len, ==, 1);
        g_assert_true(capture_describe(lan.net->taps, &info));
        g_assert_cmpstr(info.file, ==, path);
        g_assert_cmpuint(info.frames, ==, cases[i].frames);
        g_assert_true(net_backend_remove_tap(lan.net, "c0"));
        g_assert_false(net_backend_remove_tap(lan.net, "c0"));
        ask_for_router(&lan); /* after the end */

        g_assert_true(g_file_get_contents(path, &data, &size, NULL));
        g_assert_cmphex(word(data, 0), ==, 0xa1b2c3d4);
        g_assert_cmphex(word(data, 4), ==, 4 << 16 | 2);
        g_assert_cmpuint(word(data, 20), ==, 1);
        size_t at = 24;
        for (unsigned k = 0; k < cases[i].frames; k++) {
            uint32_t stored = word(data, at + 8), length = word(data, at + 12);
            g_assert_cmpuint(stored, ==, MIN(length, word(data, 16)));
            g_assert_cmpuint(length, >=, 42);
            g_assert_cmpint(ABS((gint64)word(data, at) - g_get_real_time() / G_USEC_PER_SEC), <=,
                            5);
            g_assert_cmpuint(word(data, at + 4), <, G_USEC_PER_SEC);
            at += 16 + stored;
        }
        g_assert_cmpuint(at, ==, size);
        for (size_t k = 0; i == 0 && k < G_N_ELEMENTS(tools); k++) {
            g_autofree char *said = run_tool(tools[k][0], path, tools[k][1]);
            if (!said) {
                g_test_message("%s is not installed", tools[k][0]);
                continue;
            }
            g_assert_nonnull(strstr(said, "10.0.2.2"));
            g_assert_nonnull(strcasestr(said, "52:55:0a:00:02:02"));
        }
        lan_destroy(&lan);
    }
}

/* What was seen is in the file soon, without the capture's end. */
static void test_written_soon(void)
{
    Lan lan;
    GStatBuf info;
    gint64 end = g_get_monotonic_time() + 5 * G_TIME_SPAN_SECOND;

    lan_init(&lan, &slirp_backend_class, "");
    g_autofree char *path = g_build_filename(lan.storage.directory, "live.pcap", NULL);
    g_autofree char *text = g_strdup_printf("id=c0,netdev=net0,file=%s", path);
    g_assert_true(start(&lan, text, NULL));
    ask_for_router(&lan);
    do {
        g_main_context_iteration(lan.storage.board.context, FALSE);
        g_assert_cmpint(g_stat(path, &info), ==, 0);
        g_usleep(1000);
    } while (info.st_size <= 24 && g_get_monotonic_time() < end);
    g_assert_cmpint(info.st_size, >, 24 + 2 * (16 + 42));
    lan_destroy(&lan); /* ends it */
}

static void test_errors(void)
{
    Lan lan;
    GError *error = NULL;

    lan_init(&lan, &slirp_backend_class, "");
    g_assert_false(start(&lan, "id=c0,netdev=net0,file=/absent/x.pcap", &error));
    g_assert_nonnull(strstr(error->message, "/absent/x.pcap"));
    g_clear_error(&error);
    /* A full disk ends the capture with one message. */
    if (g_file_test("/dev/full", G_FILE_TEST_EXISTS)) {
        g_assert_false(start(&lan, "id=c0,netdev=net0,file=/dev/full", &error));
        g_assert_nonnull(strstr(error->message, "/dev/full"));
        g_clear_error(&error);
    }
    lan_destroy(&lan);
}

static MachineConfig *parse(const char *line, GError **error)
{
    g_auto(GStrv) words = NULL;
    MachineConfig *config = config_new();
    int count = 0;

    g_shell_parse_argv(line, &count, &words, NULL);
    if (config_parse_arguments(config, count, words, error) && config_validate(config, error))
        return config;
    config_free(config);
    return NULL;
}

static void test_flag(void)
{
    static const struct {
        const char *line, *word;
    } bad[] = {
        {"-object filter-mirror,id=a", "filter-mirror"},
        {"-object filter-dump,netdev=nic0,file=/tmp/x", "id="},
        {"-object filter-dump,id=a,file=/tmp/x", "netdev="},
        {"-object filter-dump,id=a,netdev=nic0", "file="},
        {"-object filter-dump,id=a,netdev=nic7,file=/tmp/x", "nic7"},
        {"-object filter-dump,id=a,netdev=nic0,file=/tmp/x,maxlen=0", "maxlen"},
        {"-object filter-dump,id=a,netdev=nic0,file=x -object filter-dump,id=a,netdev=nic0,file=y",
         "\"a\""},
    };
    g_autofree char *folder = g_dir_make_tmp("apiary-capture-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "machine", NULL);
    GError *error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *line = g_strconcat("-nic user ", bad[i].line, NULL);
        g_assert_null(parse(line, &error));
        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error->message, bad[i].word));
        g_clear_error(&error);
    }
    g_autoptr(MachineConfig) config =
        parse("-nic user -object filter-dump,id=c,netdev=nic0,file=/tmp/a,,b,maxlen=96", &error);
    g_assert_no_error(error);
    g_autofree char *line = config_to_command_line(config);
    g_assert_nonnull(strstr(line, " -object filter-dump,"));
    g_autoptr(MachineConfig) again = parse(line + strlen("apiary run "), &error);
    g_assert_no_error(error);
    g_assert_true(config_save(again, path, &error));
    g_autoptr(MachineConfig) loaded = config_load(path, &error);
    g_assert_no_error(error);
    g_autoptr(MachineConfig) copy = config_copy(loaded);
    g_assert_cmpuint(copy->objects->len, ==, 1);
    const ObjectConfig *object = copy->objects->pdata[0];
    g_assert_cmpstr(object->id, ==, "c");
    g_assert_cmpstr(option_string(object->values, "file"), ==, "/tmp/a,b");
    g_assert_cmpuint(option_uint(object->values, "maxlen"), ==, 96);
    g_assert_true(config_validate(copy, NULL));
    g_remove(path);
    g_rmdir(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/capture/file", test_file);
    g_test_add_func("/capture/written-soon", test_written_soon);
    g_test_add_func("/capture/errors", test_errors);
    g_test_add_func("/capture/flag", test_flag);
    return g_test_run();
}
