/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What the program calls: the desktop application, or one window for a machine of the command
 * line. */

#include "core/machine/machine.h"

/* The manager and its options; ARGV[0] is the program's name. Returns the exit status. */
int ui_main(int argc, char **argv);

/* The machine has been made and is not started yet: attach servers to it. False stops at once. */
typedef bool (*UiPrepare)(void *opaque, Machine *machine);
/* Shows and runs one machine that is not in the library. Returns when it is off. FINISH is called
 * before the machine is freed. */
int ui_run_config(const MachineConfig *config, UiPrepare prepare, void (*finish)(void *opaque),
                  void *opaque);
