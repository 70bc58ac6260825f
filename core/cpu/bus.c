/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/cpu/bus.h"

#include "core/cpu/cpu.h"

struct CpuBus {
    GMutex mutex;
    GCond changed;
    GPtrArray *executing; /* the vCPUs on the bus */
    Cpu *owner;           /* has locked it or waits for those on it; NULL: nobody */
};

CpuBus *cpu_bus_new(void)
{
    CpuBus *bus = g_new0(CpuBus, 1);

    g_mutex_init(&bus->mutex);
    g_cond_init(&bus->changed);
    bus->executing = g_ptr_array_new();
    return bus;
}

void cpu_bus_free(CpuBus *bus)
{
    if (!bus)
        return;
    g_ptr_array_unref(bus->executing);
    g_mutex_clear(&bus->mutex);
    g_cond_clear(&bus->changed);
    g_free(bus);
}

/* With the mutex. */
static void enter(CpuBus *bus, Cpu *cpu)
{
    while (bus->owner)
        g_cond_wait(&bus->changed, &bus->mutex);
    g_ptr_array_add(bus->executing, cpu);
}

static void leave(CpuBus *bus, Cpu *cpu)
{
    g_ptr_array_remove_fast(bus->executing, cpu);
    if (bus->owner)
        g_cond_broadcast(&bus->changed);
}

void cpu_bus_enter(Cpu *cpu)
{
    if (!cpu->bus)
        return;
    g_mutex_lock(&cpu->bus->mutex);
    enter(cpu->bus, cpu);
    g_mutex_unlock(&cpu->bus->mutex);
}

void cpu_bus_leave(Cpu *cpu)
{
    if (!cpu->bus)
        return;
    g_mutex_lock(&cpu->bus->mutex);
    leave(cpu->bus, cpu);
    g_mutex_unlock(&cpu->bus->mutex);
}

void cpu_bus_give_way(Cpu *cpu)
{
    atomic_fetch_and(&cpu->requests, ~(uint32_t)REQUEST_BUS);
    if (!cpu->bus)
        return;
    g_mutex_lock(&cpu->bus->mutex);
    leave(cpu->bus, cpu);
    enter(cpu->bus, cpu);
    g_mutex_unlock(&cpu->bus->mutex);
}

/* One that waits for its turn is within an instruction, too, but has done nothing of it. */
void cpu_bus_lock(Cpu *cpu)
{
    CpuBus *bus = cpu->bus;

    if (!bus || cpu->holds_bus)
        return;
    g_mutex_lock(&bus->mutex);
    leave(bus, cpu);
    while (bus->owner)
        g_cond_wait(&bus->changed, &bus->mutex);
    bus->owner = cpu;
    for (guint i = 0; i < bus->executing->len; i++)
        cpu_request(g_ptr_array_index(bus->executing, i), REQUEST_BUS);
    while (bus->executing->len)
        g_cond_wait(&bus->changed, &bus->mutex);
    g_mutex_unlock(&bus->mutex);
    cpu->holds_bus = true;
}

void cpu_bus_unlock(Cpu *cpu)
{
    CpuBus *bus = cpu->bus;

    if (!cpu->holds_bus)
        return;
    cpu->holds_bus = false;
    g_mutex_lock(&bus->mutex);
    bus->owner = NULL;
    enter(bus, cpu);
    g_cond_broadcast(&bus->changed);
    g_mutex_unlock(&bus->mutex);
}
