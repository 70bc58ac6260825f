/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/monitor-network.h"

#include "core/machine/pc-network.h"
#include "core/net/slirp.h"

static void report(GString *out, const GError *error)
{
    if (error)
        g_string_append_printf(out, "Error: %s\n", error->message);
}

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

void monitor_hostfwd_add(Pc *pc, char **words, GString *out)
{
    g_autoptr(GError) error = NULL;
    const char *name, *rule = rule_of(words, &name, out);
    NetForward forward;

    if (!rule)
        return;
    board_lock(pc_board(pc));
    NetBackend *netdev = pc_user_network(pc, name, &error);
    if (netdev && net_forward_parse(rule, &forward, &error))
        slirp_add_forward(netdev, &forward, &error);
    board_unlock(pc_board(pc));
    report(out, error);
}

void monitor_hostfwd_remove(Pc *pc, char **words, GString *out)
{
    g_autoptr(GError) error = NULL;
    const char *name, *rule = rule_of(words, &name, out);
    NetForward forward;

    if (!rule)
        return;
    board_lock(pc_board(pc));
    NetBackend *netdev = pc_user_network(pc, name, &error);
    if (netdev && net_forward_parse_host(rule, &forward, &error) &&
        slirp_remove_forward(netdev, &forward, &error))
        g_string_append_printf(out, "host forwarding rule for %s removed\n", rule);
    board_unlock(pc_board(pc));
    report(out, error);
}

void monitor_set_link(Pc *pc, char **words, GString *out)
{
    g_autoptr(GError) error = NULL;
    bool up = words[1] && words[2] && g_str_equal(words[2], "on");

    if (!up && (!words[1] || !words[2] || !g_str_equal(words[2], "off"))) {
        g_string_append(out, "set_link needs NAME on|off; see info network\n");
        return;
    }
    board_lock(pc_board(pc));
    NetBackend *netdev = pc_network(pc, words[1], &error);
    if (netdev)
        net_backend_set_link(netdev, up);
    board_unlock(pc_board(pc));
    report(out, error);
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
