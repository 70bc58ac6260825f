/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The picture: damage is copied from the published frame into one surface at the widget's own frame
 * clock. The callback of the board thread only wakes the UI; ticking ends when nothing moves.
 */

#include "ui/console-private.h"

#include "ui/console-accessible.h"

#include <math.h>
#include <string.h>

#define MAX_RECTS   32
#define QUIET_TICKS 10 /* ticks without damage after which ticking ends */

unsigned apiary_console_signals[CONSOLE_N_SIGNALS];

G_DEFINE_FINAL_TYPE(ApiaryConsole, apiary_console, GTK_TYPE_DRAWING_AREA)

/* --- geometry --------------------------------------------------------------------------------- */

void apiary_console_get_transform(ApiaryConsole *console, double *x, double *y, double *scale)
{
    GtkWidget *widget = GTK_WIDGET(console);
    double width = gtk_widget_get_allocated_width(widget);
    double height = gtk_widget_get_allocated_height(widget);
    double device = gtk_widget_get_scale_factor(widget);
    double fit = MIN(width / MAX(console->width, 1), height / MAX(console->height, 1));

    switch (console->scaling) {
    case APIARY_SCALING_FIT: break;
    case APIARY_SCALING_WHOLE:
        if (fit * device >= 1)
            fit = floor(fit * device) / device;
        break;
    case APIARY_SCALING_NATIVE: fit = MIN(1 / device, fit); break;
    }
    /* A hair off a whole multiple is the whole multiple: it is sharp. */
    double whole = round(fit * device);
    if (whole >= 1 && fabs(fit * device - whole) * console->width < 1)
        fit = whole / device;
    *scale = fit;
    *x = floor((width - console->width * fit) / 2);
    *y = floor((height - console->height * fit) / 2);
}

void apiary_console_get_screen_size(ApiaryConsole *console, int *width, int *height)
{
    *width = console->width;
    *height = console->height;
}

/* --- from the frame to the surface ------------------------------------------------------------ */

static void resize_surface(ApiaryConsole *console, int width, int height)
{
    g_clear_pointer(&console->surface, cairo_surface_destroy);
    console->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    console->width = width;
    console->height = height;
    gtk_widget_queue_draw(GTK_WIDGET(console));
    g_signal_emit(console, apiary_console_signals[CONSOLE_SCREEN_RESIZED], 0, width, height);
}

static void copy_rect(ApiaryConsole *console, const DisplayFrame *frame, const DisplayRect *rect)
{
    uint8_t *pixels = cairo_image_surface_get_data(console->surface);
    int stride = cairo_image_surface_get_stride(console->surface);

    for (int y = rect->y; y < rect->y + rect->height; y++)
        memcpy(pixels + (size_t)y * (size_t)stride + (size_t)rect->x * 4,
               frame->pixels + (size_t)y * (size_t)frame->stride + (size_t)rect->x * 4,
               (size_t)rect->width * 4);
    cairo_surface_mark_dirty_rectangle(console->surface, rect->x, rect->y, rect->width,
                                       rect->height);
}

static void queue_rect(ApiaryConsole *console, const DisplayRect *rect)
{
    double x, y, scale;

    apiary_console_get_transform(console, &x, &y, &scale);
    /* A pixel more on each side: the filter reaches over the edge. */
    int left = (int)floor(x + rect->x * scale) - 1, top = (int)floor(y + rect->y * scale) - 1;
    int right = (int)ceil(x + (rect->x + rect->width) * scale) + 1;
    int bottom = (int)ceil(y + (rect->y + rect->height) * scale) + 1;
    gtk_widget_queue_draw_area(GTK_WIDGET(console), left, top, right - left, bottom - top);
}

/* Takes what is new. False when nothing is. */
static gboolean take_frame(ApiaryConsole *console)
{
    DisplayRect rects[MAX_RECTS];
    DisplayFrame frame;
    int n = display_client_lock(console->client, &frame, rects, MAX_RECTS);

    if (n > 0 && frame.width > 0) {
        if (!console->surface || frame.width != console->width || frame.height != console->height) {
            resize_surface(console, frame.width, frame.height);
            rects[0] = (DisplayRect){0, 0, frame.width, frame.height};
            n = 1;
        }
        cairo_surface_flush(console->surface);
        for (int i = 0; i < n; i++)
            copy_rect(console, &frame, &rects[i]);
    }
    display_client_unlock(console->client);
    for (int i = 0; i < n; i++)
        queue_rect(console, &rects[i]);
    if (n > 0)
        apiary_console_text_update(console);
    return n > 0;
}

static gboolean on_tick(GtkWidget *widget, GdkFrameClock *clock, gpointer data)
{
    ApiaryConsole *console = APIARY_CONSOLE(widget);

    if (console->client && take_frame(console))
        console->quiet_ticks = 0;
    else
        console->quiet_ticks++;
    if (console->quiet_ticks < QUIET_TICKS)
        return G_SOURCE_CONTINUE;
    console->tick = 0;
    return G_SOURCE_REMOVE;
}

static void start_ticking(ApiaryConsole *console)
{
    console->quiet_ticks = 0;
    if (!console->tick && console->client && gtk_widget_get_mapped(GTK_WIDGET(console)))
        console->tick = gtk_widget_add_tick_callback(GTK_WIDGET(console), on_tick, NULL, NULL);
}

static gboolean wake(gpointer data)
{
    ApiaryConsole *console = data;

    g_atomic_int_set(&console->wake_pending, 0);
    start_ticking(console);
    return G_SOURCE_REMOVE;
}

/* Board thread. */
static void on_published(void *opaque)
{
    ApiaryConsole *console = opaque;

    if (g_atomic_int_compare_and_exchange(&console->wake_pending, 0, 1))
        g_idle_add_full(G_PRIORITY_DEFAULT, wake, g_object_ref(console), g_object_unref);
}

/* The machine's Display is made at its first start. */
static void follow_display(ApiaryConsole *console)
{
    Display *display = console->vm ? apiary_vm_get_display(console->vm) : NULL;

    if (display == console->display)
        return;
    g_clear_pointer(&console->client, display_client_free);
    console->display = display;
    if (display)
        console->client = display_client_new(display, on_published, console);
    start_ticking(console);
}

static void on_vm_changed(ApiaryConsole *console)
{
    follow_display(console);
    if (!apiary_vm_is_on(console->vm))
        apiary_console_release(console);
    apiary_console_update_cursor(console);
    gtk_widget_queue_draw(GTK_WIDGET(console));
}

void apiary_console_set_vm(ApiaryConsole *console, ApiaryVm *vm)
{
    g_return_if_fail(!console->vm);
    console->vm = g_object_ref(vm);
    g_signal_connect_object(vm, "changed", G_CALLBACK(on_vm_changed), console, G_CONNECT_SWAPPED);
    follow_display(console);
}

void apiary_console_set_scaling(ApiaryConsole *console, ApiaryScaling scaling)
{
    console->scaling = scaling;
    gtk_widget_queue_draw(GTK_WIDGET(console));
}

/* --- drawing ---------------------------------------------------------------------------------- */

static gboolean apiary_console_draw(GtkWidget *widget, cairo_t *cr)
{
    ApiaryConsole *console = APIARY_CONSOLE(widget);
    double x, y, scale, device = gtk_widget_get_scale_factor(widget);

    cairo_set_source_rgb(cr, 0, 0, 0);
    cairo_paint(cr);
    if (!console->surface)
        return GDK_EVENT_PROPAGATE;
    apiary_console_get_transform(console, &x, &y, &scale);
    cairo_translate(cr, x, y);
    cairo_scale(cr, scale, scale);
    cairo_set_source_surface(cr, console->surface, 0, 0);
    /* Never cairo's default: it costs a hundred times as much. */
    bool whole = fabs(scale * device - round(scale * device)) < 1e-9;
    cairo_pattern_set_filter(cairo_get_source(cr),
                             whole ? CAIRO_FILTER_NEAREST : CAIRO_FILTER_BILINEAR);
    cairo_rectangle(cr, 0, 0, console->width, console->height);
    cairo_fill(cr);
    apiary_console_text_draw(console, cr);
    if (console->vm && apiary_vm_get_state(console->vm) != MACHINE_RUNNING) {
        cairo_set_source_rgba(cr, 0, 0, 0, 0.55);
        cairo_rectangle(cr, 0, 0, console->width, console->height);
        cairo_fill(cr);
    }
    return GDK_EVENT_PROPAGATE;
}

static void apiary_console_map(GtkWidget *widget)
{
    GTK_WIDGET_CLASS(apiary_console_parent_class)->map(widget);
    start_ticking(APIARY_CONSOLE(widget));
}

static void apiary_console_unmap(GtkWidget *widget)
{
    ApiaryConsole *console = APIARY_CONSOLE(widget);

    if (console->tick)
        gtk_widget_remove_tick_callback(widget, console->tick);
    console->tick = 0;
    apiary_console_release(console);
    GTK_WIDGET_CLASS(apiary_console_parent_class)->unmap(widget);
}

static void apiary_console_get_preferred_width(GtkWidget *widget, int *minimum, int *natural)
{
    *minimum = 320;
    *natural = MAX(APIARY_CONSOLE(widget)->width, 720);
}

static void apiary_console_get_preferred_height(GtkWidget *widget, int *minimum, int *natural)
{
    *minimum = 200;
    *natural = MAX(APIARY_CONSOLE(widget)->height, 400);
}

static void apiary_console_dispose(GObject *object)
{
    ApiaryConsole *console = APIARY_CONSOLE(object);

    /* After this no callback comes; a wake already queued finds no client. */
    g_clear_pointer(&console->client, display_client_free);
    console->display = NULL;
    g_clear_pointer(&console->surface, cairo_surface_destroy);
    g_clear_pointer(&console->text, g_free);
    g_clear_object(&console->vm);
    G_OBJECT_CLASS(apiary_console_parent_class)->dispose(object);
}

static void apiary_console_init(ApiaryConsole *console)
{
    apiary_console_input_init(console);
}

static void apiary_console_class_init(ApiaryConsoleClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    G_OBJECT_CLASS(klass)->dispose = apiary_console_dispose;
    widget_class->draw = apiary_console_draw;
    widget_class->map = apiary_console_map;
    widget_class->unmap = apiary_console_unmap;
    widget_class->get_preferred_width = apiary_console_get_preferred_width;
    widget_class->get_preferred_height = apiary_console_get_preferred_height;
    apiary_console_input_class_init(widget_class);
    gtk_widget_class_set_accessible_type(widget_class, APIARY_TYPE_CONSOLE_ACCESSIBLE);
    apiary_console_signals[CONSOLE_CAPTURE_CHANGED] =
        g_signal_new("capture-changed", APIARY_TYPE_CONSOLE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                     G_TYPE_NONE, 0);
    apiary_console_signals[CONSOLE_SCREEN_RESIZED] =
        g_signal_new("screen-resized", APIARY_TYPE_CONSOLE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                     G_TYPE_NONE, 2, G_TYPE_INT, G_TYPE_INT);
}
