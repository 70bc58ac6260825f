/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/settings-system-page.h"

#include "ui/paths.h"

#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#define BOOT_ROW_HEIGHT 38 /* with and without buttons */

struct _ApiarySettingsSystemPage {
    ApiarySettingsPage parent;
    GtkWidget *ram, *ram_problem, *ram_pending;
    GtkWidget *cpus, *cpus_problem, *cpus_pending;
    GtkWidget *model, *model_pending;
    GtkWidget *firmware, *firmware_problem, *firmware_pending;
    GtkWidget *clock, *clock_pending;
    GtkWidget *boot_list, *boot_problem, *boot_pending, *boot_menu;
};

G_DEFINE_FINAL_TYPE(ApiarySettingsSystemPage, apiary_settings_system_page,
                    APIARY_TYPE_SETTINGS_PAGE)

/* --- boot order ------------------------------------------------------------------------------- */

static const char boot_letters[] = "cadn";

static const char *boot_device_name(char letter)
{
    switch (letter) {
    case 'a': return _("Floppy disk");
    case 'c': return _("Hard disk");
    case 'd': return _("Disc");
    case 'n': return _("Network");
    default: return _("Second floppy disk");
    }
}

static char *describe_order(const char *order)
{
    GString *text = g_string_new(NULL);

    for (; *order; order++)
        g_string_append_printf(text, "%s%s", text->len ? ", " : "", boot_device_name(*order));
    return g_string_free(text, FALSE);
}

static void set_order(ApiarySettingsSystemPage *self, const char *order)
{
    ApiarySettingsPage *page = APIARY_SETTINGS_PAGE(self);

    apiary_settings_set_text(&apiary_settings_page_get_config(page)->boot_order, order);
    apiary_settings_page_save(page);
}

/* Moves the device at INDEX by one place up (-1) or down (1). */
static void move(ApiarySettingsSystemPage *self, int index, int by)
{
    g_autofree char *order =
        g_strdup(apiary_settings_page_get_config(APIARY_SETTINGS_PAGE(self))->boot_order);
    int length = (int)strlen(order), to = index + by;

    if (index < 0 || index >= length || to < 0 || to >= length)
        return;
    char letter = order[index];
    order[index] = order[to];
    order[to] = letter;
    set_order(self, order);
    GtkListBoxRow *row = gtk_list_box_get_row_at_index(GTK_LIST_BOX(self->boot_list), to);
    gtk_list_box_select_row(GTK_LIST_BOX(self->boot_list), row);
    gtk_widget_grab_focus(GTK_WIDGET(row));
}

static void on_move(GtkButton *button, ApiarySettingsSystemPage *self)
{
    move(self, GPOINTER_TO_INT(g_object_get_data(G_OBJECT(button), "index")),
         GPOINTER_TO_INT(g_object_get_data(G_OBJECT(button), "by")));
}

static gboolean on_boot_key(GtkWidget *list, GdkEventKey *event, ApiarySettingsSystemPage *self)
{
    GtkListBoxRow *row = gtk_list_box_get_selected_row(GTK_LIST_BOX(list));
    int by = event->keyval == GDK_KEY_Up ? -1 : event->keyval == GDK_KEY_Down ? 1 : 0;

    if (!row || !by || !(event->state & GDK_MOD1_MASK))
        return GDK_EVENT_PROPAGATE;
    move(self, gtk_list_box_row_get_index(row), by);
    return GDK_EVENT_STOP;
}

/* A device leaves the order, or comes to its end. */
static void on_used_toggled(GtkToggleButton *button, ApiarySettingsSystemPage *self)
{
    ApiarySettingsPage *page = APIARY_SETTINGS_PAGE(self);
    char letter = (char)GPOINTER_TO_INT(g_object_get_data(G_OBJECT(button), "letter"));
    GString *order = g_string_new(NULL);

    if (apiary_settings_page_is_filling(page))
        return;
    for (const char *c = apiary_settings_page_get_config(page)->boot_order; *c; c++)
        if (*c != letter)
            g_string_append_c(order, *c);
    if (gtk_toggle_button_get_active(button))
        g_string_append_c(order, letter);
    set_order(self, order->str);
    g_string_free(order, TRUE);
}

static void add_move_button(ApiarySettingsSystemPage *self, GtkWidget *box, int index, int by,
                            const char *device)
{
    GtkWidget *button = gtk_button_new_from_icon_name(
        by < 0 ? "go-up-symbolic" : "go-down-symbolic", GTK_ICON_SIZE_BUTTON);
    g_autofree char *spoken = g_strdup_printf(by < 0 ? _("%s: earlier") : _("%s: later"), device);
    int length =
        (int)strlen(apiary_settings_page_get_config(APIARY_SETTINGS_PAGE(self))->boot_order);

    g_object_set_data(G_OBJECT(button), "index", GINT_TO_POINTER(index));
    g_object_set_data(G_OBJECT(button), "by", GINT_TO_POINTER(by));
    gtk_button_set_relief(GTK_BUTTON(button), GTK_RELIEF_NONE);
    gtk_widget_set_tooltip_text(button, spoken);
    atk_object_set_name(gtk_widget_get_accessible(button), spoken);
    gtk_widget_set_sensitive(button, index + by >= 0 && index + by < length);
    g_signal_connect(button, "clicked", G_CALLBACK(on_move), self);
    gtk_box_pack_end(GTK_BOX(box), button, FALSE, FALSE, 0);
}

/* INDEX -1: not in the order. */
static void add_boot_row(ApiarySettingsSystemPage *self, char letter, int index)
{
    const char *device = boot_device_name(letter);
    GtkWidget *row = gtk_list_box_row_new(), *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
    GtkWidget *used = gtk_check_button_new_with_label(device);

    g_object_set(box, "margin-start", 9, "margin-end", 6, "height-request", BOOT_ROW_HEIGHT, NULL);
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(used), index >= 0);
    g_object_set_data(G_OBJECT(used), "letter", GINT_TO_POINTER(letter));
    g_signal_connect(used, "toggled", G_CALLBACK(on_used_toggled), self);
    gtk_box_pack_start(GTK_BOX(box), used, TRUE, TRUE, 0);
    if (index >= 0) {
        add_move_button(self, box, index, 1, device);
        add_move_button(self, box, index, -1, device);
    }
    gtk_container_add(GTK_CONTAINER(row), box);
    atk_object_set_name(gtk_widget_get_accessible(row), device);
    gtk_container_add(GTK_CONTAINER(self->boot_list), row);
}

static void fill_boot_list(ApiarySettingsSystemPage *self, const char *order)
{
    const char *shown = g_object_get_data(G_OBJECT(self->boot_list), "order");

    if (g_strcmp0(shown, order) == 0)
        return;
    g_object_set_data_full(G_OBJECT(self->boot_list), "order", g_strdup(order), g_free);
    apiary_settings_clear(self->boot_list);
    for (int i = 0; order[i]; i++)
        add_boot_row(self, order[i], i);
    for (const char *c = boot_letters; *c; c++)
        if (!strchr(order, *c))
            add_boot_row(self, *c, -1);
    gtk_widget_show_all(self->boot_list);
    apiary_settings_show_problem(self->boot_problem,
                                 *order ? NULL : _("Nothing is chosen: the machine cannot boot."));
}

/* --- from the settings to the widgets --------------------------------------------------------- */

static char *ram_text(const MachineConfig *config)
{
    return config ? g_strdup_printf("%" G_GUINT64_FORMAT " MiB", config->ram_bytes >> 20) : NULL;
}

static char *cpus_text(const MachineConfig *config)
{
    return config ? g_strdup_printf("%u", config->cpus) : NULL;
}

static const char *firmware_text(const MachineConfig *config)
{
    return !config ? NULL : config->firmware ? config->firmware : "SeaBIOS";
}

static void update_pending(ApiarySettingsSystemPage *self, const MachineConfig *now,
                           const MachineConfig *next)
{
    g_autofree char *now_ram = ram_text(now), *next_ram = ram_text(next);
    g_autofree char *now_cpus = cpus_text(now), *next_cpus = cpus_text(next);
    g_autofree char *now_order = now ? describe_order(now->boot_order) : NULL;
    g_autofree char *next_order = describe_order(next->boot_order);

    apiary_settings_show_pending(self->ram_pending, now_ram, next_ram);
    apiary_settings_show_pending(self->cpus_pending, now_cpus, next_cpus);
    apiary_settings_show_pending(self->model_pending, now ? now->cpu_model : NULL, next->cpu_model);
    apiary_settings_show_pending(self->firmware_pending, firmware_text(now), firmware_text(next));
    apiary_settings_show_pending(self->clock_pending, now ? now->rtc_base : NULL, next->rtc_base);
    apiary_settings_show_pending(self->boot_pending, now_order, next_order);
}

/* Warnings; the fields allow nothing that the machine refuses. */
static void update_problems(ApiarySettingsSystemPage *self, const MachineConfig *config)
{
    uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    long host_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    g_autofree char *cpus =
        g_strdup_printf(ngettext("This computer has %ld CPU: the machine will not be faster with "
                                 "more.",
                                 "This computer has %ld CPUs: the machine will not be faster with "
                                 "more.",
                                 (gulong)host_cpus),
                        host_cpus);

    apiary_settings_show_problem(self->ram_problem,
                                 config->ram_bytes > host * 3 / 4
                                     ? _("That leaves little memory for this computer itself.")
                                     : NULL);
    apiary_settings_show_problem(self->cpus_problem, config->cpus > host_cpus ? cpus : NULL);
}

static void choose(GtkWidget *combo, const char *id)
{
    if (gtk_combo_box_set_active_id(GTK_COMBO_BOX(combo), id))
        return;
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(combo), id, id);
    gtk_combo_box_set_active_id(GTK_COMBO_BOX(combo), id);
}

static void update(ApiarySettingsPage *page)
{
    ApiarySettingsSystemPage *self = APIARY_SETTINGS_SYSTEM_PAGE(page);
    const MachineConfig *config = apiary_settings_page_get_config(page);

    gtk_spin_button_set_value(GTK_SPIN_BUTTON(self->ram), (double)(config->ram_bytes >> 20));
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(self->cpus), config->cpus);
    choose(self->model, config->cpu_model);
    choose(self->clock, config->rtc_base);
    if (!gtk_widget_has_focus(self->firmware))
        gtk_entry_set_text(GTK_ENTRY(self->firmware), config->firmware ? config->firmware : "");
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(self->boot_menu), config->boot_menu);
    fill_boot_list(self, config->boot_order);
    update_pending(self, apiary_settings_page_get_running(page), config);
    update_problems(self, config);
}

/* --- from the widgets to the settings --------------------------------------------------------- */

static void take_firmware(ApiarySettingsSystemPage *self, MachineConfig *config)
{
    const char *path = gtk_entry_get_text(GTK_ENTRY(self->firmware));
    bool good = !*path || !strchr(path, '/') || g_file_test(path, G_FILE_TEST_IS_REGULAR);

    apiary_settings_show_problem(self->firmware_problem, good ? NULL : _("There is no such file."));
    if (good)
        apiary_settings_set_text(&config->firmware, *path ? path : NULL);
}

static void on_changed(ApiarySettingsSystemPage *self)
{
    ApiarySettingsPage *page = APIARY_SETTINGS_PAGE(self);

    if (apiary_settings_page_is_filling(page))
        return;
    MachineConfig *config = apiary_settings_page_get_config(page);
    config->ram_bytes = (uint64_t)gtk_spin_button_get_value(GTK_SPIN_BUTTON(self->ram)) << 20;
    config->cpus = (unsigned)gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(self->cpus));
    config->boot_menu = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(self->boot_menu));
    apiary_settings_set_text(&config->cpu_model,
                             gtk_combo_box_get_active_id(GTK_COMBO_BOX(self->model)));
    apiary_settings_set_text(&config->rtc_base,
                             gtk_combo_box_get_active_id(GTK_COMBO_BOX(self->clock)));
    take_firmware(self, config);
    apiary_settings_page_save(page);
}

/* --- class ------------------------------------------------------------------------------------ */

static void apiary_settings_system_page_init(ApiarySettingsSystemPage *self)
{
    static const char *const models[] = {"max",       "host",      "qemu64",
                                         "x86-64-v1", "x86-64-v2", "x86-64-v3"};
    uint64_t host_mb = ((uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE)) >> 20;

    gtk_widget_init_template(GTK_WIDGET(self));
    gtk_spin_button_set_range(GTK_SPIN_BUTTON(self->ram), 16, (double)MAX(host_mb, 17));
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++)
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(self->model), models[i], models[i]);
    g_signal_connect(self->boot_list, "key-press-event", G_CALLBACK(on_boot_key), self);
}

static void apiary_settings_system_page_class_init(ApiarySettingsSystemPageClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    APIARY_SETTINGS_PAGE_CLASS(klass)->update = update;
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/settings-system-page.ui");
#define BIND(child)                                                                                \
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsSystemPage, child)
    BIND(ram);
    BIND(ram_problem);
    BIND(ram_pending);
    BIND(cpus);
    BIND(cpus_problem);
    BIND(cpus_pending);
    BIND(model);
    BIND(model_pending);
    BIND(firmware);
    BIND(firmware_problem);
    BIND(firmware_pending);
    BIND(clock);
    BIND(clock_pending);
    BIND(boot_list);
    BIND(boot_problem);
    BIND(boot_pending);
    BIND(boot_menu);
#undef BIND
    gtk_widget_class_bind_template_callback(widget_class, on_changed);
}
