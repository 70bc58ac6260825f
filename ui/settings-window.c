/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/settings-window.h"

#include "ui/application.h"
#include "ui/dialogs.h"

#include <glib/gi18n.h>
#include <string.h>

typedef enum { PENDING_RAM, PENDING_CPUS, PENDING_MODEL, PENDING_BOOT, N_PENDING } Pending;

struct _ApiarySettingsWindow {
    GtkApplicationWindow parent;
    ApiaryVm *vm;
    bool filling;
    GtkWidget *stack, *ram, *cpus, *model, *notes, *boot_menu, *boot_list, *drives, *command;
    GtkWidget *pending[N_PENDING]; /* "after power-off: now -> next" under each field */
};

G_DEFINE_FINAL_TYPE(ApiarySettingsWindow, apiary_settings_window, GTK_TYPE_APPLICATION_WINDOW)

ApiaryVm *apiary_settings_window_get_vm(ApiarySettingsWindow *window)
{
    return window->vm;
}

static void save(ApiarySettingsWindow *window)
{
    apiary_collection_save(apiary_application_get_collection(apiary_application_get()), window->vm);
}

/* --- "after power-off" ------------------------------------------------------------------------ */

static void show_pending(ApiarySettingsWindow *window, Pending which, const char *now,
                         const char *next)
{
    bool differs = now && strcmp(now, next) != 0;
    g_autofree char *text =
        differs ? g_strdup_printf(_("After power-off: %s → %s"), now, next) : NULL;

    gtk_label_set_text(GTK_LABEL(window->pending[which]), differs ? text : "");
    gtk_widget_set_visible(window->pending[which], differs);
}

static char *number(const MachineConfig *config, bool ram)
{
    if (!config)
        return NULL;
    return ram ? g_strdup_printf("%llu MiB", (unsigned long long)(config->ram_bytes >> 20))
               : g_strdup_printf("%u", config->cpus);
}

static void update_pending(ApiarySettingsWindow *window)
{
    const MachineConfig *now = apiary_vm_get_running_config(window->vm);
    const MachineConfig *next = apiary_vm_get_config(window->vm);
    g_autofree char *now_ram = number(now, true), *next_ram = number(next, true);
    g_autofree char *now_cpus = number(now, false), *next_cpus = number(next, false);
    g_autofree char *line = config_to_command_line(next);

    show_pending(window, PENDING_RAM, now_ram, next_ram);
    show_pending(window, PENDING_CPUS, now_cpus, next_cpus);
    show_pending(window, PENDING_MODEL, now ? now->cpu_model : NULL, next->cpu_model);
    show_pending(window, PENDING_BOOT, now ? now->boot_order : NULL, next->boot_order);
    gtk_text_buffer_set_text(gtk_text_view_get_buffer(GTK_TEXT_VIEW(window->command)), line, -1);
}

/* --- boot order ------------------------------------------------------------------------------- */

static const char *boot_device_name(char letter)
{
    switch (letter) {
    case 'a': return _("Floppy disk");
    case 'c': return _("Hard disk");
    case 'd': return _("Disc");
    case 'n': return _("Network");
    default: return "?";
    }
}

static void fill_boot_list(ApiarySettingsWindow *window);

static void on_move(GtkButton *button, ApiarySettingsWindow *window)
{
    int index = GPOINTER_TO_INT(g_object_get_data(G_OBJECT(button), "index"));
    int to = index + GPOINTER_TO_INT(g_object_get_data(G_OBJECT(button), "by"));
    char *order = apiary_vm_get_config(window->vm)->boot_order;

    if (to < 0 || to >= (int)strlen(order))
        return;
    char letter = order[index];
    order[index] = order[to];
    order[to] = letter;
    save(window);
    fill_boot_list(window);
}

static void add_move_button(ApiarySettingsWindow *window, GtkWidget *box, int index, int by,
                            const char *device)
{
    GtkWidget *button = gtk_button_new_from_icon_name(
        by < 0 ? "go-up-symbolic" : "go-down-symbolic", GTK_ICON_SIZE_BUTTON);
    g_autofree char *spoken = g_strdup_printf(by < 0 ? _("%s: earlier") : _("%s: later"), device);

    g_object_set_data(G_OBJECT(button), "index", GINT_TO_POINTER(index));
    g_object_set_data(G_OBJECT(button), "by", GINT_TO_POINTER(by));
    atk_object_set_name(gtk_widget_get_accessible(button), spoken);
    g_signal_connect(button, "clicked", G_CALLBACK(on_move), window);
    gtk_box_pack_end(GTK_BOX(box), button, FALSE, FALSE, 0);
}

static void destroy_child(GtkWidget *child, gpointer data)
{
    gtk_widget_destroy(child);
}

static void clear_container(GtkWidget *container)
{
    gtk_container_foreach(GTK_CONTAINER(container), destroy_child, NULL);
}

static void fill_boot_list(ApiarySettingsWindow *window)
{
    const char *order = apiary_vm_get_config(window->vm)->boot_order;

    clear_container(window->boot_list);
    for (int i = 0; order[i]; i++) {
        const char *device = boot_device_name(order[i]);
        GtkWidget *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
        g_autofree char *text = g_strdup_printf("%d. %s", i + 1, device);
        gtk_box_pack_start(GTK_BOX(line), gtk_label_new(text), FALSE, FALSE, 0);
        add_move_button(window, line, i, 1, device);
        add_move_button(window, line, i, -1, device);
        gtk_container_add(GTK_CONTAINER(window->boot_list), line);
    }
    gtk_widget_show_all(window->boot_list);
    update_pending(window);
}

/* --- storage ---------------------------------------------------------------------------------- */

static void on_insert(GtkButton *button, ApiarySettingsWindow *window)
{
    static const char *const patterns[] = {"*.iso", "*.ISO", "*.img", "*.qcow2", "*.raw", NULL};
    const char *id = g_object_get_data(G_OBJECT(button), "drive");
    DriveConfig *drive = config_find_drive(apiary_vm_get_config(window->vm), id);
    g_autofree char *path =
        apiary_dialog_open_file(GTK_WINDOW(window), _("Choose an Image"), _("Images"), patterns);

    if (!path || !drive)
        return;
    if (drive->kind == DRIVE_IDE_DISK) { /* another disk comes with the next start */
        g_free(drive->file);
        drive->file = g_steal_pointer(&path);
        g_clear_pointer(&drive->format, g_free);
    } else {
        apiary_vm_change_medium(window->vm, id, path, false);
    }
    save(window);
}

static void on_eject(GtkButton *button, ApiarySettingsWindow *window)
{
    apiary_vm_change_medium(window->vm, g_object_get_data(G_OBJECT(button), "drive"), NULL, true);
    save(window);
}

static GtkWidget *drive_button(ApiarySettingsWindow *window, const DriveConfig *drive,
                               const char *label, GCallback clicked)
{
    GtkWidget *button = gtk_button_new_with_label(label);
    g_autofree char *spoken = g_strdup_printf("%s: %s", drive->id, label);

    g_object_set_data_full(G_OBJECT(button), "drive", g_strdup(drive->id), g_free);
    gtk_widget_set_valign(button, GTK_ALIGN_CENTER);
    atk_object_set_name(gtk_widget_get_accessible(button), spoken);
    g_signal_connect(button, "clicked", clicked, window);
    return button;
}

static void fill_drives(ApiarySettingsWindow *window)
{
    const MachineConfig *config = apiary_vm_get_config(window->vm);

    clear_container(window->drives);
    for (guint i = 0; i < config->drives->len; i++) {
        const DriveConfig *drive = config->drives->pdata[i];
        const char *kind = drive->kind == DRIVE_IDE_CD   ? _("CD/DVD drive")
                           : drive->kind == DRIVE_FLOPPY ? _("Floppy drive")
                                                         : _("Hard disk");
        GtkWidget *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
        g_autofree char *markup = g_markup_printf_escaped("<b>%s</b> (%s)\n%s", kind, drive->id,
                                                          drive->file ? drive->file : _("Empty"));
        GtkWidget *label = gtk_label_new(NULL);
        gtk_label_set_markup(GTK_LABEL(label), markup);
        gtk_label_set_xalign(GTK_LABEL(label), 0);
        gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_MIDDLE);
        gtk_box_pack_start(GTK_BOX(line), label, TRUE, TRUE, 0);
        if (drive->kind != DRIVE_IDE_DISK && drive->file)
            gtk_box_pack_end(GTK_BOX(line),
                             drive_button(window, drive, _("Eject"), G_CALLBACK(on_eject)), FALSE,
                             FALSE, 0);
        gtk_box_pack_end(GTK_BOX(line),
                         drive_button(window, drive, _("Choose…"), G_CALLBACK(on_insert)), FALSE,
                         FALSE, 0);
        gtk_container_add(GTK_CONTAINER(window->drives), line);
    }
    gtk_widget_show_all(window->drives);
}

/* The first free place on the IDE channels gets an existing disk. */
static void on_attach(ApiarySettingsWindow *window)
{
    static const char *const patterns[] = {"*.qcow2", "*.raw", "*.img", NULL};
    MachineConfig *config = apiary_vm_get_config(window->vm);

    for (int place = 0; place < 4; place++) {
        bool taken = false;
        for (guint i = 0; i < config->drives->len; i++) {
            const DriveConfig *drive = config->drives->pdata[i];
            taken |= drive->kind != DRIVE_FLOPPY && drive->bus * 2 + drive->unit == place;
        }
        if (taken)
            continue;
        g_autofree char *path = apiary_dialog_open_file(GTK_WINDOW(window), _("Attach a Disk"),
                                                        _("Disk images"), patterns);
        if (path) {
            config_add_drive(config, DRIVE_IDE_DISK, place / 2, place % 2, path);
            save(window);
        }
        return;
    }
}

/* --- fields ----------------------------------------------------------------------------------- */

static void on_changed(ApiarySettingsWindow *window)
{
    MachineConfig *config = apiary_vm_get_config(window->vm);
    GtkTextBuffer *buffer = gtk_text_view_get_buffer(GTK_TEXT_VIEW(window->notes));
    GtkTextIter start, end;
    const char *model = gtk_combo_box_get_active_id(GTK_COMBO_BOX(window->model));

    if (window->filling)
        return;
    config->ram_bytes = (uint64_t)gtk_spin_button_get_value(GTK_SPIN_BUTTON(window->ram)) << 20;
    config->cpus = (unsigned)gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(window->cpus));
    config->boot_menu = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(window->boot_menu));
    if (model) {
        char *copy = g_strdup(model);
        g_free(config->cpu_model);
        config->cpu_model = copy;
    }
    gtk_text_buffer_get_bounds(buffer, &start, &end);
    g_free(config->notes);
    config->notes = gtk_text_buffer_get_text(buffer, &start, &end, FALSE);
    save(window);
}

static void fill(ApiarySettingsWindow *window)
{
    const MachineConfig *config = apiary_vm_get_config(window->vm);
    GtkComboBoxText *models = GTK_COMBO_BOX_TEXT(window->model);
    g_autofree char *title = g_strdup_printf(_("Settings of %s"), config->name);

    window->filling = true;
    gtk_window_set_title(GTK_WINDOW(window), title);
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(window->ram), (double)(config->ram_bytes >> 20));
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(window->cpus), config->cpus);
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(window->boot_menu), config->boot_menu);
    if (!gtk_combo_box_set_active_id(GTK_COMBO_BOX(window->model), config->cpu_model)) {
        gtk_combo_box_text_append(models, config->cpu_model, config->cpu_model);
        gtk_combo_box_set_active_id(GTK_COMBO_BOX(window->model), config->cpu_model);
    }
    gtk_text_buffer_set_text(gtk_text_view_get_buffer(GTK_TEXT_VIEW(window->notes)),
                             config->notes ? config->notes : "", -1);
    fill_boot_list(window);
    window->filling = false;
}

static void on_vm_changed(ApiarySettingsWindow *window)
{
    fill_drives(window);
    update_pending(window);
}

static void on_copy(ApiarySettingsWindow *window)
{
    g_autofree char *line = config_to_command_line(apiary_vm_get_config(window->vm));

    gtk_clipboard_set_text(gtk_clipboard_get(GDK_SELECTION_CLIPBOARD), line, -1);
}

/* --- pages ------------------------------------------------------------------------------------ */

static GtkWidget *add_page(ApiarySettingsWindow *window, const char *name, const char *title)
{
    GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);

    g_object_set(page, "margin", 18, NULL);
    gtk_stack_add_titled(GTK_STACK(window->stack), page, name, title);
    return page;
}

static GtkWidget *add_field(GtkWidget *page, const char *text, GtkWidget *field)
{
    GtkWidget *label = gtk_label_new_with_mnemonic(text), *pending = gtk_label_new("");

    gtk_label_set_mnemonic_widget(GTK_LABEL(label), field);
    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_label_set_xalign(GTK_LABEL(pending), 0);
    gtk_style_context_add_class(gtk_widget_get_style_context(pending), "dim-label");
    gtk_box_pack_start(GTK_BOX(page), label, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(page), field, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(page), pending, FALSE, FALSE, 0);
    gtk_widget_set_no_show_all(pending, TRUE);
    return pending;
}

static void make_pages(ApiarySettingsWindow *window)
{
    static const char *const models[] = {"max",       "host",      "qemu64",
                                         "x86-64-v1", "x86-64-v2", "x86-64-v3"};
    GtkWidget *page = add_page(window, "system", _("System"));

    window->ram = gtk_spin_button_new_with_range(16, 1 << 20, 256);
    window->cpus = gtk_spin_button_new_with_range(1, 32, 1);
    window->model = gtk_combo_box_text_new();
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++)
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(window->model), models[i], models[i]);
    window->pending[PENDING_RAM] = add_field(page, _("_Memory (MiB)"), window->ram);
    window->pending[PENDING_CPUS] = add_field(page, _("_CPUs"), window->cpus);
    window->pending[PENDING_MODEL] = add_field(page, _("CPU m_odel"), window->model);
    window->notes = gtk_text_view_new();
    gtk_text_view_set_accepts_tab(GTK_TEXT_VIEW(window->notes), FALSE);
    gtk_widget_set_size_request(window->notes, -1, 72);
    add_field(page, _("_Notes"), window->notes);

    page = add_page(window, "boot", _("Boot Order"));
    window->boot_list = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
    window->pending[PENDING_BOOT] =
        add_field(page, _("The machine tries these in turn:"), window->boot_list);
    window->boot_menu = gtk_check_button_new_with_mnemonic(_("Offer a boot _menu"));
    gtk_container_add(GTK_CONTAINER(page), window->boot_menu);

    page = add_page(window, "storage", _("Storage"));
    window->drives = gtk_box_new(GTK_ORIENTATION_VERTICAL, 12);
    gtk_container_add(GTK_CONTAINER(page), window->drives);
    GtkWidget *attach = gtk_button_new_with_mnemonic(_("_Attach a Disk…"));
    gtk_widget_set_halign(attach, GTK_ALIGN_START);
    g_signal_connect_swapped(attach, "clicked", G_CALLBACK(on_attach), window);
    gtk_container_add(GTK_CONTAINER(page), attach);

    page = add_page(window, "command", _("Command"));
    window->command = gtk_text_view_new();
    gtk_text_view_set_editable(GTK_TEXT_VIEW(window->command), FALSE);
    gtk_text_view_set_monospace(GTK_TEXT_VIEW(window->command), TRUE);
    gtk_text_view_set_wrap_mode(GTK_TEXT_VIEW(window->command), GTK_WRAP_WORD_CHAR);
    add_field(page, _("The same machine from a _terminal:"), window->command);
    GtkWidget *copy = gtk_button_new_with_mnemonic(_("C_opy"));
    gtk_widget_set_halign(copy, GTK_ALIGN_START);
    g_signal_connect_swapped(copy, "clicked", G_CALLBACK(on_copy), window);
    gtk_container_add(GTK_CONTAINER(page), copy);

    g_signal_connect_swapped(window->ram, "value-changed", G_CALLBACK(on_changed), window);
    g_signal_connect_swapped(window->cpus, "value-changed", G_CALLBACK(on_changed), window);
    g_signal_connect_swapped(window->model, "changed", G_CALLBACK(on_changed), window);
    g_signal_connect_swapped(window->boot_menu, "toggled", G_CALLBACK(on_changed), window);
    g_signal_connect_swapped(gtk_text_view_get_buffer(GTK_TEXT_VIEW(window->notes)), "changed",
                             G_CALLBACK(on_changed), window);
}

ApiarySettingsWindow *apiary_settings_window_new(GtkApplication *application, ApiaryVm *vm)
{
    ApiarySettingsWindow *window =
        g_object_new(APIARY_TYPE_SETTINGS_WINDOW, "application", application, "default-width", 640,
                     "default-height", 440, NULL);

    window->vm = g_object_ref(vm);
    fill(window);
    on_vm_changed(window);
    g_signal_connect_object(vm, "changed", G_CALLBACK(on_vm_changed), window, G_CONNECT_SWAPPED);
    return window;
}

static void apiary_settings_window_finalize(GObject *object)
{
    g_clear_object(&APIARY_SETTINGS_WINDOW(object)->vm);
    G_OBJECT_CLASS(apiary_settings_window_parent_class)->finalize(object);
}

static void find_label(GtkWidget *widget, gpointer data)
{
    GtkWidget **label = data;

    if (GTK_IS_LABEL(widget))
        *label = widget;
    else if (GTK_IS_CONTAINER(widget))
        gtk_container_forall(GTK_CONTAINER(widget), find_label, label);
}

/* GTK's sidebar gives its rows no names for assistive programs; the words are in the labels within.
 */
static void name_sidebar(GtkWidget *widget, gpointer data)
{
    GtkWidget *label = NULL;

    if (GTK_IS_SCROLLED_WINDOW(widget))
        gtk_widget_set_can_focus(widget, FALSE);
    if (GTK_IS_LIST_BOX_ROW(widget)) {
        find_label(widget, &label);
        if (label)
            atk_object_set_name(gtk_widget_get_accessible(widget),
                                gtk_label_get_text(GTK_LABEL(label)));
    } else if (GTK_IS_CONTAINER(widget)) {
        gtk_container_forall(GTK_CONTAINER(widget), name_sidebar, NULL);
    }
}

static void apiary_settings_window_init(ApiarySettingsWindow *window)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 0);
    GtkWidget *sidebar = gtk_stack_sidebar_new();

    window->stack = gtk_stack_new();
    gtk_stack_sidebar_set_stack(GTK_STACK_SIDEBAR(sidebar), GTK_STACK(window->stack));
    window->filling = true;
    make_pages(window);
    gtk_box_pack_start(GTK_BOX(box), sidebar, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), window->stack, TRUE, TRUE, 0);
    gtk_container_add(GTK_CONTAINER(window), box);
    name_sidebar(sidebar, NULL);
    gtk_widget_show_all(box);
}

static void apiary_settings_window_class_init(ApiarySettingsWindowClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = apiary_settings_window_finalize;
}
