/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/keynames.h"

#include "core/devices/ps2-keys.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned code;
} keys[] = {
    {"0", KEY_0},
    {"1", KEY_1},
    {"2", KEY_2},
    {"3", KEY_3},
    {"4", KEY_4},
    {"5", KEY_5},
    {"6", KEY_6},
    {"7", KEY_7},
    {"8", KEY_8},
    {"9", KEY_9},
    {"a", KEY_A},
    {"b", KEY_B},
    {"c", KEY_C},
    {"d", KEY_D},
    {"e", KEY_E},
    {"f", KEY_F},
    {"g", KEY_G},
    {"h", KEY_H},
    {"i", KEY_I},
    {"j", KEY_J},
    {"k", KEY_K},
    {"l", KEY_L},
    {"m", KEY_M},
    {"n", KEY_N},
    {"o", KEY_O},
    {"p", KEY_P},
    {"q", KEY_Q},
    {"r", KEY_R},
    {"s", KEY_S},
    {"t", KEY_T},
    {"u", KEY_U},
    {"v", KEY_V},
    {"w", KEY_W},
    {"x", KEY_X},
    {"y", KEY_Y},
    {"z", KEY_Z},
    {"f1", KEY_F1},
    {"f2", KEY_F2},
    {"f3", KEY_F3},
    {"f4", KEY_F4},
    {"f5", KEY_F5},
    {"f6", KEY_F6},
    {"f7", KEY_F7},
    {"f8", KEY_F8},
    {"f9", KEY_F9},
    {"f10", KEY_F10},
    {"f11", KEY_F11},
    {"f12", KEY_F12},
    {"shift", KEY_LEFTSHIFT},
    {"shift_r", KEY_RIGHTSHIFT},
    {"ctrl", KEY_LEFTCTRL},
    {"ctrl_r", KEY_RIGHTCTRL},
    {"alt", KEY_LEFTALT},
    {"alt_r", KEY_RIGHTALT},
    {"altgr", KEY_RIGHTALT},
    {"meta_l", KEY_LEFTMETA},
    {"meta_r", KEY_RIGHTMETA},
    {"menu", KEY_MENU},
    {"compose", KEY_COMPOSE},
    {"esc", KEY_ESC},
    {"minus", KEY_MINUS},
    {"equal", KEY_EQUAL},
    {"backspace", KEY_BACKSPACE},
    {"tab", KEY_TAB},
    {"ret", KEY_ENTER},
    {"spc", KEY_SPACE},
    {"bracket_left", KEY_LEFTBRACE},
    {"bracket_right", KEY_RIGHTBRACE},
    {"semicolon", KEY_SEMICOLON},
    {"apostrophe", KEY_APOSTROPHE},
    {"grave_accent", KEY_GRAVE},
    {"backslash", KEY_BACKSLASH},
    {"less", KEY_102ND},
    {"comma", KEY_COMMA},
    {"dot", KEY_DOT},
    {"slash", KEY_SLASH},
    {"asterisk", KEY_KPASTERISK},
    {"caps_lock", KEY_CAPSLOCK},
    {"num_lock", KEY_NUMLOCK},
    {"scroll_lock", KEY_SCROLLLOCK},
    {"print", KEY_SYSRQ},
    {"sysrq", KEY_SYSRQ},
    {"pause", KEY_PAUSE},
    {"home", KEY_HOME},
    {"end", KEY_END},
    {"pgup", KEY_PAGEUP},
    {"pgdn", KEY_PAGEDOWN},
    {"insert", KEY_INSERT},
    {"delete", KEY_DELETE},
    {"left", KEY_LEFT},
    {"right", KEY_RIGHT},
    {"up", KEY_UP},
    {"down", KEY_DOWN},
    {"kp_0", KEY_KP0},
    {"kp_1", KEY_KP1},
    {"kp_2", KEY_KP2},
    {"kp_3", KEY_KP3},
    {"kp_4", KEY_KP4},
    {"kp_5", KEY_KP5},
    {"kp_6", KEY_KP6},
    {"kp_7", KEY_KP7},
    {"kp_8", KEY_KP8},
    {"kp_9", KEY_KP9},
    {"kp_divide", KEY_KPSLASH},
    {"kp_multiply", KEY_KPASTERISK},
    {"kp_subtract", KEY_KPMINUS},
    {"kp_add", KEY_KPPLUS},
    {"kp_enter", KEY_KPENTER},
    {"kp_decimal", KEY_KPDOT},
    {"kp_equals", KEY_KPEQUAL},
    {"kp_comma", KEY_KPCOMMA},
    {"power", KEY_POWER},
    {"sleep", KEY_SLEEP},
    {"wake", KEY_WAKEUP},
    {"volumeup", KEY_VOLUMEUP},
    {"volumedown", KEY_VOLUMEDOWN},
    {"audiomute", KEY_MUTE},
    {"ro", KEY_RO},
    {"yen", KEY_YEN},
    {"henkan", KEY_HENKAN},
    {"muhenkan", KEY_MUHENKAN},
    {"hiragana", KEY_HIRAGANA},
    {"katakanahiragana", KEY_KATAKANAHIRAGANA},
};

unsigned key_by_name(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (g_str_equal(keys[i].name, name))
            return keys[i].code;
    return 0;
}

unsigned key_by_number(int64_t number)
{
    uint8_t bytes[PS2_MAX_SEQUENCE];

    for (unsigned code = 1; code < KEY_MAX; code++) {
        unsigned n = ps2_key_sequence(code, true, 1, bytes);
        if ((n == 1 && bytes[0] == number) || (n == 2 && (bytes[1] | 0x80) == number))
            return code;
    }
    return 0;
}

unsigned keys_by_combination(const char *combination, unsigned *codes, unsigned max, GError **error)
{
    g_auto(GStrv) names = g_strsplit(combination, "-", -1);
    unsigned n = 0;

    for (char **name = names; *name; name++) {
        unsigned code = key_by_name(*name);
        if (!code || n == max) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                        code ? _("Too many keys at once.") : _("There is no key \"%s\"."), *name);
            return 0;
        }
        codes[n++] = code;
    }
    if (!n)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "There is no key \"\".");
    return n;
}

/* The rows of a US keyboard: characters without and with Shift, from CODE on. */
static const struct {
    unsigned code;
    const char *plain, *shifted;
} rows[] = {
    {KEY_1, "1234567890-=", "!@#$%^&*()_+"},
    {KEY_Q, "qwertyuiop[]", "QWERTYUIOP{}"},
    {KEY_A, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
    {KEY_BACKSLASH, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
    {KEY_SPACE, " ", ""},
    {KEY_ENTER, "\n", ""},
    {KEY_TAB, "\t", ""},
};

bool key_for_character(uint32_t character, unsigned *code, bool *shift)
{
    if (!character || character > 0x7e)
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *plain = strchr(rows[i].plain, (int)character);
        const char *shifted = strchr(rows[i].shifted, (int)character);
        if (!plain && !shifted)
            continue;
        *code =
            rows[i].code + (unsigned)(plain ? plain - rows[i].plain : shifted - rows[i].shifted);
        *shift = !plain;
        return true;
    }
    return false;
}
