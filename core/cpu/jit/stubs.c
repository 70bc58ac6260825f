/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Pieces of generated code that all blocks share: into and out of the cache, and to C helpers. */

#include "core/cpu/jit/jit-internal.h"

static const uint8_t callee_saved[] = {H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15};

/* Guest registers that live in the host register of their own number. */
static const uint8_t same_number[] = {H_RAX, H_RCX, H_RDX, H_RBX, H_RBP, H_RSI,
                                      H_RDI, H_R8,  H_R9,  H_R12, H_R13, H_R14};

/* DEPTH: bytes pushed since RSP was the Cpu. */
static void emit_store_registers(Emit *e, int depth)
{
    for (unsigned i = 0; i < sizeof same_number; i++)
        emit_rm(e, true, 0x89, same_number[i], H_RSP, depth + OFFSET_GPR(same_number[i]));
    emit_rm(e, true, 0x89, H_R15, H_RSP, depth + OFFSET_GPR(RSP));
}

static void emit_load_registers(Emit *e, int depth)
{
    for (unsigned i = 0; i < sizeof same_number; i++)
        emit_rm(e, true, 0x8b, same_number[i], H_RSP, depth + OFFSET_GPR(same_number[i]));
    emit_rm(e, true, 0x8b, H_R15, H_RSP, depth + OFFSET_GPR(RSP));
}

/* EFLAGS to SLOT_SCRATCH; registers are saved. */
static void emit_store_flags(Emit *e, int depth)
{
    emit8(e, 0x9f);                      /* lahf */
    emit_rr(e, false, 0x0f90, 0, H_RAX); /* seto al */
    emit_rm(e, true, 0x89, H_RAX, H_RSP, depth + OFFSET_SLOT(SLOT_SCRATCH));
}

static void emit_leave(Emit *e, JitCpu *jc, JitLeft reason)
{
    emit_mov_imm(e, H_RAX, reason);
    emit_jmp(e, jit_rw(jc, jc->stub_leave));
}

/* void enter(Cpu *, const void *code): loads the guest from the Cpu, runs CODE; returns a JitLeft.
 */
static void emit_enter(JitCpu *jc, Emit *e)
{
    jc->stub_enter = jit_rx(jc, e->p);
    for (unsigned i = 0; i < sizeof callee_saved; i++) {
        emit_rex(e, false, 0, 0, callee_saved[i]);
        emit8(e, 0x50 | (callee_saved[i] & 7));
    }
    emit_rm(e, true, 0x89, H_RSP, H_RDI, OFFSET_SLOT(SLOT_HOST_RSP));
    emit_rm(e, true, 0x89, H_RSI, H_RDI, OFFSET_SLOT(SLOT_TEMP));
    emit_mov_rr(e, H_RSP, H_RDI);
    /* AH = RFLAGS 7:0, AL = OF */
    emit_rm(e, false, 0x8b, H_RCX, H_RSP, OFFSET_RFLAGS);
    emit_rr(e, false, 0x89, H_RCX, H_RAX);
    emit_rr(e, false, 0xc1, 5, H_RAX); /* shr eax, 11 */
    emit8(e, 11);
    emit_alu_imm(e, false, 4, H_RAX, 1);
    emit8(e, 0x88); /* mov ah, cl */
    emit8(e, 0xcc);
    emit8(e, 0x04); /* add al, 7fh */
    emit8(e, 0x7f);
    emit8(e, 0x9e); /* sahf */
    emit_load_registers(e, 0);
    emit_rm(e, false, 0xff, 4, H_RSP, OFFSET_SLOT(SLOT_TEMP));
}

static void emit_leave_stub(JitCpu *jc, Emit *e)
{
    jc->stub_leave = jit_rx(jc, e->p);
    emit_rm(e, true, 0x8b, H_RSP, H_RSP, OFFSET_SLOT(SLOT_HOST_RSP));
    for (unsigned i = sizeof callee_saved; i-- > 0;) {
        emit_rex(e, false, 0, 0, callee_saved[i]);
        emit8(e, 0x58 | (callee_saved[i] & 7));
    }
    emit8(e, 0xc3);
}

static void emit_call_c(Emit *e, const void *function)
{
    emit_mov_imm(e, H_RAX, (uintptr_t)function);
    emit_rr(e, false, 0xff, 2, H_RAX);
}

/* CALLed with a JitSite behind the call and an argument in r10. HELPER(cpu, r10, site) returns 0 to
 * leave, else what r10 shall be when the block goes on behind the JitSite. */
static uint8_t *emit_helper_stub(JitCpu *jc, Emit *e, const void *helper)
{
    uint8_t *stub = e->p;

    emit_store_registers(e, 8);
    emit_rm(e, true, 0x8d, H_RDI, H_RSP, 8);
    emit_mov_rr(e, H_RSI, H_R10);
    emit_rm(e, true, 0x8b, H_RDX, H_RSP, 0);
    emit_alu_imm(e, true, 5, H_RSP, 8);
    emit_call_c(e, helper);
    emit_alu_imm(e, true, 0, H_RSP, 8);
    emit_mov_rr(e, H_R10, H_RAX);
    emit_rr(e, true, 0x85, H_RAX, H_RAX);
    uint8_t *leave = emit_jcc(e, CC_E, e->p);
    emit_alu_mem_imm(e, true, 0, H_RSP, 0, sizeof(JitSite));
    emit_load_registers(e, 8);
    emit8(e, 0xc3);
    emit_patch(leave, e->p);
    emit_alu_imm(e, true, 0, H_RSP, 8);
    emit_leave(e, jc, LEFT_DONE);
    return stub;
}

/* CALLed: leaves with the return address in SLOT_SITE. */
static uint8_t *emit_exit_stub(JitCpu *jc, Emit *e, JitLeft reason, bool flags_in_host)
{
    uint8_t *stub = e->p;

    emit_store_registers(e, 8);
    if (flags_in_host)
        emit_store_flags(e, 8);
    emit8(e, 0x58); /* pop rax */
    emit_rm(e, true, 0x89, H_RAX, H_RSP, OFFSET_SLOT(SLOT_SITE));
    emit_leave(e, jc, reason);
    return stub;
}

/* CALLed with an address in r10 and a SitePage in r11, of another page: that becomes the address's
 * page if it is in the TLB for the access. Changes r10 and EFLAGS. */
static uint8_t *emit_site_page_stub(Emit *e, unsigned set, bool store)
{
    enum { DEPTH = 16 };
    int32_t tlb = DEPTH + (int32_t)(offsetof(Cpu, tlb) + set * sizeof(TlbSet));
    int32_t tag = tlb + (int32_t)(store ? offsetof(TlbSet, store_tag) : offsetof(TlbSet, load_tag));
    uint8_t *stub = e->p;

    emit8(e, 0x50); /* push rax */
    emit_tlb_index(e, H_RAX, H_R10);
    emit_rmx(e, true, 0x2b, H_R10, H_RSP, H_RAX, 8, tag);
    emit_alu_imm(e, true, 7, H_R10, GUEST_PAGE_SIZE - 1);
    uint8_t *out = emit_jcc(e, CC_A, e->p);
    emit_rmx(e, true, 0x8b, H_R10, H_RSP, H_RAX, 8, tag);
    emit_alu_mem_imm(e, true, 0, H_R11, offsetof(SiteSet, misses), 1);
    emit_rmx(e, true, 0x8b, H_RAX, H_RSP, H_RAX, 8, tlb + (int32_t)offsetof(TlbSet, delta));
    emit_rm(e, true, 0x89, H_R10, H_R11, offsetof(SitePage, tag));
    emit_rm(e, true, 0x89, H_RAX, H_R11, offsetof(SitePage, delta));
    emit_rm(e, false, 0xc6, 0, H_RSP, DEPTH + (int32_t)offsetof(Cpu, sites_used));
    emit8(e, 1);
    emit_patch(out, e->p);
    emit8(e, 0x58); /* pop rax */
    emit8(e, 0xc3);
    return stub;
}

/* A helper has returned in rax the way into the block at Cpu.rip, or NULL: leaves for REASON. */
static void emit_enter_target(JitCpu *jc, Emit *e, JitLeft reason)
{
    emit_rr(e, true, 0x85, H_RAX, H_RAX);
    uint8_t *found = emit_jcc(e, CC_NE, e->p);
    emit_leave(e, jc, reason);
    emit_patch(found, e->p);
    emit_mov_rr(e, H_R11, H_RAX);
    emit_load_registers(e, 0);
    emit_rm(e, true, 0x8b, H_R10, H_RSP, OFFSET_RIP);
    emit_rr(e, false, 0xff, 4, H_R11);
}

/* Jumped to with an argument in r10 and the address of a JitSite in r11. */
static void emit_transfer(JitCpu *jc, Emit *e)
{
    jc->stub_transfer = e->p;
    emit_store_registers(e, 0);
    emit_mov_rr(e, H_RDI, H_RSP);
    emit_mov_rr(e, H_RSI, H_R10);
    emit_mov_rr(e, H_RDX, H_R11);
    emit_call_c(e, jit_helper_transfer);
    emit_enter_target(jc, e, LEFT_DONE);
}

/* Jumped to with the target in r10 and flags in SLOT_FLAGS: looks at what generated code has not
 * looked at of the target's cache line, then asks the helper. */
static void emit_indirect(JitCpu *jc, Emit *e)
{
    uint8_t *misses[TARGETS_IN_LINE];

    jc->stub_indirect = e->p;
    emit_alu_mem_imm(e, false, 7, H_RSP, OFFSET_REQUESTS, 0);
    uint8_t *request = emit_jcc(e, CC_NE, e->p);
    emit_target_address(e);
    emit_alu_imm(e, true, 4, H_R11, -(int)(TARGETS_IN_LINE * sizeof(JitTarget)));
    for (unsigned way = 0; way < TARGETS_IN_LINE; way++) {
        int32_t at = (int32_t)(way * sizeof(JitTarget));
        emit_rm(e, true, 0x39, H_R10, H_R11, at + (int32_t)offsetof(JitTarget, rip));
        misses[way] = emit_jcc(e, CC_NE, e->p);
        emit_rm(e, false, 0xff, 4, H_R11, at + (int32_t)offsetof(JitTarget, code));
        emit_patch(misses[way], e->p);
    }
    emit_patch(request, e->p);

    jc->stub_target = e->p;
    emit_store_registers(e, 0);
    emit_rm(e, true, 0x89, H_R10, H_RSP, OFFSET_RIP);
    emit_mov_rr(e, H_RDI, H_RSP);
    emit_mov_rr(e, H_RSI, H_R10);
    emit_call_c(e, jit_helper_target);
    emit_enter_target(jc, e, LEFT_INDIRECT);
}

void jit_emit_stubs(JitCpu *jc, Emit *e)
{
    emit_enter(jc, e);
    emit_leave_stub(jc, e);

    jc->stub_slow = emit_helper_stub(jc, e, jit_helper_slow);
    jc->stub_interp = emit_helper_stub(jc, e, jit_helper_interp);
    jc->stub_string = emit_helper_stub(jc, e, jit_helper_string);
    jc->stub_crossing = emit_helper_stub(jc, e, jit_helper_crossing);
    jc->stub_link = emit_exit_stub(jc, e, LEFT_LINK, true);
    jc->stub_link_saved = emit_exit_stub(jc, e, LEFT_LINK, false);
    jc->stub_request = emit_exit_stub(jc, e, LEFT_REQUEST, false);
    jc->stub_dead = emit_exit_stub(jc, e, LEFT_DEAD, true);

    emit_indirect(jc, e);
    emit_transfer(jc, e);

    /* The signal handler puts the thread here; the trapped instruction has changed nothing. EFLAGS
     * go to SLOT_SCRATCH: whether they count, the block's table says. */
    jc->stub_trap = jit_rx(jc, e->p);
    emit_store_registers(e, 0);
    emit_store_flags(e, 0);
    emit_leave(e, jc, LEFT_TRAP);

    for (unsigned set = 0; set < N_MMU; set++)
        for (unsigned store = 0; store < 2; store++)
            jc->stub_site[set][store] = emit_site_page_stub(e, set, store);

    /* CALLed: loads the guest's vectors. Flags are dead or saved. */
    jc->stub_vectors = e->p;
    emit_store_registers(e, 8);
    emit_rm(e, true, 0x8d, H_RDI, H_RSP, 8);
    emit_alu_imm(e, true, 5, H_RSP, 8);
    emit_call_c(e, jit_helper_vectors);
    emit_alu_imm(e, true, 0, H_RSP, 8);
    emit_load_registers(e, 8);
    emit8(e, 0xc3);
}
