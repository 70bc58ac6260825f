/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The published picture of a machine. The VGA renders into a frame of the pool on the board thread;
 * clients (window, VNC, screendump) take the newest one without waiting for the core.
 *
 * Frames live in a memfd. Pixels are 32-bit xRGB, host endian (cairo's RGB24).
 */

#include "core/machine/board.h"

typedef struct {
    int width, height; /* pixels */
    int stride;        /* bytes */
    const uint8_t *pixels;
    uint64_t serial; /* grows with every published frame */
} DisplayFrame;

typedef struct {
    int x, y, width, height;
} DisplayRect;

/* A text screen, row by row; all of its rows are equally high and end at the picture's edges. */
typedef struct {
    int columns, rows; /* 1 at least */
    int cursor;        /* index of the cell with the cursor, or -1 */
    gunichar characters[];
} DisplayText;

Display *display_new(void);
void display_free(Display *display);

/* --- the video device's side: board lock held --- */
/* The buffer to draw the next frame into, holding the previous frame's pixels when the size has not
 * changed (else black). WIDTH, HEIGHT 1-4096. */
uint8_t *display_begin(Display *display, int width, int height, int *stride);
/* Publishes what was drawn; RECTS is the damage against the last published frame. */
void display_publish(Display *display, const DisplayRect *rects, int n_rects);
/* The text on the screen when in a text mode, so that clients can select it: CELLS is
 * columns*rows code/attribute pairs (CP437), or NULL in graphics modes. Copied. */
void display_set_text(Display *display, const uint16_t *cells, int columns, int rows);
/* The cell that the text cursor is in, row * columns + column, or -1 when none is shown. */
void display_set_text_cursor(Display *display, int cell);

/* A video device's hook: draw now if anything changed (called at refresh time, board thread). */
typedef void (*DisplayRefresh)(void *opaque);
void display_set_source(Display *display, DisplayRefresh refresh, void *opaque);
/* Lets the source draw. Returns the milliseconds after which calling again is worthwhile: one frame
 * while the picture moves, longer the longer it stands still or when nobody watches. */
int display_refresh(Display *display);

/* --- the clients' side: any thread --- */
typedef struct DisplayClient DisplayClient;
/* CHANGED is called on the board thread after a publish; it must only wake its owner, and must not
 * free a client. */
DisplayClient *display_client_new(Display *display, void (*changed)(void *opaque), void *opaque);
void display_client_free(DisplayClient *client);
/* Locks the newest frame for reading until display_client_unlock (short: a copy). Fills RECTS with
 * up to MAX damaged rectangles since this client's last lock (whole picture when too many). Returns
 * the number of rectangles, 0 when nothing is new; FRAME is valid either way unless width is 0. */
int display_client_lock(DisplayClient *client, DisplayFrame *frame, DisplayRect *rects, int max);
void display_client_unlock(DisplayClient *client);
/* The text screen, or NULL in graphics modes. Free with g_free. */
DisplayText *display_characters(Display *display);
/* The same as UTF-8 without the blanks at the ends of its rows, rows ended by newlines, or NULL in
 * graphics modes. Free with g_free. */
char *display_text(Display *display);
/* Writes the newest frame as "png" or "ppm". */
bool display_save(Display *display, const char *path, const char *format, GError **error);
