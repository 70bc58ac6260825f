/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Receiving (SDM 3.2): address filters, VLAN, checksums, and the ring of descriptors.
 *
 * The card owns the descriptors from RDH up to, not including, RDT. A frame that finds too few of
 * them waits in the back end's queue, which stands for the part's packet buffer.
 */

#define G_LOG_DOMAIN "e1000"

#include "core/devices/e1000-internal.h"

#include "core/net/checksum.h"

#include <string.h>
#include <zlib.h>

/* Descriptor: status and errors (SDM 3.2.3). */
enum {
    RX_DD = 1 << 0,
    RX_EOP = 1 << 1,
    RX_IXSM = 1 << 2,
    RX_VP = 1 << 3,
    RX_TCPCS = 1 << 5,
    RX_IPCS = 1 << 6,
    RX_PIF = 1 << 7,
    RX_TCPE = 1 << 5,
    RX_IPE = 1 << 6,
};

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_IPV6 = 0x86dd,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
};

/* What the descriptors of one frame say. */
typedef struct {
    uint8_t status, errors;
    uint16_t checksum, special;
} RxResult;

/* --- filters ---------------------------------------------------------------------------------- */

static bool address_matches(E1000 *e1000, const uint8_t *frame)
{
    for (uint32_t reg = RAL0; reg < RA_END; reg += 8) {
        uint32_t low = *e1000_reg(e1000, reg), high = *e1000_reg(e1000, reg + 4);
        /* Address select 00: destination, 01: source. */
        const uint8_t *address = frame + (high >> RAH_AS_SHIFT & 3 ? NET_ADDRESS_SIZE : 0);
        if ((high & RAH_AV) && (high >> RAH_AS_SHIFT & 3) < 2 && address[0] == (low & 0xff) &&
            address[1] == (low >> 8 & 0xff) && address[2] == (low >> 16 & 0xff) &&
            address[3] == low >> 24 && address[4] == (high & 0xff) &&
            address[5] == (high >> 8 & 0xff))
            return true;
    }
    return false;
}

/* Twelve bits of the address, which ones RCTL.MO says, pick a bit of the table (SDM 13.5.1). */
static bool hash_matches(E1000 *e1000, const uint8_t *frame)
{
    static const uint8_t shifts[4] = {4, 3, 2, 0};
    unsigned shift = shifts[*e1000_reg(e1000, RCTL) >> RCTL_MO_SHIFT & 3];
    unsigned hash = (frame[4] | frame[5] << 8) >> shift & 0xfff;

    return *e1000_reg(e1000, MTA + (hash >> 5) * 4) >> (hash & 31) & 1;
}

/* *INEXACT: only the hash table let it through. */
static bool filter_address(E1000 *e1000, const uint8_t *frame, bool *inexact)
{
    uint32_t rctl = *e1000_reg(e1000, RCTL);
    bool multicast = frame[0] & 1;
    bool broadcast = (frame[0] & frame[1] & frame[2] & frame[3] & frame[4] & frame[5]) == 0xff;

    *inexact = false;
    if (address_matches(e1000, frame) || (broadcast && (rctl & RCTL_BAM)) ||
        (rctl & (multicast ? RCTL_MPE : RCTL_UPE)))
        return true;
    *inexact = multicast && hash_matches(e1000, frame);
    return *inexact;
}

static bool is_tagged(E1000 *e1000, const uint8_t *frame, size_t length)
{
    return length >= NET_HEADER_SIZE + E1000_VLAN_TAG_SIZE &&
           get_be16(frame + 12) == (*e1000_reg(e1000, VET) & 0xffff);
}

static bool filter_vlan(E1000 *e1000, uint16_t tag)
{
    uint32_t rctl = *e1000_reg(e1000, RCTL), id = tag & 0xfff;

    if (!(rctl & RCTL_VFE))
        return true;
    if ((rctl & RCTL_CFIEN) && !(tag & 0x1000) != !(rctl & RCTL_CFI))
        return false;
    return *e1000_reg(e1000, VFTA + (id >> 5) * 4) >> (id & 31) & 1;
}

static bool filter_length(E1000 *e1000, size_t length, bool tagged)
{
    size_t octets = length + FCS_SIZE;
    bool long_frames = *e1000_reg(e1000, RCTL) & RCTL_LPE;

    if (octets <= (long_frames ? MAX_LONG_FRAME : tagged ? MAX_TAGGED_FRAME : MAX_STANDARD_FRAME))
        return true;
    e1000_count(e1000, ROC);
    return false;
}

/* PAUSE frames are for the MAC itself unless RCTL.PMCF and not RCTL.DPF. */
static bool is_pause(E1000 *e1000, const uint8_t *frame)
{
    static const uint8_t address[NET_ADDRESS_SIZE] = {0x01, 0x80, 0xc2, 0x00, 0x00, 0x01};

    return get_be16(frame + 12) == (*e1000_reg(e1000, FCT) & 0xffff) && *e1000_reg(e1000, FCT) &&
           memcmp(frame, address, NET_ADDRESS_SIZE) == 0 &&
           (*e1000_reg(e1000, RCTL) & (RCTL_DPF | RCTL_PMCF)) != RCTL_PMCF;
}

/* --- checksums -------------------------------------------------------------------------------- */

/* Checks TCP or UDP of LENGTH bytes; ADDRESSES are the pseudo header's. */
static void check_transport(RxResult *result, uint8_t protocol, const uint8_t *data, size_t length,
                            const uint8_t *addresses, size_t addresses_length)
{
    bool udp = protocol == PROTOCOL_UDP;

    if ((!udp && protocol != PROTOCOL_TCP) || length < (udp ? 8 : 20) ||
        (udp && get_be16(data + 6) == 0))
        return;
    uint8_t pseudo[4] = {0, protocol};
    put_be16(pseudo + 2, (uint16_t)length);
    uint64_t sum = checksum_add(0, addresses, addresses_length);
    sum = checksum_add(sum, pseudo, sizeof pseudo);
    sum = checksum_add(sum, data, length);
    result->status |= RX_TCPCS;
    if (checksum_fold(sum) != 0xffff)
        result->errors |= RX_TCPE;
}

static bool check_ipv4(const E1000 *e1000, RxResult *result, const uint8_t *ip, size_t length)
{
    uint32_t rxcsum = e1000->regs[RXCSUM / 4];
    size_t header = length >= 20 ? (size_t)(ip[0] & 15) * 4 : 0;

    if (header < 20 || header > length || ip[0] >> 4 != 4)
        return false;
    if (rxcsum & RXCSUM_IPOFL) {
        result->status |= RX_IPCS;
        if (checksum_fold(checksum_add(0, ip, header)) != 0xffff)
            result->errors |= RX_IPE;
    }
    size_t total = get_be16(ip + 2);
    bool fragment = get_be16(ip + 6) & 0x3fff;
    if ((rxcsum & RXCSUM_TUOFL) && !fragment && total >= header && total <= length)
        check_transport(result, ip[9], ip + header, total - header, ip + 12, 8);
    return true;
}

static bool check_ipv6(const E1000 *e1000, RxResult *result, const uint8_t *ip, size_t length)
{
    if (length < 40 || ip[0] >> 4 != 6)
        return false;
    size_t payload = get_be16(ip + 4);
    if ((e1000->regs[RXCSUM / 4] & RXCSUM_TUOFL) && payload <= length - 40)
        check_transport(result, ip[6], ip + 40, payload, ip + 8, 32);
    return true;
}

/* FRAME as it will lie in memory, without FCS. */
static void check_sums(E1000 *e1000, RxResult *result, const uint8_t *frame, size_t length)
{
    uint32_t rxcsum = *e1000_reg(e1000, RXCSUM);
    size_t start = rxcsum & 0xff;
    bool known = false;

    if (start < length)
        result->checksum = ~checksum_fold(checksum_add(0, frame + start, length - start));
    if (rxcsum & (RXCSUM_IPOFL | RXCSUM_TUOFL)) {
        size_t header = NET_HEADER_SIZE;
        uint16_t type = get_be16(frame + 12);
        if (is_tagged(e1000, frame, length)) {
            header += E1000_VLAN_TAG_SIZE;
            type = get_be16(frame + 16);
        }
        if (type == ETHERTYPE_IPV4)
            known = check_ipv4(e1000, result, frame + header, length - header);
        else if (type == ETHERTYPE_IPV6)
            known = check_ipv6(e1000, result, frame + header, length - header);
    }
    if (!known)
        result->status |= RX_IXSM;
}

/* --- the ring --------------------------------------------------------------------------------- */

static uint32_t ring_size(E1000 *e1000)
{
    return *e1000_reg(e1000, RDLEN) / DESCRIPTOR_SIZE;
}

/* Descriptors the card owns. A tail past the end of the ring is never met: all are owned. */
static uint32_t owned(E1000 *e1000)
{
    uint32_t head = *e1000_reg(e1000, RDH), tail = *e1000_reg(e1000, RDT);
    uint32_t size = ring_size(e1000);

    if (tail >= size)
        return size;
    return tail >= head ? tail - head : size - head + tail;
}

static size_t buffer_size(E1000 *e1000)
{
    uint32_t rctl = *e1000_reg(e1000, RCTL);
    unsigned shift = rctl >> RCTL_BSIZE_SHIFT & 3;

    if (rctl & RCTL_BSEX) /* 00 is reserved: taken as 32 KiB, the field's progression */
        return (size_t)32768 >> shift;
    return (size_t)2048 >> shift;
}

static void write_back(E1000 *e1000, uint64_t address, const RxResult *result, size_t length,
                       bool last)
{
    uint8_t status = RX_DD | (last ? RX_EOP | result->status : result->status & RX_VP);
    uint64_t word = (uint64_t)(uint16_t)length | (uint64_t)result->checksum << 16 |
                    (uint64_t)status << 32 | (uint64_t)(last ? result->errors : 0) << 40 |
                    (uint64_t)result->special << 48;

    /* In one piece: a vCPU that sees DD sees the rest. */
    if (!memory_write(e1000->pci.device.board->memory, address + 8, &word, sizeof word))
        e1000_complain(e1000, MISTAKE_DMA, "a receive descriptor lies outside of memory");
}

/* FRAME is LENGTH bytes, of which the last FCS_LENGTH are in FCS. */
static void store(E1000 *e1000, const uint8_t *frame, size_t length, const uint8_t *fcs,
                  size_t fcs_length, const RxResult *result)
{
    MemoryMap *memory = e1000->pci.device.board->memory;
    size_t room = buffer_size(e1000), total = length + fcs_length, done = 0;

    while (done < total) {
        uint32_t size = ring_size(e1000), head = *e1000_reg(e1000, RDH);
        if (head >= size) /* the frame's own DMA changed the registers */
            return;
        uint64_t base = (uint64_t)*e1000_reg(e1000, RDBAH) << 32 | *e1000_reg(e1000, RDBAL);
        uint64_t descriptor = base + (uint64_t)head * DESCRIPTOR_SIZE;
        uint64_t buffer = memory_read_uint(memory, descriptor, 8);
        size_t piece = MIN(room, total - done), of_frame = 0;

        /* A null buffer address: the descriptor is skipped over, its bytes are lost. */
        if (done < length) {
            of_frame = MIN(piece, length - done);
            if (buffer && !memory_write(memory, buffer, frame + done, of_frame))
                e1000_complain(e1000, MISTAKE_DMA, "a receive buffer lies outside of memory");
        }
        if (of_frame < piece && buffer)
            memory_write(memory, buffer + of_frame, fcs + (done + of_frame - length),
                         piece - of_frame);
        done += piece;
        write_back(e1000, descriptor, result, piece, done == total);
        *e1000_reg(e1000, RDH) = head + 1 >= size ? 0 : head + 1;
    }
}

static void warn_when_low(E1000 *e1000)
{
    unsigned threshold = *e1000_reg(e1000, RCTL) >> RCTL_RDMTS_SHIFT & 3;

    if (owned(e1000) <= ring_size(e1000) >> (threshold + 1))
        e1000_raise(e1000, INT_RXDMT0);
}

/* --- a frame ---------------------------------------------------------------------------------- */

static bool take(E1000 *e1000, const uint8_t *frame, size_t length)
{
    uint32_t rctl = *e1000_reg(e1000, RCTL), size = ring_size(e1000);
    size_t fcs_length = rctl & RCTL_SECRC ? 0 : FCS_SIZE;
    bool tagged = is_tagged(e1000, frame, length), inexact;
    uint16_t tag = tagged ? get_be16(frame + 14) : 0;
    RxResult result = {0};

    if (!filter_length(e1000, length, tagged) || is_pause(e1000, frame) ||
        !filter_address(e1000, frame, &inexact) || (tagged && !filter_vlan(e1000, tag)))
        return true;
    if (!size || *e1000_reg(e1000, RDH) >= size) {
        e1000_complain(e1000, MISTAKE_RX_RING, "the receive ring has no descriptor at its head");
        return true;
    }
    bool strip = tagged && (*e1000_reg(e1000, CTRL) & CTRL_VME);
    size_t stored = length - (strip ? E1000_VLAN_TAG_SIZE : 0) + fcs_length;
    if (owned(e1000) < (stored + buffer_size(e1000) - 1) / buffer_size(e1000)) {
        if (!e1000->starved)
            e1000_count(e1000, RNBC);
        e1000->starved = true;
        return false;
    }
    e1000->starved = false;

    uint8_t fcs[FCS_SIZE] = {0}, stripped[MAX_LONG_FRAME];
    if (fcs_length) {
        uint32_t crc = GUINT32_TO_LE((uint32_t)crc32(0, frame, (uInt)length));
        memcpy(fcs, &crc, sizeof fcs);
    }
    e1000_count_received(e1000, frame, length);
    if (strip) {
        memcpy(stripped, frame, 12);
        memcpy(stripped + 12, frame + 16, length - 16);
        frame = stripped;
        length -= E1000_VLAN_TAG_SIZE;
        result.status |= RX_VP;
        result.special = tag;
    }
    if (inexact)
        result.status |= RX_PIF;
    check_sums(e1000, &result, frame, length);
    store(e1000, frame, length, fcs, fcs_length, &result);
    warn_when_low(e1000);
    e1000_received(e1000, length + fcs_length);
    return true;
}

bool e1000_receive(void *opaque, const uint8_t *frame, size_t length)
{
    E1000 *e1000 = opaque;
    uint8_t padded[NET_MIN_FRAME];

    if (!(*e1000_reg(e1000, RCTL) & RCTL_EN) || !pci_bus_master(&e1000->pci) || e1000->receiving)
        return true;
    if (length < NET_MIN_FRAME) { /* the wire knows no shorter ones */
        memcpy(padded, frame, length);
        memset(padded + length, 0, sizeof padded - length);
        frame = padded;
        length = sizeof padded;
    }
    if (!e1000->starved) {
        e1000_count(e1000, TPR);
        e1000_count_octets(e1000, TORL, length + FCS_SIZE);
    }
    e1000->receiving = true;
    bool taken = take(e1000, frame, length);
    e1000->receiving = false;
    return taken;
}

void e1000_overrun(void *opaque)
{
    E1000 *e1000 = opaque;

    e1000_count(e1000, MPC);
    e1000_raise(e1000, INT_RXO);
}
