/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* -gdb in QEMU's words: tcp:[HOST]:PORT, unix:PATH, stdio or none. Parsed without opening anything.
 */

#include <glib.h>
#include <stdbool.h>

#define GDB_DEFAULT_SPEC "tcp::1234" /* -s */

/* What GDB is told the machine is, when it asks. */
typedef enum {
    GDB_ARCH_AUTO, /* i386 while the guest pages without long mode, else x86-64 */
    GDB_ARCH_I386,
    GDB_ARCH_X86_64,
} GdbArch;

typedef struct {
    bool off, stdio;
    char *path;    /* Unix socket */
    char *address; /* "HOST:PORT"; an empty HOST is this computer alone */
    GdbArch arch;
} GdbSpec;

/* NULL with ERROR, which names what is wrong. */
GdbSpec *gdb_spec_parse(const char *text, GError **error);
void gdb_spec_free(GdbSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GdbSpec, gdb_spec_free)
