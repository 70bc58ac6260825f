/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A vCPU's memory, thread and run loop.
 *
 * Between two instructions the loop looks at one word, Cpu.requests. Everything that must be seen
 * at an instruction boundary sets a bit there: other threads through cpu_request(), the
 * instructions themselves with REQUEST_LEAVE.
 */

#include "core/cpu/cpu.h"

#include "core/cpu/bus.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/debug.h"
#include "core/cpu/interp.h"
#include "core/cpu/jit/jit.h"
#include "core/cpu/lockstep.h"
#include "core/cpu/mmu.h"
#include "core/cpu/system.h"
#include "core/cpu/thread.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define C_STACK (1024 * 1024)
#define GUARD   4096

static __thread Cpu *current_cpu;

Cpu *cpu_current(void)
{
    return current_cpu;
}

/* --- a board for vCPUs without one ---------------------------------------------------------------
 */

static void no_lock(void *opaque)
{
}

static int no_acknowledge(void *opaque)
{
    return -1;
}

static uint8_t no_get_cr8(void *opaque)
{
    return 0;
}

static void no_set_cr8(void *opaque, uint8_t value)
{
}

static bool no_read_msr(void *opaque, uint32_t msr, uint64_t *value)
{
    return false;
}

static bool no_write_msr(void *opaque, uint32_t msr, uint64_t value)
{
    return false;
}

static void no_ferr(void *opaque, bool level)
{
}

static const CpuBoardOps no_board = {
    .lock = no_lock,
    .unlock = no_lock,
    .acknowledge = no_acknowledge,
    .get_cr8 = no_get_cr8,
    .set_cr8 = no_set_cr8,
    .read_msr = no_read_msr,
    .write_msr = no_write_msr,
    .triple_fault = no_lock,
    .ferr = no_ferr,
    .init_received = no_lock,
    .debug_stopped = no_lock,
};

/* --- making and freeing --------------------------------------------------------------------------
 */

/* Of memory that is all 0. */
static void empty_tlbs(Cpu *cpu)
{
    for (unsigned set = 0; set < N_MMU; set++)
        cpu->tlb[set].load_tag[0] = cpu->tlb[set].store_tag[0] = TLB_EMPTY(0);
    cpu->fetch[0].tag[0] = cpu->fetch[1].tag[0] = TLB_EMPTY(0);
    cpu->sites_used = true;
}

Cpu *cpu_new(const CpuConfig *config, GError **error)
{
    size_t cpu_size = LARGE_PAGE_UP(sizeof(Cpu));
    size_t size = LARGE_PAGE + GUARD + CPU_HELPER_STACK + cpu_size + GUARD + C_STACK;
    uint8_t *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

    if (mapping == MAP_FAILED) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    _("Cannot get memory for a virtual processor: %s."), g_strerror(errno));
        return NULL;
    }
    Cpu *cpu = (Cpu *)LARGE_PAGE_UP(mapping + GUARD + CPU_HELPER_STACK);
    uint8_t *guard = (uint8_t *)cpu + cpu_size;
    /* The soft TLB is looked into all the time: that should not push the guest's pages out of the
     * host's own TLB. A refusal costs only speed. */
    (void)madvise(cpu, cpu_size, MADV_HUGEPAGE);
    mprotect((uint8_t *)cpu - CPU_HELPER_STACK - GUARD, GUARD, PROT_NONE);
    mprotect(guard, GUARD, PROT_NONE);

    cpu->thread = g_new0(struct CpuThread, 1);
    cpu->thread->mapping = mapping;
    cpu->thread->mapping_size = size;
    cpu->thread->c_stack = guard + GUARD;
    g_mutex_init(&cpu->thread->mutex);
    g_cond_init(&cpu->thread->wake);
    g_cond_init(&cpu->thread->reported);

    cpu->index = config->index;
    cpu->apic_id = config->apic_id;
    cpu->accel = config->accel;
    cpu->memory = config->memory;
    cpu->model = config->model;
    cpu->board = config->board ? config->board : &no_board;
    cpu->board_opaque = config->board_opaque;
    cpu->jit_shared = config->jit;
    cpu->bus = config->bus;
    if (config->jit && jit_options(config->jit)->lockstep)
        cpu->lockstep = lockstep_new(cpu);
    cpu->tiny_tlb = config->jit && jit_options(config->jit)->tiny_tlb;
    cpu->second_tlb.tiny = cpu->tiny_tlb;
    cpu->a20_mask_off = true;
    cpu->page_1g = cpuid_has(config->model, CPUID_PDPE1GB);
    cpu->tsc_offset = -(int64_t)cpuid_tsc_origin(config->model);
    empty_tlbs(cpu);
    mmu_flush_all(cpu);
    cpu_reset(cpu);
    return cpu;
}

void cpu_free(Cpu *cpu)
{
    if (!cpu)
        return;
    struct CpuThread *thread = cpu->thread;
    if (thread->started) {
        cpu_request(cpu, REQUEST_QUIT);
        pthread_join(thread->thread, NULL);
    }
    g_mutex_clear(&thread->mutex);
    g_cond_clear(&thread->wake);
    g_cond_clear(&thread->reported);
    interp_free(cpu);
    debug_free(cpu);
    lockstep_free(cpu->lockstep);
    munmap(thread->mapping, thread->mapping_size);
    g_free(thread);
}

/* --- requests ------------------------------------------------------------------------------------
 */

/* The sleeper raises `asleep` before it looks at the requests, the waker looks at it after setting
 * them: one of the two sees the other. */
void cpu_request(Cpu *cpu, uint32_t bits)
{
    struct CpuThread *thread = cpu->thread;

    if (bits & REQUEST_INTERRUPT)
        atomic_fetch_or(&cpu->lines, REQUEST_INTERRUPT);
    /* A SIPI that came before, to a processor that did not wait for it, is no answer to INIT. */
    if (bits & REQUEST_INIT)
        atomic_fetch_and(&cpu->requests, ~(uint32_t)REQUEST_SIPI);
    atomic_fetch_or(&cpu->requests, bits);
    if (atomic_load(&thread->asleep)) {
        /* Past the mutex the sleeper sleeps or has seen the bits; it is woken with the mutex free,
         * which it takes first. */
        g_mutex_lock(&thread->mutex);
        g_mutex_unlock(&thread->mutex);
        g_cond_broadcast(&thread->wake);
    }
}

void cpu_clear_request(Cpu *cpu, uint32_t bits)
{
    if (bits & REQUEST_INTERRUPT)
        atomic_fetch_and(&cpu->lines, ~(uint32_t)REQUEST_INTERRUPT);
    atomic_fetch_and(&cpu->requests, ~bits);
}

int cpu_thread_id(const Cpu *cpu)
{
    return cpu->thread->id;
}

void cpu_pause(Cpu *cpu)
{
    cpu_request(cpu, REQUEST_PAUSE);
}

void cpu_wait_paused(Cpu *cpu)
{
    struct CpuThread *thread = cpu->thread;

    if (!thread->started || cpu == current_cpu)
        return;
    g_mutex_lock(&thread->mutex);
    while (!thread->paused)
        g_cond_wait(&thread->reported, &thread->mutex);
    g_mutex_unlock(&thread->mutex);
}

static void resume(Cpu *cpu, bool step, bool hold_interrupts)
{
    struct CpuThread *thread = cpu->thread;

    g_mutex_lock(&thread->mutex);
    debug_resume(cpu, step, hold_interrupts);
    atomic_fetch_and(&cpu->requests, ~(uint32_t)REQUEST_PAUSE);
    thread->paused = false;
    g_cond_broadcast(&thread->wake);
    g_mutex_unlock(&thread->mutex);
}

void cpu_resume(Cpu *cpu)
{
    resume(cpu, false, false);
}

void cpu_resume_step(Cpu *cpu, bool hold_interrupts)
{
    resume(cpu, true, hold_interrupts);
}

void cpu_call_on(Cpu *cpu, void (*func)(Cpu *cpu, void *opaque), void *opaque)
{
    struct CpuThread *thread = cpu->thread;
    Call call = {.func = func, .opaque = opaque}, **end;

    if (cpu == current_cpu || !thread->started) {
        func(cpu, opaque);
        return;
    }
    g_mutex_lock(&thread->mutex);
    for (end = &thread->calls; *end; end = &(*end)->next)
        ;
    *end = &call;
    g_mutex_unlock(&thread->mutex);
    cpu_request(cpu, REQUEST_CALL);
    g_mutex_lock(&thread->mutex);
    while (!call.done)
        g_cond_wait(&thread->reported, &thread->mutex);
    g_mutex_unlock(&thread->mutex);
}

static void run_calls(Cpu *cpu)
{
    struct CpuThread *thread = cpu->thread;

    atomic_fetch_and(&cpu->requests, ~(uint32_t)REQUEST_CALL);
    g_mutex_lock(&thread->mutex);
    while (thread->calls) {
        Call *call = thread->calls;
        thread->calls = call->next;
        g_mutex_unlock(&thread->mutex);
        call->func(cpu, call->opaque);
        g_mutex_lock(&thread->mutex);
        call->done = true;
        g_cond_broadcast(&thread->reported);
    }
    g_mutex_unlock(&thread->mutex);
}

static void stay_paused(Cpu *cpu)
{
    struct CpuThread *thread = cpu->thread;

    for (;;) {
        uint32_t requests = atomic_load(&cpu->requests);
        if (requests & REQUEST_CALL)
            run_calls(cpu);
        if ((requests & REQUEST_QUIT) || !(requests & REQUEST_PAUSE))
            break;
        g_mutex_lock(&thread->mutex);
        atomic_store(&thread->asleep, true);
        while ((requests = atomic_load(&cpu->requests)) & REQUEST_PAUSE) {
            if (requests & (REQUEST_QUIT | REQUEST_CALL))
                break;
            thread->paused = true;
            g_cond_broadcast(&thread->reported);
            g_cond_wait(&thread->wake, &thread->mutex);
        }
        atomic_store(&thread->asleep, false);
        g_mutex_unlock(&thread->mutex);
    }
}

/* --- exceptions and interrupts at instruction boundaries -----------------------------------------
 */

static void deliver(Cpu *cpu, int vector, IntKind kind, bool has_error, uint32_t error)
{
    cpu->count_interrupts += kind == INT_HARDWARE;
    interrupt_deliver(cpu, vector, kind, has_error, error);
}

/* SDM table 6-5: which pairs make a double fault. */
static bool is_contributory(int vector)
{
    return vector == EXC_DE || vector == EXC_TS || vector == EXC_NP || vector == EXC_SS ||
           vector == EXC_GP;
}

static void shut_down(Cpu *cpu)
{
    cpu->delivering = false;
    cpu->event_ext = 0;
    cpu->halt_state = CPU_SHUTDOWN;
    atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
    cpu->board->lock(cpu->board_opaque);
    cpu->board->triple_fault(cpu->board_opaque);
    cpu->board->unlock(cpu->board_opaque);
}

/* Delivers what cpu_raise() left. May raise again, which comes back here through the loop's
 * sigsetjmp. */
static void deliver_raised(Cpu *cpu)
{
    int vector = cpu->raised_vector;
    bool has_error = cpu->raised_has_error;
    uint32_t error = cpu->raised_error;

    cpu->event_ext = 0;
    if (cpu->debug)
        cpu->debug->hit.reason = STOP_NONE; /* nothing was committed */
    if (cpu->delivering) {
        int first = cpu->delivering_vector;

        if (first == EXC_DF && (is_contributory(vector) || vector == EXC_PF || vector == EXC_DF)) {
            shut_down(cpu);
            return;
        }
        if ((is_contributory(first) && is_contributory(vector)) ||
            (first == EXC_PF && (is_contributory(vector) || vector == EXC_PF))) {
            vector = EXC_DF;
            has_error = true;
            error = 0;
        }
    }
    cpu->delivering = true;
    cpu->delivering_vector = vector;
    cpu->debug_hits = 0;
    deliver(cpu, vector, INT_EXCEPTION, has_error, error);
    cpu->delivering = false;
}

static void deliver_debug(Cpu *cpu, uint64_t dr6_bits)
{
    cpu->dr[6] |= dr6_bits;
    cpu->delivering = true;
    cpu->delivering_vector = EXC_DB;
    deliver(cpu, EXC_DB, INT_EXCEPTION, false, 0);
    cpu->delivering = false;
}

/* Something is to be delivered to a vCPU that may be halted. */
static void wake(Cpu *cpu)
{
    cpu->halt_state = CPU_RUNNING;
    jit_take_notes(cpu);
}

static void take_interrupt(Cpu *cpu)
{
    if (!(cpu->rflags & RFLAGS_IF)) {
        /* Masked: hide the request so that nobody stumbles over it; cpu_set_rflags() shows it
         * again. */
        atomic_fetch_and(&cpu->requests, ~(uint32_t)REQUEST_INTERRUPT);
        return;
    }
    if (cpu->interrupt_shadow)
        return;
    cpu->board->lock(cpu->board_opaque);
    int vector = cpu->board->acknowledge(cpu->board_opaque);
    if (vector < 0)
        cpu_clear_request(cpu, REQUEST_INTERRUPT);
    cpu->board->unlock(cpu->board_opaque);
    if (vector < 0)
        return;
    wake(cpu);
    deliver(cpu, vector, INT_HARDWARE, false, 0);
}

static void take_sipi(Cpu *cpu)
{
    atomic_fetch_and(&cpu->requests, ~(uint32_t)REQUEST_SIPI);
    if (cpu->halt_state != CPU_WAIT_FOR_SIPI)
        return;
    uint8_t vector = atomic_load(&cpu->sipi_vector);
    cpu->seg[SEG_CS].selector = (uint16_t)(vector << 8);
    cpu->seg[SEG_CS].base = (uint64_t)vector << 12;
    cpu->rip = cpu->next_rip = 0;
    wake(cpu);
    cpu_update_mode(cpu);
}

static bool is_stepping(const Cpu *cpu)
{
    return cpu->debug && cpu->debug->step == STEP_WANTED;
}

/* What shall not come between a debugger and the instruction that it steps over. */
static uint32_t held_back(const Cpu *cpu)
{
    bool holds = is_stepping(cpu) && cpu->debug->hold_interrupts && cpu->halt_state == CPU_RUNNING;

    return holds ? REQUEST_INTERRUPT | REQUEST_NMI : 0;
}

/* Everything asked for between instructions but pausing and quitting. Returns false when the vCPU
 * has nothing to execute now. */
static bool serve_requests(Cpu *cpu)
{
    uint32_t requests = atomic_load(&cpu->requests) & ~held_back(cpu);

    if (requests & REQUEST_LEAVE)
        atomic_fetch_and(&cpu->requests, ~(uint32_t)REQUEST_LEAVE);
    if (requests & REQUEST_CALL)
        run_calls(cpu);
    if (requests & REQUEST_FLUSH_TLB) {
        atomic_fetch_and(&cpu->requests, ~(uint32_t)REQUEST_FLUSH_TLB);
        mmu_forget_map(cpu);
    }
    if (requests & REQUEST_FLUSH_CODE) {
        atomic_fetch_and(&cpu->requests, ~(uint32_t)REQUEST_FLUSH_CODE);
        jit_take_notes(cpu);
    }
    if (requests & REQUEST_INIT) {
        atomic_fetch_and(&cpu->requests, ~(uint32_t)REQUEST_INIT);
        cpu->board->lock(cpu->board_opaque);
        cpu->board->init_received(cpu->board_opaque);
        cpu->board->unlock(cpu->board_opaque);
        cpu_init_signal(cpu);
    }
    if (requests & REQUEST_SIPI)
        take_sipi(cpu);
    if (cpu->halt_state == CPU_WAIT_FOR_SIPI)
        return false;
    if (cpu->debug_hits && !(cpu->interrupt_shadow & SHADOW_MOV_SS)) {
        /* The T bit of a task that was entered by an interrupt. */
        uint32_t hits = cpu->debug_hits;
        cpu->debug_hits = 0;
        deliver_debug(cpu, hits);
    }
    if ((requests & REQUEST_NMI) && !cpu->nmi_blocked && !cpu->interrupt_shadow) {
        atomic_fetch_and(&cpu->requests, ~(uint32_t)REQUEST_NMI);
        wake(cpu);
        cpu->nmi_blocked = true;
        deliver(cpu, EXC_NMI, INT_HARDWARE, false, 0);
    } else if ((requests & REQUEST_INTERRUPT) && cpu->halt_state != CPU_SHUTDOWN) {
        take_interrupt(cpu);
    }
    return cpu->halt_state == CPU_RUNNING;
}

/* --- running -------------------------------------------------------------------------------------
 */

/* Instruction breakpoints: DR7.RWn is 0 and LENn 0 (SDM 17.2.4). */
static uint32_t code_breakpoints(const Cpu *cpu)
{
    uint64_t linear = cpu_linear_rip(cpu);
    uint32_t hits = 0;

    for (unsigned n = 0; n < 4; n++) {
        if ((cpu->dr[7] >> (n * 2) & 3) && !(cpu->dr[7] >> (16 + n * 4) & 3) &&
            cpu->dr[n] == linear)
            hits |= 1u << n;
    }
    return hits;
}

/* One instruction with everything that may surround it: shadows, breakpoints, single step. */
static void step_one(Cpu *cpu)
{
    uint32_t shadow = cpu->interrupt_shadow;
    bool tf = cpu->rflags & RFLAGS_TF, rf = cpu->rflags & RFLAGS_RF;
    uint32_t carried = shadow & SHADOW_MOV_SS ? cpu->debug_hits : 0;

    cpu->interrupt_shadow = 0;
    cpu->debug_hits = carried;
    cpu->step_suppressed = false;
    if ((cpu->mode & MODE_DEBUG) && !rf && !(shadow & SHADOW_MOV_SS)) {
        uint32_t hits = code_breakpoints(cpu);
        if (hits) {
            deliver_debug(cpu, hits);
            return;
        }
    }
    cpu->rflags &= ~(uint64_t)RFLAGS_RF;
    cpu->instructions++;
    interp_one(cpu);
    /* MOV SS holds traps back until after the next instruction (SDM 6.8.3). */
    if (cpu->interrupt_shadow & SHADOW_MOV_SS)
        return;
    uint64_t dr6 = cpu->debug_hits;
    if (tf && !cpu->step_suppressed)
        dr6 |= 1 << 14; /* BS */
    cpu->debug_hits = 0;
    if (dr6) {
        wake(cpu);
        deliver_debug(cpu, dr6);
    }
}

static bool needs_care(const Cpu *cpu)
{
    return (cpu->mode & (MODE_TF | MODE_DEBUG)) || cpu->interrupt_shadow;
}

/* The debugger's part before an instruction: true when there is nothing more to do. */
static bool run_for_debugger(Cpu *cpu)
{
    if (is_stepping(cpu)) {
        /* Also if it ends in a fault, which then has been delivered. */
        cpu->debug->step = STEP_DONE;
        atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
        step_one(cpu);
        return true;
    }
    if (!debug_at_breakpoint(cpu))
        return false;
    atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
    return true;
}

static bool must_stop(Cpu *cpu)
{
    return atomic_load_explicit(&cpu->requests, memory_order_relaxed) ||
           ((cpu->mode & MODE_DEBUGGED) && debug_at_breakpoint(cpu));
}

static void run_instructions(Cpu *cpu)
{
    if ((cpu->mode & MODE_DEBUGGED) && run_for_debugger(cpu))
        return;
    if (needs_care(cpu)) {
        step_one(cpu);
        /* Stay careful: the mode that asked for it does not raise a request again. */
        if (needs_care(cpu))
            atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
        return;
    }
    cpu->rflags &= ~(uint64_t)RFLAGS_RF; /* no breakpoint to hold back */
    if (cpu->accel == CPU_ACCEL_JIT && cpu->jit_shared) {
        if (cpu->lockstep)
            lockstep_run(cpu);
        else
            jit_run(cpu);
        return;
    }
    do {
        cpu->instructions++;
        interp_one(cpu);
    } while (!must_stop(cpu));
}

static void stop_for_debugger(Cpu *cpu)
{
    debug_note_stop(cpu);
    atomic_fetch_or(&cpu->requests, REQUEST_PAUSE);
    cpu->board->lock(cpu->board_opaque);
    cpu->board->debug_stopped(cpu->board_opaque);
    cpu->board->unlock(cpu->board_opaque);
}

/* Whatever a halted vCPU may wake for. */
static uint32_t wake_bits(const Cpu *cpu)
{
    uint32_t bits = REQUEST_PAUSE | REQUEST_QUIT | REQUEST_CALL | REQUEST_FLUSH_TLB | REQUEST_INIT |
                    REQUEST_FLUSH_CODE;

    if (cpu->halt_state == CPU_WAIT_FOR_SIPI)
        return bits | REQUEST_SIPI;
    if (!cpu->nmi_blocked)
        bits |= REQUEST_NMI;
    if (cpu->halt_state == CPU_HALTED && (cpu->rflags & RFLAGS_IF))
        bits |= REQUEST_INTERRUPT;
    return bits;
}

/* Runs until asked to quit. The frame of the sigsetjmp: raised exceptions land here. */
static void run(Cpu *cpu)
{
    if (sigsetjmp(cpu->escape, 0)) {
        cpu_bus_unlock(cpu);
        deliver_raised(cpu);
    }
    for (;;) {
        uint32_t requests = atomic_load_explicit(&cpu->requests, memory_order_relaxed);

        if (requests) {
            if (requests & REQUEST_QUIT)
                return;
            if (requests & REQUEST_PAUSE) {
                cpu_bus_leave(cpu);
                stay_paused(cpu);
                cpu_bus_enter(cpu);
                continue;
            }
            if (requests & REQUEST_BUS)
                cpu_bus_give_way(cpu);
            if (cpu->debug && debug_stop_due(cpu)) {
                stop_for_debugger(cpu);
                continue;
            }
            bool halted = cpu->halt_state == CPU_HALTED;
            if (!serve_requests(cpu)) {
                /* HLT ends the shadow of an STI before it. */
                cpu->interrupt_shadow = 0;
                cpu_sleep(cpu, wake_bits(cpu));
                continue;
            }
            if (halted && is_stepping(cpu)) {
                /* HLT was the instruction; the handler of what ended it comes next. */
                cpu->debug->step = STEP_DONE;
                atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
                continue;
            }
        }
        if (cpu->halt_state != CPU_RUNNING) {
            atomic_fetch_or(&cpu->requests, REQUEST_LEAVE);
            continue;
        }
        run_instructions(cpu);
    }
}

static void *thread_main(void *opaque)
{
    Cpu *cpu = opaque;
    char name[16];
    sigset_t signals;

    current_cpu = cpu;
    cpu->thread->id = gettid();
    g_snprintf(name, sizeof name, "vcpu%u", cpu->index);
    pthread_setname_np(pthread_self(), name);
    cpu_sleep_prepare(cpu);
    /* Only what the thread's own instructions cause. */
    sigfillset(&signals);
    sigdelset(&signals, SIGSEGV);
    sigdelset(&signals, SIGBUS);
    sigdelset(&signals, SIGFPE);
    sigdelset(&signals, SIGILL);
    sigdelset(&signals, SIGTRAP);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
    cpu_bus_enter(cpu);
    run(cpu);
    cpu_bus_leave(cpu);

    /* Nobody may be left waiting for a vCPU that is gone. */
    run_calls(cpu);
    g_mutex_lock(&cpu->thread->mutex);
    cpu->thread->paused = true;
    g_cond_broadcast(&cpu->thread->reported);
    g_mutex_unlock(&cpu->thread->mutex);
    return NULL;
}

void cpu_start(Cpu *cpu)
{
    struct CpuThread *thread = cpu->thread;
    pthread_attr_t attributes;

    atomic_fetch_or(&cpu->requests, REQUEST_PAUSE);
    thread->started = true;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, thread->c_stack, C_STACK);
    int failed = pthread_create(&thread->thread, &attributes, thread_main, cpu);
    pthread_attr_destroy(&attributes);
    if (failed) {
        thread->started = false;
        g_critical("Cannot start a thread for virtual processor %u: %s", cpu->index,
                   g_strerror(failed));
    }
}

void cpu_step(Cpu *cpu, uint64_t count)
{
    volatile uint64_t left = count;
    Cpu *outer = current_cpu;

    current_cpu = cpu;
    if (sigsetjmp(cpu->escape, 0))
        deliver_raised(cpu);
    while (left) {
        if (atomic_load_explicit(&cpu->requests, memory_order_relaxed) && !serve_requests(cpu))
            break;
        if (cpu->halt_state != CPU_RUNNING)
            break;
        left--;
        step_one(cpu);
    }
    current_cpu = outer;
}

bool cpu_catch(Cpu *cpu, void (*func)(Cpu *cpu, void *opaque), void *opaque)
{
    sigjmp_buf outer;
    volatile bool raised = false;

    memcpy(&outer, &cpu->escape, sizeof outer);
    if (sigsetjmp(cpu->escape, 0))
        raised = true;
    else
        func(cpu, opaque);
    memcpy(&cpu->escape, &outer, sizeof outer);
    return raised;
}

bool cpu_try(Cpu *cpu, void (*func)(Cpu *cpu, void *opaque), void *opaque)
{
    uint64_t cr2 = cpu->cr2;
    bool raised = cpu_catch(cpu, func, opaque);

    if (raised)
        cpu->cr2 = cr2;
    return !raised;
}
