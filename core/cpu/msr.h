/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Model-specific registers. False: no such register or a value it does not take (#GP). */

#include "core/cpu/cpu.h"

bool msr_read(Cpu *cpu, uint32_t msr, uint64_t *value);
bool msr_write(Cpu *cpu, uint32_t msr, uint64_t value);

/* The time-stamp counter as the guest sees it. */
uint64_t cpu_tsc(const Cpu *cpu);
