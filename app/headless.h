/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <stdbool.h>

/* `apiary --start NAME --headless` runs a machine of the library in the terminal, without a
 * display. False when the arguments do not ask for it; otherwise STATUS is the exit status. */
bool headless_main(int argc, char **argv, int *status);
