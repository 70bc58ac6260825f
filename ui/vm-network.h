/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The networks of a running machine, as it tells them: port forwards come and go, cables are pulled
 * and plugged, captures start and stop. Networks are named by their id in the settings. UI thread;
 * nothing waits.
 */

#include "core/net/forward.h"
#include "ui/vm.h"

typedef void (*ApiaryVmDone)(void *opaque, const GError *error);
typedef void (*ApiaryVmText)(void *opaque, const char *text);

typedef struct {
    char *id, *file;
    uint64_t frames, bytes; /* when the machine was asked last */
    bool failed;            /* the file takes no more */
} ApiaryCapture;

typedef struct ApiaryVmNetwork ApiaryVmNetwork;
ApiaryVmNetwork *apiary_vm_network_new(void);
void apiary_vm_network_free(ApiaryVmNetwork *network);
/* The machine has gone off. */
void apiary_vm_network_end(ApiaryVmNetwork *network);
/* Asks the running machine anew; "changed" follows when something is different. DONE may be NULL.
 */
void apiary_vm_network_refresh(ApiaryVm *vm, ApiaryVmDone done, void *opaque);

/* The running machine has this network. */
bool apiary_vm_has_network(ApiaryVm *vm, const char *id);
/* RULE is open now. */
bool apiary_vm_forward_is_open(ApiaryVm *vm, const char *id, const char *rule);
bool apiary_vm_link_is_up(ApiaryVm *vm, const char *id);
/* ApiaryCapture*, until the machine is asked again; NULL: there is no such network now. */
const GPtrArray *apiary_vm_get_captures(ApiaryVm *vm, const char *id);

/* DONE is always called, later; errors are the core's: "port 2222 is taken by...". After a success
 * the functions above know of the change already. */
void apiary_vm_add_forward(ApiaryVm *vm, const char *id, const char *rule, ApiaryVmDone done,
                           void *opaque);
void apiary_vm_remove_forward(ApiaryVm *vm, const char *id, const char *rule, ApiaryVmDone done,
                              void *opaque);
void apiary_vm_set_link(ApiaryVm *vm, const char *id, bool up, ApiaryVmDone done, void *opaque);
/* Writes the frames of network ID to the pcap file PATH, made anew. */
void apiary_vm_start_capture(ApiaryVm *vm, const char *id, const char *path, ApiaryVmDone done,
                             void *opaque);
/* By the capture's own id. The file is complete when DONE is called. */
void apiary_vm_stop_capture(ApiaryVm *vm, const char *capture, ApiaryVmDone done, void *opaque);
/* The user-mode networks' connections, as the monitor's `info usernet` lists them. */
void apiary_vm_list_connections(ApiaryVm *vm, ApiaryVmText done, void *opaque);

/* What a person wants to know of CONFIG's networks: "10.0.2.15, port 2222 → 22". NULL: none. */
char *apiary_vm_network_summary(const MachineConfig *config);
/* The first address DHCP gives on a user-mode network, or NULL. */
char *apiary_network_guest_address(const NetdevConfig *netdev);
/* "127.0.0.1:2222 → 10.0.2.15:22" */
char *apiary_forward_text(const NetForward *forward, const char *guest_address);
/* Other computers can reach the port. */
bool apiary_forward_is_exposed(const NetForward *forward);
