/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The control socket as its clients use it, well-behaved and not. Shapes and error classes are
 * those that qemu-system-x86_64 7.2 sends for the same lines (QEMU's docs/interop/qmp-spec). The
 * machine is paused, so that what is read stays. */

#include "core/remote/qmp.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

typedef struct {
    char *folder, *path;
    Machine *machine;
    QmpServer *server;
} Fixture;

typedef struct {
    GSocket *socket;
    GString *received; /* not yet a line that was taken */
    bool ended;
} Client;

static void on_started(void *opaque, const char *text, const GError *error)
{
    g_assert_no_error(error);
    *(bool *)opaque = true;
}

static void run_until(const bool *flag)
{
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

    while (!*flag && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(200);
    g_assert_true(*flag);
}

static void fixture_init_with(Fixture *f, QmpProtocol protocol)
{
    g_autoptr(MachineConfig) config = config_new();
    GError *error = NULL;
    bool started = false;

    f->folder = g_dir_make_tmp("apiary-qmp-XXXXXX", NULL);
    f->path = g_build_filename(f->folder, "qmp", NULL);
    g_autofree char *spec = g_strdup_printf("unix:%s,server=on,wait=off", f->path);
    config->ram_bytes = 32 << 20;
    config->start_paused = true;
    config_add_drive(config, DRIVE_IDE_CD, 1, 0, NULL);
    config_add_drive(config, DRIVE_FLOPPY, 0, 0, NULL);
    f->machine = machine_new(config);
    machine_send(f->machine, &(MachineCommand){.type = COMMAND_START}, on_started, &started);
    run_until(&started);
    f->server = qmp_server_new(f->machine, spec, protocol, &error);
    g_assert_no_error(error);
}

static void fixture_init(Fixture *f)
{
    fixture_init_with(f, QMP_PROTOCOL_JSON);
}

static void fixture_destroy(Fixture *f)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->folder);

    qmp_server_free(f->server);
    machine_free(f->machine);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(system(command), ==, 0);
    g_free(f->path);
    g_free(f->folder);
}

static char *file_in(Fixture *f, const char *name)
{
    return g_build_filename(f->folder, name, NULL);
}

/* --- a client --------------------------------------------------------------------------------- */

static Client *client_new(Fixture *f)
{
    Client *client = g_new0(Client, 1);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(f->path);
    GError *error = NULL;

    client->socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, 0, &error);
    g_assert_no_error(error);
    g_assert_true(g_socket_connect(client->socket, address, NULL, &error));
    g_socket_set_blocking(client->socket, FALSE);
    client->received = g_string_new(NULL);
    return client;
}

static void client_free(Client *client)
{
    g_object_unref(client->socket);
    g_string_free(client->received, TRUE);
    g_free(client);
}

/* Sends all of it while the server runs; false when the server has cut the connection. */
static bool client_send_bytes(Client *client, const char *bytes, size_t length)
{
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

    for (size_t sent = 0; sent < length;) {
        g_autoptr(GError) error = NULL;
        gssize n = g_socket_send(client->socket, bytes + sent, length - sent, NULL, &error);
        if (n > 0)
            sent += n;
        else if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
            return false;
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(20);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    return true;
}

static bool client_send(Client *client, const char *text)
{
    return client_send_bytes(client, text, strlen(text));
}

static void client_receive(Client *client)
{
    char bytes[4096];
    gssize n;

    while ((n = g_socket_receive(client->socket, bytes, sizeof(bytes), NULL, NULL)) > 0)
        g_string_append_len(client->received, bytes, n);
    client->ended = client->ended || n == 0;
}

/* The next line; NULL when the connection has ended. */
static char *client_line(Client *client)
{
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
    char *newline;

    while (!(newline = strchr(client->received->str, '\n'))) {
        if (client->ended)
            return NULL;
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(200);
        client_receive(client);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    char *line = g_strndup(client->received->str, newline - client->received->str);
    g_string_erase(client->received, 0, newline + 1 - client->received->str);
    return g_strchomp(line);
}

/* The next answer, with events passed over. Unref with json_object_unref. */
static JsonObject *client_answer(Client *client)
{
    for (;;) {
        g_autofree char *line = client_line(client);
        g_assert_nonnull(line);
        g_autoptr(JsonNode) node = json_from_string(line, NULL);
        g_assert_true(node && JSON_NODE_HOLDS_OBJECT(node));
        JsonObject *object = json_node_get_object(node);
        if (!json_object_has_member(object, "event"))
            return json_object_ref(object);
    }
}

static char *text_of(JsonNode *node)
{
    return json_to_string(node, FALSE);
}

/* What LINE is answered with: "return" as JSON, or "Class: description". */
static char *ask(Client *client, const char *line)
{
    g_autofree char *with_newline = g_strconcat(line, "\n", NULL);

    g_assert_true(client_send(client, with_newline));
    g_autoptr(JsonObject) answer = client_answer(client);
    if (json_object_has_member(answer, "return")) {
        g_assert_false(json_object_has_member(answer, "error"));
        return text_of(json_object_get_member(answer, "return"));
    }
    JsonObject *error = json_object_get_object_member(answer, "error");
    return g_strdup_printf("%s: %s", json_object_get_string_member(error, "class"),
                           json_object_get_string_member(error, "desc"));
}

#define assert_answer(client, line, expected)                                                      \
    do {                                                                                           \
        g_autofree char *answer_ = ask(client, line);                                              \
        g_assert_cmpstr(answer_, ==, expected);                                                    \
    } while (0)

#define assert_begins(client, line, expected)                                                      \
    do {                                                                                           \
        g_autofree char *answer_ = ask(client, line);                                              \
        if (!g_str_has_prefix(answer_, expected))                                                  \
            g_error("%s: \"%s\" does not begin with \"%s\"", line, answer_, expected);             \
    } while (0)

/* A client that has agreed on the capabilities. */
static Client *negotiated_client(Fixture *f)
{
    Client *client = client_new(f);
    g_autofree char *greeting = client_line(client);

    g_assert_true(g_str_has_prefix(greeting, "{\"QMP\":"));
    assert_answer(client, "{\"execute\":\"qmp_capabilities\"}", "{}");
    return client;
}

/* What a monitor line prints. */
static char *monitor(Client *client, const char *command)
{
    g_autofree char *line = g_strdup_printf(
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"%s\"}}\n",
        command);

    g_assert_true(client_send(client, line));
    g_autoptr(JsonObject) answer = client_answer(client);
    return g_strdup(json_object_get_string_member(answer, "return"));
}

/* --- the protocol ----------------------------------------------------------------------------- */

static void test_greeting(void)
{
    Fixture f;

    fixture_init(&f);
    Client *client = client_new(&f);
    g_autoptr(JsonObject) greeting = client_answer(client);
    JsonObject *qmp = json_object_get_object_member(greeting, "QMP");
    JsonObject *version = json_object_get_object_member(qmp, "version");
    JsonObject *numbers = json_object_get_object_member(version, "qemu");
    g_assert_cmpint(json_object_get_int_member(numbers, "major"), ==, 7);
    g_assert_true(json_object_has_member(numbers, "minor"));
    g_assert_true(json_object_has_member(numbers, "micro"));
    g_assert_cmpstr(json_object_get_string_member(version, "package"), ==, "Apiary");
    g_assert_nonnull(json_object_get_array_member(qmp, "capabilities"));
    assert_answer(client, "{\"execute\":\"query-status\"}",
                  "CommandNotFound: Expecting capabilities negotiation with 'qmp_capabilities'");
    assert_begins(client, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}",
                  "GenericError: ");
    assert_answer(client, "{\"execute\":\"qmp_capabilities\"}", "{}");
    assert_answer(client, "{\"execute\":\"qmp_capabilities\"}",
                  "CommandNotFound: Capabilities negotiation is already complete, command ignored");
    client_free(client);
    fixture_destroy(&f);
}

static void test_errors(void)
{
    static const struct {
        const char *line, *answer;
    } lines[] = {
        {"[]", "GenericError: QMP input must be a JSON object"},
        {"5", "GenericError: QMP input must be a JSON object"},
        {"\"x\"", "GenericError: QMP input must be a JSON object"},
        {"nonsense", "GenericError: JSON parse error, "},
        {"}", "GenericError: JSON parse error, "},
        {"{\"execute\" \"stop\"}", "GenericError: JSON parse error, "},
        {"{\"execute\":\"st\xff\xfeop\"}", "GenericError: JSON parse error, "},
        {"{}", "GenericError: QMP input lacks member 'execute'"},
        {"{\"foo\":1}", "GenericError: QMP input member 'foo' is unexpected"},
        {"{\"execute\":5}", "GenericError: QMP input member 'execute' must be a string"},
        {"{\"execute\":null}", "GenericError: QMP input member 'execute' must be a string"},
        {"{\"execute\":\"stop\",\"arguments\":5}",
         "GenericError: QMP input member 'arguments' must be an object"},
        {"{\"execute\":\"stop\",\"extra\":1}",
         "GenericError: QMP input member 'extra' is unexpected"},
        {"{\"execute\":\"stop\",\"arguments\":{\"a\":1}}",
         "GenericError: Parameter 'a' is unexpected"},
        {"{\"execute\":\"nope\"}", "CommandNotFound: The command nope has not been found"},
        {"{\"execute\":\"screendump\"}", "GenericError: Parameter 'filename' is missing"},
        {"{\"execute\":\"screendump\",\"arguments\":{\"filename\":null}}",
         "GenericError: Invalid parameter type for 'filename', expected: string"},
        {"{\"execute\":\"eject\",\"arguments\":{}}",
         "GenericError: Need exactly one of 'device' and 'id'"},
        {"{\"execute\":\"eject\",\"arguments\":{\"device\":\"a\",\"id\":\"a\"}}",
         "GenericError: Need exactly one of 'device' and 'id'"},
        {"{\"execute\":\"eject\",\"arguments\":{\"device\":5}}",
         "GenericError: Invalid parameter type for 'device', expected: string"},
        {"{\"execute\":\"eject\",\"arguments\":{\"device\":\"nope\"}}", "DeviceNotFound: "},
        {"{\"execute\":\"blockdev-change-medium\",\"arguments\":"
         "{\"device\":\"nope\",\"filename\":\"/x\"}}",
         "DeviceNotFound: "},
        {"{\"execute\":\"blockdev-change-medium\",\"arguments\":"
         "{\"device\":\"ide1-cd0\",\"filename\":\"/nonexistent\"}}",
         "GenericError: "},
        {"{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"/nonexistent/x\"}}",
         "GenericError: "},
        {"{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"/x\",\"format\":\"gif\"}}",
         "GenericError: Parameter 'format' does not accept value 'gif'"},
        {"{\"execute\":\"pmemsave\",\"arguments\":{\"val\":\"0\",\"size\":1,\"filename\":\"/x\"}}",
         "GenericError: Invalid parameter type for 'val', expected: integer"},
        {"{\"execute\":\"pmemsave\",\"arguments\":{\"val\":0,\"size\":-1,\"filename\":\"/x\"}}",
         "GenericError: Parameter 'size' is out of range"},
        {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":5}}",
         "GenericError: Invalid parameter type for 'keys', expected: array"},
        {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[5]}}", "GenericError: "},
        {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":5,\"data\":\"a\"}]}}",
         "GenericError: "},
        {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"qcode\",\"data\":[]}]}}",
         "GenericError: "},
        {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"qcode\",\"data\":\"zz\"}]}"
         "}",
         "GenericError: Parameter 'data' does not accept value 'zz'"},
        {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"number\",\"data\":1000}]}"
         "}",
         "GenericError: "},
        {"{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[{\"type\":7}]}}",
         "GenericError: "},
        {"{\"execute\":\"input-send-event\",\"arguments\":{\"events\":"
         "[{\"type\":\"foo\",\"data\":{}}]}}",
         "GenericError: Parameter 'type' does not accept value 'foo'"},
        {"{\"execute\":\"input-send-event\",\"arguments\":{\"events\":"
         "[{\"type\":\"abs\",\"data\":{\"axis\":3,\"value\":\"x\"}}]}}",
         "GenericError: "},
        {"{\"execute\":\"input-send-event\",\"arguments\":{\"events\":"
         "[{\"type\":\"btn\",\"data\":{\"button\":\"none\"}}]}}",
         "GenericError: "},
        {"{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":{}}}",
         "GenericError: Invalid parameter type for 'command-line', expected: string"},
    };
    Fixture f;

    fixture_init(&f);
    Client *client = negotiated_client(&f);
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
        assert_begins(client, lines[i].line, lines[i].answer);
    assert_answer(client, "{\"execute\":\"query-name\"}", "{\"name\":\"Apiary\"}");
    client_free(client);
    fixture_destroy(&f);
}

/* Any value, in answers and in errors. */
static void test_id(void)
{
    static const char *const ids[] = {"1", "\"x\"", "{\"a\":[1,2]}", "null", "[true]"};
    Fixture f;

    fixture_init(&f);
    Client *client = negotiated_client(&f);
    for (size_t i = 0; i < G_N_ELEMENTS(ids) * 2; i++) {
        g_autofree char *line = g_strdup_printf("{\"execute\":\"%s\",\"id\":%s}\n",
                                                i & 1 ? "query-name" : "nope", ids[i / 2]);
        client_send(client, line);
        g_autoptr(JsonObject) answer = client_answer(client);
        g_autofree char *id = text_of(json_object_get_member(answer, "id"));
        g_assert_cmpstr(id, ==, ids[i / 2]);
        g_assert_true(json_object_has_member(answer, i & 1 ? "return" : "error"));
    }
    client_free(client);
    fixture_destroy(&f);
}

/* However the bytes come. */
static void test_framing(void)
{
    static const char command[] = "{\"execute\" : \"query-name\",\n\"id\":\"}{\\\"]\"}";
    Fixture f;

    fixture_init(&f);
    Client *client = negotiated_client(&f);
    for (const char *c = command; *c; c++) { /* byte for byte */
        client_send_bytes(client, c, 1);
        for (int i = 0; i < 3; i++)
            g_main_context_iteration(NULL, FALSE);
    }
    g_autoptr(JsonObject) first = client_answer(client);
    g_assert_cmpstr(json_object_get_string_member(first, "id"), ==, "}{\"]");
    /* Many at once, without a newline; answers in order. */
    g_autoptr(GString) many = g_string_new(NULL);
    for (int i = 0; i < 500; i++)
        g_string_append_printf(many, "{\"execute\":\"query-status\",\"id\":%d}", i);
    client_send(client, many->str);
    for (int i = 0; i < 500; i++) {
        g_autoptr(JsonObject) answer = client_answer(client);
        g_assert_cmpint(json_object_get_int_member(answer, "id"), ==, i);
    }
    assert_answer(client, "{'execute':'query-name'}", "{\"name\":\"Apiary\"}"); /* QEMU's own way */
    client_free(client);
    fixture_destroy(&f);
}

static void test_huge(void)
{
    Fixture f;

    fixture_init(&f);
    Client *client = negotiated_client(&f);
    /* Nested too deeply: refused, not a stack overflow; and balanced, so that the next is heard. */
    g_autoptr(GString) nested = g_string_new(NULL);
    for (int i = 0; i < 200000; i++)
        g_string_append_c(nested, '[');
    for (int i = 0; i < 200000; i++)
        g_string_append_c(nested, ']');
    assert_answer(client, nested->str, "GenericError: JSON nesting depth limit exceeded");
    /* Large, but whole. */
    g_autofree char *name = g_strnfill(500000, 'x');
    g_autofree char *long_line = g_strdup_printf("{\"execute\":\"%s\"}", name);
    assert_begins(client, long_line, "CommandNotFound: The command xxx");
    assert_begins(client, "{\"execute\":\"query-name\"}", "{");
    /* One that never ends cuts the connection; another client does not notice. */
    Client *other = negotiated_client(&f);
    g_autofree char *chunk = g_strnfill(65536, '{');
    bool open = true;
    for (int i = 0; i < 64 && open; i++)
        open = client_send(client, chunk);
    g_autofree char *line = client_line(client);
    g_assert_null(line);
    assert_begins(other, "{\"execute\":\"query-name\"}", "{");
    client_free(other);
    client_free(client);
    fixture_destroy(&f);
}

/* --- clients ---------------------------------------------------------------------------------- */

static void test_two_clients(void)
{
    Fixture f;

    fixture_init(&f);
    Client *a = negotiated_client(&f), *b = negotiated_client(&f), *silent = client_new(&f);
    assert_answer(a, "{\"execute\":\"cont\"}", "{}");
    g_autofree char *event = client_line(b); /* both hear events, an unnegotiated one does not */
    g_assert_nonnull(strstr(event, "\"event\":\"RESUME\""));
    assert_answer(b, "{\"execute\":\"stop\"}", "{}");
    g_autofree char *greeting = client_line(silent);
    g_assert_nonnull(greeting);
    client_receive(silent);
    g_assert_cmpuint(silent->received->len, ==, 0);
    client_free(b);
    client_free(silent);
    assert_begins(a, "{\"execute\":\"query-status\"}", "{\"status\":\"paused\"");
    client_free(a);
    fixture_destroy(&f);
}

/* Gone with commands on their way, or before the first. */
static void test_vanishing(void)
{
    Fixture f;

    fixture_init(&f);
    client_free(client_new(&f));
    for (int i = 0; i < 50; i++) {
        Client *client = negotiated_client(&f);
        client_send(client, "{\"execute\":\"send-key\",\"arguments\":{\"hold-time\":60000,\"keys\":"
                            "[{\"type\":\"qcode\",\"data\":\"a\"}]}}"
                            "{\"execute\":\"query-block\"}{\"execute\":\"query-cpus-fast\"}{\"exe");
        client_free(client);
        g_main_context_iteration(NULL, FALSE);
    }
    Client *client = negotiated_client(&f);
    assert_begins(client, "{\"execute\":\"query-name\"}", "{");
    client_free(client);
    fixture_destroy(&f); /* with all of that still on its way */
}

/* Commands without end and never a look at the answers: the server stops listening, not growing. */
static void test_never_reading(void)
{
    Fixture f;
    size_t sent = 0;
    static const char command[] = "{\"execute\":\"query-block\"}\n";

    fixture_init(&f);
    Client *client = negotiated_client(&f), *other = negotiated_client(&f);
    gint64 quiet_since = g_get_monotonic_time();
    while (g_get_monotonic_time() < quiet_since + G_TIME_SPAN_SECOND) {
        gssize n = g_socket_send(client->socket, command, strlen(command), NULL, NULL);
        if (n > 0) {
            sent += n;
            quiet_since = g_get_monotonic_time();
        }
        g_main_context_iteration(NULL, FALSE);
        g_assert_cmpuint(sent, <, 64 << 20); /* it must block at some time */
    }
    assert_begins(other, "{\"execute\":\"query-name\"}", "{");
    /* It reads after all: every whole command gets its answer. */
    for (size_t i = 0; i < sent / strlen(command); i++) {
        g_autoptr(JsonObject) answer = client_answer(client);
        g_assert_true(json_object_has_member(answer, "return"));
    }
    client_free(other);
    client_free(client);
    fixture_destroy(&f);
}

/* --- commands --------------------------------------------------------------------------------- */

/* Waits for it, passing over others. */
static bool has_event(Client *client, const char *name, const char *detail)
{
    for (;;) {
        g_autofree char *line = client_line(client);
        g_autofree char *event = g_strdup_printf("\"event\":\"%s\"", name);
        if (!line)
            return false;
        if (strstr(line, event) && (!detail || strstr(line, detail))) {
            g_assert_nonnull(strstr(line, "\"timestamp\":{\"seconds\":"));
            return true;
        }
    }
}

static void test_run_state(void)
{
    Fixture f;

    fixture_init(&f);
    Client *client = negotiated_client(&f), *watcher = negotiated_client(&f);
    assert_answer(client, "{\"execute\":\"query-status\"}",
                  "{\"status\":\"prelaunch\",\"singlestep\":false,\"running\":false}");
    assert_answer(client, "{\"execute\":\"cont\"}", "{}");
    g_assert_true(has_event(watcher, "RESUME", NULL));
    assert_answer(client, "{\"execute\":\"query-status\"}",
                  "{\"status\":\"running\",\"singlestep\":false,\"running\":true}");
    assert_answer(client, "{\"execute\":\"stop\"}", "{}");
    g_assert_true(has_event(watcher, "STOP", NULL));
    assert_answer(client, "{\"execute\":\"query-status\"}",
                  "{\"status\":\"paused\",\"singlestep\":false,\"running\":false}");
    assert_answer(client, "{\"execute\":\"stop\"}", "{}"); /* again: nothing happens */
    assert_answer(client, "{\"execute\":\"system_reset\"}", "{}");
    g_assert_true(
        has_event(watcher, "RESET", "{\"guest\":false,\"reason\":\"host-qmp-system-reset\"}"));
    assert_answer(client, "{\"execute\":\"system_powerdown\"}", "{}");
    g_assert_true(has_event(watcher, "POWERDOWN", NULL));
    assert_answer(client, "{\"execute\":\"inject-nmi\"}", "{}");
    assert_answer(client, "{\"execute\":\"quit\"}", "{}");
    g_assert_true(has_event(watcher, "SHUTDOWN", "{\"guest\":false,\"reason\":\"host-qmp-quit\"}"));
    assert_begins(client, "{\"execute\":\"query-status\"}", "{\"status\":\"shutdown\"");
    assert_begins(client, "{\"execute\":\"query-block\"}", "GenericError: ");
    client_free(watcher);
    client_free(client);
    fixture_destroy(&f);
}

static void test_queries(void)
{
    Fixture f;

    fixture_init(&f);
    Client *client = negotiated_client(&f);
    assert_answer(client, "{\"execute\":\"query-kvm\"}", "{\"enabled\":false,\"present\":false}");
    assert_begins(client, "{\"execute\":\"query-version\"}", "{\"qemu\":{\"major\":7,");
    assert_begins(
        client, "{\"execute\":\"query-cpus-fast\"}",
        "[{\"cpu-index\":0,\"qom-path\":\"/machine/unattached/device[0]\",\"thread-id\":");
    g_autofree char *names = ask(client, "{\"execute\":\"query-commands\"}");
    static const char *const needed[] = {"query-status",
                                         "stop",
                                         "cont",
                                         "system_reset",
                                         "system_powerdown",
                                         "quit",
                                         "screendump",
                                         "eject",
                                         "query-block",
                                         "input-send-event",
                                         "send-key",
                                         "pmemsave",
                                         "memsave",
                                         "blockdev-change-medium",
                                         "query-cpus-fast",
                                         "human-monitor-command"};
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        g_autofree char *name = g_strdup_printf("{\"name\":\"%s\"}", needed[i]);
        g_assert_nonnull(strstr(names, name));
    }
    client_free(client);
    fixture_destroy(&f);
}

static void test_media(void)
{
    Fixture f;

    fixture_init(&f);
    Client *client = negotiated_client(&f), *watcher = negotiated_client(&f);
    g_autofree char *iso = file_in(&f, "cd.iso"), *data = g_malloc0(1 << 20);
    g_assert_true(g_file_set_contents(iso, data, 1 << 20, NULL));
    g_autofree char *change =
        g_strdup_printf("{\"execute\":\"blockdev-change-medium\",\"arguments\":"
                        "{\"device\":\"ide1-cd0\",\"filename\":\"%s\"}}",
                        iso);
    assert_begins(client, "{\"execute\":\"query-block\"}",
                  "[{\"device\":\"ide1-cd0\",\"type\":\"unknown\",\"removable\":true,"
                  "\"locked\":false,\"tray_open\":false}");
    assert_answer(client, change, "{}");
    g_autofree char *shown = ask(client, "{\"execute\":\"query-block\"}");
    /* QAPI's BlockDeviceInfo has these at least. */
    static const char *const members[] = {
        "\"file\":",          "\"ro\":true",  "\"drv\":\"raw\"",     "\"backing_file_depth\":0",
        "\"encrypted\":",     "\"bps\":",     "\"bps_rd\":",         "\"bps_wr\":",
        "\"iops\":",          "\"iops_rd\":", "\"iops_wr\":",        "\"virtual-size\":1048576",
        "\"detect_zeroes\":", "\"cache\":{",  "\"write_threshold\":"};
    for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
        if (!strstr(shown, members[i]))
            g_error("%s is not in %s", members[i], shown);
    g_assert_true(has_event(watcher, "DEVICE_TRAY_MOVED", NULL));
    assert_answer(client, "{\"execute\":\"eject\",\"arguments\":{\"id\":\"ide1-cd0\"}}", "{}");
    g_assert_true(has_event(watcher, "DEVICE_TRAY_MOVED", "\"tray-open\":true"));
    assert_begins(client, "{\"execute\":\"query-block\"}",
                  "[{\"device\":\"ide1-cd0\",\"type\":\"unknown\",\"removable\":true,"
                  "\"locked\":false,\"tray_open\":true}");
    client_free(watcher);
    client_free(client);
    fixture_destroy(&f);
}

static void test_memory(void)
{
    Fixture f;
    g_autofree char *data = NULL;
    gsize length;

    fixture_init(&f);
    Client *client = negotiated_client(&f);
    g_autofree char *path = file_in(&f, "memory");
    static const char format[] = "{\"execute\":\"%s\",\"arguments\":{\"val\":%" G_GINT64_FORMAT
                                 ",\"size\":%" G_GINT64_FORMAT ",\"filename\":\"%s\"}}";
    g_autofree char *rom = g_strdup_printf(format, "pmemsave", (gint64)0xffff0, (gint64)16, path);
    assert_answer(client, rom, "{}");
    g_assert_true(g_file_get_contents(path, &data, &length, NULL));
    g_assert_cmpuint(length, ==, 16);
    g_assert_cmphex((uint8_t)data[0], ==, 0xea); /* SeaBIOS jumps far from the reset vector */
    g_autofree char *linear = g_strdup_printf(format, "memsave", (gint64)0xffff0, (gint64)16, path);
    assert_answer(client, linear, "{}");
    /* Failing leaves what was there. */
    g_autofree char *huge = g_strdup_printf(format, "pmemsave", (gint64)0, G_MAXINT64, path);
    assert_begins(client, huge, "GenericError: ");
    g_autofree char *no_cpu = g_strdup_printf(
        "{\"execute\":\"memsave\",\"arguments\":{\"val\":0,\"size\":4096,\"cpu-index\":9,"
        "\"filename\":\"%s\"}}",
        path);
    assert_begins(client, no_cpu, "GenericError: ");
    g_clear_pointer(&data, g_free);
    g_assert_true(g_file_get_contents(path, &data, &length, NULL));
    g_assert_cmpuint(length, ==, 16);
    g_autofree char *nowhere = g_strdup_printf(format, "pmemsave", (gint64)0, (gint64)16, "/no/x");
    assert_begins(client, nowhere, "GenericError: ");
    client_free(client);
    fixture_destroy(&f);
}

static void test_input(void)
{
    Fixture f;

    fixture_init(&f);
    Client *client = negotiated_client(&f);
    assert_answer(client,
                  "{\"execute\":\"send-key\",\"arguments\":{\"hold-time\":1,\"keys\":"
                  "[{\"type\":\"qcode\",\"data\":\"ctrl\"},{\"type\":\"number\",\"data\":211}]}}",
                  "{}");
    assert_answer(client,
                  "{\"execute\":\"input-send-event\",\"arguments\":{\"events\":["
                  "{\"type\":\"key\",\"data\":{\"down\":true,\"key\":"
                  "{\"type\":\"qcode\",\"data\":\"a\"}}},"
                  "{\"type\":\"btn\",\"data\":{\"button\":\"left\",\"down\":true}},"
                  "{\"type\":\"rel\",\"data\":{\"axis\":\"x\",\"value\":9223372036854775807}},"
                  "{\"type\":\"rel\",\"data\":{\"axis\":\"x\",\"value\":9223372036854775807}},"
                  "{\"type\":\"abs\",\"data\":{\"axis\":\"y\",\"value\":-5}}]}}",
                  "{}");
    assert_answer(client, "{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[]}}", "{}");
    client_free(client);
    fixture_destroy(&f);
}

/* Random lines made of what commands are made of. */
static void test_random(void)
{
    static const char *const pieces[] = {
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "execute",
        "arguments",
        "\"execute\":\"",
        "stop",
        "1",
        "-",
        "e9",
        "null",
        "\\",
        "\n",
        " ",
        "'",
        "\"id\":",
        "\xff",
        "\xc3",
        "\\u0000",
        "\\ud800",
        "{\"execute\":\"query-name\"}",
        "{\"execute\":\"eject\",\"arguments\":{\"device\":",
        "{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":"};
    Fixture f;

    fixture_init(&f);
    for (int round = 0; round < 20; round++) {
        Client *client = negotiated_client(&f);
        g_autoptr(GString) text = g_string_new(NULL);
        for (int i = 0; i < 500; i++)
            g_string_append(text, pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
        client_send_bytes(client, text->str, text->len);
        for (int i = 0; i < 200; i++)
            g_main_context_iteration(NULL, FALSE);
        client_free(client);
    }
    Client *client = negotiated_client(&f);
    assert_begins(client, "{\"execute\":\"query-name\"}", "{");
    client_free(client);
    fixture_destroy(&f);
}

/* --- the human monitor ------------------------------------------------------------------------ */

static void test_monitor_through_qmp(void)
{
    Fixture f;

    fixture_init(&f);
    Client *client = negotiated_client(&f);
    g_autofree char *status = monitor(client, "info status");
    g_assert_cmpstr(status, ==, "VM status: paused (prelaunch)\n");
    g_autofree char *nothing = monitor(client, "");
    g_assert_cmpstr(nothing, ==, "");
    client_free(client);
    fixture_destroy(&f);
}

static void test_monitor_socket(void)
{
    Fixture f;

    fixture_init_with(&f, QMP_PROTOCOL_HUMAN);
    Client *client = client_new(&f);
    g_autofree char *greeting = client_line(client);
    g_assert_true(g_str_has_prefix(greeting, "Apiary monitor"));
    client_send(client, "info name\r\n");
    g_autofree char *name = client_line(client);
    g_assert_cmpstr(name, ==, "(apiary) Apiary");
    client_send(client, "bogus\n");
    g_autofree char *unknown = client_line(client);
    g_assert_cmpstr(unknown, ==, "(apiary) unknown command: 'bogus'");
    client_free(client);
    fixture_destroy(&f);
}

/* --- the server ------------------------------------------------------------------------------- */

static void test_server_errors(void)
{
    static const char *const bad[] = {"unix:/nonexistent/folder/socket,server=on,wait=off",
                                      "tcp:1.2.3:4,server=on,wait=off",
                                      "unix:/nonexistent",
                                      "file:/tmp/x",
                                      "nonsense",
                                      ""};
    g_autoptr(MachineConfig) config = config_new();
    Machine *machine = machine_new(config);

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        g_assert_null(qmp_server_new(machine, bad[i], QMP_PROTOCOL_JSON, &error));
        g_assert_nonnull(error);
        g_assert_true(g_str_has_prefix(error->message, bad[i]));
        g_clear_error(&error);
    }
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/greeting", test_greeting);
    g_test_add_func("/qmp/errors", test_errors);
    g_test_add_func("/qmp/id", test_id);
    g_test_add_func("/qmp/framing", test_framing);
    g_test_add_func("/qmp/huge", test_huge);
    g_test_add_func("/qmp/two-clients", test_two_clients);
    g_test_add_func("/qmp/vanishing", test_vanishing);
    g_test_add_func("/qmp/never-reading", test_never_reading);
    g_test_add_func("/qmp/run-state", test_run_state);
    g_test_add_func("/qmp/queries", test_queries);
    g_test_add_func("/qmp/media", test_media);
    g_test_add_func("/qmp/memory", test_memory);
    g_test_add_func("/qmp/input", test_input);
    g_test_add_func("/qmp/random", test_random);
    g_test_add_func("/qmp/monitor-through-qmp", test_monitor_through_qmp);
    g_test_add_func("/qmp/monitor-socket", test_monitor_socket);
    g_test_add_func("/qmp/server-errors", test_server_errors);
    return g_test_run();
}
