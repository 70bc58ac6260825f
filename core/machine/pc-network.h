/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The networks of a Pc. Board lock held for all. */

#include "core/machine/pc-private.h"
#include "core/net/net.h"

#include <json-glib/json-glib.h>

/* Opens every -netdev and starts their captures; errors name them. */
bool pc_make_networks(Pc *pc, GError **error);
void pc_free_networks(Pc *pc);
NetBackend *pc_find_netdev(Board *board, const char *id); /* Board's find_netdev */

/* By the network's name or its card's. */
NetBackend *pc_network(Pc *pc, const char *name, GError **error);
/* The user-mode network NAME, or the first when NULL. */
NetBackend *pc_user_network(Pc *pc, const char *name, GError **error);

/* Starts what -object asked for, and ends it. */
bool pc_add_object(Pc *pc, const ObjectConfig *object, GError **error);
bool pc_delete_object(Pc *pc, const char *id, GError **error);
bool pc_has_object(Pc *pc, const char *id);

void pc_describe_networks(Pc *pc, GString *out);      /* `info network` */
void pc_describe_user_networks(Pc *pc, GString *out); /* `info usernet` */
void pc_query_networks(Pc *pc, JsonBuilder *json);    /* query.h: "networks" */
NetStatistics pc_network_statistics(Pc *pc);          /* of all networks together */
