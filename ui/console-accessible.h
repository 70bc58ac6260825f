/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The console as screen readers see it: a terminal whose text (AtkText) is the text screen's, empty
 * in graphics modes. Its caret is the guest's cursor, or the window's while text is selected. */

#include <gtk/gtk-a11y.h>
#include <gtk/gtk.h>

#define APIARY_TYPE_CONSOLE_ACCESSIBLE (apiary_console_accessible_get_type())
G_DECLARE_FINAL_TYPE(ApiaryConsoleAccessible, apiary_console_accessible, APIARY, CONSOLE_ACCESSIBLE,
                     GtkWidgetAccessible)
