/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* A keyboard controller with its keyboard and mouse, as a driver sees them at ports 60h and 64h. */

#include "core/devices/i8042.h"
#include "port-fixture.h"

#include <linux/input-event-codes.h>

enum { OBF = 1, SYSTEM_FLAG = 4, WAS_COMMAND = 8, UNLOCKED = 16, AUX_OBF = 32 };
enum { ACK = 0xfa, RESEND = 0xfe };

typedef struct {
    PortFixture ports;
    I8042 *controller;
} Fixture;

/* MODE is the command byte: 03h delivers raw bytes with interrupts, 43h translates to set 1. */
static inline void fixture_init(Fixture *f, uint8_t mode)
{
    port_fixture_init(&f->ports);
    f->controller = i8042_new(&f->ports.board);
    outb(&f->ports, 0x64, 0x60);
    outb(&f->ports, 0x60, mode);
}

static inline void fixture_destroy(Fixture *f)
{
    i8042_free(f->controller);
    port_fixture_destroy(&f->ports);
}

/* Reads what waits, "fa 1c f0 1c"; bytes of the mouse have a dash before them. */
static inline char *take(Fixture *f)
{
    GString *text = g_string_new(NULL);
    uint8_t status;

    while ((status = inb(&f->ports, 0x64)) & OBF) {
        g_assert_cmpuint(text->len, <, 4096);
        g_string_append_printf(text, "%s%s%02x", text->len ? " " : "", status & AUX_OBF ? "-" : "",
                               inb(&f->ports, 0x60));
    }
    return g_string_free(text, FALSE);
}

#define assert_bytes(f, expected)                                                                  \
    do {                                                                                           \
        g_autofree char *bytes_ = take(f);                                                         \
        g_assert_cmpstr(bytes_, ==, expected);                                                     \
    } while (0)

static inline void command(Fixture *f, uint8_t byte)
{
    outb(&f->ports, 0x64, byte);
}

static inline void keyboard(Fixture *f, uint8_t byte)
{
    outb(&f->ports, 0x60, byte);
}

static inline void mouse(Fixture *f, uint8_t byte)
{
    command(f, 0xd4);
    outb(&f->ports, 0x60, byte);
}

static inline void key(Fixture *f, unsigned code, bool down)
{
    input_key(f->ports.board.input, code, down);
}

static inline void tap(Fixture *f, unsigned code)
{
    key(f, code, true);
    key(f, code, false);
}

static inline void move(Fixture *f, int dx, int dy, int wheel, unsigned buttons)
{
    input_motion(f->ports.board.input, dx, dy, wheel, buttons);
}

static inline void pass_ms(Fixture *f, int64_t ms)
{
    clock_advance(f->ports.board.clock, ms * 1000000);
}
