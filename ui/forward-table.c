/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/forward-table.h"

#include "ui/application.h"
#include "ui/forward-test.h"
#include "ui/host-ports.h"
#include "ui/paths.h"
#include "ui/vm-network.h"

#include <arpa/inet.h>
#include <glib/gi18n.h>
#include <string.h>

#define COLUMNS   6
#define SSH_PORT  22
#define FIRST_ROW 1

struct _ApiaryForwardTable {
    GtkGrid parent;
    ApiaryVm *vm; /* not owned; NULL: none yet */
    char *network;
    GPtrArray *rules;   /* char* */
    GPtrArray *widgets; /* GtkWidget*: those of the forwards, in the grid */
    char *guest_address;
    char *shown; /* describe() of what is shown */
    bool filling;
    GtkWidget *protocol, *host, *host_port, *guest, *guest_port, *add, *problem, *warning;
};

G_DEFINE_FINAL_TYPE(ApiaryForwardTable, apiary_forward_table, GTK_TYPE_GRID)

enum { ADD, REMOVE, N_SIGNALS };
static unsigned signals[N_SIGNALS];

static void show_text(GtkWidget *label, const char *text)
{
    gtk_label_set_text(GTK_LABEL(label), text ? text : "");
    gtk_widget_set_visible(label, text && *text);
}

/* --- one forward ------------------------------------------------------------------------------ */

static void on_remove(GtkButton *button, ApiaryForwardTable *table)
{
    g_autofree char *rule = g_strdup(g_object_get_data(G_OBJECT(button), "rule"));

    g_signal_emit(table, signals[REMOVE], 0, rule);
}

/* `ssh -p 2222 127.0.0.1` for the guest's ssh, else where to connect to. */
static void on_copy(GtkButton *button, ApiaryForwardTable *table)
{
    NetForward forward;
    char host[INET_ADDRSTRLEN];

    if (!net_forward_parse(g_object_get_data(G_OBJECT(button), "rule"), &forward, NULL))
        return;
    if (!forward.host.s_addr)
        forward.host.s_addr = htonl(INADDR_LOOPBACK);
    inet_ntop(AF_INET, &forward.host, host, sizeof host);
    g_autofree char *text = forward.guest_port == SSH_PORT && !forward.udp
                                ? g_strdup_printf("ssh -p %u %s", forward.host_port, host)
                                : g_strdup_printf("%s:%u", host, forward.host_port);
    gtk_clipboard_set_text(gtk_clipboard_get(GDK_SELECTION_CLIPBOARD), text, -1);
}

static void on_tested(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GtkWidget) button = data;
    GtkWidget *label = g_object_get_data(G_OBJECT(button), "result");
    g_autoptr(GError) error = NULL;
    ForwardTestResult outcome;

    forward_test_finish(result, &outcome, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* the line is gone */
    gtk_widget_set_sensitive(button, TRUE);
    show_text(label, error ? error->message : forward_test_text(outcome));
}

static void on_test(GtkButton *button, ApiaryForwardTable *table)
{
    show_text(g_object_get_data(G_OBJECT(button), "result"), _("Testing…"));
    gtk_widget_set_sensitive(GTK_WIDGET(button), FALSE);
    forward_test_start(table->vm, table->network, g_object_get_data(G_OBJECT(button), "rule"),
                       g_object_get_data(G_OBJECT(button), "cancellable"), on_tested,
                       g_object_ref(button));
}

static void on_gone(GtkWidget *button, gpointer data)
{
    g_cancellable_cancel(g_object_get_data(G_OBJECT(button), "cancellable"));
}

static GtkWidget *add_button(ApiaryForwardTable *table, GtkWidget *box, const char *label,
                             const char *rule, const char *spoken, GCallback clicked)
{
    GtkWidget *button = gtk_button_new_with_label(label);
    g_autofree char *name = g_strdup_printf("%s: %s", label, spoken);

    g_object_set_data_full(G_OBJECT(button), "rule", g_strdup(rule), g_free);
    atk_object_set_name(gtk_widget_get_accessible(button), name);
    g_signal_connect(button, "clicked", clicked, table);
    gtk_container_add(GTK_CONTAINER(box), button);
    return button;
}

static void place(ApiaryForwardTable *table, GtkWidget *widget, int column, int row, int width)
{
    gtk_grid_attach(GTK_GRID(table), widget, column, row, width, 1);
    g_ptr_array_add(table->widgets, widget);
}

static GtkWidget *place_label(ApiaryForwardTable *table, const char *text, int column, int row,
                              int width)
{
    GtkWidget *label = gtk_label_new(text);

    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_label_set_line_wrap(GTK_LABEL(label), width > 1);
    place(table, label, column, row, width);
    return label;
}

static GtkWidget *place_note(ApiaryForwardTable *table, const char *text, const char *style,
                             int row)
{
    GtkWidget *label = place_label(table, text, 0, row, COLUMNS);

    gtk_label_set_max_width_chars(GTK_LABEL(label), 60);
    gtk_style_context_add_class(gtk_widget_get_style_context(label), style);
    return label;
}

static void place_rule(ApiaryForwardTable *table, const char *rule, int row)
{
    NetForward forward;
    char host[INET_ADDRSTRLEN], guest[INET_ADDRSTRLEN];
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);

    if (!net_forward_parse(rule, &forward, NULL))
        return;
    g_autofree char *spoken = apiary_forward_text(&forward, table->guest_address);
    g_autofree char *host_port = g_strdup_printf("%u", forward.host_port);
    g_autofree char *guest_port = g_strdup_printf("%u", forward.guest_port);
    inet_ntop(AF_INET, &forward.host, host, sizeof host);
    inet_ntop(AF_INET, &forward.guest, guest, sizeof guest);
    place_label(table, forward.udp ? "UDP" : "TCP", 0, row, 1);
    place_label(table, host, 1, row, 1);
    place_label(table, host_port, 2, row, 1);
    place_label(table, forward.guest.s_addr || !table->guest_address ? guest : table->guest_address,
                3, row, 1);
    place_label(table, guest_port, 4, row, 1);

    GtkWidget *test = add_button(table, box, _("Test"), rule, spoken, G_CALLBACK(on_test));
    add_button(table, box,
               forward.guest_port == SSH_PORT && !forward.udp ? _("Copy ssh Command")
                                                              : _("Copy Address"),
               rule, spoken, G_CALLBACK(on_copy));
    GtkWidget *remove = add_button(table, box, _("Remove"), rule, spoken, G_CALLBACK(on_remove));
    gtk_button_set_label(GTK_BUTTON(remove), NULL);
    gtk_button_set_image(GTK_BUTTON(remove), gtk_image_new_from_icon_name("list-remove-symbolic",
                                                                          GTK_ICON_SIZE_BUTTON));
    gtk_widget_set_tooltip_text(remove, _("Remove"));
    place(table, box, 5, row, 1);
    if (apiary_forward_is_exposed(&forward))
        place_note(table, _("Open to others: computers that reach this one can use this port."),
                   "apiary-warning", row + 1);
    GtkWidget *result = place_note(table, "", "dim-label", row + 2);
    g_object_set_data(G_OBJECT(test), "result", result);
    g_object_set_data_full(G_OBJECT(test), "cancellable", g_cancellable_new(), g_object_unref);
    g_signal_connect(test, "destroy", G_CALLBACK(on_gone), NULL);
    if (table->vm && apiary_vm_is_on(table->vm) &&
        !apiary_vm_forward_is_open(table->vm, table->network, rule))
        gtk_label_set_text(GTK_LABEL(result), _("Opens after the next start."));
    gtk_widget_set_visible(result, *gtk_label_get_text(GTK_LABEL(result)) != '\0');
    gtk_widget_set_no_show_all(result, TRUE);
}

static void place_rules(ApiaryForwardTable *table)
{
    for (guint i = 0; i < table->widgets->len; i++)
        gtk_widget_destroy(table->widgets->pdata[i]);
    g_ptr_array_set_size(table->widgets, 0);
    for (guint i = 0; i < table->rules->len; i++)
        place_rule(table, table->rules->pdata[i], FIRST_ROW + (int)i * 3);
    for (guint i = 0; i < table->widgets->len; i++)
        gtk_widget_show_all(table->widgets->pdata[i]);
}

/* --- the line for another one ----------------------------------------------------------------- */

/* All rules of all machines, so that two of them do not ask for one port. */
static GPtrArray *used_rules(ApiaryForwardTable *table)
{
    GListModel *vms =
        apiary_collection_get_model(apiary_application_get_collection(apiary_application_get()));
    GPtrArray *used = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < g_list_model_get_n_items(vms); i++) {
        g_autoptr(ApiaryVm) vm = g_list_model_get_item(vms, i);
        const GPtrArray *netdevs = apiary_vm_get_config(vm)->netdevs;
        for (guint k = 0; k < netdevs->len; k++) {
            const char *const *rule =
                option_list(((NetdevConfig *)netdevs->pdata[k])->values, "hostfwd");
            for (; *rule; rule++)
                g_ptr_array_add(used, g_strdup(*rule));
        }
    }
    for (guint i = 0; i < table->rules->len; i++)
        g_ptr_array_add(used, g_strdup(table->rules->pdata[i]));
    return used;
}

static char *edited_rule(ApiaryForwardTable *table)
{
    return g_strdup_printf("%s:%s:%d-%s:%d",
                           gtk_combo_box_get_active_id(GTK_COMBO_BOX(table->protocol)),
                           gtk_entry_get_text(GTK_ENTRY(table->host)),
                           gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(table->host_port)),
                           gtk_entry_get_text(GTK_ENTRY(table->guest)),
                           gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(table->guest_port)));
}

static bool is_listed(ApiaryForwardTable *table, const NetForward *forward)
{
    NetForward other;

    for (guint i = 0; i < table->rules->len; i++)
        if (net_forward_parse(table->rules->pdata[i], &other, NULL) && other.udp == forward->udp &&
            other.host_port == forward->host_port && other.host.s_addr == forward->host.s_addr)
            return true;
    return false;
}

/* Why FORWARD cannot be added, or NULL. */
static char *find_problem(ApiaryForwardTable *table, const NetForward *forward)
{
    unsigned port = forward->host_port;

    if (is_listed(table, forward))
        return g_strdup_printf(_("Host port %u is forwarded already."), port);
    if (apiary_host_port_is_free(forward))
        return NULL;
    return g_strdup_printf(
        port < 1024 ? _("Host port %u is busy, or one of the system's: use 1024 and above.")
                    : _("Host port %u is busy: another program has it."),
        port);
}

static void on_edited(ApiaryForwardTable *table)
{
    g_autoptr(GError) error = NULL;
    NetForward forward;

    if (table->filling)
        return;
    g_autofree char *rule = edited_rule(table);
    bool good = net_forward_parse(rule, &forward, &error);
    g_autofree char *problem = good ? find_problem(table, &forward) : g_strdup(error->message);

    show_text(table->problem, problem);
    gtk_widget_set_visible(table->warning, good && apiary_forward_is_exposed(&forward));
    gtk_widget_set_sensitive(table->add, !problem);
}

void apiary_forward_table_suggest(ApiaryForwardTable *table, uint16_t guest_port)
{
    g_autoptr(GPtrArray) used = used_rules(table);
    bool udp = g_strcmp0(gtk_combo_box_get_active_id(GTK_COMBO_BOX(table->protocol)), "udp") == 0;
    uint16_t port = apiary_host_port_suggest(udp, guest_port, used);

    table->filling = true;
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(table->guest_port), guest_port);
    if (port)
        gtk_spin_button_set_value(GTK_SPIN_BUTTON(table->host_port), port);
    table->filling = false;
    on_edited(table);
}

static void on_guest_port_changed(ApiaryForwardTable *table)
{
    if (!table->filling)
        apiary_forward_table_suggest(
            table, (uint16_t)gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(table->guest_port)));
}

static void on_add(ApiaryForwardTable *table)
{
    /* What is typed in the numbers counts, also before the field is left. */
    gtk_spin_button_update(GTK_SPIN_BUTTON(table->guest_port));
    gtk_spin_button_update(GTK_SPIN_BUTTON(table->host_port));
    if (!gtk_widget_get_sensitive(table->add))
        return;
    g_autofree char *rule = edited_rule(table);
    g_signal_emit(table, signals[ADD], 0, rule);
}

/* --- for its owner ---------------------------------------------------------------------------- */

void apiary_forward_table_set_network(ApiaryForwardTable *table, ApiaryVm *vm, const char *id)
{
    table->vm = vm;
    g_free(table->network);
    table->network = g_strdup(id);
}

/* The next service that has no forward yet. */
static uint16_t next_service(ApiaryForwardTable *table)
{
    static const uint16_t services[] = {SSH_PORT, 80, 443};
    NetForward forward;

    for (size_t i = 0; i < G_N_ELEMENTS(services); i++) {
        bool there = false;
        for (guint k = 0; k < table->rules->len; k++)
            there |= net_forward_parse(table->rules->pdata[k], &forward, NULL) &&
                     forward.guest_port == services[i];
        if (!there)
            return services[i];
    }
    return 8000;
}

/* All that the lines depend on: when it changes they are made anew. */
static char *describe(ApiaryForwardTable *table, const char *const *rules, const char *guest)
{
    GString *text = g_string_new(guest);

    for (; *rules; rules++)
        g_string_append_printf(text, "\n%s %d", *rules,
                               table->vm && apiary_vm_is_on(table->vm)
                                   ? apiary_vm_forward_is_open(table->vm, table->network, *rules)
                                   : -1);
    return g_string_free(text, FALSE);
}

void apiary_forward_table_set_rules(ApiaryForwardTable *table, const char *const *rules,
                                    const char *guest)
{
    g_autofree char *shown = describe(table, rules, guest);
    bool other_number = !table->shown || g_strv_length((char **)rules) != table->rules->len;

    if (g_strcmp0(shown, table->shown) == 0)
        return;
    g_free(table->shown);
    table->shown = g_steal_pointer(&shown);
    g_ptr_array_set_size(table->rules, 0);
    for (; *rules; rules++)
        g_ptr_array_add(table->rules, g_strdup(*rules));
    g_free(table->guest_address);
    table->guest_address = g_strdup(guest);
    gtk_entry_set_placeholder_text(GTK_ENTRY(table->guest), guest);
    place_rules(table);
    if (!other_number)
        return;
    /* The next forward is not open to others because the last one was. */
    gtk_entry_set_text(GTK_ENTRY(table->host), "127.0.0.1");
    gtk_entry_set_text(GTK_ENTRY(table->guest), "");
    apiary_forward_table_suggest(table, next_service(table));
}

void apiary_forward_table_set_problem(ApiaryForwardTable *table, const char *problem)
{
    show_text(table->problem, problem);
}

static void apiary_forward_table_finalize(GObject *object)
{
    ApiaryForwardTable *table = APIARY_FORWARD_TABLE(object);

    g_ptr_array_unref(table->rules);
    g_ptr_array_unref(table->widgets);
    g_free(table->network);
    g_free(table->guest_address);
    g_free(table->shown);
    G_OBJECT_CLASS(apiary_forward_table_parent_class)->finalize(object);
}

static void apiary_forward_table_init(ApiaryForwardTable *table)
{
    table->rules = g_ptr_array_new_with_free_func(g_free);
    table->widgets = g_ptr_array_new();
    table->filling = true;
    gtk_widget_init_template(GTK_WIDGET(table));
    table->filling = false;
}

static void apiary_forward_table_class_init(ApiaryForwardTableClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);
    GType type = G_TYPE_FROM_CLASS(klass);

    G_OBJECT_CLASS(klass)->finalize = apiary_forward_table_finalize;
    signals[ADD] = g_signal_new("add-rule", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                G_TYPE_NONE, 1, G_TYPE_STRING);
    signals[REMOVE] = g_signal_new("remove-rule", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                   G_TYPE_NONE, 1, G_TYPE_STRING);
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/forward-table.ui");
#define BIND(child) gtk_widget_class_bind_template_child(widget_class, ApiaryForwardTable, child)
    BIND(protocol);
    BIND(host);
    BIND(host_port);
    BIND(guest);
    BIND(guest_port);
    BIND(add);
    BIND(problem);
    BIND(warning);
#undef BIND
    gtk_widget_class_bind_template_callback(widget_class, on_edited);
    gtk_widget_class_bind_template_callback(widget_class, on_add);
    gtk_widget_class_bind_template_callback(widget_class, on_guest_port_changed);
}
