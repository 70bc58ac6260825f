/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/text-grid.h"

#include <string.h>

/* Four rows of six. */
static DisplayText *screen(void)
{
    static const char *const rows[] = {"ab  c ", "      ", "πx░   ", "longer"};
    DisplayText *text = g_malloc0(sizeof(*text) + sizeof(gunichar) * 24);

    text->columns = 6;
    text->rows = 4;
    text->cursor = -1;
    for (int row = 0; row < 4; row++) {
        const char *c = rows[row];
        for (int column = 0; column < 6; column++, c = g_utf8_next_char(c))
            text->characters[row * 6 + column] = g_utf8_get_char(c);
    }
    return text;
}

static void expect_range(const DisplayText *text, int from, int to, const char *expected)
{
    g_autofree char *range = apiary_text_grid_range(text, from, to);

    g_assert_cmpstr(range, ==, expected);
}

static void test_range(void)
{
    g_autofree DisplayText *text = screen();

    expect_range(text, 0, 24, "ab  c\n\nπx░\nlonger");
    expect_range(text, 0, 0, "");
    expect_range(text, 1, 3, "b "); /* blanks inside a row are part of what is selected */
    expect_range(text, 1, 6, "b  c");
    expect_range(text, 5, 6, "");
    expect_range(text, 5, 7, "\n ");
    expect_range(text, 4, 14, "c\n\nπx");
    expect_range(text, 18, 24, "longer");
    expect_range(text, 23, 24, "r");
}

static void test_word(void)
{
    g_autofree DisplayText *text = screen();
    static const int words[][3] = {{0, 0, 2},    {1, 0, 2},    {2, 2, 4},   {4, 4, 5},
                                   {13, 12, 15}, {20, 18, 24}, {23, 18, 24}};

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        int from, to;
        apiary_text_grid_word(text, words[i][0], &from, &to);
        g_assert_cmpint(from, ==, words[i][1]);
        g_assert_cmpint(to, ==, words[i][2]);
    }
}

/* Offsets are what the whole text's characters are counted by. */
static void test_offsets(void)
{
    g_autofree DisplayText *text = screen();
    g_autofree char *whole = apiary_text_grid_range(text, 0, 24);

    g_assert_cmpint(apiary_text_grid_length(text), ==, g_utf8_strlen(whole, -1));
    for (int offset = 0; offset <= apiary_text_grid_length(text); offset++) {
        int place = apiary_text_grid_place(text, offset);
        g_assert_cmpint(apiary_text_grid_offset(text, place), ==, offset);
        gunichar character = g_utf8_get_char(g_utf8_offset_to_pointer(whole, offset));
        if (character && character != '\n')
            g_assert_cmpuint(text->characters[place], ==, character);
    }
    g_assert_cmpint(apiary_text_grid_offset(text, 5), ==, 5);
    g_assert_cmpint(apiary_text_grid_offset(text, 9), ==, 6); /* the empty row */
    g_assert_cmpint(apiary_text_grid_place(text, 1000), ==, 24);
    g_assert_cmpint(apiary_text_grid_place(text, -1), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text-grid/range", test_range);
    g_test_add_func("/text-grid/word", test_word);
    g_test_add_func("/text-grid/offsets", test_offsets);
    return g_test_run();
}
