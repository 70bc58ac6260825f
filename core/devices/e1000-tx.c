/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Transmitting (SDM 3.3-3.6): legacy, context and data descriptors, checksum insertion, TCP
 * segmentation and VLAN tags.
 *
 * A write to TDT sends at once, up to a budget of work and of time; a guest that asks for more (a
 * megabyte in segments of one byte) gets the rest from a timer, between which others have the
 * board.
 */

#define G_LOG_DOMAIN "e1000"

#include "core/devices/e1000-internal.h"

#include "core/net/checksum.h"

#include <string.h>

/* Second half of a descriptor (SDM 3.3.3, 3.3.6, 3.3.7): the command byte is at the same place in
 * all three kinds, and so is DD. */
enum {
    TX_EOP = 1u << 24,
    TX_IFCS = 1u << 25,
    TX_IC = 1u << 26,  /* legacy */
    TX_TSE = 1u << 26, /* data and context */
    TX_RS = 1u << 27,
    TX_DEXT = 1u << 29,
    TX_VLE = 1u << 30,
    TX_IDE = 1u << 31,
    TX_DTYP_SHIFT = 20,
    TX_DTYP_CONTEXT = 0,
    TX_DTYP_DATA = 1,
    TX_TUCMD_TCP = 1u << 24,
    TX_TUCMD_IP = 1u << 25,
    TX_DD = 1u << 0,
    POPTS_IXSM = 1 << 0,
    POPTS_TXSM = 1 << 1,
};

enum {
    TCP_FIN_PSH = 0x09,
    TCP_CWR = 0x80,
    IPV6_HEADER = 40,
};

#define MAX_SENT_FRAME  16288 /* SDM 3.3: the longest the part sends */
#define MAX_IP_DATAGRAM 65535
/* Header, MSS and a tag in front. */
#define BUFFER_SIZE     (E1000_VLAN_TAG_SIZE + 255 + 65535 + 8)

/* The budget of one run: what things cost. */
#define RUN_BUDGET      4096
#define COST_DESCRIPTOR 1
#define COST_FRAME      16
#define COST_KIB        1
#define RUN_US          2000   /* host time; what a frame costs is also the back end's affair */
#define PAUSE_NS        100000 /* before the rest */

typedef struct {
    uint64_t address;
    uint32_t lower, upper; /* the second half */
} Descriptor;

static uint8_t *frame_start(const TxState *tx)
{
    return tx->frame + E1000_VLAN_TAG_SIZE;
}

static uint32_t ring_size(E1000 *e1000)
{
    return *e1000_reg(e1000, TDLEN) / DESCRIPTOR_SIZE;
}

/* --- sending ---------------------------------------------------------------------------------- */

static bool loops_back(E1000 *e1000)
{
    uint32_t mode = (*e1000_reg(e1000, RCTL) & RCTL_LBM) >> 6;

    return mode == 1 || (mode == 3 && e1000_phy_loopback(e1000));
}

static void send_frame(E1000 *e1000, uint8_t *frame, size_t length)
{
    TxState *tx = &e1000->tx;

    if (!tx->insert_fcs && !tx->segmenting && length > FCS_SIZE)
        length -= FCS_SIZE; /* the guest's own; the wire here carries none */
    if (tx->insert_vlan && (*e1000_reg(e1000, CTRL) & CTRL_VME) && length >= 12) {
        memmove(frame - E1000_VLAN_TAG_SIZE, frame, 12);
        frame -= E1000_VLAN_TAG_SIZE;
        length += E1000_VLAN_TAG_SIZE;
        put_be16(frame + 12, (uint16_t)*e1000_reg(e1000, VET));
        put_be16(frame + 14, tx->vlan_tag);
    }
    if ((*e1000_reg(e1000, TCTL) & TCTL_PSP) && length < NET_MIN_FRAME) {
        memset(frame + length, 0, NET_MIN_FRAME - length);
        length = NET_MIN_FRAME;
    }
    e1000_count_sent(e1000, frame, length);
    if (loops_back(e1000))
        e1000_receive(e1000, frame, length);
    else if (*e1000_reg(e1000, STATUS) & STATUS_LU)
        net_backend_send(e1000->netdev, frame, length);
}

/* Puts the checksum of [START, END] at OFFSET; END 0: to the end of the frame. */
static void insert_checksum(E1000 *e1000, uint8_t *frame, size_t length, size_t start,
                            size_t offset, size_t end, bool udp)
{
    size_t stop = end && end + 1 < length ? end + 1 : length;

    if (start >= stop || offset + 2 > length) {
        e1000_complain(e1000, MISTAKE_TX_OFFLOAD, "a checksum lies outside of its frame");
        return;
    }
    uint16_t sum = ~checksum_fold(checksum_add(0, frame + start, stop - start));
    put_be16(frame + offset, udp && !sum ? 0xffff : sum);
}

static void insert_checksums(E1000 *e1000, const TxContext *context, uint8_t *frame, size_t length)
{
    uint8_t popts = e1000->tx.popts;

    if (popts & POPTS_IXSM)
        insert_checksum(e1000, frame, length, context->ipcss, context->ipcso, context->ipcse,
                        false);
    if (popts & POPTS_TXSM)
        insert_checksum(e1000, frame, length, context->tucss, context->tucso, context->tucse,
                        !context->tcp);
}

/* --- segmentation (SDM 3.5) ------------------------------------------------------------------- */

/* Makes the prototype header in FRAME that of one segment. LENGTH is at least the header's. */
static void patch_header(TxState *tx, uint8_t *frame, size_t length, bool last)
{
    const TxContext *context = &tx->segmentation;
    size_t header = context->header_length;
    uint8_t *ip = frame + context->ipcss, *transport = frame + context->tucss;

    if (context->ipcss + 6u <= header) {
        if (context->ip) {
            put_be16(ip + 2, (uint16_t)(length - context->ipcss));
            put_be16(ip + 4, (uint16_t)(get_be16(ip + 4) + tx->segments));
        } else {
            put_be16(ip + 4, (uint16_t)(length - context->ipcss - IPV6_HEADER));
        }
    }
    if (context->tcp && context->tucss + 14u <= header) {
        put_be32(transport + 4, get_be32(transport + 4) + tx->payload_sent);
        if (!last)
            transport[13] &= ~TCP_FIN_PSH;
        if (tx->segments)
            transport[13] &= ~TCP_CWR;
    } else if (!context->tcp && context->tucss + 6u <= header) {
        put_be16(transport + 4, (uint16_t)(length - context->tucss));
    }
    /* The driver's pseudo header sum has no length in it yet. */
    if ((tx->popts & POPTS_TXSM) && context->tucso + 2u <= header && context->tucss <= header) {
        uint32_t sum = get_be16(frame + context->tucso) + (uint32_t)(length - context->tucss);
        sum = (sum & 0xffff) + (sum >> 16);
        put_be16(frame + context->tucso, (uint16_t)((sum & 0xffff) + (sum >> 16)));
    }
}

static void send_segment(E1000 *e1000, bool last)
{
    TxState *tx = &e1000->tx;
    const TxContext *context = &tx->segmentation;
    uint8_t *frame = frame_start(tx), prototype[256];
    size_t header = context->header_length, payload = tx->length - header;

    memcpy(prototype, frame, header);
    patch_header(tx, frame, tx->length, last);
    insert_checksums(e1000, context, frame, tx->length);
    send_frame(e1000, frame, tx->length);
    memcpy(frame, prototype, header);
    tx->segments++;
    tx->payload_sent += payload;
    tx->length = header;
}

/* How much payload one segment takes. A back end that can do without the MTU gets as many whole
 * segments in one as an IP datagram holds. */
static size_t segment_limit(const E1000 *e1000, const TxContext *context)
{
    size_t mss = context->mss, header = context->header_length;

    if (!net_backend_takes_large_segments(e1000->netdev) || !context->tcp ||
        !(e1000->tx.popts & POPTS_TXSM) || context->ipcss < NET_HEADER_SIZE ||
        context->ipcss > NET_HEADER_SIZE + E1000_VLAN_TAG_SIZE ||
        context->tucss < context->ipcss + 20 || header < context->tucss + 20u || mss < 64)
        return mss;
    size_t room = MAX_IP_DATAGRAM - (header - context->ipcss);
    return MAX(room / mss, 1) * mss;
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void load_context(E1000 *e1000, const Descriptor *d)
{
    TxState *tx = &e1000->tx;
    TxContext *context = d->lower & TX_TSE ? &tx->segmentation : &tx->checksum;

    *context = (TxContext){
        .ipcss = (uint8_t)d->address,
        .ipcso = (uint8_t)(d->address >> 8),
        .ipcse = (uint16_t)(d->address >> 16),
        .tucss = (uint8_t)(d->address >> 32),
        .tucso = (uint8_t)(d->address >> 40),
        .tucse = (uint16_t)(d->address >> 48),
        .payload_length = d->lower & 0xfffff,
        .tcp = d->lower & TX_TUCMD_TCP,
        .ip = d->lower & TX_TUCMD_IP,
        .header_length = (uint8_t)(d->upper >> 8),
        .mss = (uint16_t)(d->upper >> 16),
    };
}

static void open_frame(E1000 *e1000, const Descriptor *d)
{
    TxState *tx = &e1000->tx;

    tx->open = true;
    tx->length = 0;
    tx->too_long = tx->segmenting = tx->insert_checksum = false;
    tx->segments = tx->payload_sent = 0;
    tx->data_descriptors = d->lower & TX_DEXT;
    tx->popts = tx->data_descriptors ? d->upper >> 8 & 0xff : 0;
    if (!tx->data_descriptors || !(d->lower & TX_TSE))
        return;
    if (!tx->segmentation.mss) {
        e1000_complain(e1000, MISTAKE_TX_OFFLOAD, "segmentation is asked for with an MSS of 0");
        return;
    }
    tx->segmenting = true;
    tx->segment_limit = segment_limit(e1000, &tx->segmentation);
}

static void close_frame(E1000 *e1000)
{
    TxState *tx = &e1000->tx;
    uint8_t *frame = frame_start(tx);

    tx->open = false;
    if (tx->too_long) {
        e1000_complain(e1000, MISTAKE_TX_LENGTH, "a frame to send is too long");
    } else if (tx->segmenting) {
        if (tx->length < tx->segmentation.header_length)
            e1000_complain(e1000, MISTAKE_TX_OFFLOAD, "a frame to segment is all header");
        else if (tx->length)
            send_segment(e1000, true);
        e1000_count(e1000, TSCTC);
    } else if (tx->length) {
        if (tx->insert_checksum)
            insert_checksum(e1000, frame, tx->length, tx->css, tx->cso, 0, false);
        if (tx->data_descriptors)
            insert_checksums(e1000, &tx->checksum, frame, tx->length);
        send_frame(e1000, frame, tx->length);
    }
    tx->length = 0;
}

static void end_late_run(const TxState *tx, int *budget)
{
    if (g_get_monotonic_time() >= tx->run_end)
        *budget = 0;
}

/* Takes the descriptor's buffer from where it was left. False when the budget ended before it did.
 */
static bool fetch(E1000 *e1000, uint64_t address, uint32_t length, int *budget)
{
    TxState *tx = &e1000->tx;
    MemoryMap *memory = e1000->pci.device.board->memory;

    while (tx->fetched < length && !tx->too_long) {
        size_t limit =
            tx->segmenting ? tx->segmentation.header_length + tx->segment_limit : MAX_SENT_FRAME;
        if (tx->length >= limit) {
            if (!tx->segmenting) {
                tx->too_long = true;
                break;
            }
            if (*budget <= 0)
                return false;
            send_segment(e1000, false);
            *budget -= COST_FRAME;
            end_late_run(tx, budget);
            continue;
        }
        uint32_t piece = (uint32_t)MIN(limit - tx->length, length - tx->fetched);
        if (!memory_read(memory, address + tx->fetched, frame_start(tx) + tx->length, piece))
            e1000_complain(e1000, MISTAKE_DMA, "a transmit buffer lies outside of memory");
        tx->length += piece;
        tx->fetched += piece;
        *budget -= (int)(piece >> 10) * COST_KIB;
    }
    return true;
}

/* A legacy or data descriptor. False when it is not done yet. */
static bool take_data(E1000 *e1000, const Descriptor *d, int *budget)
{
    TxState *tx = &e1000->tx;
    bool extended = d->lower & TX_DEXT;

    if (!tx->open)
        open_frame(e1000, d);
    if (!fetch(e1000, d->address, d->lower & (extended ? 0xfffff : 0xffff), budget))
        return false;
    if (!extended && (d->lower & TX_IC)) {
        tx->insert_checksum = true;
        tx->cso = d->lower >> 16 & 0xff;
        tx->css = d->upper >> 8 & 0xff;
    }
    if (d->lower & TX_EOP) {
        tx->insert_fcs = d->lower & TX_IFCS;
        tx->insert_vlan = d->lower & TX_VLE;
        tx->vlan_tag = (uint16_t)(d->upper >> 16);
        close_frame(e1000);
        *budget -= COST_FRAME;
        end_late_run(tx, budget);
    }
    return true;
}

static bool take_descriptor(E1000 *e1000, const Descriptor *d, int *budget)
{
    if (d->lower & TX_DEXT) {
        unsigned type = d->lower >> TX_DTYP_SHIFT & 15;
        if (type == TX_DTYP_CONTEXT) {
            load_context(e1000, d);
            return true;
        }
        if (type != TX_DTYP_DATA) {
            e1000_complain(e1000, MISTAKE_TX_OFFLOAD, "a transmit descriptor of unknown type");
            return true;
        }
    }
    return take_data(e1000, d, budget);
}

static Descriptor read_descriptor(E1000 *e1000, uint64_t address)
{
    uint64_t words[2];

    if (!memory_read(e1000->pci.device.board->memory, address, words, sizeof words))
        e1000_complain(e1000, MISTAKE_DMA, "a transmit descriptor lies outside of memory");
    return (Descriptor){
        .address = words[0], .lower = (uint32_t)words[1], .upper = (uint32_t)(words[1] >> 32)};
}

static void go_on_later(E1000 *e1000, int64_t pause)
{
    clock_timer_set(e1000->tx_continue_timer, clock_now(e1000->pci.device.board->clock) + pause);
}

/* --- the ring --------------------------------------------------------------------------------- */

static uint32_t pending(E1000 *e1000)
{
    uint32_t head = *e1000_reg(e1000, TDH), tail = *e1000_reg(e1000, TDT);

    return tail >= head ? tail - head : ring_size(e1000) - head + tail;
}

static bool ring_is_sound(E1000 *e1000)
{
    uint32_t size = ring_size(e1000);

    if (*e1000_reg(e1000, TDH) < size && *e1000_reg(e1000, TDT) < size)
        return true;
    if (*e1000_reg(e1000, TDH) != *e1000_reg(e1000, TDT))
        e1000_complain(e1000, MISTAKE_TX_RING, "head or tail lie outside of the transmit ring");
    return false;
}

/* Sends until the ring is empty or the budget spent. */
static void run_ring(E1000 *e1000)
{
    MemoryMap *memory = e1000->pci.device.board->memory;
    int budget = RUN_BUDGET;
    bool written_back = false, at_once = false, any = false;
    uint32_t low_water = (*e1000_reg(e1000, TXDCTL) >> 25) * 8, before;

    if (!ring_is_sound(e1000))
        return;
    before = pending(e1000);
    e1000->tx.run_end = g_get_monotonic_time() + RUN_US;
    while (ring_is_sound(e1000) && *e1000_reg(e1000, TDH) != *e1000_reg(e1000, TDT)) {
        if (budget <= 0) {
            go_on_later(e1000, PAUSE_NS);
            break;
        }
        uint64_t base = (uint64_t)*e1000_reg(e1000, TDBAH) << 32 | *e1000_reg(e1000, TDBAL);
        uint64_t address = base + (uint64_t)*e1000_reg(e1000, TDH) * DESCRIPTOR_SIZE;
        Descriptor d = read_descriptor(e1000, address);
        budget -= COST_DESCRIPTOR;
        if (!take_descriptor(e1000, &d, &budget))
            continue;
        e1000->tx.fetched = 0;
        any = true;
        if (d.lower & TX_RS) {
            memory_write_uint(memory, address + 12, d.upper | TX_DD, 4);
            written_back = true;
            at_once |= !(d.lower & TX_IDE);
        }
        uint32_t next = *e1000_reg(e1000, TDH) + 1;
        *e1000_reg(e1000, TDH) = next >= ring_size(e1000) ? 0 : next;
    }
    net_backend_burst_end(e1000->netdev);
    if (!any)
        return;
    if (written_back)
        e1000_written_back(e1000, !at_once);
    uint32_t causes = 0, after = pending(e1000);
    if (!after)
        causes |= INT_TXQE;
    if (low_water && before > low_water && after <= low_water)
        causes |= INT_TXD_LOW;
    if (causes)
        e1000_raise(e1000, causes);
}

void e1000_transmit(E1000 *e1000)
{
    /* The card's own DMA may write its doorbell; libslirp must not be entered from itself. */
    if (e1000->transmitting || e1000->receiving || (e1000->netdev && e1000->netdev->delivering)) {
        go_on_later(e1000, 0);
        return;
    }
    if (!(*e1000_reg(e1000, TCTL) & TCTL_EN) || !pci_bus_master(&e1000->pci))
        return;
    e1000->transmitting = true;
    run_ring(e1000);
    e1000->transmitting = false;
}

static void go_on(void *opaque)
{
    e1000_transmit(opaque);
}

/* --- life ------------------------------------------------------------------------------------- */

void e1000_init_tx(E1000 *e1000)
{
    e1000->tx.frame = g_malloc0(BUFFER_SIZE);
    e1000->tx_continue_timer = clock_timer_new(e1000->pci.device.board->clock, go_on, e1000);
}

void e1000_reset_tx(E1000 *e1000)
{
    uint8_t *frame = e1000->tx.frame;

    e1000->tx = (TxState){.frame = frame};
    clock_timer_cancel(e1000->tx_continue_timer);
}

void e1000_destroy_tx(E1000 *e1000)
{
    clock_timer_free(e1000->tx_continue_timer);
    g_free(e1000->tx.frame);
}
