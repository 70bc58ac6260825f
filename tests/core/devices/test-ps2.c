/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Keyboard and mouse behind the controller, against the IBM PS/2 Hardware Technical Reference
 * ("Keyboards (101- and 102-key)", "Mouse") and Microsoft's IntelliMouse extension. */

#include "i8042-fixture.h"

/* --- keyboard --------------------------------------------------------------------------------- */

static void use_set(Fixture *f, int set)
{
    keyboard(f, 0xf0);
    keyboard(f, set);
    assert_bytes(f, "fa fa");
}

/* Make and break codes of keys of every kind: TRM, scan code tables 1, 2 and 3. */
static void test_scan_codes(void)
{
    static const struct {
        unsigned code;
        const char *sets[3];
    } keys[] = {
        {KEY_A, {"1e 9e", "1c f0 1c", "1c f0 1c"}},
        {KEY_Z, {"2c ac", "1a f0 1a", "1a f0 1a"}},
        {KEY_1, {"02 82", "16 f0 16", "16 f0 16"}},
        {KEY_ESC, {"01 81", "76 f0 76", "08 f0 08"}},
        {KEY_GRAVE, {"29 a9", "0e f0 0e", "0e f0 0e"}},
        {KEY_BACKSLASH, {"2b ab", "5d f0 5d", "5c f0 5c"}},
        {KEY_102ND, {"56 d6", "61 f0 61", "13 f0 13"}},
        {KEY_ENTER, {"1c 9c", "5a f0 5a", "5a f0 5a"}},
        {KEY_SPACE, {"39 b9", "29 f0 29", "29 f0 29"}},
        {KEY_LEFTSHIFT, {"2a aa", "12 f0 12", "12 f0 12"}},
        {KEY_LEFTCTRL, {"1d 9d", "14 f0 14", "11 f0 11"}},
        {KEY_LEFTALT, {"38 b8", "11 f0 11", "19 f0 19"}},
        {KEY_CAPSLOCK, {"3a ba", "58 f0 58", "14 f0 14"}},
        {KEY_F1, {"3b bb", "05 f0 05", "07 f0 07"}},
        {KEY_F7, {"41 c1", "83 f0 83", "37 f0 37"}},
        {KEY_F10, {"44 c4", "09 f0 09", "4f f0 4f"}},
        {KEY_F11, {"57 d7", "78 f0 78", "56 f0 56"}},
        {KEY_F12, {"58 d8", "07 f0 07", "5e f0 5e"}},
        {KEY_NUMLOCK, {"45 c5", "77 f0 77", "76 f0 76"}},
        {KEY_SCROLLLOCK, {"46 c6", "7e f0 7e", "5f f0 5f"}},
        {KEY_KP7, {"47 c7", "6c f0 6c", "6c f0 6c"}},
        {KEY_KPDOT, {"53 d3", "71 f0 71", "71 f0 71"}},
        {KEY_KPASTERISK, {"37 b7", "7c f0 7c", "7e f0 7e"}},
        {KEY_KPMINUS, {"4a ca", "7b f0 7b", "84 f0 84"}},
        {KEY_KPPLUS, {"4e ce", "79 f0 79", "7c f0 7c"}},
        {KEY_KPENTER, {"e0 1c e0 9c", "e0 5a e0 f0 5a", "79 f0 79"}},
        {KEY_KPSLASH, {"e0 35 e0 b5", "e0 4a e0 f0 4a", "77 f0 77"}},
        {KEY_RIGHTCTRL, {"e0 1d e0 9d", "e0 14 e0 f0 14", "58 f0 58"}},
        {KEY_RIGHTALT, {"e0 38 e0 b8", "e0 11 e0 f0 11", "39 f0 39"}},
        {KEY_LEFTMETA, {"e0 5b e0 db", "e0 1f e0 f0 1f", "8b f0 8b"}},
        {KEY_UP, {"e0 48 e0 c8", "e0 75 e0 f0 75", "63 f0 63"}},
        {KEY_LEFT, {"e0 4b e0 cb", "e0 6b e0 f0 6b", "61 f0 61"}},
        {KEY_HOME, {"e0 47 e0 c7", "e0 6c e0 f0 6c", "6e f0 6e"}},
        {KEY_INSERT, {"e0 52 e0 d2", "e0 70 e0 f0 70", "67 f0 67"}},
        {KEY_DELETE, {"e0 53 e0 d3", "e0 71 e0 f0 71", "64 f0 64"}},
        {KEY_PAGEDOWN, {"e0 51 e0 d1", "e0 7a e0 f0 7a", "6d f0 6d"}},
        {KEY_SYSRQ, {"e0 37 e0 b7", "e0 7c e0 f0 7c", "57 f0 57"}},
        {KEY_PAUSE, {"e1 1d 45 e1 9d c5", "e1 14 77 e1 f0 14 f0 77", "62 f0 62"}},
        {KEY_MACRO, {"", "", ""}}, /* no such key on this keyboard */
    };
    Fixture f;

    fixture_init(&f, 0x03);
    for (int set = 1; set <= 3; set++) {
        use_set(&f, set);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
            tap(&f, keys[i].code);
            assert_bytes(&f, keys[i].sets[set - 1]);
        }
    }
    keyboard(&f, 0xf0); /* argument 0 asks */
    keyboard(&f, 0);
    assert_bytes(&f, "fa fa 03");
    keyboard(&f, 0xf0);
    keyboard(&f, 4);
    assert_bytes(&f, "fa fe");
    fixture_destroy(&f);
}

/* The controller turns set 2 into set 1, whatever the key. */
static void test_translation(void)
{
    Fixture raw, translated;

    fixture_init(&raw, 0x03);
    use_set(&raw, 1);
    fixture_init(&translated, 0x43);
    for (unsigned code = KEY_ESC; code < 256; code++) {
        if (code == KEY_PAUSE || code == KEY_SYSRQ)
            continue; /* tested by hand: their sequences are longer */
        tap(&raw, code);
        tap(&translated, code);
        g_autofree char *expected = take(&raw);
        assert_bytes(&translated, expected);
    }
    tap(&translated, KEY_PAUSE);
    assert_bytes(&translated, "e1 1d 45 e1 9d c5");
    fixture_destroy(&translated);
    fixture_destroy(&raw);
}

static void test_keyboard_commands(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    keyboard(&f, 0xff);
    assert_bytes(&f, "fa aa");
    keyboard(&f, 0xee);
    assert_bytes(&f, "ee");
    keyboard(&f, 0xf2);
    assert_bytes(&f, "fa ab 83");
    keyboard(&f, 0xed);
    assert_bytes(&f, "fa");
    keyboard(&f, 0x07);
    assert_bytes(&f, "fa");
    /* A command instead of the argument is a command. */
    keyboard(&f, 0xed);
    keyboard(&f, 0xf2);
    assert_bytes(&f, "fa fa ab 83");
    keyboard(&f, 0xfe);
    assert_bytes(&f, "83");
    static const uint8_t unknown[] = {0x00, 0x7f, 0xef, 0xf1};
    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
        keyboard(&f, unknown[i]);
        assert_bytes(&f, "fe");
    }
    fixture_destroy(&f);
}

/* F4h, F5h and F6h: TRM "Enable", "Default Disable", "Set Default". */
static void test_scanning(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    use_set(&f, 1);
    keyboard(&f, 0xf5);
    assert_bytes(&f, "fa");
    tap(&f, KEY_A);
    assert_bytes(&f, "");
    keyboard(&f, 0xf6); /* goes on scanning only if it did */
    assert_bytes(&f, "fa");
    tap(&f, KEY_A);
    assert_bytes(&f, "");
    keyboard(&f, 0xf4);
    assert_bytes(&f, "fa");
    tap(&f, KEY_A);
    assert_bytes(&f, "1c f0 1c"); /* set 2 again: the defaults */
    /* What the keyboard still holds is thrown away by these (the first byte has left it). */
    tap(&f, KEY_A);
    keyboard(&f, 0xf6);
    assert_bytes(&f, "1c fa");
    tap(&f, KEY_A);
    assert_bytes(&f, "1c f0 1c");
    /* A key that went down while the keyboard was off sends its break code all the same. */
    keyboard(&f, 0xf5);
    key(&f, KEY_B, true);
    keyboard(&f, 0xf4);
    key(&f, KEY_B, false);
    assert_bytes(&f, "fa fa f0 32");
    fixture_destroy(&f);
}

/* Delay and rate: TRM "Set Typematic Rate/Delay". */
static void test_typematic(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    key(&f, KEY_A, true); /* the default: 500 ms, then 10.9 a second */
    assert_bytes(&f, "1c");
    pass_ms(&f, 499);
    assert_bytes(&f, "");
    pass_ms(&f, 2);
    assert_bytes(&f, "1c");
    pass_ms(&f, 90);
    assert_bytes(&f, "");
    pass_ms(&f, 3);
    assert_bytes(&f, "1c");
    key(&f, KEY_A, true); /* the host's own repeat is not passed on */
    assert_bytes(&f, "");
    key(&f, KEY_B, true); /* the last key down repeats */
    assert_bytes(&f, "32");
    pass_ms(&f, 501);
    assert_bytes(&f, "32");
    key(&f, KEY_A, false); /* another's release does not stop it */
    assert_bytes(&f, "f0 1c");
    pass_ms(&f, 93);
    assert_bytes(&f, "32");
    key(&f, KEY_B, false);
    assert_bytes(&f, "f0 32");
    pass_ms(&f, 2000);
    assert_bytes(&f, "");

    keyboard(&f, 0xf3);
    keyboard(&f, 0x00); /* 250 ms, 30 a second */
    assert_bytes(&f, "fa fa");
    key(&f, KEY_A, true);
    assert_bytes(&f, "1c");
    pass_ms(&f, 251);
    assert_bytes(&f, "1c");
    unsigned repeats = 0;
    for (int ms = 0; ms < 1000; ms++) {
        pass_ms(&f, 1);
        g_autofree char *bytes = take(&f);
        repeats += *bytes != 0;
    }
    g_assert_cmpuint(repeats, >=, 29);
    g_assert_cmpuint(repeats, <=, 30);
    /* Nobody reads: one repeat waits, not a pile. */
    pass_ms(&f, 10000);
    g_autofree char *waiting = take(&f);
    g_assert_cmpuint(strlen(waiting), <=, strlen("1c 1c"));
    key(&f, KEY_A, false);
    assert_bytes(&f, "f0 1c");

    keyboard(&f, 0xf3);
    keyboard(&f, 0x7f); /* 1 s, 2 a second */
    assert_bytes(&f, "fa fa");
    key(&f, KEY_A, true);
    assert_bytes(&f, "1c");
    pass_ms(&f, 999);
    assert_bytes(&f, "");
    pass_ms(&f, 2);
    assert_bytes(&f, "1c");
    pass_ms(&f, 495);
    assert_bytes(&f, "");
    pass_ms(&f, 10);
    assert_bytes(&f, "1c");
    keyboard(&f, 0xf4); /* ends the repetition */
    assert_bytes(&f, "fa");
    pass_ms(&f, 3000);
    assert_bytes(&f, "");
    key(&f, KEY_A, false);
    assert_bytes(&f, "f0 1c");
    /* Pause has no repetition. */
    key(&f, KEY_PAUSE, true);
    assert_bytes(&f, "e1 14 77 e1 f0 14 f0 77");
    pass_ms(&f, 3000);
    assert_bytes(&f, "");
    fixture_destroy(&f);
}

/* Scan code set 3 alone knows kinds of keys: TRM "Set All Keys", "Set Key Type". */
static void test_key_types(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    use_set(&f, 3);
    keyboard(&f, 0xf7); /* all: typematic, no break codes */
    assert_bytes(&f, "fa");
    tap(&f, KEY_A);
    assert_bytes(&f, "1c");
    key(&f, KEY_A, true);
    pass_ms(&f, 600);
    key(&f, KEY_A, false);
    assert_bytes(&f, "1c 1c");
    keyboard(&f, 0xf8); /* all: make and break */
    assert_bytes(&f, "fa");
    key(&f, KEY_A, true);
    pass_ms(&f, 5000);
    key(&f, KEY_A, false);
    assert_bytes(&f, "1c f0 1c");
    keyboard(&f, 0xf9); /* all: make only */
    assert_bytes(&f, "fa");
    key(&f, KEY_A, true);
    pass_ms(&f, 5000);
    key(&f, KEY_A, false);
    assert_bytes(&f, "1c");
    keyboard(&f, 0xfc); /* some: make and break; a list that the next command ends */
    keyboard(&f, 0x1c);
    keyboard(&f, 0x32);
    assert_bytes(&f, "fa fa fa");
    tap(&f, KEY_A); /* no scanning during the list */
    assert_bytes(&f, "");
    keyboard(&f, 0xf4);
    assert_bytes(&f, "fa");
    tap(&f, KEY_A);
    tap(&f, KEY_B);
    tap(&f, KEY_C);
    assert_bytes(&f, "1c f0 1c 32 f0 32 21");
    keyboard(&f, 0xfa); /* all of it again */
    assert_bytes(&f, "fa");
    key(&f, KEY_C, true);
    pass_ms(&f, 501);
    key(&f, KEY_C, false);
    assert_bytes(&f, "21 21 f0 21");
    /* The kinds mean nothing in set 2. */
    keyboard(&f, 0xf9);
    assert_bytes(&f, "fa");
    use_set(&f, 2);
    tap(&f, KEY_A);
    assert_bytes(&f, "1c f0 1c");
    fixture_destroy(&f);
}

/* The keyboard holds 16 bytes; then one code tells of the loss (FFh in set 1, else 00h). */
static void test_overrun(void)
{
    static const char *const lost[] = {"ff", "00", "00"};

    for (int set = 1; set <= 3; set++) {
        Fixture f;
        fixture_init(&f, 0x03);
        use_set(&f, set);
        for (int i = 0; i < 40; i++)
            tap(&f, KEY_UP);
        g_autofree char *bytes = take(&f);
        g_assert_cmpuint(strlen(bytes) / 3 + 1, <=, 16 + 1 + 1); /* one is in the controller */
        g_assert_true(g_str_has_suffix(bytes, lost[set - 1]));
        g_assert_null(strstr(bytes, "ff ff"));
        tap(&f, KEY_A); /* it goes on */
        g_autofree char *after = take(&f);
        g_assert_cmpstr(after, ==, set == 1 ? "1e 9e" : "1c f0 1c");
        fixture_destroy(&f);
    }
}

/* --- mouse ------------------------------------------------------------------------------------ */

static void set_rate(Fixture *f, uint8_t rate)
{
    mouse(f, 0xf3);
    mouse(f, rate);
    assert_bytes(f, "-fa -fa");
}

static void test_mouse_commands(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    mouse(&f, 0xff);
    assert_bytes(&f, "-fa -aa -00");
    mouse(&f, 0xf2);
    assert_bytes(&f, "-fa -00");
    mouse(&f, 0xe9); /* 4 counts a mm, 100 reports a second, off */
    assert_bytes(&f, "-fa -00 -02 -64");
    mouse(&f, 0xf4);
    mouse(&f, 0xe7);
    mouse(&f, 0xe8);
    mouse(&f, 3);
    g_free(take(&f)); /* a command drops the answers to earlier ones that nobody read */
    set_rate(&f, 40);
    move(&f, 0, 0, 0, POINTER_LEFT | POINTER_RIGHT);
    mouse(&f, 0xe9); /* a command throws the report away that is on its way */
    g_autofree char *status = take(&f);
    g_assert_true(g_str_has_suffix(status, "-fa -35 -03 -28"));
    mouse(&f, 0xf6);
    mouse(&f, 0xe9);
    g_autofree char *defaults = take(&f);
    g_assert_true(g_str_has_suffix(defaults, "-fa -05 -02 -64"));
    static const uint8_t unknown[] = {0x00, 0xe5, 0xed, 0xef, 0xf1, 0xf7};
    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
        mouse(&f, unknown[i]);
        assert_bytes(&f, "-fe");
    }
    mouse(&f, 0xee); /* wrap: everything comes back but EC and FF */
    assert_bytes(&f, "-fa");
    mouse(&f, 0xf4);
    assert_bytes(&f, "-f4");
    mouse(&f, 0x12);
    assert_bytes(&f, "-12");
    mouse(&f, 0xec);
    assert_bytes(&f, "-fa");
    mouse(&f, 0xf2);
    assert_bytes(&f, "-fa -00");
    fixture_destroy(&f);
}

/* Packets: byte 0 is Y sign, X sign, 1, middle, right, left. */
static void test_mouse_packets(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    move(&f, 5, 5, 0, 0); /* not enabled */
    assert_bytes(&f, "");
    mouse(&f, 0xff);
    assert_bytes(&f, "-fa -aa -00");
    mouse(&f, 0xf4);
    assert_bytes(&f, "-fa");
    move(&f, 3, 4, 0, 0); /* down the screen is negative */
    assert_bytes(&f, "-28 -03 -fc");
    move(&f, -1, -2, 0, POINTER_LEFT);
    assert_bytes(&f, "-19 -ff -02");
    move(&f, 0, 0, 0, POINTER_LEFT | POINTER_MIDDLE | POINTER_RIGHT);
    assert_bytes(&f, "-0f -00 -00");
    move(&f, 0, 0, 0, POINTER_LEFT | POINTER_MIDDLE | POINTER_RIGHT); /* nothing new */
    assert_bytes(&f, "");
    move(&f, 0, 0, 5, 0); /* no wheel, but the buttons are up */
    assert_bytes(&f, "-08 -00 -00");
    move(&f, 300, -300, 0, 0); /* in two: nine bits of movement at most */
    assert_bytes(&f, "-08 -ff -ff -08 -2d -2d");
    g_assert_true(f.ports.edges[12] > 0);
    /* 2:1 scaling in stream mode: 1, 2, 3, 4, 5 become 1, 1, 3, 6, 9; the rest doubles. */
    mouse(&f, 0xe7);
    assert_bytes(&f, "-fa");
    static const struct {
        int moved;
        uint8_t sent;
    } scaled[] = {{1, 1}, {2, 1}, {3, 3}, {4, 6}, {5, 9}, {6, 12}, {50, 100}, {-4, 0xfa}};
    for (size_t i = 0; i < G_N_ELEMENTS(scaled); i++) {
        move(&f, scaled[i].moved, 0, 0, 0);
        g_autofree char *expected =
            g_strdup_printf("-%02x -%02x -00", scaled[i].moved < 0 ? 0x18 : 0x08, scaled[i].sent);
        assert_bytes(&f, expected);
    }
    mouse(&f, 0xf0); /* remote: only when asked, and not scaled */
    assert_bytes(&f, "-fa");
    move(&f, 4, 0, 0, 0);
    assert_bytes(&f, "");
    mouse(&f, 0xeb);
    assert_bytes(&f, "-fa -08 -04 -00");
    mouse(&f, 0xeb);
    assert_bytes(&f, "-fa -08 -00 -00");
    mouse(&f, 0xea);
    mouse(&f, 0xe6);
    g_free(take(&f));
    move(&f, 4, 0, 0, 0);
    assert_bytes(&f, "-08 -04 -00");
    fixture_destroy(&f);
}

/* Rates 200, 100, 80 make it a wheel mouse, 200, 200, 80 then a five-button one. */
static void test_intellimouse(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    set_rate(&f, 200);
    set_rate(&f, 200);
    set_rate(&f, 80);
    mouse(&f, 0xf2);
    assert_bytes(&f, "-fa -00"); /* the second knock alone opens nothing */
    set_rate(&f, 200);
    set_rate(&f, 100);
    set_rate(&f, 80);
    mouse(&f, 0xf2);
    assert_bytes(&f, "-fa -03");
    mouse(&f, 0xf4);
    assert_bytes(&f, "-fa");
    move(&f, 0, 0, 1, 0); /* up is negative */
    assert_bytes(&f, "-08 -00 -00 -ff");
    move(&f, 1, 0, -2, 0);
    assert_bytes(&f, "-08 -01 -00 -02");
    move(&f, 0, 0, 0, POINTER_SIDE); /* three buttons */
    assert_bytes(&f, "");
    set_rate(&f, 200);
    set_rate(&f, 200);
    set_rate(&f, 80);
    mouse(&f, 0xf2);
    assert_bytes(&f, "-fa -04");
    move(&f, 0, 0, 0, POINTER_SIDE);
    assert_bytes(&f, "-08 -00 -00 -10");
    move(&f, 0, 0, -1, POINTER_EXTRA);
    assert_bytes(&f, "-08 -00 -00 -21");
    move(&f, 0, 0, 9, 0); /* four bits of wheel: the rest follows */
    assert_bytes(&f, "-08 -00 -00 -09 -08 -00 -00 -0e");
    mouse(&f, 0xff);
    assert_bytes(&f, "-fa -aa -00");
    fixture_destroy(&f);
}

/* A guest that does not read loses no button and no distance, and gets no endless queue. */
static void test_mouse_backlog(void)
{
    Fixture f;
    int sum = 0;

    fixture_init(&f, 0x03);
    mouse(&f, 0xf4);
    assert_bytes(&f, "-fa");
    for (int i = 0; i < 1000; i++)
        move(&f, 2, 0, 0, i & 1 ? POINTER_LEFT : 0);
    move(&f, 0, 0, 0, POINTER_RIGHT);
    unsigned first = 0, packets = 0;
    while (inb(&f.ports, 0x64) & OBF) {
        first = inb(&f.ports, 0x60);
        g_assert_cmphex(first & 0x18, ==, 0x08);
        sum += inb(&f.ports, 0x60);
        g_assert_cmphex(inb(&f.ports, 0x60), ==, 0);
        packets++;
    }
    g_assert_cmpint(sum, ==, 2000);
    g_assert_cmphex(first, ==, 0x0a);
    g_assert_cmpuint(packets, <, 20);
    /* Numbers no mouse sends do no harm. */
    for (int i = 0; i < 10; i++)
        move(&f, G_MAXINT, G_MININT, G_MAXINT, G_MAXUINT);
    for (packets = 0; inb(&f.ports, 0x64) & OBF; packets++)
        inb(&f.ports, 0x60);
    g_assert_cmpuint(packets, <, 100);
    fixture_destroy(&f);
}

/* Whatever bytes a guest sends in whatever order: no crash, and a reset makes it right. */
static void test_random_bytes(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    for (int i = 0; i < 200000; i++) {
        switch (g_test_rand_int_range(0, 8)) {
        case 0: keyboard(&f, g_test_rand_int()); break;
        case 1: mouse(&f, g_test_rand_int()); break;
        case 2: command(&f, g_test_rand_int()); break;
        case 3: key(&f, g_test_rand_int_range(0, 300), g_test_rand_int() & 1); break;
        case 4: move(&f, g_test_rand_int(), g_test_rand_int(), 1, g_test_rand_int()); break;
        case 5: pass_ms(&f, g_test_rand_int_range(0, 100)); break;
        default: inb(&f.ports, g_test_rand_int() & 1 ? 0x60 : 0x64); break;
        }
    }
    i8042_reset(f.controller);
    g_free(take(&f));
    keyboard(&f, 0xff);
    assert_bytes(&f, "fa aa");
    mouse(&f, 0xff);
    assert_bytes(&f, "-fa -aa -00");
    fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ps2/keyboard/scan-codes", test_scan_codes);
    g_test_add_func("/ps2/keyboard/translation", test_translation);
    g_test_add_func("/ps2/keyboard/commands", test_keyboard_commands);
    g_test_add_func("/ps2/keyboard/scanning", test_scanning);
    g_test_add_func("/ps2/keyboard/typematic", test_typematic);
    g_test_add_func("/ps2/keyboard/key-types", test_key_types);
    g_test_add_func("/ps2/keyboard/overrun", test_overrun);
    g_test_add_func("/ps2/mouse/commands", test_mouse_commands);
    g_test_add_func("/ps2/mouse/packets", test_mouse_packets);
    g_test_add_func("/ps2/mouse/intellimouse", test_intellimouse);
    g_test_add_func("/ps2/mouse/backlog", test_mouse_backlog);
    g_test_add_func("/ps2/random-bytes", test_random_bytes);
    return g_test_run();
}
