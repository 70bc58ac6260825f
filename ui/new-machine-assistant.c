/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/new-machine-assistant.h"

#include "ui/application.h"
#include "ui/dialogs.h"
#include "ui/forward-table.h"
#include "ui/new-machine-state.h"

#include <glib/gi18n.h>

struct _ApiaryNewMachineAssistant {
    GtkWindow parent;
    NewMachineState state;
    NewMachinePage page;
    GCancellable *looking; /* at the medium */
    bool filling;          /* widgets are being set from the state */

    GtkWidget *stack, *problem, *back, *forward, *create, *create_and_start;
    GtkWidget *source[NEW_MACHINE_N_SOURCES], *medium_title, *medium_button, *medium_label;
    GtkWidget *ram, *cpus, *wants_network, *forwards;
    GtkWidget *wants_disk, *disk_size, *disk_format, *name, *summary;
};

G_DEFINE_FINAL_TYPE(ApiaryNewMachineAssistant, apiary_new_machine_assistant, GTK_TYPE_WINDOW)

/* --- from the state to the widgets ------------------------------------------------------------ */

static void show_problem(ApiaryNewMachineAssistant *a, const char *problem, bool blocks)
{
    GtkStyleContext *style = gtk_widget_get_style_context(a->problem);

    gtk_style_context_remove_class(style, blocks ? "apiary-warning" : "apiary-problem");
    gtk_style_context_add_class(style, blocks ? "apiary-problem" : "apiary-warning");
    gtk_label_set_text(GTK_LABEL(a->problem), problem ? problem : "");
}

static void validate(ApiaryNewMachineAssistant *a)
{
    bool blocks;
    g_autofree char *problem = new_machine_state_problem(&a->state, a->page, &blocks);
    g_autofree char *summary = new_machine_state_summary(&a->state);
    bool last = a->page == NEW_MACHINE_PAGE_SUMMARY;

    show_problem(a, problem, blocks);
    gtk_label_set_text(GTK_LABEL(a->summary), summary);
    gtk_widget_set_sensitive(a->forward, !blocks && !a->looking);
    gtk_widget_set_sensitive(a->create, !blocks);
    gtk_widget_set_sensitive(a->create_and_start, !blocks);
    gtk_widget_set_visible(a->back, a->page != NEW_MACHINE_PAGE_SOURCE);
    gtk_widget_set_visible(a->forward, !last);
    gtk_widget_set_visible(a->create, last);
    gtk_widget_set_visible(a->create_and_start, last);
    gtk_widget_set_sensitive(a->disk_size, a->state.wants_disk);
    gtk_widget_set_sensitive(a->disk_format, a->state.wants_disk);
    gtk_widget_set_sensitive(a->forwards, a->state.wants_network);
}

/* The user-mode network's first address; see core/net/forward.h. */
#define GUEST_ADDRESS "10.0.2.15"

static void fill_forwards(ApiaryNewMachineAssistant *a)
{
    g_autoptr(GPtrArray) rules = g_ptr_array_new();

    for (guint i = 0; i < a->state.forwards->len; i++)
        g_ptr_array_add(rules, a->state.forwards->pdata[i]);
    g_ptr_array_add(rules, NULL);
    apiary_forward_table_set_rules(APIARY_FORWARD_TABLE(a->forwards),
                                   (const char *const *)rules->pdata, GUEST_ADDRESS);
}

static void set_title(GtkWidget *label, const char *title)
{
    g_autofree char *markup = g_markup_printf_escaped("<big><b>%s</b></big>", title);

    gtk_label_set_markup(GTK_LABEL(label), markup);
}

static void fill(ApiaryNewMachineAssistant *a)
{
    NewMachineState *s = &a->state;
    g_autofree char *base = s->medium ? g_path_get_basename(s->medium) : NULL;
    g_autofree char *medium =
        !base ? g_strdup(_("Nothing chosen. A file can also be dropped here."))
        : s->info && s->info->system ? g_strdup_printf("%s\n%s", base, s->info->system)
                                     : g_strdup(base);

    a->filling = true;
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(a->source[s->source]), TRUE);
    set_title(a->medium_title,
              s->source == NEW_MACHINE_NETWORK ? _("Which boot file?") : _("Which image?"));
    gtk_label_set_text(GTK_LABEL(a->medium_label), medium);
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(a->ram), (double)s->ram_mb);
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(a->cpus), s->cpus);
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(a->wants_disk), s->wants_disk);
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(a->disk_size), (double)s->disk_gb);
    gtk_combo_box_set_active_id(GTK_COMBO_BOX(a->disk_format), s->disk_format);
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(a->wants_network), s->wants_network);
    fill_forwards(a);
    gtk_entry_set_text(GTK_ENTRY(a->name), s->name);
    a->filling = false;
    validate(a);
}

static void show_page(ApiaryNewMachineAssistant *a, NewMachinePage page)
{
    g_autofree char *name = g_strdup_printf("%d", page);

    a->page = page;
    gtk_stack_set_visible_child_name(GTK_STACK(a->stack), name);
    fill(a);
}

/* From the widgets to the state. */
static void on_changed(ApiaryNewMachineAssistant *a)
{
    NewMachineState *s = &a->state;

    if (a->filling)
        return;
    for (unsigned i = 0; i < G_N_ELEMENTS(a->source); i++)
        if (gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(a->source[i])))
            s->source = (NewMachineSource)i;
    s->ram_mb = (uint64_t)gtk_spin_button_get_value(GTK_SPIN_BUTTON(a->ram));
    s->cpus = (unsigned)gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(a->cpus));
    s->wants_disk = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(a->wants_disk));
    s->wants_network = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(a->wants_network));
    s->disk_gb = (uint64_t)gtk_spin_button_get_value(GTK_SPIN_BUTTON(a->disk_size));
    g_free(s->disk_format);
    s->disk_format = g_strdup(gtk_combo_box_get_active_id(GTK_COMBO_BOX(a->disk_format)));
    new_machine_state_set_name(s, gtk_entry_get_text(GTK_ENTRY(a->name)));
    validate(a);
}

static void on_add_forward(ApiaryNewMachineAssistant *a, const char *rule)
{
    new_machine_state_add_forward(&a->state, rule);
    fill(a);
}

static void on_remove_forward(ApiaryNewMachineAssistant *a, const char *rule)
{
    new_machine_state_remove_forward(&a->state, rule);
    fill(a);
}

/* --- the medium is looked at on a thread ------------------------------------------------------ */

static void look(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    GError *error = NULL;
    MediumInfo *info = medium_identify(data, &error);

    if (info)
        g_task_return_pointer(task, info, (GDestroyNotify)medium_info_free);
    else
        g_task_return_error(task, error);
}

static void on_looked(GObject *source, GAsyncResult *result, gpointer data)
{
    ApiaryNewMachineAssistant *a = APIARY_NEW_MACHINE_ASSISTANT(source);
    g_autoptr(GError) error = NULL;
    MediumInfo *info = g_task_propagate_pointer(G_TASK(result), &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || !a->looking)
        return;
    g_clear_object(&a->looking);
    new_machine_state_set_medium(&a->state, g_task_get_task_data(G_TASK(result)), info,
                                 error ? error->message : NULL);
    fill(a);
}

static void set_medium(ApiaryNewMachineAssistant *a, const char *path)
{
    if (a->looking)
        g_cancellable_cancel(a->looking);
    g_clear_object(&a->looking);
    a->looking = g_cancellable_new();
    g_autoptr(GTask) task = g_task_new(a, a->looking, on_looked, NULL);
    g_task_set_task_data(task, g_strdup(path), g_free);
    g_task_run_in_thread(task, look);
    validate(a);
}

static void on_chosen(void *opaque, const char *path)
{
    g_autoptr(ApiaryNewMachineAssistant) a = opaque;

    if (path && gtk_widget_get_realized(GTK_WIDGET(a))) /* it is still there */
        set_medium(a, path);
}

static void on_choose(ApiaryNewMachineAssistant *a)
{
    static const struct {
        const char *title, *kind, *patterns[4];
    } choices[NEW_MACHINE_N_SOURCES] = {
        [NEW_MACHINE_ISO] = {N_("Choose a Disc Image"), N_("Disc images"), {"*.iso", "*.ISO"}},
        [NEW_MACHINE_DISK] = {N_("Choose a Disk"),
                              N_("Disk images"),
                              {"*.qcow2", "*.raw", "*.img"}},
        [NEW_MACHINE_NETWORK] = {N_("Choose a Boot File"),
                                 N_("Boot files"),
                                 {"*.0", "*.kpxe", "*.ipxe"}},
        [NEW_MACHINE_EMPTY] = {N_("Choose a Disk"), N_("All files"), {"*"}},
    };
    NewMachineSource source = a->state.source;

    apiary_dialog_open_file(GTK_WINDOW(a), _(choices[source].title), _(choices[source].kind),
                            choices[source].patterns, on_chosen, g_object_ref(a));
}

static void on_drag_data(GtkWidget *widget, GdkDragContext *context, int x, int y,
                         GtkSelectionData *selection, guint info, guint time)
{
    g_auto(GStrv) uris = gtk_selection_data_get_uris(selection);
    g_autofree char *path = uris && *uris ? g_filename_from_uri(*uris, NULL, NULL) : NULL;

    if (path)
        set_medium(APIARY_NEW_MACHINE_ASSISTANT(widget), path);
}

/* --- buttons ---------------------------------------------------------------------------------- */

static void on_back(ApiaryNewMachineAssistant *a)
{
    show_page(a, new_machine_state_previous(&a->state, a->page));
}

static void on_forward(ApiaryNewMachineAssistant *a)
{
    show_page(a, new_machine_state_next(&a->state, a->page));
}

static void create(ApiaryNewMachineAssistant *a, bool start)
{
    ApiaryApplication *application = apiary_application_get();
    g_autoptr(GError) error = NULL;
    MachineConfig *config = new_machine_state_create(&a->state, &error);

    if (!config) {
        show_problem(a, error->message, true);
        return;
    }
    ApiaryVm *vm = apiary_collection_add(apiary_application_get_collection(application), config);
    gtk_widget_destroy(GTK_WIDGET(a));
    if (start) {
        apiary_application_open_vm(application, vm);
        apiary_vm_start(vm);
    }
}

static void on_create(ApiaryNewMachineAssistant *a)
{
    create(a, false);
}

static void on_create_and_start(ApiaryNewMachineAssistant *a)
{
    create(a, true);
}

void apiary_new_machine_assistant_set_medium(ApiaryNewMachineAssistant *a, const char *path)
{
    a->state.source = NEW_MACHINE_ISO;
    set_medium(a, path);
    show_page(a, NEW_MACHINE_PAGE_MEDIUM);
}

void apiary_new_machine_assistant_import(ApiaryNewMachineAssistant *a)
{
    a->state.source = NEW_MACHINE_DISK;
    show_page(a, NEW_MACHINE_PAGE_MEDIUM);
}

/* --- pages ------------------------------------------------------------------------------------ */

static GtkWidget *add_page(ApiaryNewMachineAssistant *a, NewMachinePage page, const char *title)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 9), *label = gtk_label_new(NULL);
    g_autofree char *name = g_strdup_printf("%d", page);

    set_title(label, title);
    if (page == NEW_MACHINE_PAGE_MEDIUM)
        a->medium_title = label;
    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_box_pack_start(GTK_BOX(box), label, FALSE, FALSE, 6);
    gtk_stack_add_named(GTK_STACK(a->stack), box, name);
    return box;
}

static void add_field(GtkWidget *page, const char *text, GtkWidget *field)
{
    GtkWidget *label = gtk_label_new_with_mnemonic(text);

    gtk_label_set_mnemonic_widget(GTK_LABEL(label), field);
    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_box_pack_start(GTK_BOX(page), label, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(page), field, FALSE, FALSE, 0);
}

static void make_network_page(ApiaryNewMachineAssistant *a)
{
    GtkWidget *page = add_page(a, NEW_MACHINE_PAGE_NETWORK, _("Network"));
    GtkWidget *hint = gtk_label_new(
        _("The guest reaches the world through this computer. For the other way, forward a port: "
          "the one suggested first is for ssh, the next for a web server."));

    a->wants_network =
        gtk_check_button_new_with_mnemonic(_("_Connect the machine to a user-mode network"));
    gtk_label_set_xalign(GTK_LABEL(hint), 0);
    gtk_label_set_line_wrap(GTK_LABEL(hint), TRUE);
    gtk_label_set_max_width_chars(GTK_LABEL(hint), 70);
    gtk_style_context_add_class(gtk_widget_get_style_context(hint), "dim-label");
    a->forwards = g_object_new(APIARY_TYPE_FORWARD_TABLE, NULL);
    gtk_container_add(GTK_CONTAINER(page), a->wants_network);
    gtk_container_add(GTK_CONTAINER(page), hint);
    gtk_container_add(GTK_CONTAINER(page), a->forwards);
    g_signal_connect_swapped(a->wants_network, "toggled", G_CALLBACK(on_changed), a);
    g_signal_connect_swapped(a->forwards, "add-rule", G_CALLBACK(on_add_forward), a);
    g_signal_connect_swapped(a->forwards, "remove-rule", G_CALLBACK(on_remove_forward), a);
}

static void make_pages(ApiaryNewMachineAssistant *a)
{
    static const char *const sources[NEW_MACHINE_N_SOURCES] = {
        [NEW_MACHINE_ISO] = N_("From a _disc image (ISO)"),
        [NEW_MACHINE_DISK] = N_("From an _existing disk image"),
        [NEW_MACHINE_NETWORK] = N_("From the ne_twork (PXE)"),
        [NEW_MACHINE_EMPTY] = N_("_Nothing yet: an empty disk")};
    GtkWidget *page =
        add_page(a, NEW_MACHINE_PAGE_SOURCE, _("What should the machine start from?"));
    for (unsigned i = 0; i < NEW_MACHINE_N_SOURCES; i++) {
        a->source[i] = gtk_radio_button_new_with_mnemonic_from_widget(
            i ? GTK_RADIO_BUTTON(a->source[0]) : NULL, _(sources[i]));
        gtk_box_pack_start(GTK_BOX(page), a->source[i], FALSE, FALSE, 0);
        g_signal_connect_swapped(a->source[i], "toggled", G_CALLBACK(on_changed), a);
    }
    page = add_page(a, NEW_MACHINE_PAGE_MEDIUM, _("Which image?"));
    a->medium_button = gtk_button_new_with_mnemonic(_("_Choose a File…"));
    gtk_widget_set_halign(a->medium_button, GTK_ALIGN_START);
    a->medium_label = gtk_label_new("");
    gtk_label_set_xalign(GTK_LABEL(a->medium_label), 0);
    gtk_label_set_line_wrap(GTK_LABEL(a->medium_label), TRUE);
    gtk_container_add(GTK_CONTAINER(page), a->medium_button);
    gtk_container_add(GTK_CONTAINER(page), a->medium_label);
    g_signal_connect_swapped(a->medium_button, "clicked", G_CALLBACK(on_choose), a);

    page = add_page(a, NEW_MACHINE_PAGE_HARDWARE, _("Memory and CPUs"));
    a->ram = gtk_spin_button_new_with_range(16, (double)MAX(a->state.host_ram_mb, 17), 256);
    a->cpus = gtk_spin_button_new_with_range(1, 32, 1);
    add_field(page, _("_Memory (MiB)"), a->ram);
    add_field(page, _("_CPUs"), a->cpus);

    page = add_page(a, NEW_MACHINE_PAGE_STORAGE, _("Disk"));
    a->wants_disk = gtk_check_button_new_with_mnemonic(_("_Make a new disk"));
    a->disk_size = gtk_spin_button_new_with_range(1, 65536, 1);
    a->disk_format = gtk_combo_box_text_new();
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(a->disk_format), "qcow2",
                              _("qcow2: grows as it fills"));
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(a->disk_format), "raw", _("raw: plain bytes"));
    gtk_container_add(GTK_CONTAINER(page), a->wants_disk);
    add_field(page, _("_Size (GiB)"), a->disk_size);
    add_field(page, _("_Format"), a->disk_format);

    make_network_page(a);

    page = add_page(a, NEW_MACHINE_PAGE_SUMMARY, _("Ready"));
    a->name = gtk_entry_new();
    gtk_entry_set_activates_default(GTK_ENTRY(a->name), TRUE);
    a->summary = gtk_label_new("");
    gtk_label_set_xalign(GTK_LABEL(a->summary), 0);
    gtk_label_set_line_wrap(GTK_LABEL(a->summary), TRUE);
    add_field(page, _("_Name"), a->name);
    gtk_container_add(GTK_CONTAINER(page), a->summary);

    GtkWidget *changing[] = {a->ram, a->cpus, a->disk_size};
    for (size_t i = 0; i < G_N_ELEMENTS(changing); i++)
        g_signal_connect_swapped(changing[i], "value-changed", G_CALLBACK(on_changed), a);
    g_signal_connect_swapped(a->wants_disk, "toggled", G_CALLBACK(on_changed), a);
    g_signal_connect_swapped(a->disk_format, "changed", G_CALLBACK(on_changed), a);
    g_signal_connect_swapped(a->name, "changed", G_CALLBACK(on_changed), a);
}

static GtkWidget *add_button(ApiaryNewMachineAssistant *a, GtkWidget *header, const char *label,
                             bool end, GCallback clicked)
{
    GtkWidget *button = gtk_button_new_with_mnemonic(label);

    if (end)
        gtk_header_bar_pack_end(GTK_HEADER_BAR(header), button);
    else
        gtk_header_bar_pack_start(GTK_HEADER_BAR(header), button);
    g_signal_connect_swapped(button, "clicked", clicked, a);
    return button;
}

ApiaryNewMachineAssistant *apiary_new_machine_assistant_new(GtkApplication *application,
                                                            GtkWindow *parent)
{
    ApiaryNewMachineAssistant *a = g_object_new(
        APIARY_TYPE_NEW_MACHINE_ASSISTANT, "application", application, "transient-for", parent,
        "title", _("New Machine"), "default-width", 880, "default-height", 460, NULL);
    return a;
}

static void apiary_new_machine_assistant_dispose(GObject *object)
{
    ApiaryNewMachineAssistant *a = APIARY_NEW_MACHINE_ASSISTANT(object);

    if (a->looking)
        g_cancellable_cancel(a->looking);
    g_clear_object(&a->looking);
    a->filling = true;
    G_OBJECT_CLASS(apiary_new_machine_assistant_parent_class)->dispose(object);
}

static void apiary_new_machine_assistant_finalize(GObject *object)
{
    new_machine_state_clear(&APIARY_NEW_MACHINE_ASSISTANT(object)->state);
    G_OBJECT_CLASS(apiary_new_machine_assistant_parent_class)->finalize(object);
}

static void apiary_new_machine_assistant_init(ApiaryNewMachineAssistant *a)
{
    GtkWidget *header = gtk_header_bar_new(), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 12);

    new_machine_state_init(
        &a->state,
        apiary_collection_get_library(apiary_application_get_collection(apiary_application_get())));
    gtk_header_bar_set_title(GTK_HEADER_BAR(header), _("New Machine"));
    gtk_window_set_titlebar(GTK_WINDOW(a), header);
    add_button(a, header, _("C_ancel"), false, G_CALLBACK(gtk_widget_destroy));
    a->back = add_button(a, header, _("_Back"), false, G_CALLBACK(on_back));
    a->forward = add_button(a, header, _("For_ward"), true, G_CALLBACK(on_forward));
    a->create_and_start =
        add_button(a, header, _("Create and _Start"), true, G_CALLBACK(on_create_and_start));
    a->create = add_button(a, header, _("C_reate"), true, G_CALLBACK(on_create));
    gtk_style_context_add_class(gtk_widget_get_style_context(a->forward), "suggested-action");
    gtk_style_context_add_class(gtk_widget_get_style_context(a->create_and_start),
                                "suggested-action");
    g_object_set(box, "margin", 24, NULL);
    a->stack = gtk_stack_new();
    a->problem = gtk_label_new("");
    gtk_label_set_xalign(GTK_LABEL(a->problem), 0);
    gtk_label_set_line_wrap(GTK_LABEL(a->problem), TRUE);
    /* Right under the fields, whatever the page's height. */
    gtk_stack_set_vhomogeneous(GTK_STACK(a->stack), FALSE);
    make_pages(a);
    gtk_box_pack_start(GTK_BOX(box), a->stack, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), a->problem, FALSE, FALSE, 0);
    gtk_container_add(GTK_CONTAINER(a), box);
    gtk_widget_show_all(header);
    gtk_widget_show_all(box);
    gtk_drag_dest_set(GTK_WIDGET(a), GTK_DEST_DEFAULT_ALL, NULL, 0, GDK_ACTION_COPY);
    gtk_drag_dest_add_uri_targets(GTK_WIDGET(a));
    g_signal_connect(a, "drag-data-received", G_CALLBACK(on_drag_data), NULL);
    show_page(a, NEW_MACHINE_PAGE_SOURCE);
}

static void apiary_new_machine_assistant_class_init(ApiaryNewMachineAssistantClass *klass)
{
    G_OBJECT_CLASS(klass)->dispose = apiary_new_machine_assistant_dispose;
    G_OBJECT_CLASS(klass)->finalize = apiary_new_machine_assistant_finalize;
}
