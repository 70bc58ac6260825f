/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* QEMU's ways of naming a character back end, parsed without opening anything. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    CHARDEV_NULL,
    CHARDEV_VC,
    CHARDEV_STDIO,
    CHARDEV_PTY,
    CHARDEV_FILE,
    CHARDEV_SOCKET,
} ChardevKind;

typedef struct {
    ChardevKind kind;
    char *id;   /* from "id=", for -chardev */
    char *path; /* file, or unix socket */
    char *host; /* tcp */
    uint16_t port;
    bool server, wait; /* wait is on by default for servers, as in QEMU */
    bool append;
} ChardevSpec;

/* Both the short form ("unix:/tmp/s,server=on,wait=off") and -chardev's
 * ("socket,id=s,path=/tmp/s,server=on,wait=off"). Errors say which part is wrong. */
ChardevSpec *chardev_spec_parse(const char *text, GError **error);
void chardev_spec_free(ChardevSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ChardevSpec, chardev_spec_free)
