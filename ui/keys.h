/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Keys by their Linux evdev codes: combinations to send, and the keys that type a character. */

#include <glib.h>
#include <stdbool.h>

#define APIARY_MAX_COMBINATION 4

typedef struct {
    const char *id;                         /* parameter of the action "win.send-keys" */
    const char *label;                      /* untranslated when it is names of keys only */
    unsigned codes[APIARY_MAX_COMBINATION]; /* pressed in order, released in reverse; 0 ends */
} ApiaryCombination;

/* The table's order is the menu's; ends with a NULL id. */
extern const ApiaryCombination apiary_combinations[];
const ApiaryCombination *apiary_combination_find(const char *id);

/* The evdev code of a GDK hardware keycode: X11 with the evdev driver and Wayland have it plus 8.
 * 0 when it is none. */
unsigned apiary_evdev_from_hardware(unsigned hardware_keycode);
