/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Programs run from the reset vector: modes, exceptions and shadows through the interpreter's loop,
 * and the life of a vCPU's thread. The bytes are NASM's; the source stands beside them. */

#include "cpu-fixture.h"

/* clang-format off */

/* At F000:F000. Real mode, INT, protected mode, long mode, level 3, SYSCALL; results at 500h on. */
static const uint8_t longmode_code[] = {
    0xfa, /* cli */
    0x31, 0xc0, /* xor ax, ax */
    0x8e, 0xd8, /* mov ds, ax */
    0x8e, 0xd0, /* mov ss, ax */
    0xbc, 0x00, 0x70, /* mov sp, 0x7000 */
    0xc7, 0x06, 0x80, 0x00, 0x53, 0xf0, /* mov word [0x80], int20 */
    0xc7, 0x06, 0x82, 0x00, 0x00, 0xf0, /* mov word [0x82], 0xf000 */
    0xcd, 0x20, /* int 0x20 */
    0xb8, 0x00, 0x10, /* mov ax, 0x1000 */
    0x8e, 0xc0, /* mov es, ax */
    0x26, 0x66, 0xc7, 0x06, 0x00, 0x00, 0x07, 0x10, 0x01, 0x00, /* mov dword [es:0], 0x11007 */
    0x26, 0x66, 0xc7, 0x06, 0x00, 0x10, 0x87, 0x00, 0x00, 0x00, /* mov dword [es:0x1000], 0x87 */
    0x26, 0x66, 0xc7, 0x06, 0x18, 0x10, 0x87, 0x00, 0x00, 0xc0, /* mov dword [es:0x1018], 0xc0000087 */
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0xe8, 0xf0, /* o32 lgdt [cs:gdtr] */
    0x66, 0xb8, 0x01, 0x00, 0x00, 0x00, /* mov eax, 1 */
    0x0f, 0x22, 0xc0, /* mov cr0, eax */
    0x66, 0xea, 0x5a, 0xf0, 0xff, 0xff, 0x08, 0x00, /* jmp dword 8:0xffff0000+prot */
    0xc7, 0x06, 0x00, 0x05, 0x11, 0x11, /* int20: mov word [0x500], 0x1111 */
    0xcf, /* iret */
    0x66, 0xb8, 0x10, 0x00, /* prot: mov ax, 0x10 */
    0x8e, 0xd8, /* mov ds, ax */
    0x8e, 0xc0, /* mov es, ax */
    0x8e, 0xd0, /* mov ss, ax */
    0xbc, 0x00, 0x70, 0x00, 0x00, /* mov esp, 0x7000 */
    0xb8, 0x20, 0x00, 0x00, 0x00, /* mov eax, 0x20 */
    0x0f, 0x22, 0xe0, /* mov cr4, eax */
    0xb8, 0x00, 0x00, 0x01, 0x00, /* mov eax, 0x10000 */
    0x0f, 0x22, 0xd8, /* mov cr3, eax */
    0xb9, 0x80, 0x00, 0x00, 0xc0, /* mov ecx, 0xc0000080 */
    0xb8, 0x01, 0x09, 0x00, 0x00, /* mov eax, 0x901 */
    0x31, 0xd2, /* xor edx, edx */
    0x0f, 0x30, /* wrmsr */
    0xb8, 0x01, 0x00, 0x01, 0x80, /* mov eax, 0x80010001 */
    0x0f, 0x22, 0xc0, /* mov cr0, eax */
    0xea, 0x0c, 0xf1, 0xff, 0xff, 0x18, 0x00, /* jmp 0x18:0xffff0000+lmode */
    0x90, 0x90, /* align 8 */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xaf, 0x00, /* gdt: dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff */
    0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0xfb, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0xf3, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0xfb, 0xaf, 0x00, /* dq 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff */
    0x67, 0x00, 0x00, 0x30, 0x00, 0x89, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* dq 0x0000890030000067, 0 */
    0x4f, 0x00, /* gdtr: dw gdtr-gdt-1 */
    0x98, 0xf0, 0xff, 0xff, /* dd 0xffff0000+gdt */
    0x66, 0x89, 0x07, /* gate: mov [rdi], ax */
    0xc7, 0x47, 0x02, 0x18, 0x00, 0x00, 0x00, /* mov dword [rdi+2], 0x18 */
    0xc6, 0x47, 0x05, 0xee, /* mov byte [rdi+5], 0xee */
    0x48, 0xc1, 0xe8, 0x10, /* shr rax, 16 */
    0x66, 0x89, 0x47, 0x06, /* mov [rdi+6], ax */
    0xc7, 0x47, 0x08, 0x00, 0x00, 0x00, 0x00, /* mov dword [rdi+8], 0 */
    0xc3, /* ret */
    0x48, 0x8d, 0x05, 0xec, 0x00, 0x00, 0x00, /* lmode: lea rax, [rel divide] */
    0xbf, 0x00, 0x20, 0x00, 0x00, /* mov edi, 0x2000 */
    0xe8, 0xd1, 0xff, 0xff, 0xff, /* call gate */
    0x48, 0x8d, 0x05, 0xec, 0x00, 0x00, 0x00, /* lea rax, [rel breakpoint] */
    0xbf, 0x30, 0x20, 0x00, 0x00, /* mov edi, 0x2000+3*16 */
    0xe8, 0xc0, 0xff, 0xff, 0xff, /* call gate */
    0x48, 0x8d, 0x05, 0x15, 0x01, 0x00, 0x00, /* lea rax, [rel protection] */
    0xbf, 0xd0, 0x20, 0x00, 0x00, /* mov edi, 0x2000+13*16 */
    0xe8, 0xaf, 0xff, 0xff, 0xff, /* call gate */
    0x48, 0x8d, 0x05, 0xd9, 0x00, 0x00, 0x00, /* lea rax, [rel page] */
    0xbf, 0xe0, 0x20, 0x00, 0x00, /* mov edi, 0x2000+14*16 */
    0xe8, 0x9e, 0xff, 0xff, 0xff, /* call gate */
    0x66, 0xc7, 0x04, 0x25, 0x00, 0x10, 0x00, 0x00, 0xff, 0x0f, /* mov word [0x1000], 0xfff */
    0x48, 0xc7, 0x04, 0x25, 0x02, 0x10, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, /* mov qword [0x1002], 0x2000 */
    0x0f, 0x01, 0x1c, 0x25, 0x00, 0x10, 0x00, 0x00, /* lidt [0x1000] */
    0x48, 0xc7, 0x04, 0x25, 0x04, 0x30, 0x00, 0x00, 0x00, 0x60, 0x00, 0x00, /* mov qword [0x3004], 0x6000 */
    0x66, 0xb8, 0x40, 0x00, /* mov ax, 0x40 */
    0x0f, 0x00, 0xd8, /* ltr ax */
    0x31, 0xc9, /* xor ecx, ecx */
    0xf7, 0xf1, /* div ecx */
    0x48, 0x8b, 0x04, 0x25, 0x10, 0x00, 0x00, 0x40, /* mov rax, [0x40000010] */
    0x48, 0x89, 0x04, 0x25, 0x18, 0x05, 0x00, 0x00, /* mov [0x518], rax */
    0xb9, 0x81, 0x00, 0x00, 0xc0, /* mov ecx, 0xc0000081 */
    0x31, 0xc0, /* xor eax, eax */
    0xba, 0x18, 0x00, 0x28, 0x00, /* mov edx, 0x00280018 */
    0x0f, 0x30, /* wrmsr */
    0xff, 0xc1, /* inc ecx */
    0x48, 0x8d, 0x05, 0x40, 0x00, 0x00, 0x00, /* lea rax, [rel kernel] */
    0x48, 0x89, 0xc2, /* mov rdx, rax */
    0x48, 0xc1, 0xea, 0x20, /* shr rdx, 32 */
    0x0f, 0x30, /* wrmsr */
    0xb9, 0x84, 0x00, 0x00, 0xc0, /* mov ecx, 0xc0000084 */
    0xb8, 0x00, 0x02, 0x00, 0x00, /* mov eax, 0x200 */
    0x31, 0xd2, /* xor edx, edx */
    0x0f, 0x30, /* wrmsr */
    0x6a, 0x33, /* push 0x33 */
    0x68, 0x00, 0x50, 0x00, 0x00, /* push 0x5000 */
    0x68, 0x02, 0x02, 0x00, 0x00, /* push 0x202 */
    0x6a, 0x3b, /* push 0x3b */
    0x48, 0x8d, 0x05, 0x03, 0x00, 0x00, 0x00, /* lea rax, [rel user] */
    0x50, /* push rax */
    0x48, 0xcf, /* iretq */
    0xbb, 0x2a, 0x00, 0x00, 0x00, /* user: mov ebx, 42 */
    0x0f, 0x05, /* syscall */
    0xcc, /* int3 */
    0x48, 0x89, 0x24, 0x25, 0x30, 0x05, 0x00, 0x00, /* mov [0x530], rsp */
    0xf4, /* hlt */
    0x48, 0x89, 0x1c, 0x25, 0x20, 0x05, 0x00, 0x00, /* kernel: mov [0x520], rbx */
    0x48, 0x89, 0x0c, 0x25, 0x28, 0x05, 0x00, 0x00, /* mov [0x528], rcx */
    0x48, 0x0f, 0x07, /* o64 sysret */
    0x66, 0xc7, 0x04, 0x25, 0x02, 0x05, 0x00, 0x00, 0x22, 0x22, /* divide: mov word [0x502], 0x2222 */
    0x48, 0x83, 0x04, 0x24, 0x02, /* add qword [rsp], 2 */
    0x48, 0xcf, /* iretq */
    0x48, 0x8b, 0x44, 0x24, 0x08, /* mov rax, [rsp+8] */
    0x48, 0x89, 0x04, 0x25, 0x38, 0x05, 0x00, 0x00, /* mov [0x538], rax */
    0x48, 0xcf, /* iretq */
    0x58, /* page: pop rax */
    0x48, 0x89, 0x04, 0x25, 0x08, 0x05, 0x00, 0x00, /* mov [0x508], rax */
    0x0f, 0x20, 0xd0, /* mov rax, cr2 */
    0x48, 0x89, 0x04, 0x25, 0x10, 0x05, 0x00, 0x00, /* mov [0x510], rax */
    0xc7, 0x04, 0x25, 0x08, 0x10, 0x01, 0x00, 0x87, 0x00, 0x00, 0x00, /* mov dword [0x11008], 0x87 */
    0x66, 0xc7, 0x04, 0x25, 0x10, 0x00, 0x00, 0x00, 0x77, 0x77, /* mov word [0x10], 0x7777 */
    0x48, 0xcf, /* iretq */
    0x48, 0x8b, 0x44, 0x24, 0x08, /* mov rax, [rsp+8] */
    0x48, 0x89, 0x04, 0x25, 0x40, 0x05, 0x00, 0x00, /* mov [0x540], rax */
    0xf4, /* hlt */
};

/* Single step and an interrupt at an STI shadow. */
static const uint8_t realtrap_code[] = {
    0x31, 0xc0, /* xor ax, ax */
    0x8e, 0xd8, /* mov ds, ax */
    0x8e, 0xd0, /* mov ss, ax */
    0xbc, 0x00, 0x70, /* mov sp, 0x7000 */
    0xc7, 0x06, 0x04, 0x00, 0x4b, 0xf0, /* mov word [4], trap */
    0xc7, 0x06, 0x06, 0x00, 0x00, 0xf0, /* mov word [6], 0xf000 */
    0xc7, 0x06, 0x80, 0x00, 0x5c, 0xf0, /* mov word [0x80], irq */
    0xc7, 0x06, 0x82, 0x00, 0x00, 0xf0, /* mov word [0x82], 0xf000 */
    0x31, 0xdb, /* xor bx, bx */
    0x31, 0xd2, /* xor dx, dx */
    0x9c, /* pushf */
    0x58, /* pop ax */
    0x0d, 0x00, 0x01, /* or ax, 0x100 */
    0x50, /* push ax */
    0x9d, /* popf */
    0x90, /* nop */
    0x8e, 0xd3, /* mov ss, bx */
    0x90, /* nop */
    0x9c, /* pushf */
    0x58, /* pop ax */
    0x25, 0xff, 0xfe, /* and ax, 0xfeff */
    0x50, /* push ax */
    0x9d, /* popf */
    0x90, /* nop */
    0x89, 0x16, 0x00, 0x05, /* mov [0x500], dx */
    0xb8, 0x00, 0xf0, /* mov ax, 0xf000 */
    0xb9, 0x66, 0xf0, /* mov cx, marks */
    0xfb, /* sti */
    0x90, /* nop */
    0x90, /* nop */
    0xfa, /* cli */
    0x89, 0x1e, 0x04, 0x05, /* mov [0x504], bx */
    0xf4, /* hlt */
    0x42, /* trap: inc dx */
    0x89, 0xe5, /* mov bp, sp */
    0x89, 0xd6, /* mov si, dx */
    0x01, 0xf6, /* add si, si */
    0x50, /* push ax */
    0x8b, 0x46, 0x00, /* mov ax, [bp] */
    0x89, 0x84, 0x10, 0x05, /* mov [si+0x510], ax */
    0x58, /* pop ax */
    0xcf, /* iret */
    0x43, /* irq: inc bx */
    0x89, 0xe5, /* mov bp, sp */
    0x8b, 0x46, 0x00, /* mov ax, [bp] */
    0xa3, 0x06, 0x05, /* mov [0x506], ax */
    0xcf, /* iret */
};

/* Counts wake-ups at 500h, interrupts 20h at 504h. */
static const uint8_t halting_code[] = {
    0x31, 0xc0,                         /* xor ax, ax */
    0x8e, 0xd8,                         /* mov ds, ax */
    0x8e, 0xd0,                         /* mov ss, ax */
    0xbc, 0x00, 0x70,                   /* mov sp, 0x7000 */
    0xc7, 0x06, 0x80, 0x00, 0x20, 0xf0, /* mov word [0x80], 0xf020 */
    0xc7, 0x06, 0x82, 0x00, 0x00, 0xf0, /* mov word [0x82], 0xf000 */
    0xfb,                               /* sti */
    0xf4,                               /* again: hlt */
    0xff, 0x06, 0x00, 0x05,             /* inc word [0x500] */
    0xeb, 0xf9,                         /* jmp again */
    0x90, 0x90, 0x90,
    0xff, 0x06, 0x04, 0x05,             /* inc word [0x504] */
    0xcf,                               /* iret */
};

/* No handler for #UD, nor for what follows. */
static const uint8_t triple_code[] = {
    0xf4, 0x2e, 0x0f, 0x01, 0x1e, 0x00, 0xf1, /* hlt; lidt [cs:0xf100] */
    0x0f, 0x0b,                               /* ud2 */
};
/* clang-format on */

static const uint8_t reset_vector[] = {0xe9, 0x0d, 0xf0}; /* jmp 0xf000 */

static void load_program(Fixture *f, const uint8_t *bytes, size_t length)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t base = i ? 0xf0000 : FIXTURE_RAM - 0x10000;
        poke(f, base + 0xf000, bytes, length);
        poke(f, base + 0xfff0, reset_vector, sizeof reset_vector);
    }
}

static void test_long_mode(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    load_program(f, longmode_code, sizeof longmode_code);
    cpu_step(cpu, 2000);
    g_assert_true(cpu_is_halted(cpu));
    g_assert_cmphex(peek32(f, 0x500), ==, 0x22221111); /* INT 20h, #DE */
    g_assert_cmphex(peek64(f, 0x508), ==, 0);          /* #PF: absent, read, supervisor */
    g_assert_cmphex(peek64(f, 0x510), ==, 0x40000010);
    g_assert_cmphex(peek64(f, 0x518) & 0xffff, ==, 0x7777); /* the load was restarted */
    g_assert_cmphex(peek64(f, 0x520), ==, 42);              /* SYSCALL */
    uint64_t after_syscall = peek64(f, 0x528);
    g_assert_cmphex(f->ram->host[FIXTURE_RAM - 0x10000 + (after_syscall & 0xffff)], ==, 0xcc);
    g_assert_cmphex(peek64(f, 0x538), ==, 0x3b); /* INT3 came from level 3 */
    g_assert_cmphex(peek64(f, 0x530), ==, 0x5000);
    g_assert_cmphex(peek64(f, 0x540), ==, after_syscall + 9); /* HLT at level 3: #GP */
    g_assert_cmpuint(cpu->cpl, ==, 0);
    g_assert_true(cpu->mode & MODE_CS64);
    g_assert_cmphex(peek64(f, 0x11018) & 0x20, ==, 0x20); /* A of the 1 GiB page */
}

/* --- interrupts
 * ------------------------------------------------------------------------------------ */

typedef struct {
    Fixture f; /* first: the fixture's functions take it */
    GMutex lock;
    _Atomic unsigned acknowledged, triple_faults;
    _Atomic gint64 timer_due; /* us of the monotonic clock; 0: it is not set */
    unsigned borrowed, given_back;
} Board1;

static void board1_lock(void *opaque)
{
    g_mutex_lock(&((Board1 *)opaque)->lock);
}

static void board1_unlock(void *opaque)
{
    g_mutex_unlock(&((Board1 *)opaque)->lock);
}

static int board1_acknowledge(void *opaque)
{
    Board1 *board = opaque;

    cpu_clear_request(board->f.cpu, REQUEST_INTERRUPT);
    atomic_fetch_add(&board->acknowledged, 1);
    return 0x20;
}

static void board1_triple_fault(void *opaque)
{
    Board1 *board = opaque;

    atomic_fetch_add(&board->triple_faults, 1);
}

static void board1_init_received(void *opaque)
{
}

static int64_t board1_timer_borrow(void *opaque)
{
    Board1 *board = opaque;

    if (!board->timer_due)
        return INT64_MAX;
    board->borrowed++;
    return board->timer_due * 1000;
}

static void board1_timer_give_back(void *opaque)
{
    Board1 *board = opaque;

    board->given_back++;
    if (!board->timer_due || g_get_monotonic_time() < board->timer_due)
        return;
    board->timer_due = 0;
    cpu_request(board->f.cpu, REQUEST_INTERRUPT);
}

static const CpuBoardOps board1_ops = {
    .lock = board1_lock,
    .unlock = board1_unlock,
    .acknowledge = board1_acknowledge,
    .triple_fault = board1_triple_fault,
    .init_received = board1_init_received,
    .timer_borrow = board1_timer_borrow,
    .timer_give_back = board1_timer_give_back,
};

static void board1_set_up(Board1 *board, gconstpointer data)
{
    g_mutex_init(&board->lock);
    fixture_set_up_with(&board->f, &board1_ops, board);
}

static void board1_tear_down(Board1 *board, gconstpointer data)
{
    fixture_tear_down(&board->f, NULL);
    g_mutex_clear(&board->lock);
}

static void test_traps(Board1 *board, gconstpointer data)
{
    Fixture *f = &board->f;
    Cpu *cpu = f->cpu;
    const uint8_t *code = f->ram->host + 0xf0000;

    load_program(f, realtrap_code, sizeof realtrap_code);
    poke32(f, 0x1000, 0);
    cpu_request(cpu, REQUEST_INTERRUPT); /* masked until the STI */
    cpu_step(cpu, 1000);
    g_assert_true(cpu_is_halted(cpu));
    /* After NOP, (not MOV SS) NOP, PUSHF, POP, AND, PUSH, POPF. */
    g_assert_cmpuint(peek32(f, 0x500) & 0xffff, ==, 7);
    g_assert_cmphex(code[(peek32(f, 0x512) & 0xffff) - 1], ==, 0x90);
    g_assert_cmphex(code[(peek32(f, 0x514) & 0xffff) - 1], ==, 0x90);
    g_assert_cmphex(code[(peek32(f, 0x514) & 0xffff) - 3], ==, 0x8e);
    g_assert_cmphex(code[(peek32(f, 0x516) & 0xffff) - 1], ==, 0x9c);
    g_assert_cmphex(code[(peek32(f, 0x51e) & 0xffff) - 1], ==, 0x9d);
    g_assert_cmphex(cpu->dr[6], ==, 0xffff4ff0);
    /* One interrupt, after the instruction that follows STI. */
    g_assert_cmpuint(board->acknowledged, ==, 1);
    g_assert_cmpuint(peek32(f, 0x504) & 0xffff, ==, 1);
    uint16_t back = (uint16_t)(peek32(f, 0x506));
    g_assert_cmphex(code[back - 2], ==, 0xfb);
    g_assert_cmphex(code[back - 1], ==, 0x90);
    g_assert_cmphex(code[back], ==, 0x90);
}

/* Start-up messages count when they come to a processor that waits for one: the usual second one to
 * a processor that has been started and sleeps does not answer the next INIT. */
static void test_start_up(Board1 *board, gconstpointer data)
{
    Cpu *cpu = board->f.cpu;

    load_program(&board->f, halting_code, sizeof halting_code);
    cpu_step(cpu, 100);
    g_assert_true(cpu_is_halted(cpu));
    cpu->index = 1; /* not the bootstrap processor */
    atomic_store(&cpu->sipi_vector, 0x90);
    cpu_request(cpu, REQUEST_SIPI);
    cpu_request(cpu, REQUEST_INIT);
    cpu_step(cpu, 10);
    g_assert_cmpint(cpu->halt_state, ==, CPU_WAIT_FOR_SIPI);
    cpu_request(cpu, REQUEST_INIT);
    atomic_store(&cpu->sipi_vector, 0xf0);
    cpu_request(cpu, REQUEST_SIPI);
    cpu_step(cpu, 1);
    g_assert_cmpint(cpu->halt_state, ==, CPU_RUNNING);
    g_assert_cmphex(cpu->seg[SEG_CS].base, ==, 0xf0000);
}

static void test_breakpoints(Fixture *f, gconstpointer data)
{
    Cpu *cpu = f->cpu;

    load_program(f, halting_code, sizeof halting_code);
    poke32(f, 4, 0xf000f020); /* #DB has INT 20h's handler */
    /* An instruction breakpoint on the STI (linear FFFFF015h), a store breakpoint on [80h]. */
    cpu->dr[0] = 0xfffff015;
    cpu->dr[1] = 0x80;
    cpu->dr[7] = 0x400 | 1 | 4 | 1 << 20 | 1 << 22;
    cpu_update_mode(cpu);
    cpu_step(cpu, 6); /* the jump and five more: after MOV [80h] */
    g_assert_cmphex(cpu->dr[6] & 0xf, ==, 2);
    g_assert_cmphex(cpu->rip, ==, 0xf020);
    cpu_step(cpu, 2);
    g_assert_cmphex(cpu->rip, ==, 0xf00f);
    /* IRET loaded F000h: from here on the code runs at F0000h. */
    cpu->dr[0] = 0xff015;
    cpu->dr[6] = 0xffff0ff0;
    cpu_step(cpu, 2);
    g_assert_cmphex(cpu->rip, ==, 0xf020);
    g_assert_cmphex(cpu->dr[6] & 0xf, ==, 1);
    g_assert_false(cpu->rflags & RFLAGS_IF); /* before the STI */
    g_assert_cmphex(peek32(f, cpu->seg[SEG_SS].base + cpu->gpr[RSP]) & 0xffff, ==, 0xf015);
    cpu_step(cpu, 2);
    cpu_set_rflags(cpu, RFLAGS_RF, RFLAGS_RF); /* what a handler does to go on */
    cpu_step(cpu, 2);
    g_assert_true(cpu_is_halted(cpu));
    g_assert_true(cpu->rflags & RFLAGS_IF);
    g_assert_false(cpu->rflags & RFLAGS_RF);
}

static void test_triple_fault(Board1 *board, gconstpointer data)
{
    Fixture *f = &board->f;
    Cpu *cpu = f->cpu;

    load_program(f, triple_code, sizeof triple_code);
    cpu_step(cpu, 2);
    g_assert_true(cpu_is_halted(cpu));
    cpu->halt_state = CPU_RUNNING;
    cpu_step(cpu, 10);
    g_assert_cmpuint(board->triple_faults, ==, 1);
    g_assert_cmpint(cpu->halt_state, ==, CPU_SHUTDOWN);
    cpu_reset(cpu);
    g_assert_false(cpu_is_halted(cpu));
    g_assert_cmphex(cpu->rip, ==, 0xfff0);
}

/* --- threads
 * ------------------------------------------------------------------------------------------ */

static uint16_t counter(Fixture *f, uint64_t address)
{
    return *(volatile uint16_t *)(f->ram->host + address);
}

static void wait_for(Fixture *f, uint64_t address, uint16_t value)
{
    for (unsigned i = 0; i < 5000 && counter(f, address) != value; i++)
        g_usleep(1000);
    g_assert_cmpuint(counter(f, address), ==, value);
}

static void count_call(Cpu *cpu, void *opaque)
{
    g_assert_true(cpu_current() == cpu);
    ++*(unsigned *)opaque;
}

static void test_thread(Board1 *board, gconstpointer data)
{
    Fixture *f = &board->f;
    Cpu *cpu = f->cpu;
    unsigned calls = 0;

    load_program(f, halting_code, sizeof halting_code);
    cpu_start(cpu);
    cpu_wait_paused(cpu);
    g_assert_cmphex(cpu->rip, ==, 0xfff0);
    cpu_call_on(cpu, count_call, &calls);
    g_assert_cmpuint(calls, ==, 1);
    cpu_resume(cpu);
    for (uint16_t i = 1; i <= 100; i++) {
        g_mutex_lock(&board->lock);
        cpu_request(cpu, REQUEST_INTERRUPT);
        g_mutex_unlock(&board->lock);
        wait_for(f, 0x500, i);
        g_assert_cmpuint(counter(f, 0x504), ==, i);
    }
    cpu_call_on(cpu, count_call, &calls);
    g_assert_cmpuint(calls, ==, 2);

    cpu_pause(cpu);
    cpu_wait_paused(cpu);
    cpu_request(cpu, REQUEST_INTERRUPT);
    g_usleep(20000);
    g_assert_cmpuint(counter(f, 0x504), ==, 100);
    cpu_call_on(cpu, count_call, &calls);
    g_assert_cmpuint(calls, ==, 3);
    cpu_resume(cpu);
    wait_for(f, 0x500, 101);
    for (unsigned i = 0; i < 1000; i++) {
        cpu_pause(cpu);
        cpu_wait_paused(cpu);
        cpu_resume(cpu);
    }
    cpu_request(cpu, REQUEST_INTERRUPT);
    wait_for(f, 0x500, 102);
    while (!cpu_is_halted(cpu))
        g_usleep(100);
    cpu_pause(cpu);
    cpu_wait_paused(cpu);
    g_assert_cmpuint(cpu->halt_state, ==, CPU_HALTED);
}

/* A halted vCPU wakes for its own timer, at the time and not before, and gives it back when
 * something else wakes it. */
static void test_own_timer(Board1 *board, gconstpointer data)
{
    Fixture *f = &board->f;
    Cpu *cpu = f->cpu;

    load_program(f, halting_code, sizeof halting_code);
    cpu_start(cpu);
    for (uint16_t i = 1; i <= 20; i++) {
        gint64 due = g_get_monotonic_time() + 5000;
        board->timer_due = due;
        cpu_resume(cpu);
        wait_for(f, 0x500, i);
        g_assert_cmpint(g_get_monotonic_time(), >=, due);
        g_assert_cmpuint(counter(f, 0x504), ==, i);
        cpu_pause(cpu);
        cpu_wait_paused(cpu);
    }
    g_assert_cmpuint(board->borrowed, >=, 20);

    board->timer_due = g_get_monotonic_time() + 3600 * (gint64)G_USEC_PER_SEC;
    cpu_resume(cpu);
    cpu_request(cpu, REQUEST_INTERRUPT);
    wait_for(f, 0x500, 21);
    cpu_pause(cpu);
    cpu_wait_paused(cpu);
    g_assert_cmpuint(board->given_back, ==, board->borrowed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/cpu/run/long-mode", Fixture, NULL, fixture_set_up, test_long_mode,
               fixture_tear_down);
    g_test_add("/cpu/run/breakpoints", Fixture, NULL, fixture_set_up, test_breakpoints,
               fixture_tear_down);
    g_test_add("/cpu/run/traps", Board1, NULL, board1_set_up, test_traps, board1_tear_down);
    g_test_add("/cpu/run/start-up", Board1, NULL, board1_set_up, test_start_up, board1_tear_down);
    g_test_add("/cpu/run/triple-fault", Board1, NULL, board1_set_up, test_triple_fault,
               board1_tear_down);
    g_test_add("/cpu/run/thread", Board1, NULL, board1_set_up, test_thread, board1_tear_down);
    g_test_add("/cpu/run/own-timer", Board1, NULL, board1_set_up, test_own_timer, board1_tear_down);
    return g_test_run();
}
