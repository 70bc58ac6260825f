/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The differential fuzzer of the CPU: a case is a short program and a state. The host's own
 * processor, the interpreter and translated code run it at the same addresses; registers, memory
 * and faults must agree.
 *
 * A case depends on the seed and its number alone. Cases come in groups that share a mode. Workers
 * are processes; each has another process for the host's part, because code that goes astray there
 * takes its process with it.
 */

#include "tests/core/cpu/cpu-state.h"

#include <sys/time.h>

typedef enum {
    FUZZ_64,   /* 64-bit code at CPL 3 */
    FUZZ_32,   /* 32-bit code at CPL 3, flat; on the host in compatibility mode */
    FUZZ_16,   /* 16-bit protected-mode code at CPL 3, data segments of one page */
    FUZZ_REAL, /* real mode, data segments of one page; not on the host, neither are FUZZ_16's */
    N_FUZZ_MODES,
} FuzzMode;

enum {
    GROUP = 64, /* cases */
    MAX_BLOCK = 20,
    MAX_LOOP = 8,   /* instructions without those that make it one */
    MAX_CODE = 240, /* bytes without the exit */
    SLOT = 512,     /* of code a case has for itself */
    N_SLOTS = 511 * GROUP,
    CODE_SIZE = 16 << 20,
};

/* Linear addresses. CODE is CODE_SIZE bytes; at DATA are two writable pages, below them a read-only
 * one, beyond them nothing; EXIT is where a case ends: nothing there for a guest. */
typedef struct {
    uint64_t code, exit, data;
} FuzzPlaces;
extern const FuzzPlaces fuzz_places[N_FUZZ_MODES];
/* What fuzz_places[].data is as an offset in the data segments. */
uint64_t fuzz_data_offset(FuzzMode mode);
uint32_t fuzz_decode_mode(FuzzMode mode);
/* What the read-only page holds. */
void fuzz_fill_read_only(uint8_t *page);

typedef struct {
    uint8_t bytes[INSN_MAX_BYTES];
    uint8_t length;
    int8_t target;       /* of a near branch: a number of an instruction, n for the exit; else -1 */
    bool loops;          /* it leads back to the first, all others lead forward */
    uint64_t rip_target; /* of a RIP-relative operand; 0 */
    uint8_t imm_offset, imm_size, disp_offset;
    bool conditional, calls, leaves; /* leaves: for where a register or memory says */
    bool repeats_by_ecx;             /* insn_repeats_by_ecx() */
    /* Flags it reads, sets in any case, and leaves without a defined value. */
    uint32_t reads, sets, spoils;
    uint32_t undefined;   /* flags without a defined value before it */
    uint32_t live;        /* flags that may be read behind it or by it before they are set */
    uint32_t form;        /* of the coverage list, or NO_FORM */
    uint8_t address_form; /* AddressForm */
} FuzzInsn;
#define NO_FORM UINT32_MAX

typedef struct {
    uint64_t number;
    FuzzMode mode;
    unsigned n;
    FuzzInsn insns[MAX_BLOCK];
    uint32_t undefined; /* flags at the end */
    bool asks_host;     /* nothing in it stands against running it there */
    bool stands_alone;  /* nothing may follow its instruction */
    /* A register, and with PLANT_STACK the place it points to, holds the address of an
     * instruction. NO_PLANT: none. */
    uint8_t plant, plant_target;
    CpuState in;
    /* Laid out: */
    uint32_t offset;     /* of the first instruction in the code area */
    uint64_t start, end; /* RIP of the first instruction and of the exit */
    uint64_t cs_base;
    uint16_t place[MAX_BLOCK + 1]; /* of the instructions, from the start */
    uint8_t code[MAX_CODE + 16];
    unsigned length; /* with the exit */
} FuzzCase;
enum { NO_PLANT = 0xff };

/* Sends this process SIGPROF, which ends it, when it has used SECONDS of processor time from now
 * on: a busy host makes nothing hang. */
static inline void fuzz_limit_time(unsigned seconds)
{
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = seconds}, NULL);
}

/* --- coverage.c ------------------------------------------------------------------------------- */

typedef enum {
    ADDRESS_NONE, /* registers only */
    ADDRESS_BASE,
    ADDRESS_BASE_DISPLACEMENT,
    ADDRESS_INDEX,
    ADDRESS_ABSOLUTE,
    ADDRESS_RIP,
    ADDRESS_IMPLIED, /* string, stack ... */
    N_ADDRESS_FORMS,
} AddressForm;

typedef enum {
    VERDICT_HOST,  /* compared with the host */
    VERDICT_GUEST, /* interpreter against translated code */
    VERDICT_EXEMPT,
} Verdict;

/* One encoding of a form. */
typedef struct {
    uint8_t map, opcode, prefix /* 0, 66h, F2h, F3h, F0h */, modrm;
    bool vex, w, l, has_modrm, memory, vector_index;
} FuzzTemplate;

typedef struct {
    uint16_t mnemonic;
    uint8_t mode, encoding, operand_width, vector_length;
    bool memory;
    uint8_t prefix; /* that counts: LOCK, REP, REPNE or 0 */
    Verdict verdict;
    const char *reason; /* why not VERDICT_HOST */
    unsigned first_template, n_templates;
} FuzzForm;

/* Walks Zydis' tables. Before the workers start: the counts are shared with them. */
void coverage_init(void);
/* What may be done with INSN, and why not more. */
Verdict coverage_verdict(const Insn *insn, FuzzMode mode, const char **reason);
/* A form of MODE that is not exempt, each as likely as the other, and one of its encodings. */
unsigned coverage_pick(Random *random, FuzzMode mode, const FuzzTemplate **encoding);
const FuzzForm *coverage_form(unsigned form);
void coverage_count(const FuzzInsn *insn);
/* A line a mode; ALL: a line a form, too. */
void coverage_print(bool all);

/* --- generate.c ------------------------------------------------------------------------------- */

FuzzMode generate_mode(uint64_t number);
void generate_case(FuzzCase *c, uint64_t seed, uint64_t number);
/* Finds the flags that are undefined; fills CODE. After any change to the instructions. */
void generate_lay_out(FuzzCase *c);
/* The number of C's instruction at RIP, n for the exit, -1 for none. */
int fuzz_find_insn(const FuzzCase *c, uint64_t rip);

/* --- guest.c ---------------------------------------------------------------------------------- */

typedef enum { GUEST_INTERPRETER, GUEST_JIT, N_GUESTS } GuestKind;
typedef enum {
    RUN_INSIDE,  /* never left the case's own instructions */
    RUN_OUTSIDE, /* did: not for the host */
    RUN_OPEN,    /* no manual says what comes of it: not for the host */
    RUN_USELESS, /* has no end, or went to another case's code */
} RunPath;

/* Both guests anew, with nothing translated and the options of the translator that go with case
 * NUMBER. */
void guest_reset(uint64_t number);
/* The path is the interpreter's to tell. */
RunPath guest_run(GuestKind kind, const FuzzCase *c, CpuState *out);

/* --- host.c ----------------------------------------------------------------------------------- */

/* Of a worker, in memory shared with its host process. */
typedef struct {
    FuzzCase cases[GROUP];
    bool wanted[GROUP];
    CpuState out[GROUP];
    bool done[GROUP];
} HostBatch;

/* Whether this host has code segments for MODE. */
bool host_can_run(FuzzMode mode);
HostBatch *host_batch(void);
/* Starts the process if need be, and on the batch. */
void host_begin(unsigned n);
/* Waits. What killed the process is not done; the rest is. */
void host_finish(unsigned n);
void host_stop(void);

/* --- judge.c ---------------------------------------------------------------------------------- */

/* Whether both are results of C that a processor may show: equal but for what the manuals leave
 * open. HOST NULL: its process died. */
bool judge_agree_host(const FuzzCase *c, const CpuState *interpreter, const CpuState *host);
/* The same of translated code, whose flags at a fault may be inexact: see guest_reset(). */
bool judge_agree_translated(const FuzzCase *c, const CpuState *interpreter, const CpuState *jit);

typedef struct {
    CpuState interpreter, jit, host;
    bool asked_host, lost_host; /* lost: the host's process died of it */
    bool differs;
} Verdicts;
/* Runs C alone on fresh guests. */
void judge_alone(const FuzzCase *c, Verdicts *out);
/* Takes away from C what is not needed for it to differ. False when it does not differ alone. */
bool judge_shrink(FuzzCase *c, Verdicts *out);
void judge_print(const FuzzCase *c, const Verdicts *verdicts, uint64_t seed);
