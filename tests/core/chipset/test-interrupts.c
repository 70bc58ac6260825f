/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The 8259 pair, the I/O APIC and the local APICs, driven as a guest and devices drive them. */

#include "timer-fixture.h"

enum { APIC = 0xfee00000, IOAPIC = 0xfec00000 };

static void pic_setup(TimerFixture *f, uint8_t icw4_master)
{
    out8(f, 0x20, 0x11);
    out8(f, 0x21, 0x20);
    out8(f, 0x21, 0x04);
    out8(f, 0x21, icw4_master);
    out8(f, 0xa0, 0x11);
    out8(f, 0xa1, 0x28);
    out8(f, 0xa1, 0x02);
    out8(f, 0xa1, 0x01);
}

static void set_irq(TimerFixture *f, int irq, bool level)
{
    irq_set(&f->board.isa_irq[irq], level);
}

static void pulse(TimerFixture *f, int irq)
{
    irq_pulse(&f->board.isa_irq[irq]);
}

static int acknowledge(TimerFixture *f, unsigned cpu)
{
    return lapic_acknowledge(f->lapics, cpu);
}

/* --- 8259 ----------------------------------------------------------------------------------- */

static void test_pic_priorities(void)
{
    TimerFixture *f = timer_fixture_new();

    pic_setup(f, 0x01);
    g_assert_false(f->intr[0]);
    pulse(f, 4);
    pulse(f, 12);
    pulse(f, 1);
    g_assert_true(f->intr[0]); /* virtual wire: LINT0 is ExtINT after reset on the boot processor */
    g_assert_false(f->intr[1]);
    g_assert_cmphex(in8(f, 0x20), ==, 0x16); /* IRR: 1, cascade, 4 */
    g_assert_cmphex(acknowledge(f, 0), ==, 0x21);
    g_assert_false(f->intr[0]);
    out8(f, 0x20, 0x20);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x2c);
    out8(f, 0x20, 0x0b);
    g_assert_cmphex(in8(f, 0x20), ==, 0x04); /* ISR */
    out8(f, 0xa0, 0x0b);
    g_assert_cmphex(in8(f, 0xa0), ==, 0x10);
    pulse(f, 8); /* higher on the slave, but fully nested mode keeps the master's level 2 busy */
    g_assert_false(f->intr[0]);
    out8(f, 0xa0, 0x20);
    out8(f, 0x20, 0x62); /* specific EOI of the cascade */
    g_assert_cmphex(acknowledge(f, 0), ==, 0x28);
    out8(f, 0xa0, 0x20);
    out8(f, 0x20, 0x20);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x24);
    out8(f, 0x20, 0x20);
    g_assert_cmpint(acknowledge(f, 0), ==, -1);
    timer_fixture_free(f);
}

static void test_pic_masks(void)
{
    TimerFixture *f = timer_fixture_new();

    pic_setup(f, 0x01);
    out8(f, 0x21, 0xff);
    pulse(f, 3);
    g_assert_false(f->intr[0]);
    g_assert_cmphex(in8(f, 0x21), ==, 0xff);
    out8(f, 0x21, 0xf7);
    g_assert_true(f->intr[0]);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x23);
    /* Special mask mode: IRQ 3 is masked while in service, and IRQ 5 comes through. */
    out8(f, 0x21, 0x00);
    pulse(f, 5);
    g_assert_false(f->intr[0]);
    out8(f, 0x20, 0x68);
    out8(f, 0x21, 0x08);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x25);
    out8(f, 0x20, 0x20); /* non-specific EOI leaves the masked level alone */
    out8(f, 0x20, 0x0b);
    g_assert_cmphex(in8(f, 0x20), ==, 0x08);
    timer_fixture_free(f);
}

static void test_pic_modes(void)
{
    TimerFixture *f = timer_fixture_new();
    I8259 *pic = interrupts_pic(f->interrupts);

    pic_setup(f, 0x03); /* automatic EOI */
    pulse(f, 6);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x26);
    out8(f, 0x20, 0x0b);
    g_assert_cmphex(in8(f, 0x20), ==, 0);
    out8(f, 0x20, 0x80); /* rotate in automatic EOI mode */
    pulse(f, 0);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x20);
    pulse(f, 0);
    pulse(f, 7);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x27); /* IRQ 0 is the lowest now */
    g_assert_cmphex(acknowledge(f, 0), ==, 0x20);

    /* Special fully nested mode: a higher slave level interrupts a lower one. */
    pic_setup(f, 0x11);
    pulse(f, 12);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x2c);
    pulse(f, 9);
    g_assert_true(f->intr[0]);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x29);

    /* Poll, set priority, rotate on EOI. */
    pic_setup(f, 0x01);
    pulse(f, 3);
    pulse(f, 5);
    out8(f, 0x20, 0xc4); /* IRQ 4 lowest: 5 is the highest */
    out8(f, 0x20, 0x0c);
    g_assert_cmphex(in8(f, 0x20), ==, 0x85);
    out8(f, 0x20, 0xa0); /* rotate on non-specific EOI: 5 becomes the lowest */
    out8(f, 0x20, 0x0c);
    g_assert_cmphex(in8(f, 0x20), ==, 0x83);
    out8(f, 0x20, 0x0c);
    g_assert_cmphex(in8(f, 0x20), ==, 0);

    /* Spurious: nothing requests any more. */
    pic_setup(f, 0x01);
    g_assert_cmphex(i8259_acknowledge(pic), ==, 0x27);
    out8(f, 0x20, 0x0b);
    g_assert_cmphex(in8(f, 0x20), ==, 0);
    timer_fixture_free(f);
}

static void test_pic_elcr(void)
{
    TimerFixture *f = timer_fixture_new();

    pic_setup(f, 0x01);
    out8(f, 0x4d0, 0xff);
    out8(f, 0x4d1, 0xff);
    g_assert_cmphex(in8(f, 0x4d0), ==, 0xf8);
    g_assert_cmphex(in8(f, 0x4d1), ==, 0xde);
    set_irq(f, 11, true);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x2b);
    out8(f, 0xa0, 0x20);
    out8(f, 0x20, 0x20);
    g_assert_true(f->intr[0]); /* still asserted: again */
    set_irq(f, 11, false);
    g_assert_false(f->intr[0]);
    g_assert_cmpint(acknowledge(f, 0), ==, -1);
    timer_fixture_free(f);
}

/* Two sources on one wire. */
static void test_shared_wire(void)
{
    TimerFixture *f = timer_fixture_new();
    IrqLine second = interrupts_isa_source(f->interrupts, 9);

    pic_setup(f, 0x01);
    out8(f, 0x4d1, 0x02);
    set_irq(f, 9, true);
    irq_set(&second, true);
    set_irq(f, 9, false);
    g_assert_true(f->intr[0]);
    irq_set(&second, false);
    g_assert_false(f->intr[0]);
    timer_fixture_free(f);
}

/* --- local APIC ----------------------------------------------------------------------------- */

static void enable_apics(TimerFixture *f)
{
    for (f->current = 0; f->current < FIXTURE_CPUS; f->current++) {
        write32(f, APIC + 0xf0, 0x1ff);
        write32(f, APIC + 0xd0, 1u << (24 + f->current));
    }
    f->current = 0;
}

static void test_lapic_registers(void)
{
    TimerFixture *f = timer_fixture_new();

    f->current = 2;
    g_assert_cmphex(read32(f, APIC + 0x20), ==, 2u << 24);
    g_assert_cmphex(read32(f, APIC + 0x30), ==, 0x00050014);
    g_assert_cmphex(read32(f, APIC + 0xe0), ==, 0xffffffff);
    g_assert_cmphex(read32(f, APIC + 0xf0), ==, 0xff);
    g_assert_cmphex(read32(f, APIC + 0x350), ==, 0x10000);
    write32(f, APIC + 0x350, 0x8700); /* the mask stays set while the APIC is disabled */
    g_assert_cmphex(read32(f, APIC + 0x350), ==, 0x18700);
    write32(f, APIC + 0xf0, 0x1ff);
    write32(f, APIC + 0x350, 0x8700);
    g_assert_cmphex(read32(f, APIC + 0x350), ==, 0x8700);
    write32(f, APIC + 0xd0, 0xffffffff);
    g_assert_cmphex(read32(f, APIC + 0xd0), ==, 0xff000000);
    read32(f, APIC + 0x40); /* no such register */
    g_assert_cmphex(read32(f, APIC + 0x280), ==, 0);
    write32(f, APIC + 0x280, 0);
    g_assert_cmphex(read32(f, APIC + 0x280), ==, 0x80);
    write32(f, APIC + 0x280, 0);
    g_assert_cmphex(read32(f, APIC + 0x280), ==, 0);
    timer_fixture_free(f);
}

static void test_lapic_priorities(void)
{
    TimerFixture *f = timer_fixture_new();

    enable_apics(f);
    write32(f, APIC + 0x300, 0x40000 | 0x41); /* to self */
    write32(f, APIC + 0x300, 0x40000 | 0x52);
    write32(f, APIC + 0x300, 0x40000 | 0x45);
    g_assert_cmphex(read32(f, APIC + 0x220), ==, 1 << 1 | 1 << 5 | 1 << 18);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x52);
    g_assert_cmphex(read32(f, APIC + 0xa0), ==, 0x50);
    g_assert_false(f->intr[0]);
    write32(f, APIC + 0xb0, 0);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x45);
    write32(f, APIC + 0xb0, 0);
    lapic_set_cr8(f->lapics, 0, 4);
    g_assert_cmphex(read32(f, APIC + 0x80), ==, 0x40);
    g_assert_false(f->intr[0]);
    g_assert_cmpint(acknowledge(f, 0), ==, -1);
    write32(f, APIC + 0x80, 0x3f);
    g_assert_cmpint(lapic_get_cr8(f->lapics, 0), ==, 3);
    g_assert_true(f->intr[0]);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x41);
    timer_fixture_free(f);
}

static void test_ipis(void)
{
    TimerFixture *f = timer_fixture_new();

    enable_apics(f);
    write32(f, APIC + 0x300, 0xc4500); /* INIT to all others, then SIPI */
    write32(f, APIC + 0x300, 0xc8500); /* level de-assert does nothing */
    write32(f, APIC + 0x300, 0xc4610);
    for (int i = 0; i < FIXTURE_CPUS; i++) {
        g_assert_cmpuint(f->inits[i], ==, i ? 1 : 0);
        g_assert_cmpuint(f->sipis[i], ==, i ? 1 : 0);
    }
    g_assert_cmphex(f->sipi_vector[3], ==, 0x10);
    write32(f, APIC + 0x310, 2u << 24);
    write32(f, APIC + 0x300, 0x00400); /* NMI to CPU 2 */
    g_assert_cmpuint(f->nmis[2], ==, 1);
    write32(f, APIC + 0x310, 0x0au << 24);
    write32(f, APIC + 0x300, 0x00800 | 0x61); /* logical, flat: CPUs 1 and 3 */
    g_assert_false(f->intr[0] || f->intr[2]);
    g_assert_cmphex(acknowledge(f, 1), ==, 0x61);
    g_assert_cmphex(acknowledge(f, 3), ==, 0x61);

    /* Lowest priority: the one with the lowest task priority among 0, 1, 2. */
    lapic_set_cr8(f->lapics, 0, 5);
    lapic_set_cr8(f->lapics, 1, 5);
    write32(f, APIC + 0x310, 0x07u << 24);
    write32(f, APIC + 0x300, 0x00900 | 0x72);
    g_assert_cmphex(acknowledge(f, 2), ==, 0x72);

    /* Cluster model: cluster 1 members 0 and 1. */
    for (f->current = 0; f->current < FIXTURE_CPUS; f->current++) {
        write32(f, APIC + 0xe0, 0x0fffffff);
        write32(f, APIC + 0xd0,
                (f->current < 2 ? 0x10u : 0x20u) << 24 | 1u << (24 + f->current % 2));
    }
    f->current = 3;
    write32(f, APIC + 0x310, 0x12u << 24);
    write32(f, APIC + 0x300, 0x00800 | 0x83);
    g_assert_cmphex(acknowledge(f, 1), ==, 0x83);
    g_assert_false(f->intr[0] || f->intr[2] || f->intr[3]);

    /* An illegal vector is an error of the sender. */
    write32(f, APIC + 0x370, 0xe4);
    write32(f, APIC + 0x300, 0x40000 | 0x05);
    write32(f, APIC + 0x280, 0);
    g_assert_cmphex(read32(f, APIC + 0x280), ==, 0x20);
    g_assert_cmphex(acknowledge(f, 3), ==, 0xe4);
    timer_fixture_free(f);
}

static void test_x2apic(void)
{
    TimerFixture *f = timer_fixture_new();
    uint64_t value;

    enable_apics(f);
    g_assert_true(lapic_read_msr(f->lapics, 0, 0x1b, &value));
    g_assert_cmphex(value, ==, 0xfee00900);
    g_assert_false(lapic_read_msr(f->lapics, 1, 0x802, &value));
    g_assert_false(lapic_write_msr(f->lapics, 1, 0x1b, 0xfee00400)); /* EXTD without EN */
    g_assert_true(lapic_write_msr(f->lapics, 1, 0x1b, 0xfee00c00));
    g_assert_false(lapic_write_msr(f->lapics, 1, 0x1b, 0xfee00800)); /* not back */
    g_assert_true(lapic_read_msr(f->lapics, 1, 0x802, &value));
    g_assert_cmphex(value, ==, 1);
    g_assert_true(lapic_read_msr(f->lapics, 1, 0x80d, &value));
    g_assert_cmphex(value, ==, 2);
    g_assert_false(lapic_write_msr(f->lapics, 1, 0x80b, 1));
    g_assert_false(lapic_write_msr(f->lapics, 1, 0x808, 0x100));
    g_assert_false(lapic_write_msr(f->lapics, 1, 0x802, 0));
    g_assert_false(lapic_read_msr(f->lapics, 1, 0x80e, &value)); /* no DFR */
    g_assert_true(lapic_write_msr(f->lapics, 1, 0x83f, 0x66));
    g_assert_cmphex(acknowledge(f, 1), ==, 0x66);
    g_assert_true(lapic_write_msr(f->lapics, 1, 0x80b, 0));
    g_assert_true(lapic_write_msr(f->lapics, 1, 0x830, 3ull << 32 | 0x77));
    g_assert_cmphex(acknowledge(f, 3), ==, 0x77);
    g_assert_true(lapic_write_msr(f->lapics, 1, 0x1b, 0xfee00000));
    g_assert_false(lapic_write_msr(f->lapics, 1, 0x1b, 0xfee00c00)); /* not from disabled */
    g_assert_true(lapic_write_msr(f->lapics, 1, 0x1b, 0xfee00800));
    f->current = 1;
    g_assert_cmphex(read32(f, APIC + 0xf0), ==, 0xff); /* was reset */

    /* Moved by the guest, seen by its owner only. */
    g_assert_true(lapic_write_msr(f->lapics, 1, 0x1b, 0xd0000800));
    g_assert_cmphex(read32(f, 0xd0000020), ==, 1u << 24);
    g_assert_cmphex(read32(f, APIC + 0x20), ==, 0xffffffff);
    f->current = 0;
    g_assert_cmphex(read32(f, 0xd0000020), ==, 0xffffffff);
    timer_fixture_free(f);
}

static void test_lapic_timer(void)
{
    TimerFixture *f = timer_fixture_new();
    uint64_t value;

    enable_apics(f);
    write32(f, APIC + 0x3e0, 0x3); /* by 16 */
    write32(f, APIC + 0x320, 0x31);
    write32(f, APIC + 0x380, 1000);
    fixture_advance(f, 8000);
    g_assert_cmpuint(read32(f, APIC + 0x390), ==, 500);
    g_assert_false(f->intr[0]);
    fixture_advance(f, 8000);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x31);
    write32(f, APIC + 0xb0, 0);
    fixture_advance(f, 100000);
    g_assert_cmpuint(read32(f, APIC + 0x390), ==, 0);
    g_assert_false(f->intr[0]);

    write32(f, APIC + 0x320, 0x20031); /* periodic, 1 ms */
    write32(f, APIC + 0x3e0, 0xb);
    write32(f, APIC + 0x380, 1000000);
    for (int i = 0; i < 100; i++) {
        fixture_advance(f, 999999);
        g_assert_false(f->intr[0]);
        fixture_advance(f, 1);
        g_assert_cmphex(acknowledge(f, 0), ==, 0x31);
        write32(f, APIC + 0xb0, 0);
    }
    write32(f, APIC + 0x380, 0);

    g_assert_true(lapic_write_msr(f->lapics, 0, 0x6e0, 1000)); /* ignored in this mode */
    g_assert_true(lapic_read_msr(f->lapics, 0, 0x6e0, &value));
    g_assert_cmphex(value, ==, 0);
    write32(f, APIC + 0x320, 0x40032);
    uint64_t deadline = fixture_tsc(f, 0) + 2 * 5000;
    g_assert_true(lapic_write_msr(f->lapics, 0, 0x6e0, deadline));
    fixture_advance(f, 4999);
    g_assert_false(f->intr[0]);
    g_assert_true(lapic_read_msr(f->lapics, 0, 0x6e0, &value));
    g_assert_cmphex(value, ==, deadline);
    fixture_advance(f, 1);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x32);
    write32(f, APIC + 0xb0, 0);
    g_assert_true(lapic_read_msr(f->lapics, 0, 0x6e0, &value));
    g_assert_cmphex(value, ==, 0);
    g_assert_true(lapic_write_msr(f->lapics, 0, 0x6e0, 1)); /* past: at once */
    g_assert_cmphex(acknowledge(f, 0), ==, 0x32);

    /* An absurd period costs a bounded number of interrupts. */
    write32(f, APIC + 0xb0, 0);
    write32(f, APIC + 0x320, 0x20031);
    write32(f, APIC + 0x380, 1);
    fixture_advance(f, 10000000);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x31);
    timer_fixture_free(f);
}

/* --- I/O APIC ------------------------------------------------------------------------------- */

static void redirect(TimerFixture *f, int pin, uint32_t low, uint32_t high)
{
    write32(f, IOAPIC, 0x11 + 2 * pin);
    write32(f, IOAPIC + 0x10, high);
    write32(f, IOAPIC, 0x10 + 2 * pin);
    write32(f, IOAPIC + 0x10, low);
}

static uint32_t redirection(TimerFixture *f, int pin)
{
    write32(f, IOAPIC, 0x10 + 2 * pin);
    return read32(f, IOAPIC + 0x10);
}

static void test_ioapic(void)
{
    TimerFixture *f = timer_fixture_new();

    enable_apics(f);
    write32(f, IOAPIC, 1);
    g_assert_cmphex(read32(f, IOAPIC + 0x10), ==, 0x00170020);
    g_assert_cmphex(redirection(f, 5), ==, 0x10000);

    pulse(f, 4); /* masked edge: lost */
    redirect(f, 4, 0x54, 1u << 24);
    g_assert_false(f->intr[1]);
    pulse(f, 4);
    g_assert_cmphex(acknowledge(f, 1), ==, 0x54);

    redirect(f, 2, 0x50, 0); /* the PIT's IRQ 0 comes in here */
    out8(f, 0x21, 0xff);
    out8(f, 0xa1, 0xff);
    pulse(f, 0);
    g_assert_cmphex(acknowledge(f, 0), ==, 0x50);
    write32(f, APIC + 0xb0, 0);

    redirect(f, 11, 0x8000 | 0x5b, 2u << 24);
    set_irq(f, 11, true);
    g_assert_cmphex(redirection(f, 11), ==, 0xc05b);
    g_assert_cmphex(acknowledge(f, 2), ==, 0x5b);
    f->current = 2;
    g_assert_cmphex(read32(f, APIC + 0x1a0), ==, 1u << 27); /* TMR */
    write32(f, APIC + 0xb0, 0);
    g_assert_true(f->intr[2]); /* still asserted */
    g_assert_cmphex(acknowledge(f, 2), ==, 0x5b);
    set_irq(f, 11, false);
    write32(f, APIC + 0xb0, 0);
    g_assert_false(f->intr[2]);
    g_assert_cmphex(redirection(f, 11), ==, 0x805b);

    /* The EOI register, and turning an entry to edge, clear remote IRR as well. */
    set_irq(f, 11, true);
    g_assert_cmphex(acknowledge(f, 2), ==, 0x5b);
    set_irq(f, 11, false);
    write32(f, IOAPIC + 0x40, 0x5b);
    g_assert_cmphex(redirection(f, 11), ==, 0x805b);

    lapic_deliver_msi(f->lapics, 0xfee03000, 0x4099);
    g_assert_cmphex(acknowledge(f, 3), ==, 0x99);
    f->current = LAPIC_NO_CPU;
    write32(f, 0xfee01000, 0x9a); /* a device's write */
    g_assert_cmphex(acknowledge(f, 1), ==, 0x9a);

    interrupts_nmi(f->interrupts); /* LINT1 is masked */
    g_assert_cmpuint(f->nmis[0], ==, 0);
    f->current = 0;
    write32(f, APIC + 0x360, 0x400);
    interrupts_nmi(f->interrupts);
    g_assert_cmpuint(f->nmis[0], ==, 1);

    GString *out = g_string_new(NULL);
    interrupts_describe(f->interrupts, out);
    lapic_describe(f->lapics, 0, out);
    g_assert_nonnull(strstr(out->str, "pic1:"));
    g_string_free(out, TRUE);
    timer_fixture_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chipset/i8259/priorities", test_pic_priorities);
    g_test_add_func("/chipset/i8259/masks", test_pic_masks);
    g_test_add_func("/chipset/i8259/modes", test_pic_modes);
    g_test_add_func("/chipset/i8259/elcr", test_pic_elcr);
    g_test_add_func("/chipset/interrupts/shared-wire", test_shared_wire);
    g_test_add_func("/chipset/lapic/registers", test_lapic_registers);
    g_test_add_func("/chipset/lapic/priorities", test_lapic_priorities);
    g_test_add_func("/chipset/lapic/ipis", test_ipis);
    g_test_add_func("/chipset/lapic/x2apic", test_x2apic);
    g_test_add_func("/chipset/lapic/timer", test_lapic_timer);
    g_test_add_func("/chipset/ioapic", test_ioapic);
    return g_test_run();
}
