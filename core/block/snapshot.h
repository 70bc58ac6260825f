/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Internal snapshots of qcow2 images nobody else uses. All blocking. */

#include "core/block/block.h"

bool block_snapshot_create(const char *path, const char *name, GError **error);
/* NAME: a name or an id. The disk becomes what it was. */
bool block_snapshot_apply(const char *path, const char *name, GError **error);
bool block_snapshot_delete(const char *path, const char *name, GError **error);
