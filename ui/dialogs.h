/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gtk/gtk.h>
#include <stdbool.h>

/* Asks before something that cannot be undone. ACCEPT is the button's label. */
gboolean apiary_dialog_confirm(GtkWindow *parent, const char *text, const char *secondary,
                               const char *accept);
/* A file to open, or NULL. */
char *apiary_dialog_open_file(GtkWindow *parent, const char *title, const char *filter_name,
                              const char *const *patterns);
/* A line of text, checked by CHECK while it is typed (its error stands beneath), or NULL. */
typedef bool (*ApiaryDialogCheck)(void *opaque, const char *text, GError **error);
char *apiary_dialog_ask_text(GtkWindow *parent, const char *title, const char *label,
                             const char *initial, const char *accept, ApiaryDialogCheck check,
                             void *opaque);
/* Opens the file manager at PATH; DONE is called with NULL or what went wrong. */
typedef void (*ApiaryDialogDone)(void *opaque, const GError *error);
void apiary_dialog_show_file(GtkWindow *parent, const char *path, ApiaryDialogDone done,
                             void *opaque);
/* Gives the one button of GTK's shortcuts window that has no name for assistive programs one. */
void apiary_dialog_name_shortcuts(GtkApplicationWindow *window);
