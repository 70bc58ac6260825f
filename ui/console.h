/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The guest's screen, keyboard and pointer.
 *
 * The guest has the keyboard while the widget has the focus and is captured: from when it gets the
 * focus or is clicked until the release combination (Ctrl+Alt pressed and let go). A relative
 * pointer is also confined while captured.
 *
 * In text modes the screen's text can be selected: Shift and dragging, or apiary_console_
 * set_selecting(), take pointer and keyboard from the guest until Escape or a copy.
 *
 * Signals: "capture-changed" (also when selecting begins or ends); "screen-resized" (int width, int
 * height).
 */

#include "ui/vm.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_CONSOLE (apiary_console_get_type())
G_DECLARE_FINAL_TYPE(ApiaryConsole, apiary_console, APIARY, CONSOLE, GtkDrawingArea)

typedef enum {
    APIARY_SCALING_FIT,    /* fill the window, keep the proportions */
    APIARY_SCALING_WHOLE,  /* whole multiples only: sharp pixels */
    APIARY_SCALING_NATIVE, /* a pixel is a pixel */
} ApiaryScaling;

void apiary_console_set_vm(ApiaryConsole *console, ApiaryVm *vm);
void apiary_console_set_scaling(ApiaryConsole *console, ApiaryScaling scaling);
gboolean apiary_console_is_captured(ApiaryConsole *console);
gboolean apiary_console_has_pointer(ApiaryConsole *console); /* it is confined */
void apiary_console_release(ApiaryConsole *console);
gboolean apiary_console_is_selecting(ApiaryConsole *console);
/* False when the screen shows no text. */
gboolean apiary_console_set_selecting(ApiaryConsole *console, gboolean selecting);
/* NULL when nothing is selected. */
char *apiary_console_get_selected_text(ApiaryConsole *console);
/* Of the guest's screen in pixels; 0 before the first picture. */
void apiary_console_get_screen_size(ApiaryConsole *console, int *width, int *height);
