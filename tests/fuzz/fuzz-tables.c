/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Guests with spoilt page tables, descriptor tables, tasks and control registers, and any code, to
 * be run under the address sanitizer: `./dev fuzz tables --seconds N [--seed S] [--case C]`.
 *
 * A case is made by tables.c from the seed and its number alone. The same memory is executed from
 * the reset vector on by a vCPU that interprets and by one that translates, each on its thread.
 * They are made anew every CASES_A_GUEST cases, so that a case depends on a few before it only.
 *
 * What is judged: nothing crashes or leaks, a vCPU that is asked to stop does so within STOP_LIMIT
 * of processor time, the ROM and the memory around RAM and ROM stay as they were, and, where the
 * guest comes to its end and nothing undefined was executed on the way, both end alike.
 */

#include "core/cpu/cpuid.h"
#include "core/cpu/decode.h"
#include "core/cpu/jit/jit.h"
#include "core/cpu/mmu.h"
#include "tests/fuzz/hostile.h"
#include "tests/fuzz/tables.h"

#include <string.h>
#include <time.h>

/* Seconds of processor time. */
#define RUN_LIMIT     0.008 /* for a guest that comes to no end */
#define END_LIMIT     5.0   /* for the second vCPU where the first came to its end */
#define STOP_LIMIT    1.0   /* from the wish to stop to the stop */

#define CASE_LIMIT    300 /* seconds on the wall before a case counts as hung */
#define CASES_A_GUEST 16
#define MARGIN        0x10000
#define ROM_SIZE      0x10000
#define MARK          0xa5

typedef struct {
    MemoryMap *map;
    RamBlock *before, *ram, *between, *rom, *after;
    Cpu *cpu;
    Jit *jit; /* NULL: interprets */
    GMutex lock;
    bool ended; /* by itself */
} Guest;

static CpuidModel *model;
static guint64 compared, excused;

/* --- a guest ---------------------------------------------------------------------------------- */

static void board_lock(void *opaque)
{
    g_mutex_lock(opaque);
}

static void board_unlock(void *opaque)
{
    g_mutex_unlock(opaque);
}

static int board_acknowledge(void *opaque)
{
    return -1;
}

static uint8_t board_get_cr8(void *opaque)
{
    return 0;
}

static void board_set_cr8(void *opaque, uint8_t value)
{
}

static bool board_read_msr(void *opaque, uint32_t msr, uint64_t *value)
{
    *value = msr;
    return true;
}

static bool board_write_msr(void *opaque, uint32_t msr, uint64_t value)
{
    return true;
}

static void board_ferr(void *opaque, bool level)
{
}

static void board_ignore(void *opaque)
{
}

static const CpuBoardOps board = {
    .lock = board_lock,
    .unlock = board_unlock,
    .acknowledge = board_acknowledge,
    .get_cr8 = board_get_cr8,
    .set_cr8 = board_set_cr8,
    .read_msr = board_read_msr,
    .write_msr = board_write_msr,
    .triple_fault = board_ignore,
    .ferr = board_ferr,
    .init_received = board_ignore,
};

static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    return offset * 0x9e3779b97f4a7c15;
}

static void device_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
}

static const MmioOps device_ops = {device_read, device_write};

static void code_written(void *opaque, RamBlock *block, uint64_t offset, uint64_t length)
{
    jit_code_written(opaque, block, offset, length);
}

static RamBlock *new_block(Guest *guest, const char *name, uint64_t size, uint8_t byte)
{
    g_autoptr(GError) error = NULL;
    RamBlock *block = ram_block_new(guest->map, name, size, &error);

    if (!block)
        g_error("%s", error->message);
    if (byte)
        memset(block->host, byte, size);
    return block;
}

static bool is_marked(const RamBlock *block)
{
    return block->host[0] == MARK && !memcmp(block->host, block->host + 1, block->size - 1);
}

static void guest_init(Guest *guest, const JitOptions *options)
{
    g_autoptr(GError) error = NULL;
    MemoryMap *map = guest->map = memory_map_new();

    g_mutex_init(&guest->lock);
    guest->jit = options ? jit_new_with_options(options, &error) : NULL;
    /* Mappings mostly lie beside each other. */
    guest->before = new_block(guest, "before", MARGIN, MARK);
    guest->ram = new_block(guest, "ram", TABLES_RAM, 0);
    guest->between = new_block(guest, "between", MARGIN, MARK);
    guest->rom = new_block(guest, "rom", ROM_SIZE, MARK);
    guest->after = new_block(guest, "after", MARGIN, MARK);
    memory_region_place(memory_region_new_ram(map, "ram", guest->ram, 0, TABLES_RAM), 0, 0);
    memory_region_place(
        memory_region_new_ram(map, "top", guest->ram, TABLES_RAM - 0x10000, 0x10000), 0xffff0000,
        0);
    memory_region_place(memory_region_new_rom(map, "rom", guest->rom, 0, ROM_SIZE), TABLES_ROM, 0);
    memory_region_place(memory_region_new_mmio(map, "device", &device_ops, NULL, 0x10000),
                        TABLES_DEVICE, 0);
    CpuConfig config = {
        .accel = options ? CPU_ACCEL_JIT : CPU_ACCEL_INTERP,
        .memory = map,
        .model = model,
        .board = &board,
        .board_opaque = &guest->lock,
        .jit = guest->jit,
    };
    guest->cpu = cpu_new(&config, &error);
    if (!guest->cpu)
        g_error("%s", error->message);
    if (options)
        memory_map_set_listeners(map, NULL, code_written, guest->jit);
}

static void guest_start(Guest *guest)
{
    cpu_start(guest->cpu);
    cpu_wait_paused(guest->cpu);
}

/* As after a reset, with IMAGE in RAM. */
static void guest_reset(Guest *guest, const uint8_t *image)
{
    for (uint64_t page = 0; page < TABLES_RAM; page += GUEST_PAGE_SIZE)
        if (memcmp(guest->ram->host + page, image + page, GUEST_PAGE_SIZE))
            memory_write(guest->map, page, image + page, GUEST_PAGE_SIZE);
    cpu_reset(guest->cpu);
}

static void guest_clear(Guest *guest)
{
    if (!guest->cpu)
        return;
    cpu_free(guest->cpu);
    jit_free(guest->jit);
    memory_map_free(guest->map);
    g_mutex_clear(&guest->lock);
}

static double cpu_time(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Until the guest halts, LIMIT seconds of processor time at most. */
static void guest_run(Guest *guest, double limit)
{
    double begin = cpu_time();

    cpu_resume(guest->cpu);
    while (!cpu_is_halted(guest->cpu) && cpu_time() - begin < limit)
        g_usleep(50);
    double asked = cpu_time();
    cpu_pause(guest->cpu);
    cpu_wait_paused(guest->cpu);
    if (cpu_time() - asked > STOP_LIMIT)
        hostile_fail("an instruction takes too long");
    guest->ended = cpu_is_halted(guest->cpu);
    if (!is_marked(guest->rom))
        hostile_fail("the ROM was written");
    if (!is_marked(guest->before) || !is_marked(guest->between) || !is_marked(guest->after))
        hostile_fail("memory beside the guest's was written");
}

/* --- comparing -------------------------------------------------------------------------------- */

static bool has_no_definite_result(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_BSF:
    case ZYDIS_MNEMONIC_BSR:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP: return true;
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_XOR: return false; /* AF is undefined, but the host's own in both */
    default: return insn->flags_undefined || (insn->category_flags & INSN_IS_X87);
    }
}

/* The bytes at the next instruction; how many could be had. */
static unsigned peek_code(Guest *guest, uint8_t *bytes)
{
    Cpu *cpu = guest->cpu;
    uint64_t linear =
        cpu->mode & MODE_CS64 ? cpu->rip : (uint32_t)(cpu->seg[SEG_CS].base + cpu->rip);
    unsigned n = 0;

    for (uint64_t physical; n < INSN_MAX_BYTES; n++)
        if (!mmu_translate_debug(cpu, linear + n, &physical) ||
            !memory_read(guest->map, physical, bytes + n, 1))
            break;
    return n;
}

static void describe(GString *text, const char *name, uint64_t interp, uint64_t jit)
{
    if (interp != jit)
        g_string_append_printf(
            text, "\n  %s: interpreted %" G_GINT64_MODIFIER "x, translated %" G_GINT64_MODIFIER "x",
            name, interp, jit);
}

static char *difference(const Guest *a, const Guest *b)
{
    static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
    GString *text = g_string_new(NULL);
    const Cpu *x = a->cpu, *y = b->cpu;

    describe(text, "halted", x->halt_state, y->halt_state);
    describe(text, "rip", x->rip, y->rip);
    describe(text, "rflags", x->rflags, y->rflags);
    describe(text, "cpl", x->cpl, y->cpl);
    describe(text, "cr0", x->cr0, y->cr0);
    describe(text, "cr2", x->cr2, y->cr2);
    describe(text, "cr3", x->cr3, y->cr3);
    describe(text, "cr4", x->cr4, y->cr4);
    describe(text, "efer", x->efer, y->efer);
    describe(text, "dr6", x->dr[6], y->dr[6]);
    describe(text, "dr7", x->dr[7], y->dr[7]);
    describe(text, "gdt base", x->gdtr.base, y->gdtr.base);
    describe(text, "idt base", x->idtr.base, y->idtr.base);
    for (unsigned i = 0; i < N_GPR; i++) {
        g_autofree char *name = g_strdup_printf("register %u", i);
        describe(text, name, x->gpr[i], y->gpr[i]);
    }
    for (unsigned i = 0; i < N_SEG; i++)
        if (memcmp(&x->seg[i], &y->seg[i], sizeof x->seg[i]))
            g_string_append_printf(text, "\n  %s differs: selectors %x and %x", names[i],
                                   x->seg[i].selector, y->seg[i].selector);
    for (unsigned i = 0, shown = 0; i < TABLES_RAM && shown < 16; i++) {
        if (i % 4096 == 0 && !memcmp(a->ram->host + i, b->ram->host + i, 4096)) {
            i += 4095;
            continue;
        }
        if (a->ram->host[i] != b->ram->host[i]) {
            g_string_append_printf(text, "\n  at %x: %02x, %02x", i, a->ram->host[i],
                                   b->ram->host[i]);
            shown++;
        }
    }
    return g_string_free(text, text->len == 0);
}

/* Whether the guest, interpreted step by step from its reset, does what has no defined result; or
 * a repetition overwrites itself, which it may notice sooner or later (SDM 3, 11.6); or it comes to
 * another end than INTERPRETED where nothing stays in the TLB: then it has changed page tables that
 * were in use, and what counts from when on, nobody says (SDM 3, 4.10.2.3). */
static bool is_open(const uint8_t *image, const Guest *interpreted)
{
    Guest guest = {0};
    Insn repeated = {0};
    uint64_t at = 0;
    bool open = false;

    guest_init(&guest, NULL);
    guest_reset(&guest, image);
    for (unsigned steps = 0; steps < 1000000 && !cpu_is_halted(guest.cpu) && !open; steps++) {
        uint8_t bytes[INSN_MAX_BYTES] = {0};
        Insn insn;
        unsigned n = peek_code(&guest, bytes);
        open = n && repeated.length && at == guest.cpu->rip &&
               memcmp(bytes, repeated.bytes, repeated.length) != 0;
        if (n && insn_decode(bytes, n, guest.cpu->mode, &insn) == DECODE_OK) {
            open |= has_no_definite_result(&insn);
            repeated = insn.rep || insn.repne ? insn : (Insn){0};
            at = guest.cpu->rip;
        }
        mmu_flush_all(guest.cpu);
        cpu_step(guest.cpu, 1);
    }
    if (!open) {
        g_autofree char *text = difference(interpreted, &guest);
        open = text;
    }
    guest_clear(&guest);
    return open;
}

/* --- cases ------------------------------------------------------------------------------------ */

static uint8_t *make_image(guint64 number)
{
    GRand *random = hostile_random(number);
    uint8_t *image = g_malloc0(TABLES_RAM);

    tables_generate(random, number % N_TABLES_STYLES, image);
    g_rand_free(random);
    return image;
}

/* The translator as it is by default, and in its ways to be slow. */
static JitOptions translator_options(guint64 number)
{
    JitOptions options = JIT_OPTIONS_DEFAULT;
    unsigned kind = number / CASES_A_GUEST % 8;

    options.cache_bytes = 1u << 20;
    options.no_links = kind == 4;
    options.no_groups = kind == 5;
    options.slow_accesses = kind == 6;
    options.max_insns = kind == 7 ? 1 : options.max_insns;
    return options;
}

static Guest interp, jit;

static void clear_guests(void)
{
    guest_clear(&interp);
    guest_clear(&jit);
    memset(&interp, 0, sizeof interp);
    memset(&jit, 0, sizeof jit);
}

/* Runs the case again with the translator held against the interpreter block by block, which says
 * on the standard error where they part. */
static void show_first_difference(const JitOptions *compared_with, const uint8_t *image)
{
    JitOptions options = *compared_with;
    Guest guest = {0};

    options.lockstep = true;
    guest_init(&guest, &options);
    guest_start(&guest);
    guest_reset(&guest, image);
    guest_run(&guest, END_LIMIT);
    guest_clear(&guest);
}

static void fail_case(const JitOptions *options, const uint8_t *image, const char *difference)
{
    show_first_difference(options, image);
    hostile_fail("interpreted and translated differ:%s", difference);
}

static void run_case(guint64 number)
{
    JitOptions options = translator_options(number);
    g_autofree uint8_t *image = make_image(number);

    if (number % CASES_A_GUEST == 0) {
        clear_guests();
        guest_init(&interp, NULL);
        guest_init(&jit, &options);
        guest_start(&interp);
        guest_start(&jit);
    }
    guest_reset(&interp, image);
    guest_reset(&jit, image);
    guest_run(&interp, RUN_LIMIT);
    guest_run(&jit, interp.ended ? END_LIMIT : RUN_LIMIT);
    if (interp.ended) {
        g_autofree char *text = difference(&interp, &jit);
        compared++;
        if (text && is_open(image, &interp))
            excused++;
        else if (text)
            fail_case(&options, image, text);
    }
}

static char *summary(void)
{
    return g_strdup_printf(", %" G_GUINT64_FORMAT " compared to their ends, %" G_GUINT64_FORMAT
                           " of them open,",
                           compared, excused);
}

int main(int argc, char **argv)
{
    static const HostileFuzzer fuzzer = {.name = "tables",
                                         .limit = CASE_LIMIT,
                                         .group = CASES_A_GUEST,
                                         .run_case = run_case,
                                         .summary = summary,
                                         .clear = clear_guests};
    g_autoptr(GError) error = NULL;

    model = cpuid_model_new("max", 1, &error);
    if (!model)
        g_error("%s", error->message);
    int status = hostile_main(&fuzzer, argc, argv);
    cpuid_model_free(model);
    return status;
}
