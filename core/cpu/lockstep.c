/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/cpu/lockstep.h"

#include "core/cpu/bus.h"
#include "core/cpu/decode.h"
#include "core/cpu/interp.h"
#include "core/cpu/jit/jit.h"
#include "core/cpu/mmu.h"

#include <inttypes.h>
#include <string.h>

enum {
    MAX_STEP_SHIFT = 12, /* log2 of the blocks of a step */
    BLOCK_INSNS = 64,    /* as many as blocks may hold, or more */
    MAX_REPORTS = 20,
};

/* A page as it was before the step and after the translated blocks. */
typedef struct {
    uint8_t *host;
    bool by_translated; /* `after` holds something */
    uint8_t before[GUEST_PAGE_SIZE], after[GUEST_PAGE_SIZE];
} KeptPage;

/* The pages written since some instruction. */
typedef struct {
    GHashTable *by_host; /* KeptPage */
    GPtrArray *spare;
    bool keeping;
} PageLog;

/* What instructions change: three runs of members of Cpu. */
#define FIRST_PART   offsetof(Cpu, gpr), offsetof(Cpu, requests)
#define SECOND_PART  offsetof(Cpu, mode), offsetof(Cpu, jit)
#define THIRD_PART   offsetof(Cpu, seg), offsetof(Cpu, escape)
/* Those of the third that are plain numbers: CR0 to IA32_TSC_AUX. */
#define CONTROL_PART offsetof(Cpu, cr0), offsetof(Cpu, tsc_offset)

/* How some instructions ended. */
typedef enum {
    ENDED_PLAINLY,
    ENDED_RAISED, /* an exception, not delivered yet */
    ENDED_BEFORE, /* an instruction that cannot be done twice */
} Ending;

typedef struct {
    Ending ending;
    Cpu cpu; /* only those members */
} State;

struct Lockstep {
    const CpuBoardOps *real_board;
    CpuBoardOps stopping_board; /* in its place during a step, which its lock ends */
    PageLog step, search;       /* of the step; of all steps of a search */
    bool stopped;               /* by an instruction that cannot be done twice */
    bool arrived;               /* the interpreter, in the state of translated code */
    uint64_t undefined;         /* flags that the instructions of this step leave so */
    GRand *random;              /* the length of steps */
    Insn insn;                  /* the next one */
    State before, translated, interpreted;
    State searched;  /* before the step that is searched */
    unsigned blocks; /* still to be executed in this step */
    unsigned insns;  /* interpreted in this step, and elements of repetitions */
    unsigned left;   /* instructions to be interpreted at most */
    uint64_t compared, instructions, not_compared, differences;
};

/* --- memory ----------------------------------------------------------------------------------- */

static void log_init(PageLog *log)
{
    log->by_host = g_hash_table_new(g_direct_hash, g_direct_equal);
    log->spare = g_ptr_array_new_with_free_func(g_free);
}

static void log_forget(PageLog *log)
{
    GHashTableIter iter;
    gpointer kept;

    log->keeping = false;
    g_hash_table_iter_init(&iter, log->by_host);
    while (g_hash_table_iter_next(&iter, NULL, &kept))
        g_ptr_array_add(log->spare, kept);
    g_hash_table_remove_all(log->by_host);
}

static void log_clear(PageLog *log)
{
    log_forget(log);
    g_hash_table_unref(log->by_host);
    g_ptr_array_unref(log->spare);
}

static void log_keep(PageLog *log, uint8_t *page)
{
    if (!log->keeping || g_hash_table_contains(log->by_host, page))
        return;
    KeptPage *kept = log->spare->len ? g_ptr_array_steal_index_fast(log->spare, log->spare->len - 1)
                                     : g_new(KeptPage, 1);
    kept->host = page;
    kept->by_translated = false;
    memcpy(kept->before, page, GUEST_PAGE_SIZE);
    g_hash_table_insert(log->by_host, page, kept);
}

void lockstep_keep_page(Cpu *cpu, void *host)
{
    uint8_t *page = (uint8_t *)((uintptr_t)host & GUEST_PAGE_MASK);

    log_keep(&cpu->lockstep->step, page);
    log_keep(&cpu->lockstep->search, page);
}

/* Memory as it was when the log was begun. */
static void log_restore(PageLog *log)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, log->by_host);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        KeptPage *kept = value;
        memcpy(kept->host, kept->before, GUEST_PAGE_SIZE);
    }
}

/* Keeps what the translated blocks left. */
static void keep_translated(PageLog *log)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, log->by_host);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        KeptPage *kept = value;
        kept->by_translated = true;
        memcpy(kept->after, kept->host, GUEST_PAGE_SIZE);
    }
}

static const uint8_t *translated_page(const KeptPage *kept)
{
    return kept->by_translated ? kept->after : kept->before;
}

static bool memory_differs(const PageLog *log)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, log->by_host);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const KeptPage *kept = value;
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

static void take_state(Cpu *cpu, State *state, Ending ending)
{
    cpu_spill_vectors(cpu);
    state->ending = ending;
    copy_state(&state->cpu, cpu);
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

static bool tables_differ(const Cpu *a, const Cpu *b)
{
    return a->gdtr.base != b->gdtr.base || a->gdtr.limit != b->gdtr.limit ||
           a->idtr.base != b->idtr.base || a->idtr.limit != b->idtr.limit;
}

static bool part_differs(const Cpu *a, const Cpu *b, size_t begin, size_t end)
{
    return memcmp((const uint8_t *)a + begin, (const uint8_t *)b + begin, end - begin) != 0;
}

static bool ending_differs(const State *a, const State *b)
{
    const Cpu *ca = &a->cpu, *cb = &b->cpu;

    return a->ending != b->ending ||
           (a->ending == ENDED_RAISED &&
            (ca->raised_vector != cb->raised_vector ||
             (ca->raised_has_error && ca->raised_error != cb->raised_error)));
}

/* But for the flags in UNDEFINED. */
static bool state_differs(const State *a, const Cpu *cb, uint64_t undefined)
{
    const Cpu *ca = &a->cpu;

    return memcmp(ca->gpr, cb->gpr, sizeof ca->gpr) || ca->rip != cb->rip ||
           ((ca->rflags ^ cb->rflags) & ~undefined) || part_differs(ca, cb, CONTROL_PART) ||
           ca->cpl != cb->cpl || ca->mode != cb->mode || ca->halt_state != cb->halt_state ||
           ca->interrupt_shadow != cb->interrupt_shadow || segments_differ(ca, cb) ||
           tables_differ(ca, cb) || vectors_differ(ca, cb);
}

/* --- reports ---------------------------------------------------------------------------------- */

static void describe(GString *text, const char *name, uint64_t translated, uint64_t interpreted)
{
    if (translated != interpreted)
        g_string_append_printf(text,
                               "  %s: translated %016" PRIx64 ", interpreted %016" PRIx64 "\n",
                               name, translated, interpreted);
}

/* In which bytes of the XSAVE area. */
static void describe_vectors(GString *text, const Cpu *translated, const Cpu *interpreted)
{
    const uint8_t *a = (const uint8_t *)&translated->vectors;
    const uint8_t *b = (const uint8_t *)&interpreted->vectors;

    for (size_t i = 0, shown = 0; i < sizeof translated->vectors && shown < 16; i++)
        if (a[i] != b[i] && is_defined_vector_byte(i)) {
            g_string_append_printf(text,
                                   "  the vectors' byte %03zx: translated %02x, interpreted %02x\n",
                                   i, a[i], b[i]);
            shown++;
        }
}

static void describe_memory(GString *text, const PageLog *log)
{
    GHashTableIter iter;
    gpointer value;
    unsigned shown = 0;

    g_hash_table_iter_init(&iter, log->by_host);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const KeptPage *kept = value;
        const uint8_t *translated = translated_page(kept);
        for (unsigned k = 0; k < GUEST_PAGE_SIZE && shown < 16; k++)
            if (translated[k] != kept->host[k]) {
                g_string_append_printf(text,
                                       "  a page's byte %03x: translated %02x, interpreted %02x\n",
                                       k, translated[k], kept->host[k]);
                shown++;
            }
    }
}

/* What stands at CS:RIP. */
static void describe_insn(GString *text, const Insn *insn)
{
    const char *name = ZydisMnemonicGetString(insn->mnemonic);

    g_string_append_printf(text, "  %s:", insn->length && name ? name : "cannot be decoded");
    for (unsigned i = 0; i < insn->length; i++)
        g_string_append_printf(text, " %02x", insn->bytes[i]);
    g_string_append_c(text, '\n');
}

static const char *ending_name(Ending ending)
{
    static const char *const names[] = {"goes on", "raises an exception", "stops before a device"};

    return names[ending];
}

/* What the step that begins at `before` does otherwise than it should. */
static void describe_difference(const Lockstep *lockstep, GString *text)
{
    static const char *const names[N_GPR] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                             "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                             "r12", "r13", "r14", "r15"};
    const State *a = &lockstep->translated, *b = &lockstep->interpreted;

    if (a->ending != b->ending)
        g_string_append_printf(text, "  translated %s, interpreted %s\n", ending_name(a->ending),
                               ending_name(b->ending));
    if (a->ending == ENDED_RAISED && b->ending == ENDED_RAISED) {
        describe(text, "exception", (uint64_t)a->cpu.raised_vector, (uint64_t)b->cpu.raised_vector);
        describe(text, "error code", a->cpu.raised_error, b->cpu.raised_error);
    }
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
    describe(text, "tables' registers differ", tables_differ(&a->cpu, &b->cpu), 0);
    describe_vectors(text, &a->cpu, &b->cpu);
    describe_memory(text, &lockstep->step);
}

static void report(Lockstep *lockstep, const char *what, const Insn *insn)
{
    const Cpu *before = &lockstep->before.cpu;
    g_autoptr(GString) text = g_string_new(NULL);

    if (lockstep->differences++ >= MAX_REPORTS)
        return;
    g_string_append_printf(text, "lockstep: %s at %04x:%016" PRIx64 ", mode %08x, differs:\n", what,
                           before->seg[SEG_CS].selector, before->rip, before->mode);
    describe_insn(text, insn);
    describe_difference(lockstep, text);
    g_printerr("%s", text->str);
}

/* --- instructions that cannot be done twice --------------------------------------------------- */

static _Noreturn void stop_before(Cpu *cpu)
{
    cpu->lockstep->stopped = true;
    cpu_abandon(cpu);
}

/* Every way to a device begins with the board's lock. */
static void stop_before_device(void *opaque)
{
    stop_before(cpu_current());
}

/* Whether INSN gives something else each time, reaches what is outside of the vCPU without the
 * board's lock, or shows flags that may be undefined. */
static bool cannot_be_repeated(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_INTO:
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
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

/* Decodes the instruction at CS:RIP; what cannot be decoded is an empty one. */
static void decode_next(Cpu *cpu)
{
    Insn *insn = &cpu->lockstep->insn;
    uint8_t bytes[INSN_MAX_BYTES];
    DecodeResult result;

    memset(insn, 0, sizeof *insn);
    unsigned n = mmu_fetch(cpu, cpu_linear_rip(cpu), bytes, 1);
    while ((result = insn_decode(bytes, n, cpu->mode, insn)) == DECODE_NEED_MORE)
        n = mmu_fetch(cpu, cpu_linear_rip(cpu), bytes, n + 1);
    if (result != DECODE_OK)
        memset(insn, 0, sizeof *insn);
}

/* Raises what fetching it raises. */
static const Insn *next_insn(Cpu *cpu)
{
    const Insn *insn = interp_next_insn(cpu);

    if (insn)
        return insn;
    decode_next(cpu);
    return &cpu->lockstep->insn;
}

void lockstep_look_at_next(Cpu *cpu)
{
    cpu_spill_vectors(cpu); /* a system call leaves them where they are */
    if (cpu->lockstep->step.keeping && cannot_be_repeated(next_insn(cpu)))
        stop_before(cpu);
}

/* --- a step ----------------------------------------------------------------------------------- */

bool lockstep_ends_step(Cpu *cpu)
{
    return !--cpu->lockstep->blocks;
}

/* For cpu_catch(). */
static void run_blocks(Cpu *cpu, void *unused)
{
    jit_run(cpu);
}

/* The interpreter has come to where translated code left off, in the same state. */
static bool has_arrived(const Cpu *cpu)
{
    const Lockstep *lockstep = cpu->lockstep;
    const State *translated = &lockstep->translated;

    return cpu->rip == translated->cpu.rip && translated->ending == ENDED_PLAINLY &&
           !state_differs(translated, cpu, lockstep->undefined) && !memory_differs(&lockstep->step);
}

/* INSN is about to be interpreted. */
static void watch(Cpu *cpu, const Insn *insn)
{
    Lockstep *lockstep = cpu->lockstep;

    if (cannot_be_repeated(insn))
        stop_before(cpu);
    /* A shift or rotation by 0 leaves the flags as they were, and says nothing about them. */
    if ((lockstep->undefined & insn->flags_modified) && !insn_may_shift_by_0(insn))
        lockstep->undefined &= ~(uint64_t)insn->flags_modified;
    lockstep->undefined |= insn->flags_undefined;
    lockstep->insns++;
    lockstep->left -= !insn->rep && !insn->repne;
}

/* For cpu_catch(): instructions until there, or until there have been too many. */
static void interpret(Cpu *cpu, void *unused)
{
    Lockstep *lockstep = cpu->lockstep;

    while (!(lockstep->arrived = has_arrived(cpu)) && lockstep->left &&
           cpu->halt_state == CPU_RUNNING) {
        cpu->interrupt_shadow = 0; /* no interrupt can come */
        interp_one_watched(cpu, watch);
    }
}

static Ending try(Cpu *cpu, void (*func)(Cpu *cpu, void *opaque), void *opaque)
{
    cpu->lockstep->stopped = false;
    if (!cpu_catch(cpu, func, opaque))
        return ENDED_PLAINLY;
    cpu_bus_unlock(cpu); /* as the run loop does */
    return cpu->lockstep->stopped ? ENDED_BEFORE : ENDED_RAISED;
}

/* Executes up to BLOCKS translated blocks, takes them back and interprets the same, LIMIT
 * instructions at most. Whether both end alike; the state is the interpreter's, and what was
 * written is in the log. */
static bool step_twice(Cpu *cpu, unsigned blocks, unsigned limit)
{
    Lockstep *lockstep = cpu->lockstep;

    log_forget(&lockstep->step);
    mmu_drop_stores(cpu); /* every page that is written shall be seen */
    take_state(cpu, &lockstep->before, ENDED_PLAINLY);
    lockstep->step.keeping = true;
    cpu->board = &lockstep->stopping_board;
    lockstep->blocks = blocks;
    lockstep->undefined = 0;
    lockstep->insns = 0;
    lockstep->left = limit;
    lockstep->arrived = false;
    take_state(cpu, &lockstep->translated, try(cpu, run_blocks, NULL));
    keep_translated(&lockstep->step);
    log_restore(&lockstep->step);
    copy_state(cpu, &lockstep->before.cpu);
    mmu_drop(cpu); /* accessed and dirty bits may be clear again */
    take_state(cpu, &lockstep->interpreted, try(cpu, interpret, NULL));
    cpu->board = lockstep->real_board;
    lockstep->step.keeping = false;
    lockstep->compared++;
    lockstep->instructions += lockstep->insns;
    return lockstep->arrived || (!ending_differs(&lockstep->translated, &lockstep->interpreted) &&
                                 !state_differs(&lockstep->translated, cpu, lockstep->undefined) &&
                                 !memory_differs(&lockstep->step));
}

/* --- looking for what differs ----------------------------------------------------------------- */

static void begin_again(Cpu *cpu)
{
    log_restore(&cpu->lockstep->search);
    copy_state(cpu, &cpu->lockstep->searched.cpu);
    mmu_flush_all(cpu);
}

/* For cpu_catch(). */
static void note_next(Cpu *cpu, void *out)
{
    *(Insn *)out = *next_insn(cpu);
}

/* Does INSNS instructions over again in blocks of at most MAX_INSNS, and reports the first block
 * that differs, as WHAT. The state is the interpreter's, behind it. */
static bool find_block(Cpu *cpu, unsigned insns, unsigned max_insns, const char *what)
{
    Lockstep *lockstep = cpu->lockstep;
    unsigned done = 0;

    begin_again(cpu);
    jit_limit_blocks(cpu, max_insns);
    do {
        Insn first = {0};
        cpu->interrupt_shadow = 0;
        cpu_catch(cpu, note_next, &first);
        bool alone = max_insns == 1 && !first.rep && !first.repne;
        if (!step_twice(cpu, 1, alone ? 1 : BLOCK_INSNS)) {
            report(lockstep, what, &first);
            return true;
        }
        done += lockstep->insns;
    } while (done < insns && lockstep->insns && lockstep->interpreted.ending == ENDED_PLAINLY);
    return false;
}

/* The step that was just done differs. */
static void search(Cpu *cpu)
{
    Lockstep *lockstep = cpu->lockstep;
    unsigned insns = lockstep->insns, max_insns = jit_options(cpu->jit_shared)->max_insns;
    g_autoptr(GString) whole = g_string_new(NULL);
    PageLog empty = lockstep->search;

    describe_difference(lockstep, whole);
    copy_state(&lockstep->searched.cpu, &lockstep->before.cpu);
    lockstep->search = lockstep->step;
    lockstep->step = empty;
    lockstep->search.keeping = true;
    if (!find_block(cpu, insns, 1, "the instruction") &&
        !find_block(cpu, insns, max_insns, "the block")) {
        lockstep->differences++;
        g_printerr("lockstep: only all of %u instructions from %016" PRIx64 " on differ:\n%s",
                   insns, lockstep->searched.cpu.rip, whole->str);
    }
    log_forget(&lockstep->search);
    jit_limit_blocks(cpu, max_insns);
    mmu_flush_all(cpu);
}

void lockstep_run(Cpu *cpu)
{
    Lockstep *lockstep = cpu->lockstep;

    /* Long ones are quick, many short ones see flags and registers that soon are overwritten. */
    unsigned blocks = 1u << g_rand_int_range(lockstep->random, 0, MAX_STEP_SHIFT + 1);
    if (!step_twice(cpu, blocks, (blocks + 1) * BLOCK_INSNS))
        search(cpu);
    switch (lockstep->interpreted.ending) {
    case ENDED_PLAINLY: break;
    case ENDED_RAISED: siglongjmp(cpu->escape, 1);
    case ENDED_BEFORE:
        lockstep->not_compared++;
        interp_one(cpu);
        break;
    }
}

/* --- life ------------------------------------------------------------------------------------- */

Lockstep *lockstep_new(Cpu *cpu)
{
    Lockstep *lockstep = g_aligned_alloc0(1, sizeof *lockstep, _Alignof(Lockstep));

    lockstep->real_board = cpu->board;
    lockstep->stopping_board = *cpu->board;
    lockstep->stopping_board.lock = stop_before_device;
    lockstep->random = g_rand_new_with_seed(1);
    log_init(&lockstep->step);
    log_init(&lockstep->search);
    return lockstep;
}

void lockstep_free(Lockstep *lockstep)
{
    if (!lockstep)
        return;
    g_printerr("lockstep: %" G_GUINT64_FORMAT " steps of %" G_GUINT64_FORMAT
               " instructions compared, %" G_GUINT64_FORMAT
               " instructions that cannot be done twice, %" G_GUINT64_FORMAT " differences\n",
               lockstep->compared, lockstep->instructions, lockstep->not_compared,
               lockstep->differences);
    g_rand_free(lockstep->random);
    log_clear(&lockstep->step);
    log_clear(&lockstep->search);
    g_aligned_free(lockstep);
}
