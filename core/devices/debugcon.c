/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/devices/debugcon.h"

#include "core/config/options.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

struct Debugcon {
    Board *board;
    uint16_t port;
    Chardev *chardev;
};

static uint32_t debugcon_read(void *opaque, uint16_t port, unsigned size)
{
    return DEBUGCON_PORT;
}

static void debugcon_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    Debugcon *debugcon = opaque;
    uint8_t byte = value;

    chardev_write(debugcon->chardev, &byte, 1);
}

static const PortOps debugcon_ops = {debugcon_read, debugcon_write, 1};

Debugcon *debugcon_new(Board *board, uint16_t port, Chardev *chardev)
{
    Debugcon *debugcon = g_new0(Debugcon, 1);

    debugcon->board = board;
    debugcon->port = port;
    debugcon->chardev = chardev;
    port_register(board->memory, port, 1, &debugcon_ops, debugcon);
    return debugcon;
}

void debugcon_free(Debugcon *debugcon)
{
    if (!debugcon)
        return;
    port_unregister(debugcon->board->memory, debugcon->port, 1, debugcon);
    g_free(debugcon);
}

/* --- -device isa-debugcon -----------------------------------------------------------------------
 */

typedef struct {
    Device device;
    Debugcon *debugcon;
} IsaDebugcon;

static const OptionInfo isa_debugcon_options[] = {
    {"id", OPTION_STRING, NULL, 0, 0, NULL, N_("name of the device")},
    {"iobase", OPTION_UINT, "0xe9", 0, 0xffff, NULL, N_("I/O port")},
    {"chardev", OPTION_REF, NULL, 0, 0, NULL, N_("id of the -chardev that gets the bytes")},
    {NULL},
};

static bool isa_debugcon_create(Device *device, Board *board, const OptionValues *values,
                                GError **error)
{
    const char *id = option_string(values, "chardev");
    Chardev *chardev = id ? board->find_chardev(board, id) : NULL;

    if (!chardev) {
        if (id)
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                        _("there is no -chardev with id=%s."), id);
        else
            g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("needs chardev=ID."));
        return false;
    }
    ((IsaDebugcon *)device)->debugcon = debugcon_new(board, option_uint(values, "iobase"), chardev);
    return true;
}

static void isa_debugcon_destroy(Device *device)
{
    debugcon_free(((IsaDebugcon *)device)->debugcon);
}

const DeviceClass isa_debugcon_class = {
    .name = "isa-debugcon",
    .title = N_("Debug console port"),
    .bus = BUS_ISA,
    .options = isa_debugcon_options,
    .instance_size = sizeof(IsaDebugcon),
    .create = isa_debugcon_create,
    .destroy = isa_debugcon_destroy,
};

/* --- -device isa-debug-exit
 * ----------------------------------------------------------------------- */

typedef struct {
    Device device;
    uint16_t port, size;
} IsaDebugExit;

static const OptionInfo isa_debug_exit_options[] = {
    {"id", OPTION_STRING, NULL, 0, 0, NULL, N_("name of the device")},
    {"iobase", OPTION_UINT, "0x501", 0, 0xffff, NULL, N_("I/O port")},
    {"iosize", OPTION_UINT, "2", 1, 4, NULL, N_("number of ports")},
    {NULL},
};

static void isa_debug_exit_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    IsaDebugExit *exit_device = opaque;

    /* An exit status has 8 bits; an odd one can never be taken for success. */
    exit_device->device.board->request_exit(exit_device->device.board, (value << 1 | 1) & 0xff);
}

static const PortOps isa_debug_exit_ops = {NULL, isa_debug_exit_write, 4};

static bool isa_debug_exit_create(Device *device, Board *board, const OptionValues *values,
                                  GError **error)
{
    IsaDebugExit *exit_device = (IsaDebugExit *)device;

    exit_device->port = option_uint(values, "iobase");
    exit_device->size = option_uint(values, "iosize");
    port_register(board->memory, exit_device->port, exit_device->size, &isa_debug_exit_ops,
                  exit_device);
    return true;
}

static void isa_debug_exit_destroy(Device *device)
{
    IsaDebugExit *exit_device = (IsaDebugExit *)device;

    port_unregister(device->board->memory, exit_device->port, exit_device->size, exit_device);
}

const DeviceClass isa_debug_exit_class = {
    .name = "isa-debug-exit",
    .title = N_("Port that ends the program"),
    .bus = BUS_ISA,
    .options = isa_debug_exit_options,
    .instance_size = sizeof(IsaDebugExit),
    .create = isa_debug_exit_create,
    .destroy = isa_debug_exit_destroy,
};
