/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The GDB server's files among themselves. "E" is appendix E of Debugging with GDB. */

#include "core/config/gdb-spec.h"
#include "core/cpu/cpu.h"
#include "core/remote/gdb.h"

#define GDB_LOG_DOMAIN    "gdb"

/* What a packet may hold; told to GDB as PacketSize. */
#define GDB_PACKET_SIZE   0x4000

/* Errors as the protocol counts them: errno. */
#define GDB_ERROR_MEMORY  "E14" /* EFAULT */
#define GDB_ERROR_INVALID "E22"
#define GDB_ERROR_FULL    "E28" /* ENOSPC */

/* --- gdb-packet.c: bytes and packets (E.1) --- */

typedef enum {
    GDB_NOTHING_YET,
    GDB_PACKET,    /* parser->payload */
    GDB_BAD_SUM,   /* to be sent again */
    GDB_TOO_LONG,  /* and thrown away */
    GDB_ACK,       /* + */
    GDB_NAK,       /* - */
    GDB_INTERRUPT, /* Ctrl-C */
} GdbInput;

typedef struct {
    enum { GDB_OUTSIDE, GDB_INSIDE, GDB_ESCAPED, GDB_SUM_HIGH, GDB_SUM_LOW } state;
    GString *payload; /* without escapes, with a NUL behind it */
    uint8_t sum, sent_sum;
    bool too_long;
} GdbParser;

void gdb_parser_init(GdbParser *parser);
void gdb_parser_clear(GdbParser *parser);
GdbInput gdb_parser_take(GdbParser *parser, uint8_t byte);
/* Appends PAYLOAD as a packet to OUT. */
void gdb_append_packet(GByteArray *out, const char *payload, size_t length);
void gdb_append_hex(GString *out, const void *data, size_t length);
/* LENGTH bytes from twice as many digits at TEXT; false when something else stands there. */
bool gdb_parse_hex(const char *text, void *data, size_t length);
/* The hexadecimal number at *TEXT, which is moved behind it. False without a digit and when it has
 * more than 64 bits. */
bool gdb_take_number(const char **text, uint64_t *value);
/* Moves *TEXT behind PREFIX if that stands there. */
bool gdb_take_prefix(const char **text, const char *prefix);

/* --- a client --- */

typedef struct {
    uint8_t type; /* of the Z packet, 0 to 4 */
    uint64_t address, length;
} GdbPoint;

typedef struct GdbRegister GdbRegister;

typedef struct {
    GdbServer *server;
    Pc *pc;
    GObject *connection; /* keeps the streams alive; NULL for stdio */
    GPollableInputStream *input;
    GPollableOutputStream *output;
    GSource *input_source, *output_source;
    GByteArray *outgoing;
    GByteArray *last; /* the last packet, should it be asked for again */
    GdbParser parser;
    bool no_acks, swbreak, hwbreak;
    bool ending; /* nothing more is read; closed when all is sent */
    bool closed;
    unsigned references; /* of those who work with it: it may be closed meanwhile */

    bool waiting;       /* for a stop reply */
    char *stop_reply;   /* the last */
    unsigned cpu;       /* chosen by Hg */
    int run_cpu;        /* chosen by Hc; -1: all */
    unsigned step_mode; /* GDB_STEP_* */
    bool physical;      /* memory packets hold physical addresses */
    GArray *points;     /* GdbPoint, as GDB wants them */
    GArray *applied;    /* DebugPoint, as the vCPUs have them */

    bool is_64bit; /* what GDB is told */
    bool has_avx;
    GArray *registers; /* GdbRegister, in the order of GDB's numbers */
    char *description; /* target.xml */
} GdbClient;

/* QEMU's bits of qqemu.sstep. */
enum { GDB_STEP_ENABLE = 1, GDB_STEP_NO_IRQ = 2, GDB_STEP_NO_TIMER = 4 };

/* gdb.c */
void gdb_client_send(GdbClient *client, const char *payload, size_t length);
void gdb_client_send_text(GdbClient *client, const char *payload);
/* When all is sent. */
void gdb_client_end(GdbClient *client);
const GdbOps *gdb_client_ops(GdbClient *client, void **opaque);

/* gdb-commands.c */
void gdb_run_packet(GdbClient *client, const char *payload, size_t length);
/* Ctrl-C came. */
void gdb_interrupt(GdbClient *client);

/* gdb-run.c: breakpoints, going on and stopping. They answer by themselves. */
void gdb_change_point(GdbClient *client, const char *packet);          /* Z and z */
void gdb_go_on(GdbClient *client, char action, const char *arguments); /* c, C, s, S */
void gdb_go_on_by_vcont(GdbClient *client, const char *actions);
/* Takes all points from the vCPUs and leaves them. */
void gdb_let_go(GdbClient *client);
/* The machine has stopped, which the client may be waiting for. */
void gdb_tell_stop(GdbClient *client, MachineCause cause, int cpu, const DebugStop *stop);

/* gdb-registers.c */
/* Decides what GDB is told the machine is, and its registers. */
void gdb_make_registers(GdbClient *client, GdbArch arch);
void gdb_read_registers(GdbClient *client);                        /* g */
void gdb_write_registers(GdbClient *client, const char *hex);      /* G */
void gdb_read_register(GdbClient *client, const char *arguments);  /* p */
void gdb_write_register(GdbClient *client, const char *arguments); /* P */
/* Sets RIP of the vCPU. */
void gdb_set_rip(GdbClient *client, unsigned cpu, uint64_t rip);

/* gdb-memory.c */
void gdb_read_memory(GdbClient *client, const char *arguments); /* m */
/* M with hexadecimal data, X with BINARY; LENGTH of all arguments. */
void gdb_write_memory(GdbClient *client, const char *arguments, size_t length, bool binary);
