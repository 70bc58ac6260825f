/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/cpu/lockstep.h"

#include "core/cpu/decode.h"
#include "core/cpu/interp.h"
#include "core/cpu/jit/jit.h"
#include "core/cpu/mmu.h"

#include <inttypes.h>
#include <string.h>

enum {
    STEP_BLOCKS = 48,
    STEP_INSNS = STEP_BLOCKS * 64, /* as many as blocks may hold */
    SINGLE_STEPS = 64,             /* block by block, after a difference */
    MAX_REPORTS = 20,
};

/* A page as it was before the step and after the translated blocks. */
typedef struct {
    uint8_t *host;
    bool by_translated; /* `after` holds something */
    uint8_t before[GUEST_PAGE_SIZE], after[GUEST_PAGE_SIZE];
} KeptPage;

/* What instructions change: three runs of members of Cpu. */
#define FIRST_PART  offsetof(Cpu, gpr), offsetof(Cpu, requests)
#define SECOND_PART offsetof(Cpu, mode), offsetof(Cpu, jit)
#define THIRD_PART  offsetof(Cpu, seg), offsetof(Cpu, escape)

typedef struct {
    bool raised;
    Cpu cpu; /* only those members */
} State;

struct Lockstep {
    GPtrArray *pages; /* KeptPage, of this step */
    GPtrArray *spare;
    bool keeping;
    uint64_t accesses;  /* to devices, by the counts of the vCPU */
    uint64_t undefined; /* flags that the instructions of this step leave so */
    Insn insn;          /* the next one */
    State before, translated, interpreted;
    unsigned blocks;  /* still to be executed in this step */
    unsigned singles; /* steps still to be of one block */
    uint64_t compared, not_compared, differences;
};

Lockstep *lockstep_new(void)
{
    Lockstep *lockstep = g_aligned_alloc0(1, sizeof *lockstep, _Alignof(Lockstep));

    lockstep->pages = g_ptr_array_new_with_free_func(g_free);
    lockstep->spare = g_ptr_array_new_with_free_func(g_free);
    return lockstep;
}

void lockstep_free(Lockstep *lockstep)
{
    if (!lockstep)
        return;
    g_printerr("lockstep: %" G_GUINT64_FORMAT " steps compared, %" G_GUINT64_FORMAT
               " that cannot be done twice, %" G_GUINT64_FORMAT " differences\n",
               lockstep->compared, lockstep->not_compared, lockstep->differences);
    g_ptr_array_unref(lockstep->pages);
    g_ptr_array_unref(lockstep->spare);
    g_aligned_free(lockstep);
}

/* --- memory ----------------------------------------------------------------------------------- */

void lockstep_keep_page(Cpu *cpu, void *host)
{
    Lockstep *lockstep = cpu->lockstep;
    uint8_t *page = (uint8_t *)((uintptr_t)host & GUEST_PAGE_MASK);

    if (!lockstep->keeping)
        return;
    for (guint i = lockstep->pages->len; i-- > 0;)
        if (((KeptPage *)g_ptr_array_index(lockstep->pages, i))->host == page)
            return;
    KeptPage *kept = lockstep->spare->len
                         ? g_ptr_array_steal_index_fast(lockstep->spare, lockstep->spare->len - 1)
                         : g_new(KeptPage, 1);
    kept->host = page;
    kept->by_translated = false;
    memcpy(kept->before, page, GUEST_PAGE_SIZE);
    g_ptr_array_add(lockstep->pages, kept);
}

static void forget_pages(Lockstep *lockstep)
{
    while (lockstep->pages->len)
        g_ptr_array_add(lockstep->spare,
                        g_ptr_array_steal_index_fast(lockstep->pages, lockstep->pages->len - 1));
}

static void restore_pages(Lockstep *lockstep)
{
    for (guint i = 0; i < lockstep->pages->len; i++) {
        KeptPage *kept = g_ptr_array_index(lockstep->pages, i);
        memcpy(kept->host, kept->before, GUEST_PAGE_SIZE);
    }
}

/* Memory as it was before the step; what the translated blocks left is kept. */
static void take_back(Lockstep *lockstep)
{
    for (guint i = 0; i < lockstep->pages->len; i++) {
        KeptPage *kept = g_ptr_array_index(lockstep->pages, i);
        kept->by_translated = true;
        memcpy(kept->after, kept->host, GUEST_PAGE_SIZE);
    }
    restore_pages(lockstep);
}

static const uint8_t *translated_page(const KeptPage *kept)
{
    return kept->by_translated ? kept->after : kept->before;
}

static bool memory_differs(const Lockstep *lockstep)
{
    for (guint i = 0; i < lockstep->pages->len; i++) {
        const KeptPage *kept = g_ptr_array_index(lockstep->pages, i);
        if (memcmp(kept->host, translated_page(kept), GUEST_PAGE_SIZE) != 0)
            return true;
    }
    return false;
}

/* --- the processor ---------------------------------------------------------------------------- */

static void copy_part(Cpu *to, const Cpu *from, size_t begin, size_t end)
{
    memcpy((uint8_t *)to + begin, (const uint8_t *)from + begin, end - begin);
}

static void copy_state(Cpu *to, const Cpu *from)
{
    copy_part(to, from, FIRST_PART);
    copy_part(to, from, SECOND_PART);
    copy_part(to, from, THIRD_PART);
}

static void take_state(Cpu *cpu, State *state, bool raised)
{
    cpu_spill_vectors(cpu);
    state->raised = raised;
    copy_state(&state->cpu, cpu);
}

static void put_state(Cpu *cpu, const State *state)
{
    copy_state(cpu, &state->cpu);
    mmu_flush_all(cpu); /* accessed and dirty bits may be clear again */
}

/* The bytes of the FXSAVE area that instructions define: not the last x87 instruction's addresses,
 * which `x87_fip` and its neighbours hold, nor what is reserved. */
static bool is_defined_vector_byte(size_t i)
{
    return !(i >= 6 && i < 24) && !(i >= 28 && i < 32) && !(i >= 416 && i < 576);
}

static bool vectors_differ(const Cpu *a, const Cpu *b)
{
    const uint8_t *va = (const uint8_t *)&a->vectors, *vb = (const uint8_t *)&b->vectors;

    if (!memcmp(va, vb, sizeof a->vectors))
        return false;
    for (size_t i = 0; i < sizeof a->vectors; i++)
        if (va[i] != vb[i] && is_defined_vector_byte(i))
            return true;
    return false;
}

static bool segments_differ(const Cpu *a, const Cpu *b)
{
    for (unsigned i = 0; i < N_SEG; i++)
        if (a->seg[i].base != b->seg[i].base || a->seg[i].limit != b->seg[i].limit ||
            a->seg[i].selector != b->seg[i].selector ||
            a->seg[i].attributes != b->seg[i].attributes)
            return true;
    return false;
}

/* But for the flags in UNDEFINED. */
static bool state_differs(const State *a, const State *b, uint64_t undefined)
{
    const Cpu *ca = &a->cpu, *cb = &b->cpu;

    if (a->raised != b->raised ||
        (a->raised && (ca->raised_vector != cb->raised_vector ||
                       (ca->raised_has_error && ca->raised_error != cb->raised_error))))
        return true;
    return memcmp(ca->gpr, cb->gpr, sizeof ca->gpr) || ca->rip != cb->rip ||
           ((ca->rflags ^ cb->rflags) & ~undefined) || ca->cr0 != cb->cr0 || ca->cr2 != cb->cr2 ||
           ca->cr3 != cb->cr3 || ca->cr4 != cb->cr4 || ca->cpl != cb->cpl || ca->mode != cb->mode ||
           ca->halt_state != cb->halt_state || ca->interrupt_shadow != cb->interrupt_shadow ||
           segments_differ(ca, cb) || vectors_differ(ca, cb);
}

/* --- reports ---------------------------------------------------------------------------------- */

static void describe(GString *text, const char *name, uint64_t translated, uint64_t interpreted)
{
    if (translated != interpreted)
        g_string_append_printf(text,
                               "  %s: translated %016" PRIx64 ", interpreted %016" PRIx64 "\n",
                               name, translated, interpreted);
}

static void describe_memory(GString *text, const Lockstep *lockstep)
{
    unsigned shown = 0;

    for (guint i = 0; i < lockstep->pages->len; i++) {
        const KeptPage *kept = g_ptr_array_index(lockstep->pages, i);
        const uint8_t *translated = translated_page(kept);
        for (unsigned k = 0; k < GUEST_PAGE_SIZE && shown < 16; k++)
            if (translated[k] != kept->host[k]) {
                g_string_append_printf(text, "  page %u+%03x: translated %02x, interpreted %02x\n",
                                       i, k, translated[k], kept->host[k]);
                shown++;
            }
    }
}

static char *difference_after(const Lockstep *lockstep, unsigned steps)
{
    static const char *const names[N_GPR] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                             "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                             "r12", "r13", "r14", "r15"};
    const State *a = &lockstep->translated, *b = &lockstep->interpreted;
    GString *text = g_string_new(NULL);

    g_string_append_printf(text,
                           "lockstep: block at %04x:%016" PRIx64 ", mode %08x, after %u "
                           "instructions, differs:\n",
                           lockstep->before.cpu.seg[SEG_CS].selector, lockstep->before.cpu.rip,
                           lockstep->before.cpu.mode, steps);
    describe(text, "raised", a->raised ? (uint64_t)a->cpu.raised_vector : UINT64_MAX,
             b->raised ? (uint64_t)b->cpu.raised_vector : UINT64_MAX);
    describe(text, "error", a->cpu.raised_error, b->cpu.raised_error);
    describe(text, "rip", a->cpu.rip, b->cpu.rip);
    describe(text, "rflags", a->cpu.rflags, b->cpu.rflags);
    for (unsigned i = 0; i < N_GPR; i++)
        describe(text, names[i], a->cpu.gpr[i], b->cpu.gpr[i]);
    describe(text, "cr2", a->cpu.cr2, b->cpu.cr2);
    describe(text, "mode", a->cpu.mode, b->cpu.mode);
    describe(text, "cr0", a->cpu.cr0, b->cpu.cr0);
    describe(text, "cr3", a->cpu.cr3, b->cpu.cr3);
    describe(text, "cr4", a->cpu.cr4, b->cpu.cr4);
    describe(text, "halted", a->cpu.halt_state, b->cpu.halt_state);
    describe(text, "interrupt shadow", a->cpu.interrupt_shadow, b->cpu.interrupt_shadow);
    describe(text, "segments differ", segments_differ(&a->cpu, &b->cpu), 0);
    describe(text, "vectors differ", vectors_differ(&a->cpu, &b->cpu), 0);
    describe_memory(text, lockstep);
    return g_string_free(text, FALSE);
}

static void report(Lockstep *lockstep, const char *difference)
{
    if (lockstep->differences++ < MAX_REPORTS)
        g_printerr("%s", difference);
}

/* --- a step ----------------------------------------------------------------------------------- */

static uint64_t device_accesses(const Cpu *cpu)
{
    return cpu->count_mmio + cpu->count_exits;
}

/* Decodes the instruction at CS:RIP; what cannot be decoded is an empty one. */
static void decode_next(Cpu *cpu)
{
    Insn *insn = &cpu->lockstep->insn;
    uint8_t bytes[INSN_MAX_BYTES];

    memset(insn, 0, sizeof *insn);
    unsigned n = mmu_fetch(cpu, cpu_linear_rip(cpu), bytes, 1);
    if (insn_decode(bytes, n, cpu->mode, insn) != DECODE_OK)
        memset(insn, 0, sizeof *insn);
}

/* Whether INSN gives something else each time, or reaches what is outside of the vCPU without being
 * counted. */
static bool cannot_be_repeated(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_RDMSR:
    case ZYDIS_MNEMONIC_WRMSR: return true;
    default: return false;
    }
}

/* A shift or rotation by 0 leaves the flags as they were, and says nothing about them. */
static void note_undefined_flags(Lockstep *lockstep, const Insn *insn)
{
    if (!insn_may_shift_by_0(insn))
        lockstep->undefined &= ~(uint64_t)insn->flags_modified;
    lockstep->undefined |= insn->flags_undefined;
}

/* For cpu_catch(). */
static void decode_one(Cpu *cpu, void *unused)
{
    decode_next(cpu);
}

static void interpret_one(Cpu *cpu, void *unused)
{
    interp_one(cpu);
}

static void run_blocks(Cpu *cpu, void *unused)
{
    jit_run(cpu);
}

static const Insn *next_insn(Cpu *cpu)
{
    const Insn *insn = interp_next_insn(cpu);

    if (insn)
        return insn;
    cpu_catch(cpu, decode_one, NULL); /* interp_one() will raise that again */
    return &cpu->lockstep->insn;
}

bool lockstep_ends_step(Cpu *cpu)
{
    Lockstep *lockstep = cpu->lockstep;

    return device_accesses(cpu) != lockstep->accesses || !--lockstep->blocks;
}

/* The interpreter follows until it stands where translated code left off, in the same state
 * (*SAME). False if the step cannot be done twice. */
static bool follow(Cpu *cpu, bool *same)
{
    Lockstep *lockstep = cpu->lockstep;
    const State *translated = &lockstep->translated;
    unsigned steps = 0;
    lockstep->undefined = 0;
    g_autofree char *difference = NULL; /* where both first stood at the same place */

    take_state(cpu, &lockstep->interpreted, false);
    /* A block that could not begin is where it was. */
    bool equal = !state_differs(translated, &lockstep->interpreted, lockstep->undefined) &&
                 !memory_differs(lockstep);
    while (!equal && steps < STEP_INSNS) {
        const Insn *insn = next_insn(cpu);
        if (cannot_be_repeated(insn))
            return false;
        note_undefined_flags(lockstep, insn);
        cpu->interrupt_shadow = 0; /* no interrupt can come */
        bool raised = cpu_catch(cpu, interpret_one, NULL);
        take_state(cpu, &lockstep->interpreted, raised);
        if (device_accesses(cpu) != lockstep->accesses)
            return false;
        steps++;
        bool arrived = lockstep->interpreted.cpu.rip == translated->cpu.rip;
        equal = arrived &&
                !state_differs(translated, &lockstep->interpreted, lockstep->undefined) &&
                !memory_differs(lockstep);
        if (arrived && !equal && !difference)
            difference = difference_after(lockstep, steps);
        if (raised || cpu->halt_state != CPU_RUNNING)
            break;
    }
    if (!equal && lockstep->singles) {
        if (!difference)
            difference = difference_after(lockstep, steps);
        report(lockstep, difference);
    }
    *same = equal;
    return true;
}

static void keep_translated(Cpu *cpu)
{
    Lockstep *lockstep = cpu->lockstep;

    for (guint i = 0; i < lockstep->pages->len; i++) {
        KeptPage *kept = g_ptr_array_index(lockstep->pages, i);
        memcpy(kept->host, translated_page(kept), GUEST_PAGE_SIZE);
    }
    put_state(cpu, &lockstep->translated);
}

void lockstep_run(Cpu *cpu)
{
    Lockstep *lockstep = cpu->lockstep;
    bool raised, same;

    lockstep->blocks = lockstep->singles ? 1 : STEP_BLOCKS;
    mmu_flush_all(cpu); /* every page that is written shall be seen */
    take_state(cpu, &lockstep->before, false);
    lockstep->keeping = true;
    lockstep->accesses = device_accesses(cpu);
    raised = cpu_catch(cpu, run_blocks, NULL);
    take_state(cpu, &lockstep->translated, raised);
    if (device_accesses(cpu) != lockstep->accesses) {
        lockstep->not_compared++;
    } else {
        take_back(lockstep);
        put_state(cpu, &lockstep->before);
        if (!follow(cpu, &same)) {
            lockstep->not_compared++;
            keep_translated(cpu);
        } else if (same || lockstep->singles) {
            lockstep->compared++;
            raised = lockstep->interpreted.raised;
        } else { /* again, block by block */
            lockstep->singles = SINGLE_STEPS + 1;
            restore_pages(lockstep);
            put_state(cpu, &lockstep->before);
            raised = false;
        }
    }
    if (lockstep->singles)
        lockstep->singles--;
    lockstep->keeping = false;
    forget_pages(lockstep);
    if (raised)
        siglongjmp(cpu->escape, 1);
}
