/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The other end of the VNC server in its tests: a server with a picture and recorded input, and a
 * small RFB client that can also misbehave. Every wait has a limit. */

#include "core/remote/vnc.h"

#include <gio/gio.h>

#define PEER_WAIT_MS 10000

typedef struct {
    Display *display;
    VncServer *server;
    GMutex lock;
    GCond changed;
    GArray *input;     /* MachineCommand, in order */
    GPtrArray *events; /* char*: names */
    unsigned changes;  /* of the server: on, off, elsewhere */
} Bench;

Bench *bench_new(int width, int height);
void bench_free(Bench *bench);
/* Fills the picture with one colour and publishes it. */
void bench_show(Bench *bench, int width, int height, uint32_t colour);
/* Waits for the event NUMBER (from 0) of the clients' input. */
MachineCommand bench_input(Bench *bench, guint number);
void bench_wait_event(Bench *bench, const char *name);
/* Opens on a free port of 127.0.0.1 with OPTIONS (",password=on") and returns the port. */
uint16_t bench_open(Bench *bench, const char *options);
/* Waits until COUNT clients are left. */
void bench_wait_clients(Bench *bench, unsigned count);

/* --- a client: a connected socket --- */
int peer_connect(uint16_t port);
int peer_connect_unix(const char *path);
void peer_send(int fd, const void *data, size_t length);
/* False when the connection ends first. */
bool peer_receive(int fd, void *data, size_t length);
bool peer_is_closed(int fd); /* waits for the server to hang up */
uint32_t peer_receive_number(int fd);
/* "RFB 003.00MINOR" both ways. */
void peer_greet(int fd, int minor);
/* The whole handshake of version 3.8. PASSWORD NULL: security type None. False: refused. */
bool peer_log_in(int fd, const char *password, bool shared, int *width, int *height);
void peer_set_encodings(int fd, const int32_t *encodings, unsigned n);
void peer_request_update(int fd, bool incremental, int width, int height);
/* Receives messages up to the next rectangle's header: x, y, width, height, encoding. Raw pixels
 * are taken in; *PIXEL is the last one. */
bool peer_next_rect(int fd, uint16_t rect[4], int32_t *encoding, uint32_t *pixel);
void peer_key(int fd, uint32_t keysym, bool down);
void peer_pointer(int fd, uint8_t buttons, uint16_t x, uint16_t y);
