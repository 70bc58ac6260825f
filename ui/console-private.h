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
};

enum { CONSOLE_CAPTURE_CHANGED, CONSOLE_SCREEN_RESIZED, CONSOLE_N_SIGNALS };
extern unsigned apiary_console_signals[CONSOLE_N_SIGNALS];

/* Where the picture is drawn in the widget: its top left corner and widget pixels a guest pixel. */
void apiary_console_get_transform(ApiaryConsole *console, double *x, double *y, double *scale);

void apiary_console_input_init(ApiaryConsole *console);
void apiary_console_input_class_init(GtkWidgetClass *klass);
void apiary_console_update_cursor(ApiaryConsole *console);
