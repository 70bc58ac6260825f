/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A hostile guest and a hostile network around the e1000 and its back ends, to be run under the
 * address sanitizer: `./dev fuzz net --seconds N [--seed S] [--case C]`.
 *
 * A case is a card and some hundred operations: registers written and read in any width, rings that
 * are nearly sound, descriptors of every kind, DMA to nowhere and to the card itself, frames of 0
 * to 64 KiB from both sides, cables pulled, resets, BARs that move. Its random numbers come from
 * the seed and its number alone, so that a case that fails can be run again by itself.
 *
 * What is judged: the sanitizer is silent, one operation takes less than CPU_LIMIT of processor
 * time (more where the machine's time goes on meanwhile), what reaches the network is a frame, and
 * the waiting queue keeps to its bounds.
 */

#include "core/net/slirp.h"
#include "core/net/socket.h"
#include "tests/core/devices/e1000-fixture.h"
#include "tests/fuzz/hostile.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define OPERATIONS    400
#define CPU_LIMIT     2.0 /* seconds, sanitizer and a busy computer included */
#define CPU_SHARE     30  /* the card sends for 2 ms every 0.1 ms of the machine's time */
#define CASE_LIMIT    600 /* seconds on the wall before a case counts as hung */
#define RAM_END       (16u << 20)
#define LARGEST_FRAME 65600

typedef struct {
    Nic nic;
    GRand *random;
    NetBackend *net;
    bool user; /* the network is libslirp's */
    int peer;  /* the other end of a stream; -1: none */
    char *peer_path;
    uint8_t frame[LARGEST_FRAME];
} Fuzz;

static unsigned current_operation;

/* --- random things ---------------------------------------------------------------------------- */

static uint32_t any(Fuzz *fuzz)
{
    return g_rand_int(fuzz->random);
}

/* 0 to LIMIT-1 */
static uint32_t below(Fuzz *fuzz, uint32_t limit)
{
    return any(fuzz) % limit;
}

static bool one_in(Fuzz *fuzz, uint32_t n)
{
    return below(fuzz, n) == 0;
}

/* Small numbers, large ones and those at the edges. */
static uint32_t value(Fuzz *fuzz)
{
    static const uint32_t edges[] = {
        0,       1,       2,          7,          8,          15,         16,     31,
        32,      33,      0x7f,       0x80,       0xff,       0x100,      0xffff, 0x10000,
        0xfff80, 0xfffff, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,
    };

    switch (below(fuzz, 4)) {
    case 0: return edges[below(fuzz, G_N_ELEMENTS(edges))];
    case 1: return any(fuzz);
    default: return any(fuzz) >> below(fuzz, 32);
    }
}

/* Where DMA goes: mostly to RAM, else to its end, the card, nowhere, or round the end of space. */
static uint64_t dma_address(Fuzz *fuzz)
{
    switch (below(fuzz, 12)) {
    case 0: return RAM_END - below(fuzz, 4096);
    case 1: return BAR0 + (below(fuzz, 0x20000) & ~3u);
    case 2: return BAR0 + 0x20000 - below(fuzz, 64);
    case 3: return 0xffffffffffffffffull - below(fuzz, 4096);
    case 4: return 0xffffffffu - below(fuzz, 4096);
    case 5: return (uint64_t)any(fuzz) << 32 | any(fuzz);
    case 6: return 0;
    case 7: return TX_RING + below(fuzz, 1024);
    case 8: return RX_RING + below(fuzz, 1024);
    default: return below(fuzz, RAM_END);
    }
}

static uint32_t register_offset(Fuzz *fuzz)
{
    static const uint16_t known[] = {
        0x0000, 0x0008, 0x0010, 0x0014, 0x0018, 0x0020, 0x0028, 0x002c, 0x0030, 0x0038, 0x00c0,
        0x00c4, 0x00c8, 0x00d0, 0x00d8, 0x0100, 0x0170, 0x0178, 0x0180, 0x0400, 0x0410, 0x0458,
        0x0e00, 0x1000, 0x2160, 0x2168, 0x2410, 0x2800, 0x2804, 0x2808, 0x2810, 0x2818, 0x2820,
        0x2828, 0x282c, 0x2c00, 0x3000, 0x3800, 0x3804, 0x3808, 0x3810, 0x3818, 0x3820, 0x3828,
        0x382c, 0x3830, 0x4000, 0x4074, 0x40fc, 0x5000, 0x5200, 0x53fc, 0x5400, 0x5404, 0x547c,
        0x5600, 0x57fc, 0x5800, 0x5808, 0x5810, 0x5820, 0x5838, 0x5f00, 0x9000,
    };

    return one_in(fuzz, 8) ? below(fuzz, 0x20000) : known[below(fuzz, G_N_ELEMENTS(known))];
}

/* A frame in FRAME: noise behind headers that are nearly right. Returns its length. */
static size_t make_any_frame(Fuzz *fuzz)
{
    static const uint16_t types[] = {0x0800, 0x0800, 0x86dd, 0x0806,
                                     0x8100, 0x8808, 0x0000, 0xffff};
    static const uint8_t addresses[][4] = {{10, 0, 2, 2},        {10, 0, 2, 3},  {10, 0, 2, 15},
                                           {255, 255, 255, 255}, {127, 0, 0, 1}, {0}};
    static const uint8_t protocols[] = {1, 6, 17, 58, 2, 0, 255};
    static const uint16_t ports[] = {67, 68, 69, 53, 80, 0, 547};
    uint8_t *frame = fuzz->frame, *ip = frame + 14;
    size_t length = one_in(fuzz, 30) ? below(fuzz, LARGEST_FRAME) : below(fuzz, 1600);

    for (size_t i = 0; i < MIN(length, 128); i++)
        frame[i] = (uint8_t)any(fuzz);
    if (length < 60)
        return length;
    if (one_in(fuzz, 2))
        memset(frame, 0xff, 6);
    else
        memcpy(frame, "\x52\x54\x00\xab\xcd\x01", 6);
    if (one_in(fuzz, 4))
        frame[0] |= 1;
    uint16_t type = types[below(fuzz, G_N_ELEMENTS(types))];
    put_be16(frame + 12, type);
    if (type == 0x8100) {
        put_be16(frame + 16, types[below(fuzz, 4)]);
        ip += 4;
    }
    uint8_t protocol = protocols[below(fuzz, G_N_ELEMENTS(protocols))];
    size_t header = 20;
    if (type == 0x86dd) {
        ip[0] = 0x60;
        put_be16(ip + 4, one_in(fuzz, 4) ? (uint16_t)value(fuzz) : (uint16_t)(length - 54));
        ip[6] = protocol;
        memcpy(ip + 24, "\xfe\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\2", 16);
        header = 40;
    } else if (type != 0x0806) {
        header = one_in(fuzz, 4) ? below(fuzz, 16) * 4 : 20;
        ip[0] = (uint8_t)(0x40 | header / 4);
        put_be16(ip + 2, one_in(fuzz, 4) ? (uint16_t)value(fuzz) : (uint16_t)(length - 14));
        put_be16(ip + 6, one_in(fuzz, 4) ? (uint16_t)value(fuzz) : 0);
        ip[8] = 64;
        ip[9] = protocol;
        memcpy(ip + 12, addresses[below(fuzz, G_N_ELEMENTS(addresses))], 4);
        memcpy(ip + 16, addresses[below(fuzz, G_N_ELEMENTS(addresses))], 4);
        put_be16(ip + 10, 0);
        put_be16(ip + 10, (uint16_t)~checksum_fold(checksum_add(0, ip, MAX(header, 20))));
    }
    if (length < (size_t)(ip - frame) + header + 20)
        return length;
    if (protocol == 6 || protocol == 17)
        put_be16(ip + header + 2, ports[below(fuzz, G_N_ELEMENTS(ports))]);
    if (protocol == 17) {
        put_be16(ip + header + 4,
                 one_in(fuzz, 4) ? (uint16_t)value(fuzz) : (uint16_t)(length - 14 - header));
        put_be16(ip + header + 6, 0); /* no checksum */
    } else if (protocol == 6 && one_in(fuzz, 2)) {
        ip[header + 12] = 0x50;
        ip[header + 13] = (uint8_t)below(fuzz, 64);
    }
    return length;
}

/* --- operations --------------------------------------------------------------------------------
 */

static void write_register(Fuzz *fuzz)
{
    memory_write_uint(fuzz->nic.storage.board.memory, BAR0 + register_offset(fuzz), value(fuzz),
                      1u << below(fuzz, 4));
}

static void read_register(Fuzz *fuzz)
{
    memory_read_uint(fuzz->nic.storage.board.memory, BAR0 + register_offset(fuzz),
                     1u << below(fuzz, 4));
}

static void use_ports(Fuzz *fuzz)
{
    Board *board = &fuzz->nic.storage.board;
    uint16_t port = BAR1 + below(fuzz, 16);

    if (one_in(fuzz, 2))
        port_write(board->memory, BAR1, register_offset(fuzz), 4);
    if (one_in(fuzz, 2))
        port_write(board->memory, port, value(fuzz), 1u << below(fuzz, 3));
    else
        port_read(board->memory, port, 1u << below(fuzz, 3));
}

static void start_driver(Fuzz *fuzz)
{
    nic_start(&fuzz->nic);
    if (one_in(fuzz, 2)) /* RCTL: filters open, long frames, any buffer size, no FCS */
        set(&fuzz->nic, 0x0100, 0x2 | (any(fuzz) & 0x0637b33c));
    if (one_in(fuzz, 2)) /* TCTL */
        set(&fuzz->nic, 0x0400, 0x2 | (any(fuzz) & 0x03fffff8));
    if (one_in(fuzz, 2)) /* RXCSUM */
        set(&fuzz->nic, 0x5000, any(fuzz) & 0x7ff);
    if (one_in(fuzz, 2)) /* CTRL.VME */
        set(&fuzz->nic, 0x0000, reg(&fuzz->nic, 0x0000) | 1u << 30);
    if (one_in(fuzz, 2)) /* IMS */
        set(&fuzz->nic, 0x00d0, any(fuzz));
    if (one_in(fuzz, 2)) { /* delays */
        set(&fuzz->nic, 0x00c4, value(fuzz));
        set(&fuzz->nic, 0x2820, value(fuzz));
        set(&fuzz->nic, 0x282c, value(fuzz));
        set(&fuzz->nic, 0x3820, value(fuzz));
    }
    set(&fuzz->nic, 0x2818, below(fuzz, RING + 2));
}

/* A ring somewhere, of any length, heads and tails anywhere. */
static void move_ring(Fuzz *fuzz)
{
    uint32_t block = one_in(fuzz, 2) ? 0x2800 : 0x3800;
    uint64_t base = dma_address(fuzz);

    set(&fuzz->nic, block, (uint32_t)base);
    set(&fuzz->nic, block + 4, (uint32_t)(base >> 32));
    set(&fuzz->nic, block + 8, value(fuzz));
    set(&fuzz->nic, block + 0x10, value(fuzz));
    set(&fuzz->nic, block + 0x18, value(fuzz));
}

static void fill_rx_ring(Fuzz *fuzz)
{
    for (unsigned i = 0; i < RING; i++)
        memory_write_uint(fuzz->nic.storage.board.memory, RX_RING + i * 16, dma_address(fuzz), 8);
}

/* Descriptors of one kind after another, and the doorbell. */
static void transmit(Fuzz *fuzz)
{
    unsigned count = 1 + below(fuzz, RING - 1), at = reg(&fuzz->nic, 0x3810) % RING;
    MemoryMap *memory = fuzz->nic.storage.board.memory;

    for (unsigned i = 0; i < count; i++, at = (at + 1) % RING) {
        uint32_t command = any(fuzz) & 0xff000000, upper = any(fuzz);
        uint32_t length = one_in(fuzz, 8) ? value(fuzz) & 0xfffff : below(fuzz, 3000);
        if (one_in(fuzz, 3)) { /* context */
            uint64_t offsets = any(fuzz) & 0x3f3fu;
            offsets |= (uint64_t)(one_in(fuzz, 2) ? 0 : any(fuzz) & 0xffff) << 16;
            offsets |= (uint64_t)(any(fuzz) & 0x7f3f) << 32;
            offsets |= (uint64_t)(one_in(fuzz, 2) ? 0 : any(fuzz) & 0xffff) << 48;
            uint32_t mss = one_in(fuzz, 4) ? value(fuzz) & 0xffff : 1460;
            tx_descriptor(&fuzz->nic, at, offsets, length | 1u << 29 | (command & 0x9f000000),
                          mss << 16 | (one_in(fuzz, 4) ? any(fuzz) & 0xff : 54) << 8);
            continue;
        }
        uint64_t address = one_in(fuzz, 4) ? dma_address(fuzz) : TX_BUFFER + i * 0x10000;
        size_t size = make_any_frame(fuzz);
        memory_write(memory, TX_BUFFER + i * 0x10000, fuzz->frame, size);
        if (one_in(fuzz, 3)) /* legacy */
            tx_descriptor(&fuzz->nic, at, address, length | (command & 0xdf000000) | upper << 16,
                          upper);
        else
            tx_descriptor(&fuzz->nic, at, address,
                          (one_in(fuzz, 2) ? (uint32_t)size : length) | 1u << 29 | 1u << 20 |
                              command,
                          upper & 0xffff0f00);
    }
    set(&fuzz->nic, 0x3818, at);
}

static void receive(Fuzz *fuzz)
{
    unsigned count = one_in(fuzz, 20) ? 2 * NET_QUEUE_FRAMES : 1 + below(fuzz, 8);

    for (unsigned i = 0; i < count; i++)
        net_backend_deliver(fuzz->net, fuzz->frame, make_any_frame(fuzz));
}

static void refill(Fuzz *fuzz)
{
    set(&fuzz->nic, 0x2818, (reg(&fuzz->nic, 0x2810) + below(fuzz, RING)) % RING);
}

static void pass_time(Fuzz *fuzz)
{
    clock_advance(fuzz->nic.storage.board.clock, value(fuzz) >> below(fuzz, 16));
    for (int i = 0; i < 4; i++)
        g_main_context_iteration(fuzz->nic.storage.board.context, FALSE);
}

/* The other machine of a stream: frames and what is none, connections that come and go. */
static void use_peer(Fuzz *fuzz)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    uint8_t header[4];

    if (!fuzz->peer_path)
        return;
    if (fuzz->peer >= 0 && one_in(fuzz, 10)) {
        close(fuzz->peer);
        fuzz->peer = -1;
    }
    if (fuzz->peer < 0) {
        g_strlcpy(name.sun_path, fuzz->peer_path, sizeof name.sun_path);
        fuzz->peer = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fuzz->peer, (struct sockaddr *)&name, sizeof name) != 0) {
            close(fuzz->peer);
            fuzz->peer = -1;
            return;
        }
    }
    for (unsigned count = below(fuzz, 20); count-- > 0;) {
        size_t length = make_any_frame(fuzz);
        put_be32(header, one_in(fuzz, 50) ? value(fuzz) : (uint32_t)length);
        if (send(fuzz->peer, header, 1 + below(fuzz, 40) / 10, MSG_NOSIGNAL) == 4)
            send(fuzz->peer, fuzz->frame, length, MSG_NOSIGNAL);
        while (!one_in(fuzz, 4) && recv(fuzz->peer, fuzz->frame, LARGEST_FRAME, 0) > 0)
            ;
        pass_time(fuzz);
    }
}

static void pull_cable(Fuzz *fuzz)
{
    net_backend_set_link(fuzz->net, !one_in(fuzz, 3));
}

static void reset_card(Fuzz *fuzz)
{
    if (one_in(fuzz, 3))
        e1000_class.reset(fuzz->nic.card);
    else
        set(&fuzz->nic, 0x0000, 1u << (one_in(fuzz, 2) ? 26 : 31));
}

static void configure(Fuzz *fuzz)
{
    PciBus *bus = fuzz->nic.storage.board.pci;

    pci_config_write(bus, fuzz->nic.devfn, below(fuzz, 64), any(fuzz), 1u << below(fuzz, 3));
    if (one_in(fuzz, 4)) /* BAR0 over the RAM it does DMA to */
        pci_config_write(bus, fuzz->nic.devfn, PCI_BASE_ADDRESS, TX_BUFFER, 4);
    if (one_in(fuzz, 4))
        transmit(fuzz);
    pci_config_write(bus, fuzz->nic.devfn, PCI_BASE_ADDRESS, BAR0, 4);
    pci_config_write(bus, fuzz->nic.devfn, PCI_BASE_ADDRESS + 4, BAR1, 4);
    pci_config_write(bus, fuzz->nic.devfn, PCI_COMMAND, 7, 2);
}

/* The EEPROM's wires and the PHY's registers. */
static void use_serial_parts(Fuzz *fuzz)
{
    for (unsigned i = below(fuzz, 40); i-- > 0;)
        set(&fuzz->nic, 0x0010, any(fuzz) & 0x4f);
    set(&fuzz->nic, 0x0020, (1 + below(fuzz, 2)) << 26 | 1 << 21 | (any(fuzz) & 0x1fffff));
}

static const struct {
    void (*run)(Fuzz *fuzz);
    unsigned weight;
} operations[] = {
    {transmit, 20},    {receive, 20},         {write_register, 15}, {read_register, 6},
    {start_driver, 6}, {refill, 10},          {pass_time, 10},      {fill_rx_ring, 3},
    {move_ring, 3},    {use_ports, 3},        {pull_cable, 1},      {reset_card, 1},
    {configure, 1},    {use_serial_parts, 1}, {use_peer, 6},
};

/* --- cases -------------------------------------------------------------------------------------
 */

static void fail(const char *what)
{
    hostile_fail("operation %u: %s", current_operation, what);
}

static void wire_checked(NetBackend *backend, const uint8_t *frame, size_t length)
{
    volatile uint8_t sink;

    if (!length || length > NET_MAX_FRAME)
        fail("what reaches the network is no frame");
    for (size_t i = 0; i < length; i += 64)
        sink = frame[i];
    sink = frame[length - 1];
    (void)sink;
    /* A network that answers at once, from within. */
    if (length % 7 == 0)
        net_backend_deliver(backend, frame, length);
}

static double cpu_time(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void run_operation(Fuzz *fuzz)
{
    Clock *clock = fuzz->nic.storage.board.clock;
    unsigned total = 0, at = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++)
        total += operations[i].weight;
    unsigned chosen = below(fuzz, total);
    while (chosen >= operations[at].weight)
        chosen -= operations[at++].weight;
    /* libslirp keeps answers to unknown neighbours for a second, and looks at all of them each
     * time: on a clock that stands still their number would have no end. */
    if (fuzz->user)
        clock_advance(clock, 20000000);
    double begin = cpu_time();
    int64_t ns = clock_now(clock);
    operations[at].run(fuzz);
    double passed = (double)(clock_now(clock) - ns) / 1e9;
    if (cpu_time() - begin > CPU_LIMIT + CPU_SHARE * passed)
        fail("one operation takes too long");
    if (fuzz->net->queued_bytes > NET_QUEUE_BYTES || fuzz->net->queue.length > NET_QUEUE_FRAMES)
        fail("the queue is longer than it may be");
}

static void run_case(guint64 number)
{
    static const NetBackendClass checked = {.name = "checked",
                                            .instance_size = sizeof(Wire),
                                            .create = wire_create,
                                            .send = wire_checked,
                                            .destroy = wire_destroy};
    static const NetBackendClass large = {.name = "large",
                                          .instance_size = sizeof(Wire),
                                          .create = wire_create,
                                          .send = wire_checked,
                                          .destroy = wire_destroy,
                                          .takes_large_segments = true};
    g_autofree Fuzz *fuzz = g_new0(Fuzz, 1);

    fuzz->random = hostile_random(number);
    fuzz->user = number % 4 == 2;
    fuzz->peer = -1;
    if (fuzz->user) { /* restricted: nothing of this may leave the program */
        nic_init_with(&fuzz->nic, &slirp_backend_class, "id=net0,restrict=on");
    } else if (number % 4 == 3) {
        fuzz->peer_path = g_strdup_printf("%s/apiary-fuzz-%d", g_get_tmp_dir(), (int)getpid());
        g_autofree char *options =
            g_strdup_printf("id=net0,server=on,addr.type=unix,addr.path=%s", fuzz->peer_path);
        nic_init_with(&fuzz->nic, &stream_backend_class, options);
    } else {
        nic_init_with(&fuzz->nic, number % 4 ? &large : &checked, "");
    }
    fuzz->nic.storage.board.report_error = NULL;
    fuzz->net = &fuzz->nic.wire->backend;
    for (current_operation = 0; current_operation < OPERATIONS; current_operation++)
        run_operation(fuzz);
    nic_destroy(&fuzz->nic);
    if (fuzz->peer >= 0)
        close(fuzz->peer);
    g_free(fuzz->peer_path);
    g_rand_free(fuzz->random);
}

static char *summary(void)
{
    return g_strdup_printf(" of %d operations", OPERATIONS);
}

int main(int argc, char **argv)
{
    static const HostileFuzzer fuzzer = {
        .name = "net", .limit = CASE_LIMIT, .run_case = run_case, .summary = summary};

    return hostile_main(&fuzzer, argc, argv);
}
