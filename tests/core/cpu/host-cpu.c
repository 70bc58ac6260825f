/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "tests/core/cpu/host-cpu.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { USER32_CS = 0x23, USER_DS = 0x2b, USER_CS = 0x33 }; /* Linux' selectors */

/* What the code below reaches RIP-relative, so that every register is the guest code's. */
struct {
    CpuVectors vectors;
    uint64_t gpr[16];
    uint64_t rflags;
    uint64_t host_rsp;
    uint64_t code;
    struct {
        uint32_t offset;
        uint16_t segment;
    } __attribute__((packed)) far_code;
} host_cpu_shared __attribute__((visibility("hidden")));

#define GPR(n)        "host_cpu_shared+832+8*" #n "(%rip)"
#define LOAD(n, reg)  "mov " GPR(n) ", %" #reg "\n"
#define STORE(n, reg) "mov %" #reg ", " GPR(n) "\n"
/* clang-format off */
#define ENTER \
    "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n" \
    "mov %rsp, host_cpu_shared+968(%rip)\n" \
    "mov $7, %eax\nxor %edx, %edx\nxrstor64 host_cpu_shared(%rip)\n" \
    "push host_cpu_shared+960(%rip)\npopfq\n" \
    LOAD(0, rax) LOAD(1, rcx) LOAD(2, rdx) LOAD(3, rbx) \
    LOAD(5, rbp) LOAD(6, rsi) LOAD(7, rdi) LOAD(8, r8) \
    LOAD(9, r9) LOAD(10, r10) LOAD(11, r11) LOAD(12, r12) \
    LOAD(13, r13) LOAD(14, r14) LOAD(15, r15) LOAD(4, rsp)
__asm__(".pushsection .text\n"
        "host_cpu_enter:\n" ENTER
        "jmp *host_cpu_shared+976(%rip)\n"
        "host_cpu_enter_compatibility:\n" ENTER
        "ljmp *host_cpu_shared+984(%rip)\n"
        "host_cpu_back:\n"
        STORE(0, rax) STORE(1, rcx) STORE(2, rdx) STORE(3, rbx)
        STORE(5, rbp) STORE(6, rsi) STORE(7, rdi) STORE(8, r8)
        STORE(9, r9) STORE(10, r10) STORE(11, r11) STORE(12, r12)
        STORE(13, r13) STORE(14, r14) STORE(15, r15) STORE(4, rsp)
        "mov host_cpu_shared+968(%rip), %rsp\n"
        "pushfq\npop host_cpu_shared+960(%rip)\ncld\n"
        "mov $7, %eax\nxor %edx, %edx\nxsave64 host_cpu_shared(%rip)\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n"
        ".popsection\n");
/* clang-format on */
void host_cpu_enter(void);
void host_cpu_enter_compatibility(void);
void host_cpu_back(void);

G_STATIC_ASSERT(sizeof(CpuVectors) == 832);

static sigjmp_buf escape;
static uint64_t code_start, code_length;
static CpuState *running;

/* The state at the fault is what the kernel saved. */
static void on_signal(int number, siginfo_t *info, void *opaque)
{
    static const int order[N_GPR] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                     REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                     REG_R12, REG_R13, REG_R14, REG_R15};
    const ucontext_t *context = opaque;
    const greg_t *registers = context->uc_mcontext.gregs;
    const uint8_t *area = (const uint8_t *)context->uc_mcontext.fpregs;

    if (!running || (uint64_t)registers[REG_RIP] - code_start >= code_length) {
        signal(number, SIG_DFL); /* not the code's doing: repeated, it is fatal */
        return;
    }
    for (unsigned i = 0; i < N_GPR; i++)
        host_cpu_shared.gpr[i] = registers[order[i]];
    host_cpu_shared.rflags = registers[REG_EFL];
    memcpy(host_cpu_shared.vectors.legacy, area, 512);
    memcpy(host_cpu_shared.vectors.ymm_high, area + 576, 256);
    if (!(area[512] & 4)) /* XSTATE_BV: in its initial state */
        memset(host_cpu_shared.vectors.ymm_high, 0, 256);
    running->rip = registers[REG_RIP];
    running->vector = registers[REG_TRAPNO];
    running->error = registers[REG_ERR];
    running->address = registers[REG_CR2];
    siglongjmp(escape, 1);
}

void host_cpu_init(void)
{
    static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP};
    static uint8_t alternate[65536];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};

    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        struct sigaction action = {.sa_sigaction = on_signal,
                                   .sa_flags = SA_ONSTACK | SA_SIGINFO | SA_NODEFER};
        sigaction(signals[i], &action, NULL);
    }
}

bool host_cpu_has_compatibility(void)
{
    uint32_t rights = USER32_CS;
    bool exists;

    __asm__("lar %0, %0" : "+r"(rights), "=@ccz"(exists));
    return exists;
}

void host_cpu_set_code(uint64_t start, uint64_t length)
{
    code_start = start;
    code_length = length;
}

uint64_t host_cpu_exit(void)
{
    return (uintptr_t)host_cpu_back;
}

bool host_cpu_place_exit(uint64_t address, bool compatibility)
{
    uint64_t back = host_cpu_exit();
    uint8_t *page = mmap((void *)address, STATE_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    uint8_t *p = page;

    if (page != (uint8_t *)address)
        return false;
    if (compatibility) { /* jmp far USER_CS:next */
        uint32_t next = (uint32_t)address + 7;
        *p++ = 0xea;
        memcpy(p, &next, 4);
        p[4] = USER_CS;
        p[5] = 0;
        p += 6;
    }
    memcpy(p, "\xff\x25\x00\x00\x00\x00", 6); /* jmp [rip] */
    memcpy(p + 6, &back, 8);
    return !mprotect(page, STATE_PAGE, PROT_READ | PROT_EXEC);
}

void host_cpu_run(CpuState *state, bool compatibility)
{
    static const CpuVectors clean = {.legacy = {[0] = 0x7f, [1] = 3, [24] = 0x80, [25] = 0x1f}};

    host_cpu_shared.vectors = state->vectors;
    memcpy(host_cpu_shared.gpr, state->gpr, sizeof host_cpu_shared.gpr);
    host_cpu_shared.rflags = state->rflags;
    host_cpu_shared.code = state->rip;
    host_cpu_shared.far_code.offset = (uint32_t)state->rip;
    host_cpu_shared.far_code.segment = USER32_CS;
    state->vector = -1;
    state->error = 0;
    running = state;
    if (!sigsetjmp(escape, 0)) {
        /* 64-bit code ignores them, but shows them as the x87's last data segment. */
        __asm__ volatile("mov %0, %%ds\nmov %0, %%es" : : "r"(USER_DS));
        if (compatibility)
            host_cpu_enter_compatibility();
        else
            host_cpu_enter();
    }
    __asm__ volatile("xrstor64 %0" : : "m"(clean), "a"(7), "d"(0) : "memory");
    running = NULL;
    state->vectors = host_cpu_shared.vectors;
    memcpy(state->gpr, host_cpu_shared.gpr, sizeof host_cpu_shared.gpr);
    state->rflags = host_cpu_shared.rflags;
}

uint64_t host_cpu_xcr0(void)
{
    uint32_t low, high;

    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}
