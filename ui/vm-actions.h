/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * What can be done to a machine, as actions with the prefix "vm": open, start, pause (a switch),
 * power-button, reset, force-off, settings, rename, clone, show-files, copy-command, delete,
 * insert (s: path, "" asks), eject. They are insensitive when they make no sense.
 */

#include "ui/vm.h"

/* Free with g_object_unref; disconnects itself from VM then. */
GActionGroup *apiary_vm_actions_new(ApiaryVm *vm);
