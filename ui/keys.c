/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/keys.h"

#include <glib/gi18n.h>
#include <linux/input-event-codes.h>

const ApiaryCombination apiary_combinations[] = {
    {"ctrl-alt-del", "Ctrl+Alt+Del", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_DELETE}},
    {"ctrl-alt-backspace", "Ctrl+Alt+Backspace", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_BACKSPACE}},
    {"ctrl-alt-f1", "Ctrl+Alt+F1", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F1}},
    {"ctrl-alt-f2", "Ctrl+Alt+F2", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F2}},
    {"ctrl-alt-f3", "Ctrl+Alt+F3", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F3}},
    {"ctrl-alt-f4", "Ctrl+Alt+F4", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F4}},
    {"ctrl-alt-f5", "Ctrl+Alt+F5", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F5}},
    {"ctrl-alt-f6", "Ctrl+Alt+F6", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F6}},
    {"ctrl-alt-f7", "Ctrl+Alt+F7", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F7}},
    {"ctrl-alt-f8", "Ctrl+Alt+F8", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F8}},
    {"ctrl-alt-f9", "Ctrl+Alt+F9", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F9}},
    {"ctrl-alt-f10", "Ctrl+Alt+F10", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F10}},
    {"ctrl-alt-f11", "Ctrl+Alt+F11", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F11}},
    {"ctrl-alt-f12", "Ctrl+Alt+F12", {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F12}},
    {"alt-tab", "Alt+Tab", {KEY_LEFTALT, KEY_TAB}},
    {"alt-f4", "Alt+F4", {KEY_LEFTALT, KEY_F4}},
    {"super", N_("Windows key"), {KEY_LEFTMETA}},
    {"print", "Print Screen", {KEY_SYSRQ}},
    {"pause", "Pause", {KEY_PAUSE}},
    {NULL, NULL, {0}},
};

const ApiaryCombination *apiary_combination_find(const char *id)
{
    for (const ApiaryCombination *c = apiary_combinations; c->id; c++)
        if (g_str_equal(c->id, id))
            return c;
    return NULL;
}

unsigned apiary_evdev_from_hardware(unsigned hardware_keycode)
{
    return hardware_keycode > 8 && hardware_keycode - 8 <= KEY_MAX ? hardware_keycode - 8 : 0;
}
