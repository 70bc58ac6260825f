/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/machine.h"

#include "core/machine/input.h"
#include "core/machine/monitor.h"
#include "core/machine/network-commands.h"
#include "core/machine/pc-network.h"
#include "core/machine/pc.h"
#include "core/machine/query.h"
#include "core/remote/gdb.h"
#include "core/remote/vnc.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <sys/resource.h>

typedef struct {
    unsigned id;
    MachineListener func;
    void *opaque;
    GMainContext *context;
    gint dead; /* atomic */
    gint references;
} Listener;

struct Machine {
    GMainContext *context;
    GMainLoop *loop;
    GThread *thread;
    Display *display;
    VncServer *vnc;
    GdbServer *gdb; /* on the board thread */

    GMutex lock; /* guards what follows */
    MachineConfig *config;
    MachineState state;
    MachineCause cause; /* of the state */
    GList *listeners;
    unsigned next_listener;

    /* Board thread only. */
    Pc *pc;
    GSource *refresh, *statistics;
    int64_t last_cpu_time, last_wall_time;
    uint64_t last_instructions, last_exits;
    bool resume_after_reset;

    /* What the guest asked for; set with the board lock held, taken on the board thread. */
    gint reset_pending, power_off_pending, exit_pending;
    int exit_status;
    bool reset_is_triple_fault;
};

typedef struct {
    Machine *machine;
    MachineCommand command;
    char *text[2];
    MachineReply reply;
    void *opaque;
    GMainContext *reply_context;
    char *reply_text;
    GError *error;
} Pending;

const char *machine_cause_text(MachineCause cause)
{
    switch (cause) {
    case CAUSE_USER: return _("by your command");
    case CAUSE_GUEST_POWEROFF: return _("the guest powered off");
    case CAUSE_GUEST_RESET: return _("the guest restarted");
    case CAUSE_TRIPLE_FAULT: return _("the guest's CPU gave up (triple fault)");
    case CAUSE_DEBUG_EXIT: return _("the guest ended the test (isa-debug-exit)");
    case CAUSE_DEBUGGER: return _("by the debugger");
    case CAUSE_ERROR: return _("an error");
    case CAUSE_NONE: break;
    }
    return "";
}

/* --- events ----------------------------------------------------------------------------------- */

typedef struct {
    Listener *listener;
    MachineEvent event;
    char *text, *text2;
} Delivery;

static void listener_unref(Listener *listener)
{
    if (!g_atomic_int_dec_and_test(&listener->references))
        return;
    g_main_context_unref(listener->context);
    g_free(listener);
}

static gboolean deliver(gpointer data)
{
    Delivery *delivery = data;

    if (!g_atomic_int_get(&delivery->listener->dead))
        delivery->listener->func(delivery->listener->opaque, &delivery->event);
    return G_SOURCE_REMOVE;
}

static void delivery_free(gpointer data)
{
    Delivery *delivery = data;

    listener_unref(delivery->listener);
    g_free(delivery->text);
    g_free(delivery->text2);
    g_free(delivery);
}

static void run_in(GMainContext *context, GSourceFunc func, gpointer data, GDestroyNotify free)
{
    GSource *source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, func, data, free);
    g_source_attach(source, context);
    g_source_unref(source);
}

static void emit(Machine *machine, const MachineEvent *event)
{
    g_mutex_lock(&machine->lock);
    for (GList *l = machine->listeners; l; l = l->next) {
        Delivery *delivery = g_new0(Delivery, 1);
        delivery->listener = l->data;
        g_atomic_int_inc(&delivery->listener->references);
        delivery->event = *event;
        delivery->event.text = delivery->text = g_strdup(event->text);
        delivery->event.text2 = delivery->text2 = g_strdup(event->text2);
        run_in(delivery->listener->context, deliver, delivery, delivery_free);
    }
    g_mutex_unlock(&machine->lock);
}

static void set_state(Machine *machine, MachineState state, MachineCause cause, const char *text,
                      int exit_status)
{
    g_mutex_lock(&machine->lock);
    machine->state = state;
    machine->cause = cause;
    g_mutex_unlock(&machine->lock);
    emit(machine, &(MachineEvent){.type = EVENT_STATE,
                                  .state = state,
                                  .cause = cause,
                                  .text = text,
                                  .exit_status = exit_status});
}

unsigned machine_listen(Machine *machine, MachineListener func, void *opaque)
{
    Listener *listener = g_new0(Listener, 1);

    listener->func = func;
    listener->opaque = opaque;
    listener->context = g_main_context_ref_thread_default();
    listener->references = 1;
    g_mutex_lock(&machine->lock);
    listener->id = ++machine->next_listener;
    machine->listeners = g_list_append(machine->listeners, listener);
    g_mutex_unlock(&machine->lock);
    return listener->id;
}

void machine_unlisten(Machine *machine, unsigned id)
{
    g_mutex_lock(&machine->lock);
    for (GList *l = machine->listeners; l; l = l->next) {
        Listener *listener = l->data;
        if (listener->id != id)
            continue;
        g_atomic_int_set(&listener->dead, 1);
        machine->listeners = g_list_delete_link(machine->listeners, l);
        listener_unref(listener);
        break;
    }
    g_mutex_unlock(&machine->lock);
}

/* --- what the guest asks for --------------------------------------------------------------------
 */

static void stop_machine(Machine *machine, MachineCause cause, const char *text, int exit_status);
static void start_ticking(Machine *machine);

static void pause_machine(Machine *machine, MachineCause cause)
{
    pc_pause(machine->pc);
    set_state(machine, MACHINE_PAUSED, cause, NULL, 0);
    gdb_server_stopped(machine->gdb, cause, -1, NULL);
}

static void resume_machine(Machine *machine)
{
    if (machine->state != MACHINE_PAUSED)
        return;
    pc_resume(machine->pc);
    set_state(machine, MACHINE_RUNNING, CAUSE_USER, NULL, 0);
}

static gboolean take_guest_requests(gpointer data)
{
    Machine *machine = data;

    if (!machine->pc)
        return G_SOURCE_REMOVE;
    if (g_atomic_int_compare_and_exchange(&machine->exit_pending, 1, 0)) {
        stop_machine(machine, CAUSE_DEBUG_EXIT, NULL, machine->exit_status);
    } else if (g_atomic_int_compare_and_exchange(&machine->power_off_pending, 1, 0)) {
        if (machine->config->no_shutdown) {
            pause_machine(machine, CAUSE_GUEST_POWEROFF);
        } else {
            stop_machine(machine, CAUSE_GUEST_POWEROFF, NULL, 0);
        }
    } else if (g_atomic_int_compare_and_exchange(&machine->reset_pending, 1, 0)) {
        MachineCause cause =
            machine->reset_is_triple_fault ? CAUSE_TRIPLE_FAULT : CAUSE_GUEST_RESET;
        if (machine->config->no_reboot) {
            stop_machine(machine, cause, NULL, 0);
        } else {
            pc_reset(machine->pc);
            emit(machine, &(MachineEvent){.type = EVENT_RESET, .cause = cause});
            if (machine->state == MACHINE_RUNNING)
                pc_resume(machine->pc);
        }
    }
    return G_SOURCE_REMOVE;
}

static void on_reset_requested(void *opaque, bool triple_fault)
{
    Machine *machine = opaque;

    machine->reset_is_triple_fault = triple_fault;
    g_atomic_int_set(&machine->reset_pending, 1);
    run_in(machine->context, take_guest_requests, machine, NULL);
}

static void on_power_off_requested(void *opaque)
{
    Machine *machine = opaque;

    g_atomic_int_set(&machine->power_off_pending, 1);
    run_in(machine->context, take_guest_requests, machine, NULL);
}

static void on_exit_requested(void *opaque, int status)
{
    Machine *machine = opaque;

    machine->exit_status = status;
    g_atomic_int_set(&machine->exit_pending, 1);
    run_in(machine->context, take_guest_requests, machine, NULL);
}

static void on_error(void *opaque, const char *source, const char *message)
{
    emit(opaque, &(MachineEvent){.type = EVENT_ERROR, .text = source, .text2 = message});
}

static void on_medium_changed(void *opaque, const char *drive, const char *path)
{
    emit(opaque, &(MachineEvent){.type = EVENT_MEDIUM, .text = drive, .text2 = path});
}

static void on_tray_moved(void *opaque, const char *drive, bool open)
{
    emit(opaque, &(MachineEvent){.type = EVENT_TRAY, .text = drive, .flag = open});
}

static void on_pointer_mode(void *opaque, bool absolute)
{
    Machine *machine = opaque;

    vnc_server_set_absolute(machine->vnc, absolute);
    emit(machine, &(MachineEvent){.type = EVENT_POINTER_MODE, .flag = absolute});
}

static void on_network_changed(void *opaque)
{
    emit(opaque, &(MachineEvent){.type = EVENT_NETWORK});
}

static gboolean take_debug_stop(gpointer data)
{
    Machine *machine = data;
    DebugStop stop;

    /* While the machine is paused the vCPU keeps what it has to tell; or it was told with another
     * vCPU's. */
    if (!machine->pc || machine->state != MACHINE_RUNNING || !pc_has_debug_stop(machine->pc))
        return G_SOURCE_REMOVE;
    pc_pause(machine->pc);
    int cpu = pc_take_debug_stop(machine->pc, &stop);
    set_state(machine, MACHINE_PAUSED, CAUSE_DEBUGGER, NULL, 0);
    gdb_server_stopped(machine->gdb, CAUSE_DEBUGGER, cpu, &stop);
    return G_SOURCE_REMOVE;
}

static void on_debug_stopped(void *opaque)
{
    Machine *machine = opaque;

    run_in(machine->context, take_debug_stop, machine, NULL);
}

static const PcOps pc_ops = {
    .reset_requested = on_reset_requested,
    .power_off_requested = on_power_off_requested,
    .exit_requested = on_exit_requested,
    .error = on_error,
    .medium_changed = on_medium_changed,
    .tray_moved = on_tray_moved,
    .pointer_mode = on_pointer_mode,
    .network_changed = on_network_changed,
    .debug_stopped = on_debug_stopped,
};

/* --- ticking: the picture and the statistics ----------------------------------------------------
 */

/* The video device says when looking again is worthwhile. */
static gboolean refresh(gpointer data)
{
    Machine *machine = data;
    Board *board = pc_board(machine->pc);

    board_lock(board);
    int wait_ms = display_refresh(machine->display);
    board_unlock(board);
    g_source_set_ready_time(machine->refresh, g_get_monotonic_time() + wait_ms * 1000);
    return G_SOURCE_CONTINUE;
}

static gboolean dispatch_refresh(GSource *source, GSourceFunc func, gpointer data)
{
    return func(data);
}

static GSourceFuncs refresh_funcs = {.dispatch = dispatch_refresh};

static int64_t process_cpu_time(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static gboolean send_statistics(gpointer data)
{
    Machine *machine = data;
    MachineEvent event = {.type = EVENT_STATISTICS};
    MachineStatistics *s = &event.statistics;
    Board *board = pc_board(machine->pc);
    int64_t cpu = process_cpu_time(), wall = g_get_monotonic_time();
    uint64_t instructions = pc_guest_instructions(machine->pc), exits = pc_exits(machine->pc);
    PcDrive drive;

    double elapsed = MAX(wall - machine->last_wall_time, 1);
    s->host_cpu = (cpu - machine->last_cpu_time) / elapsed;
    s->guest_mips = (instructions - machine->last_instructions) / elapsed;
    s->exits = exits - machine->last_exits;
    machine->last_cpu_time = cpu;
    machine->last_wall_time = wall;
    machine->last_instructions = instructions;
    machine->last_exits = exits;

    board_lock(board);
    for (unsigned i = 0; pc_drive(machine->pc, i, &drive); i++) {
        if (!drive.image)
            continue;
        BlockStatistics block = block_image_statistics(drive.image);
        if (drive.kind == DRIVE_IDE_CD) {
            s->cd_read_bytes += block.read_bytes;
        } else {
            s->disk_read_bytes += block.read_bytes;
            s->disk_write_bytes += block.write_bytes;
        }
    }
    NetStatistics net = pc_network_statistics(machine->pc);
    s->net_rx_bytes = net.rx_bytes;
    s->net_tx_bytes = net.tx_bytes;
    board_unlock(board);
    emit(machine, &event);
    return G_SOURCE_CONTINUE;
}

static void start_ticking(Machine *machine)
{
    machine->refresh = g_source_new(&refresh_funcs, sizeof(GSource));
    g_source_set_callback(machine->refresh, refresh, machine, NULL);
    g_source_set_ready_time(machine->refresh, 0);
    g_source_attach(machine->refresh, machine->context);

    machine->statistics = g_timeout_source_new(1000);
    g_source_set_callback(machine->statistics, send_statistics, machine, NULL);
    g_source_attach(machine->statistics, machine->context);
    machine->last_cpu_time = process_cpu_time();
    machine->last_wall_time = g_get_monotonic_time();
}

static void stop_ticking(Machine *machine)
{
    GSource **sources[] = {&machine->refresh, &machine->statistics};

    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
        if (!*sources[i])
            continue;
        g_source_destroy(*sources[i]);
        g_clear_pointer(sources[i], g_source_unref);
    }
}

/* --- commands -----------------------------------------------------------------------------------
 */

/* A password is for one run: the next one has its configuration's, or none. */
static void close_vnc(Machine *machine)
{
    vnc_server_close(machine->vnc);
    vnc_server_set_absolute(machine->vnc, false);
    vnc_server_set_password(machine->vnc, NULL, NULL);
    vnc_server_expire_password(machine->vnc, "never", NULL);
}

static void stop_machine(Machine *machine, MachineCause cause, const char *text, int exit_status)
{
    if (!machine->pc)
        return;
    set_state(machine, MACHINE_STOPPING, cause, text, exit_status);
    stop_ticking(machine);
    pc_pause(machine->pc);
    gdb_server_end(machine->gdb, exit_status);
    /* The last words of the guest belong on the screen. */
    board_lock(pc_board(machine->pc));
    display_refresh(machine->display);
    board_unlock(pc_board(machine->pc));
    g_clear_pointer(&machine->pc, pc_free);
    gdb_server_close(machine->gdb);
    close_vnc(machine);
    machine->reset_pending = machine->power_off_pending = machine->exit_pending = 0;
    set_state(machine, MACHINE_OFF, cause, text, exit_status);
}

static bool start_vnc(Machine *machine, GError **error)
{
    const MachineConfig *config = machine->config;

    if (!config->vnc)
        return true;
    return (!config->vnc_password ||
            vnc_server_set_password(machine->vnc, config->vnc_password, error)) &&
           vnc_server_open(machine->vnc, config->vnc, config->name, error);
}

static void start_machine(Machine *machine, GError **error)
{
    if (machine->pc) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, _("The machine is already running."));
        return;
    }
    set_state(machine, MACHINE_STARTING, CAUSE_USER, NULL, 0);
    GError *local = NULL;
    if (start_vnc(machine, &local) &&
        (!machine->config->gdb || gdb_server_open(machine->gdb, machine->config->gdb, &local)))
        machine->pc =
            pc_new(machine->config, machine->context, machine->display, &pc_ops, machine, &local);
    if (!machine->pc) {
        gdb_server_close(machine->gdb);
        vnc_server_close(machine->vnc);
        set_state(machine, MACHINE_OFF, CAUSE_ERROR, local->message, 0);
        g_propagate_error(error, local);
        return;
    }
    machine->last_instructions = machine->last_exits = 0;
    start_ticking(machine);
    bool debugged = gdb_server_begin(machine->gdb, machine->pc);
    if (machine->config->start_paused || debugged) {
        set_state(machine, MACHINE_PAUSED, CAUSE_NONE, NULL, 0);
    } else {
        pc_resume(machine->pc);
        set_state(machine, MACHINE_RUNNING, CAUSE_USER, NULL, 0);
    }
}

/* The end of guest-physical memory: of RAM, and of the ROM and devices below 4 GiB. */
static bool check_memory_range(Machine *machine, const MachineCommand *command, GError **error)
{
    uint64_t end = (4ull << 30) + pc_board(machine->pc)->ram_above_4g;

    if (command->length <= end && (!command->flag || command->address <= end - command->length))
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                "0x%" G_GINT64_MODIFIER "x bytes at 0x%" G_GINT64_MODIFIER
                "x are more than the machine's memory, which ends at 0x%" G_GINT64_MODIFIER "x.",
                command->length, command->address, end);
    return false;
}

static bool write_memory(Machine *machine, const MachineCommand *command, GOutputStream *stream,
                         GError **error)
{
    Board *board = pc_board(machine->pc);
    uint8_t chunk[4096];

    for (uint64_t done = 0; done < command->length;) {
        uint64_t address = command->address + done, physical = address;
        size_t n = MIN(command->length - done, 4096 - (address & 4095));
        if (!command->flag && !monitor_translate(machine->pc, command->cpu, address, &physical)) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                        _("Address 0x%" PRIx64 " is not mapped on CPU %u."), address, command->cpu);
            return false;
        }
        board_lock(board);
        memory_read(board->memory, physical, chunk, n);
        board_unlock(board);
        if (!g_output_stream_write_all(stream, chunk, n, NULL, NULL, error))
            return false;
        done += n;
    }
    return true;
}

static bool save_memory(Machine *machine, const MachineCommand *command, GError **error)
{
    g_autoptr(GFile) file = g_file_new_for_path(command->text[0]);

    if (!check_memory_range(machine, command, error))
        return false;
    g_autoptr(GFileOutputStream) stream =
        g_file_replace(file, NULL, FALSE, G_FILE_CREATE_NONE, NULL, error);
    if (!stream)
        return false;
    if (write_memory(machine, command, G_OUTPUT_STREAM(stream), error))
        return g_output_stream_close(G_OUTPUT_STREAM(stream), NULL, error);
    /* Closing with a cancelled operation leaves what was there before. */
    g_autoptr(GCancellable) cancelled = g_cancellable_new();
    g_cancellable_cancel(cancelled);
    g_output_stream_close(G_OUTPUT_STREAM(stream), cancelled, NULL);
    return false;
}

static void handle_input(Machine *machine, const MachineCommand *command)
{
    Board *board = pc_board(machine->pc);

    board_lock(board);
    if (command->type == COMMAND_KEY)
        input_key(board->input, command->key.code, command->key.down);
    else if (command->type == COMMAND_POINTER_MOTION)
        input_motion(board->input, command->pointer.x, command->pointer.y, command->pointer.wheel,
                     command->pointer.buttons);
    else
        input_position(board->input, command->pointer.x, command->pointer.y, command->pointer.wheel,
                       command->pointer.buttons);
    board_unlock(board);
}

/* --- the debugger -------------------------------------------------------------------------------
 */

static void on_gdb_pause(void *opaque)
{
    Machine *machine = opaque;

    if (machine->state == MACHINE_RUNNING)
        pause_machine(machine, CAUSE_USER);
}

static void on_gdb_resume(void *opaque)
{
    resume_machine(opaque);
}

static void on_gdb_resume_some(void *opaque, const PcRun *runs, bool hold_interrupts,
                               bool hold_timers)
{
    Machine *machine = opaque;

    if (machine->state == MACHINE_RUNNING)
        pc_pause(machine->pc); /* somebody else let it go on */
    else
        set_state(machine, MACHINE_RUNNING, CAUSE_USER, NULL, 0);
    pc_resume_some(machine->pc, runs, hold_interrupts, hold_timers);
}

static void on_gdb_kill(void *opaque)
{
    machine_send(opaque, &(MachineCommand){.type = COMMAND_STOP}, NULL, NULL);
}

static char *on_gdb_monitor(void *opaque, const char *line)
{
    Machine *machine = opaque;

    return monitor_run(machine, machine->pc, line);
}

static const GdbOps gdb_ops = {
    .pause = on_gdb_pause,
    .resume = on_gdb_resume,
    .resume_some = on_gdb_resume_some,
    .kill = on_gdb_kill,
    .monitor = on_gdb_monitor,
};

static gboolean take_vnc_input(gpointer data)
{
    Machine *machine = data;
    MachineCommand command;

    while (vnc_server_take_input(machine->vnc, &command))
        if (machine->pc)
            handle_input(machine, &command);
    return G_SOURCE_REMOVE;
}

static void on_vnc_input(void *opaque)
{
    Machine *machine = opaque;

    run_in(machine->context, take_vnc_input, machine, NULL);
}

static void on_vnc_event(void *opaque, const char *name, const char *data)
{
    emit(opaque, &(MachineEvent){.type = EVENT_VNC, .text = name, .text2 = data});
}

static void on_vnc_changed(void *opaque)
{
    emit(opaque, &(MachineEvent){.type = EVENT_VNC_SERVER});
}

static const VncOps vnc_ops = {
    .input = on_vnc_input, .event = on_vnc_event, .changed = on_vnc_changed};

/* What can be asked of the VNC server also while the machine is off. False: something else. */
static bool run_vnc_command(Machine *machine, Pending *pending)
{
    const MachineCommand *command = &pending->command;
    GError **error = &pending->error;

    if (command->type == COMMAND_VNC_PASSWORD)
        vnc_server_set_password(machine->vnc, command->text[0], error);
    else if (command->type == COMMAND_VNC_EXPIRE)
        vnc_server_expire_password(machine->vnc, command->text[0], error);
    else if (command->type == COMMAND_QUERY && g_str_equal(command->text[0], "vnc"))
        pending->reply_text = vnc_server_query(machine->vnc);
    else if (command->type == COMMAND_QUERY && g_str_equal(command->text[0], "vnc-clients"))
        pending->reply_text = vnc_server_query_clients(machine->vnc);
    else if (command->type == COMMAND_VNC_DISCONNECT)
        vnc_server_disconnect(machine->vnc, command->address, error);
    else
        return false;
    return true;
}

static void run_command(Machine *machine, Pending *pending)
{
    const MachineCommand *command = &pending->command;
    GError **error = &pending->error;

    if (command->type == COMMAND_START) {
        start_machine(machine, error);
        return;
    }
    if (command->type == COMMAND_SCREENSHOT) {
        display_save(machine->display, command->text[0],
                     command->text[1] ? command->text[1] : "png", error);
        return;
    }
    if (run_vnc_command(machine, pending))
        return;
    if (!machine->pc) {
        if (command->type != COMMAND_STOP)
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, _("The machine is off."));
        return;
    }
    Board *board = pc_board(machine->pc);
    switch (command->type) {
    case COMMAND_PAUSE:
        if (machine->state == MACHINE_RUNNING)
            pause_machine(machine, CAUSE_USER);
        break;
    case COMMAND_RESUME: resume_machine(machine); break;
    case COMMAND_RESET:
        pc_reset(machine->pc);
        emit(machine, &(MachineEvent){.type = EVENT_RESET, .cause = CAUSE_USER});
        if (machine->state == MACHINE_RUNNING)
            pc_resume(machine->pc);
        break;
    case COMMAND_POWER_BUTTON:
        board_lock(board);
        pc_power_button(machine->pc);
        board_unlock(board);
        emit(machine, &(MachineEvent){.type = EVENT_POWER_BUTTON});
        break;
    case COMMAND_STOP: stop_machine(machine, CAUSE_USER, NULL, 0); break;
    case COMMAND_KEY:
    case COMMAND_POINTER_MOTION:
    case COMMAND_POINTER_POSITION: handle_input(machine, command); break;
    case COMMAND_INSERT_MEDIUM:
        pc_change_medium(machine->pc, command->text[0], command->text[1], command->flag, error);
        break;
    case COMMAND_EJECT_MEDIUM:
        board_lock(board);
        pc_eject_medium(machine->pc, command->text[0], command->flag, error);
        board_unlock(board);
        break;
    case COMMAND_NMI: pc_nmi(machine->pc); break;
    case COMMAND_MONITOR:
        pending->reply_text = monitor_run(machine, machine->pc, command->text[0]);
        break;
    case COMMAND_QUERY: pending->reply_text = query_run(machine->pc, command->text[0]); break;
    case COMMAND_MEMORY_SAVE: save_memory(machine, command, error); break;
    case COMMAND_FORWARD_ADD:
    case COMMAND_FORWARD_REMOVE:
    case COMMAND_SET_LINK:
    case COMMAND_OBJECT_ADD:
    case COMMAND_OBJECT_DELETE:
    case COMMAND_CAPTURE_START:
        network_command_run(machine->pc, command, &pending->reply_text, error);
        break;
    case COMMAND_VNC_OPEN:
        vnc_server_open(machine->vnc, command->text[0], machine->config->name, error);
        break;
    case COMMAND_VNC_PASSWORD:
    case COMMAND_VNC_EXPIRE:
    case COMMAND_VNC_DISCONNECT:
    case COMMAND_START:
    case COMMAND_SCREENSHOT: break;
    }
}

static gboolean deliver_reply(gpointer data)
{
    Pending *pending = data;

    pending->reply(pending->opaque, pending->reply_text, pending->error);
    return G_SOURCE_REMOVE;
}

static void pending_free(gpointer data)
{
    Pending *pending = data;

    g_main_context_unref(pending->reply_context);
    g_free(pending->text[0]);
    g_free(pending->text[1]);
    g_free(pending->reply_text);
    g_clear_error(&pending->error);
    g_free(pending);
}

static gboolean take_command(gpointer data)
{
    Pending *pending = data;

    run_command(pending->machine, pending);
    if (pending->reply)
        run_in(pending->reply_context, deliver_reply, pending, pending_free);
    else
        pending_free(pending);
    return G_SOURCE_REMOVE;
}

void machine_send(Machine *machine, const MachineCommand *command, MachineReply reply, void *opaque)
{
    Pending *pending = g_new0(Pending, 1);

    pending->machine = machine;
    pending->command = *command;
    for (int i = 0; i < 2; i++)
        pending->command.text[i] = pending->text[i] = g_strdup(command->text[i]);
    pending->reply = reply;
    pending->opaque = opaque;
    pending->reply_context = g_main_context_ref_thread_default();
    run_in(machine->context, take_command, pending, NULL);
}

/* --- life ---------------------------------------------------------------------------------------
 */

static gpointer board_thread(gpointer data)
{
    Machine *machine = data;

    g_main_context_push_thread_default(machine->context);
    g_main_loop_run(machine->loop);
    if (machine->pc)
        stop_machine(machine, CAUSE_USER, NULL, 0);
    /* Commands still queued get their replies. */
    while (g_main_context_iteration(machine->context, FALSE))
        ;
    g_main_context_pop_thread_default(machine->context);
    return NULL;
}

Machine *machine_new(const MachineConfig *config)
{
    Machine *machine = g_new0(Machine, 1);

    machine->config = config_copy(config);
    machine->context = g_main_context_new();
    machine->loop = g_main_loop_new(machine->context, FALSE);
    machine->display = display_new();
    machine->vnc = vnc_server_new(machine->display, &vnc_ops, machine);
    machine->gdb = gdb_server_new(&gdb_ops, machine);
    machine->thread = g_thread_new("board", board_thread, machine);
    return machine;
}

static gboolean quit_loop(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_REMOVE;
}

void machine_free(Machine *machine)
{
    if (!machine)
        return;
    run_in(machine->context, quit_loop, machine->loop, NULL);
    g_thread_join(machine->thread);
    gdb_server_free(machine->gdb);
    vnc_server_free(machine->vnc);
    g_main_loop_unref(machine->loop);
    g_main_context_unref(machine->context);
    while (machine->listeners)
        machine_unlisten(machine, ((Listener *)machine->listeners->data)->id);
    display_free(machine->display);
    config_free(machine->config);
    g_mutex_clear(&machine->lock);
    g_free(machine);
}

MachineState machine_state(Machine *machine)
{
    g_mutex_lock(&machine->lock);
    MachineState state = machine->state;
    g_mutex_unlock(&machine->lock);
    return state;
}

const char *machine_status_text(Machine *machine)
{
    g_mutex_lock(&machine->lock);
    MachineState state = machine->state;
    MachineCause cause = machine->cause;
    g_mutex_unlock(&machine->lock);
    switch (state) {
    case MACHINE_RUNNING: return "running";
    case MACHINE_STARTING: return "prelaunch";
    case MACHINE_PAUSED:
        return cause == CAUSE_NONE             ? "prelaunch"
               : cause == CAUSE_GUEST_POWEROFF ? "shutdown"
               : cause == CAUSE_DEBUGGER       ? "debug"
                                               : "paused";
    case MACHINE_OFF:
    case MACHINE_STOPPING: break;
    }
    return "shutdown";
}

Display *machine_display(Machine *machine)
{
    return machine->display;
}

VncServer *machine_vnc(Machine *machine)
{
    return machine->vnc;
}

GdbServer *machine_gdb(Machine *machine)
{
    return machine->gdb;
}

const MachineConfig *machine_config(Machine *machine)
{
    return machine->config;
}

bool machine_set_config(Machine *machine, const MachineConfig *config, GError **error)
{
    g_mutex_lock(&machine->lock);
    bool off = machine->state == MACHINE_OFF;
    if (off) {
        config_free(machine->config);
        machine->config = config_copy(config);
    }
    g_mutex_unlock(&machine->lock);
    if (!off)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
                    _("The machine is running; its settings change after power-off."));
    return off;
}
