/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The parts of the VGA, shared between its files and with nothing else.
 *
 *   vga.c         registers and timing of the IBM VGA
 *   vga-memory.c  the window at A0000-BFFFF: write modes, read modes, latches, banks
 *   vga-vbe.c     the Bochs VBE extensions (DISPI registers)
 *   vga-draw.c    from registers and display memory to a picture
 *   vga-text.c    its character generator
 *   vga-edid.c    what the monitor says about itself
 *   vga-pci.c     the PCI card around all that (vga.h)
 *
 * Sources: IBM Personal System/2 Hardware Interface Technical Reference, Video Subsystem (1992),
 * "TRM" below; J. D. Neal's FreeVGA Project; Bochs VBE extensions (bochs vbe_display_api.txt).
 */

#include "core/machine/board.h"
#include "core/machine/display.h"

#include <string.h>

/* Registers are named after the TRM. */
enum {
    SEQ_RESET = 0x00,
    SEQ_CLOCKING_MODE = 0x01,
    SEQ_MAP_MASK = 0x02,
    SEQ_CHARACTER_MAP_SELECT = 0x03,
    SEQ_MEMORY_MODE = 0x04,
    SEQ_COUNT = 0x05,

    CRTC_HORIZONTAL_TOTAL = 0x00,
    CRTC_HORIZONTAL_DISPLAY_END = 0x01,
    CRTC_VERTICAL_TOTAL = 0x06,
    CRTC_OVERFLOW = 0x07,
    CRTC_PRESET_ROW_SCAN = 0x08,
    CRTC_MAXIMUM_SCAN_LINE = 0x09,
    CRTC_CURSOR_START = 0x0a,
    CRTC_CURSOR_END = 0x0b,
    CRTC_START_ADDRESS_HIGH = 0x0c,
    CRTC_START_ADDRESS_LOW = 0x0d,
    CRTC_CURSOR_LOCATION_HIGH = 0x0e,
    CRTC_CURSOR_LOCATION_LOW = 0x0f,
    CRTC_VERTICAL_RETRACE_START = 0x10,
    CRTC_VERTICAL_RETRACE_END = 0x11,
    CRTC_VERTICAL_DISPLAY_END = 0x12,
    CRTC_OFFSET = 0x13,
    CRTC_UNDERLINE_LOCATION = 0x14,
    CRTC_MODE_CONTROL = 0x17,
    CRTC_LINE_COMPARE = 0x18,
    CRTC_COUNT = 0x19,

    GC_SET_RESET = 0x00,
    GC_ENABLE_SET_RESET = 0x01,
    GC_COLOR_COMPARE = 0x02,
    GC_DATA_ROTATE = 0x03,
    GC_READ_MAP_SELECT = 0x04,
    GC_MODE = 0x05,
    GC_MISCELLANEOUS = 0x06,
    GC_COLOR_DONT_CARE = 0x07,
    GC_BIT_MASK = 0x08,
    GC_COUNT = 0x09,

    ATTR_MODE_CONTROL = 0x10,
    ATTR_OVERSCAN_COLOR = 0x11,
    ATTR_COLOR_PLANE_ENABLE = 0x12,
    ATTR_PEL_PANNING = 0x13,
    ATTR_COLOR_SELECT = 0x14,
    ATTR_COUNT = 0x15,
};

enum {
    MISC_COLOR_PORTS = 1 << 0, /* CRTC at 3D4, not 3B4 */
    MISC_ENABLE_RAM = 1 << 1,

    CLOCKING_8_DOTS = 1 << 0,
    CLOCKING_HALF_DOT_CLOCK = 1 << 3,
    CLOCKING_SCREEN_OFF = 1 << 5,

    MEMORY_SEQUENTIAL = 1 << 2, /* "odd/even": 0 selects odd/even writes */
    MEMORY_CHAIN_4 = 1 << 3,

    GC_MODE_READ_COMPARE = 1 << 3,
    GC_MODE_ODD_EVEN = 1 << 4,
    GC_MODE_SHIFT_INTERLEAVE = 1 << 5,
    GC_MODE_SHIFT_256 = 1 << 6,
    GC_MISC_GRAPHICS = 1 << 0,

    ATTR_ADDRESS_SOURCE = 1 << 5, /* in the address register: the picture uses the palette */
    ATTR_MODE_LINE_GRAPHICS = 1 << 2,
    ATTR_MODE_BLINK = 1 << 3,
    ATTR_MODE_PANNING_COMPATIBILITY = 1 << 5,
    ATTR_MODE_8_BIT = 1 << 6,
    ATTR_MODE_P54_SELECT = 1 << 7,

    CRTC_MODE_MAP_13 = 1 << 0, /* 0: row scan bit 0 replaces address bit 13 */
    CRTC_MODE_MAP_14 = 1 << 1, /* 0: row scan bit 1 replaces address bit 14 */
    CRTC_MODE_DOUBLE_LINES = 1 << 2,
    CRTC_MODE_COUNT_BY_2 = 1 << 3,
    CRTC_MODE_ADDRESS_WRAP = 1 << 5,
    CRTC_MODE_BYTE_MODE = 1 << 6,
    CRTC_MODE_RETRACE_ENABLE = 1 << 7,
    CRTC_UNDERLINE_COUNT_BY_4 = 1 << 5,
    CRTC_UNDERLINE_DOUBLEWORD = 1 << 6,
};

/* DISPI register indices and ENABLE bits (Bochs vbe_display_api.txt). */
enum {
    VBE_ID,
    VBE_XRES,
    VBE_YRES,
    VBE_BPP,
    VBE_ENABLE,
    VBE_BANK,
    VBE_VIRT_WIDTH,
    VBE_VIRT_HEIGHT,
    VBE_X_OFFSET,
    VBE_Y_OFFSET,
    VBE_VIDEO_MEMORY_64K,
    VBE_COUNT,

    VBE_ENABLED = 0x01,
    VBE_GETCAPS = 0x02,
    VBE_8BIT_DAC = 0x20,
    VBE_LFB_ENABLED = 0x40,
    VBE_NOCLEARMEM = 0x80,
};

#define VGA_WINDOW_BASE 0xa0000
#define VGA_WINDOW_SIZE 0x20000
#define VGA_BANK_SIZE   0x10000
#define VGA_MAX_WIDTH   4096
#define VGA_MAX_HEIGHT  4096

/* The frame as the CRTC runs it. Lines and characters count from the first displayed one. */
typedef struct {
    uint64_t frame_ns;
    unsigned lines, displayed_lines, retrace_line, retrace_lines;
    unsigned characters, displayed_characters;
} VgaTiming;

typedef enum { VGA_BLANK, VGA_TEXT, VGA_SERIAL, VGA_LINEAR } VgaPictureKind;

/* Everything but display memory that decides what is on the screen. Compared with memcmp. */
typedef struct {
    VgaPictureKind kind;
    int width, height;
    /* VGA_TEXT and VGA_SERIAL: one address a character clock. */
    unsigned columns, dots, start, row_step, char_height, preset_row_scan, pan;
    int line_compare; /* last line of the upper half */
    bool split_resets_pan, scan_doubled, lines_doubled, dots_doubled;
    unsigned address_mode; /* shift of the character counter: 0 byte, 1 word, 2 doubleword */
    unsigned wrap_bit;     /* the counter bit that word mode brings in at bit 0 */
    unsigned count_shift;
    bool row_scan_13, row_scan_14;
    uint32_t plane_mask; /* bytes in the planes' address range - 1 */
    uint8_t shift_mode, color_planes;
    bool eight_bit;
    /* VGA_TEXT */
    unsigned font_a, font_b; /* first byte in plane 2, chosen by attribute bit 3 set or clear */
    unsigned underline, cursor_first, cursor_last;
    bool line_graphics, blink;
    /* VGA_LINEAR */
    unsigned bpp, line_bytes;
    bool big_endian;
    uint32_t first_byte;
    /* xRGB, by palette index: 16 of them, or 256 where pixels have 8 bits */
    uint32_t colors[256];
} VgaPicture;

typedef struct {
    int first_line, n_lines; /* of the picture */
    unsigned address;        /* character counter at the first column */
    unsigned pan;            /* dots */
    bool changed;
} VgaTextRow;

/* What is on the published picture, so that only changes are drawn. */
typedef struct {
    VgaPicture picture;
    bool valid;
    unsigned blank_refreshes;
    bool cursor_phase, blink_phase; /* true: lit */
    unsigned cursor_address;
    VgaTextRow *rows;
    unsigned n_rows, rows_allocated;
    uint32_t *cells; /* code, attribute, cursor and blink of rows x (columns + 1) */
    size_t cells_allocated;
    uint8_t font[2][256 * 32]; /* A, B */
} VgaShown;

typedef struct VgaCore {
    Board *board;
    RamBlock *vram; /* size: a power of two, 256 KiB or more */

    /* General registers */
    uint8_t misc_output, feature_control;
    bool enabled; /* port 3C3 bit 0 */
    /* Sequencer, CRT controller, graphics controller */
    uint8_t seq_index, seq[SEQ_COUNT];
    uint8_t crtc_index, crtc[CRTC_COUNT];
    uint8_t gc_index, gc[GC_COUNT];
    uint32_t latch; /* plane 0 in the low byte */
    /* Attribute controller */
    uint8_t attr_index, attr[ATTR_COUNT];
    bool attr_flip_flop; /* true: 3C0 takes data */
    /* DAC */
    uint8_t dac_mask, dac_read_index, dac_write_index, dac_component, dac_pending[3];
    bool dac_reading;
    uint8_t palette[256][3]; /* as written: 6 or 8 bits */

    /* CRTC start address as of the last vertical retrace */
    uint16_t start_latched;
    uint64_t start_frame;     /* frame of the last change */
    uint64_t interrupt_frame; /* frame in which the vertical interrupt was armed */
    VgaTiming timing;

    /* Bochs VBE */
    uint16_t vbe_index, vbe[VBE_COUNT];
    bool big_endian;

    /* Window at A0000 */
    MemoryRegion *window;
    MemoryRegion **banks; /* RAM regions over 64 KiB of display memory each, made when needed */
    int placed_bank;      /* -1: none, accesses go through the window's callbacks */
    bool plain_write;     /* write mode 0 with nothing in the way of the data */
    uint32_t map_mask;    /* SEQ_MAP_MASK, a byte a plane */

    VgaShown shown;
    bool unknown_register_logged, bad_dispi_logged;
} VgaCore;

/* --- vga.c --- */
void vga_core_init(VgaCore *vga, Board *board, RamBlock *vram); /* claims ports and the window */
void vga_core_destroy(VgaCore *vga);
void vga_core_reset(VgaCore *vga);
uint8_t vga_port_read(VgaCore *vga, uint16_t port); /* 3B0-3DF */
void vga_port_write(VgaCore *vga, uint16_t port, uint8_t value);
void vga_update_timing(VgaCore *vga);
uint64_t vga_frame_number(const VgaCore *vga); /* vertical retraces begun since power-on */
unsigned vga_start_address(VgaCore *vga);      /* latched */
bool vga_dac_is_8_bit(const VgaCore *vga);

/* --- vga-memory.c --- */
void vga_memory_init(VgaCore *vga);
void vga_memory_destroy(VgaCore *vga);
/* After any register that decides how the window behaves. PLACE: may also map a bank directly. */
void vga_memory_update(VgaCore *vga, bool place);

/* The four bytes at one address of the planes stand together in display memory. The order of the
 * groups makes chain-4 memory (addresses 0, 4, 8... of each plane) one linear run. */
static inline uint32_t vga_plane_offset(uint32_t address)
{
    return ((address & ~0xffffu) << 2) | ((address & 3) << 16) | (address & 0xfffc);
}

/* --- vga-vbe.c --- */
void vga_vbe_init(VgaCore *vga);
void vga_vbe_destroy(VgaCore *vga);
void vga_vbe_reset(VgaCore *vga);
uint16_t vga_vbe_read(VgaCore *vga, unsigned index);
void vga_vbe_write(VgaCore *vga, unsigned index, uint16_t value);
unsigned vga_vbe_line_bytes(const VgaCore *vga);

static inline bool vga_vbe_enabled(const VgaCore *vga)
{
    return vga->vbe[VBE_ENABLE] & VBE_ENABLED;
}

/* A linear (packed pixel) VBE mode; the 4-bit one is planar. */
static inline bool vga_vbe_linear(const VgaCore *vga)
{
    return vga_vbe_enabled(vga) && vga->vbe[VBE_BPP] > 4;
}

/* --- vga-draw.c --- */
void vga_refresh(void *opaque); /* a DisplayRefresh */
void vga_draw_invalidate(VgaCore *vga);
void vga_draw_destroy(VgaCore *vga);
/* Steps through the lines of a text or serial picture as the CRTC's row logic does. */
typedef struct {
    unsigned address, row_scan, pan;
    bool second_line; /* of a doubled one */
    bool row_start;   /* a character row begins here */
} VgaLine;
void vga_line_first(const VgaPicture *picture, VgaLine *line);
void vga_line_next(const VgaPicture *picture, VgaLine *line, int y);
/* Byte address in the planes that character counter COUNTER selects. */
uint32_t vga_counter_address(const VgaPicture *picture, unsigned counter, unsigned row_scan);
/* Eight bytes of 00 or 01, the most significant bit of BITS first in memory. */
static inline uint64_t vga_spread(uint8_t bits)
{
    uint64_t one_each = bits * 0x0101010101010101u & 0x0102040810204080u;
    return (one_each + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
}

/* --- vga-text.c --- */
/* Brings the rows, cells and font up to date; marks the rows that look different. */
void vga_text_collect(VgaCore *vga, const VgaPicture *picture, bool everything);
/* One line of ROW as dots (palette indices), columns + 1 characters. */
void vga_text_dots(const VgaCore *vga, const VgaPicture *picture, unsigned row, unsigned row_scan,
                   uint8_t *dots);

/* --- vga-edid.c --- */
void vga_edid_build(uint8_t edid[128], unsigned width, unsigned height);
