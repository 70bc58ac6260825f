/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * A machine as the windows see it: its settings as kept on disk, the running Machine behind it when
 * there is one, and what its events have told so far. UI thread only; never waits for the core.
 *
 * Signals:
 *   "changed"     name, state, pointer mode or media are different now
 *   "statistics"  once a second while it runs
 *   "message"     (int GtkMessageType, char *text) something a person should read
 *   "stopped"     it has gone off; cause and exit status say why
 *   "display"     (int width, int height) the guest's screen has another size
 */

#include "core/machine/machine.h"

#include <cairo.h>
#include <gio/gio.h>

#define APIARY_TYPE_VM (apiary_vm_get_type())
G_DECLARE_FINAL_TYPE(ApiaryVm, apiary_vm, APIARY, VM, GObject)

#define APIARY_VM_HISTORY 60 /* seconds of statistics that are kept */

typedef struct {
    MachineStatistics now;
    double cpu; /* host CPU, 1 = all of the machine's CPUs busy */
    double mips, disk_read, disk_write, cd_read, net_rx, net_tx; /* rates: a second */
    double translations, slow_accesses;                          /* as well */
} ApiaryVmSample;

/* Takes CONFIG. */
ApiaryVm *apiary_vm_new(MachineConfig *config);

const char *apiary_vm_get_name(ApiaryVm *vm);
/* The settings as they are kept, for the next start. Whoever changes them calls
 * apiary_collection_save(). */
MachineConfig *apiary_vm_get_config(ApiaryVm *vm);
/* The settings it runs with, or NULL when it is off. */
const MachineConfig *apiary_vm_get_running_config(ApiaryVm *vm);
void apiary_vm_config_changed(ApiaryVm *vm);

MachineState apiary_vm_get_state(ApiaryVm *vm);
MachineCause apiary_vm_get_cause(ApiaryVm *vm); /* of the last change of state */
int apiary_vm_get_exit_status(ApiaryVm *vm);
bool apiary_vm_is_on(ApiaryVm *vm);
char *apiary_vm_state_text(ApiaryVm *vm); /* "Running", "Off: the guest powered off" */
bool apiary_vm_pointer_is_absolute(ApiaryVm *vm);
Machine *apiary_vm_get_machine(ApiaryVm *vm); /* NULL before the first start */
Display *apiary_vm_get_display(ApiaryVm *vm); /* likewise */
/* The machine behind it, made now if there is none yet. For clients beside the window. */
Machine *apiary_vm_ensure_machine(ApiaryVm *vm);

/* For vm-network.h and vm-remote.h, which have the operations. */
struct ApiaryVmNetwork *apiary_vm_get_network(ApiaryVm *vm);
struct ApiaryVmRemote *apiary_vm_get_remote(ApiaryVm *vm);

void apiary_vm_start(ApiaryVm *vm);
void apiary_vm_send(ApiaryVm *vm, MachineCommandType command); /* those without parameters */
void apiary_vm_send_key(ApiaryVm *vm, unsigned evdev_code, bool down);
void apiary_vm_send_pointer(ApiaryVm *vm, bool absolute, int x, int y, int wheel, unsigned buttons);
/* Changes the medium of the drive in the kept settings and, while it runs, in the machine. PATH
 * NULL ejects; FORCE: also when the guest has locked the tray. */
void apiary_vm_change_medium(ApiaryVm *vm, const char *drive, const char *path, bool force);
void apiary_vm_screenshot(ApiaryVm *vm, const char *path);
/* The first CD drive, or NULL. */
const DriveConfig *apiary_vm_get_cd(ApiaryVm *vm);
/* What is in the drive now, or NULL. */
const char *apiary_vm_get_medium(ApiaryVm *vm, const char *drive);
/* Whether the guest has opened the drive's tray, and sees nothing of what is in it. */
bool apiary_vm_tray_is_open(ApiaryVm *vm, const char *drive);

/* Newest last. */
const ApiaryVmSample *apiary_vm_get_samples(ApiaryVm *vm, unsigned *n);
/* A small picture of the screen, or NULL; refreshed by _update. */
cairo_surface_t *apiary_vm_get_thumbnail(ApiaryVm *vm);
void apiary_vm_update_thumbnail(ApiaryVm *vm);

/* COM1 when it is the window's: everything received so far, and the signal "serial" (GBytes). */
GByteArray *apiary_vm_get_serial_history(ApiaryVm *vm);
bool apiary_vm_has_serial(ApiaryVm *vm);
/* The same of the running machine, whose settings may have changed since. */
bool apiary_vm_has_serial_now(ApiaryVm *vm);
void apiary_vm_write_serial(ApiaryVm *vm, const char *data, size_t length);

void apiary_vm_message(ApiaryVm *vm, int type, const char *text);
