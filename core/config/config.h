/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * MachineConfig: everything one virtual PC is made of, as plain data. It comes from a QEMU command
 * line (config_parse_arguments) or a machine file (config_load), and goes back to both.
 */

#include "core/config/options.h"

typedef enum { DRIVE_IDE_DISK, DRIVE_IDE_CD, DRIVE_FLOPPY } DriveKind;

enum { USUAL_VGA_MEMORY_MB = 16 };

typedef struct {
    DriveKind kind;
    int bus, unit; /* IDE: channel 0-1, unit 0-1; floppy: unit 0-1 */
    char *id;      /* QEMU's default names: ide0-hd0, ide1-cd0, floppy0 */
    char *file;    /* NULL: empty drive (CD, floppy) */
    char *format;  /* NULL: probe */
    bool read_only, snapshot, discard;
    char *cache;  /* NULL: writeback */
    char *serial; /* drive serial number or NULL */
} DriveConfig;

typedef struct {
    char *driver; /* DeviceClass name */
    char *id;
    OptionValues *values;
} DeviceConfig;

/* -netdev: what a network card is connected to. */
typedef struct {
    char *type; /* NetBackendClass name: "user" */
    char *id;
    OptionValues *values;
} NetdevConfig;

/* -object: a packet capture ("filter-dump"). Made of the same parts. */
typedef NetdevConfig ObjectConfig;

typedef struct {
    char *name;
    uint64_t ram_bytes;
    unsigned cpus;
    char *cpu_model; /* "max", "qemu64,+avx2"... */
    bool accel_interp;
    char *accel_options; /* after "jit," or NULL */
    char *firmware;      /* -bios or NULL: the distribution's SeaBIOS */
    char *boot_order;    /* letters, "cdn" by default: a floppy, c disk, d CD, n network */
    char *boot_once;     /* or NULL */
    bool boot_menu;
    unsigned boot_splash_time; /* ms */
    char *kernel, *initrd, *append;
    GPtrArray *drives;          /* DriveConfig* */
    GPtrArray *devices;         /* DeviceConfig*: -device, in order */
    GPtrArray *netdevs;         /* NetdevConfig* */
    GPtrArray *objects;         /* ObjectConfig* */
    GPtrArray *serials;         /* char*: chardev specs for COM1.. ; "none" leaves one out */
    GPtrArray *chardevs;        /* char*: "id=..." specs of -chardev */
    GPtrArray *qmps, *monitors; /* char*: chardev specs */
    char *debugcon;             /* chardev spec or NULL */
    unsigned debugcon_port;     /* its I/O port */
    char *vga;                  /* "std" or "none" */
    unsigned vga_memory_mb;     /* 1-256 */
    char *rtc_base;             /* "utc", "localtime" or an ISO date */
    char *display;              /* "gtk", "none" */
    char *vnc;                  /* -vnc's words (vnc-spec.h), or NULL: off */
    char *vnc_password;         /* from the machine file; -vnc takes none */
    char *gdb;                  /* -gdb's words (gdb-spec.h), or NULL: off */
    bool no_reboot, no_shutdown, start_paused, snapshot, usb_tablet;
    bool network_named; /* a flag spoke of networks: no default card */
    bool no_defaults;   /* -nodefaults: no empty CD drive either */
    char *pidfile;
    char *folder; /* the machine's folder in the library, or NULL */
    char *notes;
} MachineConfig;

MachineConfig *config_new(void); /* QEMU's defaults: 128 MiB, 1 CPU, std VGA, empty CD on ide1 */
MachineConfig *config_copy(const MachineConfig *config);
void config_free(MachineConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MachineConfig, config_free)
DriveConfig *config_add_drive(MachineConfig *config, DriveKind kind, int bus, int unit,
                              const char *file);
/* The id a drive in that place has when nobody gave one: "ide0-hd0". */
char *config_drive_id(DriveKind kind, int bus, int unit);
DriveConfig *config_find_drive(const MachineConfig *config, const char *id);

/* `apiary run` flags. ARGV without the program's name. Refuses unknown flags by name with a
 * suggestion. */
bool config_parse_arguments(MachineConfig *config, int argc, char **argv, GError **error);
/* An `apiary run ...` that makes the same machine, quoted for a shell. */
char *config_to_command_line(const MachineConfig *config);
/* Checks that fit no single option (two drives in one place, RAM larger than the host's). */
bool config_validate(const MachineConfig *config, GError **error);

/* The machine file: a GKeyFile, written to a temporary, synced and renamed. */
MachineConfig *config_load(const char *path, GError **error);
bool config_save(const MachineConfig *config, const char *path, GError **error);
