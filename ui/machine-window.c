/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/machine-window.h"

#include "ui/activity-page.h"
#include "ui/application.h"
#include "ui/console.h"
#include "ui/dialogs.h"
#include "ui/key-typer.h"
#include "ui/keys.h"
#include "ui/paths.h"
#include "ui/preferences.h"
#include "ui/serial-page.h"
#include "ui/vm-actions.h"
#include "ui/vm-network.h"

#include <glib/gi18n.h>

struct _ApiaryMachineWindow {
    GtkApplicationWindow parent;
    ApiaryVm *vm;
    GActionGroup *actions;
    ApiaryKeyTyper *typer;
    bool kept; /* it is in the library; otherwise it ends with its window */

    GtkWidget *header, *start_button, *start_image, *cd_button, *keys_button;
    GtkWidget *info_bar, *info_label, *stack, *console, *off_box, *off_label;
    GtkWidget *serial_page, *activity_page, *status_line, *lights, *network_state, *pointer_state,
        *release_hint;
};

G_DEFINE_FINAL_TYPE(ApiaryMachineWindow, apiary_machine_window, GTK_TYPE_APPLICATION_WINDOW)

ApiaryVm *apiary_machine_window_get_vm(ApiaryMachineWindow *window)
{
    return window->vm;
}

/* --- what is shown ---------------------------------------------------------------------------- */

static void fill_cd_menu(ApiaryMachineWindow *window)
{
    g_autoptr(GMenu) menu = g_menu_new();
    const DriveConfig *cd = apiary_vm_get_cd(window->vm);
    const char *medium = cd ? apiary_vm_get_medium(window->vm, cd->id) : NULL;
    g_autoptr(GMenu) now = g_menu_new();

    g_menu_append(now, _("_Insert Disc Image…"), "vm.insert::");
    g_menu_append(now, _("_Eject"), "vm.eject");
    g_autofree char *name = medium ? g_path_get_basename(medium) : g_strdup(_("No disc"));
    /* Translators: the disc image's name; the guest has ejected it. */
    g_autofree char *out = g_strdup_printf(_("%s (tray open)"), name);
    bool open = medium && apiary_vm_tray_is_open(window->vm, cd->id);
    g_menu_append_section(menu, open ? out : name, G_MENU_MODEL(now));
    if (window->kept) {
        Library *library = apiary_collection_get_library(
            apiary_application_get_collection(apiary_application_get()));
        g_auto(GStrv) paths = library_recent_media(library);
        g_autoptr(GMenu) list = g_menu_new();
        for (char **path = paths; *path; path++) {
            g_autofree char *base = g_path_get_basename(*path);
            g_autoptr(GMenuItem) item = g_menu_item_new(base, NULL);
            g_menu_item_set_action_and_target(item, "vm.insert", "s", *path);
            g_menu_append_item(list, item);
        }
        if (*paths)
            g_menu_append_section(menu, _("Recent discs"), G_MENU_MODEL(list));
    }
    gtk_menu_button_set_menu_model(GTK_MENU_BUTTON(window->cd_button), G_MENU_MODEL(menu));
}

static void fill_keys_menu(ApiaryMachineWindow *window)
{
    g_autoptr(GMenu) menu = g_menu_new();

    for (const ApiaryCombination *c = apiary_combinations; c->id; c++) {
        g_autoptr(GMenuItem) item = g_menu_item_new(_(c->label), NULL);
        g_menu_item_set_action_and_target(item, "win.send-keys", "s", c->id);
        g_menu_append_item(menu, item);
    }
    gtk_menu_button_set_menu_model(GTK_MENU_BUTTON(window->keys_button), G_MENU_MODEL(menu));
}

typedef enum { POINTER_ABSENT, POINTER_FOLLOWS, POINTER_HELD, POINTER_FREE } PointerHint;

static const char *const pointer_hints[] = {
    [POINTER_ABSENT] = "",
    [POINTER_FOLLOWS] = N_("Pointer: follows yours"),
    [POINTER_HELD] = N_("Pointer: held by the machine"),
    [POINTER_FREE] = N_("Pointer: click to hold it"),
};

typedef enum { KEYBOARD_ABSENT, KEYBOARD_HELD, KEYBOARD_FREE, KEYBOARD_SELECTS } KeyboardHint;

static const char *const keyboard_hints[] = {
    [KEYBOARD_ABSENT] = "",
    [KEYBOARD_HELD] = N_("Release: Ctrl+Alt"),
    [KEYBOARD_FREE] = N_("Keyboard: press Enter or click"),
    [KEYBOARD_SELECTS] = N_("Selecting text: Enter copies, Esc ends"),
};

static void set_hint(GtkWidget *label, const char *hint)
{
    gtk_label_set_text(GTK_LABEL(label), *hint ? _(hint) : "");
}

/* Room for every hint, or the window would grow and the screen move when they change. */
static void reserve_room(GtkWidget *label, const char *const *hints, size_t n)
{
    glong widest = 0;

    for (size_t i = 0; i < n; i++)
        widest = MAX(widest, *hints[i] ? g_utf8_strlen(_(hints[i]), -1) : 0);
    gtk_label_set_width_chars(GTK_LABEL(label), (int)widest);
}

static void update_hints(ApiaryMachineWindow *window)
{
    ApiaryConsole *console = APIARY_CONSOLE(window->console);
    bool on = apiary_vm_is_on(window->vm);
    bool selecting = apiary_console_is_selecting(console);
    PointerHint pointer = POINTER_FREE;
    KeyboardHint keyboard = KEYBOARD_FREE;

    if (!on || selecting)
        pointer = POINTER_ABSENT;
    else if (apiary_vm_pointer_is_absolute(window->vm))
        pointer = POINTER_FOLLOWS;
    else if (apiary_console_has_pointer(console))
        pointer = POINTER_HELD;
    if (selecting)
        keyboard = KEYBOARD_SELECTS;
    else if (!on)
        keyboard = KEYBOARD_ABSENT;
    else if (apiary_console_is_captured(console))
        keyboard = KEYBOARD_HELD;
    set_hint(window->pointer_state, pointer_hints[pointer]);
    set_hint(window->release_hint, keyboard_hints[keyboard]);
    g_simple_action_set_state(
        G_SIMPLE_ACTION(g_action_map_lookup_action(G_ACTION_MAP(window), "select-text")),
        g_variant_new_boolean(selecting));
}

static void update_network(ApiaryMachineWindow *window)
{
    bool on = apiary_vm_is_on(window->vm);
    g_autofree char *text = on ? apiary_vm_network_summary(apiary_vm_get_config(window->vm)) : NULL;

    gtk_widget_set_visible(window->network_state, text != NULL);
    if (!text)
        return;
    gtk_label_set_text(GTK_LABEL(window->network_state), text);
    /* Translators: addresses and port forwards follow. */
    g_autofree char *words = g_strdup_printf(
        _("The machine’s address, and ports of this computer that lead to it: %s"), text);
    gtk_widget_set_tooltip_text(window->network_state, words);
}

static void update(ApiaryMachineWindow *window)
{
    MachineState state = apiary_vm_get_state(window->vm);
    g_autofree char *text = apiary_vm_state_text(window->vm);
    const char *name = apiary_vm_get_name(window->vm);
    bool running = state == MACHINE_RUNNING, off = state == MACHINE_OFF;
    const char *words = running ? _("Pause") : state == MACHINE_PAUSED ? _("Go On") : _("Start");
    g_autofree char *spoken = g_strdup_printf(_("Screen of %s"), name);

    gtk_header_bar_set_title(GTK_HEADER_BAR(window->header), name);
    gtk_header_bar_set_subtitle(GTK_HEADER_BAR(window->header), text);
    gtk_window_set_title(GTK_WINDOW(window), name);
    gtk_actionable_set_action_name(GTK_ACTIONABLE(window->start_button),
                                   running ? "vm.pause" : "vm.start");
    gtk_image_set_from_icon_name(GTK_IMAGE(window->start_image),
                                 running ? "media-playback-pause-symbolic"
                                         : "media-playback-start-symbolic",
                                 GTK_ICON_SIZE_BUTTON);
    gtk_widget_set_tooltip_text(window->start_button, words);
    atk_object_set_name(gtk_widget_get_accessible(window->start_button), words);
    atk_object_set_name(gtk_widget_get_accessible(window->console), spoken);
    gtk_widget_set_visible(window->off_box, off || state == MACHINE_PAUSED);
    gtk_label_set_text(GTK_LABEL(window->off_label), text);
    fill_cd_menu(window);
    update_network(window);
    update_hints(window);
}

static void on_statistics(ApiaryMachineWindow *window)
{
    unsigned n;
    const ApiaryVmSample *s = apiary_vm_get_samples(window->vm, &n);

    if (!n)
        return;
    s += n - 1;
    /* Translators: names of the lights in the status line. */
    g_autofree char *text = g_strdup_printf(
        "%s %s   %s %s   %s %s", s->disk_read || s->disk_write ? "●" : "○", _("Disk"),
        s->cd_read ? "●" : "○", _("CD"), s->net_rx || s->net_tx ? "●" : "○", _("Network"));
    gtk_label_set_text(GTK_LABEL(window->lights), text);
}

static void on_message(ApiaryMachineWindow *window, int type, const char *text)
{
    gtk_label_set_text(GTK_LABEL(window->info_label), text);
    gtk_info_bar_set_message_type(GTK_INFO_BAR(window->info_bar), (GtkMessageType)type);
    gtk_widget_show(window->info_bar);
}

/* The window follows the guest's screen, as far as the monitor goes. */
static void on_screen_resized(GtkWidget *console, int width, int height,
                              ApiaryMachineWindow *window)
{
    GtkWidget *widget = GTK_WIDGET(window);
    GdkWindow *gdk = gtk_widget_get_window(widget);
    GdkRectangle area;
    int window_width, window_height;

    if (!gdk || gtk_window_is_maximized(GTK_WINDOW(window)) ||
        gdk_window_get_state(gdk) & GDK_WINDOW_STATE_FULLSCREEN ||
        !g_settings_get_boolean(apiary_preferences(), APIARY_PREFERENCE_RESIZE))
        return;
    int scale = gtk_widget_get_scale_factor(widget);
    gdk_monitor_get_workarea(gdk_display_get_monitor_at_window(gtk_widget_get_display(widget), gdk),
                             &area);
    gtk_window_get_size(GTK_WINDOW(window), &window_width, &window_height);
    int frame_width = window_width - gtk_widget_get_allocated_width(console);
    int frame_height = window_height - gtk_widget_get_allocated_height(console);
    gtk_window_resize(GTK_WINDOW(window), MIN(width / scale + frame_width, area.width),
                      MIN(height / scale + frame_height, area.height - 60));
}

static void update_scaling(ApiaryMachineWindow *window)
{
    apiary_console_set_scaling(
        APIARY_CONSOLE(window->console),
        (ApiaryScaling)g_settings_get_enum(apiary_preferences(), APIARY_PREFERENCE_SCALING));
}

/* --- actions ---------------------------------------------------------------------------------- */

static void on_send_keys(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    ApiaryMachineWindow *window = data;
    const ApiaryCombination *c = apiary_combination_find(g_variant_get_string(parameter, NULL));
    unsigned n = 0;

    while (c && n < APIARY_MAX_COMBINATION && c->codes[n])
        n++;
    if (c)
        apiary_send_combination(window->vm, c->codes, n);
    gtk_widget_grab_focus(window->console);
}

static void on_typed(void *opaque, double fraction)
{
    ApiaryMachineWindow *window = opaque;

    if (fraction >= 1)
        update_hints(window);
    else
        gtk_label_set_text(GTK_LABEL(window->release_hint), _("Typing the clipboard…"));
}

static void on_clipboard(GtkClipboard *clipboard, const char *text, gpointer data)
{
    g_autoptr(ApiaryMachineWindow) window = data;
    unsigned left_out;

    if (!text || !window->typer || !apiary_vm_is_on(window->vm))
        return;
    left_out = apiary_key_typer_type(window->typer, text);
    if (left_out) {
        g_autofree char *said = g_strdup_printf(
            ngettext("%u character has no key on a US keyboard and is left out.",
                     "%u characters have no key on a US keyboard and are left out.", left_out),
            left_out);
        on_message(window, GTK_MESSAGE_WARNING, said);
    }
    gtk_widget_grab_focus(window->console);
}

static void on_type_clipboard(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    gtk_clipboard_request_text(gtk_clipboard_get(GDK_SELECTION_CLIPBOARD), on_clipboard,
                               g_object_ref(data));
}

static void on_copy_text(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    ApiaryMachineWindow *window = data;
    ApiaryConsole *console = APIARY_CONSOLE(window->console);
    Display *display = apiary_vm_get_display(window->vm);
    g_autofree char *text = apiary_console_get_selected_text(console);

    if (!text && display)
        text = display_text(display);
    if (text)
        gtk_clipboard_set_text(gtk_clipboard_get(GDK_SELECTION_CLIPBOARD), text, -1);
    else
        on_message(window, GTK_MESSAGE_INFO, _("The screen shows a picture, not text."));
    apiary_console_set_selecting(console, FALSE);
}

static void on_select_text(GSimpleAction *action, GVariant *value, gpointer data)
{
    ApiaryMachineWindow *window = data;
    ApiaryConsole *console = APIARY_CONSOLE(window->console);

    gtk_widget_grab_focus(window->console);
    if (!apiary_console_set_selecting(console, g_variant_get_boolean(value)))
        on_message(window, GTK_MESSAGE_INFO, _("The screen shows a picture, not text."));
}

static void on_screenshot(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    ApiaryMachineWindow *window = data;
    const char *pictures = g_get_user_special_dir(G_USER_DIRECTORY_PICTURES);
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%d %H-%M-%S");
    g_autofree char *name = g_strdup_printf("%s %s.png", apiary_vm_get_name(window->vm), time);
    g_autofree char *path = g_build_filename(pictures ? pictures : g_get_home_dir(), name, NULL);

    apiary_vm_screenshot(window->vm, path);
}

static void on_fullscreen(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    GdkWindow *gdk = gtk_widget_get_window(data);

    if (gdk && gdk_window_get_state(gdk) & GDK_WINDOW_STATE_FULLSCREEN)
        gtk_window_unfullscreen(data);
    else
        gtk_window_fullscreen(data);
}

static void on_close(GSimpleAction *action, GVariant *parameter, gpointer data)
{
    gtk_window_close(data);
}

static const GActionEntry actions[] = {
    {.name = "send-keys", .activate = on_send_keys, .parameter_type = "s"},
    {.name = "type-clipboard", .activate = on_type_clipboard},
    {.name = "select-text", .state = "false", .change_state = on_select_text},
    {.name = "copy-text", .activate = on_copy_text},
    {.name = "screenshot", .activate = on_screenshot},
    {.name = "fullscreen", .activate = on_fullscreen},
    {.name = "close", .activate = on_close},
};

/* --- window ----------------------------------------------------------------------------------- */

/* While the guest has the keyboard the window's accelerators are off. */
static gboolean apiary_machine_window_key(GtkWidget *widget, GdkEventKey *event)
{
    ApiaryMachineWindow *window = APIARY_MACHINE_WINDOW(widget);
    GtkWidgetClass *parent = GTK_WIDGET_CLASS(apiary_machine_window_parent_class);

    if (gtk_window_get_focus(GTK_WINDOW(window)) == window->console &&
        gtk_window_propagate_key_event(GTK_WINDOW(window), event))
        return GDK_EVENT_STOP;
    return event->type == GDK_KEY_PRESS ? parent->key_press_event(widget, event)
                                        : parent->key_release_event(widget, event);
}

static gboolean apiary_machine_window_state(GtkWidget *widget, GdkEventWindowState *event)
{
    ApiaryMachineWindow *window = APIARY_MACHINE_WINDOW(widget);
    bool full = event->new_window_state & GDK_WINDOW_STATE_FULLSCREEN;

    gtk_widget_set_visible(window->status_line, !full);
    return GTK_WIDGET_CLASS(apiary_machine_window_parent_class)->window_state_event(widget, event);
}

static gboolean apiary_machine_window_delete(GtkWidget *widget, GdkEventAny *event)
{
    ApiaryMachineWindow *window = APIARY_MACHINE_WINDOW(widget);

    if (!window->kept)
        return GDK_EVENT_PROPAGATE;
    return !apiary_application_may_close(apiary_application_get(), GTK_WINDOW(widget));
}

static void on_drag_data(GtkWidget *widget, GdkDragContext *context, int x, int y,
                         GtkSelectionData *selection, guint info, guint time)
{
    ApiaryMachineWindow *window = APIARY_MACHINE_WINDOW(widget);
    g_auto(GStrv) uris = gtk_selection_data_get_uris(selection);
    g_autofree char *path = uris && *uris ? g_filename_from_uri(*uris, NULL, NULL) : NULL;

    if (path)
        g_action_group_activate_action(window->actions, "insert", g_variant_new_string(path));
}

ApiaryMachineWindow *apiary_machine_window_new(GtkApplication *application, ApiaryVm *vm)
{
    ApiaryMachineWindow *window =
        g_object_new(APIARY_TYPE_MACHINE_WINDOW, "application", application, NULL);

    window->vm = g_object_ref(vm);
    window->kept = apiary_vm_get_config(vm)->folder != NULL;
    window->actions = apiary_vm_actions_new(vm);
    window->typer = apiary_key_typer_new(vm, on_typed, window);
    gtk_widget_insert_action_group(GTK_WIDGET(window), "vm", window->actions);
    apiary_serial_page_set_vm(APIARY_SERIAL_PAGE(window->serial_page), vm);
    apiary_activity_page_set_vm(APIARY_ACTIVITY_PAGE(window->activity_page), vm);
    g_signal_connect_object(vm, "changed", G_CALLBACK(update), window, G_CONNECT_SWAPPED);
    g_signal_connect_object(vm, "statistics", G_CALLBACK(on_statistics), window, G_CONNECT_SWAPPED);
    g_signal_connect_object(vm, "message", G_CALLBACK(on_message), window, G_CONNECT_SWAPPED);
    apiary_console_set_vm(APIARY_CONSOLE(window->console), vm);
    update(window);
    apiary_dialog_name_shortcuts(GTK_APPLICATION_WINDOW(window));
    gtk_widget_grab_focus(window->console);
    return window;
}

static void apiary_machine_window_dispose(GObject *object)
{
    ApiaryMachineWindow *window = APIARY_MACHINE_WINDOW(object);

    g_clear_pointer(&window->typer, apiary_key_typer_free);
    g_clear_object(&window->actions);
    G_OBJECT_CLASS(apiary_machine_window_parent_class)->dispose(object);
    g_clear_object(&window->vm);
}

static void apiary_machine_window_init(ApiaryMachineWindow *window)
{
    gtk_widget_init_template(GTK_WIDGET(window));
    g_action_map_add_action_entries(G_ACTION_MAP(window), actions, G_N_ELEMENTS(actions), window);
    g_autoptr(GAction) scaling =
        g_settings_create_action(apiary_preferences(), APIARY_PREFERENCE_SCALING);
    g_autoptr(GAction) resize =
        g_settings_create_action(apiary_preferences(), APIARY_PREFERENCE_RESIZE);
    g_action_map_add_action(G_ACTION_MAP(window), scaling);
    g_action_map_add_action(G_ACTION_MAP(window), resize);
    fill_keys_menu(window);
    reserve_room(window->pointer_state, pointer_hints, G_N_ELEMENTS(pointer_hints));
    reserve_room(window->release_hint, keyboard_hints, G_N_ELEMENTS(keyboard_hints));
    g_signal_connect_object(apiary_preferences(), "changed::" APIARY_PREFERENCE_SCALING,
                            G_CALLBACK(update_scaling), window, G_CONNECT_SWAPPED);
    update_scaling(window);
    g_signal_connect_swapped(window->console, "capture-changed", G_CALLBACK(update_hints), window);
    g_signal_connect(window->console, "screen-resized", G_CALLBACK(on_screen_resized), window);
    g_signal_connect(window->info_bar, "response", G_CALLBACK(gtk_widget_hide), NULL);
    gtk_drag_dest_set(GTK_WIDGET(window), GTK_DEST_DEFAULT_ALL, NULL, 0, GDK_ACTION_COPY);
    gtk_drag_dest_add_uri_targets(GTK_WIDGET(window));
    g_signal_connect(window, "drag-data-received", G_CALLBACK(on_drag_data), NULL);
}

static void apiary_machine_window_class_init(ApiaryMachineWindowClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    G_OBJECT_CLASS(klass)->dispose = apiary_machine_window_dispose;
    widget_class->key_press_event = apiary_machine_window_key;
    widget_class->key_release_event = apiary_machine_window_key;
    widget_class->window_state_event = apiary_machine_window_state;
    widget_class->delete_event = apiary_machine_window_delete;
    g_type_ensure(APIARY_TYPE_CONSOLE);
    g_type_ensure(APIARY_TYPE_SERIAL_PAGE);
    g_type_ensure(APIARY_TYPE_ACTIVITY_PAGE);
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/machine-window.ui");
#define BIND(child) gtk_widget_class_bind_template_child(widget_class, ApiaryMachineWindow, child)
    BIND(header);
    BIND(start_button);
    BIND(start_image);
    BIND(cd_button);
    BIND(keys_button);
    BIND(info_bar);
    BIND(info_label);
    BIND(stack);
    BIND(console);
    BIND(off_box);
    BIND(off_label);
    BIND(serial_page);
    BIND(activity_page);
    BIND(status_line);
    BIND(lights);
    BIND(network_state);
    BIND(pointer_state);
    BIND(release_hint);
#undef BIND
}
