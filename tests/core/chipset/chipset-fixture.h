/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* A board with RAM, host bridge and ISA bridge, whose interrupt wires and resets are only counted.
 */

#include "core/chipset/fw_cfg.h"
#include "core/chipset/i440fx.h"
#include "core/chipset/piix3.h"

typedef struct {
    Board board; /* first */
    I440fx *host_bridge;
    Piix3 *isa_bridge;
    bool irq_level[16];
    unsigned resets, power_offs;
} ChipsetFixture;

static inline void fixture_irq(void *opaque, int number, bool level)
{
    ChipsetFixture *fixture = opaque;

    fixture->irq_level[number] = level;
}

static inline void fixture_reset(Board *board, const char *cause)
{
    ((ChipsetFixture *)board)->resets++;
}

static inline void fixture_power_off(Board *board, const char *cause)
{
    ((ChipsetFixture *)board)->power_offs++;
}

static inline ChipsetFixture *fixture_new(uint64_t ram_bytes)
{
    ChipsetFixture *fixture = g_new0(ChipsetFixture, 1);
    Board *board = &fixture->board;
    g_autoptr(GError) error = NULL;

    g_mutex_init(&board->lock);
    board->context = g_main_context_new();
    board->clock = clock_new(board->context, &board->lock);
    board->memory = memory_map_new();
    board->ram = ram_block_new(board->memory, "ram", ram_bytes, &error);
    g_assert_no_error(error);
    board->ram_below_4g = MIN(ram_bytes, I440FX_MAX_RAM_BELOW_4G);
    board->ram_above_4g = ram_bytes - board->ram_below_4g;
    board->n_cpus = 1;
    board->request_reset = fixture_reset;
    board->request_power_off = fixture_power_off;
    for (int irq = 0; irq < 16; irq++)
        board->isa_irq[irq] = (IrqLine){fixture_irq, fixture, irq};
    fixture->host_bridge = i440fx_new(board, &error);
    g_assert_no_error(error);
    fixture->isa_bridge = piix3_new(board, &error);
    g_assert_no_error(error);
    board->fw_cfg = fw_cfg_new(board);
    return fixture;
}

static inline void fixture_free(ChipsetFixture *fixture)
{
    Board *board = &fixture->board;

    fw_cfg_free(board->fw_cfg);
    piix3_free(fixture->isa_bridge);
    i440fx_free(fixture->host_bridge);
    clock_free(board->clock);
    memory_map_free(board->memory);
    g_main_context_unref(board->context);
    g_mutex_clear(&board->lock);
    g_free(fixture);
}
