/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* One block on its way from guest to host code: what the translate-*.c files share. */

#include "core/cpu/decode.h"
#include "core/cpu/jit/jit-internal.h"

typedef enum {
    KIND_INTERPRET, /* by interp_one(), then on in the block if nothing stands against it */
    KIND_LEAVE_TO,  /* by interp_one(), ends the block */
    KIND_NOTHING,
    KIND_COPY, /* the same instruction with other operands */
    KIND_MOFFS,
    KIND_INC_DEC, /* the one-byte forms */
    KIND_LEA,
    KIND_BIT_TEST, /* BT and friends, a bit string in memory */
    KIND_PUSH,
    KIND_POP,
    KIND_LEAVE,
    KIND_DIRECTION, /* CLD, STD */
    KIND_CLI,
    KIND_STI,
    KIND_PUSHF,
    KIND_SYSTEM,   /* system state, moved in place */
    KIND_AC,       /* STAC, CLAC that change the mode: end the block, which leads on */
    KIND_STRING,   /* MOVS, STOS */
    KIND_TRANSFER, /* to another privilege level, ends the block */
    KIND_JCC,
    KIND_JMP,
    KIND_CALL,
    KIND_JMP_INDIRECT,
    KIND_CALL_INDIRECT,
    KIND_RET,
    KIND_LOOP,
} InsnKind;

enum { MAX_INSNS = 64, ALL_FLAGS = RFLAGS_ARITH, MAX_GROUPS = 16, NO_GROUP = -1 };

/* What of the flags may be shown from some place on, and bits of the general registers that change
 * before it last is. */
typedef struct {
    uint32_t flags;
    uint16_t changed;
    uint16_t passing; /* the same where they come from before the block, which does not note their
                         operands when it hands them on */
} ShownPlan;
#define SHOWN_ALL ((ShownPlan){ALL_FLAGS, UINT16_MAX, UINT16_MAX})

typedef struct Item {
    Insn insn;
    uint8_t kind;
    uint16_t offset; /* in the page */
    uint32_t tested, killed;
    uint32_t overwritten; /* killed, or left undefined: shows nothing of what was before */
    uint32_t live_before, live_after;
    uint32_t live_target;              /* at the target of a branch */
    int32_t target;                    /* of a direct branch, in the page */
    int32_t next;                      /* where the block goes on, or would */
    int8_t operand_group, stack_group; /* of its accesses, or NO_GROUP */
    uint16_t early_checks;             /* bits of groups that are checked before this item */
    const struct Item *backward; /* the branch whose look at the requests is made before this one */
    /* Flags that may be shown where the program does not need them: translate-shown.c. */
    ShownPlan after, target_shows;
    bool shown_before;
    bool followed;     /* a jump or call whose target is the next item */
    bool keeps_flags;  /* if it shifts by 0: those then are only shown */
    bool loops_back;   /* a branch that is one, also where the loop has been unrolled */
    bool shows_before; /* by a look at the requests */
} Item;

/* Accesses at constant distances from one value of an address: translate-groups.c. */
typedef struct {
    uint8_t base, index, scale; /* registers, INSN_REG_NONE */
    bool store;                 /* needs a page that can be written */
    bool checked;               /* the code of the check is behind us */
    bool based;                 /* what it keeps is the distance and the base register's value */
    bool base_moves;            /* by constants, while it is in use */
    uint8_t members;
    uint8_t head;      /* the item with its first access */
    int8_t early;      /* the item before which it is checked, or NOT_EARLY: at its first access */
    int8_t site;       /* SitePage, or NO_SITE */
    int8_t slot;       /* SLOT_GROUPS + */
    int32_t low, high; /* bytes from BASE + INDEX * SCALE as they are at the first access */
} AccessGroup;
enum { NO_SITE = -1, NOT_EARLY = -1 };

/* Where the access is after t_access() and its like: [r10 + INDEX * SCALE + DISP]. */
typedef struct {
    unsigned index; /* host register or H_NONE */
    unsigned scale;
    int32_t disp;
} HostOperand;

typedef struct {
    JitCpu *jc;
    JitBlock *block;
    uint32_t mode;
    bool ungrouped;       /* KEY_UNGROUPED */
    const uint8_t *page;  /* the guest's bytes */
    const JitPage *known; /* what of the page is translated */
    Emit hot, cold;
    unsigned n_items;
    Item *item;           /* the one being emitted */
    bool flags_saved;     /* live flags are in SLOT_FLAGS, not in EFLAGS */
    bool ends_show;       /* the flags with which the block is left are looked at */
    uint32_t next_live;   /* flags that are used where the block leads on, */
    ShownPlan next_shows; /* and that may be shown there */
    JitFlags flags_from;  /* those that are not in EFLAGS, */
    int32_t constant;     /* with FLAGS_WIDE_CONSTANT */
    JitFlags trap_flags;  /* the newest in the table of traps */
    int32_t trap_constant;
    const Item *repeatable; /* what set the flags can be done again; NULL if not */
    const Item *repeated;   /* it will be, after the access: flags are in no place meanwhile */
    bool vectors_checked;   /* the guest's vectors are known to be live */
    const Item *x87;        /* the last x87 instruction whose address is yet to be noted */
    const Item *x87_data;   /* the last with a memory operand whose segment is */
    bool requests_checked;  /* on the way to here: enough for all backward branches to come */
    bool check_requests;    /* forward exits look at the requests too */
    uint32_t granules;
    HostOperand at;
    bool busy;            /* time is spent here: loops are unrolled, */
    bool sites;           /* and all groups have SitePages */
    int8_t r10_group;     /* whose distance r10 holds, or NO_GROUP */
    bool defers_rsp;      /* the current instruction lets rSP's move wait */
    int32_t rsp_owed;     /* by how much host r15 is behind the guest's RSP */
    JitCrossing crossing; /* of the one instruction, if its ram is not 0 */
    bool cut;             /* its end is on another page */
    AccessGroup groups[MAX_GROUPS];
    unsigned n_groups;
    Item items[MAX_INSNS]; /* last: only those that there are have been set to anything */
} Translator;

static inline bool t_64bit(const Translator *t)
{
    return t->mode & MODE_CS64;
}

/* Of data accesses, MMU_*. */
static inline unsigned t_tlb_set(const Translator *t)
{
    return (t->mode & MODE_MMU) >> MODE_MMU_SHIFT;
}

/* Its fields, as displacements from the Cpu, for the first entry. */
static inline int32_t t_tlb_field(const Translator *t, size_t field)
{
    return (int32_t)(offsetof(Cpu, tlb) + t_tlb_set(t) * sizeof(TlbSet) + field);
}

static inline int32_t t_tlb_tag(const Translator *t, bool store)
{
    return t_tlb_field(t, store ? offsetof(TlbSet, store_tag) : offsetof(TlbSet, load_tag));
}

/* RIP is an offset from a CS base, and CS has a limit. */
static inline bool t_segmented_code(const Translator *t)
{
    return !(t->mode & (MODE_CS64 | MODE_FLAT_CS));
}

/* Guest registers that have no host register. */
static inline bool is_homeless(unsigned guest)
{
    return guest == R10 || guest == R11 || guest == R15;
}

static inline unsigned host_register(unsigned guest)
{
    return guest == RSP ? H_R15 : guest;
}

/* translate.c */
InsnKind t_classify(const Translator *t, const Insn *insn);

/* translate-flags.c */
/* Between EFLAGS and SLOT_FLAGS. Changes r11. */
void t_emit_save_flags(Emit *e);
void t_emit_restore_flags(Emit *e);
void t_save_flags(Translator *t);
/* Makes EFLAGS free to be clobbered before the current instruction. Changes r11. */
void t_free_flags(Translator *t);
/* Puts the flags the current instruction's operation needs into EFLAGS. Changes r11. */
void t_want_flags(Translator *t);
/* Flags in SLOT_FLAGS back to EFLAGS. Changes r11. */
void t_restore_flags(Translator *t);
/* Accounts for the operation's effect on where the flags are. */
void t_flags_after(Translator *t);
/* The same before and after the checks of the current instruction's access; where the flags can be
 * had again by what set them, nothing is saved. The second changes r11, but not r10. */
void t_free_flags_for_access(Translator *t);
void t_flags_after_access(Translator *t);
/* Sets the flags as ITEM, t->repeatable, did. Changes r11. */
void t_emit_again(Emit *e, const Item *item);
/* After each item. */
void t_note_repeatable(Translator *t);

/* translate-shown.c */
/* Whether ITEM may show the flags that are there before it. */
bool t_shows_flags(const Translator *t, const Item *item);
/* From behind ITEM, where LIVE flags are used, to before it, noting both there. */
void t_plan_shown(const Translator *t, ShownPlan *plan, Item *item, uint32_t live, bool leads_away);
/* Which leaves all flags if CL is 0. */
bool t_shifts_register_by_cl(const Item *item);
/* Before the current instruction's operation, between the checks of its operands and what they are
 * loaded into. Leaves EFLAGS alone, changes r11. */
void t_note_old_operand(Translator *t);
/* Behind it: its flags are in EFLAGS. Changes r11. */
void t_note_origin(Translator *t);
/* Code for SLOT_FLAGS, where a block is left for one that does what SHOWN says. Leaves EFLAGS
 * alone, may change r11. */
void t_emit_origin(const Translator *t, Emit *e, ShownPlan shown);
void t_emit_origin_of(Emit *e, JitFlags from, ShownPlan shown);
/* Of the flags here, for a trap, and for a slow way out, which notes in E what they need. Leaves
 * EFLAGS alone. */
JitFlags t_flags_from(const Translator *t);
JitFlags t_emit_flags_from(const Translator *t, Emit *e);
/* Whether the current instruction is a comparison with an operand in memory, whose flags are shown.
 */
bool t_notes_memory_operand(const Translator *t);

/* translate-memory.c */
/* Offset of the memory operand into host register TO, truncated to the address size. TO may be any
 * register; changes r10 and r11. */
void t_effective_address(Translator *t, const Insn *insn, unsigned to, unsigned width);
/* r10: an offset in segment SEG. Afterwards r10 is a host pointer good for SIZE bytes. Clobbers r11
 * and EFLAGS, so t_free_flags() comes first. */
void t_access(Translator *t, unsigned seg, unsigned size, bool store);
/* A locked operation on SIZE bytes at r10, behind t_access(), that splits a line is interpreted.
 * Clobbers r11 and EFLAGS. */
void t_refuse_split_line(Translator *t, unsigned size);
/* t_free_flags, t_effective_address, t_access for the memory operand; t->at says where it is. */
void t_memory_operand(Translator *t, unsigned size, bool store);
/* The same for [rSP + DISP]. */
void t_stack_access(Translator *t, int32_t disp, unsigned size, bool store);
void t_move_stack_pointer(Translator *t, int32_t by);
/* Whether the moves of rSP can be made together behind ITEM: PUSH and POP of registers, and what
 * lies between them and can neither come to a helper, nor fault, nor see rSP. The first access to
 * the stack of such a row finds rSP exact; where it does not fault the others do not either. */
bool t_defers_rsp(const Translator *t, const Item *item);
void t_settle_stack_pointer(Translator *t);  /* moves it by what is owed; leaves EFLAGS alone */
unsigned t_stack_width(const Translator *t); /* 2, 4, 8 */
void t_emit_push(Translator *t);
void t_emit_pop(Translator *t);
void t_emit_leave(Translator *t);
void t_emit_lea(Translator *t);
void t_emit_moffs(Translator *t);

/* In cold code: a call of the slow path for r10; r10 is a host pointer behind it. */
void t_slow_site(Translator *t, unsigned size, unsigned flags);
/* On the condition CC the interpreter does the current instruction, which has changed nothing yet.
 */
void t_interpret_if(Translator *t, unsigned cc);

/* translate-groups.c */
/* Sets the items' groups. */
void t_plan_groups(Translator *t);
/* Whether the first access of GROUP, which may be NO_GROUP, is ITEM's. */
static inline bool t_heads_group(const Translator *t, const Item *item, int8_t group)
{
    return group != NO_GROUP && item == &t->items[t->groups[group].head];
}
/* Whether some access is not checked, or somewhere else. */
bool t_groups_share(const Translator *t);
/* The current instruction's displacement from its memory operand's base, as groups count. */
int32_t t_group_displacement(const Translator *t);
/* Checks groups whose first access is later, where EFLAGS are free. Changes r10 and r11. */
void t_check_groups_early(Translator *t);
/* An access of the current instruction at [address of group NUMBER + DISP], good for SIZE bytes, at
 * t->at. Clobbers r11, and EFLAGS if it is the group's first. False for NO_GROUP. */
bool t_group_access(Translator *t, int8_t number, int32_t disp, unsigned size, bool store);

/* translate-crossing.c */
/* The instruction at OFFSET, whose bytes go on on the next page, if that is known. */
bool t_decode_crossing(Translator *t, unsigned offset, Insn *insn);
/* Makes sure that it is the page it was, before the current instruction. */
void t_emit_crossing(Translator *t);
/* Notes the finished block. */
void t_keep_crossing(Translator *t);

/* translate-copy.c */
/* Whether the homeless registers that the instruction names take more than the temporaries, and
 * then one that is lent. */
bool t_needs_spill(const Insn *insn);
/* Whether there are temporaries for all of them. */
bool t_has_temporaries(const Insn *insn);
void t_emit_copy(Translator *t);
/* INSN, which names no memory and only registers that have homes. */
void t_emit_registers(Emit *e, const Insn *insn);
/* x87 instructions that FNSTENV shows the address of (SDM 1, 8.1.8). */
bool t_is_noted_x87(const Insn *insn);
/* Writes down where the last of them stands, before code that may show it. */
void t_note_x87(Translator *t);
void t_emit_inc_dec(Translator *t);
void t_emit_bit_test(Translator *t);
/* MOV between host register TO (SIZE bytes) and guest register GUEST; 8-bit registers by number
 * with REX. */
void t_load_guest(Translator *t, unsigned to, unsigned guest);
void t_store_guest(Translator *t, unsigned guest, unsigned from, unsigned size);
/* The host instruction that comes next may raise what the current instruction would raise: an
 * access through the stack's page without one, an odd vector operand, a division. */
void t_mark_trap(Translator *t);
/* MOV r/m,r (0x89) or r,r/m (0x8b) at t->at with SIZE 1, 2, 4 or 8. */
void t_move(Translator *t, bool store, unsigned size, unsigned reg);

/* translate-system.c */
/* KIND_INTERPRET for what is not done there. */
InsnKind t_classify_system(const Translator *t, const Insn *insn);
void t_emit_system(Translator *t);   /* KIND_SYSTEM */
void t_emit_ac(Translator *t);       /* KIND_AC */
void t_emit_string(Translator *t);   /* KIND_STRING */
void t_emit_transfer(Translator *t); /* KIND_TRANSFER */

/* translate-control.c */
/* The JitSite of the current instruction; FROM is what t_emit_flags_from() said, SIZE and FLAGS are
 * as there. */
void t_emit_site(const Translator *t, Emit *e, JitFlags from, unsigned size, unsigned flags);
/* A call of STUB, which finds it behind that. */
void t_call_at_site(const Translator *t, Emit *e, const uint8_t *stub, unsigned size,
                    unsigned flags);
/* JitSite.x87_opcode where t->x87 is yet to be noted. */
uint16_t t_x87_opcode(const Translator *t);
void t_emit_interpret(Translator *t, bool stays);
/* Looks at the requests before the current instruction, for the branch BACKWARD. EFLAGS are free.
 */
void t_check_requests(Translator *t, const Item *backward);
void t_emit_branch(Translator *t); /* KIND_JCC and later */
void t_emit_flag_control(Translator *t);
/* Leaves for offset TARGET of the page, straight. LIVE flags are needed there, others may be
 * shown. */
void t_exit_direct(Translator *t, int32_t target, uint32_t live, ShownPlan shown);
/* The newest exit's other mode is found by the imm64 at TARGETS. */
void t_name_targets(Translator *t, const uint8_t *targets);
/* In cold code: leaves for the current instruction, of which nothing has been done, in a block
 * without access groups. */
void t_exit_ungrouped(Translator *t);
/* RIP of offset OFFSET of the page into host register TO; leaves flags alone. */
void t_load_rip(Translator *t, unsigned to, int32_t offset);
/* r10 is the offset in CS: RIP. */
void t_exit_indirect(Translator *t);
