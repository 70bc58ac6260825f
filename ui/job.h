/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* One slow action on a thread of its own, with a small window for its progress and a Cancel button;
 * the window appears only when it takes a while. */

#include <gtk/gtk.h>
#include <stdbool.h>

typedef struct ApiaryJob ApiaryJob;

/* Runs on the thread. */
typedef bool (*ApiaryJobRun)(ApiaryJob *job, void *opaque, GError **error);
/* UI thread; ERROR NULL: done. */
typedef void (*ApiaryJobDone)(void *opaque, const GError *error);

void apiary_job_run(GtkWindow *parent, const char *title, ApiaryJobRun run, ApiaryJobDone done,
                    void *opaque);
void apiary_job_set_fraction(ApiaryJob *job, double fraction); /* any thread */
GCancellable *apiary_job_get_cancellable(ApiaryJob *job);
