/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Small CPU-bound programs in plain C: each prints its name, seconds and a checksum, so that the
 * same binary can be compared native, in QEMU and in Apiary. The best of REPEATS runs counts.
 * Usage: kernels REPEATS [NAME...] */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t seed;

static uint32_t next_random(void)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return seed >> 33;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static uint64_t run_qsort(void)
{
    enum { N = 400000 };
    uint32_t *v = malloc(N * sizeof(*v));
    uint64_t sum = 0;

    for (int i = 0; i < N; i++)
        v[i] = next_random();
    qsort(v, N, sizeof(*v), compare);
    for (int i = 0; i < N; i += 1000)
        sum = sum * 31 + v[i];
    free(v);
    return sum;
}

static uint64_t run_sieve(void)
{
    enum { N = 4000000 };
    uint8_t *composite = calloc(N, 1);
    uint64_t count = 0;

    for (int round = 0; round < 3; round++) {
        memset(composite, 0, N);
        for (int i = 2; i < N; i++) {
            if (composite[i])
                continue;
            count++;
            for (int k = i * 2; k < N; k += i)
                composite[k] = 1;
        }
    }
    free(composite);
    return count;
}

__attribute__((noinline)) static uint64_t fib(unsigned n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t run_fib(void)
{
    return fib(34);
}

static uint64_t run_hash(void)
{
    enum { SLOTS = 1 << 18 };
    uint32_t *table = calloc(SLOTS, sizeof(*table));
    uint64_t hits = 0;

    for (int i = 0; i < 4000000; i++) {
        uint32_t key = next_random() % 150000 + 1, slot = key * 2654435761u >> 14;
        while (table[slot] && table[slot] != key)
            slot = (slot + 1) & (SLOTS - 1);
        hits += table[slot] == key;
        table[slot] = key;
    }
    free(table);
    return hits;
}

static uint64_t run_crc(void)
{
    enum { N = 1 << 20 };
    uint32_t table[256], crc = ~0u;
    uint8_t *data = malloc(N);

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
        table[i] = c;
    }
    for (int i = 0; i < N; i++)
        data[i] = next_random();
    for (int round = 0; round < 60; round++)
        for (int i = 0; i < N; i++)
            crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
    free(data);
    return crc;
}

static uint64_t run_sha(void)
{
    uint32_t h[8] = {1, 2, 3, 4, 5, 6, 7, 8}, w[64];

    for (int block = 0; block < 200000; block++) {
        for (int i = 0; i < 16; i++)
            w[i] = block * 16 + i;
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + w[i - 7] + ((a >> 7 | a << 25) ^ (a >> 18 | a << 14) ^ a >> 3) +
                   ((b >> 17 | b << 15) ^ (b >> 19 | b << 13) ^ b >> 10);
        }
        for (int i = 0; i < 64; i++) {
            uint32_t e = h[4], a = h[0];
            uint32_t t1 = h[7] + ((e >> 6 | e << 26) ^ (e >> 11 | e << 21) ^ (e >> 25 | e << 7)) +
                          ((e & h[5]) ^ (~e & h[6])) + 0x428a2f98u + w[i];
            uint32_t t2 = ((a >> 2 | a << 30) ^ (a >> 13 | a << 19) ^ (a >> 22 | a << 10)) +
                          ((a & h[1]) ^ (a & h[2]) ^ (h[1] & h[2]));
            memmove(h + 1, h, 7 * sizeof(*h));
            h[4] += t1;
            h[0] = t1 + t2;
        }
    }
    return (uint64_t)h[0] << 32 | h[7];
}

static int queens(int n, unsigned columns, unsigned left, unsigned right)
{
    int count = 0;
    unsigned all = (1u << n) - 1, free_places = all & ~(columns | left | right);

    if (columns == all)
        return 1;
    while (free_places) {
        unsigned bit = free_places & -free_places;
        free_places -= bit;
        count += queens(n, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return count;
}

static uint64_t run_queens(void)
{
    return queens(11, 0, 0, 0) + queens(12, 0, 0, 0);
}

static uint64_t run_interp(void)
{
    /* sum += i * i while i counts down, in a little bytecode */
    static const uint8_t code[] = {0, 1, 2, 3, 4};
    uint64_t sum = 0, i = 12000000, t = 0;

    for (unsigned pc = 0; i;) {
        switch (code[pc]) {
        case 0: t = i; break;
        case 1: t *= i; break;
        case 2: sum += t; break;
        case 3: i--; break;
        case 4: pc = -1u; break;
        }
        pc++;
    }
    return sum;
}

static uint64_t run_strings(void)
{
    static char text[1 << 16];
    uint64_t words = 0;

    for (size_t i = 0; i < sizeof(text) - 1; i++)
        text[i] = next_random() % 6 ? 'a' + next_random() % 26 : ' ';
    for (int round = 0; round < 200; round++) {
        int in_word = 0;
        for (const char *c = text; *c; c++) {
            int letter = *c != ' ';
            words += letter && !in_word;
            in_word = letter;
        }
        text[round]++;
    }
    return words;
}

static uint64_t bits(double value)
{
    uint64_t raw;

    memcpy(&raw, &value, sizeof(raw));
    return raw;
}

static uint64_t run_matmul(void)
{
    enum { N = 256 };
    double *a = malloc(N * N * 8), *b = malloc(N * N * 8), *c = calloc(N * N, 8);

    for (int i = 0; i < N * N; i++) {
        a[i] = next_random() % 1000 / 7.0;
        b[i] = next_random() % 1000 / 3.0;
    }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++)
                c[i * N + j] += a[i * N + k] * b[k * N + j];
    double sum = 0;
    for (int i = 0; i < N * N; i++)
        sum += c[i];
    free(a), free(b), free(c);
    return bits(sum);
}

static uint64_t run_mandel(void)
{
    uint64_t total = 0;

    for (int y = 0; y < 200; y++) {
        for (int x = 0; x < 300; x++) {
            double cr = x / 150.0 - 1.5, ci = y / 100.0 - 1.0, zr = 0, zi = 0;
            int n = 0;
            for (; n < 400 && zr * zr + zi * zi < 4; n++) {
                double t = zr * zr - zi * zi + cr;
                zi = 2 * zr * zi + ci;
                zr = t;
            }
            total += n;
        }
    }
    return total;
}

static uint64_t run_nbody(void)
{
    double p[5][3], v[5][3];

    for (int i = 0; i < 5; i++)
        for (int d = 0; d < 3; d++) {
            p[i][d] = i * 3.1 + d * 1.7;
            v[i][d] = (i - d) * 0.01;
        }
    for (int step = 0; step < 100000; step++) {
        for (int i = 0; i < 5; i++)
            for (int k = i + 1; k < 5; k++) {
                double d[3], r2 = 0.01;
                for (int a = 0; a < 3; a++) {
                    d[a] = p[i][a] - p[k][a];
                    r2 += d[a] * d[a];
                }
                double f = 0.001 / (r2 * sqrt(r2));
                for (int a = 0; a < 3; a++) {
                    v[i][a] -= d[a] * f;
                    v[k][a] += d[a] * f;
                }
            }
        for (int i = 0; i < 5; i++)
            for (int a = 0; a < 3; a++)
                p[i][a] += v[i][a] * 0.01;
    }
    return bits(p[0][0] + p[4][2]);
}

static uint64_t run_x87(void)
{
    long double sum = 0;

    for (int i = 1; i < 3000000; i++)
        sum += 1.0L / i * (i & 1 ? 1 : -1);
    return bits((double)sum);
}

static const struct {
    const char *name;
    uint64_t (*run)(void);
} kernels[] = {
    {"qsort", run_qsort},   {"sieve", run_sieve},   {"fib", run_fib},
    {"hash", run_hash},     {"crc", run_crc},       {"sha", run_sha},
    {"queens", run_queens}, {"interp", run_interp}, {"strings", run_strings},
    {"matmul", run_matmul}, {"mandel", run_mandel}, {"nbody", run_nbody},
    {"x87", run_x87},
};

int main(int argc, char **argv)
{
    int repeats = argc > 1 ? atoi(argv[1]) : 1;

    for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
        int wanted = argc < 3;
        for (int k = 2; k < argc; k++)
            wanted |= !strcmp(argv[k], kernels[i].name);
        if (!wanted)
            continue;
        double best = 1e9;
        uint64_t result = 0;
        for (int round = 0; round < repeats; round++) {
            struct timespec begin, end;
            seed = 42;
            clock_gettime(CLOCK_MONOTONIC, &begin);
            result = kernels[i].run();
            clock_gettime(CLOCK_MONOTONIC, &end);
            double seconds = end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) * 1e-9;
            if (seconds < best)
                best = seconds;
        }
        printf("result %s %.4f %016llx\n", kernels[i].name, best, (unsigned long long)result);
        fflush(stdout);
    }
    return 0;
}
