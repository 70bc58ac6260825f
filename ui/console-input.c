/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Keyboard by hardware code, pointer absolute or confined. The guest gets a break code for every
 * make code: whatever it believes to be down is let go when the focus leaves.
 */

#include "ui/console-private.h"

#include "ui/keys.h"

#include "core/machine/input.h"

#include <math.h>

#define POSITION_MAX 32767

/* --- capture ---------------------------------------------------------------------------------- */

static void lift_all(ApiaryConsole *console)
{
    for (unsigned code = 0; code <= KEY_MAX; code++) {
        if (!(console->held[code / 8] & 1 << code % 8))
            continue;
        console->held[code / 8] &= (guint8) ~(1 << code % 8);
        if (console->vm)
            apiary_vm_send_key(console->vm, code, false);
    }
    if (console->buttons && console->vm) {
        bool absolute = apiary_vm_pointer_is_absolute(console->vm);
        apiary_vm_send_pointer(console->vm, absolute, absolute ? console->last_x : 0,
                               absolute ? console->last_y : 0, 0, 0);
    }
    console->buttons = 0;
}

void apiary_console_update_cursor(ApiaryConsole *console)
{
    GdkWindow *window = gtk_widget_get_window(GTK_WIDGET(console));
    bool on = console->vm && apiary_vm_get_state(console->vm) == MACHINE_RUNNING;

    if (!window)
        return;
    /* The guest draws its own: ours would be a second one. */
    bool hide = on && (console->has_pointer ||
                       (apiary_vm_pointer_is_absolute(console->vm) && console->captured));
    if (console->selecting) {
        g_autoptr(GdkCursor) beam =
            gdk_cursor_new_from_name(gdk_window_get_display(window), "text");
        gdk_window_set_cursor(window, beam);
        return;
    }
    g_autoptr(GdkCursor) cursor =
        hide ? gdk_cursor_new_for_display(gdk_window_get_display(window), GDK_BLANK_CURSOR) : NULL;
    gdk_window_set_cursor(window, cursor);
}

static void drop_pointer(ApiaryConsole *console)
{
    if (!console->has_pointer)
        return;
    console->has_pointer = FALSE;
    gdk_seat_ungrab(console->seat);
    g_clear_object(&console->seat);
}

static void set_captured(ApiaryConsole *console, gboolean captured)
{
    if (captured && (!console->vm || !apiary_vm_is_on(console->vm) || console->selecting))
        captured = FALSE;
    if (!captured) {
        lift_all(console);
        drop_pointer(console);
    }
    if (console->captured == captured)
        return;
    console->captured = captured;
    console->combination_clean = FALSE;
    apiary_console_update_cursor(console);
    g_signal_emit(console, apiary_console_signals[CONSOLE_CAPTURE_CHANGED], 0);
}

gboolean apiary_console_is_captured(ApiaryConsole *console)
{
    return console->captured;
}

gboolean apiary_console_has_pointer(ApiaryConsole *console)
{
    return console->has_pointer;
}

void apiary_console_capture(ApiaryConsole *console)
{
    set_captured(console, TRUE);
}

void apiary_console_release(ApiaryConsole *console)
{
    set_captured(console, FALSE);
}

static void warp_to_centre(ApiaryConsole *console)
{
    GtkWidget *widget = GTK_WIDGET(console);
    int x, y;

    gdk_window_get_root_coords(gtk_widget_get_window(widget),
                               gtk_widget_get_allocated_width(widget) / 2,
                               gtk_widget_get_allocated_height(widget) / 2, &x, &y);
    gdk_device_warp(gdk_seat_get_pointer(console->seat), gtk_widget_get_screen(widget), x, y);
}

/* A relative pointer has to stay inside, or it would end at the window's edge. */
static void take_pointer(ApiaryConsole *console, const GdkEvent *event)
{
    GtkWidget *widget = GTK_WIDGET(console);
    GdkWindow *window = gtk_widget_get_window(widget);
    GdkSeat *seat = gdk_display_get_default_seat(gdk_window_get_display(window));
    g_autoptr(GdkCursor) blank =
        gdk_cursor_new_for_display(gdk_window_get_display(window), GDK_BLANK_CURSOR);

    if (gdk_seat_grab(seat, window, GDK_SEAT_CAPABILITY_ALL, TRUE, blank, event, NULL, NULL) !=
        GDK_GRAB_SUCCESS)
        return;
    console->seat = g_object_ref(seat);
    console->has_pointer = TRUE;
    warp_to_centre(console);
    apiary_console_update_cursor(console);
    g_signal_emit(console, apiary_console_signals[CONSOLE_CAPTURE_CHANGED], 0);
}

/* --- keyboard --------------------------------------------------------------------------------- */

static gboolean is_ctrl(unsigned code)
{
    return code == KEY_LEFTCTRL || code == KEY_RIGHTCTRL;
}

static gboolean is_alt(unsigned code)
{
    return code == KEY_LEFTALT || code == KEY_RIGHTALT;
}

static gboolean held_any(const ApiaryConsole *console, unsigned a, unsigned b)
{
    return (console->held[a / 8] & 1 << a % 8) || (console->held[b / 8] & 1 << b % 8);
}

static gboolean apiary_console_key_press(GtkWidget *widget, GdkEventKey *event)
{
    ApiaryConsole *console = APIARY_CONSOLE(widget);
    unsigned code = apiary_evdev_from_hardware(event->hardware_keycode);

    if (apiary_console_text_key(console, event))
        return GDK_EVENT_STOP;
    if (!console->captured) {
        bool enter = event->keyval == GDK_KEY_Return || event->keyval == GDK_KEY_KP_Enter;
        if (enter && console->vm && apiary_vm_is_on(console->vm)) {
            set_captured(console, TRUE);
            return GDK_EVENT_STOP;
        }
        return GDK_EVENT_PROPAGATE;
    }
    if (!code || console->held[code / 8] & 1 << code % 8)
        return GDK_EVENT_STOP; /* the host's auto-repeat: the guest's keyboard has its own */
    console->held[code / 8] |= (guint8)(1 << code % 8);
    if (is_ctrl(code) || is_alt(code)) {
        if (held_any(console, KEY_LEFTCTRL, KEY_RIGHTCTRL) &&
            held_any(console, KEY_LEFTALT, KEY_RIGHTALT))
            console->combination_clean = TRUE;
    } else {
        console->combination_clean = FALSE;
    }
    apiary_vm_send_key(console->vm, code, true);
    return GDK_EVENT_STOP;
}

static gboolean apiary_console_key_release(GtkWidget *widget, GdkEventKey *event)
{
    ApiaryConsole *console = APIARY_CONSOLE(widget);
    unsigned code = apiary_evdev_from_hardware(event->hardware_keycode);

    if (!code || !(console->held[code / 8] & 1 << code % 8))
        return console->captured ? GDK_EVENT_STOP : GDK_EVENT_PROPAGATE;
    console->held[code / 8] &= (guint8) ~(1 << code % 8);
    apiary_vm_send_key(console->vm, code, false);
    if (console->combination_clean && (is_ctrl(code) || is_alt(code)))
        set_captured(console, FALSE);
    return GDK_EVENT_STOP;
}

static gboolean apiary_console_focus_in(GtkWidget *widget, GdkEventFocus *event)
{
    set_captured(APIARY_CONSOLE(widget), TRUE);
    gtk_widget_queue_draw(widget);
    return GDK_EVENT_PROPAGATE;
}

static gboolean apiary_console_focus_out(GtkWidget *widget, GdkEventFocus *event)
{
    set_captured(APIARY_CONSOLE(widget), FALSE);
    return GDK_EVENT_PROPAGATE;
}

/* --- pointer ---------------------------------------------------------------------------------- */

static unsigned button_bit(unsigned button)
{
    switch (button) {
    case GDK_BUTTON_PRIMARY: return POINTER_LEFT;
    case GDK_BUTTON_MIDDLE: return POINTER_MIDDLE;
    case GDK_BUTTON_SECONDARY: return POINTER_RIGHT;
    case 8: return POINTER_SIDE;
    case 9: return POINTER_EXTRA;
    default: return 0;
    }
}

/* The widget's place as a position on the guest's screen. */
static void to_position(ApiaryConsole *console, double x, double y, int *out_x, int *out_y)
{
    double left, top, scale;

    apiary_console_get_transform(console, &left, &top, &scale);
    double guest_x = (x - left) / scale, guest_y = (y - top) / scale;
    *out_x = (int)(CLAMP(guest_x / MAX(console->width - 1, 1), 0, 1) * POSITION_MAX);
    *out_y = (int)(CLAMP(guest_y / MAX(console->height - 1, 1), 0, 1) * POSITION_MAX);
}

static void send_position(ApiaryConsole *console, double x, double y, int wheel)
{
    to_position(console, x, y, &console->last_x, &console->last_y);
    apiary_vm_send_pointer(console->vm, true, console->last_x, console->last_y, wheel,
                           console->buttons);
}

static gboolean apiary_console_motion(GtkWidget *widget, GdkEventMotion *event)
{
    ApiaryConsole *console = APIARY_CONSOLE(widget);

    if (apiary_console_text_motion(console, event))
        return GDK_EVENT_STOP;
    if (!console->vm || !apiary_vm_is_on(console->vm))
        return GDK_EVENT_PROPAGATE;
    if (apiary_vm_pointer_is_absolute(console->vm)) {
        drop_pointer(console);
        send_position(console, event->x, event->y, 0);
        return GDK_EVENT_STOP;
    }
    if (!console->has_pointer)
        return GDK_EVENT_PROPAGATE;
    int dx = (int)event->x - gtk_widget_get_allocated_width(widget) / 2;
    int dy = (int)event->y - gtk_widget_get_allocated_height(widget) / 2;
    if (dx || dy) { /* else it is our own warp that comes back */
        apiary_vm_send_pointer(console->vm, false, dx, dy, 0, console->buttons);
        warp_to_centre(console);
    }
    return GDK_EVENT_STOP;
}

static gboolean apiary_console_button(GtkWidget *widget, GdkEventButton *event)
{
    ApiaryConsole *console = APIARY_CONSOLE(widget);
    bool down = event->type == GDK_BUTTON_PRESS;
    unsigned bit = button_bit(event->button);

    if (apiary_console_text_button(console, event))
        return GDK_EVENT_STOP;
    if (event->type != GDK_BUTTON_PRESS && event->type != GDK_BUTTON_RELEASE)
        return GDK_EVENT_STOP; /* double clicks come as presses too */
    if (down)
        gtk_widget_grab_focus(widget);
    if (!console->vm || !apiary_vm_is_on(console->vm))
        return GDK_EVENT_PROPAGATE;
    bool was_captured = console->captured;
    if (down)
        set_captured(console, TRUE);
    if (down)
        console->buttons |= bit;
    else
        console->buttons &= ~bit;
    if (apiary_vm_pointer_is_absolute(console->vm)) {
        send_position(console, event->x, event->y, 0);
    } else if (console->has_pointer) {
        apiary_vm_send_pointer(console->vm, false, 0, 0, 0, console->buttons);
    } else if (down) {
        /* This click only takes the pointer: the guest's is somewhere else. */
        console->buttons = 0;
        take_pointer(console, (GdkEvent *)event);
    }
    if (was_captured != console->captured)
        apiary_console_update_cursor(console);
    return GDK_EVENT_STOP;
}

static gboolean apiary_console_scroll(GtkWidget *widget, GdkEventScroll *event)
{
    ApiaryConsole *console = APIARY_CONSOLE(widget);
    int wheel = 0;

    if (!console->vm || !apiary_vm_is_on(console->vm) || console->selecting)
        return GDK_EVENT_PROPAGATE;
    if (event->direction == GDK_SCROLL_UP) {
        wheel = 1;
    } else if (event->direction == GDK_SCROLL_DOWN) {
        wheel = -1;
    } else if (event->direction == GDK_SCROLL_SMOOTH) {
        console->scroll -= event->delta_y;
        wheel = (int)console->scroll;
        console->scroll -= wheel;
    }
    if (!wheel)
        return GDK_EVENT_STOP;
    if (apiary_vm_pointer_is_absolute(console->vm))
        send_position(console, event->x, event->y, wheel);
    else if (console->has_pointer)
        apiary_vm_send_pointer(console->vm, false, 0, 0, wheel, console->buttons);
    return GDK_EVENT_STOP;
}

/* --- class ------------------------------------------------------------------------------------ */

void apiary_console_input_init(ApiaryConsole *console)
{
    GtkWidget *widget = GTK_WIDGET(console);

    gtk_widget_set_can_focus(widget, TRUE);
    gtk_widget_add_events(widget, GDK_KEY_PRESS_MASK | GDK_KEY_RELEASE_MASK |
                                      GDK_POINTER_MOTION_MASK | GDK_BUTTON_PRESS_MASK |
                                      GDK_BUTTON_RELEASE_MASK | GDK_SCROLL_MASK |
                                      GDK_SMOOTH_SCROLL_MASK | GDK_FOCUS_CHANGE_MASK);
}

void apiary_console_input_class_init(GtkWidgetClass *klass)
{
    klass->key_press_event = apiary_console_key_press;
    klass->key_release_event = apiary_console_key_release;
    klass->focus_in_event = apiary_console_focus_in;
    klass->focus_out_event = apiary_console_focus_out;
    klass->motion_notify_event = apiary_console_motion;
    klass->button_press_event = apiary_console_button;
    klass->button_release_event = apiary_console_button;
    klass->scroll_event = apiary_console_scroll;
}
