/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "core/devices/usb.h"

/* The PIIX3's USB host controller (82371SB function 2; Intel Universal Host Controller Interface
 * Design Guide 1.1) with two ports. Board lock held. */
typedef struct Uhci Uhci;

enum { UHCI_PORTS = 2 };

Uhci *uhci_new(Board *board, int devfn, GError **error);
void uhci_free(Uhci *uhci); /* frees the devices on its ports too; NULL allowed */
void uhci_reset(Uhci *uhci);
/* Plugs DEVICE in at PORT (0, 1); the controller owns it then. */
void uhci_plug(Uhci *uhci, int port, UsbDevice *device);
