/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/graph.h"

#include <glib/gi18n.h>

#define MAX_VALUES 120

struct _ApiaryGraph {
    GtkDrawingArea parent;
    ApiaryGraphUnit unit;
    gboolean detailed;
    double values[2][MAX_VALUES];
    unsigned n, n_max, n_curves;
};

G_DEFINE_FINAL_TYPE(ApiaryGraph, apiary_graph, GTK_TYPE_DRAWING_AREA)

/* The scale's end: 100 % always, else the next 1, 2 or 5 times a power of ten. */
static double scale_top(const ApiaryGraph *graph)
{
    double top = 0, step = graph->unit == APIARY_GRAPH_BYTES ? 1024 : 1;

    if (graph->unit == APIARY_GRAPH_PERCENT)
        return 1;
    for (unsigned curve = 0; curve < graph->n_curves; curve++)
        for (unsigned i = 0; i < graph->n; i++)
            top = MAX(top, graph->values[curve][i]);
    for (;; step *= 10) {
        if (top <= step)
            return step;
        if (top <= step * 2)
            return step * 2;
        if (top <= step * 5)
            return step * 5;
    }
}

static char *format_value(ApiaryGraphUnit unit, double value)
{
    switch (unit) {
    case APIARY_GRAPH_PERCENT: return g_strdup_printf("%.0f %%", value * 100);
    case APIARY_GRAPH_NUMBER: return g_strdup_printf("%.0f", value);
    case APIARY_GRAPH_BYTES: {
        g_autofree char *size = g_format_size((guint64)value);
        /* Translators: an amount of data a second. */
        return g_strdup_printf(_("%s/s"), size);
    }
    }
    return NULL;
}

static void trace(const ApiaryGraph *graph, cairo_t *cr, unsigned curve, double width,
                  double height, double top)
{
    double step = width / MAX(graph->n_max - 1, 1);

    for (unsigned i = 0; i < graph->n; i++) {
        double x = width - (graph->n - 1 - i) * step;
        double y = height - 1 - MIN(graph->values[curve][i] / top, 1) * (height - 2);
        if (i == 0)
            cairo_move_to(cr, x, y);
        else
            cairo_line_to(cr, x, y);
    }
}

static void draw_scale(GtkWidget *widget, cairo_t *cr, const GdkRGBA *colour, double width,
                       double height, double top)
{
    g_autofree char *text = format_value(APIARY_GRAPH(widget)->unit, top);
    g_autoptr(PangoLayout) layout = gtk_widget_create_pango_layout(widget, text);
    PangoAttrList *attributes = pango_attr_list_new();

    pango_attr_list_insert(attributes, pango_attr_scale_new(PANGO_SCALE_SMALL));
    pango_layout_set_attributes(layout, attributes);
    pango_attr_list_unref(attributes);
    cairo_set_source_rgba(cr, colour->red, colour->green, colour->blue, 0.12);
    cairo_set_line_width(cr, 1);
    for (int i = 0; i <= 4; i++) {
        double y = (int)(i * (height - 1) / 4) + 0.5;
        cairo_move_to(cr, 0, y);
        cairo_line_to(cr, width, y);
    }
    cairo_stroke(cr);
    cairo_set_source_rgba(cr, colour->red, colour->green, colour->blue, 0.6);
    cairo_move_to(cr, 4, 3);
    pango_cairo_show_layout(cr, layout);
}

static gboolean apiary_graph_draw(GtkWidget *widget, cairo_t *cr)
{
    ApiaryGraph *graph = APIARY_GRAPH(widget);
    GtkStyleContext *style = gtk_widget_get_style_context(widget);
    double width = gtk_widget_get_allocated_width(widget);
    double height = gtk_widget_get_allocated_height(widget);
    double top = scale_top(graph);
    GdkRGBA text, accent;

    gtk_style_context_get_color(style, gtk_style_context_get_state(style), &text);
    if (!gtk_style_context_lookup_color(style, "theme_selected_bg_color", &accent))
        accent = text;
    if (gtk_style_context_get_state(style) & GTK_STATE_FLAG_SELECTED)
        accent = text;
    if (graph->detailed)
        draw_scale(widget, cr, &text, width, height, top);
    for (unsigned curve = 0; curve < graph->n_curves && graph->n > 1; curve++) {
        const GdkRGBA *colour = curve == 0 ? &accent : &text;
        double alpha = curve == 0 ? 1 : 0.55;
        if (curve == 0) {
            double step = width / MAX(graph->n_max - 1, 1);
            trace(graph, cr, curve, width, height, top);
            cairo_line_to(cr, width, height);
            cairo_line_to(cr, width - (graph->n - 1) * step, height);
            cairo_close_path(cr);
            cairo_set_source_rgba(cr, colour->red, colour->green, colour->blue, 0.2);
            cairo_fill(cr);
        }
        trace(graph, cr, curve, width, height, top);
        cairo_set_line_width(cr, 1.5);
        cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
        cairo_set_source_rgba(cr, colour->red, colour->green, colour->blue, alpha);
        cairo_stroke(cr);
    }
    return GDK_EVENT_PROPAGATE;
}

void apiary_graph_set_unit(ApiaryGraph *graph, ApiaryGraphUnit unit)
{
    graph->unit = unit;
    gtk_widget_queue_draw(GTK_WIDGET(graph));
}

void apiary_graph_set_detailed(ApiaryGraph *graph, gboolean detailed)
{
    graph->detailed = detailed;
    gtk_widget_queue_draw(GTK_WIDGET(graph));
}

void apiary_graph_set_values(ApiaryGraph *graph, const double *values, const double *second,
                             unsigned n, unsigned n_max)
{
    graph->n = MIN(n, MAX_VALUES);
    graph->n_max = MAX(n_max, 2);
    graph->n_curves = second ? 2 : 1;
    for (unsigned i = 0; i < graph->n; i++) {
        graph->values[0][i] = values[i];
        graph->values[1][i] = second ? second[i] : 0;
    }
    gtk_widget_queue_draw(GTK_WIDGET(graph));
}

GtkWidget *apiary_graph_new(void)
{
    return g_object_new(APIARY_TYPE_GRAPH, "visible", TRUE, NULL);
}

static void apiary_graph_init(ApiaryGraph *graph)
{
    graph->n_max = MAX_VALUES;
}

static void apiary_graph_class_init(ApiaryGraphClass *klass)
{
    GTK_WIDGET_CLASS(klass)->draw = apiary_graph_draw;
}
