/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Process-context identifiers (SDM 4.10.1) and INVPCID (SDM 2A). */

#include "cpu-fixture.h"

enum { P = 1, W = 2, G = 0x100 };
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
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].func, fixture_tear_down);
    return g_test_run();
}
