/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The machine and its servers: VNC and GDB. */

#include "core/machine/machine-private.h"
#include "core/machine/monitor.h"

/* --- the debugger ----------------------------------------------------------------------------- */

static void on_gdb_pause(void *opaque)
{
    Machine *machine = opaque;

    if (machine->state == MACHINE_RUNNING)
        machine_pause(machine, CAUSE_USER);
}

static void on_gdb_resume(void *opaque)
{
    machine_resume(opaque);
}

static void on_gdb_resume_some(void *opaque, const PcRun *runs, bool hold_interrupts,
                               bool hold_timers)
{
    Machine *machine = opaque;

    if (machine->state == MACHINE_RUNNING)
        pc_pause(machine->pc); /* somebody else let it go on */
    else
        machine_set_state(machine, MACHINE_RUNNING, CAUSE_USER, NULL, 0);
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

/* --- viewers ---------------------------------------------------------------------------------- */

static gboolean take_vnc_input(gpointer data)
{
    Machine *machine = data;
    MachineCommand command;

    while (vnc_server_take_input(machine->vnc, &command))
        if (machine->pc)
            machine_input(machine, &command);
    return G_SOURCE_REMOVE;
}

static void on_vnc_input(void *opaque)
{
    Machine *machine = opaque;

    machine_run_in(machine->context, take_vnc_input, machine, NULL);
}

static void on_vnc_event(void *opaque, const char *name, const char *data)
{
    machine_emit(opaque, &(MachineEvent){.type = EVENT_VNC, .text = name, .text2 = data});
}

static void on_vnc_changed(void *opaque)
{
    machine_emit(opaque, &(MachineEvent){.type = EVENT_VNC_SERVER});
}

static const VncOps vnc_ops = {
    .input = on_vnc_input, .event = on_vnc_event, .changed = on_vnc_changed};

bool machine_vnc_command(Machine *machine, MachinePending *pending)
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

/* --- both ------------------------------------------------------------------------------------- */

void machine_remote_new(Machine *machine)
{
    machine->vnc = vnc_server_new(machine->display, &vnc_ops, machine);
    machine->gdb = gdb_server_new(&gdb_ops, machine);
}

static bool open_vnc(Machine *machine, GError **error)
{
    const MachineConfig *config = machine->config;

    if (!config->vnc)
        return true;
    return (!config->vnc_password ||
            vnc_server_set_password(machine->vnc, config->vnc_password, error)) &&
           vnc_server_open(machine->vnc, config->vnc, config->name, error);
}

/* A password is for one run: the next one has its configuration's, or none. */
static void close_vnc(Machine *machine)
{
    vnc_server_close(machine->vnc);
    vnc_server_set_absolute(machine->vnc, false);
    vnc_server_set_password(machine->vnc, NULL, NULL);
    vnc_server_expire_password(machine->vnc, "never", NULL);
}

bool machine_remote_open(Machine *machine, GError **error)
{
    return open_vnc(machine, error) &&
           (!machine->config->gdb || gdb_server_open(machine->gdb, machine->config->gdb, error));
}

void machine_remote_close(Machine *machine)
{
    gdb_server_close(machine->gdb);
    close_vnc(machine);
}
