/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What the machine-*.c files share. All of it is called on the board thread unless said otherwise.
 */

#include "core/machine/machine.h"
#include "core/machine/pc.h"
#include "core/remote/gdb.h"
#include "core/remote/vnc.h"

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

    /* What the guest asked for; set with the board lock held, taken on the board thread. */
    gint reset_pending, power_off_pending, exit_pending;
    int exit_status;
    bool reset_is_triple_fault;
};

/* A command on its way to the board thread, and its reply on the way back. */
typedef struct {
    Machine *machine;
    MachineCommand command;
    char *text[2];
    MachineReply reply;
    void *opaque;
    GMainContext *reply_context;
    char *reply_text;
    GError *error;
} MachinePending;

/* machine-events.c */
/* Calls FUNC with DATA from CONTEXT's thread, then FREE. Any thread. */
void machine_run_in(GMainContext *context, GSourceFunc func, gpointer data, GDestroyNotify free);
/* Tells every listener, each in its own thread. Any thread. */
void machine_emit(Machine *machine, const MachineEvent *event);
void machine_set_state(Machine *machine, MachineState state, MachineCause cause, const char *text,
                       int exit_status);
void machine_forget_listeners(Machine *machine);

/* machine.c */
void machine_start(Machine *machine, GError **error);
void machine_stop(Machine *machine, MachineCause cause, const char *text, int exit_status);
void machine_pause(Machine *machine, MachineCause cause);
void machine_resume(Machine *machine);

/* machine-commands.c */
/* A key or the pointer; the machine is on. */
void machine_input(Machine *machine, const MachineCommand *command);

/* machine-remote.c */
void machine_remote_new(Machine *machine);
/* Listens as the configuration says. */
bool machine_remote_open(Machine *machine, GError **error);
void machine_remote_close(Machine *machine);
/* What can be asked of the VNC server also while the machine is off. False: something else. */
bool machine_vnc_command(Machine *machine, MachinePending *pending);
