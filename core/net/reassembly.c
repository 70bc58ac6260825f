/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/net/reassembly.h"

#include "core/net/checksum.h"
#include "core/net/net.h"

#define MAX_DATAGRAMS  16 /* in progress; a further one takes the oldest's place */
#define LIFETIME_NS    (30 * NS_PER_SECOND)
#define MAX_PAYLOAD    65515
#define UNIT           8 /* offsets are in units of it */
#define UNITS          (65536 / UNIT)
#define MAX_HEADER     60

#define MORE_FRAGMENTS 0x2000
#define OFFSET_MASK    0x1fff

typedef struct {
    uint64_t addresses; /* source and destination */
    uint16_t identification;
    uint8_t protocol;
    bool used;
    int64_t began;
    size_t header;  /* of the first fragment with its Ethernet header; 0: not there yet */
    size_t end;     /* of the payload; 0: the last fragment is not there yet */
    size_t missing; /* units below `end` or the highest so far that have not come */
    size_t units;   /* highest unit so far, plus one */
    uint8_t seen[UNITS / 8];
    uint8_t first[NET_HEADER_SIZE + MAX_HEADER];
    uint8_t payload[UNITS * UNIT];
} Datagram;

struct Reassembly {
    Datagram *datagrams[MAX_DATAGRAMS]; /* made when needed */
    uint8_t frame[NET_MAX_FRAME];
};

Reassembly *reassembly_new(void)
{
    return g_new0(Reassembly, 1);
}

void reassembly_free(Reassembly *reassembly)
{
    for (int i = 0; reassembly && i < MAX_DATAGRAMS; i++)
        g_free(reassembly->datagrams[i]);
    g_free(reassembly);
}

bool reassembly_is_fragment(const uint8_t *frame, size_t length)
{
    return length >= NET_HEADER_SIZE + 20 && get_be16(frame + 12) == 0x0800 &&
           (get_be16(frame + NET_HEADER_SIZE + 6) & (MORE_FRAGMENTS | OFFSET_MASK));
}

/* The datagram IP belongs to, begun when there is none. */
static Datagram *find(Reassembly *reassembly, int64_t now, const uint8_t *ip)
{
    uint64_t addresses = (uint64_t)get_be32(ip + 12) << 32 | get_be32(ip + 16);
    uint16_t identification = get_be16(ip + 4);
    int place = 0;

    for (int i = 0; i < MAX_DATAGRAMS; i++) {
        Datagram *d = reassembly->datagrams[i];
        if (d && d->used && now - d->began > LIFETIME_NS)
            d->used = false;
        if (d && d->used && d->addresses == addresses && d->identification == identification &&
            d->protocol == ip[9])
            return d;
        Datagram *best = reassembly->datagrams[place];
        if (best && best->used && (!d || !d->used || d->began < best->began))
            place = i;
    }
    Datagram *d = reassembly->datagrams[place];
    if (!d)
        d = reassembly->datagrams[place] = g_new(Datagram, 1);
    memset(d, 0, G_STRUCT_OFFSET(Datagram, payload));
    d->used = true;
    d->began = now;
    d->addresses = addresses;
    d->identification = identification;
    d->protocol = ip[9];
    return d;
}

static void mark(Datagram *d, size_t first, size_t count)
{
    if (first + count > d->units) {
        d->missing += first + count - d->units;
        d->units = first + count;
    }
    for (size_t unit = first; unit < first + count; unit++) {
        uint8_t bit = (uint8_t)(1 << unit % 8);
        d->missing -= !(d->seen[unit / 8] & bit);
        d->seen[unit / 8] |= bit;
    }
}

static const uint8_t *finish(Reassembly *reassembly, Datagram *d, size_t *whole)
{
    uint8_t *frame = reassembly->frame, *ip = frame + NET_HEADER_SIZE;
    size_t header = d->header - NET_HEADER_SIZE;

    d->used = false;
    if (header + d->end > 65535)
        return NULL;
    memcpy(frame, d->first, d->header);
    memcpy(frame + d->header, d->payload, d->end);
    put_be16(ip + 2, (uint16_t)(header + d->end));
    put_be16(ip + 6, 0);
    put_be16(ip + 10, 0);
    put_be16(ip + 10, ~checksum_fold(checksum_add(0, ip, header)));
    *whole = d->header + d->end;
    return frame;
}

const uint8_t *reassembly_take(Reassembly *reassembly, int64_t now, const uint8_t *frame,
                               size_t length, size_t *whole)
{
    const uint8_t *ip = frame + NET_HEADER_SIZE;
    size_t header = (size_t)(ip[0] & 15) * 4, total = get_be16(ip + 2);

    if (ip[0] >> 4 != 4 || header < 20 || total <= header || NET_HEADER_SIZE + total > length ||
        checksum_fold(checksum_add(0, ip, header)) != 0xffff)
        return NULL;
    uint16_t flags = get_be16(ip + 6);
    size_t offset = (size_t)(flags & OFFSET_MASK) * UNIT, size = total - header;
    bool more = flags & MORE_FRAGMENTS;
    /* All but the last are whole units, and none reaches past the largest datagram. */
    if ((more && size % UNIT) || offset + size > MAX_PAYLOAD)
        return NULL;
    Datagram *d = find(reassembly, now, ip);
    if (!more && d->end && d->end != offset + size) { /* two ends: nonsense */
        d->used = false;
        return NULL;
    }
    memcpy(d->payload + offset, ip + header, size);
    mark(d, offset / UNIT, (size + UNIT - 1) / UNIT);
    if (!more)
        d->end = offset + size;
    if (!offset) {
        d->header = NET_HEADER_SIZE + header;
        memcpy(d->first, frame, d->header);
    }
    if (d->end && d->units * UNIT >= d->end + UNIT) { /* data past the end */
        d->used = false;
        return NULL;
    }
    return d->end && d->header && !d->missing ? finish(reassembly, d, whole) : NULL;
}
