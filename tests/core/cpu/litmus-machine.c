/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/core/cpu/litmus-machine.h"

#include "core/cpu/cpuid.h"
#include "core/cpu/mmu.h"

#include <sched.h>
#include <string.h>

#define RAM_SIZE    (64u << 20)
#define PAGE_TABLES 0xe00000u
#define STACKS      0xf00000u
#define ARRIVED     0xff0000u /* the start barrier's count */
#define PATIENCE    120       /* seconds for a run on a busy computer */

LITMUS_PROGRAM(wait_for_all, "lock inc dword ptr [rax]\n"
                             "1: pause\n"
                             "cmp [rax], edx\n"
                             "jb 1b\n");

/* --- a board that only has a lock ------------------------------------------------------------- */

static void board_lock(void *opaque)
{
    g_mutex_lock(opaque);
}

static void board_unlock(void *opaque)
{
    g_mutex_unlock(opaque);
}

static void board_shutdown(void *opaque)
{
}

static const CpuBoardOps board = {
    .lock = board_lock,
    .unlock = board_unlock,
    .triple_fault = board_shutdown,
};

static void code_written(void *opaque, RamBlock *block, uint64_t offset, uint64_t length)
{
    jit_code_written(opaque, block, offset, length);
}

/* --- making ----------------------------------------------------------------------------------- */

/* On a host processor of its own if there are as many: on one they never meet. */
static void spread(Cpu *cpu)
{
    cpu_set_t allowed, own;
    int wanted, at = -1;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    wanted = (int)cpu->index % CPU_COUNT(&allowed);
    do
        at++;
    while (!CPU_ISSET(at, &allowed) || wanted-- > 0);
    CPU_ZERO(&own);
    CPU_SET(at, &own);
    cpu_wait_paused(cpu);
    sched_setaffinity(cpu_thread_id(cpu), sizeof own, &own);
}

void litmus_init(Litmus *litmus, const JitOptions *options)
{
    g_autoptr(GError) error = NULL;

    memset(litmus, 0, sizeof *litmus);
    g_mutex_init(&litmus->lock);
    litmus->bus = cpu_bus_new();
    litmus->map = memory_map_new();
    litmus->ram = ram_block_new(litmus->map, "ram", RAM_SIZE, &error);
    g_assert_no_error(error);
    memory_region_place(memory_region_new_ram(litmus->map, "ram", litmus->ram, 0, RAM_SIZE), 0, 0);
    litmus->model = cpuid_model_new(NULL, LITMUS_MAX_CPUS, &error);
    g_assert_no_error(error);
    if (options) {
        litmus->jit = jit_new_with_options(options, &error);
        g_assert_no_error(error);
        memory_map_set_listeners(litmus->map, NULL, code_written, litmus->jit);
    }
    for (unsigned i = 0; i < LITMUS_MAX_CPUS; i++) {
        CpuConfig config = {
            .index = i,
            .apic_id = i,
            .accel = options ? CPU_ACCEL_JIT : CPU_ACCEL_INTERP,
            .memory = litmus->map,
            .model = litmus->model,
            .board = &board,
            .board_opaque = &litmus->lock,
            .jit = litmus->jit,
            .bus = litmus->bus,
        };
        litmus->cpus[i] = cpu_new(&config, &error);
        g_assert_no_error(error);
        cpu_start(litmus->cpus[i]);
        spread(litmus->cpus[i]);
    }
}

void litmus_clear(Litmus *litmus)
{
    for (unsigned i = 0; i < LITMUS_MAX_CPUS; i++)
        cpu_free(litmus->cpus[i]);
    jit_free(litmus->jit);
    cpu_bus_free(litmus->bus);
    memory_map_free(litmus->map);
    cpuid_model_free(litmus->model);
    g_mutex_clear(&litmus->lock);
}

/* --- a run ------------------------------------------------------------------------------------ */

static void make_page_tables(Litmus *litmus)
{
    uint64_t *tables = litmus_ram(litmus, PAGE_TABLES);

    tables[0] = (PAGE_TABLES + 0x1000) | 7;
    tables[0x1000 / 8] = (PAGE_TABLES + 0x2000) | 7;
    for (unsigned i = 0; i < RAM_SIZE >> 21; i++)
        tables[0x2000 / 8 + i] = ((uint64_t)i << 21) | 0x80 | 7;
    tables[0x2000 / 8 + (LITMUS_PAGED >> 21)] = LITMUS_PTE | 7;
    for (unsigned i = 0; i < 256; i++)
        litmus_ram(litmus, LITMUS_PTE)[i] = (LITMUS_PAGED_TO + i * GUEST_PAGE_SIZE) | 7;
    litmus_ram(litmus, LITMUS_PTE)[LITMUS_STRAY] = LITMUS_STRAY_TO | 7;
}

static void set_up_cpu(Litmus *litmus, unsigned i, const LitmusTask *task, unsigned n_tasks,
                       uint64_t rounds)
{
    size_t wait = wait_for_all_end - wait_for_all;
    uint64_t at = LITMUS_CODE + i * LITMUS_CODE_SIZE;
    Cpu *cpu = litmus->cpus[i];

    g_assert_cmpuint(wait + (task->end - task->code), <, LITMUS_CODE_SIZE);
    memory_write(litmus->map, at, wait_for_all, wait);
    memory_write(litmus->map, at + wait, task->code, task->end - task->code);

    cpu->halt_state = CPU_RUNNING;
    cpu->cr0 = CR0_PE | CR0_PG | CR0_MP | CR0_NE | CR0_ET | CR0_WP;
    cpu->cr3 = PAGE_TABLES;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->rflags = RFLAGS_1;
    cpu->cpl = 0;
    for (unsigned k = 0; k <= SEG_GS; k++)
        cpu->seg[k] = (CpuSegment){0, UINT32_MAX, 0, 0xc093};
    cpu->seg[SEG_CS].attributes = 0xa09b;
    memset(cpu->gpr, 0, sizeof cpu->gpr);
    cpu->gpr[RAX] = ARRIVED;
    cpu->gpr[RDX] = n_tasks;
    cpu->gpr[RBX] = LITMUS_SHARED;
    cpu->gpr[RBP] = LITMUS_LOG + i * LITMUS_LOG_SIZE;
    cpu->gpr[RSP] = STACKS + (i + 1) * 0x1000;
    cpu->gpr[RSI] = rounds;
    cpu->gpr[RDI] = i;
    memcpy(&cpu->gpr[R12], task->arguments, sizeof task->arguments);
    cpu->rip = at;
    mmu_flush_all(cpu);
    cpu_update_mode(cpu);
}

/* Where all of them are; those that run on are looked at as they are. */
static void fail(Litmus *litmus, unsigned i)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_append_printf(text,
                           "vCPU %u has not come to its HLT; %" G_GUINT64_FORMAT " have begun.\n",
                           i, *litmus_ram(litmus, ARRIVED));
    for (unsigned k = 0; k < LITMUS_MAX_CPUS; k++) {
        const Cpu *cpu = litmus->cpus[k];
        g_string_append_printf(text,
                               "%u: RIP=%" G_GINT64_MODIFIER "x RCX=%" G_GINT64_MODIFIER
                               "x requests=%x halt_state=%d\n",
                               k, cpu->rip, cpu->gpr[RCX], atomic_load(&cpu->requests),
                               cpu->halt_state);
    }
    cpu_describe(litmus->cpus[i], text);
    g_error("%s", text->str);
}

static void wait_halted(Litmus *litmus, unsigned i)
{
    gint64 end = g_get_monotonic_time() + PATIENCE * G_USEC_PER_SEC;
    Cpu *cpu = litmus->cpus[i];

    while (!cpu_is_halted(cpu) && g_get_monotonic_time() < end)
        g_usleep(200);
    cpu_pause(cpu);
    cpu_wait_paused(cpu);
    if (cpu->halt_state != CPU_HALTED)
        fail(litmus, i);
}

void litmus_run(Litmus *litmus, const LitmusTask *tasks, unsigned n_tasks, uint64_t rounds)
{
    g_assert_cmpuint(n_tasks, <=, LITMUS_MAX_CPUS);
    for (unsigned i = 0; i < LITMUS_MAX_CPUS; i++) {
        cpu_pause(litmus->cpus[i]);
        cpu_wait_paused(litmus->cpus[i]);
        litmus->cpus[i]->gpr[R15] = 0;
    }
    make_page_tables(litmus);
    *litmus_ram(litmus, ARRIVED) = 0;
    for (unsigned i = 0; i < n_tasks; i++)
        set_up_cpu(litmus, i, &tasks[i], n_tasks, rounds);
    for (unsigned i = 0; i < n_tasks; i++)
        cpu_resume(litmus->cpus[i]);
    for (unsigned i = 0; i < n_tasks; i++)
        wait_halted(litmus, i);
}

uint64_t litmus_errors(const Litmus *litmus)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < LITMUS_MAX_CPUS; i++)
        sum += litmus->cpus[i]->gpr[R15];
    return sum;
}
