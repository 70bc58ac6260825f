/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/devices/uhci.h"

#include "core/chipset/pci.h"

#include <string.h>

/* I/O registers, UHCI 2.1 */
enum {
    USBCMD = 0x00,
    USBSTS = 0x02,
    USBINTR = 0x04,
    FRNUM = 0x06,
    FRBASEADD = 0x08,
    SOFMOD = 0x0c,
    PORTSC1 = 0x10,
    PORTSC2 = 0x12,
    IO_SIZE = 0x20,
};
enum { CMD_RS = 1 << 0, CMD_HCRESET = 1 << 1, CMD_GRESET = 1 << 2, CMD_FGR = 1 << 4 };
enum {
    STS_USBINT = 1 << 0,
    STS_ERROR = 1 << 1,
    STS_RESUME = 1 << 2,
    STS_PROCESS_ERROR = 1 << 4,
    STS_HALTED = 1 << 5,
    STS_CLEARABLE = 0x1f,
};
enum { INTR_TIMEOUT = 1 << 0, INTR_RESUME = 1 << 1, INTR_IOC = 1 << 2, INTR_SHORT = 1 << 3 };
enum {
    PORT_CONNECTED = 1 << 0,
    PORT_CONNECT_CHANGE = 1 << 1,
    PORT_ENABLED = 1 << 2,
    PORT_ENABLE_CHANGE = 1 << 3,
    PORT_LINE_DPLUS = 1 << 4,
    PORT_RESUME = 1 << 6,
    PORT_ONE = 1 << 7,
    PORT_RESET = 1 << 9,
    PORT_SUSPEND = 1 << 12,
    PORT_WRITABLE = PORT_ENABLED | PORT_RESUME | PORT_RESET | PORT_SUSPEND,
};
/* Link pointers, UHCI 3.1 */
enum { LINK_TERMINATE = 1 << 0, LINK_QH = 1 << 1, LINK_DEPTH = 1 << 2 };
/* Transfer descriptor: control and status, UHCI 3.2.2 */
#define TD_TIMEOUT    (1u << 18)
#define TD_NAK        (1u << 19)
#define TD_BABBLE     (1u << 20)
#define TD_STALLED    (1u << 22)
#define TD_ACTIVE     (1u << 23)
#define TD_IOC        (1u << 24)
#define TD_ERRORS     (3u << 27)
#define TD_SPD        (1u << 29)
#define TD_STATUS     (0xffu << 16)
#define TD_ACTLEN     0x7ffu

#define PCI_LEGSUP    0xc0
#define FRAME_NS      1000000
#define MAX_STEPS     256 /* queue heads and descriptors looked at in a frame */
#define MAX_PACKETS   64  /* transactions in a frame: about what 12 Mbit/s carries */
#define MAX_CATCH_UP  16  /* frames that one tick works off */
#define BUSY_FRAMES   100 /* how long after a transfer each frame is run on its own */
#define IDLE_TICK     8
#define SLEEPING_TICK 100 /* nothing moved for a second: each tick wakes the host */

typedef struct {
    uint16_t portsc;
    UsbDevice *device;
} UhciPort;

struct Uhci {
    PciDevice pci;
    Board *board;
    ClockTimer *timer;
    uint16_t command, status, interrupt;
    bool short_packet; /* why USBINT is set: an SPD rather than an IOC */
    uint32_t frame_base;
    uint8_t sof_modify;
    uint16_t frame_number; /* at frame_time */
    int64_t frame_time;    /* when that frame began, ns */
    unsigned quiet_frames; /* since a transfer completed */
    UhciPort ports[UHCI_PORTS];
};

static void update_interrupt(Uhci *uhci)
{
    bool level = ((uhci->status & STS_USBINT) &&
                  (uhci->interrupt & (uhci->short_packet ? INTR_SHORT | INTR_IOC : INTR_IOC))) ||
                 (uhci->status & STS_PROCESS_ERROR) || /* which cannot be masked */
                 ((uhci->status & STS_ERROR) && (uhci->interrupt & INTR_TIMEOUT)) ||
                 ((uhci->status & STS_RESUME) && (uhci->interrupt & INTR_RESUME));

    pci_set_intx(&uhci->pci, level);
}

/* --- the schedule, UHCI 3.4 --------------------------------------------------------------------
 */

static uint32_t load(Uhci *uhci, uint32_t address)
{
    return memory_read_uint(uhci->board->memory, address, 4);
}

static void store(Uhci *uhci, uint32_t address, uint32_t value)
{
    memory_write_uint(uhci->board->memory, address, value, 4);
}

static UsbDevice *find_device(Uhci *uhci, unsigned address)
{
    for (int i = 0; i < UHCI_PORTS; i++)
        if (uhci->ports[i].device && (uhci->ports[i].portsc & PORT_ENABLED) &&
            !(uhci->ports[i].portsc & PORT_SUSPEND) && uhci->ports[i].device->address == address)
            return uhci->ports[i].device;
    return NULL;
}

typedef enum { TD_DONE, TD_WAITS, TD_STOPS_QUEUE } TdResult;

/* Runs the descriptor at ADDRESS. RAISED collects USBSTS bits for the end of the frame. */
static TdResult run_td(Uhci *uhci, uint32_t address, uint16_t *raised)
{
    uint32_t control = load(uhci, address + 4), token = load(uhci, address + 8);
    uint32_t buffer = load(uhci, address + 12);
    unsigned length = ((token >> 21) + 1) & TD_ACTLEN;
    uint8_t pid = token, data[1280];
    int moved;

    if (!(control & TD_ACTIVE))
        return TD_WAITS;
    UsbDevice *device = find_device(uhci, token >> 8 & 0x7f);
    bool in = pid == USB_IN;
    control &= ~(TD_STATUS | TD_ACTLEN) | TD_ACTIVE;
    if (length > sizeof(data) || (!in && pid != USB_OUT && pid != USB_SETUP)) {
        *raised |= STS_PROCESS_ERROR; /* a consistency error: the controller stops (2.1.2) */
        return TD_STOPS_QUEUE;
    } else if (!device) {
        control = (control & ~(TD_ACTIVE | TD_ERRORS)) | TD_TIMEOUT | TD_STALLED | TD_ACTLEN;
        store(uhci, address + 4, control);
        *raised |= STS_ERROR | (control & TD_IOC ? STS_USBINT : 0);
        return TD_STOPS_QUEUE;
    } else {
        if (!in)
            memory_read(uhci->board->memory, buffer, data, length);
        moved = device->transact(device, pid, token >> 15 & 15, data, length);
    }
    if (moved == USB_NAK) {
        store(uhci, address + 4, control | TD_NAK | TD_ACTLEN);
        return TD_WAITS;
    }
    uhci->quiet_frames = 0;
    if (moved == USB_STALL) {
        store(uhci, address + 4, (control & ~TD_ACTIVE) | TD_STALLED | TD_ACTLEN);
        *raised |= STS_ERROR | (control & TD_IOC ? STS_USBINT : 0);
        return TD_STOPS_QUEUE;
    }
    if (in)
        memory_write(uhci->board->memory, buffer, data, moved);
    control = (control & ~TD_ACTIVE) | ((moved - 1) & TD_ACTLEN);
    store(uhci, address + 4, control);
    if (control & TD_IOC)
        *raised |= STS_USBINT;
    if (in && (unsigned)moved < length && (control & TD_SPD)) {
        *raised |= STS_USBINT;
        uhci->short_packet = true;
        return TD_STOPS_QUEUE;
    }
    return TD_DONE;
}

/* The element of the queue at QH, and on while it goes depth first. Returns how many completed. */
static unsigned run_queue(Uhci *uhci, uint32_t qh, unsigned *steps, unsigned *packets,
                          uint16_t *raised)
{
    uint32_t element = load(uhci, qh + 4);
    unsigned done = 0;

    while (!(element & (LINK_TERMINATE | LINK_QH)) && (*steps)-- > 1 && *packets > 0) {
        uint32_t td = element & ~15u;
        TdResult result = run_td(uhci, td, raised);
        if (result != TD_DONE)
            break;
        (*packets)--;
        done++;
        element = load(uhci, td);
        store(uhci, qh + 4, element & ~(uint32_t)LINK_DEPTH);
        if (!(element & LINK_DEPTH))
            break;
    }
    return done;
}

static void run_frame(Uhci *uhci, unsigned number)
{
    uint32_t link = load(uhci, (uhci->frame_base & ~0xfffu) + (number & 0x3ff) * 4);
    uint32_t seen[MAX_STEPS];
    unsigned n_seen = 0, steps = MAX_STEPS, packets = MAX_PACKETS, done_since_seen = 0;
    uint16_t raised = 0;

    while (!(link & LINK_TERMINATE) && steps > 1 && packets > 0 && !(raised & STS_PROCESS_ERROR)) {
        uint32_t address = link & ~15u;
        steps--;
        if (!(link & LINK_QH)) { /* a descriptor in the frame itself, isochronous as a rule */
            if (run_td(uhci, address, &raised) == TD_DONE)
                packets--;
            link = load(uhci, address);
            continue;
        }
        /* Bandwidth reclamation links the last queue back: a round that moves nothing is the end.
         */
        bool again = false;
        for (unsigned i = 0; i < n_seen && !again; i++)
            again = seen[i] == address;
        if (again) {
            if (!done_since_seen)
                break;
            done_since_seen = n_seen = 0;
        }
        seen[n_seen++] = address;
        uint32_t element = load(uhci, address + 4);
        if (!(element & LINK_TERMINATE) && (element & LINK_QH)) {
            link = element;
            continue;
        }
        done_since_seen += run_queue(uhci, address, &steps, &packets, &raised);
        link = load(uhci, address);
    }
    uhci->status |= raised;
    if (raised & STS_PROCESS_ERROR) {
        uhci->command &= ~CMD_RS;
        uhci->status |= STS_HALTED;
    }
}

/* --- time
 * ------------------------------------------------------------------------------------------ */

/* Frames pass whether they are run one by one or together. */
static void run_due_frames(Uhci *uhci)
{
    int64_t passed = (clock_now(uhci->board->clock) - uhci->frame_time) / FRAME_NS;

    if (passed <= 0)
        return;
    unsigned first = passed > MAX_CATCH_UP ? passed - MAX_CATCH_UP : 0;
    for (unsigned i = first; i < passed && (uhci->command & CMD_RS); i++)
        run_frame(uhci, uhci->frame_number + i);
    uhci->frame_number = (uhci->frame_number + passed) & 0x7ff;
    uhci->frame_time += passed * FRAME_NS;
    uhci->quiet_frames = MIN(uhci->quiet_frames + passed, 1000000);
    update_interrupt(uhci);
}

static void set_timer(Uhci *uhci)
{
    int frames = uhci->quiet_frames < BUSY_FRAMES ? 1
                 : uhci->quiet_frames < 1000      ? IDLE_TICK
                                                  : SLEEPING_TICK;

    clock_timer_set(uhci->timer, uhci->frame_time + (int64_t)frames * FRAME_NS);
}

static void tick(void *opaque)
{
    Uhci *uhci = opaque;

    if (!(uhci->command & CMD_RS))
        return;
    run_due_frames(uhci);
    if (uhci->command & CMD_RS)
        set_timer(uhci);
}

static void device_wakes(void *opaque)
{
    Uhci *uhci = opaque;

    if (!(uhci->command & CMD_RS))
        return;
    run_due_frames(uhci);
    uhci->quiet_frames = 0;
    if (uhci->command & CMD_RS)
        set_timer(uhci);
}

/* --- registers
 * ------------------------------------------------------------------------------------- */

static void reset_registers(Uhci *uhci)
{
    uhci->command = uhci->interrupt = 0;
    uhci->status = STS_HALTED;
    uhci->frame_base = 0;
    uhci->frame_number = 0;
    uhci->sof_modify = 0x40;
    clock_timer_cancel(uhci->timer);
    for (int i = 0; i < UHCI_PORTS; i++) {
        UhciPort *port = &uhci->ports[i];
        port->portsc = PORT_ONE;
        if (port->device) {
            port->portsc |= PORT_CONNECTED | PORT_CONNECT_CHANGE | PORT_LINE_DPLUS;
            port->device->reset(port->device);
        }
    }
    update_interrupt(uhci);
}

static void write_command(Uhci *uhci, uint16_t value)
{
    bool ran = uhci->command & CMD_RS;

    if (value & CMD_HCRESET) {
        reset_registers(uhci);
        return;
    }
    if ((uhci->command & ~value) & CMD_GRESET) {
        reset_registers(uhci);
        ran = false;
    }
    uhci->command = value & 0xff;
    if (!ran && (value & CMD_RS)) {
        uhci->status &= ~STS_HALTED;
        uhci->frame_time = clock_now(uhci->board->clock);
        uhci->quiet_frames = 0;
        set_timer(uhci);
    } else if (ran && !(value & CMD_RS)) {
        clock_timer_cancel(uhci->timer);
        uhci->status |= STS_HALTED;
    }
}

static void write_port(UhciPort *port, uint16_t value)
{
    uint16_t old = port->portsc;

    port->portsc &= ~(value & (PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE));
    port->portsc = (port->portsc & ~PORT_WRITABLE) | (value & PORT_WRITABLE);
    if (!port->device)
        port->portsc &= ~PORT_ENABLED;
    if (value & PORT_RESET)
        port->portsc &= ~PORT_ENABLED;
    if (port->device && (old & PORT_RESET) && !(value & PORT_RESET))
        port->device->reset(port->device);
}

static uint16_t read_word(Uhci *uhci, unsigned reg)
{
    switch (reg) {
    case USBCMD: return uhci->command;
    case USBSTS: return uhci->status;
    case USBINTR: return uhci->interrupt;
    case FRNUM: {
        int64_t passed = uhci->command & CMD_RS
                             ? (clock_now(uhci->board->clock) - uhci->frame_time) / FRAME_NS
                             : 0;
        return (uhci->frame_number + passed) & 0x7ff;
    }
    case FRBASEADD: return uhci->frame_base & 0xffff;
    case FRBASEADD + 2: return uhci->frame_base >> 16;
    case SOFMOD: return uhci->sof_modify;
    case PORTSC1:
    case PORTSC2: return uhci->ports[(reg - PORTSC1) / 2].portsc;
    default:
        return reg < IO_SIZE / 2 ? 0 : 0xff7f; /* more ports: bit 7 clear says there are none */
    }
}

static void write_word(Uhci *uhci, unsigned reg, uint16_t value)
{
    switch (reg) {
    case USBCMD: write_command(uhci, value); break;
    case USBSTS:
        uhci->status &= ~(value & STS_CLEARABLE);
        if (value & STS_USBINT)
            uhci->short_packet = false;
        break;
    case USBINTR: uhci->interrupt = value & 0x0f; break;
    case FRNUM:
        if (!(uhci->command & CMD_RS))
            uhci->frame_number = value & 0x7ff;
        break;
    case FRBASEADD: uhci->frame_base = (uhci->frame_base & 0xffff0000) | (value & 0xf000); break;
    case FRBASEADD + 2:
        uhci->frame_base = (uhci->frame_base & 0xffff) | (uint32_t)value << 16;
        break;
    case SOFMOD: uhci->sof_modify = value & 0x7f; break;
    case PORTSC1:
    case PORTSC2: write_port(&uhci->ports[(reg - PORTSC1) / 2], value); break;
    default: break;
    }
    update_interrupt(uhci);
}

static uint16_t cleared_by_ones(unsigned reg)
{
    switch (reg) {
    case USBSTS: return STS_CLEARABLE;
    case PORTSC1:
    case PORTSC2: return PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE;
    default: return 0;
    }
}

static uint32_t port_in(void *opaque, uint16_t port, unsigned size)
{
    Uhci *uhci = opaque;
    unsigned reg = (port - pci_bar_base(&uhci->pci, 4)) & (IO_SIZE - 1);
    uint32_t value = read_word(uhci, reg & ~1u);

    if (size == 4)
        value |= (uint32_t)read_word(uhci, (reg + 2) & (IO_SIZE - 1)) << 16;
    return reg & 1 ? value >> 8 : value;
}

static void port_out(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    Uhci *uhci = opaque;
    unsigned reg = (port - pci_bar_base(&uhci->pci, 4)) & (IO_SIZE - 1);

    if (size == 1) {
        /* The other byte as it is, but for bits that a one would clear. */
        uint16_t old = read_word(uhci, reg & ~1u) & ~cleared_by_ones(reg & ~1u);
        value = reg & 1 ? (old & 0xff) | value << 8 : (old & 0xff00) | (value & 0xff);
        reg &= ~1u;
    }
    write_word(uhci, reg & ~1u, value);
    if (size == 4)
        write_word(uhci, (reg + 2) & (IO_SIZE - 1), value >> 16);
}

static const PortOps port_ops = {port_in, port_out, 4};

/* --- life
 * -------------------------------------------------------------------------------------------- */

void uhci_plug(Uhci *uhci, int port, UsbDevice *device)
{
    uhci->ports[port].device = device;
    device->wake = device_wakes;
    device->wake_opaque = uhci;
    reset_registers(uhci);
}

void uhci_reset(Uhci *uhci)
{
    pci_device_reset(&uhci->pci);
    uhci->pci.config[PCI_LEGSUP] = 0x00;
    uhci->pci.config[PCI_LEGSUP + 1] = 0x20; /* PIRQ to the interrupt, no legacy traps */
    reset_registers(uhci);
}

Uhci *uhci_new(Board *board, int devfn, GError **error)
{
    static const PciIdentity identity = {
        .vendor = 0x8086,
        .device = 0x7020,
        .revision = 1,
        .class_code = 0x0c0300,
        .interrupt_pin = 4,
    };
    Uhci *uhci = g_new0(Uhci, 1);

    uhci->board = board;
    uhci->pci.device.board = board;
    if (!pci_device_plug(board->pci, &uhci->pci, devfn, &identity, error)) {
        g_free(uhci);
        return NULL;
    }
    uhci->pci.config[0x60] = 0x10; /* SBRN: USB 1.0 */
    uhci->pci.write_mask[PCI_LEGSUP] = 0xff;
    uhci->pci.write_mask[PCI_LEGSUP + 1] = 0x20;
    pci_bar_add_io(&uhci->pci, 4, &port_ops, uhci, IO_SIZE);
    uhci->timer = clock_timer_new(board->clock, tick, uhci);
    uhci_reset(uhci);
    return uhci;
}

void uhci_free(Uhci *uhci)
{
    if (!uhci)
        return;
    for (int i = 0; i < UHCI_PORTS; i++)
        if (uhci->ports[i].device)
            uhci->ports[i].device->free(uhci->ports[i].device);
    clock_timer_free(uhci->timer);
    pci_device_unplug(&uhci->pci);
    g_free(uhci);
}
