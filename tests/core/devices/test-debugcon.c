/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The debug console and the exit port, as QEMU's isa-debugcon and isa-debug-exit behave. */

#include "core/devices/debugcon.h"

#include "core/config/options.h"
#include "port-fixture.h"

#include <string.h>

static Device *create(PortFixture *f, const DeviceClass *device_class, const char *options,
                      GError **error)
{
    Device *device = g_malloc0(device_class->instance_size);
    OptionValues *values = option_values_new(device_class->options);

    device->device_class = device_class;
    device->board = &f->board;
    g_assert_true(option_values_parse(values, options, NULL, NULL));
    if (!device_class->create(device, &f->board, values, error))
        g_clear_pointer(&device, g_free);
    option_values_free(values);
    return device;
}

static void destroy(Device *device)
{
    device->device_class->destroy(device);
    g_free(device);
}

static void assert_output(PortFixture *f, const char *expected)
{
    run_board(f);
    g_assert_cmpmem(f->output->data, f->output->len, expected, strlen(expected));
    g_byte_array_set_size(f->output, 0);
}

static void test_console(void)
{
    PortFixture f;

    port_fixture_init(&f);
    Debugcon *debugcon = debugcon_new(&f.board, 0x402, f.chardev);
    g_assert_cmphex(inb(&f, 0x402), ==, 0xe9); /* how SeaBIOS finds it, whatever the port */
    for (const char *c = "Hello"; *c; c++)
        outb(&f, 0x402, *c);
    assert_output(&f, "Hello");
    port_write(f.board.memory, 0x402, 'a' | 'b' << 8, 2); /* the second byte is another port's */
    assert_output(&f, "a");
    debugcon_free(debugcon);
    g_assert_cmphex(inb(&f, 0x402), ==, 0xff);
    outb(&f, 0x402, 'x');
    assert_output(&f, "");
    port_fixture_destroy(&f);
}

static void test_isa_debugcon(void)
{
    PortFixture f;
    GError *error = NULL;

    port_fixture_init(&f);
    Device *device = create(&f, &isa_debugcon_class, "chardev=test", &error);
    g_assert_no_error(error);
    outb(&f, 0xe9, '!');
    assert_output(&f, "!");
    destroy(device);
    device = create(&f, &isa_debugcon_class, "iobase=0x500,chardev=test", &error);
    g_assert_no_error(error);
    outb(&f, 0xe9, '?');
    outb(&f, 0x500, '.');
    assert_output(&f, ".");
    destroy(device);
    g_assert_null(create(&f, &isa_debugcon_class, "chardev=nobody", &error));
    g_assert_nonnull(strstr(error->message, "nobody"));
    g_clear_error(&error);
    g_assert_null(create(&f, &isa_debugcon_class, "", &error));
    g_assert_nonnull(strstr(error->message, "chardev="));
    g_clear_error(&error);
    port_fixture_destroy(&f);
}

static void test_debug_exit(void)
{
    PortFixture f;

    port_fixture_init(&f);
    Device *device = create(&f, &isa_debug_exit_class, "", NULL);
    g_assert_cmphex(inb(&f, 0x501), ==, 0xff);
    g_assert_cmpuint(f.exits, ==, 0);
    static const struct {
        uint32_t written;
        unsigned size;
        int status;
    } exits[] = {{0, 1, 1}, {1, 1, 3}, {0x10, 1, 0x21}, {0x7f, 2, 0xff}, {0xff, 1, 0xff}};
    for (size_t i = 0; i < G_N_ELEMENTS(exits); i++) {
        port_write(f.board.memory, 0x501, exits[i].written, exits[i].size);
        g_assert_cmpuint(f.exits, ==, i + 1);
        g_assert_cmpint(f.exit_status, ==, exits[i].status);
    }
    unsigned before = f.exits;
    outb(&f, 0x503, 1); /* two ports by default */
    g_assert_cmpuint(f.exits, ==, before);
    outb(&f, 0x502, 1);
    g_assert_cmpuint(f.exits, ==, before + 1);
    destroy(device);
    device = create(&f, &isa_debug_exit_class, "iobase=0xf4,iosize=4", NULL);
    port_write(f.board.memory, 0xf4, 0x20, 4);
    g_assert_cmpint(f.exit_status, ==, 0x41);
    destroy(device);
    before = f.exits;
    outb(&f, 0xf4, 0);
    outb(&f, 0x501, 0);
    g_assert_cmpuint(f.exits, ==, before);
    port_fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/debugcon/console", test_console);
    g_test_add_func("/debugcon/isa-debugcon", test_isa_debugcon);
    g_test_add_func("/debugcon/isa-debug-exit", test_debug_exit);
    return g_test_run();
}
