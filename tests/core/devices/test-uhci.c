/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The USB controller with the tablet, driven as a host controller driver does: a frame list, queue
 * heads and transfer descriptors in guest RAM (Intel UHCI Design Guide 1.1), control transfers (USB
 * 1.1, chapter 9), HID reports (HID 1.11). */

#include "core/devices/uhci.h"

#include "core/machine/input.h"
#include "tests/core/devices/storage-fixture.h"

#define DEVFN      10
#define IO         0xc100
#define FRAME_LIST 0x10000
#define QUEUE      0x20000
#define TDS        0x21000 /* 32 bytes each */
#define SETUP      0x30000
#define BUFFER     0x31000

enum { USBCMD = IO, USBSTS = IO + 2, USBINTR = IO + 4, FRNUM = IO + 6, FLBASE = IO + 8 };
enum { SOFMOD = IO + 12, PORTSC1 = IO + 16, PORTSC2 = IO + 18 };
enum { TERMINATE = 1, QH = 2, DEPTH_FIRST = 4 };
enum { PID_SETUP = 0x2d, PID_IN = 0x69, PID_OUT = 0xe1 };
#define ACTIVE  (1u << 23)
#define STALLED (1u << 22)
#define NAKED   (1u << 19)
#define TIMEOUT (1u << 18)
#define IOC     (1u << 24)
#define SPD     (1u << 29)

typedef struct {
    Storage storage;
    Uhci *uhci;
    UsbDevice *tablet;
    bool intx;
} Fixture;

static void on_intx(void *opaque, int pirq, bool level)
{
    ((Fixture *)opaque)->intx = level;
}

static uint32_t get(Fixture *f, uint32_t address)
{
    return memory_read_uint(f->storage.board.memory, address, 4);
}

static void put(Fixture *f, uint32_t address, uint32_t value)
{
    memory_write_uint(f->storage.board.memory, address, value, 4);
}

static void pass_ms(Fixture *f, int64_t ms)
{
    clock_advance(f->storage.board.clock, ms * 1000000);
}

static void fixture_init(Fixture *f)
{
    Board *board = &f->storage.board;
    GError *error = NULL;

    memset(f, 0, sizeof(*f));
    storage_init(&f->storage);
    board->input = input_hub_new();
    pci_bus_set_intx(board->pci, on_intx, f);
    f->uhci = uhci_new(board, DEVFN, &error);
    g_assert_no_error(error);
    f->tablet = usb_tablet_new(board);
    uhci_plug(f->uhci, 0, f->tablet);
    pci_config_write(board->pci, DEVFN, PCI_BASE_ADDRESS + 16, IO, 4);
    pci_config_write(board->pci, DEVFN, PCI_COMMAND, 5, 2);
    for (unsigned i = 0; i < 1024; i++)
        put(f, FRAME_LIST + i * 4, QUEUE | QH);
    put(f, QUEUE, TERMINATE);
    put(f, QUEUE + 4, TERMINATE);
    outl(&f->storage, FLBASE, FRAME_LIST);
}

static void fixture_destroy(Fixture *f)
{
    uhci_free(f->uhci);
    input_hub_free(f->storage.board.input);
    storage_destroy(&f->storage);
}

static void start(Fixture *f)
{
    outw(&f->storage, USBCMD, 1);
}

/* Reset and enable, as drivers do to a port with something new on it. */
static void reset_port(Fixture *f)
{
    outw(&f->storage, PORTSC1, 0x0200);
    pass_ms(f, 50);
    outw(&f->storage, PORTSC1, 0);
    outw(&f->storage, PORTSC1, 0x0004 | 0x000a);
}

/* Descriptor INDEX; the next one follows it in the queue unless LAST. */
static void put_td(Fixture *f, unsigned index, bool last, uint32_t flags, uint8_t pid,
                   uint8_t address, uint8_t endpoint, uint32_t buffer, unsigned length)
{
    uint32_t td = TDS + index * 32;

    put(f, td, last ? TERMINATE : (td + 32) | DEPTH_FIRST);
    put(f, td + 4, flags | ACTIVE | 3u << 27);
    put(f, td + 8, ((length - 1) & 0x7ff) << 21 | endpoint << 15 | address << 8 | pid);
    put(f, td + 12, buffer);
}

static uint32_t td_status(Fixture *f, unsigned index)
{
    return get(f, TDS + index * 32 + 4);
}

static unsigned td_length(Fixture *f, unsigned index)
{
    return (td_status(f, index) + 1) & 0x7ff;
}

/* One control transfer in packets of eight bytes. Returns the bytes read, or -1 for a stall. */
static int control(Fixture *f, uint8_t address, uint8_t type, uint8_t request, uint16_t value,
                   uint16_t length, void *data)
{
    uint8_t setup[8] = {type, request, value, value >> 8, 0, 0, length, length >> 8};
    unsigned n = 0;
    int total = 0;

    memory_write(f->storage.board.memory, SETUP, setup, 8);
    put_td(f, n++, false, 0, PID_SETUP, address, 0, SETUP, 8);
    for (unsigned done = 0; (type & 0x80) && done < length; done += 8)
        put_td(f, n++, false, 0, PID_IN, address, 0, BUFFER + done, MIN(8, length - done));
    put_td(f, n++, true, IOC, type & 0x80 ? PID_OUT : PID_IN, address, 0, 0, 0);
    put(f, QUEUE + 4, TDS);
    pass_ms(f, 40);
    for (unsigned i = 0; i < n; i++) {
        if (td_status(f, i) & STALLED)
            return -1;
        g_assert_cmphex(td_status(f, i) & ACTIVE, ==, 0);
        if (i > 0 && i + 1 < n)
            total += td_length(f, i);
    }
    if (total && data)
        memory_read(f->storage.board.memory, BUFFER, data, total);
    return total;
}

static void enumerate(Fixture *f)
{
    reset_port(f);
    start(f);
    g_assert_cmpint(control(f, 0, 0x00, 5, 7, 0, NULL), ==, 0); /* SET_ADDRESS 7 */
    g_assert_cmpint(control(f, 7, 0x00, 9, 1, 0, NULL), ==, 0); /* SET_CONFIGURATION 1 */
    outw(&f->storage, USBSTS, 0x1f);
}

/* --- registers -------------------------------------------------------------------------------- */

static void test_registers(void)
{
    Fixture f;

    fixture_init(&f);
    Storage *s = &f.storage;
    g_assert_cmphex(pci_config_read(s->board.pci, DEVFN, 0, 4), ==, 0x70208086);
    g_assert_cmphex(pci_config_read(s->board.pci, DEVFN, 8, 4) >> 8, ==, 0x0c0300);
    g_assert_cmphex(pci_config_read(s->board.pci, DEVFN, 0x60, 1), ==, 0x10);
    g_assert_cmphex(inw(s, USBCMD), ==, 0);
    g_assert_cmphex(inw(s, USBSTS), ==, 0x20); /* halted */
    g_assert_cmphex(inb(s, SOFMOD), ==, 0x40);
    g_assert_cmphex(inw(s, PORTSC1), ==, 0x93); /* something new, idle, high bit one */
    g_assert_cmphex(inw(s, PORTSC2), ==, 0x80);
    g_assert_cmphex(inw(s, IO + 0x14) & 0x80, ==, 0); /* how drivers count ports */
    outl(s, FLBASE, 0x12345fff);
    g_assert_cmphex(inl(s, FLBASE), ==, 0x12345000);
    outw(s, FRNUM, 0xffff);
    g_assert_cmphex(inw(s, FRNUM), ==, 0x7ff);
    outw(s, USBINTR, 0xffff);
    g_assert_cmphex(inw(s, USBINTR), ==, 0x0f);
    /* Bytes of registers whose bits are cleared by ones leave the other byte alone. */
    outb(s, PORTSC1 + 1, 0x00);
    g_assert_cmphex(inw(s, PORTSC1), ==, 0x93);
    outb(s, PORTSC1, 0x02);
    g_assert_cmphex(inw(s, PORTSC1), ==, 0x91);
    /* Frames count while it runs, and only then. */
    outl(s, FLBASE, FRAME_LIST);
    outw(s, FRNUM, 0x7fe);
    pass_ms(&f, 10);
    g_assert_cmphex(inw(s, FRNUM), ==, 0x7fe);
    start(&f);
    g_assert_cmphex(inw(s, USBSTS) & 0x20, ==, 0);
    pass_ms(&f, 3);
    g_assert_cmphex(inw(s, FRNUM), ==, 0x001);
    outw(s, USBCMD, 0);
    g_assert_cmphex(inw(s, USBSTS), ==, 0x20);
    outw(s, USBCMD, 2); /* HCRESET clears itself and everything */
    g_assert_cmphex(inw(s, USBCMD), ==, 0);
    g_assert_cmphex(inw(s, USBINTR), ==, 0);
    g_assert_cmphex(inl(s, FLBASE), ==, 0);
    fixture_destroy(&f);
}

static void test_port(void)
{
    Fixture f;

    fixture_init(&f);
    Storage *s = &f.storage;
    outw(s, PORTSC1, 0x0002); /* the change is acknowledged by a one */
    g_assert_cmphex(inw(s, PORTSC1), ==, 0x91);
    outw(s, PORTSC1, 0x0204);
    g_assert_cmphex(inw(s, PORTSC1) & 0x0204, ==, 0x0200); /* in reset it is not enabled */
    outw(s, PORTSC1, 0);
    outw(s, PORTSC1, 4);
    g_assert_cmphex(inw(s, PORTSC1), ==, 0x95);
    outw(s, PORTSC2, 4); /* nothing there */
    g_assert_cmphex(inw(s, PORTSC2), ==, 0x80);
    enumerate(&f);
    g_assert_cmpuint(f.tablet->address, ==, 7);
    g_assert_true(input_hub_is_absolute(s->board.input));
    reset_port(&f); /* a bus reset takes address and configuration */
    g_assert_cmpuint(f.tablet->address, ==, 0);
    g_assert_false(input_hub_is_absolute(s->board.input));
    uhci_reset(f.uhci);
    g_assert_cmphex(pci_config_read(s->board.pci, DEVFN, PCI_COMMAND, 2), ==, 0);
    fixture_destroy(&f);
}

/* --- transfers -------------------------------------------------------------------------------- */

static void test_enumeration(void)
{
    Fixture f;
    uint8_t data[256];

    fixture_init(&f);
    reset_port(&f);
    start(&f);
    /* As Linux does: eight bytes of the descriptor, an address, then all of it. */
    g_assert_cmpint(control(&f, 0, 0x80, 6, 0x0100, 8, data), ==, 8);
    g_assert_cmpuint(data[0], ==, 18);
    g_assert_cmpuint(data[1], ==, 1);
    g_assert_cmpuint(data[7], ==, 8);
    g_assert_cmpint(control(&f, 0, 0x00, 5, 7, 0, NULL), ==, 0);
    g_assert_cmpint(control(&f, 7, 0x80, 6, 0x0100, 18, data), ==, 18);
    g_assert_cmpint(control(&f, 7, 0x80, 6, 0x0200, 9, data), ==, 9);
    unsigned total = data[2] | data[3] << 8;
    g_assert_cmpint(control(&f, 7, 0x80, 6, 0x0200, total, data), ==, total);
    g_assert_cmphex(data[14], ==, 3); /* interface: HID */
    g_assert_cmphex(data[18 + 1], ==, 0x21);
    unsigned report_length = data[18 + 7] | data[18 + 8] << 8;
    g_assert_cmphex(data[27 + 2], ==, 0x81); /* endpoint 1, in */
    g_assert_cmphex(data[27 + 3], ==, 3);    /* interrupt */
    g_assert_cmpint(control(&f, 7, 0x81, 6, 0x2200, report_length, data), ==, report_length);
    g_assert_cmphex(data[report_length - 1], ==, 0xc0);
    g_assert_cmpint(control(&f, 7, 0x80, 6, 0x0300, 4, data), ==, 4);
    g_assert_cmphex(data[2] | data[3] << 8, ==, 0x0409);
    g_assert_cmpint(control(&f, 7, 0x80, 6, 0x0302, 255, data), ==, data[0]); /* ends early */
    g_assert_cmpint(data[2], ==, 'A');
    g_assert_cmpint(control(&f, 7, 0x80, 6, 0x0309, 255, data), ==, -1); /* no such string */
    g_assert_cmpint(control(&f, 7, 0x80, 8, 0, 1, data), ==, 1);
    g_assert_cmpuint(data[0], ==, 0);
    g_assert_cmpint(control(&f, 7, 0x00, 9, 2, 0, NULL), ==, -1); /* no such configuration */
    g_assert_cmpint(control(&f, 7, 0x00, 9, 1, 0, NULL), ==, 0);
    g_assert_cmpint(control(&f, 7, 0x80, 8, 0, 1, data), ==, 1);
    g_assert_cmpuint(data[0], ==, 1);
    g_assert_cmpint(control(&f, 7, 0x21, 0x0a, 0, 0, NULL), ==, 0); /* SET_IDLE */
    g_assert_cmpint(control(&f, 7, 0xc0, 1, 0, 8, data), ==, -1);   /* vendor requests */
    g_assert_true(input_hub_is_absolute(f.storage.board.input));
    fixture_destroy(&f);
}

/* Interrupt endpoint: a NAK keeps the descriptor for the next frame until there is news. */
static void test_reports(void)
{
    static const uint8_t expected[] = {1, 0x34, 0x12, 0xff, 0x7f, 0xfe};
    uint8_t report[8];
    Fixture f;

    fixture_init(&f);
    enumerate(&f);
    outw(&f.storage, USBINTR, 4);
    put_td(&f, 0, true, IOC, PID_IN, 7, 1, BUFFER, 8);
    put(&f, QUEUE + 4, TDS);
    pass_ms(&f, 100);
    g_assert_cmphex(td_status(&f, 0) & (ACTIVE | NAKED), ==, ACTIVE | NAKED);
    g_assert_cmphex(inw(&f.storage, USBSTS), ==, 0);
    g_assert_false(f.intx);
    input_position(f.storage.board.input, 0x1234, 99999, -2, POINTER_LEFT);
    pass_ms(&f, 2);
    g_assert_cmphex(td_status(&f, 0) & (ACTIVE | STALLED), ==, 0);
    g_assert_cmpuint(td_length(&f, 0), ==, 6);
    memory_read(f.storage.board.memory, BUFFER, report, 6);
    g_assert_cmpmem(report, 6, expected, 6);
    g_assert_cmphex(get(&f, QUEUE + 4), ==, TERMINATE); /* the queue has moved on */
    g_assert_cmphex(inw(&f.storage, USBSTS), ==, 1);
    g_assert_true(f.intx);
    outw(&f.storage, USBSTS, 1);
    g_assert_false(f.intx);
    /* After a long sleep the first movement is still delivered within a few frames. */
    put_td(&f, 0, true, IOC, PID_IN, 7, 1, BUFFER, 8);
    put(&f, QUEUE + 4, TDS);
    pass_ms(&f, 10000);
    input_position(f.storage.board.input, 1, 2, 0, 0);
    pass_ms(&f, 2);
    g_assert_true(f.intx);
    fixture_destroy(&f);
}

/* UHCI 3.4: a short packet with SPD stops the queue and tells, without SPD it goes on. */
static void test_short_packets(void)
{
    Fixture f;

    for (int spd = 0; spd < 2; spd++) {
        fixture_init(&f);
        enumerate(&f);
        outw(&f.storage, USBINTR, 8);
        input_position(f.storage.board.input, 5, 5, 0, 0);
        put_td(&f, 0, false, spd ? SPD : 0, PID_IN, 7, 1, BUFFER, 8);
        put_td(&f, 1, true, 0, PID_IN, 7, 1, BUFFER + 8, 8);
        put(&f, QUEUE + 4, TDS);
        pass_ms(&f, 5);
        g_assert_cmphex(td_status(&f, 0) & ACTIVE, ==, 0);
        g_assert_cmphex(td_status(&f, 1) & (ACTIVE | NAKED), ==, spd ? ACTIVE : ACTIVE | NAKED);
        g_assert_cmphex(get(&f, QUEUE + 4) & ~15u, ==, spd ? TDS : TDS + 32);
        g_assert_true(f.intx == spd);
        fixture_destroy(&f);
    }
}

static void test_failures(void)
{
    Fixture f;

    fixture_init(&f);
    enumerate(&f);
    outw(&f.storage, USBINTR, 0x0f);
    put_td(&f, 0, true, 0, PID_IN, 55, 1, BUFFER, 8); /* nobody has this address */
    put(&f, QUEUE + 4, TDS);
    pass_ms(&f, 5);
    g_assert_cmphex(td_status(&f, 0) & (ACTIVE | STALLED | TIMEOUT), ==, STALLED | TIMEOUT);
    g_assert_cmphex(td_status(&f, 0) >> 27 & 3, ==, 0);
    g_assert_cmphex(inw(&f.storage, USBSTS), ==, 2);
    g_assert_true(f.intx);
    outw(&f.storage, USBSTS, 2);
    put_td(&f, 0, true, 0, PID_OUT, 7, 1, BUFFER, 8); /* no such endpoint */
    put(&f, QUEUE + 4, TDS);
    pass_ms(&f, 5);
    g_assert_cmphex(td_status(&f, 0) & (ACTIVE | STALLED | TIMEOUT), ==, STALLED);
    outw(&f.storage, USBSTS, 0x1f);
    outw(&f.storage, PORTSC1, 0x1004); /* suspended: not there */
    put_td(&f, 0, true, 0, PID_IN, 7, 1, BUFFER, 8);
    put(&f, QUEUE + 4, TDS);
    pass_ms(&f, 5);
    g_assert_cmphex(td_status(&f, 0) & (STALLED | TIMEOUT), ==, STALLED | TIMEOUT);
    outw(&f.storage, PORTSC1, 4);
    outw(&f.storage, USBSTS, 0x1f);
    /* 2.1.2: a packet identifier that is none is a process error; the controller stops. */
    put_td(&f, 0, true, 0, 0x33, 7, 1, BUFFER, 8);
    put(&f, QUEUE + 4, TDS);
    outw(&f.storage, USBINTR, 0);
    pass_ms(&f, 5);
    g_assert_cmphex(inw(&f.storage, USBSTS), ==, 0x30);
    g_assert_cmphex(inw(&f.storage, USBCMD) & 1, ==, 0);
    g_assert_true(f.intx); /* cannot be masked */
    outw(&f.storage, USBSTS, 0x10);
    g_assert_false(f.intx);
    fixture_destroy(&f);
}

/* --- hostile schedules ------------------------------------------------------------------------ */

/* Loops of every kind, and DMA to where nothing is: bounded work a frame, nothing lost after it. */
static void test_loops(void)
{
    Fixture f;

    fixture_init(&f);
    enumerate(&f);
    put(&f, QUEUE, QUEUE | QH); /* the queue links to itself */
    pass_ms(&f, 100);
    put(&f, QUEUE + 4, QUEUE | QH); /* and is its own element */
    pass_ms(&f, 100);
    put_td(&f, 0, true, 0, PID_IN, 7, 1, BUFFER, 8);
    put(&f, TDS, TDS | DEPTH_FIRST); /* a descriptor that is its own next */
    put(&f, QUEUE, TERMINATE);
    put(&f, QUEUE + 4, TDS);
    pass_ms(&f, 100);
    for (unsigned i = 0; i < 1024; i++) /* descriptors in the frame list itself */
        put(&f, FRAME_LIST + i * 4, TDS);
    put(&f, TDS, TDS);
    pass_ms(&f, 100);
    put(&f, TDS + 4, 0);
    pass_ms(&f, 100);
    outl(&f.storage, FLBASE, 0xfffff000); /* the frame list is nowhere */
    pass_ms(&f, 100);
    outl(&f.storage, FLBASE, FRAME_LIST);
    for (unsigned i = 0; i < 1024; i++)
        put(&f, FRAME_LIST + i * 4, QUEUE | QH);
    put(&f, QUEUE + 4, 0xfffffff0); /* so is the descriptor */
    pass_ms(&f, 100);
    input_position(f.storage.board.input, 5, 5, 0, 0);
    put_td(&f, 0, true, IOC, PID_IN, 7, 1, 0xfffffff8, 8); /* and the buffer */
    put(&f, QUEUE + 4, TDS);
    outw(&f.storage, USBCMD, 1);
    pass_ms(&f, 10);
    uint8_t data[18];
    put(&f, QUEUE, TERMINATE);
    g_assert_cmpint(control(&f, 7, 0x80, 6, 0x0100, 18, data), ==, 18);
    fixture_destroy(&f);
}

static void test_random(void)
{
    Fixture f;
    uint8_t data[18];

    fixture_init(&f);
    enumerate(&f);
    for (int i = 0; i < 3000; i++) {
        uint32_t address = g_test_rand_int_range(0, 4) ? TDS + g_test_rand_int_range(0, 64) * 16
                                                       : QUEUE + g_test_rand_int_range(0, 2) * 4;
        switch (g_test_rand_int_range(0, 6)) {
        case 0:
            port_write(f.storage.board.memory, IO + g_test_rand_int_range(0, 32), g_test_rand_int(),
                       1 << g_test_rand_int_range(0, 3));
            break;
        case 1:
            port_read(f.storage.board.memory, IO + g_test_rand_int_range(0, 32),
                      1 << g_test_rand_int_range(0, 3));
            break;
        case 2:
            put(&f, address,
                (TDS + g_test_rand_int_range(0, 64) * 16) | g_test_rand_int_range(0, 16));
            break;
        case 3: put(&f, address, g_test_rand_int()); break;
        case 4:
            put_td(&f, g_test_rand_int_range(0, 32), false, g_test_rand_int() & 0x3f000000,
                   g_test_rand_int_range(0, 2) ? PID_IN : PID_SETUP, g_test_rand_int() & 7,
                   g_test_rand_int() & 1, BUFFER, g_test_rand_int_range(0, 1281));
            break;
        default: input_position(f.storage.board.input, i, i, 1, i); break;
        }
        if (g_test_rand_bit())
            outw(&f.storage, USBCMD, 1);
        pass_ms(&f, g_test_rand_int_range(0, 4));
    }
    /* Whatever that was, a reset and a good schedule work. */
    outw(&f.storage, USBCMD, 2);
    for (unsigned i = 0; i < 1024; i++)
        put(&f, FRAME_LIST + i * 4, QUEUE | QH);
    put(&f, QUEUE, TERMINATE);
    put(&f, QUEUE + 4, TERMINATE);
    outl(&f.storage, FLBASE, FRAME_LIST);
    enumerate(&f);
    g_assert_cmpint(control(&f, 7, 0x80, 6, 0x0100, 18, data), ==, 18);
    fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uhci/registers", test_registers);
    g_test_add_func("/uhci/port", test_port);
    g_test_add_func("/uhci/enumeration", test_enumeration);
    g_test_add_func("/uhci/reports", test_reports);
    g_test_add_func("/uhci/short-packets", test_short_packets);
    g_test_add_func("/uhci/failures", test_failures);
    g_test_add_func("/uhci/loops", test_loops);
    g_test_add_func("/uhci/random", test_random);
    return g_test_run();
}
