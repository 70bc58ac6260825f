/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Remote access to a running machine: its VNC server and who is connected, as the machine tells it.
 * UI thread; nothing waits. */

#include "core/config/vnc-spec.h"
#include "ui/vm-network.h"

typedef struct {
    uint64_t id;
    char *host, *service; /* "" on a Unix socket */
    int64_t since;        /* seconds since 1970 */
    bool admitted;        /* has given the password, if there is one */
} ApiaryViewer;

typedef struct ApiaryVmRemote {
    bool on;
    char *host;         /* numeric; NULL on a Unix socket or when it is off */
    char *service;      /* the port, or the socket's path; NULL when it is off */
    bool password;      /* viewers are asked for one */
    GPtrArray *viewers; /* ApiaryViewer*, the oldest first */
} ApiaryVmRemote;

ApiaryVmRemote *apiary_vm_remote_new(void);
void apiary_vm_remote_free(ApiaryVmRemote *remote);
/* The machine has gone off. */
void apiary_vm_remote_end(ApiaryVmRemote *remote);
/* Asks the running machine anew; "changed" follows. */
void apiary_vm_remote_refresh(ApiaryVm *vm);

/* The running server is where and how SPEC says. */
bool apiary_vm_remote_is_as(ApiaryVm *vm, const VncSpec *spec);
/* Moves the server of a running machine to SPEC, whose viewers then need PASSWORD; those that are
 * connected are let go. PASSWORD NULL: SPEC asks for none, or nobody gets in. */
void apiary_vm_remote_open(ApiaryVm *vm, const VncSpec *spec, const char *password,
                           ApiaryVmDone done, void *opaque);
/* Viewers that come from now on need PASSWORD; NULL lets nobody in. */
void apiary_vm_remote_set_password(ApiaryVm *vm, const char *password, ApiaryVmDone done,
                                   void *opaque);
void apiary_vm_remote_disconnect(ApiaryVm *vm, uint64_t viewer, ApiaryVmDone done, void *opaque);
