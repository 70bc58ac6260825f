/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Keyboard and pointer events on their way to whichever device takes them. Keys are Linux evdev
 * codes (linux/input-event-codes.h). All calls under the board lock.
 */

#include "core/machine/board.h"

typedef enum {
    POINTER_LEFT = 1,
    POINTER_RIGHT = 2,
    POINTER_MIDDLE = 4,
    POINTER_SIDE = 8,
    POINTER_EXTRA = 16,
} PointerButtons;

typedef struct {
    int priority;  /* the highest active handler of a kind gets the event */
    bool absolute; /* for pointers */
    void (*key)(void *opaque, unsigned evdev_code, bool down);
    /* Relative movement in mickeys; wheel clicks, up positive; buttons now held. */
    void (*motion)(void *opaque, int dx, int dy, int wheel, unsigned buttons);
    /* X, Y 0-32767 over the whole screen. */
    void (*position)(void *opaque, int x, int y, int wheel, unsigned buttons);
    void (*leds)(void *opaque, unsigned leds); /* unused by devices */
} InputHandler;

InputHub *input_hub_new(void);
void input_hub_free(InputHub *hub);
/* ACTIVE: the guest's driver has switched the device on. */
void input_hub_add(InputHub *hub, const InputHandler *handler, void *opaque);
void input_hub_remove(InputHub *hub, void *opaque);
void input_hub_set_active(InputHub *hub, void *opaque, bool active);
bool input_hub_is_absolute(InputHub *hub); /* an absolute pointer is active */
void input_hub_set_changed(InputHub *hub, void (*changed)(void *opaque), void *opaque);

void input_key(InputHub *hub, unsigned evdev_code, bool down);
void input_motion(InputHub *hub, int dx, int dy, int wheel, unsigned buttons);
void input_position(InputHub *hub, int x, int y, int wheel, unsigned buttons);
