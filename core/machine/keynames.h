/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* QEMU's key names (sendkey, send-key's qcode): "ctrl", "alt", "delete", "a", "kp_enter"... */

/* The evdev code, 0 for a name that is not known. */
unsigned key_by_name(const char *name);
/* The evdev code of a scan code of set 1, with bit 7 for the E0h prefix; 0 if there is none. */
unsigned key_by_number(int64_t number);
/* Codes of "ctrl-alt-delete"; at most MAX. Returns their number, 0 with ERROR naming the bad one.
 */
unsigned keys_by_combination(const char *combination, unsigned *codes, unsigned max,
                             GError **error);
/* The key of a US keyboard that types CHARACTER (Unicode, ASCII only), and whether with Shift. */
bool key_for_character(uint32_t character, unsigned *code, bool *shift);
