/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/core/cpu/jit-pair.h"

#include "core/cpu/cpuid.h"
#include "core/cpu/interp.h"
#include "core/cpu/mmu.h"

#include <string.h>

#define RAM_SIZE    (16u << 20)
#define PAGE_TABLES 0xe00000u

const JitOptions unlinked = {.max_insns = 32, .cache_bytes = 8u << 20, .no_links = true};

/* --- machines --------------------------------------------------------------------------------- */

static void code_written(void *opaque, RamBlock *block, uint64_t offset, uint64_t length)
{
    jit_code_written(opaque, block, offset, length);
}

static void machine_init(Machine *machine, const CpuidModel *model, const JitOptions *options)
{
    g_autoptr(GError) error = NULL;

    machine->map = memory_map_new();
    machine->ram = ram_block_new(machine->map, "ram", RAM_SIZE, &error);
    g_assert_no_error(error);
    memory_region_place(memory_region_new_ram(machine->map, "ram", machine->ram, 0, RAM_SIZE), 0,
                        0);
    machine->jit = options ? jit_new_with_options(options, &error) : NULL;
    CpuConfig config = {
        .accel = options ? CPU_ACCEL_JIT : CPU_ACCEL_INTERP,
        .memory = machine->map,
        .model = model,
        .jit = machine->jit,
    };
    machine->cpu = cpu_new(&config, &error);
    g_assert_no_error(error);
    if (options)
        memory_map_set_listeners(machine->map, NULL, code_written, machine->jit);
}

static void machine_clear(Machine *machine)
{
    cpu_free(machine->cpu);
    jit_free(machine->jit);
    memory_map_free(machine->map);
}

enum { PD = 0x2000 / 8, DATA_PT = 0x3000 / 8, MAPPED_PT = 0x4000 / 8 };

static uint64_t *page_tables(Machine *machine)
{
    return (uint64_t *)(machine->ram->host + PAGE_TABLES);
}

/* Identity over the first 6 MiB, but that the pages of the data change places among themselves, so
 * that neighbours in linear addresses are none in RAM. Nothing above: the tables are out of reach.
 */
static void make_page_tables(Machine *machine)
{
    uint64_t *tables = page_tables(machine);
    const unsigned n = DATA_SIZE / GUEST_PAGE_SIZE;

    tables[0] = (PAGE_TABLES + 0x1000) | 7;
    tables[0x1000 / 8] = (PAGE_TABLES + 0x2000) | 7;
    tables[PD] = 0x80 | 7;
    tables[PD + 1] = (PAGE_TABLES + DATA_PT * 8) | 7;
    tables[PD + 2] = (PAGE_TABLES + MAPPED_PT * 8) | 7;
    for (unsigned i = 0; i < 512; i++) {
        unsigned data = i < n ? (i * 5 + 3) % n : i;
        tables[DATA_PT + i] = (DATA + data * GUEST_PAGE_SIZE) | 7;
        tables[MAPPED_PT + i] = (MAPPED + i * GUEST_PAGE_SIZE) | 7;
    }
}

static void set_segments(Cpu *cpu, uint16_t code, uint16_t data, uint64_t code_base,
                         uint64_t data_base, uint32_t limit)
{
    for (unsigned i = 0; i <= SEG_GS; i++)
        cpu->seg[i] = (CpuSegment){data_base, limit, (uint16_t)(data_base >> 4), data};
    cpu->seg[SEG_CS] = (CpuSegment){code_base, limit, (uint16_t)(code_base >> 4), code};
}

static void machine_set_mode(Machine *machine, TestMode mode)
{
    Cpu *cpu = machine->cpu;

    cpu_reset(cpu);
    cpu->requests = 0;
    cpu->halt_state = CPU_RUNNING;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    cpu->xcr0 = 7;
    cpu->cpl = 0;
    cpu->rflags = RFLAGS_1;
    switch (mode) {
    case LONG_MODE:
        make_page_tables(machine);
        cpu->cr0 = CR0_PE | CR0_PG | CR0_MP | CR0_NE | CR0_ET;
        cpu->cr3 = PAGE_TABLES;
        cpu->cr4 |= CR4_PAE;
        cpu->efer = EFER_LME | EFER_LMA;
        set_segments(cpu, 0xa09b, 0xc093, 0, 0, UINT32_MAX);
        break;
    case FLAT_32:
        cpu->cr0 = CR0_PE | CR0_MP | CR0_NE | CR0_ET;
        set_segments(cpu, 0xc09b, 0xc093, 0, 0, UINT32_MAX);
        break;
    default:
        cpu->cr0 = CR0_MP | CR0_NE | CR0_ET;
        set_segments(cpu, 0x9b, 0x93, REAL_CODE, REAL_DATA, 0xffff);
        break;
    }
    mmu_flush_all(cpu);
    cpu_update_mode(cpu);
}

void pair_init(Pair *pair, TestMode mode, const JitOptions *options)
{
    pair_init_of_model(pair, NULL, mode, options);
}

void pair_init_of_model(Pair *pair, const char *model, TestMode mode, const JitOptions *options)
{
    g_autoptr(GError) error = NULL;

    pair->model = cpuid_model_new(model, 1, &error);
    g_assert_no_error(error);
    machine_init(&pair->interp, pair->model, NULL);
    machine_init(&pair->jit, pair->model, options);
    pair->mode = mode;
    pair->code = mode == REAL_16 ? REAL_CODE : CODE;
    pair->data = mode == REAL_16 ? REAL_DATA : DATA;
    machine_set_mode(&pair->interp, mode);
    machine_set_mode(&pair->jit, mode);
}

void pair_clear(Pair *pair)
{
    machine_clear(&pair->interp);
    machine_clear(&pair->jit);
    cpuid_model_free(pair->model);
}

void pair_write(Pair *pair, uint32_t address, const void *bytes, size_t length)
{
    memory_write(pair->interp.map, address, bytes, length);
    memory_write(pair->jit.map, address, bytes, length);
}

void pair_map(Pair *pair, uint32_t linear, uint32_t ram)
{
    Machine *machines[] = {&pair->interp, &pair->jit};

    for (unsigned i = 0; i < 2; i++) {
        page_tables(machines[i])[MAPPED_PT + (linear - MAPPED) / GUEST_PAGE_SIZE] = ram | 7;
        mmu_flush_page(machines[i]->cpu, linear);
    }
}

/* --- running ---------------------------------------------------------------------------------- */

Outcome run(Machine *machine, volatile unsigned limit)
{
    Cpu *cpu = machine->cpu;
    volatile Outcome outcome = {0};

    cpu->halt_state = CPU_RUNNING;
    cpu->requests = 0;
    cpu->interrupt_shadow = 0;
    if (sigsetjmp(cpu->escape, 0)) {
        outcome.raised = true;
        outcome.vector = cpu->raised_vector;
        outcome.error = cpu->raised_has_error ? cpu->raised_error : 0;
    } else if (machine->jit) {
        while (cpu->halt_state == CPU_RUNNING && !(cpu->requests & REQUEST_PAUSE)) {
            cpu->requests = 0;
            cpu->interrupt_shadow = 0;
            jit_run(cpu);
        }
    } else {
        while (cpu->halt_state == CPU_RUNNING && limit--) {
            cpu->interrupt_shadow = 0;
            interp_one(cpu);
        }
        outcome.lost = cpu->halt_state != CPU_HALTED;
    }
    cpu_spill_vectors(cpu);
    return outcome;
}

static void describe(GString *text, const char *name, uint64_t interp, uint64_t jit)
{
    if (interp != jit)
        g_string_append_printf(text,
                               "  %s: interpreter %016" G_GINT64_MODIFIER
                               "x, translated %016" G_GINT64_MODIFIER "x\n",
                               name, interp, jit);
}

char *difference(Pair *pair, const Outcome *interp, const Outcome *jit, uint64_t flags)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    GString *text = g_string_new(NULL);
    const Cpu *a = pair->interp.cpu, *b = pair->jit.cpu;

    describe(text, "vector", interp->raised ? interp->vector : -1, jit->raised ? jit->vector : -1);
    describe(text, "error", interp->error, jit->error);
    describe(text, "cr2", a->cr2, b->cr2);
    describe(text, "rip", a->rip, b->rip);
    for (unsigned i = 0; i < N_GPR; i++)
        describe(text, names[i], a->gpr[i], b->gpr[i]);
    describe(text, "rflags", a->rflags & flags, b->rflags & flags);
    describe(text, "mode", a->mode, b->mode);
    describe(text, "cpl", a->cpl, b->cpl);
    describe(text, "kernel GS base", a->kernel_gs_base, b->kernel_gs_base);
    for (unsigned i = 0; i <= SEG_GS; i++) {
        describe(text, "selector", a->seg[i].selector, b->seg[i].selector);
        describe(text, "segment's base", a->seg[i].base, b->seg[i].base);
    }
    const uint8_t *ma = pair->interp.ram->host + pair->data;
    const uint8_t *mb = pair->jit.ram->host + pair->data;
    if (memcmp(ma, mb, DATA_SIZE))
        for (unsigned i = 0, shown = 0; i < DATA_SIZE && shown < 16; i++)
            if (ma[i] != mb[i]) {
                g_string_append_printf(text, "  data+%04x: %02x, %02x\n", i, ma[i], mb[i]);
                shown++;
            }
    for (unsigned i = 0, shown = 0; i < sizeof a->vectors && shown < 16; i++) {
        const uint8_t *va = (const uint8_t *)&a->vectors, *vb = (const uint8_t *)&b->vectors;
        /* Not the last instruction's and its data's address, nor MXCSR_MASK and what is reserved.
         */
        if ((i >= 6 && i < 24) || (i >= 28 && i < 32) || (i >= 416 && i < 576) || va[i] == vb[i])
            continue;
        g_string_append_printf(text, "  vectors+%u: %02x, %02x\n", i, va[i], vb[i]);
        shown++;
    }
    return g_string_free(text, text->len == 0);
}

void pair_check_from(Pair *pair, uint32_t rip, unsigned limit)
{
    Machine *machines[] = {&pair->interp, &pair->jit};

    for (unsigned i = 0; i < 2; i++) {
        machines[i]->cpu->rip = rip;
        machines[i]->cpu->gpr[RSP] = STACK;
    }
    Outcome a = run(&pair->interp, limit), b = run(&pair->jit, 0);
    g_autofree char *text = difference(pair, &a, &b, UINT64_MAX);
    if (text)
        g_error("from %x:\n%s", rip, text);
    g_assert_false(a.raised);
    g_assert_false(b.raised);
}

void pair_check_fault(const uint8_t *code, size_t length, int vector, size_t at)
{
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, CODE, code, length);
    pair.interp.cpu->rip = pair.jit.cpu->rip = CODE;
    pair.interp.cpu->gpr[RSP] = pair.jit.cpu->gpr[RSP] = STACK;
    Outcome a = run(&pair.interp, 100000), b = run(&pair.jit, 0);
    g_autofree char *text = difference(&pair, &a, &b, UINT64_MAX);
    g_assert_cmpstr(text, ==, NULL);
    g_assert_true(b.raised);
    g_assert_cmpint(b.vector, ==, vector);
    g_assert_cmphex(pair.jit.cpu->rip, ==, CODE + at);
    pair_clear(&pair);
}
