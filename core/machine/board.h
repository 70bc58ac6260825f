/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The board: what devices are plugged into. It owns the memory map, the clock, the ISA interrupt
 * wires and the PCI bus of one machine, the board thread with its GMainContext, and the board lock.
 *
 * Devices see this header and nothing above it.
 */

#include "core/chipset/irq.h"
#include "core/device.h"
#include "core/machine/clock.h"
#include "core/memory/memory.h"

typedef struct PciBus PciBus;         /* core/chipset/pci.h */
typedef struct IsaDma IsaDma;         /* core/chipset/i8237.h */
typedef struct FwCfg FwCfg;           /* core/chipset/fw_cfg.h */
typedef struct BlockImage BlockImage; /* core/block/block.h */
typedef struct Chardev Chardev;       /* core/chardev/chardev.h */
typedef struct Display Display;       /* core/machine/display.h */
typedef struct InputHub InputHub;     /* core/machine/input.h */
typedef struct NetBackend NetBackend; /* core/net/net.h */

struct Board {
    GMutex lock;           /* the board lock */
    GMainContext *context; /* run by the board thread; attach sources here, take the lock in them */
    Clock *clock;
    MemoryMap *memory;
    RamBlock *ram;                       /* all of guest RAM; below and above the PCI hole */
    uint64_t ram_below_4g, ram_above_4g; /* bytes */
    PciBus *pci;
    IsaDma *dma;
    FwCfg *fw_cfg;
    Display *display;
    InputHub *input;
    IrqLine isa_irq[16]; /* inputs 0-15 of the 8259 pair and of the I/O APIC together */
    unsigned n_cpus;
    void *machine; /* the owner; devices do not look inside */

    /* What a device may ask of the machine. Board lock held. CAUSE is a static English phrase. */
    void (*request_reset)(Board *board, const char *cause);
    void (*request_power_off)(Board *board, const char *cause);
    void (*request_exit)(Board *board, int status); /* isa-debug-exit */
    void (*set_a20)(Board *board, bool enabled);
    /* A message for the person at the window: a device's back end failed (disk full...). */
    void (*report_error)(Board *board, const char *source, const char *message);
    Chardev *(*find_chardev)(Board *board, const char *id);   /* NULL when there is none */
    NetBackend *(*find_netdev)(Board *board, const char *id); /* NULL when there is none */
};

static inline void board_lock(Board *board)
{
    g_mutex_lock(&board->lock);
}

static inline void board_unlock(Board *board)
{
    g_mutex_unlock(&board->lock);
}

/* Attaches SOURCE to the board's context. It may be dispatched from within itself, which nothing
 * here does: else GLib takes its descriptors out of the context for as long as its callback runs,
 * at the price of a wake-up for each and another round of poll(). */
static inline void board_attach(Board *board, GSource *source)
{
    g_source_set_can_recurse(source, TRUE);
    g_source_attach(source, board->context);
}

/* Runs FUNC on the board thread with the board lock held, soon. Any thread. */
void board_post(Board *board, void (*func)(void *opaque), void *opaque);
