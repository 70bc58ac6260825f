/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* An interrupt wire: the source calls irq_set(), the sink gets (opaque, number, level). The board
 * lock is held. A zeroed IrqLine goes nowhere. */

#include <stdbool.h>

typedef void (*IrqFunc)(void *opaque, int number, bool level);

typedef struct {
    IrqFunc func;
    void *opaque;
    int number;
} IrqLine;

static inline void irq_set(const IrqLine *line, bool level)
{
    if (line && line->func)
        line->func(line->opaque, line->number, level);
}

static inline void irq_pulse(const IrqLine *line)
{
    irq_set(line, true);
    irq_set(line, false);
}
