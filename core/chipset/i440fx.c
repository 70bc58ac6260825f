/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/chipset/i440fx.h"

#include <string.h>

/*
 * Intel 440FX PCIset: 82441FX PCI and Memory Controller (PMC), data sheet 290549-001, section 3.2
 * (registers) and 4.1 (address map). RAM timing registers hold what is written.
 */

/* Configuration registers. */
enum {
    PMCCFG = 0x50,
    DRB0 = 0x60, /* ..67h: row boundaries in units of 8 MiB */
    PAM0 = 0x59, /* ..5Fh */
    SMRAM = 0x72,
    ERRCMD = 0x90,
    ERRSTS = 0x91,
    TRC = 0x93,
};

enum { PAM_RE = 1 << 0, PAM_WE = 1 << 1 };
enum {
    SMRAM_C_BASE_SEG = 0x02, /* A0000h, hardwired */
    SMRAM_G_SMRAME = 1 << 3,
    SMRAM_DLCK = 1 << 4,
    SMRAM_DCLS = 1 << 5,
    SMRAM_DOPEN = 1 << 6,
};

#define N_PAM_REGISTERS     7
#define N_PAM_SEGMENTS      13
#define LOW_RAM_END         0xa0000u
#define SMRAM_BASE          0xa0000u
#define SMRAM_SIZE          0x20000u
#define UPPER_BIOS_BASE     0xf0000u
#define BIOS_ALIAS_SIZE     0x20000u
#define ONE_MIB             0x100000u
#define FOUR_GIB            0x100000000ull
#define MAX_BIOS_SIZE       (16u << 20)
#define DRB_UNIT            (8u << 20)

/* Above the legacy VGA window, which stands at priority 0 or a little more. */
#define SMRAM_PRIORITY      100
/* The ROM at E0000-FFFFF is on the PCI side of PAM but still hides a BAR moved under it. */
#define BIOS_ALIAS_PRIORITY (PCI_MEMORY_PRIORITY + 1)

/* A shadowed piece of 640 KiB-1 MiB and its region for each state but "PCI reads and writes". */
typedef struct {
    uint32_t base, size;
    uint8_t reg, shift;
    MemoryRegion *ram, *rom, *write_only;
    unsigned state; /* PAM_RE | PAM_WE */
} PamSegment;

struct I440fx {
    PciDevice pci; /* first */
    Board *board;
    PamSegment pam[N_PAM_SEGMENTS];
    MemoryRegion *smram;
    MemoryRegion *bios_alias;
};

/* --- address map ---------------------------------------------------------------------------- */

static MemoryRegion *segment_region(PamSegment *segment, unsigned state)
{
    switch (state) {
    case PAM_RE | PAM_WE: return segment->ram;
    case PAM_RE: return segment->rom;
    case PAM_WE: return segment->write_only;
    default: return NULL;
    }
}

static void update_pam(I440fx *bridge)
{
    memory_map_begin(bridge->board->memory);
    for (int i = 0; i < N_PAM_SEGMENTS; i++) {
        PamSegment *segment = &bridge->pam[i];
        unsigned state = bridge->pci.config[segment->reg] >> segment->shift & (PAM_RE | PAM_WE);
        MemoryRegion *old = segment_region(segment, segment->state);
        MemoryRegion *new = segment_region(segment, state);

        if (state == segment->state)
            continue;
        if (old)
            memory_region_remove(old);
        if (new)
            memory_region_place(new, segment->base, 0);
        segment->state = state;
    }
    memory_map_commit(bridge->board->memory);
}

/* DOPEN shows the RAM behind the VGA window to everyone. G_SMRAME alone shows it in system
 * management mode only, which this CPU does not enter. */
static void update_smram(I440fx *bridge)
{
    unsigned open = SMRAM_G_SMRAME | SMRAM_DOPEN;
    bool visible = (bridge->pci.config[SMRAM] & open) == open;

    if (visible == memory_region_is_placed(bridge->smram))
        return;
    if (visible)
        memory_region_place(bridge->smram, SMRAM_BASE, SMRAM_PRIORITY);
    else
        memory_region_remove(bridge->smram);
}

static void init_segment(I440fx *bridge, int index, uint32_t base, uint32_t size, uint8_t reg,
                         uint8_t shift)
{
    PamSegment *segment = &bridge->pam[index];
    Board *board = bridge->board;

    segment->base = base;
    segment->size = size;
    segment->reg = reg;
    segment->shift = shift;
    segment->ram = memory_region_new_ram(board->memory, "shadow-ram", board->ram, base, size);
    segment->rom = memory_region_new_rom(board->memory, "shadow-rom", board->ram, base, size);
    segment->write_only = memory_region_new_split(board->memory, "shadow-write-only", NULL, 0,
                                                  board->ram, base, size);
}

/* Table 5 of the data sheet: PAM0 high nibble is F0000-FFFFF, PAM1-6 are 16 KiB a nibble from
 * C0000 up, low nibble first. */
static void init_segments(I440fx *bridge)
{
    init_segment(bridge, 0, UPPER_BIOS_BASE, 0x10000, PAM0, 4);
    for (int i = 1; i < N_PAM_SEGMENTS; i++)
        init_segment(bridge, i, 0xc0000 + 0x4000 * (i - 1), 0x4000, PAM0 + (i + 1) / 2,
                     i % 2 ? 0 : 4);
}

static void place_ram(I440fx *bridge)
{
    Board *board = bridge->board;
    MemoryMap *memory = board->memory;

    memory_region_place(memory_region_new_ram(memory, "ram-low", board->ram, 0, LOW_RAM_END), 0, 0);
    if (board->ram_below_4g > ONE_MIB)
        memory_region_place(memory_region_new_ram(memory, "ram-below-4g", board->ram, ONE_MIB,
                                                  board->ram_below_4g - ONE_MIB),
                            ONE_MIB, 0);
    if (board->ram_above_4g)
        memory_region_place(memory_region_new_ram(memory, "ram-above-4g", board->ram,
                                                  board->ram_below_4g, board->ram_above_4g),
                            FOUR_GIB, 0);
}

void i440fx_set_bios(I440fx *bridge, RamBlock *rom)
{
    Board *board = bridge->board;
    uint64_t alias = MIN(rom->size, BIOS_ALIAS_SIZE);

    g_return_if_fail(rom->size % 0x10000 == 0 && rom->size <= MAX_BIOS_SIZE);
    memory_map_begin(board->memory);
    memory_region_place(memory_region_new_rom(board->memory, "bios", rom, 0, rom->size),
                        FOUR_GIB - rom->size, 0);
    bridge->bios_alias =
        memory_region_new_rom(board->memory, "bios-isa", rom, rom->size - alias, alias);
    memory_region_place(bridge->bios_alias, ONE_MIB - alias, BIOS_ALIAS_PRIORITY);
    for (int i = 0; i < N_PAM_SEGMENTS; i++) {
        PamSegment *segment = &bridge->pam[i];

        if (segment->base >= ONE_MIB - alias)
            segment->write_only = memory_region_new_split(board->memory, "shadow-write-only", rom,
                                                          rom->size - (ONE_MIB - segment->base),
                                                          board->ram, segment->base, segment->size);
    }
    memory_map_commit(board->memory);
}

/* --- configuration registers ---------------------------------------------------------------- */

/* D_LCK clears and freezes D_OPEN, and itself, until reset (section 3.2.21). */
static void apply_smram_lock(I440fx *bridge)
{
    uint8_t *config = bridge->pci.config;

    if (!(config[SMRAM] & SMRAM_DLCK))
        return;
    config[SMRAM] &= ~SMRAM_DOPEN;
    bridge->pci.write_mask[SMRAM] = SMRAM_DCLS;
}

static void config_written(PciDevice *device, unsigned offset, unsigned size)
{
    I440fx *bridge = (I440fx *)device;

    if (offset < PAM0 + N_PAM_REGISTERS && offset + size > PAM0)
        update_pam(bridge);
    if (offset <= SMRAM && offset + size > SMRAM) {
        apply_smram_lock(bridge);
        update_smram(bridge);
    }
}

static void init_write_masks(PciDevice *device)
{
    /* Memory decode and bus mastering are hardwired on; there is no I/O decode or INTx. */
    device->write_mask[PCI_COMMAND] = PCI_COMMAND_PARITY;
    device->write_mask[PCI_COMMAND + 1] = PCI_COMMAND_SERR >> 8;
    device->write_mask[PCI_CACHE_LINE_SIZE] = 0;
    device->write_mask[PCI_LATENCY_TIMER] = 0xf8;
    device->write_mask[PCI_INTERRUPT_LINE] = 0;
    memset(device->write_mask + PMCCFG, 0xff, PAM0 - PMCCFG);
    device->write_mask[PAM0] = 0x30;
    memset(device->write_mask + PAM0 + 1, 0x33, N_PAM_REGISTERS - 1);
    memset(device->write_mask + DRB0, 0xff, 8);
    device->write_mask[ERRCMD] = 0xff;
    device->clear_mask[ERRSTS] = 0x11;
    device->write_mask[TRC] = 0x07;
}

/* The rows firmware would have found: filled up to the size of RAM, cumulative. */
static void set_row_boundaries(I440fx *bridge)
{
    Board *board = bridge->board;
    uint64_t units = (board->ram_below_4g + board->ram_above_4g) / DRB_UNIT;

    for (int row = 0; row < 8; row++)
        bridge->pci.config[DRB0 + row] = MIN(units, 0xff);
}

void i440fx_reset(I440fx *bridge)
{
    uint8_t *config = bridge->pci.config;

    pci_bus_reset(bridge->board->pci);
    config[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    config[PCI_COMMAND + 1] = 0;
    config[PCI_STATUS] = 0x80; /* fast back-to-back capable */
    config[PCI_STATUS + 1] = 0x02;
    config[PCI_LATENCY_TIMER] = 0;
    memset(config + PMCCFG, 0, PAM0 - PMCCFG);
    memset(config + PAM0, 0, N_PAM_REGISTERS);
    set_row_boundaries(bridge);
    config[SMRAM] = SMRAM_C_BASE_SEG;
    bridge->pci.write_mask[SMRAM] = SMRAM_DOPEN | SMRAM_DCLS | SMRAM_DLCK | SMRAM_G_SMRAME;
    config[ERRCMD] = config[ERRSTS] = config[TRC] = 0;
    update_pam(bridge);
    update_smram(bridge);
}

I440fx *i440fx_new(Board *board, GError **error)
{
    static const PciIdentity identity = {
        .vendor = 0x8086,
        .device = 0x1237,
        .revision = 2,
        .class_code = 0x060000,
    };
    I440fx *bridge = g_new0(I440fx, 1);

    bridge->board = board;
    bridge->pci.device.board = board;
    bridge->pci.config_written = config_written;
    board->pci = pci_bus_new(board);
    if (!pci_device_plug(board->pci, &bridge->pci, PCI_DEVFN(0, 0), &identity, error)) {
        i440fx_free(bridge);
        return NULL;
    }
    init_write_masks(&bridge->pci);
    memory_map_begin(board->memory);
    place_ram(bridge);
    init_segments(bridge);
    bridge->smram =
        memory_region_new_ram(board->memory, "smram", board->ram, SMRAM_BASE, SMRAM_SIZE);
    memory_map_commit(board->memory);
    i440fx_reset(bridge);
    return bridge;
}

void i440fx_free(I440fx *bridge)
{
    if (!bridge)
        return;
    pci_bus_free(bridge->board->pci);
    bridge->board->pci = NULL;
    g_free(bridge);
}
