/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/job.h"

#include <glib/gi18n.h>

#define SHOW_AFTER_MS 400
#define UPDATE_MS     100

struct ApiaryJob {
    ApiaryJobRun run;
    ApiaryJobDone done;
    void *opaque;
    char *title;
    GtkWindow *parent;
    GCancellable *cancellable;
    gint permille; /* atomic */
    GtkWidget *dialog, *bar;
    guint show_timer, update_timer;
};

void apiary_job_set_fraction(ApiaryJob *job, double fraction)
{
    g_atomic_int_set(&job->permille, (gint)(fraction * 1000));
}

GCancellable *apiary_job_get_cancellable(ApiaryJob *job)
{
    return job->cancellable;
}

static gboolean update_bar(gpointer data)
{
    ApiaryJob *job = data;

    gtk_progress_bar_set_fraction(GTK_PROGRESS_BAR(job->bar),
                                  g_atomic_int_get(&job->permille) / 1000.0);
    return G_SOURCE_CONTINUE;
}

static void on_response(GtkDialog *dialog, int response, gpointer data)
{
    ApiaryJob *job = data;

    g_cancellable_cancel(job->cancellable);
    gtk_dialog_set_response_sensitive(dialog, GTK_RESPONSE_CANCEL, FALSE);
}

static gboolean show_dialog(gpointer data)
{
    ApiaryJob *job = data;

    job->show_timer = 0;
    job->dialog = gtk_message_dialog_new(job->parent, GTK_DIALOG_MODAL, GTK_MESSAGE_OTHER,
                                         GTK_BUTTONS_CANCEL, "%s", job->title);
    job->bar = gtk_progress_bar_new();
    atk_object_set_name(gtk_widget_get_accessible(job->bar), job->title);
    gtk_container_add(
        GTK_CONTAINER(gtk_message_dialog_get_message_area(GTK_MESSAGE_DIALOG(job->dialog))),
        job->bar);
    g_signal_connect(job->dialog, "response", G_CALLBACK(on_response), job);
    g_signal_connect(job->dialog, "delete-event", G_CALLBACK(gtk_true), NULL);
    gtk_widget_show_all(job->dialog);
    job->update_timer = g_timeout_add(UPDATE_MS, update_bar, job);
    return G_SOURCE_REMOVE;
}

static void run_on_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    ApiaryJob *job = data;
    GError *error = NULL;

    if (job->run(job, job->opaque, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

/* Who went away while it ran wants to know. */
static void notify_end(const ApiaryJob *job, const GError *error)
{
    GApplication *application = g_application_get_default();
    GtkWindow *window = gtk_application_get_active_window(GTK_APPLICATION(application));
    g_autoptr(GNotification) notification = NULL;

    if (!job->dialog || gtk_window_is_active(GTK_WINDOW(job->dialog)) ||
        (window && gtk_window_is_active(window)) ||
        g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    notification = g_notification_new(job->title);
    g_notification_set_body(notification, error ? error->message : _("Finished."));
    g_application_send_notification(application, NULL, notification);
}

static void on_finished(GObject *source, GAsyncResult *result, gpointer data)
{
    ApiaryJob *job = data;
    g_autoptr(GError) error = NULL;

    g_task_propagate_boolean(G_TASK(result), &error);
    g_clear_handle_id(&job->show_timer, g_source_remove);
    g_clear_handle_id(&job->update_timer, g_source_remove);
    notify_end(job, error);
    if (job->dialog)
        gtk_widget_destroy(job->dialog);
    job->done(job->opaque, error);
    g_object_unref(job->cancellable);
    g_clear_object(&job->parent);
    g_free(job->title);
    g_free(job);
    g_application_release(g_application_get_default());
}

void apiary_job_run(GtkWindow *parent, const char *title, ApiaryJobRun run, ApiaryJobDone done,
                    void *opaque)
{
    ApiaryJob *job = g_new0(ApiaryJob, 1);

    job->run = run;
    job->done = done;
    job->opaque = opaque;
    job->title = g_strdup(title);
    job->parent = parent ? g_object_ref(parent) : NULL;
    job->cancellable = g_cancellable_new();
    job->show_timer = g_timeout_add(SHOW_AFTER_MS, show_dialog, job);
    g_application_hold(g_application_get_default());
    g_autoptr(GTask) task = g_task_new(NULL, NULL, on_finished, job);
    g_task_set_task_data(task, job, NULL);
    g_task_run_in_thread(task, run_on_thread);
}
