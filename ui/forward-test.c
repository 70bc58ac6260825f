/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * libslirp accepts the host's connection at once and only then calls the guest. So a connection
 * says nothing yet: what counts is whether it then carries data, is closed again (the guest refused
 * it), or is listed as established by the network itself.
 */

#include "ui/forward-test.h"

#include "ui/host-ports.h"
#include "ui/vm-network.h"

#include <arpa/inet.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS    150
#define TIMEOUT_MS 3000

typedef struct {
    ApiaryVm *vm;
    NetForward forward;
    GSocketConnection *connection;
    char byte;
    guint timer;
    int left_ms;
    bool settled;
} Test;

static void test_free(gpointer data)
{
    Test *test = data;

    g_clear_handle_id(&test->timer, g_source_remove);
    g_clear_object(&test->connection);
    g_clear_object(&test->vm);
    g_free(test);
}

static void settle(GTask *task, ForwardTestResult result)
{
    Test *test = g_task_get_task_data(task);

    if (test->settled)
        return;
    test->settled = true;
    g_clear_handle_id(&test->timer, g_source_remove);
    if (test->connection) /* a read that still waits ends with this */
        g_socket_shutdown(g_socket_connection_get_socket(test->connection), TRUE, TRUE, NULL);
    g_task_return_int(task, result);
}

/* --- while connected -------------------------------------------------------------------------- */

/* Lines like "  TCP[ESTABLISHED]  41  127.0.0.1  2222  10.0.2.15  22  0  0". */
static bool is_established(const char *text, uint16_t host_port)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        char state[32], address[64];
        unsigned port;
        if (sscanf(*line, " TCP[%31[^]]] %*d %63s %u", state, address, &port) == 3 &&
            port == host_port && strcmp(state, "ESTABLISHED") == 0)
            return true;
    }
    return false;
}

static void on_connections(void *opaque, const char *text)
{
    g_autoptr(GTask) task = opaque;
    Test *test = g_task_get_task_data(task);

    if (is_established(text, test->forward.host_port))
        settle(task, FORWARD_TEST_CONNECTED);
}

static gboolean on_poll(gpointer data)
{
    GTask *task = data;
    Test *test = g_task_get_task_data(task);

    test->left_ms -= POLL_MS;
    if (test->left_ms <= 0 || !apiary_vm_is_on(test->vm)) {
        test->timer = 0;
        settle(task, FORWARD_TEST_NO_ANSWER);
        return G_SOURCE_REMOVE;
    }
    apiary_vm_list_connections(test->vm, on_connections, g_object_ref(task));
    return G_SOURCE_CONTINUE;
}

static void on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    gssize n = g_input_stream_read_finish(G_INPUT_STREAM(source), result, NULL);

    settle(task, n > 0 ? FORWARD_TEST_CONNECTED : FORWARD_TEST_REFUSED);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Test *test = g_task_get_task_data(task);
    GError *error = NULL;

    test->connection =
        g_socket_client_connect_to_host_finish(G_SOCKET_CLIENT(source), result, &error);
    if (!test->connection) {
        test->settled = true;
        g_task_return_error(task, error);
        return;
    }
    test->left_ms = TIMEOUT_MS;
    test->timer = g_timeout_add(POLL_MS, on_poll, task);
    g_input_stream_read_async(g_io_stream_get_input_stream(G_IO_STREAM(test->connection)),
                              &test->byte, 1, G_PRIORITY_DEFAULT, g_task_get_cancellable(task),
                              on_read, g_object_ref(task));
}

/* --- begin and end ---------------------------------------------------------------------------- */

static void dial(GTask *task)
{
    const Test *test = g_task_get_task_data(task);
    g_autoptr(GSocketClient) client = g_socket_client_new();
    char host[INET_ADDRSTRLEN];
    struct in_addr loopback = {htonl(INADDR_LOOPBACK)};

    inet_ntop(AF_INET, test->forward.host.s_addr ? &test->forward.host : &loopback, host,
              sizeof host);
    g_socket_client_set_timeout(client, TIMEOUT_MS / 1000);
    g_socket_client_set_enable_proxy(client, FALSE);
    g_socket_client_connect_to_host_async(client, host, test->forward.host_port,
                                          g_task_get_cancellable(task), on_connected,
                                          g_object_ref(task));
}

void forward_test_start(ApiaryVm *vm, const char *id, const char *rule, GCancellable *cancellable,
                        GAsyncReadyCallback done, void *opaque)
{
    g_autoptr(GTask) task = g_task_new(NULL, cancellable, done, opaque);
    Test *test = g_new0(Test, 1);
    GError *error = NULL;

    g_task_set_task_data(task, test, test_free);
    test->vm = vm ? g_object_ref(vm) : NULL;
    if (!net_forward_parse(rule, &test->forward, &error)) {
        test->settled = true;
        g_task_return_error(task, error);
    } else if (!vm || !apiary_vm_forward_is_open(vm, id, rule)) {
        settle(task,
               apiary_host_port_is_free(&test->forward) ? FORWARD_TEST_READY : FORWARD_TEST_BUSY);
    } else if (test->forward.udp) {
        settle(task, FORWARD_TEST_OPEN);
    } else {
        dial(task);
    }
}

bool forward_test_finish(GAsyncResult *result, ForwardTestResult *outcome, GError **error)
{
    GError *local = NULL;

    *outcome = (ForwardTestResult)g_task_propagate_int(G_TASK(result), &local);
    if (!local)
        return true;
    *outcome = FORWARD_TEST_FAILED;
    g_propagate_error(error, local);
    return false;
}

const char *forward_test_text(ForwardTestResult result)
{
    switch (result) {
    case FORWARD_TEST_CONNECTED: return _("Connected: the guest answers.");
    case FORWARD_TEST_REFUSED: return _("Refused by the guest: no program listens there.");
    case FORWARD_TEST_NO_ANSWER: return _("The guest does not answer.");
    case FORWARD_TEST_BUSY: return _("Host port busy: another program has it.");
    case FORWARD_TEST_READY:
        return _("The host port is free; the forward opens when the machine starts.");
    case FORWARD_TEST_OPEN: return _("The port is open; UDP has no connections to test.");
    case FORWARD_TEST_FAILED: break;
    }
    return _("The connection failed.");
}
