/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Marks FD as in use for reading, or reading and writing, in the way QEMU's programs understand.
 * False with a GError that names the other user where it can be found. The mark goes away with the
 * descriptor. */
bool block_lock_take(int fd, const char *path, bool writing, GError **error);
