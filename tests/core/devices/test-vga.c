/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The VGA as a BIOS and programs drive it: ports, the window at A0000, the PCI bars. Pictures are
 * compared with models that know nothing of planes and counters.
 */

#include "core/chipset/pci.h"
#include "core/config/options.h"
#include "core/devices/vga.h"
#include "core/machine/display.h"

#include <string.h>

#define LFB      0xe0000000u
#define MMIO     0xfebf0000u
#define FRAME_NS 20000000 /* longer than any frame here */

typedef struct {
    Board board;
    Device *device;
    DisplayClient *client;
    DisplayFrame frame;
    GRand *rand;
} Rig;

static Rig *rig_new(const char *option_text)
{
    Rig *rig = g_new0(Rig, 1);
    g_autoptr(GError) error = NULL;
    Board *board = &rig->board;
    g_mutex_init(&board->lock);
    board->memory = memory_map_new();
    board->clock = clock_new_manual();
    board->display = display_new();
    board->pci = pci_bus_new(board);
    OptionValues *values = option_values_new(vga_class.options);
    option_values_parse(values, option_text, NULL, &error);
    g_assert_no_error(error);
    rig->device = g_malloc0(vga_class.instance_size);
    rig->device->device_class = &vga_class;
    rig->device->board = board;
    g_assert_true(vga_class.create(rig->device, board, values, &error));
    g_assert_no_error(error);
    option_values_free(values);
    vga_class.reset(rig->device);
    uint8_t devfn = ((PciDevice *)rig->device)->devfn;
    pci_config_write(board->pci, devfn, 0x10, LFB, 4);
    pci_config_write(board->pci, devfn, 0x18, MMIO, 4);
    pci_config_write(board->pci, devfn, 0x04, 3, 2);
    rig->client = display_client_new(board->display, NULL, NULL);
    rig->rand = g_rand_new_with_seed(42);
    return rig;
}

static void rig_free(Rig *rig)
{
    display_client_free(rig->client);
    vga_class.destroy(rig->device);
    g_free(rig->device);
    pci_bus_free(rig->board.pci);
    display_free(rig->board.display);
    clock_free(rig->board.clock);
    memory_map_free(rig->board.memory);
    g_mutex_clear(&rig->board.lock);
    g_rand_free(rig->rand);
    g_free(rig);
}

static void out(Rig *rig, uint16_t port, uint8_t value)
{
    port_write(rig->board.memory, port, value, 1);
}

static uint8_t in(Rig *rig, uint16_t port)
{
    return (uint8_t)port_read(rig->board.memory, port, 1);
}

/* Index and data in one word, as programs do. */
static void set(Rig *rig, uint16_t port, uint8_t index, uint8_t value)
{
    port_write(rig->board.memory, port, index | value << 8, 2);
}

static uint8_t get(Rig *rig, uint16_t port, uint8_t index)
{
    out(rig, port, index);
    return in(rig, port + 1);
}

static void set_attr(Rig *rig, uint8_t index, uint8_t value)
{
    (void)in(rig, 0x3da);
    out(rig, 0x3c0, index);
    out(rig, 0x3c0, value);
    out(rig, 0x3c0, 0x20);
}

static void dispi(Rig *rig, uint16_t index, uint16_t value)
{
    port_write(rig->board.memory, 0x1ce, index, 2);
    port_write(rig->board.memory, 0x1cf, value, 2);
}

static uint16_t dispi_get(Rig *rig, uint16_t index)
{
    port_write(rig->board.memory, 0x1ce, index, 2);
    return (uint16_t)port_read(rig->board.memory, 0x1cf, 2);
}

static void poke(Rig *rig, uint64_t address, uint64_t value, unsigned size)
{
    memory_write_uint(rig->board.memory, address, value, size);
}

static uint64_t peek(Rig *rig, uint64_t address, unsigned size)
{
    return memory_read_uint(rig->board.memory, address, size);
}

/* Draws, and takes the frame. Returns the number of damaged rectangles. */
static int show_damage(Rig *rig, DisplayRect *rects, int max)
{
    clock_advance(rig->board.clock, FRAME_NS);
    display_refresh(rig->board.display);
    return display_client_lock(rig->client, &rig->frame, rects, max);
}

static int show(Rig *rig)
{
    DisplayRect rects[32];
    return show_damage(rig, rects, 32);
}

static uint32_t pixel(const Rig *rig, int x, int y)
{
    uint32_t value;
    memcpy(&value, rig->frame.pixels + y * rig->frame.stride + x * 4, 4);
    return value;
}

/* --- modes, with the register values of IBM's BIOS -------------------------------------------- */

typedef struct {
    uint8_t misc, seq[4], crtc[25], gc[9], attr[21];
} Mode;

#define EGA_PALETTE                                                                                \
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f
#define PLAIN_PALETTE                                                                              \
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f

static const Mode mode_03 = {
    0x67,
    {0x00, 0x03, 0x00, 0x02},
    {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff},
    {EGA_PALETTE, 0x0c, 0x00, 0x0f, 0x08, 0x00},
};
static const Mode mode_04 = {
    0x63,
    {0x09, 0x03, 0x00, 0x02},
    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x0f, 0x00, 0xff},
    {PLAIN_PALETTE, 0x01, 0x00, 0x03, 0x00, 0x00},
};
static const Mode mode_12 = {
    0xe3,
    {0x01, 0x0f, 0x00, 0x06},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0f, 0xff},
    {EGA_PALETTE, 0x01, 0x00, 0x0f, 0x00, 0x00},
};
static const Mode mode_13 = {
    0x63,
    {0x01, 0x0f, 0x00, 0x0e},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff},
    {PLAIN_PALETTE, 0x41, 0x00, 0x0f, 0x00, 0x00},
};

/* A different level for each entry and colour, and what the card makes of six bits. */
static uint8_t dac_level(int entry, int color)
{
    return (uint8_t)((entry * (color + 3) + 17 * color) & 0x3f);
}

static uint32_t dac_rgb(int entry)
{
    uint32_t rgb = 0;
    for (int color = 0; color < 3; color++) {
        uint32_t level = dac_level(entry, color);
        rgb = rgb << 8 | level << 2 | level >> 4;
    }
    return rgb;
}

static void set_mode(Rig *rig, const Mode *mode)
{
    out(rig, 0x3c2, mode->misc);
    set(rig, 0x3c4, 0, 3);
    for (int i = 0; i < 4; i++)
        set(rig, 0x3c4, (uint8_t)(i + 1), mode->seq[i]);
    set(rig, 0x3d4, 0x11, 0); /* unprotect */
    for (int i = 0; i < 25; i++)
        set(rig, 0x3d4, (uint8_t)i, mode->crtc[i]);
    for (int i = 0; i < 9; i++)
        set(rig, 0x3ce, (uint8_t)i, mode->gc[i]);
    (void)in(rig, 0x3da);
    for (int i = 0; i < 21; i++) {
        out(rig, 0x3c0, (uint8_t)i);
        out(rig, 0x3c0, mode->attr[i]);
    }
    out(rig, 0x3c0, 0x20);
    out(rig, 0x3c6, 0xff);
    out(rig, 0x3c8, 0);
    for (int entry = 0; entry < 256; entry++)
        for (int color = 0; color < 3; color++)
            out(rig, 0x3c9, dac_level(entry, color));
}

/* --- registers -------------------------------------------------------------------------------- */

static void test_registers(void)
{
    Rig *rig = rig_new("romfile=");
    set_mode(rig, &mode_03);
    g_assert_cmphex(in(rig, 0x3cc), ==, 0x67);
    g_assert_cmphex(in(rig, 0x3b5), ==, 0xff);
    g_assert_cmphex(get(rig, 0x3d4, 0x13), ==, 0x28);
    g_assert_cmphex(get(rig, 0x3c4, 4), ==, 0x02);
    g_assert_cmphex(get(rig, 0x3ce, 6), ==, 0x0e);

    /* Protection of CRTC 0-7, with the hole for line compare. */
    set(rig, 0x3d4, 0x00, 0x11);
    g_assert_cmphex(get(rig, 0x3d4, 0x00), ==, 0x5f);
    set(rig, 0x3d4, 0x07, 0x00);
    g_assert_cmphex(get(rig, 0x3d4, 0x07), ==, 0x0f);
    set(rig, 0x3d4, 0x11, 0x0e);
    set(rig, 0x3d4, 0x00, 0x11);
    g_assert_cmphex(get(rig, 0x3d4, 0x00), ==, 0x11);

    /* The flip-flop: index, data, index; reset by reading status. */
    (void)in(rig, 0x3da);
    g_assert_cmphex(get(rig, 0x3d4, 0x24) & 0x80, ==, 0);
    out(rig, 0x3c0, 0x33);
    g_assert_cmphex(get(rig, 0x3d4, 0x24) & 0x80, ==, 0x80);
    out(rig, 0x3c0, 0x05);
    g_assert_cmphex(in(rig, 0x3c0), ==, 0x33);
    g_assert_cmphex(in(rig, 0x3c1), ==, 0x05);

    /* DAC: whole triples, both indices count up and wrap. */
    out(rig, 0x3c8, 0xff);
    g_assert_cmphex(in(rig, 0x3c7), ==, 0);
    for (int i = 1; i <= 6; i++)
        out(rig, 0x3c9, (uint8_t)(0xc0 | i));
    out(rig, 0x3c7, 0xff);
    g_assert_cmphex(in(rig, 0x3c7), ==, 3);
    for (int i = 1; i <= 6; i++)
        g_assert_cmphex(in(rig, 0x3c9), ==, i);

    /* Monochrome addresses. */
    out(rig, 0x3c2, 0x66);
    g_assert_cmphex(in(rig, 0x3d5), ==, 0xff);
    g_assert_cmphex(get(rig, 0x3b4, 0x13), ==, 0x28);
    rig_free(rig);
}

/* Status bits over one frame of mode 3: 28.322 MHz, 900 dots by 449 lines, 70 Hz. */
static void test_timing(void)
{
    Rig *rig = rig_new("romfile=");
    set_mode(rig, &mode_03);
    const int64_t frame = 900ll * 449 * NS_PER_SECOND / 28322000, step = 5000;
    int displayed = 0, retrace = 0, retraces = 0, total = 0;
    bool was = true;
    for (int64_t t = 0; t < frame * 10; t += step, total++) {
        uint8_t status = in(rig, 0x3da);
        displayed += !(status & 1);
        retrace += !!(status & 8);
        g_assert_false(!(status & 1) && (status & 8));
        retraces += (status & 8) && !was;
        was = status & 8;
        clock_advance(rig->board.clock, step);
    }
    g_assert_cmpint(retraces, >=, 9);
    g_assert_cmpint(retraces, <=, 10);
    /* 400 of 449 lines, 80 of 100 characters; two lines of retrace */
    g_assert_cmpfloat(ABS(displayed / (double)total - 400.0 / 449 * 0.8), <, 0.02);
    g_assert_cmpfloat(ABS(retrace / (double)total - 2.0 / 449), <, 0.003);

    /* The vertical interrupt's flag: armed, set by a retrace, cleared. */
    set(rig, 0x3d4, 0x11, 0x8e & ~0x10);
    g_assert_cmphex(in(rig, 0x3c2) & 0x80, ==, 0);
    set(rig, 0x3d4, 0x11, 0x9e);
    g_assert_cmphex(in(rig, 0x3c2) & 0x80, ==, 0);
    clock_advance(rig->board.clock, frame + step);
    g_assert_cmphex(in(rig, 0x3c2) & 0x80, ==, 0x80);
    set(rig, 0x3d4, 0x11, 0x8e & ~0x10);
    g_assert_cmphex(in(rig, 0x3c2) & 0x80, ==, 0);
    rig_free(rig);
}

/* --- text ------------------------------------------------------------------------------------- */

static uint8_t font_bits(int font, int code, int line)
{
    return (uint8_t)(code * 37 + line * 11 + font * 91 + (code ^ line));
}

/* Loads a font as the BIOS does: plane 2, straight addresses, A0000. */
static void load_font(Rig *rig, int font, unsigned address)
{
    set(rig, 0x3c4, 2, 4);
    set(rig, 0x3c4, 4, 7);
    set(rig, 0x3ce, 4, 2);
    set(rig, 0x3ce, 5, 0);
    set(rig, 0x3ce, 6, 4);
    for (int code = 0; code < 256; code++)
        for (int line = 0; line < 32; line++)
            poke(rig, 0xa0000 + address + code * 32 + line, font_bits(font, code, line), 1);
    g_assert_cmphex(peek(rig, 0xa0000 + address + 65 * 32 + 3, 1), ==, font_bits(font, 65, 3));
    set(rig, 0x3c4, 2, 3);
    set(rig, 0x3c4, 4, 2);
    set(rig, 0x3ce, 4, 0);
    set(rig, 0x3ce, 5, 0x10);
    set(rig, 0x3ce, 6, 0x0e);
}

typedef struct {
    int cursor; /* cell, -1 none */
    int cursor_first, cursor_last;
    bool blink_enabled, blink_dark, two_fonts, eight_dots;
    int height, first_cell, pan;
} TextModel;

static uint32_t text_model(const TextModel *model, const uint16_t *cells, int x, int y)
{
    int dots = model->eight_dots ? 8 : 9;
    x += model->pan;
    int line = y % model->height;
    int cell = model->first_cell + y / model->height * 80 + x / dots;
    uint8_t code = (uint8_t)cells[cell], attribute = (uint8_t)(cells[cell] >> 8);
    int font = model->two_fonts && (attribute & 8) ? 1 : 0;
    int foreground = attribute & 15;
    int background = model->blink_enabled ? attribute >> 4 & 7 : attribute >> 4;
    int dot = x % dots;
    bool on;
    if (dot == 8)
        on = code >= 0xc0 && code <= 0xdf && (font_bits(font, code, line) & 1);
    else
        on = font_bits(font, code, line) >> (7 - dot) & 1;
    if (model->blink_enabled && (attribute & 0x80) && model->blink_dark)
        on = false;
    if (cell == model->cursor && line >= model->cursor_first && line <= model->cursor_last)
        on = true;
    return dac_rgb(mode_03.attr[on ? foreground : background]);
}

static void check_text(Rig *rig, const TextModel *model, const uint16_t *cells)
{
    int width = model->eight_dots ? 640 : 720;
    g_assert_cmpint(rig->frame.width, ==, width);
    g_assert_cmpint(rig->frame.height, ==, 400);
    for (int y = 0; y < 400; y++) {
        for (int x = 0; x < width; x++) {
            uint32_t expected = text_model(model, cells, x, y);
            if (pixel(rig, x, y) != expected)
                g_error("pixel %d,%d is %06x, not %06x", x, y, pixel(rig, x, y), expected);
        }
    }
}

/* Advances to the first refresh where the blink phase is as wanted; half the time each. */
static void wait_phase(Rig *rig, bool (*lit)(Rig *rig))
{
    for (int i = 0; i < 200 && !lit(rig); i++)
        show(rig);
}

static uint32_t phase_probe(Rig *rig, int cell, int line, int dot)
{
    return pixel(rig, cell % 80 * 9 + dot, cell / 80 * 16 + line);
}

static bool cell_0_dark(Rig *rig)
{
    return phase_probe(rig, 0, 0, 0) == dac_rgb(mode_03.attr[1]);
}

static bool cell_0_lit(Rig *rig)
{
    return phase_probe(rig, 0, 0, 0) == dac_rgb(mode_03.attr[14]);
}

static bool cursor_lit(Rig *rig)
{
    return phase_probe(rig, 85, 13, 3) == dac_rgb(mode_03.attr[7]);
}

static void test_text(void)
{
    Rig *rig = rig_new("romfile=");
    static uint16_t cells[80 * 60];
    set_mode(rig, &mode_03);
    load_font(rig, 0, 0);
    load_font(rig, 1, 0x4000); /* font block 1 */
    for (unsigned i = 0; i < G_N_ELEMENTS(cells); i++)
        cells[i] = (uint16_t)g_rand_int(rig->rand);
    for (unsigned i = 0; i < 4000; i++)
        cells[i] &= 0x7fff;
    cells[85] = 0x0700 | ' ';
    for (unsigned i = 0; i < G_N_ELEMENTS(cells); i += 2)
        poke(rig, 0xb8000 + i * 2, cells[i] | (uint32_t)cells[i + 1] << 16, 4);
    g_assert_cmphex(peek(rig, 0xb8000 + 201 * 2, 2), ==, cells[201]);
    set(rig, 0x3d4, 0x0a, 0x20); /* no cursor */

    TextModel model = {.cursor = -1, .height = 16, .blink_enabled = true};
    g_assert_cmpint(show(rig), >, 0);
    check_text(rig, &model, cells);
    g_assert_cmpint(show(rig), ==, 0);

    /* Two fonts: attribute bit 3 chooses block 1. */
    set(rig, 0x3c4, 3, 0x04);
    model.two_fonts = true;
    show(rig);
    check_text(rig, &model, cells);
    set(rig, 0x3c4, 3, 0x00);
    model.two_fonts = false;

    /* One cell changes: damage is about that cell. */
    show(rig);
    cells[170] ^= 0x0101;
    poke(rig, 0xb8000 + 170 * 2, cells[170], 2);
    DisplayRect rects[8];
    g_assert_cmpint(show_damage(rig, rects, 8), ==, 1);
    g_assert_cmpint(rects[0].width, <=, 9);
    g_assert_cmpint(rects[0].height, <=, 16);
    check_text(rig, &model, cells);

    /* Bright backgrounds instead of blinking. */
    cells[3] |= 0x8000;
    poke(rig, 0xb8000 + 6, cells[3], 2);
    set_attr(rig, 0x10, 0x04);
    model.blink_enabled = false;
    show(rig);
    check_text(rig, &model, cells);
    set_attr(rig, 0x10, 0x0c);
    model.blink_enabled = true;

    /* Blinking characters. */
    int code = 0;
    while (!(font_bits(0, code, 0) & 0x80))
        code++;
    cells[0] = (uint16_t)(0x9e00 | code);
    cells[3] &= 0x7fff;
    poke(rig, 0xb8006, cells[3], 2);
    poke(rig, 0xb8000, cells[0], 2);
    show(rig);
    model.blink_dark = true;
    wait_phase(rig, cell_0_dark);
    check_text(rig, &model, cells);
    model.blink_dark = false;
    wait_phase(rig, cell_0_lit);
    check_text(rig, &model, cells);
    cells[0] &= 0x7fff;
    poke(rig, 0xb8000, cells[0], 2);

    /* The cursor. */
    set(rig, 0x3d4, 0x0a, 13);
    set(rig, 0x3d4, 0x0b, 14);
    set(rig, 0x3d4, 0x0e, 0);
    set(rig, 0x3d4, 0x0f, 85);
    show(rig);
    wait_phase(rig, cursor_lit);
    model.cursor = 85;
    model.cursor_first = 13;
    model.cursor_last = 14;
    check_text(rig, &model, cells);
    set(rig, 0x3d4, 0x0a, 0x2d);
    model.cursor = -1;

    /* Start address, panning, other heights, 8 dots. */
    set(rig, 0x3d4, 0x0c, 0);
    set(rig, 0x3d4, 0x0d, 160);
    model.first_cell = 160;
    show(rig);
    check_text(rig, &model, cells);
    set_attr(rig, 0x13, 3); /* four dots */
    model.pan = 4;
    show(rig);
    check_text(rig, &model, cells);
    set_attr(rig, 0x13, 8);
    model.pan = 0;
    set(rig, 0x3d4, 0x09, 0x47);
    model.height = 8;
    show(rig);
    check_text(rig, &model, cells);
    set(rig, 0x3c4, 1, 1);
    set_attr(rig, 0x13, 0);
    model.eight_dots = true;
    show(rig);
    check_text(rig, &model, cells);
    rig_free(rig);
}

static void test_text_for_clients(void)
{
    Rig *rig = rig_new("romfile=");
    set_mode(rig, &mode_03);
    for (int i = 0; i < 2000; i++)
        poke(rig, 0xb8000 + i * 2, 0x0720, 2);
    const char *hello = "Hello";
    for (int i = 0; hello[i]; i++)
        poke(rig, 0xb8000 + 160 + i * 2, 0x0700 | hello[i], 2);
    show(rig);
    g_autofree char *text = display_text(rig->board.display);
    g_assert_true(g_str_has_prefix(text, "\nHello\n\n"));
    g_assert_cmpuint(strlen(text), ==, 25 + 5);
    /* The cursor on the fifth cell of the second row, then off, then on a page not shown. */
    static const struct {
        uint8_t start;
        uint16_t address;
        int cell;
    } cursors[] = {{0x0d, 84, 84}, {0x2d, 84, -1}, {0x0d, 0x4000, -1}};
    for (size_t i = 0; i < G_N_ELEMENTS(cursors); i++) {
        set(rig, 0x3d4, 0x0a, cursors[i].start);
        set(rig, 0x3d4, 0x0b, 0x0e);
        set(rig, 0x3d4, 0x0e, cursors[i].address >> 8);
        set(rig, 0x3d4, 0x0f, cursors[i].address & 0xff);
        show(rig);
        g_autofree DisplayText *screen = display_characters(rig->board.display);
        g_assert_cmpint(screen->cursor, ==, cursors[i].cell);
    }
    set_mode(rig, &mode_12);
    show(rig);
    g_assert_null(display_text(rig->board.display));
    rig_free(rig);
}

/* --- planar ----------------------------------------------------------------------------------- */

typedef struct {
    uint8_t planes[4][65536], latches[4];
} PlaneModel;

/* The data path of the technical reference, one bit at a time. */
static void plane_write(PlaneModel *model, const uint8_t gc[9], uint8_t map_mask, uint16_t address,
                        uint8_t value)
{
    int mode = gc[5] & 3, rotate = gc[3] & 7, function = gc[3] >> 3 & 3;
    for (int plane = 0; plane < 4; plane++) {
        if (!(map_mask >> plane & 1))
            continue;
        uint8_t result = 0;
        for (int bit = 0; bit < 8; bit++) {
            int rotated = value >> ((bit + rotate) & 7) & 1;
            int latch = model->latches[plane] >> bit & 1;
            int mask = gc[8] >> bit & 1;
            int data;
            if (mode == 0)
                data = gc[1] >> plane & 1 ? gc[0] >> plane & 1 : rotated;
            else if (mode == 2)
                data = value >> plane & 1;
            else
                data = gc[0] >> plane & 1;
            if (mode == 3)
                mask &= rotated;
            data = function == 1   ? data & latch
                   : function == 2 ? data | latch
                   : function == 3 ? data ^ latch
                                   : data;
            if (mode == 1 || !mask)
                data = latch;
            result |= (uint8_t)(data << bit);
        }
        model->planes[plane][address] = result;
    }
}

static uint8_t plane_read(PlaneModel *model, const uint8_t gc[9], uint16_t address)
{
    uint8_t result = 0;
    for (int plane = 0; plane < 4; plane++)
        model->latches[plane] = model->planes[plane][address];
    if (!(gc[5] & 8))
        return model->latches[gc[4] & 3];
    for (int bit = 0; bit < 8; bit++) {
        bool equal = true;
        for (int plane = 0; plane < 4; plane++) {
            if ((gc[7] >> plane & 1) && (model->latches[plane] >> bit & 1) != (gc[2] >> plane & 1))
                equal = false;
        }
        result |= (uint8_t)(equal << bit);
    }
    return result;
}

static void check_planar(Rig *rig, const PlaneModel *model, unsigned start, int split, int pan)
{
    g_assert_cmpint(rig->frame.width, ==, 640);
    g_assert_cmpint(rig->frame.height, ==, 480);
    for (int y = 0; y < 480; y++) {
        unsigned row = y > split ? (unsigned)(y - split - 1) * 80 : start + (unsigned)y * 80;
        for (int x = 0; x < 640; x++) {
            int at = x + pan, index = 0;
            for (int plane = 0; plane < 4; plane++)
                index |= (model->planes[plane][(row + at / 8) & 0xffff] >> (7 - at % 8) & 1)
                         << plane;
            uint32_t expected = dac_rgb(mode_12.attr[index]);
            if (pixel(rig, x, y) != expected)
                g_error("pixel %d,%d is %06x, not %06x", x, y, pixel(rig, x, y), expected);
        }
    }
}

static void test_planar(void)
{
    Rig *rig = rig_new("romfile=");
    PlaneModel *model = g_new0(PlaneModel, 1);
    uint8_t gc[9];
    memcpy(gc, mode_12.gc, 9);
    set_mode(rig, &mode_12);
    for (int i = 0; i < 65536; i++) {
        uint8_t value = (uint8_t)g_rand_int(rig->rand);
        poke(rig, 0xa0000 + i, value, 1);
        for (int plane = 0; plane < 4; plane++)
            model->planes[plane][i] = value;
    }
    for (int i = 0; i < 60000; i++) {
        uint8_t map_mask = 0x0f;
        if (i % 4 == 0) {
            int index = g_rand_int_range(rig->rand, 0, 9);
            if (index != 6) {
                static const uint8_t valid[9] = {15, 15, 15, 31, 3, 0x0b, 0, 15, 255};
                gc[index] = (uint8_t)g_rand_int(rig->rand) & valid[index];
                set(rig, 0x3ce, (uint8_t)index, gc[index]);
            }
        }
        map_mask = (uint8_t)g_rand_int_range(rig->rand, 0, 16);
        set(rig, 0x3c4, 2, map_mask);
        uint16_t from = (uint16_t)g_rand_int(rig->rand), to = (uint16_t)g_rand_int(rig->rand);
        g_assert_cmphex(peek(rig, 0xa0000 + from, 1), ==, plane_read(model, gc, from));
        uint8_t value = (uint8_t)g_rand_int(rig->rand);
        poke(rig, 0xa0000 + to, value, 1);
        plane_write(model, gc, map_mask, to, value);
    }
    show(rig);
    check_planar(rig, model, 0, 480, 0);

    /* Panning, start address, split screen. */
    set(rig, 0x3d4, 0x0c, 0x12);
    set(rig, 0x3d4, 0x0d, 0x34);
    set_attr(rig, 0x13, 5);
    show(rig);
    check_planar(rig, model, 0x1234, 480, 5);
    set_attr(rig, 0x13, 0);
    set(rig, 0x3d4, 0x11, 0x0c);
    set(rig, 0x3d4, 0x18, 299 & 0xff);
    set(rig, 0x3d4, 0x07, 0x3e);
    set(rig, 0x3d4, 0x09, 0x00);
    show(rig);
    check_planar(rig, model, 0x1234, 299, 0);
    g_assert_cmpint(show(rig), ==, 0);

    /* The start address changes at retrace: not yet in this frame. */
    set(rig, 0x3d4, 0x0c, 0x20);
    display_refresh(rig->board.display);
    DisplayRect rect;
    g_assert_cmpint(display_client_lock(rig->client, &rig->frame, &rect, 1), ==, 0);
    show(rig);
    check_planar(rig, model, 0x2034, 299, 0);
    g_free(model);
    rig_free(rig);
}

/* --- CGA graphics, 256 colours ---------------------------------------------------------------- */

static void test_cga(void)
{
    Rig *rig = rig_new("romfile=");
    static uint8_t memory[16384];
    set_mode(rig, &mode_04);
    for (unsigned i = 0; i < sizeof(memory); i++) {
        memory[i] = (uint8_t)g_rand_int(rig->rand);
        poke(rig, 0xb8000 + i, memory[i], 1);
    }
    show(rig);
    g_assert_cmpint(rig->frame.width, ==, 640);
    g_assert_cmpint(rig->frame.height, ==, 400);
    for (int y = 0; y < 400; y++) {
        for (int x = 0; x < 640; x++) {
            int row = y / 2, column = x / 2;
            uint8_t byte = memory[(row & 1) * 8192 + row / 2 * 80 + column / 4];
            int index = byte >> (6 - column % 4 * 2) & 3;
            g_assert_cmphex(pixel(rig, x, y), ==, dac_rgb(index));
        }
    }
    rig_free(rig);
}

static void check_256(Rig *rig, const uint8_t *pixels)
{
    g_assert_cmpint(rig->frame.width, ==, 640);
    g_assert_cmpint(rig->frame.height, ==, 400);
    for (int y = 0; y < 400; y++)
        for (int x = 0; x < 640; x++)
            g_assert_cmphex(pixel(rig, x, y), ==, dac_rgb(pixels[y / 2 * 320 + x / 2]));
}

static void test_256_colors(void)
{
    Rig *rig = rig_new("romfile=");
    static uint8_t memory[65536];
    set_mode(rig, &mode_13);
    /* Half through the callbacks, half after the window became plain memory. */
    for (unsigned i = 0; i < sizeof(memory); i++) {
        memory[i] = (uint8_t)g_rand_int(rig->rand);
        if (i == 32768) {
            g_assert_false(memory_lookup(rig->board.memory, 0xa0000, NULL).writable);
            show(rig);
            g_assert_true(memory_lookup(rig->board.memory, 0xa0000, NULL).writable);
        }
        poke(rig, 0xa0000 + i, memory[i], 1);
    }
    show(rig);
    check_256(rig, memory);
    /* Chain-4 again byte by byte, without the plain window. */
    set(rig, 0x3ce, 8, 0x7f);
    g_assert_false(memory_lookup(rig->board.memory, 0xa0000, NULL).writable);
    for (int i = 0; i < 65536; i += 251)
        g_assert_cmphex(peek(rig, 0xa0000 + i, 1), ==, memory[i]);
    set(rig, 0x3ce, 8, 0xff);

    /* One pixel: small damage. */
    show(rig);
    poke(rig, 0xa0000 + 320 * 100 + 50, memory[320 * 100 + 50] ^= 0x55, 1);
    DisplayRect rects[8];
    g_assert_cmpint(show_damage(rig, rects, 8), ==, 1);
    g_assert_cmpint(rects[0].x, ==, 100);
    g_assert_cmpint(rects[0].y, ==, 200);
    g_assert_cmpint(rects[0].width, ==, 2);
    g_assert_cmpint(rects[0].height, ==, 2);

    /* PEL mask and palette. */
    out(rig, 0x3c6, 0x0f);
    show(rig);
    g_assert_cmphex(pixel(rig, 0, 0), ==, dac_rgb(memory[0] & 0x0f));
    out(rig, 0x3c6, 0xff);

    /* Mode X: planes by map mask, four pages; page 1 shown. */
    set(rig, 0x3c4, 4, 0x06);
    set(rig, 0x3d4, 0x14, 0x00);
    set(rig, 0x3d4, 0x17, 0xe3);
    for (int i = 0; i < 64000; i++) {
        if (i < 4 || i % 16000 == 0)
            set(rig, 0x3c4, 2, (uint8_t)(1 << i / 16000));
        int at = i % 16000 * 4 + i / 16000;
        memory[at] = (uint8_t)g_rand_int(rig->rand);
        poke(rig, 0xa0000 + 16000 + i % 16000, memory[at], 1);
    }
    set(rig, 0x3d4, 0x0c, 16000 >> 8);
    set(rig, 0x3d4, 0x0d, 16000 & 0xff);
    show(rig);
    check_256(rig, memory);
    rig_free(rig);
}

/* --- VBE -------------------------------------------------------------------------------------- */

static void vbe_mode(Rig *rig, int width, int height, int bpp, int flags)
{
    dispi(rig, 4, 0);
    dispi(rig, 1, (uint16_t)width);
    dispi(rig, 2, (uint16_t)height);
    dispi(rig, 3, (uint16_t)bpp);
    dispi(rig, 4, (uint16_t)(0x41 | flags));
    (void)in(rig, 0x3da);
    out(rig, 0x3c0, 0x20);
}

static uint32_t vbe_model(const uint8_t *bytes, int bpp)
{
    unsigned value = bytes[0] | bytes[1] << 8;
    switch (bpp) {
    case 8: return dac_rgb(bytes[0]);
    case 15: {
        unsigned r = value >> 10 & 31, g = value >> 5 & 31, b = value & 31;
        return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
    }
    case 16: {
        unsigned r = value >> 11 & 31, g = value >> 5 & 63, b = value & 31;
        return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
    }
    default: return value | (uint32_t)bytes[2] << 16;
    }
}

static void test_vbe(void)
{
    Rig *rig = rig_new("romfile=");
    static const int depths[] = {8, 15, 16, 24, 32};
    enum { W = 1024, H = 768, VIRTUAL = 1100 };
    g_assert_cmphex(dispi_get(rig, 0), ==, 0xb0c5);
    g_assert_cmpint(dispi_get(rig, 10), ==, 256);
    set_mode(rig, &mode_13); /* for the palette */
    g_autofree uint8_t *memory = g_malloc(VIRTUAL * (H + 10) * 4);
    for (unsigned d = 0; d < G_N_ELEMENTS(depths); d++) {
        int bpp = depths[d], bytes = (bpp + 7) / 8;
        vbe_mode(rig, W, H, bpp, 0);
        g_assert_cmpint(dispi_get(rig, 6), ==, W);
        dispi(rig, 6, VIRTUAL);
        g_assert_cmpint(dispi_get(rig, 6), ==, VIRTUAL);
        dispi(rig, 8, 13);
        dispi(rig, 9, 7);
        for (int i = 0; i < VIRTUAL * (H + 10) * bytes; i++)
            memory[i] = (uint8_t)g_rand_int(rig->rand);
        memory_write(rig->board.memory, LFB, memory, (size_t)VIRTUAL * (H + 10) * bytes);
        show(rig);
        g_assert_cmpint(rig->frame.width, ==, W);
        g_assert_cmpint(rig->frame.height, ==, H);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                const uint8_t *at = memory + ((y + 7) * VIRTUAL + x + 13) * bytes;
                if (pixel(rig, x, y) != vbe_model(at, bpp))
                    g_error("%d bpp, pixel %d,%d is %06x, not %06x", bpp, x, y, pixel(rig, x, y),
                            vbe_model(at, bpp));
            }
        g_assert_cmpint(show(rig), ==, 0);

        /* Through the bank window. */
        dispi(rig, 5, 1);
        int x = 65536 / bytes % VIRTUAL, y = 65536 / bytes / VIRTUAL;
        poke(rig, 0xa0000 + (bytes == 3 ? 2 : 0), 0x00a5c33c, (unsigned)(bytes == 3 ? 4 : bytes));
        g_assert_cmphex(peek(rig, LFB + 65536 + (bytes == 3 ? 2 : 0), 1), ==, 0x3c);
        DisplayRect rects[4];
        g_assert_cmpint(show_damage(rig, rects, 4), ==, 1);
        g_assert_cmpint(ABS(rects[0].x - (x - 13)), <=, 2);
        g_assert_cmpint(rects[0].y, ==, y - 7);
        poke(rig, 0xa0010, 0xee, 1); /* plain memory by now */
        g_assert_true(memory_lookup(rig->board.memory, 0xa0000, NULL).writable);
        g_assert_cmphex(peek(rig, LFB + 65536 + 16, 1), ==, 0xee);
        dispi(rig, 5, 3);
        poke(rig, 0xa0010, 0x77, 1);
        g_assert_cmphex(peek(rig, LFB + 3 * 65536 + 16, 1), ==, 0x77);
    }
    /* Clearing, and not clearing. */
    poke(rig, LFB, 0x12345678, 4);
    vbe_mode(rig, 640, 480, 32, 0x80);
    g_assert_cmphex(peek(rig, LFB, 4), ==, 0x12345678);
    vbe_mode(rig, 640, 480, 32, 0);
    g_assert_cmphex(peek(rig, LFB, 4), ==, 0);

    /* Limits. */
    dispi(rig, 4, 2);
    g_assert_cmpint(dispi_get(rig, 1), ==, 2560);
    g_assert_cmpint(dispi_get(rig, 2), ==, 1600);
    g_assert_cmpint(dispi_get(rig, 3), ==, 32);
    dispi(rig, 4, 0);
    dispi(rig, 1, 2561);
    g_assert_cmpint(dispi_get(rig, 1), ==, 640);
    vbe_mode(rig, 2560, 1600, 32, 0);
    show(rig);
    g_assert_cmpint(rig->frame.width, ==, 2560);
    g_assert_cmpint(rig->frame.height, ==, 1600);

    /* Eight-bit DAC. */
    vbe_mode(rig, 640, 480, 8, 0x20);
    out(rig, 0x3c8, 0);
    for (int i = 0; i < 3; i++)
        out(rig, 0x3c9, (uint8_t)(0xf1 + i));
    show(rig);
    g_assert_cmphex(pixel(rig, 5, 5), ==, 0xf1f2f3);

    /* Off: the VGA's own picture is back. */
    set_mode(rig, &mode_13);
    dispi(rig, 4, 0);
    show(rig);
    g_assert_cmpint(rig->frame.height, ==, 400);
    rig_free(rig);
}

static void test_vbe_planar(void)
{
    Rig *rig = rig_new("romfile=");
    enum { W = 1024, H = 768 };
    static uint8_t index[H][W];
    set_mode(rig, &mode_12);
    vbe_mode(rig, W, H, 4, 0);
    for (int plane = 0; plane < 4; plane++) {
        set(rig, 0x3c4, 2, (uint8_t)(1 << plane));
        for (int i = 0; i < W / 8 * H; i++) {
            uint8_t value = (uint8_t)g_rand_int(rig->rand);
            if (i % 65536 == 0)
                dispi(rig, 5, (uint16_t)(i / 65536));
            poke(rig, 0xa0000 + i % 65536, value, 1);
            for (int bit = 0; bit < 8; bit++) {
                uint8_t *at = &index[i / (W / 8)][i % (W / 8) * 8 + bit];
                *at = (uint8_t)((*at & ~(1 << plane)) | (value >> (7 - bit) & 1) << plane);
            }
        }
    }
    show(rig);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            g_assert_cmphex(pixel(rig, x, y), ==, dac_rgb(mode_12.attr[index[y][x]]));
    rig_free(rig);
}

/* --- the card --------------------------------------------------------------------------------- */

static void test_card(void)
{
    Rig *rig = rig_new("romfile=,vgamem_mb=20,xres=1366,yres=768");
    PciBus *pci = rig->board.pci;
    uint8_t devfn = ((PciDevice *)rig->device)->devfn;
    g_assert_cmphex(pci_config_read(pci, devfn, 0, 4), ==, 0x11111234);
    g_assert_cmphex(pci_config_read(pci, devfn, 8, 4) >> 8, ==, 0x030000);
    pci_config_write(pci, devfn, 0x10, 0xffffffff, 4);
    g_assert_cmphex(pci_config_read(pci, devfn, 0x10, 4), ==, 0xfe000008); /* 32 MiB, prefetch */
    pci_config_write(pci, devfn, 0x10, LFB, 4);

    uint8_t edid[128], sum = 0;
    g_assert_true(memory_read(rig->board.memory, MMIO, edid, sizeof(edid)));
    for (int i = 0; i < 128; i++)
        sum += edid[i];
    g_assert_cmpint(sum, ==, 0);
    g_assert_cmpmem(edid, 8, "\x00\xff\xff\xff\xff\xff\xff\x00", 8);
    g_assert_cmpint(edid[56] | (edid[58] & 0xf0) << 4, ==, 1360);
    g_assert_cmpint(edid[59] | (edid[61] & 0xf0) << 4, ==, 768);

    /* Ports and DISPI through BAR2. */
    g_assert_cmphex(peek(rig, MMIO + 0x500, 2), ==, 0xb0c5);
    poke(rig, MMIO + 0x502, 800, 2);
    poke(rig, MMIO + 0x504, 600, 2);
    poke(rig, MMIO + 0x506, 32, 2);
    poke(rig, MMIO + 0x508, 0x41, 2);
    poke(rig, MMIO + 0x400, 0x20, 1);
    g_assert_cmpint(dispi_get(rig, 1), ==, 800);
    poke(rig, LFB, 0x11223344, 4);
    show(rig);
    g_assert_cmpint(rig->frame.width, ==, 800);
    g_assert_cmphex(pixel(rig, 0, 0), ==, 0x223344);
    g_assert_cmphex(peek(rig, MMIO + 0x604, 4), ==, 0x1e1e1e1e);
    poke(rig, MMIO + 0x604, 0xbebebebe, 4);
    show(rig);
    g_assert_cmphex(pixel(rig, 0, 0), ==, 0x332211);
    vga_class.reset(rig->device);
    g_assert_cmphex(dispi_get(rig, 4), ==, 0);
    rig_free(rig);
}

/* Blanking for less than two refreshes is not shown, a lasting one is. */
static void test_blank(void)
{
    Rig *rig = rig_new("romfile=");
    set_mode(rig, &mode_13);
    show(rig);
    poke(rig, 0xa0000, 0x2a, 1);
    show(rig);
    (void)in(rig, 0x3da);
    out(rig, 0x3c0, 0);
    show(rig);
    g_assert_cmphex(pixel(rig, 0, 0), ==, dac_rgb(0x2a));
    show(rig);
    g_assert_cmphex(pixel(rig, 0, 0), ==, 0);
    g_assert_cmpint(rig->frame.width, ==, 640);
    (void)in(rig, 0x3da);
    out(rig, 0x3c0, 0x20);
    show(rig);
    g_assert_cmphex(pixel(rig, 0, 0), ==, dac_rgb(0x2a));
    rig_free(rig);
}

/* --- nonsense --------------------------------------------------------------------------------- */

static void test_fuzz(void)
{
    Rig *rig = rig_new("romfile=,vgamem_mb=1");
    GRand *rand = rig->rand;
    int refreshes = g_test_slow() ? 4000 : 250;
    const Mode *modes[] = {&mode_03, &mode_04, &mode_12, &mode_13};
    for (int i = 0; i < refreshes; i++) {
        if (i % 5 == 0)
            set_mode(rig, modes[g_rand_int_range(rand, 0, 4)]);
        int writes = g_rand_int_range(rand, 1, 20);
        for (int k = 0; k < writes; k++) {
            uint8_t index = (uint8_t)g_rand_int_range(rand, 0, 0x26);
            uint8_t value = (uint8_t)g_rand_int(rand);
            switch (g_rand_int_range(rand, 0, 12)) {
            case 0: set(rig, 0x3c4, index, value); break;
            case 1: set(rig, 0x3ce, index, value); break;
            case 2:
            case 3:
                set(rig, 0x3d4, 0x11, 0);
                set(rig, 0x3d4, index, value);
                break;
            case 4: set_attr(rig, index & 0x1f, value); break;
            case 5: out(rig, 0x3c2, value | 3); break;
            case 6:
                if (k == 0)
                    dispi(rig, 4, g_rand_int(rand) & 3 ? 0 : value);
                else
                    dispi(rig, index % 12, (uint16_t)(g_rand_int(rand) >> (value % 17)));
                break;
            case 7: dispi(rig, 3, (const uint16_t[]){0, 4, 8, 15, 16, 24, 32, 5}[value & 7]); break;
            case 8:
                poke(rig, 0x9fff8 + g_rand_int_range(rand, 0, 0x20010), g_rand_int(rand),
                     1u << (value & 3));
                break;
            case 9:
                (void)peek(rig, 0x9fff8 + g_rand_int_range(rand, 0, 0x20010), 1u << (value & 3));
                break;
            case 10:
                poke(rig, MMIO + g_rand_int_range(rand, 0, 0x1000), g_rand_int(rand),
                     1u << (value & 3));
                break;
            default: poke(rig, LFB + g_rand_int_range(rand, 0, 0xfffff), value, 1); break;
            }
            (void)in(rig, (uint16_t)(0x3b0 + index));
        }
        clock_advance(rig->board.clock, g_rand_int_range(rand, 0, FRAME_NS));
        display_refresh(rig->board.display);
        DisplayRect rect;
        display_client_lock(rig->client, &rig->frame, &rect, 1);
        g_assert_cmpint(rig->frame.width, <=, 4096);
    }
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vga/registers", test_registers);
    g_test_add_func("/vga/timing", test_timing);
    g_test_add_func("/vga/text", test_text);
    g_test_add_func("/vga/text-for-clients", test_text_for_clients);
    g_test_add_func("/vga/planar", test_planar);
    g_test_add_func("/vga/cga", test_cga);
    g_test_add_func("/vga/256-colors", test_256_colors);
    g_test_add_func("/vga/vbe", test_vbe);
    g_test_add_func("/vga/vbe-planar", test_vbe_planar);
    g_test_add_func("/vga/card", test_card);
    g_test_add_func("/vga/blank", test_blank);
    g_test_add_func("/vga/fuzz", test_fuzz);
    return g_test_run();
}
