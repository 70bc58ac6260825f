/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Keysyms and scan codes become keys; characters come with the Shift they need on a US keyboard. */

#include "core/remote/vnc-keys.h"

#include <glib.h>
#include <rfb/keysym.h>

typedef struct {
    VncKeys keys;
    GString *log; /* "+30 -30 ": code down, code up */
} Fixture;

static void record(void *opaque, unsigned code, bool down)
{
    g_string_append_printf(((Fixture *)opaque)->log, "%c%u ", down ? '+' : '-', code);
}

static void set_up(Fixture *f, gconstpointer unused)
{
    f->keys.send = record;
    f->keys.opaque = f;
    f->log = g_string_new(NULL);
}

static void tear_down(Fixture *f, gconstpointer unused)
{
    g_string_free(f->log, TRUE);
}

static void press(Fixture *f, unsigned keysym)
{
    vnc_keys_press(&f->keys, keysym, true);
    vnc_keys_press(&f->keys, keysym, false);
}

static void expect(Fixture *f, const char *log)
{
    g_assert_cmpstr(f->log->str, ==, log);
    g_string_truncate(f->log, 0);
}

static void test_plain(Fixture *f, gconstpointer unused)
{
    press(f, 'a');
    expect(f, "+30 -30 ");
    press(f, XK_Return);
    expect(f, "+28 -28 ");
    press(f, XK_KP_5);
    expect(f, "+76 -76 ");
    press(f, XK_F12);
    expect(f, "+88 -88 ");
    press(f, 0xe4); /* no key of a US keyboard types a diaeresis */
    press(f, 0);
    press(f, 0xffffffff);
    expect(f, "");
}

static void test_shift(Fixture *f, gconstpointer unused)
{
    /* A viewer without modifiers, as programs send text. */
    press(f, 'A');
    expect(f, "+42 +30 -42 -30 ");
    press(f, '|');
    expect(f, "+42 +43 -42 -43 ");
    /* A person's. */
    vnc_keys_press(&f->keys, XK_Shift_R, true);
    press(f, '!');
    expect(f, "+54 +2 -2 ");
    /* A German keyboard has / on Shift+7. */
    vnc_keys_press(&f->keys, '/', true);
    vnc_keys_press(&f->keys, '/', false);
    expect(f, "-54 +53 +54 -53 ");
    vnc_keys_press(&f->keys, XK_Shift_R, false);
    expect(f, "-54 ");
}

static void test_caps_lock(Fixture *f, gconstpointer unused)
{
    press(f, XK_Caps_Lock);
    expect(f, "+58 -58 ");
    press(f, 'A'); /* the guest's caps lock does it */
    expect(f, "+30 -30 ");
    press(f, 'a');
    expect(f, "+42 +30 -42 -30 ");
    press(f, '1'); /* caps lock is for letters */
    expect(f, "+2 -2 ");
}

static void test_combination(Fixture *f, gconstpointer unused)
{
    vnc_keys_press(&f->keys, XK_Control_L, true);
    press(f, 'C');
    vnc_keys_press(&f->keys, XK_Alt_L, true);
    press(f, XK_Delete);
    expect(f, "+29 +46 -46 +56 +111 -111 ");
}

static void test_repeat_and_release(Fixture *f, gconstpointer unused)
{
    for (int i = 0; i < 3; i++)
        vnc_keys_press(&f->keys, 'x', true);
    vnc_keys_press(&f->keys, XK_Shift_L, true);
    vnc_keys_press(&f->keys, 'X', false); /* viewers name a key by what it would type now */
    expect(f, "+45 +42 -45 ");
    vnc_keys_press(&f->keys, XK_Down, true);
    vnc_keys_release_all(&f->keys);
    expect(f, "+108 -108 -42 ");
    vnc_keys_release_all(&f->keys);
    expect(f, "");
}

static void test_russian(Fixture *f, gconstpointer unused)
{
    static const unsigned small[] = {0x6c1, 0x6c2, 0x6d1, 0x6da, 0x6a3, 0x0100044f, 0x01000431};

    for (size_t i = 0; i < G_N_ELEMENTS(small); i++)
        press(f, small[i]); /* а б я з ё я б stand on F , Z P ` Z , */
    expect(f, "+33 -33 +51 -51 +44 -44 +25 -25 +41 -41 +44 -44 +51 -51 ");
    press(f, 0x6e1);
    press(f, 0x01000410);
    expect(f, "+42 +33 -42 -33 +42 +33 -42 -33 ");
}

static void test_scan_codes(Fixture *f, gconstpointer unused)
{
    static const struct {
        unsigned scan_code, code;
    } cases[] = {{0x1e, KEY_A},        {0x58, KEY_F12},   {0x56, KEY_102ND},  {0x9c, KEY_KPENTER},
                 {0xb8, KEY_RIGHTALT}, {0xc8, KEY_UP},    {0xd3, KEY_DELETE}, {0x73, KEY_RO},
                 {0xdb, KEY_LEFTMETA}, {0xc6, KEY_PAUSE}, {0x45, KEY_NUMLOCK}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *log = g_strdup_printf("+%u -%u ", cases[i].code, cases[i].code);
        g_assert_true(vnc_keys_press_scan_code(&f->keys, cases[i].scan_code, true));
        g_assert_true(vnc_keys_press_scan_code(&f->keys, cases[i].scan_code, false));
        expect(f, log);
    }
    g_assert_false(vnc_keys_press_scan_code(&f->keys, 0, true));
    g_assert_false(vnc_keys_press_scan_code(&f->keys, 0x1001e, true));
    g_assert_false(vnc_keys_press_scan_code(&f->keys, 0xff, true));
    expect(f, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/vnc-keys/" name, Fixture, NULL, set_up, func, tear_down)
    ADD("plain", test_plain);
    ADD("shift", test_shift);
    ADD("caps-lock", test_caps_lock);
    ADD("combination", test_combination);
    ADD("repeat-and-release", test_repeat_and_release);
    ADD("russian", test_russian);
    ADD("scan-codes", test_scan_codes);
    return g_test_run();
}
