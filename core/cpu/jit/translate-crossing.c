/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Instructions that begin on one page and end on the next. Each is a block of its own, one of its
 * first page; a store to the beginning of the second drops it, too (smc.c). That the second page
 * still comes next is looked at whenever the block is entered: it was seen to at this address and
 * under this count of flushes, or else the fetch TLB is asked again.
 */

#include "core/cpu/jit/translate.h"

/* Where SLOT_PAGE's next page leads, as far as the fetch TLB knows: its entry or -1. */
JIT_VECTOR_SAFE static int next_page_entry(const Cpu *cpu)
{
    const FetchTlb *fetch = &cpu->fetch[cpu->cpl == 3];
    uint64_t next = cpu->jit[SLOT_PAGE] + GUEST_PAGE_SIZE;

    if (!(cpu->mode & MODE_CS64))
        next = (uint32_t)next;
    unsigned i = cpu_fetch_index(next);
    return fetch->tag[i] == next ? (int)i : -1;
}

bool t_decode_crossing(Translator *t, unsigned offset, Insn *insn)
{
    Cpu *cpu = t->jc->cpu;
    const FetchTlb *fetch = &cpu->fetch[cpu->cpl == 3];
    uint8_t bytes[INSN_MAX_BYTES];
    unsigned here = GUEST_PAGE_SIZE - offset;

    if (t_segmented_code(t))
        return false;
    t->cut = true;
    int i = next_page_entry(cpu);
    if (i < 0)
        return false;
    /* Its stores are seen before its bytes are read. */
    uint64_t ram = fetch->ram[i];
    JitPage *page = jit_smc_page(t->jc, ram);
    if (!page)
        return false;
    page->granules |= 1;
    memcpy(bytes, t->page + offset, here);
    memcpy(bytes + here, (const uint8_t *)fetch->host[i], sizeof bytes - here);
    if (insn_decode(bytes, sizeof bytes, t->mode, insn) != DECODE_OK)
        return false;
    t->crossing = (JitCrossing){.block = t->block, .ram = ram};
    return true;
}

void t_emit_crossing(Translator *t)
{
    const Cpu *cpu = t->jc->cpu;
    Emit *e = &t->hot;
    unsigned set = (t->mode & MODE_CPL) == MODE_CPL;

    t_free_flags(t);
    emit_rex(e, true, 0, 0, H_R11);
    emit8(e, 0xb8 | (H_R11 & 7));
    t->crossing.page = e->p;
    emit64(e, cpu->jit[SLOT_PAGE]);
    emit_rm(e, true, 0x3b, H_R11, H_RSP, OFFSET_SLOT(SLOT_PAGE));
    emit_jcc(e, CC_NE, t->cold.p);
    emit_rm(e, false, 0x81, 7, H_RSP, OFFSET_SLOT(SLOT_EPOCH + set)); /* cmp */
    t->crossing.epoch = e->p;
    emit32(e, (uint32_t)cpu->jit[SLOT_EPOCH + set]);
    emit_jcc(e, CC_NE, t->cold.p);

    emit_mov_imm(&t->cold, H_R10, jit_smc_next_crossing(t->jc));
    t_call_at_site(t, &t->cold, t->jc->stub_crossing, t->item->insn.length, 0);
    emit_jmp(&t->cold, e->p);
}

void t_keep_crossing(Translator *t)
{
    jit_smc_add_crossing(t->jc, jit_page_find(t->jc, t->crossing.ram), t->crossing);
}

/* The block of crossing NUMBER was entered at an address where its second page is not known to come
 * next. Returns 0 when the instruction has been interpreted. */
JIT_VECTOR_SAFE uint64_t jit_helper_crossing(Cpu *cpu, uint64_t number, const JitSite *site)
{
    JitCpu *jc = jit_state(cpu);
    const JitCrossing *crossing = (const JitCrossing *)jc->crossings->data + number;
    unsigned set = cpu->cpl == 3;
    int i = next_page_entry(cpu);

    if (i < 0 || cpu->fetch[set].ram[i] != crossing->ram) {
        jit_interpret_site(cpu, site);
        return 0;
    }
    *(HostU64 *)crossing->page = cpu->jit[SLOT_PAGE];
    *(HostU32 *)crossing->epoch = (uint32_t)cpu->jit[SLOT_EPOCH + set];
    return 1;
}

void jit_crossing_interpreted(Cpu *cpu, const JitSite *site)
{
    JitCpu *jc = jit_state(cpu);

    if (cpu->halt_state == CPU_RUNNING && next_page_entry(cpu) >= 0)
        jit_smc_drop_block(jc, jit_cache_block_at(jc, jit_rw(jc, site)));
}
