/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The bus of a machine's vCPUs, which one can lock: the others stand still between two instructions
 * meanwhile. Processors lock it for locked operations that no cache line can hold (SDM 8.1.2.2),
 * and so is it here, where the host's own bus must not be locked for a guest (mmu_splits_line());
 * and for those on devices. It costs some microseconds, as there.
 *
 * A vCPU thread is on the bus while it may execute instructions, not while it sleeps. What devices
 * write meanwhile is not held up.
 */

#include <glib.h>

typedef struct Cpu Cpu;
typedef struct CpuBus CpuBus;

CpuBus *cpu_bus_new(void);
void cpu_bus_free(CpuBus *bus); /* after its vCPUs; may be NULL */

/* The rest on the vCPU's own thread. Without a bus (NULL in CpuConfig) they do nothing. */

/* Around execution: enter waits while another holds the bus. */
void cpu_bus_enter(Cpu *cpu);
void cpu_bus_leave(Cpu *cpu);
/* For REQUEST_BUS, between instructions: lets the one that wants the bus have it. */
void cpu_bus_give_way(Cpu *cpu);

/* In an instruction of which nothing has been done yet, the board lock not held: waits until no
 * other vCPU is within an instruction. Nested calls are for nothing. The run loop unlocks if the
 * instruction raises. */
void cpu_bus_lock(Cpu *cpu);
void cpu_bus_unlock(Cpu *cpu);
