/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/machine-private.h"
#include "core/machine/pc-network.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <sys/resource.h>

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

/* --- what the guest asks for ------------------------------------------------------------------ */

void machine_pause(Machine *machine, MachineCause cause)
{
    pc_pause(machine->pc);
    machine_set_state(machine, MACHINE_PAUSED, cause, NULL, 0);
    gdb_server_stopped(machine->gdb, cause, -1, NULL);
}

void machine_resume(Machine *machine)
{
    if (machine->state != MACHINE_PAUSED)
        return;
    pc_resume(machine->pc);
    machine_set_state(machine, MACHINE_RUNNING, CAUSE_USER, NULL, 0);
}

static gboolean take_guest_requests(gpointer data)
{
    Machine *machine = data;

    if (!machine->pc)
        return G_SOURCE_REMOVE;
    if (g_atomic_int_compare_and_exchange(&machine->exit_pending, 1, 0)) {
        machine_stop(machine, CAUSE_DEBUG_EXIT, NULL, machine->exit_status);
    } else if (g_atomic_int_compare_and_exchange(&machine->power_off_pending, 1, 0)) {
        if (machine->config->no_shutdown) {
            machine_pause(machine, CAUSE_GUEST_POWEROFF);
        } else {
            machine_stop(machine, CAUSE_GUEST_POWEROFF, NULL, 0);
        }
    } else if (g_atomic_int_compare_and_exchange(&machine->reset_pending, 1, 0)) {
        MachineCause cause =
            machine->reset_is_triple_fault ? CAUSE_TRIPLE_FAULT : CAUSE_GUEST_RESET;
        if (machine->config->no_reboot) {
            machine_stop(machine, cause, NULL, 0);
        } else {
            pc_reset(machine->pc);
            machine_emit(machine, &(MachineEvent){.type = EVENT_RESET, .cause = cause});
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
    machine_run_in(machine->context, take_guest_requests, machine, NULL);
}

static void on_power_off_requested(void *opaque)
{
    Machine *machine = opaque;

    g_atomic_int_set(&machine->power_off_pending, 1);
    machine_run_in(machine->context, take_guest_requests, machine, NULL);
}

static void on_exit_requested(void *opaque, int status)
{
    Machine *machine = opaque;

    machine->exit_status = status;
    g_atomic_int_set(&machine->exit_pending, 1);
    machine_run_in(machine->context, take_guest_requests, machine, NULL);
}

static void on_error(void *opaque, const char *source, const char *message)
{
    machine_emit(opaque, &(MachineEvent){.type = EVENT_ERROR, .text = source, .text2 = message});
}

static void on_medium_changed(void *opaque, const char *drive, const char *path)
{
    machine_emit(opaque, &(MachineEvent){.type = EVENT_MEDIUM, .text = drive, .text2 = path});
}

static void on_tray_moved(void *opaque, const char *drive, bool open)
{
    machine_emit(opaque, &(MachineEvent){.type = EVENT_TRAY, .text = drive, .flag = open});
}

static void on_pointer_mode(void *opaque, bool absolute)
{
    Machine *machine = opaque;

    vnc_server_set_absolute(machine->vnc, absolute);
    machine_emit(machine, &(MachineEvent){.type = EVENT_POINTER_MODE, .flag = absolute});
}

static void on_network_changed(void *opaque)
{
    machine_emit(opaque, &(MachineEvent){.type = EVENT_NETWORK});
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
    machine_set_state(machine, MACHINE_PAUSED, CAUSE_DEBUGGER, NULL, 0);
    gdb_server_stopped(machine->gdb, CAUSE_DEBUGGER, cpu, &stop);
    return G_SOURCE_REMOVE;
}

static void on_debug_stopped(void *opaque)
{
    Machine *machine = opaque;

    machine_run_in(machine->context, take_debug_stop, machine, NULL);
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

/* --- ticking: the picture and the statistics -------------------------------------------------- */

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
    JitStatistics jit = pc_jit_statistics(machine->pc);
    s->code.blocks = jit.present;
    s->code.bytes = jit.code_bytes;
    s->code.cache_bytes = jit.cache_bytes;
    s->code.translated = jit.blocks;
    s->code.dropped = jit.flushes + jit.evictions;
    s->code.slow = jit_slow_accesses(&jit);
    NetStatistics net = pc_network_statistics(machine->pc);
    s->net_rx_bytes = net.rx_bytes;
    s->net_tx_bytes = net.tx_bytes;
    board_unlock(board);
    machine_emit(machine, &event);
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

/* --- starting and stopping -------------------------------------------------------------------- */

void machine_stop(Machine *machine, MachineCause cause, const char *text, int exit_status)
{
    if (!machine->pc)
        return;
    machine_set_state(machine, MACHINE_STOPPING, cause, text, exit_status);
    stop_ticking(machine);
    pc_pause(machine->pc);
    gdb_server_end(machine->gdb, exit_status);
    /* The last words of the guest belong on the screen. */
    board_lock(pc_board(machine->pc));
    display_refresh(machine->display);
    board_unlock(pc_board(machine->pc));
    g_clear_pointer(&machine->pc, pc_free);
    machine_remote_close(machine);
    machine->reset_pending = machine->power_off_pending = machine->exit_pending = 0;
    machine_set_state(machine, MACHINE_OFF, cause, text, exit_status);
}

void machine_start(Machine *machine, GError **error)
{
    if (machine->pc) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, _("The machine is already running."));
        return;
    }
    machine_set_state(machine, MACHINE_STARTING, CAUSE_USER, NULL, 0);
    GError *local = NULL;
    if (machine_remote_open(machine, &local))
        machine->pc =
            pc_new(machine->config, machine->context, machine->display, &pc_ops, machine, &local);
    if (!machine->pc) {
        machine_remote_close(machine);
        machine_set_state(machine, MACHINE_OFF, CAUSE_ERROR, local->message, 0);
        g_propagate_error(error, local);
        return;
    }
    machine->last_instructions = machine->last_exits = 0;
    start_ticking(machine);
    bool debugged = gdb_server_begin(machine->gdb, machine->pc);
    if (machine->config->start_paused || debugged) {
        machine_set_state(machine, MACHINE_PAUSED, CAUSE_NONE, NULL, 0);
    } else {
        pc_resume(machine->pc);
        machine_set_state(machine, MACHINE_RUNNING, CAUSE_USER, NULL, 0);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

static gpointer board_thread(gpointer data)
{
    Machine *machine = data;

    g_main_context_push_thread_default(machine->context);
    g_main_loop_run(machine->loop);
    if (machine->pc)
        machine_stop(machine, CAUSE_USER, NULL, 0);
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
    machine_remote_new(machine);
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
    machine_run_in(machine->context, quit_loop, machine->loop, NULL);
    g_thread_join(machine->thread);
    gdb_server_free(machine->gdb);
    vnc_server_free(machine->vnc);
    g_main_loop_unref(machine->loop);
    g_main_context_unref(machine->context);
    machine_forget_listeners(machine);
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
