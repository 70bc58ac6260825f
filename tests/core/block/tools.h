/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Helpers of the image tests: a folder, QEMU's tools, and a model of a disk. */

#include "core/block/block.h"

#include <stdlib.h>
#include <string.h>

extern char *folder; /* thrown away at the end */

char *in_folder(const char *name);
bool have_qemu_img(void);
/* Runs a shell command in the folder; its exit status. */
int shell(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* It must succeed. */
void must(const char *format, ...) G_GNUC_PRINTF(1, 2);
BlockImage *open_image(const char *path, const char *format);

/* COUNT random reads, writes, discards, zeroings and flushes within MODEL's SIZE bytes, each
 * checked against or done to MODEL as well. A discard must leave zeros, unless the format cannot.
 */
void exercise(BlockImage *image, uint8_t *model, uint64_t size, int count, bool discard_is_exact);
void assert_contents(BlockImage *image, const uint8_t *model, uint64_t size);
/* qemu-img finds nothing wrong, and reads MODEL from it. */
void assert_qemu_agrees(const char *path, const uint8_t *model, uint64_t size);
int run_tests(void);
