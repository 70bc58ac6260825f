/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The control socket: QMP (JSON) or the human monitor (text) on a character back end in QEMU's
 * words (unix:PATH,server=on,wait=off; tcp:...; stdio). A client of the machine's queues like the
 * window.
 */

#include "core/machine/machine.h"

typedef struct QmpServer QmpServer;
typedef enum { QMP_PROTOCOL_JSON, QMP_PROTOCOL_HUMAN } QmpProtocol;

/* Listens at once, also while the machine is off. Call on the thread whose default main context
 * serves it. MACHINE outlives the server. */
QmpServer *qmp_server_new(Machine *machine, const char *spec, QmpProtocol protocol, GError **error);
void qmp_server_free(QmpServer *server);
