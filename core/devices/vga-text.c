/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The character generator: codes in plane 0, attributes in plane 1, two of eight fonts in plane 2
 * (TRM, "Alphanumeric Modes" and "RAM Loadable Character Generator").
 */

#include "core/devices/vga-core.h"

#define CELL_CURSOR         0x10000 /* the cursor is on this cell, and lit */
#define CELL_HIDDEN         0x20000 /* blinks, and is dark now */

#define ATTR_BLINK          0x80
#define ATTR_FONT_A         0x08
#define ATTR_UNDERLINE      0x01 /* of the bits in 0x77 */

#define LINE_GRAPHICS_FIRST 0xc0
#define LINE_GRAPHICS_LAST  0xdf

#define MAX_TEXT_ROWS       256 /* as text for clients; more rows are drawn all the same */

static uint32_t load_group(const VgaCore *vga, const VgaPicture *picture, uint32_t address)
{
    uint32_t value;
    memcpy(&value, vga->vram->host + vga_plane_offset(address & picture->plane_mask), 4);
    return value;
}

static bool load_font(const VgaCore *vga, const VgaPicture *picture, unsigned first, uint8_t *font)
{
    bool changed = false;
    for (unsigned i = 0; i < 256 * 32; i++) {
        uint8_t bits = (uint8_t)(load_group(vga, picture, first + i) >> 16);
        changed |= font[i] != bits;
        font[i] = bits;
    }
    return changed;
}

/* Finds the character rows of the picture. Returns whether they are others than before. */
static bool layout_rows(VgaShown *shown, const VgaPicture *picture)
{
    VgaLine line;
    bool changed = false;
    unsigned n = 0;
    vga_line_first(picture, &line);
    for (int y = 0; y < picture->height; y++, vga_line_next(picture, &line, y - 1)) {
        if (!line.row_start)
            continue;
        if (n == shown->rows_allocated) {
            shown->rows_allocated = MAX(64, shown->rows_allocated * 2);
            shown->rows = g_renew(VgaTextRow, shown->rows, shown->rows_allocated);
        }
        VgaTextRow *row = &shown->rows[n];
        if (n >= shown->n_rows || row->first_line != y || row->address != line.address ||
            row->pan != line.pan)
            changed = true;
        *row = (VgaTextRow){.first_line = y, .address = line.address, .pan = line.pan};
        n++;
    }
    for (unsigned i = 0; i < n; i++)
        shown->rows[i].n_lines = (i + 1 < n ? shown->rows[i + 1].first_line : picture->height) -
                                 shown->rows[i].first_line;
    changed |= n != shown->n_rows;
    shown->n_rows = n;
    return changed;
}

static uint32_t load_cell(const VgaCore *vga, const VgaPicture *picture, unsigned counter)
{
    /* Row scan bits may stand in for address bits; text modes have them off. */
    uint32_t cell = load_group(vga, picture, vga_counter_address(picture, counter, 0)) & 0xffff;
    if (vga->shown.cursor_phase && counter == vga->shown.cursor_address)
        cell |= CELL_CURSOR;
    if (picture->blink && !vga->shown.blink_phase && (cell & ATTR_BLINK << 8))
        cell |= CELL_HIDDEN;
    return cell;
}

static void publish_text(const VgaCore *vga, const VgaPicture *picture)
{
    const VgaShown *shown = &vga->shown;
    unsigned columns = picture->columns, rows = MIN(shown->n_rows, MAX_TEXT_ROWS);
    g_autofree uint16_t *cells = g_new(uint16_t, (size_t)columns * rows);
    for (unsigned row = 0; row < rows; row++) {
        for (unsigned column = 0; column < columns; column++)
            cells[row * columns + column] = (uint16_t)shown->cells[row * (columns + 1) + column];
    }
    display_set_text(vga->board->display, cells, (int)columns, (int)rows);
}

static void publish_cursor(const VgaCore *vga, const VgaPicture *picture)
{
    const VgaShown *shown = &vga->shown;
    bool on = picture->cursor_first <= picture->cursor_last;
    int cell = -1;

    for (unsigned row = 0; on && cell < 0 && row < MIN(shown->n_rows, MAX_TEXT_ROWS); row++) {
        unsigned column = shown->cursor_address - shown->rows[row].address;
        if (column < picture->columns)
            cell = (int)(row * picture->columns + column);
    }
    display_set_text_cursor(vga->board->display, cell);
}

void vga_text_collect(VgaCore *vga, const VgaPicture *picture, bool everything)
{
    VgaShown *shown = &vga->shown;
    unsigned stride = picture->columns + 1;
    bool text_changed = everything;

    everything |= layout_rows(shown, picture);
    everything |= load_font(vga, picture, picture->font_a, shown->font[0]);
    everything |= load_font(vga, picture, picture->font_b, shown->font[1]);
    size_t n_cells = (size_t)shown->n_rows * stride;
    if (n_cells > shown->cells_allocated) {
        shown->cells = g_renew(uint32_t, shown->cells, n_cells);
        memset(shown->cells + shown->cells_allocated, 0xff,
               (n_cells - shown->cells_allocated) * sizeof(*shown->cells));
        shown->cells_allocated = n_cells;
    }
    for (unsigned i = 0; i < shown->n_rows; i++) {
        VgaTextRow *row = &shown->rows[i];
        uint32_t *cells = shown->cells + (size_t)i * stride;
        row->changed = everything;
        for (unsigned column = 0; column < stride; column++) {
            uint32_t cell = load_cell(vga, picture, row->address + column);
            if (cell == cells[column])
                continue;
            text_changed |= (cell ^ cells[column]) & 0xffff;
            row->changed = true;
            cells[column] = cell;
        }
    }
    if (text_changed)
        publish_text(vga, picture);
    publish_cursor(vga, picture);
}

void vga_text_dots(const VgaCore *vga, const VgaPicture *picture, unsigned row, unsigned row_scan,
                   uint8_t *dots)
{
    const VgaShown *shown = &vga->shown;
    const uint32_t *cells = shown->cells + (size_t)row * (picture->columns + 1);
    bool cursor_line = row_scan >= picture->cursor_first && row_scan <= picture->cursor_last;

    for (unsigned column = 0; column <= picture->columns; column++, dots += picture->dots) {
        uint32_t cell = cells[column];
        uint8_t code = (uint8_t)cell, attribute = (uint8_t)(cell >> 8);
        uint8_t foreground = attribute & 0x0f;
        uint8_t background = attribute >> 4 & (picture->blink ? 0x07 : 0x0f);
        uint8_t bits = shown->font[attribute & ATTR_FONT_A ? 0 : 1][code * 32 + row_scan];
        if (row_scan == picture->underline && (attribute & 0x77) == ATTR_UNDERLINE)
            bits = 0xff;
        if (cell & CELL_HIDDEN)
            bits = 0;
        if ((cell & CELL_CURSOR) && cursor_line)
            bits = 0xff;
        uint64_t eight = vga_spread(bits) * (uint8_t)(foreground ^ background) ^
                         0x0101010101010101u * background;
        memcpy(dots, &eight, 8);
        if (picture->dots == 9) {
            /* The ninth column repeats the eighth in line-drawing characters (TRM, "Attribute Mode
             * Control", ELG); underline and cursor run through it. */
            bool repeat =
                bits == 0xff &&
                ((cell & CELL_CURSOR && cursor_line) ||
                 (row_scan == picture->underline && (attribute & 0x77) == ATTR_UNDERLINE));
            repeat |=
                picture->line_graphics && code >= LINE_GRAPHICS_FIRST && code <= LINE_GRAPHICS_LAST;
            dots[8] = repeat ? dots[7] : background;
        }
    }
}
