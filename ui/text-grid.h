/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * A text screen as text: what is selected, copied and read aloud. A cell is row * columns + column;
 * a place between two cells has the number of the second one, so that a range of cells is from its
 * first up to, not including, its second number.
 *
 * An offset counts the characters of the whole screen's text, in which rows lose the blanks at
 * their ends and are parted by newlines.
 */

#include "core/machine/display.h"

int apiary_text_grid_size(const DisplayText *text); /* cells */
/* The characters of a range: where it goes on to the next row, blanks before the row's end are left
 * out and a newline stands for it. FROM and TO from 0 to the size. Free with g_free. */
char *apiary_text_grid_range(const DisplayText *text, int from, int to);
/* The run of characters without blanks, or of blanks, that CELL is in, within its row. */
void apiary_text_grid_word(const DisplayText *text, int cell, int *from, int *to);

int apiary_text_grid_length(const DisplayText *text); /* characters of the whole text */
/* Of a place; one among the blanks at a row's end counts as the row's end. */
int apiary_text_grid_offset(const DisplayText *text, int place);
/* The place of an offset; beyond the text it is the end of the last row. */
int apiary_text_grid_place(const DisplayText *text, int offset);
