/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Port forwards of one network: a line a forward with Test, Copy and Remove, and a line to add
 * another one. It shows what it is given and asks its owner for changes.
 *
 * Signals: "add-rule" (char *rule), "remove-rule" (char *rule)
 */

#include "ui/vm.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_FORWARD_TABLE (apiary_forward_table_get_type())
G_DECLARE_FINAL_TYPE(ApiaryForwardTable, apiary_forward_table, APIARY, FORWARD_TABLE, GtkGrid)

/* The machine and the network whose forwards these are; without them they belong to a machine that
 * is still to be made. VM is not owned. */
void apiary_forward_table_set_network(ApiaryForwardTable *table, ApiaryVm *vm, const char *id);
/* RULES: NULL-terminated; GUEST: the guest's address when a rule names none, or NULL. */
void apiary_forward_table_set_rules(ApiaryForwardTable *table, const char *const *rules,
                                    const char *guest);
/* Said under the line for a new forward; NULL: nothing. */
void apiary_forward_table_set_problem(ApiaryForwardTable *table, const char *problem);
/* Fills the line in for GUEST_PORT with a host port that is free. */
void apiary_forward_table_suggest(ApiaryForwardTable *table, uint16_t guest_port);
