/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* -vnc in QEMU's words: [HOST]:DISPLAY, unix:PATH or none, with options behind a comma. Parsed
 * without opening anything. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define VNC_BASE_PORT 5900 /* display 0, RFC 6143 section 8 */

/* What a client that asks for the machine alone brings about. */
typedef enum { VNC_SHARE_ALLOW_EXCLUSIVE, VNC_SHARE_FORCE_SHARED, VNC_SHARE_IGNORE } VncShare;

typedef struct {
    bool off;
    char *path;               /* Unix socket, or NULL for TCP */
    char *host;               /* numeric; 127.0.0.1 when none was named: only this computer */
    uint16_t port, last_port; /* the first free one is taken */
    bool password;
    VncShare share;
    unsigned connections; /* at once */
} VncSpec;

/* NULL with ERROR, which names what is wrong. */
VncSpec *vnc_spec_parse(const char *text, GError **error);
/* SPEC in -vnc's words, the shortest that parse to the same. */
char *vnc_spec_format(const VncSpec *spec);
void vnc_spec_free(VncSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VncSpec, vnc_spec_free)
