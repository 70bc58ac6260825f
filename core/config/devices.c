/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/config/options.h"
#include "core/devices/debugcon.h"
#include "core/devices/e1000.h"
#include "core/devices/vga.h"

#include <string.h>

/* The table of device classes that -device knows; devices of the board itself are not in it. */
const DeviceClass *const device_classes[] = {
    &vga_class, &e1000_class, &isa_debug_exit_class, &isa_debugcon_class, NULL,
};

const DeviceClass *device_class_find(const char *name)
{
    for (const DeviceClass *const *c = device_classes; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}
