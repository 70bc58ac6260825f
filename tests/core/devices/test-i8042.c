/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The controller itself: IBM PS/2 Hardware Technical Reference, "Keyboard and Auxiliary Device
 * Controller". */

#include "i8042-fixture.h"

static uint8_t read_ram(Fixture *f, unsigned index)
{
    command(f, 0x20 + index);
    return inb(&f->ports, 0x60);
}

static void test_command_byte(void)
{
    Fixture f;

    fixture_init(&f, 0x00);
    i8042_reset(f.controller);
    g_assert_cmphex(read_ram(&f, 0), ==, 0x03);
    g_assert_cmphex(inb(&f.ports, 0x64), ==, UNLOCKED | WAS_COMMAND);
    command(&f, 0x60);
    g_assert_cmphex(inb(&f.ports, 0x64) & WAS_COMMAND, ==, WAS_COMMAND);
    outb(&f.ports, 0x60, 0x47);
    g_assert_cmphex(inb(&f.ports, 0x64) & WAS_COMMAND, ==, 0);
    g_assert_cmphex(read_ram(&f, 0), ==, 0x47);
    g_assert_cmphex(inb(&f.ports, 0x64) & SYSTEM_FLAG, ==, SYSTEM_FLAG);
    for (unsigned i = 1; i < 32; i++) {
        command(&f, 0x60 + i);
        outb(&f.ports, 0x60, i * 7);
    }
    for (unsigned i = 1; i < 32; i++)
        g_assert_cmphex(read_ram(&f, i), ==, (i * 7) & 0xff);
    g_assert_cmphex(read_ram(&f, 0), ==, 0x47);
    /* Another command drops the one that waits for its argument. */
    command(&f, 0x60);
    command(&f, 0xaa);
    assert_bytes(&f, "55");
    g_assert_cmphex(read_ram(&f, 0), ==, 0x47);
    fixture_destroy(&f);
}

static void test_tests(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    g_assert_cmphex(inb(&f.ports, 0x64) & SYSTEM_FLAG, ==, 0);
    command(&f, 0xaa);
    assert_bytes(&f, "55");
    g_assert_cmphex(inb(&f.ports, 0x64) & SYSTEM_FLAG, ==, SYSTEM_FLAG);
    command(&f, 0xab);
    assert_bytes(&f, "00");
    command(&f, 0xa9);
    assert_bytes(&f, "00");
    command(&f, 0xc0);
    assert_bytes(&f, "80");
    fixture_destroy(&f);
}

/* A7/A8 and AD/AE, and bits 4 and 5 of the command byte, hold a device's clock. */
static void test_disabling(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    command(&f, 0xad);
    g_assert_cmphex(read_ram(&f, 0), ==, 0x13);
    tap(&f, KEY_A);
    assert_bytes(&f, "");
    command(&f, 0xae); /* the keyboard kept it */
    g_assert_true(f.ports.irq[1]);
    assert_bytes(&f, "1c f0 1c");
    mouse(&f, 0xf4);
    assert_bytes(&f, "-fa");
    command(&f, 0xa7);
    g_assert_cmphex(read_ram(&f, 0), ==, 0x23);
    move(&f, 1, 0, 0, 0);
    assert_bytes(&f, "");
    command(&f, 0xa8);
    assert_bytes(&f, "-08 -01 -00");
    /* Talking to a device opens its line. */
    command(&f, 0xad);
    keyboard(&f, 0xee);
    assert_bytes(&f, "ee");
    g_assert_cmphex(read_ram(&f, 0), ==, 0x03);
    fixture_destroy(&f);
}

/* IRQ 1 for the keyboard, 12 for the mouse, while the byte waits and bits 0 and 1 allow. */
static void test_interrupts(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    tap(&f, KEY_A);
    g_assert_true(f.ports.irq[1]);
    g_assert_cmpuint(f.ports.edges[1], ==, 1);
    g_assert_cmphex(inb(&f.ports, 0x60), ==, 0x1c);
    g_assert_cmpuint(f.ports.edges[1], ==, 2); /* the next byte is an edge of its own */
    g_assert_cmphex(inb(&f.ports, 0x60), ==, 0xf0);
    g_assert_cmphex(inb(&f.ports, 0x60), ==, 0x1c);
    g_assert_cmpuint(f.ports.edges[1], ==, 3);
    g_assert_false(f.ports.irq[1]);
    g_assert_cmphex(inb(&f.ports, 0x60), ==, 0x1c); /* the last byte stays readable */
    mouse(&f, 0xf4);
    g_assert_true(f.ports.irq[12]);
    g_assert_false(f.ports.irq[1]);
    g_assert_cmphex(inb(&f.ports, 0x64) & (OBF | AUX_OBF), ==, OBF | AUX_OBF);
    g_assert_cmphex(inb(&f.ports, 0x60), ==, ACK);
    g_assert_false(f.ports.irq[12]);
    command(&f, 0x60);
    outb(&f.ports, 0x60, 0x00);
    tap(&f, KEY_A);
    move(&f, 1, 1, 0, 0);
    g_assert_false(f.ports.irq[1] || f.ports.irq[12]);
    command(&f, 0x60); /* allowed while one waits: it is told now */
    outb(&f.ports, 0x60, 0x03);
    g_assert_true(f.ports.irq[1]);
    assert_bytes(&f, "1c f0 1c -28 -01 -ff");
    fixture_destroy(&f);
}

static void test_loop_backs(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    command(&f, 0xd2);
    outb(&f.ports, 0x60, 0x99);
    g_assert_true(f.ports.irq[1]);
    assert_bytes(&f, "99");
    command(&f, 0xd3); /* how drivers look for a mouse port */
    outb(&f.ports, 0x60, 0x5a);
    g_assert_true(f.ports.irq[12]);
    assert_bytes(&f, "-5a");
    fixture_destroy(&f);
}

static void test_output_port(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    command(&f, 0xd0);
    g_assert_cmphex(inb(&f.ports, 0x60) & 3, ==, 3);
    command(&f, 0xd1);
    outb(&f.ports, 0x60, 0xdd);
    g_assert_false(f.ports.a20);
    command(&f, 0xd0);
    g_assert_cmphex(inb(&f.ports, 0x60) & 3, ==, 1);
    command(&f, 0xd1);
    outb(&f.ports, 0x60, 0xdf);
    g_assert_true(f.ports.a20);
    command(&f, 0xdd);
    g_assert_false(f.ports.a20);
    command(&f, 0xdf);
    g_assert_true(f.ports.a20);
    g_assert_cmpuint(f.ports.resets, ==, 0);
    /* Bits 4 and 5 show the interrupts. */
    tap(&f, KEY_A);
    command(&f, 0xd0);
    g_assert_cmphex(inb(&f.ports, 0x60) & 0x30, ==, 0x10);
    i8042_reset(f.controller);

    command(&f, 0xd1); /* bit 0 is the processor's reset line */
    outb(&f.ports, 0x60, 0xde);
    g_assert_cmpuint(f.ports.resets, ==, 1);
    i8042_reset(f.controller);
    command(&f, 0xd0);
    g_assert_cmphex(inb(&f.ports, 0x60) & 3, ==, 3);
    /* F0h-FFh pulse the lines whose bits are clear. */
    for (unsigned i = 0xf0; i <= 0xff; i++)
        command(&f, i);
    g_assert_cmpuint(f.ports.resets, ==, 1 + 8);
    fixture_destroy(&f);
}

/* Wider accesses are bytes at ascending ports, and what nobody claims reads as ones. */
static void test_widths(void)
{
    Fixture f;

    fixture_init(&f, 0x03);
    tap(&f, KEY_A);
    g_assert_cmphex(port_read(f.ports.board.memory, 0x60, 2), ==, 0xff1c);
    g_assert_cmphex(port_read(f.ports.board.memory, 0x64, 4) & 0xffffff00, ==, 0xffffff00);
    port_write(f.ports.board.memory, 0x60, 0x123456ee, 4);
    assert_bytes(&f, "f0 1c ee");
    fixture_destroy(&f);
}

static void test_reset(void)
{
    Fixture f;

    fixture_init(&f, 0x43);
    mouse(&f, 0xf4);
    tap(&f, KEY_A);
    command(&f, 0xdd);
    command(&f, 0x60);
    i8042_reset(f.controller);
    g_assert_false(f.ports.irq[1] || f.ports.irq[12]);
    g_assert_cmphex(inb(&f.ports, 0x64) & OBF, ==, 0);
    g_assert_true(f.ports.a20);
    outb(&f.ports, 0x60, 0xee); /* to the keyboard: no command waits */
    assert_bytes(&f, "ee");
    g_assert_cmphex(read_ram(&f, 0), ==, 0x03);
    move(&f, 1, 1, 0, 0);
    assert_bytes(&f, "");
    tap(&f, KEY_A);
    assert_bytes(&f, "1c f0 1c");
    fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/i8042/command-byte", test_command_byte);
    g_test_add_func("/i8042/tests", test_tests);
    g_test_add_func("/i8042/disabling", test_disabling);
    g_test_add_func("/i8042/interrupts", test_interrupts);
    g_test_add_func("/i8042/loop-backs", test_loop_backs);
    g_test_add_func("/i8042/output-port", test_output_port);
    g_test_add_func("/i8042/widths", test_widths);
    g_test_add_func("/i8042/reset", test_reset);
    return g_test_run();
}
