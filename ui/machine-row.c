/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/machine-row.h"

#include "ui/graph.h"
#include "ui/paths.h"
#include "ui/thumbnail.h"
#include "ui/vm-actions.h"

#include <glib/gi18n.h>

struct _ApiaryMachineRow {
    GtkListBoxRow parent;
    ApiaryVm *vm;
    GActionGroup *actions;
    GtkWidget *thumbnail, *name, *state, *sparkline, *menu_button;
};

G_DEFINE_FINAL_TYPE(ApiaryMachineRow, apiary_machine_row, GTK_TYPE_LIST_BOX_ROW)

ApiaryVm *apiary_machine_row_get_vm(ApiaryMachineRow *row)
{
    return row->vm;
}

GActionGroup *apiary_machine_row_get_actions(ApiaryMachineRow *row)
{
    return row->actions;
}

static gboolean draw_thumbnail(GtkWidget *widget, cairo_t *cr, gpointer data)
{
    ApiaryMachineRow *row = data;
    cairo_surface_t *picture = apiary_vm_get_thumbnail(row->vm);
    double width = gtk_widget_get_allocated_width(widget);
    double height = gtk_widget_get_allocated_height(widget);

    cairo_set_source_rgb(cr, 0.06, 0.06, 0.07);
    cairo_paint(cr);
    if (!picture)
        return GDK_EVENT_PROPAGATE;
    double picture_width = cairo_image_surface_get_width(picture);
    double picture_height = cairo_image_surface_get_height(picture);
    double scale = MIN(width / picture_width, height / picture_height);
    cairo_translate(cr, (width - picture_width * scale) / 2, (height - picture_height * scale) / 2);
    cairo_scale(cr, scale, scale);
    cairo_set_source_surface(cr, picture, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_BILINEAR);
    cairo_paint_with_alpha(cr, apiary_vm_is_on(row->vm) ? 1 : 0.35);
    return GDK_EVENT_PROPAGATE;
}

static void update(ApiaryMachineRow *row)
{
    g_autofree char *state = apiary_vm_state_text(row->vm);
    const char *name = apiary_vm_get_name(row->vm);
    g_autofree char *spoken = g_strdup_printf("%s, %s", name, state);
    g_autofree char *menu_name = g_strdup_printf(_("Menu of %s"), name);

    gtk_label_set_text(GTK_LABEL(row->name), name);
    gtk_label_set_text(GTK_LABEL(row->state), state);
    gtk_widget_set_visible(row->sparkline, apiary_vm_is_on(row->vm));
    gtk_widget_set_tooltip_text(GTK_WIDGET(row), apiary_vm_get_config(row->vm)->notes);
    atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(row)), spoken);
    atk_object_set_name(gtk_widget_get_accessible(row->menu_button), menu_name);
    gtk_widget_queue_draw(row->thumbnail);
}

static void on_statistics(ApiaryMachineRow *row)
{
    unsigned n;
    const ApiaryVmSample *samples = apiary_vm_get_samples(row->vm, &n);
    double values[APIARY_VM_HISTORY];

    if (!gtk_widget_get_mapped(GTK_WIDGET(row)))
        return;
    for (unsigned i = 0; i < n; i++)
        values[i] = samples[i].cpu;
    apiary_graph_set_values(APIARY_GRAPH(row->sparkline), values, NULL, n, APIARY_VM_HISTORY);
    apiary_vm_update_thumbnail(row->vm);
    gtk_widget_queue_draw(row->thumbnail);
}

static gboolean on_popup_menu(ApiaryMachineRow *row)
{
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(row->menu_button), TRUE);
    return GDK_EVENT_STOP;
}

static gboolean on_button_press(ApiaryMachineRow *row, GdkEvent *event)
{
    if (!gdk_event_triggers_context_menu(event))
        return GDK_EVENT_PROPAGATE;
    gtk_list_box_select_row(GTK_LIST_BOX(gtk_widget_get_parent(GTK_WIDGET(row))),
                            GTK_LIST_BOX_ROW(row));
    return on_popup_menu(row);
}

GtkWidget *apiary_machine_row_new(ApiaryVm *vm)
{
    ApiaryMachineRow *row = g_object_new(APIARY_TYPE_MACHINE_ROW, NULL);

    row->vm = g_object_ref(vm);
    row->actions = apiary_vm_actions_new(vm);
    gtk_widget_insert_action_group(GTK_WIDGET(row), "vm", row->actions);
    g_signal_connect_object(vm, "changed", G_CALLBACK(update), row, G_CONNECT_SWAPPED);
    g_signal_connect_object(vm, "statistics", G_CALLBACK(on_statistics), row, G_CONNECT_SWAPPED);
    update(row);
    return GTK_WIDGET(row);
}

static void apiary_machine_row_dispose(GObject *object)
{
    ApiaryMachineRow *row = APIARY_MACHINE_ROW(object);

    g_clear_object(&row->actions);
    g_clear_object(&row->vm);
    G_OBJECT_CLASS(apiary_machine_row_parent_class)->dispose(object);
}

static void apiary_machine_row_init(ApiaryMachineRow *row)
{
    gtk_widget_init_template(GTK_WIDGET(row));
    gtk_widget_set_size_request(row->thumbnail, 88, 66);
    apiary_graph_set_unit(APIARY_GRAPH(row->sparkline), APIARY_GRAPH_PERCENT);
    g_signal_connect(row, "popup-menu", G_CALLBACK(on_popup_menu), NULL);
    g_signal_connect(row, "button-press-event", G_CALLBACK(on_button_press), NULL);
    g_signal_connect(row->thumbnail, "draw", G_CALLBACK(draw_thumbnail), row);
}

static void apiary_machine_row_class_init(ApiaryMachineRowClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    G_OBJECT_CLASS(klass)->dispose = apiary_machine_row_dispose;
    g_type_ensure(APIARY_TYPE_GRAPH);
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/machine-row.ui");
    gtk_widget_class_bind_template_child(widget_class, ApiaryMachineRow, thumbnail);
    gtk_widget_class_bind_template_child(widget_class, ApiaryMachineRow, name);
    gtk_widget_class_bind_template_child(widget_class, ApiaryMachineRow, state);
    gtk_widget_class_bind_template_child(widget_class, ApiaryMachineRow, sparkline);
    gtk_widget_class_bind_template_child(widget_class, ApiaryMachineRow, menu_button);
}
