/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * One device, one declaration. A DeviceClass gives a device's name (QEMU's), a title for people,
 * its table of options and its operations. The command line, the machine file, the settings window
 * and the documentation are made from that one table (core/config/options.h).
 *
 * All operations run on the board thread or a vCPU thread with the board lock held.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Board Board; /* core/machine/board.h */
typedef struct Device Device;
typedef struct OptionValues OptionValues; /* core/config/options.h */

typedef enum {
    OPTION_STRING,
    OPTION_BOOL,
    OPTION_UINT,
    OPTION_SIZE, /* bytes; 64K, 2M, 1G accepted */
    OPTION_ENUM, /* one of choices, separated by '|' */
    OPTION_MAC,
    OPTION_REF,  /* the id of a back end: a drive, chardev or netdev */
    OPTION_LIST, /* strings: each time the key is given adds one */
} OptionType;

typedef struct {
    const char *name;
    OptionType type;
    const char *default_value; /* as typed; NULL: no default */
    uint64_t min, max;         /* for UINT and SIZE; max 0: unlimited */
    const char *choices;       /* for ENUM */
    const char *help;          /* one line */
} OptionInfo;                  /* tables end with a NULL name */

typedef enum { BUS_NONE, BUS_ISA, BUS_PCI, BUS_IDE, BUS_USB } DeviceBus;

typedef struct {
    const char *name;
    const char *title;
    DeviceBus bus;
    const OptionInfo *options;
    size_t instance_size; /* the device's own struct, whose first member is a Device */
    /* VALUES have been validated against the table. On failure sets ERROR and returns false. */
    bool (*create)(Device *device, Board *board, const OptionValues *values, GError **error);
    void (*reset)(Device *device);   /* to the documented power-on state */
    void (*destroy)(Device *device); /* frees what create made, not DEVICE itself */
} DeviceClass;

struct Device {
    const DeviceClass *device_class;
    Board *board;
    char *id;
};
