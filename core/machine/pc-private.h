/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What a Pc is made of: for pc.c and the monitor. */

#include "core/chardev/chardev.h"
#include "core/chipset/interrupts.h"
#include "core/cpu/cpu.h"
#include "core/machine/pc.h"

#define PC_SERIALS 4

typedef struct I440fx I440fx;
typedef struct Piix3 Piix3;
typedef struct Piix4Pm Piix4Pm;
typedef struct Hpet Hpet;
typedef struct I8254 I8254;
typedef struct Mc146818 Mc146818;
typedef struct SystemPorts SystemPorts;
typedef struct I8042 I8042;
typedef struct PiixIde PiixIde;
typedef struct Fdc Fdc;
typedef struct Uhci Uhci;
typedef struct Vga Vga;
typedef struct Serial Serial;
typedef struct Debugcon Debugcon;

/* The board opaque of a vCPU. */
typedef struct {
    Pc *pc;
    unsigned index;
} CpuSlot;

struct Pc {
    Board board;
    const PcOps *ops;
    void *opaque;
    MachineConfig *config;

    Interrupts *interrupts;
    I440fx *host_bridge;
    Piix3 *isa_bridge;
    Piix4Pm *pm_function;
    Hpet *hpet;
    I8254 *pit;
    Mc146818 *rtc;
    SystemPorts *ports;
    I8042 *keyboard_controller;
    PiixIde *ide;
    Fdc *fdc;
    Uhci *uhci;
    Vga *vga;
    Serial *serials[PC_SERIALS];
    Debugcon *debugcon;
    GPtrArray *chardevs; /* Chardev* */
    GPtrArray *netdevs;  /* NetBackend*, of -netdev */
    GPtrArray *devices;  /* Device*, of -device */

    CpuidModel *cpuid;
    Jit *jit;
    CpuBus *cpu_bus;
    Cpu **cpus;
    CpuSlot *slots;
    unsigned n_cpus; /* that exist so far */
    bool running, was_reset;
    unsigned last_debug_stop; /* the vCPU that was reported last */
};
