/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* An e1000 on a board with RAM, connected to a back end that keeps what it is sent. The test plays
 * the driver: rings in guest RAM, registers through the bus. */

#include "core/config/options.h"
#include "core/devices/e1000.h"
#include "core/net/checksum.h"
#include "core/net/net.h"
#include "tests/core/devices/storage-fixture.h"

#define BAR0      0xe0000000u
#define BAR1      0xc000
#define RX_RING   0x10000
#define TX_RING   0x20000
#define RX_BUFFER 0x100000 /* 16 KiB a descriptor */
#define TX_BUFFER 0x800000
#define RING      32

typedef struct {
    NetBackend backend;
    GPtrArray *sent; /* GBytes* */
} Wire;

typedef struct {
    Storage storage;
    Wire *wire;
    Device *card;
    uint8_t devfn;
    bool intx;
    unsigned edges;
} Nic;

static inline bool wire_create(NetBackend *backend, const OptionValues *values, GError **error)
{
    ((Wire *)backend)->sent = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    return true;
}

static inline void wire_send(NetBackend *backend, const uint8_t *frame, size_t length)
{
    g_ptr_array_add(((Wire *)backend)->sent, g_bytes_new(frame, length));
}

static inline void wire_destroy(NetBackend *backend)
{
    g_ptr_array_unref(((Wire *)backend)->sent);
}

static const NetBackendClass wire_class = {
    .name = "wire",
    .instance_size = sizeof(Wire),
    .create = wire_create,
    .send = wire_send,
    .destroy = wire_destroy,
};
static const NetBackendClass large_wire_class = {
    .name = "large-wire",
    .instance_size = sizeof(Wire),
    .create = wire_create,
    .send = wire_send,
    .destroy = wire_destroy,
    .takes_large_segments = true,
};

static inline void nic_intx(void *opaque, int pirq, bool level)
{
    Nic *nic = opaque;
    nic->edges += level && !nic->intx;
    nic->intx = level;
}

static inline NetBackend *nic_find(Board *board, const char *id)
{
    return &((Nic *)board)->wire->backend; /* the board is the first member of the first */
}

static inline uint32_t reg(Nic *nic, uint32_t offset)
{
    return (uint32_t)memory_read_uint(nic->storage.board.memory, BAR0 + offset, 4);
}

static inline void set(Nic *nic, uint32_t offset, uint32_t value)
{
    memory_write_uint(nic->storage.board.memory, BAR0 + offset, value, 4);
}

/* NETWORK: the back end's options. */
static inline void nic_init_with(Nic *nic, const NetBackendClass *backend_class,
                                 const char *network)
{
    Board *board = &nic->storage.board;
    OptionValues *values = option_values_new(e1000_class.options);
    GError *error = NULL;

    memset(nic, 0, sizeof *nic);
    storage_init(&nic->storage);
    board->find_netdev = nic_find;
    pci_bus_set_intx(board->pci, nic_intx, nic);
    OptionValues *network_values = option_values_new(backend_class->options);
    g_assert_true(option_values_parse(network_values, network, NULL, NULL));
    nic->wire = (Wire *)net_backend_new(board, backend_class, "net0", network_values, &error);
    g_assert_no_error(error);
    option_values_free(network_values);
    option_values_set(values, "netdev", "net0", NULL);
    option_values_set(values, "mac", "52:54:00:AB:cd:01", NULL);
    option_values_set(values, "romfile", "", NULL);
    option_values_set(values, "addr", "3", NULL);
    nic->card = g_malloc0(e1000_class.instance_size);
    nic->card->device_class = &e1000_class;
    nic->card->board = board;
    g_assert_true(e1000_class.create(nic->card, board, values, &error));
    g_assert_no_error(error);
    option_values_free(values);
    nic->devfn = PCI_DEVFN(3, 0);
    pci_config_write(board->pci, nic->devfn, PCI_BASE_ADDRESS, BAR0, 4);
    pci_config_write(board->pci, nic->devfn, PCI_BASE_ADDRESS + 4, BAR1, 4);
    pci_config_write(board->pci, nic->devfn, PCI_COMMAND, 7, 2);
}

static inline void nic_init(Nic *nic)
{
    nic_init_with(nic, &wire_class, "");
}

static inline void nic_destroy(Nic *nic)
{
    e1000_class.destroy(nic->card);
    g_free(nic->card);
    net_backend_free(&nic->wire->backend);
    storage_destroy(&nic->storage);
}

/* What a driver does: link up, rings of RING descriptors, both directions on, 2 KiB buffers. */
static inline void nic_start(Nic *nic)
{
    MemoryMap *memory = nic->storage.board.memory;

    set(nic, 0x0000, reg(nic, 0x0000) | 1 << 6); /* CTRL.SLU */
    for (int i = 0; i < RING; i++)
        memory_write_uint(memory, RX_RING + i * 16, RX_BUFFER + i * 0x4000, 8);
    set(nic, 0x2800, RX_RING);
    set(nic, 0x2808, RING * 16);
    set(nic, 0x2810, 0);
    set(nic, 0x2818, RING - 1);
    set(nic, 0x0100, 0x8002); /* RCTL: EN, BAM */
    set(nic, 0x3800, TX_RING);
    set(nic, 0x3808, RING * 16);
    set(nic, 0x3810, 0);
    set(nic, 0x3818, 0);
    set(nic, 0x0400, 0x0002); /* TCTL: EN */
    reg(nic, 0x00c0);         /* ICR */
}

/* A transmit descriptor at INDEX. */
static inline void tx_descriptor(Nic *nic, unsigned index, uint64_t address, uint32_t lower,
                                 uint32_t upper)
{
    MemoryMap *memory = nic->storage.board.memory;

    memory_write_uint(memory, TX_RING + index * 16, address, 8);
    memory_write_uint(memory, TX_RING + index * 16 + 8, lower, 4);
    memory_write_uint(memory, TX_RING + index * 16 + 12, upper, 4);
}

static inline uint32_t tx_status(Nic *nic, unsigned index)
{
    return memory_read_uint(nic->storage.board.memory, TX_RING + index * 16 + 12, 4);
}

static inline uint64_t rx_status(Nic *nic, unsigned index)
{
    return memory_read_uint(nic->storage.board.memory, RX_RING + index * 16 + 8, 8);
}

static inline void arrive(Nic *nic, const uint8_t *frame, size_t length)
{
    net_backend_deliver(&nic->wire->backend, frame, length);
}

static inline const uint8_t *sent(Nic *nic, unsigned index, size_t *length)
{
    gsize size;
    g_assert_cmpuint(index, <, nic->wire->sent->len);
    const uint8_t *data = g_bytes_get_data(nic->wire->sent->pdata[index], &size);
    *length = size;
    return data;
}

/* A frame to DESTINATION of LENGTH bytes whose bytes tell their place. */
static inline void make_frame(uint8_t *frame, const char *destination, size_t length)
{
    for (size_t i = 0; i < length; i++)
        frame[i] = (uint8_t)(i * 7 + (i >> 8));
    for (int i = 0; i < 6; i++)
        frame[i] = (uint8_t)strtoul(destination + i * 3, NULL, 16);
    memcpy(frame + 6, "\x52\x55\x0a\x00\x02\x02\x88\xb5", 8);
}

/* IPv4 and TCP (or UDP) headers at frame+14 for PAYLOAD bytes, all checksums right. Returns the
 * frame's length. */
static inline size_t make_ipv4(uint8_t *frame, bool udp, size_t payload)
{
    size_t header = udp ? 8 : 20, total = 20 + header + payload;
    uint8_t *ip = frame + 14, *l4 = ip + 20;

    make_frame(frame, "52:54:00:ab:cd:01", 14 + total);
    put_be16(frame + 12, 0x0800);
    memset(ip, 0, 20 + header);
    ip[0] = 0x45;
    put_be16(ip + 2, (uint16_t)total);
    put_be16(ip + 4, 0x1234);
    ip[8] = 64;
    ip[9] = udp ? 17 : 6;
    memcpy(ip + 12, "\x0a\x00\x02\x02\x0a\x00\x02\x0f", 8);
    put_be16(ip + 10, ~checksum_fold(checksum_add(0, ip, 20)));
    put_be16(l4, 1000);
    put_be16(l4 + 2, 80);
    if (udp) {
        put_be16(l4 + 4, (uint16_t)(8 + payload));
    } else {
        put_be32(l4 + 4, 0x11223344);
        l4[12] = 0x50;
        l4[13] = 0x19; /* FIN, PSH, ACK */
    }
    uint8_t pseudo[4] = {0, ip[9]};
    put_be16(pseudo + 2, (uint16_t)(header + payload));
    uint64_t sum = checksum_add(0, ip + 12, 8);
    sum = checksum_add(sum, pseudo, 4);
    sum = checksum_add(sum, l4, header + payload);
    put_be16(l4 + (udp ? 6 : 16), ~checksum_fold(sum));
    return 14 + total;
}

/* Both checksums of an IPv4 frame, by a plain second way. */
static inline bool ipv4_is_right(const uint8_t *frame, size_t length)
{
    const uint8_t *ip = frame + 14;
    size_t total = get_be16(ip + 2);
    uint32_t sum = 0;

    if (total + 14 > length)
        return false;
    for (int i = 0; i < 20; i += 2)
        sum += get_be16(ip + i);
    if ((sum & 0xffff) + (sum >> 16) != 0xffff)
        return false;
    sum = ip[9] + (uint32_t)(total - 20);
    for (int i = 12; i < 20; i += 2)
        sum += get_be16(ip + i);
    for (size_t i = 20; i < total; i += 2) {
        sum += ip[i] << 8 | (i + 1 < total ? ip[i + 1] : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (sum & 0xffff) + (sum >> 16) == 0xffff;
}
