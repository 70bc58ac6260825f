/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/viewer-list.h"

#include "ui/paths.h"
#include "ui/settings-page.h"
#include "ui/vm-remote.h"

#include <glib/gi18n.h>
#include <string.h>

struct _ApiaryViewerList {
    GtkBox parent;
    ApiaryVm *vm; /* not owned; NULL: none yet, or the window has gone */
    char *shown;  /* describe() of the lines */
    GtkWidget *lines, *problem;
};

G_DEFINE_FINAL_TYPE(ApiaryViewerList, apiary_viewer_list, GTK_TYPE_BOX)

/* --- one viewer ------------------------------------------------------------------------------- */

static void on_disconnected(void *opaque, const GError *error)
{
    g_autoptr(ApiaryViewerList) list = opaque;

    if (list->vm)
        apiary_settings_show_problem(list->problem, error ? error->message : NULL);
}

static void on_disconnect(GtkButton *button, ApiaryViewerList *list)
{
    const uint64_t *id = g_object_get_data(G_OBJECT(button), "viewer");

    apiary_vm_remote_disconnect(list->vm, *id, on_disconnected, g_object_ref(list));
}

static char *place_text(const ApiaryViewer *viewer)
{
    if (!*viewer->host)
        return g_strdup(_("a program on this computer"));
    return g_strdup_printf(strchr(viewer->host, ':') ? "[%s]:%s" : "%s:%s", viewer->host,
                           viewer->service);
}

static char *time_text(int64_t since)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(since);
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    bool today = g_date_time_get_day_of_year(time) == g_date_time_get_day_of_year(now) &&
                 g_date_time_get_year(time) == g_date_time_get_year(now);

    return g_date_time_format(time, today ? "%X" : "%x %X");
}

static void add_line(ApiaryViewerList *list, const ApiaryViewer *viewer)
{
    GtkWidget *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12);
    GtkWidget *button = gtk_button_new_with_label(_("Disconnect"));
    g_autofree char *place = place_text(viewer), *time = time_text(viewer->since);
    g_autofree char *text = g_strdup_printf(
        viewer->admitted ? _("%s, since %s") : _("%s, logging in since %s"), place, time);
    g_autofree char *spoken = g_strdup_printf(_("Disconnect %s"), place);
    GtkWidget *label = gtk_label_new(text);

    gtk_label_set_xalign(GTK_LABEL(label), 0);
    atk_object_set_name(gtk_widget_get_accessible(button), spoken);
    g_object_set_data_full(G_OBJECT(button), "viewer", g_memdup2(&viewer->id, sizeof viewer->id),
                           g_free);
    g_signal_connect(button, "clicked", G_CALLBACK(on_disconnect), list);
    gtk_container_add(GTK_CONTAINER(line), label);
    gtk_container_add(GTK_CONTAINER(line), button);
    gtk_container_add(GTK_CONTAINER(list->lines), line);
    gtk_widget_show_all(line);
}

/* --- all of them ------------------------------------------------------------------------------ */

/* All that the lines depend on: when it changes they are made anew. */
static char *describe(const GPtrArray *viewers)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < viewers->len; i++) {
        const ApiaryViewer *viewer = viewers->pdata[i];
        g_string_append_printf(text, "%" G_GUINT64_FORMAT " %d\n", viewer->id, viewer->admitted);
    }
    return g_string_free(text, FALSE);
}

void apiary_viewer_list_update(ApiaryViewerList *list, ApiaryVm *vm)
{
    const GPtrArray *viewers = apiary_vm_get_remote(vm)->viewers;
    g_autofree char *text = describe(viewers);

    list->vm = vm;
    if (g_strcmp0(text, list->shown) == 0)
        return;
    g_free(list->shown);
    list->shown = g_steal_pointer(&text);
    apiary_settings_clear(list->lines);
    for (guint i = 0; i < viewers->len; i++)
        add_line(list, viewers->pdata[i]);
    if (!viewers->len) {
        GtkWidget *nobody = gtk_label_new(_("Nobody"));
        gtk_label_set_xalign(GTK_LABEL(nobody), 0);
        gtk_widget_show(nobody);
        gtk_container_add(GTK_CONTAINER(list->lines), nobody);
    }
    apiary_settings_show_problem(list->problem, NULL);
}

/* --- class ------------------------------------------------------------------------------------ */

static void apiary_viewer_list_dispose(GObject *object)
{
    APIARY_VIEWER_LIST(object)->vm = NULL;
    G_OBJECT_CLASS(apiary_viewer_list_parent_class)->dispose(object);
}

static void apiary_viewer_list_finalize(GObject *object)
{
    g_free(APIARY_VIEWER_LIST(object)->shown);
    G_OBJECT_CLASS(apiary_viewer_list_parent_class)->finalize(object);
}

static void apiary_viewer_list_init(ApiaryViewerList *list)
{
    gtk_widget_init_template(GTK_WIDGET(list));
}

static void apiary_viewer_list_class_init(ApiaryViewerListClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    G_OBJECT_CLASS(klass)->dispose = apiary_viewer_list_dispose;
    G_OBJECT_CLASS(klass)->finalize = apiary_viewer_list_finalize;
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/viewer-list.ui");
    gtk_widget_class_bind_template_child(widget_class, ApiaryViewerList, lines);
    gtk_widget_class_bind_template_child(widget_class, ApiaryViewerList, problem);
}
