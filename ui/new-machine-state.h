/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* All that a person says while a machine is being made, and what is wrong with it. No GTK: the
 * pages only draw it. */

#include "core/library/library.h"
#include "core/library/medium.h"

typedef enum {
    NEW_MACHINE_ISO,
    NEW_MACHINE_DISK,
    NEW_MACHINE_NETWORK,
    NEW_MACHINE_EMPTY,
    NEW_MACHINE_N_SOURCES,
} NewMachineSource;
typedef enum {
    NEW_MACHINE_PAGE_SOURCE,
    NEW_MACHINE_PAGE_MEDIUM,
    NEW_MACHINE_PAGE_HARDWARE,
    NEW_MACHINE_PAGE_STORAGE,
    NEW_MACHINE_PAGE_NETWORK,
    NEW_MACHINE_PAGE_SUMMARY,
    NEW_MACHINE_N_PAGES,
} NewMachinePage;

typedef struct {
    Library *library; /* not owned */
    NewMachineSource source;
    char *medium;     /* the ISO, the existing disk or the boot file; NULL: not chosen yet */
    MediumInfo *info; /* what it is, when known */
    char *medium_error;
    uint64_t ram_mb;
    unsigned cpus;
    bool wants_disk;
    uint64_t disk_gb;
    char *disk_format; /* "qcow2" or "raw" */
    bool wants_network;
    GPtrArray *forwards; /* char*: rules as core/net/forward.h has them */
    char *name;
    bool name_is_typed; /* no longer follows the medium */
    uint64_t host_ram_mb;
    unsigned host_cpus;
} NewMachineState;

void new_machine_state_init(NewMachineState *state, Library *library);
void new_machine_state_clear(NewMachineState *state);
/* Takes INFO; ERROR instead of it when the file cannot be used. Sets what suits the system. */
void new_machine_state_set_medium(NewMachineState *state, const char *path, MediumInfo *info,
                                  const char *error);
void new_machine_state_set_name(NewMachineState *state, const char *name);
void new_machine_state_add_forward(NewMachineState *state, const char *rule);
void new_machine_state_remove_forward(NewMachineState *state, const char *rule);
/* What is to be said on PAGE, or NULL. *BLOCKS: there is no way forward with it. */
char *new_machine_state_problem(const NewMachineState *state, NewMachinePage page, bool *blocks);
NewMachinePage new_machine_state_next(const NewMachineState *state, NewMachinePage page);
NewMachinePage new_machine_state_previous(const NewMachineState *state, NewMachinePage page);
char *new_machine_state_summary(const NewMachineState *state);
/* Makes folder, disk and machine file. Blocks. */
MachineConfig *new_machine_state_create(const NewMachineState *state, GError **error);
