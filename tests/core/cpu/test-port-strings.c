/* SPDX-License-Identifier: GPL-3.0-or-later */

/* REP INS and REP OUTS at a port that moves blocks: every element once, in order, where it belongs,
 * across pages and in both directions. */

#include "cpu-fixture.h"

/* clang-format off */
static const uint8_t program[] = {
    0x31, 0xc0,             /* xor ax, ax */
    0x8e, 0xc0,             /* mov es, ax */
    0x8e, 0xd8,             /* mov ds, ax */
    0xfc,                   /* cld */
    0xba, 0x34, 0x12,       /* mov dx, 0x1234 */
    0xbf, 0xfd, 0x1f,       /* mov di, 0x1ffd: words that cross pages */
    0xb9, 0x88, 0x13,       /* mov cx, 5000 */
    0xf3, 0x6d,             /* rep insw */
    0x89, 0x3e, 0x00, 0x05, /* mov [0x500], di */
    0x89, 0x0e, 0x02, 0x05, /* mov [0x502], cx */
    0xbe, 0xff, 0x1f,       /* mov si, 0x1fff */
    0xb9, 0xdc, 0x05,       /* mov cx, 1500 */
    0xf3, 0x66, 0x6f,       /* rep outsd */
    0x89, 0x36, 0x04, 0x05, /* mov [0x504], si */
    0xbf, 0xff, 0x5f,       /* mov di, 0x5fff */
    0xbe, 0xff, 0x5f,       /* mov si, 0x5fff */
    0xb9, 0x03, 0x00,       /* mov cx, 3 */
    0xfd,                   /* std */
    0xf3, 0x6c,             /* rep insb */
    0x89, 0x3e, 0x06, 0x05, /* mov [0x506], di */
    0xf4,                   /* hlt */
};
/* clang-format on */

static const uint8_t reset_vector[] = {0xe9, 0x0d, 0xf0}; /* jmp 0xf000 */

typedef struct {
    unsigned next, calls, runs; /* elements read so far */
    GArray *written;
} Port;

static uint32_t port_in(void *opaque, uint16_t port, unsigned size)
{
    g_assert_cmphex(port, ==, 0x1234);
    return ((Port *)opaque)->next++;
}

static void port_out(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    g_array_append_val(((Port *)opaque)->written, value);
}

/* Takes a few at a time, and now and then none. */
static size_t take(Port *port, size_t count)
{
    port->runs++;
    return port->calls++ % 3 ? MIN(count, 7) : 0;
}

static size_t port_in_run(void *opaque, uint16_t number, void *buffer, size_t count, unsigned size)
{
    Port *port = opaque;
    size_t n = take(port, count);

    for (size_t i = 0; i < n; i++, port->next++)
        memcpy((uint8_t *)buffer + i * size, &port->next, size);
    return n;
}

static size_t port_out_run(void *opaque, uint16_t number, const void *buffer, size_t count,
                           unsigned size)
{
    Port *port = opaque;
    size_t n = take(port, count);

    for (size_t i = 0; i < n; i++) {
        uint32_t value = 0;
        memcpy(&value, (const uint8_t *)buffer + i * size, size);
        g_array_append_val(port->written, value);
    }
    return n;
}

static void no_lock(void *opaque)
{
}

static const PortOps port_ops = {port_in, port_out, 4};
static const PortRunOps run_ops = {port_in_run, port_out_run};
static const CpuBoardOps board_ops = {.lock = no_lock, .unlock = no_lock};

static void test_strings(gconstpointer with_runs)
{
    Fixture f;
    Port port = {.written = g_array_new(FALSE, FALSE, 4)};

    fixture_set_up_with(&f, &board_ops, NULL);
    port_register(f.memory, 0x1234, 4, &port_ops, &port);
    if (with_runs)
        port_set_run_ops(f.memory, 0x1234, &run_ops);
    poke(&f, FIXTURE_RAM - 0x1000, program, sizeof program);
    poke(&f, FIXTURE_RAM - 0x10, reset_vector, sizeof reset_vector);
    for (int i = 0; i < 20000 && !cpu_is_halted(f.cpu); i++)
        cpu_step(f.cpu, 1);
    g_assert_true(cpu_is_halted(f.cpu));
    for (unsigned i = 0; i < 5000; i++)
        g_assert_cmphex(peek32(&f, 0x1ffd + 2 * i) & 0xffff, ==, i);
    g_assert_cmphex(peek32(&f, 0x500), ==, 0x1ffd + 10000);
    g_assert_cmpuint(port.written->len, ==, 1500);
    for (unsigned i = 0; i < 1500; i++) {
        uint32_t expected = (2 * i + 1) | (2 * i + 2) << 16;
        g_assert_cmphex(g_array_index(port.written, uint32_t, i), ==, expected);
    }
    g_assert_cmphex(peek32(&f, 0x504), ==, (0x1fff + 6000) | 0x5ffcu << 16);
    g_assert_cmphex(peek32(&f, 0x5ffd) & 0xffffff, ==, 0x88898a);
    g_assert_cmpuint(port.next, ==, 5003);
    g_assert_cmpint(port.runs > 0, ==, with_runs != NULL);
    g_array_unref(port.written);
    fixture_tear_down(&f, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/cpu/port-strings/elements", NULL, test_strings);
    g_test_add_data_func("/cpu/port-strings/runs", "", test_strings);
    return g_test_run();
}
