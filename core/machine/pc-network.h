/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The networks of a Pc. Board lock held for all. */

#include "core/machine/pc-private.h"
#include "core/net/net.h"

/* Opens every -netdev; errors name it. */
bool pc_make_networks(Pc *pc, GError **error);
void pc_free_networks(Pc *pc);
NetBackend *pc_find_netdev(Board *board, const char *id); /* Board's find_netdev */

/* By the network's name or its card's. */
NetBackend *pc_network(Pc *pc, const char *name, GError **error);
/* The user-mode network NAME, or the first when NULL. */
NetBackend *pc_user_network(Pc *pc, const char *name, GError **error);
void pc_describe_networks(Pc *pc, GString *out);      /* `info network` */
void pc_describe_user_networks(Pc *pc, GString *out); /* `info usernet` */
NetStatistics pc_network_statistics(Pc *pc);          /* of all networks together */
