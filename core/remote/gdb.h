/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The GDB server of a machine: the remote serial protocol (Debugging with GDB, appendix E) over a
 * socket or standard input and output, as QEMU's gdbstub speaks it. Threads are the vCPUs, counted
 * from 1.
 *
 * It lives on the board thread: everything is called there, without the board lock, and its sources
 * are attached to that thread's context. Nothing waits for the client.
 */

#include "core/machine/machine.h"
#include "core/machine/pc.h"

typedef struct GdbServer GdbServer;

/* What it asks of the machine. */
typedef struct {
    void (*pause)(void *opaque);
    /* All vCPUs, or as pc_resume_some() with RUNS. */
    void (*resume)(void *opaque);
    void (*resume_some)(void *opaque, const PcRun *runs, bool hold_interrupts, bool hold_timers);
    void (*kill)(void *opaque); /* soon, not before it returns */
    char *(*monitor)(void *opaque, const char *line);
} GdbOps;

GdbServer *gdb_server_new(const GdbOps *ops, void *opaque);
void gdb_server_free(GdbServer *server); /* after gdb_server_close(), any thread */

/* Listens on SPEC (core/config/gdb-spec.h) instead of what was before, whose client is let go. When
 * that fails the server is off. */
bool gdb_server_open(GdbServer *server, const char *spec, GError **error);
void gdb_server_close(GdbServer *server);
char *gdb_server_describe(GdbServer *server); /* a sentence in English */

/* The machine is there; before that and after gdb_server_end() clients wait. True when one is
 * connected already (stdio): it finds the machine stopped. */
bool gdb_server_begin(GdbServer *server, Pc *pc);
/* The machine goes, the guest's exit status being STATUS. */
void gdb_server_end(GdbServer *server, int status);

/* The machine stands, because vCPU CPU stopped itself for STOP; or, with CPU -1, for CAUSE. */
void gdb_server_stopped(GdbServer *server, MachineCause cause, int cpu, const DebugStop *stop);
