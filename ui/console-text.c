/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The text of a text mode: selecting it with the pointer or the keyboard, copying it, and telling
 * assistive technologies what changed. While text is selected the guest gets neither.
 */

#include "ui/console-private.h"

#include "ui/text-grid.h"

#include <math.h>
#include <string.h>

#define CARET_WIDTH 2.0 /* guest's pixels */

/* --- geometry --------------------------------------------------------------------------------- */

/* Of a cell in guest's pixels. The last row may be cut off. */
static void cell_size(const ApiaryConsole *console, double *width, double *height)
{
    *width = (double)console->width / console->text->columns;
    *height = ceil((double)console->height / console->text->rows);
}

/* The cell under a point of the widget, or the place between cells that is nearest to it. */
static int cell_at(ApiaryConsole *console, double x, double y, bool place)
{
    double left, top, scale, width, height;
    int columns = console->text->columns;

    apiary_console_get_transform(console, &left, &top, &scale);
    cell_size(console, &width, &height);
    double column = (x - left) / scale / width + (place ? 0.5 : 0);
    double row = (y - top) / scale / height;
    if (row < 0)
        return 0;
    if (row >= console->text->rows)
        return apiary_text_grid_size(console->text) - !place;
    return (int)row * columns + (int)CLAMP(floor(column), 0, columns - !place);
}

int apiary_console_text_cell_at(ApiaryConsole *console, int x, int y)
{
    return console->text ? cell_at(console, x, y, false) : -1;
}

void apiary_console_text_get_extents(ApiaryConsole *console, int cell, GdkRectangle *extents)
{
    double left, top, scale, width, height;

    apiary_console_get_transform(console, &left, &top, &scale);
    cell_size(console, &width, &height);
    extents->x = (int)floor(left + cell % console->text->columns * width * scale);
    extents->y = (int)floor(top + cell / console->text->columns * height * scale);
    extents->width = (int)ceil(width * scale);
    extents->height = (int)ceil(height * scale);
}

/* --- the selection ---------------------------------------------------------------------------- */

gboolean apiary_console_text_get_selection(ApiaryConsole *console, int *from, int *to)
{
    *from = MIN(console->anchor, console->point);
    *to = MAX(console->anchor, console->point);
    return console->text && *from < *to;
}

char *apiary_console_get_selected_text(ApiaryConsole *console)
{
    int from, to;

    if (!apiary_console_text_get_selection(console, &from, &to))
        return NULL;
    return apiary_text_grid_range(console->text, from, to);
}

void apiary_console_text_select(ApiaryConsole *console, int anchor, int point)
{
    if (console->anchor == anchor && console->point == point)
        return;
    console->anchor = anchor;
    console->point = point;
    gtk_widget_queue_draw(GTK_WIDGET(console));
    apiary_console_accessible_selection_changed(console);
}

static void clear_selection(ApiaryConsole *console)
{
    apiary_console_text_select(console, console->point, console->point);
}

/* What is selected can be pasted with the middle button, as everywhere on X11. */
static void own_primary(ApiaryConsole *console)
{
    g_autofree char *selected = apiary_console_get_selected_text(console);
    GtkClipboard *primary = gtk_widget_get_clipboard(GTK_WIDGET(console), GDK_SELECTION_PRIMARY);

    if (selected)
        gtk_clipboard_set_text(primary, selected, -1);
}

static void copy_and_end(ApiaryConsole *console)
{
    g_autofree char *selected = apiary_console_get_selected_text(console);
    GtkClipboard *clipboard =
        gtk_widget_get_clipboard(GTK_WIDGET(console), GDK_SELECTION_CLIPBOARD);

    if (selected)
        gtk_clipboard_set_text(clipboard, selected, -1);
    apiary_console_set_selecting(console, FALSE);
}

gboolean apiary_console_is_selecting(ApiaryConsole *console)
{
    return console->selecting;
}

gboolean apiary_console_set_selecting(ApiaryConsole *console, gboolean selecting)
{
    if (selecting && !console->text)
        return FALSE;
    if (console->selecting == selecting)
        return TRUE;
    if (selecting) {
        console->captured_before = console->captured;
        apiary_console_release(console);
        console->point = console->anchor = MAX(console->text->cursor, 0);
    }
    console->selecting = selecting;
    console->dragging = FALSE;
    if (!selecting) {
        clear_selection(console);
        if (console->captured_before && gtk_widget_has_focus(GTK_WIDGET(console)))
            apiary_console_capture(console);
    }
    apiary_console_update_cursor(console);
    gtk_widget_queue_draw(GTK_WIDGET(console));
    g_signal_emit(console, apiary_console_signals[CONSOLE_CAPTURE_CHANGED], 0);
    return TRUE;
}

/* --- following the screen --------------------------------------------------------------------- */

static bool same_range(const DisplayText *a, const DisplayText *b, int from, int to)
{
    return a && b && a->columns == b->columns && a->rows == b->rows &&
           !memcmp(a->characters + from, b->characters + from,
                   sizeof(gunichar) * (size_t)(to - from));
}

void apiary_console_text_update(ApiaryConsole *console)
{
    DisplayText *old = console->text;
    int from, to;
    bool selected = apiary_console_text_get_selection(console, &from, &to);
    bool same_size;

    console->text = console->display ? display_characters(console->display) : NULL;
    same_size = same_range(old, console->text, 0, 0);
    if (console->selecting && !console->text)
        apiary_console_set_selecting(console, FALSE);
    /* What is marked is what was chosen, or nothing. */
    if (!same_size || (selected && !console->dragging && !same_range(old, console->text, from, to)))
        console->anchor = console->point = same_size ? console->point : 0;
    apiary_console_accessible_text_changed(console, old);
    g_free(old);
}

void apiary_console_text_draw(ApiaryConsole *console, cairo_t *cr)
{
    double width, height;
    int from, to;

    if (!console->text)
        return;
    bool selected = apiary_console_text_get_selection(console, &from, &to);
    int columns = console->text->columns;
    cell_size(console, &width, &height);
    cairo_save(cr);
    /* Inverted: it can be told from its surroundings whatever their colours are. */
    cairo_set_operator(cr, CAIRO_OPERATOR_DIFFERENCE);
    cairo_set_source_rgb(cr, 1, 1, 1);
    for (int row = from / columns; selected && row * columns < to; row++) {
        int first = MAX(from - row * columns, 0), last = MIN(to - row * columns, columns);
        cairo_rectangle(cr, first * width, row * height, (last - first) * width, height);
    }
    if (console->selecting && !selected)
        cairo_rectangle(cr, console->point % columns * width, console->point / columns * height,
                        CARET_WIDTH, height);
    cairo_fill(cr);
    cairo_restore(cr);
}

/* --- pointer ---------------------------------------------------------------------------------- */

gboolean apiary_console_text_button(ApiaryConsole *console, const GdkEventButton *event)
{
    bool primary = event->button == GDK_BUTTON_PRIMARY;

    if (event->type == GDK_BUTTON_RELEASE) {
        if (!console->selecting)
            return FALSE;
        if (console->dragging && primary)
            own_primary(console);
        console->dragging = console->dragging && !primary;
        return TRUE;
    }
    /* Shift takes the pointer from the guest, as in terminals. */
    if (!console->selecting &&
        (!primary || !(event->state & GDK_SHIFT_MASK) || console->has_pointer ||
         event->type != GDK_BUTTON_PRESS || !apiary_console_set_selecting(console, TRUE)))
        return FALSE;
    gtk_widget_grab_focus(GTK_WIDGET(console));
    if (!primary)
        return TRUE;
    if (event->type == GDK_2BUTTON_PRESS || event->type == GDK_3BUTTON_PRESS) {
        int cell = cell_at(console, event->x, event->y, false), from, to;
        apiary_text_grid_word(console->text, cell, &from, &to);
        if (event->type == GDK_3BUTTON_PRESS) {
            from = cell - cell % console->text->columns;
            to = from + console->text->columns;
        }
        apiary_console_text_select(console, from, to);
        return TRUE;
    }
    int place = cell_at(console, event->x, event->y, true);
    console->dragging = TRUE;
    apiary_console_text_select(console, place, place);
    return TRUE;
}

gboolean apiary_console_text_motion(ApiaryConsole *console, const GdkEventMotion *event)
{
    if (console->dragging)
        apiary_console_text_select(console, console->anchor,
                                   cell_at(console, event->x, event->y, true));
    return console->selecting;
}

/* --- keyboard --------------------------------------------------------------------------------- */

/* Where a movement key leads from PLACE, or -1 when it is none. */
static int move(const DisplayText *text, int place, guint key, bool control)
{
    int columns = text->columns, size = apiary_text_grid_size(text);
    int column = place % columns;

    switch (key) {
    case GDK_KEY_Left: return MAX(place - 1, 0);
    case GDK_KEY_Right: return MIN(place + 1, size);
    case GDK_KEY_Up: return place >= columns ? place - columns : place;
    case GDK_KEY_Down: return place + columns <= size ? place + columns : place;
    case GDK_KEY_Home: return control ? 0 : place - column;
    case GDK_KEY_End: return control ? size : MIN(place - column + columns, size);
    case GDK_KEY_Page_Up: return column;
    case GDK_KEY_Page_Down: return size - columns + column;
    default: return -1;
    }
}

gboolean apiary_console_text_key(ApiaryConsole *console, const GdkEventKey *event)
{
    GdkModifierType state = event->state & gtk_accelerator_get_default_mod_mask();
    bool control = state == GDK_CONTROL_MASK, shift = state & GDK_SHIFT_MASK;
    /* By the key's place where the layout has no Latin letters. */
    bool latin = event->keyval < 0x80;
    guint key = latin ? gdk_keyval_to_lower(event->keyval) : event->keyval;
    unsigned code = event->hardware_keycode - 8u;

    if (!console->selecting)
        return FALSE;
    if (key == GDK_KEY_Escape) {
        apiary_console_set_selecting(console, FALSE);
        return TRUE;
    }
    if (key == GDK_KEY_Return || key == GDK_KEY_KP_Enter ||
        (control && (key == GDK_KEY_c || key == GDK_KEY_Insert || (!latin && code == KEY_C)))) {
        copy_and_end(console);
        return TRUE;
    }
    if (control && (key == GDK_KEY_a || (!latin && code == KEY_A))) {
        apiary_console_text_select(console, 0, apiary_text_grid_size(console->text));
        own_primary(console);
        return TRUE;
    }
    int place = move(console->text, console->point, key, state & GDK_CONTROL_MASK);
    if (place < 0)
        return FALSE;
    apiary_console_text_select(console, shift ? console->anchor : place, place);
    own_primary(console);
    return TRUE;
}
