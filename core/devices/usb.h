/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What a USB host controller and a device on one of its ports know of each other (USB 1.1). Board
 * lock. */

#include "core/machine/board.h"

enum { USB_NAK = -1, USB_STALL = -2 };
enum { USB_SETUP = 0x2d, USB_IN = 0x69, USB_OUT = 0xe1 }; /* packet identifiers, 8.3.1 */

typedef struct UsbDevice UsbDevice;
struct UsbDevice {
    uint8_t address;
    /* A bus reset: address 0, not configured. */
    void (*reset)(UsbDevice *device);
    /* One transaction on ENDPOINT with up to LENGTH bytes at DATA. Returns the bytes moved, USB_NAK
     * or USB_STALL. */
    int (*transact)(UsbDevice *device, uint8_t pid, unsigned endpoint, uint8_t *data,
                    unsigned length);
    void (*free)(UsbDevice *device);
    /* Set by the controller: the device has something for an endpoint that was idle. */
    void (*wake)(void *opaque);
    void *wake_opaque;
};

/* A pointer with absolute coordinates (HID 1.11), active once the guest has configured it. */
UsbDevice *usb_tablet_new(Board *board);
