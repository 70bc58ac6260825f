/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The e1000's rings, filters, offloads, interrupts and serial parts, driven as a driver does. */

#include "tests/core/devices/e1000-fixture.h"

#include <zlib.h>

enum { DD = 1, EOP = 2, IXSM = 4, VP = 8, TCPCS = 0x20, IPCS = 0x40, PIF = 0x80 };
enum {
    C_EOP = 1 << 24,
    C_IFCS = 1 << 25,
    C_TSE = 1 << 26,
    C_RS = 1 << 27,
    C_DATA = 1 << 20 | 1 << 29,
    C_CONTEXT = 1 << 29,
    C_VLE = 1 << 30,
};
#define OURS      "52:54:00:ab:cd:01"
#define BROADCAST "ff:ff:ff:ff:ff:ff"
#define ICR       0x00c0
#define IMS       0x00d0

static uint8_t status_of(uint64_t word)
{
    return (uint8_t)(word >> 32);
}

static uint8_t errors_of(uint64_t word)
{
    return (uint8_t)(word >> 40);
}

/* --- serial parts ----------------------------------------------------------------------------- */

static uint16_t eerd(Nic *nic, unsigned word)
{
    set(nic, 0x14, word << 8 | 1);
    uint32_t value = reg(nic, 0x14);
    g_assert_true(value & 0x10);
    return (uint16_t)(value >> 16);
}

static void wire_out(Nic *nic, bool bit)
{
    uint32_t base = 0x42 | bit << 2; /* REQ, CS, DI */
    set(nic, 0x10, base);
    set(nic, 0x10, base | 1);
    set(nic, 0x10, base);
}

static bool wire_in(Nic *nic)
{
    set(nic, 0x10, 0x43);
    bool bit = reg(nic, 0x10) & 8;
    set(nic, 0x10, 0x42);
    return bit;
}

static void wire_command(Nic *nic, unsigned bits, int count)
{
    set(nic, 0x10, 0x40);
    set(nic, 0x10, 0x42);
    while (count-- > 0)
        wire_out(nic, bits >> count & 1);
}

static uint16_t wire_read(Nic *nic, unsigned word)
{
    uint16_t value = 0;
    wire_command(nic, 6 << 6 | word, 9);
    for (int i = 0; i < 16; i++)
        value = (uint16_t)(value << 1 | wire_in(nic));
    return value;
}

static void test_eeprom(void)
{
    Nic nic;
    uint16_t sum = 0;

    nic_init(&nic);
    g_assert_cmphex(reg(&nic, 0x5400), ==, 0xab005452);
    g_assert_cmphex(reg(&nic, 0x5404), ==, 0x800001cd);
    for (unsigned i = 0; i < 64; i++) {
        uint16_t word = eerd(&nic, i);
        g_assert_cmphex(wire_read(&nic, i), ==, word);
        sum += word;
    }
    g_assert_cmphex(sum, ==, 0xbaba);
    g_assert_cmphex(eerd(&nic, 0), ==, 0x5452);
    g_assert_true(reg(&nic, 0x10) & 0x180); /* granted, present */

    wire_command(&nic, 5 << 6 | 0x20, 9); /* WRITE without EWEN */
    for (int i = 0; i < 16; i++)
        wire_out(&nic, 1 & 0x1357 >> (15 - i));
    g_assert_cmphex(wire_read(&nic, 0x20), ==, 0xffff);
    wire_command(&nic, 4 << 6 | 0x30, 9); /* EWEN */
    wire_command(&nic, 5 << 6 | 0x20, 9);
    for (int i = 0; i < 16; i++)
        wire_out(&nic, 0x1357 >> (15 - i) & 1);
    g_assert_cmphex(wire_read(&nic, 0x20), ==, 0x1357);
    nic_destroy(&nic);
}

static uint16_t phy(Nic *nic, unsigned number)
{
    set(nic, 0x20, 2 << 26 | 1 << 21 | number << 16);
    g_assert_cmphex(reg(nic, 0x20) >> 28, ==, 1); /* ready, no error */
    return (uint16_t)reg(nic, 0x20);
}

static void test_phy_and_link(void)
{
    Nic nic;

    nic_init(&nic);
    g_assert_cmphex(phy(&nic, 2), ==, 0x0141);
    g_assert_cmphex(phy(&nic, 3) & 0xfff0, ==, 0x0c20);
    g_assert_cmphex(phy(&nic, 1) & 0x24, ==, 0x24);
    set(&nic, 0x20, 2 << 26 | 5 << 21 | 1 << 16); /* another PHY */
    g_assert_true(reg(&nic, 0x20) & 1 << 30);
    g_assert_false(reg(&nic, 8) & 2); /* STATUS.LU only with CTRL.SLU */
    nic_start(&nic);
    g_assert_cmphex(reg(&nic, 8) & 0xc3, ==, 0x83);

    set(&nic, IMS, 4);
    net_backend_set_link(&nic.wire->backend, false);
    g_assert_true(nic.intx);
    g_assert_cmphex(reg(&nic, ICR), ==, 4);
    g_assert_false(nic.intx);
    g_assert_false(reg(&nic, 8) & 2);
    g_assert_cmphex(phy(&nic, 1) & 0x24, ==, 0);
    net_backend_set_link(&nic.wire->backend, true);
    g_assert_true(nic.intx);
    g_assert_true(reg(&nic, 8) & 2);
    g_assert_cmphex(phy(&nic, 17) & 0xe400, ==, 0xa400);
    nic_destroy(&nic);
}

static void test_registers(void)
{
    Nic nic;
    MemoryMap *memory;

    nic_init(&nic);
    memory = nic.storage.board.memory;
    set(&nic, 0x2800, 0xffffffff);
    g_assert_cmphex(reg(&nic, 0x2800), ==, 0xfffffff0);
    g_assert_cmphex(reg(&nic, 0x0110), ==, 0xfffffff0); /* the 82542's place */
    set(&nic, 0x5200, 0x12345678);
    g_assert_cmphex(memory_read_uint(memory, BAR0 + 0x5201, 1), ==, 0x56);
    g_assert_cmphex(memory_read_uint(memory, BAR0 + 0x5202, 2), ==, 0x1234);
    memory_write_uint(memory, BAR0 + 0x5202, 0xab, 1);
    g_assert_cmphex(reg(&nic, 0x5200), ==, 0x12ab5678);
    memory_write_uint(memory, BAR0 + 0x5208, 0x1122334455667788, 8);
    g_assert_cmphex(reg(&nic, 0x520c), ==, 0x11223344);
    /* The same registers through IOADDR and IODATA. */
    port_write(memory, BAR1, 0x5200, 4);
    g_assert_cmphex(port_read(memory, BAR1 + 4, 4), ==, 0x12ab5678);
    port_write(memory, BAR1 + 4, 0x55aa55aa, 4);
    g_assert_cmphex(reg(&nic, 0x5200), ==, 0x55aa55aa);
    port_write(memory, BAR1, 0xfffffffc, 4);
    g_assert_cmphex(port_read(memory, BAR1 + 4, 4), ==, 0);
    /* CTRL.RST */
    set(&nic, 0, 1 << 26);
    g_assert_cmphex(reg(&nic, 0x5200), ==, 0);
    g_assert_cmphex(reg(&nic, 0) & 1 << 26, ==, 0);
    g_assert_cmphex(reg(&nic, 0x5404), ==, 0x800001cd);
    /* Every register, read and written, does no harm. */
    for (uint32_t offset = 0; offset < 0x20000; offset += 4) {
        reg(&nic, offset);
        set(&nic, offset, 0xffffffff);
    }
    nic_destroy(&nic);
}

/* --- receiving -------------------------------------------------------------------------------- */

static void test_receive(void)
{
    Nic nic;
    uint8_t frame[1514], got[1518];

    nic_init(&nic);
    nic_start(&nic);
    set(&nic, IMS, 0x80);
    make_frame(frame, OURS, 1000);
    arrive(&nic, frame, 1000);
    uint64_t status = rx_status(&nic, 0);
    g_assert_cmphex(status_of(status), ==, DD | EOP | IXSM);
    g_assert_cmpuint(status & 0xffff, ==, 1004);
    memory_read(nic.storage.board.memory, RX_BUFFER, got, 1004);
    g_assert_cmpmem(frame, 1000, got, 1000);
    uint32_t crc = (uint32_t)crc32(0, frame, 1000);
    g_assert_cmpmem(&crc, 4, got + 1000, 4);
    g_assert_cmpuint(reg(&nic, 0x2810), ==, 1);
    g_assert_true(nic.intx);
    g_assert_cmphex(reg(&nic, ICR) & 0x80, ==, 0x80);
    g_assert_false(nic.intx);

    /* SECRC, and a frame too short for the wire. */
    set(&nic, 0x0100, 0x8002 | 1 << 26);
    make_frame(frame, BROADCAST, 42);
    arrive(&nic, frame, 42);
    status = rx_status(&nic, 1);
    g_assert_cmpuint(status & 0xffff, ==, 60);
    /* 256-byte buffers: six descriptors, EOP in the last. */
    set(&nic, 0x0100, 0x8002 | 3 << 16);
    make_frame(frame, OURS, 1514);
    arrive(&nic, frame, 1514);
    for (int i = 2; i < 8; i++) {
        status = rx_status(&nic, i);
        g_assert_cmphex(status_of(status) & (DD | EOP), ==, i == 7 ? DD | EOP : DD);
        g_assert_cmpuint(status & 0xffff, ==, i == 7 ? 1518 - 5 * 256 : 256);
        memory_read(nic.storage.board.memory, RX_BUFFER + i * 0x4000, got, 200);
        g_assert_cmpmem(got, 200, frame + (i - 2) * 256, 200);
    }
    /* Counters read once. */
    g_assert_cmpuint(reg(&nic, 0x4074), ==, 3);
    g_assert_cmpuint(reg(&nic, 0x4074), ==, 0);
    g_assert_cmpuint(reg(&nic, 0x4078), ==, 1);
    g_assert_cmpuint(reg(&nic, 0x4088), ==, 1004 + 64 + 1518);
    reg(&nic, 0x408c);
    g_assert_cmpuint(reg(&nic, 0x4088), ==, 0);
    nic_destroy(&nic);
}

static unsigned arrived(Nic *nic, const char *destination)
{
    uint8_t frame[100];
    uint32_t before = reg(nic, 0x2810);

    make_frame(frame, destination, sizeof frame);
    arrive(nic, frame, sizeof frame);
    set(nic, 0x2818, (reg(nic, 0x2810) + RING - 1) % RING);
    return (reg(nic, 0x2810) + RING - before) % RING;
}

static void test_filters(void)
{
    Nic nic;
    unsigned hash;

    nic_init(&nic);
    nic_start(&nic);
    g_assert_cmpuint(arrived(&nic, OURS), ==, 1);
    g_assert_cmpuint(arrived(&nic, BROADCAST), ==, 1);
    g_assert_cmpuint(arrived(&nic, "52:54:00:ab:cd:02"), ==, 0);
    g_assert_cmpuint(arrived(&nic, "01:00:5e:00:00:fb"), ==, 0);
    set(&nic, 0x0100, 0x0002); /* no BAM */
    g_assert_cmpuint(arrived(&nic, BROADCAST), ==, 0);
    set(&nic, 0x0100, 0x000a); /* UPE */
    g_assert_cmpuint(arrived(&nic, "52:54:00:ab:cd:02"), ==, 1);
    g_assert_cmpuint(arrived(&nic, "01:00:5e:00:00:fb"), ==, 0);
    set(&nic, 0x0100, 0x0012); /* MPE */
    g_assert_cmpuint(arrived(&nic, "01:00:5e:00:00:fb"), ==, 1);
    g_assert_cmpuint(arrived(&nic, "52:54:00:ab:cd:02"), ==, 0);
    /* The hash table, by the bits each offset picks. */
    static const uint8_t shifts[4] = {4, 3, 2, 0};
    for (unsigned offset = 0; offset < 4; offset++) {
        set(&nic, 0x0100, 2 | offset << 12);
        hash = (0x1200 | 0xfb00 << 8 | 0) >> 8; /* bytes 4 and 5: 12 fb */
        hash = (0x12 | 0xfb << 8) >> shifts[offset] & 0xfff;
        set(&nic, 0x5200 + hash / 32 * 4, 1u << hash % 32);
        unsigned at = reg(&nic, 0x2810);
        g_assert_cmpuint(arrived(&nic, "01:00:5e:00:12:fb"), ==, 1);
        g_assert_cmphex(status_of(rx_status(&nic, at)) & PIF, ==, PIF);
        g_assert_cmpuint(arrived(&nic, "01:00:5e:00:12:fa"), ==, 0);
        set(&nic, 0x5200 + hash / 32 * 4, 0);
    }
    /* A second perfect address. */
    set(&nic, 0x5408, 0x04030202);
    set(&nic, 0x540c, 0x80000605);
    g_assert_cmpuint(arrived(&nic, "02:02:03:04:05:06"), ==, 1);
    set(&nic, 0x540c, 0x00000605);
    g_assert_cmpuint(arrived(&nic, "02:02:03:04:05:06"), ==, 0);
    /* Off, down, no bus mastering. */
    set(&nic, 0x0100, 0);
    g_assert_cmpuint(arrived(&nic, OURS), ==, 0);
    set(&nic, 0x0100, 2);
    net_backend_set_link(&nic.wire->backend, false);
    g_assert_cmpuint(arrived(&nic, OURS), ==, 0);
    net_backend_set_link(&nic.wire->backend, true);
    pci_config_write(nic.storage.board.pci, nic.devfn, PCI_COMMAND, 3, 2);
    g_assert_cmpuint(arrived(&nic, OURS), ==, 0);
    nic_destroy(&nic);
}

static void test_lengths(void)
{
    Nic nic;
    g_autofree uint8_t *frame = g_malloc(65536);

    nic_init(&nic);
    nic_start(&nic);
    make_frame(frame, OURS, 65535);
    arrive(&nic, frame, 0);
    arrive(&nic, frame, 1515);
    arrive(&nic, frame, 65535);
    g_assert_cmpuint(reg(&nic, 0x2810), ==, 0);
    g_assert_cmpuint(reg(&nic, 0x40ac), ==, 2); /* ROC */
    arrive(&nic, frame, 1514);
    arrive(&nic, frame, 1);
    g_assert_cmpuint(reg(&nic, 0x2810), ==, 1); /* the last was for somebody else */
    set(&nic, 0x0100, 0x8022);                  /* LPE */
    arrive(&nic, frame, 9014);
    g_assert_cmpuint(reg(&nic, 0x2810), ==, 1 + 5);
    g_assert_cmpuint(rx_status(&nic, 5) & 0xffff, ==, 9018 - 4 * 2048);
    /* One 16 KiB buffer. */
    set(&nic, 0x0100, 0x8022 | 1 << 16 | 1 << 25);
    arrive(&nic, frame, 16380);
    arrive(&nic, frame, 16381);
    g_assert_cmpuint(reg(&nic, 0x2810), ==, 7);
    g_assert_cmpuint(rx_status(&nic, 6) & 0xffff, ==, 16384);
    nic_destroy(&nic);
}

static void test_back_pressure(void)
{
    Nic nic;
    uint8_t frame[200];

    nic_init(&nic);
    nic_start(&nic);
    set(&nic, 0x2818, 2);
    for (int i = 0; i < 10; i++) {
        make_frame(frame, OURS, sizeof frame);
        frame[20] = (uint8_t)i;
        arrive(&nic, frame, sizeof frame);
    }
    g_assert_cmpuint(reg(&nic, 0x2810), ==, 2);
    g_assert_cmpuint(reg(&nic, 0x40a0), ==, 1); /* RNBC */
    g_assert_cmpuint(g_queue_get_length(&nic.wire->backend.queue), ==, 8);
    set(&nic, 0x2818, 12); /* room: what waited comes, in order */
    g_assert_cmpuint(reg(&nic, 0x2810), ==, 10);
    for (int i = 0; i < 10; i++)
        g_assert_cmpuint(memory_read_uint(nic.storage.board.memory, RX_BUFFER + i * 0x4000 + 20, 1),
                         ==, i);
    /* A card that never makes room costs a bounded queue and says so. */
    set(&nic, 0x2818, 10);
    for (int i = 0; i < NET_QUEUE_FRAMES + 100; i++)
        arrive(&nic, frame, sizeof frame);
    g_assert_false(net_backend_room(&nic.wire->backend));
    g_assert_cmpuint(nic.wire->backend.statistics.dropped, ==, 100);
    g_assert_cmpuint(reg(&nic, 0x4010), ==, 100);
    g_assert_cmphex(reg(&nic, ICR) & 0x40, ==, 0x40);
    nic_destroy(&nic);
}

static void test_receive_checksums(void)
{
    Nic nic;
    uint8_t frame[1514];
    unsigned at = 0;

    nic_init(&nic);
    nic_start(&nic);
    set(&nic, 0x5000, 0x300); /* RXCSUM: IP, TCP and UDP */
    for (int udp = 0; udp < 2; udp++) {
        for (size_t payload = 0; payload < 1400; payload += 333) {
            size_t length = make_ipv4(frame, udp, payload);
            arrive(&nic, frame, length);
            uint64_t word = rx_status(&nic, at++);
            g_assert_cmphex(status_of(word), ==, DD | EOP | TCPCS | IPCS);
            g_assert_cmphex(errors_of(word), ==, 0);
        }
        size_t length = make_ipv4(frame, udp, 101);
        frame[length - 1] ^= 1;
        arrive(&nic, frame, length);
        g_assert_cmphex(errors_of(rx_status(&nic, at++)), ==, 0x20);
        frame[length - 1] ^= 1;
        frame[14 + 8] ^= 1; /* TTL */
        arrive(&nic, frame, length);
        g_assert_cmphex(errors_of(rx_status(&nic, at++)), ==, 0x40);
    }
    /* UDP without a checksum, a fragment, headers that lie. */
    make_ipv4(frame, true, 100);
    put_be16(frame + 14 + 20 + 6, 0);
    arrive(&nic, frame, 142);
    g_assert_cmphex(status_of(rx_status(&nic, at++)), ==, DD | EOP | IPCS);
    make_ipv4(frame, false, 100);
    frame[14 + 6] = 0x20;
    arrive(&nic, frame, 154);
    g_assert_cmphex(status_of(rx_status(&nic, at++)), ==, DD | EOP | IPCS);
    make_ipv4(frame, false, 100);
    frame[14] = 0x4f; /* header of 60 bytes, TCP behind it cut short */
    put_be16(frame + 16, 65535);
    arrive(&nic, frame, 70);
    g_assert_cmphex(status_of(rx_status(&nic, at++)) & TCPCS, ==, 0);
    make_ipv4(frame, false, 100);
    frame[14] = 0x42;
    arrive(&nic, frame, 154);
    g_assert_cmphex(status_of(rx_status(&nic, at++)), ==, DD | EOP | IXSM);
    nic_destroy(&nic);
}

static void test_vlan(void)
{
    Nic nic;
    uint8_t frame[104], got[128];
    size_t length;

    nic_init(&nic);
    nic_start(&nic);
    set(&nic, 0x38, 0x8100);
    set(&nic, 0, reg(&nic, 0) | 1u << 30); /* VME */
    make_frame(frame, OURS, sizeof frame);
    put_be16(frame + 12, 0x8100);
    put_be16(frame + 14, 0x6005);
    put_be16(frame + 16, 0x88b5);
    arrive(&nic, frame, sizeof frame);
    uint64_t word = rx_status(&nic, 0);
    g_assert_cmphex(status_of(word) & VP, ==, VP);
    g_assert_cmphex(word >> 48, ==, 0x6005);
    g_assert_cmpuint(word & 0xffff, ==, 104);
    memory_read(nic.storage.board.memory, RX_BUFFER, got, 100);
    g_assert_cmpmem(got, 12, frame, 12);
    g_assert_cmpmem(got + 12, 88, frame + 16, 88);
    /* The filter. */
    set(&nic, 0x0100, 0x8002 | 1 << 18);
    arrive(&nic, frame, sizeof frame);
    g_assert_cmpuint(reg(&nic, 0x2810), ==, 1);
    set(&nic, 0x5600, 1 << 5);
    arrive(&nic, frame, sizeof frame);
    g_assert_cmpuint(reg(&nic, 0x2810), ==, 2);
    /* Insertion. */
    memory_write(nic.storage.board.memory, TX_BUFFER, got, 100);
    tx_descriptor(&nic, 0, TX_BUFFER, 100 | C_EOP | C_IFCS | C_RS | C_VLE, 0x6005u << 16);
    set(&nic, 0x3818, 1);
    const uint8_t *out = sent(&nic, 0, &length);
    g_assert_cmpmem(out, length, frame, sizeof frame);
    nic_destroy(&nic);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void test_transmit(void)
{
    Nic nic;
    uint8_t frame[1514];
    size_t length;
    MemoryMap *memory;

    nic_init(&nic);
    nic_start(&nic);
    memory = nic.storage.board.memory;
    set(&nic, IMS, 3);
    make_frame(frame, BROADCAST, 1514);
    memory_write(memory, TX_BUFFER, frame, 1514);
    tx_descriptor(&nic, 0, TX_BUFFER, 14, 0);
    tx_descriptor(&nic, 1, TX_BUFFER + 14, 1000, 0);
    tx_descriptor(&nic, 2, TX_BUFFER + 1014, 500 | C_EOP | C_IFCS | C_RS, 0);
    set(&nic, 0x3818, 2);
    g_assert_cmpuint(nic.wire->sent->len, ==, 0);
    g_assert_cmpuint(reg(&nic, 0x3810), ==, 2);
    reg(&nic, ICR);
    set(&nic, 0x3818, 3);
    g_assert_cmpmem(sent(&nic, 0, &length), 1514, frame, 1514);
    g_assert_cmpuint(length, ==, 1514);
    g_assert_cmphex(tx_status(&nic, 2) & 1, ==, 1);
    g_assert_cmphex(tx_status(&nic, 1) & 1, ==, 0);
    g_assert_true(nic.intx);
    g_assert_cmphex(reg(&nic, ICR), ==, 3);
    /* Padding, the guest's own FCS, a legacy checksum. */
    set(&nic, 0x0400, 0x000a);
    tx_descriptor(&nic, 3, TX_BUFFER, 20 | C_EOP | C_IFCS, 0);
    tx_descriptor(&nic, 4, TX_BUFFER, 104 | C_EOP, 0);
    tx_descriptor(&nic, 5, TX_BUFFER, 100 | 12 << 16 | C_EOP | C_IFCS | 1 << 26, 20 << 8);
    set(&nic, 0x3818, 6);
    sent(&nic, 1, &length);
    g_assert_cmpuint(length, ==, 60);
    sent(&nic, 2, &length);
    g_assert_cmpuint(length, ==, 100);
    const uint8_t *out = sent(&nic, 3, &length);
    g_assert_cmphex(get_be16(out + 12), ==,
                    (uint16_t)~checksum_fold(checksum_add(0, frame + 20, 80)));
    g_assert_cmpuint(reg(&nic, 0x4080), ==, 4);
    nic_destroy(&nic);
}

static void context(Nic *nic, unsigned index, bool segment, size_t payload, unsigned header,
                    unsigned mss)
{
    uint64_t words = 14 | 24 << 8 | (uint64_t)33 << 16 | (uint64_t)34 << 32 | (uint64_t)50 << 40;
    tx_descriptor(nic, index, words,
                  (uint32_t)payload | C_CONTEXT | 3 << 24 | (segment ? C_TSE : 0),
                  header << 8 | mss << 16);
}

/* What a driver leaves to the card: no IP checksum, the pseudo header's sum in TCP's place. */
static size_t put_unfinished(Nic *nic, uint8_t *frame, size_t payload, bool with_length)
{
    size_t length = make_ipv4(frame, false, MIN(payload, 65000));
    uint8_t pseudo[4] = {0, 6};

    put_be16(pseudo + 2, with_length ? (uint16_t)(20 + payload) : 0);
    put_be16(frame + 24, 0);
    put_be16(frame + 50, checksum_fold(checksum_add(checksum_add(0, frame + 26, 8), pseudo, 4)));
    memory_write(nic->storage.board.memory, TX_BUFFER, frame, length);
    return length;
}

static void test_checksum_offload(void)
{
    Nic nic;
    uint8_t frame[1514], right[1514];
    size_t length, size;

    nic_init(&nic);
    nic_start(&nic);
    size = make_ipv4(right, false, 777);
    put_unfinished(&nic, frame, 777, true);
    context(&nic, 0, false, 0, 0, 0);
    tx_descriptor(&nic, 1, TX_BUFFER, 54 | C_DATA | C_IFCS, 3 << 8);
    tx_descriptor(&nic, 2, TX_BUFFER + 54, (uint32_t)(size - 54) | C_DATA | C_EOP | C_IFCS | C_RS,
                  0);
    set(&nic, 0x3818, 3);
    const uint8_t *out = sent(&nic, 0, &length);
    g_assert_cmpmem(out, length, right, size);
    nic_destroy(&nic);
}

static void segment(Nic *nic, size_t payload, unsigned mss, unsigned *frames, bool large)
{
    g_autofree uint8_t *frame = g_malloc(66000);
    size_t length = put_unfinished(nic, frame, payload, false), done = 0, n;

    g_ptr_array_set_size(nic->wire->sent, 0);
    set(nic, 0x3810, 0);
    set(nic, 0x3818, 0);
    context(nic, 0, true, payload, 54, mss);
    tx_descriptor(nic, 1, TX_BUFFER, 100 | C_DATA | C_TSE | C_IFCS, 3 << 8);
    tx_descriptor(nic, 2, TX_BUFFER + 100,
                  (uint32_t)(length - 100) | C_DATA | C_TSE | C_EOP | C_IFCS | C_RS, 0);
    set(nic, 0x3818, 3);
    while (reg(nic, 0x3810) != 3) /* what takes long goes on later */
        clock_advance(nic->storage.board.clock, 1000000);
    for (unsigned i = 0; i < nic->wire->sent->len; i++) {
        const uint8_t *out = sent(nic, i, &n);
        bool last = i + 1 == nic->wire->sent->len;
        g_assert_true(ipv4_is_right(out, n));
        g_assert_cmpuint(get_be16(out + 16), ==, n - 14);
        g_assert_cmpuint(get_be16(out + 18), ==, 0x1234 + i);
        g_assert_cmphex(get_be32(out + 38), ==, 0x11223344 + done);
        g_assert_cmphex(out[47], ==, last ? 0x19 : 0x10);
        g_assert_cmpmem(out + 54, n - 54, frame + 54 + done, n - 54);
        if (!last && !large)
            g_assert_cmpuint(n - 54, ==, mss);
        done += n - 54;
    }
    g_assert_cmpuint(done, ==, length - 54);
    *frames = nic->wire->sent->len;
}

static void test_segmentation(void)
{
    Nic nic;
    unsigned frames;

    nic_init(&nic);
    nic_start(&nic);
    segment(&nic, 14600, 1460, &frames, false);
    g_assert_cmpuint(frames, ==, 10);
    segment(&nic, 14601, 1460, &frames, false);
    g_assert_cmpuint(frames, ==, 11);
    segment(&nic, 1000, 1460, &frames, false);
    g_assert_cmpuint(frames, ==, 1);
    segment(&nic, 64000, 536, &frames, false);
    g_assert_cmpuint(frames, ==, 120);
    nic_destroy(&nic);

    /* A back end that needs no MTU gets it in one; what does not fit an IP datagram in two. */
    nic_init_with(&nic, &large_wire_class, "");
    nic_start(&nic);
    segment(&nic, 64000, 1460, &frames, true);
    g_assert_cmpuint(frames, ==, 1);
    segment(&nic, 64999, 536, &frames, true);
    g_assert_cmpuint(frames, ==, 1);
    nic_destroy(&nic);
}

/* --- interrupts ------------------------------------------------------------------------------- */

static void test_interrupts(void)
{
    Nic nic;

    nic_init(&nic);
    set(&nic, 0xc8, 0x10);
    g_assert_false(nic.intx);
    set(&nic, IMS, 0x14);
    g_assert_true(nic.intx);
    g_assert_cmphex(reg(&nic, IMS), ==, 0x14);
    set(&nic, 0xd8, 0x10); /* IMC */
    g_assert_false(nic.intx);
    set(&nic, IMS, 0x10);
    g_assert_true(nic.intx);
    set(&nic, ICR, 0x10); /* write one to clear */
    g_assert_false(nic.intx);
    g_assert_cmphex(reg(&nic, ICR), ==, 0);

    /* ITR: 1000 units of 256 ns between two edges. */
    Clock *clock = nic.storage.board.clock;
    clock_advance(clock, 1000000);
    set(&nic, 0xc4, 1000);
    nic.edges = 0;
    for (int i = 0; i < 10; i++) {
        set(&nic, 0xc8, 0x10);
        if (nic.intx)
            reg(&nic, ICR);
        clock_advance(clock, 64000);
    }
    g_assert_cmpuint(nic.edges, ==, 3); /* at 0, 256 and 512 of 640 us */
    nic_destroy(&nic);
}

static void test_delays(void)
{
    Nic nic;
    uint8_t frame[100];
    Clock *clock;

    nic_init(&nic);
    nic_start(&nic);
    clock = nic.storage.board.clock;
    clock_advance(clock, 1000000);
    make_frame(frame, OURS, sizeof frame);
    set(&nic, IMS, 0x81);
    set(&nic, 0x2820, 100); /* RDTR: 102.4 us after the last frame */
    set(&nic, 0x282c, 200); /* RADV: 204.8 us after the first */
    arrive(&nic, frame, sizeof frame);
    clock_advance(clock, 90000);
    g_assert_false(nic.intx);
    arrive(&nic, frame, sizeof frame);
    clock_advance(clock, 90000);
    g_assert_false(nic.intx);
    arrive(&nic, frame, sizeof frame);
    clock_advance(clock, 20000);
    g_assert_false(nic.intx);
    clock_advance(clock, 5000); /* 205 us */
    g_assert_true(nic.intx);
    reg(&nic, ICR);
    arrive(&nic, frame, sizeof frame);
    clock_advance(clock, 102300);
    g_assert_false(nic.intx);
    clock_advance(clock, 200);
    g_assert_true(nic.intx);
    reg(&nic, ICR);
    arrive(&nic, frame, sizeof frame);
    set(&nic, 0x2820, 100 | 1u << 31); /* FPD */
    g_assert_true(nic.intx);
    reg(&nic, ICR);

    set(&nic, 0x3820, 150); /* TIDV */
    tx_descriptor(&nic, 0, TX_BUFFER, 100 | C_EOP | C_IFCS | C_RS | 1u << 31, 0);
    set(&nic, 0x3818, 1);
    g_assert_false(nic.intx);
    clock_advance(clock, 253500); /* the host's timer comes 100 us late */
    g_assert_false(nic.intx);
    clock_advance(clock, 200);
    g_assert_true(nic.intx);
    g_assert_cmphex(reg(&nic, ICR) & 1, ==, 1);
    /* A shorter one ends after 100 us at the earliest, with the next frame or with another
     * interrupt. */
    set(&nic, 0x3820, 8);
    set(&nic, 0x382c, 32);
    tx_descriptor(&nic, 1, TX_BUFFER, 100 | C_EOP | C_IFCS | C_RS | 1u << 31, 0);
    set(&nic, 0x3818, 2);
    clock_advance(clock, 199000);
    g_assert_false(nic.intx);
    clock_advance(clock, 2000);
    g_assert_cmphex(reg(&nic, ICR) & 1, ==, 1);
    for (unsigned i = 0; i < 2; i++) {
        tx_descriptor(&nic, 2 + i, TX_BUFFER, 100 | C_EOP | C_IFCS | C_RS | 1u << 31, 0);
        set(&nic, 0x3818, 3 + i);
        g_assert_cmpint(nic.intx, ==, i);
        clock_advance(clock, 101000);
    }
    g_assert_cmphex(reg(&nic, ICR) & 1, ==, 1);
    tx_descriptor(&nic, 4, TX_BUFFER, 100 | C_EOP | C_IFCS | C_RS | 1u << 31, 0);
    set(&nic, 0x3818, 5);
    g_assert_false(nic.intx);
    set(&nic, 0x2820, 0);
    arrive(&nic, frame, sizeof frame);
    g_assert_true(nic.intx);
    g_assert_cmphex(reg(&nic, ICR) & 0x81, ==, 0x81);
    clock_advance(clock, 200000);
    g_assert_false(nic.intx);
    tx_descriptor(&nic, 5, TX_BUFFER, 100 | C_EOP | C_IFCS | C_RS, 0);
    set(&nic, 0x3818, 6);
    g_assert_true(nic.intx);
    nic_destroy(&nic);
}

static void test_loopback(void)
{
    Nic nic;
    uint8_t frame[100];

    nic_init(&nic);
    nic_start(&nic);
    set(&nic, 0x20, 1 << 26 | 1 << 21 | 0x4140); /* PHY loopback */
    set(&nic, 0x0100, 0x80ca);                   /* UPE, LBM 11 */
    make_frame(frame, "02:00:00:00:00:09", sizeof frame);
    memory_write(nic.storage.board.memory, TX_BUFFER, frame, sizeof frame);
    tx_descriptor(&nic, 0, TX_BUFFER, 100 | C_EOP | C_IFCS, 0);
    set(&nic, 0x3818, 1);
    g_assert_cmpuint(nic.wire->sent->len, ==, 0);
    g_assert_cmpuint(reg(&nic, 0x2810), ==, 1);
    g_assert_cmpuint(rx_status(&nic, 0) & 0xffff, ==, 104);
    nic_destroy(&nic);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/e1000/eeprom", test_eeprom);
    g_test_add_func("/e1000/phy-and-link", test_phy_and_link);
    g_test_add_func("/e1000/registers", test_registers);
    g_test_add_func("/e1000/receive", test_receive);
    g_test_add_func("/e1000/filters", test_filters);
    g_test_add_func("/e1000/lengths", test_lengths);
    g_test_add_func("/e1000/back-pressure", test_back_pressure);
    g_test_add_func("/e1000/receive-checksums", test_receive_checksums);
    g_test_add_func("/e1000/vlan", test_vlan);
    g_test_add_func("/e1000/transmit", test_transmit);
    g_test_add_func("/e1000/checksum-offload", test_checksum_offload);
    g_test_add_func("/e1000/segmentation", test_segmentation);
    g_test_add_func("/e1000/interrupts", test_interrupts);
    g_test_add_func("/e1000/delays", test_delays);
    g_test_add_func("/e1000/loopback", test_loopback);
    return g_test_run();
}
