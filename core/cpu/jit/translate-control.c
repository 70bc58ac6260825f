/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Ways out of a block, branches, and instructions that the interpreter does. */

#include "core/cpu/jit/translate.h"

/* --- flags at the end ------------------------------------------------------------------------- */

/* t_free_flags for what is live after the instruction. */
static void free_flags_for(Translator *t, uint32_t live)
{
    uint32_t before = t->item->live_before;

    t->item->live_before = live;
    t_free_flags(t);
    t->item->live_before = before;
}

/* --- sites ------------------------------------------------------------------------------------ */

/* MMX instructions, too, raise what the x87 has waiting (SDM 3, 12.3). */
static bool waits_for_x87(const Insn *insn)
{
    for (unsigned i = 0; insn->category_flags & INSN_IS_VECTOR && i < insn->n_operands; i++)
        if (insn->operands[i].reg_class == REG_CLASS_MMX)
            return true;
    return insn->category_flags & INSN_IS_X87;
}

static bool stores_register(const Insn *insn)
{
    return insn->mnemonic == ZYDIS_MNEMONIC_MOV && insn->operands[0].kind == OPERAND_MEM &&
           insn->operands[1].kind == OPERAND_REG &&
           insn->operands[1].reg_class >= REG_CLASS_GPR16 &&
           insn->operands[1].reg_class <= REG_CLASS_GPR64;
}

uint16_t t_x87_opcode(const Translator *t)
{
    unsigned data = t->x87_data ? t->x87_data->insn.mem_seg << 11 | X87_HAS_MEMORY : 0;

    return (uint16_t)((t->x87->insn.opcode & 7) << 8 | t->x87->insn.modrm | data);
}

void t_emit_site(const Translator *t, Emit *e, JitFlags from, unsigned size, unsigned flags)
{
    const Insn *insn = &t->item->insn;
    JitSite *site = (JitSite *)e->p;

    if (insn->mem_align)
        flags |= SITE_ALIGNED;
    if (waits_for_x87(insn))
        flags |= SITE_X87;
    site->offset = t->item->offset;
    site->size = (uint8_t)size;
    site->flags = (uint8_t)flags;
    site->x87_offset = t->x87 ? t->x87->offset : NO_X87;
    if (t->x87)
        site->x87_opcode = t_x87_opcode(t);
    else
        site->source = stores_register(insn) ? SOURCE_KNOWN + insn->operands[1].reg : 0;
    site->mnemonic = insn->mnemonic;
    site->flags_from = from;
    e->p += sizeof *site;
}

void t_call_at_site(const Translator *t, Emit *e, const uint8_t *stub, unsigned size,
                    unsigned flags)
{
    JitFlags from = t_emit_flags_from(t, e);

    emit_call(e, stub);
    t_emit_site(t, e, from, size, flags);
}

enum { MAX_RELINKS = 16 };

/* --- exits ------------------------------------------------------------------------------------ */

void t_load_rip(Translator *t, unsigned to, int32_t offset)
{
    emit_rm(&t->hot, true, 0x8b, to, H_RSP, OFFSET_SLOT(SLOT_PAGE));
    emit_rm(&t->hot, t_64bit(t), 0x8d, to, to, offset);
}

/* By the rel32 field SITE to offset TARGET; until it is linked to the cold code that comes next. */
static JitExit new_exit(const Translator *t, const uint8_t *site, int32_t target)
{
    return (JitExit){
        .block = jit_block_number(t->jc, t->block),
        .site = jit_offset(t->jc, site),
        .unlinked = jit_offset(t->jc, t->cold.p),
        .target = target,
    };
}

static void emit_unlinked(Translator *t, const uint8_t *stub, JitExit exit)
{
    emit_call(&t->cold, stub);
    emit32(&t->cold, jit_cache_add_exit(t->jc, exit));
}

/* A rel32 field that leads out at offset TARGET until it is linked. */
static void link_site(Translator *t, uint8_t *site, int32_t target, uint32_t live, ShownPlan shown,
                      bool ungrouped)
{
    JitExit exit = new_exit(t, site, target);

    exit.ungrouped = ungrouped;
    exit.live = live != 0;
    exit.shown = shown.flags != 0;
    emit_patch(site, t->cold.p);
    emit_unlinked(t, t->jc->stub_link, exit);
}

static bool is_in_page(const Translator *t, int32_t target)
{
    if (target < 0 || target >= (int32_t)GUEST_PAGE_SIZE)
        return false;
    return !t_segmented_code(t) ||
           (uint32_t)(t->block->key.eip_base + (uint32_t)target) <= t->block->key.limit;
}

/* Writes into the cold code until it is called again. */
static void exchange_streams(Translator *t)
{
    Emit hot = t->hot;

    t->hot = t->cold;
    t->cold = hot;
}

/* A rel32 field that leads out to another page, with flags where they are now. */
static void far_link_site(Translator *t, uint8_t *site, int32_t target)
{
    bool saved = t->flags_saved;
    JitExit exit = new_exit(t, site, target);

    exit.far = exit.live = exit.shown = true;
    exit.flags_saved = saved;
    emit_patch(site, t->cold.p);
    exit.flags_from = t_emit_flags_from(t, &t->cold);
    exchange_streams(t);
    if (saved)
        t_restore_flags(t);
    exchange_streams(t);
    t->flags_saved = saved;
    emit_unlinked(t, t->jc->stub_link, exit);
}

/* In cold code: a jump whose rel32 field is returned. */
static uint8_t *emit_cold_jump(Translator *t)
{
    emit8(&t->cold, 0xe9);
    t->cold.p += 4;
    return t->cold.p - 4;
}

void t_exit_direct(Translator *t, int32_t target, uint32_t live, ShownPlan shown)
{
    t_note_x87(t);
    if (!is_in_page(t, target) && !t_segmented_code(t) && !t->check_requests) {
        emit8(&t->hot, 0xe9);
        t->hot.p += 4;
        far_link_site(t, t->hot.p - 4, target);
        return;
    }
    if (!is_in_page(t, target)) {
        free_flags_for(t, live);
        t_load_rip(t, H_R10, target);
        t_exit_indirect(t);
        return;
    }
    if ((target <= t->item->offset && !t->requests_checked) || t->check_requests) {
        free_flags_for(t, live);
        emit_alu_mem_imm(&t->hot, false, 7, H_RSP, OFFSET_REQUESTS, 0);
        emit_jcc(&t->hot, CC_NE, t->cold.p);
        JitFlags from = t_emit_flags_from(t, &t->cold);
        emit_call(&t->cold, t->jc->stub_request);
        emit32(&t->cold, (uint32_t)target);
        emit32(&t->cold, t->item->offset);
        emit32(&t->cold, from.packed);
    }
    t_emit_origin(t, &t->hot, shown);
    if (live && t->flags_saved)
        t_restore_flags(t);
    emit8(&t->hot, 0xe9);
    t->hot.p += 4;
    link_site(t, t->hot.p - 4, target, live, shown, false);
}

void t_exit_ungrouped(Translator *t)
{
    const Item *x87 = t->x87, *x87_data = t->x87_data;
    bool saved = t->flags_saved;
    ShownPlan shown = t->item->shown_before ? SHOWN_ALL : (ShownPlan){0};

    exchange_streams(t);
    t_note_x87(t);
    t_emit_origin(t, &t->hot, shown);
    if (saved && t->item->live_before)
        t_restore_flags(t);
    exchange_streams(t);
    t->flags_saved = saved;
    t->x87 = x87;
    t->x87_data = x87_data;
    link_site(t, emit_cold_jump(t), t->item->offset, t->item->live_before, shown, true);
}

void t_name_targets(Translator *t, const uint8_t *targets)
{
    const JitRegion *region = t->jc->region;
    JitExit *exit = &t->jc->exits[region->first_exit + region->n_exits - 1];

    exit->targets_before = (uint16_t)(exit->site - jit_offset(t->jc, targets));
}

/* To the block at r10, RIP, with POP added to rSP; flags are in SLOT_FLAGS. To MISS if there are
 * requests or it is not in the table. */
static void emit_look_up(Emit *e, const uint8_t *miss, int32_t pop)
{
    emit_alu_mem_imm(e, false, 7, H_RSP, OFFSET_REQUESTS, 0);
    emit_jcc(e, CC_NE, miss);
    emit_target_address(e);
    emit_rm(e, true, 0x39, H_R10, H_R11, offsetof(JitTarget, rip));
    emit_jcc(e, CC_NE, miss);
    if (pop)
        emit_rm(e, true, 0x8d, H_R15, H_R15, pop);
    emit_rm(e, false, 0xff, 4, H_R11, offsetof(JitTarget, code));
}

/* --- returns ---------------------------------------------------------------------------------- */

/*
 * A call notes in the ReturnTable where it comes back to, by RIP and by code: a LEA of its own that
 * is linked like a direct exit. A return that finds its RIP there for its place on the stack goes
 * to the code; the table is emptied when RIP may mean other code. It looks at the requests, since a
 * program may return to one place over and over.
 */

static bool can_note_returns(const Translator *t)
{
    return t_64bit(t) && !t->jc->jit->options.no_links && __builtin_cpu_supports("bmi2");
}

/* TO, a high register, = the entry for r15. Leaves EFLAGS alone. */
static void emit_return_index(Emit *e, unsigned to)
{
    emit_rorx(e, to, H_R15, RETURN_SHIFT);
    emit_rr(e, false, 0x0fb6, to, to); /* movzx */
}

/* r11 is the RIP to which the current instruction, a call, comes back. Leaves EFLAGS alone. */
static void note_return(Translator *t)
{
    int32_t back = t->item->offset + t->item->insn.length;
    const uint8_t *unlinked = t->cold.p;
    unsigned set = t_tlb_set(t);
    Emit *e = &t->hot;

    if (!can_note_returns(t) || !is_in_page(t, back))
        return;
    emit_return_index(e, H_R10);
    emit_rmx(e, true, 0x89, H_R11, H_RSP, H_R10, 8, OFFSET_RETURNS(set, rip));
    JitExit exit = new_exit(t, emit_lea_rip(e, H_R11, unlinked), back);
    exit.returns = exit.live = exit.shown = true;
    emit_rmx(e, true, 0x89, H_R11, H_RSP, H_R10, 8, OFFSET_RETURNS(set, code));

    emit_rm(&t->cold, true, 0x8d, H_R10, H_R10, -back);
    emit_rm(&t->cold, true, 0x89, H_R10, H_RSP, OFFSET_SLOT(SLOT_PAGE));
    emit_unlinked(t, t->jc->stub_link_saved, exit);
}

static void note_link(JitCpu *jc, uint32_t number, JitBlock *block)
{
    JitFarLink link = {number, block->far_links};

    jc->exits[number].linked = jit_block_number(jc, block) + 1;
    block->far_links = jc->free_far_link;
    if (block->far_links) {
        JitFarLink *place = &g_array_index(jc->far_links, JitFarLink, block->far_links - 1);
        jc->free_far_link = place->next;
        *place = link;
    } else {
        g_array_append_val(jc->far_links, link);
        block->far_links = jc->far_links->len;
    }
}

/* Makes EXIT come back for a link. */
JIT_VECTOR_SAFE static void unlink_exit(JitCpu *jc, JitExit *exit)
{
    emit_patch(jit_at(jc, exit->site), jit_at(jc, exit->unlinked));
    exit->linked = 0;
}

void jit_link_return(JitCpu *jc, uint32_t number, JitBlock *block)
{
    JitExit *exit = &jc->exits[number];

    if (exit->linked == jit_block_number(jc, block) + 1)
        return; /* the entry is older than the link */
    if (++exit->relinks > MAX_RELINKS) {
        emit_patch(jit_at(jc, exit->site), jc->stub_indirect);
        exit->linked = 0;
        return;
    }
    jit_count(&jc->statistics.links);
    emit_patch(jit_at(jc, exit->site), block->indirect_entry);
    note_link(jc, number, block);
}

/* In cold code: leaves for r10 with POP added to rSP (64-bit code only). If that is no canonical
 * address, the current instruction, which has changed nothing yet, is interpreted: #GP(0). */
static const uint8_t *emit_checked_exit(Translator *t, int32_t pop)
{
    const uint8_t *start = t->cold.p;

    emit_test_canonical(&t->cold);
    uint8_t *good = emit_jcc(&t->cold, CC_BE, t->cold.p);
    t_call_at_site(t, &t->cold, t->jc->stub_interp, t->item->insn.length, 0);
    emit_patch(good, t->cold.p);
    if (pop)
        emit_rm(&t->cold, true, 0x8d, H_R15, H_R15, pop);
    emit_jmp(&t->cold, t->jc->stub_indirect);
    return start;
}

/* A jump to r10; what is in the tables of targets and of returns is canonical. */
static void exit_by_jump(Translator *t)
{
    free_flags_for(t, ALL_FLAGS);
    emit_look_up(&t->hot, emit_checked_exit(t, 0), 0);
}

static void exit_by_return(Translator *t, int32_t pop)
{
    unsigned set = t_tlb_set(t);
    Emit *e = &t->hot;

    free_flags_for(t, ALL_FLAGS);
    const uint8_t *nowhere = emit_checked_exit(t, pop), *miss = t->cold.p;
    if (!can_note_returns(t)) {
        emit_look_up(e, nowhere, pop);
        return;
    }
    emit_look_up(&t->cold, nowhere, pop);

    emit_return_index(e, H_R11);
    emit_rmx(e, true, 0x39, H_R10, H_RSP, H_R11, 8, OFFSET_RETURNS(set, rip)); /* cmp */
    emit_jcc(e, CC_NE, miss);
    emit_alu_mem_imm(e, false, 7, H_RSP, OFFSET_REQUESTS, 0);
    emit_jcc(e, CC_NE, miss);
    emit_rm(e, true, 0x8d, H_R15, H_R15, pop);
    emit_rmx(e, false, 0xff, 4, H_RSP, H_R11, 8, OFFSET_RETURNS(set, code)); /* jmp */
}

void t_exit_indirect(Translator *t)
{
    free_flags_for(t, ALL_FLAGS);
    emit_look_up(&t->hot, t->jc->stub_indirect, 0);
}

/* --- links to other pages --------------------------------------------------------------------- */

/*
 * A link within a page holds as long as both blocks. One to another page holds while that page is
 * where it was, so it is a piece of code of its own, made when it is first needed: it compares the
 * count of flushes with that under which it was made, moves SLOT_PAGE and goes on. It leaves EFLAGS
 * alone, since what is there when the link no longer holds may need them. A link that is made again
 * and again gives way to a look-up, as do all those of a page that is mapped at two addresses.
 */

static void look_up_instead(JitCpu *jc, const JitExit *exit)
{
    Emit e = {jc->cold};

    emit_patch(jit_at(jc, exit->site), e.p);
    if (!exit->flags_saved)
        t_emit_save_flags(&e);
    emit_rm(&e, true, 0x8b, H_R10, H_RSP, OFFSET_SLOT(SLOT_PAGE));
    emit_rm(&e, jit_block(jc, exit->block)->key.mode & MODE_CS64, 0x8d, H_R10, H_R10, exit->target);
    emit_look_up(&e, jc->stub_indirect, 0);
    jc->cold = e.p;
}

/* Goes on behind if rcx is zero, else to MISS. */
static void emit_unless_zero(Emit *e, const uint8_t *miss)
{
    uint8_t *over = emit_jrcxz(e);

    emit_jmp(e, miss);
    emit_patch8(over, e->p);
}

static void emit_far_link(JitCpu *jc, JitExit *exit, const JitBlock *block)
{
    unsigned set = (block->key.mode & MODE_CPL) == MODE_CPL;
    Emit e = {jc->cold};
    const uint8_t *miss = e.p;

    emit_mov_rr(&e, H_RCX, H_R10);
    emit_jmp(&e, jit_at(jc, exit->unlinked));

    emit_patch(jit_at(jc, exit->site), e.p);
    emit_mov_rr(&e, H_R10, H_RCX);
    emit_rm(&e, false, 0x8b, H_RCX, H_RSP, OFFSET_SLOT(SLOT_EPOCH + set));
    emit8(&e, 0x8d); /* lea ecx, [rcx + disp32] */
    emit8(&e, 0x89);
    exit->epoch = jit_offset(jc, e.p);
    emit32(&e, 0u - (uint32_t)jc->cpu->jit[SLOT_EPOCH + set]);
    emit_unless_zero(&e, miss);
    if (exit->target < 0) {
        emit_rm(&e, false, 0x8b, H_RCX, H_RSP, OFFSET_REQUESTS);
        emit_unless_zero(&e, miss);
    }
    emit_mov_rr(&e, H_RCX, H_R10);
    emit_rm(&e, true, 0x8b, H_R10, H_RSP, OFFSET_SLOT(SLOT_PAGE));
    emit_rm(&e, jit_block(jc, exit->block)->key.mode & MODE_CS64, 0x8d, H_R10, H_R10,
            (int32_t)(exit->target & ~0xfff));
    emit_rm(&e, true, 0x89, H_R10, H_RSP, OFFSET_SLOT(SLOT_PAGE));
    if (block->shown_in) {
        if (exit->flags_from.kind == FLAGS_NONE)
            t_emit_save_flags(&e);
        else
            t_emit_origin_of(&e, exit->flags_from,
                             (ShownPlan){.flags = ALL_FLAGS, .changed = block->shown_changed});
    }
    if (exit->flags_saved && block->live_in)
        t_emit_restore_flags(&e);
    emit_jmp(&e, block->entry);
    jc->cold = e.p;
}

void jit_link_far(JitCpu *jc, uint32_t number, JitBlock *block)
{
    JitExit *exit = &jc->exits[number];
    unsigned set = (block->key.mode & MODE_CPL) == MODE_CPL;

    if (!jit_cache_has_room_for_link(jc)) {
        jc->evict_first = true;
        return;
    }
    if (++exit->relinks > MAX_RELINKS || jit_block(jc, exit->block)->page->aliased) {
        look_up_instead(jc, exit);
        exit->linked = 0;
        return;
    }
    jit_count(&jc->statistics.links);
    if (exit->linked == jit_block_number(jc, block) + 1) {
        Emit e = {jit_at(jc, exit->epoch)};
        emit32(&e, 0u - (uint32_t)jc->cpu->jit[SLOT_EPOCH + set]);
        return;
    }
    emit_far_link(jc, exit, block);
    note_link(jc, number, block);
}

void jit_unlink_far(JitCpu *jc, JitBlock *block)
{
    uint32_t number = jit_block_number(jc, block) + 1, *next = &block->far_links;

    while (*next) {
        JitFarLink *link = &g_array_index(jc->far_links, JitFarLink, *next - 1);
        JitExit *exit = &jc->exits[link->exit];
        if (exit->linked == number) {
            /* The entry of a block that is gone may stand where the jump stood. */
            if (jit_block(jc, exit->block)->valid)
                unlink_exit(jc, exit);
            exit->linked = 0;
        }
        next = &link->next;
    }
    *next = jc->free_far_link;
    jc->free_far_link = block->far_links;
    block->far_links = 0;
}

JIT_VECTOR_SAFE void jit_unlink_page(JitCpu *jc, const JitPage *page)
{
    for (const JitRegion *region = jc->regions; region < &jc->regions[jc->n_regions]; region++)
        for (uint32_t i = 0; i < region->n_exits; i++) {
            JitExit *exit = &jc->exits[region->first_exit + i];
            const JitBlock *block = jit_block(jc, exit->block);
            if (exit->linked && block->valid && block->page == page)
                unlink_exit(jc, exit);
        }
}

/* --- eviction --------------------------------------------------------------------------------- */

/* Whether the rel32 field at SITE leads into REGION. */
static bool leads_into(const JitCpu *jc, const JitRegion *region, const uint8_t *site)
{
    const uint8_t *start = jit_region_start(jc, region);
    int32_t relative;

    memcpy(&relative, site, sizeof relative);
    return site + 4 + relative >= start && site + 4 + relative < region->end;
}

/* The jump that leads from the entry of a block that is gone to the one that replaced it. */
static void lead_out_again(JitCpu *jc, const JitRegion *from, const JitRegion *region)
{
    for (uint32_t i = 0; i < from->n_blocks; i++) {
        const JitBlock *block = jit_block(jc, from->first_block + i);
        if (!block->valid && leads_into(jc, region, block->entry + 1)) {
            Emit e = {block->entry};
            emit_call(&e, jc->stub_dead);
        }
    }
}

void jit_unlink_region(JitCpu *jc, const JitRegion *region)
{
    for (const JitRegion *from = jc->regions; from < &jc->regions[jc->n_regions]; from++) {
        if (from == region)
            continue;
        for (uint32_t i = 0; i < from->n_exits; i++) {
            JitExit *exit = &jc->exits[from->first_exit + i];
            if (jit_block(jc, exit->block)->valid && leads_into(jc, region, jit_at(jc, exit->site)))
                unlink_exit(jc, exit);
        }
        lead_out_again(jc, from, region);
    }
}

/* --- instructions that are interpreted -------------------------------------------------------- */

void t_emit_interpret(Translator *t, bool stays)
{
    t_note_x87(t);
    free_flags_for(t, ALL_FLAGS);
    bool cut = t->cut && !t->crossing.ram;
    t_call_at_site(t, &t->hot, t->jc->stub_interp, t->item->insn.length,
                   (stays ? SITE_STAYS : 0) | (cut ? SITE_CUT : 0));
    t->vectors_checked = false;
    t->flags_from = t_flags_from(t);
}

/* --- branches --------------------------------------------------------------------------------- */

/* jrcxz (ADDRESS_SIZE 8) or jecxz to the returned rel32 field's target. */
static uint8_t *jump_if_rcx_zero(Emit *e, unsigned address_size)
{
    if (address_size == 4)
        emit8(e, 0x67);
    uint8_t *zero = emit_jrcxz(e);
    emit8(e, 0xeb); /* jmp rel8 */
    uint8_t *other = e->p++;
    emit_patch8(zero, e->p);
    emit8(e, 0xe9); /* jmp rel32 */
    e->p += 4;
    emit_patch8(other, e->p);
    return e->p - 4;
}

/* Takes the branch at this point of the code; what follows is the way on. */
static void take_branch(Translator *t)
{
    bool saved = t->flags_saved;
    JitFlags flags_from = t->flags_from;

    t_exit_direct(t, t->item->target, t->item->live_target, t->item->target_shows);
    t->flags_saved = saved;
    t->flags_from = flags_from;
}

void t_check_requests(Translator *t, const Item *backward)
{
    emit_alu_mem_imm(&t->hot, false, 7, H_RSP, OFFSET_REQUESTS, 0);
    emit_jcc(&t->hot, CC_NE, t->cold.p);
    JitFlags from = t_emit_flags_from(t, &t->cold);
    emit_call(&t->cold, t->jc->stub_request);
    emit32(&t->cold, t->item->offset);
    emit32(&t->cold, (uint32_t)backward->target);
    emit32(&t->cold, from.packed);
    t->requests_checked = true;
}

/* To a block in the page, without a look at the requests. */
static void emit_near_jcc(Translator *t, unsigned condition)
{
    const Item *item = t->item;
    bool back = item->target <= item->offset;
    bool noted = item->target_shows.flags && t_flags_from(t).kind > FLAGS_AS_ENTERED;

    /* On the way back of a loop at once, else on the way out. */
    if (noted && back)
        t_emit_origin(t, &t->hot, item->target_shows);
    uint8_t *site = emit_jcc(&t->hot, condition, t->cold.p);
    if (noted && !back) {
        t_emit_origin(t, &t->cold, item->target_shows);
        site = emit_cold_jump(t);
    }
    link_site(t, site, item->target, item->live_target, item->target_shows, false);
}

static void emit_jcc_exit(Translator *t)
{
    unsigned condition = t->item->insn.opcode & 15;
    int32_t target = t->item->target;

    t_want_flags(t);
    if (is_in_page(t, target) && !t->check_requests &&
        (target > t->item->offset || t->requests_checked)) {
        emit_near_jcc(t, condition);
        return;
    }
    if (!is_in_page(t, target) && !t_segmented_code(t) && !t->check_requests) {
        far_link_site(t, emit_jcc(&t->hot, condition, t->hot.p), target);
        return;
    }
    uint8_t *skip = emit_jcc(&t->hot, condition ^ 1, t->hot.p);
    take_branch(t);
    emit_patch(skip, t->hot.p);
}

/* LOOP, LOOPE, LOOPNE, JCXZ. */
static void emit_loop(Translator *t)
{
    const Insn *insn = &t->item->insn;
    Emit *e = &t->hot;
    bool jcxz = insn->opcode == 0xe3, narrow = insn->address_size == 2;
    uint8_t *skip_flag = NULL;

    t_want_flags(t);
    if (!jcxz) {
        emit_rm(e, insn->address_size == 8, 0x8d, narrow ? H_R10 : H_RCX, H_RCX, -1);
        if (narrow) {
            emit8(e, 0x66);
            emit_rr(e, false, 0x89, H_R10, H_RCX);
        }
    }
    if (narrow) {
        emit_mov_rr(e, H_R11, H_RCX);
        emit_rr(e, false, 0x0fb7, H_RCX, H_RCX);
    }
    uint8_t *zero = jump_if_rcx_zero(e, insn->address_size == 4 ? 4 : 8);
    if (narrow)
        emit_mov_rr(e, H_RCX, H_R11);
    if (jcxz) {
        emit8(e, 0xe9);
        uint8_t *over = e->p;
        e->p += 4;
        emit_patch(zero, e->p);
        if (narrow)
            emit_mov_rr(e, H_RCX, H_R11);
        take_branch(t);
        emit_patch(over, e->p);
        return;
    }
    if (insn->opcode != 0xe2)
        skip_flag = emit_jcc(e, insn->opcode == 0xe1 ? CC_NE : CC_E, e->p);
    take_branch(t);
    emit_patch(zero, e->p);
    if (narrow)
        emit_mov_rr(e, H_RCX,
                    H_R11); /* the same value when the flag ended the loop: r11 is changed */
    if (skip_flag)
        emit_patch(skip_flag, e->p);
}

/* r10 = value of SIZE bytes at [r10], zero-extended. */
static void load_target(Translator *t, unsigned size)
{
    t_mark_trap(t);
    if (size == 2)
        emit_rmx(&t->hot, false, 0x0fb7, H_R10, H_R10, t->at.index, t->at.scale, t->at.disp);
    else
        emit_rmx(&t->hot, size == 8, 0x8b, H_R10, H_R10, t->at.index, t->at.scale, t->at.disp);
}

static void load_target_register(Translator *t, unsigned guest, unsigned size)
{
    t_load_guest(t, H_R10, guest);
    if (size == 2)
        emit_rr(&t->hot, false, 0x0fb7, H_R10, H_R10);
    else if (size == 4)
        emit_rr(&t->hot, false, 0x89, H_R10, H_R10);
}

/* A target in r10 beyond CS's limit faults before anything has changed. EFLAGS are free. */
static void check_target(Translator *t)
{
    if (!t_segmented_code(t))
        return;
    emit_rr(&t->hot, false, 0x81, 7, H_R10); /* cmp r10d, imm32 */
    emit32(&t->hot, t->block->key.limit);
    t_interpret_if(t, CC_A);
}

/* Target of an indirect branch to r10, checked. */
static void indirect_target(Translator *t)
{
    const Insn *insn = &t->item->insn;

    if (insn->operands[0].kind == OPERAND_MEM) {
        t_memory_operand(t, insn->opsize, false);
        load_target(t, insn->opsize);
    } else {
        t_free_flags(t);
        load_target_register(t, insn->operands[0].reg, insn->opsize);
    }
    check_target(t);
}

static void push_return_address(Translator *t)
{
    unsigned size = t->item->insn.opsize;

    t_stack_access(t, -(int32_t)size, size, true);
    t_load_rip(t, H_R11, t->item->offset + t->item->insn.length);
    t_move(t, true, size, H_R11);
    t_move_stack_pointer(t, -(int32_t)size);
    note_return(t);
}

static void emit_ret(Translator *t)
{
    const Insn *insn = &t->item->insn;
    int32_t pop = insn->opsize + (insn->opcode == 0xc2 ? (uint16_t)insn->immediate : 0);

    t_stack_access(t, 0, insn->opsize, false);
    load_target(t, insn->opsize);
    if (t_64bit(t)) {
        exit_by_return(t, pop);
        return;
    }
    check_target(t);
    t_move_stack_pointer(t, pop);
    t_exit_indirect(t);
}

void t_emit_branch(Translator *t)
{
    t_note_x87(t);
    switch (t->item->kind) {
    case KIND_JCC: emit_jcc_exit(t); break;
    case KIND_LOOP: emit_loop(t); break;
    case KIND_JMP:
        t_exit_direct(t, t->item->target, t->item->live_target, t->item->target_shows);
        break;
    case KIND_CALL:
        push_return_address(t);
        t_exit_direct(t, t->item->target, t->item->live_target, t->item->target_shows);
        break;
    case KIND_JMP_INDIRECT:
        indirect_target(t);
        if (t_64bit(t))
            exit_by_jump(t);
        else
            t_exit_indirect(t);
        break;
    case KIND_CALL_INDIRECT:
        indirect_target(t);
        if (t_64bit(t)) {
            free_flags_for(t, ALL_FLAGS);
            emit_test_canonical(&t->hot);
            t_interpret_if(t, CC_A);
        }
        emit_rm(&t->hot, true, 0x89, H_R10, H_RSP, OFFSET_SLOT(SLOT_TEMP));
        push_return_address(t);
        emit_rm(&t->hot, true, 0x8b, H_R10, H_RSP, OFFSET_SLOT(SLOT_TEMP));
        t_exit_indirect(t);
        break;
    default: emit_ret(t); break;
    }
}

/* --- flags outside EFLAGS --------------------------------------------------------------------- */

static void emit_pushf(Translator *t)
{
    const int32_t flags = OFFSET_SLOT(SLOT_FLAGS);
    unsigned size = t->item->insn.opsize;
    Emit *e = &t->hot;

    t_free_flags(t);
    emit_rm(e, false, 0x0fb6, H_R10, H_RSP, flags + 1);
    emit_rm(e, false, 0x0fb6, H_R11, H_RSP, flags);
    emit_alu_imm(e, false, 4, H_R10, RFLAGS_ARITH & 0xff);
    emit_rr(e, false, 0xc1, 4, H_R11); /* shl r11d, 11 */
    emit8(e, 11);
    emit_rr(e, false, 0x09, H_R11, H_R10);
    emit_rm(e, false, 0x8b, H_R11, H_RSP, OFFSET_RFLAGS);
    emit_alu_imm(e, false, 4, H_R11, ~(RFLAGS_ARITH | RFLAGS_RF | RFLAGS_VM));
    emit_rr(e, false, 0x09, H_R11, H_R10);
    emit_rm(e, true, 0x89, H_R10, H_RSP, OFFSET_SLOT(SLOT_TEMP));
    t_stack_access(t, -(int32_t)size, size, true);
    emit_rm(e, true, 0x8b, H_R11, H_RSP, OFFSET_SLOT(SLOT_TEMP));
    t_move(t, true, size, H_R11);
    t_move_stack_pointer(t, -(int32_t)size);
}

/* Sets IF. The block goes on with the next instruction, which interrupts must not precede, and
 * ends there looking at the requests. */
static void emit_sti(Translator *t)
{
    emit_alu_mem_imm(&t->hot, false, 1, H_RSP, OFFSET_RFLAGS, RFLAGS_IF);
    emit_alu_mem_imm(&t->hot, false, 7, H_RSP, (int32_t)offsetof(Cpu, lines), 0);
    emit_jcc(&t->hot, CC_NE, t->cold.p);
    emit8(&t->cold, 0xf0);
    emit_alu_mem_imm(&t->cold, false, 1, H_RSP, OFFSET_REQUESTS, REQUEST_INTERRUPT);
    emit_jmp(&t->cold, t->hot.p);
}

void t_emit_flag_control(Translator *t)
{
    t_free_flags(t);
    switch (t->item->kind) {
    case KIND_CLI: emit_alu_mem_imm(&t->hot, false, 4, H_RSP, OFFSET_RFLAGS, ~RFLAGS_IF); break;
    case KIND_STI: emit_sti(t); break;
    case KIND_PUSHF: emit_pushf(t); break;
    default:
        if (t->item->insn.mnemonic == ZYDIS_MNEMONIC_CLD)
            emit_alu_mem_imm(&t->hot, false, 4, H_RSP, OFFSET_RFLAGS, ~RFLAGS_DF);
        else
            emit_alu_mem_imm(&t->hot, false, 1, H_RSP, OFFSET_RFLAGS, RFLAGS_DF);
        break;
    }
}
