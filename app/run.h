/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "core/config/config.h"

/* `apiary run ...` (argv[0] is "run"): one machine from QEMU's command line. Returns the exit
 * status: 0 when the guest or the user ended it, 1 for an error, (2 * value) | 1 for
 * isa-debug-exit. */
int run_main(int argc, char **argv);
/* Runs the machine in the terminal until it is off; SIGTERM and SIGINT switch it off. CONFIG has
 * been validated. Returns the exit status. */
int run_headless(const MachineConfig *config);
