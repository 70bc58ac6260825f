/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/chipset/ports.h"

enum {
    PORT_POST = 0x80,
    PORT_A = 0x92,
    PORT_A_FAST_RESET = 1 << 0,
    PORT_A_A20 = 1 << 1,
    POST_HISTORY = 64,
};

struct SystemPorts {
    Board *board;
    uint8_t port_a;
    uint8_t post[POST_HISTORY]; /* ring; post_count % POST_HISTORY is the oldest */
    unsigned post_count;
};

static void post_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    SystemPorts *ports = opaque;

    /* Many systems write here only for the delay: keep what is news. */
    if (ports->post_count && ports->post[(ports->post_count - 1) % POST_HISTORY] == (uint8_t)value)
        return;
    ports->post[ports->post_count++ % POST_HISTORY] = value;
}

static uint32_t post_read(void *opaque, uint16_t port, unsigned size)
{
    SystemPorts *ports = opaque;
    return ports->post_count ? ports->post[(ports->post_count - 1) % POST_HISTORY] : 0;
}

static void port_a_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    SystemPorts *ports = opaque;
    bool reset = (value & PORT_A_FAST_RESET) && !(ports->port_a & PORT_A_FAST_RESET);

    ports->port_a = value & (PORT_A_FAST_RESET | PORT_A_A20);
    ports->board->set_a20(ports->board, value & PORT_A_A20);
    if (reset)
        ports->board->request_reset(ports->board, "fast reset (port 92h)");
}

static uint32_t port_a_read(void *opaque, uint16_t port, unsigned size)
{
    SystemPorts *ports = opaque;
    return ports->port_a;
}

static const PortOps post_ops = {.read = post_read, .write = post_write, .max_size = 1};
static const PortOps port_a_ops = {.read = port_a_read, .write = port_a_write, .max_size = 1};

SystemPorts *system_ports_new(Board *board)
{
    SystemPorts *ports = g_new0(SystemPorts, 1);

    ports->board = board;
    port_register(board->memory, PORT_POST, 1, &post_ops, ports);
    port_register(board->memory, PORT_A, 1, &port_a_ops, ports);
    return ports;
}

void system_ports_free(SystemPorts *ports)
{
    if (!ports)
        return;
    port_unregister(ports->board->memory, PORT_POST, 1, ports);
    port_unregister(ports->board->memory, PORT_A, 1, ports);
    g_free(ports);
}

/* The history stays: it tells how the machine came to its reset. */
void system_ports_reset(SystemPorts *ports)
{
    ports->port_a = 0;
}

void system_ports_describe(const SystemPorts *ports, GString *out)
{
    unsigned count = MIN(ports->post_count, POST_HISTORY);

    g_string_append(out, "POST codes:");
    for (unsigned i = ports->post_count - count; i < ports->post_count; i++)
        g_string_append_printf(out, " %02x", ports->post[i % POST_HISTORY]);
    g_string_append(out, count ? "\n" : " none\n");
}
