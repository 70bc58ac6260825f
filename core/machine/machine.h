/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * A machine: MachineConfig in, running PC out. Clients (window, command line, QMP, tests) talk to
 * it by commands and hear events; nothing else is shared but the Display.
 *
 * Threads: machine_new/free and machine_send may be called on any thread but the board's; they do
 * not wait for the guest. Replies and events are delivered on the GMainContext that was
 * thread-default when the client subscribed.
 */

#include "core/config/config.h"
#include "core/machine/display.h"

typedef struct Machine Machine;

typedef enum {
    MACHINE_OFF, /* not started, or stopped */
    MACHINE_STARTING,
    MACHINE_RUNNING,
    MACHINE_PAUSED,
    MACHINE_STOPPING,
} MachineState;

typedef enum {
    CAUSE_NONE,
    CAUSE_USER,           /* a command */
    CAUSE_GUEST_POWEROFF, /* ACPI S5 */
    CAUSE_GUEST_RESET,    /* keyboard controller, port CF9 */
    CAUSE_TRIPLE_FAULT,
    CAUSE_DEBUG_EXIT, /* isa-debug-exit; exit_status says */
    CAUSE_DEBUGGER,   /* a breakpoint, watchpoint or single step */
    CAUSE_ERROR,      /* message says */
} MachineCause;
const char *machine_cause_text(MachineCause cause); /* translated words */

typedef enum {
    COMMAND_START,
    COMMAND_PAUSE,
    COMMAND_RESUME,
    COMMAND_RESET,
    COMMAND_POWER_BUTTON,     /* ACPI power button press */
    COMMAND_STOP,             /* force off */
    COMMAND_KEY,              /* key.code (evdev), key.down */
    COMMAND_POINTER_MOTION,   /* pointer.x, .y relative; .wheel; .buttons */
    COMMAND_POINTER_POSITION, /* 0-32767 */
    COMMAND_INSERT_MEDIUM,    /* text[0] drive id, text[1] path; flag: force past a lock */
    COMMAND_EJECT_MEDIUM,     /* text[0] drive id; flag: force */
    COMMAND_SCREENSHOT,       /* text[0] path, text[1] "png" or "ppm" */
    COMMAND_NMI,
    COMMAND_MONITOR,        /* text[0] a human monitor line; reply text is its output */
    COMMAND_QUERY,          /* text[0] what (query.h); reply text is JSON */
    COMMAND_VNC_OPEN,       /* text[0] address and options as for -vnc, "none" to turn it off */
    COMMAND_VNC_PASSWORD,   /* text[0]; NULL lets nobody in */
    COMMAND_VNC_EXPIRE,     /* text[0] "now", "never", "+SECONDS" or seconds since 1970 */
    COMMAND_VNC_DISCONNECT, /* address: the client's id of COMMAND_QUERY "vnc-clients" */
    COMMAND_MEMORY_SAVE,    /* text[0] path; address, length; flag: physical (else cpu 0 linear) */
    /* text[0] network, NULL: the first user-mode one; text[1] tcp|udp:[hostaddr]:hostport-
     * [guestaddr]:guestport, host port 0: a free one. Reply text: the rule in full. */
    COMMAND_FORWARD_ADD,
    COMMAND_FORWARD_REMOVE, /* text[0] network or NULL; text[1] tcp|udp:[hostaddr]:hostport */
    COMMAND_SET_LINK,       /* text[0] network or card; flag: the cable is plugged in */
    COMMAND_OBJECT_ADD,     /* text[0] as -object takes it */
    COMMAND_OBJECT_DELETE,  /* text[0] id; a capture's file is complete when the reply comes */
    /* text[0] network, NULL: the first; text[1] pcap file. Reply text: the capture's id, for
     * COMMAND_OBJECT_DELETE. */
    COMMAND_CAPTURE_START,
} MachineCommandType;

typedef struct {
    MachineCommandType type;
    struct {
        unsigned code;
        bool down;
    } key;
    struct {
        int x, y, wheel;
        unsigned buttons;
    } pointer;
    const char *text[2]; /* copied by machine_send */
    uint64_t address, length;
    unsigned cpu;
    bool flag;
} MachineCommand;

/* ERROR NULL: done. TEXT may be NULL. */
typedef void (*MachineReply)(void *opaque, const char *text, const GError *error);

typedef enum {
    EVENT_STATE,        /* state, cause, text (details) */
    EVENT_DISPLAY_MODE, /* width, height */
    EVENT_POINTER_MODE, /* flag: absolute */
    EVENT_MEDIUM,       /* text drive id, text2 path or NULL when empty */
    EVENT_TRAY,         /* text drive id, flag: open */
    EVENT_STATISTICS,   /* statistics */
    EVENT_RESET,        /* the machine was reset; cause */
    EVENT_POWER_BUTTON, /* pressed by a client */
    EVENT_ERROR,        /* text: source, text2: message */
    EVENT_KEYBOARD_LEDS,
    EVENT_VNC,        /* text: QMP's event name, text2: its data as JSON */
    EVENT_VNC_SERVER, /* it is on, off or somewhere else now: ask COMMAND_QUERY "vnc" */
    EVENT_NETWORK,    /* a forward, cable or capture changed: ask COMMAND_QUERY "networks" */
} MachineEventType;

typedef struct {
    double host_cpu; /* of one core, 0-n */
    double guest_mips;
    uint64_t exits, interrupts; /* since the last event */
    uint64_t disk_read_bytes, disk_write_bytes, cd_read_bytes, net_rx_bytes, net_tx_bytes;
    /* Of the translator; cache_bytes is 0 where there is none. Translated, dropped and slow are
     * counted since the start. */
    struct {
        uint64_t blocks, bytes, cache_bytes, translated, dropped, slow;
    } code;
} MachineStatistics;

typedef struct {
    MachineEventType type;
    MachineState state;
    MachineCause cause;
    int exit_status;
    const char *text, *text2;
    int width, height;
    bool flag;
    MachineStatistics statistics;
} MachineEvent;

typedef void (*MachineListener)(void *opaque, const MachineEvent *event);

/* Copies CONFIG. Nothing is opened until COMMAND_START. */
Machine *machine_new(const MachineConfig *config);
/* Stops at once if needed, joins all threads. */
void machine_free(Machine *machine);
/* Copies COMMAND. REPLY may be NULL; it is called exactly once, in the caller's thread-default
 * context. */
void machine_send(Machine *machine, const MachineCommand *command, MachineReply reply,
                  void *opaque);
unsigned machine_listen(Machine *machine, MachineListener listener, void *opaque);
void machine_unlisten(Machine *machine,
                      unsigned id); /* no call comes after it returns, from the same thread */
MachineState machine_state(Machine *machine); /* any thread */
/* QEMU's RunState: running, paused, debug, prelaunch (not started yet), shutdown. Any thread. */
const char *machine_status_text(Machine *machine);
Display *machine_display(Machine *machine); /* lives as long as the machine */
/* Its VNC server, for the monitor; NULL in a build without. */
struct VncServer *machine_vnc(Machine *machine);
/* Its GDB server, for the monitor. */
struct GdbServer *machine_gdb(Machine *machine);
/* The configuration it runs with (or will start with). Read-only. */
const MachineConfig *machine_config(Machine *machine);
/* Replaces the configuration of a machine that is off. */
bool machine_set_config(Machine *machine, const MachineConfig *config, GError **error);
