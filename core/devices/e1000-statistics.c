/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The statistics registers (SDM 13.7): cleared by reading, stuck at their highest value. */

#include "core/devices/e1000-internal.h"

void e1000_count(E1000 *e1000, uint32_t reg)
{
    uint32_t *count = e1000_reg(e1000, reg);

    if (*count != UINT32_MAX)
        ++*count;
}

void e1000_count_octets(E1000 *e1000, uint32_t low, size_t octets)
{
    uint64_t sum = (uint64_t)*e1000_reg(e1000, low + 4) << 32 | *e1000_reg(e1000, low);

    sum = sum > UINT64_MAX - octets ? UINT64_MAX : sum + octets;
    *e1000_reg(e1000, low) = (uint32_t)sum;
    *e1000_reg(e1000, low + 4) = (uint32_t)(sum >> 32);
}

/* PRC64... and PTC64...: six registers by length, FCS included. */
static uint32_t size_register(uint32_t first, size_t octets)
{
    static const uint16_t limits[] = {64, 127, 255, 511, 1023};
    unsigned i = 0;

    while (i < G_N_ELEMENTS(limits) && octets > limits[i])
        i++;
    return first + i * 4;
}

static bool is_broadcast(const uint8_t *frame)
{
    return (frame[0] & frame[1] & frame[2] & frame[3] & frame[4] & frame[5]) == 0xff;
}

void e1000_count_received(E1000 *e1000, const uint8_t *frame, size_t length)
{
    size_t octets = length + FCS_SIZE;

    e1000_count(e1000, size_register(PRC64, octets));
    e1000_count(e1000, GPRC);
    e1000_count_octets(e1000, GORCL, octets);
    if (is_broadcast(frame))
        e1000_count(e1000, BPRC);
    else if (frame[0] & 1)
        e1000_count(e1000, MPRC);
}

void e1000_count_sent(E1000 *e1000, const uint8_t *frame, size_t length)
{
    size_t octets = length + FCS_SIZE;

    e1000_count(e1000, size_register(PTC64, octets));
    e1000_count(e1000, TPT);
    e1000_count(e1000, GPTC);
    e1000_count_octets(e1000, TOTL, octets);
    e1000_count_octets(e1000, GOTCL, octets);
    if (length >= NET_ADDRESS_SIZE && is_broadcast(frame))
        e1000_count(e1000, BPTC);
    else if (frame[0] & 1)
        e1000_count(e1000, MPTC);
}

static bool is_wide(uint32_t low)
{
    return low == GORCL || low == GOTCL || low == TORL || low == TOTL;
}

uint32_t e1000_read_statistic(E1000 *e1000, uint32_t offset)
{
    uint32_t value = *e1000_reg(e1000, offset);

    /* The upper half clears both (SDM 13.7.29); the lower half is kept until then. */
    if (is_wide(offset))
        return value;
    *e1000_reg(e1000, offset) = 0;
    if (is_wide(offset - 4))
        *e1000_reg(e1000, offset - 4) = 0;
    return value;
}
