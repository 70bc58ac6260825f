/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/text-grid.h"

static bool is_blank(gunichar character)
{
    return character == ' ' || character == 0xa0;
}

/* Characters of ROW up to its last that is not blank. */
static int row_length(const DisplayText *text, int row)
{
    const gunichar *characters = text->characters + (size_t)row * (size_t)text->columns;
    int length = text->columns;

    while (length > 0 && is_blank(characters[length - 1]))
        length--;
    return length;
}

int apiary_text_grid_size(const DisplayText *text)
{
    return text->columns * text->rows;
}

char *apiary_text_grid_range(const DisplayText *text, int from, int to)
{
    GString *out = g_string_new(NULL);

    for (int row = from / text->columns; row * text->columns < to; row++) {
        int start = row * text->columns, end = start + text->columns;
        int last = to < end ? to : start + row_length(text, row);
        for (int cell = MAX(from, start); cell < last; cell++)
            g_string_append_unichar(out, text->characters[cell]);
        if (to > end)
            g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}

void apiary_text_grid_word(const DisplayText *text, int cell, int *from, int *to)
{
    int start = cell / text->columns * text->columns, end = start + text->columns;
    bool blank = is_blank(text->characters[cell]);

    for (*from = cell; *from > start && is_blank(text->characters[*from - 1]) == blank;)
        --*from;
    for (*to = cell + 1; *to < end && is_blank(text->characters[*to]) == blank;)
        ++*to;
}

int apiary_text_grid_length(const DisplayText *text)
{
    return apiary_text_grid_offset(text, apiary_text_grid_size(text));
}

int apiary_text_grid_offset(const DisplayText *text, int place)
{
    int row = MIN(place / text->columns, text->rows - 1), offset = 0;

    for (int above = 0; above < row; above++)
        offset += row_length(text, above) + 1;
    return offset + MIN(place - row * text->columns, row_length(text, row));
}

int apiary_text_grid_place(const DisplayText *text, int offset)
{
    int row = 0, length;

    while ((length = row_length(text, row)) < offset && row + 1 < text->rows) {
        offset -= length + 1;
        row++;
    }
    return row * text->columns + CLAMP(offset, 0, length);
}
