/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/activity-page.h"

#include "ui/graph.h"

#include <glib/gi18n.h>
#include <stddef.h>

/* A graph shows one or two numbers of the samples, and the newest of them in words. */
typedef struct {
    const char *title;
    ApiaryGraphUnit unit;
    size_t first, second; /* offsets of doubles in ApiaryVmSample; SECOND 0: none */
} Panel;

#define FIELD(name) offsetof(ApiaryVmSample, name)

static const Panel panels[] = {
    {N_("CPU"), APIARY_GRAPH_PERCENT, FIELD(cpu), 0},
    {N_("Guest instructions (millions a second)"), APIARY_GRAPH_NUMBER, FIELD(mips), 0},
    {N_("Disk: read and written"), APIARY_GRAPH_BYTES, FIELD(disk_read), FIELD(disk_write)},
    {N_("CD: read"), APIARY_GRAPH_BYTES, FIELD(cd_read), 0},
    {N_("Network: received and sent"), APIARY_GRAPH_BYTES, FIELD(net_rx), FIELD(net_tx)},
};

/* What the translator does, a line each, in words. */
enum { CODE_BLOCKS, CODE_SIZE, CODE_TRANSLATIONS, CODE_FLUSHES, CODE_SLOW, N_CODE_LINES };

static const char *const code_lines[N_CODE_LINES] = {
    [CODE_BLOCKS] = N_("Blocks"),
    [CODE_SIZE] = N_("Size"),
    [CODE_TRANSLATIONS] = N_("Blocks translated"),
    [CODE_FLUSHES] = N_("Parts dropped to make room"),
    [CODE_SLOW] = N_("Slow memory accesses"),
};

struct _ApiaryActivityPage {
    GtkScrolledWindow parent;
    ApiaryVm *vm;
    GtkWidget *graphs[G_N_ELEMENTS(panels)];
    GtkWidget *values[G_N_ELEMENTS(panels)];
    GtkWidget *code; /* the lines, hidden where nothing is translated */
    GtkWidget *code_values[N_CODE_LINES];
    GtkWidget *interpreted; /* says so instead */
};

G_DEFINE_FINAL_TYPE(ApiaryActivityPage, apiary_activity_page, GTK_TYPE_SCROLLED_WINDOW)

static double field(const ApiaryVmSample *sample, size_t offset)
{
    return *(const double *)((const char *)sample + offset);
}

static char *words(ApiaryGraphUnit unit, double value)
{
    if (unit == APIARY_GRAPH_PERCENT)
        return g_strdup_printf("%.0f %%", value * 100);
    if (unit == APIARY_GRAPH_NUMBER)
        return g_strdup_printf("%.0f", value);
    g_autofree char *size = g_format_size((guint64)value);
    return g_strdup_printf(_("%s/s"), size);
}

/* A label takes TEXT. */
static void show_text(GtkWidget *label, char *text)
{
    gtk_label_set_text(GTK_LABEL(label), text);
    g_free(text);
}

static void update_code(ApiaryActivityPage *page, const ApiaryVmSample *sample)
{
    const MachineStatistics *now = &sample->now;
    g_autofree char *bytes = g_format_size_full(now->code.bytes, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *all = g_format_size_full(now->code.cache_bytes, G_FORMAT_SIZE_IEC_UNITS);
    const MachineConfig *running = apiary_vm_get_running_config(page->vm);
    const MachineConfig *config = running ? running : apiary_vm_get_config(page->vm);

    gtk_widget_set_visible(page->code, !config->accel_interp);
    gtk_widget_set_visible(page->interpreted, config->accel_interp);
    show_text(page->code_values[CODE_BLOCKS],
              g_strdup_printf("%'llu", (unsigned long long)now->code.blocks));
    /* Translators: so much memory of so much, as in “27 MiB of 128 MiB”. */
    show_text(page->code_values[CODE_SIZE], g_strdup_printf(_("%s of %s"), bytes, all));
    show_text(page->code_values[CODE_TRANSLATIONS],
              g_strdup_printf(_("%'.0f/s"), sample->translations));
    show_text(page->code_values[CODE_FLUSHES],
              g_strdup_printf("%'llu", (unsigned long long)now->code.dropped));
    show_text(page->code_values[CODE_SLOW], g_strdup_printf(_("%'.0f/s"), sample->slow_accesses));
}

static void update(ApiaryActivityPage *page)
{
    unsigned n;
    const ApiaryVmSample *samples = apiary_vm_get_samples(page->vm, &n);
    double first[APIARY_VM_HISTORY], second[APIARY_VM_HISTORY];

    if (!n || !gtk_widget_get_mapped(GTK_WIDGET(page)))
        return;
    for (size_t p = 0; p < G_N_ELEMENTS(panels); p++) {
        const Panel *panel = &panels[p];
        for (unsigned i = 0; i < n; i++) {
            first[i] = field(&samples[i], panel->first);
            second[i] = panel->second ? field(&samples[i], panel->second) : 0;
        }
        apiary_graph_set_values(APIARY_GRAPH(page->graphs[p]), first, panel->second ? second : NULL,
                                n, APIARY_VM_HISTORY);
        g_autofree char *text = words(panel->unit, first[n - 1]);
        if (panel->second) {
            g_autofree char *other = words(panel->unit, second[n - 1]);
            g_autofree char *one = g_steal_pointer(&text);
            text = g_strdup_printf("%s, %s", one, other);
        }
        gtk_label_set_text(GTK_LABEL(page->values[p]), text);
    }
    update_code(page, &samples[n - 1]);
}

void apiary_activity_page_set_vm(ApiaryActivityPage *page, ApiaryVm *vm)
{
    page->vm = vm; /* the window's */
    g_signal_connect_object(vm, "statistics", G_CALLBACK(update), page, G_CONNECT_SWAPPED);
}

static void apiary_activity_page_map(GtkWidget *widget)
{
    GTK_WIDGET_CLASS(apiary_activity_page_parent_class)->map(widget);
    update(APIARY_ACTIVITY_PAGE(widget));
}

static GtkWidget *make_code_section(ApiaryActivityPage *page)
{
    GtkWidget *section = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
    GtkWidget *title = gtk_label_new(_("Translated code"));

    gtk_label_set_xalign(GTK_LABEL(title), 0);
    gtk_container_add(GTK_CONTAINER(section), title);
    page->code = gtk_grid_new();
    gtk_grid_set_column_spacing(GTK_GRID(page->code), 24);
    gtk_grid_set_row_spacing(GTK_GRID(page->code), 6);
    for (int i = 0; i < N_CODE_LINES; i++) {
        GtkWidget *name = gtk_label_new(_(code_lines[i]));
        GtkWidget *value = page->code_values[i] = gtk_label_new("");
        AtkObject *accessible = gtk_widget_get_accessible(value);
        gtk_label_set_xalign(GTK_LABEL(name), 0);
        gtk_label_set_xalign(GTK_LABEL(value), 1);
        gtk_widget_set_hexpand(value, TRUE);
        gtk_style_context_add_class(gtk_widget_get_style_context(name), "dim-label");
        atk_object_add_relationship(accessible, ATK_RELATION_LABELLED_BY,
                                    gtk_widget_get_accessible(name));
        gtk_grid_attach(GTK_GRID(page->code), name, 0, i, 1, 1);
        gtk_grid_attach(GTK_GRID(page->code), value, 1, i, 1, 1);
    }
    gtk_container_add(GTK_CONTAINER(section), page->code);
    page->interpreted = gtk_label_new(_("The machine is interpreted: nothing is translated."));
    gtk_label_set_xalign(GTK_LABEL(page->interpreted), 0);
    gtk_style_context_add_class(gtk_widget_get_style_context(page->interpreted), "dim-label");
    gtk_container_add(GTK_CONTAINER(section), page->interpreted);
    return section;
}

static void apiary_activity_page_init(ApiaryActivityPage *page)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 18);

    gtk_widget_set_can_focus(GTK_WIDGET(page), FALSE);
    g_object_set(box, "margin", 18, NULL);
    for (size_t p = 0; p < G_N_ELEMENTS(panels); p++) {
        GtkWidget *panel = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
        GtkWidget *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12);
        GtkWidget *title = gtk_label_new(_(panels[p].title));
        page->values[p] = gtk_label_new("");
        page->graphs[p] = apiary_graph_new();
        gtk_style_context_add_class(gtk_widget_get_style_context(page->values[p]), "dim-label");
        apiary_graph_set_unit(APIARY_GRAPH(page->graphs[p]), panels[p].unit);
        apiary_graph_set_detailed(APIARY_GRAPH(page->graphs[p]), TRUE);
        gtk_widget_set_size_request(page->graphs[p], -1, 84);
        gtk_box_pack_start(GTK_BOX(line), title, FALSE, FALSE, 0);
        gtk_box_pack_end(GTK_BOX(line), page->values[p], FALSE, FALSE, 0);
        gtk_container_add(GTK_CONTAINER(panel), line);
        gtk_container_add(GTK_CONTAINER(panel), page->graphs[p]);
        gtk_container_add(GTK_CONTAINER(box), panel);
    }
    gtk_container_add(GTK_CONTAINER(box), make_code_section(page));
    gtk_container_add(GTK_CONTAINER(page), box);
    gtk_widget_show_all(box);
    gtk_widget_hide(page->interpreted);
}

static void apiary_activity_page_class_init(ApiaryActivityPageClass *klass)
{
    GTK_WIDGET_CLASS(klass)->map = apiary_activity_page_map;
}
