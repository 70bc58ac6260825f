/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Byte-stream back ends of serial ports, debug consoles and monitors, in QEMU's words:
 * stdio, file:PATH, pty, unix:PATH[,server=on|off][,wait=on|off], tcp:HOST:PORT[,server=on]...,
 * null, vc (the window's terminal), chardev ids, mon:stdio.
 *
 * Front-end callbacks run on the board thread with the board lock held.
 */

#include "core/machine/board.h"

typedef struct {
    /* How many bytes the front end can take now; more input waits in the back end until
     * chardev_accept_input(). */
    size_t (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *data, size_t length);
    void (*opened)(void *opaque, bool open); /* a peer connected or left; may be NULL */
} ChardevOps;

/* SPEC as above. Errors name SPEC and the cause. Board lock held. */
Chardev *chardev_open(Board *board, const char *id, const char *spec, GError **error);
void chardev_close(Chardev *chardev);
const char *chardev_id(const Chardev *chardev);
const char *chardev_spec(const Chardev *chardev);
const char *chardev_pty_path(const Chardev *chardev); /* "/dev/pts/3" for pty, else NULL */
void chardev_set_frontend(Chardev *chardev, const ChardevOps *ops, void *opaque);
/* Sends bytes. Never blocks: what the peer does not take is kept up to 64 KiB, then the oldest go
 * (file and stdio are written synchronously). Returns LENGTH. */
size_t chardev_write(Chardev *chardev, const void *data, size_t length);
void chardev_accept_input(Chardev *chardev);

/* A back end made of two callbacks in this process (the window's terminal, tests, a monitor).
 * Output is delivered on the board thread; chardev_feed() may be called from any thread. */
typedef void (*ChardevOutput)(void *opaque, const uint8_t *data, size_t length);
Chardev *chardev_new_internal(Board *board, const char *id, ChardevOutput output, void *opaque);
void chardev_feed(Chardev *chardev, const void *data, size_t length);
