/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

typedef void (*CopyProgress)(void *opaque, double fraction);

/* Copies a disk image: shared blocks where the file system can, holes stay holes, the copy is on
 * the disk when it returns. TO must not exist; it is removed on failure. Blocks. */
bool copy_file_sparse(const char *from, const char *to, CopyProgress progress, void *opaque,
                      GCancellable *cancellable, GError **error);
