/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Questions. None of them waits: the answer comes to a function, which is called exactly once, when
 * the dialog has gone. */

#include <gtk/gtk.h>
#include <stdbool.h>

/* For "response": the dialog goes. Not at once, as the key that answered is still on its way
 * through its widgets. */
void apiary_dialog_close(GtkDialog *dialog);

/* Asks before something that cannot be undone. ACCEPT is the button's label. */
typedef void (*ApiaryDialogAnswer)(void *opaque, bool accepted);
void apiary_dialog_confirm(GtkWindow *parent, const char *text, const char *secondary,
                           const char *accept, ApiaryDialogAnswer answer, void *opaque);
/* A file to open. TEXT is its path; NULL: none was chosen. */
typedef void (*ApiaryDialogText)(void *opaque, const char *text);
void apiary_dialog_open_file(GtkWindow *parent, const char *title, const char *filter_name,
                             const char *const *patterns, ApiaryDialogText answer, void *opaque);
/* A line of text, checked by CHECK while it is typed (its error stands beneath); NULL: cancelled.
 * OPAQUE is for both functions. */
typedef bool (*ApiaryDialogCheck)(void *opaque, const char *text, GError **error);
void apiary_dialog_ask_text(GtkWindow *parent, const char *title, const char *label,
                            const char *initial, const char *accept, ApiaryDialogCheck check,
                            ApiaryDialogText answer, void *opaque);
/* Opens the file manager at PATH; DONE is called with NULL or what went wrong. */
typedef void (*ApiaryDialogDone)(void *opaque, const GError *error);
void apiary_dialog_show_file(GtkWindow *parent, const char *path, ApiaryDialogDone done,
                             void *opaque);
/* Gives the one button of GTK's shortcuts window that has no name for assistive programs one. */
void apiary_dialog_name_shortcuts(GtkApplicationWindow *window);
