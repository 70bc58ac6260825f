/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* A board with the interrupt system and four CPUs that only note what they are told; time moves by
 * clock_advance(). */

#include "core/chipset/interrupts.h"

enum { FIXTURE_CPUS = 4, FIXTURE_TSC_HZ = 2000000000 };

typedef struct {
    Board board; /* first */
    Interrupts *interrupts;
    LapicSet *lapics;
    unsigned current; /* whose MMIO accesses these are */
    bool intr[FIXTURE_CPUS];
    unsigned nmis[FIXTURE_CPUS], inits[FIXTURE_CPUS], sipis[FIXTURE_CPUS];
    uint8_t sipi_vector[FIXTURE_CPUS];
    unsigned resets, power_offs, edges;
    bool a20, line;
} TimerFixture;

static inline void note_interrupt(void *opaque, unsigned cpu, bool level)
{
    ((TimerFixture *)opaque)->intr[cpu] = level;
}

static inline void note_nmi(void *opaque, unsigned cpu)
{
    ((TimerFixture *)opaque)->nmis[cpu]++;
}

static inline void note_init(void *opaque, unsigned cpu)
{
    ((TimerFixture *)opaque)->inits[cpu]++;
}

static inline void note_sipi(void *opaque, unsigned cpu, uint8_t vector)
{
    ((TimerFixture *)opaque)->sipis[cpu]++;
    ((TimerFixture *)opaque)->sipi_vector[cpu] = vector;
}

static inline unsigned current_fixture_cpu(void *opaque)
{
    return ((TimerFixture *)opaque)->current;
}

static inline uint64_t fixture_tsc(void *opaque, unsigned cpu)
{
    return clock_now(((TimerFixture *)opaque)->board.clock) * 2; /* FIXTURE_TSC_HZ */
}

static const LapicCpuOps fixture_cpu_ops = {
    .set_interrupt = note_interrupt,
    .nmi = note_nmi,
    .init = note_init,
    .sipi = note_sipi,
    .current_cpu = current_fixture_cpu,
    .read_tsc = fixture_tsc,
};

static inline void note_reset(Board *board, const char *cause)
{
    ((TimerFixture *)board)->resets++;
}

static inline void note_power_off(Board *board, const char *cause)
{
    ((TimerFixture *)board)->power_offs++;
}

static inline void note_a20(Board *board, bool enabled)
{
    ((TimerFixture *)board)->a20 = enabled;
}

/* A wire that counts its rising edges. */
static inline void count_edges(void *opaque, int number, bool level)
{
    TimerFixture *f = opaque;
    f->edges += level && !f->line;
    f->line = level;
}

static inline TimerFixture *timer_fixture_new(void)
{
    TimerFixture *f = g_new0(TimerFixture, 1);

    f->board.clock = clock_new_manual();
    f->board.memory = memory_map_new();
    f->board.n_cpus = FIXTURE_CPUS;
    f->board.ram_below_4g = 256 << 20;
    f->board.request_reset = note_reset;
    f->board.request_power_off = note_power_off;
    f->board.set_a20 = note_a20;
    f->interrupts = interrupts_new(&f->board, &fixture_cpu_ops, f, FIXTURE_TSC_HZ);
    f->lapics = interrupts_lapics(f->interrupts);
    return f;
}

static inline void timer_fixture_free(TimerFixture *f)
{
    interrupts_free(f->interrupts);
    memory_map_free(f->board.memory);
    clock_free(f->board.clock);
    g_free(f);
}

static inline uint8_t in8(TimerFixture *f, uint16_t port)
{
    return port_read(f->board.memory, port, 1);
}

static inline void out8(TimerFixture *f, uint16_t port, uint8_t value)
{
    port_write(f->board.memory, port, value, 1);
}

static inline uint32_t read32(TimerFixture *f, uint64_t address)
{
    uint32_t value = 0;
    memory_read(f->board.memory, address, &value, 4);
    return value;
}

static inline void write32(TimerFixture *f, uint64_t address, uint32_t value)
{
    memory_write(f->board.memory, address, &value, 4);
}

static inline void fixture_advance(TimerFixture *f, int64_t ns)
{
    clock_advance(f->board.clock, ns);
}
