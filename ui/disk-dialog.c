/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/disk-dialog.h"

#include "ui/dialogs.h"
#include "ui/paths.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

#define MAX_GIB 65536

typedef struct {
    GtkWidget *dialog, *grid, *problem;
    GtkWidget *size, *format, *folder; /* NULL: not asked for */
    int rows;
    uint64_t least;     /* bytes that the size cannot be below */
    char *where, *stem; /* folder and name of a new file */
    ApiaryDiskAnswer answer;
    void *opaque;
} Form;

/* --- parts ------------------------------------------------------------------------------------ */

static void on_response(GtkDialog *dialog, int response, gpointer data);

static Form *form_new(GtkWindow *parent, const char *title, const char *accept,
                      ApiaryDiskAnswer answer, void *opaque)
{
    Form *form = g_new0(Form, 1);

    form->answer = answer;
    form->opaque = opaque;
    form->dialog = gtk_dialog_new_with_buttons(
        title, parent, GTK_DIALOG_MODAL | GTK_DIALOG_USE_HEADER_BAR, _("_Cancel"),
        GTK_RESPONSE_CANCEL, accept, GTK_RESPONSE_ACCEPT, NULL);
    form->grid = gtk_grid_new();
    form->problem = gtk_label_new("");
    g_object_set(form->grid, "margin", 18, "row-spacing", 9, "column-spacing", 12, NULL);
    gtk_label_set_xalign(GTK_LABEL(form->problem), 0);
    gtk_label_set_line_wrap(GTK_LABEL(form->problem), TRUE);
    gtk_label_set_max_width_chars(GTK_LABEL(form->problem), 40);
    gtk_style_context_add_class(gtk_widget_get_style_context(form->problem), "apiary-problem");
    gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(form->dialog))),
                      form->grid);
    gtk_dialog_set_default_response(GTK_DIALOG(form->dialog), GTK_RESPONSE_ACCEPT);
    g_signal_connect(form->dialog, "response", G_CALLBACK(on_response), form);
    return form;
}

static void add_row(Form *form, const char *text, GtkWidget *field)
{
    GtkWidget *label = gtk_label_new_with_mnemonic(text);

    gtk_label_set_mnemonic_widget(GTK_LABEL(label), field);
    gtk_label_set_xalign(GTK_LABEL(label), 1);
    gtk_style_context_add_class(gtk_widget_get_style_context(label), "dim-label");
    gtk_widget_set_hexpand(field, TRUE);
    gtk_grid_attach(GTK_GRID(form->grid), label, 0, form->rows, 1, 1);
    gtk_grid_attach(GTK_GRID(form->grid), field, 1, form->rows++, 1, 1);
}

static GtkWidget *size_field(uint64_t size)
{
    GtkWidget *field = gtk_spin_button_new_with_range(1, MAX_GIB, 1);

    gtk_spin_button_set_value(GTK_SPIN_BUTTON(field), (double)((size + (1ull << 30) - 1) >> 30));
    gtk_entry_set_activates_default(GTK_ENTRY(field), TRUE);
    return field;
}

static GtkWidget *format_field(const char *chosen)
{
    GtkWidget *field = gtk_combo_box_text_new();

    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(field), "qcow2", _("qcow2: grows as it fills"));
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(field), "raw", _("raw: plain bytes"));
    gtk_combo_box_set_active_id(GTK_COMBO_BOX(field), chosen);
    return field;
}

static uint64_t get_size(const Form *form)
{
    return (uint64_t)gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(form->size)) << 30;
}

/* Between the fields and the buttons: a problem, or words that are only to be known. */
static void show(Form *form, const char *words)
{
    if (words) {
        gtk_style_context_remove_class(gtk_widget_get_style_context(form->problem),
                                       "apiary-problem");
        gtk_label_set_text(GTK_LABEL(form->problem), words);
    }
    gtk_grid_attach(GTK_GRID(form->grid), form->problem, 0, form->rows, 2, 1);
    gtk_widget_show_all(form->grid);
    gtk_window_present(GTK_WINDOW(form->dialog));
}

static void on_response(GtkDialog *dialog, int response, gpointer data)
{
    Form *form = data;
    ApiaryDiskWish wish = {0};
    g_autofree char *folder =
        form->folder ? gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(form->folder)) : NULL;
    const char *format =
        form->format ? gtk_combo_box_get_active_id(GTK_COMBO_BOX(form->format)) : NULL;

    wish.format = g_strcmp0(format, "raw") == 0 ? "raw" : "qcow2";
    wish.size = form->size ? MAX(get_size(form), form->least) : 0;
    if (form->stem)
        wish.path = apiary_paths_free_name(folder ? folder : form->where, form->stem, wish.format);
    apiary_dialog_close(dialog);
    form->answer(form->opaque, response == GTK_RESPONSE_ACCEPT ? &wish : NULL);
    g_free(wish.path);
    g_free(form->where);
    g_free(form->stem);
    g_free(form);
}

/* --- create ----------------------------------------------------------------------------------- */

/* Only a warning: the file grows as the guest writes. */
static void check_space(Form *form)
{
    g_autofree char *folder = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(form->folder));
    g_autoptr(GFile) file = folder ? g_file_new_for_path(folder) : NULL;
    g_autoptr(GFileInfo) info =
        file ? g_file_query_filesystem_info(file, G_FILE_ATTRIBUTE_FILESYSTEM_FREE, NULL, NULL)
             : NULL;
    uint64_t available =
        info ? g_file_info_get_attribute_uint64(info, G_FILE_ATTRIBUTE_FILESYSTEM_FREE) : 0;
    g_autofree char *words = g_format_size_full(available, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *text =
        info && available < get_size(form)
            ? g_strdup_printf(_("There are %s free: the disk cannot become as large as this."),
                              words)
            : g_strdup("");

    gtk_label_set_text(GTK_LABEL(form->problem), text);
}

void apiary_disk_dialog_create(GtkWindow *parent, const char *folder, ApiaryDiskAnswer answer,
                               void *opaque)
{
    Form *form = form_new(parent, _("New Disk"), _("C_reate"), answer, opaque);

    form->where = g_strdup(folder);
    form->stem = g_strdup("disk");
    form->size = size_field(20ull << 30);
    form->format = format_field("qcow2");
    form->folder =
        gtk_file_chooser_button_new(_("Location"), GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER);
    gtk_file_chooser_set_filename(GTK_FILE_CHOOSER(form->folder), folder);
    add_row(form, _("_Size (GiB)"), form->size);
    add_row(form, _("_Format"), form->format);
    add_row(form, _("_Location"), form->folder);
    g_signal_connect_swapped(form->size, "value-changed", G_CALLBACK(check_space), form);
    g_signal_connect_swapped(form->folder, "file-set", G_CALLBACK(check_space), form);
    show(form, NULL);
}

/* --- resize ----------------------------------------------------------------------------------- */

void apiary_disk_dialog_resize(GtkWindow *parent, uint64_t size, ApiaryDiskAnswer answer,
                               void *opaque)
{
    Form *form = form_new(parent, _("Resize Disk"), _("_Resize"), answer, opaque);

    form->least = size;
    form->size = size_field(size);
    /* Cutting off what the guest has written is not for a button. */
    gtk_spin_button_set_range(GTK_SPIN_BUTTON(form->size),
                              (double)((size + (1ull << 30) - 1) >> 30), MAX_GIB);
    add_row(form, _("New _size (GiB)"), form->size);
    show(form, _("The guest sees a larger disk; its partitions and file systems are still to be "
                 "enlarged there."));
}

/* --- convert ---------------------------------------------------------------------------------- */

void apiary_disk_dialog_convert(GtkWindow *parent, const char *path, const char *format,
                                ApiaryDiskAnswer answer, void *opaque)
{
    Form *form = form_new(parent, _("Convert Disk"), _("_Convert"), answer, opaque);

    form->where = g_path_get_dirname(path);
    form->stem = g_path_get_basename(path);
    char *dot = strrchr(form->stem, '.');
    if (dot && dot != form->stem)
        *dot = '\0';
    form->format = format_field(g_strcmp0(format, "qcow2") == 0 ? "raw" : "qcow2");
    add_row(form, _("New _format"), form->format);
    show(form, _("The machine will use the copy; the old image stays where it is."));
}
