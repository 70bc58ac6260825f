/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/devices/ps2.h"

#include "core/devices/ps2-keys.h"
#include "core/machine/input.h"

#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

enum { ACK = 0xfa, RESEND = 0xfe, SELF_TEST_PASSED = 0xaa, ECHO = 0xee };

enum {
    KBD_SET_LEDS = 0xed,
    KBD_ECHO = 0xee,
    KBD_SCAN_SET = 0xf0,
    KBD_IDENTIFY = 0xf2,
    KBD_TYPEMATIC = 0xf3,
    KBD_ENABLE = 0xf4,
    KBD_DISABLE = 0xf5,
    KBD_DEFAULTS = 0xf6,
    KBD_ALL_FIRST = 0xf7,
    KBD_ALL_LAST = 0xfa,
    KBD_KEY_FIRST = 0xfb,
    KBD_KEY_LAST = 0xfd,
    KBD_RESEND = 0xfe,
    KBD_RESET = 0xff,
    KBD_OVERRUN = 0x00,
};
enum {
    AUX_SCALE_11 = 0xe6,
    AUX_SCALE_21 = 0xe7,
    AUX_RESOLUTION = 0xe8,
    AUX_STATUS = 0xe9,
    AUX_STREAM = 0xea,
    AUX_READ = 0xeb,
    AUX_WRAP_OFF = 0xec,
    AUX_WRAP = 0xee,
    AUX_REMOTE = 0xf0,
    AUX_IDENTIFY = 0xf2,
    AUX_RATE = 0xf3,
    AUX_ENABLE = 0xf4,
    AUX_DISABLE = 0xf5,
    AUX_DEFAULTS = 0xf6,
    AUX_RESEND = 0xfe,
    AUX_RESET = 0xff,
};

/* A keyboard buffers 16 bytes; answers to commands come on top. */
#define QUEUE_SIZE 256u
#define KEY_LIMIT  16u
#define MAX_MOTION 4096 /* that waits to be read, in counts */

/* What a key does in scan code set 3; in the other sets every key does all. */
enum { KEY_REPEATS = 1 << 0, KEY_BREAKS = 1 << 1, KEY_DOES_ALL = KEY_REPEATS | KEY_BREAKS };

typedef struct {
    bool scanning;
    bool overrun; /* the last code in the queue says that keys were lost */
    int set;
    uint8_t key_types[256]; /* by set 3 make code */
    uint8_t typematic;
    unsigned repeating; /* evdev code, 0: none */
    ClockTimer *repeat_timer;
} Keyboard;

typedef struct {
    uint8_t id; /* 0 standard, 3 wheel, 4 five buttons */
    uint8_t resolution, rate, rate_history[3];
    bool enabled, remote, wrap, scale21;
    int dx, dy, wheel;
    unsigned buttons, sent_buttons;
} Mouse;

struct Ps2Port {
    Board *board;
    bool is_mouse;
    Ps2Ready ready;
    void *opaque;
    uint8_t queue[QUEUE_SIZE];
    unsigned head, count;
    uint8_t last_sent;
    uint8_t command; /* waits for an argument; 0: none */
    Keyboard keyboard;
    Mouse mouse;
};

/* The controller is told once all of a sequence is here: it reads at once. */
static void queue(Ps2Port *port, uint8_t byte)
{
    if (port->count < QUEUE_SIZE)
        port->queue[(port->head + port->count++) % QUEUE_SIZE] = byte;
}

static void tell(Ps2Port *port)
{
    if (port->count)
        port->ready(port->opaque);
}

bool ps2_has_data(const Ps2Port *port)
{
    return port->count > 0;
}

static void mouse_flush(Ps2Port *port);

uint8_t ps2_read(Ps2Port *port)
{
    uint8_t byte = port->queue[port->head];

    port->head = (port->head + 1) % QUEUE_SIZE;
    port->count--;
    port->last_sent = byte;
    /* Movement that found no room comes next; who reads looks for it. */
    if (port->is_mouse && !port->count)
        mouse_flush(port);
    return byte;
}

/* --- keyboard --------------------------------------------------------------------------------- */

static void stop_repeating(Keyboard *keyboard)
{
    keyboard->repeating = 0;
    clock_timer_cancel(keyboard->repeat_timer);
}

static void keyboard_defaults(Ps2Port *port)
{
    port->keyboard.set = 2;
    port->keyboard.typematic = 0x2b; /* 500 ms, 10.9 a second */
    memset(port->keyboard.key_types, KEY_DOES_ALL, sizeof(port->keyboard.key_types));
    stop_repeating(&port->keyboard);
}

/* What the keyboard has not sent yet is forgotten, with the key that repeats. */
static void clear_keys(Ps2Port *port)
{
    port->count = 0;
    stop_repeating(&port->keyboard);
}

static uint8_t key_type(const Keyboard *keyboard, unsigned code)
{
    uint8_t make[PS2_MAX_SEQUENCE];

    if (code == KEY_PAUSE && keyboard->set != 3) /* its break code follows at once */
        return KEY_BREAKS;
    if (keyboard->set != 3 || !ps2_key_sequence(code, true, 3, make))
        return KEY_DOES_ALL;
    return keyboard->key_types[make[0]];
}

static void send_key(Ps2Port *port, unsigned code, bool down)
{
    uint8_t bytes[PS2_MAX_SEQUENCE];
    unsigned n = ps2_key_sequence(code, down, port->keyboard.set, bytes);

    if (!n || (!down && !(key_type(&port->keyboard, code) & KEY_BREAKS)))
        return;
    if (port->count + n > KEY_LIMIT) { /* overrun: one code says so */
        if (!port->keyboard.overrun)
            queue(port, port->keyboard.set == 1 ? 0xff : KBD_OVERRUN);
        port->keyboard.overrun = true;
        tell(port);
        return;
    }
    port->keyboard.overrun = false;
    for (unsigned i = 0; i < n; i++)
        queue(port, bytes[i]);
    tell(port);
}

/* Typematic byte (PS/2 TRM): delay (bits 5-6 + 1) * 250 ms; period (8 + A) * 2^B * 4.17 ms. */
static int64_t repeat_period(const Ps2Port *port)
{
    uint8_t t = port->keyboard.typematic;

    return (int64_t)(8 + (t & 7)) * (1 << ((t >> 3) & 3)) * 4170000;
}

static void repeat(void *opaque)
{
    Ps2Port *port = opaque;

    if (!port->keyboard.repeating)
        return;
    if (port->count == 0) /* a guest that does not read gets no pile of repeats */
        send_key(port, port->keyboard.repeating, true);
    clock_timer_set(port->keyboard.repeat_timer,
                    clock_now(port->board->clock) + repeat_period(port));
}

static void keyboard_key(void *opaque, unsigned code, bool down)
{
    Ps2Port *port = opaque;
    Keyboard *keyboard = &port->keyboard;

    bool in_list = port->command >= KBD_KEY_FIRST && port->command <= KBD_KEY_LAST;

    if (!keyboard->scanning || in_list || (down && keyboard->repeating == code))
        return;
    send_key(port, code, down);
    if (down && !(key_type(keyboard, code) & KEY_REPEATS)) {
        stop_repeating(keyboard);
    } else if (down) {
        keyboard->repeating = code;
        clock_timer_set(keyboard->repeat_timer,
                        clock_now(port->board->clock) +
                            (((keyboard->typematic >> 5) & 3) + 1) * 250000000ll);
    } else if (keyboard->repeating == code) {
        stop_repeating(keyboard);
    }
}

/* F7h-FAh for all keys and FBh-FDh for single ones, in the same order. */
static uint8_t type_of_command(uint8_t command)
{
    static const uint8_t types[] = {KEY_REPEATS, KEY_BREAKS, 0, KEY_DOES_ALL};

    return types[command - (command < KBD_KEY_FIRST ? KBD_ALL_FIRST : KBD_KEY_FIRST)];
}

static void keyboard_argument(Ps2Port *port, uint8_t byte)
{
    uint8_t command = port->command;

    port->command = 0;
    switch (command) {
    case KBD_SET_LEDS: queue(port, ACK); break;
    case KBD_TYPEMATIC:
        port->keyboard.typematic = byte & 0x7f;
        queue(port, ACK);
        break;
    case KBD_SCAN_SET:
        if (byte > 3) {
            queue(port, RESEND);
            break;
        }
        queue(port, ACK);
        if (byte == 0)
            queue(port, port->keyboard.set);
        else
            port->keyboard.set = byte;
        break;
    default: /* the list of keys for FB-FD ends with the next command */
        port->command = command;
        port->keyboard.key_types[byte] = type_of_command(command);
        queue(port, ACK);
        break;
    }
}

static void keyboard_command(Ps2Port *port, uint8_t byte)
{
    switch (byte) {
    case KBD_SCAN_SET: clear_keys(port); /* fall through */
    case KBD_SET_LEDS:
    case KBD_TYPEMATIC:
        port->command = byte;
        queue(port, ACK);
        break;
    case KBD_ECHO: queue(port, ECHO); break;
    case KBD_IDENTIFY:
        queue(port, ACK);
        queue(port, 0xab);
        queue(port, 0x83);
        break;
    case KBD_ENABLE:
        clear_keys(port);
        port->keyboard.scanning = true;
        queue(port, ACK);
        break;
    case KBD_DISABLE:
    case KBD_DEFAULTS:
        clear_keys(port);
        keyboard_defaults(port);
        if (byte == KBD_DISABLE) /* the other goes on as it was */
            port->keyboard.scanning = false;
        queue(port, ACK);
        break;
    case KBD_RESEND: queue(port, port->last_sent); break;
    case KBD_RESET:
        ps2_reset(port);
        queue(port, ACK);
        queue(port, SELF_TEST_PASSED);
        break;
    default:
        if (byte >= KBD_ALL_FIRST && byte <= KBD_ALL_LAST) {
            memset(port->keyboard.key_types, type_of_command(byte),
                   sizeof(port->keyboard.key_types));
            queue(port, ACK);
        } else if (byte >= KBD_KEY_FIRST && byte <= KBD_KEY_LAST) {
            port->command = byte;
            queue(port, ACK);
        } else {
            queue(port, RESEND);
        }
        break;
    }
}

/* --- mouse ------------------------------------------------------------------------------------ */

static void mouse_defaults(Mouse *mouse)
{
    mouse->resolution = 2;
    mouse->rate = 100;
    mouse->enabled = mouse->remote = mouse->wrap = mouse->scale21 = false;
    mouse->dx = mouse->dy = mouse->wheel = 0;
}

/* 2:1 scaling, which stream mode has (PS/2 TRM, "Set Scaling 2:1"). */
static int scale(const Mouse *mouse, int counts)
{
    static const uint8_t small[] = {0, 1, 1, 3, 6, 9};
    int scaled = abs(counts) < (int)sizeof(small) ? small[abs(counts)] : abs(counts) * 2;

    if (!mouse->scale21 || mouse->remote)
        return counts;
    return counts < 0 ? -scaled : scaled;
}

/* A report has nine bits for each direction; what is over stays for the next. */
static void send_packet(Ps2Port *port)
{
    Mouse *mouse = &port->mouse;
    int most = mouse->scale21 && !mouse->remote ? 127 : 255;
    int moved_x = CLAMP(mouse->dx, -most, most), moved_y = CLAMP(mouse->dy, -most, most);
    int dx = scale(mouse, moved_x), dy = scale(mouse, moved_y);
    int limit = mouse->id == 4 ? 7 : 127;
    int wheel = CLAMP(mouse->wheel, -limit, limit);

    queue(port, (mouse->buttons & 7) | 8 | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0));
    queue(port, dx & 0xff);
    queue(port, dy & 0xff);
    if (mouse->id == 3)
        queue(port, -wheel & 0xff);
    else if (mouse->id == 4)
        queue(port,
              (-wheel & 0x0f) | (mouse->buttons & 8 ? 0x10 : 0) | (mouse->buttons & 16 ? 0x20 : 0));
    mouse->dx -= moved_x;
    mouse->dy -= moved_y;
    mouse->wheel -= wheel;
    mouse->sent_buttons = mouse->buttons;
}

static bool mouse_has_news(const Mouse *mouse)
{
    return mouse->dx || mouse->dy || mouse->wheel || mouse->buttons != mouse->sent_buttons;
}

static void mouse_flush(Ps2Port *port)
{
    Mouse *mouse = &port->mouse;

    if (!mouse->enabled || mouse->remote || mouse->wrap)
        return;
    while (mouse_has_news(mouse) && port->count + 4 <= KEY_LIMIT)
        send_packet(port);
}

static void mouse_motion(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
    Ps2Port *port = opaque;
    Mouse *mouse = &port->mouse;

    mouse->dx = CLAMP(mouse->dx + CLAMP(dx, -MAX_MOTION, MAX_MOTION), -MAX_MOTION, MAX_MOTION);
    /* PS/2 counts up as positive. */
    mouse->dy = CLAMP(mouse->dy - CLAMP(dy, -MAX_MOTION, MAX_MOTION), -MAX_MOTION, MAX_MOTION);
    mouse->wheel = mouse->id ? CLAMP(mouse->wheel + CLAMP(wheel, -64, 64), -64, 64) : 0;
    /* Bits: left, right, middle as in the packet's first byte. */
    mouse->buttons = buttons & (mouse->id == 4 ? 31 : 7);
    mouse_flush(port);
    tell(port);
}

/* The IntelliMouse "knock": sample rates 200, 100, 80 make it a wheel mouse, then 200, 200, 80 a
 * five-button one. */
static void note_rate(Mouse *mouse, uint8_t rate)
{
    mouse->rate = rate;
    mouse->rate_history[0] = mouse->rate_history[1];
    mouse->rate_history[1] = mouse->rate_history[2];
    mouse->rate_history[2] = rate;
    if (mouse->rate_history[0] == 200 && mouse->rate_history[2] == 80) {
        if (mouse->rate_history[1] == 100)
            mouse->id = MAX(mouse->id, 3);
        else if (mouse->rate_history[1] == 200 && mouse->id >= 3)
            mouse->id = 4;
    }
}

static void mouse_command(Ps2Port *port, uint8_t byte)
{
    Mouse *mouse = &port->mouse;

    if (mouse->wrap && byte != AUX_WRAP_OFF && byte != AUX_RESET) {
        queue(port, byte);
        return;
    }
    /* A command interrupts a packet on its way. */
    port->count = 0;
    switch (byte) {
    case AUX_SCALE_11:
    case AUX_SCALE_21: mouse->scale21 = byte == AUX_SCALE_21; break;
    case AUX_RESOLUTION:
    case AUX_RATE: port->command = byte; break;
    case AUX_STATUS:
        queue(port, ACK);
        queue(port, (mouse->remote ? 0x40 : 0) | (mouse->enabled ? 0x20 : 0) |
                        (mouse->scale21 ? 0x10 : 0) | (mouse->buttons & 1 ? 4 : 0) |
                        (mouse->buttons & 4 ? 2 : 0) | (mouse->buttons & 2 ? 1 : 0));
        queue(port, mouse->resolution);
        queue(port, mouse->rate);
        return;
    case AUX_STREAM: mouse->remote = false; break;
    case AUX_REMOTE: mouse->remote = true; break;
    case AUX_READ:
        queue(port, ACK);
        send_packet(port);
        return;
    case AUX_WRAP: mouse->wrap = true; break;
    case AUX_WRAP_OFF: mouse->wrap = false; break;
    case AUX_IDENTIFY:
        queue(port, ACK);
        queue(port, mouse->id);
        return;
    case AUX_ENABLE: mouse->enabled = true; break;
    case AUX_DISABLE: mouse->enabled = false; break;
    case AUX_DEFAULTS: mouse_defaults(mouse); break;
    case AUX_RESEND: queue(port, port->last_sent); return;
    case AUX_RESET:
        ps2_reset(port);
        queue(port, ACK);
        queue(port, SELF_TEST_PASSED);
        queue(port, mouse->id);
        return;
    default: queue(port, RESEND); return;
    }
    queue(port, ACK);
}

static void mouse_argument(Ps2Port *port, uint8_t byte)
{
    if (port->command == AUX_RATE)
        note_rate(&port->mouse, byte);
    else
        port->mouse.resolution = byte & 3;
    port->command = 0;
    queue(port, ACK);
}

/* --- both ------------------------------------------------------------------------------------- */

void ps2_write(Ps2Port *port, uint8_t byte)
{
    /* An argument never has the top bits of a command, but for the key lists of set 3. */
    bool is_argument = port->command && byte < 0xe6;

    if (!is_argument)
        port->command = 0;
    if (port->is_mouse) {
        if (is_argument)
            mouse_argument(port, byte);
        else
            mouse_command(port, byte);
    } else {
        if (is_argument)
            keyboard_argument(port, byte);
        else
            keyboard_command(port, byte);
    }
    tell(port);
}

void ps2_reset(Ps2Port *port)
{
    port->head = port->count = 0;
    port->command = 0;
    port->last_sent = 0;
    if (port->is_mouse) {
        mouse_defaults(&port->mouse);
        port->mouse.id = 0;
        memset(port->mouse.rate_history, 0, sizeof(port->mouse.rate_history));
    } else {
        keyboard_defaults(port);
        port->keyboard.scanning = true;
        port->keyboard.overrun = false;
    }
}

static Ps2Port *port_new(Board *board, bool is_mouse, Ps2Ready ready, void *opaque)
{
    static const InputHandler keyboard_handler = {.key = keyboard_key};
    static const InputHandler mouse_handler = {.motion = mouse_motion};
    Ps2Port *port = g_new0(Ps2Port, 1);

    port->board = board;
    port->is_mouse = is_mouse;
    port->ready = ready;
    port->opaque = opaque;
    if (!is_mouse)
        port->keyboard.repeat_timer = clock_timer_new(board->clock, repeat, port);
    ps2_reset(port);
    input_hub_add(board->input, is_mouse ? &mouse_handler : &keyboard_handler, port);
    input_hub_set_active(board->input, port, true);
    return port;
}

Ps2Port *ps2_keyboard_new(Board *board, Ps2Ready ready, void *opaque)
{
    return port_new(board, false, ready, opaque);
}

Ps2Port *ps2_mouse_new(Board *board, Ps2Ready ready, void *opaque)
{
    return port_new(board, true, ready, opaque);
}

void ps2_free(Ps2Port *port)
{
    if (!port)
        return;
    input_hub_remove(port->board->input, port);
    clock_timer_free(port->keyboard.repeat_timer);
    g_free(port);
}
