/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The UART through its eight ports, against National Semiconductor's PC16550D data sheet; "8.x" is
 * a section of its chapter 8, Registers. */

#include "core/devices/serial.h"

#include "port-fixture.h"

#define COM1 0x3f8
#define IRQ  4

enum {
    RBR = COM1,
    THR = COM1,
    DLL = COM1,
    IER,
    IIR,
    LCR,
    MCR,
    LSR,
    MSR,
    SCR,
    DLM = IER,
    FCR = IIR
};
enum { DR = 0x01, OE = 0x02, THRE = 0x20, TEMT = 0x40 };
enum { OUT2 = 0x08, LOOP = 0x10 };
enum { NONE = 0x01, MODEM = 0x00, EMPTY = 0x02, DATA = 0x04, LINE = 0x06, TIMEOUT = 0x0c };

typedef struct {
    PortFixture ports;
    Serial *serial;
} Fixture;

static void fixture_init(Fixture *f)
{
    port_fixture_init(&f->ports);
    f->serial = serial_new(&f->ports.board, COM1, f->ports.board.isa_irq[IRQ], f->ports.chardev);
}

static void fixture_destroy(Fixture *f)
{
    serial_free(f->serial);
    port_fixture_destroy(&f->ports);
}

static uint8_t in(Fixture *f, uint16_t port)
{
    return inb(&f->ports, port);
}

static void out(Fixture *f, uint16_t port, uint8_t value)
{
    outb(&f->ports, port, value);
}

/* The other end of the line sends LENGTH bytes that count up from FIRST. */
static void send(Fixture *f, uint8_t first, size_t length)
{
    g_autofree uint8_t *bytes = g_malloc(length);

    for (size_t i = 0; i < length; i++)
        bytes[i] = first + i;
    chardev_feed(f->ports.chardev, bytes, length);
    run_board(&f->ports);
}

static void set_divisor(Fixture *f, unsigned divisor)
{
    out(f, LCR, in(f, LCR) | 0x80);
    out(f, DLL, divisor);
    out(f, DLM, divisor >> 8);
    out(f, LCR, in(f, LCR) & 0x7f);
}

/* Table I, and what the part is after a reset. */
static void test_registers(void)
{
    Fixture f;

    fixture_init(&f);
    g_assert_cmphex(in(&f, IER), ==, 0);
    g_assert_cmphex(in(&f, IIR), ==, NONE);
    g_assert_cmphex(in(&f, LCR), ==, 0);
    g_assert_cmphex(in(&f, MCR), ==, 0);
    g_assert_cmphex(in(&f, LSR), ==, THRE | TEMT);
    g_assert_cmphex(in(&f, MSR), ==, 0xb0); /* a peer that is there and ready */
    out(&f, IER, 0xff);
    g_assert_cmphex(in(&f, IER), ==, 0x0f); /* bits 4-7 are always 0 */
    out(&f, IER, 0);
    out(&f, MCR, 0xff);
    g_assert_cmphex(in(&f, MCR), ==, 0x1f);
    out(&f, MCR, 0);
    in(&f, MSR);
    for (unsigned value = 0; value < 256; value++) {
        out(&f, SCR, value);
        g_assert_cmphex(in(&f, SCR), ==, value);
        out(&f, LCR, value & 0x7f);
        g_assert_cmphex(in(&f, LCR), ==, value & 0x7f);
    }
    out(&f, LCR, 3);
    /* The divisor latch is behind bit 7 of LCR and disturbs nothing. */
    out(&f, IER, 5);
    set_divisor(&f, 0x1234);
    g_assert_cmphex(in(&f, IER), ==, 5);
    out(&f, LCR, 0x83);
    g_assert_cmphex(in(&f, DLL), ==, 0x34);
    g_assert_cmphex(in(&f, DLM), ==, 0x12);
    out(&f, LCR, 3);
    g_assert_cmpuint(f.ports.output->len, ==, 0);
    /* LSR and MSR are read-only here; IIR's FIFO bits say that this is a 16550A. */
    out(&f, LSR, 0);
    out(&f, MSR, 0);
    g_assert_cmphex(in(&f, LSR), ==, THRE | TEMT);
    g_assert_cmphex(in(&f, MSR), ==, 0xb0);
    out(&f, FCR, 1);
    g_assert_cmphex(in(&f, IIR) & 0xc0, ==, 0xc0);
    out(&f, FCR, 0);
    g_assert_cmphex(in(&f, IIR) & 0xc0, ==, 0);
    serial_reset(f.serial);
    g_assert_cmphex(in(&f, IER) | in(&f, LCR) | in(&f, MCR), ==, 0);
    fixture_destroy(&f);
}

static void test_transmit(void)
{
    Fixture f;

    fixture_init(&f);
    out(&f, MCR, OUT2);
    out(&f, IER, 2); /* the holding register being empty, at once (8.6.2) */
    g_assert_true(f.ports.irq[IRQ]);
    g_assert_cmphex(in(&f, IIR), ==, EMPTY);
    g_assert_false(f.ports.irq[IRQ]); /* reading IIR is the acknowledgement */
    g_assert_cmphex(in(&f, IIR), ==, NONE);
    unsigned edges = f.ports.edges[IRQ];
    out(&f, THR, 'A');
    g_assert_true(f.ports.irq[IRQ]);
    out(&f, THR, 'B'); /* not acknowledged: still an edge for the 8259 */
    g_assert_cmpuint(f.ports.edges[IRQ], ==, edges + 2);
    g_assert_cmphex(in(&f, LSR), ==, THRE | TEMT);
    g_assert_cmphex(in(&f, IIR), ==, EMPTY);
    run_board(&f.ports);
    g_assert_cmpmem(f.ports.output->data, f.ports.output->len, "AB", 2);
    out(&f, IER, 0);
    out(&f, IER, 2);
    g_assert_cmphex(in(&f, IIR), ==, EMPTY);
    fixture_destroy(&f);
}

static void test_receive_without_fifo(void)
{
    Fixture f;

    fixture_init(&f);
    out(&f, MCR, OUT2);
    out(&f, IER, 1);
    send(&f, 'a', 3);
    g_assert_true(f.ports.irq[IRQ]);
    g_assert_cmphex(in(&f, IIR), ==, DATA);
    g_assert_cmphex(in(&f, IIR), ==, DATA); /* stays until the byte is read */
    g_assert_cmphex(in(&f, LSR), ==, DR | THRE | TEMT);
    /* The back end waits for the guest: nothing is lost. */
    g_assert_cmphex(in(&f, RBR), ==, 'a');
    g_assert_cmphex(in(&f, LSR) & (DR | OE), ==, DR);
    g_assert_cmphex(in(&f, RBR), ==, 'b');
    g_assert_cmphex(in(&f, RBR), ==, 'c');
    g_assert_cmphex(in(&f, LSR) & (DR | OE), ==, 0);
    g_assert_false(f.ports.irq[IRQ]);
    fixture_destroy(&f);
}

/* Trigger levels and the character time-out: 8.4 and "FIFO Interrupt Mode Operation". */
static void test_fifo_levels(void)
{
    static const unsigned levels[] = {1, 4, 8, 14};

    for (unsigned k = 0; k < 4; k++) {
        Fixture f;
        fixture_init(&f);
        out(&f, LCR, 3);
        set_divisor(&f, 1); /* 10 bits are 87 us */
        out(&f, MCR, OUT2);
        out(&f, IER, 1);
        out(&f, FCR, k << 6 | 1);
        if (levels[k] > 1)
            send(&f, 0, levels[k] - 1);
        g_assert_cmphex(in(&f, IIR), ==, 0xc0 | NONE);
        send(&f, levels[k] - 1, 1);
        g_assert_true(f.ports.irq[IRQ]);
        g_assert_cmphex(in(&f, IIR), ==, 0xc0 | DATA);
        g_assert_cmphex(in(&f, RBR), ==, 0);
        g_assert_cmphex(in(&f, IIR), ==, 0xc0 | NONE); /* below the level again */
        if (levels[k] > 1) {
            clock_advance(f.ports.board.clock, 300000);
            g_assert_cmphex(in(&f, IIR), ==, 0xc0 | NONE);
            clock_advance(f.ports.board.clock, 60000); /* four characters of silence */
            g_assert_true(f.ports.irq[IRQ]);
            g_assert_cmphex(in(&f, IIR), ==, 0xc0 | TIMEOUT);
            g_assert_cmphex(in(&f, RBR), ==, 1);
            g_assert_false(f.ports.irq[IRQ]); /* reading restarts the time */
        }
        /* Sixteen bytes, and the rest waits outside. */
        while (in(&f, LSR) & DR)
            in(&f, RBR);
        send(&f, 0x40, 40);
        for (unsigned i = 0; i < 40; i++) {
            g_assert_cmphex(in(&f, LSR) & (DR | OE), ==, DR);
            g_assert_cmphex(in(&f, RBR), ==, 0x40 + i);
        }
        g_assert_cmphex(in(&f, LSR) & DR, ==, 0);
        fixture_destroy(&f);
    }
}

/* The time-out follows the line's speed and the length of a character. */
static void test_timeout_speed(void)
{
    Fixture f;

    fixture_init(&f);
    out(&f, MCR, OUT2);
    out(&f, IER, 1);
    out(&f, FCR, 0xc1);
    out(&f, LCR, 0x0f);  /* 8 data bits, parity, 2 stop bits: 12 in all */
    set_divisor(&f, 12); /* 9600 baud: 1.25 ms each, 5 ms in all */
    send(&f, 1, 1);
    clock_advance(f.ports.board.clock, 4900000);
    g_assert_false(f.ports.irq[IRQ]);
    clock_advance(f.ports.board.clock, 200000);
    g_assert_true(f.ports.irq[IRQ]);
    out(&f, FCR, 0xc3); /* clearing the FIFO ends it */
    g_assert_false(f.ports.irq[IRQ]);
    g_assert_cmphex(in(&f, LSR) & DR, ==, 0);
    set_divisor(&f, 0); /* no such speed: no division by it either */
    send(&f, 1, 1);
    clock_advance(f.ports.board.clock, 1000000);
    g_assert_cmphex(in(&f, IIR), ==, 0xc0 | TIMEOUT);
    fixture_destroy(&f);
}

/* What waits outside comes in whenever room is made, by whichever way. */
static void test_room(void)
{
    Fixture f;

    fixture_init(&f);
    out(&f, FCR, 0x01);
    send(&f, 0, 40);
    out(&f, FCR, 0x03);
    g_assert_cmphex(in(&f, LSR) & DR, ==, DR);
    g_assert_cmphex(in(&f, RBR), ==, 16);
    out(&f, FCR, 0x00); /* switching the FIFOs off clears them as well */
    g_assert_cmphex(in(&f, RBR), ==, 32);
    while (in(&f, LSR) & DR)
        in(&f, RBR);
    out(&f, MCR, LOOP); /* the line is cut off meanwhile */
    send(&f, 0x77, 1);
    g_assert_cmphex(in(&f, LSR) & DR, ==, 0);
    out(&f, MCR, 0);
    g_assert_cmphex(in(&f, LSR) & DR, ==, DR);
    g_assert_cmphex(in(&f, RBR), ==, 0x77);
    fixture_destroy(&f);
}

/* Table II: line status first, then data, time-out, holding register, modem status. */
static void test_priorities(void)
{
    Fixture f;

    fixture_init(&f);
    out(&f, MCR, LOOP);
    out(&f, IER, 0x0f);
    in(&f, MSR);
    for (int i = 0; i < 2; i++)
        out(&f, THR, 'x'); /* the second overruns the first */
    out(&f, MCR, LOOP | 2);
    g_assert_cmphex(in(&f, IIR), ==, LINE);
    g_assert_cmphex(in(&f, LSR), ==, DR | OE | THRE | TEMT);
    g_assert_cmphex(in(&f, LSR), ==, DR | THRE | TEMT); /* reading clears the error */
    g_assert_cmphex(in(&f, IIR), ==, DATA);
    g_assert_cmphex(in(&f, RBR), ==, 'x');
    g_assert_cmphex(in(&f, IIR), ==, EMPTY);
    g_assert_cmphex(in(&f, IIR), ==, MODEM);
    g_assert_cmphex(in(&f, MSR) & 0x0f, ==, 1);
    g_assert_cmphex(in(&f, IIR), ==, NONE);
    /* A source that is not enabled is not shown. */
    out(&f, IER, 0x08);
    out(&f, THR, 'y');
    g_assert_cmphex(in(&f, IIR), ==, NONE);
    fixture_destroy(&f);
}

/* 8.7, LOOP: the transmitter feeds the receiver, MCR's outputs are MSR's inputs, the pins rest. */
static void test_loopback(void)
{
    static const struct {
        uint8_t mcr, msr;
    } wires[] = {{0x01, 0x20}, {0x02, 0x10}, {0x04, 0x40}, {0x08, 0x80}, {0x0a, 0x90}};
    Fixture f;

    fixture_init(&f);
    out(&f, MCR, LOOP | OUT2);
    out(&f, THR, 0x5a);
    g_assert_cmphex(in(&f, RBR), ==, 0x5a);
    out(&f, IER, 1);
    out(&f, THR, 1);
    g_assert_cmphex(in(&f, IIR), ==, DATA);
    g_assert_false(f.ports.irq[IRQ]); /* OUT2's pin is inactive */
    run_board(&f.ports);
    g_assert_cmpuint(f.ports.output->len, ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(wires); i++) {
        out(&f, MCR, LOOP);
        in(&f, MSR);
        out(&f, MCR, LOOP | wires[i].mcr);
        g_assert_cmphex(in(&f, MSR) & 0xf0, ==, wires[i].msr);
    }
    /* Bits 0, 1 and 3 tell of any change, bit 2 of the end of a ring only (8.8). */
    out(&f, MCR, LOOP);
    in(&f, MSR);
    out(&f, MCR, LOOP | 0x0f);
    g_assert_cmphex(in(&f, MSR), ==, 0xfb);
    g_assert_cmphex(in(&f, MSR), ==, 0xf0);
    out(&f, MCR, LOOP);
    g_assert_cmphex(in(&f, MSR), ==, 0x0f);
    out(&f, MCR, 0); /* back on the line */
    g_assert_cmphex(in(&f, MSR), ==, 0xbb);
    /* A FIFO in a loop overruns at the seventeenth byte and keeps the sixteen. */
    out(&f, RBR, 0);
    out(&f, MCR, LOOP);
    out(&f, FCR, 0x07);
    for (unsigned i = 0; i < 17; i++)
        out(&f, THR, i);
    g_assert_cmphex(in(&f, LSR), ==, DR | OE | THRE | TEMT);
    for (unsigned i = 0; i < 16; i++)
        g_assert_cmphex(in(&f, RBR), ==, i);
    g_assert_cmphex(in(&f, LSR) & DR, ==, 0);
    g_assert_cmphex(in(&f, RBR), ==, 0);
    /* Break acts on the pin alone, which rests (8.1, bit 6). */
    out(&f, LCR, 0x43);
    g_assert_cmphex(in(&f, LSR), ==, THRE | TEMT);
    fixture_destroy(&f);
}

/* Nothing plugged in: still a UART, whose bytes go nowhere. */
static void test_without_peer(void)
{
    PortFixture ports;

    port_fixture_init(&ports);
    Serial *serial = serial_new(&ports.board, COM1, ports.board.isa_irq[IRQ], NULL);
    outb(&ports, THR, 'A');
    g_assert_cmphex(inb(&ports, LSR), ==, THRE | TEMT);
    g_assert_cmphex(inb(&ports, RBR), ==, 0);
    outb(&ports, MCR, LOOP);
    outb(&ports, THR, 'B');
    g_assert_cmphex(inb(&ports, RBR), ==, 'B');
    serial_free(serial);
    g_assert_cmphex(inb(&ports, LSR), ==, 0xff);
    port_fixture_destroy(&ports);
}

static void test_random_accesses(void)
{
    Fixture f;

    fixture_init(&f);
    for (int i = 0; i < 200000; i++) {
        uint16_t port = COM1 + g_test_rand_int_range(0, 8);
        unsigned size = 1u << g_test_rand_int_range(0, 3);
        switch (g_test_rand_int_range(0, 8)) {
        case 0: send(&f, i, g_test_rand_int_range(1, 20)); break;
        case 1: clock_advance(f.ports.board.clock, g_test_rand_int_range(0, 2000000)); break;
        case 2:
        case 3: port_write(f.ports.board.memory, port, g_test_rand_int(), size); break;
        default: port_read(f.ports.board.memory, port, size); break;
        }
    }
    serial_reset(f.serial);
    g_assert_cmphex(in(&f, IIR), ==, NONE);
    g_assert_false(f.ports.irq[IRQ]);
    fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/serial/registers", test_registers);
    g_test_add_func("/serial/transmit", test_transmit);
    g_test_add_func("/serial/receive-without-fifo", test_receive_without_fifo);
    g_test_add_func("/serial/fifo-levels", test_fifo_levels);
    g_test_add_func("/serial/timeout-speed", test_timeout_speed);
    g_test_add_func("/serial/room", test_room);
    g_test_add_func("/serial/priorities", test_priorities);
    g_test_add_func("/serial/loopback", test_loopback);
    g_test_add_func("/serial/without-peer", test_without_peer);
    g_test_add_func("/serial/random-accesses", test_random_accesses);
    return g_test_run();
}
