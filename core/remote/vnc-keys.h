/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * From an RFB client's keysyms to keys of the guest's keyboard. A keysym is a character, not a key:
 * it is looked up on a US keyboard, and Shift is corrected when the client's layout needs it
 * elsewhere.
 */

#include <linux/input-event-codes.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    void (*send)(void *opaque, unsigned evdev_code, bool down);
    void *opaque;
    uint8_t held[KEY_CNT / 8]; /* what the guest believes to be down */
    bool caps_lock;            /* as this client has switched it */
} VncKeys;

void vnc_keys_press(VncKeys *keys, unsigned keysym, bool down);
/* QEMU's extended key event: an XT scan code, with bit 7 for those behind E0. False: not a key. */
bool vnc_keys_press_scan_code(VncKeys *keys, unsigned scan_code, bool down);
void vnc_keys_release_all(VncKeys *keys);
