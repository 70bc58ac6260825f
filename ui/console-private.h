/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "ui/console.h"

#include <linux/input-event-codes.h>

struct _ApiaryConsole {
    GtkDrawingArea parent;
    ApiaryVm *vm;

    /* The picture. */
    DisplayClient *client;
    Display *display; /* CLIENT's */
    cairo_surface_t *surface;
    int width, height; /* of the guest's screen */
    ApiaryScaling scaling;
    guint tick;
    unsigned quiet_ticks;
    gint wake_pending; /* atomic: an idle is on its way */

    /* Input. */
    gboolean captured;
    gboolean has_pointer; /* grabbed for a relative pointer */
    GdkSeat *seat;
    guint8 held[(KEY_MAX + 8) / 8]; /* keys the guest believes to be down */
    gboolean combination_clean;     /* nothing but Ctrl and Alt since they went down */
    unsigned buttons;
    double scroll;      /* fraction of a wheel click */
    int last_x, last_y; /* guest's pixels */

    /* Text modes. */
    DisplayText *text;        /* the screen's, or NULL */
    gboolean selecting;       /* pointer and keyboard select text instead of reaching the guest */
    gboolean captured_before; /* it was when that began */
    gboolean dragging;
    int anchor, point; /* the selection's ends: places between cells (text-grid.h) */
};

enum { CONSOLE_CAPTURE_CHANGED, CONSOLE_SCREEN_RESIZED, CONSOLE_N_SIGNALS };
extern unsigned apiary_console_signals[CONSOLE_N_SIGNALS];

/* Where the picture is drawn in the widget: its top left corner and widget pixels a guest pixel. */
void apiary_console_get_transform(ApiaryConsole *console, double *x, double *y, double *scale);

void apiary_console_input_init(ApiaryConsole *console);
void apiary_console_input_class_init(GtkWidgetClass *klass);
void apiary_console_update_cursor(ApiaryConsole *console);
void apiary_console_capture(ApiaryConsole *console);

/* console-text.c. The handlers return whether the event was theirs. */
void apiary_console_text_update(ApiaryConsole *console); /* the screen may have changed */
void apiary_console_text_draw(ApiaryConsole *console, cairo_t *cr); /* in guest's pixels */
gboolean apiary_console_text_button(ApiaryConsole *console, const GdkEventButton *event);
gboolean apiary_console_text_motion(ApiaryConsole *console, const GdkEventMotion *event);
gboolean apiary_console_text_key(ApiaryConsole *console, const GdkEventKey *event);
void apiary_console_text_select(ApiaryConsole *console, int anchor, int point);
/* False when nothing is selected. */
gboolean apiary_console_text_get_selection(ApiaryConsole *console, int *from, int *to);
/* The cell at a point of the widget, or -1 without a text; and where a cell is in the widget. */
int apiary_console_text_cell_at(ApiaryConsole *console, int x, int y);
void apiary_console_text_get_extents(ApiaryConsole *console, int cell, GdkRectangle *extents);

/* console-accessible.c */
void apiary_console_accessible_selection_changed(ApiaryConsole *console);
void apiary_console_accessible_text_changed(ApiaryConsole *console, const DisplayText *old);
