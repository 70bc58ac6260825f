/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/display.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

static void fill(Display *display, int width, int height, DisplayRect rect, uint32_t color)
{
    int stride;
    uint8_t *pixels = display_begin(display, width, height, &stride);
    for (int y = rect.y; y < rect.y + rect.height; y++) {
        uint32_t *row = (uint32_t *)(pixels + y * stride);
        for (int x = rect.x; x < rect.x + rect.width; x++)
            row[x] = color;
    }
    display_publish(display, &rect, 1);
}

static uint32_t pixel(const DisplayFrame *frame, int x, int y)
{
    uint32_t value;
    memcpy(&value, frame->pixels + y * frame->stride + x * 4, 4);
    return value;
}

static void count_call(void *opaque)
{
    ++*(int *)opaque;
}

static void test_damage(void)
{
    Display *display = display_new();
    int calls = 0;
    DisplayClient *client = display_client_new(display, count_call, &calls);
    DisplayFrame frame;
    DisplayRect rects[8];

    g_assert_cmpint(display_client_lock(client, &frame, rects, 8), ==, 0);
    g_assert_cmpint(frame.width, ==, 0);
    fill(display, 100, 50, (DisplayRect){10, 10, 5, 5}, 0x112233);
    g_assert_cmpint(calls, ==, 1);
    g_assert_cmpint(display_client_lock(client, &frame, rects, 8), ==, 1);
    g_assert_cmpint(rects[0].width, ==, 100); /* a new size damages everything */
    g_assert_cmphex(pixel(&frame, 10, 10), ==, 0x112233);
    g_assert_cmphex(pixel(&frame, 9, 10), ==, 0);
    g_assert_cmpint(display_client_lock(client, &frame, rects, 8), ==, 0);
    display_client_unlock(client);

    fill(display, 100, 50, (DisplayRect){0, 0, 2, 2}, 1);
    fill(display, 100, 50, (DisplayRect){50, 40, 3, 3}, 2);
    fill(display, 100, 50, (DisplayRect){51, 41, 1, 1}, 3); /* inside the last */
    g_assert_cmpint(display_client_lock(client, &frame, rects, 8), ==, 2);
    g_assert_cmphex(pixel(&frame, 0, 0), ==, 1);
    g_assert_cmphex(pixel(&frame, 50, 40), ==, 2);
    g_assert_cmphex(pixel(&frame, 51, 41), ==, 3);
    g_assert_cmphex(pixel(&frame, 10, 10), ==, 0x112233);
    display_client_unlock(client);

    /* Publishing out of bounds is cut down; too many rectangles for the caller are the whole. */
    fill(display, 100, 50, (DisplayRect){0, 0, 1, 1}, 4);
    fill(display, 100, 50, (DisplayRect){99, 49, 1, 1}, 5);
    display_publish(display, &(DisplayRect){-5, -5, 1000, 3}, 1);
    g_assert_cmpint(display_client_lock(client, &frame, rects, 1), ==, 1);
    g_assert_cmpint(rects[0].width, ==, 100);
    g_assert_cmpint(rects[0].height, ==, 50);
    display_client_free(client);
    display_free(display);
}

/* Clients that hold frames do not stop the publisher, and what they missed reaches them later. */
static void test_slow_clients(void)
{
    Display *display = display_new();
    DisplayClient *slow[4];
    DisplayFrame held[4], frame;
    DisplayRect rects[8];

    for (int i = 0; i < 4; i++) {
        slow[i] = display_client_new(display, NULL, NULL);
        fill(display, 64, 64, (DisplayRect){i, 0, 1, 1}, 100 + i);
        display_client_lock(slow[i], &held[i], rects, 8);
    }
    for (int i = 0; i < 20; i++)
        fill(display, 64, 64, (DisplayRect){i, 5, 1, 1}, 200 + i);
    for (int i = 0; i < 3; i++) {
        g_assert_cmphex(pixel(&held[i], i, 0), ==, 100u + i);
        g_assert_cmphex(pixel(&held[i], i + 1, 0), ==, 0);
        g_assert_cmphex(pixel(&held[i], 0, 5), ==, 0);
    }
    for (int i = 0; i < 4; i++)
        display_client_unlock(slow[i]);
    display_refresh(display);
    for (int i = 0; i < 4; i++) {
        g_assert_cmpint(display_client_lock(slow[i], &frame, rects, 8), >, 0);
        for (int x = 0; x < 4; x++)
            g_assert_cmphex(pixel(&frame, x, 0), ==, 100u + x);
        for (int x = 0; x < 20; x++)
            g_assert_cmphex(pixel(&frame, x, 5), ==, 200u + x);
        display_client_unlock(slow[i]);
    }
    /* A smaller and again a larger picture start black. */
    fill(display, 32, 16, (DisplayRect){0, 0, 1, 1}, 7);
    fill(display, 64, 64, (DisplayRect){0, 0, 1, 1}, 8);
    g_assert_cmpint(display_client_lock(slow[0], &frame, rects, 8), ==, 1);
    g_assert_cmpint(frame.height, ==, 64);
    g_assert_cmphex(pixel(&frame, 0, 0), ==, 8);
    g_assert_cmphex(pixel(&frame, 5, 5), ==, 0);
    for (int i = 0; i < 4; i++)
        display_client_free(slow[i]);
    display_free(display);
}

/* Every client's copy, kept up only by damage, equals the newest frame. */
static void test_random(void)
{
    enum { N = 3, W = 97, H = 53 };
    Display *display = display_new();
    DisplayClient *clients[N];
    static uint32_t copies[N][H][W], truth[H][W];
    GRand *rand = g_rand_new_with_seed(1);
    memset(copies, 0, sizeof(copies));
    memset(truth, 0, sizeof(truth));
    for (int i = 0; i < N; i++)
        clients[i] = display_client_new(display, NULL, NULL);
    for (int step = 0; step < 3000; step++) {
        DisplayRect rect;
        rect.x = g_rand_int_range(rand, 0, W);
        rect.y = g_rand_int_range(rand, 0, H);
        rect.width = g_rand_int_range(rand, 1, W - rect.x + 1);
        rect.height = g_rand_int_range(rand, 1, H - rect.y + 1);
        if (step % 3) {
            rect.width = MIN(rect.width, 3);
            rect.height = MIN(rect.height, 3);
        }
        uint32_t color = g_rand_int(rand);
        for (int y = rect.y; y < rect.y + rect.height; y++)
            for (int x = rect.x; x < rect.x + rect.width; x++)
                truth[y][x] = color;
        fill(display, W, H, rect, color);
        int i = g_rand_int_range(rand, 0, N);
        DisplayFrame frame;
        DisplayRect rects[6];
        if (g_rand_int(rand) % 4 == 0) {
            display_client_unlock(clients[i]);
            continue;
        }
        display_refresh(display);
        int n = display_client_lock(clients[i], &frame, rects, 6);
        for (int k = 0; k < n; k++)
            for (int y = rects[k].y; y < rects[k].y + rects[k].height; y++)
                for (int x = rects[k].x; x < rects[k].x + rects[k].width; x++)
                    copies[i][y][x] = pixel(&frame, x, y);
        for (int y = 0; y < H; y++)
            g_assert_cmpmem(copies[i][y], W * 4, frame.pixels + y * frame.stride, W * 4);
        if (g_rand_int(rand) % 2)
            display_client_unlock(clients[i]);
    }
    DisplayFrame frame;
    DisplayRect rect;
    for (int i = 0; i < N; i++)
        display_client_unlock(clients[i]);
    display_refresh(display);
    display_client_lock(clients[0], &frame, &rect, 1);
    for (int y = 0; y < H; y++)
        g_assert_cmpmem(truth[y], W * 4, frame.pixels + y * frame.stride, W * 4);
    for (int i = 0; i < N; i++)
        display_client_free(clients[i]);
    g_rand_free(rand);
    display_free(display);
}

/* Readers on their own threads never see half a frame, nor time going backwards. */
typedef struct {
    Display *display;
    _Atomic bool stop;
} Race;

static gpointer read_frames(gpointer data)
{
    Race *race = data;
    DisplayClient *client = display_client_new(race->display, NULL, NULL);
    uint64_t serial = 0, frames = 0;
    while (!race->stop) {
        DisplayFrame frame;
        DisplayRect rects[4];
        display_client_lock(client, &frame, rects, 4);
        if (frame.width && frame.serial != serial) {
            g_assert_cmpuint(frame.serial, >, serial);
            serial = frame.serial;
            frames++;
            uint32_t first = pixel(&frame, 0, 0);
            for (int y = 0; y < frame.height; y++)
                for (int x = 0; x < frame.width; x++)
                    g_assert_cmphex(pixel(&frame, x, y), ==, first);
        }
        display_client_unlock(client);
    }
    display_client_free(client);
    g_assert_cmpuint(frames, >, 0);
    return NULL;
}

static void test_threads(void)
{
    Race race = {.display = display_new()};
    GThread *readers[3];
    fill(race.display, 64, 48, (DisplayRect){0, 0, 64, 48}, 1);
    for (int i = 0; i < 3; i++)
        readers[i] = g_thread_new("reader", read_frames, &race);
    int64_t end = g_get_monotonic_time() + 200000;
    for (uint32_t i = 2; g_get_monotonic_time() < end; i++) {
        int height = 32 + (int)(i / 256 % 17);
        fill(race.display, 64, height, (DisplayRect){0, 0, 64, height}, i);
    }
    race.stop = true;
    for (int i = 0; i < 3; i++)
        g_thread_join(readers[i]);
    display_free(race.display);
}

static void test_text(void)
{
    Display *display = display_new();
    uint16_t cells[2][4] = {{'A' | 0x0700, 0x81, 0xb0, ' '}, {0xe3, 0, ' ', 0}};
    g_assert_null(display_text(display));
    display_set_text(display, cells[0], 4, 2);
    g_autofree char *text = display_text(display);
    g_assert_cmpstr(text, ==, "Aü░\nπ\n");

    /* Every cell of it, and the cursor as long as it is on the screen. */
    for (int cell = -1; cell <= 8; cell++) {
        display_set_text_cursor(display, cell);
        g_autofree DisplayText *screen = display_characters(display);
        g_assert_cmpint(screen->columns, ==, 4);
        g_assert_cmpint(screen->rows, ==, 2);
        g_assert_cmpint(screen->cursor, ==, cell < 8 ? cell : -1);
        g_assert_cmpuint(screen->characters[2], ==, 0x2591);
        g_assert_cmpuint(screen->characters[3], ==, ' ');
        g_assert_cmpuint(screen->characters[4], ==, 0x3c0);
    }
    display_set_text(display, NULL, 0, 0);
    g_assert_null(display_text(display));
    g_assert_null(display_characters(display));
    display_free(display);
}

static void test_save(void)
{
    Display *display = display_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("apiary-display-XXXXXX", NULL);
    g_autofree char *ppm = g_build_filename(folder, "a.ppm", NULL);
    g_autofree char *png = g_build_filename(folder, "a.png", NULL);
    g_autofree char *contents = NULL;
    gsize length;

    g_assert_false(display_save(display, ppm, "ppm", &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    fill(display, 3, 2, (DisplayRect){1, 1, 1, 1}, 0xff102030);
    g_assert_false(display_save(display, ppm, "gif", &error));
    g_clear_error(&error);
    g_assert_false(display_save(display, folder, "png", &error));
    g_clear_error(&error);
    g_assert_true(display_save(display, ppm, "ppm", &error));
    g_assert_true(g_file_get_contents(ppm, &contents, &length, NULL));
    g_assert_cmpmem(contents, length, "P6\n3 2\n255\n\0\0\0\0\0\0\0\0\0\0\0\0\x10\x20\x30\0\0\0",
                    29);
    g_assert_true(display_save(display, png, "png", &error));
    g_clear_pointer(&contents, g_free);
    g_assert_true(g_file_get_contents(png, &contents, &length, NULL));
    g_assert_cmpmem(contents, 8, "\x89PNG\r\n\x1a\n", 8);
    g_unlink(ppm);
    g_unlink(png);
    g_rmdir(folder);
    display_free(display);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/display/damage", test_damage);
    g_test_add_func("/display/slow-clients", test_slow_clients);
    g_test_add_func("/display/random", test_random);
    g_test_add_func("/display/threads", test_threads);
    g_test_add_func("/display/text", test_text);
    g_test_add_func("/display/save", test_save);
    return g_test_run();
}
