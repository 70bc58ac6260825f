/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The PC itself: QEMU's `pc` machine put together from a MachineConfig: board, chipset, vCPUs and
 * devices. Everything here runs on the board thread; functions say whether the board lock is held.
 */

#include "core/block/block.h"
#include "core/config/config.h"
#include "core/cpu/debug.h"
#include "core/cpu/jit/jit.h"
#include "core/machine/board.h"

typedef struct Pc Pc;

/* What the PC tells its machine. Any vCPU or the board thread, board lock held. */
typedef struct {
    void (*reset_requested)(void *opaque, bool triple_fault);
    void (*power_off_requested)(void *opaque);
    void (*exit_requested)(void *opaque, int status);
    void (*error)(void *opaque, const char *source, const char *message);
    void (*medium_changed)(void *opaque, const char *drive, const char *path);
    void (*tray_moved)(void *opaque, const char *drive, bool open);
    void (*pointer_mode)(void *opaque, bool absolute);
    void (*network_changed)(void *opaque); /* forwards, cables or captures */
    void (*debug_stopped)(void *opaque);   /* a vCPU has stopped itself: pc_take_debug_stop() */
} PcOps;

/* Opens every image and back end and builds the machine in its reset state, clock and vCPUs
 * stopped. Returns NULL with ERROR naming what could not be had. Lock not held. */
Pc *pc_new(const MachineConfig *config, GMainContext *context, Display *display, const PcOps *ops,
           void *opaque, GError **error);
/* Ends the vCPU threads, flushes and closes everything. Lock not held. */
void pc_free(Pc *pc);

/* Lock not held for these. */
void pc_resume(Pc *pc);
/* What each vCPU does when a debugger lets the machine go on. */
typedef enum { PC_STAY, PC_RUN, PC_STEP } PcRun;
/* RUNS has an entry a vCPU. HOLD_INTERRUPTS: none comes between a stepping vCPU and its
 * instruction. HOLD_TIMERS: none fires while vCPUs only step, unless one of them is halted. */
void pc_resume_some(Pc *pc, const PcRun *runs, bool hold_interrupts, bool hold_timers);
/* Whether the next has something to tell; also while the machine runs. */
bool pc_has_debug_stop(Pc *pc);
/* Which vCPU of the paused machine has stopped itself and why, once for each; they take turns. -1:
 * none has. */
int pc_take_debug_stop(Pc *pc, DebugStop *stop);
void pc_pause(Pc *pc); /* returns when every vCPU stands */
void pc_reset(Pc *pc); /* pauses, resets devices and vCPUs; the caller resumes */
void pc_nmi(Pc *pc);
/* Opens the image at PATH and puts it into DRIVE. FORCE: past the guest's lock. */
bool pc_change_medium(Pc *pc, const char *drive, const char *path, bool force, GError **error);

Board *pc_board(Pc *pc);
unsigned pc_cpu_count(const Pc *pc);
Cpu *pc_cpu(Pc *pc, unsigned index);

/* Lock held for the rest. G_IO_ERROR_NOT_FOUND: there is no such drive. */
void pc_power_button(Pc *pc);
bool pc_eject_medium(Pc *pc, const char *drive, bool force, GError **error);
void pc_describe_interrupts(Pc *pc, GString *out); /* `info pic` */
void pc_describe_blocks(Pc *pc, GString *out);     /* `info block` */

typedef struct {
    const char *id; /* "ide1-cd0" */
    DriveKind kind;
    BlockImage *image; /* NULL: empty */
    const char *cache; /* NULL: writeback */
    bool removable, locked, tray_open;
} PcDrive;
/* Fills DRIVE for INDEX; false past the last. Valid while the lock is held. */
bool pc_drive(Pc *pc, unsigned index, PcDrive *drive);
uint64_t pc_guest_instructions(Pc *pc); /* executed by all vCPUs so far */
/* All 0 where the interpreter runs the machine. */
JitStatistics pc_jit_statistics(Pc *pc);
uint64_t pc_exits(Pc *pc);
