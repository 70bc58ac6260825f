/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* QMP's messages: the greeting, commands and events of the QEMU Machine Protocol specification. */

#include "core/machine/machine.h"

#include <json-glib/json-glib.h>

typedef struct QmpClient QmpClient;

/* A call keeps its client in memory, and counts against those that one client may have running. */
QmpClient *qmp_client_begin_call(QmpClient *client);
void qmp_client_end_call(QmpClient *client);
Machine *qmp_client_machine(QmpClient *client); /* NULL once it has gone */
/* The pointer as this client has moved it. */
typedef struct {
    int x, y;
    unsigned buttons;
    bool absolute;
} QmpPointer;
QmpPointer *qmp_client_pointer(QmpClient *client);
void qmp_client_send(QmpClient *client, JsonBuilder *json);

void qmp_send_greeting(QmpClient *client);
/* TEXT is one JSON value. NEGOTIATED: qmp_capabilities has been sent; set by it. */
void qmp_run_command(QmpClient *client, const char *text, bool *negotiated);
void qmp_send_event(QmpClient *client, const MachineEvent *event);
