/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* A vCPU's thread, for vcpu.c, which runs it, and sleep.c, which lets it wait. */

#include "core/cpu/cpu.h"

#include <pthread.h>

typedef struct Call Call;
struct Call {
    Call *next;
    void (*func)(Cpu *cpu, void *opaque);
    void *opaque;
    bool done;
};

struct CpuThread {
    uint8_t *mapping;
    size_t mapping_size;
    uint8_t *c_stack;
    bool started;
    pthread_t thread;
    _Atomic int id; /* gettid() */

    GMutex mutex;
    GCond wake;          /* the vCPU sleeps here, paused or halted */
    GCond reported;      /* others wait here for `paused` and for calls */
    _Atomic bool asleep; /* in or about to enter g_cond_wait(wake) */
    bool paused;
    Call *calls; /* first in, first out */

    /* Of the thread alone. */
    bool may_watch;  /* the host has other processors */
    gint64 watch_us; /* how long it looks for requests before it sleeps */
    gint64 early_ns; /* how much sooner than its timer it wakes */
};

/* On a new vCPU's thread. */
void cpu_sleep_prepare(Cpu *cpu);
/* Halted, on the vCPU's thread: until some of BITS are requested; returns sooner when the vCPU's
 * timer has fired. */
void cpu_sleep(Cpu *cpu, uint32_t bits);
