/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* One vCPU with 16 MiB of RAM and a last page of ROM at the reset vector's place; no board. */

#include "core/cpu/cpu.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/mmu.h"
#include "core/cpu/system.h"

#include <string.h>

#define FIXTURE_RAM (16u << 20)

typedef struct {
    MemoryMap *memory;
    RamBlock *ram;
    CpuidModel *model;
    Cpu *cpu;
} Fixture;

static inline void fixture_set_up_with(Fixture *f, const CpuBoardOps *board, void *opaque)
{
    GError *error = NULL;

    f->memory = memory_map_new();
    f->ram = ram_block_new(f->memory, "ram", FIXTURE_RAM, &error);
    g_assert_no_error(error);
    memory_region_place(memory_region_new_ram(f->memory, "ram", f->ram, 0, FIXTURE_RAM), 0, 0);
    /* The last 64 KiB of RAM show again below 4 GiB. */
    memory_region_place(
        memory_region_new_ram(f->memory, "top", f->ram, FIXTURE_RAM - 0x10000, 0x10000), 0xffff0000,
        0);
    f->model = cpuid_model_new("max", 1, &error);
    g_assert_no_error(error);
    CpuConfig config = {.memory = f->memory,
                        .model = f->model,
                        .accel = CPU_ACCEL_INTERP,
                        .board = board,
                        .board_opaque = opaque};
    f->cpu = cpu_new(&config, &error);
    g_assert_no_error(error);
}

static inline void fixture_set_up(Fixture *f, gconstpointer data)
{
    fixture_set_up_with(f, NULL, NULL);
}

static inline void fixture_tear_down(Fixture *f, gconstpointer data)
{
    cpu_free(f->cpu);
    cpuid_model_free(f->model);
    memory_map_free(f->memory);
}

static inline void poke(Fixture *f, uint64_t address, const void *bytes, size_t length)
{
    memcpy(f->ram->host + address, bytes, length);
}

static inline void poke64(Fixture *f, uint64_t address, uint64_t value)
{
    poke(f, address, &value, 8);
}

static inline void poke32(Fixture *f, uint64_t address, uint32_t value)
{
    poke(f, address, &value, 4);
}

static inline void poke16(Fixture *f, uint64_t address, uint16_t value)
{
    poke(f, address, &value, 2);
}

static inline uint64_t peek64(Fixture *f, uint64_t address)
{
    uint64_t value;

    memcpy(&value, f->ram->host + address, 8);
    return value;
}

static inline uint32_t peek32(Fixture *f, uint64_t address)
{
    return (uint32_t)peek64(f, address);
}

/* Runs statements; the value is the exception vector they raised, -1 for none. The error code is in
 * cpu->raised_error. */
#define CATCH(CPU, ...)                                                                            \
    ({                                                                                             \
        volatile int caught_ = -1;                                                                 \
        if (sigsetjmp((CPU)->escape, 0) == 0) {                                                    \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            caught_ = (CPU)->raised_vector;                                                        \
        }                                                                                          \
        caught_;                                                                                   \
    })

#define assert_raises(CPU, STATEMENT, VECTOR, ERROR)                                               \
    do {                                                                                           \
        int vector_ = CATCH(CPU, STATEMENT);                                                       \
        g_assert_cmpint(vector_, ==, VECTOR);                                                      \
        if ((CPU)->raised_has_error)                                                               \
            g_assert_cmphex((CPU)->raised_error, ==, ERROR);                                       \
    } while (0)

#define assert_succeeds(CPU, ...)                                                                  \
    do {                                                                                           \
        int vector_ = CATCH(CPU, __VA_ARGS__);                                                     \
        g_assert_cmpint(vector_, ==, -1);                                                          \
    } while (0)
