/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/console-accessible.h"

#include "ui/console-private.h"
#include "ui/text-grid.h"

#include <string.h>

struct _ApiaryConsoleAccessible {
    GtkWidgetAccessible parent;
    int caret; /* the offset told last */
};

static void text_interface_init(AtkTextIface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE(ApiaryConsoleAccessible, apiary_console_accessible,
                              GTK_TYPE_WIDGET_ACCESSIBLE,
                              G_IMPLEMENT_INTERFACE(ATK_TYPE_TEXT, text_interface_init))

/* NULL when the widget is gone or shows no text. */
static ApiaryConsole *console_with_text(gpointer accessible)
{
    GtkWidget *widget = gtk_accessible_get_widget(GTK_ACCESSIBLE(accessible));

    return widget && APIARY_CONSOLE(widget)->text ? APIARY_CONSOLE(widget) : NULL;
}

static char *whole_text(const DisplayText *text)
{
    return text ? apiary_text_grid_range(text, 0, apiary_text_grid_size(text)) : g_strdup("");
}

/* --- reading ---------------------------------------------------------------------------------- */

static int get_character_count(AtkText *accessible)
{
    ApiaryConsole *console = console_with_text(accessible);

    return console ? apiary_text_grid_length(console->text) : 0;
}

/* END -1: the text's end. Bounds out of the text are moved to it. */
static char *get_text(AtkText *accessible, int start, int end)
{
    ApiaryConsole *console = console_with_text(accessible);

    if (!console)
        return g_strdup("");
    int length = apiary_text_grid_length(console->text);
    g_autofree char *text = whole_text(console->text);
    start = CLAMP(start, 0, length);
    end = end < 0 ? length : CLAMP(end, start, length);
    return g_utf8_substring(text, start, end);
}

static gunichar get_character_at_offset(AtkText *accessible, int offset)
{
    g_autofree char *character = get_text(accessible, offset, offset + 1);

    return offset < 0 ? 0 : g_utf8_get_char(character);
}

static char *get_string_at_offset(AtkText *accessible, int offset, AtkTextGranularity granularity,
                                  int *start, int *end)
{
    ApiaryConsole *console = console_with_text(accessible);

    *start = *end = 0;
    if (!console)
        return g_strdup("");
    const DisplayText *text = console->text;
    int length = apiary_text_grid_length(text);
    offset = CLAMP(offset, 0, length);
    int place = apiary_text_grid_place(text, offset);
    int row = MIN(place / text->columns, text->rows - 1);
    int from, to;
    switch (granularity) {
    case ATK_TEXT_GRANULARITY_CHAR:
        *start = offset;
        *end = MIN(offset + 1, length);
        break;
    case ATK_TEXT_GRANULARITY_WORD:
        apiary_text_grid_word(text, MIN(place, apiary_text_grid_size(text) - 1), &from, &to);
        *start = apiary_text_grid_offset(text, from);
        *end = to % text->columns ? apiary_text_grid_offset(text, to)
                                  : apiary_text_grid_offset(text, to - 1) + 1;
        *end = MIN(*end, length);
        break;
    case ATK_TEXT_GRANULARITY_SENTENCE:
    case ATK_TEXT_GRANULARITY_LINE:
    case ATK_TEXT_GRANULARITY_PARAGRAPH:
        *start = apiary_text_grid_offset(text, row * text->columns);
        *end = row + 1 < text->rows ? apiary_text_grid_offset(text, (row + 1) * text->columns)
                                    : length;
        break;
    }
    return get_text(accessible, *start, *end);
}

static char *get_text_at_offset(AtkText *accessible, int offset, AtkTextBoundary boundary,
                                int *start, int *end)
{
    AtkTextGranularity granularity = ATK_TEXT_GRANULARITY_LINE;

    if (boundary == ATK_TEXT_BOUNDARY_CHAR)
        granularity = ATK_TEXT_GRANULARITY_CHAR;
    else if (boundary == ATK_TEXT_BOUNDARY_WORD_START || boundary == ATK_TEXT_BOUNDARY_WORD_END)
        granularity = ATK_TEXT_GRANULARITY_WORD;
    return get_string_at_offset(accessible, offset, granularity, start, end);
}

static int get_caret_offset(AtkText *accessible)
{
    ApiaryConsole *console = console_with_text(accessible);

    if (!console)
        return 0;
    int place = console->selecting ? console->point : console->text->cursor;
    return place < 0 ? 0 : apiary_text_grid_offset(console->text, place);
}

/* --- places on the screen --------------------------------------------------------------------- */

static void get_character_extents(AtkText *accessible, int offset, int *x, int *y, int *width,
                                  int *height, AtkCoordType coordinates)
{
    ApiaryConsole *console = console_with_text(accessible);
    GdkRectangle extents;
    int left, top;

    *x = *y = *width = *height = -1;
    if (!console || offset < 0 || offset >= apiary_text_grid_length(console->text))
        return;
    apiary_console_text_get_extents(console, apiary_text_grid_place(console->text, offset),
                                    &extents);
    atk_component_get_extents(ATK_COMPONENT(accessible), &left, &top, NULL, NULL, coordinates);
    *x = left + extents.x;
    *y = top + extents.y;
    *width = extents.width;
    *height = extents.height;
}

static int get_offset_at_point(AtkText *accessible, int x, int y, AtkCoordType coordinates)
{
    ApiaryConsole *console = console_with_text(accessible);
    int left, top;

    if (!console)
        return -1;
    atk_component_get_extents(ATK_COMPONENT(accessible), &left, &top, NULL, NULL, coordinates);
    return apiary_text_grid_offset(console->text,
                                   apiary_console_text_cell_at(console, x - left, y - top));
}

/* --- the selection: there is one at most ------------------------------------------------------ */

static int get_n_selections(AtkText *accessible)
{
    ApiaryConsole *console = console_with_text(accessible);
    int from, to;

    return console && apiary_console_text_get_selection(console, &from, &to);
}

static char *get_selection(AtkText *accessible, int number, int *start, int *end)
{
    ApiaryConsole *console = console_with_text(accessible);
    int from, to;

    *start = *end = 0;
    if (number || !console || !apiary_console_text_get_selection(console, &from, &to))
        return NULL;
    *start = apiary_text_grid_offset(console->text, from);
    *end = apiary_text_grid_offset(console->text, to);
    return apiary_text_grid_range(console->text, from, to);
}

static gboolean set_selection(AtkText *accessible, int number, int start, int end)
{
    ApiaryConsole *console = console_with_text(accessible);

    if (number || !console || !apiary_console_set_selecting(console, TRUE))
        return FALSE;
    apiary_console_text_select(console, apiary_text_grid_place(console->text, start),
                               apiary_text_grid_place(console->text, end));
    return TRUE;
}

static gboolean add_selection(AtkText *accessible, int start, int end)
{
    return !get_n_selections(accessible) && set_selection(accessible, 0, start, end);
}

static gboolean remove_selection(AtkText *accessible, int number)
{
    ApiaryConsole *console = console_with_text(accessible);

    if (number || !get_n_selections(accessible))
        return FALSE;
    apiary_console_text_select(console, console->point, console->point);
    return TRUE;
}

/* --- telling of changes ----------------------------------------------------------------------- */

void apiary_console_accessible_selection_changed(ApiaryConsole *console)
{
    AtkObject *accessible = gtk_widget_get_accessible(GTK_WIDGET(console));

    g_signal_emit_by_name(accessible, "text-selection-changed");
    if (console->selecting)
        g_signal_emit_by_name(accessible, "text-caret-moved",
                              get_caret_offset(ATK_TEXT(accessible)));
}

/* One removal and one insertion: what lies between the beginning and the end that stayed. */
static void emit_difference(AtkObject *accessible, const char *old, const char *now)
{
    size_t old_length = strlen(old), now_length = strlen(now), start = 0, end = 0;
    size_t shorter = MIN(old_length, now_length);

    while (start < shorter && old[start] == now[start])
        start++;
    while (start > 0 && (old[start] & 0xc0) == 0x80) /* within a character */
        start--;
    while (start > 0 && (now[start] & 0xc0) == 0x80)
        start--;
    while (end < shorter - start && old[old_length - 1 - end] == now[now_length - 1 - end])
        end++;
    while (end > 0 && (old[old_length - end] & 0xc0) == 0x80)
        end--;
    int position = (int)g_utf8_strlen(old, (gssize)start);
    g_autofree char *removed = g_strndup(old + start, old_length - end - start);
    g_autofree char *inserted = g_strndup(now + start, now_length - end - start);
    if (*removed)
        g_signal_emit_by_name(accessible, "text-remove", position, (int)g_utf8_strlen(removed, -1),
                              removed);
    if (*inserted)
        g_signal_emit_by_name(accessible, "text-insert", position, (int)g_utf8_strlen(inserted, -1),
                              inserted);
}

void apiary_console_accessible_text_changed(ApiaryConsole *console, const DisplayText *old)
{
    AtkObject *accessible = gtk_widget_get_accessible(GTK_WIDGET(console));
    ApiaryConsoleAccessible *self = APIARY_CONSOLE_ACCESSIBLE(accessible);
    g_autofree char *before = whole_text(old), *now = whole_text(console->text);

    if (strcmp(before, now) != 0)
        emit_difference(accessible, before, now);
    int caret = get_caret_offset(ATK_TEXT(accessible));
    if (caret != self->caret)
        g_signal_emit_by_name(accessible, "text-caret-moved", caret);
    self->caret = caret;
}

/* --- class ------------------------------------------------------------------------------------ */

static void apiary_console_accessible_initialize(AtkObject *accessible, gpointer widget)
{
    ATK_OBJECT_CLASS(apiary_console_accessible_parent_class)->initialize(accessible, widget);
    atk_object_set_role(accessible, ATK_ROLE_TERMINAL);
}

static void text_interface_init(AtkTextIface *iface)
{
    iface->get_text = get_text;
    iface->get_character_at_offset = get_character_at_offset;
    iface->get_string_at_offset = get_string_at_offset;
    iface->get_text_at_offset = get_text_at_offset;
    iface->get_character_count = get_character_count;
    iface->get_caret_offset = get_caret_offset;
    iface->get_character_extents = get_character_extents;
    iface->get_offset_at_point = get_offset_at_point;
    iface->get_n_selections = get_n_selections;
    iface->get_selection = get_selection;
    iface->add_selection = add_selection;
    iface->set_selection = set_selection;
    iface->remove_selection = remove_selection;
}

static void apiary_console_accessible_class_init(ApiaryConsoleAccessibleClass *klass)
{
    ATK_OBJECT_CLASS(klass)->initialize = apiary_console_accessible_initialize;
}

static void apiary_console_accessible_init(ApiaryConsoleAccessible *accessible)
{
}
