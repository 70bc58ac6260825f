/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The window at A0000-BFFFF. Bytes go through the graphics controller's data path (TRM, "Graphics
 * Controller Registers", write and read modes) four planes at a time; where every access would move
 * plain bytes the window is replaced by display memory itself.
 */

#include "core/devices/vga-core.h"

/* Above RAM, below SMRAM; a bank hides the callbacks. */
#define WINDOW_PRIORITY 1
#define BANK_PRIORITY   2

#define NO_ACCESS       UINT32_MAX

/* The low four bits of BITS as four bytes of 00 or FF. */
static uint32_t planes(unsigned bits)
{
    uint32_t ones = (bits & 1) | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21;
    return ones * 0xff;
}

static uint32_t all_planes(uint8_t value)
{
    return value * 0x01010101u;
}

static uint8_t rotate_right(uint8_t value, unsigned count)
{
    return (uint8_t)(value >> count | value << (8 - count));
}

/* A window offset as an address in the area Memory Map selects (TRM, "Miscellaneous Register"), or
 * NO_ACCESS. */
static uint32_t decode(const VgaCore *vga, uint64_t offset)
{
    if (!vga->enabled || !(vga->misc_output & MISC_ENABLE_RAM))
        return NO_ACCESS;
    switch (vga->gc[GC_MISCELLANEOUS] >> 2 & 3) {
    case 0: return (uint32_t)offset;
    case 1: return offset < 0x10000 ? (uint32_t)offset : NO_ACCESS;
    case 2: return offset >= 0x10000 && offset < 0x18000 ? (uint32_t)offset & 0x7fff : NO_ACCESS;
    default: return offset >= 0x18000 ? (uint32_t)offset & 0x7fff : NO_ACCESS;
    }
}

/* The byte of a linear VBE mode behind a window offset, or NO_ACCESS. */
static uint32_t decode_linear(const VgaCore *vga, uint64_t offset)
{
    uint64_t byte = (uint64_t)vga->vbe[VBE_BANK] * VGA_BANK_SIZE + offset;
    return offset < VGA_BANK_SIZE && byte < vga->vram->size ? (uint32_t)byte : NO_ACCESS;
}

static uint32_t *group(const VgaCore *vga, uint32_t address)
{
    /* The 4-bit VBE mode has more than 64 KiB a plane and reaches it through banks. */
    if (vga_vbe_enabled(vga))
        address += (uint32_t)vga->vbe[VBE_BANK] * VGA_BANK_SIZE;
    else
        address &= 0xffff;
    address &= (uint32_t)(vga->vram->size / 4 - 1);
    return (uint32_t *)(vga->vram->host + vga_plane_offset(address));
}

static void written(VgaCore *vga, const void *host, uint64_t length)
{
    ram_block_written(vga->vram, (uint64_t)((const uint8_t *)host - vga->vram->host), length);
}

/* --- bytes ----------------------------------------------------------------------------------- */

static uint8_t read_byte(VgaCore *vga, uint64_t offset)
{
    if (vga_vbe_linear(vga)) {
        uint32_t byte = decode_linear(vga, offset);
        return byte == NO_ACCESS ? 0xff : vga->vram->host[byte];
    }
    uint32_t address = decode(vga, offset);
    if (address == NO_ACCESS)
        return 0xff;

    unsigned plane = vga->gc[GC_READ_MAP_SELECT];
    if (vga->seq[SEQ_MEMORY_MODE] & MEMORY_CHAIN_4) {
        plane = address & 3;
        address &= ~3u;
    } else if (vga->gc[GC_MODE] & GC_MODE_ODD_EVEN) {
        plane = (plane & 2) | (address & 1);
        address &= ~1u;
    }
    vga->latch = *group(vga, address);
    if (!(vga->gc[GC_MODE] & GC_MODE_READ_COMPARE))
        return (uint8_t)(vga->latch >> (8 * plane));

    /* Read mode 1: a one where all planes that matter have the compared colour. */
    uint32_t differs =
        (vga->latch ^ planes(vga->gc[GC_COLOR_COMPARE])) & planes(vga->gc[GC_COLOR_DONT_CARE]);
    differs |= differs >> 16;
    return (uint8_t) ~(differs | differs >> 8);
}

/* What the data path makes of VALUE for the four planes, the latches included. */
static uint32_t write_data(const VgaCore *vga, uint8_t value)
{
    uint8_t rotated = rotate_right(value, vga->gc[GC_DATA_ROTATE] & 7);
    uint32_t set_reset = planes(vga->gc[GC_SET_RESET]);
    uint32_t bit_mask = all_planes(vga->gc[GC_BIT_MASK]);
    uint32_t data;
    switch (vga->gc[GC_MODE] & 3) {
    case 0: {
        uint32_t enable = planes(vga->gc[GC_ENABLE_SET_RESET]);
        data = (all_planes(rotated) & ~enable) | (set_reset & enable);
        break;
    }
    case 1: return vga->latch;
    case 2: data = planes(value); break;
    default:
        data = set_reset;
        bit_mask &= all_planes(rotated);
        break;
    }
    switch (vga->gc[GC_DATA_ROTATE] >> 3) {
    case 1: data &= vga->latch; break;
    case 2: data |= vga->latch; break;
    case 3: data ^= vga->latch; break;
    default: break;
    }
    return (data & bit_mask) | (vga->latch & ~bit_mask);
}

static void write_byte(VgaCore *vga, uint64_t offset, uint8_t value)
{
    if (vga_vbe_linear(vga)) {
        uint32_t byte = decode_linear(vga, offset);
        if (byte != NO_ACCESS) {
            vga->vram->host[byte] = value;
            written(vga, vga->vram->host + byte, 1);
        }
        return;
    }
    uint32_t address = decode(vga, offset);
    if (address == NO_ACCESS)
        return;

    uint32_t mask = vga->map_mask;
    if (vga->seq[SEQ_MEMORY_MODE] & MEMORY_CHAIN_4) {
        mask &= planes(1u << (address & 3));
        address &= ~3u;
    } else if (!(vga->seq[SEQ_MEMORY_MODE] & MEMORY_SEQUENTIAL)) {
        mask &= planes(5u << (address & 1));
        address &= ~1u;
    }
    uint32_t *target = group(vga, address);
    uint32_t data = vga->plain_write ? all_planes(value) : write_data(vga, value);
    uint32_t result = (*target & ~mask) | (data & mask);
    if (result == *target)
        return;
    *target = result;
    written(vga, target, 4);
}

/* --- the window ------------------------------------------------------------------------------ */

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)read_byte(opaque, offset + i) << (8 * i);
    return value;
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        write_byte(opaque, offset + i, (uint8_t)(value >> (8 * i)));
}

static const MmioOps window_ops = {window_read, window_write};

/* The 64 KiB of display memory that A0000-AFFFF shows byte for byte, or -1. A read then does not
 * load the latches: only write mode 1 or a logical function could tell, and a program that uses
 * those reads again after it selected them, with the callbacks back in place. */
static int wanted_bank(const VgaCore *vga)
{
    if (vga_vbe_linear(vga))
        return decode_linear(vga, 0) == NO_ACCESS ? -1 : vga->vbe[VBE_BANK];
    if (vga_vbe_enabled(vga) || decode(vga, 0) != 0 || (vga->gc[GC_MISCELLANEOUS] >> 2 & 3) != 1)
        return -1;
    bool chained = vga->seq[SEQ_MEMORY_MODE] & MEMORY_CHAIN_4;
    bool plain_read = !(vga->gc[GC_MODE] & GC_MODE_READ_COMPARE);
    return chained && vga->plain_write && plain_read && vga->map_mask == UINT32_MAX ? 0 : -1;
}

static MemoryRegion *bank_region(VgaCore *vga, int bank)
{
    if (!vga->banks[bank])
        vga->banks[bank] = memory_region_new_ram(vga->board->memory, "vga-bank", vga->vram,
                                                 (uint64_t)bank * VGA_BANK_SIZE, VGA_BANK_SIZE);
    return vga->banks[bank];
}

/* Taking a bank away cannot wait. Placing one can, and does, for the next picture: programs that
 * switch registers back and forth must not rebuild the memory map each time. A program that pages
 * through banks keeps its direct window. */
void vga_memory_update(VgaCore *vga, bool place)
{
    vga->map_mask = planes(vga->seq[SEQ_MAP_MASK]);
    vga->plain_write = (vga->gc[GC_MODE] & 3) == 0 && vga->gc[GC_ENABLE_SET_RESET] == 0 &&
                       vga->gc[GC_DATA_ROTATE] == 0 && vga->gc[GC_BIT_MASK] == 0xff;
    int wanted = wanted_bank(vga);
    if (wanted == vga->placed_bank)
        return;
    bool had_one = vga->placed_bank >= 0;
    memory_map_begin(vga->board->memory);
    if (had_one)
        memory_region_remove(vga->banks[vga->placed_bank]);
    vga->placed_bank = -1;
    if (wanted >= 0 && (place || had_one)) {
        memory_region_place(bank_region(vga, wanted), VGA_WINDOW_BASE, BANK_PRIORITY);
        vga->placed_bank = wanted;
    }
    memory_map_commit(vga->board->memory);
}

void vga_memory_init(VgaCore *vga)
{
    vga->banks = g_new0(MemoryRegion *, vga->vram->size / VGA_BANK_SIZE);
    vga->placed_bank = -1;
    vga->window =
        memory_region_new_mmio(vga->board->memory, "vga-window", &window_ops, vga, VGA_WINDOW_SIZE);
    memory_region_place(vga->window, VGA_WINDOW_BASE, WINDOW_PRIORITY);
}

void vga_memory_destroy(VgaCore *vga)
{
    if (vga->placed_bank >= 0)
        memory_region_remove(vga->banks[vga->placed_bank]);
    memory_region_remove(vga->window);
    g_clear_pointer(&vga->banks, g_free);
}
