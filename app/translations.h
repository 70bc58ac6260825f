/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Binds the program's messages to its catalogues: the build tree's, or the installed ones. Call it
 * once, after setlocale(). */
void translations_init(void);
