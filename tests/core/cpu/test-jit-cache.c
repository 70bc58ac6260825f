/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The code cache when it is full, and what is told about it: counters, samples, the map for perf.
 */

#include "tests/core/cpu/jit-pair.h"

#include <string.h>
#include <unistd.h>

#define KIB 1024u

/* Both machines from RIP; RCX is COUNT. */
static void go(Pair *pair, uint32_t rip, uint32_t count)
{
    pair->interp.cpu->gpr[RCX] = pair->jit.cpu->gpr[RCX] = count;
    pair_check_from(pair, rip, 100000000);
}

/* --- eviction --------------------------------------------------------------------------------- */

enum { PIECES = 8192, PIECE_BYTES = 32 };

/* Pieces that lead from one to the other in no order, until rcx is 0, over pages and within them.
 */
static void write_pieces(Pair *pair)
{
    for (unsigned i = 0; i < PIECES; i++) {
        uint8_t code[PIECE_BYTES] = {
            0x83, 0xd0, 0x07,                   /* adc eax, 7 */
            0x69, 0xc0, 0x21, 0x00, 0x00, 0x00, /* imul eax, eax, 33 */
            0xa8, 0x01,                         /* test al, 1 */
            0x74, 0x02,                         /* jz a */
            0xff, 0xc3,                         /* inc ebx */
            0xff, 0xc9,                         /* a: dec ecx */
            0x75, 0x01,                         /* jnz b */
            0xf4,                               /* hlt */
            0xe9,                               /* b: jmp the next */
        };
        unsigned next = (i * 5 + 3) % PIECES; /* all of them, since 5 is 1 modulo 4 */
        int32_t relative = (int32_t)((next - i) * PIECE_BYTES - 25);
        memcpy(&code[21], &relative, sizeof relative);
        pair_write(pair, CODE + i * PIECE_BYTES, code, sizeof code);
    }
}

static void test_eviction(void)
{
    const JitOptions tiny = {.max_insns = 32, .cache_bytes = JIT_LEAST_CACHE};
    Pair pair;

    pair_init(&pair, LONG_MODE, &tiny);
    write_pieces(&pair);
    for (unsigned i = 0; i < 4; i++)
        go(&pair, CODE, PIECES * 2 + i);
    JitStatistics s = jit_statistics(pair.jit.jit);
    g_assert_cmpuint(s.evictions, >, 16);
    g_assert_cmpuint(s.flushes, ==, 0);
    g_assert_cmpuint(s.code_bytes, <=, JIT_LEAST_CACHE);
    g_assert_cmpuint(s.present, ==, s.blocks - s.evicted - s.invalidated);
    pair_clear(&pair);
}

/* What survives is still reached: code that is always in use beside code that is always new. */
static void test_survivors(void)
{
    static const uint8_t loop[] = {
        0x01, 0xc8, /* a: add eax, ecx */
        0xff, 0xc9, /* dec ecx */
        0x75, 0xfa, /* jnz a */
        0xf4,
    };
    const JitOptions tiny = {.max_insns = 32, .cache_bytes = JIT_LEAST_CACHE};
    const uint32_t apart = CODE + PIECES * PIECE_BYTES;
    Pair pair;

    pair_init(&pair, LONG_MODE, &tiny);
    write_pieces(&pair);
    pair_write(&pair, apart, loop, sizeof loop);
    for (unsigned i = 0; i < 200; i++) {
        go(&pair, apart, 10);
        go(&pair, CODE + i * 37 % PIECES * PIECE_BYTES, 300);
    }
    g_assert_cmpuint(jit_statistics(pair.jit.jit).evictions, >, 0);
    pair_clear(&pair);
}

enum { ADDS = 26, ADD_BYTES = 7, N_GARBAGE_PAGES = 200 };

/* Code that is run once, with N in it, at a page's beginning: what was there before is garbage. */
static void run_once(Pair *pair, uint32_t at, uint32_t n)
{
    uint8_t code[5 + ADDS * ADD_BYTES + 1] = {0xb8}; /* mov eax, N */

    memcpy(&code[1], &n, sizeof n);
    for (unsigned i = 0; i < ADDS; i++) {
        uint8_t add[ADD_BYTES] = {0x03, 0x84, 0x0f}; /* add eax, [rdi + rcx + DISP] */
        add[3] = (uint8_t)(i * 4);
        memcpy(&code[5 + i * ADD_BYTES], add, sizeof add);
    }
    code[sizeof code - 1] = 0xf4;
    pair->interp.cpu->gpr[RDI] = pair->jit.cpu->gpr[RDI] = DATA;
    pair_write(pair, at, code, sizeof code);
    go(pair, at, 0);
}

/* Code that is written over and over does not take the whole cache before its memory is used again.
 */
static void test_garbage(void)
{
    enum { ROUNDS = 25 };
    const JitOptions options = {.max_insns = 32, .cache_bytes = 16u << 20};
    Pair pair;

    pair_init(&pair, LONG_MODE, &options);
    for (unsigned i = 0; i < ROUNDS * N_GARBAGE_PAGES; i++)
        run_once(&pair, CODE + i % N_GARBAGE_PAGES * 4 * KIB, i);
    JitStatistics s = jit_statistics(pair.jit.jit);
    g_test_message("%u KiB, %u evictions, %u blocks evicted", (unsigned)(s.code_bytes / KIB),
                   (unsigned)s.evictions, (unsigned)s.evicted);
    g_assert_cmpuint(s.evictions, >, 0);
    g_assert_cmpuint(s.code_bytes, <, s.cache_bytes / 4);
    pair_clear(&pair);
}

/* Blocks that are gone lead on to those that replaced them, in regions that then are garbage. */
static void test_replaced(void)
{
    enum { EVICTIONS = 6, AGAIN = 20, REPLACED = 30, ADD_IMM = 5 };
    static const uint8_t jump[] = {0xe9, 0xfb, 0x00, 0x00, 0x00}; /* jmp 256 bytes on */
    const JitOptions tiny = {.max_insns = 32, .cache_bytes = JIT_LEAST_CACHE};
    const uint32_t first = CODE + PIECES * PIECE_BYTES, garbage = first + 4 * KIB;
    Pair pair;

    pair_init(&pair, LONG_MODE, &tiny);
    write_pieces(&pair);
    pair_write(&pair, first, jump, sizeof jump);
    /* So long that the jump, which looks ahead, does not depend on its end. */
    for (unsigned i = 0; i < REPLACED; i++)
        pair_write(&pair, first + 256 + i * ADD_IMM, "\x05\x01\x00\x00\x00", ADD_IMM);
    pair_write(&pair, first + 256 + REPLACED * ADD_IMM, "\xf4", 1);
    for (unsigned i = 0; jit_statistics(pair.jit.jit).evictions < EVICTIONS; i++) {
        uint32_t n = i / AGAIN;
        if (i % AGAIN == 0)
            pair_write(&pair, first + 256 + REPLACED * ADD_IMM - 4, &n, sizeof n);
        go(&pair, first, 0);
        if (i == 0)
            go(&pair, CODE, 200); /* with these in it the region stays */
        run_once(&pair, garbage + i % (N_GARBAGE_PAGES / 2) * 4 * KIB, i);
    }
    pair_clear(&pair);
}

/* --- the map for perf ------------------------------------------------------------------------- */

typedef struct {
    uint64_t start, size;
    char *name;
} Line;

static int by_start(gconstpointer a, gconstpointer b)
{
    const Line *left = a, *right = b;

    return left->start < right->start ? -1 : left->start > right->start;
}

static void clear_line(gpointer line)
{
    g_free(((Line *)line)->name);
}

/* The map's lines by address, each as perf would read it. */
static GArray *read_map(void)
{
    g_autofree char *path = g_strdup_printf("/tmp/perf-%d.map", (int)getpid()), *text = NULL;
    GArray *lines = g_array_new(FALSE, FALSE, sizeof(Line));

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_true(g_str_has_suffix(text, "\n"));
    g_auto(GStrv) rows = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; rows[i] && *rows[i]; i++) {
        char *rest;
        Line line;
        line.start = g_ascii_strtoull(rows[i], &rest, 16);
        g_assert_true(line.start && *rest == ' ');
        line.size = g_ascii_strtoull(rest + 1, &rest, 16);
        g_assert_true(line.size && *rest == ' ');
        line.name = g_strdup(rest + 1);
        g_array_append_val(lines, line);
    }
    g_array_set_clear_func(lines, clear_line);
    g_array_sort(lines, by_start);
    return lines;
}

static bool is_named(const GArray *lines, const char *name)
{
    for (guint i = 0; i < lines->len; i++)
        if (g_str_equal(g_array_index(lines, Line, i).name, name))
            return true;
    return false;
}

static void test_perf_map(void)
{
    const JitOptions tiny = {.max_insns = 32, .cache_bytes = JIT_LEAST_CACHE, .perf = true};
    Pair pair;

    pair_init(&pair, LONG_MODE, &tiny);
    write_pieces(&pair);
    go(&pair, CODE, 20);
    GArray *lines = read_map();
    g_assert_cmpuint(lines->len, ==, jit_statistics(pair.jit.jit).blocks);
    g_assert_true(is_named(lines, "guest:100000:64-bit:kernel:tier1"));
    g_array_unref(lines);

    /* No address has two names, though many blocks had it. */
    go(&pair, CODE, PIECES * 2);
    JitStatistics s = jit_statistics(pair.jit.jit);
    g_assert_cmpuint(s.evictions, >, 16);
    lines = read_map();
    g_assert_cmpuint(lines->len, ==, s.present);
    for (guint i = 1; i < lines->len; i++) {
        const Line *before = &g_array_index(lines, Line, i - 1);
        g_assert_cmpuint(before->start + before->size, <=, g_array_index(lines, Line, i).start);
    }
    g_array_unref(lines);
    pair_clear(&pair);
    g_autofree char *path = g_strdup_printf("/tmp/perf-%d.map", (int)getpid());
    g_assert_cmpint(unlink(path), ==, 0);
}

/* --- counters --------------------------------------------------------------------------------- */

static void test_slow_accesses(void)
{
    static const uint8_t code[] = {
        0x89, 0x04, 0x25, 0x00, 0x08, 0x10, 0x00, /* mov [CODE + 800h], eax */
        0x03, 0x04, 0x25, 0x00, 0x01, 0x20, 0x00, /* add eax, [DATA + 100h] */
        0x03, 0x04, 0x25, 0xfe, 0x1f, 0x20, 0x00, /* add eax, [DATA + 1ffeh] */
        0xf4,
    };
    JitStatistics s;
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, CODE, code, sizeof code);
    go(&pair, CODE, 0);
    s = jit_statistics(pair.jit.jit);
    g_assert_cmpuint(s.slow[JIT_SLOW_NEAR_CODE], ==, 1);
    g_assert_cmpuint(s.slow[JIT_SLOW_REFILL], ==, 1);
    g_assert_cmpuint(s.slow[JIT_SLOW_SPLIT], ==, 1);
    g_assert_cmpuint(jit_slow_accesses(&s), ==, 3);
    pair_clear(&pair);
}

/* A loop that a request finds running is where time is spent. */
static void test_hottest(void)
{
    static const uint8_t code[] = {
        0x31, 0xc0, /* xor eax, eax */
        0x01, 0xc8, /* a: add eax, ecx */
        0x01, 0xc8, /* add eax, ecx */
        0xff, 0xc9, /* dec ecx */
        0x75, 0xf8, /* jnz a */
        0xf4,
    };
    JitHot hottest[4];
    unsigned total;
    Pair pair;

    pair_init(&pair, LONG_MODE, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, CODE, code, sizeof code);
    g_assert_cmpuint(jit_hottest(pair.jit.jit, hottest, 4, &total), ==, 0);
    pair.jit.cpu->rip = CODE;
    pair.jit.cpu->gpr[RCX] = 1000;
    for (unsigned i = 0; i < 3; i++) {
        pair.jit.cpu->requests = REQUEST_LEAVE;
        jit_run(pair.jit.cpu);
        g_usleep(2000);
    }
    g_assert_cmpuint(jit_hottest(pair.jit.jit, hottest, 4, &total), ==, 1);
    g_assert_cmphex(hottest[0].rip, ==, CODE + 2);
    g_assert_false(hottest[0].user);
    g_assert_cmpuint(hottest[0].samples, ==, total);
    pair_clear(&pair);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/jit-cache/eviction", test_eviction);
    g_test_add_func("/cpu/jit-cache/survivors", test_survivors);
    g_test_add_func("/cpu/jit-cache/garbage", test_garbage);
    g_test_add_func("/cpu/jit-cache/replaced", test_replaced);
    g_test_add_func("/cpu/jit-cache/perf-map", test_perf_map);
    g_test_add_func("/cpu/jit-cache/slow-accesses", test_slow_accesses);
    g_test_add_func("/cpu/jit-cache/hottest", test_hottest);
    return g_test_run();
}
