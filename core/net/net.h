/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The network between a card and its back end (-netdev): Ethernet frames without FCS, in one piece.
 *
 * A card that cannot take a frame says so; the frame then waits in a bounded queue, and a back end
 * that has a choice (net_backend_room) stops reading its sources. Everything here runs with the
 * board lock held; back ends attach their sources to board->context.
 */

#include "core/config/options.h"
#include "core/machine/board.h"

#define NET_ADDRESS_SIZE 6
#define NET_HEADER_SIZE  14
#define NET_MIN_FRAME    60     /* shorter ones are padded on the wire; without FCS */
#define NET_MAX_FRAME    65550u /* an IP datagram of 65535 bytes with header and VLAN tag */
#define NET_QUEUE_FRAMES 1024
#define NET_QUEUE_BYTES  (2u << 20)

typedef struct NetBackend NetBackend;

/* What a card does for its back end. */
typedef struct {
    /* A frame arrives. False: no room now; the card calls net_backend_flush() when there is. */
    bool (*receive)(void *opaque, const uint8_t *frame, size_t length);
    /* A frame was lost because the card had no room for too long. May be NULL. */
    void (*overrun)(void *opaque);
    /* The cable was plugged or pulled. */
    void (*link_changed)(void *opaque, bool up);
} NetCardOps;

/* A kind of back end, declared like a device: its options are -netdev's. */
typedef struct {
    const char *name;
    const char *title;
    const OptionInfo *options;
    size_t instance_size; /* the back end's own struct, whose first member is a NetBackend */
    /* What the table cannot say, without opening anything. May be NULL. */
    bool (*check)(const OptionValues *values, GError **error);
    bool (*create)(NetBackend *backend, const OptionValues *values, GError **error);
    /* A frame from the guest: between 1 and NET_MAX_FRAME bytes. */
    void (*send)(NetBackend *backend, const uint8_t *frame, size_t length);
    /* The frames sent since the last time are all, for now: what was put off is done. May be NULL.
     */
    void (*burst_end)(NetBackend *backend);
    /* The queue has room again. May be NULL. */
    void (*resume)(NetBackend *backend);
    void (*destroy)(NetBackend *backend);                /* also after a create that failed */
    void (*describe)(NetBackend *backend, GString *out); /* one line of `info network` */
    /* TCP segments larger than the MTU may be sent in one frame of up to NET_MAX_FRAME bytes. */
    bool takes_large_segments;
} NetBackendClass;

typedef struct {
    uint64_t rx_frames, rx_bytes; /* to the guest */
    uint64_t tx_frames, tx_bytes; /* from the guest */
    uint64_t dropped;             /* to the guest, for want of room */
} NetStatistics;

/* Looks at every frame of a back end, both ways: packet capture. */
typedef struct NetTap NetTap;
struct NetTap {
    void (*frame)(NetTap *tap, bool from_guest, const uint8_t *frame, size_t length);
    void (*destroy)(NetTap *tap);
    char *id;
    NetTap *next;
};

struct NetBackend {
    const NetBackendClass *backend_class;
    Board *board;
    char *id;
    const NetCardOps *card; /* NULL: no card yet */
    void *card_opaque;
    const char *card_model;
    uint8_t card_address[NET_ADDRESS_SIZE];
    char *card_id;
    bool link_up;
    bool delivering;
    GQueue queue; /* GBytes*, for the card */
    size_t queued_bytes;
    NetTap *taps;
    NetStatistics statistics;
};

/* The table of back ends; ends with NULL. */
extern const NetBackendClass *const net_backend_classes[];
const NetBackendClass *net_backend_class_find(const char *name);

/* VALUES have been validated against the class' options. NULL with ERROR when it cannot be had. */
NetBackend *net_backend_new(Board *board, const NetBackendClass *backend_class, const char *id,
                            const OptionValues *values, GError **error);
void net_backend_free(NetBackend *backend);

/* --- the card's side -------------------------------------------------------------------------- */

/* Plugs a card in; false with ERROR when another one is. MODEL is static. */
bool net_backend_attach(NetBackend *backend, const NetCardOps *ops, void *opaque, const char *model,
                        const char *card_id, const uint8_t *address, GError **error);
void net_backend_detach(NetBackend *backend);
/* Sends a frame. BACKEND may be NULL: a card without a cable. */
void net_backend_send(NetBackend *backend, const uint8_t *frame, size_t length);
/* After the last of the frames that were there to send. BACKEND may be NULL. */
void net_backend_burst_end(NetBackend *backend);
/* The card has room: what waits is delivered until it has none again. */
void net_backend_flush(NetBackend *backend);
bool net_backend_takes_large_segments(const NetBackend *backend);

/* --- the back end's side ---------------------------------------------------------------------- */

/* A frame for the guest. Copied when it must wait; dropped and counted when the queue is full. */
void net_backend_deliver(NetBackend *backend, const uint8_t *frame, size_t length);
/* False while so much waits for the card that a back end had better read no more. */
bool net_backend_room(const NetBackend *backend);

/* --- the owner's side ------------------------------------------------------------------------- */

void net_backend_set_link(NetBackend *backend, bool up);
void net_backend_add_tap(NetBackend *backend, NetTap *tap);              /* takes TAP */
NetTap *net_backend_find_tap(const NetBackend *backend, const char *id); /* or NULL */
bool net_backend_remove_tap(NetBackend *backend, const char *id);
