/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The published picture. The video device draws into a draft that nobody else sees; publishing
 * copies the damaged rectangles into a frame no client is reading. A client that holds a frame
 * keeps only that frame: when all are held the publish waits for a later one, the device never
 * does.
 */

#include "core/machine/display.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <png.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_SIDE          4096
#define N_FRAMES          3
#define MAX_DAMAGE        32
#define SLOT_BYTES        ((size_t)MAX_SIDE * MAX_SIDE * 4)
#define DRAFT_SLOT        N_FRAMES
#define TOTAL_BYTES       (SLOT_BYTES * (N_FRAMES + 1))

/* Refresh intervals, and the time a picture stands still before the longer one is used. */
#define REFRESH_MOVING_MS 16
#define REFRESH_STILL_MS  33
#define REFRESH_IDLE_MS   50
#define REFRESH_ALONE_MS  250
#define STILL_AFTER_US    500000
#define IDLE_AFTER_US     3000000

/* Rectangles that cover everything that changed; they may cover more. */
typedef struct {
    DisplayRect rects[MAX_DAMAGE];
    int n;
} Damage;

typedef struct {
    int width, height;
    uint64_t serial;
    int readers;    /* clients that hold it */
    Damage missing; /* what the draft has and this frame has not; only while the sizes agree */
} Frame;

struct DisplayClient {
    Display *display;
    void (*changed)(void *opaque);
    void *opaque;
    Damage damage; /* since the last lock */
    int locked;    /* frame index or -1 */
};

struct Display {
    uint8_t *memory; /* N_FRAMES slots and the draft, of SLOT_BYTES each, sparse */
    int fd;

    /* The video device's side. */
    int width, height;  /* of the draft */
    Damage unpublished; /* damage that found no free frame */
    DisplayRefresh refresh;
    void *refresh_opaque;
    bool drew;              /* something was published since display_refresh() began */
    int64_t last_change_us; /* monotonic */

    GMutex lock; /* guards what follows; held shortly, never while drawing or reading pixels */
    Frame frames[N_FRAMES];
    int newest; /* frame index or -1 */
    uint64_t serial;
    uint16_t *cells;
    int columns, rows;
    int text_cursor; /* cell, or -1 */

    GMutex clients_lock; /* taken before lock */
    GPtrArray *clients;
};

/* Code page 437 as Unicode, IBM's graphic forms of the control codes included. */
static const uint16_t cp437[256] = {
    0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9, 0x2642,
    0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8,
    0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc, 0x0020, 0x0021, 0x0022, 0x0023,
    0x0024, 0x0025, 0x0026, 0x0027, 0x0028, 0x0029, 0x002a, 0x002b, 0x002c, 0x002d, 0x002e, 0x002f,
    0x0030, 0x0031, 0x0032, 0x0033, 0x0034, 0x0035, 0x0036, 0x0037, 0x0038, 0x0039, 0x003a, 0x003b,
    0x003c, 0x003d, 0x003e, 0x003f, 0x0040, 0x0041, 0x0042, 0x0043, 0x0044, 0x0045, 0x0046, 0x0047,
    0x0048, 0x0049, 0x004a, 0x004b, 0x004c, 0x004d, 0x004e, 0x004f, 0x0050, 0x0051, 0x0052, 0x0053,
    0x0054, 0x0055, 0x0056, 0x0057, 0x0058, 0x0059, 0x005a, 0x005b, 0x005c, 0x005d, 0x005e, 0x005f,
    0x0060, 0x0061, 0x0062, 0x0063, 0x0064, 0x0065, 0x0066, 0x0067, 0x0068, 0x0069, 0x006a, 0x006b,
    0x006c, 0x006d, 0x006e, 0x006f, 0x0070, 0x0071, 0x0072, 0x0073, 0x0074, 0x0075, 0x0076, 0x0077,
    0x0078, 0x0079, 0x007a, 0x007b, 0x007c, 0x007d, 0x007e, 0x2302, 0x00c7, 0x00fc, 0x00e9, 0x00e2,
    0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5,
    0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2,
    0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba,
    0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502,
    0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510,
    0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566,
    0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b,
    0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0,
    0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229,
    0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a,
    0x207f, 0x00b2, 0x25a0, 0x00a0,
};

/* --- damage ---------------------------------------------------------------------------------- */

static DisplayRect rect_union(DisplayRect a, DisplayRect b)
{
    int right = MAX(a.x + a.width, b.x + b.width), bottom = MAX(a.y + a.height, b.y + b.height);
    DisplayRect both = {.x = MIN(a.x, b.x), .y = MIN(a.y, b.y)};
    both.width = right - both.x;
    both.height = bottom - both.y;
    return both;
}

static int64_t rect_area(DisplayRect rect)
{
    return (int64_t)rect.width * rect.height;
}

/* The pixels that would be covered needlessly (or twice, negative) if the two became one. */
static int64_t merge_cost(DisplayRect a, DisplayRect b)
{
    return rect_area(rect_union(a, b)) - rect_area(a) - rect_area(b);
}

static void damage_add(Damage *damage, DisplayRect rect)
{
    /* Swallow what overlaps or continues RECT, until nothing does. */
    for (int i = 0; i < damage->n;) {
        if (merge_cost(damage->rects[i], rect) <= 0) {
            rect = rect_union(damage->rects[i], rect);
            damage->rects[i] = damage->rects[--damage->n];
            i = 0;
        } else {
            i++;
        }
    }
    if (damage->n < MAX_DAMAGE) {
        damage->rects[damage->n++] = rect;
        return;
    }
    int best = 0;
    for (int i = 1; i < damage->n; i++) {
        if (merge_cost(damage->rects[i], rect) < merge_cost(damage->rects[best], rect))
            best = i;
    }
    damage->rects[best] = rect_union(damage->rects[best], rect);
}

static void damage_add_all(Damage *damage, const Damage *more)
{
    for (int i = 0; i < more->n; i++)
        damage_add(damage, more->rects[i]);
}

static void damage_set_whole(Damage *damage, int width, int height)
{
    damage->rects[0] = (DisplayRect){0, 0, width, height};
    damage->n = 1;
}

/* --- life ------------------------------------------------------------------------------------ */

static uint8_t *slot_pixels(const Display *display, int slot)
{
    return display->memory + SLOT_BYTES * (size_t)slot;
}

Display *display_new(void)
{
    Display *display = g_new0(Display, 1);
    g_mutex_init(&display->lock);
    g_mutex_init(&display->clients_lock);
    display->clients = g_ptr_array_new();
    display->newest = -1;
    display->text_cursor = -1;
    display->fd = memfd_create("apiary-display", MFD_CLOEXEC);
    if (display->fd < 0 || ftruncate(display->fd, TOTAL_BYTES) < 0)
        g_error("cannot create the display's memory: %s", g_strerror(errno));
    display->memory =
        mmap(NULL, TOTAL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, display->fd, 0);
    if (display->memory == MAP_FAILED)
        g_error("cannot map the display's memory: %s", g_strerror(errno));
    return display;
}

void display_free(Display *display)
{
    if (!display)
        return;
    g_warn_if_fail(display->clients->len == 0);
    munmap(display->memory, TOTAL_BYTES);
    close(display->fd);
    g_ptr_array_free(display->clients, TRUE);
    g_free(display->cells);
    g_mutex_clear(&display->lock);
    g_mutex_clear(&display->clients_lock);
    g_free(display);
}

/* --- the video device's side ----------------------------------------------------------------- */

uint8_t *display_begin(Display *display, int width, int height, int *stride)
{
    width = CLAMP(width, 1, MAX_SIDE);
    height = CLAMP(height, 1, MAX_SIDE);
    uint8_t *draft = slot_pixels(display, DRAFT_SLOT);
    if (width != display->width || height != display->height) {
        /* Dropping the pages blackens them and gives a larger picture's memory back. */
        if (madvise(draft, SLOT_BYTES, MADV_REMOVE) < 0)
            memset(draft, 0, (size_t)width * height * 4);
        display->width = width;
        display->height = height;
        damage_set_whole(&display->unpublished, width, height);
    }
    *stride = width * 4;
    return draft;
}

static void copy_rect(Display *display, int slot, const DisplayRect *rect)
{
    size_t stride = (size_t)display->width * 4;
    size_t first = (size_t)rect->y * stride + (size_t)rect->x * 4;
    const uint8_t *from = slot_pixels(display, DRAFT_SLOT) + first;
    uint8_t *to = slot_pixels(display, slot) + first;
    if (rect->width == display->width) {
        memcpy(to, from, stride * (size_t)rect->height);
        return;
    }
    for (int y = 0; y < rect->height; y++, from += stride, to += stride)
        memcpy(to, from, (size_t)rect->width * 4);
}

/* Moves the unpublished damage into a free frame. False when clients hold every frame but the
 * newest, which other clients may be about to lock. */
static bool publish_pending(Display *display)
{
    g_mutex_lock(&display->lock);
    int slot = -1;
    for (int i = 0; i < N_FRAMES && slot < 0; i++) {
        if (i != display->newest && display->frames[i].readers == 0)
            slot = i;
    }
    g_mutex_unlock(&display->lock);
    if (slot < 0)
        return false;

    /* Not the newest, so no client can take it while it is written. */
    Frame *frame = &display->frames[slot];
    for (int i = 0; i < N_FRAMES; i++) {
        if (display->frames[i].width == display->width &&
            display->frames[i].height == display->height)
            damage_add_all(&display->frames[i].missing, &display->unpublished);
    }
    if (frame->width != display->width || frame->height != display->height) {
        if ((int64_t)frame->width * frame->height > (int64_t)display->width * display->height)
            (void)madvise(slot_pixels(display, slot), SLOT_BYTES, MADV_REMOVE);
        damage_set_whole(&frame->missing, display->width, display->height);
    }
    for (int i = 0; i < frame->missing.n; i++)
        copy_rect(display, slot, &frame->missing.rects[i]);
    frame->missing.n = 0;

    g_mutex_lock(&display->clients_lock);
    g_mutex_lock(&display->lock);
    bool resized = display->newest < 0 ||
                   display->frames[display->newest].width != display->width ||
                   display->frames[display->newest].height != display->height;
    frame->width = display->width;
    frame->height = display->height;
    frame->serial = ++display->serial;
    display->newest = slot;
    for (unsigned i = 0; i < display->clients->len; i++) {
        DisplayClient *client = g_ptr_array_index(display->clients, i);
        if (resized)
            damage_set_whole(&client->damage, frame->width, frame->height);
        else
            damage_add_all(&client->damage, &display->unpublished);
    }
    display->unpublished.n = 0;
    g_mutex_unlock(&display->lock);
    for (unsigned i = 0; i < display->clients->len; i++) {
        DisplayClient *client = g_ptr_array_index(display->clients, i);
        if (client->changed)
            client->changed(client->opaque);
    }
    g_mutex_unlock(&display->clients_lock);
    return true;
}

void display_publish(Display *display, const DisplayRect *rects, int n_rects)
{
    for (int i = 0; i < n_rects; i++) {
        DisplayRect rect = rects[i];
        int right = CLAMP(rect.x + rect.width, 0, display->width);
        int bottom = CLAMP(rect.y + rect.height, 0, display->height);
        rect.x = CLAMP(rect.x, 0, right);
        rect.y = CLAMP(rect.y, 0, bottom);
        rect.width = right - rect.x;
        rect.height = bottom - rect.y;
        if (rect.width > 0 && rect.height > 0)
            damage_add(&display->unpublished, rect);
    }
    if (display->unpublished.n == 0)
        return;
    display->drew = true;
    publish_pending(display);
}

void display_set_text(Display *display, const uint16_t *cells, int columns, int rows)
{
    g_mutex_lock(&display->lock);
    g_clear_pointer(&display->cells, g_free);
    if (cells && columns > 0 && rows > 0)
        display->cells = g_memdup2(cells, sizeof(*cells) * (size_t)columns * (size_t)rows);
    display->columns = columns;
    display->rows = rows;
    g_mutex_unlock(&display->lock);
}

void display_set_text_cursor(Display *display, int cell)
{
    g_mutex_lock(&display->lock);
    display->text_cursor = cell;
    g_mutex_unlock(&display->lock);
}

void display_set_source(Display *display, DisplayRefresh refresh, void *opaque)
{
    display->refresh = refresh;
    display->refresh_opaque = opaque;
}

int display_refresh(Display *display)
{
    display->drew = false;
    if (display->refresh)
        display->refresh(display->refresh_opaque);
    if (!display->drew && display->unpublished.n > 0)
        display->drew = publish_pending(display);

    int64_t now = g_get_monotonic_time();
    if (display->drew)
        display->last_change_us = now;
    g_mutex_lock(&display->clients_lock);
    bool alone = display->clients->len == 0;
    g_mutex_unlock(&display->clients_lock);
    if (alone)
        return REFRESH_ALONE_MS;
    int64_t still = now - display->last_change_us;
    return still < STILL_AFTER_US  ? REFRESH_MOVING_MS
           : still < IDLE_AFTER_US ? REFRESH_STILL_MS
                                   : REFRESH_IDLE_MS;
}

/* --- the clients' side ----------------------------------------------------------------------- */

DisplayClient *display_client_new(Display *display, void (*changed)(void *opaque), void *opaque)
{
    DisplayClient *client = g_new0(DisplayClient, 1);
    client->display = display;
    client->changed = changed;
    client->opaque = opaque;
    client->locked = -1;
    g_mutex_lock(&display->clients_lock);
    g_mutex_lock(&display->lock);
    if (display->newest >= 0)
        damage_set_whole(&client->damage, display->frames[display->newest].width,
                         display->frames[display->newest].height);
    g_ptr_array_add(display->clients, client);
    g_mutex_unlock(&display->lock);
    g_mutex_unlock(&display->clients_lock);
    return client;
}

void display_client_free(DisplayClient *client)
{
    if (!client)
        return;
    display_client_unlock(client);
    g_mutex_lock(&client->display->clients_lock);
    g_ptr_array_remove_fast(client->display->clients, client);
    g_mutex_unlock(&client->display->clients_lock);
    g_free(client);
}

int display_client_lock(DisplayClient *client, DisplayFrame *frame, DisplayRect *rects, int max)
{
    Display *display = client->display;
    int n = 0;
    display_client_unlock(client);
    *frame = (DisplayFrame){0};
    g_mutex_lock(&display->lock);
    if (display->newest >= 0) {
        Frame *newest = &display->frames[display->newest];
        newest->readers++;
        client->locked = display->newest;
        frame->width = newest->width;
        frame->height = newest->height;
        frame->stride = newest->width * 4;
        frame->pixels = slot_pixels(display, display->newest);
        frame->serial = newest->serial;
        n = client->damage.n;
        if (n <= max) {
            memcpy(rects, client->damage.rects, sizeof(*rects) * (size_t)n);
        } else if (max > 0) {
            rects[0] = (DisplayRect){0, 0, newest->width, newest->height};
            n = 1;
        }
        client->damage.n = 0;
    }
    g_mutex_unlock(&display->lock);
    return n;
}

void display_client_unlock(DisplayClient *client)
{
    Display *display = client->display;
    g_mutex_lock(&display->lock);
    if (client->locked >= 0) {
        display->frames[client->locked].readers--;
        client->locked = -1;
    }
    g_mutex_unlock(&display->lock);
}

DisplayText *display_characters(Display *display)
{
    DisplayText *text = NULL;

    g_mutex_lock(&display->lock);
    if (display->cells) {
        size_t n = (size_t)display->columns * (size_t)display->rows;
        text = g_malloc(sizeof(*text) + n * sizeof(text->characters[0]));
        text->columns = display->columns;
        text->rows = display->rows;
        text->cursor = display->text_cursor < (int)n ? display->text_cursor : -1;
        for (size_t i = 0; i < n; i++)
            text->characters[i] = cp437[display->cells[i] & 0xff];
    }
    g_mutex_unlock(&display->lock);
    return text;
}

char *display_text(Display *display)
{
    g_autofree DisplayText *text = display_characters(display);

    if (!text)
        return NULL;
    GString *out = g_string_sized_new((size_t)(text->columns + 1) * (size_t)text->rows);
    for (int row = 0; row < text->rows; row++) {
        const gunichar *characters = text->characters + (size_t)row * (size_t)text->columns;
        int end = text->columns;
        while (end > 0 && characters[end - 1] == ' ')
            end--;
        for (int column = 0; column < end; column++)
            g_string_append_unichar(out, characters[column]);
        g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}

/* --- picture files --------------------------------------------------------------------------- */

/* One row of a frame as R, G, B bytes. */
static void row_to_rgb(const DisplayFrame *frame, int y, uint8_t *rgb)
{
    const uint8_t *row = frame->pixels + (size_t)y * (size_t)frame->stride;
    for (int x = 0; x < frame->width; x++) {
        uint32_t pixel;
        memcpy(&pixel, row + (size_t)x * 4, 4);
        rgb[x * 3] = (uint8_t)(pixel >> 16);
        rgb[x * 3 + 1] = (uint8_t)(pixel >> 8);
        rgb[x * 3 + 2] = (uint8_t)pixel;
    }
}

static bool write_ppm(FILE *file, const DisplayFrame *frame)
{
    g_autofree uint8_t *rgb = g_malloc((size_t)frame->width * 3);
    fprintf(file, "P6\n%d %d\n255\n", frame->width, frame->height);
    for (int y = 0; y < frame->height; y++) {
        row_to_rgb(frame, y, rgb);
        fwrite(rgb, 3, (size_t)frame->width, file);
    }
    return !ferror(file);
}

static bool write_png(FILE *file, const DisplayFrame *frame)
{
    /* libpng reports errors with longjmp: nothing after setjmp may own memory by a local. */
    g_autofree uint8_t *rgb = g_malloc((size_t)frame->width * 3);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)frame->width, (png_uint_32)frame->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < frame->height; y++) {
        row_to_rgb(frame, y, rgb);
        png_write_row(png, rgb);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return true;
}

bool display_save(Display *display, const char *path, const char *format, GError **error)
{
    bool png = g_str_equal(format, "png");
    if (!png && !g_str_equal(format, "ppm")) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    _("Pictures are saved as “png” or “ppm”, not as “%s”"), format);
        return false;
    }
    DisplayClient *client = display_client_new(display, NULL, NULL);
    DisplayFrame frame;
    DisplayRect rect;
    bool saved = false;
    FILE *file = NULL;
    display_client_lock(client, &frame, &rect, 1);
    if (frame.width == 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED,
                    _("The machine has not shown a picture yet; try again once it runs"));
    } else if (!(file = g_fopen(path, "wbe"))) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), _("Cannot write “%s”: %s"),
                    path, g_strerror(errno));
    } else {
        errno = 0;
        saved = png ? write_png(file, &frame) : write_ppm(file, &frame);
        if (fclose(file) != 0)
            saved = false;
        if (!saved) {
            g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno ? errno : EIO),
                        _("Cannot write “%s”: %s"), path, g_strerror(errno ? errno : EIO));
            (void)g_unlink(path);
        }
    }
    display_client_unlock(client);
    display_client_free(client);
    return saved;
}
