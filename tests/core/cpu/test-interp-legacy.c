/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What 64-bit code cannot reach: real mode, 16-bit addresses, decimal arithmetic, PUSHA, BOUND, far
 * pointers, and x87's environment images. Expected values are the SDM's (volume 2, "Operation"). */

#include "core/cpu/cpu.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/mmu.h"

#include <string.h>

#define CODE  0x1000 /* CS is 0 */
#define STACK 0x8000
#define DATA  0x20000 /* DS and ES are 2000h */

typedef struct {
    MemoryMap *memory;
    RamBlock *ram;
    CpuidModel *model;
    Cpu *cpu;
} Fixture;

/* Real mode; vector N's handler is the HLT at 600h + N. */
static void set_up(Fixture *f, gconstpointer data)
{
    GError *error = NULL;
    f->memory = memory_map_new();
    f->ram = ram_block_new(f->memory, "ram", 1 << 20, &error);
    g_assert_no_error(error);
    memory_region_place(memory_region_new_ram(f->memory, "ram", f->ram, 0, 1 << 20), 0, 0);
    f->model = cpuid_model_new("max", 1, &error);
    g_assert_no_error(error);
    CpuConfig config = {.accel = CPU_ACCEL_INTERP, .memory = f->memory, .model = f->model};
    f->cpu = cpu_new(&config, &error);
    g_assert_no_error(error);
    for (unsigned vector = 0; vector < 32; vector++) {
        uint16_t offset = 0x600 + vector;
        memcpy(f->ram->host + vector * 4, &offset, 2);
        f->ram->host[offset] = 0xf4;
    }
    f->cpu->seg[SEG_CS] = (CpuSegment){0, 0xffff, 0, 0x9b};
    f->cpu->seg[SEG_SS] = (CpuSegment){0, 0xffff, 0, 0x93};
    f->cpu->seg[SEG_DS] = f->cpu->seg[SEG_ES] = (CpuSegment){DATA, 0xffff, DATA >> 4, 0x93};
    f->cpu->cr0 |= CR0_NE;
    f->cpu->gpr[RSP] = STACK;
    cpu_update_mode(f->cpu);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    cpu_free(f->cpu);
    cpuid_model_free(f->model);
    memory_map_free(f->memory);
}

/* Runs BYTES until HLT, after at most 1000 steps. Returns the exception's vector, -1 for none. */
static int run(Fixture *f, const char *bytes, unsigned length)
{
    Cpu *cpu = f->cpu;
    memcpy(f->ram->host + CODE, bytes, length);
    f->ram->host[CODE + length] = 0xf4;
    cpu->rip = CODE;
    cpu->halt_state = CPU_RUNNING;
    cpu_step(cpu, 1000);
    g_assert_cmpint(cpu->halt_state, ==, CPU_HALTED);
    if (cpu->rip > 0x600 && cpu->rip <= 0x620)
        return (int)cpu->rip - 0x601;
    g_assert_cmphex(cpu->rip, ==, CODE + length + 1);
    return -1;
}

#define RUN(f, bytes) run(f, bytes, sizeof bytes - 1)

static uint16_t word(Fixture *f, unsigned address)
{
    uint16_t value;
    memcpy(&value, f->ram->host + address, 2);
    return value;
}

static unsigned to_bcd(unsigned value)
{
    return value / 10 % 10 << 4 | value % 10;
}

/* --- decimal ---------------------------------------------------------------------------------- */

/* Adding and subtracting all pairs of packed decimals. */
static void test_daa_das(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    for (unsigned a = 0; a < 100; a += 3) {
        for (unsigned b = 0; b < 100; b++) {
            cpu->gpr[RAX] = to_bcd(a);
            cpu->gpr[RBX] = to_bcd(b);
            g_assert_cmpint(RUN(f, "\x00\xd8\x27"), ==, -1); /* add al, bl; daa */
            g_assert_cmphex(cpu->gpr[RAX] & 0xff, ==, to_bcd(a + b));
            g_assert_cmpint(cpu->rflags & RFLAGS_CF, ==, a + b > 99);
            cpu->gpr[RAX] = to_bcd(a);
            g_assert_cmpint(RUN(f, "\x28\xd8\x2f"), ==, -1); /* sub al, bl; das */
            g_assert_cmphex(cpu->gpr[RAX] & 0xff, ==, to_bcd(a + 100 - b));
            g_assert_cmpint(cpu->rflags & RFLAGS_CF, ==, a < b);
        }
    }
}

static void test_ascii(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    cpu->gpr[RAX] = 0x0009;
    cpu->gpr[RBX] = 8;
    g_assert_cmpint(RUN(f, "\x00\xd8\x37"), ==, -1); /* add al, bl; aaa */
    g_assert_cmphex(cpu->gpr[RAX], ==, 0x0107);
    g_assert_true(cpu->rflags & RFLAGS_CF);
    cpu->gpr[RAX] = 0x0203;
    g_assert_cmpint(RUN(f, "\x28\xd8\x3f"), ==, -1); /* sub al, bl; aas */
    g_assert_cmphex(cpu->gpr[RAX], ==, 0x0105);
    cpu->gpr[RAX] = 0x00ff & 97;
    g_assert_cmpint(RUN(f, "\xd4\x0a"), ==, -1); /* aam */
    g_assert_cmphex(cpu->gpr[RAX], ==, 0x0907);
    g_assert_cmpint(RUN(f, "\xd5\x0a"), ==, -1); /* aad */
    g_assert_cmphex(cpu->gpr[RAX], ==, 97);
    g_assert_cmpint(RUN(f, "\xd4\x00"), ==, EXC_DE);
}

/* --- stack ------------------------------------------------------------------------------------ */

static void test_pusha(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    for (unsigned reg = 0; reg < 8; reg++)
        cpu->gpr[reg] = 0x12340000 + reg * 0x111;
    cpu->gpr[RSP] = STACK;
    g_assert_cmpint(RUN(f, "\x60"), ==, -1);
    g_assert_cmphex(cpu->gpr[RSP], ==, STACK - 16);
    g_assert_cmphex(word(f, STACK - 2), ==, 0);
    g_assert_cmphex(word(f, STACK - 10), ==, STACK);
    g_assert_cmphex(word(f, STACK - 16), ==, 0x777);
    for (unsigned reg = 0; reg < 8; reg++)
        if (reg != RSP)
            cpu->gpr[reg] = 0xffffffff;
    g_assert_cmpint(RUN(f, "\x61"), ==, -1);
    g_assert_cmphex(cpu->gpr[RSP], ==, STACK);
    g_assert_cmphex(cpu->gpr[RBX], ==, 0xffff0333); /* the upper halves stay */
}

/* The stack pointer wraps at 64 KiB and keeps the rest of ESP. */
static void test_stack_wrap(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    cpu->gpr[RSP] = 0xabcd0000;
    cpu->gpr[RAX] = 0x5678;
    g_assert_cmpint(RUN(f, "\x50"), ==, -1); /* push ax */
    g_assert_cmphex(cpu->gpr[RSP], ==, 0xabcdfffe);
    g_assert_cmphex(word(f, 0xfffe), ==, 0x5678);
}

/* --- addresses -------------------------------------------------------------------------------- */

static void test_address_wrap(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    f->ram->host[DATA + 5] = 0x42;
    cpu->gpr[RBX] = 0x1fff0;
    cpu->gpr[RSI] = 0x15;
    g_assert_cmpint(RUN(f, "\x8a\x00"), ==, -1); /* mov al, [bx+si] */
    g_assert_cmphex(cpu->gpr[RAX] & 0xff, ==, 0x42);
    g_assert_cmpint(RUN(f, "\x67\x8a\x04\x33"), ==, EXC_GP); /* mov al, [ebx+esi] */
    cpu->gpr[RBX] = 0xffff;
    g_assert_cmpint(RUN(f, "\x8b\x07"), ==, EXC_GP); /* mov ax, [bx] over the limit */
}

static void test_far_pointer(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    memcpy(f->ram->host + DATA + 0x10, "\x34\x12\x00\x30", 4);
    g_assert_cmpint(RUN(f, "\xc4\x3e\x10\x00"), ==, -1); /* les di, [10h] */
    g_assert_cmphex(cpu->gpr[RDI] & 0xffff, ==, 0x1234);
    g_assert_cmphex(cpu->seg[SEG_ES].base, ==, 0x30000);
}

static void test_bound(Fixture *f, gconstpointer data)
{
    memcpy(f->ram->host + DATA, "\xfe\xff\x05\x00", 4); /* -2 to 5 */
    f->cpu->gpr[RBX] = 0;
    f->cpu->gpr[RAX] = 5;
    g_assert_cmpint(RUN(f, "\x62\x07"), ==, -1);
    f->cpu->gpr[RAX] = 6;
    g_assert_cmpint(RUN(f, "\x62\x07"), ==, EXC_BR);
    f->cpu->gpr[RAX] = 0xfffd;
    g_assert_cmpint(RUN(f, "\x62\x07"), ==, EXC_BR);
}

/* --- strings ---------------------------------------------------------------------------------- */

/* SI and DI wrap at 64 KiB in the middle of a repetition; the upper halves stay. */
static void test_string_wrap(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    for (unsigned i = 0; i < 0x10000; i++)
        f->ram->host[DATA + i] = i * 7;
    cpu->seg[SEG_ES].base = 0x40000;
    cpu->gpr[RCX] = 0x50020;
    cpu->gpr[RSI] = 0x6fff8;
    cpu->gpr[RDI] = 0x7fff0;
    g_assert_cmpint(RUN(f, "\xf3\xa4"), ==, -1);
    g_assert_cmphex(cpu->gpr[RCX], ==, 0x50000);
    g_assert_cmphex(cpu->gpr[RSI], ==, 0x60018);
    g_assert_cmphex(cpu->gpr[RDI], ==, 0x70010);
    for (unsigned i = 0; i < 0x20; i++)
        g_assert_cmphex(f->ram->host[0x40000 + ((0xfff0 + i) & 0xffff)], ==,
                        (uint8_t)(((0xfff8 + i) & 0xffff) * 7));
}

/* A copy onto itself one byte further fills, as loops of the time relied on. */
static void test_string_fill(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    f->ram->host[DATA + 0x100] = 0x5a;
    cpu->gpr[RSI] = 0x100;
    cpu->gpr[RDI] = 0x101;
    cpu->gpr[RCX] = 0x2fff;
    g_assert_cmpint(RUN(f, "\xf3\xa4"), ==, -1);
    for (unsigned i = 0; i < 0x3000; i++)
        g_assert_cmphex(f->ram->host[DATA + 0x100 + i], ==, 0x5a);
    g_assert_cmphex(f->ram->host[DATA + 0x3100], ==, 0);
}

static void test_scan(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    f->ram->host[DATA + 0x2345] = 1;
    cpu->gpr[RAX] = 1;
    cpu->gpr[RDI] = 0;
    cpu->gpr[RCX] = 0xffff;
    g_assert_cmpint(RUN(f, "\xf2\xae"), ==, -1); /* repne scasb */
    g_assert_cmphex(cpu->gpr[RDI], ==, 0x2346);
    g_assert_cmphex(cpu->gpr[RCX], ==, 0xffff - 0x2346);
    g_assert_true(cpu->rflags & RFLAGS_ZF);
}

/* --- x87 -------------------------------------------------------------------------------------- */

/* 16-bit real-mode environment (SDM 1, figure 8-12): the pointers are linear. */
static void test_fnstenv(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    cpu->gpr[RBX] = 0x200;
    /* fninit; fld1; fst dword [bx]; fnstenv [bx+8] */
    g_assert_cmpint(RUN(f, "\xdb\xe3\xd9\xe8\xd9\x17\xd9\x77\x08"), ==, -1);
    g_assert_cmphex(word(f, DATA + 0x208), ==, 0x37f);
    g_assert_cmphex(word(f, DATA + 0x20a), ==, 0x3800);
    g_assert_cmphex(word(f, DATA + 0x20c), ==, 0x3fff);
    g_assert_cmphex(word(f, DATA + 0x20e), ==, CODE + 4);
    g_assert_cmphex(word(f, DATA + 0x210), ==, 0x117); /* FOP of D9 17 */
    g_assert_cmphex(word(f, DATA + 0x212), ==, 0x200);
    g_assert_cmphex(word(f, DATA + 0x214), ==, DATA >> 16 << 12);
    g_assert_cmphex(word(f, DATA + 0x202), ==, 0x3f80);
}

/* An unmasked exception waits for the next waiting instruction, and a store it stops stores
 * nothing. */
static void test_x87_exception(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;
    cpu->gpr[RBX] = 0x200;
    memcpy(f->ram->host + DATA + 0x200, "\x7e\x03", 2); /* invalid operation unmasked */
    memset(f->ram->host + DATA + 0x208, 0x33, 4);
    /* fninit; fldcw [bx]; fstp dword [bx+8] of an empty register; fnstsw ax */
    g_assert_cmpint(RUN(f, "\xdb\xe3\xd9\x2f\xd9\x5f\x08\xdf\xe0"), ==, -1);
    g_assert_cmphex(cpu->gpr[RAX] & 0x80c1, ==, 0x80c1); /* B, ES, SF, IE */
    g_assert_cmphex(word(f, DATA + 0x208), ==, 0x3333);
    g_assert_cmpint(RUN(f, "\x9b"), ==, EXC_MF);
    g_assert_cmpint(RUN(f, "\xdb\xe2\x9b"), ==, -1); /* fnclex; fwait */
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*func)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/cpu/interp-legacy/daa-das", test_daa_das},
        {"/cpu/interp-legacy/ascii", test_ascii},
        {"/cpu/interp-legacy/pusha", test_pusha},
        {"/cpu/interp-legacy/stack-wrap", test_stack_wrap},
        {"/cpu/interp-legacy/address-wrap", test_address_wrap},
        {"/cpu/interp-legacy/far-pointer", test_far_pointer},
        {"/cpu/interp-legacy/bound", test_bound},
        {"/cpu/interp-legacy/string-wrap", test_string_wrap},
        {"/cpu/interp-legacy/string-fill", test_string_fill},
        {"/cpu/interp-legacy/scan", test_scan},
        {"/cpu/interp-legacy/fnstenv", test_fnstenv},
        {"/cpu/interp-legacy/x87-exception", test_x87_exception},
    };
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].func, tear_down);
    return g_test_run();
}
