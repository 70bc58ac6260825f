/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Small pictures of a machine's screen for the list. */

#include "core/machine/display.h"

#include <cairo.h>

#define APIARY_THUMBNAIL_WIDTH  128
#define APIARY_THUMBNAIL_HEIGHT 96

cairo_surface_t *apiary_thumbnail_take(Display *display); /* NULL when there is no picture yet */
/* The last picture, kept in the machine's folder. */
cairo_surface_t *apiary_thumbnail_load(const char *folder);
void apiary_thumbnail_save(cairo_surface_t *thumbnail, const char *folder);
