/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/devices/i8042.h"

#include "core/devices/ps2-keys.h"
#include "core/devices/ps2.h"

enum { PORT_DATA = 0x60, PORT_STATUS_COMMAND = 0x64 };

enum {
    STATUS_OBF = 1 << 0,
    STATUS_IBF = 1 << 1,
    STATUS_SYSTEM = 1 << 2,
    STATUS_COMMAND = 1 << 3,
    STATUS_UNLOCKED = 1 << 4,
    STATUS_AUX_OBF = 1 << 5,
};
/* The controller's command byte. */
enum {
    CCB_KBD_INT = 1 << 0,
    CCB_AUX_INT = 1 << 1,
    CCB_SYSTEM = 1 << 2,
    CCB_KBD_OFF = 1 << 4,
    CCB_AUX_OFF = 1 << 5,
    CCB_TRANSLATE = 1 << 6,
};
enum {
    CMD_READ_RAM = 0x20,
    CMD_WRITE_RAM = 0x60,
    CMD_AUX_OFF = 0xa7,
    CMD_AUX_ON = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_KBD_TEST = 0xab,
    CMD_KBD_OFF = 0xad,
    CMD_KBD_ON = 0xae,
    CMD_READ_INPUT = 0xc0,
    CMD_READ_OUTPUT = 0xd0,
    CMD_WRITE_OUTPUT = 0xd1,
    CMD_KBD_LOOP = 0xd2,
    CMD_AUX_LOOP = 0xd3,
    CMD_WRITE_AUX = 0xd4,
    CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf,
    CMD_PULSE = 0xf0,
};
enum {
    OUT_NOT_RESET = 1 << 0,
    OUT_A20 = 1 << 1,
    OUT_KBD_IRQ = 1 << 4,
    OUT_AUX_IRQ = 1 << 5,
};

typedef enum { FROM_NONE, FROM_KEYBOARD, FROM_AUX, FROM_CONTROLLER } Source;

struct I8042 {
    Board *board;
    Ps2Port *keyboard, *mouse;
    uint8_t ram[32]; /* ram[0] is the command byte */
    uint8_t output_port;
    uint8_t pending_command; /* waits for its argument at port 60h; 0: none */
    bool last_write_was_command;
    uint8_t data;
    Source source;     /* of DATA; FROM_NONE: the output buffer is empty */
    bool break_prefix; /* F0h seen while translating */
};

static void update_irq(I8042 *c)
{
    bool keyboard = c->source == FROM_KEYBOARD || c->source == FROM_CONTROLLER;

    irq_set(&c->board->isa_irq[1], keyboard && (c->ram[0] & CCB_KBD_INT));
    irq_set(&c->board->isa_irq[12], c->source == FROM_AUX && (c->ram[0] & CCB_AUX_INT));
}

/* Set 2 to set 1 on the fly; false when the byte gives nothing yet (the break prefix). */
static bool translate(I8042 *c, uint8_t *byte)
{
    if (!(c->ram[0] & CCB_TRANSLATE))
        return true;
    if (*byte == 0xf0) {
        c->break_prefix = true;
        return false;
    }
    *byte = ps2_translate(*byte) | (c->break_prefix ? 0x80 : 0);
    c->break_prefix = false;
    return true;
}

/* Takes the next byte of a device into the output buffer if it is free. */
static void fill(I8042 *c)
{
    while (c->source == FROM_NONE) {
        if (!(c->ram[0] & CCB_KBD_OFF) && ps2_has_data(c->keyboard)) {
            c->data = ps2_read(c->keyboard);
            if (!translate(c, &c->data))
                continue;
            c->source = FROM_KEYBOARD;
        } else if (!(c->ram[0] & CCB_AUX_OFF) && ps2_has_data(c->mouse)) {
            c->data = ps2_read(c->mouse);
            c->source = FROM_AUX;
        } else {
            break;
        }
    }
    update_irq(c);
}

static void device_ready(void *opaque)
{
    fill(opaque);
}

static void answer(I8042 *c, uint8_t byte, Source source)
{
    c->data = byte;
    c->source = source;
    update_irq(c);
}

static void write_output_port(I8042 *c, uint8_t value)
{
    c->output_port = value;
    c->board->set_a20(c->board, value & OUT_A20);
    if (!(value & OUT_NOT_RESET))
        c->board->request_reset(c->board, "keyboard controller");
}

static uint32_t read_data(void *opaque, uint16_t port, unsigned size)
{
    I8042 *c = opaque;
    uint8_t value = c->data;

    if (c->source != FROM_NONE) {
        c->source = FROM_NONE;
        update_irq(c); /* the line drops before the next byte raises it */
        fill(c);
    }
    return value;
}

static void write_data(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    I8042 *c = opaque;
    uint8_t command = c->pending_command;

    c->pending_command = 0;
    c->last_write_was_command = false;
    if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + 32) {
        c->ram[command - CMD_WRITE_RAM] = value;
        fill(c);
        return;
    }
    switch (command) {
    case CMD_WRITE_OUTPUT: write_output_port(c, value); break;
    case CMD_KBD_LOOP: answer(c, value, FROM_KEYBOARD); break;
    case CMD_AUX_LOOP: answer(c, value, FROM_AUX); break;
    case CMD_WRITE_AUX:
        c->ram[0] &= ~CCB_AUX_OFF;
        ps2_write(c->mouse, value);
        break;
    default:
        c->ram[0] &= ~CCB_KBD_OFF; /* sending to the keyboard opens its clock line */
        ps2_write(c->keyboard, value);
        break;
    }
}

static uint32_t read_status(void *opaque, uint16_t port, unsigned size)
{
    I8042 *c = opaque;

    return (c->source != FROM_NONE ? STATUS_OBF : 0) |
           (c->source == FROM_AUX ? STATUS_AUX_OBF : 0) |
           (c->ram[0] & CCB_SYSTEM ? STATUS_SYSTEM : 0) |
           (c->last_write_was_command ? STATUS_COMMAND : 0) | STATUS_UNLOCKED;
}

static void write_command(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    I8042 *c = opaque;

    c->last_write_was_command = true;
    c->pending_command = 0;
    if (value >= CMD_READ_RAM && value < CMD_READ_RAM + 32) {
        answer(c, c->ram[value - CMD_READ_RAM], FROM_CONTROLLER);
        return;
    }
    if (value >= CMD_WRITE_RAM && value < CMD_WRITE_RAM + 32) {
        c->pending_command = value;
        return;
    }
    switch (value) {
    case CMD_AUX_OFF: c->ram[0] |= CCB_AUX_OFF; break;
    case CMD_AUX_ON: c->ram[0] &= ~CCB_AUX_OFF; break;
    case CMD_KBD_OFF: c->ram[0] |= CCB_KBD_OFF; break;
    case CMD_KBD_ON: c->ram[0] &= ~CCB_KBD_OFF; break;
    case CMD_AUX_TEST:
    case CMD_KBD_TEST: answer(c, 0x00, FROM_CONTROLLER); return;
    case CMD_SELF_TEST:
        c->ram[0] |= CCB_SYSTEM;
        answer(c, 0x55, FROM_CONTROLLER);
        return;
    case CMD_READ_INPUT: answer(c, 0x80, FROM_CONTROLLER); return; /* not locked */
    case CMD_READ_OUTPUT:
        answer(c,
               c->output_port | (c->source == FROM_AUX ? OUT_AUX_IRQ : 0) |
                   (c->source == FROM_KEYBOARD ? OUT_KBD_IRQ : 0),
               FROM_CONTROLLER);
        return;
    case CMD_WRITE_OUTPUT:
    case CMD_KBD_LOOP:
    case CMD_AUX_LOOP:
    case CMD_WRITE_AUX: c->pending_command = value; break;
    case CMD_A20_OFF: write_output_port(c, c->output_port & ~OUT_A20); break;
    case CMD_A20_ON: write_output_port(c, c->output_port | OUT_A20); break;
    default:
        /* F0-FF pulse the output lines whose bits are clear; bit 0 is the CPU's reset. */
        if (value >= CMD_PULSE && !(value & OUT_NOT_RESET))
            c->board->request_reset(c->board, "keyboard controller");
        break;
    }
    fill(c);
}

static const PortOps data_ops = {read_data, write_data, 1};
static const PortOps command_ops = {read_status, write_command, 1};

void i8042_reset(I8042 *c)
{
    c->ram[0] = CCB_KBD_INT | CCB_AUX_INT;
    for (int i = 1; i < 32; i++)
        c->ram[i] = 0;
    write_output_port(c, OUT_NOT_RESET | OUT_A20 | 0xcc);
    c->pending_command = 0;
    c->last_write_was_command = false;
    c->source = FROM_NONE;
    c->break_prefix = false;
    ps2_reset(c->keyboard);
    ps2_reset(c->mouse);
    update_irq(c);
}

I8042 *i8042_new(Board *board)
{
    I8042 *c = g_new0(I8042, 1);

    c->board = board;
    c->keyboard = ps2_keyboard_new(board, device_ready, c);
    c->mouse = ps2_mouse_new(board, device_ready, c);
    i8042_reset(c);
    port_register(board->memory, PORT_DATA, 1, &data_ops, c);
    port_register(board->memory, PORT_STATUS_COMMAND, 1, &command_ops, c);
    return c;
}

void i8042_free(I8042 *c)
{
    if (!c)
        return;
    port_unregister(c->board->memory, PORT_DATA, 1, c);
    port_unregister(c->board->memory, PORT_STATUS_COMMAND, 1, c);
    ps2_free(c->keyboard);
    ps2_free(c->mouse);
    g_free(c);
}
