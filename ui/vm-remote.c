/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/vm-remote.h"

#include <json-glib/json-glib.h>

static void viewer_free(gpointer data)
{
    ApiaryViewer *viewer = data;

    g_free(viewer->host);
    g_free(viewer->service);
    g_free(viewer);
}

ApiaryVmRemote *apiary_vm_remote_new(void)
{
    ApiaryVmRemote *remote = g_new0(ApiaryVmRemote, 1);

    remote->viewers = g_ptr_array_new_with_free_func(viewer_free);
    return remote;
}

static void forget_place(ApiaryVmRemote *remote)
{
    g_clear_pointer(&remote->host, g_free);
    g_clear_pointer(&remote->service, g_free);
    remote->on = remote->password = false;
}

void apiary_vm_remote_end(ApiaryVmRemote *remote)
{
    forget_place(remote);
    g_ptr_array_set_size(remote->viewers, 0);
}

void apiary_vm_remote_free(ApiaryVmRemote *remote)
{
    apiary_vm_remote_end(remote);
    g_ptr_array_unref(remote->viewers);
    g_free(remote);
}

/* --- asking the machine ----------------------------------------------------------------------- */

static void read_place(ApiaryVmRemote *remote, JsonObject *vnc)
{
    forget_place(remote);
    remote->on = json_object_get_boolean_member(vnc, "enabled");
    if (!remote->on)
        return;
    if (!g_str_equal(json_object_get_string_member(vnc, "family"), "unix"))
        remote->host = g_strdup(json_object_get_string_member(vnc, "host"));
    remote->service = g_strdup(json_object_get_string_member(vnc, "service"));
    remote->password = g_str_equal(json_object_get_string_member(vnc, "auth"), "vnc");
}

static void add_viewer(JsonArray *array, guint i, JsonNode *node, gpointer viewers)
{
    JsonObject *object = json_node_get_object(node);
    ApiaryViewer *viewer = g_new0(ApiaryViewer, 1);

    viewer->id = (uint64_t)json_object_get_int_member(object, "id");
    viewer->host = g_strdup(json_object_get_string_member(object, "host"));
    viewer->service = g_strdup(json_object_get_string_member(object, "service"));
    viewer->since = json_object_get_int_member(object, "since");
    viewer->admitted = json_object_get_boolean_member(object, "admitted");
    g_ptr_array_add(viewers, viewer);
}

static int compare_viewers(gconstpointer a, gconstpointer b)
{
    const ApiaryViewer *first = *(ApiaryViewer *const *)a, *second = *(ApiaryViewer *const *)b;

    return first->id < second->id ? -1 : first->id > second->id;
}

static void on_server(void *opaque, const char *text, const GError *error)
{
    g_autoptr(ApiaryVm) vm = opaque;
    g_autoptr(JsonNode) answer = text ? json_from_string(text, NULL) : NULL;

    if (answer && apiary_vm_is_on(vm))
        read_place(apiary_vm_get_remote(vm), json_node_get_object(answer));
}

static void on_viewers(void *opaque, const char *text, const GError *error)
{
    g_autoptr(ApiaryVm) vm = opaque;
    g_autoptr(JsonNode) answer = text ? json_from_string(text, NULL) : NULL;
    GPtrArray *viewers = apiary_vm_get_remote(vm)->viewers;

    if (!answer || !apiary_vm_is_on(vm))
        return;
    g_ptr_array_set_size(viewers, 0);
    json_array_foreach_element(json_node_get_array(answer), add_viewer, viewers);
    g_ptr_array_sort(viewers, compare_viewers);
    apiary_vm_config_changed(vm);
}

void apiary_vm_remote_refresh(ApiaryVm *vm)
{
    static const struct {
        const char *what;
        MachineReply answer;
    } questions[] = {{"vnc", on_server}, {"vnc-clients", on_viewers}};

    for (size_t i = 0; i < G_N_ELEMENTS(questions); i++)
        machine_send(apiary_vm_ensure_machine(vm),
                     &(MachineCommand){.type = COMMAND_QUERY, .text = {questions[i].what}},
                     questions[i].answer, g_object_ref(vm));
}

bool apiary_vm_remote_is_as(ApiaryVm *vm, const VncSpec *spec)
{
    const ApiaryVmRemote *remote = apiary_vm_get_remote(vm);

    if (!remote->on || spec->off)
        return remote->on == !spec->off;
    if (remote->password != spec->password)
        return false;
    if (spec->path)
        return !remote->host && g_str_equal(remote->service, spec->path);
    guint64 port = g_ascii_strtoull(remote->service, NULL, 10);
    return g_strcmp0(remote->host, spec->host) == 0 && port >= spec->port &&
           port <= spec->last_port;
}

/* --- changing it ------------------------------------------------------------------------------ */

typedef struct {
    ApiaryVmDone done;
    void *opaque;
} Order;

static void on_reply(void *opaque, const char *text, const GError *error)
{
    g_autofree Order *order = opaque;

    order->done(order->opaque, error);
}

static void command_server(ApiaryVm *vm, const MachineCommand *command, ApiaryVmDone done,
                           void *opaque)
{
    Order *order = g_new(Order, 1);

    *order = (Order){done, opaque};
    machine_send(apiary_vm_ensure_machine(vm), command, on_reply, order);
}

void apiary_vm_remote_open(ApiaryVm *vm, const VncSpec *spec, const char *password,
                           ApiaryVmDone done, void *opaque)
{
    g_autofree char *text = vnc_spec_format(spec);
    Machine *machine = apiary_vm_ensure_machine(vm);

    /* The password changes while the server is off, so that no viewer gets in by the old one, nor
     * does a server that asked for none refuse it. */
    if (spec->password) {
        machine_send(machine, &(MachineCommand){.type = COMMAND_VNC_OPEN, .text = {"none"}}, NULL,
                     NULL);
        machine_send(machine, &(MachineCommand){.type = COMMAND_VNC_PASSWORD, .text = {password}},
                     NULL, NULL);
    }
    command_server(vm, &(MachineCommand){.type = COMMAND_VNC_OPEN, .text = {text}}, done, opaque);
}

void apiary_vm_remote_set_password(ApiaryVm *vm, const char *password, ApiaryVmDone done,
                                   void *opaque)
{
    command_server(vm, &(MachineCommand){.type = COMMAND_VNC_PASSWORD, .text = {password}}, done,
                   opaque);
}

void apiary_vm_remote_disconnect(ApiaryVm *vm, uint64_t viewer, ApiaryVmDone done, void *opaque)
{
    command_server(vm, &(MachineCommand){.type = COMMAND_VNC_DISCONNECT, .address = viewer}, done,
                   opaque);
}
