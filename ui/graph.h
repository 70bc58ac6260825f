/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* A curve of the last minute, drawn in the theme's colours: a sparkline in the list, or a graph
 * with a scale on the Activity page. */

#include <gtk/gtk.h>

#define APIARY_TYPE_GRAPH (apiary_graph_get_type())
G_DECLARE_FINAL_TYPE(ApiaryGraph, apiary_graph, APIARY, GRAPH, GtkDrawingArea)

typedef enum { APIARY_GRAPH_PERCENT, APIARY_GRAPH_NUMBER, APIARY_GRAPH_BYTES } ApiaryGraphUnit;

GtkWidget *apiary_graph_new(void);
void apiary_graph_set_unit(ApiaryGraph *graph, ApiaryGraphUnit unit);
/* A graph with a grid and the value at its top; without, a sparkline. */
void apiary_graph_set_detailed(ApiaryGraph *graph, gboolean detailed);
/* VALUES newest last, of N_MAX that would fill the width; SECOND may be NULL. */
void apiary_graph_set_values(ApiaryGraph *graph, const double *values, const double *second,
                             unsigned n, unsigned n_max);
