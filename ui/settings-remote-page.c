/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/settings-remote-page.h"

#include "core/remote/vnc.h"
#include "ui/application.h"
#include "ui/host-ports.h"
#include "ui/paths.h"
#include "ui/viewer-list.h"
#include "ui/vm-remote.h"

#include <arpa/inet.h>
#include <glib/gi18n.h>
#include <string.h>

#define LOOPBACK    "127.0.0.1"
#define EVERYWHERE  "0.0.0.0"
#define UNIX_PREFIX "unix:"
#define TRIES       100 /* ports that are looked at for a free one */
#define APPLY_MS    500 /* after the last change: a number is not dialled through step by step */

struct _ApiarySettingsRemotePage {
    ApiarySettingsPage parent;
    char *last;            /* -vnc's words while the server is off: as it would be turned on */
    char *failure;         /* why the running machine has not followed, or NULL */
    guint timer;           /* until a running machine is told */
    bool password_changed; /* since it was told */
    unsigned applying;     /* orders to it that have no answer yet */
    GtkWidget *unavailable, *enabled, *details, *address, *warning, *port, *suggest;
    GtkWidget *port_problem, *ask_password, *password, *show_password, *password_problem;
    GtkWidget *state, *copy, *tunnel, *pending, *viewers;
};

G_DEFINE_FINAL_TYPE(ApiarySettingsRemotePage, apiary_settings_remote_page,
                    APIARY_TYPE_SETTINGS_PAGE)

static ApiaryVm *get_vm(ApiarySettingsRemotePage *self)
{
    return apiary_settings_page_get_vm(APIARY_SETTINGS_PAGE(self));
}

static MachineConfig *get_config(ApiarySettingsRemotePage *self)
{
    return apiary_settings_page_get_config(APIARY_SETTINGS_PAGE(self));
}

/* --- ports ------------------------------------------------------------------------------------ */

/* The name of another machine that keeps this port for its own VNC, or NULL. */
static char *find_rival(ApiarySettingsRemotePage *self, uint16_t port)
{
    GListModel *vms =
        apiary_collection_get_model(apiary_application_get_collection(apiary_application_get()));

    for (guint i = 0; i < g_list_model_get_n_items(vms); i++) {
        g_autoptr(ApiaryVm) vm = g_list_model_get_item(vms, i);
        const char *text = apiary_vm_get_config(vm)->vnc;
        g_autoptr(VncSpec) spec = text && vm != get_vm(self) ? vnc_spec_parse(text, NULL) : NULL;
        if (spec && !spec->off && !spec->path && spec->port == port && spec->last_port == port)
            return g_strdup(apiary_vm_get_name(vm));
    }
    return NULL;
}

/* What is not IPv4 is found out when the server opens. */
static bool port_is_free(const char *host, uint16_t port)
{
    NetForward forward = {.host_port = port};

    return inet_pton(AF_INET, host, &forward.host) != 1 || apiary_host_port_is_free(&forward);
}

static uint16_t suggest_port(ApiarySettingsRemotePage *self, const char *host)
{
    for (unsigned port = VNC_BASE_PORT; port < VNC_BASE_PORT + TRIES; port++) {
        g_autofree char *rival = find_rival(self, (uint16_t)port);
        if (!rival && port_is_free(host, (uint16_t)port))
            return (uint16_t)port;
    }
    return VNC_BASE_PORT;
}

/* Why the server could not listen where SPEC says, or NULL. */
static char *find_port_problem(ApiarySettingsRemotePage *self, const VncSpec *spec)
{
    const ApiaryVmRemote *remote = apiary_vm_get_remote(get_vm(self));
    g_autofree char *port = g_strdup_printf("%u", spec->port);

    if (spec->path || spec->last_port != spec->port)
        return NULL; /* it takes another one */
    if (!(remote->on && remote->host && g_str_equal(remote->service, port)) &&
        !port_is_free(spec->host, spec->port))
        return g_strdup_printf(_("Port %u is busy: another program has it."), spec->port);
    g_autofree char *rival = find_rival(self, spec->port);
    return rival ? g_strdup_printf(_("The machine “%s” uses port %u too: only one of the two can "
                                     "run at a time."),
                                   rival, spec->port)
                 : NULL;
}

/* --- the settings ----------------------------------------------------------------------------- */

/* As they are kept; while the server is off, as it would be turned on. */
static VncSpec *get_spec(ApiarySettingsRemotePage *self)
{
    const MachineConfig *config = get_config(self);
    VncSpec *spec = config->vnc ? vnc_spec_parse(config->vnc, NULL) : NULL;

    if (spec && !spec->off)
        return spec;
    vnc_spec_free(spec);
    if (!self->last)
        self->last = g_strdup_printf(":%u%s", suggest_port(self, LOOPBACK) - VNC_BASE_PORT,
                                     config->vnc_password ? ",password=on" : "");
    spec = vnc_spec_parse(self->last, NULL);
    spec->off = true;
    return spec;
}

static bool is_local(const VncSpec *spec)
{
    return spec->path || g_str_has_prefix(spec->host, "127.") || g_str_equal(spec->host, "::1");
}

static const char *find_warning(const VncSpec *spec)
{
    if (spec->off || (spec->password && is_local(spec)))
        return NULL;
    if (is_local(spec))
        return _("Everyone who can run programs on this computer can see and use the machine: "
                 "there is no password.");
    if (!spec->password)
        return _("Open to others: whoever reaches this computer over the network can see and use "
                 "the machine. There is no password.");
    return _("Open to others: only the password keeps them out, and what is shown and typed can "
             "be read on the way. An SSH tunnel to a server for only this computer is safer.");
}

static const char *find_password_problem(const VncSpec *spec, const MachineConfig *config)
{
    return !spec->off && spec->password && !config->vnc_password
               ? _("Nobody gets in until there is a password.")
               : NULL;
}

/* --- in words --------------------------------------------------------------------------------- */

static char *place_text(const char *host, const char *service)
{
    return host ? g_strdup_printf(_("%s port %s (display :%d)"), host, service,
                                  atoi(service) - VNC_BASE_PORT)
                : g_strdup(service);
}

static char *kept_place(const VncSpec *spec)
{
    g_autofree char *port = g_strdup_printf("%u", spec->port);

    return spec->path ? g_strdup(spec->path) : place_text(spec->host, port);
}

static char *state_text(ApiarySettingsRemotePage *self, const VncSpec *spec)
{
    const ApiaryVmRemote *remote = apiary_vm_get_remote(get_vm(self));

    if (remote->on) {
        g_autofree char *place = place_text(remote->host, remote->service);
        return g_strdup_printf(_("Listens on %s"), place);
    }
    if (spec->off || apiary_vm_is_on(get_vm(self)))
        return g_strdup(_("Off"));
    g_autofree char *place = kept_place(spec);
    return g_strdup_printf(_("Listens on %s when the machine starts"), place);
}

/* What a viewer takes as its argument (RFC 7869), or the socket's path. */
static char *viewer_address(const ApiaryVmRemote *remote)
{
    if (!remote->host)
        return g_strdup(remote->service);
    const char *host = g_str_equal(remote->host, EVERYWHERE) || g_str_equal(remote->host, "::")
                           ? g_get_host_name()
                           : remote->host;
    return g_strdup_printf(strchr(host, ':') ? "vnc://[%s]:%s" : "vnc://%s:%s", host,
                           remote->service);
}

static void update_tunnel(ApiarySettingsRemotePage *self, const VncSpec *spec)
{
    bool useful = !spec->off && !spec->path && g_str_has_prefix(spec->host, "127.");
    g_autofree char *text =
        useful ? g_strdup_printf(_("From another computer: ssh -L %u:%s:%u THIS-COMPUTER, then a "
                                   "viewer to 127.0.0.1 port %u."),
                                 spec->port, spec->host, spec->port, spec->port)
               : NULL;

    apiary_settings_show_problem(self->tunnel, text);
}

/* A running machine that has not followed: it could not, or somebody else has told it otherwise. */
static void update_pending(ApiarySettingsRemotePage *self, const VncSpec *spec)
{
    const ApiaryVmRemote *remote = apiary_vm_get_remote(get_vm(self));
    bool differs = apiary_vm_is_on(get_vm(self)) && !self->timer && !self->applying &&
                   !apiary_vm_remote_is_as(get_vm(self), spec);
    g_autofree char *now = remote->on ? place_text(remote->host, remote->service) : NULL;
    g_autofree char *next = spec->off ? NULL : kept_place(spec);

    apiary_settings_show_pending(self->pending,
                                 !differs ? NULL
                                 : now    ? now
                                          : _("off"),
                                 next ? next : _("off"));
}

/* --- from the settings to the widgets --------------------------------------------------------- */

static void update_address(ApiarySettingsRemotePage *self, const VncSpec *spec)
{
    g_autofree char *id =
        spec->path ? g_strconcat(UNIX_PREFIX, spec->path, NULL) : g_strdup(spec->host);

    /* What the list does not offer was in the machine's file. */
    if (!gtk_combo_box_set_active_id(GTK_COMBO_BOX(self->address), id)) {
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(self->address), id, id);
        gtk_combo_box_set_active_id(GTK_COMBO_BOX(self->address), id);
    }
}

static void update_port(ApiarySettingsRemotePage *self, const VncSpec *spec)
{
    g_autofree char *problem = spec->off       ? NULL
                               : self->failure ? g_strdup(self->failure)
                                               : find_port_problem(self, spec);

    if (!spec->path)
        gtk_spin_button_set_value(GTK_SPIN_BUTTON(self->port), spec->port);
    gtk_widget_set_sensitive(self->port, !spec->path);
    gtk_widget_set_sensitive(self->suggest, problem && !spec->path);
    apiary_settings_show_problem(self->port_problem, problem);
}

static void update_password(ApiarySettingsRemotePage *self, const VncSpec *spec)
{
    const MachineConfig *config = get_config(self);

    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(self->ask_password), spec->password);
    gtk_widget_set_sensitive(self->password, spec->password);
    gtk_widget_set_sensitive(self->show_password, spec->password);
    if (gtk_widget_has_focus(self->password))
        return; /* what is being typed may not be fit to be kept yet */
    gtk_entry_set_text(GTK_ENTRY(self->password), config->vnc_password ? config->vnc_password : "");
    apiary_settings_show_problem(self->password_problem, find_password_problem(spec, config));
}

static void update(ApiarySettingsPage *page)
{
    ApiarySettingsRemotePage *self = APIARY_SETTINGS_REMOTE_PAGE(page);
    g_autoptr(VncSpec) spec = get_spec(self);
    g_autofree char *state = state_text(self, spec);

    gtk_widget_set_visible(self->unavailable, !vnc_is_available());
    gtk_widget_set_sensitive(self->enabled, vnc_is_available() || !spec->off);
    gtk_switch_set_active(GTK_SWITCH(self->enabled), !spec->off);
    gtk_widget_set_sensitive(self->details, !spec->off);
    update_address(self, spec);
    update_port(self, spec);
    update_password(self, spec);
    apiary_settings_show_problem(self->warning, find_warning(spec));
    gtk_label_set_text(GTK_LABEL(self->state), state);
    gtk_widget_set_sensitive(self->copy, apiary_vm_get_remote(get_vm(self))->on);
    update_tunnel(self, spec);
    update_pending(self, spec);
    apiary_viewer_list_update(APIARY_VIEWER_LIST(self->viewers), get_vm(self));
}

/* --- telling a running machine ---------------------------------------------------------------- */

typedef struct {
    ApiarySettingsRemotePage *page;
    ApiaryVm *vm;
} Apply;

static void on_applied(void *opaque, const GError *error)
{
    Apply *apply = opaque;
    ApiarySettingsRemotePage *self = apply->page;

    self->applying--;
    if (get_vm(self)) {
        g_free(self->failure);
        self->failure = error ? g_strdup(error->message) : NULL;
        apiary_vm_remote_refresh(apply->vm);
    } else if (error) { /* the window has gone */
        apiary_vm_message(apply->vm, GTK_MESSAGE_ERROR, error->message);
    }
    g_object_unref(self);
    g_object_unref(apply->vm);
    g_free(apply);
}

static void apply(ApiarySettingsRemotePage *self)
{
    ApiaryVm *vm = get_vm(self);
    const char *password = get_config(self)->vnc_password;
    g_autoptr(VncSpec) spec = get_spec(self);
    bool moves = !apiary_vm_remote_is_as(vm, spec);
    bool password_only = !moves && !spec->off && spec->password && self->password_changed;

    self->password_changed = false;
    if (!apiary_vm_is_on(vm) || (!moves && !password_only))
        return;
    Apply *order = g_new0(Apply, 1);
    *order = (Apply){g_object_ref(self), g_object_ref(vm)};
    self->applying++;
    if (moves)
        apiary_vm_remote_open(vm, spec, password, on_applied, order);
    else
        apiary_vm_remote_set_password(vm, password, on_applied, order);
}

static gboolean on_timer(gpointer data)
{
    ApiarySettingsRemotePage *self = data;

    self->timer = 0;
    apply(self);
    apiary_vm_config_changed(get_vm(self)); /* also when there was nothing to tell */
    return G_SOURCE_REMOVE;
}

static void keep(ApiarySettingsRemotePage *self)
{
    g_clear_pointer(&self->failure, g_free);
    g_clear_handle_id(&self->timer, g_source_remove);
    if (apiary_vm_is_on(get_vm(self)))
        self->timer = g_timeout_add(APPLY_MS, on_timer, self);
    apiary_settings_page_save(APIARY_SETTINGS_PAGE(self));
}

/* --- from the widgets to the settings --------------------------------------------------------- */

static void set_place(VncSpec *spec, const char *address, uint16_t port)
{
    bool range = spec->last_port > spec->port && port == spec->port;

    apiary_settings_set_text(
        &spec->path, g_str_has_prefix(address, UNIX_PREFIX) ? address + strlen(UNIX_PREFIX) : NULL);
    apiary_settings_set_text(&spec->host, spec->path ? NULL : address);
    spec->port = port;
    if (!range)
        spec->last_port = port;
}

static void on_changed(ApiarySettingsRemotePage *self)
{
    const char *address = gtk_combo_box_get_active_id(GTK_COMBO_BOX(self->address));
    int port = gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(self->port));

    if (apiary_settings_page_is_filling(APIARY_SETTINGS_PAGE(self)) || !address)
        return;
    g_autoptr(VncSpec) spec = get_spec(self);
    bool turned_on = spec->off && gtk_switch_get_active(GTK_SWITCH(self->enabled));
    bool had_port = spec->host != NULL;
    set_place(spec, address, (uint16_t)port);
    /* A port that nobody has chosen, or not now, gives way. */
    g_autofree char *problem = turned_on || !had_port ? find_port_problem(self, spec) : NULL;
    if (problem)
        spec->port = spec->last_port = suggest_port(self, spec->host);
    spec->password = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(self->ask_password));
    spec->off = false;
    g_free(self->last);
    self->last = vnc_spec_format(spec);
    apiary_settings_set_text(&get_config(self)->vnc,
                             gtk_switch_get_active(GTK_SWITCH(self->enabled)) ? self->last : NULL);
    keep(self);
}

static void on_password_changed(ApiarySettingsRemotePage *self)
{
    const char *password = gtk_entry_get_text(GTK_ENTRY(self->password));
    MachineConfig *config = get_config(self);

    if (apiary_settings_page_is_filling(APIARY_SETTINGS_PAGE(self)))
        return;
    if (strlen(password) > VNC_PASSWORD_LENGTH) {
        g_autofree char *text = g_strdup_printf(
            _("Longer than the %d bytes that count; the password from before stays."),
            VNC_PASSWORD_LENGTH);
        apiary_settings_show_problem(self->password_problem, text);
        return;
    }
    g_autoptr(VncSpec) spec = get_spec(self);
    apiary_settings_set_text(&config->vnc_password, *password ? password : NULL);
    apiary_settings_show_problem(self->password_problem, find_password_problem(spec, config));
    self->password_changed = true;
    keep(self);
}

static void on_suggest(ApiarySettingsRemotePage *self)
{
    g_autoptr(VncSpec) spec = get_spec(self);

    gtk_spin_button_set_value(GTK_SPIN_BUTTON(self->port), suggest_port(self, spec->host));
}

static void on_show_password(ApiarySettingsRemotePage *self)
{
    gtk_entry_set_visibility(GTK_ENTRY(self->password),
                             gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(self->show_password)));
}

static void on_copy(ApiarySettingsRemotePage *self)
{
    const ApiaryVmRemote *remote = apiary_vm_get_remote(get_vm(self));
    g_autofree char *address = remote->on ? viewer_address(remote) : NULL;

    if (address)
        gtk_clipboard_set_text(gtk_clipboard_get(GDK_SELECTION_CLIPBOARD), address, -1);
}

/* --- class ------------------------------------------------------------------------------------ */

static void apiary_settings_remote_page_dispose(GObject *object)
{
    ApiarySettingsRemotePage *self = APIARY_SETTINGS_REMOTE_PAGE(object);

    if (self->timer) { /* the last change is not lost with the window */
        g_clear_handle_id(&self->timer, g_source_remove);
        apply(self);
    }
    G_OBJECT_CLASS(apiary_settings_remote_page_parent_class)->dispose(object);
}

static void apiary_settings_remote_page_finalize(GObject *object)
{
    ApiarySettingsRemotePage *self = APIARY_SETTINGS_REMOTE_PAGE(object);

    g_free(self->last);
    g_free(self->failure);
    G_OBJECT_CLASS(apiary_settings_remote_page_parent_class)->finalize(object);
}

static void apiary_settings_remote_page_init(ApiarySettingsRemotePage *self)
{
    gtk_widget_init_template(GTK_WIDGET(self));
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(self->address), LOOPBACK, _("Only this computer"));
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(self->address), EVERYWHERE,
                              _("All networks of this computer"));
    gtk_entry_set_max_length(GTK_ENTRY(self->password), VNC_PASSWORD_LENGTH);
}

static void apiary_settings_remote_page_class_init(ApiarySettingsRemotePageClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    APIARY_SETTINGS_PAGE_CLASS(klass)->update = update;
    G_OBJECT_CLASS(klass)->dispose = apiary_settings_remote_page_dispose;
    G_OBJECT_CLASS(klass)->finalize = apiary_settings_remote_page_finalize;
    g_type_ensure(APIARY_TYPE_VIEWER_LIST);
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/settings-remote-page.ui");
#define BIND(child)                                                                                \
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsRemotePage, child)
    BIND(unavailable);
    BIND(enabled);
    BIND(details);
    BIND(address);
    BIND(warning);
    BIND(port);
    BIND(suggest);
    BIND(port_problem);
    BIND(ask_password);
    BIND(password);
    BIND(show_password);
    BIND(password_problem);
    BIND(state);
    BIND(copy);
    BIND(tunnel);
    BIND(pending);
    BIND(viewers);
#undef BIND
    gtk_widget_class_bind_template_callback(widget_class, on_changed);
    gtk_widget_class_bind_template_callback(widget_class, on_password_changed);
    gtk_widget_class_bind_template_callback(widget_class, on_suggest);
    gtk_widget_class_bind_template_callback(widget_class, on_show_password);
    gtk_widget_class_bind_template_callback(widget_class, on_copy);
}
