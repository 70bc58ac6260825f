/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/monitor-network.h"

#include "core/machine/network-commands.h"
#include "core/machine/pc-network.h"

/* "[NETWORK] RULE": the rule is the last word. */
static const char *rule_of(char **words, const char **network, GString *out)
{
    guint n = g_strv_length(words);

    *network = n == 3 ? words[1] : NULL;
    if (n == 2 || n == 3)
        return words[n - 1];
    g_string_append_printf(out, "%s needs [NETWORK] RULE, like tcp::2222-:22\n", words[0]);
    return NULL;
}

static bool run(Pc *pc, const MachineCommand *command, GString *out)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *reply = NULL;

    if (network_command_run(pc, command, &reply, &error))
        return true;
    g_string_append_printf(out, "Error: %s\n", error->message);
    return false;
}

void monitor_hostfwd_add(Pc *pc, char **words, GString *out)
{
    const char *name, *rule = rule_of(words, &name, out);

    if (rule)
        run(pc, &(MachineCommand){.type = COMMAND_FORWARD_ADD, .text = {name, rule}}, out);
}

void monitor_hostfwd_remove(Pc *pc, char **words, GString *out)
{
    const char *name, *rule = rule_of(words, &name, out);

    if (rule &&
        run(pc, &(MachineCommand){.type = COMMAND_FORWARD_REMOVE, .text = {name, rule}}, out))
        g_string_append_printf(out, "host forwarding rule for %s removed\n", rule);
}

void monitor_set_link(Pc *pc, char **words, GString *out)
{
    bool up = words[1] && words[2] && g_str_equal(words[2], "on");

    if (!up && (!words[1] || !words[2] || !g_str_equal(words[2], "off")))
        g_string_append(out, "set_link needs NAME on|off; see info network\n");
    else
        run(pc, &(MachineCommand){.type = COMMAND_SET_LINK, .text = {words[1]}, .flag = up}, out);
}

void monitor_object_add(Pc *pc, char **words, GString *out)
{
    if (!words[1])
        g_string_append(out, "object_add needs filter-dump,id=ID,netdev=NETWORK,file=FILE\n");
    else
        run(pc, &(MachineCommand){.type = COMMAND_OBJECT_ADD, .text = {words[1]}}, out);
}

void monitor_object_del(Pc *pc, char **words, GString *out)
{
    if (!words[1])
        g_string_append(out, "object_del needs an id; see info network\n");
    else
        run(pc, &(MachineCommand){.type = COMMAND_OBJECT_DELETE, .text = {words[1]}}, out);
}

void monitor_info_network(Pc *pc, GString *out)
{
    board_lock(pc_board(pc));
    pc_describe_networks(pc, out);
    board_unlock(pc_board(pc));
}

void monitor_info_usernet(Pc *pc, GString *out)
{
    board_lock(pc_board(pc));
    pc_describe_user_networks(pc, out);
    board_unlock(pc_board(pc));
}
