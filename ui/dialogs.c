/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/dialogs.h"

#include <glib/gi18n.h>

static gboolean destroy(gpointer dialog)
{
    gtk_widget_destroy(dialog);
    return G_SOURCE_REMOVE;
}

void apiary_dialog_close(GtkDialog *dialog)
{
    gtk_widget_hide(GTK_WIDGET(dialog));
    gtk_window_set_application(GTK_WINDOW(dialog), NULL); /* it is nobody's parent any more */
    g_idle_add_full(G_PRIORITY_DEFAULT_IDLE, destroy, g_object_ref(dialog), g_object_unref);
}

/* --- yes or no -------------------------------------------------------------------------------- */

typedef struct {
    ApiaryDialogAnswer answer;
    void *opaque;
} Confirmation;

static void on_confirmed(GtkDialog *dialog, int response, gpointer data)
{
    g_autofree Confirmation *confirmation = data;

    apiary_dialog_close(dialog);
    confirmation->answer(confirmation->opaque, response == GTK_RESPONSE_ACCEPT);
}

void apiary_dialog_confirm(GtkWindow *parent, const char *text, const char *secondary,
                           const char *accept, ApiaryDialogAnswer answer, void *opaque)
{
    GtkWidget *dialog = gtk_message_dialog_new(parent, GTK_DIALOG_MODAL, GTK_MESSAGE_QUESTION,
                                               GTK_BUTTONS_NONE, "%s", text);
    Confirmation *confirmation = g_new(Confirmation, 1);

    *confirmation = (Confirmation){answer, opaque};
    gtk_message_dialog_format_secondary_text(GTK_MESSAGE_DIALOG(dialog), "%s", secondary);
    gtk_dialog_add_button(GTK_DIALOG(dialog), _("_Cancel"), GTK_RESPONSE_CANCEL);
    GtkWidget *button = gtk_dialog_add_button(GTK_DIALOG(dialog), accept, GTK_RESPONSE_ACCEPT);
    gtk_style_context_add_class(gtk_widget_get_style_context(button), "destructive-action");
    gtk_dialog_set_default_response(GTK_DIALOG(dialog), GTK_RESPONSE_CANCEL);
    g_signal_connect(dialog, "response", G_CALLBACK(on_confirmed), confirmation);
    gtk_window_present(GTK_WINDOW(dialog));
}

/* --- a file or a line of text ----------------------------------------------------------------- */

typedef struct {
    GtkWidget *entry, *problem; /* of a line of text */
    ApiaryDialogCheck check;
    ApiaryDialogText answer;
    void *opaque;
} Question;

static gboolean drop(gpointer chooser)
{
    g_object_unref(chooser);
    return G_SOURCE_REMOVE;
}

static void on_file_chosen(GtkNativeDialog *chooser, int response, gpointer data)
{
    g_autofree Question *question = data;
    g_autofree char *path = response == GTK_RESPONSE_ACCEPT
                                ? gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(chooser))
                                : NULL;

    g_idle_add(drop, chooser); /* as apiary_dialog_close() */
    question->answer(question->opaque, path);
}

void apiary_dialog_open_file(GtkWindow *parent, const char *title, const char *filter_name,
                             const char *const *patterns, ApiaryDialogText answer, void *opaque)
{
    GtkFileChooserNative *chooser = gtk_file_chooser_native_new(
        title, parent, GTK_FILE_CHOOSER_ACTION_OPEN, _("_Open"), _("_Cancel"));
    GtkFileFilter *filter = gtk_file_filter_new(), *all = gtk_file_filter_new();
    Question *question = g_new(Question, 1);

    *question = (Question){.answer = answer, .opaque = opaque};
    gtk_file_filter_set_name(filter, filter_name);
    for (; *patterns; patterns++)
        gtk_file_filter_add_pattern(filter, *patterns);
    gtk_file_filter_set_name(all, _("All files"));
    gtk_file_filter_add_pattern(all, "*");
    gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(chooser), filter);
    gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(chooser), all);
    gtk_native_dialog_set_modal(GTK_NATIVE_DIALOG(chooser), TRUE);
    g_signal_connect(chooser, "response", G_CALLBACK(on_file_chosen), question);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(chooser));
}

static void on_text_changed(GtkDialog *dialog)
{
    Question *question = g_object_get_data(G_OBJECT(dialog), "question");
    const char *text = gtk_entry_get_text(GTK_ENTRY(question->entry));
    g_autoptr(GError) error = NULL;
    bool good = question->check(question->opaque, text, &error);

    gtk_label_set_text(GTK_LABEL(question->problem), good ? "" : error->message);
    gtk_dialog_set_response_sensitive(dialog, GTK_RESPONSE_ACCEPT, good);
}

static void on_text_given(GtkDialog *dialog, int response, gpointer data)
{
    g_autofree Question *question = data;
    g_autofree char *text = response == GTK_RESPONSE_ACCEPT
                                ? g_strdup(gtk_entry_get_text(GTK_ENTRY(question->entry)))
                                : NULL;

    apiary_dialog_close(dialog);
    question->answer(question->opaque, text);
}

static void add_line(GtkWidget *dialog, Question *question, const char *text, const char *initial)
{
    GtkWidget *box = gtk_dialog_get_content_area(GTK_DIALOG(dialog));
    GtkWidget *label = gtk_label_new_with_mnemonic(text), *entry = gtk_entry_new();
    GtkWidget *problem = gtk_label_new("");

    g_object_set(box, "margin", 18, "spacing", 6, NULL);
    gtk_label_set_mnemonic_widget(GTK_LABEL(label), entry);
    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_label_set_xalign(GTK_LABEL(problem), 0);
    gtk_label_set_line_wrap(GTK_LABEL(problem), TRUE);
    gtk_label_set_max_width_chars(GTK_LABEL(problem), 40);
    gtk_style_context_add_class(gtk_widget_get_style_context(problem), "apiary-problem");
    gtk_entry_set_text(GTK_ENTRY(entry), initial);
    gtk_entry_set_activates_default(GTK_ENTRY(entry), TRUE);
    gtk_entry_set_width_chars(GTK_ENTRY(entry), 36);
    gtk_container_add(GTK_CONTAINER(box), label);
    gtk_container_add(GTK_CONTAINER(box), entry);
    gtk_container_add(GTK_CONTAINER(box), problem);
    question->entry = entry;
    question->problem = problem;
}

void apiary_dialog_ask_text(GtkWindow *parent, const char *title, const char *text,
                            const char *initial, const char *accept, ApiaryDialogCheck check,
                            ApiaryDialogText answer, void *opaque)
{
    GtkWidget *dialog = gtk_dialog_new_with_buttons(
        title, parent, GTK_DIALOG_MODAL | GTK_DIALOG_USE_HEADER_BAR, _("_Cancel"),
        GTK_RESPONSE_CANCEL, accept, GTK_RESPONSE_ACCEPT, NULL);
    Question *question = g_new(Question, 1);

    *question = (Question){.check = check, .answer = answer, .opaque = opaque};
    add_line(dialog, question, text, initial);
    gtk_dialog_set_default_response(GTK_DIALOG(dialog), GTK_RESPONSE_ACCEPT);
    g_object_set_data(G_OBJECT(dialog), "question", question);
    g_signal_connect_swapped(question->entry, "changed", G_CALLBACK(on_text_changed), dialog);
    g_signal_connect(dialog, "response", G_CALLBACK(on_text_given), question);
    on_text_changed(GTK_DIALOG(dialog));
    gtk_widget_show_all(dialog);
}

/* --- other ------------------------------------------------------------------------------------ */

typedef struct {
    GtkWindow *parent;
    GFile *file;
    ApiaryDialogDone done;
    void *opaque;
} Show;

static void open_folder(Show *show, GError **error)
{
    g_autoptr(GFile) folder = g_file_get_parent(show->file);
    g_autofree char *uri = g_file_get_uri(folder ? folder : show->file);

    gtk_show_uri_on_window(show->parent, uri, GDK_CURRENT_TIME, error);
}

/* A desktop without the file managers' interface opens the folder at least. */
static void on_items_shown(GObject *bus, GAsyncResult *result, gpointer data)
{
    Show *show = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) shown =
        bus ? g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, NULL) : NULL;

    if (!shown)
        open_folder(show, &error);
    show->done(show->opaque, error);
    g_object_unref(show->parent);
    g_object_unref(show->file);
    g_free(show);
}

/* https://www.freedesktop.org/wiki/Specifications/file-manager-interface/ */
void apiary_dialog_show_file(GtkWindow *parent, const char *path, ApiaryDialogDone done,
                             void *opaque)
{
    GDBusConnection *bus = g_application_get_dbus_connection(g_application_get_default());
    Show *show = g_new0(Show, 1);

    *show = (Show){g_object_ref(parent), g_file_new_for_path(path), done, opaque};
    g_autofree char *uri = g_file_get_uri(show->file);
    const char *const uris[] = {uri, NULL};
    if (bus)
        g_dbus_connection_call(bus, "org.freedesktop.FileManager1", "/org/freedesktop/FileManager1",
                               "org.freedesktop.FileManager1", "ShowItems",
                               g_variant_new("(^ass)", uris, ""), NULL, G_DBUS_CALL_FLAGS_NONE, -1,
                               NULL, on_items_shown, show);
    else
        on_items_shown(NULL, NULL, show);
}

static void name_toggles(GtkWidget *widget, gpointer data)
{
    if (GTK_IS_TOGGLE_BUTTON(widget) && !GTK_IS_MENU_BUTTON(widget) &&
        !gtk_button_get_label(GTK_BUTTON(widget)))
        atk_object_set_name(gtk_widget_get_accessible(widget), _("Search"));
    else if (GTK_IS_CONTAINER(widget))
        gtk_container_forall(GTK_CONTAINER(widget), name_toggles, NULL);
}

void apiary_dialog_name_shortcuts(GtkApplicationWindow *window)
{
    GtkShortcutsWindow *shortcuts = gtk_application_window_get_help_overlay(window);
    GtkWidget *header = shortcuts ? gtk_window_get_titlebar(GTK_WINDOW(shortcuts)) : NULL;

    if (header)
        name_toggles(header, NULL);
}
