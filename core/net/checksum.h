/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The Internet checksum (RFC 1071) over bytes in network order. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Adds LENGTH bytes to the running sum. Only the last piece of a sum may have an odd length. */
static inline uint64_t checksum_add(uint64_t sum, const uint8_t *data, size_t length)
{
    while (length >= 4) {
        uint32_t word;
        memcpy(&word, data, 4);
        sum += word;
        data += 4, length -= 4;
    }
    if (length) {
        uint32_t word = 0;
        memcpy(&word, data, length);
        sum += word;
    }
    return sum;
}

/* The sum folded to 16 bits, not complemented, in host order. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum >> 32) + (uint32_t)sum;
    sum = (sum >> 16 & 0xffff) + (sum & 0xffff) + (sum >> 32);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return __builtin_bswap16((uint16_t)sum);
}

static inline uint16_t get_be16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void put_be16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline uint32_t get_be32(const uint8_t *at)
{
    return (uint32_t)get_be16(at) << 16 | get_be16(at + 2);
}

static inline void put_be32(uint8_t *at, uint32_t value)
{
    put_be16(at, (uint16_t)(value >> 16));
    put_be16(at + 2, (uint16_t)value);
}
