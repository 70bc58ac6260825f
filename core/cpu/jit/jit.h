/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "core/cpu/cpu.h"

/* Runs translated code until a request, an exception or something it wants interpreted; returns at an
 * instruction boundary with the state complete in CPU. */
void jit_run(Cpu *cpu);
