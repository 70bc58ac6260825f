/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The three paging forms: translation, A and D bits, rights, reserved bits, the TLB's coherence. */

#include "cpu-fixture.h"

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX   (1ull << 63)

#define ROOT 0x1000
#define L3   0x2000
#define L2   0x3000
#define L1   0x4000
#define DATA 0x100000

static void enable(Fixture *f, uint64_t cr4, uint64_t efer)
{
    Cpu *cpu = f->cpu;

    cpu->cr3 = ROOT;
    cpu->cr4 = cr4;
    cpu->efer = efer;
    cpu->cr0 |= CR0_PE | CR0_PG;
    mmu_flush_all(cpu);
    cpu_update_mode(cpu);
}

/* Linear 400000h (2^22) upwards: one table a level. */
static void long_mode_tables(Fixture *f)
{
    poke64(f, ROOT, L3 | P | W | U);
    poke64(f, L3, L2 | P | W | U);
    poke64(f, L2 + 2 * 8, L1 | P | W | U);
    enable(f, CR4_PAE, EFER_LME | EFER_LMA | EFER_NXE);
}

static void set_cpl(Cpu *cpu, unsigned cpl)
{
    cpu->cpl = (uint8_t)cpl;
    cpu_update_mode(cpu);
}

static void test_unpaged(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    poke32(f, 0x1234, 0xcafef00d);
    g_assert_cmphex(mmu_load(cpu, 0x1234, 4), ==, 0xcafef00d);
    /* Linear addresses are 32 bits wide here. */
    g_assert_cmphex(mmu_load(cpu, 0x100001234, 4), ==, 0xcafef00d);
    mmu_store(cpu, 0x1ffe, 0x11223344, 4); /* crosses a page */
    g_assert_cmphex(peek32(f, 0x1ffe), ==, 0x11223344);
    /* Past 4 GiB: wraps to zero. */
    poke32(f, 0, 0x55667788);
    poke32(f, FIXTURE_RAM - 4, 0x11223344);
    g_assert_cmphex(mmu_load(cpu, 0xfffffffe, 4), ==, 0x77881122);
    /* Nothing there: ones; writes vanish. */
    mmu_store(cpu, 0x80000000, 0, 4);
    g_assert_cmphex(mmu_load(cpu, 0x80000000, 4), ==, 0xffffffff);
}

static void test_a20(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    poke32(f, 0x500, 0x11111111);
    poke32(f, 0x100500, 0x22222222);
    g_assert_cmphex(mmu_load(cpu, 0x100500, 4), ==, 0x22222222);
    cpu->a20_mask_off = false;
    mmu_flush_all(cpu);
    g_assert_cmphex(mmu_load(cpu, 0x100500, 4), ==, 0x11111111);
}

static void test_long_mode(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    long_mode_tables(f);
    poke64(f, L1, DATA | P | W);
    poke64(f, DATA + 8, 0x123456789abcdef0);
    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, 0x400008, 8), ==, 0x123456789abcdef0));
    g_assert_cmphex(peek64(f, L1), ==, (DATA | P | W | A));
    g_assert_cmphex(peek64(f, ROOT) & A, ==, A);
    g_assert_cmphex(peek64(f, L2 + 16) & (A | D), ==, A);
    /* D comes with the first store, though the page is in the TLB. */
    assert_succeeds(cpu, mmu_store(cpu, 0x400010, 0x55, 1));
    g_assert_cmphex(peek64(f, L1), ==, (DATA | P | W | A | D));
    g_assert_cmphex(f->ram->host[DATA + 16], ==, 0x55);

    assert_raises(cpu, mmu_load(cpu, 0x401000, 4), EXC_PF, 0);
    g_assert_cmphex(cpu->cr2, ==, 0x401000);
    assert_raises(cpu, mmu_store(cpu, 0x401004, 0, 4), EXC_PF, PF_W);
    g_assert_cmphex(cpu->cr2, ==, 0x401004);
}

static void test_crossing(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    long_mode_tables(f);
    poke64(f, L1, DATA | P | W);
    poke64(f, L1 + 8, (DATA + 0x5000) | P);
    poke64(f, DATA + 0xff8, 0);
    /* The second page is read-only: nothing of the store may land in the first. */
    assert_succeeds(cpu, mmu_load(cpu, 0x400ffe, 4));
    cpu->cr0 |= CR0_WP;
    mmu_flush_all(cpu);
    assert_raises(cpu, mmu_store(cpu, 0x400ffe, 0xffffffff, 4), EXC_PF, PF_P | PF_W);
    g_assert_cmphex(cpu->cr2, ==, 0x401000);
    g_assert_cmphex(peek64(f, DATA + 0xff8), ==, 0);

    poke64(f, L1 + 8, (DATA + 0x5000) | P | W);
    mmu_flush_page(cpu, 0x401000);
    assert_succeeds(cpu, mmu_store(cpu, 0x400ffd, 0x8877665544332211, 8));
    g_assert_cmphex(peek64(f, DATA + 0xffd) & 0xffffff, ==, 0x332211);
    g_assert_cmphex(peek64(f, DATA + 0x5000) & 0xffffffffff, ==, 0x8877665544);
    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, 0x400ffd, 8), ==, 0x8877665544332211));
}

static void test_rights(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    long_mode_tables(f);
    poke64(f, L1, DATA | P | W);               /* supervisor */
    poke64(f, L1 + 8, DATA | P | U);           /* user, read-only */
    poke64(f, L1 + 16, DATA | P | W | U | NX); /* user data */

    set_cpl(cpu, 3);
    assert_raises(cpu, mmu_load(cpu, 0x400000, 4), EXC_PF, PF_P | PF_U);
    assert_raises(cpu, mmu_store(cpu, 0x400000, 0, 4), EXC_PF, PF_P | PF_U | PF_W);
    assert_succeeds(cpu, mmu_load(cpu, 0x401000, 4));
    assert_raises(cpu, mmu_store(cpu, 0x401000, 0, 4), EXC_PF, PF_P | PF_U | PF_W);
    assert_succeeds(cpu, mmu_store(cpu, 0x402000, 0, 4));
    assert_succeeds(cpu, mmu_fetch_entry(cpu, 0x401000));
    assert_raises(cpu, mmu_fetch_entry(cpu, 0x402000), EXC_PF, PF_P | PF_U | PF_I);
    /* The system's own accesses ignore the level. */
    assert_succeeds(cpu, mmu_load_system(cpu, 0x400000, 4));
    assert_raises(cpu, mmu_load(cpu, 0x400000, 4), EXC_PF, PF_P | PF_U);

    set_cpl(cpu, 0);
    assert_succeeds(cpu, mmu_store(cpu, 0x401000, 0, 4)); /* CR0.WP is clear */
    cpu->cr0 |= CR0_WP;
    mmu_flush_all(cpu);
    assert_raises(cpu, mmu_store(cpu, 0x401000, 0, 4), EXC_PF, PF_P | PF_W);
    /* A failed access leaves D alone. */
    poke64(f, L1 + 8, DATA | P | U);
    mmu_flush_all(cpu);
    assert_raises(cpu, mmu_store(cpu, 0x401000, 0, 4), EXC_PF, PF_P | PF_W);
    g_assert_cmphex(peek64(f, L1 + 8), ==, (DATA | P | U));

    cpu->cr4 |= CR4_SMEP;
    mmu_flush_all(cpu);
    assert_raises(cpu, mmu_fetch_entry(cpu, 0x401000), EXC_PF, PF_P | PF_I);
    assert_succeeds(cpu, mmu_fetch_entry(cpu, 0x400000));

    cpu->cr4 |= CR4_SMAP;
    mmu_flush_all(cpu);
    cpu_update_mode(cpu);
    assert_raises(cpu, mmu_load(cpu, 0x401000, 4), EXC_PF, PF_P);
    cpu_set_rflags(cpu, RFLAGS_AC, RFLAGS_AC);
    assert_succeeds(cpu, mmu_load(cpu, 0x401000, 4));
    assert_raises(cpu, mmu_load_system(cpu, 0x401000, 4), EXC_PF, PF_P); /* implicit */
    cpu_set_rflags(cpu, 0, RFLAGS_AC);
    assert_raises(cpu, mmu_load(cpu, 0x401000, 4), EXC_PF, PF_P);
}

static void test_reserved(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    long_mode_tables(f);
    poke64(f, L1, DATA | P | W | 1ull << CPUID_PHYSICAL_BITS);
    assert_raises(cpu, mmu_load(cpu, 0x400000, 4), EXC_PF, PF_P | PF_RSVD);
    set_cpl(cpu, 3);
    assert_raises(cpu, mmu_store(cpu, 0x400000, 0, 4), EXC_PF, PF_P | PF_RSVD | PF_W | PF_U);
    set_cpl(cpu, 0);
    /* NX is reserved without EFER.NXE. */
    poke64(f, L1, DATA | P | W | NX);
    cpu->efer &= ~EFER_NXE;
    assert_raises(cpu, mmu_load(cpu, 0x400000, 4), EXC_PF, PF_P | PF_RSVD);
    /* 2 MiB pages: bits 20:13. */
    poke64(f, L2 + 16, 0x202000 | P | W | PS);
    assert_raises(cpu, mmu_load(cpu, 0x400000, 4), EXC_PF, PF_P | PF_RSVD);
    /* PS in a PML4E. */
    poke64(f, ROOT, L3 | P | W | U | PS);
    assert_raises(cpu, mmu_load(cpu, 0x400000, 4), EXC_PF, PF_P | PF_RSVD);
}

static void test_large(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    long_mode_tables(f);
    poke64(f, L2 + 3 * 8, 0x400000 | P | W | PS);
    poke64(f, 0x4abcd8, 77);
    assert_succeeds(cpu, g_assert_cmpuint(mmu_load(cpu, 0x6abcd8, 8), ==, 77));
    g_assert_cmphex(peek64(f, L2 + 24), ==, (0x400000 | P | W | PS | A));
    assert_succeeds(cpu, mmu_store(cpu, 0x6abcd8, 78, 8));
    g_assert_cmphex(peek64(f, L2 + 24), ==, (0x400000 | P | W | PS | A | D));
    /* INVLPG of one address drops every piece of the large page. */
    poke64(f, L2 + 24, 0);
    mmu_flush_page(cpu, 0x600000);
    assert_raises(cpu, mmu_load(cpu, 0x6abcd8, 8), EXC_PF, 0);

    poke64(f, L3 + 8, P | W | PS); /* 1 GiB at 0 */
    assert_succeeds(cpu, g_assert_cmpuint(mmu_load(cpu, 0x40000000 + 0x4abcd8, 8), ==, 78));
    /* Far from the piece that was used, it is dropped all the same. */
    poke64(f, L3 + 8, 0);
    mmu_flush_page(cpu, 0x40000000 + 0x30000000);
    assert_raises(cpu, mmu_load(cpu, 0x40000000 + 0x4abcd8, 8), EXC_PF, 0);
    /* Bits 29:13 are reserved in a 1 GiB entry. */
    poke64(f, L3 + 8, 0x200000 | P | W | PS);
    mmu_flush_all(cpu);
    assert_raises(cpu, mmu_load(cpu, 0x40000000, 8), EXC_PF, PF_P | PF_RSVD);
}

static void test_32_bit(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    poke32(f, ROOT + 4, L1 | P | W | U);
    poke32(f, L1 + 4, DATA | P | W | U);
    poke32(f, ROOT + 8, 0x400000 | P | W | PS);
    enable(f, CR4_PSE, 0);
    poke32(f, DATA + 4, 0xabcdef01);
    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, 0x401004, 4), ==, 0xabcdef01));
    g_assert_cmphex(peek32(f, L1 + 4), ==, (DATA | P | W | U | A));
    assert_succeeds(cpu, mmu_store(cpu, 0x401004, 1, 4));
    g_assert_cmphex(peek32(f, L1 + 4), ==, (DATA | P | W | U | A | D));
    poke32(f, 0x500000, 0x31415926);
    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, 0x900000, 4), ==, 0x31415926));
    /* No I bit without SMEP or NX. */
    poke32(f, L1 + 8, DATA | P);
    set_cpl(cpu, 3);
    assert_raises(cpu, mmu_fetch_entry(cpu, 0x402000), EXC_PF, PF_P | PF_U);
    set_cpl(cpu, 0);
    /* PSE-36: bits 16:13 are address bits 35:32; bit 21 is reserved. */
    poke32(f, ROOT + 12, 0x400000 | P | W | PS | 1 << 13);
    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, 0xc00000, 4), ==, 0xffffffff));
    poke32(f, ROOT + 12, 0x400000 | P | W | PS | 1 << 21);
    mmu_flush_all(cpu);
    assert_raises(cpu, mmu_load(cpu, 0xc00000, 4), EXC_PF, PF_P | PF_RSVD);
    /* Without CR4.PSE the PS bit says nothing. */
    cpu->cr4 = 0;
    mmu_flush_all(cpu);
    poke32(f, ROOT + 8, L1 | P | W | PS);
    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, 0x801004, 4), ==, 1));
}

static void test_pae(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    poke64(f, ROOT, L2 | P);
    poke64(f, ROOT + 8, L3 | P | W); /* W is reserved in a PDPTE */
    assert_raises(cpu, mmu_load_pdptes(cpu, ROOT), EXC_GP, 0);
    poke64(f, ROOT + 8, 0);
    assert_succeeds(cpu, mmu_load_pdptes(cpu, ROOT));
    poke64(f, L2 + 2 * 8, L1 | P | W);
    poke64(f, L1, DATA | P | W);
    poke64(f, L2 + 3 * 8, 0x600000 | P | W | PS);
    enable(f, CR4_PAE, EFER_NXE);
    poke32(f, DATA, 0x1001);
    poke32(f, 0x612344, 0x2002);
    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, 0x400000, 4), ==, 0x1001));
    assert_succeeds(cpu, g_assert_cmphex(mmu_load(cpu, 0x612344, 4), ==, 0x2002));
    assert_raises(cpu, mmu_load(cpu, 0x40000000, 4), EXC_PF, 0);
    g_assert_cmphex(peek64(f, ROOT), ==, (L2 | P)); /* no A bit in a PDPTE */
    poke64(f, L1 + 8, DATA | P | W | 1ull << 55);   /* reserved outside long mode */
    assert_raises(cpu, mmu_load(cpu, 0x401000, 4), EXC_PF, PF_P | PF_RSVD);
}

static void test_global(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    long_mode_tables(f);
    cpu->cr4 |= CR4_PGE;
    poke64(f, L1, DATA | P | W | G);
    poke64(f, L1 + 8, DATA | P | W);
    assert_succeeds(cpu, mmu_load(cpu, 0x400000, 4));
    assert_succeeds(cpu, mmu_load(cpu, 0x401000, 4));
    poke64(f, L1, 0);
    poke64(f, L1 + 8, 0);
    assert_succeeds(cpu, mmu_load(cpu, 0x401000, 4)); /* still in the TLB */
    mmu_flush_non_global(cpu);
    assert_succeeds(cpu, mmu_load(cpu, 0x400000, 4));
    assert_raises(cpu, mmu_load(cpu, 0x401000, 4), EXC_PF, 0);
    mmu_flush_page(cpu, 0x400000);
    assert_raises(cpu, mmu_load(cpu, 0x400000, 4), EXC_PF, 0);
}

/* Stores to a page with translated code or a clean mark take the slow path. */
static unsigned code_stores;

static void count_code_store(Cpu *cpu, RamBlock *block, uint64_t offset, unsigned length)
{
    code_stores += length;
    g_assert_cmphex(offset, ==, 0x5008);
}

static void test_page_flags(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    mmu_store(cpu, 0x5000, 1, 1);
    g_assert_nonnull(mmu_host_pointer(cpu, 0x5000, 4, ACCESS_WRITE));
    ram_block_set_code(f->ram, 0x5000, true);
    mmu_flush_stores_to(cpu, f->ram->host + 0x5000);
    mmu_code_store_hook = count_code_store;
    mmu_store(cpu, 0x5008, 1, 4);
    g_assert_cmpuint(code_stores, ==, 4);
    mmu_store_bytes(cpu, 0x5008, "12345678", 8);
    g_assert_cmpuint(code_stores, ==, 12);
    g_assert_null(mmu_host_pointer(cpu, 0x5008, 4, ACCESS_WRITE));
    g_assert_nonnull(mmu_host_pointer(cpu, 0x5008, 4, ACCESS_READ));
    g_assert_nonnull(mmu_locked_pointer(cpu, 0x5008, 4));
    mmu_locked_done(cpu, 0x5008, 4);
    g_assert_cmpuint(code_stores, ==, 16);
    mmu_code_store_hook = NULL;
    ram_block_set_code(f->ram, 0x5000, false);
    g_assert_nonnull(mmu_host_pointer(cpu, 0x5000, 4, ACCESS_WRITE));

    ram_block_take_dirty(f->ram, 0, FIXTURE_RAM);
    mmu_flush_all(cpu);
    g_assert_cmphex(mmu_load(cpu, 0x5000, 1), ==, 1);
    ram_block_take_dirty(f->ram, 0x5000, 4096);
    g_assert_false(ram_block_take_dirty(f->ram, 0x5000, 4096));
    mmu_store(cpu, 0x5000, 2, 1);
    g_assert_true(ram_block_take_dirty(f->ram, 0x5000, 4096));
}

/* Whether a store to LINEAR would have to look whether it meets code. */
static bool looks_at_stores(Cpu *cpu, uint64_t linear)
{
    const TlbSet *tlb = &cpu->tlb[cpu_mmu_index(cpu)];
    unsigned i = cpu_tlb_index(linear);

    return linear - tlb->store_tag[i] >= GUEST_PAGE_SIZE;
}

/* All entries that store to a page of RAM are found, whichever was filled last and whatever has
 * come to their places in between. */
static void test_stores_to_page(Fixture *f, gconstpointer data)
{
    const void *page = f->ram->host + DATA;
    Cpu *cpu = f->cpu;

    long_mode_tables(f);
    for (unsigned i = 0; i < 4; i++)
        poke64(f, L1 + 8 * i, DATA | P | W);
    poke64(f, L1 + 8 * 4, (DATA + 0x1000) | P | W);
    for (unsigned order = 0; order < 16; order++) {
        mmu_flush_all(cpu);
        mmu_store(cpu, 0x404000, 0, 1);
        for (unsigned i = 0; i < 4; i++) {
            uint64_t linear = 0x400000 + (i ^ order % 4) * 0x1000;
            mmu_store(cpu, linear, i, 1);
            g_assert_false(looks_at_stores(cpu, linear));
            if (order & 4)
                mmu_flush_page(cpu, linear);
            if (order & 8)
                mmu_flush_stores_to(cpu, page);
        }
        mmu_flush_stores_to(cpu, page);
        for (unsigned i = 0; i < 4; i++)
            g_assert_true(looks_at_stores(cpu, 0x400000 + i * 0x1000));
        g_assert_false(looks_at_stores(cpu, 0x404000));
    }
}

static void test_fetch(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    uint8_t bytes[15];

    long_mode_tables(f);
    poke64(f, L1, DATA | P);
    memset(f->ram->host + DATA + 0xff0, 0x90, 16);
    assert_succeeds(cpu, g_assert_cmpuint(mmu_fetch(cpu, 0x400ff0, bytes, 1), ==, 15));
    /* The next page is absent: what is before it comes, more raises. */
    assert_succeeds(cpu, g_assert_cmpuint(mmu_fetch(cpu, 0x400ffc, bytes, 1), ==, 4));
    assert_raises(cpu, mmu_fetch(cpu, 0x400ffc, bytes, 5), EXC_PF, PF_I);
    g_assert_cmphex(cpu->cr2, ==, 0x401000);
}

/* A device sees each access once, whole when it can be. */
typedef struct {
    GString *log;
} Probe;

static uint64_t probe_read(void *opaque, uint64_t offset, unsigned size)
{
    Probe *probe = opaque;

    g_string_append_printf(probe->log, "r%x.%u ", (unsigned)offset, size);
    return 0x8877665544332211;
}

static void probe_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Probe *probe = opaque;

    g_string_append_printf(probe->log, "w%x.%u=%" G_GINT64_MODIFIER "x ", (unsigned)offset, size,
                           value);
}

static void test_device(Fixture *f, gconstpointer data)
{
    static const MmioOps ops = {probe_read, probe_write};
    Probe probe = {g_string_new(NULL)};
    Cpu *cpu = f->cpu;

    memory_region_place(memory_region_new_mmio(f->memory, "probe", &ops, &probe, 0x1000),
                        0xfe000000, 0);
    mmu_flush_all(cpu);
    g_assert_cmphex(mmu_load(cpu, 0xfe000010, 8), ==, 0x8877665544332211);
    g_assert_cmphex(mmu_load(cpu, 0xfe000010, 1), ==, 0x11);
    mmu_store(cpu, 0xfe000020, 0x12345678, 4);
    g_assert_null(mmu_host_pointer(cpu, 0xfe000020, 4, ACCESS_READ));
    g_assert_cmpstr(probe.log->str, ==, "r10.8 r10.1 w20.4=12345678 ");
    g_string_free(probe.log, TRUE);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*func)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/cpu/paging/unpaged", test_unpaged},
        {"/cpu/paging/a20", test_a20},
        {"/cpu/paging/long-mode", test_long_mode},
        {"/cpu/paging/crossing", test_crossing},
        {"/cpu/paging/rights", test_rights},
        {"/cpu/paging/reserved", test_reserved},
        {"/cpu/paging/large", test_large},
        {"/cpu/paging/32-bit", test_32_bit},
        {"/cpu/paging/pae", test_pae},
        {"/cpu/paging/global", test_global},
        {"/cpu/paging/page-flags", test_page_flags},
        {"/cpu/paging/stores-to-page", test_stores_to_page},
        {"/cpu/paging/fetch", test_fetch},
        {"/cpu/paging/device", test_device},
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].name, Fixture, NULL, fixture_set_up, tests[i].func, fixture_tear_down);
    return g_test_run();
}
