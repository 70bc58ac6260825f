/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Translated code against the interpreter: system instructions of 64-bit kernels. Each program runs
 * under several options; with the default ones hardly anything of it may be interpreted.
 */

#include "core/cpu/cpuid.h"
#include "core/cpu/mmu.h"
#include "tests/core/cpu/jit-pair.h"

#include <string.h>

#define PROGRAM (CODE + 0x100)
#define HANDLER (CODE + 0x200)
#define GDT     (CODE + 0x1000)

enum { KERNEL_CS = 0x08, KERNEL_SS = 0x10, USER_CS32 = 0x18, USER_SS = 0x20, USER_CS = 0x28 };

/* --- both machines ---------------------------------------------------------------------------- */

static void for_both(Pair *pair, void (*func)(Cpu *cpu))
{
    func(pair->interp.cpu);
    func(pair->jit.cpu);
}

static void set_up(Cpu *cpu)
{
    cpu->rip = PROGRAM;
    cpu->gpr[RSP] = STACK;
    cpu->gdtr.base = GDT;
    cpu->gdtr.limit = USER_CS + 7;
    cpu->efer |= EFER_SCE;
    cpu->star = (uint64_t)KERNEL_CS << 32 | (uint64_t)USER_CS32 << 48;
    cpu->lstar = HANDLER;
    cpu->fmask = RFLAGS_IF | RFLAGS_AC | RFLAGS_DF;
    cpu->cr4 |= CR4_FSGSBASE;
    cpu->cr2 = 0x1234567890;
    cpu->seg[SEG_GS].base = DATA + 0x2000;
    cpu->kernel_gs_base = DATA + 0x1000;
    cpu->seg[SEG_FS].base = DATA + 0x3000;
    cpu->seg[SEG_FS].selector = 0x1f;
    cpu->tsc_offset = 0x123456789a;
    cpu->tsc_adjust = -77;
    cpu->tsc_aux = 0x55aa;
    mmu_flush_all(cpu);
    cpu_update_mode(cpu);
}

static void make_pair(Pair *pair, const JitOptions *options)
{
    static const uint64_t gdt[] = {
        [KERNEL_CS / 8] = 0x00209b0000000000, [KERNEL_SS / 8] = 0x00cf93000000ffff,
        [USER_CS32 / 8] = 0x00cffb000000ffff, [USER_SS / 8] = 0x00cff3000000ffff,
        [USER_CS / 8] = 0x0020fb0000000000,
    };
    g_autofree uint8_t *data = g_malloc(DATA_SIZE);

    pair_init(pair, LONG_MODE, options);
    for (unsigned i = 0; i < DATA_SIZE; i++)
        data[i] = (uint8_t)(i * 7 ^ i >> 8);
    pair_write(pair, DATA, data, DATA_SIZE);
    pair_write(pair, GDT, gdt, sizeof gdt);
    for_both(pair, set_up);
}

/* --- options ---------------------------------------------------------------------------------- */

enum { FEW = 32 }; /* instructions that a program may leave to the interpreter */

static const JitOptions *options_at(unsigned i)
{
    static JitOptions options[8];

    for (unsigned k = 0; k < G_N_ELEMENTS(options); k++)
        options[k] = (JitOptions){.max_insns = 32, .cache_bytes = 8u << 20};
    options[1].no_links = options[1].tier_2 = true;
    options[2].max_insns = 1;
    options[3].no_links = true;
    options[4].no_groups = true;
    options[5].slow_accesses = true;
    options[6].tiny_tlb = options[6].random_flushes = true;
    options[7].tier_2 = true;
    return i < G_N_ELEMENTS(options) ? &options[i] : NULL;
}

typedef struct {
    uint32_t address;
    const uint8_t *bytes;
    size_t length;
} Piece;
#define PIECE(address, bytes) ((Piece){address, bytes, sizeof(bytes)})

/* Runs PIECES from PROGRAM under all options, after CHANGE of what set_up() made (NULL: nothing).
 * Ends by VECTOR, -1: by HLT. */
static void check_with(const Piece *pieces, unsigned n, void (*change)(Cpu *cpu), int vector)
{
    for (unsigned i = 0; options_at(i); i++) {
        Pair pair;
        make_pair(&pair, options_at(i));
        for (unsigned k = 0; k < n; k++)
            pair_write(&pair, pieces[k].address, pieces[k].bytes, pieces[k].length);
        if (change)
            for_both(&pair, change);
        Outcome a = run(&pair.interp, 1000000), b = run(&pair.jit, 0);
        g_autofree char *text = difference(&pair, &a, &b, UINT64_MAX);
        if (text)
            g_error("options %u:\n%s", i, text);
        g_assert_false(a.lost);
        g_assert_cmpint(a.raised ? a.vector : -1, ==, vector);
        if (i == 0)
            g_assert_cmpuint(jit_statistics(pair.jit.jit).interpreted, <, FEW);
        pair_clear(&pair);
    }
}

static void check(const uint8_t *code, size_t length, void (*change)(Cpu *cpu), int vector)
{
    Piece piece = {PROGRAM, code, length};

    check_with(&piece, 1, change, vector);
}

/* As user code from now on. */
static void to_user(Cpu *cpu)
{
    cpu->cpl = 3;
    cpu->seg[SEG_CS].selector = USER_CS | 3;
    cpu->seg[SEG_SS].selector = USER_SS | 3;
    cpu->seg[SEG_CS].attributes |= ATTR_DPL;
    cpu->seg[SEG_SS].attributes |= ATTR_DPL;
    cpu_update_mode(cpu);
}

/* --- state that is moved in place ------------------------------------------------------------- */

static const uint8_t swapgs_code[] = {
    0x65, 0x48, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x00, 0x00, /* mov rax,gs:0x0 */
    0x0f, 0x01, 0xf8,                                     /* swapgs */
    0x65, 0x48, 0x8b, 0x1c, 0x25, 0x00, 0x00, 0x00, 0x00, /* mov rbx,gs:0x0 */
    0x0f, 0x01, 0xf8,                                     /* swapgs */
    0x65, 0x48, 0x8b, 0x0c, 0x25, 0x08, 0x00, 0x00, 0x00, /* mov rcx,gs:0x8 */
    0x0f, 0x01, 0xf8,                                     /* swapgs */
    0xf4,                                                 /* hlt */
};

static void test_swapgs(void)
{
    check(swapgs_code, sizeof swapgs_code, NULL, -1);
    check(swapgs_code + 9, 3, to_user, EXC_GP);
}

static const uint8_t bases_code[] = {
    0x49, 0xba, 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12, 0x00, 0x00, /* movabs r10,0x123456789abc */
    0x41, 0xbb, 0xff, 0xff, 0xff, 0xff,                         /* mov r11d,0xffffffff */
    0x49, 0xc7, 0xc7, 0xfb, 0xff, 0xff, 0xff,                   /* mov r15,0xfffffffffffffffb */
    0xf3, 0x49, 0x0f, 0xae, 0xd2,                               /* wrfsbase r10 */
    0xf3, 0x48, 0x0f, 0xae, 0xc8,                               /* rdgsbase rax */
    0xf3, 0x49, 0x0f, 0xae, 0xdf,                               /* wrgsbase r15 */
    0xf3, 0x49, 0x0f, 0xae, 0xc3,                               /* rdfsbase r11 */
    0xf3, 0x41, 0x0f, 0xae, 0xca,                               /* rdgsbase r10d */
    0xf3, 0x49, 0x0f, 0xae, 0xcf,                               /* rdgsbase r15 */
    0xf3, 0x0f, 0xae, 0xd0,                                     /* wrfsbase eax */
    0x83, 0xf8, 0x01,                                           /* cmp eax,0x1 */
    0xf3, 0x48, 0x0f, 0xae, 0xc3,                               /* rdfsbase rbx */
    0x0f, 0x92, 0xc2,                                           /* setb dl */
    0xf4,                                                       /* hlt */
};

static void without_fsgsbase(Cpu *cpu)
{
    cpu->cr4 &= ~CR4_FSGSBASE;
    cpu_update_mode(cpu);
}

static void not_canonical(Cpu *cpu)
{
    cpu->gpr[RAX] = 0x800000000000;
}

static void test_segment_bases(void)
{
    static const uint8_t write[] = {0xf3, 0x48, 0x0f, 0xae, 0xd8}; /* wrgsbase rax */

    check(bases_code, sizeof bases_code, NULL, -1);
    check(bases_code, sizeof bases_code, without_fsgsbase, EXC_UD);
    check(bases_code, sizeof bases_code, to_user, EXC_GP);
    check(write, sizeof write, not_canonical, EXC_GP);
}

static const uint8_t moves_code[] = {
    0x8c, 0xc8,             /* mov eax,cs */
    0x66, 0x41, 0x8c, 0xd2, /* mov r10w,ss */
    0x41, 0x8c, 0xdf,       /* mov r15d,ds */
    0x8c, 0xe5,             /* mov ebp,fs */
    0x41, 0x0f, 0x20, 0xc3, /* mov r11,cr0 */
    0x0f, 0x20, 0xdb,       /* mov rbx,cr3 */
    0x41, 0x0f, 0x20, 0xe4, /* mov r12,cr4 */
    0x0f, 0x20, 0xd6,       /* mov rsi,cr2 */
    0xf4,                   /* hlt */
};

static void test_moves(void)
{
    check(moves_code, sizeof moves_code, NULL, -1);
    check(moves_code, sizeof moves_code, to_user, EXC_GP);
}

static const uint8_t tsc_code[] = {
    0xf9,             /* stc */
    0x0f, 0x31,       /* rdtsc */
    0x89, 0xc6,       /* mov esi,eax */
    0x89, 0xd7,       /* mov edi,edx */
    0x0f, 0x92, 0xc3, /* setb bl */
    0x0f, 0x01, 0xf9, /* rdtscp */
    0xf4,             /* hlt */
};

static void forbid_tsc(Cpu *cpu)
{
    to_user(cpu);
    cpu->cr4 |= CR4_TSD;
}

static uint64_t guest_tsc(const Cpu *cpu)
{
    return __builtin_ia32_rdtsc() + (uint64_t)cpu->tsc_offset + (uint64_t)cpu->tsc_adjust;
}

static void test_tsc(void)
{
    Pair pair;

    make_pair(&pair, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, PROGRAM, tsc_code, sizeof tsc_code);
    const Cpu *cpu = pair.jit.cpu;
    uint64_t before = guest_tsc(cpu);
    Outcome outcome = run(&pair.jit, 0);
    uint64_t after = guest_tsc(cpu);
    g_assert_false(outcome.raised);
    uint64_t first = cpu->gpr[RSI] | cpu->gpr[RDI] << 32;
    uint64_t second = cpu->gpr[RAX] | cpu->gpr[RDX] << 32;
    g_assert_cmphex(cpu->gpr[RSI] >> 32 | cpu->gpr[RAX] >> 32, ==, 0);
    g_assert_cmpuint(before, <=, first);
    g_assert_cmpuint(first, <=, second);
    g_assert_cmpuint(second, <=, after);
    g_assert_cmphex(cpu->gpr[RCX], ==, 0x55aa);
    g_assert_cmphex(cpu->gpr[RBX] & 0xff, ==, 1); /* flags are as they were */
    g_assert_cmpuint(jit_statistics(pair.jit.jit).interpreted, <=, 1);
    pair_clear(&pair);
    check(tsc_code, sizeof tsc_code, forbid_tsc, EXC_GP);
}

/* --- STAC and CLAC ---------------------------------------------------------------------------- */

/* User pages, as all are here, may be touched between the two only. */
static const uint8_t access_code[] = {
    0xbf, 0x00, 0x00, 0x20, 0x00, /* mov edi,0x200000 */
    0xb9, 0xe8, 0x03, 0x00, 0x00, /* mov ecx,0x3e8 */
    0x0f, 0x01, 0xcb,             /* stac */
    0x48, 0x03, 0x07,             /* add rax,[rdi] */
    0xe8, 0x15, 0x00, 0x00, 0x00, /* call f */
    0x48, 0x39, 0xc2,             /* cmp rdx,rax */
    0x0f, 0x01, 0xca,             /* clac */
    0x48, 0x8d, 0x49, 0xff,       /* lea rcx,[rcx-0x1] */
    0x75, 0x05,                   /* jne out */
    0x48, 0x85, 0xc9,             /* test rcx,rcx */
    0x75, 0xe4,                   /* jne again */
    0x48, 0x8b, 0x1f,             /* mov rbx,[rdi] */
    0xf4,                         /* hlt */
    0x48, 0x89, 0xc2,             /* mov rdx,rax */
    0xc3,                         /* ret */
};

static const uint8_t ac_flag_code[] = {
    0x0f, 0x01, 0xcb, /* stac */
    0x9c,             /* pushf */
    0x58,             /* pop rax */
    0x39, 0xc0,       /* cmp eax,eax */
    0x0f, 0x01, 0xca, /* clac */
    0x9c,             /* pushf */
    0x5b,             /* pop rbx */
    0xf4,             /* hlt */
};

static void with_smap(Cpu *cpu)
{
    cpu->cr4 |= CR4_SMAP;
    cpu_update_mode(cpu);
}

static void test_access_control(void)
{
    static const uint8_t after_sti[] = {
        0xfb,             /* sti */
        0x0f, 0x01, 0xcb, /* stac */
        0x9c,             /* pushf */
        0x58,             /* pop rax */
        0xf4,
    };

    check(access_code, sizeof access_code, with_smap, EXC_PF);
    check(access_code, sizeof access_code, NULL, -1);
    check(ac_flag_code, sizeof ac_flag_code, NULL, -1);
    check(access_code, sizeof access_code, to_user, EXC_UD);
    check(after_sti, sizeof after_sti, with_smap, -1);
}

/* The mode changes at a page's end, and what comes next is another page's. */
static void test_access_control_at_page_end(void)
{
    static const uint8_t stac[] = {0x0f, 0x01, 0xcb};
    static const uint8_t load[] = {
        0x48, 0x03, 0x07, /* add rax,[rdi] */
        0x0f, 0x01, 0xca, /* clac */
        0xf4,
    };
    static const uint8_t count[] = {
        0xff, 0xc3,       /* inc ebx */
        0x0f, 0x01, 0xca, /* clac */
        0xf4,
    };
    const uint32_t end = MAPPED + 0x1000, other = MAPPED + 0x10000;
    Pair pair;

    make_pair(&pair, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, end - sizeof stac, stac, sizeof stac);
    pair_write(&pair, end, load, sizeof load);
    pair_write(&pair, other, count, sizeof count);
    for_both(&pair, with_smap);
    for (unsigned i = 0; i < 60; i++) {
        pair_map(&pair, end, i / 3 & 1 ? other : end);
        for (unsigned k = 0; k < 2; k++) {
            Cpu *cpu = k ? pair.jit.cpu : pair.interp.cpu;
            cpu->rip = end - sizeof stac;
            cpu->gpr[RDI] = DATA;
        }
        Outcome a = run(&pair.interp, 100), b = run(&pair.jit, 0);
        g_autofree char *text = difference(&pair, &a, &b, UINT64_MAX);
        if (text)
            g_error("round %u:\n%s", i, text);
        g_assert_false(a.raised);
    }
    pair_clear(&pair);
}

/* --- MOVS and STOS ---------------------------------------------------------------------------- */

/* Registers of the next string instruction. */
static struct {
    uint64_t rsi, rdi, rcx, flags;
} operands;

static void set_operands(Cpu *cpu)
{
    cpu->gpr[RSI] = operands.rsi;
    cpu->gpr[RDI] = operands.rdi;
    cpu->gpr[RCX] = operands.rcx;
    cpu->gpr[RAX] = 0x1122334455667788;
    cpu->rflags |= operands.flags;
}

static void check_string(const uint8_t *prefix, unsigned n, uint8_t opcode, int vector)
{
    uint8_t code[16], length = 0;

    memcpy(code, prefix, n);
    length = (uint8_t)n;
    code[length++] = opcode;
    code[length++] = 0xf4;
    check(code, length, set_operands, vector);
}

#define OPERANDS(...)                                                                              \
    operands = (typeof(operands))                                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void test_strings(void)
{
    static const uint8_t rep[] = {0xf3, 0x48}, rep16[] = {0x66, 0xf3}, fs[] = {0x64, 0xf3, 0x48};
    static const uint64_t distances[] = {1, 2, 7, 8, 9, 0x1000};
    const uint64_t beyond = MAPPED + 0x200000; /* nothing is mapped */

    for (unsigned wide = 0; wide < 2; wide++) {
        uint8_t movs = (uint8_t)(0xa4 | wide), stos = (uint8_t)(0xaa | wide);
        unsigned size = wide ? 8 : 1;
        /* Over several pages, as they are and odd, up and down. */
        for (unsigned odd = 0; odd < 2; odd++) {
            OPERANDS(DATA + 0x123 + odd, DATA + 0x5ff0 + odd * 3, 0x2345 / size, 0);
            check_string(rep, 2, movs, -1);
            check_string(rep, 2, stos, -1);
            check_string(fs, 3, movs, -1);
            operands.rcx = 0;
            check_string(rep, 2, movs, -1);
            OPERANDS(DATA + 0x3123 + odd, DATA + 0x7ff3, 0x2345 / size, RFLAGS_DF);
            check_string(rep, 2, movs, -1);
            check_string(rep, 2, stos, -1);
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(distances); i++) {
            OPERANDS(DATA + 0xf00, DATA + 0xf00 + distances[i], 0x1800 / size, 0);
            check_string(rep, 2, movs, -1);
            OPERANDS(DATA + 0x1f00 + distances[i], DATA + 0x1f00, 0x1800 / size, 0);
            check_string(rep, 2, movs, -1);
        }
        /* Faults on the way, the source's before the destination's. */
        OPERANDS(DATA, beyond - 0x1804, 0x4000 / size, 0);
        check_string(rep, 2, stos, EXC_PF);
        check_string(rep, 2, movs, EXC_PF);
        OPERANDS(beyond - 0x1804, beyond - 0x1800, 0x4000 / size, 0);
        check_string(rep, 2, movs, EXC_PF);
        OPERANDS(beyond, 0x800000000000, 0x4000 / size, 0);
        check_string(rep, 2, movs, EXC_PF);
        OPERANDS(0x7ffffffffff8, DATA, 0x4000 / size, 0);
        check_string(rep, 2, movs, EXC_PF);
        OPERANDS(0x800000000000, DATA, 0x4000 / size, 0);
        check_string(rep, 2, movs, EXC_GP);
        /* Once. */
        OPERANDS(DATA + 0xfff, DATA + 0x1fff, 5, 0);
        check_string(rep + 1, 1, movs, -1);
        check_string(rep + 1, 1, stos, -1);
    }
    OPERANDS(DATA + 0x10, DATA + 0x3ff, 0x1000, 0);
    check_string(rep16, 2, 0xa5, -1);
    check_string(rep16, 2, 0xab, -1);
    check_string(rep16 + 1, 1, 0xa5, -1);
    check_string(rep16 + 1, 1, 0xab, -1);
}

/* Onto what comes behind it. */
static void test_string_over_code(void)
{
    static const uint8_t code[] = {
        0xbe, 0x00, 0x00, 0x20, 0x00, /* mov esi, DATA */
        0xbf, 0x13, 0x01, 0x10, 0x00, /* mov edi, over */
        0xb9, 0x02, 0x00, 0x00, 0x00, /* mov ecx, 2 */
        0xf3, 0xa4,                   /* rep movsb */
        0x90, 0x90,                   /* nop */
        0xb0, 0x01,                   /* over: mov al, 1 */
        0xf4,
    };
    static const uint8_t other[] = {0xb3, 0x77}; /* mov bl, 77h */
    const Piece pieces[] = {PIECE(PROGRAM, code), PIECE(DATA + 3 * GUEST_PAGE_SIZE, other)};

    check_with(pieces, G_N_ELEMENTS(pieces), NULL, -1); /* DATA's first page is RAM's fourth */
}

/* A request is served between two pages, RIP still on the instruction. */
static void test_string_is_interruptible(void)
{
    static const uint8_t code[] = {0xf3, 0x48, 0xab, 0xf4}; /* rep stosq */
    Pair pair;

    make_pair(&pair, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, PROGRAM, code, sizeof code);
    Cpu *cpu = pair.jit.cpu;
    OPERANDS(0, DATA + 0x800, 0x5000 / 8, 0);
    set_operands(cpu);
    atomic_store(&cpu->requests, REQUEST_LEAVE);
    if (sigsetjmp(cpu->escape, 0))
        g_assert_not_reached();
    jit_run(cpu);
    g_assert_cmphex(cpu->rip, ==, PROGRAM);
    g_assert_cmphex(cpu->gpr[RDI], ==, DATA + 0x1000);
    g_assert_cmphex(cpu->gpr[RCX], ==, 0x4800 / 8);
    run(&pair.jit, 0);
    g_assert_cmphex(cpu->gpr[RCX], ==, 0);
    g_assert_cmphex(cpu->rip, ==, PROGRAM + 4);
    pair_clear(&pair);
}

/* Interrupts are let in behind the instruction after STI alone: a branch there looks at the
 * requests, though the block has done so before. */
static void test_interrupts_behind_a_branch(void)
{
    static const uint8_t code[] = {
        0xb9, 0x64, 0x00, 0x00, 0x00, /*        mov ecx, 100 */
        0xfa,                         /* again: cli */
        0x85, 0xc0,                   /*        test eax, eax */
        0x78, 0xfb,                   /*        js again */
        0xff, 0xc9,                   /*        dec ecx */
        0xfb,                         /*        sti */
        0x75, 0xf6,                   /*        jnz again */
        0xf4,
    };
    const uint64_t again = PROGRAM + 5;
    Pair pair;

    make_pair(&pair, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, PROGRAM, code, sizeof code);
    Cpu *cpu = pair.jit.cpu;
    for (unsigned i = 0; i < 2; i++) { /* the second time, exits are linked */
        cpu->rip = PROGRAM;
        cpu->lines = i;
        cpu->halt_state = CPU_RUNNING;
        atomic_store(&cpu->requests, 0);
        if (sigsetjmp(cpu->escape, 0))
            g_assert_not_reached();
        jit_run(cpu);
        g_assert_cmphex(cpu->rip, ==, i ? again : PROGRAM + sizeof code);
        g_assert_true(cpu->rflags & RFLAGS_IF);
    }
    g_assert_cmpuint(cpu->gpr[RCX], ==, 99);
    pair_clear(&pair);
}

/* --- to other privilege levels ---------------------------------------------------------------- */

static const uint8_t calls_code[] = {
    0xb9, 0x80, 0x01, 0x10, 0x00,       /* mov ecx,0x100180 */
    0x41, 0xbb, 0xd7, 0x0a, 0x04, 0x00, /* mov r11d,0x40ad7 */
    0x48, 0x0f, 0x07,                   /* sysretq */
};

/* At CODE + 180h: a thousand system calls, then what user code may not do. */
static const uint8_t calls_user_code[] = {
    0xbb, 0xe8, 0x03, 0x00, 0x00, /* mov ebx,0x3e8 */
    0xf9,                         /* stc */
    0x0f, 0x05,                   /* syscall */
    0x48, 0x83, 0xd0, 0x00,       /* adc rax,0x0 */
    0xff, 0xcb,                   /* dec ebx */
    0x75, 0xf5,                   /* jne again */
    0xf4,                         /* hlt */
};

static const uint8_t calls_kernel_code[] = {
    0x48, 0xff, 0xc2, /* inc rdx */
    0x9c,             /* pushf */
    0x5e,             /* pop rsi */
    0x48, 0x0f, 0x07, /* sysretq */
};

/* Alignment checks are on in user code, which the interpreter then does. */
static void check_alignment(Cpu *cpu)
{
    cpu->cr0 |= CR0_AM;
    cpu_update_mode(cpu);
}

static void without_syscall(Cpu *cpu)
{
    cpu->efer &= ~EFER_SCE;
}

static void test_system_calls(void)
{
    const Piece pieces[] = {
        PIECE(PROGRAM, calls_code),
        PIECE(CODE + 0x180, calls_user_code),
        PIECE(HANDLER, calls_kernel_code),
    };
    static const uint8_t sysret32[] = {0x0f, 0x07}, syscall[] = {0x0f, 0x05};

    check_with(pieces, G_N_ELEMENTS(pieces), NULL, EXC_GP);
    check(calls_code, sizeof calls_code, without_syscall, EXC_UD);
    check(syscall, sizeof syscall, without_syscall, EXC_UD);
    check(sysret32, sizeof sysret32, to_user, EXC_GP);
    for (unsigned i = 0; options_at(i); i++) {
        Pair pair;
        make_pair(&pair, options_at(i));
        for (unsigned k = 0; k < G_N_ELEMENTS(pieces); k++)
            pair_write(&pair, pieces[k].address, pieces[k].bytes, pieces[k].length);
        for_both(&pair, check_alignment);
        Outcome a = run(&pair.interp, 1000000), b = run(&pair.jit, 0);
        g_autofree char *text = difference(&pair, &a, &b, UINT64_MAX);
        if (text)
            g_error("options %u:\n%s", i, text);
        pair_clear(&pair);
    }
}

static const uint8_t returns_code[] = {
    0xbb, 0xe8, 0x03, 0x00, 0x00, /* mov ebx,0x3e8 */
    0x89, 0xe5,                   /* mov ebp,esp */
    0x6a, 0x10,                   /* push 0x10 */
    0x55,                         /* push rbp */
    0x68, 0x93, 0x08, 0x00, 0x00, /* push 0x893 */
    0x6a, 0x08,                   /* push 0x8 */
    0x68, 0x1a, 0x01, 0x10, 0x00, /* push 0x10011a */
    0x39, 0xd8,                   /* cmp eax,ebx */
    0x48, 0xcf,                   /* iretq */
    0x48, 0x83, 0xd0, 0x00,       /* adc rax,0x0 */
    0xff, 0xcb,                   /* dec ebx */
    0x75, 0xe5,                   /* jne again */
    0x6a, 0x23,                   /* push 0x23 */
    0x55,                         /* push rbp */
    0x68, 0xd7, 0x08, 0x00, 0x00, /* push 0x8d7 */
    0x6a, 0x2b,                   /* push 0x2b */
    0x68, 0x33, 0x01, 0x10, 0x00, /* push 0x100133 */
    0x48, 0xcf,                   /* iretq */
    0x48, 0x83, 0xd0, 0x07,       /* adc rax,0x7 */
    0x0f, 0x05,                   /* syscall */
};

static void nested_task(Cpu *cpu)
{
    cpu->rflags |= RFLAGS_NT;
}

static void test_returns(void)
{
    static const uint8_t hlt[] = {0xf4};
    static const uint8_t far_out[] = {
        0x6a, 0x10, /* push KERNEL_SS */
        0x54,       /* push rsp */
        0x9c,       /* pushf */
        0x6a, 0x08, /* push KERNEL_CS */
        0x50,       /* push rax */
        0x48, 0xcf, /* iretq */
    };
    const Piece pieces[] = {PIECE(PROGRAM, returns_code), PIECE(HANDLER, hlt)};

    check_with(pieces, G_N_ELEMENTS(pieces), NULL, -1);
    check(far_out, sizeof far_out, not_canonical, EXC_GP);
    check(returns_code, sizeof returns_code, nested_task, EXC_GP);
}

/* The guest's vectors stay where they are through all of it. */
static const uint8_t vectors_code[] = {
    0xbf, 0x04, 0x00, 0x20, 0x00, /* mov edi,0x200004 */
    0xf3, 0x0f, 0x6f, 0x0f,       /* movdqu xmm1,[rdi] */
    0x66, 0x0f, 0xfc, 0xc9,       /* paddb xmm1,xmm1 */
    0x0f, 0x01, 0xf8,             /* swapgs */
    0xb9, 0x00, 0x02, 0x00, 0x00, /* mov ecx,0x200 */
    0x31, 0xc0,                   /* xor eax,eax */
    0xf3, 0x48, 0xab,             /* rep stosq */
    0x66, 0x0f, 0xfc, 0xc9,       /* paddb xmm1,xmm1 */
    0xb9, 0x29, 0x01, 0x10, 0x00, /* mov ecx,0x100129 */
    0x45, 0x31, 0xdb,             /* xor r11d,r11d */
    0x48, 0x0f, 0x07,             /* sysretq */
    0x66, 0x0f, 0xfc, 0xc9,       /* paddb xmm1,xmm1 */
    0x0f, 0x05,                   /* syscall */
    0xb0, 0x01,                   /* mov al,0x1 */
};

static void test_vectors_stay(void)
{
    static const uint8_t handler[] = {
        0xf3, 0x0f, 0x7f, 0x0f, /* movdqu [rdi], xmm1 */
        0xf4,
    };
    const Piece pieces[] = {PIECE(PROGRAM, vectors_code), PIECE(HANDLER, handler)};

    check_with(pieces, G_N_ELEMENTS(pieces), NULL, -1);
}

/* --- counting --------------------------------------------------------------------------------- */

static void test_most_interpreted(void)
{
    static const uint8_t code[] = {
        0xb9, 0x64, 0x00, 0x00, 0x00, /*     mov ecx, 100 */
        0x0f, 0x08,                   /* a:  invd */
        0x0f, 0x06,                   /*     clts */
        0x0f, 0x08,                   /*     invd */
        0xff, 0xc9,                   /*     dec ecx */
        0x75, 0xf6,                   /*     jnz a */
        0xf4,
    };
    JitInterpreted most[2];
    Pair pair;

    make_pair(&pair, &JIT_OPTIONS_DEFAULT);
    pair_write(&pair, PROGRAM, code, sizeof code);
    g_assert_cmpuint(jit_most_interpreted(pair.jit.jit, most, 2), ==, 0);
    run(&pair.jit, 0);
    g_assert_cmpuint(jit_most_interpreted(pair.jit.jit, most, 2), ==, 2);
    g_assert_cmpstr(most[0].mnemonic, ==, "invd");
    g_assert_cmpuint(most[0].count, ==, 200);
    g_assert_cmpstr(most[1].mnemonic, ==, "clts");
    g_assert_cmpuint(most[1].count, ==, 100);
    pair_clear(&pair);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/jit-system/swapgs", test_swapgs);
    g_test_add_func("/cpu/jit-system/segment-bases", test_segment_bases);
    g_test_add_func("/cpu/jit-system/moves", test_moves);
    g_test_add_func("/cpu/jit-system/tsc", test_tsc);
    g_test_add_func("/cpu/jit-system/access-control", test_access_control);
    g_test_add_func("/cpu/jit-system/interrupts-behind-a-branch", test_interrupts_behind_a_branch);
    g_test_add_func("/cpu/jit-system/access-control-at-page-end", test_access_control_at_page_end);
    g_test_add_func("/cpu/jit-system/strings", test_strings);
    g_test_add_func("/cpu/jit-system/string-over-code", test_string_over_code);
    g_test_add_func("/cpu/jit-system/string-is-interruptible", test_string_is_interruptible);
    g_test_add_func("/cpu/jit-system/system-calls", test_system_calls);
    g_test_add_func("/cpu/jit-system/returns", test_returns);
    g_test_add_func("/cpu/jit-system/vectors-stay", test_vectors_stay);
    g_test_add_func("/cpu/jit-system/most-interpreted", test_most_interpreted);
    return g_test_run();
}
