/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/remote/vnc-keys.h"

#include "core/machine/keynames.h"

#include <glib.h>
#include <rfb/keysym.h>
#include <string.h>

#define UNICODE_KEYSYM 0x01000000u /* X11 protocol, appendix A: the rest is the code point */

/* Keys that have no character. Where X11 has no name in rfb/keysym.h the number stands. */
static const struct {
    unsigned keysym, code;
} special_keys[] = {
    {XK_BackSpace, KEY_BACKSPACE},
    {XK_Tab, KEY_TAB},
    {0xfe20 /* ISO_Left_Tab */, KEY_TAB},
    {XK_Linefeed, KEY_ENTER},
    {XK_Return, KEY_ENTER},
    {XK_Pause, KEY_PAUSE},
    {XK_Scroll_Lock, KEY_SCROLLLOCK},
    {XK_Sys_Req, KEY_SYSRQ},
    {XK_Print, KEY_SYSRQ},
    {XK_Escape, KEY_ESC},
    {XK_Delete, KEY_DELETE},
    {XK_Home, KEY_HOME},
    {XK_Left, KEY_LEFT},
    {XK_Up, KEY_UP},
    {XK_Right, KEY_RIGHT},
    {XK_Down, KEY_DOWN},
    {XK_Page_Up, KEY_PAGEUP},
    {XK_Page_Down, KEY_PAGEDOWN},
    {XK_End, KEY_END},
    {XK_Insert, KEY_INSERT},
    {XK_Menu, KEY_COMPOSE},
    {XK_Break, KEY_PAUSE},
    {XK_Num_Lock, KEY_NUMLOCK},
    {XK_KP_Enter, KEY_KPENTER},
    {XK_KP_Home, KEY_KP7},
    {XK_KP_Left, KEY_KP4},
    {XK_KP_Up, KEY_KP8},
    {XK_KP_Right, KEY_KP6},
    {XK_KP_Down, KEY_KP2},
    {XK_KP_Page_Up, KEY_KP9},
    {XK_KP_Page_Down, KEY_KP3},
    {XK_KP_End, KEY_KP1},
    {XK_KP_Begin, KEY_KP5},
    {XK_KP_Insert, KEY_KP0},
    {XK_KP_Delete, KEY_KPDOT},
    {XK_KP_Equal, KEY_KPEQUAL},
    {XK_KP_Multiply, KEY_KPASTERISK},
    {XK_KP_Add, KEY_KPPLUS},
    {XK_KP_Separator, KEY_KPCOMMA},
    {XK_KP_Subtract, KEY_KPMINUS},
    {XK_KP_Decimal, KEY_KPDOT},
    {XK_KP_Divide, KEY_KPSLASH},
    {XK_KP_0, KEY_KP0},
    {XK_KP_1, KEY_KP1},
    {XK_KP_2, KEY_KP2},
    {XK_KP_3, KEY_KP3},
    {XK_KP_4, KEY_KP4},
    {XK_KP_5, KEY_KP5},
    {XK_KP_6, KEY_KP6},
    {XK_KP_7, KEY_KP7},
    {XK_KP_8, KEY_KP8},
    {XK_KP_9, KEY_KP9},
    {XK_F1, KEY_F1},
    {XK_F2, KEY_F2},
    {XK_F3, KEY_F3},
    {XK_F4, KEY_F4},
    {XK_F5, KEY_F5},
    {XK_F6, KEY_F6},
    {XK_F7, KEY_F7},
    {XK_F8, KEY_F8},
    {XK_F9, KEY_F9},
    {XK_F10, KEY_F10},
    {XK_F11, KEY_F11},
    {XK_F12, KEY_F12},
    {XK_Shift_L, KEY_LEFTSHIFT},
    {XK_Shift_R, KEY_RIGHTSHIFT},
    {XK_Control_L, KEY_LEFTCTRL},
    {XK_Control_R, KEY_RIGHTCTRL},
    {XK_Caps_Lock, KEY_CAPSLOCK},
    {XK_Meta_L, KEY_LEFTALT},
    {XK_Meta_R, KEY_RIGHTALT},
    {XK_Alt_L, KEY_LEFTALT},
    {XK_Alt_R, KEY_RIGHTALT},
    {XK_Super_L, KEY_LEFTMETA},
    {XK_Super_R, KEY_RIGHTMETA},
};

/* Scan codes behind E0 whose evdev code is another number; below 0x59 without E0 they are equal. */
static const struct {
    uint8_t scan_code, code;
} extended_scan_codes[] = {
    {0x1c, KEY_KPENTER},   {0x1d, KEY_RIGHTCTRL}, {0x20, KEY_MUTE},   {0x2e, KEY_VOLUMEDOWN},
    {0x30, KEY_VOLUMEUP},  {0x35, KEY_KPSLASH},   {0x37, KEY_SYSRQ},  {0x38, KEY_RIGHTALT},
    {0x46, KEY_PAUSE},     {0x47, KEY_HOME},      {0x48, KEY_UP},     {0x49, KEY_PAGEUP},
    {0x4b, KEY_LEFT},      {0x4d, KEY_RIGHT},     {0x4f, KEY_END},    {0x50, KEY_DOWN},
    {0x51, KEY_PAGEDOWN},  {0x52, KEY_INSERT},    {0x53, KEY_DELETE}, {0x5b, KEY_LEFTMETA},
    {0x5c, KEY_RIGHTMETA}, {0x5d, KEY_COMPOSE},   {0x5e, KEY_POWER},  {0x5f, KEY_SLEEP},
    {0x63, KEY_WAKEUP},
};
static const struct {
    uint8_t scan_code, code;
} odd_scan_codes[] = {
    {0x54, KEY_SYSRQ}, {0x59, KEY_KPEQUAL}, {0x70, KEY_KATAKANAHIRAGANA},
    {0x73, KEY_RO},    {0x79, KEY_HENKAN},  {0x7b, KEY_MUHENKAN},
    {0x7d, KEY_YEN},   {0x7e, KEY_KPCOMMA},
};
#define LAST_EQUAL_SCAN_CODE 0x58 /* F12 */

/* The US keys of a Russian keyboard, for the keysyms 0x6c0-0x6df (X11: KOI8-R's order) and the
 * letters U+0430-044F. The guest sees the keys, and what they mean is its own layout's matter. */
#define CYRILLIC_SMALL       0x6c0u
#define CYRILLIC_CAPITAL     0x6e0u
#define CYRILLIC_IO          0x6a3u
#define CYRILLIC_IO_CAPITAL  0x6b3u
static const char koi8_keys[] = ".f,wltau[bqrkvyjgzhcne;dmspi'ox]";
static const char unicode_keys[] = "f,dult;pbqrkvyjghcnea[wxio]sm'.z";

static bool is_held(const VncKeys *keys, unsigned code)
{
    return keys->held[code / 8] & 1 << code % 8;
}

static bool is_modifier(unsigned code)
{
    return code == KEY_LEFTSHIFT || code == KEY_RIGHTSHIFT || code == KEY_LEFTCTRL ||
           code == KEY_RIGHTCTRL || code == KEY_LEFTALT || code == KEY_RIGHTALT ||
           code == KEY_LEFTMETA || code == KEY_RIGHTMETA;
}

static void send(VncKeys *keys, unsigned code, bool down)
{
    if (is_held(keys, code) == down)
        return; /* the viewer's auto-repeat: the guest's keyboard has its own */
    keys->held[code / 8] ^= (uint8_t)(1 << code % 8);
    if (code == KEY_CAPSLOCK && down)
        keys->caps_lock = !keys->caps_lock;
    keys->send(keys->opaque, code, down);
}

/* A Cyrillic letter as the character on its key. */
static uint32_t russian_key(unsigned keysym, bool *capital)
{
    *capital = false;
    if (keysym >= CYRILLIC_CAPITAL && keysym < CYRILLIC_CAPITAL + 32) {
        *capital = true;
        return (uint8_t)koi8_keys[keysym - CYRILLIC_CAPITAL];
    }
    if (keysym >= CYRILLIC_SMALL && keysym < CYRILLIC_SMALL + 32)
        return (uint8_t)koi8_keys[keysym - CYRILLIC_SMALL];
    if (keysym >= UNICODE_KEYSYM + 0x410 && keysym < UNICODE_KEYSYM + 0x430) {
        *capital = true;
        return (uint8_t)unicode_keys[keysym - UNICODE_KEYSYM - 0x410];
    }
    if (keysym >= UNICODE_KEYSYM + 0x430 && keysym < UNICODE_KEYSYM + 0x450)
        return (uint8_t)unicode_keys[keysym - UNICODE_KEYSYM - 0x430];
    if (keysym == CYRILLIC_IO || keysym == UNICODE_KEYSYM + 0x451)
        return '`';
    if (keysym == CYRILLIC_IO_CAPITAL || keysym == UNICODE_KEYSYM + 0x401) {
        *capital = true;
        return '`';
    }
    return 0;
}

typedef struct {
    unsigned code;
    bool is_character, shift;
} KeyStroke;

static bool find_stroke(const VncKeys *keys, unsigned keysym, KeyStroke *stroke)
{
    bool capital;
    uint32_t character = russian_key(keysym, &capital);

    *stroke = (KeyStroke){0};
    for (size_t i = 0; i < G_N_ELEMENTS(special_keys); i++) {
        if (special_keys[i].keysym == keysym) {
            stroke->code = special_keys[i].code;
            return true;
        }
    }
    stroke->is_character = true;
    if (character) {
        bool unused;
        if (!key_for_character(character, &stroke->code, &unused))
            return false;
        stroke->shift = capital != keys->caps_lock;
        return true;
    }
    if (keysym > UNICODE_KEYSYM)
        keysym -= UNICODE_KEYSYM;
    if (keysym < ' ' || !key_for_character(keysym, &stroke->code, &stroke->shift))
        return false;
    if (g_ascii_isalpha((char)keysym))
        stroke->shift = stroke->shift != keys->caps_lock;
    return true;
}

/* Presses the key with Shift as the character needs it, then puts Shift back. */
static void press_character(VncKeys *keys, const KeyStroke *stroke)
{
    bool left = is_held(keys, KEY_LEFTSHIFT), right = is_held(keys, KEY_RIGHTSHIFT);

    if (stroke->shift && !left && !right) {
        send(keys, KEY_LEFTSHIFT, true);
        send(keys, stroke->code, true);
        send(keys, KEY_LEFTSHIFT, false);
    } else if (!stroke->shift && (left || right)) {
        send(keys, KEY_LEFTSHIFT, false);
        send(keys, KEY_RIGHTSHIFT, false);
        send(keys, stroke->code, true);
        send(keys, KEY_LEFTSHIFT, left);
        send(keys, KEY_RIGHTSHIFT, right);
    } else {
        send(keys, stroke->code, true);
    }
}

void vnc_keys_press(VncKeys *keys, unsigned keysym, bool down)
{
    KeyStroke stroke;

    if (!find_stroke(keys, keysym, &stroke))
        return;
    /* With Ctrl, Alt or Super a combination is meant, not a character. */
    bool combination = is_held(keys, KEY_LEFTCTRL) || is_held(keys, KEY_RIGHTCTRL) ||
                       is_held(keys, KEY_LEFTALT) || is_held(keys, KEY_RIGHTALT) ||
                       is_held(keys, KEY_LEFTMETA) || is_held(keys, KEY_RIGHTMETA);
    if (down && stroke.is_character && !combination && !is_held(keys, stroke.code))
        press_character(keys, &stroke);
    else
        send(keys, stroke.code, down);
}

static unsigned code_of_scan_code(unsigned scan_code)
{
    unsigned low = scan_code & 0x7f;

    if (scan_code & 0x80) {
        for (size_t i = 0; i < G_N_ELEMENTS(extended_scan_codes); i++)
            if (extended_scan_codes[i].scan_code == low)
                return extended_scan_codes[i].code;
        return 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(odd_scan_codes); i++)
        if (odd_scan_codes[i].scan_code == low)
            return odd_scan_codes[i].code;
    return low <= LAST_EQUAL_SCAN_CODE ? low : 0;
}

bool vnc_keys_press_scan_code(VncKeys *keys, unsigned scan_code, bool down)
{
    unsigned code = scan_code <= 0xff ? code_of_scan_code(scan_code) : 0;

    if (!code)
        return false;
    send(keys, code, down);
    return true;
}

void vnc_keys_release_all(VncKeys *keys)
{
    /* Modifiers last, or what is still down would mean something else. */
    for (int modifiers = 0; modifiers < 2; modifiers++)
        for (unsigned code = 0; code < KEY_CNT; code++)
            if (is_modifier(code) == modifiers && is_held(keys, code))
                send(keys, code, false);
}
