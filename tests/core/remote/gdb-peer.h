/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * A GDB's side of the connection, and a machine whose firmware is all of its guest. In real mode at
 * F000:F000 (linear FF000):
 *
 *   F009  mov cx, 0
 *   F00C  inc cx
 *   F00D  mov [600h], cx
 *   F011  mov dx, [610h]
 *   F015  push cx          ; at 6FFEh
 *   F016  call F01B
 *   F019  jmp F00C
 *   F01B  cmp cx, dx
 *   F01D  pop bx
 *   F01E  pop ax
 *   F01F  push bx
 *   F020  ret
 */

#include "core/machine/machine.h"

enum { PEER_RIP = 0x10, PEER_EFLAGS = 0x11 };

typedef struct {
    char *folder, *path; /* the socket */
    Machine *machine;
    int fd;
    GByteArray *received;
    bool no_acks;
} Peer;

/* Starts a stopped machine and connects. */
void peer_init(Peer *p, bool interpreted, unsigned cpus);
void peer_init_with(Peer *p, bool interpreted, unsigned cpus, const char *gdb_options);
void peer_clear(Peer *p);
/* Connects again, after the connection was closed by either side, and turns acknowledgements off.
 */
void peer_connect(Peer *p);
void peer_disconnect(Peer *p);
/* Connects and says nothing. */
void peer_dial(Peer *p);
/* Runs a machine command and returns its text. */
char *peer_command(Peer *p, MachineCommandType type, const char *text);

void peer_send_raw(Peer *p, const void *bytes, size_t length);
void peer_send(Peer *p, const char *payload);
void peer_send_bytes(Peer *p, const void *payload, size_t length);
int peer_receive_byte(Peer *p); /* -1: the connection has ended */
char *peer_receive(Peer *p);    /* the next packet's payload */
char *peer_ask(Peer *p, const char *payload);
void peer_expect(Peer *p, const char *payload, const char *answer);
bool peer_is_cut_off(Peer *p); /* waits for it */

uint64_t peer_number(Peer *p, unsigned number);    /* a register's value */
unsigned peer_register(Peer *p, const char *name); /* a register's number */
/* Lets the machine run, stops it by Ctrl-C and checks that the guest counted on and nothing else
 * stopped it. */
void peer_run_for(Peer *p, unsigned ms);
