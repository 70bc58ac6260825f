/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Longest sequence of any key in any set: Pause in set 2. */
#define PS2_MAX_SEQUENCE 8

/* The bytes a keyboard in scan code set SET (1-3) sends when the key with evdev CODE goes down or
 * up. Returns their number, 0 for a key that keyboards do not have. */
unsigned ps2_key_sequence(unsigned code, bool down, int set, uint8_t bytes[PS2_MAX_SEQUENCE]);

/* The i8042's translation of one set 2 byte to set 1 (F0h is handled by the controller). */
uint8_t ps2_translate(uint8_t set2);
