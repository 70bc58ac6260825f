/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/vm.h"

#include "ui/serial-link.h"
#include "ui/thumbnail.h"
#include "ui/vm-network.h"
#include "ui/vm-remote.h"

#include <glib/gi18n.h>
#include <gtk/gtk.h>
#include <string.h>

struct _ApiaryVm {
    GObject parent;
    MachineConfig *config;

    Machine *machine;
    unsigned listener;
    MachineState state;
    MachineCause cause;
    char *detail; /* of the cause, or NULL */
    int exit_status;
    bool absolute;
    GHashTable *media;      /* drive id -> path while running; absent: as configured */
    GHashTable *open_trays; /* set of drive ids */

    ApiaryVmSample samples[APIARY_VM_HISTORY];
    unsigned n_samples;
    int64_t last_statistics_us;
    cairo_surface_t *thumbnail;
    ApiarySerialLink *serial;
    ApiaryVmNetwork *network;
    ApiaryVmRemote *remote;
};

enum { CHANGED, STATISTICS, MESSAGE, STOPPED, DISPLAY, SERIAL, N_SIGNALS };
static unsigned signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE(ApiaryVm, apiary_vm, G_TYPE_OBJECT)

/* --- what it is ------------------------------------------------------------------------------- */

const char *apiary_vm_get_name(ApiaryVm *vm)
{
    return vm->config->name;
}

MachineConfig *apiary_vm_get_config(ApiaryVm *vm)
{
    return vm->config;
}

const MachineConfig *apiary_vm_get_running_config(ApiaryVm *vm)
{
    return apiary_vm_is_on(vm) ? machine_config(vm->machine) : NULL;
}

void apiary_vm_config_changed(ApiaryVm *vm)
{
    g_signal_emit(vm, signals[CHANGED], 0);
}

MachineState apiary_vm_get_state(ApiaryVm *vm)
{
    return vm->state;
}

MachineCause apiary_vm_get_cause(ApiaryVm *vm)
{
    return vm->cause;
}

int apiary_vm_get_exit_status(ApiaryVm *vm)
{
    return vm->exit_status;
}

bool apiary_vm_is_on(ApiaryVm *vm)
{
    return vm->machine && vm->state != MACHINE_OFF;
}

static const char *state_word(MachineState state)
{
    switch (state) {
    case MACHINE_OFF: return _("Off");
    case MACHINE_STARTING: return _("Starting");
    case MACHINE_RUNNING: return _("Running");
    case MACHINE_PAUSED: return _("Paused");
    case MACHINE_STOPPING: return _("Stopping");
    }
    return "";
}

char *apiary_vm_state_text(ApiaryVm *vm)
{
    bool telling = vm->state == MACHINE_OFF || vm->state == MACHINE_PAUSED;

    if (!telling || vm->cause == CAUSE_NONE || vm->cause == CAUSE_USER)
        return g_strdup(state_word(vm->state));
    /* Translators: the state of a machine, and why it is in it. */
    return g_strdup_printf(_("%s: %s"), state_word(vm->state), machine_cause_text(vm->cause));
}

bool apiary_vm_pointer_is_absolute(ApiaryVm *vm)
{
    return vm->absolute;
}

Machine *apiary_vm_get_machine(ApiaryVm *vm)
{
    return vm->machine;
}

ApiaryVmNetwork *apiary_vm_get_network(ApiaryVm *vm)
{
    return vm->network;
}

ApiaryVmRemote *apiary_vm_get_remote(ApiaryVm *vm)
{
    return vm->remote;
}

Display *apiary_vm_get_display(ApiaryVm *vm)
{
    return vm->machine ? machine_display(vm->machine) : NULL;
}

const DriveConfig *apiary_vm_get_cd(ApiaryVm *vm)
{
    const MachineConfig *config = apiary_vm_get_running_config(vm);

    if (!config)
        config = vm->config;
    for (guint i = 0; i < config->drives->len; i++) {
        const DriveConfig *drive = config->drives->pdata[i];
        if (drive->kind == DRIVE_IDE_CD)
            return drive;
    }
    return NULL;
}

const char *apiary_vm_get_medium(ApiaryVm *vm, const char *id)
{
    const MachineConfig *running = apiary_vm_get_running_config(vm);
    const DriveConfig *drive;
    void *path;

    if (running && g_hash_table_lookup_extended(vm->media, id, NULL, &path))
        return path;
    drive = config_find_drive(running ? running : vm->config, id);
    return drive ? drive->file : NULL;
}

bool apiary_vm_tray_is_open(ApiaryVm *vm, const char *id)
{
    return g_hash_table_contains(vm->open_trays, id);
}

void apiary_vm_message(ApiaryVm *vm, int type, const char *text)
{
    g_signal_emit(vm, signals[MESSAGE], 0, type, text);
}

/* --- events ----------------------------------------------------------------------------------- */

static double rate(uint64_t now, uint64_t before, double seconds)
{
    return now > before ? (double)(now - before) / seconds : 0;
}

static void add_sample(ApiaryVm *vm, const MachineStatistics *now)
{
    int64_t time = g_get_monotonic_time();
    double seconds = MAX((double)(time - vm->last_statistics_us) / G_USEC_PER_SEC, 0.1);
    ApiaryVmSample sample = {.now = *now};
    const MachineStatistics *before = vm->n_samples ? &vm->samples[vm->n_samples - 1].now : now;

    sample.cpu = now->host_cpu / MAX(machine_config(vm->machine)->cpus, 1);
    sample.mips = now->guest_mips;
    sample.disk_read = rate(now->disk_read_bytes, before->disk_read_bytes, seconds);
    sample.disk_write = rate(now->disk_write_bytes, before->disk_write_bytes, seconds);
    sample.cd_read = rate(now->cd_read_bytes, before->cd_read_bytes, seconds);
    sample.net_rx = rate(now->net_rx_bytes, before->net_rx_bytes, seconds);
    sample.net_tx = rate(now->net_tx_bytes, before->net_tx_bytes, seconds);
    sample.translations = rate(now->code.translated, before->code.translated, seconds);
    sample.slow_accesses = rate(now->code.slow, before->code.slow, seconds);
    vm->last_statistics_us = time;
    if (vm->n_samples == APIARY_VM_HISTORY)
        memmove(vm->samples, vm->samples + 1, sizeof(sample) * (APIARY_VM_HISTORY - 1));
    else
        vm->n_samples++;
    vm->samples[vm->n_samples - 1] = sample;
    g_signal_emit(vm, signals[STATISTICS], 0);
}

static void tell_why_it_stopped(ApiaryVm *vm)
{
    switch (vm->cause) {
    case CAUSE_GUEST_POWEROFF:
        apiary_vm_message(vm, GTK_MESSAGE_INFO, _("The guest has powered the machine off."));
        break;
    case CAUSE_GUEST_RESET:
        apiary_vm_message(vm, GTK_MESSAGE_INFO,
                          _("The guest wanted to restart, and the machine is set to stop then."));
        break;
    case CAUSE_TRIPLE_FAULT:
        apiary_vm_message(vm, GTK_MESSAGE_WARNING,
                          _("The guest's CPU gave up (triple fault), and the machine is off."));
        break;
    case CAUSE_DEBUG_EXIT: {
        g_autofree char *text =
            g_strdup_printf(_("The guest ended with exit status %d."), vm->exit_status);
        apiary_vm_message(vm, GTK_MESSAGE_INFO, text);
        break;
    }
    case CAUSE_ERROR:
        if (vm->detail)
            apiary_vm_message(vm, GTK_MESSAGE_ERROR, vm->detail);
        break;
    case CAUSE_DEBUGGER:
    case CAUSE_USER:
    case CAUSE_NONE: break;
    }
}

static void set_state(ApiaryVm *vm, const MachineEvent *event)
{
    bool was_on = vm->state != MACHINE_OFF;

    vm->state = event->state;
    vm->cause = event->cause;
    vm->exit_status = event->exit_status;
    g_free(vm->detail);
    vm->detail = g_strdup(event->text);
    if (event->state == MACHINE_RUNNING || event->state == MACHINE_PAUSED) {
        apiary_serial_link_connect(vm->serial);
        apiary_vm_network_refresh(vm, NULL, NULL);
        apiary_vm_remote_refresh(vm);
    }
    if (event->state == MACHINE_OFF) {
        apiary_serial_link_disconnect(vm->serial);
        apiary_vm_network_end(vm->network);
        apiary_vm_remote_end(vm->remote);
        g_hash_table_remove_all(vm->media);
        g_hash_table_remove_all(vm->open_trays);
        vm->absolute = false;
        apiary_vm_update_thumbnail(vm);
        if (vm->thumbnail && vm->config->folder)
            apiary_thumbnail_save(vm->thumbnail, vm->config->folder);
    }
    g_signal_emit(vm, signals[CHANGED], 0);
    if (event->state == MACHINE_OFF && was_on) {
        tell_why_it_stopped(vm);
        g_signal_emit(vm, signals[STOPPED], 0);
    }
}

static void on_event(void *opaque, const MachineEvent *event)
{
    g_autoptr(ApiaryVm) vm = g_object_ref(opaque);

    switch (event->type) {
    case EVENT_STATE: set_state(vm, event); break;
    case EVENT_DISPLAY_MODE:
        g_signal_emit(vm, signals[DISPLAY], 0, event->width, event->height);
        break;
    case EVENT_POINTER_MODE:
        vm->absolute = event->flag;
        g_signal_emit(vm, signals[CHANGED], 0);
        break;
    case EVENT_MEDIUM:
        g_hash_table_replace(vm->media, g_strdup(event->text), g_strdup(event->text2));
        g_signal_emit(vm, signals[CHANGED], 0);
        break;
    case EVENT_NETWORK: apiary_vm_network_refresh(vm, NULL, NULL); break;
    case EVENT_TRAY:
        if (event->flag)
            g_hash_table_add(vm->open_trays, g_strdup(event->text));
        else
            g_hash_table_remove(vm->open_trays, event->text);
        g_signal_emit(vm, signals[CHANGED], 0);
        break;
    case EVENT_STATISTICS: add_sample(vm, &event->statistics); break;
    case EVENT_RESET:
        if (event->cause == CAUSE_TRIPLE_FAULT)
            apiary_vm_message(
                vm, GTK_MESSAGE_WARNING,
                _("The guest's CPU gave up (triple fault), and the machine was reset."));
        break;
    case EVENT_ERROR: {
        g_autofree char *text = g_strdup_printf("%s: %s", event->text, event->text2);
        apiary_vm_message(vm, GTK_MESSAGE_ERROR, text);
        break;
    }
    case EVENT_VNC:
    case EVENT_VNC_SERVER: apiary_vm_remote_refresh(vm); break;
    case EVENT_POWER_BUTTON:
    case EVENT_KEYBOARD_LEDS: break;
    }
}

/* --- commands --------------------------------------------------------------------------------- */

Machine *apiary_vm_ensure_machine(ApiaryVm *vm)
{
    if (!vm->machine) {
        vm->machine = machine_new(vm->config);
        vm->listener = machine_listen(vm->machine, on_event, vm);
    }
    return vm->machine;
}

static void on_reply(void *opaque, const char *text, const GError *error)
{
    g_autoptr(ApiaryVm) vm = opaque;

    if (error)
        apiary_vm_message(vm, GTK_MESSAGE_ERROR, error->message);
}

static void on_started(void *opaque, const char *text, const GError *error)
{
    /* The event of the state has told a failure already. */
    g_object_unref(opaque);
}

void apiary_vm_start(ApiaryVm *vm)
{
    g_autoptr(MachineConfig) config = config_copy(vm->config);
    g_autoptr(GError) error = NULL;

    if (vm->state != MACHINE_OFF)
        return;
    if (!config_validate(config, &error)) {
        apiary_vm_message(vm, GTK_MESSAGE_ERROR, error->message);
        return;
    }
    apiary_serial_link_prepare(vm->serial, config);
    apiary_vm_ensure_machine(vm);
    if (!machine_set_config(vm->machine, config, &error)) {
        apiary_vm_message(vm, GTK_MESSAGE_ERROR, error->message);
        return;
    }
    vm->n_samples = 0;
    vm->last_statistics_us = g_get_monotonic_time();
    /* Shown at once, so that a second click does not start it twice. */
    vm->state = MACHINE_STARTING;
    vm->cause = CAUSE_USER;
    g_signal_emit(vm, signals[CHANGED], 0);
    machine_send(vm->machine, &(MachineCommand){.type = COMMAND_START}, on_started,
                 g_object_ref(vm));
}

void apiary_vm_send(ApiaryVm *vm, MachineCommandType command)
{
    if (vm->machine)
        machine_send(vm->machine, &(MachineCommand){.type = command}, on_reply, g_object_ref(vm));
}

void apiary_vm_send_key(ApiaryVm *vm, unsigned evdev_code, bool down)
{
    if (apiary_vm_is_on(vm))
        machine_send(
            vm->machine,
            &(MachineCommand){.type = COMMAND_KEY, .key = {.code = evdev_code, .down = down}}, NULL,
            NULL);
}

void apiary_vm_send_pointer(ApiaryVm *vm, bool absolute, int x, int y, int wheel, unsigned buttons)
{
    if (apiary_vm_is_on(vm))
        machine_send(
            vm->machine,
            &(MachineCommand){.type = absolute ? COMMAND_POINTER_POSITION : COMMAND_POINTER_MOTION,
                              .pointer = {.x = x, .y = y, .wheel = wheel, .buttons = buttons}},
            NULL, NULL);
}

void apiary_vm_change_medium(ApiaryVm *vm, const char *id, const char *path, bool force)
{
    DriveConfig *drive = config_find_drive(vm->config, id);
    const MachineConfig *running = apiary_vm_get_running_config(vm);

    if (drive) {
        char *copy = g_strdup(path);
        g_free(drive->file);
        drive->file = copy;
        g_clear_pointer(&drive->format, g_free);
    }
    if (running && config_find_drive(running, id))
        machine_send(vm->machine,
                     &(MachineCommand){.type = path ? COMMAND_INSERT_MEDIUM : COMMAND_EJECT_MEDIUM,
                                       .text = {id, path},
                                       .flag = force},
                     on_reply, g_object_ref(vm));
    g_signal_emit(vm, signals[CHANGED], 0);
}

typedef struct {
    ApiaryVm *vm;
    char *path;
} Screenshot;

static void on_screenshot(void *opaque, const char *text, const GError *error)
{
    Screenshot *shot = opaque;

    if (error) {
        apiary_vm_message(shot->vm, GTK_MESSAGE_ERROR, error->message);
    } else {
        g_autofree char *said = g_strdup_printf(_("The screen was saved as “%s”."), shot->path);
        apiary_vm_message(shot->vm, GTK_MESSAGE_INFO, said);
    }
    g_object_unref(shot->vm);
    g_free(shot->path);
    g_free(shot);
}

void apiary_vm_screenshot(ApiaryVm *vm, const char *path)
{
    Screenshot *shot;

    if (!vm->machine)
        return;
    shot = g_new0(Screenshot, 1);
    shot->vm = g_object_ref(vm);
    shot->path = g_strdup(path);
    machine_send(vm->machine, &(MachineCommand){.type = COMMAND_SCREENSHOT, .text = {path, "png"}},
                 on_screenshot, shot);
}

/* --- pictures, numbers, the serial line ------------------------------------------------------- */

const ApiaryVmSample *apiary_vm_get_samples(ApiaryVm *vm, unsigned *n)
{
    *n = vm->n_samples;
    return vm->samples;
}

cairo_surface_t *apiary_vm_get_thumbnail(ApiaryVm *vm)
{
    if (!vm->thumbnail && vm->config->folder)
        vm->thumbnail = apiary_thumbnail_load(vm->config->folder);
    return vm->thumbnail;
}

void apiary_vm_update_thumbnail(ApiaryVm *vm)
{
    cairo_surface_t *fresh =
        vm->machine ? apiary_thumbnail_take(machine_display(vm->machine)) : NULL;

    if (!fresh)
        return;
    if (vm->thumbnail)
        cairo_surface_destroy(vm->thumbnail);
    vm->thumbnail = fresh;
}

GByteArray *apiary_vm_get_serial_history(ApiaryVm *vm)
{
    return apiary_serial_link_get_history(vm->serial);
}

bool apiary_vm_has_serial(ApiaryVm *vm)
{
    return vm->config->serials->len == 0;
}

bool apiary_vm_has_serial_now(ApiaryVm *vm)
{
    return apiary_vm_is_on(vm) && apiary_serial_link_is_used(vm->serial);
}

void apiary_vm_write_serial(ApiaryVm *vm, const char *data, size_t length)
{
    apiary_serial_link_write(vm->serial, data, length);
}

static void on_serial_data(void *opaque, const uint8_t *data, size_t length)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, length);

    g_signal_emit(opaque, signals[SERIAL], 0, bytes);
}

/* --- class ------------------------------------------------------------------------------------ */

ApiaryVm *apiary_vm_new(MachineConfig *config)
{
    ApiaryVm *vm = g_object_new(APIARY_TYPE_VM, NULL);

    vm->config = config;
    return vm;
}

static void apiary_vm_finalize(GObject *object)
{
    ApiaryVm *vm = APIARY_VM(object);

    if (vm->machine) {
        machine_unlisten(vm->machine, vm->listener);
        machine_free(vm->machine);
    }
    apiary_serial_link_free(vm->serial);
    apiary_vm_network_free(vm->network);
    apiary_vm_remote_free(vm->remote);
    g_hash_table_unref(vm->media);
    g_hash_table_unref(vm->open_trays);
    g_clear_pointer(&vm->thumbnail, cairo_surface_destroy);
    g_free(vm->detail);
    config_free(vm->config);
    G_OBJECT_CLASS(apiary_vm_parent_class)->finalize(object);
}

static void apiary_vm_init(ApiaryVm *vm)
{
    vm->media = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    vm->open_trays = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    vm->serial = apiary_serial_link_new(on_serial_data, vm);
    vm->network = apiary_vm_network_new();
    vm->remote = apiary_vm_remote_new();
}

static void apiary_vm_class_init(ApiaryVmClass *klass)
{
    GType type = G_TYPE_FROM_CLASS(klass);

    G_OBJECT_CLASS(klass)->finalize = apiary_vm_finalize;
    signals[CHANGED] =
        g_signal_new("changed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[STATISTICS] =
        g_signal_new("statistics", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[MESSAGE] = g_signal_new("message", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                    G_TYPE_NONE, 2, G_TYPE_INT, G_TYPE_STRING);
    signals[STOPPED] =
        g_signal_new("stopped", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[DISPLAY] = g_signal_new("display", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                    G_TYPE_NONE, 2, G_TYPE_INT, G_TYPE_INT);
    signals[SERIAL] = g_signal_new("serial", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                   G_TYPE_NONE, 1, G_TYPE_BYTES);
}
