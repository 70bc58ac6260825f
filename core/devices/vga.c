/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The IBM VGA's registers (TRM, Video Subsystem; section names below are its own) and timing. */

#define G_LOG_DOMAIN "vga"

#include "core/devices/vga-core.h"

#define PORT_CRTC_INDEX_MONO        0x3b4
#define PORT_STATUS_1_MONO          0x3ba
#define PORT_ATTR                   0x3c0
#define PORT_ATTR_READ              0x3c1
#define PORT_MISC_WRITE             0x3c2 /* read: input status 0 */
#define PORT_VGA_ENABLE             0x3c3
#define PORT_SEQ_INDEX              0x3c4
#define PORT_SEQ_DATA               0x3c5
#define PORT_DAC_MASK               0x3c6
#define PORT_DAC_READ_INDEX         0x3c7 /* read: DAC state */
#define PORT_DAC_WRITE_INDEX        0x3c8
#define PORT_DAC_DATA               0x3c9
#define PORT_FEATURE_READ           0x3ca
#define PORT_MISC_READ              0x3cc
#define PORT_GC_INDEX               0x3ce
#define PORT_GC_DATA                0x3cf
#define PORT_CRTC_INDEX             0x3d4
#define PORT_STATUS_1               0x3da

#define STATUS_0_INTERRUPT          0x80
#define STATUS_0_SENSE              0x10
#define STATUS_1_NO_DISPLAY         0x01
#define STATUS_1_RETRACE            0x08

#define RETRACE_END_CLEAR_INTERRUPT 0x10 /* active low */
#define RETRACE_END_PROTECT         0x80

/* Bits that exist, by register. */
static const uint8_t seq_mask[SEQ_COUNT] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gc_mask[GC_COUNT] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
static const uint8_t attr_mask[ATTR_COUNT] = {
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f,
};

/* --- timing ---------------------------------------------------------------------------------- */

/* A vertical count: eight bits of its own, bit 8 and bit 9 in Overflow (TRM, "Overflow Register").
 */
static unsigned vertical(const VgaCore *vga, unsigned index, unsigned bit8, unsigned bit9)
{
    unsigned overflow = vga->crtc[CRTC_OVERFLOW];
    return vga->crtc[index] | (overflow >> bit8 & 1) << 8 | (overflow >> bit9 & 1) << 9;
}

void vga_update_timing(VgaCore *vga)
{
    VgaTiming *timing = &vga->timing;
    if (vga_vbe_enabled(vga)) {
        /* DISPI says nothing about timing: a usual 60 Hz one. */
        timing->frame_ns = NS_PER_SECOND / 60;
        timing->displayed_lines = vga->vbe[VBE_YRES];
        timing->lines = timing->displayed_lines + timing->displayed_lines / 20 + 8;
        timing->retrace_line = timing->displayed_lines + 2;
        timing->retrace_lines = 4;
        timing->displayed_characters = 80;
        timing->characters = 100;
        return;
    }
    unsigned clocking = vga->seq[SEQ_CLOCKING_MODE];
    uint64_t hz = (vga->misc_output >> 2 & 3) == 1 ? 28322000 : 25175000;
    uint64_t dots = clocking & CLOCKING_8_DOTS ? 8 : 9;
    if (clocking & CLOCKING_HALF_DOT_CLOCK)
        dots *= 2;
    unsigned doubled = vga->crtc[CRTC_MODE_CONTROL] & CRTC_MODE_DOUBLE_LINES ? 2 : 1;
    timing->characters = vga->crtc[CRTC_HORIZONTAL_TOTAL] + 5u;
    timing->displayed_characters = vga->crtc[CRTC_HORIZONTAL_DISPLAY_END] + 1u;
    timing->lines = (vertical(vga, CRTC_VERTICAL_TOTAL, 0, 5) + 2) * doubled;
    timing->displayed_lines = (vertical(vga, CRTC_VERTICAL_DISPLAY_END, 1, 6) + 1) * doubled;
    timing->retrace_line =
        MIN(vertical(vga, CRTC_VERTICAL_RETRACE_START, 2, 7) * doubled, timing->lines - 1);
    /* The end register holds the low four bits of the line where retrace ends. */
    unsigned length =
        (vga->crtc[CRTC_VERTICAL_RETRACE_END] - vertical(vga, CRTC_VERTICAL_RETRACE_START, 2, 7)) &
        0xf;
    timing->retrace_lines = (length ? length : 16) * doubled;
    timing->frame_ns = dots * timing->characters * timing->lines * NS_PER_SECOND / hz;
}

/* The beam's place: line and character, counted from the start of display. */
static void beam(const VgaCore *vga, unsigned *line, unsigned *character)
{
    const VgaTiming *timing = &vga->timing;
    uint64_t in_frame = (uint64_t)clock_now(vga->board->clock) % timing->frame_ns;
    uint64_t total = (uint64_t)timing->lines * timing->characters;
    uint64_t position = in_frame * total / timing->frame_ns;
    *line = (unsigned)(position / timing->characters);
    *character = (unsigned)(position % timing->characters);
}

uint64_t vga_frame_number(const VgaCore *vga)
{
    const VgaTiming *timing = &vga->timing;
    uint64_t after = (timing->lines - timing->retrace_line) * timing->frame_ns / timing->lines;
    return ((uint64_t)clock_now(vga->board->clock) + after) / timing->frame_ns;
}

static unsigned start_address(const VgaCore *vga)
{
    return (unsigned)vga->crtc[CRTC_START_ADDRESS_HIGH] << 8 | vga->crtc[CRTC_START_ADDRESS_LOW];
}

/* The CRTC takes the start address at vertical retrace, so a program that changes its two halves
 * in the visible part of a frame never shows a mixture (TRM, "Start Address High"). */
unsigned vga_start_address(VgaCore *vga)
{
    uint64_t frame = vga_frame_number(vga);
    if (frame != vga->start_frame) {
        vga->start_latched = (uint16_t)start_address(vga);
        vga->start_frame = frame;
    }
    return vga->start_latched;
}

/* --- status ---------------------------------------------------------------------------------- */

static uint8_t input_status_0(const VgaCore *vga)
{
    uint8_t status = STATUS_0_SENSE;
    if ((vga->crtc[CRTC_VERTICAL_RETRACE_END] & RETRACE_END_CLEAR_INTERRUPT) &&
        vga_frame_number(vga) != vga->interrupt_frame)
        status |= STATUS_0_INTERRUPT;
    return status;
}

static uint8_t input_status_1(const VgaCore *vga)
{
    unsigned line, character;
    uint8_t status = 0, color;
    beam(vga, &line, &character);
    const VgaTiming *timing = &vga->timing;
    if (line >= timing->displayed_lines || character >= timing->displayed_characters) {
        status |= STATUS_1_NO_DISPLAY;
        color = vga->attr[ATTR_OVERSCAN_COLOR];
    } else {
        /* Some pixel of the picture; what matters to diagnostics is that it changes. */
        color = character & 1 ? 0xff : 0;
    }
    unsigned into_retrace = (line + timing->lines - timing->retrace_line) % timing->lines;
    if (into_retrace < timing->retrace_lines)
        status |= STATUS_1_RETRACE;
    /* Two bits of the colour, chosen by Color Plane Enable bits 5-4 (TRM, "Input Status 1"). */
    static const uint8_t pairs[4][2] = {{2, 0}, {5, 4}, {3, 1}, {7, 6}};
    const uint8_t *pair = pairs[vga->attr[ATTR_COLOR_PLANE_ENABLE] >> 4 & 3];
    status |= (color >> pair[0] & 1) << 5 | (color >> pair[1] & 1) << 4;
    return status;
}

/* --- register files -------------------------------------------------------------------------- */

static void log_unknown(VgaCore *vga, const char *what, unsigned index)
{
    if (!vga->unknown_register_logged)
        g_debug("%s %02x does not exist; further accesses like this are not reported", what, index);
    vga->unknown_register_logged = true;
}

static void seq_write(VgaCore *vga, uint8_t value)
{
    if (vga->seq_index >= SEQ_COUNT) {
        log_unknown(vga, "sequencer register", vga->seq_index);
        return;
    }
    vga->seq[vga->seq_index] = value & seq_mask[vga->seq_index];
    if (vga->seq_index == SEQ_CLOCKING_MODE)
        vga_update_timing(vga);
    else if (vga->seq_index == SEQ_MAP_MASK || vga->seq_index == SEQ_MEMORY_MODE)
        vga_memory_update(vga, false);
}

static void gc_write(VgaCore *vga, uint8_t value)
{
    if (vga->gc_index >= GC_COUNT) {
        log_unknown(vga, "graphics register", vga->gc_index);
        return;
    }
    vga->gc[vga->gc_index] = value & gc_mask[vga->gc_index];
    vga_memory_update(vga, false);
}

static void crtc_write(VgaCore *vga, uint8_t value)
{
    unsigned index = vga->crtc_index;
    if (index >= CRTC_COUNT) {
        log_unknown(vga, "CRTC register", index);
        return;
    }
    if (index <= CRTC_OVERFLOW && (vga->crtc[CRTC_VERTICAL_RETRACE_END] & RETRACE_END_PROTECT)) {
        /* Only line compare's bit 8 gets through (TRM, "Vertical Retrace End Register"). */
        if (index != CRTC_OVERFLOW)
            return;
        value = (vga->crtc[CRTC_OVERFLOW] & ~0x10) | (value & 0x10);
    }
    if (index == CRTC_START_ADDRESS_HIGH || index == CRTC_START_ADDRESS_LOW)
        (void)vga_start_address(vga); /* frames begun until now show the old one */
    if (index == CRTC_VERTICAL_RETRACE_END && !(vga->crtc[index] & RETRACE_END_CLEAR_INTERRUPT))
        vga->interrupt_frame = vga_frame_number(vga);
    vga->crtc[index] = value;
    if (index <= CRTC_OVERFLOW || index == CRTC_MODE_CONTROL ||
        (index >= CRTC_VERTICAL_RETRACE_START && index <= CRTC_VERTICAL_DISPLAY_END))
        vga_update_timing(vga);
}

static uint8_t crtc_read(VgaCore *vga)
{
    /* 22h and 24h are not in the TRM but in IBM's chip and every later one (FreeVGA, "Undocumented
     * CRTC registers"): the latch of the plane in Read Map Select, and the 3C0 flip-flop. */
    if (vga->crtc_index == 0x22)
        return (uint8_t)(vga->latch >> (8 * vga->gc[GC_READ_MAP_SELECT]));
    if (vga->crtc_index == 0x24)
        return vga->attr_flip_flop ? 0x80 : 0;
    if (vga->crtc_index < CRTC_COUNT)
        return vga->crtc[vga->crtc_index];
    log_unknown(vga, "CRTC register", vga->crtc_index);
    return 0;
}

/* Port 3C0 takes an index and its data in turn (TRM, "Attribute Address Register"). */
static void attr_write(VgaCore *vga, uint8_t value)
{
    if (!vga->attr_flip_flop) {
        vga->attr_index = value & 0x3f;
    } else {
        unsigned index = vga->attr_index & 0x1f;
        if (index < ATTR_COUNT)
            vga->attr[index] = value & attr_mask[index];
        else
            log_unknown(vga, "attribute register", index);
    }
    vga->attr_flip_flop = !vga->attr_flip_flop;
}

/* --- DAC ------------------------------------------------------------------------------------- */

bool vga_dac_is_8_bit(const VgaCore *vga)
{
    return vga->vbe[VBE_ENABLE] & VBE_8BIT_DAC;
}

static void dac_write(VgaCore *vga, uint8_t value)
{
    vga->dac_pending[vga->dac_component++] = vga_dac_is_8_bit(vga) ? value : value & 0x3f;
    if (vga->dac_component == 3) {
        memcpy(vga->palette[vga->dac_write_index++], vga->dac_pending, 3);
        vga->dac_component = 0;
    }
}

static uint8_t dac_read(VgaCore *vga)
{
    uint8_t value = vga->palette[vga->dac_read_index][vga->dac_component++];
    if (vga->dac_component == 3) {
        vga->dac_read_index++;
        vga->dac_component = 0;
    }
    return value;
}

/* --- ports ----------------------------------------------------------------------------------- */

/* The CRTC and status ports exist at 3Bx or at 3Dx. Returns the 3Dx name, 0 for the absent set. */
static uint16_t settle_port(const VgaCore *vga, uint16_t port)
{
    if ((port & 0xfff0) == 0x3b0)
        return vga->misc_output & MISC_COLOR_PORTS ? 0 : port + 0x20;
    if ((port & 0xfff0) == 0x3d0)
        return vga->misc_output & MISC_COLOR_PORTS ? port : 0;
    return port;
}

uint8_t vga_port_read(VgaCore *vga, uint16_t port)
{
    if (port == PORT_VGA_ENABLE)
        return vga->enabled;
    if (!vga->enabled)
        return 0xff;
    switch (settle_port(vga, port)) {
    case PORT_ATTR: return vga->attr_index;
    case PORT_ATTR_READ:
        return (vga->attr_index & 0x1f) < ATTR_COUNT ? vga->attr[vga->attr_index & 0x1f] : 0;
    case PORT_MISC_WRITE: return input_status_0(vga);
    case PORT_SEQ_INDEX: return vga->seq_index;
    case PORT_SEQ_DATA: return vga->seq_index < SEQ_COUNT ? vga->seq[vga->seq_index] : 0;
    case PORT_DAC_MASK: return vga->dac_mask;
    case PORT_DAC_READ_INDEX: return vga->dac_reading ? 3 : 0;
    case PORT_DAC_WRITE_INDEX: return vga->dac_write_index;
    case PORT_DAC_DATA: return dac_read(vga);
    case PORT_FEATURE_READ: return vga->feature_control;
    case PORT_MISC_READ: return vga->misc_output;
    case PORT_GC_INDEX: return vga->gc_index;
    case PORT_GC_DATA: return vga->gc_index < GC_COUNT ? vga->gc[vga->gc_index] : 0;
    case PORT_CRTC_INDEX: return vga->crtc_index;
    case PORT_CRTC_INDEX + 1: return crtc_read(vga);
    case PORT_STATUS_1: vga->attr_flip_flop = false; return input_status_1(vga);
    default: return 0xff;
    }
}

void vga_port_write(VgaCore *vga, uint16_t port, uint8_t value)
{
    if (port == PORT_VGA_ENABLE) {
        vga->enabled = value & 1;
        vga_memory_update(vga, false);
        return;
    }
    if (!vga->enabled)
        return;
    switch (settle_port(vga, port)) {
    case PORT_ATTR: attr_write(vga, value); break;
    case PORT_MISC_WRITE:
        vga->misc_output = value & 0xef;
        vga_update_timing(vga);
        vga_memory_update(vga, false);
        break;
    case PORT_SEQ_INDEX: vga->seq_index = value; break;
    case PORT_SEQ_DATA: seq_write(vga, value); break;
    case PORT_DAC_MASK: vga->dac_mask = value; break;
    case PORT_DAC_READ_INDEX:
        vga->dac_read_index = value;
        vga->dac_component = 0;
        vga->dac_reading = true;
        break;
    case PORT_DAC_WRITE_INDEX:
        vga->dac_write_index = value;
        vga->dac_component = 0;
        vga->dac_reading = false;
        break;
    case PORT_DAC_DATA: dac_write(vga, value); break;
    case PORT_GC_INDEX: vga->gc_index = value & 0x0f; break;
    case PORT_GC_DATA: gc_write(vga, value); break;
    case PORT_CRTC_INDEX: vga->crtc_index = value & 0x3f; break;
    case PORT_CRTC_INDEX + 1: crtc_write(vga, value); break;
    case PORT_STATUS_1: vga->feature_control = value & 0x0b; break;
    default: break;
    }
}

static uint32_t port_read_byte(void *opaque, uint16_t port, unsigned size)
{
    return vga_port_read(opaque, port);
}

static void port_write_byte(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    vga_port_write(opaque, port, (uint8_t)value);
}

static const PortOps port_ops = {port_read_byte, port_write_byte, 1};

static const struct {
    uint16_t first, count;
} ports[] = {{PORT_CRTC_INDEX_MONO, 2},
             {PORT_STATUS_1_MONO, 1},
             {PORT_ATTR, 16},
             {PORT_CRTC_INDEX, 2},
             {PORT_STATUS_1, 1}};

/* --- life ------------------------------------------------------------------------------------ */

void vga_core_reset(VgaCore *vga)
{
    vga->misc_output = vga->feature_control = 0;
    vga->enabled = true;
    vga->seq_index = vga->crtc_index = vga->gc_index = vga->attr_index = 0;
    memset(vga->seq, 0, sizeof(vga->seq));
    memset(vga->crtc, 0, sizeof(vga->crtc));
    memset(vga->gc, 0, sizeof(vga->gc));
    memset(vga->attr, 0, sizeof(vga->attr));
    memset(vga->palette, 0, sizeof(vga->palette));
    vga->latch = 0;
    vga->attr_flip_flop = false;
    vga->dac_mask = 0xff;
    vga->dac_read_index = vga->dac_write_index = vga->dac_component = 0;
    vga->dac_reading = false;
    vga->start_latched = 0;
    vga_vbe_reset(vga);
    vga_update_timing(vga);
    vga->start_frame = vga->interrupt_frame = vga_frame_number(vga);
    vga_memory_update(vga, false);
}

void vga_core_init(VgaCore *vga, Board *board, RamBlock *vram)
{
    vga->board = board;
    vga->vram = vram;
    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++)
        port_register(board->memory, ports[i].first, ports[i].count, &port_ops, vga);
    vga_memory_init(vga);
    vga_vbe_init(vga);
    vga_core_reset(vga);
}

void vga_core_destroy(VgaCore *vga)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++)
        port_unregister(vga->board->memory, ports[i].first, ports[i].count, vga);
    vga_vbe_destroy(vga);
    vga_memory_destroy(vga);
    vga_draw_destroy(vga);
}
