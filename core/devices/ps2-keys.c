/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/devices/ps2-keys.h"

#include <linux/input-event-codes.h>
#include <stddef.h>

/* The keyboard controller's translation table, IBM PS/2 Hardware Technical Reference, "Keyboard and
 * auxiliary device controller", scan code translation. Bytes from 85h on pass unchanged. */
static const uint8_t set2_to_set1[0x85] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
    0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
    0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
    0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
    0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
    0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
    0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
    0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41, 0x54,
};

/* Set 1 make codes by evdev code; 0xe0xx has the extended prefix. Up to KEY_F12 evdev codes are set
 * 1 codes by design, but for the few named below. */
static const struct {
    uint8_t code;
    uint16_t set1;
} other_keys[] = {
    {KEY_ZENKAKUHANKAKU, 0x76}, {KEY_RO, 0x73},          {KEY_KATAKANA, 0x78},
    {KEY_HIRAGANA, 0x77},       {KEY_HENKAN, 0x79},      {KEY_KATAKANAHIRAGANA, 0x70},
    {KEY_MUHENKAN, 0x7b},       {KEY_KPJPCOMMA, 0x5c},   {KEY_KPENTER, 0xe01c},
    {KEY_RIGHTCTRL, 0xe01d},    {KEY_KPSLASH, 0xe035},   {KEY_SYSRQ, 0xe037},
    {KEY_RIGHTALT, 0xe038},     {KEY_HOME, 0xe047},      {KEY_UP, 0xe048},
    {KEY_PAGEUP, 0xe049},       {KEY_LEFT, 0xe04b},      {KEY_RIGHT, 0xe04d},
    {KEY_END, 0xe04f},          {KEY_DOWN, 0xe050},      {KEY_PAGEDOWN, 0xe051},
    {KEY_INSERT, 0xe052},       {KEY_DELETE, 0xe053},    {KEY_MUTE, 0xe020},
    {KEY_VOLUMEDOWN, 0xe02e},   {KEY_VOLUMEUP, 0xe030},  {KEY_POWER, 0xe05e},
    {KEY_KPEQUAL, 0x59},        {KEY_KPCOMMA, 0x7e},     {KEY_YEN, 0x7d},
    {KEY_LEFTMETA, 0xe05b},     {KEY_RIGHTMETA, 0xe05c}, {KEY_COMPOSE, 0xe05d},
    {KEY_CALC, 0xe021},         {KEY_SLEEP, 0xe05f},     {KEY_WAKEUP, 0xe063},
    {KEY_MAIL, 0xe06c},         {KEY_BACK, 0xe06a},      {KEY_FORWARD, 0xe069},
    {KEY_NEXTSONG, 0xe019},     {KEY_PLAYPAUSE, 0xe022}, {KEY_PREVIOUSSONG, 0xe010},
    {KEY_STOPCD, 0xe024},       {KEY_HOMEPAGE, 0xe032},  {KEY_REFRESH, 0xe067},
    {KEY_SEARCH, 0xe065},
};

/* Set 3 make codes that differ from set 2's. */
static const struct {
    uint8_t code, set3;
} set3_keys[] = {
    {KEY_F1, 0x07},        {KEY_F2, 0x0f},        {KEY_F3, 0x17},         {KEY_F4, 0x1f},
    {KEY_F5, 0x27},        {KEY_F6, 0x2f},        {KEY_F7, 0x37},         {KEY_F8, 0x3f},
    {KEY_F9, 0x47},        {KEY_F10, 0x4f},       {KEY_F11, 0x56},        {KEY_F12, 0x5e},
    {KEY_ESC, 0x08},       {KEY_SYSRQ, 0x57},     {KEY_SCROLLLOCK, 0x5f}, {KEY_PAUSE, 0x62},
    {KEY_BACKSLASH, 0x5c}, {KEY_CAPSLOCK, 0x14},  {KEY_LEFTCTRL, 0x11},   {KEY_LEFTALT, 0x19},
    {KEY_RIGHTALT, 0x39},  {KEY_RIGHTCTRL, 0x58}, {KEY_INSERT, 0x67},     {KEY_DELETE, 0x64},
    {KEY_LEFT, 0x61},      {KEY_HOME, 0x6e},      {KEY_END, 0x65},        {KEY_UP, 0x63},
    {KEY_DOWN, 0x60},      {KEY_PAGEUP, 0x6f},    {KEY_PAGEDOWN, 0x6d},   {KEY_RIGHT, 0x6a},
    {KEY_NUMLOCK, 0x76},   {KEY_KPSLASH, 0x77},   {KEY_KPASTERISK, 0x7e}, {KEY_KPMINUS, 0x84},
    {KEY_KPPLUS, 0x7c},    {KEY_KPENTER, 0x79},   {KEY_LEFTMETA, 0x8b},   {KEY_RIGHTMETA, 0x8c},
    {KEY_COMPOSE, 0x8d},   {KEY_102ND, 0x13},
};

uint8_t ps2_translate(uint8_t set2)
{
    return set2 < sizeof(set2_to_set1) ? set2_to_set1[set2] : set2;
}

static uint16_t set1_code(unsigned code)
{
    if (code >= KEY_ESC && code <= KEY_F12 && code != KEY_ZENKAKUHANKAKU)
        return code;
    for (size_t i = 0; i < sizeof(other_keys) / sizeof(other_keys[0]); i++)
        if (other_keys[i].code == code)
            return other_keys[i].set1;
    return 0;
}

static uint8_t set2_of_set1(uint8_t set1)
{
    /* F7 and SysRq have two sources in the table; the keyboard sends the high ones. */
    for (size_t i = sizeof(set2_to_set1); i-- > 1;)
        if (set2_to_set1[i] == set1)
            return i;
    return 0;
}

static unsigned set1_sequence(unsigned code, bool down, uint8_t *bytes)
{
    unsigned n = 0;

    if (code == KEY_PAUSE) { /* make and break at once */
        static const uint8_t pause[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
        for (; down && n < sizeof(pause); n++)
            bytes[n] = pause[n];
        return n;
    }
    uint16_t make = set1_code(code);
    if (!make)
        return 0;
    if (make >> 8)
        bytes[n++] = make >> 8;
    bytes[n++] = (make & 0x7f) | (down ? 0 : 0x80);
    return n;
}

static unsigned set2_sequence(unsigned code, bool down, uint8_t *bytes)
{
    unsigned n = 0;

    if (code == KEY_PAUSE) {
        static const uint8_t pause[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
        for (; down && n < sizeof(pause); n++)
            bytes[n] = pause[n];
        return n;
    }
    uint16_t make = set1_code(code);
    if (!make)
        return 0;
    if (make >> 8)
        bytes[n++] = make >> 8;
    if (!down)
        bytes[n++] = 0xf0;
    bytes[n++] = set2_of_set1(make & 0x7f);
    return n;
}

static unsigned set3_sequence(unsigned code, bool down, uint8_t *bytes)
{
    unsigned n = 0;
    uint8_t make = 0;

    for (size_t i = 0; i < sizeof(set3_keys) / sizeof(set3_keys[0]); i++)
        if (set3_keys[i].code == code)
            make = set3_keys[i].set3;
    if (!make && !(set1_code(code) >> 8))
        make = set2_of_set1(set1_code(code));
    if (!make)
        return 0;
    if (!down)
        bytes[n++] = 0xf0;
    bytes[n++] = make;
    return n;
}

unsigned ps2_key_sequence(unsigned code, bool down, int set, uint8_t bytes[PS2_MAX_SEQUENCE])
{
    switch (set) {
    case 1: return set1_sequence(code, down, bytes);
    case 3: return set3_sequence(code, down, bytes);
    default: return set2_sequence(code, down, bytes);
    }
}
