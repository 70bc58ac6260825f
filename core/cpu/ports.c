/* SPDX-License-Identifier: GPL-3.0-or-later */

/* IN and OUT after their permission checks. */

#include "core/cpu/mmu.h"

/* I/O breakpoints (SDM 17.2.4): CR4.DE and DR7.RWn == 2. */
static void check_breakpoints(Cpu *cpu, uint16_t port, unsigned size)
{
    for (unsigned n = 0; n < 4; n++) {
        unsigned control = (unsigned)(cpu->dr[7] >> (16 + n * 4));
        unsigned length = ((control >> 2) & 3) + 1;
        uint64_t first = cpu->dr[n] & ~(uint64_t)(length - 1);

        if ((cpu->dr[7] >> (n * 2)) & 3 && (control & 3) == 2 && port < first + length &&
            first < (uint64_t)port + size)
            cpu->debug_hits |= 1u << n;
    }
}

uint32_t cpu_port_in(Cpu *cpu, uint16_t port, unsigned size)
{
    if ((cpu->mode & MODE_DEBUG) && (cpu->cr4 & CR4_DE))
        check_breakpoints(cpu, port, size);
    cpu_spill_vectors(cpu);
    cpu->count_exits++;
    cpu->board->lock(cpu->board_opaque);
    uint32_t value = port_read(cpu->memory, port, size);
    cpu->board->unlock(cpu->board_opaque);
    return value;
}

void cpu_port_out(Cpu *cpu, uint16_t port, uint32_t value, unsigned size)
{
    if ((cpu->mode & MODE_DEBUG) && (cpu->cr4 & CR4_DE))
        check_breakpoints(cpu, port, size);
    cpu_spill_vectors(cpu);
    cpu->count_exits++;
    cpu->board->lock(cpu->board_opaque);
    port_write(cpu->memory, port, value, size);
    cpu->board->unlock(cpu->board_opaque);
}

void cpu_port_in_run(Cpu *cpu, uint16_t port, void *buffer, size_t count, unsigned size)
{
    cpu_spill_vectors(cpu);
    cpu->count_exits++;
    cpu->board->lock(cpu->board_opaque);
    port_read_run(cpu->memory, port, buffer, count, size);
    cpu->board->unlock(cpu->board_opaque);
}

void cpu_port_out_run(Cpu *cpu, uint16_t port, const void *buffer, size_t count, unsigned size)
{
    cpu_spill_vectors(cpu);
    cpu->count_exits++;
    cpu->board->lock(cpu->board_opaque);
    port_write_run(cpu->memory, port, buffer, count, size);
    cpu->board->unlock(cpu->board_opaque);
}
