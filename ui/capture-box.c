/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/capture-box.h"

#include "ui/dialogs.h"
#include "ui/paths.h"
#include "ui/settings-page.h"
#include "ui/vm-network.h"

#include <glib/gi18n.h>
#include <inttypes.h>

struct _ApiaryCaptureBox {
    GtkBox parent;
    ApiaryVm *vm; /* not owned; NULL: none yet */
    char *network;
    char *shown;    /* describe() of the lines */
    char *running;  /* the file of the first capture that runs, or NULL */
    char *finished; /* the file of the capture that ended last, or NULL */
    GtkWidget *start, *lines, *note, *problem;
};

G_DEFINE_FINAL_TYPE(ApiaryCaptureBox, apiary_capture_box, GTK_TYPE_BOX)

static void update(ApiaryCaptureBox *box);

static const GPtrArray *get_captures(ApiaryCaptureBox *box)
{
    return box->network ? apiary_vm_get_captures(box->vm, box->network) : NULL;
}

/* --- buttons ---------------------------------------------------------------------------------- */

static void on_done(void *opaque, const GError *error)
{
    g_autoptr(ApiaryCaptureBox) box = opaque;

    if (!box->vm) /* the window has gone */
        return;
    apiary_settings_show_problem(box->problem, error ? error->message : NULL);
    update(box);
}

static void on_start(ApiaryCaptureBox *box)
{
    const char *folder = apiary_vm_get_config(box->vm)->folder;
    g_autofree char *stem = g_strconcat("capture-", box->network, NULL);
    g_autofree char *path =
        apiary_paths_free_name(folder, g_strdelimit(stem, G_DIR_SEPARATOR_S, '-'), "pcap");

    g_clear_pointer(&box->finished, g_free);
    apiary_vm_start_capture(box->vm, box->network, path, on_done, g_object_ref(box));
}

static void on_stop(GtkButton *button, ApiaryCaptureBox *box)
{
    apiary_vm_stop_capture(box->vm, g_object_get_data(G_OBJECT(button), "capture"), on_done,
                           g_object_ref(box));
}

static void on_shown(void *opaque, const GError *error)
{
    g_autoptr(ApiaryCaptureBox) box = opaque;

    if (box->vm && error)
        apiary_settings_show_problem(box->problem, error->message);
}

static void on_show_file(GtkButton *button, ApiaryCaptureBox *box)
{
    apiary_dialog_show_file(GTK_WINDOW(gtk_widget_get_toplevel(GTK_WIDGET(box))),
                            g_object_get_data(G_OBJECT(button), "file"), on_shown,
                            g_object_ref(box));
}

/* --- lines ------------------------------------------------------------------------------------ */

static char *describe(ApiaryCaptureBox *box)
{
    const GPtrArray *captures = get_captures(box);
    GString *text = g_string_new(box->finished);

    for (guint i = 0; captures && i < captures->len; i++) {
        const ApiaryCapture *capture = captures->pdata[i];
        g_string_append_printf(text, "\n%s %s", capture->id, capture->file);
    }
    return g_string_free(text, FALSE);
}

static GtkWidget *add_button(ApiaryCaptureBox *box, GtkWidget *line, const char *label,
                             const char *key, const char *value, GCallback clicked)
{
    GtkWidget *button = gtk_button_new_with_mnemonic(label);

    g_object_set_data_full(G_OBJECT(button), key, g_strdup(value), g_free);
    gtk_widget_set_valign(button, GTK_ALIGN_START);
    g_signal_connect(button, "clicked", clicked, box);
    gtk_container_add(GTK_CONTAINER(line), button);
    return button;
}

/* CAPTURE NULL: it has ended. */
static void add_line(ApiaryCaptureBox *box, const char *capture, const char *file)
{
    GtkWidget *line = gtk_box_new(GTK_ORIENTATION_VERTICAL, 3);
    GtkWidget *buttons = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
    g_autofree char *text = g_strdup_printf(_("Written to %s"), file);
    GtkWidget *label = gtk_label_new(text);

    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_label_set_line_wrap(GTK_LABEL(label), TRUE);
    gtk_label_set_line_wrap_mode(GTK_LABEL(label), PANGO_WRAP_WORD_CHAR);
    gtk_label_set_max_width_chars(GTK_LABEL(label), 50);
    gtk_container_add(GTK_CONTAINER(line), label);
    if (capture)
        add_button(box, buttons, _("S_top Capture"), "capture", capture, G_CALLBACK(on_stop));
    add_button(box, buttons, _("Show _File"), "file", file, G_CALLBACK(on_show_file));
    gtk_container_add(GTK_CONTAINER(line), buttons);
    g_object_set_data(G_OBJECT(line), "label", capture ? label : NULL);
    gtk_container_add(GTK_CONTAINER(box->lines), line);
    gtk_widget_show_all(line);
}

/* The lines are made anew only for other captures, so that the focus stays where it is. */
static void update_lines(ApiaryCaptureBox *box)
{
    const GPtrArray *captures = get_captures(box);
    g_autofree char *text = describe(box);

    if (g_strcmp0(text, box->shown) == 0)
        return;
    g_free(box->shown);
    box->shown = g_steal_pointer(&text);
    apiary_settings_clear(box->lines);
    for (guint i = 0; captures && i < captures->len; i++) {
        const ApiaryCapture *capture = captures->pdata[i];
        add_line(box, capture->id, capture->file);
    }
    if (box->finished)
        add_line(box, NULL, box->finished);
}

static void update_counts(ApiaryCaptureBox *box)
{
    const GPtrArray *captures = get_captures(box);
    g_autoptr(GList) lines = gtk_container_get_children(GTK_CONTAINER(box->lines));
    guint i = 0;

    for (GList *line = lines; line && captures && i < captures->len; line = line->next, i++) {
        const ApiaryCapture *capture = captures->pdata[i];
        GtkWidget *label = g_object_get_data(G_OBJECT(line->data), "label");
        g_autofree char *size = g_format_size_full(capture->bytes, G_FORMAT_SIZE_IEC_UNITS);
        g_autofree char *text =
            capture->failed
                ? g_strdup_printf(_("%s takes no more: the capture has ended"), capture->file)
                : g_strdup_printf(ngettext("Capturing to %s: %" PRIu64 " frame, %s",
                                           "Capturing to %s: %" PRIu64 " frames, %s",
                                           capture->frames),
                                  capture->file, capture->frames, size);
        if (label)
            gtk_label_set_text(GTK_LABEL(label), text);
    }
}

/* A capture that was there and is not any more has ended, whoever did it. */
static void note_ended(ApiaryCaptureBox *box)
{
    const GPtrArray *captures = get_captures(box);

    if (captures && captures->len) {
        g_clear_pointer(&box->finished, g_free);
        g_free(box->running);
        box->running = g_strdup(((const ApiaryCapture *)captures->pdata[0])->file);
    } else if (box->running) {
        g_free(box->finished);
        box->finished = g_steal_pointer(&box->running);
    }
}

static void update(ApiaryCaptureBox *box)
{
    bool live = box->network && apiary_vm_has_network(box->vm, box->network);
    const GPtrArray *captures = get_captures(box);

    note_ended(box);
    update_lines(box);
    update_counts(box);
    gtk_widget_set_sensitive(box->start, live);
    gtk_widget_set_visible(box->start, !captures || !captures->len);
    gtk_widget_set_visible(box->note, !live);
}

static void on_refreshed(void *opaque, const GError *error)
{
    g_autoptr(ApiaryCaptureBox) box = opaque;

    if (box->vm)
        update_counts(box);
}

/* Once a second while the machine runs. */
static void on_statistics(ApiaryCaptureBox *box)
{
    const GPtrArray *captures = get_captures(box);

    if (captures && captures->len && gtk_widget_get_mapped(GTK_WIDGET(box)))
        apiary_vm_network_refresh(box->vm, on_refreshed, g_object_ref(box));
}

void apiary_capture_box_set_network(ApiaryCaptureBox *box, ApiaryVm *vm, const char *id)
{
    if (!box->vm)
        g_signal_connect_object(vm, "statistics", G_CALLBACK(on_statistics), box,
                                G_CONNECT_SWAPPED);
    box->vm = vm;
    if (g_strcmp0(box->network, id) != 0) {
        g_free(box->network);
        box->network = g_strdup(id);
        g_clear_pointer(&box->finished, g_free);
        g_clear_pointer(&box->running, g_free);
        apiary_settings_show_problem(box->problem, NULL);
    }
    update(box);
}

/* --- class ------------------------------------------------------------------------------------ */

static void apiary_capture_box_dispose(GObject *object)
{
    APIARY_CAPTURE_BOX(object)->vm = NULL;
    G_OBJECT_CLASS(apiary_capture_box_parent_class)->dispose(object);
}

static void apiary_capture_box_finalize(GObject *object)
{
    ApiaryCaptureBox *box = APIARY_CAPTURE_BOX(object);

    g_free(box->network);
    g_free(box->shown);
    g_free(box->running);
    g_free(box->finished);
    G_OBJECT_CLASS(apiary_capture_box_parent_class)->finalize(object);
}

static void apiary_capture_box_init(ApiaryCaptureBox *box)
{
    gtk_widget_init_template(GTK_WIDGET(box));
}

static void apiary_capture_box_class_init(ApiaryCaptureBoxClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    G_OBJECT_CLASS(klass)->dispose = apiary_capture_box_dispose;
    G_OBJECT_CLASS(klass)->finalize = apiary_capture_box_finalize;
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/capture-box.ui");
#define BIND(child) gtk_widget_class_bind_template_child(widget_class, ApiaryCaptureBox, child)
    BIND(start);
    BIND(lines);
    BIND(note);
    BIND(problem);
#undef BIND
    gtk_widget_class_bind_template_callback(widget_class, on_start);
}
