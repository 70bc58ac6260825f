/* SPDX-License-Identifier: GPL-3.0-or-later */

/* When two results count as the same, and what a case that has none looks like at its smallest. */

#include "tests/core/cpu/host-cpu.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

/* --- agreeing --------------------------------------------------------------------------------- */

/* The page tables of the guests, and what the host has mapped. */
static bool faults(uint64_t address, bool write, uint32_t *error)
{
    *error = 4 | (write ? 2 : 0);
    for (FuzzMode mode = FUZZ_64; mode <= FUZZ_32; mode++) {
        const FuzzPlaces *places = &fuzz_places[mode];
        if (address - places->data < STATE_DATA)
            return false;
        if (address - places->code < CODE_SIZE || places->data - 1 - address < STATE_PAGE) {
            *error |= 1;
            return write;
        }
    }
    return true;
}

static uint32_t undefined_at(const FuzzCase *c, int i)
{
    if (i < 0)
        return RFLAGS_ARITH;
    return i == (int)c->n ? c->undefined : c->insns[i].undefined;
}

/* The instruction of C that STATE ended at with an exception, if it is one. */
static bool ended_at(const FuzzCase *c, const CpuState *state, Insn *insn)
{
    int i = fuzz_find_insn(c, state->rip);

    return state->vector >= 0 && i >= 0 && i < (int)c->n &&
           insn_decode(c->insns[i].bytes, INSN_MAX_BYTES, fuzz_decode_mode(c->mode), insn) ==
               DECODE_OK;
}

static bool faults_may_differ(const FuzzCase *c, const Insn *insn, const CpuState *a,
                              const CpuState *b)
{
    bool wide = c->mode == FUZZ_64;

    if (c->mode > FUZZ_32)
        return false;
    return (!wide && state_faults_at_4_gib(a, b)) ||
           (a->vector >= 0 && b->vector >= 0 && state_fault_is_of_a_piece(a, insn, wide, faults) &&
            state_fault_is_of_a_piece(b, insn, wide, faults));
}

/* But for the flags in UNDEFINED. OPEN: and for what else the manuals leave open at a fault. */
static bool agree(const FuzzCase *c, const CpuState *a, const CpuState *b, uint64_t undefined,
                  bool open)
{
    Insn insn;

    if (state_equal(a, b))
        return true;
    CpuState left = *a, right = *b;
    if (ended_at(c, a, &insn)) {
        if (open && b->vector >= 0 && b->rip == a->rip)
            state_forget_open(&insn, c->mode == FUZZ_64, fuzz_data_offset(c->mode), &left, &right);
        if (faults_may_differ(c, &insn, a, b)) {
            right.vector = left.vector;
            right.error = left.error;
            right.address = left.address;
        }
    }
    left.rflags &= ~undefined;
    right.rflags &= ~undefined;
    return state_equal(&left, &right);
}

/* The host may go on where the guest ended with an exception, wherever that leads. At the exit it
 * has a page, too. */
static bool host_may_go_on(const FuzzCase *c, const CpuState *interpreter)
{
    Insn insn;

    if (interpreter->vector == EXC_PF &&
        interpreter->address - fuzz_places[c->mode].exit < STATE_PAGE)
        return true;
    return ended_at(c, interpreter, &insn) &&
           (state_may_skip_store(&insn, interpreter) || state_may_skip_area(&insn, interpreter) ||
            state_restores_beyond_xcr0(&insn, interpreter, fuzz_data_offset(c->mode),
                                       host_cpu_xcr0()));
}

/* An XRSTOR may look at all of its area (SDM 1, 13.8), or at what it loads. */
static bool host_may_stop(const FuzzCase *c, const CpuState *host)
{
    Insn insn;

    return c->mode <= FUZZ_32 && ended_at(c, host, &insn) &&
           (insn.mnemonic == ZYDIS_MNEMONIC_XRSTOR || insn.mnemonic == ZYDIS_MNEMONIC_XRSTOR64) &&
           state_fault_is_of_a_piece(host, &insn, c->mode == FUZZ_64, faults);
}

bool judge_agree_host(const FuzzCase *c, const CpuState *interpreter, const CpuState *host)
{
    uint64_t undefined = undefined_at(c, fuzz_find_insn(c, interpreter->rip));

    return (host && (agree(c, interpreter, host, undefined, true) || host_may_stop(c, host))) ||
           host_may_go_on(c, interpreter);
}

bool judge_agree_translated(const FuzzCase *c, const CpuState *interpreter, const CpuState *jit)
{
    uint64_t undefined = undefined_at(c, fuzz_find_insn(c, interpreter->rip));

    /* FOP, FIP and FDP; when the host's FXSAVE and XSAVE show them, no manual says. */
    return agree(c, interpreter, jit, undefined, false) &&
           !memcmp(interpreter->vectors.legacy + 6, jit->vectors.legacy + 6, 18);
}

/* --- one case alone --------------------------------------------------------------------------- */

void judge_alone(const FuzzCase *c, Verdicts *out)
{
    HostBatch *batch = host_batch();

    guest_reset(c->number);
    RunPath path = guest_run(GUEST_INTERPRETER, c, &out->interpreter);
    out->asked_host = c->asks_host && path == RUN_INSIDE && host_can_run(c->mode);
    out->lost_host = out->differs = false;
    if (path == RUN_USELESS)
        return;
    if (out->asked_host) {
        batch->cases[0] = *c;
        batch->wanted[0] = true;
        host_begin(1);
        host_finish(1);
        out->host = batch->out[0];
        out->lost_host = !batch->done[0];
    }
    guest_run(GUEST_JIT, c, &out->jit);
    out->differs = !judge_agree_translated(c, &out->interpreter, &out->jit) ||
                   (out->asked_host &&
                    !judge_agree_host(c, &out->interpreter, out->lost_host ? NULL : &out->host));
}

/* --- shrinking -------------------------------------------------------------------------------- */

static bool still_differs(FuzzCase *c, Verdicts *out)
{
    generate_lay_out(c);
    judge_alone(c, out);
    return out->differs;
}

/* Keeps CANDIDATE if it differs. */
static bool take(FuzzCase *c, FuzzCase *candidate, Verdicts *out)
{
    Verdicts verdicts;

    if (!still_differs(candidate, &verdicts))
        return false;
    *c = *candidate;
    *out = verdicts;
    return true;
}

static void remove_insn(FuzzCase *c, unsigned i)
{
    memmove(&c->insns[i], &c->insns[i + 1], (c->n - i - 1) * sizeof c->insns[0]);
    c->n--;
    for (unsigned k = 0; k < c->n; k++)
        if (c->insns[k].target > (int)i)
            c->insns[k].target--;
    if (c->plant_target > i)
        c->plant_target--;
}

static void shrink_code(FuzzCase *c, Verdicts *out)
{
    static FuzzCase candidate;

    for (unsigned i = c->n; c->n > 1 && i-- > 0;) {
        candidate = *c;
        remove_insn(&candidate, i);
        take(c, &candidate, out);
    }
    if (c->plant != NO_PLANT) {
        candidate = *c;
        candidate.plant = NO_PLANT;
        take(c, &candidate, out);
    }
}

static void shrink_bytes(FuzzCase *c, Verdicts *out, uint8_t *part, unsigned length)
{
    static FuzzCase candidate;
    size_t at = (size_t)(part - (uint8_t *)c);

    candidate = *c;
    memset((uint8_t *)&candidate + at, 0, length);
    if (memcmp(&candidate, c, sizeof candidate))
        take(c, &candidate, out);
}

static void shrink_state(FuzzCase *c, Verdicts *out)
{
    static FuzzCase candidate;
    CpuState *in = &c->in;

    for (unsigned length = STATE_PAGE; length >= 64; length /= 4)
        for (unsigned i = 0; i < STATE_DATA; i += length)
            shrink_bytes(c, out, in->data + i, length);
    shrink_bytes(c, out, in->vectors.ymm_high, 256);
    shrink_bytes(c, out, in->vectors.xmm[0], sizeof in->vectors.xmm);
    shrink_bytes(c, out, in->vectors.st[0], sizeof in->vectors.st);
    for (unsigned i = 0; i < 16; i++) {
        shrink_bytes(c, out, (uint8_t *)&in->gpr[i], 8);
        shrink_bytes(c, out, in->vectors.xmm[i], 16);
        shrink_bytes(c, out, in->vectors.ymm_high + i * 16, 16);
        if (i < 8)
            shrink_bytes(c, out, in->vectors.st[i], 10);
    }
    candidate = *c;
    candidate.in.rflags = RFLAGS_1 | RFLAGS_IF;
    take(c, &candidate, out);
    candidate = *c;
    memcpy(candidate.in.vectors.legacy, "\x7f\x03\x00\x00\x00", 5);
    take(c, &candidate, out);
    candidate = *c;
    candidate.in.vectors.mxcsr = 0x1f80;
    take(c, &candidate, out);
}

bool judge_shrink(FuzzCase *c, Verdicts *out)
{
    judge_alone(c, out);
    if (!out->differs)
        return false;
    shrink_code(c, out);
    shrink_state(c, out);
    return true;
}

/* --- printing --------------------------------------------------------------------------------- */

static void print_bytes(GString *text, const char *name, const uint8_t *bytes, unsigned length)
{
    unsigned n = length;

    while (n && !bytes[n - 1])
        n--;
    if (!n)
        return;
    g_string_append_printf(text, "    %s ", name);
    for (unsigned i = length; i-- > 0;)
        g_string_append_printf(text, "%02x", bytes[i]);
    g_string_append_c(text, '\n');
}

static void print_state(GString *text, const CpuState *in)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const CpuVectors *vectors = &in->vectors;
    char name[16];

    g_string_append_printf(text, "    rflags %lx", in->rflags);
    for (unsigned i = 0; i < N_GPR; i++)
        if (in->gpr[i])
            g_string_append_printf(text, " %s %lx", names[i], in->gpr[i]);
    g_string_append_printf(text, "\n    fcw %04x fsw %04x ftw %02x mxcsr %05x\n", vectors->fcw,
                           vectors->fsw, vectors->ftw, vectors->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        g_snprintf(name, sizeof name, "st%u", i);
        print_bytes(text, name, vectors->st[i], 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        g_snprintf(name, sizeof name, "xmm%u", i);
        print_bytes(text, name, vectors->xmm[i], 16);
        g_snprintf(name, sizeof name, "ymm%u high", i);
        print_bytes(text, name, vectors->ymm_high + i * 16, 16);
    }
    for (unsigned i = 0; i < STATE_DATA; i += 16) {
        g_snprintf(name, sizeof name, "data+%04x", i);
        print_bytes(text, name, in->data + i, 16);
    }
}

static void print_insn(GString *text, const FuzzCase *c, unsigned i)
{
    static const ZydisMachineMode modes[] = {
        ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_MACHINE_MODE_LEGACY_16,
        ZYDIS_MACHINE_MODE_REAL_16};
    const uint8_t *bytes = c->code + c->place[i];
    ZydisDisassembledInstruction insn;
    GString *hex = g_string_new(NULL);

    for (unsigned k = 0; k < c->insns[i].length; k++)
        g_string_append_printf(hex, "%02x ", bytes[k]);
    bool known = ZYAN_SUCCESS(ZydisDisassembleIntel(modes[c->mode], c->start + c->place[i], bytes,
                                                    c->insns[i].length, &insn));
    g_string_append_printf(text, "  %012lx  %-36s %s\n", c->start + c->place[i], hex->str,
                           known ? insn.text : "?");
    g_string_free(hex, TRUE);
}

void judge_print(const FuzzCase *c, const Verdicts *v, uint64_t seed)
{
    static const char *const modes[] = {"64-bit", "32-bit", "16-bit", "real mode"};
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "case %lu of seed %lu, %s:\n", c->number, seed, modes[c->mode]);
    for (unsigned i = 0; i < c->n; i++)
        print_insn(text, c, i);
    g_string_append(text, "  state in:\n");
    print_state(text, &c->in);
    if (v->lost_host)
        g_string_append(text, "  the host's process died of it\n");
    if (v->asked_host && !v->lost_host && !judge_agree_host(c, &v->interpreter, &v->host)) {
        g_string_append(text, "  host and interpreter:\n");
        state_describe_difference(text, &v->host, "host", &v->interpreter, "interpreter");
    }
    if (!judge_agree_translated(c, &v->interpreter, &v->jit)) {
        g_string_append(text, "  interpreter and translated code:\n");
        state_describe_difference(text, &v->interpreter, "interpreter", &v->jit, "translated");
        print_bytes(text, "FDP FIP FOP of the interpreter", v->interpreter.vectors.legacy + 6, 18);
        print_bytes(text, "FDP FIP FOP of translated code", v->jit.vectors.legacy + 6, 18);
    }
    fputs(text->str, stdout);
    fflush(stdout);
    g_string_free(text, TRUE);
}
