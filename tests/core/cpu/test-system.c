/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Segment loads, far transfers, gates, interrupts, IRET, tasks and virtual-8086 mode, by the calls
 * the interpreter makes. */

#include "cpu-fixture.h"

#include "core/cpu/decode.h"

#include <gio/gio.h>

#define GDT  0x2000
#define IDT  0x3000
#define TSS  0x5000
#define TSS2 0x6000
#define SP0  0x9000

/* Access bytes and the flags nibble, as descriptors have them. */
enum {
    CODE = 0x9b,
    CODE_CONFORMING = 0x9f,
    DATA = 0x93,
    DATA_RO = 0x91,
    DATA_DOWN = 0x97,
    DPL3 = 0x60,
    FLAT32 = 0xc,
    FLAT16 = 0x0,
    FLAT64 = 0xa,
};

/* Selectors of the usual table. */
enum {
    CODE32 = 0x08,
    DATA32 = 0x10,
    CODE32_U = 0x18 | 3,
    DATA32_U = 0x20 | 3,
    CODE16 = 0x28,
    DATA16 = 0x30,
    CONFORMING = 0x38,
    ABSENT = 0x40,
    READONLY = 0x48,
    DOWN = 0x50,
    TSS_A = 0x58,
    TSS_B = 0x60,
    GATE = 0x68,
    GATE_TASK = 0x70,
    CODE64 = 0x78,
    CODE64_U = 0x80 | 3,
    LDT = 0x88,
    TSS64 = 0x90,
    /* and 0x98 */ SMALL = 0xa0,
    GATE64 = 0xa8,
    GDT_SIZE = 0xb8,
};

static void put_descriptor(Fixture *f, unsigned selector, uint32_t base, uint32_t limit,
                           unsigned access, unsigned flags)
{
    poke64(f, GDT + (selector & ~7u),
           (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
               (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52 |
               (uint64_t)(base >> 24) << 56);
}

static uint64_t gate(unsigned selector, uint32_t offset, unsigned access, unsigned parameters)
{
    return (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)parameters << 32 |
           (uint64_t)access << 40 | (uint64_t)(offset >> 16) << 48;
}

/* Protected mode, flat, at level 0; TSS with an inner stack. */
static void protected_mode(Fixture *f)
{
    Cpu *cpu = f->cpu;

    put_descriptor(f, CODE32, 0, 0xfffff, CODE, FLAT32);
    put_descriptor(f, DATA32, 0, 0xfffff, DATA, FLAT32);
    put_descriptor(f, CODE32_U, 0, 0xfffff, CODE | DPL3, FLAT32);
    put_descriptor(f, DATA32_U, 0, 0xfffff, DATA | DPL3, FLAT32);
    put_descriptor(f, CODE16, 0, 0xffff, CODE, FLAT16);
    put_descriptor(f, DATA16, 0, 0xffff, DATA, FLAT16);
    put_descriptor(f, CONFORMING, 0, 0xfffff, CODE_CONFORMING, FLAT32);
    put_descriptor(f, ABSENT, 0, 0xfffff, DATA & 0x7f, FLAT32);
    put_descriptor(f, READONLY, 0x1000, 0xfff, DATA_RO, 4);
    put_descriptor(f, DOWN, 0, 0xfff, DATA_DOWN, 4);
    put_descriptor(f, TSS_A, TSS, 0x67, 0x89, 0);
    put_descriptor(f, TSS_B, TSS2, 0x67, 0x89, 0);
    put_descriptor(f, CODE64, 0, 0xfffff, CODE, FLAT64);
    put_descriptor(f, CODE64_U, 0, 0xfffff, CODE | DPL3, FLAT64);
    put_descriptor(f, LDT, 0x7000, 0xf, 0x82, 0);
    put_descriptor(f, SMALL, 0, 0xff, CODE, 4);
    poke32(f, TSS + 4, SP0);
    poke32(f, TSS + 8, DATA32);
    cpu->gdtr.base = GDT;
    cpu->gdtr.limit = GDT_SIZE - 1;
    cpu->idtr.base = IDT;
    cpu->idtr.limit = 0x7ff;
    cpu->cr0 |= CR0_PE;
    cpu_update_mode(cpu);
    assert_succeeds(cpu, far_jump(cpu, CODE32, 0x1000, 4));
    assert_succeeds(cpu, segment_load(cpu, SEG_SS, DATA32));
    assert_succeeds(cpu, segment_load(cpu, SEG_DS, DATA32));
    assert_succeeds(cpu, segment_load(cpu, SEG_ES, DATA32));
    assert_succeeds(cpu, system_ltr(cpu, TSS_A));
    cpu->gpr[RSP] = 0x8000;
    cpu->rip = cpu->next_rip = 0x1000;
}

/* IRET to level 3. */
static void user_mode(Fixture *f)
{
    Cpu *cpu = f->cpu;

    protected_mode(f);
    const uint32_t frame[] = {0x1234, CODE32_U, 0x202, 0x7000, DATA32_U};
    poke(f, 0x7fec, frame, sizeof frame);
    cpu->gpr[RSP] = 0x7fec;
    assert_succeeds(cpu, interrupt_return(cpu, 4));
    g_assert_cmpuint(cpu->cpl, ==, 3);
    g_assert_cmphex(cpu->next_rip, ==, 0x1234);
    g_assert_cmphex(cpu->gpr[RSP], ==, 0x7000);
    g_assert_cmphex(cpu->seg[SEG_DS].selector, ==, 0); /* was level 0's */
    cpu->rip = cpu->next_rip;
}

static void test_reset(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    g_assert_cmphex(cpu->rip, ==, 0xfff0);
    g_assert_cmphex(cpu->seg[SEG_CS].base, ==, 0xffff0000);
    g_assert_cmphex(cpu->cr0, ==, 0x60000010);
    g_assert_cmphex(cpu->rflags, ==, 2);
    g_assert_cmphex(cpu->dr[6], ==, 0xffff0ff0);
    g_assert_cmphex(cpu->dr[7], ==, 0x400);
    g_assert_cmphex(cpu->pat, ==, 0x0007040600070406);
    g_assert_cmphex(cpu->gpr[RDX], ==, cpuid_signature(f->model));
    g_assert_false(cpu_is_halted(cpu));

    GString *out = g_string_new(NULL);
    cpu_describe(cpu, out);
    g_assert_nonnull(strstr(out->str, "EIP=0000fff0 EFL=00000002 [-------] CPL=0"));
    g_assert_nonnull(strstr(out->str, "CS =f000 ffff0000 0000ffff 00009b00"));
    g_assert_nonnull(strstr(out->str, "CR0=60000010"));
    g_string_free(out, TRUE);
}

static void test_segment_loads(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    protected_mode(f);
    g_assert_true(cpu->mode & MODE_FLAT_DS);
    g_assert_true(cpu->mode & MODE_CS32);
    assert_succeeds(cpu, segment_load(cpu, SEG_FS, 0));
    assert_raises(cpu, segment_linear(cpu, SEG_FS, 0, 1, false), EXC_GP, 0);
    assert_raises(cpu, segment_load(cpu, SEG_SS, 0), EXC_GP, 0);
    assert_raises(cpu, segment_load(cpu, SEG_DS, ABSENT), EXC_NP, ABSENT);
    assert_raises(cpu, segment_load(cpu, SEG_SS, ABSENT), EXC_SS, ABSENT);
    assert_raises(cpu, segment_load(cpu, SEG_SS, READONLY), EXC_GP, READONLY);
    assert_raises(cpu, segment_load(cpu, SEG_SS, DATA32_U), EXC_GP, DATA32_U & ~3);
    assert_raises(cpu, segment_load(cpu, SEG_DS, GDT_SIZE), EXC_GP, GDT_SIZE);
    assert_raises(cpu, segment_load(cpu, SEG_DS, TSS_A), EXC_GP, TSS_A);
    assert_raises(cpu, segment_load(cpu, SEG_DS, 0x14), EXC_GP, 0x14); /* no LDT */
    g_assert_cmphex(cpu->seg[SEG_DS].selector, ==, DATA32);

    /* The accessed bit. */
    put_descriptor(f, DATA32, 0, 0xfffff, DATA & ~1, FLAT32);
    assert_succeeds(cpu, segment_load(cpu, SEG_ES, DATA32));
    g_assert_cmphex(f->ram->host[GDT + DATA32 + 5], ==, DATA);

    /* Limits: up, down, and the access type. */
    assert_succeeds(cpu, segment_load(cpu, SEG_ES, READONLY));
    assert_succeeds(cpu, g_assert_cmphex(segment_linear(cpu, SEG_ES, 0xffc, 4, false), ==, 0x1ffc));
    assert_raises(cpu, segment_linear(cpu, SEG_ES, 0xffd, 4, false), EXC_GP, 0);
    assert_raises(cpu, segment_linear(cpu, SEG_ES, 0, 4, true), EXC_GP, 0);
    assert_succeeds(cpu, segment_load(cpu, SEG_SS, DOWN));
    assert_raises(cpu, segment_linear(cpu, SEG_SS, 0xfff, 1, true), EXC_SS, 0);
    assert_succeeds(cpu, segment_linear(cpu, SEG_SS, 0x1000, 4, true));
    assert_succeeds(cpu, segment_linear(cpu, SEG_SS, 0xfffffffc, 4, true));
    assert_raises(cpu, segment_linear(cpu, SEG_SS, 0xfffffffd, 4, true), EXC_SS, 0);

    /* The LDT. */
    assert_raises(cpu, system_lldt(cpu, DATA32), EXC_GP, DATA32);
    assert_succeeds(cpu, system_lldt(cpu, LDT));
    poke64(f, 0x7008, peek64(f, GDT + DATA16));
    assert_succeeds(cpu, segment_load(cpu, SEG_ES, 0xc));
    g_assert_cmphex(cpu->seg[SEG_ES].limit, ==, 0xffff);
    assert_raises(cpu, segment_load(cpu, SEG_ES, 0x14), EXC_GP, 0x14);
}

static void test_inspection(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    uint32_t value = 0;

    assert_raises(cpu, system_verify(cpu, 8, false), EXC_UD, 0);
    protected_mode(f);
    g_assert_true(system_lar(cpu, CODE32, &value));
    g_assert_cmphex(value, ==, 0x00c09b00);
    g_assert_true(system_lsl(cpu, CODE32, &value));
    g_assert_cmphex(value, ==, 0xffffffff);
    g_assert_true(system_lsl(cpu, TSS_A, &value));
    g_assert_cmphex(value, ==, 0x67);
    g_assert_false(system_lar(cpu, 0, &value));
    g_assert_true(system_verify(cpu, READONLY, false));
    g_assert_false(system_verify(cpu, READONLY, true));
    user_mode(f);
    g_assert_false(system_lar(cpu, DATA32, &value));
    g_assert_false(cpu->rflags & RFLAGS_ZF);
    g_assert_true(system_lar(cpu, CONFORMING, &value));
    g_assert_true(cpu->rflags & RFLAGS_ZF);
}

static void test_far_transfers(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    protected_mode(f);
    cpu->next_rip = 0x1007;
    assert_succeeds(cpu, far_call(cpu, CODE16, 0x12345678, 2));
    g_assert_cmphex(cpu->next_rip, ==, 0x5678);
    g_assert_cmphex(peek32(f, 0x7ffc), ==, CODE32 << 16 | 0x1007);
    assert_succeeds(cpu, far_return(cpu, 2, 4));
    g_assert_cmphex(cpu->next_rip, ==, 0x1007);
    g_assert_cmphex(cpu->gpr[RSP], ==, 0x8004);
    assert_raises(cpu, far_jump(cpu, SMALL, 0x100, 4), EXC_GP, 0);
    assert_raises(cpu, far_jump(cpu, 0, 0x100, 4), EXC_GP, 0);
    assert_raises(cpu, far_jump(cpu, DATA32, 0x100, 4), EXC_GP, DATA32);
    assert_raises(cpu, far_jump(cpu, CODE32_U, 0x100, 4), EXC_GP, CODE32_U & ~3);
    assert_raises(cpu, far_jump(cpu, CODE32 | 3, 0x100, 4), EXC_GP, CODE32);
    g_assert_cmphex(cpu->seg[SEG_CS].selector, ==, CODE32);
    g_assert_cmphex(cpu->gpr[RSP], ==, 0x8004);
}

static void test_call_gate(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    user_mode(f);
    poke64(f, GDT + GATE, gate(CODE32, 0x4321, 0xec, 2));
    poke32(f, 0x7000, 0xaaaa);
    poke32(f, 0x7004, 0xbbbb);
    cpu->next_rip = 0x123b;
    assert_succeeds(cpu, far_call(cpu, GATE, 0, 4));
    g_assert_cmpuint(cpu->cpl, ==, 0);
    g_assert_cmphex(cpu->next_rip, ==, 0x4321);
    g_assert_cmphex(cpu->seg[SEG_SS].selector, ==, DATA32);
    const uint32_t expected[] = {0x123b, CODE32_U, 0xaaaa, 0xbbbb, 0x7000, DATA32_U};
    g_assert_cmphex(cpu->gpr[RSP], ==, SP0 - sizeof expected);
    g_assert_cmpmem(f->ram->host + SP0 - sizeof expected, sizeof expected, expected,
                    sizeof expected);
    assert_succeeds(cpu, far_return(cpu, 4, 8));
    g_assert_cmpuint(cpu->cpl, ==, 3);
    g_assert_cmphex(cpu->gpr[RSP], ==, 0x7008);

    poke64(f, GDT + GATE, gate(CODE32, 0x4321, 0x8c, 0)); /* DPL 0 */
    assert_raises(cpu, far_call(cpu, GATE, 0, 4), EXC_GP, GATE);
    poke64(f, GDT + GATE, gate(CODE32, 0x4321, 0xec, 0));
    poke32(f, TSS + 8, 0);
    assert_raises(cpu, far_call(cpu, GATE, 0, 4), EXC_TS, 0);
    poke32(f, TSS + 8, DATA32_U);
    assert_raises(cpu, far_call(cpu, GATE, 0, 4), EXC_TS, DATA32_U & ~3);
    assert_raises(cpu, far_jump(cpu, GATE, 0, 4), EXC_GP, CODE32);
    g_assert_cmphex(cpu->gpr[RSP], ==, 0x7008);
}

static void test_interrupts(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    user_mode(f);
    poke64(f, IDT + 0x80 * 8, gate(CODE32, 0x5000, 0xee, 0));
    poke64(f, IDT + 0x81 * 8, gate(CODE32, 0x5000, 0x8e, 0));
    poke64(f, IDT + 0x82 * 8, gate(CODE32, 0x5000, 0x6e, 0));
    poke64(f, IDT + 13 * 8, gate(CODE32, 0x6000, 0x8f, 0));
    cpu->next_rip = 0x1236;
    assert_raises(cpu, interrupt_deliver(cpu, 0x81, INT_SOFTWARE, false, 0), EXC_GP, 0x81 * 8 + 2);
    assert_raises(cpu, interrupt_deliver(cpu, 0x82, INT_SOFTWARE, false, 0), EXC_NP, 0x82 * 8 + 2);
    assert_raises(cpu, interrupt_deliver(cpu, 0x83, INT_HARDWARE, false, 0), EXC_GP, 0x83 * 8 + 3);
    cpu->event_ext = 0;
    cpu->next_rip = 0x1236;
    assert_succeeds(cpu, interrupt_deliver(cpu, 0x80, INT_SOFTWARE, false, 0));
    const uint32_t frame[] = {0x1236, CODE32_U, 0x202, 0x7000, DATA32_U};
    g_assert_cmphex(cpu->gpr[RSP], ==, SP0 - sizeof frame);
    g_assert_cmpmem(f->ram->host + SP0 - sizeof frame, sizeof frame, frame, sizeof frame);
    g_assert_cmphex(cpu->next_rip, ==, 0x5000);
    g_assert_cmphex(cpu->rip, ==, 0x1234);
    g_assert_cmphex(cpu->rflags, ==, 2);
    g_assert_cmpuint(cpu->cpl, ==, 0);
    assert_succeeds(cpu, interrupt_return(cpu, 4));
    g_assert_cmpuint(cpu->cpl, ==, 3);
    g_assert_cmphex(cpu->rflags, ==, 0x202);

    /* An exception: from rip, with RF, an error code, and IF kept by the trap gate. */
    assert_succeeds(cpu, interrupt_deliver(cpu, 13, INT_EXCEPTION, true, 0x18));
    const uint32_t fault[] = {0x18, 0x1234, CODE32_U, 0x10202, 0x7000, DATA32_U};
    g_assert_cmpmem(f->ram->host + SP0 - sizeof fault, sizeof fault, fault, sizeof fault);
    g_assert_cmphex(cpu->rip, ==, 0x6000);
    g_assert_cmphex(cpu->rflags, ==, 0x202);

    /* Same level: no stack switch. */
    cpu->gpr[RSP] = 0x8800;
    cpu->rip = 0x6001;
    assert_succeeds(cpu, interrupt_deliver(cpu, 0x81, INT_HARDWARE, false, 0));
    g_assert_cmphex(cpu->gpr[RSP], ==, 0x87f4);
    g_assert_cmphex(peek32(f, 0x87f4), ==, 0x6001);
    g_assert_false(cpu->rflags & RFLAGS_IF);
}

static void test_real_mode(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    cpu->gpr[RSP] = 0x100;
    cpu_set_rflags(cpu, RFLAGS_IF | RFLAGS_CF, RFLAGS_IF | RFLAGS_CF);
    poke32(f, 0x10 * 4, 0xc0001234);
    cpu->next_rip = 0xfff2;
    assert_succeeds(cpu, interrupt_deliver(cpu, 0x10, INT_SOFTWARE, false, 0));
    g_assert_cmphex(cpu->next_rip, ==, 0x1234);
    g_assert_cmphex(cpu->seg[SEG_CS].base, ==, 0xc0000);
    g_assert_cmphex(cpu->gpr[RSP], ==, 0xfa);
    g_assert_cmphex(peek64(f, 0xfa) & 0xffffffffffff, ==, 0x0203f000fff2);
    g_assert_false(cpu->rflags & RFLAGS_IF);
    assert_succeeds(cpu, interrupt_return(cpu, 2));
    g_assert_cmphex(cpu->next_rip, ==, 0xfff2);
    g_assert_true(cpu->rflags & RFLAGS_IF);
    /* SP wraps at 64 KiB. */
    cpu->gpr[RSP] = 0x12340000;
    assert_succeeds(cpu, far_call(cpu, 0x1000, 5, 2));
    g_assert_cmphex(cpu->gpr[RSP], ==, 0x1234fffc);
    g_assert_cmphex(cpu->seg[SEG_CS].base, ==, 0x10000);
    cpu->idtr.limit = 0x3f;
    assert_raises(cpu, interrupt_deliver(cpu, 0x10, INT_SOFTWARE, false, 0), EXC_GP, 0x82);
    /* Outside the segment. */
    assert_raises(cpu, segment_linear(cpu, SEG_DS, 0xffff, 2, false), EXC_GP, 0);
    assert_raises(cpu, segment_linear(cpu, SEG_SS, 0xffff, 2, false), EXC_SS, 0);
}

static void enter_v8086(Fixture *f, uint32_t eflags)
{
    Cpu *cpu = f->cpu;

    protected_mode(f);
    const uint32_t frame[] = {0x100,  0x1000, eflags, 0xfffe, 0x2000,
                              0x3000, 0x4000, 0x5000, 0x6000};
    poke(f, 0x7f00, frame, sizeof frame);
    cpu->gpr[RSP] = 0x7f00;
    assert_succeeds(cpu, interrupt_return(cpu, 4));
    g_assert_true(cpu->mode & MODE_VM86);
    g_assert_cmpuint(cpu->cpl, ==, 3);
    g_assert_cmphex(cpu->seg[SEG_CS].base, ==, 0x10000);
    g_assert_cmphex(cpu->seg[SEG_SS].base, ==, 0x20000);
    g_assert_cmphex(cpu->seg[SEG_GS].selector, ==, 0x6000);
    cpu->rip = cpu->next_rip;
}

static void test_v8086(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    uint32_t iopl3 = RFLAGS_VM | RFLAGS_IOPL | 0x202;

    enter_v8086(f, RFLAGS_VM | 0x202);
    poke64(f, IDT + 0x20 * 8, gate(CODE32, 0x5000, 0xee, 0));
    poke64(f, IDT + 13 * 8, gate(CODE32, 0x6000, 0x8e, 0));
    assert_raises(cpu, interrupt_deliver(cpu, 0x20, INT_SOFTWARE, false, 0), EXC_GP, 0);
    assert_raises(cpu, system_cli(cpu), EXC_GP, 0);
    assert_raises(cpu, system_pushf(cpu), EXC_GP, 0);
    assert_raises(cpu, interrupt_return(cpu, 2), EXC_GP, 0);
    assert_raises(cpu, system_lldt(cpu, 0), EXC_UD, 0);
    assert_succeeds(cpu, interrupt_deliver(cpu, 13, INT_EXCEPTION, true, 0));
    const uint32_t frame[] = {0,      0x100,  0x1000, 0x30202, 0xfffe,
                              0x2000, 0x3000, 0x4000, 0x5000,  0x6000};
    g_assert_cmphex(cpu->gpr[RSP], ==, SP0 - sizeof frame);
    g_assert_cmpmem(f->ram->host + SP0 - sizeof frame, sizeof frame, frame, sizeof frame);
    g_assert_cmphex(cpu->seg[SEG_DS].selector, ==, 0);
    g_assert_false(cpu->mode & MODE_VM86);
    g_assert_cmpuint(cpu->cpl, ==, 0);

    enter_v8086(f, iopl3);
    assert_succeeds(cpu, interrupt_deliver(cpu, 0x20, INT_SOFTWARE, false, 0));
    g_assert_cmphex(cpu->next_rip, ==, 0x5000);

    /* VME: a clear redirection bit sends INT n through the real-mode table. */
    enter_v8086(f, RFLAGS_VM | RFLAGS_VIF | 2);
    cpu->seg[SEG_TR].limit = 0xff;
    poke16(f, TSS + 102, 0x88);
    memset(f->ram->host + TSS + 0x68, 0, 32);
    cpu->cr4 |= CR4_VME;
    poke32(f, 0x20 * 4, 0x70000042);
    cpu->next_rip = 0x102;
    assert_succeeds(cpu, interrupt_deliver(cpu, 0x20, INT_SOFTWARE, false, 0));
    g_assert_true(cpu->mode & MODE_VM86);
    g_assert_cmphex(cpu->next_rip, ==, 0x42);
    g_assert_cmphex(cpu->seg[SEG_CS].base, ==, 0x70000);
    g_assert_false(cpu->rflags & RFLAGS_VIF);
    /* The image shows VIF as IF, and IOPL 3. */
    g_assert_cmphex(peek64(f, 0x2fff8) & 0xffffffffffff, ==, 0x320210000102);
    assert_succeeds(cpu, interrupt_return(cpu, 2));
    g_assert_true(cpu->rflags & RFLAGS_VIF);
    g_assert_cmphex(cpu->rflags & RFLAGS_IOPL, ==, 0);
    assert_succeeds(cpu, system_cli(cpu));
    g_assert_false(cpu->rflags & RFLAGS_VIF);
    cpu->rflags |= RFLAGS_VIP;
    assert_raises(cpu, system_sti(cpu), EXC_GP, 0);
}

static void test_tasks(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    protected_mode(f);
    poke32(f, TSS2 + 32, 0x4444);
    poke32(f, TSS2 + 36, 0x202);
    poke32(f, TSS2 + 56, 0x8f00);
    static const uint16_t selectors[] = {DATA32, CODE32, DATA32, DATA32, 0, 0};
    for (unsigned i = 0; i < 6; i++)
        poke32(f, TSS2 + 72 + i * 4, selectors[i]);
    cpu->gpr[RBX] = 0x11112222;
    cpu->next_rip = 0x1007;
    assert_succeeds(cpu, far_call(cpu, TSS_B, 0, 4));
    g_assert_cmphex(cpu->next_rip, ==, 0x4444);
    g_assert_cmphex(cpu->gpr[RSP], ==, 0x8f00);
    g_assert_cmphex(cpu->seg[SEG_TR].selector, ==, TSS_B);
    g_assert_true(cpu->rflags & RFLAGS_NT);
    g_assert_true(cpu->cr0 & CR0_TS);
    g_assert_cmphex(peek32(f, TSS2) & 0xffff, ==, TSS_A);
    g_assert_cmphex(peek32(f, TSS + 32), ==, 0x1007);
    g_assert_cmphex(peek32(f, TSS + 40 + RBX * 4), ==, 0x11112222);
    g_assert_cmphex(f->ram->host[GDT + TSS_A + 5], ==, 0x8b); /* stays busy */
    g_assert_cmphex(f->ram->host[GDT + TSS_B + 5], ==, 0x8b);
    assert_raises(cpu, far_jump(cpu, TSS_A, 0, 4), EXC_GP, TSS_A); /* busy */
    cpu->gpr[RBX] = 0;
    assert_succeeds(cpu, interrupt_return(cpu, 4));
    g_assert_cmphex(cpu->next_rip, ==, 0x1007);
    g_assert_cmphex(cpu->gpr[RBX], ==, 0x11112222);
    g_assert_cmphex(f->ram->host[GDT + TSS_B + 5], ==, 0x89);
    g_assert_false(cpu->rflags & RFLAGS_NT);

    /* A TSS16: reserved flag bits stay clear, the upper halves of the registers are set. */
    put_descriptor(f, DATA16, TSS2 + 0x100, 0x2b, 0x81, 0);
    poke16(f, TSS2 + 0x100 + 14, 0x4321);
    poke16(f, TSS2 + 0x100 + 16, 0x8028 | 0x40);
    poke16(f, TSS2 + 0x100 + 18, 0x1234);
    poke16(f, TSS2 + 0x100 + 26, 0x8f00);
    poke16(f, TSS2 + 0x100 + 36, CODE32);
    poke16(f, TSS2 + 0x100 + 38, DATA32);
    assert_succeeds(cpu, far_call(cpu, DATA16, 0, 4));
    g_assert_cmphex(cpu->next_rip, ==, 0x4321);
    g_assert_cmphex(cpu->rflags, ==, RFLAGS_ZF | RFLAGS_NT | RFLAGS_1);
    g_assert_cmphex(cpu->gpr[RAX], ==, 0xffff1234);
    assert_succeeds(cpu, interrupt_return(cpu, 4));
    put_descriptor(f, DATA16, 0, 0xffff, DATA, FLAT16);

    /* Through a task gate in the IDT, with an error code. */
    poke64(f, IDT + 8 * 8, gate(TSS_B, 0, 0x85, 0));
    poke32(f, TSS2 + 56, 0x8f00);
    cpu->rip = 0x1007;
    assert_succeeds(cpu, interrupt_deliver(cpu, 8, INT_EXCEPTION, true, 0x77));
    g_assert_cmphex(cpu->gpr[RSP], ==, 0x8efc);
    g_assert_cmphex(peek32(f, 0x8efc), ==, 0x77);

    /* A bad SS in the new task faults there. */
    cpu->gpr[RSP] += 4;
    assert_succeeds(cpu, interrupt_return(cpu, 4));
    poke32(f, TSS2 + 80, DATA32_U);
    poke32(f, TSS2 + 32, 0x4444);
    assert_raises(cpu, far_jump(cpu, TSS_B, 0, 4), EXC_TS, DATA32_U & ~3);
    g_assert_cmphex(cpu->rip, ==, 0x4444);
    g_assert_cmphex(cpu->seg[SEG_TR].selector, ==, TSS_B);
}

/* 4-level paging with a 1 GiB identity page, then 64-bit code. */
static void long_mode(Fixture *f)
{
    Cpu *cpu = f->cpu;

    protected_mode(f);
    poke64(f, 0xa000, 0xb000 | 7);
    poke64(f, 0xb000, 0x87);
    assert_succeeds(cpu, system_mov_to_cr(cpu, 3, 0xa000));
    assert_succeeds(cpu, system_mov_to_cr(cpu, 4, CR4_PAE));
    cpu->gpr[RCX] = 0xc0000080;
    cpu->gpr[RAX] = EFER_LME | EFER_SCE | EFER_NXE;
    cpu->gpr[RDX] = 0;
    assert_succeeds(cpu, system_wrmsr(cpu));
    assert_succeeds(cpu, system_mov_to_cr(cpu, 0, CR0_PG | CR0_PE | CR0_NE));
    g_assert_true(cpu->efer & EFER_LMA);
    g_assert_false(cpu->mode & MODE_CS64);
    assert_succeeds(cpu, far_jump(cpu, CODE64, 0x1000, 4));
    g_assert_true(cpu->mode & MODE_CS64);
    put_descriptor(f, TSS64, TSS, 0x67, 0x89, 0);
    poke64(f, GDT + TSS64 + 8, 0);
    assert_succeeds(cpu, system_ltr(cpu, TSS64));
    poke64(f, TSS + 4, SP0 + 8);   /* RSP0, not aligned */
    poke64(f, TSS + 0x24, 0x9800); /* IST1 */
    cpu->rip = cpu->next_rip = 0x1000;
}

static void put_gate64(Fixture *f, unsigned vector, uint64_t offset, unsigned access, unsigned ist)
{
    poke64(f, IDT + vector * 16, gate(CODE64, (uint32_t)offset, access, ist));
    poke64(f, IDT + vector * 16 + 8, offset >> 32);
}

static void test_long_mode(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    long_mode(f);
    cpu->idtr.limit = 0xfff;
    put_gate64(f, 0x80, 0x5000, 0xee, 0);
    put_gate64(f, 13, 0x6000, 0x8e, 1);
    put_gate64(f, 0x81, 0x800000000000, 0xee, 0);
    assert_raises(cpu, interrupt_deliver(cpu, 0x81, INT_SOFTWARE, false, 0), EXC_GP, 0);

    /* To level 3 and back by an interrupt. */
    const uint64_t frame[] = {0x1234, CODE64_U, 0x202, 0x7000, DATA32_U};
    poke(f, 0x7f00, frame, sizeof frame);
    cpu->gpr[RSP] = 0x7f00;
    assert_succeeds(cpu, interrupt_return(cpu, 8));
    g_assert_cmpuint(cpu->cpl, ==, 3);
    g_assert_true(cpu->mode & MODE_CS64);
    cpu->rip = 0x1234;
    cpu->next_rip = 0x1236;
    assert_succeeds(cpu, interrupt_deliver(cpu, 0x80, INT_SOFTWARE, false, 0));
    g_assert_cmphex(cpu->gpr[RSP], ==, SP0 - 40); /* aligned down to 16 first */
    g_assert_cmphex(peek64(f, SP0 - 40), ==, 0x1236);
    g_assert_cmphex(peek64(f, SP0 - 8), ==, DATA32_U);
    g_assert_cmphex(cpu->seg[SEG_SS].selector, ==, 0);
    /* An exception at level 0 on its interrupt stack. */
    cpu->rip = 0x5001;
    assert_succeeds(cpu, interrupt_deliver(cpu, 13, INT_EXCEPTION, true, 0x30));
    g_assert_cmphex(cpu->gpr[RSP], ==, 0x9800 - 48);
    g_assert_cmphex(peek64(f, 0x9800 - 48), ==, 0x30);
    g_assert_cmphex(peek64(f, 0x9800 - 16), ==, SP0 - 40);
    g_assert_cmphex(cpu->seg[SEG_SS].selector, ==, 0);
    cpu->gpr[RSP] += 8;
    assert_succeeds(cpu, interrupt_return(cpu, 8)); /* to a null SS at level 0 */
    g_assert_cmphex(cpu->gpr[RSP], ==, SP0 - 40);

    /* A non-canonical return address faults here. */
    poke64(f, SP0 - 40, 0x800000000000);
    assert_raises(cpu, interrupt_return(cpu, 8), EXC_GP, 0);
    g_assert_cmphex(cpu->gpr[RSP], ==, SP0 - 40);
    poke64(f, SP0 - 40, 0x1236);
    cpu->rflags |= RFLAGS_NT;
    assert_raises(cpu, interrupt_return(cpu, 8), EXC_GP, 0);
    cpu->rflags &= ~(uint64_t)RFLAGS_NT;

    /* Compatibility mode and back. */
    poke64(f, SP0 - 32, CODE32_U);
    assert_succeeds(cpu, interrupt_return(cpu, 8));
    g_assert_false(cpu->mode & MODE_CS64);
    g_assert_true(cpu->mode & MODE_CS32);

    /* Canonical addresses only. */
    assert_succeeds(cpu, far_jump(cpu, CODE64_U, 0x1000, 4));
    assert_raises(cpu, segment_linear(cpu, SEG_DS, 0x7fffffffffff, 2, false), EXC_GP, 0);
    assert_raises(cpu, segment_linear(cpu, SEG_SS, 0x800000000000, 1, false), EXC_SS, 0);
    assert_succeeds(cpu, segment_linear(cpu, SEG_SS, 0x7fffffffffff, 1, false));
}

static void test_syscall(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    long_mode(f);
    cpu->star = (uint64_t)CODE32 << 32 | (uint64_t)(CODE32_U & ~3) << 48;
    cpu->lstar = 0xffff800000001000;
    cpu->fmask = RFLAGS_IF | RFLAGS_TF;
    cpu_set_rflags(cpu, RFLAGS_IF | RFLAGS_CF, RFLAGS_IF | RFLAGS_CF);
    cpu->next_rip = 0x1002;
    assert_succeeds(cpu, system_syscall(cpu));
    g_assert_cmphex(cpu->next_rip, ==, 0xffff800000001000);
    g_assert_cmphex(cpu->gpr[RCX], ==, 0x1002);
    g_assert_cmphex(cpu->gpr[R11], ==, 0x203);
    g_assert_cmphex(cpu->rflags, ==, 3);
    g_assert_cmphex(cpu->seg[SEG_SS].selector, ==, CODE32 + 8);
    assert_succeeds(cpu, system_sysret(cpu, 8));
    g_assert_cmpuint(cpu->cpl, ==, 3);
    g_assert_cmphex(cpu->seg[SEG_CS].selector, ==, (CODE32_U & ~3) + 16 + 3);
    g_assert_cmphex(cpu->rflags, ==, 0x203);
    assert_raises(cpu, system_sysret(cpu, 8), EXC_GP, 0);
    cpu->efer &= ~EFER_SCE;
    assert_raises(cpu, system_syscall(cpu), EXC_UD, 0);
}

/* SYSCALL outside 64-bit mode, which only AMD has: decoded, executed or refused. */
static void test_legacy_syscall(Fixture *f, gconstpointer data)
{
    static const uint8_t bytes[] = {0x66, 0x0f, 0x05}, locked[] = {0xf0, 0x0f, 0x05};
    Cpu *cpu = f->cpu;
    Insn insn;

    g_assert_cmpint(insn_decode(bytes, 3, MODE_CS32, &insn), ==, DECODE_OK);
    g_assert_cmpint(insn.mnemonic, ==, ZYDIS_MNEMONIC_SYSCALL);
    g_assert_cmpuint(insn.length, ==, 3);
    g_assert_cmpint(insn_decode(locked, 3, MODE_CS32, &insn), ==, DECODE_INVALID);

    long_mode(f);
    cpu->star = (uint64_t)CODE32 << 32;
    cpu->cstar = 0xffff800000002000;
    assert_succeeds(cpu, far_jump(cpu, CODE32, 0x1000, 4));
    cpu->next_rip = 0x1002;
    if (cpuid_is_amd(f->model)) {
        assert_succeeds(cpu, system_syscall(cpu));
        g_assert_cmphex(cpu->next_rip, ==, 0xffff800000002000);
        g_assert_true(cpu->mode & MODE_CS64);
    } else {
        assert_raises(cpu, system_syscall(cpu), EXC_UD, 0);
    }
}

static void test_control(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    assert_raises(cpu, system_mov_to_cr(cpu, 0, CR0_PG), EXC_GP, 0);
    assert_raises(cpu, system_mov_to_cr(cpu, 0, CR0_NW), EXC_GP, 0);
    assert_raises(cpu, system_mov_to_cr(cpu, 4, 1ull << 31), EXC_GP, 0);
    assert_raises(cpu, system_mov_to_cr(cpu, 1, 0), EXC_UD, 0);
    long_mode(f);
    assert_raises(cpu, system_mov_to_cr(cpu, 4, 0), EXC_GP, 0);      /* PAE in long mode */
    assert_raises(cpu, system_mov_to_cr(cpu, 0, CR0_PE), EXC_GP, 0); /* PG in 64-bit code */
    assert_raises(cpu, system_mov_to_cr(cpu, 3, 1ull << 60), EXC_GP, 0);
    assert_raises(cpu, system_mov_to_dr(cpu, 7, 1ull << 32), EXC_GP, 0);
    assert_succeeds(cpu, system_mov_to_dr(cpu, 7, 0xffffffff));
    g_assert_cmphex(cpu->dr[7], ==, 0xffff27ff);
    assert_raises(cpu, system_mov_from_dr(cpu, 0), EXC_DB, 0); /* general detect */
    g_assert_cmphex(cpu->dr[6], ==, 0xffff2ff0);
    cpu->dr[7] = 0x400;
    cpu_update_mode(cpu);
    cpu->gpr[RCX] = 0x12345;
    assert_raises(cpu, system_rdmsr(cpu), EXC_GP, 0);
    cpu->gpr[RCX] = 0xc0000100;
    cpu->gpr[RAX] = 0;
    cpu->gpr[RDX] = 0x8000;
    assert_raises(cpu, system_wrmsr(cpu), EXC_GP, 0);
    cpu->gpr[RDX] = 0x1234;
    assert_succeeds(cpu, system_wrmsr(cpu));
    g_assert_cmphex(cpu->seg[SEG_FS].base, ==, 0x123400000000);
}

/* AMD's four counters are there whatever CPUID says, and do not count; Intel has none there. */
static void test_counters(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    for (uint32_t msr = 0xc0010000; msr <= 0xc0010007; msr++) {
        cpu->gpr[RCX] = msr;
        cpu->gpr[RAX] = cpu->gpr[RDX] = 0xffff;
        if (!cpuid_is_amd(cpu->model)) {
            assert_raises(cpu, system_wrmsr(cpu), EXC_GP, 0);
            continue;
        }
        assert_succeeds(cpu, system_wrmsr(cpu));
        assert_succeeds(cpu, system_rdmsr(cpu));
        g_assert_cmphex(cpu->gpr[RAX] | cpu->gpr[RDX], ==, 0);
    }
}

static void test_io_permission(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    user_mode(f);
    cpu->seg[SEG_TR].limit = 0x70;
    poke16(f, TSS + 102, 0x68);
    poke64(f, TSS + 0x68, ~0x00ff00ull);
    assert_succeeds(cpu, system_check_io(cpu, 8, 4));
    assert_raises(cpu, system_check_io(cpu, 14, 4), EXC_GP, 0);
    assert_raises(cpu, system_check_io(cpu, 7, 1), EXC_GP, 0);
    assert_raises(cpu, system_check_io(cpu, 0x3f8, 1), EXC_GP, 0);
    cpu->rflags |= RFLAGS_IOPL;
    assert_succeeds(cpu, system_check_io(cpu, 0x3f8, 1));
}

static void test_cpuid(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    GError *error = NULL;

    cpu->gpr[RAX] = 0x40000000;
    system_cpuid(cpu);
    g_assert_cmpmem(&cpu->gpr[RBX], 4, "Apia", 4);
    cpu->gpr[RAX] = 1;
    system_cpuid(cpu);
    g_assert_true(cpu->gpr[RDX] & 1 << 25);
    g_assert_true(cpu->gpr[RCX] & 1u << 31);

    CpuidModel *model = cpuid_model_new("qemu64,+smep,-sse3,hypervisor=off", 4, &error);
    g_assert_no_error(error);
    g_assert_true(cpuid_has(model, CPUID_SMEP));
    g_assert_false(cpuid_has(model, CPUID_SSE3));
    g_assert_false(cpuid_has(model, CPUID_HYPERVISOR));
    g_assert_false(cpuid_has(model, CPUID_SSE4_2));
    cpuid_model_free(model);
    g_assert_null(cpuid_model_new("pentium9", 1, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
    g_clear_error(&error);
    g_assert_null(cpuid_model_new("max,+warp", 1, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
    g_clear_error(&error);
    uint32_t khz = cpuid_tsc_khz(f->model);
    g_assert_cmpuint(khz, >, 100000);
    g_assert_cmpuint(khz, <, 10000000);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*func)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/cpu/system/reset", test_reset},
        {"/cpu/system/segment-loads", test_segment_loads},
        {"/cpu/system/inspection", test_inspection},
        {"/cpu/system/far-transfers", test_far_transfers},
        {"/cpu/system/call-gate", test_call_gate},
        {"/cpu/system/interrupts", test_interrupts},
        {"/cpu/system/real-mode", test_real_mode},
        {"/cpu/system/v8086", test_v8086},
        {"/cpu/system/tasks", test_tasks},
        {"/cpu/system/long-mode", test_long_mode},
        {"/cpu/system/syscall", test_syscall},
        {"/cpu/system/legacy-syscall", test_legacy_syscall},
        {"/cpu/system/control", test_control},
        {"/cpu/system/counters", test_counters},
        {"/cpu/system/io-permission", test_io_permission},
        {"/cpu/system/cpuid", test_cpuid},
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].name, Fixture, NULL, fixture_set_up, tests[i].func, fixture_tear_down);
    return g_test_run();
}
