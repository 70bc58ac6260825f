/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * From registers and display memory to a picture. At each refresh the registers are boiled down to
 * a VgaPicture; lines are drawn when that or the memory behind them changed, and published where
 * their pixels differ from what is already shown.
 */

#include "core/devices/vga-core.h"

#include <stdatomic.h>

#define BLANK_WIDTH  640
#define BLANK_HEIGHT 480

#define MAX_RECTS    24
#define RECT_GAP     4 /* unchanged lines that do not end a rectangle */

/* A dirty run of pages this close to the next is taken with it: each run interrupts the vCPUs. */
#define PAGE_GAP     16

#define MAX_DOTS     (VGA_MAX_WIDTH + 64) /* with the characters and dots panned in */

typedef struct {
    const VgaCore *vga;
    const VgaPicture *picture;
    uint8_t *pixels;
    int stride;
    DisplayRect rects[MAX_RECTS];
    int n_rects;
    uint32_t line[VGA_MAX_WIDTH];
} Drawing;

/* --- the picture the registers ask for ------------------------------------------------------- */

static uint32_t dac_color(const VgaCore *vga, uint8_t index)
{
    const uint8_t *rgb = vga->palette[index & vga->dac_mask];
    uint32_t color = 0;
    for (int i = 0; i < 3; i++) {
        uint8_t level = rgb[i];
        if (!vga_dac_is_8_bit(vga))
            level = (uint8_t)((level & 0x3f) << 2 | (level & 0x3f) >> 4);
        color = color << 8 | level;
    }
    return color;
}

/* Four bits to a DAC index through the internal palette (TRM, "Color Select Register"). */
static uint8_t attribute_color(const VgaCore *vga, unsigned index)
{
    uint8_t color = vga->attr[index & 15];
    unsigned select = vga->attr[ATTR_COLOR_SELECT];
    if (vga->attr[ATTR_MODE_CONTROL] & ATTR_MODE_P54_SELECT)
        color = (color & 0x0f) | (select & 3) << 4;
    return (uint8_t)((color & 0x3f) | (select >> 2 & 3) << 6);
}

/* Two frame rates drive blinking: cursor 8 frames lit and 8 dark, characters 16 and 16. */
static bool blink_lit(const VgaCore *vga, unsigned frames)
{
    return !(vga_frame_number(vga) / frames & 1);
}

static bool picture_is_blank(const VgaCore *vga)
{
    if (!(vga->attr_index & ATTR_ADDRESS_SOURCE))
        return true;
    if (vga->seq[SEQ_CLOCKING_MODE] & CLOCKING_SCREEN_OFF)
        return true;
    return !vga_vbe_enabled(vga) && !(vga->crtc[CRTC_MODE_CONTROL] & CRTC_MODE_RETRACE_ENABLE);
}

static void describe_colors(const VgaCore *vga, VgaPicture *picture, bool direct)
{
    if (direct) {
        for (unsigned i = 0; i < 256; i++)
            picture->colors[i] = dac_color(vga, (uint8_t)i);
        return;
    }
    /* In graphics modes blinking inverts the intensity bit of all pixels, as mode 0Fh's palette
     * expects (TRM, "Attribute Mode Control", bit 3). */
    bool graphics_blink = picture->kind == VGA_SERIAL &&
                          (vga->attr[ATTR_MODE_CONTROL] & ATTR_MODE_BLINK) && !blink_lit(vga, 16);
    unsigned enabled = vga->attr[ATTR_COLOR_PLANE_ENABLE] & 0x0f;
    for (unsigned i = 0; i < 16; i++) {
        unsigned index = (i & enabled) ^ (graphics_blink ? 8 : 0);
        picture->colors[i] = dac_color(vga, attribute_color(vga, index));
    }
}

static void describe_linear(const VgaCore *vga, VgaPicture *picture)
{
    const uint16_t *vbe = vga->vbe;
    picture->kind = VGA_LINEAR;
    picture->width = MIN(vbe[VBE_XRES], VGA_MAX_WIDTH);
    picture->height = MIN(vbe[VBE_YRES], VGA_MAX_HEIGHT);
    picture->bpp = vbe[VBE_BPP];
    picture->big_endian = vga->big_endian;
    picture->line_bytes = vga_vbe_line_bytes(vga);
    picture->first_byte =
        vbe[VBE_Y_OFFSET] * picture->line_bytes + vbe[VBE_X_OFFSET] * ((picture->bpp + 7u) / 8u);
    if (picture->bpp == 8)
        describe_colors(vga, picture, true);
}

static void describe_vbe_planar(const VgaCore *vga, VgaPicture *picture)
{
    const uint16_t *vbe = vga->vbe;
    picture->kind = VGA_SERIAL;
    picture->width = MIN(vbe[VBE_XRES], VGA_MAX_WIDTH);
    picture->height = MIN(vbe[VBE_YRES], VGA_MAX_HEIGHT);
    picture->columns = (unsigned)picture->width / 8;
    picture->dots = 8;
    picture->row_step = vga_vbe_line_bytes(vga);
    picture->start = vbe[VBE_Y_OFFSET] * picture->row_step + vbe[VBE_X_OFFSET] / 8u;
    picture->pan = vbe[VBE_X_OFFSET] & 7;
    picture->char_height = 1;
    picture->line_compare = -1;
    picture->plane_mask = (uint32_t)(vga->vram->size / 4 - 1);
    describe_colors(vga, picture, false);
}

/* What the CRTC and the attribute controller do in the VGA's own modes. */
static void describe_serial(VgaCore *vga, VgaPicture *picture)
{
    const uint8_t *crtc = vga->crtc;
    unsigned mode = crtc[CRTC_MODE_CONTROL], clocking = vga->seq[SEQ_CLOCKING_MODE];
    unsigned attr_mode = vga->attr[ATTR_MODE_CONTROL];
    bool graphics = vga->gc[GC_MISCELLANEOUS] & GC_MISC_GRAPHICS;

    picture->kind = graphics ? VGA_SERIAL : VGA_TEXT;
    picture->columns = crtc[CRTC_HORIZONTAL_DISPLAY_END] + 1u;
    picture->dots = clocking & CLOCKING_8_DOTS ? 8 : 9;
    picture->dots_doubled = clocking & CLOCKING_HALF_DOT_CLOCK;
    picture->lines_doubled = mode & CRTC_MODE_DOUBLE_LINES;
    picture->width =
        MIN((int)(picture->columns * picture->dots) << picture->dots_doubled, VGA_MAX_WIDTH);
    picture->height = MIN((int)vga->timing.displayed_lines, VGA_MAX_HEIGHT);

    /* Rows (TRM, "Maximum Scan Line", "Preset Row Scan", "Offset", "Line Compare") */
    picture->start = vga_start_address(vga) + (crtc[CRTC_PRESET_ROW_SCAN] >> 5 & 3);
    picture->row_step = crtc[CRTC_OFFSET] * 2u;
    picture->char_height = (crtc[CRTC_MAXIMUM_SCAN_LINE] & 0x1f) + 1u;
    picture->scan_doubled = crtc[CRTC_MAXIMUM_SCAN_LINE] & 0x80;
    picture->preset_row_scan = crtc[CRTC_PRESET_ROW_SCAN] & 0x1f;
    picture->line_compare = crtc[CRTC_LINE_COMPARE] | (crtc[CRTC_OVERFLOW] & 0x10) << 4 |
                            (crtc[CRTC_MAXIMUM_SCAN_LINE] & 0x40) << 3;
    picture->split_resets_pan = attr_mode & ATTR_MODE_PANNING_COMPATIBILITY;
    /* PEL panning: nine-dot characters count 8, 0, 1 ... 7 (TRM, "Horizontal PEL Panning"). */
    unsigned pan = vga->attr[ATTR_PEL_PANNING];
    picture->pan = picture->dots == 9 ? (pan >= 8 ? 0 : pan + 1) : pan & 7;

    /* Addresses (TRM, "CRT Mode Control", "Underline Location") */
    if (crtc[CRTC_UNDERLINE_LOCATION] & CRTC_UNDERLINE_DOUBLEWORD)
        picture->address_mode = 2;
    else if (!(mode & CRTC_MODE_BYTE_MODE))
        picture->address_mode = 1;
    picture->wrap_bit = mode & CRTC_MODE_ADDRESS_WRAP ? 15 : 13;
    picture->count_shift = crtc[CRTC_UNDERLINE_LOCATION] & CRTC_UNDERLINE_COUNT_BY_4 ? 2
                           : mode & CRTC_MODE_COUNT_BY_2                             ? 1
                                                                                     : 0;
    picture->row_scan_13 = !(mode & CRTC_MODE_MAP_13);
    picture->row_scan_14 = !(mode & CRTC_MODE_MAP_14);
    picture->plane_mask = 0xffff;

    if (graphics) {
        picture->shift_mode = vga->gc[GC_MODE] & (GC_MODE_SHIFT_256 | GC_MODE_SHIFT_INTERLEAVE);
        picture->eight_bit = attr_mode & ATTR_MODE_8_BIT;
        describe_colors(vga, picture, picture->eight_bit);
        return;
    }
    unsigned select = vga->seq[SEQ_CHARACTER_MAP_SELECT];
    picture->font_a = (select >> 2 & 3) << 14 | (select >> 5 & 1) << 13;
    picture->font_b = (select & 3) << 14 | (select >> 4 & 1) << 13;
    picture->underline = crtc[CRTC_UNDERLINE_LOCATION] & 0x1f;
    picture->line_graphics = attr_mode & ATTR_MODE_LINE_GRAPHICS;
    picture->blink = attr_mode & ATTR_MODE_BLINK;
    picture->cursor_first = crtc[CRTC_CURSOR_START] & 0x1f;
    picture->cursor_last = crtc[CRTC_CURSOR_END] & 0x1f;
    if (crtc[CRTC_CURSOR_START] & 0x20) {
        picture->cursor_first = 1; /* off: no line is within */
        picture->cursor_last = 0;
    }
    describe_colors(vga, picture, false);
}

static void describe(VgaCore *vga, VgaPicture *picture)
{
    memset(picture, 0, sizeof(*picture)); /* padding too: pictures are compared whole */
    /* Programs blank the screen for the moment they change a palette register. A monitor shows that
     * for a few lines at most; so only a blank that lasts is shown. */
    VgaShown *shown = &vga->shown;
    shown->blank_refreshes = picture_is_blank(vga) ? shown->blank_refreshes + 1 : 0;
    if (shown->blank_refreshes == 1 && shown->valid) {
        *picture = shown->picture;
    } else if (shown->blank_refreshes > 0) {
        shown->blank_refreshes = 2;
        picture->kind = VGA_BLANK;
        picture->width = shown->valid ? shown->picture.width : BLANK_WIDTH;
        picture->height = shown->valid ? shown->picture.height : BLANK_HEIGHT;
    } else if (vga_vbe_linear(vga)) {
        describe_linear(vga, picture);
    } else if (vga_vbe_enabled(vga)) {
        describe_vbe_planar(vga, picture);
    } else {
        describe_serial(vga, picture);
    }
}

/* --- the CRTC's row logic -------------------------------------------------------------------- */

void vga_line_first(const VgaPicture *picture, VgaLine *line)
{
    *line = (VgaLine){
        .address = picture->start,
        .row_scan = picture->preset_row_scan,
        .pan = picture->pan,
        .row_start = true,
    };
}

/* From line Y of the picture to the next. */
void vga_line_next(const VgaPicture *picture, VgaLine *line, int y)
{
    line->row_start = false;
    if (picture->lines_doubled) {
        if (!(y & 1))
            return;
        y /= 2;
    }
    if (y == picture->line_compare) {
        line->address = 0;
        line->row_scan = 0;
        line->second_line = false;
        line->row_start = true;
        if (picture->split_resets_pan)
            line->pan = 0;
        return;
    }
    if (picture->scan_doubled && !line->second_line) {
        line->second_line = true;
        return;
    }
    line->second_line = false;
    if (line->row_scan == picture->char_height - 1) {
        line->row_scan = 0;
        line->address += picture->row_step;
        line->row_start = true;
    } else {
        line->row_scan = (line->row_scan + 1) & 0x1f;
    }
}

uint32_t vga_counter_address(const VgaPicture *picture, unsigned counter, unsigned row_scan)
{
    uint32_t address = counter;
    if (picture->address_mode == 1)
        address = (counter << 1 & 0xfffe) | (counter >> picture->wrap_bit & 1);
    else if (picture->address_mode == 2)
        address = (counter << 2 & 0xfffc) | (counter >> 14 & 3);
    if (picture->row_scan_13)
        address = (address & ~0x2000u) | (row_scan & 1) << 13;
    if (picture->row_scan_14)
        address = (address & ~0x4000u) | (row_scan >> 1 & 1) << 14;
    return address;
}

/* --- lines ----------------------------------------------------------------------------------- */

/* Eight dots of one character clock (TRM, "Graphics Mode Register", shift register modes). */
static uint64_t serialize(uint32_t bytes, unsigned shift_mode)
{
    uint8_t plane[4] = {(uint8_t)bytes, (uint8_t)(bytes >> 8), (uint8_t)(bytes >> 16),
                        (uint8_t)(bytes >> 24)};
    if (shift_mode & GC_MODE_SHIFT_256) {
        /* Nibbles, high first, of plane 0, 1, 2, 3. */
        uint64_t dots = 0;
        for (int i = 3; i >= 0; i--)
            dots = dots << 16 | (uint64_t)(plane[i] >> 4 | (plane[i] & 0x0f) << 8);
        return dots;
    }
    if (shift_mode & GC_MODE_SHIFT_INTERLEAVE) {
        /* Pairs of bits: planes 0 then 1 give bits 1-0, planes 2 then 3 give bits 3-2. */
        uint64_t dots = 0;
        for (int i = 7; i >= 0; i--) {
            unsigned shift = 6 - 2 * ((unsigned)i & 3);
            unsigned low = plane[i / 4] >> shift & 3, high = plane[2 + i / 4] >> shift & 3;
            dots = dots << 8 | (low | high << 2);
        }
        return dots;
    }
    return vga_spread(plane[0]) | vga_spread(plane[1]) << 1 | vga_spread(plane[2]) << 2 |
           vga_spread(plane[3]) << 3;
}

/* Eight-bit colour: two successive dots make one index, and show for both. */
static uint64_t pair_dots(uint64_t dots)
{
    uint64_t pairs = (dots & 0x000f000f000f000fu) << 4 | (dots >> 8 & 0x000f000f000f000fu);
    return pairs | pairs << 8;
}

static void serial_dots(const VgaCore *vga, const VgaPicture *picture, unsigned counter,
                        unsigned row_scan, uint8_t *dots)
{
    for (unsigned column = 0; column <= picture->columns; column++, dots += picture->dots) {
        uint32_t address =
            vga_counter_address(picture, counter + (column >> picture->count_shift), row_scan);
        uint32_t bytes;
        memcpy(&bytes, vga->vram->host + vga_plane_offset(address & picture->plane_mask), 4);
        uint64_t eight = serialize(bytes, picture->shift_mode);
        if (picture->eight_bit)
            eight = pair_dots(eight);
        memcpy(dots, &eight, 8);
        if (picture->dots == 9)
            dots[8] = 0;
    }
}

static void dots_to_line(Drawing *drawing, const uint8_t *dots)
{
    const uint32_t *colors = drawing->picture->colors;
    int width = drawing->picture->width;
    if (drawing->picture->dots_doubled) {
        for (int x = 0; x < width; x++)
            drawing->line[x] = colors[dots[x >> 1]];
    } else {
        for (int x = 0; x < width; x++)
            drawing->line[x] = colors[dots[x]];
    }
}

static uint32_t expand_5(unsigned level)
{
    return (level & 0x1f) << 3 | (level & 0x1f) >> 2;
}

static uint32_t expand_6(unsigned level)
{
    return (level & 0x3f) << 2 | (level & 0x3f) >> 4;
}

static void linear_line(Drawing *drawing, const uint8_t *from)
{
    const VgaPicture *picture = drawing->picture;
    uint32_t *line = drawing->line;
    int width = picture->width;
    switch (picture->bpp) {
    case 8:
        for (int x = 0; x < width; x++)
            line[x] = picture->colors[from[x]];
        break;
    case 15:
    case 16:
        for (int x = 0; x < width; x++) {
            uint16_t value;
            memcpy(&value, from + x * 2, 2);
            if (picture->big_endian)
                value = GUINT16_SWAP_LE_BE(value);
            if (picture->bpp == 15)
                line[x] = expand_5(value >> 10) << 16 | expand_5(value >> 5) << 8 | expand_5(value);
            else
                line[x] = expand_5(value >> 11) << 16 | expand_6(value >> 5) << 8 | expand_5(value);
        }
        break;
    case 24:
        for (int x = 0; x < width; x++, from += 3)
            line[x] = picture->big_endian ? (uint32_t)(from[0] << 16 | from[1] << 8 | from[2])
                                          : (uint32_t)(from[2] << 16 | from[1] << 8 | from[0]);
        break;
    default:
        for (int x = 0; x < width; x++) {
            uint32_t value;
            memcpy(&value, from + x * 4, 4);
            line[x] = (picture->big_endian ? GUINT32_SWAP_LE_BE(value) : value) & 0xffffff;
        }
        break;
    }
}

/* Puts the line at Y, and notes the part that differs from what is shown. */
static void put_line(Drawing *drawing, int y)
{
    int width = drawing->picture->width;
    uint32_t *shown = (uint32_t *)(drawing->pixels + (size_t)y * (size_t)drawing->stride);
    if (memcmp(shown, drawing->line, (size_t)width * 4) == 0)
        return;
    int left = 0, right = width;
    while (shown[left] == drawing->line[left])
        left++;
    while (shown[right - 1] == drawing->line[right - 1])
        right--;
    memcpy(shown + left, drawing->line + left, (size_t)(right - left) * 4);

    DisplayRect *last = drawing->n_rects ? &drawing->rects[drawing->n_rects - 1] : NULL;
    bool near = last && y - (last->y + last->height) < RECT_GAP;
    if (!near && drawing->n_rects < MAX_RECTS) {
        drawing->rects[drawing->n_rects++] = (DisplayRect){left, y, right - left, 1};
        return;
    }
    right = MAX(right, last->x + last->width);
    last->x = MIN(left, last->x);
    last->width = right - last->x;
    last->height = y + 1 - last->y;
}

/* --- whole pictures -------------------------------------------------------------------------- */

static void draw_serial(Drawing *drawing)
{
    const VgaPicture *picture = drawing->picture;
    uint8_t dots[MAX_DOTS];
    VgaLine line;
    unsigned drawn_address = 0, drawn_scan = 0, drawn_pan = 0;
    /* Lines of one row differ only where the row scan enters the address. */
    unsigned scan_mask = (picture->row_scan_13 ? 1u : 0) | (picture->row_scan_14 ? 2u : 0);

    vga_line_first(picture, &line);
    for (int y = 0; y < picture->height; y++) {
        unsigned scan = line.row_scan & scan_mask;
        if (y == 0 || line.address != drawn_address || scan != drawn_scan ||
            line.pan != drawn_pan) {
            serial_dots(drawing->vga, picture, line.address, scan, dots);
            dots_to_line(drawing, dots + line.pan);
            drawn_address = line.address;
            drawn_scan = scan;
            drawn_pan = line.pan;
        }
        put_line(drawing, y);
        vga_line_next(picture, &line, y);
    }
}

static void draw_text(Drawing *drawing)
{
    const VgaPicture *picture = drawing->picture;
    const VgaShown *shown = &drawing->vga->shown;
    uint8_t dots[MAX_DOTS];
    VgaLine line;
    unsigned row = 0;

    vga_line_first(picture, &line);
    for (int y = 0; y < picture->height; y++) {
        if (y > 0 && line.row_start)
            row++;
        if (shown->rows[row].changed) {
            vga_text_dots(drawing->vga, picture, row, line.row_scan, dots);
            dots_to_line(drawing, dots + line.pan);
            put_line(drawing, y);
        }
        vga_line_next(picture, &line, y);
    }
}

static void draw_linear_lines(Drawing *drawing, int first, int end)
{
    const VgaPicture *picture = drawing->picture;
    RamBlock *vram = drawing->vga->vram;
    uint64_t length = (uint64_t)picture->width * ((picture->bpp + 7) / 8);
    for (int y = first; y < end; y++) {
        uint64_t offset = picture->first_byte + (uint64_t)y * picture->line_bytes;
        if (offset + length <= vram->size)
            linear_line(drawing, vram->host + offset);
        else
            memset(drawing->line, 0, sizeof(drawing->line));
        put_line(drawing, y);
    }
}

static bool page_is_dirty(const RamBlock *vram, uint64_t page)
{
    uint8_t flags = atomic_load_explicit(&vram->flags[page], memory_order_relaxed);
    return !(flags & PAGE_CLEAN) || (flags & PAGE_RECHECK);
}

/* The next run of written pages in [*page, end), taken: *page to the returned page. Equal when
 * there is none. */
static uint64_t take_dirty_run(RamBlock *vram, uint64_t *page, uint64_t end)
{
    while (*page < end && !page_is_dirty(vram, *page))
        (*page)++;
    if (*page == end)
        return end;
    uint64_t last = *page;
    for (uint64_t next = last + 1; next < end && next <= last + PAGE_GAP; next++) {
        if (page_is_dirty(vram, next))
            last = next;
    }
    ram_block_take_dirty(vram, *page * GUEST_PAGE_SIZE, (last + 1 - *page) * GUEST_PAGE_SIZE);
    return last + 1;
}

static void draw_linear(Drawing *drawing, bool everything)
{
    const VgaPicture *picture = drawing->picture;
    RamBlock *vram = drawing->vga->vram;
    uint64_t last = picture->first_byte + (uint64_t)picture->height * picture->line_bytes;
    uint64_t page = picture->first_byte / GUEST_PAGE_SIZE;
    uint64_t end =
        MIN((last + GUEST_PAGE_SIZE - 1) / GUEST_PAGE_SIZE, vram->size / GUEST_PAGE_SIZE);
    int drawn = 0; /* lines above are done */

    while (page < end) {
        uint64_t run_end = take_dirty_run(vram, &page, end);
        if (page < run_end && !everything) {
            uint64_t from = MAX(page * GUEST_PAGE_SIZE, picture->first_byte);
            uint64_t to = run_end * GUEST_PAGE_SIZE - 1;
            from -= picture->first_byte;
            to -= picture->first_byte;
            int first = MAX((int)(from / picture->line_bytes), drawn);
            drawn = (int)MIN(to / picture->line_bytes + 1, (uint64_t)picture->height);
            draw_linear_lines(drawing, first, drawn);
        }
        page = run_end;
    }
    if (everything)
        draw_linear_lines(drawing, 0, picture->height);
}

static void draw_blank(Drawing *drawing)
{
    memset(drawing->line, 0, sizeof(drawing->line));
    for (int y = 0; y < drawing->picture->height; y++)
        put_line(drawing, y);
}

/* True when anything in the planes a VGA_TEXT or VGA_SERIAL picture can show was written. */
static bool planes_written(const VgaCore *vga, const VgaPicture *picture)
{
    uint64_t end = ((uint64_t)picture->plane_mask + 1) * 4 / GUEST_PAGE_SIZE;
    bool dirty = false;
    for (uint64_t page = 0; page < end;) {
        uint64_t run_end = take_dirty_run(vga->vram, &page, end);
        dirty |= page < run_end;
        page = run_end;
    }
    return dirty;
}

/* The parts of a text picture that change all the time. Returns whether they did. */
static bool move_cursor_and_blink(VgaCore *vga)
{
    VgaShown *shown = &vga->shown;
    const uint8_t *crtc = vga->crtc;
    bool cursor = blink_lit(vga, 8), blink = blink_lit(vga, 16);
    /* Cursor skew moves it right by characters (TRM, "Cursor End"). */
    unsigned address =
        ((unsigned)crtc[CRTC_CURSOR_LOCATION_HIGH] << 8 | crtc[CRTC_CURSOR_LOCATION_LOW]) +
        (crtc[CRTC_CURSOR_END] >> 5 & 3);
    bool changed = cursor != shown->cursor_phase || blink != shown->blink_phase ||
                   address != shown->cursor_address;
    shown->cursor_phase = cursor;
    shown->blink_phase = blink;
    shown->cursor_address = address;
    return changed;
}

void vga_refresh(void *opaque)
{
    VgaCore *vga = opaque;
    VgaShown *shown = &vga->shown;
    VgaPicture picture;

    vga_memory_update(vga, true);
    describe(vga, &picture);
    bool everything = !shown->valid || memcmp(&picture, &shown->picture, sizeof(picture)) != 0;
    bool text_blinked = picture.kind == VGA_TEXT && move_cursor_and_blink(vga);
    bool planar = picture.kind == VGA_TEXT || picture.kind == VGA_SERIAL;
    bool written = planar && planes_written(vga, &picture);
    if (picture.kind != VGA_LINEAR && !everything && !written && !text_blinked)
        return;

    if (picture.kind == VGA_TEXT)
        vga_text_collect(vga, &picture, everything);
    else if (everything)
        display_set_text(vga->board->display, NULL, 0, 0);

    Drawing *drawing = g_new(Drawing, 1);
    drawing->vga = vga;
    drawing->picture = &picture;
    drawing->n_rects = 0;
    drawing->pixels =
        display_begin(vga->board->display, picture.width, picture.height, &drawing->stride);
    switch (picture.kind) {
    case VGA_BLANK: draw_blank(drawing); break;
    case VGA_TEXT: draw_text(drawing); break;
    case VGA_SERIAL: draw_serial(drawing); break;
    case VGA_LINEAR: draw_linear(drawing, everything); break;
    }
    /* A new size is damage by itself, even when the new picture is black. */
    if (drawing->n_rects > 0 || everything)
        display_publish(vga->board->display, drawing->rects, drawing->n_rects);
    g_free(drawing);
    if (everything) {
        shown->picture = picture;
        shown->valid = true;
    }
}

void vga_draw_invalidate(VgaCore *vga)
{
    vga->shown.valid = false;
}

void vga_draw_destroy(VgaCore *vga)
{
    g_clear_pointer(&vga->shown.rows, g_free);
    g_clear_pointer(&vga->shown.cells, g_free);
}
