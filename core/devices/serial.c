/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/devices/serial.h"

#include <string.h>

/* Register offsets (PC16550D, table I). */
enum { RBR_THR_DLL = 0, IER_DLM = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

enum { IER_RDA = 1 << 0, IER_THRE = 1 << 1, IER_RLS = 1 << 2, IER_MS = 1 << 3 };
enum {
    IIR_NONE = 0x01,
    IIR_MS = 0x00,
    IIR_THRE = 0x02,
    IIR_RDA = 0x04,
    IIR_RLS = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_FIFO_ON = 0xc0,
};
enum { FCR_ENABLE = 1 << 0, FCR_CLEAR_RX = 1 << 1, FCR_CLEAR_TX = 1 << 2, FCR_TRIGGER_SHIFT = 6 };
enum {
    LCR_WORD = 3,
    LCR_STOP = 1 << 2,
    LCR_PARITY = 1 << 3,
    LCR_BREAK = 1 << 6,
    LCR_DLAB = 1 << 7
};
enum {
    MCR_DTR = 1 << 0,
    MCR_RTS = 1 << 1,
    MCR_OUT1 = 1 << 2,
    MCR_OUT2 = 1 << 3,
    MCR_LOOP = 1 << 4,
};
enum {
    LSR_DR = 1 << 0,
    LSR_OE = 1 << 1,
    LSR_BI = 1 << 4,
    LSR_THRE = 1 << 5,
    LSR_TEMT = 1 << 6,
};
enum {
    MSR_DCTS = 1 << 0,
    MSR_DDSR = 1 << 1,
    MSR_TERI = 1 << 2,
    MSR_DDCD = 1 << 3,
    MSR_CTS = 1 << 4,
    MSR_DSR = 1 << 5,
    MSR_RI = 1 << 6,
    MSR_DCD = 1 << 7,
};

#define FIFO_SIZE  16u
#define BASE_CLOCK 115200 /* baud at divisor 1 (1.8432 MHz / 16) */

struct Serial {
    Board *board;
    uint16_t port;
    IrqLine irq;
    Chardev *chardev;
    ClockTimer *timeout_timer; /* four character times without a read */

    uint8_t ier, lcr, mcr, msr, scr, fcr, lsr_errors;
    uint16_t divisor;
    bool thre_pending; /* the THRE interrupt source, cleared by reading IIR */
    bool timeout_pending;

    uint8_t receive[FIFO_SIZE];
    unsigned receive_head, receive_count;
};

static bool fifo_on(const Serial *serial)
{
    return serial->fcr & FCR_ENABLE;
}

static unsigned receive_capacity(const Serial *serial)
{
    return fifo_on(serial) ? FIFO_SIZE : 1;
}

static unsigned trigger_level(const Serial *serial)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    return fifo_on(serial) ? levels[serial->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

/* Start, data, parity and stop bits of one character in ns. */
static int64_t character_time(const Serial *serial)
{
    unsigned bits = 1 + 5 + (serial->lcr & LCR_WORD) + 1 + !!(serial->lcr & LCR_STOP) +
                    !!(serial->lcr & LCR_PARITY);

    return NS_PER_SECOND * bits * MAX(serial->divisor, 1) / BASE_CLOCK;
}

static uint8_t pending_interrupt(const Serial *serial)
{
    if ((serial->ier & IER_RLS) && serial->lsr_errors)
        return IIR_RLS;
    if ((serial->ier & IER_RDA) && serial->receive_count >= trigger_level(serial))
        return IIR_RDA;
    if ((serial->ier & IER_RDA) && serial->timeout_pending && serial->receive_count)
        return IIR_TIMEOUT;
    if ((serial->ier & IER_THRE) && serial->thre_pending)
        return IIR_THRE;
    if ((serial->ier & IER_MS) && (serial->msr & 0x0f))
        return IIR_MS;
    return IIR_NONE;
}

static void update_irq(Serial *serial)
{
    /* On a PC OUT2 gates the interrupt on to the bus. */
    irq_set(&serial->irq, pending_interrupt(serial) != IIR_NONE && (serial->mcr & MCR_OUT2) &&
                              !(serial->mcr & MCR_LOOP));
}

static void received(Serial *serial, uint8_t byte)
{
    if (serial->receive_count == receive_capacity(serial)) {
        serial->lsr_errors |= LSR_OE;
        if (!fifo_on(serial)) /* RBR holds the newer character */
            serial->receive[serial->receive_head] = byte;
    } else {
        serial->receive[(serial->receive_head + serial->receive_count++) % FIFO_SIZE] = byte;
    }
    if (fifo_on(serial))
        clock_timer_set(serial->timeout_timer,
                        clock_now(serial->board->clock) + 4 * character_time(serial));
    update_irq(serial);
}

static void timeout(void *opaque)
{
    Serial *serial = opaque;

    serial->timeout_pending = serial->receive_count > 0;
    update_irq(serial);
}

/* --- transmitter ------------------------------------------------------------------------------ */

/* The byte leaves at once and the transmitter is empty again: a guest's console must not wait for a
 * line speed that no wire has here. */
static void write_thr(Serial *serial, uint8_t value)
{
    if (serial->mcr & MCR_LOOP)
        received(serial, value);
    else if (serial->chardev)
        chardev_write(serial->chardev, &value, 1);
    serial->thre_pending = true;
    /* The line falls with the write and rises with the empty register: an edge for the 8259. */
    irq_set(&serial->irq, false);
    update_irq(serial);
}

/* --- registers -------------------------------------------------------------------------------- */

static uint8_t line_status(const Serial *serial)
{
    uint8_t lsr = serial->lsr_errors | LSR_THRE | LSR_TEMT;

    if (serial->receive_count)
        lsr |= LSR_DR;
    return lsr;
}

/* The modem lines as they come in: in a loop MCR's outputs, else a peer that is always ready. */
static uint8_t modem_lines(const Serial *serial)
{
    if (!(serial->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (serial->mcr & MCR_RTS ? MSR_CTS : 0) | (serial->mcr & MCR_DTR ? MSR_DSR : 0) |
           (serial->mcr & MCR_OUT1 ? MSR_RI : 0) | (serial->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

/* What changed is kept until MSR is read: of RI its end only (data sheet 8.8). */
static void update_modem_status(Serial *serial)
{
    uint8_t lines = modem_lines(serial), changed = serial->msr ^ lines;

    serial->msr = lines | (serial->msr & 0x0f) | (changed & MSR_CTS ? MSR_DCTS : 0) |
                  (changed & MSR_DSR ? MSR_DDSR : 0) | (changed & ~lines & MSR_RI ? MSR_TERI : 0) |
                  (changed & MSR_DCD ? MSR_DDCD : 0);
}

static uint8_t read_rbr(Serial *serial)
{
    uint8_t byte = 0;

    if (serial->receive_count) {
        byte = serial->receive[serial->receive_head];
        serial->receive_head = (serial->receive_head + 1) % FIFO_SIZE;
        serial->receive_count--;
    }
    serial->timeout_pending = false;
    if (serial->receive_count && fifo_on(serial))
        clock_timer_set(serial->timeout_timer,
                        clock_now(serial->board->clock) + 4 * character_time(serial));
    else
        clock_timer_cancel(serial->timeout_timer);
    update_irq(serial);
    if (serial->chardev && !serial->receive_count)
        chardev_accept_input(serial->chardev);
    return byte;
}

static uint32_t read_port(void *opaque, uint16_t port, unsigned size)
{
    Serial *serial = opaque;
    uint8_t value;

    switch (port - serial->port) {
    case RBR_THR_DLL: return serial->lcr & LCR_DLAB ? serial->divisor & 0xff : read_rbr(serial);
    case IER_DLM: return serial->lcr & LCR_DLAB ? serial->divisor >> 8 : serial->ier;
    case IIR_FCR:
        value = pending_interrupt(serial);
        if (value == IIR_THRE) {
            serial->thre_pending = false;
            update_irq(serial);
        }
        return value | (fifo_on(serial) ? IIR_FIFO_ON : 0);
    case LCR: return serial->lcr;
    case MCR: return serial->mcr;
    case LSR:
        value = line_status(serial);
        serial->lsr_errors = 0;
        update_irq(serial);
        return value;
    case MSR:
        value = serial->msr;
        serial->msr &= 0xf0;
        update_irq(serial);
        return value;
    default: return serial->scr;
    }
}

/* Room was made for what waits in the back end. */
static void accept_input(Serial *serial)
{
    if (serial->chardev)
        chardev_accept_input(serial->chardev);
}

static void write_fcr(Serial *serial, uint8_t value)
{
    if ((value ^ serial->fcr) & FCR_ENABLE) /* switching the FIFOs clears them */
        value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
    serial->fcr = value & (FCR_ENABLE | 0xc0);
    if (value & FCR_CLEAR_RX) {
        serial->receive_count = 0;
        serial->timeout_pending = false;
        accept_input(serial);
    }
}

static void write_mcr(Serial *serial, uint8_t value)
{
    bool back_on_line = (serial->mcr & ~value) & MCR_LOOP;

    serial->mcr = value & 0x1f;
    update_modem_status(serial);
    if (back_on_line)
        accept_input(serial);
}

static void write_port(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    Serial *serial = opaque;
    bool dlab = serial->lcr & LCR_DLAB;

    switch (port - serial->port) {
    case RBR_THR_DLL:
        if (dlab)
            serial->divisor = (serial->divisor & 0xff00) | value;
        else
            write_thr(serial, value);
        break;
    case IER_DLM:
        if (dlab) {
            serial->divisor = (serial->divisor & 0xff) | value << 8;
        } else {
            /* Enabling THRE interrupts, the holding register being empty, at once. */
            if (!(serial->ier & IER_THRE) && (value & IER_THRE))
                serial->thre_pending = true;
            serial->ier = value & 0x0f;
        }
        break;
    case IIR_FCR: write_fcr(serial, value); break;
    case LCR: serial->lcr = value; break;
    case MCR: write_mcr(serial, value); break;
    case SCR: serial->scr = value; break;
    default: break; /* LSR and MSR are read-only */
    }
    update_irq(serial);
}

static const PortOps port_ops = {read_port, write_port, 1};

/* --- back end --------------------------------------------------------------------------------- */

static size_t can_receive(void *opaque)
{
    Serial *serial = opaque;

    if (serial->mcr & MCR_LOOP)
        return 0;
    return receive_capacity(serial) - MIN(serial->receive_count, receive_capacity(serial));
}

static void receive(void *opaque, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        received(opaque, data[i]);
}

static const ChardevOps chardev_ops = {.can_receive = can_receive, .receive = receive};

void serial_reset(Serial *serial)
{
    serial->ier = serial->mcr = serial->scr = serial->fcr = serial->lsr_errors = 0;
    serial->lcr = 0;
    serial->divisor = 12; /* undefined by the part; 9600 baud as firmware leaves it */
    serial->msr = modem_lines(serial);
    serial->receive_head = serial->receive_count = 0;
    serial->thre_pending = serial->timeout_pending = false;
    clock_timer_cancel(serial->timeout_timer);
    update_irq(serial);
}

Serial *serial_new(Board *board, uint16_t port, IrqLine irq, Chardev *chardev)
{
    Serial *serial = g_new0(Serial, 1);

    serial->board = board;
    serial->port = port;
    serial->irq = irq;
    serial->chardev = chardev;
    serial->timeout_timer = clock_timer_new(board->clock, timeout, serial);
    serial_reset(serial);
    port_register(board->memory, port, 8, &port_ops, serial);
    if (chardev)
        chardev_set_frontend(chardev, &chardev_ops, serial);
    return serial;
}

void serial_free(Serial *serial)
{
    if (!serial)
        return;
    if (serial->chardev)
        chardev_set_frontend(serial->chardev, NULL, NULL);
    port_unregister(serial->board->memory, serial->port, 8, serial);
    clock_timer_free(serial->timeout_timer);
    g_free(serial);
}
