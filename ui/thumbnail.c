/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/thumbnail.h"

#include <glib.h>

/* The mean of a box of pixels of the frame. */
static uint32_t box_mean(const DisplayFrame *frame, int x0, int y0, int x1, int y1)
{
    uint32_t red = 0, green = 0, blue = 0;
    uint32_t count = (uint32_t)((x1 - x0) * (y1 - y0));

    for (int y = y0; y < y1; y++) {
        const uint32_t *row = (const uint32_t *)(frame->pixels + (size_t)y * (size_t)frame->stride);
        for (int x = x0; x < x1; x++) {
            red += row[x] >> 16 & 0xff;
            green += row[x] >> 8 & 0xff;
            blue += row[x] & 0xff;
        }
    }
    return red / count << 16 | green / count << 8 | blue / count;
}

cairo_surface_t *apiary_thumbnail_take(Display *display)
{
    DisplayClient *client = display_client_new(display, NULL, NULL);
    cairo_surface_t *surface = NULL;
    DisplayFrame frame;
    DisplayRect rect;

    display_client_lock(client, &frame, &rect, 1);
    if (frame.width > 0 && frame.height > 0) {
        double scale = MIN((double)APIARY_THUMBNAIL_WIDTH / frame.width,
                           (double)APIARY_THUMBNAIL_HEIGHT / frame.height);
        int width = MAX((int)(frame.width * MIN(scale, 1)), 1);
        int height = MAX((int)(frame.height * MIN(scale, 1)), 1);
        surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
        uint8_t *pixels = cairo_image_surface_get_data(surface);
        int stride = cairo_image_surface_get_stride(surface);
        for (int y = 0; pixels && y < height; y++) {
            uint32_t *row = (uint32_t *)(pixels + (size_t)y * (size_t)stride);
            for (int x = 0; x < width; x++)
                row[x] = box_mean(&frame, x * frame.width / width, y * frame.height / height,
                                  (x + 1) * frame.width / width, (y + 1) * frame.height / height);
        }
        cairo_surface_mark_dirty(surface);
    }
    display_client_unlock(client);
    display_client_free(client);
    return surface;
}

static char *thumbnail_path(const char *folder)
{
    return g_build_filename(folder, "screen.png", NULL);
}

cairo_surface_t *apiary_thumbnail_load(const char *folder)
{
    g_autofree char *path = thumbnail_path(folder);
    cairo_surface_t *surface = cairo_image_surface_create_from_png(path);

    if (cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS)
        return surface;
    cairo_surface_destroy(surface);
    return NULL;
}

void apiary_thumbnail_save(cairo_surface_t *thumbnail, const char *folder)
{
    g_autofree char *path = thumbnail_path(folder);

    cairo_surface_write_to_png(thumbnail, path);
}
