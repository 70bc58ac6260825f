/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The host's own processor as something to compare with: runs guest code in this process with all
 * registers loaded. One thread; it takes the process's handlers of SIGSEGV, SIGILL, SIGFPE, SIGBUS
 * and SIGTRAP and its alternate signal stack.
 *
 * Whatever else the code touches is the process's own, so it must be known not to.
 */

#include "tests/core/cpu/cpu-state.h"

void host_cpu_init(void);
/* Whether the kernel has a segment for 32-bit code: without IA-32 emulation some have none. */
bool host_cpu_has_compatibility(void);
/* Faults between START and START + LENGTH are the code's; others kill the process. */
void host_cpu_set_code(uint64_t start, uint64_t length);
/* Where the code must jump to in order to end. */
uint64_t host_cpu_exit(void);
/* Maps a page at ADDRESS (below 4 GiB if COMPATIBILITY) whose first bytes lead to host_cpu_exit(),
 * so that a near jump can end the code. False if the host refuses. */
bool host_cpu_place_exit(uint64_t address, bool compatibility);
/* Loads STATE, runs from STATE->rip until the exit or a fault, and stores everything but the data:
 * rip is the faulting instruction's, or unchanged at the exit. COMPATIBILITY: 32-bit code in Linux'
 * compatibility segments. */
void host_cpu_run(CpuState *state, bool compatibility);
uint64_t host_cpu_xcr0(void);
