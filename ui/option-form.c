/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/option-form.h"

#include <glib/gi18n.h>

struct _ApiaryOptionForm {
    GtkGrid parent;
    const OptionInfo *table;
    OptionValues *values; /* not owned */
    GPtrArray *fields;    /* Field* */
    bool filling;
};

typedef struct {
    ApiaryOptionForm *form;
    const OptionInfo *info;
    GtkWidget *widget, *problem;
} Field;

G_DEFINE_FINAL_TYPE(ApiaryOptionForm, apiary_option_form, GTK_TYPE_GRID)

static unsigned changed_signal;

void apiary_option_set_help(GtkWidget *widget, const OptionInfo *table, const char *option)
{
    for (; table->name; table++)
        if (g_str_equal(table->name, option))
            gtk_widget_set_tooltip_text(widget, _(table->help));
}

/* --- one field -------------------------------------------------------------------------------- */

/* What the person has put in, or NULL for nothing. */
static const char *field_text(const Field *field)
{
    switch (field->info->type) {
    case OPTION_BOOL: return gtk_switch_get_active(GTK_SWITCH(field->widget)) ? "on" : "off";
    case OPTION_ENUM: return gtk_combo_box_get_active_id(GTK_COMBO_BOX(field->widget));
    default: break;
    }
    const char *text = gtk_entry_get_text(GTK_ENTRY(field->widget));
    return *text ? text : NULL;
}

static void on_field_changed(Field *field)
{
    ApiaryOptionForm *form = field->form;
    const OptionInfo *info = field->info;
    g_autoptr(GError) error = NULL;

    if (form->filling)
        return;
    const char *text = field_text(field);
    if (!text || g_strcmp0(text, info->default_value) == 0)
        option_values_unset(form->values, info->name);
    else
        option_values_set(form->values, info->name, text, &error);
    gtk_label_set_text(GTK_LABEL(field->problem), error ? error->message : "");
    gtk_widget_set_visible(field->problem, error != NULL);
    if (!error)
        g_signal_emit(form, changed_signal, 0);
}

static GtkWidget *make_choice(const OptionInfo *info)
{
    GtkWidget *combo = gtk_combo_box_text_new();
    g_auto(GStrv) choices = g_strsplit(info->choices, "|", -1);

    for (char **choice = choices; *choice; choice++)
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(combo), *choice, *choice);
    return combo;
}

static GtkWidget *make_widget(Field *field)
{
    const OptionInfo *info = field->info;
    GtkWidget *widget;

    if (info->type == OPTION_BOOL) {
        widget = gtk_switch_new();
        gtk_widget_set_halign(widget, GTK_ALIGN_START);
        g_signal_connect_swapped(widget, "notify::active", G_CALLBACK(on_field_changed), field);
        return widget;
    }
    widget = info->type == OPTION_ENUM ? make_choice(info) : gtk_entry_new();
    if (GTK_IS_ENTRY(widget))
        gtk_entry_set_placeholder_text(GTK_ENTRY(widget),
                                       info->default_value ? info->default_value : _(info->help));
    gtk_widget_set_hexpand(widget, TRUE);
    g_signal_connect_swapped(widget, "changed", G_CALLBACK(on_field_changed), field);
    return widget;
}

static void add_field(ApiaryOptionForm *form, const OptionInfo *info, int row)
{
    Field *field = g_new0(Field, 1);
    GtkWidget *label = gtk_label_new(info->name);

    field->form = form;
    field->info = info;
    field->widget = make_widget(field);
    field->problem = gtk_label_new("");
    gtk_label_set_xalign(GTK_LABEL(label), 1);
    gtk_style_context_add_class(gtk_widget_get_style_context(label), "dim-label");
    gtk_label_set_mnemonic_widget(GTK_LABEL(label), field->widget);
    gtk_widget_set_tooltip_text(label, _(info->help));
    gtk_widget_set_tooltip_text(field->widget, _(info->help));
    gtk_label_set_xalign(GTK_LABEL(field->problem), 0);
    gtk_label_set_line_wrap(GTK_LABEL(field->problem), TRUE);
    gtk_label_set_max_width_chars(GTK_LABEL(field->problem), 50);
    gtk_style_context_add_class(gtk_widget_get_style_context(field->problem), "apiary-problem");
    gtk_grid_attach(GTK_GRID(form), label, 0, row, 1, 1);
    gtk_grid_attach(GTK_GRID(form), field->widget, 1, row, 1, 1);
    gtk_grid_attach(GTK_GRID(form), field->problem, 1, row + 1, 1, 1);
    gtk_widget_show(label);
    gtk_widget_show(field->widget);
    g_ptr_array_add(form->fields, field);
}

/* From the values to the widget; what is being typed is left alone. */
static void fill_field(Field *field)
{
    const char *name = field->info->name;
    const OptionValues *values = field->form->values;

    switch (field->info->type) {
    case OPTION_BOOL:
        gtk_switch_set_active(GTK_SWITCH(field->widget), option_bool(values, name));
        break;
    case OPTION_ENUM:
        gtk_combo_box_set_active_id(GTK_COMBO_BOX(field->widget), option_string(values, name));
        break;
    default:
        if (!gtk_widget_has_focus(field->widget))
            gtk_entry_set_text(GTK_ENTRY(field->widget),
                               option_is_set(values, name) ? option_string(values, name) : "");
    }
}

/* --- the form --------------------------------------------------------------------------------- */

static void destroy_child(GtkWidget *child, gpointer data)
{
    gtk_widget_destroy(child);
}

static bool is_shown(const OptionInfo *info, const char *const *left_out)
{
    return info->type != OPTION_LIST && info->type != OPTION_REF &&
           !g_strv_contains(left_out, info->name);
}

void apiary_option_form_set_values(ApiaryOptionForm *form, const OptionInfo *table,
                                   OptionValues *values, const char *const *left_out)
{
    form->filling = true;
    form->values = values;
    if (form->table != table) {
        gtk_container_foreach(GTK_CONTAINER(form), destroy_child, NULL);
        g_ptr_array_set_size(form->fields, 0);
        form->table = table;
        for (const OptionInfo *info = table; info->name; info++)
            if (is_shown(info, left_out))
                add_field(form, info, (int)form->fields->len * 2);
    }
    for (guint i = 0; i < form->fields->len; i++)
        fill_field(form->fields->pdata[i]);
    form->filling = false;
}

static void apiary_option_form_dispose(GObject *object)
{
    APIARY_OPTION_FORM(object)->filling = true;
    G_OBJECT_CLASS(apiary_option_form_parent_class)->dispose(object);
}

static void apiary_option_form_finalize(GObject *object)
{
    g_ptr_array_unref(APIARY_OPTION_FORM(object)->fields);
    G_OBJECT_CLASS(apiary_option_form_parent_class)->finalize(object);
}

static void apiary_option_form_init(ApiaryOptionForm *form)
{
    form->fields = g_ptr_array_new_with_free_func(g_free);
    gtk_grid_set_row_spacing(GTK_GRID(form), 6);
    gtk_grid_set_column_spacing(GTK_GRID(form), 12);
}

static void apiary_option_form_class_init(ApiaryOptionFormClass *klass)
{
    G_OBJECT_CLASS(klass)->dispose = apiary_option_form_dispose;
    G_OBJECT_CLASS(klass)->finalize = apiary_option_form_finalize;
    changed_signal = g_signal_new("changed", G_TYPE_FROM_CLASS(klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                  NULL, NULL, G_TYPE_NONE, 0);
}
