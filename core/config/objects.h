/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* -object: things that are neither device nor back end. So far: packet captures. */

#include "core/config/config.h"

/* KIND,id=ID,option=value,...: parsed and checked against the kind's options. Errors name what is
 * wrong; unknown kinds are refused by name. */
ObjectConfig *object_config_parse(const char *text, GError **error);
/* A capture of NETDEV into FILE, named after the network. */
ObjectConfig *object_config_new_capture(const char *netdev, const char *file);
/* For -object. */
bool objects_add(MachineConfig *config, const char *value, GError **error);
/* The options of a kind of object; NULL with ERROR when there is no such kind. */
const OptionInfo *object_options(const char *kind, GError **error);
/* Names are unique and networks exist. */
bool objects_validate(const MachineConfig *config, GError **error);
