/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Raw CD sectors: sync, header, EDC and the Reed-Solomon product code of mode 1 (ECMA-130 clause 14
 * and annex A).
 */

#include "core/devices/atapi-internal.h"

#include <string.h>

enum {
    HEADER = 12,
    EDC = 2064,
    P_PARITY = 2076,
    Q_PARITY = 2248,
    P_COLUMNS = 43, /* words; 24 words long */
    P_LENGTH = 24,
    Q_DIAGONALS = 26, /* words; 43 words long */
    Q_LENGTH = 43,
};

/* GF(2^8) over x^8 + x^4 + x^3 + x^2 + 1: multiplication by alpha. */
static uint8_t times_alpha(uint8_t a)
{
    return a << 1 ^ (a & 0x80 ? 0x1d : 0);
}

/* Division by alpha + 1, the factor that separates the two parity symbols. 1 / (alpha + 1) is f4h.
 */
static uint8_t divide_by_alpha_plus_one(uint8_t a)
{
    uint8_t result = 0;
    for (int bit = 0; bit < 8; bit++, a = times_alpha(a))
        if (0xf4 >> bit & 1)
            result ^= a;
    return result;
}

/* The EDC's polynomial, (x^16 + x^15 + x^2 + 1)(x^16 + x^2 + x + 1), bit-reversed. */
static uint32_t edc(const uint8_t *data, size_t length)
{
    uint32_t crc = 0;
    while (length--) {
        crc ^= *data++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xd8018001 : 0);
    }
    return crc;
}

static uint8_t bcd(unsigned value)
{
    return value / 10 % 10 << 4 | value % 10;
}

/* The two parity symbols of a code word of LENGTH symbols, so that its value and its value weighted
 * with powers of alpha both become zero (annex A.3): with s0 the sum and s1 the weighted sum,
 * p1 = (s1 + alpha * s0) / (alpha + 1) comes last, p0 = s0 + p1 before it. */
static void put_parity(uint8_t s0, uint8_t s1, uint8_t *p0, uint8_t *p1)
{
    *p1 = divide_by_alpha_plus_one(s1 ^ times_alpha(s0));
    *p0 = s0 ^ *p1;
}

/* Each word's two bytes go to code words of their own, here LANE 0 and 1. DATA starts at the
 * header. */
static void put_p(uint8_t *data, unsigned column, unsigned lane)
{
    uint8_t s0 = 0, s1 = 0;
    for (unsigned m = 0; m < P_LENGTH; m++) {
        uint8_t symbol = data[2 * (column + P_COLUMNS * m) + lane];
        s0 ^= symbol;
        s1 = times_alpha(s1 ^ symbol);
    }
    s1 = times_alpha(s1);
    uint8_t *parity = data + P_PARITY - HEADER + 2 * column + lane;
    put_parity(s0, s1, parity, parity + 2 * P_COLUMNS);
}

static void put_q(uint8_t *data, unsigned diagonal, unsigned lane)
{
    uint8_t s0 = 0, s1 = 0;
    for (unsigned m = 0; m < Q_LENGTH; m++) {
        unsigned word = (44 * m + 43 * diagonal) % 1118;
        uint8_t symbol = data[2 * word + lane];
        s0 ^= symbol;
        s1 = times_alpha(s1 ^ symbol);
    }
    s1 = times_alpha(s1);
    uint8_t *parity = data + Q_PARITY - HEADER + 2 * diagonal + lane;
    put_parity(s0, s1, parity, parity + 2 * Q_DIAGONALS);
}

void cd_sector_encode(uint8_t sector[CD_RAW_SECTOR], uint32_t lba)
{
    sector[0] = 0;
    memset(sector + 1, 0xff, 10);
    sector[11] = 0;
    put_msf(sector + HEADER, lba);
    for (int i = 0; i < 3; i++)
        sector[HEADER + i] = bcd(sector[HEADER + i]);
    sector[HEADER + 3] = 1; /* mode */

    uint32_t check = GUINT32_TO_LE(edc(sector, EDC));
    memcpy(sector + EDC, &check, sizeof check);
    memset(sector + EDC + 4, 0, P_PARITY - EDC - 4);
    for (unsigned lane = 0; lane < 2; lane++)
        for (unsigned column = 0; column < P_COLUMNS; column++)
            put_p(sector + HEADER, column, lane);
    for (unsigned lane = 0; lane < 2; lane++)
        for (unsigned diagonal = 0; diagonal < Q_DIAGONALS; diagonal++)
            put_q(sector + HEADER, diagonal, lane);
}
