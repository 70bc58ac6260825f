/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/network-commands.h"

#include "core/config/network.h"
#include "core/config/objects.h"
#include "core/machine/pc-network.h"
#include "core/net/slirp.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

static bool add_forward(Pc *pc, const MachineCommand *command, char **reply, GError **error)
{
    NetBackend *netdev = pc_user_network(pc, command->text[0], error);
    NetForward forward;

    if (!netdev || !net_forward_parse(command->text[1], &forward, error) ||
        !slirp_add_forward(netdev, &forward, error))
        return false;
    *reply = net_forward_format(&forward);
    return true;
}

static bool remove_forward(Pc *pc, const MachineCommand *command, char **reply, GError **error)
{
    NetBackend *netdev = pc_user_network(pc, command->text[0], error);
    NetForward forward;

    return netdev && net_forward_parse_host(command->text[1], &forward, error) &&
           slirp_remove_forward(netdev, &forward, error);
}

static bool set_link(Pc *pc, const MachineCommand *command, char **reply, GError **error)
{
    NetBackend *netdev = pc_network(pc, command->text[0], error);

    if (netdev)
        net_backend_set_link(netdev, command->flag);
    return netdev;
}

static bool add_object(Pc *pc, const MachineCommand *command, char **reply, GError **error)
{
    ObjectConfig *object = object_config_parse(command->text[0], error);
    bool added = object && pc_add_object(pc, object, error);

    if (object)
        netdev_config_free(object);
    return added;
}

static bool delete_object(Pc *pc, const MachineCommand *command, char **reply, GError **error)
{
    return pc_delete_object(pc, command->text[0], error);
}

/* A capture for a button: it gets a name of its own. */
static bool start_capture(Pc *pc, const MachineCommand *command, char **reply, GError **error)
{
    NetBackend *netdev = command->text[0]   ? pc_network(pc, command->text[0], error)
                         : pc->netdevs->len ? pc->netdevs->pdata[0]
                                            : NULL;

    if (!netdev) {
        if (!command->text[0])
            g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                                _("The machine has no network."));
        return false;
    }
    ObjectConfig *object = object_config_new_capture(netdev->id, command->text[1]);
    for (unsigned n = 2; pc_has_object(pc, object->id); n++) {
        g_free(object->id);
        object->id = g_strdup_printf("%s-capture%u", netdev->id, n);
        option_values_set(object->values, "id", object->id, NULL);
    }
    bool started = pc_add_object(pc, object, error);
    if (started)
        *reply = g_strdup(object->id);
    netdev_config_free(object);
    return started;
}

static const struct {
    MachineCommandType type;
    bool (*run)(Pc *pc, const MachineCommand *command, char **reply, GError **error);
    bool needs[2]; /* texts that must be there */
} commands[] = {
    {COMMAND_FORWARD_ADD, add_forward, {false, true}},
    {COMMAND_FORWARD_REMOVE, remove_forward, {false, true}},
    {COMMAND_SET_LINK, set_link, {true}},
    {COMMAND_OBJECT_ADD, add_object, {true}},
    {COMMAND_OBJECT_DELETE, delete_object, {true}},
    {COMMAND_CAPTURE_START, start_capture, {false, true}},
};

bool network_command_run(Pc *pc, const MachineCommand *command, char **reply, GError **error)
{
    size_t i = 0;

    while (i < G_N_ELEMENTS(commands) && commands[i].type != command->type)
        i++;
    g_return_val_if_fail(i < G_N_ELEMENTS(commands), false);
    for (int k = 0; k < 2; k++)
        g_return_val_if_fail(!commands[i].needs[k] || command->text[k], false);
    *reply = NULL;
    board_lock(&pc->board);
    bool done = commands[i].run(pc, command, reply, error);
    if (done)
        pc->ops->network_changed(pc->opaque);
    board_unlock(&pc->board);
    return done;
}
