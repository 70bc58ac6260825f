/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The window's end of COM1: a socket of the user's own that the machine's serial port listens on
 * when the settings name nothing else for it. Keeps the last mebibyte, so that a window that opens
 * later shows what went before.
 */

#include "core/config/config.h"

typedef struct ApiarySerialLink ApiarySerialLink;
typedef void (*ApiarySerialReceived)(void *opaque, const uint8_t *data, size_t length);

ApiarySerialLink *apiary_serial_link_new(ApiarySerialReceived received, void *opaque);
void apiary_serial_link_free(ApiarySerialLink *link);
/* Points CONFIG's COM1 at the link, unless it goes elsewhere. Forgets the history. */
void apiary_serial_link_prepare(ApiarySerialLink *link, MachineConfig *config);
/* The machine that was started last has its COM1 here. */
bool apiary_serial_link_is_used(const ApiarySerialLink *link);
void apiary_serial_link_connect(ApiarySerialLink *link);
void apiary_serial_link_disconnect(ApiarySerialLink *link);
void apiary_serial_link_write(ApiarySerialLink *link, const char *data, size_t length);
GByteArray *apiary_serial_link_get_history(ApiarySerialLink *link);
