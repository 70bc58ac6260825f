/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/disk-dialog.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

#define MAX_GIB 65536

typedef struct {
    GtkWidget *dialog, *grid, *problem;
    GtkWidget *size, *format, *folder;
    int rows;
} Form;

/* --- parts ------------------------------------------------------------------------------------ */

static void form_init(Form *form, GtkWindow *parent, const char *title, const char *accept)
{
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

static const char *get_format(const Form *form)
{
    const char *id = gtk_combo_box_get_active_id(GTK_COMBO_BOX(form->format));

    return g_strcmp0(id, "raw") == 0 ? "raw" : "qcow2";
}

static bool ask(Form *form)
{
    gtk_grid_attach(GTK_GRID(form->grid), form->problem, 0, form->rows, 2, 1);
    gtk_widget_show_all(form->grid);
    return gtk_dialog_run(GTK_DIALOG(form->dialog)) == GTK_RESPONSE_ACCEPT;
}

/* FOLDER/STEM.FORMAT, or the first "STEM-2.FORMAT" that does not exist. */
static char *free_path(const char *folder, const char *stem, const char *format)
{
    for (unsigned n = 1;; n++) {
        g_autofree char *name = n == 1 ? g_strdup_printf("%s.%s", stem, format)
                                       : g_strdup_printf("%s-%u.%s", stem, n, format);
        char *path = g_build_filename(folder, name, NULL);
        if (!g_file_test(path, G_FILE_TEST_EXISTS))
            return path;
        g_free(path);
    }
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

bool apiary_disk_dialog_create(GtkWindow *parent, const char *folder, ApiaryDiskWish *wish)
{
    Form form = {0};

    form_init(&form, parent, _("New Disk"), _("C_reate"));
    form.size = size_field(20ull << 30);
    form.format = format_field("qcow2");
    form.folder = gtk_file_chooser_button_new(_("Location"), GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER);
    gtk_file_chooser_set_filename(GTK_FILE_CHOOSER(form.folder), folder);
    add_row(&form, _("_Size (GiB)"), form.size);
    add_row(&form, _("_Format"), form.format);
    add_row(&form, _("_Location"), form.folder);
    g_signal_connect_swapped(form.size, "value-changed", G_CALLBACK(check_space), &form);
    g_signal_connect_swapped(form.folder, "file-set", G_CALLBACK(check_space), &form);
    bool accepted = ask(&form);
    if (accepted) {
        g_autofree char *chosen = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(form.folder));
        wish->format = get_format(&form);
        wish->size = get_size(&form);
        wish->path = free_path(chosen ? chosen : folder, "disk", wish->format);
    }
    gtk_widget_destroy(form.dialog);
    return accepted;
}

/* --- resize ----------------------------------------------------------------------------------- */

uint64_t apiary_disk_dialog_resize(GtkWindow *parent, uint64_t size)
{
    Form form = {0};
    uint64_t answer = 0;

    form_init(&form, parent, _("Resize Disk"), _("_Resize"));
    form.size = size_field(size);
    /* Cutting off what the guest has written is not for a button. */
    gtk_spin_button_set_range(GTK_SPIN_BUTTON(form.size), (double)((size + (1ull << 30) - 1) >> 30),
                              MAX_GIB);
    add_row(&form, _("New _size (GiB)"), form.size);
    gtk_style_context_remove_class(gtk_widget_get_style_context(form.problem), "apiary-problem");
    gtk_label_set_text(GTK_LABEL(form.problem),
                       _("The guest sees a larger disk; its partitions and file systems are still "
                         "to be enlarged there."));
    if (ask(&form))
        answer = MAX(get_size(&form), size);
    gtk_widget_destroy(form.dialog);
    return answer;
}

/* --- convert ---------------------------------------------------------------------------------- */

bool apiary_disk_dialog_convert(GtkWindow *parent, const char *path, const char *format,
                                ApiaryDiskWish *wish)
{
    Form form = {0};
    g_autofree char *folder = g_path_get_dirname(path), *stem = g_path_get_basename(path);
    char *dot = g_strrstr(stem, ".");

    if (dot && dot != stem)
        *dot = '\0';
    form_init(&form, parent, _("Convert Disk"), _("_Convert"));
    form.format = format_field(g_strcmp0(format, "qcow2") == 0 ? "raw" : "qcow2");
    add_row(&form, _("New _format"), form.format);
    gtk_style_context_remove_class(gtk_widget_get_style_context(form.problem), "apiary-problem");
    gtk_label_set_text(GTK_LABEL(form.problem),
                       _("The machine will use the copy; the old image stays where it is."));
    bool accepted = ask(&form);
    if (accepted) {
        wish->format = get_format(&form);
        wish->path = free_path(folder, stem, wish->format);
    }
    gtk_widget_destroy(form.dialog);
    return accepted;
}
