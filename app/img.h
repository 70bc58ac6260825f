/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* `apiary img COMMAND ...`, which takes qemu-img's commands and flags and prints what it prints.
 * ARGV[0] is "img". Returns qemu-img's exit status. */
int img_main(int argc, char **argv);

/* ---- one function a command: ARGV[0] is the command ---- */

int img_check(int argc, char **argv);
int img_compare(int argc, char **argv);
int img_convert(int argc, char **argv);
int img_create(int argc, char **argv);
int img_info(int argc, char **argv);
int img_map(int argc, char **argv);
int img_resize(int argc, char **argv);
int img_snapshot(int argc, char **argv);

/* ---- what they share ---- */

/* Prints "apiary img: ..." to stderr; returns 1. */
int img_fail(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* The same for ERROR, which is freed. */
int img_fail_error(GError *error);
/* --output=human|json. False for another word, which was reported. */
bool img_parse_output(const char *word, bool *json);
/* "1.5 GiB" */
char *img_human_size(uint64_t bytes);
/* Joins -o options given several times. */
void img_add_options(char **options, const char *more);
/* A BlockProgress that draws qemu-img's percentage; nothing if OPAQUE is NULL. */
bool img_progress(void *opaque, double fraction);
