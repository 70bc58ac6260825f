/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Networks and cards of a MachineConfig, and QEMU's three ways of asking for them. */

#include "core/config/config.h"

/* -netdev TYPE,id=ID,... */
bool network_add_netdev(MachineConfig *config, const char *value, GError **error);
/* -nic none, or TYPE,model=e1000,mac=...,...: back end and card in one. */
bool network_add_nic(MachineConfig *config, const char *value, GError **error);
/* -net none, nic,... or user,...: the nth nic and the nth user belong together. */
bool network_add_legacy(MachineConfig *config, const char *value, GError **error);
/* After the last flag: QEMU's default card when no flag spoke of networks, and -net's loose ends.
 */
bool network_finish(MachineConfig *config, GError **error);
/* A card on a user-mode network of its own; what the window's new machines have. VALUES is
 * -netdev's text without type and id ("hostfwd=tcp::2222-:22"), or NULL. */
bool network_add_card(MachineConfig *config, const char *values, GError **error);

#define NETWORK_MAX_CARDS 8

/* The Nth network card, or NULL when there are fewer. */
DeviceConfig *network_card(const MachineConfig *config, unsigned n);
/* What CARD is connected to, or NULL: a card without a cable. */
NetdevConfig *network_card_netdev(const MachineConfig *config, const DeviceConfig *card);
/* Takes CARD and the network only it is connected to away. */
void network_remove_card(MachineConfig *config, DeviceConfig *card);
/* Connects CARD to a new network of TYPE, or for NULL to nothing; the one it had is gone. */
bool network_connect_card(MachineConfig *config, DeviceConfig *card, const char *type,
                          GError **error);
/* An address that no card of CONFIG has, from the block QEMU's users know (52:54:00). */
char *network_make_mac(const MachineConfig *config);

bool network_validate(const MachineConfig *config, GError **error);
NetdevConfig *config_find_netdev(const MachineConfig *config, const char *id);
NetdevConfig *config_add_netdev(MachineConfig *config, const char *type, const char *id,
                                GError **error);
void netdev_config_free(gpointer data);
NetdevConfig *netdev_config_copy(const NetdevConfig *from);
