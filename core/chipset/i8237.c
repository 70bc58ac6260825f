/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The AT's pair of Intel 8237A DMA controllers. The first serves channels 0-3 with bytes, the
 * second 5-7 with words; its channel 4 cascades the first. Page registers supply address bits
 * 16-23.
 */

#include "core/chipset/i8237.h"

#include <string.h>

/* Registers of a controller, in units of its port spacing */
enum {
    REG_STATUS_COMMAND = 8,
    REG_REQUEST = 9,
    REG_SINGLE_MASK = 10,
    REG_MODE = 11,
    REG_CLEAR_POINTER = 12,
    REG_MASTER_CLEAR = 13, /* reads: the temporary register */
    REG_CLEAR_MASK = 14,
    REG_ALL_MASK = 15,
};

enum { COMMAND_DISABLE = 0x04 };

/* Mode register */
enum {
    MODE_VERIFY = 0,
    MODE_TO_MEMORY = 1, /* the data sheet's "write transfer" */
    MODE_FROM_MEMORY = 2,
    MODE_AUTOINITIALIZE = 0x10,
    MODE_DECREMENT = 0x20,
    MODE_CASCADE = 3,
};

enum { CASCADE_CHANNEL = 4, PAGE_BASE = 0x80, N_PAGES = 16 };

typedef struct {
    uint16_t base_address, base_count, address, count;
    uint8_t mode;
    void (*listener)(void *opaque);
    void *listener_opaque;
} DmaChannel;

typedef struct {
    IsaDma *dma;
    DmaChannel channels[4];
    uint8_t command, status, mask, request;
    bool high_byte; /* the byte pointer flip-flop */
} Controller;

struct IsaDma {
    Board *board;
    Controller controllers[2];
    uint8_t pages[N_PAGES]; /* 80h is the POST code's; several others are plain latches */
};

/* --- Transfers -------------------------------------------------------------------------------- */

static unsigned transfer_type(const DmaChannel *channel)
{
    return channel->mode >> 2 & 3;
}

static bool unmasked(const IsaDma *dma, int number)
{
    const Controller *controller = &dma->controllers[number / 4];
    return !(controller->command & COMMAND_DISABLE) && !(controller->mask >> (number % 4) & 1);
}

bool isa_dma_ready(IsaDma *dma, int number)
{
    const DmaChannel *channel = &dma->controllers[number / 4].channels[number % 4];

    if (number == CASCADE_CHANNEL || !unmasked(dma, number) || channel->mode >> 6 == MODE_CASCADE)
        return false;
    /* requests of the first controller pass through channel 4 of the second */
    return number > CASCADE_CHANNEL || unmasked(dma, CASCADE_CHANNEL);
}

/* The page register of each channel sits where the AT's designers put it. */
static uint8_t page(const IsaDma *dma, int number)
{
    static const uint8_t ports[8] = {0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa};
    return dma->pages[ports[number]];
}

/* The guest-physical address of UNIT of WIDTH bytes: the counter wraps within its page. */
static uint32_t unit_address(const IsaDma *dma, int number, uint16_t unit, unsigned width)
{
    if (width == 2)
        return (uint32_t)(page(dma, number) & 0xfe) << 16 | (uint32_t)unit << 1;
    return (uint32_t)page(dma, number) << 16 | unit;
}

/* Moves UNITS units, which do not wrap in the direction of counting. */
static void move(IsaDma *dma, int number, uint8_t *buffer, unsigned units, unsigned width)
{
    DmaChannel *channel = &dma->controllers[number / 4].channels[number % 4];
    MemoryMap *map = dma->board->memory;
    bool down = channel->mode & MODE_DECREMENT;
    unsigned piece = down ? 1 : units; /* downwards the units lie in reverse */

    for (unsigned i = 0; i < units; i += piece) {
        uint32_t address = unit_address(dma, number, channel->address, width);
        if (transfer_type(channel) == MODE_TO_MEMORY)
            memory_write(map, address, buffer + i * width, piece * width);
        else if (transfer_type(channel) == MODE_FROM_MEMORY)
            memory_read(map, address, buffer + i * width, piece * width);
        channel->address += down ? -piece : piece;
    }
}

size_t isa_dma_transfer(IsaDma *dma, int number, void *buffer, size_t length, bool to_memory,
                        bool *terminal_count)
{
    Controller *controller = &dma->controllers[number / 4];
    DmaChannel *channel = &controller->channels[number % 4];
    unsigned width = number > CASCADE_CHANNEL ? 2 : 1;
    size_t units = length / width, done = 0;

    *terminal_count = false;
    if (!isa_dma_ready(dma, number))
        return 0;
    switch (transfer_type(channel)) {
    case MODE_VERIFY: /* addresses and counts run, data does not */
        if (!to_memory)
            memset(buffer, 0xff, length);
        break;
    case MODE_TO_MEMORY:
        if (!to_memory)
            return 0;
        break;
    case MODE_FROM_MEMORY:
        if (to_memory)
            return 0;
        break;
    default: return 0; /* illegal */
    }
    while (done < units && !*terminal_count) {
        unsigned until_wrap =
            channel->mode & MODE_DECREMENT ? channel->address + 1u : 0x10000u - channel->address;
        unsigned left = channel->count + 1u;
        unsigned n = MIN(units - done, MIN(left, until_wrap));

        move(dma, number, (uint8_t *)buffer + done * width, n, width);
        channel->count -= n;
        done += n;
        *terminal_count = n == left;
    }
    if (*terminal_count) {
        controller->status |= 1 << number % 4;
        controller->request &= ~(1 << number % 4);
        if (channel->mode & MODE_AUTOINITIALIZE) {
            channel->address = channel->base_address;
            channel->count = channel->base_count;
        } else {
            controller->mask |= 1 << number % 4;
        }
    }
    return done * width;
}

void isa_dma_set_listener(IsaDma *dma, int number, void (*func)(void *opaque), void *opaque)
{
    DmaChannel *channel = &dma->controllers[number / 4].channels[number % 4];
    channel->listener = func;
    channel->listener_opaque = opaque;
}

static void wake_devices(IsaDma *dma)
{
    for (int number = 0; number < 8; number++) {
        const DmaChannel *channel = &dma->controllers[number / 4].channels[number % 4];
        if (channel->listener && isa_dma_ready(dma, number))
            channel->listener(channel->listener_opaque);
    }
}

/* --- Controller registers --------------------------------------------------------------------- */

static void master_clear(Controller *controller)
{
    controller->command = controller->status = controller->request = 0;
    controller->high_byte = false;
    controller->mask = 0x0f;
}

static uint8_t pointer_read(Controller *controller, uint16_t value)
{
    bool high = controller->high_byte;
    controller->high_byte = !high;
    return high ? value >> 8 : value;
}

static void pointer_write(Controller *controller, uint16_t *base, uint16_t *current, uint8_t value)
{
    if (controller->high_byte)
        *base = (*base & 0x00ff) | value << 8;
    else
        *base = (*base & 0xff00) | value;
    controller->high_byte = !controller->high_byte;
    *current = *base; /* both are written together */
}

static uint8_t controller_read(Controller *controller, unsigned reg)
{
    if (reg < 8) {
        const DmaChannel *channel = &controller->channels[reg / 2];
        return pointer_read(controller, reg & 1 ? channel->count : channel->address);
    }
    switch (reg) {
    case REG_STATUS_COMMAND: {
        uint8_t status = controller->status | controller->request << 4;
        controller->status = 0; /* reading clears the terminal counts */
        return status;
    }
    case REG_ALL_MASK: return controller->mask | 0xf0;
    case REG_MASTER_CLEAR: return 0; /* temporary: no memory-to-memory in an AT */
    default: return 0xff;
    }
}

static void set_bit(uint8_t *bits, uint8_t value)
{
    uint8_t bit = 1 << (value & 3);
    *bits = value & 4 ? *bits | bit : *bits & ~bit;
}

static void controller_write(Controller *controller, unsigned reg, uint8_t value)
{
    if (reg < 8) {
        DmaChannel *channel = &controller->channels[reg / 2];
        if (reg & 1)
            pointer_write(controller, &channel->base_count, &channel->count, value);
        else
            pointer_write(controller, &channel->base_address, &channel->address, value);
        return;
    }
    switch (reg) {
    case REG_STATUS_COMMAND: controller->command = value; break;
    case REG_REQUEST: set_bit(&controller->request, value); break;
    case REG_SINGLE_MASK: set_bit(&controller->mask, value); break;
    case REG_MODE: controller->channels[value & 3].mode = value; break;
    case REG_CLEAR_POINTER: controller->high_byte = false; break;
    case REG_MASTER_CLEAR: master_clear(controller); break;
    case REG_CLEAR_MASK: controller->mask = 0; break;
    case REG_ALL_MASK: controller->mask = value & 0x0f; break;
    }
    wake_devices(controller->dma);
}

/* --- Ports ------------------------------------------------------------------------------------ */

static uint32_t byte_controller_read(void *opaque, uint16_t port, unsigned size)
{
    return controller_read(&((IsaDma *)opaque)->controllers[0], port & 15);
}

static void byte_controller_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    controller_write(&((IsaDma *)opaque)->controllers[0], port & 15, value);
}

/* The second controller's address lines are shifted by one: each register has two ports. */
static uint32_t word_controller_read(void *opaque, uint16_t port, unsigned size)
{
    return controller_read(&((IsaDma *)opaque)->controllers[1], port >> 1 & 15);
}

static void word_controller_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    controller_write(&((IsaDma *)opaque)->controllers[1], port >> 1 & 15, value);
}

static uint32_t page_read(void *opaque, uint16_t port, unsigned size)
{
    return ((IsaDma *)opaque)->pages[port - PAGE_BASE];
}

static void page_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    ((IsaDma *)opaque)->pages[port - PAGE_BASE] = value;
}

static const PortOps byte_controller_ops = {byte_controller_read, byte_controller_write, 1};
static const PortOps word_controller_ops = {word_controller_read, word_controller_write, 1};
static const PortOps page_ops = {page_read, page_write, 1};

IsaDma *isa_dma_new(Board *board)
{
    IsaDma *dma = g_new0(IsaDma, 1);

    dma->board = board;
    for (int i = 0; i < 2; i++)
        dma->controllers[i].dma = dma;
    isa_dma_reset(dma);
    port_register(board->memory, 0x00, 16, &byte_controller_ops, dma);
    port_register(board->memory, 0xc0, 32, &word_controller_ops, dma);
    /* 80h, 92h and so on belong to others */
    port_register(board->memory, 0x81, 15, &page_ops, dma);
    return dma;
}

void isa_dma_free(IsaDma *dma)
{
    if (!dma)
        return;
    port_unregister(dma->board->memory, 0x00, 16, dma);
    port_unregister(dma->board->memory, 0xc0, 32, dma);
    port_unregister(dma->board->memory, 0x81, 15, dma);
    g_free(dma);
}

void isa_dma_reset(IsaDma *dma)
{
    for (int i = 0; i < 2; i++) {
        master_clear(&dma->controllers[i]);
        for (int j = 0; j < 4; j++) {
            DmaChannel *channel = &dma->controllers[i].channels[j];
            channel->base_address = channel->base_count = 0;
            channel->address = channel->count = 0;
            channel->mode = 0;
        }
    }
    memset(dma->pages, 0, sizeof dma->pages);
}
