/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Random tables, modes and accesses: what core's MMU makes of them and what paging-model.c does.
 * Values, faults, error codes, accessed and dirty bits must be equal, and what a flush must drop
 * must be gone. PAGING_CASES=N and PAGING_SEED=S in the environment: more, or others.
 */

#include "core/cpu/paging.h"
#include "cpu-fixture.h"
#include "tests/core/cpu/cpu-state.h"
#include "tests/core/cpu/paging-model.h"

enum {
    WORLD = 128 << 10, /* bytes of RAM that tables and data are in */
    TABLES = 16,       /* pages; the rest, as many, is data */
    PAGES = WORLD / GUEST_PAGE_SIZE,
    CASES = 150000,
    ACCESSES = 6, /* a case at most */
};
/* Where the world shows again: bits that only some forms of entries reach. */
#define HIGH (1ull << 39 | 1ull << 35 | 1ull << 30)

typedef struct {
    Fixture fixture;
    Random random;
    uint8_t *model_ram; /* WORLD bytes */
    ModelMemory memory;
    ModelProcessor processor;
    bool pcids; /* in 4-level paging */
    uint64_t linear;
    uint64_t n_accesses, n_faults;
} World;

/* --- memory as the model sees it -------------------------------------------------------------- */

/* The byte at PHYSICAL, NULL where the model keeps none. */
static uint8_t *model_byte(World *w, uint64_t physical)
{
    if (physical < WORLD)
        return w->model_ram + physical;
    return physical - HIGH < WORLD ? w->model_ram + (physical - HIGH) : NULL;
}

/* Where there is nothing are ones. */
static uint64_t model_read(void *opaque, uint64_t physical, unsigned size)
{
    const uint8_t *byte = model_byte(opaque, physical);
    uint64_t value = byte ? 0 : UINT64_MAX >> (64 - size * 8);

    if (byte)
        memcpy(&value, byte, size);
    return value;
}

static void model_write(void *opaque, uint64_t physical, uint64_t value, unsigned size)
{
    uint8_t *byte = model_byte(opaque, physical);

    if (byte)
        memcpy(byte, &value, size);
}

/* Into both memories. */
static void put(World *w, uint64_t physical, uint64_t value, unsigned size)
{
    uint8_t *byte = model_byte(w, physical);

    g_assert_nonnull(byte);
    memcpy(byte, &value, size);
    memcpy(w->fixture.ram->host + (byte - w->model_ram), &value, size);
}

/* --- a case ----------------------------------------------------------------------------------- */

static bool chance(World *w, unsigned of)
{
    return !random_below(&w->random, of);
}

/* Page N of the world by one of its two addresses. */
static uint64_t page_address(World *w, unsigned n, bool low)
{
    return (uint64_t)n * GUEST_PAGE_SIZE + (low || chance(w, 2) ? 0 : HIGH);
}

static void choose_processor(World *w)
{
    ModelProcessor *p = &w->processor;

    *p = (ModelProcessor){
        .form = random_below(&w->random, 3),
        .wp = chance(w, 2),
        .pse = chance(w, 2),
        .pge = chance(w, 2),
        .smep = chance(w, 2),
        .smap = chance(w, 2),
        .nxe = !chance(w, 4),
        .page_1g = chance(w, 2),
        .physical_bits = CPUID_PHYSICAL_BITS,
    };
    w->pcids = chance(w, 2);
}

/* What every entry may have at random, and seldom what makes it useless. */
static uint64_t random_flags(World *w, bool wide)
{
    static const uint8_t likely[] = {1, 2}, even[] = {3, 4, 5, 6, 8, 9, 10, 11};
    uint64_t flags = !chance(w, 24);

    for (unsigned i = 0; i < G_N_ELEMENTS(likely); i++)
        flags |= (uint64_t)!chance(w, 5) << likely[i];
    for (unsigned i = 0; i < G_N_ELEMENTS(even); i++)
        flags |= (uint64_t)chance(w, 2) << even[i];
    if (wide && chance(w, w->processor.nxe ? 5 : 40))
        flags |= 1ull << 63;
    if (wide && chance(w, 20))
        flags |= 1ull << (CPUID_PHYSICAL_BITS + random_below(&w->random, 63 - CPUID_PHYSICAL_BITS));
    return flags;
}

/* An entry that maps a page of 2^SHIFT bytes. */
static uint64_t leaf_entry(World *w, unsigned shift, bool wide)
{
    uint64_t flags = random_flags(w, wide);

    if (shift == 12)
        return page_address(w, TABLES + random_below(&w->random, PAGES - TABLES), !wide) | flags |
               (uint64_t)chance(w, 2) << 7;
    uint64_t frame = chance(w, 2) ? HIGH : 0;
    if (!wide)
        frame = (frame & 0xffc00000) | (frame >> 32 & 0xff) << 13;
    flags |= (uint64_t)chance(w, 2) << 12; /* PAT */
    if (chance(w, 16))
        flags |= 1ull << (13 + random_below(&w->random, shift - 13));
    return frame | flags | 1 << 7;
}

/* Tables for `linear`, from the one at TABLE (of the world) on, whose entries cover 2^SHIFT bytes.
 */
static void make_tables(World *w, unsigned table, unsigned shift, unsigned leaf_shift, bool wide)
{
    unsigned bits = wide ? 9 : 10, size = wide ? 8 : 4;
    uint64_t at =
        (uint64_t)table * GUEST_PAGE_SIZE + (w->linear >> shift & ((1u << bits) - 1)) * size;

    if (shift == leaf_shift) {
        put(w, at, leaf_entry(w, shift, wide), size);
        return;
    }
    uint64_t entry = page_address(w, table + 1, !wide) | random_flags(w, wide);
    if ((!wide && !w->processor.pse) || chance(w, 24))
        entry |= (uint64_t)chance(w, 2) << 7;
    put(w, at, entry, size);
    make_tables(w, table + 1, shift - bits, leaf_shift, wide);
}

/* Registers of PAE paging; false if the tables were refused. */
static bool make_pdptes(World *w, unsigned table)
{
    uint64_t at = (uint64_t)table * GUEST_PAGE_SIZE + random_below(&w->random, 128) * 32;
    Cpu *cpu = w->fixture.cpu;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t entry = page_address(w, table + 1, false) | !chance(w, 8) | chance(w, 2) << 3 |
                         chance(w, 2) << 4 | random_below(&w->random, 8) << 9;
        if (chance(w, 48))
            entry |= 1ull << random_below(&w->random, 64);
        put(w, at + i * 8, entry, 8);
    }
    w->processor.cr3 = at;
    bool loads = model_load_pdptes(&w->processor, &w->memory, at);
    int vector = CATCH(cpu, mmu_load_pdptes(cpu, at));
    g_assert_cmpint(vector, ==, loads ? -1 : EXC_GP);
    return loads;
}

static bool make_case(World *w)
{
    static const uint8_t leaves[][3] = {{12, 22, 22}, {12, 21, 21}, {12, 21, 30}};
    ModelForm form = w->processor.form;
    unsigned leaf = leaves[form][random_below(&w->random, 3)];
    unsigned table = random_below(&w->random, TABLES - 4);

    /* In a large page the first bytes are the world, and stores shall not meet the tables. */
    w->linear = (random_next(&w->random) & ~7ull) | TABLES * GUEST_PAGE_SIZE;
    if (leaf > 12)
        w->linear = (w->linear & ~0ull << leaf) | (w->linear & (WORLD - 1));
    w->linear =
        form == MODEL_4_LEVEL ? (uint64_t)((int64_t)(w->linear << 16) >> 16) : (uint32_t)w->linear;
    w->processor.cr3 = (uint64_t)table * GUEST_PAGE_SIZE;
    switch (form) {
    case MODEL_32_BIT: make_tables(w, table, 22, leaf, false); break;
    case MODEL_PAE: make_tables(w, table + 1, 21, leaf, true); return make_pdptes(w, table);
    case MODEL_4_LEVEL:
        w->processor.cr3 = page_address(w, table, false) | random_below(&w->random, 4) << 3;
        make_tables(w, table, 39, leaf, true);
        break;
    }
    return true;
}

static void load_registers(World *w)
{
    const ModelProcessor *p = &w->processor;
    Cpu *cpu = w->fixture.cpu;

    cpu->cr0 = CR0_PE | CR0_PG | (p->wp ? CR0_WP : 0);
    cpu->cr4 = (p->form != MODEL_32_BIT ? CR4_PAE : 0) | (p->pse ? CR4_PSE : 0) |
               (p->pge ? CR4_PGE : 0) | (p->smep ? CR4_SMEP : 0) | (p->smap ? CR4_SMAP : 0);
    if (p->form == MODEL_4_LEVEL && w->pcids)
        cpu->cr4 |= CR4_PCIDE; /* what are PWT and PCD otherwise is the PCID */
    cpu->efer = (p->form == MODEL_4_LEVEL ? EFER_LME | EFER_LMA : 0) | (p->nxe ? EFER_NXE : 0);
    cpu->cr3 = p->cr3;
    cpu->page_1g = p->page_1g;
    mmu_flush_all(cpu);
}

/* --- accesses --------------------------------------------------------------------------------- */

static ModelAccess random_access(World *w)
{
    ModelAccess access = {
        .kind = random_below(&w->random, 3), .user = chance(w, 2), .ac = chance(w, 2)};

    access.implicit = access.kind != MODEL_FETCH && chance(w, 4);
    return access;
}

/* What the MMU does: the exception's vector or -1, the VALUE read or to be written. */
static int access_memory(World *w, uint64_t linear, ModelAccess access, uint64_t *value)
{
    Cpu *cpu = w->fixture.cpu;

    cpu->cpl = access.user ? 3 : random_below(&w->random, 3);
    cpu->rflags = RFLAGS_1 | (access.ac ? RFLAGS_AC : 0);
    cpu_update_mode(cpu);
    switch (access.kind) {
    case MODEL_READ:
        return CATCH(cpu, *value = access.implicit ? mmu_load_system(cpu, linear, 8)
                                                   : mmu_load(cpu, linear, 8));
    case MODEL_WRITE:
        return CATCH(cpu, access.implicit ? mmu_store_system(cpu, linear, *value, 8)
                                          : mmu_store(cpu, linear, *value, 8));
    default: {
        uint8_t bytes[INSN_MAX_BYTES];
        int vector = CATCH(cpu, mmu_fetch(cpu, linear, bytes, 8));
        memcpy(value, bytes, 8);
        return vector;
    }
    }
}

/* Fails with all that is known unless what the MMU did, VECTOR, is what the model EXPECTED. */
static void check(World *w, uint64_t linear, ModelAccess access, const ModelResult *expected,
                  int vector)
{
    static const char *const kinds[] = {"read", "write", "fetch"};
    const Cpu *cpu = w->fixture.cpu;
    bool same_fault =
        vector == EXC_PF && cpu->raised_error == expected->error && cpu->cr2 == linear;

    if (expected->faults ? same_fault : vector < 0)
        return;
    g_error("%s of %lx, CPL %u%s%s, CR0 %lx CR3 %lx CR4 %lx EFER %lx: model %s (error %x), "
            "MMU vector %d (error %x, CR2 %lx)",
            kinds[access.kind], linear, cpu->cpl, access.implicit ? ", implicit" : "",
            access.ac ? ", AC" : "", cpu->cr0, cpu->cr3, cpu->cr4, cpu->efer,
            expected->faults ? "faults" : "succeeds", expected->error, vector, cpu->raised_error,
            cpu->cr2);
}

static void check_memory(World *w)
{
    const uint8_t *ram = w->fixture.ram->host;

    for (unsigned i = 0; i < WORLD && memcmp(ram, w->model_ram, WORLD) != 0; i++)
        if (ram[i] != w->model_ram[i])
            g_error("RAM at %x: model %02x, MMU %02x", i, w->model_ram[i], ram[i]);
}

/* One access by both; returns the model's result. */
static ModelResult compare(World *w, uint64_t linear, ModelAccess access)
{
    uint64_t value = random_next(&w->random), physical;
    ModelResult expected = model_access(&w->processor, &w->memory, linear, access);

    if (access.kind == MODEL_WRITE && !expected.faults)
        model_write(w, expected.physical, value, 8);
    check(w, linear, access, &expected, access_memory(w, linear, access, &value));
    if (!expected.faults) {
        g_assert_true(mmu_translate_debug(w->fixture.cpu, linear, &physical));
        g_assert_cmphex(physical, ==, expected.physical);
        if (access.kind != MODEL_WRITE)
            g_assert_cmphex(value, ==, model_read(w, expected.physical, 8));
    }
    check_memory(w);
    w->n_accesses++;
    w->n_faults += expected.faults;
    return expected;
}

/* Away to another PCID and back, which nothing may be seen of: what the soft TLB had, the
 * second-level TLB has. */
static void switch_kept(World *w)
{
    Cpu *cpu = w->fixture.cpu;

    if (!(cpu->cr4 & CR4_PCIDE))
        return;
    cpu->cr3 ^= 1;
    mmu_switch_tables(cpu, chance(w, 2));
    cpu->cr3 ^= 1;
    mmu_switch_tables(cpu, true);
}

static void flush_all_non_global(World *w)
{
    Cpu *cpu = w->fixture.cpu;

    switch (random_below(&w->random, 3)) {
    case 0: mmu_flush_non_global(cpu); break;
    case 1: mmu_switch_tables(cpu, false); break;
    default: mmu_flush_pcid(cpu, paging_pcid(cpu));
    }
}

static void flush_page(World *w, uint64_t linear)
{
    Cpu *cpu = w->fixture.cpu;

    if (chance(w, 2))
        mmu_flush_page(cpu, linear);
    else
        mmu_flush_pcid_page(cpu, paging_pcid(cpu), linear);
}

/* The page goes. Then a flush of all that is not global, or of one address in it, must be seen;
 * what is global may stay (SDM 4.10.4.1). */
static void compare_flush(World *w)
{
    ModelAccess access = random_access(w);
    ModelResult result = compare(w, w->linear, access);
    bool all = chance(w, 2);

    if (chance(w, 2))
        switch_kept(w);

    if (result.faults || !model_byte(w, result.leaf))
        return;
    uint64_t leaf = model_read(w, result.leaf, result.leaf_size);
    put(w, result.leaf, leaf & ~1ull, result.leaf_size);
    if (all)
        flush_all_non_global(w);
    else
        flush_page(w, w->linear ^ (random_next(&w->random) & ((1ull << result.shift) - 1)));
    switch_kept(w);
    if (!(all && result.global))
        compare(w, w->linear, access);
}

static void run_case(World *w)
{
    choose_processor(w);
    load_registers(w);
    if (!make_case(w))
        return;
    load_registers(w);
    switch_kept(w);
    for (unsigned i = random_below(&w->random, ACCESSES) + 1; i > 0; i--) {
        compare(w, w->linear, random_access(w));
        if (chance(w, 2))
            switch_kept(w);
    }
    compare_flush(w);
}

/* --- all -------------------------------------------------------------------------------------- */

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 10) : otherwise;
}

static void make_world(World *w)
{
    Fixture *f = &w->fixture;
    g_autoptr(GError) error = NULL;

    f->memory = memory_map_new();
    f->ram = ram_block_new(f->memory, "ram", WORLD, &error);
    g_assert_no_error(error);
    memory_region_place(memory_region_new_ram(f->memory, "ram", f->ram, 0, WORLD), 0, 0);
    memory_region_place(memory_region_new_ram(f->memory, "high", f->ram, 0, WORLD), HIGH, 0);
    f->model = cpuid_model_new("max", 1, &error);
    g_assert_no_error(error);
    CpuConfig config = {.memory = f->memory, .model = f->model, .accel = CPU_ACCEL_INTERP};
    f->cpu = cpu_new(&config, &error);
    g_assert_no_error(error);
    w->model_ram = g_malloc0(WORLD);
    w->memory = (ModelMemory){model_read, model_write, w};
    for (unsigned i = TABLES * GUEST_PAGE_SIZE; i < WORLD; i += 8)
        put(w, i, random_next(&w->random), 8);
}

static void test_random_tables(void)
{
    uint64_t seed = number_from("PAGING_SEED", 1), cases = number_from("PAGING_CASES", CASES);
    World w = {.random = {seed}};

    make_world(&w);
    for (uint64_t i = 0; i < cases; i++)
        run_case(&w);
    g_test_message(
        "seed %lu: %lu cases, %lu accesses, %lu of them faulted, %lu by the second-level TLB", seed,
        cases, w.n_accesses, w.n_faults, w.fixture.cpu->second_tlb.n_hits);
    g_assert_cmpuint(w.fixture.cpu->second_tlb.n_hits, >, 0);
    g_free(w.model_ram);
    fixture_tear_down(&w.fixture, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/paging-model/random-tables", test_random_tables);
    return g_test_run();
}
