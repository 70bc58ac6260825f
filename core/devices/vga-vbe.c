/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The Bochs VBE extensions: DISPI registers through an index port 1CE and a data port 1CF (Bochs
 * vbe_display_api.txt, interface id B0C5). The data port is also at 1D0, where QEMU's card has it.
 */

#define G_LOG_DOMAIN "vga"

#include "core/devices/vga-core.h"

#define PORT_INDEX      0x1ce
#define PORT_COUNT      4

#define ID_OLDEST       0xb0c0
#define ID_NEWEST       0xb0c5

/* Bochs' limits; a card with more memory than they need goes up to what a picture can be. */
#define MAX_XRES        2560
#define MAX_YRES        1600
#define MAX_BPP         32
#define SMALL_VRAM_SIZE (16u << 20)

static unsigned max_xres(const VgaCore *vga)
{
    return vga->vram->size > SMALL_VRAM_SIZE ? VGA_MAX_WIDTH : MAX_XRES;
}

static unsigned max_yres(const VgaCore *vga)
{
    return vga->vram->size > SMALL_VRAM_SIZE ? VGA_MAX_HEIGHT : MAX_YRES;
}

/* Bytes for PIXELS of a line. The 4-bit mode counts bytes of one plane, as addresses do. */
static unsigned bytes_for(const VgaCore *vga, unsigned pixels)
{
    unsigned bpp = vga->vbe[VBE_BPP];
    return bpp == 4 ? pixels / 8 : pixels * ((bpp + 7) / 8);
}

unsigned vga_vbe_line_bytes(const VgaCore *vga)
{
    return bytes_for(vga, vga->vbe[VBE_VIRT_WIDTH]);
}

/* Makes the registers agree with each other and with the memory there is, as they are read back:
 * a virtual screen no narrower than the picture, and a picture within it. */
static void settle(VgaCore *vga)
{
    uint16_t *vbe = vga->vbe;
    uint64_t memory = vbe[VBE_BPP] == 4 ? vga->vram->size / 4 : vga->vram->size;

    if (vbe[VBE_BPP] == 4) {
        vbe[VBE_XRES] &= 0xfff8;
        vbe[VBE_VIRT_WIDTH] &= 0xfff8;
    }
    if (vbe[VBE_XRES] < 8)
        vbe[VBE_XRES] = 8;
    if (vbe[VBE_YRES] == 0)
        vbe[VBE_YRES] = 1;
    if (vbe[VBE_VIRT_WIDTH] < vbe[VBE_XRES])
        vbe[VBE_VIRT_WIDTH] = vbe[VBE_XRES];
    if (vga_vbe_line_bytes(vga) > memory)
        vbe[VBE_VIRT_WIDTH] = vbe[VBE_XRES];
    uint64_t lines = memory / vga_vbe_line_bytes(vga);
    vbe[VBE_VIRT_HEIGHT] = (uint16_t)MIN(lines, UINT16_MAX);
    if (vbe[VBE_YRES] > vbe[VBE_VIRT_HEIGHT])
        vbe[VBE_YRES] = vbe[VBE_VIRT_HEIGHT];
    if (vbe[VBE_X_OFFSET] > vbe[VBE_VIRT_WIDTH] - vbe[VBE_XRES])
        vbe[VBE_X_OFFSET] = vbe[VBE_VIRT_WIDTH] - vbe[VBE_XRES];
    if (vbe[VBE_Y_OFFSET] > vbe[VBE_VIRT_HEIGHT] - vbe[VBE_YRES])
        vbe[VBE_Y_OFFSET] = vbe[VBE_VIRT_HEIGHT] - vbe[VBE_YRES];
}

static void enable(VgaCore *vga, uint16_t value)
{
    bool was_enabled = vga_vbe_enabled(vga);
    vga->vbe[VBE_ENABLE] =
        value & (VBE_ENABLED | VBE_GETCAPS | VBE_8BIT_DAC | VBE_LFB_ENABLED | VBE_NOCLEARMEM);
    if (!vga_vbe_enabled(vga)) {
        vga->vbe[VBE_BANK] = 0;
        return;
    }
    if (was_enabled)
        return;
    vga->vbe[VBE_VIRT_WIDTH] = vga->vbe[VBE_XRES];
    vga->vbe[VBE_X_OFFSET] = vga->vbe[VBE_Y_OFFSET] = 0;
    vga->vbe[VBE_BANK] = 0;
    settle(vga);
    if (!(value & VBE_NOCLEARMEM)) {
        /* In the planar mode one address is four bytes; whole banks of the group order. */
        uint64_t size = (uint64_t)vga->vbe[VBE_YRES] * vga_vbe_line_bytes(vga);
        if (vga->vbe[VBE_BPP] == 4)
            size = (size + 0xffff) / 0x10000 * 0x40000;
        size = MIN(size, vga->vram->size);
        memset(vga->vram->host, 0, size);
        ram_block_written(vga->vram, 0, size);
    }
}

uint16_t vga_vbe_read(VgaCore *vga, unsigned index)
{
    bool capabilities = vga->vbe[VBE_ENABLE] & VBE_GETCAPS;
    switch (index) {
    case VBE_XRES: return capabilities ? (uint16_t)max_xres(vga) : vga->vbe[index];
    case VBE_YRES: return capabilities ? (uint16_t)max_yres(vga) : vga->vbe[index];
    case VBE_BPP: return capabilities ? MAX_BPP : vga->vbe[index];
    case VBE_VIDEO_MEMORY_64K: return (uint16_t)(vga->vram->size / VGA_BANK_SIZE);
    default: return index < VBE_COUNT ? vga->vbe[index] : 0;
    }
}

static bool value_is_valid(const VgaCore *vga, unsigned index, uint16_t value)
{
    switch (index) {
    case VBE_ID: return value >= ID_OLDEST && value <= ID_NEWEST;
    case VBE_XRES: return value > 0 && value <= max_xres(vga);
    case VBE_YRES: return value > 0 && value <= max_yres(vga);
    case VBE_BPP:
        return value == 0 || value == 4 || value == 8 || value == 15 || value == 16 ||
               value == 24 || value == 32;
    case VBE_BANK: return value < vga->vram->size / VGA_BANK_SIZE;
    case VBE_ENABLE:
    case VBE_VIRT_WIDTH:
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET: return true;
    default: return false; /* VIRT_HEIGHT follows from the memory */
    }
}

void vga_vbe_write(VgaCore *vga, unsigned index, uint16_t value)
{
    if (!value_is_valid(vga, index, value)) {
        if (!vga->bad_dispi_logged)
            g_debug("DISPI register %u ignores %u; later ones are not reported", index, value);
        vga->bad_dispi_logged = true;
        return;
    }
    if (index == VBE_BPP && value == 0)
        value = 8;
    if (index == VBE_ENABLE)
        enable(vga, value);
    else
        vga->vbe[index] = value;
    if (vga_vbe_enabled(vga))
        settle(vga);
    vga_update_timing(vga);
    vga_memory_update(vga, false);
}

static uint32_t vbe_port_read(void *opaque, uint16_t port, unsigned size)
{
    VgaCore *vga = opaque;
    return port == PORT_INDEX ? vga->vbe_index : vga_vbe_read(vga, vga->vbe_index);
}

static void vbe_port_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    VgaCore *vga = opaque;
    if (port == PORT_INDEX)
        vga->vbe_index = (uint16_t)value;
    else
        vga_vbe_write(vga, vga->vbe_index, (uint16_t)value);
}

static const PortOps vbe_port_ops = {vbe_port_read, vbe_port_write, 2};

void vga_vbe_reset(VgaCore *vga)
{
    memset(vga->vbe, 0, sizeof(vga->vbe));
    vga->vbe_index = 0;
    vga->vbe[VBE_ID] = ID_NEWEST;
    vga->vbe[VBE_BPP] = 8;
    vga->big_endian = false;
}

void vga_vbe_init(VgaCore *vga)
{
    port_register(vga->board->memory, PORT_INDEX, PORT_COUNT, &vbe_port_ops, vga);
}

void vga_vbe_destroy(VgaCore *vga)
{
    port_unregister(vga->board->memory, PORT_INDEX, PORT_COUNT, vga);
}
