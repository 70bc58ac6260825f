/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* A board with ports, interrupt wires, an input hub and a clock that the test moves: enough for the
 * small devices of the ISA bus. */

#include "core/chardev/chardev.h"
#include "core/machine/input.h"

typedef struct {
    Board board; /* first */
    bool irq[16];
    unsigned edges[16], resets, exits;
    int exit_status;
    bool a20;
    Chardev *chardev;
    GByteArray *output; /* what was written to chardev */
} PortFixture;

static inline void fixture_irq(void *opaque, int number, bool level)
{
    PortFixture *f = opaque;

    f->edges[number] += level && !f->irq[number];
    f->irq[number] = level;
}

static inline void fixture_reset(Board *board, const char *cause)
{
    ((PortFixture *)board)->resets++;
}

static inline void fixture_exit(Board *board, int status)
{
    ((PortFixture *)board)->exits++;
    ((PortFixture *)board)->exit_status = status;
}

static inline void fixture_a20(Board *board, bool enabled)
{
    ((PortFixture *)board)->a20 = enabled;
}

static inline Chardev *fixture_find_chardev(Board *board, const char *id)
{
    PortFixture *f = (PortFixture *)board;

    return g_str_equal(id, chardev_id(f->chardev)) ? f->chardev : NULL;
}

static inline void fixture_output(void *opaque, const uint8_t *data, size_t length)
{
    g_byte_array_append(((PortFixture *)opaque)->output, data, length);
}

static inline void port_fixture_init(PortFixture *f)
{
    Board *board = &f->board;

    *f = (PortFixture){.a20 = true};
    g_mutex_init(&board->lock);
    board->context = g_main_context_new();
    board->clock = clock_new_manual();
    board->memory = memory_map_new();
    board->input = input_hub_new();
    board->request_reset = fixture_reset;
    board->request_exit = fixture_exit;
    board->set_a20 = fixture_a20;
    board->find_chardev = fixture_find_chardev;
    for (int i = 0; i < 16; i++)
        board->isa_irq[i] = (IrqLine){fixture_irq, f, i};
    f->output = g_byte_array_new();
    f->chardev = chardev_new_internal(board, "test", fixture_output, f);
}

static inline void port_fixture_destroy(PortFixture *f)
{
    Board *board = &f->board;

    chardev_close(f->chardev);
    g_byte_array_unref(f->output);
    input_hub_free(board->input);
    memory_map_free(board->memory);
    clock_free(board->clock);
    g_main_context_unref(board->context);
    g_mutex_clear(&board->lock);
}

/* What the board thread would do now. */
static inline void run_board(PortFixture *f)
{
    while (g_main_context_iteration(f->board.context, FALSE))
        ;
}

static inline uint8_t inb(PortFixture *f, uint16_t port)
{
    return port_read(f->board.memory, port, 1);
}

static inline void outb(PortFixture *f, uint16_t port, uint8_t value)
{
    port_write(f->board.memory, port, value, 1);
}
