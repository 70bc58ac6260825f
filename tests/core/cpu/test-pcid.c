/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Process-context identifiers (SDM 4.10.1), INVPCID (SDM 2A) and the second-level TLB. */

#include "cpu-fixture.h"

enum { P = 1, W = 2, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NO_FLUSH (1ull << 63)

/* Two sets of tables: linear 400000h shows another page in each. */
#define ROOT_A   0x1000
#define ROOT_B   0x2000
#define PAGE     0x400000
#define SHARED   0x401000 /* global */

static void make_tables(Fixture *f, uint64_t root, uint64_t frame)
{
    poke64(f, root, (root + 0x10000) | P | W);
    poke64(f, root + 0x10000, (root + 0x20000) | P | W);
    poke64(f, root + 0x20000 + 16, (root + 0x30000) | P | W);
    poke64(f, root + 0x30000, frame | P | W);
    poke64(f, root + 0x30008, (frame + 0x1000) | P | W | G);
    poke64(f, frame, frame);
    poke64(f, frame + 0x1000, frame + 0x1000);
}

static void set_up(Fixture *f, gconstpointer data)
{
    fixture_set_up(f, data);
    Cpu *cpu = f->cpu;
    make_tables(f, ROOT_A, 0x100000);
    make_tables(f, ROOT_B, 0x200000);
    cpu->cr0 |= CR0_PE | CR0_PG | CR0_WP;
    cpu->cr3 = ROOT_A;
    cpu->cr4 = CR4_PAE | CR4_PGE;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->seg[SEG_CS].attributes |= ATTR_L;
    mmu_flush_all(cpu);
    cpu_update_mode(cpu);
}

static void switch_on(Cpu *cpu)
{
    assert_succeeds(cpu, system_mov_to_cr(cpu, 4, cpu->cr4 | CR4_PCIDE));
}

static void test_switching_on(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    uint64_t wanted = cpu->cr4 | CR4_PCIDE;

    /* Bits 11:0 of CR3 must be 0, and the processor in long mode. */
    cpu->cr3 = ROOT_A | 8;
    assert_raises(cpu, system_mov_to_cr(cpu, 4, wanted), EXC_GP, 0);
    cpu->cr3 = ROOT_A;
    cpu->efer &= ~EFER_LMA;
    assert_raises(cpu, system_mov_to_cr(cpu, 4, wanted), EXC_GP, 0);
    cpu->efer |= EFER_LMA;
    assert_succeeds(cpu, system_mov_to_cr(cpu, 4, wanted));
    /* Paging stays on, even from compatibility mode. */
    cpu->seg[SEG_CS].attributes &= ~ATTR_L;
    cpu_update_mode(cpu);
    assert_raises(cpu, system_mov_to_cr(cpu, 0, cpu->cr0 & ~CR0_PG), EXC_GP, 0);
    /* It may be set again whatever the PCID is. */
    assert_succeeds(cpu, system_mov_to_cr(cpu, 3, ROOT_A | 5));
    assert_succeeds(cpu, system_mov_to_cr(cpu, 4, wanted));
    assert_succeeds(cpu, system_mov_to_cr(cpu, 4, wanted & ~CR4_PCIDE));
}

static void test_cr3(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    assert_raises(cpu, system_mov_to_cr(cpu, 3, ROOT_B | NO_FLUSH), EXC_GP, 0);
    switch_on(cpu);
    assert_succeeds(cpu, system_mov_to_cr(cpu, 3, ROOT_B | 0xabc | NO_FLUSH));
    assert_succeeds(cpu, g_assert_cmphex(system_mov_from_cr(cpu, 3), ==, ROOT_B | 0xabc));
    assert_raises(cpu, system_mov_to_cr(cpu, 3, ROOT_B | 1ull << 62), EXC_GP, 0);
    /* Bits 3 and 4 are no PWT and PCD, and no part of the address. */
    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, PAGE, 8), ==, 0x200000));
}

/* A PCID shows its own pages, whether the others' may be kept or not. */
static void test_address_spaces(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    switch_on(cpu);
    for (volatile unsigned i = 0; i < 4; i++) {
        volatile uint64_t keep = i < 2 ? 0 : NO_FLUSH;
        assert_succeeds(cpu, system_mov_to_cr(cpu, 3, ROOT_A | 1 | keep));
        assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, PAGE, 8), ==, 0x100000));
        assert_succeeds(cpu, system_mov_to_cr(cpu, 3, ROOT_B | 2 | keep));
        assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, PAGE, 8), ==, 0x200000));
    }
    /* Without bit 63 the new PCID's entries go, should there be any. */
    assert_succeeds(cpu, system_mov_to_cr(cpu, 3, ROOT_A | 1));
    poke64(f, ROOT_B + 0x30000, 0x300000 | P | W);
    poke64(f, 0x300000, 0x300000);
    assert_succeeds(cpu, system_mov_to_cr(cpu, 3, ROOT_B | 2));
    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, PAGE, 8), ==, 0x300000));
}

static void test_invpcid_faults(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    assert_raises(cpu, system_invpcid(cpu, 4, 0, 0), EXC_GP, 0);
    assert_raises(cpu, system_invpcid(cpu, 1ull << 32, 0, 0), EXC_GP, 0);
    for (volatile unsigned type = 0; type <= 3; type++)
        assert_raises(cpu, system_invpcid(cpu, type, 0x1000, 0), EXC_GP, 0);
    /* Without CR4.PCIDE there is PCID 0 only, which types 2 and 3 do not look at. */
    for (volatile unsigned type = 0; type <= 1; type++)
        assert_raises(cpu, system_invpcid(cpu, type, 1, 0), EXC_GP, 0);
    for (volatile unsigned type = 2; type <= 3; type++)
        assert_succeeds(cpu, system_invpcid(cpu, type, 1, 0));
    switch_on(cpu);
    for (volatile unsigned type = 0; type <= 3; type++)
        assert_succeeds(cpu, system_invpcid(cpu, type, 1, 0));
    assert_raises(cpu, system_invpcid(cpu, 0, 1, 1ull << 47), EXC_GP, 0);
    assert_succeeds(cpu, system_invpcid(cpu, 1, 1, 1ull << 47));
    cpu->cpl = 3;
    assert_raises(cpu, system_invpcid(cpu, 2, 0, 0), EXC_GP, 0);
}

/* Each type, of the current PCID: the entry changes and is seen at once. */
static void test_invpcid_types(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    switch_on(cpu);
    assert_succeeds(cpu, system_mov_to_cr(cpu, 3, ROOT_A | 1));
    for (volatile unsigned type = 0; type <= 3; type++) {
        volatile uint64_t frame = 0x300000 + type * 0x1000;
        assert_succeeds(cpu, mmu_load(cpu, PAGE, 8));
        poke64(f, frame, type + 77);
        poke64(f, ROOT_A + 0x30000, frame | P | W);
        assert_succeeds(cpu, system_invpcid(cpu, type, 1, PAGE));
        assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, PAGE, 8), ==, type + 77));
    }
    /* Type 2 takes global ones, too. */
    assert_succeeds(cpu, mmu_load(cpu, SHARED, 8));
    poke64(f, ROOT_A + 0x30008, 0x300000 | P | W | G);
    assert_succeeds(cpu, system_invpcid(cpu, 2, 0, 0));
    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, SHARED, 8), ==, 77));
}

/* --- what is kept -------------------------------------------------------------------------------
 */

#define PTE(ROOT) ((ROOT) + 0x30000) /* of PAGE */

static void switch_to(Cpu *cpu, uint64_t cr3)
{
    assert_succeeds(cpu, system_mov_to_cr(cpu, 3, cr3));
}

static void away_and_back(Cpu *cpu)
{
    switch_to(cpu, ROOT_B | 2 | NO_FLUSH);
    switch_to(cpu, ROOT_A | 1 | NO_FLUSH);
}

/* HITS: of the second-level TLB. */
static void check_load(Cpu *cpu, uint64_t linear, uint64_t value, uint64_t hits)
{
    uint64_t before = cpu->second_tlb.n_hits;

    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, linear, 8), ==, value));
    g_assert_cmpuint(cpu->second_tlb.n_hits - before, ==, hits);
}

/* PCID 1 is the current one, and PAGE of it known after a change of CR3. */
static void begin_kept(Fixture *f)
{
    switch_on(f->cpu);
    switch_to(f->cpu, ROOT_B | 2 | NO_FLUSH);
    check_load(f->cpu, PAGE, 0x200000, 0);
    switch_to(f->cpu, ROOT_A | 1 | NO_FLUSH);
    check_load(f->cpu, PAGE, 0x100000, 0);
    away_and_back(f->cpu);
    check_load(f->cpu, PAGE, 0x100000, 1);
}

static void test_kept(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    begin_kept(f);
    /* Each PCID has its own. */
    switch_to(cpu, ROOT_B | 2 | NO_FLUSH);
    check_load(cpu, PAGE, 0x200000, 1);
    /* Fetches are loads of the same page. */
    away_and_back(cpu);
    uint64_t before = cpu->second_tlb.n_hits;
    assert_succeeds(cpu, mmu_fetch_entry(cpu, PAGE));
    g_assert_cmpuint(cpu->second_tlb.n_hits, ==, before + 1);
    /* A store sets D by a walk, the next after that needs none. */
    g_assert_cmphex(peek64(f, PTE(ROOT_A)), ==, (0x100000 | P | W | A));
    for (volatile unsigned i = 0; i < 2; i++) {
        away_and_back(cpu);
        before = cpu->second_tlb.n_hits;
        assert_succeeds(cpu, mmu_store(cpu, PAGE, 7 + i, 8));
        g_assert_cmphex(peek64(f, PTE(ROOT_A)), ==, (0x100000 | P | W | A | D));
        g_assert_cmphex(peek64(f, 0x100000), ==, 7 + i);
        g_assert_cmpuint(cpu->second_tlb.n_hits, ==, before + i);
    }
}

/* Every one is from PCID 1 with PAGE at 100000h, and the PTE then says 300000h. */
typedef void (*Invalidation)(Cpu *cpu);

static void by_invlpg(Cpu *cpu)
{
    system_invlpg(cpu, PAGE + 0x123);
}

static void by_invpcid_0(Cpu *cpu)
{
    system_invpcid(cpu, 0, 1, PAGE);
}

static void by_invpcid_1(Cpu *cpu)
{
    system_invpcid(cpu, 1, 1, 0);
}

static void by_invpcid_2(Cpu *cpu)
{
    system_invpcid(cpu, 2, 0, 0);
}

static void by_invpcid_3(Cpu *cpu)
{
    system_invpcid(cpu, 3, 0, 0);
}

static void by_cr3(Cpu *cpu)
{
    system_mov_to_cr(cpu, 3, ROOT_A | 1);
}

static void by_other_bits(Cpu *cpu)
{
    system_mov_to_cr(cpu, 3, ROOT_B | 1);
}

static void by_pge(Cpu *cpu)
{
    system_mov_to_cr(cpu, 4, cpu->cr4 ^ CR4_PGE);
}

static void by_smep(Cpu *cpu)
{
    system_mov_to_cr(cpu, 4, cpu->cr4 ^ CR4_SMEP);
}

static void by_pcide(Cpu *cpu)
{
    system_mov_to_cr(cpu, 4, cpu->cr4 & ~CR4_PCIDE);
    system_mov_to_cr(cpu, 3, ROOT_A);
    system_mov_to_cr(cpu, 4, cpu->cr4 | CR4_PCIDE);
}

static void by_map(Cpu *cpu)
{
    mmu_forget_map(cpu);
}

static void by_lockstep(Cpu *cpu)
{
    mmu_drop(cpu);
}

static void by_lockstep_step(Cpu *cpu)
{
    mmu_drop_stores(cpu);
}

static const Invalidation invalidations[] = {
    by_invlpg, by_invpcid_0,  by_invpcid_1,     by_invpcid_2, by_invpcid_3,
    by_cr3,    by_other_bits, by_pge,           by_smep,      by_pcide,
    by_map,    by_lockstep,   by_lockstep_step,
};

/* From the PCID itself, or from another where that concerns PCID 1, too. */
static void test_invalidations(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    begin_kept(f);
    poke64(f, 0x300000, 0x300000);
    for (volatile unsigned i = 0; i < 2 * G_N_ELEMENTS(invalidations); i++) {
        Invalidation invalidation = invalidations[i / 2];
        if (i & 1) {
            if (invalidation == by_invlpg)
                continue;
            switch_to(cpu, ROOT_B | 2 | NO_FLUSH);
        }
        poke64(f, PTE(ROOT_A), 0x300000 | P | W);
        assert_succeeds(cpu, invalidation(cpu));
        switch_to(cpu, ROOT_A | 1 | NO_FLUSH);
        check_load(cpu, PAGE, 0x300000, 0);

        poke64(f, PTE(ROOT_A), 0x100000 | P | W);
        assert_succeeds(cpu, by_invpcid_2(cpu));
        away_and_back(cpu);
        check_load(cpu, PAGE, 0x100000, 0);
        away_and_back(cpu);
        check_load(cpu, PAGE, 0x100000, 1);
    }
    /* INIT, after which nothing is as it was. */
    poke64(f, PTE(ROOT_A), 0x300000 | P | W);
    cpu_init_signal(cpu);
    cpu->cr0 |= CR0_PE | CR0_PG | CR0_WP;
    cpu->cr4 = CR4_PAE | CR4_PGE | CR4_PCIDE;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->seg[SEG_CS].attributes |= ATTR_L;
    cpu_update_mode(cpu);
    switch_to(cpu, ROOT_A | 1 | NO_FLUSH);
    check_load(cpu, PAGE, 0x300000, 0);
}

/* What concerns another PCID leaves this one's. */
static void test_others_stay(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    begin_kept(f);
    switch_to(cpu, ROOT_B | 2 | NO_FLUSH);
    assert_succeeds(cpu, system_invlpg(cpu, PAGE));
    assert_succeeds(cpu, system_invpcid(cpu, 0, 3, PAGE));
    assert_succeeds(cpu, system_invpcid(cpu, 1, 2, 0));
    assert_succeeds(cpu, system_invpcid(cpu, 1, 3, 0));
    switch_to(cpu, ROOT_B | 3);
    switch_to(cpu, ROOT_A | 1 | NO_FLUSH);
    check_load(cpu, PAGE, 0x100000, 1);
}

/* Not so INVLPG of a global page, wherever its entry came from. */
static void test_global(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    begin_kept(f);
    check_load(cpu, SHARED, 0x101000, 0);
    away_and_back(cpu);
    poke64(f, PTE(ROOT_A) + 8, 0x300000 | P | W | G);
    switch_to(cpu, ROOT_B | 2 | NO_FLUSH);
    assert_succeeds(cpu, system_invlpg(cpu, SHARED));
    switch_to(cpu, ROOT_A | 1 | NO_FLUSH);
    check_load(cpu, SHARED, 0, 0);
}

/* One entry for all of a large page, of which INVLPG of any byte drops every piece (4.10.4.1). */
static void check_large(Fixture *f, uint64_t entry, uint64_t linear, uint64_t size)
{
    Cpu *cpu = f->cpu;
    uint64_t value = (size - 0x1000) % FIXTURE_RAM, last = linear + size - 0x1000;

    poke64(f, value, 0x1234);
    poke64(f, entry, P | W | PS);
    check_load(cpu, linear + 0x800000 % size, peek64(f, 0x800000 % size), 0);
    away_and_back(cpu);
    check_load(cpu, linear + 0xc00000 % size, peek64(f, 0xc00000 % size), 1);
    poke64(f, entry, 0);
    assert_succeeds(cpu, system_invlpg(cpu, last));
    away_and_back(cpu);
    assert_raises(cpu, mmu_load(cpu, linear, 8), EXC_PF, 0);
    assert_raises(cpu, mmu_load(cpu, linear + 0xc00000 % size, 8), EXC_PF, 0);
}

static void test_large(Fixture *f, gconstpointer data)
{
    begin_kept(f);
    check_large(f, ROOT_A + 0x20000 + 24, 0x600000, 0x200000);
    check_large(f, ROOT_A + 0x10000 + 8, 0x40000000, 0x40000000);
    /* The first 4 KiB of linear memory are not taken for more. */
    poke64(f, ROOT_A + 0x20000, (ROOT_A + 0x40000) | P | W);
    poke64(f, ROOT_A + 0x40000, 0x100000 | P | W);
    poke64(f, ROOT_A + 0x40000 + 5 * 8, 0x300000 | P | W);
    poke64(f, 0x300000, 0x300000);
    check_load(f->cpu, 0, 0x100000, 0);
    away_and_back(f->cpu);
    check_load(f->cpu, 0x5000, 0x300000, 0);
}

/* Rights that the guest has widened need no flush (4.10.4.3), and an address that raised #PF is
 * forgotten (4.10.4.1). */
static void test_rights(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    begin_kept(f);
    poke64(f, PTE(ROOT_A), 0x100000 | P | A | D);
    assert_succeeds(cpu, system_invlpg(cpu, PAGE));
    check_load(cpu, PAGE, 0x100000, 0);
    away_and_back(cpu);
    poke64(f, PTE(ROOT_A), 0x100000 | P | W | A | D);
    assert_succeeds(cpu, mmu_store(cpu, PAGE, 5, 8));

    poke64(f, PTE(ROOT_A), 0x100000 | P | A | D);
    assert_succeeds(cpu, system_invlpg(cpu, PAGE));
    check_load(cpu, PAGE, 5, 0);
    away_and_back(cpu);
    assert_raises(cpu, mmu_store(cpu, PAGE, 6, 8), EXC_PF, PF_P | PF_W);
    poke64(f, 0x300000, 0x300000);
    poke64(f, PTE(ROOT_A), 0x300000 | P | A | D);
    check_load(cpu, PAGE, 0x300000, 0);

    /* No right is found that was not there. */
    away_and_back(cpu);
    cpu->cpl = 3;
    cpu_update_mode(cpu);
    assert_raises(cpu, mmu_load(cpu, PAGE, 8), EXC_PF, PF_P | PF_U);
}

/* Tags come to their end: those that are given again show nothing old. */
static void test_many_tags(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    begin_kept(f);
    cpu->second_tlb.newest = (1 << 26) - 4;
    for (volatile unsigned pcid = 3; pcid < 16; pcid++) {
        switch_to(cpu, ROOT_B | pcid | NO_FLUSH);
        check_load(cpu, PAGE, 0x200000, 0);
    }
    g_assert_cmpuint(cpu->second_tlb.newest, <, 16);
    switch_to(cpu, ROOT_A | 1 | NO_FLUSH);
    check_load(cpu, PAGE, 0x100000, 0);
}

/* INVPCID exists in real mode, too; in virtual-8086 mode it raises #GP. */
static void test_real_mode(Fixture *f, gconstpointer data)
{
    const uint8_t code[] = {0x66, 0x0f, 0x38, 0x82, 0x07}; /* invpcid eax, [bx] */
    Cpu *cpu = f->cpu;

    cpu_reset(cpu);
    cpu->rip = 0x500;
    cpu->seg[SEG_CS].selector = 0;
    cpu->seg[SEG_CS].base = 0;
    cpu->gpr[RBX] = 0x600;
    cpu->gpr[RAX] = 2;
    cpu_update_mode(cpu);
    poke(f, 0x500, code, sizeof code);
    cpu_step(cpu, 1);
    g_assert_cmphex(cpu->rip, ==, 0x500 + sizeof code);
    /* The handler of #GP is at 700h, that of #UD at 0. */
    poke32(f, EXC_GP * 4, 0x700);
    cpu->rip = 0x500;
    cpu->gpr[RAX] = 4;
    cpu_step(cpu, 1);
    g_assert_cmphex(cpu->rip, ==, 0x700);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*func)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/cpu/pcid/switching-on", test_switching_on},
        {"/cpu/pcid/cr3", test_cr3},
        {"/cpu/pcid/address-spaces", test_address_spaces},
        {"/cpu/pcid/invpcid-faults", test_invpcid_faults},
        {"/cpu/pcid/invpcid-types", test_invpcid_types},
        {"/cpu/pcid/real-mode", test_real_mode},
        {"/cpu/pcid/kept", test_kept},
        {"/cpu/pcid/invalidations", test_invalidations},
        {"/cpu/pcid/others-stay", test_others_stay},
        {"/cpu/pcid/global", test_global},
        {"/cpu/pcid/large", test_large},
        {"/cpu/pcid/rights", test_rights},
        {"/cpu/pcid/many-tags", test_many_tags},
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].func, fixture_tear_down);
    return g_test_run();
}
